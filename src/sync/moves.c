/*
 * Renamed directories
 *
 * The tree follows a rename at once, the rows a moment later. Until then the node is recorded with
 * the path that its rows still have. All records together say "the rows of each of these nodes go
 * from here to where the node is now"; they are carried out one after the other, a directory before
 * those below it, and two that exchange their places in one go. While any is left nothing else is
 * looked up or written: its paths would not agree with the rows.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "sync/engine-private.h"
#include "util/error.h"
#include "util/log.h"
#include "util/path.h"

#define CHAINS_MAX 64

/* ---- the records ---- */

static uint64_t node_hash(const Node *node)
{
    return hash_bytes(&node, sizeof(node), 0);
}

/* There may be thousands, and each event of a directory looks here. */
static Move *move_of(const Engine *engine, const Node *node, bool taken)
{
    if (engine->moves_by_node.count == 0)
        return NULL;
    for (HashNode *h = hash_first(&engine->moves_by_node, node_hash(node)); h; h = hash_next(h)) {
        Move *move = CONTAINER_OF(h, Move, by_node);

        if (move->node == node && move->taken == taken)
            return move;
    }
    return NULL;
}

/* rows_path is taken over. NULL without memory. */
static Move *move_new(Engine *engine, Node *node, char *rows_path)
{
    Move *move = calloc(1, sizeof(*move));

    if (!move || hash_insert(&engine->moves_by_node, &move->by_node, node_hash(node)) < 0) {
        free(move);
        free(rows_path);
        return NULL;
    }
    if (hash_insert(&engine->moves_by_rows_path, &move->by_rows_path,
                    hash_bytes(rows_path, strlen(rows_path), 0)) < 0) {
        hash_remove(&engine->moves_by_node, &move->by_node);
        free(move);
        free(rows_path);
        return NULL;
    }
    move->engine = engine;
    move->rows_path = rows_path;
    move->node = node_ref(node);
    list_append(&engine->moves, &move->link);
    return move;
}

Move *move_free(Move *move)
{
    if (!move)
        return NULL;
    hash_remove(&move->engine->moves_by_node, &move->by_node);
    hash_remove(&move->engine->moves_by_rows_path, &move->by_rows_path);
    list_remove(&move->link);
    (void)node_unref(move->node);
    free(move->rows_path);
    free(move);
    return NULL;
}

/* moves_rows_path() - where the rows of a node are now: its path, unless it or a directory above it
 * was just moved, and that is not committed yet. NULL when memory runs out. */
char *moves_rows_path(const Engine *engine, const Node *node)
{
    const Move *taken = move_of(engine, node, true);
    const Move *move = taken ? taken : move_of(engine, node, false);
    CLEANUP_FREE char *above = NULL;

    if (move)
        return strdup(move->rows_path);
    if (!node->parent)
        return strdup(node_name(node));
    above = moves_rows_path(engine, node->parent);
    return above ? path_join(above, node_name(node)) : NULL;
}

typedef enum Claim {
    CLAIM_NONE,
    CLAIM_ABOVE, /* by a directory above the node, or the node: its rows are with that one's */
    CLAIM_OTHER,
} Claim;

/* Who has moved away from the first bytes of a path? */
static Claim find_claim(const Engine *engine, const Node *node, const char *path, size_t length)
{
    uint64_t hash = hash_bytes(path, length, 0);
    Claim claim = CLAIM_NONE;

    for (HashNode *h = hash_first(&engine->moves_by_rows_path, hash); h; h = hash_next(h)) {
        const Move *move = CONTAINER_OF(h, Move, by_rows_path);

        if (strncmp(move->rows_path, path, length) != 0 || move->rows_path[length] != '\0')
            continue;
        if (node_is_within(node, move->node))
            return CLAIM_ABOVE;
        claim = CLAIM_OTHER;
    }
    return claim;
}

/* A directory that was made where another one has just left: the rows of this path are that one's.
 * The nearest one to have left is asked. */
static bool has_no_rows(const Engine *engine, const Node *node, const char *rows_path)
{
    Claim claim = CLAIM_NONE;

    if (engine->moves_by_rows_path.count == 0 || move_of(engine, node, true))
        return false;
    for (size_t length = strlen(rows_path); length > 0 && claim == CLAIM_NONE; length--)
        if (rows_path[length] == '/' || rows_path[length] == '\0' || length == 1)
            claim = find_claim(engine, node, rows_path, length);
    return claim == CLAIM_OTHER;
}

/* moves_record() - a directory is about to be relinked: remember where its rows are */
void moves_record(Engine *engine, Node *node)
{
    char *rows_path;

    if (move_of(engine, node, false))
        return;
    rows_path = moves_rows_path(engine, node);
    if (!rows_path)
        return; /* its files are then found one by one, by their inodes */
    if (has_no_rows(engine, node, rows_path)) {
        dirty_add(engine, node, false); /* it gets its own */
        free(rows_path);
        return;
    }
    (void)move_new(engine, node, rows_path);
}

/*
 * moves_record_from() - a directory is found to be that of rows at another path
 *
 * False: it has been moved anew, or memory ran out.
 */
bool moves_record_from(Engine *engine, Node *node, const char *path)
{
    char *rows_path = move_of(engine, node, false) ? NULL : strdup(path);

    return rows_path && move_new(engine, node, rows_path);
}

bool move_is_due(const Engine *engine, const Node *node)
{
    return engine->moving || move_of(engine, node, false);
}

/* moves_pending() - is there a directory whose rows are elsewhere, or may there be? */
bool moves_pending(const Engine *engine)
{
    return engine->moving || !list_is_empty(&engine->moves) ||
           !list_is_empty(&engine->renames.asked) || watcher_waits(engine->watcher);
}

/* A move whose directory left the tree, or came back to where its rows are, is no move any more. */
static void drop_void(Engine *engine)
{
    LIST_FOREACH_SAFE (link, tmp, &engine->moves) {
        Move *move = CONTAINER_OF(link, Move, link);
        CLEANUP_FREE char *path = move->node->detached ? NULL : node_path_new(move->node);

        if (!path || strcmp(path, move->rows_path) == 0)
            (void)move_free(move);
    }
}

/* The nearest directory above a node that has moved too; NULL: none has. */
static Move *move_above(const Engine *engine, const Node *node)
{
    while ((node = node->parent)) {
        Move *move = move_of(engine, node, false);

        if (move)
            return move;
    }
    return NULL;
}

static Move *move_from(const Engine *engine, const char *path)
{
    uint64_t hash = hash_bytes(path, strlen(path), 0);

    for (HashNode *h = hash_first(&engine->moves_by_rows_path, hash); h; h = hash_next(h)) {
        Move *move = CONTAINER_OF(h, Move, by_rows_path);

        if (!move->taken && strcmp(move->rows_path, path) == 0)
            return move;
    }
    return NULL;
}

/* The move of the rows that stand where this one goes; it goes along. */
static Move *move_next(const Engine *engine, const Move *move)
{
    CLEANUP_FREE char *path = node_path_new(move->node);

    return path ? move_from(engine, path) : NULL;
}

static bool is_in_chain(const Engine *engine, const Move *first, const Move *wanted)
{
    const Move *move = first;

    for (size_t n = 0; move && n < engine->moves_by_node.count; n++) {
        if (move == wanted)
            return true;
        move = move_next(engine, move);
    }
    return false;
}

/* The move that must come before a chain: of a directory above one of it. */
static Move *find_earlier(const Engine *engine, const Move *first)
{
    const Move *move = first;

    for (size_t n = 0; move && (n == 0 || move != first) && n < engine->moves_by_node.count; n++) {
        Move *above = move_above(engine, move->node);

        if (above && !is_in_chain(engine, first, above))
            return above;
        move = move_next(engine, move);
    }
    return NULL;
}

/* A directory goes before those below it, whose new place may not exist until then. */
static Move *first_move(const Engine *engine)
{
    Move *first = NULL;

    LIST_FOREACH (link, &engine->moves) {
        first = CONTAINER_OF(link, Move, link);
        if (!move_above(engine, first->node))
            break;
    }
    /* Two chains, each with one below one of the other, are not worth more than an end. */
    for (int n = 0; n < CHAINS_MAX && first; n++) {
        Move *earlier = find_earlier(engine, first);

        if (!earlier)
            break;
        first = earlier;
    }
    return first;
}

static Write *move_write(Move *move)
{
    Write *write = batch_new(STORE_OP_FOLDER_MOVE, NULL, NULL);

    if (!write)
        return NULL;
    write->op.path = strdup(move->rows_path);
    write->op.new_path = node_path_new(move->node);
    if (!write->op.path || !write->op.new_path)
        return write_free(write);
    list_remove(&move->link);
    move->taken = true;
    write->move = move;
    return write;
}

/*
 * moves_take() - the next move, with those that it exchanges places with, as operations
 *
 * The moves leave the list; the caller sets engine->moving until they are committed. A directory
 * whose target is the place that another one is leaving goes in the same call.
 */
void moves_take(Engine *engine, List *writes)
{
    Move *move;

    drop_void(engine);
    move = first_move(engine);
    while (move) {
        Write *write = move_write(move);

        if (!write)
            return;
        list_append(writes, &write->link);
        move = move_from(engine, write->op.new_path);
    }
}

/* moves_rows_moved() - where the rows of a directory at this path went; NULL: they are still there,
 * or memory ran out. The caller frees it. */
char *moves_rows_moved(const char *path, const PathMove *moves, size_t n_moves)
{
    char *moved;

    for (size_t i = 0; i < n_moves; i++)
        if (strcmp(path, moves[i].from) == 0)
            return strdup(moves[i].to);
    return path_moved(path, moves, n_moves, &moved) < 0 ? NULL : moved;
}

/* moves_committed() - rows went from one path to another: what is to come starts from there */
void moves_committed(Engine *engine, const PathMove *moves, size_t n_moves)
{
    renames_rebase(&engine->renames, moves, n_moves);
    origins_moved(engine, moves, n_moves);
    LIST_FOREACH (link, &engine->moves) {
        Move *move = CONTAINER_OF(link, Move, link);
        /* At that very path: moved once more, while it was being moved. */
        char *path = moves_rows_moved(move->rows_path, moves, n_moves);

        if (!path)
            continue;
        hash_remove(&engine->moves_by_rows_path, &move->by_rows_path);
        free(move->rows_path);
        move->rows_path = path;
        /* The table had room for it a moment ago. */
        (void)hash_insert(&engine->moves_by_rows_path, &move->by_rows_path,
                          hash_bytes(path, strlen(path), 0));
    }
}

void moves_clear(Engine *engine)
{
    for (ListNode *link; (link = list_first(&engine->moves));)
        (void)move_free(CONTAINER_OF(link, Move, link));
    if (engine->moves_by_node.count > 0) /* some are with the store */
        return;
    hash_done(&engine->moves_by_node);
    hash_done(&engine->moves_by_rows_path);
}
