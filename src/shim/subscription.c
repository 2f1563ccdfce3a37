#include "shim/subscription.h"

#include <jansson.h>
#include <stdio.h>
#include <time.h>

static const struct {
    const char *name;
    unsigned type;
} type_names[] = {{"platform", HD_TELE_PLATFORM},
                  {"function", HD_TELE_FUNCTION},
                  {"extension", HD_TELE_EXTENSION}};

static int read_types(unsigned *types, const json_t *list, struct hd_error *err)
{
    *types = 0;
    for (size_t i = 0; i < json_array_size(list); i++) {
        struct hd_str name = hd_str(json_string_value(json_array_get(list, i)));
        unsigned type = 0;
        for (size_t j = 0; j < HD_COUNT(type_names); j++)
            if (hd_str_is(name, type_names[j].name))
                type = type_names[j].type;
        if (type == 0)
            return hd_fail(err, HD_EINVAL,
                           "types[%zu]: must be \"platform\", \"function\" or \"extension\"", i);
        *types |= type;
    }
    return *types != 0 ? 0 : hd_fail(err, HD_EINVAL, "types: at least one is needed");
}

static int number(uint32_t *out, const json_t *object, const char *key, uint32_t min, uint32_t max,
                  uint32_t instead, struct hd_error *err)
{
    const json_t *v = json_object_get(object, key);
    *out = instead;
    if (v == NULL)
        return 0;
    json_int_t n = json_integer_value(v);
    if (!json_is_integer(v) || n < min || n > max)
        return hd_fail(err, HD_EINVAL, "buffering.%s: must be %u to %u", key, min, max);
    *out = (uint32_t)n;
    return 0;
}

/* Whether it can stand in a request's first line; NUL-terminated. */
static bool is_path(const char *text)
{
    for (; *text != '\0'; text++)
        if (*text <= ' ' || *text >= 0x7f || *text == '#')
            return false;
    return true;
}

/* "http://sandbox.localdomain:8080/path" */
static int read_destination(struct hd_subscription *s, const json_t *o, struct hd_error *err)
{
    static const char *const hosts[] = {"http://sandbox.localdomain:", "http://sandbox:"};
    const char *protocol = json_string_value(json_object_get(o, "protocol"));
    struct hd_str uri = hd_str(json_string_value(json_object_get(o, "URI")));
    if (protocol == NULL || strcmp(protocol, "HTTP") != 0)
        return hd_fail(err, HD_EINVAL, "destination.protocol: must be \"HTTP\"");
    for (size_t i = 0; i < HD_COUNT(hosts); i++) {
        struct hd_str host = hd_str(hosts[i]);
        if (!hd_str_starts(uri, host))
            continue;
        struct hd_str rest = hd_str_n(uri.ptr + host.len, uri.len - host.len);
        size_t slash = hd_str_find(rest, '/');
        uint64_t port;
        if (hd_str_to_u64(&port, hd_str_n(rest.ptr, slash)) < 0 || port == 0 || port > UINT16_MAX ||
            rest.len - slash > HD_SUBSCRIPTION_PATH_MAX || !is_path(rest.ptr + slash))
            break;
        s->port = (uint16_t)port;
        snprintf(s->path, sizeof(s->path), "%s%.*s", slash == rest.len ? "/" : "",
                 (int)(rest.len - slash), rest.ptr + slash);
        return 0;
    }
    return hd_fail(err, HD_EINVAL,
                   "destination.URI: must be http://sandbox.localdomain:<port>[/path]");
}

int hd_subscription_parse(struct hd_subscription *out, struct hd_str body, struct hd_error *err)
{
    json_t *o = json_loadb(body.ptr != NULL ? body.ptr : "", body.len, 0, NULL);
    const json_t *buffering = json_object_get(o, "buffering");
    *out = (struct hd_subscription){0};
    int rc = json_is_object(o) ? 0 : hd_fail(err, HD_EINVAL, "the body must be a JSON object");
    if (rc == 0)
        rc = read_types(&out->types, json_object_get(o, "types"), err);
    if (rc == 0)
        rc = number(&out->max_items, buffering, "maxItems", 1000, 10000, 10000, err);
    if (rc == 0)
        rc = number(&out->max_bytes, buffering, "maxBytes", 262144, 1048576, 262144, err);
    if (rc == 0)
        rc = number(&out->timeout_ms, buffering, "timeoutMs", 25, 30000, 1000, err);
    if (rc == 0)
        rc = read_destination(out, json_object_get(o, "destination"), err);
    json_decref(o);
    return rc;
}

void hd_subscription_types(struct hd_buf *out, unsigned types)
{
    hd_buf_char(out, '[');
    for (size_t i = 0, n = 0; i < HD_COUNT(type_names); i++) {
        if ((types & type_names[i].type) == 0)
            continue;
        if (n++ > 0)
            hd_buf_char(out, ',');
        hd_buf_json(out, hd_str(type_names[i].name));
    }
    hd_buf_char(out, ']');
}

size_t hd_subscription_batch(struct hd_buf *out, unsigned *items, struct hd_str queue,
                             const struct hd_subscription *s)
{
    size_t used = 0;
    *items = 0;
    while (used < queue.len && *items < s->max_items) {
        struct hd_str rest = hd_str_n(queue.ptr + used, queue.len - used);
        size_t n = hd_str_find(rest, '\n');
        if (*items > 0 && used + n > s->max_bytes)
            break;
        hd_buf_char(out, *items == 0 ? '[' : ',');
        hd_buf_add(out, rest.ptr, n);
        used += HD_MIN(n + 1, rest.len);
        *items += 1;
    }
    if (*items > 0)
        hd_buf_char(out, ']');
    return used;
}

void hd_subscription_event(struct hd_buf *out, int64_t unix_ms, const char *type,
                           struct hd_str record)
{
    time_t seconds = (time_t)(unix_ms / 1000);
    struct tm t;
    gmtime_r(&seconds, &t);
    hd_buf_fmt(out, "{\"time\":\"%04d-%02d-%02dT%02d:%02d:%02d.%03dZ\",\"type\":\"%s\",\"record\":",
               t.tm_year + 1900, t.tm_mon + 1, t.tm_mday, t.tm_hour, t.tm_min, t.tm_sec,
               (int)(unix_ms % 1000), type);
    hd_buf_str(out, record);
    hd_buf_cstr(out, "}\n");
}
