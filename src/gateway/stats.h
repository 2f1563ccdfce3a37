/* gateway/stats.h - what is counted for one function. Each loop has its own share, so counting is a
 * plain add; a scrape sums them up. */
#pragma once

#include "core/base.h"

#include <stdatomic.h>

/** Why the gateway itself answered instead of the function. */
enum hd_reject {
    HD_REJECTED_AUTH,     /* 401, 403 */
    HD_REJECTED_RATE,     /* 429 */
    HD_REJECTED_BODY,     /* 413, 408 and 400 of a body */
    HD_REJECTED_BREAKER,  /* 503 */
    HD_REJECTED_WARMING,  /* 503 */
    HD_REJECTED_BUSY,     /* 503, the queue was full */
    HD_REJECTED_FAILED,   /* 503, it does not start */
    HD_REJECTED_BACKEND,  /* 502 */
    HD_REJECTED_TIMEOUT,  /* 504 */
    HD_REJECTED_CANCELED, /* the client went away */
    HD_REJECTED_COUNT
};
const char *hd_reject_name(enum hd_reject r);

enum { HD_LATENCY_BUCKETS = 14 };
/** Upper bounds in microseconds; the last bucket has none. */
extern const uint32_t hd_latency_bound_us[HD_LATENCY_BUCKETS - 1];

/** One loop's share of one function. Written by that loop only, read by any, relaxed. */
struct hd_stats_share {
    _Atomic uint64_t by_class[6]; /* [2] counts 2xx, ...; [0] canceled ones */
    _Atomic uint64_t rejected[HD_REJECTED_COUNT];
    _Atomic uint64_t duration_us, bytes_in, bytes_out, unhandled, stale;
    _Atomic uint64_t latency[HD_LATENCY_BUCKETS];
    _Atomic int64_t last_unix_ms, in_flight;
};

/** The sum over all loops. */
struct hd_stats_sum {
    uint64_t requests, errors; /* errors: status 400 and up, as in the reference */
    uint64_t by_class[6], rejected[HD_REJECTED_COUNT];
    uint64_t duration_us, bytes_in, bytes_out, unhandled, stale;
    uint64_t latency[HD_LATENCY_BUCKETS];
    int64_t last_unix_ms, in_flight;
};

/** One function's counters; they stay when its version changes. */
struct hd_stats;

struct hd_stats *hd_stats_new(unsigned n_loops);
struct hd_stats *hd_stats_ref(struct hd_stats *s);
void hd_stats_unref(struct hd_stats *s); /* NULL is fine */
struct hd_stats_share *hd_stats_share(struct hd_stats *s, unsigned loop);
void hd_stats_sum(const struct hd_stats *s, struct hd_stats_sum *out);

/** Add on the share's own loop: no other writer, so no locked instruction. */
static inline void hd_stat_add(_Atomic uint64_t *counter, uint64_t n)
{
    atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + n,
                          memory_order_relaxed);
}
/** Count a request that begins (1) or ends (-1). */
static inline void hd_stat_in_flight(struct hd_stats_share *s, int64_t change)
{
    atomic_store_explicit(&s->in_flight,
                          atomic_load_explicit(&s->in_flight, memory_order_relaxed) + change,
                          memory_order_relaxed);
}
/** Count a finished request. */
void hd_stats_done(struct hd_stats_share *s, unsigned status, uint64_t took_us, uint64_t bytes_in,
                   uint64_t bytes_out, int64_t now_unix_ms);
