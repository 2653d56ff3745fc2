#pragma once
/* The Takeout sidecars of photos and videos, found without listing a directory for each. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

/* What was in the directory that was last looked at; zeroed at first. One thread only. */
typedef struct Sidecars {
    uint64_t dev, ino;
    struct timespec mtime;
    bool is_listed;
    bool is_settled; /* nothing changed in it shortly before */
    uint64_t when;   /* clock_now() of the listing */
    char **names;    /* owned: those that end in .json, sorted */
    size_t n_names, capacity;
} Sidecars;

/* Opens the sidecar of a file in a directory: a regular file's descriptor, or -1 for none. */
int sidecars_open(Sidecars *sidecars, int dir_fd, const char *file);
void sidecars_done(Sidecars *sidecars);

/* A regular file for reading, its access time left alone. The descriptor or a negative errno:
 * -ESTALE when it is anything else. */
int open_regular(int dir_fd, const char *name);
