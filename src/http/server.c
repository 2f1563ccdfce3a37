#include "http/conn.h"

#include <errno.h>
#include <sys/socket.h>

enum { BACKLOG = 1024, HEAD_OUT_MAX = 1024 * 1024 };

struct listener {
    union {
        uv_handle_t handle;
        uv_stream_t stream;
        uv_tcp_t tcp;
        uv_pipe_t pipe;
    } uv;
    struct hd_list link;
    struct hd_server *server;
    bool unix_socket;
};

int hd_server_new(struct hd_server **out, const struct hd_server_options *opt, struct hd_error *err)
{
    if (opt->limits.head_ms == 0 || opt->limits.keep_alive_ms == 0)
        return hd_fail(err, HD_EINVAL, "server: head_ms and keep_alive_ms must be at least 1");
    struct hd_server *s = hd_new(struct hd_server);
    s->opt = *opt;
    hd_list_init(&s->conns);
    hd_list_init(&s->listeners);
    hd_buf_init(&s->out, HEAD_OUT_MAX);
    if (opt->net->exchanges.bytes == 0)
        hd_slab_init(&opt->net->exchanges, sizeof(struct hd_exchange), 1024);
    *out = s;
    return 0;
}

static void on_connection(uv_stream_t *stream, int status)
{
    struct listener *l = stream->data;
    if (status == 0) /* else: out of descriptors; libuv lets the client go */
        hd_conn_accept(l->server, stream, l->unix_socket);
}

static void on_listener_closed(uv_handle_t *handle)
{
    struct listener *l = handle->data;
    struct hd_server *s = l->server;
    hd_list_remove(&l->link);
    free(l);
    hd_server_conn_gone(s);
}

int hd_server_listen_fd(struct hd_server *s, int fd, struct hd_error *err)
{
    struct sockaddr_storage addr;
    socklen_t len = sizeof(addr);
    if (getsockname(fd, (struct sockaddr *)&addr, &len) != 0)
        return hd_fail_sys(err, errno, "listen");
    struct listener *l = hd_new(struct listener);
    l->server = s;
    l->unix_socket = addr.ss_family == AF_UNIX;
    uv_loop_t *loop = hd_loop_uv(s->opt.net->loop);
    int rc;
    if (l->unix_socket) {
        uv_pipe_init(loop, &l->uv.pipe, 0);
        rc = uv_pipe_open(&l->uv.pipe, fd);
    } else {
        uv_tcp_init(loop, &l->uv.tcp);
        rc = uv_tcp_open(&l->uv.tcp, fd);
    }
    l->uv.handle.data = l;
    hd_list_push(&s->listeners, &l->link);
    s->open++;
    if (rc == 0)
        rc = uv_listen(&l->uv.stream, BACKLOG, on_connection);
    if (rc == 0)
        return 0;
    uv_close(&l->uv.handle, on_listener_closed);
    return hd_fail_sys(err, rc, "listen");
}

void hd_server_drain(struct hd_server *s)
{
    s->draining = true;
    hd_list_each(item, &s->listeners)
    {
        struct listener *l = hd_container_of(item, struct listener, link);
        if (!uv_is_closing(&l->uv.handle))
            uv_close(&l->uv.handle, on_listener_closed);
    }
    hd_list_each(item, &s->conns)
    {
        hd_conn_drain(hd_conn_of(item));
    }
}

unsigned hd_server_open(const struct hd_server *s)
{
    return s->open;
}

void hd_server_conn_gone(struct hd_server *s)
{
    s->open--;
    if (s->open == 0 && s->closing && s->on_done != NULL) {
        void (*done)(void *arg) = s->on_done;
        s->on_done = NULL;
        done(s->on_done_arg);
    }
}

static void done_later(void *arg)
{
    struct hd_server *s = arg;
    hd_server_conn_gone(s);
}

void hd_server_close(struct hd_server *s, void (*done)(void *arg), void *arg)
{
    s->closing = true;
    s->on_done = done;
    s->on_done_arg = arg;
    s->open++; /* until done_later(): done is never called from inside */
    hd_loop_post(s->opt.net->loop, done_later, s);
    hd_server_drain(s);
    hd_list_each(item, &s->conns)
    {
        hd_conn_abort(hd_conn_of(item));
    }
}

void hd_server_free(struct hd_server *s)
{
    if (s == NULL)
        return;
    hd_buf_done(&s->out);
    free(s);
}
