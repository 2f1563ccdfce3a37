/*          first byte            head complete                answer complete
 *   IDLE ─────────────► HEAD ────────────────► BUSY ─────────────────────────► IDLE
 *     │ keep-alive over     │ too slow, refused    │ request body not complete,
 *     ▼                     ▼                      │ or Connection: close
 *   closed             LINGER ◄────────────────────┘
 *                        reads and drops a little, so that our last bytes arrive; then closed
 *
 * In BUSY the request's body (BODY_*) and the answer go on side by side. Bytes that nobody can take
 * yet wait in `in`, at most one read's worth: reading stops until they are gone. */
#include "http/conn.h"

#include "http/format.h"

#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    LINGER_MS = 2000,
    LINGER_BYTES = 64 * 1024,
    PIPELINED_BYTES = 64 * 1024,
    WATCH_MS = 1000, /* how often a busy connection is looked at */
    HALF_CLOSED_LOOK_MS = 50,
    HALF_CLOSED_IDLE_MS =
        5000, /* a half-closed client is waited for this long in a silent stream */
    HEAD_BYTES_MAX = 256 * 1024,
};

enum phase { IDLE, HEAD, BUSY, LINGER };
enum framing { BODY_LENGTH, BODY_CHUNKED, BODY_RAW };

struct hd_conn {
    struct hd_stream stream;
    struct hd_list link;
    struct hd_server *server;
    struct hd_exchange *ex; /* in BUSY, until the answer is complete */
    struct hd_timer timer;
    struct hd_buf in;  /* bytes read and not used yet; no memory when idle */
    uint64_t since_ms; /* when `phase` was entered; in BUSY: the last progress */
    uint64_t body_since_ms, stall_left;
    int64_t body_left;
    struct hd_chunked chunked;
    enum phase phase : 8;
    enum framing framing : 8;
    bool keep_alive, minor_1, paused, processing, eof, half_closed_told, chunked_out, close_after;
    bool bad_body;
    uint32_t lingered;
    union {
        struct sockaddr any;
        struct sockaddr_in in4;
        struct sockaddr_in6 in6;
    } peer;
    char peer_text[INET6_ADDRSTRLEN];
};

static void process(struct hd_conn *c);
static void on_timer(struct hd_timer *t);

static struct hd_net *net_of(struct hd_conn *c)
{
    return c->stream.net;
}

static uint64_t now_ms(struct hd_conn *c)
{
    return hd_loop_now_ms(net_of(c)->loop);
}

struct hd_conn *hd_conn_of(struct hd_list *link)
{
    return hd_container_of(link, struct hd_conn, link);
}

static void arm(struct hd_conn *c, uint64_t delay_ms)
{
    hd_timer_start(net_of(c)->loop, &c->timer, delay_ms, on_timer);
}

static void enter(struct hd_conn *c, enum phase phase)
{
    const struct hd_server_limits *l = &c->server->opt.limits;
    c->phase = phase;
    c->since_ms = now_ms(c);
    switch (phase) {
    case IDLE:
        arm(c, l->keep_alive_ms);
        break;
    case HEAD:
        arm(c, l->head_ms);
        break;
    case BUSY:
        break; /* watched from the first stall on, see watch() */
    case LINGER:
        arm(c, LINGER_MS);
        break;
    }
}

static void close_conn(struct hd_conn *c)
{
    hd_timer_stop(net_of(c)->loop, &c->timer);
    hd_stream_close(&c->stream);
}

/* The one way out of an exchange that its door did not end. */
static void gone(struct hd_conn *c, enum hd_gone why)
{
    struct hd_exchange *ex = c->ex;
    c->ex = NULL;
    if (ex != NULL) {
        ex->events->on_gone(ex, why);
        hd_slab_put(&net_of(c)->exchanges, ex);
    }
    close_conn(c);
}

/* Our side is said; wait a little for the client to read it before the kernel may reset. */
static void linger(struct hd_conn *c)
{
    hd_buf_done(&c->in);
    if (c->eof) {
        if (hd_stream_pending(&c->stream) == 0) {
            close_conn(c);
            return;
        }
    } else {
        hd_stream_read(&c->stream, true);
    }
    hd_stream_finish(&c->stream);
    c->lingered = 0;
    enter(c, LINGER);
}

/* --- answers --- */

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

const char *hd_exchange_peer(const struct hd_exchange *ex)
{
    return ex->conn->peer_text;
}

const struct sockaddr *hd_exchange_peer_addr(const struct hd_exchange *ex)
{
    return &ex->conn->peer.any;
}

void hd_exchange_pause(struct hd_exchange *ex, bool paused)
{
    struct hd_conn *c = ex->conn;
    if (c->paused == paused)
        return;
    c->paused = paused;
    if (paused) {
        hd_stream_read(&c->stream, false);
        return;
    }
    c->since_ms = c->body_since_ms = now_ms(c);
    if (!c->processing)
        process(c);
    else if (!c->eof)
        hd_stream_read(&c->stream, true);
}

void hd_exchange_continue(struct hd_exchange *ex)
{
    static const struct hd_str text = HD_LIT("HTTP/1.1 100 Continue\r\n\r\n");
    if (!ex->expects || ex->responded)
        return;
    ex->expects = false;
    hd_stream_write(&ex->conn->stream, &text, 1);
}

void hd_exchange_info(struct hd_exchange *ex, const struct hd_response_head *head)
{
    struct hd_conn *c = ex->conn;
    if (!c->minor_1 || ex->responded)
        return;
    struct hd_buf *out = &c->server->out;
    struct hd_format how = {.framing = HD_FRAMING_NONE};
    hd_buf_clear(out);
    if (hd_format_response(out, head, &how, NULL) < 0)
        return;
    struct hd_str part = hd_buf_view(out);
    hd_stream_write(&c->stream, &part, 1);
}

/* The answer is complete: free the exchange, and go on with the connection. */
static void finish(struct hd_conn *c)
{
    struct hd_exchange *ex = c->ex;
    bool body_done = ex->body_done, tunnel = ex->tunnel;
    c->ex = NULL;
    c->paused = false;
    hd_slab_put(&net_of(c)->exchanges, ex);
    if (c->stream.broken) {
        close_conn(c);
    } else if (tunnel) {
        /* The other direction may go on; it has nobody to hear it. */
        linger(c);
    } else if (!c->keep_alive || !body_done || c->bad_body || c->server->draining) {
        linger(c);
    } else {
        enter(c, IDLE);
        if (c->eof && c->in.len == 0)
            linger(c);
        else if (!c->processing)
            process(c);
    }
}

static enum hd_connection connection_field(const struct hd_conn *c)
{
    if (c->ex->tunnel)
        return HD_CONNECTION_UPGRADE;
    if (!c->keep_alive)
        return HD_CONNECTION_CLOSE;
    return c->minor_1 ? HD_CONNECTION_DEFAULT : HD_CONNECTION_KEEP_ALIVE;
}

bool hd_exchange_respond(struct hd_exchange *ex, const struct hd_response_head *given,
                         struct hd_str body, bool end)
{
    struct hd_conn *c = ex->conn;
    struct hd_buf *out = &c->server->out;
    struct hd_response_head head = *given;
    ex->tunnel = head.status == 101;
    if (head.body_bytes == HD_BODY_UNKNOWN && end && !ex->head_request)
        head.body_bytes = (int64_t)body.len;
    struct hd_format how = {.framing =
                                hd_response_framing(&head, ex->head_request, c->minor_1 ? 1 : 0),
                            .upgrade = head.upgrade,
                            .date = hd_date_at(&net_of(c)->date, hd_net_unix_ms(net_of(c)) / 1000)};
    bool bodyless = ex->head_request || head.status == 204 || head.status == 304;
    bool until_close = how.framing == HD_FRAMING_NONE && !bodyless && !ex->tunnel;
    c->chunked_out = how.framing == HD_FRAMING_CHUNKED && !bodyless;
    if (until_close || c->server->draining || !ex->body_done || c->eof)
        c->keep_alive = false;
    how.connection = connection_field(c);
    hd_buf_clear(out);
    if (hd_format_response(out, &head, &how, NULL) < 0) {
        hd_exchange_abort(ex);
        return false;
    }
    ex->responded = true;
    ex->expects = false;
    ex->bodyless = bodyless;
    if (bodyless)
        body.len = 0;
    ex->body_out += body.len;
    char size[HD_CHUNK_BEGIN_MAX];
    struct hd_str parts[4] = {hd_buf_view(out), {NULL, 0}, body, {NULL, 0}};
    if (c->chunked_out)
        hd_frame_chunk(&parts[1], size, body, end);
    bool flows = hd_stream_write(&c->stream, parts, 4);
    if (end && !ex->tunnel) {
        finish(c);
        return true;
    }
    if (ex->tunnel && c->in.len > 0)
        process(c); /* the client did not wait for our 101 */
    if (!flows)
        arm(c, WATCH_MS);
    c->since_ms = now_ms(c);
    return flows;
}

bool hd_exchange_write(struct hd_exchange *ex, struct hd_str bytes, bool end)
{
    struct hd_conn *c = ex->conn;
    bool flows = true;
    if (ex->tunnel) {
        if (bytes.len > 0)
            flows = hd_stream_write(&c->stream, &bytes, 1);
    } else if (ex->bodyless) {
        bytes.len = 0;
    } else if (c->chunked_out) {
        char size[HD_CHUNK_BEGIN_MAX];
        struct hd_str parts[3];
        hd_frame_chunk(parts, size, bytes, end);
        flows = hd_stream_write(&c->stream, parts, 3);
    } else if (bytes.len > 0) {
        flows = hd_stream_write(&c->stream, &bytes, 1);
    }
    ex->body_out += bytes.len;
    if (end) {
        finish(c);
        return true;
    }
    if (!flows)
        arm(c, WATCH_MS);
    c->since_ms = now_ms(c);
    return flows;
}

void hd_exchange_abort(struct hd_exchange *ex)
{
    struct hd_conn *c = ex->conn;
    c->ex = NULL;
    hd_slab_put(&net_of(c)->exchanges, ex);
    hd_timer_stop(net_of(c)->loop, &c->timer);
    hd_stream_reset(&c->stream);
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
    if (c->framing == BODY_RAW) {
        *piece = *bytes;
        bytes->ptr += bytes->len;
        bytes->len = 0;
        return piece->len > 0;
    }
    if (c->framing == BODY_LENGTH) {
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
        *end = rc == 1;
        if (*end || piece->len > 0)
            return true;
        if (used == 0)
            break;
    }
    return false;
}

static void start_body(struct hd_conn *c, const struct hd_head *head)
{
    c->framing = head->chunked ? BODY_CHUNKED : BODY_LENGTH;
    c->body_left = head->body_bytes;
    c->chunked = (struct hd_chunked){0};
    c->bad_body = false;
    c->body_since_ms = now_ms(c);
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
        if (c->phase == IDLE && bytes->len > 0)
            enter(c, HEAD);
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
    enter(c, BUSY);
    struct hd_str piece = {NULL, 0};
    bool end = ex->body_done;
    if (!end) {
        start_body(c, head);
        /* What is chunked is decoded after the door knows the exchange: it may be bad. */
        if (c->framing == BODY_LENGTH)
            next_body(c, bytes, &piece, &end);
        ex->body_done = end;
        ex->body_in = piece.len;
        if (piece.len > 0)
            ex->expects = false;
        if (!end)
            arm(c, WATCH_MS);
    }
    s->opt.on_request(s->opt.user, ex, head, piece, end);
    return true;
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
    ex->events->on_body(ex, piece, end);
}

/* Use up *bytes as far as that is possible now. */
static void consume(struct hd_conn *c, struct hd_str *bytes)
{
    while (bytes->len > 0 && !c->stream.closing) {
        size_t before = bytes->len;
        if (c->phase == LINGER) {
            bytes->len = 0;
        } else if (c->ex == NULL) {
            if (!next_request(c, bytes))
                return;
        } else if (is_unfinished(c) || c->ex->tunnel) {
            if (c->paused)
                return;
            if (c->ex->tunnel)
                c->framing = BODY_RAW;
            next_piece(c, bytes);
            if (bytes->len == before)
                return;
        } else {
            return; /* pipelined: wait for the answer */
        }
    }
}

/* Work on what is in `in`, then decide whether to read. */
static void process(struct hd_conn *c)
{
    if (c->processing || c->stream.closing)
        return;
    c->processing = true;
    struct hd_str bytes = hd_buf_view(&c->in);
    size_t had = bytes.len;
    consume(c, &bytes);
    c->processing = false;
    if (c->stream.closing || c->phase == LINGER)
        return;
    hd_buf_consume(&c->in, had - bytes.len);
    if (c->in.len == 0)
        hd_buf_done(&c->in);
    if (c->eof) {
        if (c->ex == NULL)
            linger(c); /* what is left can never be completed */
        return;
    }
    hd_stream_read(&c->stream, !c->paused && c->in.len < PIPELINED_BYTES);
}

static void on_data(struct hd_stream *stream, struct hd_str bytes)
{
    struct hd_conn *c = hd_container_of(stream, struct hd_conn, stream);
    if (c->phase == LINGER) {
        c->lingered += (uint32_t)bytes.len;
        if (c->lingered > LINGER_BYTES)
            close_conn(c);
        return;
    }
    if (c->phase == BUSY)
        c->since_ms = now_ms(c);
    if (c->in.len > 0) {
        hd_buf_str(&c->in, bytes); /* bounded: reading stops at PIPELINED_BYTES */
        process(c);
        return;
    }
    /* The common way: straight from the loop's read buffer. */
    c->processing = true;
    consume(c, &bytes);
    c->processing = false;
    if (c->stream.closing || c->phase == LINGER)
        return;
    if (bytes.len > 0) {
        hd_buf_str(&c->in, bytes);
        if (c->paused || c->in.len >= PIPELINED_BYTES)
            hd_stream_read(&c->stream, false);
    }
}

static void on_eof(struct hd_stream *stream)
{
    struct hd_conn *c = hd_container_of(stream, struct hd_conn, stream);
    c->eof = true;
    if (c->phase == LINGER) {
        close_conn(c);
    } else if (c->ex == NULL) {
        close_conn(c);
    } else if (c->ex->tunnel) {
        c->ex->body_done = true;
        c->ex->events->on_body(c->ex, hd_str_n(NULL, 0), true);
    } else if (!c->ex->body_done) {
        gone(c, HD_GONE_CLIENT);
    } else {
        /* Half-closed, or gone? Only a write can tell: whoever closed both sides answers it with a
         * reset. 100 Continue is the one thing that may be written here (RFC 9110 section 15.2). */
        static const struct hd_str probe = HD_LIT("HTTP/1.1 100 Continue\r\n\r\n");
        c->keep_alive = false;
        if (c->minor_1 && !c->ex->responded)
            hd_stream_write(&c->stream, &probe, 1);
        arm(c, HALF_CLOSED_LOOK_MS);
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
    if (c->phase == LINGER && c->eof) {
        close_conn(c);
    } else if (c->ex != NULL) {
        c->since_ms = now_ms(c);
        c->ex->events->on_writable(c->ex);
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
    if (l->body_gap_ms > 0 && now - c->since_ms >= l->body_gap_ms)
        return true;
    uint64_t took = now - c->body_since_ms;
    return l->body_min_rate > 0 && took > l->body_grace_ms &&
           c->ex->body_in * 1000 < (uint64_t)l->body_min_rate * (took - l->body_grace_ms);
}

/* A busy connection: look at whichever side may hang. */
static void watch(struct hd_conn *c)
{
    const struct hd_server_limits *l = &c->server->opt.limits;
    uint64_t now = now_ms(c);
    size_t pending = hd_stream_pending(&c->stream);
    if (c->eof && !c->ex->tunnel) {
        bool silent = c->ex->responded && pending == 0 && now - c->since_ms > HALF_CLOSED_IDLE_MS;
        if (silent || hd_stream_peer_gone(&c->stream)) {
            gone(c, HD_GONE_CLIENT);
            return;
        }
        arm(c, HALF_CLOSED_LOOK_MS * 4);
        return;
    }
    if (pending > 0) {
        if (pending != c->stall_left) {
            c->stall_left = pending;
            c->since_ms = now;
        } else if (l->write_stall_ms > 0 && now - c->since_ms >= l->write_stall_ms) {
            gone(c, HD_GONE_STALLED_WRITE);
            return;
        }
        arm(c, WATCH_MS);
    } else if (is_unfinished(c) && !c->ex->tunnel) {
        if (!c->paused && body_too_slow(c, now)) {
            c->bad_body = true;
            c->ex->events->on_bad_body(c->ex, 408, "the request body came too slowly");
            return;
        }
        arm(c, WATCH_MS);
    }
}

static void on_timer(struct hd_timer *t)
{
    struct hd_conn *c = hd_container_of(t, struct hd_conn, timer);
    struct hd_error err;
    switch (c->phase) {
    case IDLE:
    case LINGER:
        close_conn(c);
        break;
    case HEAD:
        hd_fail(&err, HD_ETIMEOUT, "the request head was not complete within %u ms",
                c->server->opt.limits.head_ms);
        refuse(c, 408, &err);
        break;
    case BUSY:
        watch(c);
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
    struct hd_conn *c = hd_new(struct hd_conn);
    if (hd_stream_open(&c->stream, s->opt.net, fd, &stream_events) != 0) {
        close(fd);
        free(c);
        return;
    }
    c->server = s;
    hd_list_push(&s->conns, &c->link);
    s->open++;
    hd_buf_init(&c->in, HD_NET_READ_BYTES + HEAD_BYTES_MAX);
    note_peer(c, peer);
    if (s->opt.on_admit != NULL && !s->opt.on_admit(s->opt.user, &c->peer.any, false)) {
        c->peer.any.sa_family = AF_UNSPEC;
        hd_stream_reset(&c->stream);
        return;
    }
    c->since_ms = now_ms(c);
    arm(c, s->opt.limits.head_ms); /* IDLE, but the first head has its deadline from the start */
    hd_stream_read(&c->stream, true);
}

void hd_conn_abort(struct hd_conn *c)
{
    if (!c->stream.closing)
        gone(c, HD_GONE_SHUTDOWN);
}

void hd_conn_drain(struct hd_conn *c)
{
    if (c->phase == IDLE && c->in.len == 0)
        close_conn(c);
}
