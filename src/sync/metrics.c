/*
 * Metrics
 *
 * Each number has one home: the counters of the part that counts it. Here they are put side by side
 * and named; the one table below is what GET /metrics and GET /debug/counters are made from.
 *
 * Names follow Prometheus' conventions: base units, _total for what only grows, labels for kinds of
 * one thing. What belongs to the process and not to the engine is added by the HTTP layer.
 */
#include <jansson.h>
#include <stddef.h>
#include <string.h>

#include "sync/engine-private.h"
#include "util/exposition.h"

/* What is counted nowhere, but is so now. */
typedef struct Gauges {
    uint64_t watches, watch_limit, watch_budget;
    uint64_t nodes, node_bytes, polled;
    uint64_t scans, dirty, pending, held, writes;
    uint64_t media_queue, media_workers;
    uint64_t connected, running, ready, in_sync;
    uint64_t problems, volumes_hung;
    uint64_t pass_ended, pass_took;
    uint64_t roots[SNAPSHOT_ROOT_STATES];
} Gauges;

typedef struct Values {
    WatchCounters watch;
    EngineCounters engine;
    StoreCounters store;
    MediaCounters media;
    Histogram rounds;
    Gauges now;
} Values;

typedef struct Metric {
    const char *key;  /* in GET /debug/counters; NULL: not there */
    const char *name; /* in GET /metrics, behind the prefix; NULL: not there */
    const char *labels;
    size_t offset; /* in Values: of a uint64_t, or of a Histogram */
    MetricType type;
    MetricUnit unit;
    const char *help; /* of the first of those with one name, which stand together */
} Metric;

#define PREFIX "pictopy_sync_"

#define AT(field) offsetof(Values, field)
#define COUNTER(key, name, labels, field, help)                                                    \
    {                                                                                              \
        key, PREFIX name, labels, AT(field), METRIC_TYPE_COUNTER, METRIC_UNIT_NUMBER, help         \
    }
#define GAUGE(key, name, labels, field, help)                                                      \
    {                                                                                              \
        key, PREFIX name, labels, AT(field), METRIC_TYPE_GAUGE, METRIC_UNIT_NUMBER, help           \
    }
#define TIME(key, name, field, help)                                                               \
    {                                                                                              \
        key, PREFIX name, NULL, AT(field), METRIC_TYPE_GAUGE, METRIC_UNIT_TIME, help               \
    }
#define HISTOGRAM(name, labels, unit, field, help)                                                 \
    {                                                                                              \
        NULL, PREFIX name, labels, AT(field), METRIC_TYPE_HISTOGRAM, unit, help                    \
    }
/* What a histogram of /metrics has in it. */
#define ONLY_JSON(key, field)                                                                      \
    {                                                                                              \
        key, NULL, NULL, AT(field), METRIC_TYPE_GAUGE, METRIC_UNIT_NUMBER, NULL                    \
    }

static const Metric metrics[] = {
    ONLY_JSON("events", watch.events),
    COUNTER("events_created", "inotify_events_total", "type=\"created\"", watch.created,
            "Events of the kernel about names and directories that are watched."),
    COUNTER("events_written", "inotify_events_total", "type=\"written\"", watch.written, NULL),
    COUNTER("events_moved_from", "inotify_events_total", "type=\"moved_from\"", watch.moved_from,
            NULL),
    COUNTER("events_moved_to", "inotify_events_total", "type=\"moved_to\"", watch.moved_to, NULL),
    COUNTER("events_deleted", "inotify_events_total", "type=\"deleted\"", watch.deleted, NULL),
    COUNTER("events_attributes", "inotify_events_total", "type=\"attributes\"", watch.attributes,
            NULL),
    COUNTER("events_ignored", "inotify_events_total", "type=\"ignored\"", watch.ignored, NULL),
    COUNTER("events_unmounted", "inotify_events_total", "type=\"unmounted\"", watch.unmounted,
            NULL),
    COUNTER("reads", "inotify_reads_total", NULL, watch.reads,
            "Times that events were read from the kernel's queue."),
    COUNTER("overflows", "inotify_overflows_total", NULL, watch.overflows,
            "Times that events were lost because a queue was full; all roots were then rescanned."),
    GAUGE("watches", "inotify_watches", NULL, now.watches, "Directories that are watched."),
    GAUGE("watch_limit", "inotify_watches_limit", NULL, now.watch_limit,
          "Watches that the kernel allows this user, all programs together."),
    GAUGE("watch_budget", "inotify_watches_budget", NULL, now.watch_budget,
          "The part of the limit that this program uses at most."),
    GAUGE("nodes", "directories", NULL, now.nodes, "Directories in the tree."),
    GAUGE("node_bytes", "directory_tree_bytes", NULL, now.node_bytes,
          "Memory of the tree of directories."),
    GAUGE("polled", "directories_polled", NULL, now.polled,
          "Directories that are looked at every now and then, for want of a watch."),
    COUNTER("polls", "polls_total", NULL, engine.polls,
            "Times that what has no watch was looked at."),
    COUNTER("folds", "folds_total", NULL, engine.folds,
            "Times that a directory was put off, to be listed again when there is room."),
    GAUGE("dirty", "directories_put_off", NULL, now.dirty,
          "Directories that wait for being listed again."),

    COUNTER("rescans", "scans_total", NULL, engine.scans,
            "Walks over a root or a directory that have begun."),
    GAUGE("scans", "scans_running", NULL, now.scans, "Walks under way."),
    COUNTER("rescans_interval", "rescans_total", "reason=\"interval\"", engine.rescans_interval,
            "Times that known roots had to be compared with the disk again."),
    COUNTER("rescans_overflow", "rescans_total", "reason=\"overflow\"", engine.rescans_overflow,
            NULL),
    COUNTER("rescans_mount", "rescans_total", "reason=\"mount\"", engine.rescans_mount, NULL),
    COUNTER("rescans_request", "rescans_total", "reason=\"request\"", engine.rescans_request, NULL),
    COUNTER("directories_listed", "directories_listed_total", NULL, engine.directories_listed,
            "Directories listed by scans."),
    COUNTER("joins", "comparisons_total", NULL, engine.joins,
            "Slices of scans compared with the rows."),
    COUNTER("files_unchanged", "files_unchanged_total", NULL, engine.files_unchanged,
            "Photos and videos that a comparison found to be as their row says."),
    GAUGE(NULL, "last_reconcile_timestamp_seconds", NULL, now.pass_ended,
          "When all roots had last been compared with the disk, in Unix time; 0: not yet."),
    TIME("reconcile_us", "last_reconcile_duration_seconds", now.pass_took, "How long that took."),

    GAUGE("pending", "changes_pending", NULL, now.pending,
          "Changes that are not worked off, those on their way included."),
    GAUGE("held", "removals_held", NULL, now.held,
          "Removals that wait until everything else has been seen."),
    COUNTER("rounds", "probe_rounds_total", NULL, engine.rounds, "Rounds of looking at changes."),
    COUNTER("probes", "probes_total", NULL, engine.probes, "Changes looked at."),
    COUNTER("lookups_ahead", "lookups_ahead_total", NULL, engine.lookups_ahead,
            "Files that turned out to be new while they settled."),
    COUNTER("lookups_saved", "lookups_saved_total", NULL, engine.lookups_saved,
            "Those of them that were not looked up again when they were due."),
    COUNTER("added", "changes_total", "object=\"media\",result=\"added\"", engine.added,
            "Changes committed to the database."),
    COUNTER("modified", "changes_total", "object=\"media\",result=\"modified\"", engine.modified,
            NULL),
    COUNTER("moved", "changes_total", "object=\"media\",result=\"moved\"", engine.moved, NULL),
    COUNTER("removed", "changes_total", "object=\"media\",result=\"removed\"", engine.removed,
            NULL),
    COUNTER("folders_added", "changes_total", "object=\"folder\",result=\"added\"",
            engine.folders_added, NULL),
    COUNTER("folders_moved", "changes_total", "object=\"folder\",result=\"moved\"",
            engine.folders_moved, NULL),
    COUNTER("folders_removed", "changes_total", "object=\"folder\",result=\"removed\"",
            engine.folders_removed, NULL),
    GAUGE("problems", "problems", NULL, now.problems, "Files and folders that are skipped."),

    GAUGE("connected", "database_connected", NULL, now.connected,
          "1 when the database can be used, else 0."),
    COUNTER("transactions", "database_transactions_total", NULL, store.transactions,
            "Write transactions committed."),
    COUNTER("operations", "database_operations_total", NULL, store.operations,
            "Operations committed."),
    COUNTER("busy", "database_busy_total", NULL, store.busy,
            "Times that the database was locked for too long, and the work was put off."),
    HISTOGRAM("database_lock_seconds", NULL, METRIC_UNIT_TIME, store.lock_us,
              "How long write transactions held the lock."),
    TIME("lock_us_max", "database_lock_max_seconds", store.lock_us.max,
         "The longest write transaction."),
    ONLY_JSON("lock_us_total", store.lock_us.sum),
    TIME("read_us_max", "database_read_max_seconds", store.read_us_max,
         "The longest read transaction."),
    HISTOGRAM("batch_operations", NULL, METRIC_UNIT_NUMBER, engine.batches,
              "Operations handed to the database together."),
    ONLY_JSON("batches", engine.batches.count),
    ONLY_JSON("batch_max", engine.batches.max),
    GAUGE("writes", "writes_queued", NULL, now.writes, "Operations that wait for the next batch."),

    COUNTER("photos_decoded", "media_decodes_total", "kind=\"photo\"", media.photos_decoded,
            "Files that a worker process began to read."),
    COUNTER("videos_read", "media_decodes_total", "kind=\"video\"", media.videos_read, NULL),
    HISTOGRAM("media_decode_seconds", "kind=\"photo\"", METRIC_UNIT_TIME, media.photo_us,
              "How long worker processes took for a file."),
    HISTOGRAM("media_decode_seconds", "kind=\"video\"", METRIC_UNIT_TIME, media.video_us, NULL),
    ONLY_JSON("photo_us", media.photo_us.sum),
    ONLY_JSON("video_us", media.video_us.sum),
    COUNTER("media_failures", "media_failures_total", NULL, media.failures,
            "Files that could not be read, for whatever reason."),
    COUNTER("media_crashes", "media_crashes_total", NULL, media.crashes,
            "Worker processes that died over a file."),
    COUNTER("media_timeouts", "media_timeouts_total", NULL, media.timeouts,
            "Files that took too long."),
    COUNTER("media_stuck", "media_stuck_total", NULL, media.stuck,
            "Worker processes that did not die when they were killed, and were replaced."),
    GAUGE("media_queue", "media_queue", NULL, now.media_queue, "Files that wait for being read."),
    GAUGE("media_workers", "media_workers", NULL, now.media_workers, "Worker processes."),
    COUNTER("thumbnails_written", "thumbnails_total", "result=\"written\"",
            store.thumbnails_written, "What was done to thumbnails."),
    COUNTER("thumbnails_removed", "thumbnails_total", "result=\"removed\"",
            store.thumbnails_removed, NULL),
    COUNTER("thumbnails_kept", "thumbnails_total", "result=\"kept\"", engine.thumbnails_kept, NULL),
    COUNTER("thumbnails_collected", "thumbnails_total", "result=\"collected\"",
            store.thumbnails_collected, NULL),
    COUNTER("collections", "thumbnail_collections_total", NULL, engine.collections,
            "Passes over the directory of thumbnails, to remove those that no row names."),
    COUNTER("retagged", "retags_total", NULL, engine.retagged,
            "Photos whose pixels changed, so that PictoPy's AI has to look again."),
    COUNTER("own_writes", "own_writes_total", NULL, engine.own_writes,
            "Files that PictoPy itself modified, as its ledger says."),
    COUNTER("rows_buried", "graveyard_rows_total", "result=\"buried\"", store.buried,
            "Deleted rows that were kept, and those that came back."),
    COUNTER("rows_exhumed", "graveyard_rows_total", "result=\"exhumed\"", store.exhumed, NULL),

    GAUGE("running", "watcher_running", NULL, now.running, "1 while the watcher runs, else 0."),
    GAUGE("ready", "ready", NULL, now.ready,
          "1 when every root is watched, or known to be offline; else 0."),
    GAUGE("in_sync", "in_sync", NULL, now.in_sync, "1 when nothing is left to be done, else 0."),
    HISTOGRAM("loop_round_seconds", NULL, METRIC_UNIT_TIME, rounds,
              "How long the event loop was at work between two sleeps."),
    TIME("loop_stall_max_us", "loop_stall_max_seconds", rounds.max, "The longest of these."),
    ONLY_JSON("loop_rounds", rounds.count),
    GAUGE("roots_online", "roots", "state=\"online\"", now.roots[SNAPSHOT_ROOT_ONLINE],
          "Registered folders that are in no other one."),
    GAUGE("roots_scanning", "roots", "state=\"scanning\"", now.roots[SNAPSHOT_ROOT_SCANNING], NULL),
    GAUGE("roots_polled", "roots", "state=\"polled\"", now.roots[SNAPSHOT_ROOT_POLLED], NULL),
    GAUGE("roots_offline", "roots", "state=\"offline\"", now.roots[SNAPSHOT_ROOT_OFFLINE], NULL),
    GAUGE("roots_hung", "roots", "state=\"hung\"", now.roots[SNAPSHOT_ROOT_HUNG], NULL),
    GAUGE("volumes_hung", "volumes_hung", NULL, now.volumes_hung,
          "Volumes whose thread does not come back, those not yet known included."),
};

#define N_METRICS (sizeof(metrics) / sizeof(*metrics))

/* ---- the values ---- */

static size_t count_links(const List *list)
{
    size_t n = 0;

    LIST_FOREACH (link, list)
        n++;
    return n;
}

static void count_roots(const Engine *engine, uint64_t roots[])
{
    LIST_FOREACH (link, &engine->roots) {
        const Root *root = CONTAINER_OF(link, Root, link);
        const char *reason;

        if (!root->gone)
            roots[root_state_shown(root, &reason)]++;
    }
}

static Gauges take_gauges(Engine *engine)
{
    EngineProgress progress;
    Gauges now;

    limits_read(engine); /* they may have been changed since */
    engine_progress(engine, &progress);
    now = (Gauges){
        .watches = engine->tree->n_watched,
        .watch_limit = engine->watch_limit,
        .watch_budget = engine->watch_budget,
        .nodes = engine->tree->n_nodes,
        .node_bytes = tree_memory(engine->tree),
        .polled = engine->n_polled,
        .scans = engine->n_scans,
        .dirty = engine->n_dirty,
        .pending = engine->pending.count,
        .held = count_links(&engine->pending.held),
        .writes = engine->n_writes,
        .media_queue = progress.photos_total - progress.photos_done,
        .media_workers = media_pool_workers(engine->media),
        .connected = engine->database_connected,
        .running = engine->running,
        .ready = engine->ready,
        .in_sync = progress.in_sync,
        .problems = engine->problems_listed,
        .volumes_hung = engine->n_hung,
        .pass_ended = (uint64_t)engine->pass_ended,
        .pass_took = engine->pass_took,
    };
    count_roots(engine, now.roots);
    return now;
}

static Values take_values(Engine *engine)
{
    return (Values){
        .watch = *watcher_counters(engine->watcher),
        .engine = engine->counters,
        .store = engine->store_counters,
        .media = *media_pool_counters(engine->media),
        .rounds = *loop_rounds(engine->loop),
        .now = take_gauges(engine),
    };
}

static const void *value_at(const Values *values, const Metric *metric)
{
    return (const char *)values + metric->offset;
}

static uint64_t number_at(const Values *values, const Metric *metric)
{
    return *(const uint64_t *)value_at(values, metric);
}

/* ---- GET /debug/counters ---- */

/* metrics_json() - every number under its key; times in microseconds */
char *metrics_json(Engine *engine)
{
    Values values = take_values(engine);
    json_t *object = json_object();
    char *text;

    for (size_t i = 0; i < N_METRICS; i++)
        if (metrics[i].key)
            (void)json_object_set_new(object, metrics[i].key,
                                      json_integer((json_int_t)number_at(&values, &metrics[i])));
    text = json_dumps(object, JSON_INDENT(2));
    json_decref(object);
    return text;
}

/* ---- GET /metrics ---- */

static void append_metric(Text *out, const Values *values, const Metric *metric)
{
    if (metric->help)
        exposition_head(out, metric->name, metric->type, metric->help);
    if (metric->type == METRIC_TYPE_HISTOGRAM)
        exposition_histogram(out, metric->name, metric->labels, metric->unit,
                             value_at(values, metric));
    else
        exposition_sample(out, metric->name, metric->labels, metric->unit,
                          number_at(values, metric));
}

/* A volume is offline when all roots on it are. */
static bool is_offline(const Engine *engine, const Volume *volume)
{
    bool offline = false;

    LIST_FOREACH (link, &engine->roots) {
        const Root *root = CONTAINER_OF(link, Root, link);

        if (root->gone || root->place.volume != volume)
            continue;
        if (root->state != ROOT_STATE_OFFLINE)
            return false;
        offline = true;
    }
    return offline;
}

static SnapshotRootState volume_state(const Engine *engine, const Volume *volume)
{
    if (volume->hung)
        return SNAPSHOT_ROOT_HUNG;
    if (is_offline(engine, volume))
        return SNAPSHOT_ROOT_OFFLINE;
    return volume->kind == MOUNT_KIND_REMOTE ? SNAPSHOT_ROOT_POLLED : SNAPSHOT_ROOT_ONLINE;
}

static void append_volume(Text *out, const Engine *engine, const Volume *volume)
{
    static const SnapshotRootState states[] = {SNAPSHOT_ROOT_ONLINE, SNAPSHOT_ROOT_POLLED,
                                               SNAPSHOT_ROOT_OFFLINE, SNAPSHOT_ROOT_HUNG};
    SnapshotRootState state = volume_state(engine, volume);

    for (size_t i = 0; i < sizeof(states) / sizeof(*states); i++) {
        CLEANUP(text_done) Text labels = {0};

        exposition_label(&labels, "volume", volume->device);
        exposition_label(&labels, "type", volume->type ? volume->type : "");
        exposition_label(&labels, "state", snapshot_root_state_name(states[i]));
        out->failed |= labels.failed;
        exposition_sample(out, PREFIX "volume_state", labels.data, METRIC_UNIT_NUMBER,
                          states[i] == state);
    }
}

static void append_volumes(Text *out, const Engine *engine)
{
    exposition_head(out, PREFIX "volume_state", METRIC_TYPE_GAUGE,
                    "1 for the state that a mounted file system is in, 0 for the others.");
    LIST_FOREACH (link, &engine->volumes.list) {
        const Volume *volume = CONTAINER_OF(link, Volume, link);

        if (volume->device) /* one that is not known yet has nothing to be told by */
            append_volume(out, engine, volume);
    }
}

/* metrics_text() - the same numbers, histograms and volumes as Prometheus reads them */
char *metrics_text(Engine *engine)
{
    Values values = take_values(engine);
    Text out = {0};
    char *text;

    for (size_t i = 0; i < N_METRICS; i++)
        if (metrics[i].name)
            append_metric(&out, &values, &metrics[i]);
    append_volumes(&out, engine);
    return text_steal(&out, &text) == 0 ? text : NULL;
}
