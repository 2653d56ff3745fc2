/* Real videos, made by the ffmpeg program; skipped where there is none. */
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
static bool can_make;

static int run_ffmpeg(const char *arguments, const char *name)
{
    char command[512];

    (void)snprintf(command, sizeof(command),
                   "ffmpeg -v error -y %s %s/%s >/dev/null 2>&1 </dev/null", arguments, directory,
                   name);
    return system(command); /* NOLINT: a fixed text */
}

/* What is found out about a file, of which only the first size bytes are there. */
static VideoFacts read_part(const char *name, uint64_t size)
{
    char path[256];
    CLEANUP_CLOSE int fd = -1;
    ByteSource source = {.fd = -1};
    VideoFacts facts;

    (void)snprintf(path, sizeof(path), "%s/%s", directory, name);
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

    (void)snprintf(path, sizeof(path), "%s/%s", directory, name);
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
    if (!can_make)
        skip();
    assert_int_equal(run_ffmpeg("-f lavfi -i testsrc=size=160x120:rate=30000/1001 -t 2"
                                " -pix_fmt yuv420p -c:v mpeg4",
                                "a.mp4"),
                     0);
    check("a.mp4", 160, 120, 2.002, 29.97);
    assert_int_equal(
        run_ffmpeg("-f lavfi -i testsrc=size=160x120:rate=25 -t 1 -c:v mpeg4", "b.mov"), 0);
    check("b.mov", 160, 120, 1, 25);
}

/* Shown turned by 90 degrees: width and height are those of what is seen. */
static void test_rotation(void **state)
{
    char arguments[128];

    (void)state;
    if (!can_make)
        skip();
    (void)snprintf(arguments, sizeof(arguments), "-i %s/b.mov -c copy -metadata:s:v rotate=90",
                   directory);
    assert_int_equal(run_ffmpeg(arguments, "c.mov"), 0);
    check("c.mov", 120, 160, 1, 25);
}

/* Cut files, and files of other kinds, stay unknown and do no harm. */
static void test_damage(void **state)
{
    VideoFacts facts;
    uint64_t size;

    (void)state;
    if (!can_make)
        skip();
    size = size_of("a.mp4");
    for (uint64_t part = 0; part < size; part += size / 50)
        (void)read_part("a.mp4", part);
    facts = read_part("a.mp4", size / 2); /* its index is at the end */
    assert_int_equal(facts.width, 0);
    assert_true(facts.duration < 0 && facts.fps < 0);
    assert_int_equal(
        run_ffmpeg("-f lavfi -i testsrc=size=160x120:rate=25 -t 1 -c:v mpeg4", "d.avi"), 0);
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
    if (!mkdtemp(directory))
        return -1;
    /* "-f null" needs no file; the name that is appended is where it would be */
    can_make = run_ffmpeg("-f lavfi -i testsrc -frames:v 1 -f null", "x") == 0;
    return 0;
}

static int teardown(void **state)
{
    static const char *const names[] = {"a.mp4", "b.mov", "c.mov", "d.avi", "x"};
    char path[256];

    (void)state;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        (void)snprintf(path, sizeof(path), "%s/%s", directory, names[i]);
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
