/*   CONNECTING ──connected──► IDLE ──send──► WAITING ──head──► BODY ──end──► IDLE
 *                                               │ 101             or closed, if not reusable
 *                                               ▼
 *                                            TUNNEL ──either side ends──► closed               */
#include "http/client.h"

#include "core/buf.h"
#include "http/trailer.h"

#include <stdatomic.h>

enum {
    CONNECT_MS = 5000,
    HEAD_BYTES_MAX = 256 * 1024,
    PAUSED_BYTES_MAX = HD_NET_READ_BYTES + HEAD_BYTES_MAX,
};

static const struct hd_parse_limits parse_limits = {
    .max_head_bytes = HEAD_BYTES_MAX, .max_target_bytes = 8192, .max_fields = HD_HEAD_FIELDS_MAX};

struct hd_client_conn {
    struct hd_stream stream;
    struct hd_list link;
    void (*on_idle_gone)(struct hd_client_conn *c);
    const struct hd_client_events *events; /* of the request under way, or NULL */
    void *owner;
    struct hd_buf in; /* a head that is not complete, or what came while paused */
    enum state { IDLE, WAITING, BODY, TUNNEL } state : 8;
    bool chunked_out, request_done, head_method, upgrade, answered, unsent;
    bool keep_alive, chunked_in;
    bool until_close, paused, processing, eof;
    int64_t left;
    struct hd_chunked chunked;
    struct hd_trailers *trailers; /* of the request under way and its answer; mostly NULL */
    struct hd_timer connect_due;
};

struct hd_list *hd_client_link(struct hd_client_conn *c)
{
    return &c->link;
}

struct hd_client_conn *hd_client_of(struct hd_list *link)
{
    return hd_container_of(link, struct hd_client_conn, link);
}

static void close_conn(struct hd_client_conn *c)
{
    hd_timer_stop(c->stream.net->loop, &c->connect_due);
    hd_stream_close(&c->stream);
}

void hd_client_close(struct hd_client_conn *c)
{
    c->events = NULL;
    c->on_idle_gone = NULL;
    close_conn(c);
}

static void fail(struct hd_client_conn *c, const struct hd_error *err)
{
    const struct hd_client_events *events = c->events;
    void (*idle_gone)(struct hd_client_conn * c) = c->on_idle_gone;
    c->events = NULL;
    c->on_idle_gone = NULL;
    if (events != NULL)
        events->on_failed(c->owner, err,
                          c->answered                         ? HD_LOST_ANSWERING
                          : c->unsent || c->stream.connecting ? HD_LOST_UNSENT
                                                              : HD_LOST_UNANSWERED);
    else if (idle_gone != NULL)
        idle_gone(c);
    close_conn(c);
}

static void fail_sys(struct hd_client_conn *c, int status, const char *what)
{
    struct hd_error err;
    hd_fail_sys(&err, status, "%s", what);
    fail(c, &err);
}

/* --- out --- */

void hd_client_send(struct hd_client_conn *c, const struct hd_client_request *req,
                    struct hd_str body, bool end, const struct hd_client_events *events,
                    void *owner)
{
    c->events = events;
    c->owner = owner;
    c->state = WAITING;
    c->chunked_out = req->chunked;
    c->head_method = req->head_method;
    c->upgrade = req->upgrade;
    c->request_done = end;
    c->answered = c->until_close = false;
    char size[HD_CHUNK_BEGIN_MAX];
    struct hd_str parts[5] = {req->head, body};
    if (req->chunked)
        hd_frame_chunk(&parts[1], size, body, end,
                       req->last.len > 0 ? req->last : hd_str(HD_CHUNK_LAST));
    hd_stream_write(&c->stream, parts, req->chunked ? 5 : 2);
    c->unsent = c->stream.failed != 0; /* the peer had closed while nothing was asked of it */
}

bool hd_client_write(struct hd_client_conn *c, struct hd_str bytes, bool end)
{
    c->request_done = c->request_done || end;
    if (c->state == TUNNEL) {
        bool flows = bytes.len == 0 || hd_stream_write(&c->stream, &bytes, 1);
        if (end)
            hd_stream_finish(&c->stream);
        return flows;
    }
    if (!c->chunked_out)
        return bytes.len == 0 || hd_stream_write(&c->stream, &bytes, 1);
    char size[HD_CHUNK_BEGIN_MAX];
    struct hd_str parts[4];
    hd_frame_chunk(parts, size, bytes, end, hd_trailers_last_chunk(c->trailers));
    return hd_stream_write(&c->stream, parts, 4);
}

static struct hd_trailers *trailers(struct hd_client_conn *c)
{
    if (c->trailers == NULL)
        c->trailers = hd_trailers_new();
    return c->trailers;
}

void hd_client_trailers(struct hd_client_conn *c, const struct hd_field *fields, size_t n)
{
    if (c->chunked_out)
        hd_trailers_set(trailers(c), fields, n);
}

/* --- in --- */

/* The answer is complete: the connection is idle before its owner hears of it. Bytes that follow
 * belong to no request: whoever sends them is not trusted with another. */
static void complete(struct hd_client_conn *c, struct hd_str rest)
{
    c->state = IDLE;
    c->paused = false;
    c->events = NULL;
    if (!c->request_done || c->eof || rest.len > 0)
        c->keep_alive = false;
    hd_trailers_free(c->trailers);
    c->trailers = NULL;
}

/* 101 to who did not ask for it would make a tunnel that nobody expects. */
static bool is_unasked(const struct hd_client_conn *c, const struct hd_head *head)
{
    return head->status == 101 && !(c->upgrade && head->upgrade);
}

static bool head_came(struct hd_client_conn *c, struct hd_str *bytes)
{
    struct hd_head *head = &c->stream.net->head;
    struct hd_error err;
    size_t used;
    int rc = hd_parse_response(head, &used, *bytes, c->head_method, &parse_limits, &err);
    if (rc == 0)
        return false;
    if (rc > 0 && is_unasked(c, head))
        rc = hd_fail(&err, HD_EPROTO, "101 to a request that asked for no upgrade");
    if (rc < 0) {
        fail(c, &err);
        return false;
    }
    bytes->ptr += used;
    bytes->len -= used;
    const struct hd_client_events *events = c->events;
    if (head->status < 200 && head->status != 101) {
        events->on_head(c->owner, head, hd_str_n(NULL, 0), false);
        return true;
    }
    c->keep_alive = head->keep_alive;
    c->chunked_in = head->chunked;
    c->chunked = (struct hd_chunked){0};
    c->left = head->body_bytes;
    c->until_close = head->body_bytes == HD_BODY_UNKNOWN && !head->chunked;
    if (head->status == 101) {
        c->state = TUNNEL;
        c->keep_alive = false;
        struct hd_str early = *bytes;
        bytes->len = 0;
        events->on_head(c->owner, head, early, false);
        return true;
    }
    c->state = BODY;
    struct hd_str first = {NULL, 0};
    bool end = head->body_bytes == 0;
    if (head->body_bytes > 0) {
        first = hd_str_n(bytes->ptr, HD_MIN((size_t)c->left, bytes->len));
        bytes->ptr += first.len;
        bytes->len -= first.len;
        c->left -= (int64_t)first.len;
        end = c->left == 0;
    }
    if (end)
        complete(c, *bytes);
    events->on_head(c->owner, head, first, end);
    return true;
}

static void tell_trailers(struct hd_client_conn *c)
{
    struct hd_field fields[HD_TRAILER_FIELDS_MAX];
    size_t n = hd_trailers_fields(c->trailers, fields);
    if (n > 0)
        c->events->on_trailers(c->owner, fields, n);
}

static bool body_came(struct hd_client_conn *c, struct hd_str *bytes)
{
    const bool raw = c->state == TUNNEL || c->until_close, framed = !raw && c->chunked_in;
    struct hd_str piece = {NULL, 0};
    bool end = false;
    if (raw) {
        piece = *bytes;
    } else if (!framed) {
        piece = hd_str_n(bytes->ptr, HD_MIN((size_t)c->left, bytes->len));
        c->left -= (int64_t)piece.len;
        end = c->left == 0;
    } else {
        struct hd_error err;
        size_t used;
        int rc = hd_chunked_next(&c->chunked, &piece, &used, *bytes, &err);
        if (rc < 0) {
            fail(c, &err);
            return false;
        }
        bytes->ptr += used;
        bytes->len -= used;
        end = rc == HD_CHUNKED_END;
        if (rc == HD_CHUNKED_TRAILER) {
            hd_trailers_add(trailers(c), piece);
            return true;
        }
        if (piece.len == 0 && !end)
            return used > 0;
    }
    if (!framed) {
        bytes->ptr += piece.len;
        bytes->len -= piece.len;
    }
    const struct hd_client_events *events = c->events;
    if (end && c->trailers != NULL)
        tell_trailers(c);
    if (end)
        complete(c, *bytes);
    events->on_body(c->owner, piece, end);
    return true;
}

static void consume(struct hd_client_conn *c, struct hd_str *bytes)
{
    while (bytes->len > 0 && !c->stream.closing) {
        if (c->state == IDLE) {
            /* Nobody asked: the peer is not to be trusted with another request. */
            struct hd_error err;
            hd_fail(&err, HD_EPROTO, "bytes after the end of the answer");
            bytes->len = 0;
            c->keep_alive = false;
            fail(c, &err);
        } else if (c->paused) {
            return;
        } else if (c->state == WAITING ? !head_came(c, bytes) : !body_came(c, bytes)) {
            return;
        }
    }
}

static void on_data(struct hd_stream *stream, struct hd_str bytes)
{
    struct hd_client_conn *c = hd_container_of(stream, struct hd_client_conn, stream);
    if (c->state == WAITING)
        c->answered = true;
    if (c->in.len > 0) {
        hd_buf_str(&c->in, bytes);
        bytes = hd_buf_view(&c->in);
    }
    size_t had = bytes.len;
    c->processing = true;
    consume(c, &bytes);
    c->processing = false;
    if (c->stream.closing)
        return;
    if (c->in.len > 0)
        hd_buf_consume(&c->in, had - bytes.len);
    else if (bytes.len > 0)
        hd_buf_str(&c->in, bytes);
    if (hd_buf_failed(&c->in)) {
        struct hd_error err;
        hd_fail(&err, HD_EPROTO, "answer head over %d bytes", HEAD_BYTES_MAX);
        fail(c, &err);
        return;
    }
    if (c->in.len == 0 && c->in.ptr != NULL)
        hd_buf_done(&c->in);
}

void hd_client_pause(struct hd_client_conn *c, bool paused)
{
    if (c->paused == paused || c->state == IDLE)
        return;
    c->paused = paused;
    if (paused) {
        hd_stream_read(&c->stream, false);
        return;
    }
    if (c->processing || c->in.len == 0) {
        hd_stream_read(&c->stream, true);
        return;
    }
    /* What came while paused goes first. */
    struct hd_str bytes = hd_buf_view(&c->in);
    size_t had = bytes.len;
    c->processing = true;
    consume(c, &bytes);
    c->processing = false;
    if (c->stream.closing)
        return;
    hd_buf_consume(&c->in, had - bytes.len);
    if (c->in.len == 0)
        hd_buf_done(&c->in);
    hd_stream_read(&c->stream, !c->paused);
}

static void on_eof(struct hd_stream *stream)
{
    struct hd_client_conn *c = hd_container_of(stream, struct hd_client_conn, stream);
    c->eof = true;
    if (c->events != NULL && (c->state == TUNNEL || (c->state == BODY && c->until_close))) {
        const struct hd_client_events *events = c->events;
        complete(c, hd_str_n(NULL, 0));
        events->on_body(c->owner, hd_str_n(NULL, 0), true);
        return;
    }
    struct hd_error err;
    hd_fail(&err, HD_EIO,
            c->answered ? "connection closed in the middle of the answer"
                        : "connection closed before an answer");
    fail(c, &err);
}

static void on_error(struct hd_stream *stream, int status)
{
    fail_sys(hd_container_of(stream, struct hd_client_conn, stream), status, "connection");
}

static void on_writable(struct hd_stream *stream)
{
    struct hd_client_conn *c = hd_container_of(stream, struct hd_client_conn, stream);
    hd_timer_stop(stream->net->loop, &c->connect_due);
    if (c->events != NULL)
        c->events->on_writable(c->owner);
}

static void on_closed(struct hd_stream *stream)
{
    struct hd_client_conn *c = hd_container_of(stream, struct hd_client_conn, stream);
    hd_buf_done(&c->in);
    hd_trailers_free(c->trailers);
    atomic_fetch_sub_explicit(&c->stream.net->open_client, 1, memory_order_relaxed);
    hd_slab_put(&c->stream.net->client_conns, c);
}

static const struct hd_stream_events stream_events = {.on_data = on_data,
                                                      .on_eof = on_eof,
                                                      .on_error = on_error,
                                                      .on_writable = on_writable,
                                                      .on_closed = on_closed};

bool hd_client_reusable(const struct hd_client_conn *c)
{
    return c->state == IDLE && c->keep_alive && !c->stream.closing && !c->stream.broken &&
           c->stream.failed == 0 && c->stream.out == NULL;
}

static void on_connect_due(struct hd_timer *t)
{
    fail_sys(hd_container_of(t, struct hd_client_conn, connect_due), UV_ETIMEDOUT, "connect");
}

struct hd_client_conn *hd_client_connect(struct hd_net *net, const struct hd_endpoint *to,
                                         void (*on_idle_gone)(struct hd_client_conn *c))
{
    if (net->client_conns.bytes == 0)
        hd_slab_init(&net->client_conns, sizeof(struct hd_client_conn), 256);
    struct hd_client_conn *c = hd_slab_take(&net->client_conns);
    *c = (struct hd_client_conn){.on_idle_gone = on_idle_gone};
    hd_list_init(&c->link);
    hd_buf_init(&c->in, PAUSED_BYTES_MAX);
    atomic_fetch_add_explicit(&net->open_client, 1, memory_order_relaxed);
    hd_stream_connect(&c->stream, net, to, &stream_events);
    hd_timer_start(net->loop, &c->connect_due, CONNECT_MS, on_connect_due);
    hd_stream_read(&c->stream, true);
    return c;
}
