/*
 * Logging. A message passes the level, then the limit of lines a second, then goes to the one sink
 * that is set: the journal (service/journal_writer), or standard error.
 *
 * Lines over the limit are counted and reported by one line as soon as there is room again, so a
 * folder with a million bad files cannot fill a disk with its log. Notices and worse have a limit
 * of their own: a burst of changes must not swallow the one line that says "ready".
 */

#include "util/log.h"

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "util/clock.h"

#define LOG_RATE_DEFAULT 200

/* MESSAGE_ID= in the journal: fixed for ever, since saved searches and catalogues refer to them. */
static const char *const log_message_ids[LOG_EVENT_COUNT] = {
    [LOG_EVENT_STARTED] = "d4f9dd284dd348af8006dae3ef6a1698", /* the daemon is ready */
    [LOG_EVENT_STOPPED] = "a4f0992d6ef54f9f9b51043bd9787dfb", /* the daemon ends */
    [LOG_EVENT_RELOADED] =
        "4b1240a325fd4cda9262d0baf388b623", /* a changed configuration is in force */
    [LOG_EVENT_CONFIG_INVALID] =
        "5350412fa5ac4ac09b59122a5da4ddf6", /* the configuration has errors */
    [LOG_EVENT_FOLDER_ADDED] = "0f65b33675d24eea842713b9e68448da", /* a directory got a row */
    [LOG_EVENT_FOLDER_MOVED] =
        "a964765caa2b4a85a99f2e252f4a052c", /* a directory's row got another path */
    [LOG_EVENT_FOLDER_REMOVED] =
        "c06be46cc8554223b84497fb96a192cf", /* a directory's row was removed */
    [LOG_EVENT_MEDIA_ADDED] = "bbd28e0879664c41813f8ee7465b3cb4", /* a photo or video got a row */
    [LOG_EVENT_MEDIA_MODIFIED] =
        "2a8f8ba385d04d66b3ea5804878945d1", /* a photo's or video's content changed */
    [LOG_EVENT_MEDIA_MOVED] =
        "5223f7fb455d4a0caea50ac81ba98d2e", /* a photo's or video's row got another path */
    [LOG_EVENT_MEDIA_REMOVED] =
        "a2e9f8ddd2324fd69287b8c05529990b", /* a photo's or video's row was removed */
    [LOG_EVENT_PROBLEM] =
        "cbe38ca1feaf479d90851a1bcf686fa8", /* a file is skipped, the text says why */
    [LOG_EVENT_ROOT_ONLINE] =
        "e9cb26db3a014e75b3569afea12ac5ed", /* a registered folder can be read again */
    [LOG_EVENT_ROOT_OFFLINE] = "ef7adef27b7e484a971af3e8fba411f9", /* a registered folder cannot be
                                                                      reached; its rows stay */
    [LOG_EVENT_OVERFLOW] =
        "b52620b7331547039d9973eafe0fcce2", /* the kernel dropped events, a scan follows */
    [LOG_EVENT_WATCH_LIMIT] =
        "7fabb59cec59459ca72d0cf87e940ae8", /* no more watches to be had; folders are polled */
    [LOG_EVENT_GUARD] =
        "f230ff1275af481c88279a18acb46890", /* many photos are gone; the user has to confirm it */
    [LOG_EVENT_VOLUME_HUNG] =
        "15a613d1e371443aad840ef62a2cad9b", /* a file system does not answer */
    [LOG_EVENT_VOLUME_ANSWERS] = "23be99227c9349c2930629468c2666fa", /* it does again */
    [LOG_EVENT_DATABASE_UNAVAILABLE] =
        "e6e465ebd0ad44b2afe8eefa57f4f4f5", /* the database cannot be read or written */
    [LOG_EVENT_DATABASE_AVAILABLE] = "5d6b8ff63eee4eeeb169aa6ac7ffeb48", /* it can again */
};

static const char *const log_level_names[] = {
    [LOG_LEVEL_ERROR] = "error", [LOG_LEVEL_WARNING] = "warning", [LOG_LEVEL_NOTICE] = "notice",
    [LOG_LEVEL_INFO] = "info",   [LOG_LEVEL_DEBUG] = "debug",
};

static _Atomic(LogLevel) log_current_level = LOG_LEVEL_INFO;
static _Atomic(LogSink) log_current_sink = log_sink_stderr;

typedef struct LogBudget {
    unsigned lines;   /* passed in this second */
    uint64_t second;  /* of clock_now() */
    uint64_t dropped; /* and not yet reported */
} LogBudget;

/* The limit of lines a second; all under the mutex. */
static struct {
    pthread_mutex_t mutex;
    unsigned limit;       /* lines a second; 0 = none */
    LogBudget budgets[2]; /* of info and debug; of what is more important */
} log_rate = {.mutex = PTHREAD_MUTEX_INITIALIZER, .limit = LOG_RATE_DEFAULT};

/* log_set_level() - messages less important than level are dropped; any thread */
void log_set_level(LogLevel level)
{
    atomic_store(&log_current_level, level);
}

/* log_level() - the level that is set, to skip the making of costly messages */
LogLevel log_level(void)
{
    return atomic_load_explicit(&log_current_level, memory_order_relaxed);
}

/*
 * log_level_parse() - read the name of a level
 * @name: error, warning, notice, info or debug, in lower case
 *
 * Return: false when it is none of them.
 */
bool log_level_parse(const char *name, LogLevel *ret_level)
{
    for (LogLevel level = LOG_LEVEL_ERROR; level <= LOG_LEVEL_DEBUG; level++)
        if (strcmp(name, log_level_names[level]) == 0) {
            *ret_level = level;
            return true;
        }
    return false;
}

/* log_level_name() - the name that log_level_parse() reads */
const char *log_level_name(LogLevel level)
{
    return log_level_names[level];
}

/*
 * log_set_sink() - where messages go from now on
 * @sink: called by any thread, by several at once; must not log itself. NULL: standard error.
 */
void log_set_sink(LogSink sink)
{
    atomic_store(&log_current_sink, sink ?: log_sink_stderr);
}

/* log_set_rate() - at most so many lines a second; 0 lifts the limit */
void log_set_rate(unsigned lines_per_second)
{
    (void)pthread_mutex_lock(&log_rate.mutex);
    log_rate.limit = lines_per_second;
    (void)pthread_mutex_unlock(&log_rate.mutex);
}

/* May a line be written now? ret_dropped: the number of lost ones to report before it. */
static bool log_rate_admits(LogLevel level, uint64_t *ret_dropped)
{
    LogBudget *budget = &log_rate.budgets[level <= LOG_LEVEL_NOTICE];
    uint64_t second = clock_now() / CLOCK_US_PER_SEC;
    bool admitted;

    *ret_dropped = 0;
    (void)pthread_mutex_lock(&log_rate.mutex);
    if (second != budget->second) {
        budget->second = second;
        budget->lines = 0;
    }
    admitted = log_rate.limit == 0 || budget->lines < log_rate.limit;
    if (admitted) {
        budget->lines++;
        *ret_dropped = budget->dropped;
        budget->dropped = 0;
    } else {
        budget->dropped++;
    }
    (void)pthread_mutex_unlock(&log_rate.mutex);
    return admitted;
}

static void log_report_dropped(LogSink sink, uint64_t dropped)
{
    char text[80];
    LogRecord record = {.level = LOG_LEVEL_WARNING, .text = text};

    (void)snprintf(text, sizeof(text), "%llu log lines dropped, too many in a second",
                   (unsigned long long)dropped);
    sink(&record);
}

/*
 * log_event() - log one message
 * @level: its importance
 * @event: what kind of event it tells of, for the journal; LOG_EVENT_NONE for none
 * @folder_id, @path: journal fields; NULL for none. The path is any bytes.
 * @format: the readable line, without a newline; escape paths in it with path_escape()
 *
 * Any thread; errno is kept. Never fails: without memory the bare format stands for the text.
 */
void log_event(LogLevel level, LogEvent event, const char *folder_id, const char *path,
               const char *format, ...)
{
    CLEANUP_FREE char *text = NULL;
    LogSink sink = atomic_load(&log_current_sink);
    int saved = errno;
    uint64_t dropped;
    va_list args;

    if (level > log_level() || !log_rate_admits(level, &dropped))
        return;
    va_start(args, format);
    if (vasprintf(&text, format, args) < 0)
        text = NULL;
    va_end(args);
    if (dropped > 0)
        log_report_dropped(sink, dropped);
    sink(&(LogRecord){
        .level = level,
        .event = event,
        .message_id = log_message_ids[event],
        .folder_id = folder_id,
        .path = path,
        .text = text ?: format,
    });
    errno = saved;
}
