#pragma once
/* An intrusive chained hash table; the owner compares keys. */

#include <stddef.h>
#include <stdint.h>

typedef struct HashNode {
    struct HashNode *next;
    uint64_t hash;
} HashNode;

typedef struct HashTable {
    HashNode **buckets;
    size_t n_buckets; /* 0 or a power of two */
    size_t count;
} HashTable;

uint64_t hash_bytes(const void *data, size_t size, uint64_t seed);

int hash_insert(HashTable *table, HashNode *node, uint64_t hash); /* 0 or -ENOMEM */
void hash_remove(HashTable *table, HashNode *node);               /* node must be in it */
HashNode *hash_first(const HashTable *table, uint64_t hash);
HashNode *hash_next(const HashNode *node); /* the next node of the same hash */
void hash_done(HashTable *table);          /* frees the buckets, not the nodes */

/* Walks every node; the body must not change the table. */
#define HASH_FOREACH(node, table)                                                                  \
    for (size_t node##_i = 0; node##_i < (table)->n_buckets; node##_i++)                           \
        for (HashNode *node = (table)->buckets[node##_i]; node; node = node->next)
