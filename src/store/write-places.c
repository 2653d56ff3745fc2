/*
 * Where the rows of directories are that are moved in one call
 *
 * All moves speak of where rows were when the call began. One is *nested* in another when its rows
 * are below that one's: as soon as that one has moved, they are somewhere else, unless they went
 * first. So each has a place (StoreOp.place), which follows, and goes back when a unit or a
 * transaction is undone. Most calls have nothing nested, and nobody who comes where another one's
 * rows are; both are found out once, so that thousands of moves need not look at one another.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/write.h"
#include "util/array.h"
#include "util/error.h"
#include "util/path.h"

static bool is_folder_move(const WriteRun *run)
{
    return !run->published && run->op->kind == STORE_OP_FOLDER_MOVE && run->op->path &&
           run->op->new_path;
}

/* write_place() - where the rows of a directory that is to be moved are now. Borrowed */
const char *write_place(const WriteRun *run)
{
    return run->op->place ? run->op->place : run->op->path;
}

/* write_place_before() - where they were when this transaction began. Borrowed */
const char *write_place_before(const Writer *w, const WriteRun *run)
{
    for (size_t i = 0; i < w->n_places; i++)
        if (w->places[i].run == run)
            return w->places[i].before ? w->places[i].before : run->op->path;
    return write_place(run);
}

/* How many of the sorted moves are from before the first one below dir? */
static size_t first_below(const PathMove *moves, size_t n, const char *dir)
{
    size_t length = strlen(dir), from = 0, to = n;
    const char *slash = length > 0 && dir[length - 1] == '/' ? "" : "/";

    while (from < to) {
        size_t middle = from + (to - from) / 2;
        int order = strncmp(moves[middle].from, dir, length);

        if (order < 0 || (order == 0 && strcmp(moves[middle].from + length, slash) < 0))
            from = middle + 1;
        else
            to = middle;
    }
    return from;
}

static bool any_below(const PathMove *moves, size_t n, const char *dir)
{
    size_t at = first_below(moves, n, dir);

    return at < n && path_is_below(moves[at].from, dir);
}

/* write_places_init() - how the moves of this call are in one another's way. 0 or -ENOMEM */
int write_places_init(Writer *w)
{
    CLEANUP_FREE PathMove *moves = NULL;
    size_t n = 0;

    for (size_t i = 0; i < w->n_runs; i++)
        n += is_folder_move(&w->runs[i]);
    if (n < 2)
        return 0;
    moves = calloc(n, sizeof(*moves));
    if (!moves)
        return error_trace(-ENOMEM);
    n = 0;
    for (size_t i = 0; i < w->n_runs; i++)
        if (is_folder_move(&w->runs[i]))
            moves[n++] = (PathMove){write_place(&w->runs[i]), w->runs[i].op->new_path};
    path_moves_sort(moves, n);
    for (size_t i = 0; i < n && !w->nested; i++)
        w->nested = any_below(moves, n, moves[i].from);
    for (size_t i = 0; i < w->n_runs; i++)
        if (is_folder_move(&w->runs[i]))
            w->runs[i].meets = w->nested || any_below(moves, n, w->runs[i].op->new_path) ||
                               path_moves_above(w->runs[i].op->new_path, moves, n, true);
    return 0;
}

static int place_set(Writer *w, WriteRun *run, const char *from, const char *to)
{
    char *place;

    if (ARRAY_RESERVE(w->places, w->places_capacity, w->n_places + 1) < 0 ||
        asprintf(&place, "%s%s", to, write_place(run) + strlen(from)) < 0)
        return error_trace(-ENOMEM);
    w->places[w->n_places++] = (WritePlace){run, run->op->place};
    run->op->place = place;
    return 0;
}

/* write_places_moved() - all rows below a directory have gone to another one, in this unit */
int write_places_moved(Writer *w, const char *from, const char *to)
{
    int r = 0;

    for (size_t i = 0; i < w->n_runs && w->nested && !r; i++) {
        WriteRun *run = &w->runs[i];

        if (is_folder_move(run) && run->result == STORE_OP_RESULT_PENDING && !run->parked &&
            path_is_below(write_place(run), from))
            r = place_set(w, run, from, to);
    }
    return r;
}

/* write_places_undo() - rows are where they were when so many had followed */
void write_places_undo(Writer *w, size_t n_places)
{
    while (w->n_places > n_places) {
        WritePlace *last = &w->places[--w->n_places];

        free(last->run->op->place);
        last->run->op->place = last->before;
    }
}

/* write_places_keep() - it is committed */
void write_places_keep(Writer *w)
{
    while (w->n_places > 0)
        free(w->places[--w->n_places].before);
}
