#pragma once
/*
 * The way between threads: a bounded queue of intrusive items with an eventfd. Any thread posts,
 * one thread (the loop) takes. Nothing else is shared between threads.
 */

#include <stdbool.h>
#include <stddef.h>

#include "loop/dispatch.h"
#include "util/list.h"

typedef struct Mailbox Mailbox;
typedef struct MailboxItem MailboxItem;

/* Embedded in the message; who holds the item owns the message. */
struct MailboxItem {
    ListNode link;
    void (*deliver)(MailboxItem *item); /* called in the loop's thread */
};

#define MAILBOX_E_FULL   1
#define MAILBOX_E_CLOSED 2

int mailbox_create(Loop *loop, size_t capacity, Mailbox **ret_mailbox);
/* Closes and frees; items still inside are delivered first. No thread may post any more. */
Mailbox *mailbox_free(Mailbox *mailbox);
CLEANUP_DEFINE(Mailbox *, mailbox_free)

int mailbox_post(Mailbox *mailbox, MailboxItem *item);      /* 0, _E_FULL or _E_CLOSED */
int mailbox_post_wait(Mailbox *mailbox, MailboxItem *item); /* waits for room; 0 or _E_CLOSED */
void mailbox_close(Mailbox *mailbox); /* later posts and waiting ones get _E_CLOSED */
size_t mailbox_count(Mailbox *mailbox);
/* Delivers the items that match now, out of turn; returns their number. The loop's thread. */
size_t mailbox_deliver_matching(Mailbox *mailbox, bool (*match)(MailboxItem *, const void *),
                                const void *context);
