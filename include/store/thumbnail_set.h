#pragma once
/* Which thumbnail files are there. */

#include <dirent.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

typedef struct ThumbnailSet {
    const char *directory; /* borrowed */
    size_t prefix;         /* bytes of directory */
    uint64_t *hashes;      /* of the names, while they are read */
    size_t count, capacity;
    DIR *dir;                /* being read */
    uint32_t *slots;         /* halves of the hashes, 0 = free, when all are read */
    size_t n_slots;          /* a power of two, or 0 */
    struct timespec mtime;   /* of the directory, before it was read */
    bool complete;           /* all names are in slots */
    bool used;               /* since thumbnail_set_rest() */
    size_t asked, threshold; /* look-ups on the disk since it was last read, and how many are
                                worth reading it */
} ThumbnailSet;

void thumbnail_set_init(ThumbnailSet *set, const char *directory);
void thumbnail_set_done(ThumbnailSet *set);
bool thumbnail_set_has(ThumbnailSet *set, const char *path, size_t size);
/* Now and then, where no lock is held: reads the directory when that is worth it. */
void thumbnail_set_refresh(ThumbnailSet *set);
void thumbnail_set_rest(ThumbnailSet *set); /* frees what was not used since the last call */
