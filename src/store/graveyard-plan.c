/*
 * What can hang on a photo's or video's row, by the schema's foreign keys.
 *
 * A *chain* leads from the row of images or videos (the root) down to the rows of one table: faces
 * by image_id; frames of a video, then the embeddings of the frames. Where the key says ON DELETE
 * CASCADE the rows go with the root and are kept whole; where it says SET NULL only the reference
 * is lost, and that is kept. albums.cover_image_path, a path in text, is treated as if it were such
 * a key.
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

/* Is this key on the way down to the chain at i already (a table that refers to itself)? */
static bool chain_has_key(const GravePlan *plan, size_t i, size_t table, size_t key)
{
    for (; i != SIZE_MAX; i = plan->chains[i].parent)
        if (plan->chains[i].table == table && plan->chains[i].key == key)
            return true;
    return false;
}

/* grave_chain_depth() - how far from the root the rows of a chain are */
size_t grave_chain_depth(const GravePlan *plan, size_t i)
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

    if (key->unusable || key->action == GRAVE_ACTION_OTHER || (names && key->n > 1) ||
        (!names && table_is_own(plan, table)) || plan->n_chains == CHAINS_MAX ||
        grave_chain_depth(plan, parent) == DEPTH_MAX || chain_has_key(plan, parent, table, i_key))
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

    plan->roots[root] = grave_find_table(plan, grave_root_names[root]);
    if (plan->roots[root] == SIZE_MAX)
        return SQLITE_OK;
    code = chains_below(plan, root, SIZE_MAX, grave_root_names[root]);
    for (size_t i = first; i < plan->n_chains && code == SQLITE_OK; i++)
        if (!plan->chains[i].names)
            code = chains_below(plan, root, i, plan->tables[plan->chains[i].table].name);
    return code;
}

/* ---- without a cascade ---- */

/* grave_key_is_id() - nearly all do */
bool grave_key_is_id(const GraveKey *key)
{
    return key->n == 1 && same_name(key->to[0], "id");
}

/* Is a key's every row among those that are read, and can be removed as its ON DELETE does it? */
static bool key_is_direct(const GraveTable *table, const GraveKey *key)
{
    if (key->number < 0)
        return true; /* no key: nothing happens */
    if (key->unusable || !grave_key_is_id(key) || !table->has_rowid || key->to_default ||
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

            if (same_name(table->keys[k].parent, grave_root_names[root]) &&
                (!key_is_direct(table, &table->keys[k]) || table_is_own(plan, t)))
                return false;
        }
    return true;
}

static int plan_make(Store *store, GravePlan *plan)
{
    int code = grave_read_schema(store, plan);

    for (SchemaTable t = 0; t < SCHEMA_N_MEDIA && code == SQLITE_OK; t++)
        code = chains_find(plan, t);
    for (size_t i = 0; i < plan->n_chains && code == SQLITE_OK; i++)
        code = grave_finish_chain(plan, i);
    for (SchemaTable t = 0; t < SCHEMA_N_MEDIA && code == SQLITE_OK; t++)
        if (plan->roots[t] != SIZE_MAX) {
            code = grave_finish_root(plan, t);
            plan->direct[t] = root_is_direct(plan, t);
        }
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
