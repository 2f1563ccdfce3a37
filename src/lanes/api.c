/*  request ─► who? ─► which? ─► body ─► hd_lanes_emit(), hd_lanes_call() or a page ─► answer
 * A caller that goes away leaves its emission under way: what was asked for is done. A call ends
 * with its caller. */
#include "lanes/api.h"

#include "core/id.h"
#include "http/path.h"
#include "lanes/cloudevent.h"
#include "lanes/rpcwire.h"
#include "store/queue.h"

#include <jansson.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>

enum { BODY_MAX = 6 << 20, NAME_MAX_BYTES = 200, PROOF_BYTES = 16, LISTED_MAX = 1000 };

struct hd_lane_api {
    struct hd_lane_api_options opt;
    unsigned char secret[HD_LANE_SECRET_BYTES];
    struct hd_server *server; /* NULL: for the admin listener alone */
};

enum body_kind { PLAIN, TYPED, CLOUD_BINARY, CLOUD_STRUCTURED, OCTETS };

struct request {
    struct hd_lane_api *api;
    struct hd_exchange *ex; /* NULL: gone */
    struct hd_buf body;
    enum { EMIT, CALL } what;
    enum body_kind kind;
    bool under_way;
    bool takes_stream;       /* it said so, or sent octets */
    struct hd_journey *call; /* NULL: an emission, or not under way */
    char name[NAME_MAX_BYTES], function[NAME_MAX_BYTES];
    struct hd_arena arena;
    struct hd_str request_id, contexts, traceparent, content_type;
    struct hd_cloud_event cloud;
};

/* --- tokens --- */

static void prove(char hex[2 * PROOF_BYTES + 1], const unsigned char *secret, struct hd_str who)
{
    unsigned char mac[32];
    unsigned n = sizeof(mac);
    HMAC(EVP_sha256(), secret, HD_LANE_SECRET_BYTES, (const unsigned char *)who.ptr, who.len, mac,
         &n);
    hd_hex(hex, mac, PROOF_BYTES);
}

void hd_lane_api_token(char out[HD_LANE_TOKEN_MAX], const unsigned char *secret,
                       const char *function, const char *instance)
{
    char hex[2 * PROOF_BYTES + 1];
    int n = snprintf(out, HD_LANE_TOKEN_MAX, "%.*s.%s", NAME_MAX_BYTES - 1, function, instance);
    prove(hex, secret, hd_str(out));
    snprintf(out + n, HD_LANE_TOKEN_MAX - (size_t)n, ".%s", hex);
}

/* @return the part of @p s before its last dot; *rest: that behind it. Without one, an empty part.
 */
static struct hd_str before_dot(struct hd_str s, struct hd_str *rest)
{
    const char *dot = s.len > 0 ? memrchr(s.ptr, '.', s.len) : NULL;
    size_t n = dot != NULL ? (size_t)(dot - s.ptr) : 0;
    *rest = dot != NULL ? hd_str_n(dot + 1, s.len - n - 1) : s;
    return hd_str_n(s.ptr, n);
}

/* @return whether the token is of an instance that lives; its function's name is in @p function. */
static bool known(const struct hd_lane_api *a, const struct hd_head *head,
                  char function[NAME_MAX_BYTES])
{
    const struct hd_field *f = hd_head_find(head, "authorization");
    struct hd_str token = f != NULL ? hd_lane_token_of(f->name, f->value) : hd_str("");
    struct hd_str proof, instance, who = before_dot(token, &proof),
                                   name = before_dot(who, &instance);
    char hex[2 * PROOF_BYTES + 1];
    if (name.len == 0 || name.len >= NAME_MAX_BYTES)
        return false;
    prove(hex, a->secret, who);
    snprintf(function, NAME_MAX_BYTES, "%.*s", HD_FMT(name));
    return hd_str_eq_secret(proof, hd_str(hex)) && hd_alive_is(a->opt.alive, instance);
}

/* --- answers --- */

static void respond(struct hd_exchange *ex, unsigned status, struct hd_str body,
                    const char *content_type)
{
    struct hd_field f[] = {{hd_str("content-type"), hd_str(content_type)},
                           {hd_str("retry-after"), hd_str("1")}};
    struct hd_response_head head = {.status = status,
                                    .fields = f,
                                    .n_fields = status == 503 ? 2 : 1,
                                    .body_bytes = (int64_t)body.len};
    hd_exchange_respond(ex, &head, body, true);
}

static void refuse(struct hd_exchange *ex, unsigned status, const char *code, const char *message)
{
    struct hd_buf body;
    struct hd_lane_error error = hd_rpc_refusal(status, code, message);
    hd_buf_init(&body, 4096);
    hd_rpc_error(&body, &error);
    respond(ex, status, hd_buf_view(&body), "application/json");
    hd_buf_done(&body);
}

static void request_free(struct request *r)
{
    hd_buf_done(&r->body);
    hd_arena_done(&r->arena);
    free(r);
}

/* --- answers that stream --- */

static void on_stream_head(void *arg, struct hd_str content_type)
{
    struct request *r = arg;
    struct hd_field f = {hd_str("content-type"), content_type};
    struct hd_response_head head = {
        .status = 200, .fields = &f, .n_fields = 1, .body_bytes = HD_BODY_UNKNOWN};
    hd_exchange_respond(r->ex, &head, hd_str(""), false);
}

static bool on_stream_data(void *arg, struct hd_str bytes)
{
    struct request *r = arg;
    return hd_exchange_write(r->ex, bytes, false);
}

static const struct hd_lane_run_stream streaming = {.on_head = on_stream_head,
                                                    .on_data = on_stream_data};

static void on_done(void *arg, const struct hd_lane_answer *a)
{
    struct request *r = arg;
    if (a->streamed && a->status == 200)
        hd_exchange_write(r->ex, hd_str(""), true);
    else if (a->streamed)
        hd_exchange_abort(r->ex); /* so that it is noticed */
    else if (r->ex != NULL)
        respond(r->ex, a->status, a->body,
                r->kind == TYPED ? "application/vnd.heddle.typed+json" : "application/json");
    request_free(r);
}

/* --- emissions and calls --- */

/* The whole of a CloudEvent, now that its body is here. */
static int read_cloud(struct request *r, struct hd_error *err)
{
    struct hd_str body = hd_buf_view(&r->body);
    int rc = r->kind == CLOUD_BINARY
                 ? hd_cloud_binary_data(&r->cloud, &r->arena, r->content_type, body, err)
                 : hd_cloud_structured(&r->cloud, &r->arena, body, err);
    if (rc == 0 && r->name[0] == '\0' && r->cloud.type.len >= sizeof(r->name))
        rc = hd_fail(err, HD_EINVAL, "CloudEvent: type: is too long for an event's name");
    if (rc == 0 && r->name[0] == '\0')
        snprintf(r->name, sizeof(r->name), "%.*s", HD_FMT(r->cloud.type));
    if (rc == 0 && r->traceparent.len == 0)
        r->traceparent = r->cloud.traceparent;
    return rc;
}

static void refuse_request(struct request *r, unsigned status, const char *code,
                           const char *message)
{
    struct hd_exchange *ex = r->ex;
    request_free(r);
    refuse(ex, status, code, message);
}

static void depart(struct request *r)
{
    struct hd_error err = {0};
    bool is_cloud = r->kind == CLOUD_BINARY || r->kind == CLOUD_STRUCTURED;
    if (is_cloud && read_cloud(r, &err) < 0) {
        refuse_request(r, 400, "INVALID_CLOUD_EVENT", err.msg);
        return;
    }
    struct hd_lane_message m = {.name = hd_str(r->name),
                                .body = is_cloud ? r->cloud.data : hd_buf_view(&r->body),
                                .typed = r->kind == TYPED || r->cloud.typed,
                                .octets = r->kind == OCTETS,
                                .stream = r->takes_stream ? &streaming : NULL,
                                .want_payload = false,
                                .contexts = r->contexts,
                                .request_id = r->request_id,
                                .traceparent = r->traceparent,
                                .cloud = r->cloud.attributes,
                                .source_kind = hd_str(r->function[0] != '\0' ? "task" : ""),
                                .source_id = hd_str(r->function)};
    r->under_way = true;
    if (r->what == EMIT)
        hd_lanes_emit(r->api->opt.lanes, r->api->opt.loop_index, &m, on_done, r);
    else
        r->call = hd_lanes_call(r->api->opt.lanes, r->api->opt.loop_index, &m, on_done, r);
}

static void take(struct request *r, struct hd_str bytes, bool end)
{
    struct hd_exchange *ex = r->ex;
    hd_buf_str(&r->body, bytes);
    if (hd_buf_failed(&r->body)) {
        request_free(r);
        refuse(ex, 413, "PAYLOAD_TOO_LARGE", "Payload too large");
    } else if (end) {
        depart(r);
    }
}

static void on_body(struct hd_exchange *ex, struct hd_str bytes, bool end)
{
    take(ex->door, bytes, end);
}

static void on_bad_body(struct hd_exchange *ex, unsigned status, const char *why)
{
    request_free(ex->door);
    refuse(ex, status, "INVALID_BODY", why);
}

static void on_writable(struct hd_exchange *ex)
{
    struct request *r = ex->door;
    if (r->call != NULL)
        hd_lanes_call_resume(r->call);
}

static void on_gone(struct hd_exchange *ex, enum hd_gone why)
{
    struct request *r = ex->door;
    (void)why;
    r->ex = NULL;
    if (r->call != NULL)
        hd_lanes_call_cancel(r->call);
    if (r->call != NULL || !r->under_way)
        request_free(r);
}

static const struct hd_exchange_events events = {
    .on_body = on_body, .on_bad_body = on_bad_body, .on_writable = on_writable, .on_gone = on_gone};

static struct hd_str keep(struct request *r, const struct hd_head *head, const char *name)
{
    const struct hd_field *f = hd_head_find(head, name);
    return f != NULL && f->value.len > 0 ? hd_arena_str(&r->arena, f->value) : hd_str("");
}

static bool content_is(const struct hd_head *head, const char *type)
{
    const struct hd_field *f = hd_head_find(head, "content-type");
    if (f == NULL)
        return false;
    size_t end = hd_str_find(f->value, ';');
    return hd_str_is_nocase(hd_str_trim(hd_str_n(f->value.ptr, end)), type);
}

/* @return false: it has been refused. */
static bool take_cloud_head(struct request *r, const struct hd_head *head)
{
    struct hd_error err = {0};
    switch (hd_cloud_mode(head)) {
    case HD_CLOUD_NONE:
        if (r->name[0] != '\0')
            return true;
        refuse_request(r, 400, "INVALID_CLOUD_EVENT",
                       "name the event in the path, or send a CloudEvent whose type names it");
        return false;
    case HD_CLOUD_STRUCTURED:
        r->kind = CLOUD_STRUCTURED;
        return true;
    case HD_CLOUD_BINARY:
        r->kind = CLOUD_BINARY;
        if (hd_cloud_binary(&r->cloud, &r->arena, head, &err) == 0)
            return true;
        refuse_request(r, 400, "INVALID_CLOUD_EVENT", err.msg);
        return false;
    case HD_CLOUD_OTHER:
        break;
    }
    refuse_request(r, 415, "INVALID_CLOUD_EVENT",
                   "CloudEvents are taken one at a time, in JSON: application/cloudevents+json");
    return false;
}

static void begin(struct hd_lane_api *a, struct hd_exchange *ex, const struct hd_head *head,
                  struct hd_str name, bool is_event, const char *function, struct hd_str body,
                  bool end)
{
    struct request *r = hd_new(struct request);
    r->api = a;
    r->ex = ex;
    ex->door = r;
    ex->events = &events;
    r->what = is_event ? EMIT : CALL;
    hd_buf_init(&r->body, BODY_MAX);
    hd_arena_init(&r->arena, NULL, 0, 4 * BODY_MAX);
    int n = name.len < sizeof(r->name) ? hd_path_decode(r->name, name) : -1;
    r->name[HD_MAX(n, 0)] = '\0';
    snprintf(r->function, sizeof(r->function), "%s", function);
    r->request_id = keep(r, head, "x-runner-request-id");
    r->contexts = keep(r, head, "x-heddle-contexts");
    r->traceparent = keep(r, head, "traceparent");
    r->content_type = keep(r, head, "content-type");
    if (content_is(head, "application/vnd.heddle.typed+json"))
        r->kind = TYPED;
    else if (!is_event && content_is(head, "application/octet-stream"))
        r->kind = OCTETS;
    const struct hd_field *accept = hd_head_find(head, "accept");
    bool asked = accept != NULL && hd_str_is_nocase(accept->value, "application/octet-stream");
    r->takes_stream = !is_event && (r->kind == OCTETS || asked);
    if (is_event && !take_cloud_head(r, head))
        return;
    hd_exchange_continue(ex);
    take(r, body, end);
}

/* --- pages --- */

struct page {
    struct hd_lane_api *api;
    struct hd_exchange *ex; /* NULL: gone */
    struct hd_buf body;
    unsigned items;
};

static void page_gone(struct hd_exchange *ex, enum hd_gone why)
{
    struct page *p = ex->door;
    (void)why;
    p->ex = NULL;
}

static void page_body(struct hd_exchange *ex, struct hd_str bytes, bool end)
{
    (void)ex;
    (void)bytes;
    (void)end;
}

static void page_bad_body(struct hd_exchange *ex, unsigned status, const char *why)
{
    (void)ex;
    (void)status;
    (void)why;
}

static void page_writable(struct hd_exchange *ex)
{
    (void)ex;
}

static struct page *page_new(struct hd_lane_api *a, struct hd_exchange *ex)
{
    static const struct hd_exchange_events page_events = {.on_body = page_body,
                                                          .on_bad_body = page_bad_body,
                                                          .on_writable = page_writable,
                                                          .on_gone = page_gone};
    struct page *p = hd_new(struct page);
    p->api = a;
    p->ex = ex;
    ex->door = p;
    ex->events = &page_events;
    hd_buf_init(&p->body, SIZE_MAX / 2); /* the store gives so much at once, and no more */
    return p;
}

static void page_end(struct page *p, const struct hd_error *err)
{
    if (p->ex != NULL && err != NULL)
        refuse(p->ex, 500, "INTERNAL_ERROR", err->msg);
    else if (p->ex != NULL)
        respond(p->ex, 200, hd_buf_view(&p->body), "application/json");
    hd_buf_done(&p->body);
    free(p);
}

static void status_back(void *arg)
{
    page_end(arg, NULL);
}

/* Queues are the control loop's. */
static void status_there(void *arg)
{
    struct page *p = arg;
    hd_lanes_status(p->api->opt.lanes, &p->body);
    hd_loop_post(p->api->opt.net->loop, status_back, p);
}

static void status_page(struct hd_lane_api *a, struct hd_exchange *ex)
{
    hd_loop_post(hd_lanes_control(a->opt.lanes), status_there, page_new(a, ex));
}

static void dead_item(void *arg, const struct hd_queue_item *item)
{
    struct page *p = arg;
    hd_buf_fmt(&p->body, "%s{\"seq\":%llu,\"attempts\":%u,\"acceptedMs\":%lld,\"reason\":",
               p->items++ > 0 ? "," : "", (unsigned long long)item->seq, item->attempts,
               (long long)item->first_unix_ms);
    hd_buf_json(&p->body, item->reason);
    hd_buf_cstr(&p->body, ",\"message\":");
    hd_buf_json(&p->body, item->body);
    hd_buf_char(&p->body, '}');
}

static void dead_listed(void *arg, int listed, const struct hd_error *err)
{
    struct page *p = arg;
    (void)listed;
    hd_buf_cstr(&p->body, "]}");
    page_end(p, err);
}

static void dead_changed(void *arg, int n, const struct hd_error *err)
{
    struct page *p = arg;
    hd_buf_fmt(&p->body, "{\"ok\":true,\"messages\":%d}", n);
    page_end(p, err);
}

/* @param room  for the decoded value, NAME_MAX_BYTES. @return it; empty: there is none that can be
 * one.
 */
static struct hd_str parameter(char *room, struct hd_str query, const char *name)
{
    struct hd_str part;
    while (hd_str_split(&part, &query, '&')) {
        size_t equals = hd_str_find(part, '=');
        if (!hd_str_is(hd_str_n(part.ptr, equals), name) || equals == part.len)
            continue;
        struct hd_str value = hd_str_n(part.ptr + equals + 1, part.len - equals - 1);
        int n = value.len <= NAME_MAX_BYTES ? hd_path_decode(room, value) : -1;
        return hd_str_n(room, (size_t)HD_MAX(n, 0));
    }
    return hd_str("");
}

static void dead_letters(struct hd_lane_api *a, struct hd_exchange *ex, const struct hd_head *head,
                         struct hd_str what)
{
    uint64_t seq = 0;
    char decoded[2][NAME_MAX_BYTES];
    struct hd_str name = parameter(decoded[0], head->query, "queue"),
                  number = parameter(decoded[1], head->query, "seq");
    const char *queue = hd_lanes_queue_of(a->opt.lanes, name);
    if (queue == NULL || a->opt.store == NULL) {
        refuse(ex, 404, "NOT_FOUND",
               "no such lane or queue, or one whose broker keeps its dead letters itself");
        return;
    }
    if (number.len > 0 && (hd_str_to_u64(&seq, number) < 0 || seq == 0)) { /* 0 would be all */
        refuse(ex, 400, "INVALID_PARAMETER",
               "seq must be the number of a message, as it is listed");
        return;
    }
    hd_auto_free char *full = hd_printf("lane:%s", queue);
    struct page *p = page_new(a, ex);
    struct hd_loop *loop = a->opt.net->loop;
    if (hd_str_is(what, "/retry")) {
        hd_queue_dead_requeue(a->opt.store, hd_str(full), seq, loop, dead_changed, p);
    } else if (hd_str_is(what, "/drop")) {
        hd_queue_dead_drop(a->opt.store, hd_str(full), seq, loop, dead_changed, p);
    } else {
        hd_buf_cstr(&p->body, "{\"ok\":true,\"messages\":[");
        hd_queue_dead_list(a->opt.store, hd_str(full), seq, LISTED_MAX, loop, dead_item,
                           dead_listed, p);
    }
}

/* --- who may what --- */

static bool cut(struct hd_str *path, const char *prefix)
{
    if (!hd_str_starts(*path, hd_str(prefix)))
        return false;
    *path = hd_str_n(path->ptr + strlen(prefix), path->len - strlen(prefix));
    return true;
}

bool hd_lane_api_is_path(struct hd_str path)
{
    return cut(&path, "/lanes/v1/");
}

static void serve(struct hd_lane_api *a, struct hd_exchange *ex, const struct hd_head *head,
                  struct hd_str body, bool end, bool admin, const char *function)
{
    struct hd_str path = head->path;
    bool post = hd_str_is(head->method, "POST"), get = hd_str_is(head->method, "GET");
    if (!cut(&path, "/lanes/v1/"))
        refuse(ex, 404, "NOT_FOUND", "Not Found");
    else if (cut(&path, "events/") && path.len > 0 && post)
        begin(a, ex, head, path, true, function, body, end);
    else if (hd_str_is(path, "events") && post)
        begin(a, ex, head, hd_str(""), true, function, body, end);
    else if (cut(&path, "tasks/") && path.len > 0 && post)
        begin(a, ex, head, path, false, function, body, end);
    else if (hd_str_is(path, "status") && get)
        status_page(a, ex);
    else if (cut(&path, "dlq") && admin && (path.len == 0 ? get : post))
        dead_letters(a, ex, head, path);
    else
        refuse(ex, 404, "NOT_FOUND", "Not Found");
}

static void on_request(void *user, struct hd_exchange *ex, const struct hd_head *head,
                       struct hd_str body, bool end)
{
    char function[NAME_MAX_BYTES];
    if (known(user, head, function))
        serve(user, ex, head, body, end, false, function);
    else
        refuse(ex, 401, "UNAUTHORIZED", "Unauthorized");
}

void hd_lane_api_admin(struct hd_lane_api *api, struct hd_exchange *ex, const struct hd_head *head,
                       struct hd_str body, bool end)
{
    serve(api, ex, head, body, end, true, "");
}

/* --- the server --- */

int hd_lane_api_new(struct hd_lane_api **out, const struct hd_lane_api_options *opt,
                    struct hd_error *err)
{
    struct hd_lane_api *a = hd_new(struct hd_lane_api);
    a->opt = *opt;
    memcpy(a->secret, opt->secret, sizeof(a->secret));
    struct hd_server_options server = {.net = opt->net,
                                       .limits = {.parse = {.max_head_bytes = 64 * 1024,
                                                            .max_target_bytes = 8192,
                                                            .max_fields = HD_HEAD_FIELDS_MAX},
                                                  .head_ms = 15000,
                                                  .body_gap_ms = 30000,
                                                  .keep_alive_ms = 300000,
                                                  .write_stall_ms = 60000},
                                       .on_request = on_request,
                                       .user = a};
    int rc = hd_server_new(&a->server, &server, err);
    if (rc < 0) {
        free(a);
        return rc;
    }
    *out = a;
    return 0;
}

int hd_lane_api_listen_fd(struct hd_lane_api *a, int fd, struct hd_error *err)
{
    return hd_server_listen_fd(a->server, fd, err);
}

void hd_lane_api_drain(struct hd_lane_api *a)
{
    hd_server_drain(a->server);
}

unsigned hd_lane_api_open(const struct hd_lane_api *a)
{
    return hd_server_open(a->server);
}

void hd_lane_api_close(struct hd_lane_api *a, void (*done)(void *arg), void *arg)
{
    hd_server_close(a->server, done, arg);
}

void hd_lane_api_free(struct hd_lane_api *a)
{
    if (a == NULL)
        return;
    hd_server_free(a->server);
    explicit_bzero(a->secret, sizeof(a->secret));
    free(a);
}
