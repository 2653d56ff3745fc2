#pragma once
/* The table of mounted file systems, from /proc/self/mountinfo (proc(5)). */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "loop/dispatch.h"

typedef struct Mount {
    int id;
    char *point;  /* where it is mounted */
    char *device; /* "major:minor" */
    char *type;   /* "ext4", … */
} Mount;

typedef struct Mounts {
    Mount *items; /* in mount order: a later one may cover an earlier one */
    size_t count;
    size_t capacity;
} Mounts;

int mounts_parse(const char *text, Mounts *ret_mounts);
int mounts_read(Mounts *ret_mounts);
void mounts_done(Mounts *mounts);
const Mount *mounts_find(const Mounts *mounts, const char *path); /* NULL when there is none */

/* Tells the loop that something was mounted or unmounted. */
typedef struct MountWatch {
    LoopSource source;
    int fd;
    void (*changed)(struct MountWatch *watch);
} MountWatch;

int mount_watch_init(MountWatch *watch, Loop *loop, void (*changed)(MountWatch *));
void mount_watch_done(MountWatch *watch);
