/*
 * One worker process: started, given a job, listened to, killed when it is late or talks nonsense.
 *
 * down → starting (process runs) → idle (said hello) ⇄ busy (has a job) → dying (killed) → down
 *                                                                            └→ stuck
 *
 * A process that hangs in the kernel, on a dead disk or mount, outlives SIGKILL: it may die in an
 * hour or never. It is given up after a second, and its job fails.
 *
 * A job ends with an answer, or with the process. When the end of the process and an answer arrive
 * together the answer is read first: it was complete when it was sent.
 */

#include "media/pool_worker.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "util/clock.h"
#include "util/error.h"
#include "util/log.h"

#define START_TIMEOUT (10 * CLOCK_US_PER_SEC)
#define DEATH_TIMEOUT (1 * CLOCK_US_PER_SEC)

static void close_fd(int *fd)
{
    if (*fd >= 0)
        (void)close(*fd);
    *fd = -1;
}

/* media_job_close() - see the header. */
void media_job_close(MediaJob *job)
{
    if (!job->remote)
        close_fd(&job->fd);
    close_fd(&job->sidecar_fd);
    close_fd(&job->thumbnail_fd);
}

static void kill_worker(PoolWorker *worker)
{
    worker->state = WORKER_DYING;
    child_kill(&worker->child);
    if (timer_arm_in(&worker->timer, DEATH_TIMEOUT) < 0)
        log_debug("media pool: no timer for the end of a worker, ignoring");
}

/* It cannot be trusted any more. */
static void distrust(PoolWorker *worker, const char *why)
{
    log_warning("media worker %d %s: replacing it", (int)worker->child.pid, why);
    worker->deaf = true;
    loop_remove(&worker->socket);
    kill_worker(worker);
}

static void finish_job(PoolWorker *worker, const MediaAnswer *answer, int thumbnail)
{
    MediaJob *job = STEAL_PTR(worker->job);

    worker->elapsed = clock_now() - worker->started;
    media_job_close(job);
    job->status = answer->status;
    job->facts = answer->facts;
    job->thumbnail_fd = thumbnail;
    memcpy(job->error, answer->error.text, sizeof(job->error));
    if (worker->state == WORKER_BUSY) {
        timer_disarm(&worker->timer);
        worker->state = WORKER_IDLE;
    }
    worker->events->finished(worker, job);
}

/* Takes over the descriptors, which are closed when the answer is not accepted. */
static void take_answer(PoolWorker *worker, const AnswerMessage *message, size_t size,
                        const int *fds, size_t n_fds)
{
    CLEANUP_CLOSE int thumbnail = n_fds > 0 ? fds[0] : -1;
    CLEANUP_CLOSE UNUSED int other = n_fds > 1 ? fds[1] : -1;
    MediaAnswer answer;

    if (!worker->job) {
        distrust(worker, "answered without a question");
        return;
    }
    if (protocol_parse_answer(message, size, n_fds, &worker->message, &answer) != 0 ||
        (thumbnail >= 0 && !protocol_is_thumbnail(thumbnail, answer.facts.thumbnail_size))) {
        distrust(worker, "gave an answer that cannot be");
        return;
    }
    worker->n_answers++;
    finish_job(worker, &answer, STEAL_FD(thumbnail));
}

static void take_message(PoolWorker *worker, const AnswerMessage *message, size_t size,
                         const int *fds, size_t n_fds)
{
    if (!protocol_is_hello(message, size, n_fds)) {
        take_answer(worker, message, size, fds, n_fds);
        return;
    }
    if (worker->state != WORKER_STARTING) {
        if (worker->state != WORKER_DYING)
            distrust(worker, "said hello twice");
        return;
    }
    timer_disarm(&worker->timer);
    worker->state = WORKER_IDLE;
    worker->events->ready(worker);
}

/* Reads one message. False when there is none, or none will ever be. */
static bool read_message(PoolWorker *worker)
{
    int fds[PROTOCOL_FDS_MAX];
    AnswerMessage message = {};
    size_t n_fds;
    ssize_t n = protocol_receive(worker->fd, &message, sizeof(message), fds, &n_fds);

    if (n == -EAGAIN)
        return false;
    if (n <= 0) {
        if (n < 0 && n != -ECONNRESET)
            distrust(worker, "sent a message that cannot be");
        else
            loop_remove(&worker->socket); /* it is ending: its exit will tell more */
        return false;
    }
    take_message(worker, &message, (size_t)n, fds, n_fds);
    return true;
}

/* One message a round: the callbacks may have changed everything. */
static void socket_ready(LoopSource *source, uint32_t events UNUSED)
{
    PoolWorker *worker = CONTAINER_OF(source, PoolWorker, socket);

    (void)read_message(worker);
}

static void close_socket(PoolWorker *worker)
{
    loop_remove(&worker->socket);
    close_fd(&worker->fd);
    timer_disarm(&worker->timer);
}

static void describe_end(MediaError *error, int status)
{
    if (WIFSIGNALED(status))
        (void)media_fail(error, MEDIA_STATUS_CRASHED, "the decoder was killed by signal %d (%s)",
                         WTERMSIG(status), sigdescr_np(WTERMSIG(status)) ?: "unknown");
    else
        (void)media_fail(error, MEDIA_STATUS_CRASHED, "the decoder ended with status %d",
                         WEXITSTATUS(status));
}

static void fail_job(PoolWorker *worker, int status)
{
    MediaAnswer answer = {.status = MEDIA_STATUS_CRASHED, .facts = {.kind = worker->job->kind}};

    if (worker->late)
        answer.status = media_fail(&answer.error, MEDIA_STATUS_TIMEOUT,
                                   "decoding took longer than %" PRIu64 " ms",
                                   worker->options->timeout_us / CLOCK_US_PER_MS);
    else if (worker->deaf)
        (void)media_fail(&answer.error, MEDIA_STATUS_CRASHED, "the decoder gave a wrong answer");
    else
        describe_end(&answer.error, status);
    finish_job(worker, &answer, -1);
}

/* Somebody may have killed the worker, or it died before it even saw the job: a photo is not a
 * problem just for that. */
static void return_job(PoolWorker *worker)
{
    MediaJob *job = STEAL_PTR(worker->job);

    job->tried = true;
    worker->events->returned(worker, job);
}

static void worker_exited(Child *child, int status)
{
    PoolWorker *worker = CONTAINER_OF(child, PoolWorker, child);
    bool was_working = worker->job || worker->n_answers > 0;

    if (worker->state == WORKER_STUCK) {
        worker->state = WORKER_DOWN;
        worker->events->died(worker);
        return;
    }
    worker->state = WORKER_DYING; /* a job that is finished now does not make it idle */
    while (!worker->deaf && read_message(worker))
        ;
    close_socket(worker);
    if (worker->job && !worker->job->tried && !worker->late && !worker->deaf)
        return_job(worker);
    else if (worker->job)
        fail_job(worker, status);
    worker->state = WORKER_DOWN;
    worker->events->ended(worker, was_working ? WORKER_END_OTHER : WORKER_END_START);
}

/* Its descriptors of the job stay open in it. */
static void give_up(PoolWorker *worker)
{
    if (worker->events->stuck(worker) < 0) {
        (void)timer_arm_in(&worker->timer, DEATH_TIMEOUT);
        return;
    }
    log_warning("media worker %d does not die: replacing it", (int)worker->child.pid);
    worker->state = WORKER_STUCK;
    close_socket(worker);
    if (worker->job)
        fail_job(worker, SIGKILL);
}

static void timer_fired(Timer *timer)
{
    PoolWorker *worker = CONTAINER_OF(timer, PoolWorker, timer);

    if (worker->state == WORKER_DYING) {
        give_up(worker);
        return;
    }
    worker->late = true;
    kill_worker(worker);
}

/* pool_worker_init() - pool, loop, timers, options and events are borrowed. */
void pool_worker_init(PoolWorker *worker, MediaPool *pool, Loop *loop, Timers *timers,
                      const MediaPoolOptions *options, const PoolWorkerEvents *events)
{
    *worker =
        (PoolWorker){.pool = pool, .events = events, .options = options, .loop = loop, .fd = -1};
    timer_init(&worker->timer, timers, timer_fired);
}

static int open_socket(PoolWorker *worker, int *ret_other)
{
    int fds[2];
    int r;

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) < 0)
        return error_errno();
    worker->fd = fds[0];
    r = fcntl(fds[0], F_SETFL, O_NONBLOCK) < 0
            ? -errno
            : loop_add(worker->loop, &worker->socket, fds[0], EPOLLIN, socket_ready);
    if (r < 0) {
        (void)close(fds[1]);
        close_fd(&worker->fd);
        return error_trace(r);
    }
    *ret_other = fds[1];
    return 0;
}

/* pool_worker_start() - starts the process of a worker that is down. 0, or a negative errno and it
 * is still down. */
int pool_worker_start(PoolWorker *worker)
{
    char name[] = "media-worker";
    char *argv[] = {(char *)(uintptr_t)worker->options->program, name, NULL};
    CLEANUP_CLOSE UNUSED int other = -1;
    int r;

    assert(worker->state == WORKER_DOWN);
    r = open_socket(worker, &other);
    if (r < 0)
        return r;
    r = child_spawn(&worker->child, worker->loop, worker->options->program, argv, other,
                    worker_exited);
    if (r >= 0)
        r = timer_arm_in(&worker->timer, START_TIMEOUT);
    if (r < 0) {
        child_done(&worker->child);
        close_socket(worker);
        return error_trace(r);
    }
    worker->state = WORKER_STARTING;
    worker->late = worker->deaf = false;
    worker->n_answers = 0;
    return 0;
}

static int send_job(PoolWorker *worker, const MediaJob *job, uint64_t id)
{
    const MediaPoolOptions *options = worker->options;
    int fds[PROTOCOL_FDS_MAX] = {job->fd, job->sidecar_fd};

    protocol_init_job(&worker->message);
    worker->message.id = id;
    worker->message.kind = job->kind;
    worker->message.has_sidecar = job->sidecar_fd >= 0;
    worker->message.has_stamp = job->has_stamp;
    worker->message.dev = job->stamp.dev;
    worker->message.ino = job->stamp.ino;
    worker->message.size = job->stamp.size;
    worker->message.mtime_ns = job->stamp.mtime_ns;
    worker->message.thumbnail_size = options->thumbnail_size;
    worker->message.thumbnail_quality = options->thumbnail_quality;
    worker->message.max_pixels = options->max_pixels;
    worker->message.max_file_size = options->max_file_size;
    return protocol_send(worker->fd, &worker->message, sizeof(worker->message), fds,
                         job->sidecar_fd >= 0 ? 2 : 1);
}

/* pool_worker_assign() - see the header. The job's descriptors stay open until it is finished: it
 * may need another worker. */
int pool_worker_assign(PoolWorker *worker, MediaJob *job, uint64_t id)
{
    int r;

    assert(worker->state == WORKER_IDLE && !worker->job);
    r = timer_arm_in(&worker->timer, worker->options->timeout_us);
    if (r >= 0)
        r = send_job(worker, job, id);
    if (r < 0) {
        kill_worker(worker);
        return error_trace(r);
    }
    worker->job = job;
    worker->volume = job->volume;
    worker->started = clock_now();
    worker->state = WORKER_BUSY;
    return 0;
}

MediaJob *pool_worker_stop(PoolWorker *worker)
{
    child_done(&worker->child);
    close_socket(worker);
    worker->state = WORKER_DOWN;
    return STEAL_PTR(worker->job);
}
