/* Disk ⋈ rows, one directory: what differs, and when absence proves nothing. */
#include "sync/reconcile.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#define VOLUME 77

static char names[6][16] = {"a.jpg", "b.jpg", "c.jpg", "sub", "", ""};

static ListedFile file(int i, uint64_t size, int64_t mtime_ns, uint64_t ino)
{
    return (ListedFile){.name = names[i],
                        .kind = MEDIA_KIND_PHOTO,
                        .stamp = {.dev = 1, .ino = ino, .size = size, .mtime_ns = mtime_ns}};
}

static StoreEntry entry(int i, uint64_t size, int64_t mtime_ns, uint64_t ino)
{
    static char id[] = "id";

    return (StoreEntry){.name = names[i],
                        .kind = MEDIA_KIND_PHOTO,
                        .id = id,
                        .has_thumbnail = true,
                        .has_stamp = true,
                        .stamp = {.dev = 1, .ino = ino, .size = size, .mtime_ns = mtime_ns}};
}

static bool knows;

static bool knows_inode(void *context, const FileStamp *stamp, const char *id)
{
    (void)context;
    (void)stamp;
    assert_string_equal(id, "id");
    return knows;
}

static ReconcileResult run(ListedFile *files, size_t n_files, StoreEntry *entries, size_t n_entries,
                           uint64_t volume, const VolumeProof *proof)
{
    static char folder[] = "folder";
    Listing listing = {.files = files, .n_files = n_files, .volume = volume, .mtime = 5};
    StoreDirectory rows = {.folder_id = folder,
                           .folder_mtime = 5,
                           .has_volume = volume != 0,
                           .volume = VOLUME,
                           .entries = entries,
                           .n_entries = n_entries};
    ReconcileResult result;

    assert_int_equal(reconcile_directory(&listing, &rows, proof, knows_inode, NULL, &result), 0);
    return result;
}

static void test_differences(void **state)
{
    ListedFile files[] = {file(0, 10, 100, 1), file(1, 10, 100, 2)};
    StoreEntry entries[] = {entry(1, 11, 100, 2), entry(2, 10, 100, 3)};
    ReconcileResult result = run(files, 2, entries, 2, VOLUME, NULL);

    (void)state;
    assert_int_equal(result.n_names, 3); /* new, modified, gone */
    assert_string_equal(result.names[0], "a.jpg");
    assert_string_equal(result.names[1], "b.jpg");
    assert_string_equal(result.names[2], "c.jpg");
    assert_false(result.folder_differs);
    reconcile_result_done(&result);
}

static void test_unchanged_costs_nothing(void **state)
{
    ListedFile files[] = {file(0, 10, 100, 1)};
    StoreEntry entries[] = {entry(0, 10, 100, 1)};
    ReconcileResult result = run(files, 1, entries, 1, VOLUME, NULL);

    (void)state;
    assert_int_equal(result.n_names, 0);
    assert_int_equal(result.n_stamps, 0);
    assert_int_equal(result.n_unchanged, 1);
    reconcile_result_done(&result);
}

static void test_another_inode(void **state)
{
    ListedFile files[] = {file(0, 10, 100, 9)};
    StoreEntry entries[] = {entry(0, 10, 100, 1)};
    ReconcileResult result;

    (void)state;
    knows = false; /* restored from a backup, or a copy, and the row's own file is elsewhere */
    result = run(files, 1, entries, 1, VOLUME, NULL);
    assert_int_equal(result.n_names, 1);
    reconcile_result_done(&result);
    entries[0].stamp.dev++; /* mounted again: the row is right, the device is learnt */
    result = run(files, 1, entries, 1, VOLUME, NULL);
    assert_int_equal(result.n_names, 0);
    assert_int_equal(result.n_stamps, 1);
    reconcile_result_done(&result);
    knows = true; /* it is another row's file: two exchanged their names */
    result = run(files, 1, entries, 1, VOLUME, NULL);
    assert_int_equal(result.n_names, 1);
    reconcile_result_done(&result);
}

static void test_missing_thumbnail_is_a_difference(void **state)
{
    ListedFile files[] = {file(0, 10, 100, 1)};
    StoreEntry entries[] = {entry(0, 10, 100, 1)};
    ReconcileResult result;

    (void)state;
    entries[0].has_thumbnail = false;
    result = run(files, 1, entries, 1, VOLUME, NULL);
    assert_int_equal(result.n_names, 1);
    reconcile_result_done(&result);
}

static void test_rows_of_the_backend(void **state)
{
    ListedFile listed = file(0, 10, INT64_C(7900000000), 1);
    StoreEntry row = entry(0, 0, 0, 0);

    (void)state;
    row.has_stamp = false;
    row.size = 10;
    row.mtime = 7;
    assert_true(reconcile_is_unchanged(&listed, &row));
    row.mtime = 8;
    assert_false(reconcile_is_unchanged(&listed, &row));
    row.mtime = INT64_MIN; /* older versions of PictoPy note none */
    assert_true(reconcile_is_unchanged(&listed, &row));
    row.size = 11;
    assert_false(reconcile_is_unchanged(&listed, &row));
}

static void test_another_file_system_proves_nothing(void **state)
{
    StoreEntry entries[] = {entry(0, 10, 100, 1)};
    ListedFile same[] = {file(0, 10, 100, 1)};
    ListedFile foreign[] = {file(0, 99, 999, 1)};
    VolumeProof proof = {VOLUME, VOLUME + 1};
    VolumeProof of_another = {VOLUME + 7, VOLUME + 1};
    ReconcileResult result = run(NULL, 0, entries, 1, VOLUME + 1, NULL);

    (void)state;
    assert_int_equal(result.verdict, RECONCILE_VERDICT_FOREIGN);
    assert_int_equal(result.n_names, 0);
    reconcile_result_done(&result);
    result = run(foreign, 1, entries, 1, VOLUME + 1, NULL);
    assert_int_equal(result.verdict, RECONCILE_VERDICT_FOREIGN);
    reconcile_result_done(&result);
    /* The same photos under another identifier: a drive that got another device number. */
    result = run(same, 1, entries, 1, VOLUME + 1, NULL);
    assert_int_equal(result.verdict, RECONCILE_VERDICT_TRUSTED);
    assert_true(result.proves_volume);
    assert_int_equal(result.volume.from, VOLUME);
    assert_int_equal(result.volume.to, VOLUME + 1);
    assert_true(result.folder_differs);
    reconcile_result_done(&result);
    /* The right file system: empty means empty. */
    result = run(NULL, 0, entries, 1, VOLUME, NULL);
    assert_int_equal(result.verdict, RECONCILE_VERDICT_TRUSTED);
    assert_int_equal(result.n_names, 1);
    reconcile_result_done(&result);
    /* Another directory of that file system has proven it. */
    result = run(NULL, 0, entries, 1, VOLUME + 1, &proof);
    assert_int_equal(result.verdict, RECONCILE_VERDICT_TRUSTED);
    assert_false(result.proves_volume);
    assert_int_equal(result.n_names, 1);
    reconcile_result_done(&result);
    /* The file system below a mount point is proven to be itself, and not the drive. */
    result = run(NULL, 0, entries, 1, VOLUME + 1, &of_another);
    assert_int_equal(result.verdict, RECONCILE_VERDICT_FOREIGN);
    reconcile_result_done(&result);
    /* Not known, and empty. */
    result = run(NULL, 0, entries, 1, 0, NULL);
    assert_int_equal(result.verdict, RECONCILE_VERDICT_FOREIGN);
    reconcile_result_done(&result);
}

/* Two memory cards: both have a DCIM with a 100CANON. */
static void test_names_of_directories_prove_nothing(void **state)
{
    char *on_disk[] = {names[0]};
    char *with_rows[] = {names[0], names[3]};
    Listing listing = {.children = on_disk, .n_children = 1, .volume = VOLUME + 1};
    StoreDirectory rows = {
        .has_volume = true, .volume = VOLUME, .children = with_rows, .n_children = 2};
    ReconcileResult result;

    (void)state;
    assert_int_equal(reconcile_directory(&listing, &rows, NULL, knows_inode, NULL, &result), 0);
    assert_int_equal(result.verdict, RECONCILE_VERDICT_UNPROVEN);
    assert_int_equal(result.n_names, 0);
    reconcile_result_done(&result);
}

static void test_failed_listing_proves_nothing(void **state)
{
    StoreEntry entries[] = {entry(0, 10, 100, 1)};
    Listing listing = {.error = EIO, .volume = VOLUME};
    StoreDirectory rows = {
        .has_volume = true, .volume = VOLUME, .entries = entries, .n_entries = 1};
    ReconcileResult result;

    (void)state;
    assert_int_equal(reconcile_directory(&listing, &rows, NULL, knows_inode, NULL, &result), 0);
    assert_int_equal(result.n_names, 0);
    reconcile_result_done(&result);
}

static void test_children(void **state)
{
    char *on_disk[] = {names[0]};
    char *with_rows[] = {names[0], names[3]};
    Listing listing = {.children = on_disk, .n_children = 1, .volume = VOLUME};
    StoreDirectory rows = {
        .has_volume = true, .volume = VOLUME, .children = with_rows, .n_children = 2};
    ReconcileResult result;

    (void)state;
    assert_int_equal(reconcile_directory(&listing, &rows, NULL, knows_inode, NULL, &result), 0);
    assert_int_equal(result.n_names, 1);
    assert_string_equal(result.names[0], "sub");
    reconcile_result_done(&result);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_differences),
        cmocka_unit_test(test_unchanged_costs_nothing),
        cmocka_unit_test(test_another_inode),
        cmocka_unit_test(test_missing_thumbnail_is_a_difference),
        cmocka_unit_test(test_rows_of_the_backend),
        cmocka_unit_test(test_another_file_system_proves_nothing),
        cmocka_unit_test(test_names_of_directories_prove_nothing),
        cmocka_unit_test(test_failed_listing_proves_nothing),
        cmocka_unit_test(test_children),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
