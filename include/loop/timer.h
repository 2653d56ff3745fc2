#pragma once
/* Timers of the loop: one timerfd for all (CLOCK_BOOTTIME), a binary heap of deadlines. */

#include <stddef.h>
#include <stdint.h>

#include "loop/dispatch.h"

typedef struct Timers Timers;
typedef struct Timer Timer;

struct Timer {
    Timers *timers;
    uint64_t due; /* clock_now() microseconds */
    size_t index; /* place in the heap + 1; 0 = not armed */
    void (*fire)(Timer *timer);
};

int timers_create(Loop *loop, Timers **ret_timers);
Timers *timers_free(Timers *timers); /* disarms what is left */
CLEANUP_DEFINE(Timers *, timers_free)

void timer_init(Timer *timer, Timers *timers, void (*fire)(Timer *));
int timer_arm_at(Timer *timer, uint64_t due); /* replaces an earlier deadline */
int timer_arm_in(Timer *timer, uint64_t delay_us);
void timer_disarm(Timer *timer);
bool timer_is_armed(const Timer *timer);
