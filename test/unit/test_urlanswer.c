/* test/unit/test_urlanswer.c - what functions give back, as HTTP answers. */
#include "lambda/door/urlanswer.h"

#include "test.h"

static struct hd_str field(const struct hd_url_answer *a, const char *name)
{
    for (size_t i = 0; i < a->n_fields; i++)
        if (hd_str_is_nocase(a->fields[i].name, name))
            return a->fields[i].value;
    return hd_str_n(NULL, 0);
}

static void reads_answers_of_every_shape(void **state)
{
    static const struct {
        const char *payload;
        unsigned status;
        struct hd_str body;
        const char *type;
    } cases[] = {
        {"{\"statusCode\":201,\"body\":\"hi\"}", 201, HD_LIT("hi"), "application/json"},
        {"{\"statusCode\":\"404\"}", 404, HD_LIT(""), "application/json"},
        {"{\"statusCode\":200,\"body\":null,\"headers\":null,\"cookies\":null}", 200, HD_LIT(""),
         "application/json"},
        {"{\"statusCode\":200,\"body\":\"a\\u0000b\"}", 200, HD_LIT("a\0b"), "application/json"},
        {"{\"statusCode\":200,\"isBase64Encoded\":true,\"body\":\"AP8=\"}", 200, HD_LIT("\0\xff"),
         "application/json"},
        {"{\"statusCode\":200,\"isBase64Encoded\":false,\"body\":\"AP8=\"}", 200, HD_LIT("AP8="),
         "application/json"},
        {"{\"statusCode\":200,\"headers\":{\"content-TYPE\":\"text/html\"},\"body\":\"<p>\"}", 200,
         HD_LIT("<p>"), "text/html"},
        {"{\"message\":\"hello\"}", 200, HD_LIT("{\"message\":\"hello\"}"), "application/json"},
        {"\"hello \\\"you\\\"\"", 200, HD_LIT("hello \"you\""), "application/json"},
        {"[1, 2]", 200, HD_LIT("[1, 2]"), "application/json"},
        {"null", 200, HD_LIT("null"), "application/json"},
        {"42", 200, HD_LIT("42"), "application/json"},
        {"", 200, HD_LIT(""), "application/json"},
        {"not json", 200, HD_LIT("not json"), "application/json"},
    };
    for (size_t i = 0; i < HD_COUNT(cases); i++) {
        struct hd_url_answer a;
        struct hd_error err = {.msg = ""};
        if (hd_url_answer_read(&a, hd_str(cases[i].payload), &err) != 0)
            fail_msg("%s: %s", cases[i].payload, err.msg);
        assert_int_equal(a.status, cases[i].status);
        if (!hd_str_eq(a.body, cases[i].body))
            fail_msg("%s: body %.*s", cases[i].payload, HD_FMT(a.body));
        assert_true(hd_str_is(field(&a, "Content-Type"), cases[i].type));
        hd_url_answer_done(&a);
    }
    (void)state;
}

static void headers_and_cookies_become_fields(void **state)
{
    struct hd_url_answer a;
    assert_int_equal(
        hd_url_answer_read(
            &a,
            hd_str(
                "{\"statusCode\":200,\"headers\":{\"X-N\":7,\"X-B\":true,\"X-Null\":null,\"X-F\":"
                "0.5,\"x-s\":\" s \",\"x-empty\":\"\",\"Transfer-Encoding\":\"chunked\","
                "\"Content-Length\":\"99\",\"Connection\":\"close\"},\"cookies\":[\"a=1; "
                "Path=/\",\"b=2\"]}"),
            NULL),
        0);
    assert_true(hd_str_is(field(&a, "x-n"), "7"));
    assert_true(hd_str_is(field(&a, "x-b"), "true"));
    assert_true(hd_str_is(field(&a, "x-f"), "0.5"));
    assert_true(hd_str_is(field(&a, "x-s"), "s"));
    assert_non_null(field(&a, "x-empty").ptr);
    assert_null(field(&a, "x-null").ptr);
    assert_null(field(&a, "transfer-encoding").ptr);
    assert_null(field(&a, "content-length").ptr);
    assert_null(field(&a, "connection").ptr);
    size_t cookies = 0;
    for (size_t i = 0; i < a.n_fields; i++)
        if (hd_str_is(a.fields[i].name, "Set-Cookie"))
            assert_true(hd_str_is(a.fields[i].value, cookies++ == 0 ? "a=1; Path=/" : "b=2"));
    assert_int_equal(cookies, 2);
    hd_url_answer_done(&a);
    (void)state;
}

static void refuses_answers_that_cannot_be(void **state)
{
    static const struct {
        const char *payload, *text;
    } cases[] = {
        {"{\"statusCode\":\"abc\"}", "statusCode"},
        {"{\"statusCode\":99}", "statusCode"},
        {"{\"statusCode\":101}", "statusCode"},
        {"{\"statusCode\":600}", "statusCode"},
        {"{\"statusCode\":-200}", "statusCode"},
        {"{\"statusCode\":null}", "statusCode"},
        {"{\"statusCode\":{}}", "statusCode"},
        {"{\"statusCode\":200.5}", "statusCode"},
        {"{\"statusCode\":200,\"headers\":[]}", "headers: must be an object"},
        {"{\"statusCode\":200,\"headers\":{\"a b\":\"c\"}}", "no header name"},
        {"{\"statusCode\":200,\"headers\":{\"\":\"c\"}}", "no header name"},
        {"{\"statusCode\":200,\"headers\":{\"a\":\"b\\r\\nSet-Cookie: x\"}}", "control byte"},
        {"{\"statusCode\":200,\"headers\":{\"a\":\"b\\u0000\"}}", "control byte"},
        {"{\"statusCode\":200,\"headers\":{\"a\":[\"b\"]}}", "must be a string"},
        {"{\"statusCode\":200,\"cookies\":\"a=1\"}", "cookies: must be a list"},
        {"{\"statusCode\":200,\"cookies\":[1]}", "cookies: must be strings"},
        {"{\"statusCode\":200,\"cookies\":[\"a\\nb\"]}", "control byte"},
        {"{\"statusCode\":200,\"body\":{\"a\":1}}", "body: must be a string"},
        {"{\"statusCode\":200,\"body\":\"****\",\"isBase64Encoded\":true}", "not base64"},
        {"{\"statusCode\":200,\"body\":\"\",\"isBase64Encoded\":\"yes\"}", "isBase64Encoded"},
    };
    for (size_t i = 0; i < HD_COUNT(cases); i++) {
        struct hd_url_answer a;
        struct hd_error err = {.msg = ""};
        if (hd_url_answer_read(&a, hd_str(cases[i].payload), &err) != HD_EPROTO ||
            strstr(err.msg, cases[i].text) == NULL)
            fail_msg("%s: %s", cases[i].payload, err.msg);
    }
    struct hd_buf many;
    hd_buf_init(&many, 1 << 20);
    hd_buf_cstr(&many, "{\"statusCode\":200,\"headers\":{\"x\":\"\"");
    for (int i = 0; i < HD_URL_FIELDS_MAX; i++)
        hd_buf_fmt(&many, ",\"x-%d\":\"\"", i);
    hd_buf_cstr(&many, "}}");
    struct hd_url_answer a;
    assert_int_equal(hd_url_answer_read(&a, hd_buf_view(&many), NULL), HD_EPROTO);
    hd_buf_done(&many);
    (void)state;
}

#define HEAD \
    "{\"statusCode\":201,\"headers\":{\"content-type\":\"text/plain\"},\"cookies\":[\"a=1\"]}"

/* Feed in pieces of @p step bytes. @return what the last call said; the rest goes to *body. */
static int feed(struct hd_url_prelude *p, struct hd_str *body, struct hd_str stream, size_t step)
{
    int rc = 0;
    while (stream.len > 0 && rc == 0) {
        size_t n = HD_MIN(step, stream.len), used = 0;
        rc = hd_url_prelude_feed(p, &used, hd_str_n(stream.ptr, n), NULL);
        if (rc < 0)
            return rc;
        assert_true(used <= n && (rc == 1 || used == n));
        stream = hd_str_n(stream.ptr + used, stream.len - used);
    }
    *body = stream;
    return rc;
}

static void a_prelude_may_be_split_anywhere(void **state)
{
    static const char stream[] = HEAD "\0\0\0\0\0\0\0\0\0body";
    for (size_t step = 1; step < sizeof(stream); step++) {
        struct hd_url_prelude p = {.nuls = 0};
        struct hd_url_answer a;
        struct hd_str body;
        assert_int_equal(feed(&p, &body, hd_str_n(stream, sizeof(stream) - 1), step), 1);
        assert_int_equal(body.len, 5); /* the ninth NUL is the body's */
        assert_int_equal(body.ptr[0], '\0');
        assert_int_equal(hd_url_prelude_answer(&a, &p, NULL), 0);
        assert_int_equal(a.status, 201);
        assert_true(hd_str_is(field(&a, "content-type"), "text/plain"));
        assert_true(hd_str_is(field(&a, "set-cookie"), "a=1"));
        assert_int_equal(a.body.len, 0);
        hd_url_answer_done(&a);
        hd_url_prelude_done(&p);
    }
    (void)state;
}

static void a_prelude_says_as_little_as_it_likes(void **state)
{
    struct hd_url_prelude p = {.nuls = 0};
    struct hd_url_answer a;
    struct hd_str body;
    assert_int_equal(feed(&p, &body, hd_str_n("{}\0\0\0\0\0\0\0\0", 10), 99), 1);
    assert_int_equal(hd_url_prelude_answer(&a, &p, NULL), 0);
    assert_int_equal(a.status, 200);
    assert_true(hd_str_is(field(&a, "content-type"), "application/octet-stream"));
    hd_url_answer_done(&a);
    hd_url_prelude_done(&p);
    assert_true(hd_url_has_prelude(hd_str("application/vnd.awslambda.http-integration-response")));
    assert_true(
        hd_url_has_prelude(hd_str("Application/vnd.awslambda.http-integration-response; x")));
    assert_false(hd_url_has_prelude(hd_str("application/octet-stream")));
    assert_false(hd_url_has_prelude(hd_str(NULL)));
    (void)state;
}

static void refuses_preludes_that_cannot_be(void **state)
{
    static const struct {
        struct hd_str stream;
        int fed, read;
    } cases[] = {
        {HD_LIT("{}\0\0\0\0\0\0\0x"), HD_EPROTO, 0},
        {HD_LIT("{}\0x"), HD_EPROTO, 0},
        {HD_LIT("{}\0\0\0\0\0\0\0"), 0, 0},
        {HD_LIT("{\"statusCode\":200"), 0, 0},
        {HD_LIT("\0\0\0\0\0\0\0\0"), 1, HD_EPROTO},
        {HD_LIT("[]\0\0\0\0\0\0\0\0"), 1, HD_EPROTO},
        {HD_LIT("{\0\0\0\0\0\0\0\0"), 1, HD_EPROTO},
        {HD_LIT("{\"statusCode\":1}\0\0\0\0\0\0\0\0"), 1, HD_EPROTO},
        {HD_LIT("{\"headers\":{\"a\":\"\\r\"}}\0\0\0\0\0\0\0\0"), 1, HD_EPROTO},
    };
    for (size_t i = 0; i < HD_COUNT(cases); i++) {
        for (size_t step = 1; step < 20; step++) {
            struct hd_url_prelude p = {.nuls = 0};
            struct hd_url_answer a;
            struct hd_str body;
            int rc = feed(&p, &body, cases[i].stream, step);
            if (rc != cases[i].fed)
                fail_msg("case %zu: %d", i, rc);
            if (rc == 1)
                assert_int_equal(hd_url_prelude_answer(&a, &p, NULL), cases[i].read);
            hd_url_prelude_done(&p);
        }
    }
    (void)state;
}

static void a_prelude_has_a_limit(void **state)
{
    for (size_t over = 0; over < 2; over++) {
        size_t len = HD_URL_PRELUDE_MAX + over;
        char *text = hd_alloc(len + 8);
        memset(text, ' ', len);
        memcpy(text, "{}", 2);
        struct hd_url_prelude p = {.nuls = 0};
        struct hd_str body;
        assert_int_equal(feed(&p, &body, hd_str_n(text, len + 8), 1000), over ? HD_EPROTO : 1);
        hd_url_prelude_done(&p);
        free(text);
    }
    (void)state;
}

/* --- cross-origin --- */

struct ask {
    const char *method, *origin, *asked_method, *asked_headers;
};

static char *decided(const struct hd_url_cors *cors, const struct ask *ask, bool *preflight)
{
    struct hd_field fields[3];
    struct hd_request_head head = {.method = hd_str(ask->method), .fields = fields};
    const struct {
        const char *name, *value;
    } given[] = {{"Origin", ask->origin},
                 {"Access-Control-Request-Method", ask->asked_method},
                 {"Access-Control-Request-Headers", ask->asked_headers}};
    for (size_t i = 0; i < HD_COUNT(given); i++)
        if (given[i].value != NULL)
            fields[head.n_fields++] =
                (struct hd_field){hd_str(given[i].name), hd_str(given[i].value)};
    struct hd_url_cors_answer a;
    hd_url_cors_decide(&a, cors, &head);
    *preflight = a.preflight;
    struct hd_buf text;
    hd_buf_init(&text, 4096);
    for (size_t i = 0; i < a.n_fields; i++)
        hd_buf_fmt(&text, "%.*s=%.*s|", HD_FMT(a.fields[i].name), HD_FMT(a.fields[i].value));
    hd_url_cors_done(&a);
    hd_buf_char(&text, '.');
    return hd_buf_take(&text);
}

static void decides_for_each_origin(void **state)
{
    static const char *const exact[] = {"https://a.example", "http://b.example:8080", NULL};
    static const char *const any[] = {"*", NULL}, *const https[] = {"https://*", NULL};
    static const char *const methods[] = {"GET", "POST", NULL}, *const headers[] = {"x-a", "x-b",
                                                                                    NULL};
    static const struct hd_url_cors given = {.given = true,
                                             .origins = exact,
                                             .methods = methods,
                                             .headers = headers,
                                             .expose = headers,
                                             .max_age_s = 86400};
    static const struct hd_url_cors wild = {
        .given = true, .origins = any, .methods = any, .headers = any};
    static const struct hd_url_cors rights = {
        .given = true, .credentials = true, .origins = any, .methods = any, .headers = any};
    static const struct hd_url_cors secure = {.given = true, .origins = https};
    static const struct hd_url_cors none = {.given = false};
    static const struct hd_url_cors bare = {.given = true};
    static const struct {
        const struct hd_url_cors *cors;
        struct ask ask;
        bool preflight;
        const char *fields;
    } cases[] = {
        {&none, {"GET", "https://a.example", NULL, NULL}, false, "."},
        {&none, {"OPTIONS", "https://a.example", "GET", NULL}, false, "."},
        {&bare, {"GET", "https://a.example", NULL, NULL}, false, "Vary=Origin|."},
        {&given, {"GET", NULL, NULL, NULL}, false, "Vary=Origin|."},
        {&given, {"GET", "https://other.example", NULL, NULL}, false, "Vary=Origin|."},
        {&given, {"GET", "http://a.example", NULL, NULL}, false, "Vary=Origin|."},
        {&given, {"GET", "http://b.example", NULL, NULL}, false, "Vary=Origin|."},
        {&given,
         {"GET", "https://a.example", NULL, NULL},
         false,
         "Vary=Origin|Access-Control-Allow-Origin=https://a.example|"
         "Access-Control-Expose-Headers=x-a,x-b|."},
        {&given,
         {"OPTIONS", "http://b.example:8080", "PUT", "x-z"},
         true,
         "Vary=Origin|Access-Control-Allow-Origin=http://b.example:8080|"
         "Access-Control-Allow-Methods=GET,POST|Access-Control-Allow-Headers=x-a,x-b|"
         "Access-Control-Max-Age=86400|."},
        {&given, {"OPTIONS", "https://other.example", "GET", NULL}, true, "Vary=Origin|."},
        {&given,
         {"OPTIONS", "https://a.example", NULL, NULL},
         false, /* no preflight: the function gets it */
         "Vary=Origin|Access-Control-Allow-Origin=https://a.example|"
         "Access-Control-Expose-Headers=x-a,x-b|."},
        {&wild,
         {"GET", "https://any.example", NULL, NULL},
         false,
         "Vary=Origin|Access-Control-Allow-Origin=*|."},
        {&wild,
         {"OPTIONS", "null", "PATCH", "x-1, x-2"},
         true,
         "Vary=Origin|Access-Control-Allow-Origin=*|Access-Control-Allow-Methods=PATCH|"
         "Access-Control-Allow-Headers=x-1, x-2|."},
        {&rights,
         {"OPTIONS", "https://any.example", "PATCH", NULL},
         true,
         "Vary=Origin|Access-Control-Allow-Origin=https://any.example|"
         "Access-Control-Allow-Credentials=true|Access-Control-Allow-Methods=PATCH|"
         "Access-Control-Allow-Headers=*|."},
        {&secure,
         {"GET", "https://x", NULL, NULL},
         false,
         "Vary=Origin|Access-Control-Allow-Origin=https://x|."},
        {&secure, {"GET", "https://", NULL, NULL}, false, "Vary=Origin|."},
        {&secure, {"GET", "http://x", NULL, NULL}, false, "Vary=Origin|."},
    };
    for (size_t i = 0; i < HD_COUNT(cases); i++) {
        bool preflight;
        hd_auto_free char *fields = decided(cases[i].cors, &cases[i].ask, &preflight);
        if (strcmp(fields, cases[i].fields) != 0 || preflight != cases[i].preflight)
            fail_msg("case %zu: %s", i, fields);
    }
    assert_true(hd_url_cors_owns(hd_str("access-control-Allow-Origin")));
    assert_false(hd_url_cors_owns(hd_str("access-control-")));
    assert_false(hd_url_cors_owns(hd_str("vary")));
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_answers_of_every_shape),
        cmocka_unit_test(headers_and_cookies_become_fields),
        cmocka_unit_test(refuses_answers_that_cannot_be),
        cmocka_unit_test(a_prelude_may_be_split_anywhere),
        cmocka_unit_test(a_prelude_says_as_little_as_it_likes),
        cmocka_unit_test(refuses_preludes_that_cannot_be),
        cmocka_unit_test(a_prelude_has_a_limit),
        cmocka_unit_test(decides_for_each_origin),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
