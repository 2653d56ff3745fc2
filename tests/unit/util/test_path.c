/* Paths as bytes: joining, normalizing, ranges, UTF-8, escaping, globs. */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "util/cleanup.h"
#include "util/path.h"

static void test_join(void **state UNUSED)
{
    static const struct {
        const char *dir, *name, *path;
    } cases[] = {{"/", "a", "/a"}, {"/a", "b", "/a/b"}, {"/a/", "b", "/a/b"}, {"", "a", "/a"}};

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        CLEANUP_FREE char *path = path_join(cases[i].dir, cases[i].name);

        assert_string_equal(path, cases[i].path);
    }
}

static void test_parent_and_name(void **state UNUSED)
{
    static const struct {
        const char *path, *parent, *name;
    } cases[] = {
        {"/a/b", "/a", "b"}, {"/a", "/", "a"}, {"/", "/", ""}, {"a", ".", "a"}, {"a/b", "a", "b"}};

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        CLEANUP_FREE char *parent = path_parent(cases[i].path);

        assert_string_equal(parent, cases[i].parent);
        assert_string_equal(path_name(cases[i].path), cases[i].name);
    }
}

static void test_extension(void **state UNUSED)
{
    assert_string_equal(path_extension("a.jpg"), "jpg");
    assert_string_equal(path_extension("a.tar.gz"), "gz");
    assert_string_equal(path_extension("a."), "");
    assert_string_equal(path_extension("a"), "");
    assert_string_equal(path_extension(".jpg"), "");
    assert_string_equal(path_extension("..jpg"), "");
    assert_string_equal(path_extension(".a.jpg"), "jpg");
    assert_string_equal(path_extension("/x.y/a"), "");
    assert_string_equal(path_extension(""), "");
}

static void test_is_below(void **state UNUSED)
{
    assert_true(path_is_below("/a/Trip/x", "/a/Trip"));
    assert_true(path_is_below("/a/Trip/x/y", "/a/Trip"));
    assert_true(path_is_below("/a", "/"));
    assert_false(path_is_below("/a/Trip2", "/a/Trip"));
    assert_false(path_is_below("/a/Trip2/x", "/a/Trip"));
    assert_false(path_is_below("/a/Trip", "/a/Trip"));
    assert_false(path_is_below("/", "/"));
    assert_false(path_is_below("/a", "/a/Trip"));
}

static void assert_moved(const char *path, bool itself, const char *expected)
{
    static const PathMove moves[] = {{"/a", "/x"}, {"/a/b", "/y"}, {"/c", "/a"}};
    CLEANUP_FREE char *moved = NULL;

    assert_int_equal(path_moved(path, moves, 3, itself, &moved), 0);
    assert_string_equal(moved ? moved : "(where it was)", expected);
}

static void test_moved(void **state UNUSED)
{
    assert_moved("/a/1.jpg", false, "/x/1.jpg");
    assert_moved("/a/b/1.jpg", false, "/y/1.jpg"); /* by the deepest */
    assert_moved("/a/bb/1.jpg", false, "/x/bb/1.jpg");
    assert_moved("/c/b/1.jpg", false, "/a/b/1.jpg"); /* once, not on from there */
    assert_moved("/d", true, "(where it was)");
    assert_moved("/a", false, "(where it was)");
    assert_moved("/a", true, "/x");
    assert_moved("/a/b", false, "/x/b");
    assert_moved("/a/b", true, "/y");
}

static void test_common_tail(void **state UNUSED)
{
    assert_int_equal(path_common_tail("/r/a.jpg", "/s/a.jpg"), 1);
    assert_int_equal(path_common_tail("/r/d/a.jpg", "/s/d/a.jpg"), 2);
    assert_int_equal(path_common_tail("/r/d/a.jpg", "/r/d/a.jpg"), 3);
    assert_int_equal(path_common_tail("/r/xd/a.jpg", "/r/d/a.jpg"), 1);
    assert_int_equal(path_common_tail("/r/xa.jpg", "/r/a.jpg"), 0);
    assert_int_equal(path_common_tail("/d/a.jpg", "/r/d/a.jpg"), 2);
    assert_int_equal(path_common_tail("", "/a"), 0);
    assert_int_equal(path_common_head("/r/d/a.jpg", "/r/dx/a.jpg"), 4);
    assert_int_equal(path_common_head("/a", "/a"), 2);
    assert_int_equal(path_common_head("", "/a"), 0);
}

static void test_normalize(void **state UNUSED)
{
    static const struct {
        const char *path, *cwd, *result;
    } cases[] = {
        {"/", "/c", "/"},
        {"//a", "/c", "/a"},
        {"/a//b/", "/c", "/a/b"},
        {"/a/..", "/c", "/"},
        {"a/..", "/c", "/c"},
        {"/a/./b/.", "/c", "/a/b"},
        {"/..", "/c", "/"},
        {"/../../a", "/c", "/a"},
        {"../../x", "/c/d", "/x"},
        {"a/b/../../..", "/", "/"},
        {"", "/c/d/", "/c/d"},
        {".", "/", "/"},
        {"/a/...", "/c", "/a/..."},
        {"/a/..b/.c", "/", "/a/..b/.c"},
        {"x", "/c/./d/../e", "/c/e/x"},
        {"//", "/c", "/"},
        {"/a/b/..//../c", "/", "/c"},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        CLEANUP_FREE char *path = NULL;

        assert_int_equal(path_normalize(cases[i].path, cases[i].cwd, &path), 0);
        assert_string_equal(path, cases[i].result);
    }
}

static void assert_range(const char *dir, const char *first, const char *end)
{
    CLEANUP_FREE char *a = NULL, *b = NULL;

    assert_int_equal(path_range(dir, &a, &b), 0);
    assert_string_equal(a, first);
    assert_string_equal(b, end);
}

static void test_range(void **state UNUSED)
{
    assert_range("/", "/", "0");
    assert_range("/a", "/a/", "/a0");
    assert_range("/a/b%_[", "/a/b%_[/", "/a/b%_[0");
}

static void test_utf8(void **state UNUSED)
{
    static const char *const good[] = {"",
                                       "abc",
                                       "\xc3\xa4",
                                       "\xe2\x82\xac",
                                       "\xf0\x9f\x98\x80",
                                       "\xed\x9f\xbf",
                                       "\xee\x80\x80",
                                       "\xf4\x8f\xbf\xbf",
                                       "\x7f"};
    static const char *const bad[] = {
        "\x80",     "\xc3",         "\xc0\x80",         "\xc1\xbf",         "\xe0\x80\x80",
        "\xe2\x82", "\xed\xa0\x80", "\xf0\x80\x80\x80", "\xf4\x90\x80\x80", "\xf5\x80\x80\x80",
        "a\xff",    "\xe2\x28\xa1", "\xf0\x9f\x98"};

    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
        assert_true(path_is_utf8(good[i]));
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_false(path_is_utf8(bad[i]));
}

static void assert_escaped(const char *path, const char *expected)
{
    CLEANUP_FREE char *escaped = path_escape(path);

    assert_string_equal(escaped, expected);
}

static void test_escape(void **state UNUSED)
{
    assert_escaped("", "");
    assert_escaped("/a/\xc3\xa4 b", "/a/\xc3\xa4 b");
    assert_escaped("a\nb\x1b[2J\x7f", "a\\x0ab\\x1b[2J\\x7f");
    assert_escaped("\xff\xc3", "\\xff\\xc3");
    assert_escaped("\xc2\x9b"
                   "1m\xc2\xa0",
                   "\\xc2\\x9b"
                   "1m\xc2\xa0");
}

static void test_globs(void **state UNUSED)
{
    CLEANUP(glob_list_done) GlobList list = {0};

    assert_int_equal(glob_list_parse(&list, ".* @eaDir\t#recycle  lost+found\n"), 0);
    assert_int_equal(list.n_globs, 4);
    assert_true(glob_list_matches(&list, ".git"));
    assert_true(glob_list_matches(&list, "@eaDir"));
    assert_true(glob_list_matches(&list, "#recycle"));
    assert_false(glob_list_matches(&list, "photos"));
    assert_false(glob_list_matches(&list, "x.git"));
    assert_int_equal(glob_list_parse(&list, "._* .pictopy-write-*.tmp"), 0);
    assert_int_equal(list.n_globs, 2);
    assert_true(glob_list_matches(&list, "._IMG.jpg"));
    assert_true(glob_list_matches(&list, ".pictopy-write-123.tmp"));
    assert_false(glob_list_matches(&list, ".pictopy-write-123.tmp2"));
    assert_int_equal(glob_list_parse(&list, "  "), 0);
    assert_false(glob_list_matches(&list, ""));
    assert_int_equal(glob_list_parse(&list, "a"), 0);
    assert_true(glob_list_matches(&list, "a"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_join),      cmocka_unit_test(test_parent_and_name),
        cmocka_unit_test(test_moved),     cmocka_unit_test(test_extension),
        cmocka_unit_test(test_is_below),  cmocka_unit_test(test_common_tail),
        cmocka_unit_test(test_normalize), cmocka_unit_test(test_range),
        cmocka_unit_test(test_utf8),      cmocka_unit_test(test_escape),
        cmocka_unit_test(test_globs),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
