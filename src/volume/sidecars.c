/*
 * Takeout sidecars
 *
 * The last way of naming one (any .json file that begins with the photo's name) can only be found
 * by listing the directory. For a folder of 100,000 photos that is done once and not 100,000 times:
 * the .json names of the directory that was last looked at are kept as long as its mtime stays the
 * same.
 *
 * A listing can miss a file that is made in the same tick of the clock in which the directory was
 * last changed, so one made that shortly after a change is used for a moment only. A moment is less
 * than watch.settle: the photo of a sidecar that appears is read again after that.
 */
#include "volume/sidecars.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "util/array.h"
#include "util/cleanup.h"
#include "util/clock.h"

#define SUFFIX     ".json"
#define MOMENT     (20 * CLOCK_US_PER_MS)
#define TICK_MAX   3 /* seconds: FAT counts in twos */
#define FILE_FLAGS (O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)

/* open_regular() - see the header. */
int open_regular(int dir_fd, const char *name)
{
    /* A photo that is looked at for its thumbnail should not count as read by the user; only its
     * owner may ask for that (open(2)). */
    int fd = openat(dir_fd, name, FILE_FLAGS | O_NOATIME);
    struct stat st;

    if (fd < 0 && errno == EPERM)
        fd = openat(dir_fd, name, FILE_FLAGS);
    if (fd < 0)
        return -errno;
    if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
        (void)close(fd);
        return -ESTALE;
    }
    return fd;
}

void sidecars_done(Sidecars *sidecars)
{
    for (size_t i = 0; i < sidecars->n_names; i++)
        free(sidecars->names[i]);
    free(sidecars->names);
    *sidecars = (Sidecars){0};
}

static int add(Sidecars *sidecars, const char *name)
{
    char *copy;

    if (ARRAY_RESERVE(sidecars->names, sidecars->capacity, sidecars->n_names + 1) < 0 ||
        !(copy = strdup(name)))
        return -ENOMEM;
    sidecars->names[sidecars->n_names++] = copy;
    return 0;
}

static bool ends_in_json(const char *name)
{
    size_t length = strlen(name);

    return length > strlen(SUFFIX) && strcmp(name + length - strlen(SUFFIX), SUFFIX) == 0;
}

static int compare(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* 0 or a negative errno. */
static int list(Sidecars *sidecars, int dir_fd)
{
    CLEANUP(closedir_p) DIR *dir = NULL;
    int fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    dir = fd >= 0 ? fdopendir(fd) : NULL;
    if (!dir) {
        int error = errno;

        if (fd >= 0)
            (void)close(fd);
        return -error;
    }
    errno = 0;
    for (struct dirent *d; (d = readdir(dir)); errno = 0)
        if (ends_in_json(d->d_name) && add(sidecars, d->d_name) < 0)
            return -ENOMEM;
    if (errno != 0)
        return -errno;
    if (sidecars->n_names > 0)
        qsort(sidecars->names, sidecars->n_names, sizeof(*sidecars->names), compare);
    return 0;
}

static bool is_current(const Sidecars *sidecars, const struct stat *st)
{
    if (!sidecars->is_listed || sidecars->dev != st->st_dev || sidecars->ino != st->st_ino)
        return false;
    if (clock_now() - sidecars->when < MOMENT)
        return true;
    return sidecars->is_settled && sidecars->mtime.tv_sec == st->st_mtim.tv_sec &&
           sidecars->mtime.tv_nsec == st->st_mtim.tv_nsec;
}

/* False when the names cannot be had. */
static bool refresh(Sidecars *sidecars, int dir_fd)
{
    struct stat st;

    if (fstat(dir_fd, &st) < 0)
        return false;
    if (is_current(sidecars, &st))
        return true;
    sidecars_done(sidecars);
    if (list(sidecars, dir_fd) < 0) {
        sidecars_done(sidecars);
        return false;
    }
    sidecars->dev = st.st_dev;
    sidecars->ino = st.st_ino;
    sidecars->mtime = st.st_mtim;
    sidecars->is_settled = time(NULL) - st.st_mtim.tv_sec >= TICK_MAX;
    sidecars->when = clock_now();
    sidecars->is_listed = true;
    return true;
}

/* The index of the first name that is not before text. */
static size_t lower_bound(const Sidecars *sidecars, const char *text)
{
    size_t first = 0, end = sidecars->n_names;

    while (first < end) {
        size_t middle = first + (end - first) / 2;

        if (strcmp(sidecars->names[middle], text) < 0)
            first = middle + 1;
        else
            end = middle;
    }
    return first;
}

/* Opened when it is listed, or when nothing is known of what there is. */
static int open_exact(const Sidecars *sidecars, int dir_fd, const char *file, const char *suffix)
{
    CLEANUP_FREE char *name = NULL;

    if (asprintf(&name, "%s%s", file, suffix) < 0)
        return -ENOMEM;
    if (sidecars) {
        size_t i = lower_bound(sidecars, name);

        if (i == sidecars->n_names || strcmp(sidecars->names[i], name) != 0)
            return -ENOENT;
    }
    return open_regular(dir_fd, name);
}

/* The last resort: the first by name of all that begin with the file's name and a dot. */
static int open_other(const Sidecars *sidecars, int dir_fd, const char *file)
{
    CLEANUP_FREE char *prefix = NULL;

    if (asprintf(&prefix, "%s.", file) < 0)
        return -ENOMEM;
    for (size_t i = lower_bound(sidecars, prefix); i < sidecars->n_names; i++) {
        const char *name = sidecars->names[i];

        if (strncmp(name, prefix, strlen(prefix)) != 0)
            break;
        if (strlen(name) > strlen(file) + strlen(SUFFIX)) /* else it was looked for before */
            return open_regular(dir_fd, name);
    }
    return -ENOENT;
}

/* sidecars_open() - see the header; Google Takeout's names, in PictoPy's order */
int sidecars_open(Sidecars *sidecars, int dir_fd, const char *file)
{
    const Sidecars *known = refresh(sidecars, dir_fd) ? sidecars : NULL;
    int fd;

    if (known && known->n_names == 0)
        return -1;
    fd = open_exact(known, dir_fd, file, ".supplemental-metadata.json");
    if (fd < 0)
        fd = open_exact(known, dir_fd, file, SUFFIX);
    if (fd < 0 && known)
        fd = open_other(known, dir_fd, file);
    return fd < 0 ? -1 : fd;
}
