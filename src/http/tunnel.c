/*   (shim) ─► TRYING ──connected──► OPEN ◄── (node) adopt
 *             │  ▲                   │ the other end closed it
 *      refused▼  │ a little later    ▼
 *            WAITING               ENDING ──what came is written, or it broke──► forgotten
 */
#include "http/tunnel.h"

#include "core/list.h"
#include "http/stream.h"

#include <errno.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum {
    AGAIN_FIRST_MS = 1,
    AGAIN_SLOW_MS = 10,
    SLOW_AFTER = 200,
    BACKLOG = 64,
    ROOM_MIN = HD_NET_READ_BYTES, /* less room: nothing is read, for one read may be as much */
};

/* One connection at this end. */
struct leg {
    struct hd_list link;
    struct hd_tunnel *tunnel;
    struct hd_stream stream;
    enum state { TRYING, WAITING, OPEN, ENDING } state;
    uint32_t id;         /* 0: the other end closed it, or we did */
    size_t kept;         /* bytes that the stream has not written yet */
    struct hd_buf early; /* what came before it was connected */
    struct hd_timer again;
    unsigned tries;
};

struct hd_tunnel {
    struct hd_tunnel_options opt;
    struct hd_endpoint to;
    struct hd_mux *mux;
    struct hd_list legs;
    uint32_t last;
    bool blocked, closing;
    struct hd_later later;
    void (*done)(void *arg);
    void *done_arg;
};

static struct leg *leg_of(struct hd_stream *s)
{
    return hd_container_of(s, struct leg, stream);
}

static struct leg *find(struct hd_tunnel *t, uint32_t id)
{
    hd_list_each(link, &t->legs)
    {
        struct leg *l = hd_container_of(link, struct leg, link);
        if (l->id == id)
            return l;
    }
    return NULL;
}

/* --- the carrier --- */

static void flush(struct hd_tunnel *t)
{
    while (!t->blocked && !t->closing && hd_mux_out(t->mux).len > 0) {
        struct hd_str out = hd_mux_out(t->mux);
        size_t n = t->opt.send(t->opt.arg, out);
        t->blocked = n < out.len;
        hd_mux_sent(t->mux, n);
    }
}

static void on_flush(struct hd_later *l)
{
    flush(hd_container_of(l, struct hd_tunnel, later));
}

/* What one turn of the loop brings goes in one piece. */
static void flush_soon(struct hd_tunnel *t)
{
    if (!t->blocked && !t->closing)
        hd_ready_later(hd_loop_ready(t->opt.net->loop), &t->later, on_flush);
}

void hd_tunnel_writable(struct hd_tunnel *t)
{
    t->blocked = false;
    flush(t);
}

bool hd_tunnel_is_flushed(const struct hd_tunnel *t)
{
    return hd_mux_out(t->mux).len == 0;
}

/* --- connections --- */

static void on_gone(struct hd_later *l);

static void forget(struct leg *l)
{
    struct hd_tunnel *t = l->tunnel;
    hd_list_remove(&l->link);
    hd_buf_done(&l->early);
    free(l);
    if (t->closing && hd_list_empty(&t->legs))
        hd_ready_later(hd_loop_ready(t->opt.net->loop), &t->later, on_gone);
}

static void end(struct leg *l)
{
    bool waits = hd_timer_active(&l->again);
    hd_mux_close(l->tunnel->mux, l->id);
    flush_soon(l->tunnel);
    l->id = 0;
    l->state = ENDING;
    hd_timer_stop(l->tunnel->opt.net->loop, &l->again);
    if (waits)
        forget(l); /* its stream is closed */
    else
        hd_stream_close(&l->stream);
}

static void read_if_room(struct leg *l)
{
    hd_stream_read(&l->stream, l->state == OPEN && hd_mux_room(l->tunnel->mux, l->id) >= ROOM_MIN);
}

static void on_data(struct hd_stream *s, struct hd_str bytes)
{
    struct leg *l = leg_of(s);
    const struct hd_tunnel_options *opt = &l->tunnel->opt;
    if (opt->on_turn != NULL)
        opt->on_turn(opt->arg);
    hd_mux_send(l->tunnel->mux, l->id, bytes);
    read_if_room(l);
    flush_soon(l->tunnel);
}

static void on_eof(struct hd_stream *s)
{
    end(leg_of(s));
}

static void taken(struct leg *l, size_t n)
{
    hd_mux_taken(l->tunnel->mux, l->id, n);
    flush_soon(l->tunnel);
}

static void write_to(struct leg *l, struct hd_str bytes)
{
    if (hd_stream_write(&l->stream, &bytes, 1))
        taken(l, bytes.len);
    else
        l->kept += bytes.len;
}

static void on_writable(struct hd_stream *s)
{
    struct leg *l = leg_of(s);
    size_t n = l->kept;
    l->kept = 0;
    taken(l, n);
    if (l->state == TRYING) {
        l->state = OPEN;
        write_to(l, hd_buf_view(&l->early));
        hd_buf_done(&l->early);
        read_if_room(l);
    }
    if (l->state == ENDING && l->kept == 0)
        end(l);
}

static void on_error(struct hd_stream *s, int status)
{
    struct leg *l = leg_of(s);
    (void)status;
    if (l->state != TRYING || !l->tunnel->opt.shim) {
        end(l);
        return;
    }
    l->state = WAITING;
    hd_stream_close(s);
}

static void connect_leg(struct leg *l);

static void on_again(struct hd_timer *t)
{
    connect_leg(hd_container_of(t, struct leg, again));
}

static void on_closed(struct hd_stream *s)
{
    struct leg *l = leg_of(s);
    if (l->state == WAITING)
        hd_timer_start(l->tunnel->opt.net->loop, &l->again,
                       ++l->tries < SLOW_AFTER ? AGAIN_FIRST_MS : AGAIN_SLOW_MS, on_again);
    else
        forget(l);
}

static const struct hd_stream_events stream_events = {.on_data = on_data,
                                                      .on_eof = on_eof,
                                                      .on_error = on_error,
                                                      .on_writable = on_writable,
                                                      .on_closed = on_closed};

static void connect_leg(struct leg *l)
{
    l->state = TRYING;
    hd_stream_connect(&l->stream, l->tunnel->opt.net, &l->tunnel->to, &stream_events);
}

static struct leg *new_leg(struct hd_tunnel *t, uint32_t id)
{
    struct leg *l = hd_new(struct leg);
    l->tunnel = t;
    l->id = id;
    hd_buf_init(&l->early, HD_MUX_WINDOW);
    hd_list_init(&l->link);
    hd_list_push(&t->legs, &l->link);
    return l;
}

void hd_tunnel_adopt(struct hd_tunnel *t, int fd)
{
    if (t->closing || !hd_mux_open(t->mux, t->last + 1)) {
        close(fd); /* as a server that has too many */
        return;
    }
    struct leg *l = new_leg(t, ++t->last);
    l->state = OPEN;
    if (hd_stream_open(&l->stream, t->opt.net, fd, &stream_events) < 0) {
        close(fd);
        hd_mux_close(t->mux, l->id);
        forget(l);
        return;
    }
    read_if_room(l);
    flush_soon(t);
}

/* --- what the other end does --- */

static bool is_output(uint32_t id)
{
    return id == HD_TUNNEL_OUT || id == HD_TUNNEL_ERR;
}

static void on_mux_open(void *arg, uint32_t id)
{
    struct hd_tunnel *t = arg;
    bool from_shim = id >= HD_TUNNEL_SHIM_FIRST;
    if (!is_output(id) && from_shim != t->opt.shim && t->opt.to != NULL)
        connect_leg(new_leg(t, id));
    else if (!is_output(id) || t->opt.shim)
        hd_mux_close(t->mux, id);
}

static void on_mux_data(void *arg, uint32_t id, struct hd_str bytes)
{
    struct hd_tunnel *t = arg;
    if (is_output(id)) {
        hd_mux_taken(t->mux, id, bytes.len);
        if (t->opt.on_output != NULL)
            t->opt.on_output(t->opt.arg, id, bytes);
        return;
    }
    struct leg *l = find(t, id);
    if (l == NULL)
        return;
    if (l->state == OPEN)
        write_to(l, bytes);
    else
        hd_buf_str(&l->early, bytes); /* within the window: there is room */
}

static void on_mux_close(void *arg, uint32_t id)
{
    struct leg *l = is_output(id) ? NULL : find(arg, id);
    if (l == NULL)
        return;
    l->id = 0;
    if (l->state != OPEN || l->kept == 0) {
        end(l);
        return;
    }
    l->state = ENDING;
    read_if_room(l);
}

static void on_mux_room(void *arg, uint32_t id)
{
    struct hd_tunnel *t = arg;
    struct leg *l = is_output(id) ? NULL : find(t, id);
    if (l != NULL)
        read_if_room(l);
    else if (t->opt.on_room != NULL)
        t->opt.on_room(t->opt.arg);
}

static const struct hd_mux_events mux_events = {.on_open = on_mux_open,
                                                .on_data = on_mux_data,
                                                .on_close = on_mux_close,
                                                .on_room = on_mux_room};

int hd_tunnel_feed(struct hd_tunnel *t, struct hd_str bytes, struct hd_error *err)
{
    int rc = hd_mux_feed(t->mux, bytes, err);
    flush_soon(t);
    return rc;
}

/* --- output --- */

void hd_tunnel_open_output(struct hd_tunnel *t)
{
    hd_mux_open(t->mux, HD_TUNNEL_OUT);
    hd_mux_open(t->mux, HD_TUNNEL_ERR);
}

size_t hd_tunnel_output_room(const struct hd_tunnel *t, uint32_t which)
{
    return hd_mux_room(t->mux, which);
}

void hd_tunnel_output(struct hd_tunnel *t, uint32_t which, struct hd_str bytes)
{
    hd_mux_send(t->mux, which, bytes);
    flush_soon(t);
}

/* --- life --- */

struct hd_tunnel *hd_tunnel_new(const struct hd_tunnel_options *opt)
{
    struct hd_tunnel *t = hd_new(struct hd_tunnel);
    t->opt = *opt;
    if (opt->to != NULL)
        t->to = *opt->to;
    t->mux = hd_mux_new(&mux_events, t);
    t->last = (opt->shim ? HD_TUNNEL_SHIM_FIRST : HD_TUNNEL_NODE_FIRST) - 1;
    hd_list_init(&t->legs);
    return t;
}

static void on_gone(struct hd_later *l)
{
    struct hd_tunnel *t = hd_container_of(l, struct hd_tunnel, later);
    void (*done)(void *arg) = t->done;
    void *arg = t->done_arg;
    hd_mux_free(t->mux);
    free(t);
    done(arg);
}

void hd_tunnel_close(struct hd_tunnel *t, void (*done)(void *arg), void *arg)
{
    t->closing = true;
    t->done = done;
    t->done_arg = arg;
    hd_ready_later(hd_loop_ready(t->opt.net->loop), &t->later,
                   hd_list_empty(&t->legs) ? on_gone : on_flush);
    hd_list_each(link, &t->legs) end(hd_container_of(link, struct leg, link));
}

int hd_listen_local(struct hd_watched *w, struct hd_loop *loop, const char *path,
                    struct hd_error *err)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    w->fd = -1;
    if (strlen(path) >= sizeof(a.sun_path))
        return hd_fail(err, HD_EINVAL, "%s: longer than the path of a socket can be", path);
    memcpy(a.sun_path, path, strlen(path));
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    bool ok =
        fd >= 0 && bind(fd, (struct sockaddr *)&a, sizeof(a)) == 0 && listen(fd, BACKLOG) == 0;
    int rc = ok ? hd_ready_watch_listener(hd_loop_ready(loop), w, fd) : -errno;
    if (rc == 0)
        return 0;
    if (fd >= 0)
        close(fd);
    return hd_fail_sys(err, -rc, "%s", path);
}
