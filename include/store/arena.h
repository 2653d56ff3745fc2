#pragma once
/* Strings that live and go together: one allocation for many. */

#include <stddef.h>

typedef struct ArenaBlock ArenaBlock;

typedef struct Arena {
    ArenaBlock *blocks; /* the one being filled first */
} Arena;

char *arena_string(Arena *arena, const char *bytes, size_t size); /* a copy; NULL: no memory */
void arena_done(Arena *arena);                                    /* frees all strings */
