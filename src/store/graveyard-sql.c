/*
 * The statements that read what hangs on rows.
 *
 * Each chain has its SELECT, which gives the root's id in front of each row. It takes one root or
 * GRAVE_BATCH of them: PictoPy has no index on faces.image_id and others, so reading for many at a
 * time means one scan and not many.
 */

#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "store/grave.h"

const char *const grave_root_names[SCHEMA_N_MEDIA] = {
    [SCHEMA_IMAGES] = "images", [SCHEMA_VIDEOS] = "videos"};

/* grave_put_name() - appends a name, quoted as it may be any text, and what stands around it */
void grave_put_name(Text *sql, const char *before, const char *name, const char *behind)
{
    char *quoted = sqlite3_mprintf("\"%w\"", name);

    text_printf(sql, "%s%s%s", before, quoted ? quoted : "", behind);
    sql->failed |= !quoted;
    sqlite3_free(quoted);
}

static void put_name(Text *sql, const char *alias, const char *name)
{
    text_printf(sql, "%s%s", alias, *alias ? "." : "");
    grave_put_name(sql, "", name, "");
}

static void put_alias(char alias[24], size_t depth)
{
    if (depth == 0)
        (void)snprintf(alias, 24, "r");
    else
        (void)snprintf(alias, 24, "t%zu", depth);
}

/* "tN.from = tM.to AND …" */
static void put_join(Text *sql, const GraveKey *key, size_t depth)
{
    char child[24], parent[24];

    put_alias(child, depth);
    put_alias(parent, depth - 1);
    for (size_t i = 0; i < key->n; i++) {
        text_append(sql, i ? " AND " : "");
        put_name(sql, child, key->from[i]);
        text_append(sql, " = ");
        put_name(sql, parent, key->to[i]);
    }
}

static void put_roots(Text *sql, bool many)
{
    text_append(sql, many ? " IN (?1" : " = ?1");
    for (int i = 2; many && i <= GRAVE_BATCH; i++)
        text_printf(sql, ", ?%d", i);
    text_append(sql, many ? ")" : "");
}

static void put_from(const GravePlan *plan, size_t i, size_t depth, Text *sql, GraveKey *ret_top)
{
    const GraveChain *chain = &plan->chains[i];
    const GraveKey *key = grave_chain_key(plan, chain);
    char alias[24];

    if (chain->parent != SIZE_MAX) {
        put_from(plan, chain->parent, depth - 1, sql, ret_top);
        text_append(sql, " JOIN ");
    } else {
        *ret_top = *key;
        if (!grave_key_is_id(key)) {
            put_name(sql, "", grave_root_names[chain->root]);
            text_append(sql, " AS r JOIN ");
        }
    }
    put_alias(alias, depth);
    put_name(sql, "", plan->tables[chain->table].name);
    text_printf(sql, " AS %s", alias);
    if (chain->parent == SIZE_MAX && grave_key_is_id(key))
        return;
    text_append(sql, " ON ");
    put_join(sql, key, depth);
}

/* The columns that a chain's rows are kept by: all; or, of rows that only name the root, the one
 * that does and the primary key. */
static int chain_columns(const GravePlan *plan, const GraveChain *chain, const char ***ret_names,
                         size_t *ret_n)
{
    const GraveTable *table = &plan->tables[chain->table];
    const char **names = calloc(table->n_columns + 2, sizeof(*names));
    size_t n = 0;

    if (!names)
        return SQLITE_NOMEM;
    if (chain->names)
        names[n++] = grave_chain_key(plan, chain)->from[0];
    for (size_t i = 0; i < table->n_columns; i++)
        if (!chain->names || table->columns[i].in_key)
            names[n++] = table->columns[i].name;
    if (chain->names && n == 1 && table->has_rowid)
        names[n++] = "rowid"; /* no primary key */
    *ret_names = names;
    *ret_n = n;
    return SQLITE_OK;
}

static int chain_sql(const GravePlan *plan, size_t i, bool many, const char *const *names, size_t n,
                     char **ret_sql)
{
    const GraveChain *chain = &plan->chains[i];
    size_t depth = grave_chain_depth(plan, i);
    CLEANUP(text_done) Text from = {0};
    Text sql = {0};
    GraveKey top;
    char alias[24];

    put_from(plan, i, depth, &from, &top);
    text_append(&sql, "SELECT ");
    put_name(&sql, grave_key_is_id(&top) ? "t1" : "r", grave_key_is_id(&top) ? top.from[0] : "id");
    put_alias(alias, depth);
    if (chain->has_rowid)
        text_append(&sql, ", t1.rowid");
    for (size_t j = 0; j < n; j++) {
        text_append(&sql, ", ");
        put_name(&sql, alias, names[j]);
    }
    text_printf(&sql, " FROM %s WHERE ", from.data ? from.data : "");
    put_name(&sql, grave_key_is_id(&top) ? "t1" : "r", grave_key_is_id(&top) ? top.from[0] : "id");
    put_roots(&sql, many);
    if (chain->scanned)
        text_printf(&sql, " AND t1.rowid BETWEEN ?%d AND ?%d", many ? GRAVE_BATCH + 1 : 2,
                    many ? GRAVE_BATCH + 2 : 3);
    sql.failed |= from.failed;
    return text_steal(&sql, ret_sql) ? SQLITE_NOMEM : SQLITE_OK;
}

/* Is the chain's table read from its first row to its last? */
static bool chain_is_scanned(const GravePlan *plan, const GraveChain *chain)
{
    const GraveTable *table = &plan->tables[chain->table];
    const GraveKey *key = grave_chain_key(plan, chain);
    size_t column = grave_column(table, key->from[0]);

    return chain->parent == SIZE_MAX && grave_key_is_id(key) && table->has_rowid &&
           column != SIZE_MAX && column != table->rowid_column && !table->columns[column].indexed;
}

/* One row, found by its rowid, is taken off the root. Both are asked for: a trigger may have
 * removed the row, and another one have got its number. */
static int chain_remove_sql(const GravePlan *plan, const GraveChain *chain, char **ret_sql)
{
    const GraveKey *key = grave_chain_key(plan, chain);
    const char *name = plan->tables[chain->table].name;
    Text sql = {0};

    put_name(&sql, "", name);
    if (chain->names) {
        text_append(&sql, " SET ");
        put_name(&sql, "", key->from[0]);
        text_append(&sql, " = NULL");
    }
    text_append(&sql, " WHERE rowid = ?1 AND ");
    put_name(&sql, "", key->from[0]);
    text_append(&sql, " = ?2");
    if (sql.failed)
        return SQLITE_NOMEM;
    *ret_sql = NULL;
    if (asprintf(ret_sql, "%s%s", chain->names ? "UPDATE " : "DELETE FROM ", sql.data) < 0)
        *ret_sql = NULL;
    text_done(&sql);
    return *ret_sql ? SQLITE_OK : SQLITE_NOMEM;
}

static char chain_kind(const GraveChain *chain)
{
    if (!chain->names)
        return GRAVE_BLOCK_HANGS;
    return chain->to_path ? GRAVE_BLOCK_PATHS : GRAVE_BLOCK_NAMES;
}

/* grave_finish_chain() - gives a chain its statements; a result code */
int grave_finish_chain(GravePlan *plan, size_t i)
{
    GraveChain *chain = &plan->chains[i];
    CLEANUP_FREE const char **names = NULL;
    size_t n = 0;
    int code = chain_columns(plan, chain, &names, &n);

    chain->scanned = chain_is_scanned(plan, chain);
    chain->has_rowid = chain->parent == SIZE_MAX && plan->tables[chain->table].has_rowid;
    if (chain->has_rowid && code == SQLITE_OK)
        code = chain_remove_sql(plan, chain, &chain->remove_sql);
    for (size_t many = 0; many < 2 && code == SQLITE_OK; many++)
        code = chain_sql(plan, i, many != 0, names, n, &chain->sql[many]);
    if (code == SQLITE_OK)
        grave_put_header(&chain->header, chain_kind(chain), plan->tables[chain->table].name, names,
                         n);
    /* Rows without a key cannot be found again. */
    chain->broken = n < 2 && chain->names;
    return chain->header.failed ? SQLITE_NOMEM : code;
}

/* grave_finish_root() - the statement of the rows themselves: id, path and folder_id, then all
 * columns */
int grave_finish_root(GravePlan *plan, SchemaTable root)
{
    const GraveTable *table = &plan->tables[plan->roots[root]];
    CLEANUP_FREE const char **names = calloc(table->n_columns + 1, sizeof(*names));

    if (!names)
        return SQLITE_NOMEM;
    for (size_t many = 0; many < 2; many++) {
        Text sql = {0};

        text_append(&sql, "SELECT id, path, folder_id");
        for (size_t i = 0; i < table->n_columns; i++) {
            names[i] = table->columns[i].name;
            text_append(&sql, ", ");
            put_name(&sql, "", names[i]);
        }
        text_printf(&sql, " FROM %s WHERE id", grave_root_names[root]);
        put_roots(&sql, many != 0);
        if (text_steal(&sql, &plan->root_sql[root][many]))
            return SQLITE_NOMEM;
    }
    grave_put_header(&plan->root_header[root], GRAVE_BLOCK_ROOT, grave_root_names[root], names,
                     table->n_columns);
    return plan->root_header[root].failed ? SQLITE_NOMEM : SQLITE_OK;
}
