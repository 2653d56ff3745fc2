/*
 * One row on its way back into a table that may have changed since.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "store/write.h"
#include "util/error.h"

/* revived_done() - frees the arrays */
void revived_done(Revived *row)
{
    free(row->columns);
    free(row->values);
    *row = (Revived){0};
}

/* revived_init() - an empty row with room for n columns. 0 or -ENOMEM */
int revived_init(Revived *row, const GraveTable *table, size_t n)
{
    *row = (Revived){.table = table};
    row->columns = calloc(n + 1, sizeof(*row->columns));
    row->values = calloc(n + 1, sizeof(*row->values));
    return row->columns && row->values ? 0 : error_trace(-ENOMEM);
}

/* revived_find() - where in the row the column is; SIZE_MAX = it has none of that name */
size_t revived_find(const Revived *row, const char *column)
{
    for (size_t i = 0; i < row->n; i++)
        if (strcasecmp(row->columns[i], column) == 0)
            return i;
    return SIZE_MAX;
}

static void revived_drop(Revived *row, size_t i)
{
    row->n--;
    memmove(&row->columns[i], &row->columns[i + 1], (row->n - i) * sizeof(*row->columns));
    memmove(&row->values[i], &row->values[i + 1], (row->n - i) * sizeof(*row->values));
}

/* revived_set() - sets a column that the table has; others are left out */
void revived_set(Revived *row, const char *column, GraveValue value)
{
    size_t i = revived_find(row, column), there = grave_column(row->table, column);

    if (there == SIZE_MAX)
        return;
    if (i == SIZE_MAX) {
        i = row->n++;
        row->columns[i] = row->table->columns[there].name;
    }
    row->values[i] = value;
}

/* revived_run() - runs a statement with these values as ?1, ?2, … */
int revived_run(Writer *w, const Text *sql, const GraveValue *values, size_t n)
{
    CLEANUP_STATEMENT sqlite3_stmt *s = NULL;
    int r;

    if (sql->failed)
        return error_trace(-ENOMEM);
    r = write_check(w, database_prepare(&w->store->database, sql->data, &s));
    for (size_t i = 0; i < n && !r; i++)
        grave_bind(s, (int)i + 1, &values[i]);
    return r ? r : write_check(w, statement_run(s));
}

/* A row that is there already stays as it is: never REPLACE, which would take along what hangs on
 * it. */
static int insert(Writer *w, const Revived *row, bool *ret_done)
{
    CLEANUP(text_done) Text sql = {0};
    int r;

    grave_put_name(&sql, "INSERT OR IGNORE INTO ", row->table->name, " ");
    for (size_t i = 0; i < row->n; i++)
        grave_put_name(&sql, i ? ", " : "(", row->columns[i], "");
    for (size_t i = 0; i < row->n; i++)
        text_append(&sql, i ? ", ?" : ") VALUES (?");
    text_append(&sql, ")");
    r = revived_run(w, &sql, row->values, row->n);
    *ret_done = !r && sqlite3_changes(w->store->database.handle) > 0;
    return r;
}

/* ---- parents ---- */

/* What a row refers to by this key, when all columns of the key are there and none is NULL. */
static bool key_values(const Revived *row, const GraveKey *key, GraveValue *values)
{
    if (key->unusable)
        return false;
    for (size_t i = 0; i < key->n; i++) {
        size_t at = revived_find(row, key->from[i]);

        if (at == SIZE_MAX || row->values[at].type == SQLITE_NULL)
            return false;
        values[i] = row->values[at];
    }
    return key->n > 0;
}

static int parent_is_there(Writer *w, const GraveKey *key, const GraveValue *values, bool *ret)
{
    CLEANUP_STATEMENT sqlite3_stmt *s = NULL;
    CLEANUP(text_done) Text sql = {0};
    int code, r;

    grave_put_name(&sql, "SELECT 1 FROM ", key->parent, "");
    for (size_t i = 0; i < key->n; i++)
        grave_put_name(&sql, i ? " AND " : " WHERE ", key->to[i], " = ?");
    if (sql.failed)
        return error_trace(-ENOMEM);
    r = write_check(w, database_prepare(&w->store->database, sql.data, &s));
    if (r)
        return r;
    for (size_t i = 0; i < key->n; i++)
        grave_bind(s, (int)i + 1, &values[i]);
    code = sqlite3_step(s);
    *ret = code == SQLITE_ROW;
    return write_check(w, code);
}

/* The parent is gone: a row that would have gone with it does not come back, another one forgets
 * it if it can. */
static bool key_give_up(Revived *row, const GraveKey *key)
{
    if (key->action == GRAVE_ACTION_CASCADE)
        return false;
    for (size_t i = 0; i < key->n; i++)
        if (row->table->columns[grave_column(row->table, key->from[i])].not_null)
            return false;
    for (size_t i = 0; i < key->n; i++)
        row->values[revived_find(row, key->from[i])] = (GraveValue){.type = SQLITE_NULL};
    return true;
}

/*
 * revived_check_parents() - looks after the row's parents beforehand: a key that is checked only at
 * the commit would make that fail
 * @ret_keep: the row can come back
 */
int revived_check_parents(Writer *w, Revived *row, bool *ret_keep)
{
    *ret_keep = true;
    for (size_t i = 0; i < row->table->n_keys && *ret_keep; i++) {
        const GraveKey *key = &row->table->keys[i];
        GraveValue values[GRAVE_KEY_MAX];
        bool there = true;
        int r = 0;

        if (key->number >= 0 && key_values(row, key, values))
            r = parent_is_there(w, key, values, &there);
        if (r)
            return r;
        if (!there)
            *ret_keep = key_give_up(row, key);
    }
    return 0;
}

/* ---- inserting ---- */

static bool is_referred_to(const GravePlan *plan, const GraveTable *table)
{
    for (size_t t = 0; t < plan->n_tables; t++)
        for (size_t k = 0; k < plan->tables[t].n_keys; k++)
            if (strcasecmp(plan->tables[t].keys[k].parent, table->name) == 0)
                return true;
    return false;
}

/* Is this very row there? Then there is nothing to bring back. */
static int row_is_there(Writer *w, const Revived *row, bool *ret)
{
    CLEANUP_STATEMENT sqlite3_stmt *s = NULL;
    CLEANUP(text_done) Text sql = {0};
    int code, r;

    grave_put_name(&sql, "SELECT 1 FROM ", row->table->name, "");
    for (size_t i = 0; i < row->n; i++)
        grave_put_name(&sql, i ? " AND " : " WHERE ", row->columns[i], " IS ?");
    if (sql.failed)
        return error_trace(-ENOMEM);
    r = write_check(w, database_prepare(&w->store->database, sql.data, &s));
    if (r)
        return r;
    for (size_t i = 0; i < row->n; i++)
        grave_bind(s, (int)i + 1, &row->values[i]);
    code = sqlite3_step(s);
    *ret = code == SQLITE_ROW;
    return write_check(w, code);
}

/* The row's number was given to another one meanwhile (a table without AUTOINCREMENT): it takes a
 * new one, which nobody minds who does not refer to it. */
static int insert_renumbered(Writer *w, const GravePlan *plan, Revived *row, bool *ret_done)
{
    const GraveTable *table = row->table;
    size_t at = table->rowid_column == SIZE_MAX
                    ? SIZE_MAX
                    : revived_find(row, table->columns[table->rowid_column].name);
    bool there = false;
    int r;

    if (at == SIZE_MAX || is_referred_to(plan, table))
        return 0;
    r = row_is_there(w, row, &there);
    if (r || there)
        return r;
    revived_drop(row, at);
    return row->n > 0 ? insert(w, row, ret_done) : 0;
}

/*
 * revived_insert() - inserts the row unless it is there
 * @plan: NULL: never under another number
 */
int revived_insert(Writer *w, const GravePlan *plan, Revived *row, bool *ret_done)
{
    int r = insert(w, row, ret_done);

    return r || *ret_done || !plan ? r : insert_renumbered(w, plan, row, ret_done);
}
