/*
 * Reducing while decoding. A PNG of 100 megapixels would take 400 MB as pixels; the thumbnail needs
 * a few hundred kilobytes. Rows are added to sums as they come, whole blocks become one pixel. What
 * is left is still at least twice as large as the thumbnail, and libyuv does the rest.
 */

#include "media/bitmap.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* pixels of a block whose sum still fits into 32 bits */
#define REDUCER_BLOCK_MAX (UINT32_MAX / 256)

static uint32_t block_size(uint32_t size, uint32_t target)
{
    uint32_t block = size / (2 * target);

    return block > 0 ? block : 1;
}

static uint32_t blocks(uint32_t size, uint32_t block)
{
    return size / block + (size % block != 0);
}

/* reducer_init() - 0 or -ENOMEM. The target's sides must not be 0 nor larger than size's. */
int reducer_init(Reducer *reducer, PixelSize size, PixelSize target, unsigned channels)
{
    *reducer = (Reducer){
        .source_width = size.width,
        .block_width = block_size(size.width, target.width),
        .block_height = block_size(size.height, target.height),
    };
    if ((uint64_t)reducer->block_width * reducer->block_height > REDUCER_BLOCK_MAX)
        return -ENOMEM;
    if (bitmap_init(&reducer->bitmap, blocks(size.width, reducer->block_width),
                    blocks(size.height, reducer->block_height), channels) < 0)
        return -ENOMEM;
    reducer->sums = calloc(bitmap_stride(&reducer->bitmap), sizeof(*reducer->sums));
    if (!reducer->sums) {
        reducer_done(reducer);
        return -ENOMEM;
    }
    return 0;
}

static void flush_row(Reducer *reducer)
{
    Bitmap *bitmap = &reducer->bitmap;
    unsigned channels = bitmap->channels;
    uint8_t *out;

    if (reducer->rows_pending == 0 || reducer->rows_done == bitmap->height)
        return;
    out = bitmap_row(bitmap, reducer->rows_done);
    for (uint32_t x = 0; x < bitmap->width; x++) {
        uint32_t left = reducer->source_width - x * reducer->block_width;
        uint32_t columns = left < reducer->block_width ? left : reducer->block_width;
        uint32_t n = columns * reducer->rows_pending;

        for (unsigned c = 0; c < channels; c++) {
            uint32_t sum = reducer->sums[x * channels + c];

            out[x * channels + c] = (uint8_t)((sum + n / 2) / n);
        }
    }
    memset(reducer->sums, 0, bitmap_stride(bitmap) * sizeof(*reducer->sums));
    reducer->rows_pending = 0;
    reducer->rows_done++;
}

static void sum_row(Reducer *reducer, const uint8_t *row)
{
    unsigned channels = reducer->bitmap.channels;
    uint32_t *sums = reducer->sums;
    uint32_t column = 0;

    for (uint32_t x = 0; x < reducer->source_width; x++, row += channels) {
        for (unsigned c = 0; c < channels; c++)
            sums[c] += row[c];
        if (++column == reducer->block_width) {
            column = 0;
            sums += channels;
        }
    }
}

/* reducer_add_row() - the next row of the source; rows beyond its height are ignored. */
void reducer_add_row(Reducer *reducer, const uint8_t *row)
{
    Bitmap *bitmap = &reducer->bitmap;

    if (reducer->rows_done == bitmap->height)
        return;
    if (reducer->block_width == 1 && reducer->block_height == 1) {
        memcpy(bitmap_row(bitmap, reducer->rows_done++), row, bitmap_stride(bitmap));
        return;
    }
    sum_row(reducer, row);
    if (++reducer->rows_pending == reducer->block_height)
        flush_row(reducer);
}

/* reducer_finish() - hands over the reduced picture. */
void reducer_finish(Reducer *reducer, Bitmap *ret_bitmap)
{
    flush_row(reducer);
    *ret_bitmap = reducer->bitmap;
    reducer->bitmap = (Bitmap){};
}

void reducer_done(Reducer *reducer)
{
    bitmap_done(&reducer->bitmap);
    free(reducer->sums);
    reducer->sums = NULL;
}
