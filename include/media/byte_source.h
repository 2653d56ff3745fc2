#pragma once
/* Bytes that are read at offsets: an open file, or memory (photos, and fuzzing). */

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

typedef struct ByteSource {
    int fd;              /* -1: data is used */
    const uint8_t *data; /* borrowed */
    uint64_t size;
} ByteSource;

/* The number of bytes read, less than size only at the end; or a negative errno. */
ssize_t byte_source_read(const ByteSource *source, uint64_t offset, void *buffer, size_t size);
