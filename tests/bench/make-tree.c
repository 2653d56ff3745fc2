/*
 * make-tree DIR DIRECTORIES FILES - fills a new directory with DIRECTORIES directories in all (DIR
 * itself is one), FILES files named like photos in each
 *
 * The files are holes: they have a size, each another one, and no blocks, so that a million of
 * them takes seconds and no disk. A scan that trusts its rows never opens them.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "util/cleanup.h"

#define FAN_OUT   40 /* four levels for 100,000 directories */
#define SIZE_BASE 1000000
#define PATH_SIZE 4096

/* The path of directory number i below DIR: directory 0 is DIR, its first children are 1 to 40. */
static size_t directory_path(const char *top, unsigned long i, char *path)
{
    size_t length;

    if (i == 0)
        return (size_t)snprintf(path, PATH_SIZE, "%s", top);
    length = directory_path(top, (i - 1) / FAN_OUT, path);
    return length + (size_t)snprintf(path + length, PATH_SIZE - length, "/album-%06lu", i);
}

static int make_file(int directory, unsigned long number, unsigned long i)
{
    CLEANUP_CLOSE int fd = -1;
    char name[32];

    (void)snprintf(name, sizeof(name), "IMG_%04lu.jpg", i);
    fd = openat(directory, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    if (fd < 0 || ftruncate(fd, (off_t)(SIZE_BASE + number)) < 0)
        return -errno;
    return 0;
}

static int make_directory(const char *path, unsigned long number, unsigned long n_files)
{
    CLEANUP_CLOSE int directory = -1;
    int r = 0;

    if (mkdir(path, 0755) < 0)
        return -errno;
    directory = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (directory < 0)
        return -errno;
    for (unsigned long i = 0; i < n_files && r == 0; i++)
        r = make_file(directory, number * n_files + i, i);
    return r;
}

int main(int argc, char **argv)
{
    unsigned long n_directories, n_files;
    char path[PATH_SIZE];

    if (argc != 4 || strlen(argv[1]) > PATH_SIZE / 2) {
        (void)fprintf(stderr, "Usage: make-tree DIR DIRECTORIES FILES\n");
        return 2;
    }
    n_directories = strtoul(argv[2], NULL, 10);
    n_files = strtoul(argv[3], NULL, 10);
    for (unsigned long i = 0; i < n_directories; i++) {
        int r;

        (void)directory_path(argv[1], i, path);
        r = make_directory(path, i, n_files);
        if (r < 0) {
            (void)fprintf(stderr, "make-tree: %s: %s\n", path, strerror(-r));
            return 1;
        }
    }
    return 0;
}
