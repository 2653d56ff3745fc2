/* Media rows by themselves: finding, removing, moving, and giving way to one another. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "store/thumbnails.h"
#include "store/write.h"
#include "util/error.h"
#include "util/path.h"
#include "util/uuid.h"

/* write_row_done() - frees the contents; empty afterwards */
void write_row_done(WriteRow *row)
{
    free(row->id);
    free(row->path);
    free(row->folder_id);
    free(row->thumbnail);
    free(row->metadata);
    free(row->captured_at);
    *row = (WriteRow){0};
}

static char *row_text(sqlite3_stmt *s, int column, int *r)
{
    const char *text = statement_text(s, column);
    char *copy = text ? strdup(text) : NULL;

    if (text && !copy)
        *r = -ENOMEM;
    return copy;
}

static int row_take(sqlite3_stmt *s, SchemaTable table, WriteRow *row)
{
    int r = 0;

    row->table = table;
    row->id = row_text(s, 0, &r);
    row->path = row_text(s, 1, &r);
    row->folder_id = row_text(s, 2, &r);
    row->thumbnail = row_text(s, 3, &r);
    row->metadata = row_text(s, 4, &r);
    row->captured_at = row_text(s, 5, &r);
    row->has_location =
        sqlite3_column_type(s, 6) != SQLITE_NULL && sqlite3_column_type(s, 7) != SQLITE_NULL;
    row->latitude = sqlite3_column_double(s, 6);
    row->longitude = sqlite3_column_double(s, 7);
    if (!r && !row->path)
        write_row_done(row); /* a path that is no text: as if it were not there */
    return r;
}

static const char *const table_names[] = {[SCHEMA_IMAGES] = "images", [SCHEMA_VIDEOS] = "videos"};

static int row_find(Writer *w, SchemaTable table, const char *column, const char *key,
                    WriteRow *row)
{
    const SchemaMedia *media = &w->store->schema.media[table];
    CLEANUP(text_done) Text sql = {0};
    CLEANUP_STATEMENT sqlite3_stmt *s = NULL;
    int r;

    if (!media->present)
        return 0;
    text_printf(&sql,
                "SELECT id, path, folder_id, thumbnailPath, metadata, %s, %s FROM %s WHERE %s = ?1",
                media->captured_at ? "captured_at" : "NULL",
                media->location ? "latitude, longitude" : "NULL, NULL", table_names[table], column);
    if (sql.failed)
        return error_trace(-ENOMEM);
    r = write_query(w, &s, sql.data, "s", key);
    return !r && s ? row_take(s, table, row) : r;
}

/* write_find_id() - the row of this id; of MEDIA_KIND_NONE in either table */
int write_find_id(Writer *w, MediaKind kind, const char *id, WriteRow *ret_row)
{
    int r = 0;

    if (!id)
        return 0;
    for (SchemaTable t = 0; t < SCHEMA_N_MEDIA && !r && !ret_row->id; t++)
        if (kind == MEDIA_KIND_NONE || schema_table(kind) == t)
            r = row_find(w, t, "id", id, ret_row);
    return r;
}

/* write_find_path() - the row that stands at path in this table */
int write_find_path(Writer *w, SchemaTable table, const char *path, WriteRow *ret_row)
{
    return row_find(w, table, "path", path, ret_row);
}

/* write_drop_thumbnail() - the file goes when the transaction is committed; only one of ours */
int write_drop_thumbnail(Writer *w, const char *path)
{
    if (!path || !thumbnails_owns(w->store, path))
        return 0;
    return string_list_add(&w->unlink, path);
}

#define DELETE_SQL(table) "DELETE FROM " table " WHERE id = ?1"
static const char *const delete_sql[] = SCHEMA_BOTH(DELETE_SQL);

/* write_note_gone() - behind the commit the state database forgets the file, or the folder */
int write_note_gone(Writer *w, const char *folder_id, const char *id)
{
    int r = string_list_add(&w->gone, folder_id ? folder_id : "");

    return r ? r : string_list_add(&w->gone, id ? id : "");
}

/* write_note_handed() - behind the commit the state database knows the row at the copy's place */
int write_note_handed(Writer *w, const WriteRow *row, const WriteRow *heir)
{
    const char *parts[] = {row->folder_id, row->id, heir->folder_id, heir->id};
    int r = 0;

    for (size_t i = 0; !r && i < sizeof(parts) / sizeof(*parts); i++)
        r = string_list_add(&w->handed, parts[i] ? parts[i] : "");
    return r;
}

/*
 * write_remove_row() - deletes a row with all that hangs on it (foreign keys cascade)
 *
 * Unless a fresh copy of its file lets it live on there; then w->handed_to says where.
 */
int write_remove_row(Writer *w, SchemaTable table, const char *id, const char *folder_id,
                     const char *thumbnail)
{
    int r;

    free(w->handed_to);
    r = write_hand_over(w, table, id, folder_id, &w->handed_to);
    if (r || w->handed_to)
        return r;
    r = write_bury(w, table, id);
    if (!r)
        r = write_sql(w, delete_sql[table], "s", id);
    if (!r)
        r = write_drop_thumbnail(w, thumbnail);
    if (!r)
        r = write_note_gone(w, folder_id, id);
    return r;
}

/* An album's cover is a path in text: no foreign key keeps it in step. */
static int move_cover(Writer *w, const char *path, const char *new_path)
{
    if (!w->store->schema.album_cover)
        return 0;
    return write_sql(w, "UPDATE albums SET cover_image_path = ?2 WHERE cover_image_path = ?1", "ss",
                     path, new_path);
}

/* Triggers may watch columns: folder_id is named only when it changes, metadata only when it is a
 * JSON object, whose other keys stay as they are. */
#define MOVED_METADATA "json_set(metadata, '$.name', ?3, '$.file_location', ?2)"
#define HAS_OBJECT_SQL(table)                                                                      \
    "SELECT 1 FROM " table " WHERE id = ?1 AND CASE WHEN typeof(metadata) = 'text'"                \
    " AND json_valid(metadata) THEN json_type(metadata) = 'object' END"
static const char *const has_object_sql[] = SCHEMA_BOTH(HAS_OBJECT_SQL);

static int row_has_object(Writer *w, const WriteRow *row, bool *ret)
{
    CLEANUP_STATEMENT sqlite3_stmt *s = NULL;
    int r = write_query(w, &s, has_object_sql[row->table], "s", row->id);

    *ret = s != NULL;
    return r;
}

/*
 * write_set_path() - a row's file is at path now
 * @folder_id: of the directory it is in; NULL keeps the row's
 */
int write_set_path(Writer *w, const WriteRow *row, const char *path, const char *folder_id)
{
    CLEANUP(text_done) Text sql = {0};
    bool has_object;
    int r = row_has_object(w, row, &has_object);

    if (r)
        return r;
    if (folder_id && row->folder_id && strcmp(folder_id, row->folder_id) == 0)
        folder_id = NULL;
    text_printf(&sql, "UPDATE %s SET path = ?2%s%s WHERE id = ?1", table_names[row->table],
                has_object ? ", metadata = " MOVED_METADATA : "",
                folder_id ? ", folder_id = ?4" : "");
    if (sql.failed)
        return error_trace(-ENOMEM);
    r = write_sql(w, sql.data, "ssss", row->id, path, path_name(path), folder_id);
    return r ? r : move_cover(w, row->path, path);
}

#define PARK_SQL(table) "UPDATE " table " SET path = ?2, folder_id = NULL WHERE id = ?1"
static const char *const park_sql[] = SCHEMA_BOTH(PARK_SQL);

/* write_parking_path() - a path that no file and no row has, and that is below no other row's */
int write_parking_path(char **ret_path)
{
    char uuid[UUID_TEXT_SIZE];
    Text path = {0};
    int r = uuid_generate(uuid);

    if (r)
        return error_trace(r);
    text_printf(&path, "/.pictopy-moving-%s", uuid);
    return text_steal(&path, ret_path);
}

/*
 * write_park_row() - takes a row out of another's way until its own move, later in this unit
 *
 * The path it waits at is seen by nobody: the unit is one savepoint, and ends with the row at its
 * new place or with everything undone.
 */
int write_park_row(Writer *w, WriteRun *run, const WriteRow *row)
{
    int r = write_parking_path(&run->parked);

    if (!r)
        r = write_run_set(&run->old_folder_id, row->folder_id); /* the row forgets it here */
    if (!r)
        r = write_sql(w, park_sql[row->table], "ss", row->id, run->parked);
    if (!r)
        r = move_cover(w, row->path, run->parked);
    return r ? r : write_join_unit(w, run);
}

static int vacate_row(Writer *w, const WriteRow *row)
{
    bool failed;
    WriteRun *run = write_find_move(w, row->id, &failed);

    if (run)
        return write_park_row(w, run, row);
    if (failed)
        return write_fail(w, "the file that was at its new path could not be moved away");
    return write_remove_row(w, row->table, row->id, row->folder_id, row->thumbnail);
}

/*
 * write_vacate() - makes room at path
 *
 * A row that is moved away later in this call waits for its turn elsewhere, which makes exchanges
 * and rotations work. Any other row but keep_id's is of a file that was overwritten, and goes.
 */
int write_vacate(Writer *w, const char *path, const char *keep_id)
{
    int r = 0;

    for (SchemaTable t = 0; t < SCHEMA_N_MEDIA && !r; t++) {
        CLEANUP(write_row_done) WriteRow row = {0};

        r = write_find_path(w, t, path, &row);
        if (!r && row.id && (!keep_id || strcmp(row.id, keep_id) != 0))
            r = vacate_row(w, &row);
    }
    return r;
}
