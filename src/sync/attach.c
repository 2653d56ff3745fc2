/*
 * Listings into the tree
 *
 * Each listing of a scan is given its node. Usually the node is there or is made; the hard case is
 * a directory whose watch descriptor is known at another place (sync/doubts.c).
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "sync/engine-private.h"
#include "util/array.h"
#include "util/clock.h"
#include "util/error.h"
#include "util/log.h"

/* ---- finding the node ---- */

/* attach_look_if_left() - a directory comes into the tree. It may have left again before, and its
 * event been looked into when nothing was known of it there: then it is looked for. */
void attach_look_if_left(Engine *engine, Node *parent, const char *name, uint64_t left_begun)
{
    if (engine->directories_left != left_begun)
        (void)engine_touch(engine, parent, name, CHANGE_WAIT_NONE);
}

/* The node that has this watch, if it is not the one that the listing is for. */
static Node *known_elsewhere(Engine *engine, const Listing *listing, const Node *node)
{
    Node *known = listing->wd >= 0 ? tree_by_wd(engine->tree, listing->wd) : NULL;

    return known == node ? NULL : known;
}

/* It is not watched any more, so it was removed, and what is watched below had left it; or never
 * was, and has moved with that. Either way that is somewhere else. */
static void displace_below(Engine *engine, const Node *removed)
{
    for (Node *child = removed->first_child, *next; child; child = next) {
        next = child->next;
        if (child->wd < 0)
            displace_below(engine, child);
        else if (!displaced_add(engine, child))
            return;
    }
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
        if (node->wd < 0 && node->dev == listing->dev)
            displace_below(engine, node);
        if (!watched || !displaced_add(engine, node))
            tree_remove(engine->tree, node); /* another directory took its name */
        places_sweep(engine);
        node = NULL;
    }
    if (!node) {
        if (tree_add(engine->tree, parent, name, &node) < 0)
            return NULL;
        node->made_here = made_here;
        attach_look_if_left(engine, parent, name, scan->left_begun);
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

        node->held = path && import_holds(engine, path);
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
