/*
 * Directories that are put off
 *
 * What cannot be compared with its rows now is `dirty` and listed again when there is room, or when
 * the rows are where they are looked for. Too many of them fold into their roots.
 */
#include <stdlib.h>

#include "sync/engine-private.h"

static void add(Engine *engine, Node *node, bool shallow, bool late)
{
    Root *root = root_of(engine, node);
    DirtyNode *dirty;

    if (node->detached || !root || (node->dirty && shallow))
        return;
    engine->counters.folds++;
    if (engine->n_dirty >= ENGINE_DIRTY_MAX) {
        root_look(root);
        return;
    }
    dirty = calloc(1, sizeof(*dirty));
    if (!dirty)
        return;
    node->dirty = true;
    dirty->node = node_ref(node);
    dirty->shallow = shallow;
    dirty->late = late;
    list_append(&engine->dirty, &dirty->link);
    engine->n_dirty++;
    engine->n_late += late;
}

/* dirty_add() - have a directory listed again when there is room; shallow: nothing below it */
void dirty_add(Engine *engine, Node *node, bool shallow)
{
    add(engine, node, shallow, false);
}

/* dirty_add_late() - it has been listed, and its rows were not where they were looked for, or those
 * of a directory above it are not known */
void dirty_add_late(Engine *engine, Node *node)
{
    add(engine, node, true, true);
}

static void dirty_free(Engine *engine, DirtyNode *dirty)
{
    list_remove(&dirty->link);
    engine->n_dirty--;
    engine->n_late -= dirty->late;
    dirty->node->dirty = false;
    (void)node_unref(dirty->node);
    free(dirty);
}

/* Its rows are where they are to be, and those of the directory above it are known. */
static bool is_ready(Engine *engine, const Node *node)
{
    CLEANUP_FREE char *path = engine->moves.by_node.count > 0 ? node_path_new(node) : NULL;

    if (path && !moves_are_at(&engine->moves, node, path))
        return false;
    return !node->parent || !node_is_ahead(engine, node->parent);
}

/* Until its volume answers; or its rows have followed it. Where that waits for scans, to find out
 * what is where, they go on. */
static bool is_to_wait(Engine *engine, const DirtyNode *dirty)
{
    const Node *node = dirty->node;

    if (node->detached)
        return false;
    if (node_is_hung(engine, node))
        return true;
    if (dirty->late)
        return !is_ready(engine, node);
    return moves_know(&engine->moves, node) && !batch_paths_wait(engine);
}

/* dirty_continue() - take up what was put off when there is room */
void dirty_continue(Engine *engine)
{
    size_t left = engine->n_dirty;

    while (left-- > 0 && engine->n_joins < ENGINE_JOINS_MAX &&
           scans_under_way(engine) < ENGINE_JOINS_MAX &&
           engine->pending.count < ENGINE_PENDING_MAX / 2) {
        DirtyNode *dirty = CONTAINER_OF(list_first(&engine->dirty), DirtyNode, link);
        bool shallow = dirty->shallow;
        Node *node;

        if (is_to_wait(engine, dirty)) {
            list_remove(&dirty->link);
            list_append(&engine->dirty, &dirty->link);
            continue;
        }
        node = node_ref(dirty->node);
        dirty_free(engine, dirty);
        scan_node(engine, node, shallow, false);
        (void)node_unref(node);
    }
}

/* dirty_clear() - forget all of them */
void dirty_clear(Engine *engine)
{
    for (ListNode *link; (link = list_first(&engine->dirty));)
        dirty_free(engine, CONTAINER_OF(link, DirtyNode, link));
}
