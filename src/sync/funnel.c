/*
 * The funnel
 *
 * Changes that are due are taken in rounds. A round asks the volume's thread what is on disk (the
 * probe), then the store's thread what the rows say (the look-up), then the volume's thread once
 * more about the older paths of files that seem to have moved; then it decides. One round at a time
 * for each volume: a volume that does not answer holds up nobody else.
 *
 * No round is started while a renamed directory's rows are not yet at their new path: the rows of
 * everything below would not be found. What comes to a directory of which it is not known which
 * rows it has is kept for later (sync/kept.c).
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "sync/engine-private.h"
#include "util/clock.h"
#include "util/error.h"

#define SOON (20 * CLOCK_US_PER_MS)

static void round_free(Round *round)
{
    Engine *engine = round->engine;

    round->volume->busy = false;
    (void)volume_release(round->volume);
    engine->n_rounds--;
    for (size_t i = 0; i < round->probe.n_directories; i++)
        (void)node_unref(round->probe.directories[i].owner);
    probe_job_done(&round->probe);
    for (size_t i = 0; i < round->n_items; i++)
        sighting_done(&round->items[i]);
    free(round->items);
    free(round);
}

/* Gives the changes of a round back, to be looked at again soon. */
static void round_abandon(Round *round)
{
    for (size_t i = 0; i < round->n_items; i++)
        if (round->items[i].change)
            pending_wait(&round->engine->pending, round->items[i].change, clock_now() + SOON);
    round_free(round);
}

/* ---- deciding ---- */

/* Every directory that a round looked into gets its mtime written, where it differs. */
static void write_directories(Round *round)
{
    for (size_t i = 0; i < round->probe.n_directories; i++) {
        ProbeDirectory *directory = &round->probe.directories[i];
        Node *node = directory->owner;
        Write *write;

        if (directory->result != PROBE_RESULT_OK || node->detached ||
            node->mtime == directory->mtime)
            continue;
        write = batch_new(STORE_OP_FOLDER_ENSURE, node, "");
        if (!write)
            continue;
        node->mtime = directory->mtime;
        write->lazy = true;
        write->op.mtime = directory->mtime;
        batch_add(round->engine, write);
    }
}

static void round_decide(Round *round)
{
    /* Whatever the probe has seen, the events that led to it are in the queue by now. */
    watcher_drain(round->engine->watcher);
    if (batch_moves_pending(round->engine)) {
        round_abandon(round);
        return;
    }
    decide_round(round);
    write_directories(round);
    round_free(round);
}

/* ---- verifying: are the files still at their older paths? ---- */

typedef struct Verify {
    ProbeJob probe;
    Round *round;
} Verify;

static void verified(WorkerJob *job)
{
    Verify *verify = CONTAINER_OF(job, Verify, probe.job);
    Round *round = verify->round;
    bool cancelled = job->cancelled;

    volume_answered(round->engine, round->volume);
    for (size_t i = 0; i < verify->probe.n_directories && !cancelled; i++) {
        ProbeDirectory *directory = &verify->probe.directories[i];
        Entry *entry = directory->names[0].owner;

        *entry = directory->names[0].entry;
        if (directory->result == PROBE_RESULT_MISSING)
            entry->type = ENTRY_TYPE_ABSENT;
        else if (directory->result == PROBE_RESULT_ERROR)
            entry->type = ENTRY_TYPE_ERROR;
    }
    probe_job_done(&verify->probe);
    free(verify);
    if (cancelled)
        round_abandon(round);
    else
        round_decide(round);
}

static int verify_add(Verify *verify, Sighting *item, size_t i)
{
    const Round *round = verify->round;
    const StoreRow *row = &item->candidates[i];
    Entry *entry = &item->candidate_entries[i];
    VolumeLook look = volume_may_look(round->engine, round->volume, row->path);

    if (look != VOLUME_LOOK_FREE) {
        entry->type = ENTRY_TYPE_ERROR; /* it is of another volume's file, for all that is known */
        item->is_early |= look == VOLUME_LOOK_LATER;
        return 0;
    }
    return probe_path(&verify->probe, row->path, true, entry);
}

static void round_verify(Round *round)
{
    Verify *verify = calloc(1, sizeof(*verify));
    int r = verify ? 0 : -ENOMEM;

    if (verify) {
        verify->round = round;
        probe_job_init(&verify->probe, verified);
    }
    for (size_t i = 0; i < round->n_items && r == 0; i++)
        for (size_t k = 0; k < round->items[i].n_candidates && r == 0; k++)
            r = verify_add(verify, &round->items[i], k);
    if (r == 0 && verify->probe.n_directories > 0) {
        volume_submit(round->engine, round->volume, &verify->probe.job);
        return;
    }
    if (verify)
        probe_job_done(&verify->probe);
    free(verify);
    if (r < 0)
        round_abandon(round);
    else
        round_decide(round);
}

/* ---- looking up rows: sync/lookup.c ---- */

static void looked_up(StoreTask *task)
{
    Round *round = CONTAINER_OF(task, Round, lookup);

    /* A batch that found the database locked is still to be written, and these rows were read
     * without it: a row that it moves would pass for one that lost its file. */
    if (store_task_cancelled(task) || task->result < 0 || !list_is_empty(&task->engine->retries))
        round_abandon(round);
    else
        round_verify(round);
}

/* The caller frees it; NULL: its directory is gone, or memory ran out. */
char *change_path_new(const Change *change)
{
    CLEANUP_FREE char *dir = change->dir->detached ? NULL : node_path_new(change->dir);

    return dir ? path_join(dir, change->name) : NULL;
}

/* Sets the path of an item; false when nothing is to be asked of the rows about it. */
static bool needs_look_up(Round *round, Sighting *item)
{
    const Rename *here, *doubter;

    item->path = change_path_new(item->change);
    if (!item->path) {
        item->directory = PROBE_RESULT_MISSING;
        return false;
    }
    here = renames_at(&round->engine->renames, item->change->dir, item->change->name);
    doubter = here ? rename_doubter(here) : NULL;
    if (doubter)
        item->doubt_path = strdup(doubter->from);
    item->change_name = item->change->name;
    item->written = item->change->written;
    item->is_new = ahead_is_new(round->engine, item);
    return !item->is_new;
}

static void round_look_up(Round *round)
{
    Engine *engine = round->engine;
    bool needed = false;

    if (batch_moves_pending(engine) || !list_is_empty(&engine->retries)) {
        round_abandon(round);
        return;
    }
    for (size_t i = 0; i < round->n_items; i++)
        needed |= needs_look_up(round, &round->items[i]);
    if (!needed) {
        round_verify(round);
        return;
    }
    round->lookup.work = lookup_work;
    round->lookup.finish = looked_up;
    store_task_submit(&round->lookup, engine, WORKER_PRIORITY_HIGH);
}

/* ---- probing ---- */

static void probed(WorkerJob *job)
{
    Round *round = CONTAINER_OF(job, Round, probe.job);

    volume_answered(round->engine, round->volume);
    if (job->cancelled) {
        round_abandon(round);
        return;
    }
    for (size_t i = 0; i < round->probe.n_directories; i++) {
        ProbeDirectory *directory = &round->probe.directories[i];

        for (size_t k = 0; k < directory->n_names; k++) {
            Sighting *item = directory->names[k].owner;

            item->directory = directory->result;
            item->error = directory->error;
            item->entry = directory->names[k].entry;
        }
    }
    round_look_up(round);
}

static int compare_changes(const void *a, const void *b)
{
    uintptr_t x = (uintptr_t)((const Sighting *)a)->change->dir;
    uintptr_t y = (uintptr_t)((const Sighting *)b)->change->dir;

    return x < y ? -1 : x > y;
}

static int round_fill(Round *round)
{
    ProbeDirectory *directory = NULL;
    const Node *last = NULL;

    qsort(round->items, round->n_items, sizeof(*round->items), compare_changes);
    for (size_t i = 0; i < round->n_items; i++) {
        const Change *change = round->items[i].change;
        int r;

        if (change->dir != last) {
            r = probe_node(&round->probe, change->dir, &directory);
            if (r < 0)
                return r;
            directory->owner = node_ref(change->dir);
            last = change->dir;
        }
        r = probe_directory_add(directory, change->name, &round->items[i]);
        if (r < 0)
            return error_trace(r);
    }
    return 0;
}

static void round_start(Round *round)
{
    Engine *engine = round->engine;

    engine->n_rounds++;
    engine->counters.rounds++;
    engine->counters.probes += round->n_items;
    round->volume->busy = true;
    (void)volume_use(round->volume);
    round->moves_begun = engine->tree->n_moves;
    probe_job_init(&round->probe, probed);
    if (round_fill(round) < 0) {
        round_abandon(round);
        return;
    }
    volume_submit(engine, round->volume, &round->probe.job);
}

static Round *round_new(Engine *engine, Volume *volume)
{
    Round *round = calloc(1, sizeof(*round));

    if (round)
        round->items = calloc(ENGINE_ROUND_MAX, sizeof(*round->items));
    if (!round || !round->items) {
        free(round);
        return NULL;
    }
    round->engine = engine;
    round->volume = volume;
    return round;
}

/* Takes what is ready on a volume; a round that takes nothing is not started. */
static void round_collect(Engine *engine, Volume *volume)
{
    Round *round = round_new(engine, volume);

    while (round && round->n_items < ENGINE_ROUND_MAX) {
        ListNode *link = list_take(&volume->ready);
        Change *change = link ? CONTAINER_OF(link, Change, link) : NULL;

        if (!change)
            break;
        pending_set_state(&engine->pending, change, CHANGE_STATE_PROBING);
        if (volume_of(engine, change->dir) == volume)
            round->items[round->n_items++].change = change;
        else /* its directory has left the tree, or something was mounted there */
            pending_wait(&engine->pending, change, clock_now());
    }
    if (round && round->n_items > 0) {
        round_start(round);
    } else if (round) {
        free(round->items);
        free(round);
    }
}

/* Another program's import is left alone, and what rows are to follow to: when that is over, all of
 * it is scanned. */
static bool is_left_alone(const Change *change)
{
    return change->dir->detached || node_is_held(change->dir) || node_is_moving(change->dir);
}

/* To its volume, unless rows have to follow renamed files first. */
static void hand_out(Engine *engine, Change *change, Volume *volume, uint64_t now)
{
    switch (follow_due(engine, change)) {
    case FOLLOW_STATE_FREE:
    case FOLLOW_STATE_UNSEEN:
    case FOLLOW_STATE_DOUBTFUL:
        pending_park(&engine->pending, change, &volume->ready);
        return;
    case FOLLOW_STATE_READY:
        pending_wait(&engine->pending, change, now + 1);
        return;
    case FOLLOW_STATE_BUSY:
        pending_wait(&engine->pending, change, now + SOON);
        return;
    case FOLLOW_STATE_EARLY:
        kept_add(engine, change);
        return;
    }
}

/* Hands the changes that are due to their volumes. */
static void take_due(Engine *engine)
{
    uint64_t now = clock_now();

    for (unsigned taken = 0; taken < ENGINE_ROUND_MAX; taken++) {
        Change *change = pending_take_due(&engine->pending, now);
        Volume *volume;

        if (!change)
            return;
        volume = is_left_alone(change) ? NULL : volume_of(engine, change->dir);
        if (kept_waits(engine, change)) {
            kept_add(engine, change);
        } else if (volume) {
            hand_out(engine, change, volume, now);
        } else {
            change->again = false;
            pending_finish(&engine->pending, change, now);
        }
    }
}

/* funnel_run() - take the changes that are due and start a round for each volume that is at rest */
void funnel_run(Engine *engine)
{
    if (!engine->running || batch_moves_pending(engine) || !list_is_empty(&engine->retries))
        return;
    take_due(engine);
    if (batch_moves_pending(engine))
        return;
    LIST_FOREACH (link, &engine->volumes.list) {
        Volume *volume = CONTAINER_OF(link, Volume, link);

        if (!volume->busy && !list_is_empty(&volume->ready))
            round_collect(engine, volume);
    }
}
