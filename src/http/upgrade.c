/* CONNECTING ─► ASKING ──101──► OPEN ──ended, broken──► OVER
 *     └───failed──┴──other status, too late──────────────┘      */
#include "http/upgrade.h"

#include "core/buf.h"
#include "http/parse.h"

#include <stdio.h>

enum { HEAD_MAX = 32 << 10, READ_BYTES = 64 << 10, WHY_CHARS = 160 };

struct hd_upgrade {
    struct hd_loop *loop;
    struct hd_fetch *fetch; /* NULL: it is gone */
    struct hd_watched watched;
    struct hd_buf head; /* what is to be sent of the request, then what came of the answer */
    enum state { CONNECTING, ASKING, OPEN, OVER } state;
    struct hd_timer deadline;
    struct hd_later broken;
    struct hd_error err;
    const struct hd_upgrade_events *events;
    void *arg;
    bool sent, closed, telling;
};

static void free_if_done(struct hd_upgrade *u)
{
    if (!u->closed || u->fetch != NULL || u->telling || u->broken.link.next != NULL)
        return;
    hd_buf_done(&u->head);
    free(u);
}

/* Nothing more comes of it; err says why. */
static void over(struct hd_upgrade *u)
{
    if (u->state == OVER)
        return;
    u->state = OVER;
    hd_timer_stop(u->loop, &u->deadline);
    hd_ready_stop(hd_loop_ready(u->loop), &u->watched);
    if (u->fetch != NULL)
        hd_fetch_cancel(u->fetch);
    if (!u->closed)
        u->events->on_end(u->arg, &u->err);
}

static void on_broken(struct hd_later *l)
{
    struct hd_upgrade *u = hd_container_of(l, struct hd_upgrade, broken);
    over(u);
    free_if_done(u);
}

static void on_deadline(struct hd_timer *t)
{
    struct hd_upgrade *u = hd_container_of(t, struct hd_upgrade, deadline);
    hd_fail(&u->err, HD_ETIMEOUT, "it was not answered in time");
    over(u);
}

/* --- the answer --- */

/* @return how many bytes of the head's buffer are no head; -1: it is not complete, or is none. */
static ssize_t take_head(struct hd_upgrade *u)
{
    static const struct hd_parse_limits limits = {
        .max_head_bytes = HEAD_MAX, .max_target_bytes = 1, .max_fields = HD_HEAD_FIELDS_MAX};
    struct hd_head head;
    size_t used = 0;
    int rc = hd_buf_failed(&u->head)
                 ? hd_fail(&u->err, HD_EPROTO, "the answer is too long")
                 : hd_parse_response(&head, &used, hd_buf_view(&u->head), false, &limits, &u->err);
    if (rc == 0)
        return -1;
    if (rc > 0 && head.status != 101) {
        struct hd_str said = hd_buf_view(&u->head);
        said = hd_str_trim(hd_str_n(said.ptr + used, HD_MIN(said.len - used, (size_t)WHY_CHARS)));
        rc = hd_fail(&u->err, head.status < 500 ? HD_EPROTO : HD_EIO,
                     "it was answered with %u: %.*s", head.status, HD_FMT(said));
    }
    if (rc < 0) {
        over(u);
        return -1;
    }
    u->state = OPEN;
    hd_timer_stop(u->loop, &u->deadline);
    return (ssize_t)(u->head.len - used);
}

static void take(struct hd_upgrade *u, struct hd_str bytes)
{
    if (u->state == OPEN) {
        u->events->on_data(u->arg, bytes);
        return;
    }
    hd_buf_str(&u->head, bytes);
    ssize_t rest = take_head(u);
    if (rest < 0)
        return;
    struct hd_buf head = u->head;
    hd_buf_init(&u->head, HEAD_MAX);
    u->events->on_open(u->arg);
    if (rest > 0 && u->state == OPEN && !u->closed)
        u->events->on_data(u->arg, hd_str_n(head.ptr + head.len - (size_t)rest, (size_t)rest));
    hd_buf_done(&head);
}

/* To the end: what TLS has unpacked already makes the socket readable no more. */
static void read_all(struct hd_upgrade *u)
{
    char bytes[READ_BYTES];
    while (!u->closed && u->state != OVER) {
        ssize_t n = hd_fetch_read(u->fetch, bytes, sizeof(bytes), &u->err);
        if (n < 0)
            over(u);
        if (n <= 0)
            return;
        take(u, hd_str_n(bytes, (size_t)n));
    }
}

/* --- the request --- */

static void send_request(struct hd_upgrade *u)
{
    while (u->head.len > 0) {
        ssize_t n = hd_fetch_write(u->fetch, hd_buf_view(&u->head), &u->err);
        if (n < 0)
            over(u);
        if (n <= 0)
            return;
        hd_buf_consume(&u->head, (size_t)n);
    }
    u->sent = true;
}

static void on_ready(struct hd_watched *w, uint32_t events)
{
    struct hd_upgrade *u = hd_container_of(w, struct hd_upgrade, watched);
    u->telling = true;
    if (u->state == ASKING && !u->sent)
        send_request(u);
    if (u->state == OPEN && (events & EPOLLOUT) != 0)
        u->events->on_writable(u->arg);
    if (u->sent)
        read_all(u);
    u->telling = false;
    free_if_done(u);
}

static void on_fetch(void *arg, const struct hd_fetch_result *result, const struct hd_error *err)
{
    struct hd_upgrade *u = arg;
    u->telling = true;
    if (result == NULL) {
        u->fetch = NULL;
        if (u->state != OVER)
            u->err = *err;
        over(u);
    } else if (!u->closed) {
        u->state = ASKING;
        int rc = hd_ready_watch(hd_loop_ready(u->loop), &u->watched, hd_fetch_socket(u->fetch));
        if (rc < 0) {
            hd_fail_sys(&u->err, -rc, "watching a connection");
            over(u);
        }
    }
    u->telling = false;
    free_if_done(u);
}

/* --- calls --- */

int hd_upgrade_start(struct hd_upgrade **out, struct hd_fetcher *f,
                     const struct hd_upgrade_request *req, const struct hd_upgrade_events *events,
                     void *arg, struct hd_error *err)
{
    struct hd_upgrade *u = hd_new(struct hd_upgrade);
    struct hd_str host = hd_str(req->base);
    const char *slashes = strstr(req->base, "://");
    if (slashes != NULL)
        host = hd_str(slashes + 3);
    u->loop = hd_fetcher_loop(f);
    u->watched = (struct hd_watched){.on_ready = on_ready, .fd = -1};
    u->events = events;
    u->arg = arg;
    hd_buf_init(&u->head, HEAD_MAX);
    hd_buf_fmt(&u->head,
               "POST %s HTTP/1.1\r\nHost: %.*s\r\nUser-Agent: heddle/" HD_VERSION
               "\r\nConnection: Upgrade\r\nUpgrade: %s\r\nContent-Length: 0\r\n\r\n",
               req->path, HD_FMT(host), req->protocol);
    hd_auto_free char *url = hd_printf("%s%s", req->base, req->path);
    struct hd_fetch_request fetch = {.url = url,
                                     .unix_socket = req->unix_socket,
                                     .tls = req->tls,
                                     .timeout_ms = req->timeout_ms,
                                     .connect_only = true};
    int rc = hd_buf_failed(&u->head)
                 ? hd_fail(err, HD_EINVAL, "the path is longer than %d bytes", HEAD_MAX)
                 : hd_fetch_start(&u->fetch, f, &fetch, on_fetch, u, err);
    if (rc < 0) {
        hd_buf_done(&u->head);
        free(u);
        return rc;
    }
    hd_timer_start(u->loop, &u->deadline, req->timeout_ms, on_deadline);
    *out = u;
    return 0;
}

size_t hd_upgrade_send(struct hd_upgrade *u, struct hd_str bytes)
{
    size_t sent = 0;
    while (u->state == OPEN && sent < bytes.len) {
        ssize_t n = hd_fetch_write(u->fetch, hd_str_n(bytes.ptr + sent, bytes.len - sent), &u->err);
        if (n < 0)
            hd_ready_later(hd_loop_ready(u->loop), &u->broken, on_broken);
        if (n <= 0)
            break;
        sent += (size_t)n;
    }
    return sent;
}

void hd_upgrade_close(struct hd_upgrade *u)
{
    if (u == NULL)
        return;
    u->closed = true;
    over(u);
    free_if_done(u);
}
