/*
 * The guard. The daemon listens on the loopback interface, but every web page that the user opens
 * can send requests there too. Two things tell such a page's request from the app's:
 *
 * Host names whom the client believes it is talking to. A page of evil.example whose name has been
 * made to resolve to 127.0.0.1 (DNS rebinding) sends "Host: evil.example", and to the browser it
 * would be of the same origin as our answers. So a Host that is not a loopback name with our port
 * is refused, whatever the method. HTTP/1.0 has no Host; no browser speaks it.
 *
 * Origin names the page. Browsers send it with every request that is not a plain GET or HEAD, and a
 * page cannot change it. So a request with a foreign Origin that would change something is refused;
 * a GET is answered, but without the CORS headers that would let the page read the answer. "null"
 * (a sandboxed frame, a file) is foreign like any other. Where a browser leaves Origin out but says
 * Sec-Fetch-Site: cross-site, that counts as foreign too. No Origin at all is not a page: PictoPy's
 * backend, a probe, a shell.
 *
 * All of it is decided before the path is looked at, so a refused request cannot have an effect.
 */

#include "http/guard.h"

#include <string.h>
#include <strings.h>

#define HTTP_PORT 80

static bool text_is(const char *text, size_t length, const char *word)
{
    return strlen(word) == length && strncasecmp(text, word, length) == 0;
}

/* 127.a.b.c in plain decimal; no leading zeros (some resolvers read them as octal), no short forms.
 */
static bool is_loopback_ipv4(const char *text, size_t length)
{
    const char *end = text + length;
    unsigned parts = 0;

    if (length < 4 || memcmp(text, "127.", 4) != 0)
        return false;
    for (const char *p = text; p < end; parts++) {
        size_t digits = 0;
        unsigned value = 0;

        for (; p + digits < end && p[digits] >= '0' && p[digits] <= '9' && digits < 4; digits++)
            value = value * 10 + (unsigned)(p[digits] - '0');
        if (digits == 0 || digits > 3 || value > 255 || (digits > 1 && p[0] == '0'))
            return false;
        p += digits;
        if (p < end && (*p++ != '.' || p == end))
            return false;
    }
    return parts == 4;
}

static bool port_is(const char *text, size_t length, unsigned port)
{
    unsigned value = 0;

    if (length == 0 || length > 5)
        return false;
    for (size_t i = 0; i < length; i++) {
        if (text[i] < '0' || text[i] > '9')
            return false;
        value = value * 10 + (unsigned)(text[i] - '0');
    }
    return value == port;
}

/*
 * guard_host_is_ours() - does a Host header, or the authority of an absolute request target, name
 * us?
 * @guard: our port
 * @host: "localhost", any 127.0.0.0/8 address or "[::1]", with ":port" unless the port is 80
 * @length: bytes of host
 *
 * A user name in front ("user@localhost") or a dot behind ("localhost.") is not ours: no client of
 * ours writes it.
 */
bool guard_host_is_ours(const Guard *guard, const char *host, size_t length)
{
    size_t name = 0;

    if (length > 0 && host[0] == '[')
        while (name < length && host[name] != ']')
            name++;
    while (name < length && host[name] != ':')
        name++;
    if (!text_is(host, name, "localhost") && !text_is(host, name, "[::1]") &&
        !is_loopback_ipv4(host, name))
        return false;
    if (name == length)
        return guard->port == HTTP_PORT;
    return port_is(host + name + 1, length - name - 1, guard->port);
}

/* guard_origin_is_allowed() - is that origin, byte for byte, one of the configured? */
bool guard_origin_is_allowed(const Guard *guard, const char *origin)
{
    static const char blank[] = " \t\r\n";
    size_t length = strlen(origin);
    const char *p = guard->origins;

    while (*p) {
        size_t n;

        p += strspn(p, blank);
        n = strcspn(p, blank);
        if (n > 0 && n == length && memcmp(p, origin, n) == 0)
            return true;
        p += n;
    }
    return false;
}

/* The authority of an absolute target takes the place of Host (RFC 9112, 3.2.2), but a Host that
 * says something else is refused as well: nobody honest sends the two at odds. */
static const char *check_host(const Guard *guard, const HttpRequest *request)
{
    const char *host = http_request_header(request, "Host");
    const char *scheme = request->target[0] == '/' ? NULL : strstr(request->target, "://");

    if (http_request_count(request, "Host") > 1)
        return "More than one Host header";
    if (!host && strcmp(request->version, "1.0") != 0)
        return "The Host header is missing";
    if (host && !guard_host_is_ours(guard, host, strlen(host)))
        return "The Host header does not name this service";
    if (scheme && !guard_host_is_ours(guard, scheme + 3, strcspn(scheme + 3, "/?")))
        return "The request is for another host";
    return NULL;
}

static bool is_cross_site(const HttpRequest *request)
{
    const char *site = http_request_header(request, "Sec-Fetch-Site");

    return site && strcasecmp(site, "cross-site") == 0;
}

/*
 * guard_check() - may this request go on?
 * @guard: our port and the allowed origins
 * @request: the request
 *
 * Any thread. The strings of the verdict are static or the request's.
 */
GuardVerdict guard_check(const Guard *guard, const HttpRequest *request)
{
    GuardVerdict verdict = {.refused = check_host(guard, request)};
    const char *origin = http_request_header(request, "Origin");

    if (verdict.refused)
        return verdict;
    if (http_request_count(request, "Origin") > 1)
        verdict.refused = "More than one Origin header";
    else if (origin && guard_origin_is_allowed(guard, origin))
        verdict.origin = origin;
    else if (origin && http_request_is_preflight(request))
        verdict.refused = "This origin is not allowed";
    else if (origin && !http_request_is_safe(request))
        verdict.refused = "This origin may not change anything";
    else if (!origin && is_cross_site(request) && !http_request_is_safe(request))
        verdict.refused = "Another site may not change anything";
    return verdict;
}
