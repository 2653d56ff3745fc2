/* The database missing, locked, replaced, damaged or something else: said in words, and survived.
 */

#include "fixture.h"

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

/* A writer that holds its lock: nothing is lost, nothing of the photo is left behind meanwhile. */
static void test_busy_writer(void **state)
{
    Fixture *f = *state;
    StoreOp op = fixture_add("/r/1.jpg");

    fixture_exec(f, "BEGIN IMMEDIATE");
    for (int i = 0; i < 2; i++) {
        assert_int_equal(store_write(f->store, &op, 1), STORE_E_BUSY);
        assert_int_equal(op.result, STORE_OP_RESULT_PENDING);
        fixture_assert_thumbnails(f);
    }
    assert_non_null(strstr(store_error(f->store), "in use by another program"));
    assert_int_equal(store_counters(f->store)->busy, 2);
    fixture_exec(f, "ROLLBACK");
    fixture_write(f, &op, 1);
    assert_int_equal(op.result, STORE_OP_RESULT_DONE);
    assert_string_equal(store_error(f->store), "");
    fixture_assert_thumbnails(f);
    store_op_done(&op);
}

/* A reader keeps the commit waiting; the write lock is given back soon. */
static void test_busy_reader(void **state)
{
    Fixture *f = *state;
    StoreOp op = fixture_add("/r/1.jpg");

    fixture_exec(f, "BEGIN; SELECT count(*) FROM images;");
    assert_int_equal(store_write(f->store, &op, 1), STORE_E_BUSY);
    assert_int_equal(op.result, STORE_OP_RESULT_PENDING);
    assert_true(store_counters(f->store)->lock_us.max < 250000);
    fixture_assert_thumbnails(f);
    fixture_exec(f, "COMMIT");
    fixture_write(f, &op, 1);
    assert_int_equal(op.result, STORE_OP_RESULT_DONE);
    fixture_assert_thumbnails(f);
    store_op_done(&op);
}

static void test_busy_exclusive(void **state)
{
    Fixture *f = *state;
    StoreFolders folders;
    bool changed;
    char *json;

    fixture_exec(f, "BEGIN EXCLUSIVE");
    assert_int_equal(store_read_folders(f->store, &folders), STORE_E_BUSY);
    assert_int_equal(store_poll(f->store, &changed), STORE_E_BUSY);
    assert_int_equal(store_folder_status_json(f->store, &json), 0);
    assert_non_null(strstr(json, "\"status\": \"error\""));
    free(json);
    fixture_exec(f, "COMMIT");
    assert_int_equal(store_read_folders(f->store, &folders), 0);
    store_folders_done(&folders);
}

static void expect_unavailable(Fixture *f, const char *words)
{
    StoreOp op = fixture_add("/r/1.jpg");
    StoreFolders folders;

    assert_int_equal(store_read_folders(f->store, &folders), STORE_E_UNAVAILABLE);
    assert_int_equal(store_write(f->store, &op, 1), STORE_E_UNAVAILABLE);
    assert_int_equal(op.result, STORE_OP_RESULT_PENDING);
    if (!strstr(store_error(f->store), words))
        fail_msg("\"%s\" does not say \"%s\"", store_error(f->store), words);
    store_op_done(&op);
}

static void move_away(Fixture *f, char away[160])
{
    (void)snprintf(away, 160, "%s/away.db", f->directory);
    assert_int_equal(rename(f->database, away), 0);
}

static void test_missing(void **state)
{
    Fixture *f = *state;
    char away[160];

    move_away(f, away);
    expect_unavailable(f, "No such file");
    assert_int_equal(access(f->database, F_OK), -1);
    assert_int_equal(rename(away, f->database), 0);
    free(fixture_add_row(f, "/r/1.jpg"));
    fixture_assert_thumbnails(f);
}

static void test_replaced(void **state)
{
    Fixture *f = *state;
    char *id = fixture_add_row(f, "/r/1.jpg");
    char away[160];
    bool changed;
    StoreFolders folders;

    assert_int_equal(store_poll(f->store, &changed), 0);
    move_away(f, away);
    assert_int_equal(store_database_create(f->database), 0);
    assert_int_equal(store_poll(f->store, &changed), 0);
    assert_true(changed);
    assert_int_equal(store_read_folders(f->store, &folders), 0);
    assert_int_equal(folders.count, 0);
    store_folders_done(&folders);
    fixture_write_one(f, fixture_remove(id, MEDIA_KIND_PHOTO), STORE_OP_RESULT_NOTHING);
    assert_int_equal(fixture_count(f, "SELECT count(*) FROM images"), 1); /* in the old file */
    free(id);
}

static void overwrite(const char *path, const char *content)
{
    FILE *file = fopen(path, "we");

    assert_non_null(file);
    assert_int_equal(fwrite(content, 1, strlen(content), file), strlen(content));
    assert_int_equal(fclose(file), 0);
}

static void test_not_a_database(void **state)
{
    Fixture *f = *state;
    char away[160];

    move_away(f, away);
    overwrite(f->database, "this is a text file, and quite long enough to have a header, "
                           "of which nothing is as SQLite wants it to be in its files....");
    expect_unavailable(f, "not a database");
    overwrite(f->database, "");
    expect_unavailable(f, "no table \"folders\"");
    assert_int_equal(unlink(f->database), 0);
    assert_int_equal(mkdir(f->database, 0700), 0);
    expect_unavailable(f, "not a file");
    assert_int_equal(rmdir(f->database), 0);
    assert_int_equal(rename(away, f->database), 0);
    free(fixture_add_row(f, "/r/1.jpg"));
}

/* Damaged pages behind a sound header. */
static void test_corrupt(void **state)
{
    Fixture *f = *state;
    char zeros[4096] = {0};
    struct stat st;
    int fd;

    for (int i = 0; i < 200; i++) {
        char path[32];

        (void)snprintf(path, sizeof(path), "/r/%d.mp4", i);
        free(fixture_add_row(f, path));
    }
    f->store = store_free(f->store);
    (void)sqlite3_close(f->db);
    f->db = NULL;
    (void)memset(zeros, 0x5a, sizeof(zeros));
    fd = open(f->database, O_RDWR | O_CLOEXEC);
    assert_int_equal(fstat(fd, &st), 0);
    for (off_t at = 4096; at < st.st_size; at += 4096)
        assert_int_equal(pwrite(fd, zeros, sizeof(zeros), at), (ssize_t)sizeof(zeros));
    (void)close(fd);
    assert_int_equal(store_create(&f->options, &f->store), 0);
    expect_unavailable(f, "malformed");
}

static void test_read_only(void **state)
{
    Fixture *f = *state;
    StoreOptions options = f->options;
    StoreOp op = fixture_add("/r/2.jpg");
    StoreDirectory directory;
    Store *store;
    char *id = NULL;

    free(fixture_add_row(f, "/r/1.jpg"));
    options.read_only = true;
    assert_int_equal(store_create(&options, &store), 0);
    assert_int_equal(store_read_directory(store, "/r", &directory), 0);
    assert_int_equal(directory.n_entries, 1);
    store_directory_done(&directory);
    assert_int_equal(store_write(store, &op, 1), STORE_E_UNAVAILABLE);
    assert_int_equal(store_register_folder(store, "/s", 1, &id), STORE_E_UNAVAILABLE);
    assert_int_equal(store_exclude(store, "/r/x"), 0);
    store_op_done(&op);
    store_free(store);
    assert_int_equal(fixture_count(f, "SELECT count(*) FROM images"), 1);
}

/* check on a machine where the daemon never ran */
static void test_read_only_without_state(void **state)
{
    Fixture *f = *state;
    StoreOptions options = f->options;
    StoreFolders folders;
    char nowhere[160];
    Store *store;

    (void)snprintf(nowhere, sizeof(nowhere), "%s/nowhere", f->directory);
    options.read_only = true;
    options.state_directory = nowhere;
    assert_int_equal(store_create(&options, &store), 0);
    assert_int_equal(store_read_folders(store, &folders), 0);
    assert_int_equal(folders.count, 1);
    store_folders_done(&folders);
    store_free(store);
    assert_int_equal(access(nowhere, F_OK), -1);
}

/* Nothing that persists in the file was changed. */
static void test_nothing_persists(void **state)
{
    Fixture *f = *state;
    char *schema = strdup(fixture_text(f, "SELECT group_concat(sql) FROM sqlite_master"));

    free(fixture_add_row(f, "/r/a/1.jpg"));
    assert_string_equal(fixture_text(f, "SELECT group_concat(sql) FROM sqlite_master"), schema);
    assert_string_equal(fixture_text(f, "PRAGMA journal_mode"), "delete");
    assert_string_equal(fixture_text(f, "PRAGMA user_version"), "0");
    assert_string_equal(fixture_text(f, "PRAGMA application_id"), "0");
    assert_string_equal(fixture_text(f, "PRAGMA integrity_check"), "ok");
    free(schema);
}

static void test_create(void **state)
{
    Fixture *f = *state;

    assert_int_equal(store_database_create(f->database), 0); /* left alone */
    assert_int_equal(fixture_count(f, "SELECT count(*) FROM folders"), 1);
    assert_int_equal(store_database_create("/dev/null/x/PictoPy.db"), -ENOTDIR);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_busy_writer, setup, teardown),
        cmocka_unit_test_setup_teardown(test_busy_reader, setup, teardown),
        cmocka_unit_test_setup_teardown(test_busy_exclusive, setup, teardown),
        cmocka_unit_test_setup_teardown(test_missing, setup, teardown),
        cmocka_unit_test_setup_teardown(test_replaced, setup, teardown),
        cmocka_unit_test_setup_teardown(test_not_a_database, setup, teardown),
        cmocka_unit_test_setup_teardown(test_corrupt, setup, teardown),
        cmocka_unit_test_setup_teardown(test_read_only, setup, teardown),
        cmocka_unit_test_setup_teardown(test_read_only_without_state, setup, teardown),
        cmocka_unit_test_setup_teardown(test_nothing_persists, setup, teardown),
        cmocka_unit_test_setup_teardown(test_create, setup, teardown),
    };

    return cmocka_run_group_tests_name("store unavailable", tests, NULL, NULL);
}
