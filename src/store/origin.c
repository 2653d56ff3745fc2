/*
 * Origins
 *
 * A directory that was renamed while nobody looked stands at a path that no row knows, or in the
 * place of another one. The state database knows which directory each folder's row was made from,
 * by file system, inode and birth; so the row of such a directory can be found, and all rows below
 * it follow in one go, instead of each photo by itself.
 *
 * Inode numbers are used again, and not every file system tells when a directory was made. So what
 * is found here is a suspicion; a few of the photos below come with it, by which it can be proven
 * that the directory is what the rows say.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "store/core.h"
#include "util/error.h"
#include "util/path.h"

#define FEW     4 /* samples of each kind */
#define SQL_FEW "4"

typedef struct OriginReader {
    Store *store;
    StoreOrigin *origin;
    char *first, *end; /* the range of paths below it */
} OriginReader;

/* store_origin_done() - frees the contents; empty afterwards */
void store_origin_done(StoreOrigin *origin)
{
    free(origin->path);
    for (size_t i = 0; i < origin->n_samples; i++)
        free(origin->samples[i].below);
    *origin = (StoreOrigin){0};
}

/* ---- photos that tell ---- */

/* Columns: path, id, folder_id. Those of files that are not known, or stand elsewhere, are none. */
static int take_sample(const OriginReader *reader, sqlite3_stmt *s)
{
    StoreOrigin *origin = reader->origin;
    const char *path = statement_text(s, 0), *id = statement_text(s, 1);
    StateFile file;
    char *below;

    if (!path || !id || origin->n_samples == STORE_SAMPLES_MAX ||
        !path_is_below(path, origin->path))
        return SQLITE_OK;
    if (!state_read_file(&reader->store->state, statement_text(s, 2), id, &file))
        return SQLITE_OK;
    below = strdup(path + strlen(reader->first));
    if (!below)
        return SQLITE_NOMEM;
    origin->samples[origin->n_samples++] = (StoreSample){.below = below, .stamp = file.stamp};
    return SQLITE_OK;
}

/* Samples from all rows that a bound statement finds, which are a few. */
static int take_samples(const OriginReader *reader, sqlite3_stmt *s)
{
    int code;

    while ((code = sqlite3_step(s)) == SQLITE_ROW) {
        reader->origin->has_media = true;
        code = take_sample(reader, s);
        if (code != SQLITE_OK)
            return code;
    }
    return code == SQLITE_DONE ? SQLITE_OK : code;
}

#define BELOW_SQL(table, order)                                                                    \
    "SELECT path, id, folder_id FROM " table " WHERE path >= ?1 AND path < ?2"                     \
    " ORDER BY path " order " LIMIT " SQL_FEW
#define FIRST_SQL(table) BELOW_SQL(table, "ASC")
#define LAST_SQL(table)  BELOW_SQL(table, "DESC")
#define BY_ID_SQL(table) "SELECT path, id, folder_id FROM " table " WHERE id = ?1"
static const char *const first_sql[] = SCHEMA_BOTH(FIRST_SQL);
static const char *const last_sql[] = SCHEMA_BOTH(LAST_SQL);
static const char *const by_id_sql[] = SCHEMA_BOTH(BY_ID_SQL);

static int sample_range(const OriginReader *reader, const char *sql)
{
    CLEANUP_STATEMENT sqlite3_stmt *s = NULL;
    int code = database_prepare(&reader->store->database, sql, &s);

    if (code != SQLITE_OK)
        return code;
    statement_bind_text(s, 1, reader->first);
    statement_bind_text(s, 2, reader->end);
    return take_samples(reader, s);
}

static int sample_id(const OriginReader *reader, SchemaTable table, const uint8_t *bytes)
{
    CLEANUP_STATEMENT sqlite3_stmt *s = NULL;
    char id[UUID_TEXT_SIZE];
    int code = database_prepare(&reader->store->database, by_id_sql[table], &s);

    if (code != SQLITE_OK)
        return code;
    row_id_format(bytes, id);
    statement_bind_text(s, 1, id);
    return take_samples(reader, s);
}

/* Those directly in it first: what is deeper may have been moved away by itself. */
static int sample_inside(const OriginReader *reader, const StateFolder *folder)
{
    Store *store = reader->store;
    bool more;
    int code = SQLITE_OK;

    store->known.count = 0;
    if (state_read_known(&store->state, folder, FEW, &store->known, &more))
        return SQLITE_NOMEM;
    for (size_t i = 0; i < store->known.count; i++)
        for (SchemaTable t = 0; t < SCHEMA_N_MEDIA && code == SQLITE_OK; t++)
            if (store->schema.media[t].present)
                code = sample_id(reader, t, store->known.items[i].id);
    return code;
}

static int sample_all(const OriginReader *reader, const StateFolder *folder)
{
    int code = sample_inside(reader, folder);

    for (SchemaTable t = 0; t < SCHEMA_N_MEDIA && code == SQLITE_OK; t++) {
        if (!reader->store->schema.media[t].present)
            continue;
        code = sample_range(reader, first_sql[t]);
        if (code == SQLITE_OK)
            code = sample_range(reader, last_sql[t]);
    }
    return code;
}

/* ---- the row ---- */

static bool is_apart(const char *a, const char *b)
{
    return !path_is_within(a, b) && !path_is_below(b, a);
}

/* The path of a folder's row; *ret_path stays NULL when there is no row, or it is related to path:
 * a directory cannot go into itself, nor take the place of one that it was in. */
static int read_path(Store *store, const char *id, const char *path, char **ret_path)
{
    CLEANUP_STATEMENT sqlite3_stmt *s = NULL;
    const char *at;
    int code = database_prepare(&store->database,
                                "SELECT folder_path FROM folders WHERE folder_id = ?1", &s);

    if (code != SQLITE_OK)
        return code;
    statement_bind_text(s, 1, id);
    code = sqlite3_step(s);
    if (code != SQLITE_ROW)
        return code == SQLITE_DONE ? SQLITE_OK : code;
    at = statement_text(s, 0);
    if (at && at[0] == '/' && is_apart(at, path)) {
        *ret_path = strdup(at);
        return *ret_path ? SQLITE_OK : SQLITE_NOMEM;
    }
    return SQLITE_OK;
}

static int read_origin(Store *store, const char *path, const StateFolder *wanted, const char *id,
                       StoreOrigin *origin)
{
    OriginReader reader = {.store = store, .origin = origin};
    StateFolder folder;
    int code = read_path(store, id, path, &origin->path);

    if (code != SQLITE_OK || !origin->path)
        return code;
    if (path_range(origin->path, &reader.first, &reader.end))
        return SQLITE_NOMEM;
    state_read_folder(&store->state, id, &folder);
    origin->is_born = folder.born != 0 && folder.born == wanted->born;
    code = sample_all(&reader, &folder);
    free(reader.first);
    free(reader.end);
    return code;
}

static int find_origin(Store *store, const char *path, const StateFolder *wanted,
                       StoreOrigin *origin)
{
    CLEANUP(string_list_done) StringList ids = {0};
    int code = SQLITE_OK;

    if (state_read_directory(&store->state, wanted, &ids))
        return SQLITE_NOMEM;
    for (size_t i = 0; i < ids.count && !origin->path && code == SQLITE_OK; i++)
        code = read_origin(store, path, wanted, ids.items[i], origin);
    return code;
}

/*
 * store_read_origin() - the row that the directory at path belongs to, by its inode
 * @volume, @ino, @born: what is at path now; born: ns since 1970, 0: not known
 * @ret_origin: its path is NULL when there is none; store_origin_done() frees it
 *
 * 0, STORE_E_… or -ENOMEM.
 */
int store_read_origin(Store *store, const char *path, uint64_t volume, uint64_t ino, int64_t born,
                      StoreOrigin *ret_origin)
{
    StateFolder wanted = {.volume = volume, .ino = ino, .born = born};
    StoreOrigin origin = {0};
    bool own;
    int code;
    int r = store_enter(store, &own);

    if (r)
        return r;
    code = find_origin(store, path, &wanted, &origin);
    if (code != SQLITE_OK)
        r = store_fail(store, code, "cannot read the folders");
    store_leave(store, own);
    if (r) {
        store_origin_done(&origin);
        return r;
    }
    *ret_origin = origin;
    return 0;
}
