/*
 * Looking ahead
 *
 * A photo that has just been written waits for its settle time, and then for the store's thread,
 * which may be in the middle of a commit: some milliseconds, tens on a busy disk, first for its
 * row to be looked up and then once more to be written. But the look-up need not wait until the
 * photo is due. While a change settles, its file's inode is taken and the rows are asked whether
 * they know it. Nearly always they do not, a new photo is new; and when the change is due and
 * nothing has happened that could have made it known, it is not looked up again.
 *
 * Only "no row knows it" is kept, and it is void
 *
 *   - after any event about the name (pending_touch()), since that is another file then;
 *   - when the file that is there at last has another inode, or its directory another path;
 *   - when rows are following renamed files (sync/renames.c);
 *   - when a batch was handed over since that writes to one of its paths or with its inode, or
 *     moves or removes folders, and when a task has failed or a scan has written stamps.
 *
 * What other programs write meanwhile is no concern: they may write as well between a look-up and
 * its batch, and the store looks again within the transaction.
 *
 * Looks are few: one at a time for each volume, about all that will be due soon. When many changes
 * are pending it is not done at all, as they are looked up together at little cost.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "sync/engine-private.h"
#include "util/clock.h"
#include "util/error.h"

#define BEGIN_BEFORE (120 * CLOCK_US_PER_MS) /* it is due, a look is begun for a change, */
#define TAKE_BEFORE  (200 * CLOCK_US_PER_MS) /* and takes along those that are due by then */
#define LOOK_MAX     64                      /* changes, so that the read is short */
#define PENDING_MAX  512
#define SLOTS        4096 /* a power of two; two that share one only cost a look-up */

typedef struct Seen {
    Node *dir;        /* referenced */
    const char *name; /* the probe's */
    unsigned touches; /* of its change, when the look began */
    Entry entry;      /* what is there */
    char *path;       /* NULL: not to be looked up */
    bool is_new;
} Seen;

typedef struct Look {
    Engine *engine;
    Volume *volume;
    ProbeJob probe;
    StoreTask lookup;
    uint64_t number; /* Ahead.number when the rows were asked for */
    size_t n_items;
    Seen items[LOOK_MAX];
} Look;

int ahead_init(Engine *engine)
{
    engine->ahead.written = calloc(SLOTS, sizeof(*engine->ahead.written));
    return engine->ahead.written ? 0 : error_trace(-ENOMEM);
}

void ahead_done(Engine *engine)
{
    free(engine->ahead.written);
    engine->ahead.written = NULL;
}

/* ---- what was written meanwhile ---- */

static uint64_t path_hash(const char *path)
{
    return path ? hash_bytes(path, strlen(path), 0) : 0;
}

static uint64_t *written_path(const Engine *engine, uint64_t hash)
{
    return &engine->ahead.written[hash & (SLOTS - 1)];
}

static uint64_t *written_inode(const Engine *engine, uint64_t dev, uint64_t ino)
{
    const uint64_t key[] = {dev, ino};

    return written_path(engine, hash_bytes(key, sizeof(key), 1));
}

/* ahead_forget() - whatever was seen so far may have changed */
void ahead_forget(Engine *engine)
{
    engine->ahead.forgotten = ++engine->ahead.number;
}

/* ahead_batch() - ops are handed to the store now: what they write is not what was seen before */
void ahead_batch(Engine *engine, const StoreOp *ops, size_t n_ops)
{
    uint64_t number = ++engine->ahead.number;

    for (size_t i = 0; i < n_ops; i++) {
        const StoreOp *op = &ops[i];

        if (op->kind == STORE_OP_FOLDER_MOVE || op->kind == STORE_OP_FOLDER_REMOVE)
            engine->ahead.forgotten = number;
        if (op->path)
            *written_path(engine, path_hash(op->path)) = number;
        if (op->new_path)
            *written_path(engine, path_hash(op->new_path)) = number;
        if (op->stamp.ino != 0)
            *written_inode(engine, op->stamp.dev, op->stamp.ino) = number;
    }
}

/* ahead_is_new() - does no row know the file of this item, whose paths and entry are set? */
bool ahead_is_new(Engine *engine, const Sighting *item)
{
    const ChangeAhead *seen = &item->change->ahead;
    const FileStamp *stamp = &item->entry.stamp;

    if (!seen->is_new || seen->number < engine->ahead.forgotten || engine->renames.count > 0 ||
        item->directory != PROBE_RESULT_OK || item->entry.type != ENTRY_TYPE_FILE)
        return false;
    if (seen->dev != stamp->dev || seen->ino != stamp->ino || seen->path != path_hash(item->path))
        return false;
    if (*written_path(engine, seen->path) > seen->number ||
        *written_inode(engine, seen->dev, seen->ino) > seen->number)
        return false;
    engine->counters.lookups_saved++;
    return true;
}

/* ---- the look ---- */

static void look_free(Look *look)
{
    look->volume->ahead = false;
    (void)volume_release(look->volume);
    probe_job_done(&look->probe);
    for (size_t i = 0; i < look->n_items; i++) {
        (void)node_unref(look->items[i].dir);
        free(look->items[i].path);
    }
    free(look);
}

/* The change that the look was about, unless something has happened to it since. */
static Change *change_of(const Look *look, const Seen *item)
{
    Change *change = pending_find(&look->engine->pending, item->dir, item->name);

    return change && change->touches == item->touches && change->ahead.asked ? change : NULL;
}

static int read_inode(const Seen *item, Store *store, bool *ret_known)
{
    StoreRows rows = {0};
    int r = store_read_inode(store, item->entry.stamp.dev, item->entry.stamp.ino, &rows);

    *ret_known = rows.count > 0;
    store_rows_done(&rows);
    return r;
}

static int read_path(const char *path, Store *store, bool *ret_known)
{
    StoreRow row = {0};
    bool below = false;
    int r = store_read_row(store, path, &row, &below);

    *ret_known = row.id || below;
    store_row_done(&row);
    return r;
}

static int look_up_item(Seen *item, Store *store)
{
    bool known = false;
    int r = 0;

    item->is_new = false;
    if (!item->path)
        return 0;
    r = read_path(item->path, store, &known);
    if (r == 0 && !known)
        r = read_inode(item, store, &known);
    item->is_new = r == 0 && !known;
    return r;
}

/* Store's thread. At most LOOK_MAX rows by their keys: a few milliseconds, cold ones too. */
static int look_up(StoreTask *task, Store *store)
{
    Look *look = CONTAINER_OF(task, Look, lookup);
    int r = store_read_begin(store);

    for (size_t i = 0; i < look->n_items && r == 0; i++)
        r = look_up_item(&look->items[i], store);
    store_read_end(store);
    return r;
}

static void looked_up(StoreTask *task)
{
    Look *look = CONTAINER_OF(task, Look, lookup);
    bool ok = !store_task_cancelled(task) && task->result == 0;

    for (size_t i = 0; i < look->n_items && ok; i++) {
        const Seen *item = &look->items[i];
        Change *change = item->is_new ? change_of(look, item) : NULL;

        if (!change)
            continue;
        look->engine->counters.lookups_ahead++;
        change->ahead = (ChangeAhead){.asked = true,
                                      .is_new = true,
                                      .number = look->number,
                                      .path = path_hash(item->path),
                                      .dev = item->entry.stamp.dev,
                                      .ino = item->entry.stamp.ino};
    }
    look_free(look);
}

static void take_answer(Look *look, const ProbeName *answer)
{
    Seen *item = answer->owner;
    const Change *change = change_of(look, item);

    item->entry = answer->entry;
    if (change && answer->entry.type == ENTRY_TYPE_FILE)
        item->path = change_path_new(change);
}

/* False: nothing of it is to be looked up. */
static bool take_answers(Look *look)
{
    bool any = false;

    for (size_t i = 0; i < look->probe.n_directories; i++) {
        const ProbeDirectory *directory = &look->probe.directories[i];

        for (size_t k = 0; k < directory->n_names && directory->result == PROBE_RESULT_OK; k++)
            take_answer(look, &directory->names[k]);
    }
    for (size_t i = 0; i < look->n_items; i++)
        any |= look->items[i].path != NULL;
    return any;
}

static void probed(WorkerJob *job)
{
    Look *look = CONTAINER_OF(job, Look, probe.job);
    Engine *engine = look->engine;

    volume_answered(engine, look->volume);
    /* A batch that waits to be tried again is not in what would be read. */
    if (job->cancelled || engine->stopping || batch_moves_pending(engine) ||
        !list_is_empty(&engine->retries) || !take_answers(look)) {
        look_free(look);
        return;
    }
    look->number = engine->ahead.number;
    look->lookup.work = look_up;
    look->lookup.finish = looked_up;
    store_task_submit(&look->lookup, engine, WORKER_PRIORITY_HIGH);
}

/* Changes of one directory mostly come one after the other. */
static int look_directory(Look *look, const Node *dir, ProbeDirectory **directory)
{
    if (look->n_items > 0 && look->items[look->n_items - 1].dir == dir)
        return 0;
    return probe_node(&look->probe, dir, directory);
}

static int look_add(Look *look, Change *change, ProbeDirectory **directory)
{
    Seen *item = &look->items[look->n_items];
    int r = look_directory(look, change->dir, directory);

    change->ahead.asked = true;
    if (r == 0 && *directory)
        r = probe_directory_add(*directory, change->name, item);
    if (r < 0 || !*directory) {
        *directory = NULL; /* it is nobody's, or not that of the last one */
        return error_trace(r < 0 ? r : -ENOMEM);
    }
    item->dir = node_ref(change->dir);
    item->name = (*directory)->names[(*directory)->n_names - 1].name;
    item->touches = change->touches;
    look->n_items++;
    return 0;
}

static Look *look_new(Engine *engine, Volume *volume)
{
    Look *look = calloc(1, sizeof(*look));

    if (!look)
        return NULL;
    look->engine = engine;
    look->volume = volume_use(volume);
    probe_job_init(&look->probe, probed);
    return look;
}

/* ---- what to look at ---- */

static bool may_look(const Engine *engine)
{
    return engine->running && engine->pending.count <= PENDING_MAX &&
           !batch_moves_pending(engine) && list_is_empty(&engine->retries);
}

/* The volume that this change is to be looked at on; NULL: not now, or not at all. */
static Volume *volume_for(const Engine *engine, const Change *change)
{
    Volume *volume;

    if (change->ahead.asked || change->dir->detached ||
        media_kind_of(change->name) == MEDIA_KIND_NONE)
        return NULL;
    volume = volume_of(engine, change->dir);
    return volume && !volume->ahead && !volume->hung ? volume : NULL;
}

/* The first change of a queue that can be looked at and is due before a time; NULL: none. */
static Change *next_of(const Engine *engine, ChangeWait wait, uint64_t before)
{
    LIST_FOREACH (link, &engine->pending.queues[wait]) {
        Change *change = CONTAINER_OF(link, Change, link);

        if (change->due > before)
            return NULL;
        if (volume_for(engine, change))
            return change;
    }
    return NULL;
}

static void look_fill(Look *look, ChangeWait wait, uint64_t before, ProbeDirectory **directory)
{
    LIST_FOREACH (link, &look->engine->pending.queues[wait]) {
        Change *change = CONTAINER_OF(link, Change, link);

        if (change->due > before || look->n_items == LOOK_MAX)
            return;
        if (volume_for(look->engine, change) == look->volume &&
            look_add(look, change, directory) < 0)
            return;
    }
}

static void look_start(Engine *engine, Volume *volume, uint64_t before)
{
    Look *look = look_new(engine, volume);
    ProbeDirectory *directory = NULL;

    if (!look)
        return;
    for (ChangeWait wait = CHANGE_WAIT_SETTLE; wait < CHANGE_WAIT_COUNT; wait++)
        look_fill(look, wait, before, &directory);
    volume->ahead = true;
    if (look->n_items > 0)
        volume_submit(engine, volume, &look->probe.job);
    else
        look_free(look);
}

/* ahead_run() - begin to look at what will be due soon */
void ahead_run(Engine *engine)
{
    uint64_t now = clock_now();

    if (!may_look(engine))
        return;
    for (ChangeWait wait = CHANGE_WAIT_SETTLE; wait < CHANGE_WAIT_COUNT; wait++)
        for (Change *change; (change = next_of(engine, wait, now + BEGIN_BEFORE));) {
            look_start(engine, volume_of(engine, change->dir), now + TAKE_BEFORE);
            change->ahead.asked = true; /* also where memory was short */
        }
}

/* ahead_due() - when the next look is to begin, µs; UINT64_MAX when something else will tell */
uint64_t ahead_due(const Engine *engine)
{
    uint64_t due = UINT64_MAX;

    if (!may_look(engine))
        return UINT64_MAX;
    for (ChangeWait wait = CHANGE_WAIT_SETTLE; wait < CHANGE_WAIT_COUNT; wait++) {
        const Change *change = next_of(engine, wait, UINT64_MAX);

        if (change && change->due - BEGIN_BEFORE < due)
            due = change->due - BEGIN_BEFORE;
    }
    return due;
}
