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

#include <dirent.h>
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

#define SLICE_US          (10 * CLOCK_US_PER_MS)
#define SLICE_DIRECTORIES 256
#define SLICE_FILES       8192

/* An open directory whose children are still to be walked. */
struct WalkFrame {
    DIR *dir;
    char **children; /* those to descend into, last first */
    size_t n_children;
    uint64_t id;
    uint64_t dev, ino;
    size_t path_length;
};

static void names_free(char **names, size_t n)
{
    for (size_t i = 0; i < n; i++)
        free(names[i]);
    free(names);
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

static int names_add(char ***names, size_t *n, size_t *capacity, const char *name)
{
    int r = array_reserve(names, capacity, *n + 1, sizeof(char *));

    if (r < 0)
        return r;
    (*names)[*n] = strdup(name);
    if (!(*names)[*n])
        return -ENOMEM;
    (*n)++;
    return 0;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static int compare_files(const void *a, const void *b)
{
    return strcmp(((const ListedFile *)a)->name, ((const ListedFile *)b)->name);
}

static int add_file(Listing *listing, const char *name, MediaKind kind, const Entry *entry)
{
    int r = ARRAY_RESERVE(listing->files, listing->files_capacity, listing->n_files + 1);
    ListedFile *file;

    if (r < 0)
        return r;
    file = &listing->files[listing->n_files];
    *file = (ListedFile){.name = strdup(name), .stamp = entry->stamp, .kind = kind};
    if (!file->name)
        return -ENOMEM;
    file->unreadable = entry->type != ENTRY_TYPE_FILE;
    listing->n_files++;
    return 0;
}

/* Only names that can matter are looked at closer: one lstat(2) for a photo, none for the rest. */
static int list_entry(Walk *walk, Listing *listing, int fd, const struct dirent *d)
{
    bool maybe_directory = d->d_type == DT_DIR || d->d_type == DT_UNKNOWN;
    MediaKind kind;
    Entry entry;

    if (walk->names_only && !maybe_directory)
        return 0;
    if (strcmp(d->d_name, ".") == 0 || strcmp(d->d_name, "..") == 0)
        return 0;
    kind = walk->names_only ? MEDIA_KIND_NONE : media_kind_of(d->d_name);
    if (d->d_type == DT_DIR)
        entry = (Entry){.type = ENTRY_TYPE_DIRECTORY};
    else if (maybe_directory || kind != MEDIA_KIND_NONE)
        directory_probe(fd, d->d_name, &entry);
    else
        return 0;

    if (entry.type != ENTRY_TYPE_DIRECTORY &&
        (kind == MEDIA_KIND_NONE || rules_ignore_file(walk->rules, d->d_name)))
        return 0;
    if (!path_is_utf8(d->d_name))
        return names_add(&listing->bad_names, &listing->n_bad, &listing->bad_capacity, d->d_name);
    if (entry.type == ENTRY_TYPE_DIRECTORY)
        return names_add(&listing->children, &listing->n_children, &listing->children_capacity,
                         d->d_name);
    /* What cannot be looked at is still there: it must not pass for deleted. */
    if (entry.type == ENTRY_TYPE_FILE || entry.type == ENTRY_TYPE_ERROR ||
        entry.type == ENTRY_TYPE_DANGLING)
        return add_file(listing, d->d_name, kind, &entry);
    return 0;
}

static void list_directory(Walk *walk, Listing *listing, DIR *dir)
{
    for (;;) {
        struct dirent *d;
        int r;

        errno = 0;
        d = readdir(dir);
        if (!d) {
            listing->error = errno;
            break;
        }
        r = list_entry(walk, listing, dirfd(dir), d);
        if (r < 0) {
            listing->error = -r;
            break;
        }
    }
    if (listing->n_files > 1)
        qsort(listing->files, listing->n_files, sizeof(*listing->files), compare_files);
    if (listing->n_children > 1)
        qsort(listing->children, listing->n_children, sizeof(char *), compare_names);
}

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

/* The children to descend into, in reverse, since they are taken from the end. */
static int push_frame(Walk *walk, Listing *listing, DIR *dir)
{
    WalkFrame *frame;
    int r = ARRAY_RESERVE(walk->frames, walk->frames_capacity, walk->n_frames + 1);

    if (r < 0)
        return r;
    frame = &walk->frames[walk->n_frames];
    *frame = (WalkFrame){.dir = dir,
                         .id = listing->id,
                         .dev = listing->dev,
                         .ino = listing->ino,
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

    (void)closedir(frame->dir);
    names_free(frame->children, frame->n_children);
}

static Listing *listing_new(Walk *walk, const char *name, uint64_t parent)
{
    Listing *listing = calloc(1, sizeof(*listing));

    if (!listing)
        return NULL;
    listing->name = strdup(name);
    if (!listing->name) {
        free(listing);
        return NULL;
    }
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

/* Watches and lists an open directory and leaves it open for its children. Takes over fd. */
static void visit(Walk *walk, int fd, const char *name, uint64_t parent, uint64_t parent_dev)
{
    CLEANUP_CLOSE int own_fd = fd;
    Listing *listing;
    struct stat st;
    bool pseudo;
    DIR *dir;

    if (fstat(fd, &st) < 0)
        return;
    if (is_own(walk, &st) || is_loop(walk, &st)) {
        walk->pseudo |= parent == 0;
        return;
    }
    listing = listing_new(walk, name, parent);
    if (!listing)
        return;
    listing->dev = st.st_dev;
    listing->ino = st.st_ino;
    listing->volume = directory_volume(fd, &pseudo);
    if (pseudo && st.st_dev != parent_dev) {
        walk->pseudo |= parent == 0;
        (void)listing_free(listing);
        return;
    }
    listing->names_only = walk->names_only;
    listing->born = walk->names_only ? 0 : directory_born(fd);
    if (parent == 0)
        find_real_start(walk, listing, fd);
    listing->volume ^= walk->part;
    watch_directory(walk, listing, fd);
    dir = fdopendir(fd);
    if (!dir) {
        listing->error = errno;
        list_append(&walk->listings, &listing->link);
        return;
    }
    (void)STEAL_FD(own_fd);
    list_directory(walk, listing, dir);
    listing->mtime = fstat(dirfd(dir), &st) == 0 ? directory_mtime(&st) : 0;
    list_append(&walk->listings, &listing->link);
    if (push_frame(walk, listing, dir) < 0)
        (void)closedir(dir);
}

static void visit_failed(Walk *walk, const char *name, uint64_t parent, int error)
{
    Listing *listing;

    /* Gone again, or replaced by something else: its event has told or will tell. */
    if (error == ENOENT || error == ENOTDIR || error == ELOOP)
        return;
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
    visit(walk, fd, "", 0, 0);
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

static void name_mount(Walk *walk, const char *name, uint64_t parent)
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
    uint64_t id = frame->id;
    uint64_t dev = frame->dev;
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
            name_mount(walk, name, id);
        return;
    }
    fd = openat(dirfd(frame->dir), name,
                O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        visit_failed(walk, name, id, errno);
    else
        visit(walk, fd, name, id, dev); /* may move the frames */
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
    free(walk->own);
    free(walk->path);
    free(walk->real_start);
    text_done(&walk->at);
    text_done(&walk->real);
    walk->mounts = mount_table_unref(walk->mounts);
    walk->rules = rules_unref(walk->rules);
}
