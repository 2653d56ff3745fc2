#pragma once
/*
 * One SQLite connection: prepared statements kept by their text, a bounded wait for locks, and the
 * few ways in which this layer binds and reads values. Functions return SQLite's result codes.
 */

#include <sqlite3.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "util/cleanup.h"
#include "util/hash.h"

typedef struct Database {
    sqlite3 *handle;        /* NULL: closed */
    HashTable statements;   /* DatabaseStatement.node */
    uint64_t busy_deadline; /* clock_now(): how long a lock is waited for */
} Database;

int database_open(Database *database, const char *path, int flags);
void database_close(Database *database);
void database_forget_statements(Database *database); /* none may be in use */
void database_wait_at_most(Database *database, uint64_t us);

int database_prepare(Database *database, const char *sql, sqlite3_stmt **ret_statement);
int database_run(Database *database, const char *sql); /* one statement, its rows dropped */
int database_integer(Database *database, const char *sql, int64_t *ret_value);

/* The cleanup attribute of a statement that came from database_prepare(). */
void statement_release_p(sqlite3_stmt **statement);
#define CLEANUP_STATEMENT CLEANUP(statement_release_p)

/* Bound values are borrowed until the statement is released. NULL binds NULL. */
void statement_bind_text(sqlite3_stmt *statement, int index, const char *text);
void statement_bind_bytes(sqlite3_stmt *statement, int index, const char *text, size_t size);
void statement_bind_blob(sqlite3_stmt *statement, int index, const char *bytes);
int statement_run(sqlite3_stmt *statement); /* steps to the end, then resets: SQLITE_OK or a code */

/* The text of a column; NULL for NULL, a BLOB, and text with a zero byte in it. Borrowed until the
 * next step. */
const char *statement_text(sqlite3_stmt *statement, int column);
bool statement_true(sqlite3_stmt *statement, int column); /* a number other than 0 */
