/* Dates, against what Python gives for the same input. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "media/datetime.h"

static void check_exif(const char *bytes, size_t size, const char *expected)
{
    char text[DATETIME_TEXT_SIZE] = "untouched";
    bool ok = datetime_parse_exif(bytes, size, text);

    assert_string_equal(text, expected ? expected : "untouched");
    assert_int_equal(ok, expected != NULL);
}

#define EXIF(literal, expected) check_exif(literal, sizeof(literal) - 1, expected)

static void test_exif(void **state)
{
    (void)state;
    EXIF("2008:05:30 15:56:01\0", "2008-05-30T15:56:01");
    EXIF("2008:05:30 15:56:01", "2008-05-30T15:56:01");
    EXIF("  2008:05:30 15:56:01 \0", "2008-05-30T15:56:01");
    EXIF("2008:05:30 15:56:01\0junk\0", "2008-05-30T15:56:01");
    EXIF("2008:5:3 1:2:3\0", "2008-05-03T01:02:03");
    EXIF("2008:05: 3 01:02:03\0", "2008-05-03T01:02:03");
    EXIF("2008:05:30  \t15:56:01\0", "2008-05-30T15:56:01");
    EXIF("2000:02:29 00:00:00\0", "2000-02-29T00:00:00");
    EXIF("1900:02:29 00:00:00\0", NULL);
    EXIF("2001:02:29 00:00:00\0", NULL);
    EXIF("0000:00:00 00:00:00\0", NULL);
    EXIF("2008:13:01 00:00:00\0", NULL);
    EXIF("2008:00:01 00:00:00\0", NULL);
    EXIF("2008:04:31 00:00:00\0", NULL);
    EXIF("2008:05:30 24:00:00\0", NULL);
    EXIF("2008:05:30 23:59:60\0", NULL);
    EXIF("2008:05:30 23:60:00\0", NULL);
    EXIF("2008-05-30 15:56:01\0", NULL);
    EXIF("2008:05:30T15:56:01\0", NULL);
    EXIF("2008:05:30 15:56\0", NULL);
    EXIF("2008:05:30 15:56:01.5\0", NULL);
    EXIF("2008:05:30 15:56:01 +02:00\0", NULL);
    EXIF("208:05:30 15:56:01\0", NULL);
    EXIF("    :  :     :  :  \0", NULL);
    EXIF("\0", NULL);
    EXIF("", NULL);
}

static void check_quicktime(const char *text, const char *expected)
{
    char result[DATETIME_TEXT_SIZE] = "untouched";
    bool ok = datetime_parse_quicktime(text, strlen(text) + 1, result);

    assert_string_equal(result, expected ? expected : "untouched");
    assert_int_equal(ok, expected != NULL);
}

static void test_quicktime(void **state)
{
    (void)state;
    check_quicktime("2025-08-07T13:02:02+0530", "2025-08-07T13:02:02");
    check_quicktime("2025-08-07T13:02:02-05:30", "2025-08-07T13:02:02");
    check_quicktime("2025-08-07T13:02:02Z", "2025-08-07T13:02:02");
    check_quicktime("2025-08-07T13:02:02", "2025-08-07T13:02:02");
    check_quicktime("2025-08-07T13:02:02.123Z", "2025-08-07T13:02:02");
    check_quicktime(" 2025-08-07T13:02:02+0000 ", "2025-08-07T13:02:02");
    check_quicktime("2025-08-07T13:02:02.123", NULL);
    check_quicktime("2025-08-07 13:02:02", NULL);
    check_quicktime("2025-08-07T13:02:02+05", NULL);
    check_quicktime("2025-08-07T13:02:02Zjunk", NULL);
    check_quicktime("2025-02-30T13:02:02Z", NULL);
    check_quicktime("", NULL);
}

static void check_mtime(int64_t ns, const char *expected)
{
    char text[DATETIME_TEXT_SIZE] = "";

    assert_true(datetime_from_mtime(ns, text));
    assert_string_equal(text, expected);
}

static void test_mtime(void **state)
{
    (void)state;
    check_mtime(0, "1970-01-01T00:00:00");
    check_mtime(499, "1970-01-01T00:00:00");
    check_mtime(500, "1970-01-01T00:00:00.000001");
    check_mtime(1500, "1970-01-01T00:00:00.000002");
    check_mtime(1700000000123456789, "2023-11-14T22:13:20.123457");
    check_mtime(1700000000999999500, "2023-11-14T22:13:21");
    check_mtime(1700000000999999400, "2023-11-14T22:13:20.999999");
    /* a double of today has no digit for the 500 nanoseconds */
    check_mtime(1700000000000000500, "2023-11-14T22:13:20");
    check_mtime(1700000000000000600, "2023-11-14T22:13:20.000001");
    check_mtime(1763889999123456501, "2025-11-23T09:26:39.123456");
    check_mtime(-1, "1970-01-01T00:00:00");
    check_mtime(-1500000000, "1969-12-31T23:59:58.500000");
    check_mtime(INT64_MAX, "2262-04-11T23:47:16.854776");
    check_mtime(INT64_MIN, "1677-09-21T00:12:43.145224");
}

static void test_epoch(void **state)
{
    char text[DATETIME_TEXT_SIZE] = "untouched";

    (void)state;
    assert_true(datetime_from_epoch(253402300799, text));
    assert_string_equal(text, "9999-12-31T23:59:59");
    assert_true(datetime_from_epoch(-62135596800, text));
    assert_string_equal(text, "0001-01-01T00:00:00");
    assert_false(datetime_from_epoch(253402300800, text));
    assert_false(datetime_from_epoch(-62135596801, text));
    assert_false(datetime_from_epoch(INT64_MAX, text));
    assert_false(datetime_from_epoch(INT64_MIN, text));
    assert_string_equal(text, "0001-01-01T00:00:00");
}

/* Local time, with its summer. */
static void test_zone(void **state)
{
    char text[DATETIME_TEXT_SIZE];

    (void)state;
    (void)setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3", 1);
    tzset();
    assert_true(datetime_from_epoch(1700000000, text));
    assert_string_equal(text, "2023-11-14T23:13:20");
    assert_true(datetime_from_epoch(1690000000, text));
    assert_string_equal(text, "2023-07-22T06:26:40");
    (void)setenv("TZ", "UTC", 1);
    tzset();
}

static void test_valid(void **state)
{
    (void)state;
    assert_true(datetime_is_valid("2023-11-14T22:13:20"));
    assert_true(datetime_is_valid("2023-11-14T22:13:20.123456"));
    assert_false(datetime_is_valid(""));
    assert_false(datetime_is_valid("2023-11-14"));
    assert_false(datetime_is_valid("2023-11-14T22:13:20.12345"));
    assert_false(datetime_is_valid("2023-11-14T22:13:20.1234567"));
    assert_false(datetime_is_valid("2023-11-14T22:13:20Z"));
    assert_false(datetime_is_valid("2023-11-14T22:13:20\n"));
    assert_false(datetime_is_valid("2023-1-14T22:13:20"));
    assert_false(datetime_is_valid("2023-11- 4T22:13:20"));
    assert_false(datetime_is_valid("2023-02-30T22:13:20"));
    assert_false(datetime_is_valid("\"; DROP TABLE images"));
}

static void test_plausible(void **state)
{
    char text[DATETIME_TEXT_SIZE];

    (void)state;
    assert_true(datetime_is_plausible("1990-01-01T00:00:00"));
    assert_false(datetime_is_plausible("1989-12-31T23:59:59"));
    assert_true(datetime_from_epoch(time(NULL) + 86400, text));
    assert_true(datetime_is_plausible(text));
    assert_true(datetime_from_epoch(time(NULL) + 3 * 86400, text));
    assert_false(datetime_is_plausible(text));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_exif),      cmocka_unit_test(test_quicktime),
        cmocka_unit_test(test_mtime),     cmocka_unit_test(test_epoch),
        cmocka_unit_test(test_zone),      cmocka_unit_test(test_valid),
        cmocka_unit_test(test_plausible),
    };

    (void)setenv("TZ", "UTC", 1);
    tzset();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
