/*
 * What others may see
 *
 * The HTTP threads read a snapshot and never ask. Its flags are published in the round in which
 * they change: /health must not be behind. The detail (how each root is, how much is pending) may
 * change with every event; it is compared at the end of each round, which is a handful of numbers,
 * and made anew at most four times a second. When nothing changes nothing is done, and no timer
 * runs.
 */
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "sync/engine-private.h"
#include "util/clock.h"

#define DETAIL_REST (250 * CLOCK_US_PER_MS)

/* engine_publish() - show the HTTP threads what is true now, if it changed */
void engine_publish(Engine *engine)
{
    Snapshot *snapshot;

    if (!engine->snapshot_dirty || snapshot_new(&snapshot) < 0)
        return;
    engine->snapshot_dirty = false;
    engine->snapshot_published = true;
    engine->detail_stale = true;
    snapshot->database_connected = engine->database_connected;
    snapshot->watcher_running = engine->running;
    snapshot->thread_id = gettid();
    if (engine->folders && engine->running)
        snapshot->folders = snapshot_folders_ref(engine->folders);
    snapshot->detail = snapshot_detail_ref(engine->detail);
    snapshot_box_publish(engine->options.snapshots, snapshot);
}

/* ---- how a root is ---- */

static bool is_hung(const Root *root)
{
    return (root->scan && root->scan->volume->hung) ||
           (root->place.volume && root->place.volume->hung);
}

static SnapshotRootState state_of(const Root *root)
{
    const Volume *volume = root->place.volume;

    if (is_hung(root))
        return SNAPSHOT_ROOT_HUNG;
    if (root->state == ROOT_STATE_OFFLINE)
        return SNAPSHOT_ROOT_OFFLINE;
    if (root->state == ROOT_STATE_SCANNING || root->scan)
        return SNAPSHOT_ROOT_SCANNING;
    if ((volume && volume->kind == MOUNT_KIND_REMOTE) || (root->node && root->node->alias))
        return SNAPSHOT_ROOT_POLLED;
    return SNAPSHOT_ROOT_ONLINE;
}

static const char *reason_of(const Root *root, SnapshotRootState state)
{
    switch (state) {
    case SNAPSHOT_ROOT_OFFLINE:
        return root_why_offline(root);
    case SNAPSHOT_ROOT_HUNG:
        return "its volume does not answer";
    case SNAPSHOT_ROOT_POLLED:
        return root->node && root->node->alias
                   ? "it is reached by another path too, under which its changes are told"
                   : "others may change it without an event being sent here";
    default:
        return list_is_empty(&root->guarded)
                   ? NULL
                   : "most of its photos are gone: their removal waits to be confirmed";
    }
}

/*
 * root_state_shown() - how a root is, in one word and a reason
 * @ret_reason: borrowed; NULL where the word says all
 */
SnapshotRootState root_state_shown(const Root *root, const char **ret_reason)
{
    SnapshotRootState state = state_of(root);

    *ret_reason = reason_of(root, state);
    return state;
}

/* ---- passes over all roots ---- */

/* pass_scan_begun() - the scan of a root begins, perhaps that of all of them */
void pass_scan_begun(Engine *engine)
{
    if (engine->n_root_scans++ == 0)
        engine->pass_begun = clock_now();
}

static bool pass_is_whole(const Engine *engine)
{
    size_t n = 0;

    LIST_FOREACH (link, &engine->roots) {
        const Root *root = CONTAINER_OF(link, Root, link);

        if (root->gone || root->state == ROOT_STATE_OFFLINE)
            continue;
        if (root->compared < engine->pass_begun)
            return false;
        n++;
    }
    return n > 0;
}

/* pass_scan_ended() - after the last of them: has everything been compared with its rows? */
void pass_scan_ended(Engine *engine)
{
    if (--engine->n_root_scans > 0 || !pass_is_whole(engine))
        return;
    engine->pass_ended = (int64_t)time(NULL);
    engine->pass_took = clock_now() - engine->pass_begun;
}

/* ---- the detail ---- */

static void take_numbers(const Engine *engine, SnapshotNumbers *ret_numbers)
{
    *ret_numbers = (SnapshotNumbers){
        .scans = engine->n_scans,
        .scanned =
            engine->n_scans > 0 ? engine->counters.directories_listed - engine->listed_before : 0,
        .pending = engine->pending.count,
        .watches = engine->tree->n_watched,
        .watch_limit = engine->watch_limit,
        .watch_budget = engine->watch_budget,
        .polled = engine->n_polled,
        .problems = engine->problems_listed,
        .reconciled = (uint64_t)engine->pass_ended,
        .reconcile_us = engine->pass_took,
    };
}

static bool take_roots(const Engine *engine, SnapshotDetail *detail)
{
    size_t n = 0;

    LIST_FOREACH (link, &engine->roots) {
        const Root *root = CONTAINER_OF(link, Root, link);
        SnapshotRoot *shown = &detail->roots[n];
        const char *reason;

        if (root->gone)
            continue;
        n++;
        shown->state = root_state_shown(root, &reason);
        shown->path = strdup(root->path);
        shown->reason = reason ? strdup(reason) : NULL;
        if (!shown->path || (reason && !shown->reason))
            return false;
    }
    return true;
}

static size_t count_roots(const Engine *engine)
{
    size_t n = 0;

    LIST_FOREACH (link, &engine->roots)
        n += !CONTAINER_OF(link, Root, link)->gone;
    return n;
}

static void detail_make(Engine *engine, const SnapshotNumbers *numbers)
{
    CLEANUP(snapshot_detail_unref_p) SnapshotDetail *detail = NULL;

    if (snapshot_detail_new(count_roots(engine), &detail) < 0 || !take_roots(engine, detail))
        return;
    detail->numbers = *numbers;
    /* What was looked at and found unchanged is not written: nothing else tells that all is done.
     */
    if (numbers->pending == 0 && engine->detail && engine->detail->numbers.pending > 0)
        engine_changed(engine);
    (void)snapshot_detail_unref(engine->detail);
    engine->detail = STEAL_PTR(detail);
    engine->snapshot_dirty = true;
    engine_publish(engine);
    engine->detail_stale = false;
}

/* detail_refresh() - make the detail anew if it differs, and not too soon after the last time */
void detail_refresh(Engine *engine)
{
    SnapshotNumbers numbers;
    uint64_t now;

    take_numbers(engine, &numbers);
    if (engine->detail && !engine->detail_stale &&
        memcmp(&numbers, &engine->detail->numbers, sizeof(numbers)) == 0)
        return;
    now = clock_now();
    if (now >= engine->detail_due) {
        engine->detail_due = now + DETAIL_REST;
        detail_make(engine, &numbers);
    } else if (!timer_is_armed(&engine->detail_timer)) {
        (void)timer_arm_at(&engine->detail_timer, engine->detail_due);
    }
}

static void detail_fired(Timer *timer UNUSED)
{
    /* The end of this round makes it. */
}

void detail_init(Engine *engine)
{
    timer_init(&engine->detail_timer, engine->timers, detail_fired);
}

void detail_done(Engine *engine)
{
    timer_disarm(&engine->detail_timer);
    engine->detail = snapshot_detail_unref(engine->detail);
}
