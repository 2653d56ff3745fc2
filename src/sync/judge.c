/*
 * Exchanged, or there and back again: what the disk says of renames in doubt
 * (sync/renames-doubts.c), and of those whose row was guessed (Rename.guessed)
 */
#include <string.h>

#include "sync/engine-private.h"

/* Is the file of the doubter's row at its partner's name, so that it was there and back? Inodes are
 * used again, and hard links have one: it counts only where a look at its own name cannot tell. */
static bool came_back(const Sighting *item, const Rename *doubter)
{
    bool tells = rename_is_placed(doubter) && !doubter->covered && !doubter->revived;

    return !tells && row_is_at(&item->doubt_row, &item->entry);
}

/* It has its own row's inode, or another row's: then it was not saved by rename over the one that
 * was guessed, but left a directory that was not watched or not compared yet, or the library. */
static bool is_another_rows(const Renames *renames, const Sighting *item, const Rename *here)
{
    const Rename *own = renames_of(renames, item->path);
    bool elsewhere = own && (rename_is_placed(own) || own->doubtful);

    for (size_t i = 0; i < item->n_candidates; i++)
        if (strcmp(item->candidates[i].path, here->from) == 0 &&
            row_is_at(&item->candidates[i], &item->entry))
            return false; /* nor is there anything to guess */
    if (!elsewhere && row_is_at(&item->row, &item->entry) &&
        file_stamp_same_content(&item->row.stamp, &item->entry.stamp))
        return true;
    for (size_t i = 0; i < item->n_candidates; i++)
        if (strcmp(item->candidates[i].path, here->from) != 0 && row_has_come(item, i))
            return true;
    return false;
}

static void judge_guess(Renames *renames, const Sighting *item, Rename *here)
{
    here->guessed = false;
    if (is_another_rows(renames, item, here))
        renames_forget(renames, here);
}

/*
 * judge_sighting() - was it exchanged, or was it there and back again? (sync/renames-doubts.c)
 *
 * In the second case its file is at the partner's name, and unless something else came over it, no
 * file is at its own. If its row was guessed, that is judged here, too. False: it cannot be told
 * from this name, and the other one is still to be looked at.
 */
bool judge_sighting(Round *round, Sighting *item)
{
    Renames *renames = &round->engine->renames;
    Rename *here = renames_at(renames, item->change->dir, item->change->name);
    Rename *doubter = here ? rename_doubter(here) : NULL;
    EntryType type = item->entry.type;
    bool seen = item->directory == PROBE_RESULT_OK && type != ENTRY_TYPE_ERROR;
    bool tells = seen && here && here->doubtful && !here->covered && !here->revived;

    if (item->change->again && item->change->tries++ < DECIDE_TRIES)
        return true; /* what was seen may be older than the doubt */
    if (here && here->guessed && !here->doubtful && !doubter && seen)
        judge_guess(renames, item, here);
    else if (doubter && !here->covered && came_back(item, doubter))
        renames_judge(renames, doubter, false);
    else if (doubter && !tells && (!doubter->dir || doubter->covered) && !rename_doubter(doubter))
        renames_judge(renames, doubter, true);
    else if (tells)
        renames_judge(renames, here, type != ENTRY_TYPE_ABSENT && type != ENTRY_TYPE_DIRECTORY);
    else if (item->change->tries++ < DECIDE_TRIES)
        return false;
    else
        renames_end_doubts(renames);
    return true;
}

/* judge_removed() - the same, when its directory is gone: that was empty then, if its watch has
 * ended. One that was moved away cannot be looked at, and only the partner's name is left to tell.
 */
void judge_removed(Round *round, const Change *change)
{
    Renames *renames = &round->engine->renames;
    Rename *here = renames_at(renames, change->dir, change->name);

    if (here)
        here->guessed = false;
    if (!here || !here->doubtful || here->covered || here->revived)
        return;
    if (change->dir->wd < 0 && !change->dir->detached)
        renames_judge(renames, here, false);
    else
        here->covered = true;
}
