/* Real videos, made by tests/tools/make-video, which the variable MAKE_VIDEO names. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "media/video.h"
#include "util/cleanup.h"

static char directory[] = "/tmp/test-video-XXXXXX";

static void path_of(const char *name, char path[256])
{
    (void)snprintf(path, 256, "%s/%s", directory, name);
}

/* arguments: width, height, rate and seconds */
static void make_video(const char *name, const char *arguments)
{
    const char *program = getenv("MAKE_VIDEO");
    char command[1024];

    assert_non_null(program);
    (void)snprintf(command, sizeof(command), "'%s' %s/%s %s", program, directory, name, arguments);
    assert_int_equal(system(command), 0); /* NOLINT: fixed texts */
}

/* Writes a turn by 90 degrees into the matrix of the track's header ("tkhd", ISO 14496-12, 8.3.2):
 * the 16.16 numbers a b u c d … stand 40 bytes behind its name. */
static void turn(const char *name)
{
    static const uint8_t matrix[20] = {[5] = 1, [12] = 0xff, [13] = 0xff}; /* b = 1, c = -1 */
    static uint8_t bytes[1 << 20];
    uint8_t *track;
    char path[256];
    size_t size;
    FILE *file;

    path_of(name, path);
    file = fopen(path, "r+e");
    assert_non_null(file);
    size = fread(bytes, 1, sizeof(bytes), file);
    track = memmem(bytes, size, "tkhd", 4);
    assert_non_null(track);
    assert_int_equal(fseek(file, track - bytes + 4 + 40, SEEK_SET), 0);
    assert_int_equal(fwrite(matrix, 1, sizeof(matrix), file), sizeof(matrix));
    assert_int_equal(fclose(file), 0);
}

/* What is found out about a file, of which only the first size bytes are there. */
static VideoFacts read_part(const char *name, uint64_t size)
{
    char path[256];
    CLEANUP_CLOSE int fd = -1;
    ByteSource source = {.fd = -1};
    VideoFacts facts;

    path_of(name, path);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    source.fd = fd;
    source.size = size;
    video_facts_read(&source, &facts);
    return facts;
}

static uint64_t size_of(const char *name)
{
    char path[256];
    struct stat st;

    path_of(name, path);
    assert_int_equal(stat(path, &st), 0);
    return (uint64_t)st.st_size;
}

static void check(const char *name, uint32_t width, uint32_t height, double duration, double fps)
{
    VideoFacts facts = read_part(name, size_of(name));

    assert_int_equal(facts.width, width);
    assert_int_equal(facts.height, height);
    assert_true(fabs(facts.duration - duration) < 0.0015);
    assert_true(fabs(facts.fps - fps) < 0.0005);
}

static void test_formats(void **state)
{
    (void)state;
    make_video("a.mp4", "160 120 30000/1001 2");
    check("a.mp4", 160, 120, 2.002, 29.97);
    make_video("b.mov", "160 120 25 1");
    check("b.mov", 160, 120, 1, 25);
}

/* Shown turned by 90 degrees: width and height are those of what is seen. */
static void test_rotation(void **state)
{
    (void)state;
    make_video("c.mov", "160 120 25 1");
    turn("c.mov");
    check("c.mov", 120, 160, 1, 25);
}

/* Cut files, and files of other kinds, stay unknown and do no harm. */
static void test_damage(void **state)
{
    VideoFacts facts;
    uint64_t size;

    (void)state;
    size = size_of("a.mp4");
    for (uint64_t part = 0; part < size; part += size / 50)
        (void)read_part("a.mp4", part);
    facts = read_part("a.mp4", size / 2); /* its index is at the end */
    assert_int_equal(facts.width, 0);
    assert_true(facts.duration < 0 && facts.fps < 0);
    make_video("d.avi", "160 120 25 1");
    facts = read_part("d.avi", size_of("d.avi"));
    assert_int_equal(facts.width, 0); /* not one of the containers that are let in */
}

static void test_memory(void **state)
{
    static const uint8_t text[] = "this is no video at all";
    const ByteSource source = {.fd = -1, .data = text, .size = sizeof(text)};
    VideoFacts facts;

    (void)state;
    video_facts_read(&source, &facts);
    assert_int_equal(facts.width, 0);
    assert_int_equal(facts.height, 0);
    assert_true(facts.duration < 0 && facts.fps < 0);
}

static int setup(void **state)
{
    (void)state;
    video_init();
    return mkdtemp(directory) ? 0 : -1;
}

static int teardown(void **state)
{
    static const char *const names[] = {"a.mp4", "b.mov", "c.mov", "d.avi"};
    char path[256];

    (void)state;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        path_of(names[i], path);
        (void)unlink(path);
    }
    return rmdir(directory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_formats),
        cmocka_unit_test(test_rotation),
        cmocka_unit_test(test_damage),
        cmocka_unit_test(test_memory),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
