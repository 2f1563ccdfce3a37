/* test_call.c - calls over the real pool to instances that answer, fail, hang, vanish and lie. */
#include "call_rig.h"

#include "core/clock.h"

#include <unistd.h>

static struct call_rig rig;
static struct call_rig_outcome out, second;

static const struct hd_pool_limits limits = {.concurrency = 1,
                                             .max = 4,
                                             .idle_ms = 60000,
                                             .queue_max = 100,
                                             .wait_ms = 5000,
                                             .start_timeout_ms = 2000,
                                             .drain_ms = 1000,
                                             .stop_ms = 100,
                                             .max_starting = 2};

static int start(void **state)
{
    (void)state;
    call_rig_start(&rig, &limits);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    call_rig_stop(&rig);
    return 0;
}

static void call(const char *event, const struct hd_call_request *request)
{
    call_rig_call(&rig, event, request, &out);
    assert_int_equal(out.ends, 0); /* never from inside */
    call_rig_until(&rig, out.ends > 0);
    assert_int_equal(out.ends, 1);
}

/* --- good answers --- */

static void an_event_comes_back_unchanged_and_the_instance_is_used_again(void **state)
{
    call("{\"a\": 1 }", NULL);
    assert_int_equal(out.outcome, HD_CALL_OK);
    assert_string_equal(out.payload, "{\"a\": 1 }");
    assert_true(out.delivered && out.init_us > 0 && out.duration_us > 0);
    call("", NULL);
    assert_string_equal(out.payload, "{}"); /* what an absent event is */
    assert_int_equal(out.init_us, 0);
    assert_int_equal(rig.launched, 1);
    assert_int_equal(rig.requests, 2);
    (void)state;
}

static void the_instance_is_told_who_asks(void **state)
{
    struct hd_call_request how = {
        .request_id = "11111111-2222-4333-8444-555555555555",
        .invoked_arn = hd_str("arn:aws:lambda:us-east-1:000000000000:function:f:prod"),
        .client_context = hd_str("{\"custom\":{\"a\":1}}"),
        .tenant = hd_str("blue"),
        .trace = hd_str("Root=1-58406520-a006649127e371903a2de979;Parent=53995c3f42cd8ad8;"
                        "Sampled=1;Lineage=a:1"),
    };
    call("1", &how);
    assert_non_null(strstr(rig.head, "x-heddle-event: buffered\n"));
    assert_non_null(strstr(rig.head, "x-heddle-id: 11111111-2222-4333-8444-555555555555\n"));
    assert_non_null(strstr(rig.head, "x-heddle-arn: arn:aws:lambda:us-east-1:000000000000:function:"
                                     "f:prod\n"));
    assert_non_null(strstr(rig.head, "x-heddle-deadline: 3000\n"));
    assert_non_null(strstr(rig.head, "x-heddle-client-context: eyJjdXN0b20iOnsiYSI6MX19\n"));
    assert_non_null(strstr(rig.head, "x-heddle-tenant: blue\n"));
    assert_non_null(
        strstr(rig.head, "x-heddle-trace: Root=1-58406520-a006649127e371903a2de979;Parent="));
    assert_non_null(strstr(rig.head, ";Sampled=1;Lineage=a:1\n"));
    assert_non_null(strstr(rig.head, "traceparent: 00-58406520a006649127e371903a2de979-"));
    assert_string_equal(out.request_id, how.request_id);
    assert_null(strstr(out.xray, "53995c3f42cd8ad8")); /* a span of its own */
    (void)state;
}

static void a_value_that_cannot_stand_in_a_field_is_refused_before_anything_runs(void **state)
{
    struct hd_call_request how = {.tenant = hd_str("a\r\nx-heddle-id: b")};
    call("1", &how);
    assert_int_equal(out.outcome, HD_CALL_FAILED);
    assert_int_equal(out.code, HD_EINVAL);
    assert_false(out.delivered);
    assert_int_equal(rig.launched, 0);
    (void)state;
}

static void the_lines_of_a_call_are_in_order(void **state)
{
    struct hd_call_request how = {.request_id = "11111111-2222-4333-8444-555555555555"};
    call("1", &how);
    call_rig_until(&rig, strstr(rig.lines, "REPORT") != NULL);
    static const char *const order[] = {
        "INIT_START Runtime Version: nodejs22.x\t",
        "START RequestId: 11111111-2222-4333-8444-555555555555 Version: $LATEST\n",
        "END RequestId: 11111111-2222-4333-8444-555555555555\n",
        "REPORT RequestId: 11111111-2222-4333-8444-555555555555\tDuration: ",
        "\tMemory Size: 128 MB\tMax Memory Used: 45 MB\tInit Duration: ",
    };
    const char *at = rig.lines;
    for (size_t n = 0; n < HD_COUNT(order); n++) {
        at = strstr(at, order[n]);
        assert_non_null(at);
    }
    rig.lines[0] = '\0';
    call("1", NULL);
    call_rig_until(&rig, strstr(rig.lines, "REPORT") != NULL);
    assert_null(strstr(rig.lines, "INIT_START"));
    assert_null(strstr(rig.lines, "Init Duration"));
    (void)state;
}

static void the_tail_has_this_calls_lines_and_no_others(void **state)
{
    struct hd_call_request how = {.want_tail = true};
    rig.garbage = "printed at the start";
    call("\"print\"", &how);
    assert_string_equal(out.payload, "1");
    assert_non_null(strstr(out.tail, "START RequestId: "));
    assert_non_null(strstr(out.tail, "\nhello from the function\nEND RequestId: "));
    assert_non_null(strstr(out.tail, "\nREPORT RequestId: "));
    assert_null(strstr(out.tail, "printed at the start"));
    call("\"print\"", NULL); /* nobody takes its line */
    call("2", &how);
    assert_string_equal(out.payload, "2");
    assert_null(strstr(out.tail, "hello"));
    (void)state;
}

/* --- functions that fail --- */

static void an_error_is_what_the_function_said(void **state)
{
    call("\"error\"", NULL);
    assert_int_equal(out.outcome, HD_CALL_FUNCTION_ERROR);
    assert_string_equal(out.payload, "{\"errorType\":\"Oops\",\"errorMessage\":\"no\"}");
    assert_string_equal(out.type, "Oops");
    call("\"http\"", NULL);
    assert_int_equal(out.outcome, HD_CALL_FUNCTION_ERROR);
    assert_string_equal(out.payload, "{\"errorType\":\"HttpError\",\"errorMessage\":\"status 503\","
                                     "\"status\":503,\"body\":\"closed today\"}");
    call("3", NULL);
    assert_int_equal(out.outcome, HD_CALL_OK);
    assert_int_equal(rig.launched, 1);
    (void)state;
}

static void an_instance_that_exits_is_an_exit_error_and_is_not_called_twice(void **state)
{
    struct hd_call_request how = {.want_tail = true,
                                  .request_id = "11111111-2222-4333-8444-555555555555"};
    call("\"exit\"", &how);
    assert_int_equal(out.outcome, HD_CALL_FUNCTION_ERROR);
    assert_string_equal(out.payload,
                        "{\"errorType\":\"Runtime.ExitError\",\"errorMessage\":\"RequestId: "
                        "11111111-2222-4333-8444-555555555555 Error: Runtime exited with error: "
                        "exit status 3\"}");
    assert_string_equal(out.type, "Runtime.ExitError");
    assert_non_null(strstr(out.tail, "\nabout to leave\nRequestId: "));
    assert_non_null(strstr(out.tail, "Runtime exited with error: exit status 3\nEND "));
    assert_non_null(strstr(out.tail, "\tStatus: error\t"));
    assert_int_equal(rig.requests, 1);
    call("1", NULL);
    assert_int_equal(out.outcome, HD_CALL_OK);
    assert_int_equal(rig.launched, 2);
    const struct hd_call_stats *s = hd_admission_stats(rig.target->admission);
    assert_int_equal(s->failures[HD_CALL_FAILURE_EXIT], 1);
    assert_int_equal(s->invocations, 2);
    (void)state;
}

static void an_event_that_an_instance_hands_back_goes_to_another(void **state)
{
    struct hd_call_request how = {.want_tail = true};
    call("\"undelivered\"", NULL);
    assert_int_equal(out.outcome, HD_CALL_OK);
    assert_string_equal(out.payload, "\"undelivered\"");
    assert_int_equal(rig.launched, 2);
    rig.launched = 0; /* the next one is the first again */
    call("1", NULL);
    call("\"undelivered\"", &how);
    assert_int_equal(out.outcome, HD_CALL_OK);
    (void)state;
}

static void handed_back_twice_it_is_an_error(void **state)
{
    rig.always = true;
    call("\"undelivered\"", NULL);
    assert_int_not_equal(out.outcome, HD_CALL_OK);
    assert_false(out.delivered);
    assert_int_equal(rig.requests, 2);
    (void)state;
}

static void out_of_memory_is_said(void **state)
{
    call("\"oom\"", NULL);
    assert_non_null(strstr(out.payload, "Runtime exited with error: signal: killed\"}"));
    call_rig_until(&rig, strstr(rig.lines, "REPORT") != NULL);
    assert_non_null(strstr(rig.lines, "signal: killed (out of memory: the limit is 128 MB"));
    assert_int_equal(hd_admission_stats(rig.target->admission)->failures[HD_CALL_FAILURE_MEMORY],
                     1);
    (void)state;
}

static void one_that_breaks_the_connection_and_lives_is_ended(void **state)
{
    call("\"mute\"", NULL);
    assert_int_equal(out.outcome, HD_CALL_FAILED);
    assert_int_equal(out.code, HD_EPROTO);
    assert_true(out.delivered);
    call_rig_until(&rig, rig.killed == 1);
    call("1", NULL);
    assert_int_equal(out.outcome, HD_CALL_OK);
    assert_int_equal(rig.launched, 2);
    assert_int_equal(rig.requests, 2);
    (void)state;
}

static void too_late_is_answered_at_once_and_the_instance_is_killed(void **state)
{
    struct hd_call_request how = {
        .timeout_ms = 50, .want_tail = true, .request_id = "11111111-2222-4333-8444-555555555555"};
    call("\"hang\"", &how);
    assert_int_equal(out.outcome, HD_CALL_FUNCTION_ERROR);
    assert_string_equal(out.payload,
                        "{\"errorType\":\"Sandbox.Timedout\",\"errorMessage\":\"RequestId: "
                        "11111111-2222-4333-8444-555555555555 Error: Task timed out after 0.05 "
                        "seconds\"}");
    assert_non_null(strstr(out.tail,
                           " 11111111-2222-4333-8444-555555555555 Task timed out after 0.05 "
                           "seconds\n\nEND "));
    assert_non_null(strstr(out.tail, "\tStatus: timeout\t"));
    call_rig_until(&rig, rig.killed == 1);
    call("1", NULL);
    assert_int_equal(out.outcome, HD_CALL_OK);
    assert_int_equal(rig.launched, 2);
    (void)state;
}

static void an_answer_over_the_limit_is_an_error_of_the_function(void **state)
{
    static char event[20001];
    struct hd_call_request how = {.max_answer_bytes = 10000};
    memset(event, '1', 20000);
    call(event, &how);
    assert_int_equal(out.outcome, HD_CALL_FUNCTION_ERROR);
    assert_string_equal(out.type, "Function.ResponseSizeTooLarge");
    assert_string_equal(out.payload,
                        "{\"errorType\":\"Function.ResponseSizeTooLarge\",\"errorMessage\":"
                        "\"Response payload size exceeded maximum allowed payload size (10000 "
                        "bytes).\"}");
    call(event, NULL);
    assert_int_equal(out.outcome, HD_CALL_OK);
    assert_int_equal(strlen(out.payload), 20000);
    assert_int_equal(rig.launched, 1);
    (void)state;
}

static void who_waited_for_a_failed_init_hears_it_and_the_next_gets_a_new_try(void **state)
{
    rig.stillborn = true;
    call("1", NULL);
    assert_int_equal(out.outcome, HD_CALL_FUNCTION_ERROR);
    assert_string_equal(out.type, "Runtime.ImportModuleError");
    assert_string_equal(out.payload, "{\"errorMessage\":\"no module\"}");
    rig.stillborn = false;
    call("1", NULL);
    assert_int_equal(out.outcome, HD_CALL_OK);
    assert_int_equal(rig.launched, 2);
    (void)state;
}

static void a_launch_that_fails_is_one_calls_failure(void **state)
{
    rig.refuses = true;
    call("1", NULL);
    assert_int_equal(out.outcome, HD_CALL_FUNCTION_ERROR);
    assert_non_null(strstr(out.payload, "Runtime exited with error: exit status 1"));
    assert_false(out.delivered);
    rig.silent_refusal = true;
    call("1", NULL);
    assert_int_equal(out.outcome, HD_CALL_FUNCTION_ERROR);
    assert_non_null(strstr(out.payload, "boot.js:3: it does not compile"));
    rig.refuses = false;
    call("1", NULL);
    assert_int_equal(out.outcome, HD_CALL_OK);
    assert_int_equal(rig.launched, 3);
    (void)state;
}

static void an_init_that_hangs_is_made_once_more_within_the_functions_time(void **state)
{
    struct hd_pool_limits l = limits;
    struct hd_call_request how = {.timeout_ms = 150};
    l.start_timeout_ms = 60;
    assert_int_equal(hd_pool_set_limits(rig.pool, &l, NULL), 0);
    rig.never_ready = true;
    call("1", &how);
    assert_int_equal(out.outcome, HD_CALL_FUNCTION_ERROR);
    assert_string_equal(out.type, "Sandbox.Timedout");
    assert_false(out.delivered);
    assert_int_equal(rig.launched, 2);
    rig.never_ready = false;
    call("1", NULL);
    assert_int_equal(out.outcome, HD_CALL_OK);
    (void)state;
}

static void an_instance_that_goes_while_idle_costs_no_call(void **state)
{
    call("1", NULL);
    /* Its socket is closed, and the pool does not know yet. */
    call_rig_crash(&rig, 11, 0, false);
    call("2", NULL);
    assert_int_equal(out.outcome, HD_CALL_OK);
    assert_string_equal(out.payload, "2");
    (void)state;
}

/* --- limits --- */

static void who_is_over_the_limit_is_throttled_at_once(void **state)
{
    hd_admission_set(rig.target->admission, 1, 0);
    call_rig_call(&rig, "1", NULL, &second);
    call("2", NULL);
    assert_int_equal(out.outcome, HD_CALL_THROTTLED);
    assert_string_equal(out.reason, "ReservedFunctionConcurrentInvocationLimitExceeded");
    assert_string_equal(out.error, "Rate Exceeded.");
    call_rig_until(&rig, second.ends > 0);
    assert_int_equal(second.outcome, HD_CALL_OK);
    call("3", NULL);
    assert_int_equal(out.outcome, HD_CALL_OK);
    (void)state;
}

static void a_place_that_does_not_come_is_a_throttle_too(void **state)
{
    struct hd_pool_limits l = limits;
    struct hd_call_request hang = {.timeout_ms = 400};
    l.max = 1;
    l.wait_ms = 50;
    assert_int_equal(hd_pool_set_limits(rig.pool, &l, NULL), 0);
    call("1", NULL);
    call_rig_call(&rig, "\"hang\"", &hang, &second);
    call("2", NULL);
    assert_int_equal(out.outcome, HD_CALL_THROTTLED);
    assert_false(out.delivered);
    call_rig_until(&rig, second.ends > 0);
    (void)state;
}

/* --- streams --- */

static void a_stream_comes_as_it_is_written(void **state)
{
    struct hd_call_request how = {.want_stream = true};
    call("\"stream\"", &how);
    assert_int_equal(out.outcome, HD_CALL_OK);
    assert_int_equal(out.heads, 1);
    assert_true(out.streaming);
    assert_memory_equal(out.data, "one two", 7);
    assert_int_equal(out.data_bytes, 7);
    assert_string_equal(out.payload, "");
    call("\"stream\"", NULL); /* collected */
    assert_string_equal(out.payload, "one two");
    assert_int_equal(out.heads, 0);
    call("\"plain\"", &how); /* one piece */
    assert_int_equal(out.heads, 1);
    assert_false(out.streaming);
    assert_memory_equal(out.data, "\"plain\"", 7);
    (void)state;
}

static void errors_in_mid_stream_come_with_the_end(void **state)
{
    struct hd_call_request how = {.want_stream = true};
    call("\"stream error\"", &how);
    assert_int_equal(out.outcome, HD_CALL_FUNCTION_ERROR);
    assert_int_equal(out.data_bytes, 7);
    assert_string_equal(out.type, "Function.Broke");
    assert_string_equal(out.payload, "{\"errorType\":\"Broke\"}");
    call("\"error\"", &how); /* before the first byte */
    assert_int_equal(out.outcome, HD_CALL_FUNCTION_ERROR);
    assert_int_equal(out.heads, 0);
    how.timeout_ms = 50;
    call("\"half\"", &how);
    assert_int_equal(out.outcome, HD_CALL_FUNCTION_ERROR);
    assert_string_equal(out.type, "Sandbox.Timedout");
    assert_memory_equal(out.data, "half", 4);
    (void)state;
}

static void an_instance_that_dies_in_mid_stream_says_so_at_the_end(void **state)
{
    struct hd_call_request how = {.want_stream = true};
    call_rig_call(&rig, "\"half\"", &how, &out);
    call_rig_until(&rig, out.data_bytes == 4);
    call_rig_crash(&rig, 11, 0, false);
    call_rig_until(&rig, out.ends == 1);
    assert_int_equal(out.outcome, HD_CALL_FUNCTION_ERROR);
    assert_non_null(strstr(out.payload, "signal: segmentation fault"));
    (void)state;
}

/* --- callers that leave --- */

static void who_hangs_up_lets_it_run_to_its_end(void **state)
{
    struct hd_call *c = call_rig_call(&rig, "1", NULL, &out);
    hd_call_cancel(c, true);
    call_rig_until(&rig, hd_caller_active(rig.caller) == 0);
    assert_int_equal(out.ends, 0);
    assert_int_equal(rig.requests, 1);
    call_rig_until(&rig, strstr(rig.lines, "client gone") != NULL);
    call("2", NULL);
    assert_int_equal(rig.launched, 1);
    (void)state;
}

static void who_takes_it_back_has_the_instance_stopped(void **state)
{
    struct hd_call *c = call_rig_call(&rig, "\"hang\"", NULL, &out);
    call_rig_until(&rig, rig.requests == 1);
    hd_call_cancel(c, false);
    assert_int_equal(hd_caller_active(rig.caller), 0);
    call_rig_until(&rig, rig.killed == 1);
    c = call_rig_call(&rig, "1", NULL, &out); /* and one that still waits */
    hd_call_cancel(c, false);
    assert_int_equal(hd_caller_active(rig.caller), 0);
    assert_int_equal(out.ends, 0);
    assert_int_equal(rig.requests, 1);
    (void)state;
}

static void leaving_at_any_time_gives_everything_back(void **state)
{
    struct hd_call_request how = {.want_tail = true};
    for (int turns = 0; turns < 40; turns++) {
        bool let_it_run = turns % 3 == 0;
        struct hd_call *c = call_rig_call(&rig, turns % 2 ? "\"exit\"" : "1", &how, &out);
        for (int n = 0; n < turns && out.ends == 0; n++)
            call_rig_turn(&rig);
        if (out.ends == 0)
            hd_call_cancel(c, let_it_run);
        call_rig_until(&rig, hd_caller_active(rig.caller) == 0);
        assert_int_equal(hd_account_quota_running(rig.quota), 0);
    }
    (void)state;
}

static void many_at_once_each_have_an_instance_of_their_own(void **state)
{
    static struct call_rig_outcome many[4];
    for (int n = 0; n < 4; n++)
        call_rig_call(&rig, "\"print\"", NULL, &many[n]);
    for (int n = 0; n < 4; n++) {
        call_rig_until(&rig, many[n].ends == 1);
        assert_int_equal(many[n].outcome, HD_CALL_OK);
    }
    assert_in_range(rig.launched, 1, 4);
    (void)state;
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, start, stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(an_event_comes_back_unchanged_and_the_instance_is_used_again),
        TEST(the_instance_is_told_who_asks),
        TEST(a_value_that_cannot_stand_in_a_field_is_refused_before_anything_runs),
        TEST(the_lines_of_a_call_are_in_order),
        TEST(the_tail_has_this_calls_lines_and_no_others),
        TEST(an_error_is_what_the_function_said),
        TEST(an_instance_that_exits_is_an_exit_error_and_is_not_called_twice),
        TEST(an_event_that_an_instance_hands_back_goes_to_another),
        TEST(handed_back_twice_it_is_an_error),
        TEST(out_of_memory_is_said),
        TEST(one_that_breaks_the_connection_and_lives_is_ended),
        TEST(too_late_is_answered_at_once_and_the_instance_is_killed),
        TEST(an_answer_over_the_limit_is_an_error_of_the_function),
        TEST(who_waited_for_a_failed_init_hears_it_and_the_next_gets_a_new_try),
        TEST(a_launch_that_fails_is_one_calls_failure),
        TEST(an_init_that_hangs_is_made_once_more_within_the_functions_time),
        TEST(an_instance_that_goes_while_idle_costs_no_call),
        TEST(who_is_over_the_limit_is_throttled_at_once),
        TEST(a_place_that_does_not_come_is_a_throttle_too),
        TEST(a_stream_comes_as_it_is_written),
        TEST(errors_in_mid_stream_come_with_the_end),
        TEST(an_instance_that_dies_in_mid_stream_says_so_at_the_end),
        TEST(who_hangs_up_lets_it_run_to_its_end),
        TEST(who_takes_it_back_has_the_instance_stopped),
        TEST(leaving_at_any_time_gives_everything_back),
        TEST(many_at_once_each_have_an_instance_of_their_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
