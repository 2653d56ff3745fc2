/*
 * Walking a subtree: watch, then list
 *
 * Each directory is opened once, relative to its parent and without following symbolic links, gets
 * its watch through /proc/self/fd/N, and only then is read, from the same descriptor. Whatever
 * appears after the watch makes an event; whatever was there before is in the listing; nothing
 * falls between. The path is never used again once the directory is open, so a rename in the
 * middle of a walk cannot make us watch or list the wrong directory.
 *
 * A walk is cut into slices, so that probes of live changes get their turn on the same thread and
 * the loop can hold back a walk whose listings are not yet worked off.
 *
 * It never enters another file system: that one may be a dead network mount, and has a thread of
 * its own. A mount point is known by the mount table, before anything there is touched, and only
 * named in a listing.
 *
 * At the start of the daemon everything is watched before anything is compared: such a walk
 * (names_only) leaves files alone, which spares an lstat(2) for each.
 */
#include "volume/walk.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/ioprio.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "util/array.h"
#include "util/cleanup.h"
#include "util/clock.h"
#include "util/error.h"
#include "volume/list.h"

#define SLICE_US          (10 * CLOCK_US_PER_MS)
#define SLICE_DIRECTORIES 256
#define SLICE_FILES       8192

/* An open directory whose children are still to be walked. */
struct WalkFrame {
    int fd;
    char **children; /* those to descend into, last first */
    size_t n_children;
    uint64_t id;
    uint64_t dev, ino;
    uint64_t volume; /* directory_volume() of this device */
    size_t path_length;
};

static void watch_directory(Walk *walk, Listing *listing, int fd)
{
    char link[40];

    listing->wd = -1;
    if (walk->inotify_fd < 0)
        return;
    (void)snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    listing->wd = inotify_add_watch(walk->inotify_fd, link, walk->mask);
    if (listing->wd < 0) {
        listing->watch_error = errno;
        listing->wd = -1;
    }
}

static bool is_own(const Walk *walk, const struct stat *st)
{
    for (size_t i = 0; i < walk->n_own; i++)
        if (walk->own[i].dev == st->st_dev && walk->own[i].ino == st->st_ino)
            return true;
    return false;
}

/* A bind mount can make a directory appear below itself. */
static bool is_loop(const Walk *walk, const struct stat *st)
{
    for (size_t i = 0; i < walk->n_frames; i++)
        if (walk->frames[i].dev == st->st_dev && walk->frames[i].ino == st->st_ino)
            return true;
    return false;
}

/* The children to descend into are in reverse, since they are taken from the end. Takes over fd if
 * it succeeds. */
static int push_frame(Walk *walk, const Listing *listing, int fd)
{
    WalkFrame *frame;
    int r = ARRAY_RESERVE(walk->frames, walk->frames_capacity, walk->n_frames + 1);

    if (r < 0)
        return r;
    frame = &walk->frames[walk->n_frames];
    *frame = (WalkFrame){.fd = fd,
                         .id = listing->id,
                         .dev = listing->dev,
                         .ino = listing->ino,
                         .volume = listing->volume ^ walk->part,
                         .path_length = walk->at.length};
    if (listing->n_children > 0)
        frame->children = calloc(listing->n_children, sizeof(char *));
    if (listing->n_children > 0 && !frame->children)
        return -ENOMEM;
    for (size_t i = listing->n_children; i-- > 0;) {
        if (rules_ignore_child(walk->rules, walk->at.data, listing->children[i]))
            continue;
        frame->children[frame->n_children] = strdup(listing->children[i]);
        if (frame->children[frame->n_children])
            frame->n_children++;
    }
    walk->n_frames++;
    return 0;
}

static void pop_frame(Walk *walk)
{
    WalkFrame *frame = &walk->frames[--walk->n_frames];

    (void)close(frame->fd);
    names_free(frame->children, frame->n_children);
}

/* listing_free() - free a listing; returns NULL */
Listing *listing_free(Listing *listing)
{
    if (!listing)
        return NULL;
    for (size_t i = 0; i < listing->n_files; i++)
        free(listing->files[i].name);
    free(listing->files);
    names_free(listing->children, listing->n_children);
    names_free(listing->bad_names, listing->n_bad);
    free(listing->real_path);
    free(listing->name);
    free(listing);
    return NULL;
}

/* Takes over name. */
static Listing *listing_new(Walk *walk, char *name, uint64_t parent)
{
    Listing *listing = name ? calloc(1, sizeof(*listing)) : NULL;

    if (!listing) {
        free(name);
        return NULL;
    }
    listing->name = name;
    listing->id = ++walk->next_id;
    listing->parent = parent;
    listing->wd = -1;
    return listing;
}

/* The mount that an open directory is on: a path only tells what is mounted there by now. */
static int mount_id(int fd)
{
    struct statx st;

    if (statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_MNT_ID, &st) < 0 ||
        !(st.stx_mask & STATX_MNT_ID)) /* Linux 5.8 */
        return 0;
    return (int)st.stx_mnt_id;
}

/* Where the start is without symbolic links, as the kernel names it. */
static void find_real_start(Walk *walk, Listing *listing, int fd)
{
    char link[40];
    char path[PATH_MAX];
    const Mount *mount;
    ssize_t n;

    (void)snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    n = readlink(link, path, sizeof(path) - 1);
    if (n > 0) {
        path[n] = '\0';
        listing->real_path = strdup(path);
    }
    listing->mount_id = mount_id(fd);
    walk->real_start = strdup(listing->real_path ? listing->real_path : walk->path);
    if (!walk->mounts || !walk->real_start)
        return;
    mount = mount_table_find(walk->mounts, walk->real_start);
    walk->part = mount ? mount->part : 0;
    walk->has_mounts = mount_table_has_below(walk->mounts, walk->real_start);
}

/* What file system it is on; one device is one of them, which is asked once. */
static uint64_t find_volume(int fd, const struct stat *st, const WalkFrame *above, bool *ret_pseudo)
{
    *ret_pseudo = false;
    if (above && above->dev == st->st_dev && above->volume != 0)
        return above->volume;
    return directory_volume(fd, ret_pseudo);
}

/* Watches and lists an open directory and leaves it open for its children. Takes over fd and name.
 * above: valid until the directory is pushed; NULL: it is the start. */
static void visit(Walk *walk, int fd, char *name, const WalkFrame *above)
{
    CLEANUP_CLOSE int own_fd = fd;
    CLEANUP_FREE char *own_name = name;
    uint64_t volume;
    Listing *listing;
    struct stat st;
    bool pseudo;

    if (fstat(fd, &st) < 0)
        return;
    volume = find_volume(fd, &st, above, &pseudo);
    if (is_own(walk, &st) || is_loop(walk, &st) ||
        (pseudo && (!above || above->dev != st.st_dev))) {
        walk->pseudo |= !above;
        return;
    }
    listing = listing_new(walk, STEAL_PTR(own_name), above ? above->id : 0);
    if (!listing)
        return;
    listing->dev = st.st_dev;
    listing->ino = st.st_ino;
    listing->names_only = walk->names_only;
    listing->born = walk->names_only ? 0 : directory_born(fd);
    if (!above)
        find_real_start(walk, listing, fd);
    listing->volume = volume ^ walk->part;
    watch_directory(walk, listing, fd);
    list_directory(walk, listing, fd);
    if (!walk->names_only)
        listing->mtime = fstat(fd, &st) == 0 ? directory_mtime(&st) : 0;
    list_append(&walk->listings, &listing->link);
    if (push_frame(walk, listing, fd) == 0)
        (void)STEAL_FD(own_fd);
}

/* Takes over name. */
static void visit_failed(Walk *walk, char *name, uint64_t parent, int error)
{
    Listing *listing;

    /* Gone again, or replaced by something else: its event has told or will tell. */
    if (error == ENOENT || error == ENOTDIR || error == ELOOP) {
        free(name);
        return;
    }
    listing = listing_new(walk, name, parent);
    if (!listing)
        return;
    listing->error = error;
    list_append(&walk->listings, &listing->link);
}

static void stat_own(Walk *walk)
{
    walk->own = calloc(walk->rules->n_own + 1, sizeof(*walk->own));
    for (size_t i = 0; walk->own && i < walk->rules->n_own; i++) {
        struct stat st;

        if (stat(walk->rules->own[i], &st) < 0)
            continue;
        walk->own[walk->n_own].dev = st.st_dev;
        walk->own[walk->n_own++].ino = st.st_ino;
    }
}

/* Is it the directory that is meant? Something may have moved since its path was made. */
static bool is_meant(const Walk *walk, int fd)
{
    struct stat st;

    if (walk->ino == 0 || (walk->is_in ? fstatat(fd, "..", &st, 0) : fstat(fd, &st)) < 0)
        return true;
    return st.st_ino == walk->ino && st.st_dev == walk->dev;
}

static void walk_start(Walk *walk)
{
    int fd;

    stat_own(walk);
    text_append(&walk->at, walk->path);
    fd = directory_open(walk->path, walk->follow);
    if (fd < 0) {
        walk->start_error = -fd;
        return;
    }
    if (!is_meant(walk, fd)) {
        (void)close(fd);
        walk->start_error = ESTALE;
        return;
    }
    visit(walk, fd, strdup(""), NULL);
}

/* What is mounted at the directory in hand; NULL when nothing is. */
static const Mount *mount_here(Walk *walk)
{
    const char *rest = walk->at.data + strlen(walk->path);

    if (!walk->has_mounts)
        return NULL;
    text_clear(&walk->real);
    text_append(&walk->real, walk->real_start);
    if (walk->real.data[walk->real.length - 1] != '/')
        text_append(&walk->real, "/");
    text_append(&walk->real, *rest == '/' ? rest + 1 : rest);
    return walk->real.failed ? NULL : mount_table_at(walk->mounts, walk->real.data);
}

/* Takes over name. */
static void name_mount(Walk *walk, char *name, uint64_t parent)
{
    Listing *listing = listing_new(walk, name, parent);

    if (!listing)
        return;
    listing->is_mount = true;
    list_append(&walk->listings, &listing->link);
}

static void walk_child(Walk *walk, WalkFrame *frame)
{
    CLEANUP_FREE char *name = frame->children[--frame->n_children];
    const Mount *mount;
    int fd;

    walk->at.length = frame->path_length;
    walk->at.data[walk->at.length] = '\0';
    if (walk->at.length > 1)
        text_append(&walk->at, "/");
    text_append(&walk->at, name);
    mount = mount_here(walk);
    if (mount) {
        if (mount->kind != MOUNT_KIND_PSEUDO)
            name_mount(walk, STEAL_PTR(name), frame->id);
        return;
    }
    fd = openat(frame->fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        visit_failed(walk, STEAL_PTR(name), frame->id, errno);
    else
        visit(walk, fd, STEAL_PTR(name), frame);
}

static void walk_close(Walk *walk)
{
    while (walk->n_frames > 0)
        pop_frame(walk);
    walk->finished = true;
}

/* walk_slice() - go on for some 10 ms; walk->finished tells when there is nothing left */
void walk_slice(Walk *walk)
{
    uint64_t end = clock_now() + SLICE_US;
    size_t n_directories = 0;
    size_t n_files = 0;

    if (walk->abort) {
        walk_close(walk);
        return;
    }
    if (walk->next_id == 0 && walk->n_own == 0) {
        walk_start(walk);
        if (walk->start_only && walk->n_frames > 0)
            return;
    }
    while (walk->n_frames > 0) {
        WalkFrame *frame = &walk->frames[walk->n_frames - 1];
        Listing *last = NULL;

        if (frame->n_children == 0) {
            pop_frame(walk);
            continue;
        }
        walk_child(walk, frame);
        if (!list_is_empty(&walk->listings))
            last = CONTAINER_OF(walk->listings.head.prev, Listing, link);
        n_files += last ? last->n_files : 0;
        if (++n_directories >= SLICE_DIRECTORIES || n_files >= SLICE_FILES || clock_now() > end)
            break;
    }
    if (walk->n_frames == 0)
        walk_close(walk);
}

/* The disk's attention for this thread alone (ioprio_set(2)); a scheduler may know no classes. */
static void set_io_idle(bool idle)
{
    int class = idle ? IOPRIO_CLASS_IDLE : IOPRIO_CLASS_NONE;

    (void)syscall(SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0, IOPRIO_PRIO_VALUE(class, 0));
}

static void walk_run(WorkerJob *job, void *context UNUSED)
{
    Walk *walk = CONTAINER_OF(job, Walk, job);

    if (walk->idle)
        set_io_idle(true);
    walk_slice(walk);
    if (walk->idle)
        set_io_idle(false);
}

/*
 * walk_init() - prepare a walk
 * @path: where it starts
 * @rules, @mounts: it takes references of its own; without mounts it enters other file systems
 * @done: gets each slice back
 *
 * 0 or -ENOMEM; walk_done() in both cases.
 */
int walk_init(Walk *walk, const char *path, Rules *rules, MountTable *mounts,
              void (*done)(WorkerJob *))
{
    *walk = (Walk){.job = {.priority = WORKER_PRIORITY_LOW, .run = walk_run, .done = done},
                   .inotify_fd = -1};
    list_init(&walk->listings);
    walk->path = strdup(path);
    if (!walk->path)
        return error_trace(-ENOMEM);
    walk->rules = rules_ref(rules);
    walk->mounts = mount_table_ref(mounts);
    return 0;
}

void walk_done(Walk *walk)
{
    while (walk->n_frames > 0) /* a walk that was cancelled before its last slice */
        pop_frame(walk);
    for (ListNode *link; (link = list_take(&walk->listings));)
        (void)listing_free(CONTAINER_OF(link, Listing, link));
    free(walk->frames);
    free(walk->entries);
    free(walk->own);
    free(walk->path);
    free(walk->real_start);
    text_done(&walk->at);
    text_done(&walk->real);
    walk->mounts = mount_table_unref(walk->mounts);
    walk->rules = rules_unref(walk->rules);
}
