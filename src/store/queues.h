/* store/queues.h - the writer's side of the queues: what is in memory about them, and their SQL.
 *
 * All items lie in one table. Which of them are under way is known here alone: a process that dies
 * forgets it, and so they are free again. Changes are made within a transaction of the database and
 * noted in a journal, so that what is in memory can be undone with it. One thread, but for the
 * functions at the end. */
#pragma once

#include "core/list.h"
#include "core/map.h"
#include "core/slab.h"
#include "store/claims.h"
#include "store/queue.h"

#include <pthread.h>
#include <sqlite3.h>

/** Where an item stands in its queue: by due time, then age, then number. */
struct hd_queue_key {
    int64_t due, first;
    uint64_t seq;
};

struct hd_queue_state;  /* one queue */
struct hd_queue_change; /* one entry of the journal */

enum { HD_STATEMENTS_QUEUES = 16 };

struct hd_queues {
    sqlite3 *db;
    int64_t (*clock)(void);
    sqlite3_stmt *st[HD_STATEMENTS_QUEUES];
    struct hd_map by_name; /* of struct hd_queue_state; only the writer changes it, under `lock` */
    struct hd_map running; /* by seq */
    struct hd_slab runs;
    struct hd_claims *claims;     /* NULL: there is no room for them */
    uint64_t next_seq, seq_limit; /* numbers up to the limit are ours to give */
    struct hd_queue_change *journal;
    size_t journal_len, journal_cap;
    struct hd_list touched, stale; /* what to publish; whose oldest item to look up again */
    pthread_mutex_t lock;          /* guards what is published, and the listeners */
    struct hd_map listeners;
};

int hd_queues_open(struct hd_queues *qs, sqlite3 *db, int64_t (*clock)(void), struct hd_error *err);
/** Let go of the database. */
void hd_queues_close(struct hd_queues *qs);
/** And of the memory. A zeroed one is fine. */
void hd_queues_free(struct hd_queues *qs);

/* --- inside a transaction; 0, or an error and the transaction is to be rolled back --- */

int hd_queues_put(struct hd_queues *qs, const struct hd_queue_put *item, struct hd_error *err);
/** Settle; an item that is not under way is none of ours, and left alone. */
int hd_queues_done(struct hd_queues *qs, uint64_t seq, struct hd_error *err);
int hd_queues_retry(struct hd_queues *qs, uint64_t seq, uint32_t attempts, int64_t due_unix_ms,
                    struct hd_error *err);
int hd_queues_dead(struct hd_queues *qs, uint64_t seq, uint32_t attempts, struct hd_str reason,
                   struct hd_error *err);
int hd_queues_purge(struct hd_queues *qs, struct hd_str queue, struct hd_error *err);
/** @return how many. */
int hd_queues_requeue(struct hd_queues *qs, struct hd_str queue, uint64_t seq,
                      struct hd_error *err);
int hd_queues_drop(struct hd_queues *qs, struct hd_str queue, uint64_t seq, struct hd_error *err);

/** @return a place in the journal. */
static inline size_t hd_queues_mark(const struct hd_queues *qs)
{
    return qs->journal_len;
}
/** The database was rolled back to where it was at @p mark. */
void hd_queues_undo(struct hd_queues *qs, size_t mark);
/** It was committed. */
void hd_queues_apply(struct hd_queues *qs);

/* --- after a commit --- */

/** Take items; @p each sees the database's memory. @return how many, and *next_due; or an error,
 *  and none is taken. */
int hd_queues_claim(struct hd_queues *qs, struct hd_str queue, uint32_t max, size_t max_bytes,
                    void (*each)(void *arg, const struct hd_queue_item *item), void *arg,
                    int64_t *next_due_unix_ms, struct hd_error *err);
int hd_queues_list_dead(struct hd_queues *qs, struct hd_str queue, uint64_t after_seq, uint32_t max,
                        size_t max_bytes, void (*each)(void *arg, const struct hd_queue_item *item),
                        void *arg, struct hd_error *err);
/** Let others see what changed, and tell the listeners. */
void hd_queues_publish(struct hd_queues *qs);
/** Look up the oldest items again, of a few queues. @return whether more wait for it. */
bool hd_queues_refresh(struct hd_queues *qs);

/* --- any thread --- */

void hd_queues_listen(struct hd_queues *qs, struct hd_str queue, struct hd_loop *loop,
                      void (*fn)(void *arg), void *arg);
void hd_queues_unlisten(struct hd_queues *qs, struct hd_str queue);
void hd_queues_depth(struct hd_queues *qs, struct hd_str queue, struct hd_queue_depth *out);
void hd_queues_names(struct hd_queues *qs, void (*each)(void *arg, struct hd_str queue), void *arg);
