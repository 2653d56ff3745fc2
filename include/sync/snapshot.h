#pragma once
/*
 * What the HTTP threads may see of the engine: an immutable, counted copy, published by the loop.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "util/cleanup.h"

typedef struct SnapshotFolder {
    const char *id; /* in SnapshotFolders.strings */
    const char *path;
} SnapshotFolder;

/* The list changes rarely and is shared by many snapshots. */
typedef struct SnapshotFolders {
    unsigned refs;         /* atomic */
    SnapshotFolder *items; /* folders being watched, ordered by path */
    size_t count;
    char *strings; /* of all items, in one piece: there may be 100,000 */
    size_t used, size;
} SnapshotFolders;

/* How a root is. */
typedef enum SnapshotRootState {
    SNAPSHOT_ROOT_ONLINE,
    SNAPSHOT_ROOT_SCANNING,
    SNAPSHOT_ROOT_POLLED, /* looked at every now and then, since not every change sends an event */
    SNAPSHOT_ROOT_OFFLINE,
    SNAPSHOT_ROOT_HUNG, /* its volume does not answer */
    SNAPSHOT_ROOT_STATES,
} SnapshotRootState;

typedef struct SnapshotRoot {
    char *path;
    SnapshotRootState state;
    char *reason; /* for people; NULL where the state says all */
} SnapshotRoot;

/* All of one width, so that two of them can be compared with memcmp(3). */
typedef struct SnapshotNumbers {
    uint64_t scans;   /* under way */
    uint64_t scanned; /* folders looked at since they began */
    uint64_t pending; /* changes */
    uint64_t watches, watch_limit, watch_budget;
    uint64_t polled;     /* folders */
    uint64_t problems;   /* files that are skipped */
    uint64_t reconciled; /* when all roots had last been compared, seconds since 1970; 0 = never */
    uint64_t reconcile_us;
} SnapshotNumbers;

/* The detail of GET /watcher/status. It changes more often than the rest and is shared likewise. */
typedef struct SnapshotDetail {
    unsigned refs; /* atomic */
    SnapshotRoot *roots;
    size_t n_roots;
    SnapshotNumbers numbers;
} SnapshotDetail;

typedef struct Snapshot {
    unsigned refs; /* atomic */
    bool database_connected;
    bool watcher_running;
    long thread_id; /* gettid() of the loop; 0 = none */
    SnapshotFolders *folders;
    SnapshotDetail *detail;
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
/* An empty list for at most so many folders, whose strings are so long in all, zeros included. */
int snapshot_folders_new(size_t count, size_t size, SnapshotFolders **ret_folders);
void snapshot_folders_add(SnapshotFolders *folders, const char *id, const char *path);
SnapshotFolders *snapshot_folders_ref(SnapshotFolders *folders);
SnapshotFolders *snapshot_folders_unref(SnapshotFolders *folders);

int snapshot_detail_new(size_t n_roots, SnapshotDetail **ret_detail);
SnapshotDetail *snapshot_detail_ref(SnapshotDetail *detail);
SnapshotDetail *snapshot_detail_unref(SnapshotDetail *detail);
CLEANUP_DEFINE(SnapshotDetail *, snapshot_detail_unref)
const char *snapshot_root_state_name(SnapshotRootState state);
