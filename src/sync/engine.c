/*
 * The engine
 *
 * Ties the parts together in the loop's thread: events of the watcher and differences found by
 * scans become pending changes; a hook at the end of each round of the loop hands on what has
 * become due: scans go on, changes are looked at, files are read, batches are written, and those
 * who wait for the result are answered.
 *
 *     watcher ─▶ pending ─▶ funnel (probe, look up) ─▶ decide ─▶ reading ─▶ batch ─▶ store
 *     scan  ──▶ (compare) ──┘                              └────────────────▶┘
 */
#include "sync/engine.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "sync/engine-private.h"
#include "util/clock.h"
#include "util/error.h"
#include "util/log.h"

#define THREAD_STOP (2 * CLOCK_US_PER_SEC) /* what a hung volume may delay the end */

/* ---- problems ---- */

/* engine_problem() - note that a file is skipped, and why; said once for each state of the file */
void engine_problem(Engine *engine, const char *path, const FileStamp *stamp, const char *reason)
{
    Write *write = batch_new(STORE_OP_PROBLEM, NULL, NULL);

    if (!write)
        return;
    write->op.path = strdup(path);
    write->op.metadata = strdup(reason);
    write->op.stamp = *stamp;
    engine->n_problems++;
    batch_add(engine, write);
}

void engine_problem_clear(Engine *engine, const char *path)
{
    Write *write = batch_new(STORE_OP_PROBLEM_CLEAR, NULL, NULL);

    if (!write)
        return;
    write->op.path = strdup(path);
    batch_add(engine, write);
}

/* engine_problem_clear_one() - the same for exactly this path */
void engine_problem_clear_one(Engine *engine, const char *path)
{
    Write *write = batch_new(STORE_OP_PROBLEM_CLEAR, NULL, NULL);

    if (!write)
        return;
    write->op.path = strdup(path);
    write->op.exact = true;
    batch_add(engine, write);
}

/* ---- the rounds ---- */

/* engine_walks_idle() - is nothing being looked at? What hangs is not waited for. Directories that
 * rows are to follow are not counted, nor those that are only to be compared yet */
bool engine_walks_idle(const Engine *engine)
{
    if (engine->n_joins > 0 || scans_under_way(engine) > 0 || doubts_under_way(engine) > 0)
        return false;
    if (engine->n_hung == 0)
        return engine->n_dirty == engine->n_late;
    LIST_FOREACH (link, &engine->dirty) {
        const DirtyNode *dirty = CONTAINER_OF(link, DirtyNode, link);

        if (!dirty->late && !node_is_hung(engine, dirty->node))
            return false;
    }
    return true;
}

/* Those that hang are not waited for. */
static bool has_late(const Engine *engine)
{
    if (engine->n_late == 0 || engine->n_hung == 0)
        return engine->n_late > 0;
    LIST_FOREACH (link, &engine->dirty) {
        const DirtyNode *dirty = CONTAINER_OF(link, DirtyNode, link);

        if (dirty->late && !node_is_hung(engine, dirty->node))
            return true;
    }
    return false;
}

/* engine_scans_idle() - has everything been looked at that was to be? */
bool engine_scans_idle(const Engine *engine)
{
    return origins_under_way(engine) == 0 && engine_walks_idle(engine) && !has_late(engine) &&
           !displaced_under_way(engine);
}

void engine_changed(Engine *engine)
{
    engine->progress_dirty = true;
}

static void arm_due(Engine *engine)
{
    uint64_t due = pending_next_due(&engine->pending);
    uint64_t ahead = ahead_due(engine), batch = batch_due(engine);

    if (!list_is_empty(&engine->retries) && due <= clock_now())
        due = UINT64_MAX; /* the retry's end wakes the loop */
    due = ahead < due ? ahead : due;
    due = batch < due ? batch : due;
    /* Held ones may be waiting for nothing but time. */
    if (!list_is_empty(&engine->pending.held) || !list_is_empty(&engine->pending.replaced)) {
        uint64_t held = clock_now() + 100 * CLOCK_US_PER_MS;

        due = held < due ? held : due;
    }
    if (batch_moves_pending(engine) && due <= clock_now())
        due = batch; /* what is due waits for the rows of directories */
    if (due == UINT64_MAX)
        timer_disarm(&engine->due_timer);
    else
        (void)timer_arm_at(&engine->due_timer, due);
}

/*
 * Nothing is watched: what waits, or was under way when the watcher was stopped and comes back, is
 * found again at the next start. Nobody would take it, and its due time would wake the loop over
 * and over.
 */
static void drop_waiting(Engine *engine)
{
    LIST_FOREACH_SAFE (link, tmp, &engine->pending.all) {
        Change *change = CONTAINER_OF(link, Change, by_age);

        if (change->state != CHANGE_STATE_WAITING && change->state != CHANGE_STATE_HELD)
            continue;
        change->again = false;
        pending_finish(&engine->pending, change, clock_now());
    }
}

static void due_fired(Timer *timer UNUSED)
{
    /* The hook at the end of this round does the work. */
}

static void engine_round(LoopHook *hook)
{
    Engine *engine = CONTAINER_OF(hook, Engine, hook);

    if (engine->stopping)
        return;
    if (!engine->running)
        drop_waiting(engine);
    volumes_answered(engine);
    volumes_reap(&engine->volumes);
    looks_continue(engine);
    if (list_is_empty(&engine->scans))
        watcher_drop_orphans(engine->watcher);
    scans_continue(engine);
    origins_run(engine);
    held_release(engine);
    batch_run(engine);
    kept_run(engine);
    funnel_run(engine);
    ahead_run(engine);
    reading_run(engine);
    batch_run(engine);
    engine_publish(engine);
    calls_run(engine);
    /* Without a database there is nothing to watch yet: started all the same. */
    if (!engine->ready && (roots_all_known(engine) || engine->database_error)) {
        engine->ready = true;
        engine->progress_dirty = true;
    }
    arm_due(engine);
    guard_round(engine);
    rest_round(engine);
    detail_refresh(engine);
    engine_publish(engine);
    if (engine->progress_dirty) {
        engine->progress_dirty = false;
        engine->options.progress(engine, engine->options.owner);
    }
}

static void reconcile_fired(Timer *timer)
{
    Engine *engine = CONTAINER_OF(timer, Engine, reconcile_timer);

    engine->counters.rescans_interval++;
    roots_scan(engine, true);
    if (engine->config->watch_reconcile_interval > 0)
        (void)timer_arm_in(timer, engine->config->watch_reconcile_interval);
}

/* ---- start and stop ---- */

/* engine_watch_start() - read the folders table and watch what it says */
void engine_watch_start(Engine *engine)
{
    if (engine->running)
        return;
    engine->running = true;
    engine->folders_resumed = engine->folders_known;
    engine->snapshot_dirty = true;
    folders_poll(engine, true);
}

/* engine_watch_stop() - watch nothing; what is pending is found again at the next start */
void engine_watch_stop(Engine *engine)
{
    if (!engine->running)
        return;
    engine->running = false;
    engine->snapshot_dirty = true;
    timer_disarm(&engine->folders_timer);
    timer_disarm(&engine->poll_timer);
    excluded_save(engine);
    scans_abort(engine);
    roots_clear(engine);
    origins_clear(engine);
    moves_clear(&engine->moves);
    renames_clear(&engine->renames);
}

static void set_waits(Engine *engine)
{
    engine->pending.waits[CHANGE_WAIT_NONE] = 0;
    engine->pending.waits[CHANGE_WAIT_SETTLE] = engine->config->watch_settle;
    engine->pending.waits[CHANGE_WAIT_CREATE] = engine->config->watch_settle_create;
    engine->pending.limit = engine->config->watch_settle_limit;
}

static unsigned worker_count(const Config *config)
{
    long n = sysconf(_SC_NPROCESSORS_ONLN);

    if (config->media_workers > 0)
        return config->media_workers;
    return n < 1 ? 1 : n > 4 ? 4 : (unsigned)n;
}

static int create_media(Engine *engine)
{
    const Config *config = engine->config;
    MediaPoolOptions options = {
        .program = engine->options.program,
        .n_workers = worker_count(config),
        .thumbnail_size = config->thumbnails_size,
        .thumbnail_quality = config->thumbnails_quality,
        .timeout_us = config->media_timeout,
        .max_pixels = config->media_max_pixels,
        .max_file_size = config->media_max_file_size,
    };

    return media_pool_create(engine->loop, engine->timers, &options, &engine->media);
}

static int create_store(Engine *engine)
{
    const Config *config = engine->config;
    StoreOptions options = {
        .database_path = config->database_path,
        .thumbnails_directory = config->thumbnails_directory,
        .state_directory = config->state_directory,
        .inherit_ai_tagging = config->sync_inherit_ai_tagging,
        .graveyard_days = config->sync_graveyard_days,
        .graveyard_size = config->sync_graveyard_size,
    };
    int r = store_create(&options, &engine->store);

    if (r == 0) {
        engine->store_counters = *store_counters(engine->store);
        r = worker_create("store", engine, engine->options.mailbox, &engine->store_worker);
    }
    return error_trace(r);
}

/* engine_create() - make an engine that does nothing yet; everything borrowed must outlive it */
int engine_create(const EngineOptions *options, Engine **ret_engine)
{
    CLEANUP(engine_free_p) Engine *engine = calloc(1, sizeof(*engine));
    int r;

    if (!engine)
        return error_trace(-ENOMEM);
    engine->options = *options;
    engine->config = options->config;
    engine->loop = options->loop;
    engine->timers = options->timers;
    engine->listener = events_listener();
    engine->mounts.fd = -1;
    engine->counters.batches.bounds = histogram_sizes;
    list_init(&engine->retries);
    list_init(&engine->media_queue);
    list_init(&engine->scans);
    list_init(&engine->dirty);
    list_init(&engine->doubts);
    list_init(&engine->displaced);
    list_init(&engine->inspections);
    list_init(&engine->origins);
    list_init(&engine->unproven);
    list_init(&engine->kept);
    moves_init(&engine->moves);
    list_init(&engine->writes);
    list_init(&engine->calls);
    timer_init(&engine->retry_timer, engine->timers, tasks_retry);
    timer_init(&engine->due_timer, engine->timers, due_fired);
    timer_init(&engine->displaced_timer, engine->timers, displaced_fired);
    timer_init(&engine->reconcile_timer, engine->timers, reconcile_fired);
    roots_init(engine);
    poll_init(engine);
    rest_init(engine);
    collect_init(engine);
    detail_init(engine);
    volumes_init(&engine->volumes, options->mailbox);
    renames_init(&engine->renames);
    r = pending_init(&engine->pending);
    if (r == 0)
        r = ahead_init(engine);
    if (r == 0)
        r = folders_init(engine);
    if (r == 0)
        r = places_init(engine);
    if (r == 0)
        r = watcher_create(engine->loop, engine->timers, &engine->listener, &engine->watcher);
    if (r < 0)
        return error_trace(r);
    engine->tree = watcher_tree(engine->watcher);
    set_waits(engine);
    loop_hook_add(engine->loop, &engine->hook, engine_round);
    r = create_store(engine);
    if (r == 0)
        r = create_media(engine);
    if (r < 0)
        return error_trace(r);
    *ret_engine = STEAL_PTR(engine);
    return 0;
}

/*
 * engine_stop() - end everything that runs: threads, workers, watches
 *
 * Waits some seconds at most. False: a thread hangs in the kernel, on a dead mount. It may still
 * use what it was given whenever the mount answers, so the engine must not be freed: it is left to
 * the end of the process.
 */
bool engine_stop(Engine *engine)
{
    bool store_ended = true;
    unsigned left;

    if (engine->stopped)
        return true;
    engine->stopping = true;
    if (engine->watcher)
        engine_watch_stop(engine);
    calls_clear(engine);
    engine->media = media_pool_free(engine->media);
    reading_clear(engine);
    left = volumes_stop(&engine->volumes, THREAD_STOP);
    tasks_cancel(engine);
    if (engine->store_worker)
        store_ended = worker_free(engine->store_worker, THREAD_STOP * 2);
    if (left > 0 || !store_ended)
        log_warning("%s: leaving threads behind",
                    store_ended ? "a volume does not answer" : "the database does not answer");
    engine->stopped = left == 0 && store_ended;
    return engine->stopped;
}

/* engine_free() - stop and free; what engine_stop() had to leave behind stays. Returns NULL */
Engine *engine_free(Engine *engine)
{
    if (!engine || !engine_stop(engine))
        return NULL;
    scans_abort(engine);
    reading_clear(engine); /* a look-up that ended last may have queued some */
    batch_clear(engine);
    origins_clear(engine);
    moves_clear(&engine->moves);
    roots_done(engine);
    poll_done(engine);
    rest_done(engine);
    collect_done(engine);
    detail_done(engine);
    proof_done(engine);
    renames_clear(&engine->renames);
    pending_done(&engine->pending);
    ahead_done(engine);
    places_done(engine);
    volumes_done(&engine->volumes);
    folders_done(engine);
    if (engine->hook.run)
        loop_hook_remove(&engine->hook);
    engine->watcher = watcher_free(engine->watcher);
    engine->store = store_free(engine->store);
    timer_disarm(&engine->retry_timer);
    timer_disarm(&engine->due_timer);
    timer_disarm(&engine->reconcile_timer);
    free(engine->database_error);
    free(engine);
    return NULL;
}

/* engine_start() - begin to watch; scans start when the database can be read */
int engine_start(Engine *engine)
{
    int r = 0;

    if (engine->config->watch_reconcile_interval > 0)
        r = timer_arm_in(&engine->reconcile_timer, engine->config->watch_reconcile_interval);
    if (r < 0)
        return error_trace(r);
    collect_reconfigure(engine);
    engine_watch_start(engine);
    return 0;
}

/*
 * engine_reconfigure() - take up another configuration
 *
 * Waiting times and rules change at once; a scan brings in what a rule hid before. The places of
 * the database, thumbnails and state are fixed for the life of an engine. The configuration must
 * live until the next one, or as long as the engine.
 */
int engine_reconfigure(Engine *engine, const Config *config)
{
    const Config *old = engine->config;
    int r;

    engine->config = config;
    r = rules_build(engine);
    if (r < 0) {
        engine->config = old;
        return error_trace(r);
    }
    set_waits(engine);
    collect_reconfigure(engine);
    if (engine->running)
        reconcile_fired(&engine->reconcile_timer);
    return 0;
}

bool engine_may_hang(const Engine *engine)
{
    LIST_FOREACH (link, &engine->volumes.list)
        if (CONTAINER_OF(link, Volume, link)->kind == MOUNT_KIND_REMOTE)
            return true;
    return engine->n_hung > 0;
}

void engine_progress(const Engine *engine, EngineProgress *ret_progress)
{
    EngineProgress progress = {
        .ready = engine->ready,
        .database_connected = engine->database_connected,
        .folders_watched = engine->tree->n_watched,
        .scanning = engine->n_scans > 0,
        .folders_scanned = engine->counters.directories_listed - engine->listed_before,
        .folders_polled = engine->n_polled,
        .limit_reached = engine->limit_told,
        .watch_limit = engine->watch_limit,
        .watch_budget = engine->watch_budget,
        .photos_done = engine->media_done,
        .photos_total = engine->media_total,
        .changes_pending = engine->pending.count,
        .problems = engine->problems_listed,
    };

    LIST_FOREACH (link, &engine->roots) {
        const Root *root = CONTAINER_OF(link, Root, link);
        const char *reason;

        progress.roots_hung += root_state_shown(root, &reason) == SNAPSHOT_ROOT_HUNG;
        progress.roots_online += root->state == ROOT_STATE_ONLINE;
        progress.roots_offline += root->state == ROOT_STATE_OFFLINE;
    }
    progress.in_sync = progress.ready && engine->pending.count == 0 && engine_scans_idle(engine) &&
                       list_is_empty(&engine->retries) && !engine->writing &&
                       list_is_empty(&engine->writes);
    *ret_progress = progress;
}
