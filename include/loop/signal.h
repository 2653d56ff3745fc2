#pragma once
/* Signals as a loop source (signalfd). Block them before any thread is started. */

#include <signal.h>

#include "loop/dispatch.h"

typedef struct SignalSource SignalSource;

struct SignalSource {
    LoopSource source;
    int fd;
    void (*received)(SignalSource *source, int signo);
};

/* Blocks SIGTERM, SIGINT, SIGHUP, SIGPIPE (ignored) in the calling thread; threads inherit it. */
int signal_block(void);
int signal_source_init(SignalSource *source, Loop *loop,
                       void (*received)(SignalSource *, int signo));
void signal_source_done(SignalSource *source);
