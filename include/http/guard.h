#pragma once
/* Who may ask: the guard against web pages that the user happens to open. */

#include <stdbool.h>
#include <stddef.h>

#include "http/request.h"

typedef struct Guard {
    unsigned port;       /* ours */
    const char *origins; /* allowed ones, separated by white space; borrowed */
} Guard;

typedef struct GuardVerdict {
    const char *refused; /* why, for people; NULL: the request may go on */
    const char *origin;  /* the allowed origin that asks; NULL: none, or a foreign one */
} GuardVerdict;

GuardVerdict guard_check(const Guard *guard, const HttpRequest *request);
/* "host" or "host:port" names this machine's loopback, with our port. */
bool guard_host_is_ours(const Guard *guard, const char *host, size_t length);
bool guard_origin_is_allowed(const Guard *guard, const char *origin);
