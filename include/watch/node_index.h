#pragma once
/* Finding nodes by one of their keys. */

#include <stdint.h>

#include "util/buckets.h"

typedef struct Node Node;

typedef enum NodeKey {
    NODE_KEY_NAME, /* parent and name */
    NODE_KEY_WD,   /* watch descriptor */
    NODE_KEY_COUNT,
} NodeKey;

typedef struct NodeIndex {
    Buckets buckets;
    size_t count;
    NodeKey key;
} NodeIndex;

int node_index_insert(NodeIndex *index, Node *node); /* 0 or -ENOMEM */
void node_index_remove(NodeIndex *index, Node *node);
Node *node_index_by_name(const NodeIndex *index, const Node *parent, const char *name);
Node *node_index_by_wd(const NodeIndex *index, int wd);
void node_index_done(NodeIndex *index);
