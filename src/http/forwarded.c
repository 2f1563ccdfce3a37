#include "http/forwarded.h"
#include "http/scan.h"

struct cursor {
    const char *base, *at, *end;
    struct hd_error *err;
};

static int refuse(const struct cursor *c, const char *why)
{
    return hd_fail(c->err, HD_EPROTO, "Forwarded, byte %zu: %s", (size_t)(c->at - c->base), why);
}

static void skip_blanks(struct cursor *c)
{
    while (c->at < c->end && (*c->at == ' ' || *c->at == '\t'))
        c->at++;
}

static struct hd_str token(struct cursor *c)
{
    const char *from = c->at;
    c->at = hd_scan_token(from, c->end);
    return hd_str_n(from, (size_t)(c->at - from));
}

/* RFC 9110 section 5.6.4; the cursor is at the first quote. *escaped: it has a backslash. */
static int quoted(struct cursor *c, struct hd_str *out, bool *escaped)
{
    const char *from = ++c->at;
    *escaped = false;
    for (; c->at < c->end && *c->at != '"'; c->at++) {
        if (*c->at == '\\') {
            *escaped = true;
            if (++c->at == c->end)
                break;
        }
        if (!hd_char_is(*c->at, HD_CHAR_VALUE))
            return refuse(c, "control byte in a quoted value");
    }
    if (c->at == c->end)
        return refuse(c, "the closing quote is missing");
    *out = hd_str_n(from, (size_t)(c->at - from));
    c->at++;
    return 0;
}

/* token "=" ( token / quoted-string ) */
static int pair(struct cursor *c, struct hd_forwarded *out)
{
    const struct hd_str name = token(c);
    if (name.len == 0)
        return refuse(c, "the name of a parameter must stand here");
    if (c->at == c->end || *c->at != '=')
        return refuse(c, "\"=\" must stand here");
    c->at++;
    struct hd_str value;
    bool escaped = false;
    if (c->at < c->end && *c->at == '"') {
        int rc = quoted(c, &value, &escaped);
        if (rc < 0)
            return rc;
    } else {
        value = token(c);
        if (value.len == 0)
            return refuse(c, "a value must stand here");
    }
    struct hd_str *into = hd_str_is_nocase(name, "for")     ? &out->source
                          : hd_str_is_nocase(name, "by")    ? &out->by
                          : hd_str_is_nocase(name, "host")  ? &out->host
                          : hd_str_is_nocase(name, "proto") ? &out->proto
                                                            : NULL;
    if (into == NULL)
        return 0;
    if (into->ptr != NULL)
        return refuse(c, "a parameter is there twice");
    if (escaped)
        return refuse(c, "escapes are not accepted here");
    *into = value;
    return 0;
}

/* [ pair ] *( ";" [ pair ] ), up to "," or the end. */
static int element(struct cursor *c, struct hd_forwarded *out)
{
    *out = (struct hd_forwarded){.source.ptr = NULL};
    for (;;) {
        skip_blanks(c);
        if (c->at < c->end && *c->at != ';' && *c->at != ',') {
            int rc = pair(c, out);
            if (rc < 0)
                return rc;
            skip_blanks(c);
        }
        if (c->at == c->end || *c->at == ',')
            return 0;
        if (*c->at != ';')
            return refuse(c, "\";\" or \",\" must stand here");
        c->at++;
    }
}

int hd_forwarded_parse(struct hd_forwarded *out, size_t max, struct hd_str value,
                       struct hd_error *err)
{
    if (value.len == 0)
        return 0;
    struct cursor c = {value.ptr, value.ptr, value.ptr + value.len, err};
    size_t n = 0;
    for (;;) {
        skip_blanks(&c);
        if (c.at == c.end)
            break;
        if (*c.at == ',') { /* an empty element of a list says nothing (RFC 9110 section 5.6.1) */
            c.at++;
            continue;
        }
        if (n == max)
            return refuse(&c, "more elements than the limit");
        int rc = element(&c, &out[n]);
        if (rc < 0)
            return rc;
        n++;
    }
    return (int)n;
}

/* "_" and letters, digits, ".", "_", "-". */
static bool is_obfuscated(struct hd_str s)
{
    for (size_t i = 0; i < s.len; i++) {
        if (!hd_char_is(s.ptr[i], HD_CHAR_HOST) || s.ptr[i] == '~')
            return false;
    }
    return s.len > 1 && s.ptr[0] == '_';
}

static int read_port(uint16_t *port, struct hd_str text)
{
    uint64_t n = 0;
    if (is_obfuscated(text))
        return 0;
    if (text.len > 5 || hd_str_to_u64(&n, text) < 0 || n > UINT16_MAX)
        return HD_EPROTO;
    *port = (uint16_t)n;
    return 0;
}

int hd_forwarded_node(struct hd_ipaddr *addr, uint16_t *port, struct hd_str node)
{
    const bool v6 = node.len > 0 && node.ptr[0] == '[';
    const size_t end = hd_str_find(node, v6 ? ']' : ':');
    struct hd_str name = hd_str_n(node.ptr, end), rest = hd_str_n(NULL, 0);
    *port = 0;
    if (v6) {
        if (end == node.len)
            return HD_EPROTO;
        name = hd_str_n(node.ptr + 1, end - 1);
        rest = hd_str_n(node.ptr + end + 1, node.len - end - 1);
    } else if (end < node.len) {
        rest = hd_str_n(node.ptr + end, node.len - end);
    }
    if (rest.len > 0 &&
        (rest.ptr[0] != ':' || read_port(port, hd_str_n(rest.ptr + 1, rest.len - 1)) < 0))
        return HD_EPROTO;
    if (!v6 && (hd_str_is_nocase(name, "unknown") || is_obfuscated(name)))
        return HD_ENOTFOUND;
    const bool colon = hd_str_find(name, ':') < name.len;
    return v6 == colon && hd_ipaddr_parse(addr, name) == 0 ? 0 : HD_EPROTO;
}

bool hd_forwarded_last(struct hd_str *entry, struct hd_str *rest)
{
    if (rest->ptr == NULL)
        return false;
    const char *comma = rest->len > 0 ? memrchr(rest->ptr, ',', rest->len) : NULL;
    if (comma == NULL) {
        *entry = hd_str_trim(*rest);
        *rest = hd_str_n(NULL, 0);
        return true;
    }
    const size_t before = (size_t)(comma - rest->ptr);
    *entry = hd_str_trim(hd_str_n(comma + 1, rest->len - before - 1));
    rest->len = before;
    return true;
}

/* The way from the peer outwards. */
struct walk {
    struct hd_ipaddr at; /* as far as we know */
    const struct hd_cidr *trusted;
    size_t n_trusted;
    unsigned hops;
    bool found; /* a field of the wanted name */
};

static bool is_trusted(const struct walk *w)
{
    for (size_t i = 0; i < w->n_trusted; i++) {
        if (hd_cidr_has(&w->trusted[i], &w->at))
            return true;
    }
    return false;
}

/* Go to the address that the trusted one at w->at named. @return whether to go on from there. */
static bool step(struct walk *w, const struct hd_ipaddr *next)
{
    w->at = *next;
    return ++w->hops < HD_FORWARDED_MAX && is_trusted(w);
}

static bool step_forwarded(struct walk *w, struct hd_str value)
{
    struct hd_forwarded elements[HD_FORWARDED_MAX];
    struct hd_ipaddr next;
    uint16_t port;
    int n = hd_forwarded_parse(elements, HD_FORWARDED_MAX, value, NULL);
    while (n > 0) {
        n--;
        if (hd_forwarded_node(&next, &port, elements[n].source) < 0 || !step(w, &next))
            return false;
    }
    return n == 0;
}

/* An entry may also be an IPv6 address without brackets. */
static bool step_list(struct walk *w, struct hd_str value)
{
    struct hd_ipaddr next;
    struct hd_str entry;
    uint16_t port;
    while (hd_forwarded_last(&entry, &value)) {
        if (hd_ipaddr_parse(&next, entry) < 0 && hd_forwarded_node(&next, &port, entry) < 0)
            return false;
        if (!step(w, &next))
            return false;
    }
    return true;
}

/* All fields of that name, the last one first: together they are one list. */
static void walk(struct walk *w, const char *name, const struct hd_field *fields, size_t n,
                 bool (*step_field)(struct walk *w, struct hd_str value))
{
    while (n-- > 0) {
        if (!hd_str_is_nocase(fields[n].name, name))
            continue;
        w->found = true;
        if (!step_field(w, fields[n].value))
            return;
    }
}

struct hd_ipaddr hd_client_address(const struct hd_ipaddr *peer, const struct hd_field *fields,
                                   size_t n_fields, enum hd_client_field which,
                                   const struct hd_cidr *trusted, size_t n_trusted)
{
    struct walk w = {.at = *peer, .trusted = trusted, .n_trusted = n_trusted};
    if (!is_trusted(&w))
        return w.at;
    switch (which) {
    case HD_CLIENT_FORWARDED:
        walk(&w, "forwarded", fields, n_fields, step_forwarded);
        break;
    case HD_CLIENT_X_FORWARDED_FOR:
        walk(&w, "x-forwarded-for", fields, n_fields, step_list);
        if (!w.found)
            walk(&w, "x-real-ip", fields, n_fields, step_list);
        break;
    case HD_CLIENT_X_REAL_IP:
        walk(&w, "x-real-ip", fields, n_fields, step_list);
        break;
    }
    return w.at;
}

/* As a token, or quoted where it is none. */
static void put_value(struct hd_buf *out, struct hd_str value)
{
    if (value.len > 0 && hd_scan_token(value.ptr, value.ptr + value.len) == value.ptr + value.len) {
        hd_buf_str(out, value);
        return;
    }
    hd_buf_char(out, '"');
    for (size_t i = 0; i < value.len; i++) {
        if (value.ptr[i] == '"' || value.ptr[i] == '\\')
            hd_buf_char(out, '\\');
        hd_buf_char(out, value.ptr[i]);
    }
    hd_buf_char(out, '"');
}

void hd_forwarded_format(struct hd_buf *out, const struct hd_ipaddr *source, struct hd_str host,
                         struct hd_str proto)
{
    char text[HD_IPADDR_CHARS + 1];
    hd_ipaddr_format(text, source);
    if (source->family == 6)
        hd_buf_fmt(out, "for=\"[%s]\"", text);
    else
        hd_buf_fmt(out, "for=%s", source->family == 4 ? text : "unknown");
    if (host.len > 0) {
        hd_buf_cstr(out, ";host=");
        put_value(out, host);
    }
    if (proto.len > 0) {
        hd_buf_cstr(out, ";proto=");
        put_value(out, proto);
    }
}
