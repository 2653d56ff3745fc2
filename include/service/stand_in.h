#pragma once
/* A main process for the service manager while ours may not be able to end: see the source. */

#include <sys/types.h>

#include "loop/dispatch.h"

typedef struct StandIn {
    LoopSource source;
    int socket;    /* to the stand-in; -1 = none */
    pid_t starter; /* to be waited for; 0 = none */
} StandIn;

/* Once is enough; without a service manager nothing happens. */
void stand_in_start(StandIn *stand_in, Loop *loop, const char *program);
void stand_in_done(StandIn *stand_in, int code); /* it ends with this code in our place */

int stand_in_main(int socket, pid_t daemon); /* the other process; its exit status */
