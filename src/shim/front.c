/* Images that bring the emulator of the service's runtime interface, or any server that answers
 * POST /2015-03-31/functions/function/invocations: they are not given events by our Runtime API,
 * but at their own front door, on the instance's loopback.
 *
 *   LOOKING ──somebody listens──► SETTLING ──nobody called `next`──► ON ──event──► (a request) ─┐
 *      ▲ │ a little later            │ `next`, an extension          ▲─────────────answer───────┘
 *      └─┘                           ▼
 *                                   OFF ◄──404, 405, 501: that is no such door */
#include "shim/shim.h"

#include "core/base64.h"
#include "http/client.h"

#include <stdio.h>

enum {
    LOOK_FIRST_MS = 5,
    LOOK_LAST_MS = 100,
    SETTLE_MS = 100, /* so long a runtime client may take that listens there itself */
    CONTEXT_MAX = 64 << 10,
};
static const char path[] = "/2015-03-31/functions/function/invocations";
static const char emulator[] = "aws-lambda-rie";

/* --- the answer to an event --- */

static void let_go(struct hd_shim *s)
{
    if (s->front.conn != NULL)
        hd_client_close(hd_steal(s->front.conn));
    hd_buf_done(&s->front.body);
    free(hd_steal(s->front.content_type));
}

/* What listens there is a server of something else, and the runtime will ask for the event yet. */
static bool is_none(struct hd_shim *s)
{
    static const char text[] =
        "what listens on the front door's port takes no events: they wait until the runtime asks";
    unsigned status = s->front.status;
    if ((status != 404 && status != 405 && status != 501) || s->front.said_error ||
        !hd_shim_event_take_back(s))
        return false;
    hd_shim_sink_line(s, hd_str(s->held->id), "warn", hd_str(text));
    hd_shim_front_stop(s);
    return true;
}

static void answered(struct hd_shim *s)
{
    struct hd_shim_front *f = &s->front;
    if (is_none(s)) {
        hd_shim_step(s);
        return;
    }
    struct hd_str body = hd_buf_view(&f->body);
    struct hd_failure failure = {0};
    if (hd_buf_failed(&f->body)) {
        hd_failure_set(&failure, "Function.ResponseSizeTooLarge",
                       "Response payload size exceeded maximum allowed payload size (%d bytes).",
                       HD_ANSWER_MAX);
        failure.plain = true;
    } else if (f->status != 200 || f->said_error) {
        hd_failure_set(&failure, "Runtime.Unknown", "%s on port %u answered with status %u", path,
                       f->port, f->status);
        if (hd_failure_is_json(body))
            hd_failure_post(&failure, "Runtime.Unknown", body);
    }
    if (hd_failure_is(&failure) && failure.posted != NULL)
        hd_shim_event_answer(s, body, NULL, "", false); /* its type stands in the JSON */
    else if (hd_failure_is(&failure))
        hd_shim_event_fault(s, &failure, false);
    else
        hd_shim_event_answer(s, body, f->content_type, NULL, false);
    hd_failure_done(&failure);
    let_go(s);
    hd_shim_step(s);
}

static void on_body(void *owner, struct hd_str bytes, bool end)
{
    struct hd_shim *s = owner;
    hd_buf_str(&s->front.body, bytes);
    if (end || hd_buf_failed(&s->front.body))
        answered(s);
}

static void on_head(void *owner, const struct hd_head *head, struct hd_str body, bool end)
{
    struct hd_shim *s = owner;
    if (head->status < 200)
        return;
    const struct hd_field *type = hd_head_find(head, "content-type");
    s->front.status = head->status;
    s->front.said_error = hd_head_find(head, "x-amz-function-error") != NULL;
    s->front.content_type = type != NULL ? hd_strdup_n(type->value) : NULL;
    on_body(owner, body, end);
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
    struct hd_shim *s = owner;
    (void)err;
    (void)lost;
    s->front.conn = NULL; /* it closes itself */
    let_go(s);
    hd_shim_cut(s);
}

static const struct hd_client_events events = {.on_head = on_head,
                                               .on_body = on_body,
                                               .on_trailers = on_trailers,
                                               .on_writable = on_writable,
                                               .on_failed = on_failed};

/* --- an event --- */

void hd_shim_front_give(struct hd_shim *s, const struct hd_field *fields, size_t n,
                        struct hd_str body)
{
    struct hd_shim_front *f = &s->front;
    const struct hd_endpoint to = {
        .kind = HD_ENDPOINT_TCP, .address = "127.0.0.1", .port = f->port};
    struct hd_field own[HD_SHIM_NEXT_FIELDS + 4];
    char host[32];
    char *context = NULL;
    size_t k = 0;
    for (size_t i = 0; i < n; i++) {
        own[k++] = fields[i];
        if (hd_str_is(fields[i].name, "Lambda-Runtime-Trace-Id"))
            own[k++] = (struct hd_field){HD_LIT("X-Amzn-Trace-Id"), fields[i].value};
        if (hd_str_is(fields[i].name, "Lambda-Runtime-Client-Context")) {
            struct hd_str text = fields[i].value;
            context = hd_alloc(hd_base64_chars(HD_BASE64, text.len) + 1);
            size_t len = hd_base64_encode(context, HD_BASE64, text.ptr, text.len);
            own[k++] = (struct hd_field){HD_LIT("X-Amz-Client-Context"), hd_str_n(context, len)};
        }
    }
    snprintf(host, sizeof(host), "127.0.0.1:%u", f->port);
    const struct hd_request_head head = {.method = hd_str("POST"),
                                         .path = hd_str(path),
                                         .authority = hd_str(host),
                                         .fields = own,
                                         .n_fields = k,
                                         .body_bytes = (int64_t)body.len};
    const struct hd_format how = {.framing = HD_FRAMING_LENGTH};
    struct hd_buf bytes;
    hd_buf_init(&bytes, 4 * CONTEXT_MAX);
    hd_format_request(&bytes, &head, &how, NULL);
    hd_buf_init(&f->body, HD_ANSWER_MAX);
    f->conn = hd_client_connect(s->net, &to, NULL);
    struct hd_client_request req = {.head = hd_buf_view(&bytes)};
    hd_client_send(f->conn, &req, body, true, &events, s);
    hd_buf_done(&bytes);
    free(context);
}

/* --- whether it is one --- */

static void on_look(struct hd_timer *t);

static void look_later(struct hd_shim *s)
{
    struct hd_shim_front *f = &s->front;
    hd_timer_start(s->loop, &f->timer, f->wait_ms, on_look);
    f->wait_ms = HD_MIN(f->wait_ms * 2, (uint32_t)LOOK_LAST_MS);
}

static void look_closed(struct hd_stream *stream)
{
    struct hd_shim *s = hd_container_of(stream, struct hd_shim, front.probe);
    s->front.probing = false;
    if (s->front.state == HD_SHIM_FRONT_LOOKING)
        look_later(s);
}

static void on_settled(struct hd_timer *t)
{
    struct hd_shim *s = hd_container_of(t, struct hd_shim, front.timer);
    s->front.state = HD_SHIM_FRONT_ON;
    hd_shim_step(s);
}

static bool is_emulator(char *const *argv)
{
    for (; argv != NULL && *argv != NULL; argv++) {
        const char *slash = strrchr(*argv, '/');
        if (strcmp(slash != NULL ? slash + 1 : *argv, emulator) == 0)
            return true;
    }
    return false;
}

static void look_connected(struct hd_stream *stream)
{
    struct hd_shim *s = hd_container_of(stream, struct hd_shim, front.probe);
    hd_stream_close(stream);
    if (s->front.state != HD_SHIM_FRONT_LOOKING)
        return;
    s->front.state = HD_SHIM_FRONT_SETTLING;
    hd_timer_start(s->loop, &s->front.timer, is_emulator(s->opt.argv) ? 0 : SETTLE_MS, on_settled);
}

static void look_failed(struct hd_stream *stream, int status)
{
    (void)status;
    hd_stream_close(stream);
}

static void look_data(struct hd_stream *stream, struct hd_str bytes)
{
    (void)stream;
    (void)bytes;
}

static void look_eof(struct hd_stream *stream)
{
    (void)stream;
}

static const struct hd_stream_events look_events = {.on_data = look_data,
                                                    .on_eof = look_eof,
                                                    .on_error = look_failed,
                                                    .on_writable = look_connected,
                                                    .on_closed = look_closed};

static void on_look(struct hd_timer *t)
{
    struct hd_shim *s = hd_container_of(t, struct hd_shim, front.timer);
    const struct hd_endpoint to = {
        .kind = HD_ENDPOINT_TCP, .address = "127.0.0.1", .port = s->front.port};
    if (s->front.probing) {
        look_later(s);
        return;
    }
    s->front.probing = true;
    hd_stream_connect(&s->front.probe, s->net, &to, &look_events);
}

void hd_shim_front_look(struct hd_shim *s)
{
    s->front.port = s->opt.front_port;
    if (s->front.port == 0 || s->exts.n > 0)
        return;
    s->front.state = HD_SHIM_FRONT_LOOKING;
    s->front.wait_ms = LOOK_FIRST_MS;
    look_later(s);
}

void hd_shim_front_off(struct hd_shim *s)
{
    s->front.state = HD_SHIM_FRONT_OFF;
    hd_timer_stop(s->loop, &s->front.timer);
    if (s->front.probing)
        hd_stream_close(&s->front.probe);
}

void hd_shim_front_stop(struct hd_shim *s)
{
    hd_shim_front_off(s);
    let_go(s);
}
