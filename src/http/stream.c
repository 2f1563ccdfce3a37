/* A socket is registered once, edge-triggered. So each event is used up: read until the kernel has
 * no more (or the owner does not want more), write until it takes no more. What is left for later
 * is asked for again with hd_ready_again(), which tells in a later turn. */
#include "http/stream.h"

#include "core/buf.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum {
    MAX_PARTS = 8,
    GATHER_BYTES = 2048, /* up to here one copy is cheaper than a vector for the kernel */
    READS = 4,           /* buffers full in one turn, then it is another connection's turn */
};

static struct hd_ready *ready_of(struct hd_stream *s)
{
    return hd_loop_ready(s->net->loop);
}

/* --- ends --- */

static void on_closed_later(struct hd_later *l)
{
    struct hd_stream *s = hd_container_of(l, struct hd_stream, later);
    s->events->on_closed(s);
}

void hd_stream_close(struct hd_stream *s)
{
    if (s->closing)
        return;
    s->closing = true;
    s->reading = false;
    int fd = s->watched.fd;
    hd_ready_stop(ready_of(s), &s->watched);
    if (fd >= 0)
        close(fd);
    if (s->out != NULL) {
        hd_buf_done(s->out);
        free(s->out);
        s->out = NULL;
    }
    hd_ready_later(ready_of(s), &s->later, on_closed_later);
}

void hd_stream_reset(struct hd_stream *s)
{
    const struct linger now = {.l_onoff = 1, .l_linger = 0};
    if (!s->closing && s->watched.fd >= 0)
        setsockopt(s->watched.fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
    hd_stream_close(s);
}

static void fail(struct hd_stream *s, int status)
{
    if (s->broken || s->closing)
        return;
    s->broken = true;
    s->reading = false;
    s->events->on_error(s, status);
}

static void read_all(struct hd_stream *s, bool ended);

/* Nothing can be sent any more. What the peer said before it closed goes first: it may be a whole
 * answer. */
static void fail_written(struct hd_stream *s, int status)
{
    if (s->reading)
        read_all(s, true);
    fail(s, status);
}

static void on_fail_later(struct hd_later *l)
{
    struct hd_stream *s = hd_container_of(l, struct hd_stream, later);
    if (!s->closing && s->watched.fd >= 0)
        fail_written(s, s->failed);
    else if (!s->closing)
        fail(s, s->failed);
}

/* From inside a call of the owner: tell later. */
static void fail_later(struct hd_stream *s, int status)
{
    if (s->failed != 0 || s->broken)
        return;
    s->failed = status;
    hd_ready_later(ready_of(s), &s->later, on_fail_later);
}

/* --- reading --- */

static void read_all(struct hd_stream *s, bool ended)
{
    for (int i = 0; i < READS; i++) {
        if (!s->reading) {
            s->unread = true;
            return;
        }
        ssize_t n = recv(s->watched.fd, s->net->read_bytes, sizeof(s->net->read_bytes), 0);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            return;
        if (n < 0) {
            fail(s, uv_translate_sys_error(errno));
            return;
        }
        if (n == 0) {
            s->eof = true;
            s->reading = false;
            s->events->on_eof(s);
            return;
        }
        s->events->on_data(s, hd_str_n(s->net->read_bytes, (size_t)n));
        if (s->closing || s->broken)
            return;
        /* Less than there was room for: the kernel has no more, unless the end follows it. */
        if ((size_t)n < sizeof(s->net->read_bytes) && !ended)
            return;
    }
    hd_ready_again(ready_of(s), &s->watched);
}

void hd_stream_read(struct hd_stream *s, bool on)
{
    if (s->reading == on || s->closing || (on && (s->broken || s->eof)))
        return;
    s->reading = on;
    if (on && s->unread) {
        s->unread = false;
        hd_ready_again(ready_of(s), &s->watched);
    }
}

/* --- writing --- */

static bool keep(struct hd_stream *s, const struct hd_str *parts, unsigned n, size_t skip)
{
    if (s->out == NULL) {
        s->out = hd_new(struct hd_buf);
        hd_buf_init(s->out, SIZE_MAX); /* bounded by the writers, who wait for on_writable */
    }
    for (unsigned i = 0; i < n; i++) {
        size_t cut = HD_MIN(skip, parts[i].len);
        skip -= cut;
        if (parts[i].len > cut)
            hd_buf_add(s->out, parts[i].ptr + cut, parts[i].len - cut);
    }
    return false;
}

static ssize_t send_parts(struct hd_stream *s, const struct hd_str *parts, unsigned n, size_t total)
{
    char whole[GATHER_BYTES];
    ssize_t sent;
    if (n == 1 || total <= sizeof(whole)) {
        const char *from = parts[0].ptr;
        if (n > 1) {
            char *at = whole;
            for (unsigned i = 0; i < n; i++) {
                if (parts[i].len > 0)
                    at = (char *)memcpy(at, parts[i].ptr, parts[i].len) + parts[i].len;
            }
            from = whole;
        }
        do
            sent = send(s->watched.fd, from, total, MSG_NOSIGNAL);
        while (sent < 0 && errno == EINTR);
        return sent;
    }
    struct iovec iov[MAX_PARTS];
    struct msghdr msg = {.msg_iov = iov};
    for (unsigned i = 0; i < n; i++) {
        if (parts[i].len > 0)
            iov[msg.msg_iovlen++] = (struct iovec){(void *)parts[i].ptr, parts[i].len};
    }
    do
        sent = sendmsg(s->watched.fd, &msg, MSG_NOSIGNAL);
    while (sent < 0 && errno == EINTR);
    return sent;
}

bool hd_stream_write(struct hd_stream *s, const struct hd_str *parts, unsigned n)
{
    size_t total = 0;
    if (s->closing || s->broken || s->failed != 0)
        return false;
    if (s->out != NULL || s->connecting)
        return keep(s, parts, n, 0);
    for (unsigned i = 0; i < n; i++)
        total += parts[i].len;
    if (total == 0)
        return true;
    ssize_t sent = send_parts(s, parts, n, total);
    if (sent == (ssize_t)total)
        return true;
    if (sent < 0 && errno != EAGAIN) {
        fail_later(s, uv_translate_sys_error(errno));
        return false;
    }
    return keep(s, parts, n, sent > 0 ? (size_t)sent : 0);
}

/* @return false when the stream broke. */
static bool flush(struct hd_stream *s)
{
    while (s->out->len > 0) {
        ssize_t sent = send(s->watched.fd, s->out->ptr, s->out->len, MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent < 0 && errno == EAGAIN)
            return true;
        if (sent < 0) {
            fail_written(s, uv_translate_sys_error(errno));
            return false;
        }
        hd_buf_consume(s->out, (size_t)sent);
    }
    hd_buf_done(s->out);
    free(s->out);
    s->out = NULL;
    if (s->finish)
        shutdown(s->watched.fd, SHUT_WR);
    s->events->on_writable(s);
    return !s->closing && !s->broken;
}

size_t hd_stream_pending(const struct hd_stream *s)
{
    return s->out != NULL ? s->out->len : 0;
}

void hd_stream_finish(struct hd_stream *s)
{
    if (s->closing || s->broken || s->finish)
        return;
    s->finish = true;
    if (s->out == NULL && !s->connecting)
        shutdown(s->watched.fd, SHUT_WR); /* a peer that is gone already is noticed by reading */
}

/* --- events --- */

static int socket_error(const struct hd_stream *s)
{
    int e = 0;
    socklen_t len = sizeof(e);
    if (getsockopt(s->watched.fd, SOL_SOCKET, SO_ERROR, &e, &len) != 0)
        e = errno;
    return e;
}

/* @return false when it failed. */
static bool connected(struct hd_stream *s)
{
    int e = socket_error(s);
    if (e != 0) {
        fail(s, uv_translate_sys_error(e));
        return false;
    }
    s->connecting = false;
    if (s->out != NULL)
        return flush(s);
    if (s->finish)
        shutdown(s->watched.fd, SHUT_WR);
    s->events->on_writable(s);
    return !s->closing && !s->broken;
}

static void on_ready(struct hd_watched *w, uint32_t events)
{
    struct hd_stream *s = hd_container_of(w, struct hd_stream, watched);
    if (s->broken || s->failed != 0)
        return;
    if (s->connecting && (events & (EPOLLOUT | EPOLLERR | EPOLLHUP)) != 0 && !connected(s))
        return;
    if (s->connecting)
        return;
    if ((events & EPOLLERR) != 0 && !s->reading) {
        int e = socket_error(s);
        fail(s, e != 0 ? uv_translate_sys_error(e) : UV_ECONNRESET);
        return;
    }
    if ((events & EPOLLOUT) != 0 && s->out != NULL && !flush(s))
        return;
    if ((events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) == 0 || s->eof)
        return;
    bool ended = (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0;
    if (s->reading)
        read_all(s, ended);
    else
        s->unread = true;
}

/* --- beginnings --- */

int hd_stream_open(struct hd_stream *s, struct hd_net *net, int fd,
                   const struct hd_stream_events *events)
{
    *s = (struct hd_stream){
        .watched = {.on_ready = on_ready, .fd = -1}, .events = events, .net = net};
    int rc = hd_ready_watch(ready_of(s), &s->watched, fd);
    return rc < 0 ? uv_translate_sys_error(-rc) : 0;
}

static socklen_t address_of(struct sockaddr_storage *out, const struct hd_endpoint *to)
{
    memset(out, 0, sizeof(*out));
    if (to->kind == HD_ENDPOINT_UNIX) {
        struct sockaddr_un *un = (struct sockaddr_un *)out;
        un->sun_family = AF_UNIX;
        memcpy(un->sun_path, to->address, strnlen(to->address, sizeof(un->sun_path) - 1));
        return sizeof(*un);
    }
    struct sockaddr_in *in4 = (struct sockaddr_in *)out;
    struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)out;
    if (inet_pton(AF_INET, to->address, &in4->sin_addr) == 1) {
        in4->sin_family = AF_INET;
        in4->sin_port = htons(to->port);
        return sizeof(*in4);
    }
    if (inet_pton(AF_INET6, to->address, &in6->sin6_addr) == 1) {
        in6->sin6_family = AF_INET6;
        in6->sin6_port = htons(to->port);
        return sizeof(*in6);
    }
    return 0;
}

void hd_stream_connect(struct hd_stream *s, struct hd_net *net, const struct hd_endpoint *to,
                       const struct hd_stream_events *events)
{
    struct sockaddr_storage addr;
    socklen_t len = address_of(&addr, to);
    *s = (struct hd_stream){.watched = {.on_ready = on_ready, .fd = -1},
                            .events = events,
                            .net = net,
                            .connecting = true};
    int fd = len > 0 ? socket(addr.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0) : -1;
    if (fd < 0) {
        fail_later(s, len > 0 ? uv_translate_sys_error(errno) : UV_EINVAL);
        return;
    }
    const int one = 1;
    if (addr.ss_family != AF_UNIX)
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    int rc = connect(fd, (struct sockaddr *)&addr, len) == 0 ? 0 : -errno;
    if (rc == -EINPROGRESS)
        rc = 0;
    if (rc == 0)
        rc = hd_ready_watch(ready_of(s), &s->watched, fd);
    if (rc == 0)
        return; /* the edge that says it is connected comes in any case */
    s->watched.fd = -1;
    close(fd);
    fail_later(s, uv_translate_sys_error(-rc));
}

bool hd_stream_peer_gone(const struct hd_stream *s)
{
    if (s->watched.fd < 0)
        return true;
    struct pollfd p = {.fd = s->watched.fd};
    return poll(&p, 1, 0) > 0 && (p.revents & (POLLERR | POLLHUP)) != 0;
}
