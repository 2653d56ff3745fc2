#pragma once
/* The table of mounted file systems, from /proc/self/mountinfo (proc(5)). Immutable and counted:
 * the loop and volume threads share it. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "loop/dispatch.h"

typedef enum MountKind {
    MOUNT_KIND_LOCAL,  /* inotify sees every change */
    MOUNT_KIND_REMOTE, /* others may change it unseen, and it may stop answering: NFS, FUSE, … */
    MOUNT_KIND_PSEUDO, /* proc, sysfs, cgroup and the like: no photos */
} MountKind;

typedef struct Mount {
    int id;        /* unique while it is mounted */
    char *point;   /* where it is mounted */
    char *device;  /* "major:minor" */
    char *type;    /* "ext4", … */
    uint64_t part; /* tells parts of one file system apart (bind mounts); 0: all of it */
    MountKind kind;
} Mount;

typedef struct MountTable {
    unsigned refs; /* atomic */
    Mount *items;  /* by point (memcmp), at one point in mount order: the last covers the others */
    size_t count, capacity;
} MountTable;

int mount_table_parse(const char *text, MountTable **ret_table);
int mount_table_read(MountTable **ret_table);
MountTable *mount_table_ref(MountTable *table);
MountTable *mount_table_unref(MountTable *table);

const Mount *mount_table_find(const MountTable *table, const char *path); /* it is on; or NULL */
const Mount *mount_table_at(const MountTable *table, const char *path); /* mounted there; or NULL */
/* Is anything mounted below path, not counting what is mounted at it? */
bool mount_table_has_below(const MountTable *table, const char *path);
/* Calls changed() with each mount point at which something else is on top in the other table. */
void mount_table_compare(const MountTable *old, const MountTable *new,
                         void (*changed)(void *context, const char *point), void *context);

/* Tells the loop that something was mounted or unmounted. */
typedef struct MountWatch {
    LoopSource source;
    int fd;
    void (*changed)(struct MountWatch *watch);
} MountWatch;

int mount_watch_init(MountWatch *watch, Loop *loop, void (*changed)(MountWatch *watch));
void mount_watch_done(MountWatch *watch);
