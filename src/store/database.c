/*
 * One SQLite connection.
 *
 * Statements are compiled once and found again by their text, so a caller writes its SQL where it
 * uses it. A statement is taken with database_prepare(), used, and released by the cleanup
 * attribute; nobody takes one that is in use.
 *
 * Waiting for another process's lock is bounded by a deadline that the owner sets before it begins
 * a transaction (sqlite3_busy_handler(3)): SQLite's own busy_timeout counts anew for each call.
 */

#include "store/database.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "util/clock.h"

#define BUSY_SLEEP_NS 2000000L

typedef struct DatabaseStatement {
    HashNode node;
    sqlite3_stmt *handle;
} DatabaseStatement;

static int database_on_busy(void *userdata, int count)
{
    const Database *database = userdata;
    struct timespec pause = {.tv_nsec = BUSY_SLEEP_NS};

    (void)count;
    if (clock_now() >= database->busy_deadline)
        return 0;
    (void)nanosleep(&pause, NULL);
    return 1;
}

/*
 * database_open() - opens a connection
 * @flags: SQLITE_OPEN_…, see sqlite3_open_v2(3)
 *
 * One thread uses a connection, so SQLite's mutexes are off. Returns a result code; the database
 * stays closed when it is not SQLITE_OK.
 */
int database_open(Database *database, const char *path, int flags)
{
    int code = sqlite3_open_v2(path, &database->handle, flags | SQLITE_OPEN_NOMUTEX, NULL);

    if (code == SQLITE_OK) {
        (void)sqlite3_extended_result_codes(database->handle, 1);
        (void)sqlite3_busy_handler(database->handle, database_on_busy, database);
        return SQLITE_OK;
    }
    (void)sqlite3_close(database->handle);
    database->handle = NULL;
    return code;
}

/* database_forget_statements() - finalizes all kept statements, for a schema that has changed */
void database_forget_statements(Database *database)
{
    for (HashNode *node; (node = hash_any(&database->statements));) {
        DatabaseStatement *statement = (DatabaseStatement *)(void *)node;

        hash_remove(&database->statements, node);
        (void)sqlite3_finalize(statement->handle);
        free(statement);
    }
}

/* database_close() - closes the connection; an open transaction is rolled back */
void database_close(Database *database)
{
    database_forget_statements(database);
    hash_done(&database->statements);
    database->statements = (HashTable){0};
    if (database->handle && sqlite3_close(database->handle) != SQLITE_OK)
        (void)sqlite3_close_v2(database->handle);
    database->handle = NULL;
}

/* database_wait_at_most() - from now on a lock is waited for until us microseconds from now */
void database_wait_at_most(Database *database, uint64_t us)
{
    database->busy_deadline = clock_now() + us;
}

static DatabaseStatement *database_find(const Database *database, const char *sql, uint64_t hash)
{
    for (HashNode *node = hash_first(&database->statements, hash); node; node = hash_next(node)) {
        DatabaseStatement *statement = (DatabaseStatement *)(void *)node;

        if (strcmp(sqlite3_sql(statement->handle), sql) == 0)
            return statement;
    }
    return NULL;
}

static int database_compile(Database *database, const char *sql, uint64_t hash,
                            DatabaseStatement **ret_statement)
{
    DatabaseStatement *statement = calloc(1, sizeof(*statement));
    int code;

    if (!statement)
        return SQLITE_NOMEM;
    code = sqlite3_prepare_v3(database->handle, sql, -1, SQLITE_PREPARE_PERSISTENT,
                              &statement->handle, NULL);
    if (code == SQLITE_OK && hash_insert(&database->statements, &statement->node, hash))
        code = SQLITE_NOMEM;
    if (code != SQLITE_OK) {
        (void)sqlite3_finalize(statement->handle);
        free(statement);
        return code;
    }
    *ret_statement = statement;
    return SQLITE_OK;
}

/*
 * database_prepare() - takes the statement of this text, compiled at its first use
 *
 * The caller declares its variable with CLEANUP_STATEMENT. Returns a result code; SQLITE_MISUSE
 * when the database is closed.
 */
int database_prepare(Database *database, const char *sql, sqlite3_stmt **ret_statement)
{
    uint64_t hash = hash_bytes(sql, strlen(sql), 0);
    DatabaseStatement *statement;
    int code;

    if (!database->handle)
        return SQLITE_MISUSE;
    statement = database_find(database, sql, hash);
    if (!statement) {
        code = database_compile(database, sql, hash, &statement);
        if (code != SQLITE_OK)
            return code;
    }
    assert(!sqlite3_stmt_busy(statement->handle));
    *ret_statement = statement->handle;
    return SQLITE_OK;
}

/* statement_release_p() - resets the statement, which ends its locks, and drops its values */
void statement_release_p(sqlite3_stmt **statement)
{
    if (!*statement)
        return;
    (void)sqlite3_reset(*statement);
    (void)sqlite3_clear_bindings(*statement);
}

/* statement_run() - steps to the end and resets: SQLITE_OK or the code of what failed */
int statement_run(sqlite3_stmt *statement)
{
    int code;

    do
        code = sqlite3_step(statement);
    while (code == SQLITE_ROW);
    (void)sqlite3_reset(statement);
    return code == SQLITE_DONE ? SQLITE_OK : code;
}

/* database_run() - runs one statement that has no parameters */
int database_run(Database *database, const char *sql)
{
    CLEANUP_STATEMENT sqlite3_stmt *statement = NULL;
    int code = database_prepare(database, sql, &statement);

    return code == SQLITE_OK ? statement_run(statement) : code;
}

/* database_integer() - the first column of the first row; SQLITE_NOTFOUND when there is no row */
int database_integer(Database *database, const char *sql, int64_t *ret_value)
{
    CLEANUP_STATEMENT sqlite3_stmt *statement = NULL;
    int code = database_prepare(database, sql, &statement);

    if (code != SQLITE_OK)
        return code;
    code = sqlite3_step(statement);
    if (code != SQLITE_ROW)
        return code == SQLITE_DONE ? SQLITE_NOTFOUND : code;
    *ret_value = sqlite3_column_int64(statement, 0);
    return SQLITE_OK;
}

/* statement_bind_text() - binds text, or NULL; borrowed until the statement is released */
void statement_bind_text(sqlite3_stmt *statement, int index, const char *text)
{
    statement_bind_bytes(statement, index, text, text ? strlen(text) : 0);
}

/* statement_bind_bytes() - binds text of a known length */
void statement_bind_bytes(sqlite3_stmt *statement, int index, const char *text, size_t size)
{
    if (text)
        (void)sqlite3_bind_text64(statement, index, text, size, SQLITE_STATIC, SQLITE_UTF8);
    else
        (void)sqlite3_bind_null(statement, index);
}

/* statement_bind_blob() - binds a string's bytes as a BLOB: a path that need not be UTF-8 */
void statement_bind_blob(sqlite3_stmt *statement, int index, const char *bytes)
{
    (void)sqlite3_bind_blob64(statement, index, bytes, strlen(bytes), SQLITE_STATIC);
}

/* statement_text() - a column's text, NULL when it is anything but text without zero bytes */
const char *statement_text(sqlite3_stmt *statement, int column)
{
    const char *text;

    if (sqlite3_column_type(statement, column) != SQLITE_TEXT)
        return NULL;
    text = (const char *)sqlite3_column_text(statement, column);
    if (!text || strlen(text) != (size_t)sqlite3_column_bytes(statement, column))
        return NULL;
    return text;
}

/* statement_true() - a BOOLEAN column: any number but 0 is true, NULL and others are not */
bool statement_true(sqlite3_stmt *statement, int column)
{
    return sqlite3_column_int64(statement, column) != 0;
}
