/*  on a delivery:  CHECKING ─► RUNNING ─► (WAITING before a retry) ─► settled
 *                      └──► WAITING (a lane of others) ─► given back
 * A delivery whose connection broke is `void`: it runs on, and is not settled. */
#include "lanes/consumer.h"

#include "core/clock.h"
#include "core/id.h"
#include "core/map.h"
#include "core/slab.h"
#include "lanes/delivery.h"
#include "lanes/envelope.h"
#include "core/span.h"
#include "lanes/typed_private.h"
#include "lanes/rpcwire.h"

enum {
    INLINE_BYTES = 1536,     /* of a delivery: small messages need no more */
    MESSAGE_MAX = 256 << 20, /* arena of one message */
    KEPT = 256,              /* free deliveries */
    SOURCE_MAX = 65536,      /* of a relay's id */
    REMEMBERED_MAX = 10000,  /* messages whose attempts are remembered */
};

/* Deliveries of a message that was given back without being changed. */
struct memory_of {
    struct hd_list link;
    uint32_t attempts, skips;
    size_t len;
    char id[];
};

struct delivery {
    struct hd_consumer *consumer;
    struct hd_list link;
    struct hd_timer timer;
    uint64_t tag;
    struct hd_arena arena;
    struct hd_envelope envelope;
    const struct hd_event_lane *lane;
    struct hd_lane_run *run;
    struct hd_delivery_verdict verdict;
    uint32_t attempt, lost, delivered;
    bool is_void;
    char first[INLINE_BYTES];
};

struct hd_consumer {
    struct hd_consumer_options opt;
    struct hd_lane_source *queue;
    struct hd_list deliveries;
    unsigned active;
    struct hd_slab slab;  /* of deliveries */
    struct hd_map memory; /* message id to struct memory_of */
    struct hd_list oldest;
    struct hd_rng rng; /* of spans */
    bool stopping;
    void (*stopped)(void *arg);
    void *stopped_arg;
};

/* --- what is remembered of messages --- */

static struct memory_of *remembered(struct hd_consumer *c, struct hd_str id)
{
    return c->memory.count > 0 && id.len > 0 ? hd_map_get(&c->memory, id) : NULL;
}

static void forget(struct hd_consumer *c, struct hd_str id)
{
    struct memory_of *m = remembered(c, id);
    if (m == NULL)
        return;
    hd_map_remove(&c->memory, hd_str_n(m->id, m->len));
    hd_list_remove(&m->link);
    free(m);
}

static struct memory_of *remember(struct hd_consumer *c, struct hd_str id)
{
    struct memory_of *m = remembered(c, id);
    if (m != NULL || id.len == 0)
        return m;
    if (c->memory.count >= REMEMBERED_MAX) {
        struct memory_of *old = hd_container_of(c->oldest.next, struct memory_of, link);
        forget(c, hd_str_n(old->id, old->len));
    }
    m = hd_alloc(sizeof(*m) + id.len);
    m->len = id.len;
    memcpy(m->id, id.ptr, id.len);
    hd_list_init(&m->link);
    hd_list_push(&c->oldest, &m->link);
    hd_map_put(&c->memory, hd_str_n(m->id, m->len), m);
    return m;
}

/* --- the end of a delivery --- */

static void delivery_free(struct delivery *d)
{
    struct hd_consumer *c = d->consumer;
    hd_timer_stop(c->opt.loop, &d->timer);
    hd_list_remove(&d->link);
    hd_arena_done(&d->arena);
    hd_slab_put(&c->slab, d);
    c->active--;
    if (c->stopping && c->active == 0 && c->stopped != NULL) {
        hd_loop_post(c->opt.loop, c->stopped, c->stopped_arg);
        c->stopped = NULL;
    }
}

static void settle(struct delivery *d, enum hd_lane_settle how, struct hd_str body)
{
    struct hd_consumer *c = d->consumer;
    if (!d->is_void)
        c->queue->ops->settle(c->queue, d->tag, how, body);
    delivery_free(d);
}

static const char *lane_name(const struct delivery *d)
{
    return d->lane != NULL ? d->lane->id : "";
}

static void reject(struct delivery *d, enum hd_poison why, const struct hd_error *err)
{
    struct hd_consumer *c = d->consumer;
    const struct hd_envelope *e = &d->envelope;
    hd_log(c->opt.log, HD_WARN, "Event lane consumer rejected a permanent message.",
           hd_kv_slice("laneId", e->lane_id), hd_kv_slice("eventId", e->event_id),
           hd_kv_slice("messageId", e->id), hd_kv_str("reason", hd_poison_name(why)),
           hd_kv_str("error", err->msg), hd_kv_int("attempts", d->attempt));
    hd_lane_metrics_event(c->opt.metrics, 0, lane_name(d), HD_LANE_REJECTED, hd_poison_name(why));
    forget(c, e->id);
    settle(d, HD_LANE_REJECT, hd_str(hd_poison_name(why)));
}

static void replace(struct delivery *d)
{
    struct hd_buf body;
    struct hd_envelope again = d->envelope;
    again.attempts = d->attempt;
    hd_buf_init(&body, MESSAGE_MAX);
    hd_envelope_write(&body, &again);
    hd_lane_metrics_event(d->consumer->opt.metrics, 0, lane_name(d), HD_LANE_RETRIED, NULL);
    settle(d, HD_LANE_REPLACE, hd_buf_view(&body));
    hd_buf_done(&body);
}

static void carry_out(struct delivery *d)
{
    if (d->verdict.settle == HD_LANE_REPLACE)
        replace(d);
    else
        settle(d, d->verdict.settle, hd_str("hook failed"));
}

static void on_waited(struct hd_timer *t)
{
    carry_out(hd_container_of(t, struct delivery, timer));
}

static void decide(struct delivery *d, struct hd_delivery_verdict verdict)
{
    d->verdict = verdict;
    if (verdict.wait_ms == 0)
        carry_out(d);
    else
        hd_timer_start(d->consumer->opt.loop, &d->timer, verdict.wait_ms, on_waited);
}

/* --- hooks --- */

static void failed(struct delivery *d, const struct hd_lane_error *error,
                   const struct hd_delivery_verdict *v)
{
    struct hd_consumer *c = d->consumer;
    bool again = v->settle == HD_LANE_REPLACE;
    struct hd_str why = error->reason.len > 0 ? error->reason : error->message;
    hd_log(c->opt.log, again ? HD_WARN : HD_ERROR,
           again ? "Event lane consumer failed; message requeued for retry."
                 : "Event lane consumer failed.",
           hd_kv_str("laneId", d->lane->id), hd_kv_slice("eventId", d->envelope.event_id),
           hd_kv_slice("messageId", d->envelope.id), hd_kv_slice("error", why),
           hd_kv_int("attempts", d->attempt), hd_kv_int("maxAttempts", d->lane->max_attempts),
           hd_kv_int("retryDelayMs", (int64_t)d->lane->retry_delay_ms));
    if (!again)
        hd_lane_metrics_event(c->opt.metrics, 0, d->lane->id, HD_LANE_REJECTED, "failed");
}

static void on_run(void *arg, const struct hd_lane_run_result *result)
{
    struct delivery *d = arg;
    d->run = NULL;
    struct hd_delivery_verdict v =
        hd_delivery_after(result->ok, d->attempt, d->lane->max_attempts, d->lane->retry_delay_ms);
    if (!result->ok && d->consumer->stopping) {
        settle(d, HD_LANE_RETURN, hd_str("")); /* perhaps it was ended with the node: no attempt */
        return;
    }
    if (!result->ok)
        failed(d, &result->error, &v);
    if (v.settle != HD_LANE_REPLACE)
        forget(d->consumer, d->envelope.id);
    decide(d, v);
}

/* The message's way through the queue, from its birth to this delivery.
 * @return the trace for the hooks. */
static struct hd_str tell_wait(struct delivery *d, const struct hd_lane_event *event,
                               struct hd_span *span)
{
    const struct hd_consumer *c = d->consumer;
    struct hd_str trace = hd_envelope_traceparent(&d->envelope);
    span->on = false;
    if (trace.len == 0)
        return trace;
    int64_t now = hd_clock_unix_ms();
    double created = (double)now;
    if (!hd_typed_iso_parse(&created, d->envelope.created_at))
        created = (double)now;
    hd_span_begin(span, trace, &d->consumer->rng, (int64_t)created);
    const struct hd_span_end end = {.name = "queue",
                                    .lane = d->lane->id,
                                    .of = hd_str(event->wire_id),
                                    .id = d->envelope.id,
                                    .end_unix_ms = now};
    hd_span_tell(span, c->opt.log, c->opt.topology->debug ? HD_INFO : HD_DEBUG, &end);
    return span->on ? hd_str(span->traceparent) : trace;
}

static void relay(struct delivery *d, const struct hd_lane_event *event,
                  const struct hd_typed *payload)
{
    struct hd_consumer *c = d->consumer;
    const struct hd_topology *t = c->opt.topology;
    struct hd_span span;
    char first[256];
    struct hd_buf source;
    hd_buf_init_with(&source, first, sizeof(first), SOURCE_MAX);
    const char *const parts[] = {t->relay_prefix, ":", t->profile, ":", d->lane->id};
    for (size_t i = 0; i < HD_COUNT(parts); i++)
        hd_buf_cstr(&source, parts[i]);
    struct hd_lane_run_request request = {
        .value = payload,
        .contexts = hd_rpc_contexts(&d->arena, d->envelope.contexts, &d->lane->contexts),
        .request_id = d->envelope.id,
        .traceparent = tell_wait(d, event, &span),
        .lane = hd_str(d->lane->id),
        .message_id = d->envelope.id,
        .source_kind = hd_str("runtime"),
        .source_id = hd_buf_view(&source),
        .created_at = d->envelope.created_at,
        .cloud = d->envelope.cloud,
        .attempt = d->attempt,
        .only = d->lane->hooks_limited ? &d->lane->hooks_only : NULL};
    hd_log(c->opt.log, t->debug ? HD_INFO : HD_DEBUG, "event-lanes.relay-emit",
           hd_kv_slice("messageId", d->envelope.id), hd_kv_str("eventId", event->wire_id),
           hd_kv_str("laneId", d->lane->id), hd_kv_str("profile", t->profile),
           hd_kv_slice("relaySourceId", request.source_id));
    hd_lane_metrics_event(c->opt.metrics, 0, d->lane->id, HD_LANE_RELAYED, NULL);
    struct hd_lane_run *run = hd_lane_run_event(c->opt.runner, event, &request, on_run, d);
    if (run != NULL)
        d->run = run;
    hd_buf_done(&source);
}

/* --- checks --- */

static int check_token(struct delivery *d, struct hd_error *err)
{
    if (d->lane->auth.mode == HD_LANE_AUTH_NONE)
        return 0;
    struct hd_buf hash;
    hd_buf_init(&hash, 64);
    hd_lane_hash(&hash, d->envelope.payload);
    struct hd_lane_claims want = {.lane = d->envelope.lane_id,
                                  .target = d->envelope.event_id,
                                  .kind = HD_LANE_EVENT,
                                  .hash = hd_buf_view(&hash)};
    int rc = hd_lane_token_verify(d->lane->keys, d->envelope.auth_token, &want, hd_str(""),
                                  hd_clock_unix_ms(), err);
    hd_buf_done(&hash);
    return rc;
}

static struct hd_str active_lanes(struct delivery *d)
{
    const struct hd_topology *t = d->consumer->opt.topology;
    struct hd_buf ids;
    hd_buf_init(&ids, 4096);
    for (size_t i = 0; i < t->n_event_lanes; i++) {
        if (t->event_lanes[i]->consumed)
            hd_buf_fmt(&ids, "%s%s", ids.len > 0 ? "," : "", t->event_lanes[i]->id);
    }
    struct hd_str all = hd_arena_str(&d->arena, hd_buf_view(&ids));
    hd_buf_done(&ids);
    return all;
}

static void skip(struct delivery *d)
{
    struct hd_consumer *c = d->consumer;
    const struct hd_envelope *e = &d->envelope;
    struct memory_of *m = remember(c, e->id);
    struct hd_delivery_verdict v = hd_delivery_skip(m != NULL ? m->skips++ : 0);
    struct hd_error err;
    if (m != NULL)
        m->attempts = d->attempt;
    hd_log(c->opt.log, HD_INFO, "event-lanes.skip-inactive-lane", hd_kv_slice("messageId", e->id),
           hd_kv_slice("eventId", e->event_id), hd_kv_slice("laneId", e->lane_id),
           hd_kv_str("profile", c->opt.topology->profile),
           hd_kv_slice("activeLaneIds", active_lanes(d)),
           hd_kv_str("routingDecision", "lane-not-consumed-by-profile"),
           hd_kv_bool("nackRequeue", v.settle == HD_LANE_RETURN));
    hd_lane_metrics_event(c->opt.metrics, 0, d->lane != NULL ? d->lane->id : "unknown",
                          HD_LANE_SKIPPED, NULL);
    if (v.settle == HD_LANE_RETURN) {
        decide(d, v);
        return;
    }
    hd_fail(&err, HD_EINVAL, "no node that takes from this queue consumes the lane");
    reject(d, HD_POISON_INACTIVE, &err);
}

static void check(struct delivery *d)
{
    const struct hd_topology *t = d->consumer->opt.topology;
    struct hd_error err = {0};
    struct hd_typed *payload = NULL;
    d->lane = hd_topology_event_lane(t, d->envelope.lane_id);
    if (d->lane == NULL || !d->lane->consumed) {
        skip(d);
        return;
    }
    if (hd_delivery_is_deadly(d->lost, d->delivered, d->lane->max_attempts)) {
        hd_fail(&err, HD_EINVAL, "%u nodes that took it never said what came of it",
                HD_MAX(d->lost, d->delivered));
        reject(d, HD_POISON_DEADLY, &err);
        return;
    }
    if (check_token(d, &err) < 0) {
        reject(d, HD_POISON_TOKEN, &err);
        return;
    }
    const struct hd_lane_event *event = hd_topology_event(t, d->envelope.event_id);
    if (event == NULL) {
        hd_fail(&err, HD_ENOTFOUND, "eventLanes-eventNotRegistered");
        reject(d, HD_POISON_UNKNOWN_EVENT, &err);
        return;
    }
    if (event->event_lane != d->lane) {
        hd_fail(&err, HD_EINVAL, "eventLanes-assignmentMismatch");
        reject(d, HD_POISON_OTHER_LANE, &err);
        return;
    }
    if (hd_typed_read(&payload, &d->arena, d->envelope.payload, &err) < 0) {
        hd_wrap(&err, err.code, "eventLanes-payloadMalformed");
        reject(d, HD_POISON_PAYLOAD, &err);
        return;
    }
    relay(d, event, payload);
}

void hd_consumer_deliver(struct hd_consumer *c, const struct hd_lane_delivery *from)
{
    struct hd_error err = {0};
    struct delivery *d = hd_slab_take(&c->slab);
    memset(d, 0, offsetof(struct delivery, first));
    d->consumer = c;
    d->tag = from->tag;
    d->lost = from->lost;
    d->delivered = from->delivery_count;
    hd_list_init(&d->link);
    hd_list_push(&c->deliveries, &d->link);
    c->active++;
    hd_arena_init(&d->arena, d->first, sizeof(d->first), MESSAGE_MAX);
    struct hd_str body = hd_arena_str(&d->arena, from->body);
    if (body.ptr == NULL ||
        hd_envelope_read(&d->envelope, &d->arena, body, hd_clock_unix_ms(), &err) < 0) {
        hd_wrap(&err, err.code, "eventLanes-messageMalformed");
        reject(d, HD_POISON_UNDECODABLE, &err);
        return;
    }
    struct memory_of *m = remembered(c, d->envelope.id);
    d->attempt = hd_delivery_attempt(m != NULL ? m->attempts : 0, d->envelope.attempts,
                                     from->delivery_count);
    if (c->stopping)
        settle(d, HD_LANE_RETURN, hd_str(""));
    else
        check(d);
}

/* --- the consumer --- */

struct hd_consumer *hd_consumer_new(const struct hd_consumer_options *opt,
                                    struct hd_lane_source *queue)
{
    struct hd_consumer *c = hd_new(struct hd_consumer);
    uint64_t seed;
    c->opt = *opt;
    c->queue = queue;
    hd_random(&seed, sizeof(seed));
    hd_slab_init(&c->slab, sizeof(struct delivery), KEPT);
    hd_list_init(&c->deliveries);
    hd_list_init(&c->oldest);
    hd_map_init(&c->memory, seed); /* the ids are a peer's */
    hd_rng_init(&c->rng, 0);
    return c;
}

void hd_consumer_free(struct hd_consumer *c)
{
    if (c == NULL)
        return;
    struct hd_list *l;
    while ((l = hd_list_pop(&c->oldest)) != NULL)
        free(hd_container_of(l, struct memory_of, link));
    hd_map_done(&c->memory);
    hd_slab_done(&c->slab);
    free(c);
}

void hd_consumer_start(struct hd_consumer *c)
{
    c->queue->ops->consume(c->queue, hd_delivery_prefetch(c->opt.topology, c->queue->config));
}

void hd_consumer_lost(struct hd_consumer *c)
{
    hd_list_each(l, &c->deliveries)
    {
        struct delivery *d = hd_container_of(l, struct delivery, link);
        d->is_void = true;
        if (d->run == NULL && hd_timer_active(&d->timer))
            delivery_free(d);
    }
}

void hd_consumer_cooldown(struct hd_consumer *c, void (*done)(void *arg), void *arg)
{
    c->stopping = true;
    c->stopped = done;
    c->stopped_arg = arg;
    c->queue->ops->cooldown(c->queue);
    hd_list_each(l, &c->deliveries)
    {
        struct delivery *d = hd_container_of(l, struct delivery, link);
        if (d->run == NULL && hd_timer_active(&d->timer))
            carry_out(d); /* a retry that waits goes back at once */
    }
    if (c->active == 0 && c->stopped != NULL) {
        c->stopped = NULL;
        hd_loop_post(c->opt.loop, done, arg);
    }
}

unsigned hd_consumer_active(const struct hd_consumer *c)
{
    return c->active;
}
