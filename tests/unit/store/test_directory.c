/* Reading directories one after the other: any order gives what one at a time would. */

#include "fixture.h"

#include "util/uuid.h"

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

/* ---- any order ---- */

#define N_PATHS 400

/* Names that sort around the slash, and that are parts of one another. */
static const char *const parts[] = {"a", "a-", "a0", "a0b", "b", "b!", "b-", "aa", "~", "\xc3\xa4"};

typedef struct Paths {
    char *files[N_PATHS];
    char *directories[N_PATHS * 2];
    size_t n_directories;
} Paths;

static unsigned random_below(unsigned *seed, unsigned n)
{
    *seed = *seed * 1103515245u + 12345u;
    return (*seed >> 16) % n;
}

static void add_directory(Paths *paths, char *path)
{
    for (size_t i = 0; i < paths->n_directories; i++)
        if (strcmp(paths->directories[i], path) == 0) {
            free(path);
            return;
        }
    paths->directories[paths->n_directories++] = path;
}

static void make_paths(Paths *paths, unsigned *seed)
{
    for (size_t i = 0; i < N_PATHS; i++) {
        CLEANUP(text_done) Text path = {0};

        text_append(&path, "/r");
        for (unsigned depth = random_below(seed, 3); depth > 0; depth--)
            text_printf(&path, "/%.2s", parts[random_below(seed, 10)]);
        add_directory(paths, strdup(path.data));
        text_printf(&path, "/%s%zu.%s", parts[random_below(seed, 10)], i % 37,
                    i % 5 ? "jpg" : "mp4");
        assert_int_equal(text_steal(&path, &paths->files[i]), 0);
    }
}

static void free_paths(Paths *paths)
{
    for (size_t i = 0; i < N_PATHS; i++)
        free(paths->files[i]);
    for (size_t i = 0; i < paths->n_directories; i++)
        free(paths->directories[i]);
}

static void insert_rows(Fixture *f, const Paths *paths)
{
    fixture_exec(f, "BEGIN");
    for (size_t i = 0; i < N_PATHS; i++)
        fixture_execf(f, "INSERT OR IGNORE INTO %s (id, path) VALUES ('%d', %Q)",
                      i % 5 ? "images" : "videos", (int)i, paths->files[i]);
    for (size_t i = 0; i < paths->n_directories; i += 2)
        fixture_execf(f, "INSERT OR IGNORE INTO folders (folder_id, folder_path) VALUES ('%d', %Q)",
                      (int)i, paths->directories[i]);
    fixture_exec(f, "COMMIT");
}

/* All of a directory as one text. */
static char *describe(Fixture *f, const char *path)
{
    StoreDirectory d;
    Text text = {0};
    char *string;

    assert_int_equal(store_read_directory(f->store, path, &d), 0);
    text_printf(&text, "%s: %s:", path, d.folder_id ? d.folder_id : "-");
    for (size_t i = 0; i < d.n_entries; i++)
        text_printf(&text, " %s=%s", d.entries[i].name, d.entries[i].id);
    for (size_t i = 0; i < d.n_children; i++)
        text_printf(&text, " %s/", d.children[i]);
    for (size_t i = 0; i < d.n_problems; i++)
        text_printf(&text, " !%s", d.problems[i].path);
    store_directory_done(&d);
    assert_int_equal(text_steal(&text, &string), 0);
    return string;
}

static int compare_paths(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void shuffle(Paths *paths, unsigned *seed)
{
    for (size_t i = paths->n_directories; i > 1; i--) {
        size_t k = random_below(seed, (unsigned)i);
        char *path = paths->directories[i - 1];

        paths->directories[i - 1] = paths->directories[k];
        paths->directories[k] = path;
    }
}

/* Each in a transaction of its own, and then all of them in one. */
static void expect_same(Fixture *f, const Paths *paths)
{
    char **alone = calloc(paths->n_directories, sizeof(*alone));

    for (size_t i = 0; i < paths->n_directories; i++)
        alone[i] = describe(f, paths->directories[i]);
    assert_int_equal(store_read_begin(f->store), 0);
    for (size_t i = 0; i < paths->n_directories; i++) {
        char *together = describe(f, paths->directories[i]);

        assert_string_equal(together, alone[i]);
        free(together);
        free(alone[i]);
    }
    store_read_end(f->store);
    free(alone);
}

static void test_any_order(void **state)
{
    Fixture *f = *state;
    unsigned seed = 7;

    for (int round = 0; round < 4; round++) {
        Paths paths = {0};
        StoreOp problem = fixture_op(STORE_OP_PROBLEM, "/r/a/a-3.jpg", NULL);

        make_paths(&paths, &seed);
        insert_rows(f, &paths);
        fixture_write_one(f, problem, STORE_OP_RESULT_DONE);
        qsort(paths.directories, paths.n_directories, sizeof(char *), compare_paths);
        expect_same(f, &paths);
        shuffle(&paths, &seed);
        expect_same(f, &paths);
        free_paths(&paths);
    }
}

/* ---- large directories ---- */

typedef struct Pauses {
    Fixture *f;
    int pauses;
} Pauses;

/* Behind each page, when the lock is free: the backend writes a row in front and one at the end. */
static void on_rollback(void *context)
{
    Pauses *pauses = context;
    int n = pauses->pauses++;

    if (n > 0)
        fixture_execf(pauses->f,
                      "INSERT INTO images (id, path) VALUES ('front%d', '/r/big/0%d.jpg'),"
                      " ('end%d', '/r/big/z%04d.jpg')",
                      n, n, n, n);
}

/* The time is always up. */
static int on_progress(void *context)
{
    ((Store *)context)->read_since = 0;
    return 0;
}

static void test_pauses(void **state)
{
    Fixture *f = *state;
    Pauses pauses = {.f = f};
    StoreDirectory d;
    size_t n = 0;

    fixture_exec(f, "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 999)"
                    " INSERT INTO images (id, path, folder_id) SELECT printf('%08d-0000-4000-8000-"
                    "000000000000', i), printf('/r/big/x%04d.jpg', i), (SELECT folder_id FROM"
                    " folders) FROM n");
    assert_int_equal(store_open(f->store), 0);
    sqlite3_progress_handler(f->store->database.handle, 10, on_progress, f->store);
    (void)sqlite3_rollback_hook(f->store->database.handle, on_rollback, &pauses);
    assert_int_equal(store_read_directory(f->store, "/r/big", &d), 0);
    (void)sqlite3_rollback_hook(f->store->database.handle, NULL, NULL);
    sqlite3_progress_handler(f->store->database.handle, 0, NULL, NULL);
    assert_true(pauses.pauses > 7);
    assert_true(d.n_entries > 1000); /* what was written ahead of the scan is seen */
    for (size_t i = 0; i < d.n_entries; i++) {
        n += d.entries[i].name[0] == 'x';
        if (i > 0)
            assert_true(strcmp(d.entries[i - 1].name, d.entries[i].name) < 0);
    }
    assert_int_equal(n, 1000);
    store_directory_done(&d);
}

/* A writer that is at it when the next page should begin: busy, and nothing of the page is left. */
static void on_rollback_lock(void *context)
{
    Pauses *pauses = context;

    if (pauses->pauses++ == 0)
        fixture_exec(pauses->f, "BEGIN EXCLUSIVE");
}

static void test_busy(void **state)
{
    Fixture *f = *state;
    Pauses pauses = {.f = f};
    StoreDirectory d;

    fixture_exec(f, "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 999)"
                    " INSERT INTO images (id, path) SELECT i, '/r/big/' || i || '.jpg' FROM n");
    assert_int_equal(store_open(f->store), 0);
    sqlite3_progress_handler(f->store->database.handle, 10, on_progress, f->store);
    (void)sqlite3_rollback_hook(f->store->database.handle, on_rollback_lock, &pauses);
    assert_int_equal(store_read_begin(f->store), 0);
    assert_int_equal(store_read_directory(f->store, "/r/big", &d), STORE_E_BUSY);
    store_read_end(f->store);
    (void)sqlite3_rollback_hook(f->store->database.handle, NULL, NULL);
    sqlite3_progress_handler(f->store->database.handle, 0, NULL, NULL);
    fixture_exec(f, "COMMIT");
    assert_int_equal(store_read_directory(f->store, "/r/big", &d), 0);
    assert_int_equal(d.n_entries, 1000);
    store_directory_done(&d);
}

/* ---- stamps ---- */

static void write_stamp(Fixture *f, const char *folder_id, const char *id, uint64_t ino)
{
    StoreOp op = fixture_op(STORE_OP_STAMP, NULL, NULL);

    op.id = strdup(id);
    op.folder_id = folder_id ? strdup(folder_id) : NULL;
    op.stamp = (FileStamp){.dev = 1, .ino = ino, .size = 2, .mtime_ns = 3};
    fixture_write_one(f, op, STORE_OP_RESULT_DONE);
}

static const StoreEntry *entry_named(const StoreDirectory *d, const char *name)
{
    for (size_t i = 0; i < d->n_entries; i++)
        if (strcmp(d->entries[i].name, name) == 0)
            return &d->entries[i];
    fail_msg("no %s", name);
    return NULL;
}

/* Rows that name another folder than the one they are in, none at all, and ids that are no UUIDs.
 */
static void test_stamps(void **state)
{
    static const char *const ids[] = {"11111111-1111-4111-8111-111111111111",
                                      "22222222-2222-4222-8222-222222222222",
                                      "33333333-3333-4333-8333-333333333333", "four"};
    Fixture *f = *state;
    const char *folders[] = {f->root_id, "other", NULL, f->root_id};
    StoreDirectory d;

    fixture_exec(f, "INSERT INTO folders (folder_id, folder_path) VALUES ('other', '/q')");
    for (size_t i = 0; i < 4; i++) {
        char name[16];

        fixture_execf(f, "INSERT INTO images (id, path, folder_id) VALUES (%Q, '/r/%d.jpg', %Q)",
                      ids[i], (int)i, folders[i]);
        write_stamp(f, folders[i], ids[i], 100 + i);
        assert_int_equal(store_read_directory(f->store, "/r", &d), 0);
        (void)snprintf(name, sizeof(name), "%zu.jpg", i);
        assert_true(entry_named(&d, name)->has_stamp);
        assert_int_equal(entry_named(&d, name)->stamp.ino, 100 + i);
        if (folders[i])
            assert_string_equal(entry_named(&d, name)->folder_id, folders[i]);
        else
            assert_null(entry_named(&d, name)->folder_id);
        store_directory_done(&d);
    }
}

/* A folder with more files than the state database gives at once. */
static void test_many_stamps(void **state)
{
    enum { N = 2500 };
    Fixture *f = *state;
    StoreOp *ops = calloc(N, sizeof(*ops));
    StoreDirectory d;

    fixture_exec(f, "BEGIN");
    for (int i = 0; i < N; i++) {
        char id[UUID_TEXT_SIZE];

        assert_int_equal(uuid_generate(id), 0);
        fixture_execf(f, "INSERT INTO images (id, path, folder_id) VALUES (%Q, '/r/%04d.jpg', %Q)",
                      id, i, f->root_id);
        ops[i] = fixture_op(STORE_OP_STAMP, NULL, NULL);
        ops[i].id = strdup(id);
        ops[i].folder_id = strdup(f->root_id);
        ops[i].stamp = (FileStamp){.dev = 1, .ino = (uint64_t)i + 1, .size = 2, .mtime_ns = 3};
    }
    fixture_exec(f, "COMMIT");
    fixture_write(f, ops, N);
    for (int i = 0; i < N; i++)
        store_op_done(&ops[i]);
    free(ops);
    assert_int_equal(store_read_directory(f->store, "/r", &d), 0);
    assert_int_equal(d.n_entries, N);
    for (size_t i = 0; i < N; i++)
        assert_true(d.entries[i].has_stamp && d.entries[i].stamp.ino == i + 1);
    store_directory_done(&d);
}

/* ---- thumbnails ---- */

static void expect_thumbnails(Fixture *f, size_t n)
{
    StoreDirectory d;
    size_t found = 0;

    assert_int_equal(store_read_directory(f->store, "/r", &d), 0);
    for (size_t i = 0; i < d.n_entries; i++)
        found += d.entries[i].has_thumbnail;
    assert_int_equal(found, n);
    store_directory_done(&d);
}

/* Also when the names of all are known, one that goes is missed by the next transaction. */
static void test_thumbnails(void **state)
{
    Fixture *f = *state;
    struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, {.tv_sec = time(NULL) - 60}};
    bool changed;

    for (int i = 0; i < 5; i++) {
        char path[16];

        (void)snprintf(path, sizeof(path), "/r/%d.jpg", i);
        free(fixture_add_row(f, path));
    }
    assert_int_equal(utimensat(AT_FDCWD, f->thumbnails, times, 0), 0);
    f->store->thumbnails.threshold = 3;
    expect_thumbnails(f, 5);
    expect_thumbnails(f, 5);
    assert_true(f->store->thumbnails.complete);
    assert_int_equal(
        unlink(fixture_text(f, "SELECT thumbnailPath FROM images WHERE path = '/r/3.jpg'")), 0);
    expect_thumbnails(f, 4);
    f->store->thumbnails.used = false;
    assert_int_equal(store_poll(f->store, &changed), 0);
    assert_false(f->store->thumbnails.complete);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_any_order, setup, teardown),
        cmocka_unit_test_setup_teardown(test_pauses, setup, teardown),
        cmocka_unit_test_setup_teardown(test_busy, setup, teardown),
        cmocka_unit_test_setup_teardown(test_stamps, setup, teardown),
        cmocka_unit_test_setup_teardown(test_many_stamps, setup, teardown),
        cmocka_unit_test_setup_teardown(test_thumbnails, setup, teardown),
    };

    return cmocka_run_group_tests_name("store directory", tests, NULL, NULL);
}
