/* Encoding thumbnails as JPEG: baseline, 4:2:0, no EXIF (the pixels are upright), the profile kept.
 */

#include <setjmp.h>
#include <stdio.h> /* before jpeglib.h, which needs FILE */
#include <stdlib.h>

#include <jpeglib.h>

#include "media/jpeg.h"

typedef struct JpegEncoder {
    struct jpeg_error_mgr errors;
    struct jpeg_compress_struct cinfo;
    jmp_buf escape;
    MediaError *error;
    unsigned char *data; /* grown by libjpeg */
    unsigned long size;
} JpegEncoder;

static _Noreturn void on_error(j_common_ptr cinfo)
{
    JpegEncoder *encoder = cinfo->client_data;
    char message[JMSG_LENGTH_MAX];

    cinfo->err->format_message(cinfo, message);
    (void)media_fail(encoder->error, MEDIA_STATUS_UNDECODABLE, "the thumbnail cannot be made: %s",
                     message);
    longjmp(encoder->escape, 1);
}

static void on_output(j_common_ptr cinfo UNUSED)
{
}

static void set_parameters(JpegEncoder *encoder, const Bitmap *bitmap, unsigned quality)
{
    struct jpeg_compress_struct *cinfo = &encoder->cinfo;

    cinfo->image_width = bitmap->width;
    cinfo->image_height = bitmap->height;
    cinfo->input_components = (int)bitmap->channels;
    cinfo->in_color_space = bitmap->channels == 1 ? JCS_GRAYSCALE : JCS_EXT_RGBX;
    jpeg_set_defaults(cinfo); /* YCbCr 4:2:0 for colour */
    jpeg_set_quality(cinfo, (int)quality, TRUE);
    cinfo->optimize_coding = TRUE;
}

static MediaStatus run(JpegEncoder *encoder, const Bitmap *bitmap, const uint8_t *profile,
                       size_t profile_size, unsigned quality)
{
    struct jpeg_compress_struct *cinfo = &encoder->cinfo;

    if (setjmp(encoder->escape))
        return MEDIA_STATUS_UNDECODABLE;
    jpeg_create_compress(cinfo);
    jpeg_mem_dest(cinfo, &encoder->data, &encoder->size);
    set_parameters(encoder, bitmap, quality);
    jpeg_start_compress(cinfo, TRUE);
    if (profile)
        jpeg_write_icc_profile(cinfo, profile, (unsigned)profile_size);
    while (cinfo->next_scanline < cinfo->image_height) {
        JSAMPROW rows[1] = {bitmap_row(bitmap, cinfo->next_scanline)};

        (void)jpeg_write_scanlines(cinfo, rows, 1);
    }
    jpeg_finish_compress(cinfo);
    return MEDIA_STATUS_OK;
}

/* jpeg_encode() - a bitmap as a JPEG file in memory; profile may be NULL. The caller frees
 * ret_data.
 */
MediaStatus jpeg_encode(const Bitmap *bitmap, const uint8_t *profile, size_t profile_size,
                        unsigned quality, uint8_t **ret_data, size_t *ret_size, MediaError *error)
{
    JpegEncoder encoder = {.error = error};
    MediaStatus status;

    encoder.cinfo.err = jpeg_std_error(&encoder.errors);
    encoder.cinfo.client_data = &encoder;
    encoder.errors.error_exit = on_error;
    encoder.errors.output_message = on_output;
    status = run(&encoder, bitmap, profile, profile_size, quality);
    jpeg_destroy_compress(&encoder.cinfo);
    if (status != MEDIA_STATUS_OK) {
        free(encoder.data);
        return status;
    }
    *ret_data = encoder.data;
    *ret_size = encoder.size;
    return MEDIA_STATUS_OK;
}
