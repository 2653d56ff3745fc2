/* Which sidecar belongs to a photo, and how often the directory is listed for it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "util/cleanup.h"
#include "util/clock.h"
#include "volume/sidecars.h"

static char directory[32];
static int dir_fd;
static Sidecars sidecars;

static int setup(void **state UNUSED)
{
    (void)strcpy(directory, "/tmp/test-sidecars-XXXXXX");
    if (!mkdtemp(directory))
        return -1;
    dir_fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return dir_fd < 0 ? -1 : 0;
}

static int teardown(void **state UNUSED)
{
    CLEANUP_FREE char *command = NULL;

    sidecars_done(&sidecars);
    (void)close(dir_fd);
    return asprintf(&command, "rm -rf %s", directory) < 0 ? -1 : system(command);
}

static void put(const char *name)
{
    CLEANUP_CLOSE int fd = openat(dir_fd, name, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

    assert_int_equal(write(fd, name, strlen(name)), (ssize_t)strlen(name));
}

/* As if the directory had been changed so many seconds ago. */
static void age(long seconds)
{
    struct timespec times[2];

    (void)clock_gettime(CLOCK_REALTIME, &times[0]);
    times[0].tv_sec -= seconds;
    times[1] = times[0];
    assert_int_equal(futimens(dir_fd, times), 0);
}

/* Each file holds its own name. NULL: there must be none. */
static void expect(const char *photo, const char *sidecar)
{
    CLEANUP_CLOSE int fd = sidecars_open(&sidecars, dir_fd, photo);
    char text[100] = "";

    if (fd >= 0)
        assert_true(read(fd, text, sizeof(text) - 1) > 0);
    assert_string_equal(text, sidecar ? sidecar : "");
}

static void forget(void)
{
    sidecars_done(&sidecars);
}

static void test_order(void **state UNUSED)
{
    expect("a.jpg", NULL);
    put("a.jpg.zz.json");
    put("a.jpg.supp.json");
    put("a.jpgx.json");
    put("b.jpg.json");
    put("a.jpg.supp.json.txt");
    put(".json");
    forget();
    expect("a.jpg", "a.jpg.supp.json");
    expect("a.jp", NULL);
    expect("c.jpg", NULL);
    put("a.jpg.json");
    forget();
    expect("a.jpg", "a.jpg.json");
    put("a.jpg.supplemental-metadata.json");
    forget();
    expect("a.jpg", "a.jpg.supplemental-metadata.json");
}

/* What has no content to read is passed over for the next. */
static void test_not_a_file(void **state UNUSED)
{
    assert_int_equal(mkdirat(dir_fd, "a.jpg.supplemental-metadata.json", 0700), 0);
    put("a.jpg.json");
    expect("a.jpg", "a.jpg.json");
    assert_int_equal(mkdirat(dir_fd, "b.jpg.json", 0700), 0);
    forget();
    expect("b.jpg", NULL);
    put("b.jpg.other.json");
    forget();
    expect("b.jpg", "b.jpg.other.json");
}

static void test_listed_once(void **state UNUSED)
{
    uint64_t first;

    put("x.json");
    age(100);
    expect("a.jpg", NULL);
    first = sidecars.when;
    while (clock_now() - first < 50 * CLOCK_US_PER_MS)
        expect("a.jpg", NULL);
    assert_int_equal(sidecars.when, first);
    put("a.jpg.json"); /* changes the directory */
    expect("a.jpg", "a.jpg.json");
}

/* Made in the tick of the clock in which the directory was listed: its mtime does not tell. */
static void test_same_tick(void **state UNUSED)
{
    struct stat st;
    struct timespec times[2];
    uint64_t first;

    put("x.json");
    assert_int_equal(fstat(dir_fd, &st), 0);
    expect("a.jpg", NULL);
    first = sidecars.when;
    put("a.jpg.json");
    times[0] = st.st_atim;
    times[1] = st.st_mtim;
    assert_int_equal(futimens(dir_fd, times), 0);
    while (clock_now() - first < 50 * CLOCK_US_PER_MS)
        ;
    expect("a.jpg", "a.jpg.json");
}

/* Another directory, and one that cannot be listed any more, in which the plain names still work.
 */
static void test_other_directories(void **state UNUSED)
{
    CLEANUP_CLOSE int other = -1;

    put("a.jpg.json");
    expect("a.jpg", "a.jpg.json");
    assert_int_equal(mkdirat(dir_fd, "d", 0700), 0);
    other = openat(dir_fd, "d", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_int_equal(sidecars_open(&sidecars, other, "a.jpg"), -1);
    expect("a.jpg", "a.jpg.json");
    assert_int_equal(sidecars_open(&sidecars, -1, "a.jpg"), -1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_order),     TEST(test_not_a_file),        TEST(test_listed_once),
        TEST(test_same_tick), TEST(test_other_directories),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
