/* Calls against a real loop: answered, late, never, refused at the door, sent home. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "loop/timer.h"
#include "sync/call.h"
#include "util/clock.h"

#define MS CLOCK_US_PER_MS

/* The engine answers CALL_START at once, CALL_STOP 100 ms later, and keeps every CALL_SETTLE. */
typedef struct Engine {
    Loop *loop;
    Timers *timers;
    Mailbox *mailbox;
    CallDesk *desk;
    pthread_t thread;
    MailboxItem quit;
    Timer timer;
    List later;      /* Call.link */
    List kept;       /* Call.link */
    unsigned n_kept; /* atomic */
} Engine;

static Engine *engine; /* deliver() is given nothing else to find it by */

static void engine_later(Timer *timer)
{
    Engine *e = CONTAINER_OF(timer, Engine, timer);
    ListNode *node;

    while ((node = list_take(&e->later)))
        call_answer(CONTAINER_OF(node, Call, link), CALL_RESULT_REFUSED, strdup("late"));
}

static void engine_deliver(MailboxItem *item)
{
    Call *call = CONTAINER_OF(item, Call, item);

    if (call->kind == CALL_START) {
        call_answer(call, CALL_RESULT_OK, strdup("done"));
    } else if (call->kind == CALL_STOP) {
        list_append(&engine->later, &call->link);
        assert_int_equal(timer_arm_in(&engine->timer, 100 * MS), 0);
    } else {
        list_append(&engine->kept, &call->link);
        (void)__atomic_add_fetch(&engine->n_kept, 1, __ATOMIC_RELEASE);
    }
}

static void engine_quit(MailboxItem *item)
{
    loop_exit(CONTAINER_OF(item, Engine, quit)->loop, 0);
}

static void *engine_run(void *arg)
{
    (void)loop_run(((Engine *)arg)->loop);
    return NULL;
}

static int setup(void **state)
{
    engine = calloc(1, sizeof(*engine));
    assert_non_null(engine);
    assert_int_equal(loop_create(&engine->loop), 0);
    assert_int_equal(timers_create(engine->loop, &engine->timers), 0);
    assert_int_equal(mailbox_create(engine->loop, 16, &engine->mailbox), 0);
    assert_int_equal(call_desk_create(engine->mailbox, engine_deliver, &engine->desk), 0);
    timer_init(&engine->timer, engine->timers, engine_later);
    list_init(&engine->later);
    list_init(&engine->kept);
    engine->quit.deliver = engine_quit;
    assert_int_equal(pthread_create(&engine->thread, NULL, engine_run, engine), 0);
    *state = engine;
    return 0;
}

static void engine_stop(Engine *e)
{
    assert_int_equal(mailbox_post_wait(e->mailbox, &e->quit), 0);
    (void)pthread_join(e->thread, NULL);
}

static int teardown(void **state)
{
    Engine *e = *state;
    ListNode *node;

    engine_later(&e->timer);
    while ((node = list_take(&e->kept))) /* long after their askers have gone */
        call_answer(CONTAINER_OF(node, Call, link), CALL_RESULT_OK, strdup("too late"));
    (void)call_desk_free(e->desk);
    (void)mailbox_free(e->mailbox);
    (void)timers_free(e->timers);
    (void)loop_free(e->loop);
    free(e);
    return 0;
}

static void test_answer(void **state)
{
    Engine *e = *state;

    for (int i = 0; i < 100; i++) {
        CLEANUP_FREE char *text = NULL;

        assert_int_equal(call_desk_ask(e->desk, CALL_START, NULL, 5000 * MS, &text),
                         CALL_RESULT_OK);
        assert_string_equal(text, "done");
    }
    {
        CLEANUP_FREE char *text = NULL;

        assert_int_equal(call_ask(e->mailbox, engine_deliver, CALL_STOP, 5000 * MS, &text),
                         CALL_RESULT_REFUSED);
        assert_string_equal(text, "late");
    }
    engine_stop(e);
}

static void test_time_out(void **state)
{
    Engine *e = *state;
    char *text = NULL;
    uint64_t start = clock_now(), took;

    assert_int_equal(call_ask(e->mailbox, engine_deliver, CALL_SETTLE, 50 * MS, &text),
                     CALL_RESULT_NONE);
    took = clock_now() - start;
    assert_in_range(took, 50 * MS, 2000 * MS);
    assert_int_equal(call_desk_ask(e->desk, CALL_SETTLE, NULL, 0, &text), CALL_RESULT_NONE);
    assert_null(text);
    engine_stop(e); /* the teardown answers them */
}

/* The answer comes after the asker has gone, while the loop runs. */
static void test_late_answer(void **state)
{
    Engine *e = *state;
    char *text = NULL;

    assert_int_equal(call_desk_ask(e->desk, CALL_STOP, NULL, 10 * MS, &text), CALL_RESULT_NONE);
    assert_int_equal(call_desk_ask(e->desk, CALL_STOP, NULL, 5000 * MS, &text),
                     CALL_RESULT_REFUSED);
    free(text);
    engine_stop(e);
}

static void ignore(MailboxItem *item UNUSED)
{
}

static void test_full_and_closed(void **state)
{
    Engine *e = *state;
    MailboxItem fill[16];
    char *text = NULL;

    engine_stop(e);
    memset(fill, 0, sizeof(fill));
    for (int i = 0; i < 16; i++) {
        fill[i].deliver = ignore;
        assert_int_equal(mailbox_post(e->mailbox, &fill[i]), 0);
    }
    assert_int_equal(call_desk_ask(e->desk, CALL_START, NULL, 5000 * MS, &text),
                     CALL_RESULT_CLOSED);
    mailbox_close(e->mailbox);
    assert_int_equal(call_desk_ask(e->desk, CALL_START, NULL, 5000 * MS, &text),
                     CALL_RESULT_CLOSED);
    assert_int_equal(call_ask(e->mailbox, engine_deliver, CALL_START, 5000 * MS, &text),
                     CALL_RESULT_CLOSED);
    assert_null(text);
    e->mailbox = mailbox_free(e->mailbox); /* delivers the fill */
}

static void *ask_forever(void *arg)
{
    CallResult *result = arg;
    char *text = NULL;

    *result = call_desk_ask(engine->desk, CALL_SETTLE, NULL, 120000 * MS, &text);
    return NULL;
}

static void test_sent_home(void **state)
{
    Engine *e = *state;
    pthread_t threads[8];
    CallResult results[8];
    uint64_t start;
    char *text = NULL;

    for (int i = 0; i < 8; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, ask_forever, &results[i]), 0);
    while (__atomic_load_n(&e->n_kept, __ATOMIC_ACQUIRE) < 8)
        (void)usleep(1000);
    start = clock_now();
    call_desk_close(e->desk);
    for (int i = 0; i < 8; i++) {
        (void)pthread_join(threads[i], NULL);
        assert_int_equal(results[i], CALL_RESULT_CLOSED);
    }
    assert_in_range(clock_now() - start, 0, 1000 * MS);
    assert_int_equal(call_desk_ask(e->desk, CALL_START, NULL, 5000 * MS, &text),
                     CALL_RESULT_CLOSED);
    assert_null(text);
    engine_stop(e);
}

/* Answers and time-outs race; no outcome but the two (or CLOSED while the mailbox is full of
 * questions whose askers have gone), and nothing is freed twice or lost. */
static void *ask_briefly(void *arg)
{
    unsigned *wrong = arg;

    for (unsigned i = 0; i < 300; i++) {
        CLEANUP_FREE char *text = NULL;
        CallResult result = call_desk_ask(engine->desk, CALL_START, NULL, i % 60, &text);

        if (!(result == CALL_RESULT_OK && text && strcmp(text, "done") == 0) &&
            !((result == CALL_RESULT_NONE || result == CALL_RESULT_CLOSED) && !text))
            ++*wrong;
    }
    return NULL;
}

static void test_race(void **state)
{
    Engine *e = *state;
    unsigned wrong[4] = {0};
    pthread_t threads[4];

    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, ask_briefly, &wrong[i]), 0);
    for (int i = 0; i < 4; i++) {
        (void)pthread_join(threads[i], NULL);
        assert_int_equal(wrong[i], 0);
    }
    engine_stop(e);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_answer, setup, teardown),
        cmocka_unit_test_setup_teardown(test_time_out, setup, teardown),
        cmocka_unit_test_setup_teardown(test_late_answer, setup, teardown),
        cmocka_unit_test_setup_teardown(test_full_and_closed, setup, teardown),
        cmocka_unit_test_setup_teardown(test_sent_home, setup, teardown),
        cmocka_unit_test_setup_teardown(test_race, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
