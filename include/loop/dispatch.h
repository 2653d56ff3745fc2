#pragma once
/*
 * The event loop: epoll(7), level-triggered. A source is embedded in its owner, which is recovered
 * with CONTAINER_OF; there is no user data pointer. A round first takes the ready list away, serves
 * the sources marked first (the inotify descriptor: "drain first"), then the others, then runs the
 * hooks that hand on batched work, then sleeps. A source may be removed at any time, also by
 * another source's callback of the same round.
 */

#include <stdbool.h>
#include <stdint.h>
#include <sys/epoll.h>

#include "util/cleanup.h"
#include "util/histogram.h"
#include "util/list.h"

typedef struct Loop Loop;
typedef struct LoopSource LoopSource;
typedef struct LoopHook LoopHook;

struct LoopSource {
    Loop *loop; /* NULL while not registered */
    int fd;     /* borrowed */
    uint32_t ready;
    bool first; /* served before all others in a round */
    void (*dispatch)(LoopSource *source, uint32_t events);
    ListNode link; /* Loop.sources */
};

/* Called at the end of each round, before the loop sleeps. */
struct LoopHook {
    void (*run)(LoopHook *hook);
    ListNode link; /* Loop.hooks */
};

int loop_create(Loop **ret_loop);
Loop *loop_free(Loop *loop); /* asserts that nothing is left registered */
CLEANUP_DEFINE(Loop *, loop_free)

int loop_add(Loop *loop, LoopSource *source, int fd, uint32_t events,
             void (*dispatch)(LoopSource *, uint32_t));
int loop_modify(LoopSource *source, uint32_t events);
void loop_remove(LoopSource *source); /* one that is not registered is left alone */

void loop_hook_add(Loop *loop, LoopHook *hook, void (*run)(LoopHook *));
void loop_hook_remove(LoopHook *hook);

int loop_run(Loop *loop); /* until loop_exit(); returns its code, or a negative errno */
int loop_run_once(Loop *loop, int timeout_ms);
void loop_exit(Loop *loop, int code);

/* The longest time between waking up and going to sleep again, microseconds. */
uint64_t loop_stall_max(const Loop *loop);
const Histogram *loop_rounds(const Loop *loop);
