#pragma once
/* Which tables and columns this installation of PictoPy has. */

#include <stdbool.h>

#include "store/database.h"
#include "util/media_kind.h"
#include "util/text.h"

typedef enum SchemaTable {
    SCHEMA_IMAGES,
    SCHEMA_VIDEOS,
    SCHEMA_N_MEDIA,
} SchemaTable;

typedef struct SchemaMedia {
    bool present; /* with the columns that every version has */
    bool is_tagged;
    bool is_favourite;
    bool is_embedded;
    bool location; /* latitude and longitude */
    bool captured_at;
} SchemaMedia;

typedef struct Schema {
    int64_t version; /* PRAGMA schema_version when it was read; -1 = never */
    bool indexing_status;
    SchemaMedia media[SCHEMA_N_MEDIA];
    bool album_cover;  /* albums.cover_image_path */
    bool video_frames; /* video_frames.video_id and .isEmbedded */
    bool folder_links; /* tables that are not known refer to folders */
    bool self_writes;  /* PictoPy's ledger, with all its columns */
    /* What the AI hangs on images, with the columns that say so: */
    bool image_classes, image_embeddings;
    bool faces; /* and the clusters, with their names */
} Schema;

/* Reads it inside the caller's transaction. SQLITE_OK; SQLITE_NOTADB when it is no database of
 * PictoPy's, and problem says what is missing; another result code. */
int schema_load(Schema *schema, Database *database, Text *problem);

static inline SchemaTable schema_table(MediaKind kind)
{
    return kind == MEDIA_KIND_VIDEO ? SCHEMA_VIDEOS : SCHEMA_IMAGES;
}

static inline MediaKind schema_kind(SchemaTable table)
{
    return table == SCHEMA_VIDEOS ? MEDIA_KIND_VIDEO : MEDIA_KIND_PHOTO;
}

/* The same statement for both tables: SCHEMA_BOTH(MACRO) with MACRO(table) giving the text. */
#define SCHEMA_BOTH(sql)                                                                           \
    {                                                                                              \
        [SCHEMA_IMAGES] = sql("images"), [SCHEMA_VIDEOS] = sql("videos")                           \
    }
