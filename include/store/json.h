#pragma once

#include "util/text.h"

/* Appends a JSON string with its quotes. Bytes that are not UTF-8 come out as \xNN text. */
void json_append_string(Text *text, const char *string);
