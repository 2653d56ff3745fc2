/* Writes metrics as Prometheus reads them. */

#include "util/exposition.h"

#include <inttypes.h>
#include <string.h>

#include "util/clock.h"

/* exposition_head() - begin a family: what it is, and of which type */
void exposition_head(Text *out, const char *name, MetricType type, const char *help)
{
    static const char *const types[] = {"counter", "gauge", "histogram"};

    text_printf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, types[type]);
}

/* Seconds from microseconds, exact and without trailing zeros. Not by printf's %f or %g, which
 * lose digits of what has run for months, and write a comma in some locales. */
static void append_number(Text *out, MetricUnit unit, uint64_t value)
{
    uint64_t fraction = value % CLOCK_US_PER_SEC;
    int digits = 6;

    if (unit != METRIC_UNIT_TIME) {
        text_printf(out, "%" PRIu64, value);
        return;
    }
    text_printf(out, "%" PRIu64, value / CLOCK_US_PER_SEC);
    for (; fraction > 0 && fraction % 10 == 0; fraction /= 10)
        digits--;
    if (fraction > 0)
        text_printf(out, ".%0*" PRIu64, digits, fraction);
}

static void sample(Text *out, const char *name, const char *suffix, const char *labels,
                   MetricUnit unit, uint64_t value)
{
    text_printf(out, "%s%s", name, suffix);
    if (labels)
        text_printf(out, "{%s}", labels);
    text_append(out, " ");
    append_number(out, unit, value);
    text_append(out, "\n");
}

/* exposition_sample() - one value of a counter or gauge */
void exposition_sample(Text *out, const char *name, const char *labels, MetricUnit unit,
                       uint64_t value)
{
    sample(out, name, "", labels, unit, value);
}

static void bucket(Text *out, const char *name, const char *labels, const Text *bound,
                   uint64_t count)
{
    text_printf(out, "%s_bucket{%s%sle=\"%s\"} %" PRIu64 "\n", name, labels ? labels : "",
                labels ? "," : "", bound->data ? bound->data : "", count);
}

/* exposition_histogram() - all samples of a histogram; each bucket counts those below it too */
void exposition_histogram(Text *out, const char *name, const char *labels, MetricUnit unit,
                          const Histogram *histogram)
{
    CLEANUP(text_done) Text bound = {0};
    uint64_t count = 0;

    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
        count += histogram->buckets[i];
        text_clear(&bound);
        append_number(&bound, unit, histogram->bounds[i]);
        bucket(out, name, labels, &bound, count);
    }
    text_clear(&bound);
    text_append(&bound, "+Inf");
    bucket(out, name, labels, &bound, histogram->count);
    sample(out, name, "_sum", labels, unit, histogram->sum);
    sample(out, name, "_count", labels, METRIC_UNIT_NUMBER, histogram->count);
    out->failed |= bound.failed;
}

/* exposition_label() - append a label; its value may hold any bytes of UTF-8 */
void exposition_label(Text *labels, const char *name, const char *value)
{
    text_printf(labels, "%s%s=\"", labels->length > 0 ? "," : "", name);
    for (; *value; value++) {
        if (*value == '\n')
            text_append(labels, "\\n");
        else if (*value == '"' || *value == '\\')
            text_printf(labels, "\\%c", *value);
        else
            text_append_bytes(labels, value, 1);
    }
    text_append(labels, "\"");
}
