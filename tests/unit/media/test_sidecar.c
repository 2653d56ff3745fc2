/* Google Takeout sidecars. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "media/sidecar.h"

static bool sidecar(const char *json, SidecarFacts *ret_facts)
{
    return sidecar_read(json, strlen(json), ret_facts);
}

static void check_date(const char *json, const char *expected)
{
    SidecarFacts facts = {};

    assert_int_equal(sidecar(json, &facts), expected != NULL);
    if (expected)
        assert_string_equal(facts.date, expected);
}

static void test_date(void **state)
{
    (void)state;
    check_date("{\"photoTakenTime\": {\"timestamp\": \"1700000000\"}}", "2023-11-14T22:13:20");
    check_date("{\"photoTakenTime\": {\"timestamp\": 1700000000}}", "2023-11-14T22:13:20");
    check_date("{\"photoTakenTime\": {\"timestamp\": 1700000000.9}}", "2023-11-14T22:13:20");
    check_date("{\"photoTakenTime\": {\"timestamp\": \" 1700000000 \"}}", "2023-11-14T22:13:20");
    check_date("{\"photoTakenTime\": {\"timestamp\": \"-86400\"}}", "1969-12-31T00:00:00");
    check_date("{\"creationTime\": {\"timestamp\": \"1600000000\"},"
               " \"photoTakenTime\": {\"timestamp\": \"1700000000\"}}",
               "2023-11-14T22:13:20");
    check_date("{\"creationTime\": {\"timestamp\": \"1600000000\"}}", "2020-09-13T12:26:40");
    check_date("{\"creationTime\": {\"timestamp\": \"1600000000\"},"
               " \"photoTakenTime\": {\"timestamp\": \"0\"}}",
               "2020-09-13T12:26:40");
    check_date("{\"creationTime\": {\"timestamp\": \"1600000000\"},"
               " \"photoTakenTime\": {\"timestamp\": \"99999999999999999999\"}}",
               "2020-09-13T12:26:40");
    check_date("{\"photoTakenTime\": {\"timestamp\": \"soon\"}}", NULL);
    check_date("{\"photoTakenTime\": {\"timestamp\": \"\"}}", NULL);
    check_date("{\"photoTakenTime\": {\"timestamp\": \"17x\"}}", NULL);
    check_date("{\"photoTakenTime\": {\"timestamp\": null}}", NULL);
    check_date("{\"photoTakenTime\": {\"timestamp\": true}}", NULL);
    check_date("{\"photoTakenTime\": {\"timestamp\": 1e300}}", NULL);
    check_date("{\"photoTakenTime\": \"1700000000\"}", NULL);
    check_date("{\"photoTakenTime\": [1700000000]}", NULL);
}

static void check_location(const char *json, bool expected, double latitude, double longitude)
{
    SidecarFacts facts = {};

    assert_int_equal(sidecar(json, &facts), expected);
    if (!expected)
        return;
    assert_true(facts.has_location);
    assert_true(facts.latitude == latitude);
    assert_true(facts.longitude == longitude);
}

#define PLACE(key, lat, lon) "\"" key "\": {\"latitude\": " lat ", \"longitude\": " lon "}"

static void test_location(void **state)
{
    (void)state;
    check_location("{" PLACE("geoData", "48.5", "-11.25") "}", true, 48.5, -11.25);
    check_location("{" PLACE("geoData", "\"48.5\"", "\"-11.25\"") "}", true, 48.5, -11.25);
    check_location("{" PLACE("geoDataExif", "1.5", "2.5") ", " PLACE("geoData", "3.5", "4.5") "}",
                   true, 3.5, 4.5);
    check_location("{" PLACE("geoDataExif", "1.5", "2.5") ", " PLACE("geoData", "0.0", "0") "}",
                   true, 1.5, 2.5);
    check_location("{" PLACE("geoData", "0.0", "0.5") "}", true, 0, 0.5);
    check_location("{" PLACE("geoData", "0.0", "0.0") "}", false, 0, 0);
    check_location("{" PLACE("geoData", "90.01", "0.0") "}", false, 0, 0);
    check_location("{" PLACE("geoData", "1", "-180.5") "}", false, 0, 0);
    check_location("{" PLACE("geoData", "\"nan\"", "1") "}", false, 0, 0);
    check_location("{" PLACE("geoData", "\"1 North\"", "1") "}", false, 0, 0);
    check_location("{\"geoData\": {\"latitude\": 1}}", false, 0, 0);
}

static void test_not_a_photos(void **state)
{
    (void)state;
    check_date("{\"photoTakenTime\": {\"timestamp\": \"1700000000\"}, \"entries\": []}", NULL);
    check_date("{\"photoTakenTime\": {\"timestamp\": \"1700000000\"}, \"albumData\": null}", NULL);
    check_date("[{\"photoTakenTime\": {\"timestamp\": \"1700000000\"}}]", NULL);
    check_date("{\"photoTakenTime\": {\"timestamp\": \"1700000000\"}", NULL);
    check_date("{\"photoTakenTime\": {\"timestamp\": \"1700000000\"}} trailing", NULL);
    check_date("{\"title\": \"\xff\", \"photoTakenTime\": {\"timestamp\": \"1700000000\"}}", NULL);
    check_date("{}", NULL);
    check_date("", NULL);
}

static void test_size(void **state)
{
    static const char text[] = "{\"photoTakenTime\": {\"timestamp\": \"1700000000\"}}";
    char *large = malloc(SIDECAR_SIZE_MAX + 1);
    SidecarFacts facts;

    (void)state;
    assert_non_null(large);
    memset(large, ' ', SIDECAR_SIZE_MAX + 1);
    memcpy(large, text, sizeof(text) - 1);
    assert_true(sidecar_read(large, SIDECAR_SIZE_MAX, &facts));
    assert_false(sidecar_read(large, SIDECAR_SIZE_MAX + 1, &facts));
    /* deep nesting is refused, not followed */
    memset(large, '[', SIDECAR_SIZE_MAX);
    assert_false(sidecar_read(large, SIDECAR_SIZE_MAX, &facts));
    free(large);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_date),
        cmocka_unit_test(test_location),
        cmocka_unit_test(test_not_a_photos),
        cmocka_unit_test(test_size),
    };

    (void)setenv("TZ", "UTC", 1);
    tzset();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
