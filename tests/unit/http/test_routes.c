/* Every route over a real socket: names, types, codes, headers. */

#include "fixture.h"

#include <sys/stat.h>

#include "project-config.h"

static void has_string(json_t *object, const char *key, const char *value)
{
    assert_string_equal(json_string_value(json_object_get(object, key)), value);
}

static void has_integer(json_t *object, const char *key, json_int_t value)
{
    assert_true(json_is_integer(json_object_get(object, key)));
    assert_int_equal(json_integer_value(json_object_get(object, key)), value);
}

static void has_boolean(json_t *object, const char *key, bool value)
{
    assert_true(json_is_boolean(json_object_get(object, key)));
    assert_int_equal(json_boolean_value(json_object_get(object, key)), value);
}

static void test_root(void **state)
{
    json_t *json = fixture_json(*state, "GET", "/", NULL, 200);
    json_t *endpoints = json_object_get(json, "endpoints");

    assert_int_equal(json_object_size(json), 3);
    has_string(json, "name", "PictoPy Sync Microservice");
    has_string(json, "version", PROJECT_VERSION);
    assert_int_equal(json_array_size(endpoints), 15);
    assert_string_equal(json_string_value(json_array_get(endpoints, 1)), "/health");
    json_decref(json);
}

static void expect_health(Fixture *f, const char *target, int status, const char *database,
                          const char *watcher)
{
    json_t *json = fixture_json(f, "GET", target, NULL, status);

    assert_int_equal(json_object_size(json), 3);
    has_string(json, "status", status == 200 ? "healthy" : "unhealthy");
    has_string(json, "database", database);
    has_string(json, "watcher", watcher);
    json_decref(json);
}

static void test_health(void **state)
{
    Fixture *f = *state;

    expect_health(f, "/health", 503, "disconnected", "stopped"); /* nothing published yet */
    fixture_publish(f, true, 0);
    expect_health(f, "/health", 200, "connected", "stopped");
    fixture_publish(f, true, 3);
    expect_health(f, "/health", 200, "connected", "running");
    expect_health(f, "/api/v1/health", 200, "connected", "running");
    fixture_publish(f, false, 3);
    expect_health(f, "/health?x=1", 503, "disconnected", "running");
}

static void expect_folders(json_t *list, size_t n)
{
    CLEANUP_FREE char *path = NULL;
    json_t *last = json_array_get(list, n - 1);

    assert_true(json_is_array(list));
    assert_int_equal(json_array_size(list), n);
    if (n == 0)
        return;
    assert_true(asprintf(&path, "/photos/\"%04zu\" ä", n - 1) > 0);
    assert_int_equal(json_object_size(last), 2);
    has_string(json_array_get(list, 0), "id", "id-0");
    has_string(last, "path", path);
}

static void test_folders(void **state)
{
    Fixture *f = *state;
    json_t *json = fixture_json(f, "GET", "/folders", NULL, 200);

    assert_int_equal(json_object_size(json), 2);
    has_integer(json, "total_folders", 0);
    expect_folders(json_object_get(json, "folders"), 0);
    json_decref(json);

    fixture_publish(f, true, 10000);
    json = fixture_json(f, "GET", "/folders", NULL, 200);
    has_integer(json, "total_folders", 10000);
    expect_folders(json_object_get(json, "folders"), 10000);
    json_decref(json);
}

static void expect_info(json_t *info, bool running, size_t n)
{
    assert_int_equal(json_object_size(info), 5);
    has_boolean(info, "is_running", running);
    has_integer(info, "folders_count", (json_int_t)n);
    has_boolean(info, "thread_alive", running);
    if (running)
        has_integer(info, "thread_id", 4711);
    else
        assert_true(json_is_null(json_object_get(info, "thread_id")));
    expect_folders(json_object_get(info, "watched_folders"), n);
}

/* Takes the detail out of an answer; the five others are PictoPy's. */
static json_t *take_detail(json_t *info)
{
    json_t *detail = json_incref(json_object_get(info, "detail"));

    assert_int_equal(json_object_del(info, "detail"), 0);
    return detail;
}

static void test_watcher_status(void **state)
{
    Fixture *f = *state;
    json_t *json = fixture_json(f, "GET", "/watcher/status", NULL, 200);
    json_t *detail = take_detail(json);

    assert_true(json_is_null(detail));
    expect_info(json, false, 0);
    json_decref(json);
    fixture_publish(f, true, 2);
    json = fixture_json(f, "GET", "/api/v1/watcher/status", NULL, 200);
    detail = take_detail(json);
    assert_true(json_is_null(detail));
    expect_info(json, true, 2);
    json_decref(json);
}

static void publish_detail(Fixture *f, const SnapshotNumbers *numbers)
{
    Snapshot *snapshot;
    SnapshotDetail *detail;

    assert_int_equal(snapshot_new(&snapshot), 0);
    assert_int_equal(snapshot_detail_new(2, &detail), 0);
    detail->roots[0].path = strdup("/photos/ä \"");
    detail->roots[1].path = strdup("/away");
    detail->roots[1].state = SNAPSHOT_ROOT_OFFLINE;
    detail->roots[1].reason = strdup("No such file or directory");
    detail->numbers = *numbers;
    snapshot->detail = detail;
    snapshot_box_publish(f->snapshots, snapshot);
}

static void expect_json(json_t *json, const char *text)
{
    CLEANUP_FREE char *got = json_dumps(json, JSON_COMPACT);

    assert_string_equal(got, text);
    json_decref(json);
}

static void test_detail(void **state)
{
    SnapshotNumbers numbers = {.scans = 2,
                               .scanned = 300,
                               .pending = 4,
                               .watches = 5,
                               .watch_limit = 1000,
                               .watch_budget = 750,
                               .polled = 6,
                               .problems = 7};
    Fixture *f = *state;
    json_t *json;

    publish_detail(f, &numbers);
    json = fixture_json(f, "GET", "/watcher/status", NULL, 200);
    expect_json(take_detail(json), "{\"roots\":[{\"path\":\"/photos/ä \\\"\",\"state\":\"online\"},"
                                   "{\"path\":\"/away\",\"state\":\"offline\","
                                   "\"reason\":\"No such file or directory\"}],"
                                   "\"scanning\":true,\"folders_scanned\":300,\"pending\":4,"
                                   "\"watches\":{\"used\":5,\"limit\":1000,\"budget\":750},"
                                   "\"polled_folders\":6,\"problems\":7,\"last_reconcile\":null}");
    json_decref(json);

    numbers = (SnapshotNumbers){.watch_limit = UINT64_MAX,
                                .watch_budget = UINT64_MAX / 4 * 3,
                                .reconciled = 1600000000,
                                .reconcile_us = 1500000};
    publish_detail(f, &numbers);
    json = fixture_json(f, "GET", "/watcher/status", NULL, 200);
    {
        json_t *detail = take_detail(json);

        expect_json(json_incref(json_object_get(detail, "watches")),
                    "{\"used\":0,\"limit\":null,\"budget\":null}");
        expect_json(json_incref(json_object_get(detail, "last_reconcile")),
                    "{\"ended\":\"2020-09-13T12:26:40Z\",\"seconds\":1.5}");
        has_boolean(detail, "scanning", false);
        json_decref(detail);
    }
    json_decref(json);
}

static void expect_control(Fixture *f, const char *target, bool success, const char *message)
{
    json_t *json = fixture_json(f, "POST", target, NULL, 200);

    assert_int_equal(json_object_size(json), 3);
    has_boolean(json, "success", success);
    has_string(json, "message", message);
    expect_info(json_object_get(json, "watcher_info"), true, 2);
    json_decref(json);
}

static void test_control(void **state)
{
    static const struct {
        const char *target;
        CallKind kind;
        const char *done;
        const char *failed;
    } table[] = {
        {"/watcher/restart", CALL_RESTART, "Watcher restarted successfully",
         "Failed to restart watcher"},
        {"/watcher/start", CALL_START, "Watcher started successfully", "Failed to start watcher"},
        {"/watcher/stop", CALL_STOP, "Watcher stopped successfully", "Failed to stop watcher"},
    };
    Fixture *f = *state;

    fixture_publish(f, true, 2);
    for (size_t i = 0; i < 3; i++) {
        fixture_set(f, table[i].kind, CALL_RESULT_OK, NULL);
        expect_control(f, table[i].target, true, table[i].done);
        fixture_set(f, table[i].kind, CALL_RESULT_OK, "Done so");
        expect_control(f, table[i].target, true, "Done so");
        fixture_set(f, table[i].kind, CALL_RESULT_REFUSED, "Watcher is already running");
        expect_control(f, table[i].target, false, "Watcher is already running");
        fixture_set(f, table[i].kind, CALL_RESULT_FAILED, NULL);
        expect_control(f, table[i].target, false, table[i].failed);
        assert_int_equal(fixture_asked(f, table[i].kind), 4);
        fixture_set(f, table[i].kind, CALL_RESULT_CLOSED, NULL);
        fixture_error(f, "POST", table[i].target, NULL, 503, "The service is busy or going down");
    }
}

static void test_no_answer(void **state)
{
    Fixture *f = *state;
    uint64_t start = clock_now(), took;
    json_t *json;

    fixture_set(f, CALL_START, CALL_RESULT_NONE, NULL);
    fixture_set(f, CALL_PROBLEMS, CALL_RESULT_NONE, NULL);
    fixture_set(f, CALL_FOLDER_STATUS, CALL_RESULT_NONE, NULL);
    fixture_error(f, "POST", "/watcher/start", NULL, 503, "The service did not answer in time");
    took = clock_now() - start;
    assert_in_range(took, 1900 * CLOCK_US_PER_MS, 3 * CLOCK_US_PER_SEC);
    fixture_error(f, "GET", "/problems", NULL, 503, "The service did not answer");
    json = fixture_json(f, "GET", "/folders/status", NULL, 200);
    has_string(json, "status", "error");
    has_string(json, "message", "The folders could not be read in time");
    json_decref(json);
}

static void test_folder_status(void **state)
{
    static const char text[] = "{\"status\": \"success\", \"data\": [], \"total_folders\": 0}";
    Fixture *f = *state;
    json_t *json;

    fixture_set(f, CALL_FOLDER_STATUS, CALL_RESULT_OK, text);
    {
        CLEANUP(answer_done) Answer answer = fixture_ask(f, "GET", "/folders/status", NULL);

        assert_int_equal(answer.status, 200);
        assert_string_equal(answer.body, text);
    }
    fixture_set(f, CALL_FOLDER_STATUS, CALL_RESULT_FAILED, "database is locked");
    json = fixture_json(f, "GET", "/api/v1/folders/status", NULL, 200);
    assert_int_equal(json_object_size(json), 4);
    has_string(json, "status", "error");
    has_string(json, "message", "database is locked");
    assert_int_equal(json_array_size(json_object_get(json, "data")), 0);
    assert_true(json_is_array(json_object_get(json, "data")));
    has_integer(json, "total_folders", 0);
    json_decref(json);
}

static void test_texts(void **state)
{
    static const char *const targets[] = {"/problems", "/debug/counters"};
    static const CallKind kinds[] = {CALL_PROBLEMS, CALL_COUNTERS};
    Fixture *f = *state;

    for (size_t i = 0; i < 2; i++) {
        json_t *json;

        fixture_set(f, kinds[i], CALL_RESULT_OK, "{\"n\": 1}");
        json = fixture_json(f, "GET", targets[i], NULL, 200);
        has_integer(json, "n", 1);
        json_decref(json);
        fixture_set(f, kinds[i], CALL_RESULT_FAILED, "not now");
        fixture_error(f, "GET", targets[i], NULL, 503, "not now");
        fixture_set(f, kinds[i], CALL_RESULT_OK, NULL);
        fixture_error(f, "GET", targets[i], NULL, 503, NULL);
    }
}

/* The engine's part comes first, what belongs to the process behind it. */
static void test_metrics(void **state)
{
    static const char *const names[] = {
        "process_cpu_seconds_total", "process_resident_memory_bytes", "process_open_fds",
        "process_max_fds",           "process_start_time_seconds",
    };
    Fixture *f = *state;

    fixture_set(f, CALL_METRICS, CALL_RESULT_OK, "# HELP a b\n# TYPE a gauge\na 1\n");
    {
        CLEANUP(answer_done) Answer answer = fixture_ask(f, "GET", "/metrics", NULL);

        assert_int_equal(answer.status, 200);
        assert_string_equal(answer_header(&answer, "Content-Type"),
                            "text/plain; version=0.0.4; charset=utf-8");
        assert_ptr_equal(strstr(answer.body, "# HELP a b\n# TYPE a gauge\na 1\n# HELP "),
                         answer.body);
        assert_non_null(strstr(answer.body, "\npictopy_sync_build_info{version=\""));
        for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
            char line[64];
            const char *at;

            (void)snprintf(line, sizeof(line), "\n%s ", names[i]);
            at = strstr(answer.body, line);
            assert_non_null(at);
            assert_true(strtod(at + strlen(line), NULL) > 0);
        }
    }
    {
        CLEANUP(answer_done) Answer answer = fixture_ask(f, "HEAD", "/metrics", NULL);

        assert_int_equal(answer.status, 200);
        assert_true(answer.length > 500);
    }
    fixture_set(f, CALL_METRICS, CALL_RESULT_FAILED, NULL);
    fixture_error(f, "GET", "/metrics", NULL, 503, "The service did not answer");
    fixture_set(f, CALL_METRICS, CALL_RESULT_FAILED, "why");
    fixture_error(f, "GET", "/metrics", NULL, 503, "why");
    fixture_error(f, "POST", "/metrics", NULL, 405, "Method Not Allowed");
    fixture_error(f, "GET", "/api/v1/metrics", NULL, 404, "Not Found");
}

static void test_settle(void **state)
{
    Fixture *f = *state;
    json_t *json = fixture_json(f, "GET", "/watcher/settle", NULL, 200);
    uint64_t start;

    has_boolean(json, "settled", true);
    assert_true(json_is_integer(json_object_get(json, "waited_ms")));
    json_decref(json);
    fixture_error(f, "GET", "/watcher/settle?timeout_ms=x", NULL, 400,
                  "timeout_ms must be a number from 0 to 120000");
    fixture_error(f, "GET", "/watcher/settle?timeout_ms=120001", NULL, 400, NULL);
    assert_int_equal(fixture_asked(f, CALL_SETTLE), 1);

    fixture_set(f, CALL_SETTLE, CALL_RESULT_REFUSED, "The watcher is stopped");
    fixture_error(f, "GET", "/watcher/settle", NULL, 503, "The watcher is stopped");
    fixture_set(f, CALL_SETTLE, CALL_RESULT_NONE, NULL);
    start = clock_now();
    fixture_error(f, "GET", "/watcher/settle?timeout_ms=300", NULL, 504,
                  "Not settled within 300 ms");
    assert_in_range(clock_now() - start, 300 * CLOCK_US_PER_MS, 2 * CLOCK_US_PER_SEC);
    fixture_error(f, "GET", "/watcher/settle?timeout_ms=0", NULL, 504, "Not settled within 0 ms");
}

static void test_shutdown(void **state)
{
    Fixture *f = *state;
    json_t *json = fixture_json(f, "POST", "/shutdown", NULL, 200);

    assert_int_equal(json_object_size(json), 2);
    has_string(json, "status", "shutting_down");
    assert_non_null(json_string_value(json_object_get(json, "message")));
    json_decref(json);
    json_decref(fixture_json(f, "POST", "/api/v1/shutdown", "X-Shutdown-Token: any\r\n", 200));
    assert_int_equal(fixture_asked(f, CALL_SHUTDOWN), 2);
    fixture_set(f, CALL_SHUTDOWN, CALL_RESULT_CLOSED, NULL);
    fixture_error(f, "POST", "/shutdown", NULL, 503, "The service is busy or going down");
}

static void write_token(const char *file, const char *text)
{
    FILE *stream = fopen(file, "w");

    assert_non_null(stream);
    assert_true(fputs(text, stream) >= 0);
    assert_int_equal(fclose(stream), 0);
}

static void test_token(void **state)
{
    static const char right[] = "X-Shutdown-Token: s3cret\r\n";
    Fixture *f = *state;

    fixture_error(f, "POST", "/shutdown", NULL, 401, "The X-Shutdown-Token header is missing");
    fixture_error(f, "POST", "/shutdown", right, 503, "The shutdown token cannot be read");
    write_token(f->token_file, "");
    fixture_error(f, "POST", "/shutdown", "X-Shutdown-Token:\r\n", 503, NULL);
    write_token(f->token_file, "\r\n");
    fixture_error(f, "POST", "/shutdown", "X-Shutdown-Token:\r\n", 503, NULL);
    write_token(f->token_file, "s3cret\n");
    fixture_error(f, "POST", "/shutdown", "X-Shutdown-Token:\r\n", 403, "Wrong shutdown token");
    fixture_error(f, "POST", "/shutdown", "X-Shutdown-Token: s3cre\r\n", 403, NULL);
    fixture_error(f, "POST", "/shutdown", "X-Shutdown-Token: s3crets\r\n", 403, NULL);
    fixture_error(f, "POST", "/shutdown", "X-Shutdown-Token: s3crets3cret\r\n", 403, NULL);
    fixture_error(f, "POST", "/shutdown", "X-Shutdown-Token: S3cret\r\n", 403, NULL);
    fixture_error(f, "POST", "/shutdown",
                  "X-Shutdown-Token: s3cret\r\nX-Shutdown-Token: s3cret\r\n", 403, NULL);
    fixture_error(f, "POST", "/api/v1/shutdown", NULL, 401, NULL);
    assert_int_equal(fixture_asked(f, CALL_SHUTDOWN), 0);
    json_decref(fixture_json(f, "POST", "/shutdown", "x-shutdown-token: s3cret\r\n", 200));
    write_token(f->token_file, "next"); /* read anew each time */
    fixture_error(f, "POST", "/shutdown", right, 403, NULL);
    json_decref(fixture_json(f, "POST", "/shutdown", "X-Shutdown-Token: next\r\n", 200));
    assert_int_equal(fixture_asked(f, CALL_SHUTDOWN), 2);
}

/* A FIFO must not hang the request; a file too large is not a token. */
static void test_token_odd_files(void **state)
{
    static char large[2000];
    Fixture *f = *state;

    assert_int_equal(mkfifo(f->token_file, 0600), 0);
    fixture_error(f, "POST", "/shutdown", "X-Shutdown-Token: x\r\n", 503, NULL);
    assert_int_equal(unlink(f->token_file), 0);
    memset(large, 'x', sizeof(large) - 1);
    write_token(f->token_file, large);
    fixture_error(f, "POST", "/shutdown", "X-Shutdown-Token: x\r\n", 503, NULL);
    assert_int_equal(unlink(f->token_file), 0);
    assert_int_equal(mkdir(f->token_file, 0700), 0);
    fixture_error(f, "POST", "/shutdown", "X-Shutdown-Token: x\r\n", 503, NULL);
    assert_int_equal(rmdir(f->token_file), 0);
    write_token(f->token_file, "x");
    if (geteuid() == 0) { /* anybody's file in /tmp would do otherwise */
        assert_int_equal(chown(f->token_file, 12345, 12345), 0);
        fixture_error(f, "POST", "/shutdown", "X-Shutdown-Token: x\r\n", 503, NULL);
    }
    assert_int_equal(fixture_asked(f, CALL_SHUTDOWN), 0);
}

/* Each route answers its own methods only, and says which. */
static void test_methods(void **state)
{
    static const char *const methods[] = {"GET",    "HEAD",  "POST",   "PUT",
                                          "DELETE", "PATCH", "OPTIONS"};
    Fixture *f = *state;

    fixture_publish(f, true, 1);
    for (int kind = 0; kind < N_KINDS; kind++)
        fixture_set(f, (CallKind)kind, CALL_RESULT_OK, "{}");
    for (const Route *route = http_routes; route->path; route++) {
        const char *allowed = route->get ? "GET, HEAD" : "POST";

        for (size_t i = 0; i < sizeof(methods) / sizeof(*methods); i++) {
            CLEANUP(answer_done) Answer answer = fixture_ask(f, methods[i], route->path, NULL);

            if (strstr(allowed, methods[i])) {
                assert_int_equal(answer.status, 200);
                assert_null(answer_header(&answer, "Allow"));
                continue;
            }
            assert_int_equal(answer.status, 405);
            assert_string_equal(answer_header(&answer, "Allow"), allowed);
            if (strcmp(methods[i], "HEAD") != 0)
                assert_string_equal(answer.body, "{\"detail\": \"Method Not Allowed\"}");
        }
    }
}

static void test_head(void **state)
{
    Fixture *f = *state;
    CLEANUP(answer_done) Answer get = {0}, head = {0};

    fixture_publish(f, true, 5);
    get = fixture_ask(f, "GET", "/folders", NULL);
    head = fixture_ask(f, "HEAD", "/folders", NULL);
    assert_int_equal(head.status, 200);
    assert_int_equal(head.length, get.length);
    assert_string_equal(answer_header(&head, "Content-Type"), "application/json");
    answer_done(&head);
    head = fixture_ask(f, "HEAD", "/nothing", NULL);
    assert_int_equal(head.status, 404);
}

static void test_not_found(void **state)
{
    static const char *const targets[] = {
        "/nothing",
        "/health/x",
        "//health",
        "/health//",
        "/%68ealth",
        "/health%00",
        "/health%2f",
        "/..",
        "/../health",
        "/x/../health",
        "/./health",
        "/health;x",
        "/~",
        "/api/v1/problems",
        "/api/v1/x/",
        "/etc/passwd",
        "/index.html",
        "/.htpasswd",
        "/watcher",
        "/watcher/",
        "/shutdown.json",
        "/SHUTDOWN",
        "/health%0d%0aX:%20y",
    };
    Fixture *f = *state;

    for (size_t i = 0; i < sizeof(targets) / sizeof(*targets); i++) {
        fixture_error(f, "GET", targets[i], NULL, 404, "Not Found");
        fixture_error(f, "POST", targets[i], NULL, 404, "Not Found");
    }
    assert_int_equal(fixture_asked_all(f), 0);
}

static void expect_redirect(Fixture *f, const char *method, const char *from, const char *to)
{
    CLEANUP(answer_done) Answer answer = fixture_ask(f, method, from, NULL);

    assert_int_equal(answer.status, 307);
    assert_string_equal(answer_header(&answer, "Location"), to);
}

static void test_redirect(void **state)
{
    Fixture *f = *state;

    expect_redirect(f, "GET", "/health/", "/health");
    expect_redirect(f, "POST", "/watcher/restart/", "/watcher/restart");
    expect_redirect(f, "GET", "/api/v1/folders/", "/api/v1/folders");
    expect_redirect(f, "GET", "/watcher/settle/?timeout_ms=5", "/watcher/settle?timeout_ms=5");
    assert_int_equal(fixture_asked_all(f), 0);
}

int main(void)
{
#define ROUTE_TEST(test) cmocka_unit_test_setup_teardown(test, fixture_setup, fixture_teardown)
#define ROUTE_TEST_TOKEN(test)                                                                     \
    {                                                                                              \
#test, test, fixture_setup, fixture_teardown, token                                        \
    }
    char token[] = "token";
    const struct CMUnitTest tests[] = {
        ROUTE_TEST(test_root),          ROUTE_TEST(test_health),
        ROUTE_TEST(test_folders),       ROUTE_TEST(test_watcher_status),
        ROUTE_TEST(test_detail),        ROUTE_TEST(test_metrics),
        ROUTE_TEST(test_control),       ROUTE_TEST(test_no_answer),
        ROUTE_TEST(test_folder_status), ROUTE_TEST(test_texts),
        ROUTE_TEST(test_settle),        ROUTE_TEST(test_shutdown),
        ROUTE_TEST_TOKEN(test_token),   ROUTE_TEST_TOKEN(test_token_odd_files),
        ROUTE_TEST(test_methods),       ROUTE_TEST(test_head),
        ROUTE_TEST(test_not_found),     ROUTE_TEST(test_redirect),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
