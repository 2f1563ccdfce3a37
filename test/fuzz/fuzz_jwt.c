/* fuzz_jwt.c - tokens: nothing unsigned is ever taken, whatever is said about keys. The input is a
 * token; and, since no fuzzer finds a signature, also a payload that we sign. */
#include "auth/identity.h"
#include "core/base64.h"
#include "fuzz.h"

static const char secret[] = "a-secret-that-no-input-is-signed-with";
static const char ed25519[] =
    "{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\"}";
static const int64_t now_s = 1800000000;

static const char *const names[] = {"https://issuer.example", "api", NULL};
static const struct hd_jwt_rules rules[] = {
    {.algs = (1u << HD_ALG_COUNT) - 1, .allow_padding = true},
    {.algs = (1u << HD_ALG_COUNT) - 1,
     .issuers = names,
     .audiences = names,
     .require_claims = names,
     .leeway_s = UINT32_MAX,
     .max_age_s = UINT32_MAX},
};

static void check_payload(const struct hd_jwk *key, struct hd_jwks *set, struct hd_str payload)
{
    struct hd_buf token;
    hd_buf_init(&token, HD_JWT_BYTES_MAX);
    int rc = hd_jwt_sign(&token, key, HD_ALG_HS256, payload, NULL);
    fuzz_check(rc == 0 || rc == HD_EBUSY);
    for (size_t i = 0; rc == 0 && i < HD_COUNT(rules); i++) {
        struct hd_jwt jwt;
        struct hd_error err = {.msg = ""};
        int good = hd_jwt_verify(&jwt, hd_buf_view(&token), &set, 1, &rules[i], now_s, &err);
        fuzz_check(good == 0 || good == HD_EPROTO || good == HD_EDENIED || good == HD_ETIMEOUT);
        if (good < 0) {
            fuzz_check(err.msg[0] != '\0');
            continue;
        }
        fuzz_check(jwt.valid_until_s > now_s);
        fuzz_check(hd_str_eq(jwt.payload, payload));
        struct hd_identity *id = hd_identity_from_jwt(&jwt);
        static const char *const require[] = {"authenticated", "a.b=c", "level=3"};
        hd_identity_meets(id, require, HD_COUNT(require));
        fuzz_check(id->field.len == hd_base64_chars(HD_BASE64URL, payload.len));
        hd_identity_unref(id);
    }
    hd_buf_done(&token);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct hd_str in = {(const char *)data, size};
    struct hd_jwks *set = hd_jwks_new();
    fuzz_check(hd_jwks_add_secret(set, hd_str(secret), hd_str(""), NULL) == 0);
    fuzz_check(hd_jwks_add_json(set, hd_str(ed25519), false, NULL) == 0);
    for (size_t i = 0; i < HD_COUNT(rules); i++) {
        struct hd_jwt jwt;
        struct hd_error err = {.msg = ""};
        fuzz_check(hd_jwt_verify(&jwt, in, &set, 1, &rules[i], now_s, &err) < 0);
        fuzz_check(err.msg[0] != '\0');
    }
    check_payload(hd_jwks_at(set, 0), set, in);

    uint8_t *bytes = hd_alloc(hd_base64_bytes(size) + 1);
    char *text = hd_alloc(hd_base64_chars(HD_BASE64, size) + 4);
    for (int kind = HD_BASE64; kind <= HD_BASE64URL; kind++) {
        size_t used;
        if (hd_base64_decode(bytes, &used, (enum hd_base64)kind, in) < 0)
            continue;
        size_t n = hd_base64_encode(text, (enum hd_base64)kind, bytes, used);
        fuzz_check(hd_str_eq(hd_str_n(text, n), in)); /* one spelling for each value */
    }
    free(bytes);
    free(text);
    hd_jwks_unref(set);
    return 0;
}
