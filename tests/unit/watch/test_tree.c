/* The directory tree: paths, relinking, watch descriptors. */
#include "watch/tree.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

static int ended[16];
static size_t n_ended;

static void unwatch(void *owner, int wd)
{
    assert_null(owner);
    ended[n_ended++] = wd;
}

static void assert_path(const Node *node, const char *expected)
{
    char *path = node_path_new(node);

    assert_string_equal(path, expected);
    free(path);
}

/* /r with a, a/b, a/b/c and d; descriptors 1 to 5. */
typedef struct Fixture {
    Tree tree;
    Node *root, *a, *b, *c, *d;
} Fixture;

static void setup(Fixture *f)
{
    n_ended = 0;
    tree_init(&f->tree, unwatch, NULL);
    assert_int_equal(tree_add_root(&f->tree, "/r", &f->root), 0);
    assert_int_equal(tree_add(&f->tree, f->root, "a", &f->a), 0);
    assert_int_equal(tree_add(&f->tree, f->a, "b", &f->b), 0);
    assert_int_equal(tree_add(&f->tree, f->b, "c", &f->c), 0);
    assert_int_equal(tree_add(&f->tree, f->root, "d", &f->d), 0);
    assert_int_equal(tree_set_wd(&f->tree, f->root, 1), 0);
    assert_int_equal(tree_set_wd(&f->tree, f->a, 2), 0);
    assert_int_equal(tree_set_wd(&f->tree, f->b, 3), 0);
    assert_int_equal(tree_set_wd(&f->tree, f->c, 4), 0);
    assert_int_equal(tree_set_wd(&f->tree, f->d, 5), 0);
}

static void teardown(Fixture *f)
{
    tree_remove(&f->tree, f->root);
    tree_done(&f->tree);
    assert_int_equal(f->tree.memory, 0);
}

static void test_paths(void **state)
{
    Fixture f;
    Node *slash;
    Node *below;

    (void)state;
    setup(&f);
    assert_path(f.root, "/r");
    assert_path(f.c, "/r/a/b/c");
    assert_int_equal(tree_add_root(&f.tree, "/", &slash), 0);
    assert_int_equal(tree_add(&f.tree, slash, "x", &below), 0);
    assert_path(slash, "/");
    assert_path(below, "/x");
    assert_ptr_equal(node_root(f.c), f.root);
    assert_true(node_is_within(f.c, f.a));
    assert_false(node_is_within(f.a, f.c));
    tree_remove(&f.tree, slash);
    teardown(&f);
}

static void test_rename_relinks_one_node(void **state)
{
    Fixture f;

    (void)state;
    setup(&f);
    assert_int_equal(tree_move(&f.tree, f.a, f.d, "renamed"), 0);
    assert_path(f.c, "/r/d/renamed/b/c");
    assert_ptr_equal(tree_by_wd(&f.tree, 4), f.c);
    assert_null(tree_child(&f.tree, f.root, "a"));
    assert_ptr_equal(tree_child(&f.tree, f.d, "renamed"), f.a);
    assert_int_equal(n_ended, 0);
    teardown(&f);
}

static void test_move_below_itself_is_refused(void **state)
{
    Fixture f;

    (void)state;
    setup(&f);
    assert_int_equal(tree_move(&f.tree, f.a, f.c, "x"), TREE_E_CYCLE);
    assert_int_equal(tree_move(&f.tree, f.root, f.d, "x"), TREE_E_CYCLE);
    assert_path(f.c, "/r/a/b/c");
    teardown(&f);
}

static void test_move_over_another_removes_it(void **state)
{
    Fixture f;

    (void)state;
    setup(&f);
    (void)node_ref(f.a);
    assert_int_equal(tree_move(&f.tree, f.d, f.root, "a"), 0);
    assert_true(f.a->detached);
    (void)node_unref(f.a);
    assert_int_equal(n_ended, 3);
    assert_int_equal(ended[0], 4); /* leaves first */
    assert_ptr_equal(tree_child(&f.tree, f.root, "a"), f.d);
    teardown(&f);
}

static void test_a_descriptor_belongs_to_one_node(void **state)
{
    Fixture f;

    (void)state;
    setup(&f);
    assert_int_equal(tree_set_wd(&f.tree, f.d, 3), 0);
    assert_ptr_equal(tree_by_wd(&f.tree, 3), f.d);
    assert_int_equal(f.b->wd, -1);
    assert_null(tree_by_wd(&f.tree, 5));
    assert_int_equal(f.tree.n_watched, 4);
    teardown(&f);
}

static void test_deep_tree(void **state)
{
    Tree tree;
    Node *root;
    Node *at;
    size_t n = 0;

    (void)state;
    n_ended = 0;
    tree_init(&tree, unwatch, NULL);
    assert_int_equal(tree_add_root(&tree, "/r", &root), 0);
    at = root;
    for (int i = 0; i < 100000; i++)
        assert_int_equal(tree_add(&tree, at, "d", &at), 0);
    for (Node *node = root; node; node = node_next(node, root))
        n++;
    assert_int_equal(n, 100001);
    tree_remove(&tree, root);
    tree_done(&tree);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_paths),
        cmocka_unit_test(test_rename_relinks_one_node),
        cmocka_unit_test(test_move_below_itself_is_refused),
        cmocka_unit_test(test_move_over_another_removes_it),
        cmocka_unit_test(test_a_descriptor_belongs_to_one_node),
        cmocka_unit_test(test_deep_tree),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
