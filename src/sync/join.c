/*
 * Comparing listings with rows
 *
 * A slice of a scan brings the listings of some directories. Here the store's thread compares them
 * with the rows, and every name that differs becomes a pending change.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "sync/engine-private.h"
#include "util/clock.h"
#include "util/error.h"
#include "util/log.h"

/* Node.mtime: two looks disagree, so what is found next is written, whatever the row says: an older
 * time may be on its way to it. */
#define MTIME_DOUBTED (INT64_MIN + 1)

typedef struct Join {
    StoreTask task;
    Scan *scan;
    JoinDirectory *directories;
    size_t count;
    size_t next;
    uint64_t moves_begun; /* Tree.n_moves when the rows were asked for */
} Join;

static bool knows_inode(void *context, const FileStamp *stamp, const char *id)
{
    StoreRows rows = {0};
    bool other = false;

    if (store_read_inode(context, stamp->dev, stamp->ino, &rows) != 0)
        return true; /* to be looked at closer */
    for (size_t i = 0; i < rows.count; i++)
        other |= strcmp(rows.items[i].id, id) != 0;
    store_rows_done(&rows);
    return other;
}

static int join_directory(JoinDirectory *directory, Store *store)
{
    int r = store_read_directory(store, directory->path, &directory->rows);

    if (r != 0)
        return r;
    directory->rows.made_here = directory->made_here;
    r = reconcile_directory(directory->listing, &directory->rows, &directory->proof, knows_inode,
                            store, &directory->result);
    if (r == 0)
        r = origin_look_up(directory, store);
    return r;
}

/* The stamps of all directories in one call: each is a small write to the state database. */
static int write_stamps(Join *join, Store *store)
{
    CLEANUP_FREE StoreOp *stamps = NULL;
    size_t count = 0;
    size_t n = 0;
    int r;

    for (size_t i = 0; i < join->count; i++)
        count += join->directories[i].result.n_stamps;
    if (count == 0)
        return 0;
    stamps = calloc(count, sizeof(*stamps));
    if (!stamps)
        return error_trace(-ENOMEM);
    for (size_t i = 0; i < join->count; i++) {
        ReconcileResult *result = &join->directories[i].result;

        /* Moved out: the results no longer own them. */
        if (result->n_stamps > 0)
            memcpy(&stamps[n], result->stamps, result->n_stamps * sizeof(*stamps));
        n += result->n_stamps;
        result->n_stamps = 0;
    }
    r = store_write(store, stamps, count);
    for (size_t i = 0; i < count; i++)
        store_op_done(&stamps[i]);
    return r < 0 ? error_trace(r) : 0; /* those not written are adopted by a later scan */
}

/* Store's thread. A join that found the database locked goes on where it stopped. */
static int join_work(StoreTask *task, Store *store)
{
    Join *join = CONTAINER_OF(task, Join, task);
    uint64_t begun = clock_now();
    int r = store_read_begin(store);

    while (r == 0 && join->next < join->count) {
        r = join_directory(&join->directories[join->next], store);
        if (r == 0)
            join->next++;
        if (r == 0 && clock_now() - begun > 20 * CLOCK_US_PER_MS) {
            store_read_end(store);
            begun = clock_now();
            r = store_read_begin(store);
        }
    }
    store_read_end(store);
    return r == 0 ? write_stamps(join, store) : r;
}

static void join_free(Join *join)
{
    for (size_t i = 0; i < join->count; i++) {
        JoinDirectory *directory = &join->directories[i];

        reconcile_result_done(&directory->result);
        store_directory_done(&directory->rows);
        store_origin_done(&directory->origin);
        (void)listing_free(directory->listing);
        (void)node_unref(directory->node);
        free(directory->path);
    }
    free(join->directories);
    free(join);
}

/* The folder's row; where only we know its directory as another one, PictoPy.db is left alone. */
static void write_folder(Engine *engine, const JoinDirectory *directory)
{
    const StoreDirectory *rows = &directory->rows;
    const Listing *listing = directory->listing;
    bool is_right = rows->folder_id && rows->folder_mtime == listing->mtime &&
                    directory->node->mtime != MTIME_DOUBTED;
    Write *write =
        batch_new(is_right ? STORE_OP_STAMP : STORE_OP_FOLDER_ENSURE, directory->node, "");

    if (!write)
        return;
    write->op.folder_id = is_right ? strdup(rows->folder_id) : NULL;
    write->op.mtime = listing->mtime;
    write->op.has_volume = true;
    write->op.volume = listing->volume;
    write->op.ino = listing->ino;
    write->op.born = listing->born;
    batch_add(engine, write);
}

/* A round may have seen a later time since the listing was made, or this comparison the row of
 * before another one's write: whichever is written last, the directory is looked at again. */
static void note_time(Engine *engine, Node *node, int64_t mtime)
{
    if (node->mtime == INT64_MIN || node->mtime == MTIME_DOUBTED || node->mtime == mtime) {
        node->mtime = mtime;
        return;
    }
    node->mtime = MTIME_DOUBTED;
    (void)engine_touch(engine, node, "", CHANGE_WAIT_NONE);
}

/*
 * Were the rows read that this directory has? It may have been moved, or one above it: then they
 * were where it was before, or have followed it since. The store's thread does one thing after the
 * other, so those whose move is not known to be committed were at their older path.
 */
static bool has_read_its_rows(const Join *join, const JoinDirectory *directory)
{
    const Engine *engine = join->task.engine;

    if (directory->astray)
        return false;
    return (engine->tree->n_moves == join->moves_begun && engine->moves.by_node.count == 0) ||
           moves_are_at(&engine->moves, directory->node, directory->path);
}

/* Its row would make one of a directory above it, whose rows are still to be found. */
static bool is_ahead(Engine *engine, const Node *node)
{
    return engine->pending.count < ENGINE_PENDING_MAX / 2 &&
           engine->n_dirty < ENGINE_DIRTY_MAX / 2 && node->parent && !node_is_moving(node) &&
           node_is_ahead(engine, node->parent);
}

static void join_apply(const Join *join, JoinDirectory *directory)
{
    Engine *engine = join->task.engine;
    ReconcileResult *result = &directory->result;

    if (directory->node->detached)
        return;
    if (!has_read_its_rows(join, directory) || is_ahead(engine, directory->node)) {
        dirty_add_late(engine, directory->node);
        return;
    }
    if (result->verdict != RECONCILE_VERDICT_TRUSTED && directory->node->made_here &&
        !directory->made_here) {
        /* Its row, and those of its files, were made behind this listing: it may pass for empty. */
        dirty_add(engine, directory->node, true);
        return;
    }
    place_prove(engine, directory->node, result);
    if (result->verdict != RECONCILE_VERDICT_TRUSTED || origins_take(engine, directory))
        return;
    if (directory->left_begun == engine->directories_left) /* else it may have been renamed since */
        excluded_listed(engine, directory->path, directory->listing);
    engine->counters.files_unchanged += result->n_unchanged;
    if (result->folder_differs || directory->node->mtime == MTIME_DOUBTED)
        write_folder(engine, directory);
    note_time(engine, directory->node, directory->listing->mtime);
    for (size_t i = 0; i < result->n_names; i++) {
        Change *change = engine_touch(engine, directory->node, result->names[i], CHANGE_WAIT_NONE);

        if (!change)
            return; /* no room: it is listed again when there is */
        change->found = true;
    }
}

static void joined(StoreTask *task)
{
    Join *join = CONTAINER_OF(task, Join, task);
    Engine *engine = task->engine;
    Scan *scan = join->scan;
    bool ok = !store_task_cancelled(task) && task->result == 0;
    bool trusted = true;

    engine->n_joins--;
    scan->n_joins--;
    ahead_forget(engine); /* it may have written stamps */
    for (size_t i = 0; i < join->count && ok; i++) {
        JoinDirectory *directory = &join->directories[i];

        join_apply(join, directory);
        if (directory->listing->id == 1)
            trusted = directory->result.verdict != RECONCILE_VERDICT_FOREIGN;
    }
    join_free(join);
    scan_joined(scan, ok, trusted);
    engine_changed(engine);
}

/*
 * join_start() - have the store's thread compare listings with their rows
 * @directories: count of them, taken over; their differences become pending changes
 *
 * scan_joined() is called when it is done.
 */
void join_start(Scan *scan, JoinDirectory *directories, size_t count)
{
    Engine *engine = scan->engine;
    Join *join = calloc(1, sizeof(*join));

    if (!join) { /* compared another time */
        for (size_t i = 0; i < count; i++) {
            dirty_add(engine, directories[i].node, true);
            (void)listing_free(directories[i].listing);
            (void)node_unref(directories[i].node);
            free(directories[i].path);
        }
        free(directories);
        return;
    }
    for (size_t i = 0; i < count; i++) {
        directories[i].n_rows_moved = engine->n_rows_moved;
        directories[i].astray =
            moves_know(&engine->moves, directories[i].node) &&
            !moves_are_at(&engine->moves, directories[i].node, directories[i].path);
    }
    join->moves_begun = engine->tree->n_moves;
    join->scan = scan;
    join->directories = directories;
    join->count = count;
    join->task.work = join_work;
    join->task.finish = joined;
    scan->n_joins++;
    engine->n_joins++;
    engine->counters.joins++;
    store_task_submit(&join->task, engine, WORKER_PRIORITY_LOW);
}
