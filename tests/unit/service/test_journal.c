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
#include "service/journal_writer.h"

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

/* What is in /run is seen by nobody else. */
static bool is_ours;

static int listen_at_journal(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = JOURNAL};
    struct timeval timeout = {.tv_sec = 5};
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    assert_true(fd >= 0);
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
    is_ours = true;
    assert_int_equal(mkdir("/run/systemd", 0755), 0);
    assert_int_equal(mkdir("/run/systemd/journal", 0755), 0);
    fd = listen_at_journal();
    log_sink_journal(&record);
    expect_entry(fd, full, sizeof(full) / sizeof(*full));
    record = (LogRecord){.level = LOG_LEVEL_ERROR, .text = "oops"};
    log_sink_journal(&record);
    expect_entry(fd, bare, sizeof(bare) / sizeof(*bare));
    (void)close(fd); /* the journal has gone: the message must not be lost */
}

/* The next message; false: there is none for now. */
static bool receive(int fd, char *text, size_t size)
{
    char entry[4096];
    ssize_t n = recv(fd, entry, sizeof(entry) - 1, 0);
    char *end;

    if (n <= 0)
        return false;
    entry[n] = '\0';
    end = strchr(entry, '\n');
    assert_non_null(end);
    assert_int_equal(strncmp(entry, "MESSAGE=", 8), 0);
    *end = '\0';
    (void)snprintf(text, size, "%.*s", (int)size - 1, entry + 8);
    return true;
}

/* The journal takes nothing for a while: who logs does not wait, and what is lost is counted. */
static void test_stands_still(void **state)
{
    enum { N = 20000 };
    const struct timeval soon = {.tv_usec = 500000};
    unsigned n_seen = 0, n_lost = 0, number;
    char text[256];
    int fd;

    (void)state;
    if (!is_ours)
        skip();
    assert_int_equal(unlink(JOURNAL), 0);
    fd = listen_at_journal();
    (void)alarm(20);
    log_set_rate(0);
    journal_writer_start();
    for (unsigned i = 0; i < N; i++)
        log_event(LOG_LEVEL_INFO, LOG_EVENT_NONE, "f-1", "/p/a.jpg", "%u added", i);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &soon, sizeof(soon)), 0);
    while (receive(fd, text, sizeof(text))) {
        if (strstr(text, "log lines dropped"))
            n_lost += (unsigned)atoi(text);
        else if (sscanf(text, "%u added", &number) == 1 && number >= n_seen)
            n_seen++; /* in their order */
    }
    log_info("the end");
    journal_writer_stop();
    while (receive(fd, text, sizeof(text)) && strcmp(text, "the end") != 0)
        n_lost += strstr(text, "log lines dropped") ? (unsigned)atoi(text) : 0;
    assert_string_equal(text, "the end");
    assert_true(n_lost > 0 && n_seen > 100);
    assert_int_equal(n_seen + n_lost, N);
    (void)alarm(0);
    (void)close(fd);
}

/* After the journal's socket was closed: ECONNREFUSED, so standard error gets the message. */
static void test_fallback(void **state)
{
    LogRecord record = {.level = LOG_LEVEL_ERROR, .text = "to standard error"};
    int old = dup(STDERR_FILENO), pipe_fds[2];
    char text[256];
    ssize_t n;

    (void)state;
    if (!is_ours)
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
        cmocka_unit_test(test_stands_still),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
