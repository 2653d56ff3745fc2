/* What belongs to the library: where scans begin, and what they leave out. */
#include "sync/scope.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

static char database[] = "/data/PictoPy/database/PictoPy.db";
static char thumbnails[] = "/thumbs";
static char state_directory[] = "/state";
static char ignore[] = ".* @eaDir";
static char ignore_files[] = "._*";

static const Config config = {
    .database_path = database,
    .thumbnails_directory = thumbnails,
    .state_directory = state_directory,
    .watch_ignore = ignore,
    .watch_ignore_files = ignore_files,
};

typedef struct Folders {
    const char *paths[4]; /* NULL at the end */
} Folders;

static bool is_folder(const void *owner, const char *path)
{
    const Folders *folders = owner;

    for (size_t i = 0; i < 4 && folders->paths[i]; i++)
        if (strcmp(folders->paths[i], path) == 0)
            return true;
    return false;
}

static Rules *make_rules(const Folders *folders)
{
    char removed[] = "/a/removed";
    char *excluded[] = {removed};
    Rules *rules = NULL;

    assert_int_equal(scope_rules_new(&config, excluded, 1, &rules), 0);
    for (size_t i = 0; i < 4 && folders->paths[i]; i++)
        assert_int_equal(scope_rules_add_folder(rules, folders->paths[i]), 0);
    rules_sort(rules);
    return rules;
}

static bool is_covered(const Folders *folders, const char *path)
{
    Rules *rules = make_rules(folders);
    bool covered = scope_is_covered(rules, path, is_folder, folders);

    (void)rules_unref(rules);
    return covered;
}

static void test_roots(void **state)
{
    static const Folders folders = {{"/a", "/a/b/c", "/b"}};
    static const Folders with_slash = {{"/", "/b"}};

    (void)state;
    assert_false(is_covered(&folders, "/a"));
    assert_false(is_covered(&folders, "/b"));
    assert_true(is_covered(&folders, "/a/b/c"));
    assert_false(is_covered(&folders, "/ab"));
    assert_false(is_covered(&with_slash, "/"));
    assert_true(is_covered(&with_slash, "/b"));
    assert_true(is_covered(&with_slash, "/b/c/d"));
}

/* The scan from above does not enter what is ignored, so a folder below that is a root. */
static void test_ignored_between(void **state)
{
    static const Folders folders = {{"/a", "/a/.hidden/b", "/a/removed/c"}};
    static const Folders registered = {{"/a", "/a/.hidden", "/a/.hidden/b"}};

    (void)state;
    assert_false(is_covered(&folders, "/a/.hidden/b"));
    assert_false(is_covered(&folders, "/a/removed/c"));
    assert_true(is_covered(&registered, "/a/.hidden"));
    assert_true(is_covered(&registered, "/a/.hidden/b"));
}

/* One after the other, in whatever order. */
static void test_next(void **state)
{
    static const Folders folders = {{"/", "/b"}}, nested = {{"/a", "/a/b"}};
    static const struct {
        const Folders *folders;
        const char *paths[6];
    } orders[] = {
        {&folders, {"/", "/a", "/b", "/", "/b/c", "/b/d"}},
        {&nested, {"/a", "/a/b", "/a/c", "/ab", "/a/b/", "/a/b/c"}},
        {&nested, {"/a/b/c", "/a/b/", "/a/b/d", "/b/c", "/c/b/d", "/a/c"}},
        {&nested, {"/b/c", "/a/b", "/a/.x/c", "/a/.x/d", "/a/e", "/x/e"}},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(orders) / sizeof(*orders); i++) {
        Rules *rules = make_rules(orders[i].folders);
        ScopeLast last = {0};

        for (size_t k = 0; k < 6; k++) {
            const char *path = orders[i].paths[k];

            assert_int_equal(
                scope_is_next_covered(rules, &last, path, is_folder, orders[i].folders),
                is_covered(orders[i].folders, path));
        }
        (void)rules_unref(rules);
    }
}

static bool has_own(const Rules *rules, const char *path)
{
    for (size_t i = 0; i < rules->n_own; i++)
        if (strcmp(rules->own[i], path) == 0)
            return true;
    return false;
}

static void test_rules(void **state)
{
    static const Folders folders = {{"/a", "/a/.hidden"}};
    Rules *rules = make_rules(&folders);

    (void)state;
    assert_int_equal(rules->n_own, 4);
    assert_true(has_own(rules, "/data/PictoPy/database"));
    assert_true(has_own(rules, "/data/PictoPy/video_frames"));
    assert_true(has_own(rules, thumbnails));
    assert_true(has_own(rules, state_directory));
    assert_int_equal(rules->n_always, 1);
    assert_true(rules_ignore_directory(rules, "/a/.other"));
    assert_false(rules_ignore_directory(rules, "/a/.hidden"));
    assert_true(rules_ignore_directory(rules, "/a/removed"));
    assert_true(rules_ignore_file(rules, "._x.jpg"));
    (void)rules_unref(rules);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_roots),
        cmocka_unit_test(test_ignored_between),
        cmocka_unit_test(test_next),
        cmocka_unit_test(test_rules),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
