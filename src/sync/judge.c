/* Exchanged, or there and back again: what the disk says of renames in doubt
 * (sync/renames-doubts.c). */
#include <stdlib.h>
#include <string.h>

#include "sync/engine-private.h"
#include "util/clock.h"

/* Is the file of the doubter's row at its partner's name, so that it was there and back? Inodes are
 * used again, and hard links have one: it counts only where a look at its own name cannot tell. */
static bool came_back(const Sighting *item, const Rename *doubter)
{
    bool tells = rename_is_placed(doubter) && !doubter->covered && !doubter->revived;

    return !tells && row_is_at(&item->doubt_row, &item->entry);
}

/* It has its own row's inode, or another row's: then it was not saved by rename, but was renamed
 * from a directory that was not watched yet. */
static bool is_another_rows(const Renames *renames, const Sighting *item, const Rename *here)
{
    const Rename *own = renames_of(renames, item->path);
    bool elsewhere = own && (rename_is_placed(own) || own->doubtful);

    if (!elsewhere && row_is_at(&item->row, &item->entry) &&
        file_stamp_same_content(&item->row.stamp, &item->entry.stamp))
        return true;
    for (size_t i = 0; i < item->n_candidates; i++)
        if (strcmp(item->candidates[i].path, here->from) != 0 && row_has_come(item, i))
            return true;
    return false;
}

static void judge_guess(Renames *renames, const Sighting *item, Rename *here)
{
    here->guessed = false;
    if (is_another_rows(renames, item, here))
        renames_forget(renames, here);
}

/*
 * judge_sighting() - was it exchanged, or was it there and back again? (sync/renames-doubts.c)
 *
 * In the second case its file is at the partner's name, and unless something else came over it, no
 * file is at its own. False: it cannot be told from this name, and the other one is still to be
 * looked at.
 */
bool judge_sighting(Round *round, Sighting *item)
{
    Renames *renames = &round->engine->renames;
    Rename *here = renames_at(renames, item->change->dir, item->change->name);
    Rename *doubter = here ? rename_doubter(here) : NULL;
    EntryType type = item->entry.type;
    bool seen = item->directory == PROBE_RESULT_OK && type != ENTRY_TYPE_ERROR;
    bool tells = seen && here && here->doubtful && !here->covered && !here->revived;

    if (here && here->guessed && !here->doubtful && !doubter && seen)
        judge_guess(renames, item, here);
    else if (doubter && !here->covered && came_back(item, doubter))
        renames_judge(renames, doubter, false);
    else if (doubter && !tells && (!doubter->dir || doubter->covered) && !rename_doubter(doubter))
        renames_judge(renames, doubter, true);
    else if (tells)
        renames_judge(renames, here, type != ENTRY_TYPE_ABSENT && type != ENTRY_TYPE_DIRECTORY);
    else if (item->change->tries++ < DECIDE_TRIES)
        return false;
    else
        renames_end_doubts(renames);
    return true;
}

/* judge_removed() - the same, when its directory is gone: that was empty then, if its watch has
 * ended. One that was moved away cannot be looked at, and only the partner's name is left to tell.
 */
void judge_removed(Round *round, const Change *change)
{
    Renames *renames = &round->engine->renames;
    Rename *here = renames_at(renames, change->dir, change->name);

    if (here)
        here->guessed = false;
    if (!here || !here->doubtful || here->covered || here->revived)
        return;
    if (change->dir->wd < 0 && !change->dir->detached)
        renames_judge(renames, here, false);
    else
        here->covered = true;
}

/* ---- ahead of its time, for directories that move ---- */

/*
 * Rows of directories are moved before anything else is looked at, and whatever row stands where
 * they go is removed, unless it goes elsewhere with them. If there is a doubt about such a row, its
 * name is looked at first, on its volume's thread. That wait is short, since nothing can be written
 * meanwhile; then it is guessed (follow_take_below() in sync/follow.c).
 */
#define INSPECTION_WAIT (CLOCK_US_PER_SEC)
#define LOOK_AGAIN      (20 * CLOCK_US_PER_MS)

typedef struct Inspection {
    ListNode link; /* Engine.inspections */
    ProbeJob probe;
    Engine *engine;
    Volume *volume; /* of dir; one user of it */
    Node *dir;      /* referenced: where the one in doubt is */
    char *name;
    Timer timer;    /* waiting: looks once more; else gives up */
    uint64_t until; /* clock_now() */
    bool waiting;   /* its directory was not where it is in the tree: events are on their way */
    bool given_up;
} Inspection;

static void inspection_free(Inspection *inspection)
{
    list_remove(&inspection->link);
    timer_disarm(&inspection->timer);
    probe_job_done(&inspection->probe);
    (void)volume_release(inspection->volume);
    (void)node_unref(inspection->dir);
    free(inspection->name);
    free(inspection);
}

/* Can a look at its name tell what it is? */
static bool can_tell(const Rename *rename)
{
    return rename->doubtful && !rename->covered && !rename->revived && !rename->inspected &&
           rename_is_placed(rename);
}

/* The one in doubt at the name; NULL: it has gone on, or is known by now. */
static Rename *find_inspected(const Inspection *inspection)
{
    Rename *rename = renames_at(&inspection->engine->renames, inspection->dir, inspection->name);

    return rename && can_tell(rename) ? rename : NULL;
}

static void give_up(Inspection *inspection)
{
    Rename *rename = find_inspected(inspection);

    inspection->given_up = true;
    if (rename)
        rename->inspected = true;
    engine_changed(inspection->engine);
}

/* It has been looked at. False: that is to be done again. */
static bool is_judged(Inspection *inspection)
{
    Engine *engine = inspection->engine;
    const ProbeDirectory *seen = &inspection->probe.directories[0];
    EntryType type = seen->names[0].entry.type;
    Rename *rename;

    watcher_drain(engine->watcher); /* what happened before it was looked at is known then */
    rename = find_inspected(inspection);
    if (!rename)
        return true;
    if (seen->result == PROBE_RESULT_OK && type != ENTRY_TYPE_ERROR) {
        renames_judge(&engine->renames, rename,
                      type != ENTRY_TYPE_ABSENT && type != ENTRY_TYPE_DIRECTORY);
        return true;
    }
    if (clock_now() + LOOK_AGAIN < inspection->until &&
        timer_arm_in(&inspection->timer, LOOK_AGAIN) == 0) {
        inspection->waiting = true;
        return false;
    }
    give_up(inspection);
    return true;
}

static void inspected(WorkerJob *job)
{
    Inspection *inspection = CONTAINER_OF(CONTAINER_OF(job, ProbeJob, job), Inspection, probe);
    Engine *engine = inspection->engine;

    volume_answered(engine, inspection->volume);
    if (!job->cancelled && engine->running && !inspection->given_up && !is_judged(inspection))
        return;
    inspection_free(inspection);
    engine_changed(engine);
}

/* False: no memory. */
static bool look(Inspection *inspection)
{
    const Node *dir = inspection->dir;
    CLEANUP_FREE char *path = node_path_new(dir);
    ProbeDirectory *directory;

    probe_job_done(&inspection->probe);
    probe_job_init(&inspection->probe, inspected);
    if (!path ||
        probe_job_add_directory(&inspection->probe, path, dir->dev, dir->ino, &directory) < 0 ||
        probe_directory_add(directory, inspection->name, NULL) < 0 ||
        timer_arm_at(&inspection->timer, inspection->until) < 0)
        return false;
    directory->follow = dir->is_root;
    inspection->waiting = false;
    volume_submit(inspection->engine, inspection->volume, &inspection->probe.job);
    return true;
}

static void inspection_fired(Timer *timer)
{
    Inspection *inspection = CONTAINER_OF(timer, Inspection, timer);

    if (!inspection->waiting) {
        give_up(inspection);
        return;
    }
    if (find_inspected(inspection) && look(inspection))
        return;
    give_up(inspection);
    inspection_free(inspection);
}

static bool is_inspected(const Engine *engine, const Rename *rename)
{
    LIST_FOREACH (link, &engine->inspections) {
        const Inspection *inspection = CONTAINER_OF(link, Inspection, link);

        if (inspection->dir == rename->dir && strcmp(inspection->name, rename->name) == 0)
            return !inspection->given_up;
    }
    return false;
}

/* False: nobody knows on which volume it is, or memory ran out. */
static bool inspect(Engine *engine, const Rename *rename)
{
    Volume *volume = volume_of(engine, rename->dir);
    Inspection *inspection = volume && !volume->hung ? calloc(1, sizeof(*inspection)) : NULL;

    if (!inspection)
        return false;
    inspection->engine = engine;
    inspection->volume = volume;
    volume->users++;
    inspection->dir = node_ref(rename->dir);
    inspection->name = strdup(rename->name);
    inspection->until = clock_now() + INSPECTION_WAIT;
    timer_init(&inspection->timer, engine->timers, inspection_fired);
    list_append(&engine->inspections, &inspection->link);
    if (inspection->name && look(inspection))
        return true;
    inspection_free(inspection);
    return false;
}

/* Do directories that are to be moved come to where its row stands, or its partner's? */
static bool is_in_the_way(const Engine *engine, const Rename *rename)
{
    LIST_FOREACH (link, &engine->moves.due) {
        const Move *move = CONTAINER_OF(link, Move, link);
        CLEANUP_FREE char *target = node_path_new(move->node);

        if (target && (path_is_within(rename->from, target) ||
                       (rename->partner && path_is_within(rename->partner->from, target))))
            return true;
    }
    return false;
}

/* judge_moves() - is it too early for directories' rows to follow them? They would be moved over
 * rows of which nobody knows yet where they belong */
bool judge_moves(Engine *engine)
{
    bool waits = false;

    LIST_FOREACH (link, &engine->renames.doubtful) {
        const Rename *rename = CONTAINER_OF(link, Rename, doubt);

        if (can_tell(rename) && is_in_the_way(engine, rename))
            waits |= is_inspected(engine, rename) || inspect(engine, rename);
    }
    return waits;
}

/* judge_clear() - nothing is watched any more: those that wait end, the others when they have been
 * looked at */
void judge_clear(Engine *engine)
{
    LIST_FOREACH_SAFE (link, tmp, &engine->inspections) {
        Inspection *inspection = CONTAINER_OF(link, Inspection, link);

        if (inspection->waiting)
            inspection_free(inspection);
    }
}
