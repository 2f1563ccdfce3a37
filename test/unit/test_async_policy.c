/* test_async_policy.c - retries, ages, loops: decided without a clock. */
#include "core/map.h"
#include "lambda/async/async_policy.h"
#include "test.h"

#include <stdio.h>

static const struct hd_async_rules defaults = {.max_retries = -1, .max_age_s = -1};

static void errors_are_retried_after_a_minute_and_after_two(void **state)
{
    struct hd_async_event_state event = {.first_unix_ms = 1000};
    struct hd_async_verdict v =
        hd_async_after(&defaults, &event, HD_ASYNC_FUNCTION_ERROR, 5000, 0.9);
    assert_int_equal(v.end, HD_ASYNC_GOES_ON);
    assert_int_equal(v.due_unix_ms, 5000 + 60000);
    event.progress = v.progress;
    v = hd_async_after(&defaults, &event, HD_ASYNC_FUNCTION_ERROR, 70000, 0.9);
    assert_int_equal(v.end, HD_ASYNC_GOES_ON);
    assert_int_equal(v.due_unix_ms, 70000 + 120000);
    event.progress = v.progress;
    v = hd_async_after(&defaults, &event, HD_ASYNC_FUNCTION_ERROR, 200000, 0.9);
    assert_int_equal(v.end, HD_ASYNC_EXHAUSTED);
    assert_int_equal(hd_async_attempts(v.progress), 3);
    (void)state;
}

static void the_number_of_retries_is_a_setting(void **state)
{
    for (int32_t retries = 0; retries <= 2; retries++) {
        struct hd_async_rules rules = {.max_retries = retries, .max_age_s = -1};
        struct hd_async_event_state event = {.first_unix_ms = 1};
        struct hd_async_verdict v;
        int32_t tries = 0;
        do {
            v = hd_async_after(&rules, &event, HD_ASYNC_FUNCTION_ERROR, 1000, 0);
            event.progress = v.progress;
            tries++;
        } while (v.end == HD_ASYNC_GOES_ON);
        assert_int_equal(tries, retries + 1);
    }
    (void)state;
}

static void delays_are_a_setting_and_the_last_one_repeats(void **state)
{
    const uint32_t delays[] = {5};
    struct hd_async_rules rules = {
        .max_retries = 2, .max_age_s = -1, .delays_ms = delays, .n_delays = 1};
    struct hd_async_event_state event = {.first_unix_ms = 1};
    for (int i = 0; i < 2; i++) {
        struct hd_async_verdict v =
            hd_async_after(&rules, &event, HD_ASYNC_FUNCTION_ERROR, 1000, 0);
        assert_int_equal(v.due_unix_ms, 1005);
        event.progress = v.progress;
    }
    (void)state;
}

static void what_did_not_run_waits_longer_each_time_and_is_no_attempt(void **state)
{
    const int64_t seconds[] = {1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300};
    struct hd_async_event_state event = {.first_unix_ms = 1};
    for (size_t i = 0; i < HD_COUNT(seconds); i++) {
        struct hd_async_verdict v = hd_async_after(&defaults, &event, HD_ASYNC_NOT_RUN, 1000, 0);
        assert_int_equal(v.end, HD_ASYNC_GOES_ON);
        assert_int_equal(v.due_unix_ms, 1000 + seconds[i] * 1000);
        assert_int_equal(hd_async_attempts(v.progress), 0);
        v = hd_async_after(&defaults, &event, HD_ASYNC_NOT_RUN, 1000, 0.999);
        assert_true(v.due_unix_ms > 1000 + seconds[i] * 1240);
        assert_true(v.due_unix_ms <= 1000 + seconds[i] * 1250);
        event.progress = v.progress;
    }
    /* Then it runs and fails: that is the first attempt, and the next miss the first of a row. */
    struct hd_async_verdict v = hd_async_after(&defaults, &event, HD_ASYNC_FUNCTION_ERROR, 0, 0);
    assert_int_equal(hd_async_attempts(v.progress), 1);
    event.progress = v.progress;
    v = hd_async_after(&defaults, &event, HD_ASYNC_NOT_RUN, 1000, 0);
    assert_int_equal(v.due_unix_ms, 2000);
    assert_int_equal(hd_async_attempts(v.progress), 1);
    (void)state;
}

static void misses_go_on_for_ever_until_the_age_is_over(void **state)
{
    struct hd_async_event_state event = {.first_unix_ms = 0};
    int64_t now = 0;
    enum hd_async_end end;
    while ((end = hd_async_before(&defaults, &event, now)) == HD_ASYNC_GOES_ON) {
        struct hd_async_verdict v = hd_async_after(&defaults, &event, HD_ASYNC_NOT_RUN, now, 0.5);
        assert_int_equal(v.end, HD_ASYNC_GOES_ON);
        assert_true(v.due_unix_ms > now);
        event.progress = v.progress;
        now = v.due_unix_ms;
    }
    assert_int_equal(end, HD_ASYNC_EXPIRED);
    assert_int_equal(now, 21600000); /* not a moment later */
    (void)state;
}

static void an_event_is_too_old_at_its_age(void **state)
{
    struct hd_async_rules rules = {.max_retries = 2, .max_age_s = 60};
    struct hd_async_event_state event = {.first_unix_ms = 1000};
    assert_int_equal(hd_async_before(&rules, &event, 60999), HD_ASYNC_GOES_ON);
    assert_int_equal(hd_async_before(&rules, &event, 61000), HD_ASYNC_EXPIRED);
    /* A retry that would come too late is none. */
    struct hd_async_verdict v = hd_async_after(&rules, &event, HD_ASYNC_FUNCTION_ERROR, 1000, 0);
    assert_int_equal(v.end, HD_ASYNC_EXPIRED);
    assert_int_equal(hd_async_attempts(v.progress), 1);
    rules.max_age_s = 62;
    v = hd_async_after(&rules, &event, HD_ASYNC_FUNCTION_ERROR, 2000, 0);
    assert_int_equal(v.end, HD_ASYNC_GOES_ON);
    (void)state;
}

static void a_reservation_of_zero_ends_it_at_once(void **state)
{
    struct hd_async_rules rules = {.max_retries = -1, .max_age_s = -1, .off = true};
    struct hd_async_event_state event = {.first_unix_ms = 1000, .loops = 99};
    assert_int_equal(hd_async_before(&rules, &event, 1000), HD_ASYNC_OFF);
    (void)state;
}

static void conditions_have_the_services_names(void **state)
{
    assert_string_equal(hd_async_condition(HD_ASYNC_SUCCESS), "Success");
    assert_string_equal(hd_async_condition(HD_ASYNC_EXHAUSTED), "RetriesExhausted");
    assert_string_equal(hd_async_condition(HD_ASYNC_EXPIRED), "EventAgeExceeded");
    assert_string_equal(hd_async_condition(HD_ASYNC_OFF), "ZeroReservedConcurrency");
    (void)state;
}

static struct hd_str arn(int n)
{
    static char text[4][80];
    static int turn;
    char *t = text[turn++ % 4];
    snprintf(t, sizeof(text[0]), "arn:aws:lambda:us-east-1:000000000000:function:f%d", n);
    return hd_str(t);
}

static void a_lineage_counts_each_function(void **state)
{
    struct hd_buf a, b;
    hd_buf_init(&a, 4096);
    hd_buf_init(&b, 4096);
    hd_lineage_add(&a, hd_str("Root=1-5759e988-bd862e3fe1be46a994272793;Sampled=1"), arn(1));
    assert_int_equal(hd_lineage_times(hd_buf_view(&a), arn(1)), 1);
    assert_int_equal(hd_lineage_times(hd_buf_view(&a), arn(2)), 0);
    hd_lineage_add(&b, hd_buf_view(&a), arn(2));
    hd_buf_clear(&a);
    hd_lineage_add(&a, hd_buf_view(&b), arn(1));
    assert_int_equal(hd_lineage_times(hd_buf_view(&a), arn(1)), 2);
    assert_int_equal(hd_lineage_times(hd_buf_view(&a), arn(2)), 1);
    static const struct hd_str front =
        HD_LIT("Root=1-5759e988-bd862e3fe1be46a994272793;Sampled=1;Lineage=");
    assert_true(hd_str_starts(hd_buf_view(&a), front));
    hd_buf_done(&a);
    hd_buf_done(&b);
    (void)state;
}

static void a_lineage_does_not_grow_for_ever(void **state)
{
    struct hd_buf a, b;
    hd_buf_init(&a, 4096);
    hd_buf_init(&b, 4096);
    for (int i = 0; i < 100; i++) {
        hd_buf_clear(&b);
        hd_lineage_add(&b, hd_buf_view(&a), arn(i));
        hd_buf_clear(&a);
        hd_buf_str(&a, hd_buf_view(&b));
    }
    assert_true(a.len < 120);
    assert_int_equal(hd_lineage_times(hd_buf_view(&a), arn(99)), 1);
    assert_int_equal(hd_lineage_times(hd_buf_view(&a), arn(0)), 0);
    hd_buf_done(&a);
    hd_buf_done(&b);
    (void)state;
}

static void bad_lineages_count_as_none(void **state)
{
    const char *headers[] = {"",
                             ";;;",
                             "Lineage",
                             "Lineage=",
                             "lineage=|||",
                             "Lineage=x:y|:|::",
                             "Lineage=deadbeef:99999999999999999999999"};
    for (size_t i = 0; i < HD_COUNT(headers); i++) {
        struct hd_buf b;
        hd_buf_init(&b, 4096);
        assert_int_equal(hd_lineage_times(hd_str(headers[i]), arn(1)), 0);
        hd_lineage_add(&b, hd_str(headers[i]), arn(1));
        assert_int_equal(hd_lineage_times(hd_buf_view(&b), arn(1)), 1);
        hd_buf_done(&b);
    }
    (void)state;
}

static void a_function_that_causes_itself_is_stopped(void **state)
{
    struct hd_buf header, next;
    struct hd_async_rules free_rules = {.max_retries = -1, .max_age_s = -1, .loops_allowed = true};
    int runs = 0;
    hd_buf_init(&header, 4096);
    for (;; runs++) {
        struct hd_async_event_state event = {
            .first_unix_ms = 1, .loops = hd_lineage_times(hd_buf_view(&header), arn(1))};
        assert_int_equal(hd_async_before(&free_rules, &event, 2), HD_ASYNC_GOES_ON);
        if (hd_async_before(&defaults, &event, 2) == HD_ASYNC_LOOP)
            break;
        hd_buf_init(&next, 4096);
        hd_lineage_add(&next, hd_buf_view(&header), arn(1));
        hd_buf_done(&header);
        header = next;
    }
    assert_int_equal(runs, HD_LINEAGE_MAX);
    hd_buf_done(&header);
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(errors_are_retried_after_a_minute_and_after_two),
        cmocka_unit_test(the_number_of_retries_is_a_setting),
        cmocka_unit_test(delays_are_a_setting_and_the_last_one_repeats),
        cmocka_unit_test(what_did_not_run_waits_longer_each_time_and_is_no_attempt),
        cmocka_unit_test(misses_go_on_for_ever_until_the_age_is_over),
        cmocka_unit_test(an_event_is_too_old_at_its_age),
        cmocka_unit_test(a_reservation_of_zero_ends_it_at_once),
        cmocka_unit_test(conditions_have_the_services_names),
        cmocka_unit_test(a_lineage_counts_each_function),
        cmocka_unit_test(a_lineage_does_not_grow_for_ever),
        cmocka_unit_test(bad_lineages_count_as_none),
        cmocka_unit_test(a_function_that_causes_itself_is_stopped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
