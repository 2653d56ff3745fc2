/*
 * Late deletes: a row whose file goes takes the place of a fresh copy of it (store/heir.c).
 */

#include "graveyard_fixture.h"

/* The addition of a file that is there. */
static StoreOp add_file(const char *path)
{
    StoreOp op = add_op(path, FINGERPRINT);
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    struct stat st;

    if (fd < 0 || write(fd, "ten bytes!", 10) != 10 || fstat(fd, &st) || close(fd))
        fail_msg("%s: %s", path, strerror(errno));
    op.stamp.ino = (uint64_t)st.st_ino;
    op.stamp.mtime_ns = (int64_t)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec;
    return op;
}

static char *path_of(Fixture *f, const char *name)
{
    char *path = NULL;

    if (asprintf(&path, "%s/%s", f->directory, name) < 0)
        fail();
    return path;
}

static char *add_named(Fixture *f, const char *name)
{
    char *path = path_of(f, name);
    StoreOp op = add_file(path);
    char *id;

    fixture_write(f, &op, 1);
    assert_int_equal(op.result, STORE_OP_RESULT_DONE);
    id = strdup(op.id);
    store_op_done(&op);
    free(path);
    return id;
}

static void remove_named(Fixture *f, const char *id, const char *name)
{
    char *path = path_of(f, name);

    assert_int_equal(unlink(path), 0);
    remove_photo(f, id);
    free(path);
}

static void assert_named(Fixture *f, const char *id, const char *name)
{
    char *path = path_of(f, name);

    fixture_assert_path(f, id, path);
    free(path);
}

static int setup_root(void **state)
{
    static const char *const names[] = {"x", "y", "x/d", "y/d"};
    Fixture *f;
    char *id = NULL;

    (void)setup(state);
    f = *state;
    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
        char *path = path_of(f, names[i]);

        assert_int_equal(mkdir(path, 0700), 0);
        free(path);
    }
    assert_int_equal(store_register_folder(f->store, f->directory, 1, &id), 0);
    free(id);
    return 0;
}

/* The copy's row and the end of the original's come in one call. */
static void test_at_once(void **state)
{
    Fixture *f = *state;
    char *id = add_named(f, "a.jpg"), *new_path = path_of(f, "b.jpg"),
         *old_path = path_of(f, "a.jpg");
    StoreOp ops[2];

    decorate(f, id);
    ops[0] = add_file(new_path);
    ops[1] = fixture_remove(id, MEDIA_KIND_PHOTO);
    assert_int_equal(unlink(old_path), 0);
    fixture_write(f, ops, 2);
    fixture_assert_path(f, id, new_path);
    assert_int_equal(fixture_count(f, "SELECT count(*) FROM images"), 1);
    store_op_done(&ops[0]);
    store_op_done(&ops[1]);
    free(old_path);
    free(new_path);
    free(id);
}

/* The name counts most, then the directory, then what the paths begin with. */
static void test_nearest(void **state)
{
    Fixture *f = *state;
    char *id = add_named(f, "x/d/1.jpg");
    char *rest[] = {add_named(f, "x/d/other.jpg"), add_named(f, "y/1.jpg"),
                    add_named(f, "y/d/1.jpg"), add_named(f, "x/1.jpg")};

    remove_named(f, id, "x/d/1.jpg");
    assert_named(f, id, "y/d/1.jpg");
    remove_named(f, id, "y/d/1.jpg");
    assert_named(f, id, "y/1.jpg");
    remove_named(f, id, "y/1.jpg");
    assert_named(f, id, "x/1.jpg");
    remove_named(f, id, "x/1.jpg");
    assert_named(f, id, "x/d/other.jpg");
    assert_int_equal(fixture_count(f, "SELECT count(*) FROM images"), 1);
    for (size_t i = 0; i < 4; i++)
        free(rest[i]);
    free(id);
}

/* One that is older, or not as it was read, or the user's own, is none. */
static void test_no_heir(void **state)
{
    Fixture *f = *state;
    char *older = add_named(f, "older.jpg"), *id = add_named(f, "a.jpg"),
         *users = add_named(f, "users.jpg"), *away = add_named(f, "away.jpg"),
         *away_path = path_of(f, "away.jpg");

    fixture_execf(f, "UPDATE images SET isFavourite = 1 WHERE id = %Q", users);
    assert_int_equal(unlink(away_path), 0);
    remove_named(f, id, "a.jpg");
    assert_string_equal(fixture_text(f, "SELECT path FROM images WHERE id = %Q", id), "(none)");
    assert_named(f, older, "older.jpg");
    assert_named(f, users, "users.jpg");
    assert_named(f, away, "away.jpg");
    free(away_path);
    free(away);
    free(users);
    free(id);
    free(older);
}

/* A symbolic link leads to a file, here to one that is gone: it is no copy. */
static void test_link(void **state)
{
    Fixture *f = *state;
    char *id = add_named(f, "a.jpg"), *link = add_named(f, "x/a.jpg");
    char *path = path_of(f, "a.jpg"), *link_path = path_of(f, "x/a.jpg");

    assert_int_equal(unlink(link_path), 0);
    assert_int_equal(symlink(path, link_path), 0);
    remove_named(f, id, "a.jpg");
    assert_string_equal(fixture_text(f, "SELECT path FROM images WHERE id = %Q", id), "(none)");
    assert_named(f, link, "x/a.jpg");
    free(link_path);
    free(path);
    free(link);
    free(id);
}

/* Nobody looks at a file where that may hang: its row is believed, though it is not there. */
static void test_avoided(void **state)
{
    Fixture *f = *state;
    char *id = add_named(f, "a.jpg"), *near = add_named(f, "x/a.jpg"),
         *far = add_named(f, "y/a.jpg");
    char *near_path = path_of(f, "x/a.jpg"), *path = path_of(f, "y/a.jpg");
    char *directories[] = {path_of(f, "other"), path_of(f, "y"), NULL};

    assert_int_equal(unlink(near_path), 0);
    assert_int_equal(unlink(path), 0);
    store_avoid(f->store, directories);
    remove_named(f, id, "a.jpg");
    assert_named(f, id, "y/a.jpg");
    assert_named(f, near, "x/a.jpg");
    store_avoid(f->store, NULL);
    remove_photo(f, id);
    assert_string_equal(fixture_text(f, "SELECT path FROM images WHERE id = %Q", id), "(none)");
    for (size_t i = 0; directories[i]; i++)
        free(directories[i]);
    free(path);
    free(near_path);
    free(far);
    free(near);
    free(id);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup_root, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {T(test_at_once), T(test_nearest), T(test_no_heir),
                                       T(test_avoided), T(test_link)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
