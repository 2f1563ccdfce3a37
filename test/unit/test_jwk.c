/* test/unit/test_jwk.c - which keys are taken, and what is said about the others. */
#include "auth/jwk.h"
#include "core/buf.h"
#include "test.h"

#define EC                                                                                    \
    "\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\"," \
    "\"y\":\"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0\""
#define OKP \
    "\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\""
#define OCT                                                                                    \
    "\"kty\":\"oct\",\"k\":\"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0i" \
    "PS4hcgUuTwjAzZr1Z9CAow\""
#define RSA                                                                                      \
    "\"kty\":\"RSA\",\"e\":\"AQAB\",\"n\":\"ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W" \
    "26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2"   \
    "jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665x"   \
    "smtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs9"   \
    "1kzk2PAcDTW9gb54h4FRWyuXpoQ\""

static void reads_a_set_of_all_kinds(void **state)
{
    struct hd_jwks *set = hd_jwks_new();
    assert_int_equal(hd_jwks_add_json(set,
                                      hd_str("{\"keys\":[{" EC ",\"kid\":\"a\",\"use\":\"sig\"},"
                                             "{" OKP ",\"key_ops\":[\"verify\"]},{" OCT "},"
                                             "{" RSA ",\"alg\":\"PS256\"}]}"),
                                      false, NULL),
                     0);
    assert_int_equal(hd_jwks_count(set), 4);
    const struct hd_jwk *ec = hd_jwks_at(set, 0), *rsa = hd_jwks_at(set, 3);
    assert_int_equal(ec->type, HD_KEY_P256);
    assert_string_equal(ec->kid, "a");
    assert_int_equal(ec->algs, HD_ALG_BIT(HD_ALG_ES256));
    assert_false(ec->can_sign);
    assert_int_equal(hd_jwks_at(set, 1)->type, HD_KEY_ED25519);
    assert_null(hd_jwks_at(set, 1)->kid);
    assert_int_equal(hd_jwks_at(set, 2)->secret_bytes, 64);
    assert_int_equal(rsa->algs, HD_ALG_BIT(HD_ALG_PS256));
    const char *why;
    assert_int_equal(hd_jwks_skipped(set, &why), 0);
    hd_jwks_unref(set);
    (void)state;
}

static void leaves_out_what_does_not_fit(void **state)
{
    static const struct {
        const char *key, *why;
    } cases[] = {
        {"{" EC ",\"use\":\"enc\"}", "use"},
        {"{" EC ",\"key_ops\":[\"deriveKey\"]}", "key_ops"},
        {"{" EC ",\"key_ops\":\"verify\"}", "key_ops"},
        {"{" EC ",\"alg\":\"ES384\"}", "alg: ES384 does not go with a P-256 key"},
        {"{" EC ",\"alg\":\"none\"}", "alg"},
        {"{" EC ",\"alg\":7}", "alg"},
        {"{" EC ",\"kid\":7}", "kid"},
        {"{" OKP ",\"d\":\"AAAA\"}", "numbers"},
        {"{\"kty\":\"EC\",\"crv\":\"secp256k1\",\"x\":\"AA\",\"y\":\"AA\"}", "crv"},
        {"{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"AA\"}", "y: missing"},
        {"{\"kty\":\"OKP\",\"crv\":\"X25519\",\"x\":\"AA\"}", "crv"},
        {"{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"A=\"}", "x: not base64url at character 2"},
        {"{\"kty\":\"oct\",\"k\":\"AAAA\"}", "k: must have 32"},
        {"{\"kty\":\"RSA\",\"n\":\"AQAB\",\"e\":\"AQAB\"}", "RSA"},
        {"{\"kty\":\"RSA\",\"n\":\"AQAB\"}", "e: missing"},
        {"{\"kty\":\"AKP\"}", "kty"},
        {"{\"kty\":1}", "kty"},
        {"{}", "kty: missing"},
        {"7", "not an object"},
    };
    for (size_t i = 0; i < HD_COUNT(cases); i++) {
        struct hd_jwks *set = hd_jwks_new();
        hd_auto_free char *json = hd_printf("{\"keys\":[%s,{" EC "}]}", cases[i].key);
        const char *why;
        assert_int_equal(hd_jwks_add_json(set, hd_str(json), false, NULL), 0);
        assert_int_equal(hd_jwks_count(set), 1);
        assert_int_equal(hd_jwks_skipped(set, &why), 1);
        if (strstr(why, cases[i].why) == NULL || strstr(why, "keys[0]: ") != why)
            fail_msg("%s: %s", cases[i].key, why);
        hd_jwks_unref(set);

        struct hd_error err = {.msg = ""};
        set = hd_jwks_new();
        assert_int_equal(hd_jwks_add_json(set, hd_str(cases[i].key), false, &err), HD_EINVAL);
        assert_int_equal(hd_jwks_count(set), 0);
        hd_jwks_unref(set);
    }
    (void)state;
}

static void refuses_text_that_is_no_key_set(void **state)
{
    static const struct {
        const char *json, *why;
    } cases[] = {
        {"", "line 1"},
        {"{\"keys\":[}", "line 1, column"},
        {"{\"keys\":{}}", "keys: not an array"},
        {"{\"keys\":[]}", "no key in it fits"},
        {"[]", "not an object"},
        {"{\"keys\":[{" EC "}],\"keys\":[]}", "duplicate"},
    };
    for (size_t i = 0; i < HD_COUNT(cases); i++) {
        struct hd_jwks *set = hd_jwks_new();
        struct hd_error err = {.msg = ""};
        assert_int_equal(hd_jwks_add_json(set, hd_str(cases[i].json), false, &err), HD_EINVAL);
        if (strstr(err.msg, cases[i].why) == NULL)
            fail_msg("%s: %s", cases[i].json, err.msg);
        hd_jwks_unref(set);
    }
    (void)state;
}

static void takes_no_secret_from_a_published_set(void **state)
{
    struct hd_jwks *set = hd_jwks_new();
    struct hd_error err;
    assert_int_equal(hd_jwks_add_json(set, hd_str("{\"keys\":[{" OCT "}]}"), true, &err),
                     HD_EINVAL);
    assert_non_null(strstr(err.msg, "published"));
    assert_int_equal(hd_jwks_add_json(set, hd_str("{\"keys\":[{" OCT "},{" EC "}]}"), true, &err),
                     0);
    assert_int_equal(hd_jwks_count(set), 1);
    assert_int_equal(hd_jwks_at(set, 0)->type, HD_KEY_P256);
    hd_jwks_unref(set);
    (void)state;
}

static void holds_a_bounded_number_of_keys(void **state)
{
    struct hd_jwks *set = hd_jwks_new();
    struct hd_str secret = hd_str("0123456789abcdef0123456789abcdef");
    for (int i = 0; i < HD_JWKS_KEYS_MAX; i++)
        assert_int_equal(hd_jwks_add_secret(set, secret, hd_str(""), NULL), 0);
    assert_int_equal(hd_jwks_add_secret(set, secret, hd_str(""), NULL), HD_EBUSY);
    assert_int_equal(hd_jwks_add_json(set, hd_str("{\"keys\":[{" EC "}]}"), false, NULL), HD_EBUSY);
    hd_jwks_unref(set);
    (void)state;
}

static void refuses_short_secrets(void **state)
{
    struct hd_jwks *set = hd_jwks_new();
    struct hd_error err;
    assert_int_equal(
        hd_jwks_add_secret(set, hd_str("0123456789abcdef0123456789abcde"), hd_str(""), &err),
        HD_EINVAL);
    assert_non_null(strstr(err.msg, "not 31"));
    assert_null(strstr(err.msg, "0123456789"));
    hd_jwks_unref(set);
    (void)state;
}

static void knows_algorithms_by_their_exact_names(void **state)
{
    enum hd_alg alg;
    for (int i = 0; i < HD_ALG_COUNT; i++) {
        assert_int_equal(hd_alg_parse(&alg, hd_str(hd_alg_name((enum hd_alg)i))), 0);
        assert_int_equal(alg, i);
    }
    static const char *const others[] = {"none",  "None", "NONE",   "hs256", "HS256 ",
                                         "EDDSA", "",     "ES256K", "ES512"};
    for (size_t i = 0; i < HD_COUNT(others); i++)
        assert_int_equal(hd_alg_parse(&alg, hd_str(others[i])), HD_ENOTFOUND);
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_a_set_of_all_kinds),
        cmocka_unit_test(leaves_out_what_does_not_fit),
        cmocka_unit_test(refuses_text_that_is_no_key_set),
        cmocka_unit_test(takes_no_secret_from_a_published_set),
        cmocka_unit_test(holds_a_bounded_number_of_keys),
        cmocka_unit_test(refuses_short_secrets),
        cmocka_unit_test(knows_algorithms_by_their_exact_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
