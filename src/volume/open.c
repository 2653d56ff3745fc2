#include "volume/open.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "util/cleanup.h"
#include "util/log.h"
#include "volume/copy.h"

#define SIDECAR_COPY_MAX ((uint64_t)1 << 20) /* a larger one is none */
#define FILE_FLAGS       (O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)

static int open_regular(int dir_fd, const char *name)
{
    /* A photo that is looked at for its thumbnail should not count as read by the user; only its
     * owner may ask for that (open(2)). */
    int fd = openat(dir_fd, name, FILE_FLAGS | O_NOATIME);
    struct stat st;

    if (fd < 0 && errno == EPERM)
        fd = openat(dir_fd, name, FILE_FLAGS);
    if (fd < 0)
        return -errno;
    if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
        (void)close(fd);
        return -ESTALE;
    }
    return fd;
}

static int open_suffixed(int dir_fd, const char *name, const char *suffix)
{
    CLEANUP_FREE char *path = NULL;

    if (asprintf(&path, "%s%s", name, suffix) < 0)
        return -ENOMEM;
    return open_regular(dir_fd, path);
}

static bool is_sidecar_of(const char *name, const char *photo)
{
    size_t length = strlen(photo);
    size_t own = strlen(name);

    return own > length + 5 && strncmp(name, photo, length) == 0 && name[length] == '.' &&
           strcmp(name + own - 5, ".json") == 0;
}

/* The last resort: the first by name of all .json files that begin with the photo's name. */
static int open_listed(int dir_fd, const char *photo)
{
    CLEANUP_FREE char *found = NULL;
    CLEANUP(closedir_p) DIR *dir = NULL;
    int fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    dir = fd >= 0 ? fdopendir(fd) : NULL;
    if (!dir) {
        if (fd >= 0)
            (void)close(fd);
        return -ENOENT;
    }
    for (struct dirent *d; (d = readdir(dir));) {
        if (!is_sidecar_of(d->d_name, photo) || (found && strcmp(d->d_name, found) >= 0))
            continue;
        free(found);
        found = strdup(d->d_name);
    }
    return found ? open_regular(dir_fd, found) : -ENOENT;
}

/* Remembers, for the directory that was last searched, that it has no .json file at all: a folder
 * of 100,000 photos is then listed once and not 100,000 times. */
static __thread struct {
    uint64_t dev, ino;
    struct timespec mtime;
} no_sidecars;

static bool has_sidecars(int dir_fd)
{
    CLEANUP(closedir_p) DIR *dir = NULL;
    struct stat st;
    int fd;

    if (fstat(dir_fd, &st) < 0)
        return true;
    if (no_sidecars.ino == st.st_ino && no_sidecars.dev == st.st_dev &&
        no_sidecars.mtime.tv_sec == st.st_mtim.tv_sec &&
        no_sidecars.mtime.tv_nsec == st.st_mtim.tv_nsec)
        return false;
    fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    dir = fd >= 0 ? fdopendir(fd) : NULL;
    if (!dir)
        return true;
    for (struct dirent *d; (d = readdir(dir));) {
        size_t length = strlen(d->d_name);

        if (length > 5 && strcmp(d->d_name + length - 5, ".json") == 0)
            return true;
    }
    no_sidecars.dev = st.st_dev;
    no_sidecars.ino = st.st_ino;
    no_sidecars.mtime = st.st_mtim;
    return false;
}

/* Google Takeout's names, in PictoPy's order. */
static int open_sidecar(int dir_fd, const char *photo)
{
    int fd;

    if (!has_sidecars(dir_fd))
        return -1;
    fd = open_suffixed(dir_fd, photo, ".supplemental-metadata.json");
    if (fd < 0)
        fd = open_suffixed(dir_fd, photo, ".json");
    if (fd < 0)
        fd = open_listed(dir_fd, photo);
    return fd < 0 ? -1 : fd;
}

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

static void open_run(WorkerJob *job, void *context UNUSED)
{
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
    open->sidecar_fd = open_sidecar(dir_fd, open->name);
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
    CloseJob *job = calloc(1, sizeof(*job));

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
