/* Photos in memory: decoded, turned upright, reduced, refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "media/photo.h"
#include "pictures.h"

static const PhotoOptions options = {
    .thumbnail_size = 100, .thumbnail_quality = 90, .max_pixels = 4000000};

/* Reads a photo that must be good. */
static Photo read_good(Bytes bytes)
{
    MediaError error = {};
    Photo photo;

    assert_non_null(bytes.data);
    if (photo_read(bytes.data, bytes.size, &options, &photo, &error) != MEDIA_STATUS_OK)
        fail_msg("not read: %s", error.text);
    return photo;
}

/* Reads one that must be refused with that status and a reason that contains text. */
static void check_bad(const void *data, size_t size, MediaStatus status, const char *text)
{
    /* exactly as large as it says, so that the sanitizer sees any step beyond */
    CLEANUP_FREE uint8_t *copy = malloc(size ? size : 1);
    MediaError error = {};
    Photo photo = {};

    assert_non_null(copy);
    memcpy(copy, data, size);
    if (photo_read(copy, size, &options, &photo, &error) != status || photo.thumbnail ||
        !strstr(error.text, text))
        fail_msg("of %zu bytes it says \"%s\", not \"%s\"", size, error.text, text);
}

static Decoded decode_thumbnail(const Photo *photo)
{
    Decoded decoded = decode_jpeg(photo->thumbnail, photo->thumbnail_bytes);

    assert_int_equal(decoded.width, photo->thumbnail_size.width);
    assert_int_equal(decoded.height, photo->thumbnail_size.height);
    assert_false(decoded.has_exif);
    return decoded;
}

/* Are the quarters where places says: places[i] is the colour of quarter i? */
static void check_quarters(const Decoded *decoded, const char *places)
{
    for (unsigned i = 0; i < 4; i++) {
        Color color = color_of(decoded, i);
        Color expected = quarter_colors[places[i] - '0'];

        if (decoded->components == 1)
            expected = (Color){expected.g, expected.g, expected.g};
        if (!is_color(color, expected, 12))
            fail_msg("quarter %u is %d %d %d, expected %d %d %d", i, color.r, color.g, color.b,
                     expected.r, expected.g, expected.b);
    }
}

static void check_photo(Bytes bytes, const char *item_type, unsigned width, unsigned height,
                        const char *places)
{
    CLEANUP(bytes_done) Bytes own = bytes;
    CLEANUP(photo_done) Photo photo = read_good(own);
    CLEANUP(decoded_done) Decoded decoded = decode_thumbnail(&photo);

    assert_string_equal(photo.item_type, item_type);
    assert_int_equal(photo.size.width, width);
    assert_int_equal(photo.size.height, height);
    check_quarters(&decoded, places);
}

/* The stored picture is 0 1 / 2 3; upright it looks like this. */
static const char *const upright[9] = {"",     "0123", "1032", "3210", "2301",
                                       "0213", "2031", "3120", "1302"};

static void test_orientation_jpeg(void **state)
{
    (void)state;
    for (unsigned i = 1; i <= 8; i++) {
        TiffWriter tiff = make_orientation(i);
        CLEANUP(bytes_done)
        Bytes bytes = make_jpeg(
            &(JpegSpec){.width = 320, .height = 160, .exif = tiff.data, .exif_size = tiff.size});
        CLEANUP(photo_done) Photo photo = read_good(bytes);
        CLEANUP(decoded_done) Decoded decoded = decode_thumbnail(&photo);

        assert_int_equal(photo.size.width, 320);
        assert_int_equal(photo.size.height, 160);
        assert_int_equal(decoded.width, i < 5 ? 100 : 50);
        assert_int_equal(decoded.height, i < 5 ? 50 : 100);
        check_quarters(&decoded, upright[i]);
    }
}

static void test_orientation_gray(void **state)
{
    (void)state;
    for (unsigned i = 1; i <= 8; i++) {
        TiffWriter tiff = make_orientation(i);

        check_photo(make_jpeg(&(JpegSpec){.width = 64,
                                          .height = 32,
                                          .space = JCS_GRAYSCALE,
                                          .exif = tiff.data,
                                          .exif_size = tiff.size}),
                    "image/jpeg", 64, 32, upright[i]);
    }
}

static void test_orientation_png(void **state)
{
    TiffWriter tiff = make_orientation(6);
    PngSpec spec = {.width = 64,
                    .height = 32,
                    .color_type = SPNG_COLOR_TYPE_TRUECOLOR,
                    .exif = tiff.data,
                    .exif_size = tiff.size};

    (void)state;
    check_photo(make_png(&spec), "image/png", 64, 32, upright[6]);
}

/* ImageMagick's place for EXIF: a name, a length, hexadecimal digits with line ends. */
static void test_orientation_png_text(void **state)
{
    TiffWriter tiff = make_orientation(8);
    PngSpec spec = {.width = 64,
                    .height = 32,
                    .color_type = SPNG_COLOR_TYPE_TRUECOLOR,
                    .text_key = "Raw profile type exif"};
    Text text = {};

    (void)state;
    text_printf(&text, "\nexif\n%8zu\n457869660000", tiff.size + 6);
    for (size_t i = 0; i < tiff.size; i++)
        text_printf(&text, "%02x%s", tiff.data[i], i % 30 == 29 ? "\n" : "");
    spec.text = text.data;
    check_photo(make_png(&spec), "image/png", 64, 32, upright[8]);
    text_done(&text);
}

static void test_kinds_of_jpeg(void **state)
{
    (void)state;
    check_photo(make_jpeg(&(JpegSpec){.width = 333, .height = 211}), "image/jpeg", 333, 211,
                "0123");
    check_photo(make_jpeg(&(JpegSpec){.width = 900, .height = 900, .progressive = true}),
                "image/jpeg", 900, 900, "0123");
    check_photo(make_jpeg(&(JpegSpec){.width = 200, .height = 100, .space = JCS_CMYK}),
                "image/jpeg", 200, 100, "0123");
    check_photo(make_jpeg(&(JpegSpec){.width = 200, .height = 100, .arithmetic = true}),
                "image/jpeg", 200, 100, "0123");
    check_photo(make_jpeg(&(JpegSpec){.width = 1, .height = 1}), "image/jpeg", 1, 1, "0000");
}

static void test_kinds_of_png(void **state)
{
    static const struct {
        uint8_t color_type, depth;
    } kinds[] = {
        {SPNG_COLOR_TYPE_TRUECOLOR, 8},        {SPNG_COLOR_TYPE_TRUECOLOR, 16},
        {SPNG_COLOR_TYPE_TRUECOLOR_ALPHA, 8},  {SPNG_COLOR_TYPE_TRUECOLOR_ALPHA, 16},
        {SPNG_COLOR_TYPE_INDEXED, 8},          {SPNG_COLOR_TYPE_GRAYSCALE, 8},
        {SPNG_COLOR_TYPE_GRAYSCALE, 16},       {SPNG_COLOR_TYPE_GRAYSCALE_ALPHA, 8},
        {SPNG_COLOR_TYPE_GRAYSCALE_ALPHA, 16},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        PngSpec spec = {.width = 450,
                        .height = 130,
                        .color_type = kinds[i].color_type,
                        .depth = kinds[i].depth};

        check_photo(make_png(&spec), "image/png", 450, 130, "0123");
    }
    check_photo(make_interlaced_png(301, 217), "image/png", 301, 217, "0123");
}

/* What is transparent lies on white. */
static void test_transparency(void **state)
{
    static const uint8_t types[] = {SPNG_COLOR_TYPE_TRUECOLOR_ALPHA, SPNG_COLOR_TYPE_INDEXED,
                                    SPNG_COLOR_TYPE_GRAYSCALE_ALPHA};

    (void)state;
    for (size_t i = 0; i < sizeof(types); i++) {
        PngSpec spec = {.width = 80, .height = 80, .color_type = types[i], .transparent = true};
        CLEANUP(bytes_done) Bytes bytes = make_png(&spec);
        CLEANUP(photo_done) Photo photo = read_good(bytes);
        CLEANUP(decoded_done) Decoded decoded = decode_thumbnail(&photo);

        assert_true(is_color(color_of(&decoded, 0), (Color){255, 255, 255}, 6));
    }
}

static void check_size(unsigned width, unsigned height, unsigned expected_width,
                       unsigned expected_height)
{
    CLEANUP(bytes_done) Bytes jpeg = make_jpeg(&(JpegSpec){.width = width, .height = height});
    PngSpec spec = {.width = width, .height = height, .color_type = SPNG_COLOR_TYPE_TRUECOLOR};
    CLEANUP(bytes_done) Bytes png = make_png(&spec);
    CLEANUP(photo_done) Photo from_jpeg = read_good(jpeg);
    CLEANUP(photo_done) Photo from_png = read_good(png);
    CLEANUP(decoded_done) Decoded jpeg_thumbnail = decode_thumbnail(&from_jpeg);
    CLEANUP(decoded_done) Decoded png_thumbnail = decode_thumbnail(&from_png);

    assert_int_equal(jpeg_thumbnail.width, expected_width);
    assert_int_equal(jpeg_thumbnail.height, expected_height);
    assert_int_equal(png_thumbnail.width, expected_width);
    assert_int_equal(png_thumbnail.height, expected_height);
}

static void test_sizes(void **state)
{
    (void)state;
    check_size(99, 40, 99, 40); /* never enlarged */
    check_size(100, 100, 100, 100);
    check_size(101, 100, 100, 99);
    check_size(1600, 1200, 100, 75);
    check_size(1200, 1600, 75, 100);
    check_size(65500, 2, 100, 1);
    check_size(3, 65500, 1, 100);
    check_size(1, 1, 1, 1);
}

static void test_sampling(void **state)
{
    CLEANUP(bytes_done) Bytes bytes = make_jpeg(&(JpegSpec){.width = 300, .height = 200});
    CLEANUP(photo_done) Photo photo = read_good(bytes);
    CLEANUP(decoded_done) Decoded decoded = decode_thumbnail(&photo);

    (void)state;
    assert_int_equal(decoded.components, 3);
    assert_int_equal(decoded.sampling_h, 2);
    assert_int_equal(decoded.sampling_v, 2);
}

static void check_profile(Bytes bytes, const Bytes *icc)
{
    CLEANUP(bytes_done) Bytes own = bytes;
    CLEANUP(photo_done) Photo photo = read_good(own);
    CLEANUP(decoded_done) Decoded decoded = decode_thumbnail(&photo);

    if (!icc) {
        assert_null(decoded.icc);
        return;
    }
    assert_int_equal(decoded.icc_size, icc->size);
    assert_memory_equal(decoded.icc, icc->data, icc->size);
}

static void test_profile(void **state)
{
    CLEANUP(bytes_done) Bytes small = make_icc(3000, "RGB ");
    CLEANUP(bytes_done) Bytes large = make_icc(200000, "RGB "); /* four segments */
    CLEANUP(bytes_done) Bytes gray = make_icc(500, "GRAY");
    CLEANUP(bytes_done) Bytes cmyk = make_icc(500, "CMYK");
    JpegSpec jpeg = {.width = 200, .height = 100, .icc = small.data, .icc_size = small.size};
    PngSpec png = {.width = 200,
                   .height = 100,
                   .color_type = SPNG_COLOR_TYPE_TRUECOLOR,
                   .icc = large.data,
                   .icc_size = large.size};

    (void)state;
    check_profile(make_jpeg(&jpeg), &small);
    jpeg.icc = large.data, jpeg.icc_size = large.size;
    check_profile(make_jpeg(&jpeg), &large);
    check_profile(make_png(&png), &large);
    jpeg.icc = gray.data, jpeg.icc_size = gray.size;
    check_profile(make_jpeg(&jpeg), NULL); /* does not fit the pixels */
    jpeg.space = JCS_GRAYSCALE;
    check_profile(make_jpeg(&jpeg), &gray);
    png.icc = gray.data, png.icc_size = gray.size, png.color_type = SPNG_COLOR_TYPE_GRAYSCALE;
    check_profile(make_png(&png), &gray);
    jpeg.space = JCS_CMYK, jpeg.icc = cmyk.data, jpeg.icc_size = cmyk.size;
    check_profile(make_jpeg(&jpeg), NULL); /* it is RGB now */
}

/* Not one byte may be missing: Pillow refuses such files too. */
static void test_truncated(void **state)
{
    CLEANUP(bytes_done) Bytes jpeg = make_jpeg(&(JpegSpec){.width = 90, .height = 60});
    CLEANUP(bytes_done)
    Bytes progressive = make_jpeg(&(JpegSpec){.width = 90, .height = 60, .progressive = true});
    PngSpec spec = {.width = 90, .height = 60, .color_type = SPNG_COLOR_TYPE_TRUECOLOR};
    CLEANUP(bytes_done) Bytes png = make_png(&spec);

    (void)state;
    for (size_t size = 0; size < jpeg.size; size += size + 40 < jpeg.size && size > 3 ? 7 : 1)
        check_bad(jpeg.data, size, MEDIA_STATUS_UNDECODABLE, size > 3 ? "truncated" : "");
    check_bad(progressive.data, progressive.size - 1, MEDIA_STATUS_UNDECODABLE, "truncated");
    check_bad(progressive.data, progressive.size / 2, MEDIA_STATUS_UNDECODABLE, "truncated");
    for (size_t size = 8; size < png.size - 8; size++)
        check_bad(png.data, size, MEDIA_STATUS_UNDECODABLE, "truncated");
}

/* Any byte may be wrong: the answer is a photo or a reason, never a crash. */
static void test_damaged(void **state)
{
    TiffWriter tiff = make_orientation(6);
    CLEANUP(bytes_done) Bytes icc = make_icc(300, "RGB ");
    CLEANUP(bytes_done)
    Bytes jpeg = make_jpeg(&(JpegSpec){.width = 40,
                                       .height = 30,
                                       .exif = tiff.data,
                                       .exif_size = tiff.size,
                                       .icc = icc.data,
                                       .icc_size = icc.size});
    PngSpec spec = {.width = 40, .height = 30, .color_type = SPNG_COLOR_TYPE_INDEXED};
    CLEANUP(bytes_done) Bytes png = make_png(&spec);
    Bytes files[2] = {jpeg, png};

    (void)state;
    for (unsigned f = 0; f < 2; f++)
        for (size_t i = 0; i < files[f].size; i++) {
            MediaError error = {};
            Photo photo = {};
            MediaStatus status;

            files[f].data[i] = (uint8_t)~files[f].data[i];
            status = photo_read(files[f].data, files[f].size, &options, &photo, &error);
            files[f].data[i] = (uint8_t)~files[f].data[i];
            assert_true(status <= MEDIA_STATUS_TOO_LARGE);
            assert_int_equal(status == MEDIA_STATUS_OK, photo.thumbnail != NULL);
            assert_int_equal(status == MEDIA_STATUS_OK, error.text[0] == '\0');
            photo_done(&photo);
        }
}

/* Refused by what the header says, before there is memory for the pixels. */
static void test_huge(void **state)
{
    CLEANUP(bytes_done) Bytes jpeg = make_jpeg(&(JpegSpec){.width = 40, .height = 30});
    uint8_t *sof = memmem(jpeg.data, jpeg.size, "\xff\xc0", 2);
    Text png = {};

    (void)state;
    assert_non_null(sof);
    memcpy(sof + 5, "\xff\xdc\xff\xdc", 4); /* 65500 each */
    check_bad(jpeg.data, jpeg.size, MEDIA_STATUS_TOO_LARGE, "65500 x 65500 pixels are too many");
    put_ihdr(&png, 100000, 100000, SPNG_COLOR_TYPE_TRUECOLOR, false);
    put_chunk(&png, "IDAT", "\x78\x01", 2);
    put_chunk(&png, "IEND", NULL, 0);
    check_bad(png.data, png.length, MEDIA_STATUS_TOO_LARGE, "too many");
    text_done(&png);
}

/* Exactly the limit is allowed. */
static void test_max_pixels(void **state)
{
    CLEANUP(bytes_done) Bytes bytes = make_jpeg(&(JpegSpec){.width = 40, .height = 30});
    PhotoOptions tight = options;
    MediaError error = {};
    Photo photo = {};

    (void)state;
    tight.max_pixels = 1200;
    assert_int_equal(photo_read(bytes.data, bytes.size, &tight, &photo, &error), MEDIA_STATUS_OK);
    photo_done(&photo);
    tight.max_pixels = 1199;
    assert_int_equal(photo_read(bytes.data, bytes.size, &tight, &photo, &error),
                     MEDIA_STATUS_TOO_LARGE);
}

static void test_other_formats(void **state)
{
    (void)state;
    check_bad("", 0, MEDIA_STATUS_UNDECODABLE, "neither JPEG nor PNG");
    check_bad("hello, world", 12, MEDIA_STATUS_UNDECODABLE, "neither JPEG nor PNG");
    check_bad("GIF89a\1\0\1\0\0\0\0;", 14, MEDIA_STATUS_UNDECODABLE, "GIF");
    check_bad("RIFF\x10\0\0\0WEBPVP8 ", 16, MEDIA_STATUS_UNDECODABLE, "WebP");
    check_bad("II*\0\x08\0\0\0\0\0", 10, MEDIA_STATUS_UNDECODABLE, "TIFF");
    check_bad("\xff\xd8\xff", 3, MEDIA_STATUS_UNDECODABLE, "truncated");
    check_bad("\xff\xd8\xff\xd9", 4, MEDIA_STATUS_UNDECODABLE, "JPEG");
}

/* An index that declares two pictures, as CIPA DC-007 has it. */
static void test_several_pictures(void **state)
{
    static const char index[] = "MPF\0II*\0\x08\0\0\0\2\0"
                                "\x01\xb0\4\0\1\0\0\0\2\0\0\0"
                                "\x02\xb0\7\0\x20\0\0\0\x26\0\0\0"
                                "\0\0\0\0";
    static const char gain_map[] = "http://ns.adobe.com/xap/1.0/\0<x hdrgm:Version=\"1.0\"/>";
    JpegSpec spec = {.width = 40,
                     .height = 30,
                     .segment = index,
                     .segment_size = sizeof(index) - 1,
                     .segment_app = 2};
    char one[sizeof(index)];

    (void)state;
    check_photo(make_jpeg(&spec), "image/mpo", 40, 30, "0123");
    memcpy(one, index, sizeof(index));
    one[22] = 1;
    spec.segment = one;
    check_photo(make_jpeg(&spec), "image/jpeg", 40, 30, "0123");
    spec.segment_size = 20; /* cut */
    check_photo(make_jpeg(&spec), "image/jpeg", 40, 30, "0123");
    spec.segment = gain_map, spec.segment_size = sizeof(gain_map) - 1, spec.segment_app = 1;
    check_photo(make_jpeg(&spec), "image/jpeg", 40, 30, "0123");
}

/* A checksum that is wrong in a chunk without pixels costs the chunk; in one with pixels, the file.
 */
static void test_png_checksums(void **state)
{
    CLEANUP(bytes_done) Bytes icc = make_icc(300, "RGB ");
    PngSpec spec = {.width = 90,
                    .height = 60,
                    .color_type = SPNG_COLOR_TYPE_TRUECOLOR,
                    .icc = icc.data,
                    .icc_size = icc.size};
    Bytes png = make_png(&spec);
    uint8_t *chunk = memmem(png.data, png.size, "iCCP", 4);
    uint8_t *pixels = memmem(png.data, png.size, "IDAT", 4);

    (void)state;
    assert_non_null(chunk);
    assert_non_null(pixels);
    pixels[20] ^= 1;
    check_bad(png.data, png.size, MEDIA_STATUS_UNDECODABLE, "damaged PNG");
    pixels[20] ^= 1;
    chunk[12] ^= 1;
    check_profile(png, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_orientation_jpeg),
        cmocka_unit_test(test_orientation_gray),
        cmocka_unit_test(test_orientation_png),
        cmocka_unit_test(test_orientation_png_text),
        cmocka_unit_test(test_kinds_of_jpeg),
        cmocka_unit_test(test_kinds_of_png),
        cmocka_unit_test(test_transparency),
        cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_sampling),
        cmocka_unit_test(test_profile),
        cmocka_unit_test(test_truncated),
        cmocka_unit_test(test_damaged),
        cmocka_unit_test(test_huge),
        cmocka_unit_test(test_max_pixels),
        cmocka_unit_test(test_other_formats),
        cmocka_unit_test(test_several_pictures),
        cmocka_unit_test(test_png_checksums),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
