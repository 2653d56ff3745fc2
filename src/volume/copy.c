/*
 * Copies of files in memory.
 *
 * Whoever reads a file on a dead network mount hangs, and with FUSE not even SIGKILL ends that. So
 * only the thread of that volume reads it; the others get a memfd, sealed, so that nobody can
 * change or cut it while others have it mapped (memfd_create(2)).
 */

#include "volume/copy.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "util/cleanup.h"
#include "volume/directory.h"

#define SEALS (F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)
/* A slow network takes its time for a large file; for this much, it is dead. */
#define PIECE_MAX ((size_t)1 << 20)

/* How many bytes there were, at most size; or a negative errno. */
static ssize_t read_all(WorkerJob *job, int fd, uint8_t *data, size_t size)
{
    size_t done = 0;

    while (done < size) {
        size_t piece = size - done < PIECE_MAX ? size - done : PIECE_MAX;
        ssize_t n = pread(fd, data + done, piece, (off_t)done);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        if (n == 0)
            break;
        done += (size_t)n;
        worker_alive(job);
    }
    return (ssize_t)done;
}

/* Straight into the memory of the copy. It must be unmapped before it can be sealed. */
static int fill(WorkerJob *job, int fd, int copy, size_t size)
{
    void *data;
    ssize_t n;

    if (size == 0)
        return 0;
    if (ftruncate(copy, (off_t)size) < 0)
        return -errno;
    data = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, copy, 0);
    if (data == MAP_FAILED)
        return -errno;
    n = read_all(job, fd, data, size);
    (void)munmap(data, size);
    if (n < 0)
        return (int)n;
    return (size_t)n < size ? COPY_E_CHANGED : 0;
}

/*
 * copy_to_memory() - a sealed memfd with all that is in a regular file
 * @job: told that it is alive as long as data comes
 * @size_max: the copy of a larger file is empty: its size alone says that nobody wants it
 * @ret_stamp: of the file, before and after
 */
int copy_to_memory(WorkerJob *job, int fd, uint64_t size_max, FileStamp *ret_stamp, int *ret_copy)
{
    CLEANUP_CLOSE int copy = memfd_create("copy", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    struct stat before, after;
    FileStamp stamp, now;
    int r;

    if (copy < 0 || fstat(fd, &before) < 0)
        return -errno;
    stamp = directory_stamp(&before);
    r = fill(job, fd, copy, stamp.size <= size_max ? (size_t)stamp.size : 0);
    if (r != 0)
        return r;
    if (fstat(fd, &after) < 0)
        return -errno;
    now = directory_stamp(&after);
    if (!file_stamp_same_content(&now, &stamp))
        return COPY_E_CHANGED;
    if (fcntl(copy, F_ADD_SEALS, SEALS) < 0)
        return -errno;
    *ret_stamp = stamp;
    *ret_copy = STEAL_FD(copy);
    return 0;
}
