/*
 * Directories that move
 *
 * MOVED_FROM and MOVED_TO carry the same cookie. They are usually neighbours, but other events may
 * come between, they may come in two reads, and one of them may never come (the other side is not
 * watched). Halves wait in a small ring; the oldest is forgotten when it is full, which costs
 * nothing but the hint.
 *
 * After the two the kernel sends MOVE_SELF to the watch of the moved directory itself
 * (fsnotify_move() in the kernel). A watch descriptor follows its inode, so MOVE_SELF says for
 * certain *which* node moved, also when two directories exchange their names; the pair that begins
 * at the node's place says where to. It need not be the last pair: renames in different directories
 * run at once, and a directory without a watch has a pair but no MOVE_SELF. MOVE_SELF without a
 * pair means that it left for a place that is not watched, or that the tree has not heard of where
 * it was; then the scan of its new name finds it.
 *
 * A directory whose name another one takes has been replaced (it was empty, and IGNORED will tell
 * so), or the two have been exchanged (RENAME_EXCHANGE): then a second rename follows, its own.
 * Until one of them comes, its node is *parked* under a name that no file has.
 *
 * The kernel queues the events of one rename one after the other, and a process may lose the
 * processor in between: the queue can be read empty in the middle of it. So what is still to come
 * is waited for, over several rounds of the loop if need be. The end of it is known when something
 * else happens in one of the directories, which are locked until the last event is queued
 * (vfs_rename() and its callers); where nothing does, it is not waited for longer than a second.
 */
#include "watch/pairing.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "util/clock.h"

/* A process that lost the processor has long got it back. */
#define WAIT_FOR_REST CLOCK_US_PER_SEC

void pairing_init(Pairing *pairing, Tree *tree, WatchListener *listener)
{
    *pairing = (Pairing){.tree = tree, .listener = listener};
}

/* ---- halves waiting for their other half ---- */

static void half_clear(Half *half)
{
    half->dir = node_unref(half->dir);
    free(half->name);
    *half = (Half){0};
}

/* pairing_left() - MOVED_FROM: a directory left its name */
void pairing_left(Pairing *pairing, const Event *event, Node *dir)
{
    Half *half = &pairing->halves[pairing->next_half++ % PAIRING_HALVES];

    half_clear(half);
    half->name = strdup(event->name);
    if (!half->name)
        return;
    half->cookie = event->cookie;
    half->dir = node_ref(dir);
}

static Half *half_find(Pairing *pairing, uint32_t cookie)
{
    /* From the newest, which it nearly always is. */
    for (size_t i = 1; i <= PAIRING_HALVES; i++) {
        Half *half = &pairing->halves[(pairing->next_half - i) % PAIRING_HALVES];

        if (half->dir && half->cookie == cookie)
            return half;
    }
    return NULL;
}

/* ---- pairs ---- */

static void move_done(DirectoryMove *move)
{
    (void)node_unref(move->from);
    (void)node_unref(move->to);
    free(move->from_name);
    free(move->to_name);
}

static DirectoryMove move_take(Pairing *pairing, size_t i)
{
    DirectoryMove move = pairing->moves[i];

    pairing->n_moves--;
    memmove(&pairing->moves[i], &pairing->moves[i + 1],
            (pairing->n_moves - i) * sizeof(DirectoryMove));
    return move;
}

static void move_tell(Pairing *pairing, const DirectoryMove *move)
{
    if (!move->to->detached)
        pairing->listener->changed(pairing->listener, move->to, move->to_name,
                                   WATCH_CHANGE_MOVED_IN, true);
}

/*
 * A pair whose MOVE_SELF does not come: the directory was not watched (its scan is still on the
 * way, or it was ignored). It is looked for at its new place like a new one.
 */
static void move_flush(Pairing *pairing, size_t i)
{
    DirectoryMove move = move_take(pairing, i);

    if (!move.from->detached && !move.to->detached)
        pairing->listener->unwatched_moved(pairing->listener, move.from, move.from_name, move.to,
                                           move.to_name);
    move_tell(pairing, &move);
    move_done(&move);
}

/* The name of a parked node; no file has it, for no event and no listing has a name like that. */
static void print_place(const Pairing *pairing, const Parked *parked, char name[static 32])
{
    (void)snprintf(name, 32, TREE_NO_PLACE "parked-%zu", (size_t)(parked - pairing->parked));
}

static bool is_parked(const Pairing *pairing, const Parked *parked)
{
    char name[32];

    if (!parked->node || parked->node->detached)
        return false;
    print_place(pairing, parked, name);
    return strcmp(node_name(parked->node), name) == 0;
}

static Parked *parked_find(Pairing *pairing, const Node *node)
{
    for (size_t i = 0; i < PAIRING_PARKED && pairing->n_parked > 0; i++) {
        Parked *parked = &pairing->parked[i];

        if (parked->node == node && is_parked(pairing, parked))
            return parked;
    }
    return NULL;
}

/* Is the directory that left this place watched, so that its MOVE_SELF will come? */
static bool is_watched(Pairing *pairing, const Node *dir, const char *name)
{
    const Node *node = tree_child(pairing->tree, dir, name);

    for (size_t i = 0; i < PAIRING_PARKED && pairing->n_parked > 0; i++) {
        const Parked *parked = &pairing->parked[i];

        if (is_parked(pairing, parked) && parked->node->parent == dir &&
            strcmp(parked->name, name) == 0)
            node = parked->node;
    }
    return node && node->wd >= 0;
}

/* The half becomes a pair. False when memory runs out. */
static bool move_add(Pairing *pairing, Half *half, Node *to, const char *to_name, bool late)
{
    bool awaited = !late && is_watched(pairing, half->dir, half->name);
    char *copy = strdup(to_name);
    DirectoryMove *move;

    if (!copy)
        return false;
    (void)node_ref(to); /* the listener may take it out of the tree */
    if (pairing->n_moves == PAIRING_MOVES)
        move_flush(pairing, 0);
    move = &pairing->moves[pairing->n_moves++];
    move->from = STEAL_PTR(half->dir);
    move->from_name = STEAL_PTR(half->name);
    move->to = to;
    move->to_name = copy;
    move->cookie = half->cookie;
    move->until = awaited ? clock_now() + WAIT_FOR_REST : 0;
    return true;
}

/*
 * pairing_arrived() - MOVED_TO: a directory came to a name
 * @late: events behind this one have been applied before it, MOVE_SELF may be among them
 *
 * True: where it left is known too, and the listener is told when MOVE_SELF has come.
 */
bool pairing_arrived(Pairing *pairing, const Event *event, Node *dir, bool late)
{
    Half *half = half_find(pairing, event->cookie);
    bool paired = half && move_add(pairing, half, dir, event->name, late);

    if (half)
        half_clear(half);
    return paired;
}

/* ---- directories whose name another one took ---- */

static void unpark(Pairing *pairing, Parked *parked)
{
    pairing->n_parked--;
    free(parked->name);
    (void)node_unref(parked->node);
    *parked = (Parked){0};
}

/* What is still parked has no place any more. */
static void drop_parked(Pairing *pairing, Parked *parked)
{
    if (is_parked(pairing, parked))
        tree_remove(pairing->tree, parked->node);
    unpark(pairing, parked);
}

/* Nobody tells where it is. As long as it is watched it may be found. */
static void give_up_parked(Pairing *pairing, Parked *parked)
{
    if (is_parked(pairing, parked) && parked->node->wd >= 0)
        pairing->listener->unplaced(pairing->listener, parked->node);
    drop_parked(pairing, parked);
}

static Parked *free_place(Pairing *pairing)
{
    for (size_t i = 0; i < PAIRING_PARKED; i++)
        if (!pairing->parked[i].node)
            return &pairing->parked[i];
    return NULL;
}

/* Without a place for it, it is removed by what takes its name, and found by a scan. */
static void park(Pairing *pairing, Node *node)
{
    Parked *parked = free_place(pairing);
    char *own = parked ? strdup(node_name(node)) : NULL;
    char name[32];

    if (!own)
        return;
    print_place(pairing, parked, name);
    pairing->listener->directory_moving(pairing->listener, node, node->parent, name);
    if (tree_move(pairing->tree, node, node->parent, name) != 0) {
        free(own);
        return;
    }
    parked->node = node_ref(node);
    parked->name = own;
    parked->until = clock_now() + WAIT_FOR_REST;
    pairing->n_parked++;
}

/* pairing_ended() - IGNORED: a watch has ended. True: its directory was parked, so it has been
 * replaced, and its node is gone. */
bool pairing_ended(Pairing *pairing, Node *node)
{
    Parked *parked = parked_find(pairing, node);

    if (!parked)
        return false;
    drop_parked(pairing, parked);
    return true;
}

/* ---- relinking ---- */

/* The name under which the events know a node. */
static const char *event_name(Pairing *pairing, const Node *node)
{
    const Parked *parked = parked_find(pairing, node);

    return parked ? parked->name : node_name(node);
}

/* The pair that begins where the node is, in the tree, at this moment. */
static bool move_find(Pairing *pairing, const Node *node, size_t *ret_i)
{
    const char *name = event_name(pairing, node);

    for (size_t i = 0; i < pairing->n_moves; i++) {
        const DirectoryMove *move = &pairing->moves[i];

        if (move->from != node->parent || strcmp(move->from_name, name) != 0)
            continue;
        *ret_i = i;
        return true;
    }
    return false;
}

/* What cannot be relinked is found by the scan of its new name. One that is replaced and has no
 * watch would never be heard of again. */
static void relink(Pairing *pairing, Node *node, Node *to, const char *name)
{
    Node *victim = tree_child(pairing->tree, to, name);
    Parked *own = parked_find(pairing, node);

    if (to->detached || victim == node || node_is_within(to, node))
        return;
    if (victim && victim->wd >= 0 && !node_is_within(node, victim))
        park(pairing, victim);
    pairing->listener->directory_moving(pairing->listener, node, to, name);
    if (tree_move(pairing->tree, node, to, name) == 0 && own)
        unpark(pairing, own);
}

/* pairing_moved() - MOVE_SELF: this directory has moved */
void pairing_moved(Pairing *pairing, Node *node)
{
    DirectoryMove move;
    size_t i;

    if (!move_find(pairing, node, &i)) {
        /* The name that it left is pending already. Or a scan has told of it before the events did;
         * then the rest of these may find nothing either. */
        for (i = 0; i < pairing->n_moves; i++)
            pairing->moves[i].until = 0;
        return;
    }
    move = move_take(pairing, i);
    relink(pairing, node, move.to, move.to_name);
    move_tell(pairing, &move);
    move_done(&move);
}

/* ---- what does not come ---- */

/* Is this event one of the rename that a parked directory waits for? */
static bool is_its_own(Parked *parked, const Event *event)
{
    if (event->mask & IN_MOVED_FROM && strcmp(parked->name, event->name) == 0) {
        parked->cookie = event->cookie;
        return true;
    }
    return event->mask & IN_MOVED_TO && event->cookie == parked->cookie;
}

/*
 * pairing_passed() - an event in a directory: a name was made, has gone, or moved
 *
 * The kernel queues all events of a rename, or of an exchange, while both directories are locked.
 * So what has not come before another one's event will not come.
 */
void pairing_passed(Pairing *pairing, const Event *event, const Node *dir)
{
    for (size_t i = 0; i < pairing->n_moves;) {
        const DirectoryMove *move = &pairing->moves[i];

        if ((move->from == dir || move->to == dir) && move->cookie != event->cookie)
            move_flush(pairing, i);
        else
            i++;
    }
    for (size_t i = 0; i < PAIRING_PARKED && pairing->n_parked > 0; i++) {
        Parked *parked = &pairing->parked[i];

        if (is_parked(pairing, parked) && parked->node->parent == dir && !is_its_own(parked, event))
            give_up_parked(pairing, parked);
    }
}

/*
 * pairing_flush() - the queue has been read: give up what will not come, or has been waited for
 * long enough
 *
 * Returns when to call again (clock_now()), at the latest, or UINT64_MAX when nothing is waited
 * for. Until then paths of moved directories are not final.
 */
uint64_t pairing_flush(Pairing *pairing)
{
    uint64_t now = pairing->n_moves + pairing->n_parked > 0 ? clock_now() : 0;
    uint64_t next = UINT64_MAX;

    for (size_t i = 0; i < pairing->n_moves;) {
        const DirectoryMove *move = &pairing->moves[i];

        if (move->until <= now || move->from->detached) {
            move_flush(pairing, i);
            continue;
        }
        next = move->until < next ? move->until : next;
        i++;
    }
    for (size_t i = 0; i < PAIRING_PARKED && pairing->n_parked > 0; i++) {
        Parked *parked = &pairing->parked[i];

        if (!parked->node)
            continue;
        if (!is_parked(pairing, parked)) {
            unpark(pairing, parked);
        } else if (parked->until <= now || parked->node->wd < 0) {
            give_up_parked(pairing, parked);
        } else {
            next = parked->until < next ? parked->until : next;
        }
    }
    return next;
}

void pairing_done(Pairing *pairing)
{
    for (size_t i = 0; i < PAIRING_HALVES; i++)
        half_clear(&pairing->halves[i]);
    while (pairing->n_moves > 0) {
        DirectoryMove move = move_take(pairing, 0);

        move_done(&move);
    }
    for (size_t i = 0; i < PAIRING_PARKED; i++)
        if (pairing->parked[i].node)
            drop_parked(pairing, &pairing->parked[i]);
}
