#include "lambda/door/urlanswer.h"

#include "core/base64.h"
#include "http/parse.h"
#include "http/scan.h"

#include <jansson.h>
#include <stdio.h>

enum { NULS = 8, MEMORY_MAX = 32 << 20 };

static struct hd_str text_of(const json_t *v)
{
    return json_is_string(v) ? hd_str_n(json_string_value(v), json_string_length(v))
                             : hd_str_n(NULL, 0);
}

/* --- one field --- */

static int check_field(struct hd_str name, struct hd_str value, struct hd_error *err)
{
    if (name.len == 0 || hd_scan_token(name.ptr, name.ptr + name.len) != name.ptr + name.len)
        return hd_fail(err, HD_EPROTO, "headers: \"%.*s\" is no header name",
                       (int)HD_MIN(name.len, (size_t)64), name.ptr);
    if (value.len > 0 && hd_scan_value(value.ptr, value.ptr + value.len) != value.ptr + value.len)
        return hd_fail(err, HD_EPROTO, "headers: %.*s: a value with a control byte",
                       (int)HD_MIN(name.len, (size_t)64), name.ptr);
    return 0;
}

static int add_field(struct hd_url_answer *a, struct hd_str name, struct hd_str value,
                     struct hd_error *err)
{
    int rc = check_field(name, value, err);
    if (rc < 0)
        return rc;
    if (a->n_fields == HD_URL_FIELDS_MAX)
        return hd_fail(err, HD_EPROTO, "headers: more than %d of them", HD_URL_FIELDS_MAX);
    struct hd_field f = {hd_arena_str(&a->memory, name),
                         hd_arena_str(&a->memory, hd_str_trim(value))};
    if (f.name.ptr == NULL || f.value.ptr == NULL)
        return hd_fail(err, HD_EPROTO, "headers: more than %d bytes", MEMORY_MAX);
    a->fields[a->n_fields++] = f;
    return 0;
}

/* Numbers and booleans count as their text. */
static int add_value(struct hd_url_answer *a, struct hd_str name, const json_t *value,
                     struct hd_error *err)
{
    char number[32];
    if (json_is_null(value))
        return 0;
    if (json_is_string(value))
        return add_field(a, name, text_of(value), err);
    if (json_is_boolean(value))
        return add_field(a, name, hd_str(json_is_true(value) ? "true" : "false"), err);
    if (json_is_integer(value))
        snprintf(number, sizeof(number), "%lld", (long long)json_integer_value(value));
    else if (json_is_real(value))
        snprintf(number, sizeof(number), "%.17g", json_real_value(value));
    else
        return hd_fail(err, HD_EPROTO, "headers: %.*s: must be a string",
                       (int)HD_MIN(name.len, (size_t)64), name.ptr);
    return add_field(a, name, hd_str(number), err);
}

/* --- the head's members --- */

static int read_status(struct hd_url_answer *a, const json_t *value, struct hd_error *err)
{
    uint64_t status = 0;
    if (json_is_integer(value) && json_integer_value(value) > 0)
        status = (uint64_t)json_integer_value(value);
    else if (json_is_string(value))
        hd_str_to_u64(&status, text_of(value));
    if (status < 200 || status > 599)
        return hd_fail(err, HD_EPROTO, "statusCode: must be a number from 200 to 599");
    a->status = (unsigned)status;
    return 0;
}

static int read_headers(struct hd_url_answer *a, const json_t *headers, struct hd_error *err)
{
    const char *key;
    json_t *value;
    if (headers == NULL || json_is_null(headers))
        return 0;
    if (!json_is_object(headers))
        return hd_fail(err, HD_EPROTO, "headers: must be an object");
    json_object_foreach((json_t *)headers, key, value)
    {
        struct hd_str name = hd_str(key);
        if (hd_is_hop_by_hop(name) || hd_str_is_nocase(name, "content-length"))
            continue; /* framing is ours */
        int rc = add_value(a, name, value, err);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static int read_cookies(struct hd_url_answer *a, const json_t *cookies, struct hd_error *err)
{
    size_t i;
    json_t *value;
    if (cookies == NULL || json_is_null(cookies))
        return 0;
    if (!json_is_array(cookies))
        return hd_fail(err, HD_EPROTO, "cookies: must be a list");
    json_array_foreach(cookies, i, value)
    {
        if (!json_is_string(value))
            return hd_fail(err, HD_EPROTO, "cookies: must be strings");
        int rc = add_field(a, hd_str("Set-Cookie"), text_of(value), err);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static int add_content_type(struct hd_url_answer *a, const char *type, struct hd_error *err)
{
    for (size_t i = 0; i < a->n_fields; i++)
        if (hd_str_is_nocase(a->fields[i].name, "content-type"))
            return 0;
    return add_field(a, hd_str("Content-Type"), hd_str(type), err);
}

static int read_head(struct hd_url_answer *a, const json_t *root, const char *type,
                     struct hd_error *err)
{
    const json_t *status = json_object_get(root, "statusCode");
    int rc = status != NULL ? read_status(a, status, err) : 0;
    if (rc == 0)
        rc = read_headers(a, json_object_get(root, "headers"), err);
    if (rc == 0)
        rc = read_cookies(a, json_object_get(root, "cookies"), err);
    if (rc == 0)
        rc = add_content_type(a, type, err);
    return rc;
}

/* --- body --- */

static int read_body(struct hd_url_answer *a, const json_t *root, struct hd_error *err)
{
    const json_t *body = json_object_get(root, "body");
    const json_t *encoded = json_object_get(root, "isBase64Encoded");
    if (body == NULL || json_is_null(body))
        return 0;
    if (!json_is_string(body))
        return hd_fail(err, HD_EPROTO, "body: must be a string");
    if (encoded != NULL && !json_is_boolean(encoded) && !json_is_null(encoded))
        return hd_fail(err, HD_EPROTO, "isBase64Encoded: must be true or false");
    a->body = hd_arena_str(&a->memory, text_of(body));
    if (a->body.ptr == NULL)
        return hd_fail(err, HD_EPROTO, "body: more than %d bytes", MEMORY_MAX);
    if (!json_is_true(encoded))
        return 0;
    size_t used;
    if (hd_base64_decode((char *)a->body.ptr, &used, HD_BASE64, a->body) < 0)
        return hd_fail(err, HD_EPROTO, "body: not base64 at character %zu", used + 1);
    a->body.len = used;
    return 0;
}

static void begin(struct hd_url_answer *a)
{
    *a = (struct hd_url_answer){.status = 200};
    hd_arena_init(&a->memory, NULL, 0, MEMORY_MAX);
    a->fields = hd_arena_alloc(&a->memory, HD_URL_FIELDS_MAX * sizeof(*a->fields));
}

int hd_url_answer_read(struct hd_url_answer *out, struct hd_str payload, struct hd_error *err)
{
    begin(out);
    json_t *root = json_loadb(payload.ptr != NULL ? payload.ptr : "", payload.len,
                              JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
    int rc = 0;
    if (json_object_get(root, "statusCode") != NULL) {
        rc = read_head(out, root, "application/json", err);
        if (rc == 0)
            rc = read_body(out, root, err);
    } else {
        rc = add_content_type(out, "application/json", err);
        out->body = json_is_string(root) ? hd_arena_str(&out->memory, text_of(root)) : payload;
    }
    json_decref(root);
    if (rc < 0)
        hd_url_answer_done(out);
    return rc;
}

void hd_url_answer_done(struct hd_url_answer *a)
{
    hd_arena_done(&a->memory);
    *a = (struct hd_url_answer){.status = 0};
}

/* --- prelude --- */

int hd_url_prelude_feed(struct hd_url_prelude *p, size_t *used, struct hd_str bytes,
                        struct hd_error *err)
{
    if (p->json.max == 0)
        hd_buf_init(&p->json, HD_URL_PRELUDE_MAX);
    size_t at = p->nuls == 0 ? hd_str_find(bytes, '\0') : 0;
    hd_buf_add(&p->json, bytes.ptr, at);
    if (hd_buf_failed(&p->json))
        return hd_fail(err, HD_EPROTO, "prelude: no end within %d bytes", HD_URL_PRELUDE_MAX);
    for (; at < bytes.len && p->nuls < NULS; at++, p->nuls++)
        if (bytes.ptr[at] != '\0')
            return hd_fail(err, HD_EPROTO, "prelude: %u NUL bytes after it instead of %d", p->nuls,
                           NULS);
    *used = at;
    return p->nuls == NULS ? 1 : 0;
}

int hd_url_prelude_answer(struct hd_url_answer *out, struct hd_url_prelude *p, struct hd_error *err)
{
    begin(out);
    struct hd_str text = hd_buf_view(&p->json);
    json_t *root = json_loadb(text.ptr != NULL ? text.ptr : "", text.len, 0, NULL);
    int rc = json_is_object(root) ? read_head(out, root, "application/octet-stream", err)
                                  : hd_fail(err, HD_EPROTO, "prelude: must be a JSON object");
    json_decref(root);
    if (rc < 0)
        hd_url_answer_done(out);
    return rc;
}

void hd_url_prelude_done(struct hd_url_prelude *p)
{
    hd_buf_done(&p->json);
    *p = (struct hd_url_prelude){.nuls = 0};
}

bool hd_url_has_prelude(struct hd_str content_type)
{
    struct hd_str type = {content_type.ptr, hd_str_find(content_type, ';')};
    return hd_str_is_nocase(hd_str_trim(type),
                            "application/vnd.awslambda.http-integration-response");
}
