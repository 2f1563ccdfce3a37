#include "shim/shim.h"

#include "core/base64.h"
#include "shim/peer.h"
#include "shim/calls.h"

#include <arpa/inet.h>
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    HEAD_MAX = 192 << 10, /* a cause for X-Ray alone may have 64 KiB */
    TARGET_MAX = 4 << 10,
    FIELDS_MAX = 100,
    NEVER_MS = INT32_MAX, /* 24 days */
    DROP_MAX = 64 << 20,  /* bytes of a body that is too large, before it is cut off */
};

/* A call of the runtime whose body, or answer, is still to come. */
struct call {
    struct hd_shim *shim;
    struct hd_exchange *ex;
    enum hd_call_kind kind;
    bool streams;   /* goes to the caller as it comes */
    bool too_large; /* the rest is dropped */
    struct hd_buf body;
    char *content_type;
    char room[HD_FAILURE_TYPE_MAX + 1];
    const char *type;         /* of an error, from its field; NULL: it has none that is usable */
    struct hd_failure failed; /* a streamed answer ends in this error */
};

void hd_shim_api_error(struct hd_exchange *ex, unsigned status, const char *type, const char *text)
{
    struct hd_buf b;
    hd_buf_init(&b, 4096);
    hd_failure_api_json(&b, type, text);
    hd_shim_answer_json(ex, status, hd_buf_view(&b), NULL, 0);
    hd_buf_done(&b);
}

static void accepted(struct hd_exchange *ex)
{
    hd_shim_answer_json(ex, 202, hd_str("{\"status\":\"OK\"}\n"), NULL, 0);
}

static void free_call(struct call *c)
{
    if (c->shim->next == c->ex)
        c->shim->next = NULL;
    if (c->shim->answer == c->ex)
        c->shim->answer = NULL;
    hd_buf_done(&c->body);
    hd_failure_done(&c->failed);
    free(c->content_type);
    free(c);
}

static void refuse(struct hd_exchange *ex, enum hd_rapi_verdict v)
{
    if (v == HD_RAPI_BAD_ID)
        hd_shim_api_error(ex, 400, "InvalidRequestID", "Invalid request ID");
    else
        hd_shim_api_error(ex, 403, "InvalidStateTransition",
                          "State transition is not allowed: this call is not legal now");
}

/* --- answers of the runtime --- */

static void too_large(struct call *c)
{
    struct hd_failure f = {0};
    hd_failure_set(&f, "Function.ResponseSizeTooLarge",
                   "Response payload size exceeded maximum allowed payload size (%d bytes).",
                   HD_ANSWER_MAX);
    f.plain = true;
    c->too_large = true;
    hd_buf_done(&c->body);
    hd_shim_event_fault(c->shim, &f, false);
    hd_failure_done(&f);
}

static void answer_error(struct call *c, struct hd_str body)
{
    struct hd_buf instead;
    hd_buf_init(&instead, 1024);
    if (!hd_failure_is_json(body)) {
        hd_failure_api_json(&instead, c->type != NULL ? c->type : "Runtime.Unknown",
                            "the runtime reported an error without a JSON text");
        body = hd_buf_view(&instead);
    }
    hd_shim_event_answer(c->shim, body, NULL, c->type != NULL ? c->type : "", false);
    hd_buf_done(&instead);
}

static void init_error(struct call *c, struct hd_str body)
{
    struct hd_shim *s = c->shim;
    struct hd_failure f = {0};
    json_t *json = json_loadb(body.ptr != NULL ? body.ptr : "", body.len, 0, NULL);
    const char *said = json_string_value(json_object_get(json, "errorType"));
    hd_failure_post(
        &f, c->type != NULL ? c->type : hd_failure_type(hd_str(said), "Runtime.Unknown", c->room),
        body);
    json_decref(json);
    struct hd_exchange *ex = c->ex;
    free_call(c);
    accepted(ex);
    hd_shim_failed(s, &f);
    hd_failure_done(&f);
}

/* The body is complete. */
static void complete(struct call *c, struct hd_str body)
{
    struct hd_shim *s = c->shim;
    struct hd_exchange *ex = c->ex;
    bool large = c->too_large;
    if (c->kind == HD_CALL_INIT_ERROR) {
        init_error(c, body);
        return;
    }
    if (c->streams)
        hd_shim_event_stream_end(s, hd_failure_is(&c->failed) ? &c->failed : NULL, false);
    else if (c->kind == HD_CALL_ERROR && !large)
        answer_error(c, body);
    else if (hd_failure_is(&c->failed))
        hd_shim_event_fault(s, &c->failed, false);
    else if (!large)
        hd_shim_event_answer(s, body, c->content_type, NULL, false);
    hd_rapi_answered(&s->rapi);
    free_call(c);
    if (large)
        hd_shim_api_error(ex, 413, "RequestEntityTooLarge",
                          "Exceeded maximum allowed payload size (6291556 bytes).");
    else
        accepted(ex);
    hd_shim_step(s);
}

static void on_body(struct hd_exchange *ex, struct hd_str bytes, bool end)
{
    struct call *c = ex->door;
    if (c->streams && !hd_shim_event_stream(c->shim, bytes, c->content_type) && !end) {
        hd_exchange_pause(ex, true);
        return;
    }
    if (!c->streams && !c->too_large && end && c->body.len == 0 && bytes.len <= HD_ANSWER_MAX) {
        complete(c, bytes); /* the common way: not copied */
        return;
    }
    if (!c->streams && !c->too_large) {
        hd_buf_str(&c->body, bytes);
        if (hd_buf_failed(&c->body))
            too_large(c);
    }
    if (end) {
        complete(c, hd_buf_view(&c->body));
    } else if (c->too_large && ex->body_in > DROP_MAX) {
        struct hd_shim *s = c->shim;
        hd_rapi_answered(&s->rapi);
        free_call(c);
        hd_exchange_abort(ex);
        hd_shim_step(s);
    }
}

static void on_trailers(struct hd_exchange *ex, const struct hd_field *fields, size_t n)
{
    struct call *c = ex->door;
    struct hd_str type = {NULL, 0}, body = {NULL, 0};
    for (size_t i = 0; i < n; i++) {
        if (hd_str_is_nocase(fields[i].name, "Lambda-Runtime-Function-Error-Type"))
            type = fields[i].value;
        else if (hd_str_is_nocase(fields[i].name, "Lambda-Runtime-Function-Error-Body"))
            body = fields[i].value;
    }
    if (type.ptr == NULL && body.ptr == NULL)
        return;
    char *json = hd_alloc(hd_base64_bytes(body.len) + 1);
    size_t len = 0;
    if (hd_base64_decode(json, &len, HD_BASE64, body) < 0)
        len = 0;
    hd_failure_post(&c->failed, hd_failure_type(type, "Function.Unknown", c->room),
                    hd_str_n(json, len));
    free(json);
}

static void on_bad_body(struct hd_exchange *ex, unsigned status, const char *why)
{
    struct call *c = ex->door;
    struct hd_shim *s = c->shim;
    bool answer = c->kind != HD_CALL_INIT_ERROR;
    (void)status;
    free_call(c);
    hd_shim_api_error(ex, 400, "TruncatedHTTPRequest", why);
    if (answer)
        hd_shim_cut(s);
}

static void on_writable(struct hd_exchange *ex)
{
    (void)ex;
}

static void on_gone(struct hd_exchange *ex, enum hd_gone why)
{
    struct call *c = ex->door;
    struct hd_shim *s = c->shim;
    enum hd_call_kind kind = c->kind;
    (void)why;
    free_call(c);
    if (kind == HD_CALL_NEXT)
        hd_rapi_next_lost(&s->rapi);
    else if (kind != HD_CALL_INIT_ERROR)
        hd_shim_cut(s);
}

static const struct hd_exchange_events events = {.on_body = on_body,
                                                 .on_trailers = on_trailers,
                                                 .on_bad_body = on_bad_body,
                                                 .on_writable = on_writable,
                                                 .on_gone = on_gone};

void hd_shim_api_writable(struct hd_shim *s)
{
    if (s->answer != NULL)
        hd_exchange_pause(s->answer, false);
}

void hd_shim_api_drop_next(struct hd_shim *s)
{
    struct hd_exchange *ex = s->next;
    if (ex == NULL)
        return;
    free_call(ex->door);
    hd_exchange_abort(ex);
}

bool hd_shim_api_is_open(struct hd_shim *s)
{
    if (s->next != NULL && hd_exchange_peer_gone(s->next)) {
        hd_shim_api_drop_next(s);
        hd_rapi_next_lost(&s->rapi);
    }
    return s->next != NULL;
}

void hd_shim_api_give(struct hd_shim *s, const struct hd_response_head *head, struct hd_str body)
{
    struct hd_exchange *ex = s->next;
    free_call(ex->door);
    hd_exchange_respond(ex, head, body, true);
}

/* --- requests --- */

static struct call *new_call(struct hd_shim *s, struct hd_exchange *ex, enum hd_call_kind kind,
                             const struct hd_head *head)
{
    struct call *c = hd_new(struct call);
    const struct hd_field *type = hd_head_find(head, "Lambda-Runtime-Function-Error-Type");
    *c = (struct call){.shim = s, .ex = ex, .kind = kind};
    hd_buf_init(&c->body, HD_ANSWER_MAX);
    if (type != NULL)
        c->type = hd_failure_type(type->value, NULL, c->room);
    ex->door = c;
    ex->events = &events;
    return c;
}

/* @return whether the answer streams, or -1: the field's value is not known. */
static int response_mode(const struct hd_head *head)
{
    const struct hd_field *f = hd_head_find(head, "Lambda-Runtime-Function-Response-Mode");
    if (f == NULL || hd_str_is_nocase(f->value, "buffered"))
        return 0;
    return hd_str_is_nocase(f->value, "streaming") ? 1 : -1;
}

static void answer(struct hd_shim *s, struct hd_exchange *ex, enum hd_call_kind kind,
                   struct hd_str id, const struct hd_head *head, struct hd_str body, bool end)
{
    int mode = kind == HD_CALL_RESPONSE ? response_mode(head) : 0;
    if (mode < 0) {
        hd_shim_api_error(ex, 400, "InvalidFunctionResponseMode",
                          "Lambda-Runtime-Function-Response-Mode is \"streaming\" or \"buffered\"");
        return;
    }
    enum hd_rapi_verdict v =
        hd_rapi_ask(&s->rapi, kind == HD_CALL_RESPONSE ? HD_RAPI_RESPONSE : HD_RAPI_ERROR, id);
    if (v != HD_RAPI_OK) {
        refuse(ex, v);
        return;
    }
    struct call *c = new_call(s, ex, kind, head);
    const struct hd_field *type = hd_head_find(head, "content-type");
    c->content_type = type != NULL ? hd_strdup_n(type->value) : NULL;
    c->streams = mode == 1 && s->event->stream;
    if (c->streams)
        s->answer = ex;
    hd_exchange_continue(ex);
    on_body(ex, body, end);
}

static void next(struct hd_shim *s, struct hd_exchange *ex, const struct hd_head *head)
{
    enum hd_rapi_verdict v = hd_rapi_ask(&s->rapi, HD_RAPI_NEXT, hd_str_n(NULL, 0));
    if (v != HD_RAPI_OK) {
        refuse(ex, v);
        return;
    }
    hd_shim_front_off(s); /* what listens there is something else */
    new_call(s, ex, HD_CALL_NEXT, head);
    s->next = ex;
    hd_shim_step(s);
}

static void on_request(void *user, struct hd_exchange *ex, const struct hd_head *head,
                       struct hd_str body, bool end)
{
    struct hd_shim *s = user;
    enum hd_call_kind call;
    enum hd_rapi_verdict v;
    struct hd_str id;
    const char *allow;
    ex->events = &hd_shim_no_events;
    unsigned status = hd_calls_find(&call, &id, &allow, head->method, head->path);
    if (status == 404) {
        hd_shim_api_error(ex, 404, "NotFound", "There is no such call in the Runtime API");
        return;
    }
    if (status == 405) {
        char text[64];
        snprintf(text, sizeof(text), "This call is made with %s", allow);
        hd_shim_api_error(ex, 405, "MethodNotAllowed", text);
        return;
    }
    switch (call) {
    case HD_CALL_NEXT:
        next(s, ex, head);
        break;
    case HD_CALL_RESPONSE:
    case HD_CALL_ERROR:
        answer(s, ex, call, id, head, body, end);
        break;
    case HD_CALL_INIT_ERROR:
        v = hd_rapi_ask(&s->rapi, HD_RAPI_INIT_ERROR, id);
        if (v != HD_RAPI_OK) {
            refuse(ex, v);
            break;
        }
        new_call(s, ex, call, head);
        hd_exchange_continue(ex);
        on_body(ex, body, end);
        break;
    case HD_CALL_RESTORE_NEXT:
    case HD_CALL_RESTORE_ERROR:
        v = hd_rapi_ask(&s->rapi, HD_RAPI_RESTORE, id);
        if (v != HD_RAPI_OK)
            refuse(ex, v);
        else if (call == HD_CALL_RESTORE_NEXT)
            hd_shim_answer_json(ex, 200, hd_str("{}\n"), NULL, 0);
        else
            accepted(ex);
        break;
    case HD_CALL_PING: {
        struct hd_field type = {HD_LIT("content-type"), HD_LIT("text/plain")};
        struct hd_response_head pong = {
            .status = 200, .fields = &type, .n_fields = 1, .body_bytes = 4};
        hd_exchange_respond(ex, &pong, hd_str("pong"), true);
        break;
    }
    case HD_CALL_EXT_REGISTER:
    case HD_CALL_EXT_NEXT:
    case HD_CALL_EXT_INIT_ERROR:
    case HD_CALL_EXT_EXIT_ERROR:
    case HD_CALL_TELEMETRY:
    case HD_CALL_LOGS:
        hd_shim_ext_request(s, ex, call, head, body, end);
        break;
    }
}

/* --- who may connect --- */

static bool on_admit(void *user, const struct sockaddr *peer, bool closed)
{
    struct hd_shim *s = user;
    struct sockaddr_in self = {.sin_family = AF_INET,
                               .sin_port = htons(s->api_port),
                               .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct sockaddr_in from;
    struct hd_error err;
    uid_t uid;
    if (closed || s->opt.api_port != 0 || peer->sa_family != AF_INET)
        return true;
    memcpy(&from, peer, sizeof(from));
    int rc = hd_peer_uid(&uid, &from, &self, &err);
    if (rc == 0 && uid == getuid())
        return true;
    if (rc == HD_EIO || rc == HD_EDENIED)
        hd_shim_sink_line(s, hd_str_n(NULL, 0), "error", hd_str(err.msg));
    return false;
}

static int listen_at(uint16_t *port, struct hd_error *err)
{
    struct sockaddr_in a = {
        .sin_family = AF_INET, .sin_port = htons(*port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    const int one = 1;
    socklen_t len = sizeof(a);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) == 0 &&
        bind(fd, (struct sockaddr *)&a, sizeof(a)) == 0 &&
        getsockname(fd, (struct sockaddr *)&a, &len) == 0) {
        *port = ntohs(a.sin_port);
        return fd;
    }
    int sys = errno;
    if (fd >= 0)
        close(fd);
    return hd_fail_sys(err, sys, "Runtime API: 127.0.0.1:%u", *port);
}

int hd_shim_api_open(struct hd_shim *s, struct hd_error *err)
{
    struct hd_server_options opt = {
        .net = s->net,
        .limits = {.parse = {.max_head_bytes = HEAD_MAX,
                             .max_target_bytes = TARGET_MAX,
                             .max_fields = FIELDS_MAX},
                   .head_ms = NEVER_MS,
                   .keep_alive_ms = NEVER_MS},
        .on_request = on_request,
        .on_admit = on_admit,
        .user = s,
    };
    int rc = hd_server_new(&s->api, &opt, err);
    if (rc < 0)
        return rc;
    s->api_port = s->opt.api_port;
    int fd = listen_at(&s->api_port, err);
    if (fd < 0)
        return fd;
    snprintf(s->api_address, sizeof(s->api_address), "127.0.0.1:%u", s->api_port);
    return hd_server_listen_fd(s->api, fd, err);
}
