/* The detail of GET /watcher/status: how each root is, and what is under way. */

#include <stdlib.h>
#include <time.h>

#include "http/handlers.h"

static json_t *root_json(const SnapshotRoot *root)
{
    json_t *json =
        json_pack("{s:s, s:s}", "path", root->path, "state", snapshot_root_state_name(root->state));

    if (root->reason && json_object_set_new(json, "reason", json_string(root->reason)) < 0) {
        json_decref(json);
        return NULL;
    }
    return json;
}

static json_t *roots_json(const SnapshotDetail *detail)
{
    json_t *list = json_array();

    for (size_t i = 0; list && i < detail->n_roots; i++)
        if (json_array_append_new(list, root_json(&detail->roots[i])) < 0) {
            json_decref(list);
            return NULL;
        }
    return list;
}

/* A limit that the kernel does not tell is no number. */
static json_t *limit_json(uint64_t limit)
{
    return limit > INT64_MAX / 100 ? json_null() : json_integer((json_int_t)limit);
}

static json_t *watches_json(const SnapshotNumbers *numbers)
{
    return json_pack("{s:I, s:o, s:o}", "used", (json_int_t)numbers->watches, "limit",
                     limit_json(numbers->watch_limit), "budget", limit_json(numbers->watch_budget));
}

/* When everything was last compared with the disk, and how long that took; null: not yet. */
static json_t *reconcile_json(const SnapshotNumbers *numbers)
{
    time_t ended = (time_t)numbers->reconciled;
    char text[32];
    struct tm tm;

    if (ended == 0 || !gmtime_r(&ended, &tm) ||
        strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &tm) == 0)
        return json_null();
    return json_pack("{s:s, s:f}", "ended", text, "seconds",
                     (double)numbers->reconcile_us / (double)CLOCK_US_PER_SEC);
}

/* http_detail() - as JSON; null before the engine has published any. NULL when memory runs out */
json_t *http_detail(const SnapshotDetail *detail)
{
    const SnapshotNumbers *numbers = detail ? &detail->numbers : NULL;

    if (!detail)
        return json_null();
    return json_pack("{s:o, s:b, s:I, s:I, s:o, s:I, s:I, s:o}", "roots", roots_json(detail),
                     "scanning", numbers->scans > 0, "folders_scanned",
                     (json_int_t)numbers->scanned, "pending", (json_int_t)numbers->pending,
                     "watches", watches_json(numbers), "polled_folders",
                     (json_int_t)numbers->polled, "problems", (json_int_t)numbers->problems,
                     "last_reconcile", reconcile_json(numbers));
}
