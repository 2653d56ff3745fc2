/* Lists of shell globs, for the names that are ignored. */

#include <errno.h>
#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

#include "util/cleanup.h"
#include "util/path.h"

/*
 * glob_list_parse() - read a list of globs
 * @list: zeroed or used before; replaced on success
 * @text: globs separated by white space; "" is an empty list
 *
 * Return: 0 or -ENOMEM.
 */
int glob_list_parse(GlobList *list, const char *text)
{
    static const char space[] = " \t\r\n";
    CLEANUP(glob_list_done) GlobList parsed = {0};

    /* Every second byte can start a glob at most. */
    parsed.globs = calloc(strlen(text) / 2 + 1, sizeof(char *));
    if (!parsed.globs)
        return -ENOMEM;
    while (*(text += strspn(text, space))) {
        size_t n = strcspn(text, space);

        parsed.globs[parsed.n_globs] = strndup(text, n);
        if (!parsed.globs[parsed.n_globs])
            return -ENOMEM;
        parsed.n_globs++;
        text += n;
    }
    glob_list_done(list);
    *list = parsed;
    parsed = (GlobList){0};
    return 0;
}

/* glob_list_matches() - does any glob match the whole name? A leading dot is nothing special. */
bool glob_list_matches(const GlobList *list, const char *name)
{
    for (size_t i = 0; i < list->n_globs; i++)
        if (fnmatch(list->globs[i], name, 0) == 0)
            return true;
    return false;
}

/* glob_list_done() - free the globs; the list is empty afterwards */
void glob_list_done(GlobList *list)
{
    for (size_t i = 0; i < list->n_globs; i++)
        free(list->globs[i]);
    free(list->globs);
    *list = (GlobList){0};
}
