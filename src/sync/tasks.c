/*
 * Jobs of the store's thread
 *
 * A task that finds the database locked or away is kept and tried again, with back-off; nobody
 * above sees it fail for that. What is wrong is logged once, and again when it differs.
 */
#include <stdlib.h>
#include <string.h>

#include "sync/engine-private.h"
#include "util/clock.h"
#include "util/log.h"

#define RETRY_FIRST (50 * CLOCK_US_PER_MS)
#define RETRY_MOST  (2 * CLOCK_US_PER_SEC)

static void store_task_run(WorkerJob *job, void *context)
{
    StoreTask *task = CONTAINER_OF(job, StoreTask, job);
    Engine *engine = context;

    task->result = task->work(task, engine->store);
    if (task->result > 0) {
        free(task->reason);
        task->reason = strdup(store_error(engine->store));
    }
    if (task->result == 0 && task->problems_differ)
        (void)store_problem_count(engine->store, &task->n_problems);
    task->connected = store_is_connected(engine->store);
    task->counters = *store_counters(engine->store);
}

bool store_task_cancelled(const StoreTask *task)
{
    return task->job.cancelled;
}

/* All that it knew is found by looking at the files, but for what we know ourselves. */
static void state_lost(Engine *engine)
{
    excluded_remember(engine);
    if (engine->running)
        roots_scan(engine, false);
}

/* What the task brought along from the store's thread. */
static void take_numbers(Engine *engine, const StoreTask *task)
{
    bool lost = task->counters.state_lost != engine->store_counters.state_lost;

    engine->store_counters = task->counters;
    if (lost && !engine->stopping)
        state_lost(engine);
    if (task->result != 0 || !task->problems_differ)
        return;
    engine->problems_listed = task->n_problems;
    if (engine->n_problems < task->n_problems)
        engine->n_problems = task->n_problems;
}

static void database_up(Engine *engine)
{
    engine->retry_backoff = 0;
    if (engine->database_connected)
        return;
    engine->database_connected = true;
    engine->snapshot_dirty = true;
    if (engine->database_error)
        log_event(LOG_LEVEL_NOTICE, LOG_EVENT_DATABASE_AVAILABLE, NULL,
                  engine->options.config->database_path, "the database is available again");
    free(engine->database_error);
    engine->database_error = NULL;
}

/* A lock is somebody else's short work; anything else is said once, and again when it differs. */
static void database_down(Engine *engine, const StoreTask *task)
{
    const char *reason = task->reason ? task->reason : "";

    if (task->result == STORE_E_BUSY) {
        log_debug("the database is locked; trying again");
        return;
    }
    if (engine->database_connected || !engine->snapshot_published)
        engine->snapshot_dirty = true;
    engine->database_connected = false;
    if (engine->database_error && strcmp(engine->database_error, reason) == 0)
        return;
    log_event(LOG_LEVEL_WARNING, LOG_EVENT_DATABASE_UNAVAILABLE, NULL,
              engine->options.config->database_path, "%s: %s; waiting for it",
              engine->options.config->database_path, reason);
    free(engine->database_error);
    engine->database_error = strdup(reason);
}

static void store_task_done(WorkerJob *job)
{
    StoreTask *task = CONTAINER_OF(job, StoreTask, job);
    Engine *engine = task->engine;

    if (!job->cancelled)
        take_numbers(engine, task);
    if (engine->stopping && task->result > 0)
        job->cancelled = true; /* it would be kept for a next time that does not come */
    if (!job->cancelled && task->result > 0) {
        database_down(engine, task);
        ahead_forget(engine);
        list_append(&engine->retries, &task->link);
        engine->retry_backoff = engine->retry_backoff ? engine->retry_backoff * 2 : RETRY_FIRST;
        if (engine->retry_backoff > RETRY_MOST)
            engine->retry_backoff = RETRY_MOST;
        if (!timer_is_armed(&engine->retry_timer))
            (void)timer_arm_in(&engine->retry_timer, engine->retry_backoff);
        engine_changed(engine);
        return;
    }
    /* Some have asked only our own database, or none. */
    if (!job->cancelled && task->result == 0 && task->connected)
        database_up(engine);
    engine->n_store_tasks--;
    free(task->reason);
    task->reason = NULL;
    task->finish(task);
    engine_changed(engine);
}

/*
 * store_task_submit() - run task->work on the store's thread, then task->finish in the loop
 *
 * While the database is locked or away the task is kept and tried again; finish() gets a result of
 * 0, a negative errno, or is called with the job cancelled when the engine stops.
 */
void store_task_submit(StoreTask *task, Engine *engine, WorkerPriority priority)
{
    task->engine = engine;
    task->job.priority = priority;
    task->job.run = store_task_run;
    task->job.done = store_task_done;
    engine->n_store_tasks++;
    worker_submit(engine->store_worker, &task->job);
}

/* tasks_retry() - the timer of Engine.retries */
void tasks_retry(Timer *timer)
{
    Engine *engine = CONTAINER_OF(timer, Engine, retry_timer);
    List again;

    list_init(&again);
    list_splice(&again, &engine->retries);
    for (ListNode *link; (link = list_take(&again));)
        worker_submit(engine->store_worker, &CONTAINER_OF(link, StoreTask, link)->job);
}

/* tasks_cancel() - give up on what waits to be tried again */
void tasks_cancel(Engine *engine)
{
    for (ListNode *link; (link = list_take(&engine->retries));) {
        StoreTask *task = CONTAINER_OF(link, StoreTask, link);

        task->job.cancelled = true;
        store_task_done(&task->job);
    }
}
