/*
 * Deciding
 *
 * A round of changes has been probed on disk and looked up in the database. Here each becomes a
 * finding (new, modified, moved, gone, unchanged, unreadable) and what follows from it.
 *
 * Identity: an id belongs to a file, not to a path. Where events tell what was renamed, the rows
 * have followed already (sync/follow.c). Where they do not (the daemon did not run, events were
 * lost, a directory was not watched yet), a row whose file was last seen with the same device and
 * inode tells: when the row's own path does not hold that file any more (else it is a hard link,
 * and a copy is a new row), and size and mtime are the same, since freed inode numbers are used
 * again at once. That is put beside the renames, and the row follows as it would have by an event.
 *
 * A row that lost its file, or whose name has another file now, may so belong to a name that is not
 * seen yet. Then the change waits (is `held`) until every other one has been seen, and is looked at
 * once more.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "media/facts.h"
#include "sync/engine-private.h"
#include "util/array.h"
#include "util/clock.h"
#include "util/error.h"
#include "util/log.h"

#define AGAIN_SOON (20 * CLOCK_US_PER_MS)

/* row_is_at() - is the file of this row the one that was seen at a path? By its inode only. */
bool row_is_at(const StoreRow *row, const Entry *entry)
{
    return entry->type == ENTRY_TYPE_FILE && row->has_stamp &&
           file_stamp_same_inode(&row->stamp, &entry->stamp);
}

static void finish(Round *round, Sighting *item)
{
    pending_finish(&round->engine->pending, item->change, clock_now());
    item->change = NULL;
}

/* Steps back until another change is through; gives up waiting after a while. */
static bool step_back(Round *round, Sighting *item)
{
    if (item->change->tries >= DECIDE_TRIES)
        return false;
    item->change->tries++;
    pending_wait(&round->engine->pending, item->change, clock_now() + AGAIN_SOON);
    item->change = NULL;
    return true;
}

/* ---- renamed files ---- */

static void hold_replaced(Round *round, Sighting *item)
{
    pending_hold_replaced(&round->engine->pending, item->change, clock_now());
    item->change = NULL;
}

/* What was renamed had no row. Else the one that is made at this name now would follow it. (A
 * partner in a doubt is needed until that has been judged.) */
static void forget_void(Round *round, const Sighting *item)
{
    Renames *renames = &round->engine->renames;
    Rename *own = item->directory == PROBE_RESULT_OK && !item->is_new && !item->row.id
                      ? renames_of(renames, item->path)
                      : NULL;

    if (own && !own->writing && !rename_doubter(own))
        renames_forget(renames, own);
}

/* Rows have to follow renamed files first: events have come since the change was found due. */
static bool wait_for_renames(Round *round, Sighting *item)
{
    Engine *engine = round->engine;
    uint64_t now = clock_now();

    forget_void(round, item);
    switch (follow_state(engine, item->change)) {
    case FOLLOW_STATE_FREE:
        return false;
    case FOLLOW_STATE_UNSEEN:
        if (!renames_at(&engine->renames, item->change->dir, item->change->name))
            return false; /* its row belongs to another name; the file here may have one too */
        hold_replaced(round, item);
        return true;
    case FOLLOW_STATE_DOUBTFUL:
        pending_wait(&engine->pending, item->change,
                     judge_sighting(round, item) ? now : now + AGAIN_SOON);
        break;
    case FOLLOW_STATE_EARLY:
    case FOLLOW_STATE_READY:
    case FOLLOW_STATE_BUSY:
        pending_return(&engine->pending, item->change, now);
        break;
    }
    item->change = NULL;
    return true;
}

/* ---- files that are known by their inode ---- */

/* row_has_come() - is the file of the candidate's row here, and not at the row's own path? */
bool row_has_come(const Sighting *item, size_t i)
{
    const StoreRow *row = &item->candidates[i];

    return row->kind == media_kind_of(item->change->name) && row_is_at(row, &item->entry) &&
           file_stamp_same_content(&row->stamp, &item->entry.stamp) &&
           item->candidate_entries[i].type != ENTRY_TYPE_ERROR &&
           !row_is_at(row, &item->candidate_entries[i]);
}

/* The change of the name that a row stands at; or NULL. */
static Change *change_of(Engine *engine, const StoreRow *row)
{
    CLEANUP_FREE char *parent = path_parent(row->path);
    Node *dir = parent ? node_find(engine, parent) : NULL;

    return dir ? pending_find(&engine->pending, dir, path_name(row->path)) : NULL;
}

/* The file that is there now has been decided to be that row's. */
static bool is_taken(const Change *change)
{
    return change && (change->state == CHANGE_STATE_MEDIA || change->state == CHANGE_STATE_WRITING);
}

/* Do events tell all that happened to this name? */
static bool is_certain(const Round *round, const Sighting *item)
{
    const Change *change = item->change;

    return change->live && !change->found && !round->engine->blind &&
           engine_scans_idle(round->engine) && !renames_of(&round->engine->renames, item->path);
}

/* Was it made under this name, and neither written nor renamed to it since? */
static bool may_be_link(const Change *change)
{
    return change->live && !change->complete && change->made > 0;
}

/* It was created and written to when the row's file had left its name: it has that one's inode
 * number, size and time by chance. (A link is made while the file is there.) */
static bool is_new_file(const Change *change, const Change *left)
{
    return change->made > 0 && change->filled && (!left || left->left < change->made);
}

/* follow_inode() - the row of a candidate is to follow its file to this name: true where the change
 * waits for that, or for what has to be known first */
static bool follow_inode(Round *round, Sighting *item, const StoreRow *row)
{
    Engine *engine = round->engine;
    Change *change = item->change;
    Rename *rename = renames_of(&engine->renames, row->path);
    Change *left = change_of(engine, row);

    if (is_new_file(change, left))
        return false;
    if (rename && rename->doubtful && step_back(round, item))
        return true; /* until it is known which of its names it is at */
    if (rename && (rename_is_placed(rename) || rename->doubtful))
        return false;
    if (rename && rename->in_air && may_be_link(change) && !change->confirm) {
        hold_replaced(round, item); /* another link to it, if the renamed one is found too */
        return true;
    }
    if (is_taken(left))
        return step_back(round, item);
    change->written |= (left && left->written) || (rename && rename->written);
    rename =
        renames_put(&engine->renames, row->path, row->id, &row->stamp, change->dir, change->name);
    if (!rename)
        return step_back(round, item);
    change->tries++; /* the database may refuse the move */
    /* The row that is in the way may belong to a name that is not seen yet. */
    rename->unsure = item->row.id && !change->confirm && !is_certain(round, item);
    if (rename->unsure) {
        hold_replaced(round, item);
    } else {
        pending_wait(&engine->pending, change, clock_now());
        item->change = NULL;
    }
    return true;
}

/* Of several links to the file, one that left its name for an unknown one comes before those that
 * are gone: they may have been removed. Else the nearest path comes first, as always among equals.
 */
static bool decide_moved(Round *round, Sighting *item)
{
    for (int pass = 0; pass < 2; pass++) {
        for (size_t i = 0; i < item->n_candidates; i++) {
            const StoreRow *row = &item->candidates[i];
            const Rename *rename = renames_of(&round->engine->renames, row->path);
            bool in_air = rename && rename->in_air;

            if (item->change->tries < DECIDE_TRIES && in_air == (pass == 0) &&
                row_has_come(item, i) && follow_inode(round, item, row))
                return true;
        }
    }
    return item->is_early && step_back(round, item);
}

/* ---- files that are there ---- */

/*
 * An event says that it was written to, and size and mtime are as they were. A write sets both
 * mtime and ctime to the same time: if they agree still, the mtime is true. Else somebody has set
 * it (cp -p, rsync, a program that hides its edit), and only the ctime tells.
 */
static bool may_be_rewritten(const Sighting *item)
{
    return item->entry.ctime_ns != item->entry.stamp.mtime_ns &&
           item->entry.ctime_ns != item->change->read_ctime;
}

static bool is_unchanged(const Sighting *item)
{
    const StoreRow *row = &item->row;

    if (item->change->reread || (item->written && may_be_rewritten(item)))
        return false;
    if (row->kind == MEDIA_KIND_PHOTO && (!row->thumbnail_path || row->thumbnail_path[0] == '\0'))
        return false;
    if (!row->has_stamp || !file_stamp_same_content(&row->stamp, &item->entry.stamp))
        return false;
    /* Something happened to a file whose inode is another one now: it is read, to be sure. */
    return !item->change->live || file_stamp_same_inode(&row->stamp, &item->entry.stamp);
}

/*
 * A file was edited by one of its names (hard links), or may have been before that name went: the
 * rows of the others are as stale. Only that name had an event.
 */
static void touch_other_names(Engine *engine, const Sighting *item)
{
    for (size_t i = 0; i < item->n_candidates && !item->change->echo; i++) {
        const StoreRow *row = &item->candidates[i];
        const FileStamp *now = &item->candidate_entries[i].stamp;
        CLEANUP_FREE char *parent = path_parent(row->path);
        Node *dir = parent ? node_find(engine, parent) : NULL;
        Change *other;

        if (!dir || !row_is_at(row, &item->candidate_entries[i]) ||
            (!item->written && file_stamp_same_content(&row->stamp, now)))
            continue;
        other = engine_touch_for(engine, item->change, dir, path_name(row->path));
        if (other)
            other->reread = other->echo = true;
    }
}

/* ---- names that are gone ---- */

static void remove_rows(Round *round, Sighting *item, bool media)
{
    Engine *engine = round->engine;
    Change *change = item->change;
    Write *write = batch_new(media ? STORE_OP_MEDIA_REMOVE : STORE_OP_FOLDER_REMOVE, change->dir,
                             change->name);

    if (write && media)
        write->op.id = strdup(item->row.id);
    if (!write || (media && !write->op.id)) {
        (void)write_free(write);
        (void)step_back(round, item);
        return;
    }
    write->op.media = item->row.kind;
    if (!media)
        own_gone_add(engine, item->path, false);
    write->change = change;
    pending_set_state(&engine->pending, change, CHANGE_STATE_WRITING);
    if (item->entry.type != ENTRY_TYPE_ABSENT || (media && item->rows_below))
        (void)engine_touch_for(engine, change, change->dir, change->name); /* that was not all */
    item->change = NULL;
    batch_add(engine, write);
}

/* A file with a row of its own is at the name: then it is only a directory that is gone. */
static bool is_media_now(const Engine *engine, const Sighting *item)
{
    return item->entry.type == ENTRY_TYPE_FILE &&
           media_kind_of(item->change->name) != MEDIA_KIND_NONE &&
           !rules_ignore_file(engine->rules, item->change->name);
}

/* The name is proven not to be there, or not to be what its rows say. */
static void decide_gone(Round *round, Sighting *item, bool is_directory_now)
{
    Engine *engine = round->engine;
    Change *change = item->change;
    bool media = item->row.id && !is_media_now(engine, item);
    bool rows = media || (item->rows_below && !is_directory_now);
    Node *node = tree_child(engine->tree, change->dir, change->name);

    if (rows && !change->dir->trusted) {
        /* Not compared yet, or on what may be another file system: that must be found out first. */
        dirty_add(engine, change->dir, true);
        finish(round, item);
        return;
    }
    if (rows && !change->confirm) {
        touch_other_names(engine, item);
        pending_hold(&engine->pending, change, clock_now());
        item->change = NULL;
        return;
    }
    if (node && !is_directory_now)
        tree_remove(engine->tree, node);
    if (engine->n_problems > 0 && !is_directory_now && item->entry.type == ENTRY_TYPE_ABSENT)
        engine_problem_clear(engine, item->path);
    if (!rows && node && !is_directory_now) {
        /* Its row may have been on the way to the store when rows were looked up. */
        pending_wait(&engine->pending, change, clock_now());
        item->change = NULL;
        return;
    }
    if (!rows) {
        finish(round, item);
        return;
    }
    remove_rows(round, item, media);
}

/* ---- a file that is there ---- */

static void decide_file(Round *round, Sighting *item)
{
    Engine *engine = round->engine;
    Change *change = item->change;
    StoreRow *row = &item->row;
    bool same = row->id && row_is_at(row, &item->entry);

    if (!same && decide_moved(round, item))
        return;
    if (item->rows_below) { /* there was a directory of this name */
        decide_gone(round, item, false);
        return;
    }
    if (row->id && !same && !change->confirm && !is_certain(round, item)) {
        hold_replaced(round, item);
        return;
    }
    if (row->id && is_unchanged(item)) {
        if (!same)
            batch_add_stamp(engine, row, &item->entry.stamp);
        finish(round, item);
        return;
    }
    touch_other_names(engine, item);
    change->reread = change->written = change->echo = false;
    change->read_ctime = item->entry.ctime_ns;
    reading_queue(engine, change, row->id ? row : NULL, &item->entry.stamp);
    item->change = NULL;
}

/* ---- directories ---- */

static void decide_directory(Round *round, Sighting *item)
{
    Engine *engine = round->engine;
    Change *change = item->change;
    Node *node = tree_child(engine->tree, change->dir, change->name);

    if (change->name[0] == '\0') {
        finish(round, item); /* its mtime is written with every round */
        return;
    }
    if (item->row.id) { /* a directory called like the photo that was here */
        if (!node)
            scan_name(engine, change->dir, change->name);
        decide_gone(round, item, true);
        return;
    }
    if (!node || node->ino != item->entry.stamp.ino || node->dev != item->entry.stamp.dev ||
        node->unreadable || node->wd < 0)
        scan_name(engine, change->dir, change->name);
    finish(round, item);
}

/* ---- the rest ---- */

static void decide_unreadable(Round *round, Sighting *item, int error)
{
    if (media_kind_of(item->change->name) != MEDIA_KIND_NONE) {
        FileStamp none = {0};

        engine_problem(round->engine, item->path, &none, strerror(error));
    }
    finish(round, item);
}

/* Was it looked for where its directory was no more? Where that is now it has been compared with
 * its rows meanwhile, perhaps, and this change is all that came of it. */
static bool has_gone_on(const Round *round, const Sighting *item)
{
    const Node *dir = item->change->dir;

    return item->directory == PROBE_RESULT_MISSING && !dir->detached &&
           node_moved_since(round->engine->tree, dir, round->moves_begun);
}

static void decide_item(Round *round, Sighting *item)
{
    Engine *engine = round->engine;
    Change *change = item->change;
    bool is_media = media_kind_of(change->name) != MEDIA_KIND_NONE;

    if (has_gone_on(round, item)) {
        pending_wait(&engine->pending, change, clock_now());
        item->change = NULL;
        return;
    }
    if (change->dir->detached || item->directory == PROBE_RESULT_MISSING) {
        /* Its directory's own change, in the parent, takes care of everything below. (What came
         * meanwhile stays: it may be of a directory that has come to its place.) */
        judge_removed(round, change);
        if (change->written && item->path) /* it may have another name */
            renames_lost(&engine->renames, item->path, true);
        if (!change->dir->detached && change->dir->parent)
            (void)engine_touch_for(engine, change, change->dir->parent, node_name(change->dir));
        else if (!change->dir->detached)
            engine_node_missing(engine, change->dir);
        finish(round, item);
        return;
    }
    if (change->dir->foreign) {
        /* What is here now is not what the rows speak of, if they speak of anything. */
        finish(round, item);
        return;
    }
    if (wait_for_renames(round, item))
        return;
    if (item->directory == PROBE_RESULT_ERROR) {
        decide_unreadable(round, item, item->error);
        return;
    }
    if (item->entry.type == ENTRY_TYPE_FILE && is_media && !path_is_utf8(change->name)) {
        FileStamp none = {0};

        engine_problem(engine, item->path, &none, "the name is not UTF-8");
        finish(round, item);
        return;
    }
    switch (item->entry.type) {
    case ENTRY_TYPE_FILE:
        if (is_media && item->row.id && rules_ignore_file(engine->rules, change->name))
            finish(round, item); /* by a rule that is newer than its row */
        else if (is_media_now(engine, item))
            decide_file(round, item);
        else
            decide_gone(round, item, false);
        return;
    case ENTRY_TYPE_DIRECTORY:
        decide_directory(round, item);
        return;
    case ENTRY_TYPE_ABSENT:
        decide_gone(round, item, false);
        return;
    case ENTRY_TYPE_DANGLING:
        /* What a link points to may be on a drive that is not plugged in; and whatever the row was
         * made from, if it is to be had, is found by its inode. Only a directory is surely gone. */
        if (item->rows_below && !item->row.id)
            decide_gone(round, item, false);
        else
            decide_unreadable(round, item, ENOENT);
        return;
    case ENTRY_TYPE_ERROR:
        decide_unreadable(round, item, item->entry.error);
        return;
    case ENTRY_TYPE_OTHER:
        decide_gone(round, item, false);
        return;
    }
}

/* Files first, then names that are gone: a move is seen from its new name. */
void decide_round(Round *round)
{
    for (int pass = 0; pass < 2; pass++) {
        for (size_t i = 0; i < round->n_items; i++) {
            Sighting *item = &round->items[i];
            bool file = item->directory == PROBE_RESULT_OK && item->entry.type == ENTRY_TYPE_FILE;

            if (item->change && file == (pass == 0))
                decide_item(round, item);
        }
    }
}
