#pragma once
/* Walks over the names directly in a directory by ranges of a column that holds paths. */

#include <stdbool.h>
#include <stddef.h>

#include "store/database.h"
#include "util/text.h"

/* What a scan reads: its column 0 is the path, ?1 where it begins, its rows are in path order. */
typedef struct ScanSource {
    const char *sql;
    bool blob; /* the column holds BLOBs */
} ScanSource;

typedef struct Scan {
    Database *database;
    ScanSource source;
    sqlite3_stmt *statement; /* at a row or at the end; NULL: nothing is known */
    const char *row;         /* its path, not terminated; NULL at the end */
    size_t row_size;
    Text low;   /* no row is between this key and the one in hand */
    bool taken; /* the row in hand has been given out */
    /* the directory */
    Text first, end; /* the range of what is below it */
    /* the name in hand, until the next call */
    const char *name; /* not terminated */
    size_t name_size;
    bool deeper; /* the row is below the subdirectory of this name */
} Scan;

/* The row at exactly this path: SQLITE_ROW, SQLITE_DONE when there is none, or another code. */
int scan_find(Scan *scan, Database *database, ScanSource source, const char *path);
int scan_open(Scan *scan, Database *database, ScanSource source, const char *directory);
int scan_next(Scan *scan); /* SQLITE_ROW, SQLITE_DONE or another code */
/* Lets the rows go, at the end of a transaction. In the next one scan_next() goes on. */
void scan_release(Scan *scan);
void scan_done(Scan *scan); /* frees everything */
