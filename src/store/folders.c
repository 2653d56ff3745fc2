/* Reading the folders table, in pages: each page is its own short read transaction. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "store/core.h"
#include "util/array.h"
#include "util/error.h"

#define FOLDERS_PAGE "1000"

static void folder_done(StoreFolder *folder)
{
    free(folder->id);
    free(folder->parent_id);
    free(folder->path);
}

/* store_folders_done() - frees the list's contents; it is empty afterwards */
void store_folders_done(StoreFolders *folders)
{
    for (size_t i = 0; i < folders->count; i++)
        folder_done(&folders->items[i]);
    free(folders->items);
    *folders = (StoreFolders){0};
}

/* Columns: folder_path, folder_id, parent_folder_id, last_modified_time, AI_Tagging, status. */
static int folder_take(StoreFolders *folders, sqlite3_stmt *s)
{
    const char *path = statement_text(s, 0), *id = statement_text(s, 1);
    const char *parent = statement_text(s, 2), *status = statement_text(s, 5);
    StoreFolder folder = {.mtime = sqlite3_column_int64(s, 3), .ai_tagging = statement_true(s, 4)};

    if (!path || !id || path[0] != '/')
        return 0; /* nothing that could be watched */
    if (ARRAY_RESERVE(folders->items, folders->capacity, folders->count + 1))
        return -ENOMEM;
    folder.path = strdup(path);
    folder.id = strdup(id);
    folder.parent_id = parent ? strdup(parent) : NULL;
    if (status)
        (void)strncpy(folder.status, status, sizeof(folder.status) - 1);
    if (!folder.path || !folder.id || (parent && !folder.parent_id)) {
        folder_done(&folder);
        return -ENOMEM;
    }
    folders->items[folders->count++] = folder;
    return 0;
}

static int folders_sql(const Store *store, Text *sql)
{
    text_printf(sql,
                "SELECT folder_path, folder_id, parent_folder_id, last_modified_time, AI_Tagging,"
                " %s FROM folders WHERE folder_path > ?1 ORDER BY folder_path LIMIT " FOLDERS_PAGE,
                store->schema.indexing_status ? "indexing_status" : "NULL");
    return sql->failed ? -ENOMEM : 0;
}

/* Reads one page behind last, which becomes the page's last path; it may hold any bytes. */
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
    while ((code = sqlite3_step(s)) == SQLITE_ROW) {
        if (sqlite3_column_type(s, 0) != SQLITE_TEXT)
            break; /* BLOBs sort behind all text: the end */
        *ret_more = true;
        r = folder_take(folders, s);
        if (r)
            return r;
        text_clear(&next);
        text_append_bytes(&next, sqlite3_column_text(s, 0), (size_t)sqlite3_column_bytes(s, 0));
    }
    if (code != SQLITE_ROW && code != SQLITE_DONE)
        return store_fail(store, code, "cannot read the folders");
    text_clear(last);
    text_append_bytes(last, next.data ? next.data : "", next.length);
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
