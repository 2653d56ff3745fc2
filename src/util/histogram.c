/* Histograms with fixed buckets. */

#include "util/histogram.h"

const uint64_t histogram_times[HISTOGRAM_BUCKETS] = {
    100,   250,    500,    1000,   2500,    5000,    10000,   25000,
    50000, 100000, 250000, 500000, 1000000, 2500000, 5000000, 10000000,
};

const uint64_t histogram_sizes[HISTOGRAM_BUCKETS] = {
    1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384, 32768,
};

/* histogram_add() - count one value */
void histogram_add(Histogram *histogram, uint64_t value)
{
    histogram->count++;
    histogram->sum += value;
    if (value > histogram->max)
        histogram->max = value;
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++)
        if (value <= histogram->bounds[i]) {
            histogram->buckets[i]++;
            return;
        }
}
