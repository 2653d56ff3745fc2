#pragma once
/* Which directories and files are looked at. Immutable and counted: the loop and volume threads
 * share it. */

#include <stdbool.h>
#include <stddef.h>

#include "util/path.h"

typedef struct Rules {
    unsigned refs; /* atomic */
    GlobList ignore_directories;
    GlobList ignore_files;
    char **own; /* directories of the daemon and the backend, never indexed */
    size_t n_own;
    char **always; /* registered folders that the ignore globs would hide, in order */
    size_t n_always;
    char **excluded; /* folders that the user removed in the app, in order */
    size_t n_excluded;
} Rules;

int rules_new(const char *ignore_directories, const char *ignore_files, Rules **ret_rules);
Rules *rules_ref(Rules *rules);
Rules *rules_unref(Rules *rules);
/* Each takes a copy; before the rules are shared. */
int rules_add_own(Rules *rules, const char *path);
int rules_add_always(Rules *rules, const char *path);
int rules_add_excluded(Rules *rules, const char *path);
void rules_sort(Rules *rules); /* after the last addition */

bool rules_ignore_file(const Rules *rules, const char *name);
/* path is the whole path of the directory. */
bool rules_ignore_directory(const Rules *rules, const char *path);
bool rules_ignore_child(const Rules *rules, const char *directory, const char *name);
