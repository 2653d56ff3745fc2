/*
 * A photo, from bytes in memory to thumbnail and facts. Nothing here knows of files, descriptors or
 * processes; all input is hostile.
 *
 * What is a photo: JPEG and PNG, told by their first bytes and not by the name: a PNG called
 * x.jpg is read as PNG and its item_type says so, as PictoPy does it. Pillow would also open a GIF,
 * WebP, TIFF or BMP behind such a name; here they are refused by name: each would be one more
 * decoder of hostile bytes, for files that carry a wrong name.
 */

#include "media/photo.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "media/jpeg.h"
#include "media/png.h"

typedef struct Magic {
    const char *name;
    size_t offset;
    size_t size;
    const char *bytes;
} Magic;

static bool magic_matches(const Magic *magic, const uint8_t *data, size_t size)
{
    return size >= magic->offset + magic->size &&
           memcmp(data + magic->offset, magic->bytes, magic->size) == 0;
}

/* photo_format_name() - the name of a picture format that is not supported; NULL for none known. */
const char *photo_format_name(const uint8_t *data, size_t size)
{
    static const Magic magics[] = {
        {"GIF", 0, 4, "GIF8"},       {"WebP", 8, 4, "WEBP"},        {"TIFF", 0, 4, "II*\0"},
        {"TIFF", 0, 4, "MM\0*"},     {"HEIF", 4, 7, "ftyphei"},     {"HEIF", 4, 8, "ftypmif1"},
        {"AVIF", 4, 8, "ftypavif"},  {"JPEG XL", 0, 2, "\xff\x0a"}, {"BMP", 0, 2, "BM"},
        {"JPEG 2000", 4, 4, "jP  "}, {"Photoshop", 0, 4, "8BPS"},   {"PDF", 0, 5, "%PDF-"},
        {"HTML", 0, 5, "<html"},     {"HTML", 0, 9, "<!DOCTYPE"},
    };

    for (size_t i = 0; i < sizeof(magics) / sizeof(magics[0]); i++)
        if (magic_matches(&magics[i], data, size))
            return magics[i].name;
    return NULL;
}

static uint8_t *copy_block(const uint8_t *data, size_t size)
{
    uint8_t *copy = malloc(size);

    if (copy)
        memcpy(copy, data, size);
    return copy;
}

/* picture_keep_exif() - the first block counts. */
void picture_keep_exif(Picture *picture, const uint8_t *tiff, size_t size)
{
    if (size == 0 || size > PHOTO_EXIF_SIZE_MAX || picture->exif)
        return;
    picture->exif = copy_block(tiff, size);
    picture->exif_size = picture->exif ? size : 0;
}

/*
 * picture_keep_profile() - an ICC profile for the thumbnail
 *
 * The bitmap must be there: a profile for another number of colours (bytes 16 to 19 of its header,
 * ICC.1:2010 7.2.6) says nothing about these pixels and is dropped, such as that of a CMYK photo,
 * which has been turned into RGB.
 */
void picture_keep_profile(Picture *picture, const uint8_t *profile, size_t size)
{
    const char *space = picture->bitmap.channels == 1 ? "GRAY" : "RGB ";

    if (size < 128 || size > PHOTO_PROFILE_SIZE_MAX || picture->profile ||
        memcmp(profile + 16, space, 4) != 0)
        return;
    picture->profile = copy_block(profile, size);
    picture->profile_size = picture->profile ? size : 0;
}

void picture_done(Picture *picture)
{
    bitmap_done(&picture->bitmap);
    free(picture->exif);
    free(picture->profile);
    *picture = (Picture){};
}

/* picture_check_size() - before anything is allocated for the pixels. */
MediaStatus picture_check_size(PixelSize size, const PhotoOptions *options, MediaError *error)
{
    if (size.width == 0 || size.height == 0)
        return media_fail(error, MEDIA_STATUS_UNDECODABLE, "the picture has no pixels");
    if ((uint64_t)size.width * size.height > options->max_pixels)
        return media_fail(error, MEDIA_STATUS_TOO_LARGE, "%u x %u pixels are too many", size.width,
                          size.height);
    return MEDIA_STATUS_OK;
}

static MediaStatus decode(const uint8_t *data, size_t size, const PhotoOptions *options,
                          Picture *picture, MediaError *error)
{
    const char *name;

    if (jpeg_is(data, size))
        return jpeg_decode(data, size, options, picture, error);
    if (png_is(data, size))
        return png_decode(data, size, options, picture, error);
    name = photo_format_name(data, size);
    if (name)
        return media_fail(error, MEDIA_STATUS_UNDECODABLE, "a %s file, not JPEG or PNG", name);
    return media_fail(error, MEDIA_STATUS_UNDECODABLE, "neither JPEG nor PNG");
}

/* Scales, turns and encodes; the bitmap of picture is used up. */
static MediaStatus make_thumbnail(Picture *picture, const PhotoOptions *options, Photo *photo,
                                  MediaError *error)
{
    PixelSize size = bitmap_fit(picture->size, options->thumbnail_size);

    if (bitmap_scale(&picture->bitmap, size) < 0 ||
        bitmap_orient(&picture->bitmap, photo->exif.orientation) < 0)
        return media_fail_memory(error);
    photo->thumbnail_size = (PixelSize){picture->bitmap.width, picture->bitmap.height};
    return jpeg_encode(&picture->bitmap, picture->profile, picture->profile_size,
                       options->thumbnail_quality, &photo->thumbnail, &photo->thumbnail_bytes,
                       error);
}

/*
 * photo_read() - decodes a photo, makes its thumbnail, reads its EXIF
 *
 * Returns OK, UNDECODABLE or TOO_LARGE with the reason in error. ret_photo is written only on
 * success; the caller frees it with photo_done().
 */
MediaStatus photo_read(const uint8_t *data, size_t size, const PhotoOptions *options,
                       Photo *ret_photo, MediaError *error)
{
    CLEANUP(picture_done) Picture picture = {};
    Photo photo = {};
    MediaStatus status;

    status = decode(data, size, options, &picture, error);
    if (status != MEDIA_STATUS_OK)
        return status;
    exif_facts_read(picture.exif, picture.exif_size, &photo.exif);
    photo.size = picture.size;
    photo.item_type = picture.item_type;
    status = make_thumbnail(&picture, options, &photo, error);
    if (status != MEDIA_STATUS_OK)
        return status;
    *ret_photo = photo;
    return MEDIA_STATUS_OK;
}

void photo_done(Photo *photo)
{
    free(photo->thumbnail);
    *photo = (Photo){};
}
