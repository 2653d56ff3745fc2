/*
 * Scans
 *
 * A scan walks a subtree on its volume's thread, slice by slice. Each slice brings listings of
 * directories, which were watched before they were read. The loop puts them into the tree and has
 * the store's thread compare them with the rows; every name that differs becomes a pending change.
 *
 * Backpressure: a scan goes on only while few slices wait for their comparison, and while there is
 * room for changes. When there is none, its directories are still watched and put into the tree
 * (being watched cannot wait), and put off for the comparison: they are `dirty` and are listed
 * again when the changes have been worked off. An overflow of the kernel's queue and a directory
 * that cannot be watched are treated in the same way.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "sync/engine-private.h"
#include "sync/reconcile.h"
#include "util/array.h"
#include "util/clock.h"
#include "util/error.h"
#include "util/log.h"

/* ---- comparing a slice with the rows ---- */

typedef struct JoinDirectory {
    Node *node; /* referenced */
    char *path;
    Listing *listing;
    bool is_root;
    StoreDirectory rows;
    ReconcileResult result;
    bool done;
} JoinDirectory;

typedef struct Join {
    StoreTask task;
    Scan *scan;
    JoinDirectory *directories;
    size_t count;
    size_t next;
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
    r = reconcile_directory(directory->listing, &directory->rows, directory->is_root, knows_inode,
                            store, &directory->result);
    if (r < 0)
        return r;
    directory->done = true;
    return 0;
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
    for (size_t i = 0; r == 0 && i < join->count; i++) {
        ReconcileResult *result = &join->directories[i].result;

        if (result->n_stamps > 0)
            (void)store_write(store, result->stamps, result->n_stamps);
    }
    return r;
}

static void join_free(Join *join)
{
    for (size_t i = 0; i < join->count; i++) {
        JoinDirectory *directory = &join->directories[i];

        reconcile_result_done(&directory->result);
        store_directory_done(&directory->rows);
        (void)listing_free(directory->listing);
        (void)node_unref(directory->node);
        free(directory->path);
    }
    free(join->directories);
    free(join);
}

static void dirty_add(Engine *engine, Node *node, bool shallow)
{
    DirtyNode *dirty = calloc(1, sizeof(*dirty));

    if (!dirty)
        return;
    dirty->node = node_ref(node);
    dirty->shallow = shallow;
    list_append(&engine->dirty, &dirty->link);
}

static void join_apply(Engine *engine, JoinDirectory *directory)
{
    ReconcileResult *result = &directory->result;
    uint64_t now = clock_now();

    engine->counters.files_unchanged += result->n_unchanged;
    if (directory->node->detached || result->verdict != RECONCILE_VERDICT_TRUSTED)
        return;
    if (result->folder_differs) {
        Write *write = batch_new(STORE_OP_FOLDER_ENSURE, directory->node, "");

        if (write) {
            write->op.mtime = directory->listing->mtime;
            write->op.has_volume = true;
            write->op.volume = directory->listing->volume;
            batch_add(engine, write);
        }
    }
    /* A round may have seen a later one since the listing was made. */
    if (directory->node->mtime != INT64_MIN && directory->node->mtime != directory->listing->mtime)
        (void)pending_touch(&engine->pending, directory->node, "", CHANGE_WAIT_NONE, now);
    directory->node->mtime = directory->listing->mtime;
    for (size_t i = 0; i < result->n_names; i++)
        if (!pending_touch(&engine->pending, directory->node, result->names[i], CHANGE_WAIT_NONE,
                           now)) {
            dirty_add(engine, directory->node, true);
            return;
        }
}

static void scan_end(Scan *scan);

static void joined(StoreTask *task)
{
    Join *join = CONTAINER_OF(task, Join, task);
    Engine *engine = task->engine;
    Scan *scan = join->scan;
    bool ok = !store_task_cancelled(task) && task->result == 0;
    bool trusted = true;

    engine->n_joins--;
    scan->n_joins--;
    for (size_t i = 0; i < join->count && ok; i++) {
        JoinDirectory *directory = &join->directories[i];

        join_apply(engine, directory);
        if (directory->listing->id == 1)
            trusted = directory->result.verdict == RECONCILE_VERDICT_TRUSTED;
    }
    if (scan->root && scan->walk.start_only) {
        scan->walk.start_only = false;
        if (ok && !scan->walk.abort)
            root_scanned(scan->root, trusted, 0);
        scan->walk.abort |= !trusted || !ok;
    }
    join_free(join);
    scan_resume(scan);
    engine_changed(engine);
}

static void join_start(Scan *scan, JoinDirectory *directories, size_t count)
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

/* ---- putting listings into the tree ---- */

static void tell_watch_error(Engine *engine, Node *node, int error)
{
    CLEANUP_FREE char *path = node_path_new(node);

    if (!engine->unwatched)
        log_event(LOG_LEVEL_WARNING, LOG_EVENT_WATCH_LIMIT, NULL, path,
                  "cannot watch %s: %s; %zu directories are watched. What is not watched is looked "
                  "at every now and then instead. To watch all: "
                  "sysctl fs.inotify.max_user_watches=%zu",
                  path ? path : "a directory",
                  error == ENOSPC ? "the limit of watches is reached" : strerror(error),
                  engine->tree->n_watched, (engine->tree->n_watched + 65536) * 2);
    engine->unwatched = true;
}

static void tell_unreadable(Engine *engine, Node *node, int error)
{
    CLEANUP_FREE char *path = node_path_new(node);
    FileStamp none = {0};

    node->unreadable = true;
    if (path)
        engine_problem(engine, path, &none, strerror(error));
}

/* A directory whose watch is known at another place has been moved; events may have said so since
 * the listing was made, then the listing is the older news. */
static Node *attach_moved(Engine *engine, const Scan *scan, Node *node, Node *parent,
                          const char *name)
{
    if (node->moved >= scan->walk_begun || node->is_root || node_is_within(parent, node))
        return NULL;
    moves_record(engine, node);
    return tree_move(engine->tree, node, parent, name) == 0 ? node : NULL;
}

static Node *attach_child(Engine *engine, const Scan *scan, const Listing *listing, Node *parent,
                          const char *name)
{
    Node *node = tree_child(engine->tree, parent, name);
    Node *known = listing->wd >= 0 ? tree_by_wd(engine->tree, listing->wd) : NULL;

    if (known && known != node)
        return attach_moved(engine, scan, known, parent, name);
    if (node && listing->ino != 0 && node->ino != 0 &&
        (node->ino != listing->ino || node->dev != listing->dev)) {
        tree_remove(engine->tree, node); /* another directory took its name */
        node = NULL;
    }
    if (!node && tree_add(engine->tree, parent, name, &node) < 0)
        return NULL;
    return node;
}

static Node *attach_root(Engine *engine, Root *root, const Listing *listing)
{
    Node *known = listing->wd >= 0 ? tree_by_wd(engine->tree, listing->wd) : NULL;

    if (root->gone || (known && known != root->node)) /* the same directory by two paths */
        return NULL;
    if (root->node && root->node->ino != listing->ino) {
        tree_remove(engine->tree, root->node);
        root->node = NULL;
    }
    if (!root->node && tree_add_root(engine->tree, root->path, &root->node) < 0)
        return NULL;
    return root->node;
}

static Node *attach(Scan *scan, const Listing *listing)
{
    Engine *engine = scan->engine;
    Node *parent;

    if (listing->id == 1) {
        if (scan->root)
            return attach_root(engine, scan->root, listing);
        if (scan->dir->detached)
            return NULL;
        if (scan->name[0] == '\0')
            return scan->dir;
        return attach_child(engine, scan, listing, scan->dir, scan->name);
    }
    parent = listing->parent < scan->n_nodes ? scan->nodes[listing->parent] : NULL;
    if (!parent || parent->detached)
        return NULL;
    return attach_child(engine, scan, listing, parent, listing->name);
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static bool lists_child(const Listing *listing, const char *name)
{
    return listing->n_children > 0 &&
           bsearch(&name, listing->children, listing->n_children, sizeof(char *), compare_names);
}

/* Nodes that are not on disk any more: their event was lost, or is still to come. */
static void check_children(Scan *scan, Node *node, const Listing *listing)
{
    Engine *engine = scan->engine;

    for (Node *child = node->first_child; child; child = child->next)
        if (!lists_child(listing, child->name))
            (void)pending_touch(&engine->pending, node, child->name, CHANGE_WAIT_NONE, clock_now());
    for (size_t i = 0; scan->shallow && i < listing->n_children; i++)
        if (!tree_child(engine->tree, node, listing->children[i]))
            scan_name(engine, node, listing->children[i]);
}

static void tell_bad_names(Engine *engine, const char *path, const Listing *listing)
{
    FileStamp none = {0};

    for (size_t i = 0; i < listing->n_bad; i++) {
        CLEANUP_FREE char *bad = path_join(path, listing->bad_names[i]);

        if (bad)
            engine_problem(engine, bad, &none, "the name is not UTF-8");
    }
}

static bool remember_node(Scan *scan, uint64_t id, Node *node)
{
    if (ARRAY_RESERVE(scan->nodes, scan->nodes_capacity, id + 1) < 0)
        return false;
    while (scan->n_nodes <= id)
        scan->nodes[scan->n_nodes++] = NULL;
    scan->nodes[id] = node_ref(node);
    return true;
}

/* Returns the node when its listing is to be compared with the rows. */
static Node *take_listing(Scan *scan, Listing *listing)
{
    Engine *engine = scan->engine;
    Node *node = attach(scan, listing);

    if (!node || !remember_node(scan, listing->id, node))
        return NULL;
    if (listing->ino != 0) {
        node->dev = listing->dev;
        node->ino = listing->ino;
    }
    if (listing->wd >= 0)
        (void)tree_set_wd(engine->tree, node, listing->wd);
    if (listing->watch_error != 0)
        tell_watch_error(engine, node, listing->watch_error);
    if (listing->error != 0) {
        tell_unreadable(engine, node, listing->error);
        return NULL;
    }
    node->unreadable = false;
    if (engine->n_held > 0) {
        CLEANUP_FREE char *path = node_path_new(node);

        node->held = path && folder_is_held(engine, path);
    }
    check_children(scan, node, listing);
    if (node_is_held(node))
        return NULL;
    if (engine->pending.count > ENGINE_PENDING_MAX && !(scan->root && listing->id == 1)) {
        dirty_add(engine, node, true);
        return NULL;
    }
    return node;
}

static void take_listings(Scan *scan)
{
    JoinDirectory *directories = NULL;
    size_t count = 0;
    size_t capacity = 0;

    for (ListNode *link; (link = list_take(&scan->walk.listings));) {
        Listing *listing = CONTAINER_OF(link, Listing, link);
        Node *node = take_listing(scan, listing);
        char *path = node ? node_path_new(node) : NULL;

        if (!path || ARRAY_RESERVE(directories, capacity, count + 1) < 0) {
            free(path);
            (void)listing_free(listing);
            continue;
        }
        tell_bad_names(scan->engine, path, listing);
        directories[count++] = (JoinDirectory){
            .node = node_ref(node), .path = path, .listing = listing, .is_root = node->is_root};
    }
    if (count > 0)
        join_start(scan, directories, count);
    else
        free(directories);
    watcher_adopt(scan->engine->watcher);
}

/* ---- the life of a scan ---- */

static void scan_end(Scan *scan)
{
    Engine *engine = scan->engine;
    Root *root = scan->root;

    list_remove(&scan->link);
    for (size_t i = 0; i < scan->n_nodes; i++)
        (void)node_unref(scan->nodes[i]);
    free(scan->nodes);
    (void)node_unref(scan->dir);
    free(scan->name);
    walk_done(&scan->walk);
    if (root)
        root->scan = NULL;
    free(scan);
    if (list_is_empty(&engine->scans))
        watcher_drop_orphans(engine->watcher);
    if (root)
        root_scan_ended(root);
    engine_changed(engine);
}

static void scan_submit(Scan *scan)
{
    scan->waiting = false;
    scan->walk_begun = clock_now();
    worker_submit(scan->volume->worker, &scan->walk.job);
}

/* scan_resume() - go on with a scan that waited, or end it */
void scan_resume(Scan *scan)
{
    if (!scan->waiting)
        return;
    if (scan->walk.finished) {
        if (scan->n_joins == 0)
            scan_end(scan);
        return;
    }
    if (!scan->walk.abort && (scan->walk.start_only || scan->engine->n_joins >= ENGINE_JOINS_MAX))
        return;
    scan_submit(scan);
}

static void sliced(WorkerJob *job)
{
    Scan *scan = CONTAINER_OF(CONTAINER_OF(job, Walk, job), Scan, walk);
    bool first = scan->n_nodes == 0;

    scan->waiting = true;
    if (job->cancelled) {
        scan->walk.finished = true;
        scan_resume(scan);
        return;
    }
    if (!scan->walk.abort)
        take_listings(scan);
    if (scan->walk.start_error != 0 && first && scan->root)
        root_scanned(scan->root, false, scan->walk.start_error);
    if (scan->shallow)
        scan->walk.abort = true;
    /* The first directory of a root was not compared (held, unreadable, reached twice): no verdict
     * will come. */
    if (scan->root && scan->walk.start_only && scan->n_joins == 0) {
        scan->walk.start_only = false;
        if (scan->walk.start_error == 0)
            root_scanned(scan->root, scan->root->node && !scan->root->node->unreadable,
                         scan->root->node ? 0 : ENOENT);
        scan->walk.abort |= !scan->root->node || scan->root->node->unreadable;
    }
    scan_resume(scan);
}

static Scan *scan_new(Engine *engine, const char *path, Volume *volume)
{
    Scan *scan = calloc(1, sizeof(*scan));

    if (!scan)
        return NULL;
    if (walk_init(&scan->walk, path, engine->rules, sliced) < 0) {
        walk_done(&scan->walk);
        free(scan);
        return NULL;
    }
    scan->engine = engine;
    scan->volume = volume;
    scan->walk.inotify_fd = watcher_fd(engine->watcher);
    scan->walk.mask = EVENT_WATCH_MASK;
    list_append(&engine->scans, &scan->link);
    engine->counters.rescans++;
    return scan;
}

/* scan_root() - look at a root from its first directory on; its verdict comes first */
void scan_root(Root *root)
{
    Scan *scan;

    if (root->scan)
        return;
    scan = scan_new(root->engine, root->path, root->volume);
    if (!scan)
        return;
    scan->root = root;
    scan->walk.follow = true;
    scan->walk.start_only = true;
    root->scan = scan;
    scan_submit(scan);
}

static void scan_at(Engine *engine, Node *dir, const char *name, bool shallow)
{
    CLEANUP_FREE char *above = dir->detached ? NULL : node_path_new(dir);
    CLEANUP_FREE char *path = above && name[0] != '\0' ? path_join(above, name) : NULL;
    Root *root = above ? root_of(engine, dir) : NULL;
    Scan *scan;

    if (!root || (name[0] != '\0' && !path))
        return;
    scan = scan_new(engine, path ? path : above, root->volume);
    if (!scan)
        return;
    scan->name = strdup(name);
    if (!scan->name) {
        list_remove(&scan->link);
        walk_done(&scan->walk);
        free(scan);
        return;
    }
    scan->dir = node_ref(dir);
    scan->shallow = scan->walk.start_only = shallow;
    scan->walk.follow = name[0] == '\0' && dir->is_root;
    scan_submit(scan);
}

/* scan_name() - look at a directory that appeared in dir, and all below it */
void scan_name(Engine *engine, Node *dir, const char *name)
{
    CLEANUP_FREE char *above = dir->detached ? NULL : node_path_new(dir);
    CLEANUP_FREE char *path = above ? path_join(above, name) : NULL;
    FileStamp none = {0};

    if (!engine->running || !path || rules_ignore_directory(engine->rules, path))
        return;
    if (!path_is_utf8(name)) {
        engine_problem(engine, path, &none, "the name is not UTF-8");
        return;
    }
    scan_at(engine, dir, name, false);
}

/* scan_node() - look again at a directory in the tree; shallow: at nothing below it */
void scan_node(Engine *engine, Node *node, bool shallow)
{
    Root *root = root_of(engine, node);

    if (!engine->running || node->detached)
        return;
    if (root && root->node == node && !shallow)
        scan_root(root);
    else
        scan_at(engine, node, "", shallow);
}

/* scans_continue() - let waiting scans go on, and take up what was put off when there is room */
void scans_continue(Engine *engine)
{
    LIST_FOREACH_SAFE (link, tmp, &engine->scans)
        scan_resume(CONTAINER_OF(link, Scan, link));
    while (!list_is_empty(&engine->dirty) && engine->n_joins < ENGINE_JOINS_MAX &&
           engine->pending.count < ENGINE_PENDING_MAX / 2 && list_is_empty(&engine->scans)) {
        DirtyNode *dirty = CONTAINER_OF(list_take(&engine->dirty), DirtyNode, link);

        scan_node(engine, dirty->node, dirty->shallow);
        (void)node_unref(dirty->node);
        free(dirty);
    }
}

/* scans_abort() - end all scans soon; their slices under way still come back */
void scans_abort(Engine *engine)
{
    LIST_FOREACH_SAFE (link, tmp, &engine->scans) {
        Scan *scan = CONTAINER_OF(link, Scan, link);

        scan->walk.abort = true;
        scan_resume(scan);
    }
    for (ListNode *link; (link = list_take(&engine->dirty));) {
        DirtyNode *dirty = CONTAINER_OF(link, DirtyNode, link);

        (void)node_unref(dirty->node);
        free(dirty);
    }
}
