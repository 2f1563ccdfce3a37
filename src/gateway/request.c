/*   on_request ─► refused: answered at once
 *       │
 *       ▼            answer's head              end of the answer
 *   WAITING ──────────────────────► STREAMING ───────────────────► done()
 *       │ timeout, broken, refused      │ idle too long, broken
 *       ▼                               ▼
 *   an answer of ours ─► done()     connection broken off ─► done()
 *
 * done() is the one way out: it counts, logs and frees. A client that goes away leads there too. */
#include "gateway/request.h"

#include "core/clock.h"
#include "gateway/heads.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

enum { CLIENT_CLOSED = 499 /* for logs: nobody was there to be answered */ };

static const struct hd_invocation_events invocation_events;

/* --- the end of a request --- */

void hd_table_leave(struct hd_table *t)
{
    if (--t->active > 0 || !t->replaced)
        return;
    hd_routes_unref(t->routes);
    free(t);
}

/* The function's part of it, its failure included: a client that left is none. */
static void tell_span(const struct hd_edge_request *r, int64_t now_ms)
{
    const struct hd_span_end end = {.name = "gateway",
                                    .lane = "",
                                    .of = hd_str(r->route->fn->name),
                                    .id = hd_str(r->id),
                                    .failed = r->status >= 500,
                                    .end_unix_ms = now_ms};
    hd_span_tell(&r->span, r->door->edge->log, r->door->edge->span_level, &end);
}

static void done(struct hd_edge_request *r, uint64_t bytes_in, uint64_t bytes_out)
{
    struct hd_door *d = r->door;
    uint64_t took_us = hd_clock_us() - r->start_us;
    int64_t now_ms = hd_net_unix_ms(d->net);
    hd_timer_stop(d->net->loop, &r->timer);
    hd_stat_in_flight(r->stats, -1);
    hd_stats_done(r->stats, r->status == CLIENT_CLOSED ? 0 : r->status, took_us, bytes_in,
                  bytes_out, now_ms);
    if (r->span.on)
        tell_span(r, now_ms);
    if (d->edge->access_log) {
        struct hd_access line = {
            .id = r->id,
            .method = hd_str_n(r->line, r->method_len),
            .prefix = d->edge->prefix,
            .function = hd_str(r->route->fn->name),
            .path = hd_str_n(r->line + r->method_len, r->path_len),
            .status = r->status,
            .took_us = took_us,
            .waited_us = r->report.waited_us,
            .user = r->who != NULL ? r->who->sub : hd_str_n(NULL, 0),
            .ip = r->ip,
            .bytes_in = bytes_in,
            .bytes_out = bytes_out,
            .cold = r->report.cold,
            .stale = r->report.stale,
            .reason = r->reason,
        };
        hd_access_log(d->edge->log, &d->clock, now_ms, &line);
    }
    hd_identity_unref(r->who);
    hd_table_leave(r->table);
    d->active--;
    hd_slab_put(&d->requests, r);
}

/* Tell the breaker how the function did; what is not its doing tells nothing. */
static void judge(struct hd_edge_request *r, enum hd_breaker_outcome how)
{
    if (r->pass == 0)
        return;
    enum hd_breaker_change change =
        hd_breaker_report(r->route->breaker, r->pass, how, hd_loop_now_ms(r->door->net->loop));
    r->pass = 0;
    if (change == HD_BREAKER_OPENED || change == HD_BREAKER_REOPENED)
        hd_log(r->door->edge->log, HD_WARN, "circuit breaker open",
               hd_kv_str("function", r->route->fn->name),
               hd_kv_int("cooldown_ms", r->route->fn->set.cooldown_ms));
    else if (change == HD_BREAKER_SHUT)
        hd_log(r->door->edge->log, HD_INFO, "circuit breaker closed",
               hd_kv_str("function", r->route->fn->name));
}

static void cancel(struct hd_edge_request *r, int why)
{
    if (r->started)
        hd_invocation_cancel(&r->inv, why);
    r->started = false;
}

/* --- answers --- */

/* Send a head to the client: the function's fields or ours, then those which every answer has. */
static bool respond(struct hd_edge_request *r, const struct hd_response_head *given,
                    struct hd_str body, bool end)
{
    struct hd_door *d = r->door;
    struct hd_field own[HD_REQUEST_OWN_FIELDS];
    struct hd_str error = {NULL, 0};
    size_t n_own = 0;
    own[n_own++] = (struct hd_field){hd_str("x-heddle-invocation-id"), hd_str(r->id)};
    if (d->edge->compat)
        own[n_own++] = (struct hd_field){hd_str("x-1tube-invocation-id"), hd_str(r->id)};
    if (r->report.stale) {
        own[n_own++] = (struct hd_field){hd_str("x-heddle-stale"), hd_str("1")};
        if (d->edge->compat)
            own[n_own++] = (struct hd_field){hd_str("x-1tube-stale"), hd_str("1")};
        hd_stat_add(&r->stats->stale, 1);
    }
    for (size_t i = 0; i < r->cors.n; i++)
        own[n_own++] = r->cors.fields[i];
    struct hd_response_head head = *given;
    const struct hd_cors *cors = r->route->fn->set.cors == HD_CORS_GATEWAY ? d->edge->cors : NULL;
    head.n_fields =
        hd_answer_sort(d->out, given->fields, given->n_fields, own, n_own, cors, &error);
    if (r->reason != NULL && given->n_fields > 0) { /* ours: nothing of it is in a namespace */
        memcpy(d->out, given->fields, given->n_fields * sizeof(*d->out));
        head.n_fields = given->n_fields;
    }
    memcpy(d->out + head.n_fields, own, n_own * sizeof(*own));
    head.n_fields += n_own;
    head.fields = d->out;
    if (error.len > 0)
        hd_stat_add(&r->stats->unhandled, 1);
    r->status = head.status;
    r->responded = true;
    struct hd_exchange *ex = r->ex;
    uint64_t in = ex->body_in, out = ex->body_out + body.len;
    if (end)
        r->ex = NULL;
    bool flows = hd_exchange_respond(ex, &head, body, end);
    if (end)
        done(r, in, out);
    return flows;
}

/* One of our own answers, from the catalogue; the request is over when this returns. */
void hd_request_answer(struct hd_edge_request *r, enum hd_reject reject, const struct hd_answer *a,
                       const struct hd_field *more, size_t n_more)
{
    struct hd_field fields[HD_REQUEST_OWN_FIELDS];
    char retry[24], challenge[96], room[512];
    size_t n = 0;
    hd_stat_add(&r->stats->rejected[reject], 1);
    judge(r, HD_BREAKER_VOID);
    r->reason = a->reason != NULL ? a->reason : hd_reject_name(reject);
    fields[n++] = (struct hd_field){hd_str("content-type"), hd_str("application/json")};
    if (a->retry_after_s > 0) {
        int len = snprintf(retry, sizeof(retry), "%" PRIu32, a->retry_after_s);
        fields[n++] = (struct hd_field){hd_str("retry-after"), hd_str_n(retry, (size_t)len)};
    }
    if (a->challenge) {
        snprintf(challenge, sizeof(challenge),
                 a->auth_error != NULL ? "Bearer error=\"%s\"" : "Bearer%s",
                 a->auth_error != NULL ? a->auth_error : "");
        fields[n++] = (struct hd_field){hd_str("www-authenticate"), hd_str(challenge)};
    }
    if (a->warming) {
        fields[n++] = (struct hd_field){hd_str("x-heddle-warming"), hd_str("1")};
        if (r->door->edge->compat)
            fields[n++] = (struct hd_field){hd_str("x-1tube-warming"), hd_str("1")};
    }
    for (size_t i = 0; i < n_more; i++)
        fields[n++] = more[i];
    struct hd_buf body;
    hd_buf_init_with(&body, room, sizeof(room), 4096);
    hd_answer_body(&body, a, r->id);
    struct hd_response_head head = {
        .status = a->status, .fields = fields, .n_fields = n, .body_bytes = (int64_t)body.len};
    respond(r, &head, hd_buf_view(&body), true);
    hd_buf_done(&body);
}

void hd_request_answer_plain(struct hd_edge_request *r, enum hd_reject reject, unsigned status,
                             const char *error, const char *reason, uint32_t retry_after_s)
{
    struct hd_answer a = {
        .status = status, .error = error, .reason = reason, .retry_after_s = retry_after_s};
    hd_request_answer(r, reject, &a, NULL, 0);
}

void hd_request_answer_unauthorized(struct hd_edge_request *r)
{
    bool has_token = r->auth != HD_AUTH_NONE; /* somebody, but not one that may */
    struct hd_answer a = {.status = 401,
                          .error = "Unauthorized",
                          .reason = has_token ? "invalid_token" : "missing_token",
                          .challenge = true,
                          .auth_error = has_token ? "invalid_token" : NULL};
    if (r->who != NULL)
        a = (struct hd_answer){.status = 403,
                               .error = "Forbidden",
                               .reason = "role",
                               .challenge = true,
                               .auth_error = "insufficient_scope"};
    hd_request_answer(r, HD_REJECTED_AUTH, &a, NULL, 0);
}

static void answer_warming(struct hd_edge_request *r)
{
    struct hd_edge const *edge = r->door->edge;
    uint32_t total = 0, ready = 0, loading = 0, queued = 0, failed = 0;
    edge->warmup(edge->arg, &total, &ready, &loading, &queued, &failed);
    enum hd_pool_state state = hd_pool_newest_state(r->route->pool);
    char extra[320];
    snprintf(extra, sizeof(extra),
             "\"function\":\"%s\",\"state\":\"%s\",\"warmup\":{\"total\":%" PRIu32
             ",\"ready\":%" PRIu32 ",\"loading\":%" PRIu32 ",\"queued\":%" PRIu32
             ",\"failed\":%" PRIu32 "}",
             r->route->fn->name, hd_pool_state_name(state), total, ready, loading, queued, failed);
    struct hd_answer a = {.status = 503,
                          .error = "Backend is warming up",
                          .reason = "function_warming",
                          .extra = extra,
                          .retry_after_s = 1,
                          .warming = true};
    hd_request_answer(r, HD_REJECTED_WARMING, &a, NULL, 0);
}

void hd_request_answer_failed(struct hd_edge_request *r, const char *why)
{
    char error[128];
    snprintf(error, sizeof(error), "Function \"%s\" failed to load", r->route->fn->name);
    struct hd_buf extra;
    hd_buf_init(&extra, 2048);
    if (r->door->edge->dev) { /* what is wrong is for who writes it, not for the world */
        hd_buf_cstr(&extra, "\"message\":");
        hd_buf_json(&extra, hd_str(why));
    }
    hd_auto_free char *text = hd_buf_take(&extra);
    struct hd_answer a = {.status = 503,
                          .error = error,
                          .reason = "function_boot_failed",
                          .extra = text != NULL && text[0] != '\0' ? text : NULL};
    hd_request_answer(r, HD_REJECTED_FAILED, &a, NULL, 0);
}

/* --- what the invoker says --- */

/* What a client is told of an instance that broke off. */
static const char *broken_reason(enum hd_instance_fate fate)
{
    switch (fate) {
    case HD_FATE_ITS_OWN:
        break;
    case HD_FATE_RECYCLED:
        return "worker_recycled";
    case HD_FATE_CPU:
        return "cpu_limit";
    }
    return "worker_unavailable";
}

/* What is said of a call with an event that has no answer; hd_edge.attach has the codes. */
static void answer_event_error(struct hd_edge_request *r, const struct hd_error *err)
{
    switch (err->code) {
    case HD_ETIMEOUT:
        judge(r, HD_BREAKER_FAILED);
        hd_request_answer_plain(r, HD_REJECTED_TIMEOUT, 504, "Function execution timed out",
                                "timeout", 0);
        return;
    case HD_EIO:
    case HD_EPROTO:
        judge(r, HD_BREAKER_FAILED);
        hd_request_answer_plain(r, HD_REJECTED_BACKEND, 502, "Bad gateway",
                                err->code == HD_EIO ? "function_error" : "invalid_answer", 0);
        return;
    case HD_EBUSY:
        if (err->sys == EAGAIN)
            hd_request_answer_plain(r, HD_REJECTED_WARMING, 503, "Backend is warming up",
                                    "function_warming", 1);
        else
            hd_request_answer_plain(r, HD_REJECTED_BUSY, 429, "Too many requests",
                                    "concurrency_limit", 1);
        return;
    case HD_ENOTFOUND:
        hd_request_answer_plain(r, HD_REJECTED_BUSY, 503, "Service temporarily unavailable",
                                "function_removed", 1);
        return;
    default:
        if (err->sys == E2BIG)
            hd_request_answer_too_large(r);
        else
            hd_request_answer_failed(r, err->msg);
    }
}

static void on_error(struct hd_invocation *inv, const struct hd_error *err)
{
    struct hd_edge_request *r = hd_container_of(inv, struct hd_edge_request, inv);
    r->started = false;
    if (!r->route->by_event)
        r->report = *hd_channel_last(r->door->channel);
    if (r->responded) {
        /* Half an answer is out: only a broken connection says that it is not whole. */
        struct hd_exchange *ex = r->ex;
        uint64_t in = ex->body_in, out = ex->body_out;
        r->reason = broken_reason(r->report.fate);
        hd_stat_add(&r->stats->rejected[HD_REJECTED_BACKEND], 1);
        judge(r, r->report.fate == HD_FATE_CPU ? HD_BREAKER_FAILED : HD_BREAKER_VOID);
        hd_exchange_abort(ex);
        done(r, in, out);
        return;
    }
    if (r->route->by_event) {
        answer_event_error(r, err);
        return;
    }
    if (err->code == HD_EDENIED && !r->report.dispatched) {
        hd_request_answer_unauthorized(r);
    } else if (r->report.dispatched) {
        const char *reason = broken_reason(r->report.fate);
        hd_log(r->door->edge->log, HD_WARN, "instance broke the connection",
               hd_kv_str("function", r->route->fn->name), hd_kv_str("id", r->id),
               hd_kv_str("reason", reason), hd_kv_str("error", err->msg));
        if (r->report.fate == HD_FATE_CPU)
            judge(r, HD_BREAKER_FAILED);
        hd_request_answer_plain(r, HD_REJECTED_BACKEND, 502, "Bad gateway", reason, 0);
    } else if (err->code == HD_ETIMEOUT && hd_pool_newest_state(r->route->pool) != HD_POOL_READY) {
        answer_warming(r);
    } else if (err->code == HD_EBUSY || err->code == HD_ETIMEOUT) {
        hd_request_answer_plain(r, HD_REJECTED_BUSY, 503, "Service temporarily unavailable",
                                err->code == HD_EBUSY ? "queue_full" : "queue_timeout", 1);
    } else if (err->code == HD_ECANCELED || err->code == HD_ENOTFOUND) {
        hd_request_answer_plain(r, HD_REJECTED_BUSY, 503, "Service temporarily unavailable",
                                err->code == HD_ECANCELED ? "shutting_down" : "function_removed",
                                1);
    } else {
        hd_request_answer_failed(r, err->msg);
    }
}

static void on_timer(struct hd_timer *t);

/* Look again when the next deadline is over: @p limit_ms from now (0: none), or that of the whole.
 */
static void watch(struct hd_edge_request *r, uint64_t limit_ms)
{
    struct hd_loop *loop = r->door->net->loop;
    uint64_t now = hd_loop_now_ms(loop), delay = limit_ms;
    if (r->total_due_ms > 0) {
        uint64_t left = r->total_due_ms > now ? r->total_due_ms - now : 1;
        delay = limit_ms > 0 ? HD_MIN(limit_ms, left) : left;
    }
    if (delay > 0)
        hd_timer_start(loop, &r->timer, delay, on_timer);
    else
        hd_timer_stop(loop, &r->timer);
}

/* Something of the answer came, or can go on. */
static void watch_stream(struct hd_edge_request *r)
{
    watch(r, r->route->fn->set.stream_idle_ms);
}

static void hold(struct hd_edge_request *r)
{
    r->paused_out = true;
    hd_invocation_pause(&r->inv, true);
}

static void on_info(struct hd_invocation *inv, const struct hd_response_head *head)
{
    struct hd_edge_request *r = hd_container_of(inv, struct hd_edge_request, inv);
    hd_exchange_info(r->ex, head);
}

static void on_response(struct hd_invocation *inv, const struct hd_response_head *head,
                        struct hd_str body, bool end)
{
    struct hd_edge_request *r = hd_container_of(inv, struct hd_edge_request, inv);
    if (!r->route->by_event)
        r->report = *hd_channel_last(r->door->channel);
    judge(r, head->status >= 500 ? HD_BREAKER_FAILED : HD_BREAKER_OK);
    if (end) {
        r->started = false;
        respond(r, head, body, true);
        return;
    }
    watch_stream(r);
    if (!respond(r, head, body, false) && r->ex != NULL)
        hold(r);
}

static void on_answer_body(struct hd_invocation *inv, struct hd_str bytes, bool end)
{
    struct hd_edge_request *r = hd_container_of(inv, struct hd_edge_request, inv);
    struct hd_exchange *ex = r->ex;
    if (end) {
        uint64_t in = ex->body_in, out = ex->body_out + bytes.len;
        r->started = false;
        hd_exchange_write(ex, bytes, true);
        done(r, in, out);
        return;
    }
    watch_stream(r);
    if (!hd_exchange_write(ex, bytes, false))
        hold(r);
}

/* Trailers of either side: what speaks for the gateway is not for others to say. */
static size_t sort_trailers(struct hd_field *out, const struct hd_field *fields, size_t n)
{
    size_t kept = 0;
    for (size_t i = 0; i < n && kept < HD_HEAD_FIELDS_MAX; i++) {
        if (!hd_is_reserved(fields[i].name))
            out[kept++] = fields[i];
    }
    return kept;
}

static void on_answer_trailers(struct hd_invocation *inv, const struct hd_field *fields, size_t n)
{
    struct hd_edge_request *r = hd_container_of(inv, struct hd_edge_request, inv);
    hd_exchange_trailers(r->ex, r->door->out, sort_trailers(r->door->out, fields, n));
}

static void on_invoker_writable(struct hd_invocation *inv)
{
    struct hd_edge_request *r = hd_container_of(inv, struct hd_edge_request, inv);
    hd_exchange_pause(r->ex, false);
}

static const struct hd_invocation_events invocation_events = {.on_info = on_info,
                                                              .on_response = on_response,
                                                              .on_body = on_answer_body,
                                                              .on_trailers = on_answer_trailers,
                                                              .on_writable = on_invoker_writable,
                                                              .on_error = on_error};

/* --- what the client says --- */

void hd_request_answer_too_large(struct hd_edge_request *r)
{
    char extra[48];
    snprintf(extra, sizeof(extra), "\"maxBytes\":%" PRIu64, r->route->fn->set.body_limit_bytes);
    struct hd_answer a = {.status = 413,
                          .error = "Request body too large",
                          .reason = "body_too_large",
                          .extra = extra};
    hd_request_answer(r, HD_REJECTED_BODY, &a, NULL, 0);
}

/* End a request whose client or function broke the rules after its answer had begun. */
static void break_off(struct hd_edge_request *r, const char *reason)
{
    struct hd_exchange *ex = r->ex;
    uint64_t in = ex->body_in, out = ex->body_out;
    r->reason = reason;
    judge(r, HD_BREAKER_VOID);
    hd_exchange_abort(ex);
    done(r, in, out);
}

static void on_request_body(struct hd_exchange *ex, struct hd_str bytes, bool end)
{
    struct hd_edge_request *r = ex->door;
    if (!ex->tunnel && bytes.len > r->body_left) {
        cancel(r, HD_ECANCELED);
        if (r->responded)
            break_off(r, "body_too_large");
        else
            hd_request_answer_too_large(r);
        return;
    }
    r->body_left -= ex->tunnel ? 0 : bytes.len;
    if (!r->started)
        return; /* it was answered without the body */
    if (ex->tunnel)
        watch_stream(r); /* a tunnel is idle when both directions are */
    if (!hd_invocation_write(&r->inv, bytes, end) && !end)
        hd_exchange_pause(ex, true);
}

static void on_request_trailers(struct hd_exchange *ex, const struct hd_field *fields, size_t n)
{
    struct hd_edge_request *r = ex->door;
    if (r->started)
        hd_invocation_trailers(&r->inv, r->door->in, sort_trailers(r->door->in, fields, n));
}

static void on_bad_body(struct hd_exchange *ex, unsigned status, const char *why)
{
    struct hd_edge_request *r = ex->door;
    cancel(r, HD_ECANCELED);
    if (r->responded) {
        break_off(r, status == 408 ? "body_timeout" : "bad_body");
    } else if (status == 408) {
        hd_log(r->door->edge->log, HD_WARN, "request body stalled, request aborted",
               hd_kv_str("function", r->route->fn->name), hd_kv_str("id", r->id));
        hd_request_answer_plain(r, HD_REJECTED_BODY, 408, "Request body read timed out",
                                "body_timeout", 0);
    } else {
        hd_request_answer_plain(r, HD_REJECTED_BODY, status, why, "bad_request", 0);
    }
}

static void on_client_writable(struct hd_exchange *ex)
{
    struct hd_edge_request *r = ex->door;
    if (!r->paused_out || !r->started)
        return;
    r->paused_out = false;
    watch_stream(r);
    hd_invocation_pause(&r->inv, false);
}

static void on_gone(struct hd_exchange *ex, enum hd_gone why)
{
    struct hd_edge_request *r = ex->door;
    (void)why;
    cancel(r, HD_ECANCELED);
    judge(r, HD_BREAKER_VOID);
    hd_stat_add(&r->stats->rejected[HD_REJECTED_CANCELED], 1);
    r->status = CLIENT_CLOSED;
    r->reason = why == HD_GONE_STALLED_WRITE ? "client_stalled" : "client_closed";
    done(r, ex->body_in, ex->body_out);
}

static const struct hd_exchange_events exchange_events = {.on_body = on_request_body,
                                                          .on_trailers = on_request_trailers,
                                                          .on_bad_body = on_bad_body,
                                                          .on_writable = on_client_writable,
                                                          .on_gone = on_gone};

static void on_timer(struct hd_timer *t)
{
    struct hd_edge_request *r = hd_container_of(t, struct hd_edge_request, timer);
    bool over = r->total_due_ms > 0 && hd_loop_now_ms(r->door->net->loop) >= r->total_due_ms;
    if (r->responded && r->paused_out && !over) {
        watch_stream(r); /* the client is slow, not the function; the server watches that */
        return;
    }
    cancel(r, HD_ETIMEOUT);
    hd_stat_add(&r->stats->rejected[HD_REJECTED_TIMEOUT], r->responded ? 1 : 0);
    judge(r, HD_BREAKER_FAILED);
    if (r->responded)
        break_off(r, "stream_timeout");
    else
        hd_request_answer_plain(r, HD_REJECTED_TIMEOUT, 504, "Function execution timed out",
                                "timeout", 0);
}

/* --- its beginning --- */

struct hd_edge_request *hd_request_new(struct hd_door *d, struct hd_exchange *ex,
                                       struct hd_route *route)
{
    struct hd_edge_request *r = hd_slab_take(&d->requests);
    memset(r, 0, offsetof(struct hd_edge_request, line));
    r->ex = ex;
    r->door = d;
    r->table = d->table;
    r->table->active++;
    d->active++;
    r->route = route;
    r->stats = hd_stats_share(route->stats, d->loop_index);
    hd_stat_in_flight(r->stats, 1);
    r->start_us = hd_clock_us();
    hd_uuid7(r->id, &d->net->rng, hd_net_unix_ms(d->net));
    ex->door = r;
    ex->events = &exchange_events;
    return r;
}

void hd_request_start(struct hd_edge_request *r, const struct hd_channel_options *opt,
                      const struct hd_request_head *head, struct hd_str body, bool end)
{
    struct hd_door *d = r->door;
    uint32_t timeout = hd_route_timeout_ms(r->route);
    r->started = true;
    r->inv.events = &invocation_events;
    if (r->route->by_event) {
        struct hd_edge_asks asks = {
            .function = hd_str(r->route->fn->name), .id = r->id, .ip = r->ip, .who = r->who};
        d->edge->attach(d->edge->arg, d->loop_index, &r->inv, &asks);
    } else {
        hd_channel_attach(d->channel, &r->inv, r->route->pool, opt);
    }
    if (d->edge->total_timeout_ms > 0)
        r->total_due_ms = hd_loop_now_ms(d->net->loop) + d->edge->total_timeout_ms;
    watch(r, timeout);
    hd_exchange_continue(r->ex);
    hd_invocation_start(&r->inv, head, body, end);
}
