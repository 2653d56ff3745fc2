/* Reading the folders table, in pages: each page is its own short read transaction. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "store/core.h"
#include "util/array.h"

#define FOLDERS_PAGE 1000

/* store_folders_done() - frees the list's contents; it is empty afterwards */
void store_folders_done(StoreFolders *folders)
{
    arena_done(&folders->strings);
    free(folders->items);
    *folders = (StoreFolders){0};
}

/* Columns: folder_path, folder_id, AI_Tagging, status. */
static int folder_take(StoreFolders *folders, sqlite3_stmt *s)
{
    const char *path = statement_text(s, 0), *id = statement_text(s, 1);
    const char *status = statement_text(s, 3);
    StoreFolder folder = {.ai_tagging = statement_true(s, 2)};

    if (!path || !id || path[0] != '/')
        return 0; /* nothing that could be watched */
    if (ARRAY_RESERVE(folders->items, folders->capacity, folders->count + 1))
        return -ENOMEM;
    folder.path = arena_string(&folders->strings, path, strlen(path));
    folder.id = arena_string(&folders->strings, id, strlen(id));
    if (!folder.path || !folder.id)
        return -ENOMEM;
    if (status)
        (void)strncpy(folder.status, status, sizeof(folder.status) - 1);
    folders->items[folders->count++] = folder;
    return 0;
}

static int folders_sql(const Store *store, Text *sql)
{
    text_printf(sql,
                "SELECT folder_path, folder_id, AI_Tagging, %s FROM folders"
                " WHERE folder_path > ?1 ORDER BY folder_path LIMIT %d",
                store->schema.indexing_status ? "indexing_status" : "NULL", FOLDERS_PAGE);
    return sql->failed ? -ENOMEM : 0;
}

/* BLOBs sort behind all text: SQLITE_DONE where they begin. */
static int step_text(sqlite3_stmt *s)
{
    int code = sqlite3_step(s);

    return code == SQLITE_ROW && sqlite3_column_type(s, 0) != SQLITE_TEXT ? SQLITE_DONE : code;
}

/* Reads one page behind last, which may hold any bytes. *ret_more: it was full, and last is its
 * last path now. */
static int folders_read_rows(Store *store, StoreFolders *folders, Text *last, bool *ret_more)
{
    CLEANUP(text_done) Text sql = {0}, next = {0};
    CLEANUP_STATEMENT sqlite3_stmt *s = NULL;
    int r = folders_sql(store, &sql);
    int code;

    *ret_more = false;
    if (r)
        return r;
    code = database_prepare(&store->database, sql.data, &s);
    if (code != SQLITE_OK)
        return store_fail(store, code, "cannot read the folders");
    statement_bind_bytes(s, 1, last->data ? last->data : "", last->length);
    for (int n = 1; (code = step_text(s)) == SQLITE_ROW; n++) {
        r = folder_take(folders, s);
        if (r)
            return r;
        if (n == FOLDERS_PAGE) {
            text_append_bytes(&next, sqlite3_column_text(s, 0), (size_t)sqlite3_column_bytes(s, 0));
            *ret_more = true;
        }
    }
    if (code != SQLITE_DONE)
        return store_fail(store, code, "cannot read the folders");
    if (*ret_more) { /* not before: it is bound */
        text_clear(last);
        text_append_bytes(last, next.data, next.length);
    }
    return next.failed || last->failed ? -ENOMEM : 0;
}

static int folders_read_page(Store *store, StoreFolders *folders, Text *last, bool *ret_more)
{
    bool own;
    int r = store_enter(store, &own);

    if (r)
        return r;
    r = folders_read_rows(store, folders, last, ret_more);
    store_leave(store, own);
    return r;
}

/*
 * store_read_folders() - the whole folders table, in path order (memcmp)
 *
 * Rows whose path is not an absolute path in text are left out. Returns 0, STORE_E_… or -ENOMEM;
 * store_folders_done() frees the list.
 */
int store_read_folders(Store *store, StoreFolders *ret_folders)
{
    CLEANUP(store_folders_done) StoreFolders folders = {0};
    CLEANUP(text_done) Text last = {0};
    bool more = true;

    while (more) {
        int r = folders_read_page(store, &folders, &last, &more);

        if (r)
            return r;
    }
    *ret_folders = folders;
    folders = (StoreFolders){0};
    return 0;
}
