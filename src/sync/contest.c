/*
 * Names that two directories claim
 *
 * A directory may be found at the place of one whose watch has not ended: that one is somewhere
 * else, or is being removed. If its rows were given to the newcomer, they could not follow it. So
 * such a name is *contested* until everything else has been seen.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sync/engine-private.h"

#define CONTESTED_MAX 1024

/* contest_name() - two directories claim this name. False: there are too many such names, or memory
 * ran out; then the newcomer has it */
bool contest_name(Engine *engine, Node *dir, const char *name)
{
    size_t length = strlen(name) + 1;
    Contested *contested;
    size_t n = 0;

    LIST_FOREACH (link, &engine->contested) {
        contested = CONTAINER_OF(link, Contested, link);
        if (contested->dir == dir && strcmp(contested->name, name) == 0)
            return true;
        n++;
    }
    if (n >= CONTESTED_MAX)
        return false;
    contested = calloc(1, sizeof(*contested) + length);
    if (!contested)
        return false;
    memcpy(contested->name, name, length);
    contested->dir = node_ref(dir);
    list_append(&engine->contested, &contested->link);
    return true;
}

static void contested_free(Contested *contested)
{
    list_remove(&contested->link);
    (void)node_unref(contested->dir);
    free(contested);
}

/* ---- those that gave way ---- */

typedef struct Displaced {
    ListNode link; /* Engine.displaced */
    Node *node;    /* referenced */
    char name[40]; /* as long as it has not been found */
} Displaced;

/*
 * contest_displace() - a newcomer takes the name of this directory, which nobody has found yet
 *
 * It may be in the newcomer, whose inside has not been looked at: until that has been done it is in
 * the tree under a name that no file has, and its rows are its own. False: no memory.
 */
bool contest_displace(Engine *engine, Node *node)
{
    Displaced *displaced = calloc(1, sizeof(*displaced));

    if (!displaced)
        return false;
    (void)snprintf(displaced->name, sizeof(displaced->name), "\n.displaced-%u",
                   ++engine->n_displaced);
    engine_directory_moving(engine, node);
    if (tree_move(engine->tree, node, node->parent, displaced->name) != 0) {
        free(displaced);
        return false;
    }
    displaced->node = node_ref(node);
    list_append(&engine->displaced, &displaced->link);
    return true;
}

/* Those that have not been found are not in the library any more. */
static void end_displaced(Engine *engine)
{
    for (ListNode *link; (link = list_take(&engine->displaced));) {
        Displaced *displaced = CONTAINER_OF(link, Displaced, link);
        Node *node = displaced->node;

        if (!node->detached && strcmp(node_name(node), displaced->name) == 0)
            tree_remove(engine->tree, node);
        (void)node_unref(node);
        free(displaced);
    }
    places_sweep(engine);
}

/* ---- when everything else has been seen ---- */

/* contested_under_way() - is there a name whose directory is not known yet? */
bool contested_under_way(const Engine *engine)
{
    LIST_FOREACH (link, &engine->contested)
        if (!node_is_hung(engine, CONTAINER_OF(link, Contested, link)->dir))
            return true;
    return false;
}

/* contested_continue() - when everything else has been seen: what has the name now gets the rows */
void contested_continue(Engine *engine)
{
    List names;

    if (!list_is_empty(&engine->displaced) && engine_walks_idle(engine))
        end_displaced(engine);
    if (!contested_under_way(engine) || !engine_scans_rest(engine))
        return;
    list_init(&names);
    list_splice(&names, &engine->contested);
    for (ListNode *link; (link = list_first(&names));) {
        Contested *contested = CONTAINER_OF(link, Contested, link);

        scan_contested(engine, contested->dir, contested->name);
        contested_free(contested);
    }
}

void contested_clear(Engine *engine)
{
    for (ListNode *link; (link = list_first(&engine->contested));)
        contested_free(CONTAINER_OF(link, Contested, link));
    end_displaced(engine);
}
