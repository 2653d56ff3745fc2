/*
 * The way between threads: a list of intrusive items under a mutex, and an eventfd(2) that is
 * readable while there is something in it.
 *
 * The loop takes the whole list away under the lock and delivers outside of it, so a poster never
 * waits for a delivery. It delivers for a limited time a round; what is left stays in taken, which
 * belongs to the loop's thread alone, and the eventfd stays readable.
 */

#include "loop/mailbox.h"

#include <assert.h>
#include <pthread.h>
#include <sys/eventfd.h>

#include "util/clock.h"
#include "util/error.h"

#define MAILBOX_ROUND_ITEMS 1024
#define MAILBOX_ROUND_US    (10 * CLOCK_US_PER_MS)

struct Mailbox {
    LoopSource source;
    int fd;
    List taken; /* MailboxItem.link; the loop's thread only */

    pthread_mutex_t mutex;
    pthread_cond_t room; /* the queue was emptied, or the mailbox closed */
    /* under the mutex: */
    List queue; /* MailboxItem.link */
    size_t n_queue;
    size_t capacity;
    bool closed;
};

static void mailbox_ring(Mailbox *mailbox)
{
    /* Fails only when the counter is full, and then it rings already: eventfd(2). */
    (void)eventfd_write(mailbox->fd, 1);
}

/* Moves all that was posted into taken. */
static void mailbox_take(Mailbox *mailbox)
{
    eventfd_t count;

    (void)pthread_mutex_lock(&mailbox->mutex);
    (void)eventfd_read(mailbox->fd, &count);
    list_splice(&mailbox->taken, &mailbox->queue);
    mailbox->n_queue = 0;
    (void)pthread_cond_broadcast(&mailbox->room);
    (void)pthread_mutex_unlock(&mailbox->mutex);
}

static bool mailbox_deliver_one(Mailbox *mailbox)
{
    ListNode *node = list_take(&mailbox->taken);
    MailboxItem *item;

    if (!node)
        return false;
    item = CONTAINER_OF(node, MailboxItem, link);
    item->deliver(item);
    return true;
}

static void mailbox_dispatch(LoopSource *source, uint32_t events UNUSED)
{
    Mailbox *mailbox = CONTAINER_OF(source, Mailbox, source);
    uint64_t start = clock_now();

    mailbox_take(mailbox);
    for (size_t n = 0; n < MAILBOX_ROUND_ITEMS && clock_now() - start < MAILBOX_ROUND_US; n++)
        if (!mailbox_deliver_one(mailbox))
            return;
    if (!list_is_empty(&mailbox->taken))
        mailbox_ring(mailbox);
}

/*
 * mailbox_create() - make a mailbox that is delivered by a loop
 * @capacity: how many items may wait to be taken, at least 1; as many again may be taken and not
 *            yet delivered while the loop is busy
 *
 * Return: 0 or a negative errno.
 */
int mailbox_create(Loop *loop, size_t capacity, Mailbox **ret_mailbox)
{
    CLEANUP_FREE Mailbox *mailbox = calloc(1, sizeof(*mailbox));
    int r;

    assert(capacity > 0);
    if (!mailbox)
        return error_trace(-ENOMEM);
    mailbox->capacity = capacity;
    list_init(&mailbox->taken);
    list_init(&mailbox->queue);
    mailbox->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (mailbox->fd < 0)
        return error_errno();
    r = loop_add(loop, &mailbox->source, mailbox->fd, EPOLLIN, mailbox_dispatch);
    if (r < 0) {
        (void)close(mailbox->fd);
        return error_trace(r);
    }
    (void)pthread_mutex_init(&mailbox->mutex, NULL);
    (void)pthread_cond_init(&mailbox->room, NULL);
    *ret_mailbox = STEAL_PTR(mailbox);
    return 0;
}

/*
 * mailbox_free() - deliver what is still inside, then free
 *
 * The loop's thread, not from a delivery. No other thread may know the mailbox any more: workers
 * that post to it are freed before. Accepts NULL.
 */
Mailbox *mailbox_free(Mailbox *mailbox)
{
    if (!mailbox)
        return NULL;
    mailbox_close(mailbox);
    mailbox_take(mailbox);
    while (mailbox_deliver_one(mailbox))
        ;
    loop_remove(&mailbox->source);
    (void)close(mailbox->fd);
    (void)pthread_cond_destroy(&mailbox->room);
    (void)pthread_mutex_destroy(&mailbox->mutex);
    free(mailbox);
    return NULL;
}

static int mailbox_push(Mailbox *mailbox, MailboxItem *item, bool wait)
{
    int r = 0;

    (void)pthread_mutex_lock(&mailbox->mutex);
    while (wait && !mailbox->closed && mailbox->n_queue >= mailbox->capacity)
        (void)pthread_cond_wait(&mailbox->room, &mailbox->mutex);
    if (mailbox->closed) {
        r = MAILBOX_E_CLOSED;
    } else if (mailbox->n_queue >= mailbox->capacity) {
        r = MAILBOX_E_FULL;
    } else {
        list_append(&mailbox->queue, &item->link);
        if (mailbox->n_queue++ == 0)
            mailbox_ring(mailbox);
    }
    (void)pthread_mutex_unlock(&mailbox->mutex);
    return r;
}

/*
 * mailbox_post() - hand an item over, without waiting; any thread
 * @item: the mailbox's until deliver() gets it; deliver may free it
 *
 * Return: 0; MAILBOX_E_FULL or MAILBOX_E_CLOSED, and then the item is still the caller's.
 */
int mailbox_post(Mailbox *mailbox, MailboxItem *item)
{
    return mailbox_push(mailbox, item, false);
}

/*
 * mailbox_post_wait() - hand an item over, and wait for room if need be
 *
 * Any thread but the loop's, which would wait for itself.
 *
 * Return: 0; MAILBOX_E_CLOSED, also when closed while waiting: then the item is still the caller's,
 * who must see to it that it is not lost.
 */
int mailbox_post_wait(Mailbox *mailbox, MailboxItem *item)
{
    return mailbox_push(mailbox, item, true);
}

/* mailbox_close() - refuse later and waiting posts; what is inside is still delivered. Any thread.
 */
void mailbox_close(Mailbox *mailbox)
{
    (void)pthread_mutex_lock(&mailbox->mutex);
    mailbox->closed = true;
    (void)pthread_cond_broadcast(&mailbox->room);
    (void)pthread_mutex_unlock(&mailbox->mutex);
}

/* mailbox_count() - items posted and not yet taken by the loop; any thread */
size_t mailbox_count(Mailbox *mailbox)
{
    size_t n;

    (void)pthread_mutex_lock(&mailbox->mutex);
    n = mailbox->n_queue;
    (void)pthread_mutex_unlock(&mailbox->mutex);
    return n;
}

/*
 * mailbox_deliver_matching() - deliver some items now, out of turn
 * @match: called in the loop's thread for items inside, in order; true = deliver this one
 * @context: for match
 *
 * For the end of a poster whose items must not outlive it. The loop's thread; a delivery may call
 * it. Makes room for waiting posters. Returns the number of items that were delivered.
 */
size_t mailbox_deliver_matching(Mailbox *mailbox, bool (*match)(MailboxItem *, const void *),
                                const void *context)
{
    ListNode *node;
    List matching;
    size_t n = 0;

    mailbox_take(mailbox);
    list_init(&matching);
    LIST_FOREACH_SAFE (at, next, &mailbox->taken) {
        if (!match(CONTAINER_OF(at, MailboxItem, link), context))
            continue;
        list_remove(at);
        list_append(&matching, at);
    }
    if (!list_is_empty(&mailbox->taken))
        mailbox_ring(mailbox); /* taking silenced it */
    for (; (node = list_take(&matching)); n++) {
        MailboxItem *item = CONTAINER_OF(node, MailboxItem, link);

        item->deliver(item);
    }
    return n;
}
