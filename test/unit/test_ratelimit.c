/* test/unit/test_ratelimit.c - time is an argument. */
#include "gateway/ratelimit.h"
#include "core/clock.h"
#include "core/id.h"
#include "test.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

static struct hd_ratelimit_key key_of(const struct hd_ratelimit *r, const char *who)
{
    return hd_ratelimit_key(r, HD_RATELIMIT_IP, hd_str(who), hd_str("hello"));
}

static struct hd_ratelimit_result take(struct hd_ratelimit *r, const char *who, uint32_t rpm,
                                       uint32_t burst, uint64_t now_ms)
{
    return hd_ratelimit_take(r, key_of(r, who), rpm, burst, 1, now_ms);
}

static void starts_full_and_refills_evenly(void **state)
{
    struct hd_ratelimit *r = hd_ratelimit_new(NULL);
    for (uint32_t i = 0; i < 120; i++) {
        struct hd_ratelimit_result a = take(r, "a", 120, 0, 0);
        assert_true(a.allowed);
        assert_int_equal(a.limit, 120);
        assert_int_equal(a.remaining, 119 - i);
        assert_int_equal(a.retry_after_s, 0);
    }
    struct hd_ratelimit_result a = take(r, "a", 120, 0, 0);
    assert_false(a.allowed);
    assert_true(a.over);
    assert_int_equal(a.remaining, 0);
    assert_int_equal(a.retry_after_s, 1);
    assert_int_equal(a.reset_s, 60);
    assert_int_equal(a.window_s, 60);
    assert_false(take(r, "a", 120, 0, 499).allowed);
    assert_true(take(r, "a", 120, 0, 500).allowed); /* one each 500 ms */
    assert_false(take(r, "a", 120, 0, 500).allowed);
    assert_false(take(r, "a", 120, 0, 999).allowed);
    assert_true(take(r, "a", 120, 0, 1000).allowed);
    assert_int_equal(take(r, "a", 120, 0, 61000).remaining, 119);
    hd_ratelimit_free(r);
    (void)state;
}

static void burst_is_the_size_of_the_bucket(void **state)
{
    struct hd_ratelimit *r = hd_ratelimit_new(NULL);
    assert_int_equal(take(r, "a", 6, 2, 0).remaining, 1);
    assert_int_equal(take(r, "a", 6, 2, 0).remaining, 0);
    struct hd_ratelimit_result a = take(r, "a", 6, 2, 1000);
    assert_false(a.allowed);
    assert_int_equal(a.limit, 2);
    assert_int_equal(a.window_s, 20);
    assert_int_equal(a.retry_after_s, 9);
    assert_false(take(r, "a", 6, 2, 9999).allowed);
    assert_true(take(r, "a", 6, 2, 10000).allowed);
    hd_ratelimit_free(r);
    (void)state;
}

static void retry_after_is_the_truth(void **state)
{
    /* Whatever the limits: after so many seconds it passes, and a second earlier it does not. */
    struct hd_rng rng;
    hd_rng_init(&rng, 7);
    for (int i = 0; i < 500; i++) {
        struct hd_ratelimit *r = hd_ratelimit_new(&(struct hd_ratelimit_options){.max_buckets = 1});
        uint32_t rpm = (uint32_t)(1 + hd_rng_below(&rng, i % 2 == 0 ? 50 : 5000));
        uint32_t burst = (uint32_t)hd_rng_below(&rng, 10);
        uint64_t now = hd_rng_below(&rng, 100000);
        struct hd_ratelimit_result a;
        do
            a = take(r, "a", rpm, burst, now);
        while (a.allowed);
        assert_in_range(a.retry_after_s, 1, 60);
        uint64_t at = now + a.retry_after_s * 1000;
        if (a.retry_after_s > 1)
            assert_false(take(r, "a", rpm, burst, at - 1000).allowed);
        assert_true(take(r, "a", rpm, burst, at).allowed);
        hd_ratelimit_free(r);
    }
    (void)state;
}

static void over_a_long_time_the_rate_is_exact(void **state)
{
    struct hd_ratelimit *r = hd_ratelimit_new(NULL);
    uint64_t passed = 0;
    for (uint64_t now = 0; now < 3600000; now += 37)
        passed += take(r, "a", 100, 10, now).allowed;
    /* An hour: 6000 that flow in, 10 that were there. */
    assert_in_range(passed, 6000, 6010);
    hd_ratelimit_free(r);
    (void)state;
}

static void counts_each_client_and_function_alone(void **state)
{
    struct hd_ratelimit *r = hd_ratelimit_new(NULL);
    static const enum hd_ratelimit_scope scopes[] = {HD_RATELIMIT_USER, HD_RATELIMIT_IP,
                                                     HD_RATELIMIT_KEY, HD_RATELIMIT_TOTAL};
    static const char *const names[] = {"", "a", "b", "ab"};
    for (int round = 0; round < 2; round++) {
        for (size_t s = 0; s < HD_COUNT(scopes); s++) {
            for (size_t w = 0; w < HD_COUNT(names); w++) {
                for (size_t f = 0; f < HD_COUNT(names); f++) {
                    struct hd_ratelimit_key key =
                        hd_ratelimit_key(r, scopes[s], hd_str(names[w]), hd_str(names[f]));
                    assert_int_equal(hd_ratelimit_take(r, key, 1, 1, 1, 0).allowed, round == 0);
                }
            }
        }
    }
    hd_ratelimit_free(r);
    (void)state;
}

static void requests_can_cost_more(void **state)
{
    struct hd_ratelimit *r = hd_ratelimit_new(NULL);
    struct hd_ratelimit_key key = key_of(r, "a");
    assert_int_equal(hd_ratelimit_take(r, key, 60, 10, 4, 0).remaining, 6);
    assert_int_equal(hd_ratelimit_take(r, key, 60, 10, 0, 0).remaining, 6); /* only looks */
    struct hd_ratelimit_result a = hd_ratelimit_take(r, key, 60, 10, 99, 0);
    assert_false(a.allowed); /* as much as all of it */
    assert_int_equal(a.retry_after_s, 4);
    assert_int_equal(a.remaining, 6); /* nothing was taken */
    assert_int_equal(hd_ratelimit_take(r, key, 60, 10, 99, 4000).remaining, 0);
    hd_ratelimit_free(r);
    (void)state;
}

static void a_dry_run_lets_everything_through(void **state)
{
    struct hd_ratelimit *r = hd_ratelimit_new(&(struct hd_ratelimit_options){.dry_run = true});
    assert_false(take(r, "a", 1, 1, 0).over);
    struct hd_ratelimit_result a = take(r, "a", 1, 1, 0);
    assert_true(a.allowed);
    assert_true(a.over);
    struct hd_ratelimit_stats s;
    hd_ratelimit_stats(&s, r);
    assert_int_equal(s.over, 1);
    hd_ratelimit_free(r);
    (void)state;
}

static void limits_may_change_while_it_counts(void **state)
{
    struct hd_ratelimit *r = hd_ratelimit_new(NULL);
    for (int i = 0; i < 100; i++)
        take(r, "a", 100, 0, 0);
    assert_false(take(r, "a", 10, 0, 0).allowed); /* smaller: still empty, not below */
    assert_true(take(r, "a", 10, 0, 6000).allowed);
    assert_false(take(r, "a", 1000, 0, 6059).allowed); /* larger: still empty, one in 60 ms */
    assert_true(take(r, "a", 1000, 0, 6060).allowed);
    hd_ratelimit_free(r);
    (void)state;
}

static void an_exhausted_bucket_cannot_be_pushed_out(void **state)
{
    struct hd_ratelimit *r =
        hd_ratelimit_new(&(struct hd_ratelimit_options){.max_buckets = 64 * 4, .seed = 3});
    for (int i = 0; i < 5; i++)
        take(r, "victim of its own", 5, 0, 0);
    for (int i = 0; i < 20000; i++) {
        char who[16];
        snprintf(who, sizeof(who), "%d", i);
        take(r, who, 5, 0, 1);
    }
    struct hd_ratelimit_stats s;
    hd_ratelimit_stats(&s, r);
    assert_int_equal(s.buckets, 64 * 4);
    assert_true(s.evicted > 19000);
    assert_int_equal(s.shared, 0);
    assert_false(take(r, "victim of its own", 5, 0, 2).allowed);
    assert_true(take(r, "victim of its own", 5, 0, 12000).allowed);
    hd_ratelimit_free(r);
    (void)state;
}

static void full_buckets_go_first(void **state)
{
    struct hd_ratelimit *r =
        hd_ratelimit_new(&(struct hd_ratelimit_options){.max_buckets = 64 * 8, .seed = 5});
    /* Used once, and then not for long, but not full either. */
    for (int i = 0; i < 64 * 2; i++) {
        char who[16];
        snprintf(who, sizeof(who), "used %d", i);
        for (int k = 0; k < 10; k++)
            take(r, who, 60, 60, 0);
    }
    struct hd_ratelimit_stats before, after;
    hd_ratelimit_stats(&before, r);
    assert_true(before.buckets > 120);
    /* Many who come later and are full again 10 ms after that. By use alone they would all stay. */
    for (int i = 0; i < 4000; i++) {
        char who[16];
        snprintf(who, sizeof(who), "brief %d", i);
        take(r, who, 6000, 60, 4000 + (uint64_t)i);
    }
    hd_ratelimit_stats(&after, r);
    assert_true(after.evicted > 3000);
    int kept = 0;
    for (int i = 0; i < 64 * 2; i++) {
        char who[16];
        snprintf(who, sizeof(who), "used %d", i);
        kept += take(r, who, 60, 60, 8000).remaining < 59;
    }
    assert_true(kept >= 120); /* where chance put more than 7 of them together some are lost */
    hd_ratelimit_free(r);
    (void)state;
}

static void those_who_come_to_a_table_full_of_refusals_share(void **state)
{
    struct hd_ratelimit *r =
        hd_ratelimit_new(&(struct hd_ratelimit_options){.max_buckets = 64, .seed = 9});
    uint32_t passed = 0;
    for (int i = 0; i < 10000; i++) {
        char who[16];
        snprintf(who, sizeof(who), "%d", i);
        passed += take(r, who, 1, 1, 0).allowed;
    }
    struct hd_ratelimit_stats s;
    hd_ratelimit_stats(&s, r);
    assert_int_equal(passed, 128); /* each shard: its one bucket, and the shared one */
    assert_int_equal(s.shared, 10000 - 64);
    assert_int_equal(s.evicted, 0);
    assert_true(take(r, "later", 1, 1, 60000).allowed);
    hd_ratelimit_free(r);
    (void)state;
}

static void writes_the_fields(void **state)
{
    struct hd_ratelimit *r = hd_ratelimit_new(NULL);
    struct hd_ratelimit_result a = take(r, "a", 2, 0, 0);
    struct hd_field fields[HD_RATELIMIT_FIELDS_MAX];
    char text[HD_RATELIMIT_TEXT_BYTES];
    assert_int_equal(hd_ratelimit_fields(fields, text, &a), 5);
    take(r, "a", 2, 0, 0);
    a = take(r, "a", 2, 0, 0);
    assert_int_equal(hd_ratelimit_fields(fields, text, &a), 6);
    static const char *const want[][2] = {{"ratelimit-policy", "\"default\";q=2;w=60"},
                                          {"ratelimit", "\"default\";r=0;t=60"},
                                          {"x-ratelimit-limit", "2"},
                                          {"x-ratelimit-remaining", "0"},
                                          {"x-ratelimit-reset", "60"},
                                          {"retry-after", "30"}};
    for (size_t i = 0; i < 6; i++) {
        assert_true(hd_str_is(fields[i].name, want[i][0]));
        assert_true(hd_str_is(fields[i].value, want[i][1]));
    }
    /* The longest there can be. */
    a = (struct hd_ratelimit_result){.over = true,
                                     .limit = UINT32_MAX,
                                     .remaining = UINT32_MAX,
                                     .window_s = UINT32_MAX,
                                     .reset_s = UINT32_MAX,
                                     .retry_after_s = UINT32_MAX};
    assert_int_equal(hd_ratelimit_fields(fields, text, &a), 6);
    assert_true(fields[5].value.ptr + fields[5].value.len < text + sizeof(text));
    hd_ratelimit_free(r);
    (void)state;
}

struct taker {
    struct hd_ratelimit *r;
    _Atomic uint64_t passed;
};

static void *take_many(void *arg)
{
    struct taker *t = arg;
    uint64_t passed = 0;
    for (int i = 0; i < 5000; i++) {
        char who[16];
        snprintf(who, sizeof(who), "%d", i % 10);
        passed += take(t->r, who, 100, 0, 0).allowed;
    }
    atomic_fetch_add(&t->passed, passed);
    return NULL;
}

static void counts_right_from_several_threads(void **state)
{
    struct taker t = {.r = hd_ratelimit_new(NULL)};
    pthread_t threads[4];
    for (size_t i = 0; i < HD_COUNT(threads); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, take_many, &t), 0);
    for (size_t i = 0; i < HD_COUNT(threads); i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(atomic_load(&t.passed), 10 * 100);
    hd_ratelimit_free(t.r);
    (void)state;
}

static void prints_what_a_decision_costs(void **state)
{
    struct hd_ratelimit *r = hd_ratelimit_new(NULL);
    enum { N = 50000 };
    uint64_t from = hd_clock_us();
    for (int i = 0; i < N; i++)
        take(r, i % 2 == 0 ? "192.0.2.1" : "192.0.2.2", 120, 0, (uint64_t)i / 100);
    print_message("a decision: %.0f ns\n", (double)(hd_clock_us() - from) * 1000 / N);
    hd_ratelimit_free(r);
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(starts_full_and_refills_evenly),
        cmocka_unit_test(burst_is_the_size_of_the_bucket),
        cmocka_unit_test(retry_after_is_the_truth),
        cmocka_unit_test(over_a_long_time_the_rate_is_exact),
        cmocka_unit_test(counts_each_client_and_function_alone),
        cmocka_unit_test(requests_can_cost_more),
        cmocka_unit_test(a_dry_run_lets_everything_through),
        cmocka_unit_test(limits_may_change_while_it_counts),
        cmocka_unit_test(an_exhausted_bucket_cannot_be_pushed_out),
        cmocka_unit_test(full_buckets_go_first),
        cmocka_unit_test(those_who_come_to_a_table_full_of_refusals_share),
        cmocka_unit_test(writes_the_fields),
        cmocka_unit_test(counts_right_from_several_threads),
        cmocka_unit_test(prints_what_a_decision_costs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
