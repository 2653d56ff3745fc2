/* Levels, sinks, the limit of lines, tracing. */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

#include "util/clock.h"
#include "util/error.h"
#include "util/log.h"
#include "util/text.h"

static Text seen;
static unsigned n_seen;

static void sink(const LogRecord *record)
{
    n_seen++;
    errno = EIO; /* as a sink that fails would leave it */
    text_printf(&seen, "%d %s %s %s %s\n", (int)record->level,
                record->message_id ? record->message_id : "-",
                record->folder_id ? record->folder_id : "-", record->path ? record->path : "-",
                record->text);
}

static int reset(void **state UNUSED)
{
    text_done(&seen);
    n_seen = 0;
    log_set_sink(sink);
    log_set_level(LOG_LEVEL_INFO);
    log_set_rate(0);
    return 0;
}

static int done(void **state UNUSED)
{
    text_done(&seen);
    return 0;
}

static void test_levels(void **state UNUSED)
{
    log_debug("no");
    log_info("one %d", 1);
    log_error("two");
    assert_string_equal(seen.data, "6 - - - one 1\n3 - - - two\n");
    log_set_level(LOG_LEVEL_DEBUG);
    assert_int_equal(log_level(), LOG_LEVEL_DEBUG);
    log_debug("yes");
    assert_int_equal(n_seen, 3);
    log_set_level(LOG_LEVEL_ERROR);
    log_warning("no");
    assert_int_equal(n_seen, 3);
}

static void test_level_names(void **state UNUSED)
{
    static const char *const bad[] = {"", "Info", "warn", "err", "infos", "6"};
    LogLevel parsed;

    for (LogLevel level = LOG_LEVEL_ERROR; level <= LOG_LEVEL_DEBUG; level++) {
        assert_true(log_level_parse(log_level_name(level), &parsed));
        assert_int_equal(parsed, level);
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_false(log_level_parse(bad[i], &parsed));
}

static void test_events(void **state UNUSED)
{
    char ids[LOG_EVENT_COUNT][40];

    for (LogEvent event = LOG_EVENT_STARTED; event < LOG_EVENT_COUNT; event++) {
        text_clear(&seen);
        log_event(LOG_LEVEL_NOTICE, event, "folder", "/a\xff", "text");
        assert_int_equal(sscanf(seen.data, "5 %39s", ids[event]), 1);
        assert_int_equal(strlen(ids[event]), 32);
        assert_int_equal(strspn(ids[event], "0123456789abcdef"), 32);
        assert_string_equal(seen.data + 34, " folder /a\xff text\n");
        for (LogEvent other = LOG_EVENT_STARTED; other < event; other++)
            assert_string_not_equal(ids[event], ids[other]);
    }
}

static void test_rate(void **state UNUSED)
{
    uint64_t second;

    log_set_rate(10);
    /* Start with a fresh second, so that the burst does not cross into another. */
    second = clock_now() / CLOCK_US_PER_SEC;
    while (clock_now() / CLOCK_US_PER_SEC == second)
        ;
    for (int i = 0; i < 100; i++)
        log_info("line");
    assert_int_equal(n_seen, 10);
    for (int i = 0; i < 100; i++) /* chatter leaves room for what matters, which has an end too */
        log_notice("line");
    assert_int_equal(n_seen, 20);
    second = clock_now() / CLOCK_US_PER_SEC;
    while (clock_now() / CLOCK_US_PER_SEC == second)
        ;
    text_clear(&seen);
    log_info("next");
    assert_string_equal(seen.data,
                        "4 - - - 90 log lines dropped, too many in a second\n6 - - - next\n");
    text_clear(&seen);
    log_info("reported once");
    assert_string_equal(seen.data, "6 - - - reported once\n");
    text_clear(&seen);
    log_error("next");
    assert_string_equal(seen.data,
                        "4 - - - 90 log lines dropped, too many in a second\n3 - - - next\n");
}

static int fails(void)
{
    return error_trace(-EBADF);
}

static void test_trace(void **state UNUSED)
{
    log_set_level(LOG_LEVEL_DEBUG);
    assert_int_equal(error_trace(0), 0);
    assert_int_equal(error_trace(1), 1);
    assert_int_equal(n_seen, 0);
    errno = ENOENT;
    assert_int_equal(fails(), -EBADF);
    assert_int_equal(errno, ENOENT);
    assert_int_equal(n_seen, 1);
    assert_non_null(strstr(seen.data, "fails ("));
    assert_non_null(strstr(seen.data, "Bad file descriptor"));
    assert_int_equal(error_errno(), -ENOENT);
    log_set_level(LOG_LEVEL_INFO);
    n_seen = 0;
    (void)fails();
    assert_int_equal(n_seen, 0);
}

/* What the plain sink writes to a standard error that is a file. */
static void test_stderr(void **state UNUSED)
{
    CLEANUP_CLOSE int file = memfd_create("stderr", MFD_CLOEXEC), kept = dup(STDERR_FILENO);
    char content[200] = "";

    log_set_sink(NULL);
    assert_true(dup2(file, STDERR_FILENO) >= 0);
    log_warning("a\nb\x1b[2J %s", "\xc3\xa4");
    log_info("next");
    (void)dup2(kept, STDERR_FILENO);
    assert_true(pread(file, content, sizeof(content) - 1, 0) > 0);
    assert_string_equal(content, "warning: a\\x0ab\\x1b[2J \xc3\xa4\ninfo: next\n");
}

static void test_errno_is_kept(void **state UNUSED)
{
    errno = EXDEV;
    log_info("%s", "x");
    assert_int_equal(errno, EXDEV);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_levels, reset),
        cmocka_unit_test_setup(test_level_names, reset),
        cmocka_unit_test_setup(test_events, reset),
        cmocka_unit_test_setup(test_rate, reset),
        cmocka_unit_test_setup(test_trace, reset),
        cmocka_unit_test_setup(test_stderr, reset),
        cmocka_unit_test_setup(test_errno_is_kept, reset),
    };

    return cmocka_run_group_tests(tests, NULL, done);
}
