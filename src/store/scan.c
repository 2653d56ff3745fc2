/*
 * A skip-scan over paths. Rows in path order below dir/ come as
 *
 *     dir/a.jpg, dir/b, dir/b-2, dir/b/1.jpg, dir/b/2/3.jpg, …, dir/c.jpg
 *
 * A row deeper than the directory (dir/b/1.jpg) names a subdirectory, and everything up to dir/b0
 * is below it: the scan goes on there with a new range. Its cost depends on the number of names in
 * the directory, not on what is below them. Only a deeper row may be jumped from: behind dir/b
 * stands dir/b-2, because '-' sorts before '/'.
 *
 * The statement has no end: it stays where one directory ended, which is where the next one begins
 * when directories come in path order. So a whole tree is one walk over the index, and a table with
 * nothing in the range of a directory costs a comparison. `low` says from which key on the row in
 * hand is known to be the first one; whatever lies before it, or behind the row, is sought anew.
 */

#include "store/scan.h"

#include <string.h>

/* As SQLite orders text (collation BINARY) and BLOBs. */
static int compare(const char *a, size_t a_size, const char *b, size_t b_size)
{
    size_t n = a_size < b_size ? a_size : b_size;
    int order = n > 0 ? memcmp(a, b, n) : 0;

    if (order != 0)
        return order;
    return a_size < b_size ? -1 : a_size > b_size;
}

static bool row_is_before(const Scan *scan, const char *key, size_t size)
{
    return scan->row && compare(scan->row, scan->row_size, key, size) < 0;
}

static bool low_is_behind(const Scan *scan, const char *key, size_t size)
{
    return compare(scan->low.data ? scan->low.data : "", scan->low.length, key, size) > 0;
}

/* Keys are made from parts; low is built anew each time, so data may be in none of its own. */
static int scan_set_low(Scan *scan, const char *data, size_t size, const char *more, size_t n)
{
    text_clear(&scan->low);
    text_append_bytes(&scan->low, data, size);
    text_append_bytes(&scan->low, more, n);
    return scan->low.failed ? SQLITE_NOMEM : SQLITE_OK;
}

/* scan_release() - resets the statement; what is known of the rows is forgotten, the place is not
 */
void scan_release(Scan *scan)
{
    if (!scan->statement)
        return;
    if (scan->row && scan->taken) {
        if (scan->deeper)
            (void)scan_set_low(scan, scan->row, (size_t)(scan->name + scan->name_size - scan->row),
                               "0", 1); /* the byte behind '/' */
        else
            (void)scan_set_low(scan, scan->row, scan->row_size, "", 1); /* with its zero byte */
    }
    statement_release_p(&scan->statement);
    scan->statement = NULL;
    scan->row = NULL;
    scan->taken = false;
}

/* scan_done() - releases the statement and frees the keys */
void scan_done(Scan *scan)
{
    scan_release(scan);
    text_done(&scan->low);
    text_done(&scan->first);
    text_done(&scan->end);
    *scan = (Scan){0};
}

/* ---- moving ---- */

static int scan_step(Scan *scan)
{
    int code = sqlite3_step(scan->statement);
    int type = scan->source.blob ? SQLITE_BLOB : SQLITE_TEXT;

    scan->row = NULL;
    scan->taken = false;
    if (code == SQLITE_DONE)
        return SQLITE_OK;
    if (code != SQLITE_ROW) {
        scan_release(scan);
        return code;
    }
    if (sqlite3_column_type(scan->statement, 0) != type)
        return SQLITE_OK; /* BLOBs sort behind all text: the end */
    scan->row = sqlite3_column_blob(scan->statement, 0);
    scan->row_size = (size_t)sqlite3_column_bytes(scan->statement, 0);
    return SQLITE_OK;
}

/* To the first row at or behind low. */
static int scan_seek(Scan *scan)
{
    const Text *low = &scan->low;
    int code = SQLITE_OK;

    if (scan->statement)
        (void)sqlite3_reset(scan->statement);
    else
        code = database_prepare(scan->database, scan->source.sql, &scan->statement);
    if (code != SQLITE_OK)
        return code;
    if (scan->source.blob)
        (void)sqlite3_bind_blob64(scan->statement, 1, low->data, low->length, SQLITE_TRANSIENT);
    else
        (void)sqlite3_bind_text64(scan->statement, 1, low->data, low->length, SQLITE_TRANSIENT,
                                  SQLITE_UTF8);
    return scan_step(scan);
}

/* To the first row at or behind key: where the scan stands, one further, or sought. */
static int scan_move(Scan *scan, const char *key, size_t size)
{
    bool known = scan->statement && !low_is_behind(scan, key, size);
    int code = SQLITE_OK;

    if (known && row_is_before(scan, key, size))
        code = scan_step(scan);
    if (code == SQLITE_OK)
        code = scan_set_low(scan, key, size, NULL, 0);
    if (code != SQLITE_OK)
        return code;
    scan->taken = false;
    return known && !row_is_before(scan, key, size) ? SQLITE_OK : scan_seek(scan);
}

/* scan_find() - goes to the row at exactly this path */
int scan_find(Scan *scan, Database *database, ScanSource source, const char *path)
{
    size_t size = strlen(path);
    int code;

    scan->database = database;
    scan->source = source;
    code = scan_move(scan, path, size);
    if (code != SQLITE_OK)
        return code;
    return scan->row && compare(scan->row, scan->row_size, path, size) == 0 ? SQLITE_ROW
                                                                            : SQLITE_DONE;
}

static int scan_set_range(Scan *scan, const char *directory)
{
    size_t size = strlen(directory);

    if (size == 1)
        size = 0; /* "/" */
    text_clear(&scan->first);
    text_append_bytes(&scan->first, directory, size);
    text_append(&scan->first, "/");
    text_clear(&scan->end);
    text_append_bytes(&scan->end, directory, size);
    text_append(&scan->end, "0");
    return scan->first.failed || scan->end.failed ? SQLITE_NOMEM : SQLITE_OK;
}

/* scan_open() - goes to the first row below a directory; a result code */
int scan_open(Scan *scan, Database *database, ScanSource source, const char *directory)
{
    int code = scan_set_range(scan, directory);

    scan->database = database;
    scan->source = source;
    return code == SQLITE_OK ? scan_move(scan, scan->first.data, scan->first.length) : code;
}

/* ---- names ---- */

/* Behind the row that was given out, and behind all that is below its subdirectory. */
static int scan_leave(Scan *scan)
{
    int code;

    if (!scan->deeper)
        return scan_step(scan);
    code =
        scan_set_low(scan, scan->row, (size_t)(scan->name + scan->name_size - scan->row), "0", 1);
    return code == SQLITE_OK ? scan_seek(scan) : code;
}

/* Takes the row's name apart; false for a row that is not a path below the directory. */
static bool scan_take(Scan *scan)
{
    size_t prefix = scan->first.length;
    const char *slash;

    scan->taken = true;
    scan->deeper = false;
    if (scan->row_size <= prefix || memchr(scan->row, '\0', scan->row_size))
        return false;
    scan->name = scan->row + prefix;
    scan->name_size = scan->row_size - prefix;
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

    do {
        code = SQLITE_OK;
        if (!scan->statement)
            code = scan_seek(scan);
        else if (scan->taken)
            code = scan_leave(scan);
        if (code != SQLITE_OK)
            return code;
        if (!row_is_before(scan, scan->end.data, scan->end.length)) {
            code = scan_set_low(scan, scan->end.data, scan->end.length, NULL, 0);
            return code == SQLITE_OK ? SQLITE_DONE : code;
        }
    } while (!scan_take(scan));
    return SQLITE_ROW;
}
