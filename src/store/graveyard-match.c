/*
 * Which buried row a new file had.
 *
 * One of the same size and content; or one whose content was not known when it was buried, if it
 * stood at the same path with the same size and modification time. Of several the one at the same
 * path comes first, then one of the same modification time (which trash, tar, rsync and mv keep),
 * then the one whose path ends alike (the name, then the directory, and so on: trees come back
 * elsewhere), then the latest.
 *
 * While a row of the same content is still there, a new file elsewhere is a copy of that one, and a
 * new row; unless its modification time is that of the buried one's file and of no such row's. Only
 * a file at the very path of the buried one is always that one.
 */

#include <string.h>
#include <time.h>

#include "store/write.h"
#include "util/path.h"

#define CANDIDATES "32"
#define SECOND_NS  INT64_C(1000000000)

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

/* Archives keep whole seconds only. */
static bool is_same_time(sqlite3_stmt *s, int column, const StoreOp *op)
{
    int64_t time = sqlite3_column_int64(s, column), now = op->stamp.mtime_ns;

    return op->stamp.ino != 0 && sqlite3_column_type(s, column) == SQLITE_INTEGER &&
           (time == now || time - time % SECOND_NS == now);
}

static size_t rank_of(const char *path, const char *new_path, bool same_time)
{
    if (strcmp(path, new_path) == 0)
        return SIZE_MAX;
    return path_common_tail(path, new_path) + (same_time ? SIZE_MAX / 2 : 0);
}

/* Keeps the row in hand when it is better than the one kept; of equal ones the latest comes first.
 */
static int consider(Writer *w, SchemaTable table, sqlite3_stmt *s, const StoreOp *op,
                    GraveMatch *best)
{
    char buffer[UUID_TEXT_SIZE];
    const char *id = row_id_column(s, 1, buffer), *path = statement_text(s, 2);
    int64_t number = sqlite3_column_int64(s, 0);
    bool same_time = is_same_time(s, 3, op);
    size_t rank;
    bool alive;
    int r;

    if (!id || !path || strlen(id) >= sizeof(best->id) || number == w->store->grave_refused)
        return 0;
    rank = rank_of(path, op->path, same_time);
    if (best->number != 0 && rank <= best->rank)
        return 0;
    r = is_alive(w, table, id, &alive);
    if (r || alive)
        return r;
    *best = (GraveMatch){
        .number = number, .rank = rank, .same_path = rank == SIZE_MAX, .same_time = same_time};
    (void)stpcpy(best->id, id);
    return 0;
}

/* ?5: the path, ?6: a slash and the name. However many equal ones there are, the best are seen. */
#define CANDIDATE_SQL(where)                                                                       \
    "SELECT number, id, path, mtime_ns FROM graves WHERE " where                                   \
    " AND kind = ?1 AND buried_at > ?2 ORDER BY path = ?5 DESC,"                                   \
    " (mtime_ns IN (?4, ?4 + mtime_ns % 1000000000)) DESC,"                                        \
    " substr(path, -length(?6)) = ?6 DESC, number DESC LIMIT " CANDIDATES

static int find_in(Writer *w, sqlite3_stmt *s, SchemaTable table, const StoreOp *op,
                   GraveMatch *best)
{
    State *state = &w->store->state;
    int code = SQLITE_ROW;
    int r = 0;

    (void)sqlite3_bind_int64(s, 1, table);
    (void)sqlite3_bind_int64(s, 2, oldest_allowed(w->store));
    (void)sqlite3_bind_int64(s, 3, (sqlite3_int64)op->stamp.size);
    (void)sqlite3_bind_int64(s, 4, op->stamp.mtime_ns);
    statement_bind_text(s, 5, op->path);
    statement_bind_text(s, 6, path_name(op->path) - 1);
    while (!r && (code = sqlite3_step(s)) == SQLITE_ROW)
        r = consider(w, table, s, op, best);
    (void)state_check(state, code);
    return r;
}

static int find_by_content(Writer *w, SchemaTable table, const StoreOp *op, GraveMatch *best)
{
    CLEANUP_STATEMENT sqlite3_stmt *s = NULL;
    State *state = &w->store->state;

    if (!op->has_fingerprint ||
        !state_check(state, database_prepare(&state->database,
                                             CANDIDATE_SQL("fingerprint = ?7 AND size = ?3"), &s)))
        return 0;
    (void)sqlite3_bind_int64(s, 7, (sqlite3_int64)op->fingerprint);
    return find_in(w, s, table, op, best);
}

/* Its content was never known: the same place, size and time say that it is the same. */
static int find_by_stamp(Writer *w, SchemaTable table, const StoreOp *op, GraveMatch *best)
{
    CLEANUP_STATEMENT sqlite3_stmt *s = NULL;
    State *state = &w->store->state;

    if (op->stamp.ino == 0 ||
        !state_check(state, database_prepare(&state->database,
                                             CANDIDATE_SQL("path = ?5 AND fingerprint IS NULL"
                                                           " AND size = ?3 AND mtime_ns = ?4"),
                                             &s)))
        return 0;
    return find_in(w, s, table, op, best);
}

/* Is a row still there whose file has this content, and this modification time if it matters? */
static int has_twin(Writer *w, SchemaTable table, const StoreOp *op, bool same_time, bool *ret)
{
    CLEANUP_STATEMENT sqlite3_stmt *s = NULL;
    State *state = &w->store->state;
    char buffer[UUID_TEXT_SIZE];
    int r = 0;

    *ret = write_find_added(w, op, same_time) != NULL;
    if (!state_check(state, database_prepare(&state->database,
                                             "SELECT id FROM files WHERE fingerprint = ?1"
                                             " AND size = ?2 AND (?3 IS NULL OR mtime_ns = ?3)"
                                             " LIMIT " CANDIDATES,
                                             &s)))
        return 0;
    (void)sqlite3_bind_int64(s, 1, (sqlite3_int64)op->fingerprint);
    (void)sqlite3_bind_int64(s, 2, (sqlite3_int64)op->stamp.size);
    if (same_time)
        (void)sqlite3_bind_int64(s, 3, op->stamp.mtime_ns);
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
    int r = find_by_content(w, table, op, ret_match);

    if (!r && ret_match->number == 0)
        r = find_by_stamp(w, table, op, ret_match);
    if (!r && ret_match->number != 0 && !ret_match->same_path)
        r = has_twin(w, table, op, ret_match->same_time, &twin);
    if (twin)
        ret_match->number = 0;
    return r;
}
