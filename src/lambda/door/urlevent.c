#include "lambda/door/urlevent.h"

#include "core/arena.h"
#include "core/base64.h"
#include "core/id.h"
#include "core/map.h"
#include "core/utf8.h"
#include "http/parse.h"

#include <time.h>

/* --- host --- */

static bool is_label(struct hd_str s)
{
    for (size_t i = 0; i < s.len; i++) {
        char c = s.ptr[i], low = (char)(c | 0x20);
        if (!(low >= 'a' && low <= 'z') && !(c >= '0' && c <= '9') && c != '-')
            return false;
    }
    return s.len >= 1 && s.len <= 63;
}

bool hd_url_host_parse(struct hd_url_host *out, struct hd_str authority, struct hd_str domain)
{
    struct hd_str rest = authority, marker;
    *out = (struct hd_url_host){.id = {NULL, 0}};
    if (!hd_str_split(&out->name, &rest, ':'))
        return false;
    out->port = rest;
    uint64_t port = 0;
    if (rest.ptr != NULL && (hd_str_to_u64(&port, rest) < 0 || port > UINT16_MAX))
        return false;
    if (hd_str_ends(out->name, hd_str(".")))
        out->name.len--;
    rest = out->name;
    return hd_str_split(&out->id, &rest, '.') && is_label(out->id) &&
           hd_str_split(&marker, &rest, '.') && hd_str_is_nocase(marker, "lambda-url") &&
           hd_str_split(&out->region, &rest, '.') && is_label(out->region) && rest.ptr != NULL &&
           hd_str_eq_nocase(rest, domain);
}

/* --- small parts of the event --- */

static void add_member(struct hd_buf *out, const char *name, struct hd_str value)
{
    hd_buf_fmt(out, "\"%s\":", name);
    hd_buf_json(out, value);
}

/* Append what percent-escapes stand for; broken ones as they are. */
static void add_decoded(struct hd_buf *out, struct hd_str s, bool plus_is_blank)
{
    for (size_t i = 0; i < s.len; i++) {
        unsigned char byte = (unsigned char)s.ptr[i];
        if (byte == '%' && s.len - i > 2 && hd_unhex(&byte, 1, hd_str_n(s.ptr + i + 1, 2)) == 0)
            i += 2;
        else if (byte == '+' && plus_is_blank)
            byte = ' ';
        hd_buf_char(out, (char)byte);
    }
}

static struct hd_str find_field(const struct hd_request_head *head, const char *name)
{
    for (size_t i = 0; i < head->n_fields; i++)
        if (hd_str_is_nocase(head->fields[i].name, name))
            return head->fields[i].value;
    return hd_str_n(NULL, 0);
}

/* --- headers and cookies --- */

static bool is_ours(struct hd_str name)
{
    static const char *const ours[] = {"host",
                                       "x-forwarded-for",
                                       "x-forwarded-proto",
                                       "x-forwarded-port",
                                       "x-amzn-trace-id",
                                       "content-length"};
    for (size_t i = 0; i < HD_COUNT(ours); i++)
        if (hd_str_is_nocase(name, ours[i]))
            return true;
    return false;
}

/* @return whether a field is about the connection that it came on. */
static bool is_of_connection(const struct hd_request_head *head, struct hd_str name)
{
    if (hd_is_hop_by_hop(name))
        return true;
    for (size_t i = 0; i < head->n_fields; i++) {
        struct hd_str rest = head->fields[i].value, one;
        if (!hd_str_is_nocase(head->fields[i].name, "connection"))
            continue;
        while (hd_str_split(&one, &rest, ','))
            if (hd_str_eq_nocase(hd_str_trim(one), name))
                return true;
    }
    return false;
}

static void add_header_name(struct hd_buf *out, struct hd_buf *scratch, struct hd_str name)
{
    hd_buf_clear(scratch);
    for (size_t i = 0; i < name.len; i++) {
        char c = name.ptr[i];
        hd_buf_char(scratch, (char)(c >= 'A' && c <= 'Z' ? c | 0x20 : c));
    }
    hd_buf_json(out, hd_buf_view(scratch));
}

/* All values of the i-th field's name, in one string; nothing if that was done before. */
static void add_header(struct hd_buf *out, struct hd_buf *scratch,
                       const struct hd_request_head *head, size_t i)
{
    struct hd_str name = head->fields[i].name;
    for (size_t k = 0; k < i; k++)
        if (hd_str_eq_nocase(head->fields[k].name, name))
            return;
    hd_buf_char(out, ',');
    add_header_name(out, scratch, name);
    hd_buf_char(out, ':');
    hd_buf_clear(scratch);
    const char *between = hd_str_is_nocase(name, "cookie") ? "; " : ",";
    for (size_t k = i; k < head->n_fields; k++) {
        if (!hd_str_eq_nocase(head->fields[k].name, name))
            continue;
        if (k > i)
            hd_buf_cstr(scratch, between);
        hd_buf_str(scratch, head->fields[k].value);
    }
    hd_buf_json(out, hd_buf_view(scratch));
}

static void add_headers(struct hd_buf *out, struct hd_buf *scratch,
                        const struct hd_url_request *req)
{
    hd_buf_cstr(out, "\"headers\":{");
    add_member(out, "host", req->head->authority);
    hd_buf_char(out, ',');
    add_member(out, "x-forwarded-for", req->source_ip);
    hd_buf_char(out, ',');
    add_member(out, "x-forwarded-proto", req->scheme);
    hd_buf_fmt(out, ",\"x-forwarded-port\":\"%u\"", req->port);
    if (req->trace.len > 0) {
        hd_buf_char(out, ',');
        add_member(out, "x-amzn-trace-id", req->trace);
    }
    if (req->body.len > 0)
        hd_buf_fmt(out, ",\"content-length\":\"%zu\"", req->body.len);
    for (size_t i = 0; i < req->head->n_fields; i++)
        if (!is_ours(req->head->fields[i].name) &&
            !is_of_connection(req->head, req->head->fields[i].name))
            add_header(out, scratch, req->head, i);
    hd_buf_cstr(out, "},");
}

static void add_cookies(struct hd_buf *out, const struct hd_request_head *head)
{
    const char *before = "\"cookies\":[";
    for (size_t i = 0; i < head->n_fields; i++) {
        struct hd_str rest = head->fields[i].value, one;
        if (!hd_str_is_nocase(head->fields[i].name, "cookie"))
            continue;
        while (hd_str_split(&one, &rest, ';')) {
            one = hd_str_trim(one);
            if (one.len == 0)
                continue;
            hd_buf_cstr(out, before);
            hd_buf_json(out, one);
            before = ",";
        }
    }
    if (before[0] == ',')
        hd_buf_cstr(out, "],");
}

/* --- query parameters --- */

struct param {
    struct hd_str name;
    struct value {
        struct value *next;
        struct hd_str text;
    } * first, **last;
    struct param *next;
};

struct params {
    struct hd_map by_name;
    struct hd_arena memory;
    struct param *first, **last;
};

static struct hd_str decode(struct params *p, struct hd_buf *scratch, struct hd_str s)
{
    hd_buf_clear(scratch);
    add_decoded(scratch, s, true);
    return hd_arena_str(&p->memory, hd_buf_view(scratch));
}

/* @return false at the ceiling of the memory. */
static bool add_param(struct params *p, struct hd_buf *scratch, struct hd_str pair)
{
    struct hd_str raw, text = pair;
    hd_str_split(&raw, &text, '=');
    struct hd_str name = decode(p, scratch, raw);
    struct value *v = hd_arena_alloc(&p->memory, sizeof(*v));
    if (v != NULL)
        v->text = decode(p, scratch, text);
    if (name.ptr == NULL || v == NULL || v->text.ptr == NULL)
        return false;
    struct param *at = hd_map_get(&p->by_name, name);
    if (at == NULL) {
        at = hd_arena_alloc(&p->memory, sizeof(*at));
        if (at == NULL)
            return false;
        *at = (struct param){.name = name, .last = &at->first};
        hd_map_put(&p->by_name, name, at);
        *p->last = at;
        p->last = &at->next;
    }
    *at->last = v;
    at->last = &v->next;
    return true;
}

static void write_params(struct hd_buf *out, struct hd_buf *scratch, const struct params *p)
{
    if (p->first == NULL)
        return;
    const char *before = "\"queryStringParameters\":{";
    for (const struct param *at = p->first; at != NULL; at = at->next) {
        hd_buf_cstr(out, before);
        hd_buf_json(out, at->name);
        hd_buf_char(out, ':');
        hd_buf_clear(scratch);
        for (const struct value *v = at->first; v != NULL; v = v->next) {
            if (v != at->first)
                hd_buf_char(scratch, ',');
            hd_buf_str(scratch, v->text);
        }
        hd_buf_json(out, hd_buf_view(scratch));
        before = ",";
    }
    hd_buf_cstr(out, "},");
}

static bool add_params(struct hd_buf *out, struct hd_buf *scratch, struct hd_str query)
{
    struct params p = {.last = &p.first};
    uint64_t seed;
    hd_random(&seed, sizeof(seed));
    hd_map_init(&p.by_name, seed);
    hd_arena_init(&p.memory, NULL, 0, 4 << 20);
    struct hd_str rest = query, pair;
    bool good = true;
    while (good && hd_str_split(&pair, &rest, '&'))
        if (pair.len > 0)
            good = add_param(&p, scratch, pair);
    if (good)
        write_params(out, scratch, &p);
    hd_arena_done(&p.memory);
    hd_map_done(&p.by_name);
    return good;
}

/* --- context --- */

static void add_time(struct hd_buf *out, int64_t unix_ms)
{
    static const char months[][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                     "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    time_t now = (time_t)(unix_ms / 1000);
    struct tm t = {.tm_mday = 1, .tm_year = 70};
    gmtime_r(&now, &t);
    hd_buf_fmt(out, "\"time\":\"%02d/%s/%04d:%02d:%02d:%02d +0000\",\"timeEpoch\":%lld", t.tm_mday,
               months[t.tm_mon], t.tm_year + 1900, t.tm_hour, t.tm_min, t.tm_sec,
               (long long)unix_ms);
}

static void add_authorizer(struct hd_buf *out, const struct hd_url_iam *iam)
{
    hd_buf_cstr(out, "\"authentication\":null,\"authorizer\":{\"iam\":{");
    add_member(out, "accessKey", iam->access_key);
    hd_buf_char(out, ',');
    add_member(out, "accountId", iam->account);
    hd_buf_char(out, ',');
    add_member(out, "callerId", iam->user_id);
    hd_buf_cstr(out, ",\"cognitoIdentity\":null,\"principalOrgId\":null,");
    add_member(out, "userArn", iam->arn);
    hd_buf_char(out, ',');
    add_member(out, "userId", iam->user_id);
    hd_buf_cstr(out, "}},");
}

static void add_context(struct hd_buf *out, const struct hd_url_request *req, struct hd_str path)
{
    hd_buf_cstr(out, "\"requestContext\":{");
    add_member(out, "accountId", req->iam != NULL ? req->iam->account : hd_str("anonymous"));
    hd_buf_char(out, ',');
    add_member(out, "apiId", req->id);
    hd_buf_char(out, ',');
    if (req->iam != NULL)
        add_authorizer(out, req->iam);
    else if (req->claims.len > 0)
        hd_buf_fmt(out, "\"authorizer\":{\"jwt\":{\"claims\":%.*s,\"scopes\":null}},",
                   HD_FMT(req->claims));
    add_member(out, "domainName", req->domain);
    hd_buf_char(out, ',');
    add_member(out, "domainPrefix", req->id);
    hd_buf_cstr(out, ",\"http\":{");
    add_member(out, "method", req->head->method);
    hd_buf_char(out, ',');
    add_member(out, "path", path);
    hd_buf_char(out, ',');
    add_member(out, "protocol", req->protocol);
    hd_buf_char(out, ',');
    add_member(out, "sourceIp", req->source_ip);
    hd_buf_char(out, ',');
    add_member(out, "userAgent", find_field(req->head, "user-agent"));
    hd_buf_cstr(out, "},");
    add_member(out, "requestId", req->request_id);
    hd_buf_cstr(out, ",\"routeKey\":\"$default\",\"stage\":\"$default\",");
    add_time(out, req->now_unix_ms);
    hd_buf_cstr(out, "},");
}

/* --- body --- */

static bool is_text_type(struct hd_str type)
{
    type = hd_str_trim(hd_str_n(type.ptr, hd_str_find(type, ';')));
    static const char *const types[] = {"application/json", "application/javascript",
                                        "application/xml"};
    for (size_t i = 0; i < HD_COUNT(types); i++)
        if (hd_str_is_nocase(type, types[i]))
            return true;
    if (type.len > 5 && hd_str_is_nocase(hd_str_n(type.ptr, 5), "text/"))
        return true;
    return (type.len > 5 && hd_str_is_nocase(hd_str_n(type.ptr + type.len - 5, 5), "+json")) ||
           (type.len > 4 && hd_str_is_nocase(hd_str_n(type.ptr + type.len - 4, 4), "+xml"));
}

static void add_body(struct hd_buf *out, const struct hd_url_request *req)
{
    bool text = is_text_type(find_field(req->head, "content-type")) && hd_utf8_valid(req->body);
    if (req->body.len > 0 && text) {
        add_member(out, "body", req->body);
        hd_buf_char(out, ',');
    } else if (req->body.len > 0) {
        hd_buf_cstr(out, "\"body\":\"");
        char *room = hd_buf_reserve(out, hd_base64_chars(HD_BASE64, req->body.len));
        if (room != NULL)
            hd_buf_commit(out, hd_base64_encode(room, HD_BASE64, req->body.ptr, req->body.len));
        hd_buf_cstr(out, "\",");
    }
    hd_buf_fmt(out, "\"isBase64Encoded\":%s}", req->body.len > 0 && !text ? "true" : "false");
}

int hd_url_event(struct hd_buf *out, const struct hd_url_request *req, struct hd_error *err)
{
    struct hd_str query = req->head->path, raw;
    hd_str_split(&raw, &query, '?');
    struct hd_buf path, scratch;
    hd_buf_init(&path, raw.len);
    hd_buf_init(&scratch, out->max);
    add_decoded(&path, raw, false);

    hd_buf_cstr(out, "{\"version\":\"2.0\",\"routeKey\":\"$default\",");
    add_member(out, "rawPath", hd_buf_view(&path));
    hd_buf_char(out, ',');
    add_member(out, "rawQueryString", query);
    hd_buf_char(out, ',');
    add_cookies(out, req->head);
    add_headers(out, &scratch, req);
    bool good = add_params(out, &scratch, query);
    add_context(out, req, hd_buf_view(&path));
    add_body(out, req);
    good = good && !hd_buf_failed(out) && !hd_buf_failed(&scratch);
    hd_buf_done(&path);
    hd_buf_done(&scratch);
    return good ? 0 : hd_fail(err, HD_EBUSY, "event: longer than %zu bytes", out->max);
}
