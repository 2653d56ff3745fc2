/*
 * Decoding JPEG with libjpeg-turbo.
 *
 * Whether a damaged file counts as a photo follows Pillow, and so PictoPy: what libjpeg can warn
 * about and go on is accepted; a file that ends before the end-of-image marker is not.
 *
 * Large photos are decoded at 1/2, 1/4 or 1/8 of their size, which the inverse DCT gives for less
 * than the price of the whole. CMYK (Adobe's, stored inverted, as Pillow takes all of it) becomes
 * RGB by simple multiplication, without regard to its profile.
 *
 * libjpeg leaves a failing call with longjmp(3). All that lives across such a call is in
 * JpegDecoder, outside the frame that called setjmp(3), so nothing is lost or clobbered.
 */

#include "media/jpeg.h"

#include <setjmp.h>
#include <stdio.h> /* before jpeglib.h, which needs FILE */
#include <stdlib.h>
#include <string.h>

#include <jpeglib.h>

#include "media/mpf.h"

#define MARKER_SIZE_MAX 0xffff

typedef struct JpegDecoder {
    struct jpeg_error_mgr errors;
    struct jpeg_source_mgr source;
    struct jpeg_decompress_struct cinfo;
    jmp_buf escape;
    const PhotoOptions *options;
    MediaError *error;
    MediaStatus status; /* what a jump reports */
    Picture *picture;
    Reducer reducer;
    uint8_t *row;
    uint8_t *profile;
} JpegDecoder;

static _Noreturn void give_up(JpegDecoder *decoder, MediaStatus status)
{
    decoder->status = status;
    longjmp(decoder->escape, 1);
}

static _Noreturn void on_error(j_common_ptr cinfo)
{
    JpegDecoder *decoder = cinfo->client_data;
    char message[JMSG_LENGTH_MAX];

    cinfo->err->format_message(cinfo, message);
    give_up(decoder,
            media_fail(decoder->error, MEDIA_STATUS_UNDECODABLE, "damaged JPEG: %s", message));
}

static void on_message(j_common_ptr cinfo UNUSED, int level UNUSED)
{
}

static void on_output(j_common_ptr cinfo UNUSED)
{
}

static void source_nothing(j_decompress_ptr cinfo UNUSED)
{
}

/* All of the file is in the buffer from the start: asking for more means that it was cut. */
static boolean source_fill(j_decompress_ptr cinfo)
{
    JpegDecoder *decoder = cinfo->client_data;

    give_up(decoder,
            media_fail(decoder->error, MEDIA_STATUS_UNDECODABLE, "the JPEG file is truncated"));
}

static void source_skip(j_decompress_ptr cinfo, long count)
{
    if (count <= 0)
        return;
    if ((size_t)count > cinfo->src->bytes_in_buffer)
        (void)source_fill(cinfo);
    cinfo->src->next_input_byte += count;
    cinfo->src->bytes_in_buffer -= (size_t)count;
}

/* jpeg_is() - does it start like a JPEG file? */
bool jpeg_is(const uint8_t *data, size_t size)
{
    return size >= 3 && memcmp(data, "\xff\xd8\xff", 3) == 0;
}

static void open_decoder(JpegDecoder *decoder)
{
    struct jpeg_decompress_struct *cinfo = &decoder->cinfo;

    jpeg_create_decompress(cinfo);
    cinfo->src = &decoder->source;
    jpeg_save_markers(cinfo, JPEG_APP0 + 1, MARKER_SIZE_MAX);
    jpeg_save_markers(cinfo, JPEG_APP0 + 2, MARKER_SIZE_MAX);
    (void)jpeg_read_header(cinfo, TRUE);
    decoder->picture->size = (PixelSize){cinfo->image_width, cinfo->image_height};
    decoder->status = picture_check_size(decoder->picture->size, decoder->options, decoder->error);
    if (decoder->status != MEDIA_STATUS_OK)
        give_up(decoder, decoder->status);
}

static void choose_colors(JpegDecoder *decoder)
{
    struct jpeg_decompress_struct *cinfo = &decoder->cinfo;

    switch (cinfo->num_components) {
    case 1:
        cinfo->out_color_space = JCS_GRAYSCALE;
        break;
    case 3:
        cinfo->out_color_space = JCS_EXT_RGBX;
        break;
    case 4:
        cinfo->out_color_space = JCS_CMYK;
        break;
    default:
        give_up(decoder, media_fail(decoder->error, MEDIA_STATUS_UNDECODABLE,
                                    "a JPEG file of %d components", cinfo->num_components));
    }
}

/* The smallest size that still has twice the thumbnail's pixels in both directions. */
static void choose_scale(JpegDecoder *decoder, PixelSize target)
{
    struct jpeg_decompress_struct *cinfo = &decoder->cinfo;
    unsigned denominator = 8;

    while (denominator > 1 && (cinfo->image_width / denominator < 2 * target.width ||
                               cinfo->image_height / denominator < 2 * target.height))
        denominator /= 2;
    cinfo->scale_num = 1;
    cinfo->scale_denom = denominator;
}

static void start(JpegDecoder *decoder)
{
    struct jpeg_decompress_struct *cinfo = &decoder->cinfo;
    PixelSize target = bitmap_fit(decoder->picture->size, decoder->options->thumbnail_size);
    unsigned channels;

    choose_colors(decoder);
    choose_scale(decoder, target);
    (void)jpeg_start_decompress(cinfo);
    channels = cinfo->out_color_space == JCS_GRAYSCALE ? 1 : 4;
    decoder->row = malloc((size_t)cinfo->output_width * channels);
    if (!decoder->row ||
        reducer_init(&decoder->reducer, (PixelSize){cinfo->output_width, cinfo->output_height},
                     target, channels) < 0)
        give_up(decoder, media_fail_memory(decoder->error));
}

/* Stored inverted: 255 stands for no ink, so the remaining light multiplies. */
static void cmyk_to_rgb(uint8_t *row, uint32_t width)
{
    for (uint32_t x = 0; x < width; x++, row += 4)
        for (unsigned c = 0; c < 3; c++)
            row[c] = (uint8_t)((row[c] * row[3] + 127) / 255);
}

static void read_rows(JpegDecoder *decoder)
{
    struct jpeg_decompress_struct *cinfo = &decoder->cinfo;
    JSAMPROW rows[1] = {decoder->row};

    while (cinfo->output_scanline < cinfo->output_height) {
        (void)jpeg_read_scanlines(cinfo, rows, 1);
        if (cinfo->out_color_space == JCS_CMYK)
            cmyk_to_rgb(decoder->row, cinfo->output_width);
        reducer_add_row(&decoder->reducer, decoder->row);
    }
    reducer_finish(&decoder->reducer, &decoder->picture->bitmap);
}

static void keep_blocks(JpegDecoder *decoder)
{
    Picture *picture = decoder->picture;
    MpfFinder mpf = {};
    unsigned profile_size;

    for (jpeg_saved_marker_ptr m = decoder->cinfo.marker_list; m; m = m->next) {
        if (m->marker == JPEG_APP0 + 1 && m->data_length > 6 && memcmp(m->data, "Exif\0\0", 6) == 0)
            picture_keep_exif(picture, m->data + 6, m->data_length - 6);
        mpf_look(&mpf, m->marker - JPEG_APP0, m->data, m->data_length);
    }
    picture->item_type = mpf_is_several(&mpf) ? "image/mpo" : "image/jpeg";
    if (jpeg_read_icc_profile(&decoder->cinfo, &decoder->profile, &profile_size))
        picture_keep_profile(picture, decoder->profile, profile_size);
}

static MediaStatus run(JpegDecoder *decoder)
{
    if (setjmp(decoder->escape))
        return decoder->status;
    open_decoder(decoder);
    start(decoder);
    read_rows(decoder);
    keep_blocks(decoder);
    (void)jpeg_finish_decompress(&decoder->cinfo); /* to the end marker, which must be there */
    return MEDIA_STATUS_OK;
}

/* jpeg_decode() - see the header; stops at nothing that only one process can suffer from: a
 * progressive file of many scans takes its time until the pool's time-out. */
MediaStatus jpeg_decode(const uint8_t *data, size_t size, const PhotoOptions *options,
                        Picture *picture, MediaError *error)
{
    JpegDecoder decoder = {.options = options, .error = error, .picture = picture};
    MediaStatus status;

    decoder.cinfo.err = jpeg_std_error(&decoder.errors);
    decoder.cinfo.client_data = &decoder;
    decoder.errors.error_exit = on_error;
    decoder.errors.emit_message = on_message;
    decoder.errors.output_message = on_output;
    decoder.source = (struct jpeg_source_mgr){
        .next_input_byte = data,
        .bytes_in_buffer = size,
        .init_source = source_nothing,
        .fill_input_buffer = source_fill,
        .skip_input_data = source_skip,
        .resync_to_restart = jpeg_resync_to_restart,
        .term_source = source_nothing,
    };
    status = run(&decoder);
    jpeg_destroy_decompress(&decoder.cinfo);
    reducer_done(&decoder.reducer);
    free(decoder.row);
    free(decoder.profile);
    return status;
}
