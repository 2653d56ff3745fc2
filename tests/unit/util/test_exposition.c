/* Histograms, and the text format of metrics. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "util/exposition.h"

static void test_histogram(void **state UNUSED)
{
    Histogram h = {.bounds = histogram_sizes};

    histogram_add(&h, 0);
    histogram_add(&h, 1);
    histogram_add(&h, 2);
    histogram_add(&h, 3);
    histogram_add(&h, 32768);
    histogram_add(&h, 32769);
    assert_int_equal(h.buckets[0], 2); /* a bound belongs to its bucket */
    assert_int_equal(h.buckets[1], 1);
    assert_int_equal(h.buckets[2], 1);
    assert_int_equal(h.buckets[15], 1);
    assert_int_equal(h.count, 6);
    assert_int_equal(h.sum, 6 + 32768 + 32769);
    assert_int_equal(h.max, 32769);
}

static void test_bounds_ascend(void **state UNUSED)
{
    for (unsigned i = 1; i < HISTOGRAM_BUCKETS; i++) {
        assert_true(histogram_times[i - 1] < histogram_times[i]);
        assert_true(histogram_sizes[i - 1] < histogram_sizes[i]);
    }
}

static void test_samples(void **state UNUSED)
{
    CLEANUP(text_done) Text out = {0};

    exposition_head(&out, "a_total", METRIC_TYPE_COUNTER, "What it is.");
    exposition_sample(&out, "a_total", NULL, METRIC_UNIT_NUMBER, UINT64_MAX);
    exposition_head(&out, "b_seconds", METRIC_TYPE_GAUGE, "And this.");
    exposition_sample(&out, "b_seconds", "k=\"x\"", METRIC_UNIT_TIME, 0);
    exposition_sample(&out, "b_seconds", "k=\"y\"", METRIC_UNIT_TIME, 1);
    exposition_sample(&out, "b_seconds", "k=\"z\"", METRIC_UNIT_TIME, 2050000);
    exposition_sample(&out, "b_seconds", "k=\"Z\"", METRIC_UNIT_TIME, UINT64_C(31536000000001));
    assert_string_equal(out.data, "# HELP a_total What it is.\n"
                                  "# TYPE a_total counter\n"
                                  "a_total 18446744073709551615\n"
                                  "# HELP b_seconds And this.\n"
                                  "# TYPE b_seconds gauge\n"
                                  "b_seconds{k=\"x\"} 0\n"
                                  "b_seconds{k=\"y\"} 0.000001\n"
                                  "b_seconds{k=\"z\"} 2.05\n"
                                  "b_seconds{k=\"Z\"} 31536000.000001\n");
}

static void test_histogram_text(void **state UNUSED)
{
    CLEANUP(text_done) Text out = {0};
    Histogram h = {.bounds = histogram_times};

    histogram_add(&h, 250);
    histogram_add(&h, 3000);
    histogram_add(&h, 20000000);
    exposition_histogram(&out, "h_seconds", NULL, METRIC_UNIT_TIME, &h);
    assert_non_null(strstr(out.data, "h_seconds_bucket{le=\"0.0001\"} 0\n"));
    assert_non_null(strstr(out.data, "h_seconds_bucket{le=\"0.00025\"} 1\n"));
    assert_non_null(strstr(out.data, "h_seconds_bucket{le=\"0.0025\"} 1\n"));
    assert_non_null(strstr(out.data, "h_seconds_bucket{le=\"0.005\"} 2\n"));
    assert_non_null(strstr(out.data, "h_seconds_bucket{le=\"10\"} 2\n"));
    assert_non_null(strstr(out.data, "h_seconds_bucket{le=\"+Inf\"} 3\n"
                                     "h_seconds_sum 20.00325\n"
                                     "h_seconds_count 3\n"));
    text_clear(&out);
    h.bounds = histogram_sizes;
    exposition_histogram(&out, "h", "kind=\"photo\"", METRIC_UNIT_NUMBER, &h);
    assert_non_null(strstr(out.data, "h_bucket{kind=\"photo\",le=\"32768\"} 2\n"
                                     "h_bucket{kind=\"photo\",le=\"+Inf\"} 3\n"
                                     "h_sum{kind=\"photo\"} 20003250\n"
                                     "h_count{kind=\"photo\"} 3\n"));
}

static void test_labels(void **state UNUSED)
{
    CLEANUP(text_done) Text labels = {0};

    exposition_label(&labels, "a", "plain ä");
    exposition_label(&labels, "b", "quote \" back \\ line\n.");
    assert_string_equal(labels.data, "a=\"plain ä\",b=\"quote \\\" back \\\\ line\\n.\"");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_histogram), cmocka_unit_test(test_bounds_ascend),
        cmocka_unit_test(test_samples),   cmocka_unit_test(test_histogram_text),
        cmocka_unit_test(test_labels),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
