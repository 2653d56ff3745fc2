/*
 * Directories that are found at a second place
 *
 * A watch descriptor follows its inode. So when a scan comes upon one that is known at another
 * place, either the directory was moved and its events were lost or are still to come, or it can be
 * reached by two paths (a bind mount, a root inside another one by a symbolic link). Which of the
 * two, only the disk can tell: both places are looked at (a *doubt*), on the volume's thread.
 *
 *     only at the newer one  ─▶ it was moved: the node is relinked, and its rows follow
 *     at both                ─▶ an alias: it gets a node without a watch, which is polled, for the
 *                               kernel tells of its changes under the first path only
 *     not at the newer one   ─▶ it has gone on: that name is looked at again
 *
 * A path may lead to another directory meanwhile, because one above it has moved. So each place is
 * a name in a directory that is opened and compared with the one that the tree has there. Where it
 * is another one, an event is on its way, and the doubt waits for it; but not for longer than a
 * second, for it may have been lost. Both are looked at on the thread of the older one's volume,
 * though the way to the newer one may lead over another volume: the scan has just come that way.
 */
#include <stdlib.h>
#include <string.h>

#include "sync/engine-private.h"
#include "util/clock.h"

#define WAIT_FOR_EVENTS CLOCK_US_PER_SEC
#define LOOK_AGAIN      (20 * CLOCK_US_PER_MS)

typedef struct Doubt {
    ListNode link; /* Engine.doubts */
    ProbeJob probe;
    Engine *engine;
    Volume *volume;      /* of known; one user of it */
    Node *known;         /* referenced: where it was */
    Node *parent;        /* referenced: where it is now; NULL: it is a root */
    char *name;          /* in parent; of a root the path */
    Timer timer;         /* looks once more */
    uint64_t until;      /* clock_now(): then what cannot be told is not waited for any more */
    uint64_t begun;      /* Tree.n_moves when it was looked at */
    uint64_t left_begun; /* Engine.directories_left when it was found */
} Doubt;

static void doubt_free(Doubt *doubt)
{
    list_remove(&doubt->link);
    timer_disarm(&doubt->timer);
    probe_job_done(&doubt->probe);
    (void)volume_release(doubt->volume);
    (void)node_unref(doubt->known);
    (void)node_unref(doubt->parent);
    free(doubt->name);
    free(doubt);
}

static void make_alias(Engine *engine, Node *parent, const char *name)
{
    Node *node = tree_child(engine->tree, parent, name);

    if (!node && tree_add(engine->tree, parent, name, &node) < 0)
        return;
    if (node->alias)
        return;
    node->alias = true;
    poll_add(engine, node);
    scan_node(engine, node, false, false);
}

static void make_alias_root(Engine *engine, const char *path)
{
    LIST_FOREACH (link, &engine->roots) {
        Root *root = CONTAINER_OF(link, Root, link);

        if (root->gone || root->node || strcmp(root->path, path) != 0)
            continue;
        root->doubted = false;
        if (tree_add_root(engine->tree, path, &root->node) < 0)
            return;
        root->node->place = root->place.number;
        root->node->alias = true;
        root->state = ROOT_STATE_SCANNING;
        poll_add(engine, root->node);
        root_look(root);
        return;
    }
}

static void root_look_again(Engine *engine, const char *path)
{
    LIST_FOREACH (link, &engine->roots) {
        Root *root = CONTAINER_OF(link, Root, link);

        if (root->gone || strcmp(root->path, path) != 0)
            continue;
        root->doubted = false;
        root_look(root);
    }
}

/* ---- looking at the two places ---- */

/* What has been seen at a place. */
typedef enum Sight {
    SIGHT_THERE,
    SIGHT_GONE,
    SIGHT_UNKNOWN, /* the directory above it is another one, or cannot be read */
} Sight;

static bool is_moved(const Doubt *doubt)
{
    const Tree *tree = doubt->engine->tree;

    return node_moved_since(tree, doubt->known, doubt->begun) ||
           (doubt->parent && node_moved_since(tree, doubt->parent, doubt->begun));
}

/* A root has no directory above it that is known. */
static int ask_for_known(Doubt *doubt)
{
    const Node *known = doubt->known;
    ProbeDirectory *directory;

    return known->parent ? probe_name(&doubt->probe, known->parent, node_name(known))
                         : probe_node(&doubt->probe, known, &directory);
}

/* Is the directory at the place that was asked for? */
static Sight sight_of(const Doubt *doubt, size_t i)
{
    const ProbeDirectory *place = &doubt->probe.directories[i];
    const Node *known = doubt->known;
    const Entry *entry;

    if (place->n_names == 0)
        return place->result == PROBE_RESULT_OK        ? SIGHT_THERE
               : place->result == PROBE_RESULT_MISSING ? SIGHT_GONE
                                                       : SIGHT_UNKNOWN;
    entry = &place->names[0].entry;
    if (place->result != PROBE_RESULT_OK || entry->type == ENTRY_TYPE_ERROR)
        return SIGHT_UNKNOWN;
    return entry->type == ENTRY_TYPE_DIRECTORY && entry->stamp.ino == known->ino &&
                   (uint32_t)entry->stamp.dev == known->dev
               ? SIGHT_THERE
               : SIGHT_GONE;
}

/* ---- deciding ---- */

static void decide_root(Doubt *doubt, Sight older)
{
    Engine *engine = doubt->engine;
    Node *known = doubt->known;
    bool moved = known->detached || is_moved(doubt);

    if (older == SIGHT_THERE && !moved) {
        make_alias_root(engine, doubt->name);
        return;
    }
    if (!moved && !known->is_root)
        tree_remove(engine->tree, known); /* found under the root's name, by its inodes */
    root_look_again(engine, doubt->name);
}

static void relink(Doubt *doubt)
{
    Engine *engine = doubt->engine;
    Node *known = doubt->known;
    Node *victim = tree_child(engine->tree, doubt->parent, doubt->name);

    if (known->is_root || node_is_within(doubt->parent, known))
        return;
    if (victim && victim != known && victim->wd >= 0)
        (void)displaced_add(engine, victim); /* it is somewhere, too */
    engine_directory_moving(engine, known, doubt->parent, doubt->name);
    /* Nothing told that it moved, nor what else happened. */
    moves_set_unseen(&engine->moves, known);
    if (tree_move(engine->tree, known, doubt->parent, doubt->name) != 0)
        return;
    scan_node(engine, known, false, false);
    attach_look_if_left(engine, doubt->parent, doubt->name, doubt->left_begun);
}

static void decide(Doubt *doubt, Sight older, Sight newer)
{
    if (doubt->parent->detached)
        return;
    if (doubt->known->detached || is_moved(doubt) || newer == SIGHT_GONE)
        scan_name(doubt->engine, doubt->parent, doubt->name);
    else if (newer == SIGHT_THERE && older == SIGHT_THERE)
        make_alias(doubt->engine, doubt->parent, doubt->name);
    else if (newer == SIGHT_THERE)
        relink(doubt);
}

/* Both have been looked at. False: that is to be done again. */
static bool is_decided(Doubt *doubt)
{
    Sight older = sight_of(doubt, 0);
    Sight newer = doubt->parent ? sight_of(doubt, 1) : SIGHT_THERE;

    if ((older == SIGHT_UNKNOWN || newer == SIGHT_UNKNOWN) && !doubt->known->detached &&
        !is_moved(doubt) && clock_now() < doubt->until &&
        timer_arm_in(&doubt->timer, LOOK_AGAIN) == 0)
        return false;
    if (doubt->parent)
        decide(doubt, older, newer);
    else
        decide_root(doubt, older);
    return true;
}

static void doubt_looked(WorkerJob *job)
{
    Doubt *doubt = CONTAINER_OF(CONTAINER_OF(job, ProbeJob, job), Doubt, probe);
    Engine *engine = doubt->engine;

    volume_answered(engine, doubt->volume);
    if (!job->cancelled && engine->running && !is_decided(doubt))
        return;
    doubt_free(doubt);
    engine_changed(engine);
}

/* False: no memory. */
static bool doubt_look(Doubt *doubt)
{
    probe_job_done(&doubt->probe);
    probe_job_init(&doubt->probe, doubt_looked);
    doubt->begun = doubt->engine->tree->n_moves;
    if (ask_for_known(doubt) < 0 ||
        (doubt->parent && probe_name(&doubt->probe, doubt->parent, doubt->name) < 0))
        return false;
    volume_submit(doubt->engine, doubt->volume, &doubt->probe.job);
    return true;
}

static void look_again(Timer *timer)
{
    Doubt *doubt = CONTAINER_OF(timer, Doubt, timer);
    Engine *engine = doubt->engine;

    if (doubt->known->detached || is_moved(doubt)) {
        if (doubt->parent)
            decide(doubt, SIGHT_UNKNOWN, SIGHT_UNKNOWN);
        else
            decide_root(doubt, SIGHT_UNKNOWN);
    } else if (doubt_look(doubt)) {
        return;
    }
    doubt_free(doubt);
    engine_changed(engine);
}

/* doubts_clear() - nothing is watched any more: those that wait end, the others when they have been
 * looked at */
void doubts_clear(Engine *engine)
{
    LIST_FOREACH_SAFE (link, tmp, &engine->doubts) {
        Doubt *doubt = CONTAINER_OF(link, Doubt, link);

        if (timer_is_armed(&doubt->timer))
            doubt_free(doubt);
    }
}

/* doubts_under_way() - how many doubts there are, those of volumes that do not answer aside */
size_t doubts_under_way(const Engine *engine)
{
    size_t n = 0;

    LIST_FOREACH (link, &engine->doubts)
        n += !CONTAINER_OF(link, Doubt, link)->volume->hung;
    return n;
}

/*
 * doubt_start() - a scan has found the directory of a node at another place
 * @parent: NULL: as a root, and name is its path
 *
 * False: memory ran out, or nobody knows where the older place is.
 */
bool doubt_start(const Scan *scan, Node *known, Node *parent, const char *name)
{
    Engine *engine = scan->engine;
    Volume *volume = volume_of(engine, known);
    Doubt *doubt = volume ? calloc(1, sizeof(*doubt)) : NULL;

    if (!doubt)
        return false;
    doubt->engine = engine;
    doubt->volume = volume_use(volume);
    doubt->known = node_ref(known);
    doubt->parent = parent ? node_ref(parent) : NULL;
    doubt->name = strdup(name);
    doubt->left_begun = scan->left_begun;
    doubt->until = clock_now() + WAIT_FOR_EVENTS;
    timer_init(&doubt->timer, engine->timers, look_again);
    list_append(&engine->doubts, &doubt->link);
    if (doubt->name && doubt_look(doubt))
        return true;
    doubt_free(doubt);
    return false;
}

/* node_is_alias() - is a directory reached by a second path, under which nothing is heard of it? */
bool node_is_alias(const Node *node)
{
    for (; node; node = node->parent)
        if (node->alias)
            return true;
    return false;
}
