#pragma once
/* The store's own structure, for the files of this layer. */

#include "store/database.h"
#include "store/grave.h"
#include "store/scan.h"
#include "store/schema.h"
#include "store/state.h"
#include "store/store.h"
#include "store/thumbnail_set.h"
#include "util/text.h"

/* The moments of a write, in order, for tests that end the process there. */
typedef enum StoreStep {
    STORE_STEP_READ,
    STORE_STEP_BURIED,
    STORE_STEP_ANNOUNCED,
    STORE_STEP_FILE_OPENED,
    STORE_STEP_FILE_WRITTEN,
    STORE_STEP_BEGUN,
    STORE_STEP_OPERATION,
    STORE_STEP_REMOVAL_ANNOUNCED,
    STORE_STEP_COMMITTED,
    STORE_STEP_FILE_REMOVED,
    STORE_STEP_STATE_WRITTEN,
    STORE_STEP_COUNT,
} StoreStep;

struct Store {
    StoreOptions options;
    Database database;
    Schema schema;
    State state;
    Text error;
    StoreCounters counters;
    uint64_t dev, ino;   /* of the open database's file */
    bool reopen;         /* an error that only a new connection can end */
    bool recovered;      /* announced files of a killed run are dealt with */
    bool reading;        /* a read transaction is open, */
    uint64_t read_since; /* since then, and these stand where the last directory ended: */
    Scan folder_scan, media_scan[SCHEMA_N_MEDIA], problem_scan;
    StateKnownList known; /* the files of the directory in hand */
    ThumbnailSet thumbnails;
    uint64_t write_since; /* when the write lock was had */
    char *const *avoided; /* borrowed, ends with NULL; or NULL: see store_avoid() */
    uint64_t opened;      /* how often the database was opened */
    uint64_t changes;     /* transactions of our own */
    uint64_t poll_opened; /* what store_poll() saw last */
    int64_t poll_version;
    char *status; /* the last answer of store_folder_status_json(), and what it was made from */
    uint64_t status_opened, status_changes, status_fresh_until;
    int64_t status_version;
    GravePlan *grave_plan; /* for the schema as it was last met */
    int64_t grave_bytes;   /* of all graves, about; -1 = not known */
    size_t grave_batch;    /* how many rows are kept at a time; 0 = not known yet */
    uint64_t grave_waits;  /* clock_now() since when another process keeps us from it; 0 = none */
    bool grave_gave_up;    /* waiting for it */
    int64_t grave_refused; /* could not be put back: not tried again */
    int64_t grave_swept;   /* the last one that store_graveyard_sweep() has seen */
    void (*on_step)(StoreStep step); /* tests */
};

/* Opens what is not open or was replaced. 0, STORE_E_… or -ENOMEM. */
int store_ready(Store *store);
int store_ready_state(Store *store); /* the state database alone; 0 */
/* The condition for an SQLite result code, its words kept for store_error(). */
int store_fail(Store *store, int code, const char *doing);
int store_fail_text(Store *store, int condition, const char *format, ...) FORMAT_PRINTF(3, 4);

/* A read transaction, unless the caller's caller has one open; ret_own goes to store_leave(). */
int store_enter(Store *store, bool *ret_own);
void store_leave(Store *store, bool own);
/* Within a long read: lets others in when it is time. What was read may have changed then, and
 * scans go on where they were. 0 or STORE_E_… */
int store_read_pause(Store *store);
int store_write_begin(Store *store); /* store_ready() came before; 0 or STORE_E_… */
int store_commit(Store *store);      /* 0 or STORE_E_…: rolled back */
void store_rollback(Store *store);
int store_data_version(Store *store, int64_t *ret_version); /* SQLite's result code */

static inline void store_step(const Store *store, StoreStep step)
{
    if (store->on_step)
        store->on_step(step);
}
