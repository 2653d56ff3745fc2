/*
 * Rows follow their files
 *
 * What sync/renames.c knows is carried out here: when a name has been quiet for its time, the rows
 * that come to it and leave it change their paths, before the files themselves are looked at. Rows
 * that are in one another's way go together, in one batch: a chain from its end, so that each finds
 * its place free, and those that exchange their places in one go (the store parks one of them). A
 * row that is in the way and goes nowhere is that of a file which was overwritten: it is removed.
 *
 * As with directories (sync/moves.c) nothing else is looked up meanwhile: paths and rows would not
 * agree.
 */
#include <stdlib.h>
#include <string.h>

#include "sync/engine-private.h"
#include "util/error.h"
#include "util/path.h"

/* Where its file is; NULL when it is in the air or went with its directory. */
static char *place_path(const Rename *rename)
{
    CLEANUP_FREE char *dir = rename_is_placed(rename) ? node_path_new(rename->dir) : NULL;

    return dir ? path_join(dir, rename->name) : NULL;
}

/* Is its file where a row can follow it? */
static bool can_follow(const Rename *rename)
{
    CLEANUP_FREE char *path = rename_has_row(rename) ? place_path(rename) : NULL;

    return path && !rename->dir->foreign && path_is_utf8(path);
}

/* Its row is on the way to the store, behind which it would be looked for in vain. */
static bool is_being_written(Engine *engine, const Rename *rename)
{
    CLEANUP_FREE char *parent = path_parent(rename->from);
    Node *dir = parent ? node_find(engine, parent) : NULL;
    const Change *change =
        dir ? pending_find(&engine->pending, dir, path_name(rename->from)) : NULL;

    return change && change->state == CHANGE_STATE_WRITING;
}

/* One link of a chain. confirm: everything has been seen, or was waited for long enough. */
static FollowState check_link(Engine *engine, Rename *rename, bool confirm)
{
    if (rename->doubtful || rename_doubter(rename) ||
        (rename->guessed && rename_is_placed(rename) && !rename->dir->foreign))
        return FOLLOW_STATE_DOUBTFUL;
    if ((rename->in_air || rename->unsure) && !confirm)
        return FOLLOW_STATE_UNSEEN;
    if (!can_follow(rename)) {
        renames_let_go(&engine->renames, rename);
        return FOLLOW_STATE_FREE;
    }
    if (is_being_written(engine, rename))
        return FOLLOW_STATE_BUSY;
    return kept_has_room(engine) && node_is_early(engine, rename->dir) ? FOLLOW_STATE_EARLY
                                                                       : FOLLOW_STATE_READY;
}

/* Walks along the rows that stand in the way. READY: the whole chain is. */
static FollowState check_chain(Engine *engine, Rename *first, bool confirm)
{
    Rename *rename = first;

    do {
        bool is_first = rename == first;
        FollowState state = check_link(engine, rename, confirm);
        CLEANUP_FREE char *path = NULL;
        Rename *next;

        if (state == FOLLOW_STATE_FREE) /* its row is in nobody's way any more */
            return is_first ? FOLLOW_STATE_FREE : FOLLOW_STATE_READY;
        if (state != FOLLOW_STATE_READY)
            return state;
        path = place_path(rename);
        next = path ? renames_of(&engine->renames, path) : NULL;
        if (next == rename && rename == first) {
            renames_forget(&engine->renames, rename);
            return FOLLOW_STATE_FREE;
        }
        rename = next == rename ? NULL : next;
    } while (rename && rename != first && !rename->writing);
    return FOLLOW_STATE_READY;
}

/* The first of the rows that come to a name or leave it; NULL: none does. */
static Rename *first_link(const Engine *engine, const Change *change)
{
    const Renames *renames = &engine->renames;
    CLEANUP_FREE char *dir = renames->count > 0 ? node_path_new(change->dir) : NULL;
    CLEANUP_FREE char *path = dir ? path_join(dir, change->name) : NULL;
    Rename *here = path ? renames_at(renames, change->dir, change->name) : NULL;
    Rename *own = path && !here ? renames_of(renames, path) : NULL;

    if (own && own->in_air)
        own = NULL; /* where it goes is to be seen yet; what is here now is not its file */
    return here ? here : own;
}

/* follow_state() - may this name be looked at, or must rows follow first? */
FollowState follow_state(Engine *engine, const Change *change)
{
    Rename *rename = first_link(engine, change);

    return rename ? check_chain(engine, rename, change->confirm) : FOLLOW_STATE_FREE;
}

/* follow_due() - the same; READY: it has been arranged that they do */
FollowState follow_due(Engine *engine, const Change *change)
{
    Rename *rename = first_link(engine, change);
    FollowState state = rename ? check_chain(engine, rename, change->confirm) : FOLLOW_STATE_FREE;

    if (state == FOLLOW_STATE_READY && !list_is_linked(&rename->asked))
        list_append(&engine->renames.asked, &rename->asked);
    return state;
}

/* ---- handing them to the store ---- */

/* What has been read of the file that was at its new name must not be written into its row. */
static void overtake(Engine *engine, const Rename *rename)
{
    Change *change = pending_find(&engine->pending, rename->dir, rename->name);

    if (!change || (change->state != CHANGE_STATE_MEDIA && change->state != CHANGE_STATE_WRITING))
        return;
    change->overtaken = true;
    change->reread = true; /* size and mtime may not tell what it was read for */
    (void)engine_touch_for(engine, change, rename->dir, rename->name);
}

static Write *follow_write(Engine *engine, Rename *rename)
{
    Write *write = batch_new(STORE_OP_MEDIA_MOVE, NULL, NULL);

    if (!write)
        return NULL;
    write->op.media = media_kind_of(rename->name);
    write->op.path = strdup(rename->from);
    write->op.new_path = place_path(rename);
    write->op.id = rename->id ? strdup(rename->id) : NULL;
    write->op.stamp = rename->stamp;
    if (!write->op.path || !write->op.new_path || (rename->id && !write->op.id))
        return write_free(write);
    overtake(engine, rename);
    write->rename = rename;
    rename->writing = &write->rename;
    return write;
}

/* The one whose row is where this one's goes. What directories that move in the same batch take
 * along is still where they were. */
static Rename *next_link(Engine *engine, const Rename *rename)
{
    CLEANUP_FREE char *above = moves_rows_path(&engine->moves, rename->dir);
    CLEANUP_FREE char *path = above ? path_join(above, rename->name) : NULL;

    return path ? renames_of(&engine->renames, path) : NULL;
}

/* Puts a chain in front of at, its end first. */
static size_t take_chain(Engine *engine, Rename *rename, ListNode *at)
{
    size_t n = 0;

    while (rename && !rename->writing && can_follow(rename)) {
        Write *write = follow_write(engine, rename);

        if (!write)
            break;
        list_insert_before(at, &write->link);
        at = &write->link;
        rename = next_link(engine, rename);
        n++;
    }
    return n;
}

/*
 * Has one of a chain left its name since it was asked for?
 *
 * Where it goes is to be seen yet (into a directory that is only now being watched). Until then its
 * row must neither be left behind nor pass for that of a file that was overwritten.
 */
static bool has_left(const Engine *engine, const Rename *first)
{
    const Rename *rename = first;

    do {
        CLEANUP_FREE char *path = place_path(rename);
        const Rename *next = path ? renames_of(&engine->renames, path) : NULL;

        if (rename->in_air)
            return true;
        rename = next == rename ? NULL : next;
    } while (rename && rename != first && !rename->writing);
    return false;
}

/* follow_take() - the rows that are to follow their files, as operations */
void follow_take(Engine *engine, List *writes)
{
    size_t n = 0;

    for (ListNode *link; n < ENGINE_BATCH_MAX && (link = list_take(&engine->renames.asked));) {
        Rename *rename = CONTAINER_OF(link, Rename, asked);

        /* Events may have come since it was asked for. */
        if (!rename->writing && !has_left(engine, rename) &&
            check_chain(engine, rename, true) == FOLLOW_STATE_READY)
            n += take_chain(engine, rename, &writes->head);
    }
}

/* Directories are just being moved over its row. One that a directory takes along is in nobody's
 * way. */
static bool is_overrun(const Engine *engine, const Rename *rename)
{
    return moves_lead_to(&engine->moves, rename->from) &&
           !moves_take_along(&engine->moves, rename->from);
}

/* One that may have been exchanged with a file whose row is in the way, and that is nowhere. NULL:
 * there is none. */
static Rename *find_lost_half(const Engine *engine)
{
    LIST_FOREACH (link, &engine->renames.all) {
        const Rename *rename = CONTAINER_OF(link, Rename, link);
        Rename *doubter = rename_doubter(rename);

        if (doubter && !rename_is_placed(doubter) && is_overrun(engine, rename))
            return doubter;
    }
    return NULL;
}

/*
 * One that may have been exchanged, whose row is in the way. If it went there and back instead, its
 * directory has lost it since: that was empty when another one took its place. So at worst there is
 * no file where the row goes. NULL: there is none.
 */
static Rename *find_left_behind(const Engine *engine)
{
    LIST_FOREACH (link, &engine->renames.all) {
        Rename *rename = CONTAINER_OF(link, Rename, link);

        if (rename->doubtful && rename_is_placed(rename) && !rename->writing &&
            is_overrun(engine, rename))
            return rename;
    }
    return NULL;
}

/*
 * One whose partner's row is in the way, and both have a place. It looks like an exchange; if it
 * went there and back, the partner's file is gone, and inodes tell when the names are looked at.
 */
static Rename *find_exchanged(const Engine *engine)
{
    LIST_FOREACH (link, &engine->renames.all) {
        const Rename *rename = CONTAINER_OF(link, Rename, link);
        Rename *doubter = rename_doubter(rename);

        if (doubter && !doubter->writing && rename_is_placed(rename) && is_overrun(engine, rename))
            return doubter;
    }
    return NULL;
}

/*
 * follow_take_below() - rows of files that had left the place to which directories are moved
 *
 * The store removes what stands there, unless it is moved away in the same call. The disk has been
 * asked about those in doubt, as far as it can tell (inspections_wait()); the others are guessed.
 */
void follow_take_below(Engine *engine, List *moves)
{
    /* Its directory is gone, which was empty when another one took its place: so it was not there
     * to be exchanged. Where another file has come over its name that cannot tell, and an exchange
     * is what it looked like. */
    for (Rename *rename; (rename = find_lost_half(engine));)
        renames_judge(&engine->renames, rename, rename->covered);
    for (Rename *rename; (rename = find_left_behind(engine));)
        renames_judge(&engine->renames, rename, true);
    for (Rename *rename; (rename = find_exchanged(engine));)
        renames_judge(&engine->renames, rename, true);
    LIST_FOREACH (link, &engine->renames.all) {
        Rename *rename = CONTAINER_OF(link, Rename, link);

        if (!rename->doubtful && !rename_doubter(rename) && can_follow(rename) &&
            !rename->writing && is_overrun(engine, rename))
            (void)take_chain(engine, rename, &moves->head);
    }
}

static Rename *find_overrun(const Engine *engine)
{
    LIST_FOREACH (link, &engine->renames.all) {
        Rename *rename = CONTAINER_OF(link, Rename, link);

        if (!rename->writing && is_overrun(engine, rename))
            return rename;
    }
    return NULL;
}

/* follow_moved() - directories have moved: rows that stood in their way, and that nobody knew a
 * place for, are gone, and what stands there now is not theirs */
void follow_moved(Engine *engine)
{
    if (engine->renames.count == 0)
        return;
    for (Rename *rename; (rename = find_overrun(engine));)
        renames_forget(&engine->renames, rename);
}

/* follow_committed() - a row has followed; it may have to go on from there */
void follow_committed(Engine *engine, Write *write)
{
    Rename *rename = STEAL_PTR(write->rename);
    const StoreOp *op = &write->op;

    rename->writing = NULL;
    if (op->result == STORE_OP_RESULT_DONE)
        origins_occupy(engine, op->new_path);
    if (op->result == STORE_OP_RESULT_DONE || op->result == STORE_OP_RESULT_NOTHING)
        renames_committed(&engine->renames, rename, op->new_path);
    else
        renames_forget(&engine->renames, rename);
}
