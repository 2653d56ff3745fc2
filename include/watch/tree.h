#pragma once
/* The directory tree: nodes with parents, found by watch descriptor and by (parent, name). */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "util/text.h"
#include "watch/node_index.h"

typedef struct Tree Tree;

/* There may be a million: ordered so that nothing is lost to alignment (tree.c says how large). */
struct Node {
    Node *parent; /* NULL for a root, and once detached */
    Node *first_child;
    Node *next; /* siblings */
    Node *prev;
    Node *chain[NODE_KEY_COUNT]; /* next in the same bucket of Tree.names and Tree.wds */
    uint64_t ino;
    int64_t mtime;  /* of the directory, seconds, as last handed to the store; INT64_MIN = never */
    uint32_t dev;   /* the kernel's st_dev has no more bits: 12 of major, 20 of minor number */
    int wd;         /* -1: not watched */
    unsigned refs;  /* the tree's own and those of pending changes */
    uint32_t moved; /* Tree.n_moves, its low half, after it was last relinked: node_moved_since() */
    uint32_t place; /* the engine's: where a volume begins; 0 at first */
    bool is_root : 1;
    bool detached : 1;   /* no longer in the tree; kept alive by references */
    bool held : 1;       /* another program is importing this folder: leave its files alone */
    bool unreadable : 1; /* it could not be opened or listed; nothing below is known */
    bool polled : 1;     /* the engine's: it is looked at every now and then */
    bool dirty : 1;      /* the engine's: it waits for being listed again */
    bool alias : 1;      /* reached by a second path: its watch is another node's */
    bool foreign : 1;    /* another file system is in its place: its rows are left alone */
    bool made_here : 1;  /* the engine's: its row was made while it was watched */
    bool trusted : 1;    /* the engine's: what is not in it is proven to be gone */
    bool moving : 1;     /* the engine's: its rows are to follow it from an older path */
    bool hurried : 1;    /* the engine's: it has been looked at ahead of a scan */
    bool settled : 1;    /* the engine's: no row at an older path is that of it */
    bool outside : 1;    /* the name has no room in own[], which holds a pointer to it */
    uint8_t room;        /* the longest name that own[] has room for */
    char own[];          /* node_name() reads it */
};

/* So begins the name of a node whose place is not known at the moment. */
#define TREE_NO_PLACE "\n.no-place-"

/* Called for each watch whose node leaves the tree. */
typedef void (*TreeUnwatch)(void *owner, int wd);

struct Tree {
    NodeIndex names;
    NodeIndex wds;
    size_t n_nodes;
    size_t n_watched;
    size_t node_memory; /* bytes of all nodes: tree_memory() has the rest */
    uint64_t n_moves;   /* nodes relinked so far */
    TreeUnwatch unwatch;
    void *owner;
};

void tree_init(Tree *tree, TreeUnwatch unwatch, void *owner);
void tree_done(Tree *tree); /* every node must be gone */

size_t tree_memory(const Tree *tree); /* bytes, with what malloc(3) adds */

int tree_add_root(Tree *tree, const char *path, Node **ret_node);
int tree_add(Tree *tree, Node *parent, const char *name, Node **ret_node);
int tree_set_wd(Tree *tree, Node *node, int wd); /* -1 clears */
void tree_remove(Tree *tree, Node *node);        /* with everything below it */
#define TREE_E_CYCLE 1
int tree_move(Tree *tree, Node *node, Node *parent, const char *name);

Node *tree_child(const Tree *tree, const Node *parent, const char *name);
Node *tree_by_wd(const Tree *tree, int wd);

const char *node_name(const Node *node); /* one component; a root's whole path */
void node_set_inode(Node *node, uint64_t dev, uint64_t ino);
/* Was it relinked after the tree's n_moves was this? */
bool node_moved_since(const Tree *tree, const Node *node, uint64_t n_moves);

Node *node_ref(Node *node);
Node *node_unref(Node *node);
Node *node_root(Node *node);
bool node_is_within(const Node *node, const Node *ancestor); /* below it, or the same */
bool node_is_held(const Node *node);                         /* it or any node above it, */
bool node_is_moving(const Node *node);                       /* likewise */
void node_path(const Node *node, Text *out);                 /* appends */
char *node_path_new(const Node *node); /* the caller frees; NULL when memory runs out */
Node *node_next(const Node *node, const Node *top); /* pre-order; NULL at the end */
