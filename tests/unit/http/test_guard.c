/* The guard, as a table. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "http/guard.h"

#define ORIGINS "tauri://localhost http://tauri.localhost\n\thttp://localhost:1420 "

static const Guard guard = {.port = 52124, .origins = ORIGINS};
static const Guard guard_80 = {.port = 80, .origins = ""};

static void test_host(void **state)
{
    static const struct {
        const char *host;
        bool ours;
    } table[] = {
        {"localhost:52124", true},
        {"LocalHost:52124", true},
        {"127.0.0.1:52124", true},
        {"127.255.255.255:52124", true},
        {"[::1]:52124", true},
        {"", false},
        {":52124", false},
        {"localhost", false}, /* that is port 80 */
        {"localhost:", false},
        {"localhost:80", false},
        {"localhost:52125", false},
        {"localhost:521240", false},
        {"localhost:52124 ", false},
        {"localhost:+52124", false},
        {"localhost:52124:52124", false},
        {"localhost.:52124", false},
        {"localhost.evil.example:52124", false},
        {"evil.example:52124", false},
        {"evil.example#localhost:52124", false},
        {"user@localhost:52124", false},
        {"localhost@evil.example:52124", false},
        {"xlocalhost:52124", false},
        {"127.0.0.1.nip.io:52124", false},
        {"127.0.0:52124", false},
        {"127.1:52124", false},
        {"127.0.0.:52124", false},
        {"127.0.0.1.:52124", false},
        {"127.0.0.256:52124", false},
        {"127.0.0.01:52124", false},
        {"127.0.0.0001:52124", false},
        {"0177.0.0.1:52124", false},
        {"127..0.1:52124", false},
        {"127.0.0.1.1:52124", false},
        {"128.0.0.1:52124", false},
        {"0.0.0.0:52124", false},
        {"10.0.0.1:52124", false},
        {"[::]:52124", false},
        {"[::1:52124", false},
        {"::1:52124", false},
        {"[::1]x:52124", false},
        {"[::ffff:127.0.0.1]:52124", false},
        {"[", false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++) {
        bool ours = guard_host_is_ours(&guard, table[i].host, strlen(table[i].host));

        if (ours != table[i].ours)
            fail_msg("%s: %d", table[i].host, ours);
    }
    assert_true(guard_host_is_ours(&guard_80, "localhost", 9));
    assert_true(guard_host_is_ours(&guard_80, "localhost:80", 12));
    assert_true(guard_host_is_ours(&guard_80, "[::1]", 5));
    assert_false(guard_host_is_ours(&guard_80, "localhost:", 10));
}

static void test_origin(void **state)
{
    (void)state;
    assert_true(guard_origin_is_allowed(&guard, "tauri://localhost"));
    assert_true(guard_origin_is_allowed(&guard, "http://tauri.localhost"));
    assert_true(guard_origin_is_allowed(&guard, "http://localhost:1420"));
    assert_false(guard_origin_is_allowed(&guard, ""));
    assert_false(guard_origin_is_allowed(&guard, "null"));
    assert_false(guard_origin_is_allowed(&guard, "*"));
    assert_false(guard_origin_is_allowed(&guard, "tauri://localhos"));
    assert_false(guard_origin_is_allowed(&guard, "tauri://localhost/"));
    assert_false(guard_origin_is_allowed(&guard, "TAURI://localhost"));
    assert_false(guard_origin_is_allowed(&guard, "http://localhost:14200"));
    assert_false(guard_origin_is_allowed(&guard, "tauri://localhost http://tauri.localhost"));
    assert_false(guard_origin_is_allowed(&guard_80, "tauri://localhost"));
    assert_false(guard_origin_is_allowed(&guard_80, ""));
}

#define HOST                                                                                       \
    {                                                                                              \
        "Host", "localhost:52124"                                                                  \
    }

/* A whole request; refused: must it be? origin: must the CORS headers name its origin? */
typedef struct Case {
    const char *name;
    const char *method;
    const char *target;
    const char *version;
    HttpHeader headers[4];
    bool refused;
    bool origin;
} Case;

static const Case cases[] = {
    {"plain", "GET", "/health", "1.1", {HOST}, false, false},
    {"plain post", "POST", "/shutdown", "1.1", {HOST}, false, false},
    {"no host", "GET", "/health", "1.1", {{0}}, true, false},
    {"no host, 1.0", "GET", "/health", "1.0", {{0}}, false, false},
    {"wrong host, 1.0", "GET", "/health", "1.0", {{"Host", "evil.example"}}, true, false},
    {"rebinding", "GET", "/health", "1.1", {{"host", "evil.example:52124"}}, true, false},
    {"two hosts", "GET", "/health", "1.1", {HOST, HOST}, true, false},
    {"absolute", "GET", "http://localhost:52124/health", "1.1", {HOST}, false, false},
    {"absolute, other", "GET", "http://evil:52124/health", "1.1", {HOST}, true, false},
    {"absolute, user", "GET", "http://localhost:52124@evil/", "1.1", {HOST}, true, false},
    {"absolute, host at odds",
     "GET",
     "http://localhost:52124/",
     "1.1",
     {{"Host", "evil"}},
     true,
     false},
    {"query with a scheme", "GET", "/health?u=http://evil/", "1.1", {HOST}, false, false},
    {"app get", "GET", "/health", "1.1", {HOST, {"ORIGIN", "tauri://localhost"}}, false, true},
    {"app post", "POST", "/shutdown", "1.1", {HOST, {"Origin", "tauri://localhost"}}, false, true},
    {"app post, cross-site",
     "POST",
     "/shutdown",
     "1.1",
     {HOST, {"Origin", "tauri://localhost"}, {"Sec-Fetch-Site", "cross-site"}},
     false,
     true},
    {"foreign get", "GET", "/health", "1.1", {HOST, {"Origin", "http://evil"}}, false, false},
    {"foreign head", "HEAD", "/health", "1.1", {HOST, {"Origin", "http://evil"}}, false, false},
    {"foreign options", "OPTIONS", "/", "1.1", {HOST, {"Origin", "http://evil"}}, false, false},
    {"foreign post", "POST", "/shutdown", "1.1", {HOST, {"Origin", "http://evil"}}, true, false},
    {"foreign put", "PUT", "/", "1.1", {HOST, {"Origin", "http://evil"}}, true, false},
    {"foreign delete", "DELETE", "/", "1.1", {HOST, {"origin", "http://evil"}}, true, false},
    {"null post", "POST", "/shutdown", "1.1", {HOST, {"Origin", "null"}}, true, false},
    {"empty origin post", "POST", "/shutdown", "1.1", {HOST, {"Origin", ""}}, true, false},
    {"own origin post",
     "POST",
     "/shutdown",
     "1.1",
     {HOST, {"Origin", "http://localhost:52124"}},
     true,
     false},
    {"two origins",
     "POST",
     "/shutdown",
     "1.1",
     {HOST, {"Origin", "tauri://localhost"}, {"Origin", "http://evil"}},
     true,
     false},
    {"two origins, get",
     "GET",
     "/",
     "1.1",
     {HOST, {"Origin", "tauri://localhost"}, {"Origin", "tauri://localhost"}},
     true,
     false},
    {"cross-site post",
     "POST",
     "/shutdown",
     "1.1",
     {HOST, {"Sec-Fetch-Site", "cross-site"}},
     true,
     false},
    {"cross-site get", "GET", "/", "1.1", {HOST, {"Sec-Fetch-Site", "cross-site"}}, false, false},
    {"same-origin post",
     "POST",
     "/shutdown",
     "1.1",
     {HOST, {"Sec-Fetch-Site", "same-origin"}},
     false,
     false},
    {"preflight",
     "OPTIONS",
     "/shutdown",
     "1.1",
     {HOST, {"Origin", "http://tauri.localhost"}, {"Access-Control-Request-Method", "POST"}},
     false,
     true},
    {"foreign preflight",
     "OPTIONS",
     "/shutdown",
     "1.1",
     {HOST, {"Origin", "http://evil"}, {"Access-Control-Request-Method", "POST"}},
     true,
     false},
};

static void test_check(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        const Case *c = &cases[i];
        HttpRequest request = {
            .method = c->method, .target = c->target, .path = c->target, .version = c->version};
        GuardVerdict verdict;

        while (request.n_headers < 4 && c->headers[request.n_headers].name) {
            request.headers[request.n_headers] = c->headers[request.n_headers];
            request.n_headers++;
        }
        verdict = guard_check(&guard, &request);
        if ((verdict.refused != NULL) != c->refused)
            fail_msg("%s: %s", c->name, verdict.refused ? verdict.refused : "let through");
        if (!verdict.refused && (verdict.origin != NULL) != c->origin)
            fail_msg("%s: origin %s", c->name, verdict.origin ? verdict.origin : "none");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_host),
        cmocka_unit_test(test_origin),
        cmocka_unit_test(test_check),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
