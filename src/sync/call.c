/*
 * Calls: how a thread that is not the loop's asks the engine something.
 *
 * The asking thread posts the call to the loop's mailbox and sleeps on the call's condition
 * variable. Three things can wake it: the answer, its own time-out, and the desk being closed
 * because the daemon goes down. Whichever comes first wins; the call itself lives until both sides
 * have dropped their reference, so a late answer finds valid memory and is thrown away with it.
 *
 * The desk knows who is waiting. Without it, a thread that waits two minutes for a settle could not
 * be told that the engine will never answer, and the HTTP server could not be stopped.
 *
 * Locks: the desk's before the call's, never the other way round. Neither is held while anything
 * else is called.
 */

#include "sync/call.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "util/clock.h"
#include "util/error.h"

/* A call with what its asker sleeps on. */
typedef struct CallCell {
    Call call;
    pthread_mutex_t lock;
    pthread_cond_t woken;
    bool answered;
    bool sent_home;   /* the desk was closed */
    ListNode waiting; /* CallDesk.waiting */
} CallCell;

struct CallDesk {
    Mailbox *mailbox;
    void (*deliver)(MailboxItem *item);
    pthread_mutex_t lock;
    bool closed;
    List waiting; /* CallCell.waiting */
};

static CallCell *cell_new(CallKind kind, const char *argument, void (*deliver)(MailboxItem *),
                          uint64_t timeout_us)
{
    CallCell *cell = calloc(1, sizeof(*cell));

    if (cell && argument)
        cell->call.argument = strdup(argument);
    if (!cell || (argument && !cell->call.argument)) {
        free(cell);
        return NULL;
    }
    cell->call.item.deliver = deliver;
    cell->call.kind = kind;
    cell->call.deadline = clock_now() + timeout_us;
    cell->call.refs = 2; /* the asker's and the engine's */
    (void)pthread_mutex_init(&cell->lock, NULL);
    (void)pthread_cond_init(&cell->woken, NULL);
    return cell;
}

static void cell_unref(CallCell *cell)
{
    if (__atomic_sub_fetch(&cell->call.refs, 1, __ATOMIC_ACQ_REL) > 0)
        return;
    (void)pthread_cond_destroy(&cell->woken);
    (void)pthread_mutex_destroy(&cell->lock);
    free(cell->call.argument);
    free(cell->call.text);
    free(cell);
}

/* Sleeps until the call is answered, its time is over or the desk is closed. An answer that is
 * there counts even when one of the others came too: it may be the answer to a shutdown. */
static CallResult cell_wait(CallCell *cell, uint64_t timeout_us, char **ret_text)
{
    struct timespec until = clock_until(timeout_us);
    CallResult result;
    int r = 0;

    (void)pthread_mutex_lock(&cell->lock);
    while (!cell->answered && !cell->sent_home && r == 0)
        r = pthread_cond_clockwait(&cell->woken, &cell->lock, CLOCK_MONOTONIC, &until);
    if (cell->answered) {
        result = cell->call.result;
        *ret_text = STEAL_PTR(cell->call.text);
    } else {
        result = cell->sent_home ? CALL_RESULT_CLOSED : CALL_RESULT_NONE;
    }
    (void)pthread_mutex_unlock(&cell->lock);
    return result;
}

static bool desk_enter(CallDesk *desk, CallCell *cell)
{
    bool open;

    (void)pthread_mutex_lock(&desk->lock);
    open = !desk->closed;
    if (open)
        list_append(&desk->waiting, &cell->waiting);
    (void)pthread_mutex_unlock(&desk->lock);
    return open;
}

static void desk_leave(CallDesk *desk, CallCell *cell)
{
    (void)pthread_mutex_lock(&desk->lock);
    list_remove(&cell->waiting);
    (void)pthread_mutex_unlock(&desk->lock);
}

/*
 * call_desk_create() - a desk in front of the engine
 * @mailbox: of the loop; borrowed, must outlive the desk
 * @deliver: the engine's entry; called in the loop's thread with the item of each call
 * @ret_desk: the desk
 *
 * Returns 0, or -ENOMEM.
 */
int call_desk_create(Mailbox *mailbox, void (*deliver)(MailboxItem *), CallDesk **ret_desk)
{
    CallDesk *desk = calloc(1, sizeof(*desk));

    if (!desk)
        return error_trace(-ENOMEM);
    desk->mailbox = mailbox;
    desk->deliver = deliver;
    list_init(&desk->waiting);
    (void)pthread_mutex_init(&desk->lock, NULL);
    *ret_desk = desk;
    return 0;
}

/* call_desk_free() - frees the desk; nobody may be waiting at it. Accepts NULL. */
CallDesk *call_desk_free(CallDesk *desk)
{
    if (!desk)
        return NULL;
    (void)pthread_mutex_destroy(&desk->lock);
    free(desk);
    return NULL;
}

/* call_desk_close() - sends everybody home with CALL_RESULT_CLOSED, now and later. Any thread. */
void call_desk_close(CallDesk *desk)
{
    (void)pthread_mutex_lock(&desk->lock);
    desk->closed = true;
    LIST_FOREACH (node, &desk->waiting) {
        CallCell *cell = CONTAINER_OF(node, CallCell, waiting);

        (void)pthread_mutex_lock(&cell->lock);
        cell->sent_home = true;
        (void)pthread_cond_signal(&cell->woken);
        (void)pthread_mutex_unlock(&cell->lock);
    }
    (void)pthread_mutex_unlock(&desk->lock);
}

/*
 * call_desk_ask() - asks the engine and waits for its answer
 * @desk: the desk
 * @kind: the question
 * @argument: what it is about; copied; NULL for the kinds that take none
 * @timeout_us: how long to wait at most, microseconds
 * @ret_text: set when the engine answered: the answer's text, the caller's to free, or NULL
 *
 * Any thread but the loop's, which would wait for itself. A full mailbox counts as closed: the
 * engine is so far behind that asking again at once would make it worse.
 */
CallResult call_desk_ask(CallDesk *desk, CallKind kind, const char *argument, uint64_t timeout_us,
                         char **ret_text)
{
    CallCell *cell = cell_new(kind, argument, desk->deliver, timeout_us);
    CallResult result = CALL_RESULT_CLOSED;

    if (!cell)
        return CALL_RESULT_CLOSED;
    if (!desk_enter(desk, cell)) {
        cell_unref(cell); /* nobody else has seen it */
    } else {
        if (mailbox_post(desk->mailbox, &cell->call.item) == 0)
            result = cell_wait(cell, timeout_us, ret_text);
        else
            cell_unref(cell); /* the engine will never see it */
        desk_leave(desk, cell);
    }
    cell_unref(cell);
    return result;
}

/*
 * call_ask() - as call_desk_ask(), for one question without a desk
 *
 * Nothing ends the wait early, so the time-out should be short.
 */
CallResult call_ask(Mailbox *mailbox, void (*deliver)(MailboxItem *), CallKind kind,
                    uint64_t timeout_us, char **ret_text)
{
    CallDesk desk = {.mailbox = mailbox, .deliver = deliver};
    CallResult result;

    list_init(&desk.waiting);
    (void)pthread_mutex_init(&desk.lock, NULL);
    result = call_desk_ask(&desk, kind, NULL, timeout_us, ret_text);
    (void)pthread_mutex_destroy(&desk.lock);
    return result;
}

/*
 * call_answer() - answers a call and drops the engine's reference
 * @call: must not be touched any more afterwards
 * @result: not CALL_RESULT_NONE
 * @text: taken over; may be NULL
 *
 * In the loop's thread. The asker may have gone; then the answer is thrown away.
 */
void call_answer(Call *call, CallResult result, char *text)
{
    CallCell *cell = CONTAINER_OF(call, CallCell, call);

    (void)pthread_mutex_lock(&cell->lock);
    call->result = result;
    call->text = text;
    cell->answered = true;
    (void)pthread_cond_signal(&cell->woken);
    (void)pthread_mutex_unlock(&cell->lock);
    cell_unref(cell);
}
