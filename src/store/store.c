/*
 * Opening PictoPy's database and watching over the connection.
 *
 * The file at the path may be replaced at any time (a backup put back, PictoPy installed anew).
 * Before each use stat(2) compares device and inode with those of the open file; while it is open
 * its inode cannot be given to another file. The file is never opened and closed here beside
 * SQLite: closing any descriptor of a file drops all POSIX locks that the process holds on it
 * (fcntl(2)).
 *
 * The schema may change as well (PictoPy upgraded while we run): PRAGMA schema_version is compared
 * at the begin of each transaction.
 */

#include "store/store.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "store/core.h"
#include "store/thumbnails.h"
#include "util/clock.h"
#include "util/error.h"
#include "util/log.h"

#define STORE_WAIT_US    (100 * CLOCK_US_PER_MS)
#define STORE_OPEN_TRIES 3
#define READ_PAUSE_US    (15 * CLOCK_US_PER_MS)
/* A commit waits for readers until the lock has been held this long, and at least this long. */
#define COMMIT_WAIT_US     (45 * CLOCK_US_PER_MS)
#define COMMIT_WAIT_MIN_US (10 * CLOCK_US_PER_MS)

/*
 * store_create() - allocates a store; nothing is opened
 * @options: copied; its strings are borrowed for the store's life
 */
int store_create(const StoreOptions *options, Store **ret_store)
{
    Store *store = calloc(1, sizeof(*store));
    int r;

    if (!store)
        return error_trace(-ENOMEM);
    store->options = *options;
    store->schema.version = -1;
    store->counters.lock_us.bounds = histogram_times;
    store->grave_bytes = -1;
    thumbnail_set_init(&store->thumbnails, options->thumbnails_directory);
    r = state_init(&store->state, options->state_directory, options->read_only);
    if (r) {
        free(store);
        return error_trace(r);
    }
    *ret_store = store;
    return 0;
}

/* store_free() - closes both databases; accepts NULL and returns NULL */
Store *store_free(Store *store)
{
    if (!store)
        return NULL;
    store_read_end(store);
    for (SchemaTable t = 0; t < SCHEMA_N_MEDIA; t++)
        scan_done(&store->media_scan[t]);
    scan_done(&store->folder_scan);
    scan_done(&store->problem_scan);
    free(store->known.items);
    thumbnail_set_done(&store->thumbnails);
    (void)grave_plan_free(store->grave_plan);
    database_close(&store->database);
    state_done(&store->state);
    text_done(&store->error);
    free(store->status);
    free(store);
    return NULL;
}

/* store_error() - why the last function returned a condition, for people; "" when none did */
const char *store_error(const Store *store)
{
    return store->error.data ? store->error.data : "";
}

/* store_counters() - counts since store_create(); borrowed, the store thread's */
const StoreCounters *store_counters(const Store *store)
{
    return &store->counters;
}

/* store_fail_text() - returns condition and keeps the reason, behind the database's path */
int store_fail_text(Store *store, int condition, const char *format, ...)
{
    char reason[512];
    va_list args;

    va_start(args, format);
    (void)vsnprintf(reason, sizeof(reason), format, args);
    va_end(args);
    text_clear(&store->error);
    text_printf(&store->error, "%s: %s", store->options.database_path, reason);
    if (condition == STORE_E_BUSY)
        store->counters.busy++;
    return condition;
}

/*
 * store_fail() - turns an SQLite result code into the store's condition
 * @doing: what could not be done ("cannot read the folders")
 */
int store_fail(Store *store, int code, const char *doing)
{
    const char *words =
        store->database.handle ? sqlite3_errmsg(store->database.handle) : sqlite3_errstr(code);

    switch (code & 0xff) {
    case SQLITE_NOMEM:
        return error_trace(-ENOMEM);
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return store_fail_text(store, STORE_E_BUSY, "%s: it is in use by another program", doing);
    case SQLITE_NOTADB:
    case SQLITE_CORRUPT:
    case SQLITE_IOERR:
    case SQLITE_CANTOPEN:
    case SQLITE_READONLY:
        store->reopen = true;
        break;
    default:
        break;
    }
    return store_fail_text(store, STORE_E_UNAVAILABLE, "%s: %s", doing, words);
}

/* ---- opening ---- */

/* Settings of this connection only; none of them is kept in the file. No spilling of the cache:
 * it would take the exclusive lock before the commit. */
static const char *const store_pragmas[] = {
    "PRAGMA foreign_keys = ON",   "PRAGMA trusted_schema = OFF", "PRAGMA cell_size_check = ON",
    "PRAGMA temp_store = MEMORY", "PRAGMA cache_size = -16384",  "PRAGMA cache_spill = OFF",
};

static int store_configure(Store *store)
{
    int code = SQLITE_OK;

    database_wait_at_most(&store->database, STORE_WAIT_US);
    for (size_t i = 0; i < sizeof(store_pragmas) / sizeof(*store_pragmas); i++)
        if (code == SQLITE_OK)
            code = sqlite3_exec(store->database.handle, store_pragmas[i], NULL, NULL, NULL);
    return code;
}

static int store_load_schema(Store *store)
{
    CLEANUP(text_done) Text problem = {0};
    int64_t version = -1;
    int code = database_integer(&store->database, "PRAGMA schema_version", &version);

    if (code == SQLITE_OK && version == store->schema.version)
        return 0;
    if (code == SQLITE_OK) {
        store->schema.version = -1;
        database_forget_statements(&store->database);
        code = schema_load(&store->schema, &store->database, &problem);
    }
    if (code != SQLITE_OK && problem.data)
        return store_fail_text(store, STORE_E_UNAVAILABLE, "not a database of PictoPy's: %s",
                               problem.data);
    return code == SQLITE_OK ? 0 : store_fail(store, code, "cannot be read");
}

static void store_close_database(Store *store)
{
    database_close(&store->database);
    store->schema.version = -1;
    store->reopen = false;
}

static bool store_is_current(const Store *store, const struct stat *st)
{
    return st->st_dev == store->dev && st->st_ino == store->ino;
}

static int store_stat(Store *store, struct stat *ret_st)
{
    if (stat(store->options.database_path, ret_st) < 0)
        return store_fail_text(store, STORE_E_UNAVAILABLE, "%s", strerror(errno));
    if (!S_ISREG(ret_st->st_mode))
        return store_fail_text(store, STORE_E_UNAVAILABLE, "not a file");
    return 0;
}

/* Opens the file and makes sure that the inode noted is the one that SQLite has open. */
static int store_open_database(Store *store)
{
    int flags = store->options.read_only ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE;
    struct stat st;
    int r;

    for (int i = 0; i < STORE_OPEN_TRIES; i++) {
        int code;

        r = store_stat(store, &st);
        if (r)
            return r;
        store->dev = st.st_dev;
        store->ino = st.st_ino;
        code = database_open(&store->database, store->options.database_path, flags);
        if (code == SQLITE_OK)
            code = store_configure(store);
        if (code != SQLITE_OK)
            return store_fail(store, code, "cannot be opened");
        r = store_stat(store, &st);
        if (!r && store_is_current(store, &st)) {
            store->opened++;
            return 0;
        }
        store_close_database(store);
    }
    return store_fail_text(store, STORE_E_UNAVAILABLE, "it is being replaced");
}

/* store_ready_state() - makes sure that the state database is open; always 0 */
int store_ready_state(Store *store)
{
    text_clear(&store->error);
    if (state_ready(&store->state))
        store->recovered = false;
    store->counters.state_lost = store->state.n_lost;
    return 0;
}

/* What a killed run left; a failure is no concern of the caller's, it is tried again. */
static void store_recover(Store *store)
{
    if (store->recovered || store->options.read_only || !state_own(&store->state))
        return;
    store->recovered = true; /* thumbnails_recover() comes here again */
    if (thumbnails_recover(store))
        store->recovered = false;
    text_clear(&store->error);
}

/*
 * store_ready() - makes sure that the connections stand and belong to the files at their paths
 *
 * Called at the begin of every use, outside of transactions. Cheap when nothing has changed: a
 * stat(2) for each database.
 */
int store_ready(Store *store)
{
    struct stat st;
    int r;

    (void)store_ready_state(store);
    r = store_stat(store, &st);
    if (store->database.handle && (r || store->reopen || !store_is_current(store, &st)))
        store_close_database(store);
    if (!r && !store->database.handle) {
        r = store_open_database(store);
        store->recovered = false;
    }
    if (r) {
        store_close_database(store);
        return r;
    }
    store_recover(store);
    return 0;
}

/*
 * store_open() - opens both databases anew and cleans up after a killed run
 *
 * Returns 0, STORE_E_BUSY, STORE_E_UNAVAILABLE or -ENOMEM. Called for by every other function when
 * needed; on its own it says at start whether the database is there.
 */
int store_open(Store *store)
{
    bool own;
    int r;

    store_close_database(store);
    state_close(&store->state);
    r = store_enter(store, &own);
    if (!r)
        store_leave(store, own);
    return r;
}

/* ---- transactions ---- */

/*
 * store_read_begin() - begins one read transaction for the reads that follow
 *
 * BEGIN alone takes no lock; reading the schema's version does. The caller calls store_read_end()
 * within 50 ms, as a reader's lock keeps the backend's commits waiting.
 */
int store_read_begin(Store *store)
{
    int r = store_ready(store);
    int code;

    if (r)
        return r;
    thumbnail_set_refresh(&store->thumbnails);
    database_wait_at_most(&store->database, STORE_WAIT_US);
    code = database_run(&store->database, "BEGIN");
    if (code != SQLITE_OK)
        return store_fail(store, code, "cannot be read");
    store->reading = true;
    store->read_since = clock_now();
    r = store_load_schema(store);
    if (r) {
        store_read_end(store);
        return r;
    }
    state_read_begin(&store->state);
    return 0;
}

/* store_read_end() - ends the read transaction; does nothing when there is none */
void store_read_end(Store *store)
{
    uint64_t us = clock_now() - store->read_since;

    if (!store->reading)
        return;
    store->reading = false;
    for (SchemaTable t = 0; t < SCHEMA_N_MEDIA; t++)
        scan_release(&store->media_scan[t]);
    scan_release(&store->folder_scan);
    scan_release(&store->problem_scan);
    (void)database_run(&store->database, "ROLLBACK");
    state_end(&store->state);
    if (us > store->counters.read_us_max)
        store->counters.read_us_max = us;
}

/*
 * store_read_pause() - ends the read transaction and begins another one, when it is time to
 *
 * A writer that waits has the lock in between: as long as it waits, SQLite lets no new reader in.
 */
int store_read_pause(Store *store)
{
    if (clock_now() - store->read_since < READ_PAUSE_US)
        return 0;
    store_read_end(store);
    return store_read_begin(store);
}

/* store_enter() - a read transaction for one function, unless its caller began one */
int store_enter(Store *store, bool *ret_own)
{
    int r;

    *ret_own = false;
    if (store->reading)
        return 0;
    r = store_read_begin(store);
    *ret_own = r == 0;
    return r;
}

/* store_leave() - ends what store_enter() began */
void store_leave(Store *store, bool own)
{
    if (own)
        store_read_end(store);
}

/* store_write_begin() - takes the write lock; store_ready() came before. 0 or STORE_E_… */
int store_write_begin(Store *store)
{
    int code;
    int r;

    database_wait_at_most(&store->database, STORE_WAIT_US);
    code = database_run(&store->database, "BEGIN IMMEDIATE");
    if (code != SQLITE_OK)
        return store_fail(store, code, "cannot be written");
    store->write_since = clock_now();
    r = store_load_schema(store);
    if (r)
        store_rollback(store);
    return r;
}

/* store_rollback() - gives up the write transaction, if SQLite has not done so already */
void store_rollback(Store *store)
{
    if (store->database.handle && !sqlite3_get_autocommit(store->database.handle))
        (void)database_run(&store->database, "ROLLBACK");
}

/*
 * store_commit() - commits the write transaction, or rolls it back
 *
 * Readers are waited for only until the lock has been held for its time: while we wait, nobody else
 * can begin to read. Returns 0; STORE_E_BUSY, and then nothing was written; STORE_E_UNAVAILABLE,
 * and then, after an I/O error, only the database itself can tell.
 */
int store_commit(Store *store)
{
    uint64_t held = clock_now() - store->write_since;
    uint64_t us;
    int code;
    int r;

    database_wait_at_most(&store->database, held + COMMIT_WAIT_MIN_US > COMMIT_WAIT_US
                                                ? COMMIT_WAIT_MIN_US
                                                : COMMIT_WAIT_US - held);
    code = database_run(&store->database, "COMMIT");
    us = clock_now() - store->write_since;
    histogram_add(&store->counters.lock_us, us);
    if (code == SQLITE_OK) {
        store->counters.transactions++;
        store->changes++;
        return 0;
    }
    r = store_fail(store, code, "cannot be written");
    store_rollback(store);
    return r;
}

/* store_data_version() - a number that changes when another connection has committed */
int store_data_version(Store *store, int64_t *ret_version)
{
    database_wait_at_most(&store->database, STORE_WAIT_US);
    return database_integer(&store->database, "PRAGMA data_version", ret_version);
}

/*
 * store_poll() - has anybody else changed PictoPy.db since the last call?
 *
 * The first call says yes, and so does the first one on a file that was replaced. Our own commits
 * do not count (PRAGMA data_version).
 */
int store_poll(Store *store, bool *ret_changed)
{
    int64_t version;
    int r = store_ready(store);
    int code;

    if (r)
        return r;
    code = store_data_version(store, &version);
    if (code != SQLITE_OK)
        return store_fail(store, code, "cannot be read");
    *ret_changed = store->poll_opened != store->opened || store->poll_version != version;
    store->poll_opened = store->opened;
    store->poll_version = version;
    thumbnail_set_rest(&store->thumbnails);
    return 0;
}

/* store_opened() - how often the file was opened: another number means, maybe another database */
uint64_t store_opened(const Store *store)
{
    return store->opened;
}

/* store_is_connected() - could PictoPy.db be read when it was last asked? Does not ask it. */
bool store_is_connected(const Store *store)
{
    return store->database.handle && !store->reopen && store->schema.version >= 0;
}

/*
 * store_rest() - gives the caches of both databases and the names of thumbnails back
 *
 * After a scan of a large library they hold tens of megabytes that nobody asks for again.
 */
void store_rest(Store *store)
{
    if (store->database.handle)
        (void)sqlite3_db_release_memory(store->database.handle);
    if (store->state.database.handle)
        (void)sqlite3_db_release_memory(store->state.database.handle);
    thumbnail_set_rest(&store->thumbnails);
}
