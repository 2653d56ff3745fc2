/*
 * What the state database knows of files and folders, by the id of their rows in PictoPy.db.
 *
 * SQLite has signed integers only: dev, ino, size, fingerprints and volumes are stored with the
 * same 64 bits. Ids whose rows are gone (the backend deleted them) may be left behind; every reader
 * looks the row up.
 */

#include <errno.h>

#include "store/state.h"

/* state_read_file() - the file of this row as it was last seen; false when it is not known */
bool state_read_file(State *state, const char *id, StateFile *ret_file)
{
    CLEANUP_STATEMENT sqlite3_stmt *s = NULL;
    int code = database_prepare(
        &state->database, "SELECT dev, ino, size, mtime_ns, fingerprint FROM files WHERE id = ?1",
        &s);

    if (!state_check(state, code))
        return false;
    statement_bind_text(s, 1, id);
    code = sqlite3_step(s);
    if (!state_check(state, code) || code != SQLITE_ROW)
        return false;
    *ret_file = (StateFile){
        .stamp.dev = (uint64_t)sqlite3_column_int64(s, 0),
        .stamp.ino = (uint64_t)sqlite3_column_int64(s, 1),
        .stamp.size = (uint64_t)sqlite3_column_int64(s, 2),
        .stamp.mtime_ns = sqlite3_column_int64(s, 3),
        .has_fingerprint = sqlite3_column_type(s, 4) == SQLITE_INTEGER,
        .fingerprint = (uint64_t)sqlite3_column_int64(s, 4),
    };
    return true;
}

/* state_read_inode() - appends the ids of files last seen with this device and inode */
int state_read_inode(State *state, uint64_t dev, uint64_t ino, StringList *ids)
{
    CLEANUP_STATEMENT sqlite3_stmt *s = NULL;
    int code = database_prepare(&state->database,
                                "SELECT id FROM files WHERE dev = ?1 AND ino = ?2 ORDER BY id", &s);

    if (!state_check(state, code))
        return 0;
    (void)sqlite3_bind_int64(s, 1, (sqlite3_int64)dev);
    (void)sqlite3_bind_int64(s, 2, (sqlite3_int64)ino);
    while ((code = sqlite3_step(s)) == SQLITE_ROW) {
        const char *id = statement_text(s, 0);

        if (id && string_list_add(ids, id))
            return -ENOMEM;
    }
    (void)state_check(state, code);
    return 0;
}

/*
 * state_write_file() - notes the file of this row
 * @fingerprint: NULL keeps the known one when size and mtime say that the content is the same
 */
void state_write_file(State *state, const char *id, const FileStamp *stamp,
                      const uint64_t *fingerprint)
{
    CLEANUP_STATEMENT sqlite3_stmt *s = NULL;
    int code = database_prepare(
        &state->database,
        "INSERT INTO files (id, dev, ino, size, mtime_ns, fingerprint)"
        " VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT (id) DO UPDATE SET"
        " fingerprint = CASE WHEN excluded.fingerprint IS NOT NULL THEN excluded.fingerprint"
        " WHEN size = excluded.size AND mtime_ns = excluded.mtime_ns THEN fingerprint END,"
        " dev = excluded.dev, ino = excluded.ino, size = excluded.size,"
        " mtime_ns = excluded.mtime_ns",
        &s);

    if (!state_check(state, code))
        return;
    statement_bind_text(s, 1, id);
    (void)sqlite3_bind_int64(s, 2, (sqlite3_int64)stamp->dev);
    (void)sqlite3_bind_int64(s, 3, (sqlite3_int64)stamp->ino);
    (void)sqlite3_bind_int64(s, 4, (sqlite3_int64)stamp->size);
    (void)sqlite3_bind_int64(s, 5, stamp->mtime_ns);
    if (fingerprint)
        (void)sqlite3_bind_int64(s, 6, (sqlite3_int64)*fingerprint);
    (void)state_check(state, statement_run(s));
}

/* Runs a statement whose one parameter is a text. */
static void state_run_with(State *state, const char *sql, const char *text)
{
    CLEANUP_STATEMENT sqlite3_stmt *s = NULL;

    if (!state_check(state, database_prepare(&state->database, sql, &s)))
        return;
    statement_bind_text(s, 1, text);
    (void)state_check(state, statement_run(s));
}

/* state_forget() - the row of this id, a file's or a folder's, is gone */
void state_forget(State *state, const char *id)
{
    state_run_with(state, "DELETE FROM files WHERE id = ?1", id);
    state_run_with(state, "DELETE FROM folders WHERE id = ?1", id);
}

/* state_read_volume() - the file system that the folder was last listed on; false: not known */
bool state_read_volume(State *state, const char *id, uint64_t *ret_volume)
{
    CLEANUP_STATEMENT sqlite3_stmt *s = NULL;
    int code = database_prepare(&state->database, "SELECT volume FROM folders WHERE id = ?1", &s);

    if (!state_check(state, code))
        return false;
    statement_bind_text(s, 1, id);
    code = sqlite3_step(s);
    if (!state_check(state, code) || code != SQLITE_ROW)
        return false;
    *ret_volume = (uint64_t)sqlite3_column_int64(s, 0);
    return true;
}

/* state_write_volume() - notes the file system that the folder is on */
void state_write_volume(State *state, const char *id, uint64_t volume)
{
    CLEANUP_STATEMENT sqlite3_stmt *s = NULL;
    int code = database_prepare(&state->database,
                                "INSERT INTO folders (id, volume) VALUES (?1, ?2)"
                                " ON CONFLICT (id) DO UPDATE SET volume = excluded.volume",
                                &s);

    if (!state_check(state, code))
        return;
    statement_bind_text(s, 1, id);
    (void)sqlite3_bind_int64(s, 2, (sqlite3_int64)volume);
    (void)state_check(state, statement_run(s));
}

/* state_announce() - notes a thumbnail file that is about to be made, or removed */
void state_announce(State *state, const char *path)
{
    state_run_with(state, "INSERT OR IGNORE INTO intents (path) VALUES (?1)", path);
}

/* state_announce_done() - the file is named by a row now, or gone */
void state_announce_done(State *state, const char *path)
{
    state_run_with(state, "DELETE FROM intents WHERE path = ?1", path);
}

/* state_read_announced() - appends the announced paths; 0 or -ENOMEM */
int state_read_announced(State *state, StringList *paths)
{
    CLEANUP_STATEMENT sqlite3_stmt *s = NULL;
    int code = database_prepare(&state->database, "SELECT path FROM intents", &s);

    if (!state_check(state, code))
        return 0;
    while ((code = sqlite3_step(s)) == SQLITE_ROW) {
        const char *path = statement_text(s, 0);

        if (path && string_list_add(paths, path))
            return -ENOMEM;
    }
    (void)state_check(state, code);
    return 0;
}
