/* Renames of files: every sequence of events against what the rows have to become. */
#include "sync/renames.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "util/text.h"

/* Names are one letter and stand in /r; "x~" and the like are names that are no media's. */
typedef struct Fixture {
    Renames renames;
    Tree tree;
    Node *dir;
    uint32_t cookie;
} Fixture;

static int setup(void **state)
{
    Fixture *f = calloc(1, sizeof(*f));

    renames_init(&f->renames);
    tree_init(&f->tree, NULL, NULL);
    assert_int_equal(tree_add_root(&f->tree, "/r", &f->dir), 0);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    Fixture *f = *state;

    renames_clear(&f->renames);
    tree_remove(&f->tree, f->dir);
    tree_done(&f->tree);
    free(f);
    return 0;
}

static const char *name_of(char letter)
{
    static char names[2][8];
    static int turn;

    turn ^= 1;
    (void)snprintf(names[turn], sizeof(names[turn]), "%c.jpg", letter);
    return names[turn];
}

static const char *path_of(char letter)
{
    static char path[16];

    (void)snprintf(path, sizeof(path), "/r/%c.jpg", letter);
    return path;
}

static void leave(Fixture *f, char from)
{
    renames_left(&f->renames, f->dir, name_of(from), path_of(from), ++f->cookie, false);
}

static bool arrive(Fixture *f, char to, uint32_t cookie)
{
    return renames_arrived(&f->renames, f->dir, name_of(to), path_of(to), cookie);
}

static void move(Fixture *f, char from, char to)
{
    leave(f, from);
    (void)arrive(f, to, f->cookie);
}

/* From a directory that has not been compared with its rows. */
static void move_unknown(Fixture *f, char from, char to)
{
    renames_left(&f->renames, f->dir, name_of(from), NULL, ++f->cookie, false);
    (void)arrive(f, to, f->cookie);
}

static void arrive_from_outside(Fixture *f, char to)
{
    assert_false(arrive(f, to, ++f->cookie)); /* nothing is known of it */
}

static void make(Fixture *f, char name)
{
    renames_made(&f->renames, f->dir, name_of(name));
}

static Rename *at(Fixture *f, char name)
{
    return renames_at(&f->renames, f->dir, name_of(name));
}

/* All entries, oldest first, such as "a>b c>(air)". */
static void assert_rows(Fixture *f, const char *expected)
{
    CLEANUP(text_done) Text text = {0};

    LIST_FOREACH (link, &f->renames.all) {
        const Rename *rename = CONTAINER_OF(link, Rename, link);

        text_printf(&text, "%s%c>", text.data ? " " : "",
                    rename_has_row(rename) ? rename->from[3] : '*');
        if (rename->in_air || !rename->dir)
            text_append(&text, rename->dir ? "(air)" : "(nowhere)");
        else
            text_printf(&text, "%c%s", rename->name[0], rename->doubtful ? "?" : "");
    }
    assert_string_equal(text.data ? text.data : "", expected);
}

static void test_chains(void **state)
{
    Fixture *f = *state;

    move(f, 'a', 'b');
    assert_rows(f, "a>b");
    move(f, 'b', 'c');
    assert_rows(f, "a>c");
    assert_null(at(f, 'b'));
    move(f, 'd', 'b');
    assert_rows(f, "a>c d>b");
    move(f, 'c', 'a'); /* home again */
    assert_rows(f, "d>b");
    move(f, 'b', 'd');
    assert_rows(f, "");
}

/* What comes from the library is no file saved by rename, though nobody knows its row yet. */
static void test_of_rows_that_nobody_knows(void **state)
{
    Fixture *f = *state;

    move_unknown(f, 'a', 'b');
    assert_rows(f, "*>b");
    move(f, 'b', 'c');
    assert_rows(f, "b>c");
    assert_true(at(f, 'c')->guessed);
    move(f, 'd', 'c'); /* over it */
    assert_rows(f, "d>c");
    move_unknown(f, 'a', 'b');
    move(f, 'b', 'a'); /* home, or half of an exchange */
    assert_rows(f, "d>c *>b? b>a");
    renames_judge(&f->renames, at(f, 'b'), false);
    assert_rows(f, "d>c *>a");
}

/* What came from where nobody looked, over a file, and went on: whose row goes with it is a guess.
 */
static void test_saved_by_rename_and_renamed(void **state)
{
    Fixture *f = *state;

    move(f, 'a', 'b');
    assert_false(at(f, 'b')->guessed);
    arrive_from_outside(f, 'b');
    move(f, 'b', 'c');
    assert_rows(f, "a>c");
    assert_true(at(f, 'c')->guessed);
    move_unknown(f, 'd', 'e');
    renames_let_go(&f->renames, at(f, 'e'));
    move(f, 'e', 'f');
    assert_rows(f, "a>c e>f");
    assert_true(at(f, 'f')->guessed);
    renames_end_doubts(&f->renames);
    assert_false(at(f, 'c')->guessed || at(f, 'f')->guessed);
}

/* More of them than are remembered: then everything that starts now may be one. */
static void test_guesses_when_strays_were_lost(void **state)
{
    Fixture *f = *state;

    move(f, 'a', 'b');
    for (int i = 0; i <= RENAMES_STRAYS; i++) {
        char name[16];

        (void)snprintf(name, sizeof(name), "%d.jpg", i);
        (void)renames_arrived(&f->renames, f->dir, name, "/r/x.jpg", ++f->cookie);
    }
    move(f, 'c', 'd');
    move(f, 'b', 'e');
    assert_rows(f, "a>e c>d");
    assert_true(at(f, 'd')->guessed);
    assert_false(at(f, 'e')->guessed);
    renames_clear(&f->renames);
    move(f, 'c', 'd');
    assert_false(at(f, 'd')->guessed);
}

/* A new file at a name whose row is elsewhere has none, wherever it goes. */
static void test_new_files_have_no_row(void **state)
{
    Fixture *f = *state;

    move(f, 'a', 'b');
    make(f, 'a');
    move(f, 'a', 'c');
    assert_rows(f, "a>b");
    move(f, 'c', 'd');
    assert_rows(f, "a>b c>d"); /* of c it is not known whether it had one */
}

static void test_saved_by_rename(void **state)
{
    Fixture *f = *state;

    arrive_from_outside(f, 'a');
    assert_rows(f, "");
    move(f, 'a', 'b');
    arrive_from_outside(f, 'b');
    assert_rows(f, "a>b");
    leave(f, 'b');
    renames_vanished(&f->renames, f->cookie); /* to b.jpg~ */
    assert_rows(f, "");
}

/* The file that moves keeps its id, the one that it is moved over has lost its. */
static void test_moved_over_another(void **state)
{
    Fixture *f = *state;

    move(f, 'a', 'b');
    move(f, 'c', 'b');
    assert_rows(f, "c>b");
    assert_null(renames_of(&f->renames, "/r/a.jpg"));
}

static void test_removed_and_made(void **state)
{
    Fixture *f = *state;

    move(f, 'a', 'b');
    renames_removed(&f->renames, f->dir, "b.jpg");
    assert_rows(f, "");
    leave(f, 'a');
    assert_rows(f, "a>(air)");
    make(f, 'a'); /* another file; where the first one went is still to be seen */
    assert_rows(f, "a>(air)");
    renames_land(&f->renames);
    assert_rows(f, "");
}

/* The other half comes late: events of a directory that is not in the tree yet have waited. */
static void test_late_arrival(void **state)
{
    Fixture *f = *state;
    uint32_t cookie;

    leave(f, 'a');
    cookie = f->cookie;
    move(f, 'b', 'a');
    assert_rows(f, "a>(air) b>a");
    (void)arrive(f, 'c', cookie);
    assert_rows(f, "a>c b>a");
}

/* It came out of a directory whose events had to wait: b is heard of before a. */
static void test_arrived_before_it_left(void **state)
{
    Fixture *f = *state;
    uint32_t cookie;

    leave(f, 'x');
    cookie = f->cookie;
    assert_false(arrive(f, 'b', 100)); /* from a */
    (void)arrive(f, 'a', cookie);
    renames_left(&f->renames, f->dir, "a.jpg", "/r/a.jpg", 100, false);
    assert_rows(f, "x>b");
}

/* Half of an exchange with one there. */
static void test_exchanged_before_it_left(void **state)
{
    Fixture *f = *state;
    uint32_t cookie;

    leave(f, 'b');
    cookie = f->cookie;
    (void)arrive(f, 'b', 100);
    (void)arrive(f, 'n', cookie); /* over a file that had no row */
    renames_left(&f->renames, f->dir, "n.jpg", "/r/n.jpg", 100, false);
    assert_rows(f, "b>n? n>b");
    renames_judge(&f->renames, at(f, 'n'), true);
    assert_rows(f, "b>n n>b");
}

/* What arrived is not there any more. */
static void test_arrived_and_gone_before_it_left(void **state)
{
    Fixture *f = *state;
    uint32_t cookie;

    leave(f, 'x');
    cookie = f->cookie;
    (void)arrive(f, 'b', 100);
    renames_removed(&f->renames, f->dir, "b.jpg");
    (void)arrive(f, 'a', cookie);
    renames_left(&f->renames, f->dir, "a.jpg", "/r/a.jpg", 100, false);
    assert_rows(f, "x>(air)");
}

static void test_exchange(void **state)
{
    Fixture *f = *state;

    move(f, 'a', 'b');
    move(f, 'b', 'a');
    assert_rows(f, "a>b? b>a");
    renames_judge(&f->renames, at(f, 'b'), true);
    assert_rows(f, "a>b b>a");
    move(f, 'a', 'c');
    assert_rows(f, "a>b b>c");
}

static void test_there_and_back(void **state)
{
    Fixture *f = *state;

    move(f, 'a', 'b');
    move(f, 'b', 'a');
    renames_judge(&f->renames, at(f, 'b'), false); /* nothing is at b */
    assert_rows(f, "a>a");
}

/* Events that end the doubt. */
static void test_doubts(void **state)
{
    Fixture *f = *state;

    move(f, 'a', 'b');
    move(f, 'b', 'a');
    move(f, 'a', 'c'); /* whichever it is */
    assert_rows(f, "a>b? b>c");
    move(f, 'b', 'd'); /* so it was there */
    assert_rows(f, "a>d b>c");
    renames_clear(&f->renames);

    move(f, 'a', 'b');
    move(f, 'b', 'a');
    move(f, 'a', 'c');
    make(f, 'b'); /* so there was nothing */
    assert_rows(f, "a>c");
    renames_clear(&f->renames);

    move(f, 'a', 'b');
    move(f, 'b', 'a');
    renames_written(&f->renames, f->dir, "b.jpg");
    assert_false(at(f, 'b')->doubtful);
    renames_clear(&f->renames);

    move(f, 'a', 'b');
    move(f, 'b', 'a');
    renames_removed(&f->renames, f->dir, "a.jpg");
    assert_rows(f, "a>b?");
    renames_judge(&f->renames, at(f, 'b'), false);
    assert_rows(f, "");
}

/* Something came over the name whose file would have told. */
static void test_covered_doubts(void **state)
{
    Fixture *f = *state;

    move(f, 'a', 'b');
    move(f, 'b', 'a');
    arrive_from_outside(f, 'b');
    assert_rows(f, "a>b? b>a");
    assert_true(at(f, 'b')->covered);
    move(f, 'b', 'c'); /* what leaves may be what had come */
    assert_rows(f, "a>c? b>a");
    renames_judge(&f->renames, at(f, 'c'), false);
    assert_rows(f, "a>a");
    renames_clear(&f->renames);

    move(f, 'a', 'b');
    move(f, 'b', 'a');
    move(f, 'c', 'b');
    assert_rows(f, "a>(nowhere) b>a c>b");
    renames_judge(&f->renames, renames_of(&f->renames, "/r/a.jpg"), false);
    assert_rows(f, "a>a c>b");
    renames_clear(&f->renames);

    move(f, 'a', 'b');
    move(f, 'b', 'a');
    move(f, 'c', 'b');
    renames_judge(&f->renames, renames_of(&f->renames, "/r/a.jpg"), true);
    assert_rows(f, "b>a c>b");
    renames_clear(&f->renames);

    move(f, 'a', 'b');
    move(f, 'b', 'a');
    move(f, 'a', 'c');
    move(f, 'c', 'b'); /* home, or over the other */
    assert_rows(f, "a>(nowhere) b>b");
    renames_judge(&f->renames, renames_of(&f->renames, "/r/a.jpg"), false);
    assert_rows(f, "a>b");
    renames_clear(&f->renames);

    /* There and back twice, on from there in between: the second doubt goes to who was meant. */
    move(f, 'a', 'b');
    move(f, 'b', 'a');
    move(f, 'a', 'c');
    move(f, 'c', 'd');
    move(f, 'd', 'c');
    assert_rows(f, "a>b? b>d? d>c");
    renames_judge(&f->renames, at(f, 'b'), false);
    assert_rows(f, "a>d? d>c");
    renames_judge(&f->renames, at(f, 'd'), false);
    assert_rows(f, "a>c");
    renames_clear(&f->renames);

    move(f, 'a', 'b');
    move(f, 'b', 'a');
    arrive_from_outside(f, 'b');
    leave(f, 'b');
    renames_vanished(&f->renames, f->cookie);
    assert_rows(f, "a>(nowhere) b>a");
    renames_land(&f->renames);
    assert_rows(f, "b>a");
}

/* There and back, and then another one there and back over the same name. */
static void test_doubt_upon_doubt(void **state)
{
    Fixture *f = *state;

    for (int exchanged = 0; exchanged <= 1; exchanged++) {
        move(f, 'a', 'b');
        move(f, 'b', 'a');
        move(f, 'c', 'b');
        move(f, 'b', 'c');
        assert_rows(f, "a>c? b>a c>b?");
        renames_judge(&f->renames, at(f, 'b'), exchanged);
        assert_rows(f, exchanged ? "a>c b>a c>b" : "a>(nowhere) b>a c>c");
        if (!exchanged) { /* was the first one exchanged? */
            renames_judge(&f->renames, renames_of(&f->renames, "/r/a.jpg"), false);
            assert_rows(f, "a>a c>c");
        }
        renames_clear(&f->renames);
    }

    move(f, 'a', 'b');
    move(f, 'b', 'a');
    move(f, 'c', 'b');
    move(f, 'b', 'c');
    move(f, 'a', 'd');
    renames_written(&f->renames, f->dir, "c.jpg"); /* whose it is, nobody knows */
    assert_rows(f, "a>c? b>d c>b?");
    renames_judge(&f->renames, renames_of(&f->renames, "/r/a.jpg"), false); /* it is at d */
    assert_rows(f, "a>d c>c");
    renames_clear(&f->renames);

    /* An event at b tells of both. */
    move(f, 'a', 'b');
    move(f, 'b', 'a');
    move(f, 'c', 'b');
    move(f, 'b', 'c');
    renames_written(&f->renames, f->dir, "b.jpg");
    assert_rows(f, "a>c b>a c>b");
    assert_null(rename_doubter(at(f, 'c')));
    renames_clear(&f->renames);

    /* What was at c has gone, whose it ever was. */
    for (int exchanged = 0; exchanged <= 1; exchanged++) {
        move(f, 'a', 'b');
        move(f, 'b', 'a');
        move(f, 'c', 'b');
        move(f, 'b', 'c');
        renames_removed(&f->renames, f->dir, "c.jpg");
        assert_rows(f, "a>(nowhere) b>a c>b?");
        renames_judge(&f->renames, at(f, 'b'), exchanged);
        assert_rows(f, exchanged ? "b>a c>b" : "a>(nowhere) b>a");
        renames_clear(&f->renames);
    }

    /* Nothing is left of both. */
    for (int i = 0; i < 2; i++) {
        move(f, 'a', 'b');
        move(f, 'b', 'a');
    }
    renames_removed(&f->renames, f->dir, "a.jpg");
    assert_rows(f, "a>(nowhere) b>b?");
    renames_judge(&f->renames, renames_of(&f->renames, "/r/a.jpg"), false);
    assert_rows(f, "");
    renames_clear(&f->renames);

    /* Four times over the same two names. */
    for (int exchanged = 0; exchanged <= 1; exchanged++) {
        for (int i = 0; i < 4; i++) {
            move(f, 'a', 'b');
            move(f, 'b', 'a');
        }
        renames_judge(&f->renames, at(f, 'b'), exchanged);
        renames_end_doubts(&f->renames);
        assert_rows(f, exchanged ? "a>a b>b" : "b>a");
        renames_clear(&f->renames);
    }
}

/* There and back, on, and there and back over the name that it had gone on to. */
static void test_back_over_a_doubt(void **state)
{
    Fixture *f = *state;

    move(f, 'a', 'b');
    move(f, 'b', 'a');
    move(f, 'a', 'e');
    move(f, 'e', 'a');
    move(f, 'a', 'e');
    assert_rows(f, "a>b? b>(nowhere) e>e");
    renames_judge(&f->renames, at(f, 'b'), false);
    assert_rows(f, "a>(nowhere) e>e");
    renames_judge(&f->renames, rename_doubter(at(f, 'e')), false); /* its inode says */
    assert_rows(f, "a>e");
}

/* There and back, and it has left again when it is known. */
static void test_in_the_air_when_it_is_known(void **state)
{
    Fixture *f = *state;

    move(f, 'a', 'b');
    move(f, 'b', 'a');
    leave(f, 'a');
    assert_rows(f, "a>b? b>(air)");
    renames_judge(&f->renames, at(f, 'b'), false);
    assert_rows(f, "a>(air)");
    (void)arrive(f, 'd', f->cookie);
    assert_rows(f, "a>d");
}

/* To and fro over a name that has no row, and on from there. */
static void test_on_from_a_doubt(void **state)
{
    Fixture *f = *state;

    for (int exchanged = 0; exchanged <= 1; exchanged++) {
        move(f, 'a', 'b');
        make(f, 'c');
        move(f, 'b', 'a');
        move(f, 'a', 'b');
        move(f, 'b', 'd');
        assert_rows(f, "a>a? *>d");
        renames_judge(&f->renames, at(f, 'a'), exchanged);
        assert_rows(f, exchanged ? "a>a *>d" : "a>d");
        renames_clear(&f->renames);
    }
}

/* There and back, and then its own name is exchanged, or another one goes to and fro over it. */
static void test_covered_after_a_doubt(void **state)
{
    Fixture *f = *state;

    for (int step = 0; step < 6; step++) {
        move(f, 'a', 'c');
        move(f, 'c', 'a');
        move(f, 'e', 'a');
        move(f, 'a', 'e');
        assert_rows(f, "a>c? c>e e>a?");
        switch (step) {
        case 0:
            renames_judge(&f->renames, at(f, 'c'), false); /* no file is at c */
            assert_rows(f, "a>e e>a?");
            renames_judge(&f->renames, at(f, 'a'), true);
            assert_rows(f, "a>e e>a");
            break;
        case 1:
            renames_judge(&f->renames, at(f, 'a'), true);
            assert_rows(f, "a>c? c>e e>a");
            renames_judge(&f->renames, at(f, 'c'), false);
            assert_rows(f, "a>e e>a");
            break;
        case 2: /* no file is at a: what had been there was overwritten */
            renames_judge(&f->renames, at(f, 'a'), false);
            assert_rows(f, "a>c? c>(nowhere) e>e");
            renames_judge(&f->renames, at(f, 'c'), false);
            assert_rows(f, "e>e");
            break;
        case 3:
            renames_judge(&f->renames, at(f, 'c'), true);
            assert_rows(f, "a>c c>e e>a?");
            renames_judge(&f->renames, at(f, 'a'), false);
            assert_rows(f, "a>c e>e");
            break;
        case 4:
            renames_judge(&f->renames, at(f, 'a'), false);
            renames_judge(&f->renames, at(f, 'c'), true);
            assert_rows(f, "a>c e>e");
            break;
        default: /* an event: there is a file at a, and none at c */
            renames_written(&f->renames, f->dir, "a.jpg");
            make(f, 'c');
            assert_rows(f, "a>e e>a");
            break;
        }
        renames_clear(&f->renames);
    }
}

/* Exchanges of what was moved before, and with a file that has no row. */
static void test_exchange_of_moved_ones(void **state)
{
    Fixture *f = *state;

    move(f, 'c', 'a');
    move(f, 'd', 'b');
    move(f, 'a', 'b');
    move(f, 'b', 'a');
    assert_rows(f, "c>b? d>a");
    renames_clear(&f->renames);

    move(f, 'b', 'c');
    make(f, 'b');
    move(f, 'a', 'b');
    move(f, 'b', 'a');
    assert_rows(f, "b>c a>b? *>a");
    renames_judge(&f->renames, at(f, 'b'), false);
    assert_rows(f, "b>c a>a");
}

/* What comes between is no exchange: b was overwritten, and what came there went back. */
static void test_no_exchange(void **state)
{
    Fixture *f = *state;

    move(f, 'a', 'b');
    make(f, 'a');
    move(f, 'b', 'a');
    assert_rows(f, "");
    renames_clear(&f->renames);
    move(f, 'a', 'b');
    move(f, 'c', 'd');
    move(f, 'b', 'a');
    assert_rows(f, "c>d");
}

/* The other one was a directory. One at another name says nothing. */
static void test_exchanged_with_a_directory(void **state)
{
    Fixture *f = *state;

    move(f, 'a', 'b');
    renames_directory_at(&f->renames, f->dir, name_of('a'));
    move(f, 'b', 'a');
    assert_rows(f, "");
    renames_clear(&f->renames);
    move(f, 'a', 'b');
    renames_directory_at(&f->renames, f->dir, name_of('b'));
    move(f, 'b', 'a');
    assert_rows(f, "");
    renames_clear(&f->renames);
    renames_directory_at(&f->renames, f->dir, name_of('b')); /* nothing is noted */
    move(f, 'a', 'b');
    renames_directory_at(&f->renames, f->dir, name_of('c'));
    move(f, 'b', 'a');
    assert_rows(f, "a>b? b>a");
}

/* A photo that becomes a video has a row in another table. */
static void test_other_table(void **state)
{
    Fixture *f = *state;

    leave(f, 'a');
    (void)renames_arrived(&f->renames, f->dir, "a.mp4", "/r/a.mp4", f->cookie);
    assert_rows(f, "");
}

static void test_found_by_inode(void **state)
{
    Fixture *f = *state;
    FileStamp stamp = {.ino = 7};
    Rename *rename;

    move(f, 'c', 'b');
    rename = renames_put(&f->renames, "/r/a.jpg", "id", &stamp, f->dir, "b.jpg");
    assert_non_null(rename);
    assert_string_equal(rename->id, "id");
    assert_int_equal(rename->stamp.ino, 7);
    assert_rows(f, "a>b");
    leave(f, 'd');
    assert_non_null(renames_put(&f->renames, "/r/d.jpg", "id2", &stamp, f->dir, "e.jpg"));
    assert_rows(f, "a>b d>e");
}

static void test_committed(void **state)
{
    Fixture *f = *state;
    Rename *writing;

    move(f, 'a', 'b');
    writing = at(f, 'b');
    writing->writing = &writing;
    move(f, 'b', 'c'); /* while it is on its way */
    renames_committed(&f->renames, writing, "/r/b.jpg");
    assert_rows(f, "b>c");
    writing = at(f, 'c');
    writing->writing = &writing;
    renames_removed(&f->renames, f->dir, "c.jpg");
    assert_null(writing); /* forgotten meanwhile */
    move(f, 'a', 'b');
    renames_committed(&f->renames, at(f, 'b'), "/r/b.jpg");
    assert_rows(f, "");
}

/* What was written under another name is told wherever it arrives, at home too. */
static void test_written_on_the_way(void **state)
{
    Fixture *f = *state;

    move(f, 'a', 'b');
    at(f, 'b')->written = true;
    leave(f, 'b');
    assert_true(arrive(f, 'c', f->cookie));
    leave(f, 'c');
    assert_true(arrive(f, 'a', f->cookie));
    assert_rows(f, "");
    leave(f, 'a');
    assert_false(arrive(f, 'b', f->cookie));
}

/* The row is still on its way to b when its file comes home: it has to come back. */
static void test_home_while_written(void **state)
{
    Fixture *f = *state;
    Rename *writing;

    move(f, 'a', 'b');
    writing = at(f, 'b');
    writing->writing = &writing;
    renames_written(&f->renames, f->dir, "b.jpg");
    make(f, 'x');
    move(f, 'b', 'a');
    assert_non_null(writing);
    renames_committed(&f->renames, writing, "/r/b.jpg");
    assert_rows(f, "b>a");
}

/* The row is on its way to b when its file is exchanged with another one. */
static void test_exchange_while_written(void **state)
{
    for (int early = 0; early < 2; early++) {
        Fixture *f = *state;
        Rename *writing;

        move(f, 'a', 'b');
        writing = at(f, 'b');
        writing->writing = &writing;
        leave(f, 'c');
        (void)arrive(f, 'b', f->cookie);
        if (early) {
            assert_non_null(writing);
            renames_committed(&f->renames, writing, "/r/b.jpg");
        }
        leave(f, 'b');
        (void)arrive(f, 'c', f->cookie);
        if (!early) {
            assert_non_null(writing);
            renames_committed(&f->renames, writing, "/r/b.jpg");
        }
        assert_non_null(renames_of(&f->renames, "/r/b.jpg"));
        assert_ptr_equal(renames_of(&f->renames, "/r/b.jpg"), at(f, 'c'));
        assert_ptr_equal(renames_of(&f->renames, "/r/c.jpg"), at(f, 'b'));
        renames_clear(&f->renames);
    }
}

static void test_directory_moved(void **state)
{
    Fixture *f = *state;
    static const PathMove exchange[] = {{"/r/d", "/r/new"}, {"/r/new", "/r/d"}};
    Node *sub;

    assert_int_equal(tree_add(&f->tree, f->dir, "d", &sub), 0);
    renames_left(&f->renames, sub, "a.jpg", "/r/d/a.jpg", 1, false);
    (void)arrive(f, 'b', 1);
    renames_rebase(&f->renames, &(PathMove){"/r/d", "/r/new"}, 1);
    assert_non_null(renames_of(&f->renames, "/r/new/a.jpg"));
    assert_null(renames_of(&f->renames, "/r/d/a.jpg"));
    renames_rebase(&f->renames, &(PathMove){"/r/ne", "/r/x"}, 1); /* no directory of it */
    assert_non_null(renames_of(&f->renames, "/r/new/a.jpg"));
    renames_rebase(&f->renames, exchange, 2);
    assert_non_null(renames_of(&f->renames, "/r/d/a.jpg"));
}

static void test_bounded(void **state)
{
    Fixture *f = *state;
    char name[32], path[48];

    for (unsigned i = 0; i <= RENAMES_MAX; i++) {
        (void)snprintf(name, sizeof(name), "%u.jpg", i);
        (void)snprintf(path, sizeof(path), "/r/%u.jpg", i);
        renames_left(&f->renames, f->dir, name, path, i, false);
        assert_in_range(f->renames.count, 1, RENAMES_MAX);
    }
    assert_int_equal(f->renames.count, 1);
}

/* The table is full just when the second half of an exchange arrives. */
static void test_exchange_at_the_bound(void **state)
{
    Fixture *f = *state;
    char name[32], path[48];

    for (unsigned i = 1; i < RENAMES_MAX; i++) {
        (void)snprintf(name, sizeof(name), "%u.jpg", i);
        (void)snprintf(path, sizeof(path), "/r/%u.jpg", i);
        renames_left(&f->renames, f->dir, name, path, ++f->cookie, false);
    }
    move(f, 'a', 'b');
    assert_int_equal(f->renames.count, RENAMES_MAX);
    move(f, 'b', 'a');
    assert_rows(f, "b>a"); /* all else is forgotten */
}

static void test_end_of_doubts(void **state)
{
    Fixture *f = *state;

    move(f, 'a', 'b');
    move(f, 'b', 'a');
    move(f, 'c', 'd');
    move(f, 'd', 'c');
    assert_rows(f, "a>b? b>a c>d? d>c");
    arrive_from_outside(f, 'e');
    make(f, 'a'); /* of b it is not known whether it ever was there */
    assert_rows(f, "a>b? c>d? d>c");
    renames_end_doubts(&f->renames);
    assert_rows(f, "a>b c>d d>c");
}

/* ---- any events, in any order ---- */

#define LETTERS    "abcd"
#define STEPS      60
#define SEEDS      3000
#define OPEN_TRIPS 3

/* A trip is a file that has left its name and has come up nowhere yet. */
typedef struct Trips {
    uint32_t cookies[OPEN_TRIPS]; /* 0: none */
    char left[OPEN_TRIPS];
    uint32_t late; /* arrived, and has not left yet; 0: none */
} Trips;

static bool is_listed(const Fixture *f, const Rename *wanted)
{
    LIST_FOREACH (link, &f->renames.all)
        if (CONTAINER_OF(link, Rename, link) == wanted)
            return true;
    return false;
}

static bool is_doubted_by(const Rename *rename, const Rename *doubter)
{
    LIST_FOREACH (link, &rename->doubters)
        if (CONTAINER_OF(link, Rename, doubter) == doubter)
            return true;
    return false;
}

static void assert_doubt(const Fixture *f, const Rename *rename)
{
    if (rename->partner) {
        assert_true(is_listed(f, rename->partner));
        assert_true(is_doubted_by(rename->partner, rename));
        assert_ptr_not_equal(rename->partner, rename);
    }
    LIST_FOREACH (link, &rename->doubters) {
        const Rename *doubter = CONTAINER_OF(link, Rename, doubter);

        assert_true(is_listed(f, doubter));
        assert_ptr_equal(doubter->partner, rename);
    }
    if (!rename->doubtful) {
        assert_null(rename->partner);
    }
}

static void assert_sound(Fixture *f)
{
    size_t n = 0, placed = 0, in_air = 0;

    LIST_FOREACH (link, &f->renames.all) {
        Rename *rename = CONTAINER_OF(link, Rename, link);

        n++;
        in_air += rename->in_air;
        placed += rename_is_placed(rename);
        assert_ptr_equal(renames_of(&f->renames, rename->from), rename);
        if (rename_is_placed(rename)) /* the only one there */
            assert_ptr_equal(renames_at(&f->renames, rename->dir, rename->name), rename);
        if (!rename->dir && rename->doubtful) /* another one will tell */
            assert_true(rename->partner || rename_doubter(rename));
        assert_doubt(f, rename);
    }
    assert_int_equal(f->renames.count, n);
    assert_int_equal(f->renames.rows.count, n);
    assert_int_equal(f->renames.names.count, placed);
    assert_int_equal(f->renames.air.count, in_air);
}

static Rename *any_entry(Fixture *f, unsigned *seed, bool doubtful)
{
    Rename *found = NULL;
    unsigned n = 0;

    LIST_FOREACH (link, &f->renames.all) {
        Rename *rename = CONTAINER_OF(link, Rename, link);

        if ((!doubtful || rename->doubtful) && (unsigned)rand_r(seed) % ++n == 0)
            found = rename;
    }
    return found;
}

/* What a store's thread would have made of it: its row is at the name now. */
static void commit(Fixture *f, Rename *rename)
{
    char path[16];

    if (!rename || !rename_is_placed(rename) || rename->doubtful || rename_doubter(rename))
        return;
    (void)snprintf(path, sizeof(path), "/r/%s", rename->name);
    if (!renames_of(&f->renames, path) || renames_of(&f->renames, path) == rename)
        renames_committed(&f->renames, rename, path);
}

static void put(Fixture *f, char from, char to)
{
    const Rename *rename = renames_of(&f->renames, path_of(from));
    FileStamp stamp = {.ino = 7};

    if (!rename || (!rename_is_placed(rename) && !rename->doubtful)) /* as decide_moved() does */
        (void)renames_put(&f->renames, path_of(from), "id", &stamp, f->dir, name_of(to));
}

static char letter(unsigned *seed)
{
    return LETTERS[(unsigned)rand_r(seed) % (sizeof(LETTERS) - 1)];
}

static void random_step(Fixture *f, Trips *trips, unsigned *seed)
{
    char x = letter(seed), y = letter(seed);
    unsigned which = (unsigned)rand_r(seed) % OPEN_TRIPS;
    uint32_t *trip = &trips->cookies[which];
    Rename *rename;

    switch ((unsigned)rand_r(seed) % 22) {
    case 0:
    case 1:
        leave(f, x);
        *trip = f->cookie;
        trips->left[which] = x;
        break;
    case 2:
    case 3:
        if (*trip && trips->left[which] == x)
            break; /* rename(2) of a name to itself tells nothing */
        (void)arrive(f, x, *trip ? *trip : ++f->cookie);
        *trip = 0;
        break;
    case 4:
        renames_vanished(&f->renames, *trip);
        *trip = 0;
        break;
    case 5:
    case 6:
        if (x != y)
            move(f, x, y);
        break;
    case 7:
    case 8:
    case 9:
        if (x != y) {
            move(f, x, y);
            move(f, y, x);
        }
        break;
    case 10:
        make(f, x);
        break;
    case 11:
        renames_removed(&f->renames, f->dir, name_of(x));
        break;
    case 12:
        renames_written(&f->renames, f->dir, name_of(x));
        break;
    case 13:
    case 14:
    case 15:
        rename = any_entry(f, seed, true);
        if (rename)
            renames_judge(&f->renames, rename, rand_r(seed) % 2);
        break;
    case 16:
        put(f, x, y);
        break;
    case 17:
        commit(f, any_entry(f, seed, false));
        break;
    case 18:
        renames_land(&f->renames);
        *trips = (Trips){0};
        break;
    case 19:
        renames_end_doubts(&f->renames);
        break;
    case 20:
        if (!trips->late) {
            trips->late = ++f->cookie;
            (void)arrive(f, x, trips->late);
            break;
        }
        renames_left(&f->renames, f->dir, name_of(x), path_of(x), trips->late, y < x);
        trips->late = 0;
        break;
    default:
        arrive_from_outside(f, x);
        break;
    }
}

static void test_anything(void **state)
{
    Fixture *f = *state;

    for (unsigned i = 1; i <= SEEDS; i++) {
        Trips trips = {0};
        unsigned seed = i;

        (void)alarm(5); /* nothing goes round for ever */
        for (int step = 0; step < STEPS; step++) {
            random_step(f, &trips, &seed);
            assert_sound(f);
        }
        renames_end_doubts(&f->renames);
        renames_land(&f->renames);
        LIST_FOREACH (link, &f->renames.all) {
            const Rename *rename = CONTAINER_OF(link, Rename, link);

            assert_true(rename_is_placed(rename));
            assert_false(rename->doubtful || rename_doubter(rename) || rename->revived);
        }
        renames_clear(&f->renames);
    }
    (void)alarm(0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_chains),
        TEST(test_of_rows_that_nobody_knows),
        TEST(test_saved_by_rename_and_renamed),
        TEST(test_guesses_when_strays_were_lost),
        TEST(test_new_files_have_no_row),
        TEST(test_saved_by_rename),
        TEST(test_moved_over_another),
        TEST(test_removed_and_made),
        TEST(test_late_arrival),
        TEST(test_arrived_before_it_left),
        TEST(test_exchanged_before_it_left),
        TEST(test_arrived_and_gone_before_it_left),
        TEST(test_exchange),
        TEST(test_there_and_back),
        TEST(test_doubts),
        TEST(test_covered_doubts),
        TEST(test_doubt_upon_doubt),
        TEST(test_covered_after_a_doubt),
        TEST(test_on_from_a_doubt),
        TEST(test_in_the_air_when_it_is_known),
        TEST(test_back_over_a_doubt),
        TEST(test_exchange_of_moved_ones),
        TEST(test_no_exchange),
        TEST(test_exchanged_with_a_directory),
        TEST(test_other_table),
        TEST(test_found_by_inode),
        TEST(test_committed),
        TEST(test_written_on_the_way),
        TEST(test_home_while_written),
        TEST(test_exchange_while_written),
        TEST(test_directory_moved),
        TEST(test_bounded),
        TEST(test_exchange_at_the_bound),
        TEST(test_end_of_doubts),
        TEST(test_anything),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
