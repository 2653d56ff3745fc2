/*
 * Thumbnail files and rows that agree, whatever happens in between.
 *
 * A file's path is announced in the state database, the file is written under its final name (it is
 * of no interest to anybody until a row names it), the row is committed, the announcement is taken
 * back. A file that a row gives up is announced before that commit and removed behind it. A run
 * that is killed on the way leaves the announcement: the next one looks whether a row names the
 * file, and removes it if not. This needs no order between the two databases but the one above.
 *
 * A row must not name a file that a power cut leaves empty, so the file's data is on the disk
 * before the row is. A batch starts writing all its files out first (sync_file_range(2)), then
 * waits for each: the first fdatasync(2) commits the file system's journal for them all.
 */

#include "store/thumbnails.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/core.h"
#include "store/directories.h"
#include "util/error.h"
#include "util/log.h"
#include "util/uuid.h"

#define THUMBNAIL_PREFIX "thumbnail_"
#define THUMBNAIL_SUFFIX ".jpg"
#define COPY_SIZE        65536

/* thumbnails_name() - the path for a new thumbnail; 0 or negative errno, the caller frees */
int thumbnails_name(const Store *store, char **ret_path)
{
    char uuid[UUID_TEXT_SIZE];
    Text path = {0};
    int r = uuid_generate(uuid);

    if (r)
        return error_trace(r);
    text_printf(&path, "%s/" THUMBNAIL_PREFIX "%s" THUMBNAIL_SUFFIX,
                store->options.thumbnails_directory, uuid);
    return text_steal(&path, ret_path);
}

/* thumbnails_make_directory() - with its parents, where there is none; 0 or negative errno */
int thumbnails_make_directory(const Store *store)
{
    return directories_make(store->options.thumbnails_directory);
}

static int copy_write(int to, const char *data, size_t size)
{
    while (size > 0) {
        ssize_t n = write(to, data, size);

        if (n < 0 && errno != EINTR)
            return -errno;
        if (n > 0) {
            data += n;
            size -= (size_t)n;
        }
    }
    return 0;
}

static int copy_plain(int from, off_t offset, int to)
{
    char buffer[COPY_SIZE];

    for (;;) {
        ssize_t n = pread(from, buffer, sizeof(buffer), offset);
        int r;

        if (n == 0)
            return 0;
        if (n < 0 && errno != EINTR)
            return -errno;
        if (n < 0)
            continue;
        r = copy_write(to, buffer, (size_t)n);
        if (r)
            return r;
        offset += n;
    }
}

/* Leaves from's file offset alone: the operation may be given again. */
static int copy_file(int from, int to)
{
    off_t offset = 0;
    ssize_t n;

    do
        n = sendfile(to, from, &offset, SSIZE_MAX & ~(ssize_t)0xfff);
    while (n > 0 || (n < 0 && errno == EINTR));
    if (n == 0)
        return 0;
    if (errno != EINVAL && errno != ENOSYS)
        return -errno;
    return copy_plain(from, offset, to);
}

/*
 * thumbnails_write() - copies the JPEG in fd to a new file at path
 * @fd: read from its begin, its offset stays
 * @ret_file: the open file, for thumbnails_sync()
 *
 * Returns 0 or a negative errno; then the file does not exist.
 */
int thumbnails_write(Store *store, const char *path, int fd, int *ret_file)
{
    CLEANUP_CLOSE int file = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0644);
    int r;

    if (file < 0)
        return -errno;
    store_step(store, STORE_STEP_FILE_OPENED);
    r = copy_file(fd, file);
    if (r) {
        (void)unlink(path);
        return r;
    }
    /* Only a hint: file systems without it write when they are waited for. */
    (void)sync_file_range(file, 0, 0, SYNC_FILE_RANGE_WRITE);
    store->counters.thumbnails_written++;
    store_step(store, STORE_STEP_FILE_WRITTEN);
    *ret_file = STEAL_FD(file);
    return 0;
}

/* thumbnails_sync() - waits until the file's data is on the disk; closes it. 0 or negative errno */
int thumbnails_sync(int file)
{
    int r = fdatasync(file) < 0 && errno != EINVAL && errno != EROFS ? -errno : 0;

    if (close(file) < 0 && !r && errno != EINTR)
        r = -errno; /* a full disk shows here on NFS, close(2) */
    return r;
}

static bool is_uuid(const char *text, size_t size)
{
    if (size != UUID_TEXT_SIZE - 1)
        return false;
    for (size_t i = 0; i < size; i++) {
        bool hyphen = i == 8 || i == 13 || i == 18 || i == 23;

        if (hyphen ? text[i] != '-' : !isxdigit((unsigned char)text[i]))
            return false;
    }
    return true;
}

/*
 * thumbnails_owns() - does path name a thumbnail in our directory, by PictoPy's pattern?
 *
 * A row may hold any text as its thumbnailPath. Whatever else it names is not ours to remove.
 */
bool thumbnails_owns(const Store *store, const char *path)
{
    const char *directory = store->options.thumbnails_directory;
    size_t prefix = strlen(THUMBNAIL_PREFIX), suffix = strlen(THUMBNAIL_SUFFIX);
    size_t size = strlen(directory);
    const char *name;

    if (strncmp(path, directory, size) != 0 || path[size] != '/')
        return false;
    name = path + size + 1;
    size = strlen(name);
    if (size < prefix + suffix || memcmp(name, THUMBNAIL_PREFIX, prefix) != 0)
        return false;
    if (strcmp(name + size - suffix, THUMBNAIL_SUFFIX) != 0)
        return false;
    return is_uuid(name + prefix, size - prefix - suffix);
}

/* thumbnails_remove() - removes a thumbnail's file; one that is not ours is left alone */
void thumbnails_remove(Store *store, const char *path)
{
    if (!thumbnails_owns(store, path))
        return;
    if (unlink(path) == 0)
        store->counters.thumbnails_removed++;
    else if (errno != ENOENT && errno != ENOTDIR)
        log_warning("Cannot remove the thumbnail %s: %s, ignoring", path, strerror(errno));
    store_step(store, STORE_STEP_FILE_REMOVED);
}

#define NAMED_SQL(table) "SELECT 1 FROM " table " WHERE thumbnailPath = ?1"
static const char *const named_sql[] = SCHEMA_BOTH(NAMED_SQL);

/* thumbnails_is_named() - does a row name this file? The caller has a read transaction */
int thumbnails_is_named(Store *store, const char *path, bool *ret_named)
{
    *ret_named = false;
    for (SchemaTable t = 0; t < SCHEMA_N_MEDIA && !*ret_named; t++) {
        CLEANUP_STATEMENT sqlite3_stmt *s = NULL;
        int code;

        if (!store->schema.media[t].present)
            continue;
        code = database_prepare(&store->database, named_sql[t], &s);
        if (code == SQLITE_OK) {
            statement_bind_text(s, 1, path);
            code = sqlite3_step(s);
        }
        if (code != SQLITE_ROW && code != SQLITE_DONE)
            return store_fail(store, code, "cannot be read");
        *ret_named = code == SQLITE_ROW;
    }
    return 0;
}

static int thumbnails_recover_list(Store *store, const StringList *paths, StringList *ret_orphans)
{
    for (size_t i = 0; i < paths->count; i++) {
        bool named;
        int r = thumbnails_is_named(store, paths->items[i], &named);

        if (!r && !named)
            r = string_list_add(ret_orphans, paths->items[i]);
        if (r)
            return r;
    }
    return 0;
}

/*
 * thumbnails_recover() - ends what announced thumbnails were announced for
 *
 * Each one is named by a row, and stays, or is not, and goes. Run when no write is under way.
 * Returns 0, or what kept the rows from being read: then nothing was removed.
 */
int thumbnails_recover(Store *store)
{
    CLEANUP(string_list_done) StringList paths = {0}, orphans = {0};
    bool own;
    int r = state_read_announced(&store->state, &paths);

    if (r || paths.count == 0)
        return r;
    r = store_enter(store, &own);
    if (r)
        return r;
    r = thumbnails_recover_list(store, &paths, &orphans);
    store_leave(store, own);
    if (r)
        return r;
    for (size_t i = 0; i < orphans.count; i++)
        thumbnails_remove(store, orphans.items[i]);
    state_write_begin(&store->state);
    for (size_t i = 0; i < paths.count; i++)
        state_announce_done(&store->state, paths.items[i]);
    state_end(&store->state);
    return 0;
}
