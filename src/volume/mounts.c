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
    mount.device = strdup(fields[2]);
    mount.point = strdup(fields[4]);
    mount.type = strdup(type);
    if (!mount.device || !mount.point || !mount.type) {
        free(mount.device);
        free(mount.point);
        free(mount.type);
        return -ENOMEM;
    }
    *ret_mount = mount;
    return 0;
}

/* mounts_parse() - parse the text of a mountinfo file; lines that make no sense are passed over */
int mounts_parse(const char *text, Mounts *ret_mounts)
{
    CLEANUP_FREE char *copy = strdup(text);
    Mounts mounts = {0};
    char *save = NULL;

    if (!copy)
        return error_trace(-ENOMEM);
    for (char *line = strtok_r(copy, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
        int r = ARRAY_RESERVE(mounts.items, mounts.capacity, mounts.count + 1);

        if (r == 0)
            r = parse_line(line, &mounts.items[mounts.count]);
        if (r == -ENOMEM) {
            mounts_done(&mounts);
            return error_trace(r);
        }
        if (r == 0)
            mounts.count++;
    }
    *ret_mounts = mounts;
    return 0;
}

/* mounts_read() - the mounts of this process's namespace, now */
int mounts_read(Mounts *ret_mounts)
{
    CLEANUP(fclose_p) FILE *file = fopen("/proc/self/mountinfo", "re");
    CLEANUP_FREE char *text = NULL;
    size_t size = 0;

    if (!file)
        return error_errno();
    if (getdelim(&text, &size, '\0', file) < 0)
        return ferror(file) ? error_trace(-EIO) : mounts_parse("", ret_mounts);
    return mounts_parse(text, ret_mounts);
}

void mounts_done(Mounts *mounts)
{
    for (size_t i = 0; i < mounts->count; i++) {
        free(mounts->items[i].point);
        free(mounts->items[i].device);
        free(mounts->items[i].type);
    }
    free(mounts->items);
    *mounts = (Mounts){0};
}

/*
 * mounts_find() - the mount that a path is on, as far as its text tells
 *
 * The longest mount point wins, and of two at the same place the later, which covers the other.
 */
const Mount *mounts_find(const Mounts *mounts, const char *path)
{
    const Mount *best = NULL;
    size_t best_length = 0;

    for (size_t i = 0; i < mounts->count; i++) {
        const Mount *mount = &mounts->items[i];
        size_t length = strlen(mount->point);

        if (strcmp(path, mount->point) != 0 && !path_is_below(path, mount->point))
            continue;
        if (!best || length >= best_length) {
            best = mount;
            best_length = length;
        }
    }
    return best;
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
