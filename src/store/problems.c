/*
 * Lists in the state database that are kept by path: files that are skipped, with the reason, and
 * folders that the user took out of the library while they are still on disk.
 */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "store/core.h"
#include "store/json.h"
#include "util/path.h"

/* state_write_problem() - notes why the file at path is skipped, in the state given by stamp */
void state_write_problem(State *state, const char *path, const FileStamp *stamp, const char *reason)
{
    CLEANUP_STATEMENT sqlite3_stmt *s = NULL;
    int code =
        database_prepare(&state->database,
                         "INSERT INTO problems (path, dev, ino, size, mtime_ns, reason, since)"
                         " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT (path) DO UPDATE SET"
                         " dev = excluded.dev, ino = excluded.ino, size = excluded.size,"
                         " mtime_ns = excluded.mtime_ns, reason = excluded.reason",
                         &s);

    if (!state_check(state, code))
        return;
    statement_bind_blob(s, 1, path);
    (void)sqlite3_bind_int64(s, 2, (sqlite3_int64)stamp->dev);
    (void)sqlite3_bind_int64(s, 3, (sqlite3_int64)stamp->ino);
    (void)sqlite3_bind_int64(s, 4, (sqlite3_int64)stamp->size);
    (void)sqlite3_bind_int64(s, 5, stamp->mtime_ns);
    statement_bind_text(s, 6, reason);
    (void)sqlite3_bind_int64(s, 7, time(NULL));
    (void)state_check(state, statement_run(s));
}

/* Runs sql with ?1 = path and the range of all paths below it as ?2 and ?3. */
static void state_run_range(State *state, const char *sql, const char *path, const char *new_path)
{
    CLEANUP_FREE char *first = NULL, *end = NULL;
    CLEANUP_STATEMENT sqlite3_stmt *s = NULL;

    if (path_range(path, &first, &end))
        return;
    if (!state_check(state, database_prepare(&state->database, sql, &s)))
        return;
    statement_bind_blob(s, 1, path);
    statement_bind_blob(s, 2, first);
    statement_bind_blob(s, 3, end);
    if (new_path)
        statement_bind_blob(s, 4, new_path);
    (void)state_check(state, statement_run(s));
}

/* state_clear_problem() - the problem of exactly this path is no more */
void state_clear_problem(State *state, const char *path)
{
    CLEANUP_STATEMENT sqlite3_stmt *s = NULL;
    int code = database_prepare(&state->database, "DELETE FROM problems WHERE path = ?1", &s);

    if (!state_check(state, code))
        return;
    statement_bind_blob(s, 1, path);
    (void)state_check(state, statement_run(s));
}

/* state_clear_problems() - the problem of path and those below it are no more */
void state_clear_problems(State *state, const char *path)
{
    state_run_range(state, "DELETE FROM problems WHERE path = ?1 OR (path >= ?2 AND path < ?3)",
                    path, NULL);
}

static void problems_move(State *state, const char *path, const char *new_path)
{
    state_run_range(state,
                    "UPDATE OR REPLACE problems SET path ="
                    " CAST(?4 || substr(path, length(?1) + 1) AS BLOB)"
                    " WHERE path = ?1 OR (path >= ?2 AND path < ?3)",
                    path, new_path);
}

/*
 * state_move_problems() - directories have moved, all at once: the problems of what is in them move
 * along
 *
 * Two may have been exchanged. So they are put aside first, those of the deepest directory first,
 * under names that no path has.
 */
void state_move_problems(State *state, const PathMove *moves, size_t n_moves)
{
    for (size_t i = n_moves; i-- > 0;) {
        char aside[32];

        (void)snprintf(aside, sizeof(aside), "\n%zu", i);
        problems_move(state, moves[i].from, aside);
    }
    for (size_t i = 0; i < n_moves; i++) {
        char aside[32];

        (void)snprintf(aside, sizeof(aside), "\n%zu", i);
        problems_move(state, aside, moves[i].to);
    }
}

/* ---- GET /problems ---- */

static void problem_append(Text *json, sqlite3_stmt *s, bool first)
{
    CLEANUP(text_done) Text path = {0};
    const char *reason = statement_text(s, 1);

    text_append_bytes(&path, sqlite3_column_blob(s, 0), (size_t)sqlite3_column_bytes(s, 0));
    text_append(json, first ? "{\"path\": " : ", {\"path\": ");
    json_append_string(json, path.data ? path.data : "");
    text_append(json, ", \"reason\": ");
    json_append_string(json, reason ? reason : "");
    text_printf(json, ", \"since\": %lld}", sqlite3_column_int64(s, 2));
}

/*
 * store_problems_json() - the text of the answer to GET /problems
 * @limit: how many problems are listed, in path order; "total" counts all
 *
 * Each has "path" (bytes that are not UTF-8 as \xNN), "reason" and "since", Unix seconds. Returns 0
 * or -ENOMEM; the caller frees the text.
 */
int store_problems_json(Store *store, size_t limit, char **ret_json)
{
    CLEANUP(text_done) Text json = {0};
    CLEANUP_STATEMENT sqlite3_stmt *s = NULL;
    uint64_t total;
    int r = store_problem_count(store, &total);
    int code;

    if (r)
        return r;
    text_printf(&json, "{\"total\": %llu, \"problems\": [", (unsigned long long)total);
    code = database_prepare(&store->state.database,
                            "SELECT path, reason, since FROM problems ORDER BY path LIMIT ?1", &s);
    if (state_check(&store->state, code)) {
        (void)sqlite3_bind_int64(s, 1, limit > INT64_MAX ? INT64_MAX : (sqlite3_int64)limit);
        for (bool first = true; (code = sqlite3_step(s)) == SQLITE_ROW; first = false)
            problem_append(&json, s, first);
        (void)state_check(&store->state, code);
    }
    text_append(&json, "]}");
    return text_steal(&json, ret_json);
}

/* store_problem_count() - how many files are skipped; 0 when the state database cannot tell */
int store_problem_count(Store *store, uint64_t *ret_count)
{
    int64_t count = 0;

    (void)state_ready(&store->state);
    (void)state_check(&store->state, database_integer(&store->state.database,
                                                      "SELECT count(*) FROM problems", &count));
    *ret_count = (uint64_t)count;
    return 0;
}

/* ---- excluded folders ---- */

static void excluded_add(State *state, const char *path)
{
    CLEANUP_STATEMENT sqlite3_stmt *s = NULL;

    if (!state_check(state,
                     database_prepare(&state->database,
                                      "INSERT OR IGNORE INTO excluded (path) VALUES (?1)", &s)))
        return;
    statement_bind_blob(s, 1, path);
    (void)state_check(state, statement_run(s));
}

/* store_exclude() - the user removed this folder in the app: it must not come back by itself */
int store_exclude(Store *store, const char *path)
{
    State *state = &store->state;

    if (store->options.read_only)
        return 0;
    (void)state_ready(state);
    state_write_begin(state);
    excluded_add(state, path);
    state_end(state);
    return 0;
}

/* store_set_excluded() - these are the excluded folders, and no others: directories above them have
 * moved */
int store_set_excluded(Store *store, char *const *paths, size_t n_paths)
{
    State *state = &store->state;

    if (store->options.read_only)
        return 0;
    (void)state_ready(state);
    state_write_begin(state);
    (void)state_check(state, database_run(&state->database, "DELETE FROM excluded"));
    for (size_t i = 0; i < n_paths; i++)
        excluded_add(state, paths[i]);
    state_end(state);
    return 0;
}

/* store_include() - takes the exclusion of path and all below it back */
int store_include(Store *store, const char *path)
{
    if (store->options.read_only)
        return 0;
    (void)state_ready(&store->state);
    state_write_begin(&store->state);
    state_run_range(&store->state,
                    "DELETE FROM excluded WHERE path = ?1 OR (path >= ?2 AND path < ?3)", path,
                    NULL);
    state_end(&store->state);
    return 0;
}

static int excluded_read(State *state, StringList *paths)
{
    CLEANUP_STATEMENT sqlite3_stmt *s = NULL;
    int code = database_prepare(&state->database, "SELECT path FROM excluded ORDER BY path", &s);

    if (!state_check(state, code))
        return 0;
    while ((code = sqlite3_step(s)) == SQLITE_ROW) {
        CLEANUP(text_done) Text path = {0};

        text_append_bytes(&path, sqlite3_column_blob(s, 0), (size_t)sqlite3_column_bytes(s, 0));
        if (path.data && string_list_add(paths, path.data))
            return -ENOMEM;
    }
    (void)state_check(state, code);
    return 0;
}

/*
 * store_read_excluded() - the excluded folders, in path order
 * @ret_paths: an array of strings; the caller frees both. NULL when there are none.
 */
int store_read_excluded(Store *store, char ***ret_paths, size_t *ret_n)
{
    StringList paths = {0};
    int r;

    (void)state_ready(&store->state);
    r = excluded_read(&store->state, &paths);
    if (r) {
        string_list_done(&paths);
        return r;
    }
    *ret_paths = paths.items;
    *ret_n = paths.count;
    return 0;
}
