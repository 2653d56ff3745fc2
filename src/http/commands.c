/* The routes that make the engine do something, and the one that waits for it. */

#include <stdlib.h>
#include <string.h>

#include "http/handlers.h"
#include "util/clock.h"

/* PictoPy's backend waits 30 s for a restart, so the answer must be on its way before that. */
#define RESTART_TIMEOUT (25 * CLOCK_US_PER_SEC)
#define CONTROL_TIMEOUT (2 * CLOCK_US_PER_SEC)

#define SETTLE_DEFAULT_MS 10000
#define SETTLE_MAX_MS     120000

static const char no_answer[] = "The service did not answer in time";
static const char going_down[] = "The service is busy or going down";

static void watcher_answer(HttpContext *context, bool success, const char *message,
                           HttpResponse *response)
{
    http_response_json(response, 200,
                       json_pack("{s:b, s:s, s:o}", "success", success, "message", message,
                                 "watcher_info", http_watcher_info(context)));
}

/* restart, start and stop: a refusal is an answer like any other, status 200 (PictoPy's way). */
static void control(HttpContext *context, CallKind kind, const char *argument, uint64_t timeout_us,
                    const char *done, const char *failed, HttpResponse *response)
{
    CLEANUP_FREE char *text = NULL;
    CallResult result;

    if (!http_ask(context, &(HttpQuestion){HTTP_GATE_CONTROL, kind, argument, timeout_us}, response,
                  &result, &text))
        return;
    switch (result) {
    case CALL_RESULT_OK:
        watcher_answer(context, true, text ? text : done, response);
        break;
    case CALL_RESULT_REFUSED:
    case CALL_RESULT_FAILED:
        watcher_answer(context, false, text ? text : failed, response);
        break;
    case CALL_RESULT_NONE:
        http_response_detail(response, 503, "%s", no_answer);
        break;
    case CALL_RESULT_CLOSED:
        http_response_detail(response, 503, "%s", going_down);
        break;
    }
}

/* http_post_restart() - POST /watcher/restart: the folders table is read again */
void http_post_restart(HttpContext *context, const HttpRequest *request UNUSED,
                       HttpResponse *response)
{
    control(context, CALL_RESTART, NULL, RESTART_TIMEOUT, "Watcher restarted successfully",
            "Failed to restart watcher", response);
}

static int hex(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

/* Undoes %XX in place; false for what is no such escape, and for a zero byte. */
static bool unescape(char *text)
{
    char *to = text;

    for (const char *at = text; *at; at++) {
        if (*at != '%') {
            *to++ = *at;
            continue;
        }
        if (hex(at[1]) < 0 || hex(at[2]) < 0 || (hex(at[1]) == 0 && hex(at[2]) == 0))
            return false;
        *to++ = (char)(hex(at[1]) * 16 + hex(at[2]));
        at += 2;
    }
    *to = '\0';
    return true;
}

/*
 * http_rescan_path() - reads path from a query
 * @query: "name=value&…", may be NULL; other names are passed over
 * @ret_path: the path, the caller's to free; NULL when there is none
 *
 * Returns false when it is not an absolute path, not escaped as it should be, or there twice.
 */
bool http_rescan_path(const char *query, char **ret_path)
{
    CLEANUP_FREE char *path = NULL;

    while (query && *query) {
        size_t length = strcspn(query, "&");

        if (strncmp(query, "path=", 5) == 0) {
            if (path)
                return false;
            path = strndup(query + 5, length - 5);
            if (!path || !unescape(path) || path[0] != '/')
                return false;
        }
        query += length + (query[length] == '&');
    }
    *ret_path = STEAL_PTR(path);
    return true;
}

/* http_post_rescan() - POST /watcher/rescan: everything, or ?path=…, is compared with the disk */
void http_post_rescan(HttpContext *context, const HttpRequest *request, HttpResponse *response)
{
    CLEANUP_FREE char *path = NULL;

    if (!http_rescan_path(request->query, &path)) {
        http_response_detail(response, 400, "path must be one absolute path, percent-encoded");
        return;
    }
    control(context, CALL_RESCAN, path, CONTROL_TIMEOUT, "Rescan started", "Failed to rescan",
            response);
}

/* http_post_confirm() - POST /folders/{folder_id}/confirm: removals that are held back may go on */
void http_post_confirm(HttpContext *context, const HttpRequest *request, HttpResponse *response)
{
    const Route *route = router_find(http_routes, request->path);
    CLEANUP_FREE char *id = route ? router_component(route, request->path) : NULL;

    control(context, CALL_CONFIRM, id, CONTROL_TIMEOUT, "Removal confirmed", "Failed to confirm",
            response);
}

/* http_post_start() - POST /watcher/start */
void http_post_start(HttpContext *context, const HttpRequest *request UNUSED,
                     HttpResponse *response)
{
    control(context, CALL_START, NULL, CONTROL_TIMEOUT, "Watcher started successfully",
            "Failed to start watcher", response);
}

/* http_post_stop() - POST /watcher/stop */
void http_post_stop(HttpContext *context, const HttpRequest *request UNUSED, HttpResponse *response)
{
    control(context, CALL_STOP, NULL, CONTROL_TIMEOUT, "Watcher stopped successfully",
            "Failed to stop watcher", response);
}

/* http_post_shutdown() - POST /shutdown: the daemon ends once this answer is written */
void http_post_shutdown(HttpContext *context, const HttpRequest *request, HttpResponse *response)
{
    CLEANUP_FREE char *text = NULL;
    CallResult result;

    if (!http_token_check(context->shutdown_token_file, request, response))
        return;
    if (!http_ask(context, &(HttpQuestion){HTTP_GATE_CONTROL, CALL_SHUTDOWN, NULL, CONTROL_TIMEOUT},
                  response, &result, &text))
        return;
    if (result == CALL_RESULT_OK)
        http_response_json(response, 200,
                           json_pack("{s:s, s:s}", "status", "shutting_down", "message",
                                     text ? text : "The sync service is shutting down"));
    else
        http_response_detail(response, 503, "%s",
                             result == CALL_RESULT_CLOSED ? going_down
                             : text                       ? text
                                                          : no_answer);
}

static bool parse_ms(const char *text, size_t length, uint64_t *ret_ms)
{
    uint64_t ms = 0;

    if (length == 0 || length > 6)
        return false;
    for (size_t i = 0; i < length; i++) {
        if (text[i] < '0' || text[i] > '9')
            return false;
        ms = ms * 10 + (uint64_t)(text[i] - '0');
    }
    if (ms > SETTLE_MAX_MS)
        return false;
    *ret_ms = ms;
    return true;
}

/*
 * http_settle_timeout() - reads timeout_ms from a query
 * @query: "name=value&…", may be NULL; other names are passed over
 * @ret_ms: milliseconds
 *
 * Returns false when the value is not a plain number of 0 … 120000, or is there twice.
 */
bool http_settle_timeout(const char *query, uint64_t *ret_ms)
{
    static const char name[] = "timeout_ms";
    uint64_t ms = SETTLE_DEFAULT_MS;
    bool found = false;

    while (query && *query) {
        size_t length = strcspn(query, "&");
        size_t n = strcspn(query, "=&");

        if (n == strlen(name) && memcmp(query, name, n) == 0) {
            size_t skip = n < length ? n + 1 : n;

            if (found || !parse_ms(query + skip, length - skip, &ms))
                return false;
            found = true;
        }
        query += length + (query[length] == '&');
    }
    *ret_ms = ms;
    return true;
}

/* http_get_settle() - GET /watcher/settle: 200 once all that happened before it is committed */
void http_get_settle(HttpContext *context, const HttpRequest *request, HttpResponse *response)
{
    CLEANUP_FREE char *text = NULL;
    uint64_t start = clock_now(), ms;
    CallResult result;

    if (!http_settle_timeout(request->query, &ms)) {
        http_response_detail(response, 400, "timeout_ms must be a number from 0 to %d",
                             SETTLE_MAX_MS);
        return;
    }
    if (!http_ask(context,
                  &(HttpQuestion){HTTP_GATE_SETTLE, CALL_SETTLE, NULL, ms * CLOCK_US_PER_MS},
                  response, &result, &text))
        return;
    if (result == CALL_RESULT_OK)
        http_response_json(response, 200,
                           json_pack("{s:b, s:I}", "settled", true, "waited_ms",
                                     (json_int_t)((clock_now() - start) / CLOCK_US_PER_MS)));
    else if (result == CALL_RESULT_NONE)
        http_response_detail(response, 504, "Not settled within %llu ms", (unsigned long long)ms);
    else
        http_response_detail(response, 503, "%s", text ? text : going_down);
}
