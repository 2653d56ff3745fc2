/*
 * Reconciling one directory
 *
 * The listing and the rows come in the same order of names and are merged. What is equal costs
 * nothing more; every difference only becomes a pending change of that name: the funnel looks at
 * the file and at the row again and decides. Nothing is decided here but that all is well.
 *
 * Absence must be proven. A listing that failed half-way proves nothing, and neither does one of
 * another file system at the same place: a drive that is not plugged in leaves an empty mount point
 * behind, and another card may be in the reader. The volume that a folder was last listed on is
 * known. When another one stands in its place it may still be the same (identifiers change for
 * innocent reasons too, see directory_volume()): that is proven by one file that is what its row
 * says, for the whole file system. Until one is found, no row of it goes.
 */
#include "sync/reconcile.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "util/array.h"
#include "util/error.h"

bool reconcile_is_unchanged(const ListedFile *file, const StoreEntry *entry)
{
    if (entry->kind == MEDIA_KIND_PHOTO && !entry->has_thumbnail)
        return false;
    if (entry->has_stamp)
        return file_stamp_same_content(&file->stamp, &entry->stamp);
    /* A row of the backend's that we see for the first time. Its older versions note no mtime. */
    return entry->size == file->stamp.size &&
           (entry->mtime == INT64_MIN || entry->mtime == file_stamp_seconds(&file->stamp));
}

static int add_name(ReconcileResult *result, char *name)
{
    int r = ARRAY_RESERVE(result->names, result->names_capacity, result->n_names + 1);

    if (r < 0)
        return error_trace(r);
    result->names[result->n_names++] = name;
    return 0;
}

static int add_stamp(ReconcileResult *result, const ListedFile *file, const StoreEntry *entry)
{
    int r = ARRAY_RESERVE(result->stamps, result->stamps_capacity, result->n_stamps + 1);
    StoreOp *op;

    if (r < 0)
        return error_trace(r);
    op = &result->stamps[result->n_stamps];
    store_op_init(op, STORE_OP_STAMP);
    op->id = strdup(entry->id);
    op->folder_id = entry->folder_id ? strdup(entry->folder_id) : NULL;
    if (!op->id || (entry->folder_id && !op->folder_id)) {
        store_op_done(op);
        return error_trace(-ENOMEM);
    }
    op->media = entry->kind;
    op->stamp = file->stamp;
    result->n_stamps++;
    return 0;
}

static int compare_problem(const void *name, const void *problem)
{
    return strcmp(name, path_name(((const StoreProblem *)problem)->path));
}

/* A file that could not be decoded is not tried again before it changes. */
static bool is_known_problem(const StoreDirectory *rows, const ListedFile *file)
{
    const StoreProblem *problem = NULL;

    if (rows->n_problems > 0) /* by path, of one directory: by name */
        problem = bsearch(file->name, rows->problems, rows->n_problems, sizeof(*problem),
                          compare_problem);
    return problem && (file->unreadable || file_stamp_same_content(&problem->stamp, &file->stamp));
}

static int compare_file(ReconcileResult *result, const StoreDirectory *rows, ListedFile *file,
                        StoreEntry *entry, ReconcileKnowsInode knows_inode, void *context)
{
    bool same = entry && entry->kind == file->kind && reconcile_is_unchanged(file, entry);

    if ((file->unreadable && entry) || (file->kind == MEDIA_KIND_VIDEO && rows->no_videos))
        return 0;
    if (!same && is_known_problem(rows, file))
        same = true;
    else if (same && (!entry->has_stamp || !file_stamp_same_inode(&file->stamp, &entry->stamp))) {
        /* Two files of equal size and time may have exchanged their names, or this is a copy of the
         * row's file (cp -p), which has moved on. A file system may get another device number. */
        if (entry->has_stamp &&
            (file->stamp.dev == entry->stamp.dev || knows_inode(context, &file->stamp, entry->id)))
            return add_name(result, file->name);
        result->n_unchanged++;
        return add_stamp(result, file, entry);
    }
    if (!same)
        return add_name(result, file->name);
    result->n_unchanged++;
    return 0;
}

static bool has_same_file(const Listing *listing, const StoreDirectory *rows)
{
    for (size_t i = 0, k = 0; i < listing->n_files && k < rows->n_entries;) {
        int order = strcmp(listing->files[i].name, rows->entries[k].name);

        if (order == 0 && reconcile_is_unchanged(&listing->files[i], &rows->entries[k]))
            return true;
        i += order <= 0;
        k += order >= 0;
    }
    return false;
}

/* Every camera's card has a DCIM: a name alone proves nothing, but is worth looking below. */
static bool has_same_child(const Listing *listing, const StoreDirectory *rows)
{
    for (size_t i = 0, k = 0; i < listing->n_children && k < rows->n_children;) {
        int order = strcmp(listing->children[i], rows->children[k]);

        if (order == 0)
            return true;
        i += order < 0;
        k += order > 0;
    }
    return false;
}

static bool is_proven(const VolumeProof *proof, const VolumeProof *volume)
{
    return proof && proof->from == volume->from && proof->to == volume->to;
}

static void judge(ReconcileResult *result, const Listing *listing, const StoreDirectory *rows,
                  const VolumeProof *proof)
{
    bool has_rows = rows->n_entries > 0 || rows->n_children > 0;
    bool empty = listing->n_files == 0 && listing->n_children == 0;

    result->volume = (VolumeProof){rows->volume, listing->volume};
    result->verdict = RECONCILE_VERDICT_TRUSTED;
    if (!has_rows || (!rows->has_volume && (!empty || rows->made_here)))
        return;
    if (rows->has_volume && (rows->volume == listing->volume || is_proven(proof, &result->volume)))
        return;
    result->proves_volume = rows->has_volume && has_same_file(listing, rows);
    if (result->proves_volume)
        return;
    result->verdict =
        has_same_child(listing, rows) ? RECONCILE_VERDICT_UNPROVEN : RECONCILE_VERDICT_FOREIGN;
}

static int compare_files(ReconcileResult *result, const Listing *listing,
                         const StoreDirectory *rows, ReconcileKnowsInode knows_inode, void *context)
{
    size_t i = 0;
    size_t k = 0;

    while (i < listing->n_files || k < rows->n_entries) {
        ListedFile *file = i < listing->n_files ? &listing->files[i] : NULL;
        StoreEntry *entry = k < rows->n_entries ? &rows->entries[k] : NULL;
        int r;

        if (entry && (!file || strcmp(entry->name, file->name) < 0)) {
            r = add_name(result, entry->name); /* a row without a file */
            k++;
        } else if (file) {
            bool both = entry && strcmp(entry->name, file->name) == 0;

            r = compare_file(result, rows, file, both ? entry : NULL, knows_inode, context);
            i++;
            k += both;
        } else {
            break;
        }
        if (r < 0)
            return error_trace(r);
    }
    return 0;
}

/* Subdirectories that have rows and are not on disk; those on disk are walked by themselves. */
static int compare_children(ReconcileResult *result, const Listing *listing,
                            const StoreDirectory *rows)
{
    size_t i = 0;

    for (size_t k = 0; k < rows->n_children; k++) {
        int order = 1;

        while (i < listing->n_children &&
               (order = strcmp(listing->children[i], rows->children[k])) < 0)
            i++;
        if ((i >= listing->n_children || order != 0) && add_name(result, rows->children[k]) < 0)
            return error_trace(-ENOMEM);
    }
    return 0;
}

/*
 * reconcile_directory() - compare the listing of a directory with its rows
 * @proof: what another directory there has proven of its file system; or NULL
 * @knows_inode: asked when size and time agree and the inode does not
 *
 * The names in the result are borrowed from listing and rows. Store thread (knows_inode reads the
 * state database). 0 or -ENOMEM.
 */
int reconcile_directory(const Listing *listing, const StoreDirectory *rows,
                        const VolumeProof *proof, ReconcileKnowsInode knows_inode, void *context,
                        ReconcileResult *ret_result)
{
    ReconcileResult result = {0};
    int r = 0;

    if (listing->error != 0) {
        *ret_result = result;
        return 0;
    }
    judge(&result, listing, rows, proof);
    if (result.verdict == RECONCILE_VERDICT_TRUSTED) {
        result.folder_differs = !rows->folder_id || rows->folder_mtime != listing->mtime ||
                                !rows->has_volume || rows->volume != listing->volume ||
                                rows->ino != listing->ino || rows->born != listing->born;
        r = compare_files(&result, listing, rows, knows_inode, context);
        if (r == 0)
            r = compare_children(&result, listing, rows);
    }
    if (r < 0) {
        reconcile_result_done(&result);
        return error_trace(r);
    }
    *ret_result = result;
    return 0;
}

void reconcile_result_done(ReconcileResult *result)
{
    for (size_t i = 0; i < result->n_stamps; i++)
        store_op_done(&result->stamps[i]);
    free(result->stamps);
    free(result->names);
    *result = (ReconcileResult){0};
}
