#pragma once
/* The engine's inside, shared by the files of sync/ only. */

#include "loop/worker.h"
#include "media/pool.h"
#include "store/store.h"
#include "sync/call.h"
#include "sync/engine.h"
#include "sync/pending.h"
#include "volume/mounts.h"
#include "volume/open.h"
#include "volume/probe.h"
#include "volume/volume.h"
#include "volume/walk.h"
#include "watch/watcher.h"

#define ENGINE_PENDING_MAX  20000 /* more changes than this fold into dirty directories */
#define ENGINE_ROUND_MAX    1024  /* changes looked at together */
#define ENGINE_BATCH_MAX    256   /* operations handed to the store together */
#define ENGINE_JOINS_MAX    4     /* slices of scans compared with rows at a time */
#define ENGINE_HOLD_MAX     (3 * CLOCK_US_PER_SEC)
#define ENGINE_FOLDERS_POLL CLOCK_US_PER_SEC

/* ---- the store's thread: a job that is tried again while the database is locked or away ---- */

typedef struct StoreTask StoreTask;
struct StoreTask {
    WorkerJob job;
    ListNode link; /* Engine.retries */
    Engine *engine;
    int result;
    char *reason;                               /* of a result that is a condition */
    int (*work)(StoreTask *task, Store *store); /* store's thread: 0, STORE_E_… or negative */
    void (*finish)(StoreTask *task);            /* loop's thread; result 0 unless cancelled */
};

/* tasks.c */
void store_task_submit(StoreTask *task, Engine *engine, WorkerPriority priority);
bool store_task_cancelled(const StoreTask *task);
void tasks_retry(Timer *timer);
void tasks_cancel(Engine *engine);

/* ---- registered folders and roots ---- */

typedef enum RootState {
    ROOT_STATE_NEW,
    ROOT_STATE_SCANNING, /* its first directory is being looked at */
    ROOT_STATE_ONLINE,
    ROOT_STATE_OFFLINE,
} RootState;

typedef struct Root {
    ListNode link; /* Engine.roots */
    char *path;
    char *id; /* of its folder row */
    RootState state;
    Volume *volume;
    Node *node; /* NULL unless online (or scanning) */
    struct Scan *scan;
    Timer retry;
    uint64_t backoff; /* µs */
    bool rescan;      /* once more when the present scan has ended */
    uint64_t mounts;  /* what was mounted at, above and below it */
    bool told;        /* its being offline has been logged */
    bool gone;        /* no longer registered: freed when its scan ends */
    Engine *engine;
} Root;

/* One row of folders, as last read. */
typedef struct Folder {
    HashNode by_path; /* Engine.folders */
    char *path;
    char *id;
    bool held;           /* in_progress, or new and not_started */
    bool seen;           /* in the list that is being compared */
    uint64_t held_until; /* µs; 0 = until the status changes */
} Folder;

/* ---- scans ---- */

typedef struct Scan {
    Walk walk;
    ListNode link; /* Engine.scans */
    Engine *engine;
    Root *root; /* of a root's own scan; else NULL */
    Node *dir;  /* referenced: where the start is; NULL for a root */
    char *name; /* of the start in dir; "" = dir itself */
    Volume *volume;
    Node **nodes; /* by Listing.id; referenced; NULL where there is none */
    size_t n_nodes, nodes_capacity;
    uint64_t walk_begun; /* clock_now() when the present slice was asked for */
    unsigned n_joins;    /* slices under comparison */
    bool waiting;        /* for its turn: too many joins, or a verdict on its root */
    bool shallow;        /* only the start: a directory that was put off */
} Scan;

typedef struct DirtyNode {
    ListNode link; /* Engine.dirty */
    Node *node;    /* referenced */
    bool shallow;
} DirtyNode;

/* ---- moves of directories ---- */

typedef struct Move {
    ListNode link;   /* Engine.moves */
    Node *node;      /* referenced */
    char *rows_path; /* where its rows are until this is committed */
} Move;

/* ---- reading media ---- */

typedef struct MediaTask {
    ListNode link; /* Engine.media_queue */
    Engine *engine;
    Change *change;
    char *row_id;   /* NULL: a new file */
    char *metadata; /* of the row; NULL */
    bool has_fingerprint;
    uint64_t fingerprint;
    bool has_thumbnail; /* the row has one */
    FileStamp seen;     /* what the probe saw; the inode of a symbolic link is the link's own */
    OpenJob open;
    MediaJob media;
} MediaTask;

/* ---- writing ---- */

/* An operation on its way to the store. Its path is put together only when it is handed over, from
 * the node: directories may be renamed while it waits. */
typedef struct Write {
    ListNode link; /* Engine.writes */
    StoreOp op;
    Node *dir;         /* referenced; NULL: op has its path already, or needs none */
    char *name;        /* in dir; "" is the directory itself */
    Change *change;    /* finished when it is committed; or NULL */
    MediaTask *task;   /* of MEDIA_ADD and _UPDATE: what was read */
    struct Move *move; /* of FOLDER_MOVE */
} Write;

typedef struct EngineCounters {
    uint64_t rounds, probes, rescans, joins, files_unchanged;
    uint64_t added, modified, moved, removed;
    uint64_t folders_added, folders_moved, folders_removed;
    uint64_t thumbnails_kept; /* content was the same: only metadata was written */
} EngineCounters;

struct Engine {
    EngineOptions options;
    const Config *config;
    Loop *loop;
    Timers *timers;
    LoopHook hook;

    Watcher *watcher;
    Tree *tree;
    WatchListener listener;
    MountWatch mounts;
    Volumes volumes;
    Rules *rules;

    Store *store;
    Worker *store_worker;
    List retries; /* StoreTask.link */
    Timer retry_timer;
    uint64_t retry_backoff;
    unsigned n_store_tasks; /* under way, those in retries included */
    bool database_connected;
    char *database_error; /* as last logged */

    MediaPool *media;
    List media_queue;                 /* MediaTask.link: waiting for their turn */
    unsigned n_media;                 /* being opened or decoded */
    uint64_t media_done, media_total; /* of the present import */

    HashTable folders; /* Folder.by_path */
    size_t n_held;     /* of them are held */
    char **excluded;   /* folders that the user removed while they are on disk */
    size_t n_excluded;
    List roots; /* Root.link */
    bool folders_known;
    bool folders_stale; /* our own writes changed the table */
    bool folders_reading;
    uint64_t folders_read; /* times */
    bool folders_read_again;
    char **own_gone; /* folders that we removed or moved since the last reading */
    size_t n_own_gone, own_gone_capacity;
    Timer folders_timer;
    Timer held_timer;
    SnapshotFolders *snapshot_folders;

    List scans; /* Scan.link */
    List dirty; /* DirtyNode.link */
    unsigned n_joins;
    Timer reconcile_timer;
    Timer poll_timer; /* directories without a watch */
    bool unwatched;   /* some directory could not be watched */
    bool overflow_told;

    Pending pending;
    Timer due_timer;
    unsigned n_rounds;

    List moves; /* Move.link */
    bool moving;

    List writes; /* Write.link */
    size_t n_writes;
    bool writing;

    List calls; /* Call.link */
    uint64_t n_problems;

    bool running; /* between start and stop of the watcher */
    bool ready;
    bool stopping;
    bool snapshot_dirty;
    bool snapshot_published; /* at least once */
    bool progress_dirty;
    EngineCounters counters;
};

/* engine.c */
void engine_changed(Engine *engine); /* progress or the snapshot may differ */
void engine_publish(Engine *engine);
void engine_watch_start(Engine *engine);
void engine_watch_stop(Engine *engine);
bool engine_scans_idle(const Engine *engine);
void engine_node_missing(Engine *engine, Node *node); /* another directory, or none, is there now */
Node *node_find(Engine *engine, const char *path);    /* the directory at a path; NULL */
void engine_problem(Engine *engine, const char *path, const FileStamp *stamp, const char *reason);
void engine_problem_clear(Engine *engine, const char *path);

/* events.c */
WatchListener events_listener(void);

/* roots.c */
void roots_poll(Engine *engine, bool force); /* read the folders table if it changed */
void roots_retry_offline(Engine *engine);
void roots_mounts_changed(Engine *engine);
void roots_clear(Engine *engine);
void root_scanned(Root *root, bool trusted, int error); /* the verdict on its first directory */
void root_scan_ended(Root *root);
void root_lost(Engine *engine, Node *node);
Root *root_of(Engine *engine, const Node *node);
void roots_forget_own(Engine *engine, const char *path); /* we remove or move this folder */
bool roots_include(Engine *engine, const char *path);    /* was it excluded? */
bool folder_is_held(const Engine *engine, const char *path);
bool roots_all_known(const Engine *engine);
int roots_init(Engine *engine);
void roots_done(Engine *engine);
int rules_build(Engine *engine);

/* scan.c */
void scan_root(Root *root);
void scan_name(Engine *engine, Node *dir, const char *name); /* a directory that appeared */
void scan_node(Engine *engine, Node *node, bool shallow);    /* a dirty subtree */
void scans_continue(Engine *engine);
void scans_abort(Engine *engine);
void scan_resume(Scan *scan);

/* funnel.c */
void funnel_run(Engine *engine);
void funnel_release_held(Engine *engine);

/* decide.c */
typedef struct Sighting {
    Change *change;
    ProbeResult directory;
    int error;               /* positive errno, with PROBE_RESULT_ERROR */
    Entry entry;             /* valid with PROBE_RESULT_OK */
    const char *change_name; /* borrowed from change, for the store's thread */
    char *path;
    char *origin_path; /* or NULL */
    StoreRow row;      /* at path */
    bool rows_below;
    StoreRow *candidates;     /* rows that may be this file under an older name */
    Entry *candidate_entries; /* what is at their paths now */
    size_t n_candidates;
    size_t n_cookie; /* the first of them come from the cookie, not from the inode */
} Sighting;

typedef struct Round {
    Engine *engine;
    Volume *volume;
    ProbeJob probe;
    StoreTask lookup;
    Sighting *items;
    size_t n_items;
    char **moved; /* ids that move in this round */
    size_t n_moved, moved_capacity;
} Round;

void decide_round(Round *round);
bool row_is_at(const StoreRow *row, const Entry *entry);

/* moves.c */
void moves_record(Engine *engine, Node *node); /* before the tree is changed */
bool moves_pending(const Engine *engine);
/* The operations that are due first, as a batch of their own. */
void moves_take(Engine *engine, List *writes);
void move_committed(Engine *engine, const char *from, const char *to);
Move *move_free(Move *move);
void moves_clear(Engine *engine);

/* reading.c */
void reading_queue(Engine *engine, Change *change, const StoreRow *row, const FileStamp *seen);
MediaTask *media_task_free(MediaTask *task);
void reading_run(Engine *engine);
void reading_clear(Engine *engine);

/* batch.c */
Write *batch_new(StoreOpKind kind, Node *dir, const char *name); /* NULL when memory runs out */
Write *write_free(Write *write);
void batch_add(Engine *engine, Write *write);
void batch_run(Engine *engine);
void batch_clear(Engine *engine);

/* settle.c */
void calls_run(Engine *engine);
void calls_clear(Engine *engine);
