/* Paths as bytes. Nothing here touches a file system, follows a link or cares about a locale. */

#include "util/path.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "util/error.h"
#include "util/text.h"

/* path_join() - a directory and a name in it */
char *path_join(const char *dir, const char *name)
{
    size_t length = strlen(dir);
    char *path;

    if (asprintf(&path, "%s%s%s", dir, length > 0 && dir[length - 1] == '/' ? "" : "/", name) < 0)
        return NULL;
    return path;
}

/*
 * path_parent() - the directory that holds a path
 * @path: normalized
 *
 * Return: "/" for a child of "/" and for "/" itself, "." for a bare name; the caller frees. NULL
 * when memory runs out.
 */
char *path_parent(const char *path)
{
    const char *slash = strrchr(path, '/');

    if (!slash)
        return strdup(".");
    return strndup(path, slash == path ? 1 : (size_t)(slash - path));
}

/* path_name() - the part behind the last slash, in path itself; "" for "/" */
const char *path_name(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash ? slash + 1 : path;
}

/*
 * path_extension() - the part behind the last dot of the last component, in name itself
 *
 * Leading dots make a name hidden and do not start an extension, as for Python's splitext().
 */
const char *path_extension(const char *name)
{
    const char *base = path_name(name), *dot;

    base += strspn(base, ".");
    dot = strrchr(base, '.');
    return dot ? dot + 1 : base + strlen(base);
}

/* path_common_tail() - how many components at their ends two absolute paths have in common */
size_t path_common_tail(const char *a, const char *b)
{
    size_t na = strlen(a), nb = strlen(b), count = 0;

    while (na > 0 && nb > 0 && a[na - 1] == b[nb - 1]) {
        na--;
        nb--;
        count += a[na] == '/';
    }
    return count;
}

/* path_common_head() - how many bytes two paths begin with alike */
size_t path_common_head(const char *a, const char *b)
{
    size_t alike = 0;

    while (a[alike] && a[alike] == b[alike])
        alike++;
    return alike;
}

/* path_is_below() - is path inside dir, at any depth? Both normalized; dir itself is not. */
bool path_is_below(const char *path, const char *dir)
{
    size_t length = strlen(dir);

    if (strncmp(path, dir, length) != 0)
        return false;
    if (length > 0 && dir[length - 1] == '/')
        return path[length] != '\0';
    return path[length] == '/' && path[length + 1] != '\0';
}

/* path_is_within() - the same; dir itself is, too */
bool path_is_within(const char *path, const char *dir)
{
    return strcmp(path, dir) == 0 || path_is_below(path, dir);
}

static int compare_moves(const void *a, const void *b)
{
    return strcmp(((const PathMove *)a)->from, ((const PathMove *)b)->from);
}

/* path_moves_sort() - for path_moved() */
void path_moves_sort(PathMove *moves, size_t n_moves)
{
    if (n_moves > 1)
        qsort(moves, n_moves, sizeof(*moves), compare_moves);
}

/* The first bytes of a path. */
typedef struct Prefix {
    const char *path;
    size_t length;
} Prefix;

static int compare_prefix(const void *key, const void *item)
{
    const Prefix *prefix = key;
    const char *from = ((const PathMove *)item)->from;
    int order = strncmp(prefix->path, from, prefix->length);

    return order != 0 ? order : from[prefix->length] != '\0' ? -1 : 0;
}

/* path_moves_above() - the move of the deepest directory above a path, or of that itself; NULL:
 * none moves */
const PathMove *path_moves_above(const char *path, const PathMove *moves, size_t n_moves,
                                 bool itself)
{
    size_t whole = strlen(path);
    const PathMove *found = NULL;

    for (Prefix prefix = {path, whole}; prefix.length > 0 && n_moves > 0 && !found; prefix.length--)
        if (prefix.length == whole ? itself : path[prefix.length] == '/' || prefix.length == 1)
            found = bsearch(&prefix, moves, n_moves, sizeof(*moves), compare_prefix);
    return found;
}

/* path_moved() - where a path is after directories have moved; the deepest of those above it counts
 */
int path_moved(const char *path, const PathMove *moves, size_t n_moves, bool itself,
               char **ret_path)
{
    const PathMove *found = path_moves_above(path, moves, n_moves, itself);
    size_t length = found ? strlen(found->from) : 0;

    *ret_path = NULL;
    if (!found)
        return 0;
    /* Below "/" the slash belongs to what is below it. */
    return asprintf(ret_path, "%s%s", found->to, path + (length == 1 ? 0 : length)) < 0
               ? error_trace(-ENOMEM)
               : 0;
}

/* Length of the well-formed UTF-8 sequence at s (Unicode 15, table 3-7); 0 when it is none. */
static size_t utf8_sequence(const unsigned char *s)
{
    unsigned char low = 0x80, high = 0xbf;
    size_t n;

    if (s[0] < 0x80)
        return 1;
    if (s[0] < 0xc2 || s[0] > 0xf4)
        return 0;
    n = s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : 4;
    if (s[0] == 0xe0)
        low = 0xa0; /* shorter forms exist */
    else if (s[0] == 0xed)
        high = 0x9f; /* surrogates */
    else if (s[0] == 0xf0)
        low = 0x90;
    else if (s[0] == 0xf4)
        high = 0x8f; /* beyond U+10FFFF */
    if (s[1] < low || s[1] > high)
        return 0;
    for (size_t i = 2; i < n; i++)
        if (s[i] < 0x80 || s[i] > 0xbf)
            return 0;
    return n;
}

/* path_is_utf8() - is it well-formed UTF-8, without surrogates and overlong forms? */
bool path_is_utf8(const char *bytes)
{
    const unsigned char *s = (const unsigned char *)bytes;

    while (*s) {
        size_t n = utf8_sequence(s);

        if (n == 0)
            return false;
        s += n;
    }
    return true;
}

/* Appends the components of path to out, which holds "/a/b" or nothing for the root. */
static void path_append_components(Text *out, const char *path)
{
    while (*path) {
        size_t n = strcspn(path, "/");

        if (n == 2 && path[0] == '.' && path[1] == '.') {
            while (out->length > 0 && out->data[--out->length] != '/')
                ;
            if (out->data)
                out->data[out->length] = '\0';
        } else if (n > 0 && !(n == 1 && path[0] == '.')) {
            text_append(out, "/");
            text_append_bytes(out, path, n);
        }
        path += n;
        path += *path == '/';
    }
}

/*
 * path_normalize() - the absolute form of a path
 * @path: as the user wrote it; "" means cwd
 * @cwd: absolute; where a relative path starts
 * @ret_path: absolute, without empty, "." and ".." components and without a slash at its end
 *            ("/" is the root; ".." there stays there); the caller frees
 *
 * Lexical: "a/.." is cut even where a is a symbolic link.
 *
 * Return: 0 or -ENOMEM.
 */
int path_normalize(const char *path, const char *cwd, char **ret_path)
{
    CLEANUP(text_done) Text out = {0};

    if (path[0] != '/')
        path_append_components(&out, cwd);
    path_append_components(&out, path);
    if (out.length == 0)
        text_append(&out, "/");
    return text_steal(&out, ret_path);
}

/*
 * path_range() - the keys between which all paths below a directory sort, byte by byte
 * @ret_first: dir + "/", inclusive; the caller frees
 * @ret_end: dir + "0", exclusive: '0' is the byte after '/'; the caller frees
 *
 * For "/" that is ["/", "0"), which holds "/" itself too. An exact range where LIKE would read %
 * and _ as wildcards and fold letter case.
 *
 * Return: 0 or -ENOMEM.
 */
int path_range(const char *dir, char **ret_first, char **ret_end)
{
    CLEANUP_FREE char *first = path_join(dir, "");
    char *end = first ? strdup(first) : NULL;

    if (!end)
        return -ENOMEM;
    end[strlen(end) - 1] = '/' + 1;
    *ret_first = STEAL_PTR(first);
    *ret_end = end;
    return 0;
}

/*
 * path_escape() - a form that is safe to show
 *
 * Control characters (also U+0080 … U+009F, which terminals obey) and bytes that are not UTF-8
 * become \xNN. For people: a backslash stays as it is, so it cannot be turned back in all cases.
 *
 * Return: the caller frees; NULL when memory runs out.
 */
char *path_escape(const char *path)
{
    const unsigned char *s = (const unsigned char *)path;
    CLEANUP(text_done) Text out = {0};
    char *escaped = NULL;

    while (*s) {
        size_t n = utf8_sequence(s);
        bool control = s[0] < 0x20 || s[0] == 0x7f || (n == 2 && s[0] == 0xc2 && s[1] < 0xa0);

        if (n > 0 && !control) {
            text_append_bytes(&out, s, n);
            s += n;
            continue;
        }
        for (size_t i = 0; i < (n > 0 ? n : 1); i++)
            text_printf(&out, "\\x%02x", s[i]);
        s += n > 0 ? n : 1;
    }
    (void)text_steal(&out, &escaped);
    return escaped;
}
