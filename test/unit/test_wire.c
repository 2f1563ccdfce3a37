/* test_wire.c - requests with events as bytes, and what the fields of answers say. */
#include "invoke/wire.h"
#include "test.h"

static const struct hd_trace trace = {.trace_id = {0x0a}, .span_id = {0x0b}};

static void an_event_is_a_post_with_its_fields(void **state)
{
    struct hd_call_request r = {.want_stream = true, .identity = hd_str("{}")};
    struct hd_wire_event e = {.request = &r,
                              .arn = "arn:f",
                              .request_id = "id",
                              .xray = "Root=1",
                              .trace = &trace,
                              .event_bytes = 12};
    struct hd_buf b;
    hd_buf_init(&b, HD_WIRE_HEAD_MAX);
    assert_int_equal(hd_wire_request(&b, &e, NULL), 0);
    hd_auto_free char *text = hd_buf_take(&b);
    assert_string_equal(text, "POST / HTTP/1.1\r\n"
                              "Host: localhost\r\n"
                              "content-type: application/json\r\n"
                              "x-heddle-event: stream\r\n"
                              "x-heddle-id: id\r\n"
                              "x-heddle-arn: arn:f\r\n"
                              "x-heddle-trace: Root=1\r\n"
                              "traceparent: 00-0a000000000000000000000000000000-0b00000000000000-"
                              "00\r\n"
                              "x-heddle-identity: e30=\r\n"
                              "Content-Length: 12\r\n\r\n");
    (void)state;
}

static void a_long_context_fits_and_a_broken_arn_does_not(void **state)
{
    static char context[4000];
    memset(context, 'a', sizeof(context));
    struct hd_call_request r = {.client_context = hd_str_n(context, sizeof(context))};
    struct hd_wire_event e = {.request = &r, .request_id = "id", .xray = "x", .trace = &trace};
    struct hd_buf b;
    struct hd_error err;
    hd_buf_init(&b, HD_WIRE_HEAD_MAX);
    assert_int_equal(hd_wire_request(&b, &e, &err), 0);
    assert_true(b.len > 5000);
    hd_buf_clear(&b);
    r.invoked_arn = hd_str("arn\nx: y");
    assert_int_equal(hd_wire_request(&b, &e, &err), HD_EINVAL);
    assert_int_equal(b.len, 0);
    hd_buf_done(&b);
    (void)state;
}

static void parse(struct hd_wire_answer *a, const char *text)
{
    static struct hd_head head;
    static const struct hd_parse_limits limits = {65536, 1024, 64};
    size_t used;
    struct hd_error err;
    assert_int_equal(hd_parse_response(&head, &used, hd_str(text), false, &limits, &err), 1);
    hd_wire_answer_init(a);
    hd_wire_answer_head(a, &head);
}

static void fields_say_how_it_went(void **state)
{
    struct hd_wire_answer a = {0};
    parse(&a, "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nX-Heddle-Stream: 1\r\n\r\n");
    assert_true(a.streams && !a.function_error && !a.exits);
    assert_true(hd_str_is(hd_buf_view(&a.content_type), "text/plain"));
    static const struct hd_field trailers[] = {
        {HD_LIT("X-Heddle-Function-Error"), HD_LIT("Unhandled")},
        {HD_LIT("x-heddle-error-type"), HD_LIT("Function.X")},
        {HD_LIT("x-heddle-error-body"), HD_LIT("e30=")},
        {HD_LIT("x-heddle-exit"), HD_LIT("1")},
        {HD_LIT("other"), HD_LIT("1")}};
    hd_wire_answer_trailers(&a, trailers, 5);
    assert_true(a.function_error && a.exits);
    assert_true(hd_str_is(hd_buf_view(&a.error_body), "{}"));
    assert_true(hd_str_is(hd_buf_view(&a.error_type), "Function.X"));
    hd_wire_answer_done(&a);
    parse(&a, "HTTP/1.1 200 OK\r\nx-heddle-function-error: Unhandled\r\nx-heddle-exit: 1\r\n"
              "Content-Length: 0\r\n\r\n");
    assert_true(a.function_error && a.exits && !a.streams);
    assert_int_equal(a.status, 200);
    assert_false(a.undelivered);
    hd_wire_answer_done(&a);
    parse(&a, "HTTP/1.1 503 Service Unavailable\r\nx-heddle-undelivered: 1\r\n\r\n");
    assert_true(a.undelivered);
    hd_wire_answer_done(&a);
    (void)state;
}

static void an_error_that_is_no_base64_is_none(void **state)
{
    struct hd_wire_answer a = {0};
    parse(&a, "HTTP/1.1 200 OK\r\nx-heddle-stream: 1\r\n\r\n");
    static const struct hd_field trailers[] = {{HD_LIT("x-heddle-error-body"), HD_LIT("e3*=")}};
    hd_wire_answer_trailers(&a, trailers, 1);
    assert_int_equal(a.error_body.len, 0);
    hd_wire_answer_done(&a);
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_event_is_a_post_with_its_fields),
        cmocka_unit_test(a_long_context_fits_and_a_broken_arn_does_not),
        cmocka_unit_test(fields_say_how_it_went),
        cmocka_unit_test(an_error_that_is_no_base64_is_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
