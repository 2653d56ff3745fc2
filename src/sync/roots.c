/*
 * Roots
 *
 * A root is offline when its directory cannot be opened or is not the one that the rows speak of;
 * then nothing below it is touched, and it is tried again: soon at first, then every poll interval,
 * and whenever something is mounted.
 *
 * Its first directory is looked at on a thread of its own: the path may lead through symbolic links
 * to a mount that does not answer, which the text of the path does not tell. Then it is known which
 * volume it is on, and everything else is done there.
 *
 * A root that comes online is walked twice: first everything is watched, then everything is
 * compared.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "sync/engine-private.h"
#include "util/clock.h"
#include "util/error.h"
#include "util/log.h"

#define BACKOFF_FIRST (CLOCK_US_PER_SEC)

/* root_of() - the root that a directory is below; NULL when it is not in the tree any more */
Root *root_of(const Engine *engine, const Node *node)
{
    while (node->parent)
        node = node->parent;
    return node->place > 0 && !node->detached ? engine->places[node->place - 1]->root : NULL;
}

/* node_find() - the directory at a path, or NULL when it is not in the tree */
Node *node_find(Engine *engine, const char *path)
{
    LIST_FOREACH (link, &engine->roots) {
        Root *root = CONTAINER_OF(link, Root, link);
        CLEANUP_FREE char *rest = NULL;
        Node *node = root->node;
        char *save = NULL;

        if (!node || !root_is_covered(path, root->path))
            continue;
        rest = strdup(path + strlen(root->path));
        if (!rest)
            return NULL;
        for (char *part = strtok_r(rest, "/", &save); part && node;
             part = strtok_r(NULL, "/", &save))
            node = tree_child(engine->tree, node, part);
        if (node)
            return node;
    }
    return NULL;
}

static void root_free(Root *root)
{
    Engine *engine = root->engine;

    list_remove(&root->link);
    hash_remove(&engine->root_paths, &root->by_path);
    place_remove(engine, &root->place);
    timer_disarm(&root->retry);
    free(root->path);
    free(root->real_path);
    free(root->id);
    free(root);
}

static void root_unwatch(Root *root)
{
    guard_clear(root->engine, root);
    if (root->node)
        poll_forget_below(root->engine, root->node);
    if (root->node)
        tree_remove(root->engine->tree, root->node);
    root->node = NULL;
    root->watched = false;
    places_sweep(root->engine);
}

static void root_drop(Root *root)
{
    root_unwatch(root);
    timer_disarm(&root->retry);
    root->gone = true;
    if (!root->scan) {
        root_free(root);
        return;
    }
    root->scan->walk.abort = true;
    scan_resume(root->scan);
}

/* root_why_offline() - the reason, for people; borrowed, the loop's thread only */
const char *root_why_offline(const Root *root)
{
    return root->error == 0 ? "another file system, or an empty mount point, is in its place"
                            : strerror(root->error);
}

static void root_offline(Root *root, int error)
{
    root_unwatch(root);
    root->state = ROOT_STATE_OFFLINE;
    root->error = error;
    if (!root->told)
        log_event(LOG_LEVEL_WARNING, LOG_EVENT_ROOT_OFFLINE, root->id, root->path,
                  "%s is offline (%s): its photos stay in the library", root->path,
                  root_why_offline(root));
    root->told = true;
    if (root->backoff == 0)
        root->backoff = BACKOFF_FIRST;
    (void)timer_arm_in(&root->retry, root->backoff);
    root->backoff *= 2;
    if (root->backoff > root->engine->config->watch_poll_interval)
        root->backoff = root->engine->config->watch_poll_interval;
}

/* root_look_later() - there are no means to look at a root now: its state stays until there are */
void root_look_later(Root *root)
{
    if (!timer_is_armed(&root->retry))
        (void)timer_arm_in(&root->retry, BACKOFF_FIRST);
}

/* root_scanned() - the first directory of a root has been looked at */
void root_scanned(Root *root, bool trusted, int error)
{
    Engine *engine = root->engine;

    if (root->gone)
        return;
    if (!trusted || error != 0) {
        root_offline(root, error);
    } else {
        if (root->told)
            log_event(LOG_LEVEL_NOTICE, LOG_EVENT_ROOT_ONLINE, root->id, root->path,
                      "%s is online again", root->path);
        root->told = false;
        root->backoff = 0;
        root->state = ROOT_STATE_ONLINE;
        timer_disarm(&root->retry);
        if (!engine->stopping)
            media_pool_warm(engine->media);
    }
    engine->snapshot_dirty = true;
}

/* root_scan_ended() - called when the scan of a root is over, however it ended */
void root_scan_ended(Root *root)
{
    if (root->gone) {
        root_free(root);
        return;
    }
    guard_scanned(root->engine, root);
    if (root->rescan && root->engine->running) {
        root->rescan = false;
        scan_root(root, false);
    } else if (root->state == ROOT_STATE_SCANNING && !root->doubted) {
        root_offline(root, EAGAIN);
    }
}

static void root_retry(Timer *timer)
{
    scan_root(CONTAINER_OF(timer, Root, retry), false);
}

void root_look(Root *root)
{
    if (root->scan)
        root->rescan = true;
    else
        scan_root(root, false);
}

/* root_lost() - a root was removed, moved away or unmounted, or its watch ended */
void root_lost(Engine *engine, Node *node)
{
    Root *root = root_of(engine, node);

    if (root && engine->running)
        root_look(root);
}

/* ---- which roots there are ---- */

static uint64_t path_hash(const char *path)
{
    return hash_bytes(path, strlen(path), 2);
}

static Root *root_find(Engine *engine, const char *path)
{
    for (HashNode *h = hash_first(&engine->root_paths, path_hash(path)); h; h = hash_next(h)) {
        Root *root = CONTAINER_OF(h, Root, by_path);

        if (!root->gone && strcmp(root->path, path) == 0)
            return root;
    }
    return NULL;
}

static int root_register(Engine *engine, Root *root)
{
    int r = root->path && root->id ? place_add(engine, &root->place) : -ENOMEM;

    if (r == 0)
        r = hash_insert(&engine->root_paths, &root->by_path, path_hash(root->path));
    if (r < 0)
        place_remove(engine, &root->place);
    return error_trace(r);
}

static int root_new(Engine *engine, const char *path, const char *id)
{
    Root *root = calloc(1, sizeof(*root));
    int r;

    if (!root)
        return error_trace(-ENOMEM);
    root->engine = engine;
    root->path = strdup(path);
    root->id = strdup(id);
    root->place.root = root;
    root->wanted = true;
    list_init(&root->guarded);
    timer_init(&root->retry, engine->timers, root_retry);
    r = root_register(engine, root);
    if (r < 0) {
        free(root->path);
        free(root->id);
        free(root);
        return error_trace(r);
    }
    root->state = ROOT_STATE_SCANNING;
    list_append(&engine->roots, &root->link);
    scan_root(root, false);
    return 0;
}

/* The same folder with another row: registered anew, or another database. */
static void root_renew(Root *root, const char *id)
{
    char *copy = strdup(id);

    if (!copy)
        return;
    free(root->id);
    root->id = copy;
    root_look(root);
}

/*
 * roots_update() - watch these roots and no others
 * @rows: count rows of folders, borrowed
 *
 * Compared with what is watched: nothing is torn down for a root that stays.
 */
void roots_update(Engine *engine, const SnapshotFolder *const *rows, size_t count)
{
    LIST_FOREACH (link, &engine->roots)
        CONTAINER_OF(link, Root, link)->wanted = false;
    for (size_t i = 0; i < count; i++) {
        Root *root = root_find(engine, rows[i]->path);

        if (root)
            root->wanted = true;
    }
    LIST_FOREACH_SAFE (link, tmp, &engine->roots) {
        Root *root = CONTAINER_OF(link, Root, link);

        if (!root->wanted && !root->gone)
            root_drop(root);
    }
    for (size_t i = 0; i < count; i++) {
        Root *root = root_find(engine, rows[i]->path);

        if (root && strcmp(root->id, rows[i]->id) != 0)
            root_renew(root, rows[i]->id);
        else if (!root && root_new(engine, rows[i]->path, rows[i]->id) < 0)
            log_error("cannot watch %s: out of memory", rows[i]->path);
    }
}

/* roots_retry_offline() - try offline roots now (somebody wants to know what is true) */
void roots_retry_offline(Engine *engine)
{
    LIST_FOREACH_SAFE (link, tmp, &engine->roots) {
        Root *root = CONTAINER_OF(link, Root, link);

        if (root->state == ROOT_STATE_OFFLINE && !root->gone)
            scan_root(root, false);
    }
}

/* roots_scan() - compare everything with the disk; idle: only when the disk has nothing else to do
 */
void roots_scan(Engine *engine, bool idle)
{
    LIST_FOREACH_SAFE (link, tmp, &engine->roots) {
        Root *root = CONTAINER_OF(link, Root, link);

        if (!root->gone && idle)
            scan_root(root, true);
        else if (!root->gone)
            root_look(root);
    }
}

/* roots_all_known() - is everything watched that can be? What does not answer is not waited for. */
bool roots_all_known(const Engine *engine)
{
    if (!engine->folders_known)
        return false;
    LIST_FOREACH (link, &engine->roots) {
        const Root *root = CONTAINER_OF(link, Root, link);

        if (root->scan && root->scan->volume->hung)
            continue;
        if (root->state == ROOT_STATE_SCANNING ||
            (root->state == ROOT_STATE_ONLINE && !root->watched))
            return false;
    }
    return true;
}

/* roots_clear() - watch nothing any more */
void roots_clear(Engine *engine)
{
    LIST_FOREACH_SAFE (link, tmp, &engine->roots)
        root_drop(CONTAINER_OF(link, Root, link));
}

void roots_init(Engine *engine)
{
    list_init(&engine->roots);
}

void roots_done(Engine *engine)
{
    hash_done(&engine->root_paths);
}
