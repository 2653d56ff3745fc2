/*
 * Graves in the state database.
 *
 * Everything that is looked at for a list or a search stands in front of the content, which SQLite
 * puts on pages of its own when it is long, so that only these are read. The version of the state
 * database does not count here: the table is made where it is missing.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "store/grave.h"
#include "util/error.h"
#include "util/log.h"

/* files_by_content: whether a file that came is a copy of one that is still there. */
static const char graves_schema[] =
    "BEGIN IMMEDIATE;"
    "CREATE TABLE IF NOT EXISTS graves (number INTEGER PRIMARY KEY AUTOINCREMENT,"
    " kind INTEGER NOT NULL, id BLOB NOT NULL UNIQUE, path TEXT NOT NULL, size INTEGER,"
    " mtime_ns INTEGER, fingerprint INTEGER, buried_at INTEGER NOT NULL, bytes INTEGER NOT NULL,"
    " kept TEXT NOT NULL, content BLOB NOT NULL);"
    "CREATE INDEX IF NOT EXISTS graves_by_content ON graves (fingerprint, size);"
    "CREATE INDEX IF NOT EXISTS graves_by_path ON graves (path);"
    "CREATE INDEX IF NOT EXISTS graves_by_age ON graves (buried_at, bytes);"
    "CREATE INDEX IF NOT EXISTS files_by_content ON files (fingerprint, size)"
    " WHERE fingerprint IS NOT NULL;"
    "COMMIT;";

/* graves_create() - makes the table where it is missing; a result code */
int graves_create(State *state)
{
    int64_t there;
    int code = database_integer(&state->database,
                                "SELECT count(*) FROM sqlite_schema WHERE name IN ('graves',"
                                " 'graves_by_content', 'graves_by_path', 'graves_by_age',"
                                " 'files_by_content')",
                                &there);

    if (code != SQLITE_OK || there == 5)
        return code;
    return sqlite3_exec(state->database.handle, graves_schema, NULL, NULL, NULL);
}

/* A PRAGMA of this kind acts when it is compiled, so it is compiled each time. */
static void set_synchronous(State *state, const char *sql)
{
    (void)sqlite3_exec(state->database.handle, sql, NULL, NULL, NULL);
}

/*
 * graves_begin() - begins a transaction
 * @durable: its end waits for the disk, and its begin for another process
 *
 * Returns SQLITE_OK, or the code of what prevents it: then there is nothing to end.
 */
int graves_begin(State *state, bool durable)
{
    int code;

    if (!state->database.handle)
        return SQLITE_MISUSE;
    if (durable)
        set_synchronous(state, "PRAGMA synchronous = FULL");
    if (durable)
        state_write_begin(state);
    else
        state_write_begin_soon(state);
    if (!sqlite3_get_autocommit(state->database.handle))
        return SQLITE_OK;
    code = sqlite3_errcode(state->database.handle) & 0xff;
    if (durable)
        set_synchronous(state, "PRAGMA synchronous = NORMAL");
    return code == SQLITE_OK ? SQLITE_ERROR : code;
}

/* graves_end() - commits; false: nothing was written */
bool graves_end(State *state, bool durable)
{
    bool ok = state_check(state, database_run(&state->database, "COMMIT"));

    if (!ok)
        state_end(state); /* rolls back what cannot be committed */
    if (durable)
        set_synchronous(state, "PRAGMA synchronous = NORMAL");
    return ok;
}

static bool run_number(State *state, const char *sql, int64_t number)
{
    CLEANUP_STATEMENT sqlite3_stmt *s = NULL;

    if (!state_check(state, database_prepare(&state->database, sql, &s)))
        return false;
    (void)sqlite3_bind_int64(s, 1, number);
    return state_check(state, statement_run(s));
}

/* graves_remove() - one that is not needed any more */
void graves_remove(State *state, int64_t number)
{
    (void)run_number(state, "DELETE FROM graves WHERE number = ?1", number);
}

static void forget_id(State *state, const RowId *id)
{
    CLEANUP_STATEMENT sqlite3_stmt *s = NULL;

    if (!state_check(state,
                     database_prepare(&state->database, "DELETE FROM graves WHERE id = ?1", &s)))
        return;
    row_id_bind(s, 1, id);
    (void)state_check(state, statement_run(s));
}

static void bind_file(sqlite3_stmt *s, const Grave *grave)
{
    if (!grave->known)
        return;
    (void)sqlite3_bind_int64(s, 4, (sqlite3_int64)grave->file.stamp.size);
    (void)sqlite3_bind_int64(s, 5, grave->file.stamp.mtime_ns);
    if (grave->file.has_fingerprint)
        (void)sqlite3_bind_int64(s, 6, (sqlite3_int64)grave->file.fingerprint);
}

/* graves_write() - writes one, in place of an older one of the same id; its number is 0 when the
 * database fails */
void graves_write(State *state, Grave *grave, int64_t now)
{
    CLEANUP_STATEMENT sqlite3_stmt *s = NULL;
    CLEANUP_FREE char *kept = NULL;
    RowId id;

    row_id_parse(&id, grave->id, strlen(grave->id));
    grave->number = 0;
    if (grave_summary(grave->content.data, grave->content.length, &kept))
        return;
    forget_id(state, &id);
    if (!state_check(state, database_prepare(&state->database,
                                             "INSERT INTO graves (kind, id, path, size, mtime_ns,"
                                             " fingerprint, buried_at, bytes, kept, content)"
                                             " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
                                             &s)))
        return;
    (void)sqlite3_bind_int64(s, 1, grave->table);
    row_id_bind(s, 2, &id);
    statement_bind_text(s, 3, grave->path);
    bind_file(s, grave);
    (void)sqlite3_bind_int64(s, 7, now);
    (void)sqlite3_bind_int64(s, 8, (sqlite3_int64)grave->content.length);
    statement_bind_text(s, 9, kept);
    (void)sqlite3_bind_blob64(s, 10, grave->content.data, grave->content.length, SQLITE_STATIC);
    if (state_check(state, statement_run(s)))
        grave->number = sqlite3_last_insert_rowid(state->database.handle);
}

/* graves_read_content() - false when it is not there (any more), or memory ran out */
bool graves_read_content(State *state, int64_t number, Text *content)
{
    CLEANUP_STATEMENT sqlite3_stmt *s = NULL;
    int code =
        database_prepare(&state->database, "SELECT content FROM graves WHERE number = ?1", &s);
    const void *bytes;

    text_clear(content);
    if (!state_check(state, code))
        return false;
    (void)sqlite3_bind_int64(s, 1, number);
    code = sqlite3_step(s);
    if (!state_check(state, code) || code != SQLITE_ROW)
        return false;
    bytes = sqlite3_column_blob(s, 0);
    text_append_bytes(content, bytes, (size_t)sqlite3_column_bytes(s, 0));
    return !content->failed && content->length > 0;
}

/* ---- bounds ---- */

/* graves_expire() - removes those that were made at or before a time, at most so many */
bool graves_expire(State *state, int64_t before, size_t limit_rows)
{
    CLEANUP_STATEMENT sqlite3_stmt *s = NULL;
    int code = database_prepare(&state->database,
                                "DELETE FROM graves WHERE number IN (SELECT number FROM graves"
                                " WHERE buried_at <= ?1 ORDER BY buried_at LIMIT ?2)",
                                &s);

    if (!state_check(state, code))
        return false;
    (void)sqlite3_bind_int64(s, 1, before);
    (void)sqlite3_bind_int64(s, 2, (sqlite3_int64)limit_rows);
    return state_check(state, statement_run(s)) &&
           (size_t)sqlite3_changes(state->database.handle) == limit_rows;
}

/* graves_bytes() - how large all of them are together; -1 when the database fails */
int64_t graves_bytes(State *state)
{
    int64_t bytes;
    int code =
        database_integer(&state->database, "SELECT coalesce(sum(bytes), 0) FROM graves", &bytes);

    return state_check(state, code) ? bytes : -1;
}

/* How many of the oldest, at most limit_rows, have *bytes together; *bytes: what is missing. */
static size_t count_oldest(State *state, int64_t *bytes, size_t limit_rows)
{
    CLEANUP_STATEMENT sqlite3_stmt *s = NULL;
    size_t n = 0;
    int code =
        database_prepare(&state->database, "SELECT bytes FROM graves ORDER BY number LIMIT ?1", &s);

    if (!state_check(state, code))
        return 0;
    (void)sqlite3_bind_int64(s, 1, (sqlite3_int64)limit_rows);
    for (; *bytes > 0 && (code = sqlite3_step(s)) == SQLITE_ROW; n++)
        *bytes -= sqlite3_column_int64(s, 0);
    (void)state_check(state, code);
    return n;
}

/* graves_trim() - removes the oldest, at most limit_rows, so that bytes less are left. True: more
 * must go */
bool graves_trim(State *state, int64_t bytes, size_t limit_rows)
{
    CLEANUP_STATEMENT sqlite3_stmt *s = NULL;
    size_t n = count_oldest(state, &bytes, limit_rows);

    if (n == 0 || !state_check(state, database_prepare(
                                          &state->database,
                                          "DELETE FROM graves WHERE number IN"
                                          " (SELECT number FROM graves ORDER BY number LIMIT ?1)",
                                          &s)))
        return false;
    (void)sqlite3_bind_int64(s, 1, (sqlite3_int64)n);
    return state_check(state, statement_run(s)) && bytes > 0;
}
