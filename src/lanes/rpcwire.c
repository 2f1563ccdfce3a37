#include "lanes/rpcwire.h"

#include "lanes/typed_private.h"

#include <stdio.h>

enum { CONTEXTS_MAX = 64 * 1024, ANSWER_MAX = 64 << 20 };

/* --- requests --- */

int hd_rpc_body_read(struct hd_rpc_body *out, struct hd_arena *arena, struct hd_str body,
                     bool is_event, struct hd_error *err)
{
    struct hd_typed *value;
    *out = (struct hd_rpc_body){.value = hd_typed_undefined()};
    if (body.len == 0)
        return 0;
    int rc = hd_typed_read(&value, arena, body, err);
    if (rc < 0)
        return rc;
    if (is_event) {
        const struct hd_typed *payload = hd_typed_get(value, "payload");
        const struct hd_typed *want = hd_typed_get(value, "returnPayload");
        if (payload != NULL)
            out->value = payload;
        out->return_payload = want != NULL && want->kind == HD_TYPED_TRUE;
        return 0;
    }
    const struct hd_typed *input = hd_typed_get(value, "input");
    out->value = input != NULL ? input : value;
    return 0;
}

void hd_rpc_body_write(struct hd_buf *out, const struct hd_rpc_body *body, bool is_event)
{
    hd_buf_cstr(out, is_event ? "{\"payload\":" : "{\"input\":");
    hd_typed_write(out, body->value != NULL ? body->value : hd_typed_undefined());
    hd_buf_cstr(out, is_event && body->return_payload ? ",\"returnPayload\":true}" : "}");
}

const char *hd_rpc_code_known(const char *code)
{
    static const char *const known[] = {"INTERNAL_ERROR",
                                        "INVALID_RESPONSE",
                                        "HTTP_ERROR",
                                        "UNREACHABLE",
                                        "REQUEST_TIMEOUT",
                                        "UNAUTHORIZED",
                                        "FORBIDDEN",
                                        "NOT_FOUND",
                                        "METHOD_NOT_ALLOWED",
                                        "INVALID_JSON",
                                        "INVALID_MULTIPART",
                                        "MISSING_MANIFEST",
                                        "MISSING_FILE_PART",
                                        "STREAM_ERROR",
                                        "PAYLOAD_TOO_LARGE",
                                        "REQUEST_ABORTED",
                                        "AUTH_NOT_CONFIGURED",
                                        "PARALLEL_EVENT_RETURN_UNSUPPORTED",
                                        "UNKNOWN"};
    for (size_t i = 0; i < HD_COUNT(known); i++) {
        if (strcmp(known[i], code) == 0)
            return known[i];
    }
    return "OTHER";
}

/* --- answers --- */

void hd_rpc_ok(struct hd_buf *out, struct hd_str value)
{
    hd_buf_cstr(out, "{\"ok\":true");
    if (value.ptr != NULL) {
        hd_buf_cstr(out, ",\"result\":");
        hd_buf_str(out, value);
    }
    hd_buf_char(out, '}');
}

void hd_rpc_error(struct hd_buf *out, const struct hd_lane_error *error)
{
    hd_buf_cstr(out, "{\"ok\":false,\"error\":{\"message\":");
    hd_typed_write_string(out, error->message);
    hd_buf_cstr(out, ",\"code\":");
    hd_typed_write_string(out, hd_str(error->code)); /* a peer may have made it up */
    if (error->id.len > 0) {
        hd_buf_cstr(out, ",\"id\":");
        hd_typed_write_string(out, error->id);
        hd_buf_cstr(out, ",\"data\":");
        hd_buf_str(out, error->data.len > 0 ? error->data : hd_str("{}"));
    }
    if (error->http_code > 0)
        hd_buf_fmt(out, ",\"httpCode\":%u", error->http_code);
    hd_buf_cstr(out, "}}");
}

struct hd_lane_error hd_rpc_refusal(unsigned status, const char *code, const char *message)
{
    return (struct hd_lane_error){.status = status, .code = code, .message = hd_str(message)};
}

bool hd_rpc_request_id_ok(struct hd_str id)
{
    enum { ID_MAX = 128 };
    if (id.len == 0 || id.len > ID_MAX)
        return false;
    for (size_t i = 0; i < id.len; i++) {
        char c = id.ptr[i];
        if (!((c | 0x20) >= 'a' && (c | 0x20) <= 'z') && !(c >= '0' && c <= '9') &&
            (c == '\0' || strchr("._:-", c) == NULL))
            return false;
    }
    return true;
}

static struct hd_str text_of(const struct hd_typed *object, const char *name)
{
    const struct hd_typed *v = hd_typed_get(object, name);
    return v != NULL && v->kind == HD_TYPED_STRING ? v->text : hd_str_n(NULL, 0);
}

static struct hd_str written(struct hd_arena *arena, const struct hd_typed *value)
{
    struct hd_buf text;
    hd_buf_init(&text, ANSWER_MAX);
    hd_typed_write(&text, value);
    struct hd_str copy =
        hd_buf_failed(&text) ? hd_str_n(NULL, 0) : hd_arena_str(arena, hd_buf_view(&text));
    hd_buf_done(&text);
    return copy;
}

static void transport(struct hd_rpc_answer *out, unsigned status, const char *code,
                      const char *message)
{
    out->error = hd_rpc_refusal(status, code, message);
}

static void read_error(struct hd_rpc_answer *out, struct hd_arena *arena, unsigned status,
                       const struct hd_typed *error)
{
    struct hd_str message = text_of(error, "message"), code = text_of(error, "code");
    const struct hd_typed *data = hd_typed_get(error, "data");
    const struct hd_typed *http = hd_typed_get(error, "httpCode");
    snprintf(out->code, sizeof(out->code), "%.*s", HD_FMT(code.len > 0 ? code : hd_str("UNKNOWN")));
    out->error = (struct hd_lane_error){
        .status = status,
        .code = out->code,
        .message = message.len > 0 ? message : hd_str("the peer said no reason"),
        .id = text_of(error, "id")};
    if (data != NULL)
        out->error.data = written(arena, data);
    if (http != NULL && http->kind == HD_TYPED_NUMBER && http->number >= 100 && http->number < 600)
        out->error.http_code = (unsigned)http->number;
}

void hd_rpc_answer_read(struct hd_rpc_answer *out, struct hd_arena *arena, unsigned status,
                        struct hd_str body, bool want_result)
{
    struct hd_typed *value = NULL;
    struct hd_error err;
    *out = (struct hd_rpc_answer){0};
    int rc = body.len > 0 ? hd_typed_read(&value, arena, body, &err) : HD_EINVAL;
    const struct hd_typed *ok = rc == 0 ? hd_typed_get(value, "ok") : NULL;
    const struct hd_typed *error = rc == 0 ? hd_typed_get(value, "error") : NULL;
    if (rc == 0 && ok != NULL && ok->kind == HD_TYPED_TRUE) {
        const struct hd_typed *result = hd_typed_get(value, "result");
        if (result == NULL && want_result) {
            transport(out, status, "INVALID_RESPONSE", "the peer's answer has no result");
            return;
        }
        out->value = result != NULL ? written(arena, result) : hd_str_n(NULL, 0);
        out->ok = result == NULL || out->value.ptr != NULL;
        if (!out->ok)
            transport(out, status, "INVALID_RESPONSE", "the peer's answer is too large");
    } else if (error != NULL && error->kind == HD_TYPED_OBJECT) {
        read_error(out, arena, status, error);
    } else if (status >= 400) {
        transport(out, status, "HTTP_ERROR", "the peer answered an error that is not of a lane");
    } else {
        transport(out, status, "INVALID_RESPONSE", "the peer's answer is not of a lane");
    }
}

/* --- contexts --- */

struct hd_str hd_rpc_contexts(struct hd_arena *arena, struct hd_str text,
                              const struct hd_strings *allowed)
{
    struct hd_typed *map = NULL;
    struct hd_buf out;
    if (text.len == 0 || allowed == NULL || allowed->n == 0 ||
        hd_typed_read(&map, arena, text, NULL) < 0 || map->kind != HD_TYPED_OBJECT)
        return hd_str_n(NULL, 0);
    hd_buf_init(&out, CONTEXTS_MAX);
    hd_buf_char(&out, '{');
    for (size_t i = 0; i < map->n; i++) {
        if (map->items[i]->kind != HD_TYPED_STRING || !hd_strings_has(allowed, map->names[i]))
            continue;
        if (out.len > 1)
            hd_buf_char(&out, ',');
        hd_typed_write_string(&out, map->names[i]);
        hd_buf_char(&out, ':');
        hd_typed_write(&out, map->items[i]);
    }
    hd_buf_char(&out, '}');
    struct hd_str copy = out.len > 2 && !hd_buf_failed(&out)
                             ? hd_arena_str(arena, hd_buf_view(&out))
                             : hd_str_n(NULL, 0);
    hd_buf_done(&out);
    return copy;
}
