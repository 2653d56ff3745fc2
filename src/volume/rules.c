#include "volume/rules.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "util/cleanup.h"
#include "util/error.h"

int rules_new(const char *ignore_directories, const char *ignore_files, Rules **ret_rules)
{
    Rules *rules = calloc(1, sizeof(*rules));
    int r;

    if (!rules)
        return error_trace(-ENOMEM);
    rules->refs = 1;
    r = glob_list_parse(&rules->ignore_directories, ignore_directories);
    if (r == 0)
        r = glob_list_parse(&rules->ignore_files, ignore_files);
    if (r < 0) {
        (void)rules_unref(rules);
        return error_trace(r);
    }
    *ret_rules = rules;
    return 0;
}

Rules *rules_ref(Rules *rules)
{
    (void)__atomic_add_fetch(&rules->refs, 1, __ATOMIC_RELAXED);
    return rules;
}

static void paths_done(char **paths, size_t n)
{
    for (size_t i = 0; i < n; i++)
        free(paths[i]);
    free(paths);
}

/* rules_unref() - drop a reference, from any thread; returns NULL */
Rules *rules_unref(Rules *rules)
{
    if (!rules || __atomic_sub_fetch(&rules->refs, 1, __ATOMIC_ACQ_REL) > 0)
        return NULL;
    glob_list_done(&rules->ignore_directories);
    glob_list_done(&rules->ignore_files);
    paths_done(rules->own, rules->n_own);
    paths_done(rules->always, rules->n_always);
    paths_done(rules->excluded, rules->n_excluded);
    free(rules);
    return NULL;
}

static int paths_add(char ***paths, size_t *n, const char *path)
{
    char **grown = reallocarray(*paths, *n + 1, sizeof(char *));

    if (!grown)
        return error_trace(-ENOMEM);
    *paths = grown;
    grown[*n] = strdup(path);
    if (!grown[*n])
        return error_trace(-ENOMEM);
    (*n)++;
    return 0;
}

int rules_add_own(Rules *rules, const char *path)
{
    return paths_add(&rules->own, &rules->n_own, path);
}

int rules_add_always(Rules *rules, const char *path)
{
    return paths_add(&rules->always, &rules->n_always, path);
}

int rules_add_excluded(Rules *rules, const char *path)
{
    return paths_add(&rules->excluded, &rules->n_excluded, path);
}

static int compare_paths(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void sort_paths(char **paths, size_t n)
{
    if (n > 1)
        qsort(paths, n, sizeof(char *), compare_paths);
}

static bool find_path(char *const *paths, size_t n, const char *path)
{
    return n > 0 && bsearch(&path, paths, n, sizeof(char *), compare_paths);
}

void rules_sort(Rules *rules)
{
    sort_paths(rules->always, rules->n_always);
    sort_paths(rules->excluded, rules->n_excluded);
}

bool rules_ignore_file(const Rules *rules, const char *name)
{
    return glob_list_matches(&rules->ignore_files, name);
}

/*
 * rules_ignore_directory() - is this directory, with all below it, passed over?
 *
 * The globs are for directories that nobody registered: one that has a row in folders is always
 * watched. What the user removed in the app stays away.
 */
bool rules_ignore_directory(const Rules *rules, const char *path)
{
    if (find_path(rules->excluded, rules->n_excluded, path))
        return true;
    return glob_list_matches(&rules->ignore_directories, path_name(path)) &&
           !find_path(rules->always, rules->n_always, path);
}

/*
 * rules_ignore_child() - rules_ignore_directory() for a name in a directory
 *
 * Nearly every directory is decided by its name alone, and its path is never put together.
 */
bool rules_ignore_child(const Rules *rules, const char *directory, const char *name)
{
    CLEANUP_FREE char *path = NULL;

    if (rules->n_excluded == 0 && !glob_list_matches(&rules->ignore_directories, name))
        return false;
    path = path_join(directory, name);
    return !path || rules_ignore_directory(rules, path);
}
