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

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "util/cleanup.h"

/* ---- the doubt about one entry ---- */

/* The one that revived it, if it is revived. */
static Rename *last_doubter(const Rename *rename)
{
    ListNode *link = list_last(&rename->doubters);

    return link ? CONTAINER_OF(link, Rename, doubter) : NULL;
}

/* Does it hang on this doubter of it that it has a place? */
static bool is_revived_by(const Rename *rename, const Rename *doubter)
{
    return rename->revived && last_doubter(rename) == doubter;
}

/* rename_set_partner() - the other half of the exchange that it may be half of; or NULL */
void rename_set_partner(Rename *rename, Rename *partner)
{
    if (rename->partner && is_revived_by(rename->partner, rename))
        rename->partner->revived = false; /* nobody says that it is not there */
    list_remove(&rename->doubter);
    rename->partner = partner;
    if (partner)
        list_append(&partner->doubters, &rename->doubter);
}

static void set_doubtful(Rename *rename, bool doubtful)
{
    list_remove(&rename->doubt);
    if (doubtful)
        list_append(&rename->renames->doubtful, &rename->doubt);
    rename->doubtful = doubtful;
    rename->inspected = false;
    rename->doubtful_since = rename->renames->n_events;
}

/* It is known what it is. */
void rename_end_doubt(Rename *rename)
{
    rename_set_partner(rename, NULL);
    set_doubtful(rename, false);
    rename->covered = rename->revived = false;
}

/* renames_end_doubts() - nothing will tell: what looks like an exchange was one, and guesses are
 * right */
void renames_end_doubts(Renames *renames)
{
    LIST_FOREACH (link, &renames->all) {
        Rename *rename = CONTAINER_OF(link, Rename, link);

        rename_end_doubt(rename);
        rename->guessed = false;
    }
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

/* rename_is_lost() - is it nowhere, and will no other one tell of it? */
bool rename_is_lost(const Rename *rename)
{
    return !rename->dir && !rename->judged && !rename->partner && !rename_doubter(rename);
}

static void forget_if_lost(Renames *renames, Rename *rename)
{
    if (rename_is_lost(rename))
        renames_forget(renames, rename);
}

/* rename_is_found() - where its file is, is known by other means */
void rename_is_found(Renames *renames, Rename *rename)
{
    Rename *partner = rename->partner;

    rename_end_doubt(rename);
    if (partner)
        forget_if_lost(renames, partner);
}

/* rename_confirm() - it was exchanged, and so was its partner before, if that had been in doubt. It
 * stays, though it may be nowhere. */
void rename_confirm(Renames *renames, Rename *rename)
{
    for (Rename *next = rename; next;) {
        Rename *partner = next->partner;
        bool goes_on = partner && is_revived_by(partner, next);

        rename_end_doubt(next);
        if (next != rename)
            forget_if_lost(renames, next);
        if (partner && partner != rename && !goes_on)
            forget_if_lost(renames, partner);
        next = goes_on ? partner : NULL;
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

static bool is_same_place(const Node *dir, const char *name, const Node *other_dir,
                          const char *other)
{
    return dir == other_dir && strcmp(name, other) == 0;
}

/* renames_directory_at() - a directory has come to this name, or left it, or is there still: what a
 * file does there next, it does not do in exchange with another file */
void renames_directory_at(Renames *renames, const Node *dir, const char *name)
{
    const RenameLast *last = &renames->last;

    if (is_same_place(dir, name, last->dir, last->name) ||
        is_same_place(dir, name, last->from_dir, last->from_name))
        renames_forget_last(renames);
}

void renames_rebase_last(Renames *renames, const PathMove *moves, size_t n_moves)
{
    char *path;

    if (path_moved(renames->last.under, moves, n_moves, false, &path) < 0) {
        renames_forget_last(renames);
    } else if (path) {
        free(renames->last.under);
        renames->last.under = path;
    }
}

/* renames_move_last() - the row of what the last one came over has moved */
void renames_move_last(Renames *renames, const char *from, const char *to)
{
    char *under = renames->last.under;

    if (!under || strcmp(under, from) != 0)
        return;
    renames->last.under = strdup(to);
    if (!renames->last.under)
        renames_forget_last(renames);
    free(under);
}

/* Back where it had come from a moment before, over a file: an exchange, most likely. (Unless the
 * disk was looked at meanwhile, and something else was found at that other name.) */
bool renames_is_exchange(const Renames *renames, const Node *dir, const char *name, uint32_t cookie)
{
    const RenameLast *last = &renames->last;

    return last->left && last->cookie == cookie && last->event + 2 == renames->n_events &&
           last->from_dir == dir && strcmp(last->from_name, name) == 0 &&
           !renames_at(renames, last->dir, last->name);
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
    rename->revived = true;
    return rename;
}

/* rename_stand_in() - for a file that has no row, or nobody knows which: something stands for it,
 * and moves on with what is at the name */
Rename *rename_stand_in(Renames *renames, const char *name)
{
    CLEANUP_FREE char *from = NULL;

    if (asprintf(&from, "%u/%s", ++renames->n_stand_ins, name) < 0) {
        from = NULL;
        return NULL;
    }
    return rename_new(renames, from);
}

/* renames_exchange() - it stays at the name that it has just left; what it had come over is here */
void renames_exchange(Renames *renames, Rename *rename, Node *dir, const char *name)
{
    RenameLast *last = &renames->last;
    Rename *partner;

    if (!rename_place(renames, rename, last->dir, last->name))
        return;
    rename_is_found(renames, rename); /* whatever it was before */
    partner = covered_by_last(renames);
    if (!partner)
        partner = rename_stand_in(renames, name); /* what it had come over had no row */
    if (!partner || !rename_place(renames, partner, dir, name))
        return;                         /* without memory it was an exchange */
    partner->written = rename->written; /* one of them was, before they were exchanged */
    set_doubtful(rename, true);
    rename_set_partner(rename, partner);
}

/* ---- what the disk says ---- */

/* The one that revived it was not exchanged with it: it is nowhere again. */
static void lose_revived(Renames *renames, Rename *rename)
{
    rename->revived = false;
    rename_lift(renames, rename);
    forget_if_lost(renames, rename);
}

/* Where its file is, or was when it left, if it was there and back again, not exchanged; in *dir
 * and *name, referenced. */
static bool other_place(const Rename *rename, Node **dir, char **name)
{
    const Rename *partner = rename->partner;

    if (!partner || !partner->dir)
        return false;
    *name = strdup(partner->name);
    *dir = *name ? node_ref(partner->dir) : NULL;
    return *name != NULL;
}

/* It takes the place of its partner, which is then done with, and what is doubtful about that. */
static void take_over(Renames *renames, Rename *rename, Rename *partner)
{
    if (partner->partner != rename) {
        set_doubtful(rename, partner->doubtful);
        rename->covered = partner->covered;
        rename_set_partner(rename, partner->partner);
    }
    rename->revived = partner->revived;
    LIST_FOREACH_SAFE (link, tmp, &partner->doubters)
        rename_set_partner(CONTAINER_OF(link, Rename, doubter), rename);
    rename_drop(renames, partner);
}

/* It went there and back again: what is at the partner's place, or has left it, is its file. */
static void judge_returned(Renames *renames, Rename *rename)
{
    Rename *partner = rename->partner;
    Node *dir = NULL;
    char *name = NULL;
    bool known = other_place(rename, &dir, &name);
    bool revived = partner && is_revived_by(partner, rename);
    bool flies = partner && partner->in_air;
    uint32_t cookie = flies ? partner->cookie : 0;

    rename->judged = true;
    rename_end_doubt(rename);
    if (revived)
        lose_revived(renames, partner);
    else if (partner && (known || (partner->doubtful && partner->partner)))
        take_over(renames, rename, partner);
    else if (partner)
        renames_forget(renames, partner);
    rename->judged = false;
    if (known && flies)
        (void)rename_fly(renames, rename, dir, name, cookie);
    else if (known)
        (void)rename_place(renames, rename, dir, name);
    else if (rename->partner)
        rename_lift(renames, rename); /* nowhere, as what it took over was, until that is known */
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

        while (last->revived && last_doubter(last))
            last = last_doubter(last);
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
