/*
 * Listings into the tree
 *
 * Each listing of a scan is given its node. Usually the node is there or is made; the hard case is
 * a directory whose watch descriptor is known at another place. A descriptor follows its inode, so
 * either the directory was moved and its events were lost or are still to come, or it can be
 * reached by two paths (a bind mount, a root inside another one by a symbolic link). Which of the
 * two, only the disk can tell: the older place is looked at (a *doubt*), on its volume's thread.
 *
 *     not there any more  ─▶ it was moved: the node is relinked, and its rows follow
 *     still there         ─▶ an alias: it gets a node without a watch, which is polled, for the
 *                            kernel tells of its changes under the first path only
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "sync/engine-private.h"
#include "util/array.h"
#include "util/clock.h"
#include "util/error.h"
#include "util/log.h"

/* ---- directories that are found at a second place ---- */

typedef struct Doubt {
    ListNode link; /* Engine.doubts */
    ProbeJob probe;
    Engine *engine;
    Volume *volume;      /* of known; one user of it */
    Node *known;         /* referenced: where it was */
    Node *parent;        /* referenced: where it is now; NULL: it is a root */
    char *name;          /* in parent; of a root the path */
    uint64_t begun;      /* Tree.n_moves */
    uint64_t left_begun; /* Engine.directories_left when it was found */
} Doubt;

static void doubt_free(Doubt *doubt)
{
    list_remove(&doubt->link);
    probe_job_done(&doubt->probe);
    (void)volume_release(doubt->volume);
    (void)node_unref(doubt->known);
    (void)node_unref(doubt->parent);
    free(doubt->name);
    free(doubt);
}

/* A directory comes into the tree. It may have left again before, and its event been looked into
 * when nothing was known of it there: then it is looked for. */
static void look_if_left(Engine *engine, Node *parent, const char *name, uint64_t left_begun)
{
    if (engine->directories_left != left_begun)
        (void)engine_touch(engine, parent, name, CHANGE_WAIT_NONE);
}

static void make_alias(Engine *engine, Node *parent, const char *name)
{
    Node *node = tree_child(engine->tree, parent, name);

    if (!node && tree_add(engine->tree, parent, name, &node) < 0)
        return;
    if (node->alias)
        return;
    node->alias = true;
    poll_add(engine, node);
    scan_node(engine, node, false, false);
}

static void make_alias_root(Engine *engine, const char *path)
{
    LIST_FOREACH (link, &engine->roots) {
        Root *root = CONTAINER_OF(link, Root, link);

        if (root->gone || root->node || strcmp(root->path, path) != 0)
            continue;
        root->doubted = false;
        if (tree_add_root(engine->tree, path, &root->node) < 0)
            return;
        root->node->place = root->place.number;
        root->node->alias = true;
        root->state = ROOT_STATE_SCANNING;
        poll_add(engine, root->node);
        root_look(root);
        return;
    }
}

static void root_look_again(Engine *engine, const char *path)
{
    LIST_FOREACH (link, &engine->roots) {
        Root *root = CONTAINER_OF(link, Root, link);

        if (root->gone || strcmp(root->path, path) != 0)
            continue;
        root->doubted = false;
        root_look(root);
    }
}

static void doubt_decide(Doubt *doubt, bool still_there)
{
    Engine *engine = doubt->engine;
    Node *known = doubt->known;

    if (!doubt->parent) {
        if (still_there && !known->detached) {
            make_alias_root(engine, doubt->name);
        } else {
            if (!known->detached && !known->is_root)
                tree_remove(engine->tree, known); /* found under the root's name, by its inodes */
            root_look_again(engine, doubt->name);
        }
        return;
    }
    if (doubt->parent->detached)
        return;
    if (known->detached || node_moved_since(engine->tree, known, doubt->begun)) {
        scan_name(engine, doubt->parent, doubt->name); /* events came meanwhile */
    } else if (still_there) {
        make_alias(engine, doubt->parent, doubt->name);
    } else if (!known->is_root && !node_is_within(doubt->parent, known)) {
        Node *victim = tree_child(engine->tree, doubt->parent, doubt->name);

        if (victim && victim != known && victim->wd >= 0)
            (void)displaced_add(engine, victim); /* it is somewhere, too */
        engine_directory_moving(engine, known);
        if (tree_move(engine->tree, known, doubt->parent, doubt->name) != 0)
            return;
        scan_node(engine, known, false, false);
        look_if_left(engine, doubt->parent, doubt->name, doubt->left_begun);
    }
}

static void doubt_looked(WorkerJob *job)
{
    Doubt *doubt = CONTAINER_OF(CONTAINER_OF(job, ProbeJob, job), Doubt, probe);
    Engine *engine = doubt->engine;

    volume_answered(engine, doubt->volume);
    if (!job->cancelled && engine->running)
        doubt_decide(doubt, doubt->probe.directories[0].result == PROBE_RESULT_OK);
    doubt_free(doubt);
    engine_changed(engine);
}

/* doubts_under_way() - how many doubts there are, those of volumes that do not answer aside */
size_t doubts_under_way(const Engine *engine)
{
    size_t n = 0;

    LIST_FOREACH (link, &engine->doubts)
        n += !CONTAINER_OF(link, Doubt, link)->volume->hung;
    return n;
}

/* False: memory ran out, or nobody knows where the older place is. */
static bool doubt_start(const Scan *scan, Node *known, Node *parent, const char *name)
{
    Engine *engine = scan->engine;
    Volume *volume = volume_of(engine, known);
    CLEANUP_FREE char *path = node_path_new(known);
    Doubt *doubt = volume && path ? calloc(1, sizeof(*doubt)) : NULL;
    ProbeDirectory *directory;

    if (!doubt)
        return false;
    doubt->engine = engine;
    doubt->volume = volume;
    volume->users++;
    doubt->known = node_ref(known);
    doubt->parent = parent ? node_ref(parent) : NULL;
    doubt->name = strdup(name);
    doubt->begun = engine->tree->n_moves;
    doubt->left_begun = scan->left_begun;
    probe_job_init(&doubt->probe, doubt_looked);
    if (!doubt->name ||
        probe_job_add_directory(&doubt->probe, path, known->dev, known->ino, &directory) < 0) {
        doubt_free(doubt);
        return false;
    }
    directory->follow = known->is_root;
    list_append(&engine->doubts, &doubt->link);
    volume_submit(engine, volume, &doubt->probe.job);
    return true;
}

/* ---- finding the node ---- */

/* node_is_alias() - is a directory reached by a second path, under which nothing is heard of it? */
bool node_is_alias(const Node *node)
{
    for (; node; node = node->parent)
        if (node->alias)
            return true;
    return false;
}

/* The node that has this watch, if it is not the one that the listing is for. */
static Node *known_elsewhere(Engine *engine, const Listing *listing, const Node *node)
{
    Node *known = listing->wd >= 0 ? tree_by_wd(engine->tree, listing->wd) : NULL;

    return known == node ? NULL : known;
}

static Node *attach_child(Engine *engine, const Scan *scan, const Listing *listing, Node *parent,
                          const char *name)
{
    Node *node = tree_child(engine->tree, parent, name);
    Node *known =
        node_is_alias(node ? node : parent) ? NULL : known_elsewhere(engine, listing, node);
    bool made_here = false;

    if (known) {
        /* A directory that is found inside itself is looked at once. Events have moved it since the
         * slice was begun: before it was listed, or later; it is looked at again. */
        if (node_is_within(parent, known))
            return NULL;
        if (node_moved_since(engine->tree, known, scan->moves_begun))
            scan_name(engine, parent, name);
        else
            (void)doubt_start(scan, known, parent, name);
        return NULL;
    }
    if (node && listing->ino != 0 && node->ino != 0 &&
        (node->ino != listing->ino || node->dev != listing->dev)) {
        bool watched = node->wd >= 0 && node->dev == listing->dev;

        /* On the same device it is no mount point that may be empty: its row is known as before. */
        made_here = node->made_here && node->dev == listing->dev;
        if (!watched || !displaced_add(engine, node))
            tree_remove(engine->tree, node); /* another directory took its name */
        places_sweep(engine);
        node = NULL;
    }
    if (!node) {
        if (tree_add(engine->tree, parent, name, &node) < 0)
            return NULL;
        node->made_here = made_here;
        look_if_left(engine, parent, name, scan->left_begun);
    }
    return node;
}

static Node *attach_root(const Scan *scan, const Listing *listing)
{
    Engine *engine = scan->engine;
    Root *root = scan->root;
    Node *known;

    if (root->gone)
        return NULL;
    if (root->node && root->node->ino != 0 && root->node->ino != listing->ino) {
        tree_remove(engine->tree, root->node);
        root->node = NULL;
        root->watched = false;
        places_sweep(engine);
    }
    known = root->node && root->node->alias ? NULL : known_elsewhere(engine, listing, root->node);
    if (known) {
        root->doubted = doubt_start(scan, known, NULL, root->path);
        return NULL;
    }
    if (!root->node && tree_add_root(engine->tree, root->path, &root->node) < 0)
        return NULL;
    root->node->place = root->place.number;
    return root->node;
}

static Node *attach(Scan *scan, const Listing *listing)
{
    Engine *engine = scan->engine;
    Node *parent;

    if (listing->id == 1) {
        if (scan->root)
            return attach_root(scan, listing);
        if (scan->dir->detached)
            return NULL;
        if (scan->name[0] == '\0')
            return scan->dir;
        return attach_child(engine, scan, listing, scan->dir, scan->name);
    }
    parent = listing->parent < scan->n_nodes ? scan->nodes[listing->parent] : NULL;
    if (!parent || parent->detached)
        return NULL;
    if (listing->is_mount) {
        scan_name(engine, parent, listing->name); /* on the thread of its own volume */
        return NULL;
    }
    return attach_child(engine, scan, listing, parent, listing->name);
}

/* ---- what a listing says of its node ---- */

/* A directory beyond our share of the watches, or refused by the kernel, is polled. */
static void take_watch(Engine *engine, Node *node, const Listing *listing)
{
    if (node_is_alias(node))
        return;
    if (listing->wd >= 0 && node->wd < 0 && !limits_allow(engine)) {
        (void)inotify_rm_watch(watcher_fd(engine->watcher), listing->wd);
        limits_refused(engine);
    } else if (listing->wd >= 0) {
        (void)tree_set_wd(engine->tree, node, listing->wd);
    } else if (listing->watch_error == ENOSPC) {
        limits_refused(engine);
    }
    if (node->wd < 0)
        poll_add(engine, node);
}

static void tell_unreadable(Engine *engine, Node *node, int error)
{
    CLEANUP_FREE char *path = node_path_new(node);
    FileStamp none = {0};

    if (node->is_root)
        return; /* offline, and said so */
    node->unreadable = true;
    poll_add(engine, node);
    if (path)
        engine_problem(engine, path, &none, strerror(error));
}

static void tell_readable(Engine *engine, Node *node)
{
    CLEANUP_FREE char *path = node_path_new(node);

    node->unreadable = false;
    if (path)
        engine_problem_clear(engine, path);
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
        if (!lists_child(listing, node_name(child)))
            (void)engine_touch(engine, node, node_name(child), CHANGE_WAIT_NONE);
    for (size_t i = 0; scan->shallow && i < listing->n_children; i++) {
        if (tree_child(engine->tree, node, listing->children[i]))
            continue;
        if (engine->n_scans >= ENGINE_SCANS_MAX) {
            dirty_add(engine, node, true);
            return;
        }
        scan_name(engine, node, listing->children[i]);
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

static void take_mount(Engine *engine, const Scan *scan, Node *node)
{
    const Mount *mount = scan->is_mount ? mount_at_node(engine, node, "") : NULL;

    if (mount)
        (void)place_set_mount(engine, node, mount);
}

/*
 * attach_listing() - put what a listing says into the tree
 *
 * Returns the node when the listing is to be compared with the rows: not where it cannot be read,
 * where another program imports, or when there is no room for changes (then later).
 */
Node *attach_listing(Scan *scan, Listing *listing)
{
    Engine *engine = scan->engine;
    Node *node = attach(scan, listing);

    if (!node || !remember_node(scan, listing->id, node))
        return NULL;
    if (listing->id == 1)
        take_mount(engine, scan, node);
    if (listing->ino != 0) {
        node_set_inode(node, listing->dev, listing->ino);
        take_watch(engine, node, listing);
    }
    if (listing->error != 0) {
        tell_unreadable(engine, node, listing->error);
        return NULL;
    }
    if (node->unreadable)
        tell_readable(engine, node);
    if (engine->held_folders.count > 0) {
        CLEANUP_FREE char *path = node_path_new(node);

        node->held = path && folder_is_held(engine, path);
    }
    check_children(scan, node, listing);
    if (node_is_held(node) || node_is_moving(node) || listing->names_only)
        return NULL;
    if (engine->pending.count > ENGINE_PENDING_MAX && !(scan->root && listing->id == 1)) {
        dirty_add(engine, node, true);
        return NULL;
    }
    return node;
}
