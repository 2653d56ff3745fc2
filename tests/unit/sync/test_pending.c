/* Pending changes: waiting, the hard limit, epochs, held removals. */
#include "sync/pending.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#define SETTLE 200
#define CREATE 2000
#define LIMIT  1000

typedef struct Fixture {
    Pending pending;
    Tree tree;
    Node *dir;
} Fixture;

static void begin(Fixture *f)
{
    assert_int_equal(pending_init(&f->pending), 0);
    f->pending.waits[CHANGE_WAIT_SETTLE] = SETTLE;
    f->pending.waits[CHANGE_WAIT_CREATE] = CREATE;
    f->pending.limit = LIMIT;
    tree_init(&f->tree, NULL, NULL);
    assert_int_equal(tree_add_root(&f->tree, "/r", &f->dir), 0);
}

static void end(Fixture *f)
{
    pending_done(&f->pending);
    tree_remove(&f->tree, f->dir);
    tree_done(&f->tree);
}

static Change *touch(Fixture *f, const char *name, ChangeWait wait, uint64_t now)
{
    Change *change = pending_touch(&f->pending, f->dir, name, wait, now);

    assert_non_null(change);
    return change;
}

static void test_settles(void **state)
{
    Fixture f;
    Change *a;

    (void)state;
    begin(&f);
    a = touch(&f, "a", CHANGE_WAIT_SETTLE, 0);
    assert_ptr_equal(touch(&f, "a", CHANGE_WAIT_SETTLE, 150), a);
    assert_int_equal(f.pending.count, 1);
    assert_null(pending_take_due(&f.pending, 349));
    assert_int_equal(pending_next_due(&f.pending), 350);
    assert_ptr_equal(pending_take_due(&f.pending, 350), a);
    pending_finish(&f.pending, a, 350);
    assert_int_equal(f.pending.count, 0);
    end(&f);
}

static void test_one_that_never_rests_is_due_at_the_limit(void **state)
{
    Fixture f;
    uint64_t now = 0;

    (void)state;
    begin(&f);
    for (; now < 5000; now += 100) {
        (void)touch(&f, "a", CHANGE_WAIT_SETTLE, now);
        if (pending_take_due(&f.pending, now))
            break;
    }
    assert_in_range(now, LIMIT - SETTLE, LIMIT);
    end(&f);
}

static void test_closing_ends_the_long_wait(void **state)
{
    Fixture f;

    (void)state;
    begin(&f);
    (void)touch(&f, "a", CHANGE_WAIT_CREATE, 0);
    (void)touch(&f, "a", CHANGE_WAIT_SETTLE, 10);
    assert_int_equal(pending_next_due(&f.pending), 210);
    end(&f);
}

static void test_touched_while_under_way_is_looked_at_again(void **state)
{
    Fixture f;
    Change *a;
    uint64_t epoch;

    (void)state;
    begin(&f);
    a = touch(&f, "a", CHANGE_WAIT_NONE, 0);
    assert_ptr_equal(pending_take_due(&f.pending, 0), a);
    (void)touch(&f, "a", CHANGE_WAIT_SETTLE, 5);
    assert_true(a->again);
    assert_int_equal(pending_end_epoch(&f.pending, &epoch), 0);
    pending_finish(&f.pending, a, 10);
    assert_int_equal(a->state, CHANGE_STATE_WAITING);
    assert_false(pending_reached(&f.pending, epoch)); /* the touch was before the barrier */
    assert_ptr_equal(pending_take_due(&f.pending, 210), a);
    pending_finish(&f.pending, a, 210);
    assert_true(pending_reached(&f.pending, epoch));
    end(&f);
}

static void test_a_barrier_does_not_wait_for_what_comes_later(void **state)
{
    Fixture f;
    Change *a;
    uint64_t first;
    uint64_t second;

    (void)state;
    begin(&f);
    a = touch(&f, "a", CHANGE_WAIT_NONE, 0);
    assert_int_equal(pending_end_epoch(&f.pending, &first), 0);
    (void)touch(&f, "b", CHANGE_WAIT_CREATE, 0);
    assert_int_equal(pending_end_epoch(&f.pending, &second), 0);
    assert_false(pending_reached(&f.pending, first));
    assert_ptr_equal(pending_take_due(&f.pending, 0), a);
    pending_finish(&f.pending, a, 0);
    assert_true(pending_reached(&f.pending, first));
    assert_false(pending_reached(&f.pending, second));
    end(&f);
}

static void test_held_removals_are_decided(void **state)
{
    Fixture f;
    Change *a;

    (void)state;
    begin(&f);
    a = touch(&f, "a", CHANGE_WAIT_NONE, 0);
    assert_int_equal(f.pending.n_undecided, 1);
    assert_ptr_equal(pending_take_due(&f.pending, 0), a);
    pending_hold(&f.pending, a, 7);
    assert_int_equal(f.pending.n_undecided, 0);
    a->confirm = true;
    (void)touch(&f, "a", CHANGE_WAIT_SETTLE, 10); /* something happened to it: no more held */
    assert_false(a->confirm);
    assert_int_equal(f.pending.n_undecided, 1);
    assert_true(list_is_empty(&f.pending.held));
    end(&f);
}

static void test_put_back_in_order(void **state)
{
    Fixture f;
    Change *changes[3];

    (void)state;
    begin(&f);
    changes[0] = touch(&f, "a", CHANGE_WAIT_NONE, 0);
    changes[1] = touch(&f, "b", CHANGE_WAIT_NONE, 0);
    changes[2] = touch(&f, "c", CHANGE_WAIT_NONE, 0);
    for (int i = 0; i < 3; i++)
        assert_ptr_equal(pending_take_due(&f.pending, 0), changes[i]);
    pending_wait(&f.pending, changes[0], 30);
    pending_wait(&f.pending, changes[1], 10);
    pending_wait(&f.pending, changes[2], 20);
    assert_int_equal(pending_next_due(&f.pending), 10);
    assert_ptr_equal(pending_take_due(&f.pending, 30), changes[1]);
    assert_ptr_equal(pending_take_due(&f.pending, 30), changes[2]);
    assert_ptr_equal(pending_take_due(&f.pending, 30), changes[0]);
    end(&f);
}

static void test_a_consequence_belongs_to_the_epoch_of_its_cause(void **state)
{
    Fixture f;
    Change *a;
    Change *b;
    uint64_t epoch;

    (void)state;
    begin(&f);
    a = touch(&f, "a", CHANGE_WAIT_NONE, 0);
    assert_ptr_equal(pending_take_due(&f.pending, 0), a);
    assert_int_equal(pending_end_epoch(&f.pending, &epoch), 0);
    b = touch(&f, "b", CHANGE_WAIT_NONE, 1); /* another name */
    pending_join_epoch(&f.pending, b, a);
    pending_join_epoch(&f.pending, touch(&f, "a", CHANGE_WAIT_NONE, 1), a); /* itself once more */
    pending_finish(&f.pending, a, 2);
    assert_ptr_equal(pending_take_due(&f.pending, 2), b);
    pending_finish(&f.pending, b, 2);
    assert_false(pending_reached(&f.pending, epoch));
    assert_ptr_equal(pending_take_due(&f.pending, 2), a);
    pending_finish(&f.pending, a, 2);
    assert_true(pending_reached(&f.pending, epoch));
    end(&f);
}

static void test_returned_ones_keep_their_epoch(void **state)
{
    Fixture f;
    Change *a;
    uint64_t epoch;

    (void)state;
    begin(&f);
    a = touch(&f, "a", CHANGE_WAIT_NONE, 0);
    assert_ptr_equal(pending_take_due(&f.pending, 0), a);
    assert_int_equal(pending_end_epoch(&f.pending, &epoch), 0);
    (void)touch(&f, "a", CHANGE_WAIT_SETTLE, 10);
    pending_return(&f.pending, a, 10);
    assert_int_equal(pending_next_due(&f.pending), 10 + SETTLE);
    assert_false(pending_reached(&f.pending, epoch));
    assert_ptr_equal(pending_take_due(&f.pending, 10 + SETTLE), a);
    pending_return(&f.pending, a, 300); /* nothing happened to it: at once */
    assert_int_equal(pending_next_due(&f.pending), 300);
    end(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_settles),
        cmocka_unit_test(test_one_that_never_rests_is_due_at_the_limit),
        cmocka_unit_test(test_closing_ends_the_long_wait),
        cmocka_unit_test(test_touched_while_under_way_is_looked_at_again),
        cmocka_unit_test(test_a_barrier_does_not_wait_for_what_comes_later),
        cmocka_unit_test(test_held_removals_are_decided),
        cmocka_unit_test(test_put_back_in_order),
        cmocka_unit_test(test_a_consequence_belongs_to_the_epoch_of_its_cause),
        cmocka_unit_test(test_returned_ones_keep_their_epoch),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
