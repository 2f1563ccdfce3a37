/*  GATHERING ──whole body──► CALLED ──head of a stream──► STREAMING ──► over
 *      │ cannot be called        │ result, failure
 *      ▼                         ▼
 *    FAILED ──next turn──►     over
 * Whatever ends it, end() frees it before the door is told. */
#include "lambda/door/edgecall.h"

#include "core/arena.h"
#include "core/base64.h"
#include "core/log.h"
#include "http/parse.h"
#include "invoke/xray.h"
#include "lambda/door/invocation.h"
#include "lambda/door/urlanswer.h"
#include "lambda/door/urlevent.h"

#include <errno.h>

enum { HEAD_ROOM = 2048, HEAD_MAX = 512 * 1024, CLAIMS_MAX = 64 * 1024, ANSWER_MAX = 8 << 20 };

struct hd_edgecalls {
    struct hd_edgecalls_options opt;
};

struct edge_call {
    struct hd_edgecalls *all;
    struct hd_invocation *inv;
    struct hd_call *call; /* NULL: not called yet, or over */
    struct hd_timer later;
    struct hd_error failure; /* for `later` */
    struct hd_request_head head;
    struct hd_arena memory; /* the head, and what was asked */
    struct hd_edgecall what;
    struct hd_buf body;  /* of the request */
    struct hd_buf whole; /* the result of a function that does not stream */
    struct hd_url_prelude prelude;
    bool streams, in_prelude, responded, paused;
    char room[HEAD_ROOM];
};

/* --- the end --- */

static struct hd_invocation *end(struct edge_call *c)
{
    struct hd_invocation *inv = c->inv;
    hd_timer_stop(c->all->opt.net->loop, &c->later);
    hd_arena_done(&c->memory);
    hd_buf_done(&c->body);
    hd_buf_done(&c->whole);
    hd_url_prelude_done(&c->prelude);
    inv->impl = NULL;
    free(c);
    return inv;
}

static void fail(struct edge_call *c, const struct hd_error *err)
{
    struct hd_error copy = *err;
    struct hd_invocation *inv = end(c);
    inv->events->on_error(inv, &copy);
}

static void on_later(struct hd_timer *t)
{
    struct edge_call *c = hd_container_of(t, struct edge_call, later);
    fail(c, &c->failure);
}

/* The door is told from the loop, and not from inside its own call. */
static void fail_later(struct edge_call *c, const struct hd_error *err)
{
    c->failure = *err;
    hd_timer_start(c->all->opt.net->loop, &c->later, 0, on_later);
}

/* --- what the function answers --- */

static struct hd_response_head head_of(struct hd_url_answer *a, int64_t body_bytes)
{
    return (struct hd_response_head){.status = a->status,
                                     .fields = a->fields,
                                     .n_fields = HD_MIN(a->n_fields, (size_t)HD_HEAD_FIELDS_MAX),
                                     .body_bytes = body_bytes};
}

static void answer(struct edge_call *c)
{
    struct hd_url_answer a;
    struct hd_error err;
    if (hd_url_answer_read(&a, hd_buf_view(&c->whole), &err) < 0) {
        hd_log(c->all->opt.log, HD_WARN, "edge URL: the answer cannot be sent",
               hd_kv_slice("function", c->what.function), hd_kv_str("id", c->what.request_id),
               hd_kv_str("error", err.msg));
        fail(c, &err);
        return;
    }
    struct hd_response_head head = head_of(&a, (int64_t)a.body.len);
    struct hd_buf payload = c->whole; /* the answer's body is a part of it */
    c->whole = (struct hd_buf){.max = 0};
    struct hd_invocation *inv = end(c);
    inv->events->on_response(inv, &head, a.body, true);
    hd_url_answer_done(&a);
    hd_buf_done(&payload);
}

static void on_head(void *arg, const struct hd_call_head *head)
{
    struct edge_call *c = arg;
    c->streams = head->streaming;
    if (!c->streams)
        return;
    if (hd_url_has_prelude(head->content_type)) {
        c->in_prelude = true;
        return;
    }
    struct hd_field type = {HD_LIT("content-type"), head->content_type.len > 0
                                                        ? head->content_type
                                                        : hd_str("application/octet-stream")};
    struct hd_response_head out = {
        .status = 200, .fields = &type, .n_fields = 1, .body_bytes = HD_BODY_UNKNOWN};
    c->responded = true;
    c->inv->events->on_response(c->inv, &out, hd_str_n(NULL, 0), false);
}

static void feed_prelude(struct edge_call *c, struct hd_str bytes)
{
    size_t used;
    struct hd_url_answer a;
    if (hd_url_prelude_feed(&c->prelude, &used, bytes, NULL) <= 0 ||
        hd_url_prelude_answer(&a, &c->prelude, NULL) < 0)
        return; /* more is needed, or it is broken: then the end tells */
    struct hd_response_head head = head_of(&a, HD_BODY_UNKNOWN);
    c->in_prelude = false;
    c->responded = true;
    c->inv->events->on_response(c->inv, &head, hd_str_n(bytes.ptr + used, bytes.len - used), false);
    hd_url_answer_done(&a);
}

static bool on_data(void *arg, struct hd_str bytes)
{
    struct edge_call *c = arg;
    if (!c->streams)
        hd_buf_str(&c->whole, bytes);
    else if (c->in_prelude)
        feed_prelude(c, bytes);
    else
        c->inv->events->on_body(c->inv, bytes, false);
    return !c->paused;
}

static void end_of_stream(struct edge_call *c)
{
    struct hd_invocation *inv = end(c);
    inv->events->on_body(inv, hd_str_n(NULL, 0), true);
}

static struct hd_error why(const struct hd_call_result *result)
{
    struct hd_error err = {.code = 0};
    switch (result->outcome) {
    case HD_CALL_OK:
        hd_fail(&err, HD_EPROTO, "the answer has no end of its head");
        break;
    case HD_CALL_FUNCTION_ERROR:
        hd_fail(&err, hd_str_is(result->error_type, "Sandbox.Timedout") ? HD_ETIMEOUT : HD_EIO,
                "%.*s", HD_FMT(result->error_type));
        break;
    case HD_CALL_THROTTLED:
        hd_fail(&err, HD_EBUSY, "%s", result->reason != NULL ? result->reason : "throttled");
        break;
    case HD_CALL_FAILED:
        err = result->error;
        err.sys = 0;
        if (result->delivered) /* it broke, and may have run */
            err.code = HD_EIO;
        else if (err.code == HD_ETIMEOUT)
            err.code = HD_EBUSY; /* no place in time: it did not run */
        break;
    }
    return err;
}

static void on_end(void *arg, const struct hd_call_result *result)
{
    struct edge_call *c = arg;
    c->call = NULL;
    if (result->outcome == HD_CALL_OK && c->responded) {
        end_of_stream(c);
    } else if (result->outcome == HD_CALL_OK && !c->in_prelude) {
        answer(c);
    } else {
        struct hd_error err = why(result);
        fail(c, &err);
    }
}

static const struct hd_call_events call_events = {
    .on_head = on_head, .on_data = on_data, .on_end = on_end};

/* --- the call --- */

static struct hd_str field(const struct hd_request_head *head, const char *name)
{
    for (size_t i = 0; i < head->n_fields; i++) {
        if (hd_str_is_nocase(head->fields[i].name, name))
            return head->fields[i].value;
    }
    return hd_str_n(NULL, 0);
}

static struct hd_str decode_claims(struct edge_call *c, char *room)
{
    struct hd_str in = c->what.claims;
    if (in.len == 0 || in.len > CLAIMS_MAX)
        return hd_str_n(NULL, 0);
    size_t n;
    return hd_base64_decode(room, &n, HD_BASE64URL, in) == 0 ? hd_str_n(room, n)
                                                             : hd_str_n(NULL, 0);
}

static int make_event(struct edge_call *c, const char *xray, struct hd_buf *out)
{
    struct hd_net *net = c->all->opt.net;
    struct hd_str domain = c->head.authority, scheme = field(&c->head, "x-forwarded-proto");
    hd_auto_free char *claims = malloc(CLAIMS_MAX);
    domain.len = hd_str_find(domain, ':');
    struct hd_url_request req = {.head = &c->head,
                                 .body = hd_buf_view(&c->body),
                                 .id = c->what.function,
                                 .domain = domain,
                                 .source_ip = hd_str(c->what.client_ip),
                                 .scheme = scheme.len > 0 ? scheme : hd_str("http"),
                                 .port = c->all->opt.port,
                                 .protocol = HD_LIT("HTTP/1.1"),
                                 .trace = hd_str(xray),
                                 .request_id = hd_str(c->what.request_id),
                                 .claims =
                                     claims != NULL ? decode_claims(c, claims) : hd_str_n(NULL, 0),
                                 .now_unix_ms = hd_net_unix_ms(net)};
    return hd_url_event(out, &req, NULL);
}

static int begin(struct edge_call *c, struct hd_target *target, struct hd_error *err)
{
    struct hd_buf event;
    struct hd_trace trace;
    char xray[HD_XRAY_CHARS];
    struct hd_net *net = c->all->opt.net;
    hd_buf_init(&event, HD_INVOCATION_EVENT_BYTES);
    hd_xray_continue(&trace, xray, hd_str_n(NULL, 0), field(&c->head, "traceparent"), &net->rng,
                     hd_net_unix_ms(net) / 1000);
    if (make_event(c, xray, &event) < 0) {
        hd_buf_done(&event);
        hd_fail(err, HD_EINVAL, "the event is longer than %d bytes", HD_INVOCATION_EVENT_BYTES);
        err->sys = E2BIG;
        return err->code;
    }
    struct hd_call_request how = {.event = hd_buf_view(&event),
                                  .request_id = c->what.request_id,
                                  .invoked_arn = hd_str(target->arn),
                                  .trace = hd_str(xray),
                                  .source = "edge",
                                  .want_stream = true};
    c->call = hd_call_start(c->all->opt.caller, target, &how, &call_events, c);
    hd_buf_done(&event);
    return 0;
}

static void call(struct edge_call *c)
{
    const struct hd_targets *t = c->all->opt.targets;
    struct hd_error err;
    struct hd_target *target = t->find(t->arg, c->what.function, hd_str_n(NULL, 0), &err);
    int rc = target != NULL ? begin(c, target, &err) : err.code;
    if (target == NULL && rc == HD_EBUSY)
        err.sys = EAGAIN;
    hd_target_unref(target);
    if (rc < 0)
        fail_later(c, &err);
}

/* --- what the door does --- */

static bool is_internal(struct hd_str name)
{
    return name.len > 9 && hd_str_is_nocase(hd_str_n(name.ptr, 9), "x-heddle-");
}

/* Keep what the event needs: the parser's bytes go. */
static void keep_head(struct edge_call *c, const struct hd_request_head *head)
{
    struct hd_arena *a = &c->memory;
    struct hd_field *fields =
        hd_arena_alloc(a, HD_MAX(head->n_fields, (size_t)1) * sizeof(*fields));
    struct hd_str rest = hd_str_n(head->path.ptr + 1, head->path.len - 1);
    size_t n = 0;
    for (size_t i = 0; fields != NULL && i < head->n_fields; i++) {
        if (!is_internal(head->fields[i].name))
            fields[n++] = (struct hd_field){hd_arena_str(a, head->fields[i].name),
                                            hd_arena_str(a, head->fields[i].value)};
    }
    size_t slash = hd_str_find(rest, '/'), query = hd_str_find(rest, '?');
    rest = slash < query ? hd_str_n(rest.ptr + slash, rest.len - slash)
                         : hd_str_n(rest.ptr + query, rest.len - query);
    char *path = hd_arena_alloc(a, rest.len + 1);
    size_t at = rest.len == 0 || rest.ptr[0] != '/';
    if (path != NULL) {
        path[0] = '/';
        memcpy(path + at, rest.ptr, rest.len);
    }
    c->head = (struct hd_request_head){.method = hd_arena_str(a, head->method),
                                       .path = hd_str_n(path, path != NULL ? rest.len + at : 0),
                                       .authority = hd_arena_str(a, head->authority),
                                       .fields = fields,
                                       .n_fields = n};
    c->what = (struct hd_edgecall){
        .function = hd_arena_str(a, c->what.function),
        .request_id = hd_arena_str(a, hd_str(c->what.request_id)).ptr,
        .client_ip = hd_arena_str(a, hd_str(c->what.client_ip)).ptr,
        .claims = c->what.claims.len > 0 ? hd_arena_str(a, c->what.claims) : hd_str_n(NULL, 0)};
}

static bool write_body(struct hd_invocation *inv, struct hd_str bytes, bool last)
{
    struct edge_call *c = inv->impl;
    hd_buf_str(&c->body, bytes);
    if (last && hd_buf_failed(&c->body)) {
        struct hd_error err;
        hd_fail(&err, HD_EINVAL, "the body is longer than %d bytes", HD_INVOCATION_EVENT_BYTES);
        err.sys = E2BIG;
        fail_later(c, &err);
    } else if (last) {
        call(c);
    }
    return true;
}

static void start(struct hd_invocation *inv, const struct hd_request_head *head, struct hd_str body,
                  bool last)
{
    keep_head(inv->impl, head);
    write_body(inv, body, last);
}

static void pause_answer(struct hd_invocation *inv, bool paused)
{
    struct edge_call *c = inv->impl;
    c->paused = paused;
    if (!paused && c->call != NULL)
        hd_call_resume(c->call);
}

static void cancel(struct hd_invocation *inv, int reason)
{
    struct edge_call *c = inv->impl;
    if (c->call != NULL) /* the function runs to its end, as the service has it */
        hd_call_cancel(c->call, reason != HD_ETIMEOUT);
    end(c);
}

static const struct hd_invoker_ops ops = {
    .start = start, .write = write_body, .pause = pause_answer, .cancel = cancel};

void hd_edgecalls_attach(struct hd_edgecalls *e, struct hd_invocation *inv,
                         const struct hd_edgecall *what)
{
    struct edge_call *c = hd_new(struct edge_call);
    c->all = e;
    c->inv = inv;
    c->what = *what;
    hd_arena_init(&c->memory, c->room, sizeof(c->room), HEAD_MAX);
    hd_buf_init(&c->body, HD_INVOCATION_EVENT_BYTES);
    hd_buf_init(&c->whole, ANSWER_MAX);
    inv->ops = &ops;
    inv->impl = c;
}

struct hd_edgecalls *hd_edgecalls_new(const struct hd_edgecalls_options *opt)
{
    struct hd_edgecalls *e = hd_new(struct hd_edgecalls);
    e->opt = *opt;
    return e;
}

void hd_edgecalls_free(struct hd_edgecalls *e)
{
    free(e);
}
