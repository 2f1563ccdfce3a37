#include "lanes/runtext.h"

#include <jansson.h>

enum { ATTRIBUTES_MAX = 4 << 20 };

/* @param name  `,"name":`; the comma is for those that are not the first. */
static inline void member(struct hd_buf *out, struct hd_str name, struct hd_str value)
{
    if (value.len == 0)
        return;
    bool first = out->ptr[out->len - 1] == '{';
    hd_buf_add(out, name.ptr + first, name.len - first);
    hd_buf_json(out, value);
}

void hd_runtext_value(struct hd_buf *out, const struct hd_typed *value, enum hd_lane_codec codec)
{
    if (value == NULL)
        value = hd_typed_undefined();
    if (codec == HD_CODEC_TYPED)
        hd_typed_write(out, value);
    else
        hd_typed_to_plain(out, value);
}

/* The attributes of the CloudEvent that the message came as. @return whether there are any. */
static bool cloud_attributes(struct hd_buf *out, struct hd_str attributes)
{
    static const char *const ours[] = {"specversion", "data", "data_base64", "datacontenttype",
                                       "traceparent"};
    struct hd_arena arena;
    struct hd_typed *all = NULL;
    if (attributes.len == 0)
        return false;
    hd_arena_init(&arena, NULL, 0, ATTRIBUTES_MAX);
    bool ok = hd_typed_from_plain(&all, &arena, attributes, NULL) == 0 &&
              all->kind == HD_TYPED_OBJECT && hd_typed_get(all, "id") != NULL;
    for (size_t i = 0; ok && i < all->n; i++) {
        bool skip = false;
        for (size_t k = 0; k < HD_COUNT(ours); k++)
            skip |= hd_str_is(all->names[i], ours[k]);
        if (skip)
            continue;
        hd_buf_char(out, ',');
        hd_buf_json(out, all->names[i]);
        hd_buf_char(out, ':');
        hd_typed_to_plain(out, all->items[i]);
    }
    hd_arena_done(&arena);
    return ok;
}

static void own_attributes(struct hd_buf *out, const struct hd_lane_event *event,
                           const struct hd_lane_run_request *request)
{
    struct hd_str kind = request->source_kind, id = request->source_id;
    member(out, hd_str(",\"id\":"),
           request->message_id.len > 0 ? request->message_id : request->request_id);
    hd_buf_str(out, hd_str(",\"source\":"));
    hd_auto_free char *source =
        kind.len > 0 ? hd_printf("%.*s/%.*s", HD_FMT(kind), HD_FMT(id)) : hd_strdup("heddle");
    hd_buf_json(out, hd_str(source));
    member(out, hd_str(",\"type\":"), hd_str(event->wire_id));
    member(out, hd_str(",\"time\":"), request->created_at);
}

static bool is_bytes(const struct hd_typed *value)
{
    return value->kind == HD_TYPED_RECORD && value->tag >= HD_TAG_ARRAY_BUFFER;
}

void hd_runtext_cloud_event(struct hd_buf *out, const struct hd_lane_event *event,
                            const struct hd_lane_run_request *request)
{
    const struct hd_typed *value = request->value;
    hd_buf_str(out, hd_str("{\"specversion\":\"1.0\""));
    if (!cloud_attributes(out, request->cloud))
        own_attributes(out, event, request);
    member(out, hd_str(",\"traceparent\":"), request->traceparent);
    if (value != NULL && is_bytes(value)) {
        hd_buf_str(out,
                   hd_str(",\"datacontenttype\":\"application/octet-stream\",\"data_base64\":"));
        hd_typed_to_plain(out, value);
    } else if (value != NULL &&
               !(value->kind == HD_TYPED_RECORD && value->tag == HD_TAG_UNDEFINED)) {
        hd_buf_str(out, hd_str(",\"datacontenttype\":\"application/json\",\"data\":"));
        hd_typed_to_plain(out, value);
    }
    hd_buf_char(out, '}');
}

static void context_rest(struct hd_buf *out, const struct hd_lane_run_request *request)
{
    member(out, hd_str(",\"requestId\":"), request->request_id);
    if (request->contexts.len > 0) {
        hd_buf_str(out, hd_str(",\"contexts\":"));
        hd_buf_str(out, request->contexts);
    }
    hd_buf_str(out, hd_str("}}"));
}

void hd_runtext_task_context(struct hd_buf *out, const struct hd_lane_task *task,
                             const struct hd_lane_run_request *request)
{
    hd_buf_str(out, hd_str("{\"heddle\":{"));
    member(out, hd_str(",\"kind\":"), hd_str("rpc-task"));
    member(out, hd_str(",\"lane\":"), request->lane);
    member(out, hd_str(",\"task\":"), hd_str(task->wire_id));
    context_rest(out, request);
}

void hd_runtext_hook_context(struct hd_buf *out, const struct hd_lane_hook *hook,
                             const struct hd_lane_run_request *request)
{
    hd_buf_str(out, hd_str("{\"heddle\":{"));
    member(out, hd_str(",\"kind\":"), hd_str("hook"));
    member(out, hd_str(",\"lane\":"), request->lane);
    member(out, hd_str(",\"hook\":"), hd_str(hook->id));
    member(out, hd_str(",\"eventId\":"), hd_str(hook->event->wire_id));
    member(out, hd_str(",\"messageId\":"), request->message_id);
    if (request->attempt > 0) {
        hd_buf_str(out, hd_str(",\"attempt\":"));
        hd_buf_u64(out, request->attempt);
    }
    if (request->source_kind.len > 0) {
        hd_buf_str(out, hd_str(",\"source\":{"));
        member(out, hd_str(",\"kind\":"), request->source_kind);
        member(out, hd_str(",\"id\":"), request->source_id);
        hd_buf_char(out, '}');
    }
    context_rest(out, request);
}

int hd_runtext_answer(struct hd_typed **out, struct hd_arena *arena, struct hd_str answer,
                      enum hd_lane_codec codec, struct hd_error *err)
{
    if (answer.len == 0) {
        *out = (struct hd_typed *)hd_typed_undefined();
        return 0;
    }
    return codec == HD_CODEC_TYPED ? hd_typed_read(out, arena, answer, err)
                                   : hd_typed_from_plain(out, arena, answer, err);
}

struct hd_lane_error hd_runtext_internal(struct hd_str reason)
{
    return (struct hd_lane_error){.status = 500,
                                  .code = "INTERNAL_ERROR",
                                  .message = hd_str("Internal Error"),
                                  .reason = reason};
}

static struct hd_str text_of(const json_t *object, const char *name)
{
    const json_t *v = json_object_get(object, name);
    return json_is_string(v) ? hd_str_n(json_string_value(v), json_string_length(v))
                             : hd_str_n(NULL, 0);
}

static struct hd_str data_of(const json_t *error, struct hd_arena *arena)
{
    const json_t *data = json_object_get(error, "errorData");
    char *text = json_is_object(data) ? json_dumps(data, JSON_COMPACT) : NULL;
    struct hd_str copy = text != NULL ? hd_arena_str(arena, hd_str(text)) : hd_str("{}");
    free(text);
    return copy.ptr != NULL ? copy : hd_str("{}");
}

void hd_runtext_error(struct hd_lane_error *out, struct hd_arena *arena,
                      const struct hd_topology *topology, struct hd_str payload)
{
    *out = hd_runtext_internal(hd_arena_str(arena, payload));
    json_t *error = json_loadb(payload.ptr, payload.len, 0, NULL);
    struct hd_str type = text_of(error, "errorType"), message = text_of(error, "errorMessage");
    const struct hd_lane_error_type *declared =
        type.ptr != NULL ? hd_topology_error(topology, type) : NULL;
    if (declared != NULL) {
        out->message = hd_arena_str(arena, message);
        out->id = hd_str(declared->wire_id);
        out->data = data_of(error, arena);
        out->http_code = declared->http_code;
        out->status = declared->http_code > 0 ? declared->http_code : 500;
    }
    json_decref(error);
}
