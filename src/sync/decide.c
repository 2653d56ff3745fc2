/*
 * Deciding
 *
 * A round of changes has been probed on disk and looked up in the database. Here each becomes a
 * finding (new, modified, moved, gone, unchanged, unreadable) and what follows from it.
 *
 * Identity: an id belongs to a file, not to a path. A file that is found at a path may be one that
 * has a row under another path. Two things tell: the cookie pair of its rename (Change.origin), and
 * a row whose file was last seen with the same device and inode. Either counts only if the older
 * path does not hold that file any more (else it is a hard link, and a copy is a new row), and the
 * inode alone only with the same size and mtime, since freed inode numbers are used again at once.
 *
 * Rows that lose their file wait (are `held`) until every other change has been seen, so that the
 * new name of a moved file takes the row along before anybody thinks of deleting it. Then they are
 * looked at once more.
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

#define AGAIN_SOON  (20 * CLOCK_US_PER_MS)
#define TRIES_LIMIT 100 /* times that a change steps back for another one */

/* row_is_at() - is the file of this row the one that was seen at a path? By its inode only. */
bool row_is_at(const StoreRow *row, const Entry *entry)
{
    return entry->type == ENTRY_TYPE_FILE && row->has_stamp &&
           file_stamp_same_inode(&row->stamp, &entry->stamp);
}

static bool round_has_moved(const Round *round, const char *id)
{
    for (size_t i = 0; i < round->n_moved; i++)
        if (strcmp(round->moved[i], id) == 0)
            return true;
    return false;
}

static void finish(Round *round, Sighting *item)
{
    pending_finish(&round->engine->pending, item->change, clock_now());
    item->change = NULL;
}

/* Steps back until another change is through; gives up waiting after a while. */
static bool step_back(Round *round, Sighting *item)
{
    if (item->change->tries >= TRIES_LIMIT)
        return false;
    item->change->tries++;
    pending_wait(&round->engine->pending, item->change, clock_now() + AGAIN_SOON);
    item->change = NULL;
    return true;
}

/* ---- moves of files ---- */

/* A row follows its file to name in dir. */
static void move_row(Round *round, const StoreRow *row, Node *dir, const char *name,
                     const FileStamp *stamp, Change *change)
{
    Engine *engine = round->engine;
    Write *write = batch_new(STORE_OP_MEDIA_MOVE, dir, name);
    CLEANUP_FREE char *id = strdup(row->id);
    int r = ARRAY_RESERVE(round->moved, round->moved_capacity, round->n_moved + 1);

    if (write)
        write->op.id = strdup(row->id);
    if (!write || !write->op.id || !id || r < 0) {
        (void)write_free(write);
        if (change)
            pending_wait(&engine->pending, change, clock_now() + CLOCK_US_PER_SEC);
        return;
    }
    write->op.media = row->kind;
    write->op.stamp = *stamp;
    round->moved[round->n_moved++] = STEAL_PTR(id);
    write->change = change;
    if (change)
        pending_set_state(&engine->pending, change, CHANGE_STATE_WRITING);
    batch_add(engine, write);
}

static bool is_candidate(const Round *round, const Sighting *item, size_t i)
{
    const StoreRow *row = &item->candidates[i];
    bool same_inode = row_is_at(row, &item->entry);
    bool cookie = i < item->n_cookie;

    if (row->kind != media_kind_of(item->change->name) || round_has_moved(round, row->id))
        return false;
    if (item->row.id && (strcmp(row->id, item->row.id) == 0 || row_is_at(&item->row, &item->entry)))
        return false;
    if (row->has_stamp && !same_inode)
        return false;
    if (!cookie && !(same_inode && file_stamp_same_content(&row->stamp, &item->entry.stamp)))
        return false;
    /* Still there under its older name: a hard link. Without a stamp only a proven absence counts.
     */
    if (item->candidate_entries[i].type == ENTRY_TYPE_ERROR)
        return false;
    return row->has_stamp ? !row_is_at(row, &item->candidate_entries[i])
                          : item->candidate_entries[i].type == ENTRY_TYPE_ABSENT;
}

/* The victim of an exchange goes to the mover's older path, if that is in a watched directory. */
static bool move_back(Round *round, const StoreRow *victim, const char *path,
                      const Entry *old_place)
{
    CLEANUP_FREE char *parent = path_parent(path);
    Node *dir = parent ? node_find(round->engine, parent) : NULL;

    if (dir)
        move_row(round, victim, dir, path_name(path), &old_place->stamp, NULL);
    return true;
}

/* Whether the row that stands in the way lost its place for good. True: go on with the move. */
static bool settle_victim(Round *round, Sighting *item, const StoreRow *mover,
                          const Entry *old_place)
{
    Engine *engine = round->engine;
    StoreRow *victim = &item->row;
    Change *claim;

    if (!victim->id || round_has_moved(round, victim->id))
        return true;
    if (row_is_at(victim, old_place)) /* RENAME_EXCHANGE: it went where the mover came from, */
        return move_back(round, victim, mover->path, old_place); /* and is taken there */
    claim = pending_claim(&engine->pending, item->change->dir, item->change->name);
    if (claim && claim != item->change && claim->state != CHANGE_STATE_WRITING)
        return !step_back(round, item);
    return true;
}

static bool decide_moved(Round *round, Sighting *item)
{
    for (size_t i = 0; i < item->n_candidates; i++) {
        const StoreRow *row = &item->candidates[i];
        FileStamp stamp = item->entry.stamp;
        Change *change;

        if (!is_candidate(round, item, i))
            continue;
        if (!settle_victim(round, item, row, &item->candidate_entries[i]))
            return true;
        change = item->change;
        item->change = NULL;
        pending_clear_origin(&round->engine->pending, change);
        if (row->has_stamp && !file_stamp_same_content(&row->stamp, &stamp)) {
            /* Moved and edited: first the one, then, looked at again, the other. */
            stamp.size = row->stamp.size;
            stamp.mtime_ns = row->stamp.mtime_ns;
            (void)pending_touch(&round->engine->pending, change->dir, change->name,
                                CHANGE_WAIT_NONE, clock_now());
        }
        move_row(round, row, change->dir, change->name, &stamp, change);
        return true;
    }
    return false;
}

/* ---- files that are there ---- */

static void adopt(Engine *engine, const StoreRow *row, const FileStamp *stamp)
{
    Write *write = batch_new(STORE_OP_STAMP, NULL, NULL);

    if (!write)
        return;
    write->op.media = row->kind;
    write->op.id = strdup(row->id);
    write->op.folder_id = row->folder_id ? strdup(row->folder_id) : NULL;
    write->op.stamp = *stamp;
    write->op.has_fingerprint = row->has_fingerprint;
    write->op.fingerprint = row->fingerprint;
    batch_add(engine, write);
}

static bool is_unchanged(const Sighting *item)
{
    const StoreRow *row = &item->row;

    if (item->change->reread)
        return false;
    if (row->kind == MEDIA_KIND_PHOTO && (!row->thumbnail_path || row->thumbnail_path[0] == '\0'))
        return false;
    if (!row->has_stamp || !file_stamp_same_content(&row->stamp, &item->entry.stamp))
        return false;
    /* Something happened to a file whose inode is another one now: it is read, to be sure. */
    return !item->change->live || file_stamp_same_inode(&row->stamp, &item->entry.stamp);
}

/* The file came here from a name whose own change is still being decoded or written. */
static bool origin_is_under_way(const Engine *engine, const Change *change)
{
    Change *origin = change->origin_dir
                         ? pending_find(&engine->pending, change->origin_dir, change->origin_name)
                         : NULL;

    return origin && origin != change &&
           (origin->state == CHANGE_STATE_MEDIA || origin->state == CHANGE_STATE_WRITING);
}

/* The other half of an exchange has brought the row of this file here already. */
static bool has_arrived(const Round *round, const Sighting *item)
{
    for (size_t i = 0; i < item->n_candidates; i++)
        if (row_is_at(&item->candidates[i], &item->entry) &&
            round_has_moved(round, item->candidates[i].id))
            return true;
    return false;
}

static void decide_file(Round *round, Sighting *item)
{
    Engine *engine = round->engine;
    bool has_row = item->row.id && !round_has_moved(round, item->row.id);

    if (decide_moved(round, item))
        return;
    if (!has_row && has_arrived(round, item)) {
        finish(round, item);
        return;
    }
    if (has_row && is_unchanged(item)) {
        if (!file_stamp_same_inode(&item->row.stamp, &item->entry.stamp))
            adopt(engine, &item->row, &item->entry.stamp);
        finish(round, item);
        return;
    }
    if (!has_row && origin_is_under_way(engine, item->change) && step_back(round, item))
        return;
    pending_clear_origin(&engine->pending, item->change);
    reading_queue(engine, item->change, has_row ? &item->row : NULL, &item->entry.stamp);
    item->change = NULL;
}

/* ---- names that are gone ---- */

static void remove_rows(Round *round, Sighting *item)
{
    Engine *engine = round->engine;
    Change *change = item->change;
    bool media = item->row.id && !round_has_moved(round, item->row.id);
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
        own_gone_add(engine, item->path);
    write->change = change;
    pending_set_state(&engine->pending, change, CHANGE_STATE_WRITING);
    if (item->entry.type != ENTRY_TYPE_ABSENT) /* something else took the name */
        (void)pending_touch(&engine->pending, change->dir, change->name, CHANGE_WAIT_NONE,
                            clock_now());
    item->change = NULL;
    batch_add(engine, write);
}

/* The name is proven not to be there, or not to be what its rows say. */
static void decide_gone(Round *round, Sighting *item, bool is_directory_now)
{
    Engine *engine = round->engine;
    Change *change = item->change;
    bool media = item->row.id && !round_has_moved(round, item->row.id);
    bool rows = media || (item->rows_below && !is_directory_now);
    Node *node = tree_child(engine->tree, change->dir, change->name);

    if (rows && !change->dir->trusted) {
        /* Not compared yet, or on what may be another file system: that must be found out first. */
        dirty_add(engine, change->dir, true);
        finish(round, item);
        return;
    }
    if (rows && !change->confirm) {
        pending_hold(&engine->pending, change, clock_now());
        item->change = NULL;
        return;
    }
    if (node && !is_directory_now)
        tree_remove(engine->tree, node);
    if (engine->n_problems > 0 && !is_directory_now && item->entry.type == ENTRY_TYPE_ABSENT)
        engine_problem_clear(engine, item->path);
    if (!rows) {
        finish(round, item);
        return;
    }
    /* What was here is known to be elsewhere, under a name that is not through yet. */
    if (media && pending_claim(&engine->pending, change->dir, change->name)) {
        if (step_back(round, item))
            return;
    }
    remove_rows(round, item);
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

static void decide_item(Round *round, Sighting *item)
{
    Engine *engine = round->engine;
    Change *change = item->change;
    bool is_media = media_kind_of(change->name) != MEDIA_KIND_NONE;

    if (change->dir->detached || item->directory == PROBE_RESULT_MISSING) {
        /* Its directory's own change, in the parent, takes care of everything below. */
        change->again = false;
        if (!change->dir->detached)
            engine_node_missing(engine, change->dir);
        finish(round, item);
        return;
    }
    if (change->dir->foreign) {
        /* What is here now is not what the rows speak of, if they speak of anything. */
        finish(round, item);
        return;
    }
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
        if (is_media && !rules_ignore_file(engine->rules, change->name) && !item->rows_below)
            decide_file(round, item);
        else if (is_media && item->row.id)
            finish(round, item); /* ignored by a rule that is newer than its row */
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
        /* What a link points to may be on a drive that is not plugged in. */
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
