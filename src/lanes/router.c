/* router.c - an emission or a call, from whoever made it on this node to where the topology sends
 * it. Each is one struct hd_journey, and ends in hd_journey_answer(). */
#include "core/clock.h"
#include "lanes/envelope.h"
#include "lanes/journey.h"
#include "lanes/lane_files.h"
#include "lanes/typed_private.h"

#include <stdio.h>

enum { OTHERS_MAX = 64 << 10 };

/* --- results --- */

static void on_ran(void *arg, const struct hd_lane_run_result *result)
{
    struct hd_journey *j = arg;
    bool with_value = (j->task != NULL || j->m.want_payload) && !j->streams;
    j->run = NULL;
    if (result->ok)
        hd_journey_value(j, with_value ? result->value : hd_str(""));
    else
        hd_journey_error(j, &result->error, false);
}

static void on_called(void *arg, const struct hd_rpc_answer *a)
{
    struct hd_journey *j = arg;
    const struct hd_lanes *l = j->loop->lanes;
    j->call = NULL;
    hd_lane_metrics_rpc(
        l->metrics, j->loop->index, "out", j->task != NULL ? j->task->wire_id : j->event->wire_id,
        a->ok ? "OK" : hd_rpc_code_known(a->error.code), hd_clock_us() - j->called_us);
    hd_journey_end_span(j, "call", (j->task != NULL ? j->task->lane : j->event->rpc_lane)->id,
                        !a->ok);
    if (a->ok) {
        hd_journey_value(j, a->streamed ? hd_str("") : a->value);
        return;
    }
    struct hd_lane_error error = a->error;
    if (error.status < 400)
        error.status = 502;
    hd_journey_error(j, &error, error.status == 503 || error.status == 408);
}

/* --- answers that stream --- */

static void on_stream_head(void *arg, struct hd_str content_type)
{
    struct hd_journey *j = arg;
    j->streams = true;
    j->m.stream->on_head(j->arg, content_type);
}

static bool on_stream_data(void *arg, struct hd_str bytes)
{
    struct hd_journey *j = arg;
    return j->m.stream->on_data(j->arg, bytes);
}

static const struct hd_lane_run_stream passing = {.on_head = on_stream_head,
                                                  .on_data = on_stream_data};

/* --- running here --- */

/* @return what the asker gave, where it is one as peers take it; else the message's own. */
static struct hd_str request_id_of(const struct hd_journey *j)
{
    struct hd_str given = j->m.request_id;
    return hd_rpc_request_id_ok(given) ? given : j->id;
}

static struct hd_lane_run_request request_of(struct hd_journey *j, const char *lane)
{
    return (struct hd_lane_run_request){.value = j->value,
                                        .contexts = j->contexts,
                                        .request_id = request_id_of(j),
                                        .traceparent = j->m.traceparent,
                                        .lane = hd_str(lane),
                                        .message_id = j->id,
                                        .source_kind = j->m.source_kind,
                                        .source_id = j->m.source_id,
                                        .cloud = j->m.cloud,
                                        .stream = j->m.stream != NULL ? &passing : NULL,
                                        .want_payload = j->m.want_payload};
}

/* @param run  NULL: it is over, and so is the journey. */
static void under_way(struct hd_journey *j, struct hd_lane_run *run)
{
    if (run != NULL)
        j->run = run;
}

static void run_here(struct hd_journey *j, const char *lane)
{
    struct hd_lane_run_request request = request_of(j, lane);
    if (j->task != NULL && j->task->function == NULL)
        hd_journey_refuse(j, 404, "NOT_FOUND",
                          "this task has no function here, and no lane to a peer", false);
    else if (j->task != NULL)
        under_way(j, hd_lane_run_task(j->loop->runner, j->task, &request, on_ran, j));
    else
        hd_lane_run_event(j->loop->runner, j->event, &request, on_ran, j);
}

/* --- tokens, for queues and for the simulation --- */

static int sign(struct hd_journey *j, const struct hd_lane_keys *keys,
                const struct hd_lane_auth *auth, struct hd_lane_claims *claims,
                struct hd_str hashed, struct hd_str *token, struct hd_error *err)
{
    struct hd_buf hash, text;
    *token = hd_str_n(NULL, 0);
    if (auth->mode == HD_LANE_AUTH_NONE)
        return 0;
    hd_buf_init(&hash, 64);
    hd_buf_init(&text, 16 * 1024);
    hd_lane_hash(&hash, hashed);
    claims->hash = hd_arena_str(&j->arena, hd_buf_view(&hash));
    int rc = hd_lane_token_sign(&text, keys, claims, hd_clock_unix_ms(), err);
    if (rc == 0)
        *token = hd_arena_str(&j->arena, hd_buf_view(&text));
    hd_buf_done(&hash);
    hd_buf_done(&text);
    return rc;
}

static void signer_missing(struct hd_journey *j, const char *lane)
{
    hd_auto_free char *message =
        hd_printf("remoteLanes-auth-signerMissing: the lane %s has no key to sign with here", lane);
    hd_journey_refuse(j, 500, "INTERNAL_ERROR", message, false);
}

/* --- event lanes --- */

static void write_sent(struct hd_buf *out, const struct hd_journey *j, const char *mode)
{
    hd_buf_init(out, SIZE_MAX / 2);
    hd_buf_str(out, hd_str("{\"ok\":true,\"messageId\":\""));
    hd_buf_str(out, j->id);
    hd_buf_str(out, hd_str("\",\"lane\":"));
    hd_buf_json(out, hd_str(j->event->event_lane->id));
    hd_buf_str(out, hd_str(",\"mode\":\""));
    hd_buf_cstr(out, mode);
    hd_buf_str(out, hd_str("\"}"));
}

static void back_on_loop(void *arg)
{
    struct hd_journey *j = arg;
    const struct hd_event_lane *lane = j->event->event_lane;
    hd_journey_end_span(j, "emit", lane->id, j->failed);
    if (j->failed) {
        bool later = j->failure.code == HD_EBUSY || j->failure.code == HD_EIO ||
                     j->failure.code == HD_ECANCELED || j->failure.code == HD_ETIMEOUT;
        hd_journey_refuse(j, later ? 503 : 500, later ? "QUEUE_UNAVAILABLE" : "INTERNAL_ERROR",
                          j->failure.msg, later);
        return;
    }
    hd_lane_metrics_event(j->loop->lanes->metrics, j->loop->index, lane->id, HD_LANE_ENQUEUED,
                          NULL);
    struct hd_buf body;
    write_sent(&body, j, "network");
    hd_journey_answer(j, 202, hd_buf_view(&body), false);
    hd_buf_done(&body);
}

static void on_published(void *arg, const struct hd_error *err)
{
    struct hd_journey *j = arg;
    j->failed = err != NULL;
    if (err != NULL)
        j->failure = *err;
    if (j->loop->index == 0)
        back_on_loop(j);
    else
        hd_loop_post(j->loop->loop, back_on_loop, j);
}

static void publish(void *arg)
{
    struct hd_journey *j = arg;
    hd_lanes_publish(j->loop->lanes, j->event->event_lane->queue, j->id, hd_buf_view(&j->envelope),
                     on_published, j);
}

static int make_envelope(struct hd_journey *j, struct hd_error *err)
{
    const struct hd_event_lane *lane = j->event->event_lane;
    struct hd_buf payload, others;
    char created[32], small[HD_JOURNEY_INLINE];
    struct hd_lane_claims claims = {
        .lane = hd_str(lane->id), .target = hd_str(j->event->wire_id), .kind = HD_LANE_EVENT};
    hd_buf_init_with(&payload, small, sizeof(small), HD_JOURNEY_VALUES_MAX);
    hd_buf_init(&others, OTHERS_MAX);
    hd_typed_write(&payload, j->value);
    hd_typed_iso(created, (double)hd_clock_unix_ms());
    if (j->m.traceparent.len > 0) {
        hd_buf_cstr(&others, "\"traceparent\":");
        hd_typed_write_string(&others, j->m.traceparent);
    }
    if (j->m.cloud.len > 0) {
        hd_buf_cstr(&others, others.len > 0 ? ",\"cloudEvent\":" : "\"cloudEvent\":");
        hd_buf_str(&others, j->m.cloud);
    }
    struct hd_envelope e = {.lane_id = claims.lane,
                            .event_id = claims.target,
                            .payload = hd_buf_view(&payload),
                            .contexts = j->contexts.len > 0 ? j->contexts : hd_str_n(NULL, 0),
                            .source_kind = j->m.source_kind,
                            .source_id = j->m.source_id,
                            .max_attempts = lane->max_attempts,
                            .id = j->id,
                            .created_at = hd_str(created),
                            .others = hd_buf_view(&others)};
    int rc = hd_buf_failed(&payload)
                 ? hd_fail(err, HD_EINVAL, "the payload is too large")
                 : sign(j, lane->keys, &lane->auth, &claims, e.payload, &e.auth_token, err);
    if (rc == 0)
        hd_envelope_write(&j->envelope, &e);
    if (rc == 0 && hd_buf_failed(&j->envelope))
        rc = hd_fail(err, HD_EINVAL, "the message is too large");
    hd_buf_done(&payload);
    hd_buf_done(&others);
    return rc;
}

static void enqueue(struct hd_journey *j)
{
    const struct hd_lanes *l = j->loop->lanes;
    const struct hd_topology *t = l->topology;
    const struct hd_event_lane *lane = j->event->event_lane;
    struct hd_error err;
    if (atomic_load(&l->stopping)) {
        hd_journey_refuse(j, 503, "SHUTTING_DOWN", "the node is stopping; try again on another one",
                          true);
        return;
    }
    if (!hd_lane_keys_can_sign(lane->keys)) {
        signer_missing(j, lane->id);
        return;
    }
    hd_journey_begin_span(j);
    if (make_envelope(j, &err) < 0) {
        hd_journey_refuse(j, 400, "INVALID_PAYLOAD", err.msg, false);
        return;
    }
    hd_log(l->opt.log, t->debug ? HD_INFO : HD_DEBUG, "event-lanes.enqueue",
           hd_kv_str("eventId", j->event->wire_id), hd_kv_str("laneId", lane->id),
           hd_kv_str("profile", t->profile), hd_kv_str("mode", "network"),
           hd_kv_slice("sourceKind", j->m.source_kind), hd_kv_slice("sourceId", j->m.source_id),
           hd_kv_str("routingDecision", "direct-emission-intercepted-enqueued"));
    if (j->loop->index == 0)
        publish(j);
    else
        hd_loop_post(l->opt.loops[0], publish, j);
}

/* --- mode local-simulated: all of the way, without leaving the process --- */

static void simulated_done(void *arg, const struct hd_lane_run_result *result)
{
    struct hd_journey *j = arg;
    if (!result->ok)
        hd_log(j->loop->lanes->opt.log, HD_ERROR, "Event lane simulated consume failed.",
               hd_kv_str("laneId", j->event->event_lane->id),
               hd_kv_str("eventId", j->event->wire_id),
               hd_kv_slice("error", result->error.reason.len > 0 ? result->error.reason
                                                                 : result->error.message));
    hd_journey_free(j);
}

static void simulate_consume(void *arg)
{
    struct hd_journey *j = arg;
    struct hd_lanes *l = j->loop->lanes;
    const struct hd_event_lane *lane = j->event->event_lane;
    struct hd_envelope e;
    struct hd_error err;
    struct hd_buf hash;
    struct hd_lane_claims want = {
        .lane = hd_str(lane->id), .target = hd_str(j->event->wire_id), .kind = HD_LANE_EVENT};
    hd_buf_init(&hash, 64);
    int rc = hd_envelope_read(&e, &j->arena, hd_buf_view(&j->envelope), hd_clock_unix_ms(), &err);
    if (rc == 0) {
        hd_lane_hash(&hash, e.payload);
        want.hash = hd_buf_view(&hash);
        rc = hd_lane_token_verify(lane->keys, e.auth_token, &want, hd_str(""), hd_clock_unix_ms(),
                                  &err);
    }
    if (rc == 0)
        rc = hd_typed_read(&j->value, &j->arena, e.payload, &err);
    hd_buf_done(&hash);
    if (rc < 0) {
        hd_log(l->opt.log, HD_ERROR, "Event lane simulated consume failed.",
               hd_kv_str("laneId", lane->id), hd_kv_str("error", err.msg));
        hd_journey_free(j);
        return;
    }
    char source[300];
    snprintf(source, sizeof(source), "%s:%s:%s:local-simulated", l->topology->relay_prefix,
             l->topology->profile, lane->id);
    struct hd_lane_run_request request = request_of(j, lane->id);
    request.contexts = hd_rpc_contexts(&j->arena, e.contexts, &lane->contexts);
    request.source_kind = hd_str("runtime");
    request.source_id = hd_arena_str(&j->arena, hd_str(source));
    request.attempt = 1;
    request.only = lane->hooks_limited ? &lane->hooks_only : NULL;
    request.want_payload = false;
    hd_lane_run_event(j->loop->runner, j->event, &request, simulated_done, j);
}

static void simulate_event(struct hd_journey *j)
{
    struct hd_error err;
    char id[32];
    struct hd_buf body;
    snprintf(id, sizeof(id), "sim-%llu", (unsigned long long)++j->loop->simulated);
    j->id = hd_arena_str(&j->arena, hd_str(id));
    if (make_envelope(j, &err) < 0) {
        hd_journey_refuse(j, 400, "INVALID_PAYLOAD", err.msg, false);
        return;
    }
    write_sent(&body, j, "local-simulated");
    struct hd_lane_answer a = {.status = 202, .body = hd_buf_view(&body)};
    j->done(j->arg, &a);
    hd_buf_done(&body);
    hd_loop_post(j->loop->loop, simulate_consume, j);
}

/* The call goes over no wire, but its bytes are made, signed, checked and read. */
static void simulate_rpc(struct hd_journey *j, const struct hd_rpc_lane *lane)
{
    struct hd_buf text;
    struct hd_error err;
    struct hd_str token;
    struct hd_rpc_body body = {.value = j->value, .return_payload = j->m.want_payload}, again;
    struct hd_lane_claims claims = {
        .lane = hd_str(lane->id),
        .kind = j->task != NULL ? HD_LANE_RPC_TASK : HD_LANE_RPC_EVENT,
        .target = hd_str(j->task != NULL ? j->task->wire_id : j->event->wire_id)};
    hd_buf_init(&text, HD_JOURNEY_VALUES_MAX);
    hd_rpc_body_write(&text, &body, j->event != NULL);
    struct hd_str own = hd_arena_str(&j->arena, hd_buf_view(&text));
    hd_buf_done(&text);
    int rc = sign(j, lane->keys, &lane->auth, &claims, own, &token, &err);
    if (rc == 0)
        rc = hd_lane_token_verify(lane->keys, token, &claims, hd_str(""), hd_clock_unix_ms(), &err);
    if (rc == 0)
        rc = hd_rpc_body_read(&again, &j->arena, own, j->event != NULL, &err);
    if (rc < 0) {
        hd_journey_refuse(j, 500, "INTERNAL_ERROR", err.msg, false);
        return;
    }
    j->value = (struct hd_typed *)again.value;
    run_here(j, lane->id);
}

/* --- RPC lanes --- */

static struct hd_rpc_client *client_of(struct hd_journey *j, const struct hd_communicator *peer)
{
    const struct hd_topology *t = j->loop->lanes->topology;
    for (size_t i = 0; i < t->n_communicators; i++) {
        if (t->communicators[i] == peer)
            return j->loop->clients[i];
    }
    return NULL;
}

static void call_peer(struct hd_journey *j, const struct hd_rpc_lane *lane)
{
    bool is_event = j->event != NULL;
    struct hd_rpc_client *client = client_of(j, lane->communicator);
    if (client == NULL) {
        hd_journey_refuse(j, 500, "INTERNAL_ERROR", "rpcLane-communicatorContract", false);
        return;
    }
    if (!hd_lane_keys_can_sign(lane->keys)) {
        signer_missing(j, lane->id);
        return;
    }
    hd_journey_begin_span(j);
    struct hd_rpc_call_request request = {
        .is_event = is_event,
        .id = hd_str(is_event ? j->event->wire_id : j->task->wire_id),
        .lane = lane,
        .body = {.value = j->value, .return_payload = is_event && !j->event->parallel},
        .want_result = !is_event || !j->event->parallel,
        .contexts = j->contexts,
        .request_id = request_id_of(j),
        .traceparent = j->m.traceparent,
        .stream = j->m.stream != NULL ? &passing : NULL,
        .timeout_ms = is_event ? 0 : j->task->timeout_ms};
    if (j->m.octets)
        request.octets = j->m.body.len > 0 ? j->m.body : hd_str("");
    j->called_us = hd_clock_us();
    j->call = hd_rpc_client_call(client, &request, on_called, j);
}

/* --- the beginning --- */

static struct hd_str keep(struct hd_journey *j, struct hd_str s)
{
    return s.len > 0 ? hd_arena_str(&j->arena, s) : s;
}

static int read_value(struct hd_journey *j, struct hd_error *err)
{
    if (j->m.octets) {
        j->value = hd_lane_octets(&j->arena, j->m.body);
        return j->value != NULL ? 0 : hd_fail(err, HD_EBUSY, "the body is too large");
    }
    if (j->m.body.len == 0) {
        j->value = (struct hd_typed *)hd_typed_undefined();
        return 0;
    }
    return j->m.typed ? hd_typed_read(&j->value, &j->arena, j->m.body, err)
                      : hd_typed_from_plain(&j->value, &j->arena, j->m.body, err);
}

/* Contexts are given by name or id, and go on by id, where the lane lets them. */
static void take_contexts(struct hd_journey *j, const struct hd_strings *allowed)
{
    const struct hd_topology *t = j->loop->lanes->topology;
    struct hd_typed *map = NULL;
    if (j->m.contexts.len == 0 || hd_typed_from_plain(&map, &j->arena, j->m.contexts, NULL) < 0 ||
        map->kind != HD_TYPED_OBJECT)
        return;
    for (size_t i = 0; i < map->n; i++) {
        if (memchr(map->names[i].ptr, '.', map->names[i].len) == NULL) {
            hd_auto_free char *id =
                hd_printf("%s.asyncContexts.%.*s", t->namespace_, HD_FMT(map->names[i]));
            map->names[i] = hd_arena_str(&j->arena, hd_str(id));
        }
    }
    struct hd_buf text;
    hd_buf_init(&text, 64 * 1024);
    hd_typed_write(&text, map);
    j->contexts = hd_rpc_contexts(&j->arena, hd_buf_view(&text), allowed);
    hd_buf_done(&text);
}

static struct hd_journey *begin(struct hd_lanes *l, unsigned loop_index,
                                const struct hd_lane_message *m, hd_lane_done_fn *done, void *arg)
{
    struct hd_journey *j = hd_slab_take(&l->loops[loop_index].journeys);
    char id[HD_UUID_CHARS + 1];
    memset(j, 0, offsetof(struct hd_journey, first_arena));
    j->loop = &l->loops[loop_index];
    j->done = done;
    j->arg = arg;
    hd_list_init(&j->link);
    hd_arena_init(&j->arena, j->first_arena, sizeof(j->first_arena),
                  (size_t)4 * HD_JOURNEY_VALUES_MAX);
    hd_buf_init_with(&j->envelope, j->first_envelope, sizeof(j->first_envelope),
                     HD_JOURNEY_VALUES_MAX);
    j->m = *m;
    j->m.body = keep(j, m->body);
    j->m.request_id = keep(j, m->request_id);
    j->m.traceparent = keep(j, m->traceparent);
    j->m.contexts = keep(j, m->contexts);
    j->m.cloud = keep(j, m->cloud);
    j->m.source_kind = m->source_kind.len > 0 ? keep(j, m->source_kind) : hd_str("runtime");
    j->m.source_id = m->source_id.len > 0 ? keep(j, m->source_id) : hd_str("runtime.api");
    hd_uuid4(id, &j->loop->rng);
    j->id = hd_arena_str(&j->arena, hd_str(id));
    return j;
}

/* Refusals wait for the next turn: nobody hears anything from inside. */
struct later {
    struct hd_journey *j;
    unsigned status;
    const char *code;
    char message[240];
};

static void refuse_now(void *arg)
{
    struct later *r = arg;
    if (r->j->canceled)
        hd_journey_free(r->j);
    else
        hd_journey_refuse(r->j, r->status, r->code, r->message, false);
    free(r);
}

static void refuse_later(struct hd_journey *j, unsigned status, const char *code,
                         const char *message)
{
    struct later *r = hd_new(struct later);
    *r = (struct later){.j = j, .status = status, .code = code};
    snprintf(r->message, sizeof(r->message), "%s", message);
    hd_loop_post(j->loop->loop, refuse_now, r);
}

static void go_event(struct hd_journey *j)
{
    const struct hd_topology *t = j->loop->lanes->topology;
    const struct hd_lane_event *e = j->event;
    bool relayed = hd_str_starts(j->m.source_id, hd_str(t->relay_prefix));
    if (e->event_lane != NULL)
        take_contexts(j, &e->event_lane->contexts);
    else if (e->rpc_lane != NULL)
        take_contexts(j, &e->rpc_lane->contexts);
    else
        take_contexts(j, &t->contexts);
    if (t->mode == HD_LANES_TRANSPARENT || relayed ||
        (e->event_lane == NULL && e->rpc_lane == NULL))
        run_here(j, "");
    else if (t->mode == HD_LANES_LOCAL_SIMULATED && e->event_lane != NULL)
        simulate_event(j);
    else if (t->mode == HD_LANES_LOCAL_SIMULATED)
        simulate_rpc(j, e->rpc_lane);
    else if (e->event_lane != NULL)
        enqueue(j);
    else if (e->rpc_lane->served) {
        j->m.want_payload = !e->parallel; /* as the peer that serves it would answer */
        run_here(j, e->rpc_lane->id);
    } else
        call_peer(j, e->rpc_lane);
}

static void go_task(struct hd_journey *j)
{
    const struct hd_topology *t = j->loop->lanes->topology;
    const struct hd_rpc_lane *lane = j->task->lane;
    take_contexts(j, lane != NULL ? &lane->contexts : &t->contexts);
    if (t->mode == HD_LANES_TRANSPARENT || lane == NULL)
        run_here(j, "");
    else if (t->mode == HD_LANES_LOCAL_SIMULATED)
        simulate_rpc(j, lane);
    else if (lane->served && j->task->function != NULL)
        run_here(j, lane->id);
    else
        call_peer(j, lane);
}

/* All that came in one turn goes in the next. */
static void go_all(void *arg)
{
    struct hd_lanes_loop *w = arg;
    struct hd_list now, *l;
    hd_list_init(&now);
    w->departing = false;
    while ((l = hd_list_pop(&w->departures)) != NULL)
        hd_list_push(&now, l);
    while ((l = hd_list_pop(&now)) != NULL) {
        struct hd_journey *j = hd_container_of(l, struct hd_journey, link);
        if (j->event != NULL)
            go_event(j);
        else
            go_task(j);
    }
}

static void depart(struct hd_journey *j, bool known, const char *what, struct hd_str name)
{
    struct hd_error err;
    if (!known) {
        hd_fail(&err, HD_ENOTFOUND, "%s %.*s not found", what, (int)HD_MIN(name.len, (size_t)100),
                name.ptr);
        refuse_later(j, 404, "NOT_FOUND", err.msg);
    } else if (read_value(j, &err) < 0) {
        refuse_later(j, 400, "INVALID_JSON", err.msg);
    } else {
        hd_list_push(&j->loop->departures, &j->link);
        if (!j->loop->departing)
            hd_loop_post(j->loop->loop, go_all, j->loop);
        j->loop->departing = true;
    }
}

void hd_lanes_router_init(struct hd_lanes_loop *w)
{
    enum { KEPT = 1024 };
    hd_slab_init(&w->journeys, sizeof(struct hd_journey), KEPT);
    hd_list_init(&w->departures);
}

void hd_lanes_emit(struct hd_lanes *l, unsigned loop_index, const struct hd_lane_message *m,
                   hd_lane_done_fn *done, void *arg)
{
    struct hd_journey *j = begin(l, loop_index, m, done, arg);
    j->event = hd_topology_event(l->topology, m->name);
    depart(j, j->event != NULL, "Event", m->name);
}

struct hd_journey *hd_lanes_call(struct hd_lanes *l, unsigned loop_index,
                                 const struct hd_lane_message *m, hd_lane_done_fn *done, void *arg)
{
    struct hd_journey *j = begin(l, loop_index, m, done, arg);
    j->task = hd_topology_task(l->topology, m->name);
    depart(j, j->task != NULL, "Task", m->name);
    return j;
}

void hd_lanes_call_resume(struct hd_journey *j)
{
    if (j->run != NULL)
        hd_lane_run_resume(j->run);
    else if (j->call != NULL)
        hd_rpc_client_resume(j->call);
}

void hd_lanes_call_cancel(struct hd_journey *j)
{
    if (j->run != NULL)
        hd_lane_run_cancel(j->run);
    else if (j->call != NULL)
        hd_rpc_client_cancel(j->call);
    else if (hd_list_empty(&j->link)) {
        j->canceled = true; /* its refusal is on its way */
        return;
    }
    hd_list_remove(&j->link);
    hd_journey_free(j);
}
