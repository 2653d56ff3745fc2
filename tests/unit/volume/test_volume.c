/* Private volumes: few threads at a time, and one that hangs keeps nobody waiting. */

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "util/clock.h"
#include "volume/volume.h"

#define N_LOOKS 100

typedef struct Look {
    WorkerJob job;
    Volume *volume;
    bool hangs;
    unsigned done, cancelled;
} Look;

static Loop *loop;
static Mailbox *mailbox;
static Volumes volumes;
static Look looks[N_LOOKS];
static unsigned n_done, n_most;
static atomic_uint n_running;
static pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;

static void look_run(WorkerJob *job, void *context)
{
    Look *look = CONTAINER_OF(job, Look, job);

    if (context != look->volume)
        abort();
    (void)atomic_fetch_add(&n_running, 1);
    if (look->hangs) {
        (void)pthread_mutex_lock(&gate);
        (void)pthread_mutex_unlock(&gate);
    }
}

static void look_done(WorkerJob *job)
{
    Look *look = CONTAINER_OF(job, Look, job);

    look->done++;
    look->cancelled += job->cancelled;
    look->volume = volume_release(look->volume);
    n_done++;
}

static unsigned count_threads(void)
{
    unsigned n = 0;

    LIST_FOREACH (link, &volumes.list)
        n += CONTAINER_OF(link, Volume, link)->worker != NULL;
    return n;
}

static void begin(unsigned n_hanging)
{
    assert_int_equal(loop_create(&loop), 0);
    assert_int_equal(mailbox_create(loop, 1000, &mailbox), 0);
    volumes_init(&volumes, mailbox);
    n_done = n_most = 0;
    atomic_store(&n_running, 0);
    for (unsigned i = 0; i < N_LOOKS; i++) {
        Look *look = &looks[i];

        *look = (Look){.job = {.run = look_run, .done = look_done}, .hangs = i < n_hanging};
        assert_int_equal(volumes_get_private(&volumes, &look->volume), 0);
        volume_run(&volumes, look->volume, &look->job);
    }
    assert_int_equal(count_threads(), 0);
}

static void end(void)
{
    assert_int_equal(volumes_stop(&volumes, 10 * CLOCK_US_PER_SEC), 0);
    volumes_done(&volumes);
    mailbox = mailbox_free(mailbox);
    loop = loop_free(loop);
    assert_int_equal(n_done, N_LOOKS);
    for (unsigned i = 0; i < N_LOOKS; i++)
        assert_int_equal(looks[i].done, 1);
}

/* A round of the loop, as the engine has them. */
static void round_of_loop(void)
{
    (void)volumes_start(&volumes);
    if (count_threads() > n_most)
        n_most = count_threads();
    assert_int_equal(loop_run_once(loop, 10), 0);
    volumes_reap(&volumes);
}

static void test_few_at_a_time(void **state)
{
    (void)state;
    begin(0);
    assert_true(volumes_start(&volumes));
    assert_int_equal(count_threads(), 16);
    while (n_done < N_LOOKS)
        round_of_loop();
    assert_false(volumes_start(&volumes));
    while (!list_is_empty(&volumes.list)) /* their threads end */
        round_of_loop();
    end();
}

/* More of them hang than may be at work. */
static void test_hung_ones_are_not_waited_for(void **state)
{
    (void)state;
    begin(40);
    (void)pthread_mutex_lock(&gate);
    while (n_done < N_LOOKS - 40)
        round_of_loop();
    assert_true(n_most >= 40);
    (void)pthread_mutex_unlock(&gate);
    end();
}

static void test_stop_cancels_those_that_wait(void **state)
{
    Look late = {.job = {.run = look_run, .done = look_done}};
    unsigned cancelled = 0;

    (void)state;
    begin(0);
    (void)volumes_start(&volumes);
    assert_int_equal(volumes_stop(&volumes, 10 * CLOCK_US_PER_SEC), 0);
    for (unsigned i = 0; i < N_LOOKS; i++)
        cancelled += looks[i].cancelled;
    assert_in_range(cancelled, N_LOOKS - 16, N_LOOKS);
    assert_int_equal(cancelled + atomic_load(&n_running), N_LOOKS);
    assert_int_equal(volumes_get_private(&volumes, &late.volume), 0);
    volume_run(&volumes, late.volume, &late.job);
    assert_int_equal(late.cancelled, 1);
    n_done--;
    end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_few_at_a_time),
        cmocka_unit_test(test_hung_ones_are_not_waited_for),
        cmocka_unit_test(test_stop_cancels_those_that_wait),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
