/*
 * A skip-scan over paths. Rows in path order of the range [dir/, dir0) come as
 *
 *     dir/a.jpg, dir/b, dir/b-2, dir/b/1.jpg, dir/b/2/3.jpg, …, dir/c.jpg
 *
 * A row deeper than the directory (dir/b/1.jpg) names a subdirectory, and everything up to dir/b0
 * is below it: the scan goes on there with a new range. Its cost depends on the number of names in
 * the directory, not on what is below them. Only a deeper row may be jumped from: behind dir/b
 * stands dir/b-2, because '-' sorts before '/'.
 */

#include "store/scan.h"

#include <string.h>

#include "util/path.h"

/* scan_open() - begins a scan; a result code. scan_close() must follow in any case. */
int scan_open(Scan *scan, Database *database, const char *sql, const char *directory, bool blob)
{
    int code;

    *scan = (Scan){.blob = blob, .jump = true};
    if (path_range(directory, &scan->first, &scan->end))
        return SQLITE_NOMEM;
    scan->prefix = strlen(scan->first);
    text_append(&scan->key, scan->first);
    if (scan->key.failed)
        return SQLITE_NOMEM;
    code = database_prepare(database, sql, &scan->statement);
    return code;
}

static void scan_bind(const Scan *scan, int index, const char *data, size_t size)
{
    /* Transient: the key is built anew while the statement still refers to the old one. */
    if (scan->blob)
        (void)sqlite3_bind_blob64(scan->statement, index, data, size, SQLITE_TRANSIENT);
    else
        (void)sqlite3_bind_text64(scan->statement, index, data, size, SQLITE_TRANSIENT,
                                  SQLITE_UTF8);
}

static void scan_seek(Scan *scan)
{
    (void)sqlite3_reset(scan->statement);
    scan_bind(scan, 1, scan->key.data, scan->key.length);
    scan_bind(scan, 2, scan->end, strlen(scan->end));
    scan->jump = false;
}

/* Takes the row's name apart; false for a row that is not a path below the directory. */
static bool scan_take(Scan *scan)
{
    const char *path = sqlite3_column_blob(scan->statement, 0);
    int size = sqlite3_column_bytes(scan->statement, 0);
    const char *slash;

    if (!path || size < 0 || (size_t)size <= scan->prefix || memchr(path, '\0', (size_t)size))
        return false;
    scan->name = path + scan->prefix;
    scan->name_size = (size_t)size - scan->prefix;
    slash = memchr(scan->name, '/', scan->name_size);
    scan->deeper = slash != NULL;
    if (slash)
        scan->name_size = (size_t)(slash - scan->name);
    return true;
}

/* scan_next() - the next name: SQLITE_ROW, SQLITE_DONE at the end, or the code of an error */
int scan_next(Scan *scan)
{
    int code;

    for (;;) {
        if (scan->jump)
            scan_seek(scan);
        code = sqlite3_step(scan->statement);
        if (code != SQLITE_ROW)
            return code;
        if (scan_take(scan))
            break;
    }
    if (!scan->deeper)
        return SQLITE_ROW;
    text_clear(&scan->key);
    text_append(&scan->key, scan->first);
    text_append_bytes(&scan->key, scan->name, scan->name_size);
    text_append(&scan->key, "0"); /* the byte behind '/' */
    scan->jump = true;
    return scan->key.failed ? SQLITE_NOMEM : SQLITE_ROW;
}

/* scan_close() - releases the statement */
void scan_close(Scan *scan)
{
    statement_release_p(&scan->statement);
    text_done(&scan->key);
    free(scan->first);
    free(scan->end);
    *scan = (Scan){0};
}
