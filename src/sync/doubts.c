/*
 * Directories that are found at a second place
 *
 * A watch descriptor follows its inode. So when a scan comes upon one that is known at another
 * place, either the directory was moved and its events were lost or are still to come, or it can be
 * reached by two paths (a bind mount, a root inside another one by a symbolic link). Which of the
 * two, only the disk can tell: the older place is looked at (a *doubt*), on its volume's thread.
 *
 *     not there any more  ─▶ it was moved: the node is relinked, and its rows follow
 *     still there         ─▶ an alias: it gets a node without a watch, which is polled, for the
 *                            kernel tells of its changes under the first path only
 */
#include <stdlib.h>
#include <string.h>

#include "sync/engine-private.h"
#include "util/error.h"

typedef struct Doubt {
    ListNode link; /* Engine.doubts */
    ProbeJob probe;
    Engine *engine;
    Volume *volume;      /* of known; one user of it */
    Node *known;         /* referenced: where it was */
    Node *parent;        /* referenced: where it is now; NULL: it is a root */
    char *name;          /* in parent; of a root the path */
    uint64_t begun;      /* Tree.n_moves */
    uint64_t left_begun; /* Engine.directories_left when it was found */
} Doubt;

static void doubt_free(Doubt *doubt)
{
    list_remove(&doubt->link);
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

static void doubt_decide(Doubt *doubt, bool still_there)
{
    Engine *engine = doubt->engine;
    Node *known = doubt->known;

    if (!doubt->parent) {
        if (still_there && !known->detached) {
            make_alias_root(engine, doubt->name);
        } else {
            if (!known->detached && !known->is_root)
                tree_remove(engine->tree, known); /* found under the root's name, by its inodes */
            root_look_again(engine, doubt->name);
        }
        return;
    }
    if (doubt->parent->detached)
        return;
    if (known->detached || node_moved_since(engine->tree, known, doubt->begun)) {
        scan_name(engine, doubt->parent, doubt->name); /* events came meanwhile */
    } else if (still_there) {
        make_alias(engine, doubt->parent, doubt->name);
    } else if (!known->is_root && !node_is_within(doubt->parent, known)) {
        Node *victim = tree_child(engine->tree, doubt->parent, doubt->name);

        if (victim && victim != known && victim->wd >= 0)
            (void)displaced_add(engine, victim); /* it is somewhere, too */
        engine_directory_moving(engine, known);
        if (tree_move(engine->tree, known, doubt->parent, doubt->name) != 0)
            return;
        scan_node(engine, known, false, false);
        attach_look_if_left(engine, doubt->parent, doubt->name, doubt->left_begun);
    }
}

static void doubt_looked(WorkerJob *job)
{
    Doubt *doubt = CONTAINER_OF(CONTAINER_OF(job, ProbeJob, job), Doubt, probe);
    Engine *engine = doubt->engine;

    volume_answered(engine, doubt->volume);
    if (!job->cancelled && engine->running)
        doubt_decide(doubt, doubt->probe.directories[0].result == PROBE_RESULT_OK);
    doubt_free(doubt);
    engine_changed(engine);
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
    CLEANUP_FREE char *path = node_path_new(known);
    Doubt *doubt = volume && path ? calloc(1, sizeof(*doubt)) : NULL;
    ProbeDirectory *directory;

    if (!doubt)
        return false;
    doubt->engine = engine;
    doubt->volume = volume;
    volume->users++;
    doubt->known = node_ref(known);
    doubt->parent = parent ? node_ref(parent) : NULL;
    doubt->name = strdup(name);
    doubt->begun = engine->tree->n_moves;
    doubt->left_begun = scan->left_begun;
    probe_job_init(&doubt->probe, doubt_looked);
    if (!doubt->name ||
        probe_job_add_directory(&doubt->probe, path, known->dev, known->ino, &directory) < 0) {
        doubt_free(doubt);
        return false;
    }
    directory->follow = known->is_root;
    list_append(&engine->doubts, &doubt->link);
    volume_submit(engine, volume, &doubt->probe.job);
    return true;
}

/* node_is_alias() - is a directory reached by a second path, under which nothing is heard of it? */
bool node_is_alias(const Node *node)
{
    for (; node; node = node->parent)
        if (node->alias)
            return true;
    return false;
}
