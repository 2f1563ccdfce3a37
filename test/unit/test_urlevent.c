/* test/unit/test_urlevent.c - hosts of function URLs, and requests as events. */
#include "lambda/door/urlevent.h"

#include "core/base64.h"
#include "test.h"

#include <jansson.h>

static void knows_its_hosts(void **state)
{
    static const struct {
        const char *authority, *domain, *id, *region, *port; /* id NULL: not ours */
    } cases[] = {
        {"abc.lambda-url.us-east-1.localhost", "localhost", "abc", "us-east-1", ""},
        {"abc.lambda-url.us-east-1.localhost:3100", "localhost", "abc", "us-east-1", "3100"},
        {"ABC.Lambda-URL.us-east-1.LocalHost.", "localhost", "ABC", "us-east-1", ""},
        {"a-1.lambda-url.eu-west-1.fn.example.com", "fn.example.com", "a-1", "eu-west-1", ""},
        {"abc.lambda-url.us-east-1.example.com", "localhost", NULL, NULL, NULL},
        {"abc.lambda-url.us-east-1.x.localhost", "localhost", NULL, NULL, NULL},
        {"abc.lambda-url.us-east-1", "localhost", NULL, NULL, NULL},
        {"abc.lambda.us-east-1.localhost", "localhost", NULL, NULL, NULL},
        {".lambda-url.us-east-1.localhost", "localhost", NULL, NULL, NULL},
        {"a_b.lambda-url.us-east-1.localhost", "localhost", NULL, NULL, NULL},
        {"abc.lambda-url..localhost", "localhost", NULL, NULL, NULL},
        {"abc.lambda-url.us-east-1.localhost:x", "localhost", NULL, NULL, NULL},
        {"abc.lambda-url.us-east-1.localhost:70000", "localhost", NULL, NULL, NULL},
        {"abc.lambda-url.us-east-1.localhost:1:2", "localhost", NULL, NULL, NULL},
        {"localhost:3100", "localhost", NULL, NULL, NULL},
        {"[::1]:3100", "localhost", NULL, NULL, NULL},
        {"", "localhost", NULL, NULL, NULL},
    };
    for (size_t i = 0; i < HD_COUNT(cases); i++) {
        struct hd_url_host h;
        bool ours = hd_url_host_parse(&h, hd_str(cases[i].authority), hd_str(cases[i].domain));
        if (ours != (cases[i].id != NULL))
            fail_msg("%s: %d", cases[i].authority, ours);
        if (!ours)
            continue;
        assert_true(hd_str_is(h.id, cases[i].id));
        assert_true(hd_str_is(h.region, cases[i].region));
        assert_true(hd_str_is(h.port, cases[i].port));
    }
    struct hd_url_host h;
    assert_false(hd_url_host_parse(&h, hd_str(NULL), hd_str("localhost")));
    (void)state;
}

struct given {
    struct hd_request_head head;
    struct hd_url_request req;
};

static void give(struct given *g, const struct hd_field *fields, size_t n)
{
    *g = (struct given){
        .head = {.method = HD_LIT("GET"),
                 .path = HD_LIT("/"),
                 .authority = HD_LIT("abc.lambda-url.us-east-1.localhost:3100"),
                 .fields = fields,
                 .n_fields = n},
        .req = {.id = HD_LIT("abc"),
                .domain = HD_LIT("abc.lambda-url.us-east-1.localhost"),
                .source_ip = HD_LIT("192.0.2.7"),
                .scheme = HD_LIT("http"),
                .port = 3100,
                .protocol = HD_LIT("HTTP/1.1"),
                .trace = HD_LIT("Root=1-5759e988-bd862e3fe1be46a994272793"),
                .request_id = HD_LIT("11111111-2222-3333-4444-555555555555"),
                .now_unix_ms = 1773342238123},
    };
    g->req.head = &g->head;
}

static json_t *event_of(struct given *g)
{
    struct hd_buf b;
    hd_buf_init(&b, 1 << 20);
    g->req.head = &g->head;
    assert_int_equal(hd_url_event(&b, &g->req, NULL), 0);
    json_t *root = json_loadb(b.ptr, b.len, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, NULL);
    if (root == NULL)
        fail_msg("no JSON: %.*s", (int)b.len, b.ptr);
    hd_buf_done(&b);
    return root;
}

/* Compare the whole, or one member, with a JSON text. */
static void assert_json(const json_t *have, const char *member, const char *text)
{
    if (member != NULL)
        have = json_object_get(have, member);
    json_t *want = json_loads(text, JSON_DECODE_ANY, NULL);
    assert_non_null(want);
    if (!json_equal(have, want)) {
        char *dump = have != NULL ? json_dumps(have, JSON_ENCODE_ANY) : NULL;
        fail_msg("%s: have %s, want %s", member != NULL ? member : "event",
                 dump != NULL ? dump : "nothing", text);
    }
    json_decref(want);
}

static void a_plain_get_has_what_the_service_gives(void **state)
{
    static const struct hd_field fields[] = {{HD_LIT("Accept"), HD_LIT("*/*")},
                                             {HD_LIT("User-Agent"), HD_LIT("curl/7")}};
    struct given g;
    give(&g, fields, HD_COUNT(fields));
    g.head.path = hd_str("/a/b");
    json_t *event = event_of(&g);
    assert_json(
        event, NULL,
        "{\"version\":\"2.0\",\"routeKey\":\"$default\",\"rawPath\":\"/a/"
        "b\",\"rawQueryString\":\"\","
        "\"headers\":{\"host\":\"abc.lambda-url.us-east-1.localhost:3100\","
        "\"x-forwarded-for\":\"192.0.2.7\",\"x-forwarded-proto\":\"http\","
        "\"x-forwarded-port\":\"3100\","
        "\"x-amzn-trace-id\":\"Root=1-5759e988-bd862e3fe1be46a994272793\",\"accept\":\"*/*\","
        "\"user-agent\":\"curl/7\"},\"requestContext\":{\"accountId\":\"anonymous\","
        "\"apiId\":\"abc\",\"domainName\":\"abc.lambda-url.us-east-1.localhost\","
        "\"domainPrefix\":\"abc\",\"http\":{\"method\":\"GET\",\"path\":\"/a/b\","
        "\"protocol\":\"HTTP/1.1\",\"sourceIp\":\"192.0.2.7\",\"userAgent\":\"curl/7\"},"
        "\"requestId\":\"11111111-2222-3333-4444-555555555555\",\"routeKey\":\"$default\","
        "\"stage\":\"$default\",\"time\":\"12/Mar/2026:19:03:58 +0000\","
        "\"timeEpoch\":1773342238123},\"isBase64Encoded\":false}");
    json_decref(event);
    (void)state;
}

static void paths_and_queries_are_decoded_once(void **state)
{
    static const struct {
        const char *target, *path, *raw, *params; /* params NULL: none */
    } cases[] = {
        {"/", "/", "", NULL},
        {"/?", "/", "", NULL},
        {"/a%20b%2Fc%25", "/a b/c%", "", NULL},
        {"/%zz%4", "/%zz%4", "", NULL},
        {"/+", "/+", "", NULL},
        {"/%ff", "/\xef\xbf\xbd", "", NULL},
        {"/x?a=1", "/x", "a=1", "{\"a\":\"1\"}"},
        {"/x?a=1&b=%20+&a=2&c&d=&=e", "/x", "a=1&b=%20+&a=2&c&d=&=e",
         "{\"a\":\"1,2\",\"b\":\"  \",\"c\":\"\",\"d\":\"\",\"\":\"e\"}"},
        {"/x?&&", "/x", "&&", NULL},
        {"/x?a%3Db=c%26d?e=f", "/x", "a%3Db=c%26d?e=f", "{\"a=b\":\"c&d?e=f\"}"},
    };
    for (size_t i = 0; i < HD_COUNT(cases); i++) {
        struct given g;
        give(&g, NULL, 0);
        g.head.path = hd_str(cases[i].target);
        json_t *event = event_of(&g);
        assert_string_equal(json_string_value(json_object_get(event, "rawPath")), cases[i].path);
        assert_string_equal(json_string_value(json_object_get(event, "rawQueryString")),
                            cases[i].raw);
        const json_t *params = json_object_get(event, "queryStringParameters");
        if (cases[i].params == NULL)
            assert_null(params);
        else
            assert_json(event, "queryStringParameters", cases[i].params);
        json_decref(event);
    }
    (void)state;
}

static void repeated_fields_become_one_and_cookies_a_list(void **state)
{
    static const struct hd_field fields[] = {
        {HD_LIT("X-A"), HD_LIT("1")},
        {HD_LIT("Cookie"), HD_LIT("a=1; b=2")},
        {HD_LIT("x-a"), HD_LIT("2")},
        {HD_LIT("cookie"), HD_LIT(" c=3 ;;")},
        {HD_LIT("X-Forwarded-For"), HD_LIT("10.9.9.9")},
        {HD_LIT("X-Forwarded-Proto"), HD_LIT("gopher")},
        {HD_LIT("X-Amzn-Trace-Id"), HD_LIT("made up")},
    };
    struct given g;
    give(&g, fields, HD_COUNT(fields));
    g.req.trace = hd_str(NULL);
    json_t *event = event_of(&g);
    assert_json(event, "cookies", "[\"a=1\",\"b=2\",\"c=3\"]");
    assert_json(event, "headers",
                "{\"host\":\"abc.lambda-url.us-east-1.localhost:3100\","
                "\"x-forwarded-for\":\"192.0.2.7\",\"x-forwarded-proto\":\"http\","
                "\"x-forwarded-port\":\"3100\",\"x-a\":\"1,2\",\"cookie\":\"a=1; b=2;  c=3 ;;\"}");
    json_decref(event);
    (void)state;
}

static void what_is_about_the_connection_stays_here(void **state)
{
    static const struct hd_field fields[] = {
        {HD_LIT("Connection"), HD_LIT("keep-alive, X-Hop")},
        {HD_LIT("Keep-Alive"), HD_LIT("5")},
        {HD_LIT("TE"), HD_LIT("trailers")},
        {HD_LIT("x-hop"), HD_LIT("1")},
        {HD_LIT("Transfer-Encoding"), HD_LIT("chunked")},
        {HD_LIT("x-end"), HD_LIT("2")},
    };
    struct given g;
    give(&g, fields, HD_COUNT(fields));
    g.req.trace = hd_str(NULL);
    json_t *event = event_of(&g);
    assert_json(event, "headers",
                "{\"host\":\"abc.lambda-url.us-east-1.localhost:3100\","
                "\"x-forwarded-for\":\"192.0.2.7\",\"x-forwarded-proto\":\"http\","
                "\"x-forwarded-port\":\"3100\",\"x-end\":\"2\"}");
    json_decref(event);
    (void)state;
}

static void text_stays_text_and_the_rest_is_base64(void **state)
{
    static const struct {
        const char *type;
        struct hd_str body;
        bool encoded;
    } cases[] = {
        {"application/json", HD_LIT("{\"a\":\"\xc3\xa4\\u0000\"}"), false},
        {"Application/JSON; charset=utf-8", HD_LIT("1"), false},
        {"text/plain", HD_LIT("a\0b"), false},
        {"application/problem+json", HD_LIT("1"), false},
        {"image/svg+xml", HD_LIT("<svg/>"), false},
        {"application/xml", HD_LIT("<a/>"), false},
        {"application/javascript", HD_LIT("1"), false},
        {"text/plain", HD_LIT("\xff"), true}, /* says text, is none */
        {"application/json", HD_LIT("\xc3"), true},
        {"application/x-www-form-urlencoded", HD_LIT("a=1"), true},
        {"application/octet-stream", HD_LIT("abc"), true},
        {"text/", HD_LIT("abc"), true},
        {"", HD_LIT("abc"), true},
        {NULL, HD_LIT("abc"), true},
    };
    for (size_t i = 0; i < HD_COUNT(cases); i++) {
        const struct hd_field field = {HD_LIT("Content-Type"), hd_str(cases[i].type)};
        struct given g;
        give(&g, &field, cases[i].type != NULL ? 1 : 0);
        g.req.body = cases[i].body;
        json_t *event = event_of(&g);
        const json_t *body = json_object_get(event, "body");
        assert_true(json_is_string(body));
        if (json_is_true(json_object_get(event, "isBase64Encoded")) != cases[i].encoded)
            fail_msg("case %zu", i);
        char bytes[64];
        size_t used = json_string_length(body);
        struct hd_str text = {json_string_value(body), json_string_length(body)};
        if (cases[i].encoded) {
            assert_int_equal(hd_base64_decode(bytes, &used, HD_BASE64, text), 0);
            text = hd_str_n(bytes, used);
        }
        assert_true(hd_str_eq(text, cases[i].body));
        json_decref(event);
    }
    (void)state;
}

static void tells_who_signed(void **state)
{
    const struct hd_url_iam iam = {.access_key = HD_LIT("AKIAX"),
                                   .account = HD_LIT("123456789012"),
                                   .arn = HD_LIT("arn:aws:iam::123456789012:user/me"),
                                   .user_id = HD_LIT("AIDAX")};
    struct given g;
    give(&g, NULL, 0);
    g.req.iam = &iam;
    json_t *event = event_of(&g);
    const json_t *context = json_object_get(event, "requestContext");
    assert_json(context, "accountId", "\"123456789012\"");
    assert_json(context, "authentication", "null");
    assert_json(context, "authorizer",
                "{\"iam\":{\"accessKey\":\"AKIAX\",\"accountId\":\"123456789012\","
                "\"callerId\":\"AIDAX\",\"cognitoIdentity\":null,\"principalOrgId\":null,"
                "\"userArn\":\"arn:aws:iam::123456789012:user/me\",\"userId\":\"AIDAX\"}}");
    json_decref(event);
    (void)state;
}

static void tells_what_a_verified_token_says(void **state)
{
    struct given g;
    give(&g, NULL, 0);
    g.req.claims = hd_str("{\"sub\":\"ada\",\"n\":1}");
    json_t *event = event_of(&g);
    const json_t *context = json_object_get(event, "requestContext");
    assert_json(context, "accountId", "\"anonymous\"");
    assert_json(context, "authorizer",
                "{\"jwt\":{\"claims\":{\"n\":1,\"sub\":\"ada\"},\"scopes\":null}}");
    json_decref(event);
    (void)state;
}

static void an_event_over_the_limit_is_told(void **state)
{
    struct given g;
    struct hd_error err;
    struct hd_buf b;
    give(&g, NULL, 0);
    for (size_t max = 0; max < 600; max += 7) {
        hd_buf_init(&b, max);
        assert_int_equal(hd_url_event(&b, &g.req, &err), HD_EBUSY);
        hd_buf_done(&b);
    }
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(knows_its_hosts),
        cmocka_unit_test(a_plain_get_has_what_the_service_gives),
        cmocka_unit_test(paths_and_queries_are_decoded_once),
        cmocka_unit_test(repeated_fields_become_one_and_cookies_a_list),
        cmocka_unit_test(what_is_about_the_connection_stays_here),
        cmocka_unit_test(text_stays_text_and_the_rest_is_base64),
        cmocka_unit_test(tells_who_signed),
        cmocka_unit_test(tells_what_a_verified_token_says),
        cmocka_unit_test(an_event_over_the_limit_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
