/*
 * The HTTP server, on civetweb. What civetweb is used for: sockets, threads, the parsing of
 * requests and of bodies, keep-alive. Everything else it can do (files, directories, CGI,
 * passwords, its own CORS answers) is behind the begin_request callback, which answers every
 * request itself, so none of it can be reached.
 *
 * Facts of civetweb 1.15 that this file stands on, each seen in its source:
 *  - An absolute request target gets to us only when its port is ours; enable_auth_domain_check=no
 *    keeps civetweb from looking at its host, which the guard does. One for another port, and "*",
 *    close the connection without an answer.
 *  - Header lines beyond MG_MAX_HEADERS are dropped silently, so a full table is refused. So are
 *    all lines from one on that begins with a blank or a colon; no browser sends such a line, so no
 *    page can hide its Origin behind one.
 *  - mg_read() returns when its buffer is full or the peer pauses for request_timeout_ms.
 *  - Once mg_stop() has been called nothing more is written, and its threads look at the stop flag
 *    only every 2 s while they wait for a socket. So stopping first lets the requests under way
 *    finish, then shuts the sockets down, which wakes the threads at once.
 *  - It ignores SIGPIPE in the whole process.
 */

#include "http/server.h"

#include <arpa/inet.h>
#include <civetweb.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>

#include "http/address.h"
#include "http/handlers.h"
#include "http/sockets.h"
#include "util/clock.h"
#include "util/error.h"
#include "util/log.h"
#include "util/text.h"

#define REQUEST_TIMEOUT_MS    "5000" /* for the header, for a pause in the body, for a slow reader */
#define KEEP_ALIVE_TIMEOUT_MS "1000"                 /* an idle connection holds a thread */
#define BODY_TIMEOUT          (4 * CLOCK_US_PER_SEC) /* less: a pause must count as too slow */
#define STOP_TIMEOUT          (1 * CLOCK_US_PER_SEC)
#define MASTER_SLACK_NS       (3600UL * 1000 * 1000 * 1000) /* its poll() may take an hour longer */
#define USUAL_SLACK_NS        50000UL                       /* the kernel's own */
#define THREAD_IS_MASTER      0 /* the thread_type of the one that accepts connections */

_Static_assert(HTTP_HEADERS_MAX < MG_MAX_HEADERS, "a full table must be noticed");

struct HttpServer {
    struct mg_context *civetweb;
    HttpContext context;
    char *origins;
    char *token_file;
    pthread_mutex_t lock;
    pthread_cond_t idle; /* under_way became 0 */
    unsigned under_way;
    bool stopping;
    bool library; /* mg_init_library() was called */
};

static bool server_enter(HttpServer *server)
{
    bool open;

    (void)pthread_mutex_lock(&server->lock);
    open = !server->stopping;
    server->under_way++;
    (void)pthread_mutex_unlock(&server->lock);
    return open;
}

static void server_leave(HttpServer *server)
{
    (void)pthread_mutex_lock(&server->lock);
    if (--server->under_way == 0)
        (void)pthread_cond_signal(&server->idle);
    (void)pthread_mutex_unlock(&server->lock);
}

static void send_response(struct mg_connection *connection, const HttpResponse *response,
                          bool head_only, bool keep_alive)
{
    CLEANUP(text_done) Text out = {0};

    http_response_print(response, head_only, keep_alive, &out);
    if (!keep_alive || out.failed)
        mg_disable_connection_keep_alive(connection);
    if (!out.failed)
        (void)mg_write(connection, out.data, out.length); /* who has gone need not be told */
}

/* Errors that civetweb finds by itself, before a request is complete. It closes the connection. */
static int on_error(struct mg_connection *connection, int status, const char *message)
{
    HttpResponse response = {0};

    http_response_detail(&response, status, "%s", message && *message ? message : "Bad request");
    send_response(connection, &response, false, false);
    http_response_done(&response);
    return 0;
}

static int on_log(const struct mg_connection *connection, const char *message)
{
    (void)connection;
    log_debug("http: %s", message);
    return 1;
}

static bool read_request(const struct mg_request_info *info, HttpRequest *request)
{
    request->method = info->request_method;
    request->target = info->request_uri;
    request->path = info->local_uri_raw;
    request->query = info->query_string;
    request->version = info->http_version;
    request->n_headers = 0;
    if (info->num_headers > HTTP_HEADERS_MAX)
        return false;
    for (int i = 0; i < info->num_headers; i++)
        request->headers[request->n_headers++] =
            (HttpHeader){info->http_headers[i].name, info->http_headers[i].value};
    return true;
}

/* Reads the body, which no route looks at, so that the connection can go on. Byte by byte, or a
 * client that drips could hold the thread for as long as the buffer is large; most bodies have come
 * with the header and cost no system call. Returns 0, or the status to refuse it with. */
static int drain_body(struct mg_connection *connection)
{
    long long length = mg_get_request_info(connection)->content_length; /* -1 when chunked */
    uint64_t deadline = clock_now() + BODY_TIMEOUT;
    long long n = 0;
    char byte;

    while (n <= HTTP_BODY_MAX) {
        int r = mg_read(connection, &byte, 1);

        if (r > 0 && clock_now() <= deadline) {
            n++;
            continue;
        }
        if (r == 0 && (length < 0 || n == length))
            return 0;
        return clock_now() < deadline ? 400 : 408; /* it ends too early or makes no sense */
    }
    return 413;
}

/* Makes the connection ready for the next request, or says why there can be none. */
static bool accept_body(struct mg_connection *connection, const HttpRequest *request,
                        HttpResponse *response)
{
    HttpBody body = http_request_body(request);
    int refused = 0;

    if (body == HTTP_BODY_INVALID)
        refused = 400;
    else if (body == HTTP_BODY_TOO_LARGE)
        refused = 413;
    else if (body == HTTP_BODY_PRESENT && !http_request_header(request, "Expect"))
        refused = drain_body(connection);
    /* Who asks first ("Expect: 100-continue") is answered at once and need not send it. */
    switch (refused) {
    case 0:
        return true;
    case 408:
        http_response_detail(response, refused, "The body is too slow");
        return false;
    case 413:
        http_response_detail(response, refused, "The body is too large");
        return false;
    default:
        http_response_detail(response, refused, "The body is broken, or its length is not clear");
        return false;
    }
}

static int on_request(struct mg_connection *connection)
{
    HttpServer *server = mg_get_user_context_data(connection);
    uint64_t start = clock_now();
    HttpResponse response = {0};
    HttpRequest request;
    bool keep_alive = false, complete, open;

    open = server_enter(server);
    complete = read_request(mg_get_request_info(connection), &request);
    if (!complete)
        http_response_detail(&response, 431, "Too many header fields");
    else if (!open)
        http_response_detail(&response, 503, "The service is going down");
    else if (accept_body(connection, &request, &response))
        keep_alive = http_request_keep_alive(&request) && !http_request_header(&request, "Expect");
    if (response.status == 0)
        http_answer(&server->context, &request, &response);
    send_response(connection, &response, strcmp(request.method, "HEAD") == 0, keep_alive);
    log_debug("http: %s %s: %d, %llu us", request.method, request.path, response.status,
              (unsigned long long)(clock_now() - start));
    http_response_done(&response);
    server_leave(server);
    return 200; /* handled; civetweb uses the number only for its access log, which is off */
}

/* The thread that accepts connections looks at the stop flag every 2 s, for as long as the daemon
 * lives. Nothing hangs on these 2 s, since its sockets are shut down before it is to stop; so let
 * the kernel put them off (PR_SET_TIMERSLACK(2const)) and an idle daemon sleep. */
static void *on_thread(const struct mg_context *civetweb, int thread_type)
{
    (void)civetweb;
    /* The others may be started by that one, and would inherit its slack. */
    (void)prctl(PR_SET_TIMERSLACK,
                thread_type == THREAD_IS_MASTER ? MASTER_SLACK_NS : USUAL_SLACK_NS, 0, 0, 0);
    return NULL;
}

/* The ports as civetweb wants them; both families only where it was built for them. */
static void print_ports(const HttpAddress *address, bool both, Text *out)
{
    char host[INET6_ADDRSTRLEN] = "";

    if (address->ip.any.sa_family == AF_INET6) {
        text_printf(out, "[::1]:%u", address->port);
        return;
    }
    (void)inet_ntop(AF_INET, &address->ip.v4.sin_addr, host, sizeof(host));
    text_printf(out, "%s:%u", host, address->port);
    if (both)
        text_printf(out, ",[::1]:%u", address->port);
}

static const struct {
    const char *name;
    const char *value;
} settings[] = {
    {"request_timeout_ms", REQUEST_TIMEOUT_MS},
    {"enable_keep_alive", "yes"},
    {"keep_alive_timeout_ms", KEEP_ALIVE_TIMEOUT_MS},
    {"max_request_size", "16384"},
    {"tcp_nodelay", "1"},
    {"decode_url", "no"},
    {"enable_auth_domain_check", "no"},
    {"enable_directory_listing", "no"},
};
#define N_SETTINGS (sizeof(settings) / sizeof(*settings))

/* civetweb's threads must not take the daemon's signals: they inherit the mask of this moment. */
static struct mg_context *start_with_signals_blocked(HttpServer *server, const char *ports)
{
    static const struct mg_callbacks callbacks = {
        .begin_request = on_request,
        .http_error = on_error,
        .log_message = on_log,
        .init_thread = on_thread,
    };
    const char *options[2 * (2 + N_SETTINGS) + 1];
    char threads[16];
    size_t n = 0;
    struct mg_context *context;
    sigset_t all, old;

    (void)snprintf(threads, sizeof(threads), "%d", HTTP_THREADS);
    options[n++] = "listening_ports";
    options[n++] = ports;
    options[n++] = "num_threads";
    options[n++] = threads;
    for (size_t i = 0; i < N_SETTINGS; i++) {
        options[n++] = settings[i].name;
        options[n++] = settings[i].value;
    }
    options[n] = NULL;
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &old);
    context = mg_start(&callbacks, server, options);
    (void)pthread_sigmask(SIG_SETMASK, &old, NULL);
    return context;
}

static struct mg_context *start_on(HttpServer *server, const HttpAddress *address, bool both)
{
    CLEANUP(text_done) Text ports = {0};

    print_ports(address, both, &ports);
    return ports.failed ? NULL : start_with_signals_blocked(server, ports.data);
}

/* localhost means both families. A port of one's own choice can be had for one family only, and a
 * machine may have no IPv6; then IPv4 it is. */
static int server_listen(HttpServer *server, const HttpAddress *address, const char *listen)
{
    bool have_v6 = mg_check_feature(MG_FEATURES_IPV6) != 0;
    int error;

    if (address->ip.any.sa_family == AF_INET6 && !have_v6) {
        log_error("Cannot listen on %s: the HTTP library was built without IPv6", listen);
        return HTTP_E_LISTEN;
    }
    if (address->is_localhost && have_v6 && address->port != 0)
        server->civetweb = start_on(server, address, true);
    if (!server->civetweb)
        server->civetweb = start_on(server, address, false);
    if (server->civetweb)
        return 0;
    error = http_sockets_probe(address);
    if (error == -EADDRINUSE)
        return HTTP_E_ADDRESS_IN_USE;
    log_error("Cannot listen on %s: %s", listen,
              error < 0 ? strerrordesc_np(-error) : "the HTTP library did not start");
    return HTTP_E_LISTEN;
}

static unsigned actual_port(const HttpServer *server)
{
    struct mg_server_port port = {0};

    (void)mg_get_server_ports(server->civetweb, 1, &port);
    return (unsigned)port.port;
}

static int server_set_up(HttpServer *server, const HttpServerOptions *options)
{
    (void)pthread_mutex_init(&server->lock, NULL);
    (void)pthread_cond_init(&server->idle, NULL);
    server->origins = strdup(options->allowed_origins ? options->allowed_origins : "");
    server->token_file = strdup(options->shutdown_token_file ? options->shutdown_token_file : "");
    if (!server->origins || !server->token_file)
        return error_trace(-ENOMEM);
    server->context.guard.origins = server->origins;
    server->context.shutdown_token_file = server->token_file;
    server->context.snapshots = options->snapshots;
    return call_desk_create(options->mailbox, options->deliver, &server->context.desk);
}

/*
 * http_server_start() - starts to serve
 * @options: what is served, and to whom; the strings are copied
 * @ret_server: the server
 *
 * Requests may come in before this returns. Returns 0, HTTP_E_ADDRESS_IN_USE (not logged: the
 * caller knows best what that means), HTTP_E_LISTEN (logged), or -ENOMEM.
 */
int http_server_start(const HttpServerOptions *options, HttpServer **ret_server)
{
    CLEANUP(http_server_free_p) HttpServer *server = NULL;
    HttpAddress address;
    const char *problem = http_address_parse(options->listen, &address);
    int r;

    if (problem) {
        log_error("Cannot listen on %s: %s", options->listen, problem);
        return HTTP_E_LISTEN;
    }
    server = calloc(1, sizeof(*server));
    if (!server)
        return error_trace(-ENOMEM);
    r = server_set_up(server, options);
    if (r < 0)
        return r;
    (void)mg_init_library(MG_FEATURES_DEFAULT); /* its result, the features, is rightly 0 */
    server->library = true;
    /* The first request may come before the port is known; it waits for the lock. */
    (void)pthread_mutex_lock(&server->lock);
    r = server_listen(server, &address, options->listen);
    if (r == 0)
        server->context.guard.port = actual_port(server);
    (void)pthread_mutex_unlock(&server->lock);
    if (r != 0)
        return r;
    *ret_server = STEAL_PTR(server);
    return 0;
}

/* http_server_port() - the port the server listens on; never 0 */
unsigned http_server_port(const HttpServer *server)
{
    return server->context.guard.port;
}

/* Gives the requests under way a moment to write their answers. */
static void wait_until_idle(HttpServer *server)
{
    struct timespec until = clock_until(STOP_TIMEOUT);
    int r = 0;

    (void)pthread_mutex_lock(&server->lock);
    server->stopping = true;
    while (server->under_way > 0 && r == 0)
        r = pthread_cond_clockwait(&server->idle, &server->lock, CLOCK_MONOTONIC, &until);
    (void)pthread_mutex_unlock(&server->lock);
}

/*
 * http_server_free() - stops to serve
 *
 * Requests that wait for the engine are answered 503 now, whether the mailbox is served or not.
 * Takes at most about a second, and that only when a client does not read its answer. Accepts NULL.
 */
HttpServer *http_server_free(HttpServer *server)
{
    if (!server)
        return NULL;
    if (server->civetweb) {
        call_desk_close(server->context.desk);
        wait_until_idle(server);
        http_sockets_shutdown(server->context.guard.port);
        mg_stop(server->civetweb);
    }
    if (server->library)
        (void)mg_exit_library();
    (void)call_desk_free(server->context.desk);
    (void)pthread_cond_destroy(&server->idle);
    (void)pthread_mutex_destroy(&server->lock);
    free(server->origins);
    free(server->token_file);
    free(server);
    return NULL;
}
