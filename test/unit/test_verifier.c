/* test/unit/test_verifier.c - everything that can be configured, together. */
#include "auth/verifier.h"
#include "test.h"

#include <stdio.h>
#include <unistd.h>

#define SECRET "the-new-secret-of-at-least-32-bytes-x"
#define OLD_SECRET "the-old-secret-of-at-least-32-bytes-x"
static const int64_t NOW_MS = 1800000000500;

/* A token signed with a secret; the caller frees. */
static char *token_of(const char *secret, const char *kid, const char *payload)
{
    struct hd_jwks *set = hd_jwks_new();
    struct hd_buf b;
    hd_buf_init(&b, 4096);
    assert_int_equal(hd_jwks_add_secret(set, hd_str(secret), hd_str(kid), NULL), 0);
    assert_int_equal(hd_jwt_sign(&b, hd_jwks_at(set, 0), HD_ALG_HS256, hd_str(payload), NULL), 0);
    hd_jwks_unref(set);
    return hd_buf_take(&b);
}

#define USER "{\"sub\":\"u1\",\"role\":\"authenticated\",\"exp\":1800000100}"

static enum hd_auth check(struct hd_verifier *v, struct hd_token_cache *c, const char *bearer,
                          const char *apikey, const char *want_role)
{
    struct hd_identity *id = NULL;
    struct hd_error err = {.msg = ""};
    enum hd_auth result =
        hd_verifier_check(v, c, hd_str(bearer), hd_str(apikey), NOW_MS, &id, &err);
    if (result == HD_AUTH_OK)
        assert_true(hd_str_is(id->role, want_role));
    else if (result != HD_AUTH_NONE)
        assert_true(err.msg[0] != '\0');
    hd_identity_unref(id);
    return result;
}

static const char *const secrets[] = {SECRET, OLD_SECRET, NULL};
static const struct hd_api_key keys[] = {
    {"sb_publishable_abc", NULL},
    {"sb_secret_abcdefgh", NULL},
    {"legacy-service-role-key", "service_role"},
    {"partner-key", "partner"},
};
static const struct hd_verifier_options plain = {
    .secrets = secrets, .keys = keys, .n_keys = HD_COUNT(keys)};

static void takes_tokens_and_keys_from_both_places(void **state)
{
    struct hd_verifier *v = NULL;
    assert_int_equal(hd_verifier_new(&v, &plain, NULL), 0);
    assert_true(hd_verifier_can_verify(v));
    hd_auto_free char *user = token_of(SECRET, "", USER);
    hd_auto_free char *old = token_of(OLD_SECRET, "", USER);
    hd_auto_free char *late = token_of(SECRET, "", "{\"exp\":1800000000}");
    hd_auto_free char *other = token_of("another-secret-of-at-least-32-bytes", "", USER);
    const struct {
        const char *bearer, *apikey;
        enum hd_auth result;
        const char *role;
    } cases[] = {
        {"", "", HD_AUTH_NONE, ""},
        {user, "", HD_AUTH_OK, "authenticated"},
        {old, "", HD_AUTH_OK, "authenticated"}, /* rotation: both are good */
        {late, "", HD_AUTH_EXPIRED, ""},
        {other, "", HD_AUTH_INVALID, ""},
        {"sb_publishable_abc", "", HD_AUTH_OK, "anon"},
        {"sb_secret_abcdefgh", "", HD_AUTH_OK, "service_role"},
        {"legacy-service-role-key", "", HD_AUTH_OK, "service_role"},
        {"partner-key", "", HD_AUTH_OK, "partner"},
        {"", "sb_publishable_abc", HD_AUTH_OK, "anon"},
        {"", "sb_secret_abcdefgh", HD_AUTH_OK, "service_role"},
        {"", user, HD_AUTH_OK, "authenticated"},
        {user, "sb_publishable_abc", HD_AUTH_OK, "authenticated"},
        {other, "sb_publishable_abc", HD_AUTH_INVALID, ""}, /* a bad token is no anon */
        {"sb_publishable_ab", "", HD_AUTH_INVALID, ""},
        {"sb_publishable_abcd", "", HD_AUTH_INVALID, ""},
        {"sb_secret_abcdefgH", "", HD_AUTH_INVALID, ""},
        {"", "nonsense", HD_AUTH_INVALID, ""},
        {SECRET, "", HD_AUTH_INVALID, ""}, /* knowing the secret is not being a key */
    };
    struct hd_token_cache *cache = hd_token_cache_new(NULL);
    for (int round = 0; round < 3; round++) { /* without cache, cold, warm */
        for (size_t i = 0; i < HD_COUNT(cases); i++) {
            enum hd_auth result = check(v, round == 0 ? NULL : cache, cases[i].bearer,
                                        cases[i].apikey, cases[i].role);
            if (result != cases[i].result)
                fail_msg("round %d, case %zu: %s", round, i, hd_auth_name(result));
        }
    }
    hd_token_cache_free(cache);
    hd_verifier_unref(v);
    (void)state;
}

static void a_new_verifier_makes_the_cache_forget(void **state)
{
    struct hd_verifier *both = NULL, *only_new = NULL;
    static const char *const just_new[] = {SECRET, NULL};
    const struct hd_verifier_options opt = {.secrets = just_new};
    assert_int_equal(hd_verifier_new(&both, &plain, NULL), 0);
    assert_int_equal(hd_verifier_new(&only_new, &opt, NULL), 0);
    hd_auto_free char *old = token_of(OLD_SECRET, "", USER);
    struct hd_token_cache *c = hd_token_cache_new(NULL);
    assert_int_equal(check(both, c, old, "", "authenticated"), HD_AUTH_OK);
    assert_int_equal(check(only_new, c, old, "", ""), HD_AUTH_INVALID);
    assert_int_equal(check(both, c, old, "", "authenticated"), HD_AUTH_OK);
    hd_token_cache_free(c);
    hd_verifier_unref(both);
    hd_verifier_unref(only_new);
    (void)state;
}

static void the_first_check_is_remembered(void **state)
{
    struct hd_verifier *v = NULL;
    assert_int_equal(hd_verifier_new(&v, &plain, NULL), 0);
    hd_auto_free char *user = token_of(SECRET, "", USER);
    struct hd_token_cache *c = hd_token_cache_new(NULL);
    struct hd_identity *first = NULL, *second = NULL, *third = NULL;
    hd_verifier_check(v, c, hd_str(user), hd_str(""), NOW_MS, &first, NULL);
    hd_verifier_check(v, c, hd_str(user), hd_str(""), NOW_MS, &second, NULL);
    assert_non_null(first);
    assert_ptr_equal(first, second);
    /* And dropped at its exp, to the second. */
    assert_int_equal(hd_verifier_check(v, c, hd_str(user), hd_str(""), 1800000099999, &third, NULL),
                     HD_AUTH_OK);
    assert_ptr_equal(first, third);
    assert_int_equal(hd_verifier_check(v, c, hd_str(user), hd_str(""), 1800000100000, &third, NULL),
                     HD_AUTH_EXPIRED);
    struct hd_token_cache_stats s;
    hd_token_cache_stats(&s, c);
    assert_int_equal(s.hits, 2);
    assert_int_equal(s.misses, 2);
    hd_token_cache_free(c);
    for (int i = 0; i < 3; i++)
        hd_identity_unref(first);
    hd_verifier_unref(v);
    (void)state;
}

static void count(void *arg)
{
    ++*(int *)arg;
}

static void keys_that_appear_in_the_slot_count_at_once(void **state)
{
    struct hd_verifier *v = NULL;
    struct hd_verifier_options opt = {.slot = hd_jwks_slot_new(),
                                      .rules = {.algs = HD_ALG_BIT(HD_ALG_HS256)}};
    assert_int_equal(hd_verifier_new(&v, &opt, NULL), 0);
    hd_auto_free char *user = token_of(SECRET, "k2", USER);
    struct hd_token_cache *c = hd_token_cache_new(NULL);
    int asked = 0;
    assert_int_equal(check(v, c, user, "", ""), HD_AUTH_INVALID); /* no source */
    hd_jwks_slot_set(opt.slot, hd_jwks_new());
    hd_jwks_slot_on_missing(opt.slot, count, &asked);
    assert_int_equal(check(v, c, user, "", ""), HD_AUTH_UNKNOWN_KEY);
    assert_int_equal(check(v, c, user, "", ""), HD_AUTH_UNKNOWN_KEY);
    assert_int_equal(asked, 1); /* the second came from the cache */

    struct hd_jwks *set = hd_jwks_new();
    assert_int_equal(hd_jwks_add_secret(set, hd_str(SECRET), hd_str("k2"), NULL), 0);
    hd_jwks_slot_set(opt.slot, set);
    assert_int_equal(check(v, c, user, "", "authenticated"), HD_AUTH_OK);
    hd_jwks_slot_set(opt.slot, hd_jwks_new()); /* taken back: revoked */
    assert_int_equal(check(v, c, user, "", ""), HD_AUTH_UNKNOWN_KEY);
    hd_token_cache_free(c);
    hd_verifier_unref(v);
    hd_jwks_slot_unref(opt.slot);
    (void)state;
}

static void write_file(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static void reads_key_files_and_names_the_bad_one(void **state)
{
    char dir[] = "/tmp/hd-verifier-XXXXXX";
    assert_non_null(mkdtemp(dir));
    hd_auto_free char *jwks = hd_printf("%s/jwks.json", dir), *pem = hd_printf("%s/k.pem", dir);
    const char *const jwks_files[] = {jwks, NULL}, *const pem_files[] = {pem, NULL},
                      *const dirs[] = {dir, NULL};
    struct hd_verifier *v = NULL;
    struct hd_error err;

    struct hd_verifier_options opt = {.jwks_files = jwks_files};
    assert_int_equal(hd_verifier_new(&v, &opt, &err), HD_ENOTFOUND);
    assert_non_null(strstr(err.msg, "jwks.json"));
    write_file(jwks, "{\"keys\":[{\"kty\":\"OKP\",\"crv\":\"Ed25519\","
                     "\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\"}]}");
    assert_int_equal(hd_verifier_new(&v, &opt, &err), 0);
    hd_verifier_unref(v);
    write_file(jwks, "{\"keys\":");
    assert_int_equal(hd_verifier_new(&v, &opt, &err), HD_EINVAL);
    assert_non_null(strstr(err.msg, "jwks.json: JWKS: line 1"));

    opt = (struct hd_verifier_options){.pem_files = pem_files};
    write_file(pem, "hello\n");
    assert_int_equal(hd_verifier_new(&v, &opt, &err), HD_EINVAL);
    assert_non_null(strstr(err.msg, "k.pem: no key in PEM form"));
    /* RFC 8410 section 10.1 */
    write_file(pem, "-----BEGIN PUBLIC KEY-----\n"
                    "MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n"
                    "-----END PUBLIC KEY-----\n");
    assert_int_equal(hd_verifier_new(&v, &opt, &err), 0);
    hd_verifier_unref(v);

    opt = (struct hd_verifier_options){.jwks_files = dirs};
    assert_int_equal(hd_verifier_new(&v, &opt, &err), HD_EINVAL);
    assert_non_null(strstr(err.msg, "not a file"));
    unlink(jwks);
    unlink(pem);
    rmdir(dir);
    (void)state;
}

static void says_what_is_wrong_with_its_options(void **state)
{
    static const char *const short_secret[] = {SECRET, "short", NULL};
    static const char *const bad_jwks[] = {"{}", NULL};
    static const struct hd_api_key no_role[] = {{"some-other-key", NULL}},
                                   too_short[] = {{"abc", "anon"}};
    static const struct {
        struct hd_verifier_options opt;
        const char *why;
    } cases[] = {
        {{.secrets = short_secret}, "JWT secret 2"},
        {{.jwks = bad_jwks}, "kty: missing"},
        {{.keys = no_role, .n_keys = 1}, "API key 1: begins neither"},
        {{.keys = too_short, .n_keys = 1}, "API key 1 (anon): shorter than"},
    };
    for (size_t i = 0; i < HD_COUNT(cases); i++) {
        struct hd_verifier *v = NULL;
        struct hd_error err = {.msg = ""};
        assert_int_equal(hd_verifier_new(&v, &cases[i].opt, &err), HD_EINVAL);
        assert_null(v);
        if (strstr(err.msg, cases[i].why) == NULL || strstr(err.msg, "some-other-key") != NULL)
            fail_msg("case %zu: %s", i, err.msg);
    }
    (void)state;
}

static void accepts_only_algorithms_that_its_keys_are_for(void **state)
{
    static const char *const ed[] = {"{\"kty\":\"OKP\",\"crv\":\"Ed25519\","
                                     "\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\"}",
                                     NULL};
    const struct hd_verifier_options opt = {.jwks = ed};
    struct hd_verifier *v = NULL;
    assert_int_equal(hd_verifier_new(&v, &opt, NULL), 0);
    hd_auto_free char *user = token_of(SECRET, "", USER);
    struct hd_identity *id = NULL;
    struct hd_error err;
    assert_int_equal(hd_verifier_check(v, NULL, hd_str(user), hd_str(""), NOW_MS, &id, &err),
                     HD_AUTH_INVALID);
    assert_non_null(strstr(err.msg, "HS256 is not on the list"));
    hd_verifier_unref(v);

    const struct hd_verifier_options none = {.secrets = NULL};
    assert_int_equal(hd_verifier_new(&v, &none, NULL), 0);
    assert_false(hd_verifier_can_verify(v));
    assert_int_equal(check(v, NULL, user, "", ""), HD_AUTH_INVALID);
    hd_verifier_unref(v);
    (void)state;
}

static void finds_the_bearer_token(void **state)
{
    static const struct {
        const char *value, *token;
    } cases[] = {
        {"Bearer abc", "abc"},  {"bearer abc", "abc"}, {"BEARER   abc ", "abc"},
        {"Bearer\tabc", "abc"}, {"Bearer ", ""},       {"Bearer", ""},
        {"Bearerabc", ""},      {"Basic abc", ""},     {"", ""},
        {" Bearer abc", "abc"}, {"Bear abc", ""},
    };
    for (size_t i = 0; i < HD_COUNT(cases); i++)
        assert_true(hd_str_is(hd_bearer_token(hd_str(cases[i].value)), cases[i].token));
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_tokens_and_keys_from_both_places),
        cmocka_unit_test(a_new_verifier_makes_the_cache_forget),
        cmocka_unit_test(the_first_check_is_remembered),
        cmocka_unit_test(keys_that_appear_in_the_slot_count_at_once),
        cmocka_unit_test(reads_key_files_and_names_the_bad_one),
        cmocka_unit_test(says_what_is_wrong_with_its_options),
        cmocka_unit_test(accepts_only_algorithms_that_its_keys_are_for),
        cmocka_unit_test(finds_the_bearer_token),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
