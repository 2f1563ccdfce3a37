/*            ┌──────────────── nobody got it: once more ─────────────────┐
 *            ▼                                                           │
 * start ─► WAITING ──place──► LISTENING ──► RUNNING ──answer, broken, too late──► SETTLING ─► over
 *   │        │ refused        (tail only)                        (tail, or to learn how it broke)
 *   └────────┴──────────────────► LATER ───────────────────────────────────────────────────► over
 *
 * over() is the one way out: it tells the lines, gives the place and the admission back, counts,
 * and calls on_end last. */
#include "core/clock.h"
#include "invoke/private.h"
#include "pool/channel.h"

#include <assert.h>

enum {
    EVENT_BYTES_MAX = 64 * 1024 * 1024,
    LAST_WORDS_MS = 5000, /* for an instance that broke off, to be gone */
    ANSWER_BYTES = 6291556,
};

static const struct hd_client_events client_events;

/* --- settling: what it wrote, and how it ended --- */

static void dispatch(struct hd_call *c);
static void try_again(struct hd_call *c);

static bool needs_settling(const struct hd_call *c)
{
    return c->want_tail || c->broken;
}

static void settle(struct hd_call *c)
{
    hd_timer_stop(hd_call_loop(c), &c->timer);
    c->stage = HD_CALL_SETTLING;
    c->ended_us = hd_clock_us(); /* what follows is not the function's time */
    hd_witness_end(&c->witness, &c->lease, c->broken ? LAST_WORDS_MS : 0);
}

static void on_witness(struct hd_witness *w)
{
    struct hd_call *c = hd_container_of(w, struct hd_call, witness);
    if (c->stage == HD_CALL_LISTENING) {
        if (c->stop || c->timed_out)
            settle(c);
        else
            dispatch(c);
    } else if (c->again && !c->stop) {
        try_again(c);
    } else {
        if (c->broken)
            hd_call_broken(c);
        hd_call_over(c);
    }
}

/* The answer is complete, so the connection is idle and the other side may close it at any time:
 * whoever waits for something else does not hold it. */
static void put_down(struct hd_call *c)
{
    struct hd_client_conn *conn = c->conn;
    c->conn = NULL;
    if (conn != NULL && !c->wire.exits)
        hd_channel_keep(&c->lease, conn);
    else if (conn != NULL)
        hd_client_close(conn);
}

/* The answer is complete. */
static void finish(struct hd_call *c, struct hd_str rest)
{
    bool gathered = c->answer.len > 0 || needs_settling(c);
    if (gathered && !c->streaming && rest.len > 0 && !c->too_large) {
        hd_buf_str(&c->answer, rest);
        c->too_large = c->too_large || hd_buf_failed(&c->answer);
    }
    struct hd_str body = gathered || c->streaming ? hd_buf_view(&c->answer) : rest;
    hd_call_answered(c, body);
    /* A handler that does not stream is one piece of a stream. */
    if (c->want_stream && !c->streaming && c->result.outcome == HD_CALL_OK && c->events != NULL) {
        struct hd_call_head head = {.content_type = hd_buf_view(&c->wire.content_type),
                                    .target = c->target};
        struct hd_str whole = c->result.payload;
        c->result.payload = hd_str_n(NULL, 0);
        c->events->on_head(c->arg, &head);
        if (whole.len > 0 && c->events != NULL)
            c->events->on_data(c->arg, whole);
    }
    if (needs_settling(c)) {
        put_down(c);
        settle(c);
    } else {
        hd_call_over(c);
    }
}

/* --- what the instance says --- */

static void gather(struct hd_call *c, struct hd_str bytes)
{
    if (c->streaming) {
        if (bytes.len > 0 && c->events != NULL && !c->events->on_data(c->arg, bytes) &&
            c->events != NULL && c->conn != NULL) {
            c->paused = true;
            hd_client_pause(c->conn, true);
        }
        return;
    }
    if (!c->too_large)
        hd_buf_str(&c->answer, bytes);
    if (hd_buf_failed(&c->answer) && !c->too_large) {
        c->too_large = true; /* the rest is read and dropped: the function is done with it */
        hd_buf_done(&c->answer);
    }
}

static void lost(struct hd_call *c, enum hd_client_lost how);

static void on_head(void *owner, const struct hd_head *head, struct hd_str body, bool end)
{
    struct hd_call *c = owner;
    if (head->status < 200)
        return;
    hd_wire_answer_head(&c->wire, head);
    if (c->wire.undelivered) { /* the instance was about to end: as if it had not been reached */
        hd_client_close(c->conn);
        hd_wire_answer_done(&c->wire);
        hd_wire_answer_init(&c->wire);
        c->leaving = true;
        lost(c, HD_LOST_UNSENT);
        return;
    }
    c->begun = true;
    c->streaming = c->want_stream && c->wire.streams && !c->wire.function_error;
    if (c->streaming && c->events != NULL) {
        struct hd_call_head out = {.streaming = true,
                                   .content_type = hd_buf_view(&c->wire.content_type),
                                   .target = c->target};
        c->events->on_head(c->arg, &out);
    }
    if (end && !c->streaming) {
        finish(c, body);
        return;
    }
    gather(c, body);
    if (end)
        finish(c, hd_str_n(NULL, 0));
}

static void on_body(void *owner, struct hd_str bytes, bool end)
{
    struct hd_call *c = owner;
    gather(c, bytes);
    if (end)
        finish(c, hd_str_n(NULL, 0));
}

static void on_trailers(void *owner, const struct hd_field *fields, size_t n)
{
    struct hd_call *c = owner;
    hd_wire_answer_trailers(&c->wire, fields, n);
}

static void on_writable(void *owner)
{
    (void)owner; /* all of the event was handed over */
}

static bool take(struct hd_call *c, struct hd_error *err);

static void lost(struct hd_call *c, enum hd_client_lost how)
{
    c->conn = NULL;
    if (how == HD_LOST_UNSENT && ++c->tries < 2 && c->events != NULL) {
        hd_timer_stop(hd_call_loop(c), &c->timer);
        c->again = true;
        if (c->want_tail)
            settle(c);
        else
            try_again(c);
        return;
    }
    c->broken = true;
    c->result.delivered = how != HD_LOST_UNSENT;
    settle(c);
}

static void on_failed(void *owner, const struct hd_error *err, enum hd_client_lost how)
{
    (void)err; /* how the instance ended says more */
    lost(owner, how);
}

static const struct hd_client_events client_events = {.on_head = on_head,
                                                      .on_body = on_body,
                                                      .on_trailers = on_trailers,
                                                      .on_writable = on_writable,
                                                      .on_failed = on_failed};

/* --- to the instance --- */

static void on_deadline(struct hd_timer *t)
{
    struct hd_call *c = hd_container_of(t, struct hd_call, timer);
    c->timed_out = true;
    if (c->stage == HD_CALL_WAITING) { /* for a second start, which counts as running */
        hd_pool_leave(&c->lease);
        hd_call_timed_out(c);
        hd_call_over(c);
        return;
    }
    hd_call_timed_out(c);
    if (c->stage == HD_CALL_LISTENING)
        return; /* what is under way is finished first */
    if (c->conn != NULL)
        hd_client_close(c->conn);
    c->conn = NULL;
    if (needs_settling(c))
        settle(c);
    else
        hd_call_over(c);
}

static void begin(struct hd_call *c);

static void dispatch(struct hd_call *c)
{
    struct hd_client_request req = {.head = hd_buf_view(&c->head)};
    c->stage = HD_CALL_RUNNING;
    c->result.delivered = true;
    c->result.init_us = 0;
    if (c->lease.first && !hd_instance_provisioned(c->lease.instance)) {
        c->result.init_us = HD_MAX(hd_instance_init_us(c->lease.instance), (uint64_t)1);
        hd_call_platform(c, HD_PLATFORM_INIT_START, NULL);
    }
    hd_call_platform(c, HD_PLATFORM_START, NULL);
    c->sent_us = hd_clock_us();
    if (c->timeout_ms > 0 && !c->init_again)
        hd_timer_start(hd_call_loop(c), &c->timer, c->timeout_ms, on_deadline);
    if (c->events != NULL && c->events->on_placed != NULL && !c->starting && !c->placed)
        c->events->on_placed(c->arg);
    c->placed = true;
    c->conn = hd_channel_connect(c->caller->opt.net, &c->lease);
    hd_client_send(c->conn, &req, hd_buf_view(&c->event), true, &client_events, c);
}

/* The instance went before it got anything: on another one. */
static void try_again(struct hd_call *c)
{
    struct hd_error why;
    c->again = false;
    c->sent_us = c->ended_us = 0;
    hd_buf_clear(&c->text);
    hd_witness_done(&c->witness);
    hd_pool_give(&c->lease, c->leaving ? HD_LEASE_EXITS : HD_LEASE_BROKEN);
    c->leaving = false;
    c->witness = (struct hd_witness){.done = on_witness};
    if (take(c, &why))
        begin(c);
}

/* There is a place. */
static void begin(struct hd_call *c)
{
    if (!c->want_tail) {
        dispatch(c);
        return;
    }
    c->stage = HD_CALL_LISTENING;
    c->witness.id = hd_str(c->request_id);
    c->witness.alone = c->lease.alone;
    hd_witness_begin(&c->witness, &c->lease);
}

/* An init that took too long is made once more; then the function's own time runs. */
static bool try_init_again(struct hd_call *c, const struct hd_error *err)
{
    struct hd_error why;
    if (err->code != HD_EIO || c->lease.start_code != HD_ETIMEOUT || c->init_again ||
        c->events == NULL)
        return false;
    c->init_again = true;
    hd_call_log(c, HD_WARN, hd_str("INIT_REPORT Status: timeout"));
    if (c->timeout_ms > 0)
        hd_timer_start(hd_call_loop(c), &c->timer, c->timeout_ms, on_deadline);
    if (take(c, &why))
        begin(c);
    return true;
}

static void on_granted(struct hd_lease *lease, const struct hd_error *err)
{
    struct hd_call *c = hd_container_of(lease, struct hd_call, lease);
    if (err == NULL) {
        begin(c);
        return;
    }
    if (try_init_again(c, err))
        return;
    hd_timer_stop(hd_call_loop(c), &c->timer);
    hd_call_refused(c, err);
    hd_call_over(c);
}

/* @return whether it has a place now. If not it comes later: the place, or the end. */
static bool take(struct hd_call *c, struct hd_error *err)
{
    c->stage = HD_CALL_WAITING;
    c->result.waited_us += c->lease.waited_us;
    c->lease = (struct hd_lease){.wait_ms = c->caller->opt.queue_wait_ms, .on_granted = on_granted};
    int rc = hd_pool_take(c->target->pool, &c->lease, hd_call_loop(c), err);
    if (rc < 0) {
        hd_timer_stop(hd_call_loop(c), &c->timer);
        hd_call_refused(c, err);
        hd_call_over_later(c);
    }
    return rc > 0;
}

/* @return whether it may run. */
static bool admit(struct hd_call *c)
{
    struct hd_error err;
    const struct hd_target *t = c->target;
    if (t->pool == NULL) {
        hd_fail(&err, HD_EINVAL, "%s", t->problem != NULL ? t->problem : "it cannot run");
        hd_call_failed(c, HD_CALL_FAILED, &err, NULL);
        return false;
    }
    if (t->admission == NULL)
        return true;
    enum hd_admitted a = hd_admission_enter(&c->slot, t->admission, t->provision);
    if (a == HD_ADMITTED)
        return true;
    hd_fail(&err, HD_EBUSY, "Rate Exceeded.");
    hd_call_failed(c, HD_CALL_THROTTLED, &err, hd_admitted_reason(a));
    return false;
}

/* --- the caller's side --- */

static struct hd_call *make(struct hd_caller *caller, struct hd_target *target,
                            const struct hd_call_request *r, const struct hd_call_events *events,
                            void *arg)
{
    struct hd_call *c = hd_slab_take(&caller->calls);
    struct hd_net *net = caller->opt.net;
    memset(c, 0, offsetof(struct hd_call, request_id));
    caller->active++;
    c->caller = caller;
    c->target = hd_target_ref(target);
    c->events = events;
    c->arg = arg;
    c->witness.done = on_witness;
    c->starting = true;
    c->want_stream = r->want_stream;
    c->want_tail = r->want_tail;
    c->quiet = !r->want_tail && (target->kind != HD_TARGET_LAMBDA || caller->lines == NULL);
    c->timeout_ms = target->timeout_ms;
    if (r->timeout_ms > 0 && (c->timeout_ms == 0 || r->timeout_ms < c->timeout_ms))
        c->timeout_ms = r->timeout_ms;
    c->max_answer_bytes =
        r->max_answer_bytes > 0 ? r->max_answer_bytes : caller->opt.max_answer_bytes;
    if (c->max_answer_bytes == 0)
        c->max_answer_bytes = ANSWER_BYTES;
    hd_buf_init_with(&c->head, c->head_bytes, sizeof(c->head_bytes), HD_WIRE_HEAD_MAX);
    hd_buf_init_with(&c->event, c->event_bytes, sizeof(c->event_bytes), EVENT_BYTES_MAX);
    hd_buf_init(&c->answer, c->max_answer_bytes);
    hd_buf_init(&c->text, HD_CALL_TEXT_BYTES);
    hd_wire_answer_init(&c->wire);
    if (r->request_id != NULL)
        memccpy(c->request_id, r->request_id, '\0', HD_UUID_CHARS);
    else
        hd_uuid4(c->request_id, &net->rng);
    c->request_id[HD_UUID_CHARS] = '\0';
    hd_xray_continue(&c->trace, c->xray, r->trace, r->traceparent, &net->rng,
                     hd_call_unix_ms(c) / 1000);
    if (r->event.len > 0)
        hd_buf_str(&c->event, r->event);
    else
        hd_buf_cstr(&c->event, "{}");
    return c;
}

struct hd_call *hd_call_start(struct hd_caller *caller, struct hd_target *target,
                              const struct hd_call_request *request,
                              const struct hd_call_events *events, void *arg)
{
    struct hd_call *c = make(caller, target, request, events, arg);
    struct hd_error err;
    if (hd_buf_failed(&c->event)) {
        hd_fail(&err, HD_EINVAL, "the event is larger than %d bytes", EVENT_BYTES_MAX);
        hd_call_failed(c, HD_CALL_FAILED, &err, NULL);
        hd_call_over_later(c);
        return c;
    }
    if (!admit(c)) {
        hd_call_over_later(c);
        return c;
    }
    struct hd_wire_event event = {.request = request,
                                  .arn = target->arn,
                                  .request_id = c->request_id,
                                  .xray = c->xray,
                                  .trace = &c->trace,
                                  .timeout_ms = c->timeout_ms,
                                  .event_bytes = c->event.len};
    if (hd_wire_request(&c->head, &event, &err) < 0) {
        hd_call_failed(c, HD_CALL_FAILED, &err, NULL);
        hd_call_over_later(c);
    } else if (take(c, &err)) {
        begin(c);
    }
    c->starting = false;
    return c;
}

bool hd_call_is_placed(const struct hd_call *c)
{
    return c->placed;
}

void hd_call_resume(struct hd_call *c)
{
    if (!c->paused)
        return;
    c->paused = false;
    if (c->conn != NULL)
        hd_client_pause(c->conn, false);
}

void hd_call_cancel(struct hd_call *c, bool let_it_run)
{
    c->events = NULL;
    if (c->paused)
        hd_call_resume(c);
    if (let_it_run)
        return;
    switch (c->stage) {
    case HD_CALL_WAITING:
        hd_pool_leave(&c->lease);
        hd_call_drop(c);
        break;
    case HD_CALL_LATER:
        hd_call_drop(c);
        break;
    case HD_CALL_LISTENING:
    case HD_CALL_SETTLING: /* what is under way is finished first */
        c->stop = c->lease.alone;
        break;
    case HD_CALL_RUNNING:
        c->stop = c->lease.alone;
        hd_client_close(c->conn);
        c->conn = NULL;
        if (c->want_tail)
            settle(c);
        else
            hd_call_over(c);
        break;
    }
}

struct hd_caller *hd_caller_new(const struct hd_caller_options *opt)
{
    struct hd_caller *c = hd_new(struct hd_caller);
    c->opt = *opt;
    hd_slab_init(&c->calls, sizeof(struct hd_call), 256);
    if (opt->on_line != NULL)
        c->lines = hd_lines_new(opt->control, opt->on_line, opt->arg);
    return c;
}

void hd_caller_free(struct hd_caller *c)
{
    if (c == NULL)
        return;
    assert(c->active == 0);
    hd_slab_done(&c->calls);
    hd_lines_free(c->lines);
    free(c);
}

unsigned hd_caller_active(const struct hd_caller *c)
{
    return c->active;
}
