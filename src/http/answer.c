/* The way of a request: guard, CORS headers, preflight, router. */

#include <string.h>

#include "http/handlers.h"
#include "util/log.h"
#include "util/path.h"

#define ALLOWED_METHODS   "GET, HEAD, POST, OPTIONS"
#define PREFLIGHT_MAXAGE  "600" /* seconds, as FastAPI's CORSMiddleware has it */
#define ALLOW_HEADERS_MAX 1024

/* A list of header names: tokens (RFC 9110, 5.6.2), commas and blanks. */
static bool is_header_list(const char *text)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                  "!#$%&'*+-.^_`|~, \t";
    size_t length = strlen(text);

    return length > 0 && length <= ALLOW_HEADERS_MAX && strspn(text, allowed) == length;
}

/* The browser asks whether a page of an allowed origin may send what it is about to send. */
static void answer_preflight(const HttpRequest *request, HttpResponse *response)
{
    const char *wanted = http_request_header(request, "Access-Control-Request-Headers");

    http_response_header(response, "Access-Control-Allow-Methods", ALLOWED_METHODS);
    http_response_header(response, "Access-Control-Max-Age", PREFLIGHT_MAXAGE);
    if (wanted && is_header_list(wanted))
        http_response_header(response, "Access-Control-Allow-Headers", "%s", wanted);
    http_response_text(response, 200, strdup("\"OK\""));
}

static void log_refusal(const HttpRequest *request, const char *reason)
{
    CLEANUP_FREE char *target = path_escape(request->target);

    log_notice("Refused %s %s: %s", request->method, target ? target : "?", reason);
}

/*
 * http_answer() - answers one request
 * @context: the server's
 * @request: the request
 * @response: empty; filled in
 *
 * Any of the server's threads. May wait for the engine.
 */
void http_answer(HttpContext *context, const HttpRequest *request, HttpResponse *response)
{
    GuardVerdict verdict = guard_check(&context->guard, request);

    if (verdict.refused) {
        log_refusal(request, verdict.refused);
        http_response_detail(response, 403, "%s", verdict.refused);
        return;
    }
    if (verdict.origin) {
        http_response_header(response, "Access-Control-Allow-Origin", "%s", verdict.origin);
        http_response_header(response, "Access-Control-Allow-Credentials", "true");
    }
    if (http_request_is_preflight(request))
        answer_preflight(request, response);
    else
        router_serve(http_routes, context, request, response);
}
