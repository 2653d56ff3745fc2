/*
 * The watcher
 *
 * Events are hints: each one only says that a name in a directory may differ now. What is kept
 * exactly is the tree, because the paths of all later events depend on it.
 *
 * What moves: MOVED_FROM and MOVED_TO carry the same cookie. They are usually neighbours, but other
 * events may come between, they may come in two reads, and one of them may never come (the other
 * side is not watched). Of files the listener is told both. Halves of directories wait in a small
 * ring; the oldest is forgotten when it is full, which costs nothing but the hint.
 *
 * Directories that move: the kernel sends MOVED_FROM, MOVED_TO and then, to the watch of the moved
 * directory itself, MOVE_SELF (fsnotify_move() in the kernel). A watch descriptor follows its
 * inode, so MOVE_SELF says for certain *which* node moved, also when two directories exchange
 * their names; the pair that begins at the node's place says where to. It need not be the last
 * pair: renames in different directories run at once, and a directory without a watch has a pair
 * but no MOVE_SELF. MOVE_SELF without a pair means that it left for a place that is not watched,
 * or that the tree has not heard of where it was; then the scan of its new name finds it.
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

#define BUFFER_SIZE   (256 * 1024) /* some 5,000 events of usual names a read */
#define N_HALVES      256
#define MAX_MOVES     16
#define MAX_ORPHANS   65536
#define MAX_UNWATCHED 256 /* ended watches handed back to the kernel in one round */

/* A directory's MOVED_FROM that waits for its MOVED_TO. */
typedef struct Half {
    uint32_t cookie;
    Node *dir; /* referenced; NULL = free */
    char *name;
} Half;

/* A pair whose MOVE_SELF is still to come. */
typedef struct DirectoryMove {
    Node *from; /* referenced, as is to */
    char *from_name;
    Node *to;
    char *to_name;
} DirectoryMove;

/* A directory whose name another one took: it has been replaced, or, if its own MOVE_SELF comes in
 * the same breath, the two exchanged their names (RENAME_EXCHANGE). */
#define PARKED_NAME "\n.parked" /* in its old parent meanwhile */

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
    Half halves[N_HALVES];
    size_t next_half;
    DirectoryMove moves[MAX_MOVES]; /* oldest first */
    size_t n_moves;
    Node *parked;      /* referenced; or NULL */
    char *parked_name; /* that it had in its parent */
    List orphans;      /* Orphan.link */
    size_t n_orphans;
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

/* ---- halves waiting for their other half ---- */

static void half_clear(Half *half)
{
    half->dir = node_unref(half->dir);
    free(half->name);
    *half = (Half){0};
}

static void half_put(Watcher *watcher, const Event *event, Node *dir)
{
    Half *half = &watcher->halves[watcher->next_half++ % N_HALVES];

    half_clear(half);
    half->name = strdup(event->name);
    if (!half->name)
        return;
    half->cookie = event->cookie;
    half->dir = node_ref(dir);
}

static Half *half_find(Watcher *watcher, uint32_t cookie)
{
    /* From the newest, which it nearly always is. */
    for (size_t i = 1; i <= N_HALVES; i++) {
        Half *half = &watcher->halves[(watcher->next_half - i) % N_HALVES];

        if (half->dir && half->cookie == cookie)
            return half;
    }
    return NULL;
}

/* ---- moves of directories ---- */

static void move_done(DirectoryMove *move)
{
    (void)node_unref(move->from);
    (void)node_unref(move->to);
    free(move->from_name);
    free(move->to_name);
}

static DirectoryMove move_take(Watcher *watcher, size_t i)
{
    DirectoryMove move = watcher->moves[i];

    watcher->n_moves--;
    memmove(&watcher->moves[i], &watcher->moves[i + 1],
            (watcher->n_moves - i) * sizeof(DirectoryMove));
    return move;
}

static void move_tell(Watcher *watcher, const DirectoryMove *move)
{
    if (!move->to->detached)
        watcher->listener->changed(watcher->listener, move->to, move->to_name,
                                   WATCH_CHANGE_MOVED_IN, true);
}

/*
 * A pair whose MOVE_SELF never came: the directory was not watched (its scan is still on the way,
 * or it was ignored). It is looked for at its new place like a new one.
 */
static void move_flush(Watcher *watcher)
{
    DirectoryMove move = move_take(watcher, 0);

    move_tell(watcher, &move);
    move_done(&move);
}

/* The half becomes a pair. False when memory runs out. */
static bool move_add(Watcher *watcher, Half *half, Node *to, const char *to_name)
{
    char *copy = strdup(to_name);
    DirectoryMove *move;

    if (!copy)
        return false;
    if (watcher->n_moves == MAX_MOVES)
        move_flush(watcher);
    move = &watcher->moves[watcher->n_moves++];
    move->from = STEAL_PTR(half->dir);
    move->from_name = STEAL_PTR(half->name);
    move->to = node_ref(to);
    move->to_name = copy;
    return true;
}

/* The pair that begins where the node is, in the tree, at this moment. */
static bool move_find(const Watcher *watcher, const Node *node, size_t *ret_i)
{
    const char *name = node == watcher->parked ? watcher->parked_name : node_name(node);

    for (size_t i = 0; i < watcher->n_moves; i++) {
        const DirectoryMove *move = &watcher->moves[i];

        if (move->from != node->parent || strcmp(move->from_name, name) != 0)
            continue;
        *ret_i = i;
        return true;
    }
    return false;
}

/* What is still parked has no place any more. */
static void unpark(Watcher *watcher)
{
    Node *node = STEAL_PTR(watcher->parked);

    free(STEAL_PTR(watcher->parked_name));
    if (node && !node->detached && strcmp(node_name(node), PARKED_NAME) == 0)
        tree_remove(&watcher->tree, node);
    (void)node_unref(node);
}

static void park(Watcher *watcher, Node *node)
{
    char *name;

    unpark(watcher);
    name = strdup(node_name(node));
    if (!name)
        return;
    watcher->listener->directory_moving(watcher->listener, node, node->parent, PARKED_NAME);
    if (tree_move(&watcher->tree, node, node->parent, PARKED_NAME) != 0) {
        free(name);
        return;
    }
    watcher->parked = node_ref(node);
    watcher->parked_name = name;
}

/* What cannot be relinked is found by the scan of its new name. */
static void relink(Watcher *watcher, Node *node, Node *to, const char *name)
{
    Node *victim = tree_child(&watcher->tree, to, name);

    if (to->detached || victim == node || node_is_within(to, node))
        return;
    if (victim && !node_is_within(node, victim))
        park(watcher, victim);
    watcher->listener->directory_moving(watcher->listener, node, to, name);
    (void)tree_move(&watcher->tree, node, to, name);
}

static void moved_self(Watcher *watcher, Node *node)
{
    DirectoryMove move;
    size_t i;

    if (node->is_root) { /* its parent is not watched */
        watcher->listener->lost(watcher->listener, node);
        return;
    }
    if (!move_find(watcher, node, &i))
        return; /* the name that it left is pending already */
    move = move_take(watcher, i);
    relink(watcher, node, move.to, move.to_name);
    move_tell(watcher, &move);
    move_done(&move);
}

/* ---- events ---- */

static void event_moved_from(Watcher *watcher, const Event *event, Node *dir, bool is_directory)
{
    WatchListener *listener = watcher->listener;

    if (is_directory)
        half_put(watcher, event, dir);
    else
        listener->file_left(listener, dir, event->name, event->cookie);
    listener->changed(listener, dir, event->name, WATCH_CHANGE_REMOVED, is_directory);
}

static void event_moved_to(Watcher *watcher, const Event *event, Node *dir, bool is_directory)
{
    WatchListener *listener = watcher->listener;
    Half *half = is_directory ? half_find(watcher, event->cookie) : NULL;
    bool paired = half && move_add(watcher, half, dir, event->name);

    if (half)
        half_clear(half);
    if (paired)
        return; /* MOVE_SELF follows, or move_flush() */
    if (!is_directory)
        listener->file_arrived(listener, dir, event->name, event->cookie);
    listener->changed(listener, dir, event->name, WATCH_CHANGE_MOVED_IN, is_directory);
}

static void event_named(Watcher *watcher, const Event *event, Node *dir)
{
    WatchListener *listener = watcher->listener;
    WatchCounters *counters = &watcher->counters;
    bool is_directory = event->mask & IN_ISDIR;

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
    size_t n = watcher->n_unwatched < MAX_UNWATCHED ? watcher->n_unwatched : MAX_UNWATCHED;

    while (watcher->n_moves > 0)
        move_flush(watcher);
    unpark(watcher);
    for (size_t i = 0; i < n; i++) {
        int wd = watcher->unwatched[--watcher->n_unwatched];

        /* A scan may have found the same inode at another place meanwhile: the watch lives on. */
        if (!tree_by_wd(&watcher->tree, wd))
            (void)inotify_rm_watch(watcher->fd, wd);
    }
}

/* watcher_create() - open the inotify descriptor and serve it first in every round of the loop */
int watcher_create(Loop *loop, WatchListener *listener, Watcher **ret_watcher)
{
    Watcher *watcher = calloc(1, sizeof(*watcher));
    int r;

    if (!watcher)
        return error_trace(-ENOMEM);
    list_init(&watcher->orphans);
    watcher->listener = listener;
    tree_init(&watcher->tree, watcher_unwatch, watcher);
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
    for (size_t i = 0; i < N_HALVES; i++)
        half_clear(&watcher->halves[i]);
    while (watcher->n_moves > 0) {
        DirectoryMove move = move_take(watcher, 0);

        move_done(&move);
    }
    unpark(watcher);
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
