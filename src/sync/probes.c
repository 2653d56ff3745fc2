/*
 * Asking a volume's thread about names
 *
 * Where the tree has a directory, it is compared with the one that is there: an event may be on its
 * way that tells of another one. Only a root may be a symbolic link.
 */
#include <errno.h>

#include "sync/engine-private.h"
#include "util/error.h"

/*
 * probe_node() - a directory of the tree, to be asked about names, or about itself alone
 * @ret_directory: valid until another one is added, or failed to be
 * 0 or -ENOMEM.
 */
int probe_node(ProbeJob *probe, const Node *dir, ProbeDirectory **ret_directory)
{
    CLEANUP_FREE char *path = node_path_new(dir);
    int r =
        path ? probe_job_add_directory(probe, path, dir->dev, dir->ino, ret_directory) : -ENOMEM;

    if (r < 0)
        return error_trace(r);
    (*ret_directory)->follow = dir->is_root;
    return 0;
}

/* probe_name() - one name in a directory of the tree. 0 or -ENOMEM. */
int probe_name(ProbeJob *probe, const Node *dir, const char *name)
{
    ProbeDirectory *directory = NULL;
    int r = probe_node(probe, dir, &directory);

    return r == 0 ? probe_directory_add(directory, name, NULL) : r;
}

/*
 * probe_path() - one path, in whatever directory is there
 * @follow: also where that is a symbolic link
 * @owner: for ProbeName.owner
 * 0 or -ENOMEM.
 */
int probe_path(ProbeJob *probe, const char *path, bool follow, void *owner)
{
    CLEANUP_FREE char *parent = path_parent(path);
    ProbeDirectory *directory;
    int r = parent ? probe_job_add_directory(probe, parent, 0, 0, &directory) : -ENOMEM;

    if (r < 0)
        return error_trace(r);
    directory->follow = follow;
    return probe_directory_add(directory, path_name(path), owner);
}
