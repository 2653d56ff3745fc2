/*
 * The plain sink: readable lines on standard error, with the time and colours on a terminal.
 *
 * Who logs must not wait for who reads: a pager that stands still would hold up the loop. So a line
 * is written where there is room for it, and is lost and counted where there is none.
 */

#include <inttypes.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "util/log.h"
#include "util/path.h"

#define PATIENCE_MS 10 /* with a reader that is a little behind, before the first line is lost */

static const char *log_color(LogLevel level)
{
    switch (level) {
    case LOG_LEVEL_ERROR:
        return "\033[1;31m";
    case LOG_LEVEL_WARNING:
        return "\033[1;33m";
    case LOG_LEVEL_NOTICE:
        return "\033[1m";
    case LOG_LEVEL_DEBUG:
        return "\033[2m";
    default:
        return "";
    }
}

/* Colours are unwanted (no-color.org). */
static bool log_is_plain(void)
{
    const char *wish = getenv("NO_COLOR");

    return wish && *wish;
}

/*
 * log_on_terminal() - is standard error a terminal that can go back and erase a line?
 */
bool log_on_terminal(void)
{
    const char *kind = getenv("TERM");

    return isatty(STDERR_FILENO) && kind && *kind && strcmp(kind, "dumb") != 0;
}

/* The line for a terminal: "HH:MM:SS level text", in place of a progress bar that may stand there.
 */
static int log_format_terminal(const LogRecord *record, const char *text, char **ret_line)
{
    const char *color = log_color(record->level);
    bool plain = log_is_plain();
    time_t now = time(NULL);
    char clock[16] = "";
    struct tm tm;

    if (localtime_r(&now, &tm))
        (void)strftime(clock, sizeof(clock), "%H:%M:%S", &tm);
    if (plain)
        return asprintf(ret_line, "\r\033[K%s %-7s %s\n", clock, log_level_name(record->level),
                        text);
    return asprintf(ret_line, "\r\033[K\033[2m%s\033[0m %s%-7s %s%s\n", clock, color,
                    log_level_name(record->level), text, *color ? "\033[0m" : "");
}

/* Is there room for PIPE_BUF bytes (poll(2), pipe(7))? */
static bool has_room(int timeout_ms)
{
    struct pollfd stream = {.fd = STDERR_FILENO, .events = POLLOUT};

    return poll(&stream, 1, timeout_ms) != 0;
}

/* The end of a longer line would wait for who reads the pipe. */
static size_t cut(char *line, size_t size)
{
    static const char end[] = "...\n";
    size_t at = PIPE_BUF - strlen(end);
    struct stat st;

    if (size <= PIPE_BUF || fstat(STDERR_FILENO, &st) < 0 || !S_ISFIFO(st.st_mode))
        return size;
    while (((unsigned char)line[at] & 0xC0) == 0x80) /* inside of a character */
        at--;
    memcpy(line + at, end, sizeof(end));
    return at + strlen(end);
}

static bool write_line(char *line, size_t size, bool patient)
{
    /* An error (nobody is there to read) leaves nowhere to say so. */
    return has_room(patient ? PATIENCE_MS : 0) && write(STDERR_FILENO, line, cut(line, size)) != 0;
}

static bool tell_lost(uint64_t n)
{
    char line[80];
    int size =
        snprintf(line, sizeof(line), "%s: %" PRIu64 " log lines dropped, they are not read\n",
                 log_level_name(LOG_LEVEL_WARNING), n);

    return write_line(line, (size_t)size, false);
}

/* One after the other: two that see the same room would not both have it. */
static void write_or_lose(char *line, size_t size)
{
    static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
    static uint64_t n_lost; /* since the last one that could be written */

    (void)pthread_mutex_lock(&mutex);
    if (n_lost > 0 && tell_lost(n_lost))
        n_lost = 0;
    if (n_lost > 0 || !write_line(line, size, true))
        n_lost++;
    (void)pthread_mutex_unlock(&mutex);
}

/*
 * log_sink_stderr() - write a message to standard error
 *
 * Elsewhere than on a terminal a line is "level: text"; who collects it adds the time. Each line is
 * one write(2) of PIPE_BUF bytes at the most, so lines of several threads do not mix. Control
 * characters are escaped: a file name must not be able to drive the reader's terminal. Any thread.
 */
void log_sink_stderr(const LogRecord *record)
{
    CLEANUP_FREE char *text = path_escape(record->text);
    CLEANUP_FREE char *line = NULL;
    int n;

    if (!text)
        return;
    if (log_on_terminal())
        n = log_format_terminal(record, text, &line);
    else
        n = asprintf(&line, "%s: %s\n", log_level_name(record->level), text);
    if (n < 0)
        line = NULL;
    else
        write_or_lose(line, (size_t)n);
}
