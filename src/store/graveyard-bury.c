/*
 * Burying: rows are kept before they go.
 *
 * Before each transaction of store_write(), with no lock held, the rows that its next operations
 * will remove are read and written to the state database, on the disk by then. In the transaction a
 * row that is removed has its grave already, as long as nobody else has committed in between. If
 * somebody has, or a removal was not foreseen, the row is read under the lock and written to the
 * state database right before the commit; that is rare, and of one row at a time.
 *
 * A grave whose row is not removed after all is taken back at the end of the call. After a crash it
 * stays, and is known by its row being there.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "store/write.h"
#include "util/array.h"
#include "util/clock.h"
#include "util/error.h"
#include "util/log.h"
#include "util/path.h"

#define READY_MIN   16                 /* rows of a folder: with fewer graves left, more are made */
#define BATCH_BYTES (INT64_C(4) << 20) /* that are in memory at a time, about */
#define MOVED_BYTES (1 << 20)          /* in one transaction, about */
#define TRIM_ROWS   64
#define READ_TRIES  3
#define PATIENCE_US (10 * CLOCK_US_PER_SEC)

/* Else rows are only foreseen, so that they can be removed quickly. */
static bool is_on(const Store *store)
{
    return store->options.graveyard_days > 0 && !store->options.read_only &&
           store->state.database.handle && !store->state.in_memory;
}

static bool is_kept(const Writer *w)
{
    return is_on(w->store) && !w->graves.failing;
}

static uint64_t id_hash(const char *id)
{
    return hash_bytes(id, strlen(id), 0);
}

static Grave *find(const Writer *w, const char *id)
{
    for (HashNode *node = hash_first(&w->graves.by_id, id_hash(id)); node; node = hash_next(node)) {
        Grave *grave = (Grave *)(void *)node;

        if (strcmp(grave->id, id) == 0)
            return grave;
    }
    return NULL;
}

static int by_id_add(Writer *w, Grave *grave)
{
    int r = hash_insert(&w->graves.by_id, &grave->by_id, id_hash(grave->id));

    if (r)
        (void)grave_free(grave);
    return r;
}

static Grave *grave_new(SchemaTable table, const char *id)
{
    Grave *grave = calloc(1, sizeof(*grave));

    if (!grave)
        return NULL;
    grave->table = table;
    grave->id = strdup(id);
    return grave->id ? grave : grave_free(grave);
}

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

    if (find(w, id))
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
        if (foreseen->n[table] == 0 && find(w, id) && ++ready == READY_MIN)
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
        return op->new_path && !op->partly ? foresee_tree(w, foreseen, op->new_path) : 0;
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

static void forget_all(Writer *w)
{
    State *state = &w->store->state;
    bool any = w->graves.by_id.count > 0;
    bool open = any && graves_begin(state, false) == SQLITE_OK;

    for (HashNode *node; (node = hash_any(&w->graves.by_id));) {
        Grave *grave = (Grave *)(void *)node;

        hash_remove(&w->graves.by_id, node);
        if (open && grave->number != 0)
            graves_remove(state, grave->number);
        (void)grave_free(grave);
    }
    if (open)
        (void)graves_end(state, false);
}

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
                r = by_id_add(w, grave);
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
                            id_hash(foreseen->items[t][i]->id));
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
    GraveRead read = {.store = w->store, .graves = &table, .only_ids = !is_kept(w)};
    int code = grave_read_begin(&read);
    int r;

    if (code != SQLITE_OK)
        return 0; /* the write will say what is wrong */
    if (read.version != w->graves.version)
        forget_all(w);
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
            (!is_kept(w) || keep_foreseen(w, &foreseen)))
            r = foreseen_take(w, &foreseen);
    }
    return r < 0 ? r : 0;
}

/* ---- in the transaction ---- */

/* write_graves_begun() - have others written since the graves were made? */
void write_graves_begun(Writer *w)
{
    int64_t version;

    w->graves.current = false;
    w->graves.moved = 0;
    if (w->graves.by_id.count > 0 &&
        database_integer(&w->store->database, "PRAGMA data_version", &version) == SQLITE_OK)
        w->graves.current = version == w->graves.version;
}

/* write_grave_is_ready() - can this row be removed without reading much under the lock? */
bool write_grave_is_ready(const Writer *w, const char *id)
{
    return w->graves.current && find(w, id);
}

/* write_graves_are_full() - has so much been removed or put back that the commit will take long? */
bool write_graves_are_full(const Writer *w)
{
    return w->graves.moved >= MOVED_BYTES;
}

static int bury_now(Writer *w, Grave *grave)
{
    HashTable table = {0};
    GraveRead read = {.store = w->store, .graves = &table, .in_lock = true};
    int code = grave_plan(w->store, &read.plan);
    int r;

    if (code != SQLITE_OK)
        return write_check(w, code);
    r = hash_insert(&table, &grave->by_id, id_hash(grave->id));
    if (!r)
        r = grave_read_rows(&read, &grave, 1, &code);
    hash_done(&table);
    return r > 0 ? write_check(w, code) : r;
}

#define DELETE_SQL(table) "DELETE FROM " table " WHERE id = ?1"
static const char *const delete_sql[] = SCHEMA_BOTH(DELETE_SQL);

/* Removes a row without a search for what hangs on it, which is known: see root_is_direct(). */
static int remove_direct(Writer *w, const GravePlan *plan, const Grave *grave)
{
    sqlite3 *handle = w->store->database.handle;
    int r = 0;

    for (size_t i = 0; i < grave->n_rows && !r; i++) {
        const GraveChain *chain = &plan->chains[grave->rows[i].chain];

        if (!chain->to_path)
            r = write_sql(w, chain->remove_sql, "is", grave->rows[i].rowid, grave->id);
    }
    if (r)
        return r;
    /* As in write-folders.c: for this statement alone. */
    (void)sqlite3_db_config(handle, SQLITE_DBCONFIG_ENABLE_FKEY, 0, NULL);
    r = write_sql(w, delete_sql[grave->table], "s", grave->id);
    (void)sqlite3_db_config(handle, SQLITE_DBCONFIG_ENABLE_FKEY, 1, NULL);
    return r;
}

static int remove_known(Writer *w, const Grave *grave)
{
    const GravePlan *plan;
    int r = write_check(w, grave_plan(w->store, &plan));

    return r || !plan->direct[grave->table] ? r : remove_direct(w, plan, grave);
}

/* The grave of a row that goes now is no longer to be found by the row's id. */
static int settle(Writer *w, Grave *grave)
{
    WriteGraves *graves = &w->graves;

    if (ARRAY_RESERVE(graves->buried, graves->buried_capacity, graves->n_buried + 1)) {
        (void)grave_free(grave);
        return error_trace(-ENOMEM);
    }
    graves->buried[graves->n_buried++] = grave;
    graves->moved += grave->size;
    return remove_known(w, grave);
}

/*
 * write_bury() - keeps a row, with all that hangs on it, that is about to be deleted
 *
 * Where it was not foreseen it is read now, and written to the state database before the commit.
 * Where it was, the row may be gone afterwards; else the caller's DELETE takes it with its cascade.
 */
int write_bury(Writer *w, SchemaTable table, const char *id)
{
    Grave *grave;
    int r;

    grave = find(w, id);
    if (grave && w->graves.current) {
        hash_remove(&w->graves.by_id, &grave->by_id);
        return settle(w, grave);
    }
    if (!is_kept(w))
        return 0;
    grave = grave_new(table, id);
    if (!grave)
        return error_trace(-ENOMEM);
    r = bury_now(w, grave);
    if (r || grave->content.length == 0) {
        (void)grave_free(grave);
        return r;
    }
    return settle(w, grave);
}

/* write_graves_undo() - those that were settled since are not: their rows stay */
void write_graves_undo(Writer *w, size_t n_buried, size_t n_exhumed)
{
    WriteGraves *graves = &w->graves;

    graves->n_exhumed = n_exhumed;
    while (graves->n_buried > n_buried) {
        Grave *grave = graves->buried[--graves->n_buried];

        /* In the state database: it may still be needed, or is taken back at the end. */
        if (grave->number == 0)
            (void)grave_free(grave);
        else
            (void)by_id_add(w, grave);
    }
}

/* Another process has the state database. The rows must not go yet; but a program that never lets
 * go of it must not keep PictoPy.db from being true for ever. */
static int wait_for_state(Store *store)
{
    uint64_t now = clock_now();

    if (store->grave_waits == 0)
        store->grave_waits = now;
    if (now - store->grave_waits < PATIENCE_US)
        return store_fail_text(store, STORE_E_BUSY,
                               "cannot be written: the state database is in"
                               " use by another program");
    if (!store->grave_gave_up)
        log_warning("The state database is in use by another program for too long; what is deleted"
                    " now is not kept, continuing");
    store->grave_gave_up = true;
    return 0;
}

/*
 * write_graves_flush() - right before a commit: writes the graves that were made under the lock
 *
 * Returns STORE_E_BUSY when another process has the state database. If it fails for good the rows
 * go all the same, as the files are gone: that is said, once.
 */
int write_graves_flush(Writer *w)
{
    State *state = &w->store->state;
    bool open = false;

    for (size_t i = 0; i < w->graves.n_buried; i++) {
        Grave *grave = w->graves.buried[i];
        int code;

        if (grave->number != 0 || !is_kept(w))
            continue;
        code = open ? SQLITE_OK : graves_begin(state, false);
        if (code != SQLITE_OK)
            return code == SQLITE_BUSY ? wait_for_state(w->store) : 0;
        open = true;
        w->store->grave_waits = 0;
        w->store->grave_gave_up = false;
        graves_write(state, grave, time(NULL));
        if (w->store->grave_bytes >= 0)
            w->store->grave_bytes += (int64_t)grave->content.length;
    }
    if (!open)
        return 0;
    (void)graves_end(state, false);
    store_step(w->store, STORE_STEP_BURIED);
    return 0;
}

/* write_graves_apply() - behind a commit: what lives again has no grave */
void write_graves_apply(Writer *w)
{
    WriteGraves *graves = &w->graves;

    for (size_t i = 0; i < graves->n_exhumed; i++)
        graves_remove(&w->store->state, graves->exhumed[i]);
    if (graves->n_exhumed > 0)
        w->store->grave_bytes = -1;
    w->store->counters.exhumed += graves->n_exhumed;
    graves->n_exhumed = 0;
    while (graves->n_buried > 0) {
        Grave *grave = graves->buried[--graves->n_buried];

        w->store->counters.buried += grave->number != 0;
        (void)grave_free(grave);
    }
}

/* write_graves_done() - at the end of a call */
void write_graves_done(Writer *w)
{
    write_graves_undo(w, 0, 0);
    forget_all(w);
    hash_done(&w->graves.by_id);
    free(w->graves.buried);
    free(w->graves.exhumed);
}
