/*          first byte            head complete                answer complete
 *   IDLE ─────────────► HEAD ────────────────► BUSY ─────────────────────────► IDLE
 *     │ keep-alive over     │ too slow, refused    │ request body not complete,
 *     ▼                     ▼                      │ or Connection: close
 *   closed             LINGER ◄────────────────────┘
 *                        reads and drops a little, so that our last bytes arrive; then closed
 *
 * In BUSY the request's body (HD_FRAMED_*) and the answer go on side by side. Bytes that nobody can
 * take yet wait in `in`, about one read's worth: reading stops until they are gone. Output that the
 * kernel does not take keeps the connection in its phase, and the next request waits for it. */
#include "http/conn.h"

#include "http/format.h"
#include "http/trailer.h"

#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    LINGER_MS = 2000,
    LINGER_BYTES = 64 * 1024,
    PIPELINED_BYTES = 64 * 1024,
    HALF_CLOSED_LOOK_MS = 50,
    HALF_CLOSED_AGAIN_MS = 200,
    HALF_CLOSED_IDLE_MS = 15000, /* a half-closed client's answer may be silent for so long */
};

static void on_timer(struct hd_timer *t);

static struct hd_net *net_of(struct hd_conn *c)
{
    return c->stream.net;
}

struct hd_conn *hd_conn_of(struct hd_list *link)
{
    return hd_container_of(link, struct hd_conn, link);
}

void hd_conn_look(struct hd_conn *c, uint64_t delay_ms)
{
    hd_timer_start(net_of(c)->loop, &c->timer, delay_ms, on_timer);
}

static bool is_flushing(const struct hd_conn *c)
{
    return hd_stream_pending(&c->stream) > 0;
}

static void enter(struct hd_conn *c, enum hd_conn_phase phase)
{
    const struct hd_server_limits *l = &c->server->opt.limits;
    c->phase = phase;
    switch (phase) {
    case HD_CONN_IDLE:
        hd_conn_look(c, is_flushing(c) ? HD_CONN_WATCH_MS : l->keep_alive_ms);
        break;
    case HD_CONN_HEAD:
        hd_conn_look(c, l->head_ms);
        break;
    case HD_CONN_BUSY:
        break; /* looked at from the first wait on, see watch() */
    case HD_CONN_LINGER:
        hd_conn_look(c, is_flushing(c) ? HD_CONN_WATCH_MS : LINGER_MS);
        break;
    }
}

static void close_conn(struct hd_conn *c)
{
    hd_timer_stop(net_of(c)->loop, &c->timer);
    hd_stream_close(&c->stream);
}

void hd_conn_forget(struct hd_conn *c)
{
    struct hd_exchange *ex = c->ex;
    c->ex = NULL;
    hd_trailers_free(ex->trailers);
    hd_slab_put(&net_of(c)->exchanges, ex);
}

/* The one way out of an exchange that its door did not end. */
static void gone(struct hd_conn *c, enum hd_gone why)
{
    if (c->ex != NULL) {
        c->ex->events->on_gone(c->ex, why);
        hd_conn_forget(c);
    }
    close_conn(c);
}

/* Our side is said; wait a little for the client to read it before the kernel may reset. */
static void linger(struct hd_conn *c)
{
    if (!c->processing)
        hd_buf_done(&c->in);
    if (c->eof && !is_flushing(c)) {
        close_conn(c);
        return;
    }
    if (!c->eof)
        hd_stream_read(&c->stream, true);
    hd_stream_finish(&c->stream);
    c->lingered = 0;
    enter(c, HD_CONN_LINGER);
}

static void refuse(struct hd_conn *c, unsigned status, const struct hd_error *why)
{
    struct hd_server *s = c->server;
    struct hd_buf body;
    hd_buf_init(&body, 1024);
    hd_buf_cstr(&body, "{\"error\":");
    hd_buf_json(&body, hd_str(why->msg));
    hd_buf_cstr(&body, ",\"reason\":\"bad_request\"}\n");
    static const struct hd_field fields[] = {{HD_LIT("content-type"), HD_LIT("application/json")}};
    struct hd_response_head head = {.status = status,
                                    .fields = fields,
                                    .n_fields = HD_COUNT(fields),
                                    .body_bytes = (int64_t)body.len};
    hd_buf_clear(&s->out);
    struct hd_format how = {.framing = HD_FRAMING_LENGTH,
                            .connection = HD_CONNECTION_CLOSE,
                            .date = hd_date_at(&net_of(c)->date, hd_net_unix_ms(net_of(c)) / 1000)};
    hd_format_response(&s->out, &head, &how, NULL);
    struct hd_str parts[] = {hd_buf_view(&s->out), hd_buf_view(&body)};
    hd_stream_write(&c->stream, parts, 2);
    hd_buf_done(&body);
    if (s->opt.on_refused != NULL)
        s->opt.on_refused(s->opt.user, status, why);
    linger(c);
}

void hd_conn_answered(struct hd_conn *c)
{
    bool body_done = c->ex->body_done, tunnel = c->ex->tunnel;
    c->paused = false;
    hd_conn_forget(c);
    if (c->stream.broken) {
        close_conn(c);
    } else if (tunnel || !c->keep_alive || !body_done || c->bad_body || c->server->draining) {
        linger(c); /* a tunnel's other direction has nobody to hear it */
    } else {
        enter(c, HD_CONN_IDLE);
        if (!c->processing)
            hd_conn_process(c);
    }
}

/* --- requests --- */

static bool is_unfinished(const struct hd_conn *c)
{
    return c->ex != NULL && !c->ex->body_done;
}

/* Cut the next piece of body off *bytes. @return false when there is none, or it is bad. */
static bool next_body(struct hd_conn *c, struct hd_str *bytes, struct hd_str *piece, bool *end)
{
    *end = false;
    *piece = hd_str_n(NULL, 0);
    if (c->framing == HD_FRAMED_RAW) {
        *piece = *bytes;
        bytes->ptr += bytes->len;
        bytes->len = 0;
        return piece->len > 0;
    }
    if (c->framing == HD_FRAMED_LENGTH) {
        size_t n = (uint64_t)c->body_left < bytes->len ? (size_t)c->body_left : bytes->len;
        *piece = hd_str_n(bytes->ptr, n);
        bytes->ptr += n;
        bytes->len -= n;
        c->body_left -= (int64_t)n;
        *end = c->body_left == 0;
        return n > 0 || *end;
    }
    while (bytes->len > 0) {
        size_t used;
        struct hd_error err;
        int rc = hd_chunked_next(&c->chunked, piece, &used, *bytes, &err);
        if (rc < 0) {
            c->bad_body = true;
            c->ex->events->on_bad_body(c->ex, 400, err.msg);
            return false;
        }
        bytes->ptr += used;
        bytes->len -= used;
        *end = rc == HD_CHUNKED_END;
        if (rc == HD_CHUNKED_TRAILER) {
            if (c->ex->trailers == NULL)
                c->ex->trailers = hd_trailers_new();
            hd_trailers_add(c->ex->trailers, *piece);
            piece->len = 0;
        } else if (*end || piece->len > 0) {
            return true;
        }
        if (used == 0)
            break;
    }
    return false;
}

static void start_body(struct hd_conn *c, const struct hd_head *head)
{
    c->framing = head->chunked ? HD_FRAMED_CHUNKED : HD_FRAMED_LENGTH;
    c->body_left = head->body_bytes;
    c->chunked = (struct hd_chunked){0};
    c->read_ms = c->body_since_ms = hd_conn_now_ms(c);
}

/* Parse one head. @return whether there was one. */
static bool next_request(struct hd_conn *c, struct hd_str *bytes)
{
    struct hd_server *s = c->server;
    struct hd_head *head = &net_of(c)->head;
    struct hd_error err;
    size_t used;
    unsigned status;
    int rc = hd_parse_request(head, &used, &status, *bytes, &s->opt.limits.parse, &err);
    if (rc == 0) {
        if (c->phase == HD_CONN_IDLE && bytes->len > 0)
            enter(c, HD_CONN_HEAD);
        return false;
    }
    if (rc < 0) {
        bytes->len = 0;
        refuse(c, status, &err);
        return false;
    }
    bytes->ptr += used;
    bytes->len -= used;
    struct hd_exchange *ex = hd_slab_take(&net_of(c)->exchanges);
    *ex = (struct hd_exchange){.net = net_of(c),
                               .conn = c,
                               .head_request = hd_str_is(head->method, "HEAD"),
                               .expects = head->expect_continue && head->minor == 1,
                               .body_done = head->body_bytes == 0};
    c->ex = ex;
    c->minor_1 = head->minor == 1;
    c->keep_alive = head->keep_alive;
    c->bad_body = false;
    enter(c, HD_CONN_BUSY);
    struct hd_str piece = {NULL, 0};
    bool end = ex->body_done;
    if (!end) {
        start_body(c, head);
        /* What is chunked is decoded after the door knows the exchange: it may be bad. */
        if (c->framing == HD_FRAMED_LENGTH)
            next_body(c, bytes, &piece, &end);
        ex->body_done = end;
        ex->body_in = piece.len;
        if (piece.len > 0)
            ex->expects = false;
        if (!end)
            hd_conn_look(c, HD_CONN_WATCH_MS);
    }
    s->opt.on_request(s->opt.user, ex, head, piece, end);
    return true;
}

/* The body is complete; what follows it goes to the door first. */
static void tell_trailers(struct hd_exchange *ex)
{
    struct hd_field fields[HD_TRAILER_FIELDS_MAX];
    size_t n = hd_trailers_fields(ex->trailers, fields);
    if (n > 0 && ex->events->on_trailers != NULL)
        ex->events->on_trailers(ex, fields, n);
}

static void next_piece(struct hd_conn *c, struct hd_str *bytes)
{
    struct hd_exchange *ex = c->ex;
    struct hd_str piece;
    bool end;
    if (!next_body(c, bytes, &piece, &end)) {
        if (c->bad_body)
            bytes->len = 0;
        return;
    }
    ex->expects = false;
    ex->body_done = end;
    ex->body_in += piece.len;
    if (end && ex->trailers != NULL)
        tell_trailers(ex);
    ex->events->on_body(ex, piece, end);
}

/* Use up *bytes as far as that is possible now. */
static void consume(struct hd_conn *c, struct hd_str *bytes)
{
    while (bytes->len > 0 && !c->stream.closing) {
        size_t before = bytes->len;
        if (c->phase == HD_CONN_LINGER) {
            bytes->len = 0;
        } else if (c->ex == NULL) {
            if (is_flushing(c) || !next_request(c, bytes))
                return; /* a client that does not take its answers gets no more of them */
        } else if (is_unfinished(c) || c->ex->tunnel) {
            if (c->paused)
                return;
            if (c->ex->tunnel)
                c->framing = HD_FRAMED_RAW;
            next_piece(c, bytes);
            if (bytes->len == before)
                return;
        } else {
            return; /* pipelined: wait for the answer */
        }
    }
}

/* Whether more bytes would be of use. A head is bounded by its parser, all else here. */
static bool wants_bytes(const struct hd_conn *c)
{
    bool head = c->ex == NULL && !is_flushing(c);
    return !c->paused && (head || c->in.len < PIPELINED_BYTES);
}

void hd_conn_process(struct hd_conn *c)
{
    if (c->processing || c->stream.closing)
        return;
    c->processing = true;
    struct hd_str bytes = hd_buf_view(&c->in);
    size_t had = bytes.len;
    consume(c, &bytes);
    c->processing = false;
    if (c->stream.closing)
        return;
    if (c->phase == HD_CONN_LINGER) {
        hd_buf_done(&c->in);
        return;
    }
    hd_buf_consume(&c->in, had - bytes.len);
    if (c->in.len == 0)
        hd_buf_done(&c->in);
    if (!c->eof)
        hd_stream_read(&c->stream, wants_bytes(c));
    else if (c->ex == NULL && !is_flushing(c))
        linger(c); /* what is left can never be completed */
}

/* A head that comes byte by byte is parsed once a line. */
static bool may_be_complete(const struct hd_conn *c, struct hd_str bytes)
{
    return c->phase != HD_CONN_HEAD || memchr(bytes.ptr, '\n', bytes.len) != NULL ||
           c->in.len >= c->server->opt.limits.parse.max_head_bytes;
}

static void on_data(struct hd_stream *stream, struct hd_str bytes)
{
    struct hd_conn *c = hd_container_of(stream, struct hd_conn, stream);
    if (c->phase == HD_CONN_LINGER) {
        c->lingered += (uint32_t)bytes.len;
        if (c->lingered > LINGER_BYTES)
            close_conn(c);
        return;
    }
    if (is_unfinished(c))
        c->read_ms = hd_conn_now_ms(c);
    if (c->in.len > 0) {
        hd_buf_str(&c->in, bytes); /* bounded, see wants_bytes() */
        if (may_be_complete(c, bytes))
            hd_conn_process(c);
        return;
    }
    /* The common way: straight from the loop's read buffer. */
    c->processing = true;
    consume(c, &bytes);
    c->processing = false;
    if (c->stream.closing || c->phase == HD_CONN_LINGER)
        return;
    if (bytes.len > 0)
        hd_buf_str(&c->in, bytes);
    if (!wants_bytes(c))
        hd_stream_read(&c->stream, false);
}

static void on_eof(struct hd_stream *stream)
{
    struct hd_conn *c = hd_container_of(stream, struct hd_conn, stream);
    c->eof = true;
    if (c->ex == NULL) {
        if (!is_flushing(c))
            close_conn(c);
    } else if (c->ex->tunnel) {
        c->ex->body_done = true;
        hd_conn_look(c, HALF_CLOSED_LOOK_MS);
        c->ex->events->on_body(c->ex, hd_str_n(NULL, 0), true);
    } else if (!c->ex->body_done) {
        gone(c, HD_GONE_CLIENT);
    } else {
        /* Half-closed, or gone? Only a write can tell: whoever closed both sides answers it with a
         * reset. 100 Continue is the one thing that may be written here (RFC 9110 section 15.2). */
        static const struct hd_str probe = HD_LIT("HTTP/1.1 100 Continue\r\n\r\n");
        if (c->minor_1 && !c->ex->responded && c->in.len == 0)
            hd_stream_write(&c->stream, &probe, 1);
        hd_conn_look(c, HALF_CLOSED_LOOK_MS);
    }
}

static void on_error(struct hd_stream *stream, int status)
{
    struct hd_conn *c = hd_container_of(stream, struct hd_conn, stream);
    (void)status;
    gone(c, HD_GONE_CLIENT);
}

static void on_writable(struct hd_stream *stream)
{
    struct hd_conn *c = hd_container_of(stream, struct hd_conn, stream);
    c->wrote_ms = hd_conn_now_ms(c);
    if (c->ex != NULL) {
        c->ex->events->on_writable(c->ex);
    } else if (c->phase == HD_CONN_LINGER && c->eof) {
        close_conn(c);
    } else if (c->phase == HD_CONN_HEAD) {
        return; /* its deadline runs */
    } else {
        enter(c, c->phase); /* its wait begins now */
        if (c->phase == HD_CONN_IDLE)
            hd_conn_process(c);
    }
}

static void on_closed(struct hd_stream *stream)
{
    struct hd_conn *c = hd_container_of(stream, struct hd_conn, stream);
    struct hd_server *s = c->server;
    if (s->opt.on_admit != NULL && c->peer.any.sa_family != AF_UNSPEC)
        s->opt.on_admit(s->opt.user, &c->peer.any, true);
    hd_list_remove(&c->link);
    hd_buf_done(&c->in);
    free(c);
    hd_server_conn_gone(s);
}

static const struct hd_stream_events stream_events = {.on_data = on_data,
                                                      .on_eof = on_eof,
                                                      .on_error = on_error,
                                                      .on_writable = on_writable,
                                                      .on_closed = on_closed};

/* --- deadlines --- */

static bool body_too_slow(struct hd_conn *c, uint64_t now)
{
    const struct hd_server_limits *l = &c->server->opt.limits;
    if (l->body_gap_ms > 0 && now - c->read_ms >= l->body_gap_ms)
        return true;
    uint64_t took = now - c->body_since_ms;
    return l->body_min_rate > 0 && took > l->body_grace_ms &&
           c->ex->body_in * 1000 < (uint64_t)l->body_min_rate * (took - l->body_grace_ms);
}

/* Output waits: whether the client has taken nothing of it for too long. */
static bool is_stalled(struct hd_conn *c, uint64_t now)
{
    const struct hd_server_limits *l = &c->server->opt.limits;
    size_t unsent = hd_stream_pending(&c->stream);
    if (unsent != c->unsent) {
        c->unsent = unsent;
        c->wrote_ms = now;
    }
    return l->write_stall_ms > 0 && now - c->wrote_ms >= l->write_stall_ms;
}

/* Whether the client has closed both its directions, as far as that can be known. */
static bool has_left(struct hd_conn *c, uint64_t now)
{
    bool silent = c->ex->responded && !is_flushing(c) &&
                  now - HD_MAX(c->wrote_ms, c->read_ms) > HALF_CLOSED_IDLE_MS;
    return silent || hd_stream_peer_gone(&c->stream);
}

/* A busy connection: look at whichever side may hang. */
static void watch(struct hd_conn *c, uint64_t now)
{
    if (c->eof) {
        if (has_left(c, now))
            gone(c, HD_GONE_CLIENT);
        else
            hd_conn_look(c, HALF_CLOSED_AGAIN_MS);
    } else if (is_unfinished(c) && !c->ex->tunnel) {
        hd_conn_look(c, HD_CONN_WATCH_MS);
        if (!c->paused && body_too_slow(c, now)) {
            c->bad_body = true;
            c->ex->events->on_bad_body(c->ex, 408, "the request body came too slowly");
        }
    } else if (is_flushing(c)) {
        hd_conn_look(c, HD_CONN_WATCH_MS);
    }
}

static void on_timer(struct hd_timer *t)
{
    struct hd_conn *c = hd_container_of(t, struct hd_conn, timer);
    uint64_t now = hd_conn_now_ms(c);
    struct hd_error err;
    if (c->stream.broken) {
        gone(c, HD_GONE_CLIENT);
        return;
    }
    if (is_flushing(c) && is_stalled(c, now)) {
        gone(c, HD_GONE_STALLED_WRITE);
        return;
    }
    switch (c->phase) {
    case HD_CONN_IDLE:
    case HD_CONN_LINGER:
        if (is_flushing(c))
            hd_conn_look(c, HD_CONN_WATCH_MS);
        else
            close_conn(c);
        break;
    case HD_CONN_HEAD:
        hd_fail(&err, HD_ETIMEOUT, "the request head was not complete within %u ms",
                c->server->opt.limits.head_ms);
        refuse(c, 408, &err);
        break;
    case HD_CONN_BUSY:
        watch(c, now);
        break;
    }
}

/* --- life --- */

static void note_peer(struct hd_conn *c, const struct sockaddr_storage *peer)
{
    if (peer->ss_family == AF_INET) {
        memcpy(&c->peer.in4, peer, sizeof(c->peer.in4));
        inet_ntop(AF_INET, &c->peer.in4.sin_addr, c->peer_text, sizeof(c->peer_text));
    } else if (peer->ss_family == AF_INET6) {
        memcpy(&c->peer.in6, peer, sizeof(c->peer.in6));
        inet_ntop(AF_INET6, &c->peer.in6.sin6_addr, c->peer_text, sizeof(c->peer_text));
    } else {
        c->peer.any.sa_family = AF_UNIX;
        memcpy(c->peer_text, "unix", 5);
    }
}

void hd_conn_new(struct hd_server *s, int fd, const struct sockaddr_storage *peer)
{
    const size_t waiting =
        HD_MAX((size_t)s->opt.limits.parse.max_head_bytes, (size_t)PIPELINED_BYTES);
    struct hd_conn *c = hd_new(struct hd_conn);
    if (hd_stream_open(&c->stream, s->opt.net, fd, &stream_events) != 0) {
        close(fd);
        free(c);
        return;
    }
    c->server = s;
    hd_list_push(&s->conns, &c->link);
    s->open++;
    hd_buf_init(&c->in, HD_NET_READ_BYTES + waiting);
    note_peer(c, peer);
    if (s->opt.on_admit != NULL && !s->opt.on_admit(s->opt.user, &c->peer.any, false)) {
        c->peer.any.sa_family = AF_UNSPEC;
        hd_stream_reset(&c->stream);
        return;
    }
    /* IDLE, but the first head has its deadline from the start. */
    hd_conn_look(c, s->opt.limits.head_ms);
    hd_stream_read(&c->stream, true);
}

void hd_conn_abort(struct hd_conn *c)
{
    if (!c->stream.closing)
        gone(c, HD_GONE_SHUTDOWN);
}

void hd_conn_drain(struct hd_conn *c)
{
    if (c->phase != HD_CONN_IDLE || c->in.len > 0 || c->stream.closing)
        return;
    if (is_flushing(c))
        linger(c);
    else
        close_conn(c);
}
