/*         ┌─────────────────── all settled ───────────────────┐
 *         ▼                                                   │
 *  OFF ► RECEIVING ──batch full, or window over──► CALLING ───┤
 *   ▲     │ ▲ nothing, an error, functions fail     │  ▲      │
 *   │     ▼ │                                 busy, │  │ again│
 *   └──── PAUSED ◄────────────────────────────────  WAITING ──┘
 *                          given up: CALLING ─► GIVING ─► settled
 *  The end: what was gathered and not called goes back; OFF when the last call has ended.       */
#include "lambda/sources/esm_poll_private.h"

#include <stdio.h>

enum { LONG_WAIT_MS = 20000 };

/* --- settling --- */

void hd_esm_poll_settle(struct hd_esm_poll *p, struct hd_list *records, enum hd_esm_settle how)
{
    if (hd_list_empty(records))
        return;
    p->settling++;
    p->opt.feed_ops->settle(p->opt.feed, records, how);
}

static void on_stopped_timer(struct hd_timer *t)
{
    struct hd_esm_poll *p = hd_container_of(t, struct hd_esm_poll, stopped);
    p->opt.on_stopped(p->opt.arg);
}

static void check_stopped(struct hd_esm_poll *p)
{
    if (!p->stopping || p->told || p->active > 0 || p->settling > 0)
        return;
    p->told = true;
    hd_timer_start(p->opt.loop, &p->stopped, 0, on_stopped_timer);
}

void hd_esm_poll_settled(struct hd_esm_poll *p)
{
    p->settling--;
    check_stopped(p);
}

void hd_esm_poll_drop(struct hd_esm_poll *p, struct hd_list *records, enum hd_esm_settle how)
{
    if (how == HD_ESM_DONE)
        hd_list_each(item, records) p->stats.filtered++;
    hd_esm_poll_settle(p, records, how);
}

/* --- more and fewer pollers --- */

static uint64_t jittered(struct hd_esm_poll *p, uint64_t ms)
{
    return ms - ms / 4 + hd_rng_below(&p->rng, ms / 2 + 1);
}

/* Doubling from @p first_ms with the number of times. */
uint64_t hd_esm_poll_backoff(struct hd_esm_poll *p, uint64_t first_ms, unsigned times,
                             uint64_t max_ms)
{
    uint64_t ms = times > 16 ? max_ms : first_ms << times;
    return jittered(p, HD_MIN(ms, max_ms));
}

void hd_esm_worker_turn_off(struct hd_esm_worker *pl)
{
    hd_esm_poll_settle(pl->poll, &pl->spill, HD_ESM_RETURNED);
    pl->state = HD_ESM_OFF;
    pl->poll->active--;
    check_stopped(pl->poll);
}

static void turn_on(struct hd_esm_poll *p)
{
    unsigned i = 0;
    while (i < p->limit && p->pollers[i] != NULL && p->pollers[i]->state != HD_ESM_OFF)
        i++;
    if (i == p->limit)
        return;
    if (p->pollers[i] == NULL) {
        p->pollers[i] = hd_new(struct hd_esm_worker);
        p->pollers[i]->poll = p;
        p->pollers[i]->index = i;
        hd_list_init(&p->pollers[i]->batch);
        hd_list_init(&p->pollers[i]->spill);
    }
    p->active++;
    hd_esm_worker_begin(p->pollers[i]);
}

void hd_esm_poll_grow(struct hd_esm_poll *p)
{
    if (p->stopping || p->active >= HD_MIN(p->limit, p->soft_limit))
        return;
    for (unsigned i = 0; i < p->limit && p->pollers[i] != NULL; i++)
        if (p->pollers[i]->state == HD_ESM_RECEIVING || p->pollers[i]->state == HD_ESM_PAUSED)
            return;
    turn_on(p);
}

void hd_esm_poll_refill(struct hd_esm_poll *p)
{
    unsigned enough = HD_MIN(HD_MIN(p->opt.feed_ops->pollers, p->limit), p->soft_limit);
    while (!p->stopping && p->active < enough)
        turn_on(p);
}

static bool is_superfluous(const struct hd_esm_poll *p)
{
    return p->stopping || p->active > HD_MIN(p->limit, p->soft_limit);
}

/* --- receiving --- */

static void on_pause_over(struct hd_timer *t)
{
    hd_esm_worker_begin(hd_container_of(t, struct hd_esm_worker, timer));
}

void hd_esm_worker_pause(struct hd_esm_worker *pl, uint64_t ms)
{
    pl->state = HD_ESM_PAUSED;
    hd_timer_start(pl->poll->opt.loop, &pl->timer, ms, on_pause_over);
}

bool hd_esm_worker_is_full(const struct hd_esm_worker *pl)
{
    return pl->n >= pl->poll->mapping.batch_size || !hd_list_empty(&pl->spill);
}

static void ask(struct hd_esm_worker *pl)
{
    const struct hd_esm_poll *p = pl->poll;
    unsigned want = p->mapping.batch_size - pl->n;
    pl->asked_ms = hd_esm_worker_now_ms(pl);
    pl->wait_ms = pl->n == 0 ? LONG_WAIT_MS : pl->window_ends_ms - pl->asked_ms;
    pl->wait_ms = HD_MIN(pl->wait_ms, (uint64_t)LONG_WAIT_MS);
    pl->state = HD_ESM_RECEIVING;
    p->opt.feed_ops->receive(p->opt.feed, pl->index, HD_MIN(want, p->opt.feed_ops->max_receive),
                             (uint32_t)pl->wait_ms);
}

/* Put records into the batch as long as there is room; the rest spills. */
static void gather(struct hd_esm_worker *pl, struct hd_list *records)
{
    struct hd_list *item;
    while (!hd_list_empty(records)) {
        struct hd_esm_record *r = hd_esm_record_of(records->next);
        if (pl->n >= pl->poll->mapping.batch_size ||
            (pl->n > 0 && pl->bytes + r->json_len + HD_ESM_EVENT_OVERHEAD > HD_ESM_EVENT_BYTES))
            break;
        item = hd_list_pop(records);
        if (pl->n == 0)
            pl->window_ends_ms =
                hd_esm_worker_now_ms(pl) + (uint64_t)pl->poll->mapping.window_s * 1000;
        hd_list_push(&pl->batch, item);
        pl->bytes += r->json_len + 1;
        pl->n++;
    }
    hd_esm_records_move(&pl->spill, records);
}

/* The batch is as it is: what now? */
static void gathered(struct hd_esm_worker *pl)
{
    uint64_t left = pl->window_ends_ms > hd_esm_worker_now_ms(pl)
                        ? pl->window_ends_ms - hd_esm_worker_now_ms(pl)
                        : 0;
    if (pl->n > 0 && (hd_esm_worker_is_full(pl) || left < 1000)) /* sources count in seconds */
        hd_esm_worker_call(pl);
    else
        ask(pl);
}

void hd_esm_worker_begin(struct hd_esm_worker *pl)
{
    struct hd_list records;
    pl->tries = pl->failures = 0;
    pl->take = 0;
    if (is_superfluous(pl->poll)) {
        hd_esm_worker_turn_off(pl);
        return;
    }
    hd_list_init(&records);
    hd_esm_records_move(&records, &pl->spill);
    gather(pl, &records);
    gathered(pl);
}

static void received_nothing(struct hd_esm_worker *pl, const struct hd_error *err)
{
    struct hd_esm_poll *p = pl->poll;
    if (err != NULL) {
        p->stats.source_errors++;
        if (p->source_errors < 16)
            p->source_errors++;
        char text[300];
        snprintf(text, sizeof(text), "PROBLEM: %s", err->msg);
        p->opt.on_result(p->opt.arg, text);
        if (p->source_errors == 1)
            hd_log(p->opt.log, HD_WARN, "an event source cannot be asked, retrying",
                   hd_kv_str("mapping", p->mapping.uuid), hd_kv_str("error", err->msg));
        if (pl->n > 0)
            hd_esm_worker_call(pl);
        else
            hd_esm_worker_pause(pl, hd_esm_poll_backoff(p, HD_ESM_PAUSE_MS, p->source_errors - 1,
                                                        HD_ESM_PAUSE_MAX_MS));
        return;
    }
    if (pl->n == 0 && p->active > p->opt.feed_ops->pollers)
        hd_esm_worker_turn_off(pl);
    else if (pl->n == 0 && hd_esm_worker_now_ms(pl) - pl->asked_ms < pl->wait_ms / 2)
        hd_esm_worker_pause(pl, jittered(p, HD_ESM_PAUSE_MS)); /* it does not wait for us */
    else
        gathered(pl);
}

void hd_esm_poll_received(struct hd_esm_poll *p, unsigned poller, struct hd_list *records,
                          unsigned received, const struct hd_error *err)
{
    struct hd_esm_worker *pl = p->pollers[poller];
    p->stats.received += received;
    if (p->stopping) {
        hd_esm_records_move(&pl->spill, &pl->batch);
        hd_esm_records_move(&pl->spill, records);
        pl->n = 0;
        pl->bytes = 0;
        hd_esm_worker_turn_off(pl);
        return;
    }
    if (err == NULL)
        p->source_errors = 0;
    if (received == 0) {
        received_nothing(pl, err);
        return;
    }
    gather(pl, records);
    gathered(pl);
}

/* --- settings --- */

static void copy_mapping(struct hd_esm_poll *p, const struct hd_esm_mapping *m)
{
    struct hd_filter **filters = hd_new_array(struct hd_filter *, m->n_filters + 1);
    for (size_t i = 0; i < m->n_filters; i++)
        filters[i] = hd_filter_ref(m->filters[i]);
    p->mapping = *m;
    p->mapping.filters = filters;
    const char **texts[] = {
        &p->mapping.uuid,       &p->mapping.account,     &p->mapping.region,
        &p->mapping.source_arn, &p->mapping.source_name, &p->mapping.function_arn,
        &p->mapping.function,   &p->mapping.qualifier,   &p->mapping.on_failure,
        &p->mapping.queue,      &p->mapping.virtual_host};
    _Static_assert(HD_COUNT(texts) == HD_COUNT(p->texts), "all of them");
    for (size_t i = 0; i < HD_COUNT(texts); i++)
        *texts[i] = p->texts[i] = hd_strdup(*texts[i]);
    p->mapping.secret = NULL; /* the source has it */
    p->limit = m->max_concurrency != 0 ? m->max_concurrency : p->opt.feed_ops->max_pollers;
    p->limit = HD_MIN(p->limit, (unsigned)HD_ESM_POLLERS_MAX);
    p->soft_limit = p->limit;
}

static void drop_mapping(struct hd_esm_poll *p)
{
    for (size_t i = 0; i < p->mapping.n_filters; i++)
        hd_filter_free(p->mapping.filters[i]);
    free((void *)p->mapping.filters);
    for (size_t i = 0; i < HD_COUNT(p->texts); i++)
        free(p->texts[i]);
}

const struct hd_esm_mapping *hd_esm_poll_mapping(const struct hd_esm_poll *p)
{
    return &p->mapping;
}

bool hd_esm_poll_wants(const struct hd_esm_poll *p, const struct json_t *record)
{
    for (size_t i = 0; i < p->mapping.n_filters; i++)
        if (record != NULL && hd_filter_match(p->mapping.filters[i], record))
            return true;
    return p->mapping.n_filters == 0;
}

/* --- life --- */

struct hd_esm_poll *hd_esm_poll_new(const struct hd_esm_poll_options *opt)
{
    struct hd_esm_poll *p = hd_new(struct hd_esm_poll);
    p->opt = *opt;
    p->opt.mapping = NULL;
    hd_rng_init(&p->rng, opt->seed);
    copy_mapping(p, opt->mapping);
    p->pollers = hd_new_array(struct hd_esm_worker *, HD_ESM_POLLERS_MAX);
    for (unsigned i = 0; i < HD_MIN(opt->feed_ops->pollers, p->limit); i++)
        turn_on(p);
    return p;
}

void hd_esm_poll_update(struct hd_esm_poll *p, const struct hd_esm_mapping *m)
{
    drop_mapping(p);
    copy_mapping(p, m);
}

void hd_esm_poll_stop(struct hd_esm_poll *p)
{
    p->stopping = true;
    for (unsigned i = 0; i < HD_ESM_POLLERS_MAX && p->pollers[i] != NULL; i++) {
        struct hd_esm_worker *pl = p->pollers[i];
        switch (pl->state) {
        case HD_ESM_RECEIVING:
            p->opt.feed_ops->cancel(p->opt.feed, i);
            break;
        case HD_ESM_PAUSED:
            hd_timer_stop(p->opt.loop, &pl->timer);
            hd_esm_worker_turn_off(pl);
            break;
        case HD_ESM_WAITING:
            hd_timer_stop(p->opt.loop, &pl->timer);
            hd_esm_worker_abandon(pl);
            break;
        case HD_ESM_OFF:
        case HD_ESM_CALLING:
        case HD_ESM_GIVING:
            break;
        }
    }
    check_stopped(p);
}

void hd_esm_poll_free(struct hd_esm_poll *p)
{
    if (p == NULL)
        return;
    for (unsigned i = 0; i < HD_ESM_POLLERS_MAX && p->pollers[i] != NULL; i++)
        free(p->pollers[i]);
    free(p->pollers);
    drop_mapping(p);
    free(p);
}

void hd_esm_poll_stats(const struct hd_esm_poll *p, struct hd_esm_poll_stats *out)
{
    *out = p->stats;
    out->pollers = p->active;
    out->calling = 0;
    for (unsigned i = 0; i < HD_ESM_POLLERS_MAX && p->pollers[i] != NULL; i++)
        out->calling += p->pollers[i]->state == HD_ESM_CALLING;
}
