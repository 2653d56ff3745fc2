#pragma once
/* The engine: watches roots, funnels changes, keeps rows true. Lives in the loop's thread. */

#include <stdbool.h>
#include <stdint.h>

#include "loop/dispatch.h"
#include "loop/mailbox.h"
#include "loop/timer.h"
#include "sync/call.h"
#include "sync/snapshot.h"
#include "util/config.h"

typedef struct Engine Engine;

/* What is going on, for STATUS=, the progress bar and GET /watcher/status. */
typedef struct EngineProgress {
    bool ready;   /* every root has been watched, or is known to be offline */
    bool in_sync; /* nothing is pending */
    bool database_connected;
    uint64_t folders_watched;
    bool scanning;            /* folders are being looked at */
    uint64_t folders_scanned; /* since the present scans began */
    uint64_t folders_polled;  /* they have no watch */
    bool limit_reached;       /* of watches */
    uint64_t watch_limit, watch_budget;
    uint64_t roots_online, roots_offline;
    uint64_t roots_hung;  /* on volumes that do not answer; counted above as well */
    uint64_t photos_done; /* of the present import */
    uint64_t photos_total;
    uint64_t changes_pending;
    uint64_t problems;
} EngineProgress;

typedef struct EngineOptions {
    const Config *config; /* borrowed, until engine_reconfigure() */
    const char *program;  /* this executable, for the media workers */
    Loop *loop;
    Timers *timers;
    Mailbox *mailbox;
    SnapshotBox *snapshots;
    /* A line of progress may have changed (called at the end of rounds in which it did). */
    void (*progress)(Engine *engine, void *owner);
    void (*shutdown)(Engine *engine, void *owner); /* POST /shutdown */
    void *owner;
} EngineOptions;

int engine_create(const EngineOptions *options, Engine **ret_engine);
/* Stops everything: threads, workers, watches. What was not committed is found again next time.
 * False: a thread hangs in the kernel, and the engine must not be freed. */
bool engine_stop(Engine *engine);
Engine *engine_free(Engine *engine);
CLEANUP_DEFINE(Engine *, engine_free)
int engine_start(Engine *engine);

/* May a thread never come back, on a network mount or one that does not answer already? */
bool engine_may_hang(const Engine *engine);
void engine_progress(const Engine *engine, EngineProgress *ret_progress);
/* Takes up what can change while running: ignore rules, waiting times, thumbnails, levels. */
int engine_reconfigure(Engine *engine, const Config *config);
/* Takes a question of another thread (see sync/call.h); it is answered now or later. */
void engine_call(Engine *engine, Call *call);
