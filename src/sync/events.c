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

#define OVERFLOW_SILENCE (60 * CLOCK_US_PER_SEC) /* without one, until the next is told again */

static Engine *engine_of(WatchListener *listener)
{
    return CONTAINER_OF(listener, Engine, listener);
}

/*
 * engine_touch() - note that a name may differ now
 *
 * When too much is pending already, its directory becomes dirty instead and NULL is returned: it is
 * listed when there is room again, which finds the same differences.
 */
Change *engine_touch(Engine *engine, Node *dir, const char *name, ChangeWait wait)
{
    Pending *pending = &engine->pending;
    bool full = pending->count >= ENGINE_PENDING_MAX && !pending_find(pending, dir, name);
    Change *change = full ? NULL : pending_touch(pending, dir, name, wait, clock_now());

    if (!change)
        dirty_add(engine, dir, true);
    else if (engine->n_hung > 0 || change->exempt) {
        const Volume *volume = volume_of(engine, dir);

        pending_exempt(pending, change, volume && volume->hung);
    }
    return change;
}

/*
 * engine_touch_for() - the same, because of a change that is being decided
 *
 * Who waits for that one waits for this one too.
 */
Change *engine_touch_for(Engine *engine, const Change *cause, Node *dir, const char *name)
{
    Change *change = engine_touch(engine, dir, name, CHANGE_WAIT_NONE);

    if (change)
        pending_join_epoch(&engine->pending, change, cause);
    return change;
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
        change = engine_touch(engine, dir, photo, CHANGE_WAIT_SETTLE);
        if (change)
            change->reread = true;
        return;
    }
}

/* One that has rows keeps them under a name that is ignored; where it comes from no row can be. */
static bool stays_watched(const Engine *engine, const Node *node)
{
    CLEANUP_FREE char *path = node_path_new(node);
    CLEANUP_FREE char *from = moves_rows_path(&engine->moves, node);

    return !path || !from || (path_is_utf8(from) && path_is_utf8(path)) ||
           !rules_ignore_directory(engine->rules, path);
}

static bool is_gone(WatchChange change)
{
    return change == WATCH_CHANGE_REMOVED || change == WATCH_CHANGE_MOVED_OUT;
}

/* A directory appeared, went or changed its mode. It is watched at once; its row can wait. */
static void directory_changed(Engine *engine, Node *dir, const char *name, WatchChange change)
{
    Node *node = tree_child(engine->tree, dir, name);
    CLEANUP_FREE char *path = NULL;
    CLEANUP_FREE char *above = NULL;
    Change *touched;

    if (change == WATCH_CHANGE_ATTRIBUTES && node && !node->unreadable) {
        /* What copies a tree sets the directories' times last of all. */
        (void)engine_touch(engine, node, "", CHANGE_WAIT_SETTLE);
        return;
    }
    engine->directories_left += is_gone(change);
    if (change != WATCH_CHANGE_ATTRIBUTES)
        renames_directory_at(&engine->renames, dir, name);
    if (change == WATCH_CHANGE_REMOVED && node)
        renames_directory_removed(&engine->renames, node);
    if (change == WATCH_CHANGE_CREATED && engine->n_excluded > 0) {
        above = node_path_new(dir);
        path = above ? path_join(above, name) : NULL;
        if (path)
            (void)excluded_forget(engine, path); /* made anew */
    }
    if (change == WATCH_CHANGE_MOVED_IN && node && !stays_watched(engine, node))
        tree_remove(engine->tree, node);
    if (!is_gone(change))
        scan_name(engine, dir, name);
    touched = engine_touch(engine, dir, name, CHANGE_WAIT_SETTLE);
    if (touched && is_gone(change))
        touched->live = true;
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

static void tell_renames(Renames *renames, const Node *dir, const char *name, WatchChange what)
{
    if (what == WATCH_CHANGE_CREATED)
        renames_made(renames, dir, name);
    else if (what == WATCH_CHANGE_REMOVED) /* what was renamed is not there any more */
        renames_removed(renames, dir, name);
    else if (what != WATCH_CHANGE_MOVED_IN && what != WATCH_CHANGE_MOVED_OUT)
        renames_written(renames, dir, name);
}

/* Has a file of this name a row, or could it have one? */
static bool is_tracked(const Engine *engine, const char *name)
{
    return engine->running && media_kind_of(name) != MEDIA_KIND_NONE && path_is_utf8(name) &&
           !rules_ignore_file(engine->rules, name);
}

/* Can it be said which row it has? After events were lost its path does not tell, nor before its
 * directory has been compared with the rows. */
static bool is_known(const Engine *engine, const Node *dir, const char *name)
{
    return !engine->blind && dir->trusted && is_tracked(engine, name);
}

/* It may have one, though nobody can say which. After events were lost nothing is told of files
 * that left. */
static bool may_have_row(const Engine *engine, const char *name)
{
    return !engine->blind && is_tracked(engine, name);
}

/* Where the row of a name is, if it has one. */
static char *row_path(const Engine *engine, const Node *dir, const char *name)
{
    CLEANUP_FREE char *above = moves_rows_path(&engine->moves, dir);

    return above ? path_join(above, name) : NULL;
}

/* There was nothing at a name, and only a scan told of that: a row that stands there is that of a
 * file which left while nobody looked. */
static void lose_row(Engine *engine, const Node *dir, const char *name)
{
    CLEANUP_FREE char *path = row_path(engine, dir, name);

    if (path)
        renames_lost(&engine->renames, path, false);
}

/* What was renamed to this name may be losing it. If it was written to, and another name of it (a
 * hard link) has come to where its row is, that one is to be read. */
static void pass_on_written(Engine *engine, const Node *dir, const char *name)
{
    const Rename *rename = renames_at(&engine->renames, dir, name);
    const Change *change = rename ? pending_find(&engine->pending, dir, name) : NULL;
    CLEANUP_FREE char *above = NULL;
    Change *home = NULL;
    Node *node;

    if (!rename || !rename_has_row(rename) || !(rename->written || (change && change->written)))
        return;
    above = path_parent(rename->from);
    node = above ? node_find(engine, above) : NULL;
    if (node)
        home = engine_touch(engine, node, path_name(rename->from), CHANGE_WAIT_SETTLE);
    if (home)
        home->written = true;
}

/* Which file is at the name, as far as events can tell it. */
static void note_file(Engine *engine, Change *change, WatchChange what)
{
    uint64_t number = ++engine->n_file_events;

    if (what == WATCH_CHANGE_WRITTEN)
        change->filled = change->made > 0;
    if (what != WATCH_CHANGE_CREATED && what != WATCH_CHANGE_MOVED_IN && !is_gone(what))
        return;
    change->made = what == WATCH_CHANGE_CREATED ? number : 0;
    change->filled = false;
    if (change->left == 0)
        change->left = number;
}

static void file_changed(Engine *engine, Node *dir, const char *name, WatchChange what)
{
    Change *change = pending_find(&engine->pending, dir, name);

    if (what == WATCH_CHANGE_REMOVED)
        pass_on_written(engine, dir, name);
    tell_renames(&engine->renames, dir, name, what);
    if (what == WATCH_CHANGE_CREATED && change && !change->live && is_known(engine, dir, name))
        lose_row(engine, dir, name);
    change = engine_touch(engine, dir, name, wait_for(change, what));
    if (!change)
        return;
    change->live = true;
    change->confirm = change->echo = false;
    if (what == WATCH_CHANGE_WRITTEN || what == WATCH_CHANGE_MOVED_IN)
        change->complete = true;
    if (what == WATCH_CHANGE_WRITTEN)
        change->written = true;
    if (what == WATCH_CHANGE_CREATED)
        change->complete = false;
    note_file(engine, change, what);
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
    if (change == WATCH_CHANGE_CREATED || change == WATCH_CHANGE_MOVED_IN || is_gone(change) ||
        name[0] == '\0')
        (void)engine_touch(engine, dir, "", CHANGE_WAIT_SETTLE);
}

/* What events tell is not whole any more: which row is whose, inodes have to tell. */
static void go_blind(Engine *engine)
{
    renames_clear(&engine->renames);
    engine->blind = true;
    LIST_FOREACH (link, &engine->pending.all) {
        Change *change = CONTAINER_OF(link, Change, by_age);

        change->found = true;
        change->made = 0;
    }
}

/* Written to, and not yet in its row: what is being read counts for nothing once it has gone on. */
static bool is_unread(const Change *change)
{
    return change->written || change->state == CHANGE_STATE_MEDIA ||
           change->state == CHANGE_STATE_WRITING;
}

static void on_file_left(WatchListener *listener, Node *dir, const char *name, uint32_t cookie)
{
    Engine *engine = engine_of(listener);
    CLEANUP_FREE char *path = NULL;
    const Change *change;

    if (engine->renames.count >= RENAMES_MAX)
        go_blind(engine);
    if (is_known(engine, dir, name))
        path = row_path(engine, dir, name);
    if (!path && !may_have_row(engine, name) && !renames_at(&engine->renames, dir, name)) {
        (void)renames_forget_stray(&engine->renames, dir, name);
        return;
    }
    change = pending_find(&engine->pending, dir, name);
    renames_left(&engine->renames, dir, name, path, cookie, change && is_unread(change));
}

static void on_file_arrived(WatchListener *listener, Node *dir, const char *name, uint32_t cookie)
{
    Engine *engine = engine_of(listener);
    CLEANUP_FREE char *path = is_tracked(engine, name) ? row_path(engine, dir, name) : NULL;
    Change *change;

    if (!path) {
        renames_vanished(&engine->renames, cookie);
        return;
    }
    pass_on_written(engine, dir, name);
    if (tree_child(engine->tree, dir, name)) /* it is exchanged with that */
        renames_directory_at(&engine->renames, dir, name);
    if (!renames_arrived(&engine->renames, dir, name, path, cookie))
        return;
    change = engine_touch(engine, dir, name, CHANGE_WAIT_SETTLE);
    if (change)
        change->written = true;
}

static char *path_in(const Node *dir, const char *name)
{
    CLEANUP_FREE char *above = node_path_new(dir);

    return above ? path_join(above, name) : NULL;
}

static void take_excluded_along(Engine *engine, const Node *node, const Node *to,
                                const char *to_name)
{
    CLEANUP_FREE char *from_path = node_path_new(node);
    CLEANUP_FREE char *to_path = path_in(to, to_name);

    if (from_path && to_path)
        excluded_moved(engine, &(PathMove){from_path, to_path}, 1);
}

/* engine_directory_moving() - a directory is about to be relinked */
void engine_directory_moving(Engine *engine, Node *node, const Node *to, const char *to_name)
{
    bool unknown = !moves_know(&engine->moves, node) && origins_ask_for(engine, node);

    if (engine->n_excluded > 0)
        take_excluded_along(engine, node, to, to_name);
    /* Which rows are its is still to be found out; or there are none yet. */
    if (unknown || moves_record(&engine->moves, node) == MOVES_E_NO_ROWS)
        dirty_add(engine, node, false);
    else if (engine->blind || engine->n_root_scans > 0 || !node->trusted)
        moves_set_unseen(&engine->moves, node);
}

static void on_directory_moving(WatchListener *listener, Node *node, Node *to, const char *to_name)
{
    Engine *engine = engine_of(listener);

    if (engine->running)
        engine_directory_moving(engine, node, to, to_name);
}

static void on_unwatched_moved(WatchListener *listener, const Node *from, const char *from_name,
                               const Node *to, const char *to_name)
{
    Engine *engine = engine_of(listener);
    CLEANUP_FREE char *from_path = engine->n_excluded > 0 ? path_in(from, from_name) : NULL;
    CLEANUP_FREE char *to_path = from_path ? path_in(to, to_name) : NULL;

    if (engine->running && to_path)
        excluded_renamed(engine, from_path, to_path);
}

static void on_unplaced(WatchListener *listener, Node *node)
{
    Engine *engine = engine_of(listener);

    if (!engine->running || !displaced_add(engine, node))
        tree_remove(engine->tree, node);
}

static void on_lost(WatchListener *listener, Node *node)
{
    Engine *engine = engine_of(listener);

    if (engine->running && !displaced_lost(engine, node))
        engine_node_missing(engine, node);
}

/*
 * Events were lost: everything is compared with the disk again, while new events go on being taken
 * in. A burst can fill the queue many times over; it is said once.
 */
static void on_overflow(WatchListener *listener)
{
    Engine *engine = engine_of(listener);
    uint64_t now = clock_now();

    if (!engine->running)
        return;
    if (engine->overflow_told == 0 || now - engine->overflow_told > OVERFLOW_SILENCE)
        log_event(LOG_LEVEL_WARNING, LOG_EVENT_OVERFLOW, NULL, NULL,
                  "more changes than the kernel's queue holds (fs.inotify.max_queued_events): "
                  "looking at everything again");
    engine->overflow_told = now;
    go_blind(engine);
    engine->counters.rescans_overflow++;
    LIST_FOREACH_SAFE (link, tmp, &engine->roots) {
        Root *root = CONTAINER_OF(link, Root, link);

        if (root->node && !root->gone)
            root_look(root);
    }
}

/* engine_node_missing() - the directory of a node is not at its place, or not watched any more */
void engine_node_missing(Engine *engine, Node *node)
{
    if (!node->parent)
        root_lost(engine, node);
    else
        (void)engine_touch(engine, node->parent, node_name(node), CHANGE_WAIT_SETTLE);
}

/* events_listener() - what the engine gives to its watcher */
WatchListener events_listener(void)
{
    return (WatchListener){on_changed,         on_file_left, on_file_arrived, on_directory_moving,
                           on_unwatched_moved, on_unplaced,  on_lost,         on_overflow};
}
