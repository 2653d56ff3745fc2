/* Growing strings. */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "util/text.h"

static void test_append(void **state UNUSED)
{
    CLEANUP(text_done) Text text = {0};

    text_append(&text, "a");
    text_append_bytes(&text, "b\0c", 3);
    text_printf(&text, "%d-%s", 42, "x");
    assert_int_equal(text.length, 8);
    assert_memory_equal(text.data, "ab\0c42-x", 9);
    text_clear(&text);
    assert_string_equal(text.data, "");
    text_append(&text, "again");
    assert_string_equal(text.data, "again");
}

static void test_long(void **state UNUSED)
{
    CLEANUP(text_done) Text text = {0};

    for (int i = 0; i < 10000; i++)
        text_printf(&text, "%04d", i);
    assert_int_equal(text.length, 40000);
    assert_int_equal(strlen(text.data), 40000);
    assert_memory_equal(text.data + 4 * 1234, "1234", 4);
}

static void test_steal(void **state UNUSED)
{
    CLEANUP_FREE char *empty = NULL, *string = NULL;
    Text text = {0};

    assert_int_equal(text_steal(&text, &empty), 0);
    assert_string_equal(empty, "");
    text_append(&text, "abc");
    assert_int_equal(text_steal(&text, &string), 0);
    assert_string_equal(string, "abc");
    assert_null(text.data);
    assert_int_equal(text.length, 0);
}

static void test_failure_sticks(void **state UNUSED)
{
    char *string = (char *)"untouched";
    Text text = {0};

    text_append(&text, "abc");
    text_append_bytes(&text, "x", SIZE_MAX - 3);
    assert_true(text.failed);
    text_append(&text, "def");
    assert_string_equal(text.data, "abc");
    assert_int_equal(text_steal(&text, &string), -ENOMEM);
    assert_string_equal(string, "untouched");
    assert_null(text.data);
    assert_false(text.failed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_append),
        cmocka_unit_test(test_long),
        cmocka_unit_test(test_steal),
        cmocka_unit_test(test_failure_sticks),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
