/*
 * Reading of INI files, the plain kind: a line is empty, a comment (its first visible character is
 * # or ;), a [section] or a key = value. No comments behind a value, no continued lines, no limit
 * of length, so that every value can be written as it is: "#recycle", "a;b", a path of 4,000 bytes.
 * That is why this is not libinih: Debian 12's build (55-1) ends every value at " ;" and cuts lines
 * at 199 bytes without a word.
 */

#include "util/ini.h"

#include <string.h>

static bool ini_is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* ini_strip() - cut white space off both ends, in place; returns where the rest starts */
char *ini_strip(char *text)
{
    size_t length;

    while (ini_is_space(*text))
        text++;
    length = strlen(text);
    while (length > 0 && ini_is_space(text[length - 1]))
        text[--length] = '\0';
    return text;
}

/* Reads "[name]"; NULL when the bracket is not closed or something follows it. */
static char *ini_section(char *line)
{
    size_t length = strlen(line);

    if (line[length - 1] != ']')
        return NULL;
    line[length - 1] = '\0';
    return ini_strip(line + 1);
}

static void ini_line(IniReader *reader, int number, char *line, const char **section)
{
    char *equals;

    if (*line == '\0' || *line == '#' || *line == ';')
        return;
    if (*line == '[') {
        const char *name = ini_section(line);

        *section = name;
        if (name)
            reader->line(reader, number, name, NULL, NULL);
        else
            reader->error(reader, number, "a section header is not closed; accepted: [section]");
        return;
    }
    equals = strchr(line, '=');
    if (!equals || equals == line) {
        reader->error(reader, number,
                      "not understood; accepted: key = value, [section], # comment");
        return;
    }
    *equals = '\0';
    if (*section)
        reader->line(reader, number, *section, ini_strip(line), ini_strip(equals + 1));
}

/*
 * ini_read() - read a file's content
 * @text: zero-terminated; changed while it is read. A byte order mark is skipped.
 * @reader: line() gets each header and pair, error() each line that is neither, both with the
 * line's number from 1. Pairs under a broken header are skipped; those before any header have the
 *          section "".
 */
void ini_read(char *text, IniReader *reader)
{
    const char *section = "";

    if (strncmp(text, "\xef\xbb\xbf", 3) == 0)
        text += 3;
    for (int number = 1; text; number++) {
        char *line = strsep(&text, "\n");

        ini_line(reader, number, ini_strip(line), &section);
    }
}
