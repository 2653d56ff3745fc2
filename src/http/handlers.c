/* The routes that read, and the table of all routes. Names and types are PictoPy's. */

#include "http/handlers.h"

#include <stdlib.h>
#include <string.h>

#include "project-config.h"
#include "util/clock.h"

static const unsigned gate_limits[HTTP_GATE_COUNT] = {
    [HTTP_GATE_ALL] = HTTP_THREADS * 3 / 4,
    [HTTP_GATE_SETTLE] = HTTP_THREADS / 2,
    [HTTP_GATE_CONTROL] = HTTP_THREADS / 4,
};

static bool gate_enter(HttpContext *context, HttpGate gate)
{
    if (__atomic_add_fetch(&context->waiting[gate], 1, __ATOMIC_RELAXED) <= gate_limits[gate])
        return true;
    (void)__atomic_sub_fetch(&context->waiting[gate], 1, __ATOMIC_RELAXED);
    return false;
}

static void gate_leave(HttpContext *context, HttpGate gate)
{
    (void)__atomic_sub_fetch(&context->waiting[gate], 1, __ATOMIC_RELAXED);
}

/*
 * http_ask() - asks the engine, unless too many requests already wait for it
 * @context: the server's
 * @question: borrowed
 * @response: when false is returned: 503 with Retry-After
 * @ret_result: what became of the question
 * @ret_text: as in call_ask()
 */
bool http_ask(HttpContext *context, const HttpQuestion *question, HttpResponse *response,
              CallResult *ret_result, char **ret_text)
{
    HttpGate gate = question->gate;
    bool entered = gate_enter(context, gate);

    if (entered && gate != HTTP_GATE_ALL && !gate_enter(context, HTTP_GATE_ALL)) {
        gate_leave(context, gate);
        entered = false;
    }
    if (!entered) {
        http_response_header(response, "Retry-After", "1");
        http_response_detail(response, 503, "Too many requests are waiting");
        return false;
    }
    *ret_result = call_desk_ask(context->desk, question->kind, question->argument,
                                question->timeout_us, ret_text);
    if (gate != HTTP_GATE_ALL)
        gate_leave(context, HTTP_GATE_ALL);
    gate_leave(context, gate);
    return true;
}

/* The service's name is PictoPy's own: clients may look for it. */
static void get_root(HttpContext *context UNUSED, const HttpRequest *request UNUSED,
                     HttpResponse *response)
{
    json_t *endpoints = json_array();

    for (const Route *route = http_routes; endpoints && route->path; route++)
        if (json_array_append_new(endpoints, json_string(route->path)) < 0) {
            json_decref(endpoints);
            endpoints = NULL;
        }
    http_response_json(response, 200,
                       json_pack("{s:s, s:s, s:o}", "name", "PictoPy Sync Microservice", "version",
                                 PROJECT_VERSION, "endpoints", endpoints));
}

static void get_health(HttpContext *context, const HttpRequest *request UNUSED,
                       HttpResponse *response)
{
    CLEANUP(snapshot_unref_p) Snapshot *snapshot = snapshot_box_acquire(context->snapshots);
    bool connected = snapshot && snapshot->database_connected;
    bool running = snapshot && snapshot->watcher_running;

    http_response_json(response, connected ? 200 : 503,
                       json_pack("{s:s, s:s, s:s}", "status", connected ? "healthy" : "unhealthy",
                                 "database", connected ? "connected" : "disconnected", "watcher",
                                 running ? "running" : "stopped"));
}

/* [{"id": …, "path": …}] of all folders being watched, ordered by path; NULL when memory runs out.
 */
static json_t *folder_list(const Snapshot *snapshot)
{
    size_t count = snapshot && snapshot->folders ? snapshot->folders->count : 0;
    json_t *list = json_array();

    for (size_t i = 0; list && i < count; i++) {
        const SnapshotFolder *folder = &snapshot->folders->items[i];
        json_t *item = json_pack("{s:s, s:s}", "id", folder->id, "path", folder->path);

        if (json_array_append_new(list, item) < 0) {
            json_decref(list);
            return NULL;
        }
    }
    return list;
}

static json_int_t folder_count(const json_t *list)
{
    return (json_int_t)json_array_size(list);
}

static void get_folders(HttpContext *context, const HttpRequest *request UNUSED,
                        HttpResponse *response)
{
    CLEANUP(snapshot_unref_p) Snapshot *snapshot = snapshot_box_acquire(context->snapshots);
    json_t *list = folder_list(snapshot);

    http_response_json(
        response, 200,
        json_pack("{s:I, s:o}", "total_folders", folder_count(list), "folders", list));
}

/*
 * http_watcher_info() - the object that GET /watcher/status answers
 *
 * PictoPy's watcher is a thread of its own; here it is the loop, which is alive as a watcher only
 * while the watcher runs. Returns NULL when memory runs out.
 */
json_t *http_watcher_info(HttpContext *context)
{
    CLEANUP(snapshot_unref_p) Snapshot *snapshot = snapshot_box_acquire(context->snapshots);
    bool running = snapshot && snapshot->watcher_running;
    bool alive = running && snapshot->thread_id != 0;
    json_t *list = folder_list(snapshot);
    json_t *thread = alive ? json_integer(snapshot->thread_id) : json_null();

    return json_pack("{s:b, s:I, s:b, s:o, s:o}", "is_running", running, "folders_count",
                     folder_count(list), "thread_alive", alive, "thread_id", thread,
                     "watched_folders", list);
}

/* The five keys of PictoPy's own service, and one of ours. */
static void get_watcher_status(HttpContext *context, const HttpRequest *request UNUSED,
                               HttpResponse *response)
{
    CLEANUP(snapshot_unref_p) Snapshot *snapshot = snapshot_box_acquire(context->snapshots);
    json_t *info = http_watcher_info(context);

    if (json_object_set_new(info, "detail", http_detail(snapshot ? snapshot->detail : NULL)) < 0) {
        json_decref(info);
        info = NULL;
    }
    http_response_json(response, 200, info);
}

/* The app polls this one and expects status 200 in every case (contract, section 6). */
static void get_folder_status(HttpContext *context, const HttpRequest *request UNUSED,
                              HttpResponse *response)
{
    CLEANUP_FREE char *text = NULL;
    CallResult result;
    const char *message;

    if (!http_ask(context,
                  &(HttpQuestion){HTTP_GATE_ALL, CALL_FOLDER_STATUS, NULL, HTTP_ANSWER_TIMEOUT},
                  response, &result, &text)) {
        message = "Too many requests are waiting";
    } else if (result == CALL_RESULT_OK && text) {
        http_response_text(response, 200, STEAL_PTR(text));
        return;
    } else if (result == CALL_RESULT_NONE) {
        message = "The folders could not be read in time";
    } else {
        message = text ? text : "The service is not able to answer now";
    }
    http_response_json(response, 200,
                       json_pack("{s:s, s:s, s:[], s:i}", "status", "error", "message", message,
                                 "data", "total_folders", 0));
}

/* An answer that is the engine's text as it is. */
static void get_text(HttpContext *context, CallKind kind, HttpResponse *response)
{
    CLEANUP_FREE char *text = NULL;
    CallResult result;

    if (!http_ask(context, &(HttpQuestion){HTTP_GATE_ALL, kind, NULL, HTTP_ANSWER_TIMEOUT},
                  response, &result, &text))
        return;
    if (result == CALL_RESULT_OK && text)
        http_response_text(response, 200, STEAL_PTR(text));
    else
        http_response_detail(response, 503, "%s", text ? text : "The service did not answer");
}

static void get_problems(HttpContext *context, const HttpRequest *request UNUSED,
                         HttpResponse *response)
{
    get_text(context, CALL_PROBLEMS, response);
}

static void get_counters(HttpContext *context, const HttpRequest *request UNUSED,
                         HttpResponse *response)
{
    get_text(context, CALL_COUNTERS, response);
}

const Route http_routes[] = {
    {.path = "/", .get = get_root, .versioned = true},
    {.path = "/health", .get = get_health, .versioned = true},
    {.path = "/folders", .get = get_folders, .versioned = true},
    {.path = "/folders/status", .get = get_folder_status, .versioned = true},
    {.path = "/watcher/status", .get = get_watcher_status, .versioned = true},
    {.path = "/watcher/restart", .post = http_post_restart, .versioned = true},
    {.path = "/watcher/start", .post = http_post_start, .versioned = true},
    {.path = "/watcher/stop", .post = http_post_stop, .versioned = true},
    {.path = "/shutdown", .post = http_post_shutdown, .versioned = true},
    {.path = "/watcher/rescan", .post = http_post_rescan},
    {.path = "/folders/{folder_id}/confirm", .post = http_post_confirm},
    {.path = "/watcher/settle", .get = http_get_settle},
    {.path = "/problems", .get = get_problems},
    {.path = "/metrics", .get = http_get_metrics},
    {.path = "/debug/counters", .get = get_counters},
    {0},
};
