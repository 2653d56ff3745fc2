/*
 * The watcher
 *
 * Events are hints: each one only says that a name in a directory may differ now. What is kept
 * exactly is the tree, because the paths of all later events depend on it.
 *
 * What moves: of files the listener is told both events of a rename. A directory's node is
 * relinked, for which its events are put together (watch/pairing.c).
 *
 * Orphans: a volume thread adds a watch before the loop hears of the directory. Events of such a
 * descriptor are kept, in order, until the directory is in the tree (watcher_adopt()), or until no
 * scan is under way any more: then they belonged to a watch that has ended.
 */
#include "watch/watcher.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "util/error.h"
#include "util/list.h"
#include "util/log.h"
#include "watch/pairing.h"

#define BUFFER_SIZE   (256 * 1024) /* some 5,000 events of usual names a read */
#define MAX_ORPHANS   65536
#define MAX_UNWATCHED 256 /* ended watches handed back to the kernel in one round */

typedef struct Orphan {
    ListNode link; /* Watcher.orphans */
    int wd;
    uint32_t mask;
    uint32_t cookie;
    char name[];
} Orphan;

struct Watcher {
    LoopSource source;
    LoopHook hook;
    int fd;
    Tree tree;
    WatchListener *listener;
    Pairing pairing;
    Timer timer;  /* there is something to do at the end of a round, though no event may come */
    List orphans; /* Orphan.link */
    size_t n_orphans;
    bool adopting;  /* what is applied came before what has been applied already */
    int *unwatched; /* descriptors to end */
    size_t n_unwatched, unwatched_capacity;
    WatchCounters counters;
    char buffer[BUFFER_SIZE] __attribute__((aligned(8)));
};

/* ---- watches that end ---- */

static void watcher_unwatch(void *owner, int wd)
{
    Watcher *watcher = owner;

    if (watcher->n_unwatched == watcher->unwatched_capacity) {
        size_t capacity = watcher->unwatched_capacity ? watcher->unwatched_capacity * 2 : 64;
        int *grown = reallocarray(watcher->unwatched, capacity, sizeof(int));

        if (!grown) {
            (void)inotify_rm_watch(watcher->fd, wd);
            return;
        }
        watcher->unwatched = grown;
        watcher->unwatched_capacity = capacity;
    }
    watcher->unwatched[watcher->n_unwatched++] = wd;
}

/* ---- events ---- */

static void moved_self(Watcher *watcher, Node *node)
{
    if (node->is_root) /* its parent is not watched */
        watcher->listener->lost(watcher->listener, node);
    else
        pairing_moved(&watcher->pairing, node);
}

static void event_moved_from(Watcher *watcher, const Event *event, Node *dir, bool is_directory)
{
    WatchListener *listener = watcher->listener;

    if (is_directory)
        pairing_left(&watcher->pairing, event, dir);
    else
        listener->file_left(listener, dir, event->name, event->cookie);
    listener->changed(listener, dir, event->name, WATCH_CHANGE_MOVED_OUT, is_directory);
}

static void event_moved_to(Watcher *watcher, const Event *event, Node *dir, bool is_directory)
{
    WatchListener *listener = watcher->listener;

    if (is_directory && pairing_arrived(&watcher->pairing, event, dir, watcher->adopting))
        return; /* MOVE_SELF follows, or is given up */
    if (!is_directory)
        listener->file_arrived(listener, dir, event->name, event->cookie);
    listener->changed(listener, dir, event->name, WATCH_CHANGE_MOVED_IN, is_directory);
}

static void event_named(Watcher *watcher, const Event *event, Node *dir)
{
    WatchListener *listener = watcher->listener;
    WatchCounters *counters = &watcher->counters;
    bool is_directory = event->mask & IN_ISDIR;

    if (!watcher->adopting && event->mask & (IN_CREATE | IN_DELETE | IN_MOVE))
        pairing_passed(&watcher->pairing, event, dir);
    if (event->mask & IN_CREATE) {
        counters->created++;
        listener->changed(listener, dir, event->name, WATCH_CHANGE_CREATED, is_directory);
    }
    if (event->mask & IN_CLOSE_WRITE) {
        counters->written++;
        listener->changed(listener, dir, event->name, WATCH_CHANGE_WRITTEN, is_directory);
    }
    if (event->mask & IN_ATTRIB) {
        counters->attributes++;
        listener->changed(listener, dir, event->name, WATCH_CHANGE_ATTRIBUTES, is_directory);
    }
    if (event->mask & IN_DELETE) {
        counters->deleted++;
        listener->changed(listener, dir, event->name, WATCH_CHANGE_REMOVED, is_directory);
    }
    if (event->mask & IN_MOVED_FROM) {
        counters->moved_from++;
        event_moved_from(watcher, event, dir, is_directory);
    }
    if (event->mask & IN_MOVED_TO) {
        counters->moved_to++;
        event_moved_to(watcher, event, dir, is_directory);
    }
}

static void event_self(Watcher *watcher, const Event *event, Node *node)
{
    WatchListener *listener = watcher->listener;

    if (event->mask & IN_MOVE_SELF)
        moved_self(watcher, node);
    if (event->mask & IN_ATTRIB && node->is_root) {
        watcher->counters.attributes++;
        listener->changed(listener, node, "", WATCH_CHANGE_ATTRIBUTES, true);
    }
    if (event->mask & IN_UNMOUNT)
        watcher->counters.unmounted++;
    if (event->mask & IN_IGNORED) {
        /* The watch has ended, whatever the reason; its number may not be used any more. */
        watcher->counters.ignored++;
        (void)tree_set_wd(&watcher->tree, node, -1);
        if (!pairing_ended(&watcher->pairing, node))
            listener->lost(listener, node);
    }
}

static void orphans_free(Watcher *watcher)
{
    for (ListNode *link; (link = list_take(&watcher->orphans));)
        free(CONTAINER_OF(link, Orphan, link));
    watcher->n_orphans = 0;
}

static void orphan_put(Watcher *watcher, const Event *event)
{
    size_t length = strlen(event->name) + 1;
    Orphan *orphan;

    if (watcher->n_orphans >= MAX_ORPHANS) {
        orphans_free(watcher);
        watcher->listener->overflow(watcher->listener);
        return;
    }
    orphan = calloc(1, sizeof(*orphan) + length);
    if (!orphan) {
        watcher->listener->overflow(watcher->listener);
        return;
    }
    orphan->wd = event->wd;
    orphan->mask = event->mask;
    orphan->cookie = event->cookie;
    memcpy(orphan->name, event->name, length);
    list_append(&watcher->orphans, &orphan->link);
    watcher->n_orphans++;
}

static void event_apply(Watcher *watcher, const Event *event)
{
    Node *node;

    if (event->mask & IN_Q_OVERFLOW) {
        watcher->counters.overflows++;
        watcher->listener->overflow(watcher->listener);
        return;
    }
    node = tree_by_wd(&watcher->tree, event->wd);
    if (!node) {
        orphan_put(watcher, event);
        return;
    }
    if (event->name[0] != '\0')
        event_named(watcher, event, node);
    else
        event_self(watcher, event, node);
}

/* watcher_waits() - is a rename half told? The paths of moved directories are not final then. */
bool watcher_waits(const Watcher *watcher)
{
    return watcher->pairing.n_moves > 0 || watcher->pairing.n_parked > 0;
}

static void timer_fired(Timer *timer UNUSED)
{
    /* watcher_round() does the work. */
}

/* The end of the next round looks after it, if this one's has passed. */
static void arm_timer(Watcher *watcher)
{
    if (watcher_waits(watcher))
        (void)timer_arm_in(&watcher->timer, 0);
}

static void flush_pairing(Watcher *watcher)
{
    uint64_t next = pairing_flush(&watcher->pairing);

    if (next == UINT64_MAX)
        timer_disarm(&watcher->timer);
    else
        (void)timer_arm_at(&watcher->timer, next);
}

/* watcher_drain() - read the descriptor until it is empty and apply every event */
void watcher_drain(Watcher *watcher)
{
    for (;;) {
        ssize_t n = read(watcher->fd, watcher->buffer, sizeof(watcher->buffer));
        size_t offset = 0;
        Event event;
        int r;

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            break;
        watcher->counters.reads++;
        while ((r = event_next(watcher->buffer, (size_t)n, &offset, &event)) > 0) {
            watcher->counters.events++;
            event_apply(watcher, &event);
        }
        if (r < 0) /* the rest of what was read is lost */
            watcher->listener->overflow(watcher->listener);
    }
    arm_timer(watcher);
}

static void watcher_dispatch(LoopSource *source, uint32_t events UNUSED)
{
    watcher_drain(CONTAINER_OF(source, Watcher, source));
}

/*
 * watcher_adopt() - apply waiting events whose directory is in the tree by now, in their order
 *
 * They are taken away first: the listener may drop all that wait while it is told of one.
 */
void watcher_adopt(Watcher *watcher)
{
    List waiting;

    list_init(&waiting);
    list_splice(&waiting, &watcher->orphans);
    watcher->n_orphans = 0;
    watcher->adopting = true;
    for (ListNode *link; (link = list_take(&waiting));) {
        Orphan *orphan = CONTAINER_OF(link, Orphan, link);
        Event event = {orphan->wd, orphan->mask, orphan->cookie, orphan->name};

        if (!tree_by_wd(&watcher->tree, orphan->wd)) {
            list_append(&watcher->orphans, link);
            watcher->n_orphans++;
            continue;
        }
        event_apply(watcher, &event);
        free(orphan);
    }
    watcher->adopting = false;
    arm_timer(watcher);
}

/*
 * watcher_drop_orphans() - no scan is under way: nobody will tell of these directories any more
 *
 * A watch that still speaks then was added by a scan that was ended early, and would be held, out
 * of a number that all programs share, until the directory is removed.
 */
void watcher_drop_orphans(Watcher *watcher)
{
    int last = -1;

    LIST_FOREACH (link, &watcher->orphans) {
        const Orphan *orphan = CONTAINER_OF(link, Orphan, link);

        if (orphan->wd != last && !(orphan->mask & IN_IGNORED))
            watcher_unwatch(watcher, orphan->wd);
        last = orphan->wd;
    }
    orphans_free(watcher);
}

/*
 * Ends watches whose node left the tree, a few in each round: a tree with 100,000 directories that
 * was moved out of the library must not stall the loop.
 */
static void watcher_round(LoopHook *hook)
{
    Watcher *watcher = CONTAINER_OF(hook, Watcher, hook);
    size_t n;

    flush_pairing(watcher);
    n = watcher->n_unwatched < MAX_UNWATCHED ? watcher->n_unwatched : MAX_UNWATCHED;
    for (size_t i = 0; i < n; i++) {
        int wd = watcher->unwatched[--watcher->n_unwatched];

        /* A scan may have found the same inode at another place meanwhile: the watch lives on. */
        if (!tree_by_wd(&watcher->tree, wd))
            (void)inotify_rm_watch(watcher->fd, wd);
    }
    if (watcher->n_unwatched > 0)
        (void)timer_arm_in(&watcher->timer, 0);
}

/* watcher_create() - open the inotify descriptor and serve it first in every round of the loop */
int watcher_create(Loop *loop, Timers *timers, WatchListener *listener, Watcher **ret_watcher)
{
    Watcher *watcher = calloc(1, sizeof(*watcher));
    int r;

    if (!watcher)
        return error_trace(-ENOMEM);
    list_init(&watcher->orphans);
    watcher->listener = listener;
    tree_init(&watcher->tree, watcher_unwatch, watcher);
    pairing_init(&watcher->pairing, &watcher->tree, listener);
    timer_init(&watcher->timer, timers, timer_fired);
    watcher->fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (watcher->fd < 0) {
        r = error_errno();
        free(watcher);
        return r;
    }
    watcher->source.first = true;
    r = loop_add(loop, &watcher->source, watcher->fd, EPOLLIN, watcher_dispatch);
    if (r < 0) {
        (void)close(watcher->fd);
        free(watcher);
        return error_trace(r);
    }
    loop_hook_add(loop, &watcher->hook, watcher_round);
    *ret_watcher = watcher;
    return 0;
}

Watcher *watcher_free(Watcher *watcher)
{
    if (!watcher)
        return NULL;
    loop_hook_remove(&watcher->hook);
    loop_remove(&watcher->source);
    timer_disarm(&watcher->timer);
    pairing_done(&watcher->pairing);
    orphans_free(watcher);
    tree_done(&watcher->tree);
    free(watcher->unwatched);
    (void)close(watcher->fd);
    free(watcher);
    return NULL;
}

int watcher_fd(const Watcher *watcher)
{
    return watcher->fd;
}

Tree *watcher_tree(Watcher *watcher)
{
    return &watcher->tree;
}

const WatchCounters *watcher_counters(const Watcher *watcher)
{
    return &watcher->counters;
}
