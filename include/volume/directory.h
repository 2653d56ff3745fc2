#pragma once
/* Opening and reading directories, on a volume's thread. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include "util/file_stamp.h"
#include "util/media_kind.h"

/* Opens a directory by a path of any length. follow: the last component may be a symlink. */
int directory_open(const char *path, bool follow);

/* What a name in a directory is. */
typedef enum EntryType {
    ENTRY_TYPE_ABSENT,
    ENTRY_TYPE_FILE,      /* a regular file, or a symlink to one */
    ENTRY_TYPE_DIRECTORY, /* itself, not behind a symlink */
    ENTRY_TYPE_OTHER,     /* a socket, a fifo, a symlink to a directory … */
    ENTRY_TYPE_DANGLING,  /* a symlink whose target is not there */
    ENTRY_TYPE_ERROR,     /* error says which */
} EntryType;

typedef struct Entry {
    EntryType type;
    int error;        /* positive errno, with _ERROR */
    FileStamp stamp;  /* of a file: size and mtime of what is read, inode of the name itself */
    int64_t mtime;    /* seconds, of a directory */
    int64_t ctime_ns; /* of a file: when anything about it changed, whatever its mtime says */
} Entry;

void directory_probe(int dir_fd, const char *name, Entry *ret_entry);

/* The identity of the file system that a descriptor is on, as stable as statfs(2) gives it; 0 when
 * it cannot be had. *ret_pseudo: proc, sysfs, cgroup and the like, which hold no photos. */
uint64_t directory_volume(int fd, bool *ret_pseudo);
/* Is it on a network, or served by a program (FUSE)? Then any call on it may hang for ever. True
 * when it cannot be told. */
bool directory_is_remote(int fd);
int64_t directory_mtime(const struct stat *st);
/* When it was made, ns since 1970; 0 where the file system does not tell. */
int64_t directory_born(int fd);
FileStamp directory_stamp(const struct stat *st);
