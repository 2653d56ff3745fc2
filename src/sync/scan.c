/*
 * Scans
 *
 * A scan walks a subtree on its volume's thread, slice by slice. Each slice brings listings of
 * directories, which were watched before they were read. The loop puts them into the tree
 * (sync/attach.c) and has the store's thread compare them with the rows (sync/join.c); every name
 * that differs becomes a pending change.
 *
 * Backpressure: a scan goes on only while few slices wait for their comparison, and while there is
 * room for changes. When there is none, its directories are still watched and put into the tree
 * (being watched cannot wait), and put off for the comparison (sync/dirty.c).
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "sync/engine-private.h"
#include "util/array.h"
#include "util/clock.h"
#include "util/error.h"
#include "util/log.h"

/* ---- taking in a slice ---- */

static void tell_bad_names(Engine *engine, const char *path, const Listing *listing)
{
    FileStamp none = {0};

    for (size_t i = 0; i < listing->n_bad; i++) {
        CLEANUP_FREE char *bad = path_join(path, listing->bad_names[i]);

        if (bad)
            engine_problem(engine, bad, &none, "the name is not UTF-8");
    }
}

static void take_listings(Scan *scan, List *listings)
{
    JoinDirectory *directories = NULL;
    size_t count = 0;
    size_t capacity = 0;

    for (ListNode *link; (link = list_take(listings));) {
        Listing *listing = CONTAINER_OF(link, Listing, link);
        Node *node = attach_listing(scan, listing);
        char *path = node ? node_path_new(node) : NULL;

        scan->engine->counters.directories_listed += !listing->is_mount;
        if (!path || ARRAY_RESERVE(directories, capacity, count + 1) < 0) {
            free(path);
            (void)listing_free(listing);
            continue;
        }
        tell_bad_names(scan->engine, path, listing);
        directories[count++] = (JoinDirectory){.node = node_ref(node),
                                               .path = path,
                                               .listing = listing,
                                               .made_here = node->made_here,
                                               .left_begun = scan->left_begun,
                                               .proof = place_of(scan->engine, node)->proof};
    }
    if (count > 0)
        join_start(scan, directories, count);
    else
        free(directories);
    watcher_adopt(scan->engine->watcher);
}

/* ---- the life of a scan ---- */

static void scan_again(const Scan *scan);

static void scan_free(Scan *scan)
{
    for (size_t i = 0; i < scan->n_nodes; i++)
        (void)node_unref(scan->nodes[i]);
    free(scan->nodes);
    (void)node_unref(scan->dir);
    (void)volume_release(scan->volume);
    free(scan->name);
    walk_done(&scan->walk);
    free(scan);
}

static void scan_end(Scan *scan)
{
    Engine *engine = scan->engine;
    Root *root = scan->root;
    bool all_watched = scan->names_only && !scan->walk.abort;
    bool compared = !scan->names_only && !scan->walk.abort;

    list_remove(&scan->link);
    engine->n_scans--;
    if (scan->remounted && root)
        root->rescan = root->checked = true;
    else if (scan->remounted && scan->dir) /* not a root's that was given up */
        scan_again(scan);
    scan_free(scan);
    if (list_is_empty(&engine->scans)) /* one that hangs has watches that nobody knows of yet */
        watcher_drop_orphans(engine->watcher);
    if (scans_under_way(engine) == 0) {
        limits_tell(engine);
        places_judge(engine);
    }
    if (root) {
        root->scan = NULL;
        if (compared)
            root->compared = clock_now();
        if (all_watched) {
            root->watched = true;
            root->rescan = true; /* now everything is compared */
        }
        root_scan_ended(root);
        pass_scan_ended(engine);
    }
    engine_changed(engine);
}

static void scan_submit(Scan *scan)
{
    scan->waiting = false;
    scan->next_moves_begun = scan->engine->tree->n_moves;
    scan->next_left_begun = scan->engine->directories_left;
    volume_submit(scan->engine, scan->volume, &scan->walk.job);
}

/* May the next slice begin? more: comparisons that are about to be asked for. */
static bool has_room(const Scan *scan, unsigned more)
{
    return scan->walk.names_only || scan->engine->n_joins + more < ENGINE_JOINS_MAX;
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
    if (!scan->walk.abort && (scan->walk.start_only || !has_room(scan, 0)))
        return;
    scan_submit(scan);
}

/* The first directory of a root is known to be the right one: on with the rest. */
static void start_is_over(Scan *scan, bool go_on)
{
    scan->walk.start_only = false;
    scan->walk.names_only = scan->names_only;
    if (!go_on)
        scan->walk.abort = true;
}

/* scan_joined() - a slice has been compared; trusted is the verdict on the start, if it was in it
 */
void scan_joined(Scan *scan, bool ok, bool trusted)
{
    if (scan->root && scan->walk.start_only) {
        if (ok && !scan->walk.abort)
            root_scanned(scan->root, trusted, 0);
        start_is_over(scan, trusted && ok);
    }
    scan_resume(scan);
}

static const Listing *first_listing(const Scan *scan)
{
    return list_is_empty(&scan->walk.listings)
               ? NULL
               : CONTAINER_OF(list_first(&scan->walk.listings), Listing, link);
}

/* Was the start opened on the mount that is at its path by the table? */
static bool is_on_its_mount(const Engine *engine, const Listing *first)
{
    const Mount *mount = first && first->id == 1 && first->mount_id != 0 && first->real_path
                             ? mount_table_find(engine->mount_table, first->real_path)
                             : NULL;

    return !mount || mount->id == first->mount_id;
}

/*
 * What was unmounted and is mounted again at once comes back with the same numbers, so comparing
 * tables does not tell; and a directory that was opened in between is the one below the mount
 * point, of which nothing will ever be heard. So the table is read when it disagrees with what was
 * opened. If they still disagree the start is looked at once more: then that is how it is (what
 * is mounted above a mount point hides it, though the table has it still).
 */
static void check_mount(Scan *scan)
{
    Engine *engine = scan->engine;
    const Listing *first = first_listing(scan);

    if (is_on_its_mount(engine, first))
        return;
    places_look(engine);
    if (scan->checked || is_on_its_mount(engine, first))
        return;
    scan->walk.abort = scan->remounted = true;
    scan->walk.start_only = false;
}

/* What the first slice of a root's scan told: where it really is, and so on which volume. */
static void take_real_path(Scan *scan)
{
    const Listing *first = first_listing(scan);
    Root *root = scan->root;

    scan->start_error = first ? first->error : 0;
    if (!first || first->id != 1 || root->gone || root_set_real_path(root, first->real_path) < 0)
        return;
    (void)volume_release(scan->volume);
    scan->volume = volume_use(root->place.volume);
}

/* The first directory of a root was not compared (held, unreadable, reached twice): no verdict will
 * come. */
static void start_without_verdict(Scan *scan)
{
    Root *root = scan->root;
    bool readable = root->node && scan->start_error == 0;

    if (scan->walk.start_error == 0 && !root->doubted)
        root_scanned(root, readable, scan->start_error);
    start_is_over(scan, readable);
}

/* Directories that a scan watched before it was given up: nobody will tell of them. */
static void discard_listings(Scan *scan)
{
    Engine *engine = scan->engine;

    for (ListNode *link; (link = list_take(&scan->walk.listings));) {
        Listing *listing = CONTAINER_OF(link, Listing, link);

        if (listing->wd >= 0 && !tree_by_wd(engine->tree, listing->wd))
            (void)inotify_rm_watch(watcher_fd(engine->watcher), listing->wd);
        (void)listing_free(listing);
    }
}

/* What a slice has found comes into the tree while the next one is at work. */
static void take_slice(Scan *scan, bool first)
{
    List listings;

    list_init(&listings);
    list_splice(&listings, &scan->walk.listings);
    if (!first && !scan->walk.finished && !scan->walk.start_only && !scan->shallow &&
        has_room(scan, 1))
        scan_submit(scan);
    take_listings(scan, &listings);
}

/* At its path is another directory than the one in the tree. Where that one went its own event
 * tells; what is there now is looked for by its name. */
static void look_by_name(Scan *scan)
{
    Engine *engine = scan->engine;
    const Node *dir = scan->dir;

    if (scan->name[0] != '\0' || dir->detached)
        return;
    if (dir->is_root)
        root_look(root_of(engine, dir));
    else
        (void)engine_touch(engine, dir->parent, node_name(dir), CHANGE_WAIT_NONE);
}

static void sliced(WorkerJob *job)
{
    Scan *scan = CONTAINER_OF(CONTAINER_OF(job, Walk, job), Scan, walk);
    bool first = scan->n_nodes == 0;

    volume_answered(scan->engine, scan->volume);
    scan->waiting = true;
    scan->moves_begun = scan->next_moves_begun;
    scan->left_begun = scan->next_left_begun;
    if (job->cancelled) {
        discard_listings(scan);
        scan->walk.finished = true;
        scan_resume(scan);
        return;
    }
    if (first)
        check_mount(scan);
    if (first && scan->root && !scan->walk.abort)
        take_real_path(scan);
    if (scan->walk.abort)
        discard_listings(scan);
    else
        take_slice(scan, first);
    if (scan->walk.start_error != 0 && first && scan->root)
        root_scanned(scan->root, false, scan->walk.start_error);
    if (scan->walk.start_error == ESTALE && first && scan->dir)
        look_by_name(scan);
    if (scan->shallow)
        scan->walk.abort = true;
    if (scan->root && scan->walk.start_only && scan->n_joins == 0)
        start_without_verdict(scan);
    scan_resume(scan);
}

/* Takes over the caller's use of the volume. */
static Scan *scan_new(Engine *engine, const char *path, Volume *volume)
{
    Scan *scan = calloc(1, sizeof(*scan));

    if (!scan || walk_init(&scan->walk, path, engine->rules, engine->mount_table, sliced) < 0) {
        if (scan)
            walk_done(&scan->walk);
        free(scan);
        (void)volume_release(volume);
        return NULL;
    }
    scan->engine = engine;
    scan->volume = volume;
    scan->walk.inotify_fd = watcher_fd(engine->watcher);
    scan->walk.mask = EVENT_WATCH_MASK;
    list_append(&engine->scans, &scan->link);
    if (engine->n_scans++ == 0)
        engine->listed_before = engine->counters.directories_listed;
    engine->counters.scans++;
    return scan;
}

/*
 * scan_root() - look at a root from its first directory on; its verdict comes first
 * @idle: at idle I/O priority
 *
 * What is not known to be where it was is looked at on a thread of its own first.
 */
void scan_root(Root *root, bool idle)
{
    Engine *engine = root->engine;
    bool known = root->state == ROOT_STATE_ONLINE && !root->unsure && root->place.volume;
    Volume *volume = known ? volume_use(root->place.volume) : NULL;
    Scan *scan;

    if (root->scan) {
        (void)volume_release(volume);
        return;
    }
    if (!volume && volumes_get_private(&engine->volumes, &volume) < 0) {
        root_look_later(root);
        return;
    }
    scan = scan_new(engine, root->path, volume);
    if (!scan) {
        root_look_later(root);
        return;
    }
    scan->root = root;
    scan->checked = root->checked;
    root->checked = false;
    scan->names_only = !root->watched;
    scan->walk.follow = true;
    scan->walk.start_only = true;
    scan->walk.idle = idle;
    if (root->node && root->node->alias)
        scan->walk.inotify_fd = -1;
    root->scan = scan;
    pass_scan_begun(engine);
    scan_submit(scan);
}

/* The volume of a directory that may be a mount point, with one user more; NULL: leave it alone. */
static Volume *volume_at(Engine *engine, Node *dir, const char *name, bool *ret_is_mount)
{
    const Mount *mount = name[0] != '\0' || !dir->is_root ? mount_at_node(engine, dir, name) : NULL;
    Volume *volume = NULL;

    *ret_is_mount = mount != NULL;
    if (!mount)
        return volume_use(volume_of(engine, dir));
    if (mount->kind == MOUNT_KIND_PSEUDO || volumes_get(&engine->volumes, mount, &volume) < 0)
        return NULL;
    return volume;
}

/* NULL: there is nothing to be looked at, or memory ran out. */
static Scan *scan_at(Engine *engine, Node *dir, const char *name, bool shallow, bool idle)
{
    CLEANUP_FREE char *above = dir->detached ? NULL : node_path_new(dir);
    CLEANUP_FREE char *path = above && name[0] != '\0' ? path_join(above, name) : NULL;
    Root *root = above ? root_of(engine, dir) : NULL;
    bool is_mount = false;
    Volume *volume;
    Scan *scan;

    if (!root || (name[0] != '\0' && !path))
        return NULL;
    volume = volume_at(engine, dir, name, &is_mount);
    scan = volume ? scan_new(engine, path ? path : above, volume) : NULL;
    if (!scan)
        return NULL;
    scan->dir = node_ref(dir);
    scan->name = strdup(name);
    scan->is_mount = is_mount;
    scan->shallow = scan->walk.start_only = shallow;
    scan->walk.idle = idle;
    scan->walk.follow = name[0] == '\0' && dir->is_root;
    if (dir->wd >= 0 && !(is_mount && name[0] == '\0')) {
        scan->walk.dev = dir->dev;
        scan->walk.ino = dir->ino;
        scan->walk.is_in = name[0] != '\0';
    }
    if (node_is_alias(dir))
        scan->walk.inotify_fd = -1;
    if (!scan->name) {
        list_remove(&scan->link);
        engine->n_scans--;
        scan_free(scan);
        return NULL;
    }
    scan_submit(scan);
    return scan;
}

/* See check_mount(). */
static void scan_again(const Scan *scan)
{
    Engine *engine = scan->engine;
    Scan *again = engine->running
                      ? scan_at(engine, scan->dir, scan->name, scan->shallow, scan->walk.idle)
                      : NULL;

    if (again)
        again->checked = true;
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
    /* One scan after the other of a volume that does not answer would use them all up. */
    if (engine->n_scans >= ENGINE_SCANS_MAX || node_is_hung(engine, dir))
        dirty_add(engine, dir, true);
    else
        (void)scan_at(engine, dir, name, false, false);
}

/*
 * scan_node() - look again at a directory in the tree
 * @shallow: at nothing below it
 * @idle: at idle I/O priority
 */
void scan_node(Engine *engine, Node *node, bool shallow, bool idle)
{
    Root *root = root_of(engine, node);

    if (!engine->running || node->detached)
        return;
    if (root && root->node == node && !shallow) {
        if (idle)
            scan_root(root, true);
        else
            root_look(root);
    } else {
        (void)scan_at(engine, node, "", shallow, idle);
    }
}

/* scans_under_way() - how many scans there are, those of volumes that do not answer aside */
size_t scans_under_way(const Engine *engine)
{
    size_t n = engine->n_scans;

    if (engine->n_hung == 0)
        return n;
    LIST_FOREACH (link, &engine->scans)
        n -= CONTAINER_OF(link, Scan, link)->volume->hung;
    return n;
}

/* scans_continue() - let waiting scans go on, and take up what was put off when there is room */
void scans_continue(Engine *engine)
{
    LIST_FOREACH_SAFE (link, tmp, &engine->scans)
        scan_resume(CONTAINER_OF(link, Scan, link));
    dirty_continue(engine);
    displaced_continue(engine);
}

/*
 * scan_give_up() - let go of a root's scan that hangs: something was mounted or unmounted there
 *
 * What hangs may be a server that never comes back, with another one in its place. The scan ends
 * when its thread answers, and tells nobody.
 */
void scan_give_up(Root *root)
{
    Scan *scan = root->scan;

    if (!scan || !scan->volume->hung)
        return;
    scan->walk.abort = true;
    scan->root = NULL;
    root->scan = NULL;
    pass_scan_ended(root->engine);
}

/* scans_abort() - end all scans soon; their slices under way still come back */
void scans_abort(Engine *engine)
{
    LIST_FOREACH_SAFE (link, tmp, &engine->scans) {
        Scan *scan = CONTAINER_OF(link, Scan, link);

        scan->walk.abort = true;
        scan_resume(scan);
    }
    dirty_clear(engine);
    displaced_clear(engine);
    doubts_clear(engine);
    inspections_clear(engine);
}
