#pragma once
/* The directory tree: nodes with parents, found by watch descriptor and by (parent, name). */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "util/hash.h"
#include "util/text.h"

typedef struct Tree Tree;
typedef struct Node Node;

struct Node {
    Node *parent; /* NULL for a root, and once detached */
    Node *first_child;
    Node *next; /* siblings */
    Node *prev;
    HashNode by_name; /* Tree.names */
    HashNode by_wd;   /* Tree.wds, while wd >= 0 */
    char *name;       /* one component; a root's whole path */
    uint64_t dev;
    uint64_t ino;
    uint64_t moved; /* clock_now() when it was last relinked; 0 = never */
    int64_t mtime;  /* of the directory, seconds, as last handed to the store; INT64_MIN = never */
    int wd;         /* -1: not watched */
    unsigned refs;  /* the tree's own and those of pending changes */
    bool is_root;
    bool detached;   /* no longer in the tree; kept alive by references */
    uint32_t place;  /* the engine's: where a volume begins */
    bool polled;     /* the engine's: it is looked at every now and then */
    bool dirty;      /* the engine's: it waits for being listed again */
    bool alias;      /* reached by a second path: its watch is another node's */
    bool foreign;    /* another file system is in its place: its rows are left alone */
    bool moving;     /* the engine's: its rows are still at an older path */
    bool held;       /* another program is importing this folder: leave its files alone */
    bool unreadable; /* it could not be opened or listed; nothing below is known */
};

/* Called for each watch whose node leaves the tree. */
typedef void (*TreeUnwatch)(void *owner, int wd);

struct Tree {
    HashTable names;
    HashTable wds;
    size_t n_nodes;
    size_t n_watched;
    size_t memory; /* bytes of all nodes, names included */
    TreeUnwatch unwatch;
    void *owner;
};

void tree_init(Tree *tree, TreeUnwatch unwatch, void *owner);
void tree_done(Tree *tree); /* every node must be gone */

int tree_add_root(Tree *tree, const char *path, Node **ret_node);
int tree_add(Tree *tree, Node *parent, const char *name, Node **ret_node);
int tree_set_wd(Tree *tree, Node *node, int wd); /* -1 clears */
void tree_remove(Tree *tree, Node *node);        /* with everything below it */
#define TREE_E_CYCLE 1
int tree_move(Tree *tree, Node *node, Node *parent, const char *name);

Node *tree_child(const Tree *tree, const Node *parent, const char *name);
Node *tree_by_wd(const Tree *tree, int wd);

Node *node_ref(Node *node);
Node *node_unref(Node *node);
Node *node_root(Node *node);
bool node_is_within(const Node *node, const Node *ancestor); /* below it, or the same */
bool node_is_held(const Node *node);                         /* it or any node above it */
void node_path(const Node *node, Text *out);                 /* appends */
char *node_path_new(const Node *node); /* the caller frees; NULL when memory runs out */
Node *node_next(const Node *node, const Node *top); /* pre-order; NULL at the end */
