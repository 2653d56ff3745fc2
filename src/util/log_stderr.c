/*
 * The plain sink: readable lines on standard error, with the time and colours on a terminal.
 *
 * Who logs must not wait for who reads: a pager that stands still would hold up the loop. So a line
 * is written where there is room for it, and is lost and counted where there is none.
 */

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "util/clock.h"
#include "util/log.h"
#include "util/path.h"

#define PATIENCE_MS 10

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
 * A description of its own of a pipe or terminal, that does not wait: O_NONBLOCK on the inherited
 * one would be that of others, too. It is opened anew where standard error has become another one.
 * Negative: without the right to that there is nothing but the one that waits.
 */
static int own_stream(void)
{
    static int fd = -1;
    static dev_t dev;
    static ino_t ino;
    struct stat st;

    if (fstat(STDERR_FILENO, &st) < 0 || !(S_ISFIFO(st.st_mode) || isatty(STDERR_FILENO)))
        return STDERR_FILENO;
    if (fd >= 0 && dev == st.st_dev && ino == st.st_ino)
        return fd;
    if (fd >= 0)
        (void)close(fd);
    fd = open("/proc/self/fd/2", O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    dev = st.st_dev;
    ino = st.st_ino;
    return fd;
}

/* Through the one that waits: where there is room for a page of a pipe (poll(2), pipe(7)), for a
 * page at the most. */
static ssize_t put_shared(const char *bytes, size_t size)
{
    struct pollfd stream = {.fd = STDERR_FILENO, .events = POLLOUT};

    errno = EAGAIN;
    if (poll(&stream, 1, 0) <= 0)
        return -1;
    return write(STDERR_FILENO, bytes, size < PIPE_BUF ? size : PIPE_BUF);
}

/* How much of it was taken; all of it where there is nobody to take it (any more). */
static size_t put(const char *bytes, size_t size)
{
    int fd = own_stream();
    ssize_t n =
        fd < 0 ? put_shared(bytes, size) : send(fd, bytes, size, MSG_DONTWAIT | MSG_NOSIGNAL);

    if (n < 0 && errno == ENOTSOCK)
        n = write(fd, bytes, size);
    if (n < 0)
        return errno == EAGAIN || errno == EINTR ? 0 : size;
    return (size_t)n;
}

/* All under the mutex. */
static struct {
    pthread_mutex_t mutex;
    uint64_t n_lost;  /* lines, since the last one that could be written */
    uint64_t patient; /* clock_now() when a reader was waited for last */
    bool is_cut;      /* the last line has no end */
} out = {.mutex = PTHREAD_MUTEX_INITIALIZER};

/* False: there is no room for it. */
static bool tell_lost(void)
{
    char line[80];
    int size =
        snprintf(line, sizeof(line), "%s%s: %" PRIu64 " log lines dropped, they are not read\n",
                 out.is_cut ? "\n" : "", log_level_name(LOG_LEVEL_WARNING), out.n_lost);

    if (put(line, (size_t)size) != (size_t)size)
        return false;
    out.n_lost = 0;
    out.is_cut = false;
    return true;
}

/* A reader who is only a little behind is waited for, once a second at the most. */
static size_t put_line(const char *line, size_t size)
{
    struct pollfd stream = {.fd = STDERR_FILENO, .events = POLLOUT};
    size_t n = put(line, size);

    if (n == size || clock_now() < out.patient + CLOCK_US_PER_SEC)
        return n;
    (void)poll(&stream, 1, PATIENCE_MS);
    out.patient = clock_now();
    return n + put(line + n, size - n);
}

static void write_line(const char *line, size_t size)
{
    (void)pthread_mutex_lock(&out.mutex);
    if (out.n_lost > 0 && !tell_lost()) {
        out.n_lost++;
    } else {
        size_t n = put_line(line, size);

        out.n_lost += n < size;
        out.is_cut = n > 0 && n < size;
    }
    (void)pthread_mutex_unlock(&out.mutex);
}

/*
 * log_draw_stderr() - write to standard error what need not be seen: where there is no room for it,
 * or there was none for lines before, it is left out
 *
 * Any thread.
 */
void log_draw_stderr(const char *bytes, size_t size)
{
    (void)pthread_mutex_lock(&out.mutex);
    if (out.n_lost == 0) {
        size_t n = put(bytes, size);

        out.is_cut |= n > 0 && n < size;
    }
    (void)pthread_mutex_unlock(&out.mutex);
}

/*
 * log_sink_stderr() - write a message to standard error
 *
 * Elsewhere than on a terminal a line is "level: text"; who collects it adds the time. Each line is
 * one write(2), so lines of several threads do not mix. Control
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
        write_line(line, (size_t)n);
}
