/*
 * Answers. A handler leaves a status, a body and perhaps a header; printing adds what every answer
 * has. The whole message is one text and is written at once, so Content-Length is always that of
 * the body and no client ever sees half a header.
 */

#include "http/response.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const char content_json[] = "application/json";

/* http_status_reason() - the reason phrase of the status codes that this service uses */
const char *http_status_reason(int status)
{
    switch (status) {
    case 200:
        return "OK";
    case 307:
        return "Temporary Redirect";
    case 400:
        return "Bad Request";
    case 401:
        return "Unauthorized";
    case 403:
        return "Forbidden";
    case 404:
        return "Not Found";
    case 405:
        return "Method Not Allowed";
    case 408:
        return "Request Timeout";
    case 411:
        return "Length Required";
    case 413:
        return "Content Too Large";
    case 431:
        return "Request Header Fields Too Large";
    case 500:
        return "Internal Server Error";
    case 503:
        return "Service Unavailable";
    case 504:
        return "Gateway Timeout";
    case 505:
        return "HTTP Version Not Supported";
    default:
        return "Error";
    }
}

/* http_response_header() - adds a header line; the value must hold no line break */
void http_response_header(HttpResponse *response, const char *name, const char *format, ...)
{
    char *value = NULL;
    va_list args;
    int n;

    va_start(args, format);
    n = vasprintf(&value, format, args);
    va_end(args);
    if (n < 0) {
        response->headers.failed = true;
        return;
    }
    text_printf(&response->headers, "%s: %s\r\n", name, value);
    free(value);
}

/*
 * http_response_body() - answers with any text
 * @type: of its content; borrowed
 * @body: taken over; NULL (memory ran out) becomes a 500
 */
void http_response_body(HttpResponse *response, int status, const char *type, char *body)
{
    static const char lost[] = "{\"detail\": \"Out of memory\"}";

    free(response->body);
    response->status = body ? status : 500;
    response->content_type = body ? type : content_json;
    response->body = body ? body : strdup(lost);
    response->body_length = response->body ? strlen(response->body) : 0;
}

/* http_response_text() - answers with a JSON text, which is taken over; NULL becomes a 500 */
void http_response_text(HttpResponse *response, int status, char *body)
{
    http_response_body(response, status, content_json, body);
}

/* http_response_json() - answers with a JSON value, whose reference is taken over */
void http_response_json(HttpResponse *response, int status, json_t *body)
{
    http_response_text(response, status, body ? json_dumps(body, 0) : NULL);
    json_decref(body);
}

/* http_response_detail() - answers {"detail": "…"}, the form that all errors have */
void http_response_detail(HttpResponse *response, int status, const char *format, ...)
{
    char *detail = NULL;
    va_list args;
    int n;

    va_start(args, format);
    n = vasprintf(&detail, format, args);
    va_end(args);
    http_response_json(response, status, n < 0 ? NULL : json_pack("{s:s}", "detail", detail));
    if (n >= 0)
        free(detail);
}

/* The names are spelled out because strftime(3) would translate them. */
static void print_date(Text *out)
{
    static const char days[7][4] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    static const char months[12][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                       "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    time_t now = time(NULL);
    struct tm tm;

    if (!gmtime_r(&now, &tm))
        return;
    text_printf(out, "Date: %s, %02d %s %04d %02d:%02d:%02d GMT\r\n", days[tm.tm_wday], tm.tm_mday,
                months[tm.tm_mon], tm.tm_year + 1900, tm.tm_hour, tm.tm_min, tm.tm_sec);
}

/*
 * http_response_print() - puts the message together
 * @response: the answer
 * @head_only: the request was HEAD: the same headers, no body
 * @keep_alive: the connection stays open
 * @out: the message is appended; marked failed when memory runs out
 *
 * no-store and nosniff because what is answered is private and is never a page; Vary because the
 * CORS headers depend on who asks.
 */
void http_response_print(const HttpResponse *response, bool head_only, bool keep_alive, Text *out)
{
    text_printf(out, "HTTP/1.1 %d %s\r\n", response->status, http_status_reason(response->status));
    print_date(out);
    text_printf(out, "Content-Type: %s\r\n", response->content_type);
    text_printf(out, "Content-Length: %zu\r\n", response->body_length);
    text_append(out, "Cache-Control: no-store\r\n"
                     "X-Content-Type-Options: nosniff\r\n"
                     "Vary: Origin\r\n");
    text_append_bytes(out, response->headers.data, response->headers.length);
    text_printf(out, "Connection: %s\r\n\r\n", keep_alive ? "keep-alive" : "close");
    if (!head_only)
        text_append_bytes(out, response->body, response->body_length);
    if (response->headers.failed)
        out->failed = true;
}

/* http_response_done() - frees what the answer holds */
void http_response_done(HttpResponse *response)
{
    text_done(&response->headers);
    free(response->body);
    *response = (HttpResponse){0};
}
