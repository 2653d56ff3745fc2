/* What the service manager hears, on a real NOTIFY_SOCKET. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "service/notify.h"
#include "util/clock.h"

static int manager = -1;
static char socket_path[64];

static int setup(void **state)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct timeval timeout = {.tv_sec = 5};

    (void)state;
    (void)snprintf(socket_path, sizeof(socket_path), "/tmp/notify-%d", (int)getpid());
    memcpy(address.sun_path, socket_path, strlen(socket_path));
    manager = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert_true(manager >= 0);
    assert_int_equal(bind(manager, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(setsockopt(manager, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout)), 0);
    assert_int_equal(setenv("NOTIFY_SOCKET", socket_path, 1), 0);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    (void)unsetenv("NOTIFY_SOCKET");
    (void)close(manager);
    (void)unlink(socket_path);
    return 0;
}

static const char *heard(void)
{
    static char text[4096];
    ssize_t n = recv(manager, text, sizeof(text) - 1, 0);

    text[n > 0 ? n : 0] = '\0';
    return text;
}

static void expect_silence(void)
{
    char byte;

    assert_true(recv(manager, &byte, 1, MSG_DONTWAIT) < 0);
}

static void test_no_manager(void **state)
{
    (void)state;
    assert_int_equal(unsetenv("NOTIFY_SOCKET"), 0);
    assert_false(service_under_systemd());
    assert_false(service_status("nobody hears %s", "this"));
    service_stopping();
    service_extend_timeout(1);
    assert_int_equal(setenv("NOTIFY_SOCKET", "/nonexistent/socket", 1), 0);
    service_stopping(); /* it has gone: no more than a debug message */
}

static void test_states(void **state)
{
    unsigned long long us = 0;
    struct timespec now;

    (void)state;
    assert_true(service_under_systemd());
    service_ready();
    assert_string_equal(heard(), "READY=1");
    service_ready();
    expect_silence();
    service_reloading();
    assert_int_equal(sscanf(heard(), "RELOADING=1\nMONOTONIC_USEC=%llu", &us), 1);
    assert_int_equal(clock_gettime(CLOCK_MONOTONIC, &now), 0);
    assert_in_range(us, (unsigned long long)now.tv_sec * 1000000 - 2000000,
                    ((unsigned long long)now.tv_sec + 1) * 1000000);
    service_ready();
    assert_string_equal(heard(), "READY=1");
    service_extend_timeout(90 * CLOCK_US_PER_SEC);
    assert_string_equal(heard(), "EXTEND_TIMEOUT_USEC=90000000");
    service_stopping();
    assert_string_equal(heard(), "STOPPING=1");
    expect_silence();
}

static void test_status(void **state)
{
    (void)state;
    assert_true(service_status("Importing %d of %d", 1, 20));
    assert_string_equal(heard(), "STATUS=Importing 1 of 20");
    assert_false(service_status("Importing %d of %d", 1, 20));
    expect_silence();
    assert_true(service_status("In sync"));
    assert_string_equal(heard(), "STATUS=In sync");
    (void)service_status("Cannot read %s", "/a\nREADY=1/\xff");
    assert_string_equal(heard(), "STATUS=Cannot read /a\\x0aREADY=1/\\xff");
    (void)service_status("%s", "Größe");
    assert_string_equal(heard(), "STATUS=Größe");
}

static unsigned fed_within(Loop *loop, uint64_t us)
{
    uint64_t end = clock_now() + us;
    unsigned n = 0;
    char text[64];
    ssize_t got;

    while (clock_now() < end)
        assert_true(loop_run_once(loop, 5) >= 0);
    while ((got = recv(manager, text, sizeof(text), MSG_DONTWAIT)) > 0) {
        assert_int_equal(got, strlen("WATCHDOG=1"));
        assert_memory_equal(text, "WATCHDOG=1", strlen("WATCHDOG=1"));
        n++;
    }
    return n;
}

static void test_watchdog(void **state)
{
    Timers *timers;
    Watchdog watchdog;
    Loop *loop;

    (void)state;
    assert_int_equal(loop_create(&loop), 0);
    assert_int_equal(timers_create(loop, &timers), 0);
    assert_int_equal(watchdog_init(&watchdog, timers), 0); /* not asked for */
    assert_int_equal(watchdog.interval, 0);
    assert_int_equal(fed_within(loop, 50000), 0);
    watchdog_done(&watchdog);

    assert_int_equal(setenv("WATCHDOG_USEC", "100000", 1), 0);
    assert_int_equal(watchdog_init(&watchdog, timers), 0);
    assert_int_equal(watchdog.interval, 50000);
    assert_in_range(fed_within(loop, 520000), 5, 10);
    watchdog_done(&watchdog);
    assert_int_equal(fed_within(loop, 150000), 0);

    assert_int_equal(setenv("WATCHDOG_PID", "1", 1), 0); /* meant for somebody else */
    assert_int_equal(watchdog_init(&watchdog, timers), 0);
    assert_int_equal(watchdog.interval, 0);
    watchdog_done(&watchdog);
    (void)unsetenv("WATCHDOG_PID");
    (void)unsetenv("WATCHDOG_USEC");
    (void)timers_free(timers);
    (void)loop_free(loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_no_manager),
        cmocka_unit_test_setup_teardown(test_states, setup, teardown),
        cmocka_unit_test_setup_teardown(test_status, setup, teardown),
        cmocka_unit_test_setup_teardown(test_watchdog, setup, teardown),
    };

    (void)unsetenv("NOTIFY_SOCKET");
    (void)unsetenv("WATCHDOG_USEC");
    (void)unsetenv("WATCHDOG_PID");
    return cmocka_run_group_tests(tests, NULL, NULL);
}
