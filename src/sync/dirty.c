/*
 * Directories that are put off
 *
 * What cannot be compared with its rows now is `dirty` and listed again when there is room, or when
 * the rows are where they are looked for. Too many of them fold into their roots.
 */
#include <stdlib.h>

#include "sync/engine-private.h"

/* dirty_add() - have a directory listed again when there is room; shallow: nothing below it */
void dirty_add(Engine *engine, Node *node, bool shallow)
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
    list_append(&engine->dirty, &dirty->link);
    engine->n_dirty++;
}

static void dirty_free(Engine *engine, DirtyNode *dirty)
{
    list_remove(&dirty->link);
    engine->n_dirty--;
    dirty->node->dirty = false;
    (void)node_unref(dirty->node);
    free(dirty);
}

/* Until its volume answers; or its rows have followed it. Where that waits for scans, to find out
 * what is where, they go on. */
static bool is_to_wait(const Engine *engine, const Node *node)
{
    if (node_is_hung(engine, node))
        return true;
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

        if (is_to_wait(engine, dirty->node)) {
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
