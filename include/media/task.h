#pragma once
/* One job of a worker: a file that somebody else opened, read to the end. */

#include "media/protocol.h"

/* sidecar_fd may be -1. *ret_thumbnail is a sealed memfd, or -1. Both descriptors stay the
 * caller's. */
void task_run(const JobMessage *job, int fd, int sidecar_fd, MediaAnswer *ret_answer,
              int *ret_thumbnail);
