/* test_async_record.c - what a queue keeps of an event, and the record of how it ended. */
#include "lambda/async/async_record.h"
#include "test.h"

#include <jansson.h>

static struct hd_async_ending ending(void)
{
    return (struct hd_async_ending){
        .end = HD_ASYNC_EXHAUSTED,
        .request_id = HD_LIT("id"),
        .arn = HD_LIT("arn:aws:lambda:us-east-1:000000000000:function:f"),
        .version = HD_LIT("7"),
        .attempts = 3,
        .payload = HD_LIT("{\"n\": 1}"),
        .answered = true,
        .function_error = true,
        .answer = HD_LIT("{\"errorMessage\":\"no\"}"),
        .now_unix_ms = 1700000000123,
    };
}

static void what_is_kept_is_read_back(void **state)
{
    struct hd_async_event event = {
        .qualifier = HD_LIT("prod"),
        .request_id = "0190a7a0-1234-7000-8000-000000000001",
        .client_context = HD_LIT("{\"a\":\"\\\"\n\u00e9\"}"),
        .identity = HD_LIT("{}"),
        .tenant = HD_LIT("t"),
        .trace = HD_LIT("Root=1-5759e988-bd862e3fe1be46a994272793"),
        .traceparent = HD_LIT("00-1"),
    };
    struct hd_buf out;
    struct hd_async_meta m;
    hd_buf_init(&out, 8192);
    hd_async_meta_write(&out, &event, 1700000000123);
    hd_async_meta_read(&m, hd_buf_view(&out));
    assert_true(hd_str_eq(m.qualifier, event.qualifier));
    assert_true(hd_str_eq(m.client_context, event.client_context));
    assert_true(hd_str_eq(m.identity, event.identity));
    assert_true(hd_str_eq(m.tenant, event.tenant));
    assert_true(hd_str_eq(m.trace, event.trace));
    assert_true(hd_str_eq(m.traceparent, event.traceparent));
    hd_async_meta_done(&m);
    hd_buf_done(&out);
    (void)state;
}

static void an_event_without_a_trace_begins_one(void **state)
{
    struct hd_async_event event = {.request_id = "0190a7a0-1234-7000-8000-00000000002a",
                                   .trace = HD_LIT("Lineage=a:1")};
    struct hd_buf out;
    struct hd_async_meta m;
    hd_buf_init(&out, 8192);
    hd_async_meta_write(&out, &event, 1700000000123);
    hd_async_meta_read(&m, hd_buf_view(&out));
    assert_true(hd_str_is(m.trace, "Root=1-6553f100-12347000800000000000002a;Lineage=a:1"));
    assert_int_equal(m.qualifier.len, 0);
    hd_async_meta_done(&m);
    hd_buf_done(&out);
    (void)state;
}

static void what_cannot_be_read_is_empty(void **state)
{
    const char *texts[] = {
        "", "{", "[]", "null", "{\"qualifier\":7,\"trace\":null}", "{\"x\":\"y\"}"};
    for (size_t i = 0; i < HD_COUNT(texts); i++) {
        struct hd_async_meta m;
        struct hd_async_delivery_meta d;
        hd_async_meta_read(&m, hd_str(texts[i]));
        assert_int_equal(m.qualifier.len + m.trace.len + m.tenant.len, 0);
        hd_async_meta_done(&m);
        hd_async_delivery_read(&d, hd_str(texts[i]));
        assert_int_equal(d.arn.len + d.version.len, 0);
        assert_false(d.success || d.dead_letter);
        hd_async_delivery_done(&d);
    }
    (void)state;
}

static void deliveries_are_read_back(void **state)
{
    struct hd_async_delivery_meta in = {.arn = HD_LIT("arn"),
                                        .version = HD_LIT("1"),
                                        .error = HD_LIT("a \"b\"\n"),
                                        .trace = HD_LIT("Root=1"),
                                        .dead_letter = true},
                                  out;
    struct hd_buf text;
    hd_buf_init(&text, 4096);
    hd_async_delivery_write(&text, &in);
    hd_async_delivery_read(&out, hd_buf_view(&text));
    assert_true(hd_str_eq(out.arn, in.arn));
    assert_true(hd_str_eq(out.version, in.version));
    assert_true(hd_str_eq(out.error, in.error));
    assert_true(hd_str_eq(out.trace, in.trace));
    assert_true(out.dead_letter);
    assert_false(out.success);
    hd_async_delivery_done(&out);
    hd_buf_done(&text);
    (void)state;
}

static void expect_record(const struct hd_async_ending *e, const char *wanted)
{
    struct hd_buf out;
    hd_buf_init(&out, 8192);
    hd_async_record_write(&out, e);
    hd_auto_free char *text = hd_buf_take(&out);
    assert_string_equal(text, wanted);
    json_t *json = json_loads(text, 0, NULL);
    assert_non_null(json);
    json_decref(json);
}

#define FRONT(condition, count)                                                            \
    "{\"version\":\"1.0\",\"timestamp\":\"2023-11-14T22:13:20.123Z\",\"requestContext\":{" \
    "\"requestId\":\"id\",\"functionArn\":"                                                \
    "\"arn:aws:lambda:us-east-1:000000000000:function:f:7\",\"condition\":\"" condition    \
    "\",\"approximateInvokeCount\":" count "},\"requestPayload\":"

static void a_record_says_how_it_ended(void **state)
{
    struct hd_async_ending e = ending();
    expect_record(&e, FRONT("RetriesExhausted",
                            "3") "{\"n\": 1},\"responseContext\":{"
                                 "\"statusCode\":200,\"executedVersion\":\"7\",\"functionError\":"
                                 "\"Unhandled\"},\"responsePayload\":{\"errorMessage\":\"no\"}}");
    e.end = HD_ASYNC_SUCCESS;
    e.attempts = 1;
    e.function_error = false;
    e.answer = hd_str("");
    e.payload = hd_str("");
    expect_record(&e, FRONT("Success", "1") "{},\"responseContext\":{\"statusCode\":200,"
                                            "\"executedVersion\":\"7\"},\"responsePayload\":null}");
    e.end = HD_ASYNC_OFF;
    e.attempts = 0;
    e.answered = false;
    e.payload = hd_str("[1]");
    expect_record(&e, FRONT("ZeroReservedConcurrency", "0") "[1]}");
    (void)state;
}

static void an_answer_that_is_no_json_becomes_a_string(void **state)
{
    struct hd_async_ending e = ending();
    e.end = HD_ASYNC_SUCCESS;
    e.attempts = 1;
    e.function_error = false;
    e.payload = hd_str("1");
    e.answer = hd_str("<p>\"");
    expect_record(
        &e, FRONT("Success", "1") "1,\"responseContext\":{\"statusCode\":200,"
                                  "\"executedVersion\":\"7\"},\"responsePayload\":\"<p>\\\"\"}");
    e.answer = hd_str("\"text\"");
    expect_record(&e,
                  FRONT("Success", "1") "1,\"responseContext\":{\"statusCode\":200,"
                                        "\"executedVersion\":\"7\"},\"responsePayload\":\"text\"}");
    (void)state;
}

static void dead_letters_say_the_error(void **state)
{
    struct hd_buf out;
    struct hd_async_ending e = ending();
    hd_buf_init(&out, 8192);
    hd_async_error_message(&out, &e);
    assert_true(hd_str_is(hd_buf_view(&out), "no"));
    /* At most 1024 bytes, and no half characters. */
    struct hd_buf large;
    hd_buf_init(&large, 8192);
    hd_buf_cstr(&large, "{\"errorMessage\":\"x");
    for (int i = 0; i < 1000; i++)
        hd_buf_cstr(&large, "\u00e9");
    hd_buf_cstr(&large, "\"}");
    e.answer = hd_buf_view(&large);
    hd_buf_clear(&out);
    hd_async_error_message(&out, &e);
    assert_int_equal(out.len, 1023);
    e.answer = hd_str("7");
    hd_buf_clear(&out);
    hd_async_error_message(&out, &e);
    assert_true(hd_str_is(hd_buf_view(&out), "RetriesExhausted"));
    hd_buf_done(&large);
    hd_buf_done(&out);
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_kept_is_read_back),
        cmocka_unit_test(an_event_without_a_trace_begins_one),
        cmocka_unit_test(what_cannot_be_read_is_empty),
        cmocka_unit_test(deliveries_are_read_back),
        cmocka_unit_test(a_record_says_how_it_ended),
        cmocka_unit_test(an_answer_that_is_no_json_becomes_a_string),
        cmocka_unit_test(dead_letters_say_the_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
