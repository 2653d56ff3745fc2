#include "volume/probe.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "util/array.h"
#include "util/cleanup.h"
#include "util/error.h"

/*
 * A name that is absent proves nothing unless the directory is the very one that the daemon
 * watches: a drive that was unmounted leaves an empty directory behind.
 */
static void probe_directory(ProbeDirectory *directory)
{
    CLEANUP_CLOSE int fd = directory_open(directory->path, directory->follow);
    struct stat st;

    if (fd < 0 || fstat(fd, &st) < 0) {
        directory->error = fd < 0 ? -fd : errno;
        directory->result = fd == -ENOENT || fd == -ENOTDIR || fd == -ELOOP ? PROBE_RESULT_MISSING
                                                                            : PROBE_RESULT_ERROR;
        return;
    }
    if (directory->ino != 0 && (st.st_dev != directory->dev || st.st_ino != directory->ino)) {
        directory->result = PROBE_RESULT_MISSING;
        return;
    }
    directory->result = PROBE_RESULT_OK;
    directory->mtime = directory_mtime(&st);
    for (size_t i = 0; i < directory->n_names; i++) {
        ProbeName *name = &directory->names[i];

        if (name->name[0] != '\0')
            directory_probe(fd, name->name, &name->entry);
        else
            name->entry = (Entry){.type = ENTRY_TYPE_DIRECTORY,
                                  .stamp = directory_stamp(&st),
                                  .mtime = directory_mtime(&st)};
    }
    /* Adding files while we looked moves the mtime on; take the later one. */
    if (fstat(fd, &st) == 0)
        directory->mtime = directory_mtime(&st);
}

static void probe_run(WorkerJob *job, void *context UNUSED)
{
    ProbeJob *probe = CONTAINER_OF(job, ProbeJob, job);

    for (size_t i = 0; i < probe->n_directories; i++)
        probe_directory(&probe->directories[i]);
}

/* probe_job_init() - an empty job; fill it, submit it, look at it in done() */
void probe_job_init(ProbeJob *probe, void (*done)(WorkerJob *))
{
    *probe = (ProbeJob){.job = {.priority = WORKER_PRIORITY_HIGH, .run = probe_run, .done = done}};
}

int probe_job_add_directory(ProbeJob *probe, const char *path, uint64_t dev, uint64_t ino,
                            ProbeDirectory **ret_directory)
{
    int r = ARRAY_RESERVE(probe->directories, probe->capacity, probe->n_directories + 1);
    ProbeDirectory *directory;

    if (r < 0)
        return error_trace(r);
    directory = &probe->directories[probe->n_directories];
    *directory = (ProbeDirectory){.path = strdup(path), .dev = dev, .ino = ino};
    if (!directory->path)
        return error_trace(-ENOMEM);
    probe->n_directories++;
    *ret_directory = directory;
    return 0;
}

int probe_directory_add(ProbeDirectory *directory, const char *name, void *owner)
{
    int r = ARRAY_RESERVE(directory->names, directory->names_capacity, directory->n_names + 1);
    char *copy;

    if (r < 0)
        return error_trace(r);
    copy = strdup(name);
    if (!copy)
        return error_trace(-ENOMEM);
    directory->names[directory->n_names++] = (ProbeName){.name = copy, .owner = owner};
    return 0;
}

void probe_job_done(ProbeJob *probe)
{
    for (size_t i = 0; i < probe->n_directories; i++) {
        ProbeDirectory *directory = &probe->directories[i];

        for (size_t k = 0; k < directory->n_names; k++)
            free(directory->names[k].name);
        free(directory->names);
        free(directory->path);
    }
    free(probe->directories);
    probe->directories = NULL;
    probe->n_directories = probe->capacity = 0;
}
