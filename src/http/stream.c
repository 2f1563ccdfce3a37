#include "http/stream.h"

#include "core/buf.h"

#include <assert.h>

enum { MAX_PARTS = 8 };

/* Output that the kernel did not take: `sending` is with libuv, `next` collects until that is done.
 * The writers wait for on_writable, so this holds about one read's worth. */
struct hd_stream_output {
    uv_write_t req;
    struct hd_stream *stream;
    char *sending;
    size_t sending_bytes;
    struct hd_buf next;
    uv_shutdown_t shutdown;
    bool finish; /* shut down after the last byte */
};

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
    struct hd_stream *s = handle->data;
    (void)suggested;
    *buf = uv_buf_init(s->net->read_bytes, sizeof(s->net->read_bytes));
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
    struct hd_stream *s = stream->data;
    if (n > 0) {
        s->events->on_data(s, hd_str_n(buf->base, (size_t)n));
    } else if (n == UV_EOF) {
        hd_stream_read(s, false);
        s->events->on_eof(s);
    } else if (n < 0) {
        hd_stream_read(s, false);
        s->broken = true;
        s->events->on_error(s, (int)n);
    }
}

int hd_stream_init(struct hd_stream *s, struct hd_net *net, bool unix_socket,
                   const struct hd_stream_events *events)
{
    *s = (struct hd_stream){.events = events, .net = net};
    int rc = unix_socket ? uv_pipe_init(hd_loop_uv(net->loop), &s->uv.pipe, 0)
                         : uv_tcp_init(hd_loop_uv(net->loop), &s->uv.tcp);
    s->uv.handle.data = s;
    return rc;
}

int hd_stream_accept(struct hd_stream *s, uv_stream_t *listener)
{
    int rc = uv_accept(listener, &s->uv.stream);
    if (rc == 0 && s->uv.handle.type == UV_TCP)
        uv_tcp_nodelay(&s->uv.tcp, 1);
    return rc;
}

void hd_stream_read(struct hd_stream *s, bool on)
{
    if (s->reading == on || s->closing || (on && s->broken))
        return;
    s->reading = on;
    if (on)
        uv_read_start(&s->uv.stream, on_alloc, on_read);
    else
        uv_read_stop(&s->uv.stream);
}

static void output_free(struct hd_stream_output *o)
{
    free(o->sending);
    hd_buf_done(&o->next);
    free(o);
}

static void on_written(uv_write_t *req, int status);
static void on_shutdown(uv_shutdown_t *req, int status);

static struct hd_stream_output *output(struct hd_stream *s)
{
    if (s->out == NULL) {
        s->out = hd_new(struct hd_stream_output);
        s->out->stream = s;
        hd_buf_init(&s->out->next, SIZE_MAX); /* bounded by the writers, see above */
    }
    return s->out;
}

/* Give `next` to libuv. */
static void send_next(struct hd_stream *s)
{
    struct hd_stream_output *o = s->out;
    o->sending = o->next.ptr;
    o->sending_bytes = o->next.len;
    hd_buf_init(&o->next, SIZE_MAX);
    uv_buf_t buf = uv_buf_init(o->sending, (unsigned)o->sending_bytes);
    int rc = uv_write(&o->req, &s->uv.stream, &buf, 1, on_written);
    assert(rc == 0); /* fails only on a handle that is not open */
    (void)rc;
}

static void on_written(uv_write_t *req, int status)
{
    struct hd_stream_output *o = hd_container_of(req, struct hd_stream_output, req);
    struct hd_stream *s = o->stream;
    free(o->sending);
    o->sending = NULL;
    o->sending_bytes = 0;
    if (s->closing)
        return; /* on_close() frees the rest */
    if (status != 0) {
        s->broken = true;
        s->events->on_error(s, status);
        return;
    }
    if (o->next.len > 0) {
        send_next(s);
        return;
    }
    if (o->finish) {
        uv_shutdown(&o->shutdown, &s->uv.stream, on_shutdown);
        return;
    }
    s->out = NULL;
    output_free(o);
    s->events->on_writable(s);
}

static void on_shutdown(uv_shutdown_t *req, int status)
{
    struct hd_stream_output *o = hd_container_of(req, struct hd_stream_output, shutdown);
    (void)status; /* a peer that is gone already is noticed by reading */
    if (o->stream->closing)
        return;
    o->stream->out = NULL;
    output_free(o);
}

/* Copy what is left. A write that failed at once fails again here, and is told by its callback. */
static bool keep(struct hd_stream *s, const struct hd_str *parts, unsigned n, size_t skip)
{
    struct hd_stream_output *o = output(s);
    for (unsigned i = 0; i < n; i++) {
        size_t cut = HD_MIN(skip, parts[i].len);
        skip -= cut;
        hd_buf_add(&o->next, parts[i].ptr + cut, parts[i].len - cut);
    }
    if (o->sending == NULL)
        send_next(s);
    return false;
}

bool hd_stream_write(struct hd_stream *s, const struct hd_str *parts, unsigned n)
{
    if (s->closing || s->broken)
        return false;
    assert(n <= MAX_PARTS);
    if (s->out != NULL)
        return keep(s, parts, n, 0);
    uv_buf_t bufs[MAX_PARTS];
    unsigned used = 0;
    size_t total = 0;
    for (unsigned i = 0; i < n; i++) {
        if (parts[i].len == 0)
            continue;
        bufs[used++] = uv_buf_init((char *)parts[i].ptr, (unsigned)parts[i].len);
        total += parts[i].len;
    }
    if (used == 0)
        return true;
    int sent = uv_try_write(&s->uv.stream, bufs, used);
    if (sent >= 0 && (size_t)sent == total)
        return true;
    return keep(s, parts, n, sent > 0 ? (size_t)sent : 0);
}

size_t hd_stream_pending(const struct hd_stream *s)
{
    return s->out != NULL ? s->out->sending_bytes + s->out->next.len : 0;
}

void hd_stream_finish(struct hd_stream *s)
{
    if (s->closing || s->broken)
        return;
    struct hd_stream_output *o = output(s);
    if (o->finish)
        return;
    o->finish = true;
    if (o->sending == NULL)
        uv_shutdown(&o->shutdown, &s->uv.stream, on_shutdown);
}

static void on_close(uv_handle_t *handle)
{
    struct hd_stream *s = handle->data;
    if (s->out != NULL)
        output_free(s->out);
    s->out = NULL;
    s->events->on_closed(s);
}

void hd_stream_close(struct hd_stream *s)
{
    if (s->closing)
        return;
    hd_stream_read(s, false);
    s->closing = true;
    uv_close(&s->uv.handle, on_close);
}

void hd_stream_reset(struct hd_stream *s)
{
    if (s->closing)
        return;
    if (s->uv.handle.type == UV_TCP && s->out == NULL) {
        hd_stream_read(s, false);
        s->closing = true;
        if (uv_tcp_close_reset(&s->uv.tcp, on_close) == 0)
            return;
        s->closing = false;
    }
    hd_stream_close(s);
}
