/*
 * Looking up rows
 *
 * What the database says of the changes of a round, once they have been seen on disk: the row at
 * the path, and rows that were last seen with the same inode, of which the file may be. On the
 * store's thread; the round is its own until it is done.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "sync/engine-private.h"
#include "util/clock.h"
#include "util/error.h"

#define MAX_CANDIDATES 8

/* ---- what was found ---- */

/* A look-up that found the database locked is run again from the start. */
static void forget(Sighting *item)
{
    store_row_done(&item->row);
    store_row_done(&item->doubt_row);
    for (size_t i = 0; i < item->n_candidates; i++)
        store_row_done(&item->candidates[i]);
    item->n_candidates = 0;
    free(item->candidate_entries);
    item->candidate_entries = NULL;
}

/* sighting_done() - frees what belongs to an item; its change is left alone */
void sighting_done(Sighting *item)
{
    forget(item);
    free(item->candidates);
    free(item->doubt_path);
    free(item->path);
}

/* ---- looking ---- */

static int add_candidate(Sighting *item, StoreRow *row)
{
    StoreRow *grown = reallocarray(item->candidates, item->n_candidates + 1, sizeof(*grown));

    if (!grown)
        return error_trace(-ENOMEM);
    item->candidates = grown;
    grown[item->n_candidates++] = *row;
    *row = (StoreRow){0};
    return 0;
}

/* The more a path is like the new one, the earlier it comes: its name first, then the directory
 * above it, and so on. */
static int compare_nearness(const void *a, const void *b, void *path)
{
    const char *x = ((const StoreRow *)a)->path, *y = ((const StoreRow *)b)->path;
    size_t x_tail = path_common_tail(x, path), y_tail = path_common_tail(y, path);
    size_t x_head, y_head;

    if (x_tail != y_tail)
        return x_tail > y_tail ? -1 : 1;
    x_head = path_common_head(x, path);
    y_head = path_common_head(y, path);
    return (x_head < y_head) - (x_head > y_head);
}

/* Rows of links to one file: the nearest come first. */
static int look_up_inode(Sighting *item, const FileStamp *stamp, Store *store)
{
    StoreRows rows = {0};
    int r = store_read_inode(store, stamp->dev, stamp->ino, &rows);

    if (r == 0 && rows.count > 1)
        qsort_r(rows.items, rows.count, sizeof(*rows.items), compare_nearness, item->path);
    for (size_t i = 0; r == 0 && i < rows.count && item->n_candidates < MAX_CANDIDATES; i++)
        if (!item->row.id || strcmp(rows.items[i].id, item->row.id) != 0)
            r = add_candidate(item, &rows.items[i]);
    store_rows_done(&rows);
    if (r == 0 && item->n_candidates > 0) {
        free(item->candidate_entries);
        item->candidate_entries = calloc(item->n_candidates, sizeof(Entry));
        r = item->candidate_entries ? 0 : -ENOMEM;
    }
    return r;
}

/* A thumbnail that is not on disk any more is made again. */
static void forget_lost_thumbnail(StoreRow *row)
{
    if (!row->thumbnail_path || access(row->thumbnail_path, F_OK) == 0 || errno != ENOENT)
        return;
    free(row->thumbnail_path);
    row->thumbnail_path = NULL;
}

/* Rows of the same file: it has come from one of them, or has them for other names. */
static int look_up_others(Sighting *item, Store *store)
{
    const StoreRow *row = &item->row;
    const Entry *entry = &item->entry;
    int r;

    if (media_kind_of(item->change_name) == MEDIA_KIND_NONE)
        return 0;
    if (entry->type != ENTRY_TYPE_FILE)
        return row->id && row->has_stamp ? look_up_inode(item, &row->stamp, store) : 0;
    if (row->id && row_is_at(row, entry) && !item->written &&
        file_stamp_same_content(&row->stamp, &entry->stamp))
        return 0;
    r = look_up_inode(item, &entry->stamp, store);
    if (r == 0 && row->has_stamp && !row_is_at(row, entry))
        r = look_up_inode(item, &row->stamp, store); /* of the one that was here before */
    return r;
}

static int look_up(Sighting *item, Store *store)
{
    bool below;
    int r;

    if (item->is_new || item->directory != PROBE_RESULT_OK || item->change_name[0] == '\0')
        return 0;
    r = store_read_row(store, item->path, &item->row, &item->rows_below);
    if (r == 0 && item->doubt_path)
        r = store_read_row(store, item->doubt_path, &item->doubt_row, &below);
    if (r != 0)
        return r;
    forget_lost_thumbnail(&item->row);
    return look_up_others(item, store);
}

/* lookup_work() - StoreTask.work of Round.lookup: what the rows say of all items */
int lookup_work(StoreTask *task, Store *store)
{
    Round *round = CONTAINER_OF(task, Round, lookup);
    uint64_t begun = clock_now();
    int r = store_read_begin(store);

    for (size_t i = 0; i < round->n_items && r == 0; i++) {
        forget(&round->items[i]);
        r = look_up(&round->items[i], store);
        if (r == 0 && clock_now() - begun > 20 * CLOCK_US_PER_MS) {
            store_read_end(store);
            begun = clock_now();
            r = store_read_begin(store);
        }
    }
    store_read_end(store);
    return r;
}
