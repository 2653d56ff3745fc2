/*
 * Writing
 *
 * Everything that changes a row passes here. Operations queue up while a batch is with the store
 * and go together when it comes back: a single change is written at once, a flood in large batches.
 * Only a directory's time, which a new file changes, waits for the file to be read and goes with
 * its row.
 *
 * A queued operation knows its directory and name, not its path; the path, and the metadata that
 * contains it, are put together when the batch is made.
 */
#include <stdlib.h>
#include <string.h>

#include "media/metadata.h"
#include "sync/engine-private.h"
#include "util/clock.h"
#include "util/error.h"

#define RETRY_FAILED (10 * CLOCK_US_PER_SEC)
#define LAZY_MAX     (100 * CLOCK_US_PER_MS)

typedef struct Batch {
    StoreTask task;
    Write **writes;
    StoreOp *ops; /* in the order of writes; moved out of them while under way */
    size_t count;
    char **unsure; /* places_unsure() */
} Batch;

/* batch_new() - an operation on name in dir (NULL: one that needs no path) */
Write *batch_new(StoreOpKind kind, Node *dir, const char *name)
{
    Write *write = calloc(1, sizeof(*write));

    if (!write)
        return NULL;
    store_op_init(&write->op, kind);
    if (dir) {
        write->name = strdup(name);
        write->dir = node_ref(dir);
        if (!write->name)
            return write_free(write);
    }
    return write;
}

/* write_free() - free an operation; its change is left alone. Returns NULL */
Write *write_free(Write *write)
{
    if (!write)
        return NULL;
    list_remove(&write->link);
    if (write->rename)
        write->rename->writing = NULL;
    store_op_done(&write->op);
    (void)node_unref(write->dir);
    (void)media_task_free(write->task);
    (void)move_free(write->move);
    free(write->name);
    free(write);
    return NULL;
}

void batch_add(Engine *engine, Write *write)
{
    if (write->lazy && engine->n_lazy++ == 0)
        engine->lazy_due = clock_now() + LAZY_MAX;
    list_append(&engine->writes, &write->link);
    engine->n_writes++;
}

/*
 * batch_add_stamp() - note what file a row is of by now
 * @row: its id, folder, kind and fingerprint are read
 *
 * Without memory the next scan does.
 */
void batch_add_stamp(Engine *engine, const StoreRow *row, const FileStamp *stamp)
{
    Write *write = batch_new(STORE_OP_STAMP, NULL, NULL);

    if (!write)
        return;
    write->op.media = row->kind;
    write->op.id = strdup(row->id);
    write->op.folder_id = row->folder_id ? strdup(row->folder_id) : NULL;
    write->op.stamp = *stamp;
    write->op.has_fingerprint = row->has_fingerprint;
    write->op.fingerprint = row->fingerprint;
    if (write->op.id && (write->op.folder_id || !row->folder_id))
        batch_add(engine, write);
    else
        (void)write_free(write);
}

static Write *next_write(Engine *engine)
{
    ListNode *link = list_take(&engine->writes);
    Write *write = link ? CONTAINER_OF(link, Write, link) : NULL;

    if (!write)
        return NULL;
    engine->n_writes--;
    engine->n_lazy -= write->lazy;
    return write;
}

/* Whether there is nothing to be written but what can wait for a file that is being read: its row
 * would have to wait for this commit. */
static bool is_lazy(const Engine *engine)
{
    return engine->n_lazy > 0 && engine->n_lazy == engine->n_writes &&
           !moves_are_due(&engine->moves) && engine->media_done < engine->media_total &&
           clock_now() < engine->lazy_due;
}

/* ---- making a batch ---- */

static int resolve_media(Write *write, const char *path)
{
    MediaTask *task = write->task;
    StoreOp *op = &write->op;
    MediaFacts *facts = &task->media.facts;
    const char *captured = media_facts_captured_at(facts);

    if (captured)
        (void)strncpy(op->captured_at, captured, sizeof(op->captured_at) - 1);
    op->has_location = facts->has_location;
    op->latitude = facts->latitude;
    op->longitude = facts->longitude;
    op->has_fingerprint = true;
    op->fingerprint = facts->fingerprint;
    op->stamp = task->seen;
    op->stamp.size = facts->stamp.size;
    op->stamp.mtime_ns = facts->stamp.mtime_ns;
    op->thumbnail_fd = STEAL_FD(task->media.thumbnail_fd);
    return metadata_compose(facts, path, task->metadata, &op->metadata);
}

/* Puts the path together. False when its directory is gone, and the operation with it, or the file
 * is another one. */
static bool resolve(Write *write)
{
    StoreOp *op = &write->op;
    CLEANUP_FREE char *dir = NULL;
    char *path;

    if (!write->dir)
        return true;
    if (write->task && write->change && write->change->overtaken)
        return false;
    if (write->dir->detached && op->kind != STORE_OP_MEDIA_REMOVE)
        return false;
    dir = node_path_new(write->dir);
    if (!dir)
        return false;
    path = write->name[0] == '\0' ? STEAL_PTR(dir) : path_join(dir, write->name);
    if (!path)
        return false;
    if (op->kind == STORE_OP_MEDIA_MOVE)
        op->new_path = path;
    else
        op->path = path;
    return !write->task || resolve_media(write, path) == 0;
}

static void discard(Engine *engine, Write *write)
{
    if (write->change)
        pending_finish(&engine->pending, write->change, clock_now());
    (void)write_free(write);
}

/* Takes the move over. NULL without memory. */
static Write *move_write(Move *move)
{
    Write *write = batch_new(STORE_OP_FOLDER_MOVE, NULL, NULL);

    if (!write) {
        (void)move_free(move);
        return NULL;
    }
    write->move = move;
    write->op.path = strdup(move->rows_path);
    write->op.new_path = strdup(move->target);
    return write->op.path && write->op.new_path ? write : write_free(write);
}

/* The moves of directories, all as a batch of their own. */
static void take_moves(Engine *engine, List *taken)
{
    const List *moves = moves_take(&engine->moves);

    LIST_FOREACH_SAFE (link, tmp, moves) {
        Write *write = move_write(CONTAINER_OF(link, Move, link));

        if (write)
            list_append(taken, &write->link);
    }
}

/* batch_paths_wait() - are the paths of directories not final, for one in the tree is where it is
 * not on disk? Then no move can be carried out. */
bool batch_paths_wait(const Engine *engine)
{
    return watcher_waits(engine->watcher) || displaced_under_way(engine);
}

/* batch_moves_pending() - is there a directory whose rows are elsewhere, or may there be? Nothing
 * else is looked up or written then: its paths would not agree with the rows */
bool batch_moves_pending(const Engine *engine)
{
    return engine->moving || moves_are_due(&engine->moves) ||
           !list_is_empty(&engine->renames.asked) || batch_paths_wait(engine);
}

static void take_writes(Engine *engine, List *taken)
{
    take_moves(engine, taken);
    if (list_is_empty(taken) && moves_are_due(&engine->moves))
        return; /* no memory: nothing else is written before them */
    inspections_end(engine);
    if (list_is_empty(taken))
        follow_take(engine, taken);
    else
        follow_take_below(engine, taken);
    engine->moving = !list_is_empty(taken);
    if (engine->moving)
        return;
    for (size_t n = 0; n < ENGINE_BATCH_MAX;) {
        Write *write = next_write(engine);

        if (!write)
            return;
        if (!resolve(write)) {
            discard(engine, write);
            continue;
        }
        list_append(taken, &write->link);
        n++;
    }
}

/* ---- when a batch comes back ---- */

static void batch_free(Batch *batch)
{
    free(batch->writes);
    free(batch->ops);
    places_unsure_free(batch->unsure);
    free(batch);
}

static void batch_finished(StoreTask *task)
{
    Batch *batch = CONTAINER_OF(task, Batch, task);
    Engine *engine = task->engine;
    bool cancelled = store_task_cancelled(task);

    engine->writing = engine->moving = false;
    for (size_t i = 0; i < batch->count; i++)
        batch->writes[i]->op = batch->ops[i];
    if (!cancelled)
        committed_moves(engine, batch->writes, batch->count);
    for (size_t i = 0; i < batch->count; i++) {
        Write *write = batch->writes[i];

        if (cancelled && write->op.kind == STORE_OP_FOLDER_REMOVE)
            own_gone_committed(engine, write->op.path);
        if (cancelled && write->change)
            pending_finish(&engine->pending, write->change, clock_now());
        else if (!cancelled)
            committed_write(engine, write);
        (void)write_free(write);
    }
    batch_free(batch);
    engine_changed(engine);
}

static bool touches_problems(const Batch *batch)
{
    for (size_t i = 0; i < batch->count; i++)
        if (batch->ops[i].kind == STORE_OP_PROBLEM || batch->ops[i].kind == STORE_OP_PROBLEM_CLEAR)
            return true;
    return false;
}

static bool removes(const Batch *batch)
{
    for (size_t i = 0; i < batch->count; i++)
        if (batch->ops[i].kind != STORE_OP_MEDIA_ADD &&
            batch->ops[i].kind != STORE_OP_MEDIA_UPDATE && batch->ops[i].kind != STORE_OP_STAMP)
            return true;
    return false;
}

static int batch_work(StoreTask *task, Store *store)
{
    Batch *batch = CONTAINER_OF(task, Batch, task);
    int r;

    store_avoid(store, batch->unsure);
    r = store_write(store, batch->ops, batch->count);
    store_avoid(store, NULL);
    return r;
}

static Batch *batch_make(List *taken)
{
    Batch *batch = calloc(1, sizeof(*batch));
    size_t count = 0;

    LIST_FOREACH (link, taken)
        count++;
    if (!batch)
        return NULL;
    batch->writes = calloc(count, sizeof(*batch->writes));
    batch->ops = calloc(count, sizeof(*batch->ops));
    if (!batch->writes || !batch->ops) {
        batch_free(batch);
        return NULL;
    }
    for (ListNode *link; (link = list_take(taken));) {
        Write *write = CONTAINER_OF(link, Write, link);

        batch->writes[batch->count] = write;
        batch->ops[batch->count++] = write->op;
    }
    return batch;
}

/* batch_run() - hand what has queued up to the store, unless it still has a batch */
void batch_run(Engine *engine)
{
    List taken;
    Batch *batch;

    excluded_save(engine);
    if (engine->writing || (list_is_empty(&engine->writes) && !moves_are_due(&engine->moves) &&
                            list_is_empty(&engine->renames.asked)))
        return;
    if (is_lazy(engine) || batch_paths_wait(engine) || kept_moves(engine) ||
        inspections_wait(engine))
        return;
    list_init(&taken);
    take_writes(engine, &taken);
    if (list_is_empty(&taken))
        return;
    batch = batch_make(&taken);
    if (!batch) {
        for (ListNode *link; (link = list_first(&taken));)
            discard(engine, CONTAINER_OF(link, Write, link));
        engine->moving = false;
        return;
    }
    engine->writing = true;
    ahead_batch(engine, batch->ops, batch->count);
    histogram_add(&engine->counters.batches, batch->count);
    batch->unsure = removes(batch) ? places_unsure(engine) : NULL;
    batch->task.problems_differ = touches_problems(batch);
    batch->task.work = batch_work;
    batch->task.finish = batch_finished;
    store_task_submit(&batch->task, engine, WORKER_PRIORITY_HIGH);
}

uint64_t batch_due(const Engine *engine)
{
    if (moves_are_due(&engine->moves) && engine->kept_until > clock_now())
        return engine->kept_until;
    return !engine->writing && is_lazy(engine) ? engine->lazy_due : UINT64_MAX;
}

/* batch_clear() - drop what has not been handed to the store (the next scan finds it again) */
void batch_clear(Engine *engine)
{
    for (Write *write; (write = next_write(engine));)
        discard(engine, write);
}
