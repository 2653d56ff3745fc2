#pragma once
/*
 * The graveyard: what is kept of photos and videos whose rows were deleted, in the state database,
 * for sync.graveyard_days and up to sync.graveyard_size. store_write() buries and puts back by
 * itself; here is what commands and the engine's timer need. On the store thread, or in a command
 * with no threads, which may run beside the daemon.
 */

#include "store/store.h"

/* One deleted row; strings are borrowed and live during the call. */
typedef struct StoreGrave {
    const char *id;
    const char *path;
    MediaKind kind;
    int64_t buried_at;  /* seconds since 1970 */
    int64_t expires_at; /* the same */
    uint64_t bytes;
    const char *kept; /* JSON: how many rows of which tables */
} StoreGrave;

/* Calls report for each, the oldest first, until it returns something else than 0, which is then
 * returned. STORE_E_UNAVAILABLE when the state database cannot be read. */
int store_graveyard_list(Store *store, int (*report)(void *owner, const StoreGrave *grave),
                         void *owner);
/* Removes all, in short transactions. */
int store_graveyard_purge(Store *store, uint64_t *ret_count);
/* Removes what is too old, too much, or whose row is still there (a killed process leaves that): a
 * piece of it; ret_more: call again soon. Else an hour later is enough. 0 or STORE_E_… */
int store_graveyard_sweep(Store *store, bool *ret_more);
