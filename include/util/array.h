#pragma once
/* Growing of plain arrays: {pointer, count, capacity} kept by the owner. */

#include <stddef.h>

int array_reserve(void *items, size_t *capacity, size_t need, size_t item_size);

/* Makes room for need items; 0 or -ENOMEM. items is a pointer variable, capacity a size_t. */
#define ARRAY_RESERVE(items, capacity, need)                                                       \
    array_reserve(&(items), &(capacity), (need), sizeof(*(items)))
