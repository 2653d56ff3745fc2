/*
 * Which file system a path is on, without touching the path: a stat(2) on a dead network mount
 * would hang the loop, reading /proc/self/mountinfo never does.
 */
#include "volume/mounts.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "util/array.h"
#include "util/error.h"
#include "util/path.h"

/* Undoes the octal escapes that the kernel writes for space, tab, newline and backslash. */
static void unescape(char *s)
{
    char *to = s;

    for (; *s; to++) {
        if (s[0] == '\\' && s[1] >= '0' && s[1] <= '3' && s[2] >= '0' && s[2] <= '7' &&
            s[3] >= '0' && s[3] <= '7') {
            *to = (char)((s[1] - '0') * 64 + (s[2] - '0') * 8 + (s[3] - '0'));
            s += 4;
        } else {
            *to = *s++;
        }
    }
    *to = '\0';
}

/*
 * What the type says of a file system. By its name in the table and not by statfs(2), which would
 * ask a server that may not answer. A FUSE file system on a block device (ntfs-3g: "fuseblk") is
 * changed through this kernel only, so inotify sees all.
 */
static MountKind kind_of(const char *type)
{
    static const char *const pseudo[] = {
        "autofs",  "binder", "binfmt_misc", "bpf",        "cgroup",    "cgroup2", "configfs",
        "debugfs", "devpts", "devtmpfs",    "efivarfs",   "fusectl",   "mqueue",  "nsfs",
        "proc",    "pstore", "rpc_pipefs",  "securityfs", "selinuxfs", "sysfs",   "tracefs",
    };
    static const char *const remote[] = {
        "9p",   "acfs",  "afs",       "beegfs", "ceph",   "cifs",   "coda",
        "fuse", "gfs2",  "glusterfs", "gpfs",   "lustre", "ncpfs",  "nfs",
        "nfs4", "ocfs2", "orangefs",  "smb3",   "smbfs",  "vboxsf", "virtiofs",
    };

    if (strncmp(type, "fuse.", 5) == 0)
        return MOUNT_KIND_REMOTE;
    for (size_t i = 0; i < sizeof(pseudo) / sizeof(pseudo[0]); i++)
        if (strcmp(type, pseudo[i]) == 0)
            return MOUNT_KIND_PSEUDO;
    for (size_t i = 0; i < sizeof(remote) / sizeof(remote[0]); i++)
        if (strcmp(type, remote[i]) == 0)
            return MOUNT_KIND_REMOTE;
    return MOUNT_KIND_LOCAL;
}

/* A number for a part of a file system, by its path there (FNV-1a: it is kept in a database, so it
 * must stay the same); 0 for the whole. */
static uint64_t part_of(const char *root)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);

    if (strcmp(root, "/") == 0)
        return 0;
    for (const unsigned char *c = (const unsigned char *)root; *c; c++)
        hash = (hash ^ *c) * UINT64_C(0x100000001b3);
    return hash;
}

static void mount_done(Mount *mount)
{
    free(mount->point);
    free(mount->device);
    free(mount->type);
}

/* Fields: id, parent, major:minor, root, mount point, options, optional fields …, "-", type. */
static int parse_line(char *line, Mount *ret_mount)
{
    char *save = NULL;
    char *fields[5];
    char *type = NULL;
    Mount mount = {0};

    for (size_t i = 0; i < 5; i++) {
        fields[i] = strtok_r(i == 0 ? line : NULL, " ", &save);
        if (!fields[i])
            return -EBADMSG;
    }
    for (char *field; (field = strtok_r(NULL, " ", &save));)
        if (strcmp(field, "-") == 0) {
            type = strtok_r(NULL, " ", &save);
            break;
        }
    if (!type)
        return -EBADMSG;

    unescape(fields[4]);
    mount.id = (int)strtol(fields[0], NULL, 10);
    mount.kind = kind_of(type);
    mount.part = strcmp(fields[3], "/") == 0 ? 0 : part_of(fields[3]);
    mount.device = strdup(fields[2]);
    mount.point = strdup(fields[4]);
    mount.type = strdup(type);
    if (!mount.device || !mount.point || !mount.type) {
        mount_done(&mount);
        return -ENOMEM;
    }
    *ret_mount = mount;
    return 0;
}

/* Stable for equal points: their order says which one is on top. */
static void sort_by_point(MountTable *table)
{
    for (size_t i = 1; i < table->count; i++) {
        Mount mount = table->items[i];
        size_t k = i;

        for (; k > 0 && strcmp(table->items[k - 1].point, mount.point) > 0; k--)
            table->items[k] = table->items[k - 1];
        table->items[k] = mount;
    }
}

/*
 * mount_table_parse() - the table that the text of a mountinfo file describes
 *
 * Lines that make no sense are passed over. 0 or -ENOMEM; one reference is the caller's.
 */
int mount_table_parse(const char *text, MountTable **ret_table)
{
    CLEANUP_FREE char *copy = strdup(text);
    MountTable *table = calloc(1, sizeof(*table));
    char *save = NULL;

    if (!copy || !table) {
        free(table);
        return error_trace(-ENOMEM);
    }
    table->refs = 1;
    for (char *line = strtok_r(copy, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
        int r = ARRAY_RESERVE(table->items, table->capacity, table->count + 1);

        if (r == 0)
            r = parse_line(line, &table->items[table->count]);
        if (r == -ENOMEM) {
            (void)mount_table_unref(table);
            return error_trace(r);
        }
        if (r == 0)
            table->count++;
    }
    sort_by_point(table);
    *ret_table = table;
    return 0;
}

/* mount_table_read() - the mounts of this process's namespace, now */
int mount_table_read(MountTable **ret_table)
{
    CLEANUP(fclose_p) FILE *file = fopen("/proc/self/mountinfo", "re");
    CLEANUP_FREE char *text = NULL;
    size_t size = 0;

    if (!file)
        return error_errno();
    if (getdelim(&text, &size, '\0', file) < 0)
        return ferror(file) ? error_trace(-EIO) : mount_table_parse("", ret_table);
    return mount_table_parse(text, ret_table);
}

/* mount_table_ref() - one more reference, from any thread; accepts NULL */
MountTable *mount_table_ref(MountTable *table)
{
    if (table)
        (void)__atomic_add_fetch(&table->refs, 1, __ATOMIC_RELAXED);
    return table;
}

/* mount_table_unref() - drop a reference, from any thread; accepts NULL and returns NULL */
MountTable *mount_table_unref(MountTable *table)
{
    if (!table || __atomic_sub_fetch(&table->refs, 1, __ATOMIC_ACQ_REL) > 0)
        return NULL;
    for (size_t i = 0; i < table->count; i++)
        mount_done(&table->items[i]);
    free(table->items);
    free(table);
    return NULL;
}

/* The first place in the table whose point is not before that of path. */
static size_t lower_bound(const MountTable *table, const char *path)
{
    size_t first = 0;
    size_t end = table->count;

    while (first < end) {
        size_t middle = first + (end - first) / 2;

        if (strcmp(table->items[middle].point, path) < 0)
            first = middle + 1;
        else
            end = middle;
    }
    return first;
}

/* mount_table_at() - what is mounted at exactly this path, the topmost; NULL when nothing is */
const Mount *mount_table_at(const MountTable *table, const char *path)
{
    size_t i = lower_bound(table, path);
    const Mount *found = NULL;

    for (; i < table->count && strcmp(table->items[i].point, path) == 0; i++)
        found = &table->items[i];
    return found;
}

/*
 * mount_table_find() - the mount that a path is on, as far as its text tells
 *
 * The longest mount point wins. Nothing on the disk is touched.
 */
const Mount *mount_table_find(const MountTable *table, const char *path)
{
    const Mount *best = NULL;
    size_t best_length = 0;

    for (size_t i = 0; i < table->count; i++) {
        const Mount *mount = &table->items[i];
        size_t length = strlen(mount->point);

        if (!path_is_within(path, mount->point))
            continue;
        if (!best || length >= best_length) {
            best = mount;
            best_length = length;
        }
    }
    return best;
}

/* mount_table_has_below() - can a walk from path come to a mount point? */
bool mount_table_has_below(const MountTable *table, const char *path)
{
    for (size_t i = 0; i < table->count; i++)
        if (path_is_below(table->items[i].point, path))
            return true;
    return false;
}

/* How many entries from i on have the same point. */
static size_t run_length(const MountTable *table, size_t i)
{
    size_t n = 1;

    while (i + n < table->count && strcmp(table->items[i].point, table->items[i + n].point) == 0)
        n++;
    return n;
}

/* Identifiers are used again as soon as they are free: equal ones alone say nothing. */
static bool is_same(const Mount *a, const Mount *b)
{
    return a->id == b->id && a->part == b->part && strcmp(a->device, b->device) == 0;
}

/*
 * mount_table_compare() - call changed() with each point where something else is on top now
 * @context: handed to changed()
 */
void mount_table_compare(const MountTable *old, const MountTable *new,
                         void (*changed)(void *context, const char *point), void *context)
{
    size_t i = 0;
    size_t k = 0;

    while (i < old->count || k < new->count) {
        int order = i == old->count   ? 1
                    : k == new->count ? -1
                                      : strcmp(old->items[i].point, new->items[k].point);
        size_t n_old = order <= 0 ? run_length(old, i) : 0;
        size_t n_new = order >= 0 ? run_length(new, k) : 0;

        if (order != 0 || !is_same(&old->items[i + n_old - 1], &new->items[k + n_new - 1]))
            changed(context, order <= 0 ? old->items[i].point : new->items[k].point);
        i += n_old;
        k += n_new;
    }
}

static void mount_watch_dispatch(LoopSource *source, uint32_t events UNUSED)
{
    MountWatch *watch = CONTAINER_OF(source, MountWatch, source);

    watch->changed(watch);
}

/*
 * mount_watch_init() - call changed() when the mount table changes
 *
 * The kernel reports EPOLLPRI | EPOLLERR once for each change (proc(5)); nothing need be read.
 */
int mount_watch_init(MountWatch *watch, Loop *loop, void (*changed)(MountWatch *))
{
    int r;

    watch->changed = changed;
    watch->fd = open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC);
    if (watch->fd < 0)
        return error_errno();
    r = loop_add(loop, &watch->source, watch->fd, EPOLLPRI, mount_watch_dispatch);
    if (r < 0) {
        (void)close(watch->fd);
        watch->fd = -1;
    }
    return error_trace(r);
}

void mount_watch_done(MountWatch *watch)
{
    loop_remove(&watch->source);
    if (watch->fd >= 0)
        (void)close(watch->fd);
    watch->fd = -1;
}
