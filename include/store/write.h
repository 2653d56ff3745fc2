#pragma once
/* A call of store_write() on its way: shared by the files src/store/write*.c. */

#include "store/core.h"
#include "store/strings.h"
#include "util/hash.h"

/* What stops an operation. Besides: 0, and negative for no memory. */
#define WRITE_E_FAILED    1 /* the operation's own fault, Writer.reason says why: it is undone */
#define WRITE_E_PARTIAL   2 /* time is up: commit what is done and call again */
#define WRITE_E_DATABASE  3 /* Writer.code: nothing can be written */
#define WRITE_E_AGAIN     4 /* everything is rolled back: begin anew without what did it */
#define WRITE_E_CONDITION 5 /* Writer.condition, for the caller of store_write() */

/* One operation. */
struct WriteRun {
    HashNode by_id; /* in Writer.moves or .edited */
    StoreOp *op;
    StoreOpResult result; /* PENDING again when its transaction is rolled back */
    bool published;       /* result is committed and told in op */
    char *thumbnail;      /* the new file, until a committed row names it */
    char *parked;         /* moves: where the row waits until its turn in this unit */
    char *id;             /* of the row */
    char *folder_id;
    char *old_folder_id; /* what the state database knows is kept there; NULL = as folder_id */
    char *error;
    bool inserted;
    bool restored;
    unsigned untimed;
    bool kept_thumbnail; /* the new thumbnail is the same as the old one, and is not written */
    bool own_write;
    bool meets; /* a folder's move: at its new path may be rows that others move away */
    bool retagged, untag, unembed; /* the AI looks again: flags of the row that are to be 0 */
};

/* Faces, found before the transaction. */
typedef struct RetagFaces {
    struct RetagFace *items;
    size_t count, capacity;
} RetagFaces;

/* What a run's op->place was before. */
typedef struct WritePlace {
    WriteRun *run;
    char *before;
} WritePlace;

struct Writer {
    Store *store;
    WriteRun *runs;
    size_t n_runs;
    HashTable moves;  /* WriteRun.by_id, of moves of media */
    HashTable edited; /* the same, of photos that the AI is to look at again */
    WriteRun **unit;  /* operations that are done or undone together */
    size_t n_unit;
    size_t unit_at; /* the one that is being done */
    size_t unit_capacity;
    bool open;          /* the transaction is */
    bool nested;        /* folders are moved that are below one another */
    WritePlace *places; /* in this transaction, oldest first */
    size_t n_places, places_capacity;
    unsigned untimed;   /* rows of directories that the operation at hand made without a time */
    StringList unlink;  /* thumbnails to be removed behind the commit */
    StringList handed;  /* rows that took the place of a copy, in fours: each one's folder and id */
    char *handed_to;    /* where the last of them is now; NULL: none since this was cleared */
    StringList gone;    /* rows removed, in pairs: the folder's id, the file's or "" */
    WriteGraves graves; /* of the rows removed, see store/graveyard.c */
    RetagFaces faces;   /* of photos whose content is another one */
    Text reason;        /* of WRITE_E_FAILED */
    int code;           /* of WRITE_E_DATABASE */
    int condition;      /* STORE_E_… of WRITE_E_CONDITION */
};

struct WriteRow {
    SchemaTable table;
    char *id; /* NULL: no such row */
    char *path;
    char *folder_id;
    char *thumbnail;
    char *metadata;
    char *captured_at;
    bool has_location;
    double latitude;
    double longitude;
};

/* ---- write-sql.c ---- */

/* Parameters by types: 's' const char * (NULL is NULL), 'i' int64_t, 'd' double, 'n' NULL. */
int write_sql(Writer *w, const char *sql, const char *types, ...);
/* The same, up to the first row; *ret_statement stays NULL when there is none. */
int write_query(Writer *w, sqlite3_stmt **ret_statement, const char *sql, const char *types, ...);
int write_check(Writer *w, int code); /* an SQLite result code as one of the above */
int write_fail(Writer *w, const char *format, ...) FORMAT_PRINTF(2, 3); /* WRITE_E_FAILED */
bool write_time_is_up(const Writer *w, uint64_t us);

/* ---- write-rows.c ---- */

int write_find_id(Writer *w, MediaKind kind, const char *id, WriteRow *ret_row);
int write_find_path(Writer *w, SchemaTable table, const char *path, WriteRow *ret_row);
void write_row_done(WriteRow *row);
int write_remove_row(Writer *w, SchemaTable table, const char *id, const char *folder_id,
                     const char *thumbnail);
/* ---- heir.c ---- */

int write_hand_over(Writer *w, SchemaTable table, const char *id, const char *folder_id,
                    char **ret_path);
int write_note_handed(Writer *w, const WriteRow *row, const WriteRow *heir);

int write_note_gone(Writer *w, const char *folder_id, const char *id); /* id NULL: the folder */
/* Moves a row's path and, unless it is only parked, what says where it is. folder_id: NULL = keep
 */
int write_set_path(Writer *w, const WriteRow *row, const char *path, const char *folder_id);
int write_park_row(Writer *w, WriteRun *run, const WriteRow *row);
int write_parking_path(char **ret_path); /* for a path that is exchanged with another */
int write_drop_thumbnail(Writer *w, const char *path); /* behind the commit */
/* Makes sure that no row but keep_id's stands at path: parks or removes. */
int write_vacate(Writer *w, const char *path, const char *keep_id);

/* ---- write-folders.c ---- */

/* The row of a directory, made with its missing parents. *ret_id stays NULL where no folder at or
 * above it is registered. mtime: NULL = unknown. */
int write_ensure_folder(Writer *w, const char *path, const int64_t *mtime, char **ret_id,
                        bool *ret_inserted);
int write_folder_id(Writer *w, const char *path, char **ret_id); /* NULL: no row */
int write_insert_folder(Writer *w, const char *path, const char *parent_id, bool ai_tagging,
                        int64_t mtime, char **ret_id);
int write_parent_id(Writer *w, const char *path, bool ensure, char **ret_id);
/* Removes the rows at and below path; WRITE_E_PARTIAL only if whole is false. */
int write_remove_tree(Writer *w, const char *path, bool whole, bool *ret_any);

/* ---- write-places.c ---- */

int write_places_init(Writer *w);
const char *write_place(const WriteRun *run);
const char *write_place_before(const Writer *w, const WriteRun *run);
int write_places_moved(Writer *w, const char *from, const char *to);
void write_places_undo(Writer *w, size_t n_places);
void write_places_keep(Writer *w);

/* ---- operations: 0 with run->result set, or one of the above ---- */

int write_folder_ensure(Writer *w, WriteRun *run);
int write_folder_move(Writer *w, WriteRun *run);
int write_folder_remove(Writer *w, WriteRun *run);
int write_media_add(Writer *w, WriteRun *run);
int write_media_update(Writer *w, WriteRun *run);
int write_media_move(Writer *w, WriteRun *run);
int write_media_remove(Writer *w, WriteRun *run);

/* ---- write.c ---- */

int write_run_set(char **field, const char *text); /* a copy, or NULL; 0 or -ENOMEM */
/* The move of this row that is still to come in this call; NULL = none. *ret_failed: there was one
 * and it failed. */
WriteRun *write_find_move(const Writer *w, const char *id, bool *ret_failed);
const WriteRun *write_find_added(const Writer *w, const StoreOp *like, bool same_time);
int write_join_unit(Writer *w, WriteRun *run);

/* ---- write-files.c: around the transactions ---- */

int write_stage_thumbnails(Writer *w);       /* before; failures are told in the runs */
void write_announce_removals(Writer *w);     /* right before a commit */
void write_apply(Writer *w);                 /* behind a commit: files and the state database */
void write_unstage(Writer *w, bool certain); /* at the end: files that no row names */
