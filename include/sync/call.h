#pragma once
/*
 * A question from another thread to the engine: posted to the loop's mailbox, answered by the loop.
 * Two references: the asking thread's and the engine's. An asker that gives up drops its own; the
 * late answer is thrown away.
 */

#include <stdint.h>

#include "loop/mailbox.h"
#include "util/cleanup.h"
#include "util/list.h"

typedef struct Call Call;

typedef enum CallKind {
    CALL_SETTLE,  /* answered when all that happened before it is committed */
    CALL_RESTART, /* read the folders table again, compare */
    CALL_RESCAN,  /* compare a directory (argument: its path), or everything, with the disk */
    CALL_CONFIRM, /* the removals that are held back in a root (argument: its id) may go on */
    CALL_START,
    CALL_STOP,
    CALL_SHUTDOWN,
    CALL_FOLDER_STATUS, /* text: the JSON answer */
    CALL_PROBLEMS,      /* text: the JSON answer */
    CALL_COUNTERS,      /* text: the JSON answer of GET /debug/counters */
    CALL_METRICS,       /* text: the engine's part of GET /metrics */
} CallKind;

typedef enum CallResult {
    CALL_RESULT_NONE, /* not answered in time */
    CALL_RESULT_OK,
    CALL_RESULT_REFUSED, /* text says why ("Watcher is already running") */
    CALL_RESULT_FAILED,  /* text says why */
    CALL_RESULT_CLOSED,  /* the daemon is going down, or too many questions wait */
} CallResult;

struct Call {
    MailboxItem item;
    CallKind kind;
    uint64_t deadline; /* clock_now(); a settle that is late is dropped by the engine */
    char *argument;    /* of a rescan; or NULL */
    /* the answer */
    CallResult result;
    char *text;
    unsigned refs; /* atomic; private to sync/call.c */
    /* the engine's */
    ListNode link;    /* in its list of waiting calls */
    uint64_t barrier; /* stage of a settle, see sync/settle.c */
    uint64_t scans;   /* scans begun when its epoch ended */
};

/* Where the askers of one mailbox wait, so that all can be sent home when the daemon goes down. */
typedef struct CallDesk CallDesk;

/* mailbox and deliver are borrowed; deliver is the engine's entry (see daemon/). */
int call_desk_create(Mailbox *mailbox, void (*deliver)(MailboxItem *), CallDesk **ret_desk);
CallDesk *call_desk_free(CallDesk *desk); /* nobody may be waiting any more */
CLEANUP_DEFINE(CallDesk *, call_desk_free)
/* As call_ask(); argument is copied, NULL for the kinds that take none. */
CallResult call_desk_ask(CallDesk *desk, CallKind kind, const char *argument, uint64_t timeout_us,
                         char **ret_text);
/* All who wait and all who come get CALL_RESULT_CLOSED. Any thread. */
void call_desk_close(CallDesk *desk);

/* Asks and waits at most timeout_us. deliver is the engine's entry (see daemon/). The answer's text
 * belongs to the caller (may be NULL). Any thread but the loop's. */
CallResult call_ask(Mailbox *mailbox, void (*deliver)(MailboxItem *), CallKind kind,
                    uint64_t timeout_us, char **ret_text);
/* Answers and drops the engine's reference; takes over text (may be NULL). Loop's thread. */
void call_answer(Call *call, CallResult result, char *text);
