/* Moves of files and folders: ids and all that hangs on them stay, whatever the order. */

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

    fixture_assert_thumbnails(f);
    assert_int_equal(fixture_count(f, "SELECT count(*) FROM images WHERE path LIKE '%%moving%%'"),
                     0);
    fixture_done(f);
    free(f);
    return 0;
}

static void write_all(Fixture *f, StoreOp *ops, size_t n, StoreOpResult result)
{
    fixture_write(f, ops, n);
    for (size_t i = 0; i < n; i++) {
        if (ops[i].result != result)
            fail_msg("operation %zu: %d %s", i, ops[i].result, ops[i].error ? ops[i].error : "");
        store_op_done(&ops[i]);
    }
}

static StoreOp folder_move(const char *path, const char *new_path)
{
    return fixture_op(STORE_OP_FOLDER_MOVE, path, new_path);
}

/* ---- files ---- */

static void test_file(void **state)
{
    Fixture *f = *state;
    char *id = fixture_add_row(f, "/r/1.jpg");
    StoreOp op = fixture_move(id, "/r/new/2.jpg");
    StoreRow row;
    bool is_directory;

    fixture_execf(f, "INSERT INTO faces (image_id) VALUES (%Q)", id);
    fixture_execf(f, "INSERT INTO album_images VALUES ('a', %Q)", id);
    fixture_exec(f, "INSERT INTO albums VALUES ('a', '/r/1.jpg')");
    fixture_exec(f, "UPDATE images SET isTagged = 1, isFavourite = 1");
    op.stamp = (FileStamp){.dev = 1, .ino = UINT64_MAX, .size = 3, .mtime_ns = -4};
    op.has_fingerprint = true;
    op.fingerprint = UINT64_C(0xfedcba9876543210);
    write_all(f, &op, 1, STORE_OP_RESULT_DONE);
    assert_string_equal(fixture_text(f, "SELECT id || path || isTagged || isFavourite ||"
                                        " metadata FROM images"),
                        fixture_text(f,
                                     "SELECT '%q/r/new/2.jpg11{\"name\":\"2.jpg\",\"other\":[1,2],"
                                     "\"file_location\":\"/r/new/2.jpg\",\"file_size\":10,"
                                     "\"file_mtime\":20}'",
                                     id));
    assert_int_equal(fixture_count(f, "SELECT count(*) FROM faces, album_images"), 1);
    assert_string_equal(fixture_text(f, "SELECT cover_image_path FROM albums"), "/r/new/2.jpg");
    assert_string_equal(fixture_text(f, "SELECT folder_path FROM images JOIN folders USING"
                                        " (folder_id)"),
                        "/r/new");
    assert_int_equal(store_read_row(f->store, "/r/new/2.jpg", &row, &is_directory), 0);
    assert_true(row.has_stamp && row.stamp.ino == UINT64_MAX && row.stamp.mtime_ns == -4);
    assert_true(row.has_fingerprint && row.fingerprint == UINT64_C(0xfedcba9876543210));
    store_row_done(&row);
    free(id);
}

static void test_file_refused(void **state)
{
    Fixture *f = *state;
    char *id = fixture_add_row(f, "/r/1.jpg");

    fixture_write_one(f, fixture_move(id, "/x/1.jpg"), STORE_OP_RESULT_UNREGISTERED);
    fixture_write_one(f, fixture_move(id, "/r/\xff.jpg"), STORE_OP_RESULT_FAILED);
    fixture_write_one(f, fixture_move(id, "/r/1.jpg"), STORE_OP_RESULT_NOTHING);
    fixture_write_one(f, fixture_move("gone", "/r/3.jpg"), STORE_OP_RESULT_NOTHING);
    fixture_assert_path(f, id, "/r/1.jpg");
    free(id);
}

/* A row named by where it stands when the call begins, whatever comes there in it. */
static StoreOp path_move(const char *path, const char *new_path)
{
    StoreOp op = fixture_op(STORE_OP_MEDIA_MOVE, path, new_path);

    op.media = media_kind_of(new_path);
    return op;
}

static void test_files_by_path(void **state)
{
    Fixture *f = *state;
    char *a = fixture_add_row(f, "/r/a.jpg"), *b = fixture_add_row(f, "/r/b.jpg");
    StoreOp chain[] = {path_move("/r/a.jpg", "/r/b.jpg"), path_move("/r/b.jpg", "/r/c.jpg")};
    StoreOp exchange[] = {path_move("/r/b.jpg", "/r/c.jpg"), path_move("/r/c.jpg", "/r/b.jpg")};
    StoreOp half[] = {path_move("/r/c.jpg", "/r/d.jpg"), path_move("/r/d.jpg", "/r/c.jpg")};

    write_all(f, chain, 2, STORE_OP_RESULT_DONE);
    fixture_assert_path(f, a, "/r/b.jpg");
    fixture_assert_path(f, b, "/r/c.jpg");
    write_all(f, exchange, 2, STORE_OP_RESULT_DONE);
    fixture_assert_path(f, a, "/r/c.jpg");
    fixture_assert_path(f, b, "/r/b.jpg");
    fixture_write(f, half, 2); /* no row stands at d: what comes there does not go on */
    assert_int_equal(half[0].result, STORE_OP_RESULT_DONE);
    assert_string_equal(half[0].id, a);
    assert_int_equal(half[1].result, STORE_OP_RESULT_NOTHING);
    fixture_assert_path(f, a, "/r/d.jpg");
    store_op_done(&half[0]);
    store_op_done(&half[1]);
    fixture_write_one(f, path_move("/r/d.mp4", "/r/e.mp4"), STORE_OP_RESULT_NOTHING);
    free(a);
    free(b);
}

/* With an id as well: only while that row stands there. */
static void test_file_by_path_and_id(void **state)
{
    Fixture *f = *state;
    char *id = fixture_add_row(f, "/r/a.jpg");
    StoreOp op = path_move("/r/b.jpg", "/r/c.jpg");

    op.id = strdup(id);
    fixture_write_one(f, op, STORE_OP_RESULT_NOTHING);
    fixture_assert_path(f, id, "/r/a.jpg");
    op = path_move("/r/a.jpg", "/r/c.jpg");
    op.id = strdup(id);
    op.stamp = (FileStamp){.dev = 1, .ino = 2}; /* another file stands there by now */
    fixture_write_one(f, op, STORE_OP_RESULT_NOTHING);
    op = path_move("/r/a.jpg", "/r/c.jpg");
    op.id = strdup(id);
    fixture_write_one(f, op, STORE_OP_RESULT_DONE);
    fixture_assert_path(f, id, "/r/c.jpg");
    free(id);
}

/* The row of a photo whose name a directory takes: its file may be elsewhere, which is to be seen.
 */
static void test_folder_to_the_name_of_a_file(void **state)
{
    Fixture *f = *state;
    char *photo = fixture_add_row(f, "/r/a.jpg"), *inner = fixture_add_row(f, "/r/d/1.jpg");

    fixture_write_one(f, folder_move("/r/d", "/r/a.jpg"), STORE_OP_RESULT_DONE);
    fixture_assert_path(f, photo, "/r/a.jpg");
    fixture_assert_path(f, inner, "/r/a.jpg/1.jpg");
    free(photo);
    free(inner);
}

/* A directory and a photo exchange their names. */
static void test_file_by_path_and_folder(void **state)
{
    Fixture *f = *state;
    char *photo = fixture_add_row(f, "/r/a.jpg"), *inner = fixture_add_row(f, "/r/d.jpg/1.jpg");
    StoreOp ops[] = {folder_move("/r/d.jpg", "/r/a.jpg"), path_move("/r/a.jpg", "/r/d.jpg")};

    write_all(f, ops, 2, STORE_OP_RESULT_DONE);
    fixture_assert_path(f, photo, "/r/d.jpg");
    fixture_assert_path(f, inner, "/r/a.jpg/1.jpg");
    free(photo);
    free(inner);
}

static void test_file_over_another(void **state)
{
    Fixture *f = *state;
    char *a = fixture_add_row(f, "/r/a.jpg"), *b = fixture_add_row(f, "/r/b.jpg");

    fixture_write_one(f, fixture_move(a, "/r/b.jpg"), STORE_OP_RESULT_DONE);
    fixture_assert_path(f, a, "/r/b.jpg");
    fixture_assert_path(f, b, "(none)");
    free(a);
    free(b);
}

static void test_odd_metadata(void **state)
{
    static const char *const values[] = {"NULL", "'not json'", "x'00ff'", "'[1]'", "''", "17"};
    Fixture *f = *state;
    char *id = fixture_add_row(f, "/r/d/1.jpg");

    for (size_t i = 0; i < sizeof(values) / sizeof(*values); i++) {
        char *before;

        fixture_execf(f, "UPDATE images SET path = '/r/d/1.jpg', metadata = %s", values[i]);
        fixture_execf(f, "UPDATE folders SET folder_path = '/r/d' WHERE folder_path = '/r/e'");
        before = strdup(fixture_text(f, "SELECT quote(metadata) FROM images"));
        fixture_write_one(f, fixture_move(id, "/r/d/2.jpg"), STORE_OP_RESULT_DONE);
        fixture_write_one(f, folder_move("/r/d", "/r/e"), STORE_OP_RESULT_DONE);
        fixture_assert_path(f, id, "/r/e/2.jpg");
        assert_string_equal(fixture_text(f, "SELECT quote(metadata) FROM images"), before);
        free(before);
    }
    free(id);
}

static void test_file_exchange(void **state)
{
    Fixture *f = *state;
    char *a = fixture_add_row(f, "/r/a.jpg"), *b = fixture_add_row(f, "/r/b.jpg");
    StoreOp ops[] = {fixture_move(a, "/r/b.jpg"), fixture_move(b, "/r/a.jpg")};

    fixture_exec(f, "INSERT INTO albums VALUES ('a', '/r/a.jpg'), ('b', '/r/b.jpg')");
    write_all(f, ops, 2, STORE_OP_RESULT_DONE);
    fixture_assert_path(f, a, "/r/b.jpg");
    fixture_assert_path(f, b, "/r/a.jpg");
    assert_string_equal(fixture_text(f, "SELECT group_concat(album_id || cover_image_path) FROM"
                                        " (SELECT * FROM albums ORDER BY album_id)"),
                        "a/r/b.jpg,b/r/a.jpg");
    assert_string_equal(fixture_text(f,
                                     "SELECT json_extract(metadata, '$.file_location') FROM"
                                     " images WHERE id = %Q",
                                     a),
                        "/r/b.jpg");
    free(a);
    free(b);
}

/* a → b → c → d → a, given in an order that fits no sequence, with other things between. */
static void test_file_rotation(void **state)
{
    Fixture *f = *state;
    char *a = fixture_add_row(f, "/r/a.jpg"), *b = fixture_add_row(f, "/r/b.jpg");
    char *c = fixture_add_row(f, "/r/c.jpg"), *d = fixture_add_row(f, "/r/d.mp4");
    char *e = fixture_add_row(f, "/r/e.mp4");
    StoreOp ops[] = {
        fixture_move(b, "/r/c.jpg"), fixture_add("/r/new.jpg"),   fixture_move(a, "/r/b.jpg"),
        fixture_move(c, "/r/a.jpg"), fixture_move(d, "/r/e.mp4"), fixture_move(e, "/r/d.mp4"),
    };

    write_all(f, ops, 6, STORE_OP_RESULT_DONE);
    fixture_assert_path(f, a, "/r/b.jpg");
    fixture_assert_path(f, b, "/r/c.jpg");
    fixture_assert_path(f, c, "/r/a.jpg");
    fixture_assert_path(f, d, "/r/e.mp4");
    fixture_assert_path(f, e, "/r/d.mp4");
    free(a);
    free(b);
    free(c);
    free(d);
    free(e);
}

/* A photo is saved under the name of one that is renamed in the same call. */
static void test_add_at_moved(void **state)
{
    Fixture *f = *state;
    char *a = fixture_add_row(f, "/r/a.jpg");
    StoreOp ops[] = {fixture_add("/r/a.jpg"), fixture_move(a, "/r/b.jpg")};

    write_all(f, ops, 2, STORE_OP_RESULT_DONE);
    fixture_assert_path(f, a, "/r/b.jpg");
    assert_int_equal(fixture_count(f, "SELECT count(*) FROM images"), 2);
    free(a);
}

/* One half of an exchange fails: the other must not overwrite its row. */
static void test_exchange_fails(void **state)
{
    Fixture *f = *state;
    char *a = fixture_add_row(f, "/r/a.jpg"), *b = fixture_add_row(f, "/r/b.jpg");

    fixture_exec(f, "CREATE TRIGGER t BEFORE UPDATE ON images WHEN new.path = '/r/a.jpg' BEGIN"
                    " SELECT RAISE(ABORT, 'no'); END");
    for (int round = 0; round < 2; round++) {
        StoreOp ops[] = {fixture_move(a, "/r/b.jpg"), fixture_move(b, "/r/a.jpg")};

        if (round == 1) { /* the failing one first */
            StoreOp first = ops[0];

            ops[0] = ops[1];
            ops[1] = first;
        }
        write_all(f, ops, 2, STORE_OP_RESULT_FAILED);
        fixture_assert_path(f, a, "/r/a.jpg");
        fixture_assert_path(f, b, "/r/b.jpg");
    }
    free(a);
    free(b);
}

/* ---- folders ---- */

static void test_folder(void **state)
{
    Fixture *f = *state;
    char *a = fixture_add_row(f, "/r/Trip/1.jpg"), *b = fixture_add_row(f, "/r/Trip/sub/2.mp4");
    char *c = fixture_add_row(f, "/r/Trip2/1.jpg"), *d = fixture_add_row(f, "/r/Trip-/1.jpg");
    char *folder =
        strdup(fixture_text(f, "SELECT folder_id FROM folders WHERE folder_path = '/r/Trip'"));
    StoreOp op = folder_move("/r/Trip", "/r/new/Tour%");

    fixture_exec(f, "INSERT INTO albums VALUES ('a', '/r/Trip/1.jpg'), ('c', '/r/Trip2/1.jpg')");
    fixture_write(f, &op, 1);
    assert_int_equal(op.result, STORE_OP_RESULT_DONE);
    assert_string_equal(op.folder_id, folder);
    store_op_done(&op);
    fixture_assert_path(f, a, "/r/new/Tour%/1.jpg");
    fixture_assert_path(f, b, "/r/new/Tour%/sub/2.mp4");
    fixture_assert_path(f, c, "/r/Trip2/1.jpg");
    fixture_assert_path(f, d, "/r/Trip-/1.jpg");
    assert_string_equal(fixture_text(f, "SELECT metadata FROM images WHERE id = %Q", a),
                        "{\"name\":\"x\",\"other\":[1,2],\"file_location\":"
                        "\"/r/new/Tour%/1.jpg\",\"file_size\":10,\"file_mtime\":20}");
    assert_string_equal(fixture_text(f, "SELECT group_concat(cover_image_path) FROM (SELECT * FROM"
                                        " albums ORDER BY album_id)"),
                        "/r/new/Tour%/1.jpg,/r/Trip2/1.jpg");
    assert_string_equal(fixture_text(f,
                                     "SELECT p.folder_path FROM folders c JOIN folders p ON"
                                     " p.folder_id = c.parent_folder_id WHERE c.folder_id = %Q",
                                     folder),
                        "/r/new");
    fixture_write_one(f, folder_move("/r/Trip", "/r/x"), STORE_OP_RESULT_NOTHING);
    /* Into the one that has taken its place. */
    fixture_write_one(f, folder_move("/r/new", "/r/new/in"), STORE_OP_RESULT_DONE);
    fixture_assert_path(f, a, "/r/new/in/Tour%/1.jpg");
    free(folder);
    free(a);
    free(b);
    free(c);
    free(d);
}

static void test_root(void **state)
{
    Fixture *f = *state;
    char *a = fixture_add_row(f, "/r/1.jpg");

    fixture_write_one(f, folder_move("/r", "/s/root"), STORE_OP_RESULT_DONE);
    fixture_assert_path(f, a, "/s/root/1.jpg");
    assert_string_equal(fixture_text(f, "SELECT folder_id || (parent_folder_id IS NULL) FROM"
                                        " folders WHERE folder_path = '/s/root'"),
                        fixture_text(f, "SELECT '%q1'", f->root_id));
    free(a);
}

static void test_bytes(void **state)
{
    Fixture *f = *state;
    char *a = fixture_add_row(f, "/r/ä€😀/ö.jpg");

    fixture_write_one(f, folder_move("/r/ä€😀", "/r/ü"), STORE_OP_RESULT_DONE);
    fixture_assert_path(f, a, "/r/ü/ö.jpg");
    free(a);
}

static void test_folder_over_stale(void **state)
{
    Fixture *f = *state;
    char *a = fixture_add_row(f, "/r/A/1.jpg"), *b = fixture_add_row(f, "/r/B/1.jpg");
    char *c = fixture_add_row(f, "/r/B/x/2.jpg");

    fixture_write_one(f, folder_move("/r/A", "/r/B"), STORE_OP_RESULT_DONE);
    fixture_assert_path(f, a, "/r/B/1.jpg");
    fixture_assert_path(f, b, "(none)");
    fixture_assert_path(f, c, "(none)");
    assert_int_equal(fixture_count(f, "SELECT count(*) FROM folders"), 2);
    free(a);
    free(b);
    free(c);
}

/* /r/A/sub takes the place of /r/A. */
static void test_folder_to_parent(void **state)
{
    Fixture *f = *state;
    char *a = fixture_add_row(f, "/r/A/sub/1.jpg"), *b = fixture_add_row(f, "/r/A/1.jpg");

    fixture_write_one(f, folder_move("/r/A/sub", "/r/A"), STORE_OP_RESULT_DONE);
    fixture_assert_path(f, a, "/r/A/1.jpg");
    fixture_assert_path(f, b, "(none)");
    assert_int_equal(fixture_count(f, "SELECT count(*) FROM folders"), 2);
    free(a);
    free(b);
}

static void test_folder_exchange(void **state)
{
    Fixture *f = *state;
    char *a = fixture_add_row(f, "/r/A/1.jpg"), *b = fixture_add_row(f, "/r/B/1.jpg");
    StoreOp ops[] = {folder_move("/r/A", "/r/B"), folder_move("/r/B", "/r/A")};

    write_all(f, ops, 2, STORE_OP_RESULT_DONE);
    fixture_assert_path(f, a, "/r/B/1.jpg");
    fixture_assert_path(f, b, "/r/A/1.jpg");
    assert_int_equal(fixture_count(f, "SELECT count(*) FROM images i JOIN folders f USING"
                                      " (folder_id) WHERE i.path = f.folder_path || '/1.jpg'"),
                     2);
    free(a);
    free(b);
}

static void test_folder_rotation(void **state)
{
    Fixture *f = *state;
    char *a = fixture_add_row(f, "/r/A/1.jpg"), *b = fixture_add_row(f, "/r/B/1.jpg");
    char *c = fixture_add_row(f, "/r/C/1.jpg");
    StoreOp ops[] = {folder_move("/r/A", "/r/B"), folder_move("/r/B", "/r/C"),
                     folder_move("/r/C", "/r/A")};

    write_all(f, ops, 3, STORE_OP_RESULT_DONE);
    fixture_assert_path(f, a, "/r/B/1.jpg");
    fixture_assert_path(f, b, "/r/C/1.jpg");
    fixture_assert_path(f, c, "/r/A/1.jpg");
    free(a);
    free(b);
    free(c);
}

/* mv A tmp; mv B A; mv tmp B, as a user does it. */
/* All moves of a call speak of where the rows are before it. */
static void test_folder_exchange_with_none(void **state)
{
    Fixture *f = *state;
    char *a = fixture_add_row(f, "/r/A/1.jpg");
    StoreOp ops[] = {folder_move("/r/A", "/r/B"), folder_move("/r/B", "/r/A"),
                     folder_move("/r/B/sub", "/r/C")};

    fixture_write(f, ops, 3);
    assert_int_equal(ops[0].result, STORE_OP_RESULT_DONE);
    assert_int_equal(ops[1].result, STORE_OP_RESULT_NOTHING);
    assert_int_equal(ops[2].result, STORE_OP_RESULT_NOTHING);
    fixture_assert_path(f, a, "/r/B/1.jpg");
    for (size_t i = 0; i < 3; i++)
        store_op_done(&ops[i]);
    free(a);
}

/* What stands at /r/c/c when another one has come there is not that one's to take along. */
static void test_folder_none_below_another(void **state)
{
    Fixture *f = *state;
    char *a = fixture_add_row(f, "/r/a/1.jpg"), *c = fixture_add_row(f, "/r/c/1.jpg");
    char *d = fixture_add_row(f, "/r/a/d/1.jpg");
    StoreOp ops[] = {folder_move("/r/c", "/r/a"), folder_move("/r/a/d", "/r/a/c"),
                     folder_move("/r/c/c", "/r/a/c/x"), folder_move("/r/a", "/r/a/c/x/c")};

    fixture_write(f, ops, 4);
    fixture_assert_path(f, a, "/r/a/c/x/c/1.jpg");
    fixture_assert_path(f, c, "/r/a/1.jpg");
    fixture_assert_path(f, d, "/r/a/c/1.jpg");
    assert_int_equal(ops[2].result, STORE_OP_RESULT_NOTHING);
    for (size_t i = 0; i < 4; i++)
        store_op_done(&ops[i]);
    free(a);
    free(c);
    free(d);
}

/* B has left for a name that no row can have; A takes its place. */
static void test_folder_over_one_that_cannot_go(void **state)
{
    Fixture *f = *state;
    char *a = fixture_add_row(f, "/r/A/1.jpg"), *b = fixture_add_row(f, "/r/B/1.jpg");
    StoreOp ops[] = {folder_move("/r/B", "/r/\xfe"), folder_move("/r/A", "/r/B")};

    fixture_write(f, ops, 2);
    assert_int_equal(ops[0].result, STORE_OP_RESULT_FAILED);
    assert_int_equal(ops[1].result, STORE_OP_RESULT_DONE);
    fixture_assert_path(f, a, "/r/B/1.jpg");
    fixture_assert_path(f, b, "(none)");
    store_op_done(&ops[0]);
    store_op_done(&ops[1]);
    free(a);
    free(b);
}

/* A moves over B, out of which one file is moved in the same call. */
static void test_folder_and_file(void **state)
{
    Fixture *f = *state;
    char *a = fixture_add_row(f, "/r/A/1.jpg"), *b = fixture_add_row(f, "/r/B/1.jpg");
    StoreOp ops[] = {folder_move("/r/A", "/r/B"), fixture_move(b, "/r/saved.jpg")};

    write_all(f, ops, 2, STORE_OP_RESULT_DONE);
    fixture_assert_path(f, a, "/r/B/1.jpg");
    fixture_assert_path(f, b, "/r/saved.jpg");
    free(a);
    free(b);
}

static void test_folder_exchange_fails(void **state)
{
    Fixture *f = *state;
    char *a = fixture_add_row(f, "/r/A/1.jpg"), *b = fixture_add_row(f, "/r/B/1.jpg");
    StoreOp ops[] = {folder_move("/r/A", "/r/B"), folder_move("/r/B", "/r/A")};

    fixture_exec(f, "CREATE TRIGGER t BEFORE UPDATE ON images WHEN new.path = '/r/A/1.jpg' BEGIN"
                    " SELECT RAISE(ABORT, 'no'); END");
    write_all(f, ops, 2, STORE_OP_RESULT_FAILED);
    fixture_assert_path(f, a, "/r/A/1.jpg");
    fixture_assert_path(f, b, "/r/B/1.jpg");
    free(a);
    free(b);
}

static void test_problems_move(void **state)
{
    Fixture *f = *state;
    StoreOp op = fixture_op(STORE_OP_PROBLEM, "/r/A/x/bad\xff.jpg", NULL);
    StoreDirectory directory;

    free(fixture_add_row(f, "/r/A/1.jpg"));
    op.metadata = strdup("no photo");
    write_all(f, &op, 1, STORE_OP_RESULT_DONE);
    fixture_write_one(f, folder_move("/r/A", "/r/B"), STORE_OP_RESULT_DONE);
    assert_int_equal(store_read_directory(f->store, "/r/B/x", &directory), 0);
    assert_int_equal(directory.n_problems, 1);
    assert_string_equal(directory.problems[0].path, "/r/B/x/bad\xff.jpg");
    assert_string_equal(directory.problems[0].reason, "no photo");
    store_directory_done(&directory);
}

static void expect_problem(Fixture *f, const char *directory_path, const char *reason)
{
    StoreDirectory directory;

    assert_int_equal(store_read_directory(f->store, directory_path, &directory), 0);
    assert_int_equal(directory.n_problems, 1);
    assert_string_equal(directory.problems[0].reason, reason);
    store_directory_done(&directory);
}

static void test_problems_exchange(void **state)
{
    Fixture *f = *state;
    StoreOp problems[] = {fixture_op(STORE_OP_PROBLEM, "/r/A/bad.jpg", NULL),
                          fixture_op(STORE_OP_PROBLEM, "/r/A/x/bad.jpg", NULL),
                          fixture_op(STORE_OP_PROBLEM, "/r/B/bad.jpg", NULL)};
    StoreOp moves[] = {folder_move("/r/A", "/r/B"), folder_move("/r/B", "/r/A"),
                       folder_move("/r/A/x", "/r/A/y")};
    static const char *const files[] = {"/r/A/1.jpg", "/r/A/x/1.jpg", "/r/B/1.jpg"};

    for (size_t i = 0; i < 3; i++) {
        free(fixture_add_row(f, files[i]));
        problems[i].metadata = strdup(problems[i].path);
    }
    write_all(f, problems, 3, STORE_OP_RESULT_DONE);
    write_all(f, moves, 3, STORE_OP_RESULT_DONE);
    expect_problem(f, "/r/A", "/r/B/bad.jpg");
    expect_problem(f, "/r/A/y", "/r/A/x/bad.jpg");
    expect_problem(f, "/r/B", "/r/A/bad.jpg");
}

/* ---- many ---- */

static void insert_many(Fixture *f, int n)
{
    fixture_execf(f,
                  "INSERT INTO folders (folder_id, parent_folder_id, folder_path) VALUES ('big',"
                  " %Q, '/r/big')",
                  f->root_id);
    fixture_execf(f,
                  "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d)"
                  " INSERT INTO images (id, path, folder_id, metadata) SELECT"
                  " printf('%%08x-0000-4000-8000-000000000000', i), '/r/big/IMG_' || i || '.jpg',"
                  " 'big', json_object('name', 'IMG_' || i || '.jpg', 'date_created',"
                  " '2020-01-02T03:04:05', 'date_source', 'exif', 'width', 4000, 'height', 3000,"
                  " 'file_location', '/r/big/IMG_' || i || '.jpg', 'file_size', 1234567 + i,"
                  " 'file_mtime', 1577934245, 'item_type', 'image/jpeg', 'latitude', 48.1,"
                  " 'longitude', 11.5) FROM n",
                  n);
}

static Store *slow;

/* Any time is up at once. */
static void be_slow(StoreStep step)
{
    if (step == STORE_STEP_BEGUN)
        slow->write_since = 0;
}

/* However slow the machine is, nobody sees a part of it. */
static void test_folder_of_10000(void **state)
{
    enum { N = 10000 };
    Fixture *f = *state;
    const StoreCounters *counters = store_counters(f->store);
    uint64_t transactions = counters->transactions;

    insert_many(f, N);
    slow = f->store;
    f->store->on_step = be_slow;
    fixture_write_one(f, folder_move("/r/big", "/r/renamed"), STORE_OP_RESULT_DONE);
    assert_int_equal(fixture_count(f, "SELECT count(*) FROM images WHERE path = '/r/renamed/IMG_'"
                                      " || (json_extract(metadata, '$.file_size') - 1234567) ||"
                                      " '.jpg' AND json_extract(metadata, '$.file_location') ="
                                      " path AND folder_id = 'big'"),
                     N);
    assert_int_equal(counters->transactions - transactions, 1);
}

/* More than fit in the time: the folder row first, no row lost, none twice. */
static void test_folder_of_60000(void **state)
{
    enum { N = 60000 };
    Fixture *f = *state;
    const StoreCounters *counters = store_counters(f->store);
    uint64_t transactions = counters->transactions;

    insert_many(f, N);
    slow = f->store;
    f->store->on_step = be_slow;
    fixture_write_one(f, folder_move("/r/big", "/r/renamed"), STORE_OP_RESULT_DONE);
    f->store->on_step = NULL;
    /* 11,000, 49 times 1,000, and one that finds no more. */
    assert_int_equal(counters->transactions - transactions, 51);
    transactions = counters->transactions;
    fixture_write_one(f, folder_move("/r/renamed", "/r/big"), STORE_OP_RESULT_DONE);
    assert_int_equal(fixture_count(f, "SELECT count(*) FROM images WHERE path >= '/r/big/' AND"
                                      " path < '/r/big0'"),
                     N);
    assert_int_equal(fixture_count(f, "SELECT count(*) FROM folders"), 2);
    print_message("60,000 photos renamed: longest lock %llu us, %llu transactions\n",
                  (unsigned long long)counters->lock_us.max,
                  (unsigned long long)(counters->transactions - transactions));
}

/* Removing many folders from a library that holds many photos more. */
static void test_remove_folders(void **state)
{
    enum { N = 500 };
    Fixture *f = *state;
    const StoreCounters *counters = store_counters(f->store);

    insert_many(f, 30000);
    fixture_execf(f,
                  "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d)"
                  " INSERT INTO folders (folder_id, parent_folder_id, folder_path) SELECT i, %Q,"
                  " '/r/gone/' || i FROM n",
                  N, f->root_id);
    fixture_write_one(f, fixture_op(STORE_OP_FOLDER_REMOVE, "/r/gone", NULL), STORE_OP_RESULT_DONE);
    assert_int_equal(fixture_count(f, "SELECT count(*) FROM folders"), 2);
    print_message("%d folders removed: %llu transactions, %llu us, longest lock %llu us\n", N,
                  (unsigned long long)counters->transactions,
                  (unsigned long long)counters->lock_us.sum,
                  (unsigned long long)counters->lock_us.max);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_file, setup, teardown),
        cmocka_unit_test_setup_teardown(test_file_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_files_by_path, setup, teardown),
        cmocka_unit_test_setup_teardown(test_file_by_path_and_id, setup, teardown),
        cmocka_unit_test_setup_teardown(test_file_by_path_and_folder, setup, teardown),
        cmocka_unit_test_setup_teardown(test_folder_to_the_name_of_a_file, setup, teardown),
        cmocka_unit_test_setup_teardown(test_file_over_another, setup, teardown),
        cmocka_unit_test_setup_teardown(test_odd_metadata, setup, teardown),
        cmocka_unit_test_setup_teardown(test_file_exchange, setup, teardown),
        cmocka_unit_test_setup_teardown(test_file_rotation, setup, teardown),
        cmocka_unit_test_setup_teardown(test_add_at_moved, setup, teardown),
        cmocka_unit_test_setup_teardown(test_exchange_fails, setup, teardown),
        cmocka_unit_test_setup_teardown(test_folder, setup, teardown),
        cmocka_unit_test_setup_teardown(test_root, setup, teardown),
        cmocka_unit_test_setup_teardown(test_bytes, setup, teardown),
        cmocka_unit_test_setup_teardown(test_folder_over_stale, setup, teardown),
        cmocka_unit_test_setup_teardown(test_folder_to_parent, setup, teardown),
        cmocka_unit_test_setup_teardown(test_folder_exchange, setup, teardown),
        cmocka_unit_test_setup_teardown(test_folder_rotation, setup, teardown),
        cmocka_unit_test_setup_teardown(test_folder_exchange_with_none, setup, teardown),
        cmocka_unit_test_setup_teardown(test_folder_none_below_another, setup, teardown),
        cmocka_unit_test_setup_teardown(test_folder_over_one_that_cannot_go, setup, teardown),
        cmocka_unit_test_setup_teardown(test_folder_and_file, setup, teardown),
        cmocka_unit_test_setup_teardown(test_folder_exchange_fails, setup, teardown),
        cmocka_unit_test_setup_teardown(test_problems_move, setup, teardown),
        cmocka_unit_test_setup_teardown(test_problems_exchange, setup, teardown),
        cmocka_unit_test_setup_teardown(test_folder_of_10000, setup, teardown),
        cmocka_unit_test_setup_teardown(test_folder_of_60000, setup, teardown),
        cmocka_unit_test_setup_teardown(test_remove_folders, setup, teardown),
    };

    return cmocka_run_group_tests_name("store move", tests, NULL, NULL);
}
