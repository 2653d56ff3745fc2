#pragma once
/* A photo in memory, turned into its thumbnail and its facts. Opens nothing, keeps nothing. */

#include "media/bitmap.h"
#include "media/exif.h"
#include "media/status.h"

#define PHOTO_EXIF_SIZE_MAX    ((size_t)0xfff0)  /* libexif reads no more */
#define PHOTO_PROFILE_SIZE_MAX ((size_t)2 << 20) /* a larger colour profile is not kept */

typedef struct PhotoOptions {
    unsigned thumbnail_size;
    unsigned thumbnail_quality;
    uint64_t max_pixels;
} PhotoOptions;

/* What a decoder yields. */
typedef struct Picture {
    PixelSize size;        /* as stored, before orientation */
    const char *item_type; /* static */
    Bitmap bitmap;         /* not larger than size, often already reduced */
    uint8_t *exif;         /* TIFF structure, or NULL */
    size_t exif_size;
    uint8_t *profile; /* ICC, or NULL */
    size_t profile_size;
} Picture;

typedef struct Photo {
    PixelSize size;
    const char *item_type; /* static */
    ExifFacts exif;
    PixelSize thumbnail_size; /* after orientation */
    uint8_t *thumbnail;       /* a JPEG file */
    size_t thumbnail_bytes;
} Photo;

MediaStatus photo_read(const uint8_t *data, size_t size, const PhotoOptions *options,
                       Photo *ret_photo, MediaError *error);
void photo_done(Photo *photo);

void picture_done(Picture *picture);
/* For decoders: keeps a copy of a block; a block that is empty, too large or has no room is left.
 */
void picture_keep_exif(Picture *picture, const uint8_t *tiff, size_t size);
void picture_keep_profile(Picture *picture, const uint8_t *profile, size_t size);
MediaStatus picture_check_size(PixelSize size, const PhotoOptions *options, MediaError *error);
/* Where a format is recognized by its first bytes; NULL for none of the known. */
const char *photo_format_name(const uint8_t *data, size_t size);
