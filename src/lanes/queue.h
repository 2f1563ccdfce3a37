/* lanes/queue.h - what an event lane needs of a queue; the drivers are memory.c, sqlite.c and
 * rabbitmq.c.
 *
 * All of it on the control loop. A delivery is settled exactly once, by its tag. */
#pragma once

#include "core/log.h"
#include "core/loop.h"
#include "lanes/topology.h"

struct hd_lane_queue_ops;

/** One open queue. */
struct hd_lane_source {
    const struct hd_lane_queue_ops *ops;
    const struct hd_lane_queue *config;
};

struct hd_lane_delivery {
    uint64_t tag;            /* of this delivery; not of the message */
    struct hd_str body;      /* the envelope; borrowed until on_delivery returns */
    uint32_t delivery_count; /* what the broker says about earlier deliveries (x-delivery-count) */
    uint32_t lost;           /* nodes that died with it under way, where that is known */
    bool redelivered;
};

struct hd_lane_queue_events {
    void (*on_delivery)(void *arg, struct hd_lane_source *q, const struct hd_lane_delivery *d);
    /** Connected, or not any more (@p why); deliveries that were not settled will come again, and
     *  their tags are void. */
    void (*on_state)(void *arg, struct hd_lane_source *q, bool connected,
                     const struct hd_error *why);
};

enum hd_lane_settle {
    HD_LANE_ACK,
    HD_LANE_REJECT,  /* for good: the queue's dead letters, or nowhere */
    HD_LANE_RETURN,  /* give it back as it is; somebody else, or we later, get it */
    HD_LANE_REPLACE, /* put `body` at the tail of the same queue, then acknowledge this one */
};

struct hd_lane_queue_stats {
    bool connected;
    bool blocked;             /* connected, and it takes nothing for now: last_error says why */
    uint64_t inflight, depth; /* depth: UINT64_MAX: unknown */
    uint64_t dead;            /* UINT64_MAX: unknown */
    struct hd_error last_error;
};

struct hd_lane_queue_ops {
    const char *name; /* "memory", "sqlite", "rabbitmq" */
    /** Accept a message. @p done with NULL once it is as safe as the queue makes it (confirmed, on
     *  the disk); HD_EBUSY: full, or not connected: later may work. Exactly once, never from
     * inside. */
    void (*publish)(struct hd_lane_source *q, struct hd_str id, struct hd_str body,
                    void (*done)(void *arg, const struct hd_error *err), void *arg);
    /** Begin to deliver, at most @p prefetch unsettled at once (0: the queue's own number). */
    void (*consume)(struct hd_lane_source *q, uint32_t prefetch);
    /** Stop delivering; settling goes on. */
    void (*cooldown)(struct hd_lane_source *q);
    /** @param body  REPLACE: the new text; REJECT: the reason, for queues that keep one. */
    void (*settle)(struct hd_lane_source *q, uint64_t tag, enum hd_lane_settle how,
                   struct hd_str body);
    void (*stats)(struct hd_lane_source *q, struct hd_lane_queue_stats *out);
    /** Close and free; @p done later. */
    void (*close)(struct hd_lane_source *q, void (*done)(void *arg), void *arg);
};

struct hd_store;

struct hd_lane_queue_options {
    const struct hd_lane_queue *config; /* borrowed until closed */
    struct hd_loop *loop;
    struct hd_log *log;
    struct hd_store *store; /* sqlite */
    const struct hd_lane_queue_events *events;
    void *arg;
};
/** @return 0 and *out, not connected yet; or HD_EINVAL. One for each driver. */
int hd_lane_memory_open(struct hd_lane_source **out, const struct hd_lane_queue_options *opt,
                        struct hd_error *err);
int hd_lane_sqlite_open(struct hd_lane_source **out, const struct hd_lane_queue_options *opt,
                        struct hd_error *err);
int hd_lane_rabbitmq_open(struct hd_lane_source **out, const struct hd_lane_queue_options *opt,
                          struct hd_error *err);
