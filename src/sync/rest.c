/*
 * Rest
 *
 * A scan of a large library leaves caches and holes behind that nobody needs any more. When all has
 * been quiet for a moment, the store's thread, which has nothing else to do then, gives them back
 * to the system. Once for each time of work: an idle daemon does not wake up for it.
 */
#include <malloc.h>
#include <stdlib.h>

#include "sync/engine-private.h"
#include "util/clock.h"

#define QUIET (2 * CLOCK_US_PER_SEC)

static int rest_work(StoreTask *task UNUSED, Store *store)
{
    store_rest(store);
    (void)malloc_trim(0);
    return 0;
}

static void rest_finish(StoreTask *task)
{
    free(task);
}

static void rest_fired(Timer *timer)
{
    Engine *engine = CONTAINER_OF(timer, Engine, rest_timer);
    StoreTask *task = calloc(1, sizeof(*task));

    if (!task)
        return;
    engine->rested = true;
    task->work = rest_work;
    task->finish = rest_finish;
    store_task_submit(task, engine, WORKER_PRIORITY_LOW);
}

/* rest_round() - at the end of a round: is there anything to do? */
void rest_round(Engine *engine)
{
    bool quiet = engine->pending.count == 0 && list_is_empty(&engine->scans) &&
                 engine->n_joins == 0 && engine->n_store_tasks == 0;

    if (!quiet && engine->pending.count + engine->n_scans > 0) {
        engine->rested = false;
        timer_disarm(&engine->rest_timer);
    } else if (quiet && !engine->rested && !timer_is_armed(&engine->rest_timer)) {
        (void)timer_arm_in(&engine->rest_timer, QUIET);
    }
}

void rest_init(Engine *engine)
{
    timer_init(&engine->rest_timer, engine->timers, rest_fired);
}

void rest_done(Engine *engine)
{
    timer_disarm(&engine->rest_timer);
}
