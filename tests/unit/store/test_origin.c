/* The row that a directory belongs to by its inode, and the photos by which it is proven. */

#include "fixture.h"

#define VOLUME (UINT64_MAX - 1)

static int setup(void **state)
{
    Fixture *f = calloc(1, sizeof(*f));

    fixture_init(f);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    Fixture *f = *state;

    fixture_done(f);
    free(f);
    return 0;
}

static void know(Fixture *f, const char *path, uint64_t ino, int64_t born)
{
    StoreOp op = fixture_op(STORE_OP_FOLDER_ENSURE, path, NULL);

    op.has_volume = true;
    op.volume = VOLUME;
    op.ino = ino;
    op.born = born;
    fixture_write_one(f, op, STORE_OP_RESULT_DONE);
}

static void add(Fixture *f, const char *path, uint64_t size)
{
    StoreOp op = fixture_add(path);

    op.stamp = (FileStamp){.dev = 1, .ino = 2, .size = size, .mtime_ns = 3};
    fixture_write_one(f, op, STORE_OP_RESULT_DONE);
}

static StoreOrigin ask(Fixture *f, const char *path, uint64_t volume, uint64_t ino, int64_t born)
{
    StoreOrigin origin;

    assert_int_equal(store_read_origin(f->store, path, volume, ino, born, &origin), 0);
    return origin;
}

static void expect(Fixture *f, const char *path, uint64_t volume, uint64_t ino, int64_t born,
                   const char *expected)
{
    StoreOrigin origin = ask(f, path, volume, ino, born);

    assert_string_equal(origin.path ? origin.path : "", expected);
    store_origin_done(&origin);
}

static void test_identity(void **state)
{
    Fixture *f = *state;

    know(f, "/r/a", UINT64_MAX, 100);
    know(f, "/r/b", 8, 0);
    expect(f, "/r/z", VOLUME, UINT64_MAX, 100, "/r/a");
    expect(f, "/r/z", VOLUME - 1, UINT64_MAX, 100, "");
    expect(f, "/r/z", VOLUME, UINT64_MAX - 1, 100, "");
    /* Another birth is another directory; an unknown one says nothing. */
    expect(f, "/r/z", VOLUME, UINT64_MAX, 101, "");
    expect(f, "/r/z", VOLUME, UINT64_MAX, 0, "/r/a");
    expect(f, "/r/z", VOLUME, 8, 100, "/r/b");
    /* Not where it is, nor inside itself, nor in the place of its parent. */
    expect(f, "/r/a", VOLUME, UINT64_MAX, 100, "");
    expect(f, "/r/a/in", VOLUME, UINT64_MAX, 100, "");
    expect(f, "/r", VOLUME, UINT64_MAX, 100, "");
    expect(f, "/r/ab", VOLUME, UINT64_MAX, 100, "/r/a");
}

static void test_row_is_gone(void **state)
{
    Fixture *f = *state;

    know(f, "/r/a", 7, 100);
    fixture_exec(f, "DELETE FROM folders WHERE folder_path = '/r/a'");
    expect(f, "/r/z", VOLUME, 7, 100, "");
}

static void test_birth(void **state)
{
    Fixture *f = *state;
    StoreOrigin origin;

    know(f, "/r/a", 7, 100);
    know(f, "/r/b", 8, 0);
    origin = ask(f, "/r/z", VOLUME, 7, 100);
    assert_true(origin.is_born && !origin.has_media);
    store_origin_done(&origin);
    origin = ask(f, "/r/z", VOLUME, 8, 0);
    assert_false(origin.is_born); /* two that are not known are not the same */
    store_origin_done(&origin);
}

static bool has_sample(const StoreOrigin *origin, const char *below, uint64_t size)
{
    for (size_t i = 0; i < origin->n_samples; i++)
        if (strcmp(origin->samples[i].below, below) == 0)
            return origin->samples[i].stamp.size == size;
    return false;
}

/* Some directly in it, though many others sort before and behind them. */
static void test_samples(void **state)
{
    Fixture *f = *state;
    StoreOrigin origin;
    char path[40];

    know(f, "/r/a", 7, 100);
    add(f, "/r/a/m.jpg", 50);
    add(f, "/r/a/m.mp4", 51);
    for (int i = 0; i < 20; i++) {
        (void)snprintf(path, sizeof(path), "/r/a/%c/%02d.jpg", i < 10 ? 'b' : 'y', i);
        add(f, path, 60 + (uint64_t)i);
    }
    origin = ask(f, "/r/z", VOLUME, 7, 100);
    assert_true(origin.has_media);
    assert_true(origin.n_samples <= STORE_SAMPLES_MAX);
    assert_true(has_sample(&origin, "m.jpg", 50) && has_sample(&origin, "m.mp4", 51));
    assert_true(has_sample(&origin, "b/00.jpg", 60) && has_sample(&origin, "y/19.jpg", 79));
    store_origin_done(&origin);
}

/* Photos of which nothing is known prove nothing, but they are there. */
static void test_no_stamps(void **state)
{
    Fixture *f = *state;
    StoreOrigin origin;
    char *id;

    know(f, "/r/a", 7, 100);
    id = fixture_add_row(f, "/r/a/1.jpg");
    origin = ask(f, "/r/z", VOLUME, 7, 100);
    assert_true(origin.has_media && origin.n_samples == 0);
    store_origin_done(&origin);
    free(id);
}

/* Noted without a write to PictoPy.db, and kept when the folder is renamed. */
static void test_stamp(void **state)
{
    Fixture *f = *state;
    uint64_t transactions;
    StoreDirectory directory;
    StoreOp op = fixture_op(STORE_OP_STAMP, NULL, NULL);

    know(f, "/r/a", 7, 100);
    assert_int_equal(store_read_directory(f->store, "/r/a", &directory), 0);
    op.folder_id = strdup(directory.folder_id);
    store_directory_done(&directory);
    op.has_volume = true;
    op.volume = VOLUME;
    op.ino = 9;
    op.born = -5; /* before 1970 */
    transactions = store_counters(f->store)->transactions;
    fixture_write_one(f, op, STORE_OP_RESULT_DONE);
    assert_int_equal(store_counters(f->store)->transactions, transactions);
    fixture_write_one(f, fixture_op(STORE_OP_FOLDER_MOVE, "/r/a", "/r/b"), STORE_OP_RESULT_DONE);
    expect(f, "/r/z", VOLUME, 9, -5, "/r/b");
    expect(f, "/r/z", VOLUME, 7, 100, "");
    assert_int_equal(store_read_directory(f->store, "/r/b", &directory), 0);
    assert_true(directory.volume == VOLUME && directory.ino == 9 && directory.born == -5);
    store_directory_done(&directory);
}

/* A state database from before directories were known. */
static void test_older_state(void **state)
{
    Fixture *f = *state;
    sqlite3 *db;

    know(f, "/r/a", 7, 100);
    f->store = store_free(f->store);
    assert_int_equal(sqlite3_open(f->state_database, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db,
                                  "DROP INDEX folders_by_inode;"
                                  "ALTER TABLE folders DROP COLUMN ino;"
                                  "ALTER TABLE folders DROP COLUMN born",
                                  NULL, NULL, NULL),
                     SQLITE_OK);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
    for (int i = 0; i < 2; i++) {
        StoreDirectory directory;

        f->options.read_only = i == 0;
        assert_int_equal(store_create(&f->options, &f->store), 0);
        assert_int_equal(store_read_directory(f->store, "/r/a", &directory), 0);
        assert_true(directory.has_volume && directory.ino == 0 && directory.born == 0);
        store_directory_done(&directory);
        if (i == 0)
            f->store = store_free(f->store);
    }
    expect(f, "/r/z", VOLUME, 7, 100, "");
    fixture_exec(f, "UPDATE folders SET last_modified_time = 5");
    know(f, "/r/a", 7, 100);
    expect(f, "/r/z", VOLUME, 7, 100, "/r/a");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_identity, setup, teardown),
        cmocka_unit_test_setup_teardown(test_row_is_gone, setup, teardown),
        cmocka_unit_test_setup_teardown(test_birth, setup, teardown),
        cmocka_unit_test_setup_teardown(test_samples, setup, teardown),
        cmocka_unit_test_setup_teardown(test_no_stamps, setup, teardown),
        cmocka_unit_test_setup_teardown(test_stamp, setup, teardown),
        cmocka_unit_test_setup_teardown(test_older_state, setup, teardown),
    };

    return cmocka_run_group_tests_name("store origin", tests, NULL, NULL);
}
