#pragma once
/* What the handlers share, and the way of a request from the guard to its answer. */

#include <stdbool.h>

#include "http/guard.h"
#include "http/request.h"
#include "http/response.h"
#include "http/router.h"
#include "sync/call.h"
#include "sync/snapshot.h"
#include "util/clock.h"

/* Threads of the server; the gates below are shares of them. */
#define HTTP_THREADS 16
/* How long the engine may take to answer, µs. */
#define HTTP_ANSWER_TIMEOUT (2 * CLOCK_US_PER_SEC)

/* How many requests may wait for the engine at a time, so that one which need not wait (health)
 * finds a thread: at most 8 settles, 4 restarts, and 12 in all. */
typedef enum HttpGate {
    HTTP_GATE_ALL,
    HTTP_GATE_SETTLE,
    HTTP_GATE_CONTROL,
    HTTP_GATE_COUNT,
} HttpGate;

struct HttpContext {
    Guard guard;
    SnapshotBox *snapshots;
    CallDesk *desk;
    const char *shutdown_token_file;   /* "" = off */
    unsigned waiting[HTTP_GATE_COUNT]; /* atomic */
};

/* Guard, CORS, preflight, router. Any thread. */
void http_answer(HttpContext *context, const HttpRequest *request, HttpResponse *response);

/* Asks the engine. False: the answer is already written (503), because the gate is full. */
typedef struct HttpQuestion {
    HttpGate gate; /* which requests are counted together */
    CallKind kind;
    const char *argument; /* what it is about; NULL for the kinds that take none */
    uint64_t timeout_us;
} HttpQuestion;

bool http_ask(HttpContext *context, const HttpQuestion *question, HttpResponse *response,
              CallResult *ret_result, char **ret_text);

/* {"is_running": …} as GET /watcher/status has it; NULL when memory runs out. */
json_t *http_watcher_info(HttpContext *context);

/* commands.c */
void http_post_restart(HttpContext *context, const HttpRequest *request, HttpResponse *response);
void http_post_rescan(HttpContext *context, const HttpRequest *request, HttpResponse *response);
void http_post_confirm(HttpContext *context, const HttpRequest *request, HttpResponse *response);
void http_post_start(HttpContext *context, const HttpRequest *request, HttpResponse *response);
void http_post_stop(HttpContext *context, const HttpRequest *request, HttpResponse *response);
void http_post_shutdown(HttpContext *context, const HttpRequest *request, HttpResponse *response);
void http_get_settle(HttpContext *context, const HttpRequest *request, HttpResponse *response);

/* path of a query, the caller's to free; NULL when it is not there; false when it is not right. */
bool http_rescan_path(const char *query, char **ret_path);
/* timeout_ms of a query: its value, the default when it is not there; false when it is not a number
 * of 0 … 120000 or is there twice. */
bool http_settle_timeout(const char *query, uint64_t *ret_ms);

/* metrics.c */
void http_get_metrics(HttpContext *context, const HttpRequest *request, HttpResponse *response);

/* detail.c: the detail of GET /watcher/status; NULL when memory runs out. */
json_t *http_detail(const SnapshotDetail *detail);

/* token.c: may this request end the daemon? Otherwise 401, 403 or 503 is answered. */
bool http_token_check(const char *file, const HttpRequest *request, HttpResponse *response);
