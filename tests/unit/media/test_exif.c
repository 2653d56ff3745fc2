/* EXIF blocks, written entry by entry. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "media/exif.h"
#include "media/photo.h"
#include "pictures.h"

#define EXIF_IFD 0x8769
#define GPS_IFD  0x8825

static ExifFacts read_entries(bool big_endian, const TiffEntry *entries, size_t n)
{
    TiffWriter tiff = make_tiff(big_endian, entries, n);
    ExifFacts facts;

    exif_facts_read(tiff.data, tiff.size, &facts);
    return facts;
}

#define READ(...)                                                                                  \
    read_entries(false, (const TiffEntry[]){__VA_ARGS__},                                          \
                 sizeof((const TiffEntry[]){__VA_ARGS__}) / sizeof(TiffEntry))

static const TiffEntry original = {EXIF_IFD, 0x9003, 2, "2001:01:01 01:01:01", {}, 0};
static const TiffEntry digitized = {EXIF_IFD, 0x9004, 2, "2002:02:02 02:02:02", {}, 0};
static const TiffEntry date_time = {0, 0x0132, 2, "2003:03:03 03:03:03", {}, 0};

static void test_date_order(void **state)
{
    (void)state;
    assert_string_equal(READ(date_time, digitized, original).date, "2001-01-01T01:01:01");
    assert_string_equal(READ(date_time, digitized).date, "2002-02-02T02:02:02");
    assert_string_equal(READ(date_time).date, "2003-03-03T03:03:03");
    /* the sub-IFD before IFD0, whichever the tag */
    assert_string_equal(READ(original, {0, 0x9003, 2, "2004:04:04 04:04:04"}).date,
                        "2001-01-01T01:01:01");
    assert_string_equal(READ(digitized, {0, 0x9003, 2, "2004:04:04 04:04:04"}).date,
                        "2004-04-04T04:04:04");
    assert_string_equal(READ(date_time, {EXIF_IFD, 0x0132, 2, "2005:05:05 05:05:05"}).date,
                        "2005-05-05T05:05:05");
}

static void test_bad_dates(void **state)
{
    (void)state;
    assert_string_equal(READ(digitized, {EXIF_IFD, 0x9003, 2, "0000:00:00 00:00:00"}).date,
                        "2002-02-02T02:02:02");
    assert_string_equal(READ(date_time, {EXIF_IFD, 0x9003, 2, "    :  :     :  :  "}).date,
                        "2003-03-03T03:03:03");
    assert_string_equal(READ({EXIF_IFD, 0x9003, 2, "yesterday"}).date, "");
    /* undefined bytes that are text; a number */
    assert_string_equal(READ({EXIF_IFD, 0x9003, 7, "2006:06:06 06:06:06", {}, 19}).date,
                        "2006-06-06T06:06:06");
    assert_string_equal(READ({EXIF_IFD, 0x9003, 4, NULL, {20010101}}).date, "");
}

#define ANGLE(tag_, d, dd, m, md, s, sd)                                                           \
    {                                                                                              \
        GPS_IFD, tag_, 5, NULL, {d, dd, m, md, s, sd}, 3                                           \
    }
#define REF(tag_, letter)                                                                          \
    {                                                                                              \
        GPS_IFD, tag_, 2, letter                                                                   \
    }

static void test_location(void **state)
{
    ExifFacts facts;

    (void)state;
    facts = READ(REF(1, "S"), ANGLE(2, 0, 1, 22, 1, 1668, 100), REF(3, "E"),
                 ANGLE(4, 36, 1, 3, 1, 2310, 100));
    assert_true(facts.has_location);
    assert_true(facts.latitude == -(0 + 22 / 60.0 + 16.68 / 3600.0));
    assert_true(facts.longitude == 36 + 3 / 60.0 + 23.1 / 3600.0);
    facts = READ(REF(1, "N "), ANGLE(2, 1, 1, 0, 1, 0, 1), REF(3, "W"), ANGLE(4, 2, 1, 0, 1, 0, 1));
    assert_true(facts.has_location);
    assert_true(facts.latitude == 1 && facts.longitude == -2);
}

static void test_no_location(void **state)
{
    (void)state;
    /* no hemisphere; no longitude; nothing divided by nothing; off this planet; one number only */
    assert_false(
        READ(ANGLE(2, 1, 1, 0, 1, 0, 1), REF(3, "W"), ANGLE(4, 2, 1, 0, 1, 0, 1)).has_location);
    assert_false(READ(REF(1, "N"), ANGLE(2, 1, 1, 0, 1, 0, 1), REF(3, "E")).has_location);
    assert_false(
        READ(REF(1, "N"), ANGLE(2, 1, 1, 0, 0, 0, 1), REF(3, "E"), ANGLE(4, 2, 1, 0, 1, 0, 1))
            .has_location);
    assert_false(
        READ(REF(1, "N"), ANGLE(2, 91, 1, 0, 1, 0, 1), REF(3, "E"), ANGLE(4, 2, 1, 0, 1, 0, 1))
            .has_location);
    assert_false(
        READ(REF(1, "N"), {GPS_IFD, 2, 5, NULL, {1, 1}, 1}, REF(3, "E"), ANGLE(4, 2, 1, 0, 1, 0, 1))
            .has_location);
    assert_false(
        READ(REF(1, ""), ANGLE(2, 1, 1, 0, 1, 0, 1), REF(3, "E"), ANGLE(4, 2, 1, 0, 1, 0, 1))
            .has_location);
}

static void test_orientation(void **state)
{
    (void)state;
    for (unsigned i = 1; i <= 8; i++)
        assert_int_equal(READ({0, 0x0112, 3, NULL, {i}}).orientation, i);
    assert_int_equal(READ({0, 0x0112, 3, NULL, {0}}).orientation, 1);
    assert_int_equal(READ({0, 0x0112, 3, NULL, {9}}).orientation, 1);
    assert_int_equal(READ(date_time).orientation, 1);
}

static void test_big_endian(void **state)
{
    const TiffEntry entries[] = {{0, 0x0112, 3, NULL, {6}, 0}, original};
    ExifFacts facts = read_entries(true, entries, 2);

    (void)state;
    assert_int_equal(facts.orientation, 6);
    assert_string_equal(facts.date, "2001-01-01T01:01:01");
}

/* A pointer that is not one whole number leads nowhere for PictoPy's reader, so for ours. */
static void test_pointer_type(void **state)
{
    const TiffEntry entries[] = {original, date_time};
    TiffWriter tiff = make_tiff(false, entries, 2);
    ExifFacts facts;
    bool found = false;

    (void)state;
    for (size_t i = 0; i + 12 < tiff.size && !found; i++)
        if (memcmp(tiff.data + i, "\x69\x87\x04\x00\x01\x00\x00\x00", 8) == 0) {
            tiff.data[i + 2] = 2;
            found = true;
        }
    assert_true(found);
    exif_facts_read(tiff.data, tiff.size, &facts);
    assert_string_equal(facts.date, "2003-03-03T03:03:03");
}

/* Cut anywhere, and with any byte turned around: nothing may be read beyond the end. */
static void test_damage(void **state)
{
    const TiffEntry entries[] = {original,    date_time,
                                 REF(1, "N"), ANGLE(2, 1, 1, 0, 1, 0, 1),
                                 REF(3, "E"), ANGLE(4, 2, 1, 0, 1, 0, 1)};
    TiffWriter tiff = make_tiff(false, entries, 6);
    ExifFacts facts;

    (void)state;
    for (size_t size = 0; size < tiff.size; size++) {
        uint8_t *copy = malloc(size ? size : 1);

        memcpy(copy, tiff.data, size);
        exif_facts_read(copy, size, &facts);
        free(copy);
    }
    for (size_t i = 0; i < tiff.size; i++) {
        uint8_t *copy = malloc(tiff.size);

        memcpy(copy, tiff.data, tiff.size);
        copy[i] = (uint8_t)~copy[i];
        exif_facts_read(copy, tiff.size, &facts);
        assert_in_range(facts.orientation, 1, 8);
        free(copy);
    }
    exif_facts_read(NULL, 0, &facts);
    assert_string_equal(facts.date, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_date_order),   cmocka_unit_test(test_bad_dates),
        cmocka_unit_test(test_location),     cmocka_unit_test(test_no_location),
        cmocka_unit_test(test_orientation),  cmocka_unit_test(test_big_endian),
        cmocka_unit_test(test_pointer_type), cmocka_unit_test(test_damage),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
