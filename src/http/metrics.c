/*
 * GET /metrics: what the engine counts, then what belongs to the process. The latter is read here,
 * on the thread of the request, under the names that Prometheus' own libraries give it.
 */

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "http/handlers.h"
#include "project-config.h"
#include "util/exposition.h"

static void append(Text *out, const char *name, MetricType type, MetricUnit unit, uint64_t value,
                   const char *help)
{
    exposition_head(out, name, type, help);
    exposition_sample(out, name, NULL, unit, value);
}

static void append_build(Text *out)
{
    CLEANUP(text_done) Text labels = {0};

    exposition_label(&labels, "version", PROJECT_VERSION);
    out->failed |= labels.failed;
    exposition_head(out, "pictopy_sync_build_info", METRIC_TYPE_GAUGE, "Which program this is.");
    exposition_sample(out, "pictopy_sync_build_info", labels.data, METRIC_UNIT_NUMBER, 1);
}

static uint64_t microseconds(const struct timeval *time)
{
    return (uint64_t)time->tv_sec * CLOCK_US_PER_SEC + (uint64_t)time->tv_usec;
}

static void append_cpu(Text *out)
{
    struct rusage usage;

    if (getrusage(RUSAGE_SELF, &usage) == 0)
        append(out, "process_cpu_seconds_total", METRIC_TYPE_COUNTER, METRIC_UNIT_TIME,
               microseconds(&usage.ru_utime) + microseconds(&usage.ru_stime),
               "Processor time of this process, without its media workers.");
}

/* The first number of a text; false when it does not begin with one. */
static bool parse_number(const char *text, uint64_t *ret_number)
{
    char *end;

    *ret_number = strtoull(text, &end, 10);
    return end != text;
}

/* The first line of a file of proc(5) that begins so. */
static bool read_line(const char *path, const char *begin, char *line, int size)
{
    CLEANUP(fclose_p) FILE *file = fopen(path, "re");

    while (file && fgets(line, size, file))
        if (strncmp(line, begin, strlen(begin)) == 0)
            return true;
    return false;
}

/* The second number of /proc/self/statm: pages. */
static void append_memory(Text *out)
{
    char line[256];
    const char *second =
        read_line("/proc/self/statm", "", line, sizeof(line)) ? strchr(line, ' ') : NULL;
    uint64_t pages;

    if (second && parse_number(second, &pages))
        append(out, "process_resident_memory_bytes", METRIC_TYPE_GAUGE, METRIC_UNIT_NUMBER,
               pages * (uint64_t)sysconf(_SC_PAGESIZE), "Resident memory of this process.");
}

static void append_descriptors(Text *out)
{
    DIR *dir = opendir("/proc/self/fd");
    struct rlimit limit;
    uint64_t n = 0;

    if (!dir)
        return;
    for (const struct dirent *entry; (entry = readdir(dir));)
        n += entry->d_name[0] != '.';
    (void)closedir(dir);
    append(out, "process_open_fds", METRIC_TYPE_GAUGE, METRIC_UNIT_NUMBER, n - 1,
           "Open file descriptors."); /* without the directory's own */
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0)
        append(out, "process_max_fds", METRIC_TYPE_GAUGE, METRIC_UNIT_NUMBER, limit.rlim_cur,
               "How many there may be.");
}

/* Ticks since boot, field 22 of /proc/self/stat. The second one is the program's name, which may
 * hold anything: fields are counted from its closing bracket. */
static bool read_start(uint64_t *ret_ticks)
{
    char line[1024];
    const char *at =
        read_line("/proc/self/stat", "", line, sizeof(line)) ? strrchr(line, ')') : NULL;

    for (unsigned field = 2; at && field < 22; field++)
        at = strchr(at + 1, ' ');
    return at && parse_number(at, ret_ticks);
}

static bool read_boot(uint64_t *ret_seconds)
{
    static const char key[] = "btime ";
    char line[4096];

    return read_line("/proc/stat", key, line, sizeof(line)) &&
           parse_number(line + strlen(key), ret_seconds);
}

static void append_start(Text *out)
{
    uint64_t ticks, boot;
    uint64_t second = (uint64_t)sysconf(_SC_CLK_TCK);

    if (read_start(&ticks) && read_boot(&boot))
        append(out, "process_start_time_seconds", METRIC_TYPE_GAUGE, METRIC_UNIT_TIME,
               boot * CLOCK_US_PER_SEC + ticks * CLOCK_US_PER_SEC / second,
               "When this process began, in Unix time.");
}

static void append_process(Text *out)
{
    append_build(out);
    append_cpu(out);
    append_memory(out);
    append_descriptors(out);
    append_start(out);
}

/* http_get_metrics() - GET /metrics */
void http_get_metrics(HttpContext *context, const HttpRequest *request UNUSED,
                      HttpResponse *response)
{
    CLEANUP_FREE char *text = NULL;
    CLEANUP(text_done) Text out = {0};
    char *body = NULL;
    CallResult result;

    if (!http_ask(context, &(HttpQuestion){HTTP_GATE_ALL, CALL_METRICS, NULL, HTTP_ANSWER_TIMEOUT},
                  response, &result, &text))
        return;
    if (result != CALL_RESULT_OK || !text) {
        http_response_detail(response, 503, "%s", text ? text : "The service did not answer");
        return;
    }
    text_append(&out, text);
    append_process(&out);
    (void)text_steal(&out, &body);
    http_response_body(response, 200, EXPOSITION_CONTENT_TYPE, body);
}
