/*  call ─► address known? (else resolve) ─► a connection free? (else wait for one) ─► sent ─►
 *  head ─► body ─► done
 * Every end goes through finish(). */
#include "lanes/communicator.h"

#include "core/base64.h"
#include "core/clock.h"
#include "core/id.h"
#include "http/format.h"
#include "lanes/lane_files.h"
#include "lanes/multipart.h"

#include <stdio.h>

enum {
    ANSWER_MAX = 64 << 20,
    KIND_MAX = 128,
    RESOLVED_MS = 30000, /* an address is looked up anew after that */
    DEFAULT_PORT = 80,
};

struct hd_rpc_client {
    struct hd_net *net;
    const struct hd_communicator *peer;
    char *host, *base_path, *authority;
    uint16_t port;
    struct hd_list idle;    /* connections */
    struct hd_list waiting; /* calls that need an address or a connection */
    struct hd_list sent;    /* the others */
    unsigned busy;          /* connections that a call has */
    struct hd_endpoint at;
    uint64_t resolved_ms; /* 0: never */
    uv_getaddrinfo_t lookup;
    bool looking, closing;
    void (*closed)(void *arg);
    void *closed_arg;
};

struct hd_rpc_call {
    struct hd_rpc_client *client;
    struct hd_list link; /* in waiting or sent */
    struct hd_client_conn *conn;
    struct hd_timer timer;
    struct hd_buf head, body, answer;
    const struct hd_lane_run_stream *stream;
    uint32_t timeout_ms;
    unsigned status;
    char kind[KIND_MAX]; /* Content-Type of the request */
    bool is_json;        /* the request; only others may be answered by a stream */
    bool want_result, retried, streams;
    void (*done)(void *arg, const struct hd_rpc_answer *answer);
    void *arg;
};

static void next_waiting(struct hd_rpc_client *c);

/* --- the address --- */

static int parse_url(struct hd_rpc_client *c, const char *url, struct hd_error *err)
{
    static const char scheme[] = "http://";
    if (strncmp(url, scheme, sizeof(scheme) - 1) != 0)
        return hd_fail(err, HD_EINVAL,
                       "communicator %s: base_url must begin with http:// (TLS is a proxy's work)",
                       c->peer->name);
    struct hd_str rest = hd_str(url + sizeof(scheme) - 1);
    size_t slash = hd_str_find(rest, '/');
    struct hd_str authority = hd_str_n(rest.ptr, slash), host = authority, port = {NULL, 0};
    const char *bracket = authority.len > 0 && *authority.ptr == '['
                              ? memchr(authority.ptr, ']', authority.len)
                              : NULL;
    const char *colon = memrchr(authority.ptr, ':', authority.len);
    if (colon != NULL && (bracket == NULL || colon > bracket)) {
        host = hd_str_n(authority.ptr, (size_t)(colon - authority.ptr));
        port = hd_str_n(colon + 1, (size_t)(authority.ptr + authority.len - colon - 1));
    }
    if (bracket != NULL)
        host = hd_str_n(authority.ptr + 1, (size_t)(bracket - authority.ptr - 1));
    uint64_t number = DEFAULT_PORT;
    if (host.len == 0 ||
        (port.ptr != NULL && (hd_str_to_u64(&number, port) < 0 || number == 0 || number > 65535)))
        return hd_fail(err, HD_EINVAL, "communicator %s: base_url: %s has no host, or a wrong port",
                       c->peer->name, url);
    c->host = hd_strdup_n(host);
    c->authority = hd_strdup_n(authority);
    c->port = (uint16_t)number;
    struct hd_str path = hd_str_n(rest.ptr + slash, rest.len - slash);
    while (path.len > 0 && path.ptr[path.len - 1] == '/')
        path.len--;
    c->base_path = hd_strdup_n(path);
    return 0;
}

static void take_address(struct hd_rpc_client *c, const struct sockaddr *sa)
{
    c->at.kind = HD_ENDPOINT_TCP;
    c->at.port = c->port;
    if (sa->sa_family == AF_INET6)
        uv_ip6_name((const struct sockaddr_in6 *)(const void *)sa, c->at.address,
                    sizeof(c->at.address));
    else
        uv_ip4_name((const struct sockaddr_in *)(const void *)sa, c->at.address,
                    sizeof(c->at.address));
    c->resolved_ms = hd_loop_now_ms(c->net->loop) + 1;
}

/* --- the end of a call --- */

static void call_free(struct hd_rpc_call *call)
{
    struct hd_rpc_client *c = call->client;
    hd_timer_stop(c->net->loop, &call->timer);
    hd_list_remove(&call->link);
    if (call->conn != NULL) {
        hd_client_close(call->conn);
        c->busy--;
    }
    hd_buf_done(&call->head);
    hd_buf_done(&call->body);
    hd_buf_done(&call->answer);
    free(call);
    next_waiting(c);
}

static void finish(struct hd_rpc_call *call, const struct hd_rpc_answer *answer)
{
    void (*done)(void *, const struct hd_rpc_answer *) = call->done;
    void *arg = call->arg;
    done(arg, answer);
    call_free(call);
}

static void fail(struct hd_rpc_call *call, unsigned status, const char *code, const char *message)
{
    struct hd_rpc_answer answer = {.streamed = call->streams,
                                   .error = hd_rpc_refusal(status, code, message)};
    if (status == 408)
        answer.error.http_code = status;
    finish(call, &answer);
}

static void on_timeout(struct hd_timer *t)
{
    fail(hd_container_of(t, struct hd_rpc_call, timer), 408, "REQUEST_TIMEOUT",
         "the peer did not answer in time");
}

void hd_rpc_client_cancel(struct hd_rpc_call *call)
{
    call_free(call);
}

/* --- the answer --- */

static void keep(struct hd_rpc_call *call)
{
    struct hd_rpc_client *c = call->client;
    if (call->conn != NULL && hd_client_reusable(call->conn) && !c->closing) {
        hd_list_push_front(&c->idle, hd_client_link(call->conn));
        call->conn = NULL;
        c->busy--;
    }
}

static void complete(struct hd_rpc_call *call)
{
    struct hd_arena arena;
    struct hd_rpc_answer answer;
    char memory[2048];
    keep(call);
    hd_arena_init(&arena, memory, sizeof(memory), (size_t)4 * ANSWER_MAX);
    hd_rpc_answer_read(&answer, &arena, call->status, hd_buf_view(&call->answer),
                       call->want_result);
    finish(call, &answer);
    hd_arena_done(&arena);
}

static void stream_end(struct hd_rpc_call *call)
{
    struct hd_rpc_answer answer = {.ok = true, .streamed = true};
    keep(call);
    finish(call, &answer);
}

/* While the taker has enough the peer is not late. */
static void stream_data(struct hd_rpc_call *call, struct hd_str bytes, bool end)
{
    bool more = bytes.len == 0 || call->stream->on_data(call->arg, bytes);
    if (end) {
        stream_end(call);
    } else if (more) {
        hd_timer_start(call->client->net->loop, &call->timer, call->timeout_ms, on_timeout);
    } else {
        hd_timer_stop(call->client->net->loop, &call->timer);
        hd_client_pause(call->conn, true);
    }
}

void hd_rpc_client_resume(struct hd_rpc_call *call)
{
    if (!call->streams || call->conn == NULL || hd_timer_active(&call->timer))
        return;
    hd_timer_start(call->client->net->loop, &call->timer, call->timeout_ms, on_timeout);
    hd_client_pause(call->conn, false);
}

/* @return whether the answer is a stream that somebody takes. */
static bool begins_stream(const struct hd_rpc_call *call, const struct hd_head *head,
                          struct hd_str *kind)
{
    const struct hd_field *f = hd_head_find(head, "content-type");
    *kind = f != NULL ? f->value : hd_str("application/octet-stream");
    struct hd_str name = hd_str_trim(hd_str_n(kind->ptr, hd_str_find(*kind, ';')));
    return call->stream != NULL && !call->is_json && head->status < 300 &&
           !hd_str_is_nocase(name, "application/json");
}

static void on_body(void *owner, struct hd_str bytes, bool end)
{
    struct hd_rpc_call *call = owner;
    if (call->streams) {
        stream_data(call, bytes, end);
        return;
    }
    hd_buf_str(&call->answer, bytes);
    if (hd_buf_failed(&call->answer))
        fail(call, call->status, "INVALID_RESPONSE", "the peer's answer is too large");
    else if (end)
        complete(call);
}

static void on_head(void *owner, const struct hd_head *head, struct hd_str body, bool end)
{
    struct hd_rpc_call *call = owner;
    if (head->status < 200)
        return;
    struct hd_str kind;
    call->status = head->status;
    call->streams = begins_stream(call, head, &kind);
    if (call->streams)
        call->stream->on_head(call->arg, kind);
    on_body(call, body, end);
}

static void on_trailers(void *owner, const struct hd_field *fields, size_t n)
{
    (void)owner;
    (void)fields;
    (void)n;
}

static void on_writable(void *owner)
{
    (void)owner;
}

static void on_failed(void *owner, const struct hd_error *err, enum hd_client_lost lost)
{
    struct hd_rpc_call *call = owner;
    struct hd_rpc_client *c = call->client;
    call->conn = NULL; /* it closes itself */
    c->busy--;
    /* An idle connection that the peer had given up: it got nothing, so this is no second time. */
    if (lost == HD_LOST_UNSENT && !call->retried) {
        call->retried = true;
        hd_list_remove(&call->link);
        hd_list_push_front(&c->waiting, &call->link);
        next_waiting(c);
        return;
    }
    hd_auto_free char *why = hd_printf("the peer cannot be reached: %s", err->msg);
    if (err->code == HD_EPROTO)
        fail(call, 502, "INVALID_RESPONSE", "the peer's answer is no HTTP, or beyond its limits");
    else if (lost == HD_LOST_ANSWERING)
        fail(call, 502, "INVALID_RESPONSE", "the peer's answer broke off");
    else
        fail(call, 503, "UNREACHABLE", why);
}

static const struct hd_client_events client_events = {.on_head = on_head,
                                                      .on_body = on_body,
                                                      .on_trailers = on_trailers,
                                                      .on_writable = on_writable,
                                                      .on_failed = on_failed};

/* --- sending --- */

static void on_idle_gone(struct hd_client_conn *conn)
{
    hd_list_remove(hd_client_link(conn));
}

static void send_on(struct hd_rpc_call *call)
{
    struct hd_rpc_client *c = call->client;
    struct hd_list *link = hd_list_pop(&c->idle);
    call->conn =
        link != NULL ? hd_client_of(link) : hd_client_connect(c->net, &c->at, on_idle_gone);
    c->busy++;
    struct hd_client_request request = {.head = hd_buf_view(&call->head)};
    hd_client_send(call->conn, &request, hd_buf_view(&call->body), true, &client_events, call);
}

static void fail_all(struct hd_list *calls, const char *why)
{
    struct hd_list all;
    hd_list_init(&all);
    struct hd_list *l;
    while ((l = hd_list_pop(calls)) != NULL)
        hd_list_push(&all, l);
    while (!hd_list_empty(&all))
        fail(hd_container_of(all.next, struct hd_rpc_call, link), 503, "UNREACHABLE", why);
}

static void closed(struct hd_rpc_client *c)
{
    if (c->closing && !c->looking && c->closed != NULL) {
        hd_loop_post(c->net->loop, c->closed, c->closed_arg);
        c->closed = NULL;
    }
}

static void on_looked_up(uv_getaddrinfo_t *req, int status, struct addrinfo *found)
{
    struct hd_rpc_client *c = hd_container_of(req, struct hd_rpc_client, lookup);
    c->looking = false;
    if (status == 0 && found != NULL) {
        take_address(c, found->ai_addr);
        next_waiting(c);
    } else if (!c->closing && c->resolved_ms == 0) { /* an old address is better than none */
        hd_auto_free char *why =
            hd_printf("the peer's host %s cannot be found: %s", c->host, uv_strerror(status));
        fail_all(&c->waiting, why);
    }
    if (found != NULL)
        uv_freeaddrinfo(found);
    closed(c);
}

/* @return whether the address may be used now; else it is being looked up. */
static bool have_address(struct hd_rpc_client *c)
{
    uint64_t now = hd_loop_now_ms(c->net->loop);
    bool fresh = c->resolved_ms > 0 && now - c->resolved_ms < RESOLVED_MS;
    if (!fresh && !c->looking) {
        static const struct addrinfo hints = {.ai_socktype = SOCK_STREAM,
                                              .ai_flags = AI_ADDRCONFIG};
        c->looking = uv_getaddrinfo(hd_loop_uv(c->net->loop), &c->lookup, on_looked_up, c->host,
                                    NULL, &hints) == 0;
    }
    return c->resolved_ms > 0;
}

static void next_waiting(struct hd_rpc_client *c)
{
    while (!hd_list_empty(&c->waiting) && !c->closing && c->busy < c->peer->pool &&
           have_address(c)) {
        struct hd_list *l = hd_list_pop(&c->waiting);
        hd_list_push(&c->sent, l);
        send_on(hd_container_of(l, struct hd_rpc_call, link));
    }
}

/* --- putting a request together --- */

struct form {
    struct hd_buf *out, files; /* files: their parts, which follow the manifest */
    struct hd_str boundary;
};

static int write_file(void *arg, const struct hd_lane_sent_file *file)
{
    struct form *f = arg;
    hd_auto_free char *name = hd_printf("file:%.*s", HD_FMT(file->id));
    struct hd_part part = {.name = hd_str(name),
                           .filename = file->name.ptr != NULL ? file->name : file->id,
                           .content_type = file->type};
    size_t n = 0;
    hd_multipart_write_part(&f->files, f->boundary, &part);
    char *room = hd_buf_reserve(&f->files, hd_base64_bytes(file->base64.len) + 1);
    if (room == NULL || hd_base64_decode(room, &n, HD_BASE64, file->base64) < 0)
        return HD_EINVAL;
    hd_buf_commit(&f->files, n);
    return 0;
}

/* The files leave the input: it is copied first, as the caller's stays as it is. */
static int write_form(struct hd_rpc_call *call, const struct hd_typed *input)
{
    enum { RANDOM = 12 };
    static const struct hd_part manifest = {.name = HD_LIT("__manifest")};
    unsigned char bytes[RANDOM];
    char boundary[2 * RANDOM + 16] = "heddle-";
    struct hd_buf text;
    struct hd_arena arena;
    struct hd_typed *own = NULL;
    struct form f = {.out = &call->body};
    hd_random(bytes, sizeof(bytes));
    hd_hex(boundary + strlen(boundary), bytes, sizeof(bytes));
    f.boundary = hd_str(boundary);
    snprintf(call->kind, sizeof(call->kind), "multipart/form-data; boundary=%s", boundary);
    hd_buf_init(&f.files, ANSWER_MAX);
    hd_buf_init(&text, ANSWER_MAX);
    hd_arena_init(&arena, NULL, 0, (size_t)4 * ANSWER_MAX);
    hd_typed_write(&text, input);
    int rc =
        hd_buf_failed(&text) ? HD_EBUSY : hd_typed_read(&own, &arena, hd_buf_view(&text), NULL);
    if (rc == 0)
        rc = hd_lane_files_send(&own, &arena, write_file, &f);
    if (rc == 0) {
        struct hd_rpc_body body = {.value = own};
        hd_multipart_write_part(f.out, f.boundary, &manifest);
        hd_rpc_body_write(f.out, &body, false);
        hd_buf_cstr(f.out, "\r\n");
        hd_buf_str(f.out, hd_buf_view(&f.files));
        hd_multipart_write_end(f.out, f.boundary);
    }
    if (hd_buf_failed(&f.files))
        rc = HD_EBUSY;
    hd_buf_done(&f.files);
    hd_buf_done(&text);
    hd_arena_done(&arena);
    return rc;
}

static int write_body(struct hd_rpc_call *call, const struct hd_rpc_call_request *q)
{
    int rc = 0;
    if (q->octets.ptr != NULL) {
        snprintf(call->kind, sizeof(call->kind), "application/octet-stream");
        hd_buf_str(&call->body, q->octets);
    } else if (!q->is_event && q->body.value != NULL && hd_lane_files_carried(q->body.value)) {
        rc = write_form(call, q->body.value);
    } else {
        snprintf(call->kind, sizeof(call->kind), "application/json; charset=utf-8");
        call->is_json = true;
        hd_rpc_body_write(&call->body, &q->body, q->is_event);
    }
    return hd_buf_failed(&call->body) ? HD_EBUSY : rc;
}

static int add_token(struct hd_rpc_call *call, const struct hd_rpc_call_request *q,
                     struct hd_buf *token, struct hd_error *err)
{
    struct hd_buf hash;
    bool in_authorization = strcmp(q->lane->auth.header, "authorization") == 0;
    hd_buf_init(&hash, 64);
    if (call->is_json) /* of others no hash is made */
        hd_lane_hash(&hash, hd_buf_view(&call->body));
    struct hd_lane_claims claims = {.lane = hd_str(q->lane->id),
                                    .target = q->id,
                                    .kind = q->is_event ? HD_LANE_RPC_EVENT : HD_LANE_RPC_TASK,
                                    .hash = hd_buf_view(&hash)};
    if (in_authorization)
        hd_buf_cstr(token, "Bearer ");
    int rc = hd_lane_token_sign(token, q->lane->keys, &claims, hd_clock_unix_ms(), err);
    hd_buf_done(&hash);
    return rc;
}

static void escape_id(struct hd_buf *out, struct hd_str id)
{
    for (size_t i = 0; i < id.len; i++) {
        unsigned char c = (unsigned char)id.ptr[i];
        bool plain = (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') ||
                     (c != 0 && strchr("-._~", c) != NULL);
        if (plain)
            hd_buf_char(out, (char)c);
        else
            hd_buf_fmt(out, "%%%02X", c);
    }
}

static int make_head(struct hd_rpc_call *call, const struct hd_rpc_call_request *q,
                     struct hd_error *err)
{
    struct hd_rpc_client *c = call->client;
    struct hd_field f[8];
    size_t n = 0;
    struct hd_buf path, token;
    int rc = 0;
    hd_buf_init(&path, 16 * 1024);
    hd_buf_init(&token, 16 * 1024);
    hd_buf_fmt(&path, "%s/%s/", c->base_path, q->is_event ? "event" : "task");
    escape_id(&path, q->id);
    f[n++] = (struct hd_field){hd_str("content-type"), hd_str(call->kind)};
    if (c->peer->token != NULL)
        f[n++] = (struct hd_field){hd_str(c->peer->token_header), hd_str(c->peer->token)};
    if (q->lane != NULL && q->lane->auth.mode != HD_LANE_AUTH_NONE) {
        rc = add_token(call, q, &token, err);
        f[n++] = (struct hd_field){hd_str(q->lane->auth.header), hd_buf_view(&token)};
    }
    if (q->contexts.len > 0)
        f[n++] = (struct hd_field){hd_str("x-runner-context"), q->contexts};
    if (q->request_id.len > 0)
        f[n++] = (struct hd_field){hd_str("x-runner-request-id"), q->request_id};
    if (q->traceparent.len > 0)
        f[n++] = (struct hd_field){hd_str("traceparent"), q->traceparent};
    struct hd_request_head head = {.method = hd_str("POST"),
                                   .path = hd_buf_view(&path),
                                   .authority = hd_str(c->authority),
                                   .fields = f,
                                   .n_fields = n,
                                   .body_bytes = (int64_t)call->body.len};
    struct hd_format how = {.framing = HD_FRAMING_LENGTH};
    if (rc == 0)
        rc = hd_format_request(&call->head, &head, &how, err);
    hd_buf_done(&path);
    hd_buf_done(&token);
    return rc;
}

/* What cannot even be sent is told later, like everything else. */
static void on_broken(struct hd_timer *t)
{
    fail(hd_container_of(t, struct hd_rpc_call, timer), 500, "INTERNAL_ERROR",
         "the request cannot be made: no key to sign with, or a value that cannot be sent");
}

struct hd_rpc_call *hd_rpc_client_call(struct hd_rpc_client *c, const struct hd_rpc_call_request *q,
                                       void (*done)(void *arg, const struct hd_rpc_answer *answer),
                                       void *arg)
{
    struct hd_rpc_call *call = hd_new(struct hd_rpc_call);
    struct hd_error err;
    call->client = c;
    call->done = done;
    call->arg = arg;
    call->want_result = q->want_result;
    hd_list_init(&call->link);
    hd_buf_init(&call->head, 64 * 1024);
    hd_buf_init(&call->body, ANSWER_MAX);
    hd_buf_init(&call->answer, ANSWER_MAX);
    call->stream = q->stream;
    call->timeout_ms =
        q->timeout_ms > 0 ? HD_MIN(q->timeout_ms, c->peer->timeout_ms) : c->peer->timeout_ms;
    if (write_body(call, q) < 0 || make_head(call, q, &err) < 0) {
        hd_list_push(&c->sent, &call->link);
        hd_timer_start(c->net->loop, &call->timer, 0, on_broken);
        return call;
    }
    hd_timer_start(c->net->loop, &call->timer, call->timeout_ms, on_timeout);
    hd_list_push(&c->waiting, &call->link);
    next_waiting(c);
    return call;
}

/* --- the client --- */

int hd_rpc_client_new(struct hd_rpc_client **out, struct hd_net *net,
                      const struct hd_communicator *peer, struct hd_error *err)
{
    struct hd_rpc_client *c = hd_new(struct hd_rpc_client);
    c->net = net;
    c->peer = peer;
    hd_list_init(&c->idle);
    hd_list_init(&c->waiting);
    hd_list_init(&c->sent);
    int rc = parse_url(c, peer->base_url, err);
    if (rc < 0) {
        hd_rpc_client_free(c);
        return rc;
    }
    *out = c;
    return 0;
}

void hd_rpc_client_close(struct hd_rpc_client *c, void (*done)(void *arg), void *arg)
{
    struct hd_list *link;
    c->closing = true;
    c->closed = done;
    c->closed_arg = arg;
    fail_all(&c->waiting, "the node is stopping");
    fail_all(&c->sent, "the node is stopping");
    while ((link = hd_list_pop(&c->idle)) != NULL)
        hd_client_close(hd_client_of(link));
    if (c->looking)
        uv_cancel((uv_req_t *)&c->lookup);
    closed(c);
}

void hd_rpc_client_free(struct hd_rpc_client *c)
{
    if (c == NULL)
        return;
    free(c->host);
    free(c->base_path);
    free(c->authority);
    free(c);
}
