/* The line that says what the daemon is doing, and how often it is sent. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "daemon/progress.h"
#include "util/log.h"

#define NOW (1000 * CLOCK_US_PER_SEC)

static void expect_line(const ProgressView *view, EngineProgress progress, const char *expected)
{
    CLEANUP(text_done) Text line = {0};

    progress_line(view, &progress, NOW, &line);
    assert_string_equal(line.data, expected);
}

static void test_work(void **state UNUSED)
{
    const ProgressView view = {0};

    expect_line(&view, (EngineProgress){.ready = true, .photos_total = 5},
                "Waiting for the database");
#define PROGRESS(...) (EngineProgress){.database_connected = true, __VA_ARGS__}
    expect_line(&view, PROGRESS(.folders_watched = 12, .scanning = true),
                "Starting: watching 12 folders so far");
    expect_line(&view, PROGRESS(.ready = true, .scanning = true, .folders_scanned = 7),
                "Comparing: 7 folders so far");
    expect_line(&view, PROGRESS(.ready = true, .folders_watched = 9, .changes_pending = 1),
                "Watching 9 folders");
    expect_line(&view, PROGRESS(.ready = true, .folders_watched = 9, .in_sync = true),
                "Watching 9 folders; in sync");
}

/* A rate of less than a second's is a guess. */
static void test_import(void **state UNUSED)
{
    const EngineProgress progress =
        PROGRESS(.ready = true, .scanning = true, .photos_done = 100, .photos_total = 1100);
    ProgressView view = {.begun = NOW};

    expect_line(&view, progress, "Importing: 100 of 1100 photos");
    view.begun = NOW - CLOCK_US_PER_SEC + 1;
    expect_line(&view, progress, "Importing: 100 of 1100 photos");
    view.begun = NOW - 2 * CLOCK_US_PER_SEC;
    expect_line(&view, progress, "Importing: 100 of 1100 photos, 50/s, 20 s left");
    view.begun = NOW - 20 * CLOCK_US_PER_SEC;
    expect_line(&view, progress, "Importing: 100 of 1100 photos, 5/s, 3 min left");
    view.begun = 0;
    expect_line(&view, progress, "Importing: 100 of 1100 photos");
    view.begun = NOW - 20 * CLOCK_US_PER_SEC;
    expect_line(&view, PROGRESS(.ready = true, .photos_total = 1100),
                "Importing: 0 of 1100 photos");
}

static void test_trouble(void **state UNUSED)
{
    const ProgressView view = {0};

    expect_line(&view,
                PROGRESS(.ready = true, .in_sync = true, .folders_watched = 750,
                         .folders_polled = 250, .limit_reached = true, .watch_limit = 1000),
                "Watching 750 folders; limit of watches reached: 750 of 1000; 250 polled; in sync");
    expect_line(&view, PROGRESS(.ready = true, .roots_offline = 1, .roots_hung = 2),
                "Watching 0 folders; 1 root(s) offline; 2 root(s) do not answer");
    expect_line(&view, PROGRESS(.folders_watched = 3, .roots_offline = 1),
                "Starting: watching 3 folders so far; 1 root(s) offline");
}

/* ---- how often ---- */

static int manager; /* a service manager's socket */

static int listen_to(void **state UNUSED)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    char name[64];
    int length = snprintf(name, sizeof(name), "@pictopy-test-progress-%d", (int)getpid());

    memcpy(address.sun_path + 1, name + 1, (size_t)length - 1); /* an abstract one: unix(7) */
    manager = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    assert_true(manager >= 0);
    assert_int_equal(bind(manager, (struct sockaddr *)&address,
                          (socklen_t)(offsetof(struct sockaddr_un, sun_path) + (size_t)length)),
                     0);
    return setenv("NOTIFY_SOCKET", name, 1);
}

static int listen_no_more(void **state UNUSED)
{
    (void)close(manager);
    return unsetenv("NOTIFY_SOCKET");
}

static void expect_heard(const char *expected)
{
    char text[256] = "";

    if (!expected) {
        assert_true(recv(manager, text, sizeof(text) - 1, 0) < 0);
        return;
    }
    assert_true(recv(manager, text, sizeof(text) - 1, 0) > 0);
    assert_string_equal(text, expected);
}

static void test_interval(void **state UNUSED)
{
    EngineProgress progress = PROGRESS(.folders_watched = 1);
    ProgressView view = {0};
    uint64_t begun = clock_now();

    assert_true(progress_show(&view, &progress));
    expect_heard("STATUS=Starting: watching 1 folders so far");
    progress.folders_watched = 2;
    assert_false(progress_show(&view, &progress));
    expect_heard(NULL);
    while (!progress_show(&view, &progress))
        (void)usleep(1000);
    assert_true(clock_now() - begun >= PROGRESS_INTERVAL);
    expect_heard("STATUS=Starting: watching 2 folders so far");
    while (!progress_show(&view, &progress)) /* nothing new: nothing is sent */
        (void)usleep(1000);
    expect_heard(NULL);
    progress.folders_watched = 3; /* and what is new after a silence goes at once */
    assert_true(progress_show(&view, &progress));
    expect_heard("STATUS=Starting: watching 3 folders so far");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_work),
        cmocka_unit_test(test_import),
        cmocka_unit_test(test_trouble),
        cmocka_unit_test_setup_teardown(test_interval, listen_to, listen_no_more),
    };

    log_set_level(LOG_LEVEL_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
