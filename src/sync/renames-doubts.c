/*
 * Renames in doubt
 *
 * RENAME_EXCHANGE of a and b sends the same four events as mv a b; mv b a does. That a file b is
 * there afterwards tells the two apart, or the inode of what is at a; but only the disk knows that.
 * So the four events are noticed (in a row, to and fro), the first reading is carried out, and the
 * entry is doubtful until an event or a look at these names tells (renames_judge()).
 *
 * The other half of the exchange is its *partner*. Another file may go to and fro over a name that
 * is in doubt itself: then the one doubt hangs on the other (Rename.revived).
 */
#include "sync/renames-private.h"

#include <stdlib.h>
#include <string.h>

#include "util/cleanup.h"

/* ---- the doubt about one entry ---- */

/* It is known what it is. */
void rename_end_doubt(Rename *rename)
{
    if (rename->partner)
        rename->partner->doubting = NULL;
    rename->partner = NULL;
    rename->doubtful = rename->covered = rename->revived = false;
    rename_free_name(&rename->else_dir, &rename->else_name);
}

/* renames_end_doubts() - nothing will tell: what looks like an exchange was one */
void renames_end_doubts(Renames *renames)
{
    LIST_FOREACH (link, &renames->all)
        rename_end_doubt(CONTAINER_OF(link, Rename, link));
    LIST_FOREACH_SAFE (link, tmp, &renames->all) {
        Rename *rename = CONTAINER_OF(link, Rename, link);

        if (!rename->dir)
            rename_drop(renames, rename);
    }
}

/* Does what happens at its name say something about its file? */
bool rename_is_telling(const Rename *rename)
{
    return !rename->covered && !rename->revived;
}

/* It was exchanged; so were those that were exchanged with it before. */
void rename_confirm(Renames *renames, Rename *rename)
{
    Rename *next = rename->partner;

    rename_end_doubt(rename);
    while (next && next->revived) {
        Rename *partner = next->partner;

        rename_end_doubt(next);
        if (!next->dir)
            renames_forget(renames, next);
        next = partner;
    }
}

/* ---- what looks like an exchange ---- */

void renames_forget_last(Renames *renames)
{
    RenameLast *last = &renames->last;

    rename_free_name(&last->from_dir, &last->from_name);
    rename_free_name(&last->dir, &last->name);
    free(last->under);
    *last = (RenameLast){0};
}

/* The last one that arrived leaves again, at once: the second half of an exchange may follow. */
void renames_note_left(Renames *renames, const Node *dir, const char *name, uint32_t cookie)
{
    RenameLast *last = &renames->last;

    last->left =
        last->dir == dir && last->event + 1 == renames->n_events && strcmp(last->name, name) == 0;
    last->cookie = cookie;
    if (!last->left)
        renames_forget_last(renames);
}

void renames_note_arrived(Renames *renames, const Rename *rename, Node *dir, const char *name,
                          const char *under)
{
    RenameLast *last = &renames->last;

    renames_forget_last(renames);
    last->event = renames->n_events;
    last->from_name = strdup(rename->name);
    last->name = strdup(name);
    last->under = under ? strdup(under) : NULL;
    last->from_dir = node_ref(rename->dir);
    last->dir = node_ref(dir);
    if (!last->from_name || !last->name || (under && !last->under))
        renames_forget_last(renames);
}

void renames_rebase_last(Renames *renames, const PathMove *moves, size_t n_moves)
{
    char *path;

    if (path_moved(renames->last.under, moves, n_moves, &path) < 0) {
        renames_forget_last(renames);
    } else if (path) {
        free(renames->last.under);
        renames->last.under = path;
    }
}

/* Back where it had come from a moment before, over a file: an exchange, most likely. */
bool renames_is_exchange(const Renames *renames, const Node *dir, const char *name, uint32_t cookie)
{
    const RenameLast *last = &renames->last;

    return last->left && last->cookie == cookie && last->event + 2 == renames->n_events &&
           last->from_dir == dir && strcmp(last->from_name, name) == 0;
}

/*
 * The entry of the row that what arrived last had come over; NULL: that had none, or is elsewhere.
 *
 * One that was in doubt remains so (revived): it is where the exchange puts it if that was one, and
 * then so was its own. Else it is nowhere again, as it was a moment ago.
 */
static Rename *covered_by_last(Renames *renames)
{
    const char *under = renames->last.under;
    Rename *rename = under ? renames_of(renames, under) : NULL;

    if (!rename)
        return under ? rename_new(renames, under) : NULL;
    if (rename->dir)
        return NULL;
    if (rename->doubting)
        rename_end_doubt(rename->doubting);
    rename->revived = true;
    return rename;
}

/* It stays at the name that it has just left; what it had come over is here. */
void renames_exchange(Renames *renames, Rename *rename, Node *dir, const char *name)
{
    RenameLast *last = &renames->last;
    Rename *partner;

    if (!rename_place(renames, rename, last->dir, last->name))
        return;
    rename_end_doubt(rename); /* an older one */
    rename->doubtful = true;
    partner = covered_by_last(renames);
    if (partner && rename_place(renames, partner, dir, name)) {
        partner->doubting = rename;
        partner->written = rename->written; /* one of them was, before they were exchanged */
        rename->partner = partner;
        return;
    }
    rename->else_name = strdup(name);
    rename->else_dir = rename->else_name ? node_ref(dir) : NULL;
}

/* ---- what the disk says ---- */

/* Where its file is if it was there and back again, not exchanged; in *dir and *name, referenced.
 */
static bool other_place(const Renames *renames, const Rename *rename, Node **dir, char **name)
{
    const Rename *partner = rename->partner;

    if (partner && (!partner->dir || partner->in_air))
        return false;
    if (!partner && (!rename->else_dir || renames_at(renames, rename->else_dir, rename->else_name)))
        return false;
    *name = strdup(partner ? partner->name : rename->else_name);
    *dir = *name ? node_ref(partner ? partner->dir : rename->else_dir) : NULL;
    return *name != NULL;
}

/* What is doubtful about one entry is so about the one that takes its place. */
static void inherit_doubt(Rename *rename, Rename *from)
{
    rename->doubtful = from->doubtful;
    rename->covered = from->covered;
    rename->partner = STEAL_PTR(from->partner);
    if (rename->partner)
        rename->partner->doubting = rename;
    rename->else_dir = STEAL_PTR(from->else_dir);
    rename->else_name = STEAL_PTR(from->else_name);
}

/* It went there and back again: what is at the partner's place is its file. */
static void judge_returned(Renames *renames, Rename *rename)
{
    Rename *partner = rename->partner;
    Node *dir = NULL;
    char *name = NULL;
    bool known = other_place(renames, rename, &dir, &name);

    rename_end_doubt(rename);
    if (partner && partner->revived) {
        partner->revived = false;
        rename_lift(renames, partner);
    } else if (partner) {
        if (known)
            inherit_doubt(rename, partner);
        renames_forget(renames, partner);
    }
    if (known)
        (void)rename_place(renames, rename, dir, name);
    else
        renames_forget(renames, rename);
    rename_free_name(&dir, &name);
}

/*
 * It was not there for another one to be exchanged with: those that think so went there and back
 * too, the last one first. False: it has been forgotten with one of them.
 */
static bool judge_later(Renames *renames, Rename **rename)
{
    CLEANUP_FREE char *from = strdup((*rename)->from);

    while (*rename && (*rename)->revived) {
        Rename *last = *rename;

        while (last->revived && last->doubting)
            last = last->doubting;
        if (last == *rename)
            break;
        judge_returned(renames, last);
        *rename = from ? renames_of(renames, from) : NULL;
    }
    return *rename != NULL;
}

/*
 * renames_judge() - end the doubt about one that may be half of an exchange
 * @exchanged: it is; else it went there and back again
 */
void renames_judge(Renames *renames, Rename *rename, bool exchanged)
{
    if (exchanged) {
        rename_confirm(renames, rename);
        if (!rename->dir)
            renames_forget(renames, rename);
        return;
    }
    if (rename->revived && !judge_later(renames, &rename))
        return;
    judge_returned(renames, rename);
}
