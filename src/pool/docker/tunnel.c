/* node ─► listening socket ─► hd_tunnel ─► POST …/attach ═══► shim --tunnel
 *
 * The engine wraps what the container prints: its stream (1 or 2), three zeros, 32 bits of length,
 * then so many bytes. Stream 1 is the tunnel's; 2 is what the shim itself has to say. */
#include "pool/docker/tunnel.h"

#include <sys/socket.h>
#include <unistd.h>

enum { ATTACH_MS = 60000, HEAD = 8, STDOUT = 1, STDERR = 2 };

struct hd_docker_tunnel {
    struct hd_docker_tunnel_options opt;
    struct hd_watched listener;
    struct hd_upgrade *carrier;
    struct hd_tunnel *inner;
    unsigned char head[HEAD];
    size_t have, left; /* of the head; of the bytes after it */
    bool over, closed;
};

static void over(struct hd_docker_tunnel *t, const struct hd_error *err)
{
    if (t->over || t->closed)
        return;
    t->over = true;
    t->opt.on_end(t->opt.arg, err);
}

/* --- the engine's stream --- */

static void on_open(void *arg)
{
    struct hd_docker_tunnel *t = arg;
    t->opt.on_open(t->opt.arg);
}

/* @return the length that the head says, or -1. */
static ssize_t read_head(const unsigned char *h)
{
    bool known = (h[0] == STDOUT || h[0] == STDERR) && h[1] == 0 && h[2] == 0 && h[3] == 0;
    uint32_t n = (uint32_t)h[4] << 24 | (uint32_t)h[5] << 16 | (uint32_t)h[6] << 8 | h[7];
    return known ? (ssize_t)n : -1;
}

static int take(struct hd_docker_tunnel *t, struct hd_str bytes, struct hd_error *err)
{
    if (t->head[0] == STDOUT)
        return hd_tunnel_feed(t->inner, bytes, err);
    t->opt.on_output(t->opt.arg, true, bytes);
    return 0;
}

static void on_data(void *arg, struct hd_str bytes)
{
    struct hd_docker_tunnel *t = arg;
    struct hd_error err;
    int rc = 0;
    while (bytes.len > 0 && rc == 0 && !t->over && !t->closed) {
        size_t n = HD_MIN(bytes.len, t->left > 0 ? t->left : HEAD - t->have);
        struct hd_str part = hd_str_n(bytes.ptr, n);
        bytes = hd_str_n(bytes.ptr + n, bytes.len - n);
        if (t->left > 0) {
            t->left -= n;
            rc = take(t, part, &err);
            continue;
        }
        memcpy(t->head + t->have, part.ptr, n);
        t->have += n;
        if (t->have < HEAD)
            continue;
        ssize_t left = read_head(t->head);
        t->have = 0;
        t->left = (size_t)HD_MAX(left, 0);
        if (left < 0)
            rc =
                hd_fail(&err, HD_EPROTO, "what came of its output is nothing that an engine sends");
    }
    if (rc < 0)
        over(t, &err);
}

static void on_writable(void *arg)
{
    struct hd_docker_tunnel *t = arg;
    if (!t->closed)
        hd_tunnel_writable(t->inner);
}

static void on_end(void *arg, const struct hd_error *err)
{
    over(arg, err);
}

static const struct hd_upgrade_events carrier_events = {
    .on_open = on_open, .on_data = on_data, .on_writable = on_writable, .on_end = on_end};

/* --- the tunnel's --- */

static size_t send_up(void *arg, struct hd_str bytes)
{
    struct hd_docker_tunnel *t = arg;
    return t->carrier != NULL ? hd_upgrade_send(t->carrier, bytes) : 0;
}

static void on_output(void *arg, uint32_t which, struct hd_str bytes)
{
    struct hd_docker_tunnel *t = arg;
    if (!t->closed)
        t->opt.on_output(t->opt.arg, which == HD_TUNNEL_ERR, bytes);
}

/* --- our socket --- */

static void on_connection(struct hd_watched *w, uint32_t events)
{
    struct hd_docker_tunnel *t = hd_container_of(w, struct hd_docker_tunnel, listener);
    int fd;
    (void)events;
    while ((fd = accept4(w->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0)
        hd_tunnel_adopt(t->inner, fd);
}

/* --- life --- */

static void on_closed(void *arg)
{
    struct hd_docker_tunnel *t = arg;
    (*t->opt.open)--;
    free(t);
}

void hd_docker_tunnel_close(struct hd_docker_tunnel *t)
{
    if (t == NULL || t->closed)
        return;
    int fd = t->listener.fd;
    t->closed = true;
    hd_ready_stop(hd_loop_ready(t->opt.net->loop), &t->listener);
    if (fd >= 0)
        close(fd);
    hd_upgrade_close(hd_steal(t->carrier));
    hd_tunnel_close(t->inner, on_closed, t);
}

int hd_docker_tunnel_start(struct hd_docker_tunnel **out,
                           const struct hd_docker_tunnel_options *opt, struct hd_error *err)
{
    struct hd_docker_tunnel *t = hd_new(struct hd_docker_tunnel);
    struct hd_endpoint lanes = {.kind = HD_ENDPOINT_UNIX};
    bool any = opt->lanes != NULL && strlen(opt->lanes) < sizeof(lanes.address);
    if (any)
        memcpy(lanes.address, opt->lanes, strlen(opt->lanes));
    struct hd_tunnel_options inner = {.net = opt->net,
                                      .send = send_up,
                                      .on_output = on_output,
                                      .arg = t,
                                      .to = any ? &lanes : NULL};
    t->opt = *opt;
    t->listener = (struct hd_watched){.on_ready = on_connection, .fd = -1};
    t->inner = hd_tunnel_new(&inner);
    (*opt->open)++;
    hd_auto_free char *path =
        hd_printf("/containers/%s/attach?stream=1&stdin=1&stdout=1&stderr=1", opt->container);
    int rc = hd_listen_local(&t->listener, opt->net->loop, opt->socket, err);
    if (rc == 0)
        rc = hd_engine_upgrade(&t->carrier, opt->engine, path, ATTACH_MS, &carrier_events, t, err);
    if (rc < 0) {
        hd_docker_tunnel_close(t);
        return rc;
    }
    *out = t;
    return 0;
}
