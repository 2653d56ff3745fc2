/*
 * The graveyard's bounds, and its state database: too old, too much, locked, removed, damaged.
 */

#include "graveyard_fixture.h"

/* ---- bounds ---- */

static int sweep(Fixture *f)
{
    bool more = true;
    int n = 0;

    for (; more; n++)
        assert_int_equal(store_graveyard_sweep(f->store, &more), 0);
    return n;
}

static void reopen(Fixture *f, unsigned days, uint64_t size)
{
    f->store = store_free(f->store);
    f->options.graveyard_days = days;
    f->options.graveyard_size = size;
    assert_int_equal(store_create(&f->options, &f->store), 0);
}

static void test_expired(void **state)
{
    Fixture *f = *state;
    char *id = add(f, "/r/1.jpg", FINGERPRINT), *again;
    char sql[128];

    remove_photo(f, id);
    (void)snprintf(sql, sizeof(sql), "UPDATE graves SET buried_at = %ld",
                   (long)time(NULL) - 30 * DAY - 1);
    exec_state(f, sql);
    again = add(f, "/r/1.jpg", FINGERPRINT);
    assert_string_not_equal(again, id);
    (void)sweep(f);
    assert_int_equal(graves(f), 0);
    free(again);
    free(id);
}

static void test_off(void **state)
{
    Fixture *f = *state;
    char *id = add(f, "/r/1.jpg", FINGERPRINT), *other = add(f, "/r/2.jpg", 2), *again;

    remove_photo(f, id);
    reopen(f, 0, 1 << 20);
    remove_photo(f, other);
    assert_int_equal(graves(f), 1);
    again = add(f, "/r/1.jpg", FINGERPRINT);
    assert_string_not_equal(again, id);
    (void)sweep(f);
    assert_int_equal(graves(f), 0);
    free(again);
    free(other);
    free(id);
}

/* Filled beyond its size: the oldest go. Each photo has some 40 kB on it. */
static void test_size(void **state)
{
    Fixture *f = *state;
    char *ids[60], *again;
    int kept = 0;

    reopen(f, 30, 1 << 20);
    for (int i = 0; i < 60; i++) {
        char path[32];

        (void)snprintf(path, sizeof(path), "/r/%d.jpg", i);
        ids[i] = add(f, path, (uint64_t)i);
        fixture_execf(f, "INSERT INTO image_embeddings VALUES (%Q, 'm', zeroblob(40000))", ids[i]);
        remove_photo(f, ids[i]);
    }
    kept = (int)graves(f);
    assert_in_range(kept, 20, 26);
    for (int i = 0; i < 60; i++) {
        char path[32];

        (void)snprintf(path, sizeof(path), "/r/%d.jpg", i);
        again = add(f, path, (uint64_t)i);
        assert_true((strcmp(again, ids[i]) == 0) == (i >= 60 - kept));
        free(again);
        free(ids[i]);
    }
    assert_int_equal(fixture_count(f, "SELECT count(*) FROM image_embeddings"), kept);
}

/* Many at a time, and a smaller bound since. */
static void test_sweep(void **state)
{
    Fixture *f = *state;
    StoreOp ops[200];

    for (int i = 0; i < 200; i++) {
        char path[32];

        (void)snprintf(path, sizeof(path), "/r/d/%d.jpg", i);
        ops[i] = add_op(path, (uint64_t)i);
    }
    fixture_write(f, ops, 200);
    fixture_write_one(f, fixture_op(STORE_OP_FOLDER_REMOVE, "/r/d", NULL), STORE_OP_RESULT_DONE);
    assert_int_equal(graves(f), 200);
    reopen(f, 30, 20000);
    assert_in_range(sweep(f), 2, 10);
    assert_in_range(graves(f), 20, 100);
    reopen(f, 30, 0);
    (void)sweep(f);
    assert_int_equal(graves(f), 0);
    for (int i = 0; i < 200; i++)
        store_op_done(&ops[i]);
}

/* A grave whose row is there, as a killed process leaves it, counts for nothing. */
static void test_alive(void **state)
{
    Fixture *f = *state;
    char *id = add(f, "/r/1.jpg", FINGERPRINT), *other;

    remove_photo(f, id);
    fixture_execf(f, "INSERT INTO images (id, path) VALUES (%Q, '/r/1.jpg')", id);
    other = add(f, "/r/2.jpg", FINGERPRINT);
    assert_string_not_equal(other, id);
    assert_int_equal(graves(f), 1);
    (void)sweep(f);
    assert_int_equal(graves(f), 0);
    free(other);
    free(id);
}

/* ---- the state database ---- */

static void test_locked(void **state)
{
    Fixture *f = *state;
    char *id = add(f, "/r/1.jpg", FINGERPRINT);
    StoreOp op = fixture_remove(id, MEDIA_KIND_PHOTO);
    sqlite3 *db;

    assert_int_equal(sqlite3_open_v2(f->state_database, &db, SQLITE_OPEN_READWRITE, NULL),
                     SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(store_write(f->store, &op, 1), STORE_E_BUSY);
    assert_non_null(strstr(store_error(f->store), "state database"));
    assert_int_equal(fixture_count(f, "SELECT count(*) FROM images"), 1);
    f->store->grave_waits = 1; /* since long ago */
    fixture_write(f, &op, 1);
    assert_int_equal(op.result, STORE_OP_RESULT_DONE);
    (void)sqlite3_close(db);
    assert_int_equal(graves(f), 0);
    store_op_done(&op);
    free(id);
    id = add(f, "/r/2.jpg", FINGERPRINT);
    remove_photo(f, id);
    assert_int_equal(graves(f), 1);
    free(id);
}

/* Removed while the daemon runs: nothing comes back, and nothing breaks. */
static void test_state_removed(void **state)
{
    Fixture *f = *state;
    char *id = add(f, "/r/1.jpg", FINGERPRINT), *again;

    remove_photo(f, id);
    assert_int_equal(unlink(f->state_database), 0);
    again = add(f, "/r/1.jpg", FINGERPRINT);
    assert_string_not_equal(again, id);
    remove_photo(f, again);
    assert_int_equal(graves(f), 1);
    free(again);
    free(id);
}

/* A table that the state database of an earlier version does not have. */
static void test_state_older(void **state)
{
    Fixture *f = *state;
    char *id = add(f, "/r/1.jpg", FINGERPRINT), *again;

    f->store = store_free(f->store);
    exec_state(f, "DROP TABLE graves; DROP INDEX files_by_content");
    reopen(f, 30, 1 << 20);
    remove_photo(f, id);
    again = add(f, "/r/1.jpg", FINGERPRINT);
    assert_string_equal(again, id);
    free(again);
    free(id);
}

/* No insertion is possible (as on a full disk): the row goes all the same, and it is said. */
static int warnings;

static void count_warnings(const LogRecord *record)
{
    warnings += record->level == LOG_LEVEL_WARNING;
}

static void test_state_full(void **state)
{
    Fixture *f = *state;
    StoreOp ops[40];

    for (int i = 0; i < 40; i++) {
        char path[32];

        (void)snprintf(path, sizeof(path), "/r/d/%d.jpg", i);
        ops[i] = add_op(path, (uint64_t)i);
    }
    fixture_write(f, ops, 40);
    exec_state(f, "CREATE TRIGGER no BEFORE INSERT ON graves BEGIN SELECT RAISE(ABORT, 'full');"
                  " END");
    warnings = 0;
    log_set_sink(count_warnings);
    fixture_write_one(f, fixture_op(STORE_OP_FOLDER_REMOVE, "/r/d", NULL), STORE_OP_RESULT_DONE);
    log_set_sink(NULL);
    assert_int_equal(fixture_count(f, "SELECT count(*) FROM images"), 0);
    assert_int_equal(graves(f), 0);
    assert_int_equal(warnings, 1);
    for (int i = 0; i < 40; i++)
        store_op_done(&ops[i]);
}

/* ---- damaged contents ---- */

/* Cut off anywhere, or with one byte changed: read to its end, and no further. */
static void test_damaged(void **state)
{
    Fixture *f = *state;
    CLEANUP(text_done) Text content = {0};
    char *id = add(f, "/r/1.jpg", FINGERPRINT);

    decorate(f, id);
    remove_photo(f, id);
    assert_true(graves_read_content(&f->store->state, 1, &content));
    for (size_t size = 0; size < content.length; size++)
        for (int flip = 0; flip < 3; flip++) {
            char *copy = malloc(size ? size : 1), *kept = NULL;
            int r;

            memcpy(copy, content.data, size);
            if (size > 0 && flip > 0)
                copy[(size * 7919) % size] ^= (char)(flip == 1 ? 0xff : 0x80);
            r = grave_summary(copy, size, &kept);
            assert_true(r == 0 || r == -EBADMSG);
            free(kept);
            free(copy);
        }
    free(id);
}

/* A grave that cannot be read in full gives what it can; one without its row gives nothing. */
static void test_damaged_grave(void **state)
{
    Fixture *f = *state;
    char *id = add(f, "/r/1.jpg", FINGERPRINT), *again;

    decorate(f, id);
    remove_photo(f, id);
    exec_state(f, "UPDATE graves SET content = substr(content, 1, length(content) - 1)");
    again = add(f, "/r/1.jpg", FINGERPRINT);
    assert_string_equal(again, id);
    assert_int_equal(fixture_count(f, "SELECT count(*) FROM album_images"), 2);
    remove_photo(f, id);
    exec_state(f, "UPDATE graves SET content = substr(content, 1, 9)");
    free(again);
    again = add(f, "/r/1.jpg", FINGERPRINT);
    assert_string_not_equal(again, id);
    free(again);
    free(id);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(test_expired),    T(test_off),     T(test_size),          T(test_sweep),
        T(test_alive),      T(test_locked),  T(test_state_removed), T(test_state_older),
        T(test_state_full), T(test_damaged), T(test_damaged_grave),
    };

    return cmocka_run_group_tests_name("store graveyard bounds", tests, NULL, NULL);
}
