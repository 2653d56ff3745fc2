#pragma once
/* An intrusive doubly linked list; a head says in a comment what it holds. */

#include <stdbool.h>
#include <stddef.h>

typedef struct ListNode {
    struct ListNode *prev;
    struct ListNode *next;
} ListNode;

typedef struct List {
    ListNode head;
} List;

#define CONTAINER_OF(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

static inline void list_init(List *list)
{
    list->head.prev = list->head.next = &list->head;
}

static inline bool list_is_empty(const List *list)
{
    return list->head.next == &list->head;
}

static inline bool list_is_linked(const ListNode *node)
{
    return node->next != NULL;
}

static inline void list_insert_before(ListNode *at, ListNode *node)
{
    node->prev = at->prev;
    node->next = at;
    at->prev->next = node;
    at->prev = node;
}

static inline void list_append(List *list, ListNode *node)
{
    list_insert_before(&list->head, node);
}

static inline void list_prepend(List *list, ListNode *node)
{
    list_insert_before(list->head.next, node);
}

/* Unlinks the node; one that is not linked (zeroed) is left alone. */
static inline void list_remove(ListNode *node)
{
    if (!node->next)
        return;
    node->prev->next = node->next;
    node->next->prev = node->prev;
    node->prev = node->next = NULL;
}

static inline ListNode *list_first(const List *list)
{
    return list_is_empty(list) ? NULL : list->head.next;
}

static inline ListNode *list_last(const List *list)
{
    return list_is_empty(list) ? NULL : list->head.prev;
}

static inline ListNode *list_take(List *list)
{
    ListNode *node = list_first(list);

    if (node)
        list_remove(node);
    return node;
}

/* Moves all nodes of from to the end of to. */
static inline void list_splice(List *to, List *from)
{
    if (list_is_empty(from))
        return;
    from->head.next->prev = to->head.prev;
    from->head.prev->next = &to->head;
    to->head.prev->next = from->head.next;
    to->head.prev = from->head.prev;
    list_init(from);
}

#define LIST_FOREACH(node, list)                                                                   \
    for (ListNode *node = (list)->head.next; node != &(list)->head; node = node->next)
/* The body may remove the node. */
#define LIST_FOREACH_SAFE(node, tmp, list)                                                         \
    for (ListNode *node = (list)->head.next, *tmp = node->next; node != &(list)->head;             \
         node = tmp, tmp = node->next)
