/* store/queue.h - durable queues: what was accepted is delivered at least once, also after kill -9.
 *
 *   put ──► QUEUED ──claim──► RUNNING ──done──► gone
 *              ▲                 ├──retry(due)──► QUEUED
 *              │                 └──dead──► DEAD ──requeue──► QUEUED, or dropped
 *              └── the claiming boot died
 *
 * A queue is a name; it exists as soon as something is put into it. Async invocations and event
 * lanes both use these. */
#pragma once

#include "store/store.h"

/** What is put; all borrowed until return. */
struct hd_queue_put {
    struct hd_str queue;   /* "lambda:000000000000/us-east-1/resize", "lane:orders-q" */
    struct hd_str id;      /* 1 to 64 bytes; the caller's, kept for life */
    struct hd_str meta;    /* small JSON: qualifier, trace, headers */
    struct hd_str body;    /* any bytes */
    int64_t due_unix_ms;   /* 0: now */
    int64_t first_unix_ms; /* when it was accepted first; 0: now */
    uint32_t attempts;
    uint64_t max_items; /* refuse with HD_EBUSY when the queue holds so many; 0: no limit */
};

/** What is delivered; borrowed until return. */
struct hd_queue_item {
    uint64_t seq; /* names it in this store */
    struct hd_str queue, id, meta, body;
    uint32_t attempts; /* deliveries counted so far, as the last settle said */
    uint32_t lost;     /* processes that died with it under way since then; queues of lanes only */
    int64_t first_unix_ms, due_unix_ms;
    struct hd_str reason; /* dead ones: why */
};

/** Add to a transaction, or by itself: then it shares the next commit. */
void hd_queue_put(struct hd_store_tx *tx, const struct hd_queue_put *item);
/** One put as a transaction of its own. @p done as for hd_store_commit(). Any thread. */
void hd_queue_put_one(struct hd_store *s, const struct hd_queue_put *item, struct hd_loop *loop,
                      void (*done)(void *arg, const struct hd_error *err), void *arg);

/**
 * Take up to @p max items that are due, the oldest first; they are this boot's until settled. One
 * that two processes died with is taken alone: if a third dies, it was that one.
 * @p each for each of them, then @p done with their number, all on @p loop in one turn.
 * @param next_due_unix_ms  of done: when the next item of the queue becomes due; INT64_MAX: none.
 */
void hd_queue_claim(struct hd_store *s, struct hd_str queue, uint32_t max, struct hd_loop *loop,
                    void (*each)(void *arg, const struct hd_queue_item *item),
                    void (*done)(void *arg, int claimed, int64_t next_due_unix_ms,
                                 const struct hd_error *err),
                    void *arg);
/** Tell when something is put into, or becomes free in, the queue: @p fn on @p loop, at least once
 *  after each put. One listener a queue. Any thread. */
void hd_queue_listen(struct hd_store *s, struct hd_str queue, struct hd_loop *loop,
                     void (*fn)(void *arg), void *arg);
void hd_queue_unlisten(struct hd_store *s, struct hd_str queue);

/** How a delivery ended. Each is grouped with other writes; no answer: a lost settle is one more
 *  delivery, which at-least-once allows. Any thread. */
void hd_queue_done(struct hd_store *s, uint64_t seq);
void hd_queue_retry(struct hd_store *s, uint64_t seq, uint32_t attempts, int64_t due_unix_ms);
void hd_queue_dead(struct hd_store *s, uint64_t seq, uint32_t attempts, struct hd_str reason);
/** The same in a transaction: gone exactly when the rest of it is true. */
void hd_queue_done_in(struct hd_store_tx *tx, uint64_t seq);

struct hd_queue_depth {
    uint64_t queued, running, dead;
    int64_t oldest_unix_ms; /* first_unix_ms of the oldest that is queued; 0: none */
};
/** Kept in memory, cheap. Any thread. */
void hd_queue_depth(struct hd_store *s, struct hd_str queue, struct hd_queue_depth *out);
/** Names of all queues that hold something. Blocks shortly; any thread. */
void hd_queue_names(struct hd_store *s, void (*each)(void *arg, struct hd_str queue), void *arg);
/** Forget everything in a queue (its function was deleted). */
void hd_queue_purge(struct hd_store_tx *tx, struct hd_str queue);

/* dead letters; as hd_queue_claim(), but they stay where they are */
void hd_queue_dead_list(struct hd_store *s, struct hd_str queue, uint64_t after_seq, uint32_t max,
                        struct hd_loop *loop,
                        void (*each)(void *arg, const struct hd_queue_item *item),
                        void (*done)(void *arg, int listed, const struct hd_error *err), void *arg);
/** @param seq  0: all of the queue. @p done with how many it was. */
void hd_queue_dead_requeue(struct hd_store *s, struct hd_str queue, uint64_t seq,
                           struct hd_loop *loop,
                           void (*done)(void *arg, int moved, const struct hd_error *err),
                           void *arg);
void hd_queue_dead_drop(struct hd_store *s, struct hd_str queue, uint64_t seq, struct hd_loop *loop,
                        void (*done)(void *arg, int dropped, const struct hd_error *err),
                        void *arg);
