#include "invoke/wire.h"

#include "core/base64.h"
#include "http/format.h"

enum { FIELDS_MAX = 12, TYPE_MAX = 1024 };

static struct hd_str base64(struct hd_buf *room, struct hd_str text)
{
    size_t at = room->len;
    char *out = hd_buf_reserve(room, hd_base64_chars(HD_BASE64, text.len));
    if (out != NULL)
        hd_buf_commit(room, hd_base64_encode(out, HD_BASE64, text.ptr, text.len));
    return hd_str_n(room->ptr + at, room->len - at);
}

int hd_wire_request(struct hd_buf *out, const struct hd_wire_event *e, struct hd_error *err)
{
    const struct hd_call_request *r = e->request;
    struct hd_field f[FIELDS_MAX];
    size_t n = 0;
    char room[512], traceparent[HD_TRACEPARENT_CHARS + 1];
    size_t text_bytes = 64 + hd_base64_chars(HD_BASE64, r->client_context.len) +
                        hd_base64_chars(HD_BASE64, r->identity.len);
    struct hd_buf text;
    hd_buf_init_with(&text, room, sizeof(room), HD_MAX(sizeof(room), text_bytes));
    hd_buf_reserve(&text, text_bytes); /* slices of it are taken: it must not move */
    hd_trace_format(traceparent, e->trace);
    f[n++] = (struct hd_field){HD_LIT("content-type"), HD_LIT("application/json")};
    f[n++] =
        (struct hd_field){HD_LIT("x-heddle-event"), hd_str(r->want_stream ? "stream" : "buffered")};
    f[n++] = (struct hd_field){HD_LIT("x-heddle-id"), hd_str(e->request_id)};
    if (e->timeout_ms > 0) {
        size_t at = text.len;
        hd_buf_u64(&text, e->timeout_ms);
        f[n++] =
            (struct hd_field){HD_LIT("x-heddle-deadline"), hd_str_n(text.ptr + at, text.len - at)};
    }
    if (r->invoked_arn.len > 0 || e->arn != NULL)
        f[n++] = (struct hd_field){HD_LIT("x-heddle-arn"),
                                   r->invoked_arn.len > 0 ? r->invoked_arn : hd_str(e->arn)};
    f[n++] = (struct hd_field){HD_LIT("x-heddle-trace"), hd_str(e->xray)};
    f[n++] = (struct hd_field){HD_LIT("traceparent"), hd_str_n(traceparent, HD_TRACEPARENT_CHARS)};
    if (r->client_context.len > 0)
        f[n++] =
            (struct hd_field){HD_LIT("x-heddle-client-context"), base64(&text, r->client_context)};
    if (r->identity.len > 0)
        f[n++] = (struct hd_field){HD_LIT("x-heddle-identity"), base64(&text, r->identity)};
    if (r->tenant.len > 0)
        f[n++] = (struct hd_field){HD_LIT("x-heddle-tenant"), r->tenant};
    struct hd_request_head head = {.method = HD_LIT("POST"),
                                   .path = HD_LIT("/"),
                                   .authority = HD_LIT("localhost"),
                                   .fields = f,
                                   .n_fields = n,
                                   .body_bytes = (int64_t)e->event_bytes};
    struct hd_format how = {.framing = HD_FRAMING_LENGTH};
    int rc = hd_format_request(out, &head, &how, err);
    hd_buf_done(&text);
    return rc;
}

/* --- the answer --- */

void hd_wire_answer_init(struct hd_wire_answer *a)
{
    a->status = 0;
    a->function_error = a->streams = a->exits = a->undelivered = false;
    hd_buf_init_with(&a->content_type, a->type_bytes, sizeof(a->type_bytes), TYPE_MAX);
    hd_buf_init(&a->error_type, TYPE_MAX);
    hd_buf_init(&a->error_body, HD_WIRE_ERROR_MAX);
}

void hd_wire_answer_done(struct hd_wire_answer *a)
{
    hd_buf_done(&a->content_type);
    hd_buf_done(&a->error_type);
    hd_buf_done(&a->error_body);
}

static const struct hd_str ours = HD_LIT("x-heddle-");

static bool is_ours(struct hd_str name)
{
    return name.len > ours.len && hd_str_eq_nocase(hd_str_n(name.ptr, ours.len), ours);
}

/* @return whether it was one that head and trailers share. */
static bool read_error(struct hd_wire_answer *a, struct hd_str name, struct hd_str value)
{
    if (hd_str_is_nocase(name, "function-error")) {
        a->function_error = value.len > 0;
    } else if (hd_str_is_nocase(name, "error-type")) {
        hd_buf_clear(&a->error_type);
        hd_buf_str(&a->error_type, value);
    } else if (hd_str_is_nocase(name, "exit")) {
        a->exits = hd_str_is(value, "1");
    } else {
        return false;
    }
    return true;
}

void hd_wire_answer_head(struct hd_wire_answer *a, const struct hd_head *head)
{
    a->status = head->status;
    for (size_t i = 0; i < head->n_fields; i++) {
        const struct hd_field *f = &head->fields[i];
        if (is_ours(f->name)) {
            struct hd_str name = hd_str_n(f->name.ptr + ours.len, f->name.len - ours.len);
            if (read_error(a, name, f->value))
                continue;
            if (hd_str_is_nocase(name, "stream"))
                a->streams = hd_str_is(f->value, "1");
            else if (hd_str_is_nocase(name, "undelivered"))
                a->undelivered = hd_str_is(f->value, "1");
        } else if (hd_str_is_nocase(f->name, "content-type")) {
            hd_buf_clear(&a->content_type);
            hd_buf_str(&a->content_type, f->value);
        }
    }
}

void hd_wire_answer_trailers(struct hd_wire_answer *a, const struct hd_field *fields, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const struct hd_field *f = &fields[i];
        if (!is_ours(f->name))
            continue;
        struct hd_str name = hd_str_n(f->name.ptr + ours.len, f->name.len - ours.len);
        if (read_error(a, name, f->value) || !hd_str_is_nocase(name, "error-body"))
            continue;
        hd_buf_clear(&a->error_body);
        char *out = hd_buf_reserve(&a->error_body, hd_base64_bytes(f->value.len));
        size_t used;
        if (out != NULL && hd_base64_decode(out, &used, HD_BASE64, f->value) == 0)
            hd_buf_commit(&a->error_body, used);
    }
}
