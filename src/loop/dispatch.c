/*
 * The event loop. One round:
 *
 *   sleep in epoll_wait(2) ─▶ take the whole ready list ─▶ sources marked first ─▶ the others ─▶
 * hooks
 *
 * The ready list is an array of the loop with a place for every registered source, so nothing that
 * is ready is left for a later round, and every source is served once a round: a busy one cannot
 * starve the rest. Removing a source wipes its entry; after that the round does not touch it again,
 * so it may be freed at once by anybody.
 */

#include "loop/dispatch.h"

#include <assert.h>
#include <time.h>

#include "util/array.h"
#include "util/clock.h"
#include "util/error.h"

struct Loop {
    int epoll;
    List sources; /* LoopSource.link */
    List hooks;   /* LoopHook.link */
    size_t n_sources;
    struct epoll_event *ready; /* data.ptr: LoopSource, NULL when served or removed */
    size_t ready_capacity;
    size_t n_ready; /* of the round that is running */
    bool dispatching;
    bool exiting;
    int exit_code;
    Histogram rounds; /* µs between waking up and going to sleep again */
};

/* Microseconds for the stall: a suspend in the middle of a round is not the round's fault. */
static uint64_t loop_clock(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * CLOCK_US_PER_SEC + (uint64_t)now.tv_nsec / 1000;
}

/* loop_create() - make a loop; 0, or a negative errno of epoll_create1(2) or -ENOMEM */
int loop_create(Loop **ret_loop)
{
    CLEANUP_FREE Loop *loop = calloc(1, sizeof(*loop));

    if (!loop || ARRAY_RESERVE(loop->ready, loop->ready_capacity, 1) < 0)
        return error_trace(-ENOMEM);
    list_init(&loop->sources);
    list_init(&loop->hooks);
    loop->rounds.bounds = histogram_times;
    loop->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (loop->epoll < 0) {
        int r = error_errno();

        free(loop->ready);
        return r;
    }
    *ret_loop = STEAL_PTR(loop);
    return 0;
}

/* loop_free() - free a loop from which all sources and hooks have been removed; accepts NULL */
Loop *loop_free(Loop *loop)
{
    if (!loop)
        return NULL;
    assert(!loop->dispatching);
    assert(list_is_empty(&loop->sources));
    assert(list_is_empty(&loop->hooks));
    (void)close(loop->epoll);
    free(loop->ready);
    free(loop);
    return NULL;
}

/*
 * loop_add() - register a source
 * @source: embedded in its owner, not registered; first is kept as it is, so that the owner may set
 *          it before or after
 * @fd: borrowed; remove the source before closing it, or a duplicate of it would keep it alive in
 *      the kernel's list (epoll(7), question 6)
 * @events: EPOLLIN and so on; EPOLLERR and EPOLLHUP always come
 * @dispatch: called with the events, at most once a round
 *
 * The loop's thread only, as everything here.
 *
 * Return: 0, -ENOMEM or a negative errno of epoll_ctl(2).
 */
int loop_add(Loop *loop, LoopSource *source, int fd, uint32_t events,
             void (*dispatch)(LoopSource *, uint32_t))
{
    struct epoll_event event = {.events = events, .data.ptr = source};

    assert(!source->loop);
    if (ARRAY_RESERVE(loop->ready, loop->ready_capacity, loop->n_sources + 1) < 0)
        return error_trace(-ENOMEM);
    if (epoll_ctl(loop->epoll, EPOLL_CTL_ADD, fd, &event) < 0)
        return error_errno();
    source->loop = loop;
    source->fd = fd;
    source->ready = 0;
    source->dispatch = dispatch;
    list_append(&loop->sources, &source->link);
    loop->n_sources++;
    return 0;
}

/* loop_modify() - wait for other events from now on; 0 or a negative errno of epoll_ctl(2) */
int loop_modify(LoopSource *source, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.ptr = source};

    if (epoll_ctl(source->loop->epoll, EPOLL_CTL_MOD, source->fd, &event) < 0)
        return error_errno();
    return 0;
}

/*
 * loop_remove() - unregister a source
 *
 * It is not dispatched again, not even in the round that is running, and its memory may go at once.
 * One that is not registered (zeroed, or removed before) is left alone.
 */
void loop_remove(LoopSource *source)
{
    Loop *loop = source->loop;

    if (!loop)
        return;
    for (size_t i = 0; i < loop->n_ready; i++)
        if (loop->ready[i].data.ptr == source)
            loop->ready[i].data.ptr = NULL;
    /* Fails when the descriptor was closed too early; then the kernel has forgotten it already. */
    (void)epoll_ctl(loop->epoll, EPOLL_CTL_DEL, source->fd, NULL);
    list_remove(&source->link);
    source->loop = NULL;
    source->ready = 0;
    loop->n_sources--;
}

/* loop_hook_add() - call run at the end of each round; one that is added by a hook runs in the
 * next round */
void loop_hook_add(Loop *loop, LoopHook *hook, void (*run)(LoopHook *hook))
{
    hook->run = run;
    list_append(&loop->hooks, &hook->link);
}

/* loop_hook_remove() - one that is not added (zeroed, or removed before) is left alone */
void loop_hook_remove(LoopHook *hook)
{
    list_remove(&hook->link);
}

static void loop_serve(Loop *loop, bool first)
{
    for (size_t i = 0; i < loop->n_ready; i++) {
        LoopSource *source = loop->ready[i].data.ptr;

        if (!source || (first && !source->first))
            continue;
        loop->ready[i].data.ptr = NULL;
        source->ready = 0;
        source->dispatch(source, loop->ready[i].events);
    }
}

/* Hooks move back one by one before they run, so any of them may remove itself or another. */
static void loop_run_hooks(Loop *loop)
{
    List waiting;
    ListNode *node;

    list_init(&waiting);
    list_splice(&waiting, &loop->hooks);
    while ((node = list_take(&waiting))) {
        LoopHook *hook = CONTAINER_OF(node, LoopHook, link);

        list_append(&loop->hooks, node);
        hook->run(hook);
    }
}

/*
 * loop_run_once() - one round
 * @timeout_ms: how long to wait for the first event; -1 = for ever, 0 = not at all
 *
 * Not from a callback of the loop. A signal ends the wait early, as a time-out does.
 *
 * Return: 0 or a negative errno of epoll_wait(2).
 */
int loop_run_once(Loop *loop, int timeout_ms)
{
    uint64_t woken;
    int n;

    assert(!loop->dispatching);
    n = epoll_wait(loop->epoll, loop->ready, (int)loop->ready_capacity, timeout_ms);
    woken = loop_clock();
    if (n < 0 && errno != EINTR)
        return error_errno();
    loop->n_ready = n < 0 ? 0 : (size_t)n;
    for (size_t i = 0; i < loop->n_ready; i++)
        ((LoopSource *)loop->ready[i].data.ptr)->ready = loop->ready[i].events;
    loop->dispatching = true;
    loop_serve(loop, true);
    loop_serve(loop, false);
    loop->n_ready = 0;
    loop_run_hooks(loop);
    loop->dispatching = false;
    histogram_add(&loop->rounds, loop_clock() - woken);
    return 0;
}

/*
 * loop_run() - run rounds until loop_exit()
 *
 * Hooks run once before the first sleep too: what was set up before may have left work to them.
 *
 * Return: the code given to loop_exit(), or a negative errno when the loop cannot wait any more.
 */
int loop_run(Loop *loop)
{
    loop_run_hooks(loop);
    while (!loop->exiting) {
        int r = loop_run_once(loop, -1);

        if (r < 0)
            return error_trace(r);
    }
    loop->exiting = false;
    return loop->exit_code;
}

/* loop_exit() - make loop_run() return code at the end of this round; the last call wins */
void loop_exit(Loop *loop, int code)
{
    loop->exiting = true;
    loop->exit_code = code;
}

/* loop_stall_max() - the longest round so far, microseconds without the sleep */
uint64_t loop_stall_max(const Loop *loop)
{
    return loop->rounds.max;
}

/* loop_rounds() - how long the rounds so far took, microseconds without the sleep */
const Histogram *loop_rounds(const Loop *loop)
{
    return &loop->rounds;
}
