#pragma once
/* What tells one state of a file from another without reading it. */

#include <stdbool.h>
#include <stdint.h>

typedef struct FileStamp {
    uint64_t dev; /* st_dev as the kernel gives it now; not stable across boots */
    uint64_t ino;
    uint64_t size;    /* bytes */
    int64_t mtime_ns; /* nanoseconds since the epoch */
} FileStamp;

static inline bool file_stamp_same_content(const FileStamp *a, const FileStamp *b)
{
    return a->size == b->size && a->mtime_ns == b->mtime_ns;
}

static inline bool file_stamp_same_inode(const FileStamp *a, const FileStamp *b)
{
    return a->dev == b->dev && a->ino == b->ino;
}

/* mtime in whole seconds, rounded towards minus infinity, as Python's int(st_mtime) for times after
 * the epoch. */
static inline int64_t file_stamp_seconds(const FileStamp *stamp)
{
    int64_t s = stamp->mtime_ns / 1000000000;

    return stamp->mtime_ns % 1000000000 < 0 ? s - 1 : s;
}
