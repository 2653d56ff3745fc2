/* A list of strings that owns them. */

#include "store/strings.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "util/array.h"

/* string_list_add() - appends a copy of string; 0 or -ENOMEM */
int string_list_add(StringList *list, const char *string)
{
    int r = ARRAY_RESERVE(list->items, list->capacity, list->count + 1);

    if (r)
        return r;
    list->items[list->count] = strdup(string);
    if (!list->items[list->count])
        return -ENOMEM;
    list->count++;
    return 0;
}

/* string_list_truncate() - keeps the first count strings and frees the others */
void string_list_truncate(StringList *list, size_t count)
{
    while (list->count > count)
        free(list->items[--list->count]);
}

/* string_list_done() - frees the strings and the array; the list is empty afterwards */
void string_list_done(StringList *list)
{
    string_list_truncate(list, 0);
    free(list->items);
    *list = (StringList){0};
}
