/*  signal ─► DRAINING: /readyz says so, watching ends ─drain delay─► the doors are shut: idle
 *            connections close, busy ones are told to
 *          ─► requests under way end, or the grace is over ─► CLOSING: pools, backend, servers
 *          ─► loops stop
 *  A second signal ends the process at once; instances die with it. */
#include "core/clock.h"
#include "node/private.h"

#include <signal.h>
#include <stdatomic.h>
#include <unistd.h>

enum { LOOK_MS = 10, MIN_POOL_GRACE_MS = 500 };

static void on_signal(uv_signal_t *handle, int signum)
{
    struct hd_node *n = handle->data;
    if (signum == SIGHUP) {
        hd_log(n->log, HD_INFO, "SIGHUP: looking at all functions again");
        hd_node_rescan(n);
        return;
    }
    if (signum == SIGINT && hd_log_get_terminal(n->log))
        hd_log_raw(n->log, hd_str("\n")); /* the terminal has shown ^C */
    if (atomic_load(&n->state) >= HD_NODE_DRAINING) {
        hd_log(n->log, HD_WARN, "second signal, ending at once");
        hd_log_flush(n->log, 200);
        _exit(128 + signum);
    }
    hd_node_shutdown(n, signum == SIGINT ? "SIGINT" : "SIGTERM");
}

int hd_node_signals(struct hd_node *n, struct hd_error *err)
{
    const int all[] = {SIGINT, SIGTERM, SIGHUP};
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN); /* a file that may not grow is an error like a full disk */
    for (size_t i = 0; i < HD_COUNT(all); i++) {
        uv_signal_t *s = &n->signals[i];
        int rc = uv_signal_init(hd_loop_uv(n->workers[0].loop), s);
        if (rc == 0) {
            n->open_signals++;
            s->data = n;
            rc = uv_signal_start(s, on_signal, all[i]);
        }
        if (rc != 0)
            return hd_fail_sys(err, rc, "signals");
    }
    return 0;
}

static uint64_t now_ms(struct hd_node *n)
{
    return hd_loop_now_ms(n->workers[0].loop);
}

static uint32_t left_ms(struct hd_node *n)
{
    uint64_t now = now_ms(n);
    return n->shutdown_due_ms > now ? (uint32_t)(n->shutdown_due_ms - now) : 0;
}

/* --- the last steps, each after the one before is done --- */

static void stop_loops(void *arg)
{
    struct hd_node *n = arg;
    for (unsigned i = 0; i < n->open_signals; i++)
        uv_close((uv_handle_t *)&n->signals[i], NULL);
    n->open_signals = 0;
    for (unsigned i = n->n_workers; i-- > 0;)
        hd_loop_stop(n->workers[i].loop);
}

static void on_lambda_closed(void *arg)
{
    hd_node_policies_stop(arg, stop_loops);
}

static void on_lanes_closed(void *arg)
{
    hd_node_lambda_close(arg, on_lambda_closed);
}

static void on_docker_closed(void *arg)
{
    struct hd_node *n = arg;
    n->docker = NULL;
    hd_node_lanes_close(n, on_lanes_closed);
}

static void on_backend_closed(void *arg)
{
    struct hd_node *n = arg;
    n->backend = NULL;
    if (n->docker != NULL)
        n->docker->ops->close(n->docker, on_docker_closed, n);
    else
        on_docker_closed(n);
}

static void close_backend(struct hd_node *n)
{
    if (n->backend != NULL)
        n->backend->ops->close(n->backend, on_backend_closed, n);
    else
        on_backend_closed(n);
}

/* Pools and what calls functions end together: neither could wait for the other. */
static void on_half_closed(void *arg)
{
    struct hd_node *n = arg;
    if (--n->halves_open == 0)
        close_backend(n);
}

static void close_halves(struct hd_node *n)
{
    n->halves_open = 2;
    hd_pool_set_close(n->pools, HD_MAX(left_ms(n), (uint32_t)MIN_POOL_GRACE_MS), on_half_closed, n);
    hd_node_lambda_stop(n, on_half_closed);
}

static void server_gone(void *arg)
{
    struct hd_node *n = arg;
    if (--n->servers_open == 0)
        close_halves(n);
}

static void on_server_closed(void *arg)
{
    struct hd_worker *w = arg;
    hd_loop_post(w->node->workers[0].loop, server_gone, w->node);
}

static void close_server(void *arg)
{
    struct hd_worker *w = arg;
    if (w->server != NULL)
        hd_server_close(w->server, on_server_closed, w);
    else
        on_server_closed(w);
    if (w->control != NULL)
        hd_server_close(w->control, on_server_closed, w);
    else
        on_server_closed(w);
}

static void close_servers(struct hd_node *n)
{
    if (atomic_exchange(&n->state, HD_NODE_CLOSING) == HD_NODE_CLOSING)
        return;
    n->servers_open = 2 * n->n_workers + (n->admin != NULL);
    for (unsigned i = 0; i < n->n_workers; i++)
        hd_loop_post(n->workers[i].loop, close_server, &n->workers[i]);
    if (n->admin != NULL)
        hd_server_close(n->admin, server_gone, n);
}

void hd_node_abandon(struct hd_node *n)
{
    hd_node_unwatch(n);
    if (n->workers[0].loop == NULL)
        return;
    if (n->boot != NULL)
        hd_boot_end(n->boot);
    if (n->pools != NULL)
        close_servers(n);
    else
        close_backend(n);
}

/* --- draining --- */

static void look(void *arg)
{
    struct hd_worker *w = arg;
    atomic_store(&w->active, hd_door_active(w->door) + hd_worker_lambda_active(w));
}

static unsigned active(struct hd_node *n)
{
    unsigned total = 0;
    for (unsigned i = 0; i < n->n_workers; i++)
        total += atomic_load(&n->workers[i].active);
    return total;
}

static void on_look(struct hd_timer *t)
{
    struct hd_node *n = hd_container_of(t, struct hd_node, shutdown_timer);
    unsigned still = active(n);
    bool over = now_ms(n) >= n->shutdown_due_ms;
    if (still > 0 && !over) {
        for (unsigned i = 0; i < n->n_workers; i++)
            hd_loop_post(n->workers[i].loop, look, &n->workers[i]);
        hd_timer_start(n->workers[0].loop, &n->shutdown_timer, LOOK_MS, on_look);
        return;
    }
    if (still > 0)
        hd_log(n->log, HD_WARN, "grace is over, requests are broken off",
               hd_kv_int("requests", still), hd_kv_int("grace_ms", n->opt->shutdown_grace_ms));
    else
        hd_log(n->log, HD_INFO, "drained",
               hd_kv_us("took", (now_ms(n) - n->drain_began_ms) * 1000));
    close_servers(n);
}

static void drain_server(void *arg)
{
    struct hd_worker *w = arg;
    if (w->server != NULL)
        hd_server_drain(w->server);
    if (w->control != NULL)
        hd_server_drain(w->control);
    look(w);
}

static void on_drain_delay(struct hd_timer *t)
{
    struct hd_node *n = hd_container_of(t, struct hd_node, shutdown_timer);
    hd_node_lanes_cooldown(n);
    for (unsigned i = 0; i < n->n_workers; i++) {
        atomic_store(&n->workers[i].active, 1); /* until it was looked at */
        hd_loop_post(n->workers[i].loop, drain_server, &n->workers[i]);
    }
    hd_timer_start(n->workers[0].loop, &n->shutdown_timer, 1, on_look);
}

void hd_node_shutdown(struct hd_node *n, const char *why)
{
    if (atomic_exchange(&n->state, HD_NODE_DRAINING) >= HD_NODE_DRAINING)
        return;
    hd_log(n->log, HD_INFO, "shutting down", hd_kv_str("because", why),
           hd_kv_int("grace_ms", n->opt->shutdown_grace_ms));
    hd_node_unwatch(n);
    hd_boot_end(n->boot);
    hd_node_async_drain(n);
    hd_node_feeds_drain(n);
    n->drain_began_ms = now_ms(n);
    n->shutdown_due_ms = n->drain_began_ms + n->opt->drain_delay_ms + n->opt->shutdown_grace_ms;
    hd_timer_start(n->workers[0].loop, &n->shutdown_timer, HD_MAX(n->opt->drain_delay_ms, 1U),
                   on_drain_delay);
}
