/* Fingerprints: what they cover, and that memory and files agree. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <xxhash.h>

#include "media/fingerprint.h"

#define MIB ((size_t)1 << 20)

static uint64_t of_memory(const void *data, uint64_t size)
{
    ByteSource source = {.fd = -1, .data = data, .size = size};
    uint64_t fingerprint = 0;

    assert_int_equal(fingerprint_read(&source, &fingerprint), 0);
    return fingerprint;
}

static uint64_t of_file(int fd, uint64_t size)
{
    ByteSource source = {.fd = fd, .size = size};
    uint64_t fingerprint = 0;

    assert_int_equal(fingerprint_read(&source, &fingerprint), 0);
    return fingerprint;
}

static void test_whole(void **state)
{
    uint8_t *data = malloc(3 * MIB + 17);

    (void)state;
    assert_non_null(data);
    for (size_t i = 0; i < 3 * MIB + 17; i++)
        data[i] = (uint8_t)(i * 31 >> 3);
    assert_true(of_memory(data, 3 * MIB + 17) == XXH3_64bits(data, 3 * MIB + 17));
    assert_true(of_memory("", 0) == XXH3_64bits("", 0));
    assert_true(of_memory("abc", 3) == XXH3_64bits("abc", 3));
    free(data);
}

static int make_file(uint64_t size)
{
    int fd = memfd_create("fingerprint", MFD_CLOEXEC);

    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, (off_t)size), 0);
    return fd;
}

static void put(int fd, uint64_t offset, uint8_t byte)
{
    assert_int_equal(pwrite(fd, &byte, 1, (off_t)offset), 1);
}

/* Does a changed byte at offset change the fingerprint? */
static bool covers(int fd, uint64_t size, uint64_t offset)
{
    uint64_t before = of_file(fd, size);
    uint64_t after;

    put(fd, offset, 1);
    after = of_file(fd, size);
    put(fd, offset, 0);
    return before != after;
}

/* Up to 64 MiB every byte counts. */
static void test_limit(void **state)
{
    uint64_t size = 64 * MIB;
    int fd = make_file(size);

    (void)state;
    assert_true(covers(fd, size, 0));
    assert_true(covers(fd, size, 5 * MIB));
    assert_true(covers(fd, size, size - 1));
    (void)close(fd);
}

/* Above, the first, the middle and the last MiB, and the size. */
static void test_samples(void **state)
{
    uint64_t size = 64 * MIB + 1;
    int fd = make_file(size);

    (void)state;
    assert_true(covers(fd, size, 0));
    assert_true(covers(fd, size, MIB - 1));
    assert_false(covers(fd, size, MIB));
    assert_false(covers(fd, size, size / 2 - MIB / 2 - 1));
    assert_true(covers(fd, size, size / 2 - MIB / 2));
    assert_true(covers(fd, size, size / 2 + MIB / 2 - 1));
    assert_false(covers(fd, size, size / 2 + MIB / 2));
    assert_false(covers(fd, size, size - MIB - 1));
    assert_true(covers(fd, size, size - MIB));
    assert_true(covers(fd, size, size - 1));
    assert_int_equal(ftruncate(fd, (off_t)size + 10), 0);
    assert_true(of_file(fd, size) != of_file(fd, size + 10));
    (void)close(fd);
}

static void test_error(void **state)
{
    ByteSource source = {.fd = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC), .size = 100};
    uint64_t fingerprint = 7;

    (void)state;
    assert_int_equal(fingerprint_read(&source, &fingerprint), -EISDIR);
    assert_int_equal(fingerprint, 7);
    (void)close(source.fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_whole),
        cmocka_unit_test(test_limit),
        cmocka_unit_test(test_samples),
        cmocka_unit_test(test_error),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
