/* topology_check.c - the rules that hold once everything is resolved. */
#include "lanes/topology_private.h"

enum { TTL_WARN_MS = 600000, TTL_EVENTS_MS = 86400000 };

/* --- lanes --- */

static void check_ids(struct hd_raw_topology *raw)
{
    struct hd_topology *t = raw->t;
    for (size_t i = 0; i < t->n_event_lanes; i++) {
        struct hd_event_lane *lane = t->event_lanes[i];
        if (hd_str_trim(hd_str(lane->id)).len == 0)
            hd_conf_problem(&raw->conf, "eventLanes-invalidId", lane->line,
                            "a lane's id must not be blank");
        if (hd_raw_rpc_lane(t, lane->id) != NULL)
            hd_conf_problem(&raw->conf, "remoteLanes-topologyConflict", lane->line,
                            "the lane %s is an event lane and an RPC lane", lane->id);
        for (size_t j = 0; j < i; j++) {
            if (strcmp(t->event_lanes[j]->id, lane->id) == 0)
                hd_conf_problem(&raw->conf, "remoteLanes-topologyConflict", lane->line,
                                "the event lane %s is defined twice", lane->id);
        }
    }
    for (size_t i = 0; i < t->n_rpc_lanes; i++) {
        struct hd_rpc_lane *lane = t->rpc_lanes[i];
        if (hd_str_trim(hd_str(lane->id)).len == 0)
            hd_conf_problem(&raw->conf, "rpcLane-invalidId", lane->line,
                            "a lane's id must not be blank");
        for (size_t j = 0; j < i; j++) {
            if (strcmp(t->rpc_lanes[j]->id, lane->id) == 0)
                hd_conf_problem(&raw->conf, "remoteLanes-topologyConflict", lane->line,
                                "the RPC lane %s is defined twice", lane->id);
        }
    }
}

bool hd_raw_event_lane_used(const struct hd_topology *t, const struct hd_event_lane *lane)
{
    for (size_t i = 0; i < t->n_events; i++) {
        if (t->events[i]->event_lane == lane)
            return true;
    }
    return false;
}

static bool rpc_lane_used(const struct hd_topology *t, const struct hd_rpc_lane *lane)
{
    for (size_t i = 0; i < t->n_events; i++) {
        if (t->events[i]->rpc_lane == lane)
            return true;
    }
    for (size_t i = 0; i < t->n_tasks; i++) {
        if (t->tasks[i]->lane == lane)
            return true;
    }
    return false;
}

static void check_bound(struct hd_raw_topology *raw)
{
    struct hd_topology *t = raw->t;
    if (t->mode != HD_LANES_NETWORK)
        return;
    for (size_t i = 0; i < t->n_event_lanes; i++) {
        struct hd_event_lane *lane = t->event_lanes[i];
        if (lane->queue == NULL && (lane->consumed || hd_raw_event_lane_used(t, lane)))
            hd_conf_problem(&raw->conf, "eventLanes-bindingNotFound", lane->line,
                            "the event lane %s has no entry in lanes.bindings", lane->id);
    }
    for (size_t i = 0; i < t->n_rpc_lanes; i++) {
        struct hd_rpc_lane *lane = t->rpc_lanes[i];
        if (lane->communicator == NULL && (lane->served || rpc_lane_used(t, lane)))
            hd_conf_problem(&raw->conf, "rpcLane-bindingNotFound", lane->line,
                            "the RPC lane %s has no entry in lanes.bindings", lane->id);
    }
    for (size_t i = 0; i < t->n_communicators; i++) {
        if (t->communicators[i]->base_url == NULL)
            hd_conf_problem(&raw->conf, "rpcLane-communicatorResourceInvalid",
                            t->communicators[i]->line, "the communicator %s has no base_url",
                            t->communicators[i]->name);
    }
}

/* --- queues that several lanes share --- */

static bool consumes(const struct hd_raw_profile *p, const char *lane)
{
    for (size_t i = 0; i < p->n_consume; i++) {
        if (p->consume[i].lane != NULL && strcmp(p->consume[i].lane, lane) == 0)
            return true;
    }
    return false;
}

static void check_shared_queue(struct hd_raw_topology *raw, const struct hd_raw_profile *p,
                               const struct hd_lane_queue *queue)
{
    const struct hd_event_lane *taken = NULL, *left = NULL;
    for (size_t i = 0; i < raw->t->n_event_lanes; i++) {
        const struct hd_event_lane *lane = raw->t->event_lanes[i];
        if (lane->queue == queue && consumes(p, lane->id))
            taken = lane;
        else if (lane->queue == queue)
            left = lane;
    }
    if (taken != NULL && left != NULL)
        hd_conf_problem(&raw->conf, "eventLanes-sharedQueuePartialConsume", p->line,
                        "the profile %s consumes %s but not %s, and both are bound to the queue "
                        "%s: messages of the other would be taken and given back for ever",
                        p->name, taken->id, left->id, queue->name);
}

static void check_shared(struct hd_raw_topology *raw)
{
    for (size_t i = 0; i < raw->n_profiles; i++) {
        for (size_t j = 0; j < raw->t->n_queues; j++)
            check_shared_queue(raw, &raw->profiles[i], raw->t->queues[j]);
    }
}

/* --- keys --- */

static void need(struct hd_raw_topology *raw, bool there, bool signer, const char *lane,
                 size_t line, const char *why)
{
    if (!there)
        hd_conf_problem(&raw->conf,
                        signer ? "remoteLanes-auth-signerMissing"
                               : "remoteLanes-auth-verifierMissing",
                        line, "the lane %s %s, and its auth has no key to %s with", lane, why,
                        signer ? "sign" : "verify");
}

static struct hd_lane_keys *keys_of(struct hd_raw_topology *raw, const struct hd_lane_auth *auth,
                                    const char *lane, size_t line)
{
    struct hd_lane_keys *keys = NULL;
    struct hd_error err;
    if (hd_lane_keys_new(&keys, auth, &err) < 0)
        hd_conf_problem(&raw->conf, "config", line, "auth of the lane %s: %s", lane, err.msg);
    return keys;
}

static void check_event_lane_keys(struct hd_raw_topology *raw, struct hd_event_lane *lane)
{
    bool signs = lane->auth.mode != HD_LANE_AUTH_NONE;
    bool both = raw->t->mode == HD_LANES_LOCAL_SIMULATED;
    bool used = hd_raw_event_lane_used(raw->t, lane);
    bool produces = lane->produce_given ? lane->produce : used && !lane->consumed;
    if (signs && !lane->auth.ttl_given)
        lane->auth.token_ttl_ms = TTL_EVENTS_MS;
    else if (signs && lane->auth.token_ttl_ms < TTL_WARN_MS)
        hd_strings_addf(&raw->t->warnings,
                        "%s:%zu: the tokens of the event lane %s live for %u ms: messages that "
                        "wait longer in the queue are rejected for good",
                        raw->conf.path, lane->line, lane->id, lane->auth.token_ttl_ms);
    lane->keys = keys_of(raw, &lane->auth, lane->id, lane->line);
    if (lane->keys == NULL || raw->t->mode == HD_LANES_TRANSPARENT)
        return;
    if (produces || (both && used))
        need(raw, hd_lane_keys_can_sign(lane->keys), true, lane->id, lane->line, "is produced to");
    if (lane->consumed || (both && used))
        need(raw, hd_lane_keys_can_verify(lane->keys), false, lane->id, lane->line, "is consumed");
}

static void check_rpc_lane_keys(struct hd_raw_topology *raw, struct hd_rpc_lane *lane)
{
    bool both = raw->t->mode == HD_LANES_LOCAL_SIMULATED, used = rpc_lane_used(raw->t, lane);
    lane->keys = keys_of(raw, &lane->auth, lane->id, lane->line);
    if (lane->keys == NULL || raw->t->mode == HD_LANES_TRANSPARENT || !used)
        return;
    if (!lane->served || both)
        need(raw, hd_lane_keys_can_sign(lane->keys), true, lane->id, lane->line, "is called");
    if (lane->served || both)
        need(raw, hd_lane_keys_can_verify(lane->keys), false, lane->id, lane->line, "is served");
}

/* --- events, tasks, exposure --- */

static void check_events(struct hd_raw_topology *raw)
{
    for (size_t i = 0; i < raw->t->n_events; i++) {
        const struct hd_lane_event *e = raw->t->events[i];
        if (e->transactional && e->parallel)
            hd_conf_problem(&raw->conf, "transactionalParallelConflict", e->line,
                            "the event %s is transactional and parallel", e->name);
        if (e->transactional && e->event_lane != NULL)
            hd_conf_problem(&raw->conf, "transactionalEventLaneConflict", e->line,
                            "the event %s is transactional; what went into a queue cannot be "
                            "taken back",
                            e->name);
    }
}

static void check_same_ids(struct hd_raw_topology *raw)
{
    const struct hd_topology *t = raw->t;
    for (size_t i = 0; i < t->n_tasks; i++) {
        for (size_t j = 0; j < i; j++) {
            if (strcmp(t->tasks[i]->wire_id, t->tasks[j]->wire_id) == 0)
                hd_conf_problem(&raw->conf, "rpcLane-ownershipConflict", t->tasks[i]->line,
                                "two tasks have the id %s", t->tasks[i]->wire_id);
        }
    }
    for (size_t i = 0; i < t->n_events; i++) {
        for (size_t j = 0; j < i; j++) {
            if (strcmp(t->events[i]->wire_id, t->events[j]->wire_id) == 0)
                hd_conf_problem(&raw->conf, "config", t->events[i]->line,
                                "two events have the id %s", t->events[i]->wire_id);
        }
    }
}

static void check_exposure(struct hd_raw_topology *raw)
{
    struct hd_exposure_options *e = &raw->t->exposure;
    if (e->given && raw->t->mode != HD_LANES_NETWORK)
        hd_conf_problem(&raw->conf, "rpcLane-exposureMode", raw->exposure_line,
                        "exposure.http works in mode network only");
    if (e->base_path == NULL)
        e->base_path = hd_strdup("/__runner");
    char *path = hd_printf("%s%s", e->base_path[0] == '/' ? "" : "/", e->base_path);
    size_t n = strlen(path);
    if (n > 1 && path[n - 1] == '/')
        path[n - 1] = '\0';
    free(e->base_path);
    e->base_path = path;
    if (e->host == NULL)
        e->host = hd_strdup("127.0.0.1");
    if (e->token_header == NULL)
        e->token_header = hd_strdup("x-runner-token");
}

void hd_topology_defaults(struct hd_topology *t)
{
    struct hd_exposure_options *e = &t->exposure;
    e->json_bytes = 2 << 20;
    e->file_bytes = 20 << 20;
    e->field_bytes = 1 << 20;
    e->octet_bytes = 6 << 20;
    e->files = 10;
    e->fields = 100;
    e->head_ms = 15000;
    e->gap_ms = 30000;
    e->min_rate = 100;
    e->discovery = true;
    e->cors_vary = true;
}

void hd_topology_check(struct hd_raw_topology *raw)
{
    check_ids(raw);
    check_bound(raw);
    check_shared(raw);
    check_events(raw);
    check_same_ids(raw);
    check_exposure(raw);
    for (size_t i = 0; i < raw->t->n_event_lanes; i++)
        check_event_lane_keys(raw, raw->t->event_lanes[i]);
    for (size_t i = 0; i < raw->t->n_rpc_lanes; i++)
        check_rpc_lane_keys(raw, raw->t->rpc_lanes[i]);
}
