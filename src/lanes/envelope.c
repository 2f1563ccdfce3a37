/* envelope.c - messages of event lanes, read tolerantly and written as the peers write them. */
#include "lanes/envelope.h"

#include "lanes/typed_private.h"

static inline void text(struct hd_buf *out, struct hd_str before, struct hd_str value)
{
    hd_buf_str(out, before);
    hd_typed_write_string(out, value);
}

void hd_envelope_write(struct hd_buf *out, const struct hd_envelope *e)
{
    hd_buf_reserve(out, e->payload.len + e->payload.len / 8 + 512); /* about what it takes */
    text(out, hd_str("{\"laneId\":"), e->lane_id);
    text(out, hd_str(",\"eventId\":"), e->event_id);
    text(out, hd_str(",\"payload\":"), e->payload);
    if (e->contexts.ptr != NULL)
        text(out, hd_str(",\"serializedAsyncContexts\":"), e->contexts);
    text(out, hd_str(",\"source\":{\"kind\":"), e->source_kind);
    text(out, hd_str(",\"id\":"), e->source_id);
    hd_buf_char(out, '}');
    if (e->auth_token.ptr != NULL)
        text(out, hd_str(",\"authToken\":"), e->auth_token);
    if (e->max_attempts > 0) {
        hd_buf_str(out, hd_str(",\"maxAttempts\":"));
        hd_buf_u64(out, e->max_attempts);
    }
    text(out, hd_str(",\"id\":"), e->id);
    text(out, hd_str(",\"createdAt\":"), e->created_at);
    hd_buf_str(out, hd_str(",\"attempts\":"));
    hd_buf_u64(out, e->attempts);
    if (e->others.len > 0) {
        hd_buf_char(out, ',');
        hd_buf_str(out, e->others);
    }
    hd_buf_char(out, '}');
}

struct hd_str hd_envelope_traceparent(const struct hd_envelope *e)
{
    static const char name[] = "\"traceparent\":\"";
    const char *at =
        e->others.len > 0 ? memmem(e->others.ptr, e->others.len, name, sizeof(name) - 1) : NULL;
    if (at == NULL)
        return hd_str("");
    at += sizeof(name) - 1;
    struct hd_str rest = hd_str_n(at, (size_t)(e->others.ptr + e->others.len - at));
    return hd_str_n(at, hd_str_find(rest, '"'));
}

/* --- reading --- */

enum { GROWTH_MAX = 8 }; /* a text that is written anew: "1e20" becomes 21 digits */

struct reading {
    struct hd_envelope *e;
    struct hd_error *err;
    struct hd_buf others;
    size_t cloud_at, cloud_bytes; /* where in it the value of cloudEvent is */
};

static int want_text(struct reading *r, struct hd_str *to, const struct hd_typed *v,
                     const char *name)
{
    if (v->kind != HD_TYPED_STRING)
        return hd_fail(r->err, HD_EINVAL, "envelope: %s: must be a string", name);
    *to = v->text.ptr != NULL ? v->text : hd_str_n("", 0);
    return 0;
}

static uint32_t count_of(const struct hd_typed *v)
{
    if (v->kind != HD_TYPED_NUMBER || !(v->number > 0) || v->number > 1e9)
        return 0;
    return (uint32_t)v->number;
}

static int read_source(struct reading *r, const struct hd_typed *source)
{
    const struct hd_typed *kind = hd_typed_get(source, "kind"), *id = hd_typed_get(source, "id");
    if (kind == NULL || id == NULL || kind->kind != HD_TYPED_STRING || id->kind != HD_TYPED_STRING)
        return hd_fail(r->err, HD_EINVAL, "envelope: source: must be an object with kind and id");
    r->e->source_kind = kind->text;
    r->e->source_id = id->text;
    return 0;
}

static void keep_other(struct reading *r, struct hd_str name, const struct hd_typed *value)
{
    if (r->others.len > 0)
        hd_buf_char(&r->others, ',');
    hd_typed_write_string(&r->others, name);
    hd_buf_char(&r->others, ':');
    size_t at = r->others.len;
    hd_typed_to_plain(&r->others, value); /* it holds no records: as it was */
    if (hd_str_is(name, "cloudEvent") && value->kind == HD_TYPED_OBJECT) {
        r->cloud_at = at;
        r->cloud_bytes = r->others.len - at;
    }
}

static int read_member(struct reading *r, struct hd_str name, const struct hd_typed *v)
{
    static const struct {
        const char *name;
        size_t offset;
    } texts[] = {
        {"laneId", offsetof(struct hd_envelope, lane_id)},
        {"eventId", offsetof(struct hd_envelope, event_id)},
        {"payload", offsetof(struct hd_envelope, payload)},
        {"serializedAsyncContexts", offsetof(struct hd_envelope, contexts)},
        {"authToken", offsetof(struct hd_envelope, auth_token)},
        {"id", offsetof(struct hd_envelope, id)},
    };
    for (size_t i = 0; i < HD_COUNT(texts); i++) {
        if (hd_str_is(name, texts[i].name))
            return want_text(r, (struct hd_str *)((char *)r->e + texts[i].offset), v,
                             texts[i].name);
    }
    if (hd_str_is(name, "source"))
        return read_source(r, v);
    if (hd_str_is(name, "maxAttempts"))
        r->e->max_attempts = count_of(v);
    else if (hd_str_is(name, "attempts"))
        r->e->attempts = count_of(v);
    else if (hd_str_is(name, "createdAt") && v->kind == HD_TYPED_STRING)
        r->e->created_at = v->text;
    else
        keep_other(r, name, v);
    return 0;
}

static int check(const struct hd_envelope *e, struct hd_error *err)
{
    const struct {
        const char *name;
        struct hd_str value;
    } needed[] = {{"laneId", e->lane_id},
                  {"eventId", e->event_id},
                  {"payload", e->payload},
                  {"source", e->source_kind},
                  {"id", e->id}};
    for (size_t i = 0; i < HD_COUNT(needed); i++) {
        if (needed[i].value.ptr == NULL)
            return hd_fail(err, HD_EINVAL, "envelope: %s: is missing", needed[i].name);
    }
    return 0;
}

static int read_all(struct reading *r, struct hd_arena *arena, struct hd_str json,
                    int64_t now_unix_ms)
{
    struct hd_typed *raw;
    int rc = hd_typed_parse(&raw, arena, json, r->err);
    if (rc < 0)
        return rc;
    if (raw->kind != HD_TYPED_OBJECT)
        return hd_fail(r->err, HD_EINVAL, "envelope: must be an object");
    for (size_t i = 0; i < raw->n && rc == 0; i++)
        rc = read_member(r, raw->names[i], raw->items[i]);
    if (rc == 0)
        rc = check(r->e, r->err);
    if (rc < 0)
        return rc;
    if (r->e->created_at.ptr == NULL) {
        char iso[32];
        hd_typed_iso(iso, (double)now_unix_ms);
        r->e->created_at = hd_arena_str(arena, hd_str(iso));
    }
    if (hd_buf_failed(&r->others))
        return hd_typed_no_room(r->err);
    if (r->others.len > 0)
        r->e->others = hd_arena_str(arena, hd_buf_view(&r->others));
    if (r->cloud_bytes > 0 && r->e->others.ptr != NULL)
        r->e->cloud = hd_str_n(r->e->others.ptr + r->cloud_at, r->cloud_bytes);
    if (r->e->created_at.ptr == NULL || (r->others.len > 0 && r->e->others.ptr == NULL))
        return hd_typed_no_room(r->err);
    return 0;
}

int hd_envelope_read(struct hd_envelope *out, struct hd_arena *arena, struct hd_str json,
                     int64_t now_unix_ms, struct hd_error *err)
{
    struct reading r = {.e = out, .err = err};
    *out = (struct hd_envelope){0};
    hd_buf_init(&r.others, GROWTH_MAX * json.len + 1024);
    int rc = read_all(&r, arena, json, now_unix_ms);
    hd_buf_done(&r.others);
    return rc;
}
