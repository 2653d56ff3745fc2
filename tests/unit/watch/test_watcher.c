/* The watcher on real directories: what the kernel tells, and what is made of it. */
#include "watch/pairing.h"
#include "watcher_fixture.h"

#include <sched.h>
#include <sys/mount.h>
#include <time.h>

/* These take the place of the C library's; they fail while this is set. */
static bool no_memory;

void *calloc(size_t n, size_t size)
{
    /* Not malloc(): the compiler would make a call of this very function of it. */
    void *block = no_memory ? NULL : reallocarray(NULL, n, size);

    return block ? memset(block, 0, n * size) : NULL;
}

char *strdup(const char *string)
{
    size_t size = strlen(string) + 1;
    char *copy = no_memory ? NULL : malloc(size);

    return copy ? memcpy(copy, string, size) : NULL;
}

/* ---- files ---- */

static void test_files(void **state)
{
    Fixture *f = *state;

    make_file("lib/a.jpg");
    assert_told(f, "created a.jpg; written a.jpg; ");
    assert_int_equal(chmod("lib/a.jpg", 0640), 0);
    assert_told(f, "attributes a.jpg; ");
    assert_int_equal(rename("lib/a.jpg", "lib/b.jpg"), 0);
    assert_told(f, "moved-out a.jpg; a.jpg > b.jpg; moved-in b.jpg; ");
    assert_int_equal(rename("lib/b.jpg", "b.jpg"), 0);
    assert_told(f, "moved-out b.jpg; ");
    assert_int_equal(rename("b.jpg", "lib/c.jpg"), 0);
    assert_told(f, "moved-in c.jpg; ");
    assert_int_equal(unlink("lib/c.jpg"), 0);
    assert_told(f, "removed c.jpg; ");
    assert_int_equal(watcher_counters(f->watcher)->moved_from, 2);
    assert_int_equal(watcher_counters(f->watcher)->moved_to, 2);
}

/* Nobody closes these: a bare CREATE is all there will ever be. */
static void test_links_only_create(void **state)
{
    Fixture *f = *state;

    make_file("a.jpg");
    assert_int_equal(link("a.jpg", "lib/hard.jpg"), 0);
    assert_int_equal(symlink("../a.jpg", "lib/soft.jpg"), 0);
    assert_told(f, "created hard.jpg; created soft.jpg; ");
}

/* What is linked in from O_TMPFILE and written to afterwards: no CLOSE_WRITE (IN_EXCL_UNLINK). */
static void test_unnamed_file_linked_in(void **state)
{
    Fixture *f = *state;
    char path[64];
    int fd = open("lib", O_TMPFILE | O_WRONLY | O_CLOEXEC, 0600);

    if (fd < 0)
        skip(); /* not every file system has it */
    (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    assert_int_equal(linkat(AT_FDCWD, path, AT_FDCWD, "lib/a.jpg", AT_SYMLINK_FOLLOW), 0);
    assert_int_equal(write(fd, "x", 1), 1);
    (void)close(fd);
    assert_told(f, "created a.jpg; ");
}

/* Saving by rename: the name that is replaced gets no DELETE. */
static void test_rename_over_a_file(void **state)
{
    Fixture *f = *state;

    make_file("lib/a.jpg");
    make_file("lib/a.tmp");
    assert_told(f, "created a.jpg; written a.jpg; created a.tmp; written a.tmp; ");
    assert_int_equal(rename("lib/a.tmp", "lib/a.jpg"), 0);
    assert_told(f, "moved-out a.tmp; a.tmp > a.jpg; moved-in a.jpg; ");
}

/* The file is closed under the name that it has by then. */
static void test_renamed_while_written(void **state)
{
    Fixture *f = *state;
    int fd = open("lib/a.part", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

    assert_told(f, "created a.part; ");
    assert_int_equal(rename("lib/a.part", "lib/a.jpg"), 0);
    (void)close(fd);
    assert_told(f, "moved-out a.part; a.part > a.jpg; moved-in a.jpg; written a.jpg; ");
}

/* ---- directories ---- */

static void test_directory_rename(void **state)
{
    Fixture *f = *state;
    Node *a = make(f, f->root, "a");
    Node *b = make(f, a, "b");
    Node *d = make(f, f->root, "d");

    assert_int_equal(rename("lib/a", "lib/d/e"), 0);
    make_file("lib/d/e/b/x.jpg");
    assert_told(f, "moved-out a/; a/ > d/e/; moved-in d/e/; created d/e/b/x.jpg; "
                   "written d/e/b/x.jpg; ");
    assert_at(f, b, "d/e/b");
    assert_ptr_equal(a->parent, d);
}

static void test_directory_moved_out_and_in(void **state)
{
    Fixture *f = *state;
    Node *a = make(f, f->root, "a");

    assert_int_equal(rename("lib/a", "a"), 0);
    assert_told(f, "moved-out a/; ");
    assert_at(f, a, "a"); /* until somebody has looked */
    assert_int_equal(rename("a", "lib/b"), 0);
    assert_told(f, "moved-in b/; ");
    assert_int_equal(a->wd, watch(f, "lib/b")); /* by which a scan will know it again */
}

static void test_unwatched_directory_rename(void **state)
{
    Fixture *f = *state;

    assert_int_equal(mkdir("lib/u", 0700), 0);
    assert_told(f, "created u/; ");
    assert_int_equal(rename("lib/u", "lib/v"), 0);
    assert_told(f, "moved-out u/; moved-in v/; ");
}

/* A rename without MOVE_SELF, then a MOVE_SELF without a rename. */
static void test_directory_leaves_after_another_rename(void **state)
{
    Fixture *f = *state;
    Node *a = make(f, f->root, "a");

    assert_int_equal(mkdir("lib/u", 0700), 0);
    assert_told(f, "created u/; ");
    assert_int_equal(rename("lib/u", "lib/v"), 0);
    assert_int_equal(rename("lib/a", "a"), 0);
    assert_told(f, "moved-out u/; moved-in v/; moved-out a/; ");
    assert_at(f, a, "a");
}

/* Two processes rename at once, each in a directory of its own: the kernel locks no more. */
static void test_interleaved_renames(void **state)
{
    Fixture *f = *state;
    Node *a = make(f, f->root, "a");
    Node *b = make(f, f->root, "b");
    Node *in_a = make(f, a, "x");
    Node *in_b = make(f, b, "x");
    Script script = {0};

    script_add(&script, a->wd, IN_MOVED_FROM | IN_ISDIR, 1, "x");
    script_add(&script, a->wd, IN_MOVED_TO | IN_ISDIR, 1, "y");
    script_add(&script, b->wd, IN_MOVED_FROM | IN_ISDIR, 2, "x");
    script_add(&script, b->wd, IN_MOVED_TO | IN_ISDIR, 2, "z");
    script_add(&script, in_a->wd, IN_MOVE_SELF, 0, "");
    script_add(&script, in_b->wd, IN_MOVE_SELF, 0, "");
    script_play(f, &script);
    assert_told(f, "moved-out a/x/; moved-out b/x/; a/x/ > a/y/; moved-in a/y/; b/x/ > b/z/; "
                   "moved-in b/z/; ");
    assert_at(f, in_a, "a/y");
    assert_at(f, in_b, "b/z");

    /* And with the halves crossed. */
    script_add(&script, a->wd, IN_MOVED_FROM | IN_ISDIR, 3, "y");
    script_add(&script, b->wd, IN_MOVED_FROM | IN_ISDIR, 4, "z");
    script_add(&script, a->wd, IN_MOVED_TO | IN_ISDIR, 3, "1");
    script_add(&script, b->wd, IN_MOVED_TO | IN_ISDIR, 4, "2");
    script_add(&script, in_b->wd, IN_MOVE_SELF, 0, "");
    script_add(&script, in_a->wd, IN_MOVE_SELF, 0, "");
    script_play(f, &script);
    assert_at(f, in_a, "a/1");
    assert_at(f, in_b, "b/2");
}

static void test_exchange(void **state)
{
    Fixture *f = *state;
    Node *a = make(f, f->root, "a");
    Node *b = make(f, f->root, "b");
    Node *in_a = make(f, a, "x");

    assert_int_equal(renameat2(AT_FDCWD, "lib/a/x", AT_FDCWD, "lib/b", RENAME_EXCHANGE), 0);
    assert_told(
        f, "moved-out a/x/; b/ > (parked)/; a/x/ > b/; moved-in b/; moved-out b/; " TREE_NO_PLACE
           "parked-0/ > a/x/; moved-in a/x/; ");
    assert_at(f, in_a, "b");
    assert_at(f, b, "a/x");
    assert_int_equal(f->tree->n_nodes, 4);
}

/* The process loses the processor in the middle of its rename, and the queue is read meanwhile. */
static void test_exchange_in_pieces(void **state)
{
    Fixture *f = *state;
    Node *a = make(f, f->root, "a");
    Node *b = make(f, f->root, "b");
    Script script = {0};

    script_add(&script, f->root->wd, IN_MOVED_FROM | IN_ISDIR, 1, "a");
    script_add(&script, f->root->wd, IN_MOVED_TO | IN_ISDIR, 1, "b");
    script_play(f, &script);
    assert_told(f, "moved-out a/; ");
    assert_true(watcher_waits(f->watcher));
    script_add(&script, a->wd, IN_MOVE_SELF, 0, "");
    script_play(f, &script);
    assert_told(f, "b/ > (parked)/; a/ > b/; moved-in b/; ");
    assert_true(watcher_waits(f->watcher));
    script_add(&script, f->root->wd, IN_MOVED_FROM | IN_ISDIR, 2, "b");
    script_add(&script, f->root->wd, IN_MOVED_TO | IN_ISDIR, 2, "a");
    script_play(f, &script);
    assert_told(f, "moved-out b/; ");
    script_add(&script, b->wd, IN_MOVE_SELF, 0, "");
    script_play(f, &script);
    assert_told(f, TREE_NO_PLACE "parked-0/ > a/; moved-in a/; ");
    assert_false(watcher_waits(f->watcher));
    assert_at(f, a, "b");
    assert_at(f, b, "a");
}

/* To and fro in one read, more often than directories can be parked. */
static void test_exchange_many_times(void **state)
{
    Fixture *f = *state;
    Node *a = make(f, f->root, "a");
    Node *b = make(f, f->root, "b");

    for (int i = 0; i < 2 * PAIRING_PARKED + 1; i++)
        assert_int_equal(renameat2(AT_FDCWD, "lib/a", AT_FDCWD, "lib/b", RENAME_EXCHANGE), 0);
    watcher_drain(f->watcher);
    assert_false(watcher_waits(f->watcher));
    assert_at(f, a, "b");
    assert_at(f, b, "a");
}

/* No place is left to park another one, and what is relinked comes from below the first, or goes
 * there, over a directory. */
static void test_no_place_to_park(void **state)
{
    Fixture *f = *state;
    Script script = {0};
    Node *out, *in, *top = NULL, *from, *over;

    for (int i = 0; i < PAIRING_PARKED; i++) {
        char name[8];
        Node *dir, *mover;

        (void)snprintf(name, sizeof(name), "%d", i);
        dir = make(f, f->root, name);
        mover = make(f, dir, "x");
        if (i == 0) {
            top = make(f, dir, "victim");
            out = make(f, top, "out");
            (void)make(f, top, "x");
            from = make(f, f->root, "from");
            in = make(f, from, "in");
            over = make(f, from, "over");
        } else {
            (void)make(f, dir, "victim");
        }
        script_add(&script, dir->wd, IN_MOVED_FROM | IN_ISDIR, (uint32_t)i + 1, "x");
        script_add(&script, dir->wd, IN_MOVED_TO | IN_ISDIR, (uint32_t)i + 1, "victim");
        script_add(&script, mover->wd, IN_MOVE_SELF, 0, "");
        script_play(f, &script);
    }
    (void)node_ref(over);
    script_add(&script, top->wd, IN_MOVED_FROM | IN_ISDIR, 100, "out");
    script_add(&script, from->wd, IN_MOVED_TO | IN_ISDIR, 100, "over");
    script_add(&script, out->wd, IN_MOVE_SELF, 0, "");
    script_add(&script, from->wd, IN_MOVED_FROM | IN_ISDIR, 101, "in");
    script_add(&script, top->wd, IN_MOVED_TO | IN_ISDIR, 101, "x");
    script_add(&script, in->wd, IN_MOVE_SELF, 0, "");
    script_play(f, &script);
    assert_at(f, out, "from/over");
    assert_true(over->detached); /* if it is somewhere, a scan finds it */
    assert_ptr_equal(in->parent, top);
    (void)node_unref(over);
}

/* One that is not watched goes, and one that is takes its name, before the queue is read. */
static void test_name_of_an_unwatched_one(void **state)
{
    Fixture *f = *state;
    Node *w = make(f, f->root, "w");

    assert_int_equal(mkdir("lib/u", 0700), 0);
    watcher_drain(f->watcher);
    text_clear(&f->told);
    assert_int_equal(rename("lib/u", "lib/z"), 0);
    assert_int_equal(rename("lib/w", "lib/u"), 0);
    assert_told(f, "moved-out u/; moved-in z/; moved-out w/; w/ > u/; moved-in u/; ");
    assert_false(watcher_waits(f->watcher));
    assert_at(f, w, "u");
}

/* Two pairs of directories are exchanged at once. */
static void test_exchanges_interleaved(void **state)
{
    Fixture *f = *state;
    Node *top[2], *a[2], *b[2];
    Script script = {0};

    for (int i = 0; i < 2; i++) {
        top[i] = make(f, f->root, i == 0 ? "x" : "y");
        a[i] = make(f, top[i], "a");
        b[i] = make(f, top[i], "b");
    }
    for (int back = 0; back < 2; back++)
        for (int i = 0; i < 2; i++) {
            uint32_t cookie = 1 + (uint32_t)(2 * back + i);

            script_add(&script, top[i]->wd, IN_MOVED_FROM | IN_ISDIR, cookie, back ? "b" : "a");
            script_add(&script, top[i]->wd, IN_MOVED_TO | IN_ISDIR, cookie, back ? "a" : "b");
            script_add(&script, (back ? b : a)[i]->wd, IN_MOVE_SELF, 0, "");
        }
    script_play(f, &script);
    assert_at(f, a[0], "x/b");
    assert_at(f, b[0], "x/a");
    assert_at(f, a[1], "y/b");
    assert_at(f, b[1], "y/a");
}

/* In a directory of its own, which only this rename locks, one is replaced by another. */
static Node *replace_in(Fixture *f, Script *script, const char *name, uint32_t cookie)
{
    Node *dir = make(f, f->root, name);
    Node *mover = make(f, dir, "x");

    (void)make(f, dir, "victim");
    script_add(script, dir->wd, IN_MOVED_FROM | IN_ISDIR, cookie, "x");
    script_add(script, dir->wd, IN_MOVED_TO | IN_ISDIR, cookie, "victim");
    script_add(script, mover->wd, IN_MOVE_SELF, 0, "");
    script_play(f, script);
    return mover;
}

/* More directories are replaced at once than are remembered, and no watch tells of their end. */
static void test_many_replaced(void **state)
{
    enum { N = PAIRING_PARKED + 4 };
    Fixture *f = *state;
    Script script = {0};

    for (char name = 'a'; name < 'a' + N; name++) {
        char text[] = {name, '\0'};
        Node *mover = replace_in(f, &script, text, (uint32_t)name);

        assert_string_equal(node_name(mover), "victim");
    }
    assert_int_equal(f->tree->n_nodes, 1 + 2 * N + PAIRING_PARKED);
    while (watcher_waits(f->watcher)) /* for a second */
        assert_true(loop_run_once(f->loop, 5000) >= 0);
    assert_int_equal(f->tree->n_nodes, 1 + 2 * N);
    assert_int_equal(watches(f), 1 + 2 * N);
}

/* What comes after the rename in its directory says that it was not an exchange. */
static void test_replaced_and_something_else(void **state)
{
    Fixture *f = *state;
    Script script = {0};
    Node *mover = replace_in(f, &script, "d", 1);

    assert_true(watcher_waits(f->watcher));
    script_add(&script, f->root->wd, IN_CREATE, 0, "elsewhere.jpg");
    script_play(f, &script);
    assert_true(watcher_waits(f->watcher));
    script_add(&script, mover->parent->wd, IN_CREATE, 0, "x.jpg");
    script_play(f, &script);
    assert_false(watcher_waits(f->watcher));
    assert_int_equal(f->tree->n_nodes, 3);
}

/* An exchange with a directory that has no watch yet, after which the other one goes on. */
static void test_exchange_with_an_unwatched_one(void **state)
{
    Fixture *f = *state;
    Node *a = make(f, f->root, "a");

    assert_int_equal(mkdir("lib/u", 0700), 0);
    watcher_drain(f->watcher);
    text_clear(&f->told);
    assert_int_equal(renameat2(AT_FDCWD, "lib/a", AT_FDCWD, "lib/u", RENAME_EXCHANGE), 0);
    assert_int_equal(rename("lib/u", "lib/w"), 0);
    assert_told(f, "moved-out a/; a/ > u/; moved-in u/; moved-out u/; moved-in a/; moved-out u/; "
                   "u/ > w/; moved-in w/; ");
    assert_at(f, a, "w");
    assert_false(watcher_waits(f->watcher));
}

/* Its directory is watched, and yet no MOVE_SELF comes: the disk is looked at in the end. */
static void test_half_told(void **state)
{
    Fixture *f = *state;
    Script script = {0};

    (void)make(f, f->root, "a");
    script_add(&script, f->root->wd, IN_MOVED_FROM | IN_ISDIR, 1, "a");
    script_add(&script, f->root->wd, IN_MOVED_TO | IN_ISDIR, 1, "b");
    script_play(f, &script);
    assert_told(f, "moved-out a/; ");
    while (watcher_waits(f->watcher))
        assert_true(loop_run_once(f->loop, 5000) >= 0);
    assert_told(f, "moved-in b/; ");
}

static void test_exchange_with_a_file(void **state)
{
    Fixture *f = *state;
    Node *a = make(f, f->root, "a");

    make_file("lib/f.jpg");
    assert_told(f, "created f.jpg; written f.jpg; ");
    assert_int_equal(renameat2(AT_FDCWD, "lib/a", AT_FDCWD, "lib/f.jpg", RENAME_EXCHANGE), 0);
    assert_told(f, "moved-out a/; a/ > f.jpg/; moved-in f.jpg/; moved-out f.jpg; f.jpg > a; "
                   "moved-in a; ");
    assert_at(f, a, "f.jpg");
}

static void test_rename_over_an_empty_directory(void **state)
{
    Fixture *f = *state;
    Node *a = make(f, f->root, "a");

    (void)make(f, f->root, "b");
    assert_int_equal(rename("lib/a", "lib/b"), 0);
    watcher_drain(f->watcher);
    assert_at(f, a, "b");
    assert_true(loop_run_once(f->loop, 0) >= 0);
    assert_int_equal(f->tree->n_nodes, 2);
    assert_int_equal(watches(f), 2);
}

/* Several renames of one directory in one read, each over the place that the last one left. */
static void test_rename_chain(void **state)
{
    Fixture *f = *state;
    Node *a = make(f, f->root, "a");
    Node *b = make(f, f->root, "b");

    assert_int_equal(rename("lib/a", "lib/t"), 0);
    assert_int_equal(rename("lib/b", "lib/a"), 0);
    assert_int_equal(rename("lib/t", "lib/b"), 0);
    assert_int_equal(rename("lib/b", "lib/a/b"), 0);
    assert_true(loop_run_once(f->loop, 0) >= 0);
    assert_at(f, b, "a");
    assert_at(f, a, "a/b");
}

/* ---- the ends of watches ---- */

static void test_removed_directory(void **state)
{
    Fixture *f = *state;
    Node *a = make(f, f->root, "a");

    assert_int_equal(rmdir("lib/a"), 0);
    assert_told(f, "lost a; removed a/; ");
    assert_int_equal(a->wd, -1);
    assert_int_equal(f->tree->n_watched, 1);
    assert_int_equal(mkdir("lib/a", 0700), 0);
    assert_int_equal(watch(f, "lib/a"), 3); /* numbers are not given again */
}

static void test_root_moves_and_goes(void **state)
{
    Fixture *f = *state;

    assert_int_equal(rename("lib", "away"), 0);
    assert_told(f, "lost the root; ");
    assert_int_equal(rmdir("away"), 0);
    assert_told(f, "lost the root; ");
    assert_int_equal(f->root->wd, -1);
    assert_int_equal(mkdir("lib", 0700), 0);
}

/* What leaves the tree is not watched for ever. */
static void test_watches_are_handed_back(void **state)
{
    enum { N = 1000 };
    Fixture *f = *state;
    Node *a = make(f, f->root, "a");

    for (int i = 0; i < N; i++) {
        char name[16];

        (void)snprintf(name, sizeof(name), "%d", i);
        (void)make(f, a, name);
    }
    assert_int_equal(watches(f), N + 2);
    tree_remove(f->tree, a);
    for (int i = 0; i < N; i++)
        assert_true(loop_run_once(f->loop, 0) >= 0);
    assert_int_equal(watches(f), 1);
}

/* A directory leaves the tree and a scan finds it again before its watch was ended. */
static void test_watch_lives_on(void **state)
{
    Fixture *f = *state;
    Node *a = make(f, f->root, "a");
    int wd = a->wd;

    tree_remove(f->tree, a);
    assert_int_equal(tree_add(f->tree, f->root, "a", &a), 0);
    assert_int_equal(watch(f, "lib/a"), wd);
    assert_int_equal(tree_set_wd(f->tree, a, wd), 0);
    assert_told(f, "");
    make_file("lib/a/x.jpg");
    assert_told(f, "created a/x.jpg; written a/x.jpg; ");
}

static bool in_own_namespace(void)
{
    return unshare(CLONE_NEWNS) == 0 && mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0;
}

static void test_mounts(void **state)
{
    Fixture *f = *state;
    Node *a = make(f, f->root, "a");

    if (!in_own_namespace())
        skip();
    assert_int_equal(mount("test", "lib/a", "tmpfs", 0, NULL), 0);
    make_file("lib/a/unseen.jpg");
    assert_told(f, ""); /* it is the covered directory that is watched */
    assert_int_equal(tree_set_wd(f->tree, a, watch(f, "lib/a")), 0);
    make_file("lib/a/x.jpg");
    assert_told(f, "created a/x.jpg; written a/x.jpg; ");
    assert_int_equal(umount("lib/a"), 0);
    assert_told(f, "lost a; ");
    assert_int_equal(watcher_counters(f->watcher)->unmounted, 1);
    assert_int_equal(a->wd, -1);
}

/* ---- orphans ---- */

static void test_orphans(void **state)
{
    Fixture *f = *state;
    Node *a;
    int wd;

    assert_int_equal(mkdir("lib/a", 0700), 0);
    wd = watch(f, "lib/a");
    make_file("lib/a/x.jpg");
    make_file("lib/y.jpg");
    assert_int_equal(rename("lib/y.jpg", "lib/a/y.jpg"), 0);
    assert_told(f, "created a/; created y.jpg; written y.jpg; moved-out y.jpg; ");
    watcher_adopt(f->watcher); /* nothing is known of it yet */
    assert_told(f, "");
    assert_int_equal(tree_add(f->tree, f->root, "a", &a), 0);
    assert_int_equal(tree_set_wd(f->tree, a, wd), 0);
    watcher_adopt(f->watcher);
    assert_told(f, "created a/x.jpg; written a/x.jpg; y.jpg > a/y.jpg; moved-in a/y.jpg; ");
    watcher_adopt(f->watcher);
    assert_told(f, "");
}

/* A known directory goes to a place that is not known yet, and on from there. */
static void test_directory_moves_through_an_orphan(void **state)
{
    Fixture *f = *state;
    Node *a = make(f, f->root, "a");
    Node *o;
    int wd;

    assert_int_equal(mkdir("lib/o", 0700), 0);
    wd = watch(f, "lib/o");
    assert_told(f, "created o/; ");
    assert_int_equal(rename("lib/a", "lib/o/a"), 0);
    assert_int_equal(rename("lib/o/a", "lib/b"), 0);
    assert_told(f, "moved-out a/; moved-in b/; ");
    assert_int_equal(tree_add(f->tree, f->root, "o", &o), 0);
    assert_int_equal(tree_set_wd(f->tree, o, wd), 0);
    watcher_adopt(f->watcher);
    assert_told(f, "moved-out o/a/; moved-in o/a/; ");
    assert_at(f, a, "a"); /* to be found by the scan of b */
}

static void drop(Fixture *f)
{
    watcher_drop_orphans(f->watcher);
}

/* A listener ends the last scan, which drops what still waits, while that is being gone through. */
static void test_orphans_are_dropped_meanwhile(void **state)
{
    Fixture *f = *state;
    Node *a;
    int wd;

    assert_int_equal(mkdir("lib/a", 0700), 0);
    wd = watch(f, "lib/a");
    assert_int_equal(rmdir("lib/a"), 0);
    assert_int_equal(mkdir("lib/b", 0700), 0);
    (void)watch(f, "lib/b");
    make_file("lib/b/x.jpg");
    assert_told(f, "created a/; removed a/; created b/; ");
    assert_int_equal(tree_add(f->tree, f->root, "a", &a), 0);
    assert_int_equal(tree_set_wd(f->tree, a, wd), 0);
    f->on_lost = drop;
    watcher_adopt(f->watcher);
    assert_told(f, "lost a; ");
}

/* A scan watched it, and was ended before it told. */
static void test_stray_watch(void **state)
{
    Fixture *f = *state;

    assert_int_equal(mkdir("lib/a", 0700), 0);
    (void)watch(f, "lib/a");
    make_file("lib/a/x.jpg");
    assert_told(f, "created a/; ");
    assert_int_equal(watches(f), 2);
    watcher_drop_orphans(f->watcher);
    assert_told(f, "");
    assert_int_equal(watches(f), 1);
    watcher_drain(f->watcher);
    watcher_drop_orphans(f->watcher); /* its IN_IGNORED */
    assert_told(f, "");
}

/* ---- too much ---- */

static uint64_t cpu_us(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static size_t queue_limit(void)
{
    size_t limit = 0;
    FILE *file = fopen("/proc/sys/fs/inotify/max_queued_events", "re");

    if (file && fscanf(file, "%zu", &limit) != 1)
        limit = 0;
    if (file)
        (void)fclose(file);
    return limit;
}

/* The kernel's queue overflows for real: everything before it is told, then that it did. */
static void test_overflow(void **state)
{
    Fixture *f = *state;
    size_t limit = queue_limit();
    const char *tail = "overflow; ";

    if (limit == 0 || limit > 100000)
        skip();
    for (size_t i = 0; i < limit / 2 + 1; i++) {
        make_file("lib/a.jpg");
        assert_int_equal(unlink("lib/a.jpg"), 0);
    }
    watcher_drain(f->watcher);
    assert_int_equal(f->n_told, limit);
    assert_string_equal(f->told.data + f->told.length - strlen(tail), tail);
    assert_int_equal(watcher_counters(f->watcher)->overflows, 1);
    text_clear(&f->told);
    make_file("lib/b.jpg");
    assert_told(f, "created b.jpg; written b.jpg; ");
}

/* More than are kept for directories that are not known: as good as an overflow. */
static void test_too_many_orphans(void **state)
{
    enum { N = 65536 / 3 + 1 };
    Fixture *f = *state;
    Node *a;
    int wd;

    assert_int_equal(mkdir("lib/a", 0700), 0);
    wd = watch(f, "lib/a");
    watcher_drain(f->watcher);
    text_clear(&f->told);
    for (int i = 0; i < N; i++) {
        make_file("lib/a/x.jpg");
        assert_int_equal(unlink("lib/a/x.jpg"), 0);
        if (i % 1000 == 0)
            watcher_drain(f->watcher);
    }
    assert_told(f, "overflow; ");
    assert_int_equal(tree_add(f->tree, f->root, "a", &a), 0);
    assert_int_equal(tree_set_wd(f->tree, a, wd), 0);
    watcher_adopt(f->watcher);
    assert_true(loop_run_once(f->loop, 0) >= 0);
    assert_true(f->n_told < 10);
}

/* Without memory for what would make it easier, every name is still told. */
static void test_out_of_memory(void **state)
{
    Fixture *f = *state;
    Node *a = make(f, f->root, "a");

    no_memory = true;
    make_file("lib/x.jpg");
    assert_int_equal(rename("lib/x.jpg", "lib/y.jpg"), 0);
    assert_int_equal(rename("lib/a", "lib/c"), 0);
    watcher_drain(f->watcher);
    no_memory = false;
    assert_told(f, "created x.jpg; written x.jpg; moved-out x.jpg; x.jpg > y.jpg; moved-in y.jpg; "
                   "moved-out a/; moved-in c/; ");
    assert_at(f, a, "a");
    assert_int_equal(rename("lib/c", "lib/a"), 0);
    assert_told(f, "moved-out c/; moved-in a/; ");

    assert_int_equal(mkdir("lib/o", 0700), 0);
    (void)watch(f, "lib/o");
    assert_told(f, "created o/; ");
    no_memory = true;
    make_file("lib/o/x.jpg");
    watcher_drain(f->watcher);
    no_memory = false;
    assert_told(f, "overflow; overflow; ");
}

/* A half is kept, but its pair is not; then the pair is, but no name to park another under. */
static void test_out_of_memory_in_a_rename(void **state)
{
    Fixture *f = *state;
    Node *a = make(f, f->root, "a");
    Node *b = node_ref(make(f, f->root, "b"));
    Script script = {0};

    script_add(&script, f->root->wd, IN_MOVED_FROM | IN_ISDIR, 1, "a");
    script_play(f, &script);
    script_add(&script, f->root->wd, IN_MOVED_TO | IN_ISDIR, 1, "c");
    script_add(&script, a->wd, IN_MOVE_SELF, 0, "");
    no_memory = true;
    script_play(f, &script);
    no_memory = false;
    assert_told(f, "moved-out a/; moved-in c/; ");
    assert_at(f, a, "a");

    script_add(&script, f->root->wd, IN_MOVED_FROM | IN_ISDIR, 2, "a");
    script_add(&script, f->root->wd, IN_MOVED_TO | IN_ISDIR, 2, "b");
    script_play(f, &script);
    script_add(&script, a->wd, IN_MOVE_SELF, 0, "");
    no_memory = true;
    script_play(f, &script);
    no_memory = false;
    assert_told(f, "moved-out a/; a/ > b/; moved-in b/; ");
    assert_at(f, a, "b");
    assert_true(b->detached);
    (void)node_unref(b);
}

/* More renames under way than are kept: the oldest are found by a scan. */
static void test_many_renames_at_once(void **state)
{
    enum { N = 20 };
    Fixture *f = *state;
    Node *nodes[N];
    Script script = {0};
    size_t moved = 0;

    for (int i = 0; i < N; i++) {
        char name[16];
        Node *dir;

        (void)snprintf(name, sizeof(name), "%d", i);
        dir = make(f, f->root, name); /* in one directory they come one after the other */
        nodes[i] = make(f, dir, "x");
        script_add(&script, dir->wd, IN_MOVED_FROM | IN_ISDIR, (uint32_t)i + 1, "x");
        script_add(&script, dir->wd, IN_MOVED_TO | IN_ISDIR, (uint32_t)i + 1, "to");
    }
    for (int i = 0; i < N; i++)
        script_add(&script, nodes[i]->wd, IN_MOVE_SELF, 0, "");
    f->n_told = 0;
    script_play(f, &script);
    assert_int_equal(f->n_told, 2 * N); /* each name that was left, each that was taken */
    for (int i = 0; i < N; i++)
        moved += strcmp(node_name(nodes[i]), "to") == 0;
    assert_int_equal(moved, 16);
}

static void test_a_record_that_cannot_be(void **state)
{
    Fixture *f = *state;
    Script script = {0};

    script_add(&script, f->root->wd, IN_CREATE, 0, "x.jpg");
    script_add(&script, f->root->wd, IN_CREATE, 0, "y.jpg");
    script.size -= 8;
    script_play(f, &script);
    assert_told(f, "created x.jpg; overflow; ");
}

static void test_burst_of_renames(void **state)
{
    enum { N = 100000 };
    Fixture *f = *state;
    uint64_t spent = 0;

    make_file("lib/0.jpg");
    for (int i = 0; i < N; i++) {
        assert_int_equal(
            rename(i % 2 ? "lib/1.jpg" : "lib/0.jpg", i % 2 ? "lib/0.jpg" : "lib/1.jpg"), 0);
        if (i % 1000 == 0 || i == N - 1) {
            uint64_t begun = cpu_us();

            watcher_drain(f->watcher);
            spent += cpu_us() - begun;
            text_clear(&f->told);
        }
    }
    print_message("a rename: %.0f ns\n", (double)spent * 1000 / N);
    assert_int_equal(watcher_counters(f->watcher)->moved_to, N);
    assert_int_equal(watcher_counters(f->watcher)->overflows, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_files),
        TEST(test_links_only_create),
        TEST(test_unnamed_file_linked_in),
        TEST(test_rename_over_a_file),
        TEST(test_renamed_while_written),
        TEST(test_directory_rename),
        TEST(test_directory_moved_out_and_in),
        TEST(test_unwatched_directory_rename),
        TEST(test_directory_leaves_after_another_rename),
        TEST(test_interleaved_renames),
        TEST(test_exchange),
        TEST(test_exchange_in_pieces),
        TEST(test_exchange_many_times),
        TEST(test_no_place_to_park),
        TEST(test_name_of_an_unwatched_one),
        TEST(test_exchanges_interleaved),
        TEST(test_many_replaced),
        TEST(test_replaced_and_something_else),
        TEST(test_exchange_with_an_unwatched_one),
        TEST(test_half_told),
        TEST(test_exchange_with_a_file),
        TEST(test_rename_over_an_empty_directory),
        TEST(test_rename_chain),
        TEST(test_removed_directory),
        TEST(test_root_moves_and_goes),
        TEST(test_watches_are_handed_back),
        TEST(test_watch_lives_on),
        TEST(test_mounts),
        TEST(test_orphans),
        TEST(test_directory_moves_through_an_orphan),
        TEST(test_orphans_are_dropped_meanwhile),
        TEST(test_stray_watch),
        TEST(test_overflow),
        TEST(test_too_many_orphans),
        TEST(test_out_of_memory),
        TEST(test_out_of_memory_in_a_rename),
        TEST(test_many_renames_at_once),
        TEST(test_a_record_that_cannot_be),
        TEST(test_burst_of_renames),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
