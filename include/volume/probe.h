#pragma once
/* Looking at single names on a volume's thread. */

#include "loop/worker.h"
#include "volume/directory.h"

/* One directory with the names to look at. */
typedef enum ProbeResult {
    PROBE_RESULT_OK,
    PROBE_RESULT_MISSING, /* not there, or another directory in its place */
    PROBE_RESULT_ERROR,   /* error says which */
} ProbeResult;

typedef struct ProbeName {
    char *name;  /* owned; "" is the directory itself */
    void *owner; /* the asker's */
    Entry entry; /* the answer, when the directory was OK */
} ProbeName;

typedef struct ProbeDirectory {
    char *path;   /* owned */
    uint64_t dev; /* what the directory must be; ino 0: whatever is there */
    uint64_t ino;
    bool follow;
    ProbeName *names;
    size_t n_names, names_capacity;
    ProbeResult result;
    int error;     /* positive errno */
    int64_t mtime; /* seconds */
    void *owner;
} ProbeDirectory;

typedef struct ProbeJob {
    WorkerJob job;
    ProbeDirectory *directories;
    size_t n_directories, capacity;
} ProbeJob;

void probe_job_init(ProbeJob *probe, void (*done)(WorkerJob *));
int probe_job_add_directory(ProbeJob *probe, const char *path, uint64_t dev, uint64_t ino,
                            ProbeDirectory **ret_directory); /* valid until the next call */
int probe_directory_add(ProbeDirectory *directory, const char *name, void *owner);
void probe_job_done(ProbeJob *probe); /* frees the contents */
