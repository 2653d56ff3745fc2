/*
 * Changes that are held
 *
 * A row that lost its file may belong to a name that is not seen yet, and so may one whose name has
 * another file now. Such changes wait (sync/decide.c) and are let go here: once everything else has
 * been seen, or when that takes too long.
 */
#include "sync/engine-private.h"
#include "util/clock.h"

/* The oldest first; patient: those only that were held for long enough. */
static void release(Engine *engine, List *held, bool patient)
{
    uint64_t now = clock_now();

    for (ListNode *link; (link = list_first(held));) {
        Change *change = CONTAINER_OF(link, Change, link);

        if (patient && now < change->due + ENGINE_HOLD_MAX)
            return;
        change->confirm = true;
        pending_wait(&engine->pending, change, now);
    }
}

/* Is every new file read? One on a volume that does not answer is not waited for. */
static bool is_all_read(const Engine *engine)
{
    if (engine->media_total == 0)
        return true;
    if (engine->n_hung == 0 || !list_is_empty(&engine->media_queue))
        return false;
    LIST_FOREACH (link, &engine->volumes.list) {
        const Volume *volume = CONTAINER_OF(link, Volume, link);

        if (!volume->hung && (volume->n_media > 0 || !list_is_empty(&volume->media_queue)))
            return false;
    }
    return true;
}

/* And is its row committed, and looked at again if events have come meanwhile? */
static bool is_all_written(const Engine *engine)
{
    return is_all_read(engine) && !engine->writing && list_is_empty(&engine->writes);
}

/*
 * Rows whose files are gone, once the guard agrees (sync/guard.c).
 *
 * New files come first: one of them may be the heir of what is going (store/heir.c), which is known
 * only behind its commit, and whose times may have been set after it was read.
 */
static void release_removals(Engine *engine, bool all_seen)
{
    Pending *pending = &engine->pending;
    uint64_t now = clock_now();

    all_seen = all_seen && is_all_written(engine);
    if (list_is_empty(&pending->held) ||
        (!all_seen &&
         now < CONTAINER_OF(list_first(&pending->held), Change, link)->due + ENGINE_HOLD_MAX))
        return;
    guard_look(engine);
    LIST_FOREACH_SAFE (link, tmp, &pending->held) {
        Change *change = CONTAINER_OF(link, Change, link);

        if (!all_seen && now < change->due + ENGINE_HOLD_MAX)
            return;
        if (!guard_lets_pass(change))
            continue;
        change->confirm = true;
        pending_wait(pending, change, now);
    }
}

/*
 * held_release() - let changes that were held go on once everything else has been seen
 *
 * Or when that takes too long. But a row whose file is gone does not go before scans have ended:
 * one of them may find the file under another name.
 */
void held_release(Engine *engine)
{
    Pending *pending = &engine->pending;
    bool idle = engine_scans_idle(engine);
    bool all_seen = idle && pending->n_undecided == 0;

    if (idle && pending->count == 0)
        renames_clear(&engine->renames);
    if (batch_moves_pending(engine))
        return;
    if (all_seen)
        renames_land(&engine->renames);
    engine->blind &= !all_seen;
    release(engine, &pending->replaced, !all_seen);
    if (idle)
        release_removals(engine, all_seen);
}
