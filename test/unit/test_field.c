/* test_field.c - hop-by-hop names, Connection options, reasons. */
#include "http/parse.h"
#include "test.h"

#include <stdio.h>

static void hop_by_hop_names_are_known_in_any_case(void **state)
{
    static const char *const hop[] = {
        "Connection", "keep-alive", "PROXY-CONNECTION", "Proxy-Authenticate", "proxy-authorization",
        "TE",         "te",         "Trailer",          "Transfer-Encoding",  "uPGRADE"};
    static const char *const end_to_end[] = {"",       "T",        "Tf",           "Trailers",
                                             "Accept", "Via",      "Content-Type", "Content-Length",
                                             "Host",   "Upgrades", "Keep_Alive",   "Set-Cookie"};
    for (size_t i = 0; i < HD_COUNT(hop); i++)
        assert_true(hd_is_hop_by_hop(hd_str(hop[i])));
    for (size_t i = 0; i < HD_COUNT(end_to_end); i++)
        assert_false(hd_is_hop_by_hop(hd_str(end_to_end[i])));
    (void)state;
}

static void parse(struct hd_head *h, const char *fields)
{
    const struct hd_parse_limits limits = {
        .max_head_bytes = 1024, .max_target_bytes = 64, .max_fields = 16};
    static char text[1024];
    size_t used;
    unsigned status;
    int n = snprintf(text, sizeof(text), "GET / HTTP/1.1\r\nHost: a\r\n%s\r\n", fields);
    assert_int_equal(hd_parse_request(h, &used, &status, hd_str_n(text, (size_t)n), &limits, NULL),
                     1);
}

static void connection_names_further_fields(void **state)
{
    struct hd_head h;
    parse(&h, "Connection: keep-alive\r\n");
    assert_false(h.connection_names);
    assert_true(hd_is_connection_option(&h, hd_str("Keep-Alive")));
    assert_false(hd_is_connection_option(&h, hd_str("close")));
    assert_false(hd_is_connection_option(&h, hd_str("X-A")));

    parse(&h, "Connection: close, X-A\r\nX-A: 1\r\nConnection: ,x-b\t,upgrade\r\n");
    assert_true(h.connection_names);
    assert_true(hd_is_connection_option(&h, hd_str("x-a")));
    assert_true(hd_is_connection_option(&h, hd_str("X-B")));
    assert_true(hd_is_connection_option(&h, hd_str("Upgrade")));
    assert_false(hd_is_connection_option(&h, hd_str("X-C")));
    assert_false(hd_is_connection_option(&h, hd_str("x")));
    (void)state;
}

static void the_first_field_of_a_name_is_found(void **state)
{
    struct hd_head h;
    parse(&h, "X-A: 1\r\nx-a: 2\r\n");
    assert_true(hd_str_is(hd_head_find(&h, "x-A")->value, "1"));
    assert_null(hd_head_find(&h, "X-B"));
    (void)state;
}

static void reasons_are_those_of_the_registry(void **state)
{
    assert_string_equal(hd_status_reason(200), "OK");
    assert_string_equal(hd_status_reason(431), "Request Header Fields Too Large");
    assert_string_equal(hd_status_reason(511), "Network Authentication Required");
    assert_string_equal(hd_status_reason(0), "");
    assert_string_equal(hd_status_reason(299), "");
    assert_string_equal(hd_status_reason(512), "");
    assert_string_equal(hd_status_reason(~0u), "");
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hop_by_hop_names_are_known_in_any_case),
        cmocka_unit_test(connection_names_further_fields),
        cmocka_unit_test(the_first_field_of_a_name_is_found),
        cmocka_unit_test(reasons_are_those_of_the_registry),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
