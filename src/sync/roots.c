/*
 * Registered folders and roots
 *
 * The folders table says what is to be watched; anybody may change it at any time. It is read again
 * when SQLite says that another connection wrote (PRAGMA data_version) and compared with what is
 * known: watches are only ever added or ended for what really changed.
 *
 * A root is a registered folder that no other registered folder leads to. It is offline when its
 * directory cannot be opened or is not the one that the rows speak of; then nothing below it is
 * touched, and it is tried again: soon at first, then every poll interval, and whenever something
 * is mounted.
 *
 * A folder whose row vanished without our doing while the directory is in the tree was removed by
 * the user in the app. It is remembered as excluded and stays away.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "sync/engine-private.h"
#include "util/array.h"
#include "util/clock.h"
#include "util/error.h"
#include "util/log.h"

#define BACKOFF_FIRST (CLOCK_US_PER_SEC)
#define OWN_GONE_MAX  4096

/* ---- known folders ---- */

static uint64_t path_hash(const char *path)
{
    return hash_bytes(path, strlen(path), 1);
}

static Folder *folder_find(const Engine *engine, const char *path)
{
    for (HashNode *h = hash_first(&engine->folders, path_hash(path)); h; h = hash_next(h)) {
        Folder *folder = CONTAINER_OF(h, Folder, by_path);

        if (strcmp(folder->path, path) == 0)
            return folder;
    }
    return NULL;
}

static void folder_free(Engine *engine, Folder *folder)
{
    engine->n_held -= folder->held;
    hash_remove(&engine->folders, &folder->by_path);
    free(folder->path);
    free(folder->id);
    free(folder);
}

static Folder *folder_new(Engine *engine, const char *path, const char *id)
{
    Folder *folder = calloc(1, sizeof(*folder));

    if (!folder)
        return NULL;
    folder->path = strdup(path);
    folder->id = strdup(id);
    if (!folder->path || !folder->id ||
        hash_insert(&engine->folders, &folder->by_path, path_hash(path)) < 0) {
        free(folder->path);
        free(folder->id);
        free(folder);
        return NULL;
    }
    return folder;
}

/* node_find() - the directory at a path, or NULL when it is not in the tree */
Node *node_find(Engine *engine, const char *path)
{
    LIST_FOREACH (link, &engine->roots) {
        Root *root = CONTAINER_OF(link, Root, link);
        CLEANUP_FREE char *rest = NULL;
        Node *node = root->node;
        char *save = NULL;

        if (!node || (strcmp(path, root->path) != 0 && !path_is_below(path, root->path)))
            continue;
        rest = strdup(path + strlen(root->path));
        if (!rest)
            return NULL;
        for (char *part = strtok_r(rest, "/", &save); part && node;
             part = strtok_r(NULL, "/", &save))
            node = tree_child(engine->tree, node, part);
        if (node)
            return node;
    }
    return NULL;
}

bool folder_is_held(const Engine *engine, const char *path)
{
    Folder *folder = engine->n_held > 0 ? folder_find(engine, path) : NULL;

    return folder && folder->held;
}

static void folder_set_held(Engine *engine, Folder *folder, bool held)
{
    Node *node;

    if (folder->held == held)
        return;
    folder->held = held;
    if (held)
        engine->n_held++;
    else
        engine->n_held--;
    node = node_find(engine, folder->path);
    if (!node)
        return;
    node->held = held;
    if (!held)
        scan_node(engine, node, false);
}

/* What PictoPy is importing itself is left alone: while it says so, and a moment before. */
static void folder_update(Engine *engine, Folder *folder, const StoreFolder *row, bool is_new)
{
    uint64_t grace = engine->config->sync_import_grace;
    bool importing = strcmp(row->status, "in_progress") == 0;

    folder->seen = true;
    if (importing) {
        folder->held_until = 0;
        folder_set_held(engine, folder, true);
    } else if (is_new && engine->folders_known && grace > 0 &&
               strcmp(row->status, "not_started") == 0) {
        folder->held_until = clock_now() + grace;
        folder_set_held(engine, folder, true);
        if (!timer_is_armed(&engine->held_timer))
            (void)timer_arm_in(&engine->held_timer, grace);
    } else if (folder->held && folder->held_until == 0) {
        folder_set_held(engine, folder, false);
    }
}

static void held_timer_fired(Timer *timer)
{
    Engine *engine = CONTAINER_OF(timer, Engine, held_timer);
    uint64_t now = clock_now();
    uint64_t next = UINT64_MAX;

    HASH_FOREACH (h, &engine->folders) {
        Folder *folder = CONTAINER_OF(h, Folder, by_path);

        if (!folder->held || folder->held_until == 0)
            continue;
        if (folder->held_until <= now)
            folder_set_held(engine, folder, false);
        else if (folder->held_until < next)
            next = folder->held_until;
    }
    if (next != UINT64_MAX)
        (void)timer_arm_at(timer, next);
}

/* ---- rules ---- */

static int add_own(Rules *rules, const char *path, bool parent)
{
    CLEANUP_FREE char *above = parent ? path_parent(path) : NULL;

    if (parent && !above)
        return -ENOMEM;
    return rules_add_own(rules, parent ? above : path);
}

/* The backend's own directory of key frames stands beside that of the database. */
static int add_video_frames(Rules *rules, const char *database)
{
    CLEANUP_FREE char *dir = path_parent(database);
    CLEANUP_FREE char *data = dir ? path_parent(dir) : NULL;
    CLEANUP_FREE char *frames = data ? path_join(data, "video_frames") : NULL;

    return frames ? rules_add_own(rules, frames) : -ENOMEM;
}

static int add_always(Engine *engine, Rules *rules)
{
    HASH_FOREACH (h, &engine->folders) {
        Folder *folder = CONTAINER_OF(h, Folder, by_path);

        if (glob_list_matches(&rules->ignore_directories, path_name(folder->path)) &&
            rules_add_always(rules, folder->path) < 0)
            return -ENOMEM;
    }
    return 0;
}

/* rules_build() - put the rules together anew; scans under way keep the older ones */
int rules_build(Engine *engine)
{
    const Config *config = engine->config;
    Rules *rules;
    int r = rules_new(config->watch_ignore, config->watch_ignore_files, &rules);

    if (r < 0)
        return error_trace(r);
    r = add_own(rules, config->database_path, true);
    if (r == 0)
        r = add_own(rules, config->thumbnails_directory, false);
    if (r == 0)
        r = add_own(rules, config->state_directory, false);
    if (r == 0)
        r = add_video_frames(rules, config->database_path);
    if (r == 0)
        r = add_always(engine, rules);
    for (size_t i = 0; r == 0 && i < engine->n_excluded; i++)
        r = rules_add_excluded(rules, engine->excluded[i]);
    if (r < 0) {
        (void)rules_unref(rules);
        return error_trace(r);
    }
    rules_sort(rules);
    (void)rules_unref(engine->rules);
    engine->rules = rules;
    return 0;
}

/* ---- roots ---- */

Root *root_of(Engine *engine, const Node *node)
{
    const Node *top = node;

    while (top->parent)
        top = top->parent;
    LIST_FOREACH (link, &engine->roots) {
        Root *root = CONTAINER_OF(link, Root, link);

        if (root->node == top)
            return root;
    }
    return NULL;
}

static void root_free(Root *root)
{
    list_remove(&root->link);
    timer_disarm(&root->retry);
    free(root->path);
    free(root->id);
    free(root);
}

static void root_unwatch(Root *root)
{
    if (root->node)
        tree_remove(root->engine->tree, root->node);
    root->node = NULL;
}

static void root_drop(Root *root)
{
    root_unwatch(root);
    timer_disarm(&root->retry);
    root->gone = true;
    if (!root->scan) {
        root_free(root);
        return;
    }
    root->scan->walk.abort = true;
    scan_resume(root->scan);
}

static void root_offline(Root *root, int error)
{
    const char *why = error == 0 ? "another file system, or an empty mount point, is in its place"
                                 : strerror(error);

    root_unwatch(root);
    root->state = ROOT_STATE_OFFLINE;
    if (!root->told)
        log_event(LOG_LEVEL_WARNING, LOG_EVENT_ROOT_OFFLINE, root->id, root->path,
                  "%s is offline (%s): its photos stay in the library", root->path, why);
    root->told = true;
    if (root->backoff == 0)
        root->backoff = BACKOFF_FIRST;
    (void)timer_arm_in(&root->retry, root->backoff);
    root->backoff *= 2;
    if (root->backoff > root->engine->config->watch_poll_interval)
        root->backoff = root->engine->config->watch_poll_interval;
}

/* root_scanned() - the first directory of a root has been looked at */
void root_scanned(Root *root, bool trusted, int error)
{
    Engine *engine = root->engine;

    if (root->gone)
        return;
    if (!trusted || error != 0) {
        root_offline(root, error);
    } else {
        if (root->told)
            log_event(LOG_LEVEL_NOTICE, LOG_EVENT_ROOT_ONLINE, root->id, root->path,
                      "%s is online again", root->path);
        root->told = false;
        root->backoff = 0;
        root->state = ROOT_STATE_ONLINE;
        timer_disarm(&root->retry);
    }
    engine->snapshot_dirty = true;
}

/* root_scan_ended() - called when the scan of a root is over, however it ended */
void root_scan_ended(Root *root)
{
    if (root->gone) {
        root_free(root);
        return;
    }
    if (root->rescan && root->engine->running) {
        root->rescan = false;
        scan_root(root);
    } else if (root->state == ROOT_STATE_SCANNING) {
        root_offline(root, EAGAIN);
    }
}

static void root_retry(Timer *timer)
{
    scan_root(CONTAINER_OF(timer, Root, retry));
}

/* A root that is being scanned is scanned once more afterwards. */
static void root_look(Root *root)
{
    if (root->scan)
        root->rescan = true;
    else
        scan_root(root);
}

/* root_lost() - a root was removed, moved away or unmounted, or its watch ended */
void root_lost(Engine *engine, Node *node)
{
    Root *root = root_of(engine, node);

    if (root && engine->running)
        root_look(root);
}

/* What mounts there are at, above and below a path: when this changes, it is looked at again. */
static uint64_t mount_signature(const char *path)
{
    Mounts mounts = {0};
    const Mount *above;
    uint64_t sum;

    if (mounts_read(&mounts) < 0)
        return 0;
    above = mounts_find(&mounts, path);
    sum = above ? (uint64_t)above->id : 0;
    for (size_t i = 0; i < mounts.count; i++)
        if (path_is_below(mounts.items[i].point, path))
            sum = sum * 31 + (uint64_t)mounts.items[i].id;
    mounts_done(&mounts);
    return sum;
}

static int root_new(Engine *engine, const char *path, const char *id)
{
    Root *root = calloc(1, sizeof(*root));
    int r;

    if (!root)
        return error_trace(-ENOMEM);
    root->engine = engine;
    root->path = strdup(path);
    root->id = strdup(id);
    timer_init(&root->retry, engine->timers, root_retry);
    root->mounts = mount_signature(path);
    r = root->path && root->id ? volumes_get(&engine->volumes, path, &root->volume) : -ENOMEM;
    if (r < 0) {
        free(root->path);
        free(root->id);
        free(root);
        return error_trace(r);
    }
    root->state = ROOT_STATE_SCANNING;
    list_append(&engine->roots, &root->link);
    scan_root(root);
    return 0;
}

void roots_mounts_changed(Engine *engine)
{
    LIST_FOREACH_SAFE (link, tmp, &engine->roots) {
        Root *root = CONTAINER_OF(link, Root, link);
        uint64_t signature = mount_signature(root->path);
        Volume *volume;

        if (root->gone || signature == root->mounts)
            continue;
        root->mounts = signature;
        if (volumes_get(&engine->volumes, root->path, &volume) == 0 && !root->scan)
            root->volume = volume;
        root_look(root);
    }
}

/* roots_retry_offline() - try offline roots now (somebody wants to know what is true) */
void roots_retry_offline(Engine *engine)
{
    LIST_FOREACH_SAFE (link, tmp, &engine->roots) {
        Root *root = CONTAINER_OF(link, Root, link);

        if (root->state == ROOT_STATE_OFFLINE && !root->gone)
            scan_root(root);
    }
}

bool roots_all_known(const Engine *engine)
{
    if (!engine->folders_known)
        return false;
    LIST_FOREACH (link, &engine->roots) {
        const Root *root = CONTAINER_OF(link, Root, link);

        if (root->scan || root->state == ROOT_STATE_SCANNING)
            return false;
    }
    return true;
}

/* roots_clear() - watch nothing any more */
void roots_clear(Engine *engine)
{
    LIST_FOREACH_SAFE (link, tmp, &engine->roots)
        root_drop(CONTAINER_OF(link, Root, link));
}

/* Does the scan of a registered folder above lead here? */
static bool is_covered(Engine *engine, const char *path)
{
    CLEANUP_FREE char *above = path_parent(path);

    while (above && strcmp(above, "/") != 0) {
        char *next;

        if (folder_find(engine, above))
            return true;
        if (rules_ignore_directory(engine->rules, above))
            return false;
        next = path_parent(above);
        free(above);
        above = next;
    }
    return above && strcmp(path, "/") != 0 && folder_find(engine, "/");
}

static Root *root_find(Engine *engine, const char *path)
{
    LIST_FOREACH (link, &engine->roots) {
        Root *root = CONTAINER_OF(link, Root, link);

        if (!root->gone && strcmp(root->path, path) == 0)
            return root;
    }
    return NULL;
}

/* The same folder with another row: registered anew, or another database. */
static void root_renew(Root *root, const char *id)
{
    char *copy = strdup(id);

    if (!copy)
        return;
    free(root->id);
    root->id = copy;
    root_look(root);
}

static void update_roots(Engine *engine, const StoreFolders *folders)
{
    LIST_FOREACH_SAFE (link, tmp, &engine->roots) {
        Root *root = CONTAINER_OF(link, Root, link);

        if (!root->gone && (!folder_find(engine, root->path) || is_covered(engine, root->path)))
            root_drop(root);
    }
    for (size_t i = 0; i < folders->count; i++) {
        const StoreFolder *row = &folders->items[i];

        Root *root = is_covered(engine, row->path) ? NULL : root_find(engine, row->path);

        if (root && strcmp(root->id, row->id) != 0)
            root_renew(root, row->id);
        if (root || is_covered(engine, row->path))
            continue;
        if (row->path[0] == '/' && root_new(engine, row->path, row->id) < 0)
            log_error("cannot watch %s: out of memory", row->path);
    }
}

/* ---- folders that the user removed ---- */

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

static void remember_excluded(Engine *engine, const char *path, bool exclude)
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

static void exclude_path(Engine *engine, const char *path)
{
    char **grown = reallocarray(engine->excluded, engine->n_excluded + 1, sizeof(char *));

    if (!grown)
        return;
    engine->excluded = grown;
    grown[engine->n_excluded] = strdup(path);
    if (!grown[engine->n_excluded])
        return;
    engine->n_excluded++;
    remember_excluded(engine, path, true);
    (void)rules_build(engine);
}

/* roots_include() - a folder was registered again, or its directory made anew */
bool roots_include(Engine *engine, const char *path)
{
    size_t kept = 0;

    for (size_t i = 0; i < engine->n_excluded; i++) {
        char *excluded = engine->excluded[i];

        if (strcmp(excluded, path) == 0 || path_is_below(excluded, path))
            free(excluded);
        else
            engine->excluded[kept++] = excluded;
    }
    if (kept == engine->n_excluded)
        return false;
    engine->n_excluded = kept;
    remember_excluded(engine, path, false);
    (void)rules_build(engine);
    return true;
}

/* roots_forget_own() - we removed or moved the rows of this folder ourselves */
void roots_forget_own(Engine *engine, const char *path)
{
    if (engine->n_own_gone >= OWN_GONE_MAX ||
        ARRAY_RESERVE(engine->own_gone, engine->own_gone_capacity, engine->n_own_gone + 1) < 0)
        return;
    engine->own_gone[engine->n_own_gone] = strdup(path);
    if (engine->own_gone[engine->n_own_gone])
        engine->n_own_gone++;
}

static bool is_own_gone(const Engine *engine, const char *path)
{
    /* Too many to remember: better to take one of the user's for ours than the other way round. */
    if (engine->n_own_gone >= OWN_GONE_MAX)
        return true;
    for (size_t i = 0; i < engine->n_own_gone; i++)
        if (strcmp(engine->own_gone[i], path) == 0 || path_is_below(path, engine->own_gone[i]))
            return true;
    return false;
}

static void forget_own_gone(Engine *engine)
{
    for (size_t i = 0; i < engine->n_own_gone; i++)
        free(engine->own_gone[i]);
    engine->n_own_gone = 0;
}

/* The row of a folder is gone. */
static void folder_removed(Engine *engine, Folder *folder)
{
    Node *node = is_own_gone(engine, folder->path) ? NULL : node_find(engine, folder->path);

    if (node && !node->is_root) {
        log_event(LOG_LEVEL_NOTICE, LOG_EVENT_FOLDER_REMOVED, folder->id, folder->path,
                  "%s was removed from the library by another program: no longer watched",
                  folder->path);
        exclude_path(engine, folder->path);
        tree_remove(engine->tree, node);
    }
    folder_free(engine, folder);
}

static void remove_unseen(Engine *engine, const StoreFolders *folders)
{
    Folder **gone = NULL;
    size_t n = 0;
    size_t capacity = 0;

    (void)folders;
    HASH_FOREACH (h, &engine->folders) {
        Folder *folder = CONTAINER_OF(h, Folder, by_path);

        if (!folder->seen && ARRAY_RESERVE(gone, capacity, n + 1) == 0)
            gone[n++] = folder;
        folder->seen = false;
    }
    for (size_t i = 0; i < n; i++)
        folder_removed(engine, gone[i]);
    free(gone);
}

/* ---- reading the table ---- */

typedef struct FoldersTask {
    StoreTask task;
    bool force;
    bool changed;
    StoreFolders folders;
    char **excluded;
    size_t n_excluded;
} FoldersTask;

static int folders_work(StoreTask *task, Store *store)
{
    FoldersTask *folders = CONTAINER_OF(task, FoldersTask, task);
    bool changed = false;
    int r = store_poll(store, &changed);

    folders->changed |= changed;
    if (r != 0 || (!folders->changed && !folders->force))
        return r;
    r = store_read_folders(store, &folders->folders);
    if (r == 0 && !folders->excluded)
        r = store_read_excluded(store, &folders->excluded, &folders->n_excluded);
    return r;
}

static void publish_folders(Engine *engine, const StoreFolders *folders)
{
    SnapshotFolders *snapshot;

    if (snapshot_folders_new(folders->count, &snapshot) < 0)
        return;
    for (size_t i = 0; i < folders->count; i++) {
        snapshot->items[i].id = strdup(folders->items[i].id);
        snapshot->items[i].path = strdup(folders->items[i].path);
    }
    (void)snapshot_folders_unref(engine->snapshot_folders);
    engine->snapshot_folders = snapshot;
    engine->snapshot_dirty = true;
}

/* A folder that is wanted again is found from the directory that it is in. */
static void scan_parent_of(Engine *engine, const char *path)
{
    CLEANUP_FREE char *parent = path_parent(path);
    Node *node = parent ? node_find(engine, parent) : NULL;

    if (node)
        scan_name(engine, node, path_name(path));
}

static void apply_folder(Engine *engine, const StoreFolder *row)
{
    Folder *folder = folder_find(engine, row->path);
    bool is_new = !folder;

    if (is_new) {
        folder = folder_new(engine, row->path, row->id);
        if (engine->folders_known && engine->n_excluded > 0 && roots_include(engine, row->path))
            scan_parent_of(engine, row->path);
    }
    if (folder)
        folder_update(engine, folder, row, is_new);
}

static void apply_folders(Engine *engine, FoldersTask *task)
{
    if (!engine->folders_known) {
        engine->excluded = STEAL_PTR(task->excluded);
        engine->n_excluded = task->n_excluded;
        task->n_excluded = 0;
    }
    for (size_t i = 0; i < task->folders.count; i++)
        apply_folder(engine, &task->folders.items[i]);
    remove_unseen(engine, &task->folders);
    forget_own_gone(engine);
    (void)rules_build(engine);
    update_roots(engine, &task->folders);
    publish_folders(engine, &task->folders);
    engine->folders_known = true;
}

static void folders_finish(StoreTask *task)
{
    FoldersTask *folders = CONTAINER_OF(task, FoldersTask, task);
    Engine *engine = task->engine;

    engine->folders_reading = false;
    if (!store_task_cancelled(task) && task->result == 0) {
        if ((folders->changed || folders->force) && engine->running)
            apply_folders(engine, folders);
        engine->folders_read++;
    }
    store_folders_done(&folders->folders);
    for (size_t i = 0; i < folders->n_excluded; i++)
        free(folders->excluded[i]);
    free(folders->excluded);
    free(folders);
    if (engine->folders_read_again) {
        engine->folders_read_again = false;
        roots_poll(engine, true);
    }
    engine_changed(engine);
}

/* roots_poll() - read the folders table if another program, or we ourselves, changed it */
void roots_poll(Engine *engine, bool force)
{
    FoldersTask *task;

    if (engine->folders_reading) {
        engine->folders_read_again |= force;
        return;
    }
    task = calloc(1, sizeof(*task));
    if (!task)
        return;
    task->force = force || engine->folders_stale || !engine->folders_known;
    task->task.work = folders_work;
    task->task.finish = folders_finish;
    engine->folders_reading = true;
    engine->folders_stale = false;
    store_task_submit(&task->task, engine, WORKER_PRIORITY_HIGH);
}

static void folders_timer_fired(Timer *timer)
{
    Engine *engine = CONTAINER_OF(timer, Engine, folders_timer);

    roots_poll(engine, false);
    (void)timer_arm_in(timer, ENGINE_FOLDERS_POLL);
}

int roots_init(Engine *engine)
{
    list_init(&engine->roots);
    timer_init(&engine->folders_timer, engine->timers, folders_timer_fired);
    timer_init(&engine->held_timer, engine->timers, held_timer_fired);
    return rules_build(engine);
}

void roots_done(Engine *engine)
{
    timer_disarm(&engine->folders_timer);
    timer_disarm(&engine->held_timer);
    for (size_t i = 0; i < engine->folders.n_buckets; i++)
        while (engine->folders.buckets[i])
            folder_free(engine, CONTAINER_OF(engine->folders.buckets[i], Folder, by_path));
    hash_done(&engine->folders);
    forget_own_gone(engine);
    free(engine->own_gone);
    for (size_t i = 0; i < engine->n_excluded; i++)
        free(engine->excluded[i]);
    free(engine->excluded);
    engine->rules = rules_unref(engine->rules);
    engine->snapshot_folders = snapshot_folders_unref(engine->snapshot_folders);
}
