/* test/unit/test_token_cache.c - time is an argument. */
#include "auth/token_cache.h"
#include "core/clock.h"
#include "test.h"

#include <stdio.h>

static struct hd_token_digest digest(struct hd_token_cache *c, const char *token)
{
    struct hd_token_digest d;
    hd_token_cache_digest(&d, c, hd_str(token));
    return d;
}

static void put(struct hd_token_cache *c, const char *token, int64_t now_ms)
{
    struct hd_identity *id = hd_identity_from_key("anon", now_ms / 1000); /* for 60 s */
    struct hd_token_digest d = digest(c, token);
    hd_token_cache_put(c, &d, id, now_ms);
    hd_identity_unref(id);
}

static int get(struct hd_token_cache *c, const char *token, int64_t now_ms)
{
    struct hd_identity *id = NULL;
    int code = 0;
    struct hd_token_digest d = digest(c, token);
    int found = hd_token_cache_get(c, &d, now_ms, &id, &code);
    if (found > 0)
        assert_true(hd_str_is(id->role, "anon"));
    return found < 0 ? -code : found;
}

static void the_digest_is_sha_256(void **state)
{
    struct hd_token_cache *c = hd_token_cache_new(NULL);
    struct hd_token_digest d = digest(c, "abc"); /* FIPS 180-2 appendix B.1 */
    static const unsigned char want[] = {0xba, 0x78, 0x16, 0xbf, 0x8f, 0x01, 0xcf, 0xea};
    assert_memory_equal(d.bytes, want, sizeof(want));
    d = digest(c, "abc"); /* the context is used again */
    assert_memory_equal(d.bytes, want, sizeof(want));
    hd_token_cache_free(c);
    (void)state;
}

static void remembers_good_tokens_until_they_expire(void **state)
{
    struct hd_token_cache *c = hd_token_cache_new(NULL);
    assert_int_equal(get(c, "a", 1000), 0);
    put(c, "a", 1000);
    assert_int_equal(get(c, "a", 1000), 1);
    assert_int_equal(get(c, "b", 1000), 0);
    assert_int_equal(get(c, "a", 60999), 1);
    assert_int_equal(get(c, "a", 61000), 0);
    assert_int_equal(get(c, "a", 60999), 0); /* dropped, not hidden */
    struct hd_token_cache_stats s;
    hd_token_cache_stats(&s, c);
    assert_int_equal(s.good, 0);
    assert_int_equal(s.bytes, 0);
    assert_int_equal(s.hits, 2);
    assert_int_equal(s.misses, 4);
    hd_token_cache_free(c);
    (void)state;
}

static void forgets_when_the_clock_was_set_back(void **state)
{
    struct hd_token_cache *c = hd_token_cache_new(NULL);
    put(c, "a", 5000);
    assert_int_equal(get(c, "a", 4999), 0);
    hd_token_cache_free(c);
    (void)state;
}

static void remembers_bad_tokens_for_a_short_time(void **state)
{
    const struct hd_token_cache_options opt = {.bad_ttl_ms = 100};
    struct hd_token_cache *c = hd_token_cache_new(&opt);
    struct hd_token_digest d = digest(c, "x");
    hd_token_cache_put_bad(c, &d, 7, 1000);
    assert_int_equal(get(c, "x", 1099), -7);
    assert_int_equal(get(c, "x", 1100), 0);
    struct hd_token_cache_stats s;
    hd_token_cache_stats(&s, c);
    assert_int_equal(s.bad_hits, 1);
    assert_int_equal(s.bad, 0);
    hd_token_cache_free(c);
    (void)state;
}

static void a_flood_of_bad_tokens_pushes_out_no_good_one(void **state)
{
    const struct hd_token_cache_options opt = {.max_good = 2, .max_bad = 10};
    struct hd_token_cache *c = hd_token_cache_new(&opt);
    put(c, "a", 1000);
    for (int i = 0; i < 1000; i++) {
        hd_auto_free char *token = hd_printf("bad %d", i);
        struct hd_token_digest d = digest(c, token);
        hd_token_cache_put_bad(c, &d, 1, 1000);
    }
    assert_int_equal(get(c, "a", 1000), 1);
    assert_int_equal(get(c, "bad 990", 1000), -1);
    assert_int_equal(get(c, "bad 989", 1000), 0);
    struct hd_token_cache_stats s;
    hd_token_cache_stats(&s, c);
    assert_int_equal(s.bad, 10);
    assert_int_equal(s.evicted, 990);
    hd_token_cache_free(c);
    (void)state;
}

static void gives_up_the_one_that_was_not_used_longest(void **state)
{
    const struct hd_token_cache_options opt = {.max_good = 3};
    struct hd_token_cache *c = hd_token_cache_new(&opt);
    put(c, "a", 1000);
    put(c, "b", 1000);
    put(c, "c", 1000);
    assert_int_equal(get(c, "a", 1000), 1);
    put(c, "d", 1000);
    assert_int_equal(get(c, "b", 1000), 0);
    assert_int_equal(get(c, "a", 1000), 1);
    assert_int_equal(get(c, "c", 1000), 1);
    assert_int_equal(get(c, "d", 1000), 1);
    hd_token_cache_free(c);
    (void)state;
}

static void stays_within_its_memory(void **state)
{
    struct hd_identity *id = hd_identity_from_key("anon", 1);
    const struct hd_token_cache_options opt = {.max_bytes = 2 * id->bytes + 1};
    const struct hd_token_cache_options tiny = {.max_bytes = id->bytes - 1};
    struct hd_token_cache *c = hd_token_cache_new(&opt);
    put(c, "a", 1000);
    put(c, "b", 1000);
    put(c, "c", 1000);
    assert_int_equal(get(c, "a", 1000), 0);
    assert_int_equal(get(c, "b", 1000), 1);
    hd_token_cache_free(c);
    c = hd_token_cache_new(&tiny);
    put(c, "a", 1000);
    assert_int_equal(get(c, "a", 1000), 0);
    hd_token_cache_free(c);
    hd_identity_unref(id);
    (void)state;
}

static void a_new_epoch_forgets_everything(void **state)
{
    struct hd_token_cache *c = hd_token_cache_new(NULL);
    hd_token_cache_epoch(c, 1);
    put(c, "a", 1000);
    struct hd_token_digest d = digest(c, "x");
    hd_token_cache_put_bad(c, &d, 7, 1000);
    hd_token_cache_epoch(c, 1);
    assert_int_equal(get(c, "a", 1000), 1);
    hd_token_cache_epoch(c, 2);
    assert_int_equal(get(c, "a", 1000), 0);
    assert_int_equal(get(c, "x", 1000), 0);
    hd_token_cache_free(c);
    (void)state;
}

static void prints_what_a_hit_costs(void **state)
{
    struct hd_token_cache *c = hd_token_cache_new(NULL);
    char token[301];
    memset(token, 'x', 300);
    token[300] = '\0';
    put(c, token, 1000);
    enum { N = 20000 };
    uint64_t from = hd_clock_us();
    for (int i = 0; i < N; i++)
        assert_int_equal(get(c, token, 1000), 1);
    print_message("a hit with a token of 300 bytes: %.0f ns\n",
                  (double)(hd_clock_us() - from) * 1000 / N);
    hd_token_cache_free(c);
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_digest_is_sha_256),
        cmocka_unit_test(remembers_good_tokens_until_they_expire),
        cmocka_unit_test(forgets_when_the_clock_was_set_back),
        cmocka_unit_test(remembers_bad_tokens_for_a_short_time),
        cmocka_unit_test(a_flood_of_bad_tokens_pushes_out_no_good_one),
        cmocka_unit_test(gives_up_the_one_that_was_not_used_longest),
        cmocka_unit_test(stays_within_its_memory),
        cmocka_unit_test(a_new_epoch_forgets_everything),
        cmocka_unit_test(prints_what_a_hit_costs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
