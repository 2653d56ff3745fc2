/* Dates in the boxes of MP4 and QuickTime files. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "media/movie.h"
#include "movies.h"

#define FROM_1904 UINT64_C(2082844800)

static void check_bytes(const void *data, size_t size, const char *recorded, const char *created)
{
    uint8_t *copy = malloc(size ? size : 1);
    ByteSource source = {.fd = -1, .data = copy, .size = size};
    MovieDates dates;

    assert_non_null(copy);
    memcpy(copy, data, size);
    movie_dates_read(&source, &dates);
    assert_string_equal(dates.recorded, recorded);
    assert_string_equal(dates.created, created);
    free(copy);
}

static void check(Text file, const char *recorded, const char *created)
{
    check_bytes(file.data, file.length, recorded, created);
    text_done(&file);
}

static void test_header(void **state)
{
    (void)state;
    check(make_movie(0, FROM_1904 + 1700000000, NULL, 0), "", "2023-11-14T22:13:20");
    check(make_movie(1, FROM_1904 + 1700000000, NULL, 0), "", "2023-11-14T22:13:20");
    check(make_movie(0, 0, NULL, 0), "", "");
    /* before 1990; before 1970, which is not to be taken for Unix time; the far future */
    check(make_movie(0, FROM_1904 + 631151999, NULL, 0), "", "");
    check(make_movie(0, FROM_1904 + 631152000, NULL, 0), "", "1990-01-01T00:00:00");
    check(make_movie(0, 1700000000, NULL, 0), "", "");
    check(make_movie(0, UINT32_MAX, NULL, 0), "", "");
    check(make_movie(1, UINT64_MAX, NULL, 0), "", "");
}

static void test_quicktime(void **state)
{
    (void)state;
    check(make_movie(0, 0, "2024-08-07T13:02:02+0530", 0), "2024-08-07T13:02:02", "");
    check(make_movie(0, 0, "2024-08-07T13:02:02+0530", 1), "2024-08-07T13:02:02", "");
    check(make_movie(0, FROM_1904 + 1700000000, "2024-08-07T13:02:02Z", 0), "2024-08-07T13:02:02",
          "2023-11-14T22:13:20");
    check(make_movie(0, 0, "1980-08-07T13:02:02Z", 0), "", "");
    check(make_movie(0, 0, "9000-08-07T13:02:02Z", 0), "", "");
    check(make_movie(0, 0, "soon", 0), "", "");
    check(make_movie(0, 0, "", 0), "", "");
}

/* 64-bit sizes, a box that goes on to the end of the file, boxes that claim too much. */
static void test_box_sizes(void **state)
{
    Text file = {}, moov = {}, bad = {};

    (void)state;
    movie_put(&file, 1, 4);
    text_append(&file, "free");
    movie_put(&file, 20, 8);
    text_append(&file, "1234");
    movie_header(&moov, 0, FROM_1904 + 1700000000);
    movie_put(&file, 0, 4);
    text_append(&file, "moov");
    text_append_bytes(&file, moov.data, moov.length);
    check(file, "", "2023-11-14T22:13:20");
    movie_put(&bad, moov.length + 9, 4);
    text_append(&bad, "moov");
    text_append_bytes(&bad, moov.data, moov.length);
    check(bad, "", "");
    text_done(&moov);
}

/* Cut anywhere, any byte turned around: never beyond the end, never for ever. */
static void test_damage(void **state)
{
    Text file = make_movie(1, FROM_1904 + 1700000000, "2024-08-07T13:02:02+0530", 1);
    MovieDates dates;

    (void)state;
    for (size_t size = 0; size < file.length; size++) {
        uint8_t *copy = malloc(size ? size : 1);
        ByteSource source = {.fd = -1, .data = copy, .size = size};

        memcpy(copy, file.data, size);
        movie_dates_read(&source, &dates);
        free(copy);
    }
    for (size_t i = 0; i < file.length; i++)
        for (int value = 0; value < 256; value += 51) {
            char old = file.data[i];
            ByteSource source = {.fd = -1, .data = (const uint8_t *)file.data, .size = file.length};

            file.data[i] = (char)value;
            movie_dates_read(&source, &dates);
            file.data[i] = old;
        }
    text_done(&file);
}

/* A file of empty boxes only: the walk ends early. */
static void test_many_boxes(void **state)
{
    Text file = {}, moov = {};

    (void)state;
    for (unsigned i = 0; i < 5000; i++) {
        movie_put(&file, 8, 4);
        text_append(&file, "free");
    }
    movie_header(&moov, 0, FROM_1904 + 1700000000);
    movie_box(&file, "moov", &moov);
    check(file, "", "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_header),     cmocka_unit_test(test_quicktime),
        cmocka_unit_test(test_box_sizes),  cmocka_unit_test(test_damage),
        cmocka_unit_test(test_many_boxes),
    };

    (void)setenv("TZ", "UTC", 1);
    tzset();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
