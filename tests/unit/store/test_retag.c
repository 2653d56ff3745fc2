/* Photos that were edited: what of the AI's goes and what stays, and PictoPy's ledger. */

#include "fixture.h"

static const char ai_schema[] =
    "DROP TABLE faces;"
    "CREATE TABLE face_clusters (cluster_id TEXT PRIMARY KEY, cluster_name TEXT);"
    "CREATE TABLE faces (face_id INTEGER PRIMARY KEY AUTOINCREMENT, image_id TEXT, cluster_id TEXT,"
    " FOREIGN KEY (image_id) REFERENCES images (id) ON DELETE CASCADE);"
    "CREATE TABLE image_classes (image_id TEXT, class_id INTEGER, PRIMARY KEY (image_id, class_id),"
    " FOREIGN KEY (image_id) REFERENCES images (id) ON DELETE CASCADE);"
    "CREATE TABLE image_embeddings (image_id TEXT PRIMARY KEY, embedding BLOB,"
    " FOREIGN KEY (image_id) REFERENCES images (id) ON DELETE CASCADE);"
    "INSERT INTO face_clusters VALUES ('ada', 'Ada'), ('null', NULL), ('empty', ''),"
    " ('blank', ' ');";

#define LEDGER                                                                                     \
    "CREATE TABLE self_writes (path TEXT PRIMARY KEY, file_size INTEGER, file_mtime INTEGER,"      \
    " written_at INTEGER);"

typedef struct Edit {
    Fixture f;
    char *id, *other;
} Edit;

/* All that hangs on a photo; of its seven faces only Ada's has a name. */
static void decorate(Fixture *f, const char *id)
{
    fixture_execf(f,
                  "INSERT INTO image_classes VALUES (%Q, 1), (%Q, 2);"
                  "INSERT INTO image_embeddings VALUES (%Q, x'00');"
                  "INSERT INTO faces (image_id, cluster_id) VALUES (%Q, 'ada'), (%Q, 'null'),"
                  " (%Q, 'empty'), (%Q, 'blank'), (%Q, NULL), (%Q, 'gone');"
                  "INSERT INTO album_images VALUES ('a', %Q);"
                  "UPDATE images SET isTagged = 1, isEmbedded = 1, isFavourite = 1 WHERE id = %Q",
                  id, id, id, id, id, id, id, id, id, id, id);
}

static int setup(void **state)
{
    Edit *e = calloc(1, sizeof(*e));

    fixture_init(&e->f);
    fixture_exec(&e->f, ai_schema);
    e->id = fixture_add_row(&e->f, "/r/1.jpg");
    e->other = fixture_add_row(&e->f, "/r/2.jpg");
    decorate(&e->f, e->id);
    decorate(&e->f, e->other);
    *state = e;
    return 0;
}

static int teardown(void **state)
{
    Edit *e = *state;

    fixture_assert_thumbnails(&e->f);
    fixture_done(&e->f);
    free(e->id);
    free(e->other);
    free(e);
    return 0;
}

static const FileStamp edited = {.dev = 1, .ino = 2, .size = 10, .mtime_ns = 20 * 1000000000LL + 5};

/* A file with another content; jpeg is its thumbnail. fixture_add_row() made "jpeg". */
static StoreOp edit_op(Edit *e, const char *jpeg)
{
    static int n;
    StoreOp op = fixture_op(STORE_OP_MEDIA_UPDATE, NULL, NULL);
    char metadata[32];

    (void)snprintf(metadata, sizeof(metadata), "{\"n\":%d}", n++);
    op.id = strdup(e->id);
    op.media = MEDIA_KIND_PHOTO;
    op.metadata = strdup(metadata);
    op.old_thumbnail =
        strdup(fixture_text(&e->f, "SELECT thumbnailPath FROM images WHERE id = %Q", e->id));
    op.thumbnail_fd = fixture_jpeg(jpeg);
    op.retag = true;
    op.stamp = edited;
    return op;
}

/* Flags, and counts of tags, embeddings, faces and albums. */
static const char *all_of(Edit *e, const char *id)
{
    return fixture_text(&e->f,
                        "SELECT isTagged || isEmbedded || isFavourite || ' ' ||"
                        " (SELECT count(*) FROM image_classes WHERE image_id = i.id) ||"
                        " (SELECT count(*) FROM image_embeddings WHERE image_id = i.id) ||"
                        " (SELECT count(*) FROM faces WHERE image_id = i.id) ||"
                        " (SELECT count(*) FROM album_images WHERE image_id = i.id)"
                        " FROM images AS i WHERE id = %Q",
                        id);
}

#define ALL  "111 2161"
#define USER "001 0011" /* what the user made */

static void assert_edit(Edit *e, StoreOp op, bool retagged, bool own)
{
    fixture_write(&e->f, &op, 1);
    assert_int_equal(op.result, STORE_OP_RESULT_DONE);
    assert_int_equal(op.retagged, retagged);
    assert_int_equal(op.own_write, own);
    store_op_done(&op);
    assert_string_equal(all_of(e, e->id), retagged ? USER : ALL);
    assert_string_equal(all_of(e, e->other), ALL);
    fixture_assert_thumbnails(&e->f);
}

/* ---- edits ---- */

static void test_pixels_differ(void **state)
{
    Edit *e = *state;

    assert_edit(e, edit_op(e, "JPEG"), true, false);
    assert_string_equal(fixture_text(&e->f,
                                     "SELECT group_concat(cluster_id) FROM faces WHERE"
                                     " image_id = %Q",
                                     e->id),
                        "ada");
}

static void test_longer_and_shorter(void **state)
{
    Edit *e = *state;

    assert_edit(e, edit_op(e, "jpeg, and more"), true, false);
    decorate(&e->f, e->id);
    fixture_exec(&e->f, "DELETE FROM faces WHERE cluster_id = 'ada' AND face_id IN (SELECT"
                        " max(face_id) FROM faces WHERE cluster_id = 'ada')");
    fixture_exec(&e->f, "DELETE FROM album_images WHERE rowid IN (SELECT max(rowid) FROM"
                        " album_images)");
    assert_edit(e, edit_op(e, "jpeg"), true, false);
}

/* The same thumbnail: all stays, its file too. */
static void test_pixels_same(void **state)
{
    Edit *e = *state;
    StoreOp op = edit_op(e, "jpeg");
    char *before = strdup(op.old_thumbnail);
    uint64_t written = store_counters(e->f.store)->thumbnails_written;

    fixture_write(&e->f, &op, 1);
    assert_true(op.kept_thumbnail);
    assert_false(op.retagged);
    assert_int_equal(store_counters(e->f.store)->thumbnails_written, written);
    assert_string_equal(
        fixture_text(&e->f, "SELECT thumbnailPath FROM images WHERE id = %Q", e->id), before);
    assert_string_equal(all_of(e, e->id), ALL);
    store_op_done(&op);
    free(before);
}

/* A large one differs in its last byte only. */
static void test_large(void **state)
{
    Edit *e = *state;
    char *large = malloc(100001);
    StoreOp op;

    memset(large, 'x', 100000);
    large[100000] = '\0';
    assert_edit(e, edit_op(e, large), true, false);
    op = edit_op(e, large);
    fixture_write(&e->f, &op, 1);
    assert_true(op.kept_thumbnail);
    store_op_done(&op);
    large[99999] = 'y';
    op = edit_op(e, large);
    fixture_write(&e->f, &op, 1);
    assert_true(op.retagged);
    store_op_done(&op);
    free(large);
}

/* No file, none of ours, a link, a FIFO (which must not be waited for): not the same. */
static void test_old_thumbnail_unusable(void **state)
{
    Edit *e = *state;
    char path[256], target[256];
    StoreOp op;

    (void)snprintf(target, sizeof(target), "%s/x", e->f.directory);
    (void)snprintf(path, sizeof(path), "%s/thumbnail_12345678-1234-4123-8123-123456789abc.jpg",
                   e->f.thumbnails);
    for (int i = 0; i < 5; i++) {
        int fd = open(target, O_CREAT | O_WRONLY | O_TRUNC, 0600);

        assert_int_equal(write(fd, "jpeg", 4), 4);
        (void)close(fd);
        (void)unlink(path);
        if (i == 1)
            assert_int_equal(symlink(target, path), 0);
        else if (i == 2)
            assert_int_equal(mkfifo(path, 0600), 0);
        else if (i == 3)
            assert_int_equal(mkdir(path, 0700), 0);
        op = edit_op(e, "jpeg");
        free(op.old_thumbnail);
        op.old_thumbnail = strdup(i < 4 ? path : target);
        fixture_write(&e->f, &op, 1);
        assert_true(op.retagged);
        assert_false(op.kept_thumbnail);
        store_op_done(&op);
        (void)unlink(path);
        (void)rmdir(path);
    }
}

static void test_not_wanted(void **state)
{
    Edit *e = *state;
    StoreOp op = edit_op(e, "JPEG");

    op.retag = false;
    assert_edit(e, op, false, false);
}

/* Flags that are 0 are not named: a trigger on them would fire. */
static void test_flags_named_once(void **state)
{
    Edit *e = *state;

    fixture_exec(&e->f, "CREATE TABLE fired (what TEXT);"
                        "CREATE TRIGGER t1 AFTER UPDATE OF isTagged ON images BEGIN"
                        " INSERT INTO fired VALUES ('tagged'); END;"
                        "CREATE TRIGGER t2 AFTER UPDATE OF isEmbedded ON images BEGIN"
                        " INSERT INTO fired VALUES ('embedded'); END;"
                        "CREATE TRIGGER t3 AFTER UPDATE ON images BEGIN"
                        " INSERT INTO fired VALUES ('any'); END;");
    fixture_execf(&e->f, "UPDATE images SET isEmbedded = 0 WHERE id = %Q; DELETE FROM fired",
                  e->id);
    assert_edit(e, edit_op(e, "JPEG"), true, false);
    assert_string_equal(fixture_text(&e->f, "SELECT group_concat(what) FROM (SELECT what FROM"
                                            " fired ORDER BY what)"),
                        "any,tagged");
}

/* What an older installation lacks; faces without the clusters stay, nobody knows their names. */
static void test_older_schemas(void **state)
{
    static const char *const drops[] = {
        "DROP TABLE image_classes",
        "DROP TABLE image_embeddings",
        "ALTER TABLE face_clusters DROP COLUMN cluster_name",
        "DROP TABLE faces",
        "DROP TABLE face_clusters",
        "ALTER TABLE images DROP COLUMN isEmbedded",
        "ALTER TABLE images DROP COLUMN isTagged",
    };
    Edit *e = *state;

    for (size_t i = 0; i < sizeof(drops) / sizeof(drops[0]); i++) {
        StoreOp op;

        fixture_exec(&e->f, drops[i]);
        op = edit_op(e, i % 2 ? "odd" : "even");
        fixture_write(&e->f, &op, 1);
        assert_int_equal(op.result, STORE_OP_RESULT_DONE);
        assert_true(op.retagged);
        store_op_done(&op);
        if (i == 2)
            assert_int_equal(
                fixture_count(&e->f, "SELECT count(*) FROM faces WHERE image_id = %Q", e->id), 1);
    }
}

static void test_faces_stay_without_names(void **state)
{
    Edit *e = *state;

    fixture_exec(&e->f, "DROP TABLE face_clusters");
    fixture_write_one(&e->f, edit_op(e, "JPEG"), STORE_OP_RESULT_DONE);
    assert_string_equal(all_of(e, e->id), "001 0061");
}

/* Tables that cannot be worked with as they are: their rows stay, everything else is done. */
static void test_faces_are_a_view(void **state)
{
    Edit *e = *state;

    fixture_exec(&e->f, "ALTER TABLE faces RENAME TO f; CREATE VIEW faces AS SELECT * FROM f");
    fixture_write_one(&e->f, edit_op(e, "JPEG"), STORE_OP_RESULT_DONE);
    assert_string_equal(all_of(e, e->id), "001 0061");
}

static void test_faces_without_rowid(void **state)
{
    Edit *e = *state;

    fixture_exec(&e->f, "DROP TABLE faces; CREATE TABLE faces (face_id INTEGER PRIMARY KEY,"
                        " image_id TEXT, cluster_id TEXT) WITHOUT ROWID");
    fixture_execf(&e->f, "INSERT INTO faces VALUES (1, %Q, NULL)", e->id);
    fixture_write_one(&e->f, edit_op(e, "JPEG"), STORE_OP_RESULT_DONE);
    assert_string_equal(all_of(e, e->id), "001 0011");
}

/* Many photos and faces in one call; the faces are read once, in pages. */
static void test_many(void **state)
{
    enum { N = 40, FACES = 100 };
    Edit *e = *state;
    StoreOp ops[N];

    for (int i = 0; i < N; i++) {
        char path[32];
        char *id;

        (void)snprintf(path, sizeof(path), "/r/many%d.jpg", i);
        id = fixture_add_row(&e->f, path);
        fixture_execf(&e->f,
                      "WITH n (k) AS (SELECT 1 UNION ALL SELECT k + 1 FROM n WHERE k < %d)"
                      " INSERT INTO faces (image_id) SELECT %Q FROM n",
                      FACES, id);
        ops[i] = edit_op(e, "JPEG");
        free(ops[i].id);
        ops[i].id = id;
        ops[i].retag = i != 7;
    }
    fixture_write(&e->f, ops, N);
    for (int i = 0; i < N; i++) {
        assert_int_equal(ops[i].retagged, i != 7);
        assert_int_equal(
            fixture_count(&e->f, "SELECT count(*) FROM faces WHERE image_id = %Q", ops[i].id),
            i == 7 ? FACES : 0);
        store_op_done(&ops[i]);
    }
    assert_string_equal(all_of(e, e->id), ALL);
}

/* The whole edit is undone when a trigger of somebody's forbids a part of it. */
static void test_forbidden(void **state)
{
    Edit *e = *state;

    fixture_exec(&e->f, "CREATE TRIGGER t BEFORE DELETE ON image_embeddings BEGIN"
                        " SELECT RAISE(ABORT, 'no'); END");
    fixture_write_one(&e->f, edit_op(e, "JPEG"), STORE_OP_RESULT_FAILED);
    assert_string_equal(all_of(e, e->id), ALL);
}

/* Locked while the faces are looked for: nothing is lost, and it ends well the next time. */
static void test_busy(void **state)
{
    Edit *e = *state;
    StoreOp op = edit_op(e, "JPEG");

    fixture_exec(&e->f, "BEGIN EXCLUSIVE");
    assert_int_equal(store_write(e->f.store, &op, 1), STORE_E_BUSY);
    assert_int_equal(op.result, STORE_OP_RESULT_PENDING);
    fixture_exec(&e->f, "ROLLBACK");
    assert_edit(e, op, true, false);
}

/* ---- the ledger ---- */

static void ledger_write(Edit *e, int64_t size, int64_t mtime)
{
    fixture_execf(&e->f, "REPLACE INTO self_writes VALUES ('/r/1.jpg', %lld, %lld, 0)",
                  (long long)size, (long long)mtime);
}

static long ledger_count(Edit *e)
{
    return fixture_count(&e->f, "SELECT count(*) FROM self_writes");
}

static void test_claimed_once(void **state)
{
    Edit *e = *state;

    fixture_exec(&e->f, LEDGER "INSERT INTO self_writes VALUES ('/r/2.jpg', 10, 20, 0)");
    ledger_write(e, 10, 20);
    assert_edit(e, edit_op(e, "JPEG"), false, true);
    assert_int_equal(ledger_count(e), 1);
    assert_edit(e, edit_op(e, "Jpeg"), true, false);
    assert_int_equal(ledger_count(e), 1);
}

static void test_claimed_though_pixels_same(void **state)
{
    Edit *e = *state;

    fixture_exec(&e->f, LEDGER);
    ledger_write(e, 10, 20);
    assert_edit(e, edit_op(e, "jpeg"), false, true);
    assert_int_equal(ledger_count(e), 0);
    assert_edit(e, edit_op(e, "JPEG"), true, false);
}

static void test_no_match(void **state)
{
    static const int64_t wrong[][2] = {{11, 20}, {10, 21}, {10, 19}, {0, 0}};
    Edit *e = *state;

    fixture_exec(&e->f, LEDGER);
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        StoreOp op = edit_op(e, i % 2 ? "odd" : "even");

        ledger_write(e, wrong[i][0], wrong[i][1]);
        fixture_write(&e->f, &op, 1);
        assert_true(op.retagged);
        assert_false(op.own_write);
        assert_int_equal(ledger_count(e), 1);
        store_op_done(&op);
    }
}

/* A file of whose state nothing is known is nobody's. */
static void test_no_stamp(void **state)
{
    Edit *e = *state;
    StoreOp op = edit_op(e, "JPEG");

    fixture_exec(&e->f, LEDGER);
    ledger_write(e, 0, 0);
    op.stamp = (FileStamp){0};
    assert_edit(e, op, true, false);
    assert_int_equal(ledger_count(e), 1);
}

static void test_malformed(void **state)
{
    static const char *const ledgers[] = {
        "CREATE TABLE self_writes (path TEXT PRIMARY KEY, size INTEGER, file_mtime INTEGER)",
        "CREATE TABLE self_writes (file_size INTEGER)",
        "CREATE VIEW self_writes AS SELECT '/r/1.jpg' AS path, 10 AS file_size, 20 AS file_mtime",
    };
    Edit *e = *state;

    for (size_t i = 0; i < sizeof(ledgers) / sizeof(ledgers[0]); i++) {
        StoreOp op = edit_op(e, i % 2 ? "odd" : "even");

        fixture_exec(&e->f, ledgers[i]);
        fixture_write(&e->f, &op, 1);
        assert_int_equal(op.result, STORE_OP_RESULT_DONE);
        assert_true(op.retagged);
        assert_false(op.own_write);
        store_op_done(&op);
        fixture_execf(&e->f, "DROP %s self_writes", i == 2 ? "VIEW" : "TABLE");
    }
}

/* It comes and goes while the store is open. */
static void test_comes_and_goes(void **state)
{
    Edit *e = *state;

    fixture_write_one(&e->f, edit_op(e, "jpeg"), STORE_OP_RESULT_DONE);
    fixture_exec(&e->f, LEDGER);
    ledger_write(e, 10, 20);
    assert_edit(e, edit_op(e, "one"), false, true);
    fixture_exec(&e->f, "DROP TABLE self_writes");
    assert_edit(e, edit_op(e, "two"), true, false);
}

/* An entry that cannot be taken would count for ever: it does not count at all. */
static void test_cannot_be_taken(void **state)
{
    Edit *e = *state;

    fixture_exec(&e->f, LEDGER "CREATE TRIGGER t BEFORE DELETE ON self_writes BEGIN"
                               " SELECT RAISE(ABORT, 'no'); END");
    ledger_write(e, 10, 20);
    assert_edit(e, edit_op(e, "JPEG"), true, false);
    assert_int_equal(ledger_count(e), 1);
}

/* That trigger ends the transaction: the edit has failed, those beside it are written. */
static void test_rolls_back(void **state)
{
    Edit *e = *state;
    StoreOp ops[2] = {edit_op(e, "JPEG"), fixture_add("/r/3.jpg")};

    fixture_exec(&e->f, LEDGER "CREATE TRIGGER t BEFORE DELETE ON self_writes BEGIN"
                               " SELECT RAISE(ROLLBACK, 'no'); END");
    ledger_write(e, 10, 20);
    fixture_write(&e->f, ops, 2);
    assert_int_equal(ops[0].result, STORE_OP_RESULT_FAILED);
    assert_int_equal(ops[1].result, STORE_OP_RESULT_DONE);
    assert_string_equal(all_of(e, e->id), ALL);
    store_op_done(&ops[0]);
    store_op_done(&ops[1]);
}

static void damage(Fixture *f, int fd, const char *name)
{
    long root = fixture_count(f, "SELECT rootpage FROM sqlite_schema WHERE name = %Q", name);
    unsigned char page[4096];

    assert_int_equal(fixture_count(f, "PRAGMA page_size"), sizeof(page));
    memset(page, 0xee, sizeof(page));
    assert_int_equal(pwrite(fd, page, sizeof(page), (root - 1) * (off_t)sizeof(page)),
                     sizeof(page));
}

/* Its pages are damaged, those of all other tables are not. */
static void test_damaged(void **state)
{
    Edit *e = *state;
    StoreOp op;
    int fd;

    fixture_exec(&e->f, LEDGER);
    ledger_write(e, 10, 20);
    op = edit_op(e, "JPEG");
    fd = open(e->f.database, O_WRONLY);
    damage(&e->f, fd, "self_writes");
    damage(&e->f, fd, "sqlite_autoindex_self_writes_1");
    e->f.store = store_free(e->f.store);
    (void)sqlite3_close(e->f.db);
    (void)close(fd);
    fixture_open_backend(&e->f);
    assert_int_equal(store_create(&e->f.options, &e->f.store), 0);
    assert_edit(e, op, true, false);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_pixels_differ, setup, teardown),
        cmocka_unit_test_setup_teardown(test_longer_and_shorter, setup, teardown),
        cmocka_unit_test_setup_teardown(test_pixels_same, setup, teardown),
        cmocka_unit_test_setup_teardown(test_large, setup, teardown),
        cmocka_unit_test_setup_teardown(test_old_thumbnail_unusable, setup, teardown),
        cmocka_unit_test_setup_teardown(test_not_wanted, setup, teardown),
        cmocka_unit_test_setup_teardown(test_flags_named_once, setup, teardown),
        cmocka_unit_test_setup_teardown(test_older_schemas, setup, teardown),
        cmocka_unit_test_setup_teardown(test_faces_stay_without_names, setup, teardown),
        cmocka_unit_test_setup_teardown(test_faces_are_a_view, setup, teardown),
        cmocka_unit_test_setup_teardown(test_faces_without_rowid, setup, teardown),
        cmocka_unit_test_setup_teardown(test_many, setup, teardown),
        cmocka_unit_test_setup_teardown(test_forbidden, setup, teardown),
        cmocka_unit_test_setup_teardown(test_busy, setup, teardown),
        cmocka_unit_test_setup_teardown(test_claimed_once, setup, teardown),
        cmocka_unit_test_setup_teardown(test_claimed_though_pixels_same, setup, teardown),
        cmocka_unit_test_setup_teardown(test_no_match, setup, teardown),
        cmocka_unit_test_setup_teardown(test_no_stamp, setup, teardown),
        cmocka_unit_test_setup_teardown(test_malformed, setup, teardown),
        cmocka_unit_test_setup_teardown(test_comes_and_goes, setup, teardown),
        cmocka_unit_test_setup_teardown(test_cannot_be_taken, setup, teardown),
        cmocka_unit_test_setup_teardown(test_rolls_back, setup, teardown),
        cmocka_unit_test_setup_teardown(test_damaged, setup, teardown),
    };

    return cmocka_run_group_tests_name("store retag", tests, NULL, NULL);
}
