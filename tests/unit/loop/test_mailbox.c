/* The way between threads: order, bounds, waiting, closing. */

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "loop/mailbox.h"
#include "util/clock.h"

typedef struct Letter {
    MailboxItem item;
    int sender;
    int number;
} Letter;

#define N_SENDERS 4
#define N_LETTERS 5000

static Loop *loop;
static Mailbox *mailbox;
static int next_of[N_SENDERS];
static size_t n_delivered;
static bool out_of_order;

static void letter_deliver(MailboxItem *item)
{
    Letter *letter = CONTAINER_OF(item, Letter, item);

    if (letter->number != next_of[letter->sender]++)
        out_of_order = true;
    n_delivered++;
    free(letter);
}

static Letter *letter_new(int sender, int number)
{
    Letter *letter = calloc(1, sizeof(*letter));

    letter->item.deliver = letter_deliver;
    letter->sender = sender;
    letter->number = number;
    return letter;
}

static void start(size_t capacity)
{
    n_delivered = 0;
    out_of_order = false;
    for (size_t i = 0; i < N_SENDERS; i++)
        next_of[i] = 0;
    assert_int_equal(loop_create(&loop), 0);
    assert_int_equal(mailbox_create(loop, capacity, &mailbox), 0);
}

static void end(void)
{
    mailbox = mailbox_free(mailbox);
    loop = loop_free(loop);
}

static void test_order_and_room(void **state UNUSED)
{
    Letter *extra = letter_new(0, 3);

    start(3);
    for (int i = 0; i < 3; i++)
        assert_int_equal(mailbox_post(mailbox, &letter_new(0, i)->item), 0);
    assert_int_equal(mailbox_count(mailbox), 3);
    assert_int_equal(mailbox_post(mailbox, &extra->item), MAILBOX_E_FULL);
    assert_int_equal(n_delivered, 0);
    assert_int_equal(loop_run_once(loop, 1000), 0);
    assert_int_equal(n_delivered, 3);
    assert_int_equal(mailbox_count(mailbox), 0);
    assert_int_equal(mailbox_post(mailbox, &extra->item), 0);
    assert_int_equal(loop_run_once(loop, 1000), 0);
    assert_int_equal(n_delivered, 4);
    assert_false(out_of_order);
    assert_int_equal(loop_run_once(loop, 0), 0);
    assert_int_equal(n_delivered, 4);
    end();
}

static void *send_all(void *argument)
{
    int sender = *(int *)argument;

    for (int i = 0; i < N_LETTERS; i++)
        if (mailbox_post_wait(mailbox, &letter_new(sender, i)->item) != 0)
            abort();
    return NULL;
}

static void test_many_senders(void **state UNUSED)
{
    pthread_t threads[N_SENDERS];
    int senders[N_SENDERS];

    start(64);
    for (int i = 0; i < N_SENDERS; i++) {
        senders[i] = i;
        assert_int_equal(pthread_create(&threads[i], NULL, send_all, &senders[i]), 0);
    }
    while (n_delivered < N_SENDERS * N_LETTERS)
        assert_int_equal(loop_run_once(loop, 5000), 0);
    for (int i = 0; i < N_SENDERS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_false(out_of_order);
    end();
}

static void test_a_round_is_bounded(void **state UNUSED)
{
    start(5000);
    for (int i = 0; i < 5000; i++)
        assert_int_equal(mailbox_post(mailbox, &letter_new(0, i)->item), 0);
    assert_int_equal(loop_run_once(loop, 1000), 0);
    assert_true(n_delivered > 0 && n_delivered <= 1024);
    for (int rounds = 0; n_delivered < 5000 && rounds < 5000; rounds++)
        assert_int_equal(loop_run_once(loop, 0), 0); /* without another post */
    assert_int_equal(n_delivered, 5000);
    assert_false(out_of_order);
    end();
}

static void slow_deliver(MailboxItem *item)
{
    (void)usleep(4000);
    letter_deliver(item);
}

static void test_a_round_is_short(void **state UNUSED)
{
    start(100);
    for (int i = 0; i < 10; i++) {
        Letter *letter = letter_new(0, i);

        letter->item.deliver = slow_deliver;
        assert_int_equal(mailbox_post(mailbox, &letter->item), 0);
    }
    assert_int_equal(loop_run_once(loop, 1000), 0);
    assert_true(n_delivered <= 4);
    end(); /* the rest is delivered at the latest here */
    assert_int_equal(n_delivered, 10);
    assert_false(out_of_order);
}

static void test_closed(void **state UNUSED)
{
    CLEANUP_FREE Letter *late = letter_new(0, 1);

    start(10);
    assert_int_equal(mailbox_post(mailbox, &letter_new(0, 0)->item), 0);
    mailbox_close(mailbox);
    assert_int_equal(mailbox_post(mailbox, &late->item), MAILBOX_E_CLOSED);
    assert_int_equal(mailbox_post_wait(mailbox, &late->item), MAILBOX_E_CLOSED);
    assert_int_equal(loop_run_once(loop, 0), 0);
    assert_int_equal(n_delivered, 1);
    end();
}

static atomic_int waiter_result;

static void *wait_for_room(void *argument)
{
    atomic_store(&waiter_result, mailbox_post_wait(mailbox, argument));
    return NULL;
}

static void test_closing_wakes_waiters(void **state UNUSED)
{
    CLEANUP_FREE Letter *late = letter_new(0, 1);
    pthread_t thread;

    start(1);
    atomic_store(&waiter_result, -1);
    assert_int_equal(mailbox_post(mailbox, &letter_new(0, 0)->item), 0);
    assert_int_equal(pthread_create(&thread, NULL, wait_for_room, &late->item), 0);
    (void)usleep(20000);
    assert_int_equal(atomic_load(&waiter_result), -1);
    mailbox_close(mailbox);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(atomic_load(&waiter_result), MAILBOX_E_CLOSED);
    end();
    assert_int_equal(n_delivered, 1);
}

static bool is_from(MailboxItem *item, const void *sender)
{
    return CONTAINER_OF(item, Letter, item)->sender == *(const int *)sender;
}

static void test_matching(void **state UNUSED)
{
    int sender = 1;

    start(10);
    for (int i = 0; i < 6; i++)
        assert_int_equal(mailbox_post(mailbox, &letter_new(i % 2, i / 2)->item), 0);
    assert_int_equal(mailbox_deliver_matching(mailbox, is_from, &sender), 3);
    assert_int_equal(next_of[0], 0);
    assert_int_equal(next_of[1], 3);
    assert_int_equal(loop_run_once(loop, 1000), 0); /* the others still ring */
    assert_int_equal(next_of[0], 3);
    assert_int_equal(mailbox_deliver_matching(mailbox, is_from, &sender), 0);
    assert_false(out_of_order);
    end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_order_and_room),
        cmocka_unit_test(test_many_senders),
        cmocka_unit_test(test_a_round_is_bounded),
        cmocka_unit_test(test_a_round_is_short),
        cmocka_unit_test(test_closed),
        cmocka_unit_test(test_closing_wakes_waiters),
        cmocka_unit_test(test_matching),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
