/* The mount table, rules, probes and walks. */
#include "volume/walk.h"

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
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "volume/list.h"
#include "volume/mounts.h"

static void test_mounts(void **state)
{
    const char *text = "22 1 254:0 / / rw,relatime - ext4 /dev/vda rw\n"
                       "30 22 8:1 / /mnt/my\\040disk rw shared:5 - vfat /dev/sda1 rw\n"
                       "nonsense\n"
                       "31 30 8:2 / /mnt/my\\040disk rw - ext4 /dev/sdb rw\n"
                       "32 22 0:40 / /mnt/phone rw - fuse.sshfs phone: rw\n"
                       "33 22 0:5 / /proc rw - proc proc rw\n";
    MountTable *table;

    (void)state;
    assert_int_equal(mount_table_parse(text, &table), 0);
    assert_int_equal(table->count, 5);
    assert_string_equal(mount_table_find(table, "/home/x")->device, "254:0");
    assert_string_equal(mount_table_find(table, "/mnt/my disk/a")->device, "8:2"); /* covers 8:1 */
    assert_string_equal(mount_table_find(table, "/mnt/my disk2")->device, "254:0");
    assert_int_equal(mount_table_at(table, "/mnt/my disk")->id, 31);
    assert_null(mount_table_at(table, "/mnt"));
    assert_null(mount_table_at(table, "/mnt/my disk/a"));
    assert_true(mount_table_has_below(table, "/mnt"));
    assert_false(mount_table_has_below(table, "/mnt/my disk"));
    assert_int_equal(mount_table_at(table, "/mnt/my disk")->kind, MOUNT_KIND_LOCAL);
    assert_int_equal(mount_table_at(table, "/mnt/phone")->kind, MOUNT_KIND_REMOTE);
    assert_int_equal(mount_table_at(table, "/proc")->kind, MOUNT_KIND_PSEUDO);
    assert_null(mount_table_unref(table));
}

static char changes[128];

static void note_change(void *context, const char *point)
{
    (void)context;
    (void)strcat(strcat(changes, point), ";");
}

static void test_mounts_compare(void **state)
{
    MountTable *old;
    MountTable *new;

    (void)state;
    assert_int_equal(mount_table_parse("1 0 8:1 / / rw - ext4 x rw\n"
                                       "2 1 8:2 / /a rw - ext4 x rw\n"
                                       "3 1 8:3 / /b rw - ext4 x rw\n"
                                       "4 1 8:4 / /c rw - ext4 x rw\n"
                                       "5 4 8:5 / /c rw - ext4 x rw\n"
                                       "8 1 8:8 / /e rw - ext4 x rw\n"
                                       "9 1 8:9 /x /f rw - ext4 x rw\n",
                                       &old),
                     0);
    assert_int_equal(mount_table_parse("1 0 8:1 / / rw - ext4 x rw\n"
                                       "3 1 8:3 / /b rw - ext4 x rw\n"
                                       "6 3 8:6 / /b rw - ext4 x rw\n"
                                       "4 1 8:4 / /c rw - ext4 x rw\n"
                                       "7 1 8:7 / /d rw - ext4 x rw\n"
                                       "8 1 8:9 / /e rw - ext4 x rw\n" /* a number used again */
                                       "9 1 8:9 /y /f rw - ext4 x rw\n",
                                       &new),
                     0);
    mount_table_compare(old, new, note_change, NULL);
    assert_string_equal(changes, "/a;/b;/c;/d;/e;/f;");
    changes[0] = '\0';
    mount_table_compare(new, new, note_change, NULL);
    assert_string_equal(changes, "");
    (void)mount_table_unref(old);
    (void)mount_table_unref(new);
}

static void test_rules(void **state)
{
    Rules *rules;

    (void)state;
    assert_int_equal(rules_new(".* @eaDir", "._*", &rules), 0);
    assert_int_equal(rules_add_always(rules, "/p/.kept"), 0);
    assert_int_equal(rules_add_excluded(rules, "/p/removed"), 0);
    rules_sort(rules);
    assert_true(rules_ignore_directory(rules, "/p/.git"));
    assert_true(rules_ignore_directory(rules, "/p/@eaDir"));
    assert_false(rules_ignore_directory(rules, "/p/.kept"));
    assert_true(rules_ignore_directory(rules, "/q/.kept"));
    assert_true(rules_ignore_directory(rules, "/p/removed"));
    assert_false(rules_ignore_directory(rules, "/p/other"));
    assert_true(rules_ignore_file(rules, "._a.jpg"));
    assert_false(rules_ignore_file(rules, "a.jpg"));
    assert_null(rules_unref(rules));
}

static void make_file(const char *name)
{
    int fd = open(name, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

    assert_true(fd >= 0);
    assert_int_equal(close(fd), 0);
}

static char place[64];

static int setup(void **state)
{
    (void)state;
    (void)strcpy(place, "/tmp/test-walk-XXXXXX");
    assert_non_null(mkdtemp(place));
    assert_int_equal(chdir(place), 0);
    assert_int_equal(mkdir("a", 0700), 0);
    assert_int_equal(mkdir("a/deep", 0700), 0);
    assert_int_equal(mkdir(".hidden", 0700), 0);
    make_file("b.jpg");
    make_file("a.JPG");
    make_file("note.txt");
    make_file("bad\xff.jpg");
    make_file("a/deep/c.mp4");
    make_file(".hidden/no.jpg");
    assert_int_equal(symlink("nothing", "dangling.png"), 0);
    assert_int_equal(symlink("a", "link"), 0);
    return 0;
}

static int teardown(void **state)
{
    char command[128];

    (void)state;
    assert_int_equal(chdir("/"), 0);
    (void)snprintf(command, sizeof(command), "rm -rf '%s'", place);
    return system(command);
}

static Listing *take(Walk *walk)
{
    ListNode *link = list_take(&walk->listings);

    assert_non_null(link);
    return CONTAINER_OF(link, Listing, link);
}

static void walk_new(Walk *walk, const char *path)
{
    Rules *rules;

    assert_int_equal(rules_new(".*", "", &rules), 0);
    assert_int_equal(walk_init(walk, path, rules, NULL, NULL), 0);
    (void)rules_unref(rules);
}

static void test_walk(void **state)
{
    Walk walk;
    Listing *listing;

    (void)state;
    walk_new(&walk, place);
    walk.inotify_fd = inotify_init1(IN_CLOEXEC);
    walk.mask = IN_CREATE | IN_ONLYDIR;
    while (!walk.finished)
        walk_slice(&walk);

    listing = take(&walk);
    assert_int_equal(listing->id, 1);
    assert_true(listing->wd >= 0);
    assert_int_equal(listing->error, 0);
    assert_int_equal(listing->n_files, 3);
    assert_string_equal(listing->files[0].name, "a.JPG");
    assert_string_equal(listing->files[1].name, "b.jpg");
    assert_string_equal(listing->files[2].name, "dangling.png");
    assert_true(listing->files[2].unreadable);
    assert_int_equal(listing->n_children, 2); /* an ignored one is on disk as well */
    assert_string_equal(listing->children[0], ".hidden");
    assert_int_equal(listing->n_bad, 1);
    (void)listing_free(listing);

    listing = take(&walk);
    assert_string_equal(listing->name, "a");
    assert_int_equal(listing->parent, 1);
    (void)listing_free(listing);
    listing = take(&walk);
    assert_string_equal(listing->name, "deep");
    assert_int_equal(listing->files[0].kind, MEDIA_KIND_VIDEO);
    (void)listing_free(listing);
    assert_true(list_is_empty(&walk.listings));
    (void)close(walk.inotify_fd);
    walk_done(&walk);
}

/* getdents(2) of a directory that was removed while it was open says ENOENT. */
static void test_list_of_a_removed_directory(void **state UNUSED)
{
    Listing *listing = calloc(1, sizeof(*listing));
    Walk walk;
    int fd;

    walk_new(&walk, place);
    assert_int_equal(mkdir("gone", 0777), 0);
    fd = open("gone", O_RDONLY | O_DIRECTORY);
    assert_true(fd >= 0);
    assert_int_equal(rmdir("gone"), 0);
    list_directory(&walk, listing, fd);
    assert_int_equal(listing->error, 0);
    assert_int_equal(listing->n_files + listing->n_children, 0);
    (void)close(fd);
    (void)listing_free(listing);
    walk_done(&walk);
}

static int start_error(const char *path, const struct stat *st, bool is_in)
{
    Walk walk;
    int error;

    walk_new(&walk, path);
    walk.dev = st->st_dev;
    walk.ino = st->st_ino;
    walk.is_in = is_in;
    while (!walk.finished)
        walk_slice(&walk);
    error = walk.start_error;
    assert_int_equal(list_is_empty(&walk.listings), error != 0);
    walk_done(&walk);
    return error;
}

/* A directory may have taken the place of the one that is asked for, or of one above it. */
static void test_walk_of_another(void **state UNUSED)
{
    struct stat a, deep;

    assert_int_equal(stat("a", &a), 0);
    assert_int_equal(stat("a/deep", &deep), 0);
    assert_int_equal(start_error("a", &a, false), 0);
    assert_int_equal(start_error("a/deep", &a, true), 0);
    assert_int_equal(start_error("a", &deep, false), ESTALE);
    assert_int_equal(start_error("a/deep", &deep, true), ESTALE);
}

static void test_walk_of_nothing(void **state)
{
    Walk walk;

    (void)state;
    walk_new(&walk, "/nowhere/at/all");
    walk_slice(&walk);
    assert_true(walk.finished);
    assert_int_equal(walk.start_error, ENOENT);
    walk_done(&walk);
}

static void test_walk_can_be_given_up(void **state)
{
    Walk walk;

    (void)state;
    walk_new(&walk, place);
    walk.start_only = true;
    walk_slice(&walk);
    assert_false(walk.finished);
    walk.abort = true;
    walk_slice(&walk);
    assert_true(walk.finished);
    walk_done(&walk);
}

static void test_probe(void **state)
{
    int fd = directory_open(place, false);
    Entry entry;

    (void)state;
    assert_true(fd >= 0);
    directory_probe(fd, "b.jpg", &entry);
    assert_int_equal(entry.type, ENTRY_TYPE_FILE);
    directory_probe(fd, "a", &entry);
    assert_int_equal(entry.type, ENTRY_TYPE_DIRECTORY);
    directory_probe(fd, "link", &entry);
    assert_int_equal(entry.type, ENTRY_TYPE_OTHER);
    directory_probe(fd, "dangling.png", &entry);
    assert_int_equal(entry.type, ENTRY_TYPE_DANGLING);
    directory_probe(fd, "none", &entry);
    assert_int_equal(entry.type, ENTRY_TYPE_ABSENT);
    (void)close(fd);
}

static void test_open_long_path(void **state)
{
    char *path = strdup(place);
    int at = open(place, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    char name[201];
    int fd;

    (void)state;
    memset(name, 'd', 200);
    name[200] = '\0';
    for (int i = 0; i < 30; i++) { /* 6,000 bytes: longer than PATH_MAX */
        char *longer = path_join(path, name);

        assert_int_equal(mkdirat(at, name, 0700), 0);
        fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        assert_true(fd >= 0);
        (void)close(at);
        at = fd;
        free(path);
        path = longer;
    }
    fd = directory_open(path, false);
    assert_true(fd >= 0);
    (void)close(fd);
    (void)close(at);
    free(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mounts),
        cmocka_unit_test(test_mounts_compare),
        cmocka_unit_test(test_rules),
        cmocka_unit_test_setup_teardown(test_walk, setup, teardown),
        cmocka_unit_test_setup_teardown(test_list_of_a_removed_directory, setup, teardown),
        cmocka_unit_test(test_walk_of_nothing),
        cmocka_unit_test_setup_teardown(test_walk_of_another, setup, teardown),
        cmocka_unit_test_setup_teardown(test_walk_can_be_given_up, setup, teardown),
        cmocka_unit_test_setup_teardown(test_probe, setup, teardown),
        cmocka_unit_test_setup_teardown(test_open_long_path, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
