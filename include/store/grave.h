#pragma once
/*
 * The inside of the graveyard, shared by src/store/graveyard*.c and the writer. What it is, and in
 * which order things are written, stands in src/store/graveyard.c.
 */

#include <sqlite3.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "store/arena.h"
#include "store/database.h"
#include "store/schema.h"
#include "store/state.h"
#include "util/cleanup.h"
#include "util/hash.h"
#include "util/text.h"

typedef struct Store Store;
typedef struct Writer Writer;
typedef struct WriteRun WriteRun;
typedef struct WriteRow WriteRow;
typedef struct StoreOp StoreOp;

#define GRAVE_DAY_S INT64_C(86400)

/* Ids of rows in hash tables of graves. */
static inline uint64_t grave_hash(const char *id)
{
    return hash_bytes(id, strlen(id), 0);
}

/* ---- graveyard-plan.c: what can hang on a row, by the schema's foreign keys ---- */

#define GRAVE_KEY_MAX 8  /* columns of one foreign key; longer ones are not followed */
#define GRAVE_BATCH   64 /* rows that are read at a time */

typedef enum GraveAction {
    GRAVE_ACTION_OTHER,   /* a row that refers keeps its parent from being deleted */
    GRAVE_ACTION_CASCADE, /* it goes, too */
    GRAVE_ACTION_SET_NULL,
} GraveAction;

typedef struct GraveColumn {
    const char *name;
    bool not_null; /* or part of the primary key */
    bool in_key;   /* of the primary key */
    bool indexed;  /* the first column of an index */
} GraveColumn;

typedef struct GraveKey {
    const char *parent; /* the table it refers to */
    const char *from[GRAVE_KEY_MAX];
    const char *to[GRAVE_KEY_MAX];
    size_t n;
    int64_t number; /* within its table */
    GraveAction action;
    bool to_default; /* ON DELETE SET DEFAULT */
    bool unusable;   /* too many columns, or they are not there */
} GraveKey;

typedef struct GraveTable {
    const char *name;
    bool has_rowid;
    size_t rowid_column;     /* the one that is the rowid; SIZE_MAX = none */
    bool has_trigger;        /* that may act when rows go, or are changed, */
    bool has_delete_trigger; /* when they go */
    GraveColumn *columns;
    size_t n_columns, columns_capacity;
    GraveKey *keys;
    size_t n_keys, keys_capacity;
} GraveTable;

/* A way from a photo's or video's row down to the rows of a table. */
typedef struct GraveChain {
    SchemaTable root;
    size_t table;     /* in GravePlan.tables */
    size_t key;       /* of that table */
    size_t parent;    /* in GravePlan.chains: whose rows the key refers to; SIZE_MAX = the root's */
    bool names;       /* its rows stay when the root goes, and only forget it */
    bool to_path;     /* by the root's path, not its id */
    bool scanned;     /* no index leads to its rows: the whole table is read */
    bool has_rowid;   /* the statements give it behind the root's id */
    bool broken;      /* its statement does not compile */
    char *sql[2];     /* for one root, for GRAVE_BATCH */
    char *remove_sql; /* takes one row (?1, its rowid) off the root (?2); NULL = there is none */
    Text header;      /* in front of its rows in a grave's content */
} GraveChain;

typedef struct GravePlan {
    int64_t version; /* Schema.version that it was made from, */
    uint64_t opened; /* and Store.opened */
    Arena strings;
    GraveTable *tables;
    size_t n_tables, tables_capacity;
    GraveChain *chains; /* parents first */
    size_t n_chains, chains_capacity;
    size_t roots[SCHEMA_N_MEDIA]; /* in tables; SIZE_MAX = no such table */
    char *root_sql[SCHEMA_N_MEDIA][2];
    Text root_header[SCHEMA_N_MEDIA];
    bool direct[SCHEMA_N_MEDIA]; /* remove_sql and a DELETE do all that a cascade would */
} GravePlan;

static inline const GraveKey *grave_chain_key(const GravePlan *plan, const GraveChain *chain)
{
    return &plan->tables[chain->table].keys[chain->key];
}

size_t grave_chain_depth(const GravePlan *plan, size_t i); /* 1: it hangs on the root */
/* Does a key refer to a row's id, and nothing else? */
bool grave_key_is_id(const GraveKey *key);

/* graveyard-sql.c */
extern const char *const grave_root_names[SCHEMA_N_MEDIA];
int grave_finish_chain(GravePlan *plan, size_t i); /* a result code */
int grave_finish_root(GravePlan *plan, SchemaTable root);
void grave_put_name(Text *sql, const char *before, const char *name, const char *behind);

/* graveyard-schema.c */
int grave_read_schema(Store *store, GravePlan *plan);
size_t grave_find_table(const GravePlan *plan, const char *name);

/* The plan for the schema as it is now, made when need be, within the caller's transaction. A
 * result code. The store's. */
int grave_plan(Store *store, const GravePlan **ret_plan);
GravePlan *grave_plan_free(GravePlan *plan);
const GraveTable *grave_table(const GravePlan *plan, const char *name); /* NULL: no such table */
size_t grave_column(const GraveTable *table, const char *name);         /* SIZE_MAX: none */

/* ---- graveyard-content.c: rows as bytes ---- */

/* Kinds of blocks. */
#define GRAVE_BLOCK_ROOT  'R' /* the photo's or video's own row */
#define GRAVE_BLOCK_HANGS 'H' /* rows that went with it */
#define GRAVE_BLOCK_NAMES                                                                          \
    'N'                       /* rows that name its id: that column first, then their primary key  \
                               */
#define GRAVE_BLOCK_PATHS 'P' /* the same, by its path */

typedef struct GraveValue {
    int type; /* SQLITE_INTEGER, _FLOAT, _TEXT, _BLOB or _NULL */
    int64_t integer;
    double real;
    const char *bytes; /* borrowed */
    size_t size;
} GraveValue;

void grave_put_begin(Text *content);
void grave_put_header(Text *content, char kind, const char *table, const char *const *columns,
                      size_t n);
void grave_put_row(Text *content, sqlite3_stmt *s, int first); /* columns from first on */
void grave_put_end(Text *content);

typedef struct GraveReader {
    const uint8_t *at, *end;
    bool failed; /* the bytes are not what was written */
    char kind;   /* of the block in hand: */
    const char *table;
    const char **columns;
    GraveValue *values; /* of the row in hand */
    size_t n, capacity, values_capacity;
} GraveReader;

void grave_reader_init(GraveReader *reader, const void *content, size_t size);
bool grave_next_block(GraveReader *reader); /* behind the last row of the one in hand */
bool grave_next_row(GraveReader *reader);
void grave_reader_done(GraveReader *reader);
void grave_bind(sqlite3_stmt *s, int index, const GraveValue *value);
/* How many rows of which tables, as a JSON object; the caller frees. 0, -ENOMEM or -EBADMSG. */
int grave_summary(const void *content, size_t size, char **ret_json);

/* ---- graveyard-state.c: the table of the state database ---- */

int graves_create(State *state); /* a result code */

typedef struct GraveRow {
    size_t chain;
    int64_t rowid;
} GraveRow;

/* One row's, being made or looked at. */
typedef struct Grave {
    HashNode by_id; /* in WriteGraves.by_id */
    SchemaTable table;
    char *id;
    char *path;
    int64_t number; /* in the state database; 0 = it is not there (yet) */
    size_t size;    /* of the content */
    Text content;
    size_t block;   /* the chain whose rows are being added */
    GraveRow *rows; /* that hang directly on it and have a rowid */
    size_t n_rows, rows_capacity;
    bool known; /* file says what was there: */
    StateFile file;
} Grave;

Grave *grave_new(SchemaTable table, const char *id);
Grave *grave_free(Grave *grave);
CLEANUP_DEFINE(Grave *, grave_free)

/* A transaction of graves. durable: it is on the disk when it ends (not under PictoPy.db's lock).
 */
int graves_begin(State *state, bool durable); /* a result code */
bool graves_end(State *state, bool durable);
void graves_write(State *state, Grave *grave, int64_t now);
void graves_remove(State *state, int64_t number);
bool graves_read_content(State *state, int64_t number, Text *content);
int64_t graves_bytes(State *state); /* of all; -1: not known */
/* These remove at most limit_rows; true: there is more to do. */
bool graves_trim(State *state, int64_t bytes, size_t limit_rows); /* the oldest */
bool graves_expire(State *state, int64_t before, size_t limit_rows);

/* ---- the writer ---- */

/* Kept in Writer. */
typedef struct WriteGraves {
    HashTable by_id; /* Grave.by_id: made, and their rows are still there */
    int64_t version; /* PRAGMA data_version when they were read */
    bool current;    /* nobody has committed since: seen in this transaction */
    bool failing;    /* the state database takes none */
    size_t moved;    /* bytes of contents that this transaction removes or puts back */
    size_t horizon;  /* the first operation whose rows have none */
    Grave **buried;  /* of rows that this transaction removes; owned */
    size_t n_buried, buried_capacity;
    int64_t *exhumed; /* numbers of those whose rows this transaction puts back */
    size_t n_exhumed, exhumed_capacity;
} WriteGraves;

/* graveyard-foresee.c */
int write_graves_prepare(Writer *w, size_t first); /* no lock is held; 0 or -ENOMEM */

/* graveyard-bury.c */
bool write_graves_are_kept(const Writer *w);
Grave *write_find_grave(const Writer *w, const char *id);
int write_add_grave(Writer *w, Grave *grave);
void write_graves_forget(Writer *w);
void write_graves_begun(Writer *w); /* the lock has just been had */
bool write_grave_is_ready(const Writer *w, const char *id);
bool write_graves_are_full(const Writer *w); /* the commit would take long */
int write_bury(Writer *w, SchemaTable table, const char *id);
int write_graves_flush(Writer *w);  /* before a commit; 0 or STORE_E_BUSY */
void write_graves_apply(Writer *w); /* behind it, within a transaction of the state database */
void write_graves_undo(Writer *w, size_t n_buried, size_t n_exhumed);
void write_graves_done(Writer *w);

/* graveyard-read.c */
typedef struct GraveRead {
    Store *store;
    const GravePlan *plan;
    HashTable *graves; /* Grave.by_id */
    bool in_lock;      /* never pause */
    bool only_ids;     /* contents are not kept */
    int64_t version;   /* PRAGMA data_version */
    uint64_t since;
} GraveRead;

#define GRAVE_READ_E_AGAIN 1 /* somebody has written meanwhile */
int grave_read_begin(GraveRead *read);
void grave_read_end(GraveRead *read);
/* Fills graves, at most GRAVE_BATCH, all of one table. 0, GRAVE_READ_E_AGAIN or negative: -errno
 * for memory, an SQLite result code otherwise is in *ret_code. */
int grave_read_rows(GraveRead *read, Grave **graves, size_t n, int *ret_code);

/* graveyard-match.c */
typedef struct GraveMatch {
    int64_t number; /* 0 = none */
    size_t rank;    /* the higher the better */
    bool same_path;
    bool same_time; /* of modification */
    char id[256];
} GraveMatch;

int write_match_grave(Writer *w, SchemaTable table, const StoreOp *op, GraveMatch *ret_match);

/* graveyard-revive.c */
/* A row on its way back: the columns that the table has (still), with their values. */
typedef struct Revived {
    const GraveTable *table;
    const char **columns;
    GraveValue *values; /* borrowed */
    size_t n;
} Revived;

int revived_init(Revived *row, const GraveTable *table, size_t n);
void revived_done(Revived *row);
size_t revived_find(const Revived *row, const char *column);
void revived_set(Revived *row, const char *column, GraveValue value);
int revived_check_parents(Writer *w, Revived *row, bool *ret_keep);
int revived_insert(Writer *w, const GravePlan *plan, Revived *row, bool *ret_done);
int revived_run(Writer *w, const Text *sql, const GraveValue *values, size_t n);

/* graveyard-exhume.c */
int write_exhume(Writer *w, WriteRun *run); /* an insert; run->result is DONE when it was one */
int write_exhume_grave(Writer *w, int64_t number, const WriteRow *facts);

/* graveyard-restore.c */
int write_media_restore(Writer *w, WriteRun *run); /* the operation */
