/* pool/pool.h - the instances of one version with a queue in front, as the doors see it.
 *
 * A door asks for a place on its own loop, talks to the instance, and gives the place back. What to
 * start, stop, recycle and reject is decided by the pure policy on the control loop. The node makes
 * and replaces pools with pool/set.h. */
#pragma once

#include "core/list.h"
#include "core/loop.h"

#include <heddle/sys/backend.h>

struct hd_pool;     /* counted: hd_pool_ref(), hd_pool_unref() */
struct hd_instance; /* one running copy */

enum { HD_POOL_LOOPS_MAX = 64 };

struct hd_pool_limits {
    uint32_t concurrency;       /* requests at once in one instance, 1 or more; a host that
                                 * declares less gets less */
    uint32_t min, max;          /* instances; max 1 or more, min at most max */
    uint32_t idle_ms;           /* 0: never stopped for being idle */
    uint32_t freeze_ms;         /* one that is idle for so long stands still until it is needed; 0:
                                 * never */
    uint32_t queue_max;         /* requests that may wait, beside those for which a frozen instance
                                 * is there; 0: only instances that are ready serve */
    uint32_t wait_ms;           /* longest wait of a lease that names none; 1 or more */
    uint32_t start_timeout_ms;  /* from launch to ready; 1 or more */
    uint32_t recycle_requests;  /* 0: never */
    uint64_t recycle_rss_bytes; /* 0: never */
    uint32_t cpu_ms;            /* CPU time in which an instance must finish a request; 0: any */
    uint32_t drain_ms;          /* grace of an instance that is replaced */
    uint32_t stop_ms;           /* of one that ends with nothing in flight; 0: drain_ms */
    /**
     * 0: for servers of many requests at once. More instances start bit by bit, and what fails is
     * not tried again for a while, whoever asks.
     * Else each request has an attempt of its own: one that finds no place starts an instance at
     * once, so many at a time; a launch that fails is told to one of those who wait, and is made
     * again for the next. Only what nobody waits for is held back after failures, and an instance
     * that crashed is not replaced before somebody asks.
     */
    uint32_t max_starting;
    uint32_t
        provisioned; /* instances beside `min` that are always there, and told so; within max */
};

/** What a client may be told; see contract "deferred boot and warm-up". */
enum hd_pool_state {
    HD_POOL_QUEUED,  /* wants an instance, and waits for its turn or for the end of a back-off */
    HD_POOL_LOADING, /* the first one starts */
    HD_POOL_READY,   /* one is ready; or it sleeps: none runs and nobody asked */
    HD_POOL_FAILED,  /* the last launches failed and none runs; hd_pool_error() says why */
};
enum { HD_POOL_STATE_COUNT = HD_POOL_FAILED + 1 };
/** @return "queued", "loading", "ready" or "failed". */
const char *hd_pool_state_name(enum hd_pool_state state);

/** A place in an instance, held from take to give. Zeroed before the first use, and after a give,
 *  a leave or a refusal fit for the next take. */
struct hd_lease {
    uint32_t wait_ms; /* in: longest wait; 0: the pool's limit */
    /** In: called on `loop` when a lease that waits is granted (err NULL) or refused: HD_ETIMEOUT,
     *  HD_EIO (it does not start), HD_ENOTFOUND (the function was removed), HD_ECANCELED (the node
     *  ends). Exactly once, never from inside a call of the door, and not after leave. */
    void (*on_granted)(struct hd_lease *lease, const struct hd_error *err);

    /* out, set by take or before on_granted */
    struct hd_loop *loop;
    struct hd_instance *instance;       /* NULL: not granted */
    const struct hd_endpoint *endpoint; /* valid until given back */
    uint64_t waited_us;                 /* 0: it got its place at once */
    bool cold;                          /* it waited for an instance to start */
    bool first;                         /* nobody had a place in this instance before */
    bool alone;                         /* it has one place only */
    int start_code;                     /* refused with HD_EIO: what the launch failed with */
    bool exited;                        /* same: its program ended like this */
    struct hd_exit_status exit;

    struct hd_pool_waiter *waiter; /* the pool's: while it waits */
};

/** How a lease ended, for health and retry decisions. */
enum hd_lease_result {
    HD_LEASE_OK,       /* an answer came, whatever its status */
    HD_LEASE_CANCELED, /* the client went away */
    HD_LEASE_TIMEOUT,  /* the function took too long: the instance is suspect */
    HD_LEASE_BROKEN,   /* the connection broke: the instance is suspect */
    HD_LEASE_EXITS, /* an answer came, and with it that the instance ends itself: not used again */
    HD_LEASE_END,   /* end the instance now, whatever else is in flight there */
};

/**
 * Ask for a place. One short lock when an instance is warm. A pool that was replaced by a newer one
 * which is ready hands the request on to that.
 * @return 1: granted; 0: waits, on_granted comes later; HD_EBUSY: the queue is full; HD_EIO: it
 *         does not start (err says why); HD_ENOTFOUND: the function was removed; HD_ECANCELED: the
 *         node ends. On the thread of @p loop.
 */
int hd_pool_take(struct hd_pool *p, struct hd_lease *lease, struct hd_loop *loop,
                 struct hd_error *err);
/**
 * Stop waiting; on_granted does not come, and the lease's memory is the caller's again. A lease
 * that does not wait is fine. On its loop.
 */
void hd_pool_leave(struct hd_lease *lease);
/** Give the place back, once. Cheap: no lock unless somebody waits. On its loop. */
void hd_pool_give(struct hd_lease *lease, enum hd_lease_result how);

/* --- any thread --- */

struct hd_pool *hd_pool_ref(struct hd_pool *p);
void hd_pool_unref(struct hd_pool *p); /* NULL is fine */
const char *hd_pool_key(const struct hd_pool *p);
/** @return the function's name, as it was given for logs. */
const char *hd_pool_function(const struct hd_pool *p);
/** @return what instances with Lambda semantics are told; NULL: an edge function. Any thread. */
const struct hd_launch_lambda *hd_pool_lambda(const struct hd_pool *p);
const char *hd_pool_version(const struct hd_pool *p);
enum hd_pool_state hd_pool_state(const struct hd_pool *p);
/** @return the state of what a request for @p p would get: the newest version's if @p p was
 * replaced. */
enum hd_pool_state hd_pool_newest_state(struct hd_pool *p);
/** Why the last launch failed; @p err->code is 0 when it did not. */
void hd_pool_error(struct hd_pool *p, struct hd_error *err);
/**
 * The older version that still serves while @p p is not READY: what a door answers from, as stale,
 * when the wait for the fresh one is over or that one failed.
 * @return with a reference for the caller; or NULL: there is none.
 */
struct hd_pool *hd_pool_previous(struct hd_pool *p);

/** How things stand now; totals are in pool/set.h's struct hd_pool_counters. */
struct hd_pool_stats {
    enum hd_pool_state state;
    uint32_t starting, idle, frozen, busy, draining, waiting, in_flight;
    uint64_t rss_bytes;     /* of all its instances, as last sampled */
    uint64_t cpu_us;        /* same */
    uint64_t cold_start_us; /* the last one; 0: none yet */
    uint32_t provisioned;   /* of idle, frozen and busy: those that were told to be */
};
void hd_pool_stats(struct hd_pool *p, struct hd_pool_stats *out);

/* --- instances, for the code that keeps connections to them --- */

/**
 * The loop's own list of idle connections to an instance; the pool never looks inside. Valid from
 * the grant until the set's on_instance_gone() returned on that loop, and, while a lease on that
 * loop is held, until the turn in which it is given back ends.
 */
struct hd_list *hd_instance_conns(struct hd_instance *i, const struct hd_loop *loop);
/** @return false once it is gone: then a connection is closed and not put back. Any thread. */
bool hd_instance_alive(const struct hd_instance *i);
/** @return a number that no other instance of this node has or had. Any thread. */
uint64_t hd_instance_serial(const struct hd_instance *i);
/** @return from launch to ready. Who has a place. */
uint64_t hd_instance_init_us(const struct hd_instance *i);
/** @return whether it is one of limits.provisioned. Any thread. */
bool hd_instance_provisioned(const struct hd_instance *i);
/** @return its log stream as the function sees it, or "": an edge function's. Any thread. */
const char *hd_instance_log_stream(const struct hd_instance *i);
/** @return whose it is. Any thread. */
struct hd_pool *hd_instance_pool(const struct hd_instance *i);
/** @return the most memory it was seen to take, in bytes; 0: not looked at yet. Any thread. */
uint64_t hd_instance_peak_bytes(const struct hd_instance *i);

/** What became of an instance that broke its connections. */
enum hd_instance_fate {
    HD_FATE_ITS_OWN,  /* it crashed, or somebody else ended it */
    HD_FATE_RECYCLED, /* we ended it: it answered nobody, or was too slow to drain */
    HD_FATE_CPU,      /* we ended it: over its limits.cpu_ms */
};
/** Any thread. */
enum hd_instance_fate hd_instance_fate(const struct hd_instance *i);
