#pragma once
/* An intrusive chained hash table; the owner compares keys. */

#include <stddef.h>
#include <stdint.h>

#include "util/buckets.h"

typedef struct HashNode {
    struct HashNode *next;
    uint64_t hash;
} HashNode;

typedef struct HashTable {
    Buckets buckets;
    size_t count;
} HashTable;

uint64_t hash_bytes(const void *data, size_t size, uint64_t seed);

int hash_insert(HashTable *table, HashNode *node, uint64_t hash); /* 0 or -ENOMEM */
void hash_remove(HashTable *table, HashNode *node);               /* node must be in it */
HashNode *hash_first(const HashTable *table, uint64_t hash);
HashNode *hash_next(const HashNode *node);  /* the next node of the same hash */
HashNode *hash_any(const HashTable *table); /* NULL when it is empty */
void hash_done(HashTable *table);           /* frees the buckets, not the nodes */

/* Walks every node; the body must not change the table. */
#define HASH_FOREACH(node, table)                                                                  \
    for (size_t node##_i = 0; node##_i < (table)->buckets.count; node##_i++)                       \
        for (HashNode *node = *buckets_at(&(table)->buckets, node##_i); node; node = node->next)
