#pragma once
/*
 * A database of PictoPy's in a temporary directory, with the tables that hang on images, a store on
 * it, and a second connection that plays the backend. Paths of photos need not exist: the store
 * never looks at them. The root /r is registered.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/core.h"
#include "store/store.h"

typedef struct Fixture {
    char directory[64];
    char database[128];
    char thumbnails[128];
    char state[128];
    char state_database[160];
    StoreOptions options;
    Store *store;
    sqlite3 *db; /* the backend's */
    char *root_id;
} Fixture;

UNUSED static const char fixture_schema[] =
    "PRAGMA foreign_keys = ON;"
    "CREATE TABLE faces (face_id INTEGER PRIMARY KEY, image_id TEXT, name TEXT,"
    " FOREIGN KEY (image_id) REFERENCES images (id) ON DELETE CASCADE);"
    "CREATE TABLE albums (album_id TEXT PRIMARY KEY, cover_image_path TEXT);"
    "CREATE TABLE album_images (album_id TEXT, image_id TEXT,"
    " FOREIGN KEY (image_id) REFERENCES images (id) ON DELETE CASCADE);"
    "CREATE TABLE video_frames (id INTEGER PRIMARY KEY, video_id TEXT, isEmbedded BOOLEAN,"
    " FOREIGN KEY (video_id) REFERENCES videos (id) ON DELETE CASCADE);";

UNUSED static void fixture_exec(Fixture *f, const char *sql)
{
    char *error = NULL;

    if (sqlite3_exec(f->db, sql, NULL, NULL, &error) != SQLITE_OK)
        fail_msg("%s: %s", sql, error);
}

UNUSED static void fixture_execf(Fixture *f, const char *format, ...)
{
    va_list args;
    char *sql;

    va_start(args, format);
    sql = sqlite3_vmprintf(format, args); /* %Q quotes */
    va_end(args);
    fixture_exec(f, sql);
    sqlite3_free(sql);
}

/* The first column of the first row, "" for NULL, "(none)" for no row; valid until the next call.
 */
UNUSED static const char *fixture_text_of(sqlite3 *db, const char *sql)
{
    static char text[8192];
    sqlite3_stmt *s = NULL;
    const char *value;

    if (sqlite3_prepare_v2(db, sql, -1, &s, NULL) != SQLITE_OK)
        fail_msg("%s: %s", sql, sqlite3_errmsg(db));
    if (sqlite3_step(s) == SQLITE_ROW) {
        value = (const char *)sqlite3_column_text(s, 0);
        (void)snprintf(text, sizeof(text), "%s", value ? value : "");
    } else {
        (void)snprintf(text, sizeof(text), "(none)");
    }
    (void)sqlite3_finalize(s);
    return text;
}

UNUSED static const char *fixture_text(Fixture *f, const char *format, ...)
{
    const char *text;
    va_list args;
    char *sql;

    va_start(args, format);
    sql = sqlite3_vmprintf(format, args);
    va_end(args);
    text = fixture_text_of(f->db, sql);
    sqlite3_free(sql);
    return text;
}

UNUSED static long fixture_count(Fixture *f, const char *format, ...)
{
    va_list args;
    char *sql;
    long n;

    va_start(args, format);
    sql = sqlite3_vmprintf(format, args);
    va_end(args);
    n = atol(fixture_text_of(f->db, sql));
    sqlite3_free(sql);
    return n;
}

UNUSED static void fixture_open_backend(Fixture *f)
{
    assert_int_equal(sqlite3_open_v2(f->database, &f->db, SQLITE_OPEN_READWRITE, NULL), SQLITE_OK);
    (void)sqlite3_busy_timeout(f->db, 2000);
    fixture_exec(f, "PRAGMA foreign_keys = ON");
}

UNUSED static void fixture_init(Fixture *f)
{
    *f = (Fixture){0};
    (void)snprintf(f->directory, sizeof(f->directory), "/tmp/store-test-XXXXXX");
    assert_non_null(mkdtemp(f->directory));
    (void)snprintf(f->database, sizeof(f->database), "%s/data/database/PictoPy.db", f->directory);
    (void)snprintf(f->thumbnails, sizeof(f->thumbnails), "%s/data/thumbnails", f->directory);
    (void)snprintf(f->state, sizeof(f->state), "%s/state", f->directory);
    (void)snprintf(f->state_database, sizeof(f->state_database), "%s/state.db", f->state);
    f->options = (StoreOptions){.database_path = f->database,
                                .thumbnails_directory = f->thumbnails,
                                .state_directory = f->state,
                                .inherit_ai_tagging = true,
                                .graveyard_days = 30,
                                .graveyard_size = UINT64_C(256) << 20};
    assert_int_equal(store_database_create(f->database), 0);
    fixture_open_backend(f);
    fixture_exec(f, fixture_schema);
    assert_int_equal(store_create(&f->options, &f->store), 0);
    assert_int_equal(store_register_folder(f->store, "/r", 1, &f->root_id), 0);
}

UNUSED static int fixture_remove_one(const char *path, const struct stat *st, int flag,
                                     struct FTW *ftw)
{
    (void)st;
    (void)flag;
    (void)ftw;
    return remove(path);
}

UNUSED static void fixture_done(Fixture *f)
{
    f->store = store_free(f->store);
    (void)sqlite3_close(f->db);
    free(f->root_id);
    (void)nftw(f->directory, fixture_remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* ---- operations ---- */

UNUSED static int fixture_jpeg(const char *content)
{
    int fd = memfd_create("thumbnail", MFD_CLOEXEC);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, content, strlen(content)), (ssize_t)strlen(content));
    return fd;
}

UNUSED static StoreOp fixture_op(StoreOpKind kind, const char *path, const char *new_path)
{
    StoreOp op;

    store_op_init(&op, kind);
    op.path = path ? strdup(path) : NULL;
    op.new_path = new_path ? strdup(new_path) : NULL;
    return op;
}

UNUSED static StoreOp fixture_add(const char *path)
{
    StoreOp op = fixture_op(STORE_OP_MEDIA_ADD, path, NULL);
    char *metadata = sqlite3_mprintf("{\"name\": \"%s\", \"other\": [1, 2], \"file_location\": "
                                     "\"%s\", \"file_size\": 10, \"file_mtime\": 20}",
                                     "x", "y");

    op.media = media_kind_of(path);
    op.metadata = strdup(metadata);
    sqlite3_free(metadata);
    if (op.media == MEDIA_KIND_PHOTO)
        op.thumbnail_fd = fixture_jpeg("jpeg");
    return op;
}

UNUSED static StoreOp fixture_move(const char *id, const char *new_path)
{
    StoreOp op = fixture_op(STORE_OP_MEDIA_MOVE, NULL, new_path);

    op.id = strdup(id);
    op.media = media_kind_of(new_path);
    return op;
}

UNUSED static StoreOp fixture_remove(const char *id, MediaKind kind)
{
    StoreOp op = fixture_op(STORE_OP_MEDIA_REMOVE, NULL, NULL);

    op.id = strdup(id);
    op.media = kind;
    return op;
}

/* While another connection holds the lock it is tried again, as the daemon does; each try waits. */
UNUSED static void fixture_write(Fixture *f, StoreOp *ops, size_t n)
{
    int r = STORE_E_BUSY;

    for (int i = 0; i < 100 && r == STORE_E_BUSY; i++)
        r = store_write(f->store, ops, n);
    if (r)
        fail_msg("store_write: %d %s", r, store_error(f->store));
    for (size_t i = 0; i < n; i++)
        assert_int_not_equal(ops[i].result, STORE_OP_RESULT_PENDING);
}

/* Writes one operation, which must end with this result; frees it. */
UNUSED static void fixture_write_one(Fixture *f, StoreOp op, StoreOpResult result)
{
    fixture_write(f, &op, 1);
    if (op.result != result)
        fail_msg("result %d, not %d: %s", op.result, result, op.error ? op.error : "");
    store_op_done(&op);
}

/* Adds a row for path and gives its id; the caller frees. */
UNUSED static char *fixture_add_row(Fixture *f, const char *path)
{
    StoreOp op = fixture_add(path);
    char *id;

    fixture_write(f, &op, 1);
    if (op.result != STORE_OP_RESULT_DONE)
        fail_msg("%s: %d %s", path, op.result, op.error ? op.error : "");
    id = strdup(op.id);
    store_op_done(&op);
    return id;
}

UNUSED static void fixture_assert_path(Fixture *f, const char *id, const char *path)
{
    assert_string_equal(fixture_text(f,
                                     "SELECT path FROM images WHERE id = %Q UNION ALL"
                                     " SELECT path FROM videos WHERE id = %Q",
                                     id, id),
                        path);
}

/* ---- the invariant: thumbnail files and rows are the same set, nothing temporary is left ---- */

UNUSED static void fixture_assert_thumbnails(Fixture *f)
{
    DIR *dir = opendir(f->thumbnails);
    long files = 0;

    for (struct dirent *entry; dir && (entry = readdir(dir));) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        files++;
        if (fixture_count(f,
                          "SELECT (SELECT count(*) FROM images WHERE thumbnailPath = '%q/%q') +"
                          " (SELECT count(*) FROM videos WHERE thumbnailPath = '%q/%q')",
                          f->thumbnails, entry->d_name, f->thumbnails, entry->d_name) != 1)
            fail_msg("no row names %s", entry->d_name);
    }
    if (dir)
        (void)closedir(dir);
    assert_int_equal(files, fixture_count(f, "SELECT (SELECT count(thumbnailPath) FROM images) +"
                                             " (SELECT count(thumbnailPath) FROM videos)"));
}
