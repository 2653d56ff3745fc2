#pragma once
/* The bucket array of a hash table that grows and shrinks by one bucket at a time. */

#include <stddef.h>
#include <stdint.h>

typedef struct Buckets {
    void ***segments; /* each of the same number of buckets */
    size_t n_segments, capacity;
    size_t count;  /* of buckets; 0 until the first buckets_grow() */
    size_t mask;   /* the smallest power of two that is not below count, less one */
    size_t memory; /* bytes, with what malloc(3) adds */
} Buckets;

/* A bucket that was split, or is to be merged: the owner moves the entries from one to the other.
 */
typedef struct BucketPair {
    void **low;  /* stays */
    void **high; /* was added empty, or is to be emptied */
} BucketPair;

void **buckets_slot(const Buckets *buckets, uint64_t hash); /* there must be a bucket */
void **buckets_at(const Buckets *buckets, size_t i);
/* Returns 1 with a pair to split; 0 when there was nothing to split yet; -ENOMEM. */
int buckets_grow(Buckets *buckets, BucketPair *ret_pair);
/* Returns 1 with the pair to merge before buckets_drop_last(); 0 when it is as small as can be. */
int buckets_shrink(const Buckets *buckets, BucketPair *ret_pair);
void buckets_drop_last(Buckets *buckets);
void buckets_done(Buckets *buckets);
