/* Adding, updating, moving and removing media rows and folders, on a real database. */

#include "fixture.h"

#include "util/clock.h"

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

static void test_add(void **state)
{
    Fixture *f = *state;
    StoreOp op = fixture_add("/r/a/b/1.jpg");

    (void)snprintf(op.captured_at, sizeof(op.captured_at), "2020-01-02T03:04:05");
    op.has_location = true;
    op.latitude = 1.5;
    op.longitude = -2.5;
    fixture_exec(f, "UPDATE folders SET AI_Tagging = 1");
    fixture_write(f, &op, 1);
    assert_int_equal(op.result, STORE_OP_RESULT_DONE);
    assert_true(op.inserted);
    assert_int_equal(strlen(op.id), 36);
    assert_string_equal(fixture_text(f, "SELECT path || isTagged || isFavourite || isEmbedded ||"
                                        " latitude || longitude || captured_at FROM images"),
                        "/r/a/b/1.jpg0001.5-2.52020-01-02T03:04:05");
    assert_string_equal(fixture_text(f, "SELECT group_concat(folder_path || AI_Tagging ||"
                                        " taggingCompleted || indexing_status) FROM (SELECT * FROM"
                                        " folders ORDER BY folder_path)"),
                        "/r10completed,/r/a10completed,/r/a/b10completed");
    assert_string_equal(fixture_text(f, "SELECT c.folder_path || p.folder_path FROM images i"
                                        " JOIN folders c USING (folder_id)"
                                        " JOIN folders p ON c.parent_folder_id = p.folder_id"),
                        "/r/a/b/r/a");
    assert_string_equal(op.folder_id,
                        fixture_text(f, "SELECT folder_id FROM folders WHERE folder_path ="
                                        " '/r/a/b'"));
    store_op_done(&op);
}

static void test_add_video(void **state)
{
    Fixture *f = *state;

    free(fixture_add_row(f, "/r/1.MP4"));
    assert_string_equal(fixture_text(f, "SELECT path || (thumbnailPath IS NULL) ||"
                                        " (captured_at IS NULL) FROM videos"),
                        "/r/1.MP411");
}

static void test_add_refused(void **state)
{
    Fixture *f = *state;

    fixture_write_one(f, fixture_add("/elsewhere/1.jpg"), STORE_OP_RESULT_UNREGISTERED);
    fixture_write_one(f, fixture_add("/r2/1.jpg"), STORE_OP_RESULT_UNREGISTERED);
    fixture_write_one(f, fixture_add("/r/\xff.jpg"), STORE_OP_RESULT_FAILED);
    assert_int_equal(fixture_count(f, "SELECT count(*) FROM images"), 0);
    assert_int_equal(fixture_count(f, "SELECT count(*) FROM folders"), 1);
}

/* The backend inserted the row meanwhile, with a thumbnail of its own. */
static void test_add_meets_row(void **state)
{
    Fixture *f = *state;
    char other[256];
    StoreOp op = fixture_add("/r/1.jpg");
    int fd;

    (void)mkdir(f->thumbnails, 0700);
    (void)snprintf(other, sizeof(other), "%s/thumbnail_12345678-1234-4123-8123-123456789abc.jpg",
                   f->thumbnails);
    fd = open(other, O_CREAT | O_WRONLY, 0600);
    (void)close(fd);
    fixture_execf(f,
                  "INSERT INTO images (id, path, folder_id, thumbnailPath, isTagged)"
                  " VALUES ('theirs', '/r/1.jpg', %Q, %Q, 1)",
                  f->root_id, other);
    fixture_write(f, &op, 1);
    assert_int_equal(op.result, STORE_OP_RESULT_DONE);
    assert_false(op.inserted);
    assert_string_equal(op.id, "theirs");
    assert_int_equal(access(other, F_OK), -1);
    assert_int_equal(fixture_count(f, "SELECT isTagged FROM images"), 1);
    store_op_done(&op);
}

static StoreOp update_op(const char *id, const char *metadata, int fd)
{
    StoreOp op = fixture_op(STORE_OP_MEDIA_UPDATE, NULL, NULL);

    op.id = strdup(id);
    op.media = MEDIA_KIND_PHOTO;
    op.metadata = strdup(metadata);
    op.thumbnail_fd = fd;
    return op;
}

static void test_update(void **state)
{
    Fixture *f = *state;
    char *id = fixture_add_row(f, "/r/1.jpg");
    char *before = strdup(fixture_text(f, "SELECT thumbnailPath FROM images"));

    fixture_exec(f, "UPDATE images SET isTagged = 1, isFavourite = 1, isEmbedded = 1");
    fixture_write_one(f, update_op(id, "{\"a\":1}", -1), STORE_OP_RESULT_DONE);
    assert_string_equal(fixture_text(f, "SELECT thumbnailPath FROM images"), before);
    fixture_write_one(f, update_op(id, "{\"a\":1}", -1), STORE_OP_RESULT_NOTHING);
    fixture_write_one(f, update_op(id, "{\"a\":1}", fixture_jpeg("new")), STORE_OP_RESULT_DONE);
    assert_string_not_equal(fixture_text(f, "SELECT thumbnailPath FROM images"), before);
    assert_int_equal(access(before, F_OK), -1);
    assert_string_equal(fixture_text(f, "SELECT metadata || isTagged || isFavourite || isEmbedded"
                                        " FROM images"),
                        "{\"a\":1}111");
    fixture_write_one(f, update_op("gone", "{}", fixture_jpeg("new")), STORE_OP_RESULT_ELSEWHERE);
    free(before);
    free(id);
}

/* What was read at a path is not written into a row that stands elsewhere by now. */
static void test_update_of_a_row_that_moved(void **state)
{
    Fixture *f = *state;
    char *id = fixture_add_row(f, "/r/1.jpg");
    StoreOp op = update_op(id, "{\"a\":1}", fixture_jpeg("new"));
    char *before = strdup(fixture_text(f, "SELECT path || metadata || thumbnailPath FROM images"));

    op.path = strdup("/r/2.jpg");
    fixture_write_one(f, op, STORE_OP_RESULT_ELSEWHERE);
    assert_string_equal(fixture_text(f, "SELECT path || metadata || thumbnailPath FROM images"),
                        before);
    op = update_op(id, "{\"a\":1}", -1);
    op.path = strdup("/r/1.jpg");
    fixture_write_one(f, op, STORE_OP_RESULT_DONE);
    free(before);
    free(id);
}

/* Only files named like thumbnails, and in our directory, are ever removed. */
static void test_foreign_thumbnail(void **state)
{
    Fixture *f = *state;
    char *id = fixture_add_row(f, "/r/1.jpg");
    char *ours = strdup(fixture_text(f, "SELECT thumbnailPath FROM images"));
    char precious[256];

    (void)snprintf(precious, sizeof(precious), "%s/precious.jpg", f->directory);
    (void)close(open(precious, O_CREAT | O_WRONLY, 0600));
    fixture_execf(f, "UPDATE images SET thumbnailPath = %Q", precious);
    fixture_write_one(f, fixture_remove(id, MEDIA_KIND_PHOTO), STORE_OP_RESULT_DONE);
    assert_int_equal(access(precious, F_OK), 0);
    (void)unlink(ours);
    free(ours);
    free(id);
}

static void test_remove(void **state)
{
    Fixture *f = *state;
    char *id = fixture_add_row(f, "/r/1.jpg");
    char *video = fixture_add_row(f, "/r/1.mp4");

    fixture_execf(f, "INSERT INTO faces (image_id) VALUES (%Q)", id);
    fixture_write_one(f, fixture_remove(id, MEDIA_KIND_PHOTO), STORE_OP_RESULT_DONE);
    fixture_write_one(f, fixture_remove(id, MEDIA_KIND_PHOTO), STORE_OP_RESULT_NOTHING);
    fixture_write_one(f, fixture_remove(video, MEDIA_KIND_VIDEO), STORE_OP_RESULT_DONE);
    assert_int_equal(fixture_count(f, "SELECT (SELECT count(*) FROM images) + (SELECT count(*)"
                                      " FROM faces) + (SELECT count(*) FROM videos)"),
                     0);
    free(video);
    free(id);
}

static void test_names(void **state)
{
    static const char *const names[] = {
        "/r/a b.jpg", "/r/it's.jpg", "/r/\"q\".jpg", "/r/new\nline.jpg", "/r/100%.jpg",
        "/r/_.jpg",   "/r/[x].jpg",  "/r/é€😀.jpg",   "/r/d%/_/[.jpg",    "/r/d'/\\.jpg",
    };
    Fixture *f = *state;

    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
        char *id = fixture_add_row(f, names[i]);
        StoreRow row;
        bool is_directory;

        assert_int_equal(store_read_row(f->store, names[i], &row, &is_directory), 0);
        assert_string_equal(row.id, id);
        assert_false(is_directory);
        store_row_done(&row);
        free(id);
    }
}

static StoreOp ensure_op(const char *path, int64_t mtime)
{
    StoreOp op = fixture_op(STORE_OP_FOLDER_ENSURE, path, NULL);

    op.mtime = mtime;
    op.has_volume = true;
    op.volume = UINT64_MAX - 1;
    return op;
}

static void test_ensure(void **state)
{
    Fixture *f = *state;
    StoreOp op = ensure_op("/r/x/y", 77);
    StoreDirectory directory;

    fixture_write(f, &op, 1);
    assert_int_equal(op.result, STORE_OP_RESULT_DONE);
    assert_true(op.inserted);
    assert_int_equal(store_read_directory(f->store, "/r/x/y", &directory), 0);
    assert_string_equal(directory.folder_id, op.folder_id);
    assert_int_equal(directory.folder_mtime, 77);
    assert_true(directory.has_volume && directory.volume == UINT64_MAX - 1);
    store_directory_done(&directory);
    store_op_done(&op);
    fixture_write_one(f, ensure_op("/r/x/y", 77), STORE_OP_RESULT_NOTHING);
    fixture_write_one(f, ensure_op("/r/x/y", 78), STORE_OP_RESULT_DONE);
    fixture_write_one(f, ensure_op("/other", 78), STORE_OP_RESULT_UNREGISTERED);
}

static void test_ensure_at_slash(void **state)
{
    Fixture *f = *state;
    char *id = NULL;

    assert_int_equal(store_register_folder(f->store, "/", 1, &id), 0);
    fixture_write_one(f, ensure_op("/s/t", 1), STORE_OP_RESULT_DONE);
    assert_string_equal(fixture_text(f, "SELECT p.folder_path FROM folders c JOIN folders p ON"
                                        " c.parent_folder_id = p.folder_id WHERE c.folder_path ="
                                        " '/s'"),
                        "/");
    free(id);
}

static void test_no_inheritance(void **state)
{
    Fixture *f = *state;

    f->store->options.inherit_ai_tagging = false;
    fixture_exec(f, "UPDATE folders SET AI_Tagging = 1");
    fixture_write_one(f, ensure_op("/r/x", 1), STORE_OP_RESULT_DONE);
    assert_int_equal(fixture_count(f, "SELECT AI_Tagging FROM folders WHERE folder_path = '/r/x'"),
                     0);
}

static void test_register(void **state)
{
    Fixture *f = *state;
    char *id = NULL;

    assert_int_equal(store_register_folder(f->store, "/r", 1, &id), STORE_REGISTER_E_EXISTS);
    assert_int_equal(store_register_folder(f->store, "/\xff", 1, &id), -EILSEQ);
    assert_int_equal(store_register_folder(f->store, "/r/in", 1, &id), 0);
    assert_string_equal(fixture_text(f,
                                     "SELECT parent_folder_id FROM folders WHERE folder_id ="
                                     " %Q",
                                     id),
                        f->root_id);
    free(id);
}

static void test_folder_remove(void **state)
{
    Fixture *f = *state;

    for (int i = 0; i < 300; i++) {
        char path[64];

        (void)snprintf(path, sizeof(path), "/r/Trip/%d/%d.jpg", i % 7, i);
        free(fixture_add_row(f, path));
    }
    free(fixture_add_row(f, "/r/Trip2/1.jpg"));
    free(fixture_add_row(f, "/r/Trip-1/1.jpg"));
    free(fixture_add_row(f, "/r/Trip/v.mp4"));
    fixture_exec(f, "INSERT INTO faces (image_id) SELECT id FROM images");
    /* A row whose folder has no parent link is found by its path all the same. */
    fixture_exec(f, "UPDATE folders SET parent_folder_id = NULL WHERE folder_path = '/r/Trip/3'");
    fixture_write_one(f, fixture_op(STORE_OP_FOLDER_REMOVE, "/r/Trip", NULL), STORE_OP_RESULT_DONE);
    assert_int_equal(fixture_count(f, "SELECT count(*) FROM images"), 2);
    assert_int_equal(fixture_count(f, "SELECT count(*) FROM faces"), 2);
    assert_int_equal(fixture_count(f, "SELECT count(*) FROM videos"), 0);
    assert_int_equal(fixture_count(f, "SELECT count(*) FROM folders"), 3);
    fixture_write_one(f, fixture_op(STORE_OP_FOLDER_REMOVE, "/r/Trip", NULL),
                      STORE_OP_RESULT_NOTHING);
}

static void test_trigger(void **state)
{
    Fixture *f = *state;
    StoreOp ops[] = {fixture_add("/r/1.jpg"), fixture_add("/r/bad.jpg"), fixture_add("/r/3.jpg")};

    fixture_exec(f, "CREATE TRIGGER t BEFORE INSERT ON images WHEN new.path LIKE '%bad%'"
                    " BEGIN SELECT RAISE(ABORT, 'not this one'); END");
    fixture_write(f, ops, 3);
    assert_int_equal(ops[0].result, STORE_OP_RESULT_DONE);
    assert_int_equal(ops[1].result, STORE_OP_RESULT_FAILED);
    assert_non_null(strstr(ops[1].error, "not this one"));
    assert_int_equal(ops[2].result, STORE_OP_RESULT_DONE);
    assert_int_equal(fixture_count(f, "SELECT count(*) FROM images"), 2);
    for (size_t i = 0; i < 3; i++)
        store_op_done(&ops[i]);
}

/* RAISE(ROLLBACK) undoes the whole transaction: the others are done again. */
static void test_trigger_rollback(void **state)
{
    Fixture *f = *state;
    StoreOp ops[] = {fixture_add("/r/1.jpg"), fixture_add("/r/bad.jpg"), fixture_add("/r/3.jpg")};

    fixture_exec(f, "CREATE TRIGGER t BEFORE INSERT ON images WHEN new.path LIKE '%bad%'"
                    " BEGIN SELECT RAISE(ROLLBACK, 'all gone'); END");
    fixture_write(f, ops, 3);
    assert_int_equal(ops[0].result, STORE_OP_RESULT_DONE);
    assert_int_equal(ops[1].result, STORE_OP_RESULT_FAILED);
    assert_int_equal(ops[2].result, STORE_OP_RESULT_DONE);
    assert_int_equal(fixture_count(f, "SELECT count(*) FROM images"), 2);
    for (size_t i = 0; i < 3; i++)
        store_op_done(&ops[i]);
}

/* A trigger on a column fires only when that column changes. */
static void test_trigger_column(void **state)
{
    Fixture *f = *state;
    char *id = fixture_add_row(f, "/r/1.jpg");

    fixture_exec(f, "CREATE TABLE fired (n); CREATE TRIGGER t AFTER UPDATE OF folder_id,"
                    " captured_at, isTagged, thumbnailPath ON images"
                    " BEGIN INSERT INTO fired VALUES (1); END");
    fixture_write_one(f, update_op(id, "{\"b\":2}", -1), STORE_OP_RESULT_DONE);
    fixture_write_one(f, fixture_move(id, "/r/2.jpg"), STORE_OP_RESULT_DONE);
    assert_int_equal(fixture_count(f, "SELECT count(*) FROM fired"), 0);
    free(id);
}

static void test_thumbnail_directory_unwritable(void **state)
{
    Fixture *f = *state;
    StoreOp ops[2] = {fixture_add("/r/1.jpg"), fixture_add("/r/1.mp4")};

    /* A file is where the directory should be: works for root too. */
    (void)close(open(f->thumbnails, O_CREAT | O_WRONLY, 0600));
    fixture_write(f, ops, 2);
    assert_int_equal(ops[0].result, STORE_OP_RESULT_FAILED);
    assert_non_null(strstr(ops[0].error, "Not a directory"));
    assert_int_equal(ops[1].result, STORE_OP_RESULT_DONE);
    assert_int_equal(fixture_count(f, "SELECT count(*) FROM images"), 0);
    store_op_done(&ops[0]);
    store_op_done(&ops[1]);
}

static void test_full_disk(void **state)
{
    Fixture *f = *state;
    StoreOp op = fixture_add("/r/1.jpg");

    (void)close(op.thumbnail_fd);
    op.thumbnail_fd = open("/dev/full", O_WRONLY | O_CLOEXEC); /* cannot be read: an I/O error */
    fixture_write(f, &op, 1);
    assert_int_equal(op.result, STORE_OP_RESULT_FAILED);
    assert_int_equal(fixture_count(f, "SELECT count(*) FROM images"), 0);
    store_op_done(&op);
}

/* Many operations: several transactions, each with its lock for a short time only. */
static void test_many(void **state)
{
    enum { N = 3000 };
    Fixture *f = *state;
    StoreOp *ops = calloc(N, sizeof(*ops));

    for (int i = 0; i < N; i++) {
        char path[64];

        (void)snprintf(path, sizeof(path), "/r/%d/%d.mp4", i / 100, i);
        ops[i] = fixture_add(path);
    }
    fixture_write(f, ops, N);
    for (int i = 0; i < N; i++) {
        assert_int_equal(ops[i].result, STORE_OP_RESULT_DONE);
        store_op_done(&ops[i]);
    }
    free(ops);
    assert_int_equal(fixture_count(f, "SELECT count(*) FROM videos"), N);
    print_message("%d rows: %llu transactions, longest lock %llu us\n", N,
                  (unsigned long long)store_counters(f->store)->transactions,
                  (unsigned long long)store_counters(f->store)->lock_us.max);
}

static int count_work(void *count)
{
    (*(int *)count)++;
    return 0;
}

/* A folder's row goes without a look at all the rows of the library. */
static void test_folder_remove_cost(void **state)
{
    Fixture *f = *state;
    char *id = fixture_add_row(f, "/r/a/1.jpg");
    int work = 0;

    fixture_exec(f, "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 9999)"
                    " INSERT INTO images (id, path) SELECT i, '/r/b/' || i || '.jpg' FROM n");
    fixture_execf(f, "INSERT INTO faces (image_id) VALUES (%Q)", id);
    assert_int_equal(store_open(f->store), 0);
    sqlite3_progress_handler(f->store->database.handle, 1, count_work, &work);
    fixture_write_one(f, fixture_op(STORE_OP_FOLDER_REMOVE, "/r/a", NULL), STORE_OP_RESULT_DONE);
    sqlite3_progress_handler(f->store->database.handle, 0, NULL, NULL);
    assert_in_range(work, 1, 8000);
    assert_int_equal(fixture_count(f, "SELECT count(*) FROM faces"), 0);
    free(id);
}

/* Foreign keys hold for what follows, and for a table that only a later PictoPy has. */
static void test_folder_remove_keys(void **state)
{
    Fixture *f = *state;
    char *id = fixture_add_row(f, "/r/a/1.jpg"), *id2 = fixture_add_row(f, "/r/b/2.jpg");
    StoreOp ops[2];

    fixture_execf(f, "INSERT INTO faces (image_id) VALUES (%Q)", id2);
    ops[0] = fixture_op(STORE_OP_FOLDER_REMOVE, "/r/a", NULL);
    ops[1] = fixture_remove(id2, MEDIA_KIND_PHOTO);
    fixture_write(f, ops, 2);
    assert_int_equal(fixture_count(f, "SELECT count(*) FROM faces"), 0);
    store_op_done(&ops[0]);
    store_op_done(&ops[1]);
    fixture_exec(f, "CREATE TABLE notes (folder TEXT REFERENCES Folders (folder_id)"
                    " ON DELETE CASCADE); INSERT INTO notes SELECT folder_id FROM folders"
                    " WHERE folder_path = '/r/b'");
    fixture_write_one(f, fixture_op(STORE_OP_FOLDER_REMOVE, "/r/b", NULL), STORE_OP_RESULT_DONE);
    assert_int_equal(fixture_count(f, "SELECT count(*) FROM notes"), 0);
    free(id);
    free(id2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_add, setup, teardown),
        cmocka_unit_test_setup_teardown(test_add_video, setup, teardown),
        cmocka_unit_test_setup_teardown(test_add_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_add_meets_row, setup, teardown),
        cmocka_unit_test_setup_teardown(test_update, setup, teardown),
        cmocka_unit_test_setup_teardown(test_update_of_a_row_that_moved, setup, teardown),
        cmocka_unit_test_setup_teardown(test_foreign_thumbnail, setup, teardown),
        cmocka_unit_test_setup_teardown(test_remove, setup, teardown),
        cmocka_unit_test_setup_teardown(test_names, setup, teardown),
        cmocka_unit_test_setup_teardown(test_ensure, setup, teardown),
        cmocka_unit_test_setup_teardown(test_ensure_at_slash, setup, teardown),
        cmocka_unit_test_setup_teardown(test_no_inheritance, setup, teardown),
        cmocka_unit_test_setup_teardown(test_register, setup, teardown),
        cmocka_unit_test_setup_teardown(test_folder_remove, setup, teardown),
        cmocka_unit_test_setup_teardown(test_trigger, setup, teardown),
        cmocka_unit_test_setup_teardown(test_trigger_rollback, setup, teardown),
        cmocka_unit_test_setup_teardown(test_trigger_column, setup, teardown),
        cmocka_unit_test_setup_teardown(test_thumbnail_directory_unwritable, setup, teardown),
        cmocka_unit_test_setup_teardown(test_full_disk, setup, teardown),
        cmocka_unit_test_setup_teardown(test_many, setup, teardown),
        cmocka_unit_test_setup_teardown(test_folder_remove_cost, setup, teardown),
        cmocka_unit_test_setup_teardown(test_folder_remove_keys, setup, teardown),
    };

    return cmocka_run_group_tests_name("store write", tests, NULL, NULL);
}
