/*
 * The directory tree
 *
 * A watched directory is a node that knows its parent and its own name, never its path: renaming a
 * directory with a million files below it relinks one node. Paths are put together when somebody
 * needs one.
 *
 * Nodes are found in two ways: by watch descriptor (an event names nothing else) and by parent and
 * name (an event in a directory names its child).
 *
 * A node is counted: pending changes refer to the directory they happened in. A node that leaves
 * the tree is `detached`; whoever still holds it finds that out and lets go.
 *
 * A node and its name are one block of memory: 112 bytes of malloc(3) for a name of up to 16
 * bytes, and 16 more in the two indexes. Others hold pointers to a node, so it cannot move when a
 * longer name comes; that one goes to a block of its own.
 */
#include "watch/tree.h"

#include <assert.h>
#include <errno.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>

#include "util/error.h"

/* tree_init() - prepare an empty tree; unwatch is called with owner for every watch that ends */
void tree_init(Tree *tree, TreeUnwatch unwatch, void *owner)
{
    *tree = (Tree){
        .names.key = NODE_KEY_NAME, .wds.key = NODE_KEY_WD, .unwatch = unwatch, .owner = owner};
}

void tree_done(Tree *tree)
{
    assert(tree->n_nodes == 0);
    node_index_done(&tree->names);
    node_index_done(&tree->wds);
}

/* tree_memory() - bytes that the tree takes: nodes, names and indexes */
size_t tree_memory(const Tree *tree)
{
    return tree->node_memory + tree->names.buckets.memory + tree->wds.buckets.memory;
}

/* ---- names ---- */

/* malloc(3) of glibc hands out multiples of 16 bytes and keeps 8 of them. */
#define CHUNK        16
#define CHUNK_HEADER sizeof(size_t)
#define OWN          offsetof(Node, own)

static char *outside_name(const Node *node)
{
    char *name;

    if (!node->outside)
        return NULL;
    memcpy(&name, node->own, sizeof(name));
    return name;
}

/* node_name() - its name in its parent, a root's whole path; valid until it is relinked or freed */
const char *node_name(const Node *node)
{
    return node->outside ? outside_name(node) : node->own;
}

/* outside: the name in a block of its own, taken over; NULL when it fits into the node. */
static void name_set(Node *node, const char *name, char *outside)
{
    char *old = outside_name(node);

    if (outside)
        memcpy(node->own, &outside, sizeof(outside));
    else
        memmove(node->own, name, strlen(name) + 1);
    node->outside = outside != NULL;
    free(old);
}

static size_t node_size(const Node *node)
{
    size_t size = malloc_usable_size((void *)node) + CHUNK_HEADER;

    return node->outside ? size + malloc_usable_size(outside_name(node)) + CHUNK_HEADER : size;
}

static Node *node_alloc(const char *name)
{
    size_t length = strlen(name);
    /* Not less than a pointer, and the chunk's last byte is of use, if not for this name. */
    size_t size = OWN + (length + 1 > sizeof(char *) ? length + 1 : sizeof(char *)) + CHUNK_HEADER;
    Node *node;

    size = (size + CHUNK - 1) / CHUNK * CHUNK - CHUNK_HEADER;
    node = calloc(1, size);
    if (!node)
        return NULL;
    node->room = (uint8_t)(size - OWN - 1 < UINT8_MAX ? size - OWN - 1 : UINT8_MAX);
    memcpy(node->own, name, length + 1);
    return node;
}

static int node_new(Tree *tree, Node *parent, const char *name, Node **ret_node)
{
    Node *node = node_alloc(name);
    int r;

    if (!node)
        return error_trace(-ENOMEM);
    node->wd = -1;
    node->refs = 1;
    node->mtime = INT64_MIN;
    node->parent = parent;
    r = node_index_insert(&tree->names, node);
    if (r < 0) {
        free(node);
        return error_trace(r);
    }
    tree->n_nodes++;
    tree->node_memory += node_size(node);
    *ret_node = node;
    return 0;
}

/* ---- links ---- */

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
        node_index_remove(&tree->wds, node);
        tree->n_watched--;
        node->wd = -1;
    }
    if (wd < 0)
        return 0;
    node->wd = wd;
    r = node_index_insert(&tree->wds, node);
    if (r < 0) {
        node->wd = -1;
        return error_trace(r);
    }
    tree->n_watched++;
    return 0;
}

static void detach(Tree *tree, Node *node)
{
    int wd = node->wd;

    (void)tree_set_wd(tree, node, -1);
    if (wd >= 0 && tree->unwatch)
        tree->unwatch(tree->owner, wd);
    node_index_remove(&tree->names, node);
    unlink_child(node);
    node->parent = NULL;
    node->detached = true;
    tree->n_nodes--;
    tree->node_memory -= node_size(node);
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
    char *outside = NULL;

    if (victim == node)
        return 0;
    if (node_is_within(parent, node) || node->is_root)
        return TREE_E_CYCLE;
    if (strlen(name) > node->room) {
        outside = strdup(name);
        if (!outside)
            return error_trace(-ENOMEM);
    }
    node_index_remove(&tree->names, node);
    unlink_child(node);
    tree->node_memory -= node_size(node);
    name_set(node, name, outside);
    tree->node_memory += node_size(node);
    /* Only now: the victim may be a directory above the node, and must not take it along. */
    if (victim)
        tree_remove(tree, victim);
    link_child(parent, node);
    node->moved = (uint32_t)++tree->n_moves;
    /* The index had room a moment ago; inserting what was just removed cannot fail. */
    return node_index_insert(&tree->names, node);
}

/* tree_child() - the directory called name in parent, or NULL */
Node *tree_child(const Tree *tree, const Node *parent, const char *name)
{
    return node_index_by_name(&tree->names, parent, name);
}

/* tree_by_wd() - the directory that has this watch descriptor, or NULL */
Node *tree_by_wd(const Tree *tree, int wd)
{
    return node_index_by_wd(&tree->wds, wd);
}

void node_set_inode(Node *node, uint64_t dev, uint64_t ino)
{
    node->dev = (uint32_t)dev;
    node->ino = ino;
}

/*
 * node_moved_since() - was the node, or a directory above it, relinked after the tree's n_moves had
 * this value? Its path is another one then.
 *
 * A node keeps only the low half of the count. It tells the truth but for a node that rested for
 * exactly as many moves as make that half come round again: 2^32, and not many more than have
 * happened since.
 */
bool node_moved_since(const Tree *tree, const Node *node, uint64_t n_moves)
{
    for (; node && !node->is_root; node = node->parent) /* a root is never relinked */
        if ((uint32_t)tree->n_moves - node->moved < tree->n_moves - n_moves)
            return true;
    return false;
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
        free(outside_name(node));
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

bool node_is_moving(const Node *node)
{
    for (; node; node = node->parent)
        if (node->moving)
            return true;
    return false;
}

/* Paths are written back to front, so that no recursion and no list of ancestors is needed. */
static size_t path_length(const Node *node)
{
    size_t length = 0;

    for (; node; node = node->parent) {
        const char *name = node_name(node);
        size_t own = strlen(name);

        /* The root "/" brings its own slash. */
        length += node->parent ? own + 1 : own == 1 && name[0] == '/' ? 0 : own;
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
        const char *name = node_name(node);
        size_t own = strlen(name);

        if (!node->parent && own == 1 && name[0] == '/')
            break;
        at -= own;
        memcpy(at, name, own);
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
