/*
 * Answers to other threads
 *
 * The settle barrier: inotify queues an event in the same system call that causes it, so whatever
 * happened on a watched local disk before the question was put is in the queue when the question
 * arrives. The queue is drained, and the answer is given when everything up to there is committed.
 * That takes turns: the folders table is read first (somebody may just have registered a folder);
 * scans must be through, since they make changes; then the present epoch of changes is closed and
 * must be worked off; and if scans were started meanwhile, once more from there, since what they
 * found belongs to a later epoch.
 */
#include <stdlib.h>
#include <string.h>

#include "sync/engine-private.h"
#include "util/clock.h"
#include "util/error.h"
#include "util/log.h"

/* Stages of a settle call, in Call.barrier's upper half; the lower half is a number. */
#define STAGE_FOLDERS UINT64_C(1) /* until the table has been read this many times */
#define STAGE_SCANS   UINT64_C(2)
#define STAGE_EPOCH   UINT64_C(3) /* until this epoch is worked off */

static uint64_t stage_make(uint64_t stage, uint64_t number)
{
    return stage << 56 | number;
}

static uint64_t stage_of(const Call *call)
{
    return call->barrier >> 56;
}

static uint64_t number_of(const Call *call)
{
    return call->barrier & ((UINT64_C(1) << 56) - 1);
}

static bool writes_idle(const Engine *engine)
{
    return !engine->writing && list_is_empty(&engine->writes) && !moves_are_due(&engine->moves) &&
           list_is_empty(&engine->renames.asked) && list_is_empty(&engine->retries);
}

/* Returns true when everything that the call asked for is committed. */
static bool settle_step(Engine *engine, Call *call)
{
    uint64_t epoch;

    if (stage_of(call) == STAGE_FOLDERS) {
        if (engine->folders_read < number_of(call))
            return false;
        call->barrier = stage_make(STAGE_SCANS, 0);
    }
    if (stage_of(call) == STAGE_SCANS) {
        if (!engine_scans_idle(engine) || pending_end_epoch(&engine->pending, &epoch) < 0)
            return false;
        call->barrier = stage_make(STAGE_EPOCH, epoch);
        call->scans = engine->counters.scans;
    }
    if (!pending_reached(&engine->pending, number_of(call)) || !writes_idle(engine))
        return false;
    if (!engine_scans_idle(engine) || call->scans != engine->counters.scans) {
        call->barrier = stage_make(STAGE_SCANS, 0);
        return settle_step(engine, call);
    }
    if (engine->folders_stale && engine->running) { /* our own new folders are to be listed too */
        call->barrier = stage_make(STAGE_FOLDERS, engine->folders_read + 1);
        folders_poll(engine, true);
        return false;
    }
    return true;
}

static void settle_begin(Engine *engine, Call *call)
{
    watcher_drain(engine->watcher);
    places_look(engine);
    roots_retry_offline(engine);
    call->barrier = stage_make(STAGE_FOLDERS, engine->folders_read + 1 + engine->folders_reading);
    folders_poll(engine, true);
    list_append(&engine->calls, &call->link);
}

/* A restart compares the table with what is watched; it is answered when that is done. */
static void restart_begin(Engine *engine, Call *call)
{
    if (!engine->running)
        engine_watch_start(engine);
    call->barrier = stage_make(STAGE_FOLDERS, engine->folders_read + 1 + engine->folders_reading);
    folders_poll(engine, true);
    list_append(&engine->calls, &call->link);
}

static bool restart_step(const Engine *engine, const Call *call)
{
    return engine->folders_read >= number_of(call);
}

/* calls_run() - answer the calls whose time has come */
void calls_run(Engine *engine)
{
    LIST_FOREACH_SAFE (link, tmp, &engine->calls) {
        Call *call = CONTAINER_OF(link, Call, link);
        bool done =
            call->kind == CALL_SETTLE ? settle_step(engine, call) : restart_step(engine, call);

        if (!done && clock_now() <= call->deadline)
            continue;
        list_remove(&call->link);
        call_answer(call, done ? CALL_RESULT_OK : CALL_RESULT_NONE, NULL);
    }
}

void calls_clear(Engine *engine)
{
    for (ListNode *link; (link = list_take(&engine->calls));)
        call_answer(CONTAINER_OF(link, Call, link), CALL_RESULT_CLOSED, NULL);
}

/* ---- answers that the store's thread gives ---- */

typedef struct TextTask {
    StoreTask task;
    Call *call;
    char *text;
} TextTask;

static int folder_status_work(StoreTask *task, Store *store)
{
    TextTask *text = CONTAINER_OF(task, TextTask, task);

    return store_folder_status_json(store, &text->text);
}

static int problems_work(StoreTask *task, Store *store)
{
    TextTask *text = CONTAINER_OF(task, TextTask, task);

    return store_problems_json(store, 1000, &text->text);
}

static void text_finish(StoreTask *task)
{
    TextTask *text = CONTAINER_OF(task, TextTask, task);
    bool ok = !store_task_cancelled(task) && task->result == 0 && text->text;

    call_answer(text->call, ok ? CALL_RESULT_OK : CALL_RESULT_FAILED, STEAL_PTR(text->text));
    free(text->text);
    free(text);
}

static void text_begin(Engine *engine, Call *call, int (*work)(StoreTask *, Store *))
{
    TextTask *text = calloc(1, sizeof(*text));

    if (!text) {
        call_answer(call, CALL_RESULT_FAILED, NULL);
        return;
    }
    text->call = call;
    text->task.work = work;
    text->task.finish = text_finish;
    store_task_submit(&text->task, engine, WORKER_PRIORITY_HIGH);
}

/* ---- numbers ---- */

static void answer_text(Call *call, char *text)
{
    call_answer(call, text ? CALL_RESULT_OK : CALL_RESULT_FAILED, text);
}

/* ---- the entry ---- */

static void stop_watching(Engine *engine, Call *call)
{
    bool was = engine->running;

    engine_watch_stop(engine);
    engine_publish(engine); /* the answer speaks of it */
    call_answer(call, was ? CALL_RESULT_OK : CALL_RESULT_REFUSED,
                was ? NULL : strdup("Watcher is not running"));
}

static void start_watching(Engine *engine, Call *call)
{
    if (engine->running) {
        call_answer(call, CALL_RESULT_REFUSED, strdup("Watcher is already running"));
        return;
    }
    restart_begin(engine, call);
}

/* A path that is not in the tree is looked for from the directory that it is in. */
static void rescan(Engine *engine, Call *call)
{
    CLEANUP_FREE char *path = NULL;
    CLEANUP_FREE char *parent = NULL;
    Node *node;

    if (!engine->running) {
        call_answer(call, CALL_RESULT_REFUSED, strdup("Watcher is not running"));
        return;
    }
    if (!call->argument) {
        engine->counters.rescans_request++;
        roots_scan(engine, false);
        call_answer(call, CALL_RESULT_OK, NULL);
        return;
    }
    if (path_normalize(call->argument, "/", &path) == 0)
        parent = path_parent(path);
    node = path ? node_find(engine, path) : NULL;
    if (!node && parent)
        node = node_find(engine, parent);
    if (node)
        scan_node(engine, node, false, false);
    call_answer(call, node ? CALL_RESULT_OK : CALL_RESULT_REFUSED,
                node ? NULL : strdup("The path is in no folder that is watched"));
}

static void confirm(Engine *engine, Call *call)
{
    LIST_FOREACH (link, &engine->roots) {
        Root *root = CONTAINER_OF(link, Root, link);

        if (root->gone || !call->argument || strcmp(root->id, call->argument) != 0)
            continue;
        if (guard_confirm(engine, root))
            call_answer(call, CALL_RESULT_OK, NULL);
        else
            call_answer(call, CALL_RESULT_REFUSED, strdup("Nothing waits to be confirmed"));
        return;
    }
    call_answer(call, CALL_RESULT_FAILED, strdup("No root folder has this id"));
}

/* engine_call() - take a question of another thread; it is answered now or later */
void engine_call(Engine *engine, Call *call)
{
    if (engine->stopping) {
        call_answer(call, CALL_RESULT_CLOSED, NULL);
        return;
    }
    switch (call->kind) {
    case CALL_SETTLE:
        settle_begin(engine, call);
        return;
    case CALL_RESTART:
        restart_begin(engine, call);
        return;
    case CALL_RESCAN:
        rescan(engine, call);
        return;
    case CALL_CONFIRM:
        confirm(engine, call);
        return;
    case CALL_START:
        start_watching(engine, call);
        return;
    case CALL_STOP:
        stop_watching(engine, call);
        return;
    case CALL_SHUTDOWN:
        call_answer(call, CALL_RESULT_OK, NULL);
        engine->options.shutdown(engine, engine->options.owner);
        return;
    case CALL_FOLDER_STATUS:
        text_begin(engine, call, folder_status_work);
        return;
    case CALL_PROBLEMS:
        text_begin(engine, call, problems_work);
        return;
    case CALL_COUNTERS:
        answer_text(call, metrics_json(engine));
        return;
    case CALL_METRICS:
        answer_text(call, metrics_text(engine));
        return;
    }
    call_answer(call, CALL_RESULT_FAILED, NULL);
}
