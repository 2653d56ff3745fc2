/*
 * What can hang on a photo's or video's row, by the schema's foreign keys.
 *
 * A *chain* leads from the row of images or videos (the root) down to the rows of one table: faces
 * by image_id; frames of a video, then the embeddings of the frames. Where the key says ON DELETE
 * CASCADE the rows go with the root and are kept whole; where it says SET NULL only the reference
 * is lost, and that is kept. albums.cover_image_path, a path in text, is treated as if it were such
 * a key.
 *
 * Each chain has its SELECT, which gives the root's id in front of each row. It takes one root or
 * GRAVE_BATCH of them: PictoPy has no index on faces.image_id and others, so reading for many at a
 * time means one scan and not many.
 */

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "store/core.h"
#include "store/grave.h"
#include "util/array.h"
#include "util/error.h"

#define CHAINS_MAX 256 /* in all */
#define DEPTH_MAX  8

/* grave_plan_free() - accepts NULL and returns NULL */
GravePlan *grave_plan_free(GravePlan *plan)
{
    if (!plan)
        return NULL;
    for (size_t i = 0; i < plan->n_tables; i++) {
        free(plan->tables[i].columns);
        free(plan->tables[i].keys);
    }
    for (size_t i = 0; i < plan->n_chains; i++) {
        for (size_t many = 0; many < 2; many++)
            free(plan->chains[i].sql[many]);
        free(plan->chains[i].remove_sql);
        text_done(&plan->chains[i].header);
    }
    for (SchemaTable t = 0; t < SCHEMA_N_MEDIA; t++) {
        for (size_t many = 0; many < 2; many++)
            free(plan->root_sql[t][many]);
        text_done(&plan->root_header[t]);
    }
    free(plan->tables);
    free(plan->chains);
    arena_done(&plan->strings);
    free(plan);
    return NULL;
}

static bool same_name(const char *a, const char *b)
{
    return strcasecmp(a, b) == 0;
}

/* ---- chains ---- */

static const char *const root_names[] = {[SCHEMA_IMAGES] = "images", [SCHEMA_VIDEOS] = "videos"};

static const GraveKey *chain_key(const GravePlan *plan, const GraveChain *chain)
{
    return &plan->tables[chain->table].keys[chain->key];
}

/* Is this key on the way down to the chain at i already (a table that refers to itself)? */
static bool chain_has_key(const GravePlan *plan, size_t i, size_t table, size_t key)
{
    for (; i != SIZE_MAX; i = plan->chains[i].parent)
        if (plan->chains[i].table == table && plan->chains[i].key == key)
            return true;
    return false;
}

static size_t chain_depth(const GravePlan *plan, size_t i)
{
    size_t depth = 0;

    for (; i != SIZE_MAX; i = plan->chains[i].parent)
        depth++;
    return depth;
}

/* Photos, videos and folders are roots, or looked after by the daemon: they hang on nothing. */
static bool table_is_own(const GravePlan *plan, size_t table)
{
    const char *name = plan->tables[table].name;

    return same_name(name, "images") || same_name(name, "videos") || same_name(name, "folders");
}

static int chain_add(GravePlan *plan, SchemaTable root, size_t parent, size_t table, size_t i_key)
{
    const GraveKey *key = &plan->tables[table].keys[i_key];
    bool names = key->action == GRAVE_ACTION_SET_NULL;

    if (key->action == GRAVE_ACTION_OTHER || (names && key->n > 1) ||
        (!names && table_is_own(plan, table)) || plan->n_chains == CHAINS_MAX ||
        chain_depth(plan, parent) == DEPTH_MAX || chain_has_key(plan, parent, table, i_key))
        return SQLITE_OK;
    if (ARRAY_RESERVE(plan->chains, plan->chains_capacity, plan->n_chains + 1))
        return SQLITE_NOMEM;
    plan->chains[plan->n_chains++] = (GraveChain){
        .root = root,
        .table = table,
        .key = i_key,
        .parent = parent,
        .names = names,
        .to_path = names && parent == SIZE_MAX && same_name(key->to[0], "path"),
    };
    return SQLITE_OK;
}

/* Adds the chains of all keys that refer to this table. */
static int chains_below(GravePlan *plan, SchemaTable root, size_t parent, const char *name)
{
    int code = SQLITE_OK;

    for (size_t t = 0; t < plan->n_tables && code == SQLITE_OK; t++)
        for (size_t k = 0; k < plan->tables[t].n_keys && code == SQLITE_OK; k++)
            if (same_name(plan->tables[t].keys[k].parent, name))
                code = chain_add(plan, root, parent, t, k);
    return code;
}

static int chains_find(GravePlan *plan, SchemaTable root)
{
    size_t first = plan->n_chains;
    int code;

    plan->roots[root] = grave_find_table(plan, root_names[root]);
    if (plan->roots[root] == SIZE_MAX)
        return SQLITE_OK;
    code = chains_below(plan, root, SIZE_MAX, root_names[root]);
    for (size_t i = first; i < plan->n_chains && code == SQLITE_OK; i++)
        if (!plan->chains[i].names)
            code = chains_below(plan, root, i, plan->tables[plan->chains[i].table].name);
    return code;
}

/* ---- statements ---- */

/* Names go into SQL quoted: they may be any text. */
static void put_name(Text *sql, const char *alias, const char *name)
{
    char *quoted = sqlite3_mprintf("\"%w\"", name);

    text_printf(sql, "%s%s%s", alias, *alias ? "." : "", quoted ? quoted : "");
    sql->failed |= !quoted;
    sqlite3_free(quoted);
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

/* The top of a chain holds the root's id itself, nearly always: no need to look at the root. */
static bool top_has_id(const GraveKey *top)
{
    return top->n == 1 && same_name(top->to[0], "id");
}

static void put_from(const GravePlan *plan, size_t i, size_t depth, Text *sql, GraveKey *ret_top)
{
    const GraveChain *chain = &plan->chains[i];
    const GraveKey *key = chain_key(plan, chain);
    char alias[24];

    if (chain->parent != SIZE_MAX) {
        put_from(plan, chain->parent, depth - 1, sql, ret_top);
        text_append(sql, " JOIN ");
    } else {
        *ret_top = *key;
        if (!top_has_id(key)) {
            put_name(sql, "", root_names[chain->root]);
            text_append(sql, " AS r JOIN ");
        }
    }
    put_alias(alias, depth);
    put_name(sql, "", plan->tables[chain->table].name);
    text_printf(sql, " AS %s", alias);
    if (chain->parent == SIZE_MAX && top_has_id(key))
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
        names[n++] = chain_key(plan, chain)->from[0];
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
    size_t depth = chain_depth(plan, i);
    CLEANUP(text_done) Text from = {0};
    Text sql = {0};
    GraveKey top;
    char alias[24];

    put_from(plan, i, depth, &from, &top);
    text_append(&sql, "SELECT ");
    put_name(&sql, top_has_id(&top) ? "t1" : "r", top_has_id(&top) ? top.from[0] : "id");
    put_alias(alias, depth);
    if (chain->has_rowid)
        text_append(&sql, ", t1.rowid");
    for (size_t j = 0; j < n; j++) {
        text_append(&sql, ", ");
        put_name(&sql, alias, names[j]);
    }
    text_printf(&sql, " FROM %s WHERE ", from.data ? from.data : "");
    put_name(&sql, top_has_id(&top) ? "t1" : "r", top_has_id(&top) ? top.from[0] : "id");
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
    const GraveKey *key = chain_key(plan, chain);
    size_t column = grave_column(table, key->from[0]);

    return chain->parent == SIZE_MAX && top_has_id(key) && table->has_rowid && column != SIZE_MAX &&
           column != table->rowid_column && !table->columns[column].indexed;
}

/* One row, found by its rowid, is taken off the root. Both are asked for: a trigger may have
 * removed the row, and another one have got its number. */
static int chain_remove_sql(const GravePlan *plan, const GraveChain *chain, char **ret_sql)
{
    const GraveKey *key = chain_key(plan, chain);
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

/* Is a key's every row among those that are read, and can be removed as its ON DELETE does it? */
static bool key_is_direct(const GraveTable *table, const GraveKey *key)
{
    if (key->number < 0)
        return true; /* no key: nothing happens */
    if (!top_has_id(key) || !table->has_rowid || key->to_default ||
        key->action == GRAVE_ACTION_OTHER)
        return false;
    return key->action == GRAVE_ACTION_CASCADE ? !table->has_delete_trigger : !table->has_trigger;
}

/*
 * For each photo that goes SQLite looks for rows that refer to it, and PictoPy has no index on
 * faces.image_id and some others: that is a scan of all faces under the lock, 100 ms and more in a
 * large library, for each photo. The rows have just been read for the grave, so they can be removed
 * one by one, and then there is nothing left that a cascade would find. What hangs on these rows in
 * turn is still SQLite's to remove. Only where the keys are as simple as PictoPy's are, and no
 * trigger could put back what was removed.
 */
static bool root_is_direct(const GravePlan *plan, SchemaTable root)
{
    if (plan->n_chains == CHAINS_MAX || plan->tables[plan->roots[root]].has_delete_trigger)
        return false;
    for (size_t t = 0; t < plan->n_tables; t++)
        for (size_t k = 0; k < plan->tables[t].n_keys; k++) {
            const GraveTable *table = &plan->tables[t];

            if (same_name(table->keys[k].parent, root_names[root]) &&
                (!key_is_direct(table, &table->keys[k]) || table_is_own(plan, t)))
                return false;
        }
    return true;
}

static char chain_kind(const GraveChain *chain)
{
    if (!chain->names)
        return GRAVE_BLOCK_HANGS;
    return chain->to_path ? GRAVE_BLOCK_PATHS : GRAVE_BLOCK_NAMES;
}

static int chain_finish(GravePlan *plan, size_t i)
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

/* id, path and folder_id, then all columns */
static int root_finish(GravePlan *plan, SchemaTable root)
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
        text_printf(&sql, " FROM %s WHERE id", root_names[root]);
        put_roots(&sql, many != 0);
        if (text_steal(&sql, &plan->root_sql[root][many]))
            return SQLITE_NOMEM;
    }
    grave_put_header(&plan->root_header[root], GRAVE_BLOCK_ROOT, root_names[root], names,
                     table->n_columns);
    plan->direct[root] = root_is_direct(plan, root);
    return plan->root_header[root].failed ? SQLITE_NOMEM : SQLITE_OK;
}

static int plan_make(Store *store, GravePlan *plan)
{
    int code = grave_read_schema(store, plan);

    for (SchemaTable t = 0; t < SCHEMA_N_MEDIA && code == SQLITE_OK; t++)
        code = chains_find(plan, t);
    for (size_t i = 0; i < plan->n_chains && code == SQLITE_OK; i++)
        code = chain_finish(plan, i);
    for (SchemaTable t = 0; t < SCHEMA_N_MEDIA && code == SQLITE_OK; t++)
        if (plan->roots[t] != SIZE_MAX)
            code = root_finish(plan, t);
    return code;
}

/*
 * grave_plan() - the plan for the schema that the store has read, within the caller's transaction
 * @ret_plan: the store's, until the next call
 */
int grave_plan(Store *store, const GravePlan **ret_plan)
{
    GravePlan *plan = store->grave_plan;
    int code;

    if (plan && plan->version == store->schema.version && plan->opened == store->opened) {
        *ret_plan = plan;
        return SQLITE_OK;
    }
    store->grave_plan = grave_plan_free(plan);
    plan = calloc(1, sizeof(*plan));
    if (!plan)
        return SQLITE_NOMEM;
    plan->version = store->schema.version;
    plan->opened = store->opened;
    code = plan_make(store, plan);
    if (code != SQLITE_OK) {
        (void)grave_plan_free(plan);
        return code;
    }
    *ret_plan = store->grave_plan = plan;
    return SQLITE_OK;
}
