/* The hash table. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>

#include "util/cleanup.h"
#include "util/hash.h"
#include "util/list.h"

/* Takes the place of the C library's: the list of segments cannot grow while this is set. */
static bool no_memory;

void *reallocarray(void *block, size_t n, size_t size)
{
    if (no_memory) {
        errno = ENOMEM;
        return NULL;
    }
    return realloc(block, n * size);
}

typedef struct Entry {
    HashNode node;
    int key;
    bool seen;
} Entry;

static Entry *find(const HashTable *table, int key, uint64_t hash)
{
    for (HashNode *node = hash_first(table, hash); node; node = hash_next(node)) {
        Entry *entry = CONTAINER_OF(node, Entry, node);

        if (entry->key == key)
            return entry;
    }
    return NULL;
}

static uint64_t hash_of(int key)
{
    return hash_bytes(&key, sizeof(key), 0);
}

static void test_insert_find_remove(void **state UNUSED)
{
    enum { N = 5000 };
    CLEANUP(hash_done) HashTable table = {0};
    CLEANUP_FREE Entry *entries = calloc(N, sizeof(Entry));

    assert_null(hash_first(&table, 1));
    for (int i = 0; i < N; i++) {
        entries[i].key = i;
        assert_int_equal(hash_insert(&table, &entries[i].node, hash_of(i)), 0);
    }
    assert_int_equal(table.count, N);
    for (int i = 0; i < N; i++)
        assert_ptr_equal(find(&table, i, hash_of(i)), &entries[i]);
    assert_null(find(&table, N, hash_of(N)));
    for (int i = 0; i < N; i += 2)
        hash_remove(&table, &entries[i].node);
    assert_int_equal(table.count, N / 2);
    for (int i = 0; i < N; i++)
        assert_ptr_equal(find(&table, i, hash_of(i)), i % 2 ? &entries[i] : NULL);
}

static void test_equal_hashes(void **state UNUSED)
{
    CLEANUP(hash_done) HashTable table = {0};
    Entry entries[40] = {0};

    /* 7 and 7 + 2^40 share every bucket; only the first are of the wanted hash. */
    for (int i = 0; i < 40; i++) {
        entries[i].key = i;
        assert_int_equal(hash_insert(&table, &entries[i].node, i % 2 ? 7 : 7 + (UINT64_C(1) << 40)),
                         0);
    }
    for (int i = 0; i < 40; i++)
        assert_ptr_equal(find(&table, i, 7), i % 2 ? &entries[i] : NULL);
}

static void test_foreach(void **state UNUSED)
{
    CLEANUP(hash_done) HashTable table = {0};
    Entry entries[100] = {0};
    size_t n = 0;

    for (int i = 0; i < 100; i++) {
        entries[i].key = i;
        assert_int_equal(hash_insert(&table, &entries[i].node, hash_of(i)), 0);
    }
    HASH_FOREACH (node, &table) {
        Entry *entry = CONTAINER_OF(node, Entry, node);

        assert_false(entry->seen);
        entry->seen = true;
        n++;
    }
    assert_int_equal(n, 100);
    hash_done(&table);
    assert_int_equal(table.count, 0);
    assert_null(hash_first(&table, hash_of(1)));
    assert_int_equal(hash_insert(&table, &entries[0].node, 1), 0);
}

/* Grows and shrinks one bucket at a time, over several powers of two, and finds everything. */
static void test_grows_and_shrinks(void **state UNUSED)
{
    enum { N = 5000 };
    CLEANUP(hash_done) HashTable table = {0};
    CLEANUP_FREE Entry *entries = calloc(N, sizeof(Entry));
    size_t memory;
    size_t n = 0;

    for (int i = 0; i < N; i++) {
        size_t before = table.buckets.count;

        assert_int_equal(hash_insert(&table, &entries[i].node, hash_of(i)), 0);
        entries[i].key = i;
        assert_true(table.buckets.count <= before + 1 || before == 0);
        for (int k = 0; k <= i; k += 1 + i / 16)
            assert_ptr_equal(find(&table, k, hash_of(k)), &entries[k]);
    }
    assert_int_equal(table.buckets.count, N);
    memory = table.buckets.memory;
    assert_true(memory >= N * sizeof(void *) && memory < 2 * N * sizeof(void *));
    for (int i = 0; i < N; i++) {
        hash_remove(&table, &entries[i].node);
        assert_null(find(&table, i, hash_of(i)));
        for (int k = i + 1; k < N; k += 1 + (N - i) / 16)
            assert_ptr_equal(find(&table, k, hash_of(k)), &entries[k]);
    }
    assert_true(table.buckets.memory < memory / 4);
    assert_null(hash_any(&table));
    for (int i = 0; i < N; i++)
        assert_int_equal(hash_insert(&table, &entries[i].node, hash_of(i)), 0);
    for (HashNode *node; (node = hash_any(&table)); n++)
        hash_remove(&table, node);
    assert_int_equal(n, N);
}

static void test_out_of_memory(void **state UNUSED)
{
    enum { N = 5000 };
    CLEANUP(hash_done) HashTable table = {0};
    CLEANUP_FREE Entry *entries = calloc(N, sizeof(Entry));
    size_t full;

    no_memory = true;
    assert_int_equal(hash_insert(&table, &entries[0].node, hash_of(0)), -ENOMEM);
    assert_int_equal(table.count, 0);
    assert_null(hash_first(&table, hash_of(0)));
    for (int i = 0; i < N; i++) {
        no_memory = i > 0;
        entries[i].key = i;
        assert_int_equal(hash_insert(&table, &entries[i].node, hash_of(i)), 0);
    }
    full = table.buckets.count;
    assert_true(full < N); /* chains are longer, nothing is lost */
    for (int i = 0; i < N; i++)
        assert_ptr_equal(find(&table, i, hash_of(i)), &entries[i]);
    no_memory = false;
    hash_remove(&table, &entries[0].node);
    assert_int_equal(hash_insert(&table, &entries[0].node, hash_of(0)), 0);
    assert_int_equal(table.buckets.count, full + 1);
}

static void test_bytes(void **state UNUSED)
{
    assert_true(hash_bytes("abc", 3, 0) == hash_bytes("abcd", 3, 0));
    assert_true(hash_bytes("abc", 3, 0) != hash_bytes("abd", 3, 0));
    assert_true(hash_bytes("abc", 3, 0) != hash_bytes("abc", 3, 1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_insert_find_remove),
        cmocka_unit_test(test_equal_hashes),
        cmocka_unit_test(test_foreach),
        cmocka_unit_test(test_grows_and_shrinks),
        cmocka_unit_test(test_out_of_memory),
        cmocka_unit_test(test_bytes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
