#pragma once
/*
 * What the HTTP threads may see of the engine: an immutable, counted copy, published by the loop.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "util/cleanup.h"

typedef struct SnapshotFolder {
    char *id;
    char *path;
} SnapshotFolder;

/* The list changes rarely and is shared by many snapshots. */
typedef struct SnapshotFolders {
    unsigned refs;         /* atomic */
    SnapshotFolder *items; /* folders being watched, ordered by path */
    size_t count;
} SnapshotFolders;

typedef struct Snapshot {
    unsigned refs; /* atomic */
    bool database_connected;
    bool watcher_running;
    long thread_id; /* gettid() of the loop; 0 = none */
    SnapshotFolders *folders;
    char *status; /* one line for people: what is going on */
} Snapshot;

typedef struct SnapshotBox SnapshotBox; /* the one place with a lock */

int snapshot_box_create(SnapshotBox **ret_box);
SnapshotBox *snapshot_box_free(SnapshotBox *box);
CLEANUP_DEFINE(SnapshotBox *, snapshot_box_free)
/* Takes over the caller's reference. Loop thread. */
void snapshot_box_publish(SnapshotBox *box, Snapshot *snapshot);
Snapshot *snapshot_box_acquire(SnapshotBox *box); /* any thread; NULL before the first */

int snapshot_new(Snapshot **ret_snapshot);
Snapshot *snapshot_unref(Snapshot *snapshot);
CLEANUP_DEFINE(Snapshot *, snapshot_unref)
int snapshot_folders_new(size_t count, SnapshotFolders **ret_folders);
SnapshotFolders *snapshot_folders_ref(SnapshotFolders *folders);
SnapshotFolders *snapshot_folders_unref(SnapshotFolders *folders);
