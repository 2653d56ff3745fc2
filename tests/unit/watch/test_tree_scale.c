/* The directory tree of a large library: what it takes of memory, and of the loop's time. */
#include "watch/tree.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "util/cleanup.h"

#define N             100000
#define N_LARGE       1000000
#define FAN_OUT       20
#define MAX_BYTES     150      /* for a watched directory, name included */
#define MAX_INSERT_NS 10000000 /* an insertion may not stall the loop; doubling 1M takes 40 ms */

static uint64_t cpu_ns(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * UINT64_C(1000000000) + (uint64_t)t.tv_nsec;
}

static size_t heap(void)
{
    struct mallinfo2 info = mallinfo2();

    return info.uordblks + info.hblkhd;
}

/* Names as people give them, 13.6 bytes on average, different within one parent. */
static void name_of(size_t i, char *name, size_t size)
{
    static const char *const words[] = {"Hochzeit", "Urlaub", "Sommer", "Grandma",
                                        "Birthday", "Beach",  "Canon",  "Berlin"};

    (void)snprintf(name, size, "%s %zu.%zu", words[i % 8], 2000 + i % 25, i % FAN_OUT);
}

/* n directories, each watched. Returns the longest time that one of them took. */
static uint64_t fill(Tree *tree, Node **nodes, size_t n)
{
    uint64_t longest = 0;
    char name[64];

    assert_int_equal(tree_add_root(tree, "/home/user/Pictures", &nodes[0]), 0);
    assert_int_equal(tree_set_wd(tree, nodes[0], 1), 0);
    for (size_t i = 1; i < n; i++) {
        uint64_t begun;
        uint64_t took;

        name_of(i, name, sizeof(name));
        begun = cpu_ns();
        if (tree_add(tree, nodes[(i - 1) / FAN_OUT], name, &nodes[i]) < 0 ||
            tree_set_wd(tree, nodes[i], (int)i + 1) < 0)
            fail();
        took = cpu_ns() - begun;
        longest = took > longest ? took : longest;
    }
    return longest;
}

static void test_memory(void **state UNUSED)
{
    CLEANUP_FREE Node **nodes = calloc(N, sizeof(*nodes));
    size_t before = heap();
    size_t grown;
    Tree tree;

    tree_init(&tree, NULL, NULL);
    (void)fill(&tree, nodes, N);
    grown = heap() - before;
    print_message("a directory takes %.1f bytes by our count, %.1f by malloc's\n",
                  (double)tree_memory(&tree) / N, (double)grown / N);
    assert_true(tree_memory(&tree) / N <= MAX_BYTES);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) /* no such statistics there */
    assert_true(grown / N <= MAX_BYTES);
    assert_true(grown <= tree_memory(&tree) + tree_memory(&tree) / 100);
    assert_true(grown >= tree_memory(&tree) - tree_memory(&tree) / 100);
#endif
    tree_remove(&tree, nodes[0]);
    assert_int_equal(tree.node_memory, 0);
    assert_true(tree_memory(&tree) < (size_t)64 * 1024); /* the indexes have shrunk with it */
    tree_done(&tree);
}

/* Sums what was found, so that no look-up can be left out. */
static double ns_each(uint64_t begun, size_t found, size_t n)
{
    assert_int_equal(found, n);
    return (double)(cpu_ns() - begun) / (double)n;
}

static void test_no_insertion_stalls(void **state UNUSED)
{
    CLEANUP_FREE Node **nodes = calloc(N_LARGE, sizeof(*nodes));
    uint64_t begun = cpu_ns();
    uint64_t longest;
    size_t found = 0;
    Tree tree;

    tree_init(&tree, NULL, NULL);
    longest = fill(&tree, nodes, N_LARGE);
    print_message("adding: %.0f ns, the longest %.2f ms\n", (double)(cpu_ns() - begun) / N_LARGE,
                  (double)longest / 1e6);
    assert_true(longest < MAX_INSERT_NS);

    begun = cpu_ns();
    for (size_t i = 0; i < N_LARGE; i++)
        found += tree_by_wd(&tree, (int)i + 1) == nodes[i];
    print_message("by descriptor: %.0f ns\n", ns_each(begun, found, N_LARGE));
    begun = cpu_ns();
    found = 1; /* all but the root */
    for (size_t i = N_LARGE - 1, n = 1; n < N_LARGE; n++, i = (i + 7919) % N_LARGE) {
        i += i == 0;
        found += tree_child(&tree, nodes[i]->parent, node_name(nodes[i])) == nodes[i];
    }
    print_message("by name: %.0f ns\n", ns_each(begun, found, N_LARGE));
    begun = cpu_ns();
    found = 0;
    for (size_t i = N_LARGE / 2; i < N_LARGE; i++) {
        char name[32];

        (void)snprintf(name, sizeof(name), "moved %zu", i);
        found += tree_move(&tree, nodes[i], nodes[(i * 31) % 1000], name) == 0;
    }
    print_message("moving: %.0f ns\n", ns_each(begun, found, N_LARGE / 2));
    begun = cpu_ns();
    tree_remove(&tree, nodes[0]);
    print_message("removing: %.0f ns\n", (double)(cpu_ns() - begun) / N_LARGE);
    tree_done(&tree);
}

/* Descriptors of a library whose directories come and go for years: few, and far apart. */
static void test_scattered_descriptors(void **state UNUSED)
{
    size_t memory = 0;
    Node *root;
    Tree tree;

    tree_init(&tree, NULL, NULL);
    assert_int_equal(tree_add_root(&tree, "/r", &root), 0);
    for (int wd = 1; wd > 0 && wd < INT32_MAX - 4096; wd += 4099) {
        char name[32];
        Node *node;

        (void)snprintf(name, sizeof(name), "%d", wd % 64);
        node = tree_child(&tree, root, name);
        if (node)
            tree_remove(&tree, node);
        assert_int_equal(tree_add(&tree, root, name, &node), 0);
        assert_int_equal(tree_set_wd(&tree, node, wd), 0);
        assert_ptr_equal(tree_by_wd(&tree, wd), node);
        memory = tree_memory(&tree) > memory ? tree_memory(&tree) : memory;
    }
    assert_true(memory < (size_t)64 * 1024);
    tree_remove(&tree, root);
    tree_done(&tree);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_memory),
        cmocka_unit_test(test_no_insertion_stalls),
        cmocka_unit_test(test_scattered_descriptors),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
