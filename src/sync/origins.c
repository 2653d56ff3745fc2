/*
 * Directories that were moved while nobody looked
 *
 * The daemon did not run, or events were lost: a scan finds a directory at a path where no row
 * stands, or in the place of another one, and the state database knows its inode from a path where
 * it is not any more (store/origin.c). Then its rows follow it as they would have followed a
 * rename: one operation for the directory and all that is below it, whose ids all stay.
 *
 *     suspected ─▶ looked at ─▶ proven ─▶ moved (sync/moves.c) ─▶ scanned again
 *                      │          │ └─ the place is taken: when all has been seen
 *                      └──────────┴──▶ not that one: scanned again, as what it is
 *
 * Proof: at the old path there is not that directory, which is looked at on its volume's thread,
 * and below the new path one photo is what its row says. Of a directory without any photo its birth
 * is proof enough, where the old path is gone and the new one free.
 *
 * The new path may be that of other rows: directories that exchanged their places, or went round.
 * When everything has been seen, those move together that make room for one another. Any other is
 * no move: its photos are found one by one, by their inodes, and the guard counts those that are
 * gone.
 *
 * A directory in whose place another one is now may be found further on. Until everything has been
 * seen nothing of the new one is written: the row still tells which one it is of.
 *
 * Meanwhile nothing below the directory is compared: the node is `moving`.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "sync/engine-private.h"

#define ORIGINS_ACTIVE 64  /* are looked at and moved at a time; further ones are put off */
#define ORIGINS_MAX    256 /* with those that wait for others; further ones are not taken for any */

typedef enum OriginState {
    ORIGIN_STATE_LOOKING,
    ORIGIN_STATE_WAITING, /* proven */
    ORIGIN_STATE_MOVING,
} OriginState;

typedef struct Origin {
    ListNode link; /* Engine.origins */
    Engine *engine;
    OriginState state;
    Node *node; /* referenced */
    uint64_t ino;
    uint64_t begun;  /* Tree.n_moves */
    char *rows_path; /* where its rows are; NULL: it has none, those at its path are not its */
    StoreOrigin known;
    ProbeJob probe;
    Volume *volume; /* one user of it, while it is looked at */
    bool occupied;  /* other rows stand at its path */
    bool together;  /* they move away with it */
} Origin;

static void origin_free(Origin *origin)
{
    list_remove(&origin->link);
    origin->engine->n_origins--;
    origin->node->moving = false;
    probe_job_done(&origin->probe);
    store_origin_done(&origin->known);
    (void)volume_release(origin->volume);
    (void)node_unref(origin->node);
    free(origin->rows_path);
    free(origin);
}

/* Its rows have followed, or are not its: what is there is compared, with all that is below. One
 * that was moved meanwhile is looked for once more. */
static void origin_end(Origin *origin)
{
    Engine *engine = origin->engine;
    Node *node = node_ref(origin->node);
    bool moved =
        origin->state != ORIGIN_STATE_MOVING && node_moved_since(engine->tree, node, origin->begun);

    origin_free(origin);
    node->settled = !moved;
    scan_node(engine, node, false, false);
    (void)node_unref(node);
    engine_changed(engine);
}

/* origins_under_way() - how many there are, those of volumes that do not answer aside */
size_t origins_under_way(const Engine *engine)
{
    size_t n = 0;

    if (engine->n_origins == 0)
        return 0;
    LIST_FOREACH (link, &engine->origins) {
        const Origin *origin = CONTAINER_OF(link, Origin, link);

        n += !origin->volume || !origin->volume->hung;
    }
    return n;
}

/* origins_ask_for() - is it still to be found out where the rows of this directory are? */
bool origins_ask_for(const Engine *engine, const Node *node)
{
    if (engine->n_origins == 0)
        return false;
    LIST_FOREACH (link, &engine->origins) {
        const Origin *origin = CONTAINER_OF(link, Origin, link);

        if (origin->state != ORIGIN_STATE_MOVING && node_is_within(node, origin->node))
            return true;
    }
    return false;
}

/* ---- looking ---- */

/* Whatever device it is on: a file system and a copy of it (a clone of the drive, a snapshot) give
 * the same identifier, inodes and births, and then the one that stays has the rows. */
static bool is_directory(const Entry *entry, const Origin *origin)
{
    return entry->type == ENTRY_TYPE_DIRECTORY && entry->stamp.ino == origin->ino;
}

/* Is the directory not at its old path any more? That it cannot be looked at is no answer. */
static bool has_left(const Origin *origin, bool *ret_gone)
{
    const ProbeDirectory *above = &origin->probe.directories[0];
    const Entry *entry = &above->names[0].entry;

    *ret_gone = above->result == PROBE_RESULT_MISSING || entry->type == ENTRY_TYPE_ABSENT;
    if (above->result != PROBE_RESULT_OK)
        return above->result == PROBE_RESULT_MISSING;
    return entry->type != ENTRY_TYPE_ERROR && !is_directory(entry, origin);
}

static bool has_photo(const Origin *origin)
{
    for (size_t i = 0; i < origin->known.n_samples; i++) {
        const ProbeDirectory *directory = &origin->probe.directories[i + 1];
        const Entry *entry = &directory->names[0].entry;

        if (directory->result == PROBE_RESULT_OK && entry->type == ENTRY_TYPE_FILE &&
            file_stamp_same_content(&entry->stamp, &origin->known.samples[i].stamp))
            return true;
    }
    return false;
}

static bool is_proven(const Origin *origin)
{
    bool gone;

    if (!has_left(origin, &gone))
        return false;
    return has_photo(origin) ||
           (!origin->known.has_media && origin->known.is_born && gone && !origin->occupied);
}

static void looked(WorkerJob *job)
{
    Origin *origin = CONTAINER_OF(CONTAINER_OF(job, ProbeJob, job), Origin, probe);
    Engine *engine = origin->engine;

    volume_answered(engine, origin->volume);
    origin->volume = volume_release(origin->volume);
    if (job->cancelled || !engine->running) {
        origin_free(origin);
    } else if (is_proven(origin)) {
        origin->state = ORIGIN_STATE_WAITING;
        engine_changed(engine);
    } else {
        origin_end(origin);
    }
}

static int look(Origin *origin, const char *path)
{
    int r = probe_path(&origin->probe, origin->rows_path, true, NULL);

    for (size_t i = 0; i < origin->known.n_samples && r == 0; i++) {
        CLEANUP_FREE char *sample = path_join(path, origin->known.samples[i].below);

        r = sample ? probe_path(&origin->probe, sample, false, NULL) : -ENOMEM;
    }
    if (r == 0)
        volume_submit(origin->engine, origin->volume, &origin->probe.job);
    return r;
}

/* ---- suspicions ---- */

/* Is another directory there than that of the row? */
static bool is_replaced(const StoreDirectory *rows, const Listing *listing)
{
    bool is_known = rows->folder_id && rows->ino != 0 && rows->volume == listing->volume;

    return is_known && (rows->ino != listing->ino ||
                        (rows->born != 0 && listing->born != 0 && rows->born != listing->born));
}

/* origin_look_up() - do rows at another path belong to this directory? 0, STORE_E_… or negative */
int origin_look_up(JoinDirectory *directory, Store *store)
{
    const StoreDirectory *rows = &directory->rows;
    const Listing *listing = directory->listing;

    if ((rows->folder_id && !is_replaced(rows, listing)) || listing->ino == 0 ||
        listing->error != 0 || directory->result.verdict != RECONCILE_VERDICT_TRUSTED)
        return 0;
    return store_read_origin(store, directory->path, listing->volume, listing->ino, listing->born,
                             &directory->origin);
}

static Origin *origin_new(Engine *engine, const JoinDirectory *directory)
{
    const StoreDirectory *rows = &directory->rows;
    Origin *origin = calloc(1, sizeof(*origin));

    if (!origin)
        return NULL;
    origin->engine = engine;
    origin->node = node_ref(directory->node);
    origin->node->moving = true;
    origin->ino = directory->listing->ino;
    origin->begun = engine->tree->n_moves;
    origin->occupied = rows->folder_id || rows->n_entries > 0 || rows->n_children > 0;
    probe_job_init(&origin->probe, looked);
    list_append(&engine->origins, &origin->link);
    engine->n_origins++;
    return origin;
}

/* Without rows of its own it only waits. */
static bool take_replaced(Engine *engine, const JoinDirectory *directory)
{
    Origin *origin = origin_new(engine, directory);

    if (origin)
        origin->state = ORIGIN_STATE_WAITING;
    return origin;
}

static bool take_suspected(Engine *engine, JoinDirectory *directory)
{
    Origin *origin = origin_new(engine, directory);

    if (!origin)
        return false;
    origin->volume = volume_use(volume_of(engine, directory->node));
    origin->known = directory->origin;
    directory->origin = (StoreOrigin){0};
    origin->rows_path = strdup(origin->known.path);
    if (origin->rows_path &&
        volume_may_look(engine, origin->volume, origin->rows_path) != VOLUME_LOOK_NEVER &&
        look(origin, directory->path) == 0)
        return true;
    origin_free(origin);
    return false;
}

/* Those that hang do not count: what is put off is scanned again and again until there is room. */
static size_t count_active(const Engine *engine)
{
    size_t n = 0;

    LIST_FOREACH (link, &engine->origins) {
        const Origin *origin = CONTAINER_OF(link, Origin, link);

        n += origin->state != ORIGIN_STATE_WAITING && !(origin->volume && origin->volume->hung);
    }
    return n;
}

/* What is below one that nobody missed is not missed either. */
static bool is_settled(const Node *node)
{
    for (; node; node = node->parent)
        if (node->settled)
            return true;
    return false;
}

/*
 * origins_take() - is this directory, just compared with the rows at its path, to be left alone?
 *
 * True where its own rows are to follow it first, or may be: it is scanned again then. Where events
 * tell what is moved, nothing is waited for.
 */
bool origins_take(Engine *engine, JoinDirectory *directory)
{
    Node *node = directory->node;

    if (node_is_moving(node))
        return true;
    if (node->settled || node->is_root || node->place > 0 || engine->n_origins >= ORIGINS_MAX ||
        !volume_of(engine, node))
        return false;
    if (!directory->origin.path)
        return engine->n_root_scans > 0 && is_replaced(&directory->rows, directory->listing) &&
               !is_settled(node) && take_replaced(engine, directory);
    /* Rows may have come to its place since they were asked for. */
    if (count_active(engine) >= ORIGINS_ACTIVE || directory->n_rows_moved != engine->n_rows_moved) {
        node->trusted = false; /* it is compared once more */
        dirty_add(engine, node, false);
        return true;
    }
    return take_suspected(engine, directory);
}

/* ---- moving ---- */

static bool makes_free(const PathMove *moves, size_t n_moves, const char *path)
{
    for (size_t i = 0; i < n_moves; i++)
        if (root_is_covered(path, moves[i].from))
            return true;
    return false;
}

/* origins_occupy() - a row came to this path: those of an origin must not be moved over it */
void origins_occupy(Engine *engine, const char *path)
{
    engine->n_rows_moved++;
    LIST_FOREACH (link, &engine->origins) {
        Origin *origin = CONTAINER_OF(link, Origin, link);
        CLEANUP_FREE char *place = node_path_new(origin->node);

        if (!place || root_is_covered(path, place))
            origin->occupied = true;
    }
}

/* origins_moved() - directories' rows went from their paths to others. Those of an origin may have
 * followed it by this, and are at its place. */
void origins_moved(Engine *engine, const PathMove *moves, size_t n_moves)
{
    LIST_FOREACH (link, &engine->origins) {
        Origin *origin = CONTAINER_OF(link, Origin, link);
        CLEANUP_FREE char *path = node_path_new(origin->node);
        char *moved;

        if (path && makes_free(moves, n_moves, path))
            origin->occupied = false;
        if (!origin->rows_path || path_moved(origin->rows_path, moves, n_moves, true, &moved) < 0 ||
            !moved)
            continue;
        free(origin->rows_path);
        origin->rows_path = moved;
    }
    for (size_t i = 0; i < n_moves; i++)
        origins_occupy(engine, moves[i].to);
}

/* The root that a path is below; NULL: there is none, or it is that path. */
static Root *root_above(const Engine *engine, const char *path)
{
    Root *found = NULL;

    LIST_FOREACH (link, &engine->roots) {
        Root *root = CONTAINER_OF(link, Root, link);

        if (!root->gone && path_is_below(path, root->path))
            found = root;
        if (!root->gone && strcmp(path, root->path) == 0)
            return NULL;
    }
    return found;
}

/* Things have changed since it was looked at. */
static bool is_void(const Origin *origin)
{
    const Root *root = root_above(origin->engine, origin->rows_path);

    return origin->node->detached || !root || root->state == ROOT_STATE_OFFLINE ||
           import_holds(origin->engine, origin->rows_path) ||
           node_moved_since(origin->engine->tree, origin->node, origin->begun);
}

/* Is all of the library watched that the old path is in? */
static bool is_root_seen(const Origin *origin)
{
    const Root *root = root_above(origin->engine, origin->rows_path);

    return root && root->state == ROOT_STATE_ONLINE;
}

static void origin_move(Origin *origin)
{
    if (moves_record_from(&origin->engine->moves, origin->node, origin->rows_path))
        origin->state = ORIGIN_STATE_MOVING;
    else
        origin_end(origin);
}

/* The user's removals follow all that move at once. only: this one; NULL: all that go together. */
static void move_excluded(Engine *engine, const Origin *only)
{
    CLEANUP_FREE PathMove *moves = NULL;
    size_t n = 0;

    if (engine->n_excluded > 0)
        moves = calloc(engine->n_origins, sizeof(*moves));
    if (!moves)
        return;
    LIST_FOREACH (link, &engine->origins) {
        const Origin *origin = CONTAINER_OF(link, Origin, link);
        char *path =
            (only ? origin == only : origin->together) ? node_path_new(origin->node) : NULL;

        if (path)
            moves[n++] = (PathMove){origin->rows_path, path};
    }
    path_moves_sort(moves, n);
    excluded_moved(engine, moves, n);
    excluded_unwatch(engine);
    for (size_t i = 0; i < n; i++)
        free((char *)moves[i].to);
}

static void origin_step(Origin *origin)
{
    switch (origin->state) {
    case ORIGIN_STATE_LOOKING:
        return;
    case ORIGIN_STATE_WAITING:
        if (origin->rows_path ? is_void(origin) : !origin->occupied)
            origin_end(origin);
        else if (!origin->occupied && is_root_seen(origin)) {
            move_excluded(origin->engine, origin);
            origin_move(origin);
        }
        return;
    case ORIGIN_STATE_MOVING:
        if (!origin->engine->moving && !moves_has(&origin->engine->moves, origin->node))
            origin_end(origin);
        return;
    }
}

/* ---- those that are in one another's way ---- */

static bool all_seen(const Engine *engine)
{
    if (engine->n_origins == 0 || !engine_walks_idle(engine))
        return false;
    LIST_FOREACH (link, &engine->origins) {
        const Origin *origin = CONTAINER_OF(link, Origin, link);

        if (origin->state != ORIGIN_STATE_WAITING && !(origin->volume && origin->volume->hung))
            return false;
    }
    return true;
}

/* Will the rows at its path move away? */
static bool makes_room(const Origin *origin)
{
    CLEANUP_FREE char *path = node_path_new(origin->node);

    LIST_FOREACH (link, &origin->engine->origins) {
        const Origin *other = CONTAINER_OF(link, Origin, link);

        if (other->together && path && strcmp(other->rows_path, path) == 0)
            return true;
    }
    return false;
}

static void resolve(Engine *engine)
{
    bool changed = true;

    LIST_FOREACH (link, &engine->origins) {
        Origin *origin = CONTAINER_OF(link, Origin, link);

        origin->together =
            origin->state == ORIGIN_STATE_WAITING && origin->rows_path && is_root_seen(origin);
    }
    while (changed) {
        changed = false;
        LIST_FOREACH (link, &engine->origins) {
            Origin *origin = CONTAINER_OF(link, Origin, link);

            if (origin->together && origin->occupied && !makes_room(origin)) {
                origin->together = false;
                changed = true;
            }
        }
    }
    move_excluded(engine, NULL);
    LIST_FOREACH_SAFE (link, tmp, &engine->origins) {
        Origin *origin = CONTAINER_OF(link, Origin, link);

        if (origin->together)
            origin_move(origin);
        else if (origin->state == ORIGIN_STATE_WAITING)
            origin_end(origin);
    }
}

/* origins_run() - let those go on whose time has come */
void origins_run(Engine *engine)
{
    /* Rows that are on their way may come to the place of one of them. */
    if (engine->n_origins == 0 || engine->moving)
        return;
    LIST_FOREACH_SAFE (link, tmp, &engine->origins)
        origin_step(CONTAINER_OF(link, Origin, link));
    if (all_seen(engine))
        resolve(engine);
}

/* origins_clear() - forget them; those that are being looked at come back by themselves */
void origins_clear(Engine *engine)
{
    LIST_FOREACH_SAFE (link, tmp, &engine->origins) {
        Origin *origin = CONTAINER_OF(link, Origin, link);

        if (origin->state != ORIGIN_STATE_LOOKING)
            origin_free(origin);
    }
}
