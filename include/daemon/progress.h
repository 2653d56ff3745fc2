#pragma once
/* Shows how far the daemon is: to the service manager, and on a terminal. */

#include "sync/engine.h"

typedef struct ProgressView {
    bool terminal;  /* standard error is one: draw a bar */
    bool drawn;     /* a bar stands on the present line */
    uint64_t begun; /* µs, of the present import; 0 = none */
    uint64_t total; /* photos of the present import */
    uint64_t shown; /* µs, when the bar was last drawn */
} ProgressView;

void progress_init(ProgressView *view);
void progress_show(ProgressView *view, const EngineProgress *progress);
void progress_clear(ProgressView *view); /* takes the bar away, before other output */
