/* Growing of plain arrays. */

#include "util/array.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define ARRAY_MIN 8

/*
 * array_reserve() - make room for a number of items
 * @items: address of the owner's pointer variable, whatever its type
 * @capacity: the number of items it has room for, raised on success
 * @need: the number of items there must be room for
 * @item_size: bytes of one item
 *
 * Capacity doubles, so that appending one by one costs constant time on average. New room is not
 * initialized. After a failure the array is as it was.
 *
 * Return: 0 or -ENOMEM.
 */
int array_reserve(void *items, size_t *capacity, size_t need, size_t item_size)
{
    void *old, *grown;
    size_t n = *capacity;

    if (need <= n)
        return 0;
    if (n < ARRAY_MIN)
        n = ARRAY_MIN;
    while (n < need && n <= SIZE_MAX / 2)
        n *= 2;
    if (n < need)
        n = need;
    if (n > PTRDIFF_MAX / item_size)
        return -ENOMEM;
    memcpy(&old, items, sizeof(old));
    grown = realloc(old, n * item_size);
    if (!grown)
        return -ENOMEM;
    memcpy(items, &grown, sizeof(grown));
    *capacity = n;
    return 0;
}
