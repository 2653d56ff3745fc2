/*
 * The graveyard, when what hung on a row has changed by the time its file comes back: parents,
 * columns, tables, triggers; and with tables that PictoPy does not have yet.
 */

#include "graveyard_fixture.h"

/* ---- what has changed meanwhile ---- */

static void test_parents_gone(void **state)
{
    Fixture *f = *state;
    char *id = add(f, "/r/1.jpg", FINGERPRINT), *again;

    decorate(f, id);
    remove_photo(f, id);
    fixture_exec(f, "DELETE FROM albums WHERE album_id = 'a2';"
                    "DELETE FROM face_clusters WHERE cluster_id = 'ada';"
                    "DELETE FROM mappings WHERE class_id = 2; DELETE FROM memories");
    again = add(f, "/r/1.jpg", FINGERPRINT);
    assert_string_equal(again, id);
    assert_string_equal(fixture_text(f, "SELECT group_concat(album_id) FROM album_images"), "a1");
    assert_int_equal(fixture_count(f, "SELECT count(*) FROM faces WHERE cluster_id IS NULL"), 2);
    assert_int_equal(fixture_count(f, "SELECT count(*) FROM image_classes"), 1);
    assert_int_equal(fixture_count(f, "SELECT count(*) FROM memory_images"), 0);
    assert_int_equal(fixture_count(f, "SELECT isFavourite FROM images"), 1);
    free(again);
    free(id);
}

/* An album's cover that the user has chosen anew stays; one that still says the old path follows,
 * unless another photo is there. */
static void test_covers(void **state)
{
    Fixture *f = *state;
    char *id = add(f, "/r/1.jpg", FINGERPRINT), *other, *again;

    decorate(f, id);
    fixture_exec(f, "UPDATE albums SET cover_image_path = '/r/1.jpg'");
    remove_photo(f, id);
    fixture_exec(f, "UPDATE albums SET cover_image_path = '/r/other.jpg' WHERE album_id = 'a2';"
                    "INSERT INTO memories VALUES ('m2', 'New', NULL)");
    again = add(f, "/r/2.jpg", FINGERPRINT);
    assert_string_equal(fixture_text(f, "SELECT group_concat(cover_image_path) FROM"
                                        " (SELECT * FROM albums ORDER BY 1)"),
                        "/r/2.jpg,/r/other.jpg");
    assert_string_equal(fixture_text(f, "SELECT group_concat(quote(cover_image_id)) FROM"
                                        " (SELECT * FROM memories ORDER BY 1)"),
                        fixture_text(f, "SELECT quote(id) || ',NULL' FROM images"));
    remove_photo(f, again);
    free(again);
    other = add(f, "/r/2.jpg", 7);
    fixture_exec(f, "UPDATE albums SET cover_image_path = '/r/2.jpg'");
    again = add(f, "/r/3.jpg", FINGERPRINT);
    assert_string_equal(again, id);
    assert_int_equal(fixture_count(f, "SELECT count(*) FROM albums WHERE cover_image_path ="
                                      " '/r/2.jpg'"),
                     2);
    free(again);
    free(other);
    free(id);
}

static int notices;

static void count_notices(const LogRecord *record)
{
    notices += record->level == LOG_LEVEL_NOTICE;
}

/* The schema is another one by the time the file comes back. */
static void test_columns(void **state)
{
    Fixture *f = *state;
    char *id = add(f, "/r/1.jpg", FINGERPRINT), *again;

    decorate(f, id);
    fixture_exec(f, "ALTER TABLE images ADD COLUMN rating INTEGER; UPDATE images SET rating = 5");
    remove_photo(f, id);
    fixture_exec(f, "ALTER TABLE images ADD COLUMN later TEXT DEFAULT 'new';"
                    "ALTER TABLE images DROP COLUMN rating; ALTER TABLE faces DROP COLUMN bbox;"
                    "ALTER TABLE faces ADD COLUMN age INTEGER NOT NULL DEFAULT 3;"
                    "DROP TABLE image_embeddings; DROP TABLE memory_images;"
                    "ALTER TABLE albums DROP COLUMN cover_image_path");
    notices = 0;
    log_set_sink(count_notices);
    again = add(f, "/r/1.jpg", FINGERPRINT);
    log_set_sink(NULL);
    assert_string_equal(again, id);
    assert_string_equal(fixture_text(f, "SELECT isFavourite || later FROM images"), "1new");
    assert_int_equal(fixture_count(f, "SELECT sum(age) FROM faces"), 6);
    assert_int_equal(fixture_count(f, "SELECT count(*) FROM album_images"), 2);
    assert_int_equal(notices, 5); /* two columns, three tables */
    free(again);
    free(id);
}

/* An installation of before: no embeddings, memories, scores. */
static void test_old_schema(void **state)
{
    Fixture *f = *state;
    char *id, *again;

    fixture_exec(f, "DROP TABLE memory_images; DROP TABLE memories; DROP TABLE image_embeddings;"
                    "DROP TABLE video_frame_embeddings; DROP TABLE video_frames;"
                    "ALTER TABLE images DROP COLUMN isEmbedded;"
                    "ALTER TABLE albums DROP COLUMN cover_image_path");
    id = add(f, "/r/1.jpg", FINGERPRINT);
    fixture_execf(f,
                  "UPDATE images SET isFavourite = 1;"
                  "INSERT INTO album_images VALUES ('a1', %Q)",
                  id);
    remove_photo(f, id);
    again = add(f, "/r/1.jpg", FINGERPRINT);
    assert_string_equal(again, id);
    assert_string_equal(fixture_text(f, "SELECT isFavourite || album_id FROM images,"
                                        " album_images"),
                        "1a1");
    free(again);
    free(id);
}

/* Tables that a later version may have: names of any kind, keys of several columns, no index, no
 * primary key, references by path, to themselves, deferred. */
static const char future_schema[] =
    "CREATE TABLE \"my \"\"notes\"\"\" (\"the key\" INTEGER PRIMARY KEY, \"photo of\" TEXT"
    " REFERENCES images ON DELETE CASCADE, note TEXT);"
    "CREATE TABLE album_notes (album_id TEXT, image_id TEXT, note BLOB, FOREIGN KEY (album_id,"
    " image_id) REFERENCES album_images ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED);"
    "CREATE TABLE shares (path TEXT REFERENCES images (path) ON DELETE CASCADE ON UPDATE CASCADE,"
    " who TEXT) ;"
    "CREATE TABLE stars (image_id TEXT NOT NULL REFERENCES images (id) ON DELETE CASCADE,"
    " n INTEGER, PRIMARY KEY (image_id, n)) WITHOUT ROWID;"
    "CREATE TABLE walls (title TEXT, best TEXT REFERENCES images (id) ON DELETE SET NULL);"
    "CREATE TABLE comments (id INTEGER PRIMARY KEY, image_id TEXT REFERENCES images (id) ON DELETE"
    " CASCADE, answers INTEGER REFERENCES comments (id) ON DELETE CASCADE, words TEXT);"
    "CREATE TABLE odd (image_id TEXT REFERENCES images (id) ON DELETE CASCADE, n INTEGER,"
    " twice INTEGER GENERATED ALWAYS AS (n * 2) STORED);"
    "CREATE TABLE kept (image_id TEXT REFERENCES nowhere (id) ON DELETE CASCADE);";

static void test_future(void **state)
{
    Fixture *f = *state;
    char *id = add(f, "/r/1.jpg", FINGERPRINT), *again;

    fixture_exec(f, future_schema);
    fixture_execf(f,
                  "INSERT INTO album_images VALUES ('a1', %Q);"
                  "INSERT INTO \"my \"\"notes\"\"\" VALUES (7, %Q, 'n');"
                  "INSERT INTO album_notes VALUES ('a1', %Q, x'c3');"
                  "INSERT INTO shares VALUES ('/r/1.jpg', 'bob');"
                  "INSERT INTO stars VALUES (%Q, 5), (%Q, 6);"
                  "INSERT INTO walls VALUES ('w', %Q);"
                  "INSERT INTO comments VALUES (1, %Q, NULL, 'a'), (2, %Q, 1, 'b');"
                  "INSERT INTO odd (image_id, n) VALUES (%Q, 4);",
                  id, id, id, id, id, id, id, id, id);
    remove_photo(f, id);
    assert_int_equal(fixture_count(f, "SELECT count(*) FROM comments"), 0);
    again = add(f, "/r/2.jpg", FINGERPRINT);
    assert_string_equal(again, id);
    assert_string_equal(
        fixture_text(f,
                     "SELECT (SELECT \"the key\" || note FROM \"my \"\"notes\"\"\" WHERE"
                     " \"photo of\" = %Q) || (SELECT quote(note) FROM album_notes) ||"
                     " (SELECT path || who FROM shares) || (SELECT sum(n) FROM stars WHERE"
                     " image_id = %Q) || (SELECT title FROM walls WHERE best = %Q) ||"
                     " (SELECT group_concat(words) FROM comments WHERE image_id = %Q) ||"
                     " (SELECT twice FROM odd)",
                     id, id, id, id),
        "7nX'C3'/r/2.jpgbob11wa,b8");
    free(again);
    free(id);
}

/* A parent that is gone, of a key that is looked at only at the commit: the others come back. */
static void test_deferred(void **state)
{
    Fixture *f = *state;
    char *id, *again;

    fixture_exec(f, future_schema);
    id = add(f, "/r/1.jpg", FINGERPRINT);
    fixture_execf(f,
                  "INSERT INTO album_images VALUES ('a1', %Q), ('a2', %Q);"
                  "INSERT INTO album_notes VALUES ('a1', %Q, 'x'), ('a2', %Q, 'y')",
                  id, id, id, id);
    remove_photo(f, id);
    fixture_exec(f, "DELETE FROM albums WHERE album_id = 'a1'");
    again = add(f, "/r/1.jpg", FINGERPRINT);
    assert_string_equal(again, id);
    assert_string_equal(fixture_text(f, "SELECT group_concat(note) FROM album_notes"), "y");
    free(again);
    free(id);
}

/* Numbers that were given to others meanwhile; the same row that is still there. */
static void test_numbers(void **state)
{
    Fixture *f = *state;
    char *id, *other, *again;

    fixture_exec(f, future_schema);
    id = add(f, "/r/1.jpg", FINGERPRINT);
    other = add(f, "/r/2.jpg", 2);
    fixture_execf(f, "INSERT INTO \"my \"\"notes\"\"\" VALUES (1, %Q, 'old')", id);
    remove_photo(f, id);
    fixture_execf(f, "INSERT INTO \"my \"\"notes\"\"\" VALUES (1, %Q, 'new')", other);
    again = add(f, "/r/1.jpg", FINGERPRINT);
    assert_string_equal(fixture_text(f, "SELECT group_concat(note) FROM (SELECT * FROM"
                                        " \"my \"\"notes\"\"\" ORDER BY 1)"),
                        "new,old");
    remove_photo(f, again);
    /* Somebody without foreign keys has put it back already. */
    fixture_exec(f, "PRAGMA foreign_keys = OFF");
    fixture_execf(f, "INSERT INTO \"my \"\"notes\"\"\" VALUES (2, %Q, 'old')", id);
    fixture_exec(f, "PRAGMA foreign_keys = ON");
    free(again);
    again = add(f, "/r/1.jpg", FINGERPRINT);
    assert_int_equal(fixture_count(f, "SELECT count(*) FROM \"my \"\"notes\"\"\""), 2);
    free(again);
    free(other);
    free(id);
}

/* ---- rows that cannot come back ---- */

static void test_triggers(void **state)
{
    Fixture *f = *state;
    char *id = add(f, "/r/1.jpg", FINGERPRINT), *again;

    decorate(f, id);
    fixture_exec(f, "CREATE TABLE log (t TEXT);"
                    "CREATE TRIGGER no_faces AFTER INSERT ON faces BEGIN"
                    " INSERT INTO log VALUES ('half'); SELECT RAISE(FAIL, 'no faces'); END;"
                    "CREATE TRIGGER no_tags BEFORE INSERT ON image_classes BEGIN"
                    " SELECT RAISE(ABORT, 'no tags'); END");
    remove_photo(f, id);
    again = add(f, "/r/1.jpg", FINGERPRINT);
    assert_string_equal(again, id);
    assert_int_equal(fixture_count(f, "SELECT count(*) FROM faces"), 0);
    assert_int_equal(fixture_count(f, "SELECT count(*) FROM image_classes"), 0);
    assert_int_equal(fixture_count(f, "SELECT count(*) FROM log"), 0);
    assert_int_equal(fixture_count(f, "SELECT count(*) FROM album_images"), 2);
    free(again);
    free(id);
}

/* The old row cannot be inserted: the file gets a new one. */
static void test_refused(void **state)
{
    Fixture *f = *state;
    char *id = add(f, "/r/1.jpg", FINGERPRINT), *again;
    StoreOp op;

    fixture_execf(f, "UPDATE images SET isFavourite = 1");
    remove_photo(f, id);
    fixture_exec(f, "CREATE TRIGGER no BEFORE INSERT ON images WHEN new.isFavourite BEGIN"
                    " SELECT RAISE(ABORT, 'no favourites'); END");
    again = add(f, "/r/1.jpg", FINGERPRINT);
    assert_string_not_equal(again, id);
    assert_int_equal(graves(f), 1);
    remove_photo(f, again);
    free(again);
    fixture_exec(f, "DROP TRIGGER no; CREATE TRIGGER no BEFORE INSERT ON images WHEN"
                    " new.isFavourite BEGIN SELECT RAISE(ROLLBACK, 'no favourites'); END");
    exec_state(f, "UPDATE graves SET number = number + 100"); /* as if it were another one */
    op = add_op("/r/1.jpg", FINGERPRINT);
    fixture_write(f, &op, 1);
    assert_int_equal(op.result, STORE_OP_RESULT_DONE); /* the later one of the two */
    store_op_done(&op);
    free(id);
}

static void test_rolled_back(void **state)
{
    Fixture *f = *state;
    char *id = add(f, "/r/1.jpg", FINGERPRINT), *again;

    fixture_execf(f, "UPDATE images SET isFavourite = 1");
    remove_photo(f, id);
    fixture_exec(f, "CREATE TRIGGER no BEFORE INSERT ON images WHEN new.isFavourite BEGIN"
                    " SELECT RAISE(ROLLBACK, 'no favourites'); END");
    fixture_write_one(f, add_op("/r/1.jpg", FINGERPRINT), STORE_OP_RESULT_FAILED);
    again = add(f, "/r/1.jpg", FINGERPRINT); /* it is not tried twice */
    assert_string_not_equal(again, id);
    free(again);
    free(id);
}

/* A deletion that is stopped leaves nothing behind. */
static void test_undone(void **state)
{
    Fixture *f = *state;
    char *id = add(f, "/r/1.jpg", FINGERPRINT);

    fixture_exec(f, "CREATE TRIGGER no BEFORE DELETE ON images BEGIN"
                    " SELECT RAISE(ABORT, 'never'); END");
    free(add(f, "/r/2.jpg", 2)); /* which meets the new schema */
    fixture_write_one(f, fixture_remove(id, MEDIA_KIND_PHOTO), STORE_OP_RESULT_FAILED);
    assert_int_equal(graves(f), 0);
    assert_int_equal(fixture_count(f, "SELECT count(*) FROM images"), 2);
    assert_int_equal(store_counters(f->store)->buried, 0);
    free(id);
}

/* ---- removing what hangs on a row by hand, which replaces SQLite's cascade ---- */

static long faces_of(Fixture *f, const char *id)
{
    return fixture_count(f, "SELECT count(*) FROM faces WHERE image_id = %Q", id);
}

/* Rows far from one another, in a table that is read in windows; those of others stay. */
static void test_rowids(void **state)
{
    Fixture *f = *state;
    char *id = add(f, "/r/1.jpg", FINGERPRINT), *other = add(f, "/r/2.jpg", 2), *before;
    const char *const rowids[] = {
        "-9223372036854775808", "-1", "0", "1024", "1025", "90000", "9223372036854775806",
        "9223372036854775807"};

    for (size_t i = 0; i < sizeof(rowids) / sizeof(*rowids); i++)
        fixture_execf(f, "INSERT INTO faces (face_id, image_id) VALUES (%s, %Q)", rowids[i],
                      i % 2 ? other : id);
    before = identity(f, id);
    remove_photo(f, id);
    assert_int_equal(faces_of(f, id), 0);
    assert_int_equal(faces_of(f, other), 4);
    assert_returns(f, "/r/1.jpg", id, before);
    assert_int_equal(faces_of(f, id), 4);
    free(before);
    free(other);
    free(id);
}

/* What the schema forbids stays forbidden. */
static void test_restricted(void **state)
{
    Fixture *f = *state;
    char *id = add(f, "/r/1.jpg", FINGERPRINT);

    fixture_exec(f, "CREATE TABLE prints (image_id TEXT REFERENCES images (id))");
    fixture_execf(f, "INSERT INTO prints VALUES (%Q)", id);
    fixture_write_one(f, fixture_remove(id, MEDIA_KIND_PHOTO), STORE_OP_RESULT_FAILED);
    assert_int_equal(fixture_count(f, "SELECT count(*) FROM images"), 1);
    fixture_exec(f, "DELETE FROM prints");
    remove_photo(f, id);
    free(id);
}

/* Triggers and actions that only SQLite can carry out: with each alone. */
static void cascade(Fixture *f, const char *sql, const char *left, const char *expected)
{
    char *id = add(f, "/r/1.jpg", FINGERPRINT);

    fixture_exec(f, "CREATE TABLE queue (image_id TEXT REFERENCES images (id) ON DELETE CASCADE)");
    fixture_exec(f, sql);
    decorate(f, id);
    remove_photo(f, id);
    assert_string_equal(fixture_text(f, "%s", left), expected);
    assert_int_equal(faces_of(f, id), 0);
    free(id);
}

static void test_trigger_on_images(void **state)
{
    cascade(*state,
            "CREATE TRIGGER t BEFORE DELETE ON images BEGIN"
            " INSERT INTO queue VALUES (old.id); END",
            "SELECT count(*) FROM queue", "0");
}

/* What it inserts refers to the photo, which is not there any more when SQLite removes the rest. */
static void refused_by_trigger(Fixture *f, const char *sql)
{
    char *id = add(f, "/r/1.jpg", FINGERPRINT), *before, *after;

    fixture_exec(f, "CREATE TABLE queue (image_id TEXT REFERENCES images (id) ON DELETE CASCADE)");
    fixture_exec(f, sql);
    decorate(f, id);
    before = identity(f, id);
    fixture_write_one(f, fixture_remove(id, MEDIA_KIND_PHOTO), STORE_OP_RESULT_FAILED);
    after = identity(f, id);
    assert_string_equal(after, before);
    free(after);
    free(before);
    free(id);
}

static void test_trigger_on_tags(void **state)
{
    refused_by_trigger(*state, "CREATE TRIGGER t AFTER DELETE ON image_classes BEGIN"
                               " INSERT INTO queue VALUES (old.image_id); END");
}

static void test_trigger_on_memories(void **state)
{
    refused_by_trigger(*state, "CREATE TRIGGER t AFTER UPDATE ON memories"
                               " WHEN new.cover_image_id IS NULL BEGIN"
                               " INSERT INTO queue VALUES (old.cover_image_id); END");
}

static void test_set_default(void **state)
{
    cascade(*state,
            "INSERT INTO images (id, path) VALUES ('none', '/none.jpg');"
            "CREATE TABLE cards (image_id TEXT DEFAULT 'none' REFERENCES images (id)"
            " ON DELETE SET DEFAULT);"
            "CREATE TRIGGER t AFTER INSERT ON album_images BEGIN"
            " INSERT INTO cards VALUES (new.image_id); END",
            "SELECT image_id FROM cards", "none");
}

/* Nothing is kept, and all goes as it would. */
static void test_not_kept(void **state)
{
    Fixture *f = *state;
    char *id = add(f, "/r/1.jpg", FINGERPRINT), *other = add(f, "/r/2.jpg", 2), *before, *after;

    decorate(f, other);
    before = identity(f, other);
    decorate(f, id);
    fixture_exec(f, "UPDATE memories SET cover_image_id = (SELECT id FROM images WHERE path ="
                    " '/r/1.jpg')");
    f->store->options.graveyard_days = 0;
    remove_photo(f, id);
    assert_int_equal(graves(f), 0);
    assert_int_equal(fixture_count(f, "SELECT count(*) FROM memories WHERE cover_image_id IS NULL"),
                     1);
    fixture_execf(f, "UPDATE memories SET cover_image_id = %Q", other);
    fixture_exec(f, "UPDATE albums SET cover_image_path = '/r/2.jpg' WHERE album_id = 'a1'");
    after = identity(f, other);
    assert_string_equal(after, before);
    free(after);
    free(before);
    free(other);
    free(id);
}

/* A table that cannot be read: what the others hold is kept. */
static int no_order(void *data, int a, const void *x, int b, const void *y)
{
    (void)data;
    (void)x;
    (void)y;
    return a - b;
}

static void test_unreadable(void **state)
{
    Fixture *f = *state;
    char *id = add(f, "/r/1.jpg", FINGERPRINT), *again;

    assert_int_equal(sqlite3_create_collation(f->db, "mine", SQLITE_UTF8, NULL, no_order), 0);
    fixture_exec(f, "ALTER TABLE albums DROP COLUMN cover_image_path;"
                    "ALTER TABLE albums ADD COLUMN cover_image_path TEXT COLLATE mine");
    fixture_execf(f, "INSERT INTO album_images VALUES ('a1', %Q)", id);
    remove_photo(f, id);
    again = add(f, "/r/1.jpg", FINGERPRINT);
    assert_string_equal(again, id);
    assert_int_equal(fixture_count(f, "SELECT count(*) FROM album_images"), 1);
    free(again);
    free(id);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(test_parents_gone),
        T(test_covers),
        T(test_columns),
        T(test_old_schema),
        T(test_future),
        T(test_numbers),
        T(test_deferred),
        T(test_triggers),
        T(test_rowids),
        T(test_restricted),
        T(test_trigger_on_images),
        T(test_trigger_on_tags),
        T(test_trigger_on_memories),
        T(test_set_default),
        T(test_not_kept),
        T(test_unreadable),
        T(test_refused),
        T(test_rolled_back),
        T(test_undone),
    };

    return cmocka_run_group_tests_name("store graveyard schema", tests, NULL, NULL);
}
