/* Decoding of inotify records, and what the kernel does that the watcher relies on. */
#include "watch/event.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static size_t put(char *at, int wd, uint32_t mask, uint32_t cookie, const char *name, uint32_t len)
{
    struct inotify_event event = {.wd = wd, .mask = mask, .cookie = cookie, .len = len};

    memcpy(at, &event, sizeof(event));
    memset(at + sizeof(event), 0, len);
    memcpy(at + sizeof(event), name, strlen(name));
    return sizeof(event) + len;
}

static void test_records(void **state)
{
    char buffer[256];
    size_t size = put(buffer, 3, IN_CREATE, 0, "a.jpg", 16);
    size_t offset = 0;
    Event event;

    (void)state;
    size += put(buffer + size, 4, IN_MOVE_SELF, 0, "", 0);
    assert_int_equal(event_next(buffer, size, &offset, &event), 1);
    assert_int_equal(event.wd, 3);
    assert_string_equal(event.name, "a.jpg");
    assert_int_equal(event_next(buffer, size, &offset, &event), 1);
    assert_int_equal(event.wd, 4);
    assert_string_equal(event.name, "");
    assert_int_equal(event_next(buffer, size, &offset, &event), 0);
}

static void test_bad_records(void **state)
{
    char buffer[256];
    size_t size = put(buffer, 3, IN_CREATE, 0, "a.jpg", 16);
    size_t offset = 0;
    Event event;

    (void)state;
    assert_int_equal(event_next(buffer, size - 1, &offset, &event), -EBADMSG);
    assert_int_equal(event_next(buffer, 5, &offset, &event), -EBADMSG);
    memset(buffer + sizeof(struct inotify_event), 'x', 16); /* a name without an end */
    assert_int_equal(event_next(buffer, size, &offset, &event), -EBADMSG);
}

/* ---- the kernel ---- */

typedef struct Watched {
    char path[64];
    int fd;
} Watched;

static void watched_setup(Watched *w)
{
    (void)strcpy(w->path, "/tmp/test-event-XXXXXX");
    assert_non_null(mkdtemp(w->path));
    assert_int_equal(chdir(w->path), 0);
    w->fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    assert_true(w->fd >= 0);
}

static void watched_done(Watched *w)
{
    char command[128];

    (void)close(w->fd);
    assert_int_equal(chdir("/"), 0);
    (void)snprintf(command, sizeof(command), "rm -rf '%s'", w->path);
    assert_int_equal(system(command), 0);
}

/* Reads the queue and returns the masks' letters with the descriptors, in order. */
static void read_order(Watched *w, char *order, size_t size)
{
    char buffer[4096];
    ssize_t n = read(w->fd, buffer, sizeof(buffer));
    size_t offset = 0;
    Event event;

    order[0] = '\0';
    while (n > 0 && event_next(buffer, (size_t)n, &offset, &event) > 0) {
        size_t length = strlen(order);

        (void)snprintf(order + length, size - length, "%s%d ",
                       event.mask & IN_MOVED_FROM  ? "from"
                       : event.mask & IN_MOVED_TO  ? "to"
                       : event.mask & IN_MOVE_SELF ? "self"
                                                   : "other",
                       event.wd);
    }
}

/* MOVE_SELF comes to the moved directory's own watch, after both halves. */
static void test_kernel_directory_rename(void **state)
{
    Watched w;
    char order[256];

    (void)state;
    watched_setup(&w);
    assert_int_equal(mkdir("a", 0700), 0);
    assert_int_equal(inotify_add_watch(w.fd, ".", EVENT_WATCH_MASK), 1);
    assert_int_equal(inotify_add_watch(w.fd, "a", EVENT_WATCH_MASK), 2);
    assert_int_equal(rename("a", "b"), 0);
    read_order(&w, order, sizeof(order));
    assert_string_equal(order, "from1 to1 self2 ");
    watched_done(&w);
}

/* An exchange is two such renames, and only MOVE_SELF tells which directory is which. */
static void test_kernel_exchange(void **state)
{
    Watched w;
    char order[256];

    (void)state;
    watched_setup(&w);
    assert_int_equal(mkdir("a", 0700), 0);
    assert_int_equal(mkdir("b", 0700), 0);
    assert_int_equal(inotify_add_watch(w.fd, ".", EVENT_WATCH_MASK), 1);
    assert_int_equal(inotify_add_watch(w.fd, "a", EVENT_WATCH_MASK), 2);
    assert_int_equal(inotify_add_watch(w.fd, "b", EVENT_WATCH_MASK), 3);
    assert_int_equal(renameat2(AT_FDCWD, "a", AT_FDCWD, "b", RENAME_EXCHANGE), 0);
    read_order(&w, order, sizeof(order));
    assert_string_equal(order, "from1 to1 self2 from1 to1 self3 ");
    watched_done(&w);
}

/* A watch follows its inode: watching a moved directory again gives the same descriptor. */
static void test_kernel_same_descriptor(void **state)
{
    Watched w;

    (void)state;
    watched_setup(&w);
    assert_int_equal(mkdir("a", 0700), 0);
    assert_int_equal(inotify_add_watch(w.fd, "a", EVENT_WATCH_MASK), 1);
    assert_int_equal(rename("a", "b"), 0);
    assert_int_equal(inotify_add_watch(w.fd, "b", EVENT_WATCH_MASK), 1);
    watched_done(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_records),
        cmocka_unit_test(test_bad_records),
        cmocka_unit_test(test_kernel_directory_rename),
        cmocka_unit_test(test_kernel_exchange),
        cmocka_unit_test(test_kernel_same_descriptor),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
