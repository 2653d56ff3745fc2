/* Strings that live and go together. */

#include "store/arena.h"

#include <stdlib.h>
#include <string.h>

#define ARENA_FIRST 1024
#define ARENA_LARGE 65536

struct ArenaBlock {
    ArenaBlock *next;
    size_t used;
    size_t size; /* of bytes */
    char bytes[];
};

/* Blocks grow, so that a few strings take little and many take few allocations. */
static ArenaBlock *arena_grow(Arena *arena, size_t need)
{
    size_t size = arena->blocks ? arena->blocks->size * 2 : ARENA_FIRST;
    ArenaBlock *block;

    if (size > ARENA_LARGE)
        size = ARENA_LARGE;
    if (size < need)
        size = need;
    block = malloc(sizeof(*block) + size);
    if (!block)
        return NULL;
    *block = (ArenaBlock){.next = arena->blocks, .size = size};
    arena->blocks = block;
    return block;
}

/* arena_string() - copies bytes and ends them with a zero; arena_done() frees the copy */
char *arena_string(Arena *arena, const char *bytes, size_t size)
{
    ArenaBlock *block = arena->blocks;
    char *string;

    if (!block || block->size - block->used <= size)
        block = arena_grow(arena, size + 1);
    if (!block)
        return NULL;
    string = block->bytes + block->used;
    memcpy(string, bytes, size);
    string[size] = '\0';
    block->used += size + 1;
    return string;
}

/* arena_done() - frees all strings; the arena is empty afterwards */
void arena_done(Arena *arena)
{
    while (arena->blocks) {
        ArenaBlock *block = arena->blocks;

        arena->blocks = block->next;
        free(block);
    }
}
