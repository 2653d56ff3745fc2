#include "volume/directory.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "util/cleanup.h"
#include "util/error.h"

#define OPEN_FLAGS (O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NONBLOCK)
/* open(2) takes PATH_MAX (4096) bytes with the zero at most; longer paths are walked in pieces. */
#define PIECE_MAX 4000

static int open_piece(int at, const char *piece, int flags)
{
    int fd = openat(at, piece, OPEN_FLAGS | flags);

    return fd < 0 ? -errno : fd;
}

/*
 * directory_open() - open a directory for reading
 * @path: absolute, of any length
 * @follow: whether its last component may be a symbolic link (a root's may)
 *
 * Returns the descriptor (the caller closes it) or the negative errno of open(2), which callers
 * look at: ENOENT and ENOTDIR mean that the directory is not there.
 */
int directory_open(const char *path, bool follow)
{
    CLEANUP_FREE char *copy = strdup(path);
    CLEANUP_CLOSE int at = -1;
    char *rest = copy;

    if (!copy)
        return -ENOMEM;
    while (strlen(rest) > PIECE_MAX) {
        char *cut = rest + PIECE_MAX;
        int fd;

        while (cut > rest && *cut != '/')
            cut--;
        if (cut == rest)
            return -ENAMETOOLONG;
        *cut = '\0';
        fd = open_piece(at >= 0 ? at : AT_FDCWD, rest, O_PATH);
        if (fd < 0)
            return fd;
        if (at >= 0)
            (void)close(at);
        at = fd;
        rest = cut + 1;
    }
    return open_piece(at >= 0 ? at : AT_FDCWD, rest, follow ? 0 : O_NOFOLLOW);
}

int64_t directory_mtime(const struct stat *st)
{
    return st->st_mtim.tv_sec;
}

FileStamp directory_stamp(const struct stat *st)
{
    return (FileStamp){
        .dev = st->st_dev,
        .ino = st->st_ino,
        .size = (uint64_t)st->st_size,
        .mtime_ns = (int64_t)st->st_mtim.tv_sec * 1000000000 + st->st_mtim.tv_nsec,
    };
}

/*
 * directory_born() - when a directory was made (statx(2), STATX_BTIME)
 *
 * Inode numbers are used again, often at once; the two together are not. Servers are not asked for
 * it: what they have told already is enough.
 */
int64_t directory_born(int fd)
{
    struct statx st;

    if (statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_BTIME, &st) < 0 ||
        !(st.stx_mask & STATX_BTIME))
        return 0;
    return st.stx_btime.tv_sec * 1000000000 + st.stx_btime.tv_nsec;
}

static int64_t change_time(const struct stat *st)
{
    return (int64_t)st->st_ctim.tv_sec * 1000000000 + st->st_ctim.tv_nsec;
}

/*
 * directory_probe() - look at one name
 *
 * Symbolic links to files are followed, as PictoPy does: what counts is the photo that is read
 * (size, mtime), while the inode is that of the link, whose moves are moves of the link.
 */
void directory_probe(int dir_fd, const char *name, Entry *ret_entry)
{
    Entry entry = {0};
    struct stat st;

    if (fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0) {
        entry.type = errno == ENOENT || errno == ENOTDIR ? ENTRY_TYPE_ABSENT : ENTRY_TYPE_ERROR;
        entry.error = errno;
        *ret_entry = entry;
        return;
    }
    entry.stamp = directory_stamp(&st);
    entry.mtime = directory_mtime(&st);
    entry.type = S_ISREG(st.st_mode)   ? ENTRY_TYPE_FILE
                 : S_ISDIR(st.st_mode) ? ENTRY_TYPE_DIRECTORY
                                       : ENTRY_TYPE_OTHER;
    if (S_ISLNK(st.st_mode)) {
        if (fstatat(dir_fd, name, &st, 0) < 0) {
            entry.type = errno == ENOENT || errno == ELOOP ? ENTRY_TYPE_DANGLING : ENTRY_TYPE_ERROR;
            entry.error = errno;
        } else if (S_ISREG(st.st_mode)) {
            entry.type = ENTRY_TYPE_FILE;
            entry.stamp.size = (uint64_t)st.st_size;
            entry.stamp.mtime_ns = directory_stamp(&st).mtime_ns;
        }
    }
    entry.ctime_ns = change_time(&st);
    *ret_entry = entry;
}

static bool contains(const uint64_t *magics, size_t n, uint64_t magic)
{
    for (size_t i = 0; i < n; i++)
        if (magic == magics[i])
            return true;
    return false;
}

static bool is_pseudo(uint64_t magic)
{
    static const uint64_t magics[] = {
        PROC_SUPER_MAGIC,
        SYSFS_MAGIC,
        CGROUP_SUPER_MAGIC,
        CGROUP2_SUPER_MAGIC,
        DEVPTS_SUPER_MAGIC,
        DEBUGFS_MAGIC,
        TRACEFS_MAGIC,
        SECURITYFS_MAGIC,
        SELINUX_MAGIC,
        PSTOREFS_MAGIC,
        BPF_FS_MAGIC,
        EFIVARFS_MAGIC,
        NSFS_MAGIC,
        BINFMTFS_MAGIC,
        BINDERFS_SUPER_MAGIC,
        0x62656570 /* configfs */,
        0x19800202 /* mqueue */,
        0x0187 /* autofs */,
        0x65735543 /* fusectl */,
    };

    return contains(magics, sizeof(magics) / sizeof(magics[0]), magic);
}

/* directory_is_remote() - see the header; by the kind of file system, statfs(2). */
bool directory_is_remote(int fd)
{
    static const uint64_t magics[] = {
        NFS_SUPER_MAGIC,           SMB_SUPER_MAGIC,
        CIFS_SUPER_MAGIC,          SMB2_SUPER_MAGIC,
        FUSE_SUPER_MAGIC,          V9FS_MAGIC,
        AFS_SUPER_MAGIC,           AFS_FS_MAGIC,
        CEPH_SUPER_MAGIC,          CODA_SUPER_MAGIC,
        NCP_SUPER_MAGIC,           OCFS2_SUPER_MAGIC,
        0x01161970 /* gfs2 */,     0x0bd00bd0 /* lustre */,
        0x47504653 /* gpfs */,     0x19830326 /* beegfs */,
        0x20030528 /* orangefs */, 0x786f4256 /* vboxsf */,
        0xbacbacbc /* vmhgfs */,   0x7c7c6673 /* prl_fs */,
    };
    struct statfs fs;

    return fstatfs(fd, &fs) < 0 ||
           contains(magics, sizeof(magics) / sizeof(magics[0]), (uint64_t)fs.f_type & UINT32_MAX);
}

/*
 * directory_volume() - what file system a descriptor is on
 *
 * st_dev is not stable: it changes with the order in which drives are plugged in. f_fsid is made
 * from the file system's UUID by ext4, btrfs and f2fs; others (xfs, vfat, tmpfs) derive it from the
 * device or at random, so a different value alone does not prove a different file system.
 */
uint64_t directory_volume(int fd, bool *ret_pseudo)
{
    struct statfs fs;
    uint64_t id;

    *ret_pseudo = false;
    if (fstatfs(fd, &fs) < 0)
        return 0;
    *ret_pseudo = is_pseudo((uint64_t)fs.f_type & UINT32_MAX);
    memcpy(&id, &fs.f_fsid, sizeof(id));
    return id ^ ((uint64_t)fs.f_type << 32 | (uint64_t)fs.f_type);
}
