#pragma once
/* Directories that move: puts the events of each rename together and relinks the tree. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "watch/event.h"
#include "watch/tree.h"
#include "watch/watcher.h"

#define PAIRING_HALVES 256
#define PAIRING_MOVES  16
#define PAIRING_PARKED 16

/* A MOVED_FROM that waits for its MOVED_TO. */
typedef struct Half {
    uint32_t cookie;
    Node *dir; /* referenced; NULL = free */
    char *name;
} Half;

/* A pair whose MOVE_SELF is still to come. */
typedef struct DirectoryMove {
    Node *from; /* referenced, as is to */
    char *from_name;
    Node *to;
    char *to_name;
    uint32_t cookie;
    uint64_t until; /* clock_now() at which it is not waited for any more */
} DirectoryMove;

/* A directory whose name another one took. */
typedef struct Parked {
    Node *node;      /* referenced; NULL = free */
    char *name;      /* that it had in its parent */
    uint32_t cookie; /* of the MOVED_FROM by which it left that name; or 0 */
    uint64_t until;
} Parked;

typedef struct Pairing {
    Tree *tree;
    WatchListener *listener;
    Half halves[PAIRING_HALVES];
    size_t next_half;
    DirectoryMove moves[PAIRING_MOVES]; /* oldest first */
    size_t n_moves;
    Parked parked[PAIRING_PARKED];
    size_t n_parked;
} Pairing;

void pairing_init(Pairing *pairing, Tree *tree, WatchListener *listener);
void pairing_done(Pairing *pairing);

void pairing_passed(Pairing *pairing, const Event *event, const Node *dir);
void pairing_left(Pairing *pairing, const Event *event, Node *dir); /* MOVED_FROM */
bool pairing_arrived(Pairing *pairing, const Event *event, Node *dir, bool late);
void pairing_moved(Pairing *pairing, Node *node); /* MOVE_SELF */
bool pairing_ended(Pairing *pairing, Node *node); /* IGNORED; was it parked? */

uint64_t pairing_flush(Pairing *pairing);
