#pragma once
/* Pictures that the tests of this layer paint, encode and look at again. */

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jpeglib.h>
#include <spng.h>

#include "util/cleanup.h"
#include "util/text.h"

/* A file in memory. */
typedef struct Bytes {
    uint8_t *data;
    size_t size;
} Bytes;

static inline void bytes_done(Bytes *bytes)
{
    free(bytes->data);
}

typedef struct Color {
    uint8_t r, g, b;
} Color;

/* The quarters of every painted picture: red, green / blue, white. Their places tell what was done
 * to it. */
static const Color quarter_colors[4] = {
    {220, 30, 30}, {30, 200, 40}, {30, 40, 210}, {240, 240, 240}};

static inline unsigned quarter_at(unsigned x, unsigned y, unsigned width, unsigned height)
{
    return (x * 2 >= width ? 1u : 0u) + (y * 2 >= height ? 2u : 0u);
}

typedef struct JpegSpec {
    unsigned width, height;
    J_COLOR_SPACE space; /* JCS_RGB, JCS_GRAYSCALE or JCS_CMYK (stored inverted) */
    bool progressive;
    bool arithmetic;
    const uint8_t *exif; /* TIFF structure */
    size_t exif_size;
    const uint8_t *icc;
    size_t icc_size;
    const char *segment; /* another application segment */
    size_t segment_size;
    int segment_app;
} JpegSpec;

static inline void paint_row(uint8_t *row, unsigned y, const JpegSpec *spec)
{
    for (unsigned x = 0; x < spec->width; x++) {
        Color c = quarter_colors[quarter_at(x, y, spec->width, spec->height)];

        if (spec->space == JCS_GRAYSCALE) {
            row[x] = c.g;
        } else if (spec->space == JCS_CMYK) {
            memcpy(row + (size_t)x * 4, (uint8_t[4]){c.r, c.g, c.b, 255}, 4);
        } else {
            memcpy(row + (size_t)x * 3, &c, 3);
        }
    }
}

static inline void write_segments(struct jpeg_compress_struct *cinfo, const JpegSpec *spec)
{
    uint8_t exif[65536] = "Exif";

    if (spec->exif) {
        memcpy(exif + 6, spec->exif, spec->exif_size);
        jpeg_write_marker(cinfo, JPEG_APP0 + 1, exif, (unsigned)spec->exif_size + 6);
    }
    if (spec->segment)
        jpeg_write_marker(cinfo, JPEG_APP0 + spec->segment_app, (const JOCTET *)spec->segment,
                          (unsigned)spec->segment_size);
    if (spec->icc)
        jpeg_write_icc_profile(cinfo, spec->icc, (unsigned)spec->icc_size);
}

static inline Bytes make_jpeg(const JpegSpec *spec)
{
    struct jpeg_compress_struct cinfo;
    struct jpeg_error_mgr errors;
    unsigned char *data = NULL;
    unsigned long size = 0;
    CLEANUP_FREE uint8_t *row = malloc((size_t)spec->width * 4);

    cinfo.err = jpeg_std_error(&errors);
    jpeg_create_compress(&cinfo);
    jpeg_mem_dest(&cinfo, &data, &size);
    cinfo.image_width = spec->width;
    cinfo.image_height = spec->height;
    cinfo.in_color_space = spec->space ? spec->space : JCS_RGB;
    cinfo.input_components = spec->space == JCS_GRAYSCALE ? 1 : spec->space == JCS_CMYK ? 4 : 3;
    jpeg_set_defaults(&cinfo);
    jpeg_set_quality(&cinfo, 95, TRUE);
    if (spec->progressive)
        jpeg_simple_progression(&cinfo);
    cinfo.arith_code = spec->arithmetic;
    jpeg_start_compress(&cinfo, TRUE);
    write_segments(&cinfo, spec);
    for (unsigned y = 0; y < spec->height; y++) {
        paint_row(row, y, spec);
        (void)jpeg_write_scanlines(&cinfo, &row, 1);
    }
    jpeg_finish_compress(&cinfo);
    jpeg_destroy_compress(&cinfo);
    return (Bytes){data, size};
}

/* What a decoded JPEG file holds, as an ordinary program sees it. */
typedef struct Decoded {
    unsigned width, height, components;
    uint8_t *rgb;
    uint8_t *icc;
    unsigned icc_size;
    bool has_exif;
    int sampling_h, sampling_v; /* of the first component */
} Decoded;

static inline void decoded_done(Decoded *decoded)
{
    free(decoded->rgb);
    free(decoded->icc);
}

static inline Decoded decode_jpeg(const uint8_t *data, size_t size)
{
    struct jpeg_decompress_struct cinfo;
    struct jpeg_error_mgr errors;
    Decoded decoded = {};

    cinfo.err = jpeg_std_error(&errors);
    jpeg_create_decompress(&cinfo);
    jpeg_mem_src(&cinfo, data, size);
    jpeg_save_markers(&cinfo, JPEG_APP0 + 1, 0xffff);
    jpeg_save_markers(&cinfo, JPEG_APP0 + 2, 0xffff);
    (void)jpeg_read_header(&cinfo, TRUE);
    for (jpeg_saved_marker_ptr m = cinfo.marker_list; m; m = m->next)
        decoded.has_exif |= m->marker == JPEG_APP0 + 1;
    decoded.components = (unsigned)cinfo.num_components;
    decoded.sampling_h = cinfo.comp_info[0].h_samp_factor;
    decoded.sampling_v = cinfo.comp_info[0].v_samp_factor;
    (void)jpeg_read_icc_profile(&cinfo, &decoded.icc, &decoded.icc_size);
    cinfo.out_color_space = JCS_RGB;
    (void)jpeg_start_decompress(&cinfo);
    decoded.width = cinfo.output_width;
    decoded.height = cinfo.output_height;
    decoded.rgb = malloc((size_t)decoded.width * decoded.height * 3);
    while (cinfo.output_scanline < cinfo.output_height) {
        uint8_t *row = decoded.rgb + (size_t)cinfo.output_scanline * decoded.width * 3;

        (void)jpeg_read_scanlines(&cinfo, &row, 1);
    }
    (void)jpeg_finish_decompress(&cinfo);
    jpeg_destroy_decompress(&cinfo);
    return decoded;
}

/* The colour in the middle of a quarter (0 … 3) of a decoded picture. */
static inline Color color_of(const Decoded *decoded, unsigned quarter)
{
    unsigned x = decoded->width * (quarter % 2 ? 3 : 1) / 4;
    unsigned y = decoded->height * (quarter / 2 ? 3 : 1) / 4;
    const uint8_t *p = decoded->rgb + ((size_t)y * decoded->width + x) * 3;

    return (Color){p[0], p[1], p[2]};
}

static inline bool is_color(Color color, Color expected, int tolerance)
{
    return abs(color.r - expected.r) <= tolerance && abs(color.g - expected.g) <= tolerance &&
           abs(color.b - expected.b) <= tolerance;
}

typedef struct PngSpec {
    unsigned width, height;
    uint8_t color_type; /* SPNG_COLOR_TYPE_… */
    uint8_t depth;      /* 8 or 16; 0 = 8 */
    bool transparent;   /* the first quarter is not there at all */
    const uint8_t *exif;
    size_t exif_size;
    const uint8_t *icc;
    size_t icc_size;
    const char *text_key;
    const char *text;
} PngSpec;

static inline unsigned png_channels(uint8_t color_type)
{
    switch (color_type) {
    case SPNG_COLOR_TYPE_TRUECOLOR:
        return 3;
    case SPNG_COLOR_TYPE_TRUECOLOR_ALPHA:
        return 4;
    case SPNG_COLOR_TYPE_GRAYSCALE_ALPHA:
        return 2;
    default:
        return 1;
    }
}

static inline void paint_png_pixel(uint8_t *out, const PngSpec *spec, unsigned quarter)
{
    Color c = quarter_colors[quarter];
    uint8_t alpha = spec->transparent && quarter == 0 ? 0 : 255;
    uint8_t samples[4];
    unsigned n = png_channels(spec->color_type);

    if (spec->color_type == SPNG_COLOR_TYPE_INDEXED) {
        *out = (uint8_t)quarter;
        return;
    }
    if (n >= 3)
        memcpy(samples, (uint8_t[4]){c.r, c.g, c.b, alpha}, 4);
    else
        memcpy(samples, (uint8_t[2]){c.g, alpha}, 2);
    for (unsigned i = 0; i < n; i++) {
        if (spec->depth == 16)
            memcpy(out + (size_t)i * 2, (uint16_t[1]){(uint16_t)(samples[i] * 257)}, 2);
        else
            out[i] = samples[i];
    }
}

static inline void set_png_chunks(spng_ctx *spng, const PngSpec *spec)
{
    struct spng_exif exif = {.length = spec->exif_size, .data = (char *)(uintptr_t)spec->exif};
    struct spng_iccp icc = {.profile_name = "test",
                            .profile_len = spec->icc_size,
                            .profile = (char *)(uintptr_t)spec->icc};
    struct spng_text text = {.type = SPNG_ZTXT};

    if (spec->exif)
        (void)spng_set_exif(spng, &exif);
    if (spec->icc)
        (void)spng_set_iccp(spng, &icc);
    if (spec->text) {
        (void)snprintf(text.keyword, sizeof(text.keyword), "%s", spec->text_key);
        text.text = (char *)(uintptr_t)spec->text;
        text.length = strlen(spec->text);
        (void)spng_set_text(spng, &text, 1);
    }
}

static inline void set_png_palette(spng_ctx *spng, const PngSpec *spec)
{
    struct spng_plte palette = {.n_entries = 4};
    struct spng_trns transparency = {.n_type3_entries = 4, .type3_alpha = {0, 255, 255, 255}};

    for (unsigned i = 0; i < 4; i++) {
        palette.entries[i].red = quarter_colors[i].r;
        palette.entries[i].green = quarter_colors[i].g;
        palette.entries[i].blue = quarter_colors[i].b;
    }
    (void)spng_set_plte(spng, &palette);
    if (spec->transparent)
        (void)spng_set_trns(spng, &transparency);
}

static inline Bytes make_png(const PngSpec *spec)
{
    unsigned depth = spec->depth ? spec->depth : 8;
    size_t pixel = (size_t)png_channels(spec->color_type) * depth / 8;
    size_t row = spec->width * pixel;
    CLEANUP_FREE uint8_t *pixels = malloc(row * spec->height);
    spng_ctx *spng = spng_ctx_new(SPNG_CTX_ENCODER);
    struct spng_ihdr ihdr = {
        .width = spec->width,
        .height = spec->height,
        .bit_depth = (uint8_t)depth,
        .color_type = spec->color_type,
    };
    Bytes bytes = {};
    int r;

    for (unsigned y = 0; y < spec->height; y++)
        for (unsigned x = 0; x < spec->width; x++)
            paint_png_pixel(pixels + y * row + x * pixel, spec,
                            quarter_at(x, y, spec->width, spec->height));
    (void)spng_set_option(spng, SPNG_ENCODE_TO_BUFFER, 1);
    (void)spng_set_ihdr(spng, &ihdr);
    if (spec->color_type == SPNG_COLOR_TYPE_INDEXED)
        set_png_palette(spng, spec);
    set_png_chunks(spng, spec);
    r = spng_encode_image(spng, pixels, row * spec->height, SPNG_FMT_PNG, SPNG_ENCODE_FINALIZE);
    if (r == 0)
        bytes.data = spng_get_png_buffer(spng, &bytes.size, &r);
    spng_ctx_free(spng);
    return bytes;
}

/* Chunks by hand, for what libspng does not write. */
static inline void put32(Text *out, uint32_t value)
{
    const uint8_t bytes[4] = {(uint8_t)(value >> 24), (uint8_t)(value >> 16), (uint8_t)(value >> 8),
                              (uint8_t)value};

    text_append_bytes(out, bytes, 4);
}

static inline uint32_t crc32_of(const uint8_t *data, size_t size)
{
    uint32_t crc = UINT32_MAX;

    for (size_t i = 0; i < size; i++) {
        crc ^= data[i];
        for (int bit = 0; bit < 8; bit++)
            crc = crc & 1 ? crc >> 1 ^ UINT32_C(0xedb88320) : crc >> 1;
    }
    return ~crc;
}

static inline void put_chunk(Text *out, const char *type, const void *data, size_t size)
{
    size_t start;

    put32(out, (uint32_t)size);
    start = out->length;
    text_append(out, type);
    text_append_bytes(out, data, size);
    put32(out, crc32_of((const uint8_t *)out->data + start, out->length - start));
}

static inline void put_ihdr(Text *out, uint32_t width, uint32_t height, uint8_t color_type,
                            bool interlaced)
{
    const uint8_t rest[5] = {8, color_type, 0, 0, interlaced};
    Text ihdr = {};

    text_append_bytes(out, "\x89PNG\r\n\x1a\n", 8);
    put32(&ihdr, width);
    put32(&ihdr, height);
    text_append_bytes(&ihdr, rest, sizeof(rest));
    put_chunk(out, "IHDR", ihdr.data, ihdr.length);
    text_done(&ihdr);
}

/* zlib's format, not compressed: blocks of at most 65535 bytes. */
static inline void put_zlib(Text *out, const uint8_t *data, size_t size)
{
    uint32_t a = 1, b = 0;

    text_append_bytes(out, "\x78\x01", 2);
    for (size_t at = 0; at < size; at += 65535) {
        size_t n = size - at < 65535 ? size - at : 65535;
        const uint8_t header[5] = {at + n == size, (uint8_t)n, (uint8_t)(n >> 8), (uint8_t)~n,
                                   (uint8_t)(~n >> 8)};

        text_append_bytes(out, header, 5);
        text_append_bytes(out, data + at, n);
    }
    for (size_t i = 0; i < size; i++) {
        a = (a + data[i]) % 65521;
        b = (b + a) % 65521;
    }
    put32(out, b << 16 | a);
}

/* The seven passes of Adam7 (PNG 8.2), of an RGB picture. */
static inline Bytes make_interlaced_png(unsigned width, unsigned height)
{
    static const unsigned x0[] = {0, 4, 0, 2, 0, 1, 0}, y0[] = {0, 0, 4, 0, 2, 0, 1};
    static const unsigned dx[] = {8, 8, 4, 4, 2, 2, 1}, dy[] = {8, 8, 8, 4, 4, 2, 2};
    Text raw = {}, zlib = {}, file = {};

    for (unsigned pass = 0; pass < 7; pass++)
        for (unsigned y = y0[pass]; y < height && x0[pass] < width; y += dy[pass]) {
            text_append_bytes(&raw, "", 1); /* no filter */
            for (unsigned x = x0[pass]; x < width; x += dx[pass])
                text_append_bytes(&raw, &quarter_colors[quarter_at(x, y, width, height)], 3);
        }
    put_ihdr(&file, width, height, SPNG_COLOR_TYPE_TRUECOLOR, true);
    put_zlib(&zlib, (const uint8_t *)raw.data, raw.length);
    put_chunk(&file, "IDAT", zlib.data, zlib.length);
    put_chunk(&file, "IEND", NULL, 0);
    text_done(&raw);
    text_done(&zlib);
    return (Bytes){(uint8_t *)file.data, file.length};
}

/* An ICC profile as far as anybody looks here: the size, the colour space, the signature. */
static inline Bytes make_icc(size_t size, const char *space)
{
    Bytes icc = {calloc(1, size), size};

    for (unsigned i = 0; i < 4; i++)
        icc.data[i] = (uint8_t)(size >> (24 - 8 * i));
    icc.data[8] = 4;
    memcpy(icc.data + 12, "mntr", 4);
    memcpy(icc.data + 16, space, 4);
    memcpy(icc.data + 20, "XYZ ", 4);
    memcpy(icc.data + 36, "acsp", 4);
    for (size_t i = 132; i < size; i++)
        icc.data[i] = (uint8_t)(i * 7 + (i >> 8));
    return icc;
}

/* A TIFF structure with IFD0, an EXIF and a GPS sub-IFD, built entry by entry. */
typedef struct TiffEntry {
    uint16_t ifd; /* 0, 0x8769 or 0x8825 */
    uint16_t tag;
    uint16_t type; /* 2 text, 3 short, 4 long, 5 rational, 7 undefined */
    const char *text;
    uint32_t numbers[6];
    uint32_t count; /* 0: that of the text, with its zero, or 1 */
} TiffEntry;

typedef struct TiffWriter {
    uint8_t data[4096];
    size_t size;
    bool big_endian;
} TiffWriter;

static inline void tiff_put(TiffWriter *writer, size_t offset, uint32_t value, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        writer->data[offset + i] = (uint8_t)(value >> (8 * (writer->big_endian ? n - 1 - i : i)));
}

static inline size_t tiff_value_size(const TiffEntry *entry, uint32_t *ret_count)
{
    static const size_t sizes[] = {0, 1, 1, 2, 4, 8, 1, 1};

    *ret_count = entry->count ? entry->count : entry->text ? (uint32_t)strlen(entry->text) + 1 : 1;
    return sizes[entry->type] * *ret_count;
}

static inline void tiff_put_value(TiffWriter *writer, size_t at, const TiffEntry *entry,
                                  size_t size)
{
    if (entry->text) {
        memcpy(writer->data + at, entry->text, size);
        return;
    }
    for (size_t i = 0; i * 4 < size || i == 0; i++) {
        if (entry->type == 3) {
            tiff_put(writer, at, entry->numbers[0], 2);
            return;
        }
        tiff_put(writer, at + i * 4, entry->numbers[i], 4);
    }
}

static inline size_t tiff_put_ifd(TiffWriter *writer, uint16_t ifd, const TiffEntry *entries,
                                  size_t n_entries, const TiffEntry *more, size_t n_more)
{
    size_t start = writer->size;
    size_t at = start + 2;
    uint16_t n = (uint16_t)n_more;

    for (size_t i = 0; i < n_entries; i++)
        n = (uint16_t)(n + (entries[i].ifd == ifd));
    tiff_put(writer, start, n, 2);
    writer->size += 2 + (size_t)n * 12 + 4;
    for (size_t i = 0; i < n_entries + n_more; i++) {
        const TiffEntry *entry = i < n_entries ? &entries[i] : &more[i - n_entries];
        uint32_t count;
        size_t size = tiff_value_size(entry, &count);

        if (entry->ifd != ifd)
            continue;
        tiff_put(writer, at, entry->tag, 2);
        tiff_put(writer, at + 2, entry->type, 2);
        tiff_put(writer, at + 4, count, 4);
        if (size <= 4) {
            tiff_put_value(writer, at + 8, entry, size);
        } else {
            tiff_put(writer, at + 8, (uint32_t)writer->size, 4);
            tiff_put_value(writer, writer->size, entry, size);
            writer->size += (size + 1) & ~(size_t)1;
        }
        at += 12;
    }
    return start;
}

static inline TiffWriter make_tiff(bool big_endian, const TiffEntry *entries, size_t n_entries)
{
    TiffWriter writer = {.size = 8, .big_endian = big_endian};
    TiffEntry pointers[2];
    size_t exif = tiff_put_ifd(&writer, 0x8769, entries, n_entries, NULL, 0);
    size_t gps = tiff_put_ifd(&writer, 0x8825, entries, n_entries, NULL, 0);
    size_t ifd0;

    pointers[0] = (TiffEntry){.tag = 0x8769, .type = 4, .numbers = {(uint32_t)exif}};
    pointers[1] = (TiffEntry){.tag = 0x8825, .type = 4, .numbers = {(uint32_t)gps}};
    ifd0 = tiff_put_ifd(&writer, 0, entries, n_entries, pointers, 2);
    memcpy(writer.data, big_endian ? "MM\0*" : "II*\0", 4);
    tiff_put(&writer, 4, (uint32_t)ifd0, 4);
    return writer;
}

static inline TiffWriter make_orientation(unsigned orientation)
{
    const TiffEntry entry = {.tag = 0x0112, .type = 3, .numbers = {orientation}};

    return make_tiff(false, &entry, 1);
}
