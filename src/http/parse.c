/* One pass from left to right. Whether a byte is refused depends on it and on what stands before
 * it, never on what follows, so that it does not matter in how many pieces a head arrives.
 *
 *   [CRLF] start line ──► name ":" OWS value CRLF ──► ... ──► CRLF ──► what the fields mean
 * together
 */
#include "http/parse.h"
#include "core/ipaddr.h"
#include "http/scan.h"

#include <stdio.h>

enum { METHOD_MAX = 32 }; /* the longest registered one has 17 */

struct parser {
    const char *base, *at, *end;
    bool full;         /* no byte may come after `end`: the head has reached its maximum */
    unsigned too_long; /* status for a head that is not complete at `end` if `full` */
    unsigned status;   /* of the refusal */
    struct hd_error *err;
    bool request;
    /* what the fields said */
    bool coded, close, keep, upgrading, expecting;
    unsigned n_upgrades;
};

static int __attribute__((cold, noinline))
refuse(struct parser *p, unsigned status, const char *at, const char *why)
{
    p->status = status;
    return hd_fail(p->err, HD_EPROTO, "HTTP %s head, byte %zu: %s",
                   p->request ? "request" : "response", (size_t)(at - p->base), why);
}

/* The bytes ended too early. */
static int more(struct parser *p)
{
    if (!p->full)
        return 0;
    return refuse(p, p->too_long, p->end,
                  p->too_long == 414 ? "the target is longer than the limit"
                                     : "the head is longer than the limit");
}

/* A byte that does not belong there: say which. */
static int __attribute__((cold, noinline))
refuse_byte(struct parser *p, const char *at, const char *where)
{
    char why[96];
    unsigned char c = (unsigned char)*at;
    snprintf(why, sizeof(why), "%s 0x%02x %s",
             c == '\n'  ? "bare LF"
             : c < 0x20 ? "control byte"
                        : "byte",
             c, where);
    return refuse(p, 400, at, why);
}

/* CR LF at the cursor. @return 1: passed; 0: more; or a refusal. */
static int line_break(struct parser *p, const char *where)
{
    if (p->at == p->end)
        return more(p);
    if (*p->at != '\r')
        return refuse_byte(p, p->at, where);
    if (p->at + 1 == p->end)
        return more(p);
    if (p->at[1] != '\n')
        return refuse(p, 400, p->at, "bare CR");
    p->at += 2;
    return 1;
}

/* "HTTP/1.1". */
static int version(struct parser *p, struct hd_head *head)
{
    static const char prefix[] = "HTTP/";
    const char *at = p->at;
    for (size_t i = 0; i < sizeof(prefix) - 1; i++, at++) {
        if (at == p->end)
            return more(p);
        if (*at != prefix[i])
            return refuse(p, 400, p->at, "HTTP/<digit>.<digit> must stand here");
    }
    for (size_t i = 0; i < 3; i++) {
        if (at + i == p->end)
            return more(p);
        if (i == 1 ? at[i] != '.' : (unsigned)(unsigned char)at[i] - '0' > 9)
            return refuse(p, 400, p->at, "HTTP/<digit>.<digit> must stand here");
    }
    if (at[0] != '1')
        return refuse(p, 505, p->at, "only HTTP/1.0 and HTTP/1.1 are spoken here");
    head->minor = at[2] != '0';
    p->at = at + 3;
    return 1;
}

/* Compare with a lower-case word of the same length. */
static inline bool is_word(struct hd_str s, const char *lower)
{
    for (size_t i = 0; i < s.len; i++) {
        if ((s.ptr[i] | 0x20) != lower[i])
            return false;
    }
    return true;
}

/* Digits, or the same number several times in a list (RFC 9110 section 8.6). */
static int content_length(struct parser *p, struct hd_head *head, struct hd_str value)
{
    struct hd_str rest = value, part;
    while (hd_str_split(&part, &rest, ',')) {
        uint64_t n;
        part = hd_str_trim(part);
        if (hd_str_to_u64(&n, part) < 0)
            return refuse(p, 400, value.ptr, "Content-Length must be a decimal number");
        if (n > INT64_MAX)
            return refuse(p, 400, value.ptr, "Content-Length is too large");
        if (head->declared_bytes >= 0 && (uint64_t)head->declared_bytes != n)
            return refuse(p, 400, value.ptr, "Content-Length is there twice, with two values");
        head->declared_bytes = (int64_t)n;
    }
    if (p->coded)
        return refuse(p, 400, value.ptr, "Content-Length together with Transfer-Encoding");
    return 1;
}

static int transfer_encoding(struct parser *p, struct hd_head *head, struct hd_str value)
{
    if (head->minor == 0)
        return refuse(p, 400, value.ptr, "Transfer-Encoding in HTTP/1.0");
    if (head->declared_bytes >= 0)
        return refuse(p, 400, value.ptr, "Content-Length together with Transfer-Encoding");
    if (p->coded)
        return refuse(p, 400, value.ptr, "Transfer-Encoding is there twice");
    if (!hd_str_is_nocase(value, "chunked"))
        return refuse(p, 501, value.ptr, "Transfer-Encoding must be \"chunked\", nothing else");
    p->coded = true;
    return 1;
}

/* One of a list of options, by its length first. */
static void connection(struct parser *p, struct hd_head *head, struct hd_str value)
{
    struct hd_str part;
    while (hd_str_split(&part, &value, ',')) {
        part = hd_str_trim(part);
        if (part.len == 0)
            continue;
        if (part.len == 10 && hd_str_is_nocase(part, "keep-alive"))
            p->keep = true;
        else if (part.len == 5 && hd_str_is_nocase(part, "close"))
            p->close = true;
        else if (part.len == 7 && hd_str_is_nocase(part, "upgrade"))
            p->upgrading = true;
        else
            head->connection_names = true;
    }
}

static int expect(struct parser *p, struct hd_head *head, struct hd_str value)
{
    const char *at = value.ptr;
    struct hd_str part;
    if (head->minor == 0)
        return 1; /* RFC 9110 section 10.1.1: ignored */
    while (hd_str_split(&part, &value, ',')) {
        part = hd_str_trim(part);
        if (!hd_str_is_nocase(part, "100-continue"))
            return refuse(p, 417, at, "Expect must be \"100-continue\", nothing else");
        p->expecting = true;
    }
    return 1;
}

/* uri-host [ ":" port ], RFC 9110 section 7.2. Of what RFC 3986 permits in a name, percent-escapes
 * and sub-delims are refused: no name that can be resolved has them. */
static bool is_host(struct hd_str s)
{
    const char *at = s.ptr, *end = s.ptr + s.len;
    if (s.len > 0 && *at == '[') {
        size_t close = hd_str_find(s, ']');
        struct hd_ipaddr ip;
        struct hd_str inside = {at + 1, close - 1};
        if (close == s.len || hd_str_find(inside, ':') == inside.len ||
            hd_ipaddr_parse(&ip, inside) < 0)
            return false;
        at += close + 1;
    } else {
        while (at < end && hd_char_is(*at, HD_CHAR_HOST))
            at++;
        if (at == s.ptr)
            return false;
    }
    if (at == end)
        return true;
    if (*at++ != ':')
        return false;
    unsigned port = 0;
    for (; at < end; at++) {
        unsigned digit = (unsigned)(unsigned char)*at - '0';
        if (digit > 9)
            return false;
        port = port * 10 + digit;
        if (port > 65535)
            return false;
    }
    return true;
}

static int host(struct parser *p, struct hd_head *head, struct hd_str value)
{
    if (!p->request)
        return 1;
    if (head->host.ptr != NULL)
        return refuse(p, 400, value.ptr, "Host is there twice");
    if (!is_host(value))
        return refuse(p, 400, value.ptr, "Host must be <name or address>[:port]");
    head->host = value;
    return 1;
}

/* Note what a field means for framing and connection. */
static inline int special(struct parser *p, struct hd_head *head, struct hd_str name,
                          struct hd_str value)
{
    const char first = (char)(name.ptr[0] | 0x20);
    switch (name.len) {
    case 4:
        return first == 'h' && is_word(name, "host") ? host(p, head, value) : 1;
    case 6:
        return first == 'e' && p->request && is_word(name, "expect") ? expect(p, head, value) : 1;
    case 7:
        if (first == 'u' && is_word(name, "upgrade")) {
            head->upgrade_to = value;
            p->n_upgrades++;
        }
        return 1;
    case 10:
        if (first == 'c' && is_word(name, "connection"))
            connection(p, head, value);
        return 1;
    case 14:
        return first == 'c' && is_word(name, "content-length") ? content_length(p, head, value) : 1;
    case 17:
        return first == 't' && is_word(name, "transfer-encoding")
                   ? transfer_encoding(p, head, value)
                   : 1;
    }
    return 1;
}

/* Why a field line does not begin with `token ":"`; the cursor is where it does not. */
static int __attribute__((cold, noinline)) refuse_name(struct parser *p, const char *name)
{
    const char c = *p->at;
    if (p->at == name && (c == ' ' || c == '\t'))
        return refuse(p, 400, p->at, "a line that begins with a blank (obs-fold) is not accepted");
    if (c == ' ' || c == '\t')
        return refuse(p, 400, p->at, "blank between field name and colon");
    if (p->at == name && c == ':')
        return refuse(p, 400, p->at, "empty field name");
    if (c == '\r')
        return refuse(p, 400, p->at, "field line without a colon");
    return refuse_byte(p, p->at, "in a field name");
}

/* Field lines and the empty line after them. */
static int fields(struct parser *p, struct hd_head *head, const struct hd_parse_limits *limits)
{
    const size_t max = HD_MIN((size_t)limits->max_fields, (size_t)HD_HEAD_FIELDS_MAX);
    const char *const end = p->end;
    for (;;) {
        const char *name = p->at;
        if (name == end)
            return more(p);
        if (*name == '\r')
            return line_break(p, "");
        p->at = hd_scan_token(name, end);
        if (p->at == end)
            return more(p);
        if (*p->at != ':' || p->at == name)
            return refuse_name(p, name);
        if (head->n_fields == max)
            return refuse(p, 431, name, "more fields than the limit");
        struct hd_field *f = &head->fields[head->n_fields];
        f->name = hd_str_n(name, (size_t)(p->at - name));

        const char *value = p->at + 1;
        while (value < end && (*value == ' ' || *value == '\t'))
            value++;
        p->at = hd_scan_value(value, end);
        const char *last = p->at;
        int rc = line_break(p, "in a field value");
        if (rc <= 0)
            return rc;
        while (last > value && (last[-1] == ' ' || last[-1] == '\t'))
            last--;
        f->value = hd_str_n(value, (size_t)(last - value));
        head->n_fields++;
        rc = special(p, head, f->name, f->value);
        if (rc < 0)
            return rc;
    }
}

/* The head has no memset: `fields` is large, and only n_fields of it count. */
static void begin(struct parser *p, struct hd_head *head, struct hd_str bytes,
                  const struct hd_parse_limits *limits, struct hd_error *err)
{
    static const struct hd_str none = {NULL, 0};
    const size_t window = HD_MIN(bytes.len, (size_t)limits->max_head_bytes);
    p->base = p->at = bytes.ptr;
    p->end = window > 0 ? bytes.ptr + window : bytes.ptr;
    p->full = window == limits->max_head_bytes;
    p->too_long = 431;
    p->status = 400;
    p->err = err;
    p->coded = p->close = p->keep = p->upgrading = p->expecting = false;
    p->n_upgrades = 0;

    head->minor = 0;
    head->method = head->target = head->path = head->query = head->host = none;
    head->status = 0;
    head->reason = none;
    head->n_fields = 0;
    head->body_bytes = HD_BODY_NONE;
    head->declared_bytes = HD_BODY_UNKNOWN;
    head->chunked = head->keep_alive = head->expect_continue = head->upgrade = false;
    head->upgrade_to = none;
    head->connection_names = false;
}

/* What requests and responses have in common once all fields are known. */
static void conclude(const struct parser *p, struct hd_head *head)
{
    head->keep_alive = !p->close && (head->minor == 1 || p->keep);
    /* Two Upgrade fields: which one is meant is anybody's guess, and ignoring them is allowed. */
    head->upgrade = p->upgrading && p->n_upgrades == 1 && head->minor == 1;
    if (!head->upgrade)
        head->upgrade_to = hd_str_n(NULL, 0);
}

static int method(struct parser *p, struct hd_head *head)
{
    const char *from = p->at;
    p->at = hd_scan_token(from, p->end);
    if (p->at - from > METHOD_MAX)
        return refuse(p, 501, from, "the method is too long to be one");
    if (p->at == p->end)
        return more(p);
    if (*p->at != ' ' || p->at == from)
        return p->at == from ? refuse_byte(p, p->at, "where the method should begin")
                             : refuse_byte(p, p->at, "in the method");
    head->method = hd_str_n(from, (size_t)(p->at - from));
    p->at++;
    return 1;
}

static int target(struct parser *p, struct hd_head *head, const struct hd_parse_limits *limits)
{
    const char *from = p->at;
    const bool cut = p->end - from > (ptrdiff_t)limits->max_target_bytes;
    const char *end = cut ? from + limits->max_target_bytes + 1 : p->end;
    const char *at = hd_scan_path(from, end);
    head->path = hd_str_n(from, (size_t)(at - from));
    if (at < end && *at == '?') {
        const char *query = at + 1;
        at = hd_scan_query(query, end);
        head->query = hd_str_n(query, (size_t)(at - query));
    }
    if (at == end && cut)
        return refuse(p, 414, end - 1, "the target is longer than the limit");
    p->too_long = 414;
    if (at == p->end)
        return more(p);
    p->too_long = 431;
    if (at == from && *at == ' ')
        return refuse(p, 400, at, "one blank, not more, must stand before the target");
    if (*at == '#')
        return refuse(p, 400, at, "a target has no fragment");
    if (*at == '\r')
        return refuse(p, 400, at, "the HTTP version is missing");
    if (*at != ' ')
        return refuse_byte(p, at, "in the target: it must be percent-encoded");
    head->target = hd_str_n(from, (size_t)(at - from));
    p->at = at + 1;
    return 1;
}

/* RFC 9112 section 3.2: which of the four forms. */
static int target_form(struct parser *p, const struct hd_head *head)
{
    const struct hd_str t = head->target;
    if (hd_str_is(head->method, "CONNECT"))
        return refuse(p, 400, t.ptr, "CONNECT: this is a gateway, not a proxy");
    if (t.ptr[0] == '/' || (hd_str_is(t, "*") && hd_str_is(head->method, "OPTIONS")))
        return 1;
    if (hd_str_is(t, "*"))
        return refuse(p, 400, t.ptr, "the target \"*\" is for OPTIONS only");
    const size_t colon = hd_str_find(t, ':');
    if (t.len - colon > 2 && t.ptr[colon + 1] == '/' && t.ptr[colon + 2] == '/')
        return refuse(p, 400, t.ptr,
                      "absolute-form target: this is a gateway, not a proxy; send the path alone, "
                      "and the authority in Host");
    return refuse(p, 400, t.ptr, "the target must begin with \"/\"");
}

static int request_head(struct parser *p, struct hd_head *head,
                        const struct hd_parse_limits *limits)
{
    int rc;
    if (p->at < p->end && (*p->at == '\r' || *p->at == '\n') &&
        (rc = line_break(p, "before the method")) <= 0)
        return rc;
    if ((rc = method(p, head)) <= 0 || (rc = target(p, head, limits)) <= 0 ||
        (rc = version(p, head)) <= 0 || (rc = target_form(p, head)) <= 0 ||
        (rc = line_break(p, "after the version")) <= 0 || (rc = fields(p, head, limits)) <= 0)
        return rc;
    if (head->host.ptr == NULL && head->minor == 1)
        return refuse(p, 400, p->at, "HTTP/1.1 needs a Host field");
    conclude(p, head);
    head->chunked = p->coded;
    if (p->coded)
        head->body_bytes = HD_BODY_UNKNOWN;
    else if (head->declared_bytes > 0)
        head->body_bytes = head->declared_bytes;
    head->expect_continue = p->expecting && head->body_bytes != HD_BODY_NONE;
    return 1;
}

int hd_parse_request(struct hd_head *head, size_t *used, unsigned *status, struct hd_str bytes,
                     const struct hd_parse_limits *limits, struct hd_error *err)
{
    struct parser p;
    p.request = true;
    begin(&p, head, bytes, limits, err);
    int rc = request_head(&p, head, limits);
    if (rc > 0)
        *used = (size_t)(p.at - p.base);
    else if (rc < 0)
        *status = p.status;
    return rc;
}

/* SP 3DIGIT [SP reason]. */
static int status_line(struct parser *p, struct hd_head *head)
{
    unsigned status = 0;
    if (p->at == p->end)
        return more(p);
    if (*p->at != ' ')
        return refuse_byte(p, p->at, "after the version");
    const char *digits = p->at + 1;
    for (size_t i = 0; i < 3; i++) {
        if (digits + i == p->end)
            return more(p);
        unsigned digit = (unsigned)(unsigned char)digits[i] - '0';
        if (digit > 9)
            return refuse(p, 400, digits, "the status must be three digits");
        status = status * 10 + digit;
    }
    if (status < 100 || status > 599)
        return refuse(p, 400, digits, "the status must be 100 to 599");
    head->status = status;
    p->at = digits + 3;
    if (p->at < p->end && *p->at == ' ') {
        const char *reason = p->at + 1;
        p->at = hd_scan_value(reason, p->end);
        head->reason = hd_str_n(reason, (size_t)(p->at - reason));
    }
    return line_break(p, "in the status line");
}

static int response_head(struct parser *p, struct hd_head *head,
                         const struct hd_parse_limits *limits, bool to_head)
{
    int rc;
    if ((rc = version(p, head)) <= 0 || (rc = status_line(p, head)) <= 0 ||
        (rc = fields(p, head, limits)) <= 0)
        return rc;
    conclude(p, head);
    if (head->status < 200 || head->status == 204) {
        /* These must not announce a body. One that does may send it as well: trust it no more. */
        if (p->coded || head->declared_bytes > 0)
            head->keep_alive = false;
    } else if (head->status == 304 || to_head) {
        /* The fields say what a GET would get. */
    } else if (p->coded || head->declared_bytes >= 0) {
        head->chunked = p->coded;
        head->body_bytes = p->coded ? HD_BODY_UNKNOWN : head->declared_bytes;
    } else {
        head->body_bytes = HD_BODY_UNKNOWN;
        head->keep_alive = false;
    }
    return 1;
}

int hd_parse_response(struct hd_head *head, size_t *used, struct hd_str bytes, bool to_head,
                      const struct hd_parse_limits *limits, struct hd_error *err)
{
    struct parser p;
    p.request = false;
    begin(&p, head, bytes, limits, err);
    int rc = response_head(&p, head, limits, to_head);
    if (rc > 0)
        *used = (size_t)(p.at - p.base);
    return rc;
}
