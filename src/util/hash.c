/*
 * An intrusive chained hash table. The table links nodes by their hash and never looks at keys: a
 * look-up walks hash_first(), hash_next() and compares keys itself, so one table can serve several
 * kinds of key and nothing is copied or boxed.
 */

#include "util/hash.h"

#include <xxhash.h>

/* hash_bytes() - the hash of some bytes (XXH3), not stable across versions: for memory only */
uint64_t hash_bytes(const void *data, size_t size, uint64_t seed)
{
    return XXH3_64bits_withSeed(data, size, seed);
}

/* Moves the entries that belong there from the bucket that was split to the new one. */
static void hash_split(const HashTable *table, const BucketPair *pair)
{
    HashNode *node = *pair->low;

    *pair->low = NULL;
    while (node) {
        HashNode *next = node->next;
        void **bucket = buckets_slot(&table->buckets, node->hash);

        node->next = *bucket;
        *bucket = node;
        node = next;
    }
}

static void hash_shrink(HashTable *table)
{
    BucketPair pair;

    if (buckets_shrink(&table->buckets, &pair) == 0)
        return;
    while (*pair.high) {
        HashNode *node = *pair.high;

        *pair.high = node->next;
        node->next = *pair.low;
        *pair.low = node;
    }
    buckets_drop_last(&table->buckets);
}

/*
 * hash_insert() - put a node into the table
 * @node: not in any table; its owner must outlive its stay
 * @hash: of the node's key; equal keys may be inserted more than once
 *
 * A table that cannot grow works on with longer chains, so only the first insertion can fail.
 *
 * Return: 0 or -ENOMEM.
 */
int hash_insert(HashTable *table, HashNode *node, uint64_t hash)
{
    BucketPair pair;
    void **bucket;

    if (table->count >= table->buckets.count) {
        int r = buckets_grow(&table->buckets, &pair);

        if (r < 0 && table->buckets.count == 0)
            return r;
        if (r > 0)
            hash_split(table, &pair);
    }
    bucket = buckets_slot(&table->buckets, hash);
    node->hash = hash;
    node->next = *bucket;
    *bucket = node;
    table->count++;
    return 0;
}

/* hash_remove() - take a node, which must be in it, out of the table */
void hash_remove(HashTable *table, HashNode *node)
{
    void **bucket = buckets_slot(&table->buckets, node->hash);
    HashNode *at = *bucket;

    if (at == node) {
        *bucket = node->next;
    } else {
        while (at->next != node)
            at = at->next;
        at->next = node->next;
    }
    node->next = NULL;
    table->count--;
    /* Two for one, so that it keeps up when it began with far too many. */
    for (int i = 0; i < 2 && table->buckets.count / 2 > table->count; i++)
        hash_shrink(table);
}

/* hash_any() - some node, for emptying a table; NULL when it is empty */
HashNode *hash_any(const HashTable *table)
{
    /* From the end: the table shrinks from there, so that the search stays short. */
    for (size_t i = table->buckets.count; i-- > 0 && table->count > 0;) {
        HashNode *node = *buckets_at(&table->buckets, i);

        if (node)
            return node;
    }
    return NULL;
}

/* hash_first() - the first node of that hash, or NULL; its key may still be another */
HashNode *hash_first(const HashTable *table, uint64_t hash)
{
    HashNode *node;

    if (table->buckets.count == 0)
        return NULL;
    node = *buckets_slot(&table->buckets, hash);
    while (node && node->hash != hash)
        node = node->next;
    return node;
}

/* hash_next() - the next node of the same hash, or NULL */
HashNode *hash_next(const HashNode *node)
{
    HashNode *next = node->next;

    while (next && next->hash != node->hash)
        next = next->next;
    return next;
}

/* hash_done() - free the buckets; the nodes belong to their owners. The table can be used again. */
void hash_done(HashTable *table)
{
    buckets_done(&table->buckets);
    *table = (HashTable){0};
}
