/* test_fault.c - error payloads, letter by letter. */
#include "invoke/fault.h"
#include "test.h"

#include <signal.h>

static const char id[] = "11111111-2222-4333-8444-555555555555";
static struct hd_buf b;

static int start(void **state)
{
    hd_buf_init(&b, 1 << 20);
    (void)state;
    return 0;
}

static int stop(void **state)
{
    hd_buf_done(&b);
    (void)state;
    return 0;
}

static void assert_text(const char *expected)
{
    assert_int_equal(b.len, strlen(expected));
    assert_memory_equal(b.ptr, expected, b.len);
    hd_buf_clear(&b);
}

static void an_exit_is_told_as_the_service_does(void **state)
{
    static const struct {
        struct hd_exit_status how;
        const char *text;
    } cases[] = {
        {{.code = 3}, "Runtime exited with error: exit status 3"},
        {{.code = 0}, "Runtime exited without providing a reason"},
        {{.signal = SIGKILL}, "Runtime exited with error: signal: killed"},
        {{.signal = SIGSEGV}, "Runtime exited with error: signal: segmentation fault"},
        {{.signal = SIGABRT}, "Runtime exited with error: signal: aborted"},
        {{.code = 137, .oom = true}, "Runtime exited with error: signal: killed"},
        {{.signal = 63}, "Runtime exited with error: signal: signal 63"},
    };
    for (size_t n = 0; n < HD_COUNT(cases); n++) {
        hd_fault_exit(&b, id, &cases[n].how);
        hd_auto_free char *expected =
            hd_printf("{\"errorType\":\"Runtime.ExitError\",\"errorMessage\":\"RequestId: %s "
                      "Error: %s\"}",
                      id, cases[n].text);
        assert_text(expected);
    }
    hd_fault_exit(&b, id, NULL);
    assert_true(
        hd_str_ends(hd_buf_view(&b), hd_str("Runtime exited without providing a reason\"}")));
    (void)state;
}

static void times_have_two_decimals(void **state)
{
    hd_fault_timeout(&b, id, 1000);
    assert_text("{\"errorType\":\"Sandbox.Timedout\",\"errorMessage\":\"RequestId: "
                "11111111-2222-4333-8444-555555555555 Error: Task timed out after 1.00 seconds\"}");
    (void)state;
}

static void the_text_of_others_is_escaped(void **state)
{
    hd_fault_plain(&b, "Runtime.Unknown", id, hd_str("a \"quoted\"\nline"));
    assert_text("{\"errorType\":\"Runtime.Unknown\",\"errorMessage\":\"RequestId: "
                "11111111-2222-4333-8444-555555555555 Error: a \\\"quoted\\\"\\nline\"}");
    (void)state;
}

static void a_body_of_an_http_error_is_text_or_base64(void **state)
{
    hd_fault_http(&b, 500, hd_str("{\"a\":1}"));
    assert_text("{\"errorType\":\"HttpError\",\"errorMessage\":\"status 500\",\"status\":500,"
                "\"body\":\"{\\\"a\\\":1}\"}");
    hd_fault_http(&b, 404, hd_str_n("\0\1\2", 3));
    assert_text("{\"errorType\":\"HttpError\",\"errorMessage\":\"status 404\",\"status\":404,"
                "\"body\":\"AAEC\"}");
    (void)state;
}

static void the_type_is_found_on_the_first_level_only(void **state)
{
    static const struct {
        const char *payload, *type;
    } cases[] = {
        {"{\"errorType\":\"A\"}", "A"},
        {"{\"errorMessage\":\"x\", \"errorType\" : \"B.C\" }", "B.C"},
        {"{\"a\":{\"errorType\":\"deep\"},\"errorType\":\"D\"}", "D"},
        {"{\"a\":[\"errorType\",\"no\"],\"b\":\"errorType\",\"c\":\"no\"}", ""},
        {"{\"a\":\"\\\"errorType\\\":\\\"no\\\"\"}", ""},
        {"{\"errorType\":7}", ""},
        {"\"errorType\"", ""},
        {"{\"errorType\":\"cut", ""},
        {"{\"errorType\":\"cut\\", ""},
        {"not json", ""},
        {"", ""},
    };
    for (size_t n = 0; n < HD_COUNT(cases); n++) {
        struct hd_str type = hd_fault_type(hd_str(cases[n].payload));
        assert_int_equal(type.len, strlen(cases[n].type));
        assert_true(hd_str_is(type, cases[n].type));
    }
    (void)state;
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, start, stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(an_exit_is_told_as_the_service_does),
        TEST(times_have_two_decimals),
        TEST(the_text_of_others_is_escaped),
        TEST(a_body_of_an_http_error_is_text_or_base64),
        TEST(the_type_is_found_on_the_first_level_only),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
