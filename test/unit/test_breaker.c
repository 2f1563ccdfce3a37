/* test/unit/test_breaker.c - time is an argument, so nothing sleeps. */
#include "gateway/breaker.h"
#include "test.h"

#include <pthread.h>
#include <stdatomic.h>

static const struct hd_breaker_options half_of_four = {
    .error_rate = 0.5, .window = 4, .cooldown_ms = 1000, .seed = 1};

static struct hd_breaker *make(const struct hd_breaker_options *opt)
{
    struct hd_breaker *b = NULL;
    assert_int_equal(hd_breaker_new(&b, opt, NULL), 0);
    return b;
}

static uint64_t admit(struct hd_breaker *b, uint64_t now_ms)
{
    uint64_t retry = 0, pass = hd_breaker_admit(b, now_ms, &retry);
    assert_true((pass == 0) == (retry > 0));
    return pass;
}

/* One request from beginning to end. */
static enum hd_breaker_change one(struct hd_breaker *b, enum hd_breaker_outcome outcome,
                                  uint64_t now_ms)
{
    uint64_t pass = admit(b, now_ms);
    assert_int_not_equal(pass, 0);
    return hd_breaker_report(b, pass, outcome, now_ms);
}

static struct hd_breaker *opened(const struct hd_breaker_options *opt, uint64_t now_ms)
{
    struct hd_breaker *b = make(opt);
    for (uint32_t i = 1; i < opt->window; i++)
        assert_int_equal(one(b, HD_BREAKER_FAILED, now_ms), HD_BREAKER_SAME);
    assert_int_equal(one(b, HD_BREAKER_FAILED, now_ms), HD_BREAKER_OPENED);
    return b;
}

static enum hd_breaker_state state_of(struct hd_breaker *b, uint64_t now_ms)
{
    struct hd_breaker_stats s;
    hd_breaker_stats(&s, b, now_ms);
    return s.state;
}

static void opens_when_the_window_is_full_and_half_of_it_failed(void **state)
{
    struct hd_breaker *b = make(&half_of_four);
    assert_int_equal(one(b, HD_BREAKER_FAILED, 0), HD_BREAKER_SAME);
    assert_int_equal(one(b, HD_BREAKER_OK, 0), HD_BREAKER_SAME);
    assert_int_equal(one(b, HD_BREAKER_OK, 0), HD_BREAKER_SAME);
    assert_int_equal(one(b, HD_BREAKER_OK, 0), HD_BREAKER_SAME);     /* full: 1 of 4 */
    assert_int_equal(one(b, HD_BREAKER_FAILED, 0), HD_BREAKER_SAME); /* the first one fell out */
    assert_int_equal(one(b, HD_BREAKER_OK, 0), HD_BREAKER_SAME);
    assert_int_equal(one(b, HD_BREAKER_FAILED, 0), HD_BREAKER_OPENED);
    assert_int_equal(state_of(b, 0), HD_BREAKER_OPEN);
    hd_breaker_free(b);
    (void)state;
}

static void turns_away_until_the_cooldown_is_over(void **state)
{
    struct hd_breaker *b = opened(&half_of_four, 50);
    uint64_t retry = 0;
    assert_int_equal(hd_breaker_admit(b, 50, &retry), 0);
    assert_int_equal(retry, 1000);
    assert_int_equal(hd_breaker_admit(b, 1049, &retry), 0);
    assert_int_equal(retry, 1);
    assert_int_equal(hd_breaker_admit(b, 20, &retry), 0); /* another loop's clock */
    assert_int_not_equal(admit(b, 1050), 0);
    struct hd_breaker_stats s;
    hd_breaker_stats(&s, b, 1050);
    assert_int_equal(s.rejected_total, 3);
    assert_int_equal(s.opened_total, 1);
    assert_int_equal(s.opened_ms, 50);
    hd_breaker_free(b);
    (void)state;
}

static void lets_exactly_as_many_probes_through_as_it_was_told(void **state)
{
    for (uint32_t probes = 1; probes <= 3; probes++) {
        struct hd_breaker_options opt = half_of_four;
        opt.half_open_probes = probes == 1 ? 0 : probes;
        struct hd_breaker *b = opened(&opt, 0);
        uint32_t passed = 0;
        for (int i = 0; i < 100; i++)
            passed += admit(b, 1000) != 0;
        assert_int_equal(passed, probes);
        assert_int_equal(state_of(b, 1000), HD_BREAKER_HALF_OPEN);
        hd_breaker_free(b);
    }
    (void)state;
}

static void a_probe_that_goes_well_closes_it(void **state)
{
    struct hd_breaker *b = opened(&half_of_four, 0);
    assert_int_equal(one(b, HD_BREAKER_OK, 1000), HD_BREAKER_SHUT);
    assert_int_equal(state_of(b, 1000), HD_BREAKER_CLOSED);
    struct hd_breaker_stats s;
    hd_breaker_stats(&s, b, 1000);
    assert_int_equal(s.window, 0); /* it needs a full new window to open again */
    for (int i = 0; i < 3; i++)
        assert_int_equal(one(b, HD_BREAKER_FAILED, 1000), HD_BREAKER_SAME);
    assert_int_equal(one(b, HD_BREAKER_FAILED, 1000), HD_BREAKER_OPENED);
    hd_breaker_free(b);
    (void)state;
}

static void a_probe_that_fails_opens_it_for_twice_as_long(void **state)
{
    struct hd_breaker *b = opened(&half_of_four, 0);
    uint64_t now = 1000, base = 1000;
    for (int i = 0; i < 15; i++) {
        assert_int_equal(one(b, HD_BREAKER_FAILED, now), HD_BREAKER_REOPENED);
        base = base * 2 < 600000 ? base * 2 : 600000;
        uint64_t retry = 0;
        assert_int_equal(hd_breaker_admit(b, now, &retry), 0);
        assert_in_range(retry, base - base / 10, base + base / 10);
        assert_int_equal(hd_breaker_admit(b, now + retry - 1, &(uint64_t){0}), 0);
        now += retry;
    }
    assert_int_equal(one(b, HD_BREAKER_OK, now), HD_BREAKER_SHUT);
    for (int i = 0; i < 4; i++)
        one(b, HD_BREAKER_FAILED, now);
    uint64_t retry = 0;
    assert_int_equal(hd_breaker_admit(b, now, &retry), 0);
    assert_int_equal(retry, 1000); /* it begins anew */
    hd_breaker_free(b);
    (void)state;
}

static void jitter_differs_between_breakers(void **state)
{
    uint64_t seen[8];
    int different = 0;
    for (uint64_t i = 0; i < HD_COUNT(seen); i++) {
        struct hd_breaker_options opt = half_of_four;
        opt.seed = i + 1;
        struct hd_breaker *b = opened(&opt, 0);
        one(b, HD_BREAKER_FAILED, 1000);
        hd_breaker_admit(b, 1000, &seen[i]);
        different += i > 0 && seen[i] != seen[0];
        hd_breaker_free(b);
    }
    assert_true(different > 3);
    (void)state;
}

static void a_probe_that_says_nothing_gives_its_place_back(void **state)
{
    struct hd_breaker *b = opened(&half_of_four, 0);
    uint64_t first = admit(b, 1000);
    assert_int_equal(admit(b, 1000), 0);
    assert_int_equal(hd_breaker_report(b, first, HD_BREAKER_VOID, 1000), HD_BREAKER_SAME);
    assert_int_not_equal(admit(b, 1000), 0);
    assert_int_equal(admit(b, 1000), 0);
    hd_breaker_free(b);
    (void)state;
}

static void late_reports_are_void(void **state)
{
    struct hd_breaker *b = make(&half_of_four);
    uint64_t slow = admit(b, 0);
    for (int i = 0; i < 4; i++)
        one(b, HD_BREAKER_FAILED, 0);
    assert_int_equal(state_of(b, 0), HD_BREAKER_OPEN);
    assert_int_equal(hd_breaker_report(b, slow, HD_BREAKER_OK, 10), HD_BREAKER_SAME);
    assert_int_equal(state_of(b, 10), HD_BREAKER_OPEN);
    uint64_t probe = admit(b, 1000);
    assert_int_equal(hd_breaker_report(b, slow, HD_BREAKER_OK, 1000), HD_BREAKER_SAME);
    assert_int_equal(hd_breaker_report(b, slow, HD_BREAKER_FAILED, 1000), HD_BREAKER_SAME);
    assert_int_equal(state_of(b, 1000), HD_BREAKER_HALF_OPEN);
    assert_int_equal(hd_breaker_report(b, probe, HD_BREAKER_OK, 1000), HD_BREAKER_SHUT);
    assert_int_equal(hd_breaker_report(b, probe, HD_BREAKER_FAILED, 1000), HD_BREAKER_SAME);
    struct hd_breaker_stats s;
    hd_breaker_stats(&s, b, 1000);
    assert_int_equal(s.window, 0);
    hd_breaker_free(b);
    (void)state;
}

static void what_is_not_the_functions_doing_does_not_count(void **state)
{
    struct hd_breaker *b = make(&half_of_four);
    for (int i = 0; i < 100; i++)
        assert_int_equal(one(b, HD_BREAKER_VOID, 0), HD_BREAKER_SAME);
    struct hd_breaker_stats s;
    hd_breaker_stats(&s, b, 0);
    assert_int_equal(s.window, 0);
    assert_int_equal(s.state, HD_BREAKER_CLOSED);
    hd_breaker_free(b);
    (void)state;
}

static void success_after_success_still_leaves_room_for_failures(void **state)
{
    struct hd_breaker *b = make(&half_of_four);
    for (int i = 0; i < 100; i++)
        one(b, HD_BREAKER_OK, 0);
    assert_int_equal(one(b, HD_BREAKER_FAILED, 0), HD_BREAKER_SAME);
    struct hd_breaker_stats s;
    hd_breaker_stats(&s, b, 0);
    assert_int_equal(s.window, 4);
    assert_int_equal(s.errors, 1);
    for (int i = 0; i < 4; i++)
        one(b, HD_BREAKER_OK, 0);
    hd_breaker_stats(&s, b, 0);
    assert_int_equal(s.errors, 0);
    assert_int_equal(one(b, HD_BREAKER_FAILED, 0), HD_BREAKER_SAME);
    assert_int_equal(one(b, HD_BREAKER_FAILED, 0), HD_BREAKER_OPENED);
    hd_breaker_free(b);
    (void)state;
}

static void few_requests_can_be_enough(void **state)
{
    struct hd_breaker_options opt = half_of_four;
    opt.window = 100;
    opt.min_requests = 2;
    struct hd_breaker *b = make(&opt);
    assert_int_equal(one(b, HD_BREAKER_FAILED, 0), HD_BREAKER_SAME);
    assert_int_equal(one(b, HD_BREAKER_FAILED, 0), HD_BREAKER_OPENED);
    hd_breaker_free(b);
    (void)state;
}

static void failures_in_a_row_can_be_enough(void **state)
{
    const struct hd_breaker_options opt = {.window = 10, .consecutive = 3, .cooldown_ms = 1};
    struct hd_breaker *b = make(&opt);
    for (int i = 0; i < 20; i++) {
        one(b, HD_BREAKER_FAILED, 0);
        one(b, HD_BREAKER_FAILED, 0);
        one(b, HD_BREAKER_OK, 0);
    }
    one(b, HD_BREAKER_FAILED, 0);
    one(b, HD_BREAKER_FAILED, 0);
    assert_int_equal(one(b, HD_BREAKER_FAILED, 0), HD_BREAKER_OPENED);
    hd_breaker_free(b);
    (void)state;
}

static void old_outcomes_can_be_left_out(void **state)
{
    struct hd_breaker_options opt = half_of_four;
    opt.min_requests = 3;
    opt.window_ms = 100;
    struct hd_breaker *b = make(&opt);
    one(b, HD_BREAKER_FAILED, 0);
    one(b, HD_BREAKER_FAILED, 0);
    assert_int_equal(one(b, HD_BREAKER_FAILED, 100), HD_BREAKER_SAME); /* alone */
    struct hd_breaker_stats s;
    hd_breaker_stats(&s, b, 100);
    assert_int_equal(s.window, 1);
    one(b, HD_BREAKER_FAILED, 150);
    assert_int_equal(one(b, HD_BREAKER_FAILED, 199), HD_BREAKER_OPENED);
    hd_breaker_free(b);
    (void)state;
}

static void without_a_limit_it_never_opens(void **state)
{
    const struct hd_breaker_options opt = {.window = 1, .cooldown_ms = 1};
    struct hd_breaker *b = make(&opt);
    for (int i = 0; i < 100; i++)
        assert_int_equal(one(b, HD_BREAKER_FAILED, 0), HD_BREAKER_SAME);
    hd_breaker_free(b);
    (void)state;
}

static void a_reset_closes_and_forgets(void **state)
{
    struct hd_breaker *b = opened(&half_of_four, 0);
    hd_breaker_reset(b);
    assert_int_equal(state_of(b, 1), HD_BREAKER_CLOSED);
    uint64_t before = admit(b, 1);
    for (int i = 0; i < 3; i++)
        one(b, HD_BREAKER_FAILED, 1);
    hd_breaker_reset(b); /* what ran in the old instance says nothing about the new one */
    assert_int_equal(hd_breaker_report(b, before, HD_BREAKER_FAILED, 1), HD_BREAKER_SAME);
    struct hd_breaker_stats s;
    hd_breaker_stats(&s, b, 1);
    assert_int_equal(s.window, 0);
    hd_breaker_free(b);
    (void)state;
}

static void refuses_options_that_make_no_sense(void **state)
{
    static const struct hd_breaker_options bad[] = {
        {.error_rate = -0.1, .window = 1, .cooldown_ms = 1},
        {.error_rate = 1.1, .window = 1, .cooldown_ms = 1},
        {.error_rate = __builtin_nan(""), .window = 1, .cooldown_ms = 1},
        {.error_rate = 0.5, .window = 0, .cooldown_ms = 1},
        {.error_rate = 0.5, .window = HD_BREAKER_WINDOW_MAX + 1, .cooldown_ms = 1},
        {.error_rate = 0.5, .window = 4, .min_requests = 5, .cooldown_ms = 1},
        {.error_rate = 0.5, .window = 4, .cooldown_ms = 0},
    };
    for (size_t i = 0; i < HD_COUNT(bad); i++) {
        struct hd_breaker *b = NULL;
        assert_int_equal(hd_breaker_new(&b, &bad[i], NULL), HD_EINVAL);
        assert_null(b);
    }
    (void)state;
}

struct prober {
    struct hd_breaker *b;
    _Atomic uint32_t passed;
};

static void *ask_often(void *arg)
{
    struct prober *p = arg;
    for (int i = 0; i < 2000; i++)
        atomic_fetch_add(&p->passed, admit(p->b, 1000) != 0);
    return NULL;
}

static void several_threads_share_the_probes(void **state)
{
    struct hd_breaker_options opt = half_of_four;
    opt.half_open_probes = 2;
    struct prober p = {.b = opened(&opt, 0)};
    pthread_t threads[4];
    for (size_t i = 0; i < HD_COUNT(threads); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, ask_often, &p), 0);
    for (size_t i = 0; i < HD_COUNT(threads); i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(atomic_load(&p.passed), 2);
    hd_breaker_free(p.b);
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(opens_when_the_window_is_full_and_half_of_it_failed),
        cmocka_unit_test(turns_away_until_the_cooldown_is_over),
        cmocka_unit_test(lets_exactly_as_many_probes_through_as_it_was_told),
        cmocka_unit_test(a_probe_that_goes_well_closes_it),
        cmocka_unit_test(a_probe_that_fails_opens_it_for_twice_as_long),
        cmocka_unit_test(jitter_differs_between_breakers),
        cmocka_unit_test(a_probe_that_says_nothing_gives_its_place_back),
        cmocka_unit_test(late_reports_are_void),
        cmocka_unit_test(what_is_not_the_functions_doing_does_not_count),
        cmocka_unit_test(success_after_success_still_leaves_room_for_failures),
        cmocka_unit_test(few_requests_can_be_enough),
        cmocka_unit_test(failures_in_a_row_can_be_enough),
        cmocka_unit_test(old_outcomes_can_be_left_out),
        cmocka_unit_test(without_a_limit_it_never_opens),
        cmocka_unit_test(a_reset_closes_and_forgets),
        cmocka_unit_test(refuses_options_that_make_no_sense),
        cmocka_unit_test(several_threads_share_the_probes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
