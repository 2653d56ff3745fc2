/*
 * The router: a fixed table, compared byte for byte with the path as it was sent. Nothing is
 * decoded or cleaned first, so "/%68ealth", "//health" and "/x/../health" are unknown paths and
 * there is nothing to get around. One convenience is kept from the service that this one replaces
 * (FastAPI's redirect_slashes): a known path with a slash too many is answered 307 with the right
 * one.
 */

#include "http/router.h"

#include <stdlib.h>
#include <string.h>

#include "util/cleanup.h"

#define VERSION_PREFIX "/api/v1"

/* A component in braces stands for any that is not empty. */
static bool matches(const char *pattern, const char *path)
{
    while (*pattern == *path && *pattern != '{') {
        if (*pattern == '\0')
            return true;
        pattern++;
        path++;
    }
    if (*pattern != '{' || *path == '/' || *path == '\0')
        return false;
    return matches(pattern + strcspn(pattern, "/"), path + strcspn(path, "/"));
}

/*
 * router_find() - the route of a path
 * @routes: ended by a path of NULL
 * @path: without the query
 *
 * Below the prefix of the first release ("/api/v1/health") only the versioned ones answer; the
 * prefix itself, with or without a slash, is its root. Returns NULL when there is none.
 */
const Route *router_find(const Route *routes, const char *path)
{
    size_t prefix = strlen(VERSION_PREFIX);
    bool versioned =
        strncmp(path, VERSION_PREFIX, prefix) == 0 && (path[prefix] == '/' || path[prefix] == '\0');

    if (versioned)
        path = path[prefix] ? path + prefix : "/";
    for (const Route *route = routes; route->path; route++)
        if (matches(route->path, path) && (!versioned || route->versioned))
            return route;
    return NULL;
}

/*
 * router_component() - what stands in a path where its route has a name in braces
 * @path: matches the route
 *
 * Returns it, the caller's to free; NULL when memory runs out or the route has none.
 */
char *router_component(const Route *route, const char *path)
{
    const char *brace = strchr(route->path, '{');
    const char *start = brace ? path + (brace - route->path) : NULL;

    return start ? strndup(start, strcspn(start, "/")) : NULL;
}

static bool query_is_plain(const char *query)
{
    for (const char *p = query; *p; p++)
        if (*p <= ' ' || *p > '~')
            return false;
    return true;
}

/* Is it a known path with one slash too many? Then the answer is where it really is. */
static bool redirect(const Route *routes, const HttpRequest *request, HttpResponse *response)
{
    size_t length = strlen(request->path);
    CLEANUP_FREE char *path = NULL;

    if (length < 2 || request->path[length - 1] != '/')
        return false;
    path = strndup(request->path, length - 1);
    if (!path || !router_find(routes, path))
        return false;
    /* The path is one of the table's: no byte of the client's gets into the header by it. */
    if (request->query && query_is_plain(request->query))
        http_response_header(response, "Location", "%s?%s", path, request->query);
    else
        http_response_header(response, "Location", "%s", path);
    http_response_detail(response, 307, "Temporary Redirect");
    return true;
}

static HttpHandler handler_for(const Route *route, const char *method)
{
    if (strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0)
        return route->get;
    return strcmp(method, "POST") == 0 ? route->post : NULL;
}

/*
 * router_serve() - answers a request that the guard let through
 * @routes: ended by a path of NULL
 * @context: handed to the handler
 * @request: the request
 * @response: filled in
 */
void router_serve(const Route *routes, HttpContext *context, const HttpRequest *request,
                  HttpResponse *response)
{
    const Route *route = router_find(routes, request->path);
    HttpHandler handler;

    if (!route) {
        if (!redirect(routes, request, response))
            http_response_detail(response, 404, "Not Found");
        return;
    }
    handler = handler_for(route, request->method);
    if (handler) {
        handler(context, request, response);
        return;
    }
    http_response_header(response, "Allow", "%s%s%s", route->get ? "GET, HEAD" : "",
                         route->get && route->post ? ", " : "", route->post ? "POST" : "");
    http_response_detail(response, 405, "Method Not Allowed");
}
