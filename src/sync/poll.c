/*
 * Polling
 *
 * Where no watch can be had (the limit is reached, a directory cannot be read) and where a watch
 * does not tell everything (network file systems, which others change) a subtree is looked at every
 * now and then instead. A poll that is due while scans are under way is left out.
 *
 * Each scan of a polled directory tries to watch it; so raising the limit is all that a user has to
 * do. The limit is the user's (fs.inotify.max_user_watches, and user.max_inotify_watches of its
 * namespace), shared by all programs; a part of it is left to the others.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sync/engine-private.h"
#include "util/clock.h"
#include "util/error.h"
#include "util/log.h"

#define TOPS_MAX 256 /* more polled subtrees than this: their roots are scanned instead */

/* ---- the limit of watches ---- */

static uint64_t read_number(const char *path)
{
    CLEANUP(fclose_p) FILE *file = fopen(path, "re");
    char line[32];

    if (!file || !fgets(line, sizeof(line), file) || line[0] < '0' || line[0] > '9')
        return UINT64_MAX;
    return strtoull(line, NULL, 10);
}

/* limits_read() - ask the kernel how many watches there may be now */
void limits_read(Engine *engine)
{
    uint64_t fs = read_number("/proc/sys/fs/inotify/max_user_watches");
    uint64_t user = read_number("/proc/sys/user/max_inotify_watches");

    engine->watch_limit = fs < user ? fs : user;
    engine->watch_budget =
        (uint64_t)((double)engine->watch_limit * engine->config->watch_limit_share / 100);
}

/* limits_allow() - may one directory more be watched? */
bool limits_allow(Engine *engine)
{
    return engine->tree->n_watched < engine->watch_budget;
}

/* limits_refused() - one could not be: said when the scan is over and all is counted */
void limits_refused(Engine *engine)
{
    engine->limit_reached = true;
}

static size_t count_polled(const Engine *engine)
{
    size_t n = 0;

    LIST_FOREACH (link, &engine->polled)
        n += CONTAINER_OF(link, PolledNode, link)->node->wd < 0;
    return n;
}

/* limits_tell() - scans have ended: say once that the limit is reached, or that it is no more */
void limits_tell(Engine *engine)
{
    size_t unwatched;

    if (!engine->limit_reached || engine->limit_told)
        return;
    unwatched = count_polled(engine);
    if (unwatched == 0) {
        engine->limit_reached = false;
        return;
    }
    engine->limit_told = true;
    log_event(LOG_LEVEL_WARNING, LOG_EVENT_WATCH_LIMIT, NULL, NULL,
              "the limit of watches is reached: %zu of %" PRIu64 " (%u %% for this program) are in "
              "use, %zu more directories are looked at every %" PRIu64 " s instead. To watch all: "
              "sysctl fs.inotify.max_user_watches=%zu",
              engine->tree->n_watched, engine->watch_limit, engine->config->watch_limit_share,
              unwatched, engine->config->watch_poll_interval / CLOCK_US_PER_SEC,
              (engine->tree->n_watched + unwatched) * 2 + 65536);
    engine->snapshot_dirty = true;
}

static void limits_recover(Engine *engine)
{
    if (!engine->limit_reached || count_polled(engine) > 0)
        return;
    if (engine->limit_told)
        log_event(LOG_LEVEL_NOTICE, LOG_EVENT_WATCH_LIMIT, NULL, NULL,
                  "all directories are watched again: %zu of %" PRIu64 " watches",
                  engine->tree->n_watched, engine->watch_limit);
    engine->limit_reached = engine->limit_told = false;
    engine->snapshot_dirty = true;
}

/* ---- what is polled ---- */

static void arm(Engine *engine, uint64_t due)
{
    if (!timer_is_armed(&engine->poll_timer) || due < engine->poll_timer.due)
        (void)timer_arm_at(&engine->poll_timer, due);
}

/* poll_add() - a directory of the tree that has no watch, or cannot be read */
void poll_add(Engine *engine, Node *node)
{
    PolledNode *polled = node->polled ? NULL : calloc(1, sizeof(*polled));

    if (!polled)
        return;
    node->polled = true;
    polled->node = node_ref(node);
    list_append(&engine->polled, &polled->link);
    engine->n_polled++;
    engine->snapshot_dirty = true;
    arm(engine, clock_now() + engine->config->watch_poll_interval);
}

static void polled_free(Engine *engine, PolledNode *polled)
{
    list_remove(&polled->link);
    engine->n_polled--;
    polled->node->polled = false;
    (void)node_unref(polled->node);
    free(polled);
}

/* Forgets those that are watched and readable by now, or have left the tree. */
static void sweep(Engine *engine)
{
    LIST_FOREACH_SAFE (link, tmp, &engine->polled) {
        PolledNode *polled = CONTAINER_OF(link, PolledNode, link);
        const Node *node = polled->node;

        if (node->detached || (node->wd >= 0 && !node->unreadable))
            polled_free(engine, polled);
    }
}

/* poll_forget_below() - a root goes offline: what could not be read there is no problem any more */
void poll_forget_below(Engine *engine, Node *top)
{
    LIST_FOREACH_SAFE (link, tmp, &engine->polled) {
        PolledNode *polled = CONTAINER_OF(link, PolledNode, link);
        Node *node = polled->node;
        CLEANUP_FREE char *path = NULL;

        if (!node_is_within(node, top))
            continue;
        path = node->unreadable ? node_path_new(node) : NULL;
        if (path)
            engine_problem_clear(engine, path);
        polled_free(engine, polled);
    }
}

static bool is_below_polled(const Node *node)
{
    for (node = node->parent; node; node = node->parent)
        if (node->polled)
            return true;
    return false;
}

static void poll_nodes(Engine *engine)
{
    size_t tops = 0;

    LIST_FOREACH_SAFE (link, tmp, &engine->polled) {
        Node *node = CONTAINER_OF(link, PolledNode, link)->node;

        if (is_below_polled(node) || node_is_hung(engine, node))
            continue;
        if (++tops > TOPS_MAX) {
            roots_scan(engine, true);
            return;
        }
        scan_node(engine, node, false, true);
    }
}

static void poll_place(Engine *engine, Place *place, uint64_t now)
{
    Node *node = place->root ? place->root->node : place->node;

    bool due = place->poll_due <= now;

    if (place->volume->kind != MOUNT_KIND_REMOTE || !node)
        return;
    if (due)
        place->poll_due = now + engine->config->watch_poll_interval;
    arm(engine, place->poll_due);
    if (due && !place->volume->hung)
        scan_node(engine, node, false, true);
}

/* poll_places() - a place may be on a volume that is polled */
void poll_places(Engine *engine)
{
    arm(engine, clock_now() + engine->config->watch_poll_interval);
}

static void poll_fired(Timer *timer)
{
    Engine *engine = CONTAINER_OF(timer, Engine, poll_timer);
    uint64_t now = clock_now();

    if (!engine->running)
        return;
    limits_read(engine);
    sweep(engine);
    limits_recover(engine);
    if (scans_under_way(engine) > 0) { /* the last one is not over yet, or took long */
        arm(engine, now + engine->config->watch_poll_interval);
        return;
    }
    engine->counters.polls++;
    poll_nodes(engine);
    for (size_t i = 0; i < engine->n_places; i++)
        if (engine->places[i] && engine->places[i]->volume)
            poll_place(engine, engine->places[i], now);
    if (engine->n_polled > 0)
        arm(engine, now + engine->config->watch_poll_interval);
}

void poll_init(Engine *engine)
{
    list_init(&engine->polled);
    timer_init(&engine->poll_timer, engine->timers, poll_fired);
    limits_read(engine);
}

void poll_done(Engine *engine)
{
    timer_disarm(&engine->poll_timer);
    for (ListNode *link; (link = list_first(&engine->polled));)
        polled_free(engine, CONTAINER_OF(link, PolledNode, link));
}
