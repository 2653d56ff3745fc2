#pragma once
/* Opening a photo or video, with its Takeout sidecar, on its volume's thread. */

#include "loop/worker.h"
#include "volume/directory.h"

typedef struct OpenJob {
    WorkerJob job;
    char *directory;   /* owned */
    uint64_t dev, ino; /* of the directory */
    bool follow;
    char *name;        /* owned */
    bool copy;         /* of a file on a remote file system a copy is wanted … */
    uint64_t copy_max; /* … which is empty when the file is larger (bytes) */
    /* the answer */
    int error;      /* positive errno; ESTALE: another directory, or not a regular file */
    bool changed;   /* error is set as well: the file changed while it was copied */
    int fd;         /* the asker takes it */
    int sidecar_fd; /* likewise; -1 when there is none; reading it never hangs */
    bool remote;    /* fd may hang whoever reads or closes it: see close_job_submit() */
    bool copied;    /* fd is a sealed memfd, copied from the file when it was in the state … */
    FileStamp stamp;
} OpenJob;

void open_job_init(OpenJob *open, void (*done)(WorkerJob *));
/* Closes what was not taken; a remote descriptor on the volume's thread. */
void open_job_done(OpenJob *open, Worker *worker);
/* Has the volume's thread close a descriptor. */
void close_job_submit(Worker *worker, int fd);
