/*
 * Renames of files
 *
 * An id belongs to a file, and rows know only paths. So whoever wants to keep ids must know which
 * row's file is now under which name. The kernel tells it exactly: each rename(2) sends MOVED_FROM
 * and MOVED_TO with one cookie, all in order. A table (sync/renames-table.c) carries them out on
 * names only, as a permutation: an entry says "the row that stands at this path in the database
 * belongs to what is now at that name". A name without an entry belongs to the row that stands at
 * its own path, or, when that row has an entry of its own and is elsewhere, to none: it is a new
 * file.
 *
 *     mv a b; mv b c         a → c                    one entry, moved on
 *     mv a b; write a        a → b                    a has no row, and gets a new one
 *     write x~; mv x~ a      none                     saved by rename: the row of the name stays
 *     mv a b; mv x~ b        a → b                    likewise, for the row that belongs to b
 *     mv a b; rm b           none                     the row stays at a, where no file is: it goes
 *     exchange a b           a → b, b → a
 *     mv ? b; mv b c         b → c, a guess           nobody knows the row of ? yet: first its
 *                                                     inode is asked for
 *
 * What an entry knows is what the rows have to become, whatever happened in between; it is written
 * once the names have been quiet for a while (sync/follow.c), all that depend on one another in one
 * go. Only then are the files themselves looked at.
 *
 * In the air: MOVED_FROM takes an entry up, MOVED_TO with its cookie puts it down. The two may come
 * far apart, when the directory it goes to is only now being watched: events of one that is not in
 * the tree yet wait. One that stays in the air left the library, or for a place that is not
 * watched; there it may be found by its inode. When everything has been seen, it is forgotten.
 *
 * RENAME_EXCHANGE sends what two renames send; which it was is told later (sync/renames-doubts.c).
 *
 * When events were lost, all of this is void; then inodes tell where files are, for those that were
 * not edited meanwhile.
 */
#include "sync/renames.h"

#include <stdlib.h>
#include <string.h>

#include "sync/renames-private.h"
#include "util/cleanup.h"
#include "util/media_kind.h"
#include "util/path.h"

/*
 * What came to be at its name is not its file any more: it is done with, unless it is doubtful and
 * nobody can say whether its file ever stayed there. Then it is without a place until the partner's
 * name has been looked at.
 */
static void lose_place(Renames *renames, Rename *rename)
{
    if (rename->doubtful && rename->partner)
        rename_lift(renames, rename);
    else
        renames_forget(renames, rename);
}

/* A file came over it, or is being exchanged with it. Then it has a place again in a moment, and
 * whoever doubts because of it must not lose it; nor must where its row stands be lost while that
 * is being written. */
static void cover(Renames *renames, Rename *rename)
{
    if (rename_doubter(rename) || rename->writing)
        rename_lift(renames, rename);
    else
        lose_place(renames, rename);
}

/* renames_let_go() - no row can follow it. Of one that only stood for a row it is remembered that
 * nobody knows where its file came from, until that has been looked at */
void renames_let_go(Renames *renames, Rename *rename)
{
    if (!rename_has_row(rename) && rename_is_placed(rename))
        renames_note_stray(renames, rename->dir, rename->name, "", 0);
    renames_forget(renames, rename);
}

/* Before any entry is held: what is made later, such as the second of an exchange, has room. */
static void keep_bound(Renames *renames)
{
    if (renames->count >= RENAMES_MAX)
        renames_clear(renames);
}

/* ---- files that leave ---- */

/* It has arrived already: that is told again. */
static void land_stray(Renames *renames, uint32_t cookie)
{
    RenameStray stray;

    if (!renames_take_stray(renames, cookie, &stray))
        return;
    if (!stray.dir->detached)
        (void)renames_arrived(renames, stray.dir, stray.name, stray.path, cookie);
    rename_stray_done(&stray);
}

/* It leaves a name whose row may go with it. */
static void note_over(const Renames *renames, Rename *rename, const char *path)
{
    free(rename->over);
    rename->over = rename->unknown && path && !renames_of(renames, path) ? strdup(path) : NULL;
}

static Rename *new_unknown(Renames *renames, const char *name)
{
    Rename *rename = renames->count < RENAMES_MAX / 2 ? rename_stand_in(renames, name) : NULL;

    if (rename)
        rename->unknown = true;
    return rename;
}

/*
 * renames_left() - MOVED_FROM: what is at this name is on its way to another one
 * @path: of the row of this name; NULL: nobody knows yet which it has
 * @written: it has been written to, and was not read yet
 */
void renames_left(Renames *renames, Node *dir, const char *name, const char *path, uint32_t cookie,
                  bool written)
{
    Rename *rename;
    bool stray, is_new;

    keep_bound(renames);
    stray = renames_forget_stray(renames, dir, name);
    rename = renames_at(renames, dir, name);
    renames->n_events++;
    renames_note_left(renames, dir, name, cookie);
    is_new = !rename;
    if (!rename && !path)
        rename = new_unknown(renames, name);
    else if (!rename && path && !renames_of(renames, path)) /* else it is a new file */
        rename = rename_new(renames, path);
    if (rename && rename_is_telling(rename))
        rename_confirm(renames, rename); /* it was there to leave */
    if (!rename || !rename_fly(renames, rename, dir, name, cookie))
        return;
    rename->written |= written;
    if (!rename_has_row(rename)) {
        note_over(renames, rename, path);
        return;
    }
    rename->guessed |= stray || (is_new && renames->strays_lost);
    land_stray(renames, cookie);
}

/* ---- files that arrive ---- */

/* One that is unknown came over a file and goes on: that one's row goes with it, if inodes tell of
 * no other one. */
static void take_row_along(Renames *renames, Rename *rename)
{
    if (!rename->over || renames_of(renames, rename->over))
        return;
    rename->unknown = false;
    rename->guessed = true;
    (void)rename_set_from(renames, rename, STEAL_PTR(rename->over));
}

/* Path of the row whose file is at this name; NULL: there is none. */
static const char *row_at(const Renames *renames, const Rename *there, const char *path)
{
    if (there)
        return rename_has_row(there) ? there->from : NULL;
    return renames_of(renames, path) ? NULL : path;
}

/*
 * renames_arrived() - MOVED_TO: a file came to this name, over one that may have been there
 *
 * One that is not in the air has no row, or nobody knows which: what is at the name keeps its
 * entry, or the row of its own path (saved by rename).
 *
 * Returns whether what arrived has been written to on its way. The caller must note it, for the
 * entry of a file that has come home is gone.
 */
bool renames_arrived(Renames *renames, Node *dir, const char *name, const char *path,
                     uint32_t cookie)
{
    Rename *rename = renames_in_air(renames, cookie);
    Rename *there = renames_at(renames, dir, name);
    bool written = rename && rename->written;

    renames->n_events++;
    (void)renames_forget_stray(renames, dir, name);
    if (!rename)
        renames_note_stray(renames, dir, name, path, cookie);
    if (rename && media_kind_of(rename->from) != media_kind_of(name)) {
        renames_forget(renames, rename); /* its row is of the other table */
        rename = NULL;
    }
    if (!rename) {
        if (there)
            there->covered = true;
        renames_forget_last(renames);
    } else if (!there && renames_is_exchange(renames, dir, name, cookie)) {
        renames_exchange(renames, rename, dir, name);
        renames_forget_last(renames);
    } else {
        take_row_along(renames, rename);
        renames_note_arrived(renames, rename, dir, name, row_at(renames, there, path));
        if (there)
            cover(renames, there);
        if (rename_place(renames, rename, dir, name) && strcmp(rename->from, path) == 0 &&
            !rename->writing && !rename_doubter(rename) && !rename->doubtful)
            renames_forget(renames, rename); /* home again */
    }
    return written;
}

/* renames_vanished() - MOVED_TO a name that has no row */
void renames_vanished(Renames *renames, uint32_t cookie)
{
    Rename *rename = renames_in_air(renames, cookie);

    renames_forget_last(renames);
    if (rename)
        lose_place(renames, rename);
}

/* ---- other events ---- */

/* renames_made() - CREATE: there was nothing at this name */
void renames_made(Renames *renames, const Node *dir, const char *name)
{
    Rename *rename = renames_at(renames, dir, name);

    renames->n_events++;
    (void)renames_forget_stray(renames, dir, name);
    if (rename && rename->doubtful && rename_is_telling(rename))
        renames_judge(renames, rename, false);
    else if (rename)
        lose_place(renames, rename);
}

/*
 * renames_lost() - the file of the row at this path is somewhere, but not at its name
 * @written: it has been written to, and was not read yet
 */
void renames_lost(Renames *renames, const char *path, bool written)
{
    Rename *rename = renames_of(renames, path);

    if (!rename && renames->count < RENAMES_MAX)
        rename = rename_new(renames, path);
    if (rename)
        rename->written |= written;
}

/* renames_removed() - DELETE */
void renames_removed(Renames *renames, const Node *dir, const char *name)
{
    Rename *rename = renames_at(renames, dir, name);

    (void)renames_forget_stray(renames, dir, name);
    if (rename && rename_is_telling(rename))
        rename_confirm(renames, rename); /* it was there to be removed */
    if (rename)
        lose_place(renames, rename);
}

/* renames_directory_removed() - DELETE of a directory: so there was nothing in it, and what may
 * have been exchanged with a file there was not */
void renames_directory_removed(Renames *renames, const Node *dir)
{
    bool judged = true;

    while (judged) {
        judged = false;
        LIST_FOREACH (link, &renames->doubtful) {
            Rename *rename = CONTAINER_OF(link, Rename, doubt);

            if (rename->dir != dir || rename->in_air || !rename_is_telling(rename))
                continue;
            renames_judge(renames, rename, false);
            judged = true; /* others may be gone with it */
            break;
        }
    }
}

/* renames_written() - CLOSE_WRITE or ATTRIB: there is a file at this name */
void renames_written(Renames *renames, const Node *dir, const char *name)
{
    Rename *rename = renames_at(renames, dir, name);

    if (rename && rename_is_telling(rename))
        rename_confirm(renames, rename);
}

/* ---- what the disk says ---- */

/*
 * renames_put() - the file of the row at path is at this name, its inode says
 *
 * What was at the name gives way.
 */
Rename *renames_put(Renames *renames, const char *path, const char *id, const FileStamp *stamp,
                    Node *dir, const char *name)
{
    Rename *rename, *there;

    keep_bound(renames);
    there = renames_at(renames, dir, name);
    if (there && there != renames_of(renames, path))
        renames_forget(renames, there);
    rename = renames_of(renames, path); /* only now: it may have gone along */
    if (!rename)
        rename = rename_new(renames, path);
    if (!rename)
        return NULL;
    rename_is_found(renames, rename);
    rename->guessed = false;
    free(rename->id);
    rename->stamp = *stamp;
    rename->id = strdup(id);
    if (!rename->id) {
        renames_forget(renames, rename);
        return NULL;
    }
    return rename_place(renames, rename, dir, name) ? rename : NULL;
}

/* renames_land() - everything has been seen: what is in the air is not in the library any more */
void renames_land(Renames *renames)
{
    renames_forget_last(renames);
    LIST_FOREACH_SAFE (link, tmp, &renames->all) {
        Rename *rename = CONTAINER_OF(link, Rename, link);

        rename->unsure = false;
        if (rename->in_air || !rename->dir)
            rename_drop(renames, rename);
    }
}

/* ---- what the database says ---- */

static bool is_place_at(const Rename *rename, const char *path)
{
    CLEANUP_FREE char *dir = rename_is_placed(rename) ? node_path_new(rename->dir) : NULL;
    CLEANUP_FREE char *place = dir ? path_join(dir, rename->name) : NULL;

    return place && strcmp(place, path) == 0;
}

/* renames_committed() - its row stands at path now; when its file is there too, that was it */
void renames_committed(Renames *renames, Rename *rename, const char *path)
{
    rename->writing = NULL;
    renames_move_last(renames, rename->from, path);
    if (is_place_at(rename, path) ||
        (rename_set_from(renames, rename, strdup(path)) && rename_is_lost(rename)))
        renames_forget(renames, rename);
}

/* renames_rebase() - the rows of directories went from one path to another */
void renames_rebase(Renames *renames, const PathMove *moves, size_t n_moves)
{
    renames_clear_strays(renames);
    LIST_FOREACH_SAFE (link, tmp, &renames->all) {
        Rename *rename = CONTAINER_OF(link, Rename, link);
        char *path;
        int r;

        note_over(renames, rename, NULL);
        r = path_moved(rename->from, moves, n_moves, false, &path);

        if (r < 0 || path)
            (void)rename_set_from(renames, rename, r < 0 ? NULL : path);
    }
    if (renames->last.under)
        renames_rebase_last(renames, moves, n_moves);
}
