/*
 * fuse-fault [--direct-io] BACKING MOUNTPOINT - shows the directory BACKING at MOUNTPOINT through
 * FUSE, and breaks on command: a network mount that hangs, a drive with bad sectors.
 *
 * It stays in the foreground, prints `ready` once the mount answers, then reads commands, one a
 * line, from standard input, and answers each with one line on standard output: `ok`, a number, or
 * `error: …`. After the answer the command is in force.
 *
 *   hang OPS [GLOB] [after=N] [times=N]         requests wait until `clear`
 *   fail ERRNO OPS [GLOB] [after=N] [times=N]   requests end with an error: `fail EIO read`
 *   delay MS OPS [GLOB] [after=N] [times=N]     requests take that much longer
 *   clear        drops all rules; what hangs goes on as if nothing had been
 *   hung         how many requests hang at this moment
 *   wait N       answers `ok` as soon as at least N requests hang; an error after 20 seconds
 *   count OPS    how many such requests came so far
 *   quit         unmounts and ends; so do SIGTERM, SIGINT and the end of standard input
 *
 * OPS are names with commas between: getattr (lstat and the lookup of a name), opendir, readdir
 * (one request for each few kilobytes of names), open, read, write, create (files and links),
 * mkdir, remove (unlink, rmdir), rename, setattr (chmod, chown, truncate, utimens), statfs, sync,
 * flush (close of a file, by each process that has it open); or `all`. GLOB is matched with the
 * path below MOUNTPOINT, which begins with a slash (`/` is MOUNTPOINT itself); `*` matches slashes
 * too; an open file counts by the path that it was opened by. after=N: the first N requests that
 * match are let through; times=N: only as many are broken. Of several rules that match a request
 * the oldest counts.
 *
 * A process that waits for a hung request is in uninterruptible sleep (state D) and not even
 * SIGKILL ends it, as on a dead disk. Reading through the page cache is the exception: --direct-io
 * makes reads hang like all the rest. Nothing is cached by the kernel for longer than a request
 * takes. At the end all that hangs gets ECONNABORTED. After SIGKILL the mount point is dead
 * (ENOTCONN) until `umount -l MOUNTPOINT`.
 */
#define FUSE_USE_VERSION 312

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <fuse.h>

#include "faults.h"

#define LINE_SIZE   8192
#define THREADS_MAX 1000 /* each hung request keeps one */

static int backing = -1; /* O_PATH */
static bool direct_io;

/* ---- the file system: everything passes through ---- */

static const char *below(const char *path)
{
    return path[1] ? path + 1 : ".";
}

static int result(int r)
{
    return r < 0 ? -errno : 0;
}

/* The rules go by the path that a file was opened by, which it may have lost by now. */
typedef struct Handle {
    int fd;   /* of a file; owned */
    DIR *dir; /* of a directory; owned */
    char path[];
} Handle;

static Handle *handle_of(const struct fuse_file_info *fi)
{
    return (Handle *)(uintptr_t)fi->fh;
}

/* Takes over fd, or a negative one with its errno. */
static int handle_open(int fd, const char *path, struct fuse_file_info *fi)
{
    Handle *handle = fd >= 0 ? malloc(sizeof(*handle) + strlen(path) + 1) : NULL;

    if (!handle) {
        int error = fd >= 0 ? ENOMEM : errno;

        if (fd >= 0)
            (void)close(fd);
        return -error;
    }
    handle->fd = fd;
    handle->dir = NULL;
    (void)strcpy(handle->path, path);
    fi->fh = (uint64_t)(uintptr_t)handle;
    fi->direct_io = direct_io;
    return 0;
}

static int ff_getattr(const char *path, struct stat *st, struct fuse_file_info *fi)
{
    int r = faults_gate(FAULT_GETATTR, fi ? handle_of(fi)->path : path);

    if (r < 0)
        return r;
    return fi ? result(fstat(handle_of(fi)->fd, st))
              : result(fstatat(backing, below(path), st, AT_SYMLINK_NOFOLLOW));
}

static int ff_readlink(const char *path, char *text, size_t size)
{
    ssize_t n = readlinkat(backing, below(path), text, size - 1);

    if (n < 0)
        return -errno;
    text[n] = '\0';
    return 0;
}

static int ff_opendir(const char *path, struct fuse_file_info *fi)
{
    int r = faults_gate(FAULT_OPENDIR, path);

    if (r < 0)
        return r;
    r = handle_open(openat(backing, below(path), O_RDONLY | O_DIRECTORY | O_CLOEXEC), path, fi);
    if (r < 0)
        return r;
    handle_of(fi)->dir = fdopendir(handle_of(fi)->fd);
    return handle_of(fi)->dir ? 0 : -ENOMEM;
}

static int ff_readdir(const char *path, void *buffer, fuse_fill_dir_t fill, off_t offset,
                      struct fuse_file_info *fi, enum fuse_readdir_flags flags)
{
    DIR *dir = handle_of(fi)->dir;
    int r = faults_gate(FAULT_READDIR, handle_of(fi)->path);

    (void)path;
    (void)flags;
    if (r < 0)
        return r;
    seekdir(dir, offset);
    errno = 0;
    for (struct dirent *d; (d = readdir(dir));) {
        struct stat st = {.st_ino = d->d_ino, .st_mode = (mode_t)DTTOIF(d->d_type)};

        if (fill(buffer, d->d_name, &st, d->d_off, 0) != 0)
            return 0; /* full: the rest is asked for with the offset of the last that fitted */
    }
    return -errno;
}

static int ff_releasedir(const char *path, struct fuse_file_info *fi)
{
    Handle *handle = handle_of(fi);

    (void)path;
    (void)closedir(handle->dir);
    free(handle);
    return 0;
}

/* The kernel sends an append as a write at the end; with O_APPEND pwrite(2) ignores where. */
static int open_flags(const struct fuse_file_info *fi)
{
    return (fi->flags & ~O_APPEND) | O_CLOEXEC;
}

static int ff_open(const char *path, struct fuse_file_info *fi)
{
    int r = faults_gate(FAULT_OPEN, path);

    return r < 0 ? r : handle_open(openat(backing, below(path), open_flags(fi)), path, fi);
}

static int ff_create(const char *path, mode_t mode, struct fuse_file_info *fi)
{
    int r = faults_gate(FAULT_CREATE, path);

    return r < 0 ? r : handle_open(openat(backing, below(path), open_flags(fi), mode), path, fi);
}

/* Asked by close(2), also after mere reading. */
static int ff_flush(const char *path, struct fuse_file_info *fi)
{
    (void)path;
    return faults_gate(FAULT_FLUSH, handle_of(fi)->path);
}

static int ff_release(const char *path, struct fuse_file_info *fi)
{
    Handle *handle = handle_of(fi);
    int r = result(close(handle->fd));

    (void)path;
    free(handle);
    return r;
}

static int ff_read(const char *path, char *data, size_t size, off_t offset,
                   struct fuse_file_info *fi)
{
    Handle *handle = handle_of(fi);
    int r = faults_gate(FAULT_READ, handle->path);
    ssize_t n = r < 0 ? -1 : pread(handle->fd, data, size, offset);

    (void)path;
    return r < 0 ? r : n < 0 ? -errno : (int)n;
}

static int ff_write(const char *path, const char *data, size_t size, off_t offset,
                    struct fuse_file_info *fi)
{
    Handle *handle = handle_of(fi);
    int r = faults_gate(FAULT_WRITE, handle->path);
    ssize_t n = r < 0 ? -1 : pwrite(handle->fd, data, size, offset);

    (void)path;
    return r < 0 ? r : n < 0 ? -errno : (int)n;
}

static int ff_mknod(const char *path, mode_t mode, dev_t device)
{
    int r = faults_gate(FAULT_CREATE, path);

    return r < 0 ? r : result(mknodat(backing, below(path), mode, device));
}

static int ff_symlink(const char *target, const char *path)
{
    int r = faults_gate(FAULT_CREATE, path);

    return r < 0 ? r : result(symlinkat(target, backing, below(path)));
}

static int ff_link(const char *from, const char *path)
{
    int r = faults_gate(FAULT_CREATE, path);

    return r < 0 ? r : result(linkat(backing, below(from), backing, below(path), 0));
}

static int ff_mkdir(const char *path, mode_t mode)
{
    int r = faults_gate(FAULT_MKDIR, path);

    return r < 0 ? r : result(mkdirat(backing, below(path), mode));
}

static int ff_unlink(const char *path)
{
    int r = faults_gate(FAULT_REMOVE, path);

    return r < 0 ? r : result(unlinkat(backing, below(path), 0));
}

static int ff_rmdir(const char *path)
{
    int r = faults_gate(FAULT_REMOVE, path);

    return r < 0 ? r : result(unlinkat(backing, below(path), AT_REMOVEDIR));
}

static int ff_rename(const char *from, const char *path, unsigned flags)
{
    int r = faults_gate(FAULT_RENAME, from);

    return r < 0 ? r : result(renameat2(backing, below(from), backing, below(path), flags));
}

static int ff_chmod(const char *path, mode_t mode, struct fuse_file_info *fi)
{
    int r = faults_gate(FAULT_SETATTR, fi ? handle_of(fi)->path : path);

    if (r < 0)
        return r;
    return result(fi ? fchmod(handle_of(fi)->fd, mode) : fchmodat(backing, below(path), mode, 0));
}

static int ff_chown(const char *path, uid_t user, gid_t group, struct fuse_file_info *fi)
{
    int r = faults_gate(FAULT_SETATTR, fi ? handle_of(fi)->path : path);

    if (r < 0)
        return r;
    return result(fi ? fchown(handle_of(fi)->fd, user, group)
                     : fchownat(backing, below(path), user, group, AT_SYMLINK_NOFOLLOW));
}

static int ff_truncate(const char *path, off_t size, struct fuse_file_info *fi)
{
    int r = faults_gate(FAULT_SETATTR, fi ? handle_of(fi)->path : path);
    int fd;

    if (r < 0)
        return r;
    if (fi)
        return result(ftruncate(handle_of(fi)->fd, size));
    fd = openat(backing, below(path), O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return -errno;
    r = result(ftruncate(fd, size));
    (void)close(fd);
    return r;
}

static int ff_utimens(const char *path, const struct timespec times[2], struct fuse_file_info *fi)
{
    int r = faults_gate(FAULT_SETATTR, fi ? handle_of(fi)->path : path);

    if (r < 0)
        return r;
    return result(fi ? futimens(handle_of(fi)->fd, times)
                     : utimensat(backing, below(path), times, AT_SYMLINK_NOFOLLOW));
}

static int ff_statfs(const char *path, struct statvfs *fs)
{
    int r = faults_gate(FAULT_STATFS, path);

    return r < 0 ? r : result(fstatvfs(backing, fs));
}

static int ff_fsync(const char *path, int data_only, struct fuse_file_info *fi)
{
    int r = faults_gate(FAULT_SYNC, handle_of(fi)->path);

    (void)path;
    return r < 0 ? r : result(data_only ? fdatasync(handle_of(fi)->fd) : fsync(handle_of(fi)->fd));
}

static void *ff_init(struct fuse_conn_info *connection, struct fuse_config *config)
{
    connection->want &= ~(unsigned)(FUSE_CAP_READDIRPLUS | FUSE_CAP_READDIRPLUS_AUTO);
    connection->max_background = THREADS_MAX;
    config->use_ino = 1;
    config->hard_remove = 1;
    config->nullpath_ok = 1;
    config->attr_timeout = config->entry_timeout = config->negative_timeout = 0;
    (void)puts("ready");
    return NULL;
}

static const struct fuse_operations operations = {
    .init = ff_init,
    .getattr = ff_getattr,
    .readlink = ff_readlink,
    .opendir = ff_opendir,
    .readdir = ff_readdir,
    .releasedir = ff_releasedir,
    .open = ff_open,
    .create = ff_create,
    .flush = ff_flush,
    .release = ff_release,
    .read = ff_read,
    .write = ff_write,
    .mknod = ff_mknod,
    .symlink = ff_symlink,
    .link = ff_link,
    .mkdir = ff_mkdir,
    .unlink = ff_unlink,
    .rmdir = ff_rmdir,
    .rename = ff_rename,
    .chmod = ff_chmod,
    .chown = ff_chown,
    .truncate = ff_truncate,
    .utimens = ff_utimens,
    .statfs = ff_statfs,
    .fsync = ff_fsync,
};

/* ---- beginning and end ---- */

/* Of its own thread: `wait` may wait. Unmounting closes our end, which ends all that hangs. */
static void *read_commands(void *fuse)
{
    char line[LINE_SIZE];

    while (fgets(line, sizeof(line), stdin) && faults_obey(line))
        ;
    fuse_unmount(fuse);
    _exit(EXIT_SUCCESS);
}

static void *wait_signal(void *fuse)
{
    sigset_t signals;
    int signo;

    (void)sigemptyset(&signals);
    (void)sigaddset(&signals, SIGTERM);
    (void)sigaddset(&signals, SIGINT);
    (void)sigwait(&signals, &signo);
    fuse_unmount(fuse);
    _exit(EXIT_SUCCESS);
}

static void start(void *(*function)(void *), struct fuse *fuse)
{
    pthread_t thread;

    if (pthread_create(&thread, NULL, function, fuse) != 0)
        _exit(EXIT_FAILURE);
}

static int serve(struct fuse *fuse, const char *mountpoint)
{
    struct fuse_loop_config *config = fuse_loop_cfg_create();

    if (fuse_mount(fuse, mountpoint) != 0)
        return EXIT_FAILURE;
    start(read_commands, fuse);
    start(wait_signal, fuse);
    fuse_loop_cfg_set_max_threads(config, THREADS_MAX);
    (void)fuse_loop_mt(fuse, config); /* until somebody else unmounts it */
    fuse_loop_cfg_destroy(config);
    return EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
    struct fuse_args arguments = FUSE_ARGS_INIT(0, NULL);
    struct fuse *fuse;
    sigset_t signals;

    direct_io = argc > 1 && strcmp(argv[1], "--direct-io") == 0;
    if (argc - direct_io != 3) {
        (void)fputs("Usage: fuse-fault [--direct-io] BACKING MOUNTPOINT\n", stderr);
        return 2;
    }
    backing = open(argv[1 + direct_io], O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (backing < 0) {
        perror(argv[1 + direct_io]);
        return EXIT_FAILURE;
    }
    (void)umask(0);
    (void)setvbuf(stdout, NULL, _IOLBF, 0);
    (void)sigemptyset(&signals);
    (void)sigaddset(&signals, SIGTERM);
    (void)sigaddset(&signals, SIGINT);
    (void)pthread_sigmask(SIG_BLOCK, &signals, NULL);
    (void)signal(SIGPIPE, SIG_IGN); /* nobody listens any more: standard input ends too */
    (void)fuse_opt_add_arg(&arguments, argv[0]);
    (void)fuse_opt_add_arg(&arguments, "-ofsname=fuse-fault");
    if (geteuid() == 0)
        (void)fuse_opt_add_arg(&arguments, "-oallow_other,default_permissions");
    fuse = fuse_new(&arguments, &operations, sizeof(operations), NULL);
    return fuse ? serve(fuse, argv[2 + direct_io]) : EXIT_FAILURE;
}
