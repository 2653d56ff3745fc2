/*
 * Names that are looked at ahead of their time
 *
 * Rows of directories are moved before anything else is looked at, and whatever row stands where
 * they go is removed, unless it goes elsewhere with them. If there is a doubt about such a row, its
 * name is inspected first, on its volume's thread. That wait is short, since nothing can be written
 * meanwhile; then it is guessed (follow_take_below() in sync/follow.c).
 */
#include <stdlib.h>
#include <string.h>

#include "sync/engine-private.h"
#include "util/clock.h"

#define WAIT       CLOCK_US_PER_SEC
#define LOOK_AGAIN (20 * CLOCK_US_PER_MS)

typedef struct Inspection {
    ListNode link; /* Engine.inspections */
    ProbeJob probe;
    Engine *engine;
    Volume *volume; /* of dir; one user of it */
    Node *dir;      /* referenced: where the one in doubt is */
    char *name;
    Timer timer;    /* waiting: looks once more; else gives up */
    uint64_t until; /* clock_now() */
    uint64_t begun; /* Renames.n_events when it was looked at */
    bool waiting;   /* its directory was not where it is in the tree, or could not be read */
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
    if (!rename || rename->doubtful_since > inspection->begun)
        return true; /* it is another doubt now */
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
    probe_job_done(&inspection->probe);
    probe_job_init(&inspection->probe, inspected);
    if (probe_name(&inspection->probe, inspection->dir, inspection->name) < 0 ||
        timer_arm_at(&inspection->timer, inspection->until) < 0)
        return false;
    inspection->waiting = false;
    inspection->begun = inspection->engine->renames.n_events;
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

        if (!inspection->given_up && inspection->dir == rename->dir &&
            strcmp(inspection->name, rename->name) == 0)
            return true;
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
    inspection->volume = volume_use(volume);
    inspection->dir = node_ref(rename->dir);
    inspection->name = strdup(rename->name);
    inspection->until = clock_now() + WAIT;
    timer_init(&inspection->timer, engine->timers, inspection_fired);
    list_append(&engine->inspections, &inspection->link);
    if (inspection->name && look(inspection))
        return true;
    inspection_free(inspection);
    return false;
}

/* Is a directory that is to be moved at this path by now, or above it? */
static bool is_led_to(Engine *engine, const char *path)
{
    CLEANUP_FREE char *above = strdup(path);
    Node *node = above ? node_find(engine, above) : NULL;

    for (char *slash; above && !node && (slash = strrchr(above, '/')) && slash > above;) {
        *slash = '\0';
        node = node_find(engine, above);
    }
    while (node && !moves_has(&engine->moves, node))
        node = node->parent;
    return node;
}

/* Will a directory come over this row? */
static bool is_in_the_way(Engine *engine, const Rename *rename)
{
    return rename_has_row(rename) && is_led_to(engine, rename->from) &&
           !moves_will_take_along(&engine->moves, rename->from);
}

/* inspections_end() - nothing waits for them any more */
void inspections_end(Engine *engine)
{
    engine->inspections_until = 0;
}

/* inspections_wait() - is it too early for directories' rows to follow them? They would be moved
 * over rows of which nobody knows yet where they belong */
bool inspections_wait(Engine *engine)
{
    bool waits = false;

    if (!moves_are_due(&engine->moves)) {
        inspections_end(engine);
        return false;
    }
    if (engine->inspections_until > 0 && clock_now() >= engine->inspections_until)
        return false; /* until they have been carried out */
    LIST_FOREACH (link, &engine->renames.doubtful) {
        const Rename *rename = CONTAINER_OF(link, Rename, doubt);

        if (can_tell(rename) && (is_in_the_way(engine, rename) ||
                                 (rename->partner && is_in_the_way(engine, rename->partner))))
            waits |= is_inspected(engine, rename) || inspect(engine, rename);
    }
    if (!waits)
        inspections_end(engine);
    else if (engine->inspections_until == 0)
        engine->inspections_until = clock_now() + WAIT;
    return waits;
}

/* inspections_clear() - nothing is watched any more: those that wait end, the others when they have
 * been looked at */
void inspections_clear(Engine *engine)
{
    LIST_FOREACH_SAFE (link, tmp, &engine->inspections) {
        Inspection *inspection = CONTAINER_OF(link, Inspection, link);

        if (inspection->waiting)
            inspection_free(inspection);
    }
}
