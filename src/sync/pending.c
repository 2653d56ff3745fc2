/*
 * Pending changes
 *
 * A change is "this path may differ now" and nothing more. It is kept by directory node and name,
 * so that renaming a directory above it does not concern it.
 *
 * A change waits until its path has been quiet for a while. There are few lengths of waiting, so a
 * queue for each, in order of arrival, is in order of due time as well; being touched again moves a
 * change to the end of its queue, unless it has not rested for so long that the hard limit would
 * pass: then it keeps its place.
 *
 * The settle barrier asks whether everything that happened before a moment is worked off. Each
 * barrier ends an epoch; a change belongs to the epoch of its first event, and the changes of each
 * epoch are counted.
 */
#include "sync/pending.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "util/array.h"
#include "util/error.h"

int pending_init(Pending *pending)
{
    int r;

    *pending = (Pending){.n_counts = 1};
    for (size_t i = 0; i < CHANGE_WAIT_COUNT; i++)
        list_init(&pending->queues[i]);
    list_init(&pending->held);
    list_init(&pending->replaced);
    list_init(&pending->all);
    r = ARRAY_RESERVE(pending->counts, pending->counts_capacity, 1);
    if (r < 0)
        return error_trace(r);
    pending->counts[0] = 0;
    return 0;
}

static uint64_t present_epoch(const Pending *pending)
{
    return pending->base + pending->n_counts - 1;
}

/* pending_end_epoch() - begin a new epoch; ret_epoch is the one that ended. 0 or -ENOMEM */
int pending_end_epoch(Pending *pending, uint64_t *ret_epoch)
{
    size_t done = 0;
    int r;

    while (done + 1 < pending->n_counts && pending->counts[done] == 0)
        done++;
    if (done > 0)
        memmove(pending->counts, pending->counts + done,
                (pending->n_counts - done) * sizeof(*pending->counts));
    pending->n_counts -= done;
    pending->base += done;

    r = ARRAY_RESERVE(pending->counts, pending->counts_capacity, pending->n_counts + 1);
    if (r < 0)
        return error_trace(r);
    *ret_epoch = present_epoch(pending);
    pending->counts[pending->n_counts++] = 0;
    return 0;
}

bool pending_reached(const Pending *pending, uint64_t epoch)
{
    for (size_t i = 0; i < pending->n_counts && pending->base + i <= epoch; i++)
        if (pending->counts[i] > 0)
            return false;
    return true;
}

static size_t *epoch_count(Pending *pending, uint64_t epoch)
{
    assert(epoch >= pending->base && epoch <= present_epoch(pending));
    return &pending->counts[epoch - pending->base];
}

static void set_epoch(Pending *pending, Change *change, uint64_t epoch)
{
    if (change->exempt)
        return;
    (*epoch_count(pending, change->epoch))--;
    (*epoch_count(pending, epoch))++;
    change->epoch = epoch;
}

/* Is it still to be seen what this one is? Removals wait for that. */
static bool is_undecided(const Change *change)
{
    if (change->exempt)
        return false;
    return change->state == CHANGE_STATE_PROBING || change->state == CHANGE_STATE_WAITING;
}

/* pending_set_state() - the only place where a change's state is set, to keep the count right */
void pending_set_state(Pending *pending, Change *change, ChangeState state)
{
    pending->n_undecided -= is_undecided(change);
    change->state = state;
    pending->n_undecided += is_undecided(change);
}

static uint64_t key_hash(const Node *dir, const char *name)
{
    return hash_bytes(name, strlen(name), (uint64_t)(uintptr_t)dir);
}

/* pending_find() - the change of this name in this directory, or NULL */
Change *pending_find(const Pending *pending, const Node *dir, const char *name)
{
    uint64_t hash = key_hash(dir, name);

    for (HashNode *h = hash_first(&pending->keys, hash); h; h = hash_next(h)) {
        Change *change = CONTAINER_OF(h, Change, by_key);

        if (change->dir == dir && strcmp(change->name, name) == 0)
            return change;
    }
    return NULL;
}

static void change_free(Pending *pending, Change *change)
{
    hash_remove(&pending->keys, &change->by_key);
    list_remove(&change->link);
    list_remove(&change->by_age);
    if (!change->exempt)
        (*epoch_count(pending, change->epoch))--;
    pending->n_undecided -= is_undecided(change);
    pending->count--;
    (void)node_unref(change->dir);
    free(change);
}

/* pending_done() - forget everything */
void pending_done(Pending *pending)
{
    for (ListNode *link; (link = list_first(&pending->all));)
        change_free(pending, CONTAINER_OF(link, Change, by_age));
    hash_done(&pending->keys);
    free(pending->counts);
}

static Change *change_new(Pending *pending, Node *dir, const char *name)
{
    size_t length = strlen(name) + 1;
    Change *change = calloc(1, sizeof(*change) + length);

    if (!change)
        return NULL;
    memcpy(change->name, name, length);
    if (hash_insert(&pending->keys, &change->by_key, key_hash(dir, name)) < 0) {
        free(change);
        return NULL;
    }
    change->dir = node_ref(dir);
    change->state = CHANGE_STATE_WRITING; /* counted nowhere until it is enqueued */
    change->epoch = present_epoch(pending);
    (*epoch_count(pending, change->epoch))++;
    list_append(&pending->all, &change->by_age);
    pending->count++;
    return change;
}

static void enqueue(Pending *pending, Change *change, ChangeWait wait, uint64_t now)
{
    list_remove(&change->link);
    pending->n_undecided -= is_undecided(change);
    change->state = CHANGE_STATE_WAITING;
    change->wait = wait;
    pending->n_undecided += is_undecided(change);
    change->due = now + pending->waits[wait];
    list_append(&pending->queues[wait], &change->link);
}

/*
 * pending_touch() - note that a name may differ now
 * @wait: how long it must be quiet from now on; a waiting change takes the latest length
 *
 * A change that is under way is marked to be looked at again. Returns the change (owned by
 * pending), or NULL when memory ran out: then the caller scans instead.
 */
Change *pending_touch(Pending *pending, Node *dir, const char *name, ChangeWait wait, uint64_t now)
{
    Change *change = pending_find(pending, dir, name);

    if (!change) {
        change = change_new(pending, dir, name);
        if (!change)
            return NULL;
        change->first = now;
        enqueue(pending, change, wait, now);
    } else if (change->state == CHANGE_STATE_WAITING) {
        if (now + pending->waits[wait] <= change->first + pending->limit)
            enqueue(pending, change, wait, now);
    } else if (change->state == CHANGE_STATE_HELD) {
        change->confirm = change->checked = false;
        change->first = now;
        enqueue(pending, change, wait, now);
    } else {
        if (!change->again)
            change->again_epoch = present_epoch(pending);
        change->again = true;
        change->wait = wait;
    }
    change->touches++;
    change->ahead = (ChangeAhead){0};
    return change;
}

/* pending_join_epoch() - change was touched as a consequence of cause, which is under way */
void pending_join_epoch(Pending *pending, Change *change, const Change *cause)
{
    if (cause->exempt || change->exempt)
        return;
    if (change->again && cause->epoch < change->again_epoch)
        change->again_epoch = cause->epoch;
    if (!change->again && cause->epoch < change->epoch)
        set_epoch(pending, change, cause->epoch);
}

/* pending_take_due() - the next change whose time has come, in state PROBING and on no list */
Change *pending_take_due(Pending *pending, uint64_t now)
{
    for (size_t i = 0; i < CHANGE_WAIT_COUNT; i++) {
        ListNode *link = list_first(&pending->queues[i]);
        Change *change = link ? CONTAINER_OF(link, Change, link) : NULL;

        if (!change || change->due > now)
            continue;
        list_remove(&change->link);
        pending_set_state(pending, change, CHANGE_STATE_PROBING);
        return change;
    }
    return NULL;
}

/* pending_next_due() - when the next waiting change is due, µs; UINT64_MAX when none waits */
uint64_t pending_next_due(const Pending *pending)
{
    uint64_t due = UINT64_MAX;

    for (size_t i = 0; i < CHANGE_WAIT_COUNT; i++) {
        ListNode *link = list_first(&pending->queues[i]);

        if (link && CONTAINER_OF(link, Change, link)->due < due)
            due = CONTAINER_OF(link, Change, link)->due;
    }
    return due;
}

static void hold(Pending *pending, Change *change, List *list, uint64_t now)
{
    list_remove(&change->link);
    pending_set_state(pending, change, CHANGE_STATE_HELD);
    change->due = now;
    list_append(list, &change->link);
}

/* pending_hold() - a removal that waits until everything else has been seen */
void pending_hold(Pending *pending, Change *change, uint64_t now)
{
    hold(pending, change, &pending->held, now);
}

/* pending_hold_replaced() - likewise, a name with a file that is not the one of its row */
void pending_hold_replaced(Pending *pending, Change *change, uint64_t now)
{
    hold(pending, change, &pending->replaced, now);
}

/* pending_wait() - put a change that is under way back, to be due at a time soon */
void pending_wait(Pending *pending, Change *change, uint64_t due)
{
    List *queue = &pending->queues[CHANGE_WAIT_NONE];
    ListNode *at = queue->head.prev;

    list_remove(&change->link);
    change->wait = CHANGE_WAIT_NONE;
    pending_set_state(pending, change, CHANGE_STATE_WAITING);
    change->due = due;
    change->again = false; /* it will be looked at anyway, and its older epoch stays */
    change->ahead = (ChangeAhead){0};
    /* Sorted from the end: this queue holds what is due at once and a few that were put back. */
    while (at != &queue->head && CONTAINER_OF(at, Change, link)->due > due)
        at = at->prev;
    list_insert_before(at->next, &change->link);
}

/*
 * pending_return() - put a change that is under way back: events have come, and it was not decided
 *
 * It waits for quiet like any other that was touched; its older epoch stays.
 */
void pending_return(Pending *pending, Change *change, uint64_t now)
{
    if (!change->again) {
        pending_wait(pending, change, now);
        return;
    }
    change->again = false;
    change->first = now;
    enqueue(pending, change, change->wait, now);
}

/* pending_finish() - a change is worked off; one that was touched meanwhile starts anew */
void pending_finish(Pending *pending, Change *change, uint64_t now)
{
    if (!change->again || change->dir->detached) {
        change_free(pending, change);
        return;
    }
    set_epoch(pending, change, change->again_epoch);
    change->again = change->confirm = change->checked = false;
    change->tries = 0;
    change->first = now;
    enqueue(pending, change, change->wait, now);
}

/*
 * pending_exempt() - let nobody wait for this change, or again
 *
 * For changes on a volume that does not answer. One that counts again belongs to the present epoch:
 * barriers that came before have been answered without it.
 */
void pending_exempt(Pending *pending, Change *change, bool exempt)
{
    if (change->exempt == exempt)
        return;
    pending->n_undecided -= is_undecided(change);
    if (exempt)
        (*epoch_count(pending, change->epoch))--;
    change->exempt = exempt;
    if (!exempt) {
        change->epoch = change->again_epoch = present_epoch(pending);
        (*epoch_count(pending, change->epoch))++;
    }
    pending->n_undecided += is_undecided(change);
}

/* pending_park() - put a change that is due on a list of the caller's; it is waiting still */
void pending_park(Pending *pending, Change *change, List *list)
{
    list_remove(&change->link);
    pending_set_state(pending, change, CHANGE_STATE_WAITING);
    list_append(list, &change->link);
}
