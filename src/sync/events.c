/*
 * What the watcher says
 *
 * Each event makes a name pending, nothing more. Which names matter is decided here: photos and
 * videos, sidecars for their photos, directories; any other name changes only its directory's
 * mtime.
 */
#include <stdlib.h>
#include <string.h>

#include "sync/engine-private.h"
#include "util/clock.h"
#include "util/log.h"

static Engine *engine_of(WatchListener *listener)
{
    return CONTAINER_OF(listener, Engine, listener);
}

/* A sidecar says something about the photo whose name it begins with. */
static void touch_photo_of_sidecar(Engine *engine, Node *dir, const char *name)
{
    CLEANUP_FREE char *photo = strdup(name);
    size_t length = strlen(name);

    if (!photo || length <= 5 || strcmp(name + length - 5, ".json") != 0)
        return;
    for (char *dot = photo + length - 5; dot && dot > photo; dot = strrchr(photo, '.')) {
        Change *change;

        *dot = '\0';
        if (media_kind_of(photo) == MEDIA_KIND_NONE)
            continue;
        change = pending_touch(&engine->pending, dir, photo, CHANGE_WAIT_SETTLE, clock_now());
        if (change)
            change->reread = true;
        return;
    }
}

/* A directory appeared, went or changed its mode. It is watched at once; its row can wait. */
static void directory_changed(Engine *engine, Node *dir, const char *name, WatchChange change)
{
    Node *node = tree_child(engine->tree, dir, name);
    CLEANUP_FREE char *path = NULL;
    CLEANUP_FREE char *above = NULL;

    if (change == WATCH_CHANGE_ATTRIBUTES && node && !node->unreadable) {
        /* What copies a tree sets the directories' times last of all. */
        (void)pending_touch(&engine->pending, node, "", CHANGE_WAIT_SETTLE, clock_now());
        return;
    }
    if (change == WATCH_CHANGE_CREATED && engine->n_excluded > 0) {
        above = node_path_new(dir);
        path = above ? path_join(above, name) : NULL;
        if (path)
            (void)roots_include(engine, path); /* made anew */
    }
    if (change != WATCH_CHANGE_REMOVED)
        scan_name(engine, dir, name);
    (void)pending_touch(&engine->pending, dir, name, CHANGE_WAIT_SETTLE, clock_now());
}

static ChangeWait wait_for(const Change *known, WatchChange change)
{
    switch (change) {
    case WATCH_CHANGE_CREATED:
        return CHANGE_WAIT_CREATE;
    case WATCH_CHANGE_ATTRIBUTES: /* a writer may go on after changing the mode */
        return known && known->state == CHANGE_STATE_WAITING && !known->complete
                   ? known->wait
                   : CHANGE_WAIT_SETTLE;
    default:
        return CHANGE_WAIT_SETTLE;
    }
}

static void file_changed(Engine *engine, Node *dir, const char *name, WatchChange what)
{
    Change *change = pending_find(&engine->pending, dir, name);

    change = pending_touch(&engine->pending, dir, name, wait_for(change, what), clock_now());
    if (!change)
        return;
    change->live = true;
    change->confirm = false;
    if (what == WATCH_CHANGE_WRITTEN || what == WATCH_CHANGE_MOVED_IN)
        change->complete = true;
    if (what == WATCH_CHANGE_CREATED)
        change->complete = false;
}

static void on_changed(WatchListener *listener, Node *dir, const char *name, WatchChange change,
                       bool is_directory)
{
    Engine *engine = engine_of(listener);

    if (!engine->running)
        return;
    if (is_directory && name[0] != '\0') {
        directory_changed(engine, dir, name, change);
        return;
    }
    if (media_kind_of(name) != MEDIA_KIND_NONE && !rules_ignore_file(engine->rules, name)) {
        file_changed(engine, dir, name, change);
        return;
    }
    touch_photo_of_sidecar(engine, dir, name);
    /* Any other name changes nothing but the directory's mtime; and a directory of this name may
     * have been there before. */
    if (change == WATCH_CHANGE_CREATED || change == WATCH_CHANGE_REMOVED ||
        change == WATCH_CHANGE_MOVED_IN || name[0] == '\0')
        (void)pending_touch(&engine->pending, dir, "", CHANGE_WAIT_SETTLE, clock_now());
}

static void on_file_moved(WatchListener *listener, Node *from, const char *from_name, Node *to,
                          const char *to_name)
{
    Engine *engine = engine_of(listener);
    Change *source;
    Change *change;

    if (!engine->running || media_kind_of(from_name) == MEDIA_KIND_NONE ||
        media_kind_of(to_name) == MEDIA_KIND_NONE)
        return;
    change = pending_touch(&engine->pending, to, to_name, CHANGE_WAIT_SETTLE, clock_now());
    source = pending_find(&engine->pending, from, from_name);
    if (!change || change == source)
        return;
    if (source && source->origin_dir) { /* it had come from somewhere else a moment before */
        pending_set_origin(&engine->pending, change, source->origin_dir, source->origin_name);
        pending_clear_origin(&engine->pending, source);
    } else {
        pending_set_origin(&engine->pending, change, from, from_name);
    }
}

static void on_directory_moving(WatchListener *listener, Node *node, Node *to UNUSED,
                                const char *to_name UNUSED)
{
    Engine *engine = engine_of(listener);

    if (engine->running)
        moves_record(engine, node);
}

static void on_lost(WatchListener *listener, Node *node)
{
    Engine *engine = engine_of(listener);

    if (engine->running)
        engine_node_missing(engine, node);
}

static void on_overflow(WatchListener *listener)
{
    Engine *engine = engine_of(listener);

    if (!engine->running)
        return;
    if (!engine->overflow_told)
        log_event(LOG_LEVEL_WARNING, LOG_EVENT_OVERFLOW, NULL, NULL,
                  "more changes than the kernel's queue holds (fs.inotify.max_queued_events): "
                  "looking at everything again");
    engine->overflow_told = true;
    LIST_FOREACH_SAFE (link, tmp, &engine->roots) {
        Root *root = CONTAINER_OF(link, Root, link);

        if (root->node)
            root_lost(engine, root->node);
    }
}

/* engine_node_missing() - the directory of a node is not at its place, or not watched any more */
void engine_node_missing(Engine *engine, Node *node)
{
    if (!node->parent)
        root_lost(engine, node);
    else
        (void)pending_touch(&engine->pending, node->parent, node->name, CHANGE_WAIT_SETTLE,
                            clock_now());
}

/* events_listener() - what the engine gives to its watcher */
WatchListener events_listener(void)
{
    return (WatchListener){on_changed, on_file_moved, on_directory_moving, on_lost, on_overflow};
}
