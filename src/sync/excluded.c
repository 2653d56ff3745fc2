/*
 * Folders that the user removed in the app
 *
 * A folder whose row vanished without our doing while its directory is on disk was removed by the
 * user. It is remembered as excluded, in the state database too, and stays away until it is
 * registered again or its directory is made anew.
 *
 * Rows also vanish because we remove or move them. Those are noted when that is decided, and
 * forgotten when the table has been read by a reading that began behind the commit: an older one
 * still shows the row, and a note that was dropped then would make the next one look like the
 * user's doing.
 */
#include <stdlib.h>
#include <string.h>

#include "sync/engine-private.h"
#include "util/log.h"
#include "util/path.h"

#define OWN_GONE_MAX 4096

typedef struct OwnGone {
    ListNode link;  /* Engine.own_gone */
    uint64_t until; /* known to readings behind this one; UINT64_MAX: not committed yet */
    char path[];
} OwnGone;

typedef struct ExcludeTask {
    StoreTask task;
    char *path;
    bool exclude;
} ExcludeTask;

static int exclude_work(StoreTask *task, Store *store)
{
    ExcludeTask *exclude = CONTAINER_OF(task, ExcludeTask, task);

    return exclude->exclude ? store_exclude(store, exclude->path)
                            : store_include(store, exclude->path);
}

static void exclude_finish(StoreTask *task)
{
    ExcludeTask *exclude = CONTAINER_OF(task, ExcludeTask, task);

    free(exclude->path);
    free(exclude);
}

static void remember(Engine *engine, const char *path, bool exclude)
{
    ExcludeTask *task = calloc(1, sizeof(*task));

    if (!task)
        return;
    task->path = strdup(path);
    task->exclude = exclude;
    task->task.work = exclude_work;
    task->task.finish = exclude_finish;
    if (!task->path) {
        free(task);
        return;
    }
    store_task_submit(&task->task, engine, WORKER_PRIORITY_HIGH);
}

/* Takes those at and below a path out of the list. */
static bool drop_within(Engine *engine, const char *path)
{
    size_t kept = 0;

    for (size_t i = 0; i < engine->n_excluded; i++) {
        char *excluded = engine->excluded[i];

        if (path_is_within(excluded, path))
            free(excluded);
        else
            engine->excluded[kept++] = excluded;
    }
    if (kept == engine->n_excluded)
        return false;
    engine->n_excluded = kept;
    remember(engine, path, false);
    return true;
}

/* excluded_add() - keep away from a folder from now on, and so from all that is below it; the
 * caller puts the rules together anew */
void excluded_add(Engine *engine, const char *path)
{
    char **grown = reallocarray(engine->excluded, engine->n_excluded + 1, sizeof(char *));
    char *copy = strdup(path);

    if (grown)
        engine->excluded = grown;
    if (!grown || !copy) {
        free(copy);
        return;
    }
    (void)drop_within(engine, path);
    engine->excluded[engine->n_excluded++] = copy;
    remember(engine, path, true);
}

/* excluded_remember() - the state database was lost, and with it what was noted there */
void excluded_remember(Engine *engine)
{
    for (size_t i = 0; i < engine->n_excluded; i++)
        remember(engine, engine->excluded[i], true);
}

bool excluded_any_within(const Engine *engine, const char *path)
{
    for (size_t i = 0; i < engine->n_excluded; i++)
        if (path_is_within(engine->excluded[i], path))
            return true;
    return false;
}

/* excluded_forget() - a folder was registered again, or its directory made anew: was it excluded?
 */
bool excluded_forget(Engine *engine, const char *path)
{
    if (!drop_within(engine, path))
        return false;
    (void)rules_build(engine);
    return true;
}

/* excluded_forget_one() - another directory has come to exactly this path: was one excluded there?
 */
bool excluded_forget_one(Engine *engine, const char *path)
{
    bool found = false;

    for (size_t i = 0; i < engine->n_excluded;) {
        if (strcmp(engine->excluded[i], path) != 0) {
            i++;
            continue;
        }
        free(engine->excluded[i]);
        engine->excluded[i] = engine->excluded[--engine->n_excluded];
        engine->excluded_unsaved = found = true;
    }
    if (found)
        (void)rules_build(engine);
    return found;
}

static bool excluded_set(Engine *engine, size_t i, char *path)
{
    if (!path)
        return false;
    free(engine->excluded[i]);
    engine->excluded[i] = path;
    engine->excluded_unsaved = true;
    return true;
}

/*
 * excluded_moved() - directories go from their paths to others, all at once: what was removed below
 * them stays away there too
 * @moves: sorted
 *
 * At once, not when their rows have followed: they are looked through before. The state database is
 * told before the rows move (excluded_save()): if they have not when the daemon ends, they do so
 * later, and what is below their older path then moves along.
 *
 * What stands at a path itself is not moved: a directory in the tree is none that was removed. It
 * was there before, and its own event tells where it is.
 */
void excluded_moved(Engine *engine, const PathMove *moves, size_t n_moves)
{
    bool moved = false;

    for (size_t i = 0; i < engine->n_excluded; i++) {
        char *path = NULL;

        if (path_moved(engine->excluded[i], moves, n_moves, false, &path) == 0)
            moved |= excluded_set(engine, i, path);
    }
    if (moved)
        (void)rules_build(engine);
}

/* excluded_renamed() - a directory that is not watched has another name: if the user removed it, it
 * is that one which stays away */
void excluded_renamed(Engine *engine, const char *from, const char *to)
{
    for (size_t i = 0; i < engine->n_excluded; i++)
        if (strcmp(engine->excluded[i], from) == 0 && excluded_set(engine, i, strdup(to)))
            (void)rules_build(engine);
}

/* excluded_unwatch() - a scan has found the directory above them before it was known whose rows are
 * its: what is in the tree by now leaves it */
void excluded_unwatch(Engine *engine)
{
    bool found = false;

    for (size_t i = 0; i < engine->n_excluded; i++) {
        Node *node = node_find(engine, engine->excluded[i]);

        if (!node || node->is_root)
            continue;
        tree_remove(engine->tree, node);
        found = true;
    }
    if (found)
        places_sweep(engine);
}

typedef struct SetTask {
    StoreTask task;
    char **paths;
    size_t n_paths;
} SetTask;

static int set_work(StoreTask *task, Store *store)
{
    SetTask *set = CONTAINER_OF(task, SetTask, task);

    return store_set_excluded(store, set->paths, set->n_paths);
}

static void set_finish(StoreTask *task)
{
    SetTask *set = CONTAINER_OF(task, SetTask, task);

    for (size_t i = 0; i < set->n_paths; i++)
        free(set->paths[i]);
    free(set->paths);
    free(set);
}

/* Those in directories that lost their place, and were not found again (watch/pairing.c,
 * sync/displaced.c). */
static void forget_misplaced(Engine *engine)
{
    size_t kept = 0;

    for (size_t i = 0; i < engine->n_excluded; i++)
        if (strstr(engine->excluded[i], "/" TREE_NO_PLACE))
            free(engine->excluded[i]);
        else
            engine->excluded[kept++] = engine->excluded[i];
    engine->n_excluded = kept;
}

/* excluded_save() - if the paths of all directories are final: tell the state database what has
 * moved along. Without memory the next time */
void excluded_save(Engine *engine)
{
    SetTask *set;

    if (!engine->excluded_unsaved || batch_paths_wait(engine))
        return;
    set = calloc(1, sizeof(*set));
    if (!set)
        return;
    forget_misplaced(engine);
    set->task.work = set_work;
    set->task.finish = set_finish;
    set->paths = calloc(engine->n_excluded + 1, sizeof(char *));
    for (size_t i = 0; set->paths && i < engine->n_excluded; i++) {
        set->paths[set->n_paths] = strdup(engine->excluded[i]);
        set->n_paths += set->paths[set->n_paths] != NULL;
    }
    if (!set->paths || set->n_paths < engine->n_excluded) {
        set_finish(&set->task);
        return;
    }
    engine->excluded_unsaved = false;
    store_task_submit(&set->task, engine, WORKER_PRIORITY_HIGH);
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static bool lists(const Listing *listing, const char *name)
{
    return listing->n_children > 0 &&
           bsearch(&name, listing->children, listing->n_children, sizeof(char *), compare_names);
}

/* An excluded folder that should be in this directory, and is not. */
static const char *find_absent(const Engine *engine, const char *path, const Listing *listing)
{
    for (size_t i = 0; i < engine->n_excluded; i++) {
        const char *excluded = engine->excluded[i];
        CLEANUP_FREE char *parent = path_parent(excluded);

        if (parent && strcmp(parent, path) == 0 && !lists(listing, path_name(excluded)))
            return excluded;
    }
    return NULL;
}

/*
 * excluded_listed() - a directory was listed, where it is proven to be what its rows speak of
 *
 * A folder that the user removed, and whose directory has gone since, is one like any other when
 * it is made anew, though that may be while nobody watches.
 */
void excluded_listed(Engine *engine, const char *path, const Listing *listing)
{
    const char *absent = engine->n_excluded > 0 ? find_absent(engine, path, listing) : NULL;

    while (absent) {
        CLEANUP_FREE char *copy = strdup(absent);

        if (!copy || !excluded_forget(engine, copy))
            return;
        absent = find_absent(engine, path, listing);
    }
}

void excluded_done(Engine *engine)
{
    own_gone_sweep(engine, UINT64_MAX);
    for (size_t i = 0; i < engine->n_excluded; i++)
        free(engine->excluded[i]);
    free(engine->excluded);
}

/* ---- rows that we removed ourselves ---- */

/* own_gone_add() - the rows at and below this path go, or move, by our own doing. Unless that is
 * committed already, own_gone_committed() follows. */
void own_gone_add(Engine *engine, const char *path, bool committed)
{
    size_t length = strlen(path) + 1;
    OwnGone *gone = engine->n_own_gone < OWN_GONE_MAX ? calloc(1, sizeof(*gone) + length) : NULL;

    if (!gone)
        return;
    gone->until = committed ? engine->folders_begun : UINT64_MAX;
    memcpy(gone->path, path, length);
    list_append(&engine->own_gone, &gone->link);
    engine->n_own_gone++;
}

/* own_gone_committed() - the operation is over: the next reading that begins sees what it did */
void own_gone_committed(Engine *engine, const char *path)
{
    LIST_FOREACH (link, &engine->own_gone) {
        OwnGone *gone = CONTAINER_OF(link, OwnGone, link);

        if (gone->until == UINT64_MAX && strcmp(gone->path, path) == 0) {
            gone->until = engine->folders_begun;
            return;
        }
    }
}

/* own_gone_sweep() - forget what the reading of this number has seen */
void own_gone_sweep(Engine *engine, uint64_t reading)
{
    LIST_FOREACH_SAFE (link, tmp, &engine->own_gone) {
        OwnGone *gone = CONTAINER_OF(link, OwnGone, link);

        if (gone->until >= reading && reading != UINT64_MAX)
            continue;
        list_remove(&gone->link);
        engine->n_own_gone--;
        free(gone);
    }
}

bool own_gone_has(const Engine *engine, const char *path)
{
    /* Too many to remember: better to take one of the user's for ours than the other way round. */
    if (engine->n_own_gone >= OWN_GONE_MAX)
        return true;
    LIST_FOREACH (link, &engine->own_gone) {
        const OwnGone *gone = CONTAINER_OF(link, OwnGone, link);

        if (path_is_within(path, gone->path))
            return true;
    }
    return false;
}
