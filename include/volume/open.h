#pragma once
/* Opening a photo or video, with its Takeout sidecar, on its volume's thread. */

#include "loop/worker.h"
#include "volume/directory.h"

typedef struct OpenJob {
    WorkerJob job;
    char *directory;   /* owned */
    uint64_t dev, ino; /* of the directory */
    bool follow;
    char *name; /* owned */
    /* the answer */
    int error;      /* positive errno; ESTALE: another directory, or not a regular file */
    int fd;         /* the asker takes it */
    int sidecar_fd; /* likewise; -1 when there is none */
} OpenJob;

void open_job_init(OpenJob *open, void (*done)(WorkerJob *));
void open_job_done(OpenJob *open); /* closes what was not taken */
