/*
 * Messages to the journal, by a thread of their own
 *
 * sd_journal_sendv(3) waits while the journal takes nothing, and a journal that stands still (a
 * full disk, a stopped machine) would hold up the loop until the watchdog ends the daemon. So who
 * logs puts the message into a queue. When that is full, messages are lost and counted, and the
 * journal is told of them when it goes on.
 */
#include "service/journal_writer.h"

#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "service/journal.h"
#include "util/cleanup.h"
#include "util/clock.h"
#include "util/list.h"

#define QUEUE_MAX    (256 * 1024) /* bytes: several seconds at the highest rate of lines */
#define STOP_TIMEOUT (1 * CLOCK_US_PER_SEC)

/* The strings of the record stand behind it. */
typedef struct Entry {
    ListNode link;
    LogRecord record;
    size_t size;
    uint64_t n_lost; /* messages that were lost before it */
    char strings[];
} Entry;

/* Under the mutex. There is one journal. */
static struct {
    pthread_mutex_t mutex;
    pthread_cond_t wake;  /* the writer: something is to be done */
    pthread_cond_t ended; /* who stops it */
    pthread_t thread;
    List entries; /* Entry.link */
    size_t size;  /* of all entries */
    uint64_t n_lost;
    bool stopping;
    bool is_ended;
    bool is_running; /* who started it knows; not under the mutex */
} writer = {.mutex = PTHREAD_MUTEX_INITIALIZER,
            .wake = PTHREAD_COND_INITIALIZER,
            .ended = PTHREAD_COND_INITIALIZER};

static size_t length_of(const char *string)
{
    return string ? strlen(string) + 1 : 0;
}

/* Returns where the copy is; at: where it goes, moved on behind it. */
static const char *copy(char **at, const char *string)
{
    size_t length = length_of(string);
    const char *copied = *at;

    if (!string)
        return NULL;
    memcpy(*at, string, length);
    *at += length;
    return copied;
}

static Entry *entry_new(const LogRecord *record)
{
    size_t size = sizeof(Entry) + length_of(record->text) + length_of(record->path) +
                  length_of(record->folder_id);
    Entry *entry = malloc(size);
    char *at;

    if (!entry)
        return NULL;
    at = entry->strings;
    *entry = (Entry){.record = *record, .size = size}; /* its ids are constants */
    entry->record.text = copy(&at, record->text);
    entry->record.path = copy(&at, record->path);
    entry->record.folder_id = copy(&at, record->folder_id);
    return entry;
}

/* The sink while the thread runs. Any thread; never waits for the journal. */
static void put(const LogRecord *record)
{
    Entry *entry = entry_new(record);
    bool stopping;

    (void)pthread_mutex_lock(&writer.mutex);
    stopping = writer.stopping;
    if (entry && !stopping && writer.size + entry->size <= QUEUE_MAX) {
        entry->n_lost = writer.n_lost;
        writer.n_lost = 0;
        writer.size += entry->size;
        list_append(&writer.entries, &entry->link);
        entry = NULL;
        (void)pthread_cond_signal(&writer.wake);
    } else if (!stopping) {
        writer.n_lost++;
    }
    (void)pthread_mutex_unlock(&writer.mutex);
    free(entry);
    if (stopping)
        log_sink_stderr(record);
}

static void tell_lost(uint64_t n_lost)
{
    char text[80];
    LogRecord record = {.level = LOG_LEVEL_WARNING, .text = text};

    (void)snprintf(text, sizeof(text), "%" PRIu64 " log lines dropped, the journal took none",
                   n_lost);
    log_sink_journal(&record);
}

/* The next one, out of the queue; NULL: the thread is to end. With the mutex. */
static Entry *next(void)
{
    ListNode *link;

    while (!(link = list_take(&writer.entries)) && !writer.stopping)
        (void)pthread_cond_wait(&writer.wake, &writer.mutex);
    return link ? CONTAINER_OF(link, Entry, link) : NULL;
}

static void *writer_main(void *argument UNUSED)
{
    Entry *entry;

    (void)pthread_setname_np(pthread_self(), "journal");
    (void)pthread_mutex_lock(&writer.mutex);
    while ((entry = next())) {
        writer.size -= entry->size;
        (void)pthread_mutex_unlock(&writer.mutex);
        if (entry->n_lost > 0)
            tell_lost(entry->n_lost);
        log_sink_journal(&entry->record);
        free(entry);
        (void)pthread_mutex_lock(&writer.mutex);
    }
    writer.is_ended = true;
    (void)pthread_cond_signal(&writer.ended);
    (void)pthread_mutex_unlock(&writer.mutex);
    return NULL;
}

static bool create_thread(void)
{
    sigset_t all, before;
    int r;

    (void)sigfillset(&all); /* signals are the loop's */
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    r = pthread_create(&writer.thread, NULL, writer_main, NULL);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    return r == 0;
}

/*
 * journal_writer_start() - messages go to the journal from now on, and nobody waits for it
 *
 * Once in a process. Where no thread is to be had they are sent by who logs.
 */
void journal_writer_start(void)
{
    list_init(&writer.entries);
    writer.is_running = create_thread();
    log_set_sink(writer.is_running ? put : log_sink_journal);
}

/* False: the journal takes nothing. */
static bool wait_for_end(void)
{
    struct timespec until = clock_until(STOP_TIMEOUT);
    int r = 0;

    while (!writer.is_ended && r == 0)
        r = pthread_cond_clockwait(&writer.ended, &writer.mutex, CLOCK_MONOTONIC, &until);
    return writer.is_ended;
}

/*
 * journal_writer_stop() - have all that is queued written, for a second at the most
 *
 * Messages go to the journal directly then; or, where it takes nothing, to standard error. Without
 * a start nothing is done. The thread that started it.
 */
void journal_writer_stop(void)
{
    bool ended;

    if (!writer.is_running)
        return;
    writer.is_running = false;
    log_set_sink(log_sink_journal);
    (void)pthread_mutex_lock(&writer.mutex);
    writer.stopping = true;
    (void)pthread_cond_signal(&writer.wake);
    ended = wait_for_end();
    (void)pthread_mutex_unlock(&writer.mutex);
    if (ended)
        (void)pthread_join(writer.thread, NULL);
    else
        log_set_sink(NULL);
}
