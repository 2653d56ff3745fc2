/*
 * The graveyard
 *
 * A photo that is deleted takes its row along, and with it favourite, tags, faces, albums and
 * memories. It may come back: from the trash, a backup, another drive, git checkout. So before a
 * row is deleted, it and all that hangs on it are kept in the state database: a *grave*. When a
 * file of the same content is added, its row is put back under its old id.
 *
 *     read the rows (a read transaction) → grave (state, synced) → BEGIN IMMEDIATE → delete
 *     → COMMIT
 *
 *     BEGIN IMMEDIATE → insert from the grave → COMMIT → remove the grave (state)
 *
 * Each arrow may be the last thing that this process does: at any moment there is the row, or the
 * grave, or both. A grave whose row is there counts for nothing, and is swept away.
 *
 *     graveyard-schema.c   the tables and their foreign keys
 *     graveyard-plan.c     from these, what can hang on a row
 *     graveyard-sql.c      the statements for that
 *     graveyard-read.c     reading it, outside of the write lock
 *     graveyard-content.c  rows as bytes
 *     graveyard-state.c    the table in the state database
 *     graveyard-foresee.c  before a transaction: the rows that it will remove
 *     graveyard-bury.c     within it, when a row goes
 *     graveyard-match.c    when a file comes: is it one of them?
 *     graveyard-revive.c   one row, back into a table that may have changed
 *     graveyard-exhume.c   a photo's row with all that hung on it
 *     graveyard-restore.c  the same by hand
 *
 * The rows that a folder's deletion cascades to in tables that are not PictoPy's are not kept, and
 * neither is what the backend deletes: the user does that in the app.
 */

#include "store/graveyard.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "store/core.h"
#include "util/error.h"

#define SWEEP_ROWS 64  /* removed at a time */
#define SWEEP_SEEN 256 /* looked at */
#define PAGE       "256"

/* A state database in memory knows nothing of the one on the disk. */
static int ready(Store *store)
{
    (void)store_ready_state(store);
    if (!store->state.database.handle || (store->state.in_memory && store->state.directory))
        return store_fail_text(store, STORE_E_UNAVAILABLE, "the state database cannot be opened");
    return 0;
}

/* Its own words, not PictoPy.db's. */
static int state_fail(Store *store, int code)
{
    const State *state = &store->state;

    text_clear(&store->error);
    text_printf(&store->error, "%s: %s", state->path ? state->path : "the state database",
                sqlite3_errstr(code));
    return (code & 0xff) == SQLITE_BUSY ? STORE_E_BUSY : STORE_E_UNAVAILABLE;
}

/* ---- list ---- */

typedef struct Page {
    int64_t number; /* of the last one */
    size_t n;
} Page;

static int list_one(Store *store, sqlite3_stmt *s,
                    int (*report)(void *owner, const StoreGrave *grave), void *owner)
{
    char buffer[UUID_TEXT_SIZE];
    const char *id = row_id_column(s, 2, buffer);
    const char *path = statement_text(s, 3), *kept = statement_text(s, 6);
    StoreGrave grave = {
        .id = id ? id : "",
        .path = path ? path : "",
        .kind = schema_kind(sqlite3_column_int64(s, 1) == SCHEMA_VIDEOS ? SCHEMA_VIDEOS
                                                                        : SCHEMA_IMAGES),
        .buried_at = sqlite3_column_int64(s, 4),
        .bytes = (uint64_t)sqlite3_column_int64(s, 5),
        .kept = kept ? kept : "{}",
    };

    grave.expires_at = grave.buried_at + (int64_t)store->options.graveyard_days * GRAVE_DAY_S;
    return report(owner, &grave);
}

/* A page at a time: a reader keeps the log of the database from being written back. */
static int list_page(Store *store, Page *page, int (*report)(void *owner, const StoreGrave *grave),
                     void *owner)
{
    CLEANUP_STATEMENT sqlite3_stmt *s = NULL;
    int code = database_prepare(&store->state.database,
                                "SELECT number, kind, id, path, buried_at, bytes, kept FROM graves"
                                " WHERE number > ?1 ORDER BY number LIMIT " PAGE,
                                &s);

    page->n = 0;
    if ((code & 0xff) == SQLITE_ERROR) /* opened for reading only, before the table was made */
        return 0;
    if (code == SQLITE_OK)
        (void)sqlite3_bind_int64(s, 1, page->number);
    while (code == SQLITE_OK) {
        int r;

        code = sqlite3_step(s);
        if (code != SQLITE_ROW)
            break;
        page->number = sqlite3_column_int64(s, 0);
        page->n++;
        r = list_one(store, s, report, owner);
        if (r)
            return r;
        code = SQLITE_OK;
    }
    return code == SQLITE_DONE ? 0 : state_fail(store, code);
}

/* store_graveyard_list() - what is kept, the oldest first */
int store_graveyard_list(Store *store, int (*report)(void *owner, const StoreGrave *grave),
                         void *owner)
{
    Page page = {0};
    int r = ready(store);

    do {
        if (!r)
            r = list_page(store, &page, report, owner);
    } while (!r && page.n > 0);
    return r;
}

/* ---- purge ---- */

/* Removes some and adds their number; *ret_more: there are more. 0 or STORE_E_… */
static int purge_some(Store *store, uint64_t *count, bool *ret_more)
{
    State *state = &store->state;
    int code = graves_begin(state, true);
    int n;

    if (code != SQLITE_OK)
        return state_fail(store, code);
    code = database_run(&state->database,
                        "DELETE FROM graves WHERE number IN (SELECT number FROM graves LIMIT 64)");
    n = code == SQLITE_OK ? sqlite3_changes(state->database.handle) : 0;
    if (!graves_end(state, true) && code == SQLITE_OK)
        code = SQLITE_IOERR;
    *ret_more = n == 64;
    *count += (uint64_t)n;
    return code == SQLITE_OK ? 0 : state_fail(store, code);
}

/* What was deleted is still in the file's free pages. To write the file anew needs it for longer
 * than a running daemon would wait, so only when there is none. */
static void shrink(Store *store)
{
    State *state = &store->state;

    if (!state_own(state))
        return;
    (void)database_run(&state->database, "VACUUM");
    (void)sqlite3_wal_checkpoint_v2(state->database.handle, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL,
                                    NULL);
}

/* store_graveyard_purge() - empties it */
int store_graveyard_purge(Store *store, uint64_t *ret_count)
{
    bool more = true;
    int r = ready(store);

    *ret_count = 0;
    while (!r && more) {
        r = purge_some(store, ret_count, &more);
        state_tidy(&store->state);
    }
    store->grave_bytes = -1;
    if (!r && *ret_count > 0)
        shrink(store);
    return r;
}

/* ---- sweep ---- */

/* Removes what is too old or too much. True: there is more to do. */
static bool sweep_bounds(Store *store)
{
    State *state = &store->state;
    int64_t days = store->options.graveyard_days;
    int64_t limit = days > 0 ? (int64_t)store->options.graveyard_size : 0;
    bool more;

    if (graves_begin(state, false) != SQLITE_OK)
        return false;
    more = graves_expire(state, days > 0 ? time(NULL) - days * GRAVE_DAY_S : INT64_MAX, SWEEP_ROWS);
    store->grave_bytes = graves_bytes(state);
    if (store->grave_bytes > limit) {
        more |= graves_trim(state, store->grave_bytes - limit, SWEEP_ROWS);
        store->grave_bytes = -1;
    }
    return graves_end(state, false) && more;
}

typedef struct Seen {
    int64_t numbers[SWEEP_SEEN];
    SchemaTable tables[SWEEP_SEEN];
    StringList ids;
} Seen;

/* The next ones behind Store.grave_swept. */
static int seen_read(Store *store, Seen *seen)
{
    CLEANUP_STATEMENT sqlite3_stmt *s = NULL;
    char buffer[UUID_TEXT_SIZE];
    int code = database_prepare(&store->state.database,
                                "SELECT number, kind, id FROM graves WHERE number > ?1"
                                " ORDER BY number LIMIT " PAGE,
                                &s);

    if (!state_check(&store->state, code))
        return 0;
    (void)sqlite3_bind_int64(s, 1, store->grave_swept);
    while ((code = sqlite3_step(s)) == SQLITE_ROW) {
        const char *id = row_id_column(s, 2, buffer);

        seen->numbers[seen->ids.count] = sqlite3_column_int64(s, 0);
        seen->tables[seen->ids.count] =
            sqlite3_column_int64(s, 1) == SCHEMA_VIDEOS ? SCHEMA_VIDEOS : SCHEMA_IMAGES;
        if (string_list_add(&seen->ids, id ? id : ""))
            return error_trace(-ENOMEM);
    }
    (void)state_check(&store->state, code);
    return 0;
}

#define ALIVE_SQL(table) "SELECT 1 FROM " table " WHERE id = ?1"
static const char *const alive_sql[] = SCHEMA_BOTH(ALIVE_SQL);

static int is_alive(Store *store, SchemaTable table, const char *id, bool *ret)
{
    CLEANUP_STATEMENT sqlite3_stmt *s = NULL;
    int code;

    *ret = false;
    if (!store->schema.media[table].present)
        return SQLITE_OK;
    code = database_prepare(&store->database, alive_sql[table], &s);
    if (code != SQLITE_OK)
        return code;
    statement_bind_text(s, 1, id);
    code = sqlite3_step(s);
    *ret = code == SQLITE_ROW;
    return code == SQLITE_ROW || code == SQLITE_DONE ? SQLITE_OK : code;
}

/* Sets the numbers of those whose rows are not there to 0. */
static int seen_look(Store *store, Seen *seen)
{
    bool own;
    int code = SQLITE_OK;
    int r = store_enter(store, &own);

    if (r)
        return r;
    for (size_t i = 0; i < seen->ids.count && code == SQLITE_OK; i++) {
        bool alive;

        code = is_alive(store, seen->tables[i], seen->ids.items[i], &alive);
        if (!alive)
            seen->numbers[i] = 0;
    }
    if (code != SQLITE_OK)
        r = store_fail(store, code, "cannot be read");
    store_leave(store, own);
    return r;
}

static void seen_remove(Store *store, const Seen *seen)
{
    bool open = false;

    for (size_t i = 0; i < seen->ids.count; i++) {
        if (seen->numbers[i] == 0)
            continue;
        if (!open && graves_begin(&store->state, false) != SQLITE_OK)
            return;
        open = true;
        graves_remove(&store->state, seen->numbers[i]);
    }
    if (open)
        (void)graves_end(&store->state, false);
}

static void seen_done(Seen *seen)
{
    string_list_done(&seen->ids);
}

/* Looks at the next ones; *ret_more: there are some behind them. */
static int sweep_alive(Store *store, bool *ret_more)
{
    CLEANUP(seen_done) Seen seen = {0};
    int64_t last;
    int r = seen_read(store, &seen);

    *ret_more = !r && seen.ids.count == SWEEP_SEEN;
    if (r || seen.ids.count == 0) {
        store->grave_swept = 0;
        return r;
    }
    last = seen.numbers[seen.ids.count - 1];
    r = seen_look(store, &seen);
    if (r)
        return r;
    seen_remove(store, &seen);
    store->grave_swept = *ret_more ? last : 0;
    return 0;
}

/*
 * store_graveyard_sweep() - a piece of what is to be cleared
 * @ret_more: there is more: to be called again when nothing else is to be done
 */
int store_graveyard_sweep(Store *store, bool *ret_more)
{
    int r = ready(store);

    *ret_more = false;
    if (r || store->options.read_only)
        return r;
    *ret_more = sweep_bounds(store);
    if (!*ret_more)
        r = sweep_alive(store, ret_more);
    state_tidy(&store->state);
    return r;
}
