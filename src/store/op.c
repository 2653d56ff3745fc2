/* Operations: what store_write() is given. */

#include <stdlib.h>
#include <unistd.h>

#include "store/store.h"

/* store_op_init() - an empty operation: no strings, no thumbnail, pending */
void store_op_init(StoreOp *op, StoreOpKind kind)
{
    *op = (StoreOp){.kind = kind, .thumbnail_fd = -1};
}

/* store_op_done() - frees its strings and closes its thumbnail; empty afterwards */
void store_op_done(StoreOp *op)
{
    free(op->id);
    free(op->path);
    free(op->new_path);
    free(op->place);
    free(op->metadata);
    free(op->old_thumbnail);
    free(op->folder_id);
    free(op->error);
    if (op->thumbnail_fd >= 0)
        (void)close(op->thumbnail_fd);
    store_op_init(op, op->kind);
}
