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

#define RETRY_FIRST (50 * CLOCK_US_PER_MS)
#define RETRY_MOST  (2 * CLOCK_US_PER_SEC)
#define THREAD_STOP (2 * CLOCK_US_PER_SEC) /* what a hung volume may delay the end */

/* ---- jobs of the store's thread ---- */

static void store_task_run(WorkerJob *job, void *context)
{
    StoreTask *task = CONTAINER_OF(job, StoreTask, job);
    Engine *engine = context;

    task->result = task->work(task, engine->store);
    if (task->result > 0) {
        free(task->reason);
        task->reason = strdup(store_error(engine->store));
    }
}

bool store_task_cancelled(const StoreTask *task)
{
    return task->job.cancelled;
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
                  engine->config->database_path, "the database is available again");
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
              engine->config->database_path, "%s: %s; waiting for it",
              engine->config->database_path, reason);
    free(engine->database_error);
    engine->database_error = strdup(reason);
}

static void store_task_done(WorkerJob *job)
{
    StoreTask *task = CONTAINER_OF(job, StoreTask, job);
    Engine *engine = task->engine;

    if (!job->cancelled && task->result > 0) {
        database_down(engine, task);
        list_append(&engine->retries, &task->link);
        engine->retry_backoff = engine->retry_backoff ? engine->retry_backoff * 2 : RETRY_FIRST;
        if (engine->retry_backoff > RETRY_MOST)
            engine->retry_backoff = RETRY_MOST;
        if (!timer_is_armed(&engine->retry_timer))
            (void)timer_arm_in(&engine->retry_timer, engine->retry_backoff);
        engine_changed(engine);
        return;
    }
    if (!job->cancelled && task->result == 0)
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

static void retry_fired(Timer *timer)
{
    Engine *engine = CONTAINER_OF(timer, Engine, retry_timer);
    List again;

    list_init(&again);
    list_splice(&again, &engine->retries);
    for (ListNode *link; (link = list_take(&again));)
        worker_submit(engine->store_worker, &CONTAINER_OF(link, StoreTask, link)->job);
}

static void retries_cancel(Engine *engine)
{
    for (ListNode *link; (link = list_take(&engine->retries));) {
        StoreTask *task = CONTAINER_OF(link, StoreTask, link);

        task->job.cancelled = true;
        store_task_done(&task->job);
    }
}

/* ---- problems ---- */

/* engine_problem() - note that a file is skipped, and why; said once for each state of the file */
void engine_problem(Engine *engine, const char *path, const FileStamp *stamp, const char *reason)
{
    CLEANUP_FREE char *shown = path_escape(path);
    Write *write = batch_new(STORE_OP_PROBLEM, NULL, NULL);

    if (!shown || !write) {
        (void)write_free(write);
        return;
    }
    write->op.path = strdup(shown);
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
    write->op.path = path_escape(path);
    batch_add(engine, write);
}

/* ---- what the watcher says ---- */

static Engine *engine_of(WatchListener *listener)
{
    return CONTAINER_OF(listener, Engine, listener);
}

/* A sidecar says something about the photo whose name it begins with. */
static void touch_photo_of_sidecar(Engine *engine, Node *dir, const char *name)
{
    CLEANUP_FREE char *photo = strdup(name);
    size_t length = strlen(name);

    if (!photo || length <= 5 || strcmp(name + length - 5, ".json") != 0)
        return;
    for (char *dot = photo + length - 5; dot && dot > photo; dot = strrchr(photo, '.')) {
        Change *change;

        *dot = '\0';
        if (media_kind_of(photo) == MEDIA_KIND_NONE)
            continue;
        change = pending_touch(&engine->pending, dir, photo, CHANGE_WAIT_SETTLE, clock_now());
        if (change)
            change->reread = true;
        return;
    }
}

/* A directory appeared, went or changed its mode. It is watched at once; its row can wait. */
static void directory_changed(Engine *engine, Node *dir, const char *name, WatchChange change)
{
    Node *node = tree_child(engine->tree, dir, name);
    CLEANUP_FREE char *path = NULL;
    CLEANUP_FREE char *above = NULL;

    if (change == WATCH_CHANGE_ATTRIBUTES && node && !node->unreadable) {
        /* What copies a tree sets the directories' times last of all. */
        (void)pending_touch(&engine->pending, node, "", CHANGE_WAIT_SETTLE, clock_now());
        return;
    }
    if (change == WATCH_CHANGE_CREATED && engine->n_excluded > 0) {
        above = node_path_new(dir);
        path = above ? path_join(above, name) : NULL;
        if (path)
            (void)roots_include(engine, path); /* made anew */
    }
    if (change != WATCH_CHANGE_REMOVED)
        scan_name(engine, dir, name);
    (void)pending_touch(&engine->pending, dir, name, CHANGE_WAIT_SETTLE, clock_now());
}

static ChangeWait wait_for(const Change *known, WatchChange change)
{
    switch (change) {
    case WATCH_CHANGE_CREATED:
        return CHANGE_WAIT_CREATE;
    case WATCH_CHANGE_ATTRIBUTES: /* a writer may go on after changing the mode */
        return known && known->state == CHANGE_STATE_WAITING && !known->complete
                   ? known->wait
                   : CHANGE_WAIT_SETTLE;
    default:
        return CHANGE_WAIT_SETTLE;
    }
}

static void file_changed(Engine *engine, Node *dir, const char *name, WatchChange what)
{
    Change *change = pending_find(&engine->pending, dir, name);

    change = pending_touch(&engine->pending, dir, name, wait_for(change, what), clock_now());
    if (!change)
        return;
    change->live = true;
    change->confirm = false;
    if (what == WATCH_CHANGE_WRITTEN || what == WATCH_CHANGE_MOVED_IN)
        change->complete = true;
    if (what == WATCH_CHANGE_CREATED)
        change->complete = false;
}

static void on_changed(WatchListener *listener, Node *dir, const char *name, WatchChange change,
                       bool is_directory)
{
    Engine *engine = engine_of(listener);

    if (!engine->running)
        return;
    if (is_directory && name[0] != '\0') {
        directory_changed(engine, dir, name, change);
        return;
    }
    if (media_kind_of(name) != MEDIA_KIND_NONE && !rules_ignore_file(engine->rules, name)) {
        file_changed(engine, dir, name, change);
        return;
    }
    touch_photo_of_sidecar(engine, dir, name);
    /* Any other name changes nothing but the directory's mtime; and a directory of this name may
     * have been there before. */
    if (change == WATCH_CHANGE_CREATED || change == WATCH_CHANGE_REMOVED ||
        change == WATCH_CHANGE_MOVED_IN || name[0] == '\0')
        (void)pending_touch(&engine->pending, dir, "", CHANGE_WAIT_SETTLE, clock_now());
}

static void on_file_moved(WatchListener *listener, Node *from, const char *from_name, Node *to,
                          const char *to_name)
{
    Engine *engine = engine_of(listener);
    Change *source;
    Change *change;

    if (!engine->running || media_kind_of(from_name) == MEDIA_KIND_NONE ||
        media_kind_of(to_name) == MEDIA_KIND_NONE)
        return;
    change = pending_touch(&engine->pending, to, to_name, CHANGE_WAIT_SETTLE, clock_now());
    source = pending_find(&engine->pending, from, from_name);
    if (!change || change == source)
        return;
    if (source && source->origin_dir) { /* it had come from somewhere else a moment before */
        pending_set_origin(&engine->pending, change, source->origin_dir, source->origin_name);
        pending_clear_origin(&engine->pending, source);
    } else {
        pending_set_origin(&engine->pending, change, from, from_name);
    }
}

static void on_directory_moving(WatchListener *listener, Node *node, Node *to UNUSED,
                                const char *to_name UNUSED)
{
    Engine *engine = engine_of(listener);

    if (engine->running)
        moves_record(engine, node);
}

static void on_lost(WatchListener *listener, Node *node)
{
    Engine *engine = engine_of(listener);

    if (engine->running)
        engine_node_missing(engine, node);
}

static void on_overflow(WatchListener *listener)
{
    Engine *engine = engine_of(listener);

    if (!engine->running)
        return;
    if (!engine->overflow_told)
        log_event(LOG_LEVEL_WARNING, LOG_EVENT_OVERFLOW, NULL, NULL,
                  "more changes than the kernel's queue holds (fs.inotify.max_queued_events): "
                  "looking at everything again");
    engine->overflow_told = true;
    LIST_FOREACH_SAFE (link, tmp, &engine->roots) {
        Root *root = CONTAINER_OF(link, Root, link);

        if (root->node)
            root_lost(engine, root->node);
    }
}

/* engine_node_missing() - the directory of a node is not at its place, or not watched any more */
void engine_node_missing(Engine *engine, Node *node)
{
    if (!node->parent)
        root_lost(engine, node);
    else
        (void)pending_touch(&engine->pending, node->parent, node->name, CHANGE_WAIT_SETTLE,
                            clock_now());
}

/* ---- the rounds ---- */

bool engine_scans_idle(const Engine *engine)
{
    return list_is_empty(&engine->scans) && engine->n_joins == 0 && list_is_empty(&engine->dirty);
}

void engine_changed(Engine *engine)
{
    engine->progress_dirty = true;
}

/* engine_publish() - show the HTTP threads what is true now, if it changed */
void engine_publish(Engine *engine)
{
    Snapshot *snapshot;

    if (!engine->snapshot_dirty || snapshot_new(&snapshot) < 0)
        return;
    engine->snapshot_dirty = false;
    engine->snapshot_published = true;
    snapshot->database_connected = engine->database_connected;
    snapshot->watcher_running = engine->running;
    snapshot->thread_id = gettid();
    if (engine->snapshot_folders && engine->running)
        snapshot->folders = snapshot_folders_ref(engine->snapshot_folders);
    snapshot_box_publish(engine->options.snapshots, snapshot);
}

static void arm_due(Engine *engine)
{
    uint64_t due = pending_next_due(&engine->pending);

    /* Held removals may be waiting for nothing but time. */
    if (!list_is_empty(&engine->pending.held)) {
        uint64_t held = clock_now() + 100 * CLOCK_US_PER_MS;

        due = held < due ? held : due;
    }
    if (due == UINT64_MAX || (moves_pending(engine) && due <= clock_now()))
        timer_disarm(&engine->due_timer);
    else
        (void)timer_arm_at(&engine->due_timer, due);
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
    if (list_is_empty(&engine->scans))
        watcher_drop_orphans(engine->watcher);
    scans_continue(engine);
    funnel_release_held(engine);
    batch_run(engine);
    funnel_run(engine);
    reading_run(engine);
    batch_run(engine);
    engine_publish(engine);
    calls_run(engine);
    /* Without a database there is nothing to watch yet: started all the same. */
    if (!engine->ready && (roots_all_known(engine) || engine->database_error)) {
        engine->ready = true;
        engine->progress_dirty = true;
    }
    if (engine->overflow_told && engine_scans_idle(engine))
        engine->overflow_told = false;
    arm_due(engine);
    engine_publish(engine);
    if (engine->progress_dirty) {
        engine->progress_dirty = false;
        engine->options.progress(engine, engine->options.owner);
    }
}

static void reconcile_fired(Timer *timer)
{
    Engine *engine = CONTAINER_OF(timer, Engine, reconcile_timer);

    LIST_FOREACH_SAFE (link, tmp, &engine->roots)
        scan_root(CONTAINER_OF(link, Root, link));
    if (engine->config->watch_reconcile_interval > 0)
        (void)timer_arm_in(timer, engine->config->watch_reconcile_interval);
}

/* Directories that could not be watched are looked at every now and then. */
static void poll_fired(Timer *timer)
{
    Engine *engine = CONTAINER_OF(timer, Engine, poll_timer);

    if (engine->unwatched) {
        engine->unwatched = false;
        LIST_FOREACH_SAFE (link, tmp, &engine->roots)
            scan_root(CONTAINER_OF(link, Root, link));
    }
    (void)timer_arm_in(timer, engine->config->watch_poll_interval);
}

static void mounts_changed(MountWatch *watch)
{
    Engine *engine = CONTAINER_OF(watch, Engine, mounts);

    if (engine->running)
        roots_mounts_changed(engine);
}

/* ---- start and stop ---- */

/* engine_watch_start() - read the folders table and watch what it says */
void engine_watch_start(Engine *engine)
{
    if (engine->running)
        return;
    engine->running = true;
    engine->snapshot_dirty = true;
    roots_poll(engine, true);
    (void)timer_arm_in(&engine->folders_timer, ENGINE_FOLDERS_POLL);
}

/* engine_watch_stop() - watch nothing; what is pending is found again at the next start */
void engine_watch_stop(Engine *engine)
{
    if (!engine->running)
        return;
    engine->running = false;
    engine->snapshot_dirty = true;
    timer_disarm(&engine->folders_timer);
    scans_abort(engine);
    roots_clear(engine);
    moves_clear(engine);
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
    };
    int r = store_create(&options, &engine->store);

    if (r == 0)
        r = worker_create("store", engine, engine->options.mailbox, &engine->store_worker);
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
    engine->listener =
        (WatchListener){on_changed, on_file_moved, on_directory_moving, on_lost, on_overflow};
    engine->mounts.fd = -1;
    list_init(&engine->retries);
    list_init(&engine->media_queue);
    list_init(&engine->scans);
    list_init(&engine->dirty);
    list_init(&engine->moves);
    list_init(&engine->writes);
    list_init(&engine->calls);
    timer_init(&engine->retry_timer, engine->timers, retry_fired);
    timer_init(&engine->due_timer, engine->timers, due_fired);
    timer_init(&engine->reconcile_timer, engine->timers, reconcile_fired);
    timer_init(&engine->poll_timer, engine->timers, poll_fired);
    volumes_init(&engine->volumes, options->mailbox);
    r = pending_init(&engine->pending);
    if (r == 0)
        r = roots_init(engine);
    if (r == 0)
        r = watcher_create(engine->loop, &engine->listener, &engine->watcher);
    if (r < 0)
        return error_trace(r);
    engine->tree = watcher_tree(engine->watcher);
    set_waits(engine);
    loop_hook_add(engine->loop, &engine->hook, engine_round);
    r = create_store(engine);
    if (r == 0)
        r = create_media(engine);
    if (r == 0)
        r = mount_watch_init(&engine->mounts, engine->loop, mounts_changed);
    if (r < 0)
        return error_trace(r);
    *ret_engine = STEAL_PTR(engine);
    return 0;
}

/* engine_free() - stop and free; waits some seconds at most for threads that do not answer */
Engine *engine_free(Engine *engine)
{
    bool store_ended = true;
    unsigned left;

    if (!engine)
        return NULL;
    engine->stopping = true;
    if (engine->watcher)
        engine_watch_stop(engine);
    calls_clear(engine);
    engine->media = media_pool_free(engine->media);
    reading_clear(engine);
    left = volumes_done(&engine->volumes, THREAD_STOP);
    retries_cancel(engine);
    if (engine->store_worker)
        store_ended = worker_free(engine->store_worker, THREAD_STOP * 2);
    if (left > 0 || !store_ended) {
        /* A thread that hangs in the kernel still uses what it was given: leave it all to the
         * end of the process. */
        log_warning("%u volume(s) do not answer; leaving their threads behind", left);
        return NULL;
    }
    scans_abort(engine);
    batch_clear(engine);
    moves_clear(engine);
    roots_done(engine);
    pending_done(&engine->pending);
    mount_watch_done(&engine->mounts);
    if (engine->hook.run)
        loop_hook_remove(&engine->hook);
    engine->watcher = watcher_free(engine->watcher);
    engine->store = store_free(engine->store);
    timer_disarm(&engine->retry_timer);
    timer_disarm(&engine->due_timer);
    timer_disarm(&engine->reconcile_timer);
    timer_disarm(&engine->poll_timer);
    free(engine->database_error);
    free(engine);
    return NULL;
}

/* engine_start() - begin to watch; scans start when the database can be read */
int engine_start(Engine *engine)
{
    int r = timer_arm_in(&engine->poll_timer, engine->config->watch_poll_interval);

    if (r == 0 && engine->config->watch_reconcile_interval > 0)
        r = timer_arm_in(&engine->reconcile_timer, engine->config->watch_reconcile_interval);
    if (r < 0)
        return error_trace(r);
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
    int r;

    engine->config = config;
    set_waits(engine);
    r = rules_build(engine);
    if (r < 0)
        return error_trace(r);
    if (engine->running)
        reconcile_fired(&engine->reconcile_timer);
    return 0;
}

void engine_progress(const Engine *engine, EngineProgress *ret_progress)
{
    EngineProgress progress = {
        .ready = engine->ready,
        .database_connected = engine->database_connected,
        .folders_watched = engine->tree->n_watched,
        .photos_done = engine->media_done,
        .photos_total = engine->media_total,
        .changes_pending = engine->pending.count,
        .problems = engine->n_problems,
    };

    LIST_FOREACH (link, &engine->roots) {
        const Root *root = CONTAINER_OF(link, Root, link);

        progress.roots_online += root->state == ROOT_STATE_ONLINE;
        progress.roots_offline += root->state == ROOT_STATE_OFFLINE;
    }
    progress.in_sync = progress.ready && engine->pending.count == 0 && engine_scans_idle(engine) &&
                       list_is_empty(&engine->retries) && !engine->writing &&
                       list_is_empty(&engine->writes);
    *ret_progress = progress;
}
