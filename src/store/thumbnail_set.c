/*
 * Which thumbnail files are there
 *
 * A thumbnail that somebody cleaned away is none: the app would show an empty tile for ever. So the
 * reconciler asks for each row whether its file is there. One access(2) for each takes longer than
 * all else that is done for an unchanged photo, and on a disk it fetches an inode; reading the
 * names takes neither. Once many files have been asked for, the directory is read, in slices, and
 * its names are kept as hashes of 64 bits: the place in a table is one half, its value the other,
 * so that a million take 8 MB and a file that is missing passes for one that is there once in some
 * thousand million cases.
 *
 * What is kept holds exactly as long as the directory's mtime stays what it was before the reading
 * began, and was some time ago by then: file systems count time in steps, and a file that went in
 * the same step would not show. A thumbnail written or removed, by us too, ends it.
 */

#include "store/thumbnail_set.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "util/array.h"
#include "util/clock.h"
#include "util/hash.h"
#include "util/uuid.h"

#define NAME_PREFIX "/thumbnail_"
#define NAME_SUFFIX ".jpg"
#define NAME_UUID   (sizeof(NAME_PREFIX) - 1) /* where it begins */
#define NAME_SIZE   (NAME_UUID + UUID_TEXT_SIZE - 1 + sizeof(NAME_SUFFIX) - 1)

#define READ_MIN     4096 /* look-ups that are worth a reading, at least */
#define READ_US      (30 * CLOCK_US_PER_MS)
#define READ_NAMES   1024 /* between two looks at the clock */
#define MTIME_STEP_S 2    /* FAT's; others have finer ones */
#define SLOTS_MIN    16

/* thumbnail_set_init() - an empty set; directory is borrowed for its life */
void thumbnail_set_init(ThumbnailSet *set, const char *directory)
{
    *set =
        (ThumbnailSet){.directory = directory, .prefix = strlen(directory), .threshold = READ_MIN};
}

static void set_forget(ThumbnailSet *set)
{
    if (set->dir)
        (void)closedir(set->dir);
    free(set->hashes);
    free(set->slots);
    set->dir = NULL;
    set->hashes = NULL;
    set->slots = NULL;
    set->n_slots = set->count = set->capacity = 0;
    set->complete = false;
}

/* thumbnail_set_done() - frees what the set holds */
void thumbnail_set_done(ThumbnailSet *set)
{
    set_forget(set);
    *set = (ThumbnailSet){0};
}

/* ---- hashes ---- */

static uint32_t hash_value(uint64_t hash)
{
    uint32_t value = (uint32_t)(hash >> 32);

    return value ? value : 1;
}

/* The slot that holds this hash, or the free one where it would be. */
static size_t slot_of(const ThumbnailSet *set, uint64_t hash)
{
    size_t i = hash & (set->n_slots - 1);

    while (set->slots[i] != 0 && set->slots[i] != hash_value(hash))
        i = (i + 1) & (set->n_slots - 1);
    return i;
}

/* From the list of hashes to the table; at most half of it is filled. */
static bool set_build(ThumbnailSet *set)
{
    set->n_slots = SLOTS_MIN;
    while (set->n_slots < set->count * 2)
        set->n_slots *= 2;
    set->slots = calloc(set->n_slots, sizeof(*set->slots));
    if (!set->slots)
        return false;
    for (size_t i = 0; i < set->count; i++)
        set->slots[slot_of(set, set->hashes[i])] = hash_value(set->hashes[i]);
    free(set->hashes);
    set->hashes = NULL;
    set->capacity = 0;
    return true;
}

/* The hash of a name of our pattern, given with the slash before it; 0 for any other. */
static uint64_t name_hash(const char *name, size_t size)
{
    if (size != NAME_SIZE || memcmp(name, NAME_PREFIX, NAME_UUID) != 0 ||
        memcmp(name + NAME_UUID + UUID_TEXT_SIZE - 1, NAME_SUFFIX, sizeof(NAME_SUFFIX) - 1) != 0)
        return 0;
    return hash_bytes(name + NAME_UUID, UUID_TEXT_SIZE - 1, 0);
}

static bool set_add(ThumbnailSet *set, const char *name)
{
    char slashed[NAME_SIZE + 1];
    uint64_t hash;

    if (strlen(name) != NAME_SIZE - 1)
        return true;
    (void)snprintf(slashed, sizeof(slashed), "/%s", name);
    hash = name_hash(slashed, NAME_SIZE);
    if (hash == 0)
        return true;
    if (ARRAY_RESERVE(set->hashes, set->capacity, set->count + 1))
        return false;
    set->hashes[set->count++] = hash;
    return true;
}

/* ---- reading ---- */

static bool same_time(const struct timespec *a, const struct timespec *b)
{
    return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}

/* A reading has ended, or proved to be worth nothing: the next one only when as many look-ups as
 * it would take the time of have been done. */
static void set_wait(ThumbnailSet *set)
{
    set->threshold = set->count / 2 > READ_MIN ? set->count / 2 : READ_MIN;
    set->asked = 0;
}

static void set_begin(ThumbnailSet *set)
{
    struct timespec now;
    struct stat st;

    set_forget(set);
    if (stat(set->directory, &st) < 0 || clock_gettime(CLOCK_REALTIME, &now) < 0)
        return;
    if (st.st_mtim.tv_sec + MTIME_STEP_S >= now.tv_sec)
        return; /* changed just now, and is likely to change again */
    set->mtime = st.st_mtim;
    set->dir = opendir(set->directory);
}

/* Reads on until the time is up. */
static void set_read(ThumbnailSet *set)
{
    uint64_t begun = clock_now();
    struct dirent *entry = NULL;

    do {
        for (int i = 0; i < READ_NAMES; i++) {
            errno = 0;
            entry = readdir(set->dir);
            if (!entry)
                break;
            if (!set_add(set, entry->d_name)) {
                set_wait(set);
                set_forget(set);
                return;
            }
        }
    } while (entry && clock_now() - begun < READ_US);
    if (entry)
        return;
    set->complete = errno == 0 && set_build(set);
    set_wait(set);
    if (!set->complete) {
        set_forget(set);
        return;
    }
    (void)closedir(set->dir);
    set->dir = NULL;
}

/* thumbnail_set_refresh() - drops what is no longer true, and reads the directory when that pays */
void thumbnail_set_refresh(ThumbnailSet *set)
{
    struct stat st;

    if ((set->complete || set->dir) &&
        (stat(set->directory, &st) < 0 || !same_time(&st.st_mtim, &set->mtime))) {
        set_wait(set);
        set_forget(set);
    }
    if (set->complete || set->asked < set->threshold)
        return;
    if (!set->dir)
        set_begin(set);
    if (set->dir)
        set_read(set);
}

/* thumbnail_set_rest() - frees the names when nobody asked for one since the last call */
void thumbnail_set_rest(ThumbnailSet *set)
{
    if (!set->used) {
        set_forget(set);
        set->asked = 0;
    }
    set->used = false;
}

/* ---- asking ---- */

static bool is_on_disk(const char *path)
{
    return access(path, F_OK) == 0 || errno != ENOENT;
}

/*
 * thumbnail_set_has() - is there a file at the path that a row has as its thumbnail's?
 * @path: any text that may stand in the row; zero-terminated
 *
 * What cannot be told counts as there.
 */
bool thumbnail_set_has(ThumbnailSet *set, const char *path, size_t size)
{
    set->used = true;
    if (set->complete && size == set->prefix + NAME_SIZE &&
        memcmp(path, set->directory, set->prefix) == 0) {
        uint64_t hash = name_hash(path + set->prefix, NAME_SIZE);

        if (hash != 0 && set->slots[slot_of(set, hash)] != 0)
            return true;
    }
    set->asked++;
    return size > 0 && is_on_disk(path);
}
