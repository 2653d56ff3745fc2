/*
 * Collecting thumbnails
 *
 * Whatever this daemon writes, it clears away by itself (store/thumbnails.c). The backend does not:
 * when it imports a folder again it makes every thumbnail anew, under another name, and when it
 * deletes a folder the files stay. So once a day the files that no row names are removed.
 *
 *     rows: the names in all rows ─▶ proof: a file that a row names ─▶ files: those in no row,
 *     ◀── some hundred at a time: asked for once more, removed ──┘
 *
 * What is not to be made again may be lost by this, so it is done only
 *
 *   - to regular files called thumbnail_<uuid4>.jpg, in the directory itself;
 *   - that are old: the backend writes files first, and rows when a folder is through;
 *   - whose name is in no row at all, whatever the directory in the row is called: the backend may
 *     know it by another path, through a link or from within a container;
 *   - when some row does name an old file of the directory. Otherwise the database is another one,
 *     or new, and its own may come back;
 *   - while it is still the same database.
 *
 * Names are kept as hashes of 64 bits: a million rows take 16 MB, for some seconds. Should a file
 * that no row names have the hash of one that is named, it stays.
 */

#include "store/collect.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "store/core.h"
#include "store/thumbnails.h"
#include "util/clock.h"
#include "util/error.h"

#define NAME_PREFIX "thumbnail_"
#define NAME_SUFFIX ".jpg"
#define NAME_UUID   (sizeof(NAME_PREFIX) - 1) /* where it begins */
#define NAME_SIZE   (NAME_UUID + UUID_TEXT_SIZE - 1 + sizeof(NAME_SUFFIX) - 1)

#define STEP_US        (15 * CLOCK_US_PER_MS)
#define STEP_LOOKS     64 /* between two looks at the clock */
#define CANDIDATES_MAX 256
#define SLOTS_MIN      1024

typedef enum CollectionPhase {
    COLLECTION_ROWS,
    COLLECTION_PROOF,
    COLLECTION_FILES,
    COLLECTION_REMOVE, /* then FILES again */
} CollectionPhase;

struct Collection {
    uint64_t age_us;
    CollectionPhase phase;
    uint64_t opened; /* Store.opened when it began; 0 = not yet */
    size_t source;   /* where names are read from, */
    char *last;      /* and the last value read; NULL = none */
    uint64_t *slots; /* of the names in rows; 0 = free */
    size_t count, n_slots;
    DIR *dir;
    bool read; /* to its end */
    char candidates[CANDIDATES_MAX][NAME_SIZE + 1];
    size_t n_candidates;
};

/* collection_new() - a pass that has not begun; collection_free() frees it */
Collection *collection_new(uint64_t age_us)
{
    Collection *c = calloc(1, sizeof(*c));

    if (c)
        c->age_us = age_us;
    return c;
}

/* collection_free() - gives up what is left of the pass; accepts NULL and returns NULL */
Collection *collection_free(Collection *c)
{
    if (!c)
        return NULL;
    if (c->dir)
        (void)closedir(c->dir);
    free(c->last);
    free(c->slots);
    free(c);
    return NULL;
}

/* ---- names ---- */

/* The hash of the UUID in a name of our pattern; 0 for any other name. */
static uint64_t name_key(const char *name)
{
    const char *uuid = name + NAME_UUID;
    uint64_t key;
    RowId id;

    if (strlen(name) != NAME_SIZE || memcmp(name, NAME_PREFIX, NAME_UUID) != 0 ||
        strcmp(uuid + UUID_TEXT_SIZE - 1, NAME_SUFFIX) != 0)
        return 0;
    row_id_parse(&id, uuid, UUID_TEXT_SIZE - 1);
    if (!id.is_uuid || id.bytes[6] >> 4 != 4 || id.bytes[8] >> 6 != 2)
        return 0;
    key = hash_bytes(id.bytes, sizeof(id.bytes), 0);
    return key ? key : 1;
}

static size_t slot_of(const Collection *c, uint64_t key)
{
    size_t i = key & (c->n_slots - 1);

    while (c->slots[i] != 0 && c->slots[i] != key)
        i = (i + 1) & (c->n_slots - 1);
    return i;
}

static bool names_have(const Collection *c, uint64_t key)
{
    return c->n_slots > 0 && c->slots[slot_of(c, key)] != 0;
}

/* At most half of the table is filled. */
static int names_grow(Collection *c)
{
    Collection grown = {.n_slots = c->n_slots ? c->n_slots * 2 : SLOTS_MIN};

    grown.slots = calloc(grown.n_slots, sizeof(*grown.slots));
    if (!grown.slots)
        return -ENOMEM;
    for (size_t i = 0; i < c->n_slots; i++)
        if (c->slots[i] != 0)
            grown.slots[slot_of(&grown, c->slots[i])] = c->slots[i];
    free(c->slots);
    c->slots = grown.slots;
    c->n_slots = grown.n_slots;
    return 0;
}

static int names_add(Collection *c, const char *path)
{
    const char *slash = strrchr(path, '/');
    uint64_t key = name_key(slash ? slash + 1 : path);
    size_t slot;

    if (key == 0)
        return 0;
    if (c->count * 2 >= c->n_slots && names_grow(c))
        return error_trace(-ENOMEM);
    slot = slot_of(c, key);
    c->count += c->slots[slot] == 0;
    c->slots[slot] = key;
    return 0;
}

/* ---- rows: the names in them ---- */

/* By value, which is what PictoPy's indexes have: the rows themselves are not read. */
#define SOURCE_SQL(column, table)                                                                  \
    "SELECT " column " FROM " table " WHERE " column " > ?1 ORDER BY " column

static const char *const source_sql[] = {
    SOURCE_SQL("thumbnailPath", "images"),
    SOURCE_SQL("thumbnailPath", "videos"),
    SOURCE_SQL("cover_image_path", "albums"),
};

static bool source_is_there(const Schema *schema, size_t source)
{
    return source == 2 ? schema->album_cover : schema->media[source].present;
}

/* Texts come before BLOBs, and behind those there is none. */
static int rows_read(Collection *c, sqlite3_stmt *s, uint64_t begun, bool *ret_done)
{
    int code = SQLITE_OK;

    for (int i = 1; (code = sqlite3_step(s)) == SQLITE_ROW; i++) {
        const char *text = statement_text(s, 0);

        if (!text)
            break;
        if (names_add(c, text))
            return SQLITE_NOMEM;
        if (i % STEP_LOOKS != 0 || clock_now() - begun < STEP_US)
            continue;
        free(c->last);
        c->last = strdup(text);
        return c->last ? SQLITE_OK : SQLITE_NOMEM;
    }
    *ret_done = true;
    return code == SQLITE_ROW || code == SQLITE_DONE ? SQLITE_OK : code;
}

static int rows_read_source(Collection *c, Store *store, uint64_t begun, bool *ret_done)
{
    CLEANUP_STATEMENT sqlite3_stmt *s = NULL;
    int code = database_prepare(&store->database, source_sql[c->source], &s);

    if (code != SQLITE_OK)
        return code;
    statement_bind_text(s, 1, c->last ? c->last : "");
    return rows_read(c, s, begun, ret_done);
}

static int step_rows(Collection *c, Store *store)
{
    bool done = !source_is_there(&store->schema, c->source);
    int code = done ? SQLITE_OK : rows_read_source(c, store, store->read_since, &done);

    if (code != SQLITE_OK)
        return store_fail(store, code, "cannot be read");
    if (!done)
        return 0;
    free(c->last);
    c->last = NULL;
    if (++c->source == sizeof(source_sql) / sizeof(*source_sql))
        c->phase = COLLECTION_PROOF;
    return 0;
}

/* ---- files ---- */

static bool is_old_file(const Collection *c, const char *name)
{
    struct timespec now;
    struct stat st;
    int64_t age;

    if (fstatat(dirfd(c->dir), name, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISREG(st.st_mode) ||
        clock_gettime(CLOCK_REALTIME, &now) < 0)
        return false;
    age = (int64_t)now.tv_sec - (int64_t)st.st_mtim.tv_sec;
    return age >= 0 && (uint64_t)age * CLOCK_US_PER_SEC >= c->age_us;
}

/* Looks at one name; true: enough for this phase. */
static bool look_at(Collection *c, const char *name)
{
    uint64_t key = name_key(name);
    bool named = key != 0 && names_have(c, key);

    if (c->phase == COLLECTION_PROOF)
        return named && is_old_file(c, name);
    if (key == 0 || named || !is_old_file(c, name))
        return false;
    memcpy(c->candidates[c->n_candidates++], name, NAME_SIZE + 1);
    return c->n_candidates == CANDIDATES_MAX;
}

/* Reads names until the time is up or the phase has what it wants; *ret_found: it has. */
static int read_names(Collection *c, bool *ret_found)
{
    uint64_t begun = clock_now();

    *ret_found = false;
    for (int i = 1; i % STEP_LOOKS != 0 || clock_now() - begun < STEP_US; i++) {
        struct dirent *entry;

        errno = 0;
        entry = readdir(c->dir);
        if (!entry) {
            c->read = true;
            return -errno;
        }
        *ret_found = look_at(c, entry->d_name);
        if (*ret_found)
            return 0;
    }
    return 0;
}

static int step_proof(Collection *c, const Store *store, bool *ret_more)
{
    bool found;
    int r;

    if (!c->dir)
        c->dir = opendir(store->options.thumbnails_directory);
    if (!c->dir)
        return -errno;
    r = read_names(c, &found);
    *ret_more = found || !c->read;
    if (r || !found)
        return r;
    rewinddir(c->dir);
    c->phase = COLLECTION_FILES;
    return 0;
}

static int step_files(Collection *c)
{
    bool found;
    int r = read_names(c, &found);

    if (found || c->read)
        c->phase = COLLECTION_REMOVE;
    return r;
}

/* ---- removing ---- */

/* A row may have come to name it since. */
static int drop_named(Collection *c, Store *store)
{
    size_t n = 0;

    for (size_t i = 0; i < c->n_candidates; i++) {
        CLEANUP(text_done) Text path = {0};
        bool named;
        int r;

        text_printf(&path, "%s/%s", store->options.thumbnails_directory, c->candidates[i]);
        if (path.failed)
            return error_trace(-ENOMEM);
        r = thumbnails_is_named(store, path.data, &named);
        if (r)
            return r;
        if (!named)
            memmove(c->candidates[n++], c->candidates[i], NAME_SIZE + 1);
    }
    c->n_candidates = n;
    return 0;
}

/* No lock is held. unlinkat(2) without flags removes no directory and follows no link. */
static void remove_candidates(Collection *c, Store *store)
{
    for (size_t i = 0; i < c->n_candidates; i++)
        if (is_old_file(c, c->candidates[i]) && unlinkat(dirfd(c->dir), c->candidates[i], 0) == 0)
            store->counters.thumbnails_collected++;
    c->n_candidates = 0;
}

/* ---- the steps ---- */

/* The steps that read the database: a short transaction each. */
static int step_reading(Collection *c, Store *store)
{
    int r = store_read_begin(store);

    if (r)
        return r;
    if (c->opened == 0)
        c->opened = store->opened;
    if (c->opened != store->opened)
        r = store_fail_text(store, STORE_E_UNAVAILABLE, "it was replaced");
    else if (c->phase == COLLECTION_ROWS)
        r = step_rows(c, store);
    else
        r = drop_named(c, store);
    store_read_end(store);
    return r;
}

/*
 * collection_step() - does the next piece of the pass
 * @ret_more: call again; written on success only
 *
 * Returns 0; STORE_E_… when the rows cannot be read or another database is in their place, -errno
 * when the directory cannot be read, -ENOMEM: then the pass is over, and nothing more is removed.
 */
int collection_step(Collection *c, Store *store, bool *ret_more)
{
    bool more = true;
    int r = 0;

    switch (c->phase) {
    case COLLECTION_ROWS:
        r = step_reading(c, store);
        break;
    case COLLECTION_PROOF:
        r = step_proof(c, store, &more);
        break;
    case COLLECTION_FILES:
        r = step_files(c);
        break;
    case COLLECTION_REMOVE:
        if (c->n_candidates > 0)
            r = step_reading(c, store);
        if (r)
            break;
        remove_candidates(c, store);
        c->phase = COLLECTION_FILES;
        more = !c->read;
        break;
    }
    if (!r)
        *ret_more = more;
    return r;
}
