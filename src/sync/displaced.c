/*
 * Directories whose name another one has
 *
 * A directory may be found at the place of one that is watched still: that one is somewhere else,
 * and its events were lost, or are still to come, or came from a place that is not watched. If its
 * rows were given to the newcomer, they could not follow it. So it is kept in the tree under a name
 * that no file has, far above, with a move of its rows recorded (sync/moves.c), until a scan finds
 * its inode: often inside of the newcomer. When everything has been looked at and it was not found,
 * it is not in the library any more. Nothing can be written meanwhile, so this does not go on for
 * longer than two seconds; then photos are found by their inodes, each for itself.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sync/engine-private.h"
#include "util/clock.h"

#define WAIT (2 * CLOCK_US_PER_SEC) /* from the first one on, */
#define REST (5 * CLOCK_US_PER_SEC) /* and then none for as long */

typedef struct Displaced {
    ListNode link; /* Engine.displaced */
    Node *node;    /* referenced */
    char name[40]; /* as long as it has not been found */
} Displaced;

/* The root or mount point above it: any directory below that may be removed, and would take it
 * along. */
static Node *top_above(const Node *node)
{
    Node *top = node->parent;

    while (top->parent && top->place == 0)
        top = top->parent;
    return top;
}

/* displaced_add() - this directory is not at its place. False: no memory, or others have held up
 * everything for long enough */
bool displaced_add(Engine *engine, Node *node)
{
    uint64_t now = clock_now();
    Displaced *displaced;
    Node *top;

    if (now < engine->displaced_rest)
        return false;
    if (list_is_empty(&engine->displaced))
        engine->displaced_until = now + WAIT;
    displaced = calloc(1, sizeof(*displaced));
    if (!displaced)
        return false;
    (void)snprintf(displaced->name, sizeof(displaced->name), TREE_NO_PLACE "displaced-%u",
                   ++engine->n_displaced);
    top = top_above(node);
    engine_directory_moving(engine, node, top, displaced->name);
    if (tree_move(engine->tree, node, top, displaced->name) != 0) {
        free(displaced);
        return false;
    }
    displaced->node = node_ref(node);
    list_append(&engine->displaced, &displaced->link);
    (void)timer_arm_at(&engine->displaced_timer, engine->displaced_until);
    return true;
}

static bool is_displaced(const Displaced *displaced)
{
    const Node *node = displaced->node;

    return !node->detached && strcmp(node_name(node), displaced->name) == 0;
}

static void end(Engine *engine, Displaced *displaced)
{
    list_remove(&displaced->link);
    if (is_displaced(displaced))
        tree_remove(engine->tree, displaced->node);
    (void)node_unref(displaced->node);
    free(displaced);
}

/* displaced_lost() - its watch has ended: it is removed. True: it was displaced, and is gone */
bool displaced_lost(Engine *engine, const Node *node)
{
    LIST_FOREACH (link, &engine->displaced) {
        Displaced *displaced = CONTAINER_OF(link, Displaced, link);

        if (displaced->node != node || !is_displaced(displaced))
            continue;
        end(engine, displaced);
        places_sweep(engine);
        return true;
    }
    return false;
}

/* displaced_under_way() - is one looked for? */
bool displaced_under_way(const Engine *engine)
{
    return !list_is_empty(&engine->displaced);
}

/* displaced_continue() - what has been found, and what cannot be */
void displaced_continue(Engine *engine)
{
    bool ended = displaced_under_way(engine) && engine_walks_idle(engine);
    uint64_t now = displaced_under_way(engine) ? clock_now() : 0;
    bool late = now > 0 && now >= engine->displaced_until;

    LIST_FOREACH_SAFE (link, tmp, &engine->displaced) {
        Displaced *displaced = CONTAINER_OF(link, Displaced, link);

        if (ended || late || !is_displaced(displaced))
            end(engine, displaced);
    }
    if (now > 0)
        places_sweep(engine);
    if (late && !ended)
        engine->displaced_rest = now + REST;
}

/* displaced_clear() - nothing is watched any more: those that were not found leave the tree */
void displaced_clear(Engine *engine)
{
    timer_disarm(&engine->displaced_timer);
    for (ListNode *link; (link = list_first(&engine->displaced));)
        end(engine, CONTAINER_OF(link, Displaced, link));
}

/* displaced_fired() - the end of the round does it: displaced_continue() */
void displaced_fired(Timer *timer UNUSED)
{
}
