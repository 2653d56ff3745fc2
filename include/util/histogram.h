#pragma once
/* How often values of each size came: fixed buckets, for what /metrics tells of times and sizes. */

#include <stdint.h>

#define HISTOGRAM_BUCKETS 16

/* Zeroed and given its bounds before use; a copy is one of the numbers at that moment. */
typedef struct Histogram {
    const uint64_t *bounds; /* HISTOGRAM_BUCKETS, ascending; a value belongs to the first >= it */
    uint64_t buckets[HISTOGRAM_BUCKETS]; /* values above the last bound are in count only */
    uint64_t count;
    uint64_t sum;
    uint64_t max;
} Histogram;

extern const uint64_t histogram_times[HISTOGRAM_BUCKETS]; /* µs: 100 µs … 10 s */
extern const uint64_t histogram_sizes[HISTOGRAM_BUCKETS]; /* 1 … 32768 */

void histogram_add(Histogram *histogram, uint64_t value);
