/*
 * A directory was renamed: its folder row and all rows below it change their paths, and nothing
 * else. Ids, flags, thumbnails, faces, albums stay as they are; no photo is read again.
 *
 * To be whole this may hold the lock longer than other writes: up to MOVE_WHOLE photos change their
 * paths in one transaction, so that no reader sees half of them. Of a larger tree the folder rows
 * and the first part of the media rows are committed together, the rest in short transactions
 * behind it: rows still under the old path are known by that path alone, so the operation remembers
 * (StoreOp.partly) that its first part is done.
 *
 * A tree that has to wait for another one (it is parked), and all that move with it in one unit, go
 * whole, however many they are.
 *
 * Rows that stand below the new path already are of a directory that was there before, and go;
 * except those which a later operation of this call moves away. They, and a tree that is moved to
 * its own parent's place or below its own, wait under a path that nobody has until their turn.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "store/write.h"
#include "util/clock.h"
#include "util/error.h"
#include "util/path.h"

#define MOVE_PAGE_ROWS 1000
#define MOVE_PAGE      "1000"
#define MOVE_WHOLE     10000
#define MOVE_US        (90 * CLOCK_US_PER_MS) /* the commit takes its share of the 250 ms */
#define MOVE_REST_US   (60 * CLOCK_US_PER_MS) /* likewise: each commit waits for the disk */

/* ---- one tree from one path to another ---- */

/* ?1, ?2: the range; ?3: the new path; ?4: bytes of the old one. By bytes: substr() of text counts
 * characters and ends at a zero byte. */
#define MOVED(column) "?3 || CAST(substr(CAST(" column " AS BLOB), ?4 + 1) AS TEXT)"

#define IS_OBJECT                                                                                  \
    "CASE WHEN typeof(metadata) = 'text' AND json_valid(metadata)"                                 \
    " THEN json_type(metadata) = 'object' END"
#define MOVE_SQL(table)                                                                            \
    "UPDATE " table                                                                                \
    " SET path = " MOVED("path") ", metadata = CASE WHEN " IS_OBJECT                               \
                                 " THEN json_set(metadata, '$.file_location', " MOVED(             \
                                     "path") ") ELSE metadata END"                                 \
                                             " WHERE rowid IN (SELECT rowid FROM " table           \
                                             " WHERE path >= ?1 AND path < ?2"                     \
                                             " ORDER BY path LIMIT " MOVE_PAGE ")"
static const char *const move_sql[] = SCHEMA_BOTH(MOVE_SQL);

typedef struct Tree {
    const char *from;
    const char *to;
    char *first, *end; /* the range below from */
} Tree;

static int tree_init(Tree *tree, const char *from, const char *to)
{
    *tree = (Tree){.from = from, .to = to};
    return path_range(from, &tree->first, &tree->end) ? error_trace(-ENOMEM) : 0;
}

static void tree_done(Tree *tree)
{
    free(tree->first);
    free(tree->end);
}

static int tree_run(Writer *w, const Tree *tree, const char *sql)
{
    int64_t size = (int64_t)strlen(tree->from);

    /* Below "/" the slash belongs to the directory. */
    if (size == 1)
        size = 0;
    return write_sql(w, sql, "sssis", tree->first, tree->end, tree->to, size, tree->from);
}

static int tree_move_folders(Writer *w, const Tree *tree)
{
    int r = tree_run(
        w, tree,
        "UPDATE folders SET folder_path = " MOVED(
            "folder_path") " WHERE folder_path = ?5 OR (folder_path >= ?1 AND folder_path < ?2)");

    if (!r && w->store->schema.album_cover)
        r = tree_run(
            w, tree,
            "UPDATE albums SET cover_image_path = " MOVED(
                "cover_image_path") " WHERE cover_image_path >= ?1 AND cover_image_path < ?2");
    return r;
}

/* How far a move may go in one transaction. */
typedef struct MoveLimit {
    int64_t whole; /* rows that go in any case, */
    uint64_t us;   /* and then: microseconds of holding the lock */
} MoveLimit;

static const MoveLimit move_first = {MOVE_WHOLE, MOVE_US}, move_rest = {0, MOVE_REST_US},
                       move_all = {INT64_MAX, UINT64_MAX};

static int tree_move_media(Writer *w, const Tree *tree, SchemaTable table, const MoveLimit *limit,
                           int64_t *n_moved)
{
    for (;;) {
        int r = tree_run(w, tree, move_sql[table]);
        int n = r ? 0 : sqlite3_changes(w->store->database.handle);

        *n_moved += n;
        if (r || n < MOVE_PAGE_ROWS)
            return r;
        if (*n_moved > limit->whole && write_time_is_up(w, limit->us))
            return WRITE_E_PARTIAL;
    }
}

static int tree_move_all_media(Writer *w, const Tree *tree, const MoveLimit *limit)
{
    int64_t n_moved = 0;
    int r = 0;

    for (SchemaTable t = 0; t < SCHEMA_N_MEDIA && !r; t++)
        if (w->store->schema.media[t].present)
            r = tree_move_media(w, tree, t, limit, &n_moved);
    return r;
}

#define ANY_SQL(table)                                                                             \
    "SELECT 1 WHERE EXISTS (SELECT 1 FROM folders WHERE folder_path = ?1 OR"                       \
    " (folder_path >= ?2 AND folder_path < ?3)) OR EXISTS (SELECT 1"                               \
    " FROM " table " WHERE path >= ?2 AND path < ?3)"
static const char *const any_sql[] = SCHEMA_BOTH(ANY_SQL);

/* Is there a row at or below this path? */
static int tree_exists(Writer *w, const char *path, bool *ret)
{
    CLEANUP_FREE char *first = NULL, *end = NULL;
    int r = path_range(path, &first, &end) ? error_trace(-ENOMEM) : 0;

    *ret = false;
    for (SchemaTable t = 0; t < SCHEMA_N_MEDIA && !r && !*ret; t++) {
        CLEANUP_STATEMENT sqlite3_stmt *s = NULL;

        if (!w->store->schema.media[t].present)
            continue;
        r = write_query(w, &s, any_sql[t], "sss", path, first, end);
        *ret = s != NULL;
    }
    return r;
}

/* ---- making room ---- */

static int park_tree(Writer *w, const char *path, char **ret_parked)
{
    CLEANUP(tree_done) Tree tree = {0};
    CLEANUP_FREE char *parked = NULL;
    int r = write_parking_path(&parked);

    if (!r)
        r = tree_init(&tree, path, parked);
    if (!r)
        r = tree_move_folders(w, &tree);
    if (!r) /* the parent's row may be removed meanwhile, and cascades */
        r = write_sql(w,
                      "UPDATE folders SET parent_folder_id = NULL WHERE folder_path = ?1"
                      " AND parent_folder_id IS NOT NULL",
                      "s", parked);
    if (!r)
        r = tree_move_all_media(w, &tree, &move_all);
    if (!r)
        r = write_places_moved(w, path, parked);
    if (!r)
        *ret_parked = STEAL_PTR(parked);
    return r;
}

/* It would be removed, or would take along what comes to the new path. */
static bool is_in_the_way(const char *place, const char *new_path)
{
    return path_is_within(place, new_path) || path_is_below(new_path, place);
}

/* One that waits goes on in this unit, and before it what comes above its new path. */
static int join_with_those_above(Writer *w, WriteRun *waiting)
{
    int r = write_join_unit(w, waiting);

    for (size_t i = 0; i < w->n_runs && !r; i++) {
        WriteRun *run = &w->runs[i];

        if (run->op->kind == STORE_OP_FOLDER_MOVE && run->result == STORE_OP_RESULT_PENDING &&
            path_is_below(waiting->op->new_path, run->op->new_path))
            r = write_join_unit(w, run);
    }
    return r;
}

/* Trees that later operations of this call move away from the new path, or from above it. One that
 * is not there has nothing to move, and must not take what comes there now for its own. */
static int park_other_trees(Writer *w, const WriteRun *run)
{
    for (size_t i = 0; i < w->n_runs && run->meets; i++) {
        WriteRun *other = &w->runs[i];
        bool exists;
        int r;

        if (other == run || other->op->kind != STORE_OP_FOLDER_MOVE || other->parked ||
            other->op->partly || !is_in_the_way(write_place(other), run->op->new_path))
            continue;
        if (!other->op->new_path || !path_is_utf8(other->op->new_path))
            continue; /* no row can go there: it is gone */
        if (other->result == STORE_OP_RESULT_FAILED)
            return write_fail(w, "the folder that was at its new path could not be moved away");
        if (other->result != STORE_OP_RESULT_PENDING)
            continue;
        r = tree_exists(w, write_place(other), &exists);
        if (!r && !exists)
            other->result = STORE_OP_RESULT_NOTHING;
        if (!r && exists)
            r = park_tree(w, write_place(other), &other->parked);
        if (!r && exists)
            r = join_with_those_above(w, other);
        if (r)
            return r;
    }
    return 0;
}

/* Rows below the new path that single moves, later in this call, take away. */
static int park_other_media(Writer *w, const WriteRun *run)
{
    for (size_t i = 0; i < w->n_runs; i++) {
        CLEANUP(write_row_done) WriteRow row = {0};
        WriteRun *other = &w->runs[i];
        int r;

        if (other->op->kind != STORE_OP_MEDIA_MOVE || other->parked ||
            other->result != STORE_OP_RESULT_PENDING)
            continue;
        r = write_find_id(w, other->op->media, other->op->id, &row);
        if (!r && row.id && path_is_within(row.path, run->op->new_path))
            r = write_park_row(w, other, &row);
        if (r)
            return r;
    }
    return 0;
}

static int make_room(Writer *w, WriteRun *run)
{
    const char *path = run->op->new_path;
    bool exists;
    bool any = false;
    int r;

    /* Into one that has taken its place since, or out to where that was. */
    if (!run->parked &&
        (path_is_within(write_place(run), path) || path_is_below(path, write_place(run)))) {
        r = park_tree(w, write_place(run), &run->parked);
        if (r)
            return r;
    }
    r = tree_exists(w, path, &exists);
    if (!r)
        r = park_other_trees(w, run);
    if (!r && exists)
        r = park_other_media(w, run);
    if (!r)
        r = write_remove_tree(w, path, true, &any);
    return r;
}

/* ---- the operation ---- */

static int set_parent(Writer *w, const char *path, char **ret_id)
{
    CLEANUP_FREE char *parent_id = NULL;
    int r = write_parent_id(w, path, true, &parent_id);

    if (!r)
        r = write_sql(w,
                      "UPDATE folders SET parent_folder_id = ?2 WHERE folder_path = ?1"
                      " AND parent_folder_id IS NOT ?2",
                      "ss", path, parent_id);
    return r ? r : write_folder_id(w, path, ret_id);
}

static int move_begin(Writer *w, WriteRun *run, Tree *tree)
{
    int r = make_room(w, run);

    if (!r)
        r = tree_init(tree, run->parked ? run->parked : write_place(run), run->op->new_path);
    if (!r)
        r = tree_move_folders(w, tree);
    if (!r)
        r = write_places_moved(w, tree->from, tree->to);
    if (!r)
        r = set_parent(w, run->op->new_path, &run->folder_id);
    return r;
}

static int move_check(Writer *w, const StoreOp *op)
{
    if (!op->path || !op->new_path || op->new_path[0] != '/')
        return write_fail(w, "its path is not absolute");
    if (!path_is_utf8(op->new_path))
        return write_fail(w, "its name is not UTF-8");
    return 0;
}

/* The rest of a large tree; its first part was committed before. */
static int move_continue(Writer *w, WriteRun *run)
{
    CLEANUP(tree_done) Tree tree = {0};
    int r = tree_init(&tree, write_place(run), run->op->new_path);

    if (!r)
        r = tree_move_all_media(w, &tree, &move_rest);
    if (!r && !run->folder_id)
        r = write_folder_id(w, run->op->new_path, &run->folder_id);
    if (!r)
        run->result = STORE_OP_RESULT_DONE;
    return r;
}

/* write_folder_move() - see the head of this file. One that stays where it is must be kept there
 * all the same when what is around it moves */
int write_folder_move(Writer *w, WriteRun *run)
{
    CLEANUP(tree_done) Tree tree = {0};
    bool exists = true;
    int r = move_check(w, run->op);

    if (r)
        return r;
    if (run->op->partly)
        return move_continue(w, run);
    if (!run->parked)
        r = tree_exists(w, write_place(run), &exists);
    if (r)
        return r;
    if (!exists || (!run->meets && strcmp(write_place(run), run->op->new_path) == 0)) {
        run->result = STORE_OP_RESULT_NOTHING;
        return 0;
    }
    r = move_begin(w, run, &tree);
    if (!r)
        r = tree_move_all_media(w, &tree, run->parked || w->n_unit > 1 ? &move_all : &move_first);
    if (!r)
        run->result = STORE_OP_RESULT_DONE;
    return r;
}
