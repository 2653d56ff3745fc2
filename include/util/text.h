#pragma once
/* A growing byte string. After a failed append the text is marked failed and later ones do nothing,
 * so a caller checks once, at the end. */

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

#include "util/cleanup.h"

typedef struct Text {
    char *data; /* zero-terminated; NULL while empty */
    size_t length;
    size_t capacity;
    bool failed; /* memory ran out */
} Text;

void text_append(Text *text, const char *string);
void text_append_bytes(Text *text, const void *data, size_t length);
void text_printf(Text *text, const char *format, ...) FORMAT_PRINTF(2, 3);
void text_clear(Text *text);                   /* keeps the memory */
int text_steal(Text *text, char **ret_string); /* 0 or -ENOMEM; the caller frees */
void text_done(Text *text);
