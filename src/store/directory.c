/*
 * All that is known of one directory, for the reconciler, which asks for thousands of them: a few
 * seeks each, see store/scan.h. Metadata is parsed only for rows that the state database does not
 * know.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "store/core.h"
#include "store/scan.h"
#include "util/array.h"
#include "util/error.h"

typedef struct DirectoryReader {
    Store *store;
    const char *path;
    StoreDirectory directory;
    size_t entries_capacity, children_capacity, problems_capacity;
} DirectoryReader;

/* store_directory_done() - frees the contents; empty afterwards */
void store_directory_done(StoreDirectory *directory)
{
    free(directory->folder_id);
    for (size_t i = 0; i < directory->n_entries; i++) {
        free(directory->entries[i].name);
        free(directory->entries[i].id);
        free(directory->entries[i].folder_id);
    }
    for (size_t i = 0; i < directory->n_children; i++)
        free(directory->children[i]);
    for (size_t i = 0; i < directory->n_problems; i++) {
        free(directory->problems[i].path);
        free(directory->problems[i].reason);
    }
    free(directory->entries);
    free(directory->children);
    free(directory->problems);
    *directory = (StoreDirectory){0};
}

static int add_child(DirectoryReader *reader, const Scan *scan)
{
    StoreDirectory *directory = &reader->directory;
    char *name;

    if (scan->name_size == 0)
        return 0;
    if (ARRAY_RESERVE(directory->children, reader->children_capacity, directory->n_children + 1))
        return -ENOMEM;
    name = strndup(scan->name, scan->name_size);
    if (!name)
        return -ENOMEM;
    directory->children[directory->n_children++] = name;
    return 0;
}

/* ---- media ---- */

#define NUMBER_SQL(key)                                                                            \
    "CASE WHEN typeof(metadata) = 'text' AND json_valid(metadata)"                                 \
    " THEN json_extract(metadata, '$." key "') END"
#define SIZE_SQL(table)                                                                            \
    "SELECT " NUMBER_SQL("file_size") ", " NUMBER_SQL("file_mtime") " FROM " table " WHERE id = "  \
                                                                    "?1"
static const char *const size_sql[] = SCHEMA_BOTH(SIZE_SQL);

static bool is_number(sqlite3_stmt *s, int column)
{
    int type = sqlite3_column_type(s, column);

    return type == SQLITE_INTEGER || type == SQLITE_FLOAT;
}

static int read_size(Store *store, SchemaTable table, StoreEntry *entry)
{
    CLEANUP_STATEMENT sqlite3_stmt *s = NULL;
    int code = database_prepare(&store->database, size_sql[table], &s);

    entry->size = UINT64_MAX;
    entry->mtime = INT64_MIN;
    if (code != SQLITE_OK)
        return code;
    statement_bind_text(s, 1, entry->id);
    code = sqlite3_step(s);
    if (code != SQLITE_ROW)
        return code == SQLITE_DONE ? SQLITE_OK : code;
    if (is_number(s, 0) && sqlite3_column_int64(s, 0) >= 0)
        entry->size = (uint64_t)sqlite3_column_int64(s, 0);
    if (is_number(s, 1))
        entry->mtime = sqlite3_column_int64(s, 1);
    return SQLITE_OK;
}

/* A thumbnail that somebody cleaned away is none: the app would show an empty tile for ever. */
static bool has_thumbnail(const char *path)
{
    return path && path[0] != '\0' && (access(path, F_OK) == 0 || errno != ENOENT);
}

/* Columns: path, id, folder_id, the thumbnail's path. A row without an id in text is passed over.
 */
static int add_entry(DirectoryReader *reader, SchemaTable table, const Scan *scan)
{
    StoreDirectory *directory = &reader->directory;
    const char *id = statement_text(scan->statement, 1);
    const char *folder_id = statement_text(scan->statement, 2);
    StoreEntry *entry;
    StateFile file;

    if (!id)
        return SQLITE_OK;
    if (ARRAY_RESERVE(directory->entries, reader->entries_capacity, directory->n_entries + 1))
        return SQLITE_NOMEM;
    entry = &directory->entries[directory->n_entries++];
    *entry = (StoreEntry){.kind = schema_kind(table),
                          .name = strndup(scan->name, scan->name_size),
                          .id = strdup(id),
                          .folder_id = folder_id ? strdup(folder_id) : NULL,
                          .has_thumbnail = has_thumbnail(statement_text(scan->statement, 3))};
    if (!entry->name || !entry->id || (folder_id && !entry->folder_id))
        return SQLITE_NOMEM;
    entry->has_stamp = state_read_file(&reader->store->state, entry->folder_id, entry->id, &file);
    if (!entry->has_stamp)
        return read_size(reader->store, table, entry);
    entry->stamp = file.stamp;
    entry->size = file.stamp.size;
    entry->mtime = file_stamp_seconds(&file.stamp);
    return SQLITE_OK;
}

#define MEDIA_SQL(table)                                                                           \
    "SELECT path, id, folder_id, thumbnailPath FROM " table                                        \
    " WHERE path >= ?1 AND path < ?2 ORDER BY path"
static const char *const media_sql[] = SCHEMA_BOTH(MEDIA_SQL);

static int read_media(DirectoryReader *reader, SchemaTable table)
{
    CLEANUP(scan_close) Scan scan;
    int code = scan_open(&scan, &reader->store->database, media_sql[table], reader->path, false);

    if (code != SQLITE_OK)
        return code;
    while ((code = scan_next(&scan)) == SQLITE_ROW) {
        if (!scan.deeper)
            code = add_entry(reader, table, &scan);
        else
            code = add_child(reader, &scan) ? SQLITE_NOMEM : SQLITE_OK;
        if (code != SQLITE_OK)
            return code;
    }
    return code == SQLITE_DONE ? SQLITE_OK : code;
}

/* ---- folders ---- */

static int read_folder(DirectoryReader *reader)
{
    StoreDirectory *directory = &reader->directory;
    CLEANUP_STATEMENT sqlite3_stmt *s = NULL;
    StateFolder folder;
    const char *id;
    int code = database_prepare(&reader->store->database,
                                "SELECT folder_id, last_modified_time FROM folders"
                                " WHERE folder_path = ?1",
                                &s);

    if (code != SQLITE_OK)
        return code;
    statement_bind_text(s, 1, reader->path);
    code = sqlite3_step(s);
    if (code != SQLITE_ROW)
        return code == SQLITE_DONE ? SQLITE_OK : code;
    id = statement_text(s, 0);
    directory->folder_id = id ? strdup(id) : NULL;
    if (!directory->folder_id)
        return id ? SQLITE_NOMEM : SQLITE_OK;
    directory->folder_mtime = sqlite3_column_int64(s, 1);
    state_read_folder(&reader->store->state, directory->folder_id, &folder);
    directory->has_volume = folder.has_volume;
    directory->volume = folder.volume;
    return SQLITE_OK;
}

static int read_children(DirectoryReader *reader)
{
    CLEANUP(scan_close) Scan scan;
    int code = scan_open(&scan, &reader->store->database,
                         "SELECT folder_path FROM folders WHERE folder_path >= ?1"
                         " AND folder_path < ?2 ORDER BY folder_path",
                         reader->path, false);

    if (code != SQLITE_OK)
        return code;
    while ((code = scan_next(&scan)) == SQLITE_ROW)
        if (add_child(reader, &scan))
            return SQLITE_NOMEM;
    return code == SQLITE_DONE ? SQLITE_OK : code;
}

/* ---- problems ---- */

static int add_problem(DirectoryReader *reader, const Scan *scan)
{
    StoreDirectory *directory = &reader->directory;
    sqlite3_stmt *s = scan->statement;
    const char *reason = statement_text(s, 1);
    StoreProblem *problem;

    if (ARRAY_RESERVE(directory->problems, reader->problems_capacity, directory->n_problems + 1))
        return -ENOMEM;
    problem = &directory->problems[directory->n_problems++];
    *problem = (StoreProblem){
        .path = strndup(sqlite3_column_blob(s, 0), (size_t)sqlite3_column_bytes(s, 0)),
        .reason = strdup(reason ? reason : ""),
        .stamp.dev = (uint64_t)sqlite3_column_int64(s, 2),
        .stamp.ino = (uint64_t)sqlite3_column_int64(s, 3),
        .stamp.size = (uint64_t)sqlite3_column_int64(s, 4),
        .stamp.mtime_ns = sqlite3_column_int64(s, 5),
    };
    return problem->path && problem->reason ? 0 : -ENOMEM;
}

static int read_problems(DirectoryReader *reader)
{
    State *state = &reader->store->state;
    CLEANUP(scan_close) Scan scan;
    int code = scan_open(&scan, &state->database,
                         "SELECT path, reason, dev, ino, size, mtime_ns FROM problems"
                         " WHERE path >= ?1 AND path < ?2 ORDER BY path",
                         reader->path, true);

    if (code == SQLITE_OK)
        while ((code = scan_next(&scan)) == SQLITE_ROW)
            if (!scan.deeper && add_problem(reader, &scan))
                return -ENOMEM;
    (void)state_check(state, code);
    return 0;
}

/* ---- all of it ---- */

static int compare_entries(const void *a, const void *b)
{
    const StoreEntry *x = a, *y = b;

    return strcmp(x->name, y->name);
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* A child is found once for each table, and for its row beside what is below it. */
static void sort_children(StoreDirectory *directory)
{
    size_t n = 0;

    if (directory->n_children == 0)
        return;
    qsort(directory->children, directory->n_children, sizeof(char *), compare_names);
    for (size_t i = 0; i < directory->n_children; i++) {
        if (n > 0 && strcmp(directory->children[n - 1], directory->children[i]) == 0)
            free(directory->children[i]);
        else
            directory->children[n++] = directory->children[i];
    }
    directory->n_children = n;
}

static int directory_read(DirectoryReader *reader)
{
    StoreDirectory *directory = &reader->directory;
    const Schema *schema = &reader->store->schema;
    int code = read_folder(reader);

    reader->directory.no_videos = !schema->media[SCHEMA_VIDEOS].present;
    for (SchemaTable t = 0; t < SCHEMA_N_MEDIA && code == SQLITE_OK; t++)
        if (schema->media[t].present)
            code = read_media(reader, t);
    if (code == SQLITE_OK)
        code = read_children(reader);
    if (code != SQLITE_OK)
        return store_fail(reader->store, code, "cannot read the rows");
    if (directory->n_entries > 0)
        qsort(directory->entries, directory->n_entries, sizeof(StoreEntry), compare_entries);
    sort_children(directory);
    return read_problems(reader);
}

/*
 * store_read_directory() - the rows directly in the directory at path, and what else is known of it
 *
 * An entry's size and mtime are those of its stamp where the state database has one, else those in
 * the row's metadata. Returns 0, STORE_E_… or -ENOMEM; store_directory_done() frees the contents.
 */
int store_read_directory(Store *store, const char *path, StoreDirectory *ret_directory)
{
    DirectoryReader reader = {.store = store, .path = path};
    bool own;
    int r = store_enter(store, &own);

    if (r)
        return r;
    r = directory_read(&reader);
    store_leave(store, own);
    if (r) {
        store_directory_done(&reader.directory);
        return r;
    }
    *ret_directory = reader.directory;
    return 0;
}
