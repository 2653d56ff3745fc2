/*
 * Behind a commit
 *
 * Every committed change is told to the world here and nowhere else (publish()). And paths have
 * changed: what was looked at while the rows were on their way may have passed for something else,
 * so it is looked at once more.
 */
#include <stdlib.h>
#include <string.h>

#include "sync/engine-private.h"
#include "util/clock.h"
#include "util/log.h"

/* ---- telling the world ---- */

static const char *shown(const StoreOp *op)
{
    return op->new_path ? op->new_path : op->path ? op->path : "";
}

/* The one place that every committed change passes. */
static void publish(Engine *engine, const StoreOp *op)
{
    static const struct {
        LogEvent event;
        const char *verb;
    } words[] = {
        [STORE_OP_FOLDER_ENSURE] = {LOG_EVENT_FOLDER_ADDED, "folder added"},
        [STORE_OP_FOLDER_MOVE] = {LOG_EVENT_FOLDER_MOVED, "folder moved"},
        [STORE_OP_FOLDER_REMOVE] = {LOG_EVENT_FOLDER_REMOVED, "folder removed"},
        [STORE_OP_MEDIA_ADD] = {LOG_EVENT_MEDIA_ADDED, "added"},
        [STORE_OP_MEDIA_UPDATE] = {LOG_EVENT_MEDIA_MODIFIED, "modified"},
        [STORE_OP_MEDIA_MOVE] = {LOG_EVENT_MEDIA_MOVED, "moved"},
        [STORE_OP_MEDIA_REMOVE] = {LOG_EVENT_MEDIA_REMOVED, "removed"},
    };
    CLEANUP_FREE char *path = path_escape(shown(op));
    CLEANUP_FREE char *from = op->new_path && op->path ? path_escape(op->path) : NULL;
    EngineCounters *counters = &engine->counters;
    StoreOpKind kind = op->kind;

    /* A late delete: the row has taken the place of a copy. */
    if (kind == STORE_OP_MEDIA_REMOVE && op->new_path)
        kind = STORE_OP_MEDIA_MOVE;
    switch (kind) {
    case STORE_OP_FOLDER_ENSURE:
        if (!op->inserted)
            return;
        counters->folders_added++;
        break;
    case STORE_OP_FOLDER_MOVE:
        if (from && strcmp(from, path ? path : "") == 0)
            return; /* others, around it, moved */
        counters->folders_moved++;
        break;
    case STORE_OP_FOLDER_REMOVE:
        counters->folders_removed++;
        break;
    case STORE_OP_MEDIA_ADD:
        counters->added++;
        break;
    case STORE_OP_MEDIA_UPDATE:
        counters->modified++;
        break;
    case STORE_OP_MEDIA_MOVE:
        counters->moved++;
        break;
    case STORE_OP_MEDIA_REMOVE:
        counters->removed++;
        break;
    default:
        return;
    }
    log_event(LOG_LEVEL_INFO, words[kind].event, op->folder_id, shown(op), "%s %s%s%s",
              op->restored ? "restored" : words[kind].verb,
              from   ? from
              : path ? path
                     : "",
              from ? " -> " : "", from && path ? path : "");
}

/* ---- what follows ---- */

static bool touches_folders(const StoreOp *op)
{
    return op->kind == STORE_OP_FOLDER_MOVE || op->kind == STORE_OP_FOLDER_REMOVE ||
           (op->inserted && op->kind == STORE_OP_FOLDER_ENSURE);
}

static void failed(Engine *engine, Write *write)
{
    const StoreOp *op = &write->op;
    FileStamp none = {0};

    if (write->dir && op->kind == STORE_OP_FOLDER_ENSURE)
        write->dir->mtime = INT64_MIN;
    if (op->kind == STORE_OP_PROBLEM || op->kind == STORE_OP_PROBLEM_CLEAR)
        return;
    engine_problem(engine, shown(op), &none, op->error ? op->error : "the row cannot be written");
}

/* The node of a directory whose rows are at this path by now. It may have been moved meanwhile. */
static Node *node_of_rows(Engine *engine, const char *path)
{
    CLEANUP_FREE char *place = moves_place(&engine->moves, path);

    return place ? node_find(engine, place) : NULL;
}

/* Its rows have followed a directory that is to be compared with them; unless it has gone on. */
static void look_into(Engine *engine, Node *node)
{
    if (moves_has(&engine->moves, node))
        moves_set_unseen(&engine->moves, node);
    else
        dirty_add(engine, node, false);
}

static void count_edit(EngineCounters *counters, const StoreOp *op)
{
    counters->thumbnails_kept += op->kept_thumbnail;
    counters->own_writes += op->own_write;
    counters->retagged += op->retagged;
}

/* The directory went while its row was on the way to this path: what is there now is looked at. */
static void look_again(Engine *engine, const char *path)
{
    CLEANUP_FREE char *parent = path_parent(path);
    Node *node = node_of_rows(engine, path);
    Node *above = parent ? node_of_rows(engine, parent) : NULL;

    if (node)
        dirty_add(engine, node, false);
    if (above)
        dirty_add(engine, above, true);
}

/*
 * Rows have left a path. A directory that is there by now may have been compared while they were
 * there still, and passed for the one that they spoke of.
 */
static void look_at_successor(Engine *engine, const char *path)
{
    Node *node = node_of_rows(engine, path);

    if (node)
        dirty_add(engine, node, false);
}

/* Rows were made of directories above a path, and nothing is known of them but their names. */
static void look_above(Engine *engine, const char *path, unsigned levels)
{
    CLEANUP_FREE char *parent = path_parent(path);
    Node *node = parent ? node_of_rows(engine, parent) : NULL;

    for (; node && levels > 0; levels--, node = node->parent) {
        node->made_here = true;
        dirty_add(engine, node, true);
    }
}

/* Looks at a name, unless that is to come anyway. Who waits for anything waits for it. */
static void look_at_name(Engine *engine, const char *path)
{
    const Change oldest = {.epoch = engine->pending.base};
    CLEANUP_FREE char *parent = path_parent(path);
    Node *node = parent ? node_of_rows(engine, parent) : NULL;

    if (node && !pending_find(&engine->pending, node, path_name(path)))
        (void)engine_touch_for(engine, &oldest, node, path_name(path));
}

/* A row has followed its file, which may have gone on, and been forgotten, while the row was on the
 * way. And what is at the older name now may have passed for what the row spoke of. */
static void look_behind(Engine *engine, const StoreOp *op)
{
    look_at_name(engine, op->path);
    look_at_name(engine, op->new_path);
}

/* Another row has come to this path. That its file was edited, as that of the one before, is to be
 * found out once more: size and mtime may not tell. */
static void look_at_other(Engine *engine, const Write *write)
{
    Change *change = engine_touch_for(engine, write->change, write->dir, write->name);

    if (change && write->op.kind == STORE_OP_MEDIA_UPDATE)
        change->reread = true;
}

/* committed_write() - an operation has come back from the store: what follows from its result */
void committed_write(Engine *engine, Write *write)
{
    StoreOp *op = &write->op;

    if (op->result == STORE_OP_RESULT_DONE)
        publish(engine, op);
    if (op->result == STORE_OP_RESULT_FAILED)
        failed(engine, write);
    if (op->result == STORE_OP_RESULT_DONE && touches_folders(op)) {
        engine->folders_stale = true;
        engine->snapshot_dirty = true;
    }
    if (op->kind == STORE_OP_FOLDER_ENSURE && op->inserted && write->dir->detached)
        look_again(engine, op->path);
    else if (op->kind == STORE_OP_FOLDER_ENSURE && op->inserted)
        write->dir->made_here = true;
    if (write->move && strcmp(op->path, op->new_path) != 0)
        own_gone_add(engine, op->path, true);
    if (op->kind == STORE_OP_FOLDER_REMOVE)
        own_gone_committed(engine, op->path);
    if (write->move && write->move->node->detached)
        look_again(engine, op->new_path);
    else if (write->move && write->move->unseen)
        look_into(engine, write->move->node);
    if (op->kind == STORE_OP_FOLDER_MOVE || op->kind == STORE_OP_FOLDER_REMOVE)
        look_at_successor(engine, op->path);
    if (op->untimed > 0)
        look_above(engine, shown(op), op->untimed);
    if (op->kind == STORE_OP_MEDIA_UPDATE)
        count_edit(&engine->counters, op);
    if (op->kind == STORE_OP_MEDIA_MOVE && op->result == STORE_OP_RESULT_DONE)
        look_behind(engine, op);
    if (op->kind == STORE_OP_MEDIA_ADD && op->result == STORE_OP_RESULT_DONE &&
        write->dir->detached)
        look_at_name(engine, op->path); /* another directory may be there, and be compared */
    if (write->rename)
        follow_committed(engine, write);
    if (op->result == STORE_OP_RESULT_ELSEWHERE && !write->dir->detached)
        look_at_other(engine, write);
    if (op->kind == STORE_OP_MEDIA_ADD || op->kind == STORE_OP_MEDIA_UPDATE) {
        if (engine->n_problems > 0)
            engine_problem_clear(engine, op->path);
    }
    if (write->change) {
        pending_finish(&engine->pending, write->change, clock_now());
        write->change = NULL;
    }
}

/* Has another directory taken the place of one whose rows could not follow it (to a name that is
 * not UTF-8)? Then they are gone. */
static bool is_overrun(Write *const *writes, size_t n_writes, const char *path)
{
    for (size_t i = 0; i < n_writes; i++) {
        const StoreOp *op = &writes[i]->op;

        if (writes[i]->move && op->result == STORE_OP_RESULT_DONE &&
            strcmp(op->new_path, path) == 0)
            return true;
    }
    return false;
}

/*
 * committed_moves() - directories moved, all of a batch at once: they may have exchanged their
 * places
 * @writes: n_writes, before they are told one by one
 */
void committed_moves(Engine *engine, Write *const *writes, size_t n_writes)
{
    CLEANUP_FREE PathMove *moves = NULL;
    size_t n = 0;

    if (n_writes == 0 || !writes[0]->move) /* they have a batch of their own */
        return;
    moves = calloc(n_writes, sizeof(*moves));
    for (size_t i = 0; i < n_writes && moves; i++) {
        const StoreOp *op = &writes[i]->op;

        /* Of one that had no rows too: what stands there now is not its. */
        if (writes[i]->move &&
            (op->result == STORE_OP_RESULT_DONE || op->result == STORE_OP_RESULT_NOTHING ||
             (op->result == STORE_OP_RESULT_FAILED && is_overrun(writes, n_writes, op->path))))
            moves[n++] = (PathMove){op->path, op->new_path};
    }
    path_moves_sort(moves, n);
    follow_moved(engine);
    renames_rebase(&engine->renames, moves, n);
    origins_moved(engine, moves, n);
    moves_committed(&engine->moves, moves, n);
}
