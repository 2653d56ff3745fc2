/*
 * The audit: the same walk and the same comparison as the daemon's, with nothing watched and
 * nothing written, in one thread.
 */
#include "sync/audit.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "store/store.h"
#include "sync/reconcile.h"
#include "util/array.h"
#include "util/cleanup.h"
#include "util/error.h"
#include "volume/walk.h"

#define BUSY_TRIES 100

typedef struct Audit {
    const Config *config;
    AuditReport report;
    AuditProgress progress;
    void *owner;
    AuditCounts counts;
    Store *store;
    StoreFolders folders;
    Rules *rules;
    char **paths; /* of the walk in hand, by Listing.id */
    size_t n_paths, paths_capacity;
} Audit;

const char *audit_kind_name(AuditKind kind)
{
    static const char *const names[] = {
        [AUDIT_KIND_MISSING] = "not in the database", [AUDIT_KIND_GONE] = "not on disk",
        [AUDIT_KIND_MODIFIED] = "modified",           [AUDIT_KIND_FOLDER] = "folder differs",
        [AUDIT_KIND_THUMBNAIL] = "thumbnail missing", [AUDIT_KIND_OFFLINE] = "offline",
    };

    return names[kind];
}

static void tell(Audit *audit, AuditKind kind, const char *path)
{
    if (kind == AUDIT_KIND_OFFLINE)
        audit->counts.offline++;
    else
        audit->counts.differences++;
    audit->report(audit->owner, kind, path);
}

static bool knows_no_inode(void *context UNUSED, const FileStamp *stamp UNUSED,
                           const char *id UNUSED)
{
    return false;
}

/* A lock of another program is short; one that lasts for seconds is an error here. */
static int read_directory(Audit *audit, const char *path, StoreDirectory *ret_rows)
{
    int r = STORE_E_BUSY;

    for (unsigned i = 0; i < BUSY_TRIES && r == STORE_E_BUSY; i++) {
        if (i > 0)
            (void)usleep(50000);
        r = store_read_directory(audit->store, path, ret_rows);
    }
    return r;
}

static AuditKind kind_of(const Listing *listing, const StoreDirectory *rows, const char *name)
{
    bool on_disk = false;

    for (size_t i = 0; i < listing->n_files && !on_disk; i++)
        on_disk = strcmp(listing->files[i].name, name) == 0;
    if (!on_disk)
        return AUDIT_KIND_GONE;
    for (size_t i = 0; i < rows->n_entries; i++)
        if (strcmp(rows->entries[i].name, name) == 0)
            return rows->entries[i].has_thumbnail || rows->entries[i].kind != MEDIA_KIND_PHOTO
                       ? AUDIT_KIND_MODIFIED
                       : AUDIT_KIND_THUMBNAIL;
    return AUDIT_KIND_MISSING;
}

static void compare(Audit *audit, const Listing *listing, const StoreDirectory *rows,
                    const char *path, bool is_root)
{
    ReconcileResult result;

    if (reconcile_directory(listing, rows, is_root, knows_no_inode, NULL, &result) < 0)
        return;
    if (result.verdict != RECONCILE_VERDICT_TRUSTED)
        tell(audit, AUDIT_KIND_OFFLINE, path);
    else if (!rows->folder_id || rows->folder_mtime != listing->mtime)
        tell(audit, AUDIT_KIND_FOLDER, path);
    for (size_t i = 0; i < result.n_names; i++) {
        CLEANUP_FREE char *file = path_join(path, result.names[i]);

        if (file)
            tell(audit, kind_of(listing, rows, result.names[i]), file);
    }
    reconcile_result_done(&result);
}

static char *path_of(Audit *audit, const Walk *walk, const Listing *listing)
{
    if (listing->id == 1)
        return strdup(walk->path);
    return listing->parent < audit->n_paths && audit->paths[listing->parent]
               ? path_join(audit->paths[listing->parent], listing->name)
               : NULL;
}

static int take_listing(Audit *audit, const Walk *walk, const Listing *listing)
{
    CLEANUP_FREE char *path = path_of(audit, walk, listing);
    StoreDirectory rows = {0};
    int r;

    if (!path || ARRAY_RESERVE(audit->paths, audit->paths_capacity, listing->id + 1) < 0)
        return error_trace(-ENOMEM);
    while (audit->n_paths <= listing->id)
        audit->paths[audit->n_paths++] = NULL;
    r = read_directory(audit, path, &rows);
    if (r != 0)
        return r;
    audit->counts.folders++;
    audit->counts.files += listing->n_files;
    if (listing->error != 0)
        tell(audit, AUDIT_KIND_OFFLINE, path);
    else
        compare(audit, listing, &rows, path, listing->id == 1);
    store_directory_done(&rows);
    audit->paths[listing->id] = STEAL_PTR(path);
    return 0;
}

static void forget_paths(Audit *audit)
{
    for (size_t i = 0; i < audit->n_paths; i++)
        free(audit->paths[i]);
    audit->n_paths = 0;
}

static int audit_root(Audit *audit, const char *path)
{
    Walk walk;
    int r = walk_init(&walk, path, audit->rules, NULL, NULL);

    if (r < 0)
        return error_trace(r);
    walk.follow = true;
    while (!walk.finished) {
        walk_slice(&walk);
        for (ListNode *link; (link = list_take(&walk.listings));) {
            Listing *listing = CONTAINER_OF(link, Listing, link);

            if (r == 0)
                r = take_listing(audit, &walk, listing);
            (void)listing_free(listing);
        }
        walk.abort = r != 0;
        audit->progress(audit->owner, &audit->counts);
    }
    if (walk.start_error != 0)
        tell(audit, AUDIT_KIND_OFFLINE, path);
    walk_done(&walk);
    forget_paths(audit);
    return r;
}

static bool is_registered(const Audit *audit, const char *path)
{
    for (size_t i = 0; i < audit->folders.count; i++)
        if (strcmp(audit->folders.items[i].path, path) == 0)
            return true;
    return false;
}

/* A root has no registered folder above it; folders are many, so ask the sorted list. */
static bool is_root(const Audit *audit, const StoreFolder *folder)
{
    CLEANUP_FREE char *above = path_parent(folder->path);

    while (above && strcmp(above, "/") != 0) {
        char *next = path_parent(above);

        if (is_registered(audit, above)) {
            free(next);
            return false;
        }
        free(above);
        above = next;
    }
    return strcmp(folder->path, "/") == 0 || !is_registered(audit, "/");
}

static int build_rules(Audit *audit)
{
    const Config *config = audit->config;
    CLEANUP_FREE char *data = path_parent(config->database_path);
    CLEANUP_FREE char *above = data ? path_parent(data) : NULL;
    CLEANUP_FREE char *frames = above ? path_join(above, "video_frames") : NULL;
    char **excluded = NULL;
    size_t n_excluded = 0;
    int r = rules_new(config->watch_ignore, config->watch_ignore_files, &audit->rules);

    if (r == 0)
        r = frames ? rules_add_own(audit->rules, data) : -ENOMEM;
    if (r == 0)
        r = rules_add_own(audit->rules, frames);
    if (r == 0)
        r = rules_add_own(audit->rules, config->thumbnails_directory);
    if (r == 0)
        r = rules_add_own(audit->rules, config->state_directory);
    for (size_t i = 0; r == 0 && i < audit->folders.count; i++)
        r = rules_add_always(audit->rules, audit->folders.items[i].path);
    if (r == 0 && store_read_excluded(audit->store, &excluded, &n_excluded) == 0)
        for (size_t i = 0; i < n_excluded; i++) {
            (void)rules_add_excluded(audit->rules, excluded[i]);
            free(excluded[i]);
        }
    free(excluded);
    if (r == 0)
        rules_sort(audit->rules);
    return r;
}

static int audit_all(Audit *audit)
{
    int r = STORE_E_BUSY;

    for (unsigned i = 0; i < BUSY_TRIES && r == STORE_E_BUSY; i++) {
        if (i > 0)
            (void)usleep(50000);
        r = store_open(audit->store);
        if (r == 0)
            r = store_read_folders(audit->store, &audit->folders);
    }
    if (r == 0)
        r = build_rules(audit);
    for (size_t i = 0; r == 0 && i < audit->folders.count; i++)
        if (is_root(audit, &audit->folders.items[i]))
            r = audit_root(audit, audit->folders.items[i].path);
    return r;
}

/*
 * audit_run() - compare the whole library with the disk
 *
 * report() is called for each difference, progress() every now and then. 0, AUDIT_E_UNAVAILABLE, or
 * a negative errno.
 */
int audit_run(const Config *config, AuditReport report, AuditProgress progress, void *owner,
              AuditCounts *ret_counts, char **ret_error)
{
    Audit audit = {.config = config, .report = report, .progress = progress, .owner = owner};
    StoreOptions options = {
        .database_path = config->database_path,
        .thumbnails_directory = config->thumbnails_directory,
        .state_directory = config->state_directory,
        .read_only = true,
    };
    int r = store_create(&options, &audit.store);

    if (r == 0)
        r = audit_all(&audit);
    if (r > 0)
        *ret_error =
            strdup(r == STORE_E_BUSY ? "locked by another program" : store_error(audit.store));
    store_folders_done(&audit.folders);
    free(audit.paths);
    (void)rules_unref(audit.rules);
    (void)store_free(audit.store);
    *ret_counts = audit.counts;
    return r > 0 ? AUDIT_E_UNAVAILABLE : error_trace(r);
}
