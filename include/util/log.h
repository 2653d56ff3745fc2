#pragma once
/*
 * Logging: one call, several sinks. A message has a level, optional structured fields (for the
 * journal) and one readable line. Thread-safe.
 */

#include <stdbool.h>
#include <stddef.h>

#include "util/cleanup.h"

/* syslog's numbers */
typedef enum LogLevel {
    LOG_LEVEL_ERROR = 3,
    LOG_LEVEL_WARNING = 4,
    LOG_LEVEL_NOTICE = 5,
    LOG_LEVEL_INFO = 6,
    LOG_LEVEL_DEBUG = 7,
} LogLevel;

/* A kind of event: its MESSAGE_ID in the journal (32 hexadecimal digits), see util/log.c. */
typedef enum LogEvent {
    LOG_EVENT_NONE,
    LOG_EVENT_STARTED,
    LOG_EVENT_STOPPED,
    LOG_EVENT_RELOADED,
    LOG_EVENT_CONFIG_INVALID,
    LOG_EVENT_FOLDER_ADDED,
    LOG_EVENT_FOLDER_MOVED,
    LOG_EVENT_FOLDER_REMOVED,
    LOG_EVENT_MEDIA_ADDED,
    LOG_EVENT_MEDIA_MODIFIED,
    LOG_EVENT_MEDIA_MOVED,
    LOG_EVENT_MEDIA_REMOVED,
    LOG_EVENT_PROBLEM, /* a file that is skipped, and why */
    LOG_EVENT_ROOT_ONLINE,
    LOG_EVENT_ROOT_OFFLINE,
    LOG_EVENT_OVERFLOW,
    LOG_EVENT_WATCH_LIMIT,
    LOG_EVENT_GUARD,
    LOG_EVENT_VOLUME_HUNG,
    LOG_EVENT_VOLUME_ANSWERS,
    LOG_EVENT_DATABASE_UNAVAILABLE,
    LOG_EVENT_DATABASE_AVAILABLE,
    LOG_EVENT_COUNT,
} LogEvent;

/* One message on its way to a sink; the strings live only during the call. */
typedef struct LogRecord {
    LogLevel level;
    LogEvent event;
    const char *message_id; /* NULL for LOG_EVENT_NONE */
    const char *folder_id;  /* NULL, or PICTOPY_FOLDER_ID= */
    const char *path;       /* NULL, or PICTOPY_PATH= */
    const char *text;       /* the readable line, no newline at its end */
} LogRecord;

typedef void (*LogSink)(const LogRecord *record);

void log_set_level(LogLevel level);
LogLevel log_level(void);
bool log_level_parse(const char *name, LogLevel *ret_level); /* error, warning, notice, … */
const char *log_level_name(LogLevel level);
void log_set_sink(LogSink sink); /* NULL: standard error */
void log_sink_stderr(const LogRecord *record);
void log_draw_stderr(const char *bytes, size_t size);
bool log_on_terminal(void); /* standard error is a terminal that can erase a line */
void log_set_rate(unsigned lines_per_second); /* 0: no limit; the default is 200 */

void log_event(LogLevel level, LogEvent event, const char *folder_id, const char *path,
               const char *format, ...) FORMAT_PRINTF(5, 6);

#define log_error(...)   log_event(LOG_LEVEL_ERROR, LOG_EVENT_NONE, NULL, NULL, __VA_ARGS__)
#define log_warning(...) log_event(LOG_LEVEL_WARNING, LOG_EVENT_NONE, NULL, NULL, __VA_ARGS__)
#define log_notice(...)  log_event(LOG_LEVEL_NOTICE, LOG_EVENT_NONE, NULL, NULL, __VA_ARGS__)
#define log_info(...)    log_event(LOG_LEVEL_INFO, LOG_EVENT_NONE, NULL, NULL, __VA_ARGS__)
#define log_debug(...)   log_event(LOG_LEVEL_DEBUG, LOG_EVENT_NONE, NULL, NULL, __VA_ARGS__)
