#pragma once
/* Reading of INI files: [section], key = value, comments on lines of their own. */

#include "util/text.h"

/* Called for each line that is a section header (key NULL) or a pair; strings live in the call. */
typedef struct IniReader IniReader;
struct IniReader {
    void (*line)(IniReader *reader, int number, const char *section, const char *key,
                 const char *value);
    void (*error)(IniReader *reader, int number, const char *what);
};

void ini_read(char *text, IniReader *reader);
char *ini_strip(char *text);
