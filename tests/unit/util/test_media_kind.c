/* What a file name says. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "util/cleanup.h"
#include "util/media_kind.h"

static void test_kinds(void **state UNUSED)
{
    static const char *const photos[] = {"a.jpg", "a.JPG",      "a.jpeg", "a.JpEg",
                                         "a.png", "/x/y.z.png", ".a.jpg"};
    static const char *const videos[] = {"a.mp4", "a.MOV", "a.webm", "a.m4v"};
    static const char *const none[] = {"",     "jpg",   ".jpg",   "a.jpg.bak", "a.jpg/b", "a.jpgx",
                                       "a.jp", "a.gif", "a.heic", "a.json",    "a.",      "a.jpg "};

    for (size_t i = 0; i < sizeof(photos) / sizeof(photos[0]); i++)
        assert_int_equal(media_kind_of(photos[i]), MEDIA_KIND_PHOTO);
    for (size_t i = 0; i < sizeof(videos) / sizeof(videos[0]); i++)
        assert_int_equal(media_kind_of(videos[i]), MEDIA_KIND_VIDEO);
    for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++)
        assert_int_equal(media_kind_of(none[i]), MEDIA_KIND_NONE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kinds),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
