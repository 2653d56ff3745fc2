/* Collecting thumbnails that no row names: which go, and what must never go. */

#include "fixture.h"

#include "store/collect.h"
#include "util/clock.h"

#define DAY_S  86400
#define AGE_US (DAY_S * CLOCK_US_PER_SEC)

#define ORPHAN "thumbnail_11111111-1111-4111-8111-111111111111.jpg"
#define NAMED  "thumbnail_22222222-2222-4222-9222-222222222222.jpg"

static const char *path_of(Fixture *f, const char *name)
{
    static char path[512];

    (void)snprintf(path, sizeof(path), "%s/%s", f->thumbnails, name);
    return path;
}

static void set_age(const char *path, long seconds)
{
    struct timespec times[2];

    (void)clock_gettime(CLOCK_REALTIME, &times[0]);
    times[0].tv_sec -= seconds;
    times[1] = times[0];
    assert_int_equal(utimensat(AT_FDCWD, path, times, AT_SYMLINK_NOFOLLOW), 0);
}

static void make_file(Fixture *f, const char *name, long age)
{
    int fd = open(path_of(f, name), O_CREAT | O_WRONLY, 0600);

    assert_true(fd >= 0);
    (void)close(fd);
    set_age(path_of(f, name), age);
}

static bool is_there(Fixture *f, const char *name)
{
    struct stat st;

    return lstat(path_of(f, name), &st) == 0;
}

static void name_in_row(Fixture *f, const char *id, const char *path)
{
    fixture_execf(f,
                  "INSERT INTO images (id, path, folder_id, thumbnailPath) VALUES (%Q, '/r/' || %Q"
                  " || '.jpg', %Q, %Q)",
                  id, id, f->root_id, path);
}

/* A row with an old file, and an old file without a row. */
static int setup(void **state)
{
    Fixture *f = calloc(1, sizeof(*f));

    fixture_init(f);
    assert_int_equal(mkdir(f->thumbnails, 0700), 0);
    make_file(f, NAMED, 2 * DAY_S);
    make_file(f, ORPHAN, 2 * DAY_S);
    name_in_row(f, "named", path_of(f, NAMED));
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

/* Steps until it ends; between them, at step number `at`, does what a test wants. */
static int collect_with(Fixture *f, int at, void (*meanwhile)(Fixture *f))
{
    Collection *c = collection_new(AGE_US);
    bool more = true;
    int r = 0;

    for (int i = 0; more && !r; i++) {
        if (i == at && meanwhile)
            meanwhile(f);
        r = collection_step(c, f->store, &more);
        assert_false(f->store->reading);
    }
    assert_null(collection_free(c));
    return r;
}

static void collect(Fixture *f)
{
    assert_int_equal(collect_with(f, 0, NULL), 0);
}

static void test_orphan(void **state)
{
    Fixture *f = *state;

    collect(f);
    assert_false(is_there(f, ORPHAN));
    assert_true(is_there(f, NAMED));
    assert_int_equal(store_counters(f->store)->thumbnails_collected, 1);
    collect(f);
    assert_int_equal(store_counters(f->store)->thumbnails_collected, 1);
}

static void test_young(void **state)
{
    Fixture *f = *state;

    set_age(path_of(f, ORPHAN), DAY_S - 60);
    collect(f);
    assert_true(is_there(f, ORPHAN));
    set_age(path_of(f, ORPHAN), -DAY_S); /* from a clock that was wrong */
    collect(f);
    assert_true(is_there(f, ORPHAN));
    set_age(path_of(f, ORPHAN), DAY_S + 1);
    collect(f);
    assert_false(is_there(f, ORPHAN));
}

/* Names that are only like ours. */
static void test_other_names(void **state)
{
    static const char *const names[] = {
        "thumbnail_1.jpg",
        "thumbnail_33333333-3333-4333-8333-333333333333.jpeg",
        "thumbnail_33333333-3333-4333-8333-333333333333.jpg~",
        "thumbnail_33333333-3333-4333-8333-33333333333.jpgx",
        "xthumbnail_33333333-3333-4333-8333-33333333333.jpg",
        "Thumbnail_33333333-3333-4333-8333-333333333333.jpg",
        "thumbnail_AAAAAAAA-AAAA-4AAA-8AAA-AAAAAAAAAAAA.jpg",
        "thumbnail_33333333-3333-1333-8333-333333333333.jpg", /* version 1 */
        "thumbnail_33333333-3333-4333-c333-333333333333.jpg", /* another variant */
        "thumbnail_33333333+3333-4333-8333-333333333333.jpg",
        "a photo.jpg",
        ".hidden",
    };
    Fixture *f = *state;

    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
        make_file(f, names[i], 9 * DAY_S);
    collect(f);
    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
        if (!is_there(f, names[i]))
            fail_msg("%s is gone", names[i]);
    assert_false(is_there(f, ORPHAN));
}

/* No directory, no link and not what it points to, no FIFO. */
static void test_other_things(void **state)
{
    static const char directory[] = "thumbnail_44444444-4444-4444-8444-444444444444.jpg";
    static const char link_name[] = "thumbnail_55555555-5555-4555-8555-555555555555.jpg";
    static const char fifo[] = "thumbnail_66666666-6666-4666-8666-666666666666.jpg";
    Fixture *f = *state;
    char target[512];

    make_file(f, "target", 2 * DAY_S);
    (void)snprintf(target, sizeof(target), "%s", path_of(f, "target"));
    assert_int_equal(mkdir(path_of(f, directory), 0700), 0);
    assert_int_equal(symlink(target, path_of(f, link_name)), 0);
    assert_int_equal(mkfifo(path_of(f, fifo), 0600), 0);
    set_age(path_of(f, directory), 2 * DAY_S);
    set_age(path_of(f, link_name), 2 * DAY_S);
    set_age(path_of(f, fifo), 2 * DAY_S);
    collect(f);
    assert_true(is_there(f, directory) && is_there(f, link_name) && is_there(f, fifo));
    assert_true(is_there(f, "target"));
    assert_false(is_there(f, ORPHAN));
}

/* In whatever row, and whatever its directory is called there. */
static void test_named_elsewhere(void **state)
{
    static const char video[] = "thumbnail_77777777-7777-4777-8777-777777777777.jpg";
    static const char cover[] = "thumbnail_88888888-8888-4888-8888-888888888888.jpg";
    Fixture *f = *state;

    make_file(f, video, 2 * DAY_S);
    make_file(f, cover, 2 * DAY_S);
    fixture_execf(f, "INSERT INTO videos (id, path, thumbnailPath) VALUES ('v', '/r/v.mp4', %Q)",
                  path_of(f, video));
    fixture_execf(f, "INSERT INTO albums VALUES ('a', %Q)", path_of(f, cover));
    name_in_row(f, "elsewhere", "/app/data/thumbnails/" ORPHAN);
    fixture_exec(f, "INSERT INTO images (id, path, thumbnailPath) VALUES ('blob', '/r/b', x'00'),"
                    " ('empty', '/r/e', ''), ('null', '/r/n', NULL), ('number', '/r/m', 7)");
    collect(f);
    assert_true(is_there(f, video) && is_there(f, cover) && is_there(f, ORPHAN));
    fixture_exec(f, "DELETE FROM images WHERE id = 'elsewhere'; DELETE FROM albums");
    collect(f);
    assert_true(is_there(f, video));
    assert_false(is_there(f, cover) || is_there(f, ORPHAN));
}

/* An empty database, and one that knows none of the files. */
static void test_another_database(void **state)
{
    Fixture *f = *state;

    fixture_exec(f, "DELETE FROM images");
    collect(f);
    name_in_row(f, "other",
                path_of(f, "thumbnail_99999999-9999-4999-8999-999999999999.jpg")); /* no file */
    collect(f);
    make_file(f, "thumbnail_99999999-9999-4999-8999-999999999999.jpg", 60); /* all new */
    collect(f);
    assert_true(is_there(f, NAMED) && is_there(f, ORPHAN));
    set_age(path_of(f, "thumbnail_99999999-9999-4999-8999-999999999999.jpg"), 2 * DAY_S);
    collect(f);
    assert_false(is_there(f, NAMED) || is_there(f, ORPHAN));
}

static void test_older_schema(void **state)
{
    Fixture *f = *state;

    fixture_exec(f, "DROP TABLE videos; DROP TABLE albums");
    collect(f);
    assert_false(is_there(f, ORPHAN));
    assert_true(is_there(f, NAMED));
}

/* ---- meanwhile ---- */

static void give_row(Fixture *f)
{
    name_in_row(f, "late", path_of(f, ORPHAN));
}

/* Rows, videos and albums are read, proof is found, files are listed: then a row names it. */
static void test_named_meanwhile(void **state)
{
    Fixture *f = *state;

    for (int at = 0; at < 6; at++) {
        assert_int_equal(collect_with(f, at, give_row), 0);
        assert_true(is_there(f, ORPHAN));
        fixture_exec(f, "DELETE FROM images WHERE id = 'late'");
    }
    collect(f);
    assert_false(is_there(f, ORPHAN));
}

static void touch_orphan(Fixture *f)
{
    set_age(path_of(f, ORPHAN), 0);
}

static void test_touched_meanwhile(void **state)
{
    Fixture *f = *state;

    assert_int_equal(collect_with(f, 5, touch_orphan), 0);
    assert_true(is_there(f, ORPHAN));
}

static void replace_database(Fixture *f)
{
    char other[256];

    (void)snprintf(other, sizeof(other), "%s.new", f->database);
    assert_int_equal(store_database_create(other), 0);
    assert_int_equal(rename(other, f->database), 0);
}

static void test_replaced_meanwhile(UNUSED void **state)
{
    for (int at = 1; at < 6; at++) {
        Fixture f = {0};

        fixture_init(&f);
        assert_int_equal(mkdir(f.thumbnails, 0700), 0);
        make_file(&f, NAMED, 2 * DAY_S);
        make_file(&f, ORPHAN, 2 * DAY_S);
        name_in_row(&f, "named", path_of(&f, NAMED));
        assert_int_equal(collect_with(&f, at, replace_database), STORE_E_UNAVAILABLE);
        assert_true(is_there(&f, ORPHAN) && is_there(&f, NAMED));
        fixture_done(&f);
    }
}

/* ---- what cannot be read ---- */

static void test_locked(void **state)
{
    Fixture *f = *state;

    fixture_exec(f, "BEGIN EXCLUSIVE");
    assert_int_equal(collect_with(f, 0, NULL), STORE_E_BUSY);
    fixture_exec(f, "ROLLBACK");
    assert_true(is_there(f, ORPHAN));
}

static void test_missing(void **state)
{
    Fixture *f = *state;

    assert_int_equal(unlink(f->database), 0);
    assert_int_equal(collect_with(f, 0, NULL), STORE_E_UNAVAILABLE);
    assert_true(is_there(f, ORPHAN));
}

static void test_no_directory(void **state)
{
    Fixture *f = *state;
    int fd;

    assert_int_equal(unlink(path_of(f, ORPHAN)), 0);
    assert_int_equal(unlink(path_of(f, NAMED)), 0);
    assert_int_equal(rmdir(f->thumbnails), 0);
    assert_int_equal(collect_with(f, 0, NULL), -ENOENT);
    fd = open(f->thumbnails, O_CREAT | O_WRONLY, 0600);
    assert_true(fd >= 0);
    (void)close(fd);
    assert_int_equal(collect_with(f, 0, NULL), -ENOTDIR);
}

/* ---- many ---- */

/* More rows than one read takes, more files than are removed at a time. */
static void test_many(void **state)
{
    enum { N_ROWS = 200000, N_FILES = 2000 };
    Fixture *f = *state;
    char name[64];

    fixture_execf(f,
                  "WITH n (k) AS (SELECT 0 UNION ALL SELECT k + 1 FROM n WHERE k < %d) INSERT INTO"
                  " images (id, path, thumbnailPath) SELECT k, '/r/' || k, printf('%%s/thumbnail_"
                  "%%08x-0000-4000-8000-000000000000.jpg', %Q, k) FROM n",
                  N_ROWS - 1, f->thumbnails);
    for (int i = 0; i < N_FILES; i++) { /* every other one is named */
        (void)snprintf(name, sizeof(name), "thumbnail_%08x-0000-4000-8000-000000000000.jpg",
                       N_ROWS - N_FILES / 2 + i);
        make_file(f, name, 2 * DAY_S);
    }
    collect(f);
    assert_int_equal(store_counters(f->store)->thumbnails_collected, N_FILES / 2 + 1);
    for (int i = 0; i < N_FILES; i++) {
        (void)snprintf(name, sizeof(name), "thumbnail_%08x-0000-4000-8000-000000000000.jpg",
                       N_ROWS - N_FILES / 2 + i);
        assert_int_equal(is_there(f, name), i < N_FILES / 2);
    }
    /* 15 ms and some; a loaded machine takes its time. */
    assert_true(store_counters(f->store)->read_us_max < 250 * CLOCK_US_PER_MS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_orphan, setup, teardown),
        cmocka_unit_test_setup_teardown(test_young, setup, teardown),
        cmocka_unit_test_setup_teardown(test_other_names, setup, teardown),
        cmocka_unit_test_setup_teardown(test_other_things, setup, teardown),
        cmocka_unit_test_setup_teardown(test_named_elsewhere, setup, teardown),
        cmocka_unit_test_setup_teardown(test_another_database, setup, teardown),
        cmocka_unit_test_setup_teardown(test_older_schema, setup, teardown),
        cmocka_unit_test_setup_teardown(test_named_meanwhile, setup, teardown),
        cmocka_unit_test_setup_teardown(test_touched_meanwhile, setup, teardown),
        cmocka_unit_test(test_replaced_meanwhile),
        cmocka_unit_test_setup_teardown(test_locked, setup, teardown),
        cmocka_unit_test_setup_teardown(test_missing, setup, teardown),
        cmocka_unit_test_setup_teardown(test_no_directory, setup, teardown),
        cmocka_unit_test_setup_teardown(test_many, setup, teardown),
    };

    return cmocka_run_group_tests_name("store collect", tests, NULL, NULL);
}
