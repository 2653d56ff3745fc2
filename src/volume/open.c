#include "volume/open.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "util/cleanup.h"
#include "util/log.h"
#include "volume/copy.h"
#include "volume/sidecars.h"
#include "volume/volume.h"

#define SIDECAR_COPY_MAX ((uint64_t)1 << 20) /* a larger one is none */

/* A sidecar that cannot be had is none. */
static void copy_sidecar(OpenJob *open)
{
    CLEANUP_CLOSE int fd = STEAL_FD(open->sidecar_fd);
    FileStamp stamp;

    if (fd >= 0 && copy_to_memory(&open->job, fd, SIDECAR_COPY_MAX, &stamp, &open->sidecar_fd) != 0)
        open->sidecar_fd = -1;
}

/* What hangs shall hang here, on the thread of the volume. */
static void take_copies(OpenJob *open)
{
    CLEANUP_CLOSE int fd = -1;
    int r;

    copy_sidecar(open);
    open->remote = !open->copy;
    if (!open->copy)
        return;
    fd = STEAL_FD(open->fd);
    r = copy_to_memory(&open->job, fd, open->copy_max, &open->stamp, &open->fd);
    open->copied = r == 0;
    open->changed = r == COPY_E_CHANGED;
    open->error = r < 0 ? -r : open->changed ? EBUSY : 0;
}

static void open_run(WorkerJob *job, void *context)
{
    Volume *volume = context;
    OpenJob *open = CONTAINER_OF(job, OpenJob, job);
    CLEANUP_CLOSE int dir_fd = directory_open(open->directory, open->follow);
    struct stat st;

    if (dir_fd < 0) {
        open->error = -dir_fd;
        return;
    }
    if (fstat(dir_fd, &st) < 0 || st.st_dev != open->dev || st.st_ino != open->ino) {
        open->error = ESTALE;
        return;
    }
    open->fd = open_regular(dir_fd, open->name);
    if (open->fd < 0) {
        open->error = -open->fd;
        open->fd = -1;
        return;
    }
    open->sidecar_fd = sidecars_open(&volume->sidecars, dir_fd, open->name);
    if (directory_is_remote(open->fd))
        take_copies(open);
}

/* open_job_init() - fill in directory, dev, ino and name, then submit it to the volume's worker */
void open_job_init(OpenJob *open, void (*done)(WorkerJob *))
{
    *open = (OpenJob){.job = {.priority = WORKER_PRIORITY_HIGH, .run = open_run, .done = done},
                      .fd = -1,
                      .sidecar_fd = -1};
}

typedef struct CloseJob {
    WorkerJob job;
    int fd;
} CloseJob;

static void close_run(WorkerJob *job, void *context UNUSED)
{
    (void)close(CONTAINER_OF(job, CloseJob, job)->fd);
}

/* One that was cancelled stays open: the daemon is about to end. */
static void close_done(WorkerJob *job)
{
    free(CONTAINER_OF(job, CloseJob, job));
}

/*
 * close_job_submit() - close a descriptor where it may hang
 *
 * close(2) of a file on FUSE asks the file system (FUSE_FLUSH), also after mere reading, and waits
 * for the answer.
 */
void close_job_submit(Worker *worker, int fd)
{
    CloseJob *job = worker ? calloc(1, sizeof(*job)) : NULL;

    if (!worker)
        return; /* stopped: the end of the process closes it */
    if (!job) {
        log_warning("no memory to close a file: it stays open");
        return;
    }
    job->job = (WorkerJob){.priority = WORKER_PRIORITY_HIGH, .run = close_run, .done = close_done};
    job->fd = fd;
    worker_submit(worker, &job->job);
}

void open_job_done(OpenJob *open, Worker *worker)
{
    free(open->directory);
    free(open->name);
    open->directory = open->name = NULL;
    if (open->fd >= 0 && open->remote)
        close_job_submit(worker, open->fd);
    else if (open->fd >= 0)
        (void)close(open->fd);
    if (open->sidecar_fd >= 0)
        (void)close(open->sidecar_fd);
    open->fd = open->sidecar_fd = -1;
}
