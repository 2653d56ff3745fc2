/* Workers: every job comes back exactly once, whatever happens. */

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "loop/worker.h"
#include "util/clock.h"

#define N_JOBS 2000

typedef struct Task {
    WorkerJob job;
    int number;
    bool ran;
    unsigned done;
    void (*then)(struct Task *task);
} Task;

static Loop *loop;
static Mailbox *mailbox;
static Worker *worker;
static Task tasks[N_JOBS];
static int run_order[N_JOBS];
static size_t n_run; /* written by the worker's thread, read when it is idle or joined */
static size_t n_done;
static pthread_t loop_thread;
static pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;
static atomic_bool at_gate;

static void task_run(WorkerJob *job, void *context)
{
    Task *task = CONTAINER_OF(job, Task, job);

    if (strcmp(context, "context") != 0 || pthread_equal(pthread_self(), loop_thread))
        abort();
    task->ran = true;
    run_order[n_run++] = task->number;
}

/* Stays in run() until the test opens the gate. */
static void gate_run(WorkerJob *job, void *context)
{
    task_run(job, context);
    atomic_store(&at_gate, true);
    (void)pthread_mutex_lock(&gate);
    (void)pthread_mutex_unlock(&gate);
}

static void task_done(WorkerJob *job)
{
    Task *task = CONTAINER_OF(job, Task, job);

    assert_true(pthread_equal(pthread_self(), loop_thread));
    assert_int_equal(job->cancelled, !task->ran);
    task->done++;
    n_done++;
    if (task->then)
        task->then(task);
}

static void submit(int number, WorkerPriority priority, void (*run)(WorkerJob *, void *))
{
    Task *task = &tasks[number];

    task->number = number;
    task->job.priority = priority;
    task->job.run = run;
    task->job.done = task_done;
    worker_submit(worker, &task->job);
}

static void start(size_t capacity)
{
    memset(tasks, 0, sizeof(tasks));
    n_run = n_done = 0;
    atomic_store(&at_gate, false);
    loop_thread = pthread_self();
    assert_int_equal(loop_create(&loop), 0);
    assert_int_equal(mailbox_create(loop, capacity, &mailbox), 0);
    assert_int_equal(worker_create("test-worker", (void *)"context", mailbox, &worker), 0);
}

static void end(void)
{
    mailbox = mailbox_free(mailbox);
    loop = loop_free(loop);
}

static void run_until_done(size_t n)
{
    while (n_done < n)
        assert_int_equal(loop_run_once(loop, 5000), 0);
}

static void close_gate_and_enter(int number)
{
    assert_int_equal(pthread_mutex_lock(&gate), 0);
    submit(number, WORKER_PRIORITY_LOW, gate_run);
    while (!atomic_load(&at_gate))
        (void)usleep(100);
}

static void open_gate(void)
{
    assert_int_equal(pthread_mutex_unlock(&gate), 0);
}

static void assert_all_done_once(int n)
{
    assert_int_equal(n_done, n);
    for (int i = 0; i < n; i++)
        assert_int_equal(tasks[i].done, 1);
}

static void test_jobs_come_back_in_order(void **state UNUSED)
{
    start(16);
    for (int i = 0; i < N_JOBS; i++)
        submit(i, WORKER_PRIORITY_HIGH, task_run);
    assert_int_equal(worker_backlog(worker), N_JOBS);
    run_until_done(N_JOBS);
    assert_int_equal(worker_backlog(worker), 0);
    assert_true(worker_free(worker, 0));
    for (int i = 0; i < N_JOBS; i++)
        assert_int_equal(run_order[i], i);
    assert_all_done_once(N_JOBS);
    end();
}

static void test_high_before_low(void **state UNUSED)
{
    start(100);
    close_gate_and_enter(0);
    for (int i = 1; i < 20; i++)
        submit(i, i % 2 ? WORKER_PRIORITY_LOW : WORKER_PRIORITY_HIGH, task_run);
    open_gate();
    run_until_done(20);
    assert_true(worker_free(worker, 0));
    for (size_t i = 1; i < 20; i++)
        assert_int_equal(run_order[i] % 2, i < 10 ? 0 : 1);
    end();
}

static void test_stop_cancels(void **state UNUSED)
{
    start(100);
    close_gate_and_enter(0);
    for (int i = 1; i < 10; i++)
        submit(i, WORKER_PRIORITY_HIGH, task_run);
    worker_stop(worker);
    assert_int_equal(n_done, 0);
    open_gate();
    run_until_done(10); /* they come back through the mailbox */
    submit(10, WORKER_PRIORITY_HIGH, task_run);
    run_until_done(11);
    assert_true(tasks[0].ran);
    for (int i = 1; i <= 10; i++)
        assert_false(tasks[i].ran);
    assert_true(worker_free(worker, 0));
    assert_all_done_once(11);
    end();
}

/* With a mailbox of one place the thread waits for room most of the time. */
static void test_free_with_a_full_mailbox(void **state UNUSED)
{
    for (int round = 0; round < 20; round++) {
        start(1);
        for (int i = 0; i < 200; i++)
            submit(i, WORKER_PRIORITY_HIGH, task_run);
        (void)usleep((useconds_t)round * 50);
        assert_true(worker_free(worker, 5 * CLOCK_US_PER_SEC));
        assert_all_done_once(200);
        end();
    }
}

static void test_free_with_a_closed_mailbox(void **state UNUSED)
{
    start(100);
    for (int i = 0; i < 50; i++)
        submit(i, WORKER_PRIORITY_HIGH, task_run);
    mailbox_close(mailbox);
    (void)usleep(5000);
    assert_true(worker_free(worker, 5 * CLOCK_US_PER_SEC));
    assert_all_done_once(50);
    end();
}

static void test_free_waits_for_the_running_job(void **state UNUSED)
{
    start(100);
    submit(0, WORKER_PRIORITY_LOW, task_run);
    run_until_done(1);
    assert_true(worker_free(worker, 0));
    end();
    start(100);
    assert_true(worker_free(worker, 0)); /* a thread that perhaps has not even begun */
    end();
    assert_true(worker_free(NULL, 0));
}

static void submit_next(Task *task)
{
    if (task->number + 1 < 100)
        submit(task->number + 1, WORKER_PRIORITY_LOW, task_run);
    tasks[task->number + 1].then = submit_next;
}

static void test_done_may_submit_at_the_end(void **state UNUSED)
{
    start(100);
    submit(0, WORKER_PRIORITY_LOW, task_run);
    tasks[0].then = submit_next;
    assert_true(worker_free(worker, CLOCK_US_PER_SEC));
    assert_all_done_once(100);
    end();
}

static void test_hung(void **state UNUSED)
{
    uint64_t begin;

    start(100);
    assert_int_equal(worker_busy_for(worker), 0);
    close_gate_and_enter(0);
    for (int i = 1; i < 10; i++)
        submit(i, WORKER_PRIORITY_HIGH, task_run);
    (void)usleep(20000);
    assert_true(worker_busy_for(worker) >= 20000);
    begin = clock_now();
    assert_false(worker_free(worker, 50000));
    assert_true(clock_now() - begin >= 50000);
    assert_true(clock_now() - begin < 5 * CLOCK_US_PER_SEC);
    /* All but the one that hangs have come back. */
    assert_int_equal(n_done, 9);
    assert_int_equal(tasks[0].done, 0);
    end();
    /* The mount comes back when everything else is gone: the thread ends without a word. */
    open_gate();
    (void)usleep(50000);
    assert_int_equal(tasks[0].done, 0);
}

static void name_run(WorkerJob *job, void *context)
{
    char name[16] = "";

    task_run(job, context);
    /* The creator names it, perhaps a moment later. */
    for (int i = 0; i < 1000 && strcmp(name, "test-worker") != 0; i++) {
        (void)pthread_getname_np(pthread_self(), name, sizeof(name));
        (void)usleep(1000);
    }
    CONTAINER_OF(job, Task, job)->number = strcmp(name, "test-worker") == 0 ? 42 : 0;
}

static void test_name(void **state UNUSED)
{
    start(1);
    submit(0, WORKER_PRIORITY_HIGH, name_run);
    run_until_done(1);
    assert_int_equal(tasks[0].number, 42);
    assert_true(worker_free(worker, 0));
    end();
}

/* Two workers share a mailbox; the end of one leaves the other's jobs alone. */
static void test_shared_mailbox(void **state UNUSED)
{
    Worker *first;

    start(500);
    for (int i = 0; i < 100; i++)
        submit(i, WORKER_PRIORITY_HIGH, task_run);
    run_until_done(100);
    first = worker;
    assert_int_equal(worker_create("second", (void *)"context", mailbox, &worker), 0);
    for (int i = 100; i < 200; i++)
        submit(i, WORKER_PRIORITY_HIGH, task_run);
    assert_true(worker_free(first, 0));
    assert_int_equal(n_done, 100);
    run_until_done(200);
    assert_true(worker_free(worker, 0));
    assert_all_done_once(200);
    end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_jobs_come_back_in_order),
        cmocka_unit_test(test_high_before_low),
        cmocka_unit_test(test_stop_cancels),
        cmocka_unit_test(test_free_with_a_full_mailbox),
        cmocka_unit_test(test_free_with_a_closed_mailbox),
        cmocka_unit_test(test_free_waits_for_the_running_job),
        cmocka_unit_test(test_done_may_submit_at_the_end),
        cmocka_unit_test(test_hung),
        cmocka_unit_test(test_name),
        cmocka_unit_test(test_shared_mailbox),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
