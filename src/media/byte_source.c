#include "media/byte_source.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

static ssize_t read_memory(const ByteSource *source, uint64_t offset, void *buffer, size_t size)
{
    if (offset >= source->size)
        return 0;
    if (size > source->size - offset)
        size = (size_t)(source->size - offset);
    memcpy(buffer, source->data + offset, size);
    return (ssize_t)size;
}

/*
 * byte_source_read() - reads up to size bytes at offset
 *
 * pread(2), never mmap(2): a file that is truncated while it is mapped kills with SIGBUS. A file
 * that has grown is not read beyond source->size.
 */
ssize_t byte_source_read(const ByteSource *source, uint64_t offset, void *buffer, size_t size)
{
    size_t done = 0;

    if (source->fd < 0)
        return read_memory(source, offset, buffer, size);
    if (offset >= source->size)
        return 0;
    if (size > source->size - offset)
        size = (size_t)(source->size - offset);
    while (done < size) {
        ssize_t n = pread(source->fd, (char *)buffer + done, size - done, (off_t)(offset + done));

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        if (n == 0)
            break;
        done += (size_t)n;
    }
    return (ssize_t)done;
}
