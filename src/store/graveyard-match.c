/*
 * Which buried row a new file had.
 *
 * One of the same size and content; or one whose content was not known when it was buried, if it
 * stood at the same path with the same size and modification time. Of several the one at the same
 * path comes first, then the one whose path ends alike (the name, then the directory, and so on:
 * trees come back elsewhere), then the latest. While a row of the same content is still there, a
 * new file elsewhere is a copy of that one, and a new row: only a file at the very path of the
 * buried one is that one.
 */

#include <string.h>
#include <time.h>

#include "store/write.h"
#include "util/path.h"

#define CANDIDATES "32"

static int64_t oldest_allowed(const Store *store)
{
    return time(NULL) - (int64_t)store->options.graveyard_days * GRAVE_DAY_S;
}

#define ALIVE_SQL(table) "SELECT 1 FROM " table " WHERE id = ?1"
static const char *const alive_sql[] = SCHEMA_BOTH(ALIVE_SQL);

static int is_alive(Writer *w, SchemaTable table, const char *id, bool *ret)
{
    CLEANUP_STATEMENT sqlite3_stmt *s = NULL;
    int r = write_query(w, &s, alive_sql[table], "s", id);

    *ret = s != NULL;
    return r;
}

/* Keeps the row in hand when it is better than the one kept; of equal ones the latest comes first.
 */
static int consider(Writer *w, SchemaTable table, sqlite3_stmt *s, const char *new_path,
                    GraveMatch *best)
{
    char buffer[UUID_TEXT_SIZE];
    const char *id = row_id_column(s, 1, buffer), *path = statement_text(s, 2);
    int64_t number = sqlite3_column_int64(s, 0);
    size_t rank;
    bool alive;
    int r;

    if (!id || !path || strlen(id) >= sizeof(best->id) || number == w->store->grave_refused)
        return 0;
    rank = path_common_tail(path, new_path);
    if (best->number != 0 && rank <= best->rank)
        return 0;
    r = is_alive(w, table, id, &alive);
    if (r || alive)
        return r;
    *best = (GraveMatch){.number = number, .rank = rank, .same_path = strcmp(path, new_path) == 0};
    (void)stpcpy(best->id, id);
    return 0;
}

/* ?5: the path, ?6: a slash and the name. However many equal ones there are, these are seen. */
#define CANDIDATE_SQL(where)                                                                       \
    "SELECT number, id, path FROM graves WHERE " where " AND kind = ?1 AND buried_at > ?2"         \
    " ORDER BY path = ?5 DESC, substr(path, -length(?6)) = ?6 DESC, number DESC LIMIT " CANDIDATES

static int find_in(Writer *w, sqlite3_stmt *s, SchemaTable table, const char *new_path,
                   GraveMatch *best)
{
    State *state = &w->store->state;
    int code = SQLITE_ROW;
    int r = 0;

    (void)sqlite3_bind_int64(s, 1, table);
    (void)sqlite3_bind_int64(s, 2, oldest_allowed(w->store));
    statement_bind_text(s, 5, new_path);
    statement_bind_text(s, 6, path_name(new_path) - 1);
    while (!r && (code = sqlite3_step(s)) == SQLITE_ROW)
        r = consider(w, table, s, new_path, best);
    (void)state_check(state, code);
    return r;
}

static int find_by_content(Writer *w, SchemaTable table, const StoreOp *op, const char *path,
                           GraveMatch *best)
{
    CLEANUP_STATEMENT sqlite3_stmt *s = NULL;
    State *state = &w->store->state;

    if (!op->has_fingerprint ||
        !state_check(state, database_prepare(&state->database,
                                             CANDIDATE_SQL("fingerprint = ?3 AND size = ?4"), &s)))
        return 0;
    (void)sqlite3_bind_int64(s, 3, (sqlite3_int64)op->fingerprint);
    (void)sqlite3_bind_int64(s, 4, (sqlite3_int64)op->stamp.size);
    return find_in(w, s, table, path, best);
}

/* Its content was never known: the same place, size and time say that it is the same. */
static int find_by_stamp(Writer *w, SchemaTable table, const StoreOp *op, const char *path,
                         GraveMatch *best)
{
    CLEANUP_STATEMENT sqlite3_stmt *s = NULL;
    State *state = &w->store->state;

    if (op->stamp.ino == 0 ||
        !state_check(state, database_prepare(&state->database,
                                             CANDIDATE_SQL("path = ?5 AND fingerprint IS NULL"
                                                           " AND size = ?3 AND mtime_ns = ?4"),
                                             &s)))
        return 0;
    (void)sqlite3_bind_int64(s, 3, (sqlite3_int64)op->stamp.size);
    (void)sqlite3_bind_int64(s, 4, op->stamp.mtime_ns);
    return find_in(w, s, table, path, best);
}

/* Is a row still there whose file has this content? */
static int has_twin(Writer *w, SchemaTable table, const StoreOp *op, bool *ret)
{
    CLEANUP_STATEMENT sqlite3_stmt *s = NULL;
    State *state = &w->store->state;
    char buffer[UUID_TEXT_SIZE];
    int r = 0;

    *ret = false;
    if (!state_check(state, database_prepare(&state->database,
                                             "SELECT id FROM files WHERE fingerprint = ?1"
                                             " AND size = ?2 LIMIT " CANDIDATES,
                                             &s)))
        return 0;
    (void)sqlite3_bind_int64(s, 1, (sqlite3_int64)op->fingerprint);
    (void)sqlite3_bind_int64(s, 2, (sqlite3_int64)op->stamp.size);
    while (!r && !*ret && sqlite3_step(s) == SQLITE_ROW) {
        const char *id = row_id_column(s, 0, buffer);

        if (id)
            r = is_alive(w, table, id, ret);
    }
    return r;
}

/*
 * write_match_grave() - the grave of the row that this new file had
 * @ret_match: its number is 0 when there is none
 */
int write_match_grave(Writer *w, SchemaTable table, const StoreOp *op, GraveMatch *ret_match)
{
    bool twin = false;
    int r = find_by_content(w, table, op, op->path, ret_match);

    if (!r && ret_match->number == 0)
        r = find_by_stamp(w, table, op, op->path, ret_match);
    if (!r && ret_match->number != 0 && !ret_match->same_path)
        r = has_twin(w, table, op, &twin);
    if (twin)
        ret_match->number = 0;
    return r;
}
