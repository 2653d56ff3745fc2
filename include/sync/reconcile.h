#pragma once
/* Comparing what is on disk with what the rows say, one directory at a time (disk ⋈ rows). */

#include <stdbool.h>

#include "store/store.h"
#include "volume/walk.h"

/* What the rows of a directory say about the place it was listed at. */
typedef enum ReconcileVerdict {
    RECONCILE_VERDICT_TRUSTED,  /* the directory that the rows speak of */
    RECONCILE_VERDICT_UNPROVEN, /* it looks like it, on what may be another file system */
    RECONCILE_VERDICT_FOREIGN,  /* another file system, or an empty mount point: rows stay */
} ReconcileVerdict;

/* One file system under two identifiers: the one in the rows, and the one that it has now. */
typedef struct VolumeProof {
    uint64_t from;
    uint64_t to;
} VolumeProof;

typedef struct ReconcileResult {
    ReconcileVerdict verdict;
    bool proves_volume;  /* its file system is that of the rows under another identifier: */
    VolumeProof volume;  /* that of the rows, and that of the listing */
    bool folder_differs; /* no row in folders, another mtime, or it is not known as what it is */
    char **names;        /* in the directory: each may differ; borrowed from listing and rows */
    size_t n_names, names_capacity;
    StoreOp *stamps; /* STORE_OP_STAMP: rows that are right, whose inode was not known */
    size_t n_stamps, stamps_capacity;
    size_t n_unchanged;
} ReconcileResult;

/* Asks whether a file with this inode already has a row of another id. */
typedef bool (*ReconcileKnowsInode)(void *context, const FileStamp *stamp, const char *id);

/* proof: what another directory there has proven of the file system; or NULL. */
int reconcile_directory(const Listing *listing, const StoreDirectory *rows,
                        const VolumeProof *proof, ReconcileKnowsInode knows_inode, void *context,
                        ReconcileResult *ret_result);
void reconcile_result_done(ReconcileResult *result);
/* Is the file that was listed the one that the row was made from? */
bool reconcile_is_unchanged(const ListedFile *file, const StoreEntry *entry);
