/*
 * Burying: rows are kept before they go.
 *
 * A row that is removed has its grave already, as long as nobody else has committed since it was
 * read (graveyard-foresee.c). If somebody has, or the removal was not foreseen, the row is read
 * under the lock and written to the state database right before the commit; that is rare, and of
 * one row at a time.
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

#define MOVED_BYTES (1 << 20) /* in one transaction, about */
#define ROW_BYTES   1024      /* that a row has, at least, for the cost of a commit */
#define PATIENCE_US (10 * CLOCK_US_PER_SEC)

static bool is_on(const Store *store)
{
    return store->options.graveyard_days > 0 && !store->options.read_only &&
           store->state.database.handle && !store->state.in_memory;
}

/* write_graves_are_kept() - else rows are only foreseen, so that they can be removed quickly */
bool write_graves_are_kept(const Writer *w)
{
    return is_on(w->store) && !w->graves.failing;
}

/* write_find_grave() - the grave that was made for this row in this call, or NULL */
Grave *write_find_grave(const Writer *w, const char *id)
{
    for (HashNode *node = hash_first(&w->graves.by_id, grave_hash(id)); node;
         node = hash_next(node)) {
        Grave *grave = (Grave *)(void *)node;

        if (strcmp(grave->id, id) == 0)
            return grave;
    }
    return NULL;
}

/* write_add_grave() - makes it findable; it is freed when memory runs out */
int write_add_grave(Writer *w, Grave *grave)
{
    int r = hash_insert(&w->graves.by_id, &grave->by_id, grave_hash(grave->id));

    if (r)
        (void)grave_free(grave);
    return r;
}

/* grave_new() - an empty one; NULL when memory runs out */
Grave *grave_new(SchemaTable table, const char *id)
{
    Grave *grave = calloc(1, sizeof(*grave));

    if (!grave)
        return NULL;
    grave->table = table;
    grave->id = strdup(id);
    return grave->id ? grave : grave_free(grave);
}

/* write_graves_forget() - takes back all whose rows are still there */
void write_graves_forget(Writer *w)
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
    return w->graves.current && write_find_grave(w, id);
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
    r = hash_insert(&table, &grave->by_id, grave_hash(grave->id));
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
    graves->moved +=
        grave->size > grave->n_rows * ROW_BYTES ? grave->size : grave->n_rows * ROW_BYTES;
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

    grave = write_find_grave(w, id);
    if (grave && w->graves.current) {
        hash_remove(&w->graves.by_id, &grave->by_id);
        return settle(w, grave);
    }
    if (!write_graves_are_kept(w))
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
            (void)write_add_grave(w, grave);
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

        if (grave->number != 0 || !write_graves_are_kept(w))
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
    write_graves_forget(w);
    hash_done(&w->graves.by_id);
    free(w->graves.buried);
    free(w->graves.exhumed);
}
