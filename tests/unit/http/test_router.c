/* The router, request bodies, queries and addresses: everything that needs no socket. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <string.h>

#include "http/address.h"
#include "http/handlers.h"

static void test_find(void **state)
{
    static const struct {
        const char *path;
        const char *route; /* NULL: unknown */
    } table[] = {
        {"/", "/"},
        {"/health", "/health"},
        {"/folders", "/folders"},
        {"/folders/status", "/folders/status"},
        {"/watcher/settle", "/watcher/settle"},
        {"/api/v1", "/"},
        {"/api/v1/", "/"},
        {"/api/v1/health", "/health"},
        {"/api/v1/folders/status", "/folders/status"},
        {"/api/v1/watcher/restart", "/watcher/restart"},
        {"/api/v1/shutdown", "/shutdown"},
        {"/api/v1/watcher/settle", NULL},
        {"/api/v1/problems", NULL},
        {"/api/v1/debug/counters", NULL},
        {"/metrics", "/metrics"},
        {"/api/v1/metrics", NULL},
        {"/api/v1/api/v1/health", NULL},
        {"/api/v1health", NULL},
        {"/api/v2/health", NULL},
        {"/api", NULL},
        {"", NULL},
        {"*", NULL},
        {"health", NULL},
        {"//", NULL},
        {"//health", NULL},
        {"/health/", NULL},
        {"/Health", NULL},
        {"/healthy", NULL},
        {"/heal", NULL},
        {"/%68ealth", NULL},
        {"/health%00", NULL},
        {"/x/../health", NULL},
        {"/./health", NULL},
        {"/..", NULL},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++) {
        const Route *route = router_find(http_routes, table[i].path);
        const char *found = route ? route->path : NULL;

        if ((found == NULL) != (table[i].route == NULL) ||
            (found && strcmp(found, table[i].route) != 0))
            fail_msg("%s: %s", table[i].path, found ? found : "unknown");
    }
}

static HttpBody body_of(const char *n1, const char *v1, const char *n2, const char *v2)
{
    HttpRequest request = {.method = "POST", .version = "1.1"};

    if (n1)
        request.headers[request.n_headers++] = (HttpHeader){n1, v1};
    if (n2)
        request.headers[request.n_headers++] = (HttpHeader){n2, v2};
    return http_request_body(&request);
}

static void test_body(void **state)
{
    static const char cl[] = "content-length", te[] = "Transfer-Encoding";

    (void)state;
    assert_int_equal(body_of(NULL, NULL, NULL, NULL), HTTP_BODY_NONE);
    assert_int_equal(body_of(cl, "0", NULL, NULL), HTTP_BODY_NONE);
    assert_int_equal(body_of(cl, "5", NULL, NULL), HTTP_BODY_PRESENT);
    assert_int_equal(body_of(cl, "65536", NULL, NULL), HTTP_BODY_PRESENT);
    assert_int_equal(body_of(cl, "65537", NULL, NULL), HTTP_BODY_TOO_LARGE);
    assert_int_equal(body_of(cl, "99999999999999999999999999", NULL, NULL), HTTP_BODY_TOO_LARGE);
    assert_int_equal(body_of(cl, "18446744073709551617", NULL, NULL), HTTP_BODY_TOO_LARGE);
    assert_int_equal(body_of(cl, "", NULL, NULL), HTTP_BODY_INVALID);
    assert_int_equal(body_of(cl, "-1", NULL, NULL), HTTP_BODY_INVALID);
    assert_int_equal(body_of(cl, "+5", NULL, NULL), HTTP_BODY_INVALID);
    assert_int_equal(body_of(cl, "5, 5", NULL, NULL), HTTP_BODY_INVALID);
    assert_int_equal(body_of(cl, "5x", NULL, NULL), HTTP_BODY_INVALID);
    assert_int_equal(body_of(cl, "0x5", NULL, NULL), HTTP_BODY_INVALID);
    assert_int_equal(body_of(cl, "5", cl, "5"), HTTP_BODY_INVALID);
    assert_int_equal(body_of(cl, "5", te, "chunked"), HTTP_BODY_INVALID);
    assert_int_equal(body_of(te, "Chunked", NULL, NULL), HTTP_BODY_PRESENT);
    assert_int_equal(body_of(te, "gzip, chunked", NULL, NULL), HTTP_BODY_INVALID);
    assert_int_equal(body_of(te, "identity", NULL, NULL), HTTP_BODY_INVALID);
    assert_int_equal(body_of(te, "chunked", te, "chunked"), HTTP_BODY_INVALID);
}

static bool kept_alive(const char *version, const char *connection)
{
    HttpRequest request = {.method = "GET", .version = version};

    if (connection)
        request.headers[request.n_headers++] = (HttpHeader){"Connection", connection};
    return http_request_keep_alive(&request);
}

static void test_keep_alive(void **state)
{
    (void)state;
    assert_true(kept_alive("1.1", NULL));
    assert_false(kept_alive("1.0", NULL));
    assert_true(kept_alive("1.0", "Keep-Alive"));
    assert_true(kept_alive("1.1", "TE, keep-alive"));
    assert_false(kept_alive("1.1", "close"));
    assert_false(kept_alive("1.1", "keep-alive, close"));
    assert_false(kept_alive("1.1", "keep-aliveness"));
    assert_false(kept_alive("1.1", ""));
}

static void test_settle_timeout(void **state)
{
    static const struct {
        const char *query;
        long ms; /* -1: refused */
    } table[] = {
        {NULL, 10000},
        {"", 10000},
        {"other=1", 10000},
        {"timeout_ms=0", 0},
        {"timeout_ms=120000", 120000},
        {"a=b&timeout_ms=00500&c", 500},
        {"&&timeout_ms=7&&", 7},
        {"xtimeout_ms=7", 10000},
        {"timeout_msx=7", 10000},
        {"timeout_ms=120001", -1},
        {"timeout_ms=9999999999999999999999", -1},
        {"timeout_ms=", -1},
        {"timeout_ms", -1},
        {"timeout_ms=-1", -1},
        {"timeout_ms=+1", -1},
        {"timeout_ms=1.5", -1},
        {"timeout_ms=1 ", -1},
        {"timeout_ms=%31", -1},
        {"timeout_ms=1=2", -1},
        {"timeout_ms=1&timeout_ms=1", -1},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++) {
        uint64_t ms = 0;
        bool taken = http_settle_timeout(table[i].query, &ms);

        if (taken != (table[i].ms >= 0) || (taken && ms != (uint64_t)table[i].ms))
            fail_msg("%s: %d %lu", table[i].query ? table[i].query : "none", taken,
                     (unsigned long)ms);
    }
}

static void test_address(void **state)
{
    static const struct {
        const char *listen;
        const char *ip; /* NULL: refused */
        unsigned port;
    } table[] = {
        {"localhost:52124", "127.0.0.1", 52124},
        {"LOCALHOST:0", "127.0.0.1", 0},
        {"127.0.0.1:65535", "127.0.0.1", 65535},
        {"127.8.9.1:80", "127.8.9.1", 80},
        {"[::1]:52124", "::1", 52124},
        {"", NULL, 0},
        {"localhost", NULL, 0},
        {"localhost:", NULL, 0},
        {":52124", NULL, 0},
        {"52124", NULL, 0},
        {"localhost:65536", NULL, 0},
        {"localhost:123456", NULL, 0},
        {"localhost:-1", NULL, 0},
        {"localhost:80s", NULL, 0},
        {"localhost:80,8080", NULL, 0},
        {"127.0.0.1:80,0.0.0.0:80", NULL, 0},
        {"::1:80", NULL, 0},
        {"[::1:80", NULL, 0},
        {"[::]:80", NULL, 0},
        {"[fe80::1]:80", NULL, 0},
        {"0.0.0.0:80", NULL, 0},
        {"192.168.1.1:80", NULL, 0},
        {"128.0.0.1:80", NULL, 0},
        {"example.org:80", NULL, 0},
        {"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa:80", NULL, 0},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++) {
        HttpAddress address = {0};
        const char *problem = http_address_parse(table[i].listen, &address);
        char ip[INET6_ADDRSTRLEN] = "";

        if ((problem == NULL) != (table[i].ip != NULL))
            fail_msg("%s: %s", table[i].listen, problem ? problem : "taken");
        if (problem)
            continue;
        if (address.ip.any.sa_family == AF_INET)
            (void)inet_ntop(AF_INET, &address.ip.v4.sin_addr, ip, sizeof(ip));
        else
            (void)inet_ntop(AF_INET6, &address.ip.v6.sin6_addr, ip, sizeof(ip));
        assert_string_equal(ip, table[i].ip);
        assert_int_equal(address.port, table[i].port);
    }
}

static void test_address_with(void **state)
{
    HttpAddress address, v6;

    (void)state;
    assert_null(http_address_parse("localhost:0", &address));
    assert_true(address.is_localhost);
    assert_int_equal(http_address_with(&address, 99, false).ip.v4.sin_port, htons(99));
    v6 = http_address_with(&address, 99, true);
    assert_int_equal(v6.ip.any.sa_family, AF_INET6);
    assert_int_equal(v6.ip.v6.sin6_port, htons(99));
    assert_true(IN6_IS_ADDR_LOOPBACK(&v6.ip.v6.sin6_addr));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_find),       cmocka_unit_test(test_body),
        cmocka_unit_test(test_keep_alive), cmocka_unit_test(test_settle_timeout),
        cmocka_unit_test(test_address),    cmocka_unit_test(test_address_with),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
