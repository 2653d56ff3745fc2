/*
 * The journal's native protocol, as a journal of our own hears it. libsystemd knows one address
 * only, so the test binds it in a mount namespace in which /run is empty; without the right to make
 * one that part is skipped.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "service/journal.h"

#define JOURNAL "/run/systemd/journal/socket"

static void test_is_stderr(void **state)
{
    char stream[64];
    struct stat st;

    (void)state;
    assert_int_equal(fstat(STDERR_FILENO, &st), 0);
    assert_int_equal(unsetenv("JOURNAL_STREAM"), 0);
    assert_false(journal_is_stderr());
    (void)snprintf(stream, sizeof(stream), "%llu:%llu", (unsigned long long)st.st_dev,
                   (unsigned long long)st.st_ino);
    assert_int_equal(setenv("JOURNAL_STREAM", stream, 1), 0);
    assert_true(journal_is_stderr());
    (void)snprintf(stream, sizeof(stream), "%llu:%llu", (unsigned long long)st.st_dev,
                   (unsigned long long)st.st_ino + 1);
    assert_int_equal(setenv("JOURNAL_STREAM", stream, 1), 0);
    assert_false(journal_is_stderr());
    assert_int_equal(setenv("JOURNAL_STREAM", "nonsense", 1), 0);
    assert_false(journal_is_stderr());
    assert_int_equal(setenv("JOURNAL_STREAM", "1:2:3", 1), 0);
    assert_false(journal_is_stderr());
    assert_int_equal(unsetenv("JOURNAL_STREAM"), 0);
}

static int bind_journal(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = JOURNAL};
    struct timeval timeout = {.tv_sec = 5};
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    assert_true(fd >= 0);
    assert_int_equal(mkdir("/run/systemd", 0755), 0);
    assert_int_equal(mkdir("/run/systemd/journal", 0755), 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout)), 0);
    return fd;
}

static void expect_entry(int fd, const char *const *lines, size_t n_lines)
{
    char entry[4096];
    ssize_t n = recv(fd, entry, sizeof(entry) - 1, 0);
    size_t total = 0;

    assert_true(n > 0);
    entry[n] = '\0';
    for (size_t i = 0; i < n_lines; i++) {
        const char *found = strstr(entry, lines[i]);

        if (!found || (found != entry && found[-1] != '\n'))
            fail_msg("%s is not in %s", lines[i], entry);
        total += strlen(lines[i]);
    }
    assert_int_equal(n, total); /* and nothing else */
}

static void test_fields(void **state)
{
    static const char *const full[] = {
        "MESSAGE=Added /p/ä.jpg\n",         "PRIORITY=6\n",
        "SYSLOG_IDENTIFIER=pictopy-sync\n", "MESSAGE_ID=0123456789abcdef0123456789abcdef\n",
        "PICTOPY_FOLDER_ID=f-1\n",          "PICTOPY_PATH=/p/ä.jpg\n",
    };
    static const char *const bare[] = {
        "MESSAGE=oops\n",
        "PRIORITY=3\n",
        "SYSLOG_IDENTIFIER=pictopy-sync\n",
    };
    LogRecord record = {.level = LOG_LEVEL_INFO,
                        .message_id = "0123456789abcdef0123456789abcdef",
                        .folder_id = "f-1",
                        .path = "/p/ä.jpg",
                        .text = "Added /p/ä.jpg"};
    int fd;

    (void)state;
    if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
        mount("run", "/run", "tmpfs", 0, NULL) < 0) {
        print_message("skipped: no mount namespace: %s\n", strerror(errno));
        skip();
    }
    fd = bind_journal();
    log_sink_journal(&record);
    expect_entry(fd, full, sizeof(full) / sizeof(*full));
    record = (LogRecord){.level = LOG_LEVEL_ERROR, .text = "oops"};
    log_sink_journal(&record);
    expect_entry(fd, bare, sizeof(bare) / sizeof(*bare));
    (void)close(fd); /* the journal has gone: the message must not be lost */
}

/* After the journal's socket was closed: ECONNREFUSED, so standard error gets the message. */
static void test_fallback(void **state)
{
    LogRecord record = {.level = LOG_LEVEL_ERROR, .text = "to standard error"};
    int old = dup(STDERR_FILENO), pipe_fds[2];
    char text[256];
    ssize_t n;

    (void)state;
    if (access(JOURNAL, F_OK) < 0)
        skip();
    assert_int_equal(pipe2(pipe_fds, O_CLOEXEC | O_NONBLOCK), 0);
    assert_true(dup2(pipe_fds[1], STDERR_FILENO) >= 0);
    log_sink_journal(&record);
    assert_true(dup2(old, STDERR_FILENO) >= 0);
    n = read(pipe_fds[0], text, sizeof(text) - 1);
    assert_true(n > 0);
    text[n] = '\0';
    assert_non_null(strstr(text, "to standard error"));
    (void)close(pipe_fds[0]);
    (void)close(pipe_fds[1]);
    (void)close(old);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_is_stderr),
        cmocka_unit_test(test_fields),
        cmocka_unit_test(test_fallback),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
