/*
 * Timers: a binary heap of deadlines and one timerfd(2) on CLOCK_BOOTTIME, so that a deadline that
 * passes while the machine sleeps fires at wake-up.
 *
 * The timerfd is set only when a deadline comes that is earlier than the one it waits for. A later
 * one lets it fire early, which costs an empty round but spares a system call for each of the many
 * timers that are moved or disarmed before they are due.
 */

#include "loop/timer.h"

#include <sys/timerfd.h>

#include "util/array.h"
#include "util/clock.h"
#include "util/error.h"

struct Timers {
    LoopSource source;
    int fd;
    uint64_t set_for; /* the deadline the timerfd waits for; UINT64_MAX = none */
    Timer **heap;     /* heap[0] is the earliest */
    size_t n_heap;
    size_t capacity;
};

static void timers_place(Timers *timers, size_t at, Timer *timer)
{
    timers->heap[at] = timer;
    timer->index = at + 1;
}

static void timers_sift_up(Timers *timers, size_t at)
{
    Timer *timer = timers->heap[at];

    while (at > 0 && timers->heap[(at - 1) / 2]->due > timer->due) {
        timers_place(timers, at, timers->heap[(at - 1) / 2]);
        at = (at - 1) / 2;
    }
    timers_place(timers, at, timer);
}

static void timers_sift_down(Timers *timers, size_t at)
{
    Timer *timer = timers->heap[at];

    for (;;) {
        size_t child = at * 2 + 1;

        if (child + 1 < timers->n_heap && timers->heap[child + 1]->due < timers->heap[child]->due)
            child++;
        if (child >= timers->n_heap || timers->heap[child]->due >= timer->due)
            break;
        timers_place(timers, at, timers->heap[child]);
        at = child;
    }
    timers_place(timers, at, timer);
}

/* Moves the timer at that place to where its due belongs. */
static void timers_settle(Timers *timers, size_t at)
{
    if (at > 0 && timers->heap[(at - 1) / 2]->due > timers->heap[at]->due)
        timers_sift_up(timers, at);
    else
        timers_sift_down(timers, at);
}

/* Sets the timerfd for the earliest deadline, unless it already wakes up in time for it. */
static int timers_set(Timers *timers)
{
    struct itimerspec when = {0};
    uint64_t due;

    if (timers->n_heap == 0 || timers->heap[0]->due >= timers->set_for)
        return 0;
    due = timers->heap[0]->due;
    when.it_value.tv_sec = (time_t)(due / CLOCK_US_PER_SEC);
    when.it_value.tv_nsec = (long)(due % CLOCK_US_PER_SEC * 1000);
    if (due == 0)
        when.it_value.tv_nsec = 1; /* zero would disarm it */
    if (timerfd_settime(timers->fd, TFD_TIMER_ABSTIME, &when, NULL) < 0)
        return error_errno();
    timers->set_for = due;
    return 0;
}

/*
 * Fires what is due. Not more than were armed at the start: a timer that arms itself for now again
 * waits for the next round like everybody else.
 */
static void timers_dispatch(LoopSource *source, uint32_t events UNUSED)
{
    Timers *timers = CONTAINER_OF(source, Timers, source);
    uint64_t now = clock_now(), expirations;

    (void)!read(timers->fd, &expirations, sizeof(expirations));
    timers->set_for = UINT64_MAX;
    for (size_t n = timers->n_heap; n > 0 && timers->n_heap > 0 && timers->heap[0]->due <= now;
         n--) {
        Timer *timer = timers->heap[0];

        timer_disarm(timer);
        timer->fire(timer);
    }
    (void)timers_set(timers); /* cannot fail with these arguments: timerfd_settime(2) */
}

/* timers_create() - make the timers of a loop; 0 or a negative errno */
int timers_create(Loop *loop, Timers **ret_timers)
{
    CLEANUP_FREE Timers *timers = calloc(1, sizeof(*timers));
    int r;

    if (!timers)
        return error_trace(-ENOMEM);
    timers->set_for = UINT64_MAX;
    timers->fd = timerfd_create(CLOCK_BOOTTIME, TFD_NONBLOCK | TFD_CLOEXEC);
    if (timers->fd < 0)
        return error_errno();
    r = loop_add(loop, &timers->source, timers->fd, EPOLLIN, timers_dispatch);
    if (r < 0) {
        (void)close(timers->fd);
        return error_trace(r);
    }
    *ret_timers = STEAL_PTR(timers);
    return 0;
}

/* timers_free() - free them; timers that are still armed never fire. Accepts NULL. */
Timers *timers_free(Timers *timers)
{
    if (!timers)
        return NULL;
    for (size_t i = 0; i < timers->n_heap; i++)
        timers->heap[i]->index = 0;
    loop_remove(&timers->source);
    (void)close(timers->fd);
    free(timers->heap);
    free(timers);
    return NULL;
}

/* timer_init() - prepare a timer, which the owner keeps; fire is called once for each arming */
void timer_init(Timer *timer, Timers *timers, void (*fire)(Timer *timer))
{
    *timer = (Timer){.timers = timers, .fire = fire};
}

/*
 * timer_arm_at() - fire at a time, in the loop's thread
 * @due: microseconds of clock_now(); one in the past fires in the next round
 *
 * Return: 0, or -ENOMEM, and then the timer is as it was.
 */
int timer_arm_at(Timer *timer, uint64_t due)
{
    Timers *timers = timer->timers;

    if (!timer_is_armed(timer)) {
        if (ARRAY_RESERVE(timers->heap, timers->capacity, timers->n_heap + 1) < 0)
            return error_trace(-ENOMEM);
        timers_place(timers, timers->n_heap++, timer);
    }
    timer->due = due;
    timers_settle(timers, timer->index - 1);
    return timers_set(timers);
}

/* timer_arm_in() - fire after delay_us microseconds; see timer_arm_at() */
int timer_arm_in(Timer *timer, uint64_t delay_us)
{
    uint64_t due;

    /* The far end is what a timerfd's signed seconds hold, some 292,000 years from now. */
    if (__builtin_add_overflow(clock_now(), delay_us, &due) || due > INT64_MAX)
        due = INT64_MAX;
    return timer_arm_at(timer, due);
}

/* timer_disarm() - it does not fire; one that is not armed is left alone */
void timer_disarm(Timer *timer)
{
    Timers *timers = timer->timers;
    size_t at = timer->index - 1;
    Timer *last;

    if (!timer_is_armed(timer))
        return;
    timer->index = 0;
    last = timers->heap[--timers->n_heap];
    if (last == timer)
        return;
    timers_place(timers, at, last);
    timers_settle(timers, at);
}

/* timer_is_armed() - will it fire? */
bool timer_is_armed(const Timer *timer)
{
    return timer->index > 0;
}
