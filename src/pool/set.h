/* pool/set.h - all pools of a node: one for each function's newest version, the older ones while
 * they drain, the memory and the start-up lanes they share.
 *
 * The set lives on the control loop: functions without another word about threads are called there,
 * and so are all events. */
#pragma once

#include "core/log.h"
#include "functions/strings.h"
#include "pool/alive.h"
#include "pool/pool.h"

struct hd_pool_set;

/** All but the last on the control loop, in the middle of things: post what is to change the set.
 */
struct hd_pool_set_events {
    /** A pool's state changed; not told of those whose requests have attempts of their own
     *  (limits.max_starting). @p why: HD_POOL_FAILED only, else NULL. May be NULL. */
    void (*on_state)(void *arg, struct hd_pool *p, enum hd_pool_state state,
                     const struct hd_error *why);
    /** An instance is launched: append what its environment has beside that of its version. @p what
     *  says which instance it is. May be NULL. */
    void (*on_launch)(void *arg, const struct hd_launch *what, struct hd_strings *env);
    /** An instance becomes ready, and this is what the host said about the function: told before
     * the first place in it is given. May be NULL. */
    void (*on_declared)(void *arg, struct hd_pool *p, const struct hd_declared *declared);
    /** One line of a function's output; as hd_backend_events.on_line. May be NULL. */
    void (*on_line)(void *arg, struct hd_instance *i, struct hd_str id, int level,
                    struct hd_str text);
    /**
     * An instance is gone: close the idle connections in hd_instance_conns(i, loop). Called once on
     * each loop, on its thread; the list's memory goes after that. May be NULL.
     */
    void (*on_instance_gone)(void *arg, struct hd_loop *loop, struct hd_instance *i);
};

struct hd_pool_set_options {
    struct hd_loop *const *loops; /* copied; loops[0] is the control loop; index i has number i */
    unsigned n_loops;             /* 1 to HD_POOL_LOOPS_MAX */
    struct hd_backend *backend;   /* borrowed; closed by the caller after the set's close is done */
    struct hd_log *log;           /* borrowed; may be NULL */
    struct hd_alive *alive;       /* borrowed: is told of each instance; may be NULL */
    uint64_t memory_bytes;        /* of all instances together; 0: no limit */
    uint64_t instance_bytes;      /* guess for one that was never measured; 0: 64 MiB */
    unsigned lanes;               /* starts at once in the background; 0: 2 */
    unsigned demand_lanes;        /* starts at once beside these for functions that somebody waits
                                   * for; 0: 4 * lanes */
    unsigned prewarm;             /* hosts that wait with nothing loaded, for each runtime that
                                   * functions with Lambda semantics have; 0: none */
    uint64_t seed;                /* of the jitter; 0: from the kernel */
    const struct hd_pool_set_events *events; /* borrowed, static */
    void *arg;                               /* of the events */
};

/** @return 0 and *out, or HD_EINVAL. */
int hd_pool_set_new(struct hd_pool_set **out, const struct hd_pool_set_options *opt,
                    struct hd_error *err);

/** One version of a function. All copied. */
struct hd_pool_spec {
    const char *key;         /* the function's name */
    struct hd_launch launch; /* launch.version tells versions apart */
    struct hd_pool_limits limits;
    struct hd_backend *backend; /* borrowed, as the set's own; NULL: that one */
    bool eager;   /* start one now, in the background; else when the first request comes */
    bool at_once; /* the version before gets no request any more: see hd_pool_set_put() */
    int64_t last_used_unix_ms; /* from the log; the most recently used start first; 0: unknown */
};

/**
 * Make the newest version of a function. The one before keeps serving until this one is READY (see
 * hd_pool_previous()), then drains; so this one is started at once if that one runs. A version in
 * between which never became ready is dropped, and its queue moves on to this one.
 * With spec->at_once nothing of that: from the return on every request that comes, or waits, is for
 * this version, which starts when it is asked for; of the older ones idle instances end, busy ones
 * finish what they have.
 * @return 0 and *out with a reference for the caller; or HD_EINVAL.
 */
int hd_pool_set_put(struct hd_pool_set *set, struct hd_pool **out, const struct hd_pool_spec *spec,
                    struct hd_error *err);
/**
 * Give a version other limits; its instances go on. What a host declared still caps them.
 * @return 0; or HD_EINVAL and nothing changed.
 */
int hd_pool_set_limits(struct hd_pool *p, const struct hd_pool_limits *limits,
                       struct hd_error *err);
/** Drain and forget all versions of a function; who waits is refused. Unknown keys are fine. */
void hd_pool_set_remove(struct hd_pool_set *set, const char *key);
/** @return the newest version with a reference for the caller, or NULL. Any thread. */
struct hd_pool *hd_pool_set_get(struct hd_pool_set *set, const char *key);

/* --- what is going on; any thread --- */

/** Functions by the state of their newest version; without those that start for each request anew
 *  (limits.max_starting). Cheap: no lock. */
struct hd_pool_warmup {
    uint32_t total;
    uint32_t by_state[HD_POOL_STATE_COUNT];
};
void hd_pool_set_warmup(const struct hd_pool_set *set, struct hd_pool_warmup *out);

enum hd_pool_reject {                    /* why a request got no place */
                      HD_REJECT_FULL,    /* the queue was full */
                      HD_REJECT_TIMEOUT, /* it waited too long */
                      HD_REJECT_FAILED,  /* the function does not start */
                      HD_REJECT_REMOVED, /* the function was removed */
                      HD_REJECT_CLOSING, /* the node ends */
                      HD_REJECT_COUNT
};
enum hd_pool_failure {                  /* why a launch did not become ready */
                       HD_FAILURE_LOAD, /* the function's own fault; trying again is of no use until
                                           it changes */
                       HD_FAILURE_TIMEOUT, /* not ready within start_timeout_ms */
                       HD_FAILURE_SYSTEM,  /* everything else */
                       HD_FAILURE_COUNT
};
enum hd_pool_recycle {                        /* why a working instance was ended */
                       HD_RECYCLE_REQUESTS,   /* it served recycle_requests */
                       HD_RECYCLE_RSS,        /* it grew over recycle_rss_bytes */
                       HD_RECYCLE_TIMEOUT,    /* concurrency 1, and the one request it had took too
                                                 long */
                       HD_RECYCLE_CPU,        /* over cpu_ms, and no request was finished */
                       HD_RECYCLE_UNANSWERED, /* it was suspect and did not answer a ping */
                       HD_RECYCLE_IDLE,       /* nobody needed it */
                       HD_RECYCLE_REPLACED,   /* a newer version took over, or the function was
                                                 removed */
                       HD_RECYCLE_EXITED,     /* it said that it ends itself */
                       HD_RECYCLE_ENDED,      /* who had a place in it wanted its end */
                       HD_RECYCLE_COUNT
};
const char *hd_pool_reject_name(enum hd_pool_reject r);
const char *hd_pool_failure_name(enum hd_pool_failure f);
const char *hd_pool_recycle_name(enum hd_pool_recycle r);

enum { HD_POOL_BUCKETS = 14 };
/** Upper bounds in microseconds of the first HD_POOL_BUCKETS - 1 buckets; the last has none. */
extern const uint64_t hd_pool_bucket_us[HD_POOL_BUCKETS - 1];
struct hd_pool_histogram {
    uint64_t count, sum_us;
    uint64_t buckets[HD_POOL_BUCKETS]; /* each its own, not cumulative */
};

/** Totals of one function over all its versions; they never go down while it exists. */
struct hd_pool_counters {
    uint64_t requests;    /* places granted */
    uint64_t launches;    /* instances begun */
    uint64_t cold_starts; /* ... while a request waited and none was ready */
    uint64_t failures[HD_FAILURE_COUNT];
    uint64_t abandoned; /* launches ended before they were ready: nobody wanted them any more */
    uint64_t crashes;   /* ready instances that ended by themselves */
    uint64_t ooms;      /* instances, ready or not, that ended for their memory */
    uint64_t recycles[HD_RECYCLE_COUNT];
    uint64_t evictions; /* idle instances ended for the memory of others */
    uint64_t rejections[HD_REJECT_COUNT];
    uint64_t left;                       /* requests that went away while they waited */
    struct hd_pool_histogram queue_wait; /* of the requests that waited and were granted */
    struct hd_pool_histogram cold_start; /* from launch to ready */
};

struct hd_pool_report {
    const char *key;
    struct hd_pool *pool;       /* the newest version */
    struct hd_pool_stats stats; /* of all versions together; state is the newest's */
    struct hd_pool_counters counters;
    struct hd_error error; /* code 0: the newest version's last launch did not fail */
};
/** Call @p each for every function, in no order, with the set locked: be short, and do not call
 *  the set from inside. The report is valid during the call. */
void hd_pool_set_each(struct hd_pool_set *set,
                      void (*each)(void *arg, const struct hd_pool_report *r), void *arg);
/** @return bytes that all instances take, as charged to the memory budget. */
uint64_t hd_pool_set_memory(const struct hd_pool_set *set);

/* --- instances, one by one; control loop --- */

/** One that is not gone; valid during the call. */
struct hd_instance_report {
    const struct hd_instance *instance;
    const char *key, *function, *version; /* of the pool; version: hd_launch.version */
    const char *backend, *state; /* "starting", "idle", "frozen", "busy", "draining", "stopping" */
    uint64_t serial;
    uint64_t age_ms, in_state_ms;
    int64_t unused_ms; /* since its last use; -1: never used */
    uint32_t in_flight;
    uint64_t requests, rss_bytes, peak_bytes, init_us; /* 0: unknown */
    bool provisioned;
};
/** Call @p each for every instance of the node. It may look, and do nothing else to the set. */
void hd_pool_set_each_instance(struct hd_pool_set *set,
                               void (*each)(void *arg, const struct hd_instance_report *r),
                               void *arg);
/**
 * Take instances out of service: they finish what they have and end. What a pool keeps is started
 * anew.
 * @param wanted  says which.
 * @return how many it were.
 */
unsigned hd_pool_set_drain(struct hd_pool_set *set,
                           bool (*wanted)(void *arg, const struct hd_instance_report *r),
                           void *arg);

/* --- the end --- */

/**
 * Refuse new takes, serve who waits, let requests in flight end, all within @p grace_ms; then end
 * every instance by force. Calling again with a shorter grace shortens it. The loops must run on.
 * @param done  called once, when no instance and no waiter is left; may call hd_pool_set_free().
 */
void hd_pool_set_close(struct hd_pool_set *set, uint32_t grace_ms, void (*done)(void *arg),
                       void *arg);
/** After close is done, or if nothing was ever put. References to pools may outlive it. NULL is
 *  fine. */
void hd_pool_set_free(struct hd_pool_set *set);

HD_AUTO(hd_pool_set)
