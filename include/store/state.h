#pragma once
/*
 * The daemon's own state database: what identity needs beyond PictoPy's schema, problems, excluded
 * folders, and files announced before they are made or removed. It can be deleted at any time.
 * Nothing here fails for its caller: an error is logged once, and what cannot be read is unknown.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "store/database.h"
#include "store/row_id.h"
#include "store/strings.h"
#include "util/file_stamp.h"
#include "util/path.h"

typedef struct State {
    Database database;
    char *directory; /* NULL: kept in memory */
    char *path;      /* of state.db */
    bool read_only;
    bool in_memory;  /* the open database is */
    bool damaged;    /* set aside and made anew at the next state_ready() */
    bool logged;     /* that it fails */
    uint64_t n_lost; /* times that it was removed or damaged while it was in use, and made anew */
    int lock_fd;     /* holds the owner's lock; -1 = none */
    bool owner;      /* the one process that finishes what a killed one left */
    uint64_t dev, ino;
    int log_pages;                         /* in the write-ahead log */
    uint8_t last_folder[ROW_ID_UUID_SIZE]; /* whose number was asked for last */
    int64_t last_number;                   /* 0: none */
} State;

typedef struct StateFile {
    FileStamp stamp;
    bool has_fingerprint;
    uint64_t fingerprint;
} StateFile;

int state_init(State *state, const char *directory, bool read_only); /* opens nothing */
void state_done(State *state);
bool state_ready(State *state); /* opens it when needed; true: it was opened (anew) just now */
bool state_own(State *state);   /* may this process clean up after a killed one? */
void state_close(State *state); /* the next state_ready() opens it again */
bool state_check(State *state, int code); /* SQLITE_OK? Logs the first error */

/* Many reads or writes at once; without them each call is its own transaction. */
void state_read_begin(State *state);
void state_write_begin(State *state);
void state_write_begin_soon(State *state); /* for a caller that holds PictoPy.db's write lock */
void state_end(State *state);
void state_tidy(State *state); /* now and then, where no lock is held */

/* A file of one folder, for reading all of them at once. */
typedef struct StateKnown {
    uint8_t id[ROW_ID_UUID_SIZE];
    FileStamp stamp;
} StateKnown;

typedef struct StateKnownList {
    StateKnown *items; /* by id (memcmp) */
    size_t count;
    size_t capacity;
} StateKnownList;

/* Files, by the ids of their row and of its folder (NULL: the row has none). */
bool state_read_file(State *state, const char *folder_id, const char *id, StateFile *ret_file);
bool state_read_file_at(State *state, const char *id, uint64_t dev, uint64_t ino,
                        StateFile *ret_file);
int state_read_inode(State *state, uint64_t dev, uint64_t ino, StringList *ids); /* or -ENOMEM */
int state_read_content(State *state, uint64_t size, uint64_t fingerprint, StringList *ids);
void state_write_file(State *state, const char *folder_id, const char *id, const FileStamp *stamp,
                      const uint64_t *fingerprint); /* NULL: as it was, if the content is */
void state_move_file(State *state, const char *folder_id, const char *new_folder_id,
                     const char *id);
void state_forget_file(State *state, const char *folder_id, const char *id);

/* Folders, by the id of their row. */
typedef struct StateFolder {
    int64_t number;  /* 0: not known */
    bool has_volume; /* the file system that it was last listed on: */
    uint64_t volume;
    uint64_t ino; /* of its directory there; 0: not known */
    int64_t born; /* when that was made, ns since 1970; 0: not known */
} StateFolder;

void state_read_folder(State *state, const char *id, StateFolder *ret_folder);
/* Appends the next limit files of a folder; false when there are no more. 0 or -ENOMEM. */
int state_read_known(State *state, const StateFolder *folder, size_t limit, StateKnownList *list,
                     bool *ret_more);
/* Notes its directory: has_volume and what follows it. */
void state_write_folder(State *state, const char *id, const StateFolder *folder);
/* Appends the ids of folders whose directory was this one: its birth is not another one. */
int state_read_directory(State *state, const StateFolder *folder, StringList *ids); /* or -ENOMEM */
void state_forget_folder(State *state, const char *id); /* and the files in it */

/* Announced thumbnails: files to be removed unless a row names them. */
void state_announce(State *state, const char *path);
void state_announce_done(State *state, const char *path);
int state_read_announced(State *state, StringList *paths); /* 0 or -ENOMEM */

/* Problems, by path. */
void state_write_problem(State *state, const char *path, const FileStamp *stamp,
                         const char *reason);
void state_clear_problem(State *state, const char *path);
void state_clear_problems(State *state, const char *path);                     /* and below */
void state_move_problems(State *state, const PathMove *moves, size_t n_moves); /* sorted */
