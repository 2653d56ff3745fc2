/* The directory tree: paths, relinking, watch descriptors. */
#include "watch/tree.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

/* These take the place of the C library's. The allocation of this number from now on fails, and all
 * after it; -1 = none. */
static int memory_left = -1;

static bool memory_is_left(void)
{
    if (memory_left > 0)
        memory_left--;
    else if (memory_left == 0)
        errno = ENOMEM;
    return memory_left != 0;
}

void *calloc(size_t n, size_t size)
{
    /* Not malloc(): the compiler would make a call of this very function of it. */
    void *block = memory_is_left() ? reallocarray(NULL, n, size) : NULL;

    return block ? memset(block, 0, n * size) : NULL;
}

char *strdup(const char *string)
{
    size_t size = strlen(string) + 1;
    char *copy = memory_is_left() ? malloc(size) : NULL;

    return copy ? memcpy(copy, string, size) : NULL;
}

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
    assert_int_equal(f->tree.node_memory, 0);
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

/* Its parent went, and before that was noticed it took the parent's place. */
static void test_move_over_its_own_parent(void **state)
{
    Fixture f;

    (void)state;
    setup(&f);
    assert_int_equal(tree_move(&f.tree, f.b, f.root, "a"), 0);
    assert_ptr_equal(tree_child(&f.tree, f.root, "a"), f.b);
    assert_path(f.c, "/r/a/c");
    assert_int_equal(n_ended, 1);
    assert_int_equal(ended[0], 2);
    assert_int_equal(f.tree.n_nodes, 4);
    teardown(&f);
}

#define LONG_NAME "a name that has no room in the block that was made for a short one"

static void test_names_of_any_length(void **state)
{
    char longest[256];
    size_t memory;
    Fixture f;

    (void)state;
    setup(&f);
    memory = f.tree.node_memory;
    memset(longest, 'x', 255);
    longest[255] = '\0';
    assert_int_equal(tree_move(&f.tree, f.b, f.a, LONG_NAME), 0);
    assert_path(f.c, "/r/a/" LONG_NAME "/c");
    assert_ptr_equal(tree_child(&f.tree, f.a, LONG_NAME), f.b);
    assert_null(tree_child(&f.tree, f.a, "b"));
    assert_true(f.tree.node_memory >= memory + sizeof(LONG_NAME));
    assert_int_equal(tree_move(&f.tree, f.b, f.d, node_name(f.b)), 0);
    assert_path(f.c, "/r/d/" LONG_NAME "/c");
    assert_int_equal(tree_move(&f.tree, f.b, f.d, longest), 0);
    assert_string_equal(node_name(f.b), longest);
    assert_int_equal(tree_move(&f.tree, f.b, f.a, "b"), 0);
    assert_path(f.c, "/r/a/b/c");
    assert_int_equal(f.tree.node_memory, memory);
    /* Back and forth within the room of a name that was long from the beginning. */
    assert_int_equal(tree_add(&f.tree, f.d, longest, &f.d), 0);
    memory = f.tree.node_memory;
    assert_int_equal(tree_move(&f.tree, f.d, f.a, "e"), 0);
    assert_int_equal(tree_move(&f.tree, f.d, f.a, longest), 0);
    assert_string_equal(node_name(f.d), longest);
    assert_int_equal(f.tree.node_memory, memory);
    teardown(&f);
}

static void test_moved_since(void **state)
{
    uint64_t before;
    Fixture f;

    (void)state;
    setup(&f);
    assert_false(node_moved_since(&f.tree, f.a, 0));
    assert_int_equal(tree_move(&f.tree, f.a, f.root, "x"), 0);
    before = f.tree.n_moves;
    assert_false(node_moved_since(&f.tree, f.a, before));
    assert_true(node_moved_since(&f.tree, f.a, before - 1));
    assert_true(node_moved_since(&f.tree, f.c, before - 1)); /* with it */
    assert_false(node_moved_since(&f.tree, f.root, before - 1));
    assert_int_equal(tree_move(&f.tree, f.d, f.a, "d"), 0);
    assert_true(node_moved_since(&f.tree, f.d, before));
    assert_false(node_moved_since(&f.tree, f.a, before));
    assert_false(node_moved_since(&f.tree, f.c, before));
    /* The count outgrows what a node keeps of it. */
    f.tree.n_moves = before = UINT32_MAX;
    assert_int_equal(tree_move(&f.tree, f.d, f.root, "d"), 0);
    assert_true(node_moved_since(&f.tree, f.d, before));
    assert_false(node_moved_since(&f.tree, f.d, before + 1));
    assert_false(node_moved_since(&f.tree, f.a, before));
    teardown(&f);
}

static void test_out_of_memory(void **state)
{
    Node *node = NULL;
    Tree tree;
    Fixture f;

    (void)state;
    tree_init(&tree, NULL, NULL);
    for (int i = 1; i <= 2; i++) { /* the node, a bucket */
        memory_left = i;
        assert_int_equal(tree_add_root(&tree, "/r", &node), -ENOMEM);
        assert_null(node);
        assert_int_equal(tree.n_nodes, 0);
        assert_int_equal(tree.node_memory, 0);
    }
    memory_left = -1;
    assert_int_equal(tree_add_root(&tree, "/r", &node), 0);
    memory_left = 1;
    assert_int_equal(tree_set_wd(&tree, node, 1), -ENOMEM);
    memory_left = -1;
    assert_int_equal(node->wd, -1);
    assert_null(tree_by_wd(&tree, 1));
    assert_int_equal(tree.n_watched, 0);
    tree_remove(&tree, node);
    tree_done(&tree);

    setup(&f);
    memory_left = 1;
    assert_int_equal(tree_move(&f.tree, f.b, f.root, LONG_NAME), -ENOMEM);
    memory_left = -1;
    assert_path(f.c, "/r/a/b/c");
    assert_ptr_equal(tree_child(&f.tree, f.a, "b"), f.b);
    teardown(&f);
}

/* A node keeps 32 bits of a device number, all that the kernel has. */
static void test_device_numbers(void **state)
{
    static const char *const places[] = {"/", "/proc", "/sys", "/dev", "/tmp"};
    Fixture f;

    (void)state;
    setup(&f);
    for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
        struct stat st;

        if (stat(places[i], &st) < 0)
            continue;
        node_set_inode(f.a, st.st_dev, st.st_ino);
        assert_true(f.a->dev == st.st_dev);
        assert_true(f.a->ino == st.st_ino);
    }
    node_set_inode(f.a, makedev(0xfff, 0xfffff), UINT64_MAX);
    assert_true(f.a->dev == makedev(0xfff, 0xfffff));
    assert_true(f.a->ino == UINT64_MAX);
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
        cmocka_unit_test(test_move_over_its_own_parent),
        cmocka_unit_test(test_names_of_any_length),
        cmocka_unit_test(test_moved_since),
        cmocka_unit_test(test_out_of_memory),
        cmocka_unit_test(test_device_numbers),
        cmocka_unit_test(test_a_descriptor_belongs_to_one_node),
        cmocka_unit_test(test_deep_tree),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
