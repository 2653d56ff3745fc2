/* What comes over the wire, well formed or not: the guard, CORS, bodies, connections. */

#include "fixture.h"

/* Sends a text in which %u is the port; the answer must have that status (0: none at all). */
static Answer expect_raw(Fixture *f, const char *text, int status)
{
    CLEANUP_FREE char *request = NULL;
    const char *mark = strstr(text, "%u");
    Answer answer;

    if (mark)
        assert_true(asprintf(&request, "%.*s%u%s", (int)(mark - text), text, f->port, mark + 2) >
                    0);
    answer = fixture_raw(f, request ? request : text, strlen(request ? request : text));
    if (answer.status != status)
        fail_msg("%d instead of %d: %s", answer.status, status, text);
    if (status >= 400) {
        json_t *json = json_loadb(answer.body, answer.length, 0, NULL);

        assert_string_equal(answer_header(&answer, "Content-Type"), "application/json");
        assert_int_equal(json_object_size(json), 1);
        assert_non_null(json_string_value(json_object_get(json, "detail")));
        json_decref(json);
    }
    return answer;
}

static void expect_status(Fixture *f, const char *text, int status)
{
    Answer answer = expect_raw(f, text, status);

    answer_done(&answer);
}

#define POST "POST /shutdown HTTP/1.1\r\n"
#define HOST "Host: localhost:%u\r\n"

/* None of these may reach the engine. */
static void test_guard(void **state)
{
    static const char *const refused[] = {
        POST "\r\n",
        POST "Host:\r\n\r\n",
        POST "Host: localhost\r\n\r\n",
        POST "Host: evil.example:%u\r\n\r\n",
        POST "host: EVIL.example\r\n\r\n",
        POST HOST "Host: localhost\r\n\r\n",
        POST HOST "Origin: http://evil.example\r\n\r\n",
        POST HOST "ORIGIN: null\r\n\r\n",
        POST HOST "Origin:\r\n\r\n",
        POST HOST "Origin: " ORIGIN "\r\nOrigin: http://evil.example\r\n\r\n",
        POST HOST "Origin: http://evil.example\r\nOrigin: " ORIGIN "\r\n\r\n",
        POST HOST "Sec-Fetch-Site: cross-site\r\n\r\n",
        POST HOST "Origin: http://evil.example\r\nContent-Length: 3\r\n\r\nabc",
        "POST http://evil.example:%u/shutdown HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "PUT /shutdown HTTP/1.1\r\n" HOST "Origin: http://evil.example\r\n\r\n",
        "DELETE /nothing HTTP/1.1\r\n" HOST "Origin: http://evil.example\r\n\r\n",
        "GET /watcher/settle HTTP/1.1\r\nHost: evil.example:%u\r\n\r\n",
        "GET /health HTTP/1.0\r\nHost: evil.example:%u\r\n\r\n",
        "OPTIONS /shutdown HTTP/1.1\r\n" HOST "Origin: http://evil.example\r\n"
        "Access-Control-Request-Method: POST\r\n\r\n",
    };
    Fixture *f = *state;

    for (size_t i = 0; i < sizeof(refused) / sizeof(*refused); i++) {
        CLEANUP(answer_done) Answer answer = expect_raw(f, refused[i], 403);

        assert_null(answer_header(&answer, "Access-Control-Allow-Origin"));
        assert_string_equal(answer_header(&answer, "Vary"), "Origin");
    }
    assert_int_equal(fixture_asked_all(f), 0);
    expect_status(f, POST "Host: 127.0.0.1:%u\r\nOrigin: " ORIGIN "\r\n\r\n", 200);
    expect_status(f, POST "Host: [::1]:%u\r\n\r\n", 200);
    expect_status(f, "POST http://localhost:%u/shutdown HTTP/1.1\r\n\r\n", 403); /* no Host */
    assert_int_equal(fixture_asked_all(f), 2);
}

static void test_absolute(void **state)
{
    Fixture *f = *state;
    CLEANUP_FREE char *request = NULL;

    fixture_publish(f, true, 1);
    assert_true(asprintf(&request,
                         "GET http://localhost:%u/health?x HTTP/1.1\r\nHost: 127.0.0.1:%u\r\n\r\n",
                         f->port, f->port) > 0);
    expect_status(f, request, 200);
    /* For another port, or for no path at all: closed without an answer. */
    expect_status(f, "GET http://evil.example/health HTTP/1.1\r\n" HOST "\r\n", 0);
    expect_status(f, "GET http://localhost:1/health HTTP/1.1\r\n" HOST "\r\n", 0);
    expect_status(f, "OPTIONS * HTTP/1.1\r\n" HOST "\r\n", 0);
    expect_status(f, "CONNECT localhost:%u HTTP/1.1\r\nHost: x\r\n\r\n", 400);
}

static void test_cors(void **state)
{
    Fixture *f = *state;
    CLEANUP(answer_done) Answer ours = {0}, error = {0}, foreign = {0}, none = {0};

    fixture_publish(f, true, 1);
    ours = fixture_ask(f, "GET", "/health", "Origin: http://localhost:1420\r\n");
    assert_int_equal(ours.status, 200);
    assert_string_equal(answer_header(&ours, "Access-Control-Allow-Origin"),
                        "http://localhost:1420");
    assert_string_equal(answer_header(&ours, "Access-Control-Allow-Credentials"), "true");
    assert_string_equal(answer_header(&ours, "Vary"), "Origin");
    error = fixture_ask(f, "GET", "/nothing", "Origin: " ORIGIN "\r\n");
    assert_int_equal(error.status, 404); /* the page may read errors as well */
    assert_string_equal(answer_header(&error, "Access-Control-Allow-Origin"), ORIGIN);
    foreign = fixture_ask(f, "GET", "/health", "Origin: http://evil.example\r\n");
    assert_int_equal(foreign.status, 200);
    assert_null(answer_header(&foreign, "Access-Control-Allow-Origin"));
    assert_null(answer_header(&foreign, "Access-Control-Allow-Credentials"));
    assert_string_equal(answer_header(&foreign, "Vary"), "Origin");
    none = fixture_ask(f, "GET", "/health", NULL);
    assert_null(answer_header(&none, "Access-Control-Allow-Origin"));
    assert_string_equal(answer_header(&none, "Vary"), "Origin");
}

#define PREFLIGHT "Origin: " ORIGIN "\r\nAccess-Control-Request-Method: POST\r\n"

static void test_preflight(void **state)
{
    static const char *const bad_lists[] = {"a\"b", "a(b)", "a: b", "<x>", "caf\xc3\xa9", ""};
    Fixture *f = *state;
    CLEANUP(answer_done) Answer plain = {0}, with = {0}, unknown = {0};

    plain = fixture_ask(f, "OPTIONS", "/shutdown", PREFLIGHT);
    assert_int_equal(plain.status, 200);
    assert_string_equal(answer_header(&plain, "Access-Control-Allow-Origin"), ORIGIN);
    assert_string_equal(answer_header(&plain, "Access-Control-Allow-Credentials"), "true");
    assert_string_equal(answer_header(&plain, "Access-Control-Allow-Methods"),
                        "GET, HEAD, POST, OPTIONS");
    assert_string_equal(answer_header(&plain, "Access-Control-Max-Age"), "600");
    assert_null(answer_header(&plain, "Access-Control-Allow-Headers"));
    with = fixture_ask(f, "OPTIONS", "/watcher/restart",
                       PREFLIGHT "Access-Control-Request-Headers: content-type, X-Y\r\n");
    assert_int_equal(with.status, 200);
    assert_string_equal(answer_header(&with, "Access-Control-Allow-Headers"), "content-type, X-Y");
    for (size_t i = 0; i < sizeof(bad_lists) / sizeof(*bad_lists); i++) {
        CLEANUP_FREE char *headers = NULL;
        CLEANUP(answer_done) Answer answer = {0};

        assert_true(asprintf(&headers, PREFLIGHT "Access-Control-Request-Headers: %s\r\n",
                             bad_lists[i]) > 0);
        answer = fixture_ask(f, "OPTIONS", "/shutdown", headers);
        assert_int_equal(answer.status, 200);
        assert_null(answer_header(&answer, "Access-Control-Allow-Headers"));
    }
    unknown = fixture_ask(f, "OPTIONS", "/nothing", PREFLIGHT);
    assert_int_equal(unknown.status, 200);
    /* Without the preflight's headers it is a method like any other. */
    fixture_error(f, "OPTIONS", "/shutdown", "Origin: " ORIGIN "\r\n", 405, NULL);
    fixture_error(f, "OPTIONS", "/shutdown", "Access-Control-Request-Method: POST\r\n", 405, NULL);
    fixture_error(f, "OPTIONS", "/nothing", NULL, 404, NULL);
    assert_int_equal(fixture_asked_all(f), 0);
}

static void test_malformed(void **state)
{
    static const char *const malformed[] = {
        "\x01\x02\x03\r\n\r\n",
        "GET\r\n\r\n",
        "GET /health\r\n\r\n",
        "GET /health FTP/1.1\r\n" HOST "\r\n",
        "GET  HTTP/1.1\r\n" HOST "\r\n",
        "BREW /health HTTP/1.1\r\n" HOST "\r\n",
        "TRACE /health HTTP/1.1\r\n" HOST "\r\n",
        "get /health HTTP/1.1\r\n" HOST "\r\n",
        "GET health HTTP/1.1\r\n" HOST "\r\n",
        "GET /h\xc3\xa4 HTTP/1.1\r\n" HOST "\r\n",
        "GET /health HTTP/1.1\r\nHost localhost\r\n\r\n",
        "GET /health HTTP/1.1\r\n" HOST "X: a\rY: b\r\n\r\n",
        "POST /shutdown HTTP/1.1\r\n" HOST "Transfer-Encoding: gzip, chunked\r\n\r\n",
        "POST /shutdown HTTP/1.1\r\n" HOST "Content-Length: 5, 5\r\n\r\nabcde",
        "POST /shutdown HTTP/1.1\r\n" HOST "Content-Length: 5\r\nContent-Length: 5\r\n\r\nabcde",
        "POST /shutdown HTTP/1.1\r\n" HOST
        "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    };
    Fixture *f = *state;

    for (size_t i = 0; i < sizeof(malformed) / sizeof(*malformed); i++)
        expect_status(f, malformed[i], 400);
    expect_status(f, "POST /shutdown HTTP/1.1\r\n" HOST "Content-Length: -5\r\n\r\n", 411);
    expect_status(f, "GET /health HTTP/2.0\r\n" HOST "\r\n", 505);
    expect_status(f, "GET /health HTTP/1.1\r\n" HOST "Content-Length: 99999999999\r\n\r\n", 413);
    {
        static const char zero[] = "GET /hea\0lth HTTP/1.1\r\n\r\n";
        Answer answer = fixture_raw(f, zero, sizeof(zero) - 1);

        assert_int_equal(answer.status, 400);
        answer_done(&answer);
    }
    assert_int_equal(fixture_asked_all(f), 0);
}

static void test_large(void **state)
{
    Fixture *f = *state;
    CLEANUP(text_done) Text line = {0}, many = {0};

    text_append(&line, "GET /");
    for (int i = 0; i < 20000; i++)
        text_append(&line, "x");
    text_append(&line, " HTTP/1.1\r\n\r\n");
    expect_status(f, line.data, 400); /* "Malformed message", says civetweb */
    text_printf(&many, POST "Host: localhost:%u\r\n", f->port);
    for (int i = 0; i < 63; i++)
        text_printf(&many, "X-%d: y\r\n", i);
    text_append(&many, "Origin: http://evil.example\r\n\r\n"); /* civetweb does not see this one */
    expect_status(f, many.data, 431);
    assert_int_equal(fixture_asked_all(f), 0);
}

static void expect_next(int fd, const char *request, int status, bool open)
{
    CLEANUP(answer_done) Answer answer = {0};

    fixture_send(fd, request, strlen(request));
    fixture_receive(fd, false, &answer);
    assert_int_equal(answer.status, status);
    assert_string_equal(answer_header(&answer, "Connection"), open ? "keep-alive" : "close");
}

static void expect_end(int fd)
{
    char byte;

    assert_true(recv(fd, &byte, 1, 0) <= 0);
    (void)close(fd);
}

/* Bodies are read and passed over; what follows is the next request. */
static void test_keep_alive(void **state)
{
    Fixture *f = *state;
    CLEANUP_FREE char *get = NULL, *length = NULL, *chunked = NULL, *last = NULL;
    int fd = fixture_connect(f->port);

    fixture_publish(f, true, 1);
    assert_true(asprintf(&get, "GET /health HTTP/1.1\r\nHost: localhost:%u\r\n\r\n", f->port) > 0);
    assert_true(asprintf(&length,
                         "POST /watcher/stop HTTP/1.1\r\nHost: localhost:%u\r\n"
                         "Content-Length: 24\r\n\r\nGET /x HTTP/1.1\r\n\r\n12345",
                         f->port) > 0);
    assert_true(
        asprintf(&chunked,
                 "POST /watcher/stop HTTP/1.1\r\nHost: localhost:%u\r\n"
                 "Transfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n10\r\n0123456789abcdef\r\n"
                 "0\r\n\r\n",
                 f->port) > 0);
    assert_true(asprintf(&last, "GET /health HTTP/1.0\r\nHost: localhost:%u\r\n\r\n", f->port) > 0);
    expect_next(fd, get, 200, true);
    expect_next(fd, length, 200, true);
    expect_next(fd, chunked, 200, true);
    expect_next(fd, get, 200, true);
    fixture_send(fd, get, strlen(get)); /* two at once */
    expect_next(fd, length, 200, true);
    {
        CLEANUP(answer_done) Answer second = {0};

        fixture_receive(fd, false, &second);
        assert_int_equal(second.status, 200);
    }
    expect_next(fd, last, 200, false);
    expect_end(fd);
    assert_int_equal(fixture_asked(f, CALL_STOP), 3);
}

/* The header first, the body later, as Python's http.client sends them. */
static void test_late_body(void **state)
{
    Fixture *f = *state;
    CLEANUP_FREE char *post = NULL;
    int fd = fixture_connect(f->port);

    assert_true(asprintf(&post,
                         "POST /watcher/stop HTTP/1.1\r\nHost: localhost:%u\r\n"
                         "Content-Type: application/json\r\nContent-Length: 4\r\n\r\n",
                         f->port) > 0);
    fixture_send(fd, post, strlen(post));
    (void)usleep(50000);
    expect_next(fd, "null", 200, true);
    (void)close(fd);
}

static void test_bodies_that_end_it(void **state)
{
    Fixture *f = *state;
    CLEANUP_FREE char *large = NULL, *broken = NULL, *twice = NULL, *expects = NULL;
    CLEANUP(text_done) Text endless = {0};
    int fd = fixture_connect(f->port);

    assert_true(asprintf(&large,
                         "POST /watcher/stop HTTP/1.1\r\nHost: localhost:%u\r\n"
                         "Content-Length: 65537\r\n\r\n",
                         f->port) > 0);
    expect_next(fd, large, 413, false);
    expect_end(fd);

    fd = fixture_connect(f->port);
    assert_true(asprintf(&broken,
                         "POST /watcher/stop HTTP/1.1\r\nHost: localhost:%u\r\n"
                         "Transfer-Encoding: chunked\r\n\r\nxyz\r\n",
                         f->port) > 0);
    expect_next(fd, broken, 400, false);
    expect_end(fd);

    fd = fixture_connect(f->port);
    text_printf(&endless,
                "POST /watcher/stop HTTP/1.1\r\nHost: localhost:%u\r\n"
                "Transfer-Encoding: chunked\r\n\r\n",
                f->port);
    for (int i = 0; i < 4097; i++) /* one byte more than 64 KiB is enough; so nothing is unread */
        text_append(&endless, i < 4096 ? "10\r\n0123456789abcdef\r\n" : "1\r\nx\r\n");
    expect_next(fd, endless.data, 413, false);
    expect_end(fd);
    assert_int_equal(fixture_asked(f, CALL_STOP), 0);

    fd = fixture_connect(f->port); /* where the next request begins is not known */
    assert_true(asprintf(&twice,
                         "POST /watcher/stop HTTP/1.1\r\nHost: localhost:%u\r\n"
                         "Content-Length: 5\r\nContent-Length: 5\r\n\r\nabcde"
                         "POST /shutdown HTTP/1.1\r\nHost: localhost:%u\r\n\r\n",
                         f->port, f->port) > 0);
    expect_next(fd, twice, 400, false);
    expect_end(fd);
    assert_int_equal(fixture_asked_all(f), 0);

    fd = fixture_connect(f->port); /* an early answer, and the body need not be sent */
    assert_true(asprintf(&expects,
                         "POST /watcher/stop HTTP/1.1\r\nHost: localhost:%u\r\n"
                         "Content-Length: 2000\r\nExpect: 100-continue\r\n\r\n",
                         f->port) > 0);
    expect_next(fd, expects, 200, false);
    expect_end(fd);
}

static void test_upgrade(void **state)
{
    Fixture *f = *state;

    fixture_publish(f, true, 1);
    expect_status(f,
                  "GET /health HTTP/1.1\r\n" HOST "Connection: Upgrade\r\nUpgrade: websocket\r\n"
                  "Sec-WebSocket-Key: x\r\nSec-WebSocket-Version: 13\r\n\r\n",
                  200);
}

int main(void)
{
#define WIRE_TEST(test) cmocka_unit_test_setup_teardown(test, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        WIRE_TEST(test_guard),      WIRE_TEST(test_absolute),  WIRE_TEST(test_cors),
        WIRE_TEST(test_preflight),  WIRE_TEST(test_malformed), WIRE_TEST(test_large),
        WIRE_TEST(test_keep_alive), WIRE_TEST(test_late_body), WIRE_TEST(test_bodies_that_end_it),
        WIRE_TEST(test_upgrade),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
