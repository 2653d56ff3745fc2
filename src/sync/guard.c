/*
 * The guard
 *
 * A scan that finds most of a root's photos gone may be right, and may be looking at a library that
 * was moved aside, half restored or mounted from the wrong snapshot. Every absence is proven, and
 * yet nobody wants to lose twenty years of names on faces to a mistake. So removals that only a
 * scan found are counted before they are carried out: when they would take more than
 * sync.guard_percent and more than sync.guard_files of a root's rows, they are held until the user
 * confirms them, or the files are back. What an event told of is proof and passes: somebody deleted
 * it while we looked.
 *
 * Held removals are held outside of all counts (settle, in sync): nobody waits for a user.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "sync/engine-private.h"
#include "util/array.h"
#include "util/clock.h"
#include "util/error.h"
#include "util/log.h"

/* What the removals below one root would take. */
typedef struct GuardCount {
    char *root;   /* its path */
    char **paths; /* that are gone */
    size_t n_paths, capacity;
    uint64_t going; /* rows at and below them */
    uint64_t all;   /* rows of the root */
} GuardCount;

typedef struct GuardTask {
    StoreTask task;
    GuardCount *counts;
    size_t n_counts, capacity;
} GuardTask;

/* ---- counting: store's thread ---- */

static int count_root(GuardCount *count, Store *store)
{
    int r;

    count->going = count->all = 0;
    for (size_t i = 0; i < count->n_paths; i++) {
        r = store_count_media(store, count->paths[i], &count->going);
        if (r != 0)
            return r;
    }
    return store_count_media(store, count->root, &count->all);
}

static int guard_work(StoreTask *task, Store *store)
{
    GuardTask *guard = CONTAINER_OF(task, GuardTask, task);

    for (size_t i = 0; i < guard->n_counts; i++) {
        int r = count_root(&guard->counts[i], store);

        if (r != 0)
            return r;
    }
    return 0;
}

static void guard_task_free(GuardTask *guard)
{
    for (size_t i = 0; i < guard->n_counts; i++) {
        GuardCount *count = &guard->counts[i];

        for (size_t k = 0; k < count->n_paths; k++)
            free(count->paths[k]);
        free(count->paths);
        free(count->root);
    }
    free(guard->counts);
    free(guard);
}

/* ---- holding and letting go ---- */

static bool concerns(const Engine *engine, const Change *change, const Root *root)
{
    return !change->live && !change->checked && root_of(engine, change->dir) == root;
}

static void let_pass(Engine *engine, Root *root, uint64_t going)
{
    root->passed += going;
    root->confirmed = false;
    LIST_FOREACH (link, &engine->pending.held) {
        Change *change = CONTAINER_OF(link, Change, link);

        if (concerns(engine, change, root))
            change->checked = true;
    }
}

static void hold_back(Engine *engine, Root *root)
{
    LIST_FOREACH_SAFE (link, tmp, &engine->pending.held) {
        Change *change = CONTAINER_OF(link, Change, link);

        if (!concerns(engine, change, root))
            continue;
        list_remove(&change->link);
        list_append(&root->guarded, &change->link);
        pending_exempt(&engine->pending, change, true);
    }
}

static void tell(Engine *engine, Root *root, const GuardCount *count)
{
    CLEANUP_FREE char *text = NULL;
    FileStamp none = {0};

    if (asprintf(
            &text,
            "%" PRIu64 " of its %" PRIu64 " photos and videos are not on the disk any more: "
            "nothing is removed before it is confirmed (pictopy-sync confirm), or they are back",
            count->going, count->all) < 0) {
        text = NULL;
        return;
    }
    if (!root->guard_told)
        log_event(LOG_LEVEL_WARNING, LOG_EVENT_GUARD, root->id, root->path, "%s: %s", root->path,
                  text);
    engine->n_guard_told += !root->guard_told;
    root->guard_told = true;
    engine_problem(engine, root->path, &none, text);
    engine->snapshot_dirty = true;
}

static Root *find_root(Engine *engine, const char *path)
{
    LIST_FOREACH (link, &engine->roots) {
        Root *root = CONTAINER_OF(link, Root, link);

        if (!root->gone && strcmp(root->path, path) == 0)
            return root;
    }
    return NULL;
}

/* They may come in several lots: what has passed since the scan began counts too. */
static bool is_too_much(const Engine *engine, const Root *root, const GuardCount *count)
{
    const Config *config = engine->config;
    uint64_t going = count->going + root->passed;

    return going > config->sync_guard_files &&
           going * 100 > (count->all + root->passed) * config->sync_guard_percent;
}

static void guard_finish(StoreTask *task)
{
    GuardTask *guard = CONTAINER_OF(task, GuardTask, task);
    Engine *engine = task->engine;
    bool ok = !store_task_cancelled(task) && task->result == 0;

    engine->guarding = false;
    for (size_t i = 0; i < guard->n_counts && ok; i++) {
        Root *root = find_root(engine, guard->counts[i].root);

        if (!root)
            continue;
        if (!root->confirmed && is_too_much(engine, root, &guard->counts[i])) {
            hold_back(engine, root);
            tell(engine, root, &guard->counts[i]);
        } else {
            let_pass(engine, root, guard->counts[i].going);
        }
    }
    guard_task_free(guard);
    engine_changed(engine);
}

/* ---- asking ---- */

static GuardCount *count_for(GuardTask *guard, const char *root)
{
    GuardCount *count;

    for (size_t i = 0; i < guard->n_counts; i++)
        if (strcmp(guard->counts[i].root, root) == 0)
            return &guard->counts[i];
    if (ARRAY_RESERVE(guard->counts, guard->capacity, guard->n_counts + 1) < 0)
        return NULL;
    count = &guard->counts[guard->n_counts];
    *count = (GuardCount){.root = strdup(root)};
    guard->n_counts += count->root != NULL;
    return count->root ? count : NULL;
}

static bool add(Engine *engine, GuardTask *guard, const Change *change)
{
    const Root *root = root_of(engine, change->dir);
    CLEANUP_FREE char *dir = root ? node_path_new(change->dir) : NULL;
    GuardCount *count = dir ? count_for(guard, root->path) : NULL;

    if (!count || ARRAY_RESERVE(count->paths, count->capacity, count->n_paths + 1) < 0)
        return false;
    count->paths[count->n_paths] = path_join(dir, change->name);
    count->n_paths += count->paths[count->n_paths] != NULL;
    return true;
}

/* guard_lets_pass() - may a removal go on? What an event told of may */
bool guard_lets_pass(const Change *change)
{
    return change->live || change->checked;
}

/*
 * guard_look() - have the removals that wait counted, unless they are being counted
 *
 * Not while rows are being written: those of files that were found elsewhere are on their way. One
 * whose root cannot be told any more passes: its directory's own change takes care of it.
 */
void guard_look(Engine *engine)
{
    GuardTask *guard = NULL;

    if (engine->guarding || engine->writing || !list_is_empty(&engine->writes))
        return;
    LIST_FOREACH (link, &engine->pending.held) {
        Change *change = CONTAINER_OF(link, Change, link);

        if (guard_lets_pass(change))
            continue;
        if (!guard)
            guard = calloc(1, sizeof(*guard));
        if (!guard || !add(engine, guard, change))
            change->checked = true;
    }
    if (!guard)
        return;
    guard->task.work = guard_work;
    guard->task.finish = guard_finish;
    engine->guarding = true;
    store_task_submit(&guard->task, engine, WORKER_PRIORITY_HIGH);
}

/* Everything that was held back is looked at once more. */
static void look_again(Engine *engine, Root *root)
{
    for (ListNode *link; (link = list_first(&root->guarded));) {
        Change *change = CONTAINER_OF(link, Change, link);

        pending_exempt(&engine->pending, change, false);
        pending_wait(&engine->pending, change, clock_now());
    }
}

/* guard_scanned() - a root has been compared again: are the files back? */
void guard_scanned(Engine *engine, Root *root)
{
    if (root->compared != 0 && !root->guard_known) {
        /* What an earlier run noted holds only if it is found once more. */
        root->guard_known = true;
        if (!root->guard_told && engine->n_problems > 0)
            engine_problem_clear_one(engine, root->path);
    }
    root->passed = 0;
    look_again(engine, root);
}

/* guard_round() - is nothing held back any more where something was? */
void guard_round(Engine *engine)
{
    bool busy = engine->guarding || engine->pending.n_undecided > 0 ||
                !list_is_empty(&engine->pending.held);

    if (engine->n_guard_told == 0 || busy)
        return;
    LIST_FOREACH (link, &engine->roots) {
        Root *root = CONTAINER_OF(link, Root, link);

        if (!root->guard_told || !list_is_empty(&root->guarded))
            continue;
        root->guard_told = false;
        engine->n_guard_told--;
        engine_problem_clear_one(engine, root->path);
        engine->snapshot_dirty = true;
    }
}

/* guard_confirm() - the user says that the files are gone for good; false: nothing is held back */
bool guard_confirm(Engine *engine, Root *root)
{
    if (list_is_empty(&root->guarded))
        return false;
    log_event(LOG_LEVEL_NOTICE, LOG_EVENT_GUARD, root->id, root->path,
              "%s: the removal of photos that are not on the disk any more is confirmed",
              root->path);
    root->confirmed = true;
    look_again(engine, root);
    return true;
}

/* guard_clear() - a root is not watched any more */
void guard_clear(Engine *engine, Root *root)
{
    look_again(engine, root);
    engine->n_guard_told -= root->guard_told;
    root->guard_told = root->confirmed = false;
}
