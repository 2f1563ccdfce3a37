/* invoke/callstats.h - what is counted of the invocations of one function, by whichever door they
 * came. Any thread, relaxed; a scrape copies. */
#pragma once

#include "core/base.h"

#include <stdatomic.h>

/** How an invocation failed. */
enum hd_call_failure {
    HD_CALL_FAILURE_NONE,
    HD_CALL_FAILURE_FUNCTION, /* the function said so */
    HD_CALL_FAILURE_TIMEOUT,
    HD_CALL_FAILURE_EXIT,
    HD_CALL_FAILURE_MEMORY,
    HD_CALL_FAILURE_INIT,
    HD_CALL_FAILURE_SIZE,   /* its answer is too large */
    HD_CALL_FAILURE_SYSTEM, /* it did not run */
    HD_CALL_FAILURE_COUNT
};
/** @return "function", "timeout", "exit", "memory", "init", "size" or "system". */
const char *hd_call_failure_name(enum hd_call_failure f);

enum { HD_CALL_BUCKETS = 16 };
/** Upper bounds in microseconds of all buckets but the last, which has none. */
extern const uint64_t hd_call_bucket_us[HD_CALL_BUCKETS - 1];

struct hd_call_histogram {
    _Atomic uint64_t count, sum_us;
    _Atomic uint64_t buckets[HD_CALL_BUCKETS]; /* each its own, not cumulative */
};

/** Zeroed is ready. */
struct hd_call_stats {
    _Atomic uint64_t invocations; /* all that were admitted */
    _Atomic uint64_t failures[HD_CALL_FAILURE_COUNT];
    _Atomic uint64_t cold_starts; /* the first in an instance */
    _Atomic int64_t last_unix_ms;
    struct hd_call_histogram duration, init;
};

/**
 * Count one that is over.
 * @param duration_us  0: it did not run.
 * @param init_us      0: it was not the first in its instance.
 */
void hd_call_stats_add(struct hd_call_stats *s, enum hd_call_failure how, uint64_t duration_us,
                       uint64_t init_us, int64_t now_unix_ms);
