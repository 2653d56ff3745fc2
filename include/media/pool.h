#pragma once
/*
 * The pool of worker processes that decode untrusted bytes. A worker gets open descriptors over a
 * socket and opens nothing itself. The loop's thread owns the pool; nothing here blocks.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "loop/dispatch.h"
#include "loop/timer.h"
#include "media/facts.h"
#include "media/status.h"
#include "util/histogram.h"
#include "util/list.h"

typedef struct MediaPool MediaPool;
typedef struct MediaJob MediaJob;

/* Embedded in its owner, which fills the first part and keeps it alive until done(). */
struct MediaJob {
    MediaKind kind;
    int fd;             /* the file, O_RDONLY; owned by the job from submit on, unless remote */
    int sidecar_fd;     /* Takeout sidecar, or -1; likewise, always */
    const void *volume; /* what hangs as a whole; compared, never looked into; or NULL */
    bool remote;        /* fd may hang whoever reads or closes it: done() is to see to that */
    bool has_stamp;     /* fd is a sealed copy of a file that was in the state stamp */
    FileStamp stamp;
    void (*done)(MediaJob *job);

    /* the answer, valid in done() */
    MediaStatus status;
    MediaFacts facts;
    int thumbnail_fd; /* memfd with the JPEG, at offset 0, or -1; done() takes it or closes it */
    char error[MEDIA_ERROR_SIZE]; /* for people; no path in it */

    ListNode link; /* MediaPool.queue or a worker's job; private */
    bool tried;    /* a worker died on it once already; private */
    struct MediaPool *pool;
};

typedef struct MediaPoolOptions {
    const char *program; /* path of the executable to run with "media-worker"; borrowed */
    unsigned n_workers;  /* at least 1 */
    unsigned thumbnail_size;
    unsigned thumbnail_quality;
    uint64_t timeout_us; /* for one file; then the worker is killed */
    uint64_t max_pixels;
    uint64_t max_file_size; /* bytes of a photo */
} MediaPoolOptions;

/* Counters, for /metrics and tests. */
typedef struct MediaCounters {
    uint64_t photos_decoded; /* every decode that was started on a photo, failed ones too */
    uint64_t videos_read;
    uint64_t failures;
    uint64_t crashes; /* workers that died on a job, which is then tried once more */
    uint64_t timeouts;
    uint64_t stuck;     /* workers that did not die when they were killed, and were replaced */
    Histogram photo_us; /* wall time of each job that ended, µs */
    Histogram video_us;
} MediaCounters;

int media_pool_create(Loop *loop, Timers *timers, const MediaPoolOptions *options,
                      MediaPool **ret_pool);
/* Kills the workers; jobs not done come back CANCELLED during the call. */
MediaPool *media_pool_free(MediaPool *pool);
CLEANUP_DEFINE(MediaPool *, media_pool_free)

/* Workers are started on demand and kept. Queues without bound of its own: the caller bounds. */
void media_pool_submit(MediaPool *pool, MediaJob *job);
void media_pool_warm(MediaPool *pool); /* there will be work: starts the first worker */
/* Jobs submitted and not yet done. */
size_t media_pool_backlog(const MediaPool *pool);
unsigned media_pool_workers(const MediaPool *pool);
const MediaCounters *media_pool_counters(const MediaPool *pool);

/* The worker process itself: serves jobs on descriptor fd until the peer closes it; returns the
 * exit status. */
int media_worker_main(int fd);
