/* A function URL: HTTP in, payload 2.0 to the function, HTTP out.
 *
 * body here ─► whose URL ─► CORS ─► may he ─► event ─► call ─┬► result ─► answer
 *                                                             └► stream ─► (prelude) head ─► pieces
 */
#include "core/ipaddr.h"
#include "invoke/xray.h"
#include "lambda/door/door_private.h"
#include "lambda/policy.h"
#include "lambda/door/urlevent.h"

#include <ctype.h>

enum { URL_FIELDS_MAX = HD_URL_FIELDS_MAX + HD_URL_CORS_FIELDS + 2 };

static const char forbidden[] =
    "{\"Message\":\"Forbidden. For troubleshooting Function URL authorization issues, see: "
    "https://docs.aws.amazon.com/lambda/latest/dg/urls-auth.html\"}";

/* --- answers --- */

/* The fields that every answer of this URL has. */
static size_t common_fields(struct hd_door_request *r, struct hd_field *f)
{
    size_t n = 0;
    f[n++] = (struct hd_field){HD_LIT("x-amzn-RequestId"), hd_str(r->id)};
    for (size_t i = 0; i < r->cors.n_fields; i++)
        f[n++] = r->cors.fields[i];
    return n;
}

static void reply(struct hd_door_request *r, unsigned status, const char *type, struct hd_str body)
{
    struct hd_field f[HD_URL_CORS_FIELDS + 2];
    size_t n = common_fields(r, f);
    f[n++] = (struct hd_field){HD_LIT("content-type"), hd_str(type)};
    hd_door_reply(r, status, f, n, body);
}

static void reply_forbidden(struct hd_door_request *r)
{
    struct hd_field f[HD_URL_CORS_FIELDS + 3];
    size_t n = common_fields(r, f);
    f[n++] = (struct hd_field){HD_LIT("content-type"), HD_LIT("application/json")};
    f[n++] = (struct hd_field){HD_LIT("x-amzn-ErrorType"), HD_LIT("AccessDeniedException")};
    hd_door_reply(r, 403, f, n, hd_str(forbidden));
}

static void reply_broken(struct hd_door_request *r)
{
    reply(r, 502, "text/plain", hd_str("Internal Server Error"));
}

static size_t answer_fields(struct hd_door_request *r, const struct hd_url_answer *a,
                            struct hd_field *f)
{
    size_t n = common_fields(r, f);
    for (size_t i = 0; i < a->n_fields && n < URL_FIELDS_MAX; i++) {
        if (!r->cors_given || !hd_url_cors_owns(a->fields[i].name))
            f[n++] = a->fields[i];
    }
    return n;
}

static void reply_result(struct hd_door_request *r, struct hd_str payload)
{
    struct hd_url_answer a;
    struct hd_field f[URL_FIELDS_MAX];
    struct hd_error err;
    if (hd_url_answer_read(&a, payload, &err) < 0) {
        hd_log(r->door->edge->log, HD_WARN, "function URL: the answer cannot be sent",
               hd_kv_str("function", r->target->name), hd_kv_str("id", r->id),
               hd_kv_str("error", err.msg));
        reply_broken(r);
        return;
    }
    size_t n = answer_fields(r, &a, f);
    hd_door_reply(r, a.status, f, n, a.body); /* may free r */
    hd_url_answer_done(&a);
}

static void reply_failure(struct hd_door_request *r, const struct hd_call_result *result)
{
    if (result->outcome == HD_CALL_THROTTLED)
        reply(r, 429, "application/json",
              hd_str("{\"Reason\":null,\"Type\":null,\"message\":"
                     "\"Rate Exceeded.\"}"));
    else
        reply_broken(r);
}

static void on_end(void *arg, const struct hd_call_result *result)
{
    struct hd_door_request *r = arg;
    r->call = NULL;
    if (result->outcome == HD_CALL_OK)
        reply_result(r, result->payload);
    else
        reply_failure(r, result);
}

static const struct hd_call_events buffered_events = {.on_end = on_end};

/* --- streams --- */

static bool respond(struct hd_door_request *r, unsigned status, const struct hd_field *f, size_t n,
                    struct hd_str body)
{
    struct hd_response_head head = {
        .status = status, .fields = f, .n_fields = n, .body_bytes = HD_BODY_UNKNOWN};
    r->responded = true;
    return hd_exchange_respond(r->ex, &head, body, false);
}

static void on_stream_head(void *arg, const struct hd_call_head *head)
{
    struct hd_door_request *r = arg;
    struct hd_field f[HD_URL_CORS_FIELDS + 2];
    if (head->streaming && hd_url_has_prelude(head->content_type)) {
        r->in_prelude = true;
        return;
    }
    size_t n = common_fields(r, f);
    f[n++] = (struct hd_field){HD_LIT("content-type"), head->streaming && head->content_type.len > 0
                                                           ? head->content_type
                                                           : hd_str("application/octet-stream")};
    respond(r, 200, f, n, hd_str_n(NULL, 0));
}

/* @return whether more may come; r->in_prelude stays set where the prelude is none. */
static bool feed_prelude(struct hd_door_request *r, struct hd_str bytes)
{
    size_t used;
    struct hd_url_answer a;
    struct hd_field f[URL_FIELDS_MAX];
    if (hd_url_prelude_feed(&r->prelude, &used, bytes, NULL) <= 0 ||
        hd_url_prelude_answer(&a, &r->prelude, NULL) < 0)
        return true; /* more is needed, or it is broken: then the end tells */
    r->in_prelude = false;
    size_t n = answer_fields(r, &a, f);
    bool flows = respond(r, a.status, f, n, hd_str_n(bytes.ptr + used, bytes.len - used));
    hd_url_answer_done(&a);
    return hd_door_streamed(r, flows);
}

static bool on_stream_data(void *arg, struct hd_str bytes)
{
    struct hd_door_request *r = arg;
    if (!hd_door_may_stream(r, bytes.len))
        return true; /* the end breaks it off */
    if (r->in_prelude)
        return feed_prelude(r, bytes);
    return hd_door_streamed(r, hd_exchange_write(r->ex, bytes, false));
}

static void on_stream_end(void *arg, const struct hd_call_result *result)
{
    struct hd_door_request *r = arg;
    struct hd_exchange *ex = r->ex;
    r->call = NULL;
    if (!r->responded) {
        if (result->outcome == HD_CALL_OK)
            reply_broken(r); /* a prelude without an end */
        else
            reply_failure(r, result);
        return;
    }
    r->ex = NULL;
    if (result->outcome == HD_CALL_OK && !r->too_much)
        hd_exchange_write(ex, hd_str_n(NULL, 0), true);
    else
        hd_exchange_abort(ex); /* so that the client notices */
    hd_door_end(r);
}

static const struct hd_call_events stream_events = {
    .on_head = on_stream_head, .on_data = on_stream_data, .on_end = on_stream_end};

/* --- who may --- */

static bool policy_allows(const struct hd_door_request *r, const struct hd_view_url *url,
                          const char *auth)
{
    const char *q = url->qualifier;
    hd_auto_free char *arn =
        hd_printf("%s%s%s", url->fn->arn, q != NULL ? ":" : "", q != NULL ? q : "");
    struct hd_policy_query query = {.action = HD_LIT("lambda:InvokeFunctionUrl"),
                                    .resource = hd_str(arn),
                                    .owner = hd_str(url->fn->account),
                                    .url_auth_type = hd_str(auth),
                                    .via_url = true};
    if (url->iam) {
        query.account = hd_str(r->who.account);
        query.principal = hd_str(r->who.principal);
    }
    return hd_policies_allow(url->fn->policies, &query);
}

static bool may(struct hd_door_request *r, const struct hd_view_url *url)
{
    struct hd_lambda_door *d = r->door;
    if (!url->iam)
        return d->edge->url_open || policy_allows(r, url, "NONE");
    struct hd_who_rules rules = d->edge->who;
    struct hd_sigv4_request req = {.method = r->at.method,
                                   .path = r->at.path,
                                   .query = r->at.query,
                                   .authority = r->at.host,
                                   .fields = r->at.fields,
                                   .n_fields = r->at.n_fields,
                                   .body_sha256 = r->hashed ? r->hash : NULL};
    rules.rule = HD_WHO_REQUIRED;
    rules.bearer = hd_str(""); /* the control API's key is none of a function's callers' */
    return hd_who_check(&r->who, &rules, &req, d->keys, hd_net_unix_ms(d->net) / 1000) == 0 &&
           policy_allows(r, url, "AWS_IAM");
}

/* --- the call --- */

static const struct hd_field *field(const struct hd_door_view *v, const char *name)
{
    for (size_t i = 0; i < v->n_fields; i++) {
        if (hd_str_is_nocase(v->fields[i].name, name))
            return &v->fields[i];
    }
    return NULL;
}

static struct hd_str value_of(const struct hd_door_view *v, const char *name)
{
    const struct hd_field *f = field(v, name);
    return f != NULL ? f->value : hd_str_n(NULL, 0);
}

static struct hd_request_head head_of(const struct hd_door_view *v)
{
    return (struct hd_request_head){.method = v->method,
                                    .path = v->target,
                                    .authority = v->host,
                                    .fields = v->fields,
                                    .n_fields = v->n_fields,
                                    .body_bytes = (int64_t)v->body.len};
}

static int make_event(struct hd_door_request *r, const struct hd_view_url *url, const char *xray,
                      struct hd_buf *out)
{
    struct hd_lambda_door *d = r->door;
    struct hd_request_head head = head_of(&r->at);
    char ip[HD_IPADDR_CHARS + 1] = "";
    struct hd_str domain = r->at.host;
    domain.len = hd_str_find(domain, ':');
    d->edge->client_ip(d->edge->arg, r->ex, r->at.fields, r->at.n_fields, ip);
    struct hd_url_iam iam = {.access_key = hd_str(r->who.key_id),
                             .account = hd_str(r->who.account),
                             .arn = hd_str(r->who.principal),
                             .user_id = hd_str(r->who.key_id)};
    struct hd_url_request req = {.head = &head,
                                 .body = r->at.body,
                                 .id = hd_str(url->id),
                                 .domain = domain,
                                 .source_ip = hd_str(ip),
                                 .scheme = HD_LIT("http"),
                                 .port = d->edge->public_port,
                                 .protocol = HD_LIT("HTTP/1.1"),
                                 .trace = hd_str(xray),
                                 .request_id = hd_str(r->id),
                                 .iam = url->iam ? &iam : NULL,
                                 .now_unix_ms = hd_net_unix_ms(d->net)};
    return hd_url_event(out, &req, NULL);
}

static void call(struct hd_door_request *r, const struct hd_view_url *url)
{
    struct hd_buf event;
    struct hd_trace trace;
    char xray[HD_XRAY_CHARS];
    struct hd_net *net = r->door->net;
    const char *q = url->qualifier;
    hd_buf_init(&event, HD_INVOCATION_EVENT_BYTES);
    hd_xray_continue(&trace, xray, value_of(&r->at, "x-amzn-trace-id"),
                     value_of(&r->at, "traceparent"), &net->rng, hd_net_unix_ms(net) / 1000);
    if (make_event(r, url, xray, &event) < 0) {
        hd_buf_done(&event);
        reply(r, 413, "application/json", hd_str("{\"message\":\"Request Entity Too Large\"}"));
        return;
    }
    hd_auto_free char *arn =
        hd_printf("%s%s%s", url->fn->arn, q != NULL ? ":" : "", q != NULL ? q : "");
    struct hd_call_request how = {.event = hd_buf_view(&event),
                                  .request_id = r->id,
                                  .invoked_arn = hd_str(arn),
                                  .trace = hd_str(xray),
                                  .source = "url",
                                  .want_stream = url->stream};
    r->call = hd_call_start(r->door->caller, r->target, &how,
                            url->stream ? &stream_events : &buffered_events, r);
    hd_buf_done(&event);
}

static const struct hd_view_url *find(struct hd_door_request *r)
{
    char id[64];
    struct hd_url_host host;
    if (r->door->view == NULL || r->url_id.len > sizeof(id) ||
        !hd_url_host_parse(&host, r->at.host, hd_str(r->door->edge->url_domain)))
        return NULL;
    for (size_t i = 0; i < r->url_id.len; i++)
        id[i] = (char)tolower((unsigned char)r->url_id.ptr[i]);
    const struct hd_view_url *url = hd_view_url(r->door->view, hd_str_n(id, r->url_id.len));
    return url != NULL && hd_str_eq_nocase(host.region, hd_str(url->fn->region)) ? url : NULL;
}

void hd_door_url_ready(struct hd_door_request *r, const struct hd_door_view *v)
{
    hd_door_keep(r, v);
    const struct hd_view_url *url = find(r);
    if (url == NULL) {
        reply(r, 403, "application/json", hd_str("{\"Message\":null}"));
        return;
    }
    if (!r->cors_given && url->cors.given) {
        struct hd_request_head head = head_of(&r->at);
        r->cors_given = true;
        hd_url_cors_decide(&r->cors, &url->cors, &head);
        if (r->cors.preflight) {
            struct hd_field f[HD_URL_CORS_FIELDS + 2];
            hd_door_reply(r, 200, f, common_fields(r, f), hd_str_n(NULL, 0));
            return;
        }
    }
    if (!may(r, url)) {
        reply_forbidden(r);
        return;
    }
    double random = (double)(hd_rng_next(&r->door->net->rng) >> 11) / (double)(1ULL << 53);
    const struct hd_view_version *version =
        hd_view_resolve(url->fn, hd_str(url->qualifier), random);
    if (version == NULL) {
        reply_broken(r);
    } else if (version->state == HD_LAMBDA_PENDING) {
        hd_door_wait(r);
    } else {
        r->target = hd_target_ref(version->target);
        hd_timer_stop(r->door->net->loop, &r->timer);
        call(r, url);
    }
}
