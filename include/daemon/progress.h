#pragma once
/* Shows how far the daemon is: to the service manager, and on a terminal. */

#include "sync/engine.h"
#include "util/clock.h"
#include "util/text.h"

#define PROGRESS_INTERVAL (200 * CLOCK_US_PER_MS) /* between two lines, or two bars */

typedef struct ProgressView {
    bool terminal;  /* standard error is one: draw a bar */
    bool drawn;     /* a bar stands on the present line */
    uint64_t begun; /* µs, of the present import; 0 = none */
    uint64_t total; /* photos of the present import */
    uint64_t shown; /* µs, when the bar was last drawn */
    uint64_t told;  /* µs, when the service manager last heard a line; 0 = never */
} ProgressView;

void progress_init(ProgressView *view);
void progress_line(const ProgressView *view, const EngineProgress *progress, uint64_t now,
                   Text *out);
/* False: too early, to be called again after PROGRESS_INTERVAL. */
bool progress_show(ProgressView *view, const EngineProgress *progress);
void progress_clear(ProgressView *view); /* takes the bar away, before other output */
