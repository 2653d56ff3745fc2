/* What happens around the transactions: thumbnail files, and the state database. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "store/thumbnails.h"
#include "store/write.h"
#include "util/error.h"

#define STAGE_FILES 64 /* open at a time */

/* ---- before: new thumbnails ---- */

static bool run_has_thumbnail(const WriteRun *run)
{
    const StoreOp *op = run->op;

    return (op->kind == STORE_OP_MEDIA_ADD || op->kind == STORE_OP_MEDIA_UPDATE) &&
           op->thumbnail_fd >= 0 && !run->kept_thumbnail && run->result == STORE_OP_RESULT_PENDING;
}

static int run_fail(WriteRun *run, int r)
{
    Text error = {0};

    text_printf(&error, "its thumbnail cannot be written: %s", strerror(-r));
    free(run->error);
    run->error = NULL;
    run->result = STORE_OP_RESULT_FAILED;
    return text_steal(&error, &run->error);
}

/* Names and announces the files, all in one small transaction of the state database. */
static int stage_announce(Writer *w, bool *ret_any)
{
    *ret_any = false;
    state_write_begin(&w->store->state);
    for (size_t i = 0; i < w->n_runs; i++) {
        WriteRun *run = &w->runs[i];
        int r;

        if (!run_has_thumbnail(run))
            continue;
        r = thumbnails_name(w->store, &run->thumbnail);
        if (r) {
            state_end(&w->store->state);
            return r;
        }
        state_announce(&w->store->state, run->thumbnail);
        *ret_any = true;
    }
    state_end(&w->store->state);
    if (*ret_any)
        store_step(w->store, STORE_STEP_ANNOUNCED);
    return 0;
}

typedef struct StageFile {
    WriteRun *run;
    int file;
} StageFile;

static int stage_sync(StageFile *files, size_t n)
{
    int r = 0;

    for (size_t i = 0; i < n; i++) {
        int r2 = thumbnails_sync(files[i].file);

        if (r2)
            r2 = run_fail(files[i].run, r2);
        r = r ? r : r2;
    }
    return r;
}

static int stage_write(Writer *w, WriteRun *run, StageFile *files, size_t *n)
{
    int r = thumbnails_write(w->store, run->thumbnail, run->op->thumbnail_fd, &files[*n].file);

    if (r)
        return run_fail(run, r);
    files[(*n)++].run = run;
    return 0;
}

static int stage_write_all(Writer *w)
{
    StageFile files[STAGE_FILES];
    size_t n = 0;
    int r = 0, r2;

    for (size_t i = 0; i < w->n_runs && !r; i++) {
        if (!w->runs[i].thumbnail || w->runs[i].result != STORE_OP_RESULT_PENDING)
            continue;
        if (n == STAGE_FILES) {
            r = stage_sync(files, n);
            n = 0;
        }
        if (!r)
            r = stage_write(w, &w->runs[i], files, &n);
    }
    r2 = stage_sync(files, n);
    return r ? r : r2;
}

static int stage_fail_all(Writer *w, int error)
{
    for (size_t i = 0; i < w->n_runs; i++) {
        int r = w->runs[i].thumbnail ? run_fail(&w->runs[i], error) : 0;

        if (r)
            return r;
    }
    return 0;
}

/*
 * write_stage_thumbnails() - writes the new thumbnails of all operations, outside of any lock
 *
 * An operation whose file cannot be written has failed; that is no error here.
 */
int write_stage_thumbnails(Writer *w)
{
    bool any;
    int r = stage_announce(w, &any);

    if (r || !any)
        return r;
    r = thumbnails_make_directory(w->store);
    return r ? stage_fail_all(w, r) : stage_write_all(w);
}

/*
 * write_unstage() - at the end: removes new thumbnails that no row names
 * @certain: it is known what was committed. After an I/O error it is not: the files stay announced,
 *           and thumbnails_recover() asks the database when it can be read again.
 */
void write_unstage(Writer *w, bool certain)
{
    State *state = &w->store->state;
    bool any = false;

    for (size_t i = 0; i < w->n_runs; i++)
        any |= w->runs[i].thumbnail != NULL;
    if (!any)
        return;
    if (!certain) {
        w->store->recovered = false;
        return;
    }
    for (size_t i = 0; i < w->n_runs; i++)
        if (w->runs[i].thumbnail)
            thumbnails_remove(w->store, w->runs[i].thumbnail);
    state_write_begin(state);
    for (size_t i = 0; i < w->n_runs; i++)
        if (w->runs[i].thumbnail)
            state_announce_done(state, w->runs[i].thumbnail);
    state_end(state);
}

/* ---- thumbnails that rows give up ---- */

/* write_announce_removals() - a killed process must not leave what its commit made superfluous */
void write_announce_removals(Writer *w)
{
    if (w->unlink.count == 0)
        return;
    state_write_begin_soon(&w->store->state);
    for (size_t i = 0; i < w->unlink.count; i++)
        state_announce(&w->store->state, w->unlink.items[i]);
    state_end(&w->store->state);
    store_step(w->store, STORE_STEP_REMOVAL_ANNOUNCED);
}

/* ---- behind a commit ---- */

static void apply_stamp(State *state, const char *folder_id, const char *id, const StoreOp *op)
{
    state_write_file(state, folder_id, id, &op->stamp,
                     op->has_fingerprint ? &op->fingerprint : NULL);
}

static void apply_directory(State *state, const char *folder_id, const StoreOp *op)
{
    StateFolder folder = {
        .has_volume = true, .volume = op->volume, .ino = op->ino, .born = op->born};

    if (folder_id && op->has_volume)
        state_write_folder(state, folder_id, &folder);
}

/* A row that is not there has no stamp either. */
static bool run_has_row(const WriteRun *run)
{
    return run->id &&
           (run->result == STORE_OP_RESULT_DONE || run->result == STORE_OP_RESULT_NOTHING);
}

static void apply_run(State *state, const WriteRun *run)
{
    const StoreOp *op = run->op;

    switch (op->kind) {
    case STORE_OP_MEDIA_ADD:
    case STORE_OP_MEDIA_UPDATE:
    case STORE_OP_MEDIA_MOVE:
    case STORE_OP_MEDIA_RESTORE:
        if (run_has_row(run) && op->stamp.ino != 0)
            apply_stamp(state, run->folder_id, run->id, op);
        break;
    case STORE_OP_STAMP:
        if (op->id)
            apply_stamp(state, op->folder_id, op->id, op);
        else
            apply_directory(state, op->folder_id, op);
        break;
    case STORE_OP_FOLDER_ENSURE:
        apply_directory(state, run->folder_id, op);
        break;
    case STORE_OP_FOLDER_REMOVE:
    case STORE_OP_PROBLEM_CLEAR:
        if (op->path && op->exact)
            state_clear_problem(state, op->path);
        else if (op->path)
            state_clear_problems(state, op->path);
        break;
    case STORE_OP_PROBLEM:
        if (op->path)
            state_write_problem(state, op->path, &op->stamp, op->metadata ? op->metadata : "");
        break;
    case STORE_OP_MEDIA_REMOVE: /* Writer.gone */
    case STORE_OP_FOLDER_MOVE:  /* all of them together: apply_moves() */
        break;
    }
}

static bool run_is_new(const WriteRun *run)
{
    return !run->published && run->result != STORE_OP_RESULT_PENDING &&
           run->result != STORE_OP_RESULT_FAILED;
}

static bool is_done_move(const WriteRun *run)
{
    return run->op->kind == STORE_OP_FOLDER_MOVE && run_is_new(run) &&
           run->result == STORE_OP_RESULT_DONE;
}

static void apply_moves(Writer *w)
{
    CLEANUP_FREE PathMove *moves = NULL;
    size_t n = 0;

    for (size_t i = 0; i < w->n_runs; i++)
        n += is_done_move(&w->runs[i]);
    moves = n > 0 ? calloc(n, sizeof(*moves)) : NULL;
    if (!moves)
        return;
    n = 0;
    for (size_t i = 0; i < w->n_runs; i++)
        if (is_done_move(&w->runs[i]))
            moves[n++] = (PathMove){write_place_before(w, &w->runs[i]), w->runs[i].op->new_path};
    path_moves_sort(moves, n);
    state_move_problems(&w->store->state, moves, n);
}

/* A row that has come from another folder: that one may have gone in the same call. */
static void apply_folder(State *state, const WriteRun *run)
{
    const char *old = run->old_folder_id;

    if (run_is_new(run) && run_has_row(run) && old && run->folder_id &&
        strcmp(old, run->folder_id) != 0)
        state_move_file(state, old, run->folder_id, run->id);
}

/* The file is named by a row now. */
static void apply_thumbnail(State *state, WriteRun *run)
{
    if (!run->thumbnail || run->result != STORE_OP_RESULT_DONE)
        return;
    state_announce_done(state, run->thumbnail);
    free(run->thumbnail);
    run->thumbnail = NULL;
}

/* parts: folder and id of the row, then of the copy whose place it has taken. */
static void apply_handed(State *state, char *const parts[4])
{
    StateFile file;

    if (!state_read_file(state, parts[2], parts[3], &file))
        return;
    state_forget_file(state, parts[0], parts[1]);
    state_forget_file(state, parts[2], parts[3]);
    state_write_file(state, parts[2], parts[1], &file.stamp,
                     file.has_fingerprint ? &file.fingerprint : NULL);
}

/*
 * write_apply() - what a commit allows: thumbnails are removed, and the state database learns of
 * rows that came, changed and went
 */
void write_apply(Writer *w)
{
    State *state = &w->store->state;

    for (size_t i = 0; i < w->unlink.count; i++)
        thumbnails_remove(w->store, w->unlink.items[i]);
    state_write_begin(state);
    for (size_t i = 0; i < w->unlink.count; i++)
        state_announce_done(state, w->unlink.items[i]);
    for (size_t i = 0; i < w->n_runs; i++)
        apply_folder(state, &w->runs[i]);
    for (size_t i = 0; i < w->handed.count; i += 4)
        apply_handed(state, w->handed.items + i);
    for (size_t i = 0; i < w->gone.count; i += 2)
        if (w->gone.items[i + 1][0] != '\0')
            state_forget_file(state, w->gone.items[i], w->gone.items[i + 1]);
        else
            state_forget_folder(state, w->gone.items[i]);
    write_graves_apply(w);
    apply_moves(w);
    for (size_t i = 0; i < w->n_runs; i++)
        if (run_is_new(&w->runs[i])) {
            apply_run(state, &w->runs[i]);
            apply_thumbnail(state, &w->runs[i]);
        }
    state_end(state);
    string_list_truncate(&w->unlink, 0);
    string_list_truncate(&w->gone, 0);
    string_list_truncate(&w->handed, 0);
    store_step(w->store, STORE_STEP_STATE_WRITTEN);
}
