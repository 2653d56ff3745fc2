/*
 * The folders table
 *
 * It says what is to be watched, and anybody may change it at any time. It is read again when the
 * database's file was written by somebody else (PRAGMA data_version), and compared with what was
 * read before. Both happen on the store's thread, since a library may have 100,000 folders; the
 * loop gets the differences: what is new, what is gone, what is being imported, and the roots.
 */
#include <stdlib.h>
#include <string.h>

#include "sync/engine-private.h"
#include "sync/scope.h"
#include "util/array.h"
#include "util/clock.h"
#include "util/error.h"
#include "util/log.h"

/* Without a watch on the database's directory the table is asked for by the clock. */
#define POLL_INTERVAL CLOCK_US_PER_SEC
/* A reading of a large table is followed by a rest of ten times its length, at most this: changes
 * are noticed within two seconds, and a backend that writes all the time costs a tenth of a
 * processor. */
#define REST_MOST (1500 * CLOCK_US_PER_MS)
/* Our own writes change the list of folders that GET /folders shows, and nothing else. */
#define OWN_INTERVAL (2 * CLOCK_US_PER_SEC)

/* Pointers into one of the two lists. */
typedef struct FolderRefs {
    const SnapshotFolder **items;
    size_t count, capacity;
} FolderRefs;

typedef struct FoldersTask {
    StoreTask task;
    uint64_t number;
    uint64_t took;   /* µs */
    uint64_t opened; /* store_opened() of what was read */
    bool force;
    bool changed;
    bool read;
    const char *database;
    FileWatch *watch;
    Rules *rules;            /* referenced */
    SnapshotFolders *before; /* referenced; NULL at the first reading */
    SnapshotFolders *now;    /* referenced */
    FolderRefs added;        /* of now; empty at the first reading */
    FolderRefs fresh;        /* of added: not_started */
    FolderRefs importing;    /* of now: in_progress */
    FolderRefs renewed;      /* of now: removed and added again, with another id */
    FolderRefs removed;      /* of before: without those below another one that was removed */
    FolderRefs roots;        /* of now */
    FolderRefs always;       /* of now: the ignore globs would hide them */
    ScopeLast last;          /* of now, while roots are found */
    char **excluded;
    size_t n_excluded;
    uint64_t n_problems; /* at the first reading */
} FoldersTask;

/* ---- comparing: store's thread ---- */

static int refs_add(FolderRefs *refs, const SnapshotFolder *folder)
{
    int r = ARRAY_RESERVE(refs->items, refs->capacity, refs->count + 1);

    if (r == 0)
        refs->items[refs->count++] = folder;
    return error_trace(r);
}

static int compare_folder(const void *key, const void *item)
{
    return strcmp(key, ((const SnapshotFolder *)item)->path);
}

static const SnapshotFolder *find(const SnapshotFolders *folders, const char *path)
{
    return bsearch(path, folders->items, folders->count, sizeof(*folders->items), compare_folder);
}

/* root_is_covered() - is a path at or below a registered folder? */
bool root_is_covered(const char *path, const char *root)
{
    return path_is_within(path, root);
}

static bool is_folder(const void *owner, const char *path)
{
    return find(owner, path) != NULL;
}

/* Its row is another one than before: what was below it went with that. */
static bool is_renewed(const FoldersTask *task, const char *path)
{
    const SnapshotFolder *before = task->before ? find(task->before, path) : NULL;
    const SnapshotFolder *now = before ? find(task->now, path) : NULL;

    return now && strcmp(before->id, now->id) != 0;
}

static int sort_row(FoldersTask *task, const SnapshotFolder *folder, const char *status)
{
    bool is_new = task->before && !find(task->before, folder->path);
    int r = is_renewed(task, folder->path) ? refs_add(&task->renewed, folder) : 0;

    if (r == 0 && is_new)
        r = refs_add(&task->added, folder);
    if (r == 0 && is_new && strcmp(status, "not_started") == 0)
        r = refs_add(&task->fresh, folder);
    if (r == 0 && strcmp(status, "in_progress") == 0)
        r = refs_add(&task->importing, folder);
    if (r == 0 &&
        !scope_is_next_covered(task->rules, &task->last, folder->path, is_folder, task->now))
        r = refs_add(&task->roots, folder);
    if (r == 0 && glob_list_matches(&task->rules->ignore_directories, path_name(folder->path)))
        r = refs_add(&task->always, folder);
    return r;
}

static bool is_removed(const FoldersTask *task, const char *path)
{
    return find(task->before, path) && !find(task->now, path);
}

static int sort_removed(FoldersTask *task)
{
    for (size_t i = 0; task->before && i < task->before->count; i++) {
        const SnapshotFolder *folder = &task->before->items[i];
        CLEANUP_FREE char *above = NULL;
        int r = 0;

        if (find(task->now, folder->path))
            continue;
        above = path_parent(folder->path);
        if (!above)
            return error_trace(-ENOMEM);
        if (!is_removed(task, above) && !is_renewed(task, above))
            r = refs_add(&task->removed, folder);
        if (r < 0)
            return r;
    }
    return 0;
}

static int compare(FoldersTask *task, StoreFolders *rows)
{
    size_t size = 0;
    int r;

    task->last = (ScopeLast){0};
    for (size_t i = 0; i < rows->count; i++)
        size += strlen(rows->items[i].id) + strlen(rows->items[i].path) + 2;
    r = snapshot_folders_new(rows->count, size, &task->now);
    for (size_t i = 0; r == 0 && i < rows->count; i++)
        snapshot_folders_add(task->now, rows->items[i].id, rows->items[i].path);
    for (size_t i = 0; r == 0 && i < rows->count; i++)
        r = sort_row(task, &task->now->items[i], rows->items[i].status);
    return r == 0 ? sort_removed(task) : r;
}

static void forget_result(FoldersTask *task)
{
    FolderRefs *const refs[] = {&task->added,   &task->fresh, &task->importing, &task->renewed,
                                &task->removed, &task->roots, &task->always};

    for (size_t i = 0; i < sizeof(refs) / sizeof(refs[0]); i++) {
        free(refs[i]->items);
        *refs[i] = (FolderRefs){0};
    }
    task->now = snapshot_folders_unref(task->now);
}

static int folders_work(StoreTask *store_task, Store *store)
{
    FoldersTask *task = CONTAINER_OF(store_task, FoldersTask, task);
    CLEANUP(store_folders_done) StoreFolders rows = {0};
    uint64_t begun = clock_now();
    bool changed = false;
    int r;

    /* Watched before it is read: what is written from now on is heard of. */
    file_watch_attach(task->watch, task->database);
    r = store_poll(store, &changed);
    task->changed |= changed;
    if (r != 0 || (!task->changed && !task->force))
        return r;
    forget_result(task); /* of a try that found the database locked */
    r = store_read_folders(store, &rows);
    if (r == 0 && !task->before && !task->excluded)
        r = store_read_excluded(store, &task->excluded, &task->n_excluded);
    if (r == 0 && !task->before)
        (void)store_problem_count(store, &task->n_problems);
    if (r == 0)
        r = compare(task, &rows);
    task->read = r == 0;
    task->opened = store_opened(store);
    task->took = clock_now() - begun;
    return r;
}

/* ---- taking in what a reading found ---- */

/* A folder that is wanted again is found from the directory that it is in. */
static void scan_parent_of(Engine *engine, const char *path)
{
    CLEANUP_FREE char *parent = path_parent(path);
    Node *node = parent ? node_find(engine, parent) : NULL;

    if (node)
        scan_name(engine, node, path_name(path));
}

/* It is no new row: its directory has moved, and this daemon let it follow. */
static bool has_moved(const FoldersTask *task, const SnapshotFolder *folder)
{
    for (size_t i = 0; task->before && i < task->before->count; i++)
        if (strcmp(task->before->items[i].id, folder->id) == 0)
            return true;
    return false;
}

/* One that has moved brings along what the user removed below it, and takes the place of what may
 * have been removed there. */
static bool forget_at(Engine *engine, const FoldersTask *task, const SnapshotFolder *folder)
{
    return has_moved(task, folder) ? excluded_forget_one(engine, folder->path)
                                   : excluded_forget(engine, folder->path);
}

static void take_added(Engine *engine, const FoldersTask *task)
{
    for (size_t i = 0; i < task->added.count && engine->n_excluded > 0; i++) {
        const SnapshotFolder *folder = task->added.items[i];

        if (excluded_any_within(engine, folder->path) && forget_at(engine, task, folder))
            scan_parent_of(engine, folder->path);
    }
}

/* Folders that the user removed, and added again while nobody looked. */
static void take_back(Engine *engine, const FoldersTask *task)
{
    for (size_t i = 0; i < engine->n_excluded;) {
        CLEANUP_FREE char *path = strdup(engine->excluded[i]);

        if (path && find(task->now, path) && excluded_forget(engine, path))
            i = 0;
        else
            i++;
    }
}

/* Of what was below it nothing tells but the disk. A root is looked at by roots_update(). */
static void take_renewed(Engine *engine, const FoldersTask *task)
{
    for (size_t i = 0; i < task->renewed.count; i++) {
        const char *path = task->renewed.items[i]->path;
        Node *node = own_gone_has(engine, path) ? NULL : node_find(engine, path);

        if (node && !node->is_root)
            scan_node(engine, node, false, false);
    }
}

/* Would a scan find it again? Before the first one, any that a registered folder is above. */
static bool would_come_back(Engine *engine, const FoldersTask *task, const char *path)
{
    const Node *node = node_find(engine, path);

    if (engine->folders_resumed)
        return scope_is_covered(task->rules, path, is_folder, task->now);
    return node && !node->is_root;
}

/* What a database that took the place of another one does not list was removed by nobody. */
static void take_removed(Engine *engine, const FoldersTask *task)
{
    for (size_t i = 0; i < task->removed.count && task->opened == engine->folders_opened; i++) {
        const SnapshotFolder *folder = task->removed.items[i];
        Node *node = node_find(engine, folder->path);

        if (own_gone_has(engine, folder->path) || !would_come_back(engine, task, folder->path))
            continue;
        log_event(LOG_LEVEL_NOTICE, LOG_EVENT_FOLDER_REMOVED, folder->id, folder->path,
                  "%s was removed from the library by another program: no longer watched",
                  folder->path);
        excluded_add(engine, folder->path);
        if (!node)
            continue;
        tree_remove(engine->tree, node);
        places_sweep(engine);
    }
}

static void take_always(Engine *engine, const FoldersTask *task)
{
    for (size_t i = 0; i < engine->n_always; i++)
        free(engine->always[i]);
    free(engine->always);
    engine->n_always = 0;
    engine->always = calloc(task->always.count + 1, sizeof(char *));
    for (size_t i = 0; engine->always && i < task->always.count; i++) {
        engine->always[engine->n_always] = strdup(task->always.items[i]->path);
        engine->n_always += engine->always[engine->n_always] != NULL;
    }
}

static void take_in(Engine *engine, FoldersTask *task)
{
    bool replaced = task->before && task->opened != engine->folders_opened;

    if (!task->before) {
        engine->excluded = STEAL_PTR(task->excluded);
        engine->n_excluded = task->n_excluded;
        engine->n_problems += task->n_problems;
        task->n_excluded = 0;
        take_back(engine, task);
    }
    take_added(engine, task);
    take_renewed(engine, task);
    take_removed(engine, task);
    own_gone_sweep(engine, task->number);
    take_always(engine, task);
    (void)rules_build(engine);
    imports_update(engine, task->fresh.items, task->fresh.count, task->importing.items,
                   task->importing.count);
    roots_update(engine, task->roots.items, task->roots.count);
    if (replaced) /* its rows may be older ones, of a backup */
        roots_scan(engine, false);
    engine->folders_opened = task->opened;
    (void)snapshot_folders_unref(engine->folders);
    engine->folders = snapshot_folders_ref(task->now);
    engine->folders_known = true;
    engine->folders_resumed = false;
    engine->snapshot_dirty = true;
}

/* ---- when it is read ---- */

static void arm_folders_timer(Engine *engine)
{
    uint64_t delay = file_watch_works(&engine->database_watch) ? OWN_INTERVAL : POLL_INTERVAL;

    if (!engine->running || timer_is_armed(&engine->folders_timer))
        return;
    if (engine->folders_stale || !engine->database_connected ||
        !file_watch_works(&engine->database_watch))
        (void)timer_arm_in(&engine->folders_timer, delay);
}

static void folders_finish(StoreTask *store_task)
{
    FoldersTask *task = CONTAINER_OF(store_task, FoldersTask, task);
    Engine *engine = store_task->engine;

    engine->folders_reading = false;
    if (!store_task_cancelled(store_task) && store_task->result == 0) {
        uint64_t rest = task->took * 10;

        engine->folders_rest = clock_now() + (rest < REST_MOST ? rest : REST_MOST);
        if (task->read && engine->running)
            take_in(engine, task);
        engine->folders_read++;
    }
    forget_result(task);
    (void)snapshot_folders_unref(task->before);
    (void)rules_unref(task->rules);
    for (size_t i = 0; i < task->n_excluded; i++)
        free(task->excluded[i]);
    free(task->excluded);
    free(task);
    if (engine->folders_read_again) {
        engine->folders_read_again = false;
        folders_poll(engine, true);
    }
    arm_folders_timer(engine);
    engine_changed(engine);
}

/* folders_poll() - read the folders table if another program, or we ourselves, changed it */
void folders_poll(Engine *engine, bool force)
{
    FoldersTask *task;

    if (engine->folders_reading) {
        engine->folders_read_again |= force;
        return;
    }
    task = calloc(1, sizeof(*task));
    if (!task)
        return;
    task->number = ++engine->folders_begun;
    task->force = force || engine->folders_stale || !engine->folders_known;
    task->database = engine->options.config->database_path; /* outlives a reload */
    task->watch = &engine->database_watch;
    task->rules = rules_ref(engine->rules);
    task->before = engine->folders_known ? snapshot_folders_ref(engine->folders) : NULL;
    task->task.problems_differ = !engine->folders_known;
    task->task.work = folders_work;
    task->task.finish = folders_finish;
    engine->folders_reading = true;
    engine->folders_stale = false;
    store_task_submit(&task->task, engine, WORKER_PRIORITY_HIGH);
}

static void folders_timer_fired(Timer *timer)
{
    Engine *engine = CONTAINER_OF(timer, Engine, folders_timer);

    folders_poll(engine, false);
    arm_folders_timer(engine);
}

static void database_written(FileWatch *watch)
{
    Engine *engine = CONTAINER_OF(watch, Engine, database_watch);

    if (!engine->running)
        return;
    if (clock_now() < engine->folders_rest)
        (void)timer_arm_at(&engine->folders_timer, engine->folders_rest);
    else
        folders_poll(engine, false);
}

/* ---- rules ---- */

/*
 * rules_build() - put the rules together anew; scans under way keep the older ones
 *
 * Where a reload names other directories of our own, those in use until the next start are left out
 * too.
 */
int rules_build(Engine *engine)
{
    Rules *rules;
    int r = scope_rules_new(engine->config, engine->excluded, engine->n_excluded, &rules);

    if (r < 0)
        return error_trace(r);
    if (engine->config != engine->options.config)
        r = scope_rules_add_own(rules, engine->options.config);
    for (size_t i = 0; r == 0 && i < engine->n_always; i++)
        r = scope_rules_add_folder(rules, engine->always[i]);
    if (r < 0) {
        (void)rules_unref(rules);
        return error_trace(r);
    }
    rules_sort(rules);
    (void)rules_unref(engine->rules);
    engine->rules = rules;
    return 0;
}

int folders_init(Engine *engine)
{
    int r;

    list_init(&engine->own_gone);
    timer_init(&engine->folders_timer, engine->timers, folders_timer_fired);
    imports_init(engine);
    r = file_watch_init(&engine->database_watch, engine->loop, engine->timers,
                        engine->options.config->database_path, database_written);
    return r < 0 ? error_trace(r) : rules_build(engine);
}

void folders_done(Engine *engine)
{
    timer_disarm(&engine->folders_timer);
    file_watch_done(&engine->database_watch);
    imports_done(engine);
    for (size_t i = 0; i < engine->n_always; i++)
        free(engine->always[i]);
    free(engine->always);
    excluded_done(engine);
    engine->rules = rules_unref(engine->rules);
    engine->folders = snapshot_folders_unref(engine->folders);
}
