#include "lambda/async/async_record.h"

#include "invoke/xray.h"

#include <jansson.h>
#include <stdio.h>
#include <time.h>

enum {
    META_BYTES = 1048576,
    MESSAGE_BYTES = 1024,
};

/* --- small objects of strings --- */

static void add_member(struct hd_buf *out, const char *key, struct hd_str value)
{
    if (value.len == 0)
        return;
    if (out->ptr[out->len - 1] != '{')
        hd_buf_char(out, ',');
    hd_buf_fmt(out, "\"%s\":", key);
    hd_buf_json(out, value);
}

/* Where a member's text begins in `text`; lengths are known, the memory moves until the end. */
struct member {
    const char *key;
    struct hd_str *value;
    size_t at;
};

static void read_members(struct hd_buf *text, const json_t *object, struct member *members,
                         size_t n)
{
    hd_buf_init(text, META_BYTES);
    for (size_t i = 0; i < n; i++) {
        const json_t *value = json_object_get(object, members[i].key);
        members[i].at = text->len;
        *members[i].value =
            hd_str_n(json_string_value(value), value != NULL ? json_string_length(value) : 0);
        hd_buf_str(text, *members[i].value);
    }
    for (size_t i = 0; i < n; i++) {
        bool kept = members[i].value->len > 0 && !hd_buf_failed(text);
        *members[i].value =
            kept ? hd_str_n(text->ptr + members[i].at, members[i].value->len) : hd_str("");
    }
}

/* "Root=1-<seconds>-<the end of the request's id>;..." */
static void begin_trace(struct hd_buf *out, const struct hd_async_event *event, int64_t now_unix_ms)
{
    struct hd_buf digits;
    hd_buf_init(&digits, 64);
    for (const char *c = event->request_id; c != NULL && *c != '\0'; c++) {
        if (*c != '-')
            hd_buf_char(&digits, *c);
    }
    if (digits.len == 32)
        hd_buf_fmt(out, "Root=1-%08x-%.24s", (unsigned)(now_unix_ms / 1000), digits.ptr + 8);
    hd_buf_done(&digits);
    if (out->len > 0 && event->trace.len > 0)
        hd_buf_char(out, ';');
}

void hd_async_meta_write(struct hd_buf *out, const struct hd_async_event *event,
                         int64_t now_unix_ms)
{
    struct hd_buf trace;
    hd_buf_init(&trace, 8192);
    if (event->traceparent.len == 0 && hd_xray_part(event->trace, "Root").len == 0)
        begin_trace(&trace, event, now_unix_ms);
    hd_buf_str(&trace, event->trace);
    hd_buf_char(out, '{');
    add_member(out, "qualifier", event->qualifier);
    add_member(out, "context", event->client_context);
    add_member(out, "identity", event->identity);
    add_member(out, "tenant", event->tenant);
    add_member(out, "trace", hd_buf_view(&trace));
    add_member(out, "traceparent", event->traceparent);
    hd_buf_char(out, '}');
    hd_buf_done(&trace);
}

void hd_async_meta_read(struct hd_async_meta *m, struct hd_str json)
{
    struct member members[] = {
        {"qualifier", &m->qualifier, 0}, {"context", &m->client_context, 0},
        {"identity", &m->identity, 0},   {"tenant", &m->tenant, 0},
        {"trace", &m->trace, 0},         {"traceparent", &m->traceparent, 0},
    };
    json_t *object = json_loadb(json.ptr, json.len, 0, NULL);
    read_members(&m->text, object, members, HD_COUNT(members));
    json_decref(object);
}

void hd_async_meta_done(struct hd_async_meta *m)
{
    hd_buf_done(&m->text);
}

void hd_async_delivery_write(struct hd_buf *out, const struct hd_async_delivery_meta *m)
{
    hd_buf_char(out, '{');
    add_member(out, "arn", m->arn);
    add_member(out, "version", m->version);
    add_member(out, "error", m->error);
    add_member(out, "trace", m->trace);
    add_member(out, "success", hd_str(m->success ? "yes" : ""));
    add_member(out, "dead_letter", hd_str(m->dead_letter ? "yes" : ""));
    hd_buf_char(out, '}');
}

void hd_async_delivery_read(struct hd_async_delivery_meta *m, struct hd_str json)
{
    struct hd_str success, dead_letter;
    struct member members[] = {
        {"arn", &m->arn, 0},     {"version", &m->version, 0}, {"error", &m->error, 0},
        {"trace", &m->trace, 0}, {"success", &success, 0},    {"dead_letter", &dead_letter, 0},
    };
    json_t *object = json_loadb(json.ptr, json.len, 0, NULL);
    read_members(&m->text, object, members, HD_COUNT(members));
    m->success = success.len > 0;
    m->dead_letter = dead_letter.len > 0;
    json_decref(object);
}

void hd_async_delivery_done(struct hd_async_delivery_meta *m)
{
    hd_buf_done(&m->text);
}

/* --- the record --- */

static void add_time(struct hd_buf *out, int64_t unix_ms)
{
    time_t s = (time_t)(unix_ms / 1000);
    struct tm tm;
    gmtime_r(&s, &tm);
    hd_buf_fmt(out, "\"%04d-%02d-%02dT%02d:%02d:%02d.%03dZ\"", tm.tm_year + 1900, tm.tm_mon + 1,
               tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec, (int)(unix_ms % 1000));
}

/* A function may say what is no JSON; the record stays one. */
static void add_json(struct hd_buf *out, struct hd_str text)
{
    json_t *value = text.len > 0
                        ? json_loadb(text.ptr, text.len, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL)
                        : NULL;
    if (value != NULL)
        hd_buf_str(out, text);
    else if (text.len > 0)
        hd_buf_json(out, text);
    else
        hd_buf_cstr(out, "null");
    json_decref(value);
}

static void add_qualified(struct hd_buf *out, const struct hd_async_ending *e)
{
    struct hd_buf arn;
    hd_buf_init(&arn, 4096);
    hd_buf_str(&arn, e->arn);
    hd_buf_char(&arn, ':');
    hd_buf_str(&arn, e->version.len > 0 ? e->version : hd_str("$LATEST"));
    hd_buf_json(out, hd_buf_view(&arn));
    hd_buf_done(&arn);
}

void hd_async_record_write(struct hd_buf *out, const struct hd_async_ending *e)
{
    hd_buf_cstr(out, "{\"version\":\"1.0\",\"timestamp\":");
    add_time(out, e->now_unix_ms);
    hd_buf_cstr(out, ",\"requestContext\":{\"requestId\":");
    hd_buf_json(out, e->request_id);
    hd_buf_cstr(out, ",\"functionArn\":");
    add_qualified(out, e);
    hd_buf_fmt(out, ",\"condition\":\"%s\",\"approximateInvokeCount\":%u},\"requestPayload\":",
               hd_async_condition(e->end), e->attempts);
    add_json(out, e->payload.len > 0 ? e->payload : hd_str("{}"));
    if (e->answered) {
        hd_buf_cstr(out, ",\"responseContext\":{\"statusCode\":200,\"executedVersion\":");
        hd_buf_json(out, e->version.len > 0 ? e->version : hd_str("$LATEST"));
        if (e->function_error)
            hd_buf_cstr(out, ",\"functionError\":\"Unhandled\"");
        hd_buf_cstr(out, "},\"responsePayload\":");
        add_json(out, e->answer);
    }
    hd_buf_char(out, '}');
}

/* Cut at the end of a character. */
static struct hd_str shorten(struct hd_str s, size_t max)
{
    if (s.len <= max)
        return s;
    while (max > 0 && ((unsigned char)s.ptr[max] & 0xc0) == 0x80)
        max--;
    return hd_str_n(s.ptr, max);
}

void hd_async_error_message(struct hd_buf *out, const struct hd_async_ending *e)
{
    json_t *answer =
        e->answered ? json_loadb(e->answer.ptr, e->answer.len, JSON_DECODE_ANY, NULL) : NULL;
    const json_t *message = json_object_get(answer, "errorMessage");
    if (json_is_string(message))
        hd_buf_str(out, shorten(hd_str_n(json_string_value(message), json_string_length(message)),
                                MESSAGE_BYTES));
    else
        hd_buf_cstr(out, hd_async_condition(e->end));
    json_decref(answer);
}
