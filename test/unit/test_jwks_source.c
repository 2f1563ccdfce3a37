/* test/unit/test_jwks_source.c - against a real server whose keys rotate. */
#include "auth/jwks_source.h"
#include "auth/verifier.h"
#include "fetch_rig.h"
#include "test.h"

#include <stdio.h>

#define KEY_1                                                                    \
    "{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"kid\":\"k1\",\"x\":\"11qYAYKxCrfVS_" \
    "7TyWQHOg7hcvPapiMlrwIaaPcHURo\"}"
#define KEY_2                                                                 \
    "{\"kty\":\"EC\",\"crv\":\"P-256\",\"kid\":\"k2\",\"x\":"                 \
    "\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\",\"y\":\"x_FEzRu9m36HLN_" \
    "tue659LNpXW6pCyStikYjKIWI5a0\"}"
#define KEY_2_PRIVATE                                                         \
    "{\"kty\":\"EC\",\"crv\":\"P-256\",\"kid\":\"k2\",\"x\":"                 \
    "\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\",\"y\":\"x_FEzRu9m36HLN_" \
    "tue659LNpXW6pCyStikYjKIWI5a0\",\"d\":\"jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI\"}"

struct rig {
    struct fetch_rig fetch;
    struct hd_jwks_slot *slot;
    struct hd_jwks_source *source;
    uint64_t failures; /* what has_failures() waits for */
};

static void start(struct rig *rig, const char *keys, struct hd_jwks_source_options opt)
{
    fetch_rig_start(&rig->fetch, false);
    fetch_rig_write(&rig->fetch, "jwks.json", keys);
    rig->slot = hd_jwks_slot_new();
    hd_auto_free char *url = hd_printf("%s/jwks", rig->fetch.base);
    opt.url = url;
    assert_int_equal(hd_jwks_source_new(&rig->source, rig->fetch.loop, rig->fetch.fetcher,
                                        rig->slot, &opt, NULL, NULL),
                     0);
}

static void set_flag(void *arg)
{
    *(bool *)arg = true;
}

static void stop(struct rig *rig)
{
    bool closed = false;
    hd_jwks_source_close(rig->source, set_flag, &closed);
    fetch_rig_until(&rig->fetch, &closed);
    fetch_rig_stop(&rig->fetch);
    hd_jwks_slot_unref(rig->slot);
}

static struct hd_jwks_source_stats stats_of(const struct rig *rig)
{
    struct hd_jwks_source_stats s;
    hd_jwks_source_stats(&s, rig->source);
    return s;
}

static const char *kid(const struct rig *rig)
{
    static char name[16];
    struct hd_jwks *set = hd_jwks_slot_get(rig->slot);
    name[0] = '\0';
    if (set != NULL && hd_jwks_count(set) > 0)
        snprintf(name, sizeof(name), "%s", hd_jwks_at(set, 0)->kid);
    hd_jwks_unref(set);
    return name;
}

static bool has_published(void *arg)
{
    return stats_of(arg).published > 0;
}

static bool has_k2(void *arg)
{
    return strcmp(kid(arg), "k2") == 0;
}

static bool has_failed_twice(void *arg)
{
    return stats_of(arg).retries >= 2;
}

static bool was_not_modified_twice(void *arg)
{
    return stats_of(arg).not_modified >= 2;
}

static bool was_not_modified(void *arg)
{
    return stats_of(arg).not_modified >= 1;
}

static bool has_failures(void *arg)
{
    const struct rig *rig = arg;
    return stats_of(rig).failures >= rig->failures;
}

static bool has_begun(void *arg)
{
    return stats_of(arg).fetches > 0;
}

static bool has_nothing(void *arg)
{
    return kid(arg)[0] == '\0';
}

static void fetches_at_once_and_follows_rotation(void **state)
{
    struct rig rig;
    start(&rig, "{\"keys\":[" KEY_1 "]}",
          (struct hd_jwks_source_options){.refresh_min_ms = 20, .refresh_max_ms = 20});
    fetch_rig_run(&rig.fetch, has_published, &rig);
    assert_string_equal(kid(&rig), "k1");
    fetch_rig_run(&rig.fetch, was_not_modified_twice, &rig);
    assert_int_equal(hd_jwks_slot_generation(rig.slot), 1); /* 304: caches stay warm */
    fetch_rig_write(&rig.fetch, "jwks.json", "{\"keys\":[" KEY_2 "]}");
    fetch_rig_run(&rig.fetch, has_k2, &rig);
    assert_int_equal(hd_jwks_slot_generation(rig.slot), 2);
    assert_int_equal(stats_of(&rig).keys, 1);
    stop(&rig);
    (void)state;
}

static void keeps_the_keys_while_the_url_fails(void **state)
{
    static const char *const bad[] = {"not json", "{\"keys\":[]}", "{\"keys\":[{\"kty\":\"x\"}]}"};
    struct rig rig;
    start(&rig, "{\"keys\":[" KEY_1 "]}",
          (struct hd_jwks_source_options){
              .refresh_min_ms = 5, .refresh_max_ms = 5, .retry_min_ms = 5, .retry_max_ms = 10});
    fetch_rig_run(&rig.fetch, has_published, &rig);
    fetch_rig_write(&rig.fetch, "status", "500");
    fetch_rig_run(&rig.fetch, has_failed_twice, &rig);
    assert_string_equal(kid(&rig), "k1");
    for (size_t i = 0; i < HD_COUNT(bad); i++) {
        fetch_rig_write(&rig.fetch, "jwks.json", bad[i]);
        fetch_rig_remove(&rig.fetch, "status");
        rig.failures = stats_of(&rig).failures + 3;
        fetch_rig_run(&rig.fetch, has_failures, &rig);
        assert_string_equal(kid(&rig), "k1");
    }
    fetch_rig_write(&rig.fetch, "jwks.json", "{\"keys\":[" KEY_2 "]}");
    fetch_rig_run(&rig.fetch, has_k2, &rig);
    assert_int_equal(stats_of(&rig).retries, 0);
    stop(&rig);
    (void)state;
}

static void drops_keys_that_nobody_confirmed_for_too_long(void **state)
{
    struct rig rig;
    start(&rig, "{\"keys\":[" KEY_1 "]}",
          (struct hd_jwks_source_options){.refresh_min_ms = 20,
                                          .refresh_max_ms = 20,
                                          .retry_min_ms = 10,
                                          .retry_max_ms = 10,
                                          .stale_max_ms = 300});
    fetch_rig_run(&rig.fetch, has_published, &rig);
    fetch_rig_write(&rig.fetch, "status", "503");
    fetch_rig_run(&rig.fetch, has_nothing, &rig);
    assert_true(stats_of(&rig).failures > 2);
    fetch_rig_write(&rig.fetch, "jwks.json", "{\"keys\":[" KEY_2 "]}");
    fetch_rig_remove(&rig.fetch, "status");
    fetch_rig_run(&rig.fetch, has_k2, &rig);
    stop(&rig);
    (void)state;
}

static void an_unknown_key_causes_one_fetch(void **state)
{
    struct rig rig;
    start(&rig, "{\"keys\":[" KEY_1 "]}",
          (struct hd_jwks_source_options){.missing_interval_ms = 3600000});
    fetch_rig_run(&rig.fetch, has_published, &rig);
    assert_int_equal(stats_of(&rig).fetches, 1);

    /* The issuer rotates; the first token that says so is turned away, and the key arrives. */
    fetch_rig_write(&rig.fetch, "jwks.json", "{\"keys\":[" KEY_2 "," KEY_1 "]}");
    struct hd_jwks *issuer = hd_jwks_new();
    struct hd_buf token;
    hd_buf_init(&token, 4096);
    assert_int_equal(hd_jwks_add_json(issuer, hd_str(KEY_2_PRIVATE), false, NULL), 0);
    assert_int_equal(hd_jwt_sign(&token, hd_jwks_at(issuer, 0), HD_ALG_ES256,
                                 hd_str("{\"sub\":\"u\",\"exp\":1800000100}"), NULL),
                     0);
    struct hd_verifier *v = NULL;
    const struct hd_verifier_options opt = {.slot = rig.slot};
    assert_int_equal(hd_verifier_new(&v, &opt, NULL), 0);
    struct hd_token_cache *cache = hd_token_cache_new(NULL);
    struct hd_identity *id = NULL;
    for (int i = 0; i < 10; i++)
        assert_int_equal(hd_verifier_check(v, i % 2 == 0 ? cache : NULL, hd_buf_view(&token),
                                           hd_str(""), 1800000000000, &id, NULL),
                         HD_AUTH_UNKNOWN_KEY);
    fetch_rig_run(&rig.fetch, has_k2, &rig);
    assert_int_equal(stats_of(&rig).fetches, 2);
    assert_int_equal(
        hd_verifier_check(v, cache, hd_buf_view(&token), hd_str(""), 1800000000000, &id, NULL),
        HD_AUTH_OK);
    hd_identity_unref(id);

    /* Made-up names cause no more of them: not before the interval is over. */
    for (int i = 0; i < 100; i++) {
        hd_jwks_slot_missing(rig.slot);
        uv_run(hd_loop_uv(rig.fetch.loop), UV_RUN_NOWAIT);
    }
    assert_int_equal(stats_of(&rig).fetches, 2);
    hd_token_cache_free(cache);
    hd_verifier_unref(v);
    hd_buf_done(&token);
    hd_jwks_unref(issuer);
    stop(&rig);
    (void)state;
}

static void the_next_unknown_key_waits_for_its_turn(void **state)
{
    struct rig rig;
    start(&rig, "{\"keys\":[" KEY_1 "]}",
          (struct hd_jwks_source_options){.missing_interval_ms = 30});
    fetch_rig_run(&rig.fetch, has_published, &rig);
    hd_jwks_slot_missing(rig.slot);
    fetch_rig_run(&rig.fetch, was_not_modified, &rig);
    fetch_rig_write(&rig.fetch, "jwks.json", "{\"keys\":[" KEY_2 "]}");
    hd_jwks_slot_missing(rig.slot); /* too soon: later, but not lost */
    fetch_rig_run(&rig.fetch, has_k2, &rig);
    assert_int_equal(stats_of(&rig).fetches, 3);
    stop(&rig);
    (void)state;
}

static void closes_in_the_middle_of_a_fetch(void **state)
{
    struct rig rig;
    start(&rig, "{\"keys\":[" KEY_1 "]}", (struct hd_jwks_source_options){.timeout_ms = 5000});
    fetch_rig_run(&rig.fetch, has_begun, &rig);
    hd_jwks_slot_missing(rig.slot); /* a post that is still under way */
    stop(&rig);
    (void)state;
}

static void refuses_other_urls(void **state)
{
    struct fetch_rig rig;
    fetch_rig_start(&rig, false);
    struct hd_jwks_slot *slot = hd_jwks_slot_new();
    static const char *const bad[] = {"", "file:///etc/passwd", "ftp://a/", "example.com/jwks"};
    for (size_t i = 0; i < HD_COUNT(bad); i++) {
        struct hd_jwks_source *s = NULL;
        const struct hd_jwks_source_options opt = {.url = bad[i]};
        assert_int_equal(hd_jwks_source_new(&s, rig.loop, rig.fetcher, slot, &opt, NULL, NULL),
                         HD_EINVAL);
    }
    hd_jwks_slot_unref(slot);
    fetch_rig_stop(&rig);
    (void)state;
}

static void reads_how_long_an_answer_is_fresh(void **state)
{
    static const struct {
        const char *cache_control, *age;
        int64_t fresh_s;
    } cases[] = {
        {"", "", -1},
        {"public", "", -1},
        {"max-age=600", "", 600},
        {"public, MAX-AGE=600 ,must-revalidate", "", 600},
        {"max-age=600", "100", 500},
        {"max-age=600", "700", 0},
        {"max-age=600", "x", 600},
        {"max-age=99999999999", "", INT32_MAX},
        {"max-age=-1", "", -1},
        {"max-age=", "", -1},
        {"s-maxage=7", "", -1},
        {"max-age=600, no-cache", "", 0},
        {"no-cache=\"x\", max-age=600", "", 0},
        {"no-store", "", 0},
    };
    for (size_t i = 0; i < HD_COUNT(cases); i++) {
        int64_t s = hd_jwks_fresh_s(hd_str(cases[i].cache_control), hd_str(cases[i].age));
        if (s != cases[i].fresh_s)
            fail_msg("%s: %lld", cases[i].cache_control, (long long)s);
    }
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fetches_at_once_and_follows_rotation),
        cmocka_unit_test(keeps_the_keys_while_the_url_fails),
        cmocka_unit_test(drops_keys_that_nobody_confirmed_for_too_long),
        cmocka_unit_test(an_unknown_key_causes_one_fetch),
        cmocka_unit_test(the_next_unknown_key_waits_for_its_turn),
        cmocka_unit_test(closes_in_the_middle_of_a_fetch),
        cmocka_unit_test(refuses_other_urls),
        cmocka_unit_test(reads_how_long_an_answer_is_fresh),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
