#pragma once
/* PNG, with libspng. */

#include "media/photo.h"

bool png_is(const uint8_t *data, size_t size);
/* On failure the picture may hold parts; picture_done() is for the caller in any case. */
MediaStatus png_decode(const uint8_t *data, size_t size, const PhotoOptions *options,
                       Picture *picture, MediaError *error);
