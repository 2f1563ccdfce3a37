/*   on_request ──whole body at hand──────────────► ready ─► an operation, Invoke, or a URL's call
 *       └──► keep the head, gather the body ───────►┘            │
 *                │ too large, broken, gone                       ▼
 *                ▼                                            answered
 *            answered                                            │
 *                └────────────────► end ◄────────────────────────┘
 * A client that goes away leaves a request without an exchange; what runs for it runs to its end.
 */
#include "lambda/door/door.h"

#include "core/ipaddr.h"
#include "core/work.h"
#include "lambda/door/door_private.h"
#include "lambda/door/rights.h"
#include "lambda/door/urlevent.h"
#include "lambda/api/api_routes.h"

#include <stdio.h>

enum {
    HASH_HERE_MAX = 1 << 20, /* longer bodies are hashed on a work thread */
    MEMORY_MAX = 512 * 1024, /* a head */
    LOGS_BODY_MAX = 1 << 20,
};

/* --- life --- */

static struct hd_door_request *make(struct hd_lambda_door *d, struct hd_exchange *ex)
{
    struct hd_door_request *r = hd_slab_take(&d->requests);
    memset(r, 0, offsetof(struct hd_door_request, ask));
    r->who.account[0] = r->who.region[0] = r->who.key_id[0] = r->who.principal[0] = '\0';
    r->who.checked = false;
    r->pace = (struct hd_pace){.bytes = 0};
    r->waits = r->too_much = false;
    r->prelude = (struct hd_url_prelude){.nuls = 0};
    r->cors = (struct hd_url_cors_answer){.n_fields = 0};
    r->in_prelude = r->cors_given = false;
    r->url_id = hd_str_n(NULL, 0);
    r->logs = hd_str_n(NULL, 0);
    r->ask.context = (struct hd_buf){.max = 0};
    r->door = d;
    r->ex = ex;
    hd_list_init(&r->link);
    hd_arena_init(&r->memory, r->room, sizeof(r->room), MEMORY_MAX);
    hd_uuid4(r->id, &d->net->rng);
    ex->door = r;
    d->active++;
    return r;
}

void hd_door_end(struct hd_door_request *r)
{
    struct hd_lambda_door *d = r->door;
    if (r->busy || r->call != NULL || r->file != NULL || r->ex != NULL)
        return;
    hd_timer_stop(d->net->loop, &r->timer);
    hd_list_remove(&r->link);
    hd_arena_done(&r->memory);
    hd_buf_done(&r->body);
    hd_invocation_done(&r->ask);
    hd_url_prelude_done(&r->prelude);
    if (r->cors_given)
        hd_url_cors_done(&r->cors);
    hd_target_unref(r->target);
    d->active--;
    hd_slab_put(&d->requests, r);
}

static struct hd_str copy(struct hd_arena *a, struct hd_str s)
{
    return s.ptr != NULL ? hd_arena_str(a, s) : s;
}

void hd_door_keep(struct hd_door_request *r, const struct hd_door_view *v)
{
    if (r->kept)
        return;
    struct hd_field *fields =
        hd_arena_alloc(&r->memory, HD_MAX(v->n_fields, (size_t)1) * sizeof(*fields));
    for (size_t i = 0; fields != NULL && i < v->n_fields; i++)
        fields[i] = (struct hd_field){copy(&r->memory, v->fields[i].name),
                                      copy(&r->memory, v->fields[i].value)};
    r->at = (struct hd_door_view){.method = copy(&r->memory, v->method),
                                  .target = copy(&r->memory, v->target),
                                  .path = copy(&r->memory, v->path),
                                  .query = copy(&r->memory, v->query),
                                  .host = copy(&r->memory, v->host),
                                  .fields = fields,
                                  .n_fields = fields != NULL ? v->n_fields : 0};
    if (v->body.len > 0 && r->body.len == 0)
        hd_buf_str(&r->body, v->body);
    r->at.body = hd_buf_view(&r->body);
    r->kept = true;
}

/* --- answers --- */

void hd_door_reply(struct hd_door_request *r, unsigned status, const struct hd_field *fields,
                   size_t n, struct hd_str body)
{
    struct hd_exchange *ex = r->ex;
    struct hd_response_head head = {
        .status = status, .fields = fields, .n_fields = n, .body_bytes = (int64_t)body.len};
    r->ex = NULL;
    if (ex != NULL)
        hd_exchange_respond(ex, &head, body, true);
    hd_door_end(r);
}

void hd_door_fail(struct hd_door_request *r, enum hd_api_error e, struct hd_str message,
                  const char *reason)
{
    struct hd_field f[4] = {{HD_LIT("content-type"), HD_LIT("application/json")},
                            {HD_LIT("x-amzn-RequestId"), hd_str(r->id)},
                            {HD_LIT("x-amzn-ErrorType"), hd_str(hd_api_error_name(e))}};
    size_t n = 3;
    if (e == HD_API_TOO_MANY)
        f[n++] = (struct hd_field){HD_LIT("Retry-After"), HD_LIT("1")};
    struct hd_buf body;
    hd_buf_init(&body, 16384 + message.len * 6);
    if (r->logs.len > 0) { /* that service's clients look for the type here */
        hd_buf_fmt(&body, "{\"__type\":\"%s\",\"message\":", hd_api_error_name(e));
        hd_buf_json(&body, message);
        hd_buf_char(&body, '}');
    } else {
        hd_api_error_body(&body, e, message, reason);
    }
    hd_door_reply(r, hd_api_error_status(e), f, n, hd_buf_view(&body));
    hd_buf_done(&body);
}

void hd_door_failf(struct hd_door_request *r, enum hd_api_error e, const char *fmt, ...)
{
    char text[1024];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    hd_door_fail(r, e, hd_str(text), NULL);
}

/* --- operations of the API --- */

static void on_operation_done(void *arg, const struct hd_api_answer *a)
{
    struct hd_door_request *r = arg;
    char retry[16];
    struct hd_field f[HD_DOOR_FIELDS_MAX] = {{HD_LIT("x-amzn-RequestId"), hd_str(r->id)}};
    size_t n = 1;
    r->busy = false;
    if (a->file != NULL) {
        hd_door_send_file(r, a->file);
        return;
    }
    if (a->body.len > 0)
        f[n++] = (struct hd_field){HD_LIT("content-type"), HD_LIT("application/json")};
    if (a->error_type != NULL)
        f[n++] = (struct hd_field){HD_LIT("x-amzn-ErrorType"), hd_str(a->error_type)};
    if (a->retry_after_s > 0) {
        snprintf(retry, sizeof(retry), "%u", a->retry_after_s);
        f[n++] = (struct hd_field){HD_LIT("Retry-After"), hd_str(retry)};
    }
    hd_door_reply(r, a->status, f, n, a->body);
}

static void operate(struct hd_door_request *r, const struct hd_door_view *v)
{
    hd_auto_free char *base =
        hd_printf("http://%.*s", HD_FMT(v->host.len > 0 ? v->host : hd_str_n("localhost", 9)));
    struct hd_rights_refusal no;
    const struct hd_rights_request asks = {v->method, v->path, v->query};
    if (!hd_rights_ask(&no, &r->who, r->door->view, &asks)) {
        hd_door_failf(r, HD_API_DENIED,
                      "User: %s is not authorized to perform: lambda:%s on resource: %s because no "
                      "resource-based policy allows the lambda:%s action",
                      r->who.principal, no.operation, no.resource, no.operation);
        return;
    }
    struct hd_api_request request = {.method = v->method,
                                     .path = v->path,
                                     .query = v->query,
                                     .body = v->body,
                                     .base_url = hd_str(base),
                                     .request_id = hd_str(r->id),
                                     .caller = hd_who_caller(&r->who)};
    if (r->door->edge->api == NULL) {
        hd_door_failf(r, HD_API_SERVICE, "This node has no store of functions.");
        return;
    }
    r->busy = true;
    hd_api_handle(r->door->edge->api, &request, r->door->net->loop, on_operation_done, r);
}

static void on_logs_done(void *arg, const struct hd_logs_answer *a)
{
    struct hd_door_request *r = arg;
    struct hd_field f[] = {{HD_LIT("x-amzn-RequestId"), hd_str(r->id)},
                           {HD_LIT("content-type"), HD_LIT("application/x-amz-json-1.1")},
                           {HD_LIT("x-amzn-ErrorType"), hd_str(a->error_type)}};
    r->busy = false;
    hd_door_reply(r, a->status, f, a->error_type != NULL ? 3 : 2, a->body);
}

static void read_logs(struct hd_door_request *r, const struct hd_door_view *v)
{
    if (r->who.function[0] != '\0') {
        hd_door_failf(r, HD_API_DENIED, "User: %s is not authorized to perform: logs:%.*s",
                      r->who.principal, HD_FMT(r->logs));
        return;
    }
    struct hd_logs_request request = {.operation = r->logs,
                                      .body = v->body,
                                      .account = hd_str(r->who.account),
                                      .region = hd_str(r->who.region)};
    r->busy = true;
    hd_logs_handle(r->door->edge->logs, &request, r->door->net->loop, on_logs_done, r);
}

/* --- who is it --- */

static struct hd_sigv4_request to_check(const struct hd_door_request *r,
                                        const struct hd_door_view *v)
{
    return (struct hd_sigv4_request){.method = v->method,
                                     .path = v->path,
                                     .query = v->query,
                                     .authority = v->host,
                                     .fields = v->fields,
                                     .n_fields = v->n_fields,
                                     .body_sha256 = r->hashed ? r->hash : NULL};
}

/* @return whether a Host is an address, or a name that can only be this machine. */
static bool is_plain_host(struct hd_str host, const char *own)
{
    struct hd_ipaddr address;
    static const struct hd_str local = HD_LIT(".localhost");
    if (host.len > 0 && host.ptr[0] == '[')
        return true;
    host.len = hd_str_find(host, ':');
    return host.len == 0 || hd_ipaddr_parse(&address, host) == 0 ||
           hd_str_is_nocase(host, "localhost") || hd_str_is_nocase(host, own) ||
           (host.len > local.len &&
            hd_str_eq_nocase(hd_str_n(host.ptr + host.len - local.len, local.len), local));
}

/* A page of some other site that a browser has open here must not reach what takes every request;
 * nor one whose name somebody lets point here. */
static bool is_foreign(const struct hd_door_request *r, const struct hd_door_view *v)
{
    if (r->who.checked)
        return false;
    if (!is_plain_host(v->host, r->door->edge->host_name))
        return true;
    for (size_t i = 0; i < v->n_fields; i++) {
        const struct hd_field *f = &v->fields[i];
        if (hd_str_is_nocase(f->name, "origin") ||
            (hd_str_is_nocase(f->name, "sec-fetch-site") && !hd_str_is(f->value, "none") &&
             !hd_str_is(f->value, "same-origin")))
            return true;
    }
    return false;
}

static void go_on(struct hd_door_request *r, const struct hd_door_view *v)
{
    struct hd_lambda_door *d = r->door;
    struct hd_sigv4_request req = to_check(r, v);
    if (hd_api_is_download(v->path)) {
        operate(r, v); /* it has a signature of ours */
        return;
    }
    struct hd_who_rules rules = d->edge->who;
    rules.service = r->logs.len > 0 ? "logs" : NULL;
    if (hd_who_check(&r->who, &rules, &req, d->keys, hd_net_unix_ms(d->net) / 1000) < 0)
        hd_door_fail(r, r->who.fault, hd_str(r->who.message), NULL);
    else if (is_foreign(r, v))
        hd_door_failf(
            r, HD_API_DENIED,
            "Requests of web pages, and for other hosts than this machine, are taken only "
            "with a signature that is checked; see lambda.keys.");
    else if (r->op != HD_INVOKE_NONE)
        hd_door_invoke(r, v);
    else if (r->logs.len > 0)
        read_logs(r, v);
    else
        operate(r, v);
}

/* Hashing, off the loop. */
struct hashing {
    struct hd_door_request *request;
    struct hd_str body;
    unsigned char out[HD_SHA256_BYTES];
};

static void hash(void *arg)
{
    struct hashing *h = arg;
    hd_sigv4_hash(h->out, h->body);
}

static void on_hashed(void *arg)
{
    struct hashing *h = arg;
    struct hd_door_request *r = h->request;
    memcpy(r->hash, h->out, sizeof(r->hash));
    free(h);
    r->busy = false;
    r->hashed = true;
    if (r->ex == NULL)
        hd_door_end(r);
    else if (r->url)
        hd_door_url_ready(r, &r->at);
    else
        go_on(r, &r->at);
}

/* @return whether a work thread does it. */
static bool hash_elsewhere(struct hd_door_request *r, const struct hd_door_view *v)
{
    if (v->body.len <= HASH_HERE_MAX)
        return false;
    struct hashing *h = hd_new(struct hashing);
    hd_door_keep(r, v);
    *h = (struct hashing){.request = r, .body = r->at.body};
    if (hd_work(r->door->net->loop, hash, on_hashed, h, NULL) == 0) {
        r->busy = true;
        return true;
    }
    free(h);
    return false;
}

/* The whole body is here. */
static void ready(struct hd_door_request *r, const struct hd_door_view *v)
{
    struct hd_sigv4_request req = to_check(r, v);
    struct hd_who_rules rules = r->door->edge->who;
    if (r->url) /* where a signature is wanted it is checked, whatever the setting says */
        rules.rule = HD_WHO_REQUIRED;
    if (hd_who_needs_hash(&rules, &req)) {
        if (hash_elsewhere(r, v))
            return;
        hd_sigv4_hash(r->hash, v->body);
        r->hashed = true;
    }
    if (r->url)
        hd_door_url_ready(r, v);
    else
        go_on(r, v);
}

/* --- bodies --- */

static void too_large(struct hd_door_request *r)
{
    struct hd_api_route route;
    const char *name = hd_invoke_op_name(r->op);
    if (r->url) {
        static const struct hd_field f[] = {{HD_LIT("content-type"), HD_LIT("application/json")}};
        hd_door_reply(r, 413, f, 1, hd_str("{\"message\":\"Request Entity Too Large\"}"));
        return;
    }
    if (r->op == HD_INVOKE_CALL || r->op == HD_INVOKE_STREAM)
        name = "InvokeFunction";
    else if (hd_api_find(&route, r->at.method, r->at.path, r->at.query) == HD_API_ROUTED)
        name = route.operation->name;
    hd_door_failf(r, HD_API_ENTITY_TOO_LARGE,
                  "Request must be smaller than %llu bytes for the %s operation",
                  (unsigned long long)r->body_max, name);
}

static void on_body(struct hd_exchange *ex, struct hd_str bytes, bool end)
{
    struct hd_door_request *r = ex->door;
    if (r->responded || r->busy || r->call != NULL)
        return; /* it is answered without it */
    if (!r->dropping)
        hd_buf_str(&r->body, bytes);
    if (hd_buf_failed(&r->body)) {
        hd_buf_done(&r->body);
        r->dropping = true;
    }
    /* Who is still sending does not look for an answer: most clients see a broken pipe instead. */
    if (r->dropping) {
        if (end || ex->body_in > HD_DOOR_BODY_MAX)
            too_large(r);
        return;
    }
    if (!end)
        return;
    r->at.body = hd_buf_view(&r->body);
    ready(r, &r->at);
}

static void on_bad_body(struct hd_exchange *ex, unsigned status, const char *why)
{
    struct hd_door_request *r = ex->door;
    struct hd_field f[] = {{HD_LIT("x-amzn-RequestId"), hd_str(r->id)}};
    (void)why;
    hd_door_reply(r, status, f, 1, hd_str_n(NULL, 0));
}

static void on_writable(struct hd_exchange *ex)
{
    struct hd_door_request *r = ex->door;
    if (r->file != NULL)
        hd_door_file_writable(r);
    else if (r->call != NULL && !r->waits)
        hd_call_resume(r->call);
}

static void on_gone(struct hd_exchange *ex, enum hd_gone why)
{
    struct hd_door_request *r = ex->door;
    (void)why;
    r->ex = NULL;
    if (r->call != NULL) { /* the function runs to its end, as the service has it */
        hd_call_cancel(r->call, true);
        r->call = NULL;
    }
    if (r->file != NULL)
        hd_door_file_gone(r); /* may free r */
    else
        hd_door_end(r);
}

static const struct hd_exchange_events exchange_events = {
    .on_body = on_body, .on_bad_body = on_bad_body, .on_writable = on_writable, .on_gone = on_gone};

static void begin(struct hd_door_request *r, const struct hd_head *head, struct hd_str body,
                  bool end)
{
    struct hd_door_view v = {.method = head->method,
                             .target = head->target,
                             .path = head->path,
                             .query = head->query,
                             .host = head->host,
                             .fields = head->fields,
                             .n_fields = head->n_fields,
                             .body = body};
    r->ex->events = &exchange_events;
    hd_buf_init(&r->body, r->body_max);
    bool announced = head->body_bytes > 0 && (uint64_t)head->body_bytes > r->body_max;
    if (end && !announced && body.len <= r->body_max) {
        ready(r, &v);
        return;
    }
    v.body = hd_str_n(NULL, 0);
    hd_door_keep(r, &v);
    bool hopeless = r->ex->expects || head->body_bytes > HD_DOOR_BODY_MAX;
    if ((announced && hopeless) || (end && (announced || body.len > r->body_max))) {
        too_large(r);
        return;
    }
    r->dropping = announced;
    if (!announced)
        hd_buf_str(&r->body, body);
    hd_exchange_continue(r->ex);
}

/* --- the two listeners --- */

/* All of that service's requests go to "/". */
static struct hd_str logs_operation(const struct hd_lambda_door *d, const struct hd_head *head)
{
    static const struct hd_str root = HD_LIT("/");
    if (d->edge->logs == NULL || !hd_str_eq(head->path, root) || !hd_str_is(head->method, "POST"))
        return hd_str_n(NULL, 0);
    const struct hd_field *f = hd_head_find(head, "x-amz-target");
    return f != NULL ? hd_logs_operation(f->value) : hd_str_n(NULL, 0);
}

void hd_lambda_door_request(void *door, struct hd_exchange *ex, const struct hd_head *head,
                            struct hd_str body, bool end)
{
    struct hd_lambda_door *d = door;
    struct hd_str name;
    enum hd_invoke_op op = hd_invocation_op(head->method, head->path, &name);
    struct hd_str logs = logs_operation(d, head);
    if (op == HD_INVOKE_NONE && logs.len == 0 && !hd_api_is_path(head->path)) {
        d->edge->on_other(d->edge->arg, ex, head);
        return;
    }
    struct hd_door_request *r = make(d, ex);
    r->op = op;
    if (logs.len > 0)
        r->logs = hd_arena_str(&r->memory, logs);
    r->body_max = logs.len > 0            ? LOGS_BODY_MAX
                  : op == HD_INVOKE_NONE  ? HD_DOOR_BODY_MAX
                  : op == HD_INVOKE_ASYNC ? HD_INVOCATION_ASYNC_BYTES
                                          : HD_INVOCATION_EVENT_BYTES;
    begin(r, head, body, end);
}

bool hd_lambda_door_url(struct hd_lambda_door *d, struct hd_exchange *ex,
                        const struct hd_head *head, struct hd_str body, bool end)
{
    struct hd_url_host host;
    if (!hd_url_host_parse(&host, head->host, hd_str(d->edge->url_domain)))
        return false;
    struct hd_door_request *r = make(d, ex);
    r->url = true;
    r->url_id = hd_arena_str(&r->memory, host.id);
    r->body_max = HD_INVOCATION_EVENT_BYTES;
    begin(r, head, body, end);
    return true;
}

void hd_lambda_door_set_view(struct hd_lambda_door *d, struct hd_view *view)
{
    hd_view_unref(d->view);
    d->view = view;
    hd_door_look_again(d);
}

struct hd_lambda_door *hd_lambda_door_new(const struct hd_lambda_edge *edge, struct hd_net *net,
                                          struct hd_caller *caller)
{
    struct hd_lambda_door *d = hd_new(struct hd_lambda_door);
    d->edge = edge;
    d->net = net;
    d->caller = caller;
    d->keys = hd_sigv4_keys_new();
    hd_slab_init(&d->requests, sizeof(struct hd_door_request), 256);
    hd_list_init(&d->pending);
    hd_buf_init(&d->frame, HD_NET_READ_BYTES * (size_t)4 + (8 << 20));
    return d;
}

void hd_lambda_door_free(struct hd_lambda_door *d)
{
    if (d == NULL)
        return;
    hd_view_unref(d->view);
    hd_sigv4_keys_free(d->keys);
    hd_slab_done(&d->requests);
    hd_buf_done(&d->frame);
    free(d);
}

void hd_lambda_door_close(struct hd_lambda_door *d)
{
    struct hd_list *item;
    while ((item = hd_list_pop(&d->pending)) != NULL) {
        struct hd_door_request *r = hd_container_of(item, struct hd_door_request, link);
        r->busy = false;
        hd_door_failf(r, HD_API_SERVICE, "The node is ending.");
    }
}

unsigned hd_lambda_door_active(const struct hd_lambda_door *d)
{
    return d->active;
}
