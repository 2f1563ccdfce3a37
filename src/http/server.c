#include "http/conn.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BACKLOG = 1024, HEAD_OUT_MAX = 1024 * 1024, ACCEPTS = 32 };

struct listener {
    struct hd_watched watched;
    struct hd_list link;
    struct hd_server *server;
    int spare_fd; /* given up for a moment to let a client go when descriptors have run out */
    bool tcp;
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

/* Out of descriptors: the one in reserve takes the client, only to close it, or it would wait and
 * we would be told of it for ever. */
static void turn_away(struct listener *l)
{
    close(l->spare_fd);
    int fd = accept4(l->watched.fd, NULL, NULL, SOCK_CLOEXEC);
    if (fd >= 0)
        close(fd);
    l->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
}

static void on_waiting(struct hd_watched *w, uint32_t events)
{
    struct listener *l = hd_container_of(w, struct listener, watched);
    const int one = 1;
    (void)events;
    for (int i = 0; i < ACCEPTS && w->fd >= 0; i++) {
        struct sockaddr_storage peer = {.ss_family = AF_UNIX};
        socklen_t len = sizeof(peer);
        int fd = accept4(w->fd, (struct sockaddr *)&peer, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0 && (errno == EMFILE || errno == ENFILE))
            turn_away(l);
        if (fd < 0)
            return;
        if (l->tcp)
            setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
        hd_conn_new(l->server, fd, &peer);
    }
}

static void listener_free(struct listener *l)
{
    int fd = l->watched.fd;
    hd_ready_stop(hd_loop_ready(l->server->opt.net->loop), &l->watched);
    if (fd >= 0)
        close(fd);
    close(l->spare_fd);
    hd_list_remove(&l->link);
    free(l);
}

int hd_server_listen_fd(struct hd_server *s, int fd, struct hd_error *err)
{
    struct sockaddr_storage addr;
    socklen_t len = sizeof(addr);
    int rc = getsockname(fd, (struct sockaddr *)&addr, &len) == 0 && listen(fd, BACKLOG) == 0 &&
                     fcntl(fd, F_SETFL, O_NONBLOCK) == 0
                 ? 0
                 : -errno;
    struct listener *l = hd_new(struct listener);
    *l = (struct listener){.watched = {.on_ready = on_waiting, .fd = -1},
                           .server = s,
                           .tcp = addr.ss_family != AF_UNIX,
                           .spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC)};
    hd_list_push(&s->listeners, &l->link);
    if (rc == 0)
        rc = hd_ready_watch_listener(hd_loop_ready(s->opt.net->loop), &l->watched, fd);
    if (rc == 0)
        return 0;
    listener_free(l);
    close(fd);
    return hd_fail_sys(err, -rc, "listen");
}

void hd_server_drain(struct hd_server *s)
{
    s->draining = true;
    hd_list_each(item, &s->listeners)
    {
        listener_free(hd_container_of(item, struct listener, link));
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
