/* Growing arrays. */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "util/array.h"
#include "util/cleanup.h"

static void test_grows_and_keeps(void **state UNUSED)
{
    CLEANUP_FREE int *items = NULL;
    size_t capacity = 0, growths = 0;

    for (size_t i = 0; i < 10000; i++) {
        size_t before = capacity;

        assert_int_equal(ARRAY_RESERVE(items, capacity, i + 1), 0);
        assert_true(capacity > i);
        growths += capacity != before;
        items[i] = (int)i;
    }
    for (size_t i = 0; i < 10000; i++)
        assert_int_equal(items[i], i);
    assert_true(growths < 20); /* doubles */
}

static void test_enough_is_left_alone(void **state UNUSED)
{
    CLEANUP_FREE char *items = NULL;
    size_t capacity = 0;
    char *before;

    assert_int_equal(ARRAY_RESERVE(items, capacity, 100), 0);
    before = items;
    assert_int_equal(ARRAY_RESERVE(items, capacity, 50), 0);
    assert_ptr_equal(items, before);
    assert_int_equal(ARRAY_RESERVE(items, capacity, 0), 0);
}

static void test_too_much(void **state UNUSED)
{
    CLEANUP_FREE uint64_t *items = NULL;
    size_t capacity = 0;

    assert_int_equal(ARRAY_RESERVE(items, capacity, 4), 0);
    items[3] = 7;
    assert_int_equal(ARRAY_RESERVE(items, capacity, SIZE_MAX), -ENOMEM);
    assert_int_equal(ARRAY_RESERVE(items, capacity, SIZE_MAX / 8 + 2), -ENOMEM);
    assert_int_equal(items[3], 7);
    assert_true(capacity < 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_grows_and_keeps),
        cmocka_unit_test(test_enough_is_left_alone),
        cmocka_unit_test(test_too_much),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
