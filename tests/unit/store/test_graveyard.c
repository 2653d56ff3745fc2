/*
 * The graveyard: a row that is deleted comes back with its file, and with all that hung on it.
 */

#include "graveyard_fixture.h"

#include <pthread.h>

/* ---- the whole ---- */

static void test_returns(void **state)
{
    Fixture *f = *state;
    char *id = add(f, "/r/1.jpg", FINGERPRINT);
    char *before;

    decorate(f, id);
    before = identity(f, id);
    assert_string_not_equal(before, "");
    remove_photo(f, id);
    assert_int_equal(fixture_count(f, "SELECT count(*) FROM faces"), 0);
    assert_int_equal(graves(f), 1);
    assert_returns(f, "/r/1.jpg", id, before);
    assert_int_equal(store_counters(f->store)->buried, 1);
    assert_int_equal(store_counters(f->store)->exhumed, 1);
    free(before);
    free(id);
}

/* What the file says is the new file's; what the user said is the old row's. */
static void test_facts(void **state)
{
    Fixture *f = *state;
    char *id = add(f, "/r/1.jpg", FINGERPRINT);
    StoreOp op = add_op("/r/sub/2.jpg", FINGERPRINT);

    fixture_execf(f,
                  "UPDATE images SET isFavourite = 1, latitude = 1, longitude = 2,"
                  " captured_at = '1999-01-01T00:00:00' WHERE id = %Q",
                  id);
    remove_photo(f, id);
    free(op.metadata);
    op.metadata = strdup("{\"new\": 1}");
    op.has_location = true;
    op.latitude = 3.5;
    op.longitude = -4.5;
    (void)strcpy(op.captured_at, "2001-02-03T04:05:06");
    fixture_write(f, &op, 1);
    assert_string_equal(op.id, id);
    assert_true(op.inserted && op.restored);
    assert_string_equal(fixture_text(f, "SELECT path || metadata || latitude || longitude ||"
                                        " captured_at || isFavourite FROM images"),
                        "/r/sub/2.jpg{\"new\": 1}3.5-4.52001-02-03T04:05:061");
    assert_string_equal(fixture_text(f, "SELECT folder_path FROM folders JOIN images USING"
                                        " (folder_id)"),
                        "/r/sub");
    store_op_done(&op);
    free(id);
}

static void test_folder(void **state)
{
    Fixture *f = *state;
    char *ids[2] = {add(f, "/r/d/1.jpg", FINGERPRINT), add(f, "/r/d/e/2.jpg", FINGERPRINT + 1)};
    char *before, *again;

    decorate(f, ids[0]);
    before = identity(f, ids[0]);
    fixture_write_one(f, fixture_op(STORE_OP_FOLDER_REMOVE, "/r/d", NULL), STORE_OP_RESULT_DONE);
    assert_int_equal(fixture_count(f, "SELECT count(*) FROM images"), 0);
    assert_int_equal(graves(f), 2);
    again = add(f, "/r/d/e/2.jpg", FINGERPRINT + 1);
    assert_string_equal(again, ids[1]);
    assert_returns(f, "/r/d/1.jpg", ids[0], before);
    free(again);
    free(before);
    free(ids[0]);
    free(ids[1]);
}

static void test_video(void **state)
{
    Fixture *f = *state;
    char *id = add(f, "/r/1.mp4", FINGERPRINT), *again;

    fixture_execf(f,
                  "UPDATE videos SET isFavourite = 1;"
                  "INSERT INTO video_frames VALUES ('f1', %Q, 1), ('f2', %Q, 0);"
                  "INSERT INTO video_frame_embeddings VALUES ('f1', x'01'), ('f2', x'02');",
                  id, id);
    fixture_write_one(f, fixture_remove(id, MEDIA_KIND_VIDEO), STORE_OP_RESULT_DONE);
    assert_int_equal(fixture_count(f, "SELECT count(*) FROM video_frame_embeddings"), 0);
    again = add(f, "/r/1.mp4", FINGERPRINT);
    assert_string_equal(again, id);
    assert_string_equal(fixture_text(f, "SELECT isFavourite || group_concat(v.id || isEmbedded ||"
                                        " quote(embedding)) FROM videos, video_frames AS v JOIN"
                                        " video_frame_embeddings ON frame_id = v.id"),
                        "1f11X'01',f20X'02'");
    free(again);
    free(id);
}

/* A file moved over another one: that one's row is kept, too. */
static void test_overwritten(void **state)
{
    Fixture *f = *state;
    char *victim = add(f, "/r/1.jpg", FINGERPRINT), *id = add(f, "/r/2.jpg", 2);
    char *before;

    decorate(f, victim);
    fixture_exec(f, "UPDATE albums SET cover_image_path = NULL"); /* the path is the other's now */
    before = identity(f, victim);
    fixture_write_one(f, fixture_move(id, "/r/1.jpg"), STORE_OP_RESULT_DONE);
    assert_int_equal(graves(f), 1);
    assert_returns(f, "/r/3.jpg", victim, before);
    free(before);
    free(victim);
    free(id);
}

/* A directory moved over another one. */
static void test_overwritten_folder(void **state)
{
    Fixture *f = *state;
    char *victim = add(f, "/r/d/1.jpg", FINGERPRINT), *id = add(f, "/r/e/1.jpg", 2), *again;

    fixture_write_one(f, fixture_op(STORE_OP_FOLDER_MOVE, "/r/e", "/r/d"), STORE_OP_RESULT_DONE);
    fixture_assert_path(f, id, "/r/d/1.jpg");
    again = add(f, "/r/2.jpg", FINGERPRINT);
    assert_string_equal(again, victim);
    free(again);
    free(victim);
    free(id);
}

/* ---- which one ---- */

static void test_best(void **state)
{
    Fixture *f = *state;
    const char *const paths[] = {"/r/a/1.jpg", "/r/b/2.jpg", "/r/c/3.jpg", "/r/d/4.jpg"};
    char *ids[4], *again;

    for (int i = 0; i < 4; i++)
        ids[i] = add(f, paths[i], FINGERPRINT);
    fixture_exec(f, "UPDATE images SET isFavourite = 1"); /* none is another one's fresh copy */
    for (int i = 0; i < 4; i++)
        remove_photo(f, ids[i]);
    again = add(f, "/r/b/2.jpg", FINGERPRINT); /* the same path */
    assert_string_equal(again, ids[1]);
    remove_photo(f, again);
    free(again);
    again = add(f, "/r/elsewhere/3.jpg", FINGERPRINT); /* the same name */
    assert_string_equal(again, ids[2]);
    remove_photo(f, again);
    free(again);
    again = add(f, "/r/new.jpg", FINGERPRINT); /* the latest */
    assert_string_equal(again, ids[2]);
    free(again);
    for (int i = 0; i < 4; i++)
        free(ids[i]);
}

/* Each is used once; what is a copy of a file that is there gets a new row. */
static void test_copies(void **state)
{
    Fixture *f = *state;
    char *twin = add(f, "/r/twin.jpg", FINGERPRINT), *id = add(f, "/r/1.jpg", FINGERPRINT);
    char *copy, *again, *third;

    remove_photo(f, id);
    copy = add(f, "/r/copy.jpg", FINGERPRINT);
    assert_string_not_equal(copy, id);
    again = add(f, "/r/1.jpg", FINGERPRINT); /* its own place */
    assert_string_equal(again, id);
    third = add(f, "/r/third.jpg", FINGERPRINT);
    assert_string_not_equal(third, id);
    assert_int_equal(graves(f), 0);
    free(third);
    free(twin);
    free(copy);
    free(again);
    free(id);
}

/* While a twin is there, only what has the very time of the one that went is no copy. */
static void test_same_time(void **state)
{
    static const struct {
        const char *path;
        int64_t mtime_ns;
        bool back;
    } cases[] = {
        {"/r/x/1.jpg", 5000000007, false}, {"/r/x/2.jpg", 3000000000, true}, /* a tar's */
        {"/r/x/3.jpg", 3000000000, false}, /* as the twin that has just come back */
        {"/r/x/4.jpg", 4000000007, true},  {"/r/x/5.jpg", 4000000007, false},
    };
    Fixture *f = *state;
    char *twin = add(f, "/r/twin.jpg", FINGERPRINT), *ids[2];

    for (int i = 0; i < 2; i++) {
        StoreOp op = add_op(i == 0 ? "/r/a.jpg" : "/r/b.jpg", FINGERPRINT);

        op.stamp.mtime_ns = i == 0 ? 3000000007 : 4000000007;
        fixture_write(f, &op, 1);
        ids[i] = strdup(op.id);
        store_op_done(&op);
    }
    fixture_exec(f, "UPDATE images SET isFavourite = 1");
    for (int i = 0; i < 2; i++)
        remove_photo(f, ids[i]);
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        StoreOp op = add_op(cases[i].path, FINGERPRINT);

        op.stamp.mtime_ns = cases[i].mtime_ns;
        fixture_write(f, &op, 1);
        assert_int_equal(op.restored, cases[i].back);
        if (cases[i].back)
            assert_string_equal(op.id, ids[cases[i].mtime_ns == 4000000007]);
        store_op_done(&op);
    }
    free(twin);
    free(ids[0]);
    free(ids[1]);
}

static void test_other_content(void **state)
{
    Fixture *f = *state;
    char *id = add(f, "/r/1.jpg", FINGERPRINT), *other;
    StoreOp op = add_op("/r/2.jpg", FINGERPRINT);

    remove_photo(f, id);
    other = add(f, "/r/1.jpg", FINGERPRINT + 1);
    assert_string_not_equal(other, id);
    op.stamp.size = 11;
    fixture_write(f, &op, 1);
    assert_string_not_equal(op.id, id);
    store_op_done(&op);
    free(other);
    free(id);
}

/* Content that was never known: the same path, size and time. */
static void test_without_fingerprint(void **state)
{
    Fixture *f = *state;
    char *id = add(f, "/r/1.jpg", FINGERPRINT), *other, *again;
    StoreOp op = add_op("/r/1.jpg", FINGERPRINT);

    exec_state(f, "UPDATE files SET fingerprint = NULL");
    remove_photo(f, id);
    other = add(f, "/r/2.jpg", FINGERPRINT);
    assert_string_not_equal(other, id);
    op.stamp.mtime_ns++;
    fixture_write(f, &op, 1);
    assert_string_not_equal(op.id, id);
    remove_photo(f, op.id);
    again = add(f, "/r/1.jpg", FINGERPRINT + 1);
    assert_string_equal(again, id);
    store_op_done(&op);
    free(other);
    free(again);
    free(id);
}

/* ---- others write between reading and deleting ---- */

static Fixture *racing;
static const char *racing_id;

static void race_at_step(StoreStep step)
{
    if (step != STORE_STEP_BURIED || !racing)
        return;
    fixture_execf(racing, "INSERT INTO album_images VALUES ('a2', %Q)", racing_id);
    racing = NULL;
}

static void test_race(void **state)
{
    Fixture *f = *state;
    char *id = add(f, "/r/1.jpg", FINGERPRINT), *again;

    fixture_execf(f, "INSERT INTO album_images VALUES ('a1', %Q)", id);
    racing = f;
    racing_id = id;
    f->store->on_step = race_at_step;
    remove_photo(f, id);
    f->store->on_step = NULL;
    assert_null(racing);
    assert_int_equal(fixture_count(f, "SELECT count(*) FROM album_images"), 0);
    assert_int_equal(graves(f), 1);
    again = add(f, "/r/1.jpg", FINGERPRINT);
    assert_string_equal(again, id);
    assert_int_equal(fixture_count(f, "SELECT count(*) FROM album_images"), 2);
    free(again);
    free(id);
}

/* The schema changes between reading and deleting. */
static void race_schema(StoreStep step)
{
    if (step != STORE_STEP_BURIED || !racing)
        return;
    fixture_execf(racing,
                  "CREATE TABLE late (image_id TEXT REFERENCES images (id) ON DELETE CASCADE);"
                  "INSERT INTO late VALUES (%Q)",
                  racing_id);
    racing = NULL;
}

static void test_race_schema(void **state)
{
    Fixture *f = *state;
    char *id = add(f, "/r/1.jpg", FINGERPRINT), *again;

    racing = f;
    racing_id = id;
    f->store->on_step = race_schema;
    remove_photo(f, id);
    f->store->on_step = NULL;
    assert_int_equal(fixture_count(f, "SELECT count(*) FROM late"), 0);
    again = add(f, "/r/1.jpg", FINGERPRINT);
    assert_string_equal(again, id);
    assert_int_equal(fixture_count(f, "SELECT count(*) FROM late"), 1);
    free(again);
    free(id);
}

/* The backend writes while the rows are read: they are read again, and in the end under the lock.
 */
static int race_reads, race_writes;

static void race_reading(StoreStep step)
{
    struct timespec pause = {.tv_nsec = 20000000}; /* longer than a read may take */

    if (step != STORE_STEP_READ)
        return;
    if (race_reads++ > 0 && race_writes > 0) {
        race_writes--;
        fixture_execf(racing, "INSERT INTO faces (image_id) VALUES (%Q)", racing_id);
    }
    (void)nanosleep(&pause, NULL);
}

static void read_while(Fixture *f, int writes)
{
    char *id = add(f, "/r/1.jpg", FINGERPRINT), *again;

    decorate(f, id);
    racing = f;
    racing_id = id;
    race_reads = 0;
    race_writes = writes;
    f->store->on_step = race_reading;
    remove_photo(f, id);
    f->store->on_step = NULL;
    racing = NULL;
    assert_true(race_reads > 1);
    assert_int_equal(graves(f), 1);
    assert_int_equal(fixture_count(f, "SELECT count(*) FROM faces"), 0);
    again = add(f, "/r/1.jpg", FINGERPRINT);
    assert_int_equal(fixture_count(f, "SELECT count(*) FROM faces WHERE image_id = %Q", id),
                     2 + writes - race_writes);
    assert_true(race_writes < writes || writes == 0);
    f->store->options.graveyard_days = 0;
    remove_photo(f, id);
    f->store->options.graveyard_days = 30;
    free(again);
    free(id);
}

static void test_race_reading(void **state)
{
    Fixture *f = *state;

    read_while(f, 0);
    read_while(f, 1);
    read_while(f, 1000);
}

/* So much hangs on them that a transaction does not get through all that were foreseen. */
static void test_large(void **state)
{
    Fixture *f = *state;
    char *ids[100], *again;

    for (int i = 0; i < 100; i++) {
        char path[32];

        (void)snprintf(path, sizeof(path), "/r/d/%03d.jpg", i);
        ids[i] = add(f, path, (uint64_t)i);
        fixture_execf(f, "INSERT INTO image_embeddings VALUES (%Q, 'm', zeroblob(100000))", ids[i]);
    }
    fixture_write_one(f, fixture_op(STORE_OP_FOLDER_REMOVE, "/r/d", NULL), STORE_OP_RESULT_DONE);
    assert_int_equal(graves(f), 100);
    /* At most that many: how much one of them does is a matter of time. */
    assert_in_range(store_counters(f->store)->transactions, 100 + 9, 100 + 100);
    for (int i = 0; i < 100; i++) {
        char path[32];

        (void)snprintf(path, sizeof(path), "/r/d/%03d.jpg", i);
        again = add(f, path, (uint64_t)i);
        assert_string_equal(again, ids[i]);
        free(again);
        free(ids[i]);
    }
    assert_int_equal(fixture_count(f, "SELECT sum(length(embedding)) FROM image_embeddings"),
                     10000000);
}

/* ---- many, while the backend writes ---- */

enum { N_MANY = 300 };

static void *write_on(void *arg)
{
    const char *path = arg;
    sqlite3 *db;

    assert_int_equal(sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, NULL), SQLITE_OK);
    (void)sqlite3_busy_timeout(db, 5000);
    for (int i = 0; i < 100; i++) {
        struct timespec pause = {.tv_nsec = 3000000};

        (void)sqlite3_exec(db, "UPDATE memories SET title = title || '.'", NULL, NULL, NULL);
        (void)nanosleep(&pause, NULL);
    }
    (void)sqlite3_close(db);
    return NULL;
}

static void many_ops(StoreOp ops[N_MANY])
{
    for (int i = 0; i < N_MANY; i++) {
        char path[32];

        (void)snprintf(path, sizeof(path), "/r/d/%03d.jpg", i);
        ops[i] = add_op(path, (uint64_t)i);
    }
}

static void write_many(Fixture *f, StoreOp ops[N_MANY])
{
    many_ops(ops);
    fixture_write(f, ops, N_MANY);
}

/* One text for all that hangs on all photos. */
static char *everything(Fixture *f)
{
    return strdup(
        fixture_text(f, "SELECT (SELECT sum(face_id * length(embeddings)) FROM faces JOIN"
                        " images ON id = image_id) || ' ' || (SELECT count(*) FROM faces) ||"
                        " ' ' || (SELECT count(*) FROM album_images JOIN images ON id ="
                        " image_id) || ' ' || (SELECT group_concat(substr(id, 1, 6), '') FROM"
                        " (SELECT id FROM images ORDER BY path))"));
}

static void remove_many(Fixture *f, const char *words)
{
    StoreOp ops[N_MANY];
    char *before, *after;

    write_many(f, ops);
    for (int i = 0; i < N_MANY; i++) {
        fixture_execf(f, "INSERT INTO album_images VALUES ('a1', %Q)", ops[i].id);
        fixture_execf(
            f,
            "WITH RECURSIVE s (v) AS (SELECT 1 UNION ALL SELECT v + 1 FROM s WHERE v < %d)"
            "INSERT INTO faces (image_id, embeddings) SELECT %Q, zeroblob(%d) FROM s",
            20, ops[i].id, 100 + i);
        store_op_done(&ops[i]);
    }
    before = everything(f);
    fixture_write_one(f, fixture_op(STORE_OP_FOLDER_REMOVE, "/r/d", NULL), STORE_OP_RESULT_DONE);
    assert_int_equal(fixture_count(f, "SELECT count(*) FROM images"), 0);
    assert_int_equal(fixture_count(f, "SELECT count(*) FROM faces"), 0);
    assert_int_equal(graves(f), N_MANY);
    write_many(f, ops);
    after = everything(f);
    assert_string_equal(after, before);
    print_message("%s: %d photos, longest lock %llu us\n", words, N_MANY,
                  (unsigned long long)store_counters(f->store)->lock_us.max);
    for (int i = 0; i < N_MANY; i++)
        store_op_done(&ops[i]);
    free(after);
    free(before);
}

static void test_many(void **state)
{
    Fixture *f = *state;

    remove_many(f, "alone");
}

static void test_many_contended(void **state)
{
    Fixture *f = *state;
    pthread_t thread;

    assert_int_equal(pthread_create(&thread, NULL, write_on, f->database), 0);
    remove_many(f, "contended");
    assert_int_equal(pthread_join(thread, NULL), 0);
}

/* ---- by hand ---- */

static StoreOp restore_op(const char *path)
{
    return fixture_op(STORE_OP_MEDIA_RESTORE, path, NULL);
}

static void assert_restore_fails(Fixture *f, const char *path, const char *words)
{
    StoreOp op = restore_op(path);

    fixture_write(f, &op, 1);
    assert_int_equal(op.result, STORE_OP_RESULT_FAILED);
    if (!strstr(op.error, words))
        fail_msg("\"%s\" is not in \"%s\"", words, op.error);
    store_op_done(&op);
}

static void test_restore(void **state)
{
    Fixture *f = *state;
    char *id = add(f, "/r/1.jpg", FINGERPRINT), *fresh, *before, *after;

    decorate(f, id);
    before = identity(f, id);
    remove_photo(f, id);
    fresh = add(f, "/r/1.jpg", FINGERPRINT + 1); /* edited meanwhile */
    assert_string_not_equal(fresh, id);
    fixture_execf(f, "INSERT INTO faces (image_id, cluster_id) VALUES (%Q, 'nobody')", fresh);
    fixture_write_one(f, restore_op("/r/1.jpg"), STORE_OP_RESULT_DONE);
    after = identity(f, id);
    assert_string_equal(after, before);
    assert_int_equal(fixture_count(f, "SELECT count(*) FROM images"), 1);
    assert_int_equal(graves(f), 0);
    assert_int_equal(fixture_count(f, "SELECT count(*) FROM faces"), 2);
    /* The file is known under the old id. */
    {
        StateFile file;

        assert_true(state_read_file(&f->store->state, f->root_id, id, &file));
        assert_true(file.fingerprint == FINGERPRINT + 1);
        assert_false(state_read_file(&f->store->state, f->root_id, fresh, &file));
    }
    free(after);
    free(before);
    free(fresh);
    free(id);
}

static void test_restore_refused(void **state)
{
    Fixture *f = *state;
    char *id = add(f, "/r/1.jpg", FINGERPRINT), *fresh;

    assert_restore_fails(f, "/r/0.jpg", "no row yet");
    assert_restore_fails(f, "/r/1.jpg", "nothing of it is kept");
    remove_photo(f, id);
    fresh = add(f, "/r/1.jpg", 2);
    fixture_exec(f, "UPDATE images SET isFavourite = 1");
    assert_restore_fails(f, "/r/1.jpg", "favourite");
    fixture_exec(f, "UPDATE images SET isFavourite = 0");
    fixture_execf(f, "INSERT INTO album_images VALUES ('a1', %Q)", fresh);
    assert_restore_fails(f, "/r/1.jpg", "\"album_images\"");
    fixture_exec(f, "DELETE FROM album_images");
    fixture_execf(f, "INSERT INTO faces (image_id, cluster_id) VALUES (%Q, 'ada')", fresh);
    assert_restore_fails(f, "/r/1.jpg", "face with a name");
    fixture_exec(f, "DELETE FROM faces; UPDATE memories SET cover_image_id = (SELECT id FROM"
                    " images)");
    assert_restore_fails(f, "/r/1.jpg", "\"memories\"");
    fixture_exec(f, "UPDATE memories SET cover_image_id = NULL");
    fixture_write_one(f, restore_op("/r/1.jpg"), STORE_OP_RESULT_DONE);
    fixture_assert_path(f, id, "/r/1.jpg");
    free(fresh);
    free(id);
}

/* By its content, where the backend was faster than we. */
static void test_restore_content(void **state)
{
    Fixture *f = *state;
    char *id = add(f, "/r/1.jpg", FINGERPRINT), *stale;
    StoreOp op;

    remove_photo(f, id);
    fixture_execf(f, "INSERT INTO images (id, path, folder_id) VALUES ('backends', '/r/2.jpg', %Q)",
                  f->root_id);
    op = fixture_op(STORE_OP_STAMP, NULL, NULL);
    op.id = strdup("backends");
    op.folder_id = strdup(f->root_id);
    op.stamp = (FileStamp){.dev = 1, .ino = 9, .size = 10, .mtime_ns = 20};
    op.has_fingerprint = true;
    op.fingerprint = FINGERPRINT;
    fixture_write_one(f, op, STORE_OP_RESULT_DONE);
    fixture_write_one(f, restore_op("/r/2.jpg"), STORE_OP_RESULT_DONE);
    fixture_assert_path(f, id, "/r/2.jpg");
    /* One whose row is there is none. */
    remove_photo(f, id);
    fixture_execf(f, "INSERT INTO images (id, path) VALUES (%Q, '/r/2.jpg')", id);
    stale = add(f, "/r/3.jpg", FINGERPRINT);
    assert_restore_fails(f, "/r/3.jpg", "nothing of it is kept");
    free(stale);
    free(id);
}

/* ---- list and purge ---- */

static int count_one(void *owner, const StoreGrave *grave)
{
    int *n = owner;

    assert_string_equal(grave->path, *n == 0 ? "/r/1.jpg" : "/r/2.mp4");
    assert_string_equal(grave->kept, *n == 0 ? "{\"album_images\":2,\"albums\":1,\"faces\":2,"
                                               "\"image_classes\":2,\"image_embeddings\":1,"
                                               "\"memories\":1,\"memory_images\":1}"
                                             : "{}");
    assert_int_equal(grave->kind, *n == 0 ? MEDIA_KIND_PHOTO : MEDIA_KIND_VIDEO);
    assert_int_equal(grave->expires_at, grave->buried_at + 30 * DAY);
    ++*n;
    return 0;
}

static int stop_at_once(void *owner, const StoreGrave *grave)
{
    (void)owner;
    (void)grave;
    return 42;
}

static void test_list(void **state)
{
    Fixture *f = *state;
    char *id = add(f, "/r/1.jpg", FINGERPRINT), *video = add(f, "/r/2.mp4", 2);
    uint64_t count;
    int n = 0;

    decorate(f, id);
    remove_photo(f, id);
    fixture_write_one(f, fixture_remove(video, MEDIA_KIND_VIDEO), STORE_OP_RESULT_DONE);
    assert_int_equal(store_graveyard_list(f->store, count_one, &n), 0);
    assert_int_equal(n, 2);
    assert_int_equal(store_graveyard_list(f->store, stop_at_once, NULL), 42);
    assert_int_equal(store_graveyard_purge(f->store, &count), 0);
    assert_int_equal(count, 2);
    assert_int_equal(store_graveyard_purge(f->store, &count), 0);
    assert_int_equal(count, 0);
    assert_int_equal(store_graveyard_list(f->store, count_one, &n), 0);
    assert_int_equal(n, 2);
    free(video);
    free(id);
}

static void test_purge_locked(void **state)
{
    Fixture *f = *state;
    char *id = add(f, "/r/1.jpg", FINGERPRINT);
    uint64_t count;
    sqlite3 *db;

    remove_photo(f, id);
    assert_int_equal(sqlite3_open_v2(f->state_database, &db, SQLITE_OPEN_READWRITE, NULL),
                     SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(store_graveyard_purge(f->store, &count), STORE_E_BUSY);
    assert_non_null(strstr(store_error(f->store), "state.db"));
    (void)sqlite3_close(db);
    assert_int_equal(graves(f), 1);
    free(id);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(test_returns),
        T(test_facts),
        T(test_folder),
        T(test_video),
        T(test_overwritten),
        T(test_overwritten_folder),
        T(test_best),
        T(test_copies),
        T(test_same_time),
        T(test_other_content),
        T(test_without_fingerprint),
        T(test_race),
        T(test_race_schema),
        T(test_race_reading),
        T(test_large),
        T(test_many),
        T(test_many_contended),
        T(test_restore),
        T(test_restore_refused),
        T(test_restore_content),
        T(test_list),
        T(test_purge_locked),
    };

    return cmocka_run_group_tests_name("store graveyard", tests, NULL, NULL);
}
