/* Single media rows, by path and by inode. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "store/core.h"
#include "util/array.h"
#include "util/error.h"
#include "util/path.h"

/* store_row_done() - frees the contents; empty afterwards */
void store_row_done(StoreRow *row)
{
    free(row->id);
    free(row->path);
    free(row->folder_id);
    free(row->thumbnail_path);
    free(row->metadata);
    *row = (StoreRow){0};
}

/* store_rows_done() - frees the list's contents; empty afterwards */
void store_rows_done(StoreRows *rows)
{
    for (size_t i = 0; i < rows->count; i++)
        store_row_done(&rows->items[i]);
    free(rows->items);
    *rows = (StoreRows){0};
}

/* Copies a column's text, if it is text; false when memory runs out. */
static bool take_text(sqlite3_stmt *s, int column, char **ret)
{
    const char *text = statement_text(s, column);

    *ret = text ? strdup(text) : NULL;
    return !text || *ret;
}

#define ROW_COLUMNS        "id, path, folder_id, thumbnailPath, metadata"
#define BY_PATH_SQL(table) "SELECT " ROW_COLUMNS " FROM " table " WHERE path = ?1"
#define BY_ID_SQL(table)   "SELECT " ROW_COLUMNS " FROM " table " WHERE id = ?1"
static const char *const by_path_sql[] = SCHEMA_BOTH(BY_PATH_SQL);
static const char *const by_id_sql[] = SCHEMA_BOTH(BY_ID_SQL);

static void set_file(StoreRow *row, const StateFile *file)
{
    row->has_stamp = true;
    row->stamp = file->stamp;
    row->has_fingerprint = file->has_fingerprint;
    row->fingerprint = file->fingerprint;
}

static int row_take(Store *store, SchemaTable table, sqlite3_stmt *s, StoreRow *row)
{
    StateFile file;

    row->kind = schema_kind(table);
    if (!take_text(s, 0, &row->id) || !take_text(s, 1, &row->path) ||
        !take_text(s, 2, &row->folder_id) || !take_text(s, 3, &row->thumbnail_path) ||
        !take_text(s, 4, &row->metadata))
        return SQLITE_NOMEM;
    if (!row->id || !row->path) {
        store_row_done(row); /* not a row that could be worked with */
        return SQLITE_OK;
    }
    if (state_read_file(&store->state, row->folder_id, row->id, &file))
        set_file(row, &file);
    return SQLITE_OK;
}

/* The row whose id or path (by sql) is key; row->id stays NULL when neither table has one. */
static int row_find(Store *store, const char *const *sql, const char *key, StoreRow *row)
{
    for (SchemaTable t = 0; t < SCHEMA_N_MEDIA && !row->id; t++) {
        CLEANUP_STATEMENT sqlite3_stmt *s = NULL;
        int code;

        if (!store->schema.media[t].present)
            continue;
        code = database_prepare(&store->database, sql[t], &s);
        if (code == SQLITE_OK) {
            statement_bind_text(s, 1, key);
            code = sqlite3_step(s);
        }
        if (code == SQLITE_ROW)
            code = row_take(store, t, s, row);
        else if (code == SQLITE_DONE)
            code = SQLITE_OK;
        if (code != SQLITE_OK)
            return code;
    }
    return SQLITE_OK;
}

/* ?1 = path, ?2 and ?3 the range below it. The videos are asked only where they exist. */
#define BELOW_SQL(table)                                                                           \
    "SELECT EXISTS (SELECT 1 FROM " table " WHERE path >= ?2 AND path < ?3) OR EXISTS (SELECT 1"   \
    " FROM folders WHERE folder_path = ?1) OR EXISTS (SELECT 1 FROM folders"                       \
    " WHERE folder_path >= ?2 AND folder_path < ?3)"
static const char *const below_sql[] = SCHEMA_BOTH(BELOW_SQL);

static int row_is_directory(Store *store, const char *path, bool *ret)
{
    CLEANUP_FREE char *first = NULL, *end = NULL;

    *ret = false;
    if (path_range(path, &first, &end))
        return SQLITE_NOMEM;
    for (SchemaTable t = 0; t < SCHEMA_N_MEDIA && !*ret; t++) {
        CLEANUP_STATEMENT sqlite3_stmt *s = NULL;
        int code;

        if (!store->schema.media[t].present)
            continue;
        code = database_prepare(&store->database, below_sql[t], &s);
        if (code != SQLITE_OK)
            return code;
        statement_bind_text(s, 1, path);
        statement_bind_text(s, 2, first);
        statement_bind_text(s, 3, end);
        code = sqlite3_step(s);
        if (code != SQLITE_ROW)
            return code;
        *ret = statement_true(s, 0);
    }
    return SQLITE_OK;
}

/*
 * store_read_row() - the media row at exactly this path
 * @ret_row: its id is NULL when there is none; store_row_done() frees it
 * @ret_is_directory: folder or media rows stand at or below path as a directory
 */
int store_read_row(Store *store, const char *path, StoreRow *ret_row, bool *ret_is_directory)
{
    CLEANUP(store_row_done) StoreRow row = {0};
    bool is_directory = false;
    bool own;
    int code;
    int r = store_enter(store, &own);

    if (r)
        return r;
    code = row_find(store, by_path_sql, path, &row);
    if (code == SQLITE_OK)
        code = row_is_directory(store, path, &is_directory);
    if (code != SQLITE_OK)
        r = store_fail(store, code, "cannot read a row");
    store_leave(store, own);
    if (r)
        return r;
    *ret_row = row;
    *ret_is_directory = is_directory;
    row = (StoreRow){0};
    return 0;
}

static int rows_of_ids(Store *store, const StringList *ids, StoreRows *rows)
{
    for (size_t i = 0; i < ids->count; i++) {
        StoreRow row = {0};
        int code =
            ARRAY_RESERVE(rows->items, rows->capacity, rows->count + 1) ? SQLITE_NOMEM : SQLITE_OK;

        if (code == SQLITE_OK)
            code = row_find(store, by_id_sql, ids->items[i], &row);
        if (code != SQLITE_OK) {
            store_row_done(&row);
            return code;
        }
        if (row.id)
            rows->items[rows->count++] = row;
    }
    return SQLITE_OK;
}

/*
 * store_read_inode() - the rows whose file was last seen with this device and inode
 *
 * Several, when files are hard links of one another. None when the state database does not know.
 */
int store_read_inode(Store *store, uint64_t dev, uint64_t ino, StoreRows *ret_rows)
{
    CLEANUP(string_list_done) StringList ids = {0};
    StoreRows rows = {0};
    bool own;
    int code = SQLITE_OK;
    int r = store_enter(store, &own);

    if (r)
        return r;
    r = state_read_inode(&store->state, dev, ino, &ids);
    if (!r)
        code = rows_of_ids(store, &ids, &rows);
    if (!r && code != SQLITE_OK)
        r = store_fail(store, code, "cannot read a row");
    for (size_t i = 0; !r && i < rows.count; i++) {
        StoreRow *row = &rows.items[i];
        StateFile file;

        if (!row->has_stamp && state_read_file_at(&store->state, row->id, dev, ino, &file))
            set_file(row, &file);
    }
    store_leave(store, own);
    if (r) {
        store_rows_done(&rows);
        return r;
    }
    *ret_rows = rows;
    return 0;
}

/* ---- counting ---- */

#define COUNT_PAGE "20000"
#define COUNT_SQL(table)                                                                           \
    "SELECT count(*), max(path) FROM (SELECT path FROM " table                                     \
    " WHERE path > ?1 AND path < ?2 ORDER BY path LIMIT " COUNT_PAGE ")"
static const char *const count_sql[] = SCHEMA_BOTH(COUNT_SQL);

/* One page behind *last, which becomes the page's last path; NULL at the end. A result code. */
static int count_page(Store *store, SchemaTable table, char **last, const char *end,
                      uint64_t *count)
{
    CLEANUP_STATEMENT sqlite3_stmt *s = NULL;
    int code = database_prepare(&store->database, count_sql[table], &s);
    const char *path;

    if (code != SQLITE_OK)
        return code;
    statement_bind_text(s, 1, *last);
    statement_bind_text(s, 2, end);
    code = sqlite3_step(s);
    if (code != SQLITE_ROW)
        return code == SQLITE_DONE ? SQLITE_OK : code;
    *count += (uint64_t)sqlite3_column_int64(s, 0);
    path = statement_text(s, 1);
    free(*last);
    *last = path ? strdup(path) : NULL;
    return path && !*last ? SQLITE_NOMEM : SQLITE_OK;
}

static int count_below(Store *store, SchemaTable table, const char *path, uint64_t *count)
{
    CLEANUP_FREE char *last = NULL;
    CLEANUP_FREE char *end = NULL;
    int r = path_range(path, &last, &end);

    while (r == 0 && last) {
        bool own;
        int code;

        r = store_enter(store, &own);
        if (r != 0)
            return r;
        code = store->schema.media[table].present ? count_page(store, table, &last, end, count)
                                                  : SQLITE_OK;
        if (!store->schema.media[table].present) {
            free(last);
            last = NULL;
        }
        store_leave(store, own);
        if (code != SQLITE_OK)
            r = store_fail(store, code, "cannot count photos");
    }
    return r;
}

/*
 * store_count_media() - how many photos and videos have rows at and below a path
 * @count: they are added to it
 *
 * 0, STORE_E_… or -ENOMEM.
 */
int store_count_media(Store *store, const char *path, uint64_t *count)
{
    StoreRow row = {0};
    bool below = false;
    int r = store_read_row(store, path, &row, &below);

    *count += r == 0 && row.id;
    store_row_done(&row);
    for (int table = 0; r == 0 && below && table < SCHEMA_N_MEDIA; table++)
        r = count_below(store, (SchemaTable)table, path, count);
    return r;
}
