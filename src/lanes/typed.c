/* typed.c - the tree form: raw JSON to values with records, and what functions see of these. */
#include "lanes/typed.h"

#include "core/base64.h"
#include "lanes/typed_private.h"

#include <math.h>

const struct hd_typed *hd_typed_undefined(void)
{
    static struct hd_typed null = {.kind = HD_TYPED_NULL};
    static struct hd_typed *items[] = {&null};
    static const struct hd_typed undefined = {
        .kind = HD_TYPED_RECORD, .tag = HD_TAG_UNDEFINED, .n = 1, .items = items};
    return &undefined;
}

const struct hd_typed *hd_typed_get(const struct hd_typed *object, const char *name)
{
    if (object == NULL || object->kind != HD_TYPED_OBJECT)
        return NULL;
    for (size_t i = 0; i < object->n; i++) {
        if (hd_str_is(object->names[i], name))
            return object->items[i];
    }
    return NULL;
}

bool hd_typed_unsafe_name(struct hd_str name)
{
    return hd_str_is(name, "__proto__") || hd_str_is(name, "constructor") ||
           hd_str_is(name, "prototype");
}

/* --- reading the tree form, in place --- */

static int settle(struct hd_typed **slot, struct hd_arena *arena, struct hd_error *err);

static int settle_all(struct hd_typed *v, struct hd_arena *arena, struct hd_error *err)
{
    for (size_t i = 0; i < v->n; i++) {
        int rc = settle(&v->items[i], arena, err);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static int settle_object(struct hd_typed *o, struct hd_arena *arena, struct hd_error *err)
{
    struct hd_str prefix = hd_str(HD_TYPED_ESCAPE);
    size_t kept = 0;
    bool renamed = false;
    for (size_t i = 0; i < o->n; i++) {
        struct hd_str name = o->names[i];
        if (hd_typed_unsafe_name(name))
            continue;
        if (hd_str_starts(name, prefix)) {
            name = hd_str_n(name.ptr + prefix.len, name.len - prefix.len);
            renamed = true;
            if (hd_typed_unsafe_name(name))
                continue;
        }
        o->names[kept] = name;
        o->items[kept++] = o->items[i];
    }
    o->n = kept;
    if (renamed && hd_typed_order(o, arena) < 0)
        return hd_typed_no_room(err);
    return settle_all(o, arena, err);
}

static int settle(struct hd_typed **slot, struct hd_arena *arena, struct hd_error *err)
{
    struct hd_typed *v = *slot;
    if (v->kind == HD_TYPED_ARRAY)
        return settle_all(v, arena, err);
    if (v->kind != HD_TYPED_OBJECT)
        return 0;
    const struct hd_typed *type = hd_typed_get(v, "__type");
    struct hd_typed *value = (struct hd_typed *)hd_typed_get(v, "value");
    if (type == NULL || type->kind != HD_TYPED_STRING || value == NULL)
        return settle_object(v, arena, err);
    enum hd_typed_tag tag = hd_typed_tag_of(type->text);
    if (tag == HD_TAG_COUNT)
        return hd_fail(err, HD_EINVAL, "a record of the unknown type \"%.*s\"",
                       (int)HD_MIN(type->text.len, (size_t)60), type->text.ptr);
    if (tag != HD_TAG_UNDEFINED) {
        int rc = settle(&value, arena, err);
        if (rc < 0)
            return rc;
    }
    return hd_typed_record(slot, arena, tag, value, err);
}

int hd_typed_read(struct hd_typed **out, struct hd_arena *arena, struct hd_str json,
                  struct hd_error *err)
{
    struct hd_typed *raw;
    int rc = hd_typed_parse(&raw, arena, json, err);
    if (rc < 0)
        return rc;
    if (hd_typed_is_graph(raw))
        return hd_typed_from_graph(out, arena, raw, err);
    rc = settle(&raw, arena, err);
    *out = raw;
    return rc;
}

int hd_typed_from_plain(struct hd_typed **out, struct hd_arena *arena, struct hd_str json,
                        struct hd_error *err)
{
    return hd_typed_parse(out, arena, json, err);
}

/* --- writing for functions that know nothing of records --- */

static bool is_undefined(const struct hd_typed *v)
{
    return v->kind == HD_TYPED_RECORD && v->tag == HD_TAG_UNDEFINED;
}

static void plain_base64(struct hd_buf *out, struct hd_str bytes)
{
    hd_buf_char(out, '"');
    char *to = hd_buf_reserve(out, hd_base64_chars(HD_BASE64, bytes.len));
    if (to != NULL)
        hd_buf_commit(out, hd_base64_encode(to, HD_BASE64, bytes.ptr, bytes.len));
    hd_buf_char(out, '"');
}

static void plain_regexp(struct hd_buf *out, const struct hd_typed *payload)
{
    struct hd_buf text;
    hd_buf_init(&text, SIZE_MAX / 2);
    hd_buf_char(&text, '/');
    hd_buf_str(&text, hd_typed_get(payload, "pattern")->text);
    hd_buf_char(&text, '/');
    hd_buf_str(&text, hd_typed_get(payload, "flags")->text);
    hd_typed_write_string(out, hd_buf_view(&text));
    hd_buf_done(&text);
}

static void plain_error(struct hd_buf *out, const struct hd_typed *payload)
{
    hd_buf_cstr(out, "{\"name\":");
    hd_typed_write_string(out, hd_typed_get(payload, "name")->text);
    hd_buf_cstr(out, ",\"message\":");
    hd_typed_write_string(out, hd_typed_get(payload, "message")->text);
    hd_buf_char(out, '}');
}

static void plain_record(struct hd_buf *out, const struct hd_typed *v)
{
    const struct hd_typed *payload = v->items[0];
    if (hd_typed_element_bytes(v->tag) > 0)
        plain_base64(out, v->text);
    else if (v->tag == HD_TAG_UNDEFINED || v->tag == HD_TAG_NON_FINITE)
        hd_buf_cstr(out, "null");
    else if (v->tag == HD_TAG_REGEXP)
        plain_regexp(out, payload);
    else if (v->tag == HD_TAG_ERROR)
        plain_error(out, payload);
    else if (v->tag == HD_TAG_SYMBOL)
        hd_typed_write_string(out, hd_typed_get(payload, "key")->text);
    else
        hd_typed_to_plain(out, payload);
}

static void plain_object(struct hd_buf *out, const struct hd_typed *v)
{
    bool first = true;
    hd_buf_char(out, '{');
    for (size_t i = 0; i < v->n; i++) {
        if (is_undefined(v->items[i]))
            continue;
        if (!first)
            hd_buf_char(out, ',');
        first = false;
        hd_typed_write_string(out, v->names[i]);
        hd_buf_char(out, ':');
        hd_typed_to_plain(out, v->items[i]);
    }
    hd_buf_char(out, '}');
}

void hd_typed_to_plain(struct hd_buf *out, const struct hd_typed *v)
{
    if (v->kind == HD_TYPED_RECORD) {
        plain_record(out, v);
    } else if (v->kind == HD_TYPED_OBJECT) {
        plain_object(out, v);
    } else if (v->kind == HD_TYPED_ARRAY) {
        hd_buf_char(out, '[');
        for (size_t i = 0; i < v->n; i++) {
            if (i > 0)
                hd_buf_char(out, ',');
            hd_typed_to_plain(out, v->items[i]);
        }
        hd_buf_char(out, ']');
    } else if (v->kind == HD_TYPED_NUMBER && isinf(v->number)) {
        hd_buf_cstr(out, "null");
    } else {
        hd_typed_write(out, v);
    }
}
