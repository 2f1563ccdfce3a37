#include "native/msgio.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

enum {
    READ_MIN = 16 << 10,
    KEEP_MAX = 256 << 10, /* memory kept between two messages */
    HEAD_MAX = 128 << 10, /* more than a node lets through */
    CHUNKED_OVERHEAD = 16 << 20,
};

static const struct hd_parse_limits limits = {
    .max_head_bytes = HEAD_MAX, .max_target_bytes = HEAD_MAX, .max_fields = HD_HEAD_FIELDS_MAX};

void hd_msgio_init(struct hd_msgio *w, int fd, size_t max_body_bytes, bool response)
{
    *w = (struct hd_msgio){.fd = fd, .max_body_bytes = max_body_bytes, .response = response};
    hd_buf_init(&w->in, HEAD_MAX + max_body_bytes + CHUNKED_OVERHEAD + 1);
    hd_buf_init(&w->plain, max_body_bytes + 1);
}

void hd_msgio_done(struct hd_msgio *w)
{
    hd_buf_done(&w->in);
    hd_buf_done(&w->plain);
    if (w->fd >= 0)
        close(w->fd);
    w->fd = -1;
}

static int too_long(struct hd_msgio *w, unsigned *status, struct hd_error *err)
{
    *status = 413;
    return hd_fail(err, HD_EBUSY, "the body is longer than %zu bytes", w->max_body_bytes);
}

/* Parse the head, or again when its bytes have moved. @return 1, 0, or an error. */
static int parse_head(struct hd_msgio *w, unsigned *status, struct hd_error *err)
{
    int rc =
        w->response
            ? hd_parse_response(&w->head, &w->head_bytes, hd_buf_view(&w->in), false, &limits, err)
            : hd_parse_request(&w->head, &w->head_bytes, status, hd_buf_view(&w->in), &limits, err);
    if (rc == 1)
        w->parsed_at = w->in.ptr;
    return rc;
}

/* Put a NUL behind the body, in memory that may hold the next message's first byte. */
static void terminate(struct hd_msgio *w, struct hd_buf *b, size_t begin, size_t end)
{
    if (end == b->len)
        hd_buf_reserve(b, 1); /* always there: the ceilings count it */
    w->behind = end < b->len ? b->ptr[end] : '\0';
    b->ptr[end] = '\0';
    w->body = hd_str_n(b->ptr + begin, end - begin);
}

static int read_chunked(struct hd_msgio *w, unsigned *status, struct hd_error *err)
{
    for (;;) {
        struct hd_str data, rest = {w->in.ptr + w->chunk_at, w->in.len - w->chunk_at};
        size_t used;
        int rc = hd_chunked_next(&w->chunked, &data, &used, rest, err);
        if (rc < 0) {
            *status = 400;
            return rc;
        }
        w->chunk_at += used;
        if (rc == HD_CHUNKED_MORE && data.len > 0) {
            if (w->plain.len + data.len > w->max_body_bytes)
                return too_long(w, status, err);
            hd_buf_str(&w->plain, data);
        }
        if (rc == HD_CHUNKED_END)
            break;
        if (used == 0)
            return 0;
    }
    w->used = w->chunk_at;
    return 1;
}

/* @return 1: it is whole; 0: more is to come; or an error. */
static int read_body(struct hd_msgio *w, unsigned *status, struct hd_error *err)
{
    if (w->head.chunked)
        return read_chunked(w, status, err);
    if (w->head.body_bytes == HD_BODY_UNKNOWN) { /* until the peer closes */
        w->used = w->in.len;
        if (w->in.len - w->head_bytes > w->max_body_bytes)
            return too_long(w, status, err);
        return w->eof ? 1 : 0;
    }
    if ((uint64_t)w->head.body_bytes > w->max_body_bytes)
        return too_long(w, status, err);
    w->used = w->head_bytes + (size_t)w->head.body_bytes;
    if (w->in.len >= w->used)
        return 1;
    hd_buf_reserve(&w->in, w->used - w->in.len + 1);
    return 0;
}

static void say_continue(struct hd_msgio *w)
{
    static const char text[] = "HTTP/1.1 100 Continue\r\n\r\n";
    if (w->continued || w->response || !w->head.expect_continue)
        return;
    w->continued = true;
    struct iovec iov = {(void *)text, sizeof(text) - 1};
    hd_msgio_write(w->fd, &iov, 1); /* a peer that is gone is found by the next read */
}

static int take_message(struct hd_msgio *w, unsigned *status, struct hd_error *err)
{
    if (w->in.len == 0)
        return 0;
    *status = 400;
    int rc = w->parsed_at != NULL ? 1 : parse_head(w, status, err);
    if (rc != 1)
        return rc;
    if (w->chunk_at == 0)
        w->chunk_at = w->head_bytes;
    rc = read_body(w, status, err);
    if (rc == 0)
        say_continue(w);
    if (rc != 1)
        return rc;
    if (w->head.chunked)
        terminate(w, &w->plain, 0, w->plain.len);
    else
        terminate(w, &w->in, w->head_bytes, w->used);
    if (w->parsed_at != w->in.ptr && parse_head(w, status, err) != 1)
        return HD_EPROTO;
    w->whole = true;
    return 1;
}

int hd_msgio_read(struct hd_msgio *w, bool wait, unsigned *status, struct hd_error *err)
{
    size_t room = HD_MAX(w->in.cap - w->in.len, (size_t)READ_MIN);
    *status = 400;
    char *at = hd_buf_reserve(&w->in, room);
    if (at == NULL)
        return too_long(w, status, err);
    ssize_t n;
    do {
        n = recv(w->fd, at, room, wait ? 0 : MSG_DONTWAIT);
    } while (n < 0 && errno == EINTR);
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
        return 0;
    if (n < 0)
        return hd_fail(err, HD_EIO, "the connection broke: %s", strerror(errno));
    hd_buf_commit(&w->in, (size_t)n);
    w->eof = n == 0;
    if (n == 0 && w->in.len == 0)
        return hd_fail(err, HD_ECANCELED, "the peer closed the connection");
    int rc = take_message(w, status, err);
    return rc == 0 && w->eof ? hd_fail(err, HD_EIO, "the peer closed the connection in a message")
                             : rc;
}

int hd_msgio_next(struct hd_msgio *w, unsigned *status, struct hd_error *err)
{
    if (w->whole && !w->head.chunked && w->used < w->in.len)
        w->in.ptr[w->used] = w->behind;
    hd_buf_consume(&w->in, w->whole ? w->used : 0);
    hd_buf_clear(&w->plain);
    if (w->in.len == 0 && w->in.cap > KEEP_MAX)
        hd_buf_done(&w->in);
    if (w->plain.cap > KEEP_MAX)
        hd_buf_done(&w->plain);
    w->whole = w->continued = false;
    w->parsed_at = NULL;
    w->chunk_at = 0;
    w->chunked = (struct hd_chunked){0};
    return take_message(w, status, err);
}

bool hd_msgio_busy(const struct hd_msgio *w)
{
    return w->in.len > 0;
}

int hd_msgio_write(int fd, struct iovec *iov, int n)
{
    struct msghdr msg = {.msg_iov = iov, .msg_iovlen = (size_t)n};
    for (;;) {
        ssize_t sent = sendmsg(fd, &msg, MSG_NOSIGNAL);
        if (sent < 0 && errno == ENOTSOCK) /* a function that is tried by hand */
            sent = writev(fd, msg.msg_iov, (int)msg.msg_iovlen);
        if (sent < 0 && errno == EAGAIN) {
            struct pollfd p = {.fd = fd, .events = POLLOUT};
            poll(&p, 1, -1);
            continue;
        }
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent < 0)
            return HD_ECANCELED;
        while (msg.msg_iovlen > 0 && (size_t)sent >= msg.msg_iov->iov_len) {
            sent -= (ssize_t)msg.msg_iov->iov_len;
            msg.msg_iov++;
            msg.msg_iovlen--;
        }
        if (msg.msg_iovlen == 0)
            return 0;
        msg.msg_iov->iov_base = (char *)msg.msg_iov->iov_base + sent;
        msg.msg_iov->iov_len -= (size_t)sent;
    }
}
