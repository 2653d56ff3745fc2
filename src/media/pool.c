/*
 * The pool: a queue of jobs, and worker processes that take one at a time. Workers are started when
 * there is work for them, the first one a little earlier, and then kept.
 *
 * A worker that dies on a job is replaced at once, and the job is tried once more. One that dies
 * before it did anything (the program is gone, a library does not load, memory is short) would die
 * again: the next start waits, longer each time, and after a few such deaths the jobs that wait
 * come back CANCELLED instead of waiting for ever. Starts are then tried again as new jobs come.
 *
 * A worker that hangs in the kernel cannot be killed. Another one takes its place, and the volume
 * that it hangs on gets no worker until that one has died: a dead disk holds as many processes as
 * it had jobs at that moment, and no more. Of remote files, which hang more often, so few are read
 * at a time that one worker is always left for the others.
 */

#include "media/pool.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "media/pool_worker.h"
#include "util/clock.h"
#include "util/error.h"
#include "util/log.h"

#define BACKOFF_FIRST (100 * CLOCK_US_PER_MS)
#define BACKOFF_MAX   (10 * CLOCK_US_PER_SEC)
#define STARTS_MAX    5 /* failed ones in a row, until jobs are given up */
#define STUCK_MAX     8 /* processes that do not die, until no more are started for them */

struct MediaPool {
    MediaPoolOptions options;
    Loop *loop;
    Timers *timers;
    MediaCounters counters;
    List queue;    /* MediaJob.link */
    List stuck;    /* PoolWorker.link */
    size_t n_jobs; /* queued and running */
    uint64_t last_id;
    unsigned n_failed_starts; /* in a row */
    Timer restart;            /* no worker is started while it is armed */
    Timer give_up;            /* fires at once, but not in the middle of a submit */
    PoolWorker *workers[];    /* options.n_workers; owned */
};

static PoolWorker *find_worker(MediaPool *pool, WorkerState state)
{
    for (unsigned i = 0; i < pool->options.n_workers; i++)
        if (pool->workers[i]->state == state)
            return pool->workers[i];
    return NULL;
}

static unsigned count_stuck(const MediaPool *pool)
{
    unsigned n = 0;

    LIST_FOREACH (node, &pool->stuck)
        n++;
    return n;
}

static bool is_stuck(const MediaPool *pool, const void *volume)
{
    LIST_FOREACH (node, &pool->stuck)
        if (CONTAINER_OF(node, PoolWorker, link)->volume == volume)
            return true;
    return false;
}

static unsigned count_remote(const MediaPool *pool)
{
    unsigned n = 0;

    for (unsigned i = 0; i < pool->options.n_workers; i++)
        n += pool->workers[i]->job && pool->workers[i]->job->remote;
    return n;
}

static bool may_run(const MediaPool *pool, const MediaJob *job)
{
    unsigned remote_max = pool->options.n_workers > 1 ? pool->options.n_workers - 1 : 1;

    return !(job->volume && is_stuck(pool, job->volume)) &&
           !(job->remote && count_remote(pool) >= remote_max);
}

static MediaJob *next_job(const MediaPool *pool)
{
    LIST_FOREACH (node, &pool->queue) {
        MediaJob *job = CONTAINER_OF(node, MediaJob, link);

        if (may_run(pool, job))
            return job;
    }
    return NULL;
}

static void start_failed(MediaPool *pool)
{
    uint64_t delay = BACKOFF_MAX;

    if (pool->n_failed_starts < 16 && BACKOFF_FIRST << pool->n_failed_starts < BACKOFF_MAX)
        delay = BACKOFF_FIRST << pool->n_failed_starts;
    pool->n_failed_starts++;
    if (timer_arm_in(&pool->restart, delay) < 0)
        log_debug("media pool: no timer for the next start, ignoring");
    if (pool->n_failed_starts >= STARTS_MAX)
        (void)timer_arm_in(&pool->give_up, 0);
}

static void count_job(MediaPool *pool, const MediaJob *job)
{
    if (job->kind == MEDIA_KIND_VIDEO)
        pool->counters.videos_read++;
    else
        pool->counters.photos_decoded++;
}

/* Gives queued jobs to idle workers; a worker that cannot take one is dying, its job waits on. */
static void assign_jobs(MediaPool *pool)
{
    PoolWorker *worker;
    MediaJob *job;

    while ((worker = find_worker(pool, WORKER_IDLE)) && (job = next_job(pool))) {
        if (pool_worker_assign(worker, job, ++pool->last_id) < 0)
            continue;
        list_remove(&job->link);
        count_job(pool, job);
    }
}

static size_t count_queue(const MediaPool *pool, size_t limit)
{
    size_t n = 0;

    LIST_FOREACH (node, &pool->queue)
        if (may_run(pool, CONTAINER_OF(node, MediaJob, link)) && ++n == limit)
            break;
    return n;
}

static unsigned count_workers(const MediaPool *pool, WorkerState state)
{
    unsigned n = 0;

    for (unsigned i = 0; i < pool->options.n_workers; i++)
        n += pool->workers[i]->state == state;
    return n;
}

/* As many as there are jobs without a worker; just one after a failure, to see how it does. */
static void start_workers(MediaPool *pool)
{
    size_t wanted = count_queue(pool, pool->options.n_workers);
    PoolWorker *worker;

    if (pool->n_failed_starts > 0 && wanted > 1)
        wanted = 1;
    while (count_workers(pool, WORKER_STARTING) < wanted && !timer_is_armed(&pool->restart) &&
           (worker = find_worker(pool, WORKER_DOWN)))
        if (pool_worker_start(worker) < 0)
            start_failed(pool);
}

static void pool_run(MediaPool *pool)
{
    assign_jobs(pool);
    start_workers(pool);
}

static void job_done(MediaPool *pool, MediaJob *job)
{
    pool->n_jobs--;
    job->pool = NULL;
    job->done(job);
}

static void cancel_job(MediaPool *pool, MediaJob *job, const char *why)
{
    MediaError error = {};

    media_job_close(job);
    job->facts = (MediaFacts){.kind = job->kind};
    job->status = media_fail(&error, MEDIA_STATUS_CANCELLED, "%s", why);
    memcpy(job->error, error.text, sizeof(job->error));
    job_done(pool, job);
}

/* Only those that are queued now: done() may submit new ones. */
static void cancel_queue(MediaPool *pool, const char *why)
{
    List jobs; /* MediaJob.link */
    ListNode *node;

    list_init(&jobs);
    list_splice(&jobs, &pool->queue);
    while ((node = list_take(&jobs)))
        cancel_job(pool, CONTAINER_OF(node, MediaJob, link), why);
}

static void worker_ready(PoolWorker *worker)
{
    pool_run(worker->pool);
}

static void worker_finished(PoolWorker *worker, MediaJob *job)
{
    MediaPool *pool = worker->pool;
    MediaCounters *counters = &pool->counters;

    histogram_add(job->kind == MEDIA_KIND_VIDEO ? &counters->video_us : &counters->photo_us,
                  worker->elapsed);
    counters->failures += job->status != MEDIA_STATUS_OK;
    counters->crashes += job->status == MEDIA_STATUS_CRASHED;
    counters->timeouts += job->status == MEDIA_STATUS_TIMEOUT;
    pool->n_failed_starts = 0;
    timer_disarm(&pool->restart);
    pool_run(pool); /* the next job starts before this one's result is worked on */
    job_done(pool, job);
}

/* The pool starts another worker for it as soon as this one is down. */
static void worker_returned(PoolWorker *worker, MediaJob *job)
{
    worker->pool->counters.crashes++;
    list_prepend(&worker->pool->queue, &job->link);
}

static void worker_ended(PoolWorker *worker, WorkerEnd end)
{
    MediaPool *pool = worker->pool;

    if (end == WORKER_END_START)
        start_failed(pool);
    pool_run(pool);
}

static int worker_stuck(PoolWorker *worker);
static void worker_died(PoolWorker *worker);

static const PoolWorkerEvents worker_events = {worker_ready, worker_finished, worker_returned,
                                               worker_ended, worker_stuck,    worker_died};

static PoolWorker *create_worker(MediaPool *pool)
{
    PoolWorker *worker = malloc(sizeof(*worker));

    if (worker)
        pool_worker_init(worker, pool, pool->loop, pool->timers, &pool->options, &worker_events);
    return worker;
}

/* Called before the job of that worker is finished, which runs the pool. */
static int worker_stuck(PoolWorker *worker)
{
    MediaPool *pool = worker->pool;
    PoolWorker *successor = count_stuck(pool) < STUCK_MAX ? create_worker(pool) : NULL;

    if (!successor)
        return -EAGAIN;
    for (unsigned i = 0; i < pool->options.n_workers; i++)
        if (pool->workers[i] == worker)
            pool->workers[i] = successor;
    list_append(&pool->stuck, &worker->link);
    pool->counters.stuck++;
    return 0;
}

static void worker_died(PoolWorker *worker)
{
    MediaPool *pool = worker->pool;

    list_remove(&worker->link);
    free(worker);
    pool_run(pool);
}

static void restart_fired(Timer *timer)
{
    pool_run(CONTAINER_OF(timer, MediaPool, restart));
}

static void give_up_fired(Timer *timer)
{
    MediaPool *pool = CONTAINER_OF(timer, MediaPool, give_up);

    if (media_pool_workers(pool) > 0 || list_is_empty(&pool->queue))
        return;
    log_error("%s media-worker cannot be started, or ends at once (%u times): photos wait",
              pool->options.program, pool->n_failed_starts);
    cancel_queue(pool, "no decoder can be started");
}

static void free_workers(MediaPool *pool)
{
    for (unsigned i = 0; i < pool->options.n_workers; i++)
        free(pool->workers[i]);
    for (ListNode *node; (node = list_take(&pool->stuck));) {
        PoolWorker *worker = CONTAINER_OF(node, PoolWorker, link);

        (void)pool_worker_stop(worker);
        free(worker);
    }
}

/* media_pool_create() - options are copied, options->program is borrowed. 0 or -ENOMEM. */
int media_pool_create(Loop *loop, Timers *timers, const MediaPoolOptions *options,
                      MediaPool **ret_pool)
{
    MediaPool *pool;

    assert(options->n_workers > 0);
    pool = calloc(1, sizeof(*pool) + options->n_workers * sizeof(pool->workers[0]));
    if (!pool)
        return -ENOMEM;
    pool->options = *options;
    pool->loop = loop;
    pool->timers = timers;
    pool->counters.photo_us.bounds = pool->counters.video_us.bounds = histogram_times;
    list_init(&pool->queue);
    list_init(&pool->stuck);
    timer_init(&pool->restart, timers, restart_fired);
    timer_init(&pool->give_up, timers, give_up_fired);
    for (unsigned i = 0; i < options->n_workers; i++) {
        pool->workers[i] = create_worker(pool);
        if (!pool->workers[i]) {
            free_workers(pool);
            free(pool);
            return -ENOMEM;
        }
    }
    *ret_pool = pool;
    return 0;
}

/* media_pool_free() - see the header; done() must not submit to a pool that goes down. NULL is
 * allowed. Returns NULL. */
MediaPool *media_pool_free(MediaPool *pool)
{
    if (!pool)
        return NULL;
    timer_disarm(&pool->restart);
    timer_disarm(&pool->give_up);
    for (unsigned i = 0; i < pool->options.n_workers; i++) {
        MediaJob *job = pool_worker_stop(pool->workers[i]);

        if (job)
            list_prepend(&pool->queue, &job->link);
    }
    cancel_queue(pool, "the media pool is going down");
    assert(pool->n_jobs == 0);
    free_workers(pool);
    free(pool);
    return NULL;
}

/*
 * media_pool_submit() - queues a job
 *
 * The job's descriptors are the pool's from here on; done() comes later, never during this call,
 * and always in the loop's thread.
 */
void media_pool_submit(MediaPool *pool, MediaJob *job)
{
    job->pool = pool;
    job->thumbnail_fd = -1;
    job->tried = false;
    job->error[0] = '\0';
    job->link = (ListNode){};
    list_append(&pool->queue, &job->link);
    pool->n_jobs++;
    pool_run(pool);
}

/*
 * media_pool_warm() - starts one worker before there is work for it
 *
 * A process takes some 30 ms to start and to link, on a busy machine a hundred, which the first
 * photo would wait. Does nothing where there is a worker, or none can be started.
 */
void media_pool_warm(MediaPool *pool)
{
    if (media_pool_workers(pool) > 0 || timer_is_armed(&pool->restart))
        return;
    if (pool_worker_start(pool->workers[0]) < 0)
        start_failed(pool);
}

size_t media_pool_backlog(const MediaPool *pool)
{
    return pool->n_jobs;
}

/* media_pool_workers() - how many processes there are; those that are stuck do not count. */
unsigned media_pool_workers(const MediaPool *pool)
{
    return pool->options.n_workers - count_workers(pool, WORKER_DOWN);
}

const MediaCounters *media_pool_counters(const MediaPool *pool)
{
    return &pool->counters;
}
