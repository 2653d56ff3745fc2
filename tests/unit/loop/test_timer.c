/* Timers: order, moving, disarming, arming from a callback. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "loop/timer.h"
#include "util/clock.h"

typedef struct Alarm {
    Timer timer;
    int number;
    void (*act)(struct Alarm *alarm);
} Alarm;

static Loop *loop;
static Timers *timers;
static int fired[2000];
static size_t n_fired;

static void alarm_fire(Timer *timer)
{
    Alarm *alarm = CONTAINER_OF(timer, Alarm, timer);

    assert_false(timer_is_armed(timer));
    assert_true(clock_now() >= timer->due);
    fired[n_fired++] = alarm->number;
    if (alarm->act)
        alarm->act(alarm);
}

static void alarm_init(Alarm *alarm, int number)
{
    *alarm = (Alarm){.number = number};
    timer_init(&alarm->timer, timers, alarm_fire);
}

static int setup(void **state UNUSED)
{
    n_fired = 0;
    return loop_create(&loop) || timers_create(loop, &timers);
}

static int teardown(void **state UNUSED)
{
    timers = timers_free(timers);
    loop = loop_free(loop);
    return 0;
}

/* Rounds until the time has passed. */
static void run_for(uint64_t us)
{
    uint64_t end = clock_now() + us;

    while (clock_now() < end)
        assert_int_equal(loop_run_once(loop, 5), 0);
}

static void test_fires_in_time(void **state UNUSED)
{
    uint64_t start = clock_now();
    Alarm alarm;

    alarm_init(&alarm, 1);
    assert_int_equal(timer_arm_in(&alarm.timer, 30000), 0);
    assert_true(timer_is_armed(&alarm.timer));
    while (n_fired == 0)
        assert_int_equal(loop_run_once(loop, 1000), 0);
    assert_true(clock_now() - start >= 30000);
    assert_true(clock_now() - start < 900000); /* not the time-out of a round */
    run_for(40000);
    assert_int_equal(n_fired, 1);
}

static void test_past_and_zero(void **state UNUSED)
{
    Alarm a, b;

    alarm_init(&a, 1);
    alarm_init(&b, 2);
    assert_int_equal(timer_arm_at(&a.timer, 0), 0);
    assert_int_equal(timer_arm_in(&b.timer, 0), 0);
    assert_int_equal(loop_run_once(loop, 1000), 0);
    assert_int_equal(n_fired, 2);
}

/* The heap: random deadlines, a third of them moved, a third disarmed, must fire in order. */
static void test_order(void **state UNUSED)
{
    enum { COUNT = 1500 };
    CLEANUP_FREE Alarm *alarms = calloc(COUNT, sizeof(Alarm));
    uint64_t base = clock_now();

    srandom(1);
    for (int i = 0; i < COUNT; i++) {
        alarm_init(&alarms[i], i);
        assert_int_equal(timer_arm_at(&alarms[i].timer, base + (uint64_t)random() % 50000), 0);
    }
    for (int i = 0; i < COUNT; i++)
        if (i % 3 == 0)
            assert_int_equal(timer_arm_at(&alarms[i].timer, base + (uint64_t)random() % 50000), 0);
        else if (i % 3 == 1)
            timer_disarm(&alarms[i].timer);
    run_for(60000);
    assert_int_equal(n_fired, COUNT - COUNT / 3);
    for (size_t i = 0; i < n_fired; i++) {
        assert_int_not_equal(fired[i] % 3, 1);
        if (i > 0)
            assert_true(alarms[fired[i - 1]].timer.due <= alarms[fired[i]].timer.due);
    }
}

static void test_moved_later_and_earlier(void **state UNUSED)
{
    Alarm a, b;

    alarm_init(&a, 1);
    alarm_init(&b, 2);
    assert_int_equal(timer_arm_in(&a.timer, 10000), 0);
    assert_int_equal(timer_arm_in(&b.timer, 10000000), 0);
    assert_int_equal(timer_arm_in(&a.timer, 10000000), 0);
    run_for(30000); /* wakes up for the old deadline and must not fire */
    assert_int_equal(n_fired, 0);
    assert_int_equal(timer_arm_in(&b.timer, 10000), 0);
    run_for(30000);
    assert_int_equal(n_fired, 1);
    assert_int_equal(fired[0], 2);
    timer_disarm(&a.timer);
    timer_disarm(&a.timer);
    assert_false(timer_is_armed(&a.timer));
}

static Alarm *victim;

static void disarm_victim(Alarm *alarm UNUSED)
{
    timer_disarm(&victim->timer);
}

static void test_disarm_of_a_due_one(void **state UNUSED)
{
    uint64_t now = clock_now();
    Alarm a, b;

    alarm_init(&a, 1);
    alarm_init(&b, 2);
    a.act = disarm_victim;
    victim = &b;
    assert_int_equal(timer_arm_at(&a.timer, now), 0);
    assert_int_equal(timer_arm_at(&b.timer, now + 1), 0);
    run_for(10000);
    assert_int_equal(n_fired, 1);
}

static void arm_again(Alarm *alarm)
{
    if (n_fired < 100)
        assert_int_equal(timer_arm_at(&alarm->timer, 0), 0);
}

static void test_arming_itself_does_not_block_the_loop(void **state UNUSED)
{
    Alarm alarm;

    alarm_init(&alarm, 1);
    alarm.act = arm_again;
    assert_int_equal(timer_arm_in(&alarm.timer, 0), 0);
    assert_int_equal(loop_run_once(loop, 1000), 0);
    assert_int_equal(n_fired, 1); /* one round, one firing */
    run_for(50000);
    assert_int_equal(n_fired, 100);
}

static void test_far_away(void **state UNUSED)
{
    Alarm alarm;

    alarm_init(&alarm, 1);
    assert_int_equal(timer_arm_in(&alarm.timer, UINT64_MAX), 0);
    run_for(10000);
    assert_int_equal(n_fired, 0);
    assert_true(timer_is_armed(&alarm.timer));
    timer_disarm(&alarm.timer); /* it lives on this stack */
}

static void test_free_disarms(void **state UNUSED)
{
    Alarm alarm;

    alarm_init(&alarm, 1);
    assert_int_equal(timer_arm_in(&alarm.timer, 0), 0);
    timers = timers_free(timers);
    assert_false(timer_is_armed(&alarm.timer));
    assert_int_equal(loop_run_once(loop, 0), 0);
    assert_int_equal(n_fired, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_fires_in_time),
        TEST(test_past_and_zero),
        TEST(test_order),
        TEST(test_moved_later_and_earlier),
        TEST(test_disarm_of_a_due_one),
        TEST(test_arming_itself_does_not_block_the_loop),
        TEST(test_far_away),
        TEST(test_free_disarms),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
