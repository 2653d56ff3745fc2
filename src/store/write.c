/*
 * store_write(): operations in, rows out.
 *
 * Operations run in order, each one, or a few that belong together, in a savepoint (a *unit*): a
 * constraint or a trigger that stops one undoes its unit and nothing else. The transaction is
 * committed when it has held the lock for its time or the operations end. Nothing is told to the
 * caller, written to the state database or removed from the disk before the commit; if it fails,
 * all operations of the transaction are pending again.
 *
 *     compare thumbnails → announce new ones (state) → write and sync them → keep the rows that
 * will be removed (state, see store/graveyard.c) → BEGIN IMMEDIATE → units → announce thumbnails to
 * be removed (state) → COMMIT → remove them → stamps etc. (state)
 *
 * Each arrow may be the last thing that this process does; see store/thumbnails.c.
 *
 * A move whose target is taken by a row that another move takes away: the row waits at a path that
 * nobody has (it is *parked*), and its own move is done in the same unit, behind those that come
 * above its new path.
 */

#include "store/write.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "store/retag.h"
#include "util/array.h"
#include "util/clock.h"
#include "util/error.h"
#include "util/list.h"

#define WRITE_US      (30 * CLOCK_US_PER_MS)
#define WRITE_MOVE_US (10 * CLOCK_US_PER_MS)
#define WRITE_REST_NS 2000000L /* between two transactions: others may have the lock */

static bool op_is_state_only(const StoreOp *op)
{
    return op->kind == STORE_OP_STAMP || op->kind == STORE_OP_PROBLEM ||
           op->kind == STORE_OP_PROBLEM_CLEAR;
}

/* ---- moves of this call ---- */

static uint64_t id_hash(const char *id)
{
    return hash_bytes(id, strlen(id), 0);
}

/* write_find_move() - the move of this row's that is still to come in this call, or NULL */
WriteRun *write_find_move(const Writer *w, const char *id, bool *ret_failed)
{
    *ret_failed = false;
    if (w->moves.count == 0)
        return NULL;
    for (HashNode *node = hash_first(&w->moves, id_hash(id)); node; node = hash_next(node)) {
        WriteRun *run = CONTAINER_OF(node, WriteRun, by_id);

        if (strcmp(run->op->id, id) != 0)
            continue;
        if (run->result == STORE_OP_RESULT_FAILED)
            *ret_failed = true;
        if (run->result == STORE_OP_RESULT_PENDING && !run->parked)
            return run;
    }
    return NULL;
}

static bool is_like(const StoreOp *a, const StoreOp *b, bool same_time)
{
    return a->media == b->media && a->has_fingerprint && b->has_fingerprint &&
           a->fingerprint == b->fingerprint && a->stamp.size == b->stamp.size &&
           (!same_time || a->stamp.mtime_ns == b->stamp.mtime_ns);
}

/*
 * write_find_added() - a row that this transaction has added: what is known of its file is not in
 * the state database yet
 * @like: only one of the same content; NULL: any
 * @same_time: and of the same modification time
 */
const WriteRun *write_find_added(const Writer *w, const StoreOp *like, bool same_time)
{
    for (size_t i = 0; i < w->n_runs; i++) {
        const WriteRun *run = &w->runs[i];
        const StoreOp *op = run->op;

        if (op->kind == STORE_OP_MEDIA_ADD && !run->published &&
            run->result == STORE_OP_RESULT_DONE && (!like || is_like(op, like, same_time)))
            return run;
    }
    return NULL;
}

/* write_join_unit() - run is done next, with others of this unit in their order, and undone with
 * them. 0 or -ENOMEM */
int write_join_unit(Writer *w, WriteRun *run)
{
    size_t at = w->n_unit;
    int r = ARRAY_RESERVE(w->unit, w->unit_capacity, w->n_unit + 1);

    for (size_t i = w->unit_at; i < w->n_unit; i++)
        if (w->unit[i] == run)
            return 0;
    if (r)
        return r;
    while (at > w->unit_at + 1 && w->unit[at - 1] > run) {
        w->unit[at] = w->unit[at - 1];
        at--;
    }
    w->unit[at] = run;
    w->n_unit++;
    return 0;
}

/* ---- one writer ---- */

/* write_run_set() - gives a string of a run another value */
int write_run_set(char **field, const char *text)
{
    free(*field);
    *field = text ? strdup(text) : NULL;
    return text && !*field ? error_trace(-ENOMEM) : 0;
}

static void run_reset(WriteRun *run)
{
    free(run->parked);
    free(run->id);
    free(run->folder_id);
    free(run->old_folder_id);
    run->parked = run->id = run->folder_id = run->old_folder_id = NULL;
    run->inserted = run->restored = run->own_write = false;
    run->untimed = 0;
    run->retagged = run->untag = run->unembed = false;
}

static void writer_done(Writer *w)
{
    for (size_t i = 0; i < w->n_runs; i++) {
        run_reset(&w->runs[i]);
        free(w->runs[i].error);
        free(w->runs[i].thumbnail);
    }
    write_graves_done(w);
    hash_done(&w->moves);
    string_list_done(&w->unlink);
    string_list_done(&w->handed);
    free(w->handed_to);
    string_list_done(&w->gone);
    retag_done(w);
    text_done(&w->reason);
    free(w->unit);
    free(w->places);
    free(w->runs);
}

static int writer_init(Writer *w, Store *store, StoreOp *ops, size_t n_ops)
{
    w->store = store;
    w->runs = calloc(n_ops, sizeof(*w->runs));
    if (!w->runs)
        return error_trace(-ENOMEM);
    for (size_t i = 0; i < n_ops; i++) {
        WriteRun *run = &w->runs[i];

        run->op = &ops[i];
        run->result = ops[i].result;
        run->published = run->result != STORE_OP_RESULT_PENDING;
        w->n_runs++;
        if (!run->published && ops[i].kind == STORE_OP_MEDIA_MOVE && ops[i].id &&
            hash_insert(&w->moves, &run->by_id, id_hash(ops[i].id)))
            return error_trace(-ENOMEM);
    }
    return write_places_init(w);
}

/* A condition of the store's as one of the writer's. */
static int write_condition(Writer *w, int condition)
{
    if (condition <= 0)
        return condition;
    w->condition = condition;
    return WRITE_E_CONDITION;
}

/* ---- units ---- */

static int unit_dispatch(Writer *w, WriteRun *run)
{
    switch (run->op->kind) {
    case STORE_OP_FOLDER_ENSURE:
        return write_folder_ensure(w, run);
    case STORE_OP_FOLDER_MOVE:
        return write_folder_move(w, run);
    case STORE_OP_FOLDER_REMOVE:
        return write_folder_remove(w, run);
    case STORE_OP_MEDIA_ADD:
        return write_media_add(w, run);
    case STORE_OP_MEDIA_UPDATE:
        return write_media_update(w, run);
    case STORE_OP_MEDIA_MOVE:
        return write_media_move(w, run);
    case STORE_OP_MEDIA_REMOVE:
        return write_media_remove(w, run);
    case STORE_OP_MEDIA_RESTORE:
        return write_media_restore(w, run);
    default:
        run->result = STORE_OP_RESULT_DONE;
        return 0;
    }
}

static int unit_run(Writer *w)
{
    for (size_t i = 0; i < w->n_unit; i++) {
        WriteRun *run = w->unit[i];
        int r;

        w->unit_at = i;
        if (run->result != STORE_OP_RESULT_PENDING)
            continue; /* one before it has found that it has nothing to do */
        w->untimed = 0;
        r = unit_dispatch(w, run);
        run->untimed += w->untimed;
        store_step(w->store, STORE_STEP_OPERATION);
        if (r)
            return r;
        /* A row must not stay where it waited. */
        if (run->parked && run->result != STORE_OP_RESULT_DONE)
            return write_fail(w, "its new path is in no registered folder");
    }
    return 0;
}

/* The unit failed by its own fault: each of its operations has. */
static int unit_fail(Writer *w)
{
    const char *reason = w->reason.data ? w->reason.data : "unknown error";

    for (size_t i = 0; i < w->n_unit; i++) {
        WriteRun *run = w->unit[i];

        run_reset(run);
        free(run->error);
        run->error = strdup(reason);
        run->result = STORE_OP_RESULT_FAILED;
        if (!run->error)
            return error_trace(-ENOMEM);
    }
    return 0;
}

static int unit_undo(Writer *w)
{
    int r = unit_fail(w);

    if (r)
        return r;
    /* RAISE(ROLLBACK) in a trigger takes the whole transaction back. */
    if (sqlite3_get_autocommit(w->store->database.handle))
        return WRITE_E_AGAIN;
    r = write_sql(w, "ROLLBACK TO unit", "");
    return r ? r : write_sql(w, "RELEASE unit", "");
}

static int unit_execute(Writer *w, WriteRun *first)
{
    size_t n_unlink = w->unlink.count, n_gone = w->gone.count, n_handed = w->handed.count;
    size_t n_buried = w->graves.n_buried, n_exhumed = w->graves.n_exhumed;
    size_t n_places = w->n_places;
    int r;

    w->n_unit = w->unit_at = 0;
    r = write_join_unit(w, first);
    if (!r)
        r = write_sql(w, "SAVEPOINT unit", "");
    if (!r)
        r = unit_run(w);
    if (r == WRITE_E_FAILED) {
        string_list_truncate(&w->unlink, n_unlink);
        string_list_truncate(&w->gone, n_gone);
        string_list_truncate(&w->handed, n_handed);
        write_graves_undo(w, n_buried, n_exhumed);
        write_places_undo(w, n_places);
        return unit_undo(w);
    }
    if (r == 0 || r == WRITE_E_PARTIAL) {
        int r2 = write_sql(w, "RELEASE unit", "");

        r = r2 ? r2 : r;
    }
    return r;
}

/* ---- transactions ---- */

static int transaction_begin(Writer *w)
{
    int r;

    if (w->open)
        return 0;
    r = store_write_begin(w->store);
    if (r)
        return write_condition(w, r);
    w->open = true;
    write_graves_begun(w);
    store_step(w->store, STORE_STEP_BEGUN);
    return 0;
}

/* Nothing of this transaction has happened. */
static void transaction_forget(Writer *w)
{
    store_rollback(w->store);
    w->open = false;
    string_list_truncate(&w->unlink, 0);
    string_list_truncate(&w->gone, 0);
    string_list_truncate(&w->handed, 0);
    write_graves_undo(w, 0, 0);
    write_places_undo(w, 0);
    for (size_t i = 0; i < w->n_runs; i++) {
        WriteRun *run = &w->runs[i];

        if (run->published || run->result == STORE_OP_RESULT_FAILED)
            continue;
        run_reset(run);
        run->result = STORE_OP_RESULT_PENDING;
    }
}

static void run_publish(WriteRun *run)
{
    StoreOp *op = run->op;

    op->result = run->result;
    op->inserted = run->inserted;
    op->restored = run->restored;
    op->untimed = run->untimed;
    op->kept_thumbnail = run->kept_thumbnail;
    op->own_write = run->own_write;
    op->retagged = run->retagged;
    if (run->id && run->result != STORE_OP_RESULT_FAILED) {
        free(op->id);
        op->id = STEAL_PTR(run->id);
    }
    if (!op_is_state_only(op)) {
        free(op->folder_id);
        op->folder_id = STEAL_PTR(run->folder_id);
    }
    free(op->error);
    op->error = STEAL_PTR(run->error);
    run->published = true;
}

static void transaction_publish(Writer *w)
{
    write_places_keep(w);
    for (size_t i = 0; i < w->n_runs; i++) {
        WriteRun *run = &w->runs[i];

        if (run->published || run->result == STORE_OP_RESULT_PENDING)
            continue;
        if (run->result == STORE_OP_RESULT_DONE)
            w->store->counters.operations++;
        run_publish(run);
    }
}

static int transaction_commit(Writer *w)
{
    int r = write_graves_flush(w);

    if (r)
        return r;
    write_announce_removals(w);
    if (w->open)
        r = store_commit(w->store);
    if (r)
        return r;
    w->open = false;
    store_step(w->store, STORE_STEP_COMMITTED);
    write_apply(w);
    transaction_publish(w);
    state_tidy(&w->store->state);
    return 0;
}

/*
 * Must what is done be committed before this operation? A folder's move may take as long as can be
 * from then on, so it is begun early in a transaction. A row that goes may have its heir among
 * those that were just added.
 */
static bool transaction_is_full(const Writer *w, const WriteRun *run)
{
    StoreOpKind kind = run->op->kind;
    bool removes = kind == STORE_OP_MEDIA_REMOVE || kind == STORE_OP_FOLDER_REMOVE;

    return w->open &&
           ((removes && write_find_added(w, NULL, false)) ||
            write_time_is_up(w, kind == STORE_OP_FOLDER_MOVE ? WRITE_MOVE_US : WRITE_US) ||
            write_graves_are_full(w));
}

/* Runs operations from *at on until the transaction is full; *at is where to go on. */
static int transaction_fill(Writer *w, size_t *at)
{
    for (; *at < w->n_runs; (*at)++) {
        WriteRun *run = &w->runs[*at];
        int r;

        if (run->result != STORE_OP_RESULT_PENDING)
            continue;
        if (op_is_state_only(run->op)) {
            run->result = STORE_OP_RESULT_DONE;
            continue;
        }
        if (*at >= w->graves.horizon || transaction_is_full(w, run))
            return 0;
        r = transaction_begin(w);
        if (!r)
            r = unit_execute(w, run);
        if (r == WRITE_E_DATABASE)
            r = write_condition(w, store_fail(w->store, w->code, "cannot be written"));
        if (r)
            return r;
    }
    return 0;
}

/* ---- the call ---- */

static void writer_rest(void)
{
    struct timespec pause = {.tv_nsec = WRITE_REST_NS};

    (void)nanosleep(&pause, NULL);
}

/* Commits what transaction_fill() has done; a condition of the store's. */
static int writer_commit(Writer *w, WriteRun *partial)
{
    int r = transaction_commit(w);

    if (r) {
        transaction_forget(w);
        return r;
    }
    if (partial)
        partial->op->partly = true;
    return 0;
}

static int writer_transactions(Writer *w)
{
    size_t first = 0;

    while (first < w->n_runs) {
        size_t at = first;
        int r = write_graves_prepare(w, first);

        if (!r)
            r = transaction_fill(w, &at);
        if (r == WRITE_E_AGAIN) {
            transaction_forget(w); /* without an operation, or the ledger: this ends */
            continue;
        }
        if (r && r != WRITE_E_PARTIAL) {
            transaction_forget(w);
            return r == WRITE_E_CONDITION ? w->condition : r;
        }
        r = writer_commit(w, r == WRITE_E_PARTIAL ? &w->runs[at] : NULL);
        if (r)
            return r;
        if (at < w->n_runs)
            writer_rest();
        first = at;
    }
    return 0;
}

/* Operations that failed by their own fault have, even where others are to be given again. */
static void writer_publish_failed(Writer *w)
{
    for (size_t i = 0; i < w->n_runs; i++)
        if (!w->runs[i].published && w->runs[i].result == STORE_OP_RESULT_FAILED)
            run_publish(&w->runs[i]);
}

/* Finds the row of a move that names it by its path: there, before anything is moved. */
static int move_resolve(Writer *w, WriteRun *run)
{
    CLEANUP(write_row_done) WriteRow row = {0};
    int r = write_find_path(w, schema_table(run->op->media), run->op->path, &row);

    if (r)
        return r;
    if (!row.id) {
        run->result = STORE_OP_RESULT_NOTHING;
        run_publish(run); /* also when the rest must be given again */
        return 0;
    }
    run->op->id = STEAL_PTR(row.id);
    run->op->by_path = true;
    return hash_insert(&w->moves, &run->by_id, id_hash(run->op->id));
}

static int writer_resolve_moves(Writer *w)
{
    bool own = false;
    bool begun = false;
    int r = 0;

    for (size_t i = 0; i < w->n_runs && !r; i++) {
        WriteRun *run = &w->runs[i];
        const StoreOp *op = run->op;

        if (run->published || op->kind != STORE_OP_MEDIA_MOVE || op->id || !op->path)
            continue;
        if (!begun)
            r = write_condition(w, store_enter(w->store, &own));
        begun |= !r;
        if (!r)
            r = move_resolve(w, run);
    }
    if (begun)
        store_leave(w->store, own);
    if (r == WRITE_E_DATABASE)
        r = write_condition(w, store_fail(w->store, w->code, "cannot read a row"));
    return r == WRITE_E_CONDITION ? w->condition : r;
}

static int writer_run(Writer *w)
{
    bool needs_database = false;
    int r;

    for (size_t i = 0; i < w->n_runs; i++)
        needs_database |= !w->runs[i].published && !op_is_state_only(w->runs[i].op);
    if (needs_database)
        r = store_ready(w->store);
    else
        r = store_ready_state(w->store);
    if (!r)
        r = writer_resolve_moves(w);
    if (!r)
        r = retag_prepare(w);
    if (!r)
        r = write_stage_thumbnails(w);
    if (!r)
        r = writer_transactions(w);
    writer_publish_failed(w);
    write_unstage(w, r != STORE_E_UNAVAILABLE);
    return r;
}

/*
 * store_avoid() - files below these directories are not looked at: their file system may not
 * answer, and the database would be locked meanwhile
 * @directories: borrowed until the next call; ends with NULL. NULL: none
 */
void store_avoid(Store *store, char *const *directories)
{
    store->avoided = directories;
}

/*
 * store_write() - writes the operations, see the head of this file
 * @ops: those whose result is PENDING; others are left alone. Each done one has its row's id and
 *       folder_id afterwards.
 *
 * Returns 0: all have a result. STORE_E_BUSY, STORE_E_UNAVAILABLE or negative: those still PENDING
 * were not written, and can be given again as they are.
 */
int store_write(Store *store, StoreOp *ops, size_t n_ops)
{
    Writer w = {0};
    int r;

    if (n_ops == 0)
        return 0;
    if (store->options.read_only)
        return store_fail_text(store, STORE_E_UNAVAILABLE, "it was opened to be read only");
    assert(!store->reading);
    r = writer_init(&w, store, ops, n_ops);
    if (!r)
        r = writer_run(&w);
    writer_done(&w);
    return r;
}
