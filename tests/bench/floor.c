/*
 * floor DIR - what the kernel asks for watching a tree, and nothing more: each directory is opened
 * relative to its parent, gets its watch and is listed, without one lstat(2)
 *
 * Nothing is kept but the path down. It has the daemon's mask, and the daemon's order (watch, then
 * list), in one thread. Prints "ready: DIRECTORIES FILES" and stays, with its watches, until it is
 * killed.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "util/cleanup.h"

#define MASK                                                                                       \
    (IN_CREATE | IN_CLOSE_WRITE | IN_MOVED_FROM | IN_MOVED_TO | IN_DELETE | IN_DELETE_SELF |       \
     IN_MOVE_SELF | IN_ATTRIB | IN_ONLYDIR | IN_EXCL_UNLINK)

static int inotify_fd;
static unsigned long n_directories, n_files;

static _Noreturn void fail(const char *what)
{
    (void)fprintf(stderr, "floor: %s: %s\n", what, strerror(errno));
    _exit(1);
}

static void visit(int fd);

static void visit_child(int parent, const char *name)
{
    int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

    if (fd < 0)
        fail(name);
    visit(fd);
}

/* Takes over fd. */
static void visit(int fd)
{
    char link[40];
    DIR *dir;

    (void)snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    if (inotify_add_watch(inotify_fd, link, MASK) < 0)
        fail("inotify_add_watch");
    dir = fdopendir(fd);
    if (!dir)
        fail("fdopendir");
    n_directories++;
    for (struct dirent *d; (d = readdir(dir));) {
        if (d->d_type != DT_DIR)
            n_files++;
        else if (strcmp(d->d_name, ".") != 0 && strcmp(d->d_name, "..") != 0)
            visit_child(fd, d->d_name);
    }
    (void)closedir(dir);
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        (void)fprintf(stderr, "Usage: floor DIR\n");
        return 2;
    }
    inotify_fd = inotify_init1(IN_CLOEXEC);
    if (inotify_fd < 0)
        fail("inotify_init1");
    visit_child(AT_FDCWD, argv[1]);
    (void)printf("ready: %lu %lu\n", n_directories, n_files);
    (void)fflush(stdout);
    for (;;)
        (void)pause();
}
