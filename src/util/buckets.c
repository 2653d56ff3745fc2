/*
 * Buckets
 *
 * A hash table that doubles its array stops everything while it moves a million entries, 40 ms of
 * a loop that may not stall for 50, and needs both arrays meanwhile. Here the array grows by one
 * bucket with each entry (linear hashing): bucket i + 2^k is split off bucket i, in the order of i,
 * and when all have been split the next round begins with 2^(k+1). A hash whose bucket has not been
 * made yet belongs to the one that it will be split off. The array shrinks in the same way, from
 * its end.
 *
 * The array is made of segments, so that nothing is copied when it grows but, rarely, the list of
 * segments.
 */
#include "util/buckets.h"

#include <assert.h>
#include <errno.h>
#include <malloc.h>
#include <stdlib.h>

#define SEGMENT     512 /* buckets: 4 KiB */
#define MIN_BUCKETS 16

static size_t allocated(void *block)
{
    return malloc_usable_size(block) + sizeof(size_t);
}

/* buckets_at() - the i-th bucket */
void **buckets_at(const Buckets *buckets, size_t i)
{
    return &buckets->segments[i / SEGMENT][i % SEGMENT];
}

/* buckets_slot() - the bucket that entries of this hash are in */
void **buckets_slot(const Buckets *buckets, uint64_t hash)
{
    size_t i = (size_t)hash & buckets->mask;

    return buckets_at(buckets, i < buckets->count ? i : i & (buckets->mask >> 1));
}

static int add_segment(Buckets *buckets)
{
    if (buckets->n_segments == buckets->capacity) {
        size_t capacity = buckets->capacity ? buckets->capacity * 2 : 4;
        size_t before = buckets->segments ? allocated(buckets->segments) : 0;
        void ***grown = reallocarray(buckets->segments, capacity, sizeof(void **));

        if (!grown)
            return -ENOMEM;
        buckets->segments = grown;
        buckets->capacity = capacity;
        buckets->memory += allocated(grown) - before;
    }
    buckets->segments[buckets->n_segments] = calloc(SEGMENT, sizeof(void *));
    if (!buckets->segments[buckets->n_segments])
        return -ENOMEM;
    buckets->memory += allocated(buckets->segments[buckets->n_segments++]);
    return 0;
}

/*
 * buckets_grow() - add one bucket; at first, a few at once
 * @ret_pair: the new bucket, and the one whose entries may belong there now
 *
 * Return: 1, or 0 when there was no bucket yet and there is nothing to split, or -ENOMEM with
 * nothing changed: the table works on, with longer chains.
 */
int buckets_grow(Buckets *buckets, BucketPair *ret_pair)
{
    if (buckets->count == buckets->n_segments * SEGMENT) {
        int r = add_segment(buckets);

        if (r < 0)
            return r;
    }
    if (buckets->count == 0) {
        buckets->count = MIN_BUCKETS;
        buckets->mask = MIN_BUCKETS - 1;
        return 0;
    }
    if (buckets->count > buckets->mask)
        buckets->mask = buckets->mask * 2 + 1;
    ret_pair->high = buckets_at(buckets, buckets->count);
    ret_pair->low = buckets_at(buckets, buckets->count & (buckets->mask >> 1));
    buckets->count++;
    return 1;
}

/* buckets_shrink() - which bucket is to be merged into which before the last one is dropped */
int buckets_shrink(const Buckets *buckets, BucketPair *ret_pair)
{
    size_t last = buckets->count - 1;

    if (buckets->count <= MIN_BUCKETS)
        return 0;
    ret_pair->high = buckets_at(buckets, last);
    ret_pair->low = buckets_at(buckets, last & (buckets->mask >> 1));
    return 1;
}

/* buckets_drop_last() - the last bucket, which buckets_shrink() named and which is empty, goes */
void buckets_drop_last(Buckets *buckets)
{
    size_t spare = buckets->n_segments * SEGMENT - --buckets->count;

    assert(!*buckets_at(buckets, buckets->count));
    if (buckets->count == (buckets->mask >> 1) + 1)
        buckets->mask >>= 1;
    /* A segment more than needed stays, else a count around its edge would make and free one. */
    if (spare >= (size_t)2 * SEGMENT) {
        void **segment = buckets->segments[--buckets->n_segments];

        buckets->memory -= allocated(segment);
        free(segment);
    }
}

/* buckets_done() - free the buckets, whatever they hold; they can be used again */
void buckets_done(Buckets *buckets)
{
    for (size_t i = 0; i < buckets->n_segments; i++)
        free(buckets->segments[i]);
    free(buckets->segments);
    *buckets = (Buckets){0};
}
