/*
 * observe-rows DATABASE COUNT - when can another connection see each of the next COUNT photos?
 *
 * A reader that polled would hold the shared lock time and again, which is what a writer waits for.
 * So this one sleeps until the rollback journal is deleted: that is the commit (SQLite's "atomic
 * commit", section 3.12). Only then it asks for the highest rowid, and takes the time when the
 * answer is there. Rows are never reused in a table that only grows, so each rowid belongs to the
 * first commit after which it was covered.
 *
 * Prints "observing", and at the end a line for each photo with its path and the time, in
 * nanoseconds of CLOCK_MONOTONIC; then, on standard error, what the looking itself took:
 * "queries N median_ns N max_ns N busy N". For databases with a rollback journal, as PictoPy's has.
 */
#include <errno.h>
#include <inttypes.h>
#include <libgen.h>
#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <time.h>
#include <unistd.h>

#include "util/cleanup.h"

#define NS_PER_SEC INT64_C(1000000000)

typedef struct Commit {
    int64_t last; /* the highest rowid that could be seen */
    int64_t seen; /* ns */
    int64_t took; /* ns, the query alone */
} Commit;

typedef struct Observer {
    sqlite3 *database;
    sqlite3_stmt *highest;
    int inotify_fd;
    Commit *commits;
    size_t n_commits, capacity;
    unsigned long n_busy;
} Observer;

static int64_t now(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * NS_PER_SEC + t.tv_nsec;
}

static _Noreturn void fail(const char *what, const char *why)
{
    (void)fprintf(stderr, "observe-rows: %s: %s\n", what, why);
    _exit(1);
}

/* The journal goes a moment before the lock does. To spin would take the processor from the very
 * thread that is to release it. */
static int64_t highest_rowid(Observer *observer)
{
    static const struct timespec moment = {.tv_nsec = 50 * 1000};
    int64_t rowid;
    int code;

    while ((code = sqlite3_step(observer->highest)) == SQLITE_BUSY) {
        observer->n_busy++;
        (void)sqlite3_reset(observer->highest);
        (void)clock_nanosleep(CLOCK_MONOTONIC, 0, &moment, NULL);
    }
    if (code != SQLITE_ROW)
        fail("cannot read", sqlite3_errmsg(observer->database));
    rowid = sqlite3_column_int64(observer->highest, 0);
    (void)sqlite3_reset(observer->highest);
    return rowid;
}

/* Returns the highest rowid now. */
static int64_t look(Observer *observer)
{
    int64_t begun = now();
    Commit commit = {.last = highest_rowid(observer)};

    commit.seen = now();
    commit.took = commit.seen - begun;
    if (observer->n_commits == observer->capacity) {
        observer->capacity = observer->capacity * 2 + 1024;
        observer->commits =
            reallocarray(observer->commits, observer->capacity, sizeof(*observer->commits));
        if (!observer->commits)
            fail("memory", strerror(ENOMEM));
    }
    observer->commits[observer->n_commits++] = commit;
    return commit.last;
}

static bool is_journal(const struct inotify_event *event)
{
    size_t length = event->len > 0 ? strlen(event->name) : 0;

    return length > 8 && strcmp(event->name + length - 8, "-journal") == 0;
}

static bool has_journal(const char *events, size_t size)
{
    bool found = false;

    for (const char *at = events; at < events + size;) {
        const struct inotify_event *event = (const void *)at;

        found |= is_journal(event);
        at += sizeof(*event) + event->len;
    }
    return found;
}

/* Until a journal was deleted. */
static void wait_commit(Observer *observer)
{
    char buffer[65536] __attribute__((aligned(8)));

    for (;;) {
        ssize_t size = read(observer->inotify_fd, buffer, sizeof(buffer));

        if (size < 0 && errno != EINTR)
            fail("inotify", strerror(errno));
        if (size > 0 && has_journal(buffer, (size_t)size))
            return;
    }
}

static void open_database(Observer *observer, const char *path)
{
    CLEANUP_FREE char *copy = strdup(path);

    if (sqlite3_open_v2(path, &observer->database, SQLITE_OPEN_READONLY, NULL) != SQLITE_OK ||
        sqlite3_prepare_v2(observer->database, "SELECT ifnull(max(rowid), 0) FROM images", -1,
                           &observer->highest, NULL) != SQLITE_OK)
        fail(path, sqlite3_errmsg(observer->database));
    observer->inotify_fd = inotify_init1(IN_CLOEXEC);
    if (observer->inotify_fd < 0 || !copy ||
        inotify_add_watch(observer->inotify_fd, dirname(copy), IN_DELETE) < 0)
        fail(path, strerror(errno));
}

/* The rows come in the order of their rowid, as the commits do. */
static void print_rows(Observer *observer, int64_t base)
{
    sqlite3_stmt *s;
    size_t at = 0;

    if (sqlite3_prepare_v2(observer->database,
                           "SELECT rowid, path FROM images WHERE rowid > ?1 ORDER BY rowid", -1, &s,
                           NULL) != SQLITE_OK)
        fail("cannot read", sqlite3_errmsg(observer->database));
    (void)sqlite3_bind_int64(s, 1, base);
    while (sqlite3_step(s) == SQLITE_ROW) {
        while (at < observer->n_commits && observer->commits[at].last < sqlite3_column_int64(s, 0))
            at++;
        if (at < observer->n_commits)
            (void)printf("%s %" PRId64 "\n", sqlite3_column_text(s, 1), observer->commits[at].seen);
    }
    (void)sqlite3_finalize(s);
}

static int compare_took(const void *a, const void *b)
{
    const Commit *x = a, *y = b;

    return (x->took > y->took) - (x->took < y->took);
}

static void print_own_cost(Observer *observer)
{
    size_t n = observer->n_commits;

    qsort(observer->commits, n, sizeof(Commit), compare_took);
    (void)fprintf(stderr, "queries %zu median_ns %" PRId64 " max_ns %" PRId64 " busy %lu\n", n,
                  observer->commits[n / 2].took, observer->commits[n - 1].took, observer->n_busy);
}

int main(int argc, char **argv)
{
    Observer observer = {0};
    int64_t base, count;

    if (argc != 3) {
        (void)fprintf(stderr, "Usage: observe-rows DATABASE COUNT\n");
        return 2;
    }
    count = strtoll(argv[2], NULL, 10);
    open_database(&observer, argv[1]);
    base = highest_rowid(&observer);
    (void)printf("observing\n");
    (void)fflush(stdout);
    do
        wait_commit(&observer);
    while (look(&observer) < base + count);
    print_rows(&observer, base);
    print_own_cost(&observer);
    (void)sqlite3_finalize(observer.highest);
    (void)sqlite3_close(observer.database);
    (void)close(observer.inotify_fd);
    free(observer.commits);
    return 0;
}
