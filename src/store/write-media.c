/* Operations on media rows. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "store/ledger.h"
#include "store/retag.h"
#include "store/write.h"
#include "util/error.h"
#include "util/path.h"
#include "util/uuid.h"

static const char *const table_names[] = {[SCHEMA_IMAGES] = "images", [SCHEMA_VIDEOS] = "videos"};

static bool same_text(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) == 0 : a == b;
}

static const char *op_captured_at(const StoreOp *op)
{
    return op->captured_at[0] ? op->captured_at : NULL;
}

/* Finds or makes the folder row for a file at path; run->result is UNREGISTERED when it cannot be.
 */
static int media_folder(Writer *w, WriteRun *run, const char *path)
{
    CLEANUP_FREE char *parent = path_parent(path);
    bool inserted;
    int r;

    if (!parent)
        return error_trace(-ENOMEM);
    free(run->folder_id);
    run->folder_id = NULL;
    r = write_ensure_folder(w, parent, NULL, &run->folder_id, &inserted);
    if (!r && !run->folder_id)
        run->result = STORE_OP_RESULT_UNREGISTERED;
    return r;
}

/* ---- insert ---- */

static int insert_sql(const Writer *w, SchemaTable table, Text *sql)
{
    const SchemaMedia *media = &w->store->schema.media[table];

    text_printf(sql, "INSERT INTO %s (id, path, folder_id, thumbnailPath, metadata%s%s%s%s%s)",
                table_names[table], media->captured_at ? ", captured_at" : "",
                media->location ? ", latitude, longitude" : "",
                media->is_tagged ? ", isTagged" : "", media->is_favourite ? ", isFavourite" : "",
                media->is_embedded ? ", isEmbedded" : "");
    text_printf(sql, " VALUES (?1, ?2, ?3, ?4, ?5%s%s%s%s%s)", media->captured_at ? ", ?6" : "",
                media->location ? ", ?7, ?8" : "", media->is_tagged ? ", 0" : "",
                media->is_favourite ? ", 0" : "", media->is_embedded ? ", 0" : "");
    return sql->failed ? error_trace(-ENOMEM) : 0;
}

static int media_insert(Writer *w, WriteRun *run)
{
    const StoreOp *op = run->op;
    CLEANUP(text_done) Text sql = {0};
    char id[UUID_TEXT_SIZE];
    int r = write_exhume(w, run);

    if (r || run->result == STORE_OP_RESULT_DONE)
        return r;
    r = uuid_generate(id);
    if (!r)
        r = write_run_set(&run->id, id);
    if (!r)
        r = insert_sql(w, schema_table(op->media), &sql);
    if (!r)
        r = write_sql(w, sql.data, op->has_location ? "ssssssdd" : "ssssssnn", id, op->path,
                      run->folder_id, run->thumbnail, op->metadata, op_captured_at(op),
                      op->latitude, op->longitude);
    if (!r) {
        run->inserted = true;
        run->result = STORE_OP_RESULT_DONE;
    }
    return r;
}

/* ---- update ---- */

static bool location_differs(const StoreOp *op, const WriteRow *row)
{
    if (op->has_location != row->has_location)
        return true;
    return op->has_location && (op->latitude < row->latitude || op->latitude > row->latitude ||
                                op->longitude < row->longitude || op->longitude > row->longitude);
}

/* SET for the columns that change, no others: a trigger on a column fires when it is named. */
static void update_sets(const Writer *w, const WriteRun *run, const WriteRow *row, Text *sql)
{
    const SchemaMedia *media = &w->store->schema.media[row->table];
    const StoreOp *op = run->op;

    if (!same_text(op->metadata, row->metadata))
        text_append(sql, ", metadata = ?2");
    if (media->captured_at && !same_text(op_captured_at(op), row->captured_at))
        text_append(sql, ", captured_at = ?3");
    if (media->location && location_differs(op, row))
        text_append(sql, ", latitude = ?6, longitude = ?7");
    if (run->thumbnail)
        text_append(sql, ", thumbnailPath = ?4");
    if (run->folder_id && !same_text(run->folder_id, row->folder_id))
        text_append(sql, ", folder_id = ?5");
    if (run->untag)
        text_append(sql, ", isTagged = 0");
    if (run->unembed)
        text_append(sql, ", isEmbedded = 0");
}

/* Brings the row up to date; what the user made of it stays. */
static int media_update_row(Writer *w, WriteRun *run, const WriteRow *row)
{
    const StoreOp *op = run->op;
    CLEANUP(text_done) Text sets = {0}, sql = {0};
    int r = write_run_set(&run->id, row->id);

    if (r)
        return r;
    if (run->folder_id)
        r = write_run_set(&run->old_folder_id, row->folder_id);
    if (r)
        return r;
    update_sets(w, run, row, &sets);
    if (!sets.data && !sets.failed) {
        run->result = STORE_OP_RESULT_NOTHING;
        return 0;
    }
    text_printf(&sql, "UPDATE %s SET %s WHERE id = ?1", table_names[row->table],
                sets.failed ? "" : sets.data + 2);
    if (sql.failed || sets.failed)
        return error_trace(-ENOMEM);
    r = write_sql(w, sql.data, op->has_location ? "sssssdd" : "sssssnn", row->id, op->metadata,
                  op_captured_at(op), run->thumbnail, run->folder_id, op->latitude, op->longitude);
    if (!r && run->thumbnail)
        r = write_drop_thumbnail(w, row->thumbnail);
    if (!r)
        run->result = STORE_OP_RESULT_DONE;
    return r;
}

/* ---- the operations ---- */

static int check_path(Writer *w, const char *path)
{
    if (!path || path[0] != '/')
        return write_fail(w, "its path is not absolute");
    if (!path_is_utf8(path))
        return write_fail(w, "its name is not UTF-8");
    return 0;
}

static int check_table(Writer *w, MediaKind kind)
{
    SchemaTable table = schema_table(kind);

    if (w->store->schema.media[table].present)
        return 0;
    return write_fail(w, "the database has no table \"%s\"", table_names[table]);
}

/*
 * write_media_add() - a row for a new file
 *
 * A row that came to this path meanwhile (the backend imports too) keeps its id and is brought up
 * to date. One whose own move is still to come in this call gives way first.
 */
int write_media_add(Writer *w, WriteRun *run)
{
    StoreOp *op = run->op;
    CLEANUP(write_row_done) WriteRow row = {0};
    bool failed;
    int r = check_path(w, op->path);

    if (!r)
        r = check_table(w, op->media);
    if (!r)
        r = media_folder(w, run, op->path);
    if (r || run->result == STORE_OP_RESULT_UNREGISTERED)
        return r;
    r = write_find_path(w, schema_table(op->media), op->path, &row);
    if (!r && row.id && write_find_move(w, row.id, &failed)) {
        r = write_vacate(w, op->path, NULL);
        write_row_done(&row);
    }
    if (r)
        return r;
    return row.id ? media_update_row(w, run, &row) : media_insert(w, run);
}

/*
 * write_media_update() - metadata and, where one is given, a new thumbnail for a row
 *
 * Only while it still stands at op->path: what was read is the file there, and the row of another
 * one's since it followed its own file elsewhere.
 *
 * The file was modified. Whether the AI looks at it again is told in store/retag.c.
 */
int write_media_update(Writer *w, WriteRun *run)
{
    StoreOp *op = run->op;
    CLEANUP(write_row_done) WriteRow row = {0};
    int r = write_find_id(w, op->media, op->id, &row);

    if (r)
        return r;
    if (!row.id || (op->path && strcmp(row.path, op->path) != 0)) {
        run->result = STORE_OP_RESULT_ELSEWHERE;
        return 0;
    }
    r = ledger_claim(w, row.path, &op->stamp, &run->own_write);
    if (!r)
        r = retag_row(w, run, &row);
    if (!r)
        r = media_update_row(w, run, &row);
    return r ? r : write_run_set(&run->folder_id, row.folder_id);
}

/* Does the row that was to be moved stand where it was, and speak of the file that it did? */
static bool is_as_found(const Writer *w, const StoreOp *op, const WriteRow *row)
{
    State *state = &w->store->state;
    StateFile file;

    if (op->path && strcmp(row->path, op->path) != 0)
        return false;
    if (!op->path || op->stamp.ino == 0)
        return true;
    return (state_read_file(state, row->folder_id, row->id, &file) ||
            state_read_file_at(state, row->id, op->stamp.dev, op->stamp.ino, &file)) &&
           file_stamp_same_inode(&file.stamp, &op->stamp);
}

/* write_media_move() - a file's new path; its id, and all that hangs on it, stays */
int write_media_move(Writer *w, WriteRun *run)
{
    StoreOp *op = run->op;
    CLEANUP(write_row_done) WriteRow row = {0};
    int r = check_path(w, op->new_path);

    if (!r)
        r = write_find_id(w, op->media, op->id, &row);
    if (r)
        return r;
    if (!row.id) {
        run->result = STORE_OP_RESULT_NOTHING;
        return 0;
    }
    if (!run->parked && !op->by_path && !is_as_found(w, op, &row)) {
        run->result = STORE_OP_RESULT_NOTHING;
        return 0;
    }
    r = write_run_set(&run->id, row.id);
    if (!r)
        r = media_folder(w, run, op->new_path);
    if (r || run->result == STORE_OP_RESULT_UNREGISTERED)
        return r;
    if (strcmp(row.path, op->new_path) == 0) {
        run->result = STORE_OP_RESULT_NOTHING;
        return write_run_set(&run->folder_id, row.folder_id);
    }
    if (!run->old_folder_id)
        r = write_run_set(&run->old_folder_id, row.folder_id);
    if (!r)
        r = write_vacate(w, op->new_path, row.id);
    if (!r)
        r = write_set_path(w, &row, op->new_path, run->folder_id);
    if (!r)
        run->result = STORE_OP_RESULT_DONE;
    return r;
}

/* Its own row is not at the path any more. Another one may be, that took its place as a copy of its
 * own file (store/heir.c): the file is gone for that one too. */
static int remove_nothing(Writer *w, WriteRun *run)
{
    CLEANUP(write_row_done) WriteRow other = {0};
    int r = 0;

    run->result = STORE_OP_RESULT_NOTHING;
    if (run->op->path)
        r = write_find_path(w, schema_table(run->op->media), run->op->path, &other);
    if (!r && other.id)
        run->result = STORE_OP_RESULT_ELSEWHERE;
    return r;
}

/*
 * write_media_remove() - deletes a row with all that hangs on it; its thumbnail goes too
 *
 * Only while it still stands at op->path: a row that has followed its file elsewhere since the
 * removal was decided is another matter.
 */
int write_media_remove(Writer *w, WriteRun *run)
{
    StoreOp *op = run->op;
    CLEANUP(write_row_done) WriteRow row = {0};
    int r = write_find_id(w, op->media, op->id, &row);

    if (r)
        return r;
    if (!row.id || (op->path && strcmp(row.path, op->path) != 0)) {
        r = remove_nothing(w, run);
        return r || row.id || !op->id ? r : write_note_gone(w, op->folder_id, op->id);
    }
    r = write_run_set(&run->id, row.id);
    if (!r)
        r = write_run_set(&run->folder_id, row.folder_id);
    if (!r)
        r = write_remove_row(w, row.table, row.id, row.folder_id, row.thumbnail);
    if (!r && w->handed_to) {
        free(op->new_path);
        op->new_path = STEAL_PTR(w->handed_to);
    }
    if (!r)
        run->result = STORE_OP_RESULT_DONE;
    return r;
}
