/* What the layer wants to know about a request, free of the web server's own types. */

#include "http/request.h"

#include <string.h>
#include <strings.h>

/* http_request_count() - how many header lines have that name, in any letter case */
size_t http_request_count(const HttpRequest *request, const char *name)
{
    size_t count = 0;

    for (size_t i = 0; i < request->n_headers; i++)
        if (strcasecmp(request->headers[i].name, name) == 0)
            count++;
    return count;
}

/* http_request_header() - the value of a header; of several, the first; NULL when there is none */
const char *http_request_header(const HttpRequest *request, const char *name)
{
    for (size_t i = 0; i < request->n_headers; i++)
        if (strcasecmp(request->headers[i].name, name) == 0)
            return request->headers[i].value;
    return NULL;
}

/* http_request_is_safe() - a method that by its meaning changes nothing (RFC 9110, 9.2.1) */
bool http_request_is_safe(const HttpRequest *request)
{
    return strcmp(request->method, "GET") == 0 || strcmp(request->method, "HEAD") == 0 ||
           strcmp(request->method, "OPTIONS") == 0;
}

/* http_request_is_preflight() - a browser asking on behalf of a page (the Fetch standard, 4.8) */
bool http_request_is_preflight(const HttpRequest *request)
{
    return strcmp(request->method, "OPTIONS") == 0 && http_request_count(request, "Origin") > 0 &&
           http_request_count(request, "Access-Control-Request-Method") > 0;
}

/* Is word one of the comma-separated words of list? */
static bool list_has_word(const char *list, const char *word)
{
    size_t length = strlen(word);

    while (*list) {
        size_t n;

        list += strspn(list, ", \t");
        n = strcspn(list, ", \t");
        if (n == length && strncasecmp(list, word, n) == 0)
            return true;
        list += n;
    }
    return false;
}

/* http_request_keep_alive() - RFC 9112, 9.3, with civetweb's reading of it: an explicit Connection
 * header decides, else the version. */
bool http_request_keep_alive(const HttpRequest *request)
{
    const char *connection = http_request_header(request, "Connection");

    if (connection)
        return list_has_word(connection, "keep-alive") && !list_has_word(connection, "close");
    return strcmp(request->version, "1.1") == 0;
}

static HttpBody body_of_length(const char *length)
{
    size_t digits = strspn(length, "0123456789");
    unsigned long n = 0;

    if (digits == 0 || length[digits])
        return HTTP_BODY_INVALID;
    for (size_t i = 0; i < digits; i++) {
        n = n * 10 + (unsigned long)(length[i] - '0');
        if (n > HTTP_BODY_MAX)
            return HTTP_BODY_TOO_LARGE;
    }
    return n > 0 ? HTTP_BODY_PRESENT : HTTP_BODY_NONE;
}

/*
 * http_request_body() - whether a body follows, as far as the headers tell
 *
 * A length that two parties could read differently is invalid (RFC 9112, 6.3): several lengths, a
 * length beside a transfer coding, a transfer coding other than chunked, a length that is not a
 * plain number. What comes behind such a request must not be read as the next one.
 */
HttpBody http_request_body(const HttpRequest *request)
{
    size_t n_lengths = http_request_count(request, "Content-Length");
    size_t n_codings = http_request_count(request, "Transfer-Encoding");

    if (n_lengths + n_codings == 0)
        return HTTP_BODY_NONE;
    if (n_lengths + n_codings > 1)
        return HTTP_BODY_INVALID;
    if (n_codings > 0) {
        bool chunked =
            strcasecmp(http_request_header(request, "Transfer-Encoding"), "chunked") == 0;

        return chunked ? HTTP_BODY_PRESENT : HTTP_BODY_INVALID;
    }
    return body_of_length(http_request_header(request, "Content-Length"));
}
