/*
 * sample-photos DIR N - makes N small photos in DIR and a few directories below it, so that the
 * daemon has something real to look after on a machine without photos: painted evening skies with
 * an EXIF date, and for some of them a place or a camera that was held upright.
 *
 * The same N gives the same files. Existing files are left alone. Not installed.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <jpeglib.h>
#include <libexif/exif-data.h>

#include "util/cleanup.h"

#define WIDTH    960
#define HEIGHT   640
#define N_MAX    100000
#define PER_TRIP 12

typedef struct Photo {
    unsigned number;
    unsigned day; /* counted from the first photo */
    bool upright; /* the camera was turned: EXIF orientation 6 */
    bool has_place;
    unsigned char *exif; /* owned; malloc'ed by libexif */
    unsigned exif_size;
} Photo;

/* A different but always the same number for each n (the finalizer of a common integer hash). */
static unsigned scatter(unsigned n)
{
    n = (n ^ 61U) ^ (n >> 16);
    n *= 9U;
    n ^= n >> 4;
    n *= 0x27d4eb2dU;
    return n ^ (n >> 15);
}

static void set_text(ExifData *exif, ExifIfd ifd, ExifTag tag, const char *text)
{
    ExifEntry *entry = exif_entry_new();

    entry->tag = tag;
    entry->format = EXIF_FORMAT_ASCII;
    entry->components = strlen(text) + 1;
    entry->size = (unsigned)entry->components;
    entry->data = (unsigned char *)strdup(text);
    exif_content_add_entry(exif->ifd[ifd], entry);
    exif_entry_unref(entry);
}

/* Degrees, minutes and seconds as three rationals, as EXIF has places. */
static void set_angle(ExifData *exif, ExifTag tag, unsigned degrees, unsigned minutes)
{
    const ExifRational parts[3] = {{degrees, 1}, {minutes, 1}, {0, 1}};
    ExifEntry *entry = exif_entry_new();

    entry->tag = tag;
    entry->format = EXIF_FORMAT_RATIONAL;
    entry->components = 3;
    entry->size = 24;
    entry->data = calloc(3, 8);
    exif_content_add_entry(exif->ifd[EXIF_IFD_GPS], entry);
    for (size_t i = 0; entry->data && i < 3; i++)
        exif_set_rational(entry->data + i * 8, EXIF_BYTE_ORDER_INTEL, parts[i]);
    exif_entry_unref(entry);
}

static void make_exif(Photo *photo)
{
    char when[20];
    ExifData *exif = exif_data_new();

    exif_data_set_byte_order(exif, EXIF_BYTE_ORDER_INTEL);
    (void)snprintf(when, sizeof(when), "2024:%02u:%02u %02u:%02u:%02u", photo->day / 28 % 12 + 1,
                   photo->day % 28 + 1, 8 + photo->number % 12, photo->number * 7 % 60,
                   photo->number * 13 % 60);
    set_text(exif, EXIF_IFD_EXIF, EXIF_TAG_DATE_TIME_ORIGINAL, when);
    if (photo->upright) {
        ExifEntry *entry = exif_entry_new();

        exif_content_add_entry(exif->ifd[EXIF_IFD_0], entry);
        exif_entry_initialize(entry, EXIF_TAG_ORIENTATION);
        exif_set_short(entry->data, EXIF_BYTE_ORDER_INTEL, 6);
        exif_entry_unref(entry);
    }
    if (photo->has_place) {
        set_text(exif, EXIF_IFD_GPS, (ExifTag)EXIF_TAG_GPS_LATITUDE_REF, "N");
        set_angle(exif, (ExifTag)EXIF_TAG_GPS_LATITUDE, 46 + photo->number % 3, photo->day % 60);
        set_text(exif, EXIF_IFD_GPS, (ExifTag)EXIF_TAG_GPS_LONGITUDE_REF, "E");
        set_angle(exif, (ExifTag)EXIF_TAG_GPS_LONGITUDE, 7 + photo->number % 5, photo->day % 60);
    }
    exif_data_save_data(exif, &photo->exif, &photo->exif_size);
    exif_data_unref(exif);
}

/* The picture as it is meant to be seen: a sky that grows warm towards the horizon, sun, hills. */
static void paint(unsigned number, int x, int y, int width, int height, JSAMPLE *pixel)
{
    const unsigned seed = scatter(number);
    const int dx = x - (int)(seed % 600), dy = y - (int)(160 + seed / 7 % 160);
    const int slope = (int)(seed / 3 % 200) - 100, hue = (int)(seed / 31 % 90);
    const int hill =
        height * 2 / 3 + slope * x / width + (int)(scatter((unsigned)x / 24 + seed) % 12);

    if (y > hill) {
        pixel[0] = (JSAMPLE)(20 + hue / 3);
        pixel[1] = (JSAMPLE)(50 + (y - hill) / 4);
        pixel[2] = (JSAMPLE)(40 + hue / 4);
    } else if (dx * dx + dy * dy < 48 * 48) {
        memcpy(pixel, (const JSAMPLE[]){255, 244, 214}, 3);
    } else {
        pixel[0] = (JSAMPLE)(60 + y * 180 / height);
        pixel[1] = (JSAMPLE)(100 + hue / 2 + y * 40 / height);
        pixel[2] = (JSAMPLE)(210 - y * 120 / height);
    }
}

/* One stored line. Orientation 6 says "turn me clockwise to see me", so those lie on their side. */
static void paint_line(const Photo *photo, int y, JSAMPLE *line)
{
    for (int x = 0; x < WIDTH; x++) {
        JSAMPLE *pixel = line + (size_t)x * 3;

        if (photo->upright)
            paint(photo->number, HEIGHT - 1 - y, x, HEIGHT, WIDTH, pixel);
        else
            paint(photo->number, x, y, WIDTH, HEIGHT, pixel);
    }
}

static void compress(const Photo *photo, FILE *file)
{
    struct jpeg_compress_struct jpeg;
    struct jpeg_error_mgr errors;
    JSAMPLE line[WIDTH * 3];
    JSAMPROW rows[1] = {line};

    /* The default handler ends the program on an error: right for this one. */
    jpeg.err = jpeg_std_error(&errors);
    jpeg_create_compress(&jpeg);
    jpeg_stdio_dest(&jpeg, file);
    jpeg.image_width = WIDTH;
    jpeg.image_height = HEIGHT;
    jpeg.input_components = 3;
    jpeg.in_color_space = JCS_RGB;
    jpeg_set_defaults(&jpeg);
    jpeg_set_quality(&jpeg, 88, TRUE);
    jpeg_start_compress(&jpeg, TRUE);
    jpeg_write_marker(&jpeg, JPEG_APP0 + 1, photo->exif, photo->exif_size);
    for (int y = 0; y < HEIGHT; y++) {
        paint_line(photo, y, line);
        (void)jpeg_write_scanlines(&jpeg, rows, 1);
    }
    jpeg_finish_compress(&jpeg);
    jpeg_destroy_compress(&jpeg);
}

static int write_photo(const char *directory, unsigned number)
{
    Photo photo = {
        .number = number,
        .day = number / PER_TRIP * 9 + number % PER_TRIP / 4,
        .upright = number % 5 == 3,
        .has_place = number % 3 != 2,
    };
    CLEANUP_FREE char *folder = NULL, *path = NULL;
    FILE *file;

    if (asprintf(&folder, "%s/Trip %u", directory, number / PER_TRIP + 1) < 0 ||
        asprintf(&path, "%s/IMG_%04u.jpg", folder, number + 1) < 0)
        return -ENOMEM;
    if (mkdir(folder, 0777) < 0 && errno != EEXIST)
        return -errno;
    file = fopen(path, "wxe");
    if (!file)
        return errno == EEXIST ? 0 : -errno;
    make_exif(&photo);
    compress(&photo, file);
    free(photo.exif);
    return fclose(file) == 0 ? 0 : -errno;
}

int main(int argc, char **argv)
{
    char *end = NULL;
    const unsigned long n = argc == 3 ? strtoul(argv[2], &end, 10) : 0;

    if (argc != 3 || *end || n < 1 || n > N_MAX) {
        (void)fprintf(stderr, "Usage: sample-photos DIR N\n");
        return 2;
    }
    if (mkdir(argv[1], 0777) < 0 && errno != EEXIST) {
        (void)fprintf(stderr, "sample-photos: %s: %s\n", argv[1], strerror(errno));
        return 1;
    }
    for (unsigned i = 0; i < n; i++) {
        const int r = write_photo(argv[1], i);

        if (r < 0) {
            (void)fprintf(stderr, "sample-photos: %s: %s\n", argv[1], strerror(-r));
            return 1;
        }
    }
    return 0;
}
