/*
 * Decoding PNG with libspng.
 *
 * - Transparent pixels are laid on white. (PictoPy drops the alpha channel, which shows whatever
 *   colour lies below it, usually black; a viewer shows something light.)
 * - Rows are reduced as they are decoded; only an interlaced picture is in memory as a whole.
 * - Gray stays gray, so that a gray profile still fits. 16 bits become 8.
 * - A broken checksum in a chunk that carries no pixels loses that chunk, not the photo. Otherwise
 *   the file has to be whole, to its last chunk.
 * - EXIF is in the chunk eXIf, or as hexadecimal text where ImageMagick put it.
 */

#include "media/png.h"

#include <spng.h>
#include <stdlib.h>
#include <string.h>

#define CHUNK_SIZE_MAX  ((size_t)8 << 20) /* of text and profiles, unpacked */
#define CHUNKS_SIZE_MAX ((size_t)32 << 20)
#define RAW_EXIF_KEY    "Raw profile type exif"

typedef struct PngDecoder {
    spng_ctx *spng;
    const PhotoOptions *options;
    MediaError *error;
    Picture *picture;
    struct spng_ihdr header;
    Reducer reducer;
    uint8_t *pixels; /* RGBA: one row, or all of an interlaced picture */
    uint8_t *row;    /* what the reducer gets */
    unsigned channels;
} PngDecoder;

/* png_is() - does it start like a PNG file? */
bool png_is(const uint8_t *data, size_t size)
{
    return size >= 8 && memcmp(data, "\x89PNG\r\n\x1a\n", 8) == 0;
}

static MediaStatus fail(const PngDecoder *decoder, int r)
{
    if (r == SPNG_EMEM)
        return media_fail_memory(decoder->error);
    if (r == SPNG_IO_EOF || r == SPNG_EOF || r == SPNG_EIDAT_TOO_SHORT)
        return media_fail(decoder->error, MEDIA_STATUS_UNDECODABLE, "the PNG file is truncated");
    return media_fail(decoder->error, MEDIA_STATUS_UNDECODABLE, "damaged PNG: %s",
                      spng_strerror(r));
}

static MediaStatus read_header(PngDecoder *decoder)
{
    int r = spng_get_ihdr(decoder->spng, &decoder->header);

    if (r)
        return fail(decoder, r);
    decoder->picture->size = (PixelSize){decoder->header.width, decoder->header.height};
    return picture_check_size(decoder->picture->size, decoder->options, decoder->error);
}

static bool is_interlaced(const PngDecoder *decoder)
{
    return decoder->header.interlace_method != SPNG_INTERLACE_NONE;
}

static MediaStatus allocate(PngDecoder *decoder)
{
    PixelSize size = decoder->picture->size;
    PixelSize target = bitmap_fit(size, decoder->options->thumbnail_size);
    bool gray = decoder->header.color_type == SPNG_COLOR_TYPE_GRAYSCALE ||
                decoder->header.color_type == SPNG_COLOR_TYPE_GRAYSCALE_ALPHA;

    decoder->channels = gray ? 1 : 4;
    decoder->pixels = calloc((size_t)size.width * (is_interlaced(decoder) ? size.height : 1), 4);
    decoder->row = malloc((size_t)size.width * decoder->channels);
    if (!decoder->pixels || !decoder->row ||
        reducer_init(&decoder->reducer, size, target, decoder->channels) < 0)
        return media_fail_memory(decoder->error);
    return MEDIA_STATUS_OK;
}

static uint8_t on_white(uint8_t color, uint8_t alpha)
{
    return (uint8_t)((color * alpha + 255 * (255 - alpha) + 127) / 255);
}

static void add_row(PngDecoder *decoder, const uint8_t *rgba)
{
    unsigned n_colors = decoder->channels == 1 ? 1 : 3;
    uint8_t *out = decoder->row;

    for (uint32_t x = 0; x < decoder->header.width; x++, rgba += 4, out += decoder->channels)
        for (unsigned c = 0; c < n_colors; c++)
            out[c] = rgba[3] == 255 ? rgba[c] : on_white(rgba[c], rgba[3]);
    reducer_add_row(&decoder->reducer, decoder->row);
}

static int decode_rows(PngDecoder *decoder)
{
    size_t row_size = (size_t)decoder->header.width * 4;
    int r = spng_decode_image(decoder->spng, NULL, 0, SPNG_FMT_RGBA8,
                              SPNG_DECODE_TRNS | SPNG_DECODE_PROGRESSIVE);

    if (r)
        return r;
    for (uint32_t y = 0; y < decoder->header.height; y++) {
        r = spng_decode_row(decoder->spng, decoder->pixels, row_size);
        if (r && r != SPNG_EOI)
            return r;
        add_row(decoder, decoder->pixels);
    }
    return 0;
}

static int decode_interlaced(PngDecoder *decoder)
{
    size_t row_size = (size_t)decoder->header.width * 4;
    int r = spng_decode_image(decoder->spng, decoder->pixels, row_size * decoder->header.height,
                              SPNG_FMT_RGBA8, SPNG_DECODE_TRNS);

    if (r)
        return r;
    for (uint32_t y = 0; y < decoder->header.height; y++)
        add_row(decoder, decoder->pixels + y * row_size);
    return 0;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Three lines ("", the kind, the size), then hexadecimal digits with line ends between them. */
static void keep_raw_exif(Picture *picture, const char *text, size_t length)
{
    CLEANUP_FREE uint8_t *bytes = malloc(length / 2 + 1);
    const char *end = text + length;
    size_t size = 0;
    int high = -1;

    for (int line = 0; line < 3 && text; line++) {
        text = memchr(text, '\n', (size_t)(end - text));
        text = text ? text + 1 : NULL;
    }
    if (!bytes || !text)
        return;
    for (; text < end; text++) {
        int digit = hex_digit(*text);

        if (digit < 0)
            continue;
        if (high >= 0)
            bytes[size++] = (uint8_t)(high << 4 | digit);
        high = high >= 0 ? -1 : digit;
    }
    if (size > 6 && memcmp(bytes, "Exif\0\0", 6) == 0)
        picture_keep_exif(picture, bytes + 6, size - 6);
}

static void keep_text(PngDecoder *decoder)
{
    CLEANUP_FREE struct spng_text *texts = NULL;
    uint32_t n_texts = 0;

    if (spng_get_text(decoder->spng, NULL, &n_texts) || n_texts == 0)
        return;
    texts = calloc(n_texts, sizeof(*texts));
    if (!texts || spng_get_text(decoder->spng, texts, &n_texts))
        return;
    for (uint32_t i = 0; i < n_texts; i++)
        if (strcmp(texts[i].keyword, RAW_EXIF_KEY) == 0)
            keep_raw_exif(decoder->picture, texts[i].text, texts[i].length);
}

static void keep_blocks(PngDecoder *decoder)
{
    struct spng_exif exif;
    struct spng_iccp profile;

    if (spng_get_exif(decoder->spng, &exif) == 0)
        picture_keep_exif(decoder->picture, (const uint8_t *)exif.data, exif.length);
    keep_text(decoder);
    if (spng_get_iccp(decoder->spng, &profile) == 0)
        picture_keep_profile(decoder->picture, (const uint8_t *)profile.profile,
                             profile.profile_len);
}

static MediaStatus run(PngDecoder *decoder)
{
    MediaStatus status = read_header(decoder);
    int r;

    if (status == MEDIA_STATUS_OK)
        status = allocate(decoder);
    if (status != MEDIA_STATUS_OK)
        return status;
    r = is_interlaced(decoder) ? decode_interlaced(decoder) : decode_rows(decoder);
    if (r == 0)
        r = spng_decode_chunks(decoder->spng); /* to IEND, which must be there */
    if (r)
        return fail(decoder, r);
    reducer_finish(&decoder->reducer, &decoder->picture->bitmap);
    decoder->picture->item_type = "image/png";
    keep_blocks(decoder);
    return MEDIA_STATUS_OK;
}

static void cleanup_spng(spng_ctx **spng)
{
    spng_ctx_free(*spng);
}

MediaStatus png_decode(const uint8_t *data, size_t size, const PhotoOptions *options,
                       Picture *picture, MediaError *error)
{
    CLEANUP(cleanup_spng) spng_ctx *spng = spng_ctx_new(0);
    PngDecoder decoder = {.spng = spng, .options = options, .error = error, .picture = picture};
    MediaStatus status;

    if (!spng || spng_set_chunk_limits(spng, CHUNK_SIZE_MAX, CHUNKS_SIZE_MAX) ||
        spng_set_png_buffer(spng, data, size))
        return media_fail_memory(error);
    status = run(&decoder);
    reducer_done(&decoder.reducer);
    free(decoder.pixels);
    free(decoder.row);
    return status;
}
