/* Sizes, scaling, turning, reducing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "media/bitmap.h"

/* What Pillow's Image.thumbnail((600, 600)) makes of them. */
static void test_fit(void **state)
{
    static const PixelSize sizes[][2] = {
        {{4000, 3000}, {600, 450}}, {{3000, 4000}, {450, 600}}, {{601, 600}, {600, 599}},
        {{600, 600}, {600, 600}},   {{599, 1}, {599, 1}},       {{1000, 999}, {600, 599}},
        {{999, 1000}, {599, 600}},  {{10000, 1}, {600, 1}},     {{10000, 3}, {600, 1}},
        {{10000, 20}, {600, 1}},    {{1, 10000}, {1, 600}},     {{4608, 1976}, {600, 257}},
        {{1999, 1001}, {600, 300}}, {{1201, 3}, {600, 2}},      {{683, 1024}, {400, 600}},
        {{601, 601}, {600, 600}},   {{1500, 2101}, {428, 600}}, {{100, 68}, {100, 68}},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        PixelSize size = bitmap_fit(sizes[i][0], 600);

        assert_int_equal(size.width, sizes[i][1].width);
        assert_int_equal(size.height, sizes[i][1].height);
    }
}

/* Three by two pixels: a b c / d e f, in one channel or in four. */
static Bitmap make_bitmap(unsigned channels)
{
    Bitmap bitmap;

    assert_int_equal(bitmap_init(&bitmap, 3, 2, channels), 0);
    for (unsigned i = 0; i < 6; i++)
        for (unsigned c = 0; c < channels; c++)
            bitmap.pixels[i * channels + c] = (uint8_t)("abcdef"[i] + 10 * (int)c);
    return bitmap;
}

static void check_orientation(unsigned orientation, unsigned channels, unsigned width,
                              const char *expected)
{
    Bitmap bitmap = make_bitmap(channels);

    assert_int_equal(bitmap_orient(&bitmap, orientation), 0);
    assert_int_equal(bitmap.width, width);
    assert_int_equal(bitmap.height, 6 / width);
    for (unsigned i = 0; i < 6; i++)
        for (unsigned c = 0; c < channels; c++)
            assert_int_equal(bitmap.pixels[i * channels + c], expected[i] + 10 * (int)c);
    bitmap_done(&bitmap);
}

static void test_orientation(void **state)
{
    /* Exif 2.32: which edge of the stored picture is the top and which the left of the scene */
    static const struct {
        unsigned width;
        const char *pixels;
    } expected[] = {
        {3, "abcdef"}, {3, "abcdef"}, {3, "cbafed"}, {3, "fedcba"}, {3, "defabc"},
        {2, "adbecf"}, {2, "daebfc"}, {2, "fcebda"}, {2, "cfbead"}, {3, "abcdef"},
    };

    (void)state;
    for (unsigned i = 0; i < 10; i++) {
        check_orientation(i, 1, expected[i].width, expected[i].pixels);
        check_orientation(i, 4, expected[i].width, expected[i].pixels);
    }
}

static void check_scale(unsigned channels)
{
    Bitmap bitmap;

    assert_int_equal(bitmap_init(&bitmap, 40, 20, channels), 0);
    memset(bitmap.pixels, 200, bitmap_stride(&bitmap) * 10);
    memset(bitmap_row(&bitmap, 10), 50, bitmap_stride(&bitmap) * 10);
    assert_int_equal(bitmap_scale(&bitmap, (PixelSize){4, 2}), 0);
    assert_int_equal(bitmap.width, 4);
    assert_int_equal(bitmap.height, 2);
    for (unsigned i = 0; i < bitmap_stride(&bitmap); i++) {
        assert_in_range(bitmap_row(&bitmap, 0)[i], 199, 200); /* libyuv does not round */
        assert_in_range(bitmap_row(&bitmap, 1)[i], 49, 50);
    }
    bitmap_done(&bitmap);
}

static void test_scale(void **state)
{
    (void)state;
    check_scale(1);
    check_scale(4);
}

static void test_init_limits(void **state)
{
    Bitmap bitmap;

    (void)state;
    assert_int_equal(bitmap_init(&bitmap, 0, 1, 4), -ENOMEM);
    assert_int_equal(bitmap_init(&bitmap, 1, 0, 4), -ENOMEM);
    assert_int_equal(bitmap_init(&bitmap, 40000, 1, 4), -ENOMEM);
    assert_int_equal(bitmap_init(&bitmap, 32767, 1, 4), 0);
    bitmap_done(&bitmap);
}

/* Blocks of 3 x 2, with a column and a row over. */
static void test_reducer(void **state)
{
    static const uint8_t rows[5][7] = {
        {0, 3, 6, 10, 10, 10, 7}, {9, 12, 15, 20, 20, 20, 9},    {1, 1, 1, 2, 2, 2, 3},
        {1, 1, 1, 2, 2, 2, 3},    {100, 100, 100, 0, 0, 1, 255},
    };
    static const uint8_t expected[9] = {8, 15, 8, 1, 2, 3, 100, 0, 255};
    Reducer reducer;
    Bitmap bitmap;

    (void)state;
    assert_int_equal(reducer_init(&reducer, (PixelSize){7, 5}, (PixelSize){1, 1}, 1), 0);
    assert_int_equal(reducer.block_width, 3);
    assert_int_equal(reducer.block_height, 2);
    for (unsigned y = 0; y < 5; y++)
        reducer_add_row(&reducer, rows[y]);
    reducer_finish(&reducer, &bitmap);
    assert_int_equal(bitmap.width, 3);
    assert_int_equal(bitmap.height, 3);
    assert_memory_equal(bitmap.pixels, expected, 9);
    bitmap_done(&bitmap);
    reducer_done(&reducer);
}

/* A picture that is not to be reduced passes as it is; rows too many are ignored. */
static void test_reducer_plain(void **state)
{
    static const uint8_t row[8] = {1, 2, 3, 4, 5, 6, 7, 8};
    Reducer reducer;
    Bitmap bitmap;

    (void)state;
    assert_int_equal(reducer_init(&reducer, (PixelSize){2, 2}, (PixelSize){2, 2}, 4), 0);
    for (unsigned y = 0; y < 5; y++)
        reducer_add_row(&reducer, row);
    reducer_finish(&reducer, &bitmap);
    assert_memory_equal(bitmap_row(&bitmap, 0), row, 8);
    assert_memory_equal(bitmap_row(&bitmap, 1), row, 8);
    bitmap_done(&bitmap);
    reducer_done(&reducer);
}

/* 200 million pixels in one line: little memory, no overflow. */
static void test_reducer_long(void **state)
{
    enum { WIDTH = 50000000 };
    uint8_t *row = malloc(WIDTH);
    Reducer reducer;
    Bitmap bitmap;

    (void)state;
    assert_non_null(row);
    memset(row, 255, WIDTH);
    assert_int_equal(reducer_init(&reducer, (PixelSize){WIDTH, 1}, (PixelSize){16, 1}, 1), 0);
    reducer_add_row(&reducer, row);
    reducer_finish(&reducer, &bitmap);
    assert_int_equal(bitmap.width, 32);
    assert_int_equal(bitmap.pixels[0], 255);
    assert_int_equal(bitmap.pixels[31], 255);
    bitmap_done(&bitmap);
    reducer_done(&reducer);
    assert_int_equal(reducer_init(&reducer, (PixelSize){UINT32_MAX, 1}, (PixelSize){16, 1}, 1),
                     -ENOMEM);
    free(row);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fit),          cmocka_unit_test(test_orientation),
        cmocka_unit_test(test_scale),        cmocka_unit_test(test_init_limits),
        cmocka_unit_test(test_reducer),      cmocka_unit_test(test_reducer_plain),
        cmocka_unit_test(test_reducer_long),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
