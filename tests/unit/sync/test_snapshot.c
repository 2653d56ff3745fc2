/* Snapshots: counting, sharing, and readers beside a publishing thread. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "sync/snapshot.h"

static SnapshotFolders *make_folders(size_t n)
{
    SnapshotFolders *folders;

    assert_int_equal(snapshot_folders_new(n, n * 9, &folders), 0);
    for (size_t i = 0; i < n; i++)
        snapshot_folders_add(folders, "id", "/path");
    return folders;
}

static SnapshotDetail *make_detail(size_t n)
{
    SnapshotDetail *detail;

    assert_int_equal(snapshot_detail_new(n, &detail), 0);
    for (size_t i = 0; i < n; i++) {
        detail->roots[i].path = strdup("/root");
        detail->roots[i].reason = i > 0 ? strdup("away") : NULL;
    }
    return detail;
}

static void test_life(void **state)
{
    SnapshotFolders *folders = make_folders(3);
    Snapshot *first, *second, *seen;
    SnapshotBox *box;

    (void)state;
    assert_int_equal(snapshot_box_create(&box), 0);
    assert_null(snapshot_box_acquire(box));
    assert_int_equal(snapshot_new(&first), 0);
    assert_false(first->database_connected);
    assert_false(first->watcher_running);
    assert_null(first->folders);
    assert_null(first->detail);
    first->folders = folders;
    first->detail = make_detail(2);
    assert_int_equal(snapshot_new(&second), 0);
    second->folders = snapshot_folders_ref(folders);
    second->detail = snapshot_detail_ref(first->detail);
    assert_int_equal(folders->refs, 2);
    assert_int_equal(first->detail->refs, 2);

    snapshot_box_publish(box, first);
    seen = snapshot_box_acquire(box);
    assert_ptr_equal(seen, first);
    snapshot_box_publish(box, second);
    assert_string_equal(seen->detail->roots[1].path, "/root"); /* the reader's reference keeps it */
    assert_int_equal(seen->refs, 1);
    assert_null(snapshot_unref(seen));
    assert_int_equal(folders->refs, 1);
    assert_int_equal(folders->count, 3);
    assert_int_equal(second->detail->refs, 1);

    seen = snapshot_box_acquire(box);
    assert_ptr_equal(seen, second);
    assert_null(snapshot_box_free(box));
    assert_string_equal(seen->folders->items[2].path, "/path"); /* outlives the box */
    assert_null(snapshot_unref(seen));
}

static void test_nothing(void **state)
{
    SnapshotFolders *empty;
    SnapshotDetail *detail;
    SnapshotBox *box;

    (void)state;
    assert_null(snapshot_unref(NULL));
    assert_null(snapshot_folders_unref(NULL));
    assert_null(snapshot_folders_ref(NULL));
    assert_null(snapshot_detail_unref(NULL));
    assert_null(snapshot_detail_ref(NULL));
    assert_int_equal(snapshot_detail_new(0, &detail), 0);
    assert_null(snapshot_detail_unref(detail));
    assert_int_equal(snapshot_detail_new(3, &detail), 0); /* half filled */
    detail->roots[1].reason = strdup("x");
    assert_null(snapshot_detail_unref(detail));
    assert_null(snapshot_box_free(NULL));
    assert_int_equal(snapshot_folders_new(0, 0, &empty), 0);
    assert_int_equal(empty->count, 0);
    assert_null(snapshot_folders_unref(empty));
    assert_int_equal(snapshot_folders_new(5, 99, &empty), 0); /* half filled */
    snapshot_folders_add(empty, "x", "/x");
    assert_null(snapshot_folders_unref(empty));
    assert_int_equal(snapshot_box_create(&box), 0);
    assert_null(snapshot_box_free(box));
}

static void test_names(void **state)
{
    (void)state;
    for (int i = 0; i < SNAPSHOT_ROOT_STATES; i++)
        assert_non_null(snapshot_root_state_name((SnapshotRootState)i));
    assert_string_equal(snapshot_root_state_name(SNAPSHOT_ROOT_HUNG), "hung");
}

typedef struct Readers {
    SnapshotBox *box;
    bool stop;      /* atomic */
    unsigned wrong; /* atomic */
} Readers;

/* Each snapshot has as many folders as its thread_id says, so a torn one shows. */
static void *reader(void *arg)
{
    Readers *readers = arg;
    long last = 0;

    while (!__atomic_load_n(&readers->stop, __ATOMIC_ACQUIRE)) {
        CLEANUP(snapshot_unref_p) Snapshot *snapshot = snapshot_box_acquire(readers->box);

        if (!snapshot)
            continue;
        if (snapshot->thread_id < last ||
            snapshot->folders->count != (size_t)snapshot->thread_id / 100 ||
            strcmp(snapshot->folders->items[0].path, "/path") != 0)
            (void)__atomic_add_fetch(&readers->wrong, 1, __ATOMIC_RELAXED);
        last = snapshot->thread_id;
    }
    return NULL;
}

static void test_threads(void **state)
{
    CLEANUP(snapshot_box_free_p) SnapshotBox *box = NULL;
    SnapshotFolders *folders = NULL;
    Readers readers = {0};
    pthread_t threads[4];

    (void)state;
    assert_int_equal(snapshot_box_create(&box), 0);
    readers.box = box;
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, reader, &readers), 0);
    for (long i = 100; i < 5000; i++) {
        Snapshot *snapshot;

        assert_int_equal(snapshot_new(&snapshot), 0);
        if (i % 100 == 0) {
            folders = snapshot_folders_unref(folders);
            folders = make_folders((size_t)i / 100);
        }
        snapshot->thread_id = i;
        snapshot->folders = snapshot_folders_ref(folders);
        snapshot_box_publish(box, snapshot);
    }
    __atomic_store_n(&readers.stop, true, __ATOMIC_RELEASE);
    for (int i = 0; i < 4; i++)
        (void)pthread_join(threads[i], NULL);
    (void)snapshot_folders_unref(folders);
    assert_int_equal(readers.wrong, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_life),
        cmocka_unit_test(test_nothing),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_threads),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
