/* test/unit/test_url_config.c - ids, addresses and CORS settings of function URLs. */
#include "lambda/door/url_config.h"
#include "test.h"

static void ids_are_labels_of_host_names(void **state)
{
    struct hd_rng rng;
    char a[HD_URL_ID_CHARS + 1], b[HD_URL_ID_CHARS + 1];
    hd_rng_init(&rng, 1);
    hd_url_id(a, &rng);
    hd_url_id(b, &rng);
    assert_int_equal(strlen(a), HD_URL_ID_CHARS);
    assert_true(hd_url_id_ok(hd_str(a)));
    assert_string_not_equal(a, b);
    assert_true(hd_url_id_ok(hd_str("my-api")));
    static const char *const bad[] = {"", "-a", "a-", "A", "a.b", "a_b", "\xc3\xa4"};
    for (size_t i = 0; i < HD_COUNT(bad); i++)
        assert_false(hd_url_id_ok(hd_str(bad[i])));
    char long_one[65];
    memset(long_one, 'a', 64);
    assert_false(hd_url_id_ok(hd_str_n(long_one, 64)));
    assert_true(hd_url_id_ok(hd_str_n(long_one, 63)));
    (void)state;
}

static void addresses_show_a_port_only_where_it_is_needed(void **state)
{
    static const struct {
        const char *scheme;
        uint16_t port;
        const char *url;
    } cases[] = {
        {"http", 3100, "http://id.lambda-url.eu-west-1.localhost:3100/"},
        {"http", 80, "http://id.lambda-url.eu-west-1.localhost/"},
        {"https", 443, "https://id.lambda-url.eu-west-1.localhost/"},
        {"https", 80, "https://id.lambda-url.eu-west-1.localhost:80/"},
        {"http", 0, "http://id.lambda-url.eu-west-1.localhost/"},
    };
    for (size_t i = 0; i < HD_COUNT(cases); i++) {
        hd_auto_free char *url =
            hd_url_address(cases[i].scheme, "id", "eu-west-1", "localhost", cases[i].port);
        assert_string_equal(url, cases[i].url);
    }
    (void)state;
}

static void takes_over_what_is_given(void **state)
{
    json_t *record = json_pack("{s:s, s:s}", "Id", "x", "CreationTime", "t");
    json_t *first = json_pack("{s:s, s:{s:i}}", "AuthType", "NONE", "Cors", "MaxAge", 5);
    json_t *second =
        json_pack("{s:s, s:{}, s:s}", "InvokeMode", "RESPONSE_STREAM", "Cors", "Id", "y");
    hd_url_take(record, first);
    assert_int_equal(json_integer_value(json_object_get(json_object_get(record, "Cors"), "MaxAge")),
                     5);
    hd_url_take(record, second);
    hd_auto_free char *text = json_dumps(record, JSON_COMPACT | JSON_SORT_KEYS);
    assert_string_equal(text, "{\"AuthType\":\"NONE\",\"CreationTime\":\"t\",\"Id\":\"x\","
                              "\"InvokeMode\":\"RESPONSE_STREAM\"}");
    json_decref(record);
    json_decref(first);
    json_decref(second);
    (void)state;
}

static void cors_settings_must_be_able_to_work(void **state)
{
    static const struct {
        const char *cors, *wrong; /* "": right */
    } cases[] = {
        {"{}", ""},
        {"{\"AllowOrigins\":[\"*\"],\"AllowMethods\":[\"*\"],\"AllowHeaders\":[\"*\"]}", ""},
        {"{\"AllowOrigins\":[\"https://*\",\"http://localhost:3000\"],\"AllowMethods\":[\"GET\","
         "\"delete\"],\"AllowHeaders\":[\"x-a\"],\"ExposeHeaders\":[\"keep-alive\"]}",
         ""},
        {"{\"AllowOrigins\":[\"example.com\"]}", "Cors.AllowOrigins[0]: \"example.com\" must be"},
        {"{\"AllowOrigins\":[\"*\",\"https://example.com/x\"]}", "Cors.AllowOrigins[1]"},
        {"{\"AllowOrigins\":[\"https://\"]}", "Cors.AllowOrigins[0]"},
        {"{\"AllowMethods\":[\"FETCH\"]}", "Cors.AllowMethods[0]: \"FETCH\" must be"},
        {"{\"AllowHeaders\":[\"a b\"]}", "Cors.AllowHeaders[0]: \"a b\" must be"},
        {"{\"AllowHeaders\":[\"\"]}", "Cors.AllowHeaders[0]"},
        {"{\"ExposeHeaders\":[\"a:b\"]}", "Cors.ExposeHeaders[0]"},
    };
    for (size_t i = 0; i < HD_COUNT(cases); i++) {
        json_t *cors = json_loads(cases[i].cors, 0, NULL);
        struct hd_error err = {.msg = ""};
        int rc = hd_url_check_cors(cors, &err);
        bool right = cases[i].wrong[0] == '\0'
                         ? rc == 0
                         : rc == HD_EINVAL && strstr(err.msg, cases[i].wrong) == err.msg;
        if (!right)
            fail_msg("%s: %d %s", cases[i].cors, rc, err.msg);
        json_decref(cors);
    }
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ids_are_labels_of_host_names),
        cmocka_unit_test(addresses_show_a_port_only_where_it_is_needed),
        cmocka_unit_test(takes_over_what_is_given),
        cmocka_unit_test(cors_settings_must_be_able_to_work),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
