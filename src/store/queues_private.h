/* store/queues_private.h - one queue in memory; for the two files of the queues. */
#pragma once

#include "store/queues.h"

struct hd_queue_counts {
    int64_t queued, running, dead;
};

struct hd_queue_state {
    struct hd_str name; /* its own */
    int64_t id;         /* of its row; 0: it has none */
    struct hd_queue_counts now;
    struct hd_queue_key cursor; /* what is not under way lies behind it */
    struct hd_list runs;
    struct hd_list touched, stale; /* its places in the lists of struct hd_queues */
    int64_t came_first;            /* the oldest that became free since it was published; or 0 */
    bool noted;                    /* what is under way is noted in claims */
    bool alone;                    /* something is under way beside which nothing else may be */
    bool notify;                   /* something can be claimed that could not be before */
    struct hd_queue_depth shown;   /* under the lock */
};

/** An item under way. */
struct hd_queue_run {
    uint64_t seq;
    struct hd_queue_state *queue;
    struct hd_list link;
    bool settled; /* in the transaction that is open */
    bool alone;
};

/** Counters change at once, and back again when it is undone. */
struct hd_queue_change {
    enum {
        HD_CHANGE_COUNT,   /* counters */
        HD_CHANGE_ROW,     /* the queue has got its row */
        HD_CHANGE_SETTLED, /* `run` */
        HD_CHANGE_FREE,    /* an item at `key` can be claimed */
    } kind;
    struct hd_queue_state *queue;
    struct hd_queue_run *run;
    struct hd_queue_counts by;
    struct hd_queue_key key;
};

enum {
    HD_Q_ROW,
    HD_Q_SEQ,
    HD_Q_PUT,
    HD_Q_DELETE,
    HD_Q_RETRY,
    HD_Q_DEAD,
    HD_Q_PURGE,
    HD_Q_REQUEUE_ONE,
    HD_Q_REQUEUE_ALL,
    HD_Q_DROP_ONE,
    HD_Q_DROP_ALL,
    HD_Q_CLAIM,
    HD_Q_LIST,
    HD_Q_OLDEST,
    HD_Q_COUNT
};
_Static_assert((int)HD_Q_COUNT <= (int)HD_STATEMENTS_QUEUES, "statements");

/** @return the queue; made if it is not known. */
struct hd_queue_state *hd_queues_state(struct hd_queues *qs, struct hd_str name);
static inline struct hd_str hd_queues_seq_key(const uint64_t *seq)
{
    return hd_str_n((const char *)seq, sizeof(*seq));
}
/** It is to be published, and its oldest item looked up again. */
void hd_queues_touch(struct hd_queues *qs, struct hd_queue_state *q);
