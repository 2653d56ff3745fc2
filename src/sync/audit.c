/*
 * The audit: the same walk and the same comparison as the daemon's, with nothing watched and
 * nothing written, in one thread.
 */
#include "sync/audit.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "store/store.h"
#include "sync/reconcile.h"
#include "sync/scope.h"
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
    MountTable *mounts;
    char **inner; /* mount points that walks came to: each is walked by itself */
    size_t n_inner, inner_capacity;
    VolumeProof proof; /* the last */
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

/* An exchange of two files of equal size and time is for the daemon to find out. */
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

static int compare_with_file(const void *name, const void *file)
{
    return strcmp(name, ((const ListedFile *)file)->name);
}

static int compare_with_entry(const void *name, const void *entry)
{
    return strcmp(name, ((const StoreEntry *)entry)->name);
}

/* Both the listing and the rows are in the order of names. */
static AuditKind kind_of(const Listing *listing, const StoreDirectory *rows, const char *name)
{
    const StoreEntry *entry = NULL;

    if (listing->n_files == 0 || !bsearch(name, listing->files, listing->n_files,
                                          sizeof(*listing->files), compare_with_file))
        return AUDIT_KIND_GONE;
    if (rows->n_entries > 0)
        entry = bsearch(name, rows->entries, rows->n_entries, sizeof(*rows->entries),
                        compare_with_entry);
    if (!entry)
        return AUDIT_KIND_MISSING;
    return entry->has_thumbnail || entry->kind != MEDIA_KIND_PHOTO ? AUDIT_KIND_MODIFIED
                                                                   : AUDIT_KIND_THUMBNAIL;
}

static int tell_names(Audit *audit, const Listing *listing, const StoreDirectory *rows,
                      const char *path, const ReconcileResult *result)
{
    for (size_t i = 0; i < result->n_names; i++) {
        CLEANUP_FREE char *file = path_join(path, result->names[i]);

        if (!file)
            return error_trace(-ENOMEM);
        tell(audit, kind_of(listing, rows, result->names[i]), file);
    }
    return 0;
}

static int compare(Audit *audit, const Listing *listing, const StoreDirectory *rows,
                   const char *path)
{
    ReconcileResult result;
    int r = reconcile_directory(listing, rows, &audit->proof, knows_no_inode, NULL, &result);

    if (r < 0)
        return error_trace(r);
    if (result.proves_volume)
        audit->proof = result.volume;
    if (result.verdict != RECONCILE_VERDICT_TRUSTED)
        tell(audit, AUDIT_KIND_OFFLINE, path);
    else if (!rows->folder_id || rows->folder_mtime != listing->mtime)
        tell(audit, AUDIT_KIND_FOLDER, path);
    r = tell_names(audit, listing, rows, path, &result);
    reconcile_result_done(&result);
    return r;
}

static char *path_of(Audit *audit, const Walk *walk, const Listing *listing)
{
    if (listing->id == 1)
        return strdup(walk->path);
    return listing->parent < audit->n_paths && audit->paths[listing->parent]
               ? path_join(audit->paths[listing->parent], listing->name)
               : NULL;
}

/* Takes over path. */
static int add_inner(Audit *audit, char *path)
{
    if (ARRAY_RESERVE(audit->inner, audit->inner_capacity, audit->n_inner + 1) < 0) {
        free(path);
        return error_trace(-ENOMEM);
    }
    audit->inner[audit->n_inner++] = path;
    return 0;
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
    if (listing->is_mount)
        return add_inner(audit, STEAL_PTR(path));
    r = read_directory(audit, path, &rows);
    if (r != 0)
        return r;
    audit->counts.folders++;
    audit->counts.files += listing->n_files;
    if (listing->error != 0)
        tell(audit, AUDIT_KIND_OFFLINE, path);
    else
        r = compare(audit, listing, &rows, path);
    store_directory_done(&rows);
    audit->paths[listing->id] = STEAL_PTR(path);
    return r;
}

static void forget_paths(Audit *audit)
{
    for (size_t i = 0; i < audit->n_paths; i++)
        free(audit->paths[i]);
    audit->n_paths = 0;
}

static int audit_walk(Audit *audit, const char *path, bool follow)
{
    Walk walk;
    int r = walk_init(&walk, path, audit->rules, audit->mounts, NULL);

    if (r < 0)
        return error_trace(r);
    walk.follow = follow;
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

static int audit_root(Audit *audit, const char *path)
{
    int r = audit_walk(audit, path, true);

    while (r == 0 && audit->n_inner > 0) {
        CLEANUP_FREE char *inner = audit->inner[--audit->n_inner];

        r = audit_walk(audit, inner, false);
    }
    return r;
}

static int compare_with_folder(const void *path, const void *folder)
{
    return strcmp(path, ((const StoreFolder *)folder)->path);
}

/* They come in path order (store_read_folders()). */
static bool is_folder(const void *owner, const char *path)
{
    const StoreFolders *folders = owner;

    return folders->count > 0 && bsearch(path, folders->items, folders->count,
                                         sizeof(*folders->items), compare_with_folder);
}

static void excluded_done(char **excluded, size_t n)
{
    for (size_t i = 0; i < n; i++)
        free(excluded[i]);
    free(excluded);
}

static int build_rules(Audit *audit)
{
    char **excluded = NULL;
    size_t n_excluded = 0;
    int r = store_read_excluded(audit->store, &excluded, &n_excluded);

    if (r == 0)
        r = scope_rules_new(audit->config, excluded, n_excluded, &audit->rules);
    for (size_t i = 0; r == 0 && i < audit->folders.count; i++)
        r = scope_rules_add_folder(audit->rules, audit->folders.items[i].path);
    excluded_done(excluded, n_excluded);
    if (r == 0)
        rules_sort(audit->rules);
    return r;
}

static int audit_all(Audit *audit)
{
    ScopeLast last = {0};
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
    for (size_t i = 0; r == 0 && i < audit->folders.count; i++) {
        const char *path = audit->folders.items[i].path;

        if (!scope_is_next_covered(audit->rules, &last, path, is_folder, &audit->folders))
            r = audit_root(audit, path);
    }
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
        r = mount_table_read(&audit.mounts);
    if (r == 0)
        r = audit_all(&audit);
    if (r > 0 &&
        asprintf(ret_error, "%s%s", r == STORE_E_BUSY ? config->database_path : "",
                 r == STORE_E_BUSY ? ": locked by another program" : store_error(audit.store)) < 0)
        *ret_error = NULL;
    store_folders_done(&audit.folders);
    free(audit.paths);
    while (audit.n_inner > 0)
        free(audit.inner[--audit.n_inner]);
    free(audit.inner);
    (void)mount_table_unref(audit.mounts);
    (void)rules_unref(audit.rules);
    (void)store_free(audit.store);
    *ret_counts = audit.counts;
    return r > 0 ? AUDIT_E_UNAVAILABLE : error_trace(r);
}
