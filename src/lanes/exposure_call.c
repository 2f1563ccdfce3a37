/* exposure_call.c - a request that may be made: its body, its run, its answer. */
#include "core/clock.h"
#include "lanes/exposure_private.h"
#include "lanes/lane_files.h"

static void invalid_json(struct hd_rpc *r, const struct hd_error *err)
{
    struct hd_lane_error no = hd_rpc_refusal(400, "INVALID_JSON", "Invalid JSON body");
    no.reason = hd_str(err->msg);
    hd_rpc_refuse(r, no);
}

/* --- running --- */

static const struct hd_strings *allowed_contexts(const struct hd_rpc *r)
{
    if (r->lane->contexts_given)
        return &r->lane->contexts;
    return r->lane->allow_async_context ? &r->exposure->opt.topology->contexts : NULL;
}

void hd_rpc_run(struct hd_rpc *r, struct hd_arena *arena, const struct hd_rpc_body *body)
{
    struct hd_lane_runner *runner = r->exposure->opt.runner;
    struct hd_lane_run_request request = {
        .value = body->value,
        .contexts = hd_rpc_contexts(arena, r->contexts, allowed_contexts(r)),
        .request_id = r->id,
        .traceparent = r->traceparent,
        .lane = hd_str(r->lane->id),
        .stream = r->task != NULL ? &hd_rpc_streaming : NULL,
        .want_payload = body->return_payload};
    struct hd_lane_run *under_way =
        r->task != NULL ? hd_lane_run_task(runner, r->task, &request, hd_rpc_on_ran, r)
                        : hd_lane_run_event(runner, r->event, &request, hd_rpc_on_ran, r);
    if (under_way != NULL)
        r->run = under_way;
}

/* --- JSON --- */

/* A peer signs the text that it sends; some other one the text that we would have sent. */
static bool hash_ok(struct hd_rpc *r, const struct hd_rpc_body *body, struct hd_error *err)
{
    struct hd_buf text, raw_hash, own_hash;
    if (r->lane->auth.mode == HD_LANE_AUTH_NONE)
        return true;
    hd_buf_init(&text, HD_RPC_VALUES_MAX);
    hd_buf_init(&raw_hash, 64);
    hd_buf_init(&own_hash, 64);
    hd_rpc_body_write(&text, body, r->event != NULL);
    hd_lane_hash(&raw_hash, hd_buf_view(&r->body));
    hd_lane_hash(&own_hash, hd_buf_view(&text));
    int rc = hd_lane_token_verify_hash(r->lane->keys, r->token, hd_buf_view(&own_hash),
                                       hd_buf_view(&raw_hash), err);
    hd_buf_done(&text);
    hd_buf_done(&raw_hash);
    hd_buf_done(&own_hash);
    return rc == 0;
}

static void call_json(struct hd_rpc *r, struct hd_arena *arena)
{
    struct hd_rpc_body body;
    struct hd_error err = {0};
    if (hd_rpc_body_read(&body, arena, hd_buf_view(&r->body), r->event != NULL, &err) < 0) {
        invalid_json(r, &err);
        return;
    }
    if (r->task != NULL && hd_lane_files_forged(body.value)) {
        hd_fail(&err, HD_EINVAL, "a $file with a path: only this node says where files lie");
        invalid_json(r, &err);
        return;
    }
    if (!hash_ok(r, &body, &err)) {
        struct hd_lane_error no = hd_rpc_refusal(401, "UNAUTHORIZED", "Unauthorized");
        no.reason = hd_str(err.msg);
        hd_rpc_refuse(r, no);
        return;
    }
    if (r->event != NULL && r->event->parallel && body.return_payload) {
        hd_auto_free char *message =
            hd_printf("Event %s is marked parallel; returning a payload is not supported.",
                      r->event->wire_id);
        hd_rpc_refuse(r, hd_rpc_refusal(400, "PARALLEL_EVENT_RETURN_UNSUPPORTED", message));
        return;
    }
    hd_rpc_run(r, arena, &body);
}

/* --- octets --- */

static void call_octets(struct hd_rpc *r, struct hd_arena *arena)
{
    struct hd_rpc_body body = {.value = hd_lane_octets(arena, hd_buf_view(&r->body))};
    if (body.value == NULL)
        hd_rpc_refuse(r, hd_rpc_refusal(413, "PAYLOAD_TOO_LARGE", "Payload too large"));
    else
        hd_rpc_run(r, arena, &body);
}

/* --- the body as it comes --- */

void hd_rpc_body(struct hd_rpc *r, struct hd_str bytes, bool end)
{
    if (r->mode == HD_RPC_FORM) {
        hd_rpc_form_feed(r, bytes, end);
        return;
    }
    hd_buf_str(&r->body, bytes);
    if (hd_buf_failed(&r->body)) {
        hd_rpc_refuse(r, hd_rpc_refusal(413, "PAYLOAD_TOO_LARGE", "Payload too large"));
        return;
    }
    if (!end)
        return;
    struct hd_arena arena;
    char memory[4096];
    hd_arena_init(&arena, memory, sizeof(memory), HD_RPC_VALUES_MAX);
    if (r->mode == HD_RPC_OCTETS)
        call_octets(r, &arena);
    else
        call_json(r, &arena);
    hd_arena_done(&arena);
}

/* Events are JSON whatever they say. */
static enum hd_rpc_mode mode_of(const struct hd_rpc *r)
{
    struct hd_str type = r->content_type;
    struct hd_str kind = hd_str_trim(hd_str_n(type.ptr, hd_str_find(type, ';')));
    if (r->task == NULL)
        return HD_RPC_JSON;
    if (hd_str_is_nocase(kind, "multipart/form-data"))
        return HD_RPC_FORM;
    return hd_str_is_nocase(kind, "application/octet-stream") ? HD_RPC_OCTETS : HD_RPC_JSON;
}

void hd_rpc_begin(struct hd_rpc *r, struct hd_str body, bool end)
{
    const struct hd_exposure_options *c = r->exposure->config;
    r->mode = mode_of(r);
    if (r->mode == HD_RPC_FORM && !hd_rpc_form_begin(r))
        return;
    hd_buf_init(&r->body, r->mode == HD_RPC_OCTETS ? c->octet_bytes : c->json_bytes);
    hd_exchange_continue(r->ex);
    hd_rpc_body(r, body, end);
}
