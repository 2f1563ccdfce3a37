/* CONNECTING ──refused──► (closed) WAITING ──retry──► CONNECTING
 *     │connected
 *     ▼
 * SENDING, READING ──answer, error, deadline──► CLOSING ──closed──► done()                    */
#include "pool/process/hostclient.h"

#include "core/buf.h"
#include "http/parse.h"

enum {
    RETRY_FIRST_MS = 1,
    RETRY_SLOW_MS = 10,
    SLOW_AFTER = 200,
    READ_BYTES = 16 << 10,
    HEAD_MAX = 32 << 10
};

struct hd_hostcall {
    struct hd_loop *loop;
    struct hd_timer deadline, again;
    union {
        uv_handle_t handle;
        uv_stream_t stream;
        uv_pipe_t pipe;
        uv_tcp_t tcp;
    } io;
    uv_connect_t connect;
    uv_write_t write;
    struct hd_endpoint at[2];
    unsigned n_at, turn; /* at[turn % n_at] is the one at hand */
    uint32_t retry_ms, retries;
    bool retry, open, finished, canceled;
    struct hd_buf out, in, body;
    size_t body_at; /* where the body begins in `in`; 0: the head is not complete */
    int64_t body_bytes;
    bool chunked;
    struct hd_chunked decoder;
    int rc;
    unsigned status;
    struct hd_error err;
    void (*done)(void *arg, const struct hd_hostcall_answer *a);
    void *arg;
};

static void try_connect(struct hd_hostcall *c);

static const struct hd_endpoint *endpoint(const struct hd_hostcall *c)
{
    return &c->at[c->turn % c->n_at];
}

static void release(struct hd_hostcall *c)
{
    if (!c->canceled) {
        struct hd_hostcall_answer a = {.rc = c->rc,
                                       .status = c->status,
                                       .body = hd_buf_view(&c->body),
                                       .at = endpoint(c),
                                       .err = &c->err};
        c->done(c->arg, &a);
    }
    if (c->out.ptr != NULL)
        explicit_bzero(c->out.ptr, c->out.len); /* token, environment */
    hd_buf_done(&c->out);
    hd_buf_done(&c->in);
    hd_buf_done(&c->body);
    free(c);
}

static void on_closed(uv_handle_t *handle)
{
    struct hd_hostcall *c = handle->data;
    c->open = false;
    if (c->finished)
        release(c);
}

static void on_again(struct hd_timer *t)
{
    try_connect(hd_container_of(t, struct hd_hostcall, again));
}

static void finish(struct hd_hostcall *c, int rc)
{
    if (c->finished)
        return;
    c->finished = true;
    c->rc = rc;
    hd_timer_stop(c->loop, &c->deadline);
    hd_timer_stop(c->loop, &c->again);
    if (!c->open)
        release(c);
    else if (!uv_is_closing(&c->io.handle))
        uv_close(&c->io.handle, on_closed);
}

static void on_deadline(struct hd_timer *t)
{
    struct hd_hostcall *c = hd_container_of(t, struct hd_hostcall, deadline);
    if (c->err.code == 0)
        hd_fail(&c->err, HD_ETIMEOUT, "no answer in time");
    c->err.code = HD_ETIMEOUT;
    finish(c, HD_ETIMEOUT);
}

/* --- the answer --- */

static int take_body(struct hd_hostcall *c, bool eof)
{
    struct hd_str rest = hd_str_n(c->in.ptr + c->body_at, c->in.len - c->body_at);
    if (c->chunked) {
        for (;;) {
            struct hd_str data;
            size_t used = 0;
            int rc = hd_chunked_next(&c->decoder, &data, &used, rest, &c->err);
            if (rc < 0)
                return rc;
            if (rc != HD_CHUNKED_TRAILER)
                hd_buf_str(&c->body, data);
            c->body_at += used;
            rest = hd_str_n(rest.ptr + used, rest.len - used);
            if (rc == HD_CHUNKED_END)
                return 1;
            if (used == 0)
                break;
        }
    } else {
        hd_buf_str(&c->body, rest);
        c->body_at += rest.len;
        if (c->body_bytes >= 0 && (int64_t)c->body.len >= c->body_bytes)
            return 1;
        if (eof && c->body_bytes < 0)
            return 1;
    }
    return eof ? hd_fail(&c->err, HD_EPROTO, "the connection ended inside the answer") : 0;
}

/* @return 1: complete; 0: more is needed; HD_EPROTO. */
static int take(struct hd_hostcall *c, bool eof)
{
    static const struct hd_parse_limits limits = {
        .max_head_bytes = HEAD_MAX, .max_target_bytes = 1, .max_fields = HD_HEAD_FIELDS_MAX};
    while (c->body_at == 0) {
        struct hd_head head;
        size_t used = 0;
        int rc = hd_parse_response(&head, &used, hd_buf_view(&c->in), false, &limits, &c->err);
        if (rc < 0)
            return rc;
        if (rc == 0)
            return eof ? hd_fail(&c->err, HD_EPROTO, "the connection ended before an answer") : 0;
        if (head.status < 200 && head.status != 101) {
            hd_buf_consume(&c->in, used);
            continue;
        }
        c->status = head.status;
        c->body_bytes = head.body_bytes;
        c->chunked = head.chunked;
        c->body_at = used;
    }
    return take_body(c, eof);
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
    struct hd_hostcall *c = handle->data;
    char *room = hd_buf_reserve(&c->in, READ_BYTES);
    (void)suggested;
    *buf = uv_buf_init(room, room != NULL ? READ_BYTES : 0); /* 0: on_read() gets UV_ENOBUFS */
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
    struct hd_hostcall *c = stream->data;
    (void)buf;
    if (n == 0)
        return;
    if (n < 0 && n != UV_EOF) {
        if (n == UV_ENOBUFS)
            finish(c, hd_fail(&c->err, HD_EPROTO, "the answer is too long"));
        else
            finish(c, hd_fail_sys(&c->err, (int)n, "answer"));
        return;
    }
    if (n > 0)
        hd_buf_commit(&c->in, (size_t)n);
    int rc = take(c, n == UV_EOF);
    if (rc != 0)
        finish(c, HD_MIN(rc, 0));
}

/* --- the request --- */

static void on_written(uv_write_t *write, int status)
{
    struct hd_hostcall *c = write->data;
    if (status < 0 && !c->finished && status != UV_EPIPE && status != UV_ECONNRESET)
        finish(c, hd_fail_sys(&c->err, status, "request")); /* else an early answer may be there */
}

static void on_refused_closed(uv_handle_t *handle)
{
    struct hd_hostcall *c = handle->data;
    c->open = false;
    if (c->finished) {
        release(c);
        return;
    }
    c->turn++;
    hd_timer_start(c->loop, &c->again, c->retry_ms, on_again);
    if (c->turn % c->n_at == 0)
        c->retry_ms = c->retries++ < SLOW_AFTER ? RETRY_FIRST_MS : RETRY_SLOW_MS;
}

static void refused(struct hd_hostcall *c, int status)
{
    int rc = hd_fail_sys(&c->err, status, "connection to %s", endpoint(c)->address);
    if (!c->retry || status == UV_ECANCELED)
        finish(c, rc);
    else if (!uv_is_closing(&c->io.handle))
        uv_close(&c->io.handle, on_refused_closed);
}

static void on_connect(uv_connect_t *connect, int status)
{
    struct hd_hostcall *c = connect->data;
    if (c->finished)
        return;
    if (status < 0) {
        refused(c, status);
        return;
    }
    c->err = (struct hd_error){0};
    uv_buf_t buf = uv_buf_init(c->out.ptr, (unsigned)c->out.len);
    c->write.data = c;
    int rc = uv_write(&c->write, &c->io.stream, &buf, 1, on_written);
    if (rc == 0)
        rc = uv_read_start(&c->io.stream, on_alloc, on_read);
    if (rc < 0)
        finish(c, hd_fail_sys(&c->err, rc, "request"));
}

static void try_connect(struct hd_hostcall *c)
{
    const struct hd_endpoint *at = endpoint(c);
    uv_loop_t *uv = hd_loop_uv(c->loop);
    int rc = 0;
    c->connect.data = c;
    if (at->kind == HD_ENDPOINT_UNIX) {
        uv_pipe_init(uv, &c->io.pipe, 0); /* cannot fail */
        c->io.handle.data = c;
        c->open = true;
        uv_pipe_connect(&c->connect, &c->io.pipe, at->address, on_connect);
        return;
    }
    struct sockaddr_storage addr;
    uv_tcp_init(uv, &c->io.tcp);
    c->io.handle.data = c;
    c->open = true;
    if (uv_ip4_addr(at->address, at->port, (struct sockaddr_in *)&addr) < 0)
        rc = uv_ip6_addr(at->address, at->port, (struct sockaddr_in6 *)&addr);
    if (rc == 0)
        rc = uv_tcp_connect(&c->connect, &c->io.tcp, (struct sockaddr *)&addr, on_connect);
    if (rc < 0)
        refused(c, rc);
}

static void on_too_long(struct hd_timer *t)
{
    struct hd_hostcall *c = hd_container_of(t, struct hd_hostcall, again);
    finish(c, hd_fail(&c->err, HD_EINVAL, "settings and environment are longer than %d bytes",
                      HD_HOSTCALL_REQUEST_MAX));
}

struct hd_hostcall *hd_hostcall_start(struct hd_loop *loop, const struct hd_hostcall_request *req,
                                      void (*done)(void *arg, const struct hd_hostcall_answer *a),
                                      void *arg)
{
    struct hd_hostcall *c = hd_new(struct hd_hostcall);
    *c = (struct hd_hostcall){.loop = loop,
                              .at = {req->at[0], req->at[1]},
                              .n_at = req->n_at,
                              .retry = req->retry,
                              .retry_ms = RETRY_FIRST_MS,
                              .done = done,
                              .arg = arg};
    hd_buf_init(&c->out, HD_HOSTCALL_REQUEST_MAX);
    hd_buf_init(&c->in, HD_HOSTCALL_ANSWER_MAX);
    hd_buf_init(&c->body, HD_HOSTCALL_ANSWER_MAX);
    hd_buf_fmt(&c->out, "%s %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n", req->method,
               req->path);
    if (req->token != NULL)
        hd_buf_fmt(&c->out, "x-heddle-token: %s\r\n", req->token);
    if (strcmp(req->method, "POST") == 0)
        hd_buf_fmt(&c->out, "Content-Type: application/json\r\nContent-Length: %zu\r\n",
                   req->body.len);
    hd_buf_cstr(&c->out, "\r\n");
    hd_buf_str(&c->out, req->body);
    hd_timer_start(loop, &c->deadline, req->within_ms, on_deadline);
    if (hd_buf_failed(&c->out))
        hd_timer_start(loop, &c->again, 0, on_too_long);
    else
        try_connect(c); /* whatever comes of it comes by a callback */
    return c;
}

void hd_hostcall_cancel(struct hd_hostcall *c)
{
    if (c == NULL)
        return;
    c->canceled = true;
    finish(c, HD_ECANCELED);
}
