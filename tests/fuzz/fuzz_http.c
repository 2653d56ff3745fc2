/* Requests that anyone may send: what the guard and the router make of them must hold for all. The
 * input is a request as text, "METHOD target version" and header lines; no engine is asked. */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "http/address.h"
#include "http/handlers.h"
#include "util/cleanup.h"
#include "util/log.h"

#define ORIGINS "tauri://localhost http://localhost:1420"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Cuts a word off the text; "" at its end. */
static const char *take(char **text, const char *separators)
{
    char *word = strsep(text, separators);

    return word ? word : "";
}

/* As civetweb hands it over: no line breaks anywhere, the query cut off, the path a part of the
 * target. Only what it would let through comes to the guard. */
static bool parse(char *text, HttpRequest *request)
{
    char *line = strsep(&text, "\n");
    char *target, *path;

    request->method = take(&line, " ");
    target = line ? strsep(&line, " ") : NULL;
    request->version = line && strcmp(line, "1.0") == 0 ? "1.0" : "1.1";
    if (!target || !*target)
        return false;
    request->query = strchr(target, '?');
    if (request->query)
        target[request->query++ - target] = '\0';
    path = strstr(target, "://");
    path = *target == '/' ? target : path ? strchr(path + 3, '/') : NULL;
    request->target = target;
    request->path = path;
    while (text && request->n_headers < HTTP_HEADERS_MAX) {
        char *header = strsep(&text, "\n");
        const char *name = take(&header, ":");

        request->headers[request->n_headers++] = (HttpHeader){name, header ? header : ""};
    }
    return path != NULL;
}

static bool has_foreign_origin(const HttpRequest *request)
{
    for (size_t i = 0; i < request->n_headers; i++) {
        const char *value = request->headers[i].value;

        if (strcasecmp(request->headers[i].name, "Origin") == 0 &&
            strcmp(value, "tauri://localhost") != 0 && strcmp(value, "http://localhost:1420") != 0)
            return true;
    }
    return false;
}

/* What the guard is for, said once more in other words. */
static void check_verdict(const Guard *guard, const HttpRequest *request)
{
    GuardVerdict verdict = guard_check(guard, request);
    const char *host = http_request_header(request, "Host");

    if (verdict.refused)
        return;
    assert(!has_foreign_origin(request) || (http_request_is_safe(request) && !verdict.origin));
    assert(host || strcmp(request->version, "1.0") == 0);
    assert(!host || strcasestr(host, "localhost") || strstr(host, "127.") || strstr(host, "[::1]"));
    assert(!host || strstr(host, ":52124"));
    assert(!verdict.origin || strstr(ORIGINS, verdict.origin));
}

/* The message must be whole: no header line of the client's making, the length that of the body. */
static void check_message(const HttpRequest *request, const HttpResponse *response)
{
    CLEANUP(text_done) Text out = {0};
    const char *end;

    http_response_print(response, strcmp(request->method, "HEAD") == 0, false, &out);
    assert(!out.failed);
    end = strstr(out.data, "\r\n\r\n");
    assert(end && strncmp(out.data, "HTTP/1.1 ", 9) == 0);
    if (strcmp(request->method, "HEAD") == 0)
        assert(out.length == (size_t)(end + 4 - out.data));
    else
        assert(out.length == (size_t)(end + 4 - out.data) + response->body_length);
    for (const char *p = out.data; p < end; p++)
        assert(*p != '\n' || p[-1] == '\r');
}

static bool asks_the_engine(const char *path)
{
    const Route *route = router_find(http_routes, path);

    return route && (route->post || strstr(route->path, "settle") ||
                     strstr(route->path, "/status") || strcmp(route->path, "/problems") == 0 ||
                     strstr(route->path, "counters") || strcmp(route->path, "/metrics") == 0);
}

static void check_request(char *text)
{
    SnapshotBox *box = NULL;
    HttpRequest request = {0};
    HttpResponse response = {0};
    HttpContext context = {.guard = {.port = 52124, .origins = ORIGINS}, .shutdown_token_file = ""};
    uint64_t ms;

    if (!parse(text, &request))
        return;
    check_verdict(&context.guard, &request);
    (void)http_request_body(&request);
    (void)http_request_keep_alive(&request);
    if (http_settle_timeout(request.query, &ms))
        assert(ms <= 120000);
    /* Only a GET of these would wait for an engine; the router's way to them is the same. */
    if (asks_the_engine(request.path) || snapshot_box_create(&box) < 0)
        return;
    context.snapshots = box;
    http_answer(&context, &request, &response);
    assert(response.status >= 200 && response.status < 600 && response.body);
    check_message(&request, &response);
    http_response_done(&response);
    (void)snapshot_box_free(box);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP_FREE char *text = strndup((const char *)data, size);
    HttpAddress address;

    log_set_level((LogLevel)0);
    if (!text)
        return 0;
    if (!http_address_parse(text, &address))
        assert(address.port <= 65535 && address.length > 0);
    check_request(text);
    return 0;
}
