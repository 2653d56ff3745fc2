#include "volume/volume.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "util/error.h"

void volumes_init(Volumes *volumes, Mailbox *mailbox)
{
    *volumes = (Volumes){.mailbox = mailbox};
    list_init(&volumes->list);
}

unsigned volumes_done(Volumes *volumes, uint64_t timeout_us)
{
    unsigned left = 0;

    LIST_FOREACH (link, &volumes->list)
        worker_stop(CONTAINER_OF(link, Volume, link)->worker);
    for (ListNode *link; (link = list_take(&volumes->list));) {
        Volume *volume = CONTAINER_OF(link, Volume, link);

        if (!worker_free(volume->worker, timeout_us))
            left++;
        free(volume->device);
        free(volume);
    }
    return left;
}

static int volume_start(Volumes *volumes, const char *device, Volume **ret_volume)
{
    Volume *volume = calloc(1, sizeof(*volume));
    char name[16];
    int r;

    if (!volume)
        return error_trace(-ENOMEM);
    (void)snprintf(name, sizeof(name), "vol-%s", device);
    volume->device = strdup(device);
    r = volume->device ? worker_create(name, volume, volumes->mailbox, &volume->worker) : -ENOMEM;
    if (r < 0) {
        free(volume->device);
        free(volume);
        return error_trace(r);
    }
    list_append(&volumes->list, &volume->link);
    volumes->n_started++;
    *ret_volume = volume;
    return 0;
}

/*
 * volumes_get() - the volume that a path is on
 *
 * By the text of the path and the mount table only: nothing on the volume is touched, which may be
 * a network mount that does not answer.
 */
int volumes_get(Volumes *volumes, const char *path, Volume **ret_volume)
{
    Mounts mounts = {0};
    const Mount *mount;
    const char *device;
    int r = mounts_read(&mounts);

    if (r < 0)
        return error_trace(r);
    mount = mounts_find(&mounts, path);
    device = mount ? mount->device : "0:0";
    LIST_FOREACH (link, &volumes->list) {
        Volume *volume = CONTAINER_OF(link, Volume, link);

        if (strcmp(volume->device, device) == 0) {
            *ret_volume = volume;
            mounts_done(&mounts);
            return 0;
        }
    }
    r = volume_start(volumes, device, ret_volume);
    mounts_done(&mounts);
    return error_trace(r);
}
