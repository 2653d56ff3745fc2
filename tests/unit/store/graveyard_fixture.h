#pragma once
/*
 * PictoPy's schema, as far as rows hang on photos and videos, and photos with a content. Old
 * installations and later ones are made from it by dropping and adding.
 */

#include "fixture.h"

#include <time.h>

#include "store/graveyard.h"
#include "store/write.h"
#include "util/log.h"

#define FINGERPRINT UINT64_C(0xfedcba9876543210)
#define DAY         86400

UNUSED static const char pictopy_schema[] =
    "DROP TABLE faces; DROP TABLE albums; DROP TABLE album_images; DROP TABLE video_frames;"
    "CREATE TABLE mappings (class_id INTEGER PRIMARY KEY, name VARCHAR UNIQUE);"
    "CREATE TABLE image_classes (image_id TEXT, class_id INTEGER, score REAL,"
    " PRIMARY KEY (image_id, class_id),"
    " FOREIGN KEY (image_id) REFERENCES images (id) ON DELETE CASCADE,"
    " FOREIGN KEY (class_id) REFERENCES mappings (class_id) ON DELETE CASCADE);"
    "CREATE TABLE face_clusters (cluster_id TEXT PRIMARY KEY, cluster_name TEXT);"
    "CREATE TABLE faces (face_id INTEGER PRIMARY KEY AUTOINCREMENT, image_id TEXT,"
    " cluster_id TEXT, embeddings TEXT, confidence REAL, bbox TEXT,"
    " FOREIGN KEY (image_id) REFERENCES images (id) ON DELETE CASCADE,"
    " FOREIGN KEY (cluster_id) REFERENCES face_clusters (cluster_id) ON DELETE SET NULL);"
    "CREATE TABLE albums (album_id TEXT PRIMARY KEY, album_name TEXT UNIQUE,"
    " cover_image_path TEXT);"
    "CREATE TABLE album_images (album_id TEXT, image_id TEXT, PRIMARY KEY (album_id, image_id),"
    " FOREIGN KEY (album_id) REFERENCES albums (album_id) ON DELETE CASCADE,"
    " FOREIGN KEY (image_id) REFERENCES images (id) ON DELETE CASCADE);"
    "CREATE TABLE image_embeddings (image_id TEXT PRIMARY KEY, model_version TEXT NOT NULL,"
    " embedding BLOB NOT NULL, FOREIGN KEY (image_id) REFERENCES images (id) ON DELETE CASCADE);"
    "CREATE TABLE memories (memory_id TEXT PRIMARY KEY, title TEXT, cover_image_id TEXT,"
    " FOREIGN KEY (cover_image_id) REFERENCES images (id) ON DELETE SET NULL);"
    "CREATE TABLE memory_images (memory_id TEXT NOT NULL, image_id TEXT NOT NULL,"
    " sort_order INTEGER NOT NULL, PRIMARY KEY (memory_id, image_id),"
    " FOREIGN KEY (memory_id) REFERENCES memories (memory_id) ON DELETE CASCADE,"
    " FOREIGN KEY (image_id) REFERENCES images (id) ON DELETE CASCADE);"
    "CREATE TABLE video_frames (id TEXT PRIMARY KEY, video_id TEXT NOT NULL, isEmbedded BOOLEAN,"
    " FOREIGN KEY (video_id) REFERENCES videos (id) ON DELETE CASCADE);"
    "CREATE TABLE video_frame_embeddings (frame_id TEXT PRIMARY KEY, embedding BLOB NOT NULL,"
    " FOREIGN KEY (frame_id) REFERENCES video_frames (id) ON DELETE CASCADE);"
    "INSERT INTO mappings VALUES (1, 'dog'), (2, 'beach');"
    "INSERT INTO face_clusters VALUES ('ada', 'Ada'), ('nobody', NULL);"
    "INSERT INTO albums VALUES ('a1', 'One', NULL), ('a2', 'Two', NULL);"
    "INSERT INTO memories VALUES ('m1', 'Then', NULL);";

UNUSED static int setup(void **state)
{
    Fixture *f = calloc(1, sizeof(*f));

    fixture_init(f);
    fixture_exec(f, pictopy_schema);
    *state = f;
    return 0;
}

UNUSED static int teardown(void **state)
{
    Fixture *f = *state;

    assert_string_equal(fixture_text(f, "PRAGMA integrity_check"), "ok");
    assert_string_equal(fixture_text(f, "SELECT count(*) FROM pragma_foreign_key_check"), "0");
    fixture_assert_thumbnails(f);
    fixture_done(f);
    free(f);
    return 0;
}

/* ---- photos with a content ---- */

UNUSED static StoreOp add_op(const char *path, uint64_t fingerprint)
{
    static uint64_t ino = 100;
    StoreOp op = fixture_add(path);

    op.has_fingerprint = true;
    op.fingerprint = fingerprint;
    op.stamp = (FileStamp){.dev = 1, .ino = ino++, .size = 10, .mtime_ns = 20};
    return op;
}

/* Adds a file and gives its row's id; the caller frees. */
UNUSED static char *add(Fixture *f, const char *path, uint64_t fingerprint)
{
    StoreOp op = add_op(path, fingerprint);
    char *id;

    fixture_write(f, &op, 1);
    if (op.result != STORE_OP_RESULT_DONE)
        fail_msg("%s: %d %s", path, op.result, op.error ? op.error : "");
    assert_true(op.inserted);
    id = strdup(op.id);
    store_op_done(&op);
    return id;
}

UNUSED static void remove_photo(Fixture *f, const char *id)
{
    fixture_write_one(f, fixture_remove(id, MEDIA_KIND_PHOTO), STORE_OP_RESULT_DONE);
}

/* All that a user and the AI can hang on a photo. */
UNUSED static void decorate(Fixture *f, const char *id)
{
    fixture_execf(f,
                  "UPDATE images SET isFavourite = 1, isTagged = 1, isEmbedded = 1 WHERE id = %Q;"
                  "INSERT INTO image_classes VALUES (%Q, 1, 0.5), (%Q, 2, NULL);"
                  "INSERT INTO faces (image_id, cluster_id, embeddings, confidence, bbox)"
                  " VALUES (%Q, 'ada', '[0.5]', 0.25, '{}'), (%Q, NULL, '', -1e-300, NULL);",
                  id, id, id, id, id);
    fixture_execf(f,
                  "INSERT INTO album_images VALUES ('a1', %Q), ('a2', %Q);"
                  "UPDATE albums SET cover_image_path = (SELECT path FROM images WHERE id = %Q)"
                  " WHERE album_id = 'a1';"
                  "INSERT INTO image_embeddings VALUES (%Q, 'm', x'00ff0010');"
                  "UPDATE memories SET cover_image_id = %Q;"
                  "INSERT INTO memory_images VALUES ('m1', %Q, -7);",
                  id, id, id, id, id, id);
}

/* All of it as one text. The caller frees. */
UNUSED static char *identity(Fixture *f, const char *id)
{
    return strdup(fixture_text(
        f,
        "SELECT id || isFavourite || isTagged || isEmbedded"
        " || '|' || (SELECT group_concat(class_id || typeof(score) || quote(score)) FROM"
        "   (SELECT * FROM image_classes WHERE image_id = i.id ORDER BY class_id))"
        " || '|' || (SELECT group_concat(face_id || quote(cluster_id) || quote(embeddings) ||"
        "   quote(confidence) || quote(bbox)) FROM (SELECT * FROM faces WHERE image_id = i.id"
        "   ORDER BY face_id))"
        " || '|' || (SELECT group_concat(album_id) FROM"
        "   (SELECT * FROM album_images WHERE image_id = i.id ORDER BY 1))"
        " || '|' || (SELECT group_concat(album_id) FROM albums WHERE cover_image_path = i.path)"
        " || '|' || (SELECT quote(embedding) FROM image_embeddings WHERE image_id = i.id)"
        " || '|' || (SELECT group_concat(memory_id || sort_order) FROM memory_images"
        "   WHERE image_id = i.id)"
        " || '|' || (SELECT group_concat(memory_id) FROM memories WHERE cover_image_id = i.id)"
        " FROM images AS i WHERE id = %Q",
        id));
}

UNUSED static long graves(Fixture *f)
{
    sqlite3 *db;
    long n;

    assert_int_equal(sqlite3_open_v2(f->state_database, &db, SQLITE_OPEN_READONLY, NULL),
                     SQLITE_OK);
    n = atol(fixture_text_of(db, "SELECT count(*) FROM graves"));
    (void)sqlite3_close(db);
    return n;
}

UNUSED static void exec_state(Fixture *f, const char *sql)
{
    sqlite3 *db;

    assert_int_equal(sqlite3_open_v2(f->state_database, &db, SQLITE_OPEN_READWRITE, NULL),
                     SQLITE_OK);
    (void)sqlite3_busy_timeout(db, 2000);
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    (void)sqlite3_close(db);
}

/* The file comes back, and with it all of before. */
UNUSED static void assert_returns(Fixture *f, const char *path, const char *id, const char *before)
{
    char *again = add(f, path, FINGERPRINT);
    char *after;

    assert_string_equal(again, id);
    after = identity(f, id);
    assert_string_equal(after, before);
    assert_int_equal(graves(f), 0);
    free(after);
    free(again);
}
