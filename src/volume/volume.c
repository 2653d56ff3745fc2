/*
 * Volumes
 *
 * What a path is on is told by the text of the path and the mount table alone: nothing on the
 * volume is touched, which may be a network mount that does not answer. Where a path leads through
 * symbolic links the text does not tell; whoever has such a path looks at it on a private volume
 * first, so that only that look can hang.
 */
#include "volume/volume.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "util/clock.h"
#include "util/error.h"

void volumes_init(Volumes *volumes, Mailbox *mailbox)
{
    *volumes = (Volumes){.mailbox = mailbox};
    list_init(&volumes->list);
}

static void volume_free(Volume *volume)
{
    list_remove(&volume->link);
    sidecars_done(&volume->sidecars);
    free(volume->device);
    free(volume->type);
    free(volume);
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

    LIST_FOREACH (link, &volumes->list)
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

static int volume_start(Volumes *volumes, const Mount *mount, const char *device,
                        Volume **ret_volume)
{
    Volume *volume = calloc(1, sizeof(*volume));
    char name[16]; /* what pthread_setname_np(3) takes */
    int r = 0;

    if (!volume)
        return error_trace(-ENOMEM);
    (void)snprintf(name, sizeof(name), "vol-%s", device ? device : "new");
    volume->kind = mount ? mount->kind : MOUNT_KIND_LOCAL;
    list_init(&volume->ready);
    list_init(&volume->media_queue);
    volume->device = device ? strdup(device) : NULL;
    volume->type = mount ? strdup(mount->type) : NULL;
    if ((device && !volume->device) || (mount && !volume->type))
        r = -ENOMEM;
    if (r == 0)
        r = worker_create(name, volume, volumes->mailbox, &volume->worker);
    if (r < 0) {
        free(volume->device);
        free(volume->type);
        free(volume);
        return error_trace(r);
    }
    list_append(&volumes->list, &volume->link);
    volumes->n_started++;
    volume->users = 1;
    *ret_volume = volume;
    return 0;
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

    LIST_FOREACH (link, &volumes->list) {
        Volume *volume = CONTAINER_OF(link, Volume, link);

        if (is_volume_of(volume, mount, device)) {
            volume->users++;
            *ret_volume = volume;
            return 0;
        }
    }
    return volume_start(volumes, mount, device, ret_volume);
}

int volumes_get_private(Volumes *volumes, Volume **ret_volume)
{
    return volume_start(volumes, NULL, NULL, ret_volume);
}

/* volume_release() - one user less; accepts NULL and returns NULL */
Volume *volume_release(Volume *volume)
{
    if (volume)
        volume->users--;
    return NULL;
}

/* volumes_reap() - end the threads that nobody needs any more; a hung one when it comes back */
void volumes_reap(Volumes *volumes)
{
    LIST_FOREACH_SAFE (link, tmp, &volumes->list) {
        Volume *volume = CONTAINER_OF(link, Volume, link);

        if (volume->users > 0 || !volume->worker || worker_backlog(volume->worker) > 0 ||
            !list_is_empty(&volume->ready) || !list_is_empty(&volume->media_queue))
            continue;
        (void)worker_free(volume->worker, CLOCK_US_PER_SEC);
        volume_free(volume);
    }
}
