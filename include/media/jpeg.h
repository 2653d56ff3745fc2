#pragma once
/* JPEG, with libjpeg-turbo: decoding a photo, encoding a thumbnail. */

#include "media/photo.h"

bool jpeg_is(const uint8_t *data, size_t size);
/* On failure the picture may hold parts; picture_done() is for the caller in any case. */
MediaStatus jpeg_decode(const uint8_t *data, size_t size, const PhotoOptions *options,
                        Picture *picture, MediaError *error);
MediaStatus jpeg_encode(const Bitmap *bitmap, const uint8_t *profile, size_t profile_size,
                        unsigned quality, uint8_t **ret_data, size_t *ret_size, MediaError *error);
