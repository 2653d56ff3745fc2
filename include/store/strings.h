#pragma once
/* A list of strings that owns them. */

#include <stddef.h>

typedef struct StringList {
    char **items;
    size_t count;
    size_t capacity;
} StringList;

int string_list_add(StringList *list, const char *string); /* a copy; 0 or -ENOMEM */
void string_list_truncate(StringList *list, size_t count); /* frees those behind */
void string_list_done(StringList *list);
