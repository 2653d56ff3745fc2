/* Children: what they get, what they do not get, how their end is seen. */

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "loop/child.h"
#include "loop/signal.h"
#include "util/clock.h"

static Loop *loop;
static Child child;
static int status;
static unsigned n_exited;

static void on_exit_of_child(Child *ended, int wait_status)
{
    assert_ptr_equal(ended, &child);
    assert_int_equal(ended->pid, 0);
    status = wait_status;
    n_exited++;
}

static int setup(void **state UNUSED)
{
    child = (Child){0};
    n_exited = 0;
    return loop_create(&loop);
}

static int teardown(void **state UNUSED)
{
    child_done(&child);
    loop = loop_free(loop);
    return 0;
}

static void spawn_shell(const char *script, int fd)
{
    char *argv[] = {(char *)"sh", (char *)"-c", (char *)script, NULL};

    assert_int_equal(child_spawn(&child, loop, "/bin/sh", argv, fd, on_exit_of_child), 0);
    assert_true(child.pid > 0);
}

static void wait_for_exit(void)
{
    while (n_exited == 0)
        assert_int_equal(loop_run_once(loop, 10000), 0);
}

/* What a shell script says into its descriptor 3. */
static void run_shell(const char *script, char *answer, size_t size)
{
    int pair[2];
    ssize_t n;

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    spawn_shell(script, pair[1]);
    (void)close(pair[1]);
    wait_for_exit();
    n = recv(pair[0], answer, size - 1, MSG_WAITALL);
    assert_true(n >= 0);
    answer[n] = '\0';
    (void)close(pair[0]);
}

static void test_exit_status(void **state UNUSED)
{
    spawn_shell("exit 7", -1);
    wait_for_exit();
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 7);
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1); /* reaped */
    assert_int_equal(errno, ECHILD);
    /* And once more with the same one. */
    n_exited = 0;
    spawn_shell("exit 8", -1);
    wait_for_exit();
    assert_int_equal(WEXITSTATUS(status), 8);
}

static void test_program_that_is_not_there(void **state UNUSED)
{
    char *argv[] = {(char *)"nothing", NULL};

    assert_int_equal(child_spawn(&child, loop, "/nonexistent", argv, -1, on_exit_of_child), 0);
    wait_for_exit();
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 127);
}

static void test_talks_through_descriptor_3(void **state UNUSED)
{
    char answer[100];

    run_shell("echo hello >&3", answer, sizeof(answer));
    assert_string_equal(answer, "hello\n");
}

static void test_descriptors(void **state UNUSED)
{
    /* Open and without CLOEXEC, as a careless library might leave it. */
    int stray = open("/dev/zero", O_RDONLY), high = fcntl(stray, F_DUPFD, 500);
    char answer[100];

    assert_true(stray > 0 && high >= 500);
    /* The shell's "*" would open one itself; test each number. */
    run_shell("exec >&3; for i in 0 1 2 3 4 5 6 7 8 9 10 11 12 500; do"
              " [ -e /proc/self/fd/$i ] && printf '%s ' $i; done",
              answer, sizeof(answer));
    (void)close(stray);
    (void)close(high);
    assert_string_equal(answer, "0 1 2 3 ");
}

static void test_null_in_and_out(void **state UNUSED)
{
    char answer[100];

    run_shell("[ /proc/$$/fd/0 -ef /dev/null ] && [ /proc/$$/fd/1 -ef /dev/null ] && echo yes >&3",
              answer, sizeof(answer));
    assert_string_equal(answer, "yes\n");
}

/* The descriptor that is handed over may be 3 already, and lose its CLOEXEC all the same. */
static void test_descriptor_3_itself(void **state UNUSED)
{
    int pair[2], saved;
    char answer[4];

    loop = loop_free(loop); /* it may hold 3 itself */
    saved = fcntl(3, F_DUPFD_CLOEXEC, 100);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    if (pair[0] == 3) {
        pair[0] = fcntl(3, F_DUPFD_CLOEXEC, 100);
        (void)close(3);
    }
    if (pair[1] != 3) {
        assert_int_equal(dup3(pair[1], 3, O_CLOEXEC), 3);
        (void)close(pair[1]);
    }
    assert_int_equal(loop_create(&loop), 0);
    spawn_shell("echo low >&3", 3);
    (void)close(3);
    if (saved >= 0)
        assert_int_equal(dup3(saved, 3, O_CLOEXEC), 3);
    wait_for_exit();
    assert_int_equal(recv(pair[0], answer, sizeof(answer), 0), 4);
    assert_memory_equal(answer, "low\n", 4);
    (void)close(pair[0]);
    if (saved >= 0)
        (void)close(saved);
}

static void test_signals_are_reset(void **state UNUSED)
{
    char answer[300];

    assert_int_equal(signal_block(), 0); /* blocks three and ignores SIGPIPE */
    run_shell("exec grep -E '^Sig(Blk|Ign)' /proc/self/status >&3", answer, sizeof(answer));
    assert_string_equal(answer, "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n");
}

static void test_kill(void **state UNUSED)
{
    spawn_shell("exec sleep 100", -1);
    child_kill(&child);
    assert_int_equal(n_exited, 0);
    wait_for_exit();
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGKILL);
    child_kill(&child); /* not running: nothing */
}

static void test_done_kills_and_reaps(void **state UNUSED)
{
    uint64_t start = clock_now();
    pid_t pid;

    spawn_shell("exec sleep 100", -1);
    pid = child.pid;
    child_done(&child);
    assert_true(clock_now() - start < 5 * CLOCK_US_PER_SEC);
    assert_int_equal(kill(pid, 0), -1);
    assert_int_equal(errno, ESRCH);
    assert_int_equal(loop_run_once(loop, 0), 0);
    assert_int_equal(n_exited, 0);
    child_done(&child);
}

/* A parent that is killed takes the child with it. */
static void test_dies_with_its_parent(void **state UNUSED)
{
    int pair[2];
    pid_t parent, orphan = 0;
    char byte;

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    parent = fork();
    assert_true(parent >= 0);
    if (parent == 0) {
        (void)close(pair[0]);
        spawn_shell("exec sleep 100", pair[1]);
        (void)!write(pair[1], &child.pid, sizeof(child.pid));
        (void)pause();
        _exit(0);
    }
    (void)close(pair[1]);
    assert_int_equal(read(pair[0], &orphan, sizeof(orphan)), sizeof(orphan));
    assert_int_equal(kill(parent, SIGKILL), 0);
    assert_int_equal(waitpid(parent, NULL, 0), parent);
    /* The end of the stream comes when the last holder is dead. */
    assert_int_equal(read(pair[0], &byte, 1), 0);
    (void)close(pair[0]);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_dies_with_its_parent), /* first: it forks, which suits no thread */
        TEST(test_exit_status),
        TEST(test_program_that_is_not_there),
        TEST(test_talks_through_descriptor_3),
        TEST(test_descriptors),
        TEST(test_null_in_and_out),
        TEST(test_descriptor_3_itself),
        TEST(test_signals_are_reset),
        TEST(test_kill),
        TEST(test_done_kills_and_reaps),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
