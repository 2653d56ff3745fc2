/* A growing byte string. */

#include "util/text.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "util/array.h"

/* Makes room for more bytes and the final zero. */
static bool text_reserve(Text *text, size_t more)
{
    if (text->failed)
        return false;
    if (more >= SIZE_MAX - text->length ||
        ARRAY_RESERVE(text->data, text->capacity, text->length + more + 1) < 0)
        text->failed = true;
    return !text->failed;
}

/* text_append_bytes() - append bytes, which may hold zeros */
void text_append_bytes(Text *text, const void *data, size_t length)
{
    if (!text_reserve(text, length))
        return;
    if (length > 0)
        memcpy(text->data + text->length, data, length);
    text->length += length;
    text->data[text->length] = '\0';
}

/* text_append() - append a zero-terminated string */
void text_append(Text *text, const char *string)
{
    text_append_bytes(text, string, strlen(string));
}

static void text_vprintf(Text *text, const char *format, va_list args)
{
    va_list again;
    int n;

    va_copy(again, args);
    n = vsnprintf(NULL, 0, format, again);
    va_end(again);
    if (n < 0)
        text->failed = true;
    if (!text_reserve(text, n < 0 ? 0 : (size_t)n))
        return;
    (void)vsnprintf(text->data + text->length, (size_t)n + 1, format, args);
    text->length += (size_t)n;
}

/* text_printf() - append in printf's format */
void text_printf(Text *text, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    text_vprintf(text, format, args);
    va_end(args);
}

/* text_clear() - make it empty and no longer failed; the memory is kept */
void text_clear(Text *text)
{
    text->length = 0;
    text->failed = false;
    if (text->data)
        text->data[0] = '\0';
}

/*
 * text_steal() - take the string out
 * @ret_string: the caller frees; "" for a text to which nothing was appended
 *
 * The text is empty afterwards, also after a failure.
 *
 * Return: 0, or -ENOMEM when any append before had failed.
 */
int text_steal(Text *text, char **ret_string)
{
    char *data;

    text_append_bytes(text, NULL, 0);
    if (text->failed) {
        text_done(text);
        return -ENOMEM;
    }
    data = STEAL_PTR(text->data);
    text_done(text);
    *ret_string = data;
    return 0;
}

/* text_done() - free the memory; the text can be used again */
void text_done(Text *text)
{
    free(text->data);
    *text = (Text){0};
}
