/* What was seen ahead counts only as long as nothing has happened that could make it untrue. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "sync/engine-private.h"

typedef struct Fixture {
    Engine engine;
    Tree tree;
    Node *dir;
    Change *change;
    Sighting item;
} Fixture;

static uint64_t hash(const char *path)
{
    return hash_bytes(path, strlen(path), 0);
}

/* "/r/new" was looked up when batch 7 had been handed over. */
static void begin(Fixture *f)
{
    *f = (Fixture){0};
    assert_int_equal(pending_init(&f->engine.pending), 0);
    assert_int_equal(ahead_init(&f->engine), 0);
    tree_init(&f->tree, NULL, NULL);
    assert_int_equal(tree_add_root(&f->tree, "/r", &f->dir), 0);
    f->change = pending_touch(&f->engine.pending, f->dir, "new", CHANGE_WAIT_SETTLE, 0);
    assert_non_null(f->change);
    f->engine.ahead.number = 7;
    f->change->ahead = (ChangeAhead){
        .asked = true, .is_new = true, .number = 7, .path = hash("/r/new"), .dev = 1, .ino = 2};
    f->item = (Sighting){.change = f->change,
                         .directory = PROBE_RESULT_OK,
                         .entry = {.type = ENTRY_TYPE_FILE, .stamp = {.dev = 1, .ino = 2}},
                         .path = (char *)(uintptr_t) "/r/new"};
    assert_true(ahead_is_new(&f->engine, &f->item));
}

static void end(Fixture *f)
{
    ahead_done(&f->engine);
    pending_done(&f->engine.pending);
    tree_remove(&f->tree, f->dir);
    tree_done(&f->tree);
}

static void test_touched(void **state)
{
    Fixture f;

    (void)state;
    begin(&f);
    assert_int_equal(f.engine.counters.lookups_saved, 1);
    (void)pending_touch(&f.engine.pending, f.dir, "other", CHANGE_WAIT_SETTLE, 1);
    assert_true(ahead_is_new(&f.engine, &f.item));
    (void)pending_touch(&f.engine.pending, f.dir, "new", CHANGE_WAIT_SETTLE, 1);
    assert_false(f.change->ahead.asked);
    assert_false(ahead_is_new(&f.engine, &f.item));
    assert_int_equal(f.engine.counters.lookups_saved, 2);
    end(&f);
}

/* It keeps its place in the queue, and is another file all the same. */
static void test_touched_at_the_limit(void **state)
{
    Fixture f;
    unsigned before;

    (void)state;
    begin(&f);
    before = f.change->touches;
    f.engine.pending.waits[CHANGE_WAIT_SETTLE] = 10;
    (void)pending_touch(&f.engine.pending, f.dir, "new", CHANGE_WAIT_SETTLE, 1);
    assert_int_equal(f.change->due, 0);
    assert_int_equal(f.change->touches, before + 1);
    assert_false(ahead_is_new(&f.engine, &f.item));
    end(&f);
}

static void test_put_back(void **state)
{
    Fixture f;

    (void)state;
    begin(&f);
    pending_wait(&f.engine.pending, f.change, 5);
    assert_false(ahead_is_new(&f.engine, &f.item));
    end(&f);
}

static void test_another_file(void **state)
{
    Fixture f;

    (void)state;
    begin(&f);
    f.item.entry.stamp.ino = 3;
    assert_false(ahead_is_new(&f.engine, &f.item));
    f.item.entry.stamp = (FileStamp){.dev = 2, .ino = 2};
    assert_false(ahead_is_new(&f.engine, &f.item));
    f.item.entry.stamp.dev = 1;
    f.item.entry.type = ENTRY_TYPE_DIRECTORY;
    assert_false(ahead_is_new(&f.engine, &f.item));
    f.item.entry.type = ENTRY_TYPE_FILE;
    f.item.directory = PROBE_RESULT_ERROR;
    assert_false(ahead_is_new(&f.engine, &f.item));
    f.item.directory = PROBE_RESULT_OK;
    assert_true(ahead_is_new(&f.engine, &f.item));
    end(&f);
}

static void test_another_path(void **state)
{
    Fixture f;

    (void)state;
    begin(&f);
    f.item.path = (char *)(uintptr_t) "/s/new";
    assert_false(ahead_is_new(&f.engine, &f.item));
    f.item.path = (char *)(uintptr_t) "/r/new";
    f.engine.renames.count = 1; /* a row is following its file: perhaps to this name */
    assert_false(ahead_is_new(&f.engine, &f.item));
    end(&f);
}

static void check_batch(StoreOp op, bool still_new)
{
    Fixture f;

    begin(&f);
    ahead_batch(&f.engine, &op, 1);
    assert_int_equal(f.engine.ahead.number, 8);
    assert_true(ahead_is_new(&f.engine, &f.item) == still_new);
    f.change->ahead.number = 8; /* looked up behind that batch */
    assert_true(ahead_is_new(&f.engine, &f.item));
    end(&f);
}

static void test_batch(void **state)
{
    char new[] = "/r/new", other[] = "/r/other";
    FileStamp same = {.dev = 1, .ino = 2}, link = {.dev = 1, .ino = 9};

    (void)state;
    check_batch((StoreOp){.kind = STORE_OP_MEDIA_ADD, .path = other, .stamp = link}, true);
    check_batch((StoreOp){.kind = STORE_OP_MEDIA_ADD, .path = new, .stamp = link}, false);
    check_batch((StoreOp){.kind = STORE_OP_MEDIA_ADD, .path = other, .stamp = same}, false);
    check_batch((StoreOp){.kind = STORE_OP_MEDIA_MOVE, .new_path = new, .stamp = link}, false);
    check_batch((StoreOp){.kind = STORE_OP_MEDIA_MOVE, .new_path = other, .stamp = link}, true);
    check_batch((StoreOp){.kind = STORE_OP_STAMP, .stamp = same}, false);
    check_batch((StoreOp){.kind = STORE_OP_FOLDER_ENSURE, .path = other}, true);
    check_batch((StoreOp){.kind = STORE_OP_FOLDER_REMOVE, .path = other}, false);
    check_batch((StoreOp){.kind = STORE_OP_FOLDER_MOVE, .path = other, .new_path = other}, false);
}

static void test_forget(void **state)
{
    Fixture f;

    (void)state;
    begin(&f);
    ahead_forget(&f.engine);
    assert_false(ahead_is_new(&f.engine, &f.item));
    f.change->ahead.number = f.engine.ahead.number;
    assert_true(ahead_is_new(&f.engine, &f.item));
    end(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_touched),      cmocka_unit_test(test_touched_at_the_limit),
        cmocka_unit_test(test_put_back),     cmocka_unit_test(test_another_file),
        cmocka_unit_test(test_another_path), cmocka_unit_test(test_batch),
        cmocka_unit_test(test_forget),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
