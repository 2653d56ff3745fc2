#pragma once
/* Pending changes: which paths may differ, since when, and when each is due to be looked at. */

#include <stdbool.h>
#include <stdint.h>

#include "util/hash.h"
#include "util/list.h"
#include "watch/tree.h"

typedef struct Change Change;
typedef struct Pending Pending;

/* How long a path must have been quiet. */
typedef enum ChangeWait {
    CHANGE_WAIT_NONE,   /* found by a scan, or due again */
    CHANGE_WAIT_SETTLE, /* written, moved or removed */
    CHANGE_WAIT_CREATE, /* a bare CREATE: the writer may still be busy */
    CHANGE_WAIT_COUNT,
} ChangeWait;

/* Where a change is on its way through the funnel. */
typedef enum ChangeState {
    CHANGE_STATE_WAITING, /* for its due time; in Pending.queues */
    CHANGE_STATE_PROBING, /* on the volume's thread, then on the store's; in a round */
    CHANGE_STATE_HELD,    /* its row may belong to another name: everything else is seen first */
    CHANGE_STATE_MEDIA,   /* to be opened and decoded */
    CHANGE_STATE_WRITING, /* in a batch */
} ChangeState;

/* What a look at the rows ahead of its time has shown; see sync/ahead.c. */
typedef struct ChangeAhead {
    bool asked;      /* the look is under way, or done */
    bool is_new;     /* no row knew the file, when batch `number` was written */
    uint64_t number; /* of the last batch that was handed over before */
    uint64_t path;   /* hash of the path that was looked up */
    uint64_t dev, ino;
} ChangeAhead;

struct Change {
    HashNode by_key;      /* Pending.keys: (dir, name) */
    ListNode link;        /* the queue or list of its state */
    ListNode by_age;      /* Pending.all */
    Node *dir;            /* referenced */
    uint64_t epoch;       /* of the first event that is not worked off */
    uint64_t again_epoch; /* of the first event that came while it was under way */
    uint64_t first;       /* µs, of the first event */
    uint64_t due;         /* µs; of a held one: since when */
    ChangeState state;
    ChangeWait wait;
    bool again;     /* touched while under way: look once more afterwards */
    bool overtaken; /* and another file's row comes to its name: what was read is void */
    bool live;      /* an event told of it: equal size and mtime do not prove that it is the same */
    bool found;     /* a scan found it, so events may be missing: they do not tell all about it */
    bool written;   /* an event said that it was written to: it is read, whatever its mtime says */
    bool complete;  /* its writer has closed it, or it was moved in */
    bool reread;    /* its sidecar changed: read it again though it is the same itself */
    bool echo;      /* an event of another name of the same file told of it */
    bool confirm;   /* a held one that is looked at for the last time */
    bool checked;   /* a held removal that the guard has let pass */
    bool exempt;    /* its volume does not answer: counted nowhere */
    /* Engine.n_file_events; 0: there was none */
    uint64_t made; /* by this event the file that is here now was created, */
    bool filled;   /* and it was written to by this name since */
    uint64_t left; /* by this event, the first one, what was here before left, or was replaced */
    unsigned tries;
    unsigned touches;   /* so often, over and over: a look ahead that began before one is void */
    int64_t read_ctime; /* ns: what was read last was as old as this; 0 = nothing yet */
    ChangeAhead ahead;
    char name[]; /* "" is the directory itself */
};

struct Pending {
    HashTable keys;
    List queues[CHANGE_WAIT_COUNT]; /* Change.link; each in order of due */
    List held;                      /* Change.link: names that are gone, by due */
    List replaced;                  /* Change.link: held too; other files are at their names */
    List all;                       /* Change.by_age */
    size_t count;
    size_t n_undecided; /* waiting or probing: their findings are not known */
    /* Changes by the epoch they belong to; counts[0] is that of epoch `base`, the last one is that
     * of the present epoch. */
    size_t *counts;
    size_t n_counts, counts_capacity;
    uint64_t base;
    uint64_t waits[CHANGE_WAIT_COUNT]; /* µs */
    uint64_t limit;                    /* µs: a path that never rests is looked at after this */
};

int pending_init(Pending *pending);
void pending_done(Pending *pending);

/* Notes that a name may differ. Returns the change, or NULL when memory ran out. */
Change *pending_touch(Pending *pending, Node *dir, const char *name, ChangeWait wait, uint64_t now);
Change *pending_find(const Pending *pending, const Node *dir, const char *name);
/* change was touched because of cause, which is under way: whoever waits for that waits for it. */
void pending_join_epoch(Pending *pending, Change *change, const Change *cause);

Change *pending_take_due(Pending *pending, uint64_t now); /* → PROBING; NULL when none is due */
uint64_t pending_next_due(const Pending *pending);        /* µs; UINT64_MAX when none waits */
void pending_set_state(Pending *pending, Change *change, ChangeState state);
void pending_park(Pending *pending, Change *change, List *list);
void pending_exempt(Pending *pending, Change *change, bool exempt);
void pending_hold(Pending *pending, Change *change, uint64_t now);
void pending_hold_replaced(Pending *pending, Change *change, uint64_t now);
void pending_wait(Pending *pending, Change *change, uint64_t due);   /* back to waiting */
void pending_return(Pending *pending, Change *change, uint64_t now); /* as if just touched */
/* Done: forgotten, or waiting again when it was touched meanwhile. */
void pending_finish(Pending *pending, Change *change, uint64_t now);

/* Ends the present epoch and returns its number; changes from now on belong to the next. */
int pending_end_epoch(Pending *pending, uint64_t *ret_epoch);
/* Is everything of this epoch and those before it worked off? */
bool pending_reached(const Pending *pending, uint64_t epoch);
