/*
 * PictoPy's schema as it is found. Older installations lack the columns and tables that came later;
 * PictoPy itself is asked nothing, PRAGMA table_info tells. Unknown columns and tables are not
 * looked at.
 */

#include "store/schema.h"

static int schema_has_column(Database *database, const char *table, const char *column, bool *ret)
{
    CLEANUP_STATEMENT sqlite3_stmt *statement = NULL;
    int code = database_prepare(
        database, "SELECT 1 FROM pragma_table_info(?1) WHERE name = ?2 COLLATE NOCASE", &statement);

    if (code != SQLITE_OK)
        return code;
    statement_bind_text(statement, 1, table);
    statement_bind_text(statement, 2, column);
    code = sqlite3_step(statement);
    if (code != SQLITE_ROW && code != SQLITE_DONE)
        return code;
    *ret = code == SQLITE_ROW;
    return SQLITE_OK;
}

/* The first of the columns (a list ended by NULL) that is missing, or NULL. */
static int schema_missing(Database *database, const char *table, const char *const *columns,
                          const char **ret_missing)
{
    bool found = true;

    *ret_missing = NULL;
    for (; *columns && found; columns++) {
        int code = schema_has_column(database, table, *columns, &found);

        if (code != SQLITE_OK)
            return code;
        if (!found)
            *ret_missing = *columns;
    }
    return SQLITE_OK;
}

static const char *const folder_columns[] = {
    "folder_id",  "parent_folder_id", "folder_path", "last_modified_time",
    "AI_Tagging", "taggingCompleted", NULL};
static const char *const media_columns[] = {"id",       "path", "folder_id", "thumbnailPath",
                                            "metadata", NULL};
static const char *const frame_columns[] = {"video_id", "isEmbedded", NULL};
static const char *const location_columns[] = {"latitude", "longitude", NULL};
static const char *const ledger_columns[] = {"path", "file_size", "file_mtime", NULL};
static const char *const of_image_columns[] = {"image_id", NULL};
static const char *const face_columns[] = {"image_id", "cluster_id", NULL};
static const char *const cluster_columns[] = {"cluster_id", "cluster_name", NULL};

static int schema_require(Database *database, const char *table, const char *const *columns,
                          Text *problem)
{
    const char *missing;
    int code = schema_missing(database, table, columns, &missing);

    if (code != SQLITE_OK || !missing)
        return code;
    if (missing == columns[0])
        text_printf(problem, "it has no table \"%s\"", table);
    else
        text_printf(problem, "its table \"%s\" has no column \"%s\"", table, missing);
    return SQLITE_NOTADB;
}

static int schema_has_all(Database *database, const char *table, const char *const *columns,
                          bool *ret)
{
    const char *missing;
    int code = schema_missing(database, table, columns, &missing);

    *ret = code == SQLITE_OK && !missing;
    return code;
}

static int schema_load_media(SchemaMedia *media, Database *database, const char *table)
{
    int code = schema_has_all(database, table, media_columns, &media->present);

    if (code == SQLITE_OK)
        code = schema_has_column(database, table, "isTagged", &media->is_tagged);
    if (code == SQLITE_OK)
        code = schema_has_column(database, table, "isFavourite", &media->is_favourite);
    if (code == SQLITE_OK)
        code = schema_has_column(database, table, "isEmbedded", &media->is_embedded);
    if (code == SQLITE_OK)
        code = schema_has_all(database, table, location_columns, &media->location);
    if (code == SQLITE_OK)
        code = schema_has_column(database, table, "captured_at", &media->captured_at);
    return code;
}

/* Do foreign keys of other tables than those we know lead to folders? */
static int schema_load_links(Schema *schema, Database *database)
{
    int64_t found = 0;
    int code = database_integer(
        database,
        "SELECT EXISTS (SELECT 1 FROM sqlite_schema AS t, pragma_foreign_key_list(t.name) AS k"
        " WHERE t.type = 'table' AND k.\"table\" = 'folders' COLLATE NOCASE"
        " AND lower(t.name) NOT IN ('folders', 'images', 'videos'))",
        &found);

    schema->folder_links = found != 0;
    return code;
}

/* Without the clusters nobody knows which faces have a name: as if there were no faces. */
static int schema_load_machine_made(Schema *schema, Database *database)
{
    bool clusters = false;
    int code = schema_has_all(database, "image_classes", of_image_columns, &schema->image_classes);

    if (code == SQLITE_OK)
        code = schema_has_all(database, "image_embeddings", of_image_columns,
                              &schema->image_embeddings);
    if (code == SQLITE_OK)
        code = schema_has_all(database, "faces", face_columns, &schema->faces);
    if (code == SQLITE_OK)
        code = schema_has_all(database, "face_clusters", cluster_columns, &clusters);
    schema->faces = schema->faces && clusters;
    return code;
}

static int schema_load_rest(Schema *schema, Database *database)
{
    int code = schema_has_column(database, "folders", "indexing_status", &schema->indexing_status);

    if (code == SQLITE_OK)
        code = schema_load_media(&schema->media[SCHEMA_IMAGES], database, "images");
    if (code == SQLITE_OK)
        code = schema_load_media(&schema->media[SCHEMA_VIDEOS], database, "videos");
    if (code == SQLITE_OK)
        code = schema_has_column(database, "albums", "cover_image_path", &schema->album_cover);
    if (code == SQLITE_OK)
        code = schema_has_all(database, "video_frames", frame_columns, &schema->video_frames);
    if (code == SQLITE_OK)
        code = schema_load_links(schema, database);
    if (code == SQLITE_OK)
        code = schema_has_all(database, "self_writes", ledger_columns, &schema->self_writes);
    if (code == SQLITE_OK)
        code = schema_load_machine_made(schema, database);
    return code;
}

/*
 * schema_load() - reads which tables and columns there are, within the caller's transaction
 * @problem: what is missing, in words, when SQLITE_NOTADB is returned
 */
int schema_load(Schema *schema, Database *database, Text *problem)
{
    Schema fresh = {.version = -1};
    int code = schema_require(database, "folders", folder_columns, problem);

    if (code == SQLITE_OK)
        code = schema_require(database, "images", media_columns, problem);
    if (code == SQLITE_OK)
        code = schema_load_rest(&fresh, database);
    if (code == SQLITE_OK)
        code = database_integer(database, "PRAGMA schema_version", &fresh.version);
    if (code == SQLITE_OK)
        *schema = fresh;
    return code;
}
