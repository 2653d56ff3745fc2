#pragma once
/* The thread that starts programs, with a table of descriptors of its own. */

#include <sys/types.h>

/* Starts the thread, once: before anything is open that could hang. 0 or a negative errno. */
int spawner_init(void);
/*
 * Runs path with argv; fd, if it is not -1, becomes its descriptor 3. The process id (of a child of
 * this process) or a negative errno. The thread of the loop only.
 */
pid_t spawner_spawn(const char *path, char *const argv[], int fd);
