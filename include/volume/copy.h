#pragma once
/* A file as a copy in memory, which whoever gets it can read without ever waiting for the volume.
 */

#include <stdint.h>

#include "loop/worker.h"
#include "util/file_stamp.h"

#define COPY_E_CHANGED 1 /* the file changed meanwhile */

/* In a job on the volume's thread. 0, COPY_E_CHANGED or a negative errno; the caller closes
 * *ret_copy. */
int copy_to_memory(WorkerJob *job, int fd, uint64_t size_max, FileStamp *ret_stamp, int *ret_copy);
