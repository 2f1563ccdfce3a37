/* status.c - what can be seen of the lanes: for the status endpoint, the CLI and scrapers. */
#include "lanes/lanes_private.h"

static const char *const modes[] = {"network", "transparent", "local-simulated"};

static void text(struct hd_buf *out, const char *name, const char *value)
{
    hd_buf_fmt(out, "\"%s\":", name);
    if (value != NULL)
        hd_buf_json(out, hd_str(value));
    else
        hd_buf_cstr(out, "null");
}

static void number(struct hd_buf *out, const char *name, uint64_t value)
{
    if (value == UINT64_MAX)
        hd_buf_fmt(out, ",\"%s\":null", name);
    else
        hd_buf_fmt(out, ",\"%s\":%llu", name, (unsigned long long)value);
}

static void queue_json(struct hd_buf *out, const struct hd_lanes_queue *q)
{
    struct hd_lane_queue_stats s;
    q->source->ops->stats(q->source, &s);
    hd_buf_char(out, '{');
    text(out, "name", q->config->name);
    hd_buf_char(out, ',');
    text(out, "driver", q->source->ops->name);
    hd_buf_fmt(out, ",\"connected\":%s,\"blocked\":%s,\"consuming\":%s",
               s.connected ? "true" : "false", s.blocked ? "true" : "false",
               q->consumer != NULL ? "true" : "false");
    number(out, "inflight", s.inflight);
    number(out, "depth", s.depth);
    number(out, "dead", s.dead);
    hd_buf_char(out, ',');
    text(out, "lastError", s.last_error.code != 0 ? s.last_error.msg : NULL);
    hd_buf_char(out, '}');
}

static void event_lane_json(struct hd_buf *out, const struct hd_event_lane *lane)
{
    hd_buf_char(out, '{');
    text(out, "id", lane->id);
    hd_buf_cstr(out, ",\"kind\":\"event\",");
    text(out, "queue", lane->queue != NULL ? lane->queue->name : NULL);
    hd_buf_fmt(out, ",\"consumed\":%s,\"maxAttempts\":%u}", lane->consumed ? "true" : "false",
               lane->max_attempts);
}

static void rpc_lane_json(struct hd_buf *out, const struct hd_rpc_lane *lane)
{
    hd_buf_char(out, '{');
    text(out, "id", lane->id);
    hd_buf_cstr(out, ",\"kind\":\"rpc\",");
    text(out, "communicator", lane->communicator != NULL ? lane->communicator->name : NULL);
    hd_buf_fmt(out, ",\"served\":%s}", lane->served ? "true" : "false");
}

void hd_lanes_status(struct hd_lanes *l, struct hd_buf *out)
{
    const struct hd_topology *t = l->topology;
    const char *comma = "";
    hd_buf_char(out, '{');
    text(out, "profile", t->profile);
    hd_buf_char(out, ',');
    text(out, "mode", modes[t->mode]);
    hd_buf_fmt(out, ",\"exposurePort\":%u,\"lanes\":[", l->port);
    for (size_t i = 0; i < t->n_event_lanes; i++, comma = ",") {
        hd_buf_cstr(out, comma);
        event_lane_json(out, t->event_lanes[i]);
    }
    for (size_t i = 0; i < t->n_rpc_lanes; i++, comma = ",") {
        hd_buf_cstr(out, comma);
        rpc_lane_json(out, t->rpc_lanes[i]);
    }
    hd_buf_cstr(out, "],\"queues\":[");
    comma = "";
    for (size_t i = 0; i < t->n_queues; i++) {
        if (l->queues[i].source == NULL)
            continue;
        hd_buf_cstr(out, comma);
        queue_json(out, &l->queues[i]);
        comma = ",";
    }
    hd_buf_cstr(out, "]}");
}

void hd_lanes_metrics(struct hd_lanes *l, struct hd_buf *out)
{
    hd_lane_metrics_write(l->metrics, out);
    hd_buf_cstr(out, "# TYPE lanes_queue_connected gauge\n");
    for (size_t i = 0; i < l->topology->n_queues; i++) {
        if (l->queues[i].source != NULL)
            hd_buf_fmt(out, "lanes_queue_connected{queue=\"%s\"} %d\n", l->queues[i].config->name,
                       l->queues[i].connected);
    }
    hd_buf_cstr(out, "# TYPE lanes_queue_blocked gauge\n");
    for (size_t i = 0; i < l->topology->n_queues; i++) {
        struct hd_lane_queue_stats s;
        if (l->queues[i].source == NULL)
            continue;
        l->queues[i].source->ops->stats(l->queues[i].source, &s);
        hd_buf_fmt(out, "lanes_queue_blocked{queue=\"%s\"} %d\n", l->queues[i].config->name,
                   s.blocked);
    }
    hd_buf_cstr(out, "# TYPE lanes_queue_inflight gauge\n");
    for (size_t i = 0; i < l->topology->n_queues; i++) {
        struct hd_lane_queue_stats s;
        if (l->queues[i].source == NULL)
            continue;
        l->queues[i].source->ops->stats(l->queues[i].source, &s);
        hd_buf_fmt(out, "lanes_queue_inflight{queue=\"%s\"} %llu\n", l->queues[i].config->name,
                   (unsigned long long)s.inflight);
    }
}

bool hd_lanes_consumes(const struct hd_lanes *l, const char *queue)
{
    const struct hd_topology *t = l->topology;
    for (size_t i = 0; i < t->n_event_lanes; i++) {
        const struct hd_event_lane *lane = t->event_lanes[i];
        if (lane->consumed && lane->queue != NULL && strcmp(lane->queue->queue_name, queue) == 0)
            return true;
    }
    return false;
}

const char *hd_lanes_queue_of(const struct hd_lanes *l, struct hd_str lane_or_queue)
{
    const struct hd_event_lane *lane = hd_topology_event_lane(l->topology, lane_or_queue);
    for (size_t i = 0; i < l->topology->n_queues; i++) {
        const struct hd_lane_queue *q = l->topology->queues[i];
        if ((lane != NULL && lane->queue == q) || hd_str_is(lane_or_queue, q->name))
            return q->driver == HD_DRIVER_SQLITE ? q->queue_name : NULL;
    }
    return NULL;
}
