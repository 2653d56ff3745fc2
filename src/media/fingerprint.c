/*
 * The fingerprint of a content: XXH3, 64 bits, of the whole file. Above 64 MiB (videos, mostly) of
 * the first, the middle and the last MiB and the size, so that a moved film is known again without
 * reading it all. It is compared only between files of the same size, and is no protection against
 * somebody who forges files: that one can do no more than give his photo another photo's tags.
 */

#include "media/fingerprint.h"

#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <xxhash.h>

#include "util/cleanup.h"
#include "util/error.h"

static int hash_range(XXH3_state_t *state, const ByteSource *source, uint64_t offset, uint64_t end,
                      uint8_t *buffer)
{
    while (offset < end) {
        uint64_t left = end - offset;
        size_t size = left < FINGERPRINT_SAMPLE_SIZE ? (size_t)left : FINGERPRINT_SAMPLE_SIZE;
        ssize_t n = byte_source_read(source, offset, buffer, size);

        if (n < 0)
            return error_trace((int)n);
        (void)XXH3_64bits_update(state, buffer, (size_t)n);
        if ((size_t)n < size)
            break; /* it was truncated: the caller notices by the stamp */
        offset += size;
    }
    return 0;
}

static int hash_samples(XXH3_state_t *state, const ByteSource *source, uint8_t *buffer)
{
    const uint64_t starts[] = {0, source->size / 2 - FINGERPRINT_SAMPLE_SIZE / 2,
                               source->size - FINGERPRINT_SAMPLE_SIZE};
    uint64_t size = htole64(source->size);
    int r;

    for (size_t i = 0; i < sizeof(starts) / sizeof(starts[0]); i++) {
        r = hash_range(state, source, starts[i], starts[i] + FINGERPRINT_SAMPLE_SIZE, buffer);
        if (r < 0)
            return r;
    }
    (void)XXH3_64bits_update(state, &size, sizeof(size));
    return 0;
}

static void cleanup_state(XXH3_state_t **state)
{
    (void)XXH3_freeState(*state);
}

/* fingerprint_read() - 0, -ENOMEM, or the negative errno of pread(2). */
int fingerprint_read(const ByteSource *source, uint64_t *ret_fingerprint)
{
    CLEANUP(cleanup_state) XXH3_state_t *state = XXH3_createState();
    CLEANUP_FREE uint8_t *buffer = malloc(FINGERPRINT_SAMPLE_SIZE);
    int r;

    if (!state || !buffer)
        return -ENOMEM;
    (void)XXH3_64bits_reset(state);
    r = source->size > FINGERPRINT_WHOLE_MAX ? hash_samples(state, source, buffer)
                                             : hash_range(state, source, 0, source->size, buffer);
    if (r < 0)
        return r;
    *ret_fingerprint = XXH3_64bits_digest(state);
    return 0;
}
