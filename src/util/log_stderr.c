/* The plain sink: readable lines on standard error, with the time and colours on a terminal. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "util/log.h"
#include "util/path.h"

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

/*
 * log_sink_stderr() - write a message to standard error
 *
 * Elsewhere than on a terminal a line is "level: text"; who collects it adds the time. Each line is
 * one write(2), so lines of several threads do not mix. Control characters are escaped: a file name
 * must not be able to drive the reader's terminal. Any thread.
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
    else if (write(STDERR_FILENO, line, (size_t)n) < 0)
        return; /* nowhere left to say so */
}
