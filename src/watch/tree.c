/*
 * The directory tree
 *
 * A watched directory is a node that knows its parent and its own name, never its path: renaming a
 * directory with a million files below it relinks one node. Paths are put together when somebody
 * needs one.
 *
 * Nodes are found in two ways: by watch descriptor (an event names nothing else) and by parent and
 * name (an event in a directory names its child). Both are intrusive hash tables; the kernel hands
 * out watch descriptors cyclically up to INT_MAX, so an array indexed by them would grow for ever
 * in a library whose directories come and go.
 *
 * A node is counted: pending changes refer to the directory they happened in. A node that leaves
 * the tree is `detached`; whoever still holds it finds that out and lets go.
 */
#include "watch/tree.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "util/clock.h"
#include "util/error.h"
#include "util/list.h"

static uint64_t name_hash(const Node *parent, const char *name)
{
    return hash_bytes(name, strlen(name), (uint64_t)(uintptr_t)parent);
}

static uint64_t wd_hash(int wd)
{
    return hash_bytes(&wd, sizeof(wd), 0);
}

/* tree_init() - prepare an empty tree; unwatch is called with owner for every watch that ends */
void tree_init(Tree *tree, TreeUnwatch unwatch, void *owner)
{
    *tree = (Tree){.unwatch = unwatch, .owner = owner};
}

void tree_done(Tree *tree)
{
    assert(tree->n_nodes == 0);
    hash_done(&tree->names);
    hash_done(&tree->wds);
}

static size_t node_size(const Node *node)
{
    return sizeof(Node) + strlen(node->name) + 1;
}

static int node_new(Tree *tree, Node *parent, const char *name, Node **ret_node)
{
    Node *node = calloc(1, sizeof(Node));
    int r;

    if (!node)
        return error_trace(-ENOMEM);
    node->wd = -1;
    node->refs = 1;
    node->mtime = INT64_MIN;
    node->parent = parent;
    node->name = strdup(name);

    r = node->name ? hash_insert(&tree->names, &node->by_name, name_hash(parent, name)) : -ENOMEM;
    if (r < 0) {
        free(node->name);
        free(node);
        return error_trace(r);
    }
    tree->n_nodes++;
    tree->memory += node_size(node);
    *ret_node = node;
    return 0;
}

static void link_child(Node *parent, Node *node)
{
    node->parent = parent;
    node->prev = NULL;
    node->next = parent->first_child;
    if (node->next)
        node->next->prev = node;
    parent->first_child = node;
}

static void unlink_child(Node *node)
{
    if (node->prev)
        node->prev->next = node->next;
    else if (node->parent)
        node->parent->first_child = node->next;
    if (node->next)
        node->next->prev = node->prev;
    node->prev = node->next = NULL;
}

/* tree_add_root() - add a node without a parent; its name is the whole path */
int tree_add_root(Tree *tree, const char *path, Node **ret_node)
{
    int r = node_new(tree, NULL, path, ret_node);

    if (r < 0)
        return error_trace(r);
    (*ret_node)->is_root = true;
    return 0;
}

/* tree_add() - add a directory below parent; there must be none of that name yet */
int tree_add(Tree *tree, Node *parent, const char *name, Node **ret_node)
{
    int r;

    assert(!tree_child(tree, parent, name));
    r = node_new(tree, parent, name, ret_node);
    if (r < 0)
        return error_trace(r);
    link_child(parent, *ret_node);
    return 0;
}

/*
 * tree_set_wd() - bind a node to a watch descriptor, or to none (-1)
 *
 * A descriptor that another node had is taken from it: inotify_add_watch(2) gives the same number
 * for the same inode, so the other node is stale.
 */
int tree_set_wd(Tree *tree, Node *node, int wd)
{
    Node *other = wd >= 0 ? tree_by_wd(tree, wd) : NULL;
    int r;

    if (node->wd == wd)
        return 0;
    if (other)
        (void)tree_set_wd(tree, other, -1);
    if (node->wd >= 0) {
        hash_remove(&tree->wds, &node->by_wd);
        tree->n_watched--;
        node->wd = -1;
    }
    if (wd < 0)
        return 0;
    r = hash_insert(&tree->wds, &node->by_wd, wd_hash(wd));
    if (r < 0)
        return error_trace(r);
    node->wd = wd;
    tree->n_watched++;
    return 0;
}

static void detach(Tree *tree, Node *node)
{
    int wd = node->wd;

    (void)tree_set_wd(tree, node, -1);
    if (wd >= 0 && tree->unwatch)
        tree->unwatch(tree->owner, wd);
    hash_remove(&tree->names, &node->by_name);
    unlink_child(node);
    node->parent = NULL;
    node->detached = true;
    tree->n_nodes--;
    tree->memory -= node_size(node);
    node_unref(node);
}

/*
 * tree_remove() - take a node and all below it out of the tree, ending their watches
 *
 * Leaves first and without recursion: a tree may be as deep as the file system allows.
 */
void tree_remove(Tree *tree, Node *node)
{
    Node *at = node;

    for (;;) {
        Node *parent = at->parent;
        bool last = at == node;

        if (at->first_child) {
            at = at->first_child;
            continue;
        }
        detach(tree, at);
        if (last)
            return;
        at = parent;
    }
}

/*
 * tree_move() - give a directory another parent or name
 *
 * The node keeps its watch, its children and every reference to it. A node that stands at the new
 * place is removed. TREE_E_CYCLE when the new parent is below the node (the events that say so
 * cannot both be true any more: scan instead), or -ENOMEM, both with nothing changed.
 */
int tree_move(Tree *tree, Node *node, Node *parent, const char *name)
{
    Node *victim = tree_child(tree, parent, name);
    char *copy;

    if (victim == node)
        return 0;
    if (node_is_within(parent, node) || node->is_root)
        return TREE_E_CYCLE;
    copy = strdup(name);
    if (!copy)
        return error_trace(-ENOMEM);
    if (victim)
        tree_remove(tree, victim);

    hash_remove(&tree->names, &node->by_name);
    unlink_child(node);
    tree->memory -= node_size(node);
    free(node->name);
    node->name = copy;
    tree->memory += node_size(node);
    link_child(parent, node);
    node->moved = clock_now();
    /* The table had room a moment ago; inserting what was just removed cannot fail. */
    return hash_insert(&tree->names, &node->by_name, name_hash(parent, name));
}

/* tree_child() - the directory called name in parent, or NULL */
Node *tree_child(const Tree *tree, const Node *parent, const char *name)
{
    uint64_t hash = name_hash(parent, name);

    for (HashNode *h = hash_first(&tree->names, hash); h; h = hash_next(h)) {
        Node *node = CONTAINER_OF(h, Node, by_name);

        if (node->parent == parent && strcmp(node->name, name) == 0)
            return node;
    }
    return NULL;
}

/* tree_by_wd() - the directory that has this watch descriptor, or NULL */
Node *tree_by_wd(const Tree *tree, int wd)
{
    for (HashNode *h = hash_first(&tree->wds, wd_hash(wd)); h; h = hash_next(h)) {
        Node *node = CONTAINER_OF(h, Node, by_wd);

        if (node->wd == wd)
            return node;
    }
    return NULL;
}

Node *node_ref(Node *node)
{
    node->refs++;
    return node;
}

/* node_unref() - drop a reference; returns NULL */
Node *node_unref(Node *node)
{
    if (node && --node->refs == 0) {
        free(node->name);
        free(node);
    }
    return NULL;
}

Node *node_root(Node *node)
{
    while (node->parent)
        node = node->parent;
    return node;
}

bool node_is_within(const Node *node, const Node *ancestor)
{
    for (; node; node = node->parent)
        if (node == ancestor)
            return true;
    return false;
}

bool node_is_held(const Node *node)
{
    for (; node; node = node->parent)
        if (node->held)
            return true;
    return false;
}

/* Paths are written back to front, so that no recursion and no list of ancestors is needed. */
static size_t path_length(const Node *node)
{
    size_t length = 0;

    for (; node; node = node->parent) {
        size_t own = strlen(node->name);

        /* The root "/" brings its own slash. */
        length += node->parent ? own + 1 : own == 1 && node->name[0] == '/' ? 0 : own;
    }
    return length;
}

char *node_path_new(const Node *node)
{
    size_t length = path_length(node);
    char *path = malloc(length + 2);
    char *at;

    if (!path)
        return NULL;
    if (length == 0) {
        memcpy(path, "/", sizeof("/"));
        return path;
    }
    at = path + length;
    *at = '\0';
    for (; node; node = node->parent) {
        size_t own = strlen(node->name);

        if (!node->parent && own == 1 && node->name[0] == '/')
            break;
        at -= own;
        memcpy(at, node->name, own);
        if (node->parent)
            *--at = '/';
    }
    return path;
}

/* node_path() - append the path of a node; the text is marked failed when memory runs out */
void node_path(const Node *node, Text *out)
{
    CLEANUP_FREE char *path = node_path_new(node);

    if (!path)
        out->failed = true;
    else
        text_append(out, path);
}

/* node_next() - the node after node in pre-order within the subtree of top; NULL at its end */
Node *node_next(const Node *node, const Node *top)
{
    if (node->first_child)
        return node->first_child;
    while (node != top) {
        if (node->next)
            return node->next;
        node = node->parent;
    }
    return NULL;
}
