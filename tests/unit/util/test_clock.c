/* Time and durations. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>

#include "util/cleanup.h"
#include "util/clock.h"

static void test_now(void **state UNUSED)
{
    uint64_t before = clock_now(), after;

    assert_int_equal(usleep(20000), 0);
    after = clock_now();
    assert_true(after - before >= 20000);
    assert_true(after - before < 5 * CLOCK_US_PER_SEC);
}

static void test_durations(void **state UNUSED)
{
    static const struct {
        const char *text;
        uint64_t us;
    } cases[] = {{"0", 0},
                 {"0ms", 0},
                 {"7us", 7},
                 {"250ms", 250000},
                 {"2s", 2000000},
                 {"2", 2000000},
                 {"2 s", 2000000},
                 {"1min", 60000000},
                 {"6h", UINT64_C(21600000000)},
                 {"7d", UINT64_C(604800000000)},
                 {"18446744073709551615us", UINT64_MAX}};

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint64_t us = 1;

        assert_true(clock_parse_duration(cases[i].text, &us));
        assert_true(us == cases[i].us);
    }
}

static void test_no_durations(void **state UNUSED)
{
    static const char *const cases[] = {"",
                                        " 1",
                                        "-1",
                                        "+1",
                                        "1.5s",
                                        "ms",
                                        "1m",
                                        "1 fortnight",
                                        "1s2",
                                        "1S",
                                        "1sec",
                                        "0x1",
                                        "1s ",
                                        "18446744073709551616us",
                                        "18446744073709551615ms",
                                        "18446744073709551615",
                                        "99999999999999999999999999d"};

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint64_t us = 42;

        assert_false(clock_parse_duration(cases[i], &us));
        assert_int_equal(us, 42);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_now),
        cmocka_unit_test(test_durations),
        cmocka_unit_test(test_no_durations),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
