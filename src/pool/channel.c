#include "pool/channel.h"

#include "core/buf.h"
#include "http/format.h"
#include "http/trailer.h"

#include <assert.h>

enum {
    HEAD_BYTES_MAX = 256 * 1024,
    HELD_BYTES_MAX = HD_NET_READ_BYTES + 4096, /* body that waits for an instance */
    REPLAY_BYTES = 4096,                       /* a body up to this size is kept for a second try */
    MAX_TRIES = 2,
};

struct hd_channel {
    struct hd_net *net;
    struct hd_slab calls;
    struct hd_channel_report last;
};

struct call {
    struct hd_channel *ch;
    struct hd_invocation *inv;
    struct hd_pool *pool;
    struct hd_channel_options opt;
    struct hd_lease lease;
    struct hd_client_conn *conn;  /* while an instance has it */
    struct hd_timer later;        /* to fail from outside start() */
    struct hd_error err;          /* what `later` tells */
    struct hd_buf head;           /* the request's head as sent */
    struct hd_buf held;           /* body that waits for an instance, or is kept for a second try */
    struct hd_trailers *trailers; /* that wait with it; NULL: none */
    struct hd_channel_report report;
    bool chunked, head_method, upgrade, idempotent, ended, paused, fell_back;
    bool whole;            /* head and held are the whole request: it can be sent again */
    char head_bytes[1024]; /* first room of `head` */
};

static const struct hd_client_events client_events;

static void dispatch(struct call *c);

/* --- ends --- */

static void call_free(struct call *c)
{
    struct hd_channel *ch = c->ch;
    hd_timer_stop(ch->net->loop, &c->later);
    hd_buf_done(&c->head);
    hd_buf_done(&c->held);
    hd_trailers_free(c->trailers);
    hd_pool_unref(c->pool);
    c->inv->impl = NULL;
    hd_slab_put(&ch->calls, c);
}

void hd_channel_keep(const struct hd_lease *lease, struct hd_client_conn *conn)
{
    struct hd_instance *i = lease->instance;
    if (hd_client_reusable(conn) && hd_instance_alive(i))
        hd_list_push_front(hd_instance_conns(i, lease->loop), hd_client_link(conn));
    else
        hd_client_close(conn);
}

/* Give back what is held of the instance. */
static void release(struct call *c, enum hd_lease_result how)
{
    struct hd_client_conn *conn = c->conn;
    c->conn = NULL;
    if (conn != NULL && how == HD_LEASE_OK)
        hd_channel_keep(&c->lease, conn);
    else if (conn != NULL)
        hd_client_close(conn);
    if (c->lease.instance != NULL)
        hd_pool_give(&c->lease, how);
}

static void fail(struct call *c, const struct hd_error *err)
{
    struct hd_invocation *inv = c->inv;
    struct hd_error copy = *err;
    c->ch->last = c->report;
    call_free(c);
    inv->events->on_error(inv, &copy);
}

static void on_later(struct hd_timer *t)
{
    struct call *c = hd_container_of(t, struct call, later);
    fail(c, &c->err);
}

static void fail_later(struct call *c)
{
    hd_timer_start(c->ch->net->loop, &c->later, 0, on_later);
}

/* --- leases --- */

static bool take(struct call *c);

/* The fresh version is not to be had in time: is there an older one, or did the fresh one take over
 * this very moment? */
static bool fall_back(struct call *c, const struct hd_error *err)
{
    if (!c->opt.stale_ok || c->fell_back || (err->code != HD_ETIMEOUT && err->code != HD_EIO))
        return false;
    struct hd_pool *older = hd_pool_previous(c->pool);
    if (older == NULL && hd_pool_newest_state(c->pool) != HD_POOL_READY)
        return false;
    c->fell_back = true;
    c->lease.wait_ms = 0;
    if (older != NULL) {
        hd_pool_unref(c->pool);
        c->pool = older;
        c->report.stale = true;
    }
    return true;
}

/* There is an instance. @return whether it may have the request; else the lease is given back. */
static bool may_go(struct call *c)
{
    int rc = c->opt.before != NULL ? c->opt.before(c->inv, c->report.stale) : 0;
    if (rc == 0)
        return true;
    release(c, HD_LEASE_OK);
    hd_fail(&c->err, rc, "refused before it was sent");
    return false;
}

static void on_granted(struct hd_lease *lease, const struct hd_error *err)
{
    struct call *c = hd_container_of(lease, struct call, lease);
    c->report.waited_us += lease->waited_us;
    c->report.cold = c->report.cold || lease->cold;
    if (err != NULL) {
        if (!fall_back(c, err)) {
            fail(c, err);
            return;
        }
        if (!take(c))
            return;
    }
    if (!may_go(c)) {
        fail(c, &c->err);
        return;
    }
    bool more = !c->ended;
    struct hd_invocation *inv = c->inv;
    dispatch(c);
    if (more)
        inv->events->on_writable(inv);
}

/* @return whether it has its place now. If not it comes later: the place, or the failure. */
static bool take(struct call *c)
{
    c->lease.on_granted = on_granted;
    int rc = hd_pool_take(c->pool, &c->lease, c->ch->net->loop, &c->err);
    if (rc < 0 && fall_back(c, &c->err))
        rc = hd_pool_take(c->pool, &c->lease, c->ch->net->loop, &c->err);
    if (rc < 0)
        fail_later(c);
    return rc > 0;
}

/* --- connections --- */

static void on_idle_gone(struct hd_client_conn *conn)
{
    hd_list_remove(hd_client_link(conn));
}

struct hd_client_conn *hd_channel_connect(struct hd_net *net, const struct hd_lease *lease)
{
    struct hd_list *link = hd_list_pop(hd_instance_conns(lease->instance, lease->loop));
    return link != NULL ? hd_client_of(link)
                        : hd_client_connect(net, lease->endpoint, on_idle_gone);
}

void hd_channel_drop(const struct hd_loop *loop, struct hd_instance *instance)
{
    struct hd_list *idle = hd_instance_conns(instance, loop), *link;
    while ((link = hd_list_pop(idle)) != NULL)
        hd_client_close(hd_client_of(link));
}

/* Send head and body, as far as it is there. */
static void send_request(struct call *c, struct hd_str body)
{
    c->report.dispatched = true;
    c->conn = hd_channel_connect(c->ch->net, &c->lease);
    struct hd_client_request req = {.head = hd_buf_view(&c->head),
                                    .chunked = c->chunked,
                                    .head_method = c->head_method,
                                    .upgrade = c->upgrade,
                                    .last = hd_trailers_last_chunk(c->trailers)};
    hd_client_send(c->conn, &req, body, c->ended, &client_events, c);
}

/* Send what waited for an instance, or was kept for a second try. */
static void dispatch(struct call *c)
{
    send_request(c, hd_buf_view(&c->held));
    if (c->paused)
        hd_client_pause(c->conn, true);
    if (c->held.len > REPLAY_BYTES || !c->ended) {
        c->whole = false;
        hd_buf_done(&c->held);
    }
}

/* --- what the instance says --- */

static void on_head(void *owner, const struct hd_head *head, struct hd_str body, bool end)
{
    struct call *c = owner;
    struct hd_invocation *inv = c->inv;
    struct hd_response_head out = {.status = head->status,
                                   .reason = head->reason,
                                   .fields = head->fields,
                                   .n_fields = head->n_fields,
                                   .body_bytes = head->body_bytes,
                                   .upgrade = head->upgrade_to};
    if (c->head_method) /* what a GET would have been answered with */
        out.body_bytes = head->declared_bytes;
    if (head->status < 200 && head->status != 101) {
        inv->events->on_info(inv, &out);
        return;
    }
    c->whole = false;
    c->ch->last = c->report;
    if (end) {
        release(c, HD_LEASE_OK);
        call_free(c);
    }
    inv->events->on_response(inv, &out, body, end);
}

static void on_body(void *owner, struct hd_str bytes, bool end)
{
    struct call *c = owner;
    struct hd_invocation *inv = c->inv;
    c->ch->last = c->report;
    if (end) {
        release(c, HD_LEASE_OK);
        call_free(c);
    }
    inv->events->on_body(inv, bytes, end);
}

static void on_trailers(void *owner, const struct hd_field *fields, size_t n)
{
    struct call *c = owner;
    if (c->inv->events->on_trailers != NULL)
        c->inv->events->on_trailers(c->inv, fields, n);
}

static void on_writable(void *owner)
{
    struct call *c = owner;
    if (!c->ended)
        c->inv->events->on_writable(c->inv);
}

/* May it be sent again? What no instance got, always; what one may have begun with, if doing it
 * twice is like doing it once. */
static bool may_retry(const struct call *c, enum hd_client_lost lost)
{
    return c->whole && c->report.retries + 1 < MAX_TRIES && c->report.fate != HD_FATE_CPU &&
           (lost == HD_LOST_UNSENT || (lost == HD_LOST_UNANSWERED && c->idempotent));
}

static void on_failed(void *owner, const struct hd_error *err, enum hd_client_lost lost)
{
    struct call *c = owner;
    c->conn = NULL; /* it closes itself */
    c->report.fate = hd_instance_fate(c->lease.instance);
    release(c, HD_LEASE_BROKEN);
    if (may_retry(c, lost)) {
        c->report.retries++;
        if (take(c))
            dispatch(c);
        return;
    }
    fail(c, err);
}

static const struct hd_client_events client_events = {.on_head = on_head,
                                                      .on_body = on_body,
                                                      .on_trailers = on_trailers,
                                                      .on_writable = on_writable,
                                                      .on_failed = on_failed};

/* --- what the door says --- */

static bool is_idempotent(struct hd_str method)
{
    return hd_str_is(method, "GET") || hd_str_is(method, "HEAD") || hd_str_is(method, "PUT") ||
           hd_str_is(method, "DELETE") || hd_str_is(method, "OPTIONS");
}

static void start(struct hd_invocation *inv, const struct hd_request_head *head, struct hd_str body,
                  bool end)
{
    struct call *c = inv->impl;
    struct hd_format how = {.framing = hd_request_framing(head), .upgrade = head->upgrade};
    if (head->upgrade.len > 0)
        how.connection = HD_CONNECTION_UPGRADE;
    c->chunked = how.framing == HD_FRAMING_CHUNKED;
    c->head_method = hd_str_is(head->method, "HEAD");
    c->upgrade = head->upgrade.len > 0;
    c->idempotent = is_idempotent(head->method);
    c->ended = end;
    c->whole = end;
    if (hd_format_request(&c->head, head, &how, &c->err) < 0) {
        fail_later(c);
        return;
    }
    if (!take(c)) {
        hd_buf_str(&c->held, body);
        return;
    }
    if (!may_go(c)) {
        fail_later(c);
        return;
    }
    if (end && body.len > 0 && body.len <= REPLAY_BYTES) {
        hd_buf_str(&c->held, body);
        dispatch(c);
        return;
    }
    /* The common way: the body goes out with the head, uncopied. */
    c->whole = end && body.len == 0;
    send_request(c, body);
}

static bool write_more(struct hd_invocation *inv, struct hd_str bytes, bool end)
{
    struct call *c = inv->impl;
    c->ended = c->ended || end;
    if (c->conn != NULL) {
        c->whole = false;
        return hd_client_write(c->conn, bytes, end);
    }
    hd_buf_str(&c->held, bytes);
    if (hd_buf_failed(&c->held) && !hd_timer_active(&c->later)) {
        hd_pool_leave(&c->lease);
        hd_fail(&c->err, HD_EBUSY, "more than %d bytes of body while waiting for an instance",
                HELD_BYTES_MAX);
        fail_later(c);
    }
    return false;
}

static void keep_trailers(struct hd_invocation *inv, const struct hd_field *fields, size_t n)
{
    struct call *c = inv->impl;
    if (c->conn != NULL) {
        hd_client_trailers(c->conn, fields, n);
        return;
    }
    if (c->trailers == NULL)
        c->trailers = hd_trailers_new();
    hd_trailers_set(c->trailers, fields, n);
}

static void pause_answer(struct hd_invocation *inv, bool paused)
{
    struct call *c = inv->impl;
    c->paused = paused;
    if (c->conn != NULL)
        hd_client_pause(c->conn, paused);
}

static void cancel(struct hd_invocation *inv, int why)
{
    struct call *c = inv->impl;
    if (c == NULL)
        return;
    hd_pool_leave(&c->lease);
    release(c, why == HD_ETIMEOUT ? HD_LEASE_TIMEOUT : HD_LEASE_CANCELED);
    call_free(c);
}

static const struct hd_invoker_ops channel_ops = {.start = start,
                                                  .write = write_more,
                                                  .trailers = keep_trailers,
                                                  .pause = pause_answer,
                                                  .cancel = cancel};

void hd_channel_attach(struct hd_channel *ch, struct hd_invocation *inv, struct hd_pool *pool,
                       const struct hd_channel_options *opt)
{
    struct call *c = hd_slab_take(&ch->calls);
    memset(c, 0, offsetof(struct call, head_bytes));
    c->ch = ch;
    c->inv = inv;
    c->pool = hd_pool_ref(pool);
    c->opt = *opt;
    c->lease.wait_ms = opt->wait_ms;
    hd_buf_init_with(&c->head, c->head_bytes, sizeof(c->head_bytes), HEAD_BYTES_MAX);
    hd_buf_init(&c->held, HELD_BYTES_MAX);
    inv->ops = &channel_ops;
    inv->impl = c;
}

const struct hd_channel_report *hd_channel_last(const struct hd_channel *ch)
{
    return &ch->last;
}

struct hd_channel *hd_channel_new(struct hd_net *net)
{
    struct hd_channel *ch = hd_new(struct hd_channel);
    ch->net = net;
    hd_slab_init(&ch->calls, sizeof(struct call), 1024);
    return ch;
}

void hd_channel_free(struct hd_channel *ch)
{
    if (ch == NULL)
        return;
    hd_slab_done(&ch->calls);
    free(ch);
}
