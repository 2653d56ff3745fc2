/* Paths are bytes that anyone may have named: what util/path makes of them must hold for all. */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "util/cleanup.h"
#include "util/path.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_normal_form(const char *path)
{
    CLEANUP_FREE char *once = NULL, *twice = NULL, *first = NULL, *end = NULL;

    if (path_normalize(path, "/some/where", &once) < 0)
        return;
    assert(once[0] == '/' && !strstr(once, "//"));
    assert(path_normalize(once, "/", &twice) == 0 && strcmp(once, twice) == 0);
    assert(path_range(once, &first, &end) == 0 && strcmp(first, end) < 0);
}

static void check_escaped(const char *path)
{
    CLEANUP_FREE char *escaped = path_escape(path);

    assert(escaped && path_is_utf8(escaped));
    for (const char *c = escaped; *c; c++)
        assert((unsigned char)*c >= 0x20 && *c != 0x7f);
}

static void check_parts(const char *path)
{
    CLEANUP_FREE char *parent = path_parent(path);

    assert(parent);
    assert(strlen(path_name(path)) <= strlen(path));
    (void)path_extension(path_name(path));
    assert(!path_is_below(path, path));
}

static void check_globs(const char *path)
{
    GlobList list = {0};

    if (glob_list_parse(&list, path) < 0)
        return;
    (void)glob_list_matches(&list, "IMG_0001.jpg");
    glob_list_done(&list);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP_FREE char *path = strndup((const char *)data, size);

    if (!path)
        return 0;
    check_normal_form(path);
    check_escaped(path);
    check_parts(path);
    check_globs(path);
    return 0;
}
