/* Registering a folder, as the user does it. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "store/core.h"
#include "store/write.h"
#include "util/error.h"
#include "util/path.h"

static int register_insert(Writer *w, const char *path, int64_t mtime, char **ret_id)
{
    CLEANUP_FREE char *parent_id = NULL;
    char *existing = NULL;
    int r = write_folder_id(w, path, &existing);

    if (r)
        return r;
    if (existing) {
        free(existing);
        return WRITE_E_PARTIAL; /* nothing of that name can come from an insert */
    }
    r = write_parent_id(w, path, false, &parent_id);
    return r ? r : write_insert_folder(w, path, parent_id, false, mtime, ret_id);
}

static int register_result(Writer *w, int r)
{
    Store *store = w->store;

    if (r <= 0)
        return r;
    if (r == WRITE_E_PARTIAL)
        return STORE_REGISTER_E_EXISTS;
    if (r == WRITE_E_FAILED)
        return store_fail_text(store, STORE_E_UNAVAILABLE, "cannot be written: %s", w->reason.data);
    return store_fail(store, w->code, "cannot be written");
}

/*
 * store_register_folder() - inserts the row of a root
 * @path: absolute, normalized
 * @mtime: of the directory, seconds
 * @ret_id: the new row's id; the caller frees
 *
 * Its parent is the row of its parent directory, if there is one. An exclusion of the folder is
 * taken back. Returns 0, STORE_REGISTER_E_EXISTS, STORE_E_…, or -EILSEQ for a name that is not
 * UTF-8.
 */
int store_register_folder(Store *store, const char *path, int64_t mtime, char **ret_id)
{
    Writer w = {.store = store};
    char *id = NULL;
    int r;

    if (store->options.read_only)
        return store_fail_text(store, STORE_E_UNAVAILABLE, "it was opened to be read only");
    if (!path_is_utf8(path))
        return -EILSEQ;
    r = store_ready(store);
    if (!r)
        r = store_write_begin(store);
    if (r)
        return r;
    r = register_result(&w, register_insert(&w, path, mtime, &id));
    if (!r)
        r = store_commit(store);
    else
        store_rollback(store);
    text_done(&w.reason);
    if (r) {
        free(id);
        return r;
    }
    (void)store_include(store, path);
    *ret_id = id;
    return 0;
}
