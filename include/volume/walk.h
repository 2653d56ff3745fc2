#pragma once
/* Walking a subtree on its volume's thread: watch each directory, then list it. */

#include "loop/worker.h"
#include "util/text.h"
#include "volume/directory.h"
#include "volume/mounts.h"
#include "volume/rules.h"

typedef struct ListedFile {
    char *name;
    FileStamp stamp;
    MediaKind kind;
    bool unreadable; /* there, but it cannot be looked at: a dangling link, an I/O error */
} ListedFile;

/* What one directory held at one moment after its watch was added. */
typedef struct Listing {
    ListNode link;   /* Walk.listings */
    uint64_t id;     /* in this walk; the start is 1 */
    uint64_t parent; /* the id of the directory it is in; 0 for the start */
    char *name;      /* "" for the start */
    char *real_path; /* of the start: without symbolic links; NULL when it cannot be told */
    int mount_id;    /* of the start: Mount.id of what it is on; 0 when it cannot be told */
    bool is_mount;   /* another file system begins here: it was not touched, and has a name only */
    bool names_only; /* files were not looked at */
    int wd;          /* -1: not watched, watch_error says why */
    int watch_error; /* positive errno */
    int error;       /* positive errno: it could not be opened or listed to the end */
    uint64_t dev, ino;
    uint64_t volume; /* of what file system, and what part of it, it is */
    int64_t born;    /* when it was made, ns since 1970; 0: not known, or names_only */
    int64_t mtime;
    ListedFile *files; /* photos and videos, by name (memcmp) */
    size_t n_files, files_capacity;
    char **children; /* all subdirectories on disk, also ignored ones, by name */
    size_t n_children, children_capacity;
    char **bad_names; /* not UTF-8 */
    size_t n_bad, bad_capacity;
} Listing;

typedef struct WalkFrame WalkFrame;

/* A job that is submitted again and again until finished; each run is a slice of some 10 ms. */
typedef struct Walk {
    WorkerJob job;
    /* filled by the asker */
    char *path;         /* the start */
    int inotify_fd;     /* -1: add no watches (check) */
    uint32_t mask;      /* for inotify_add_watch(2) */
    Rules *rules;       /* referenced */
    MountTable *mounts; /* referenced; NULL: mount points are walked into */
    uint64_t dev, ino; /* what the start must be, or what it must be in; ino 0: whatever is there */
    bool is_in;        /* the latter */
    bool follow;       /* a root may be a symbolic link */
    bool idle;         /* read from the disk only when nobody else does (ioprio_set(2)) */
    bool names_only;   /* only watch and find subdirectories */
    bool start_only;   /* the next slice ends after the start directory */
    _Atomic bool abort; /* the next slice only closes what is open; may be set during one */
    /* the answer of a slice */
    List listings; /* Listing.link; the asker takes them */
    bool finished;
    bool pseudo;     /* the start is on proc, sysfs or the like, or one of our own directories */
    int start_error; /* positive errno: the start could not be opened; ESTALE: it is another one */
    /* private */
    WalkFrame *frames;
    size_t n_frames, frames_capacity;
    char *entries; /* what getdents64(2) has read */
    uint64_t next_id;
    Text at;   /* path of the directory in hand */
    Text real; /* the same without symbolic links, while a mount point is looked for */
    char *real_start;
    uint64_t part;   /* Mount.part of where the start is */
    bool has_mounts; /* there are mount points below the start */
    struct {
        uint64_t dev, ino;
    } * own;
    size_t n_own;
} Walk;

/* Takes references of its own to rules and mounts (which may be NULL). */
int walk_init(Walk *walk, const char *path, Rules *rules, MountTable *mounts,
              void (*done)(WorkerJob *));
void walk_done(Walk *walk);  /* nothing may be open: after finished */
void walk_slice(Walk *walk); /* one slice, on the calling thread */
Listing *listing_free(Listing *listing);
