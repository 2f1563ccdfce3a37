/* lambda/async/drain.h - works off many durable queues: what is due is begun, each queue in its
 * turn.
 *
 *   add ─► WATCHED ◄────────nothing is due────────┐
 *             └──something came, a time came──► IN TURN ──claim──► items wait here ──► start()
 *                                                 ▲                                      │
 *                                                 └────────── a place is free ◄── done, retry ...
 *
 * All of it on one loop. */
#pragma once

#include "core/list.h"
#include "core/loop.h"
#include "store/queue.h"

struct hd_drain;
struct hd_drain_queue;

/** An item under way; from start() until one of the ends below. */
struct hd_drain_item {
    struct hd_list link;
    struct hd_drain_queue *queue;
    uint64_t seq;
    uint32_t attempts;
    int64_t first_unix_ms;
    struct hd_str id, meta, body; /* its own */
};

/** All borrowed but the numbers. */
struct hd_drain_options {
    struct hd_store *store;
    struct hd_loop *loop;
    uint32_t max_each, max_all; /* items that may be under way: of a queue, of all */
    int64_t (*clock)(void);     /* milliseconds since 1970; NULL: the wall clock */
    /** Begin the work; ends may come from inside. */
    void (*start)(void *arg, struct hd_drain_item *item);
    /** @return how many more of this queue may run now, for reasons of its own; asked only while
     *  some of it run. NULL: no such reasons. */
    uint32_t (*room)(void *arg, struct hd_str queue);
    void *arg;
};

struct hd_drain *hd_drain_new(const struct hd_drain_options *opt);
/** Work off this queue as well. Again is fine. */
void hd_drain_add(struct hd_drain *d, struct hd_str queue);
/** Begin nothing of the item's queue for so long; what runs goes on. */
void hd_drain_hold(struct hd_drain *d, struct hd_drain_queue *queue, uint32_t ms);
struct hd_str hd_drain_queue_name(const struct hd_drain_queue *queue);

/* --- ends of an item: its place is free again, and the item with it --- */

void hd_drain_done(struct hd_drain *d, struct hd_drain_item *item);
void hd_drain_retry(struct hd_drain *d, struct hd_drain_item *item, uint32_t attempts,
                    int64_t due_unix_ms);
void hd_drain_dead(struct hd_drain *d, struct hd_drain_item *item, uint32_t attempts,
                   struct hd_str reason);
/** Its place is free; the item becomes the caller's, who settles it by its number, and frees it
 *  with free(). */
void hd_drain_release(struct hd_drain *d, struct hd_drain_item *item);

/** @return items whose work was begun and is not at its end. */
uint32_t hd_drain_running(const struct hd_drain *d);
/** Begin nothing any more; what was claimed and not begun is given back. */
void hd_drain_stop(struct hd_drain *d);
/** Stopped, and nothing runs: forget the queues. @p done on the loop, later; then free. */
void hd_drain_close(struct hd_drain *d, void (*done)(void *arg), void *arg);
void hd_drain_free(struct hd_drain *d); /* NULL is fine */
