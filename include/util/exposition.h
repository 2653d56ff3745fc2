#pragma once
/*
 * The text format that Prometheus reads (exposition format 0.0.4). A family's head comes first,
 * then its samples and nothing else; the caller sees to that, and to names that are valid.
 */

#include "util/histogram.h"
#include "util/text.h"

#define EXPOSITION_CONTENT_TYPE "text/plain; version=0.0.4; charset=utf-8"

typedef enum MetricType {
    METRIC_TYPE_COUNTER,
    METRIC_TYPE_GAUGE,
    METRIC_TYPE_HISTOGRAM,
} MetricType;

/* Values are kept as whole numbers; times in microseconds are shown in seconds. */
typedef enum MetricUnit {
    METRIC_UNIT_NUMBER,
    METRIC_UNIT_TIME,
} MetricUnit;

void exposition_head(Text *out, const char *name, MetricType type, const char *help);
/* labels: 'name="value",…' as exposition_label() makes it, or NULL. */
void exposition_sample(Text *out, const char *name, const char *labels, MetricUnit unit,
                       uint64_t value);
void exposition_histogram(Text *out, const char *name, const char *labels, MetricUnit unit,
                          const Histogram *histogram);
/* Appends name="value", with a comma before it where there are labels already. */
void exposition_label(Text *labels, const char *name, const char *value);
