/*
 * Places and volumes
 *
 * A place is where a volume begins in the tree: a root, or a directory below one on which another
 * file system is mounted. The volume of any directory is that of the first place above it, found by
 * climbing a few parents; so every look at the disk is done on the thread of the volume that it is
 * on, and a volume that does not answer holds up nobody else.
 *
 * A volume hangs when its thread has not come back for a while. Then nothing waits for it: its
 * changes and scans no longer count (settle barrier, readiness, removals that wait until everything
 * has been seen), and all goes on where it stopped when the thread comes back.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "sync/engine-private.h"
#include "util/array.h"
#include "util/clock.h"
#include "util/error.h"
#include "util/log.h"

#define HUNG_LOOK   (CLOCK_US_PER_SEC)
#define LOOKS_WAIT  (100 * CLOCK_US_PER_MS) /* those under way may hang */
#define MOUNTS_WAIT (50 * CLOCK_US_PER_MS)  /* several mounts often come together */

/* ---- places ---- */

/* place_add() - give a place its number; 0 or -ENOMEM */
int place_add(Engine *engine, Place *place)
{
    size_t i = 0;

    while (i < engine->n_places && engine->places[i])
        i++;
    if (i == engine->n_places) {
        if (ARRAY_RESERVE(engine->places, engine->places_capacity, i + 1) < 0)
            return error_trace(-ENOMEM);
        engine->n_places++;
    }
    engine->places[i] = place;
    place->number = (uint32_t)i + 1;
    return 0;
}

/* place_remove() - end a place; one that was never added is left alone. Its memory is the owner's
 */
void place_remove(Engine *engine, Place *place)
{
    if (place->number > 0)
        engine->places[place->number - 1] = NULL;
    place->number = 0;
    place->volume = volume_release(place->volume);
    if (place->node && !place->root)
        place->node->place = 0;
    place->node = node_unref(place->node);
}

/* place_of() - the place that a directory belongs to; NULL when it has left the tree */
Place *place_of(const Engine *engine, const Node *node)
{
    while (node && node->place == 0)
        node = node->parent;
    return node && !node->detached ? engine->places[node->place - 1] : NULL;
}

/* volume_of() - the volume that a directory is on; NULL when that is not known (any more) */
Volume *volume_of(const Engine *engine, const Node *node)
{
    const Place *place = place_of(engine, node);

    return place ? place->volume : NULL;
}

static int set_volume(Engine *engine, Place *place, const Mount *mount)
{
    Volume *volume;
    int r = volumes_get(&engine->volumes, mount, &volume);

    if (r < 0)
        return error_trace(r);
    (void)volume_release(place->volume);
    place->volume = volume;
    if (volume->kind == MOUNT_KIND_REMOTE)
        poll_places(engine);
    return 0;
}

/* root_set_real_path() - a root has been opened, and where it is without symbolic links is known */
int root_set_real_path(Root *root, const char *real_path)
{
    Engine *engine = root->engine;
    const char *path = real_path ? real_path : root->path;
    char *copy = strdup(path);

    if (!copy)
        return error_trace(-ENOMEM);
    if (root->unsure || root->state != ROOT_STATE_ONLINE)
        root->place.proof = (VolumeProof){0};
    free(root->real_path);
    root->real_path = copy;
    root->unsure = false;
    return set_volume(engine, &root->place, mount_table_find(engine->mount_table, path));
}

/* place_set_mount() - a file system is mounted at a node */
int place_set_mount(Engine *engine, Node *node, const Mount *mount)
{
    Place *place;
    int r;

    if (node->place > 0)
        return set_volume(engine, engine->places[node->place - 1], mount);
    place = calloc(1, sizeof(*place));
    r = place ? place_add(engine, place) : -ENOMEM;
    if (r < 0) {
        free(place);
        return error_trace(r);
    }
    place->node = node_ref(node);
    node->place = place->number;
    return set_volume(engine, place, mount);
}

/* ---- what must not be looked at by others ---- */

void places_unsure_free(char **directories)
{
    for (char **dir = directories; dir && *dir; dir++)
        free(*dir);
    free(directories);
}

/* May the way there lead to what does not answer? A root that is looked at for the first time, on a
 * thread of its own, may be anywhere. */
static bool is_unsure(const Place *place)
{
    const Scan *scan = place && place->root ? place->root->scan : NULL;

    if (!place)
        return false;
    if (scan && scan->volume != place->volume)
        return true;
    return place->volume && (place->volume->kind == MOUNT_KIND_REMOTE || place->volume->hung);
}

static VolumeLook look_at(const Place *place, const Volume *volume)
{
    const Scan *scan = place->root ? place->root->scan : NULL;

    if (place->volume == volume)
        return VOLUME_LOOK_FREE;
    return scan && scan->volume != place->volume && !scan->volume->hung ? VOLUME_LOOK_LATER
                                                                        : VOLUME_LOOK_NEVER;
}

static char *place_path_new(const Place *place)
{
    return place->root ? strdup(place->root->path) : node_path_new(place->node);
}

/* A look at what may be another volume, and has not come back yet. */
static bool is_looking(const Scan *scan)
{
    return scan->volume->hung || scan->is_mount;
}

/*
 * volume_may_look() - may a volume's thread look at this path? It may be on another volume, which
 * does not answer
 *
 * Never without memory.
 */
VolumeLook volume_may_look(const Engine *engine, const Volume *volume, const char *path)
{
    const Mount *mount = mount_table_find(engine->mount_table, path);

    for (size_t i = 0; i < engine->n_places; i++) {
        CLEANUP_FREE char *dir = NULL;

        if (!is_unsure(engine->places[i]))
            continue;
        dir = place_path_new(engine->places[i]);
        if (!dir)
            return VOLUME_LOOK_NEVER;
        if (path_is_below(path, dir) && look_at(engine->places[i], volume) != VOLUME_LOOK_FREE)
            return look_at(engine->places[i], volume);
    }
    LIST_FOREACH (link, &engine->scans) {
        const Scan *scan = CONTAINER_OF(link, Scan, link);

        if (is_looking(scan) && scan->volume != volume && path_is_below(path, scan->walk.path))
            return scan->volume->hung ? VOLUME_LOOK_NEVER : VOLUME_LOOK_LATER;
    }
    if (mount && mount->kind == MOUNT_KIND_REMOTE &&
        (!volume->device || strcmp(volume->device, mount->device) != 0))
        return VOLUME_LOOK_NEVER;
    return VOLUME_LOOK_FREE;
}

typedef struct Paths {
    char **items; /* ends with NULL */
    size_t count, capacity;
} Paths;

/* path is taken over. */
static void add_path(Paths *paths, char *path)
{
    if (!path || ARRAY_RESERVE(paths->items, paths->capacity, paths->count + 2) < 0) {
        free(path);
        return;
    }
    paths->items[paths->count++] = path;
    paths->items[paths->count] = NULL;
}

/* places_unsure() - where a look at a file may hang: only the volume's own thread may take it */
char **places_unsure(const Engine *engine)
{
    const MountTable *mounts = engine->mount_table;
    Paths paths = {0};

    for (size_t i = 0; i < mounts->count; i++)
        if (mounts->items[i].kind == MOUNT_KIND_REMOTE)
            add_path(&paths, strdup(mounts->items[i].point));
    for (size_t i = 0; i < engine->n_places; i++)
        if (is_unsure(engine->places[i]))
            add_path(&paths, place_path_new(engine->places[i]));
    LIST_FOREACH (link, &engine->scans) {
        const Scan *scan = CONTAINER_OF(link, Scan, link);

        if (is_looking(scan))
            add_path(&paths, strdup(scan->walk.path));
    }
    return paths.items;
}

static void mount_place_free(Engine *engine, Place *place)
{
    place_remove(engine, place);
    free(place);
}

/* places_sweep() - end the places whose directory has left the tree */
void places_sweep(Engine *engine)
{
    for (size_t i = 0; i < engine->n_places; i++) {
        Place *place = engine->places[i];

        if (place && !place->root && place->node->detached)
            mount_place_free(engine, place);
    }
}

/* ---- mount points ---- */

/* The path of a name in the tree as the mount table has it; NULL when memory runs out. */
static char *real_path_of(const Engine *engine, const Node *dir, const char *name)
{
    const Root *root = root_of(engine, dir);
    CLEANUP_FREE char *above = root ? node_path_new(dir) : NULL;
    CLEANUP_FREE char *path = NULL;
    const char *rest;

    if (!above)
        return NULL;
    path = name[0] == '\0' ? STEAL_PTR(above) : path_join(above, name);
    if (!path || !root->real_path || strcmp(root->path, root->real_path) == 0)
        return STEAL_PTR(path);
    rest = path + strlen(root->path);
    while (*rest == '/')
        rest++;
    return *rest ? path_join(root->real_path, rest) : strdup(root->real_path);
}

/* mount_at_node() - what is mounted at a name in a directory of the tree ("": at itself), or NULL
 */
const Mount *mount_at_node(const Engine *engine, const Node *dir, const char *name)
{
    CLEANUP_FREE char *path = real_path_of(engine, dir, name);

    return path ? mount_table_at(engine->mount_table, path) : NULL;
}

/* The directory at the end of a relative path below node, as far as it is in the tree. */
static Node *descend(Engine *engine, Node *node, const char *rest)
{
    CLEANUP_FREE char *copy = strdup(rest);
    char *save = NULL;

    if (!copy)
        return NULL;
    for (char *part = strtok_r(copy, "/", &save); part && node; part = strtok_r(NULL, "/", &save))
        node = tree_child(engine->tree, node, part);
    return node;
}

/* Something was mounted or unmounted at a point below a root. */
static void mount_changed_below(Engine *engine, Root *root, const char *point)
{
    const Mount *mount = mount_table_at(engine->mount_table, point);
    CLEANUP_FREE char *above = path_parent(point + strlen(root->real_path));
    Node *parent = above && root->node ? descend(engine, root->node, above) : NULL;
    Node *node = parent ? tree_child(engine->tree, parent, path_name(point)) : NULL;

    if (!parent || (!node && mount && mount->kind == MOUNT_KIND_PSEUDO))
        return;
    if (node && node->place > 0)
        mount_place_free(engine, engine->places[node->place - 1]);
    if (mount && mount->kind == MOUNT_KIND_PSEUDO) {
        tree_remove(engine->tree, node); /* covered by what holds no photos: its rows stay */
        return;
    }
    scan_name(engine, parent, path_name(point));
}

static void mount_changed(void *context, const char *point)
{
    Engine *engine = context;

    LIST_FOREACH_SAFE (link, tmp, &engine->roots) {
        Root *root = CONTAINER_OF(link, Root, link);
        const char *path = root->real_path ? root->real_path : root->path;

        if (root->gone)
            continue;
        if (path_is_within(path, point)) {
            root->unsure = true;
            scan_give_up(root);
            engine->counters.rescans_mount++;
            root_look(root);
        } else if (path_is_below(point, path) && root->real_path) {
            mount_changed_below(engine, root, point);
        } else if (root->state == ROOT_STATE_OFFLINE) {
            scan_give_up(root);
            scan_root(root, false); /* a symbolic link may lead there */
        }
    }
}

/* places_look() - compare the mount table with the one that is known */
void places_look(Engine *engine)
{
    MountTable *old = engine->mount_table;
    MountTable *table;

    timer_disarm(&engine->mounts_timer);
    if (mount_table_read(&table) < 0) {
        (void)timer_arm_in(&engine->mounts_timer, CLOCK_US_PER_SEC);
        return;
    }
    engine->mount_table = table;
    if (engine->running)
        mount_table_compare(old, table, mount_changed, engine);
    (void)mount_table_unref(old);
}

static void mounts_look(Timer *timer)
{
    places_look(CONTAINER_OF(timer, Engine, mounts_timer));
}

static void mounts_changed(MountWatch *watch)
{
    Engine *engine = CONTAINER_OF(watch, Engine, mounts);

    if (!timer_is_armed(&engine->mounts_timer))
        (void)timer_arm_in(&engine->mounts_timer, MOUNTS_WAIT);
}

/* ---- volumes that do not answer ---- */

static const char *volume_name(const Engine *engine, const Volume *volume)
{
    for (size_t i = 0; i < engine->n_places; i++) {
        const Place *place = engine->places[i];

        if (place && place->root &&
            (place->volume == volume || (place->root->scan && place->root->scan->volume == volume)))
            return place->root->path;
    }
    return volume->device ? volume->device : "a folder";
}

static void exempt_changes(Engine *engine, const Volume *volume, bool exempt)
{
    LIST_FOREACH_SAFE (link, tmp, &engine->pending.all) {
        Change *change = CONTAINER_OF(link, Change, by_age);

        if (volume_of(engine, change->dir) == volume)
            pending_exempt(&engine->pending, change, exempt);
    }
}

static void volume_hung(Engine *engine, Volume *volume)
{
    volume->hung = true;
    engine->n_hung++;
    exempt_changes(engine, volume, true);
    log_event(LOG_LEVEL_WARNING, LOG_EVENT_VOLUME_HUNG, NULL, volume_name(engine, volume),
              "%s (%s) does not answer: it is left alone until it does, everything else goes on",
              volume_name(engine, volume), volume->type ? volume->type : "not looked at yet");
    engine->snapshot_dirty = true;
    engine_changed(engine);
}

/* volume_answered() - a job has come back from a volume's thread */
void volume_answered(Engine *engine, Volume *volume)
{
    if (!volume || !volume->hung)
        return;
    volume->hung = false;
    engine->n_hung--;
    exempt_changes(engine, volume, false);
    log_event(LOG_LEVEL_NOTICE, LOG_EVENT_VOLUME_ANSWERS, NULL, volume_name(engine, volume),
              "%s answers again", volume_name(engine, volume));
    engine->snapshot_dirty = true;
    engine_changed(engine);
}

/*
 * volumes_answered() - a hung volume with nothing left to do has answered
 *
 * Not every job that comes back is told of to the engine (files are closed there too), and the last
 * one may have been about a directory that has left the tree.
 */
void volumes_answered(Engine *engine)
{
    if (engine->n_hung == 0)
        return;
    LIST_FOREACH (link, &engine->volumes.list) {
        Volume *volume = CONTAINER_OF(link, Volume, link);

        if (volume->hung && worker_backlog(volume->worker) == 0)
            volume_answered(engine, volume);
    }
}

/* node_is_hung() - is a directory on a volume that does not answer? */
bool node_is_hung(const Engine *engine, const Node *node)
{
    const Volume *volume = volume_of(engine, node);

    return volume && volume->hung;
}

static void hung_look(Timer *timer)
{
    Engine *engine = CONTAINER_OF(timer, Engine, hung_timer);
    bool at_work = false;

    LIST_FOREACH (link, &engine->volumes.list) {
        Volume *volume = CONTAINER_OF(link, Volume, link);

        at_work |= volume->first != NULL; /* it will be */
        if (volume->hung || !volume->worker || worker_backlog(volume->worker) == 0)
            continue;
        if (worker_busy_for(volume->worker) >= engine->config->watch_hung_after)
            volume_hung(engine, volume);
        else
            at_work = true;
    }
    if (at_work) /* an idle daemon does not wake up for this */
        (void)timer_arm_in(timer, HUNG_LOOK);
}

/* volume_submit() - give a job to a volume's thread and see to it that it comes back */
void volume_submit(Engine *engine, Volume *volume, WorkerJob *job)
{
    volume_run(&engine->volumes, volume, job);
    if (engine->volumes.stopped)
        return;
    if (!list_is_empty(&engine->volumes.waiting) && !timer_is_armed(&engine->looks_timer))
        (void)timer_arm_in(&engine->looks_timer, 0);
    if (!timer_is_armed(&engine->hung_timer))
        (void)timer_arm_in(&engine->hung_timer, HUNG_LOOK);
}

/* looks_continue() - in each round: more threads for what has not been looked at yet */
void looks_continue(Engine *engine)
{
    if (volumes_start(&engine->volumes))
        (void)timer_arm_in(&engine->looks_timer, LOOKS_WAIT);
    else
        timer_disarm(&engine->looks_timer);
}

static void looks_fired(Timer *timer)
{
    looks_continue(CONTAINER_OF(timer, Engine, looks_timer));
}

/* ---- life ---- */

int places_init(Engine *engine)
{
    int r = mount_table_read(&engine->mount_table);

    timer_init(&engine->mounts_timer, engine->timers, mounts_look);
    timer_init(&engine->hung_timer, engine->timers, hung_look);
    timer_init(&engine->looks_timer, engine->timers, looks_fired);
    if (r == 0)
        r = mount_watch_init(&engine->mounts, engine->loop, mounts_changed);
    return error_trace(r);
}

void places_done(Engine *engine)
{
    places_sweep(engine);
    timer_disarm(&engine->mounts_timer);
    timer_disarm(&engine->hung_timer);
    timer_disarm(&engine->looks_timer);
    mount_watch_done(&engine->mounts);
    engine->mount_table = mount_table_unref(engine->mount_table);
    free(engine->places);
}
