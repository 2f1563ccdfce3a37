/* pool/policy.h - what a pool does next. Pure: views and now_ms in, decisions out.
 *
 * hd_pool_plan() looks at one pool; hd_pool_admit() shares the node's memory and start-up lanes
 * between the wishes of all; hd_pool_health_*() decide when a pool that fails may try again. */
#pragma once

#include "pool/set.h"

enum {
    HD_POOL_PING_MS = 250,      /* a suspect answers within this, or is ended */
    HD_POOL_LINGER_MS = 500,    /* a drained instance stays this long after its last request */
    HD_POOL_SCALE_MS = 100,     /* a queue that waited so long asks for one more step */
    HD_POOL_STABLE_MS = 10000,  /* ready for so long: earlier failures are forgotten */
    HD_POOL_RETRY_MS = 50,      /* look again for memory */
    HD_POOL_FROZEN_MS = 30000,  /* one that is not frozen by then is ended, */
    HD_POOL_THAWED_MS = 5000,   /* one that is not thawed by then as well */
    HD_POOL_SOON_MS = 1000,     /* one that freezes for longer than this is not waited for */
    HD_POOL_STRIKES_FAILED = 3, /* failures in a row that make a pool FAILED */
    HD_POOL_WAIT_FAILURES = 2,  /* failed launches that one waiting request lives through, + 1 */
    HD_POOL_BACKOFF_MS = 100,
    HD_POOL_BACKOFF_LOAD_MS = 1000,
    HD_POOL_BACKOFF_MAX_MS = 30000,
};

/*  STARTING ──ready──► READY ──replaced, recycled──► DRAINING ──quiet, or drain_ms over──┐
 *     │                  └───────idle, evicted, suspect──────────────────────────────────┤
 *     └──────────start_timeout_ms, not wanted──────────────────────────────────► STOPPING┘
 *  each of them ──the backend says so──► GONE ──no lease, every loop knows──► freed         */
enum hd_instance_state {
    HD_INSTANCE_STARTING,
    HD_INSTANCE_READY,
    HD_INSTANCE_DRAINING, /* gets no requests; those in flight go on */
    HD_INSTANCE_STOPPING, /* the backend was told to end it */
    HD_INSTANCE_GONE,
};

/*  of a READY one; places are given out in WARM only:
 *  WARM ──idle for freeze_ms──► FREEZING ──► FROZEN ──somebody waits──► THAWING ──► WARM */
enum hd_instance_ice { HD_ICE_WARM, HD_ICE_FREEZING, HD_ICE_FROZEN, HD_ICE_THAWING };

enum hd_pool_life {
    HD_LIFE_ACTIVE,
    HD_LIFE_CLOSING, /* the node ends: who waits is still served */
    HD_LIFE_RETIRED, /* replaced or removed: nothing waits here any more */
};

enum hd_suspicion {
    HD_TRUSTED,
    HD_SUSPECT_BROKEN,
    HD_SUSPECT_TIMEOUT,
    HD_SUSPECT_LEAVING, /* it said that it ends */
    HD_SUSPECT_DOOMED,  /* somebody wants it ended */
};

enum hd_pool_act {
    HD_ACT_NONE,
    HD_ACT_PING,
    HD_ACT_FREEZE, /* only if still nothing is in flight and nobody waits */
    HD_ACT_THAW,
    HD_ACT_REPLACE, /* it is to be drained when a successor is ready */
    HD_ACT_DRAIN,
    HD_ACT_STOP, /* only if still nothing is in flight */
    HD_ACT_KILL, /* now, whatever is in flight */
};

struct hd_instance_view {
    enum hd_instance_state state;
    uint64_t since_ms; /* when it entered the state */
    uint32_t in_flight;
    uint64_t last_used_ms; /* 0: never */
    uint64_t requests, rss_bytes;
    uint64_t request_cpu_us; /* used since a request was finished, or the oldest began */
    enum hd_suspicion suspicion;
    enum hd_instance_ice ice;
    uint64_t ice_since_ms; /* when `ice` became what it is */
    bool provisioned;
    uint64_t ping_until_ms;    /* 0: no ping under way */
    uint64_t replace_since_ms; /* 0: it is not being replaced */
    uint64_t stop_until_ms;    /* STOPPING: force is due then; 0: it was by force */
    enum hd_pool_recycle why;  /* in and out: of what was done to it, and of `act` */
    enum hd_pool_act act;      /* out */
};

struct hd_pool_view {
    const struct hd_pool_limits *limits;
    enum hd_pool_life life;
    bool eager;     /* one is wanted although nobody waits */
    bool replacing; /* an older version serves until this one is ready */
    struct hd_instance_view *instances;
    size_t n_instances;
    uint32_t waiting;
    uint64_t oldest_ms;        /* when the oldest waiter asked */
    uint64_t next_deadline_ms; /* of the waiters; UINT64_MAX: none */
    uint64_t last_start_ms;    /* 0: never */
    uint64_t blocked_until_ms; /* back-off; 0: none; see max_starting of the limits */
    uint64_t freeze_from_ms;   /* instances are not frozen before; UINT64_MAX: they cannot be */
    uint32_t ramp;             /* instances that the first step may start at once, 1 or more */
};

enum hd_pool_urgency {                    /* most urgent first */
                       HD_URGENT_COLD,    /* requests wait and nothing is ready */
                       HD_URGENT_SCALE,   /* requests wait too long */
                       HD_URGENT_REPLACE, /* a new version, or the successor of a worn instance */
                       HD_URGENT_KEEP,    /* min */
                       HD_URGENT_EAGER,   /* nobody would notice */
};

struct hd_pool_plan {
    uint32_t start; /* instances wished for */
    enum hd_pool_urgency urgency;
    uint64_t next_wake_ms; /* plan again then at the latest; UINT64_MAX: only when told */
};

/** Decide for one pool; writes the `act` of each instance in @p v too. */
void hd_pool_plan(struct hd_pool_plan *plan, const struct hd_pool_view *v, uint64_t now_ms);

/* --- the node --- */

struct hd_pool_wish {
    uint32_t start;
    enum hd_pool_urgency urgency;
    int64_t used_ms; /* when the function was last asked for; may be negative */
    uint64_t bytes;  /* expected of each instance */
    /* out */
    uint32_t granted;
    bool no_room; /* memory: not now, and nothing that could be evicted would help */
};

/** An instance that may be evicted. */
struct hd_pool_idle {
    uint64_t last_used_ms, bytes;
    bool evict; /* out */
};

struct hd_pool_node {
    uint64_t memory_bytes; /* budget; 0: none */
    uint64_t used_bytes;
    uint64_t freeing_bytes; /* the part of used_bytes that is being stopped */
    unsigned starting, lanes, demand_lanes;
};

/**
 * Share lanes and memory. Most urgent first, then the most recently used. A wish that somebody
 * waits for may evict the least recently used idle instances; it is granted later, when their
 * memory is back. What replaces something may pass the budget by one instance, one at a time, for
 * as long as both are there. One instance is always allowed, however small the budget.
 */
void hd_pool_admit(const struct hd_pool_node *node, struct hd_pool_wish *wishes, size_t n_wishes,
                   struct hd_pool_idle *idle, size_t n_idle);

/* --- failures --- */

struct hd_pool_health {
    uint32_t strikes; /* failures in a row */
    uint64_t strike_ms;
    uint64_t blocked_until_ms;
    bool failed; /* it is of no use to wait */
};

/** @return what kind of failure an error of a launch is. */
enum hd_pool_failure hd_pool_failure_of(const struct hd_error *err);
/** A launch failed. @p dice  random. */
void hd_pool_health_failed(struct hd_pool_health *h, enum hd_pool_failure why, uint64_t dice,
                           uint64_t now_ms);
/** A ready instance ended by itself. @p served  it had answered a request before. */
void hd_pool_health_crashed(struct hd_pool_health *h, bool served, uint64_t dice, uint64_t now_ms);
/** An instance became ready: requests are welcome again. */
void hd_pool_health_ready(struct hd_pool_health *h);
/** An instance that is ready since @p since_ms has shown that it works. */
void hd_pool_health_proved(struct hd_pool_health *h, uint64_t since_ms);
