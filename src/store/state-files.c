/*
 * What the state database knows of files and folders, by the ids of their rows in PictoPy.db.
 *
 * Folders have a number each, given when the first of their files is written: a scan writes them in
 * path order, so files are kept folder by folder as they are read, and one directory's are next to
 * one another. A renamed directory keeps its row's id, and so all that is kept below it; the
 * directory itself is known by its file system, inode and birth (store/origin.c).
 *
 * SQLite has signed integers only: dev, ino, size, fingerprints and volumes are stored with the
 * same 64 bits. Ids whose rows are gone (the backend deleted them) may be left behind; every reader
 * looks the row up.
 */

#include <errno.h>
#include <string.h>

#include "store/state.h"
#include "util/array.h"

static void parse_id(RowId *ret_id, const char *id)
{
    row_id_parse(ret_id, id, id ? strlen(id) : 0);
}

/* Appends the ids in the first column; what cannot be read is unknown. 0 or -ENOMEM */
static int collect_ids(State *state, sqlite3_stmt *s, StringList *ids)
{
    char buffer[UUID_TEXT_SIZE];
    int code;

    while ((code = sqlite3_step(s)) == SQLITE_ROW) {
        const char *id = row_id_column(s, 0, buffer);

        if (id && string_list_add(ids, id))
            return -ENOMEM;
    }
    (void)state_check(state, code);
    return 0;
}

/* ---- folders ---- */

static void remember_number(State *state, const RowId *id, int64_t number)
{
    if (!id->is_uuid)
        return;
    memcpy(state->last_folder, id->bytes, sizeof(id->bytes));
    state->last_number = number;
}

static int64_t remembered_number(const State *state, const RowId *id)
{
    bool same = id->is_uuid && state->last_number != 0 &&
                memcmp(state->last_folder, id->bytes, sizeof(id->bytes)) == 0;

    return same ? state->last_number : 0;
}

/*
 * state_read_folder() - what is known of the folder whose row has this id
 * @ret_folder: its number is 0 when nothing is
 */
void state_read_folder(State *state, const char *id, StateFolder *ret_folder)
{
    CLEANUP_STATEMENT sqlite3_stmt *s = NULL;
    /* Who only reads may meet a database from before there were the others. */
    int code = database_prepare(&state->database,
                                state->read_only
                                    ? "SELECT number, volume FROM folders WHERE id = ?1"
                                    : "SELECT number, volume, ino, born FROM folders WHERE id = ?1",
                                &s);
    RowId key;

    *ret_folder = (StateFolder){0};
    if (!state_check(state, code))
        return;
    parse_id(&key, id);
    row_id_bind(s, 1, &key);
    code = sqlite3_step(s);
    if (!state_check(state, code) || code != SQLITE_ROW)
        return;
    ret_folder->number = sqlite3_column_int64(s, 0);
    ret_folder->has_volume = sqlite3_column_type(s, 1) == SQLITE_INTEGER;
    ret_folder->volume = (uint64_t)sqlite3_column_int64(s, 1);
    if (state->read_only)
        return;
    ret_folder->ino = (uint64_t)sqlite3_column_int64(s, 2);
    ret_folder->born = sqlite3_column_int64(s, 3);
}

/* The folder's number, given to it if need be; 0 when the database fails. */
static int64_t number_of(State *state, const char *id)
{
    CLEANUP_STATEMENT sqlite3_stmt *s = NULL;
    int64_t number;
    RowId key;

    parse_id(&key, id);
    number = remembered_number(state, &key);
    if (number != 0)
        return number;
    if (!state_check(state, database_prepare(&state->database,
                                             "INSERT INTO folders (id) VALUES (?1)"
                                             " ON CONFLICT (id) DO NOTHING",
                                             &s)))
        return 0;
    row_id_bind(s, 1, &key);
    if (!state_check(state, statement_run(s)))
        return 0;
    if (sqlite3_changes(state->database.handle) > 0) {
        number = sqlite3_last_insert_rowid(state->database.handle);
    } else {
        StateFolder folder;

        state_read_folder(state, id, &folder);
        number = folder.number;
    }
    remember_number(state, &key, number);
    return number;
}

/* state_write_folder() - notes the directory of a folder, and the file system that it is on */
void state_write_folder(State *state, const char *id, const StateFolder *folder)
{
    CLEANUP_STATEMENT sqlite3_stmt *s = NULL;
    int64_t number = number_of(state, id);
    int code = database_prepare(&state->database,
                                "UPDATE folders SET volume = ?2, ino = ?3, born = ?4"
                                " WHERE number = ?1 AND (volume IS NOT ?2 OR ino IS NOT ?3"
                                " OR born IS NOT ?4)",
                                &s);

    if (!state_check(state, code))
        return;
    (void)sqlite3_bind_int64(s, 1, number);
    (void)sqlite3_bind_int64(s, 2, (sqlite3_int64)folder->volume);
    if (folder->ino != 0)
        (void)sqlite3_bind_int64(s, 3, (sqlite3_int64)folder->ino);
    if (folder->born != 0)
        (void)sqlite3_bind_int64(s, 4, folder->born);
    (void)state_check(state, statement_run(s));
}

/* state_read_directory() - appends the ids of the folders whose directory was this one */
int state_read_directory(State *state, const StateFolder *folder, StringList *ids)
{
    CLEANUP_STATEMENT sqlite3_stmt *s = NULL;
    int code = database_prepare(&state->database,
                                "SELECT id FROM folders WHERE ino = ?1 AND volume = ?2"
                                " AND (born = ?3 OR born IS NULL OR ?3 = 0)",
                                &s);

    if (!state_check(state, code))
        return 0;
    (void)sqlite3_bind_int64(s, 1, (sqlite3_int64)folder->ino);
    (void)sqlite3_bind_int64(s, 2, (sqlite3_int64)folder->volume);
    (void)sqlite3_bind_int64(s, 3, folder->born);
    return collect_ids(state, s, ids);
}

/* ---- files ---- */

/* Binds the folder's number as ?1, looked up, and the id as ?2. */
#define IN_FOLDER "folder = (SELECT number FROM folders WHERE id = ?1) AND id = ?2"

/* A file by its folder's id and its own; released statements drop what is bound. */
static int prepare_file(State *state, const char *sql, const RowId *folder, const RowId *id,
                        sqlite3_stmt **ret_statement)
{
    int code = database_prepare(&state->database, sql, ret_statement);

    if (code == SQLITE_OK) {
        row_id_bind(*ret_statement, 1, folder);
        row_id_bind(*ret_statement, 2, id);
    }
    return code;
}

#define FILE_COLUMNS "dev, ino, size, mtime_ns, fingerprint"

/* The one that a statement finds; false: none. */
static bool file_take(State *state, sqlite3_stmt *s, StateFile *ret_file)
{
    int code = sqlite3_step(s);

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

/* state_read_file() - the file of this row as it was last seen; false when it is not known */
bool state_read_file(State *state, const char *folder_id, const char *id, StateFile *ret_file)
{
    CLEANUP_STATEMENT sqlite3_stmt *s = NULL;
    RowId folder, file;
    int code;

    parse_id(&folder, folder_id);
    parse_id(&file, id);
    code = prepare_file(state, "SELECT " FILE_COLUMNS " FROM files WHERE " IN_FOLDER, &folder,
                        &file, &s);
    if (!state_check(state, code))
        return false;
    return file_take(state, s, ret_file);
}

/*
 * state_read_file_at() - the same, of a row that was last seen with this device and inode, in
 * whatever folder it was then
 *
 * PictoPy.db is committed on its own: when the daemon is killed behind that, a row is in another
 * folder than is noted here.
 */
bool state_read_file_at(State *state, const char *id, uint64_t dev, uint64_t ino,
                        StateFile *ret_file)
{
    CLEANUP_STATEMENT sqlite3_stmt *s = NULL;
    int code = database_prepare(&state->database,
                                "SELECT " FILE_COLUMNS " FROM files"
                                " WHERE ino = ?2 AND dev = ?1 AND id = ?3",
                                &s);
    RowId file;

    if (!state_check(state, code))
        return false;
    parse_id(&file, id);
    (void)sqlite3_bind_int64(s, 1, (sqlite3_int64)dev);
    (void)sqlite3_bind_int64(s, 2, (sqlite3_int64)ino);
    row_id_bind(s, 3, &file);
    return file_take(state, s, ret_file);
}

static int known_take(StateKnownList *list, sqlite3_stmt *s)
{
    const void *id = sqlite3_column_blob(s, 0);
    StateKnown *known;

    if (sqlite3_column_bytes(s, 0) != ROW_ID_UUID_SIZE)
        return 0;
    if (ARRAY_RESERVE(list->items, list->capacity, list->count + 1))
        return -ENOMEM;
    known = &list->items[list->count++];
    memcpy(known->id, id, ROW_ID_UUID_SIZE);
    known->stamp = (FileStamp){.dev = (uint64_t)sqlite3_column_int64(s, 1),
                               .ino = (uint64_t)sqlite3_column_int64(s, 2),
                               .size = (uint64_t)sqlite3_column_int64(s, 3),
                               .mtime_ns = sqlite3_column_int64(s, 4)};
    return 0;
}

/*
 * state_read_known() - appends the next files of a folder, those whose ids are UUIDs, by id
 * @limit: how many at most
 * @ret_more: there may be more of them
 *
 * Returns 0 or -ENOMEM.
 */
int state_read_known(State *state, const StateFolder *folder, size_t limit, StateKnownList *list,
                     bool *ret_more)
{
    CLEANUP_STATEMENT sqlite3_stmt *s = NULL;
    /* A BLOB is greater than any text, so the empty one is in front of all UUIDs. */
    int code = database_prepare(&state->database,
                                "SELECT id, dev, ino, size, mtime_ns FROM files WHERE folder = ?1"
                                " AND id > ?2 ORDER BY id",
                                &s);

    *ret_more = false;
    if (!state_check(state, code))
        return 0;
    (void)sqlite3_bind_int64(s, 1, folder->number);
    if (list->count > 0)
        (void)sqlite3_bind_blob64(s, 2, list->items[list->count - 1].id, ROW_ID_UUID_SIZE,
                                  SQLITE_TRANSIENT);
    else
        (void)sqlite3_bind_zeroblob(s, 2, 0);
    for (size_t n = 0; (code = sqlite3_step(s)) == SQLITE_ROW; n++) {
        if (n == limit) {
            *ret_more = true;
            return 0;
        }
        if (known_take(list, s))
            return -ENOMEM;
    }
    (void)state_check(state, code);
    return 0;
}

/* Appends the ids that a statement with two numbers finds; what cannot be read is unknown. */
static int read_ids(State *state, const char *sql, uint64_t first, uint64_t second, StringList *ids)
{
    CLEANUP_STATEMENT sqlite3_stmt *s = NULL;
    int code = database_prepare(&state->database, sql, &s);

    if (!state_check(state, code))
        return 0;
    (void)sqlite3_bind_int64(s, 1, (sqlite3_int64)first);
    (void)sqlite3_bind_int64(s, 2, (sqlite3_int64)second);
    return collect_ids(state, s, ids);
}

/* state_read_inode() - appends the ids of files last seen with this device and inode */
int state_read_inode(State *state, uint64_t dev, uint64_t ino, StringList *ids)
{
    return read_ids(state, "SELECT DISTINCT id FROM files WHERE ino = ?2 AND dev = ?1 ORDER BY id",
                    dev, ino, ids);
}

/* state_read_content() - appends the ids of files of this size and fingerprint */
int state_read_content(State *state, uint64_t size, uint64_t fingerprint, StringList *ids)
{
    return read_ids(state,
                    "SELECT DISTINCT id FROM files WHERE fingerprint = ?2 AND size = ?1"
                    " ORDER BY id",
                    size, fingerprint, ids);
}

/*
 * state_write_file() - notes the file of this row
 * @fingerprint: NULL keeps the known one when size and mtime say that the content is the same
 */
void state_write_file(State *state, const char *folder_id, const char *id, const FileStamp *stamp,
                      const uint64_t *fingerprint)
{
    CLEANUP_STATEMENT sqlite3_stmt *s = NULL;
    int64_t number = number_of(state, folder_id);
    int code = database_prepare(
        &state->database,
        "INSERT INTO files (folder, id, dev, ino, size, mtime_ns, fingerprint)"
        " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT (folder, id) DO UPDATE SET"
        " fingerprint = CASE WHEN excluded.fingerprint IS NOT NULL THEN excluded.fingerprint"
        " WHEN size = excluded.size AND mtime_ns = excluded.mtime_ns THEN fingerprint END,"
        " dev = excluded.dev, ino = excluded.ino, size = excluded.size,"
        " mtime_ns = excluded.mtime_ns",
        &s);
    RowId file;

    if (number == 0 || !state_check(state, code))
        return;
    parse_id(&file, id);
    (void)sqlite3_bind_int64(s, 1, number);
    row_id_bind(s, 2, &file);
    (void)sqlite3_bind_int64(s, 3, (sqlite3_int64)stamp->dev);
    (void)sqlite3_bind_int64(s, 4, (sqlite3_int64)stamp->ino);
    (void)sqlite3_bind_int64(s, 5, (sqlite3_int64)stamp->size);
    (void)sqlite3_bind_int64(s, 6, stamp->mtime_ns);
    if (fingerprint)
        (void)sqlite3_bind_int64(s, 7, (sqlite3_int64)*fingerprint);
    (void)state_check(state, statement_run(s));
}

/* state_move_file() - the row is in another folder now; what is known of its file goes with it */
void state_move_file(State *state, const char *folder_id, const char *new_folder_id, const char *id)
{
    CLEANUP_STATEMENT sqlite3_stmt *s = NULL;
    int64_t number = number_of(state, new_folder_id);
    RowId folder, file;
    int code;

    parse_id(&folder, folder_id);
    parse_id(&file, id);
    code = prepare_file(state, "UPDATE OR REPLACE files SET folder = ?3 WHERE " IN_FOLDER, &folder,
                        &file, &s);
    if (number == 0 || !state_check(state, code))
        return;
    (void)sqlite3_bind_int64(s, 3, number);
    (void)state_check(state, statement_run(s));
}

/* state_forget_file() - the row is gone */
void state_forget_file(State *state, const char *folder_id, const char *id)
{
    CLEANUP_STATEMENT sqlite3_stmt *s = NULL;
    RowId folder, file;
    int code;

    parse_id(&folder, folder_id);
    parse_id(&file, id);
    code = prepare_file(state, "DELETE FROM files WHERE " IN_FOLDER, &folder, &file, &s);
    if (state_check(state, code))
        (void)state_check(state, statement_run(s));
}

static void run_with_id(State *state, const char *sql, const char *id)
{
    CLEANUP_STATEMENT sqlite3_stmt *s = NULL;
    RowId key;

    if (!state_check(state, database_prepare(&state->database, sql, &s)))
        return;
    parse_id(&key, id);
    row_id_bind(s, 1, &key);
    (void)state_check(state, statement_run(s));
}

/* state_forget_folder() - a folder's row is gone, and those of the files in it */
void state_forget_folder(State *state, const char *id)
{
    state->last_number = 0;
    run_with_id(state,
                "DELETE FROM files WHERE folder = (SELECT number FROM folders WHERE id = ?1)", id);
    run_with_id(state, "DELETE FROM folders WHERE id = ?1", id);
}

/* ---- announced thumbnails ---- */

/* Runs a statement whose one parameter is a text. */
static void state_run_with(State *state, const char *sql, const char *text)
{
    CLEANUP_STATEMENT sqlite3_stmt *s = NULL;

    if (!state_check(state, database_prepare(&state->database, sql, &s)))
        return;
    statement_bind_text(s, 1, text);
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
