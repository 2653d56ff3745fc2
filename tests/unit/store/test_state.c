/* The state database: problems, excluded folders; deleted, damaged, not to be had at all. */

#include "fixture.h"

#include "util/log.h"

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

    fixture_assert_thumbnails(f);
    fixture_done(f);
    free(f);
    return 0;
}

static StoreOp stamp_op(Fixture *f, const char *id, uint64_t size, const uint64_t *fingerprint)
{
    StoreOp op = fixture_op(STORE_OP_STAMP, NULL, NULL);

    op.id = strdup(id);
    op.folder_id = strdup(f->root_id);
    op.stamp = (FileStamp){.dev = 1, .ino = 2, .size = size, .mtime_ns = 3};
    op.has_fingerprint = fingerprint != NULL;
    op.fingerprint = fingerprint ? *fingerprint : 0;
    return op;
}

static StoreRow read_row(Fixture *f, const char *path)
{
    bool is_directory;
    StoreRow row;

    assert_int_equal(store_read_row(f->store, path, &row, &is_directory), 0);
    assert_non_null(row.id);
    return row;
}

/* Without a new fingerprint the old one holds as long as size and mtime do. */
static void test_fingerprint(void **state)
{
    Fixture *f = *state;
    char *id = fixture_add_row(f, "/r/1.jpg");
    uint64_t fingerprint = 0;
    StoreRow row;

    fixture_write_one(f, stamp_op(f, id, 9, &fingerprint), STORE_OP_RESULT_DONE);
    fixture_write_one(f, stamp_op(f, id, 9, NULL), STORE_OP_RESULT_DONE);
    row = read_row(f, "/r/1.jpg");
    assert_true(row.has_stamp && row.has_fingerprint && row.fingerprint == 0);
    store_row_done(&row);
    fixture_write_one(f, stamp_op(f, id, 10, NULL), STORE_OP_RESULT_DONE);
    row = read_row(f, "/r/1.jpg");
    assert_true(row.has_stamp && !row.has_fingerprint && row.stamp.size == 10);
    store_row_done(&row);
    free(id);
}

static StoreOp problem_op(const char *path, const char *reason)
{
    StoreOp op = fixture_op(STORE_OP_PROBLEM, path, NULL);

    op.metadata = strdup(reason);
    op.stamp = (FileStamp){.dev = 1, .ino = 2, .size = 3, .mtime_ns = 4};
    return op;
}

static void test_problems(void **state)
{
    Fixture *f = *state;
    StoreDirectory directory;
    uint64_t count;
    char *json;

    fixture_write_one(f, problem_op("/r/b/1.jpg", "no \"photo\""), STORE_OP_RESULT_DONE);
    fixture_write_one(f, problem_op("/r/b/\xff.jpg", "not UTF-8"), STORE_OP_RESULT_DONE);
    fixture_write_one(f, problem_op("/r/b/c/2.jpg", "deeper"), STORE_OP_RESULT_DONE);
    fixture_write_one(f, problem_op("/r/b2.jpg", "beside"), STORE_OP_RESULT_DONE);
    fixture_write_one(f, problem_op("/r/b/1.jpg", "still no \"photo\""), STORE_OP_RESULT_DONE);
    assert_int_equal(store_problem_count(f->store, &count), 0);
    assert_int_equal(count, 4);
    assert_int_equal(store_problems_json(f->store, 3, &json), 0);
    assert_ptr_equal(strstr(json, "{\"total\": 4, \"problems\": [{\"path\": \"/r/b/1.jpg\", "
                                  "\"reason\": \"still no \\\"photo\\\"\", \"since\": "),
                     json);
    assert_non_null(strstr(json, "{\"path\": \"/r/b/\\\\xff.jpg\""));
    assert_null(strstr(json, "b2"));
    free(json);
    assert_int_equal(store_read_directory(f->store, "/r/b", &directory), 0);
    assert_int_equal(directory.n_problems, 2);
    assert_int_equal(directory.problems[0].stamp.mtime_ns, 4);
    store_directory_done(&directory);
    fixture_write_one(f, fixture_op(STORE_OP_PROBLEM_CLEAR, "/r/b", NULL), STORE_OP_RESULT_DONE);
    assert_int_equal(store_problem_count(f->store, &count), 0);
    assert_int_equal(count, 1);
}

static void expect_excluded(Fixture *f, const char *expected)
{
    CLEANUP(text_done) Text all = {0};
    char **paths;
    size_t n;

    assert_int_equal(store_read_excluded(f->store, &paths, &n), 0);
    for (size_t i = 0; i < n; i++) {
        text_printf(&all, "%s%s", i ? " " : "", paths[i]);
        free(paths[i]);
    }
    free(paths);
    assert_string_equal(all.data ? all.data : "", expected);
}

static void test_excluded(void **state)
{
    Fixture *f = *state;
    char *id = NULL, b[] = "/r/b", c[] = "/r/c";

    expect_excluded(f, "");
    assert_int_equal(store_exclude(f->store, "/r/b"), 0);
    assert_int_equal(store_exclude(f->store, "/r/a/x"), 0);
    assert_int_equal(store_exclude(f->store, "/r/a"), 0);
    assert_int_equal(store_exclude(f->store, "/r/a2"), 0);
    assert_int_equal(store_exclude(f->store, "/r/a"), 0);
    expect_excluded(f, "/r/a /r/a/x /r/a2 /r/b");
    assert_int_equal(store_open(f->store), 0);
    assert_int_equal(store_include(f->store, "/r/a"), 0);
    expect_excluded(f, "/r/a2 /r/b");
    assert_int_equal(store_register_folder(f->store, "/r/b", 1, &id), 0);
    expect_excluded(f, "/r/a2");
    assert_int_equal(store_set_excluded(f->store, (char *[]){c, b}, 2), 0);
    expect_excluded(f, "/r/b /r/c");
    assert_int_equal(store_set_excluded(f->store, NULL, 0), 0);
    expect_excluded(f, "");
    free(id);
}

static void expect_works(Fixture *f, const char *path)
{
    StoreOp op = fixture_add(path);
    StoreRow row;

    op.stamp = (FileStamp){.dev = 1, .ino = 2, .size = 3, .mtime_ns = 4};
    fixture_write_one(f, op, STORE_OP_RESULT_DONE);
    row = read_row(f, path);
    assert_true(row.has_stamp && row.stamp.ino == 2);
    store_row_done(&row);
}

static void test_deleted(void **state)
{
    Fixture *f = *state;
    StoreRow row;

    expect_works(f, "/r/1.jpg");
    assert_int_equal(unlink(f->state_database), 0); /* while it is open */
    expect_works(f, "/r/2.jpg");
    assert_int_equal(access(f->state_database, F_OK), 0);
    row = read_row(f, "/r/1.jpg");
    assert_false(row.has_stamp);
    store_row_done(&row);
    (void)nftw(f->state, fixture_remove_one, 16, FTW_DEPTH | FTW_PHYS);
    expect_works(f, "/r/3.jpg");
}

static int warnings;

static void count_warnings(const LogRecord *record)
{
    warnings += record->level <= LOG_LEVEL_WARNING;
}

static void damage(const char *path, off_t from)
{
    char junk[4096];
    struct stat st;
    int fd = open(path, O_RDWR | O_CLOEXEC);

    (void)memset(junk, 0x5a, sizeof(junk));
    assert_int_equal(fstat(fd, &st), 0);
    for (off_t at = from; at < st.st_size; at += 4096)
        assert_int_equal(pwrite(fd, junk, sizeof(junk), at), (ssize_t)sizeof(junk));
    (void)close(fd);
}

static void test_corrupt(void **state)
{
    Fixture *f = *state;
    char aside[200];

    (void)snprintf(aside, sizeof(aside), "%s.corrupt", f->state_database);
    expect_works(f, "/r/1.jpg");
    for (off_t from = 0; from <= 4096; from += 4096) {
        char path[32];

        f->store = store_free(f->store); /* writes the log back */
        damage(f->state_database, from);
        assert_int_equal(store_create(&f->options, &f->store), 0);
        warnings = 0;
        log_set_sink(count_warnings);
        (void)snprintf(path, sizeof(path), "/r/x%d.jpg", (int)from);
        expect_works(f, path);
        expect_works(f, from ? "/r/3.jpg" : "/r/4.jpg");
        log_set_sink(NULL);
        assert_int_equal(warnings, 1);
        assert_int_equal(unlink(aside), 0);
    }
}

/* A file stands where the directory should be: kept in memory, said once. */
static void test_memory(void **state)
{
    Fixture *f = *state;

    f->store = store_free(f->store);
    (void)nftw(f->state, fixture_remove_one, 16, FTW_DEPTH | FTW_PHYS);
    (void)close(open(f->state, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
    assert_int_equal(store_create(&f->options, &f->store), 0);
    warnings = 0;
    log_set_sink(count_warnings);
    expect_works(f, "/r/1.jpg");
    expect_works(f, "/r/2.jpg");
    log_set_sink(NULL);
    assert_int_equal(warnings, 1);
}

static void test_no_directory(void **state)
{
    Fixture *f = *state;

    f->store = store_free(f->store);
    f->options.state_directory = NULL;
    assert_int_equal(store_create(&f->options, &f->store), 0);
    expect_works(f, "/r/1.jpg");
}

/* ---- what is kept of files ---- */

/* A number from the state database itself. */
static long state_count(Fixture *f, const char *sql)
{
    sqlite3 *db;
    long n;

    assert_int_equal(sqlite3_open_v2(f->state_database, &db, SQLITE_OPEN_READWRITE, NULL),
                     SQLITE_OK);
    n = atol(fixture_text_of(db, sql));
    (void)sqlite3_close(db);
    return n;
}

static char *add_stamped(Fixture *f, const char *path)
{
    StoreOp op = fixture_add(path);
    char *id;

    op.stamp = (FileStamp){.dev = 1, .ino = 2, .size = 3, .mtime_ns = 4};
    op.has_fingerprint = true;
    op.fingerprint = 99;
    fixture_write(f, &op, 1);
    id = strdup(op.id);
    store_op_done(&op);
    return id;
}

/* Into another folder, and by an exchange in which the row waits elsewhere: nothing is lost, and
 * nothing left behind. */
static void test_moved(void **state)
{
    Fixture *f = *state;
    char *id = add_stamped(f, "/r/a/1.jpg"), *id2 = add_stamped(f, "/r/b/2.jpg");
    StoreOp ops[2];
    StoreRow row;

    fixture_write_one(f, fixture_move(id, "/r/c/1.jpg"), STORE_OP_RESULT_DONE);
    row = read_row(f, "/r/c/1.jpg");
    assert_true(row.has_fingerprint && row.fingerprint == 99 && row.stamp.ino == 2);
    store_row_done(&row);
    assert_int_equal(state_count(f, "SELECT count(*) FROM files"), 2);
    ops[0] = fixture_move(id, "/r/b/2.jpg");
    ops[1] = fixture_move(id2, "/r/c/1.jpg");
    fixture_write(f, ops, 2);
    for (size_t i = 0; i < 2; i++) {
        row = read_row(f, i ? "/r/b/2.jpg" : "/r/c/1.jpg");
        assert_string_equal(row.id, i ? id : id2);
        assert_true(row.has_fingerprint && row.fingerprint == 99);
        store_row_done(&row);
        store_op_done(&ops[i]);
    }
    assert_int_equal(state_count(f, "SELECT count(*) FROM files"), 2);
    free(id);
    free(id2);
}

/* A renamed directory costs nothing here; one that goes takes all along. */
static void test_folder(void **state)
{
    Fixture *f = *state;
    StoreRow row;

    free(add_stamped(f, "/r/a/1.jpg"));
    free(add_stamped(f, "/r/a/x/2.jpg"));
    free(add_stamped(f, "/r/b/3.jpg"));
    fixture_write_one(f, fixture_op(STORE_OP_FOLDER_MOVE, "/r/a", "/r/d"), STORE_OP_RESULT_DONE);
    row = read_row(f, "/r/d/x/2.jpg");
    assert_true(row.has_stamp && row.has_fingerprint);
    store_row_done(&row);
    fixture_write_one(f, fixture_op(STORE_OP_FOLDER_REMOVE, "/r/d", NULL), STORE_OP_RESULT_DONE);
    assert_int_equal(state_count(f, "SELECT count(*) FROM files"), 1);
    assert_int_equal(state_count(f, "SELECT count(*) FROM folders"), 1);
}

static void test_removed(void **state)
{
    Fixture *f = *state;
    char *id = add_stamped(f, "/r/a/1.jpg");

    fixture_write_one(f, fixture_remove(id, MEDIA_KIND_PHOTO), STORE_OP_RESULT_DONE);
    assert_int_equal(state_count(f, "SELECT count(*) FROM files"), 0);
    free(id);
}

/* Another process gave the number that was used last to another folder meanwhile. */
static void test_numbers(void **state)
{
    Fixture *f = *state;
    StoreRow row;

    free(add_stamped(f, "/r/a/1.jpg"));
    (void)state_count(f, "DELETE FROM files");
    (void)state_count(f, "DELETE FROM folders");
    (void)state_count(f, "INSERT INTO folders (id) VALUES ('other')");
    free(add_stamped(f, "/r/a/2.jpg"));
    row = read_row(f, "/r/a/2.jpg");
    assert_true(row.has_stamp);
    store_row_done(&row);
    assert_int_equal(state_count(f, "SELECT count(*) FROM folders"), 2);
}

/* ---- locks and the disk ---- */

/* Another process writes to the state database: PictoPy's lock is not held for its sake. What is to
 * be removed cannot be kept meanwhile, so it stays until it can. */
static void test_locked(void **state)
{
    Fixture *f = *state;
    char *id = fixture_add_row(f, "/r/1.jpg");
    StoreOp op = fixture_remove(id, MEDIA_KIND_PHOTO);
    sqlite3 *db;

    assert_int_equal(sqlite3_open_v2(f->state_database, &db, SQLITE_OPEN_READWRITE, NULL),
                     SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(store_write(f->store, &op, 1), STORE_E_BUSY);
    (void)sqlite3_close(db);
    assert_int_equal(store_write(f->store, &op, 1), 0);
    assert_int_equal(op.result, STORE_OP_RESULT_DONE);
    store_op_done(&op);
    assert_in_range(store_counters(f->store)->lock_us.max, 1, 500000);
    free(id);
}

/* The log is written back behind the writes, not within them. */
static void test_log(void **state)
{
    enum { N = 3000 };
    Fixture *f = *state;
    StoreOp *ops = calloc(N, sizeof(*ops));
    struct stat st;

    for (int round = 0; round < 20; round++) {
        for (uint64_t i = 0; i < N; i++) {
            char id[32];

            (void)snprintf(id, sizeof(id), "%d-%llu", round, (unsigned long long)(i * 7919 % N));
            ops[i] = stamp_op(f, id, i, NULL);
            ops[i].stamp.ino = i * 104729 % 1000003;
        }
        fixture_write(f, ops, N);
        for (size_t i = 0; i < N; i++)
            store_op_done(&ops[i]);
    }
    free(ops);
    assert_int_equal(stat(f->state_database, &st), 0);
    assert_true(st.st_size > 1000000);
    assert_in_range(f->store->state.log_pages, 0, 2000);
}

/* ---- other versions ---- */

static void set_version(Fixture *f, const char *sql)
{
    sqlite3 *db;

    f->store = store_free(f->store);
    assert_int_equal(sqlite3_open_v2(f->state_database, &db, SQLITE_OPEN_READWRITE, NULL),
                     SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    (void)sqlite3_close(db);
    assert_int_equal(store_create(&f->options, &f->store), 0);
}

/* Of an older one stays what no scan finds again. */
static void test_older_version(void **state)
{
    Fixture *f = *state;
    uint64_t count;

    fixture_write_one(f, problem_op("/r/b/1.jpg", "bad"), STORE_OP_RESULT_DONE);
    assert_int_equal(store_exclude(f->store, "/r/b"), 0);
    set_version(f, "DROP TABLE files; DROP TABLE folders; CREATE TABLE files (id TEXT PRIMARY KEY);"
                   "CREATE TABLE folders (id TEXT PRIMARY KEY); PRAGMA user_version = 1");
    warnings = 0;
    log_set_sink(count_warnings);
    expect_works(f, "/r/1.jpg");
    log_set_sink(NULL);
    assert_int_equal(warnings, 0);
    expect_excluded(f, "/r/b");
    assert_int_equal(store_problem_count(f->store, &count), 0);
    assert_int_equal(count, 1);
}

static void test_later_version(void **state)
{
    Fixture *f = *state;
    char aside[200];

    expect_works(f, "/r/1.jpg");
    set_version(f, "PRAGMA user_version = 99");
    warnings = 0;
    log_set_sink(count_warnings);
    expect_works(f, "/r/2.jpg");
    log_set_sink(NULL);
    assert_int_equal(warnings, 1);
    (void)snprintf(aside, sizeof(aside), "%s.corrupt", f->state_database);
    assert_int_equal(unlink(aside), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_fingerprint, setup, teardown),
        cmocka_unit_test_setup_teardown(test_problems, setup, teardown),
        cmocka_unit_test_setup_teardown(test_excluded, setup, teardown),
        cmocka_unit_test_setup_teardown(test_deleted, setup, teardown),
        cmocka_unit_test_setup_teardown(test_corrupt, setup, teardown),
        cmocka_unit_test_setup_teardown(test_memory, setup, teardown),
        cmocka_unit_test_setup_teardown(test_no_directory, setup, teardown),
        cmocka_unit_test_setup_teardown(test_moved, setup, teardown),
        cmocka_unit_test_setup_teardown(test_folder, setup, teardown),
        cmocka_unit_test_setup_teardown(test_removed, setup, teardown),
        cmocka_unit_test_setup_teardown(test_numbers, setup, teardown),
        cmocka_unit_test_setup_teardown(test_locked, setup, teardown),
        cmocka_unit_test_setup_teardown(test_log, setup, teardown),
        cmocka_unit_test_setup_teardown(test_older_version, setup, teardown),
        cmocka_unit_test_setup_teardown(test_later_version, setup, teardown),
    };

    return cmocka_run_group_tests_name("store state", tests, NULL, NULL);
}
