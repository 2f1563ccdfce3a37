#include "lambda/sources/esm_answer.h"
#include "lambda/sources/esm_poll_private.h"

enum {
    FAILED_MAX_MS = 10000,
    GIVE_UP_AFTER = 5, /* failed calls of records that stay with us */
};

/* Take the first @p n records off the batch, those that are marked (all if @p marks is NULL) as
 * @p value to @p out. */
static void take_off(struct hd_esm_worker *pl, struct hd_list *out, unsigned n, const bool *marks,
                     bool value)
{
    unsigned i = 0, before = pl->n;
    hd_list_init(out);
    hd_list_each(item, &pl->batch)
    {
        if (i == n)
            break;
        if (marks == NULL || marks[i] == value) {
            pl->bytes -= hd_esm_record_of(item)->json_len + 1;
            hd_list_remove(item);
            hd_list_push(out, item);
            pl->n--;
        }
        i++;
    }
    pl->take -= HD_MIN(pl->take, before - pl->n);
}

static void settle_first(struct hd_esm_worker *pl, unsigned n, enum hd_esm_settle how)
{
    struct hd_list records;
    take_off(pl, &records, n, NULL, true);
    hd_esm_poll_settle(pl->poll, &records, how);
}

/* What the source has given to others by now is not ours to handle. */
static void drop_lost(struct hd_esm_worker *pl)
{
    struct hd_list lost;
    unsigned n = pl->n;
    hd_list_init(&lost);
    hd_list_each(item, &pl->batch)
    {
        if (hd_esm_record_of(item)->held_until_ms > hd_esm_worker_now_ms(pl))
            continue;
        pl->bytes -= hd_esm_record_of(item)->json_len + 1;
        hd_list_remove(item);
        hd_list_push(&lost, item);
        pl->n--;
    }
    if (pl->n < n)
        pl->take = 0;
    hd_esm_poll_settle(pl->poll, &lost, HD_ESM_FAILED);
}

static void next_step(struct hd_esm_worker *pl);

void hd_esm_worker_call(struct hd_esm_worker *pl)
{
    struct hd_esm_poll *p = pl->poll;
    drop_lost(pl);
    if (pl->n == 0) {
        hd_esm_worker_begin(pl);
        return;
    }
    if (pl->take == 0)
        pl->take = pl->n;
    struct hd_buf event;
    hd_buf_init(&event, HD_ESM_EVENT_BYTES);
    p->opt.feed_ops->event(p->opt.feed, &event, &pl->batch, pl->take);
    if (hd_buf_failed(&event)) {
        hd_buf_done(&event);
        hd_log(p->opt.log, HD_ERROR, "a record is too large for an event",
               hd_kv_str("mapping", p->mapping.uuid),
               hd_kv_int("bytes", (int64_t)hd_esm_record_of(pl->batch.next)->json_len));
        p->opt.on_result(p->opt.arg, "PROBLEM: A record is too large for an event");
        settle_first(pl, 1, HD_ESM_FAILED);
        next_step(pl);
        return;
    }
    pl->state = HD_ESM_CALLING;
    p->stats.calls++;
    p->opt.sink_ops->call(p->opt.sink, p, pl->index, hd_buf_view(&event));
    hd_buf_done(&event);
    if (hd_esm_worker_is_full(pl))
        hd_esm_poll_grow(p);
}

static void on_wait_over(struct hd_timer *t)
{
    hd_esm_worker_call(hd_container_of(t, struct hd_esm_worker, timer));
}

void hd_esm_worker_abandon(struct hd_esm_worker *pl)
{
    settle_first(pl, pl->n, HD_ESM_RETURNED);
    hd_esm_worker_turn_off(pl);
}

static void wait_for(struct hd_esm_worker *pl, uint64_t ms)
{
    if (pl->poll->stopping) {
        hd_esm_worker_abandon(pl);
        return;
    }
    pl->state = HD_ESM_WAITING;
    hd_timer_start(pl->poll->opt.loop, &pl->timer, ms, on_wait_over);
}

/* The last call is settled; what is left of the batch is called next. */
static void next_step(struct hd_esm_worker *pl)
{
    struct hd_esm_poll *p = pl->poll;
    if (p->stopping)
        hd_esm_worker_abandon(pl);
    else if (pl->n > 0)
        hd_esm_worker_call(pl);
    else if (p->failures > 1)
        hd_esm_worker_pause(pl,
                            hd_esm_poll_backoff(p, HD_ESM_BUSY_MS, p->failures - 2, FAILED_MAX_MS));
    else
        hd_esm_worker_begin(pl);
}

/* --- what became of a call --- */

static void count_failure(struct hd_esm_poll *p)
{
    if (p->failures < 16)
        p->failures++;
}

static void give_up(struct hd_esm_worker *pl)
{
    struct hd_esm_poll *p = pl->poll;
    pl->state = HD_ESM_GIVING;
    p->opt.sink_ops->give_up(p->opt.sink, p, pl->index, hd_esm_record_of(pl->batch.next));
}

void hd_esm_poll_gave_up(struct hd_esm_poll *p, unsigned poller, bool given)
{
    struct hd_esm_worker *pl = p->pollers[poller];
    if (!given) {
        pl->tries++;
        wait_for(pl, hd_esm_poll_backoff(p, HD_ESM_BUSY_MS, pl->tries, HD_ESM_PAUSE_MAX_MS));
        return;
    }
    p->stats.given_up++;
    settle_first(pl, 1, HD_ESM_DONE);
    pl->tries = pl->failures = 0;
    if (pl->take > 0 && !p->stopping)
        give_up(pl);
    else
        next_step(pl);
}

/* The first pl->take records failed and stay here. */
static void keep_failed(struct hd_esm_worker *pl)
{
    struct hd_esm_poll *p = pl->poll;
    unsigned i = 0;
    bool gives_up = p->mapping.on_failure != NULL && p->opt.sink_ops->give_up != NULL;
    hd_list_each(item, &pl->batch)
    {
        if (i++ == pl->take)
            break;
        hd_esm_record_of(item)->attempts++;
    }
    pl->tries++;
    pl->failures++;
    if (p->mapping.bisect && pl->take > 1) {
        pl->take = (pl->take + 1) / 2;
        pl->tries = pl->failures = 0;
        next_step(pl);
    } else if (pl->failures < GIVE_UP_AFTER || p->stopping) {
        wait_for(pl, hd_esm_poll_backoff(p, HD_ESM_PAUSE_MS, pl->tries - 1, HD_ESM_PAUSE_MAX_MS));
    } else if (gives_up) {
        give_up(pl);
    } else {
        settle_first(pl, pl->take, HD_ESM_FAILED);
        pl->tries = pl->failures = 0;
        next_step(pl);
    }
}

/* The first pl->take records are those that failed. */
static void failed(struct hd_esm_worker *pl)
{
    struct hd_esm_poll *p = pl->poll;
    p->stats.records_failed += pl->take;
    p->opt.on_result(p->opt.arg, "PROBLEM: Function call failed");
    if (p->opt.feed_ops->keeps_failed) {
        keep_failed(pl);
        return;
    }
    settle_first(pl, pl->take, HD_ESM_FAILED);
    next_step(pl);
}

/* Find those of the call's records that the function names as failed. */
static bool *marks_of(const struct hd_esm_worker *pl, struct hd_str answer)
{
    bool *marks = hd_new_array(bool, pl->take);
    const char **ids = hd_new_array(const char *, pl->take);
    unsigned i = 0;
    hd_list_each(item, &pl->batch)
    {
        if (i == pl->take)
            break;
        ids[i++] = hd_esm_record_of(item)->id;
    }
    if (pl->poll->mapping.item_failures)
        hd_esm_answer(marks, answer, ids, pl->take);
    free(ids);
    return marks;
}

static void succeeded(struct hd_esm_worker *pl, struct hd_str answer)
{
    struct hd_esm_poll *p = pl->poll;
    struct hd_list good;
    unsigned before = pl->take;
    hd_auto_free bool *marks = marks_of(pl, answer);
    take_off(pl, &good, pl->take, marks, false);
    p->stats.records_ok += before - pl->take;
    hd_esm_poll_settle(p, &good, HD_ESM_DONE);
    if (p->soft_limit < p->limit)
        p->soft_limit++;
    if (pl->take == before) { /* every one of them */
        count_failure(p);
        failed(pl);
        return;
    }
    p->failures = 0;
    pl->tries = pl->failures = 0;
    if (pl->take > 0) {
        failed(pl);
        return;
    }
    p->opt.on_result(p->opt.arg, "OK");
    hd_esm_poll_refill(p);
    next_step(pl);
}

void hd_esm_poll_called(struct hd_esm_poll *p, unsigned poller, enum hd_esm_called how,
                        struct hd_str answer)
{
    struct hd_esm_worker *pl = p->pollers[poller];
    switch (how) {
    case HD_ESM_CALL_OK:
        succeeded(pl, answer);
        return;
    case HD_ESM_CALL_FAILED:
        count_failure(p);
        failed(pl);
        return;
    case HD_ESM_CALL_BUSY:
        p->stats.busy++;
        p->soft_limit = HD_MAX(p->active / 2, 1u);
        pl->tries++;
        wait_for(pl, hd_esm_poll_backoff(p, HD_ESM_BUSY_MS, pl->tries - 1, HD_ESM_BUSY_MAX_MS));
        return;
    case HD_ESM_CALL_MISSING:
        p->opt.on_result(p->opt.arg, "PROBLEM: Function not found");
        settle_first(pl, pl->n, HD_ESM_RETURNED);
        if (p->stopping)
            hd_esm_worker_turn_off(pl);
        else
            hd_esm_worker_pause(pl,
                                hd_esm_poll_backoff(p, HD_ESM_BUSY_MAX_MS, 0, HD_ESM_BUSY_MAX_MS));
        return;
    }
}
