/* The linked list. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "util/cleanup.h"
#include "util/list.h"

typedef struct Item {
    int value;
    ListNode link;
} Item;

static void assert_values(const List *list, const int *values, size_t n)
{
    size_t i = 0;

    LIST_FOREACH (node, list) {
        assert_true(i < n);
        assert_int_equal(CONTAINER_OF(node, Item, link)->value, values[i++]);
    }
    assert_int_equal(i, n);
}

static void test_order(void **state UNUSED)
{
    Item items[4] = {{.value = 0}, {.value = 1}, {.value = 2}, {.value = 3}};
    List list;

    list_init(&list);
    assert_true(list_is_empty(&list));
    assert_null(list_first(&list));
    assert_null(list_take(&list));
    list_append(&list, &items[1].link);
    list_append(&list, &items[3].link);
    list_prepend(&list, &items[0].link);
    list_insert_before(&items[3].link, &items[2].link);
    assert_values(&list, (int[]){0, 1, 2, 3}, 4);
    assert_ptr_equal(list_take(&list), &items[0].link);
    assert_false(list_is_linked(&items[0].link));
    list_remove(&items[2].link);
    list_remove(&items[2].link); /* once more does nothing */
    assert_values(&list, (int[]){1, 3}, 2);
}

static void test_removal_while_walking(void **state UNUSED)
{
    Item items[5] = {{.value = 0}, {.value = 1}, {.value = 2}, {.value = 3}, {.value = 4}};
    List list;

    list_init(&list);
    for (size_t i = 0; i < 5; i++)
        list_append(&list, &items[i].link);
    LIST_FOREACH_SAFE (node, next, &list) {
        if (CONTAINER_OF(node, Item, link)->value % 2 == 0)
            list_remove(node);
    }
    assert_values(&list, (int[]){1, 3}, 2);
}

static void test_splice(void **state UNUSED)
{
    Item items[3] = {{.value = 0}, {.value = 1}, {.value = 2}};
    List a, b;

    list_init(&a);
    list_init(&b);
    list_append(&a, &items[0].link);
    list_append(&b, &items[1].link);
    list_append(&b, &items[2].link);
    list_splice(&a, &b);
    assert_values(&a, (int[]){0, 1, 2}, 3);
    assert_true(list_is_empty(&b));
    list_splice(&a, &b);
    assert_values(&a, (int[]){0, 1, 2}, 3);
    list_splice(&b, &a);
    assert_values(&b, (int[]){0, 1, 2}, 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_order),
        cmocka_unit_test(test_removal_while_walking),
        cmocka_unit_test(test_splice),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
