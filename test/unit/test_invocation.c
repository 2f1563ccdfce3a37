/* test_invocation.c - Invoke requests: forms of names, options, and what is refused how. */
#include "lambda/door/invocation.h"
#include "test.h"

static struct hd_invocation_ask ask;

static int read_all(const char *name, const char *query, const struct hd_field *f, size_t n)
{
    hd_invocation_done(&ask);
    return hd_invocation_read(&ask, HD_INVOKE_CALL, hd_str(name), hd_str(query), f, n);
}

static void request_lines_are_told_apart(void **state)
{
    static const struct {
        const char *method, *path, *name;
        enum hd_invoke_op op;
    } cases[] = {
        {"POST", "/2015-03-31/functions/f/invocations", "f", HD_INVOKE_CALL},
        {"POST", "/2015-03-31/functions/f/invocations/", "f", HD_INVOKE_CALL},
        {"POST", "/2015-03-31/functions/arn%3Aaws/invocations", "arn%3Aaws", HD_INVOKE_CALL},
        {"POST", "/2014-11-13/functions/f/invoke-async/", "f", HD_INVOKE_ASYNC},
        {"POST", "/2021-11-15/functions/f/response-streaming-invocations", "f", HD_INVOKE_STREAM},
        {"GET", "/2015-03-31/functions/f/invocations", "", HD_INVOKE_NONE},
        {"POST", "/2015-03-31/functions//invocations", "", HD_INVOKE_NONE},
        {"POST", "/2015-03-31/functions/invocations", "", HD_INVOKE_NONE},
        {"POST", "/2015-03-31/functions/a/b/invocations", "", HD_INVOKE_NONE},
        {"POST", "/2015-03-31/functions/f/versions", "", HD_INVOKE_NONE},
        {"POST", "/2021-11-15/functions/f/invocations", "", HD_INVOKE_NONE},
        {"POST", "/", "", HD_INVOKE_NONE},
    };
    for (size_t n = 0; n < HD_COUNT(cases); n++) {
        struct hd_str name = {"", 0};
        assert_int_equal(hd_invocation_op(hd_str(cases[n].method), hd_str(cases[n].path), &name),
                         cases[n].op);
        assert_true(hd_str_is(name, cases[n].name));
    }
    (void)state;
}

static void names_come_in_many_forms(void **state)
{
    static const struct {
        const char *name, *query, *fn, *qualifier, *account;
    } cases[] = {
        {"f", "", "f", "", ""},
        {"f:prod", "", "f", "prod", ""},
        {"f", "Qualifier=7", "f", "7", ""},
        {"f", "x=1&Qualifier=%24LATEST", "f", "$LATEST", ""},
        {"f:7", "Qualifier=7", "f", "7", ""},
        {"000000000000:function:f", "", "f", "", "000000000000"},
        {"arn%3Aaws%3Alambda%3Aus-east-1%3A000000000000%3Afunction%3Af%3Aprod", "", "f", "prod",
         "000000000000"},
        {"arn:aws:lambda:us-east-1:000000000000:function:f", "Qualifier=", "f", "", "000000000000"},
    };
    for (size_t n = 0; n < HD_COUNT(cases); n++) {
        assert_int_equal(read_all(cases[n].name, cases[n].query, NULL, 0), 0);
        assert_true(hd_str_is(ask.fn.name, cases[n].fn));
        assert_true(hd_str_is(ask.fn.qualifier, cases[n].qualifier));
        assert_true(hd_str_is(ask.fn.account, cases[n].account));
        assert_int_equal(ask.kind, HD_INVOKE_WAIT);
    }
    (void)state;
}

static void options_are_read(void **state)
{
    static const struct hd_field f[] = {
        {HD_LIT("X-Amz-Invocation-Type"), HD_LIT("DryRun")},
        {HD_LIT("x-amz-log-type"), HD_LIT("Tail")},
        {HD_LIT("X-Amz-Client-Context"), HD_LIT("eyJjdXN0b20iOnsiYSI6MX19")},
        {HD_LIT("X-Amzn-Trace-Id"), HD_LIT("Root=1-2-3")},
        {HD_LIT("X-Amz-Tenant-Id"), HD_LIT("blue")},
        {HD_LIT("traceparent"), HD_LIT("00-")}};
    assert_int_equal(read_all("f", "", f, HD_COUNT(f)), 0);
    assert_int_equal(ask.kind, HD_INVOKE_DRY);
    assert_true(ask.tail);
    assert_true(hd_str_is(hd_buf_view(&ask.context), "{\"custom\":{\"a\":1}}"));
    assert_true(hd_str_is(ask.trace, "Root=1-2-3") && hd_str_is(ask.tenant, "blue"));
    assert_true(hd_str_is(ask.traceparent, "00-"));
    (void)state;
}

static void what_is_wrong_is_said_as_the_service_does(void **state)
{
    static const struct {
        const char *name, *query, *field, *value;
        enum hd_api_error fault;
        const char *message;
    } cases[] = {
        {"f%20g", "", "a", "", HD_API_VALIDATION,
         "1 validation error detected: Value 'f g' at 'functionName' failed to satisfy "
         "constraint: Member must satisfy regular expression pattern: "},
        {"f%zz", "", "a", "", HD_API_VALIDATION, "1 validation error detected: Value 'f%zz'"},
        {"f%00", "", "a", "", HD_API_VALIDATION, "1 validation error detected: Value 'f%00'"},
        {"a:b:c", "", "a", "", HD_API_VALIDATION, "1 validation error detected: Value 'a:b:c'"},
        {"f", "Qualifier=a%2Fb", "a", "", HD_API_VALIDATION,
         "1 validation error detected: Value 'a/b' at 'qualifier'"},
        {"f:a", "Qualifier=b", "a", "", HD_API_INVALID,
         "The derived qualifier from the function name does not match the specified qualifier."},
        {"f", "", "x-amz-invocation-type", "Later", HD_API_VALIDATION,
         "1 validation error detected: Value 'Later' at 'invocationType' failed to satisfy "
         "constraint: Member must satisfy enum value set: [Event, RequestResponse, DryRun]"},
        {"f", "", "x-amz-log-type", "All", HD_API_VALIDATION,
         "1 validation error detected: Value 'All' at 'logType' failed to satisfy constraint: "
         "Member must satisfy enum value set: [None, Tail]"},
        {"f", "", "x-amz-client-context", "!!", HD_API_BAD_CONTENT,
         "Client context must be a valid Base64-encoded JSON object."},
        {"f", "", "x-amz-client-context", "e30", HD_API_BAD_CONTENT,
         "Client context must be a valid Base64-encoded JSON object."},
        {"f", "", "x-amz-client-context", "eyI=", HD_API_BAD_CONTENT,
         "Client context must be a valid Base64-encoded JSON object."},
    };
    for (size_t n = 0; n < HD_COUNT(cases); n++) {
        struct hd_field f = {hd_str(cases[n].field), hd_str(cases[n].value)};
        assert_int_equal(read_all(cases[n].name, cases[n].query, &f, 1), HD_EINVAL);
        assert_int_equal(ask.fault, cases[n].fault);
        assert_memory_equal(ask.message, cases[n].message, strlen(cases[n].message));
    }
    static char context[HD_INVOCATION_CONTEXT_CHARS + 2], name[600];
    memset(context, 'a', sizeof(context) - 1);
    memset(name, 'n', sizeof(name) - 1);
    struct hd_field f = {HD_LIT("x-amz-client-context"), hd_str(context)};
    assert_int_equal(read_all("f", "", &f, 1), HD_EINVAL);
    assert_int_equal(read_all(name, "", NULL, 0), HD_EINVAL);
    assert_int_equal(ask.fault, HD_API_VALIDATION);
    (void)state;
}

static void payloads_have_a_size_and_a_form(void **state)
{
    static char big[HD_INVOCATION_EVENT_BYTES + 1];
    memset(big, '1', sizeof(big));
    assert_int_equal(read_all("f", "", NULL, 0), 0);
    assert_int_equal(hd_invocation_check(&ask, hd_str("")), 0);
    assert_int_equal(hd_invocation_check(&ask, hd_str_n(big, HD_INVOCATION_EVENT_BYTES)), 0);
    assert_int_equal(hd_invocation_check(&ask, hd_str_n(big, sizeof(big))), HD_EINVAL);
    assert_int_equal(ask.fault, HD_API_ENTITY_TOO_LARGE);
    assert_string_equal(
        ask.message, "Request must be smaller than 6291456 bytes for the InvokeFunction operation");
    assert_int_equal(hd_invocation_check(&ask, hd_str("{")), HD_EINVAL);
    assert_int_equal(ask.fault, HD_API_BAD_CONTENT);
    assert_memory_equal(ask.message, "Could not parse request body into json: ", 40);
    ask.kind = HD_INVOKE_EVENT;
    assert_int_equal(hd_invocation_check(&ask, hd_str_n(big, HD_INVOCATION_ASYNC_BYTES)), 0);
    assert_int_equal(hd_invocation_check(&ask, hd_str_n(big, HD_INVOCATION_ASYNC_BYTES + 1)),
                     HD_EINVAL);
    hd_invocation_done(&ask);
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(request_lines_are_told_apart),
        cmocka_unit_test(names_come_in_many_forms),
        cmocka_unit_test(options_are_read),
        cmocka_unit_test(what_is_wrong_is_said_as_the_service_does),
        cmocka_unit_test(payloads_have_a_size_and_a_form),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
