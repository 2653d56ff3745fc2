/*
 * All that is known of one directory, for the reconciler, which asks for many thousands of them.
 * What is read for each row counts here, so
 *
 * - scans stay where the directory before ended (store/scan.h): no search when they come in order;
 * - the state database gives all files of a folder at once, to be found here by their ids;
 * - metadata is parsed only for rows that the state database does not know;
 * - the names of thumbnails are read once (store/thumbnail_set.h).
 */

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "store/core.h"
#include "util/array.h"
#include "util/error.h"

#define KNOWN_PAGE 1024 /* files of the state database, */
#define PAUSE_ROWS 128  /* and rows, between two looks at the clock */

typedef struct DirectoryReader {
    Store *store;
    const char *path;
    StoreDirectory directory;
    size_t entries_capacity, children_capacity, problems_capacity;
    size_t folder_id_size;
    size_t rows; /* read */
} DirectoryReader;

/* Text of a row that is not terminated. */
typedef struct Span {
    const char *data; /* NULL: none */
    size_t size;
} Span;

/* store_directory_done() - frees the contents; empty afterwards */
void store_directory_done(StoreDirectory *directory)
{
    free(directory->folder_id);
    for (size_t i = 0; i < directory->n_problems; i++) {
        free(directory->problems[i].path);
        free(directory->problems[i].reason);
    }
    free(directory->entries);
    free(directory->children);
    free(directory->problems);
    arena_done(&directory->strings);
    *directory = (StoreDirectory){0};
}

/* Columns of text are taken as they lie on their page: sqlite3_column_text(3) would copy them to
 * end them with a zero. */
static Span take_span(sqlite3_stmt *s, int column)
{
    Span span = {0};

    if (sqlite3_column_type(s, column) != SQLITE_TEXT)
        return span;
    span.data = sqlite3_column_blob(s, column);
    span.size = (size_t)sqlite3_column_bytes(s, column);
    if (span.size == 0)
        span.data = "";
    else if (memchr(span.data, '\0', span.size))
        span.data = NULL;
    return span;
}

/* In a large directory others get their turn now and then. 0 or STORE_E_… */
static int reader_pause(DirectoryReader *reader)
{
    return ++reader->rows % PAUSE_ROWS == 0 ? store_read_pause(reader->store) : 0;
}

static int reader_fail(DirectoryReader *reader, int code)
{
    return store_fail(reader->store, code, "cannot read the rows");
}

static int add_child(DirectoryReader *reader, const Scan *scan)
{
    StoreDirectory *directory = &reader->directory;
    char *name;

    if (scan->name_size == 0)
        return 0;
    if (ARRAY_RESERVE(directory->children, reader->children_capacity, directory->n_children + 1))
        return -ENOMEM;
    name = arena_string(&directory->strings, scan->name, scan->name_size);
    if (!name)
        return -ENOMEM;
    directory->children[directory->n_children++] = name;
    return 0;
}

/* ---- what the state database knows of the files ---- */

static int read_known(DirectoryReader *reader, const StateFolder *folder)
{
    Store *store = reader->store;
    bool more = folder->number != 0;

    store->known.count = 0;
    while (more) {
        int r = state_read_known(&store->state, folder, KNOWN_PAGE, &store->known, &more);

        if (!r && more)
            r = store_read_pause(store);
        if (r)
            return r;
    }
    return 0;
}

static const StateKnown *find_known(const StateKnownList *list, const uint8_t *id)
{
    size_t low = 0, high = list->count;

    while (low < high) {
        size_t middle = (low + high) / 2;
        int order = memcmp(list->items[middle].id, id, ROW_ID_UUID_SIZE);

        if (order == 0)
            return &list->items[middle];
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

/* A row should name the directory's own folder. If it names another, it is looked up by itself. */
static bool is_in_folder(const DirectoryReader *reader, const Span *folder_id)
{
    return folder_id->data && reader->directory.folder_id &&
           folder_id->size == reader->folder_id_size &&
           memcmp(folder_id->data, reader->directory.folder_id, folder_id->size) == 0;
}

static void find_stamp(DirectoryReader *reader, const Span *folder_id, StoreEntry *entry)
{
    const StateKnown *known;
    StateFile file;
    RowId id;

    row_id_parse(&id, entry->id, strlen(entry->id));
    if (id.is_uuid && is_in_folder(reader, folder_id)) {
        known = find_known(&reader->store->known, id.bytes);
        entry->has_stamp = known != NULL;
        if (known)
            entry->stamp = known->stamp;
        return;
    }
    entry->has_stamp = state_read_file(&reader->store->state, entry->folder_id, entry->id, &file);
    if (entry->has_stamp)
        entry->stamp = file.stamp;
}

/* ---- media ---- */

static bool is_number(sqlite3_stmt *s, int column)
{
    int type = sqlite3_column_type(s, column);

    return type == SQLITE_INTEGER || type == SQLITE_FLOAT;
}

/* What the row itself says of the file. metadata is any text. */
static int read_size(Store *store, const Span *metadata, StoreEntry *entry)
{
    CLEANUP_STATEMENT sqlite3_stmt *s = NULL;
    int code;

    entry->size = UINT64_MAX;
    entry->mtime = INT64_MIN;
    if (!metadata->data)
        return SQLITE_OK;
    code = database_prepare(&store->database,
                            "SELECT json_extract(?1, '$.file_size'),"
                            " json_extract(?1, '$.file_mtime') WHERE json_valid(?1)",
                            &s);
    if (code != SQLITE_OK)
        return code;
    statement_bind_bytes(s, 1, metadata->data, metadata->size);
    code = sqlite3_step(s);
    if (code != SQLITE_ROW)
        return code == SQLITE_DONE ? SQLITE_OK : code;
    if (is_number(s, 0) && sqlite3_column_int64(s, 0) >= 0)
        entry->size = (uint64_t)sqlite3_column_int64(s, 0);
    if (is_number(s, 1))
        entry->mtime = sqlite3_column_int64(s, 1);
    return SQLITE_OK;
}

static bool has_thumbnail(Store *store, const Span *path)
{
    char terminated[PATH_MAX];

    if (!path->data || path->size == 0 || path->size >= sizeof(terminated))
        return false;
    memcpy(terminated, path->data, path->size);
    terminated[path->size] = '\0';
    return thumbnail_set_has(&store->thumbnails, terminated, path->size);
}

/* Columns: path, id, folder_id, thumbnailPath, metadata. A row whose id is no text is passed over.
 */
static int add_entry(DirectoryReader *reader, SchemaTable table, const Scan *scan)
{
    StoreDirectory *directory = &reader->directory;
    Span id = take_span(scan->statement, 1), folder_id = take_span(scan->statement, 2);
    Span thumbnail = take_span(scan->statement, 3), metadata = take_span(scan->statement, 4);
    StoreEntry *entry;

    if (!id.data)
        return SQLITE_OK;
    if (ARRAY_RESERVE(directory->entries, reader->entries_capacity, directory->n_entries + 1))
        return SQLITE_NOMEM;
    entry = &directory->entries[directory->n_entries++];
    *entry = (StoreEntry){.kind = schema_kind(table),
                          .name = arena_string(&directory->strings, scan->name, scan->name_size),
                          .id = arena_string(&directory->strings, id.data, id.size),
                          .has_thumbnail = has_thumbnail(reader->store, &thumbnail)};
    if (is_in_folder(reader, &folder_id))
        entry->folder_id = directory->folder_id;
    else if (folder_id.data)
        entry->folder_id = arena_string(&directory->strings, folder_id.data, folder_id.size);
    if (!entry->name || !entry->id || (folder_id.data && !entry->folder_id))
        return SQLITE_NOMEM;
    find_stamp(reader, &folder_id, entry);
    if (!entry->has_stamp)
        return read_size(reader->store, &metadata, entry);
    entry->size = entry->stamp.size;
    entry->mtime = file_stamp_seconds(&entry->stamp);
    return SQLITE_OK;
}

#define MEDIA_SQL(table)                                                                           \
    "SELECT path, id, folder_id, thumbnailPath, metadata FROM " table                              \
    " WHERE path >= ?1 ORDER BY path"
static const char *const media_sql[] = SCHEMA_BOTH(MEDIA_SQL);

static int read_media(DirectoryReader *reader, SchemaTable table)
{
    Store *store = reader->store;
    Scan *scan = &store->media_scan[table];
    int code =
        scan_open(scan, &store->database, (ScanSource){.sql = media_sql[table]}, reader->path);

    if (code != SQLITE_OK)
        return reader_fail(reader, code);
    while ((code = scan_next(scan)) == SQLITE_ROW) {
        int r;

        if (!scan->deeper)
            code = add_entry(reader, table, scan);
        else
            code = add_child(reader, scan) ? SQLITE_NOMEM : SQLITE_OK;
        if (code != SQLITE_OK)
            return reader_fail(reader, code);
        r = reader_pause(reader);
        if (r)
            return r;
    }
    return code == SQLITE_DONE ? 0 : reader_fail(reader, code);
}

/* ---- folders ---- */

static const ScanSource folder_source = {
    .sql = "SELECT folder_path, folder_id, last_modified_time FROM folders WHERE folder_path >= ?1"
           " ORDER BY folder_path"};

static int read_folder(DirectoryReader *reader)
{
    StoreDirectory *directory = &reader->directory;
    Store *store = reader->store;
    Scan *scan = &store->folder_scan;
    int code = scan_find(scan, &store->database, folder_source, reader->path);
    StateFolder folder;
    Span id;

    if (code != SQLITE_ROW)
        return code == SQLITE_DONE ? 0 : reader_fail(reader, code);
    id = take_span(scan->statement, 1);
    if (!id.data)
        return 0;
    directory->folder_id = strndup(id.data, id.size);
    if (!directory->folder_id)
        return error_trace(-ENOMEM);
    reader->folder_id_size = id.size;
    directory->folder_mtime = sqlite3_column_int64(scan->statement, 2);
    state_read_folder(&store->state, directory->folder_id, &folder);
    directory->has_volume = folder.has_volume;
    directory->volume = folder.volume;
    directory->ino = folder.ino;
    directory->born = folder.born;
    return read_known(reader, &folder);
}

static int read_children(DirectoryReader *reader)
{
    Store *store = reader->store;
    Scan *scan = &store->folder_scan;
    int code = scan_open(scan, &store->database, folder_source, reader->path);

    if (code != SQLITE_OK)
        return reader_fail(reader, code);
    while ((code = scan_next(scan)) == SQLITE_ROW) {
        int r = add_child(reader, scan);

        if (!r)
            r = reader_pause(reader);
        if (r)
            return r;
    }
    return code == SQLITE_DONE ? 0 : reader_fail(reader, code);
}

/* ---- problems ---- */

static const ScanSource problem_source = {
    .sql = "SELECT path, reason, dev, ino, size, mtime_ns FROM problems WHERE path >= ?1"
           " ORDER BY path",
    .blob = true};

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
        .path = strndup(scan->row, scan->row_size),
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
    Store *store = reader->store;
    Scan *scan = &store->problem_scan;
    int code = scan_open(scan, &store->state.database, problem_source, reader->path);

    if (code == SQLITE_OK)
        while ((code = scan_next(scan)) == SQLITE_ROW) {
            int r = scan->deeper ? 0 : add_problem(reader, scan);

            if (!r)
                r = reader_pause(reader);
            if (r)
                return r;
        }
    (void)state_check(&store->state, code);
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

/* Each table's rows come in order; only the two together may not be. */
static void sort_entries(StoreDirectory *directory)
{
    StoreEntry *entries = directory->entries;

    for (size_t i = 1; i < directory->n_entries; i++)
        if (strcmp(entries[i - 1].name, entries[i].name) > 0) {
            qsort(entries, directory->n_entries, sizeof(*entries), compare_entries);
            return;
        }
}

/* A child is found once for each table, and for its row beside what is below it. */
static void sort_children(StoreDirectory *directory)
{
    size_t n = 0;

    if (directory->n_children == 0)
        return;
    qsort(directory->children, directory->n_children, sizeof(char *), compare_names);
    for (size_t i = 0; i < directory->n_children; i++)
        if (n == 0 || strcmp(directory->children[n - 1], directory->children[i]) != 0)
            directory->children[n++] = directory->children[i];
    directory->n_children = n;
}

static int directory_read(DirectoryReader *reader)
{
    const Schema *schema = &reader->store->schema;
    int r = read_folder(reader);

    reader->directory.no_videos = !schema->media[SCHEMA_VIDEOS].present;
    for (SchemaTable t = 0; t < SCHEMA_N_MEDIA && !r; t++)
        if (schema->media[t].present)
            r = read_media(reader, t);
    if (!r)
        r = read_children(reader);
    if (!r)
        r = read_problems(reader);
    if (r)
        return r;
    sort_entries(&reader->directory);
    sort_children(&reader->directory);
    return 0;
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
    store->known.count = 0;
    r = directory_read(&reader);
    store_leave(store, own);
    if (r) {
        store_directory_done(&reader.directory);
        return r;
    }
    *ret_directory = reader.directory;
    return 0;
}
