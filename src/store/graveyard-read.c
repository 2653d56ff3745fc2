/*
 * Reading a row with all that hangs on it, many rows at a time.
 *
 * Outside of the write lock: in read transactions that let others in after a few milliseconds. What
 * was read holds only as long as nobody else commits, which PRAGMA data_version tells. A table that
 * no index leads into is read in windows of rowids, so that a large one keeps nobody waiting.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "store/core.h"
#include "store/grave.h"
#include "util/array.h"
#include "util/clock.h"
#include "util/error.h"
#include "util/log.h"

#define READ_US      (15 * CLOCK_US_PER_MS)
#define READ_WAIT_US (100 * CLOCK_US_PER_MS)
#define READ_WINDOW  1024 /* rowids */

#define GRAVE_E_CODE 2 /* *ret_code says what */

/* ---- the read transaction ---- */

/* SQLITE_OK, SQLITE_SCHEMA when another schema is there than the store knows, or another code. */
static int read_versions(GraveRead *read)
{
    Database *database = &read->store->database;
    int64_t schema;
    int code = database_integer(database, "PRAGMA schema_version", &schema);

    if (code == SQLITE_OK && schema != read->store->schema.version)
        return SQLITE_SCHEMA;
    if (code == SQLITE_OK)
        code = database_integer(database, "PRAGMA data_version", &read->version);
    return code;
}

/* grave_read_begin() - begins a read transaction and makes sure of the plan; a result code */
int grave_read_begin(GraveRead *read)
{
    Database *database = &read->store->database;
    int code;

    database_wait_at_most(database, READ_WAIT_US);
    code = database_run(database, "BEGIN");
    if (code != SQLITE_OK)
        return code;
    read->since = clock_now();
    store_step(read->store, STORE_STEP_READ); /* no lock is held yet */
    code = read_versions(read);
    if (code == SQLITE_OK)
        code = grave_plan(read->store, &read->plan);
    if (code != SQLITE_OK)
        grave_read_end(read);
    return code;
}

/* grave_read_end() - ends it */
void grave_read_end(GraveRead *read)
{
    StoreCounters *counters = &read->store->counters;
    uint64_t us = clock_now() - read->since;

    (void)database_run(&read->store->database, "ROLLBACK");
    if (us > counters->read_us_max)
        counters->read_us_max = us;
}

/* Lets others in when it is time. */
static int read_pause(GraveRead *read, int *ret_code)
{
    int64_t version = read->version;

    if (read->in_lock || clock_now() - read->since < READ_US)
        return 0;
    grave_read_end(read);
    *ret_code = grave_read_begin(read);
    if (*ret_code != SQLITE_OK)
        return GRAVE_E_CODE;
    return read->version == version ? 0 : GRAVE_READ_E_AGAIN;
}

/* ---- rows ---- */

/* grave_free() - accepts NULL and returns NULL */
Grave *grave_free(Grave *grave)
{
    if (!grave)
        return NULL;
    text_done(&grave->content);
    free(grave->rows);
    free(grave->id);
    free(grave->path);
    free(grave);
    return NULL;
}

static Grave *read_find(const GraveRead *read, const char *id)
{
    for (HashNode *node = hash_first(read->graves, grave_hash(id)); node; node = hash_next(node)) {
        Grave *grave = (Grave *)(void *)node;

        if (strcmp(grave->id, id) == 0)
            return grave;
    }
    return NULL;
}

static void take_row(const GraveRead *read, Grave *grave, size_t block, const Text *header,
                     sqlite3_stmt *s, int first)
{
    if (read->only_ids)
        return;
    if (grave->block != block) {
        if (grave->block != SIZE_MAX)
            grave_put_end(&grave->content);
        text_append_bytes(&grave->content, header->data, header->length);
        grave->block = block;
    }
    grave_put_row(&grave->content, s, first);
}

static void bind_roots(sqlite3_stmt *s, Grave *const *graves, size_t n)
{
    for (size_t i = 0; i < n; i++)
        statement_bind_text(s, (int)i + 1, graves[i]->id);
}

/* The row itself begins the content; path and file come with it. */
static int take_root(GraveRead *read, Grave *grave, sqlite3_stmt *s)
{
    const char *path = statement_text(s, 1);

    if (!path || grave->content.length > 0)
        return 0;
    free(grave->path);
    grave->path = strdup(path);
    if (!grave->path)
        return error_trace(-ENOMEM);
    grave->known =
        state_read_file(&read->store->state, statement_text(s, 2), grave->id, &grave->file);
    grave_put_begin(&grave->content);
    grave->block = SIZE_MAX;
    take_row(read, grave, SIZE_MAX - 1, &read->plan->root_header[grave->table], s, 3);
    return 0;
}

static int read_roots(GraveRead *read, Grave **graves, size_t n, int *ret_code)
{
    char *const *sql = read->plan->root_sql[graves[0]->table];
    CLEANUP_STATEMENT sqlite3_stmt *s = NULL;
    int code;

    if (!sql[0])
        return 0;
    code = database_prepare(&read->store->database, sql[n > 1], &s);
    if (code == SQLITE_OK)
        bind_roots(s, graves, n);
    while (code == SQLITE_OK && (code = sqlite3_step(s)) == SQLITE_ROW) {
        const char *id = statement_text(s, 0);
        Grave *grave = id ? read_find(read, id) : NULL;
        int r = grave ? take_root(read, grave, s) : 0;

        if (r)
            return r;
        code = SQLITE_OK;
    }
    *ret_code = code;
    return code == SQLITE_DONE ? 0 : GRAVE_E_CODE;
}

/* ---- chains ---- */

static int note_rowid(Grave *grave, size_t chain, int64_t rowid)
{
    if (ARRAY_RESERVE(grave->rows, grave->rows_capacity, grave->n_rows + 1))
        return SQLITE_NOMEM;
    grave->rows[grave->n_rows++] = (GraveRow){.chain = chain, .rowid = rowid};
    return SQLITE_OK;
}

static int take_chain(GraveRead *read, size_t block, sqlite3_stmt *s)
{
    const GraveChain *chain = &read->plan->chains[block];
    const char *id = statement_text(s, 0);
    Grave *grave = id ? read_find(read, id) : NULL;

    if (!grave || grave->content.length == 0)
        return SQLITE_OK;
    take_row(read, grave, block, &chain->header, s, chain->has_rowid ? 2 : 1);
    return chain->has_rowid ? note_rowid(grave, block, sqlite3_column_int64(s, 1)) : SQLITE_OK;
}

/* Takes the rows of a chain; of a table that is scanned, those from first to last. */
static int read_window(GraveRead *read, const GraveChain *chain, Grave **graves, size_t n,
                       int64_t first, int64_t last)
{
    CLEANUP_STATEMENT sqlite3_stmt *s = NULL;
    int code = database_prepare(&read->store->database, chain->sql[n > 1], &s);
    size_t block = (size_t)(chain - read->plan->chains);
    int bounds = n > 1 ? GRAVE_BATCH + 1 : 2;

    if (code != SQLITE_OK)
        return code;
    bind_roots(s, graves, n);
    if (chain->scanned) {
        (void)sqlite3_bind_int64(s, bounds, first);
        (void)sqlite3_bind_int64(s, bounds + 1, last);
    }
    while (code == SQLITE_OK && (code = sqlite3_step(s)) == SQLITE_ROW)
        code = take_chain(read, block, s);
    return code;
}

/* The first rowid at or behind *at; SQLITE_DONE when there is none. */
static int window_begin(GraveRead *read, const GraveChain *chain, int64_t *at)
{
    CLEANUP_STATEMENT sqlite3_stmt *s = NULL;
    char *sql = sqlite3_mprintf("SELECT rowid FROM \"%w\" WHERE rowid >= ?1 ORDER BY rowid LIMIT 1",
                                read->plan->tables[chain->table].name);
    int code = sql ? database_prepare(&read->store->database, sql, &s) : SQLITE_NOMEM;

    sqlite3_free(sql);
    if (code != SQLITE_OK)
        return code;
    (void)sqlite3_bind_int64(s, 1, *at);
    code = sqlite3_step(s);
    if (code == SQLITE_ROW)
        *at = sqlite3_column_int64(s, 0);
    return code;
}

static int read_windows(GraveRead *read, const GraveChain *chain, Grave **graves, size_t n,
                        int *ret_code)
{
    int64_t at = INT64_MIN;

    for (;;) {
        int64_t last;
        int r;

        *ret_code = window_begin(read, chain, &at);
        if (*ret_code != SQLITE_ROW)
            return *ret_code == SQLITE_DONE ? 0 : GRAVE_E_CODE;
        last = at > INT64_MAX - READ_WINDOW ? INT64_MAX : at + READ_WINDOW - 1;
        *ret_code = read_window(read, chain, graves, n, at, last);
        if (*ret_code != SQLITE_DONE)
            return GRAVE_E_CODE;
        if (last == INT64_MAX)
            return 0;
        at = last + 1;
        r = read_pause(read, ret_code);
        if (r)
            return r;
    }
}

static int read_chain(GraveRead *read, size_t i, Grave **graves, size_t n, int *ret_code)
{
    const GraveChain *chain = &read->plan->chains[i];
    int r;

    if (chain->scanned && !read->in_lock)
        r = read_windows(read, chain, graves, n, ret_code);
    else
        r = (*ret_code = read_window(read, chain, graves, n, INT64_MIN, INT64_MAX)) == SQLITE_DONE
                ? 0
                : GRAVE_E_CODE;
    /* A table that cannot be read (a collation that only its maker knows) is no reason to keep
     * nothing of the others, or to let the photo's row stay. */
    if (r == GRAVE_E_CODE && (*ret_code & 0xff) == SQLITE_ERROR) {
        log_warning("What table \"%s\" holds of deleted photos cannot be kept: %s, continuing",
                    read->plan->tables[chain->table].name,
                    sqlite3_errmsg(read->store->database.handle));
        read->store->grave_plan->chains[i].broken = true;
        read->store->grave_plan->direct[chain->root] = false;
        r = 0;
    }
    return r ? r : read_pause(read, ret_code);
}

/*
 * grave_read_rows() - reads the rows of graves, all of one table, into their contents
 * @graves: at most GRAVE_BATCH. One whose row is not there keeps an empty content
 *
 * Returns 0; GRAVE_READ_E_AGAIN when somebody wrote meanwhile, so that what was read may not fit
 * together; another positive number when *ret_code says what failed; -ENOMEM.
 */
int grave_read_rows(GraveRead *read, Grave **graves, size_t n, int *ret_code)
{
    SchemaTable root = graves[0]->table;
    int r = read_roots(read, graves, n, ret_code);

    for (size_t i = 0; i < read->plan->n_chains && !r; i++)
        if (read->plan->chains[i].root == root && !read->plan->chains[i].broken)
            r = read_chain(read, i, graves, n, ret_code);
    for (size_t i = 0; i < n && !r; i++) {
        if (graves[i]->content.length > 0)
            grave_put_end(&graves[i]->content);
        graves[i]->size = graves[i]->content.length;
        if (graves[i]->content.failed)
            r = error_trace(-ENOMEM);
    }
    return r;
}
