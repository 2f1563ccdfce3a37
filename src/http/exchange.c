/* What doors call: the answer, and the flow of the request's body. */
#include "http/conn.h"
#include "http/trailer.h"

/* Send; output that does not go is watched. @return whether the kernel took it all. */
static bool put(struct hd_conn *c, const struct hd_str *parts, unsigned n)
{
    bool flows = hd_stream_write(&c->stream, parts, n);
    c->wrote_ms = hd_conn_now_ms(c);
    if (!flows)
        hd_conn_look(c, HD_CONN_WATCH_MS);
    return flows;
}

const char *hd_exchange_peer(const struct hd_exchange *ex)
{
    return ex->conn->peer_text;
}

const struct sockaddr *hd_exchange_peer_addr(const struct hd_exchange *ex)
{
    return &ex->conn->peer.any;
}

bool hd_exchange_peer_gone(const struct hd_exchange *ex)
{
    return hd_stream_peer_gone(&ex->conn->stream);
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
    c->read_ms = c->body_since_ms = hd_conn_now_ms(c);
    if (!c->processing)
        hd_conn_process(c);
    else if (!c->eof)
        hd_stream_read(&c->stream, true);
}

void hd_exchange_continue(struct hd_exchange *ex)
{
    static const struct hd_str text = HD_LIT("HTTP/1.1 100 Continue\r\n\r\n");
    if (!ex->expects || ex->responded)
        return;
    ex->expects = false;
    put(ex->conn, &text, 1);
}

void hd_exchange_info(struct hd_exchange *ex, const struct hd_response_head *head)
{
    struct hd_conn *c = ex->conn;
    /* 100 is between us and the client. What is only a hint does not queue up. */
    if (!c->minor_1 || ex->responded || head->status <= 101 || hd_stream_pending(&c->stream) > 0)
        return;
    struct hd_buf *out = &c->server->out;
    struct hd_format how = {.framing = HD_FRAMING_NONE};
    hd_buf_clear(out);
    if (hd_format_response(out, head, &how, NULL) < 0)
        return;
    struct hd_str part = hd_buf_view(out);
    put(c, &part, 1);
}

void hd_exchange_trailers(struct hd_exchange *ex, const struct hd_field *fields, size_t n)
{
    if (!ex->conn->chunked_out || !ex->responded)
        return;
    if (ex->trailers == NULL)
        ex->trailers = hd_trailers_new();
    hd_trailers_set(ex->trailers, fields, n);
}

static enum hd_connection connection_field(const struct hd_conn *c)
{
    if (c->ex->tunnel)
        return HD_CONNECTION_UPGRADE;
    if (!c->keep_alive)
        return HD_CONNECTION_CLOSE;
    return c->minor_1 ? HD_CONNECTION_DEFAULT : HD_CONNECTION_KEEP_ALIVE;
}

/* Send a piece of the body in its framing, behind @p head. @return whether the kernel took it. */
static bool put_body(struct hd_conn *c, struct hd_str head, struct hd_str body, bool end)
{
    struct hd_exchange *ex = c->ex;
    char size[HD_CHUNK_BEGIN_MAX];
    struct hd_str parts[5] = {head, body};
    ex->body_out += body.len;
    if (c->chunked_out)
        hd_frame_chunk(&parts[1], size, body, end, hd_trailers_last_chunk(ex->trailers));
    else if (head.len == 0 && body.len == 0)
        return true;
    return put(c, parts, c->chunked_out ? 5 : 2);
}

bool hd_exchange_respond(struct hd_exchange *ex, const struct hd_response_head *given,
                         struct hd_str body, bool end)
{
    struct hd_conn *c = ex->conn;
    struct hd_net *net = c->stream.net;
    struct hd_buf *out = &c->server->out;
    struct hd_response_head head = *given;
    ex->tunnel = head.status == 101;
    if (head.body_bytes == HD_BODY_UNKNOWN && end && !ex->head_request)
        head.body_bytes = (int64_t)body.len;
    struct hd_format how = {.framing =
                                hd_response_framing(&head, ex->head_request, c->minor_1 ? 1 : 0),
                            .upgrade = head.upgrade,
                            .date = hd_date_at(&net->date, hd_net_unix_ms(net) / 1000)};
    bool bodyless = ex->head_request || head.status == 204 || head.status == 304;
    bool until_close = how.framing == HD_FRAMING_NONE && !bodyless && !ex->tunnel;
    c->chunked_out = how.framing == HD_FRAMING_CHUNKED && !bodyless;
    /* A half-closed client may have sent more requests before, which wait in `in`. */
    if (until_close || c->server->draining || (end && !ex->body_done) || (c->eof && c->in.len == 0))
        c->keep_alive = false;
    how.connection = connection_field(c);
    ex->responded = true;
    ex->expects = false;
    ex->bodyless = bodyless;
    hd_buf_clear(out);
    if (hd_format_response(out, &head, &how, NULL) < 0)
        c->stream.broken = true; /* nothing can be said */
    bool flows = put_body(c, hd_buf_view(out), bodyless ? hd_str_n(NULL, 0) : body, end);
    if (end && !ex->tunnel) {
        hd_conn_answered(c);
        return true;
    }
    if (c->stream.broken)
        hd_conn_look(c, 0); /* the door hears of it like of any client that is gone */
    else if (ex->tunnel && c->in.len > 0)
        hd_conn_process(c); /* the client did not wait for our 101 */
    return flows;
}

bool hd_exchange_write(struct hd_exchange *ex, struct hd_str bytes, bool end)
{
    struct hd_conn *c = ex->conn;
    if (ex->bodyless)
        bytes.len = 0;
    bool flows = put_body(c, hd_str_n(NULL, 0), bytes, end);
    if (end) {
        hd_conn_answered(c);
        return true;
    }
    return flows;
}

void hd_exchange_abort(struct hd_exchange *ex)
{
    struct hd_conn *c = ex->conn;
    hd_conn_forget(c);
    hd_timer_stop(c->stream.net->loop, &c->timer);
    hd_stream_reset(&c->stream);
}
