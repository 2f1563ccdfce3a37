#include "invoke/callstats.h"

const uint64_t hd_call_bucket_us[HD_CALL_BUCKETS - 1] = {
    500,    1000,   2500,    5000,    10000,   25000,    50000,    100000,
    250000, 500000, 1000000, 2500000, 5000000, 15000000, 60000000,
};

const char *hd_call_failure_name(enum hd_call_failure f)
{
    static const char *const names[HD_CALL_FAILURE_COUNT] = {
        [HD_CALL_FAILURE_NONE] = "none",       [HD_CALL_FAILURE_FUNCTION] = "function",
        [HD_CALL_FAILURE_TIMEOUT] = "timeout", [HD_CALL_FAILURE_EXIT] = "exit",
        [HD_CALL_FAILURE_MEMORY] = "memory",   [HD_CALL_FAILURE_INIT] = "init",
        [HD_CALL_FAILURE_SIZE] = "size",       [HD_CALL_FAILURE_SYSTEM] = "system",
    };
    return names[f];
}

static void add(_Atomic uint64_t *counter, uint64_t n)
{
    atomic_fetch_add_explicit(counter, n, memory_order_relaxed);
}

static void histogram_add(struct hd_call_histogram *h, uint64_t us)
{
    int b = 0;
    while (b < HD_CALL_BUCKETS - 1 && us > hd_call_bucket_us[b])
        b++;
    add(&h->buckets[b], 1);
    add(&h->count, 1);
    add(&h->sum_us, us);
}

void hd_call_stats_add(struct hd_call_stats *s, enum hd_call_failure how, uint64_t duration_us,
                       uint64_t init_us, int64_t now_unix_ms)
{
    add(&s->invocations, 1);
    if (how != HD_CALL_FAILURE_NONE)
        add(&s->failures[how], 1);
    if (duration_us > 0)
        histogram_add(&s->duration, duration_us);
    if (init_us > 0) {
        add(&s->cold_starts, 1);
        histogram_add(&s->init, init_us);
    }
    atomic_store_explicit(&s->last_unix_ms, now_unix_ms, memory_order_relaxed);
}
