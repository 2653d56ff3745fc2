/* Signals as a loop source. */

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>

#include "loop/signal.h"

static int received[8];
static size_t n_received;

static void on_signal(SignalSource *source UNUSED, int signo)
{
    if (n_received < 8)
        received[n_received++] = signo;
}

static void test_signals(void **state UNUSED)
{
    static const int signals[] = {SIGHUP, SIGINT, SIGTERM};
    CLEANUP(loop_free_p) Loop *loop = NULL;
    SignalSource source = {0};
    int pipe_fds[2];

    signal_source_done(&source); /* zeroed: nothing to do */
    assert_int_equal(signal_block(), 0);
    assert_int_equal(loop_create(&loop), 0);
    assert_int_equal(signal_source_init(&source, loop, on_signal), 0);
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(kill(getpid(), signals[i]), 0); /* would end the test */
    for (int i = 0; i < 3; i++)
        assert_int_equal(loop_run_once(loop, 1000), 0);
    assert_int_equal(n_received, 3);
    assert_int_equal(received[0] + received[1] + received[2], SIGHUP + SIGINT + SIGTERM);
    assert_int_equal(loop_run_once(loop, 0), 0);
    assert_int_equal(n_received, 3);

    /* A write to a pipe that nobody reads fails instead of killing. */
    assert_int_equal(pipe(pipe_fds), 0);
    (void)close(pipe_fds[0]);
    assert_int_equal(write(pipe_fds[1], "x", 1), -1);
    (void)close(pipe_fds[1]);
    signal_source_done(&source);
    signal_source_done(&source);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_signals)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
