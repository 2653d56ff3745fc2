/*
 * The state database itself: opening, replacing, and what happens when it fails.
 *
 * It is a cache with a memory: all of it can be found again by looking at the disk, only slower, so
 * a damaged one is set aside (state.db.corrupt) and made anew, and where none can be had it is kept
 * in memory for this run. WAL with synchronous=NORMAL: a killed process loses nothing, a power cut
 * may lose the last moments.
 *
 * Two processes may have it open (the daemon, and "init" beside it). Only the one that holds the
 * lock on state.lock cleans up after a killed run, for the files that the other has just announced
 * are not yet named by rows either. A POSIX record lock (fcntl(2)): it goes with its process and is
 * not inherited by children.
 */

#include "store/state.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/directories.h"
#include "store/grave.h"
#include "util/clock.h"
#include "util/log.h"
#include "util/path.h"
#include "util/text.h"

#define STATE_VERSION 2
#define STATE_WAIT_US (1 * CLOCK_US_PER_SEC)
#define STATE_SOON_US (2 * CLOCK_US_PER_MS)
#define STATE_LOG_MAX 1000 /* pages of the write-ahead log, then it is written back */

/* Came later than the tables of this version. */
#define STATE_CONTENT_INDEX                                                                        \
    "CREATE INDEX IF NOT EXISTS files_by_content ON files (fingerprint, size)"                     \
    " WHERE fingerprint IS NOT NULL;"
#define STATE_INODE_INDEX                                                                          \
    "CREATE INDEX IF NOT EXISTS folders_by_inode ON folders (ino, volume) WHERE ino IS NOT NULL;"

/* Ids are as row_id_bind() writes them. Paths of problems and excluded folders are BLOBs: names
 * need not be UTF-8. */
static const char state_schema[] =
    "BEGIN IMMEDIATE;"
    "CREATE TABLE IF NOT EXISTS files (folder INTEGER NOT NULL, id BLOB NOT NULL,"
    " dev INTEGER NOT NULL, ino INTEGER NOT NULL, size INTEGER NOT NULL,"
    " mtime_ns INTEGER NOT NULL, fingerprint INTEGER, PRIMARY KEY (folder, id)) WITHOUT ROWID;"
    "CREATE INDEX IF NOT EXISTS files_by_inode ON files (ino, dev);" STATE_CONTENT_INDEX
    "CREATE TABLE IF NOT EXISTS folders (number INTEGER PRIMARY KEY, id BLOB NOT NULL UNIQUE,"
    " volume INTEGER, ino INTEGER, born INTEGER);" STATE_INODE_INDEX
    "CREATE TABLE IF NOT EXISTS problems (path BLOB PRIMARY KEY, dev INTEGER NOT NULL,"
    " ino INTEGER NOT NULL, size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL,"
    " reason TEXT NOT NULL, since INTEGER NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE IF NOT EXISTS excluded (path BLOB PRIMARY KEY) WITHOUT ROWID;"
    "CREATE TABLE IF NOT EXISTS intents (path TEXT PRIMARY KEY) WITHOUT ROWID;"
    "PRAGMA user_version = 2;"
    "COMMIT;";

/* Of an older version: what a scan finds again goes, what the user excluded stays. */
static const char state_forget_older[] =
    "BEGIN IMMEDIATE; DROP TABLE IF EXISTS files; DROP TABLE IF EXISTS folders;"
    "PRAGMA user_version = 0; COMMIT;";

/*
 * state_init() - prepares a state; nothing is opened
 * @directory: where state.db is; NULL keeps everything in memory. Copied.
 * Returns 0 or -ENOMEM.
 */
int state_init(State *state, const char *directory, bool read_only)
{
    *state = (State){.read_only = read_only, .lock_fd = -1};
    if (!directory)
        return 0;
    state->directory = strdup(directory);
    state->path = path_join(directory, "state.db");
    if (!state->directory || !state->path) {
        state_done(state);
        return -ENOMEM;
    }
    return 0;
}

/* state_close() - closes the database; what was kept only in memory is lost */
void state_close(State *state)
{
    database_close(&state->database);
    state->in_memory = false;
    state->dev = state->ino = 0;
    state->last_number = 0;
    state->log_pages = 0;
}

/* state_done() - closes everything and frees what the state holds */
void state_done(State *state)
{
    state_close(state);
    if (state->lock_fd >= 0)
        (void)close(state->lock_fd);
    free(state->directory);
    free(state->path);
    *state = (State){.lock_fd = -1};
}

static void state_log_failure(State *state, int code)
{
    if (state->logged)
        return;
    state->logged = true;
    log_warning("The state database %s fails (%s); moves are recognized less well, continuing",
                state->path ? state->path : "in memory",
                state->database.handle ? sqlite3_errmsg(state->database.handle)
                                       : sqlite3_errstr(code));
}

/* state_check() - is this result code SQLITE_OK? The first one that is not is logged */
bool state_check(State *state, int code)
{
    int primary = code & 0xff;

    if (primary == SQLITE_OK || primary == SQLITE_ROW || primary == SQLITE_DONE)
        return true;
    if (primary == SQLITE_CORRUPT || primary == SQLITE_NOTADB)
        state->damaged = true;
    else if (primary != SQLITE_BUSY && primary != SQLITE_MISUSE)
        state_log_failure(state, code);
    return false;
}

/*
 * state_own() - is this the process that cleans up after a killed one?
 *
 * True once the lock is had, and for a state in memory, which nobody else knows.
 */
bool state_own(State *state)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    CLEANUP_FREE char *path = NULL;

    if (state->owner || state->in_memory)
        return true;
    if (state->lock_fd < 0) {
        path = path_join(state->directory, "state.lock");
        if (path)
            state->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    }
    state->owner = state->lock_fd >= 0 && fcntl(state->lock_fd, F_SETLK, &lock) == 0;
    return state->owner;
}

/* Sets aside a damaged database, so that it can be looked at, with what SQLite keeps beside it. */
static void state_set_aside(const State *state)
{
    static const char *const suffixes[] = {"", "-wal", "-shm"};

    for (size_t i = 0; i < sizeof(suffixes) / sizeof(*suffixes); i++) {
        CLEANUP(text_done) Text from = {0}, to = {0};

        text_printf(&from, "%s%s", state->path, suffixes[i]);
        text_printf(&to, "%s.corrupt%s", state->path, suffixes[i]);
        if (from.failed || to.failed)
            return;
        if (rename(from.data, to.data) < 0 && errno != ENOENT)
            (void)unlink(from.data);
    }
}

static bool has_inodes(State *state)
{
    int64_t count = 0;
    int code = database_integer(
        &state->database, "SELECT count(*) FROM pragma_table_info('folders') WHERE name = 'ino'",
        &count);

    return code == SQLITE_OK && count > 0;
}

/* What came later than the tables of this version. Another process may be about to do the same. */
static int state_add_later(State *state)
{
    sqlite3 *handle = state->database.handle;
    int code = SQLITE_OK;

    if (!has_inodes(state)) {
        code = database_run(&state->database, "BEGIN IMMEDIATE");
        if (code == SQLITE_OK && !has_inodes(state))
            code = sqlite3_exec(handle,
                                "ALTER TABLE folders ADD COLUMN ino INTEGER;"
                                "ALTER TABLE folders ADD COLUMN born INTEGER;",
                                NULL, NULL, NULL);
        if (code == SQLITE_OK)
            code = database_run(&state->database, "COMMIT");
        if (code != SQLITE_OK)
            (void)database_run(&state->database, "ROLLBACK");
    }
    if (code == SQLITE_OK)
        code = sqlite3_exec(handle, STATE_CONTENT_INDEX STATE_INODE_INDEX, NULL, NULL, NULL);
    return code;
}

static int state_check_version(State *state)
{
    int64_t version;
    int code = database_integer(&state->database, "PRAGMA user_version", &version);

    if (code != SQLITE_OK)
        return code;
    if (version == STATE_VERSION && !state->read_only)
        return state_add_later(state);
    if (version == STATE_VERSION)
        return SQLITE_OK;
    if (version < 0 || version > STATE_VERSION)
        return SQLITE_NOTADB; /* a later version's: as good as none, made anew */
    if (version > 0)
        code = sqlite3_exec(state->database.handle, state_forget_older, NULL, NULL, NULL);
    if (code == SQLITE_OK)
        code = sqlite3_exec(state->database.handle, state_schema, NULL, NULL, NULL);
    return code;
}

/* Reads from each table, so that damage to its first pages shows at once. */
static int state_touch(State *state)
{
    int64_t n;
    int code = database_integer(&state->database,
                                "SELECT (SELECT count(*) FROM intents) + EXISTS (SELECT 1 FROM"
                                " files) + EXISTS (SELECT 1 FROM folders) + EXISTS (SELECT 1 FROM"
                                " problems) + EXISTS (SELECT 1 FROM excluded)",
                                &n);

    return (code & 0xff) == SQLITE_ERROR ? SQLITE_NOTADB : code; /* a table is missing */
}

/* Takes the place of SQLite's own writing back, which would wait for the disk within any commit,
 * one under PictoPy.db's lock too. */
static int state_on_commit(void *userdata, sqlite3 *handle, const char *name, int log_pages)
{
    State *state = userdata;

    (void)handle;
    (void)name;
    state->log_pages = log_pages;
    return SQLITE_OK;
}

static int state_open_file(State *state)
{
    struct stat st;
    int code = database_open(&state->database, state->path,
                             state->read_only ? SQLITE_OPEN_READONLY
                                              : SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE);

    if (code != SQLITE_OK)
        return code;
    database_wait_at_most(&state->database, STATE_WAIT_US);
    (void)database_run(&state->database, "PRAGMA cache_size = -8192");
    if (!state->read_only) {
        code = database_run(&state->database, "PRAGMA journal_mode = WAL");
        if (code == SQLITE_OK)
            code = database_run(&state->database, "PRAGMA synchronous = NORMAL");
        (void)sqlite3_wal_hook(state->database.handle, state_on_commit, state);
    }
    if (code == SQLITE_OK)
        code = state_check_version(state);
    if (code == SQLITE_OK && !state->read_only)
        code = graves_create(state);
    if (code == SQLITE_OK)
        code = state_touch(state);
    if (code == SQLITE_OK && stat(state->path, &st) == 0) {
        state->dev = st.st_dev;
        state->ino = st.st_ino;
    }
    return code;
}

static void state_open_memory(State *state)
{
    database_close(&state->database);
    state->in_memory = true;
    if (database_open(&state->database, ":memory:", SQLITE_OPEN_READWRITE) == SQLITE_OK)
        (void)state_check(state,
                          sqlite3_exec(state->database.handle, state_schema, NULL, NULL, NULL));
    if (state->database.handle)
        (void)state_check(state, graves_create(state));
}

static bool state_is_damage(int code)
{
    return (code & 0xff) == SQLITE_NOTADB || (code & 0xff) == SQLITE_CORRUPT;
}

/* Opens the file, a new one when it is damaged; a result code. */
static int state_open_or_replace(State *state)
{
    int code = state->damaged ? SQLITE_CORRUPT : state_open_file(state);

    if (state->read_only || !state_is_damage(code))
        return code;
    log_warning("The state database %s is damaged: it is kept as state.db.corrupt and made anew, "
                "what it knew is found again by looking at the files",
                state->path);
    state_close(state);
    state_set_aside(state);
    state->damaged = false;
    return state_open_file(state);
}

static void state_log_missing(const State *state, bool was_open)
{
    if (was_open)
        log_warning("The state database %s was removed: it is made anew, what it knew is found "
                    "again by looking at the files",
                    state->path);
    else
        log_notice("The state database %s is not there yet: it is made, what it is to know is "
                   "found by looking at the files",
                   state->path);
}

static void state_open(State *state)
{
    bool was_open = state->dev != 0 || state->ino != 0;
    int code = SQLITE_CANTOPEN;

    state_close(state);
    if (!state->directory) {
        state_open_memory(state);
        return;
    }
    if (!state->read_only)
        (void)directories_make(state->directory);
    if (!state->read_only && !state->damaged && access(state->path, F_OK) < 0)
        state_log_missing(state, was_open);
    code = state_open_or_replace(state);
    if (code == SQLITE_OK) {
        state->logged = false;
        return;
    }
    if (!state->read_only && !state->logged)
        log_warning("The state database %s cannot be opened (%s): it is kept in memory",
                    state->path, sqlite3_errstr(code));
    state->logged = true;
    state_open_memory(state);
}

static bool state_is_replaced(const State *state)
{
    struct stat st;

    if (state->in_memory)
        return false;
    return stat(state->path, &st) < 0 || st.st_dev != state->dev || st.st_ino != state->ino;
}

/*
 * state_ready() - opens the database when it is not, or when its file is no longer the one at path
 *
 * Returns whether it was opened (anew). One that fell back to memory stays there until
 * state_close().
 */
bool state_ready(State *state)
{
    bool was_open = state->database.handle;

    if (was_open && !state->damaged && !state_is_replaced(state))
        return false;
    state_open(state);
    state->n_lost += was_open;
    return true;
}

/* state_read_begin() - one snapshot for the reads that follow, until state_end() */
void state_read_begin(State *state)
{
    if (!state->database.handle || !sqlite3_get_autocommit(state->database.handle))
        return;
    database_wait_at_most(&state->database, STATE_WAIT_US);
    (void)state_check(state, database_run(&state->database, "BEGIN"));
}

static void write_begin_within(State *state, uint64_t us)
{
    if (!state->database.handle || !sqlite3_get_autocommit(state->database.handle))
        return;
    database_wait_at_most(&state->database, us);
    state->last_number = 0; /* another process may have written since */
    (void)state_check(state, database_run(&state->database, "BEGIN IMMEDIATE"));
}

/* state_write_begin() - the writes that follow are one transaction, until state_end() */
void state_write_begin(State *state)
{
    write_begin_within(state, STATE_WAIT_US);
}

/* state_write_begin_soon() - the same, but another process's transaction is hardly waited for */
void state_write_begin_soon(State *state)
{
    write_begin_within(state, STATE_SOON_US);
}

/* state_end() - commits, or rolls back what cannot be committed */
void state_end(State *state)
{
    if (!state->database.handle || sqlite3_get_autocommit(state->database.handle))
        return;
    if (state_check(state, database_run(&state->database, "COMMIT")))
        return;
    (void)database_run(&state->database, "ROLLBACK");
    state->last_number = 0; /* it may have been given in this transaction */
}

/* state_tidy() - writes the log back when it has grown; waits for the disk, but not for readers */
void state_tidy(State *state)
{
    if (state->log_pages < STATE_LOG_MAX)
        return;
    state->log_pages = 0;
    (void)state_check(state, sqlite3_wal_checkpoint_v2(state->database.handle, NULL,
                                                       SQLITE_CHECKPOINT_PASSIVE, NULL, NULL));
}
