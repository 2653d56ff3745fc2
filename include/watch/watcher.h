#pragma once
/* The inotify descriptor in the loop: drains it, keeps the tree, tells a listener what may differ.
 */

#include <stdbool.h>
#include <stdint.h>

#include "loop/dispatch.h"
#include "loop/timer.h"
#include "watch/event.h"
#include "watch/tree.h"

typedef struct Watcher Watcher;
typedef struct WatchListener WatchListener;

typedef enum WatchChange {
    WATCH_CHANGE_CREATED, /* the writer may still be busy */
    WATCH_CHANGE_WRITTEN, /* closed after writing */
    WATCH_CHANGE_MOVED_IN,
    WATCH_CHANGE_MOVED_OUT,
    WATCH_CHANGE_REMOVED,
    WATCH_CHANGE_ATTRIBUTES,
} WatchChange;

/* Called in the loop's thread while events are decoded; must not block. */
struct WatchListener {
    /* A name in a directory may differ now. */
    void (*changed)(WatchListener *listener, Node *dir, const char *name, WatchChange change,
                    bool is_directory);
    /* A file was renamed: it left a name, and came to one, with the same cookie. Either may be told
     * much later than the other, or never. Called right before changed(). */
    void (*file_left)(WatchListener *listener, Node *dir, const char *name, uint32_t cookie);
    void (*file_arrived)(WatchListener *listener, Node *dir, const char *name, uint32_t cookie);
    /* A watched directory goes to another watched place: called before the tree is changed. */
    void (*directory_moving)(WatchListener *listener, Node *node, Node *to, const char *to_name);
    /* One that is not watched, or may not be, went from one name to another. */
    void (*unwatched_moved)(WatchListener *listener, const Node *from, const char *from_name,
                            const Node *to, const char *to_name);
    /* Another directory took the name of this one, and it has not been told where it is: it must be
     * given another place in the tree, or be removed. */
    void (*unplaced)(WatchListener *listener, Node *node);
    /* A directory lost its watch, or a root went away: removed, moved away or unmounted. */
    void (*lost)(WatchListener *listener, Node *node);
    /* Events were dropped: by the kernel, or because too many waited for their directory. */
    void (*overflow)(WatchListener *listener);
};

typedef struct WatchCounters {
    uint64_t events;
    uint64_t created, written, moved_from, moved_to, deleted, attributes, ignored, unmounted;
    uint64_t overflows;
    uint64_t reads;
} WatchCounters;

int watcher_create(Loop *loop, Timers *timers, WatchListener *listener, Watcher **ret_watcher);
Watcher *watcher_free(Watcher *watcher); /* the tree must be empty */
int watcher_fd(const Watcher *watcher);  /* for inotify_add_watch(2) in volume threads */
Tree *watcher_tree(Watcher *watcher);
const WatchCounters *watcher_counters(const Watcher *watcher);

void watcher_drain(Watcher *watcher); /* reads all that the kernel has queued by now */
bool watcher_waits(const Watcher *watcher);
/* Applies events that came for watch descriptors which the tree has learnt of since. */
void watcher_adopt(Watcher *watcher);
/* No scan is under way: events of unknown descriptors are dropped, and their watches ended. */
void watcher_drop_orphans(Watcher *watcher);
