#include "gateway/stats.h"

const uint32_t hd_latency_bound_us[HD_LATENCY_BUCKETS - 1] = {
    500, 1000, 2500, 5000, 10000, 25000, 50000, 100000, 250000, 500000, 1000000, 5000000, 30000000,
};

/* Shares of different loops do not meet in one cache line. */
struct padded {
    _Alignas(64) struct hd_stats_share share;
};

struct hd_stats {
    _Atomic uint32_t refs;
    unsigned n_loops;
    struct padded *loops;
};

const char *hd_reject_name(enum hd_reject r)
{
    static const char *const names[HD_REJECTED_COUNT] = {
        [HD_REJECTED_AUTH] = "auth",       [HD_REJECTED_RATE] = "rate_limit",
        [HD_REJECTED_BODY] = "body",       [HD_REJECTED_BREAKER] = "breaker",
        [HD_REJECTED_WARMING] = "warming", [HD_REJECTED_BUSY] = "busy",
        [HD_REJECTED_FAILED] = "failed",   [HD_REJECTED_BACKEND] = "backend",
        [HD_REJECTED_TIMEOUT] = "timeout", [HD_REJECTED_CANCELED] = "canceled",
    };
    return names[r];
}

struct hd_stats *hd_stats_new(unsigned n_loops)
{
    struct hd_stats *s = hd_new(struct hd_stats);
    atomic_init(&s->refs, 1);
    s->n_loops = n_loops;
    s->loops = aligned_alloc(_Alignof(struct padded), n_loops * sizeof(struct padded));
    if (s->loops == NULL)
        abort();
    memset((void *)s->loops, 0, n_loops * sizeof(struct padded));
    return s;
}

struct hd_stats *hd_stats_ref(struct hd_stats *s)
{
    atomic_fetch_add_explicit(&s->refs, 1, memory_order_relaxed);
    return s;
}

void hd_stats_unref(struct hd_stats *s)
{
    if (s == NULL || atomic_fetch_sub_explicit(&s->refs, 1, memory_order_acq_rel) > 1)
        return;
    free(s->loops);
    free(s);
}

struct hd_stats_share *hd_stats_share(struct hd_stats *s, unsigned loop)
{
    return &s->loops[loop].share;
}

void hd_stats_done(struct hd_stats_share *s, unsigned status, uint64_t took_us, uint64_t bytes_in,
                   uint64_t bytes_out, int64_t now_unix_ms)
{
    unsigned class = status / 100;
    hd_stat_add(&s->by_class[class < 6 ? class : 5], 1);
    hd_stat_add(&s->duration_us, took_us);
    hd_stat_add(&s->bytes_in, bytes_in);
    hd_stat_add(&s->bytes_out, bytes_out);
    unsigned bucket = 0;
    while (bucket < HD_LATENCY_BUCKETS - 1 && took_us > hd_latency_bound_us[bucket])
        bucket++;
    hd_stat_add(&s->latency[bucket], 1);
    atomic_store_explicit(&s->last_unix_ms, now_unix_ms, memory_order_relaxed);
}

static uint64_t get(const _Atomic uint64_t *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

void hd_stats_sum(const struct hd_stats *s, struct hd_stats_sum *out)
{
    *out = (struct hd_stats_sum){0};
    for (unsigned loop = 0; loop < s->n_loops; loop++) {
        const struct hd_stats_share *share = &s->loops[loop].share;
        for (unsigned i = 0; i < HD_COUNT(out->by_class); i++) {
            uint64_t n = get(&share->by_class[i]);
            out->by_class[i] += n;
            out->requests += n;
            out->errors += i >= 4 ? n : 0;
        }
        for (unsigned i = 0; i < HD_REJECTED_COUNT; i++)
            out->rejected[i] += get(&share->rejected[i]);
        for (unsigned i = 0; i < HD_LATENCY_BUCKETS; i++)
            out->latency[i] += get(&share->latency[i]);
        out->duration_us += get(&share->duration_us);
        out->bytes_in += get(&share->bytes_in);
        out->bytes_out += get(&share->bytes_out);
        out->unhandled += get(&share->unhandled);
        out->stale += get(&share->stale);
        out->in_flight += atomic_load_explicit(&share->in_flight, memory_order_relaxed);
        out->last_unix_ms = HD_MAX(
            out->last_unix_ms, atomic_load_explicit(&share->last_unix_ms, memory_order_relaxed));
    }
}
