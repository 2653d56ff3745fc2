#pragma once
/* The mounted file systems that hold photos, each with a thread of its own. */

#include "loop/mailbox.h"
#include "loop/worker.h"
#include "util/list.h"
#include "volume/mounts.h"
#include "volume/sidecars.h"

typedef struct Volume {
    ListNode link;     /* Volumes.list */
    char *device;      /* "major:minor"; NULL: not known yet, the volume of one user only */
    char *type;        /* of the file system; NULL with device */
    MountKind kind;    /* REMOTE: polled as well as watched */
    Worker *worker;    /* NULL after volumes_stop(), and of a private one that has to wait */
    WorkerJob *first;  /* of one that waits: the job that its thread will begin with */
    ListNode waiting;  /* Volumes.waiting */
    Sidecars sidecars; /* its thread's */
    unsigned users;    /* places on it; without any it is ended by volumes_reap() */
    /* the engine's: */
    bool busy;         /* a round of probes is under way */
    bool ahead;        /* a look ahead is under way */
    bool hung;         /* its thread has not come back for long: nothing waits for it */
    List ready;        /* Change.link: due, and waiting for the round under way to end */
    List media_queue;  /* MediaTask.link: files that wait to be opened */
    unsigned n_media;  /* files being opened or decoded, */
    uint64_t n_bytes;  /* and all their bytes */
    bool media_copied; /* its file system turned out to be one of which copies are made */
} Volume;

typedef struct Volumes {
    List list;    /* Volume.link */
    List waiting; /* Volume.waiting: private ones without a thread, in their order */
    Mailbox *mailbox;
    bool stopped;
} Volumes;

void volumes_init(Volumes *volumes, Mailbox *mailbox);
/* Stops all threads and waits at most timeout_us for all; returns how many were left behind. */
unsigned volumes_stop(Volumes *volumes, uint64_t timeout_us);
void volumes_done(Volumes *volumes); /* after that */

/* The volume of a mount (NULL: of a path that is on none), with one user more; started when it is
 * new. */
int volumes_get(Volumes *volumes, const Mount *mount, Volume **ret_volume);
/* One with a thread of its own, for looking at what is not known yet. */
int volumes_get_private(Volumes *volumes, Volume **ret_volume);
/* Gives a job to a volume's thread; a private one's first job waits for volumes_start(). */
void volume_run(Volumes *volumes, Volume *volume, WorkerJob *job);
/* Starts threads of private ones that wait; true: not all of them, to be called again soon. */
bool volumes_start(Volumes *volumes);
Volume *volume_use(Volume *volume);     /* one user more; returns it */
Volume *volume_release(Volume *volume); /* one user less; returns NULL */
/* Ends those without users whose thread is at rest. Not from a job's done(). */
void volumes_reap(Volumes *volumes);
