/*
 * An intrusive chained hash table. The table links nodes by their hash and never looks at keys: a
 * look-up walks hash_first(), hash_next() and compares keys itself, so one table can serve several
 * kinds of key and nothing is copied or boxed.
 */

#include "util/hash.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <xxhash.h>

#define HASH_MIN_BUCKETS 16

/* hash_bytes() - the hash of some bytes (XXH3), not stable across versions: for memory only */
uint64_t hash_bytes(const void *data, size_t size, uint64_t seed)
{
    return XXH3_64bits_withSeed(data, size, seed);
}

static HashNode **hash_bucket(const HashTable *table, uint64_t hash)
{
    return &table->buckets[hash & (table->n_buckets - 1)];
}

static int hash_grow(HashTable *table)
{
    size_t n = table->n_buckets ? table->n_buckets * 2 : HASH_MIN_BUCKETS;
    HashTable grown = {.n_buckets = n, .buckets = calloc(n, sizeof(HashNode *))};

    if (!grown.buckets)
        return -ENOMEM;
    for (size_t i = 0; i < table->n_buckets; i++) {
        HashNode *node = table->buckets[i];

        while (node) {
            HashNode *next = node->next, **bucket = hash_bucket(&grown, node->hash);

            node->next = *bucket;
            *bucket = node;
            node = next;
        }
    }
    free(table->buckets);
    table->buckets = grown.buckets;
    table->n_buckets = n;
    return 0;
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
    HashNode **bucket;

    if (table->count >= table->n_buckets && hash_grow(table) < 0 && table->n_buckets == 0)
        return -ENOMEM;
    bucket = hash_bucket(table, hash);
    node->hash = hash;
    node->next = *bucket;
    *bucket = node;
    table->count++;
    return 0;
}

/* hash_remove() - take a node, which must be in it, out of the table */
void hash_remove(HashTable *table, HashNode *node)
{
    HashNode **at = hash_bucket(table, node->hash);

    while (*at != node)
        at = &(*at)->next;
    *at = node->next;
    node->next = NULL;
    table->count--;
}

/* hash_first() - the first node of that hash, or NULL; its key may still be another */
HashNode *hash_first(const HashTable *table, uint64_t hash)
{
    HashNode *node;

    if (table->n_buckets == 0)
        return NULL;
    node = *hash_bucket(table, hash);
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
    free(table->buckets);
    *table = (HashTable){0};
}
