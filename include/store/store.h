#pragma once
/*
 * PictoPy's database and the daemon's own state database, as the store thread sees them. Every
 * function runs on the store thread (or in a command with no threads) and holds no lock longer than
 * 50 ms, a folder's rename 250 ms. Nothing here ever changes the schema, the journal mode or a
 * pragma that persists in PictoPy's file.
 *
 * PictoPy.db may be missing, locked, replaced, corrupt or of an older schema at any time: functions
 * then return a condition, store_error() says what is wrong in words, and the next call tries again
 * (a file that was replaced is noticed by its device and inode, and opened anew).
 *
 * The state database (<state>/state.db, WAL) holds what identity needs beyond PictoPy's schema. It
 * may be deleted at any time; an error on it is logged once and never stops a write to PictoPy.db.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "store/arena.h"
#include "util/cleanup.h"
#include "util/file_stamp.h"
#include "util/histogram.h"
#include "util/media_kind.h"

typedef struct Store Store;
typedef struct StoreOp StoreOp;

#define STORE_E_BUSY        1 /* locked by another process for too long: try again later */
#define STORE_E_UNAVAILABLE 2 /* missing, not a database, no folders table, corrupt, I/O error */

/* Strings are borrowed and must live as long as the store. */
typedef struct StoreOptions {
    const char *database_path;
    const char *thumbnails_directory;
    const char *state_directory; /* NULL: no state database (kept in memory) */
    bool inherit_ai_tagging;
    unsigned graveyard_days; /* how long deleted rows are kept, see store/graveyard.h; 0 = not */
    uint64_t graveyard_size; /* bytes: how much of them */
    bool read_only;          /* for check: writes neither database */
} StoreOptions;

typedef struct StoreCounters {
    uint64_t transactions; /* write transactions committed on PictoPy.db */
    uint64_t operations;   /* operations committed */
    uint64_t busy;         /* times that a lock was not had in time */
    Histogram lock_us;     /* time that write transactions took, µs */
    uint64_t read_us_max;  /* the longest read transaction */
    uint64_t thumbnails_written;
    uint64_t thumbnails_removed;
    uint64_t thumbnails_collected; /* that no row named */
    uint64_t buried;               /* rows that were kept when they were deleted */
    uint64_t exhumed;              /* and put back */
    uint64_t state_lost;           /* the state database, while it was in use */
} StoreCounters;

int store_create(const StoreOptions *options, Store **ret_store); /* allocates; opens nothing */
Store *store_free(Store *store);
CLEANUP_DEFINE(Store *, store_free)

/* Opens both databases (again) and finishes what a killed run left: thumbnail files that were
 * announced in the state database and whose row never came are removed, temporary files too.
 * 0, STORE_E_BUSY or STORE_E_UNAVAILABLE. Other functions call it when needed. */
int store_open(Store *store);
const char *store_error(const Store *store); /* why the last condition; "" when none. Borrowed */
const StoreCounters *store_counters(const Store *store);

bool store_is_connected(const Store *store); /* when it was last asked */

/* All is quiet: gives memory back that only serves to be fast. */
void store_rest(Store *store);

/* ---- creating ---- */

/* Makes an empty database with PictoPy's current schema where there is none (directories too).
 * 0 or negative errno; an existing file is left alone. */
int store_database_create(const char *path);
#define STORE_REGISTER_E_EXISTS 3 /* the folder has a row already */
/* Inserts a root's row (parent: the row of its parent directory, if there is one). */
int store_register_folder(Store *store, const char *path, int64_t mtime, char **ret_id);

/* ---- folders ---- */

typedef struct StoreFolder {
    const char *id, *path; /* in StoreFolders.strings */
    bool ai_tagging;
    char status[16]; /* indexing_status; "" where the column is missing or NULL */
} StoreFolder;

typedef struct StoreFolders {
    StoreFolder *items; /* in path order (memcmp) */
    size_t count;
    size_t capacity;
    Arena strings;
} StoreFolders;

/* Has another process changed PictoPy.db since the last call (PRAGMA data_version, or the file was
 * replaced)? The first call says yes. */
int store_poll(Store *store, bool *ret_changed);
uint64_t store_opened(const Store *store); /* another number: maybe another database */
int store_read_folders(Store *store, StoreFolders *ret_folders); /* all, in short pages */
void store_folders_done(StoreFolders *folders);

/* ---- rows of one directory, for the reconciler ---- */

typedef struct StoreEntry {
    char *name;
    MediaKind kind; /* which table */
    char *id;
    char *folder_id;    /* the row's; NULL when it has none */
    uint64_t size;      /* metadata.file_size; UINT64_MAX when it has none */
    int64_t mtime;      /* metadata.file_mtime, seconds; INT64_MIN when it has none */
    bool has_thumbnail; /* thumbnailPath names a file that is there */
    bool has_stamp;     /* the state database knows it: */
    FileStamp stamp;
} StoreEntry;

typedef struct StoreProblem {
    char *path;      /* absolute */
    FileStamp stamp; /* the state of the file that failed; zeros = unknown */
    char *reason;
} StoreProblem;

typedef struct StoreDirectory {
    char *folder_id; /* NULL: no row in folders */
    int64_t folder_mtime;
    bool has_volume;
    uint64_t volume;     /* the file system that the folder was last listed on (state database), */
    uint64_t ino;        /* its directory's inode there, 0: not known, */
    int64_t born;        /* and when that was made, ns since 1970, 0: not known */
    StoreEntry *entries; /* media directly in the directory, by name (memcmp) */
    size_t n_entries;
    char **children; /* names of subdirectories with a folder row or media rows below, by name */
    size_t n_children;
    StoreProblem *problems; /* of files directly in the directory, by path */
    size_t n_problems;
    bool no_videos; /* an older schema without the table: videos are not indexed */
    bool made_here; /* the caller's: the row was made while the directory was watched: this is it */
    Arena strings;  /* of entries and children */
} StoreDirectory;

/* One read transaction for several reads; end it within 50 ms. Reading a large directory renews it
 * on its own, so what is read is no snapshot. */
int store_read_begin(Store *store);
void store_read_end(Store *store);
/* Rows directly in the directory at path. Reads images and videos by ranges on path and skips the
 * subtrees with a new range, so its cost does not depend on what is below. Directories that come in
 * path order within one transaction are read in one go, several times as fast as in any other. */
int store_read_directory(Store *store, const char *path, StoreDirectory *ret_directory);
void store_directory_done(StoreDirectory *directory);

/* ---- directories that were moved while nobody looked ---- */

/* A file below a folder, as its row knows it. */
typedef struct StoreSample {
    char *below; /* its path from there on */
    FileStamp stamp;
} StoreSample;

#define STORE_SAMPLES_MAX 12

/* The folder's row that a directory belongs to by its file system and inode. */
typedef struct StoreOrigin {
    char *path;   /* where it stands; NULL: there is none */
    bool is_born; /* the directory is as old as the row knows, too */
    StoreSample samples[STORE_SAMPLES_MAX];
    size_t n_samples;
    bool has_media; /* rows of photos or videos stand below it */
} StoreOrigin;

int store_read_origin(Store *store, const char *path, uint64_t volume, uint64_t ino, int64_t born,
                      StoreOrigin *ret_origin);
void store_origin_done(StoreOrigin *origin);

/* ---- single rows ---- */

typedef struct StoreRow {
    char *id; /* NULL: no row */
    char *path;
    MediaKind kind;
    char *folder_id;
    char *thumbnail_path; /* NULL when the row has none */
    char *metadata;       /* NULL when the row has none */
    bool has_stamp;
    FileStamp stamp;
    bool has_fingerprint;
    uint64_t fingerprint;
} StoreRow;

typedef struct StoreRows {
    StoreRow *items;
    size_t count;
    size_t capacity;
} StoreRows;

/* The media row at exactly this path (ret_row->id is NULL when there is none), and whether folder
 * or media rows stand at or below path as a directory. */
int store_read_row(Store *store, const char *path, StoreRow *ret_row, bool *ret_is_directory);
/* Rows whose file was last seen with this device and inode. */
int store_read_inode(Store *store, uint64_t dev, uint64_t ino, StoreRows *ret_rows);
void store_row_done(StoreRow *row);
void store_rows_done(StoreRows *rows);

/* Adds the number of media rows at and below path to *count, in short pages. */
int store_count_media(Store *store, const char *path, uint64_t *count);

/* ---- writing ---- */

typedef enum StoreOpKind {
    STORE_OP_FOLDER_ENSURE, /* path, mtime, volume, …: insert the row (and its missing parents, up
                               to a registered root) or update its mtime; new rows are 'completed'
                             */
    STORE_OP_FOLDER_MOVE,   /* path → new_path: ids stay, every row below changes its path */
    STORE_OP_FOLDER_REMOVE, /* path: the folder row and everything below, with thumbnails */
    STORE_OP_MEDIA_ADD,     /* path, kind, metadata, …, thumbnail: insert; where a row has come to
                               this path meanwhile, update that row instead */
    STORE_OP_MEDIA_UPDATE,  /* id, path, …: metadata and, when thumbnail_fd >= 0, a new thumbnail;
                               only while the row stands at path */
    STORE_OP_MEDIA_MOVE,    /* id, new_path; or path, kind, new_path: the row that stands at path
                               when the call begins. With both, only while it stands there and,
                               where a stamp is given, is known to be of that file. Also
                               metadata.name and .file_location,    albums.cover_image_path, folder_id,
                               stamp. A row that stands at    new_path and is not itself moved in this
                               call is removed */
    STORE_OP_MEDIA_REMOVE,  /* id, kind: the row with all that hangs on it, and its thumbnail */
    STORE_OP_MEDIA_RESTORE, /* path: the row there, on which the user has put nothing, gives way to
                               the one that was deleted there, or whose file had its content */
    STORE_OP_STAMP,         /* id and folder_id of the row, stamp, fingerprint; or folder_id and
                               volume, …: state database only */
    STORE_OP_PROBLEM,       /* path, stamp, metadata = reason: state database only */
    STORE_OP_PROBLEM_CLEAR, /* path (and all below it): state database only */
} StoreOpKind;

typedef enum StoreOpResult {
    STORE_OP_RESULT_PENDING,
    STORE_OP_RESULT_DONE,    /* committed */
    STORE_OP_RESULT_NOTHING, /* nothing to do: the row is already so, or is gone */
    /* _UPDATE: the row does not stand at the path, or is gone; _REMOVE: another one stands there */
    STORE_OP_RESULT_ELSEWHERE,
    STORE_OP_RESULT_UNREGISTERED, /* no registered folder at or above the path */
    STORE_OP_RESULT_FAILED,       /* a constraint, a trigger or the thumbnail's file: error */
} StoreOpResult;

/* Owns its strings and descriptors; store_op_done() frees them. */
struct StoreOp {
    StoreOpKind kind;
    MediaKind media;
    char *id;
    char *path;
    char *new_path;
    char *metadata;       /* JSON text, or a problem's reason */
    char captured_at[32]; /* "" = NULL */
    bool has_location;
    double latitude;
    double longitude;
    bool has_fingerprint;
    uint64_t fingerprint;
    FileStamp stamp;
    int thumbnail_fd;    /* the JPEG in a memfd at offset 0; -1 = none, or keep the old one */
    char *old_thumbnail; /* _UPDATE: the row's; where the new one is the same, it stays */
    bool retag;    /* _UPDATE: another content: the AI looks again, unless the thumbnail stays */
    int64_t mtime; /* of a folder, seconds */
    bool has_volume;
    uint64_t volume; /* of a folder: the file system it is on, */
    uint64_t ino;    /* the inode of its directory there, */
    int64_t born;    /* and when that was made, ns since 1970; 0: not known */

    StoreOpResult result;
    bool inserted;    /* _ADD and _ENSURE: a new row was made */
    bool restored;    /* _ADD: its old row came back */
    unsigned untimed; /* rows that were made of directories above it: their times are not known */
    char *folder_id;  /* of the row, for the journal; NULL when unknown. _STAMP: given */
    bool kept_thumbnail; /* _UPDATE: the new thumbnail is the same as the old one */
    bool own_write;      /* _UPDATE: PictoPy itself wrote the file */
    bool retagged;       /* _UPDATE: what the AI made is gone, it is to look again */
    char *error;         /* for people, with _FAILED */
    bool exact;          /* _PROBLEM_CLEAR: not those below */
    bool partly;         /* private to store/: a large folder's first part is committed */
    char *place;  /* private to store/: of a folder, where another one's move has brought it */
    bool by_path; /* private to store/: a move whose id was found by its path */
};

/* Writes the operations in order, in as few transactions as the 50 ms rule allows, and sets each
 * one's result. Moves of one call are resolved together, and all speak of where rows were before
 * it: exchanges and rotations of paths keep every id. Thumbnails are written to the directory
 * before the transaction commits, replaced and removed rows' files are unlinked after it. 0: all
 * have a result. STORE_E_BUSY or _UNAVAILABLE: those still PENDING were not written and can be
 * given again as they are. */
int store_write(Store *store, StoreOp *ops, size_t n_ops);
void store_avoid(Store *store, char *const *directories); /* while writing */
void store_op_init(StoreOp *op, StoreOpKind kind);
void store_op_done(StoreOp *op);

/* ---- problems and excluded folders (state database) ---- */

/* Text of the answer to GET /problems: {"total": n, "problems": [{"path", "reason", …}]}. */
int store_problems_json(Store *store, size_t limit, char **ret_json);
int store_problem_count(Store *store, uint64_t *ret_count);

/* Folders that the user removed in the app while they are still on disk. */
int store_exclude(Store *store, const char *path);
int store_include(Store *store, const char *path); /* and everything below it */
int store_set_excluded(Store *store, char *const *paths, size_t n_paths);
int store_read_excluded(Store *store, char ***ret_paths, size_t *ret_n); /* in path order */

/* ---- GET /folders/status ---- */

/* The whole answer of contract section 6 as JSON text: computed in short pages, kept until the
 * database changes. Always gives text, the error answer too; 0 or -ENOMEM. */
int store_folder_status_json(Store *store, char **ret_json);
