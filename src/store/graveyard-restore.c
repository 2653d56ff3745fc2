/*
 * Restoring by hand: the row at a path gives way to one that was deleted.
 *
 * For files that came back in a way that the graveyard does not see: the backend had made a row for
 * them before, or their content differs from what was deleted. The row there must be one on which
 * the user has put nothing; what the AI has found for it may go, as it was found before.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "store/write.h"
#include "util/error.h"

/* Rows of these are the AI's. */
static bool is_machine_made(const char *table)
{
    static const char *const names[] = {"image_classes", "image_embeddings",       "video_classes",
                                        "video_frames",  "video_frame_embeddings", "faces"};

    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
        if (strcasecmp(names[i], table) == 0)
            return true;
    return false;
}

/* A face is the AI's until its cluster has a name. */
static int has_named_face(Writer *w, const GravePlan *plan, const char *id, bool *ret)
{
    CLEANUP_STATEMENT sqlite3_stmt *s = NULL;
    const GraveTable *faces = grave_table(plan, "faces");
    const GraveTable *clusters = grave_table(plan, "face_clusters");
    int r;

    *ret = false;
    if (!faces || !clusters || grave_column(faces, "cluster_id") == SIZE_MAX ||
        grave_column(faces, "image_id") == SIZE_MAX ||
        grave_column(clusters, "cluster_name") == SIZE_MAX)
        return 0;
    r = write_query(w, &s,
                    "SELECT 1 FROM faces JOIN face_clusters USING (cluster_id)"
                    " WHERE image_id = ?1 AND coalesce(cluster_name, '') <> ''",
                    "s", id);
    *ret = s != NULL;
    return r;
}

static int is_favourite(Writer *w, const WriteRow *row, bool *ret)
{
    CLEANUP_STATEMENT sqlite3_stmt *s = NULL;
    int r;

    *ret = false;
    if (!w->store->schema.media[row->table].is_favourite)
        return 0;
    r = write_query(w, &s,
                    row->table == SCHEMA_VIDEOS
                        ? "SELECT 1 FROM videos WHERE id = ?1 AND isFavourite"
                        : "SELECT 1 FROM images WHERE id = ?1 AND isFavourite",
                    "s", row->id);
    *ret = s != NULL;
    return r;
}

/* Are there rows of this chain? */
static int chain_is_used(Writer *w, const GraveChain *chain, const char *id, bool *ret)
{
    CLEANUP_STATEMENT sqlite3_stmt *s = NULL;
    int r =
        write_query(w, &s, chain->sql[0], chain->scanned ? "sii" : "s", id, INT64_MIN, INT64_MAX);

    *ret = s != NULL;
    return r;
}

/* WRITE_E_FAILED when the user has put something on the row. */
static int check_plain(Writer *w, const GravePlan *plan, const WriteRow *row)
{
    bool found;
    int r = is_favourite(w, row, &found);

    if (!r && found)
        return write_fail(w, "its row is a favourite already, so nothing was changed");
    if (!r)
        r = has_named_face(w, plan, row->id, &found);
    if (!r && found)
        return write_fail(w, "its row has a face with a name already, so nothing was changed");
    for (size_t i = 0; i < plan->n_chains && !r; i++) {
        const GraveChain *chain = &plan->chains[i];
        const char *table = plan->tables[chain->table].name;

        if (chain->root != row->table || chain->parent != SIZE_MAX || chain->broken ||
            chain->to_path || is_machine_made(table))
            continue;
        r = chain_is_used(w, chain, row->id, &found);
        if (!r && found)
            return write_fail(w, "its row is used in table \"%s\" already, so nothing was changed",
                              table);
    }
    return r;
}

/* ---- the grave ---- */

/* Takes the first whose row is not there: a killed process may leave others. */
static int take_grave(Writer *w, sqlite3_stmt *s, int64_t *ret_number, char **ret_id)
{
    char buffer[UUID_TEXT_SIZE];

    while (sqlite3_step(s) == SQLITE_ROW) {
        CLEANUP(write_row_done) WriteRow alive = {0};
        const char *id = row_id_column(s, 1, buffer);
        int r = write_find_id(w, MEDIA_KIND_NONE, id, &alive);

        if (r)
            return r;
        if (!id || alive.id)
            continue;
        *ret_number = sqlite3_column_int64(s, 0);
        *ret_id = strdup(id);
        return *ret_id ? 0 : error_trace(-ENOMEM);
    }
    return 0;
}

/* The latest of a row at this path, else of one with this content; *ret_id stays NULL. Whatever is
 * kept may be restored by hand, however old it is. */
static int find_grave(Writer *w, const WriteRow *row, const StoreOp *op, int64_t *ret_number,
                      char **ret_id)
{
    CLEANUP_STATEMENT sqlite3_stmt *s = NULL;
    State *state = &w->store->state;

    if (!state_check(state, database_prepare(&state->database,
                                             "SELECT number, id FROM graves WHERE kind = ?1"
                                             " AND (path = ?2 OR (fingerprint = ?3 AND size = ?4))"
                                             " ORDER BY path <> ?2, number DESC LIMIT 32",
                                             &s)))
        return 0;
    (void)sqlite3_bind_int64(s, 1, row->table);
    statement_bind_text(s, 2, row->path);
    if (op->has_fingerprint) {
        (void)sqlite3_bind_int64(s, 3, (sqlite3_int64)op->fingerprint);
        (void)sqlite3_bind_int64(s, 4, (sqlite3_int64)op->stamp.size);
    }
    return take_grave(w, s, ret_number, ret_id);
}

static void read_file(Writer *w, const WriteRow *row, StoreOp *op)
{
    StateFile file;

    if (!state_read_file(&w->store->state, row->folder_id, row->id, &file))
        return;
    op->stamp = file.stamp;
    op->has_fingerprint = file.has_fingerprint;
    op->fingerprint = file.fingerprint;
}

static int find_row(Writer *w, const char *path, WriteRow *row)
{
    int r = 0;

    for (SchemaTable t = 0; t < SCHEMA_N_MEDIA && !r && !row->id; t++)
        r = write_find_path(w, t, path, row);
    if (!r && !row->id)
        r = write_fail(w,
                       "it has no row yet: start the daemon, or wait until it has seen the file");
    return r;
}

#define DELETE_SQL(table) "DELETE FROM " table " WHERE id = ?1"
static const char *const delete_sql[] = SCHEMA_BOTH(DELETE_SQL);

/* row->id is the old id afterwards. */
static int replace_row(Writer *w, WriteRow *row, int64_t number, const char *old_id)
{
    int r = write_sql(w, delete_sql[row->table], "s", row->id);

    if (!r)
        r = write_note_gone(w, row->folder_id, row->id);
    if (!r)
        r = write_run_set(&row->id, old_id);
    return r ? r : write_exhume_grave(w, number, row);
}

/* write_media_restore() - the row at op->path becomes the one that was deleted */
int write_media_restore(Writer *w, WriteRun *run)
{
    StoreOp *op = run->op;
    CLEANUP(write_row_done) WriteRow row = {0};
    CLEANUP_FREE char *old_id = NULL;
    const GravePlan *plan;
    int64_t number = 0;
    int r = find_row(w, op->path, &row);

    if (r)
        return r;
    read_file(w, &row, op);
    r = find_grave(w, &row, op, &number, &old_id);
    if (!r && !old_id)
        return write_fail(w, "nothing of it is kept");
    if (!r)
        r = write_check(w, grave_plan(w->store, &plan));
    if (!r)
        r = check_plain(w, plan, &row);
    if (!r)
        r = write_run_set(&run->id, old_id);
    if (!r)
        r = write_run_set(&run->folder_id, row.folder_id);
    if (!r)
        r = replace_row(w, &row, number, old_id);
    if (!r)
        run->result = STORE_OP_RESULT_DONE;
    return r;
}
