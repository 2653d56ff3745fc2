#pragma once
/* Pixels in memory: the only form in which a picture goes from a decoder to the encoder. */

#include <stddef.h>
#include <stdint.h>

#include "util/cleanup.h"

/* Rows follow each other without padding. */
typedef struct Bitmap {
    uint8_t *pixels;
    uint32_t width;
    uint32_t height;
    unsigned channels; /* 1: gray; 4: R, G, B and a byte without meaning */
} Bitmap;

typedef struct PixelSize {
    uint32_t width;
    uint32_t height;
} PixelSize;

int bitmap_init(Bitmap *bitmap, uint32_t width, uint32_t height, unsigned channels);
void bitmap_done(Bitmap *bitmap);
size_t bitmap_stride(const Bitmap *bitmap);
uint8_t *bitmap_row(const Bitmap *bitmap, uint32_t y);

/* The size of a thumbnail: at most limit in both directions, aspect ratio kept, never enlarged. */
PixelSize bitmap_fit(PixelSize size, uint32_t limit);

/* Both replace the content of the bitmap; 0 or -ENOMEM. */
int bitmap_scale(Bitmap *bitmap, PixelSize size);
int bitmap_orient(Bitmap *bitmap, unsigned orientation);

/*
 * Takes the rows of a large picture one after another and keeps only averages of blocks, so that a
 * picture is never in memory as a whole.
 */
typedef struct Reducer {
    Bitmap bitmap; /* what is finished so far */
    uint32_t source_width;
    uint32_t block_width; /* pixels of the source that make one pixel */
    uint32_t block_height;
    uint32_t rows_pending; /* in sums */
    uint32_t rows_done;    /* of bitmap */
    uint32_t *sums;        /* one for each channel of a row of bitmap */
} Reducer;

/* Reduces size so far that twice target is still there, if it was. */
int reducer_init(Reducer *reducer, PixelSize size, PixelSize target, unsigned channels);
void reducer_add_row(Reducer *reducer, const uint8_t *row);
void reducer_finish(Reducer *reducer, Bitmap *ret_bitmap);
void reducer_done(Reducer *reducer);
