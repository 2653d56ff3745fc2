/* The metadata column. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "media/metadata.h"

static MediaFacts photo_facts(void)
{
    return (MediaFacts){
        .kind = MEDIA_KIND_PHOTO,
        .stamp = {.size = 123456, .mtime_ns = 1700000000987654321},
        .width = 4000,
        .height = 3000,
        .item_type = "image/jpeg",
        .date_source = DATE_SOURCE_EXIF,
        .date_created = "2008-05-30T15:56:01",
        .duration = -1,
        .fps = -1,
    };
}

static void check(const MediaFacts *facts, const char *path, const char *old, const char *expected)
{
    char *json = NULL;

    assert_int_equal(metadata_compose(facts, path, old, &json), 0);
    assert_string_equal(json, expected);
    free(json);
}

#define PHOTO                                                                                      \
    "{\"name\": \"b.jpg\", \"date_created\": \"2008-05-30T15:56:01\", \"date_source\": \"exif\", " \
    "\"width\": 4000, \"height\": 3000, \"file_location\": \"/a/b.jpg\", \"file_size\": 123456, "  \
    "\"file_mtime\": 1700000000, \"item_type\": \"image/jpeg\""

static void test_photo(void **state)
{
    MediaFacts facts = photo_facts();

    (void)state;
    check(&facts, "/a/b.jpg", NULL, PHOTO "}");
    facts.has_location = true;
    facts.latitude = -0.37129999999999996;
    facts.longitude = 7;
    check(&facts, "/a/b.jpg", NULL,
          PHOTO ", \"latitude\": -0.37129999999999996, \"longitude\": 7.0}");
}

static void test_merge(void **state)
{
    MediaFacts facts = photo_facts();

    (void)state;
    check(&facts, "/a/b.jpg",
          "{\"width\": 1, \"rating\": 5, \"latitude\": 1.5, \"tags\": [\"\xc3\xa9\"]}",
          PHOTO ", \"rating\": 5, \"tags\": [\"\\u00E9\"]}");
    check(&facts, "/a/b.jpg", "{\"we\\\"ird\": {\"a\": null}, \"file_modified\": 1}",
          PHOTO ", \"we\\\"ird\": {\"a\": null}, \"file_modified\": 1}");
    /* what is not an object counts as empty */
    check(&facts, "/a/b.jpg", "[1, 2]", PHOTO "}");
    check(&facts, "/a/b.jpg", "nonsense", PHOTO "}");
    check(&facts, "/a/b.jpg", "", PHOTO "}");
}

/* Composing again changes nothing. */
static void test_stable(void **state)
{
    MediaFacts facts = photo_facts();
    char *first = NULL;
    char *second = NULL;

    (void)state;
    facts.has_location = true;
    facts.latitude = 43.46744833333334;
    facts.longitude = 11.885126666663888;
    assert_int_equal(metadata_compose(&facts, "/a/b.jpg", "{\"x\": 1.25}", &first), 0);
    assert_int_equal(metadata_compose(&facts, "/a/b.jpg", first, &second), 0);
    assert_string_equal(first, second);
    assert_non_null(strstr(first, "43.46744833333334,"));
    free(first);
    free(second);
}

static void test_names(void **state)
{
    MediaFacts facts = photo_facts();
    char *json = NULL;

    (void)state;
    assert_int_equal(metadata_compose(&facts, "/a \"q\"\n/\xc3\xbc.jpg", NULL, &json), 0);
    assert_non_null(strstr(json, "\"name\": \"\\u00FC.jpg\""));
    assert_non_null(strstr(json, "\"file_location\": \"/a \\\"q\\\"\\n/\\u00FC.jpg\""));
    free(json);
    json = NULL;
    assert_true(metadata_compose(&facts, "/a/\xff.jpg", NULL, &json) < 0);
    assert_null(json);
}

static void test_no_date(void **state)
{
    MediaFacts facts = photo_facts();
    char *json = NULL;

    (void)state;
    facts.date_source = DATE_SOURCE_UNKNOWN;
    facts.date_created[0] = '\0';
    assert_int_equal(metadata_compose(&facts, "/a/b.jpg", NULL, &json), 0);
    assert_non_null(strstr(json, "\"date_created\": null, \"date_source\": \"unknown\""));
    free(json);
}

static void test_video(void **state)
{
    MediaFacts facts = photo_facts();

    (void)state;
    facts.kind = MEDIA_KIND_VIDEO;
    facts.date_source = DATE_SOURCE_CONTAINER;
    facts.width = 1920;
    facts.height = 1080;
    facts.duration = 12.345;
    facts.fps = 29.97;
    check(&facts, "/v/clip.MOV", "{\"file_mtime\": 3, \"fps\": 1}",
          "{\"name\": \"clip.MOV\", \"date_created\": \"2008-05-30T15:56:01\", "
          "\"date_source\": \"container\", \"file_modified\": \"2023-11-14T22:13:20.987654\", "
          "\"width\": 1920, \"height\": 1080, \"duration\": 12.345, \"fps\": 29.97, "
          "\"file_location\": \"/v/clip.MOV\", \"file_size\": 123456, "
          "\"item_type\": \"video/quicktime\", \"file_mtime\": 3}");
    facts.duration = facts.fps = -1;
    facts.width = facts.height = 0;
    facts.date_source = DATE_SOURCE_FILESYSTEM;
    check(&facts, "/v/clip.webm", NULL,
          "{\"name\": \"clip.webm\", \"date_created\": \"2008-05-30T15:56:01\", "
          "\"date_source\": \"filesystem\", \"file_modified\": \"2023-11-14T22:13:20.987654\", "
          "\"width\": 0, \"height\": 0, \"duration\": null, \"fps\": null, "
          "\"file_location\": \"/v/clip.webm\", \"file_size\": 123456, "
          "\"item_type\": \"video/webm\"}");
}

static void test_captured_at(void **state)
{
    MediaFacts facts = photo_facts();

    (void)state;
    assert_string_equal(media_facts_captured_at(&facts), "2008-05-30T15:56:01");
    facts.date_source = DATE_SOURCE_SIDECAR;
    assert_non_null(media_facts_captured_at(&facts));
    facts.date_source = DATE_SOURCE_CONTAINER;
    assert_non_null(media_facts_captured_at(&facts));
    facts.date_source = DATE_SOURCE_FILESYSTEM;
    assert_null(media_facts_captured_at(&facts));
    facts.date_source = DATE_SOURCE_UNKNOWN;
    assert_null(media_facts_captured_at(&facts));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_photo),       cmocka_unit_test(test_merge),
        cmocka_unit_test(test_stable),      cmocka_unit_test(test_names),
        cmocka_unit_test(test_no_date),     cmocka_unit_test(test_video),
        cmocka_unit_test(test_captured_at),
    };

    (void)setenv("TZ", "UTC", 1);
    tzset();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
