/*
 * The scope of the library: what is left out, and where scans begin.
 *
 * A root is a folder that no scan of another one reaches: no folder above it has a row, or an
 * ignored directory lies between the two, which the scan from above does not enter.
 */
#include "sync/scope.h"

#include <errno.h>
#include <string.h>

#include "util/cleanup.h"
#include "util/error.h"
#include "util/path.h"

/*
 * scope_rules_add_own() - leave out the places that are the daemon's and the backend's own
 *
 * The backend's key frames of videos lie beside the directory of its database. 0 or -ENOMEM.
 */
int scope_rules_add_own(Rules *rules, const Config *config)
{
    CLEANUP_FREE char *database = path_parent(config->database_path);
    CLEANUP_FREE char *data = database ? path_parent(database) : NULL;
    CLEANUP_FREE char *frames = data ? path_join(data, "video_frames") : NULL;
    const char *own[] = {database, frames, config->thumbnails_directory, config->state_directory};
    int r = frames ? 0 : -ENOMEM;

    for (size_t i = 0; r == 0 && i < sizeof(own) / sizeof(own[0]); i++)
        r = rules_add_own(rules, own[i]);
    return r;
}

/*
 * scope_rules_new() - begins the rules: which directories and files are not looked at
 * @config: the names to ignore, and the places that are the daemon's and the backend's own
 * @excluded: folders that the user removed in the app while they are still on disk
 * @ret_rules: to be completed with scope_rules_add_folder() and rules_sort()
 *
 * Return: 0 or -ENOMEM.
 */
int scope_rules_new(const Config *config, char *const *excluded, size_t n_excluded,
                    Rules **ret_rules)
{
    Rules *rules = NULL;
    int r = rules_new(config->watch_ignore, config->watch_ignore_files, &rules);

    if (r == 0)
        r = scope_rules_add_own(rules, config);
    for (size_t i = 0; r == 0 && i < n_excluded; i++)
        r = rules_add_excluded(rules, excluded[i]);
    if (r < 0) {
        (void)rules_unref(rules);
        return error_trace(r);
    }
    *ret_rules = rules;
    return 0;
}

/* scope_rules_add_folder() - a registered folder is looked at whatever its name; only those that a
 * glob would hide need to be noted */
int scope_rules_add_folder(Rules *rules, const char *path)
{
    if (!glob_list_matches(&rules->ignore_directories, path_name(path)))
        return 0;
    return error_trace(rules_add_always(rules, path));
}

/* Cuts the last name off: /a/b becomes /a, /a becomes "", which stands for "/". */
static bool cut(char *path)
{
    char *slash = strrchr(path, '/');

    if (!slash || !slash[1])
        return false;
    *slash = '\0';
    return true;
}

/*
 * scope_is_covered() - does a scan of a registered folder above lead to this one?
 * @rules: complete and sorted
 * @path: of a folder, absolute
 * @is_folder: asked for each directory above, with @owner
 *
 * Without memory the answer is no: to scan a folder twice does no harm.
 */
bool scope_is_covered(const Rules *rules, const char *path, ScopeIsFolder is_folder,
                      const void *owner)
{
    CLEANUP_FREE char *above = strdup(path);

    while (above && cut(above)) {
        if (is_folder(owner, *above ? above : "/"))
            return true;
        if (*above && rules_ignore_directory(rules, above))
            return false;
    }
    return false;
}

/* Are they in one directory? One that ends in a slash, such as "/", has no name. */
static bool are_siblings(const char *a, const char *b)
{
    size_t above = (size_t)(path_name(a) - a);

    return a[above] && strncmp(a, b, above) == 0 && b[above] && path_name(b) == b + above;
}

/*
 * scope_is_next_covered() - scope_is_covered() of many folders
 * @last: zeros before the first; keeps path until the next call. @rules and @owner stay the same
 *
 * In path order most come behind one of the same directory. Without memory the answer may be no for
 * all of them.
 */
bool scope_is_next_covered(const Rules *rules, ScopeLast *last, const char *path,
                           ScopeIsFolder is_folder, const void *owner)
{
    if (!last->path || !are_siblings(last->path, path))
        last->covered = scope_is_covered(rules, path, is_folder, owner);
    last->path = path;
    return last->covered;
}
