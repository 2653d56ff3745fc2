#pragma once
/* Comparing database and disk without changing anything, for `pictopy-sync check`. */

#include <stdbool.h>
#include <stdint.h>

#include "util/config.h"

typedef enum AuditKind {
    AUDIT_KIND_MISSING,   /* on disk, without a row */
    AUDIT_KIND_GONE,      /* a row without a file */
    AUDIT_KIND_MODIFIED,  /* the row is of another state of the file */
    AUDIT_KIND_FOLDER,    /* a directory's row is missing or has another mtime */
    AUDIT_KIND_THUMBNAIL, /* the row's thumbnail is not there */
    AUDIT_KIND_OFFLINE,   /* a root that cannot be compared now */
} AuditKind;

typedef struct AuditCounts {
    uint64_t folders, files, differences, offline;
} AuditCounts;

typedef void (*AuditReport)(void *owner, AuditKind kind, const char *path);
typedef void (*AuditProgress)(void *owner, const AuditCounts *counts);

#define AUDIT_E_UNAVAILABLE 1 /* the database cannot be read; error says why (the caller frees) */
int audit_run(const Config *config, AuditReport report, AuditProgress progress, void *owner,
              AuditCounts *ret_counts, char **ret_error);
const char *audit_kind_name(AuditKind kind);
