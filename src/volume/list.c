/*
 * What a directory holds
 *
 * Entries are read by getdents64(2) and not by readdir(3): for a hundred thousand directories the
 * buffer that each DIR has, and the two system calls that fdopendir(3) makes, are a tenth of the
 * time.
 */
#include "volume/list.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "util/array.h"
#include "util/error.h"
#include "util/path.h"

#define ENTRIES_SIZE 32768 /* bytes at a time, as glibc has it */

/* names_free() - free an array of names, and the names */
void names_free(char **names, size_t n)
{
    for (size_t i = 0; i < n; i++)
        free(names[i]);
    free(names);
}

static int names_add(char ***names, size_t *n, size_t *capacity, const char *name)
{
    int r = array_reserve(names, capacity, *n + 1, sizeof(char *));

    if (r < 0)
        return r;
    (*names)[*n] = strdup(name);
    if (!(*names)[*n])
        return -ENOMEM;
    (*n)++;
    return 0;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static int compare_files(const void *a, const void *b)
{
    return strcmp(((const ListedFile *)a)->name, ((const ListedFile *)b)->name);
}

static int add_file(Listing *listing, const char *name, MediaKind kind, const Entry *entry)
{
    int r = ARRAY_RESERVE(listing->files, listing->files_capacity, listing->n_files + 1);
    ListedFile *file;

    if (r < 0)
        return r;
    file = &listing->files[listing->n_files];
    *file = (ListedFile){.name = strdup(name), .stamp = entry->stamp, .kind = kind};
    if (!file->name)
        return -ENOMEM;
    file->unreadable = entry->type != ENTRY_TYPE_FILE;
    listing->n_files++;
    return 0;
}

/* Only names that can matter are looked at closer: one lstat(2) for a photo, none for the rest. */
static int list_entry(Walk *walk, Listing *listing, int fd, const struct dirent64 *d)
{
    bool maybe_directory = d->d_type == DT_DIR || d->d_type == DT_UNKNOWN;
    MediaKind kind;
    Entry entry;

    if (walk->names_only && !maybe_directory)
        return 0;
    if (strcmp(d->d_name, ".") == 0 || strcmp(d->d_name, "..") == 0)
        return 0;
    kind = walk->names_only ? MEDIA_KIND_NONE : media_kind_of(d->d_name);
    if (d->d_type == DT_DIR)
        entry = (Entry){.type = ENTRY_TYPE_DIRECTORY};
    else if (maybe_directory || kind != MEDIA_KIND_NONE)
        directory_probe(fd, d->d_name, &entry);
    else
        return 0;

    if (entry.type != ENTRY_TYPE_DIRECTORY &&
        (kind == MEDIA_KIND_NONE || rules_ignore_file(walk->rules, d->d_name)))
        return 0;
    if (!path_is_utf8(d->d_name))
        return names_add(&listing->bad_names, &listing->n_bad, &listing->bad_capacity, d->d_name);
    if (entry.type == ENTRY_TYPE_DIRECTORY)
        return names_add(&listing->children, &listing->n_children, &listing->children_capacity,
                         d->d_name);
    /* What cannot be looked at is still there: it must not pass for deleted. */
    if (entry.type == ENTRY_TYPE_FILE || entry.type == ENTRY_TYPE_ERROR ||
        entry.type == ENTRY_TYPE_DANGLING)
        return add_file(listing, d->d_name, kind, &entry);
    return 0;
}

static int list_some(Walk *walk, Listing *listing, int fd, ssize_t size)
{
    for (ssize_t at = 0; at < size;) {
        const struct dirent64 *d = (const void *)(walk->entries + at);
        int r = list_entry(walk, listing, fd, d);

        if (r < 0)
            return r;
        at += d->d_reclen;
    }
    return 0;
}

/* list_directory() - reads all of an open directory; listing->error says if that went wrong */
void list_directory(Walk *walk, Listing *listing, int fd)
{
    ssize_t n = 1;

    if (!walk->entries)
        walk->entries = malloc(ENTRIES_SIZE);
    if (!walk->entries) {
        listing->error = ENOMEM;
        return;
    }
    while (n > 0) {
        n = getdents64(fd, walk->entries, ENTRIES_SIZE);
        /* One that was removed since it was opened is empty; readdir(3) says so, too. */
        if (n < 0 && errno != ENOENT)
            listing->error = errno;
        if (n > 0)
            listing->error = -list_some(walk, listing, fd, n);
        if (listing->error != 0)
            break;
    }
    if (listing->n_files > 1)
        qsort(listing->files, listing->n_files, sizeof(*listing->files), compare_files);
    if (listing->n_children > 1)
        qsort(listing->children, listing->n_children, sizeof(char *), compare_names);
}
