/*
 * PictoPy's schema, as far as rows can hang on one another: tables with their columns and foreign
 * keys. All tables are looked at, so that those which a later version adds are included.
 */

#include <string.h>
#include <strings.h>

#include "store/core.h"
#include "store/grave.h"
#include "util/array.h"

static bool same_name(const char *a, const char *b)
{
    return strcasecmp(a, b) == 0;
}

/* grave_find_table() - where the table of that name is, SIZE_MAX when there is none (any more) */
size_t grave_find_table(const GravePlan *plan, const char *name)
{
    for (size_t i = 0; i < plan->n_tables; i++)
        if (same_name(plan->tables[i].name, name))
            return i;
    return SIZE_MAX;
}

/* grave_table() - the table of that name, NULL when there is none (any more) */
const GraveTable *grave_table(const GravePlan *plan, const char *name)
{
    size_t i = grave_find_table(plan, name);

    return i == SIZE_MAX ? NULL : &plan->tables[i];
}

/* grave_column() - where the column of that name is, SIZE_MAX when there is none (any more) */
size_t grave_column(const GraveTable *table, const char *name)
{
    for (size_t i = 0; i < table->n_columns; i++)
        if (same_name(table->columns[i].name, name))
            return i;
    return SIZE_MAX;
}

/* A copy of a column of the statement; "" for NULL; NULL when memory ran out. */
static const char *keep(GravePlan *plan, sqlite3_stmt *s, int column)
{
    const char *text = (const char *)sqlite3_column_text(s, column);

    return arena_string(&plan->strings, text ? text : "", text ? strlen(text) : 0);
}

static int take_table(GravePlan *plan, sqlite3_stmt *s)
{
    GraveTable *table;
    const char *name = keep(plan, s, 0);

    if (!name || ARRAY_RESERVE(plan->tables, plan->tables_capacity, plan->n_tables + 1))
        return SQLITE_NOMEM;
    table = &plan->tables[plan->n_tables++];
    *table =
        (GraveTable){.name = name, .has_rowid = !statement_true(s, 1), .rowid_column = SIZE_MAX};
    return SQLITE_OK;
}

/* name, column, its type, NOT NULL, place in the primary key */
static int take_column(GravePlan *plan, sqlite3_stmt *s)
{
    size_t i = grave_find_table(plan, (const char *)sqlite3_column_text(s, 0));
    GraveTable *table = i == SIZE_MAX ? NULL : &plan->tables[i];
    int64_t place = sqlite3_column_int64(s, 4);
    const char *type;
    GraveColumn *column;

    if (!table)
        return SQLITE_OK;
    if (ARRAY_RESERVE(table->columns, table->columns_capacity, table->n_columns + 1))
        return SQLITE_NOMEM;
    column = &table->columns[table->n_columns];
    *column = (GraveColumn){.name = keep(plan, s, 1),
                            .not_null = statement_true(s, 3) || place > 0,
                            .in_key = place > 0};
    type = keep(plan, s, 2);
    if (!column->name || !type)
        return SQLITE_NOMEM;
    /* https://sqlite.org/lang_createtable.html#rowid: with exactly this type it is the rowid. */
    if (place == 1 && table->has_rowid && same_name(type, "INTEGER"))
        table->rowid_column = table->n_columns;
    else if (place > 1)
        table->rowid_column = SIZE_MAX;
    if (same_name(column->name, "rowid"))
        table->has_rowid = false; /* the name means the column */
    table->n_columns++;
    return SQLITE_OK;
}

static int take_index(GravePlan *plan, sqlite3_stmt *s)
{
    size_t i = grave_find_table(plan, (const char *)sqlite3_column_text(s, 0));
    const char *name = (const char *)sqlite3_column_text(s, 1);
    size_t column = i == SIZE_MAX || !name ? SIZE_MAX : grave_column(&plan->tables[i], name);

    if (column != SIZE_MAX)
        plan->tables[i].columns[column].indexed = true;
    return SQLITE_OK;
}

static GraveAction key_action(const char *words)
{
    if (words && same_name(words, "CASCADE"))
        return GRAVE_ACTION_CASCADE;
    if (words && (same_name(words, "SET NULL") || same_name(words, "SET DEFAULT")))
        return GRAVE_ACTION_SET_NULL;
    return GRAVE_ACTION_OTHER;
}

/* The n-th column of a table's primary key, which REFERENCES without a column means. */
static const char *primary_key(const GravePlan *plan, const char *name, size_t n)
{
    const GraveTable *table = grave_table(plan, name);

    for (size_t i = 0; table && i < table->n_columns; i++)
        if (table->columns[i].in_key && n-- == 0)
            return table->columns[i].name;
    return NULL;
}

static GraveKey *key_new(GraveTable *table, const char *parent, int64_t number, GraveAction action)
{
    if (!parent || ARRAY_RESERVE(table->keys, table->keys_capacity, table->n_keys + 1))
        return NULL;
    table->keys[table->n_keys] = (GraveKey){.parent = parent, .number = number, .action = action};
    return &table->keys[table->n_keys++];
}

/* name, number of the key in its table, place in the key, parent, from, to, ON DELETE */
static int take_key(GravePlan *plan, sqlite3_stmt *s)
{
    size_t i = grave_find_table(plan, (const char *)sqlite3_column_text(s, 0));
    GraveTable *table = i == SIZE_MAX ? NULL : &plan->tables[i];
    int64_t number = sqlite3_column_int64(s, 1);
    GraveKey *key;

    if (!table)
        return SQLITE_OK;
    key = table->n_keys > 0 ? &table->keys[table->n_keys - 1] : NULL;
    if (!key || key->number != number)
        key = key_new(table, keep(plan, s, 3), number,
                      key_action((const char *)sqlite3_column_text(s, 6)));
    if (!key)
        return SQLITE_NOMEM;
    key->to_default |= same_name((const char *)sqlite3_column_text(s, 6), "SET DEFAULT");
    if (key->n == GRAVE_KEY_MAX) {
        key->unusable = true;
        return SQLITE_OK;
    }
    key->from[key->n] = keep(plan, s, 4);
    key->to[key->n] = sqlite3_column_type(s, 5) == SQLITE_NULL
                          ? primary_key(plan, key->parent, key->n)
                          : keep(plan, s, 5);
    if (!key->from[key->n])
        return SQLITE_NOMEM;
    if (!key->to[key->n]) {
        key->to[key->n] = "";
        key->unusable = true;
    }
    key->n++;
    return SQLITE_OK;
}

/* Whether the word is its event or in its body is not asked: when in doubt it acts. */
static int take_trigger(GravePlan *plan, sqlite3_stmt *s)
{
    size_t i = grave_find_table(plan, (const char *)sqlite3_column_text(s, 0));

    if (i == SIZE_MAX)
        return SQLITE_OK;
    plan->tables[i].has_trigger = true;
    plan->tables[i].has_delete_trigger |= statement_true(s, 1);
    return SQLITE_OK;
}

static int read_all(Store *store, GravePlan *plan, const char *sql,
                    int (*take)(GravePlan *plan, sqlite3_stmt *s))
{
    CLEANUP_STATEMENT sqlite3_stmt *s = NULL;
    int code = database_prepare(&store->database, sql, &s);

    while (code == SQLITE_OK) {
        code = sqlite3_step(s);
        if (code != SQLITE_ROW)
            return code == SQLITE_DONE ? SQLITE_OK : code;
        code = take(plan, s);
    }
    return code;
}

/* An album's cover is a path in text: as if it were a foreign key. */
static int add_album_cover(const Store *store, GravePlan *plan)
{
    size_t i = grave_find_table(plan, "albums");
    GraveKey *key;

    if (!store->schema.album_cover || i == SIZE_MAX)
        return SQLITE_OK;
    key = key_new(&plan->tables[i], "images", -1, GRAVE_ACTION_SET_NULL);
    if (!key)
        return SQLITE_NOMEM;
    key->from[0] = "cover_image_path";
    key->to[0] = "path";
    key->n = 1;
    return SQLITE_OK;
}

#define FROM_TABLES  "FROM pragma_table_list AS t"
#define WHERE_TABLES "t.schema = 'main' AND t.type = 'table' AND substr(t.name, 1, 7) <> 'sqlite_'"

/* grave_read_schema() - reads it into an empty plan, within the caller's transaction; a result code
 */
int grave_read_schema(Store *store, GravePlan *plan)
{
    int code = read_all(store, plan, "SELECT t.name, t.wr " FROM_TABLES " WHERE " WHERE_TABLES,
                        take_table);

    if (code == SQLITE_OK)
        code = read_all(store, plan,
                        "SELECT t.name, c.name, c.type, c.\"notnull\", c.pk " FROM_TABLES
                        ", pragma_table_info(t.name) AS c WHERE " WHERE_TABLES
                        " ORDER BY t.name, c.cid",
                        take_column);
    if (code == SQLITE_OK)
        code = read_all(store, plan,
                        "SELECT t.name, i.name " FROM_TABLES
                        ", pragma_index_list(t.name) AS l, pragma_index_info(l.name) AS i"
                        " WHERE " WHERE_TABLES " AND i.seqno = 0 AND l.partial = 0",
                        take_index);
    if (code == SQLITE_OK)
        code = read_all(store, plan,
                        "SELECT t.name, k.id, k.seq, k.\"table\", k.\"from\", k.\"to\","
                        " k.on_delete " FROM_TABLES ", pragma_foreign_key_list(t.name) AS k"
                        " WHERE " WHERE_TABLES " ORDER BY t.name, k.id, k.seq",
                        take_key);
    if (code == SQLITE_OK)
        code = read_all(store, plan,
                        "SELECT tbl_name, sql LIKE '%delete%' FROM sqlite_schema"
                        " WHERE type = 'trigger'",
                        take_trigger);
    return code == SQLITE_OK ? add_album_cover(store, plan) : code;
}
