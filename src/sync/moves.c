/*
 * Renamed directories
 *
 * The tree follows a rename at once, the rows a moment later. Until then the node is recorded with
 * the path that its rows still have. All records together say "the rows of each of these nodes go
 * from here to where the node is now"; they are carried out together, a directory before those
 * below it. While any is left nothing else is looked up or written: its paths would not agree with
 * the rows.
 */
#include "sync/moves.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "util/error.h"

/* ---- the records ---- */

static uint64_t node_hash(const Node *node)
{
    return hash_bytes(&node, sizeof(node), 0);
}

/* There may be thousands, and each event of a directory looks here. */
static Move *move_of(const Moves *moves, const Node *node, bool taken)
{
    if (moves->by_node.count == 0)
        return NULL;
    for (HashNode *h = hash_first(&moves->by_node, node_hash(node)); h; h = hash_next(h)) {
        Move *move = CONTAINER_OF(h, Move, by_node);

        if (move->node == node && (move->target != NULL) == taken)
            return move;
    }
    return NULL;
}

static uint64_t path_hash(const char *path)
{
    return hash_bytes(path, strlen(path), 0);
}

/* rows_path is taken over. NULL without memory. */
static Move *move_new(Moves *moves, Node *node, char *rows_path)
{
    Move *move = calloc(1, sizeof(*move));

    if (!move || hash_insert(&moves->by_node, &move->by_node, node_hash(node)) < 0) {
        free(move);
        free(rows_path);
        return NULL;
    }
    if (hash_insert(&moves->by_rows_path, &move->by_rows_path, path_hash(rows_path)) < 0) {
        hash_remove(&moves->by_node, &move->by_node);
        free(move);
        free(rows_path);
        return NULL;
    }
    move->moves = moves;
    move->rows_path = rows_path;
    move->node = node_ref(node);
    list_append(&moves->due, &move->link);
    return move;
}

/* move_free() - it is committed, or nothing comes of it. Returns NULL */
Move *move_free(Move *move)
{
    if (!move)
        return NULL;
    hash_remove(&move->moves->by_node, &move->by_node);
    hash_remove(&move->moves->by_rows_path, &move->by_rows_path);
    if (move->target)
        hash_remove(&move->moves->by_target, &move->by_target);
    list_remove(&move->link);
    (void)node_unref(move->node);
    free(move->rows_path);
    free(move->target);
    free(move);
    return NULL;
}

/* moves_rows_path() - where the rows of a node are now: its path, unless it or a directory above it
 * was just moved, and that is not committed yet. NULL when memory runs out. */
char *moves_rows_path(const Moves *moves, const Node *node)
{
    const Move *taken = move_of(moves, node, true);
    const Move *move = taken ? taken : move_of(moves, node, false);
    CLEANUP_FREE char *above = NULL;

    if (move)
        return strdup(move->rows_path);
    if (!node->parent)
        return strdup(node_name(node));
    above = moves_rows_path(moves, node->parent);
    return above ? path_join(above, node_name(node)) : NULL;
}

static bool is_same(const char *path, const char *other, size_t length)
{
    return strncmp(path, other, length) == 0 && path[length] == '\0';
}

/* The next shorter directory on the way up a path, from the path itself (SIZE_MAX) to "/": how many
 * bytes name it. 0: there is none. */
static size_t next_above(const char *path, size_t length)
{
    if (length == SIZE_MAX)
        return strlen(path);
    if (length <= 1)
        return 0;
    while (--length > 1 && path[length] != '/')
        ;
    return length;
}

#define FOREACH_ABOVE(length, path)                                                                \
    for (size_t length = next_above((path), SIZE_MAX); length > 0;                                 \
         length = next_above((path), length))

typedef enum Claim {
    CLAIM_NONE,
    CLAIM_OWN,
    CLAIM_OTHER,
} Claim;

/* Has a directory moved away from the first bytes of a path: this one, or another? */
static Claim claim_at(const Moves *moves, const Node *own, const char *path, size_t length)
{
    uint64_t hash = hash_bytes(path, length, 0);
    Claim claim = CLAIM_NONE;

    for (HashNode *h = hash_first(&moves->by_rows_path, hash); h; h = hash_next(h)) {
        const Move *move = CONTAINER_OF(h, Move, by_rows_path);

        if (!is_same(move->rows_path, path, length))
            continue;
        if (move->node == own)
            return CLAIM_OWN;
        claim = CLAIM_OTHER;
    }
    return claim;
}

/* The nearest directory, the node or one above it, that has moved: its rows' path begins with that
 * one's. NULL: none has. */
static const Node *nearest_moved(const Moves *moves, const Node *node)
{
    while (node && !move_of(moves, node, true) && !move_of(moves, node, false))
        node = node->parent;
    return node;
}

/* The move whose rows are just being brought to the first bytes of a path. */
static const Move *move_to(const Moves *moves, const char *path, size_t length)
{
    for (HashNode *h = hash_first(&moves->by_target, hash_bytes(path, length, 0)); h;
         h = hash_next(h)) {
        const Move *move = CONTAINER_OF(h, Move, by_target);

        if (is_same(move->target, path, length))
            return move;
    }
    return NULL;
}

/* Who takes along what stands at this path? due: those that are not being carried out yet */
static const Move *nearest_from(const Moves *moves, const char *path, bool due)
{
    FOREACH_ABOVE (length, path) {
        for (HashNode *h = hash_first(&moves->by_rows_path, hash_bytes(path, length, 0)); h;
             h = hash_next(h)) {
            const Move *move = CONTAINER_OF(h, Move, by_rows_path);

            if (!move->target == due && is_same(move->rows_path, path, length))
                return move;
        }
    }
    return NULL;
}

/* Who brings what will stand at this path? */
static const Move *nearest_to(const Moves *moves, const char *path)
{
    FOREACH_ABOVE (length, path) {
        const Move *move = move_to(moves, path, length);

        if (move)
            return move;
    }
    return NULL;
}

/* Rows are just being brought to where the rows of this path go, or are. */
static bool is_overtaken(const Moves *moves, const char *rows_path)
{
    const Move *from = nearest_from(moves, rows_path, false), *to;
    CLEANUP_FREE char *path = NULL;

    if (moves->by_target.count == 0)
        return false;
    if (from && asprintf(&path, "%s%s", from->target, rows_path + strlen(from->rows_path)) < 0)
        return false;
    to = nearest_to(moves, from ? path : rows_path);
    return to && to != from;
}

/* A directory that was made where another one has just left: the rows of this path are that one's,
 * or will be. The nearest one to have left is asked. */
static bool has_no_rows(const Moves *moves, const Node *node, const char *rows_path)
{
    const Node *own = nearest_moved(moves, node);

    if (moves->by_rows_path.count == 0 || own == node)
        return false;
    FOREACH_ABOVE (length, rows_path) {
        Claim claim = claim_at(moves, own, rows_path, length);

        if (claim != CLAIM_NONE)
            return claim == CLAIM_OTHER || is_overtaken(moves, rows_path);
    }
    return is_overtaken(moves, rows_path);
}

/* moves_are_at() - are the rows of a node, and no other's, at this path now? False when memory runs
 * out, too */
bool moves_are_at(const Moves *moves, const Node *node, const char *path)
{
    CLEANUP_FREE char *rows_path = moves_rows_path(moves, node);

    return rows_path && strcmp(rows_path, path) == 0 && !has_no_rows(moves, node, rows_path);
}

/*
 * moves_record_from() - a directory is found to be that of rows at another path
 *
 * False: it has been moved anew, or memory ran out.
 */
bool moves_record_from(Moves *moves, Node *node, const char *path)
{
    char *rows_path = move_of(moves, node, false) ? NULL : strdup(path);

    return rows_path && move_new(moves, node, rows_path);
}

/* A directory without rows takes others along, whose rows are on their way to where they were. */
static void record_below(Moves *moves, const Node *node)
{
    LIST_FOREACH (link, &moves->taken) {
        const Move *move = CONTAINER_OF(link, Move, link);

        if (node_is_within(move->node, node))
            (void)moves_record_from(moves, move->node, move->rows_path);
    }
}

/*
 * moves_record() - a directory is about to be relinked: remember where its rows are
 *
 * Without memory its files are later found one by one, by their inodes.
 *
 * Return: 0, -ENOMEM, or MOVES_E_NO_ROWS: it was made where another one has just left, and is to be
 * compared with the rows once it has a place.
 */
int moves_record(Moves *moves, Node *node)
{
    char *rows_path;

    if (move_of(moves, node, false))
        return 0;
    rows_path = moves_rows_path(moves, node);
    if (!rows_path)
        return error_trace(-ENOMEM);
    if (has_no_rows(moves, node, rows_path)) {
        free(rows_path);
        record_below(moves, node);
        return MOVES_E_NO_ROWS;
    }
    return move_new(moves, node, rows_path) ? 0 : error_trace(-ENOMEM);
}

/* moves_set_unseen() - what is in the directory has not been compared with its rows, or not since
 * events were lost: where it has come to, they cannot be found before they have followed */
void moves_set_unseen(Moves *moves, const Node *node)
{
    Move *move = move_of(moves, node, false);

    if (move)
        move->unseen = true;
}

/* moves_know() - has it moved, or a directory above it, so that where its rows are is known? */
bool moves_know(const Moves *moves, const Node *node)
{
    return nearest_moved(moves, node) != NULL;
}

/* moves_has() - is a move of it due? */
bool moves_has(const Moves *moves, const Node *node)
{
    return move_of(moves, node, false);
}

/* ---- carrying them out ---- */

static bool is_home(const Move *move)
{
    CLEANUP_FREE char *path = node_path_new(move->node);

    return path && strcmp(path, move->rows_path) == 0;
}

/* A move whose directory left the tree, or came back to where its rows are, is no move any more.
 * The latter counts as long as there are others: they may take its rows along. */
static void drop_void(Moves *moves)
{
    Move *first;

    LIST_FOREACH_SAFE (link, tmp, &moves->due) {
        Move *move = CONTAINER_OF(link, Move, link);

        if (move->node->detached)
            (void)move_free(move);
    }
    if (list_is_empty(&moves->due))
        return;
    first = CONTAINER_OF(list_first(&moves->due), Move, link);
    if (list_first(&moves->due) == list_last(&moves->due) && is_home(first))
        (void)move_free(first);
}

/* How many directories are above a path. */
static size_t depth_of(const char *path)
{
    size_t depth = 0;

    for (; *path; path++)
        depth += *path == '/';
    return depth;
}

typedef struct Turn {
    Move *move;
    size_t depth, number;
} Turn;

static int compare_turns(const void *a, const void *b)
{
    const Turn *x = a, *y = b;

    if (x->depth != y->depth)
        return x->depth < y->depth ? -1 : 1;
    return x->number < y->number ? -1 : x->number > y->number;
}

/* False: no memory; it stays due. */
static bool take(Moves *moves, Move *move)
{
    move->target = node_path_new(move->node);
    if (!move->target)
        return false;
    if (hash_insert(&moves->by_target, &move->by_target, path_hash(move->target)) < 0) {
        free(move->target);
        move->target = NULL;
        return false;
    }
    return true;
}

static void give_back(Moves *moves, Move *move)
{
    hash_remove(&moves->by_target, &move->by_target);
    free(move->target);
    move->target = NULL;
}

/*
 * moves_take() - all moves that are due, in the order in which they can be carried out
 *
 * Together, for the rows of one may stand where another one's go; and a directory before those
 * below it, whose new place may not exist until then. Each is the caller's to free, when it is
 * committed or has come to nothing.
 *
 * Return: the taken ones, Move.link; empty when there are none, or memory ran out
 */
const List *moves_take(Moves *moves)
{
    CLEANUP_FREE Turn *turns = NULL;
    size_t n = 0;

    drop_void(moves);
    LIST_FOREACH (link, &moves->due)
        n++;
    turns = n > 0 ? calloc(n, sizeof(*turns)) : NULL;
    if (!turns)
        return &moves->taken;
    n = 0;
    LIST_FOREACH (link, &moves->due) {
        Move *move = CONTAINER_OF(link, Move, link);

        if (!take(moves, move)) { /* all or none: one may stand in the way of another */
            while (n > 0)
                give_back(moves, turns[--n].move);
            return &moves->taken;
        }
        turns[n] = (Turn){move, depth_of(move->target), n};
        n++;
    }
    qsort(turns, n, sizeof(*turns), compare_turns);
    for (size_t i = 0; i < n; i++) {
        list_remove(&turns[i].move->link);
        list_append(&moves->taken, &turns[i].move->link);
    }
    return &moves->taken;
}

/*
 * moves_place() - where in the tree rows are to be that stand at a path now
 *
 * As long as a directory's rows have not followed it, those below it are at its older path.
 *
 * Return: the caller's to free; NULL when memory runs out, or the directory has left the tree
 */
char *moves_place(const Moves *moves, const char *rows_path)
{
    FOREACH_ABOVE (length, rows_path) {
        for (HashNode *h = hash_first(&moves->by_rows_path, hash_bytes(rows_path, length, 0)); h;
             h = hash_next(h)) {
            const Move *move = CONTAINER_OF(h, Move, by_rows_path);
            CLEANUP_FREE char *above = NULL;

            if (move->target || !is_same(move->rows_path, rows_path, length))
                continue;
            above = move->node->detached ? NULL : node_path_new(move->node);
            if (!above || rows_path[length] == '\0')
                return STEAL_PTR(above);
            return path_join(above, rows_path + length + 1);
        }
    }
    return strdup(rows_path);
}

/* moves_lead_to() - are a directory's rows just being brought to this path, or one above it? */
bool moves_lead_to(const Moves *moves, const char *path)
{
    return moves->by_target.count > 0 && nearest_to(moves, path);
}

/* moves_take_along() - does a row at this path just move along with a directory? */
bool moves_take_along(const Moves *moves, const char *path)
{
    return moves->by_target.count > 0 && nearest_from(moves, path, false);
}

/* moves_will_take_along() - will it, as soon as the moves that are due are carried out? */
bool moves_will_take_along(const Moves *moves, const char *path)
{
    return moves_are_due(moves) && nearest_from(moves, path, true);
}

/* moves_committed() - rows went from one path to another: what is to come starts from there */
void moves_committed(Moves *moves, const PathMove *paths, size_t n_paths)
{
    LIST_FOREACH (link, &moves->due) {
        Move *move = CONTAINER_OF(link, Move, link);
        char *path;

        /* At that very path: moved once more, while it was being moved. */
        if (path_moved(move->rows_path, paths, n_paths, true, &path) < 0 || !path)
            continue;
        hash_remove(&moves->by_rows_path, &move->by_rows_path);
        free(move->rows_path);
        move->rows_path = path;
        /* The table had room for it a moment ago. */
        (void)hash_insert(&moves->by_rows_path, &move->by_rows_path, path_hash(path));
    }
}

/* moves_init() - an empty one; moves_clear() frees it */
void moves_init(Moves *moves)
{
    *moves = (Moves){0};
    list_init(&moves->due);
    list_init(&moves->taken);
}

/* moves_clear() - forget what is due; what is with the store is freed as it comes back, and then
 * this is to be called again */
void moves_clear(Moves *moves)
{
    for (ListNode *link; (link = list_first(&moves->due));)
        (void)move_free(CONTAINER_OF(link, Move, link));
    if (moves->by_node.count > 0) /* some are with the store */
        return;
    hash_done(&moves->by_node);
    hash_done(&moves->by_rows_path);
    hash_done(&moves->by_target);
}
