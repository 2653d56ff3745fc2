/*
 * A thread with a queue of jobs.
 *
 *   worker_submit() ─▶ queue[priority] ─▶ run() in the thread ─▶ mailbox ─▶ done() in the loop
 *
 * The promise is that every job comes back through done(), in the loop's thread, exactly once:
 *   - The thread posts to the mailbox and waits for room there; that is the back-pressure.
 *   - After worker_stop() it only passes the queue on, cancelled.
 *   - When the mailbox was closed, the job is kept in returned until worker_free().
 *   - worker_free() ends the thread and delivers what is in the queue (cancelled), in returned and
 *     in the mailbox itself, so that afterwards no job refers to the worker.
 * The one exception is a job whose run() does not end in time, because it hangs in the kernel on a
 * dead network mount. Its thread is abandoned with the worker and that job: run() may still use the
 * job and the context whenever the mount comes back, so both must stay; done() never comes.
 */

#include "loop/worker.h"

#include <pthread.h>
#include <time.h>

#include "util/clock.h"
#include "util/error.h"

#define WORKER_N_PRIORITIES 2
#define WORKER_FREE_STEP_US (10 * CLOCK_US_PER_MS)

struct Worker {
    pthread_t thread;
    void *context;
    Mailbox *mailbox;
    size_t backlog; /* the loop's thread only */

    pthread_mutex_t mutex;
    pthread_cond_t wake;  /* a job was submitted, or quit */
    pthread_cond_t ended; /* the thread is done */
    /* under the mutex: */
    List queue[WORKER_N_PRIORITIES]; /* WorkerJob.item.link */
    List returned;                   /* WorkerJob.item.link: the mailbox was closed */
    uint64_t busy_since;             /* clock_now(); 0 = no run() under way */
    bool stopping;                   /* cancel instead of run */
    bool quit;                       /* end the thread */
    bool is_ended;
    bool abandoned; /* nobody else knows the worker any more */
};

static WorkerJob *worker_job(ListNode *node)
{
    return CONTAINER_OF(node, WorkerJob, item.link);
}

/* The loop's end of a job. */
static void worker_deliver(MailboxItem *item)
{
    WorkerJob *job = CONTAINER_OF(item, WorkerJob, item);

    job->worker->backlog--;
    job->worker = NULL;
    job->done(job);
}

/* The next job to run, high priority first; NULL when the thread is to end. Called locked. */
static WorkerJob *worker_next(Worker *worker)
{
    while (!worker->quit) {
        for (size_t i = 0; i < WORKER_N_PRIORITIES; i++) {
            ListNode *node = list_take(&worker->queue[i]);

            if (node)
                return worker_job(node);
        }
        (void)pthread_cond_wait(&worker->wake, &worker->mutex);
    }
    return NULL;
}

/* Runs a job and gives it back. Called locked; unlocks meanwhile. False: abandoned. */
static bool worker_run(Worker *worker, WorkerJob *job)
{
    bool posted;

    job->cancelled = worker->stopping;
    if (!job->cancelled) {
        worker->busy_since = clock_now();
        (void)pthread_mutex_unlock(&worker->mutex);
        job->run(job, worker->context);
        (void)pthread_mutex_lock(&worker->mutex);
        worker->busy_since = 0;
        if (worker->abandoned)
            return false; /* the mailbox may be gone; the job is given up */
    }
    (void)pthread_mutex_unlock(&worker->mutex);
    posted = mailbox_post_wait(worker->mailbox, &job->item) == 0;
    (void)pthread_mutex_lock(&worker->mutex);
    if (!posted)
        list_append(&worker->returned, &job->item.link);
    return true;
}

static void worker_destroy(Worker *worker)
{
    (void)pthread_cond_destroy(&worker->wake);
    (void)pthread_cond_destroy(&worker->ended);
    (void)pthread_mutex_destroy(&worker->mutex);
    free(worker);
}

static void *worker_main(void *argument)
{
    Worker *worker = argument;
    bool abandoned = false;
    WorkerJob *job;

    (void)pthread_mutex_lock(&worker->mutex);
    while (!abandoned && (job = worker_next(worker)))
        abandoned = !worker_run(worker, job);
    worker->is_ended = true;
    (void)pthread_cond_signal(&worker->ended);
    (void)pthread_mutex_unlock(&worker->mutex);
    if (abandoned)
        worker_destroy(worker); /* the last one who knows it */
    return NULL;
}

static void worker_init(Worker *worker, void *context, Mailbox *mailbox)
{
    worker->context = context;
    worker->mailbox = mailbox;
    for (size_t i = 0; i < WORKER_N_PRIORITIES; i++)
        list_init(&worker->queue[i]);
    list_init(&worker->returned);
    (void)pthread_mutex_init(&worker->mutex, NULL);
    (void)pthread_cond_init(&worker->wake, NULL);
    (void)pthread_cond_init(&worker->ended, NULL);
}

/*
 * worker_create() - start a thread
 * @name: seen in ps and gdb; longer than 15 bytes is cut
 * @context: handed to each run(); must outlive the worker, also an abandoned one
 * @mailbox: where jobs come back; freed after the worker
 *
 * The thread has the caller's signal mask (signal_block() first).
 *
 * Return: 0 or a negative errno of pthread_create(3).
 */
int worker_create(const char *name, void *context, Mailbox *mailbox, Worker **ret_worker)
{
    Worker *worker = calloc(1, sizeof(*worker));
    char short_name[16];
    int r;

    if (!worker)
        return error_trace(-ENOMEM);
    worker_init(worker, context, mailbox);
    r = pthread_create(&worker->thread, NULL, worker_main, worker);
    if (r != 0) {
        worker_destroy(worker);
        return error_trace(-r);
    }
    (void)snprintf(short_name, sizeof(short_name), "%s", name);
    (void)pthread_setname_np(worker->thread, short_name);
    *ret_worker = worker;
    return 0;
}

/*
 * worker_stop() - cancel what has not started
 *
 * Jobs that wait, and those submitted later, come back through the mailbox cancelled; the running
 * one ends as usual. The thread stays until worker_free().
 */
void worker_stop(Worker *worker)
{
    (void)pthread_mutex_lock(&worker->mutex);
    worker->stopping = true;
    (void)pthread_mutex_unlock(&worker->mutex);
}

static bool worker_owns(MailboxItem *item, const void *worker)
{
    /* Other posters' items are no jobs; their deliver tells. */
    return item->deliver == worker_deliver && CONTAINER_OF(item, WorkerJob, item)->worker == worker;
}

/* Gives back jobs that did not get into the mailbox; true when there were any. */
static bool worker_give_back(Worker *worker, List *jobs, bool cancelled)
{
    ListNode *node;
    List taken;

    list_init(&taken);
    (void)pthread_mutex_lock(&worker->mutex);
    list_splice(&taken, jobs);
    (void)pthread_mutex_unlock(&worker->mutex);
    if (list_is_empty(&taken))
        return false;
    while ((node = list_take(&taken))) {
        WorkerJob *job = worker_job(node);

        if (cancelled)
            job->cancelled = true;
        worker_deliver(&job->item);
    }
    return true;
}

/*
 * Gives back every job but the running one. Emptying the mailbox also makes room for a thread that
 * waits for it. Repeats, since a done() may submit another job.
 */
static void worker_flush(Worker *worker)
{
    bool again = true;

    while (again) {
        again = mailbox_deliver_matching(worker->mailbox, worker_owns, worker) > 0;
        again |= worker_give_back(worker, &worker->returned, false);
        for (size_t i = 0; i < WORKER_N_PRIORITIES; i++)
            again |= worker_give_back(worker, &worker->queue[i], true);
    }
}

/* Tells the thread to end and waits a moment for that; true when it has ended. */
static bool worker_wait_end(Worker *worker, uint64_t wait_us)
{
    struct timespec until = clock_until(wait_us);
    bool ended;
    int r = 0;

    (void)pthread_mutex_lock(&worker->mutex);
    worker->quit = true;
    (void)pthread_cond_signal(&worker->wake);
    while (!worker->is_ended && r == 0)
        r = pthread_cond_clockwait(&worker->ended, &worker->mutex, CLOCK_MONOTONIC, &until);
    ended = worker->is_ended;
    (void)pthread_mutex_unlock(&worker->mutex);
    return ended;
}

/* Gives up a thread that is inside a run(); from then on the worker is the thread's to free. */
static bool worker_abandon(Worker *worker)
{
    bool hung;

    (void)pthread_mutex_lock(&worker->mutex);
    hung = !worker->is_ended && worker->busy_since > 0;
    if (hung) {
        worker->abandoned = true;
        (void)pthread_detach(worker->thread);
    }
    (void)pthread_mutex_unlock(&worker->mutex);
    return hung;
}

/*
 * worker_free() - end the worker
 * @timeout_us: how long to wait for a run() that is under way
 *
 * The loop's thread, not from a done() of the same worker. Calls done() of all its jobs before it
 * returns, except for one that is still in its run() at the time-out. Accepts NULL.
 *
 * Return: true when the thread has ended; false when it was abandoned (see above).
 */
bool worker_free(Worker *worker, uint64_t timeout_us)
{
    uint64_t start = clock_now();
    uint64_t step = timeout_us < WORKER_FREE_STEP_US ? timeout_us : WORKER_FREE_STEP_US;

    if (!worker)
        return true;
    worker_stop(worker);
    while (!worker_wait_end(worker, step)) {
        worker_flush(worker);
        if (clock_now() - start >= timeout_us && worker_abandon(worker))
            return false;
    }
    (void)pthread_join(worker->thread, NULL);
    worker_flush(worker);
    worker_destroy(worker);
    return true;
}

/*
 * worker_try_free() - end a worker that has no jobs, and will get none, without waiting for it
 *
 * The loop's thread. Return: true when it is freed; false when its thread has not ended yet: to be
 * called again, or worker_free() instead.
 */
bool worker_try_free(Worker *worker)
{
    (void)pthread_mutex_lock(&worker->mutex);
    worker->quit = true;
    (void)pthread_cond_signal(&worker->wake);
    (void)pthread_mutex_unlock(&worker->mutex);
    if (pthread_tryjoin_np(worker->thread, NULL) != 0)
        return false;
    worker_destroy(worker);
    return true;
}

/*
 * worker_submit() - give a job to the thread
 * @job: zeroed, with priority, run and done set; the worker's until done() gets it
 *
 * The loop's thread. Jobs of one priority run in the order of their submission.
 */
void worker_submit(Worker *worker, WorkerJob *job)
{
    job->worker = worker;
    job->cancelled = false;
    job->item.deliver = worker_deliver;
    worker->backlog++;
    (void)pthread_mutex_lock(&worker->mutex);
    list_append(&worker->queue[job->priority], &job->item.link);
    (void)pthread_cond_signal(&worker->wake);
    (void)pthread_mutex_unlock(&worker->mutex);
}

/* worker_backlog() - jobs submitted and not yet done; the loop's thread */
size_t worker_backlog(const Worker *worker)
{
    return worker->backlog;
}

/* worker_alive() - see the header; the worker's thread. */
void worker_alive(WorkerJob *job)
{
    Worker *worker = job->worker;

    (void)pthread_mutex_lock(&worker->mutex);
    worker->busy_since = clock_now();
    (void)pthread_mutex_unlock(&worker->mutex);
}

/* worker_busy_for() - microseconds that the job has been silent; 0 when none is. Any thread. */
uint64_t worker_busy_for(Worker *worker)
{
    uint64_t since;

    (void)pthread_mutex_lock(&worker->mutex);
    since = worker->busy_since;
    (void)pthread_mutex_unlock(&worker->mutex);
    return since > 0 ? clock_now() - since : 0;
}
