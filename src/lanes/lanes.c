/*  new: topology ─► runners, clients ─► queues opened
 *  start: consumers, exposure
 *  cooldown: the exposure closes first, consumers stop and finish ─► close: queues, clients ─► free
 */
#include "lanes/lanes.h"

#include "lanes/lanes_private.h"

/* --- queues --- */

static struct hd_lanes_queue *queue_of(struct hd_lanes *l, const struct hd_lane_source *source)
{
    for (size_t i = 0; i < l->topology->n_queues; i++) {
        if (l->queues[i].config == source->config)
            return &l->queues[i];
    }
    return NULL;
}

static void on_delivery(void *arg, struct hd_lane_source *source, const struct hd_lane_delivery *d)
{
    struct hd_lanes_queue *q = queue_of(arg, source);
    hd_consumer_deliver(q->consumer, d);
}

static void on_state(void *arg, struct hd_lane_source *source, bool connected,
                     const struct hd_error *why)
{
    struct hd_lanes *l = arg;
    struct hd_lanes_queue *q = queue_of(l, source);
    if (q->connected && !connected) {
        hd_log(l->opt.log, HD_WARN, "lane queue disconnected, trying again",
               hd_kv_str("queue", q->config->name),
               hd_kv_str("error", why != NULL ? why->msg : ""));
        if (q->consumer != NULL)
            hd_consumer_lost(q->consumer);
    } else if (!q->connected && connected) {
        hd_log(l->opt.log, HD_INFO, "lane queue connected", hd_kv_str("queue", q->config->name));
    }
    q->connected = connected;
}

static bool used(const struct hd_topology *t, const struct hd_lane_queue *queue, bool *consumed)
{
    bool any = false;
    for (size_t i = 0; i < t->n_event_lanes; i++) {
        if (t->event_lanes[i]->queue != queue)
            continue;
        any = true;
        *consumed = *consumed || t->event_lanes[i]->consumed;
    }
    return any;
}

static int open_queue(struct hd_lanes *l, struct hd_lanes_queue *q, struct hd_error *err)
{
    static const struct hd_lane_queue_events events = {.on_delivery = on_delivery,
                                                       .on_state = on_state};
    struct hd_lane_queue_options opt = {.config = q->config,
                                        .loop = l->opt.loops[0],
                                        .log = l->opt.log,
                                        .store = l->opt.store,
                                        .events = &events,
                                        .arg = l};
    switch (q->config->driver) {
    case HD_DRIVER_SQLITE:
        return hd_lane_sqlite_open(&q->source, &opt, err);
    case HD_DRIVER_MEMORY:
        return hd_lane_memory_open(&q->source, &opt, err);
    case HD_DRIVER_RABBITMQ:
        return hd_lane_rabbitmq_open(&q->source, &opt, err);
    }
    return 0;
}

static int open_queues(struct hd_lanes *l, struct hd_error *err)
{
    struct hd_topology *t = l->topology;
    l->queues = hd_new_array(struct hd_lanes_queue, t->n_queues + 1);
    for (size_t i = 0; i < t->n_queues; i++) {
        l->queues[i].lanes = l;
        l->queues[i].config = t->queues[i];
    }
    if (t->mode != HD_LANES_NETWORK)
        return 0;
    for (size_t i = 0; i < t->n_queues; i++) {
        struct hd_lanes_queue *q = &l->queues[i];
        bool consumed = false;
        if (!used(t, q->config, &consumed))
            continue;
        int rc = open_queue(l, q, err);
        if (rc < 0)
            return hd_wrap(err, rc, "lanes.queues.%s", q->config->name);
        struct hd_consumer_options opt = {.topology = t,
                                          .runner = l->loops[0].runner,
                                          .metrics = l->metrics,
                                          .loop = l->opt.loops[0],
                                          .log = l->opt.log};
        if (consumed)
            q->consumer = hd_consumer_new(&opt, q->source);
    }
    return 0;
}

void hd_lanes_publish(struct hd_lanes *l, const struct hd_lane_queue *queue, struct hd_str id,
                      struct hd_str body, void (*done)(void *arg, const struct hd_error *err),
                      void *arg)
{
    for (size_t i = 0; i < l->topology->n_queues; i++) {
        if (l->queues[i].config == queue)
            l->queues[i].source->ops->publish(l->queues[i].source, id, body, done, arg);
    }
}

/* --- making --- */

static int make_loop(struct hd_lanes *l, unsigned i, struct hd_error *err)
{
    struct hd_lanes_loop *w = &l->loops[i];
    struct hd_topology *t = l->topology;
    w->lanes = l;
    w->index = i;
    w->loop = l->opt.loops[i];
    hd_rng_init(&w->rng, 0);
    hd_lanes_router_init(w);
    struct hd_lane_runner_options runner = {.topology = t,
                                            .targets = l->opt.targets,
                                            .caller = l->opt.callers[i],
                                            .log = l->opt.log,
                                            .natives = l->opt.natives,
                                            .n_natives = l->opt.n_natives};
    w->runner = hd_lane_runner_new(&runner);
    w->clients = hd_new_array(struct hd_rpc_client *, t->n_communicators + 1);
    for (size_t c = 0; c < t->n_communicators; c++) {
        int rc = hd_rpc_client_new(&w->clients[c], l->opt.nets[i], t->communicators[c], err);
        if (rc < 0)
            return rc;
    }
    return 0;
}

int hd_lanes_new(struct hd_lanes **out, const struct hd_lanes_options *opt, struct hd_error *err)
{
    struct hd_lanes *l = hd_new(struct hd_lanes);
    int rc = 0;
    l->opt = *opt;
    l->opt.files_dir = hd_strdup(opt->files_dir);
    l->topology = opt->topology;
    l->metrics = hd_lane_metrics_new(opt->n_loops);
    for (size_t i = 0; i < l->topology->warnings.n; i++)
        hd_log(opt->log, HD_WARN, "lanes", hd_kv_str("warning", l->topology->warnings.items[i]));
    for (unsigned i = 0; i < opt->n_loops && rc == 0; i++)
        rc = make_loop(l, i, err);
    if (rc == 0)
        rc = open_queues(l, err);
    *out = l; /* also half made: closed and freed like a whole one */
    return rc;
}

/* --- starting --- */

static int expose(struct hd_lanes *l, unsigned i, int fd, struct hd_error *err)
{
    struct hd_lanes_loop *w = &l->loops[i];
    struct hd_exposure_loop opt = {.net = l->opt.nets[i],
                                   .loop_index = i,
                                   .topology = l->topology,
                                   .runner = w->runner,
                                   .metrics = l->metrics,
                                   .log = l->opt.log,
                                   .caller = l->opt.callers[i],
                                   .targets = l->opt.targets,
                                   .files_dir = l->opt.files_dir};
    int rc = hd_exposure_new(&w->exposure, &opt, err);
    return rc == 0 ? hd_exposure_listen_fd(w->exposure, fd, err) : rc;
}

struct listening {
    struct hd_lanes *lanes;
    unsigned loop;
    int fd;
};

/* A server is made and used on its own loop only. */
static void listen_there(void *arg)
{
    struct listening *p = arg;
    struct hd_error err;
    if (expose(p->lanes, p->loop, p->fd, &err) < 0)
        hd_log(p->lanes->opt.log, HD_ERROR, "exposure cannot listen", hd_kv_str("error", err.msg));
    free(p);
}

static int start_exposure(struct hd_lanes *l, struct hd_error *err)
{
    const struct hd_topology *t = l->topology;
    int fds[HD_POOL_LOOPS_MAX];
    if (!t->exposure.given)
        return 0;
    if (!hd_exposure_wanted(t)) {
        hd_log(l->opt.log, HD_WARN, "rpc-lanes.exposure.skipped", hd_kv_str("profile", t->profile),
               hd_kv_str("mode", "network"), hd_kv_str("reason", "no-served-task-or-event"));
        return 0;
    }
    l->port = t->exposure.port;
    int rc = l->opt.listen(l->opt.listen_arg, fds, l->opt.n_loops, t->exposure.host, &l->port, err);
    if (rc < 0)
        return hd_wrap(err, rc, "lanes.exposure.http.listen");
    for (unsigned i = 0; i < l->opt.n_loops; i++) {
        struct listening *p = hd_new(struct listening);
        *p = (struct listening){.lanes = l, .loop = i, .fd = fds[i]};
        hd_loop_post(l->opt.loops[i], listen_there, p);
    }
    hd_log(l->opt.log, HD_INFO, "node.exposure.listen",
           hd_kv_str("basePath", t->exposure.base_path), hd_kv_int("port", l->port),
           hd_kv_str("host", t->exposure.host));
    return 0;
}

int hd_lanes_start(struct hd_lanes *l, struct hd_error *err)
{
    for (size_t i = 0; i < l->topology->n_queues; i++) {
        if (l->queues[i].consumer != NULL)
            hd_consumer_start(l->queues[i].consumer);
    }
    return l->topology->mode == HD_LANES_NETWORK ? start_exposure(l, err) : 0;
}

struct hd_loop *hd_lanes_control(const struct hd_lanes *l)
{
    return l->opt.loops[0];
}

uint16_t hd_lanes_port(const struct hd_lanes *l)
{
    return l->port;
}

/* --- ending --- */

void hd_lanes_part_done(void *arg)
{
    struct hd_lanes *l = arg;
    if (--l->open_parts == 0)
        l->done(l->done_arg);
}

struct stopping {
    struct hd_lanes *lanes;
    unsigned loop;
    size_t next_client;
};

static void loop_part_done(void *arg)
{
    struct stopping *s = arg;
    struct hd_lanes *l = s->lanes;
    free(s);
    hd_loop_post(l->opt.loops[0], hd_lanes_part_done, l);
}

static void drain_there(void *arg)
{
    struct stopping *s = arg;
    struct hd_exposure *e = s->lanes->loops[s->loop].exposure;
    if (e != NULL)
        hd_exposure_drain(e);
    loop_part_done(s);
}

static void on_each_loop(struct hd_lanes *l, void (*fn)(void *arg))
{
    for (unsigned i = 0; i < l->opt.n_loops; i++) {
        struct stopping *s = hd_new(struct stopping);
        *s = (struct stopping){.lanes = l, .loop = i};
        l->open_parts++;
        hd_loop_post(l->opt.loops[i], fn, s);
    }
}

void hd_lanes_cooldown(struct hd_lanes *l, void (*done)(void *arg), void *arg)
{
    atomic_store(&l->stopping, true);
    l->done = done;
    l->done_arg = arg;
    l->open_parts++;
    on_each_loop(l, drain_there);
    for (size_t i = 0; i < l->topology->n_queues && l->queues != NULL; i++) {
        if (l->queues[i].consumer == NULL)
            continue;
        l->open_parts++;
        hd_consumer_cooldown(l->queues[i].consumer, hd_lanes_part_done, l);
    }
    hd_loop_post(l->opt.loops[0], hd_lanes_part_done, l);
}

static void close_clients(void *arg);

static void client_closed(void *arg)
{
    struct stopping *s = arg;
    s->next_client++;
    close_clients(s);
}

/* One after the other. */
static void close_clients(void *arg)
{
    struct stopping *s = arg;
    struct hd_rpc_client **clients = s->lanes->loops[s->loop].clients;
    if (clients == NULL || clients[s->next_client] == NULL)
        loop_part_done(s);
    else
        hd_rpc_client_close(clients[s->next_client], client_closed, s);
}

static void close_there(void *arg)
{
    struct stopping *s = arg;
    struct hd_exposure *e = s->lanes->loops[s->loop].exposure;
    if (e != NULL)
        hd_exposure_close(e, close_clients, s);
    else
        close_clients(s);
}

void hd_lanes_close(struct hd_lanes *l, void (*done)(void *arg), void *arg)
{
    atomic_store(&l->stopping, true);
    l->done = done;
    l->done_arg = arg;
    l->open_parts++;
    on_each_loop(l, close_there);
    for (size_t i = 0; i < l->topology->n_queues && l->queues != NULL; i++) {
        if (l->queues[i].source == NULL)
            continue;
        l->open_parts++;
        l->queues[i].source->ops->close(l->queues[i].source, hd_lanes_part_done, l);
    }
    hd_loop_post(l->opt.loops[0], hd_lanes_part_done, l);
}

void hd_lanes_free(struct hd_lanes *l)
{
    if (l == NULL)
        return;
    for (unsigned i = 0; i < l->opt.n_loops; i++) {
        struct hd_lanes_loop *w = &l->loops[i];
        hd_exposure_free(w->exposure);
        for (size_t c = 0; w->clients != NULL && c < l->topology->n_communicators; c++)
            hd_rpc_client_free(w->clients[c]);
        free(w->clients);
        hd_slab_done(&w->journeys);
        hd_lane_runner_free(w->runner);
    }
    for (size_t i = 0; l->queues != NULL && i < l->topology->n_queues; i++)
        hd_consumer_free(l->queues[i].consumer);
    free(l->queues);
    hd_lane_metrics_free(l->metrics);
    hd_topology_free(l->topology);
    free((void *)l->opt.files_dir);
    free(l);
}
