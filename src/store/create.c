/*
 * A database where there is none, for a machine without PictoPy.
 *
 * Only the tables that the daemon works with: the backend makes all others by itself, and takes
 * these as they are, when PictoPy is installed later. The file appears under its name when it is
 * complete.
 */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "store/directories.h"
#include "store/store.h"
#include "util/error.h"
#include "util/log.h"
#include "util/path.h"
#include "util/text.h"
#include "util/uuid.h"

#include <sqlite3.h>

#define FOLDER_REFERENCE "FOREIGN KEY (folder_id) REFERENCES folders (folder_id) ON DELETE CASCADE"

/* Types and defaults as the backend writes them: it reads them back through PRAGMA table_info. */
static const char create_sql[] =
    "PRAGMA journal_mode = DELETE;"
    "BEGIN;"
    "CREATE TABLE folders (folder_id TEXT PRIMARY KEY, parent_folder_id TEXT,"
    " folder_path TEXT UNIQUE, last_modified_time INTEGER, AI_Tagging BOOLEAN DEFAULT 0,"
    " taggingCompleted BOOLEAN, indexing_status TEXT DEFAULT 'not_started',"
    " FOREIGN KEY (parent_folder_id) REFERENCES folders (folder_id) ON DELETE CASCADE);"
    "CREATE TABLE images (id TEXT PRIMARY KEY, path VARCHAR UNIQUE, folder_id INTEGER,"
    " thumbnailPath TEXT UNIQUE, metadata TEXT, isTagged BOOLEAN DEFAULT 0,"
    " isFavourite BOOLEAN DEFAULT 0, isEmbedded BOOLEAN DEFAULT 0, latitude REAL, longitude REAL,"
    " captured_at DATETIME, " FOLDER_REFERENCE ");"
    "CREATE TABLE videos (id TEXT PRIMARY KEY, path VARCHAR UNIQUE, folder_id INTEGER,"
    " thumbnailPath TEXT UNIQUE, metadata TEXT, isTagged BOOLEAN DEFAULT 0,"
    " isFavourite BOOLEAN DEFAULT 0, captured_at DATETIME, " FOLDER_REFERENCE ");"
    "CREATE INDEX ix_videos_captured_at ON videos (captured_at);"
    "COMMIT;";

static int create_at(const char *path)
{
    sqlite3 *db = NULL;
    int code = sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, NULL);
    int code2;

    if (code == SQLITE_OK)
        code = sqlite3_exec(db, create_sql, NULL, NULL, NULL);
    code2 = sqlite3_close(db);
    if (code == SQLITE_OK)
        code = code2;
    if (code == SQLITE_OK)
        return 0;
    switch (code & 0xff) {
    case SQLITE_FULL:
        return error_trace(-ENOSPC);
    case SQLITE_NOMEM:
        return error_trace(-ENOMEM);
    case SQLITE_CANTOPEN:
    case SQLITE_READONLY:
        return error_trace(-EACCES);
    default:
        return error_trace(-EIO);
    }
}

/* Gives the complete file its name, unless somebody else has made one meanwhile. */
static int create_publish(const char *from, const char *to)
{
    if (renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE) == 0)
        return 0;
    if (errno == EINVAL || errno == ENOSYS) { /* not on every file system */
        if (link(from, to) == 0)
            return unlink(from) < 0 ? error_errno() : 0;
    }
    return errno == EEXIST ? 0 : error_errno();
}

static int create_in(const char *directory, const char *path)
{
    CLEANUP(text_done) Text temporary = {0};
    char uuid[UUID_TEXT_SIZE];
    int r = directories_make(directory);

    if (!r)
        r = uuid_generate(uuid);
    if (r)
        return error_trace(r);
    text_printf(&temporary, "%s/.pictopy-sync-%s.tmp", directory, uuid);
    if (temporary.failed)
        return error_trace(-ENOMEM);
    r = create_at(temporary.data);
    if (!r)
        r = create_publish(temporary.data, path);
    (void)unlink(temporary.data);
    return r;
}

/*
 * store_database_create() - makes an empty database with PictoPy's current schema
 * @path: where; its directories are made too. A file that is there already is left alone.
 *
 * Returns 0 or a negative errno.
 */
int store_database_create(const char *path)
{
    CLEANUP_FREE char *directory = path_parent(path);

    if (!directory)
        return error_trace(-ENOMEM);
    if (access(path, F_OK) == 0)
        return 0;
    return create_in(directory, path);
}
