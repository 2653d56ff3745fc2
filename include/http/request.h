#pragma once
/* One request, as the server hands it to the guard and the handlers. Everything is borrowed. */

#include <stdbool.h>
#include <stddef.h>

/* More header lines than this are refused (civetweb would silently drop the rest). */
#define HTTP_HEADERS_MAX 63

typedef struct HttpHeader {
    const char *name;
    const char *value;
} HttpHeader;

typedef struct HttpRequest {
    const char *method;
    const char *target;  /* as sent: "/path", or "http://host:port/path"; the query cut off */
    const char *path;    /* the target's path, not decoded */
    const char *query;   /* behind the question mark; NULL when there is none */
    const char *version; /* "1.0" or "1.1" */
    HttpHeader headers[HTTP_HEADERS_MAX];
    size_t n_headers;
} HttpRequest;

/* The value of the only header of that name (any letter case); NULL when there is none. */
const char *http_request_header(const HttpRequest *request, const char *name);
size_t http_request_count(const HttpRequest *request, const char *name);
bool http_request_is_safe(const HttpRequest *request); /* GET, HEAD or OPTIONS */
bool http_request_is_preflight(const HttpRequest *request);
/* Does the client want the connection to stay open? */
bool http_request_keep_alive(const HttpRequest *request);

typedef enum HttpBody {
    HTTP_BODY_NONE,
    HTTP_BODY_PRESENT,
    HTTP_BODY_TOO_LARGE,
    HTTP_BODY_INVALID, /* the length is ambiguous: where the next request begins is not known */
} HttpBody;

#define HTTP_BODY_MAX (64 * 1024)

HttpBody http_request_body(const HttpRequest *request);
