#include "lambda/async/drain.h"

#include "core/clock.h"
#include "core/map.h"

#include <assert.h>

enum { FAILED_CLAIM_MS = 1000 /* the store could not read: ask again then */ };

struct hd_drain_queue {
    struct hd_drain *drain;
    struct hd_str name;     /* its own */
    struct hd_list link;    /* in the turn, or in no list */
    struct hd_list waiting; /* claimed, not begun */
    uint32_t n_waiting, running;
    bool due;      /* there may be something to claim */
    bool claiming; /* one claim at a time */
    bool held;     /* until `timer` */
    struct hd_timer timer;
};

struct hd_drain {
    struct hd_drain_options opt;
    struct hd_map queues; /* by name */
    struct hd_list turn;
    uint32_t running, claims; /* of all */
    bool stopped, pumping;
    void (*on_closed)(void *arg);
    void *closed_arg;
};

static void pump(struct hd_drain *d);

static int64_t now_unix_ms(const struct hd_drain *d)
{
    return d->opt.clock != NULL ? d->opt.clock() : hd_clock_unix_ms();
}

/* --- the turn --- */

/* Items of the queue that can be begun, as far as the queue itself is concerned. */
static uint32_t room(const struct hd_drain_queue *q)
{
    const struct hd_drain *d = q->drain;
    if (q->held || q->running >= d->opt.max_each)
        return 0;
    uint32_t n = d->opt.max_each - q->running;
    /* With nothing of it under way one is tried: no end would ever ask again. */
    if (q->running > 0 && d->opt.room != NULL)
        n = HD_MIN(n, d->opt.room(d->opt.arg, q->name));
    return n;
}

static void enter_turn(struct hd_drain_queue *q)
{
    struct hd_drain *d = q->drain;
    if (d->stopped || !hd_list_empty(&q->link))
        return;
    if (q->n_waiting > 0 || (q->due && !q->claiming))
        hd_list_push(&d->turn, &q->link);
}

static void begin_one(struct hd_drain_queue *q)
{
    struct hd_drain *d = q->drain;
    struct hd_drain_item *item =
        hd_container_of(hd_list_pop(&q->waiting), struct hd_drain_item, link);
    q->n_waiting--;
    q->running++;
    d->running++;
    d->opt.start(d->opt.arg, item);
}

static void claim(struct hd_drain_queue *q);

/* Each queue begins one item, then the next queue has its turn. What cannot begin anything leaves
 * the turn; an end, an answer or the timer lets it in again. */
static void pump(struct hd_drain *d)
{
    if (d->pumping)
        return;
    d->pumping = true;
    while (!d->stopped && d->running < d->opt.max_all && !hd_list_empty(&d->turn)) {
        struct hd_drain_queue *q =
            hd_container_of(hd_list_pop(&d->turn), struct hd_drain_queue, link);
        if (room(q) == 0)
            continue;
        if (q->n_waiting > 0)
            begin_one(q);
        if (q->due && !q->claiming && q->n_waiting == 0)
            claim(q);
        if (q->n_waiting > 0)
            enter_turn(q);
    }
    d->pumping = false;
}

/* --- claims --- */

static void on_timer(struct hd_timer *timer)
{
    struct hd_drain_queue *q = hd_container_of(timer, struct hd_drain_queue, timer);
    q->held = false;
    q->due = true;
    enter_turn(q);
    pump(q->drain);
}

static void wake_at(struct hd_drain_queue *q, int64_t due_unix_ms)
{
    if (due_unix_ms == INT64_MAX || q->held)
        return;
    int64_t wait = due_unix_ms - now_unix_ms(q->drain);
    if (wait <= 0)
        q->due = true;
    else
        hd_timer_start(q->drain->opt.loop, &q->timer, (uint64_t)HD_MIN(wait, (int64_t)3600000),
                       on_timer);
}

static void on_item(void *arg, const struct hd_queue_item *from)
{
    struct hd_drain_queue *q = arg;
    struct hd_drain_item *item =
        hd_alloc(sizeof(*item) + from->id.len + from->meta.len + from->body.len + 1);
    char *at = (char *)(item + 1);
    *item = (struct hd_drain_item){.queue = q,
                                   .seq = from->seq,
                                   .attempts = from->attempts,
                                   .first_unix_ms = from->first_unix_ms};
    memcpy(at, from->id.ptr, from->id.len);
    item->id = hd_str_n(at, from->id.len);
    at += from->id.len;
    memcpy(at, from->meta.ptr, from->meta.len);
    item->meta = hd_str_n(at, from->meta.len);
    at += from->meta.len;
    memcpy(at, from->body.ptr, from->body.len);
    item->body = hd_str_n(at, from->body.len);
    hd_list_init(&item->link);
    hd_list_push(&q->waiting, &item->link);
    q->n_waiting++;
}

static void give_back(struct hd_drain_queue *q)
{
    struct hd_list *link;
    while ((link = hd_list_pop(&q->waiting)) != NULL) {
        struct hd_drain_item *item = hd_container_of(link, struct hd_drain_item, link);
        hd_queue_retry(q->drain->opt.store, item->seq, item->attempts, now_unix_ms(q->drain));
        free(item);
    }
    q->n_waiting = 0;
}

static void maybe_closed(struct hd_drain *d)
{
    if (d->on_closed == NULL || d->claims > 0 || d->running > 0)
        return;
    void (*done)(void *) = d->on_closed;
    d->on_closed = NULL;
    hd_loop_post(d->opt.loop, done, d->closed_arg);
}

static void on_claimed(void *arg, int n, int64_t next_due_unix_ms, const struct hd_error *err)
{
    struct hd_drain_queue *q = arg;
    struct hd_drain *d = q->drain;
    q->claiming = false;
    d->claims--;
    if (d->stopped) {
        give_back(q);
        maybe_closed(d);
        return;
    }
    if (err != NULL && err->code != HD_ECANCELED)
        wake_at(q, now_unix_ms(d) + FAILED_CLAIM_MS);
    else if (err == NULL)
        wake_at(q, next_due_unix_ms);
    enter_turn(q);
    pump(d);
    (void)n;
}

/* As many as may run at once are taken ahead, so that places are filled without asking. */
static void claim(struct hd_drain_queue *q)
{
    struct hd_drain *d = q->drain;
    q->due = false;
    q->claiming = true;
    d->claims++;
    if (!q->held)
        hd_timer_stop(d->opt.loop, &q->timer);
    hd_queue_claim(d->opt.store, q->name, d->opt.max_each, d->opt.loop, on_item, on_claimed, q);
}

static void on_something(void *arg)
{
    struct hd_drain_queue *q = arg;
    q->due = true;
    enter_turn(q);
    pump(q->drain);
}

/* --- ends --- */

static void place_free(struct hd_drain_queue *q)
{
    struct hd_drain *d = q->drain;
    assert(q->running > 0 && d->running > 0);
    q->running--;
    d->running--;
    if (d->stopped) {
        maybe_closed(d);
        return;
    }
    enter_turn(q);
    pump(d);
}

void hd_drain_done(struct hd_drain *d, struct hd_drain_item *item)
{
    struct hd_drain_queue *q = item->queue;
    hd_queue_done(d->opt.store, item->seq);
    free(item);
    place_free(q);
}

void hd_drain_retry(struct hd_drain *d, struct hd_drain_item *item, uint32_t attempts,
                    int64_t due_unix_ms)
{
    struct hd_drain_queue *q = item->queue;
    hd_queue_retry(d->opt.store, item->seq, attempts, due_unix_ms);
    free(item);
    place_free(q);
}

void hd_drain_dead(struct hd_drain *d, struct hd_drain_item *item, uint32_t attempts,
                   struct hd_str reason)
{
    struct hd_drain_queue *q = item->queue;
    hd_queue_dead(d->opt.store, item->seq, attempts, reason);
    free(item);
    place_free(q);
}

void hd_drain_release(struct hd_drain *d, struct hd_drain_item *item)
{
    place_free(item->queue);
    (void)d;
}

void hd_drain_hold(struct hd_drain *d, struct hd_drain_queue *queue, uint32_t ms)
{
    queue->held = true;
    hd_timer_start(d->opt.loop, &queue->timer, ms, on_timer);
}

/* --- life --- */

struct hd_drain *hd_drain_new(const struct hd_drain_options *opt)
{
    struct hd_drain *d = hd_new(struct hd_drain);
    d->opt = *opt;
    hd_map_init(&d->queues, 0);
    hd_list_init(&d->turn);
    return d;
}

void hd_drain_add(struct hd_drain *d, struct hd_str queue)
{
    if (d->stopped || hd_map_get(&d->queues, queue) != NULL)
        return;
    struct hd_drain_queue *q = hd_new(struct hd_drain_queue);
    q->drain = d;
    q->name = hd_str_n(hd_strdup_n(queue), queue.len);
    hd_list_init(&q->link);
    hd_list_init(&q->waiting);
    hd_map_put(&d->queues, q->name, q);
    hd_queue_listen(d->opt.store, q->name, d->opt.loop, on_something, q);
    q->due = true;
    enter_turn(q);
    pump(d);
}

struct hd_str hd_drain_queue_name(const struct hd_drain_queue *queue)
{
    return queue->name;
}

uint32_t hd_drain_running(const struct hd_drain *d)
{
    return d->running;
}

void hd_drain_stop(struct hd_drain *d)
{
    size_t at = 0;
    void *value;
    if (d->stopped)
        return;
    d->stopped = true;
    while (hd_map_next(&d->queues, &at, NULL, &value)) {
        struct hd_drain_queue *q = value;
        hd_queue_unlisten(d->opt.store, q->name);
        hd_timer_stop(d->opt.loop, &q->timer);
        hd_list_remove(&q->link);
        give_back(q);
    }
}

void hd_drain_close(struct hd_drain *d, void (*done)(void *arg), void *arg)
{
    hd_drain_stop(d);
    d->on_closed = done;
    d->closed_arg = arg;
    maybe_closed(d);
}

void hd_drain_free(struct hd_drain *d)
{
    size_t at = 0;
    void *value;
    if (d == NULL)
        return;
    while (hd_map_next(&d->queues, &at, NULL, &value)) {
        struct hd_drain_queue *q = value;
        free((char *)q->name.ptr);
        free(q);
    }
    hd_map_done(&d->queues);
    free(d);
}
