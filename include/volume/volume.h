#pragma once
/* The mounted file systems that hold roots, each with a thread of its own. */

#include "loop/mailbox.h"
#include "loop/worker.h"
#include "util/list.h"
#include "volume/mounts.h"

typedef struct Volume {
    ListNode link; /* Volumes.list */
    char *device;  /* "major:minor" */
    Worker *worker;
    bool busy; /* a round of probes is under way; the engine's */
} Volume;

typedef struct Volumes {
    List list; /* Volume.link */
    Mailbox *mailbox;
    unsigned n_started;
} Volumes;

void volumes_init(Volumes *volumes, Mailbox *mailbox);
/* Stops all threads and waits for each at most timeout_us; returns how many were left behind. */
unsigned volumes_done(Volumes *volumes, uint64_t timeout_us);
/* The volume that a path is on, by the mount table; started when it is new. */
int volumes_get(Volumes *volumes, const char *path, Volume **ret_volume);
