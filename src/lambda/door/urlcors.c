#include "lambda/door/urlanswer.h"

static struct hd_str find(const struct hd_request_head *head, const char *name)
{
    for (size_t i = 0; i < head->n_fields; i++)
        if (hd_str_is_nocase(head->fields[i].name, name))
            return head->fields[i].value;
    return hd_str_n(NULL, 0);
}

static bool has(const char *const *list, const char *item)
{
    for (; list != NULL && *list != NULL; list++)
        if (hd_str_is(hd_str(item), *list))
            return true;
    return false;
}

static bool is_listed(const char *const *origins, struct hd_str origin)
{
    for (; origins != NULL && *origins != NULL; origins++) {
        struct hd_str one = hd_str(*origins);
        if (hd_str_is(one, "*") || hd_str_eq_nocase(one, origin))
            return true;
        bool scheme = hd_str_is(one, "https://*") || hd_str_is(one, "http://*");
        if (scheme && origin.len > one.len - 1 &&
            hd_str_eq_nocase(hd_str_n(origin.ptr, one.len - 1), hd_str_n(one.ptr, one.len - 1)))
            return true;
    }
    return false;
}

static void add(struct hd_url_cors_answer *a, const char *name, struct hd_str value)
{
    if (value.len > 0)
        a->fields[a->n_fields++] = (struct hd_field){hd_str(name), value};
}

/* The list, or what was asked for where it is "*": with credentials "*" would mean nothing. The
 * memory has room for all lists, so that it never moves. */
static void add_list(struct hd_url_cors_answer *a, const char *name, const char *const *list,
                     struct hd_str asked)
{
    if (has(list, "*") && asked.len > 0) {
        add(a, name, asked);
        return;
    }
    size_t at = a->memory.len;
    for (size_t i = 0; list != NULL && list[i] != NULL; i++) {
        if (i > 0)
            hd_buf_char(&a->memory, ',');
        hd_buf_cstr(&a->memory, list[i]);
    }
    if (a->memory.len > at)
        add(a, name, hd_str_n(a->memory.ptr + at, a->memory.len - at));
}

static size_t list_bytes(const char *const *list)
{
    size_t bytes = 0;
    for (; list != NULL && *list != NULL; list++)
        bytes += strlen(*list) + 1;
    return bytes;
}

void hd_url_cors_decide(struct hd_url_cors_answer *out, const struct hd_url_cors *cors,
                        const struct hd_request_head *head)
{
    *out = (struct hd_url_cors_answer){.n_fields = 0};
    if (!cors->given)
        return;
    hd_buf_init(&out->memory, 1 << 20);
    hd_buf_reserve(&out->memory, 64 + list_bytes(cors->methods) + list_bytes(cors->headers) +
                                     list_bytes(cors->expose));
    struct hd_str origin = find(head, "origin"),
                  method = find(head, "access-control-request-method");
    out->preflight = hd_str_is(head->method, "OPTIONS") && origin.len > 0 && method.len > 0;
    add(out, "Vary", hd_str("Origin"));
    if (origin.len == 0 || !is_listed(cors->origins, origin))
        return;
    add(out, "Access-Control-Allow-Origin",
        has(cors->origins, "*") && !cors->credentials ? hd_str("*") : origin);
    if (cors->credentials)
        add(out, "Access-Control-Allow-Credentials", hd_str("true"));
    if (!out->preflight) {
        add_list(out, "Access-Control-Expose-Headers", cors->expose, hd_str_n(NULL, 0));
        return;
    }
    add_list(out, "Access-Control-Allow-Methods", cors->methods, method);
    add_list(out, "Access-Control-Allow-Headers", cors->headers,
             find(head, "access-control-request-headers"));
    if (cors->max_age_s > 0) {
        size_t at = out->memory.len;
        hd_buf_u64(&out->memory, cors->max_age_s);
        add(out, "Access-Control-Max-Age", hd_str_n(out->memory.ptr + at, out->memory.len - at));
    }
}

void hd_url_cors_done(struct hd_url_cors_answer *a)
{
    hd_buf_done(&a->memory);
}

bool hd_url_cors_owns(struct hd_str field_name)
{
    struct hd_str prefix = hd_str("access-control-");
    return field_name.len > prefix.len &&
           hd_str_eq_nocase(hd_str_n(field_name.ptr, prefix.len), prefix);
}
