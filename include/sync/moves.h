#pragma once
/* Moves of directories: where the rows of each are until they have followed it. */

#include <stdbool.h>
#include <stddef.h>

#include "util/hash.h"
#include "util/list.h"
#include "util/path.h"
#include "watch/tree.h"

typedef struct Moves {
    List due;               /* Move.link */
    List taken;             /* likewise: those that are being carried out */
    HashTable by_node;      /* Move.by_node of both */
    HashTable by_rows_path; /* Move.by_rows_path of both */
    HashTable by_target;    /* Move.by_target of the taken ones */
} Moves;

typedef struct Move {
    ListNode link; /* Moves.due, or Moves.taken */
    HashNode by_node;
    HashNode by_rows_path;
    HashNode by_target;
    Moves *moves;
    Node *node;      /* referenced */
    char *rows_path; /* where its rows are until this is committed */
    char *target;    /* where they are then; NULL: not taken yet */
    bool unseen;     /* the engine's: what is in it is to be compared once they are there */
} Move;

void moves_init(Moves *moves);
void moves_clear(Moves *moves); /* all that are not taken */

char *moves_rows_path(const Moves *moves, const Node *node);
bool moves_are_at(const Moves *moves, const Node *node, const char *path); /* its rows */
char *moves_place(const Moves *moves, const char *rows_path);

/* Before the tree is changed. */
#define MOVES_E_NO_ROWS 1
int moves_record(Moves *moves, Node *node);
bool moves_record_from(Moves *moves, Node *node, const char *path); /* where its rows are */
bool moves_has(const Moves *moves, const Node *node);
bool moves_know(const Moves *moves, const Node *node);
void moves_set_unseen(Moves *moves, const Node *node); /* the one that is due, if any */
static inline bool moves_are_due(const Moves *moves)
{
    return !list_is_empty(&moves->due);
}

const List *moves_take(Moves *moves);
bool moves_lead_to(const Moves *moves, const char *path);
bool moves_take_along(const Moves *moves, const char *path);
bool moves_will_take_along(const Moves *moves, const char *path);
void moves_committed(Moves *moves, const PathMove *paths, size_t n_paths);
Move *move_free(Move *move);
