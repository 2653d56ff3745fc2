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
 * are waited for two seconds at most, and not again at once, since nothing else can be written
 * meanwhile.
 */
#include "sync/engine-private.h"
#include "util/clock.h"

#define SCANS_MAX  64 /* are under way: no more are begun ahead of their time */
#define MOVES_WAIT (2 * CLOCK_US_PER_SEC)
#define MOVES_REST (5 * CLOCK_US_PER_SEC) /* from the end of that on */

/* A scan will come to it, and has not yet. */
static bool is_uncompared(const Node *node, bool scanning)
{
    return (scanning || node->dirty) && !node->trusted && !node->foreign && !node->unreadable;
}

/* The topmost of a directory and those above it; NULL: all have been compared, or it cannot be
 * told. (On a volume that does not answer nothing is found out.) */
static Node *first_uncompared(const Engine *engine, Node *node)
{
    bool scanning = engine->n_joins > 0 || scans_under_way(engine) > 0;
    Node *first = NULL;

    if (node_is_held(node) || node_is_moving(node))
        return NULL;
    for (; node; node = node->parent) {
        if (is_uncompared(node, scanning))
            first = node;
        if (node->parent && node->place > 0 && node_is_hung(engine, node->parent))
            break;
    }
    return first;
}

/*
 * node_is_ahead() - has a scan still to come to this directory, or to one above it?
 *
 * It is looked at at once then.
 */
bool node_is_ahead(Engine *engine, Node *node)
{
    Node *first;

    if (engine->n_scans == 0 && engine->n_joins == 0 && engine->n_dirty == 0)
        return false;
    first = node_is_hung(engine, node) ? NULL : first_uncompared(engine, node);
    if (first && !first->hurried && engine->n_root_scans > 0 && engine->n_scans < SCANS_MAX) {
        first->hurried = true; /* once; then the scan comes to it in its turn */
        scan_node(engine, first, true, false);
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

/* kept_has_room() - a flood is not kept back */
bool kept_has_room(const Engine *engine)
{
    return engine->n_kept < ENGINE_KEPT_MAX && engine->pending.count < ENGINE_PENDING_MAX / 2;
}

/* kept_waits() - is it too early for a change that is due? */
bool kept_waits(Engine *engine, const Change *change)
{
    if (is_news(change))
        return true;
    return !change->dir->detached && kept_has_room(engine) && node_is_ahead(engine, change->dir);
}

/* kept_add() - keep a change that is due */
void kept_add(Engine *engine, Change *change)
{
    pending_park(&engine->pending, change, &engine->kept);
    engine->n_kept++;
}

/* Of what was kept, nothing can have changed as long as these are the same. */
static uint64_t state_of(const Engine *engine)
{
    const uint64_t state[] = {
        engine->counters.joins, engine->n_joins,
        engine->n_scans,        engine->n_origins,
        engine->n_hung,         engine->held_folders.count,
        engine->tree->n_nodes,  engine->tree->n_moves,
        engine->n_dirty,        engine->pending.count < ENGINE_PENDING_MAX / 2};

    return hash_bytes(state, sizeof(state), 0);
}

/* kept_run() - those whose time has come are due again */
void kept_run(Engine *engine)
{
    uint64_t now, state;

    if (list_is_empty(&engine->kept)) {
        engine->n_kept = 0;
        return;
    }
    state = state_of(engine);
    if (state == engine->kept_state)
        return;
    engine->kept_state = state;
    now = clock_now();
    engine->n_kept = 0; /* some were touched, and have left */
    LIST_FOREACH_SAFE (link, tmp, &engine->kept) {
        Change *change = CONTAINER_OF(link, Change, link);

        if (kept_waits(engine, change) || follow_state(engine, change) == FOLLOW_STATE_EARLY)
            engine->n_kept++;
        else
            pending_wait(&engine->pending, change, now);
    }
}

static bool is_any_early(Engine *engine)
{
    LIST_FOREACH (link, &engine->moves.due) {
        const Node *node = CONTAINER_OF(link, Move, link)->node;

        if (!node->detached && node->parent && !moves_know(&engine->moves, node->parent) &&
            node_is_early(engine, node->parent))
            return true;
    }
    return false;
}

/* kept_moves() - is it too early for directories' rows to follow them? One is moved to where rows
 * are still to be found */
bool kept_moves(Engine *engine)
{
    uint64_t now;

    if ((engine->n_scans == 0 && engine->n_joins == 0 && engine->n_dirty == 0 &&
         engine->n_origins == 0) ||
        !is_any_early(engine)) {
        engine->kept_until = 0;
        return false;
    }
    now = clock_now();
    if (engine->kept_until == 0 && now >= engine->kept_rest) {
        engine->kept_until = now + MOVES_WAIT;
        engine->kept_rest = engine->kept_until + MOVES_REST;
    }
    return now < engine->kept_until;
}
