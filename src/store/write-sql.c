/* Running statements within an operation, and telling whose fault an error is. */

#include <errno.h>
#include <stdarg.h>

#include "store/write.h"
#include "util/clock.h"
#include "util/error.h"

/*
 * write_check() - an SQLite result code as one of the writer's classes
 *
 * A constraint or a trigger concerns the operation alone. Everything else (a full disk, an I/O
 * error, a damaged file) ends the transaction.
 */
int write_check(Writer *w, int code)
{
    switch (code & 0xff) {
    case SQLITE_OK:
    case SQLITE_ROW:
    case SQLITE_DONE:
        return 0;
    case SQLITE_NOMEM:
        return error_trace(-ENOMEM);
    case SQLITE_CONSTRAINT:
    case SQLITE_ERROR:
    case SQLITE_MISMATCH:
    case SQLITE_TOOBIG:
    case SQLITE_AUTH:
        return write_fail(w, "%s", sqlite3_errmsg(w->store->database.handle));
    default:
        w->code = code;
        return WRITE_E_DATABASE;
    }
}

/* write_fail() - WRITE_E_FAILED, with the reason for people */
int write_fail(Writer *w, const char *format, ...)
{
    char reason[512];
    va_list args;

    va_start(args, format);
    (void)vsnprintf(reason, sizeof(reason), format, args);
    va_end(args);
    text_clear(&w->reason);
    text_append(&w->reason, reason);
    return WRITE_E_FAILED;
}

static void write_bind(sqlite3_stmt *s, const char *types, va_list args)
{
    for (int i = 1; *types; i++, types++) {
        if (*types == 's')
            statement_bind_text(s, i, va_arg(args, const char *));
        else if (*types == 'i')
            (void)sqlite3_bind_int64(s, i, va_arg(args, int64_t));
        else if (*types == 'd')
            (void)sqlite3_bind_double(s, i, va_arg(args, double));
        else
            (void)sqlite3_bind_null(s, i);
    }
}

/* write_sql() - runs a statement to its end */
int write_sql(Writer *w, const char *sql, const char *types, ...)
{
    CLEANUP_STATEMENT sqlite3_stmt *s = NULL;
    int r = write_check(w, database_prepare(&w->store->database, sql, &s));
    va_list args;

    if (r)
        return r;
    va_start(args, types);
    write_bind(s, types, args);
    va_end(args);
    return write_check(w, statement_run(s));
}

/*
 * write_query() - runs a statement up to its first row
 * @ret_statement: at that row; NULL when there is none. The caller releases it (CLEANUP_STATEMENT).
 */
int write_query(Writer *w, sqlite3_stmt **ret_statement, const char *sql, const char *types, ...)
{
    CLEANUP_STATEMENT sqlite3_stmt *s = NULL;
    int r = write_check(w, database_prepare(&w->store->database, sql, &s));
    va_list args;
    int code;

    if (r)
        return r;
    va_start(args, types);
    write_bind(s, types, args);
    va_end(args);
    code = sqlite3_step(s);
    *ret_statement = code == SQLITE_ROW ? STEAL_PTR(s) : NULL;
    return write_check(w, code);
}

/* write_time_is_up() - has the write lock been held for us microseconds? */
bool write_time_is_up(const Writer *w, uint64_t us)
{
    return clock_now() - w->store->write_since >= us;
}
