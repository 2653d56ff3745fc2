/* The configuration: defaults, files, overriding, errors, printing, and the documented file. */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "util/clock.h"
#include "util/config.h"
#include "util/config_keys.h"
#include "util/ini.h"

static char directory[] = "/tmp/test-config-XXXXXX";

static int setup(void **state UNUSED)
{
    /* Nothing of the real user's configuration may reach the test. */
    for (size_t i = 0; i < config_n_keys; i++) {
        CLEANUP_FREE char *variable = config_key_variable(&config_keys[i]);

        (void)unsetenv(variable);
    }
    (void)unsetenv("XDG_DATA_HOME");
    (void)unsetenv("XDG_STATE_HOME");
    (void)unsetenv("STATE_DIRECTORY");
    (void)setenv("HOME", "/home/test", 1);
    (void)setenv("XDG_CONFIG_HOME", directory, 1);
    return 0;
}

static char *file_path(const char *name)
{
    return path_join(directory, name);
}

static void write_file(const char *path, const char *content, size_t size)
{
    FILE *file = fopen(path, "we");

    assert_non_null(file);
    assert_int_equal(fwrite(content, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
}

/* Loads with a file of that content (NULL: none) and at most one --set. */
static int load(const char *content, const char *setting, Config **ret_config, Text *errors)
{
    CLEANUP_FREE char *path = file_path("test.conf");
    char *settings[] = {(char *)setting};
    ConfigSources sources = {.settings = settings, .n_settings = setting ? 1 : 0};

    text_clear(errors);
    if (content) {
        write_file(path, content, strlen(content));
        sources.file = path;
    }
    return config_load(&sources, ret_config, errors);
}

static void test_defaults(void **state UNUSED)
{
    CLEANUP(config_free_p) Config *config = NULL;
    CLEANUP(text_done) Text errors = {0};

    assert_int_equal(load(NULL, NULL, &config, &errors), 0);
    assert_null(config->source);
    assert_string_equal(config->database_path,
                        "/home/test/.local/share/PictoPy/database/PictoPy.db");
    assert_string_equal(config->thumbnails_directory, "/home/test/.local/share/PictoPy/thumbnails");
    assert_int_equal(config->thumbnails_size, 600);
    assert_int_equal(config->thumbnails_quality, 75);
    assert_string_equal(config->state_directory, "/home/test/.local/state/pictopy-sync");
    assert_string_equal(config->http_listen, "localhost:52124");
    assert_string_equal(
        config->http_allowed_origins,
        "tauri://localhost http://tauri.localhost https://tauri.localhost http://localhost:1420");
    assert_string_equal(config->http_shutdown_token_file, "");
    assert_string_equal(config->backend_url, "http://localhost:52123");
    assert_int_equal(config->sync_mode, SYNC_MODE_DIRECT);
    assert_true(config->sync_inherit_ai_tagging);
    assert_int_equal(config->sync_import_grace, 10 * CLOCK_US_PER_SEC);
    assert_int_equal(config->watch_settle, 200 * CLOCK_US_PER_MS);
    assert_int_equal(config->watch_settle_create, 2 * CLOCK_US_PER_SEC);
    assert_int_equal(config->watch_settle_limit, 10 * CLOCK_US_PER_SEC);
    assert_int_equal(config->watch_poll_interval, 60 * CLOCK_US_PER_SEC);
    assert_int_equal(config->watch_reconcile_interval, 6 * 3600 * CLOCK_US_PER_SEC);
    assert_string_equal(config->watch_ignore, ".* @eaDir #recycle lost+found");
    assert_true(glob_list_matches(&config->ignore_directories, "#recycle"));
    assert_false(glob_list_matches(&config->ignore_directories, "Holiday"));
    assert_true(glob_list_matches(&config->ignore_files, ".pictopy-write-7.tmp"));
    assert_int_equal(config->media_workers, 0);
    assert_int_equal(config->media_timeout, 30 * CLOCK_US_PER_SEC);
    assert_int_equal(config->media_max_pixels, 200000000);
    assert_int_equal(config->media_max_file_size, 512 * 1024 * 1024);
    assert_int_equal(config->log_level, LOG_LEVEL_INFO);
    assert_int_equal(errors.length, 0);
}

static void test_environment_of_paths(void **state UNUSED)
{
    CLEANUP(config_free_p) Config *config = NULL;
    CLEANUP(text_done) Text errors = {0};

    (void)setenv("XDG_DATA_HOME", "/data//x/", 1);
    (void)setenv("XDG_STATE_HOME", "relative", 1); /* the specification: ignore it */
    assert_int_equal(load(NULL, "http.shutdown_token_file=~/a/../token", &config, &errors), 0);
    assert_string_equal(config->database_path, "/data/x/PictoPy/database/PictoPy.db");
    assert_string_equal(config->state_directory, "/home/test/.local/state/pictopy-sync");
    assert_string_equal(config->http_shutdown_token_file, "/home/test/token");

    config = config_free(config);
    (void)setenv("STATE_DIRECTORY", "/var/lib/pictopy-sync:/var/lib/other", 1);
    (void)unsetenv("HOME"); /* as in a system service: the user database says */
    assert_int_equal(load(NULL, "database.path=~/x", &config, &errors), 0);
    assert_string_equal(config->state_directory, "/var/lib/pictopy-sync");
    assert_true(config->database_path[0] == '/');
    assert_null(strchr(config->database_path, '~'));
}

static void test_file(void **state UNUSED)
{
    CLEANUP(config_free_p) Config *config = NULL;
    CLEANUP(text_done) Text errors = {0}, content = {0};

    text_append(&content, "\xef\xbb\xbf# comment\r\n; another\r\n\r\n[watch]\r\n"
                          "  settle=1min  \nignore = #recycle ; a;b\n"
                          "[ database ]\npath = /p");
    for (size_t i = 0; i < 300; i++)
        text_append(&content, "/0123456789"); /* far beyond one line of a terminal */
    text_append(&content, "\n[http]\nallowed_origins =\n[watch]\npoll_interval = 2\n"
                          "[sync]\ninherit_ai_tagging = NO\nmode = observe\n"
                          "[media]\nmax_file_size = 3K\n[log]\nlevel = debug");
    assert_int_equal(load(content.data, NULL, &config, &errors), 0);
    assert_int_equal(config->watch_settle, 60 * CLOCK_US_PER_SEC);
    assert_string_equal(config->watch_ignore, "#recycle ; a;b");
    assert_int_equal(strlen(config->database_path), 2 + 300 * 11);
    assert_string_equal(config->http_allowed_origins, "");
    assert_int_equal(config->watch_poll_interval, 2 * CLOCK_US_PER_SEC);
    assert_false(config->sync_inherit_ai_tagging);
    assert_int_equal(config->sync_mode, SYNC_MODE_OBSERVE);
    assert_int_equal(config->media_max_file_size, 3072);
    assert_int_equal(config->log_level, LOG_LEVEL_DEBUG);
    assert_non_null(config->source);
}

static void test_precedence(void **state UNUSED)
{
    CLEANUP(config_free_p) Config *config = NULL;
    CLEANUP(text_done) Text errors = {0};
    static const char content[] = "[thumbnails]\nsize = 100\nquality = 50\n[media]\nworkers = 2\n";

    (void)setenv("PICTOPY_SYNC_THUMBNAILS_SIZE", "200", 1);
    (void)setenv("PICTOPY_SYNC_MEDIA_WORKERS", "3", 1);
    assert_int_equal(load(content, "media.workers=4", &config, &errors), 0);
    assert_int_equal(config->thumbnails_quality, 50);
    assert_int_equal(config->thumbnails_size, 200);
    assert_int_equal(config->media_workers, 4);
}

static void test_search(void **state UNUSED)
{
    CLEANUP(config_free_p) Config *config = NULL;
    CLEANUP(text_done) Text errors = {0};
    CLEANUP_FREE char *below = file_path("pictopy-sync"),
                      *file = path_join(below, "pictopy-sync.conf");

    assert_int_equal(mkdir(below, 0700), 0);
    write_file(file, "[thumbnails]\nsize = 77\n", 23);
    assert_int_equal(load(NULL, NULL, &config, &errors), 0);
    assert_int_equal(config->thumbnails_size, 77);
    assert_string_equal(config->source, file);
    config = config_free(config);
    /* --config comes first. */
    assert_int_equal(load("[thumbnails]\nsize = 78\n", NULL, &config, &errors), 0);
    assert_int_equal(config->thumbnails_size, 78);
    (void)unlink(file);
    (void)rmdir(below);
}

static void assert_mentions(const Text *errors, const char *what)
{
    if (!strstr(errors->data, what))
        fail_msg("no \"%s\" in:\n%s", what, errors->data);
}

static size_t count_lines(const Text *errors)
{
    size_t n = 0;

    for (size_t i = 0; i < errors->length; i++)
        n += errors->data[i] == '\n';
    return n;
}

static void test_file_errors(void **state UNUSED)
{
    static const char content[] = "stray = 1\n"                        /* 1 */
                                  "[watch]\n"                          /* 2 */
                                  "settle = 5 parsecs\n"               /* 3 */
                                  "setle = 1s\n"                       /* 4 */
                                  "nonsense\n"                         /* 5 */
                                  "settle_limit = 1s\n"                /* 6 */
                                  "settle_limit = 2s\n"                /* 7 */
                                  "[wach]\n"                           /* 8 */
                                  "settle = also unknown, said once\n" /* 9 */
                                  "[thumbnails\n"                      /* 10 */
                                  "size = 1\n"                         /* 11 */
                                  "[thumbnails]\n"                     /* 12 */
                                  "size = 9999\n"                      /* 13 */
                                  "[database]\n"                       /* 14 */
                                  "path = relative\n"                  /* 15 */
                                  "[log]\n"                            /* 16 */
                                  "level = a\x01z\n";                  /* 17 */
    CLEANUP(config_free_p) Config *config = NULL;
    CLEANUP(text_done) Text errors = {0};

    assert_int_equal(load(content, NULL, &config, &errors), CONFIG_E_INVALID);
    assert_null(config);
    assert_mentions(&errors, "test.conf:1: stray stands before any section");
    assert_mentions(&errors, "test.conf:3: bad value \"5 parsecs\" for watch.settle; accepted: a "
                             "duration: a whole number and us, ms, s, min, h or d, from 0 to 1h\n");
    assert_mentions(&errors, "test.conf:4: unknown key setle in section watch; accepted: settle, "
                             "settle_create, ");
    assert_mentions(&errors, "test.conf:5: not understood; accepted: key = value");
    assert_mentions(&errors, "test.conf:7: watch.settle_limit is set again, first in line 6");
    assert_mentions(&errors, "test.conf:8: unknown section \"wach\"; accepted: database, "
                             "thumbnails, state, http, backend, sync, watch, media, log\n");
    assert_mentions(&errors, "test.conf:10: a section header is not closed");
    assert_mentions(&errors, "test.conf:13: bad value \"9999\" for thumbnails.size; accepted: a "
                             "whole number from 16 to 4096\n");
    assert_mentions(&errors, "test.conf:15: bad value \"relative\" for database.path");
    assert_mentions(&errors, "test.conf:17: bad value \"a\\x01z\" for log.level; accepted: error, "
                             "warning, notice, info, debug\n");
    assert_int_equal(count_lines(&errors), 10);
}

static void test_unreadable(void **state UNUSED)
{
    CLEANUP(config_free_p) Config *config = NULL;
    CLEANUP(text_done) Text errors = {0};
    CLEANUP_FREE char *path = file_path("zero.conf");

    assert_int_equal(config_load(&(ConfigSources){.file = "/nonexistent/x.conf"}, &config, &errors),
                     CONFIG_E_INVALID);
    assert_string_equal(errors.data,
                        "/nonexistent/x.conf: cannot be read: No such file or directory\n");
    text_clear(&errors);
    assert_int_equal(config_load(&(ConfigSources){.file = directory}, &config, &errors),
                     CONFIG_E_INVALID);
    assert_mentions(&errors, "cannot be read: Is a directory");
    text_clear(&errors);
    write_file(path, "[log]\nlevel = in\0fo\n", 20);
    assert_int_equal(config_load(&(ConfigSources){.file = path}, &config, &errors),
                     CONFIG_E_INVALID);
    (void)unlink(path);
}

static void test_override_errors(void **state UNUSED)
{
    CLEANUP(config_free_p) Config *config = NULL;
    CLEANUP(text_done) Text errors = {0};
    static const char *const settings[] = {"watch.settle",   "settle=1s",
                                           "watch.setle=1s", "x.y=1",
                                           "watch.settle=x", "http.listen=0.0.0.0:80"};

    for (size_t i = 0; i < sizeof(settings) / sizeof(settings[0]); i++) {
        CLEANUP(text_done) Text start = {0};

        text_printf(&start, "--set %s: ", settings[i]);
        assert_int_equal(load(NULL, settings[i], &config, &errors), CONFIG_E_INVALID);
        assert_int_equal(strncmp(errors.data, start.data, start.length), 0);
        assert_mentions(&errors, "accepted: ");
        assert_int_equal(count_lines(&errors), 1);
    }
    (void)setenv("PICTOPY_SYNC_WATCH_SETLE", "1s", 1);
    (void)setenv("PICTOPY_SYNC_LOG_LEVEL", "loud", 1);
    (void)setenv("PICTOPY_SYNC_PORT", "1", 1); /* no section of ours */
    assert_int_equal(load(NULL, NULL, &config, &errors), CONFIG_E_INVALID);
    (void)unsetenv("PICTOPY_SYNC_WATCH_SETLE");
    (void)unsetenv("PICTOPY_SYNC_PORT");
    assert_mentions(&errors, "environment variable PICTOPY_SYNC_WATCH_SETLE: unknown key SETLE");
    assert_mentions(&errors, "environment variable PICTOPY_SYNC_LOG_LEVEL: bad value \"loud\"");
    assert_int_equal(count_lines(&errors), 2);
}

static void assert_accepts(const char *setting, bool accepted)
{
    CLEANUP(config_free_p) Config *config = NULL;
    CLEANUP(text_done) Text errors = {0};

    if (load(NULL, setting, &config, &errors) != (accepted ? 0 : CONFIG_E_INVALID))
        fail_msg("%s: %s", setting, accepted ? errors.data : "accepted");
}

static void test_values(void **state UNUSED)
{
    static const char *const good[] = {"http.listen=localhost:0",
                                       "http.listen=127.0.0.1:65535",
                                       "http.listen=[::1]:1",
                                       "http.allowed_origins=http://[::1]:80 app.x+y://h",
                                       "backend.url=https://pictopy.lan/",
                                       "thumbnails.size=16",
                                       "thumbnails.size=4096",
                                       "media.max_file_size=1T",
                                       "media.max_pixels=4000000000",
                                       "watch.settle=1h",
                                       "watch.settle=0",
                                       "watch.poll_interval=100ms",
                                       "watch.ignore=",
                                       "sync.inherit_ai_tagging=off",
                                       "http.shutdown_token_file=",
                                       " log.level = error "};
    static const char *const bad[] = {"http.listen=localhost",
                                      "http.listen=localhost:",
                                      "http.listen=localhost:65536",
                                      "http.listen=:1",
                                      "http.listen=example.org:1",
                                      "http.listen=127.evil.org:1",
                                      "http.listen=localhost:+1",
                                      "http.listen=",
                                      "http.listen=[::1:1",
                                      "http.allowed_origins=*",
                                      "http.allowed_origins=http://a/b",
                                      "http.allowed_origins=null",
                                      "http.allowed_origins=http://a:x",
                                      "http.allowed_origins=http:// a",
                                      "backend.url=ftp://a",
                                      "backend.url=http://",
                                      "backend.url=",
                                      "backend.url=http://a/b",
                                      "thumbnails.size=15",
                                      "thumbnails.size=4097",
                                      "thumbnails.size=-1",
                                      "thumbnails.size=6e2",
                                      "thumbnails.size=",
                                      "thumbnails.quality=0",
                                      "thumbnails.quality=18446744073709551617",
                                      "media.max_file_size=1Q",
                                      "media.max_file_size=1MM",
                                      "media.max_file_size=2T",
                                      "media.max_file_size=18446744073709551615K",
                                      "watch.settle=61min",
                                      "watch.poll_interval=0",
                                      "watch.ignore=a/b",
                                      "sync.mode=Direct",
                                      "sync.inherit_ai_tagging=maybe",
                                      "database.path=",
                                      "database.path=$NOPE/x",
                                      "database.path=~other/x",
                                      "log.level=verbose"};

    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
        assert_accepts(good[i], true);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_accepts(bad[i], false);
}

static void test_url_slash(void **state UNUSED)
{
    CLEANUP(config_free_p) Config *config = NULL;
    CLEANUP(text_done) Text errors = {0};

    assert_int_equal(load(NULL, "backend.url=http://a:1/", &config, &errors), 0);
    assert_string_equal(config->backend_url, "http://a:1");
}

static void test_print(void **state UNUSED)
{
    CLEANUP(config_free_p) Config *config = NULL, *again = NULL;
    CLEANUP(text_done) Text errors = {0}, printed = {0}, reprinted = {0};
    CLEANUP_FREE char *path = file_path("test.conf");

    (void)setenv("PICTOPY_SYNC_THUMBNAILS_SIZE", "200", 1);
    assert_int_equal(load("# x\n[watch]\nsettle = 3s\n", "log.level=debug", &config, &errors), 0);
    assert_int_equal(config_print(config, &printed), 0);
    assert_mentions(&printed, path);
    assert_mentions(&printed, "test.conf:3\nsettle = 3s\n");
    assert_mentions(&printed, "# from the environment, PICTOPY_SYNC_THUMBNAILS_SIZE\nsize = 200\n");
    assert_mentions(&printed, "[log]\n# from --set\nlevel = debug\n");
    assert_mentions(&printed, "[database]\n# default\n"
                              "path = /home/test/.local/share/PictoPy/database/PictoPy.db\n");
    assert_mentions(&printed, "shutdown_token_file =\n");
    /* What was printed is a configuration that gives the same. */
    (void)unsetenv("PICTOPY_SYNC_THUMBNAILS_SIZE");
    assert_int_equal(load(printed.data, NULL, &again, &errors), 0);
    assert_int_equal(again->thumbnails_size, 200);
    assert_int_equal(again->watch_settle, config->watch_settle);
    assert_string_equal(again->watch_ignore, config->watch_ignore);
    assert_int_equal(again->log_level, LOG_LEVEL_DEBUG);
}

/* A directory may have a name that ends with a blank, which a line may not. */
static void test_print_blank_at_the_end(void **state UNUSED)
{
    CLEANUP(config_free_p) Config *config = NULL, *again = NULL;
    CLEANUP(text_done) Text errors = {0}, printed = {0};

    assert_int_equal(load("[database]\npath = /data/end /\n", NULL, &config, &errors), 0);
    assert_string_equal(config->database_path, "/data/end ");
    assert_int_equal(config_print(config, &printed), 0);
    assert_int_equal(load(printed.data, NULL, &again, &errors), 0);
    assert_string_equal(again->database_path, "/data/end ");
}

/* The documented file */

typedef struct DocumentedFile {
    IniReader reader;
    bool *seen;
} DocumentedFile;

static void documented_line(IniReader *reader, int number, const char *section, const char *key,
                            const char *value)
{
    DocumentedFile *file = (DocumentedFile *)reader;
    const ConfigKey *known;

    if (!key) {
        assert_true(config_section_is_known(section, strlen(section)));
        return;
    }
    known = config_key_find(section, strlen(section), key);
    if (!known)
        fail_msg("pictopy-sync.conf:%d: unknown key %s.%s", number, section, key);
    else if (strcmp(value, known->fallback) != 0)
        fail_msg("pictopy-sync.conf:%d: the default of %s is %s", number, known->name,
                 known->fallback);
    else if (file->seen[known - config_keys])
        fail_msg("pictopy-sync.conf:%d: %s again", number, known->name);
    else
        file->seen[known - config_keys] = true;
}

static void documented_error(IniReader *reader UNUSED, int number, const char *what)
{
    fail_msg("pictopy-sync.conf:%d: %s", number, what);
}

/* Uncommenting "#key = value" lines: a # that a letter follows at once. */
static void uncomment(char *text)
{
    for (char *line = text; line && *line; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (line[0] == '#' && line[1] >= 'a' && line[1] <= 'z')
            line[0] = ' ';
    }
}

static void test_documented_file(void **state UNUSED)
{
    CLEANUP(text_done) Text text = {0}, errors = {0};
    CLEANUP(fclose_p) FILE *stream = fopen(PROJECT_SOURCE "/pictopy-sync.conf", "re");
    CLEANUP(config_free_p) Config *config = NULL;
    CLEANUP_FREE bool *seen = calloc(config_n_keys, sizeof(bool));
    DocumentedFile file = {{documented_line, documented_error}, seen};
    CLEANUP_FREE char *copy = NULL;
    int c;

    assert_non_null(stream);
    while ((c = getc(stream)) != EOF)
        text_append_bytes(&text, &(char){(char)c}, 1);
    /* As it is shipped it sets nothing. */
    assert_int_equal(load(text.data, NULL, &config, &errors), 0);
    for (size_t i = 0; i < config_n_keys; i++)
        assert_int_equal(config->values[i].origin, CONFIG_ORIGIN_DEFAULT);
    config = config_free(config);
    /* With every key uncommented it is valid and sets each one to its default. */
    uncomment(text.data);
    assert_int_equal(load(text.data, NULL, &config, &errors), 0);
    copy = strdup(text.data);
    ini_read(copy, &file.reader);
    for (size_t i = 0; i < config_n_keys; i++)
        if (!seen[i])
            fail_msg("pictopy-sync.conf does not mention %s", config_keys[i].name);
}

static void test_reload_is_repeatable(void **state UNUSED)
{
    CLEANUP(config_free_p) Config *old = NULL, *new = NULL;
    CLEANUP(text_done) Text errors = {0};

    assert_int_equal(load("[media]\nworkers = 1\n", NULL, &old, &errors), 0);
    assert_int_equal(load("[media]\nworkers = x\n", NULL, &new, &errors), CONFIG_E_INVALID);
    assert_null(new);
    assert_int_equal(old->media_workers, 1);
}

static void waiting(const char *before, const char *after, const char *names)
{
    CLEANUP(config_free_p) Config *old = NULL;
    CLEANUP(config_free_p) Config *new = NULL;
    CLEANUP(text_done) Text errors = {0};
    CLEANUP(text_done) Text out = {0};

    assert_int_equal(load(before, NULL, &old, &errors), 0);
    assert_int_equal(load(after, NULL, &new, &errors), 0);
    config_print_waiting(old, new, &out);
    assert_string_equal(out.data ? out.data : "", names);
}

static void test_waiting(void **state UNUSED)
{
    waiting("", "", "");
    waiting("[log]\nlevel = debug\n", "[watch]\nsettle = 1s\nignore = x\n", "");
    waiting("", "[thumbnails]\nsize = 300\n", "thumbnails.size");
    waiting("[http]\nlisten = localhost:1\n", "[state]\ndirectory = /s\n[log]\nlevel = error\n",
            "state.directory, http.listen");
    waiting("", "[state]\ndirectory = ~/.local/state/pictopy-sync\n", ""); /* the same place */
}

static int remove_directory(void **state UNUSED)
{
    CLEANUP_FREE char *path = file_path("test.conf");

    (void)unlink(path);
    return rmdir(directory);
}

static int make_directory(void **state UNUSED)
{
    return mkdtemp(directory) ? 0 : -1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_defaults, setup),
        cmocka_unit_test_setup(test_environment_of_paths, setup),
        cmocka_unit_test_setup(test_file, setup),
        cmocka_unit_test_setup(test_precedence, setup),
        cmocka_unit_test_setup(test_search, setup),
        cmocka_unit_test_setup(test_file_errors, setup),
        cmocka_unit_test_setup(test_unreadable, setup),
        cmocka_unit_test_setup(test_override_errors, setup),
        cmocka_unit_test_setup(test_values, setup),
        cmocka_unit_test_setup(test_url_slash, setup),
        cmocka_unit_test_setup(test_print, setup),
        cmocka_unit_test_setup(test_print_blank_at_the_end, setup),
        cmocka_unit_test_setup(test_waiting, setup),
        cmocka_unit_test_setup(test_documented_file, setup),
        cmocka_unit_test_setup(test_reload_is_repeatable, setup),
    };

    return cmocka_run_group_tests(tests, make_directory, remove_directory);
}
