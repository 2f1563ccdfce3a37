#include "core/base64.h"
#include "core/clock.h"
#include "native/jsonread.h"
#include "native/native.h"

struct hd_str hd_event_body(const struct hd_event *event)
{
    return event->body;
}

const char *hd_event_id(const struct hd_event *event)
{
    return event->id;
}

int64_t hd_event_remaining_ms(const struct hd_event *event)
{
    if (event->deadline_us == 0)
        return INT64_MAX;
    uint64_t now = hd_clock_us();
    return now < event->deadline_us ? (int64_t)((event->deadline_us - now) / 1000) : 0;
}

void *hd_event_arg(const struct hd_event *event)
{
    return event->function->opt.arg;
}

static struct hd_str field(const struct hd_event *event, const char *name)
{
    const struct hd_field *f =
        event->head != NULL && name != NULL ? hd_head_find(event->head, name) : NULL;
    return f != NULL ? f->value : hd_str_n(NULL, 0);
}

struct hd_str hd_event_arn(const struct hd_event *event)
{
    return field(event, event->fields->arn);
}

struct hd_str hd_event_trace(const struct hd_event *event)
{
    return field(event, event->fields->trace);
}

struct hd_str hd_event_tenant(const struct hd_event *event)
{
    return field(event, event->fields->tenant);
}

/* A field's JSON text; base64 is decoded over itself, once. */
static struct hd_str json_field(const struct hd_event *event, const char *name,
                                struct hd_str *decoded)
{
    if (!event->fields->encoded)
        return field(event, name);
    if (decoded->ptr == NULL) {
        struct hd_str v = field(event, name);
        size_t used = 0;
        if (v.ptr != NULL && hd_base64_decode((char *)v.ptr, &used, HD_BASE64, v) == 0)
            *decoded = hd_str_n(v.ptr, used);
    }
    return *decoded;
}

struct hd_str hd_event_client_context(const struct hd_event *event)
{
    return json_field(event, event->fields->client_context, &event->decoded->client_context);
}

struct hd_str hd_event_identity(const struct hd_event *event)
{
    return json_field(event, event->fields->identity, &event->decoded->identity);
}

struct hd_str hd_event_get(const struct hd_event *event, const char *path)
{
    return hd_jsonread_find(event->body, path);
}

int hd_event_text(const struct hd_event *event, const char *path, char *out, size_t size)
{
    struct hd_str value = hd_event_get(event, path);
    if (value.ptr != NULL)
        return hd_jsonread_string(out, size, value);
    out[0] = '\0';
    return HD_ENOTFOUND;
}

struct hd_str hd_event_method(const struct hd_event *event)
{
    return event->http ? event->head->method : hd_str_n(NULL, 0);
}

struct hd_str hd_event_path(const struct hd_event *event)
{
    return event->http ? event->head->target : hd_str_n(NULL, 0);
}

struct hd_str hd_event_field(const struct hd_event *event, const char *name)
{
    static const struct hd_str ours = HD_LIT("x-heddle-");
    struct hd_str n = hd_str(name);
    if (!event->http || (n.len >= ours.len && hd_str_eq_nocase(hd_str_n(n.ptr, ours.len), ours)))
        return hd_str_n(NULL, 0);
    return field(event, name);
}

void hd_event_log(const struct hd_event *event, enum hd_function_level level, const char *fmt, ...)
{
    char memory[512];
    struct hd_buf text;
    hd_buf_init_with(&text, memory, sizeof(memory), 256 << 10);
    va_list ap;
    va_start(ap, fmt);
    hd_buf_vfmt(&text, fmt, ap);
    va_end(ap);
    hd_native_log_write(&event->function->log, level, event->id, hd_buf_view(&text));
    hd_buf_done(&text);
}
