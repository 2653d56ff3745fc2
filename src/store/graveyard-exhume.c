/*
 * Exhuming: a file comes back, and with it its row.
 *
 * The row's own facts (path, thumbnail, metadata, dates, place) are the new file's; all other
 * columns, and the rows that hung on it, are as they were. What cannot come back (its table or its
 * parent is gone, a trigger objects) is left out, and never keeps the rest from it.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "store/write.h"
#include "util/array.h"
#include "util/error.h"
#include "util/log.h"
#include "util/path.h"

static const char *const table_names[] = {[SCHEMA_IMAGES] = "images", [SCHEMA_VIDEOS] = "videos"};

/* ---- blocks ---- */

typedef struct Exhumation {
    const GravePlan *plan;
    GraveReader reader;
    SchemaTable root;
    const char *old_path; /* in the content */
    const char *new_path;
} Exhumation;

static bool value_is(const GraveValue *value, const char *text)
{
    return value->type == SQLITE_TEXT && text && strcmp(value->bytes, text) == 0;
}

static GraveValue text_value(const char *text)
{
    if (!text)
        return (GraveValue){.type = SQLITE_NULL};
    return (GraveValue){.type = SQLITE_TEXT, .bytes = text, .size = strlen(text)};
}

/* Keys that refer to the root by its path, which may be another one now. */
static void follow_path(const Exhumation *e, Revived *row)
{
    for (size_t i = 0; i < row->table->n_keys; i++) {
        const GraveKey *key = &row->table->keys[i];
        size_t at = key->n == 1 ? revived_find(row, key->from[0]) : SIZE_MAX;

        if (at != SIZE_MAX && strcasecmp(key->parent, table_names[e->root]) == 0 &&
            strcasecmp(key->to[0], "path") == 0 && value_is(&row->values[at], e->old_path))
            row->values[at] = text_value(e->new_path);
    }
}

/* The row in the reader's hand, without the columns that the table has lost. */
static void take_row(const GraveReader *reader, Revived *row)
{
    row->n = 0;
    for (size_t i = 0; i < reader->n; i++)
        revived_set(row, reader->columns[i], reader->values[i]);
}

static void say_lost_columns(const GraveReader *reader, const GraveTable *table)
{
    for (size_t i = 0; i < reader->n; i++)
        if (grave_column(table, reader->columns[i]) == SIZE_MAX)
            log_notice("Table \"%s\" has no column \"%s\" any more: its values do not come back",
                       table->name, reader->columns[i]);
}

static int insert_row(Writer *w, Exhumation *e, Revived *row, bool *ret_done)
{
    bool keep;
    int r;

    follow_path(e, row);
    r = revived_check_parents(w, row, &keep);
    if (r || !keep || row->n == 0)
        return r;
    return revived_insert(w, e->plan, row, ret_done);
}

/* UPDATE table SET column = ?1 WHERE column IS NULL (or still the old path) AND its primary key */
static int name_again(Writer *w, const Exhumation *e, const GraveTable *table, bool *ret_done)
{
    const GraveReader *reader = &e->reader;
    bool by_path = reader->kind == GRAVE_BLOCK_PATHS;
    CLEANUP_FREE GraveValue *values = calloc(reader->n + 1, sizeof(*values));
    CLEANUP(text_done) Text sql = {0};
    size_t n = reader->n;
    int r;

    if (!values)
        return error_trace(-ENOMEM);
    memcpy(values, reader->values, n * sizeof(*values));
    grave_put_name(&sql, "UPDATE ", table->name, "");
    grave_put_name(&sql, " SET ", reader->columns[0], " = ?1");
    for (size_t i = 1; i < n; i++) {
        bool there = grave_column(table, reader->columns[i]) != SIZE_MAX;

        if (!there && strcasecmp(reader->columns[i], "rowid") != 0)
            return 0;
        grave_put_name(&sql, i == 1 ? " WHERE " : " AND ", reader->columns[i], " = ?");
        text_printf(&sql, "%zu", i + 1);
    }
    grave_put_name(&sql, " AND (", reader->columns[0], " IS NULL");
    if (by_path) { /* nobody clears a path: it may still say the old one */
        grave_put_name(&sql, " OR (", reader->columns[0], "");
        text_printf(&sql, " = ?%zu AND NOT EXISTS (SELECT 1 FROM %s WHERE path = ?%zu))", n + 1,
                    table_names[e->root], n + 1);
        values[n++] = text_value(e->old_path);
        values[0] = text_value(e->new_path);
    }
    text_append(&sql, ")");
    r = revived_run(w, &sql, values, n);
    *ret_done = !r && sqlite3_changes(w->store->database.handle) > 0;
    return r;
}

/* One row that cannot come back is undone alone: a trigger may have done half of its work. */
static int revive_row(Writer *w, Exhumation *e, const GraveTable *table, Revived *row)
{
    bool done = false;
    int r = write_sql(w, "SAVEPOINT revived", "");

    if (r)
        return r;
    if (e->reader.kind == GRAVE_BLOCK_HANGS) {
        take_row(&e->reader, row);
        r = insert_row(w, e, row, &done);
    } else {
        r = name_again(w, e, table, &done);
    }
    if (r == WRITE_E_FAILED && !sqlite3_get_autocommit(w->store->database.handle)) {
        log_notice("A row of table \"%s\" cannot come back: %s", table->name, w->reason.data);
        r = write_sql(w, "ROLLBACK TO revived", "");
    }
    return r ? r : write_sql(w, "RELEASE revived", "");
}

static int revive_block(Writer *w, Exhumation *e)
{
    const GraveTable *table = grave_table(e->plan, e->reader.table);
    CLEANUP(revived_done) Revived row = {0};
    int r;

    if (!table || (e->reader.kind != GRAVE_BLOCK_HANGS &&
                   grave_column(table, e->reader.columns[0]) == SIZE_MAX)) {
        log_notice("Table \"%s\" is not as it was: what it held of a photo does not come back",
                   e->reader.table);
        while (grave_next_row(&e->reader))
            ;
        return 0;
    }
    if (e->reader.kind == GRAVE_BLOCK_HANGS)
        say_lost_columns(&e->reader, table);
    r = revived_init(&row, table, e->reader.n);
    while (!r && grave_next_row(&e->reader))
        r = revive_row(w, e, table, &row);
    return r;
}

/* ---- the row itself ---- */

static bool is_own(const char *column)
{
    static const char *const own[] = {"id",       "path",     "folder_id", "thumbnailPath",
                                      "metadata", "latitude", "longitude", "captured_at"};

    for (size_t i = 0; i < sizeof(own) / sizeof(*own); i++)
        if (strcasecmp(own[i], column) == 0)
            return true;
    return false;
}

/* Begins to read: the first block is the row's own, with one row. */
static int read_root(Writer *w, Exhumation *e, Revived *row)
{
    const char *name;
    int r;

    if (!grave_next_block(&e->reader) || e->reader.kind != GRAVE_BLOCK_ROOT ||
        !grave_next_row(&e->reader))
        return write_fail(w, "what was kept of it is damaged");
    name = table_names[e->root];
    r = revived_init(row, grave_table(e->plan, name), e->reader.n + 16);
    if (r)
        return r;
    say_lost_columns(&e->reader, row->table);
    for (size_t i = 0; i < e->reader.n; i++) {
        if (strcasecmp(e->reader.columns[i], "path") == 0 &&
            e->reader.values[i].type == SQLITE_TEXT)
            e->old_path = e->reader.values[i].bytes;
        if (!is_own(e->reader.columns[i]))
            revived_set(row, e->reader.columns[i], e->reader.values[i]);
    }
    return 0;
}

/* facts: of the file as it is; its id is the row's old one. */
static void set_facts(Revived *row, const WriteRow *facts)
{
    GraveValue none = {.type = SQLITE_NULL};
    GraveValue latitude = {.type = SQLITE_FLOAT, .real = facts->latitude};
    GraveValue longitude = {.type = SQLITE_FLOAT, .real = facts->longitude};

    revived_set(row, "id", text_value(facts->id));
    revived_set(row, "path", text_value(facts->path));
    revived_set(row, "folder_id", text_value(facts->folder_id));
    revived_set(row, "thumbnailPath", text_value(facts->thumbnail));
    revived_set(row, "metadata", text_value(facts->metadata));
    revived_set(row, "captured_at", text_value(facts->captured_at));
    revived_set(row, "latitude", facts->has_location ? latitude : none);
    revived_set(row, "longitude", facts->has_location ? longitude : none);
}

static int revive_root(Writer *w, Exhumation *e, const WriteRow *facts)
{
    CLEANUP(revived_done) Revived row = {0};
    bool keep = false, done = false;
    int r = read_root(w, e, &row);

    if (r)
        return r;
    set_facts(&row, facts);
    r = revived_check_parents(w, &row, &keep);
    if (!r && keep)
        r = revived_insert(w, NULL, &row, &done);
    if (!r && !done)
        r = write_fail(w, "its old row cannot be put back");
    return r;
}

/* Inserts the row and all that hung on it. */
static int exhume(Writer *w, Exhumation *e, const WriteRow *facts)
{
    int r = revive_root(w, e, facts);

    while (!r && grave_next_row(&e->reader)) /* to the end of its block */
        ;
    while (!r && grave_next_block(&e->reader))
        r = revive_block(w, e);
    if (!r && e->reader.failed)
        log_warning("What was kept of a photo is damaged: not all of it comes back");
    return r;
}

static void exhumation_done(Exhumation *e)
{
    grave_reader_done(&e->reader);
}

static int note_exhumed(Writer *w, int64_t number)
{
    WriteGraves *graves = &w->graves;

    if (ARRAY_RESERVE(graves->exhumed, graves->exhumed_capacity, graves->n_exhumed + 1))
        return error_trace(-ENOMEM);
    graves->exhumed[graves->n_exhumed++] = number;
    return 0;
}

/*
 * write_exhume_grave() - puts a buried row back, with all that hung on it
 * @facts: the file as it is now, and the row's old id
 *
 * When it fails (WRITE_E_FAILED) everything is as before, unless a trigger rolled back.
 */
int write_exhume_grave(Writer *w, int64_t number, const WriteRow *facts)
{
    CLEANUP(exhumation_done) Exhumation e = {.root = facts->table, .new_path = facts->path};
    CLEANUP(text_done) Text content = {0};
    int r = write_check(w, grave_plan(w->store, &e.plan));
    int r2;

    if (r)
        return r;
    if (!graves_read_content(&w->store->state, number, &content))
        return write_fail(w, "what was kept of it cannot be read");
    w->graves.moved += content.length;
    grave_reader_init(&e.reader, content.data, content.length);
    r = write_sql(w, "SAVEPOINT grave", "");
    if (r)
        return r;
    r = exhume(w, &e, facts);
    if (r == WRITE_E_FAILED && sqlite3_get_autocommit(w->store->database.handle))
        return r;
    r2 = r == WRITE_E_FAILED ? write_sql(w, "ROLLBACK TO grave", "") : 0;
    if (!r2)
        r2 = write_sql(w, "RELEASE grave", "");
    if (!r)
        r = note_exhumed(w, number);
    return r2 ? r2 : r;
}

/* ---- a new file ---- */

static int exhume_for(Writer *w, WriteRun *run, SchemaTable table, GraveMatch *best)
{
    const StoreOp *op = run->op;
    WriteRow facts = {.table = table,
                      .id = best->id,
                      .path = op->path,
                      .folder_id = run->folder_id,
                      .thumbnail = run->thumbnail,
                      .metadata = op->metadata,
                      .captured_at = run->op->captured_at[0] ? run->op->captured_at : NULL,
                      .has_location = op->has_location,
                      .latitude = op->latitude,
                      .longitude = op->longitude};
    int r = write_exhume_grave(w, best->number, &facts);

    if (r == WRITE_E_FAILED) { /* the file gets a new row, as if nothing had been kept */
        CLEANUP_FREE char *shown = path_escape(op->path);

        log_warning("%s came back, but its old row cannot: %s", shown ? shown : "",
                    w->reason.data ? w->reason.data : "");
        w->store->grave_refused = best->number;
        return sqlite3_get_autocommit(w->store->database.handle) ? r : 0;
    }
    if (!r)
        r = write_run_set(&run->id, best->id);
    if (r)
        return r;
    run->inserted = run->restored = true;
    run->result = STORE_OP_RESULT_DONE;
    return 0;
}

/*
 * write_exhume() - puts the row back that this new file had, if it is buried
 *
 * run->result is DONE when it was, and PENDING when the file needs a new row.
 */
int write_exhume(Writer *w, WriteRun *run)
{
    SchemaTable table = schema_table(run->op->media);
    GraveMatch best = {0};
    int r;

    if (w->store->options.graveyard_days == 0 || !w->store->state.database.handle)
        return 0;
    r = write_match_grave(w, table, run->op, &best);
    return r || best.number == 0 ? r : exhume_for(w, run, table, &best);
}
