/* Which thumbnails are there: on the disk's word at first, then from the names read once. */

#include "fixture.h"

#include "store/thumbnail_set.h"
#include "util/uuid.h"

#define N_FILES 3000

typedef struct Files {
    char directory[64];
    char uuids[N_FILES][UUID_TEXT_SIZE];
    ThumbnailSet set;
} Files;

static const char *file_path(const Files *f, size_t i)
{
    static char path[192];

    (void)snprintf(path, sizeof(path), "%s/thumbnail_%s.jpg", f->directory, f->uuids[i]);
    return path;
}

/* The directory's mtime, in seconds before now. */
static void set_age(const Files *f, time_t age)
{
    struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, {.tv_sec = time(NULL) - age}};

    assert_int_equal(utimensat(AT_FDCWD, f->directory, times, 0), 0);
}

static int setup(void **state)
{
    Files *f = calloc(1, sizeof(*f));

    (void)snprintf(f->directory, sizeof(f->directory), "/tmp/thumbnail-set-XXXXXX");
    assert_non_null(mkdtemp(f->directory));
    for (size_t i = 0; i < N_FILES; i++) {
        assert_int_equal(uuid_generate(f->uuids[i]), 0);
        if (i % 3 > 0)
            (void)close(open(file_path(f, i), O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
    }
    set_age(f, 60);
    thumbnail_set_init(&f->set, f->directory);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    Files *f = *state;

    thumbnail_set_done(&f->set);
    (void)nftw(f->directory, fixture_remove_one, 16, FTW_DEPTH | FTW_PHYS);
    free(f);
    return 0;
}

static bool ask(Files *f, const char *path)
{
    return thumbnail_set_has(&f->set, path, strlen(path));
}

/* Asks for all, twice, which is worth a reading. */
static void expect_all(Files *f)
{
    for (size_t i = 0; i < (size_t)N_FILES * 2; i++)
        assert_int_equal(ask(f, file_path(f, i % N_FILES)), i % N_FILES % 3 > 0);
}

static void read_all(Files *f)
{
    expect_all(f);
    while (f->set.dir || !f->set.complete)
        thumbnail_set_refresh(&f->set);
}

static void test_reading(void **state)
{
    Files *f = *state;
    size_t asked;

    (void)ask(f, file_path(f, 0));
    thumbnail_set_refresh(&f->set);
    assert_false(f->set.complete || f->set.dir); /* not for a few */
    read_all(f);
    asked = f->set.asked;
    expect_all(f);
    assert_int_equal(f->set.asked - asked, N_FILES / 3 * 2); /* the disk only for those missing */
}

static void test_odd_paths(void **state)
{
    Files *f = *state;
    char path[300];

    read_all(f);
    assert_false(ask(f, ""));
    assert_false(ask(f, "thumbnail"));
    assert_true(ask(f, "/proc/self/exe"));
    assert_true(ask(f, f->directory));
    (void)snprintf(path, sizeof(path), "%s/thumbnail_%s.png", f->directory, f->uuids[1]);
    assert_false(ask(f, path));
    (void)snprintf(path, sizeof(path), "/%s/thumbnail_%s.jpg", f->directory, f->uuids[1]);
    assert_true(ask(f, path));
    (void)snprintf(path, sizeof(path), "%s/thumbnail_%s.jpg/x", f->directory, f->uuids[1]);
    assert_true(ask(f, path)); /* ENOTDIR: it cannot be told */
}

/* A file that goes is missed from the next transaction on. */
static void test_removed(void **state)
{
    Files *f = *state;

    read_all(f);
    assert_int_equal(unlink(file_path(f, 1)), 0);
    thumbnail_set_refresh(&f->set);
    assert_false(f->set.complete);
    assert_false(ask(f, file_path(f, 1)));
    assert_true(ask(f, file_path(f, 2)));
}

/* Of a directory that changes all the time nothing is kept. */
static void test_busy_directory(void **state)
{
    Files *f = *state;

    set_age(f, 0);
    expect_all(f);
    thumbnail_set_refresh(&f->set);
    assert_false(f->set.complete || f->set.dir);
    set_age(f, 60);
    thumbnail_set_refresh(&f->set);
    assert_true(f->set.complete || f->set.dir);
}

/* A change in the middle of the reading: it is begun anew, after as many look-ups again. */
static void test_changed_while_read(void **state)
{
    Files *f = *state;

    expect_all(f);
    f->set.dir = opendir(f->directory);
    f->set.mtime = (struct timespec){.tv_sec = 1};
    thumbnail_set_refresh(&f->set);
    assert_false(f->set.complete || f->set.dir);
    assert_int_equal(f->set.asked, 0);
}

static void test_rest(void **state)
{
    Files *f = *state;

    read_all(f);
    thumbnail_set_rest(&f->set);
    assert_true(f->set.complete);
    thumbnail_set_rest(&f->set);
    assert_false(f->set.complete);
    assert_null(f->set.slots);
    expect_all(f);
}

/* No directory: nothing is there, and nothing fails. */
static void test_missing(void **state)
{
    Files *f = *state;

    read_all(f);
    (void)nftw(f->directory, fixture_remove_one, 16, FTW_DEPTH | FTW_PHYS);
    thumbnail_set_refresh(&f->set);
    for (size_t i = 0; i < (size_t)N_FILES * 2; i++)
        assert_false(ask(f, file_path(f, i % N_FILES)));
    thumbnail_set_refresh(&f->set);
    assert_false(f->set.complete || f->set.dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_reading, setup, teardown),
        cmocka_unit_test_setup_teardown(test_odd_paths, setup, teardown),
        cmocka_unit_test_setup_teardown(test_removed, setup, teardown),
        cmocka_unit_test_setup_teardown(test_busy_directory, setup, teardown),
        cmocka_unit_test_setup_teardown(test_changed_while_read, setup, teardown),
        cmocka_unit_test_setup_teardown(test_rest, setup, teardown),
        cmocka_unit_test_setup_teardown(test_missing, setup, teardown),
    };

    return cmocka_run_group_tests_name("store thumbnail_set", tests, NULL, NULL);
}
