/*
 * Photos that were edited
 *
 * A file that changes keeps its row, and what the user made of it. What the AI made (tags, the
 * embedding, faces that nobody has named) is true as long as the picture looks the same. Most edits
 * are of metadata: a date, a place, a rating. Then the thumbnail, which the same encoder makes from
 * the same pixels, comes out the same byte for byte: all stays, the thumbnail's file too. Where it
 * comes out otherwise, the AI's rows go, the row's flags are taken back, and the AI looks again. A
 * thumbnail of the backend's never is the same: what it was made from cannot be told.
 *
 * Not so when PictoPy itself wrote the file (store/ledger.c), when the content is the same and only
 * the thumbnail was lost (StoreOp.retag is not set then), and when the user does not want it.
 *
 * PictoPy has no index on faces.image_id. To look for a photo's faces is to read them all, which
 * takes longer than the write lock may be held; so they are looked for before, in short reads, for
 * all photos of the call at once, and deleted by rowid.
 */

#include "store/retag.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/thumbnails.h"
#include "util/array.h"
#include "util/error.h"
#include "util/list.h"

#define FACES_PAGE   "512"
#define COMPARE_SIZE 16384

typedef struct RetagFace {
    int64_t rowid;
    const WriteRun *run;
} RetagFace;

/* ---- before: is the thumbnail the same? ---- */

static ssize_t read_at(int fd, char *buffer, size_t size, off_t offset)
{
    size_t done = 0;

    while (done < size) {
        ssize_t n = pread(fd, buffer + done, size - done, offset + (off_t)done);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -1;
        if (n == 0)
            break;
        done += (size_t)n;
    }
    return (ssize_t)done;
}

static bool same_bytes(int a, int b)
{
    char x[COMPARE_SIZE], y[COMPARE_SIZE];

    for (off_t offset = 0;;) {
        ssize_t n = read_at(a, x, sizeof(x), offset);

        if (n < 0 || read_at(b, y, sizeof(y), offset) != n || memcmp(x, y, (size_t)n) != 0)
            return false;
        if (n < (ssize_t)sizeof(x))
            return true;
        offset += n;
    }
}

/* O_NONBLOCK: a row may name anything, and what is named like a thumbnail may be a FIFO. */
static bool is_same_thumbnail(const Store *store, const char *path, int new)
{
    CLEANUP_CLOSE int old = -1;
    struct stat a, b;

    if (!thumbnails_owns(store, path))
        return false;
    old = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (old < 0 || fstat(old, &a) < 0 || fstat(new, &b) < 0)
        return false;
    return S_ISREG(a.st_mode) && a.st_size == b.st_size && same_bytes(old, new);
}

static void compare_thumbnail(const Writer *w, WriteRun *run)
{
    const StoreOp *op = run->op;

    run->kept_thumbnail = op->kind == STORE_OP_MEDIA_UPDATE && op->thumbnail_fd >= 0 &&
                          op->old_thumbnail &&
                          is_same_thumbnail(w->store, op->old_thumbnail, op->thumbnail_fd);
}

/* ---- before: whose are the faces? ---- */

static bool is_wanted(const WriteRun *run)
{
    const StoreOp *op = run->op;

    return run->result == STORE_OP_RESULT_PENDING && op->kind == STORE_OP_MEDIA_UPDATE &&
           op->retag && op->id && !run->kept_thumbnail;
}

static uint64_t id_hash(const char *id)
{
    return hash_bytes(id, strlen(id), 0);
}

static const WriteRun *find_run(const Writer *w, const char *id)
{
    for (HashNode *node = hash_first(&w->edited, id_hash(id)); node; node = hash_next(node)) {
        const WriteRun *run = CONTAINER_OF(node, WriteRun, by_id);

        if (strcmp(run->op->id, id) == 0)
            return run;
    }
    return NULL;
}

static int take_face(Writer *w, sqlite3_stmt *s)
{
    RetagFaces *faces = &w->faces;
    const char *id = statement_text(s, 1);
    const WriteRun *run = id ? find_run(w, id) : NULL;

    if (!run)
        return SQLITE_OK;
    if (ARRAY_RESERVE(faces->items, faces->capacity, faces->count + 1))
        return SQLITE_NOMEM;
    faces->items[faces->count++] = (RetagFace){sqlite3_column_int64(s, 0), run};
    return SQLITE_OK;
}

/* Reads the next faces; *last is where it stopped. SQLITE_DONE at the end. */
static int read_faces(Writer *w, int64_t *last)
{
    CLEANUP_STATEMENT sqlite3_stmt *s = NULL;
    int code = database_prepare(&w->store->database,
                                "SELECT rowid, image_id FROM faces WHERE rowid > ?1"
                                " ORDER BY rowid LIMIT " FACES_PAGE,
                                &s);
    bool any = false;

    if (code != SQLITE_OK)
        return code;
    (void)sqlite3_bind_int64(s, 1, *last);
    while ((code = sqlite3_step(s)) == SQLITE_ROW) {
        any = true;
        *last = sqlite3_column_int64(s, 0);
        code = take_face(w, s);
        if (code != SQLITE_OK)
            return code;
    }
    return code == SQLITE_DONE && any ? SQLITE_OK : code;
}

static int find_faces(Writer *w)
{
    Store *store = w->store;
    int64_t last = INT64_MIN;
    int code = SQLITE_OK;
    int r = store_read_begin(store);

    while (!r && store->schema.faces && code == SQLITE_OK) {
        code = read_faces(w, &last);
        if (code == SQLITE_OK)
            r = store_read_pause(store);
    }
    /* SQLITE_ERROR: a view, or a table WITHOUT ROWID. Nobody's faces are found. */
    if (!r && code != SQLITE_OK && code != SQLITE_DONE && (code & 0xff) != SQLITE_ERROR)
        r = store_fail(store, code, "cannot be read");
    store_read_end(store);
    return r;
}

/*
 * retag_prepare() - finds out which thumbnails stay, and the faces of photos whose does not
 *
 * Holds no lock but for short reads. Returns 0, STORE_E_… when the faces cannot be read now, or
 * -ENOMEM.
 */
int retag_prepare(Writer *w)
{
    for (size_t i = 0; i < w->n_runs; i++) {
        WriteRun *run = &w->runs[i];

        if (run->result != STORE_OP_RESULT_PENDING)
            continue;
        compare_thumbnail(w, run);
        if (is_wanted(run) && hash_insert(&w->edited, &run->by_id, id_hash(run->op->id)))
            return error_trace(-ENOMEM);
    }
    return w->edited.count > 0 ? find_faces(w) : 0;
}

void retag_done(Writer *w)
{
    hash_done(&w->edited);
    free(w->faces.items);
    w->faces = (RetagFaces){0};
}

/* ---- within the transaction ---- */

/* A flag that is 0 already is not named in the UPDATE: triggers may watch it. */
static int find_flags(Writer *w, WriteRun *run, const char *id)
{
    const SchemaMedia *media = &w->store->schema.media[SCHEMA_IMAGES];
    CLEANUP(text_done) Text sql = {0};
    CLEANUP_STATEMENT sqlite3_stmt *s = NULL;
    int r;

    text_printf(&sql, "SELECT %s, %s FROM images WHERE id = ?1",
                media->is_tagged ? "isTagged IS NOT 0" : "0",
                media->is_embedded ? "isEmbedded IS NOT 0" : "0");
    if (sql.failed)
        return error_trace(-ENOMEM);
    r = write_query(w, &s, sql.data, "s", id);
    if (!r && s) {
        run->untag = statement_true(s, 0);
        run->unembed = statement_true(s, 1);
    }
    return r;
}

/* One whose cluster has a name was confirmed by the user. It is another photo's by now if the rowid
 * was given anew. */
static int remove_face(Writer *w, int64_t rowid, const char *id)
{
    return write_sql(w,
                     "DELETE FROM faces WHERE rowid = ?1 AND image_id = ?2 AND NOT EXISTS"
                     " (SELECT 1 FROM face_clusters AS c WHERE c.cluster_id = faces.cluster_id"
                     " AND trim(c.cluster_name) <> '')",
                     "is", rowid, id);
}

static int remove_faces(Writer *w, const WriteRun *run, const char *id)
{
    int r = 0;

    for (size_t i = 0; i < w->faces.count && !r; i++)
        if (w->faces.items[i].run == run)
            r = remove_face(w, w->faces.items[i].rowid, id);
    return r;
}

/*
 * retag_row() - if the photo was edited: removes what the AI made of it
 *
 * The row's flags are left to its UPDATE (WriteRun.untag and .unembed). Returns 0 or WRITE_E_….
 */
int retag_row(Writer *w, WriteRun *run, const WriteRow *row)
{
    const Schema *schema = &w->store->schema;
    int r;

    if (!is_wanted(run) || run->own_write || row->table != SCHEMA_IMAGES)
        return 0;
    r = find_flags(w, run, row->id);
    if (!r && schema->image_classes)
        r = write_sql(w, "DELETE FROM image_classes WHERE image_id = ?1", "s", row->id);
    if (!r && schema->image_embeddings)
        r = write_sql(w, "DELETE FROM image_embeddings WHERE image_id = ?1", "s", row->id);
    if (!r && schema->faces)
        r = remove_faces(w, run, row->id);
    if (!r)
        run->retagged = true;
    return r;
}
