/*
 * Folders that PictoPy is importing
 *
 * While the backend says that it reads a folder (indexing_status), and for a grace period before,
 * the folder is *held*: nothing in it is looked at or written, or both would make rows of the same
 * photos. When that is over it is scanned.
 */
#include <stdlib.h>
#include <string.h>

#include "sync/engine-private.h"
#include "util/array.h"
#include "util/clock.h"

static uint64_t path_hash(const char *path)
{
    return hash_bytes(path, strlen(path), 1);
}

static HeldFolder *held_find(const Engine *engine, const char *path)
{
    for (HashNode *h = hash_first(&engine->held_folders, path_hash(path)); h; h = hash_next(h)) {
        HeldFolder *held = CONTAINER_OF(h, HeldFolder, by_path);

        if (strcmp(held->path, path) == 0)
            return held;
    }
    return NULL;
}

/* import_holds() - is the folder at this path left alone? */
bool import_holds(const Engine *engine, const char *path)
{
    return engine->held_folders.count > 0 && held_find(engine, path);
}

static void hold(Engine *engine, const char *path, uint64_t until)
{
    HeldFolder *held = held_find(engine, path);
    Node *node = node_find(engine, path);

    if (!held) {
        held = calloc(1, sizeof(*held));
        if (held)
            held->path = strdup(path);
        if (!held || !held->path ||
            hash_insert(&engine->held_folders, &held->by_path, path_hash(path)) < 0) {
            if (held)
                free(held->path);
            free(held);
            return;
        }
    }
    held->held_until = until;
    held->seen = true;
    if (node)
        node->held = true;
}

static void held_free(Engine *engine, HeldFolder *held)
{
    hash_remove(&engine->held_folders, &held->by_path);
    free(held->path);
    free(held);
}

static void release(Engine *engine, HeldFolder *held)
{
    Node *node = node_find(engine, held->path);

    held_free(engine, held);
    if (!node)
        return;
    node->held = false;
    scan_node(engine, node, false, false);
}

/* Releases those for which ends() says so; the table must not change while it is walked. */
static void release_some(Engine *engine, bool (*ends)(const HeldFolder *held, uint64_t now))
{
    HeldFolder **ended = NULL;
    size_t n = 0;
    size_t capacity = 0;
    uint64_t now = clock_now();

    HASH_FOREACH (h, &engine->held_folders) {
        HeldFolder *held = CONTAINER_OF(h, HeldFolder, by_path);

        if (ends(held, now) && ARRAY_RESERVE(ended, capacity, n + 1) == 0)
            ended[n++] = held;
    }
    for (size_t i = 0; i < n; i++)
        release(engine, ended[i]);
    free(ended);
}

static bool is_imported(const HeldFolder *held, uint64_t now UNUSED)
{
    return held->held_until == 0 && !held->seen;
}

static bool grace_is_over(const HeldFolder *held, uint64_t now)
{
    return held->held_until != 0 && held->held_until <= now;
}

static void arm_timer(Engine *engine)
{
    uint64_t next = UINT64_MAX;

    HASH_FOREACH (h, &engine->held_folders) {
        const HeldFolder *held = CONTAINER_OF(h, HeldFolder, by_path);

        if (held->held_until != 0 && held->held_until < next)
            next = held->held_until;
    }
    if (next != UINT64_MAX)
        (void)timer_arm_at(&engine->held_timer, next);
}

static void fired(Timer *timer)
{
    Engine *engine = CONTAINER_OF(timer, Engine, held_timer);

    release_some(engine, grace_is_over);
    arm_timer(engine);
}

/*
 * imports_update() - the folders table has been read
 * @fresh: n_fresh folders that are new there, and not begun to be imported
 * @under_way: n_under_way folders that are being imported
 */
void imports_update(Engine *engine, const SnapshotFolder *const *fresh, size_t n_fresh,
                    const SnapshotFolder *const *under_way, size_t n_under_way)
{
    uint64_t grace = engine->config->sync_import_grace;

    HASH_FOREACH (h, &engine->held_folders)
        CONTAINER_OF(h, HeldFolder, by_path)->seen = false;
    for (size_t i = 0; i < n_fresh && grace > 0; i++)
        hold(engine, fresh[i]->path, clock_now() + grace);
    for (size_t i = 0; i < n_under_way; i++)
        hold(engine, under_way[i]->path, 0);
    release_some(engine, is_imported);
    arm_timer(engine);
}

void imports_init(Engine *engine)
{
    timer_init(&engine->held_timer, engine->timers, fired);
}

void imports_done(Engine *engine)
{
    timer_disarm(&engine->held_timer);
    for (HashNode *h; (h = hash_any(&engine->held_folders));)
        held_free(engine, CONTAINER_OF(h, HeldFolder, by_path));
    hash_done(&engine->held_folders);
}
