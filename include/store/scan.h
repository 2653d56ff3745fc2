#pragma once
/* Walks over the names directly in a directory by ranges of a column that holds paths. */

#include <stdbool.h>
#include <stddef.h>

#include "store/database.h"
#include "util/text.h"

typedef struct Scan {
    sqlite3_stmt *statement; /* taken by scan_open() */
    bool blob;               /* the column holds BLOBs */
    bool jump;               /* the next step begins at key */
    Text key;
    char *first; /* directory + "/" */
    char *end;   /* behind the last path below it */
    size_t prefix;
    /* the row */
    const char *name; /* not terminated; until the next call */
    size_t name_size;
    bool deeper; /* the row is below the subdirectory of this name */
} Scan;

/* The statement's ?1 and ?2 are the range, its column 0 is the path, its rows are in path order. */
int scan_open(Scan *scan, Database *database, const char *sql, const char *directory, bool blob);
int scan_next(Scan *scan); /* SQLITE_ROW, SQLITE_DONE or another code */
void scan_close(Scan *scan);
