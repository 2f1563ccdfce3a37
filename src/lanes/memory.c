/* memory.c - a queue in this process: first in, first out, gone with the process.
 *
 * One at a time unless `concurrency` says more; the next delivery starts when one was settled. What
 * the callers wait for, and the deliveries, are handled in one turn of the loop for all of them. */
#include "lanes/queue.h"

#include "core/list.h"

enum { TURN_MAX = 256 }; /* deliveries before other things on the loop get a turn */

struct message {
    struct hd_list link;
    uint64_t tag;
    uint32_t deliveries;
    size_t len;
    char body[];
};

struct waiter {
    void (*done)(void *arg, const struct hd_error *err);
    void *arg;
    bool full;
};

struct memory {
    struct hd_lane_source base;
    struct hd_loop *loop;
    const struct hd_lane_queue_events *events;
    void *arg;
    struct hd_list waiting, inflight;
    uint64_t n_waiting, n_inflight, next_tag;
    struct waiter *waiters; /* whose done() is due */
    size_t n_waiters, cap_waiters;
    bool consuming, posted, in_turn, closing;
    void (*closed)(void *arg);
    void *closed_arg;
};

static struct memory *of(struct hd_lane_source *q)
{
    return hd_container_of(q, struct memory, base);
}

/* --- the turn --- */

static void deliver(struct memory *m, struct message *msg)
{
    hd_list_remove(&msg->link);
    hd_list_push(&m->inflight, &msg->link);
    m->n_waiting--;
    m->n_inflight++;
    msg->tag = ++m->next_tag;
    struct hd_lane_delivery d = {.tag = msg->tag,
                                 .body = hd_str_n(msg->body, msg->len),
                                 .delivery_count = msg->deliveries,
                                 .redelivered = msg->deliveries > 0};
    msg->deliveries++;
    m->events->on_delivery(m->arg, &m->base, &d);
}

static void tell_waiters(struct memory *m)
{
    struct waiter *all = m->waiters;
    size_t n = m->n_waiters;
    m->waiters = NULL;
    m->n_waiters = m->cap_waiters = 0;
    for (size_t i = 0; i < n; i++) {
        struct hd_error err;
        if (all[i].full)
            hd_fail(&err, HD_EBUSY, "the queue %s holds %llu messages, as many as it may",
                    m->base.config->name, (unsigned long long)m->base.config->max_messages);
        all[i].done(all[i].arg, all[i].full ? &err : NULL);
    }
    free(all);
}

static void drop_all(struct hd_list *list)
{
    struct hd_list *l;
    while ((l = hd_list_pop(list)) != NULL)
        free(hd_container_of(l, struct message, link));
}

static void end(struct memory *m)
{
    void (*closed)(void *) = m->closed;
    void *arg = m->closed_arg;
    drop_all(&m->waiting);
    drop_all(&m->inflight);
    free(m->waiters);
    free(m);
    closed(arg);
}

static void turn(void *arg);

static void post(struct memory *m)
{
    if (m->posted)
        return;
    m->posted = true;
    hd_loop_post(m->loop, turn, m);
}

static bool can_deliver(const struct memory *m)
{
    return m->consuming && !hd_list_empty(&m->waiting) &&
           m->n_inflight < HD_MAX(m->base.config->concurrency, 1U);
}

static void turn(void *arg)
{
    struct memory *m = arg;
    m->posted = false;
    m->in_turn = true;
    tell_waiters(m);
    if (m->closing && m->n_waiters == 0) {
        end(m);
        return;
    }
    for (int i = 0; i < TURN_MAX && can_deliver(m); i++)
        deliver(m, hd_container_of(m->waiting.next, struct message, link));
    m->in_turn = false;
    if (can_deliver(m) || m->n_waiters > 0 || m->closing)
        post(m);
}

/* --- the driver --- */

static void push(struct memory *m, struct hd_str body, uint32_t deliveries)
{
    struct message *msg = hd_alloc(sizeof(*msg) + body.len);
    hd_list_init(&msg->link);
    msg->tag = 0;
    msg->deliveries = deliveries;
    msg->len = body.len;
    memcpy(msg->body, body.ptr, body.len);
    hd_list_push(&m->waiting, &msg->link);
    m->n_waiting++;
}

static void publish(struct hd_lane_source *q, struct hd_str id, struct hd_str body,
                    void (*done)(void *arg, const struct hd_error *err), void *arg)
{
    struct memory *m = of(q);
    (void)id;
    uint64_t max = q->config->max_messages;
    bool full = max > 0 && m->n_waiting + m->n_inflight >= max;
    if (!full)
        push(m, body, 0);
    if (m->n_waiters == m->cap_waiters) {
        m->cap_waiters = HD_MAX(m->cap_waiters * 2, (size_t)64);
        m->waiters = hd_realloc_array(m->waiters, m->cap_waiters, sizeof(*m->waiters));
    }
    m->waiters[m->n_waiters++] = (struct waiter){done, arg, full};
    post(m);
}

static void consume(struct hd_lane_source *q, uint32_t prefetch)
{
    struct memory *m = of(q);
    (void)prefetch;
    m->consuming = true;
    post(m);
}

static void cooldown(struct hd_lane_source *q)
{
    of(q)->consuming = false;
}

static struct message *inflight(struct memory *m, uint64_t tag)
{
    hd_list_each(l, &m->inflight)
    {
        struct message *msg = hd_container_of(l, struct message, link);
        if (msg->tag == tag)
            return msg;
    }
    return NULL;
}

static void settle(struct hd_lane_source *q, uint64_t tag, enum hd_lane_settle how,
                   struct hd_str body)
{
    struct memory *m = of(q);
    struct message *msg = inflight(m, tag);
    if (msg == NULL)
        return;
    hd_list_remove(&msg->link);
    m->n_inflight--;
    switch (how) {
    case HD_LANE_REPLACE:
        push(m, body, 0);
        free(msg);
        break;
    case HD_LANE_RETURN:
        hd_list_push(&m->waiting, &msg->link);
        m->n_waiting++;
        break;
    case HD_LANE_ACK:
    case HD_LANE_REJECT:
        free(msg);
        break;
    }
    if (!m->in_turn)
        post(m);
}

static void stats(struct hd_lane_source *q, struct hd_lane_queue_stats *out)
{
    struct memory *m = of(q);
    *out = (struct hd_lane_queue_stats){
        .connected = true, .inflight = m->n_inflight, .depth = m->n_waiting, .dead = 0};
}

static void close_queue(struct hd_lane_source *q, void (*done)(void *arg), void *arg)
{
    struct memory *m = of(q);
    m->consuming = false;
    m->closing = true;
    m->closed = done;
    m->closed_arg = arg;
    post(m);
}

static const struct hd_lane_queue_ops ops = {.name = "memory",
                                             .publish = publish,
                                             .consume = consume,
                                             .cooldown = cooldown,
                                             .settle = settle,
                                             .stats = stats,
                                             .close = close_queue};

int hd_lane_memory_open(struct hd_lane_source **out, const struct hd_lane_queue_options *opt,
                        struct hd_error *err)
{
    struct memory *m = hd_new(struct memory);
    (void)err;
    m->base = (struct hd_lane_source){.ops = &ops, .config = opt->config};
    m->loop = opt->loop;
    m->events = opt->events;
    m->arg = opt->arg;
    hd_list_init(&m->waiting);
    hd_list_init(&m->inflight);
    *out = &m->base;
    m->events->on_state(m->arg, &m->base, true, NULL);
    return 0;
}
