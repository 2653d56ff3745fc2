/*
 * What is too early
 *
 * A directory that was moved while nobody looked has its rows at another path, until a scan has
 * compared it and they have followed (sync/origins.c). A row that is written of anything in it
 * before, or below, would give it one of its own, and leave those behind. So that is too early: a
 * photo that comes to it, a directory that is made in it, what is renamed to it. Changes are
 * *kept*, and the directory is compared at once, ahead of the scan.
 *
 * A flood is not kept back, it would take the room that the scan needs; and directories that move
 * are waited for two seconds at most, since nothing else can be written meanwhile.
 */
#include "sync/engine-private.h"
#include "util/clock.h"

#define DIRTY_MAX  (ENGINE_DIRTY_MAX / 2)
#define MOVES_WAIT (2 * CLOCK_US_PER_SEC)

/* A scan will come to it, and has not yet. */
static bool is_uncompared(const Engine *engine, const Node *node)
{
    return (engine->n_root_scans > 0 || node->dirty) && !node->trusted && !node->foreign &&
           !node->unreadable && !node->held;
}

/* The topmost of a directory and those above it; NULL: all have been compared. */
static Node *first_uncompared(const Engine *engine, Node *node)
{
    Node *first = NULL;

    for (; node; node = node->parent)
        if (is_uncompared(engine, node))
            first = node;
    return first;
}

/*
 * node_is_ahead() - has a scan still to come to this directory, or to one above it?
 *
 * It is looked at soon then. On a volume that does not answer nothing is found out.
 */
bool node_is_ahead(Engine *engine, Node *node)
{
    const Volume *volume;
    Node *first;

    if (engine->n_root_scans == 0 && engine->n_dirty == 0)
        return false;
    volume = volume_of(engine, node);
    first = volume && !volume->hung ? first_uncompared(engine, node) : NULL;
    if (first && !first->hurried && engine->n_dirty < DIRTY_MAX) {
        first->hurried = true; /* once; then the scan comes to it in its turn */
        dirty_add(engine, first, true);
    }
    return first != NULL;
}

/* node_is_early() - is it still to be found out which rows this directory has, or one above it? */
bool node_is_early(Engine *engine, Node *node)
{
    return node_is_ahead(engine, node) || origins_ask_for(engine, node);
}

/* A scan would not find out what an event has told: that the file was written to, or is another
 * one, though its size and mtime are the same. */
static bool is_news(const Change *change)
{
    return (change->live || change->reread) && !change->dir->detached &&
           !node_is_held(change->dir) && node_is_moving(change->dir);
}

/* kept_waits() - is it too early for a change that is due? */
bool kept_waits(Engine *engine, const Change *change)
{
    if (is_news(change))
        return true;
    return !change->dir->detached && !node_is_moving(change->dir) &&
           engine->n_kept < ENGINE_KEPT_MAX && node_is_early(engine, change->dir);
}

/* kept_add() - keep a change that is due */
void kept_add(Engine *engine, Change *change)
{
    pending_park(&engine->pending, change, &engine->kept);
    engine->n_kept++;
}

/* kept_run() - those whose time has come are due again */
void kept_run(Engine *engine)
{
    uint64_t now = clock_now();

    engine->n_kept = 0; /* some were touched, and have left */
    LIST_FOREACH_SAFE (link, tmp, &engine->kept) {
        Change *change = CONTAINER_OF(link, Change, link);

        if (kept_waits(engine, change) || follow_state(engine, change) == FOLLOW_STATE_EARLY)
            engine->n_kept++;
        else
            pending_wait(&engine->pending, change, now);
    }
}

/* kept_moves() - is it too early for directories' rows to follow them? One is moved to where rows
 * are still to be found */
bool kept_moves(Engine *engine)
{
    bool early = false;

    if (engine->n_root_scans > 0 || engine->n_dirty > 0 || engine->n_origins > 0)
        LIST_FOREACH (link, &engine->moves.due) {
            const Node *node = CONTAINER_OF(link, Move, link)->node;

            early |= !node->detached && node->parent && node_is_early(engine, node->parent);
        }
    if (!early)
        engine->kept_until = 0;
    else if (engine->kept_until == 0)
        engine->kept_until = clock_now() + MOVES_WAIT;
    return early && clock_now() < engine->kept_until;
}
