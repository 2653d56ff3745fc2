#pragma once
/* Paths as bytes: no file system is touched here. */

#include <stdbool.h>
#include <stddef.h>

/* dir + "/" + name (no double slash below "/"); the caller frees; NULL when memory runs out. */
char *path_join(const char *dir, const char *name);
/* The part before the last slash ("/" for a child of "/"); the caller frees; NULL on no memory. */
char *path_parent(const char *path);
const char *path_name(const char *path);      /* the part behind the last slash */
const char *path_extension(const char *name); /* behind the last dot; "" when there is none */
/* How many components at their ends two absolute paths have in common: 1 = the same name. */
size_t path_common_tail(const char *a, const char *b);
size_t path_common_head(const char *a, const char *b); /* bytes */
/* Is path below dir (not dir itself)? A prefix ends at a slash: /a/Trip2 is not below /a/Trip. */
bool path_is_below(const char *path, const char *dir);
bool path_is_within(const char *path, const char *dir); /* below dir, or dir itself */
bool path_is_utf8(const char *bytes);                   /* well-formed UTF-8, no surrogates */
/* Absolute, no "." or ".." or empty components, no trailing slash ("/" stays); the caller frees.
 * Lexical only. Relative paths are taken from cwd. */
int path_normalize(const char *path, const char *cwd, char **ret_path);
/* First and last key of the range of all paths below dir: [dir + "/", dir + "0"). */
int path_range(const char *dir, char **ret_first, char **ret_end);

/* Directories that moved, all at once: what was below `from` is below `to`. */
typedef struct PathMove {
    const char *from;
    const char *to;
} PathMove;

void path_moves_sort(PathMove *moves, size_t n_moves);
const PathMove *path_moves_above(const char *path, const PathMove *moves, size_t n_moves,
                                 bool itself); /* sorted */
/* Where a path is after directories have moved (sorted), the caller's to free; NULL: where it was.
 * Without `itself` only what is below one of them moves along, not its own path. 0 or -ENOMEM. */
int path_moved(const char *path, const PathMove *moves, size_t n_moves, bool itself,
               char **ret_path);

/* Escapes control bytes and bytes that are not UTF-8 as \xNN, for logs; the caller frees. */
char *path_escape(const char *path);

/* A list of shell globs (fnmatch), such as "*.tmp ._*". */
typedef struct GlobList {
    char **globs;
    size_t n_globs;
} GlobList;

int glob_list_parse(GlobList *list, const char *text); /* separated by white space; 0 or -ENOMEM */
bool glob_list_matches(const GlobList *list, const char *name);
void glob_list_done(GlobList *list);
