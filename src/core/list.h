/* core/list.h - doubly linked list whose links lie inside the objects. */
#pragma once

#include "core/base.h"

/** A list head, or one object's place in a list. An object that is in no list links to itself. */
struct hd_list {
    struct hd_list *prev, *next;
};

static inline void hd_list_init(struct hd_list *l)
{
    l->prev = l->next = l;
}

static inline bool hd_list_empty(const struct hd_list *l)
{
    return l->next == l;
}

static inline void hd_list_remove(struct hd_list *item)
{
    item->prev->next = item->next;
    item->next->prev = item->prev;
    hd_list_init(item);
}

/** Put @p item, which is in no list, at the end of @p l. */
static inline void hd_list_push(struct hd_list *l, struct hd_list *item)
{
    item->prev = l->prev;
    item->next = l;
    l->prev->next = item;
    l->prev = item;
}

/** Put @p item, which is in no list, at the front of @p l. */
static inline void hd_list_push_front(struct hd_list *l, struct hd_list *item)
{
    hd_list_push(l->next, item);
}

/** @return the first item, taken out, or NULL. */
static inline struct hd_list *hd_list_pop(struct hd_list *l)
{
    if (hd_list_empty(l))
        return NULL;
    struct hd_list *item = l->next;
    hd_list_remove(item);
    return item;
}

/** Loop over items; the current one may be removed in the body. */
#define hd_list_each(item, list)                                                            \
    for (struct hd_list *item = (list)->next, *hd_next_##item = item->next; item != (list); \
         item = hd_next_##item, hd_next_##item = item->next)
