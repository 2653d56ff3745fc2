/* Folder rows: making them, and removing a tree of rows. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "store/write.h"
#include "util/clock.h"
#include "util/error.h"
#include "util/path.h"
#include "util/uuid.h"

#define REMOVE_PAGE "128"
#define REMOVE_US   (30 * CLOCK_US_PER_MS)

/* write_folder_id() - the id of the row at exactly this path; NULL when there is none */
int write_folder_id(Writer *w, const char *path, char **ret_id)
{
    CLEANUP_STATEMENT sqlite3_stmt *s = NULL;
    int r = write_query(w, &s, "SELECT folder_id FROM folders WHERE folder_path = ?1", "s", path);
    const char *id = !r && s ? statement_text(s, 0) : NULL;

    if (r)
        return r;
    *ret_id = id ? strdup(id) : NULL;
    return id && !*ret_id ? error_trace(-ENOMEM) : 0;
}

/* write_insert_folder() - a new row; 'completed', for its files come through us */
int write_insert_folder(Writer *w, const char *path, const char *parent_id, bool ai_tagging,
                        int64_t mtime, char **ret_id)
{
    bool has_status = w->store->schema.indexing_status;
    char id[UUID_TEXT_SIZE];
    char *copy;
    int r = uuid_generate(id);

    if (r)
        return error_trace(r);
    r = write_sql(w,
                  has_status ? "INSERT INTO folders (folder_id, parent_folder_id, folder_path,"
                               " last_modified_time, AI_Tagging, taggingCompleted, indexing_status)"
                               " VALUES (?1, ?2, ?3, ?4, ?5, 0, 'completed')"
                             : "INSERT INTO folders (folder_id, parent_folder_id, folder_path,"
                               " last_modified_time, AI_Tagging, taggingCompleted)"
                               " VALUES (?1, ?2, ?3, ?4, ?5, 0)",
                  "sssii", id, parent_id, path, mtime, (int64_t)ai_tagging);
    if (r)
        return r;
    copy = strdup(id);
    if (!copy)
        return error_trace(-ENOMEM);
    *ret_id = copy;
    return 0;
}

static int folder_ai_tagging(Writer *w, const char *id, bool *ret)
{
    CLEANUP_STATEMENT sqlite3_stmt *s = NULL;
    int r = write_query(w, &s, "SELECT AI_Tagging FROM folders WHERE folder_id = ?1", "s", id);

    *ret = !r && s && statement_true(s, 0);
    return r;
}

/* How much of path, in bytes, is the nearest directory with a row; 0: there is none. */
static int folder_nearest(Writer *w, const char *path, size_t *ret_size, char **ret_id)
{
    CLEANUP_FREE char *at = strdup(path);

    *ret_size = 0;
    if (!at)
        return error_trace(-ENOMEM);
    for (;;) {
        char *slash = strrchr(at, '/');
        int r = write_folder_id(w, at, ret_id);

        if (r)
            return r;
        if (*ret_id) {
            *ret_size = strlen(at);
            return 0;
        }
        if (!slash || strcmp(at, "/") == 0)
            return 0;
        slash[slash == at ? 1 : 0] = '\0'; /* "/a" → "/" */
    }
}

/* Inserts the rows of the directories in path behind its first size bytes, parents first. *id is
 * the parent's, and then the last one's. */
static int folder_insert_missing(Writer *w, const char *path, size_t size, const int64_t *mtime,
                                 char **id)
{
    bool ai_tagging = false;
    int r = 0;

    if (w->store->options.inherit_ai_tagging)
        r = folder_ai_tagging(w, *id, &ai_tagging);
    while (!r && path[size]) {
        size_t begin = path[size] == '/' ? size + 1 : size; /* below "/" there is no other slash */
        size_t end = begin + strcspn(path + begin, "/");
        CLEANUP_FREE char *part = strndup(path, end);
        char *new_id = NULL;

        if (!part)
            return error_trace(-ENOMEM);
        r = write_insert_folder(w, part, *id, ai_tagging, !path[end] && mtime ? *mtime : 0,
                                &new_id);
        w->untimed += path[end] || !mtime;
        if (!r) {
            free(*id);
            *id = new_id;
        }
        size = end;
    }
    return r;
}

/*
 * write_ensure_folder() - the id of a directory's row, which is made if need be
 * @mtime: for a new row, seconds; NULL = not known, 0 is written
 * @ret_id: NULL where no directory at or above path has a row: nothing is registered there
 */
int write_ensure_folder(Writer *w, const char *path, const int64_t *mtime, char **ret_id,
                        bool *ret_inserted)
{
    CLEANUP_FREE char *id = NULL;
    size_t size;
    int r = folder_nearest(w, path, &size, &id);

    *ret_inserted = false;
    if (r || !id)
        return r;
    if (path[size]) {
        r = folder_insert_missing(w, path, size, mtime, &id);
        if (r)
            return r;
        *ret_inserted = true;
    }
    *ret_id = STEAL_PTR(id);
    return 0;
}

/* write_parent_id() - the id of the row of path's parent directory; NULL when it has none */
int write_parent_id(Writer *w, const char *path, bool ensure, char **ret_id)
{
    CLEANUP_FREE char *parent = path_parent(path);
    bool inserted;

    if (!parent)
        return error_trace(-ENOMEM);
    if (strcmp(parent, path) == 0)
        return 0; /* "/" */
    return ensure ? write_ensure_folder(w, parent, NULL, ret_id, &inserted)
                  : write_folder_id(w, parent, ret_id);
}

static int folder_touch(Writer *w, WriteRun *run)
{
    int r = write_sql(w,
                      "UPDATE folders SET last_modified_time = ?2 WHERE folder_id = ?1"
                      " AND last_modified_time IS NOT ?2",
                      "si", run->folder_id, run->op->mtime);

    if (!r)
        run->result = sqlite3_changes(w->store->database.handle) > 0 ? STORE_OP_RESULT_DONE
                                                                     : STORE_OP_RESULT_NOTHING;
    return r;
}

/* write_folder_ensure() - a directory's row, new or with the mtime that it has now */
int write_folder_ensure(Writer *w, WriteRun *run)
{
    StoreOp *op = run->op;
    int r;

    if (!op->path || op->path[0] != '/' || !path_is_utf8(op->path))
        return write_fail(w, "its name is not UTF-8");
    r = write_ensure_folder(w, op->path, &op->mtime, &run->folder_id, &run->inserted);
    if (r)
        return r;
    if (run->folder_id && !run->inserted)
        return folder_touch(w, run);
    run->result = run->folder_id ? STORE_OP_RESULT_DONE : STORE_OP_RESULT_UNREGISTERED;
    return 0;
}

/* ---- removing a tree ---- */

#define PAGE_SQL(table)                                                                            \
    "SELECT id, folder_id, thumbnailPath FROM " table                                              \
    " WHERE path >= ?1 AND path < ?2 ORDER BY path"                                                \
    " LIMIT " REMOVE_PAGE
static const char *const page_sql[] = SCHEMA_BOTH(PAGE_SQL);

/* Ids, folders' ids and thumbnails ("" = none) of one page of rows, in threes. */
static int remove_read_page(Writer *w, const char *sql, const char *first, const char *end,
                            StringList *threes)
{
    CLEANUP_STATEMENT sqlite3_stmt *s = NULL;
    int r = write_query(w, &s, sql, "ss", first, end);
    int code = SQLITE_ROW;

    while (!r && s && code == SQLITE_ROW) {
        const char *id = statement_text(s, 0);
        const char *folder_id = statement_text(s, 1), *thumbnail = statement_text(s, 2);

        if (!id)
            return write_fail(w, "a row below it has an id that is no text");
        r = string_list_add(threes, id);
        if (!r)
            r = string_list_add(threes, folder_id ? folder_id : "");
        if (!r)
            r = string_list_add(threes, thumbnail ? thumbnail : "");
        if (!r)
            code = sqlite3_step(s);
    }
    return r ? r : write_check(w, code);
}

static int remove_media(Writer *w, SchemaTable table, const char *first, const char *end,
                        bool whole, bool *ret_any)
{
    for (;;) {
        CLEANUP(string_list_done) StringList threes = {0};
        int r = remove_read_page(w, page_sql[table], first, end, &threes);

        if (r || threes.count == 0)
            return r;
        for (size_t i = 0; i < threes.count && !r; i += 3) {
            if (!whole && *ret_any &&
                (write_time_is_up(w, REMOVE_US) || write_graves_are_full(w) ||
                 !write_grave_is_ready(w, threes.items[i])))
                return WRITE_E_PARTIAL;
            r = write_remove_row(w, table, threes.items[i], threes.items[i + 1],
                                 threes.items[i + 2]);
            *ret_any = true;
        }
        if (r)
            return r;
    }
}

/* The deepest first, so that one row's removal cascades to nothing. */
#define FOLDERS_SQL                                                                                \
    "SELECT folder_id, NULL, NULL FROM folders WHERE folder_path >= ?1 AND folder_path < ?2"       \
    " ORDER BY folder_path DESC LIMIT " REMOVE_PAGE

/*
 * For each folder row that goes SQLite looks for rows that refer to it, and nothing but the
 * folder's own id has an index: in a library of a million photos that is a second under the lock,
 * for each one. The rows below it have gone before, by their paths, so there is nothing to be
 * found; and a row that stands elsewhere and names this folder by mistake is of a file that is
 * still there. Tables that we do not know keep their cascade. sqlite3_db_config(3), as PRAGMA
 * foreign_keys does nothing within a transaction; this changes how statements are compiled, no
 * more.
 */
static int remove_folder(Writer *w, const char *id)
{
    sqlite3 *handle = w->store->database.handle;
    bool keys = w->store->schema.folder_links;
    int r;

    (void)sqlite3_db_config(handle, SQLITE_DBCONFIG_ENABLE_FKEY, keys, NULL);
    r = write_sql(w, "DELETE FROM folders WHERE folder_id = ?1", "s", id);
    (void)sqlite3_db_config(handle, SQLITE_DBCONFIG_ENABLE_FKEY, 1, NULL);
    return r ? r : write_note_gone(w, id, NULL);
}

static int remove_folders(Writer *w, const char *first, const char *end, bool whole, bool *ret_any)
{
    for (;;) {
        CLEANUP(string_list_done) StringList threes = {0};
        int r = remove_read_page(w, FOLDERS_SQL, first, end, &threes);

        if (r || threes.count == 0)
            return r;
        for (size_t i = 0; i < threes.count && !r; i += 3) {
            if (!whole && *ret_any && write_time_is_up(w, REMOVE_US))
                return WRITE_E_PARTIAL;
            r = remove_folder(w, threes.items[i]);
            *ret_any = true;
        }
        if (r)
            return r;
    }
}

/*
 * write_remove_tree() - removes the folder row at path and all rows below it, with thumbnails
 * @whole: never stop half-way
 * @ret_any: set when a row was removed
 *
 * By ranges of paths, and not by the cascade alone: rows may stand there whose parent link is
 * missing, and thumbnails are known only as long as their rows are.
 */
int write_remove_tree(Writer *w, const char *path, bool whole, bool *ret_any)
{
    CLEANUP_FREE char *first = NULL, *end = NULL, *id = NULL;
    int r = path_range(path, &first, &end) ? error_trace(-ENOMEM) : 0;

    for (SchemaTable t = 0; t < SCHEMA_N_MEDIA && !r; t++)
        if (w->store->schema.media[t].present)
            r = remove_media(w, t, first, end, whole, ret_any);
    if (!r)
        r = remove_folders(w, first, end, whole, ret_any);
    if (!r)
        r = write_folder_id(w, path, &id);
    if (r || !id)
        return r;
    *ret_any = true;
    return remove_folder(w, id);
}

/* write_folder_remove() - a directory is gone; a large one takes several transactions */
int write_folder_remove(Writer *w, WriteRun *run)
{
    StoreOp *op = run->op;
    bool any = false;
    int r;

    if (!run->folder_id) {
        r = write_folder_id(w, op->path, &run->folder_id);
        if (r)
            return r;
    }
    r = write_remove_tree(w, op->path, false, &any);
    if (!r)
        run->result = any || op->partly ? STORE_OP_RESULT_DONE : STORE_OP_RESULT_NOTHING;
    return r;
}
