/*
 * Exhuming: a file comes back, and with it its row.
 *
 * A new file whose size and content are those of a buried row gets that row's id; so does one whose
 * content was not known when it was buried, if it is at the same path with the same size and
 * modification time. Of several the one at the same path comes first, then one of the same name,
 * then the latest. While a row of the same content is still there, a new file elsewhere is a copy
 * of that one, and a new row: only a file at the very path of the buried one is that one.
 *
 * The row's own facts (path, thumbnail, metadata, dates, place) are the new file's; all other
 * columns, and the rows that hung on it, are as they were.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "store/write.h"
#include "util/array.h"
#include "util/error.h"
#include "util/log.h"
#include "util/path.h"

#define CANDIDATES "32"

static const char *const table_names[] = {[SCHEMA_IMAGES] = "images", [SCHEMA_VIDEOS] = "videos"};

typedef struct Candidate {
    int64_t number; /* 0 = none */
    int rank;       /* the higher the better */
    bool same_path;
    char id[256];
} Candidate;

/* ---- which one ---- */

static int64_t oldest_allowed(const Store *store)
{
    return time(NULL) - (int64_t)store->options.graveyard_days * GRAVE_DAY_S;
}

#define ALIVE_SQL(table) "SELECT 1 FROM " table " WHERE id = ?1"
static const char *const alive_sql[] = SCHEMA_BOTH(ALIVE_SQL);

static int is_alive(Writer *w, SchemaTable table, const char *id, bool *ret)
{
    CLEANUP_STATEMENT sqlite3_stmt *s = NULL;
    int r = write_query(w, &s, alive_sql[table], "s", id);

    *ret = s != NULL;
    return r;
}

static int rank_of(const char *path, const char *new_path)
{
    if (strcmp(path, new_path) == 0)
        return 2;
    return strcmp(path_name(path), path_name(new_path)) == 0 ? 1 : 0;
}

/* Keeps the row in hand when it is better than the one kept; they come latest first. */
static int consider(Writer *w, SchemaTable table, sqlite3_stmt *s, const char *new_path,
                    Candidate *best)
{
    char buffer[UUID_TEXT_SIZE];
    const char *id = row_id_column(s, 1, buffer), *path = statement_text(s, 2);
    int64_t number = sqlite3_column_int64(s, 0);
    bool alive;
    int rank, r;

    if (!id || !path || strlen(id) >= sizeof(best->id) || number == w->store->grave_refused)
        return 0;
    rank = rank_of(path, new_path);
    if (best->number != 0 && rank <= best->rank)
        return 0;
    r = is_alive(w, table, id, &alive);
    if (r || alive)
        return r;
    *best = (Candidate){.number = number, .rank = rank, .same_path = rank == 2};
    (void)stpcpy(best->id, id);
    return 0;
}

#define CANDIDATE_SQL(where)                                                                       \
    "SELECT number, id, path FROM graves WHERE " where " AND kind = ?1 AND buried_at > ?2"         \
    " ORDER BY number DESC LIMIT " CANDIDATES

static int find_in(Writer *w, sqlite3_stmt *s, SchemaTable table, const char *new_path,
                   Candidate *best)
{
    State *state = &w->store->state;
    int code = SQLITE_ROW;
    int r = 0;

    (void)sqlite3_bind_int64(s, 1, table);
    (void)sqlite3_bind_int64(s, 2, oldest_allowed(w->store));
    while (!r && (code = sqlite3_step(s)) == SQLITE_ROW)
        r = consider(w, table, s, new_path, best);
    (void)state_check(state, code);
    return r;
}

static int find_by_content(Writer *w, SchemaTable table, const StoreOp *op, const char *path,
                           Candidate *best)
{
    CLEANUP_STATEMENT sqlite3_stmt *s = NULL;
    State *state = &w->store->state;

    if (!op->has_fingerprint ||
        !state_check(state, database_prepare(&state->database,
                                             CANDIDATE_SQL("fingerprint = ?3 AND size = ?4"), &s)))
        return 0;
    (void)sqlite3_bind_int64(s, 3, (sqlite3_int64)op->fingerprint);
    (void)sqlite3_bind_int64(s, 4, (sqlite3_int64)op->stamp.size);
    return find_in(w, s, table, path, best);
}

/* Its content was never known: the same place, size and time say that it is the same. */
static int find_by_stamp(Writer *w, SchemaTable table, const StoreOp *op, const char *path,
                         Candidate *best)
{
    CLEANUP_STATEMENT sqlite3_stmt *s = NULL;
    State *state = &w->store->state;

    if (op->stamp.ino == 0 ||
        !state_check(state, database_prepare(&state->database,
                                             CANDIDATE_SQL("path = ?3 AND fingerprint IS NULL"
                                                           " AND size = ?4 AND mtime_ns = ?5"),
                                             &s)))
        return 0;
    statement_bind_text(s, 3, path);
    (void)sqlite3_bind_int64(s, 4, (sqlite3_int64)op->stamp.size);
    (void)sqlite3_bind_int64(s, 5, op->stamp.mtime_ns);
    return find_in(w, s, table, path, best);
}

/* Is a row still there whose file has this content? */
static int has_twin(Writer *w, SchemaTable table, const StoreOp *op, bool *ret)
{
    CLEANUP_STATEMENT sqlite3_stmt *s = NULL;
    State *state = &w->store->state;
    char buffer[UUID_TEXT_SIZE];
    int r = 0;

    *ret = false;
    if (!state_check(state, database_prepare(&state->database,
                                             "SELECT id FROM files WHERE fingerprint = ?1"
                                             " AND size = ?2 LIMIT " CANDIDATES,
                                             &s)))
        return 0;
    (void)sqlite3_bind_int64(s, 1, (sqlite3_int64)op->fingerprint);
    (void)sqlite3_bind_int64(s, 2, (sqlite3_int64)op->stamp.size);
    while (!r && !*ret && sqlite3_step(s) == SQLITE_ROW) {
        const char *id = row_id_column(s, 0, buffer);

        if (id)
            r = is_alive(w, table, id, ret);
    }
    return r;
}

static int find_grave(Writer *w, SchemaTable table, const StoreOp *op, Candidate *best)
{
    bool twin = false;
    int r = find_by_content(w, table, op, op->path, best);

    if (!r && best->number == 0)
        r = find_by_stamp(w, table, op, op->path, best);
    if (!r && best->number != 0 && !best->same_path)
        r = has_twin(w, table, op, &twin);
    if (twin)
        best->number = 0;
    return r;
}

/* ---- putting rows back ---- */

/* A row on its way back: the columns that the table has (still), with their values. */
typedef struct Revived {
    const GraveTable *table;
    const char **columns;
    GraveValue *values;
    size_t n;
} Revived;

static void revived_done(Revived *row)
{
    free(row->columns);
    free(row->values);
    *row = (Revived){0};
}

static int revived_init(Revived *row, const GraveTable *table, size_t n)
{
    *row = (Revived){.table = table};
    row->columns = calloc(n + 1, sizeof(*row->columns));
    row->values = calloc(n + 1, sizeof(*row->values));
    return row->columns && row->values ? 0 : error_trace(-ENOMEM);
}

static size_t revived_find(const Revived *row, const char *column)
{
    for (size_t i = 0; i < row->n; i++)
        if (strcasecmp(row->columns[i], column) == 0)
            return i;
    return SIZE_MAX;
}

static void revived_drop(Revived *row, size_t i)
{
    row->n--;
    memmove(&row->columns[i], &row->columns[i + 1], (row->n - i) * sizeof(*row->columns));
    memmove(&row->values[i], &row->values[i + 1], (row->n - i) * sizeof(*row->values));
}

/* Sets a column that the table has; others are left out. */
static void revived_set(Revived *row, const char *column, GraveValue value)
{
    size_t i = revived_find(row, column), there = grave_column(row->table, column);

    if (there == SIZE_MAX)
        return;
    if (i == SIZE_MAX) {
        i = row->n++;
        row->columns[i] = row->table->columns[there].name;
    }
    row->values[i] = value;
}

static void put_name(Text *sql, const char *before, const char *name, const char *behind)
{
    char *quoted = sqlite3_mprintf("\"%w\"", name);

    text_printf(sql, "%s%s%s", before, quoted ? quoted : "", behind);
    sql->failed |= !quoted;
    sqlite3_free(quoted);
}

static int run_values(Writer *w, const Text *sql, const GraveValue *values, size_t n)
{
    CLEANUP_STATEMENT sqlite3_stmt *s = NULL;
    int r;

    if (sql->failed)
        return error_trace(-ENOMEM);
    r = write_check(w, database_prepare(&w->store->database, sql->data, &s));
    for (size_t i = 0; i < n && !r; i++)
        grave_bind(s, (int)i + 1, &values[i]);
    return r ? r : write_check(w, statement_run(s));
}

/* A row that is there already stays as it is: never REPLACE, which would take along what hangs on
 * it. */
static int revived_insert(Writer *w, const Revived *row, bool *ret_done)
{
    CLEANUP(text_done) Text sql = {0};
    int r;

    put_name(&sql, "INSERT OR IGNORE INTO ", row->table->name, " ");
    for (size_t i = 0; i < row->n; i++)
        put_name(&sql, i ? ", " : "(", row->columns[i], "");
    for (size_t i = 0; i < row->n; i++)
        text_append(&sql, i ? ", ?" : ") VALUES (?");
    text_append(&sql, ")");
    r = run_values(w, &sql, row->values, row->n);
    *ret_done = !r && sqlite3_changes(w->store->database.handle) > 0;
    return r;
}

/* ---- parents ---- */

/* What a row refers to by this key, when all columns of the key are there and none is NULL. */
static bool key_values(const Revived *row, const GraveKey *key, GraveValue *values)
{
    for (size_t i = 0; i < key->n; i++) {
        size_t at = revived_find(row, key->from[i]);

        if (at == SIZE_MAX || row->values[at].type == SQLITE_NULL)
            return false;
        values[i] = row->values[at];
    }
    return key->n > 0 && key->parent[0] != '\0';
}

static int parent_is_there(Writer *w, const GraveKey *key, const GraveValue *values, bool *ret)
{
    CLEANUP_STATEMENT sqlite3_stmt *s = NULL;
    CLEANUP(text_done) Text sql = {0};
    int code, r;

    put_name(&sql, "SELECT 1 FROM ", key->parent, "");
    for (size_t i = 0; i < key->n; i++)
        put_name(&sql, i ? " AND " : " WHERE ", key->to[i], " = ?");
    if (sql.failed)
        return error_trace(-ENOMEM);
    r = write_check(w, database_prepare(&w->store->database, sql.data, &s));
    if (r)
        return r;
    for (size_t i = 0; i < key->n; i++)
        grave_bind(s, (int)i + 1, &values[i]);
    code = sqlite3_step(s);
    *ret = code == SQLITE_ROW;
    return write_check(w, code);
}

/* The parent is gone: a row that would have gone with it does not come back, another one forgets
 * it if it can. */
static bool key_give_up(Revived *row, const GraveKey *key)
{
    if (key->action == GRAVE_ACTION_CASCADE)
        return false;
    for (size_t i = 0; i < key->n; i++)
        if (row->table->columns[grave_column(row->table, key->from[i])].not_null)
            return false;
    for (size_t i = 0; i < key->n; i++)
        row->values[revived_find(row, key->from[i])] = (GraveValue){.type = SQLITE_NULL};
    return true;
}

/* Looks after the row's parents beforehand: a key that is checked only at the commit would make
 * that fail. *ret_keep: the row can come back. */
static int check_parents(Writer *w, Revived *row, bool *ret_keep)
{
    *ret_keep = true;
    for (size_t i = 0; i < row->table->n_keys && *ret_keep; i++) {
        const GraveKey *key = &row->table->keys[i];
        GraveValue values[GRAVE_KEY_MAX];
        bool there = true;
        int r = 0;

        if (key->number >= 0 && key_values(row, key, values))
            r = parent_is_there(w, key, values, &there);
        if (r)
            return r;
        if (!there)
            *ret_keep = key_give_up(row, key);
    }
    return 0;
}

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

static bool is_referred_to(const GravePlan *plan, const GraveTable *table)
{
    for (size_t t = 0; t < plan->n_tables; t++)
        for (size_t k = 0; k < plan->tables[t].n_keys; k++)
            if (strcasecmp(plan->tables[t].keys[k].parent, table->name) == 0)
                return true;
    return false;
}

/* Is this very row there? Then there is nothing to bring back. */
static int row_is_there(Writer *w, const Revived *row, bool *ret)
{
    CLEANUP_STATEMENT sqlite3_stmt *s = NULL;
    CLEANUP(text_done) Text sql = {0};
    int code, r;

    put_name(&sql, "SELECT 1 FROM ", row->table->name, "");
    for (size_t i = 0; i < row->n; i++)
        put_name(&sql, i ? " AND " : " WHERE ", row->columns[i], " IS ?");
    if (sql.failed)
        return error_trace(-ENOMEM);
    r = write_check(w, database_prepare(&w->store->database, sql.data, &s));
    if (r)
        return r;
    for (size_t i = 0; i < row->n; i++)
        grave_bind(s, (int)i + 1, &row->values[i]);
    code = sqlite3_step(s);
    *ret = code == SQLITE_ROW;
    return write_check(w, code);
}

/* The row's number was given to another one meanwhile (a table without AUTOINCREMENT): it takes a
 * new one, which nobody minds who does not refer to it. */
static int insert_renumbered(Writer *w, const Exhumation *e, Revived *row, bool *ret_done)
{
    const GraveTable *table = row->table;
    size_t at = table->rowid_column == SIZE_MAX
                    ? SIZE_MAX
                    : revived_find(row, table->columns[table->rowid_column].name);
    bool there = false;
    int r;

    if (at == SIZE_MAX || is_referred_to(e->plan, table))
        return 0;
    r = row_is_there(w, row, &there);
    if (r || there)
        return r;
    revived_drop(row, at);
    return row->n > 0 ? revived_insert(w, row, ret_done) : 0;
}

static int insert_row(Writer *w, Exhumation *e, Revived *row, bool *ret_done)
{
    bool keep;
    int r;

    follow_path(e, row);
    r = check_parents(w, row, &keep);
    if (r || !keep || row->n == 0)
        return r;
    r = revived_insert(w, row, ret_done);
    if (!r && !*ret_done)
        r = insert_renumbered(w, e, row, ret_done);
    return r;
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
    put_name(&sql, "UPDATE ", table->name, "");
    put_name(&sql, " SET ", reader->columns[0], " = ?1");
    for (size_t i = 1; i < n; i++) {
        bool there = grave_column(table, reader->columns[i]) != SIZE_MAX;

        if (!there && strcasecmp(reader->columns[i], "rowid") != 0)
            return 0;
        put_name(&sql, i == 1 ? " WHERE " : " AND ", reader->columns[i], " = ?");
        text_printf(&sql, "%zu", i + 1);
    }
    put_name(&sql, " AND (", reader->columns[0], " IS NULL");
    if (by_path) { /* nobody clears a path: it may still say the old one */
        put_name(&sql, " OR (", reader->columns[0], "");
        text_printf(&sql, " = ?%zu AND NOT EXISTS (SELECT 1 FROM %s WHERE path = ?%zu))", n + 1,
                    table_names[e->root], n + 1);
        values[n++] = text_value(e->old_path);
        values[0] = text_value(e->new_path);
    }
    text_append(&sql, ")");
    r = run_values(w, &sql, values, n);
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
    r = check_parents(w, &row, &keep);
    if (!r && keep)
        r = revived_insert(w, &row, &done);
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

static int exhume_for(Writer *w, WriteRun *run, SchemaTable table, Candidate *best)
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
    Candidate best = {0};
    int r;

    if (w->store->options.graveyard_days == 0 || !w->store->state.database.handle)
        return 0;
    r = find_grave(w, table, run->op, &best);
    return r || best.number == 0 ? r : exhume_for(w, run, table, &best);
}
