#include "gateway/request.h"

#include "core/trace.h"
#include "gateway/heads.h"
#include "http/path.h"

#include <inttypes.h>
#include <stdio.h>

enum {
    NAME_CHARS_MAX = 128,
    OWN_TEXT_BYTES =
        1024, /* enough for the fields that are ours, without what is continued in them */
};

static const struct hd_str localhost = HD_LIT("localhost"), websocket = HD_LIT("websocket");

/* --- a request comes in --- */

/* May the caller have this function? Known at once, or when its code was loaded. */
static int check_access(struct hd_edge_request *r, enum hd_route_version v, bool *known)
{
    bool is_public = hd_route_is_public(r->route, v, known);
    struct hd_strings require = hd_route_require(r->route, v);
    if (r->who == NULL)
        return is_public && require.n == 0 ? 0 : HD_EDENIED;
    return hd_identity_meets(r->who, (const char *const *)require.items, require.n) ? 0
                                                                                    : HD_EDENIED;
}

static int before_dispatch(struct hd_invocation *inv, bool stale)
{
    bool known;
    return check_access(hd_container_of(inv, struct hd_edge_request, inv),
                        stale ? HD_ROUTE_STALE : HD_ROUTE_FRESH, &known);
}

static bool limit_rate(struct hd_edge_request *r, const struct hd_client_ip *client)
{
    struct hd_door *d = r->door;
    const struct hd_settings *set = &r->route->fn->set;
    if (d->edge->ratelimit == NULL)
        return true;
    struct hd_str user = r->who != NULL ? r->who->sub : hd_str_n(NULL, 0);
    struct hd_ipaddr address = hd_ipaddr_client(&client->address);
    struct hd_ratelimit_key key =
        user.len > 0 ? hd_ratelimit_key(d->edge->ratelimit, HD_RATELIMIT_USER, user,
                                        hd_str(r->route->fn->name))
                     : hd_ratelimit_key(d->edge->ratelimit, HD_RATELIMIT_IP,
                                        hd_str_n((const char *)&address, sizeof(address)),
                                        hd_str(r->route->fn->name));
    struct hd_ratelimit_result rate = hd_ratelimit_take(
        d->edge->ratelimit, key, set->rpm, set->burst, 1, hd_loop_now_ms(d->net->loop));
    if (rate.allowed)
        return true;
    char extra[48], text[HD_RATELIMIT_TEXT_BYTES];
    struct hd_field fields[HD_RATELIMIT_FIELDS_MAX];
    size_t n = hd_ratelimit_fields(fields, text, &rate);
    snprintf(extra, sizeof(extra), "\"retryAfterSeconds\":%" PRIu32, rate.retry_after_s);
    struct hd_answer a = {
        .status = 429, .error = "Rate limit exceeded", .reason = "rate_limit", .extra = extra};
    hd_request_answer(r, HD_REJECTED_RATE, &a, fields, n);
    return false;
}

static struct hd_str forwarded_proto(const struct hd_edge_request *r, const struct hd_seen *seen,
                                     const struct hd_client_ip *client)
{
    if (client->via_proxy && seen->forwarded_proto.len > 0)
        return seen->forwarded_proto;
    return hd_str(r->door->edge->tls ? "https" : "http");
}

/* Deno's host learns a request's id and scheme from its path, "/.ID/name/rest": there a field costs
 * as much as a small handler (doc/host-protocol.md, "Requests for the function"). */
static bool has_id_in_path(const struct hd_edge_request *r)
{
    return r->route->fn->runtime == HD_RUNTIME_DENO && !r->route->by_event;
}

static struct hd_str path_with_id(const struct hd_edge_request *r, struct hd_str proto,
                                  struct hd_str path, struct hd_buf *text)
{
    size_t at = text->len;
    hd_buf_cstr(text, "/.");
    hd_buf_cstr(text, r->id);
    if (hd_str_is(proto, "https"))
        hd_buf_cstr(text, ";s");
    hd_buf_str(text, path);
    return hd_str_n(text->ptr + at, text->len - at);
}

static size_t own_request_fields(struct hd_edge_request *r, const struct hd_seen *seen,
                                 const struct hd_client_ip *client, struct hd_str proto,
                                 struct hd_str host, struct hd_field *out, struct hd_buf *text)
{
    const struct hd_edge *edge = r->door->edge;
    size_t n = 0;
    struct hd_trace parent, trace;
    char traceparent[HD_TRACEPARENT_CHARS + 1];
    bool continues = client->trusted_ids && hd_trace_parse(&parent, seen->traceparent) == 0;
    hd_trace_child(&trace, continues ? &parent : NULL, &r->door->net->rng);
    hd_trace_format(traceparent, &trace);
    if (hd_log_enabled(edge->log, edge->span_level))
        hd_span_of(&r->span, &trace, continues ? &parent : NULL, hd_net_unix_ms(r->door->net));
#define ADD(field_name, ...)                                                                 \
    do {                                                                                     \
        size_t at = text->len;                                                               \
        __VA_ARGS__;                                                                         \
        out[n++] =                                                                           \
            (struct hd_field){hd_str(field_name), hd_str_n(text->ptr + at, text->len - at)}; \
    } while (0)
    if (!has_id_in_path(r))
        out[n++] = (struct hd_field){hd_str("x-heddle-id"), hd_str(r->id)};
    ADD("traceparent", hd_buf_cstr(text, traceparent));
    ADD("x-forwarded-for", {
        if (client->via_proxy && seen->forwarded_for.len > 0) {
            hd_buf_str(text, seen->forwarded_for);
            hd_buf_cstr(text, ", ");
        }
        hd_buf_cstr(text, hd_exchange_peer(r->ex));
    });
    out[n++] = (struct hd_field){hd_str("x-forwarded-proto"), proto};
    ADD("via", {
        if (seen->via.len > 0) {
            hd_buf_str(text, seen->via);
            hd_buf_cstr(text, ", ");
        }
        hd_buf_str(text, edge->via);
    });
    if (client->via_proxy && seen->forwarded_host.len > 0)
        out[n++] = (struct hd_field){hd_str("x-forwarded-host"), seen->forwarded_host};
    else if (host.len > 0)
        out[n++] = (struct hd_field){hd_str("x-forwarded-host"), host};
    if (client->via_proxy && seen->forwarded.len > 0)
        out[n++] = (struct hd_field){hd_str("forwarded"), seen->forwarded};
    out[n++] = (struct hd_field){hd_str("x-request-id"),
                                 client->trusted_ids && seen->request_id.len > 0 ? seen->request_id
                                                                                 : hd_str(r->id)};
    uint32_t timeout = hd_route_timeout_ms(r->route);
    if (timeout > 0)
        ADD("x-heddle-deadline", hd_buf_u64(text, timeout));
    if (r->who != NULL)
        out[n++] = (struct hd_field){hd_str("x-heddle-auth"), r->who->field};
#undef ADD
    return n;
}

static void dispatch(struct hd_edge_request *r, const struct hd_head *head,
                     const struct hd_seen *seen, const struct hd_client_ip *client,
                     struct hd_str path, bool check, struct hd_str body, bool end)
{
    struct hd_door *d = r->door;
    struct hd_pool *pool = r->route->pool;
    char room[2048];
    struct hd_buf text;
    hd_buf_init_with(&text, room, sizeof(room),
                     OWN_TEXT_BYTES + seen->forwarded_for.len + seen->via.len + path.len);
    hd_buf_reserve(&text, text.max); /* slices of it are taken: it must not move later */
    struct hd_str proto = forwarded_proto(r, seen, client);
    size_t n = seen->n_pass + own_request_fields(r, seen, client, proto, head->host,
                                                 seen->pass + seen->n_pass, &text);
    if (has_id_in_path(r))
        path = path_with_id(r, proto, path, &text);
    /* Other protocols would be ones that the gateway knows nothing of: such a request is plain. */
    struct hd_str upgrade = head->upgrade && hd_str_eq_nocase(head->upgrade_to, websocket)
                                ? websocket
                                : hd_str_n(NULL, 0);
    struct hd_request_head out = {.method = head->method,
                                  .path = path,
                                  /* HTTP/1.0 may say nothing; a URL needs something */
                                  .authority = head->host.len > 0 ? head->host : localhost,
                                  .fields = seen->pass,
                                  .n_fields = n,
                                  .body_bytes = head->body_bytes,
                                  .upgrade = upgrade};
    if (r->route->by_event) {
        hd_request_start(r, NULL, &out, body, end);
        hd_buf_done(&text);
        return;
    }
    bool fresh = hd_pool_state(pool) == HD_POOL_READY;
    struct hd_pool *older = !fresh && d->edge->hot_reload ? hd_pool_previous(pool) : NULL;
    struct hd_channel_options opt = {.wait_ms = fresh           ? 0
                                                : older != NULL ? d->edge->fresh_wait_ms
                                                                : d->edge->warmup_grace_ms,
                                     .stale_ok = older != NULL,
                                     .before = check ? before_dispatch : NULL};
    if (opt.wait_ms == 0 && !fresh)
        opt.wait_ms = 1;
    hd_pool_unref(older);
    hd_request_start(r, &opt, &out, body, end);
    hd_buf_done(&text);
}

/* Remember what the access line needs: the head is gone when it is written. */
static void keep_line(struct hd_edge_request *r, const struct hd_head *head, struct hd_str rest)
{
    r->method_len = (uint8_t)HD_MIN(head->method.len, (size_t)HD_REQUEST_METHOD_KEPT);
    memcpy(r->line, head->method.ptr, r->method_len);
    rest.len = HD_MIN(rest.len, (size_t)HD_REQUEST_PATH_KEPT);
    r->path_len = (uint8_t)rest.len;
    if (rest.len > 0)
        memcpy(r->line + r->method_len, rest.ptr, rest.len);
}

static void serve(struct hd_edge_request *r, const struct hd_head *head, struct hd_seen *seen,
                  struct hd_str path, struct hd_str body, bool end)
{
    struct hd_door *d = r->door;
    const struct hd_settings *set = &r->route->fn->set;
    struct hd_client_ip client;
    hd_client_ip(&client, d->edge->trusted, hd_exchange_peer_addr(r->ex), head->fields,
                 head->n_fields);
    if (client.via_proxy)
        hd_ipaddr_format(r->ip, &client.address);
    else
        memcpy(r->ip, hd_exchange_peer(r->ex), sizeof(r->ip));

    if (r->cors.refused) {
        hd_request_answer_plain(r, HD_REJECTED_AUTH, 403, "Forbidden", "origin", 0);
        return;
    }
    r->body_left = set->body_limit_bytes;
    if (head->body_bytes > 0 && (uint64_t)head->body_bytes > set->body_limit_bytes) {
        hd_request_answer_too_large(r);
        return;
    }
    r->body_left -= body.len;

    struct hd_error why;
    r->auth = hd_verifier_check(d->edge->verifier, d->tokens, hd_bearer_token(seen->authorization),
                                seen->apikey, hd_net_unix_ms(d->net), &r->who, &why);
    if (!limit_rate(r, &client))
        return;
    /* Asked first: what was not declared yet may have been a role that the caller has not. */
    bool known, declared = hd_route_is_declared(r->route, HD_ROUTE_FRESH);
    int access = check_access(r, HD_ROUTE_FRESH, &known);
    if (access != 0 && known) {
        hd_request_answer_unauthorized(r);
        return;
    }
    if (r->route->pool == NULL && !r->route->by_event) {
        hd_request_answer_failed(r, r->route->fn->problem);
        return;
    }
    if (r->route->breaker != NULL) {
        uint64_t wait_ms = 0;
        r->pass = hd_breaker_admit(r->route->breaker, hd_loop_now_ms(d->net->loop), &wait_ms);
        if (r->pass == 0) {
            hd_request_answer_plain(r, HD_REJECTED_BREAKER, 503, "Service temporarily unavailable",
                                    "circuit_breaker_open", (uint32_t)((wait_ms + 999) / 1000));
            return;
        }
    }
    dispatch(r, head, seen, &client, path, !declared, body, end);
}

/* An answer to what is no request for a function. */
static void answer(struct hd_exchange *ex, const struct hd_cors_answer *cors, unsigned status,
                   const char *error, const char *reason)
{
    static const struct hd_exchange_events nobody = {0};
    struct hd_buf body;
    hd_buf_init(&body, 1024);
    hd_answer_body(&body, &(struct hd_answer){.error = error, .reason = reason}, NULL);
    struct hd_field fields[HD_CORS_FIELDS_MAX + 1] = {
        {hd_str("content-type"), hd_str("application/json")}};
    memcpy(fields + 1, cors->fields, cors->n * sizeof(*fields));
    struct hd_response_head head = {.status = status,
                                    .fields = fields,
                                    .n_fields = cors->n + 1,
                                    .body_bytes = (int64_t)body.len};
    ex->events = &nobody;
    hd_exchange_respond(ex, &head, hd_buf_view(&body), true);
    hd_buf_done(&body);
}

static void answer_not_found(struct hd_exchange *ex, const struct hd_cors_answer *cors,
                             struct hd_str name)
{
    char error[128];
    snprintf(error, sizeof(error), "Function \"%.*s\" not found", (int)HD_MIN(name.len, (size_t)80),
             name.ptr);
    answer(ex, cors, 404, error, "function_not_found");
}

static void answer_preflight(struct hd_exchange *ex, const struct hd_cors_answer *cors)
{
    static const struct hd_exchange_events nobody = {0};
    struct hd_response_head head = {
        .status = cors->refused ? 403 : 204, .fields = cors->fields, .n_fields = cors->n};
    ex->events = &nobody;
    hd_exchange_respond(ex, &head, hd_str_n(NULL, 0), true);
}

/* The fields of the answer quote it, when the head is long gone. */
static struct hd_str keep_origin(struct hd_edge_request *r, struct hd_str origin)
{
    if (origin.len == 0 || origin.len > sizeof(r->origin))
        return hd_str_n(NULL, 0);
    memcpy(r->origin, origin.ptr, origin.len);
    return hd_str_n(r->origin, origin.len);
}

void hd_door_request(void *door, struct hd_exchange *ex, const struct hd_head *head,
                     struct hd_str body, bool end)
{
    struct hd_door *d = door;
    struct hd_path path;
    struct hd_error err;
    int rc = hd_path_split(&path, head->path, d->edge->prefix, &err);
    if (rc == 0) {
        d->edge->on_other(d->edge->arg, ex, head);
        return;
    }
    if (rc > 0 && path.dots)
        rc = hd_fail(&err, HD_EINVAL, "path: a segment is \".\" or \"..\"; send it resolved");
    if (rc < 0) {
        answer(ex, &(struct hd_cors_answer){.n = 0}, 400, err.msg, "bad_path");
        return;
    }
    char decoded[NAME_CHARS_MAX];
    struct hd_str name = path.name;
    if (name.len <= sizeof(decoded) && hd_str_find(name, '%') < name.len)
        name = hd_str_n(decoded, (size_t)hd_path_decode(decoded, name)); /* was checked above */
    /* What the function sees begins with its name. */
    struct hd_str seen_path =
        hd_str_n(head->target.ptr + d->edge->prefix.len, head->target.len - d->edge->prefix.len);
    struct hd_seen seen;
    hd_seen_sort(&seen, head, d->in);
    struct hd_route *route = hd_routes_find(d->table->routes, name);
    bool ours = route == NULL || route->fn->set.cors == HD_CORS_GATEWAY;
    struct hd_cors_request asks = {.origin = seen.origin,
                                   .host = head->host,
                                   .preflight = hd_str_is(head->method, "OPTIONS"),
                                   .private_network = hd_str_is(seen.request_private, "true")};
    struct hd_cors_answer cors = {.n = 0};
    if (ours && (route == NULL || asks.preflight)) {
        hd_cors_answer(&cors, d->edge->cors, &asks);
        if (asks.preflight)
            answer_preflight(ex, &cors);
        else
            answer_not_found(ex, &cors, name);
        return;
    }
    struct hd_edge_request *r = hd_request_new(d, ex, route);
    if (ours) {
        asks.origin = keep_origin(r, seen.origin);
        hd_cors_answer(&r->cors, d->edge->cors, &asks);
    }
    keep_line(r, head, path.rest);
    serve(r, head, &seen, seen_path, body, end);
}

/* --- life --- */

struct hd_door *hd_door_new(const struct hd_edge *edge, struct hd_net *net,
                            struct hd_channel *channel, unsigned loop_index)
{
    struct hd_door *d = hd_new(struct hd_door);
    d->edge = edge;
    d->net = net;
    d->channel = channel;
    d->loop_index = loop_index;
    d->tokens = hd_token_cache_new(NULL);
    d->table = hd_new(struct hd_table);
    d->table->routes = hd_routes_new(NULL, 0);
    hd_slab_init(&d->requests, sizeof(struct hd_edge_request), 1024);
    return d;
}

void hd_door_free(struct hd_door *d)
{
    if (d == NULL)
        return;
    hd_routes_unref(d->table->routes);
    free(d->table);
    hd_token_cache_free(d->tokens);
    hd_slab_done(&d->requests);
    free(d);
}

void hd_door_set_routes(struct hd_door *d, struct hd_routes *routes)
{
    struct hd_table *old = d->table;
    d->table = hd_new(struct hd_table);
    d->table->routes = hd_routes_ref(routes);
    old->replaced = true;
    old->active++;
    hd_table_leave(old);
}

unsigned hd_door_active(const struct hd_door *d)
{
    return d->active;
}
