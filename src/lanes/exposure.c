/*  request ─► method ─► edge auth ─(validator: wait)─► allow-list ─► lane token ─► exposure_call.c
 * Each check answers by itself; the order is part of the contract with the peers. */
#include "lanes/exposure.h"

#include "core/clock.h"
#include "core/log.h"
#include "http/path.h"
#include "lanes/exposure_private.h"

#include <jansson.h>
#include <stdio.h>

enum { ARENA_MAX = 64 * 1024, HELD_SLACK = 256 * 1024, VALIDATOR_MS = 10000 };

bool hd_exposure_wanted(const struct hd_topology *t)
{
    for (size_t i = 0; i < t->n_tasks; i++) {
        if (t->tasks[i]->served && t->tasks[i]->function != NULL)
            return true;
    }
    for (size_t i = 0; i < t->n_events; i++) {
        if (t->events[i]->rpc_lane != NULL && t->events[i]->rpc_lane->served)
            return true;
    }
    return false;
}

/* --- the end --- */

static void tell_closed(struct hd_exposure *e)
{
    void (*closed)(void *) = e->closed;
    if (closed == NULL || !e->server_closed || e->spools > 0)
        return;
    e->closed = NULL;
    closed(e->closed_arg);
}

void hd_exposure_spool_gone(void *exposure)
{
    struct hd_exposure *e = exposure;
    e->spools--;
    tell_closed(e);
}

void hd_rpc_free(struct hd_rpc *r)
{
    if (r->freed != NULL)
        *r->freed = true;
    hd_list_remove(&r->link);
    hd_rpc_form_free(r->form);
    hd_rpc_stream_free(r->stream);
    hd_buf_done(&r->body);
    hd_arena_done(&r->arena);
    free(r);
}

/* --- the path --- */

/* Percent-decoded, without empty segments; further segments belong to the id. */
static struct hd_str id_of(struct hd_rpc *r, struct hd_str rest)
{
    struct hd_str segment, id = hd_arena_str(&r->arena, rest);
    size_t n = 0;
    char *to = (char *)id.ptr;
    if (to == NULL)
        return hd_str("");
    while (hd_str_split(&segment, &rest, '/')) {
        if (segment.len == 0)
            continue;
        if (n > 0)
            to[n++] = '/';
        int decoded = hd_path_decode(to + n, segment);
        if (decoded < 0)
            return hd_str("");
        n += (size_t)decoded;
    }
    return hd_str_n(to, n);
}

static bool cut(struct hd_str *path, const char *prefix)
{
    struct hd_str p = hd_str(prefix);
    if (!hd_str_starts(*path, p) || (path->len > p.len && path->ptr[p.len] != '/'))
        return false;
    *path = hd_str_n(path->ptr + p.len, path->len - p.len);
    return true;
}

/* --- checks --- */

struct hd_lane_claims hd_rpc_claims(const struct hd_rpc *r)
{
    bool is_task = r->task != NULL;
    return (struct hd_lane_claims){.lane = hd_str(r->lane->id),
                                   .kind = is_task ? HD_LANE_RPC_TASK : HD_LANE_RPC_EVENT,
                                   .target =
                                       hd_str(is_task ? r->task->wire_id : r->event->wire_id)};
}

static void check_lane_token(struct hd_rpc *r)
{
    struct hd_error err = {0};
    struct hd_lane_claims want = hd_rpc_claims(r);
    if (hd_lane_token_verify(r->lane->keys, r->token, &want, hd_str(""), hd_clock_unix_ms(), &err) <
        0) {
        struct hd_lane_error no = hd_rpc_refusal(401, "UNAUTHORIZED", "Unauthorized");
        no.reason = hd_str(err.msg);
        hd_rpc_refuse(r, no);
        return;
    }
    r->waiting = false;
    struct hd_buf held = r->body;
    bool end = r->body_complete;
    if (hd_buf_failed(&held)) {
        hd_rpc_refuse(r, hd_rpc_refusal(413, "PAYLOAD_TOO_LARGE", "Payload too large"));
        return;
    }
    hd_buf_init(&r->body, 0);
    hd_rpc_begin(r, hd_buf_view(&held), end);
    hd_buf_done(&held);
}

static void not_exposed(struct hd_rpc *r, const char *what, struct hd_str id)
{
    hd_auto_free char *message = hd_printf("%s %.*s not exposed", what, HD_FMT(id));
    hd_rpc_refuse(r, hd_rpc_refusal(403, "FORBIDDEN", message));
}

static void check_exposed(struct hd_rpc *r)
{
    const struct hd_topology *t = r->exposure->opt.topology;
    struct hd_str path = r->path;
    bool is_task = cut(&path, "/task");
    if (!is_task)
        cut(&path, "/event");
    struct hd_str id = id_of(r, path);
    const struct hd_lane_task *task = is_task ? hd_topology_task(t, id) : NULL;
    const struct hd_lane_event *event = !is_task ? hd_topology_event(t, id) : NULL;
    if (is_task && (task == NULL || !task->served || task->function == NULL)) {
        not_exposed(r, "Task", id);
        return;
    }
    if (!is_task && (event == NULL || event->rpc_lane == NULL || !event->rpc_lane->served)) {
        not_exposed(r, "Event", id);
        return;
    }
    r->task = task;
    r->event = event;
    r->lane = is_task ? task->lane : event->rpc_lane;
    for (size_t i = 0; i < t->n_rpc_lanes && r->lane_tokens != NULL; i++) {
        if (t->rpc_lanes[i] == r->lane && r->lane_tokens[i].len > 0)
            r->token = hd_lane_token_of(hd_str(r->lane->auth.header), r->lane_tokens[i]);
    }
    check_lane_token(r);
}

static void discovery(struct hd_rpc *r)
{
    const struct hd_topology *t = r->exposure->opt.topology;
    struct hd_buf body;
    bool first = true;
    hd_buf_init(&body, SIZE_MAX / 2);
    hd_buf_cstr(&body, "{\"ok\":true,\"result\":{\"allowList\":{\"enabled\":true,\"tasks\":[");
    for (size_t i = 0; i < t->n_tasks; i++) {
        if (!t->tasks[i]->served || t->tasks[i]->function == NULL)
            continue;
        hd_buf_cstr(&body, first ? "" : ",");
        hd_buf_json(&body, hd_str(t->tasks[i]->wire_id));
        first = false;
    }
    first = true;
    hd_buf_cstr(&body, "],\"events\":[");
    for (size_t i = 0; i < t->n_events; i++) {
        if (t->events[i]->rpc_lane == NULL || !t->events[i]->rpc_lane->served)
            continue;
        hd_buf_cstr(&body, first ? "" : ",");
        hd_buf_json(&body, hd_str(t->events[i]->wire_id));
        first = false;
    }
    hd_buf_cstr(&body, "]}}}");
    hd_rpc_answer(r, 200, hd_buf_view(&body), "OK");
    hd_buf_done(&body);
}

static void after_auth(struct hd_rpc *r)
{
    struct hd_str path = r->path;
    if (cut(&path, "/discovery") && path.len == 0)
        discovery(r);
    else
        check_exposed(r);
}

static void unauthorized(struct hd_rpc *r, const char *why)
{
    struct hd_lane_error no = hd_rpc_refusal(401, "UNAUTHORIZED", "Unauthorized");
    no.reason = hd_str(why);
    hd_rpc_refuse(r, no);
}

static void on_validated(void *arg, const struct hd_call_result *result)
{
    struct hd_rpc *r = arg;
    r->validation = NULL;
    json_t *answer =
        result->outcome == HD_CALL_OK
            ? json_loadb(result->payload.ptr, result->payload.len, JSON_DECODE_ANY, NULL)
            : NULL;
    bool ok = json_is_true(answer) || json_is_true(json_object_get(answer, "ok"));
    json_decref(answer);
    bool freed = false;
    r->freed = &freed;
    hd_exchange_pause(r->ex, false); /* what comes now may be broken */
    if (freed)
        return;
    r->freed = NULL;
    if (ok)
        after_auth(r);
    else
        unauthorized(r, "the validator did not say ok");
}

/* A function decides; it sees what the request says of itself, and not the body. */
static void ask_validator(struct hd_rpc *r, struct hd_str token)
{
    static const struct hd_call_events events = {.on_end = on_validated};
    const struct hd_exposure_loop *opt = &r->exposure->opt;
    struct hd_error err;
    struct hd_target *target = opt->targets->find(
        opt->targets->arg, hd_str(r->exposure->config->validator), hd_str_n(NULL, 0), &err);
    if (target == NULL) {
        unauthorized(r, err.msg);
        return;
    }
    struct hd_buf event;
    hd_buf_init(&event, ARENA_MAX);
    hd_buf_cstr(&event, "{\"token\":");
    hd_buf_json(&event, token);
    hd_buf_cstr(&event, ",\"method\":");
    hd_buf_json(&event, r->method);
    hd_buf_cstr(&event, ",\"path\":");
    hd_buf_json(&event, r->path);
    hd_buf_cstr(&event, ",\"requestId\":");
    hd_buf_json(&event, r->id);
    hd_buf_char(&event, '}');
    struct hd_call_request request = {
        .event = hd_buf_view(&event), .source = "rpc-lane", .timeout_ms = VALIDATOR_MS};
    r->waiting = true;
    hd_exchange_pause(r->ex, true);
    r->validation = hd_call_start(opt->caller, target, &request, &events, r);
    hd_target_unref(target);
    hd_buf_done(&event);
}

static void check_edge_auth(struct hd_rpc *r, struct hd_str token)
{
    const struct hd_exposure_options *c = r->exposure->config;
    bool listed = false;
    for (size_t i = 0; i < c->tokens.n; i++)
        listed |= hd_str_eq_secret(token, hd_str(c->tokens.items[i]));
    if (c->allow_anonymous || (listed && token.len > 0))
        after_auth(r);
    else if (c->validator != NULL)
        ask_validator(r, token);
    else if (c->tokens.n == 0)
        hd_rpc_refuse(r,
                      hd_rpc_refusal(500, "AUTH_NOT_CONFIGURED", "Authentication not configured."));
    else
        unauthorized(r, token.len > 0 ? "another token" : "no token");
}

static void check_method(struct hd_rpc *r, struct hd_str token)
{
    struct hd_str path = r->path;
    bool is_discovery = cut(&path, "/discovery") && path.len == 0;
    if (is_discovery && !r->exposure->config->discovery)
        hd_rpc_refuse(r, hd_rpc_refusal(404, "NOT_FOUND", "Not Found"));
    else if (!is_discovery && !cut(&path, "/task") && !cut(&path, "/event"))
        hd_rpc_refuse(r, hd_rpc_refusal(404, "NOT_FOUND", "Not Found"));
    else if (!is_discovery && id_of(r, path).len == 0)
        hd_rpc_refuse(r, hd_rpc_refusal(404, "NOT_FOUND", "Not Found"));
    else if (!hd_str_is(r->method, is_discovery ? "GET" : "POST"))
        hd_rpc_refuse(r, hd_rpc_refusal(405, "METHOD_NOT_ALLOWED", "Method Not Allowed"));
    else
        check_edge_auth(r, token);
}

/* --- the exchange --- */

static void on_body(struct hd_exchange *ex, struct hd_str bytes, bool end)
{
    struct hd_rpc *r = ex->door;
    if (!r->waiting) {
        hd_rpc_body(r, bytes, end);
        return;
    }
    hd_buf_str(&r->body, bytes); /* what was on its way when it was paused */
    r->body_complete = end;
}

static void on_bad_body(struct hd_exchange *ex, unsigned status, const char *why)
{
    struct hd_rpc *r = ex->door;
    (void)why;
    if (r->validation != NULL)
        hd_call_cancel(r->validation, false);
    if (r->run != NULL)
        hd_lane_run_cancel(r->run);
    if (status == 408)
        hd_rpc_refuse(r, hd_rpc_refusal(408, "REQUEST_TIMEOUT", "Request Timeout"));
    else
        hd_rpc_refuse(r, hd_rpc_refusal(status, "INVALID_BODY", "Invalid body"));
}

static void on_writable(struct hd_exchange *ex)
{
    struct hd_rpc *r = ex->door;
    if (r->run != NULL)
        hd_lane_run_resume(r->run);
}

static void on_gone(struct hd_exchange *ex, enum hd_gone why)
{
    struct hd_rpc *r = ex->door;
    (void)why;
    if (r->validation != NULL)
        hd_call_cancel(r->validation, false);
    if (r->run != NULL)
        hd_lane_run_cancel(r->run);
    hd_rpc_count(r, "REQUEST_ABORTED");
    hd_rpc_free(r);
}

static struct hd_str field_of(struct hd_rpc *r, const struct hd_head *head, const char *name)
{
    const struct hd_field *f = hd_head_find(head, name);
    return f != NULL && f->value.len > 0 ? hd_arena_str(&r->arena, f->value) : hd_str("");
}

static void keep_head(struct hd_rpc *r, const struct hd_head *head)
{
    r->method = hd_arena_str(&r->arena, head->method);
    r->origin = field_of(r, head, "origin");
    r->id = hd_str_trim(field_of(r, head, "x-runner-request-id"));
    if (!hd_rpc_request_id_ok(r->id)) {
        char id[HD_UUID_CHARS + 1];
        hd_uuid4(id, &r->exposure->rng);
        r->id = hd_arena_str(&r->arena, hd_str(id));
    }
    r->contexts = field_of(r, head, "x-runner-context");
    if (r->contexts.len > HD_RPC_CONTEXT_MAX)
        r->contexts = hd_str(""); /* as one that is broken */
    r->traceparent = field_of(r, head, "traceparent");
    const struct hd_topology *t = r->exposure->opt.topology;
    r->lane_tokens = hd_arena_alloc(&r->arena, t->n_rpc_lanes * sizeof(*r->lane_tokens) + 1);
    for (size_t i = 0; i < t->n_rpc_lanes && r->lane_tokens != NULL; i++) {
        const struct hd_lane_auth *auth = &t->rpc_lanes[i]->auth;
        if (auth->mode != HD_LANE_AUTH_NONE)
            r->lane_tokens[i] = field_of(r, head, auth->header);
    }
    r->content_type = field_of(r, head, "content-type");
    r->asked_headers = field_of(r, head, "access-control-request-headers");
}

static void on_request(void *user, struct hd_exchange *ex, const struct hd_head *head,
                       struct hd_str body, bool end)
{
    static const struct hd_exchange_events events = {.on_body = on_body,
                                                     .on_bad_body = on_bad_body,
                                                     .on_writable = on_writable,
                                                     .on_gone = on_gone};
    struct hd_exposure *e = user;
    struct hd_rpc *r = hd_new(struct hd_rpc);
    r->exposure = e;
    r->ex = ex;
    r->start_us = hd_clock_us();
    ex->events = &events;
    ex->door = r;
    hd_list_init(&r->link);
    hd_list_push(&e->requests, &r->link);
    hd_arena_init(&r->arena, NULL, 0, ARENA_MAX);
    hd_buf_init(&r->body, e->config->json_bytes + HELD_SLACK);
    hd_buf_str(&r->body, body);
    r->body_complete = end;
    r->waiting = true; /* until its checks are done */
    keep_head(r, head);
    r->path = hd_arena_str(&r->arena, head->path);
    if (!cut(&r->path, e->config->base_path)) {
        hd_rpc_refuse(r, hd_rpc_refusal(404, "NOT_FOUND", "Not Found"));
        return;
    }
    r->in_base = true;
    if (hd_str_is(r->method, "OPTIONS"))
        hd_rpc_preflight(r);
    else
        check_method(r, field_of(r, head, e->config->token_header));
}

/* --- the server --- */

int hd_exposure_new(struct hd_exposure **out, const struct hd_exposure_loop *opt,
                    struct hd_error *err)
{
    struct hd_exposure *e = hd_new(struct hd_exposure);
    e->opt = *opt;
    e->config = &opt->topology->exposure;
    hd_rng_init(&e->rng, 0);
    hd_list_init(&e->requests);
    struct hd_server_options server = {.net = opt->net,
                                       .limits = {.parse = {.max_head_bytes = 64 * 1024,
                                                            .max_target_bytes = 8192,
                                                            .max_fields = HD_HEAD_FIELDS_MAX},
                                                  .head_ms = e->config->head_ms,
                                                  .body_gap_ms = e->config->gap_ms,
                                                  .body_min_rate = e->config->min_rate,
                                                  .body_grace_ms = e->config->gap_ms,
                                                  .keep_alive_ms = 75000,
                                                  .write_stall_ms = 60000},
                                       .on_request = on_request,
                                       .user = e};
    int rc = hd_server_new(&e->server, &server, err);
    if (rc < 0) {
        free(e);
        return rc;
    }
    *out = e;
    return 0;
}

int hd_exposure_listen_fd(struct hd_exposure *e, int fd, struct hd_error *err)
{
    return hd_server_listen_fd(e->server, fd, err);
}

void hd_exposure_drain(struct hd_exposure *e)
{
    hd_server_drain(e->server);
}

unsigned hd_exposure_open(const struct hd_exposure *e)
{
    return hd_server_open(e->server);
}

static void on_server_closed(void *arg)
{
    struct hd_exposure *e = arg;
    e->server_closed = true;
    tell_closed(e);
}

void hd_exposure_close(struct hd_exposure *e, void (*done)(void *arg), void *arg)
{
    e->closed = done;
    e->closed_arg = arg;
    hd_server_close(e->server, on_server_closed, e);
}

void hd_exposure_free(struct hd_exposure *e)
{
    if (e == NULL)
        return;
    hd_server_free(e->server);
    free(e);
}
