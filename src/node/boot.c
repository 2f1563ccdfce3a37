/* The first starts, as a person at a terminal or a log reader sees them: a line for each function
 * that is ready or failed, and a summary. */
#include "core/clock.h"
#include "node/private.h"

struct hd_boot {
    struct hd_node *node;
    struct hd_map seen; /* functions that had their first result; keys are the pools' */
    uint64_t start_us;
    uint32_t done, failed;
    bool begun; /* all are with the pools: only now "nothing loads" means that it is over */
    bool settled;
};

struct hd_boot *hd_boot_new(struct hd_node *n)
{
    struct hd_boot *b = hd_new(struct hd_boot);
    b->node = n;
    b->start_us = hd_clock_us();
    hd_map_init(&b->seen, 0);
    return b;
}

static void forget(struct hd_boot *b)
{
    size_t at = 0;
    struct hd_str key;
    while (hd_map_next(&b->seen, &at, &key, NULL))
        free((char *)key.ptr);
    hd_map_done(&b->seen);
}

void hd_boot_free(struct hd_boot *b)
{
    if (b == NULL)
        return;
    forget(b);
    free(b);
}

static void summary(struct hd_boot *b)
{
    struct hd_pool_warmup w;
    if (!b->begun)
        return;
    hd_pool_set_warmup(b->node->pools, &w);
    if (w.by_state[HD_POOL_LOADING] + w.by_state[HD_POOL_QUEUED] > 0)
        return;
    b->settled = true;
    hd_log(b->node->log, b->failed > 0 ? HD_WARN : HD_INFO, "functions loaded",
           hd_kv_int("loaded", b->done - b->failed), hd_kv_int("failed", b->failed),
           hd_kv_us("took", hd_clock_us() - b->start_us));
    forget(b);
}

void hd_boot_begin(struct hd_boot *b)
{
    b->begun = true;
    summary(b);
}

void hd_boot_state(struct hd_boot *b, struct hd_pool *p, enum hd_pool_state state,
                   const struct hd_error *why)
{
    struct hd_node *n = b->node;
    const char *name = hd_pool_key(p);
    if (state == HD_POOL_FAILED)
        hd_log(n->log, HD_ERROR, "function failed to load", hd_kv_str("function", name),
               hd_kv_str("error", why != NULL ? why->msg : NULL));
    if (b->settled || (state != HD_POOL_READY && state != HD_POOL_FAILED))
        return;
    if (hd_map_get(&b->seen, hd_str(name)) != NULL)
        return;
    struct hd_pool_stats stats;
    hd_pool_stats(p, &stats);
    hd_map_put(&b->seen, hd_str(hd_strdup(name)), b);
    b->done++;
    b->failed += state == HD_POOL_FAILED;
    if (state == HD_POOL_READY && stats.cold_start_us > 0)
        hd_log(n->log, HD_INFO, "function ready", hd_kv_str("function", name),
               hd_kv_us("took", stats.cold_start_us));
    summary(b);
}

bool hd_boot_settled(const struct hd_boot *b)
{
    return b->settled;
}
