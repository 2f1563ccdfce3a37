/* sqlite.c - a durable queue in the node's own store: what was accepted survives kill -9. The
 * default, for nodes without a broker.
 *
 * Messages are claimed as many at a time as may be under way, and settled without waiting; all of
 * that is grouped into the store's commits. */
#include "core/clock.h"
#include "lanes/queue.h"
#include "store/queue.h"

enum { RETRY_MS = 1000 };

struct sqlite {
    struct hd_lane_source base;
    struct hd_loop *loop;
    struct hd_store *store;
    const struct hd_lane_queue_events *events;
    void *arg;
    char *name; /* "lane:orders-q" */
    struct hd_timer due;
    uint32_t prefetch;
    uint64_t inflight;
    unsigned asking; /* answers of the store that are still to come */
    bool consuming, claiming, again, closing;
    struct hd_error last_error;
    void (*closed)(void *arg);
    void *closed_arg;
};

struct publishing {
    struct sqlite *q;
    void (*done)(void *arg, const struct hd_error *err);
    void *arg;
};

static void claim(struct sqlite *q);

static struct sqlite *of(struct hd_lane_source *q)
{
    return hd_container_of(q, struct sqlite, base);
}

static void end(void *arg)
{
    struct sqlite *q = arg;
    void (*closed)(void *) = q->closed;
    void *closed_arg = q->closed_arg;
    free(q->name);
    free(q);
    closed(closed_arg);
}

/* The last answer came: nobody refers to us any more. */
static void answered(struct sqlite *q)
{
    q->asking--;
    if (q->closing && q->asking == 0)
        hd_loop_post(q->loop, end, q);
}

/* --- putting in --- */

static void on_put(void *arg, const struct hd_error *err)
{
    struct publishing *p = arg;
    struct sqlite *q = p->q;
    if (err != NULL)
        q->last_error = *err;
    p->done(p->arg, err);
    free(p);
    answered(q);
}

static void publish(struct hd_lane_source *base, struct hd_str id, struct hd_str body,
                    void (*done)(void *arg, const struct hd_error *err), void *arg)
{
    struct sqlite *q = of(base);
    struct publishing *p = hd_new(struct publishing);
    *p = (struct publishing){.q = q, .done = done, .arg = arg};
    struct hd_queue_put put = {.queue = hd_str(q->name),
                               .id = id,
                               .meta = hd_str("{}"),
                               .body = body,
                               .max_items = base->config->max_messages};
    q->asking++;
    hd_queue_put_one(q->store, &put, q->loop, on_put, p);
}

/* --- taking out --- */

static void on_item(void *arg, const struct hd_queue_item *item)
{
    struct sqlite *q = arg;
    struct hd_lane_delivery d = {.tag = item->seq,
                                 .body = item->body,
                                 .delivery_count = HD_MAX(item->attempts, item->lost),
                                 .lost = item->lost,
                                 .redelivered = item->attempts > 0 || item->lost > 0};
    if (q->closing) {
        hd_queue_retry(q->store, item->seq, item->attempts, 0);
        return;
    }
    q->inflight++;
    q->events->on_delivery(q->arg, &q->base, &d);
}

static void on_due(struct hd_timer *t)
{
    claim(hd_container_of(t, struct sqlite, due));
}

static void on_claimed(void *arg, int claimed, int64_t next_due_unix_ms, const struct hd_error *err)
{
    struct sqlite *q = arg;
    q->claiming = false;
    if (err != NULL)
        q->last_error = *err;
    if (!q->consuming) {
        answered(q); /* nobody asks again */
        return;
    }
    if (err != NULL) {
        hd_timer_start(q->loop, &q->due, RETRY_MS, on_due);
    } else if (claimed > 0 || q->again) {
        claim(q);
    } else if (next_due_unix_ms != INT64_MAX) {
        int64_t wait = next_due_unix_ms - hd_clock_unix_ms();
        hd_timer_start(q->loop, &q->due, (uint64_t)HD_MAX(wait, (int64_t)1), on_due);
    }
    answered(q);
}

static void claim(struct sqlite *q)
{
    uint32_t limit = q->prefetch;
    q->again = q->claiming;
    if (q->claiming || !q->consuming || q->closing || q->inflight >= limit)
        return;
    q->claiming = true;
    q->asking++;
    hd_timer_stop(q->loop, &q->due);
    hd_queue_claim(q->store, hd_str(q->name), (uint32_t)(limit - q->inflight), q->loop, on_item,
                   on_claimed, q);
}

static void on_news(void *arg)
{
    claim(arg);
}

static void consume(struct hd_lane_source *base, uint32_t prefetch)
{
    struct sqlite *q = of(base);
    uint32_t wanted = prefetch > 0 ? prefetch : base->config->prefetch;
    q->prefetch = HD_MAX(HD_MAX(wanted, base->config->concurrency), 1U);
    q->consuming = true;
    hd_queue_listen(q->store, hd_str(q->name), q->loop, on_news, q);
    claim(q);
}

static void cooldown(struct hd_lane_source *base)
{
    struct sqlite *q = of(base);
    if (q->consuming)
        hd_queue_unlisten(q->store, hd_str(q->name));
    q->consuming = false;
    hd_timer_stop(q->loop, &q->due);
}

struct replacing {
    struct sqlite *q;
    uint64_t tag;
};

/* Where the disk did not take the new one, the old one comes again. */
static void on_replaced(void *arg, const struct hd_error *err)
{
    struct replacing *r = arg;
    struct sqlite *q = r->q;
    if (err != NULL) {
        q->last_error = *err;
        hd_queue_retry(q->store, r->tag, 0, hd_clock_unix_ms() + RETRY_MS);
    }
    free(r);
    answered(q);
}

static void replace(struct sqlite *q, uint64_t tag, struct hd_str body)
{
    struct hd_store_tx *tx = hd_store_begin(q->store);
    struct hd_queue_put put = {
        .queue = hd_str(q->name), .id = hd_str("again"), .meta = hd_str("{}"), .body = body};
    struct replacing *r = hd_new(struct replacing);
    *r = (struct replacing){.q = q, .tag = tag};
    hd_queue_done_in(tx, tag);
    hd_queue_put(tx, &put);
    q->asking++;
    hd_store_commit(tx, q->loop, on_replaced, r);
}

static void settle(struct hd_lane_source *base, uint64_t tag, enum hd_lane_settle how,
                   struct hd_str body)
{
    struct sqlite *q = of(base);
    q->inflight--;
    switch (how) {
    case HD_LANE_ACK:
        hd_queue_done(q->store, tag);
        break;
    case HD_LANE_REJECT:
        hd_queue_dead(q->store, tag, 0, body);
        break;
    case HD_LANE_RETURN:
        hd_queue_retry(q->store, tag, 0, 0);
        break;
    case HD_LANE_REPLACE:
        replace(q, tag, body);
        break;
    }
    claim(q);
}

/* --- the rest --- */

static void stats(struct hd_lane_source *base, struct hd_lane_queue_stats *out)
{
    struct sqlite *q = of(base);
    struct hd_queue_depth depth;
    hd_queue_depth(q->store, hd_str(q->name), &depth);
    *out = (struct hd_lane_queue_stats){.connected = true,
                                        .inflight = q->inflight,
                                        .depth = depth.queued,
                                        .dead = depth.dead,
                                        .last_error = q->last_error};
}

static void close_queue(struct hd_lane_source *base, void (*done)(void *arg), void *arg)
{
    struct sqlite *q = of(base);
    cooldown(base);
    q->closing = true;
    q->closed = done;
    q->closed_arg = arg;
    q->asking++;
    answered(q);
}

static const struct hd_lane_queue_ops ops = {.name = "sqlite",
                                             .publish = publish,
                                             .consume = consume,
                                             .cooldown = cooldown,
                                             .settle = settle,
                                             .stats = stats,
                                             .close = close_queue};

int hd_lane_sqlite_open(struct hd_lane_source **out, const struct hd_lane_queue_options *opt,
                        struct hd_error *err)
{
    if (opt->store == NULL)
        return hd_fail(err, HD_EINVAL, "the queue %s needs the node's store", opt->config->name);
    struct sqlite *q = hd_new(struct sqlite);
    q->base = (struct hd_lane_source){.ops = &ops, .config = opt->config};
    q->loop = opt->loop;
    q->store = opt->store;
    q->events = opt->events;
    q->arg = opt->arg;
    q->name = hd_printf("lane:%s", opt->config->queue_name);
    *out = &q->base;
    q->events->on_state(q->arg, &q->base, true, NULL);
    return 0;
}
