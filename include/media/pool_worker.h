#pragma once
/* One worker process of the pool, as the pool sees it. */

#include "loop/child.h"
#include "loop/timer.h"
#include "media/pool.h"
#include "media/protocol.h"

typedef struct PoolWorker PoolWorker;

typedef enum WorkerState {
    WORKER_DOWN,     /* no process */
    WORKER_STARTING, /* has not said hello yet */
    WORKER_IDLE,
    WORKER_BUSY,
    WORKER_DYING, /* killed, its end is awaited */
    WORKER_STUCK, /* killed, and still there: it hangs in the kernel; without a job */
} WorkerState;

/* Why a worker ended, as far as its pool has to care. */
typedef enum WorkerEnd {
    WORKER_END_START, /* before it did anything useful: the next may do no better */
    WORKER_END_OTHER,
} WorkerEnd;

typedef struct PoolWorkerEvents {
    void (*ready)(PoolWorker *worker); /* it is idle */
    /* The job has its answer or its failure. The worker is idle, dying or down by then. */
    void (*finished)(PoolWorker *worker, MediaJob *job);
    /* It died on the job, which may be tried once more: who knows whose fault it was. */
    void (*returned)(PoolWorker *worker, MediaJob *job);
    void (*ended)(PoolWorker *worker, WorkerEnd end); /* it is down; after the others */
    /* It will not die for now: another takes its place. Negative errno: not yet, ask again later.
     */
    int (*stuck)(PoolWorker *worker);
    void (*died)(PoolWorker *worker); /* one that was stuck; may be freed */
} PoolWorkerEvents;

struct PoolWorker {
    ListNode link;   /* MediaPool.stuck */
    MediaPool *pool; /* for the events */
    const PoolWorkerEvents *events;
    const MediaPoolOptions *options;
    Loop *loop;
    WorkerState state;
    Child child;
    LoopSource socket;
    int fd;      /* our end, -1 while down */
    Timer timer; /* time-out of the start, of the job or of its death */
    bool late;   /* it was killed by the timer */
    bool deaf;   /* it said what it should not: nothing more is read */
    uint64_t n_answers;
    JobMessage message; /* the current job */
    MediaJob *job;      /* NULL, or the current job */
    const void *volume; /* of the current or the last job */
    uint64_t started;   /* clock_now() of the start of the job */
    uint64_t elapsed;   /* of the last one, microseconds */
};

void pool_worker_init(PoolWorker *worker, MediaPool *pool, Loop *loop, Timers *timers,
                      const MediaPoolOptions *options, const PoolWorkerEvents *events);
int pool_worker_start(PoolWorker *worker);
/* Gives the job to an idle worker; on failure the worker is dying and the job stays the caller's.
 */
int pool_worker_assign(PoolWorker *worker, MediaJob *job, uint64_t id);
/* Kills it at once; no event comes. Returns the job that it had, or NULL. */
MediaJob *pool_worker_stop(PoolWorker *worker);
/* Closes a job's descriptors, but for the file of a remote one, and the thumbnail. */
void media_job_close(MediaJob *job);
