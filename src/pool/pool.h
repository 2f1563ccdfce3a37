/* pool/pool.h - the instances of one version with a queue in front; the node's set of pools.
 *
 * hd_pool_invoker() is what doors use. A door asks on its own loop; the decisions (start, stop,
 * recycle, reject) are made by the pure policy on the control loop. */
#pragma once

#include "core/loop.h"
#include "core/list.h"
#include "core/log.h"

#include <heddle/invoke.h>
#include <heddle/sys/backend.h>

struct hd_pool;

enum { HD_POOL_LOOPS_MAX = 64 };

/** One running copy. Its fields belong to the pool; doors read `endpoint` and `serial` only. */
struct hd_instance;

struct hd_pool_limits {
    uint32_t concurrency;       /* requests at once in one instance, 1 or more */
    uint32_t min, max;          /* instances; max 1 or more */
    uint32_t idle_ms;           /* 0: never stopped for being idle */
    uint32_t queue_max;         /* requests that may wait */
    uint32_t start_timeout_ms;  /* from launch to ready */
    uint32_t recycle_requests;  /* 0: never */
    uint64_t recycle_rss_bytes; /* 0: never */
    uint32_t drain_ms;          /* grace of an instance that is replaced */
};

enum hd_pool_state { HD_POOL_QUEUED, HD_POOL_LOADING, HD_POOL_READY, HD_POOL_FAILED };

struct hd_pool_stats {
    enum hd_pool_state state;
    uint32_t starting, idle, busy, draining, waiting, in_flight;
    uint64_t launches, launch_failures, crashes, recycled, evicted, rejected, requests;
    uint64_t rss_bytes;     /* of all its instances, as last sampled */
    uint64_t cold_start_us; /* the last one */
};

/** A place in an instance, held from take to give. Zeroed before the first use. */
struct hd_lease {
    struct hd_list link;                /* in the queue */
    struct hd_loop *loop;               /* set by hd_pool_take() */
    struct hd_pool *pool;               /* the pool it waits in or took from */
    struct hd_instance *instance;       /* set when granted */
    const struct hd_endpoint *endpoint; /* valid until given back */
    uint64_t asked_ms;
    bool waited; /* it did not get its place at once */
    /** Called on `loop` when a waiting lease is granted (err NULL) or refused. */
    void (*on_granted)(struct hd_lease *lease, const struct hd_error *err);
};

/** How a lease ended, for health and retry decisions. */
enum hd_lease_result {
    HD_LEASE_OK,       /* an answer came, whatever its status */
    HD_LEASE_CANCELED, /* the client went away */
    HD_LEASE_TIMEOUT,  /* the function took too long: the instance is suspect */
    HD_LEASE_BROKEN,   /* the connection broke: the instance is suspect */
};

/**
 * Ask for a place. Fast when an instance is warm: one short lock.
 * @return 1: granted, `instance` and `endpoint` are set; 0: waits, on_granted comes later;
 *         HD_EBUSY: the queue is full; HD_EIO: it does not start (err says why). Loop of @p loop.
 */
int hd_pool_take(struct hd_pool *p, struct hd_lease *lease, struct hd_loop *loop,
                 struct hd_error *err);
/** Stop waiting; on_granted does not come. A lease that does not wait is fine. Its loop. */
void hd_pool_leave(struct hd_lease *lease);
/** Give the place back, once. Its loop. Cheap: no lock unless somebody waits. */
void hd_pool_give(struct hd_lease *lease, enum hd_lease_result how);
