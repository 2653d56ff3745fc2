/* Random UUIDs. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "util/cleanup.h"
#include "util/uuid.h"

static void test_form(void **state UNUSED)
{
    char text[UUID_TEXT_SIZE], other[UUID_TEXT_SIZE];

    for (int n = 0; n < 1000; n++) {
        assert_int_equal(uuid_generate(text), 0);
        assert_int_equal(strlen(text), 36);
        for (size_t i = 0; i < 36; i++)
            if (i == 8 || i == 13 || i == 18 || i == 23)
                assert_int_equal(text[i], '-');
            else
                assert_non_null(strchr("0123456789abcdef", text[i]));
        assert_int_equal(text[14], '4');
        assert_non_null(strchr("89ab", text[19]));
    }
    assert_int_equal(uuid_generate(other), 0);
    assert_string_not_equal(text, other);
}

/* Every digit that is free takes every value: nothing of the 122 bits is lost on the way. */
static void test_bits(void **state UNUSED)
{
    unsigned seen[36] = {0};
    char text[UUID_TEXT_SIZE];

    for (int n = 0; n < 2000; n++) {
        assert_int_equal(uuid_generate(text), 0);
        for (size_t i = 0; i < 36; i++) {
            const char *digit = strchr("0123456789abcdef", text[i]);

            if (digit)
                seen[i] |= 1U << (digit - "0123456789abcdef");
        }
    }
    for (size_t i = 0; i < 36; i++)
        if (text[i] != '-' && i != 14 && i != 19)
            assert_int_equal(seen[i], 0xffff);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_form),
        cmocka_unit_test(test_bits),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
