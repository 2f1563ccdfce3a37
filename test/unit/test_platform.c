/* test_platform.c - the platform's lines, as text and as JSON. */
#include "invoke/platform.h"
#include "core/log.h"
#include "test.h"

#include <jansson.h>

static const char id[] = "11111111-2222-4333-8444-555555555555";
static const int64_t now = 1773342238123; /* 2026-03-12T19:03:58.123Z */

static struct hd_target target = {.name = "f",
                                  .version = "7",
                                  .memory_mb = 128,
                                  .runtime = "nodejs22.x",
                                  .runtime_arn = "arn:aws:lambda:us-east-1::runtime:ab"};

static const char *line(enum hd_platform_line which, const struct hd_platform_report *report)
{
    static char text[4096];
    struct hd_buf b;
    hd_buf_init(&b, sizeof(text) - 1);
    hd_platform_line(&b, which, &target, id, now, report);
    assert_false(hd_buf_failed(&b));
    if (b.len > 0)
        memcpy(text, b.ptr, b.len);
    text[b.len] = '\0';
    hd_buf_done(&b);
    return text;
}

static void text_lines_have_the_services_form(void **state)
{
    struct hd_platform_report r = {
        .duration_us = 12344, .peak_bytes = (44 << 20) + 1, .status = "success"};
    target.log_json = false;
    assert_string_equal(line(HD_PLATFORM_INIT_START, NULL),
                        "INIT_START Runtime Version: nodejs22.x\tRuntime Version ARN: "
                        "arn:aws:lambda:us-east-1::runtime:ab");
    assert_string_equal(line(HD_PLATFORM_START, NULL),
                        "START RequestId: 11111111-2222-4333-8444-555555555555 Version: 7");
    assert_string_equal(line(HD_PLATFORM_END, &r),
                        "END RequestId: 11111111-2222-4333-8444-555555555555");
    assert_string_equal(line(HD_PLATFORM_REPORT, &r),
                        "REPORT RequestId: 11111111-2222-4333-8444-555555555555\tDuration: 12.34 "
                        "ms\tBilled Duration: 13 ms\tMemory Size: 128 MB\tMax Memory Used: 45 "
                        "MB\t");
    r.init_us = 56775;
    r.status = "timeout";
    r.xray = hd_str("Root=1-58406520-a006649127e371903a2de979;Parent=53995c3f42cd8ad8;Sampled=1");
    assert_string_equal(
        line(HD_PLATFORM_REPORT, &r),
        "REPORT RequestId: 11111111-2222-4333-8444-555555555555\tDuration: 12.34 ms\tBilled "
        "Duration: 13 ms\tMemory Size: 128 MB\tMax Memory Used: 45 MB\tInit Duration: 56.78 "
        "ms\tXRAY TraceId: 1-58406520-a006649127e371903a2de979\tSegmentId: "
        "53995c3f42cd8ad8\tSampled: true\tStatus: timeout\t");
    (void)state;
}

static void json_lines_are_records_that_parse(void **state)
{
    struct hd_platform_report r = {.duration_us = 5,
                                   .init_us = 1000000,
                                   .status = "error",
                                   .error_type = hd_str("Runtime.ExitError")};
    static const char *const types[] = {"platform.initStart", "platform.start",
                                        "platform.runtimeDone", "platform.report"};
    target.log_json = true;
    target.log_level_system = HD_INFO;
    for (int n = 0; n < 4; n++) {
        json_t *root = json_loads(line((enum hd_platform_line)n, &r), 0, NULL);
        assert_non_null(root);
        assert_string_equal(json_string_value(json_object_get(root, "time")),
                            "2026-03-12T19:03:58.123Z");
        assert_string_equal(json_string_value(json_object_get(root, "type")), types[n]);
        assert_true(json_is_object(json_object_get(root, "record")));
        json_decref(root);
    }
    assert_string_equal(
        line(HD_PLATFORM_REPORT, &r),
        "{\"time\":\"2026-03-12T19:03:58.123Z\",\"type\":\"platform.report\",\"record\":{"
        "\"requestId\":\"11111111-2222-4333-8444-555555555555\",\"metrics\":{\"durationMs\":0.01,"
        "\"billedDurationMs\":1,\"memorySizeMB\":128,\"maxMemoryUsedMB\":0,\"initDurationMs\":"
        "1000.00},\"status\":\"error\",\"errorType\":\"Runtime.ExitError\"}}");
    target.log_level_system = HD_WARN;
    assert_string_equal(line(HD_PLATFORM_REPORT, &r), "");
    (void)state;
}

static void bad_ends_are_said(void **state)
{
    struct hd_buf b;
    hd_buf_init(&b, 4096);
    hd_platform_timeout(&b, id, 3000, now);
    hd_buf_char(&b, '\n');
    hd_platform_exit(&b, &target, id, hd_str("exit status 1"), false, 0);
    hd_buf_char(&b, '\n');
    hd_platform_exit(&b, &target, id, hd_str(""), false, 0);
    hd_buf_char(&b, '\n');
    hd_platform_exit(&b, &target, id, hd_str("signal: killed"), true, 130 << 20);
    hd_auto_free char *text = hd_buf_take(&b);
    assert_string_equal(
        text, "2026-03-12T19:03:58.123Z 11111111-2222-4333-8444-555555555555 Task timed out after "
              "3.00 seconds\n"
              "RequestId: 11111111-2222-4333-8444-555555555555 Error: Runtime exited with error: "
              "exit status 1\n"
              "RequestId: 11111111-2222-4333-8444-555555555555 Error: Runtime exited without "
              "providing a reason\n"
              "RequestId: 11111111-2222-4333-8444-555555555555 Error: Runtime exited with error: "
              "signal: killed (out of memory: the limit is 128 MB, the peak was 130 MB; see "
              "MemorySize)");
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_lines_have_the_services_form),
        cmocka_unit_test(json_lines_are_records_that_parse),
        cmocka_unit_test(bad_ends_are_said),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
