#include "lanes/cloudevent.h"

#include "core/base64.h"
#include "core/id.h"
#include "core/utf8.h"
#include "lanes/typed_private.h"

enum {
    NAME_MAX_BYTES = 64,
    VALUE_MAX_BYTES = 16 << 10,
    ATTRIBUTES_MAX = 48 << 10,
    DATA_MAX = 64 << 20
};

static const char TYPED_TYPE[] = "application/vnd.heddle.typed+json";

/* --- content types --- */

static struct hd_str media_of(struct hd_str content_type)
{
    return hd_str_trim(hd_str_n(content_type.ptr, hd_str_find(content_type, ';')));
}

static bool begins(struct hd_str s, const char *prefix)
{
    size_t n = strlen(prefix);
    return s.len >= n && hd_str_eq_nocase(hd_str_n(s.ptr, n), hd_str(prefix));
}

static bool is_json(struct hd_str media)
{
    return hd_str_is_nocase(media, "application/json") || hd_str_is_nocase(media, "text/json") ||
           (media.len > 5 &&
            hd_str_eq_nocase(hd_str_n(media.ptr + media.len - 5, 5), hd_str("+json")));
}

static struct hd_str field_of(const struct hd_head *head, const char *name)
{
    const struct hd_field *f = hd_head_find(head, name);
    return f != NULL ? f->value : hd_str_n(NULL, 0);
}

enum hd_cloud_mode hd_cloud_mode(const struct hd_head *head)
{
    struct hd_str media = media_of(field_of(head, "content-type"));
    if (hd_str_is_nocase(media, "application/cloudevents+json"))
        return HD_CLOUD_STRUCTURED;
    if (begins(media, "application/cloudevents"))
        return HD_CLOUD_OTHER;
    for (size_t i = 0; i < head->n_fields; i++) {
        if (begins(head->fields[i].name, "ce-"))
            return HD_CLOUD_BINARY;
    }
    return HD_CLOUD_NONE;
}

/* --- attributes, wherever they stand --- */

struct reading {
    struct hd_cloud_event *out;
    struct hd_arena *arena;
    struct hd_error *err;
    struct hd_buf attributes; /* members with commas behind them */
    struct hd_str version, id, source;
};

static int digits(struct hd_str s, size_t at, size_t n)
{
    int value = 0;
    for (size_t i = at; i < at + n; i++) {
        if (i >= s.len || s.ptr[i] < '0' || s.ptr[i] > '9')
            return -1;
        value = 10 * value + (s.ptr[i] - '0');
    }
    return value;
}

static bool within(int value, int least, int most)
{
    return value >= least && value <= most;
}

/* RFC 3339 section 5.6. */
static bool is_time(struct hd_str s)
{
    size_t at = 19;
    if (s.len < 20 || digits(s, 0, 4) < 0 || s.ptr[4] != '-' || s.ptr[7] != '-' ||
        (s.ptr[10] | 0x20) != 't' || s.ptr[13] != ':' || s.ptr[16] != ':' ||
        !within(digits(s, 5, 2), 1, 12) || !within(digits(s, 8, 2), 1, 31) ||
        !within(digits(s, 11, 2), 0, 23) || !within(digits(s, 14, 2), 0, 59) ||
        !within(digits(s, 17, 2), 0, 60))
        return false;
    if (s.ptr[at] == '.') {
        size_t first = ++at;
        while (at < s.len && s.ptr[at] >= '0' && s.ptr[at] <= '9')
            at++;
        if (at == first)
            return false;
    }
    if (at + 1 == s.len)
        return (s.ptr[at] | 0x20) == 'z';
    return at + 6 == s.len && (s.ptr[at] == '+' || s.ptr[at] == '-') && s.ptr[at + 3] == ':' &&
           within(digits(s, at + 1, 2), 0, 23) && within(digits(s, at + 4, 2), 0, 59);
}

/* No blanks and no control characters; what follows the scheme is its owner's business. */
static bool is_reference(struct hd_str s)
{
    for (size_t i = 0; i < s.len; i++) {
        if ((unsigned char)s.ptr[i] <= 0x20 || s.ptr[i] == 0x7f)
            return false;
    }
    return s.len > 0;
}

static int check_name(struct hd_str name, struct hd_error *err)
{
    bool ok = name.len > 0 && name.len <= NAME_MAX_BYTES;
    for (size_t i = 0; i < name.len && ok; i++)
        ok = (name.ptr[i] >= 'a' && name.ptr[i] <= 'z') ||
             (name.ptr[i] >= '0' && name.ptr[i] <= '9');
    return ok ? 0
              : hd_fail(err, HD_EINVAL,
                        "CloudEvent: attribute \"%.*s\": a name has lower-case letters and digits "
                        "only",
                        (int)HD_MIN(name.len, (size_t)60), name.ptr);
}

static int check_text(struct hd_str name, struct hd_str value, struct hd_error *err)
{
    bool empty = value.len == 0;
    if (value.len > VALUE_MAX_BYTES)
        return hd_fail(err, HD_EINVAL, "CloudEvent: %.*s: is longer than %d bytes", HD_FMT(name),
                       VALUE_MAX_BYTES);
    if (hd_str_is(name, "specversion") && !hd_str_is(value, "1.0"))
        return hd_fail(err, HD_EINVAL, "CloudEvent: specversion: must be \"1.0\"");
    if (empty && (hd_str_is(name, "id") || hd_str_is(name, "type") || hd_str_is(name, "subject")))
        return hd_fail(err, HD_EINVAL, "CloudEvent: %.*s: must not be empty", HD_FMT(name));
    if ((hd_str_is(name, "source") || hd_str_is(name, "dataschema")) && !is_reference(value))
        return hd_fail(err, HD_EINVAL, "CloudEvent: %.*s: must be a URI that is not empty",
                       HD_FMT(name));
    if (hd_str_is(name, "time") && !is_time(value))
        return hd_fail(err, HD_EINVAL,
                       "CloudEvent: time: must be like 2026-11-21T10:00:00Z (RFC 3339)");
    return 0;
}

/* Keep what is needed by name; a value as it goes out again is in @p json, or its text is. */
static int take(struct reading *r, struct hd_str name, struct hd_str value,
                const struct hd_typed *json)
{
    int rc = check_name(name, r->err);
    if (rc == 0 && (json == NULL || json->kind == HD_TYPED_STRING))
        rc = check_text(name, value, r->err);
    if (rc < 0)
        return rc;
    if (hd_str_is(name, "specversion"))
        r->version = value;
    else if (hd_str_is(name, "id"))
        r->id = value;
    else if (hd_str_is(name, "source"))
        r->source = value;
    else if (hd_str_is(name, "type"))
        r->out->type = value;
    else if (hd_str_is(name, "traceparent"))
        r->out->traceparent = value;
    if (hd_str_is(name, "specversion") || hd_str_is(name, "datacontenttype") ||
        hd_str_is(name, "traceparent"))
        return 0;
    hd_typed_write_string(&r->attributes, name);
    hd_buf_char(&r->attributes, ':');
    if (json != NULL)
        hd_typed_to_plain(&r->attributes, json);
    else
        hd_typed_write_string(&r->attributes, value);
    hd_buf_char(&r->attributes, ',');
    return 0;
}

static int finish(struct reading *r, int rc)
{
    const struct {
        const char *name;
        struct hd_str value;
    } needed[] = {
        {"specversion", r->version}, {"id", r->id}, {"source", r->source}, {"type", r->out->type}};
    for (size_t i = 0; i < HD_COUNT(needed) && rc == 0; i++) {
        if (needed[i].value.len == 0)
            rc = hd_fail(r->err, HD_EINVAL, "CloudEvent: %s: is missing", needed[i].name);
    }
    if (rc == 0 && r->attributes.len > 0)
        r->attributes.ptr[r->attributes.len - 1] = '}';
    r->out->attributes = hd_arena_str(r->arena, hd_buf_view(&r->attributes));
    if (rc == 0 && (hd_buf_failed(&r->attributes) || r->out->attributes.ptr == NULL))
        rc = hd_fail(r->err, HD_EINVAL, "CloudEvent: its attributes are too long");
    hd_buf_done(&r->attributes);
    return rc;
}

static void begin(struct reading *r)
{
    *r->out = (struct hd_cloud_event){0};
    hd_buf_init(&r->attributes, ATTRIBUTES_MAX);
    hd_buf_char(&r->attributes, '{');
}

/* --- binary mode --- */

/* A value in double quotes stands without them; then %XX is a byte of UTF-8. */
static int decode(struct hd_str *out, struct hd_arena *arena, struct hd_str name,
                  struct hd_str value, struct hd_error *err)
{
    bool quoted = value.len >= 2 && value.ptr[0] == '"' && value.ptr[value.len - 1] == '"';
    size_t at = quoted, end = value.len - quoted;
    struct hd_buf text;
    hd_buf_init(&text, value.len + 1);
    while (at < end) {
        uint8_t byte;
        if (quoted && value.ptr[at] == '\\' && at + 1 < end)
            at++;
        if (value.ptr[at] == '%' && at + 2 < end &&
            hd_unhex(&byte, 1, hd_str_n(value.ptr + at + 1, 2)) == 0) {
            hd_buf_char(&text, (char)byte);
            at += 3;
        } else {
            hd_buf_char(&text, value.ptr[at++]);
        }
    }
    bool ok = text.len == 0 ||
              (hd_utf8_valid(hd_buf_view(&text)) && memchr(text.ptr, '\0', text.len) == NULL);
    *out = text.len > 0 ? hd_arena_str(arena, hd_buf_view(&text)) : hd_str("");
    hd_buf_done(&text);
    return ok && out->ptr != NULL
               ? 0
               : hd_fail(err, HD_EINVAL, "CloudEvent: ce-%.*s: is not percent-encoded UTF-8",
                         (int)HD_MIN(name.len, (size_t)60), name.ptr);
}

static int take_field(struct reading *r, const struct hd_field *f)
{
    char lower[NAME_MAX_BYTES];
    struct hd_str name = hd_str_n(f->name.ptr + 3, f->name.len - 3), value;
    if (name.len == 0 || name.len > sizeof(lower))
        return check_name(hd_str_n(name.ptr, name.len), r->err);
    for (size_t i = 0; i < name.len; i++) {
        char c = name.ptr[i];
        lower[i] = c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
    }
    name = hd_arena_str(r->arena, hd_str_n(lower, name.len));
    if (hd_str_is(name, "datacontenttype"))
        return hd_fail(r->err, HD_EINVAL,
                       "CloudEvent: ce-datacontenttype: Content-Type says it in binary mode");
    int rc = decode(&value, r->arena, name, f->value, r->err);
    return rc == 0 ? take(r, name, value, NULL) : rc;
}

int hd_cloud_binary(struct hd_cloud_event *out, struct hd_arena *arena, const struct hd_head *head,
                    struct hd_error *err)
{
    struct reading r = {.out = out, .arena = arena, .err = err};
    int rc = 0;
    begin(&r);
    for (size_t i = 0; i < head->n_fields && rc == 0; i++) {
        const struct hd_field *f = &head->fields[i];
        if (!begins(f->name, "ce-"))
            continue;
        for (size_t k = 0; k < i && rc == 0; k++)
            if (hd_str_eq_nocase(head->fields[k].name, f->name))
                rc = hd_fail(err, HD_EINVAL, "CloudEvent: %.*s: stands there twice",
                             (int)HD_MIN(f->name.len, (size_t)60), f->name.ptr);
        if (rc == 0)
            rc = take_field(&r, f);
    }
    return finish(&r, rc);
}

/* --- data --- */

static int set_data(struct hd_cloud_event *out, struct hd_arena *arena, struct hd_buf *text,
                    struct hd_error *err)
{
    out->data = hd_arena_str(arena, hd_buf_view(text));
    bool failed = hd_buf_failed(text) || out->data.ptr == NULL;
    hd_buf_done(text);
    return failed ? hd_fail(err, HD_EINVAL, "CloudEvent: its data is too long") : 0;
}

static int set_bytes(struct hd_cloud_event *out, struct hd_arena *arena, struct hd_str bytes,
                     struct hd_error *err)
{
    struct hd_buf text;
    hd_buf_init(&text, DATA_MAX);
    hd_buf_cstr(&text, "{\"__type\":\"Uint8Array\",\"value\":[");
    for (size_t i = 0; i < bytes.len; i++) {
        if (i > 0)
            hd_buf_char(&text, ',');
        hd_buf_u64(&text, (unsigned char)bytes.ptr[i]);
    }
    hd_buf_cstr(&text, "]}");
    out->typed = true;
    return set_data(out, arena, &text, err);
}

int hd_cloud_binary_data(struct hd_cloud_event *out, struct hd_arena *arena,
                         struct hd_str content_type, struct hd_str body, struct hd_error *err)
{
    struct hd_str media = media_of(content_type);
    struct hd_buf text;
    if (body.len == 0)
        return 0;
    out->typed = hd_str_is_nocase(media, TYPED_TYPE);
    if (!is_json(media) && media.len > 0 && !(begins(media, "text/") && hd_utf8_valid(body)))
        return set_bytes(out, arena, body, err);
    hd_buf_init(&text, DATA_MAX);
    if (is_json(media) || media.len == 0)
        hd_buf_str(&text, body);
    else
        hd_typed_write_string(&text, body);
    return set_data(out, arena, &text, err);
}

/* --- structured mode --- */

static int take_member(struct reading *r, struct hd_str name, const struct hd_typed *v)
{
    bool is_number = v->kind == HD_TYPED_NUMBER && v->number >= INT32_MIN &&
                     v->number <= INT32_MAX && (double)(int32_t)v->number == v->number;
    bool is_text = v->kind == HD_TYPED_STRING;
    static const char *const texts[] = {"specversion", "id",         "source",          "type",
                                        "time",        "dataschema", "datacontenttype", "subject",
                                        "traceparent"};
    if (v->kind == HD_TYPED_NULL)
        return 0; /* as if it were not there */
    for (size_t i = 0; i < HD_COUNT(texts); i++) {
        if (hd_str_is(name, texts[i]) && !is_text)
            return hd_fail(r->err, HD_EINVAL, "CloudEvent: %s: must be a string", texts[i]);
    }
    int rc = check_name(name, r->err);
    if (rc == 0 && !is_text && !is_number && v->kind != HD_TYPED_TRUE && v->kind != HD_TYPED_FALSE)
        rc = hd_fail(r->err, HD_EINVAL,
                     "CloudEvent: %.*s: must be a string, true, false, or an integer of 32 bits",
                     HD_FMT(name));
    return rc == 0 ? take(r, name, is_text ? v->text : hd_str(""), v) : rc;
}

static int take_base64(struct reading *r, const struct hd_typed *v)
{
    size_t used = 0;
    char *bytes = NULL;
    if (v->kind == HD_TYPED_STRING)
        bytes = hd_arena_alloc(r->arena, hd_base64_bytes(v->text.len) + 1);
    if (bytes == NULL || hd_base64_decode(bytes, &used, HD_BASE64, v->text) < 0)
        return hd_fail(r->err, HD_EINVAL, "CloudEvent: data_base64: must be base64 (RFC 4648)");
    return set_bytes(r->out, r->arena, hd_str_n(bytes, used), r->err);
}

static int take_data(struct reading *r, const struct hd_typed *object, const struct hd_typed *data)
{
    const struct hd_typed *type = hd_typed_get(object, "datacontenttype");
    struct hd_buf text;
    if (type != NULL && type->kind == HD_TYPED_STRING)
        r->out->typed = hd_str_is_nocase(media_of(type->text), TYPED_TYPE);
    hd_buf_init(&text, DATA_MAX);
    hd_typed_to_plain(&text, data);
    return set_data(r->out, r->arena, &text, r->err);
}

static int take_object(struct reading *r, const struct hd_typed *object)
{
    const struct hd_typed *data = hd_typed_get(object, "data"),
                          *base64 = hd_typed_get(object, "data_base64");
    int rc = 0;
    if (object->kind != HD_TYPED_OBJECT)
        return hd_fail(r->err, HD_EINVAL, "CloudEvent: must be a JSON object");
    if (data != NULL && base64 != NULL)
        return hd_fail(r->err, HD_EINVAL, "CloudEvent: has both data and data_base64");
    for (size_t i = 0; i < object->n && rc == 0; i++) {
        if (object->items[i] != data && object->items[i] != base64)
            rc = take_member(r, object->names[i], object->items[i]);
    }
    if (rc == 0 && base64 != NULL)
        rc = take_base64(r, base64);
    else if (rc == 0 && data != NULL)
        rc = take_data(r, object, data);
    return rc;
}

int hd_cloud_structured(struct hd_cloud_event *out, struct hd_arena *arena, struct hd_str body,
                        struct hd_error *err)
{
    struct reading r = {.out = out, .arena = arena, .err = err};
    struct hd_typed *object;
    begin(&r);
    int rc = hd_typed_from_plain(&object, arena, body, err);
    if (rc < 0)
        hd_wrap(err, rc, "CloudEvent");
    else
        rc = take_object(&r, object);
    return finish(&r, rc);
}
