/*
 * write-photos DIR COUNT RATE DIRECTORIES WIDTH HEIGHT - writes COUNT JPEGs, RATE a second
 * (0: as fast as it can), into DIRECTORIES new directories below DIR (0: into DIR itself)
 *
 * Each differs from all others by a number in a comment. Prints afterwards, for each, its path
 * and when it was about to be closed, in nanoseconds of CLOCK_MONOTONIC.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <jpeglib.h>

#include "util/cleanup.h"

#define NS_PER_SEC  INT64_C(1000000000)
#define PATH_SIZE   4096
#define NUMBER_SIZE 16
/* SOI, then a comment that holds the number: marker, length, text (ITU-T T.81, B.2.4.5). */
#define NUMBER_AT (2 + 4)

typedef struct Plan {
    const char *directory;
    unsigned long count, rate, n_directories, width, height;
    unsigned char *jpeg;
    size_t jpeg_size;
    int64_t *closed; /* of each photo */
} Plan;

static int64_t now(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * NS_PER_SEC + t.tv_nsec;
}

static void wait_until(int64_t when)
{
    struct timespec t = {.tv_sec = when / NS_PER_SEC, .tv_nsec = when % NS_PER_SEC};

    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL) == EINTR)
        ;
}

static void compress(Plan *plan, unsigned char **data, unsigned long *size)
{
    struct jpeg_compress_struct jpeg;
    struct jpeg_error_mgr errors;
    JSAMPLE *line = calloc(plan->width, 3);
    JSAMPROW rows[1] = {line};

    if (!line)
        _exit(1);
    jpeg.err = jpeg_std_error(&errors); /* ends the program on an error */
    jpeg_create_compress(&jpeg);
    jpeg_mem_dest(&jpeg, data, size);
    jpeg.image_width = (JDIMENSION)plan->width;
    jpeg.image_height = (JDIMENSION)plan->height;
    jpeg.input_components = 3;
    jpeg.in_color_space = JCS_RGB;
    jpeg_set_defaults(&jpeg);
    jpeg.write_JFIF_header = FALSE; /* the comment is to come first */
    jpeg_start_compress(&jpeg, TRUE);
    jpeg_write_marker(&jpeg, JPEG_COM, (const JOCTET *)"0000000000000000", NUMBER_SIZE);
    for (unsigned long y = 0; y < plan->height; y++) {
        for (unsigned long x = 0; x < plan->width; x++) {
            line[x * 3] = (JSAMPLE)(x * 255 / plan->width);
            line[x * 3 + 1] = (JSAMPLE)(y * 255 / plan->height);
            line[x * 3 + 2] = (JSAMPLE)(x * y % 64);
        }
        (void)jpeg_write_scanlines(&jpeg, rows, 1);
    }
    jpeg_finish_compress(&jpeg);
    jpeg_destroy_compress(&jpeg);
    free(line);
}

static void photo_path(const Plan *plan, unsigned long i, char *path)
{
    unsigned long each;

    if (plan->n_directories == 0) {
        (void)snprintf(path, PATH_SIZE, "%s/photo-%06lu.jpg", plan->directory, i);
        return;
    }
    each = (plan->count + plan->n_directories - 1) / plan->n_directories;
    (void)snprintf(path, PATH_SIZE, "%s/roll-%04lu/photo-%06lu.jpg", plan->directory, i / each, i);
}

static int make_parent(const char *path)
{
    CLEANUP_FREE char *parent = strdup(path);

    if (!parent)
        return -ENOMEM;
    *strrchr(parent, '/') = '\0';
    return mkdir(parent, 0755) < 0 ? -errno : 0;
}

static int write_photo(Plan *plan, unsigned long i)
{
    char path[PATH_SIZE], number[NUMBER_SIZE + 1];
    int r = 0;
    int fd;

    (void)snprintf(number, sizeof(number), "%016lx", i);
    memcpy(plan->jpeg + NUMBER_AT, number, NUMBER_SIZE);
    photo_path(plan, i, path);
    fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    if (fd < 0 && errno == ENOENT) {
        r = make_parent(path);
        fd = r < 0 ? -1 : open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    }
    if (fd < 0)
        return r < 0 ? r : -errno;
    if (write(fd, plan->jpeg, plan->jpeg_size) != (ssize_t)plan->jpeg_size)
        r = -EIO;
    plan->closed[i] = now();
    return close(fd) < 0 ? -errno : r;
}

static int write_all(Plan *plan)
{
    int64_t start = now();
    int r = 0;

    for (unsigned long i = 0; i < plan->count && r == 0; i++) {
        if (plan->rate > 0)
            wait_until(start + (int64_t)i * NS_PER_SEC / (int64_t)plan->rate);
        r = write_photo(plan, i);
    }
    return r;
}

static void print_all(const Plan *plan)
{
    char path[PATH_SIZE];

    for (unsigned long i = 0; i < plan->count; i++) {
        photo_path(plan, i, path);
        (void)printf("%s %" PRId64 "\n", path, plan->closed[i]);
    }
}

int main(int argc, char **argv)
{
    unsigned long *numbers[5], size = 0;
    Plan plan = {0};
    int r;

    if (argc != 7) {
        (void)fprintf(stderr, "Usage: write-photos DIR COUNT RATE DIRECTORIES WIDTH HEIGHT\n");
        return 2;
    }
    plan.directory = argv[1];
    memcpy(numbers,
           ((unsigned long *[]){&plan.count, &plan.rate, &plan.n_directories, &plan.width,
                                &plan.height}),
           sizeof(numbers));
    for (size_t i = 0; i < 5; i++)
        *numbers[i] = strtoul(argv[i + 2], NULL, 10);
    plan.closed = calloc(plan.count + 1, sizeof(*plan.closed));
    if (!plan.closed)
        return 1;
    compress(&plan, &plan.jpeg, &size);
    plan.jpeg_size = size;
    r = write_all(&plan);
    if (r < 0)
        (void)fprintf(stderr, "write-photos: %s: %s\n", plan.directory, strerror(-r));
    else
        print_all(&plan);
    free(plan.jpeg);
    free(plan.closed);
    return r < 0;
}
