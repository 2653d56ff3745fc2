/* Making a directory with its parents. */

#include "store/directories.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "util/cleanup.h"

/*
 * directories_make() - makes the directory at an absolute path and those above it, mode 0700 as the
 * XDG base directory specification asks for
 *
 * Returns 0 (also when it is there already) or a negative errno.
 */
int directories_make(const char *path)
{
    CLEANUP_FREE char *copy = strdup(path);
    struct stat st;

    if (!copy)
        return -ENOMEM;
    if (stat(path, &st) == 0)
        return S_ISDIR(st.st_mode) ? 0 : -ENOTDIR;
    for (char *slash = strchr(copy + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        if (mkdir(copy, 0700) < 0 && errno != EEXIST)
            return -errno;
        *slash = '/';
    }
    return mkdir(copy, 0700) < 0 && errno != EEXIST ? -errno : 0;
}
