#include "core/span.h"
#include "test.h"

#include <jansson.h>
#include <unistd.h>

static const char FIRST[] = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

/* The records that telling gives. */
static json_t *told(const struct hd_span *s, const struct hd_span_end *end)
{
    int fds[2];
    char text[2048];
    struct hd_log *log = NULL;
    assert_int_equal(pipe(fds), 0);
    struct hd_log_options opt = {
        .fd = fds[1], .level = HD_INFO, .format = HD_LOG_JSON, .max_bytes = 65536};
    assert_int_equal(hd_log_new(&log, &opt, NULL), 0);
    hd_span_tell(s, log, HD_INFO, end);
    hd_log_free(log);
    close(fds[1]);
    ssize_t n = read(fds[0], text, sizeof(text));
    close(fds[0]);
    return n > 0 ? json_loadb(text, (size_t)n, JSON_DISABLE_EOF_CHECK, NULL) : NULL;
}

static const char *text_of(const json_t *record, const char *key)
{
    return json_string_value(json_object_get(record, key));
}

static void a_span_is_below_its_parent_and_above_what_follows(void **state)
{
    struct hd_rng rng;
    struct hd_span a, b;
    hd_rng_init(&rng, 7);
    hd_span_begin(&a, hd_str(FIRST), &rng, 1000);
    assert_true(a.on);
    assert_memory_equal(a.traceparent, FIRST, 36); /* version and trace id */
    assert_string_equal(a.traceparent + 52, "-01");
    hd_span_begin(&b, hd_str(a.traceparent), &rng, 1500);
    const struct hd_span_end end = {.name = "emit",
                                    .lane = "orders",
                                    .of = hd_str("app.events.e"),
                                    .id = hd_str("m-1"),
                                    .end_unix_ms = 1700};
    json_t *first = told(&a, &end), *second = told(&b, &end);
    assert_string_equal(text_of(first, "msg"), "span");
    assert_string_equal(text_of(first, "parentSpanId"), "00f067aa0ba902b7");
    assert_string_equal(text_of(second, "parentSpanId"), text_of(first, "spanId"));
    assert_string_equal(text_of(second, "traceId"), "4bf92f3577b34da6a3ce929d0e0e4736");
    assert_string_not_equal(text_of(second, "spanId"), text_of(first, "spanId"));
    assert_int_equal(json_integer_value(json_object_get(first, "durationMs")), 700);
    assert_int_equal(json_integer_value(json_object_get(second, "startMs")), 1500);
    assert_true(json_is_true(json_object_get(first, "ok")));
    json_decref(first);
    json_decref(second);
    (void)state;
}

static void a_span_of_another_part_keeps_its_id(void **state)
{
    struct hd_span s;
    const struct hd_span_end end = {.name = "hook", .lane = "", .failed = true};
    hd_span_made(&s, hd_str(FIRST), hd_str("1111111111111111"), 5);
    json_t *record = told(&s, &end);
    assert_string_equal(text_of(record, "spanId"), "1111111111111111");
    assert_string_equal(text_of(record, "parentSpanId"), "00f067aa0ba902b7");
    assert_true(json_is_false(json_object_get(record, "ok")));
    assert_int_equal(json_integer_value(json_object_get(record, "durationMs")), 0); /* no clock */
    json_decref(record);
    hd_span_made(&s, hd_str(FIRST), hd_str("none"), 5);
    assert_null(told(&s, &end));
    (void)state;
}

static void a_trace_may_begin_with_a_span(void **state)
{
    struct hd_rng rng;
    struct hd_trace first, second;
    struct hd_span s;
    const struct hd_span_end end = {.name = "gateway", .lane = "", .end_unix_ms = 9};
    hd_rng_init(&rng, 7);
    hd_trace_child(&first, NULL, &rng);
    hd_trace_child(&second, &first, &rng);
    hd_span_of(&s, &first, NULL, 4);
    json_t *record = told(&s, &end);
    assert_string_equal(text_of(record, "parentSpanId"), "");
    assert_int_equal(json_integer_value(json_object_get(record, "durationMs")), 5);
    hd_auto_free char *root = hd_strdup(text_of(record, "spanId"));
    json_decref(record);
    hd_span_of(&s, &second, &first, 4);
    record = told(&s, &end);
    assert_string_equal(text_of(record, "parentSpanId"), root);
    assert_memory_equal(s.traceparent + 36, text_of(record, "spanId"), 16);
    json_decref(record);
    (void)state;
}

static void where_no_trace_began_there_are_no_spans(void **state)
{
    struct hd_rng rng;
    struct hd_span s;
    const struct hd_span_end end = {.name = "emit", .lane = ""};
    static const char *const cases[] = {"", "garbage",
                                        "00-00000000000000000000000000000000-00f067aa0ba902b7-01"};
    hd_rng_init(&rng, 7);
    for (size_t i = 0; i < HD_COUNT(cases); i++) {
        hd_span_begin(&s, hd_str(cases[i]), &rng, 0);
        assert_false(s.on);
        assert_string_equal(s.traceparent, "");
        assert_null(told(&s, &end));
    }
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_span_is_below_its_parent_and_above_what_follows),
        cmocka_unit_test(a_span_of_another_part_keeps_its_id),
        cmocka_unit_test(a_trace_may_begin_with_a_span),
        cmocka_unit_test(where_no_trace_began_there_are_no_spans)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
