#pragma once
/* Renames of files: which row belongs to which name, as the events say, until it is written. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "util/file_stamp.h"
#include "util/hash.h"
#include "util/list.h"
#include "util/path.h"
#include "watch/tree.h"

#define RENAMES_MAX 65536 /* more than these are forgotten, all at once: inodes tell as well */

typedef struct Rename Rename;
typedef struct Renames Renames;

/* The row that stands at the path `from` follows its file. */
struct Rename {
    HashNode by_from;  /* Renames.rows */
    HashNode by_place; /* Renames.names, or Renames.air while it is in the air */
    ListNode link;     /* Renames.all */
    ListNode asked;    /* Renames.asked: to be written */
    char *from;        /* path of the row in the database; of a stand-in a number and a name */
    char *id;          /* of the row, where it was found by its inode; or NULL */
    FileStamp stamp;   /* then: of its file */
    Node *dir; /* referenced: where its file is; in the air: the name that it left; NULL: nowhere */
    char *name;
    bool in_air;     /* it left its name, and has come up nowhere yet */
    uint32_t cookie; /* in the air */
    bool written;    /* the engine's: written to, and not yet read */
    bool unsure;     /* found by its inode: files may be found yet that belong to it */
    ListNode doubt;  /* Renames.doubtful */
    bool doubtful;   /* one half of an exchange, or there and back again: sync/renames-doubts.c */
    bool covered;    /* and something came over it since: what is there says nothing */
    bool revived; /* it was nowhere, and is here only if its last doubter was exchanged with it */
    uint64_t doubtful_since; /* Renames.n_events */
    bool inspected;          /* the engine's: that was looked into ahead of its time, in vain */
    bool guessed; /* saved by rename, it seems: it came from where nobody looked, over the row's */
    bool unknown; /* a stand-in of a file that may have a row, nobody knows which */
    char *over;   /* then: path of the row whose name it has just left; NULL: of none */
    bool judged;  /* at this moment: it must not be forgotten with another one */
    Rename *partner; /* doubtful: the other half; its file is there in the second case */
    List doubters;   /* those whose partner this is, by Rename.doubter */
    ListNode doubter;
    Renames *renames;
    Rename **writing; /* the engine's pointer to it while it is being written; or NULL */
};

/* The last MOVED_TO, while it may be the first half of an exchange. */
typedef struct RenameLast {
    uint64_t event; /* Renames.n_events */
    Node *from_dir; /* referenced; NULL: there is none */
    char *from_name;
    Node *dir; /* referenced */
    char *name;
    char *under;     /* path of the row whose file it came over; NULL: of none */
    uint32_t cookie; /* of the MOVED_FROM that followed at once */
    bool left;
} RenameLast;

/* A file that arrived, and of which nobody knew that it had left. */
typedef struct RenameStray {
    uint32_t cookie;
    Node *dir; /* referenced; NULL: this one is free */
    char *name;
    char *path; /* of the row of that name; "" with cookie 0: it did leave, unknown */
} RenameStray;

#define RENAMES_STRAYS 32

struct Renames {
    HashTable rows;       /* Rename.by_from */
    HashTable names;      /* Rename.by_place of those that are at a name */
    HashTable air;        /* Rename.by_place of those in the air, by cookie */
    List all;             /* Rename.link */
    List asked;           /* Rename.asked */
    List doomed;          /* Rename.doubter; while they are being forgotten */
    size_t count;         /* in all */
    unsigned n_stand_ins; /* so far: each has a name of its own for a path */
    uint64_t n_events;    /* of files that left, arrived and were made */
    RenameLast last;
    RenameStray strays[RENAMES_STRAYS];
    size_t n_strays;  /* so far */
    bool strays_lost; /* some were forgotten: what came from nowhere cannot be told any more */
    List doubtful;    /* Rename.doubt */
};

/* Or does it stand for a file of which no row is known? */
static inline bool rename_has_row(const Rename *rename)
{
    return rename->from[0] == '/';
}

/* The one whose partner this is, the oldest if there are several; NULL: there is none. */
static inline Rename *rename_doubter(const Rename *rename)
{
    ListNode *link = list_first(&rename->doubters);

    return link ? CONTAINER_OF(link, Rename, doubter) : NULL;
}

/* Is its file known to be at a name of the tree? */
static inline bool rename_is_placed(const Rename *rename)
{
    return rename->dir && !rename->in_air && !rename->dir->detached;
}

void renames_init(Renames *renames);
void renames_clear(Renames *renames); /* forget everything */

/* Events, in their order. path: where the row of this name is in the database; of a file that left
 * NULL where nobody knows. */
void renames_left(Renames *renames, Node *dir, const char *name, const char *path, uint32_t cookie,
                  bool written);
bool renames_arrived(Renames *renames, Node *dir, const char *name, const char *path,
                     uint32_t cookie);
void renames_vanished(Renames *renames, uint32_t cookie); /* arrived at a name that is no media's */
void renames_made(Renames *renames, const Node *dir, const char *name);
void renames_lost(Renames *renames, const char *path, bool written);
void renames_removed(Renames *renames, const Node *dir, const char *name);
void renames_directory_at(Renames *renames, const Node *dir, const char *name);
void renames_directory_removed(Renames *renames, const Node *dir);
bool renames_forget_stray(Renames *renames, const Node *dir,
                          const char *name); /* whatever happened there */
void renames_written(Renames *renames, const Node *dir, const char *name);

Rename *renames_at(const Renames *renames, const Node *dir, const char *name);
Rename *renames_of(const Renames *renames, const char *path);

/* Evidence of another kind: the file of the row at path is at this name. NULL: no memory. */
Rename *renames_put(Renames *renames, const char *path, const char *id, const FileStamp *stamp,
                    Node *dir, const char *name);
void renames_judge(Renames *renames, Rename *rename, bool exchanged); /* a doubtful one */
void renames_end_doubts(Renames *renames);
void renames_land(Renames *renames);                   /* everything has been seen */
void renames_forget(Renames *renames, Rename *rename); /* the row stays where it is */
void renames_let_go(Renames *renames, Rename *rename); /* no row can follow it */
/* The row stands at path now. */
void renames_committed(Renames *renames, Rename *rename, const char *path);
/* Directories' rows went from their paths to others, all at once. */
void renames_rebase(Renames *renames, const PathMove *moves, size_t n_moves);
