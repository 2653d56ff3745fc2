/*
 * Heirs: late deletes
 *
 * A photo that is moved to another file system is copied first and deleted later, by mv(1), by a
 * file manager, by rsync --remove-source-files: the copy has got a row of its own when the
 * original's row is about to go. Then the original's row does not go: it takes the copy's place,
 * with all that the user and the AI have put on it, and the copy's fresh row gives way.
 *
 * A copy is an heir when its size and content fingerprint are the same, its row is younger than the
 * original's and its thumbnail was made within a day, and the user has put nothing on it. So a copy
 * that was made long ago, or is a favourite of its own, stays what it is. Each can be taken once,
 * for it is gone then. Its file is looked at once more: when several equal photos go at once, or
 * the copy has just been renamed, its row is still to follow. (Not where that might hang.)
 *
 * Of several the one is taken whose path ends as the original's does: the same name, then the same
 * directory, and so on, since trees move as they are. Of those that end alike it is the one whose
 * path begins most alike. However many photos are equal, the search is bounded; it begins with the
 * youngest of those that end alike, since others of them may be about to go, too.
 */

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "store/write.h"
#include "util/error.h"
#include "util/path.h"

#define FRESH_SECONDS (24 * 3600)
#define TWINS_MAX     256 /* rows that are looked at, */
#define FILES_MAX     16  /* and of these, files: their disk may be slow */

static const char *const table_names[] = {[SCHEMA_IMAGES] = "images", [SCHEMA_VIDEOS] = "videos"};

/* Tables in which the user's own doing refers to a row, where this PictoPy has them. */
static const struct {
    SchemaTable table;
    const char *refers;
    const char *column;
    const char *sql;
} users_own[] = {
    {SCHEMA_IMAGES, "album_images", "image_id", "SELECT 1 FROM album_images WHERE image_id = ?1"},
    {SCHEMA_IMAGES, "memory_images", "image_id", "SELECT 1 FROM memory_images WHERE image_id = ?1"},
    {SCHEMA_IMAGES, "memories", "cover_image_id",
     "SELECT 1 FROM memories WHERE cover_image_id = ?1"},
    {SCHEMA_IMAGES, "face_clusters", "cluster_name",
     "SELECT 1 FROM faces JOIN face_clusters USING (cluster_id) WHERE image_id = ?1"
     " AND cluster_name IS NOT NULL AND cluster_name <> ''"},
    {SCHEMA_VIDEOS, "memory_videos", "video_id", "SELECT 1 FROM memory_videos WHERE video_id = ?1"},
};

static bool has_column(const Writer *w, const char *table, const char *column)
{
    return sqlite3_table_column_metadata(w->store->database.handle, NULL, table, column, NULL, NULL,
                                         NULL, NULL, NULL) == SQLITE_OK;
}

static int finds(Writer *w, const char *sql, const char *value, bool *ret)
{
    CLEANUP_STATEMENT sqlite3_stmt *s = NULL;
    int r = write_query(w, &s, sql, "s", value);

    *ret |= s != NULL;
    return r;
}

/* Has the user put anything on this row? */
static int is_users(Writer *w, const WriteRow *row, bool *ret)
{
    const SchemaMedia *media = &w->store->schema.media[row->table];
    CLEANUP(text_done) Text sql = {0};
    int r = 0;

    *ret = false;
    if (media->is_favourite) {
        text_printf(&sql, "SELECT 1 FROM %s WHERE id = ?1 AND isFavourite",
                    table_names[row->table]);
        r = sql.failed ? error_trace(-ENOMEM) : finds(w, sql.data, row->id, ret);
    }
    for (size_t i = 0; !r && !*ret && i < sizeof(users_own) / sizeof(*users_own); i++)
        if (users_own[i].table == row->table &&
            has_column(w, users_own[i].refers, users_own[i].column))
            r = finds(w, users_own[i].sql, row->id, ret);
    if (!r && w->store->schema.album_cover)
        r = finds(w, "SELECT 1 FROM albums WHERE cover_image_path = ?1", row->path, ret);
    return r;
}

/* When the content of a row's file was read, by its thumbnail. False: that is not to be had. */
static bool read_at(const WriteRow *row, struct timespec *ret)
{
    struct stat st;

    if (!row->thumbnail || stat(row->thumbnail, &st) < 0)
        return false;
    *ret = st.st_mtim;
    return true;
}

/*
 * Was this row's content read within a day, and after that of the dying one? Else that one may be
 * the copy: its file was overwritten with this one's content.
 */
static bool is_fresh(const WriteRow *row, const WriteRow *dying)
{
    struct timespec its, older;

    /* Videos have no thumbnail (yet): their row's age is all there is. */
    if (!row->thumbnail || row->thumbnail[0] == '\0')
        return row->table == SCHEMA_VIDEOS;
    if (!read_at(row, &its) || its.tv_sec + FRESH_SECONDS <= time(NULL))
        return false;
    return !read_at(dying, &older) || its.tv_sec > older.tv_sec ||
           (its.tv_sec == older.tv_sec && its.tv_nsec >= older.tv_nsec);
}

static bool is_avoided(const Store *store, const char *path)
{
    for (char *const *dir = store->avoided; dir && *dir; dir++)
        if (path_is_below(path, *dir))
            return true;
    return false;
}

/* Is the file of this row where it was read, and as it was then? Where looking might hang the row
 * is believed: if its file is gone too, it goes in its turn. A symbolic link is no copy, and may
 * lead anywhere. */
static bool is_there(const Writer *w, const WriteRow *row)
{
    StateFile file;
    struct stat st;

    if (!row->folder_id || !state_read_file(&w->store->state, row->folder_id, row->id, &file))
        return false;
    if (is_avoided(w->store, row->path))
        return true;
    return lstat(row->path, &st) == 0 && S_ISREG(st.st_mode) &&
           (uint64_t)st.st_ino == file.stamp.ino && st.st_size == (off_t)file.stamp.size &&
           (int64_t)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec == file.stamp.mtime_ns;
}

static int is_heir(Writer *w, const WriteRow *row, const WriteRow *dying, size_t *n_files,
                   bool *ret)
{
    bool users = false;
    int r = 0;

    *ret = false;
    if (!row->id || !is_fresh(row, dying))
        return 0;
    r = is_users(w, row, &users);
    if (r || users)
        return r;
    (*n_files)++;
    *ret = is_there(w, row);
    return 0;
}

/* ---- the twins, in the order in which they come into question ---- */

typedef struct Twin {
    const char *id; /* borrowed */
    int64_t age;    /* the rowid: the higher the younger */
    size_t tail;    /* components at the end of its path that are the original's */
} Twin;

static int twin_compare(const void *a, const void *b)
{
    const Twin *x = a, *y = b;

    if (x->tail != y->tail)
        return x->tail < y->tail ? 1 : -1;
    return (x->age < y->age) - (x->age > y->age);
}

#define TWIN_SQL(table) "SELECT rowid, path FROM " table " WHERE id = ?1"
static const char *const twin_sql[] = SCHEMA_BOTH(TWIN_SQL);

/* Fills a twin in; its age is 0 when there is no such row (any more). */
static int twin_read(Writer *w, const WriteRow *dying, const char *id, Twin *ret_twin)
{
    CLEANUP_STATEMENT sqlite3_stmt *s = NULL;
    int r = write_query(w, &s, twin_sql[dying->table], "s", id);
    const char *path = !r && s ? statement_text(s, 1) : NULL;

    *ret_twin = (Twin){.id = id};
    if (path) {
        ret_twin->age = sqlite3_column_int64(s, 0);
        ret_twin->tail = path_common_tail(path, dying->path);
    }
    return r;
}

static size_t index_of(const StringList *ids, const char *id)
{
    size_t i = 0;

    while (i < ids->count && strcmp(ids->items[i], id) != 0)
        i++;
    return i;
}

/* Those that are younger, best first. Each original begins at its own id, so that many of them look
 * at others each. */
static int read_twins(Writer *w, const WriteRow *dying, const StringList *ids, Twin *twins,
                      size_t *ret_count)
{
    size_t own = index_of(ids, dying->id), count = 0;
    Twin self;
    int r = twin_read(w, dying, dying->id, &self);

    for (size_t i = 1; i <= ids->count && i <= TWINS_MAX && !r; i++) {
        const char *id = ids->items[(own + i) % ids->count];

        if (strcmp(id, dying->id) == 0)
            continue;
        r = twin_read(w, dying, id, &twins[count]);
        count += !r && twins[count].age > self.age;
    }
    qsort(twins, count, sizeof(*twins), twin_compare);
    *ret_count = count;
    return r;
}

static void row_swap(WriteRow *a, WriteRow *b)
{
    WriteRow other = *a;

    *a = *b;
    *b = other;
}

static int find_heir(Writer *w, const WriteRow *dying, const StringList *ids, WriteRow *ret_heir)
{
    Twin twins[TWINS_MAX];
    size_t n_twins, n_files = 0, tail = 0;
    int r = read_twins(w, dying, ids, twins, &n_twins);

    for (size_t i = 0; i < n_twins && !r && n_files < FILES_MAX; i++) {
        CLEANUP(write_row_done) WriteRow row = {0};
        bool heir = false;

        if (ret_heir->id && twins[i].tail < tail)
            break; /* they end less alike */
        r = write_find_id(w, schema_kind(dying->table), twins[i].id, &row);
        if (!r)
            r = is_heir(w, &row, dying, &n_files, &heir);
        if (!heir || (ret_heir->id && path_common_head(row.path, dying->path) <=
                                          path_common_head(ret_heir->path, dying->path)))
            continue;
        tail = twins[i].tail;
        row_swap(ret_heir, &row);
    }
    return r;
}

/* ---- taking the place ---- */

#define DELETE_SQL(table) "DELETE FROM " table " WHERE id = ?1"
static const char *const delete_sql[] = SCHEMA_BOTH(DELETE_SQL);

/* What the file at its new place says of itself: dates may come from its own time or sidecar. */
static int take_metadata(Writer *w, const WriteRow *dying, const WriteRow *heir)
{
    const SchemaMedia *media = &w->store->schema.media[dying->table];
    CLEANUP(text_done) Text sql = {0};

    if (!heir->metadata)
        return 0;
    text_printf(&sql, "UPDATE %s SET metadata = ?2%s%s WHERE id = ?1", table_names[dying->table],
                media->captured_at ? ", captured_at = ?3" : "",
                media->location ? ", latitude = ?4, longitude = ?5" : "");
    if (sql.failed)
        return error_trace(-ENOMEM);
    return write_sql(w, sql.data, heir->has_location ? "sssdd" : "sssnn", dying->id, heir->metadata,
                     heir->captured_at, heir->latitude, heir->longitude);
}

static int take_place(Writer *w, const WriteRow *dying, const WriteRow *heir)
{
    int r = write_sql(w, delete_sql[heir->table], "s", heir->id);

    if (!r)
        r = write_drop_thumbnail(w, heir->thumbnail);
    if (!r)
        r = write_set_path(w, dying, heir->path, heir->folder_id);
    if (!r)
        r = take_metadata(w, dying, heir);
    if (!r)
        r = write_note_handed(w, dying, heir);
    return r;
}

/*
 * write_hand_over() - lets a row that is about to go take the place of a fresh copy of its file
 * @ret_path: where it is now, the caller's to free; NULL: there is no heir, and the row is to go
 */
int write_hand_over(Writer *w, SchemaTable table, const char *id, const char *folder_id,
                    char **ret_path)
{
    CLEANUP(string_list_done) StringList twins = {0};
    CLEANUP(write_row_done) WriteRow dying = {0}, heir = {0};
    State *state = &w->store->state;
    StateFile file;
    int r;

    *ret_path = NULL;
    if (!folder_id || !state_read_file(state, folder_id, id, &file) || !file.has_fingerprint ||
        file.stamp.size == 0)
        return 0;
    r = state_read_content(state, file.stamp.size, file.fingerprint, &twins);
    if (r || twins.count < 2) /* its own is one of them */
        return r;
    r = write_find_id(w, schema_kind(table), id, &dying);
    if (r || !dying.id)
        return r;
    r = find_heir(w, &dying, &twins, &heir);
    if (r || !heir.id)
        return r;
    r = take_place(w, &dying, &heir);
    if (!r)
        *ret_path = STEAL_PTR(heir.path);
    return r;
}
