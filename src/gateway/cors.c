#include "gateway/cors.h"

#include "core/buf.h"

/* Scheme, host and port, compared without regard to case; port 0: none was written. */
struct origin {
    struct hd_str scheme, host;
    uint32_t port;
};

struct entry {
    char *text; /* what the slices point into */
    struct origin origin;
    bool below; /* every host below it, and not the host itself; host begins with '.' */
};

struct hd_cors {
    bool on, any, credentials, has_max_age, enforce, compat;
    struct entry *entries;
    size_t n_entries;
    char *allow_headers, *allow_methods, *expose_headers, *max_age;
};

static const struct hd_str any_origin = HD_LIT("*");

static const char *const default_headers[] = {
    "authorization",      "x-client-info", "apikey",          "content-type",
    "x-application-name", "user-agent",    "x-deployment-id", NULL};
static const char *const default_methods[] = {"POST",  "GET",    "OPTIONS", "PUT",
                                              "PATCH", "DELETE", NULL};
static const char *const always_exposed[] = {"x-heddle-invocation-id",
                                             "x-heddle-warming",
                                             "x-heddle-stale",
                                             "x-heddle-auth-unavailable",
                                             "retry-after",
                                             "ratelimit",
                                             "ratelimit-policy",
                                             "x-request-id",
                                             "x-deployment-id",
                                             NULL};
static const char *const compat_exposed[] = {"x-1tube-invocation-id", "x-1tube-warming",
                                             "x-1tube-stale", "x-1tube-auth-unavailable", NULL};

/* --- origins --- */

static uint32_t port_of(const struct origin *o)
{
    if (o->port != 0)
        return o->port;
    if (hd_str_is_nocase(o->scheme, "https"))
        return 443;
    return hd_str_is_nocase(o->scheme, "http") ? 80 : 0;
}

static bool is_scheme(struct hd_str s)
{
    for (size_t i = 0; i < s.len; i++) {
        char c = s.ptr[i], low = (char)(c | 0x20);
        bool letter = low >= 'a' && low <= 'z';
        if (!letter && (i == 0 || !((c >= '0' && c <= '9') || c == '+' || c == '-' || c == '.')))
            return false;
    }
    return s.len > 0;
}

static bool is_host(struct hd_str s)
{
    for (size_t i = 0; i < s.len; i++) {
        char c = s.ptr[i], low = (char)(c | 0x20);
        if (!((low >= 'a' && low <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.' ||
              c == '_'))
            return false;
    }
    return s.len > 0;
}

static bool is_ipv6(struct hd_str s)
{
    for (size_t i = 0; i < s.len; i++) {
        char c = s.ptr[i], low = (char)(c | 0x20);
        if (!((low >= 'a' && low <= 'f') || (c >= '0' && c <= '9') || c == ':' || c == '.'))
            return false;
    }
    return s.len > 1;
}

/* Read host and port: "host", "host:8443", "[::1]:8443". A dot at the end is dropped. */
static bool read_authority(struct origin *out, struct hd_str s)
{
    struct hd_str port = {NULL, 0};
    if (s.len > 0 && s.ptr[0] == '[') {
        size_t close = hd_str_find(s, ']');
        if (close == s.len)
            return false;
        out->host = hd_str_n(s.ptr + 1, close - 1);
        if (!is_ipv6(out->host))
            return false;
        struct hd_str rest = hd_str_n(s.ptr + close + 1, s.len - close - 1);
        if (rest.len > 0 && rest.ptr[0] != ':')
            return false;
        if (rest.len > 0)
            port = hd_str_n(rest.ptr + 1, rest.len - 1);
    } else {
        struct hd_str rest = s;
        hd_str_split(&out->host, &rest, ':');
        if (rest.ptr != NULL)
            port = rest;
        if (out->host.len > 1 && out->host.ptr[out->host.len - 1] == '.')
            out->host.len--;
        if (!is_host(out->host))
            return false;
    }
    out->port = 0;
    if (port.ptr == NULL)
        return true;
    uint64_t n;
    if (hd_str_to_u64(&n, port) < 0 || n == 0 || n > 65535)
        return false;
    out->port = (uint32_t)n;
    return true;
}

/* The value of an Origin field (RFC 6454 section 7): scheme "://" host [":" port], nothing else. */
static bool read_origin(struct origin *out, struct hd_str s)
{
    size_t colon = hd_str_find(s, ':');
    if (s.len - colon < 3 || memcmp(s.ptr + colon, "://", 3) != 0)
        return false;
    out->scheme = hd_str_n(s.ptr, colon);
    return is_scheme(out->scheme) &&
           read_authority(out, hd_str_n(s.ptr + colon + 3, s.len - colon - 3));
}

/* An entry of the configuration, which may be less exact. */
static int read_entry(struct entry *e, struct hd_error *err)
{
    struct hd_str s = hd_str(e->text);
    const char *at = strstr(e->text, "://");
    e->origin.scheme = hd_str("https");
    if (at != NULL) {
        e->origin.scheme = hd_str_n(s.ptr, (size_t)(at - s.ptr));
        s = hd_str(at + 3);
    }
    s.len = hd_str_find(s, '/');
    size_t userinfo = hd_str_find(s, '@');
    if (userinfo < s.len)
        s = hd_str_n(s.ptr + userinfo + 1, s.len - userinfo - 1);
    e->below = hd_str_starts(s, hd_str("*."));
    if (e->below)
        s = hd_str_n(s.ptr + 1, s.len - 1); /* ".example.com" */
    if (hd_str_is_nocase(s, "null"))
        return hd_fail(err, HD_EINVAL,
                       "cors.origins: \"%s\" would let in every sandboxed page; leave it out",
                       e->text);
    if (!is_scheme(e->origin.scheme) || !read_authority(&e->origin, s) || e->origin.host.len < 2 ||
        (e->origin.host.ptr[0] == '.') != e->below)
        return hd_fail(err, HD_EINVAL,
                       "cors.origins: \"%s\" is no origin; write https://app.example.com, "
                       "app.example.com, *.example.com, http://localhost:5173 or *",
                       e->text);
    return 0;
}

static bool matches(const struct entry *e, const struct origin *o)
{
    struct hd_str want = e->origin.host, host = o->host;
    if (port_of(&e->origin) != port_of(o) || !hd_str_eq_nocase(e->origin.scheme, o->scheme))
        return false;
    if (!e->below)
        return hd_str_eq_nocase(want, host);
    return host.len > want.len &&
           hd_str_eq_nocase(want, hd_str_n(host.ptr + (host.len - want.len), want.len));
}

static bool is_allowed(const struct hd_cors *c, struct hd_str origin)
{
    struct origin o;
    if (c->any)
        return true;
    if (!read_origin(&o, origin))
        return false;
    for (size_t i = 0; i < c->n_entries; i++) {
        if (matches(&c->entries[i], &o))
            return true;
    }
    return false;
}

/* A page of the same host and port: browsers send Origin with its POST as well. */
static bool is_own(struct hd_str origin, struct hd_str host)
{
    struct origin o, own;
    if (!read_origin(&o, origin) || !read_authority(&own, host))
        return false;
    own.scheme = o.scheme; /* TLS may end in front of us */
    return hd_str_eq_nocase(o.host, own.host) && port_of(&o) == port_of(&own);
}

/* --- making it --- */

static bool is_token(const char *s)
{
    /* RFC 9110 section 5.6.2 */
    for (const char *c = s; *c != '\0'; c++) {
        char low = (char)(*c | 0x20);
        if (!((low >= 'a' && low <= 'z') || (*c >= '0' && *c <= '9') ||
              strchr("!#$%&'*+-.^_`|~", *c) != NULL))
            return false;
    }
    return *s != '\0';
}

static bool is_listed(struct hd_str name, const char *joined)
{
    struct hd_str rest = hd_str(joined != NULL ? joined : ""), part;
    while (hd_str_split(&part, &rest, ',')) {
        if (hd_str_eq_nocase(hd_str_trim(part), name))
            return true;
    }
    return false;
}

/* Add the names of a list to *joined, each once. */
static int join(char **joined, const char *const *list, const char *key, struct hd_error *err)
{
    for (; list != NULL && *list != NULL; list++) {
        if (!is_token(*list))
            return hd_fail(err, HD_EINVAL, "%s: \"%s\" is no field or method name", key, *list);
        if (is_listed(hd_str(*list), *joined))
            continue;
        char *longer = *joined != NULL ? hd_printf("%s, %s", *joined, *list) : hd_strdup(*list);
        free(*joined);
        *joined = longer;
    }
    return 0;
}

static int add_origins(struct hd_cors *c, const char *const *list, struct hd_error *err)
{
    size_t n = 0;
    while (list != NULL && list[n] != NULL)
        n++;
    if (n > HD_CORS_ORIGINS_MAX)
        return hd_fail(err, HD_EINVAL, "cors.origins: %zu entries, the limit is %d", n,
                       HD_CORS_ORIGINS_MAX);
    c->entries = hd_new_array(struct entry, n);
    for (size_t i = 0; i < n; i++) {
        c->on = true;
        if (strcmp(list[i], "*") == 0) {
            c->any = true;
            continue;
        }
        struct entry *e = &c->entries[c->n_entries++];
        e->text = hd_strdup_n(hd_str_trim(hd_str(list[i])));
        int rc = read_entry(e, err);
        if (rc < 0)
            return rc;
    }
    return 0;
}

int hd_cors_new(struct hd_cors **out, const struct hd_cors_options *opt, struct hd_error *err)
{
    hd_auto(hd_cors) c = hd_new(struct hd_cors);
    int rc = add_origins(c, opt->origins, err);
    if (rc < 0)
        return rc;
    if (!c->on && opt->dev)
        c->on = c->any = true;
    if (c->any && opt->has_credentials && opt->credentials)
        return hd_fail(err, HD_EINVAL,
                       "cors.credentials: cannot go with any origin, every page could act as the "
                       "user; list the origins in cors.origins");
    c->credentials = opt->has_credentials ? opt->credentials : !c->any;
    c->enforce = opt->enforce;
    c->compat = opt->compat;
    rc = join(&c->allow_headers, opt->allow_headers != NULL ? opt->allow_headers : default_headers,
              "cors.allow_headers", err);
    if (rc == 0)
        rc = join(&c->allow_methods,
                  opt->allow_methods != NULL ? opt->allow_methods : default_methods,
                  "cors.allow_methods", err);
    if (rc == 0)
        rc = join(&c->expose_headers, always_exposed, "cors.expose_headers", err);
    if (rc == 0 && opt->compat)
        rc = join(&c->expose_headers, compat_exposed, "cors.expose_headers", err);
    if (rc == 0)
        rc = join(&c->expose_headers, opt->expose_headers, "cors.expose_headers", err);
    if (rc < 0)
        return rc;
    c->max_age = opt->has_max_age ? hd_printf("%u", opt->max_age_s) : NULL;
    *out = hd_steal(c);
    return 0;
}

void hd_cors_free(struct hd_cors *c)
{
    if (c == NULL)
        return;
    for (size_t i = 0; i < c->n_entries; i++)
        free(c->entries[i].text);
    free(c->entries);
    free(c->allow_headers);
    free(c->allow_methods);
    free(c->expose_headers);
    free(c->max_age);
    free(c);
}

bool hd_cors_enabled(const struct hd_cors *c)
{
    return c->on;
}

/* --- using it --- */

static void add(struct hd_cors_answer *a, const char *name, struct hd_str value)
{
    if (value.len > 0)
        a->fields[a->n++] = (struct hd_field){hd_str(name), value};
}

void hd_cors_answer(struct hd_cors_answer *out, const struct hd_cors *c,
                    const struct hd_cors_request *request)
{
    out->n = 0;
    out->refused = false;
    if (!c->on)
        return;
    bool sent = request->origin.ptr != NULL && request->origin.len > 0;
    bool allowed = sent ? is_allowed(c, request->origin) : c->any;
    struct hd_str allow = sent ? request->origin : any_origin;
    /* Caches must know that the answer depends on the origin, the more so when it was refused. */
    if (sent || !c->any)
        add(out, "vary", hd_str("Origin"));
    if (!allowed) {
        out->refused = c->enforce && sent && !is_own(request->origin, request->host);
        return;
    }
    add(out, "access-control-allow-origin", allow);
    if (c->credentials)
        add(out, "access-control-allow-credentials", hd_str("true"));
    if (request->preflight || c->compat) {
        add(out, "access-control-allow-headers", hd_str(c->allow_headers));
        add(out, "access-control-allow-methods", hd_str(c->allow_methods));
        add(out, "access-control-max-age", hd_str(c->max_age));
    }
    if (!request->preflight || c->compat)
        add(out, "access-control-expose-headers", hd_str(c->expose_headers));
    if (request->preflight && request->private_network)
        add(out, "access-control-allow-private-network", hd_str("true"));
}

bool hd_cors_owns(const struct hd_cors *c, struct hd_str name)
{
    static const struct hd_str prefix = HD_LIT("access-control-");
    return c->on && name.len > prefix.len &&
           hd_str_eq_nocase(hd_str_n(name.ptr, prefix.len), prefix);
}

bool hd_cors_vary_has_origin(struct hd_str vary)
{
    struct hd_str part;
    while (hd_str_split(&part, &vary, ',')) {
        part = hd_str_trim(part);
        if (hd_str_is(part, "*") || hd_str_is_nocase(part, "origin"))
            return true;
    }
    return false;
}
