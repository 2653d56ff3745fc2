#pragma once
/* The engine's inside, shared by the files of sync/ only. */

#include "loop/worker.h"
#include "media/pool.h"
#include "store/store.h"
#include "sync/call.h"
#include "sync/engine.h"
#include "sync/moves.h"
#include "sync/pending.h"
#include "sync/reconcile.h"
#include "sync/renames.h"
#include "volume/mounts.h"
#include "volume/open.h"
#include "volume/probe.h"
#include "volume/volume.h"
#include "volume/walk.h"
#include "watch/file_watch.h"
#include "watch/watcher.h"

#define ENGINE_PENDING_MAX 20000 /* more changes than this fold into dirty directories */
#define ENGINE_ROUND_MAX   1024  /* changes looked at together */
#define ENGINE_BATCH_MAX   256   /* operations handed to the store together; moves: all */
#define ENGINE_JOINS_MAX   4     /* slices of scans compared with rows at a time */
#define ENGINE_SCANS_MAX   1024  /* more new directories than this fold into their parents */
#define ENGINE_KEPT_MAX    5000  /* more that are too early are not kept */
#define ENGINE_DIRTY_MAX   4096  /* more dirty directories than this fold into their roots */
#define ENGINE_HOLD_MAX    (3 * CLOCK_US_PER_SEC)

/* ---- the store's thread: a job that is tried again while the database is locked or away ---- */

typedef struct StoreTask StoreTask;
struct StoreTask {
    WorkerJob job;
    ListNode link; /* Engine.retries */
    Engine *engine;
    int result;
    char *reason;           /* of a result that is a condition */
    bool problems_differ;   /* the list of problems is to be counted after the work */
    uint64_t n_problems;    /* then: how long it is */
    bool connected;         /* PictoPy.db could be used when it was last asked */
    StoreCounters counters; /* as they were after the work */
    int (*work)(StoreTask *task, Store *store); /* store's thread: 0, STORE_E_… or negative */
    void (*finish)(StoreTask *task);            /* loop's thread; result 0 unless cancelled */
};

/* tasks.c */
void store_task_submit(StoreTask *task, Engine *engine, WorkerPriority priority);
bool store_task_cancelled(const StoreTask *task);
void tasks_retry(Timer *timer);
void tasks_cancel(Engine *engine);

/* ---- places: where volumes begin in the tree ---- */

struct Root;

/* A root, or a mount point below one. */
typedef struct Place {
    uint32_t number;   /* index in Engine.places + 1; Node.place of its node */
    Node *node;        /* referenced, of a mount point; of a root see Root.node */
    struct Root *root; /* NULL: a mount point */
    Volume *volume;    /* one user of it */
    uint64_t poll_due; /* µs; of a volume that is polled */
    VolumeProof proof; /* the last; zeros: none */
    bool told;         /* that another file system is in its place has been logged */
} Place;

/* ---- registered folders and roots ---- */

typedef enum RootState {
    ROOT_STATE_SCANNING, /* its first directory is being looked at */
    ROOT_STATE_ONLINE,
    ROOT_STATE_OFFLINE,
} RootState;

typedef struct Root {
    ListNode link;    /* Engine.roots */
    HashNode by_path; /* Engine.root_paths */
    char *path;
    char *real_path; /* without symbolic links, as last seen; NULL = not known */
    char *id;        /* of its folder row */
    RootState state;
    int error; /* why it is offline: positive errno; 0 = something else is in its place */
    Place place;
    Node *node; /* NULL unless online (or scanning) */
    struct Scan *scan;
    Timer retry;
    uint64_t backoff;  /* µs */
    uint64_t compared; /* µs, when a comparison of all of it ended; 0 = never */
    bool watched;      /* all of it, since it came online */
    bool rescan;       /* once more when the present scan has ended, */
    bool checked;      /* since its mount was another one: Scan.checked of the next */
    bool told;         /* its being offline has been logged */
    bool wanted;       /* in the list that is being compared */
    bool unsure;       /* something was mounted at or above it: its volume may be another one */
    List guarded;      /* Change.link: removals that the user has to confirm */
    bool guard_told;
    bool guard_known; /* all of it was compared in this run: the list of problems is its own */
    bool confirmed;   /* the next of them pass */
    uint64_t passed;  /* rows whose removal has passed since the last scan */
    bool doubted;     /* its directory is known at another place, which is being looked at */
    bool gone;        /* no longer registered: freed when its scan ends */
    Engine *engine;
} Root;

/* A folder that another program imports: it is left alone. */
typedef struct HeldFolder {
    HashNode by_path; /* Engine.held_folders */
    char *path;
    bool seen;           /* in the list that is being compared */
    uint64_t held_until; /* µs; 0 = until its status changes */
} HeldFolder;

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
    uint64_t begun;       /* µs */
    uint64_t moves_begun; /* Tree.n_moves when the slice in hand was asked for */
    uint64_t left_begun;  /* Engine.directories_left, then */
    uint64_t next_moves_begun, next_left_begun; /* likewise, of the slice that is at work */
    unsigned n_joins;                           /* slices under comparison */
    bool waiting;    /* for its turn: too many joins, or a verdict on its root */
    bool shallow;    /* only the start: a directory that was put off */
    bool names_only; /* watch all of a root before its files are looked at */
    bool is_mount;   /* the start is a mount point */
    bool remounted;  /* the start was not on what is mounted there: to be looked at again, */
    bool checked;    /* which this scan does */
    int start_error; /* positive errno: the first directory of a root cannot be listed */
} Scan;

typedef struct DirtyNode {
    ListNode link; /* Engine.dirty */
    Node *node;    /* referenced */
    bool shallow;
    bool late; /* it has been listed; what it is compared with is not there yet */
} DirtyNode;

/* A directory that may be on another file system than its rows. */
typedef struct UnprovenNode {
    ListNode link;      /* Engine.unproven */
    Node *node;         /* referenced */
    VolumeProof volume; /* what would have to be proven */
} UnprovenNode;

/* A directory that has no watch, or cannot be read. */
typedef struct PolledNode {
    ListNode link; /* Engine.polled */
    Node *node;    /* referenced; node->polled is set */
} PolledNode;

/* ---- reading media ---- */

typedef struct MediaTask {
    ListNode link; /* Volume.media_queue, or Engine.media_queue */
    Engine *engine;
    Change *change;
    Volume *volume;  /* that it is read on; NULL when it is on none any more */
    char *row_id;    /* NULL: a new file */
    char *folder_id; /* of the row; NULL */
    char *metadata;  /* of the row; NULL */
    bool has_fingerprint;
    uint64_t fingerprint;
    bool has_stamp;
    FileStamp stamp; /* what the row was made from; the one above is its fingerprint */
    char *thumbnail; /* the row's; NULL */
    FileStamp seen;  /* what the probe saw; the inode of a symbolic link is the link's own */
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
    bool lazy;         /* goes with others, if there will be others soon */
    Rename *rename;    /* of MEDIA_MOVE: what it carries out, if that is still to be */
} Write;

/* ---- looking ahead: rows are looked up while a change settles ---- */

typedef struct Ahead {
    uint64_t number;    /* of the last batch handed over to the store */
    uint64_t forgotten; /* looks that began before this one was handed over count for nothing */
    uint64_t *written;  /* the last batch that wrote a path or an inode, by hash */
} Ahead;

typedef struct EngineCounters {
    uint64_t rounds, probes, joins, files_unchanged;
    uint64_t lookups_ahead; /* files that no row knew while they settled, */
    uint64_t lookups_saved; /* and that were not looked up again */
    uint64_t scans, directories_listed, polls, folds;
    /* Looking at all of a root, or of all roots, again: why. */
    uint64_t rescans_interval, rescans_overflow, rescans_mount, rescans_request;
    uint64_t added, modified, moved, removed;
    uint64_t folders_added, folders_moved, folders_removed;
    uint64_t thumbnails_kept; /* they came out the same: only metadata was written */
    uint64_t retagged;        /* photos edited: the AI is to look again */
    uint64_t own_writes;      /* of PictoPy's, told by its ledger */
    uint64_t collections;     /* passes over the thumbnails that have ended */
    Histogram batches;        /* operations handed to the store together */
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
    unsigned n_store_tasks;       /* under way, those in retries included */
    StoreCounters store_counters; /* as the last task brought them: the store's thread owns them */
    bool database_connected;
    char *database_error; /* as last logged */

    MediaPool *media;
    List media_queue;                 /* MediaTask.link: those that are on no volume any more */
    unsigned n_media;                 /* being opened or decoded */
    uint64_t media_done, media_total; /* of the present import */

    /* folders.c, excluded.c */
    SnapshotFolders *folders; /* as last read; shared with the store's thread and snapshots */
    HashTable held_folders;   /* HeldFolder.by_path */
    char **excluded;          /* folders that the user removed while they are on disk */
    size_t n_excluded;
    bool excluded_unsaved; /* they have moved, and the state database has not been told */
    char **always;         /* registered folders that the ignore globs would hide */
    size_t n_always;
    bool folders_known;
    bool folders_resumed; /* it was read before the watcher was stopped, and nothing since */
    bool folders_stale;   /* our own writes changed the table */
    bool folders_reading;
    uint64_t folders_read;   /* readings that have ended */
    uint64_t folders_begun;  /* readings that have begun */
    uint64_t folders_opened; /* store_opened() of the last one */
    uint64_t folders_rest;   /* clock_now() before which it is not read again unasked */
    bool folders_read_again;
    FileWatch database_watch;
    List own_gone; /* OwnGone.link: folders that we removed or moved ourselves */
    size_t n_own_gone;
    Timer folders_timer;
    Timer held_timer;

    List roots;           /* Root.link */
    HashTable root_paths; /* Root.by_path */
    Place **places;       /* by Place.number - 1; NULL: free */
    size_t n_places, places_capacity;
    MountTable *mount_table;
    Timer mounts_timer;
    Timer hung_timer;  /* while a volume's thread is at work */
    Timer looks_timer; /* while private volumes wait for a thread */
    unsigned n_hung;   /* volumes */

    List scans; /* Scan.link */
    size_t n_scans;
    uint64_t listed_before; /* directories_listed when the present scans began */
    unsigned n_root_scans;
    uint64_t pass_begun;    /* µs, when n_root_scans was last 0 */
    int64_t pass_ended;     /* seconds since 1970, of the last pass over all roots; 0 = never */
    uint64_t pass_took;     /* µs */
    List dirty;             /* DirtyNode.link */
    size_t n_dirty, n_late; /* DirtyNode.late */
    unsigned n_joins;
    List doubts;      /* Doubt.link: directories found at a second place, being looked at */
    List inspections; /* Inspection.link: names looked at ahead of their time, see inspections.c */
    uint64_t inspections_until; /* clock_now(): moves wait for them until then; 0: none does */
    List displaced; /* Displaced.link: watched directories that are not where they were */
    Timer displaced_timer;
    uint64_t displaced_until;  /* µs: none is looked for after this, */
    uint64_t displaced_rest;   /* nor before this */
    unsigned n_displaced;      /* so far */
    uint64_t directories_left; /* events of directories that went from where they were */
    List origins;              /* Origin.link: directories whose rows stand at an older path */
    uint64_t n_rows_moved;     /* operations so far that moved rows from one path to another */
    size_t n_origins;
    Timer reconcile_timer;
    uint64_t overflow_told; /* clock_now() of the last warning; 0 = never */
    bool blind;             /* events were lost, and not everything has been seen since */

    List unproven; /* UnprovenNode.link: what may be another file system than that of the rows */
    size_t n_unproven;

    List polled; /* PolledNode.link */
    size_t n_polled;
    Timer poll_timer;      /* armed while something is to be polled */
    uint64_t watch_limit;  /* the kernel's, for this user */
    uint64_t watch_budget; /* our share of it */
    bool limit_reached, limit_told;

    bool guarding;         /* removals are being counted */
    unsigned n_guard_told; /* roots */
    Pending pending;
    List kept; /* Change.link: too early, see sync/kept.c */
    size_t n_kept;
    uint64_t kept_state;
    uint64_t kept_until;    /* clock_now(): moves of directories are kept until then; 0: none is */
    uint64_t kept_rest;     /* and none before this */
    uint64_t n_file_events; /* so far */
    Renames renames;
    Timer due_timer;
    unsigned n_rounds;
    Ahead ahead;

    Moves moves;
    bool moving;

    List writes; /* Write.link */
    size_t n_writes, n_lazy;
    uint64_t lazy_due; /* µs, until when lazy ones wait for others */
    bool writing;

    List calls;               /* Call.link */
    uint64_t n_problems;      /* noted or found so far; 0: there is nothing to clear */
    uint64_t problems_listed; /* in the list, as last counted */

    bool running; /* between start and stop of the watcher */
    bool ready;
    Timer rest_timer;
    bool rested; /* since the last work */
    Timer collect_timer;
    bool collecting;
    bool stopping;
    bool stopped;
    bool snapshot_dirty;
    bool snapshot_published; /* at least once */
    SnapshotDetail *detail;  /* as last published */
    bool detail_stale;       /* something that is not a number in it may differ */
    uint64_t detail_due;     /* µs: not before then */
    Timer detail_timer;
    bool progress_dirty;
    EngineCounters counters;
};

/* engine.c */
void engine_changed(Engine *engine); /* progress or the snapshot may differ */
void engine_watch_start(Engine *engine);
void engine_watch_stop(Engine *engine);
bool engine_scans_idle(const Engine *engine);         /* those of hung volumes aside */
bool engine_walks_idle(const Engine *engine);         /* the same, origins aside */
void engine_node_missing(Engine *engine, Node *node); /* another directory, or none, is there now */
Node *node_find(Engine *engine, const char *path);    /* the directory at a path; NULL */
/* Makes a name pending, or its directory dirty when too much is pending already (then NULL). */
Change *engine_touch(Engine *engine, Node *dir, const char *name, ChangeWait wait);
/* The same, at once, as a consequence of another change. */
Change *engine_touch_for(Engine *engine, const Change *cause, Node *dir, const char *name);
void engine_problem(Engine *engine, const char *path, const FileStamp *stamp, const char *reason);
void engine_problem_clear(Engine *engine, const char *path); /* and those below it */
void engine_problem_clear_one(Engine *engine, const char *path);

/* events.c */
WatchListener events_listener(void);
/* Before the tree is changed. */
void engine_directory_moving(Engine *engine, Node *node, const Node *to, const char *to_name);

/* folders.c: the folders table */
int folders_init(Engine *engine);
void folders_done(Engine *engine);
void folders_poll(Engine *engine, bool force); /* read the table if it changed */
int rules_build(Engine *engine);

/* imports.c: folders that PictoPy is importing */
void imports_init(Engine *engine);
void imports_done(Engine *engine);
void imports_update(Engine *engine, const SnapshotFolder *const *fresh, size_t n_fresh,
                    const SnapshotFolder *const *under_way, size_t n_under_way);
bool import_holds(const Engine *engine, const char *path);

/* excluded.c: folders that the user removed in the app */
void excluded_done(Engine *engine);
bool excluded_forget(Engine *engine, const char *path); /* registered or made again: was it one? */
bool excluded_any_within(const Engine *engine, const char *path); /* is it one, or above one? */
void excluded_add(Engine *engine, const char *path);
void excluded_remember(Engine *engine); /* all of them, once more */
bool excluded_forget_one(Engine *engine, const char *path);
void excluded_moved(Engine *engine, const PathMove *moves, size_t n_moves);
void excluded_renamed(Engine *engine, const char *from, const char *to); /* one itself */
void excluded_save(Engine *engine);
void excluded_unwatch(Engine *engine); /* those that are in the tree */
/* The directory at path was listed: what is not in it is excluded no more. */
void excluded_listed(Engine *engine, const char *path, const Listing *listing);
/* We remove or move this folder. */
void own_gone_add(Engine *engine, const char *path, bool committed);
void own_gone_committed(Engine *engine, const char *path); /* known to the next reading */
void own_gone_sweep(Engine *engine, uint64_t reading);     /* a reading has been taken in */
bool own_gone_has(const Engine *engine, const char *path);

/* roots.c */
void roots_init(Engine *engine);
void roots_done(Engine *engine);
/* What is to be watched: count paths, with the ids of their rows. */
const char *root_why_offline(const Root *root);
void roots_update(Engine *engine, const SnapshotFolder *const *rows, size_t count);
void roots_retry_offline(Engine *engine);
void roots_clear(Engine *engine);
void roots_scan(Engine *engine, bool idle);
void root_scanned(Root *root, bool trusted, int error); /* the verdict on its first directory */
void root_scan_ended(Root *root);
void root_look(Root *root); /* scan it, once more if it is being scanned */
void root_look_later(Root *root);
void root_lost(Engine *engine, Node *node);
Root *root_of(const Engine *engine, const Node *node);
bool roots_all_known(const Engine *engine);
bool root_is_covered(const char *path, const char *root);

/* places.c */
int places_init(Engine *engine);
void places_done(Engine *engine);
int place_add(Engine *engine, Place *place);
void place_remove(Engine *engine, Place *place);
Place *place_of(const Engine *engine, const Node *node); /* NULL: not in the tree */
Volume *volume_of(const Engine *engine, const Node *node);
int root_set_real_path(Root *root, const char *real_path); /* and its volume */
/* The mount at a path of the tree, or NULL. */
const Mount *mount_at_node(const Engine *engine, const Node *dir, const char *name);
int place_set_mount(Engine *engine, Node *node, const Mount *mount);
void places_sweep(Engine *engine);
void places_look(Engine *engine); /* has something been mounted? */
/* proof.c: is a file system the one that the rows speak of? */
void place_prove(Engine *engine, Node *node, const ReconcileResult *result);
void places_judge(Engine *engine); /* scans have ended */
/* Directories below which a look at a file may hang; ends with NULL. NULL: none, or no memory. */
char **places_unsure(const Engine *engine);
void places_unsure_free(char **directories);
typedef enum VolumeLook {
    VOLUME_LOOK_FREE,
    VOLUME_LOOK_LATER, /* it is being found out where that is */
    VOLUME_LOOK_NEVER,
} VolumeLook;
VolumeLook volume_may_look(const Engine *engine, const Volume *volume, const char *path);
void proof_done(Engine *engine);
void volume_submit(Engine *engine, Volume *volume, WorkerJob *job);
void looks_continue(Engine *engine);
void volume_answered(Engine *engine, Volume *volume);
void volumes_answered(Engine *engine); /* at the begin of a round */
bool node_is_hung(const Engine *engine, const Node *node);

/* probes.c: asking a volume's thread about names. 0 or -ENOMEM */
int probe_node(ProbeJob *probe, const Node *dir, ProbeDirectory **ret_directory);
int probe_name(ProbeJob *probe, const Node *dir, const char *name);
int probe_path(ProbeJob *probe, const char *path, bool follow, void *owner);

/* poll.c */
void poll_init(Engine *engine);
void poll_done(Engine *engine);
void poll_add(Engine *engine, Node *node);
void poll_forget_below(Engine *engine, Node *top);
void poll_places(Engine *engine); /* something may have to be polled now */
void limits_read(Engine *engine);
bool limits_allow(Engine *engine);   /* one watch more? */
void limits_refused(Engine *engine); /* a watch was */
void limits_tell(Engine *engine);    /* when scans have ended */

/* rest.c */
void rest_init(Engine *engine);
void rest_done(Engine *engine);
void rest_round(Engine *engine);

/* collect.c: thumbnails that no row names */
void collect_init(Engine *engine);
void collect_done(Engine *engine);
void collect_reconfigure(Engine *engine);

/* scan.c */
void scan_root(Root *root, bool idle);
void scan_name(Engine *engine, Node *dir, const char *name);         /* a directory that appeared */
void scan_node(Engine *engine, Node *node, bool shallow, bool idle); /* a dirty subtree */
void scans_continue(Engine *engine);
void scan_give_up(Root *root); /* when its volume does not answer */
void scans_abort(Engine *engine);
size_t scans_under_way(const Engine *engine); /* those of hung volumes aside */
void scan_resume(Scan *scan);

/* dirty.c: directories that are put off */
void dirty_add(Engine *engine, Node *node, bool shallow);
void dirty_add_late(Engine *engine, Node *node);
void dirty_continue(Engine *engine);
void dirty_clear(Engine *engine);

/* attach.c: listings into the tree */
Node *attach_listing(Scan *scan, Listing *listing); /* NULL: nothing to compare */
void attach_look_if_left(Engine *engine, Node *parent, const char *name, uint64_t left_begun);

/* doubts.c: directories that are found at a second place */
bool doubt_start(const Scan *scan, Node *known, Node *parent, const char *name);
bool node_is_alias(const Node *node);
size_t doubts_under_way(const Engine *engine); /* those of hung volumes aside */
void doubts_clear(Engine *engine);

/* displaced.c: directories whose name another one has */
bool displaced_add(Engine *engine, Node *node);
bool displaced_lost(Engine *engine, const Node *node);
bool displaced_under_way(const Engine *engine);
void displaced_continue(Engine *engine);
void displaced_clear(Engine *engine);
void displaced_fired(Timer *timer);

/* join.c: listings against rows */
typedef struct JoinDirectory {
    Node *node; /* referenced */
    char *path;
    Listing *listing;
    VolumeProof proof;
    bool astray;         /* when the rows were asked for they were at another path */
    bool made_here;      /* Node.made_here */
    uint64_t left_begun; /* Scan.left_begun */
    StoreDirectory rows;
    ReconcileResult result;
    StoreOrigin origin;    /* where its rows stand, if that is another path */
    uint64_t n_rows_moved; /* Engine.n_rows_moved when the rows were asked for */
} JoinDirectory;

void join_start(Scan *scan, JoinDirectory *directories, size_t count); /* takes them over */
/* Called in the loop when a join has ended: ok, and the verdict on the start directory. */
void scan_joined(Scan *scan, bool ok, bool trusted);

/* origins.c: directories that were moved while nobody looked */
int origin_look_up(JoinDirectory *directory, Store *store);  /* store's thread: 0 or STORE_E_… */
bool origins_take(Engine *engine, JoinDirectory *directory); /* true: it is compared later */
void origins_run(Engine *engine);
void origins_occupy(Engine *engine, const char *path);
void origins_moved(Engine *engine, const PathMove *moves, size_t n_moves); /* rows of directories */
size_t origins_under_way(const Engine *engine); /* those of hung volumes aside */
bool origins_ask_for(const Engine *engine, const Node *node);
void origins_clear(Engine *engine);

/* funnel.c */
char *change_path_new(const Change *change);
void funnel_run(Engine *engine);

/* held.c */
void held_release(Engine *engine);

/* kept.c: what is too early */
bool node_is_ahead(Engine *engine, Node *node);
bool node_is_early(Engine *engine, Node *node);
bool kept_has_room(const Engine *engine);
bool kept_waits(Engine *engine, const Change *change);
void kept_add(Engine *engine, Change *change);
void kept_run(Engine *engine);
bool kept_moves(Engine *engine);

/* guard.c: removals that only a scan found, and that are too many */
void guard_look(Engine *engine);
bool guard_lets_pass(const Change *change);
void guard_scanned(Engine *engine, Root *root);
void guard_round(Engine *engine);
bool guard_confirm(Engine *engine, Root *root);
void guard_clear(Engine *engine, Root *root);

/* ahead.c */
struct Sighting;
int ahead_init(Engine *engine);
void ahead_done(Engine *engine);
void ahead_run(Engine *engine);           /* begin to look, where it is time to */
uint64_t ahead_due(const Engine *engine); /* when that is, µs; UINT64_MAX: not foreseeable */
void ahead_forget(Engine *engine);        /* all that was seen so far */
void ahead_batch(Engine *engine, const StoreOp *ops, size_t n_ops); /* is handed over now */
/* Does no row know this file? False: it must be looked up. */
bool ahead_is_new(Engine *engine, const struct Sighting *item);

/* What a round of the funnel asks for, and what it learns. */
typedef struct Sighting {
    Change *change;
    ProbeResult directory;
    int error;               /* positive errno, with PROBE_RESULT_ERROR */
    Entry entry;             /* valid with PROBE_RESULT_OK */
    const char *change_name; /* borrowed from change, for the store's thread */
    bool written;            /* likewise */
    char *path;
    bool is_new;      /* no row knows it, as was seen ahead: not looked up again */
    StoreRow row;     /* at path */
    char *doubt_path; /* of the row whose file may be here: Rename.doubtful; or NULL */
    StoreRow doubt_row;
    bool rows_below;
    StoreRow *candidates;     /* rows that may be this file under an older name */
    Entry *candidate_entries; /* what is at their paths now */
    size_t n_candidates;
    bool is_early; /* what is at one of those cannot be looked at yet */
} Sighting;

typedef struct Round {
    Engine *engine;
    Volume *volume;
    ProbeJob probe;
    StoreTask lookup;
    Sighting *items;
    size_t n_items;
    uint64_t moves_begun; /* Tree.n_moves when the probe was asked for */
} Round;

/* lookup.c */
int lookup_work(StoreTask *task, Store *store);
void sighting_done(Sighting *item);

/* decide.c */
void decide_round(Round *round);
#define DECIDE_TRIES 100 /* times that a change steps back for another one */
bool row_is_at(const StoreRow *row, const Entry *entry);
bool row_has_come(const Sighting *item, size_t i);

/* judge.c */
bool judge_sighting(Round *round, Sighting *item);
void judge_removed(Round *round, const Change *change);

/* inspections.c: names that are looked at ahead of their time */
bool inspections_wait(Engine *engine);
void inspections_end(Engine *engine);
void inspections_clear(Engine *engine);

/* follow.c: rows of files that were renamed */
typedef enum FollowState {
    FOLLOW_STATE_FREE,     /* there is nothing to follow */
    FOLLOW_STATE_READY,    /* rows are to be written first */
    FOLLOW_STATE_BUSY,     /* soon: another write is on its way */
    FOLLOW_STATE_UNSEEN,   /* when everything else has been seen */
    FOLLOW_STATE_DOUBTFUL, /* when the name has been looked at */
    FOLLOW_STATE_EARLY,    /* when it is known which rows the directory has */
} FollowState;

FollowState follow_state(Engine *engine, const Change *change);
FollowState follow_due(Engine *engine, const Change *change);
void follow_take(Engine *engine, List *writes);
void follow_take_below(Engine *engine, List *moves);
void follow_moved(Engine *engine);
void follow_committed(Engine *engine, Write *write);

/* reading.c */
void reading_queue(Engine *engine, Change *change, const StoreRow *row, const FileStamp *seen);
MediaTask *media_task_free(MediaTask *task);
void reading_run(Engine *engine);
void reading_clear(Engine *engine);

/* edits.c: files that were modified */
void edit_describe(MediaTask *task, StoreOp *op);

/* batch.c */
Write *batch_new(StoreOpKind kind, Node *dir, const char *name); /* NULL when memory runs out */
Write *write_free(Write *write);
void batch_add_stamp(Engine *engine, const StoreRow *row, const FileStamp *stamp);
void batch_add(Engine *engine, Write *write);
void batch_run(Engine *engine);
bool batch_moves_pending(const Engine *engine); /* rows are elsewhere than their directories */
bool batch_paths_wait(const Engine *engine);
uint64_t batch_due(const Engine *engine); /* when it is to be run, µs; UINT64_MAX: not by time */
void batch_clear(Engine *engine);

/* committed.c: what follows from operations that have come back */
void committed_moves(Engine *engine, Write *const *writes, size_t n_writes);
void committed_write(Engine *engine, Write *write);

/* publish.c: what others may see */
void engine_publish(Engine *engine);
void detail_init(Engine *engine);
void detail_done(Engine *engine);
void detail_refresh(Engine *engine); /* at the end of each round */
SnapshotRootState root_state_shown(const Root *root, const char **ret_reason);
/* Passes over all roots: how long ago everything was last compared. */
void pass_scan_begun(Engine *engine);
void pass_scan_ended(Engine *engine);

/* metrics.c */
char *metrics_json(Engine *engine); /* GET /debug/counters; NULL when memory runs out */
char *metrics_text(Engine *engine); /* GET /metrics, the engine's part */

/* settle.c */
void calls_run(Engine *engine);
void calls_clear(Engine *engine);
