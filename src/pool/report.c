#include "pool/private.h"

const uint64_t hd_pool_bucket_us[HD_POOL_BUCKETS - 1] = {
    1000,   2500,   5000,    10000,   25000,   50000,    100000,
    250000, 500000, 1000000, 2500000, 5000000, 10000000,
};

const char *hd_pool_reject_name(enum hd_pool_reject r)
{
    static const char *const names[HD_REJECT_COUNT] = {
        [HD_REJECT_FULL] = "queue_full", [HD_REJECT_TIMEOUT] = "timeout",
        [HD_REJECT_FAILED] = "failed",   [HD_REJECT_REMOVED] = "removed",
        [HD_REJECT_CLOSING] = "closing",
    };
    return names[r];
}

const char *hd_pool_failure_name(enum hd_pool_failure f)
{
    static const char *const names[HD_FAILURE_COUNT] = {
        [HD_FAILURE_LOAD] = "load",
        [HD_FAILURE_TIMEOUT] = "timeout",
        [HD_FAILURE_SYSTEM] = "system",
    };
    return names[f];
}

const char *hd_pool_recycle_name(enum hd_pool_recycle r)
{
    static const char *const names[HD_RECYCLE_COUNT] = {
        [HD_RECYCLE_REQUESTS] = "requests",     [HD_RECYCLE_RSS] = "rss",
        [HD_RECYCLE_TIMEOUT] = "timeout",       [HD_RECYCLE_CPU] = "cpu_limit",
        [HD_RECYCLE_UNANSWERED] = "unanswered", [HD_RECYCLE_IDLE] = "idle",
        [HD_RECYCLE_REPLACED] = "replaced",     [HD_RECYCLE_EXITED] = "exited",
        [HD_RECYCLE_ENDED] = "ended",
    };
    return names[r];
}

void hd_pool_histogram_add(struct hd_pool_histogram *h, uint64_t us)
{
    int b = 0;
    while (b < HD_POOL_BUCKETS - 1 && us > hd_pool_bucket_us[b])
        b++;
    hd_pool_count(&h->buckets[b]);
    hd_pool_count(&h->count);
    __atomic_fetch_add(&h->sum_us, us, __ATOMIC_RELAXED);
}

/* --- how things stand --- */

static void add_stats(struct hd_pool *p, struct hd_pool_stats *out)
{
    hd_list_each(item, &p->instances)
    {
        struct hd_instance *i = hd_container_of(item, struct hd_instance, link);
        unsigned in_flight = atomic_load(&i->in_flight);
        switch (i->state) {
        case HD_INSTANCE_STARTING:
            out->starting++;
            break;
        case HD_INSTANCE_READY:
            *(i->ice == HD_ICE_FROZEN ? &out->frozen
              : in_flight > 0         ? &out->busy
                                      : &out->idle) += 1;
            out->provisioned += i->provisioned;
            break;
        case HD_INSTANCE_DRAINING:
        case HD_INSTANCE_STOPPING:
        case HD_INSTANCE_GONE:
            out->draining++;
            break;
        }
        out->in_flight += in_flight;
        out->rss_bytes += atomic_load_explicit(&i->rss_bytes, memory_order_relaxed);
        out->cpu_us += atomic_load_explicit(&i->cpu_us, memory_order_relaxed);
    }
    out->waiting += atomic_load(&p->waiting);
    uint64_t cold_us = atomic_load_explicit(&p->cold_start_us, memory_order_relaxed);
    if (cold_us > 0)
        out->cold_start_us = cold_us;
}

void hd_pool_stats(struct hd_pool *p, struct hd_pool_stats *out)
{
    *out = (struct hd_pool_stats){.state = hd_pool_state(p)};
    pthread_mutex_lock(&p->group->lock);
    add_stats(p, out);
    pthread_mutex_unlock(&p->group->lock);
}

_Static_assert(sizeof(struct hd_pool_counters) % sizeof(uint64_t) == 0,
               "counters are copied as numbers");

static void copy_counters(struct hd_pool_counters *to, const struct hd_pool_counters *from)
{
    const uint64_t *f = (const uint64_t *)from;
    uint64_t *t = (uint64_t *)to;
    for (size_t n = 0; n < sizeof(*to) / sizeof(*t); n++)
        t[n] = __atomic_load_n(&f[n], __ATOMIC_RELAXED);
}

static bool report(struct hd_pool_group *g, struct hd_pool_report *r)
{
    pthread_mutex_lock(&g->lock);
    if (g->newest != NULL) {
        *r = (struct hd_pool_report){.key = g->key, .pool = hd_pool_ref(g->newest)};
        r->stats.state = hd_pool_state(g->newest);
        r->error = g->newest->error;
        hd_list_each(item, &g->versions)
            add_stats(hd_container_of(item, struct hd_pool, version_link), &r->stats);
        copy_counters(&r->counters, &g->counters);
    }
    bool there = g->newest != NULL;
    pthread_mutex_unlock(&g->lock);
    return there;
}

void hd_pool_set_each(struct hd_pool_set *set,
                      void (*each)(void *arg, const struct hd_pool_report *r), void *arg)
{
    size_t at = 0;
    struct hd_str key;
    void *value;
    pthread_mutex_lock(&set->lock);
    while (hd_map_next(&set->groups, &at, &key, &value)) {
        struct hd_pool_report r;
        if (!report(value, &r))
            continue;
        each(arg, &r);
        hd_pool_unref(r.pool);
    }
    pthread_mutex_unlock(&set->lock);
}

void hd_pool_set_warmup(const struct hd_pool_set *set, struct hd_pool_warmup *out)
{
    out->total = 0;
    for (int s = 0; s < HD_POOL_STATE_COUNT; s++)
        out->total += out->by_state[s] =
            atomic_load_explicit(&set->by_state[s], memory_order_relaxed);
}

uint64_t hd_pool_set_memory(const struct hd_pool_set *set)
{
    return atomic_load_explicit(&set->used_bytes, memory_order_relaxed);
}
