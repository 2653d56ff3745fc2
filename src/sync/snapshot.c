/*
 * Snapshots. The loop fills in a new Snapshot whenever what the HTTP threads may see has changed,
 * and publishes it; from then on nobody writes to it. A reader takes a reference under the box's
 * lock, which is held for one pointer and one counter, and reads at leisure. The list of folders
 * and the detail have counters of their own, so that a snapshot that changes nothing but a flag
 * does not copy ten thousand paths.
 */

#include "sync/snapshot.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "util/error.h"

struct SnapshotBox {
    pthread_mutex_t lock;
    Snapshot *current; /* one reference; NULL before the first */
};

/*
 * snapshot_box_create() - makes an empty box
 *
 * Returns 0, or -ENOMEM.
 */
int snapshot_box_create(SnapshotBox **ret_box)
{
    SnapshotBox *box = calloc(1, sizeof(*box));

    if (!box)
        return error_trace(-ENOMEM);
    (void)pthread_mutex_init(&box->lock, NULL); /* cannot fail with default attributes on Linux */
    *ret_box = box;
    return 0;
}

/* snapshot_box_free() - frees the box and its reference; no thread may use the box any more */
SnapshotBox *snapshot_box_free(SnapshotBox *box)
{
    if (!box)
        return NULL;
    (void)snapshot_unref(box->current);
    (void)pthread_mutex_destroy(&box->lock);
    free(box);
    return NULL;
}

/*
 * snapshot_box_publish() - replaces what readers get from now on
 * @box: the box
 * @snapshot: taken over with the caller's reference; must not be written to any more
 */
void snapshot_box_publish(SnapshotBox *box, Snapshot *snapshot)
{
    Snapshot *old;

    (void)pthread_mutex_lock(&box->lock);
    old = box->current;
    box->current = snapshot;
    (void)pthread_mutex_unlock(&box->lock);
    (void)snapshot_unref(old);
}

/*
 * snapshot_box_acquire() - the snapshot of this moment
 *
 * Any thread. Returns a reference that the caller drops with snapshot_unref(), or NULL before the
 * first snapshot was published.
 */
Snapshot *snapshot_box_acquire(SnapshotBox *box)
{
    Snapshot *snapshot;

    /* The count must rise before the lock is left, or publish() could drop the last reference. */
    (void)pthread_mutex_lock(&box->lock);
    snapshot = box->current;
    if (snapshot)
        (void)__atomic_add_fetch(&snapshot->refs, 1, __ATOMIC_RELAXED);
    (void)pthread_mutex_unlock(&box->lock);
    return snapshot;
}

/*
 * snapshot_new() - an empty snapshot with one reference, for the caller to fill in
 *
 * Its folders and detail are released with it. Returns 0, or -ENOMEM.
 */
int snapshot_new(Snapshot **ret_snapshot)
{
    Snapshot *snapshot = calloc(1, sizeof(*snapshot));

    if (!snapshot)
        return error_trace(-ENOMEM);
    snapshot->refs = 1;
    *ret_snapshot = snapshot;
    return 0;
}

/* snapshot_unref() - drops a reference, frees with the last; accepts NULL. Any thread. */
Snapshot *snapshot_unref(Snapshot *snapshot)
{
    /* Release what this thread read, acquire what the others did, before memory is given back. */
    if (!snapshot || __atomic_sub_fetch(&snapshot->refs, 1, __ATOMIC_ACQ_REL) > 0)
        return NULL;
    (void)snapshot_folders_unref(snapshot->folders);
    (void)snapshot_detail_unref(snapshot->detail);
    free(snapshot);
    return NULL;
}

/*
 * snapshot_folders_new() - an empty list with one reference
 * @count: how many folders it will have at most
 * @size: bytes of all their ids and paths, zeros included
 *
 * Returns 0, or -ENOMEM.
 */
int snapshot_folders_new(size_t count, size_t size, SnapshotFolders **ret_folders)
{
    SnapshotFolders *folders = calloc(1, sizeof(*folders));

    if (!folders)
        return error_trace(-ENOMEM);
    folders->items = calloc(count > 0 ? count : 1, sizeof(*folders->items));
    folders->strings = malloc(size > 0 ? size : 1);
    folders->size = size;
    folders->refs = 1;
    if (!folders->items || !folders->strings) {
        (void)snapshot_folders_unref(folders);
        return error_trace(-ENOMEM);
    }
    *ret_folders = folders;
    return 0;
}

static const char *keep(SnapshotFolders *folders, const char *string)
{
    size_t size = strlen(string) + 1;
    char *kept = folders->strings + folders->used;

    assert(folders->used + size <= folders->size);
    memcpy(kept, string, size);
    folders->used += size;
    return kept;
}

/* snapshot_folders_add() - one folder more; there must be room for it. Before the list is shared */
void snapshot_folders_add(SnapshotFolders *folders, const char *id, const char *path)
{
    SnapshotFolder *folder = &folders->items[folders->count++];

    folder->id = keep(folders, id);
    folder->path = keep(folders, path);
}

/* snapshot_folders_ref() - one more reference; accepts NULL. Any thread. */
SnapshotFolders *snapshot_folders_ref(SnapshotFolders *folders)
{
    if (folders)
        (void)__atomic_add_fetch(&folders->refs, 1, __ATOMIC_RELAXED);
    return folders;
}

/* snapshot_folders_unref() - drops a reference, frees with the last; accepts NULL. Any thread. */
SnapshotFolders *snapshot_folders_unref(SnapshotFolders *folders)
{
    if (!folders || __atomic_sub_fetch(&folders->refs, 1, __ATOMIC_ACQ_REL) > 0)
        return NULL;
    free(folders->strings);
    free(folders->items);
    free(folders);
    return NULL;
}

/*
 * snapshot_detail_new() - n_roots empty roots, and numbers of zero, with one reference
 *
 * The caller fills in allocated strings; a half-filled one can be released. Returns 0, or -ENOMEM.
 */
int snapshot_detail_new(size_t n_roots, SnapshotDetail **ret_detail)
{
    SnapshotDetail *detail = calloc(1, sizeof(*detail));

    if (!detail)
        return error_trace(-ENOMEM);
    detail->roots = calloc(n_roots > 0 ? n_roots : 1, sizeof(*detail->roots));
    if (!detail->roots) {
        free(detail);
        return error_trace(-ENOMEM);
    }
    detail->refs = 1;
    detail->n_roots = n_roots;
    *ret_detail = detail;
    return 0;
}

/* snapshot_detail_ref() - one more reference; accepts NULL. Any thread. */
SnapshotDetail *snapshot_detail_ref(SnapshotDetail *detail)
{
    if (detail)
        (void)__atomic_add_fetch(&detail->refs, 1, __ATOMIC_RELAXED);
    return detail;
}

/* snapshot_detail_unref() - drops a reference, frees with the last; accepts NULL. Any thread. */
SnapshotDetail *snapshot_detail_unref(SnapshotDetail *detail)
{
    if (!detail || __atomic_sub_fetch(&detail->refs, 1, __ATOMIC_ACQ_REL) > 0)
        return NULL;
    for (size_t i = 0; i < detail->n_roots; i++) {
        free(detail->roots[i].path);
        free(detail->roots[i].reason);
    }
    free(detail->roots);
    free(detail);
    return NULL;
}

/* snapshot_root_state_name() - as /watcher/status and /metrics have it */
const char *snapshot_root_state_name(SnapshotRootState state)
{
    static const char *const names[SNAPSHOT_ROOT_STATES] = {
        [SNAPSHOT_ROOT_ONLINE] = "online", [SNAPSHOT_ROOT_SCANNING] = "scanning",
        [SNAPSHOT_ROOT_POLLED] = "polled", [SNAPSHOT_ROOT_OFFLINE] = "offline",
        [SNAPSHOT_ROOT_HUNG] = "hung",
    };

    return names[state];
}
