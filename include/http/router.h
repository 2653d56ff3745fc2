#pragma once
/* From path and method to a handler. */

#include <stddef.h>

#include "http/request.h"
#include "http/response.h"

typedef struct HttpContext HttpContext; /* see http/handlers.h */
typedef void (*HttpHandler)(HttpContext *context, const HttpRequest *request,
                            HttpResponse *response);

typedef struct Route {
    const char *path; /* {name} stands for any one component */
    HttpHandler get;  /* also answers HEAD; NULL when there is none */
    HttpHandler post; /* NULL when there is none */
    bool versioned;   /* also below /api/v1 */
} Route;

/* The whole table of routes; ended by a path of NULL. */
extern const Route http_routes[];

const Route *router_find(const Route *routes, const char *path);
char *router_component(const Route *route, const char *path); /* the caller frees */
/* Finds the handler and calls it, or answers 404, 405 or 307. */
void router_serve(const Route *routes, HttpContext *context, const HttpRequest *request,
                  HttpResponse *response);
