/*
 * Collecting thumbnails that no row names, and graves that are too old, now and then
 *
 * See store/collect.c and store/graveyard.c for what is removed, and what never. Here is when: some
 * minutes after the start, when there are better things to do, and then once in a while, at a time
 * when nothing is going on. The pieces of a pass are tasks of low priority, so that a change that
 * comes meanwhile waits for one of them at most.
 */
#include <errno.h>
#include <malloc.h>
#include <stdlib.h>

#include "store/collect.h"
#include "store/graveyard.h"
#include "sync/engine-private.h"
#include "util/clock.h"

#define MINUTE      (60 * CLOCK_US_PER_SEC)
#define FIRST_DELAY (5 * MINUTE)
#define BUSY_DELAY  (1 * MINUTE)

typedef struct CollectTask {
    StoreTask task;
    Collection *collection;
    bool more;
} CollectTask;

static void arm(Engine *engine, uint64_t at_most)
{
    uint64_t interval = engine->config->thumbnails_collect_interval;

    if (interval > 0)
        (void)timer_arm_in(&engine->collect_timer, interval < at_most ? interval : at_most);
    else
        timer_disarm(&engine->collect_timer);
}

/*
 * A pass that cannot go on is given up, not tried again: there is another day. The result says
 * nothing of the database, in either way: most pieces do not ask it.
 */
static int collect_work(StoreTask *task, Store *store)
{
    CollectTask *collect = CONTAINER_OF(task, CollectTask, task);

    collect->more = false;
    if (collect->collection) {
        (void)collection_step(collect->collection, store, &collect->more);
        if (!collect->more)
            collect->collection = collection_free(collect->collection);
        collect->more = true; /* the graves follow */
        return -ECANCELED;
    }
    (void)store_graveyard_sweep(store, &collect->more);
    if (!collect->more) {
        store_rest(store);
        (void)malloc_trim(0);
    }
    return -ECANCELED;
}

static void collect_finish(StoreTask *task)
{
    CollectTask *collect = CONTAINER_OF(task, CollectTask, task);
    Engine *engine = task->engine;

    if (collect->more && !store_task_cancelled(task) && !engine->stopping) {
        store_task_submit(task, engine, WORKER_PRIORITY_LOW);
        return;
    }
    (void)collection_free(collect->collection);
    free(collect);
    engine->collecting = false;
    engine->counters.collections++;
    if (!engine->stopping)
        arm(engine, UINT64_MAX);
}

static bool collect_begin(Engine *engine)
{
    CollectTask *collect = calloc(1, sizeof(*collect));

    if (collect)
        collect->collection = collection_new(engine->config->thumbnails_collect_after);
    if (!collect || !collect->collection) {
        free(collect);
        return false;
    }
    engine->collecting = true;
    collect->task.work = collect_work;
    collect->task.finish = collect_finish;
    store_task_submit(&collect->task, engine, WORKER_PRIORITY_LOW);
    return true;
}

static bool is_idle(const Engine *engine)
{
    return engine->running && engine->database_connected && engine->pending.count == 0 &&
           list_is_empty(&engine->scans) && list_is_empty(&engine->writes);
}

static void collect_fired(Timer *timer)
{
    Engine *engine = CONTAINER_OF(timer, Engine, collect_timer);

    if (!is_idle(engine) || !collect_begin(engine))
        arm(engine, BUSY_DELAY);
}

/* collect_reconfigure() - at the start, and when the interval may be another one */
void collect_reconfigure(Engine *engine)
{
    if (!engine->collecting)
        arm(engine, FIRST_DELAY);
}

void collect_init(Engine *engine)
{
    timer_init(&engine->collect_timer, engine->timers, collect_fired);
}

void collect_done(Engine *engine)
{
    timer_disarm(&engine->collect_timer);
}
