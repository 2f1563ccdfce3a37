/*  one piece:  hd_rpc_on_ran() ─► the envelope
 *  a stream:   on_head ─► (a prelude: PRELUDE ─► BODY, else BODY) ─► on_data ... ─► hd_rpc_on_ran()
 * A stream that breaks after its head went out is broken off, so that the peer notices. */
#include "core/clock.h"
#include "core/log.h"
#include "http/scan.h"
#include "lanes/exposure_private.h"

#include <jansson.h>
#include <stdio.h>

enum { PRELUDE_MAX = 64 * 1024, PRELUDE_NULS = 8, STREAM_FIELDS = 48 };

static const char CONTENT_TYPE[] = "application/json; charset=utf-8";

struct hd_rpc_stream {
    enum stage { PRELUDE, BODY, BROKEN } stage;
    char *content_type;
    struct hd_buf prelude;
    unsigned nuls;      /* at the end of the prelude so far */
    const char *reason; /* BROKEN: why */
};

/* --- what every answer says --- */

static bool origin_listed(const struct hd_exposure_options *c, struct hd_str origin)
{
    return c->cors_origins.n > 0 && origin.len > 0 && hd_strings_has(&c->cors_origins, origin);
}

/* Fields about other origins, which every answer has. */
static size_t cors_fields(const struct hd_rpc *r, struct hd_field *f)
{
    const struct hd_exposure_options *c = r->exposure->config;
    static const struct hd_str allow = HD_LIT("Access-Control-Allow-Origin");
    size_t n = 0;
    bool any = c->cors_origins.n == 0 || hd_strings_has(&c->cors_origins, hd_str("*"));
    if (any && !c->cors_credentials)
        f[n++] = (struct hd_field){allow, hd_str("*")};
    else if (!any && origin_listed(c, r->origin))
        f[n++] = (struct hd_field){allow, r->origin};
    if (!any && c->cors_vary)
        f[n++] = (struct hd_field){hd_str("Vary"), hd_str("Origin")};
    if (!any && c->cors_credentials && origin_listed(c, r->origin))
        f[n++] = (struct hd_field){hd_str("Access-Control-Allow-Credentials"), hd_str("true")};
    return n;
}

void hd_rpc_count(const struct hd_rpc *r, const char *code)
{
    const struct hd_exposure *e = r->exposure;
    const char *what = r->task != NULL    ? r->task->wire_id
                       : r->event != NULL ? r->event->wire_id
                                          : "";
    hd_lane_metrics_rpc(e->opt.metrics, e->opt.loop_index, "in", what, code,
                        hd_clock_us() - r->start_us);
}

/* What every answer below the base path has. */
static size_t own_fields(const struct hd_rpc *r, struct hd_field *f, struct hd_str content_type)
{
    size_t n = 0;
    if (r->in_base)
        f[n++] = (struct hd_field){hd_str("x-runner-request-id"), r->id};
    n += cors_fields(r, f + n);
    f[n++] = (struct hd_field){hd_str("content-type"), content_type};
    f[n++] = (struct hd_field){hd_str("X-Content-Type-Options"), hd_str("nosniff")};
    f[n++] = (struct hd_field){hd_str("X-Frame-Options"), hd_str("DENY")};
    return n;
}

void hd_rpc_answer(struct hd_rpc *r, unsigned status, struct hd_str body, const char *code)
{
    struct hd_field f[HD_RPC_FIELDS];
    hd_rpc_count(r, code);
    size_t n = own_fields(r, f, hd_str(CONTENT_TYPE));
    struct hd_response_head head = {
        .status = status, .fields = f, .n_fields = n, .body_bytes = (int64_t)body.len};
    struct hd_exchange *ex = r->ex;
    r->ex = NULL;
    hd_exchange_respond(ex, &head, body, true);
    hd_rpc_free(r);
}

void hd_rpc_refuse(struct hd_rpc *r, struct hd_lane_error error)
{
    char memory[512];
    struct hd_buf body;
    struct hd_log *log = r->exposure->opt.log;
    if (error.status == 401 || error.status == 403)
        hd_log(log, HD_WARN, "exposure.auth.failure", hd_kv_slice("requestId", r->id),
               hd_kv_slice("method", r->method), hd_kv_slice("path", r->path),
               hd_kv_int("status", error.status), hd_kv_str("code", error.code),
               hd_kv_slice("reason", error.reason));
    else if (error.status >= 500)
        hd_log(log, HD_ERROR, r->event != NULL ? "exposure.event.error" : "exposure.task.error",
               hd_kv_slice("requestId", r->id), hd_kv_slice("error", error.reason));
    hd_buf_init_with(&body, memory, sizeof(memory), SIZE_MAX / 2);
    hd_rpc_error(&body, &error);
    hd_rpc_answer(r, error.status, hd_buf_view(&body), error.code);
    hd_buf_done(&body);
}

void hd_rpc_preflight(struct hd_rpc *r)
{
    const struct hd_exposure_options *c = r->exposure->config;
    struct hd_field f[HD_RPC_FIELDS];
    char age[16];
    size_t n = cors_fields(r, f);
    hd_auto_free char *methods = hd_strings_join(&c->cors_methods, ", ");
    hd_auto_free char *headers = hd_strings_join(&c->cors_headers, ", ");
    f[n++] = (struct hd_field){hd_str("Access-Control-Allow-Methods"),
                               c->cors_methods.n > 0 ? hd_str(methods) : hd_str("POST, OPTIONS")};
    struct hd_str allowed = c->cors_headers.n > 0 ? hd_str(headers) : r->asked_headers;
    if (allowed.len > 0)
        f[n++] = (struct hd_field){hd_str("Access-Control-Allow-Headers"), allowed};
    if (c->cors_max_age_s > 0) {
        snprintf(age, sizeof(age), "%u", c->cors_max_age_s);
        f[n++] = (struct hd_field){hd_str("Access-Control-Max-Age"), hd_str(age)};
    }
    struct hd_response_head head = {.status = 204, .fields = f, .n_fields = n};
    struct hd_exchange *ex = r->ex;
    r->ex = NULL;
    hd_exchange_respond(ex, &head, hd_str(""), true);
    hd_rpc_free(r);
}

/* --- answers in one piece --- */

static void answer_value(struct hd_rpc *r, struct hd_str value)
{
    char memory[1024];
    struct hd_buf body;
    hd_buf_init_with(&body, memory, sizeof(memory), HD_RPC_VALUES_MAX);
    hd_rpc_ok(&body, value);
    hd_rpc_answer(r, 200, hd_buf_view(&body), "OK");
    hd_buf_done(&body);
}

/* --- answers that stream --- */

void hd_rpc_stream_free(struct hd_rpc_stream *s)
{
    if (s == NULL)
        return;
    hd_buf_done(&s->prelude);
    free(s->content_type);
    free(s);
}

static void break_stream(struct hd_rpc_stream *s, const char *reason)
{
    s->stage = BROKEN;
    s->reason = reason;
}

/* A function may say more of its answer, but not what is ours to say. */
static bool may_say(struct hd_str name)
{
    static const char *const ours[] = {"set-cookie",
                                       "access-control-allow-origin",
                                       "access-control-allow-credentials",
                                       "x-content-type-options",
                                       "x-frame-options",
                                       "x-runner-request-id",
                                       "content-type",
                                       "vary"};
    for (size_t i = 0; i < HD_COUNT(ours); i++) {
        if (hd_str_is_nocase(name, ours[i]))
            return false;
    }
    return true;
}

static bool can_say(struct hd_str name, struct hd_str value)
{
    return name.len > 0 && hd_scan_token(name.ptr, name.ptr + name.len) == name.ptr + name.len &&
           hd_scan_value(value.ptr, value.ptr + value.len) == value.ptr + value.len;
}

static bool send_head(struct hd_rpc *r, unsigned status, const struct hd_field *more, size_t n_more,
                      struct hd_str content_type)
{
    struct hd_field f[HD_RPC_FIELDS + STREAM_FIELDS];
    size_t n = own_fields(r, f, content_type);
    for (size_t i = 0; i < n_more; i++)
        f[n++] = more[i];
    struct hd_response_head head = {
        .status = status, .fields = f, .n_fields = n, .body_bytes = HD_BODY_UNKNOWN};
    r->stream->stage = BODY;
    return hd_exchange_respond(r->ex, &head, hd_str(""), false);
}

static bool send_prelude(struct hd_rpc *r, const json_t *said)
{
    struct hd_field more[STREAM_FIELDS];
    struct hd_str content_type = hd_str("application/octet-stream");
    json_int_t status = 200;
    size_t n = 0;
    const char *key;
    json_t *value;
    if (json_is_integer(json_object_get(said, "statusCode")))
        status = json_integer_value(json_object_get(said, "statusCode"));
    json_object_foreach(json_object_get(said, "headers"), key, value)
    {
        struct hd_str name = hd_str(key), text = hd_str_trim(hd_str(json_string_value(value)));
        if (!json_is_string(value) || !can_say(name, text))
            continue;
        if (hd_str_is_nocase(name, "content-type"))
            content_type = text;
        if (may_say(name) && n < STREAM_FIELDS)
            more[n++] = (struct hd_field){name, text};
    }
    if (!json_is_object(said) || status < 200 || status > 599) {
        break_stream(r->stream, "the stream's prelude is none");
        return true;
    }
    return send_head(r, (unsigned)status, more, n, content_type);
}

/* @return how many of the bytes belong to the prelude. */
static size_t take_prelude(struct hd_rpc_stream *s, struct hd_str bytes)
{
    for (size_t i = 0; i < bytes.len; i++) {
        if (bytes.ptr[i] != '\0' && s->nuls > 0) {
            break_stream(s, "the stream's prelude is none");
            return bytes.len;
        }
        if (bytes.ptr[i] != '\0')
            hd_buf_char(&s->prelude, bytes.ptr[i]);
        else if (++s->nuls == PRELUDE_NULS)
            return i + 1;
    }
    if (hd_buf_failed(&s->prelude))
        break_stream(s, "the stream's prelude is too long");
    return bytes.len;
}

static void on_stream_head(void *request, struct hd_str content_type)
{
    struct hd_rpc *r = request;
    struct hd_rpc_stream *s = hd_new(struct hd_rpc_stream);
    r->stream = s;
    s->content_type = hd_strdup_n(content_type);
    hd_buf_init(&s->prelude, PRELUDE_MAX);
    if (hd_str_starts(content_type, hd_str("application/vnd.awslambda.http-integration-response")))
        return;
    send_head(r, 200, NULL, 0,
              content_type.len > 0 ? content_type : hd_str("application/octet-stream"));
}

static bool on_stream_data(void *request, struct hd_str bytes)
{
    struct hd_rpc *r = request;
    struct hd_rpc_stream *s = r->stream;
    if (s->stage == PRELUDE) {
        size_t used = take_prelude(s, bytes);
        bytes = hd_str_n(bytes.ptr + used, bytes.len - used);
        if (s->stage == PRELUDE && s->nuls == PRELUDE_NULS) {
            json_t *said = json_loadb(s->prelude.ptr, s->prelude.len, 0, NULL);
            send_prelude(r, said);
            json_decref(said);
        }
    }
    if (s->stage != BODY || bytes.len == 0)
        return true;
    return hd_exchange_write(r->ex, bytes, false);
}

const struct hd_lane_run_stream hd_rpc_streaming = {.on_head = on_stream_head,
                                                    .on_data = on_stream_data};

static void stream_error(struct hd_rpc *r, struct hd_str reason)
{
    struct hd_exchange *ex = r->ex;
    hd_log(r->exposure->opt.log, HD_ERROR, "exposure.task.error", hd_kv_slice("requestId", r->id),
           hd_kv_slice("error", reason), hd_kv_str("code", "STREAM_ERROR"));
    hd_rpc_count(r, "STREAM_ERROR");
    r->ex = NULL;
    hd_exchange_abort(ex);
    hd_rpc_free(r);
}

static void end_stream(struct hd_rpc *r, const struct hd_lane_run_result *result)
{
    struct hd_rpc_stream *s = r->stream;
    if (s->stage != BODY) {
        struct hd_lane_error no = hd_rpc_refusal(500, "STREAM_ERROR", "Internal Error");
        no.reason = hd_str(s->reason != NULL ? s->reason : "the stream ended in its prelude");
        hd_rpc_refuse(r, result->ok ? no : result->error);
        return;
    }
    if (!result->ok) {
        stream_error(r, result->error.reason);
        return;
    }
    struct hd_exchange *ex = r->ex;
    hd_rpc_count(r, "OK");
    r->ex = NULL;
    hd_exchange_write(ex, hd_str(""), true);
    hd_rpc_free(r);
}

void hd_rpc_on_ran(void *request, const struct hd_lane_run_result *result)
{
    struct hd_rpc *r = request;
    r->run = NULL;
    if (r->stream != NULL)
        end_stream(r, result);
    else if (result->ok)
        answer_value(r, result->value);
    else
        hd_rpc_refuse(r, result->error);
}
