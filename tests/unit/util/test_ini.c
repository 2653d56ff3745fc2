/* Reading of INI files. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "util/ini.h"
#include "util/list.h"

typedef struct Recorder {
    IniReader reader;
    Text text;
} Recorder;

static void record_line(IniReader *reader, int number, const char *section, const char *key,
                        const char *value)
{
    Recorder *recorder = CONTAINER_OF(reader, Recorder, reader);

    if (key)
        text_printf(&recorder->text, "%d:%s.%s=%s|", number, section, key, value);
    else
        text_printf(&recorder->text, "%d:[%s]|", number, section);
}

static void record_error(IniReader *reader, int number, const char *what UNUSED)
{
    text_printf(&CONTAINER_OF(reader, Recorder, reader)->text, "%d:error|", number);
}

static void assert_reads(const char *content, const char *expected)
{
    Recorder recorder = {.reader = {record_line, record_error}};
    CLEANUP_FREE char *copy = strdup(content);

    ini_read(copy, &recorder.reader);
    assert_string_equal(recorder.text.data ? recorder.text.data : "", expected);
    text_done(&recorder.text);
}

static void test_read(void **state UNUSED)
{
    assert_reads("", "");
    assert_reads("\n\n# c\n ; c\n", "");
    assert_reads("[a]\nb=c\n", "1:[a]|2:a.b=c|");
    assert_reads("[a]\r\n b = c d \r\n", "1:[a]|2:a.b=c d|");
    assert_reads("\xef\xbb\xbf[a]\nb=c", "1:[a]|2:a.b=c|");
    assert_reads("[ a ]\nb=\n[c]\nb==#;x ;y", "1:[a]|2:a.b=|3:[c]|4:c.b==#;x ;y|");
    assert_reads("b=1\n[]\nb=2", "1:.b=1|2:[]|3:.b=2|");
}

static void test_errors(void **state UNUSED)
{
    assert_reads("[a\nb=1\n[c]\nd=2", "1:error|3:[c]|4:c.d=2|");
    assert_reads("[a]x\nnoise\n=v\n[", "1:error|2:error|3:error|4:error|");
}

static void assert_stripped(const char *text, const char *expected)
{
    CLEANUP_FREE char *copy = strdup(text);

    assert_string_equal(ini_strip(copy), expected);
}

static void test_strip(void **state UNUSED)
{
    assert_stripped("", "");
    assert_stripped(" \t\r\n", "");
    assert_stripped(" a b\t", "a b");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_read),
        cmocka_unit_test(test_errors),
        cmocka_unit_test(test_strip),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
