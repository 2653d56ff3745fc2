/*
 * The index of nodes
 *
 * A hash table for each key that nodes are found by. It is not util/hash because of its size: there
 * may be a million nodes, and all of a node that tells its hash is in the node anyway. So a node
 * has only the link to the next one of its bucket for each key, and hashes are computed again when
 * a bucket is split.
 *
 * A watch descriptor is its own hash. The kernel hands them out one after the other (cyclically, up
 * to INT_MAX, so that an array would grow for ever where directories come and go), and that spreads
 * them more evenly than any hash would.
 */
#include "watch/node_index.h"

#include <string.h>

#include "util/hash.h"
#include "watch/tree.h"

static uint64_t name_hash(const Node *parent, const char *name)
{
    return hash_bytes(name, strlen(name), (uint64_t)(uintptr_t)parent);
}

static uint64_t node_hash(const Node *node, NodeKey key)
{
    return key == NODE_KEY_WD ? (uint64_t)node->wd : name_hash(node->parent, node_name(node));
}

static void bucket_put(void **bucket, Node *node, NodeKey key)
{
    node->chain[key] = *bucket;
    *bucket = node;
}

static Node *bucket_take(void **bucket, NodeKey key)
{
    Node *node = *bucket;

    if (node)
        *bucket = node->chain[key];
    return node;
}

static void split(NodeIndex *index, const BucketPair *pair)
{
    void *chain = *pair->low;

    *pair->low = NULL;
    for (Node *node; (node = bucket_take(&chain, index->key));)
        bucket_put(buckets_slot(&index->buckets, node_hash(node, index->key)), node, index->key);
}

static void shrink(NodeIndex *index)
{
    BucketPair pair;

    if (buckets_shrink(&index->buckets, &pair) == 0)
        return;
    for (Node *node; (node = bucket_take(pair.high, index->key));)
        bucket_put(pair.low, node, index->key);
    buckets_drop_last(&index->buckets);
}

/*
 * node_index_insert() - put a node in under its present key, which must not change while it is in
 *
 * An index that cannot grow works on with longer chains, so only the first insertion can fail.
 */
int node_index_insert(NodeIndex *index, Node *node)
{
    if (index->count >= index->buckets.count) {
        BucketPair pair;
        int r = buckets_grow(&index->buckets, &pair);

        if (r < 0 && index->buckets.count == 0)
            return r;
        if (r > 0)
            split(index, &pair);
    }
    bucket_put(buckets_slot(&index->buckets, node_hash(node, index->key)), node, index->key);
    index->count++;
    return 0;
}

/* node_index_remove() - take out a node that is in, before its key changes */
void node_index_remove(NodeIndex *index, Node *node)
{
    void **bucket = buckets_slot(&index->buckets, node_hash(node, index->key));
    Node *at = *bucket;

    if (at == node) {
        *bucket = node->chain[index->key];
    } else {
        while (at->chain[index->key] != node)
            at = at->chain[index->key];
        at->chain[index->key] = node->chain[index->key];
    }
    node->chain[index->key] = NULL;
    index->count--;
    /* Two for one, so that it keeps up when it began with far too many. */
    for (int i = 0; i < 2 && index->buckets.count / 2 > index->count; i++)
        shrink(index);
}

Node *node_index_by_name(const NodeIndex *index, const Node *parent, const char *name)
{
    Node *node;

    if (index->count == 0)
        return NULL;
    node = *buckets_slot(&index->buckets, name_hash(parent, name));
    while (node && (node->parent != parent || strcmp(node_name(node), name) != 0))
        node = node->chain[NODE_KEY_NAME];
    return node;
}

Node *node_index_by_wd(const NodeIndex *index, int wd)
{
    Node *node;

    if (index->count == 0)
        return NULL;
    node = *buckets_slot(&index->buckets, (uint64_t)wd);
    while (node && node->wd != wd)
        node = node->chain[NODE_KEY_WD];
    return node;
}

/* node_index_done() - free the buckets; the nodes belong to the tree */
void node_index_done(NodeIndex *index)
{
    buckets_done(&index->buckets);
    index->count = 0;
}
