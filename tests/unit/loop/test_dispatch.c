/* The event loop: order, removal in the middle of a round, hooks, exit, the measured stall. */

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/time.h>
#include <unistd.h>

#include <cmocka.h>

#include "loop/dispatch.h"

#define N 40

typedef struct Probe {
    LoopSource source;
    int number;
    int fd;
    unsigned calls;
    void (*act)(struct Probe *probe); /* what it does when it is called */
} Probe;

static Loop *loop;
static Probe *probes[N];
static int order[N * 2];
static size_t n_order;

static void probe_dispatch(LoopSource *source, uint32_t events)
{
    Probe *probe = CONTAINER_OF(source, Probe, source);

    assert_int_equal(events, EPOLLIN);
    probe->calls++;
    if (n_order < N * 2)
        order[n_order++] = probe->number;
    if (probe->act)
        probe->act(probe);
}

static Probe *probe_new(int number)
{
    Probe *probe = calloc(1, sizeof(*probe));

    probe->number = number;
    probe->fd = eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK);
    assert_true(probe->fd >= 0);
    assert_int_equal(loop_add(loop, &probe->source, probe->fd, EPOLLIN, probe_dispatch), 0);
    return probe;
}

static void probe_free(int number)
{
    Probe *probe = probes[number];

    if (!probe)
        return;
    loop_remove(&probe->source);
    loop_remove(&probe->source); /* once more does nothing */
    (void)close(probe->fd);
    free(probe);
    probes[number] = NULL;
}

static int setup(void **state UNUSED)
{
    n_order = 0;
    return loop_create(&loop);
}

static int teardown(void **state UNUSED)
{
    for (int i = 0; i < N; i++)
        probe_free(i);
    loop = loop_free(loop);
    return 0;
}

static void test_all_in_one_round(void **state UNUSED)
{
    for (int i = 0; i < N; i++)
        probes[i] = probe_new(i);
    assert_int_equal(loop_run_once(loop, 0), 0);
    for (int i = 0; i < N; i++)
        assert_int_equal(probes[i]->calls, 1);
    assert_int_equal(loop_rounds(loop)->count, 1);
}

static void test_first_is_first(void **state UNUSED)
{
    for (int i = 0; i < N; i++)
        probes[i] = probe_new(i);
    probes[7]->source.first = true;
    probes[N - 1]->source.first = true;
    assert_int_equal(loop_run_once(loop, 0), 0);
    assert_int_equal(n_order, N);
    assert_int_equal(order[0] + order[1], 7 + N - 1);
}

static void free_all_others(Probe *probe)
{
    for (int i = 0; i < N; i++)
        if (i != probe->number)
            probe_free(i);
}

static void test_free_of_others_in_the_round(void **state UNUSED)
{
    for (int i = 0; i < N; i++) {
        probes[i] = probe_new(i);
        probes[i]->act = free_all_others;
    }
    assert_int_equal(loop_run_once(loop, 0), 0);
    assert_int_equal(n_order, 1); /* whoever came first freed the rest */
    assert_int_equal(loop_run_once(loop, 0), 0);
    assert_int_equal(n_order, 2);
}

static void free_self(Probe *probe)
{
    probe_free(probe->number);
}

static void test_free_of_itself(void **state UNUSED)
{
    probes[0] = probe_new(0);
    probes[0]->act = free_self;
    probes[1] = probe_new(1);
    assert_int_equal(loop_run_once(loop, 0), 0);
    assert_int_equal(n_order, 2);
    assert_null(probes[0]);
    assert_int_equal(loop_run_once(loop, 0), 0);
    assert_int_equal(n_order, 3);
}

/* A new source at the same place in memory must not get the old one's events. */
static void replace_second(Probe *probe UNUSED)
{
    Probe *second = probes[1];

    loop_remove(&second->source);
    (void)close(second->fd);
    second->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    assert_int_equal(loop_add(loop, &second->source, second->fd, EPOLLIN, probe_dispatch), 0);
}

static void test_replaced_in_the_round(void **state UNUSED)
{
    probes[0] = probe_new(0);
    probes[0]->source.first = true;
    probes[0]->act = replace_second;
    probes[1] = probe_new(1);
    assert_int_equal(loop_run_once(loop, 0), 0);
    assert_int_equal(probes[1]->calls, 0);
    assert_int_equal(eventfd_write(probes[1]->fd, 1), 0);
    probes[0]->act = NULL;
    assert_int_equal(loop_run_once(loop, 0), 0);
    assert_int_equal(probes[1]->calls, 1);
}

static void test_modify(void **state UNUSED)
{
    probes[0] = probe_new(0);
    assert_int_equal(loop_modify(&probes[0]->source, 0), 0);
    assert_int_equal(loop_run_once(loop, 0), 0);
    assert_int_equal(probes[0]->calls, 0);
    assert_int_equal(loop_modify(&probes[0]->source, EPOLLIN), 0);
    assert_int_equal(loop_run_once(loop, 0), 0);
    assert_int_equal(probes[0]->calls, 1);
}

static void test_add_refuses_bad_descriptors(void **state UNUSED)
{
    LoopSource source = {0};

    assert_int_equal(loop_add(loop, &source, -1, EPOLLIN, probe_dispatch), -EBADF);
    assert_null(source.loop);
    loop_remove(&source);
}

/* Hooks */

typedef struct CountingHook {
    LoopHook hook;
    unsigned calls;
    unsigned exit_at;
    LoopHook *removes;
} CountingHook;

static void hook_run(LoopHook *hook)
{
    CountingHook *counting = CONTAINER_OF(hook, CountingHook, hook);

    counting->calls++;
    if (counting->exit_at == counting->calls)
        loop_exit(loop, 7);
    if (counting->removes)
        loop_hook_remove(counting->removes);
}

static void test_hooks(void **state UNUSED)
{
    CountingHook a = {0}, b = {0}, c = {0};

    loop_hook_add(loop, &a.hook, hook_run);
    loop_hook_add(loop, &b.hook, hook_run);
    loop_hook_add(loop, &c.hook, hook_run);
    assert_int_equal(loop_run_once(loop, 0), 0);
    assert_int_equal(a.calls + b.calls + c.calls, 3);
    a.removes = &b.hook; /* before b's turn */
    c.removes = &c.hook;
    assert_int_equal(loop_run_once(loop, 0), 0);
    assert_int_equal(a.calls, 2);
    assert_int_equal(b.calls, 1);
    assert_int_equal(c.calls, 2);
    assert_int_equal(loop_run_once(loop, 0), 0);
    assert_int_equal(c.calls, 2);
    loop_hook_remove(&a.hook);
    loop_hook_remove(&a.hook);
}

static void test_run_and_exit(void **state UNUSED)
{
    CountingHook hook = {.exit_at = 4};

    probes[0] = probe_new(0); /* always ready, so rounds go on */
    loop_hook_add(loop, &hook.hook, hook_run);
    assert_int_equal(loop_run(loop), 7);
    assert_int_equal(hook.calls, 4);
    assert_int_equal(loop_rounds(loop)->count, 3); /* the first call came before the first sleep */
    hook.exit_at = 5;
    assert_int_equal(loop_run(loop), 7); /* and it can run again */
    loop_hook_remove(&hook.hook);
}

static void test_exit_before_run(void **state UNUSED)
{
    loop_exit(loop, 3);
    assert_int_equal(loop_run(loop), 3);
    assert_int_equal(loop_rounds(loop)->count, 0);
}

static void sleep_30_ms(Probe *probe UNUSED)
{
    (void)usleep(30000);
}

static void test_stall(void **state UNUSED)
{
    assert_int_equal(loop_run_once(loop, 300), 0); /* sleeping is no stall */
    assert_true(loop_stall_max(loop) < 250000);
    probes[0] = probe_new(0);
    probes[0]->act = sleep_30_ms;
    assert_int_equal(loop_run_once(loop, 0), 0);
    assert_true(loop_stall_max(loop) >= 30000);
    assert_int_equal(loop_rounds(loop)->count, 2);
    assert_true(loop_rounds(loop)->sum >= 30000);
    probes[0]->act = NULL;
    assert_int_equal(loop_run_once(loop, 0), 0);
    assert_true(loop_stall_max(loop) >= 30000);
}

static void on_alarm(int signo UNUSED)
{
}

static void test_interrupted(void **state UNUSED)
{
    struct sigaction action = {.sa_handler = on_alarm}, old;
    struct itimerval soon = {.it_value.tv_usec = 20000};

    assert_int_equal(sigaction(SIGALRM, &action, &old), 0);
    assert_int_equal(setitimer(ITIMER_REAL, &soon, NULL), 0);
    assert_int_equal(loop_run_once(loop, 10000), 0); /* EINTR is an empty round */
    (void)sigaction(SIGALRM, &old, NULL);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_all_in_one_round),
        TEST(test_first_is_first),
        TEST(test_free_of_others_in_the_round),
        TEST(test_free_of_itself),
        TEST(test_replaced_in_the_round),
        TEST(test_modify),
        TEST(test_add_refuses_bad_descriptors),
        TEST(test_hooks),
        TEST(test_run_and_exit),
        TEST(test_exit_before_run),
        TEST(test_stall),
        TEST(test_interrupted),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
