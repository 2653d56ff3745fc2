/* JSON strings. */

#include "store/json.h"

#include <stdlib.h>

#include "util/path.h"

static void json_append_byte(Text *text, unsigned char byte)
{
    if (byte == '"' || byte == '\\')
        text_printf(text, "\\%c", byte);
    else if (byte < 0x20 || byte == 0x7f)
        text_printf(text, "\\u%04x", byte);
    else
        text_append_bytes(text, &byte, 1);
}

/* json_append_string() - appends string as a JSON string, escaped by path_escape() if not UTF-8 */
void json_append_string(Text *text, const char *string)
{
    CLEANUP_FREE char *escaped = NULL;

    if (!path_is_utf8(string)) {
        string = escaped = path_escape(string);
        if (!escaped) {
            text->failed = true;
            return;
        }
    }
    text_append(text, "\"");
    for (; *string; string++)
        json_append_byte(text, (unsigned char)*string);
    text_append(text, "\"");
}
