#pragma once
/* Child processes: started with exactly the descriptors they need, watched through a pidfd. */

#include <sys/types.h>

#include "loop/dispatch.h"

typedef struct Child Child;

struct Child {
    LoopSource source;
    pid_t pid; /* 0 while not running */
    int pidfd;
    void (*exited)(Child *child, int status); /* wait status, as of waitpid(2) */
};

/* Runs argv[0] with fd as its descriptor 3; descriptors 0 and 1 are /dev/null, 2 is inherited,
 * all others are closed. Signals are unblocked, the child dies with its parent (PR_SET_PDEATHSIG).
 */
int child_spawn(Child *child, Loop *loop, const char *path, char *const argv[], int fd,
                void (*exited)(Child *, int));
void child_kill(Child *child); /* SIGKILL; exited() still comes */
void child_done(Child *child); /* kills, reaps, unregisters; exited() does not come */
