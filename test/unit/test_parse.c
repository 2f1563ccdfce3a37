/* test_parse.c - every rule for message heads. Each input is parsed whole, with garbage behind it,
 * and byte by byte; the results must be the same. */
#include "http/parse.h"
#include "test.h"

#include <stdio.h>

static const struct hd_parse_limits limits = {
    .max_head_bytes = 1024, .max_target_bytes = 64, .max_fields = 8};

/* The outcome of a parse as text, so that two can be compared. */
struct outcome {
    int rc;
    unsigned status;
    size_t used;
    char text[4096];
};

static size_t add(char *text, size_t at, size_t cap, const char *name, struct hd_str s)
{
    return at + (size_t)snprintf(text + at, cap - at, "%s=%s%.*s%s ", name, s.ptr ? "<" : "none",
                                 HD_FMT(s), s.ptr ? ">" : "");
}

static void describe(struct outcome *o, const struct hd_head *h)
{
    char *t = o->text;
    const size_t cap = sizeof(o->text);
    size_t at = (size_t)snprintf(t, cap, "1.%u status=%u ", h->minor, h->status);
    at = add(t, at, cap, "method", h->method);
    at = add(t, at, cap, "target", h->target);
    at = add(t, at, cap, "path", h->path);
    at = add(t, at, cap, "query", h->query);
    at = add(t, at, cap, "host", h->host);
    at = add(t, at, cap, "reason", h->reason);
    at = add(t, at, cap, "to", h->upgrade_to);
    at += (size_t)snprintf(t + at, cap - at, "body=%lld declared=%lld %d%d%d%d%d",
                           (long long)h->body_bytes, (long long)h->declared_bytes, h->chunked,
                           h->keep_alive, h->expect_continue, h->upgrade, h->connection_names);
    for (size_t i = 0; i < h->n_fields; i++) {
        at = add(t, at, cap, " name", h->fields[i].name);
        at = add(t, at, cap, "value", h->fields[i].value);
    }
    assert_true(at < cap);
}

enum kind { REQUEST, RESPONSE, RESPONSE_TO_HEAD };

static void parse(struct outcome *o, struct hd_head *h, enum kind kind, struct hd_str bytes)
{
    struct hd_error err = {0};
    memset(h, 0xa5, sizeof(*h)); /* what is not set shows */
    memset(o, 0, sizeof(*o));
    o->rc = kind == REQUEST
                ? hd_parse_request(h, &o->used, &o->status, bytes, &limits, &err)
                : hd_parse_response(h, &o->used, bytes, kind == RESPONSE_TO_HEAD, &limits, &err);
    if (o->rc == 1)
        describe(o, h);
    else if (o->rc < 0)
        snprintf(o->text, sizeof(o->text), "%d %s", err.code, err.msg);
}

static void assert_same(const struct outcome *a, const struct outcome *b)
{
    assert_string_equal(a->text, b->text);
    assert_int_equal(a->rc, b->rc);
    assert_int_equal(a->status, b->status);
    assert_int_equal(a->used, b->used);
}

/* Parse in three ways; *h has slices of @p in. The memory ends where the bytes end, for ASan. */
static struct outcome feed(struct hd_head *h, enum kind kind, struct hd_str in)
{
    static const char garbage[] = "\xff\n\r\0GET";
    struct outcome whole, piece;
    parse(&whole, h, kind, in);

    struct hd_head other;
    char *longer = hd_alloc(in.len + sizeof(garbage));
    memcpy(longer, in.ptr, in.len);
    memcpy(longer + in.len, garbage, sizeof(garbage));
    parse(&piece, &other, kind, hd_str_n(longer, in.len + sizeof(garbage)));
    if (whole.rc != 0)
        assert_same(&whole, &piece);
    free(longer);

    for (size_t n = 0; n <= in.len; n++) {
        char *exact = hd_alloc(n);
        memcpy(exact, in.ptr, n);
        parse(&piece, &other, kind, hd_str_n(exact, n));
        free(exact);
        if (piece.rc != 0)
            break;
    }
    assert_same(&whole, &piece);
    return whole;
}

struct good {
    struct hd_str in;
    const char *out;
};
struct bad {
    struct hd_str in;
    unsigned status; /* 0 for responses */
    const char *why; /* part of the message */
};

static void accept(enum kind kind, const struct good *cases, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct hd_head h;
        struct outcome o = feed(&h, kind, cases[i].in);
        if (o.rc != 1 || strstr(o.text, cases[i].out) == NULL)
            fail_msg("case %zu: %.*s\nwant: %s\ngot:  %s", i, HD_FMT(cases[i].in), cases[i].out,
                     o.text);
        assert_int_equal(o.used, cases[i].in.len);
    }
}

static void reject(enum kind kind, const struct bad *cases, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct hd_head h;
        struct outcome o = feed(&h, kind, cases[i].in);
        if (o.rc != HD_EPROTO || strstr(o.text, cases[i].why) == NULL ||
            o.status != cases[i].status)
            fail_msg("case %zu: %.*s\nwant: %u %s\ngot:  %u %s", i, HD_FMT(cases[i].in),
                     cases[i].status, cases[i].why, o.status, o.text);
    }
}

static void requests_are_taken_apart(void **state)
{
    static const struct good cases[] = {
        {HD_LIT("GET / HTTP/1.1\r\nHost: a\r\n\r\n"),
         "1.1 status=0 method=<GET> target=</> path=</> query=none host=<a> reason=none to=none "
         "body=0 declared=-1 01000 name=<Host> value=<a>"},
        {HD_LIT("\r\nGET /p?q=1?2 HTTP/1.1\r\nHost:a:8080\r\n\r\n"),
         "target=</p?q=1?2> path=</p> query=<q=1?2> host=<a:8080>"},
        {HD_LIT("GET /? HTTP/1.1\r\nHost: a\r\n\r\n"), "path=</> query=<>"},
        {HD_LIT("M-SEARCH /x HTTP/1.1\r\nhOST:\t [2001:db8::1]:1 \t\r\n\r\n"),
         "method=<M-SEARCH> target=</x> path=</x> query=none host=<[2001:db8::1]:1>"},
        {HD_LIT("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n"), "target=<*>"},
        {HD_LIT("GET //a/../b%zz HTTP/1.1\r\nHost: a\r\n\r\n"), "path=<//a/../b%zz>"},
        {HD_LIT("GET /\"[]^`{|}?\"[]^`{|}\\ HTTP/1.1\r\nHost: a\r\n\r\n"),
         "path=</\"[]^`{|}> query=<\"[]^`{|}\\>"},
        {HD_LIT("GET / HTTP/1.0\r\n\r\n"), "1.0 status=0 method=<GET> target=</> path=</> "
                                           "query=none host=none reason=none to=none body=0 "
                                           "declared=-1 00000"},
        {HD_LIT("GET / HTTP/1.9\r\nHost: a\r\n\r\n"), "1.1 "},
        {HD_LIT("GET / HTTP/1.1\r\nHost: a\r\nX:\r\nY: \t\r\nZ: a \t b\xff \r\n\r\n"),
         "name=<X> value=<>  name=<Y> value=<>  name=<Z> value=<a \t b\xff>"},
        {HD_LIT("GET / HTTP/1.1\r\nHost: a\r\n!#$%&'*+-.^_`|~09azAZ: x\r\n\r\n"),
         "name=<!#$%&'*+-.^_`|~09azAZ>"},
    };
    accept(REQUEST, cases, HD_COUNT(cases));
    (void)state;
}

static void the_query_is_none_or_a_slice(void **state)
{
    struct hd_head h;
    struct outcome o = feed(&h, REQUEST, hd_str("GET /? HTTP/1.1\r\nHost: a\r\n\r\n"));
    assert_int_equal(o.rc, 1);
    assert_non_null(h.query.ptr);
    feed(&h, REQUEST, hd_str("GET / HTTP/1.1\r\nHost: a\r\n\r\n"));
    assert_null(h.query.ptr);
    (void)state;
}

#define HOST "Host: a\r\n"
#define POST "POST / HTTP/1.1\r\nHost: a\r\n"

static void framing_is_what_the_fields_say(void **state)
{
    static const struct good cases[] = {
        {HD_LIT(POST "\r\n"), "body=0 declared=-1 01000"},
        {HD_LIT(POST "Content-Length: 0\r\n\r\n"), "body=0 declared=0 01000"},
        {HD_LIT(POST "content-length: 0042\r\n\r\n"), "body=42 declared=42 01000"},
        {HD_LIT(POST "Content-Length: 9223372036854775807\r\n\r\n"), "body=9223372036854775807 "},
        {HD_LIT(POST "Content-Length: 5, 5 ,5\r\n\r\n"), "body=5 "},
        {HD_LIT(POST "Content-Length: 5\r\nCONTENT-LENGTH: 5\r\n\r\n"), "body=5 "},
        {HD_LIT(POST "Transfer-Encoding: chunked\r\n\r\n"), "body=-1 declared=-1 11000"},
        {HD_LIT(POST "TRANSFER-encoding:Chunked \r\n\r\n"), "body=-1 declared=-1 11000"},
        {HD_LIT("GET / HTTP/1.0\r\nContent-Length: 3\r\n\r\n"), "body=3 declared=3 00000"},
    };
    accept(REQUEST, cases, HD_COUNT(cases));
    (void)state;
}

static void unclear_framing_is_refused(void **state)
{
    static const struct bad cases[] = {
        {HD_LIT(POST "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"), 400, "together"},
        {HD_LIT(POST "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n"), 400, "together"},
        {HD_LIT(POST "Content-Length: 5\r\nContent-Length: 6\r\n\r\n"), 400, "two values"},
        {HD_LIT(POST "Content-Length: 5, 6\r\n\r\n"), 400, "two values"},
        {HD_LIT(POST "Content-Length: 5,\r\n\r\n"), 400, "decimal"},
        {HD_LIT(POST "Content-Length: ,5\r\n\r\n"), 400, "decimal"},
        {HD_LIT(POST "Content-Length:\r\n\r\n"), 400, "decimal"},
        {HD_LIT(POST "Content-Length: +5\r\n\r\n"), 400, "decimal"},
        {HD_LIT(POST "Content-Length: -5\r\n\r\n"), 400, "decimal"},
        {HD_LIT(POST "Content-Length: 0x5\r\n\r\n"), 400, "decimal"},
        {HD_LIT(POST "Content-Length: 5 5\r\n\r\n"), 400, "decimal"},
        {HD_LIT(POST "Content-Length: 5.0\r\n\r\n"), 400, "decimal"},
        {HD_LIT(POST "Content-Length: \"5\"\r\n\r\n"), 400, "decimal"},
        {HD_LIT(POST "Content-Length: 9223372036854775808\r\n\r\n"), 400, "too large"},
        {HD_LIT(POST "Content-Length: 18446744073709551616\r\n\r\n"), 400, "decimal"},
        {HD_LIT(POST "Transfer-Encoding: gzip, chunked\r\n\r\n"), 501, "chunked"},
        {HD_LIT(POST "Transfer-Encoding: chunked, gzip\r\n\r\n"), 501, "chunked"},
        {HD_LIT(POST "Transfer-Encoding: chunked, chunked\r\n\r\n"), 501, "chunked"},
        {HD_LIT(POST "Transfer-Encoding: identity\r\n\r\n"), 501, "chunked"},
        {HD_LIT(POST "Transfer-Encoding: xchunked\r\n\r\n"), 501, "chunked"},
        {HD_LIT(POST "Transfer-Encoding: chunked;a=b\r\n\r\n"), 501, "chunked"},
        {HD_LIT(POST "Transfer-Encoding: \"chunked\"\r\n\r\n"), 501, "chunked"},
        {HD_LIT(POST "Transfer-Encoding:\r\n\r\n"), 501, "chunked"},
        {HD_LIT(POST "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n"), 400,
         "twice"},
        {HD_LIT(POST "Transfer-Encoding: \x0b"
                     "chunked\r\n\r\n"),
         400, "control byte 0x0b"},
        {HD_LIT("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"), 400, "HTTP/1.0"},
    };
    reject(REQUEST, cases, HD_COUNT(cases));
    (void)state;
}

static void request_lines_are_exact(void **state)
{
    static const struct bad cases[] = {
        {HD_LIT("\r\n\r\nGET / HTTP/1.1\r\n" HOST "\r\n"), 400, "byte 2: control byte 0x0d"},
        {HD_LIT("\nGET / HTTP/1.1\r\n" HOST "\r\n"), 400, "byte 0: bare LF 0x0a before"},
        {HD_LIT("\rGET / HTTP/1.1\r\n" HOST "\r\n"), 400, "byte 0: bare CR"},
        {HD_LIT(" GET / HTTP/1.1\r\n" HOST "\r\n"), 400, "byte 0: byte 0x20 where the method"},
        {HD_LIT("GET  / HTTP/1.1\r\n" HOST "\r\n"), 400, "byte 4: one blank, not more"},
        {HD_LIT("GET\t/ HTTP/1.1\r\n" HOST "\r\n"), 400, "in the method"},
        {HD_LIT("GE(T / HTTP/1.1\r\n" HOST "\r\n"), 400, "0x28 in the method"},
        {HD_LIT("G\0T / HTTP/1.1\r\n" HOST "\r\n"), 400, "0x00 in the method"},
        {HD_LIT("GET /  HTTP/1.1\r\n" HOST "\r\n"), 400, "HTTP/<digit>"},
        {HD_LIT("GET /\tHTTP/1.1\r\n" HOST "\r\n"), 400, "0x09 in the target"},
        {HD_LIT("GET / HTTP/1.1 \r\n" HOST "\r\n"), 400, "after the version"},
        {HD_LIT("GET / HTTP/1.1\n" HOST "\r\n"), 400, "bare LF 0x0a after the version"},
        {HD_LIT("GET / HTTP/1.1\rHost: a\r\n\r\n"), 400, "bare CR"},
        {HD_LIT("GET /\r\n" HOST "\r\n"), 400, "version is missing"},
        {HD_LIT("GET /\n" HOST "\r\n"), 400, "bare LF 0x0a in the target"},
        {HD_LIT("GET\r\n\r\n"), 400, "in the method"},
        {HD_LIT("GET / http/1.1\r\n" HOST "\r\n"), 400, "HTTP/<digit>"},
        {HD_LIT("GET / HTTPS/1.1\r\n" HOST "\r\n"), 400, "HTTP/<digit>"},
        {HD_LIT("GET / HTTP/1,1\r\n" HOST "\r\n"), 400, "HTTP/<digit>"},
        {HD_LIT("GET / HTTP/11\r\n" HOST "\r\n"), 400, "HTTP/<digit>"},
        {HD_LIT("GET / HTTP/1.10\r\n" HOST "\r\n"), 400, "after the version"},
        {HD_LIT("GET / HTTP/x.1\r\n" HOST "\r\n"), 400, "HTTP/<digit>"},
        {HD_LIT("GET / HTTP/2.0\r\n" HOST "\r\n"), 505, "HTTP/1.0 and HTTP/1.1"},
        {HD_LIT("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), 505, "HTTP/1.0 and HTTP/1.1"},
        {HD_LIT("GET / HTTP/0.9\r\n\r\n"), 505, "HTTP/1.0 and HTTP/1.1"},
        {HD_LIT("ABCDEFGHIJKLMNOPQRSTUVWXYZABCDEFG / HTTP/1.1\r\n" HOST "\r\n"), 501, "too long"},
    };
    reject(REQUEST, cases, HD_COUNT(cases));
    (void)state;
}

static void targets_are_paths(void **state)
{
    static const struct bad cases[] = {
        {HD_LIT("GET http://a/ HTTP/1.1\r\n" HOST "\r\n"), 400, "absolute-form"},
        {HD_LIT("GET HTTPS://a/ HTTP/1.1\r\n" HOST "\r\n"), 400, "absolute-form"},
        {HD_LIT("CONNECT a:443 HTTP/1.1\r\n" HOST "\r\n"), 400, "not a proxy"},
        {HD_LIT("CONNECT / HTTP/1.1\r\n" HOST "\r\n"), 400, "not a proxy"},
        {HD_LIT("GET a:443 HTTP/1.1\r\n" HOST "\r\n"), 400, "must begin with \"/\""},
        {HD_LIT("GET x HTTP/1.1\r\n" HOST "\r\n"), 400, "must begin with \"/\""},
        {HD_LIT("GET ?q HTTP/1.1\r\n" HOST "\r\n"), 400, "must begin with \"/\""},
        {HD_LIT("GET * HTTP/1.1\r\n" HOST "\r\n"), 400, "OPTIONS only"},
        {HD_LIT("GET /a#b HTTP/1.1\r\n" HOST "\r\n"), 400, "fragment"},
        {HD_LIT("GET /a?b#c HTTP/1.1\r\n" HOST "\r\n"), 400, "fragment"},
        {HD_LIT("GET /a\x01 HTTP/1.1\r\n" HOST "\r\n"), 400, "0x01 in the target"},
        {HD_LIT("GET /a\0 HTTP/1.1\r\n" HOST "\r\n"), 400, "0x00 in the target"},
        {HD_LIT("GET /a\x7f HTTP/1.1\r\n" HOST "\r\n"), 400, "0x7f in the target"},
        {HD_LIT("GET /\xc3\xa4 HTTP/1.1\r\n" HOST "\r\n"), 400, "0xc3 in the target"},
        {HD_LIT("GET /\\a HTTP/1.1\r\n" HOST "\r\n"), 400, "0x5c in the target"},
        {HD_LIT("GET /<a HTTP/1.1\r\n" HOST "\r\n"), 400, "0x3c in the target"},
        {HD_LIT("GET /?> HTTP/1.1\r\n" HOST "\r\n"), 400, "0x3e in the target"},
    };
    reject(REQUEST, cases, HD_COUNT(cases));
    (void)state;
}

static void field_lines_are_exact(void **state)
{
    static const struct bad cases[] = {
        {HD_LIT(POST "X: a\n\r\n"), 400, "bare LF 0x0a in a field value"},
        {HD_LIT(POST "X: a\r\r\n"), 400, "bare CR"},
        {HD_LIT(POST "X: a\rb\r\n\r\n"), 400, "bare CR"},
        {HD_LIT(POST "X: a\r\n b\r\n\r\n"), 400, "obs-fold"},
        {HD_LIT(POST "X: a\r\n\tb\r\n\r\n"), 400, "obs-fold"},
        {HD_LIT("GET / HTTP/1.1\r\n X: a\r\n" HOST "\r\n"), 400, "obs-fold"},
        {HD_LIT(POST "X : a\r\n\r\n"), 400, "between field name and colon"},
        {HD_LIT(POST "X\t: a\r\n\r\n"), 400, "between field name and colon"},
        {HD_LIT(POST ": a\r\n\r\n"), 400, "empty field name"},
        {HD_LIT(POST "X\r\n\r\n"), 400, "without a colon"},
        {HD_LIT(POST "X\n\r\n"), 400, "bare LF 0x0a in a field name"},
        {HD_LIT(POST "\n"), 400, "bare LF 0x0a in a field name"},
        {HD_LIT(POST "X/Y: a\r\n\r\n"), 400, "0x2f in a field name"},
        {HD_LIT(POST "X\0: a\r\n\r\n"), 400, "0x00 in a field name"},
        {HD_LIT(POST "X\xe4: a\r\n\r\n"), 400, "0xe4 in a field name"},
        {HD_LIT(POST "X(: a\r\n\r\n"), 400, "0x28 in a field name"},
        {HD_LIT(POST "X: a\0\r\n\r\n"), 400, "0x00 in a field value"},
        {HD_LIT(POST "X: \x1b[31m\r\n\r\n"), 400, "0x1b in a field value"},
        {HD_LIT(POST "X: a\x7f\r\n\r\n"), 400, "0x7f in a field value"},
        {HD_LIT(POST "\r\r\n"), 400, "bare CR"},
    };
    reject(REQUEST, cases, HD_COUNT(cases));
    (void)state;
}

static void there_is_one_good_host(void **state)
{
    static const struct bad bad[] = {
        {HD_LIT("GET / HTTP/1.1\r\n\r\n"), 400, "needs a Host"},
        {HD_LIT("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n"), 400, "Host is there twice"},
        {HD_LIT("GET / HTTP/1.1\r\nHost: a\r\nhost: b\r\n\r\n"), 400, "Host is there twice"},
        {HD_LIT("GET / HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n"), 400, "Host is there twice"},
        {HD_LIT("GET / HTTP/1.1\r\nHost:\r\n\r\n"), 400, "Host must be"},
        {HD_LIT("GET / HTTP/1.1\r\nHost: :80\r\n\r\n"), 400, "Host must be"},
        {HD_LIT("GET / HTTP/1.1\r\nHost: a b\r\n\r\n"), 400, "Host must be"},
        {HD_LIT("GET / HTTP/1.1\r\nHost: a, b\r\n\r\n"), 400, "Host must be"},
        {HD_LIT("GET / HTTP/1.1\r\nHost: a/b\r\n\r\n"), 400, "Host must be"},
        {HD_LIT("GET / HTTP/1.1\r\nHost: u@a\r\n\r\n"), 400, "Host must be"},
        {HD_LIT("GET / HTTP/1.1\r\nHost: a:x\r\n\r\n"), 400, "Host must be"},
        {HD_LIT("GET / HTTP/1.1\r\nHost: a:65536\r\n\r\n"), 400, "Host must be"},
        {HD_LIT("GET / HTTP/1.1\r\nHost: a:1:2\r\n\r\n"), 400, "Host must be"},
        {HD_LIT("GET / HTTP/1.1\r\nHost: ::1\r\n\r\n"), 400, "Host must be"},
        {HD_LIT("GET / HTTP/1.1\r\nHost: [::1\r\n\r\n"), 400, "Host must be"},
        {HD_LIT("GET / HTTP/1.1\r\nHost: []\r\n\r\n"), 400, "Host must be"},
        {HD_LIT("GET / HTTP/1.1\r\nHost: [1.2.3.4]\r\n\r\n"), 400, "Host must be"},
        {HD_LIT("GET / HTTP/1.1\r\nHost: [::1]x\r\n\r\n"), 400, "Host must be"},
        {HD_LIT("GET / HTTP/1.1\r\nHost: [::g]\r\n\r\n"), 400, "Host must be"},
        {HD_LIT("GET / HTTP/1.1\r\nHost: a%00\r\n\r\n"), 400, "Host must be"},
    };
    static const struct good good[] = {
        {HD_LIT("GET / HTTP/1.1\r\nHost: A-b.c_d~1:65535\r\n\r\n"), "host=<A-b.c_d~1:65535>"},
        {HD_LIT("GET / HTTP/1.1\r\nHost: a:\r\n\r\n"), "host=<a:>"},
        {HD_LIT("GET / HTTP/1.1\r\nHost: 127.0.0.1:80\r\n\r\n"), "host=<127.0.0.1:80>"},
        {HD_LIT("GET / HTTP/1.1\r\nHost: [::ffff:1.2.3.4]\r\n\r\n"), "host=<[::ffff:1.2.3.4]>"},
        {HD_LIT("GET / HTTP/1.1\r\nHost: a\r\nHos: b\r\nhoss: c\r\n\r\n"), "host=<a>"},
    };
    reject(REQUEST, bad, HD_COUNT(bad));
    accept(REQUEST, good, HD_COUNT(good));
    (void)state;
}

static void limits_have_their_own_status(void **state)
{
    static const char start[] = "GET / HTTP/1.1\r\nHost: a\r\nX: ";
    char buf[2048];
    struct hd_head h;
    struct outcome o;
    /* The whole head may have exactly max_head_bytes. */
    for (size_t bytes = limits.max_head_bytes - 1; bytes <= limits.max_head_bytes + 1; bytes++) {
        memset(buf, 'x', sizeof(buf));
        memcpy(buf, start, sizeof(start) - 1);
        memcpy(buf + bytes - 4, "\r\n\r\n", 4);
        o = feed(&h, REQUEST, hd_str_n(buf, bytes));
        assert_int_equal(o.rc, bytes <= limits.max_head_bytes ? 1 : HD_EPROTO);
        if (o.rc < 0)
            assert_int_equal(o.status, 431);
    }
    /* So may the target have max_target_bytes, wherever its query begins. */
    for (size_t bytes = limits.max_target_bytes - 1; bytes <= limits.max_target_bytes + 1;
         bytes++) {
        for (size_t question = 5; question <= bytes + 4; question++) {
            memset(buf, 'x', sizeof(buf));
            memcpy(buf, "GET /", 5);
            buf[question] = '?';
            int n = snprintf(buf + 4 + bytes, 64, " HTTP/1.1\r\nHost: a\r\n\r\n");
            o = feed(&h, REQUEST, hd_str_n(buf, 4 + bytes + (size_t)n));
            assert_int_equal(o.rc, bytes <= limits.max_target_bytes ? 1 : HD_EPROTO);
            if (o.rc < 0)
                assert_int_equal(o.status, 414);
        }
    }
    static const struct bad fields[] = {
        {HD_LIT(
             "GET / HTTP/1.1\r\nHost: a\r\n2:\r\n3:\r\n4:\r\n5:\r\n6:\r\n7:\r\n8:\r\n9:\r\n\r\n"),
         431, "more fields"}};
    static const struct good fits[] = {
        {HD_LIT("GET / HTTP/1.1\r\nHost: a\r\n2:\r\n3:\r\n4:\r\n5:\r\n6:\r\n7:\r\n8:\r\n\r\n"),
         "name=<8> value=<>"}};
    reject(REQUEST, fields, HD_COUNT(fields));
    accept(REQUEST, fits, HD_COUNT(fits));
    (void)state;
}

static void a_head_may_end_within_the_target_only_by_414(void **state)
{
    const struct hd_parse_limits small = {
        .max_head_bytes = 8, .max_target_bytes = 64, .max_fields = 500};
    struct hd_head h;
    size_t used;
    unsigned status = 0;
    assert_int_equal(hd_parse_request(&h, &used, &status, hd_str("GET /abc"), &small, NULL),
                     HD_EPROTO);
    assert_int_equal(status, 414);
    assert_int_equal(hd_parse_request(&h, &used, &status, hd_str("GET /ab"), &small, NULL), 0);
    assert_int_equal(hd_parse_request(&h, &used, &status, hd_str("GET / HTTP/1.1"), &small, NULL),
                     HD_EPROTO);
    assert_int_equal(status, 431);
    (void)state;
}

static void connection_options_decide_with_the_version(void **state)
{
    static const struct good cases[] = {
        {HD_LIT("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"), "declared=-1 00000"},
        {HD_LIT("GET / HTTP/1.1\r\nHost: a\r\nconnection: Keep-Alive, CLOSE\r\n\r\n"),
         "declared=-1 00000"},
        {HD_LIT("GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive\r\nConnection: close\r\n\r\n"),
         "declared=-1 00000"},
        {HD_LIT("GET / HTTP/1.1\r\nHost: a\r\nConnection: closed,,x-a\r\n\r\n"),
         "declared=-1 01001"},
        {HD_LIT("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"), "declared=-1 01000"},
        {HD_LIT("GET / HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n"), "declared=-1 00000"},
        {HD_LIT("GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"),
         "to=<websocket> body=0 declared=-1 01010"},
        {HD_LIT(
             "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: x, upgrade\r\n\r\n"),
         "to=<websocket> body=0 declared=-1 01011"},
        {HD_LIT("GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n\r\n"),
         "to=none body=0 declared=-1 01000"},
        {HD_LIT("GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\n\r\n"),
         "to=none body=0 declared=-1 01000"},
        {HD_LIT("GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: a\r\nUpgrade: "
                "b\r\n\r\n"),
         "to=none body=0 declared=-1 01000"},
        {HD_LIT("GET / HTTP/1.0\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n"),
         "to=none body=0 declared=-1 00000"},
    };
    accept(REQUEST, cases, HD_COUNT(cases));
    (void)state;
}

static void expect_is_100_continue_or_417(void **state)
{
    static const struct good good[] = {
        {HD_LIT(POST "Expect: 100-continue\r\nContent-Length: 1\r\n\r\n"), "declared=1 01100"},
        {HD_LIT(POST "Content-Length: 1\r\nexpect: 100-Continue, 100-continue\r\n\r\n"),
         "declared=1 01100"},
        {HD_LIT(POST "Expect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n"), "=-1 11100"},
        {HD_LIT(POST "Expect: 100-continue\r\nContent-Length: 0\r\n\r\n"), "declared=0 01000"},
        {HD_LIT("POST / HTTP/1.0\r\nExpect: 200-ok\r\nContent-Length: 1\r\n\r\n"),
         "declared=1 00000"},
    };
    static const struct bad bad[] = {
        {HD_LIT(POST "Expect: 200-ok\r\n\r\n"), 417, "100-continue"},
        {HD_LIT(POST "Expect: 100-continue, x\r\n\r\n"), 417, "100-continue"},
        {HD_LIT(POST "Expect:\r\n\r\n"), 417, "100-continue"},
    };
    accept(REQUEST, good, HD_COUNT(good));
    reject(REQUEST, bad, HD_COUNT(bad));
    (void)state;
}

static void responses_are_taken_apart(void **state)
{
    static const struct good cases[] = {
        {HD_LIT("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"),
         "1.1 status=200 method=none target=none path=none query=none host=none reason=<OK> "
         "to=none body=5 declared=5 01000 name=<Content-Length> value=<5>"},
        {HD_LIT("HTTP/1.1 404 Not\tF\xfcnd\r\nContent-Length: 0\r\n\r\n"), "reason=<Not\tF\xfcnd>"},
        {HD_LIT("HTTP/1.1 200 \r\nContent-Length: 0\r\n\r\n"), "status=200 "},
        {HD_LIT("HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n"), "reason=none"},
        {HD_LIT("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"), "body=-1 declared=-1 11"},
        {HD_LIT("HTTP/1.1 200 OK\r\n\r\n"), "body=-1 declared=-1 00000"},
        {HD_LIT("HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n\r\n"), "body=-1 declared=-1 00000"},
        {HD_LIT("HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\n"),
         "body=2 declared=2 01000"},
        {HD_LIT("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\n"),
         "body=2 declared=2 00000"},
        {HD_LIT("HTTP/1.1 100 Continue\r\n\r\n"), "status=100 "},
        {HD_LIT("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"), "body=0 declared=-1 01000"},
        {HD_LIT("HTTP/1.1 204 No Content\r\n\r\n"), "body=0 declared=-1 01000"},
        {HD_LIT("HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n"), "body=0 declared=0 01"},
        {HD_LIT("HTTP/1.1 204 No\r\nTransfer-Encoding: chunked\r\n\r\n"), "body=0 declared=-1 00"},
        {HD_LIT("HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n"), "body=0 declared=5 00"},
        {HD_LIT("HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n"), "body=0 declared=5 01"},
        {HD_LIT("HTTP/1.1 304 N\r\nTransfer-Encoding: chunked\r\n\r\n"), "body=0 declared=-1 01"},
        {HD_LIT("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: "
                "upgrade\r\n\r\n"),
         "to=<websocket> body=0 declared=-1 01010"},
        {HD_LIT("HTTP/1.1 599 X\r\nHost: a b\r\nExpect: x\r\nContent-Length: 0\r\n\r\n"),
         "status=599"},
    };
    static const struct good to_head[] = {
        {HD_LIT("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"), "body=0 declared=5 01000"},
        {HD_LIT("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"),
         "body=0 declared=-1 01000"},
        {HD_LIT("HTTP/1.1 200 OK\r\n\r\n"), "body=0 declared=-1 01000"},
    };
    accept(RESPONSE, cases, HD_COUNT(cases));
    accept(RESPONSE_TO_HEAD, to_head, HD_COUNT(to_head));
    (void)state;
}

static void bad_responses_are_refused(void **state)
{
    static const struct bad cases[] = {
        {HD_LIT("\r\nHTTP/1.1 200 OK\r\n\r\n"), 0, "byte 0: HTTP/<digit>"},
        {HD_LIT("HTTP/2.0 200 OK\r\n\r\n"), 0, "HTTP/1.0 and HTTP/1.1"},
        {HD_LIT("http/1.1 200 OK\r\n\r\n"), 0, "HTTP/<digit>"},
        {HD_LIT("ICY 200 OK\r\n\r\n"), 0, "HTTP/<digit>"},
        {HD_LIT("HTTP/1.1  200 OK\r\n\r\n"), 0, "three digits"},
        {HD_LIT("HTTP/1.1\t200 OK\r\n\r\n"), 0, "0x09 after the version"},
        {HD_LIT("HTTP/1.1\r\n\r\n"), 0, "after the version"},
        {HD_LIT("HTTP/1.1 20 OK\r\n\r\n"), 0, "three digits"},
        {HD_LIT("HTTP/1.1 2000 OK\r\n\r\n"), 0, "in the status line"},
        {HD_LIT("HTTP/1.1 +20 OK\r\n\r\n"), 0, "three digits"},
        {HD_LIT("HTTP/1.1 099 OK\r\n\r\n"), 0, "100 to 599"},
        {HD_LIT("HTTP/1.1 600 OK\r\n\r\n"), 0, "100 to 599"},
        {HD_LIT("HTTP/1.1 200\tOK\r\n\r\n"), 0, "in the status line"},
        {HD_LIT("HTTP/1.1 200 O\0K\r\n\r\n"), 0, "0x00 in the status line"},
        {HD_LIT("HTTP/1.1 200 OK\n\r\n"), 0, "bare LF"},
        {HD_LIT("HTTP/1.1 200 OK\r\nX : a\r\n\r\n"), 0, "colon"},
        {HD_LIT("HTTP/1.1 200 OK\r\nX: a\r\n b\r\n\r\n"), 0, "obs-fold"},
        {HD_LIT("HTTP/1.1 200 OK\r\nX: a\n\r\n"), 0, "bare LF"},
        {HD_LIT("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n"), 0,
         "two values"},
        {HD_LIT("HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n"), 0, "decimal"},
        {HD_LIT("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n"), 0,
         "together"},
        {HD_LIT("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n"), 0, "chunked"},
        {HD_LIT("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"), 0, "HTTP/1.0"},
    };
    reject(RESPONSE, cases, HD_COUNT(cases));
    (void)state;
}

static void short_input_asks_for_more(void **state)
{
    static const char *const cases[] = {"",
                                        "\r",
                                        "\r\n",
                                        "G",
                                        "GET ",
                                        "GET /?",
                                        "GET / HTTP/1.1",
                                        "GET / HTTP/1.1\r",
                                        "GET / HTTP/1.1\r\nHost: a\r\n\r"};
    for (size_t i = 0; i < HD_COUNT(cases); i++) {
        struct hd_head h;
        struct outcome o = feed(&h, REQUEST, hd_str(cases[i]));
        assert_int_equal(o.rc, 0);
    }
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_are_taken_apart),
        cmocka_unit_test(the_query_is_none_or_a_slice),
        cmocka_unit_test(framing_is_what_the_fields_say),
        cmocka_unit_test(unclear_framing_is_refused),
        cmocka_unit_test(request_lines_are_exact),
        cmocka_unit_test(targets_are_paths),
        cmocka_unit_test(field_lines_are_exact),
        cmocka_unit_test(there_is_one_good_host),
        cmocka_unit_test(limits_have_their_own_status),
        cmocka_unit_test(a_head_may_end_within_the_target_only_by_414),
        cmocka_unit_test(connection_options_decide_with_the_version),
        cmocka_unit_test(expect_is_100_continue_or_417),
        cmocka_unit_test(responses_are_taken_apart),
        cmocka_unit_test(bad_responses_are_refused),
        cmocka_unit_test(short_input_asks_for_more),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
