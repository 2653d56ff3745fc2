/* Pixels in memory, scaled and turned with libyuv, which does not care what the four channels are.
 */

#include "media/bitmap.h"

#include <errno.h>
#include <libyuv/planar_functions.h>
#include <libyuv/rotate.h>
#include <libyuv/rotate_argb.h>
#include <libyuv/scale.h>
#include <libyuv/scale_argb.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

/* libyuv counts in 16.16 fixed point: a side has to stay below 2^15. Decoders reduce before. */
#define BITMAP_SIDE_MAX 32767u

/* bitmap_init() - a black picture; 0 or -ENOMEM, also for sizes that nothing here could work on. */
int bitmap_init(Bitmap *bitmap, uint32_t width, uint32_t height, unsigned channels)
{
    uint8_t *pixels;

    if (width == 0 || height == 0 || width > BITMAP_SIDE_MAX || height > BITMAP_SIDE_MAX)
        return -ENOMEM;
    pixels = calloc((size_t)width * height, channels);
    if (!pixels)
        return -ENOMEM;
    *bitmap = (Bitmap){.pixels = pixels, .width = width, .height = height, .channels = channels};
    return 0;
}

void bitmap_done(Bitmap *bitmap)
{
    free(bitmap->pixels);
    *bitmap = (Bitmap){};
}

/* bitmap_stride() - bytes from one row to the next. */
size_t bitmap_stride(const Bitmap *bitmap)
{
    return (size_t)bitmap->width * bitmap->channels;
}

uint8_t *bitmap_row(const Bitmap *bitmap, uint32_t y)
{
    return bitmap->pixels + y * bitmap_stride(bitmap);
}

/* The neighbour of exact, a whole number and at least 1, whose aspect ratio is nearer to the
 * original's; the smaller one when both are as near. */
static uint32_t nearer_side(double exact, double aspect, double other, bool is_width)
{
    double below = floor(exact);
    double above = ceil(exact);
    double below_aspect = is_width ? below / other : other / below;
    double above_aspect = is_width ? above / other : other / above;

    if (below < 1)
        return 1;
    return (uint32_t)(fabs(aspect - below_aspect) <= fabs(aspect - above_aspect) ? below : above);
}

/*
 * bitmap_fit() - the size of a thumbnail
 *
 * The same arithmetic, doubles included, as Pillow's Image.thumbnail(), which makes PictoPy's
 * thumbnails: so ours have the same size to the pixel.
 */
PixelSize bitmap_fit(PixelSize size, uint32_t limit)
{
    double aspect = (double)size.width / (double)size.height;
    double side = (double)limit;

    if (size.width <= limit && size.height <= limit)
        return size;
    if (aspect <= 1.0)
        return (PixelSize){nearer_side(side * aspect, aspect, side, true), limit};
    return (PixelSize){limit, nearer_side(side / aspect, aspect, side, false)};
}

static void take_over(Bitmap *bitmap, Bitmap *other)
{
    bitmap_done(bitmap);
    *bitmap = *other;
}

/* bitmap_scale() - to exactly size, with libyuv's box filter. 0 or -ENOMEM. */
int bitmap_scale(Bitmap *bitmap, PixelSize size)
{
    Bitmap scaled;
    int r;

    if (size.width == bitmap->width && size.height == bitmap->height)
        return 0;
    r = bitmap_init(&scaled, size.width, size.height, bitmap->channels);
    if (r < 0)
        return r;
    if (bitmap->channels == 1)
        ScalePlane(bitmap->pixels, (int)bitmap_stride(bitmap), (int)bitmap->width,
                   (int)bitmap->height, scaled.pixels, (int)bitmap_stride(&scaled),
                   (int)scaled.width, (int)scaled.height, kFilterBox);
    else
        (void)ARGBScale(bitmap->pixels, (int)bitmap_stride(bitmap), (int)bitmap->width,
                        (int)bitmap->height, scaled.pixels, (int)bitmap_stride(&scaled),
                        (int)scaled.width, (int)scaled.height, kFilterBox);
    take_over(bitmap, &scaled);
    return 0;
}

static int rotate(Bitmap *bitmap, enum RotationMode mode)
{
    bool swaps = mode == kRotate90 || mode == kRotate270;
    Bitmap turned;
    int r;

    if (mode == kRotate0)
        return 0;
    r = bitmap_init(&turned, swaps ? bitmap->height : bitmap->width,
                    swaps ? bitmap->width : bitmap->height, bitmap->channels);
    if (r < 0)
        return r;
    if (bitmap->channels == 1)
        (void)RotatePlane(bitmap->pixels, (int)bitmap_stride(bitmap), turned.pixels,
                          (int)bitmap_stride(&turned), (int)bitmap->width, (int)bitmap->height,
                          mode);
    else
        (void)ARGBRotate(bitmap->pixels, (int)bitmap_stride(bitmap), turned.pixels,
                         (int)bitmap_stride(&turned), (int)bitmap->width, (int)bitmap->height,
                         mode);
    take_over(bitmap, &turned);
    return 0;
}

static int mirror(Bitmap *bitmap)
{
    Bitmap mirrored;
    int r = bitmap_init(&mirrored, bitmap->width, bitmap->height, bitmap->channels);

    if (r < 0)
        return r;
    if (bitmap->channels == 1)
        MirrorPlane(bitmap->pixels, (int)bitmap_stride(bitmap), mirrored.pixels,
                    (int)bitmap_stride(&mirrored), (int)bitmap->width, (int)bitmap->height);
    else
        (void)ARGBMirror(bitmap->pixels, (int)bitmap_stride(bitmap), mirrored.pixels,
                         (int)bitmap_stride(&mirrored), (int)bitmap->width, (int)bitmap->height);
    take_over(bitmap, &mirrored);
    return 0;
}

/*
 * bitmap_orient() - turns a picture upright
 *
 * orientation is EXIF's (Exif 2.32, tag 0x0112): each of the eight is a clockwise rotation,
 * followed by a mirroring from left to right for half of them. Values that do not exist change
 * nothing.
 */
int bitmap_orient(Bitmap *bitmap, unsigned orientation)
{
    static const struct {
        enum RotationMode rotation;
        bool mirrored;
    } steps[9] = {
        [1] = {kRotate0, false},  [2] = {kRotate0, true},    [3] = {kRotate180, false},
        [4] = {kRotate180, true}, [5] = {kRotate90, true},   [6] = {kRotate90, false},
        [7] = {kRotate270, true}, [8] = {kRotate270, false},
    };
    int r;

    if (orientation < 1 || orientation > 8)
        return 0;
    r = rotate(bitmap, steps[orientation].rotation);
    if (r < 0 || !steps[orientation].mirrored)
        return r;
    return mirror(bitmap);
}
