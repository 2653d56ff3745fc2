/*
 * Foreseeing: which rows the next operations of store_write() remove, and their graves.
 *
 * Before each transaction, with no lock held. As many rows as a transaction gets through are read
 * and written to the state database, which is on the disk then. Where nothing is kept they are read
 * all the same: to know which rows hang on them is what makes it quick to remove them.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "store/write.h"
#include "util/clock.h"
#include "util/error.h"
#include "util/path.h"

#define READY_MIN   16                 /* rows of a folder: with fewer graves left, more are made */
#define BATCH_BYTES (INT64_C(4) << 20) /* that are in memory at a time, about */
#define TRIM_ROWS   64
#define READ_TRIES  3

/* ---- which rows the next operations remove ---- */

typedef struct Foreseen {
    size_t limit; /* rows of a table */
    Grave *items[SCHEMA_N_MEDIA][GRAVE_BATCH];
    size_t n[SCHEMA_N_MEDIA];
} Foreseen;

static bool foreseen_is_full(const Foreseen *foreseen)
{
    return foreseen->n[SCHEMA_IMAGES] >= foreseen->limit ||
           foreseen->n[SCHEMA_VIDEOS] >= foreseen->limit;
}

static void foreseen_done(Foreseen *foreseen)
{
    for (SchemaTable t = 0; t < SCHEMA_N_MEDIA; t++)
        while (foreseen->n[t] > 0)
            (void)grave_free(foreseen->items[t][--foreseen->n[t]]);
}

static int foresee(const Writer *w, Foreseen *foreseen, SchemaTable table, const char *id)
{
    Grave *grave;

    if (write_find_grave(w, id))
        return 0;
    for (size_t i = 0; i < foreseen->n[table]; i++)
        if (strcmp(foreseen->items[table][i]->id, id) == 0)
            return 0;
    grave = grave_new(table, id);
    if (!grave)
        return error_trace(-ENOMEM);
    foreseen->items[table][foreseen->n[table]++] = grave;
    return 0;
}

#define BELOW_SQL(table)                                                                           \
    "SELECT id FROM " table " WHERE path >= ?1 AND path < ?2 ORDER BY path LIMIT ?3"
static const char *const below_sql[] = SCHEMA_BOTH(BELOW_SQL);
#define AT_SQL(table) "SELECT id FROM " table " WHERE path = ?1"
static const char *const at_sql[] = SCHEMA_BOTH(AT_SQL);

/* The first rows below a directory, until there are enough: a transaction does not get through
 * more. */
static int foresee_below(Writer *w, Foreseen *foreseen, SchemaTable table, const char *first,
                         const char *end)
{
    CLEANUP_STATEMENT sqlite3_stmt *s = NULL;
    size_t ready = 0;
    int r = 0;

    if (database_prepare(&w->store->database, below_sql[table], &s) != SQLITE_OK)
        return 0;
    statement_bind_text(s, 1, first);
    statement_bind_text(s, 2, end);
    (void)sqlite3_bind_int64(s, 3, GRAVE_BATCH);
    while (!r && sqlite3_step(s) == SQLITE_ROW && !foreseen_is_full(foreseen)) {
        const char *id = statement_text(s, 0);

        if (!id)
            continue;
        if (foreseen->n[table] == 0 && write_find_grave(w, id) && ++ready == READY_MIN)
            break;
        r = foresee(w, foreseen, table, id);
    }
    return r;
}

static int foresee_tree(Writer *w, Foreseen *foreseen, const char *path)
{
    CLEANUP_FREE char *first = NULL, *end = NULL;
    int r = path_range(path, &first, &end) ? error_trace(-ENOMEM) : 0;

    for (SchemaTable t = 0; t < SCHEMA_N_MEDIA && !r; t++)
        if (w->store->schema.media[t].present && !foreseen_is_full(foreseen))
            r = foresee_below(w, foreseen, t, first, end);
    return r;
}

/* The row at a path that another file takes, unless it moves away itself. */
static int foresee_at(Writer *w, Foreseen *foreseen, const char *path, const char *mover)
{
    int r = 0;

    for (SchemaTable t = 0; t < SCHEMA_N_MEDIA && !r; t++) {
        CLEANUP_STATEMENT sqlite3_stmt *s = NULL;
        const char *id;
        bool failed;

        if (!w->store->schema.media[t].present ||
            database_prepare(&w->store->database, at_sql[t], &s) != SQLITE_OK)
            continue;
        statement_bind_text(s, 1, path);
        id = sqlite3_step(s) == SQLITE_ROW ? statement_text(s, 0) : NULL;
        if (id && (!mover || strcmp(id, mover) != 0) && !write_find_move(w, id, &failed))
            r = foresee(w, foreseen, t, id);
    }
    return r;
}

static int foresee_run(Writer *w, Foreseen *foreseen, const WriteRun *run)
{
    const StoreOp *op = run->op;
    int r = 0;

    switch (op->kind) {
    case STORE_OP_MEDIA_REMOVE:
        for (SchemaTable t = 0; t < SCHEMA_N_MEDIA && !r; t++)
            if (op->id && (op->media == MEDIA_KIND_NONE || schema_table(op->media) == t))
                r = foresee(w, foreseen, t, op->id);
        return r;
    case STORE_OP_FOLDER_REMOVE:
        return op->path ? foresee_tree(w, foreseen, op->path) : 0;
    case STORE_OP_FOLDER_MOVE:
        /* What others move away is no grave's; the rest is buried under the lock. */
        return op->new_path && !op->partly && !run->meets ? foresee_tree(w, foreseen, op->new_path)
                                                          : 0;
    case STORE_OP_MEDIA_MOVE:
        return op->new_path ? foresee_at(w, foreseen, op->new_path, op->id) : 0;
    default:
        return 0;
    }
}

/* Looks at operations from first on; Writer.graves.horizon is the first one not looked at. */
static int foresee_all(Writer *w, Foreseen *foreseen, size_t first)
{
    size_t i = first;
    int r = 0;

    for (; i < w->n_runs && !r && !foreseen_is_full(foreseen); i++)
        if (w->runs[i].result == STORE_OP_RESULT_PENDING)
            r = foresee_run(w, foreseen, &w->runs[i]);
    w->graves.horizon = i;
    return r;
}

/* ---- making graves ---- */

/* Keeps the bound; some more goes than must, so that this is not done for each row. */
static void make_room(Store *store, int64_t more)
{
    int64_t limit = (int64_t)store->options.graveyard_size;

    if (store->grave_bytes < 0)
        store->grave_bytes = graves_bytes(&store->state);
    if (store->grave_bytes < 0)
        return;
    store->grave_bytes += more;
    if (store->grave_bytes <= limit)
        return;
    store->grave_bytes = graves_bytes(&store->state); /* another process may have purged */
    if (store->grave_bytes <= limit)
        return;
    while (graves_trim(&store->state, store->grave_bytes - limit + limit / 16, TRIM_ROWS))
        store->grave_bytes = graves_bytes(&store->state);
    store->grave_bytes = -1;
}

/* Rows may be large (a photo of a crowd): the next batch is as many as fit. */
static void adapt_batch(Store *store, int64_t bytes, int64_t n)
{
    int64_t fit = bytes > 0 ? BATCH_BYTES / (bytes / n + 1) : GRAVE_BATCH;

    store->grave_batch = fit < 1 ? 1 : fit > GRAVE_BATCH ? GRAVE_BATCH : (size_t)fit;
}

/* Returns how many bytes were written, -1 when not all were. */
static int64_t write_all(Writer *w, Foreseen *foreseen, int64_t now)
{
    int64_t bytes = 0, n = 0;
    bool ok = true;

    for (SchemaTable t = 0; t < SCHEMA_N_MEDIA; t++)
        for (size_t i = 0; i < foreseen->n[t]; i++) {
            Grave *grave = foreseen->items[t][i];

            if (grave->content.length == 0)
                continue;
            graves_write(&w->store->state, grave, now);
            ok &= grave->number != 0;
            bytes += (int64_t)grave->content.length;
            n++;
        }
    adapt_batch(w->store, bytes, n);
    return ok ? bytes : -1;
}

/* Writes what was read. False: not all of it. */
static bool keep_foreseen(Writer *w, Foreseen *foreseen)
{
    Store *store = w->store;
    int64_t bytes;

    if (graves_begin(&store->state, true) != SQLITE_OK) {
        w->graves.failing = store->grave_gave_up;
        return w->graves.failing;
    }
    store->grave_waits = 0;
    store->grave_gave_up = false;
    bytes = write_all(w, foreseen, time(NULL));
    if (bytes >= 0)
        make_room(store, bytes);
    if (!graves_end(&store->state, true) || bytes < 0)
        w->graves.failing = true; /* said by state_check(); the files are gone all the same */
    store_step(store, STORE_STEP_BURIED);
    return true;
}

static int foreseen_take(Writer *w, Foreseen *foreseen)
{
    int r = 0;

    for (SchemaTable t = 0; t < SCHEMA_N_MEDIA; t++)
        while (foreseen->n[t] > 0) {
            Grave *grave = foreseen->items[t][--foreseen->n[t]];
            bool there = grave->content.length > 0;

            text_done(&grave->content);
            if (r || !there)
                (void)grave_free(grave);
            else
                r = write_add_grave(w, grave);
        }
    return r;
}

/* Reads into the graves; a table of their own, read->graves, finds them by their ids. */
static int read_foreseen(GraveRead *read, Foreseen *foreseen, int *ret_code)
{
    int r = 0;

    for (SchemaTable t = 0; t < SCHEMA_N_MEDIA && !r; t++)
        for (size_t i = 0; i < foreseen->n[t] && !r; i++)
            r = hash_insert(read->graves, &foreseen->items[t][i]->by_id,
                            grave_hash(foreseen->items[t][i]->id));
    for (SchemaTable t = 0; t < SCHEMA_N_MEDIA && !r; t++)
        if (foreseen->n[t] > 0)
            r = grave_read_rows(read, foreseen->items[t], foreseen->n[t], ret_code);
    hash_done(read->graves);
    return r;
}

/* Foresees and reads in one go; GRAVE_READ_E_AGAIN: somebody wrote meanwhile. */
static int prepare_once(Writer *w, Foreseen *foreseen, size_t first)
{
    HashTable table = {0};
    GraveRead read = {.store = w->store, .graves = &table, .only_ids = !write_graves_are_kept(w)};
    int code = grave_read_begin(&read);
    int r;

    if (code != SQLITE_OK)
        return 0; /* the write will say what is wrong */
    if (read.version != w->graves.version)
        write_graves_forget(w);
    w->graves.version = read.version;
    r = foresee_all(w, foreseen, first);
    if (!r)
        r = read_foreseen(&read, foreseen, &code);
    if (!sqlite3_get_autocommit(w->store->database.handle))
        grave_read_end(&read);
    if (r > 0 && r != GRAVE_READ_E_AGAIN)
        foreseen_done(foreseen);
    return r > 0 && r != GRAVE_READ_E_AGAIN ? 0 : r;
}

static bool removes_any(const Writer *w, size_t first)
{
    for (size_t i = first; i < w->n_runs; i++) {
        StoreOpKind kind = w->runs[i].op->kind;

        if (w->runs[i].result == STORE_OP_RESULT_PENDING &&
            (kind == STORE_OP_MEDIA_REMOVE || kind == STORE_OP_FOLDER_REMOVE ||
             kind == STORE_OP_FOLDER_MOVE || kind == STORE_OP_MEDIA_MOVE))
            return true;
    }
    return false;
}

/*
 * write_graves_prepare() - makes graves for the rows that operations from first on will remove
 *
 * Outside of any lock. What cannot be made now is made under the lock; only no memory is an error.
 */
int write_graves_prepare(Writer *w, size_t first)
{
    int r = GRAVE_READ_E_AGAIN;

    w->graves.horizon = SIZE_MAX;
    if (!w->store->database.handle || w->store->schema.version < 0 || !removes_any(w, first))
        return 0;
    for (int i = 0; i < READ_TRIES && r == GRAVE_READ_E_AGAIN; i++) {
        CLEANUP(foreseen_done)
        Foreseen foreseen = {.limit = w->store->grave_batch ? w->store->grave_batch : GRAVE_BATCH};

        r = prepare_once(w, &foreseen, first);
        if (!r && foreseen.n[SCHEMA_IMAGES] + foreseen.n[SCHEMA_VIDEOS] > 0 &&
            (!write_graves_are_kept(w) || keep_foreseen(w, &foreseen)))
            r = foreseen_take(w, &foreseen);
    }
    return r < 0 ? r : 0;
}
