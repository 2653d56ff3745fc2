/*
 * Volumes
 *
 * What a path is on is told by the text of the path and the mount table alone: nothing on the
 * volume is touched, which may be a network mount that does not answer. Where a path leads through
 * symbolic links the text does not tell; whoever has such a path looks at it on a private volume
 * first, so that only that look can hang.
 *
 * A library may have thousands of such paths, all to be looked at when the daemon starts; starting
 * and ending a thread takes the loop up to a millisecond when the machine is busy. So only a few
 * are at work at a time. One that takes long is not counted: it may hang, and others must not wait.
 */
#include "volume/volume.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "util/clock.h"
#include "util/error.h"

#define LOOKS_MAX 16 /* private volumes at work, but for those that take longer than LOOK_LONG */
#define LOOK_LONG (100 * CLOCK_US_PER_MS)

void volumes_init(Volumes *volumes, Mailbox *mailbox)
{
    *volumes = (Volumes){.mailbox = mailbox};
    list_init(&volumes->list);
    list_init(&volumes->waiting);
}

static void volume_free(Volume *volume)
{
    list_remove(&volume->link);
    sidecars_done(&volume->sidecars);
    free(volume->device);
    free(volume->type);
    free(volume);
}

static void job_cancel(WorkerJob *job)
{
    job->cancelled = true;
    job->done(job);
}

/*
 * volumes_stop() - end all threads
 * @timeout_us: for all of them together
 *
 * The volumes stay, without a worker: jobs of other threads that refer to them may still come back.
 * Returns how many threads hang; those are left behind with their volumes.
 */
unsigned volumes_stop(Volumes *volumes, uint64_t timeout_us)
{
    uint64_t end = clock_now() + timeout_us;
    unsigned left = 0;

    volumes->stopped = true;
    for (ListNode *link; (link = list_take(&volumes->waiting));) {
        WorkerJob *first = STEAL_PTR(CONTAINER_OF(link, Volume, waiting)->first);

        if (first)
            job_cancel(first);
    }
    LIST_FOREACH (link, &volumes->list)
        if (CONTAINER_OF(link, Volume, link)->worker)
            worker_stop(CONTAINER_OF(link, Volume, link)->worker);
    LIST_FOREACH_SAFE (link, tmp, &volumes->list) {
        Volume *volume = CONTAINER_OF(link, Volume, link);
        uint64_t now = clock_now();

        if (!worker_free(volume->worker, now < end ? end - now : 0)) {
            list_remove(&volume->link); /* its thread may still use it */
            left++;
        }
        volume->worker = NULL;
    }
    return left;
}

/* volumes_done() - free all volumes; their threads have ended */
void volumes_done(Volumes *volumes)
{
    for (ListNode *link; (link = list_first(&volumes->list));)
        volume_free(CONTAINER_OF(link, Volume, link));
}

/* Without a thread. NULL: memory ran out. */
static Volume *volume_new(Volumes *volumes, const Mount *mount, const char *device)
{
    Volume *volume = calloc(1, sizeof(*volume));

    if (!volume)
        return NULL;
    volume->kind = mount ? mount->kind : MOUNT_KIND_LOCAL;
    list_init(&volume->ready);
    list_init(&volume->media_queue);
    volume->device = device ? strdup(device) : NULL;
    volume->type = mount ? strdup(mount->type) : NULL;
    volume->users = 1;
    list_append(&volumes->list, &volume->link);
    if ((device && !volume->device) || (mount && !volume->type)) {
        volume_free(volume);
        return NULL;
    }
    return volume;
}

static int volume_start(Volumes *volumes, Volume *volume)
{
    char name[16]; /* what pthread_setname_np(3) takes */

    (void)snprintf(name, sizeof(name), "vol-%s", volume->device ? volume->device : "new");
    return error_trace(worker_create(name, volume, volumes->mailbox, &volume->worker));
}

/* Device numbers of file systems without a device are used again: the type must be the same too. */
static bool is_volume_of(const Volume *volume, const Mount *mount, const char *device)
{
    return volume->device && strcmp(volume->device, device) == 0 &&
           (!mount || !volume->type || strcmp(volume->type, mount->type) == 0);
}

/*
 * volumes_get() - the volume of a mounted file system
 * @mount: from the mount table; NULL for a path that is on none
 *
 * Several mounts of one file system (bind mounts) are one volume. The caller releases it with
 * volume_release(). 0, -ENOMEM, or what pthread_create(3) says.
 */
int volumes_get(Volumes *volumes, const Mount *mount, Volume **ret_volume)
{
    const char *device = mount ? mount->device : "0:0";
    Volume *volume;
    int r;

    LIST_FOREACH (link, &volumes->list) {
        volume = CONTAINER_OF(link, Volume, link);
        if (is_volume_of(volume, mount, device)) {
            *ret_volume = volume_use(volume);
            return 0;
        }
    }
    volume = volume_new(volumes, mount, device);
    if (!volume)
        return error_trace(-ENOMEM);
    r = volume_start(volumes, volume);
    if (r < 0) {
        volume_free(volume);
        return error_trace(r);
    }
    *ret_volume = volume;
    return 0;
}

int volumes_get_private(Volumes *volumes, Volume **ret_volume)
{
    *ret_volume = volume_new(volumes, NULL, NULL);
    return *ret_volume ? 0 : error_trace(-ENOMEM);
}

/* volume_run() - see the header; after volumes_stop() the job comes back at once, cancelled */
void volume_run(Volumes *volumes, Volume *volume, WorkerJob *job)
{
    if (volume->worker) {
        worker_submit(volume->worker, job);
    } else if (volumes->stopped) {
        job_cancel(job);
    } else {
        assert(!volume->first);
        volume->first = job;
        list_append(&volumes->waiting, &volume->waiting);
    }
}

static unsigned count_looks(const Volumes *volumes)
{
    unsigned n = 0;

    LIST_FOREACH (link, &volumes->list) {
        const Volume *volume = CONTAINER_OF(link, Volume, link);

        n += !volume->device && volume->worker && worker_backlog(volume->worker) > 0 &&
             worker_busy_for(volume->worker) < LOOK_LONG;
    }
    return n;
}

/* volumes_start() - see the header; when no thread can be had now, one may be had later */
bool volumes_start(Volumes *volumes)
{
    if (list_is_empty(&volumes->waiting))
        return false;
    for (unsigned n = count_looks(volumes); n < LOOKS_MAX; n++) {
        ListNode *link = list_first(&volumes->waiting);
        Volume *volume = link ? CONTAINER_OF(link, Volume, waiting) : NULL;

        if (!volume || volume_start(volumes, volume) < 0)
            break;
        list_remove(link);
        worker_submit(volume->worker, STEAL_PTR(volume->first));
    }
    return !list_is_empty(&volumes->waiting);
}

/* volume_use() - one user more; accepts NULL and returns its argument */
Volume *volume_use(Volume *volume)
{
    if (volume)
        volume->users++;
    return volume;
}

/* volume_release() - one user less; accepts NULL and returns NULL */
Volume *volume_release(Volume *volume)
{
    if (volume)
        volume->users--;
    return NULL;
}

/* A private volume is nobody else's: that its thread ends need not be waited for. */
static bool volume_end(Volume *volume)
{
    return volume->device ? worker_free(volume->worker, CLOCK_US_PER_SEC)
                          : !volume->worker || worker_try_free(volume->worker);
}

/*
 * volumes_reap() - end the threads that nobody needs any more; a hung one when it comes back
 *
 * Memory of some is given back in a later round only, when their threads have ended.
 */
void volumes_reap(Volumes *volumes)
{
    LIST_FOREACH_SAFE (link, tmp, &volumes->list) {
        Volume *volume = CONTAINER_OF(link, Volume, link);

        if (volume->users > 0 || volume->first || !list_is_empty(&volume->ready) ||
            !list_is_empty(&volume->media_queue) ||
            (volume->worker && worker_backlog(volume->worker) > 0))
            continue;
        if (volume_end(volume))
            volume_free(volume);
    }
}
