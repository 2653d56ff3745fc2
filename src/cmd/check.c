#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd/command.h"
#include "sync/audit.h"

#define STATUS_IN_SYNC     0
#define STATUS_DIFFERENCES 1
#define STATUS_FAILED      2

typedef struct Check {
    json_t *list; /* with --json */
    bool terminal;
    bool drawn;
} Check;

static void clear(Check *check)
{
    if (check->drawn)
        (void)fputs("\r\033[K", stderr);
    check->drawn = false;
}

static void report(void *owner, AuditKind kind, const char *path)
{
    Check *check = owner;
    CLEANUP_FREE char *shown = path_escape(path);

    if (check->list) {
        (void)json_array_append_new(check->list, json_pack("{s:s,s:s}", "path", shown ? shown : "",
                                                           "difference", audit_kind_name(kind)));
        return;
    }
    clear(check);
    (void)printf("%s: %s\n", audit_kind_name(kind), shown ? shown : "");
}

static void progress(void *owner, const AuditCounts *counts)
{
    Check *check = owner;

    if (!check->terminal)
        return;
    (void)fprintf(stderr, "\r\033[Kcompared %llu folders, %llu photos and videos",
                  (unsigned long long)counts->folders, (unsigned long long)counts->files);
    (void)fflush(stderr);
    check->drawn = true;
}

static void print_json(Check *check, const AuditCounts *counts)
{
    json_t *answer =
        json_pack("{s:b,s:I,s:I,s:I,s:o}", "in_sync", counts->differences == 0, "folders",
                  (json_int_t)counts->folders, "files", (json_int_t)counts->files, "offline",
                  (json_int_t)counts->offline, "differences", check->list);
    char *text = answer ? json_dumps(answer, JSON_INDENT(2)) : NULL;

    (void)puts(text ? text : "{}");
    free(text);
    json_decref(answer);
}

/* "1 folder", "2 folders" */
static void print_count(uint64_t count, const char *noun)
{
    (void)printf("%llu %s%s", (unsigned long long)count, noun, count == 1 ? "" : "s");
}

static void print_summary(const AuditCounts *counts)
{
    (void)fputs(counts->differences == 0 ? "in sync: " : "not in sync: ", stdout);
    print_count(counts->folders, "folder");
    (void)fputs(", ", stdout);
    print_count(counts->files, "file");
    (void)fputs(", ", stdout);
    print_count(counts->differences, "difference");
    if (counts->offline > 0) {
        (void)fputs("; offline, so not compared: ", stdout);
        print_count(counts->offline, "folder");
    }
    (void)putchar('\n');
}

/* command_check() - compare database and disk and change nothing */
int command_check(Command *command)
{
    CLEANUP(config_free_p) Config *config = command->config;
    CLEANUP_FREE char *error = NULL;
    Check check = {.list = command->json ? json_array() : NULL, .terminal = isatty(STDERR_FILENO)};
    AuditCounts counts = {0};
    int r = audit_run(config, report, progress, &check, &counts, &error);

    clear(&check);
    if (r != 0) {
        (void)fprintf(stderr, COMMAND_PROGRAM ": check: %s\n", error ? error : strerror(-r));
        json_decref(check.list);
        return STATUS_FAILED;
    }
    if (check.list)
        print_json(&check, &counts);
    else
        print_summary(&counts);
    return counts.differences == 0 ? STATUS_IN_SYNC : STATUS_DIFFERENCES;
}
