#pragma once
/* What belongs to the library, for the daemon and for `pictopy-sync check` alike. */

#include "util/config.h"
#include "volume/rules.h"

/* Is there a row in folders for this path? */
typedef bool (*ScopeIsFolder)(const void *owner, const char *path);

/* Then add the folders, then rules_sort(). 0 or -ENOMEM. */
int scope_rules_new(const Config *config, char *const *excluded, size_t n_excluded,
                    Rules **ret_rules);
int scope_rules_add_own(Rules *rules, const Config *config);
int scope_rules_add_folder(Rules *rules, const char *path);
/* Does the scan of a registered folder above lead to this one? Else it is a root. */
bool scope_is_covered(const Rules *rules, const char *path, ScopeIsFolder is_folder,
                      const void *owner);

/* The folder that was asked about before: what holds for one holds for all in its directory. */
typedef struct ScopeLast {
    const char *path; /* borrowed; NULL: none yet */
    bool covered;
} ScopeLast;
/* The same, of one folder after the other. */
bool scope_is_next_covered(const Rules *rules, ScopeLast *last, const char *path,
                           ScopeIsFolder is_folder, const void *owner);
