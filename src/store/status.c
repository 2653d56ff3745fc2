/*
 * GET /folders/status: how far each folder is. The app asks for it all the time, so the answer is
 * kept until a commit, somebody's or our own, makes it stale.
 *
 * It is computed from pages of rows by rowid, each page its own short read transaction, and counted
 * here: a GROUP BY would hold the reader's lock for the whole table, and there is no index on
 * folder_id. Of a large library it takes time that writing needs more, so such an answer is kept
 * for some multiples of what it took, even if it is a little stale by then.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "store/core.h"
#include "store/json.h"
#include "util/clock.h"
#include "util/error.h"

#define STATUS_PAGE       "2000"
#define STATUS_KEEP_TIMES 4
#define STATUS_KEEP_MIN   (20 * CLOCK_US_PER_MS) /* computed faster than this: never kept stale */
#define STATUS_KEEP_MAX   (2 * CLOCK_US_PER_SEC)

typedef struct StatusCount {
    HashNode node; /* in Status.by_id */
    const StoreFolder *folder;
    uint64_t total[SCHEMA_N_MEDIA];
    uint64_t tagged[SCHEMA_N_MEDIA];
    uint64_t embedded[SCHEMA_N_MEDIA];
} StatusCount;

typedef struct StatusFrame {
    HashNode node; /* in Status.frames */
    char video_id[];
} StatusFrame;

typedef struct Status {
    Store *store;
    StoreFolders folders;
    StatusCount *counts; /* one a folder, in their order */
    HashTable by_id;
    HashTable frames; /* StatusFrame: videos with a frame that is not embedded */
} Status;

static uint64_t text_hash(const char *text)
{
    return hash_bytes(text, strlen(text), 0);
}

static void status_done(Status *status)
{
    for (HashNode *node; (node = hash_any(&status->frames));) {
        hash_remove(&status->frames, node);
        free((StatusFrame *)(void *)node);
    }
    hash_done(&status->frames);
    hash_done(&status->by_id);
    free(status->counts);
    store_folders_done(&status->folders);
}

static int status_index(Status *status)
{
    status->counts = calloc(status->folders.count + 1, sizeof(*status->counts));
    if (!status->counts)
        return error_trace(-ENOMEM);
    for (size_t i = 0; i < status->folders.count; i++) {
        StatusCount *count = &status->counts[i];

        count->folder = &status->folders.items[i];
        if (hash_insert(&status->by_id, &count->node, text_hash(count->folder->id)))
            return error_trace(-ENOMEM);
    }
    return 0;
}

static StatusCount *status_count(const Status *status, const char *id)
{
    for (HashNode *n = hash_first(&status->by_id, text_hash(id)); n; n = hash_next(n)) {
        StatusCount *count = (StatusCount *)(void *)n;

        if (strcmp(count->folder->id, id) == 0)
            return count;
    }
    return NULL;
}

static bool status_has_frame(const Status *status, const char *video_id)
{
    for (HashNode *n = hash_first(&status->frames, text_hash(video_id)); n; n = hash_next(n))
        if (strcmp(((StatusFrame *)(void *)n)->video_id, video_id) == 0)
            return true;
    return false;
}

/* ---- pages ---- */

/* Takes a row whose column 0 is its rowid. 0 or -ENOMEM. */
typedef int (*StatusTake)(Status *status, SchemaTable table, sqlite3_stmt *s);

/* Reads one page behind *rowid; *ret_more is false at the end. */
static int status_read_rows(Status *status, const char *sql, SchemaTable table, StatusTake take,
                            int64_t *rowid, bool *ret_more)
{
    CLEANUP_STATEMENT sqlite3_stmt *s = NULL;
    int code = database_prepare(&status->store->database, sql, &s);

    *ret_more = false;
    if (code != SQLITE_OK)
        return store_fail(status->store, code, "cannot be read");
    (void)sqlite3_bind_int64(s, 1, *rowid);
    while ((code = sqlite3_step(s)) == SQLITE_ROW) {
        int r = take(status, table, s);

        if (r)
            return r;
        *rowid = sqlite3_column_int64(s, 0);
        *ret_more = true;
    }
    return code == SQLITE_DONE ? 0 : store_fail(status->store, code, "cannot be read");
}

/* sql is made by the schema of its own transaction: another process may change it in between. */
static int status_read(Status *status, int (*make_sql)(const Schema *, SchemaTable, Text *),
                       SchemaTable table, StatusTake take)
{
    int64_t rowid = INT64_MIN;
    bool more = true;

    while (more) {
        CLEANUP(text_done) Text sql = {0};
        int r = store_read_begin(status->store);

        if (r)
            return r;
        more = false;
        r = make_sql(&status->store->schema, table, &sql);
        if (!r && sql.data)
            r = status_read_rows(status, sql.data, table, take, &rowid, &more);
        store_read_end(status->store);
        if (r)
            return r;
    }
    return 0;
}

static int media_make_sql(const Schema *schema, SchemaTable table, Text *sql)
{
    const SchemaMedia *media = &schema->media[table];

    if (!media->present)
        return 0;
    text_printf(sql,
                "SELECT rowid, folder_id, %s, %s, id FROM %s WHERE rowid > ?1 ORDER BY rowid"
                " LIMIT " STATUS_PAGE,
                media->is_tagged ? "isTagged" : "0", media->is_embedded ? "isEmbedded" : "0",
                table == SCHEMA_VIDEOS ? "videos" : "images");
    return sql->failed ? error_trace(-ENOMEM) : 0;
}

static int media_take(Status *status, SchemaTable table, sqlite3_stmt *s)
{
    const char *folder_id = statement_text(s, 1);
    StatusCount *count = folder_id ? status_count(status, folder_id) : NULL;
    bool tagged = statement_true(s, 2), embedded = statement_true(s, 3);
    const char *id;

    if (!count)
        return 0;
    if (table == SCHEMA_VIDEOS) {
        id = statement_text(s, 4);
        embedded =
            tagged && status->store->schema.video_frames && id && !status_has_frame(status, id);
    }
    count->total[table]++;
    count->tagged[table] += tagged;
    count->embedded[table] += embedded;
    return 0;
}

static int frames_make_sql(const Schema *schema, SchemaTable table, Text *sql)
{
    (void)table;
    if (schema->video_frames)
        text_append(sql, "SELECT rowid, video_id, isEmbedded IS 0 FROM video_frames"
                         " WHERE rowid > ?1 ORDER BY rowid LIMIT " STATUS_PAGE);
    return sql->failed ? error_trace(-ENOMEM) : 0;
}

static int frames_take(Status *status, SchemaTable table, sqlite3_stmt *s)
{
    const char *id = statement_text(s, 1);
    StatusFrame *frame;
    size_t size;

    (void)table;
    if (!id || !statement_true(s, 2) || status_has_frame(status, id))
        return 0;
    size = strlen(id) + 1;
    frame = calloc(1, sizeof(*frame) + size);
    if (!frame)
        return error_trace(-ENOMEM);
    memcpy(frame->video_id, id, size);
    if (hash_insert(&status->frames, &frame->node, text_hash(id))) {
        free(frame);
        return error_trace(-ENOMEM);
    }
    return 0;
}

static int status_compute(Status *status)
{
    int r = store_read_folders(status->store, &status->folders);

    if (!r)
        r = status_index(status);
    if (!r)
        r = status_read(status, frames_make_sql, SCHEMA_VIDEOS, frames_take);
    for (SchemaTable t = 0; t < SCHEMA_N_MEDIA && !r; t++)
        r = status_read(status, media_make_sql, t, media_take);
    return r;
}

/* ---- the answer ---- */

static void append_percentage(Text *json, const char *key, uint64_t part, uint64_t total)
{
    double percentage = total ? (double)part * 100.0 / (double)total : 0.0;

    text_printf(json, ", \"%s\": %.2f", key, percentage);
}

static void append_counts(Text *json, const StatusCount *count, SchemaTable table,
                          const char *plural)
{
    text_printf(json, ", \"total_%s\": %llu, \"tagged_%s\": %llu, \"embedded_%s\": %llu", plural,
                (unsigned long long)count->total[table], plural,
                (unsigned long long)count->tagged[table], plural,
                (unsigned long long)count->embedded[table]);
}

static void append_folder(Text *json, const StatusCount *count)
{
    uint64_t total = count->total[SCHEMA_IMAGES] + count->total[SCHEMA_VIDEOS];

    text_append(json, "{\"folder_id\": ");
    json_append_string(json, count->folder->id);
    text_append(json, ", \"folder_path\": ");
    json_append_string(json, count->folder->path);
    append_percentage(json, "tagging_percentage",
                      count->tagged[SCHEMA_IMAGES] + count->tagged[SCHEMA_VIDEOS], total);
    append_percentage(json, "embedding_percentage",
                      count->embedded[SCHEMA_IMAGES] + count->embedded[SCHEMA_VIDEOS], total);
    append_counts(json, count, SCHEMA_IMAGES, "images");
    append_counts(json, count, SCHEMA_VIDEOS, "videos");
    text_printf(json, ", \"ai_tagging\": %s}", count->folder->ai_tagging ? "true" : "false");
}

static int status_answer(const Status *status, char **ret_json)
{
    Text json = {0};

    text_append(&json, "{\"status\": \"success\", \"data\": [");
    for (size_t i = 0; i < status->folders.count; i++) {
        if (i > 0)
            text_append(&json, ", ");
        append_folder(&json, &status->counts[i]);
    }
    text_printf(&json, "], \"total_folders\": %zu}", status->folders.count);
    return text_steal(&json, ret_json);
}

static int status_error(const char *message, char **ret_json)
{
    Text json = {0};

    text_append(&json, "{\"status\": \"error\", \"message\": ");
    json_append_string(&json, message);
    text_append(&json, ", \"data\": [], \"total_folders\": 0}");
    return text_steal(&json, ret_json);
}

/* Is the kept answer still true, or new enough? *ret_version is for the next one. */
static int status_is_kept(Store *store, int64_t *ret_version, bool *ret)
{
    int r = store_ready(store);
    int code;

    if (r)
        return r;
    code = store_data_version(store, ret_version);
    if (code != SQLITE_OK)
        return store_fail(store, code, "cannot be read");
    *ret = store->status && store->status_opened == store->opened &&
           ((store->status_changes == store->changes && store->status_version == *ret_version) ||
            clock_now() < store->status_fresh_until);
    return 0;
}

static void status_keep(Store *store, char *json, uint64_t took)
{
    uint64_t keep = took < STATUS_KEEP_MIN ? 0 : took * STATUS_KEEP_TIMES;

    free(store->status);
    store->status = json;
    store->status_fresh_until = clock_now() + (keep < STATUS_KEEP_MAX ? keep : STATUS_KEEP_MAX);
}

static int status_refresh(Store *store)
{
    CLEANUP(status_done) Status status = {.store = store};
    uint64_t begin = clock_now();
    int64_t version = 0;
    bool kept = false;
    char *json;
    int r = status_is_kept(store, &version, &kept);

    if (r || kept)
        return r;
    store->status_opened = store->opened;
    store->status_changes = store->changes;
    store->status_version = version;
    r = status_compute(&status);
    if (!r)
        r = status_answer(&status, &json);
    if (!r)
        status_keep(store, json, clock_now() - begin);
    else
        store->status_opened = 0; /* what is kept was made from something else */
    return r;
}

/*
 * store_folder_status_json() - the answer to GET /folders/status, contract section 6
 * @ret_json: always set when 0 is returned, to the error's answer if need be; the caller frees
 *
 * While the database is locked the last answer is given again. Returns 0 or -ENOMEM.
 */
int store_folder_status_json(Store *store, char **ret_json)
{
    int r = status_refresh(store);

    if (r < 0)
        return r;
    if (r && (r != STORE_E_BUSY || !store->status))
        return status_error(store_error(store), ret_json);
    *ret_json = strdup(store->status);
    return *ret_json ? 0 : error_trace(-ENOMEM);
}
