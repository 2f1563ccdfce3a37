/* test/unit/test_jwt.c - published tokens, and a matrix of good and bad ones. */
#include "auth/jwt.h"
#include "core/base64.h"
#include "test.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

static const int64_t NOW = 1800000000;
static const char secret[] = "a-secret-for-tests-of-at-least-32-bytes";

/* One key of each type, both halves; made once. */
static struct {
    struct hd_jwks *all, *rsa_only;
    char *rsa_public_pem;
} keys;

static int make_keys(void **state)
{
    keys.all = hd_jwks_new();
    keys.rsa_only = hd_jwks_new();
    assert_int_equal(hd_jwks_add_secret(keys.all, hd_str(secret), hd_str(""), NULL), 0);
    EVP_PKEY *pairs[] = {EVP_RSA_gen(2048), EVP_EC_gen("P-256"), EVP_EC_gen("P-384"),
                         EVP_PKEY_Q_keygen(NULL, NULL, "ED25519")};
    static const char *const kids[] = {"rsa", "p256", "p384", "ed"};
    for (size_t i = 0; i < HD_COUNT(pairs); i++) {
        BIO *bio = BIO_new(BIO_s_mem());
        PEM_write_bio_PrivateKey(bio, pairs[i], NULL, NULL, 0, NULL, NULL);
        char *text;
        long n = BIO_get_mem_data(bio, &text);
        struct hd_str pem = hd_str_n(text, (size_t)n);
        assert_int_equal(hd_jwks_add_pem(keys.all, pem, hd_str(kids[i]), NULL), 0);
        BIO_free(bio);
    }
    BIO *bio = BIO_new(BIO_s_mem());
    PEM_write_bio_PUBKEY(bio, pairs[0]);
    char *text;
    long n = BIO_get_mem_data(bio, &text);
    keys.rsa_public_pem = hd_strdup_n(hd_str_n(text, (size_t)n));
    assert_int_equal(hd_jwks_add_pem(keys.rsa_only, hd_str(keys.rsa_public_pem), hd_str(""), NULL),
                     0);
    BIO_free(bio);
    for (size_t i = 0; i < HD_COUNT(pairs); i++)
        EVP_PKEY_free(pairs[i]);
    (void)state;
    return 0;
}

static int drop_keys(void **state)
{
    hd_jwks_unref(keys.all);
    hd_jwks_unref(keys.rsa_only);
    free(keys.rsa_public_pem);
    (void)state;
    return 0;
}

static const struct hd_jwt_rules any_alg = {.algs = (1u << HD_ALG_COUNT) - 1};

static int verify(struct hd_str token, struct hd_jwks *set, const struct hd_jwt_rules *rules,
                  int64_t now_s, struct hd_error *err)
{
    struct hd_jwt jwt;
    int rc = hd_jwt_verify(&jwt, token, &set, 1, rules, now_s, err);
    if (rc == 0)
        hd_jwt_done(&jwt);
    return rc;
}

/* A token with any header and payload text, HS256 with `key`; the caller frees. */
static char *token_of(const char *header, const char *payload, const struct hd_jwk *key)
{
    struct hd_buf b;
    hd_buf_init(&b, 1 << 20);
    char *at = hd_buf_reserve(&b, hd_base64_chars(HD_BASE64URL, strlen(header)));
    hd_buf_commit(&b, hd_base64_encode(at, HD_BASE64URL, header, strlen(header)));
    hd_buf_char(&b, '.');
    at = hd_buf_reserve(&b, hd_base64_chars(HD_BASE64URL, strlen(payload)) + 1);
    hd_buf_commit(&b, hd_base64_encode(at, HD_BASE64URL, payload, strlen(payload)));
    unsigned char mac[EVP_MAX_MD_SIZE];
    size_t n = 0;
    assert_non_null(EVP_Q_mac(NULL, "HMAC", NULL, "SHA256", NULL, key->secret, key->secret_bytes,
                              (unsigned char *)b.ptr, b.len, mac, sizeof(mac), &n));
    hd_buf_char(&b, '.');
    at = hd_buf_reserve(&b, hd_base64_chars(HD_BASE64URL, n));
    hd_buf_commit(&b, hd_base64_encode(at, HD_BASE64URL, mac, n));
    assert_false(hd_buf_failed(&b));
    return hd_buf_take(&b);
}

static char *hs256(const char *header, const char *payload)
{
    return token_of(header, payload, hd_jwks_at(keys.all, 0));
}

#define PLAIN "{\"alg\":\"HS256\",\"typ\":\"JWT\"}"
#define EXP "\"exp\":1800000100"

static void takes_the_tokens_of_rfc_7515(void **state)
{
    static const struct {
        const char *key, *token;
    } cases[] = {
        /* appendix A.1: HS256 */
        {"{\"kty\":\"oct\",\"k\":\"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-"
         "1qS0gZH75aKtMN3Yj0iPS4"
         "hcgUuTwjAzZr1Z9CAow\"}",
         "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQog"
         "Imh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjX"
         "k"},
        /* appendix A.2: RS256 */
        {"{\"kty\":\"RSA\",\"e\":\"AQAB\",\"n\":\"ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_"
         "wWJcyQoTbji9k0l8W26"
         "mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_"
         "YpRPEwOWvG6b32690r2jZ47"
         "soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-"
         "UTo7WTBEMa2R2CapHg665xsmtdVM"
         "TBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_"
         "h9iaGNj8q2ethFkMLs91kzk2PAc"
         "DTW9gb54h4FRWyuXpoQ\"}",
         "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxl"
         "LmNvbS9pc19yb290Ijp0cnVlfQ.cC4hiUPoj9Eetdgtv3hF80EGrhuB__"
         "dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh"
         "7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_"
         "nZLgrnbyTyW"
         "zO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-"
         "eOkHWEsqtFZE"
         "Sc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_"
         "IoypGl"
         "UPQGe77Rw"},
        /* appendix A.3: ES256 */
        {"{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\","
         "\"y\":"
         "\"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0\"}",
         "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxl"
         "LmNvbS9pc19yb290Ijp0cnVlfQ.DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-"
         "F4GawxaepmXFCgfTjDxw5djxLa8ISlS"
         "ApmWQxfKTUJqPP3-Kg6NU1Q"},
    };
    for (size_t i = 0; i < HD_COUNT(cases); i++) {
        struct hd_jwks *set = hd_jwks_new();
        struct hd_error err = {.msg = ""};
        assert_int_equal(hd_jwks_add_json(set, hd_str(cases[i].key), false, &err), 0);
        struct hd_jwt jwt;
        int rc = hd_jwt_verify(&jwt, hd_str(cases[i].token), &set, 1, &any_alg, 1300819379, &err);
        if (rc != 0)
            fail_msg("case %zu: %s", i, err.msg);
        assert_true(hd_str_is(hd_jwt_claim(&jwt, "iss"), "joe"));
        assert_int_equal(jwt.exp_s, 1300819380);
        assert_int_equal(jwt.valid_until_s, 1300819380);
        hd_jwt_done(&jwt);
        assert_int_equal(verify(hd_str(cases[i].token), set, &any_alg, 1300819380, &err),
                         HD_ETIMEOUT);
        hd_jwks_unref(set);
    }
    (void)state;
}

/* Keys and tokens that PyJWT 2.6 made, for the algorithms that RFC 7515 has no example of. */
static const char foreign_keys[] =
    "{\"keys\":[{\"kty\":\"RSA\",\"e\":\"AQAB\",\"n\":\"6lZdHV32lfh7gme7ACVf5EM2gkZv6VIRX"
    "GCvFcD47OdG9BugyA1r5bsyI-DXuADQk0_z8C2IJLEpO6vVSC-U9StSJ4sGEptfGpzH8bl6vitiuhjhKSgqU"
    "23MNB8FJiWOVIkRoItTP1Q4bw9S_59ZoHeeNSrMtddXOSsXbAViCS8GQs_6aAIP4EUOT0fDY77zDXjlfcLxd"
    "-OWM1BDip2zjnmXZc8EHymsF701lISlGWF4-VeRRH9AINSzaD31KL-_YAqpQLH4Tlwk5Z_wEkyQqutrIUuKv"
    "SOaxGh5l5ioZzi1HHZ6myybU6au7jhngfdAFt5dSFb1d3JY2DZjGV5r9w\"},{\"kty\":\"EC\",\"crv\""
    ":\"P-384\",\"x\":\"f2M6CQxBzjaTDQkpAV0dy0Yi0o2pupjbr2KsQhRgYSthLoMDQNsYLcr_8CNLso5c"
    "\",\"y\":\"Fqq5pme6e13FPVfhC4MPQag34X4jxp0GBZt02xRj73DcGnhk8IDhHuzRpL98kCV8\"},{\"kt"
    "y\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"Lcn_-vFu2lzmHEBEGWgn467GrNz_2iWvN_qE5_zpC18"
    "\"},{\"kty\":\"oct\",\"k\":\"YW5vdGhlci1pbXBsZW1lbnRhdGlvbi1tYWRlLXRoaXMtdG9rZW4td2l"
    "0aC1hLXNlY3JldC1vZi02NC1ieXRlcw\"}]}";
static const char *const foreign_tokens[] = {
    "eyJhbGciOiJIUzM4NCIsInR5cCI6IkpXVCJ9.eyJhbGciOiJIUzM4NCIsImV4cCI6MTgwMDAwMDEwMH0.i0X"
    "scTl9kKFIdLpmVE_8TNWR-ED78X3-yW8lv88JbZqr0qhN9ZGzMe0qONPc88y1",
    "eyJhbGciOiJIUzUxMiIsInR5cCI6IkpXVCJ9.eyJhbGciOiJIUzUxMiIsImV4cCI6MTgwMDAwMDEwMH0.6ki"
    "0iSszIWPFBR82qlAFjrgCzllLsFqQJRdrypgNKC9NTKVXWprwjv-ugTK7KYVfHZM5qZQdiFHTW6OHG4_YDQ",
    "eyJhbGciOiJSUzM4NCIsInR5cCI6IkpXVCJ9.eyJhbGciOiJSUzM4NCIsImV4cCI6MTgwMDAwMDEwMH0.lv5"
    "_z_OSw4UNu0-n07oZ0a-Z1K9ua8KVYbLXbtROOIB1WjZ7O66DJw2Nesc6rmb4sfwngcsMUyewsjOGOJCauDV"
    "2CMXNK974YlTz7GCXrocSwp-5JU-EvuBtIYP7n1fE4ZaQAMApBtfviZBKk9rgM4D5_213KBvKJaNyGomt6NX"
    "LjyZ3GUsAwJV82Da30xf1p0RGXiVwXvFKKI3sdl_FRLYQiJ-1jEWc44NeEQIM29AYkvcuVk1AmVrn7npLk4O"
    "TrVLpsU-p7nLhOPosSA0Q0T6vbKZewuoewPTGZZrxk7Y1184Dgb0NS-kjnOudu8sYdScQLdRVhP4C2w23bCm"
    "PLw",
    "eyJhbGciOiJSUzUxMiIsInR5cCI6IkpXVCJ9.eyJhbGciOiJSUzUxMiIsImV4cCI6MTgwMDAwMDEwMH0.z1e"
    "rPBTrehbvYal0yGl1jy_svz6Gk-tdkAEKoVnEqhoB43y7B6Yn34W9wrUdpUDOnKGQOOqMoMwPZI1pzPYth41"
    "bMAqhBSWlHBhlaBFHx860AgsRQg9g00ZuSe9qggwuggC4VL31dPhsPFPFaVX6o6kYJkei5togt8nRcUY9viq"
    "8odckJBhgnwmDBWP39AVrC-MVk7LfMC6Dow1jt9YfM14PnzIvz97TuKC4Mk-G2-oA4KA5NJI7JKaFc91Xczy"
    "znxf0rHlePK6FzkVnJPmWOUvUqLJfIvNI6B_ko_1j7RQnwwM5yO8AjA_6NLcgnCdwaL7xOqilTbVDlvjJFKx"
    "aoQ",
    "eyJhbGciOiJQUzI1NiIsInR5cCI6IkpXVCJ9.eyJhbGciOiJQUzI1NiIsImV4cCI6MTgwMDAwMDEwMH0.30m"
    "Ka54SIs7b62xQlxF6vUSZJ8z6HccQ02Rhg-b34DT-Gg3okYiU0Lwnr9ghkfzdlliX3G3botbn2vixTW112NN"
    "NZJDnHD_8jlGT1OgOmiTT96smTBx571fWUSiqZOxieYPu0WvBlFb_oXC56tIJYbpBO2d4_rFniq9lN38GUSD"
    "9jmsjmiPxKwTSN-U6MbaUTvKyvcxD7p8LnWg3SWAyqfDWJL1fwBFrMvjCvcGF2tY11rLdd4h3gOs5Bd7X_lj"
    "SqjENC4-dkcBnI1d6IabPRqWzT96LnnihYng3s8uEja91wLdtGpUpJMGXAsxKgipR2r8Dy6DKPfNVHxvmf41"
    "pGQ",
    "eyJhbGciOiJQUzM4NCIsInR5cCI6IkpXVCJ9.eyJhbGciOiJQUzM4NCIsImV4cCI6MTgwMDAwMDEwMH0.Pm1"
    "_wuSo5WzTUqWU4XIKUMbYpA2SteR23Pi8p3Et2CCDaamiER3dGG3qNNXlmNzkugHEl6F_4eHBt2Jvz0x5Z07"
    "40bMw2xOS3S1oiEBWd2Bpp7nOrhAOIIZ8thcSOXVre2uZIAJdyAVmEAaDayv82UkPvnmvb-QwoKdkO1ToYuC"
    "OuFa-naDvldt6VQj5zjmTcDW-KhzWQxgwCoZoiyMudw4N_7VknaXipXxRrHZ8MtWen0dMw-375jNhhYSesZ9"
    "4Lw8WkbVA7gddWX6HaSLf79HJ7v_kAeYVUCpVGTDU9zCKWWSpFs4lQ49NVbzJpbz5ELKL5vYVMGTlrnySPpP"
    "mMg",
    "eyJhbGciOiJQUzUxMiIsInR5cCI6IkpXVCJ9.eyJhbGciOiJQUzUxMiIsImV4cCI6MTgwMDAwMDEwMH0.UVT"
    "1pVMwxRH2Nya9DAAVl3_YY42rlQcv5wKjBPBYinP1i2zjy-1DIF22FnT3CMfKOQxWgxDeTA9ojQjiNvkjqCn"
    "_nV2x6ndtKXfQpsgv-JQi_vYZwsQ-3vKjeiDsDaqHkupEOCrFmCM8CUrTbvCRnwT6ZYeBYhvHUlAPbFo0XSE"
    "zykMZ7Jg-x_RmCgMhOTtLaM3KOkvQNroet1TFxdEKLdHdKWNw2hzjdePmZSFtQ4v-WiZgIwhKV9uOrGzdXyz"
    "FPTwesPjTwcRbb09KS4PXd4CiW1RUwB7PmYEmwmkRmES6LeXKeNZKAKhwTGQAMLhfQk_vK3c09nF8XdcgflG"
    "ekg",
    "eyJhbGciOiJFUzM4NCIsInR5cCI6IkpXVCJ9.eyJhbGciOiJFUzM4NCIsImV4cCI6MTgwMDAwMDEwMH0.oWB"
    "u8yiqhN8cmhmxodJ6_KHV14HGbXMvuqjgj_DrmeuCg2ii7aVGEFeCkVhZYDy7daknpgIGANNYP8Ci0Nac1IJ"
    "ICF3r1NIqc2Mywfq34WHzLhRX5xGtqtxtR703RHgJ",
    "eyJhbGciOiJFZERTQSIsInR5cCI6IkpXVCJ9.eyJhbGciOiJFZERTQSIsImV4cCI6MTgwMDAwMDEwMH0.e9_"
    "gFGL2CDPWvLPWsxcdEu-QyBJnrBby5dzFjH56wGwAfmPMjB0rvE3aw6UZcV6O-5cRQofGSrWXqemTidSZAA",
};

static void takes_the_tokens_of_another_implementation(void **state)
{
    struct hd_jwks *set = hd_jwks_new();
    uint32_t seen = 0;
    assert_int_equal(hd_jwks_add_json(set, hd_str(foreign_keys), false, NULL), 0);
    for (size_t i = 0; i < HD_COUNT(foreign_tokens); i++) {
        struct hd_jwt jwt;
        struct hd_error err = {.msg = ""};
        if (hd_jwt_verify(&jwt, hd_str(foreign_tokens[i]), &set, 1, &any_alg, NOW, &err) < 0)
            fail_msg("token %zu: %s", i, err.msg);
        assert_true(hd_str_is(hd_jwt_claim(&jwt, "alg"), hd_alg_name(jwt.alg)));
        seen |= HD_ALG_BIT(jwt.alg);
        hd_jwt_done(&jwt);
    }
    /* Together with those of RFC 7515: all of them. */
    seen |= HD_ALG_BIT(HD_ALG_HS256) | HD_ALG_BIT(HD_ALG_RS256) | HD_ALG_BIT(HD_ALG_ES256);
    assert_int_equal(seen, any_alg.algs);
    hd_jwks_unref(set);
    (void)state;
}

static void refuses_the_unsecured_token_of_rfc_7515(void **state)
{
    /* appendix A.5 */
    struct hd_str token = hd_str("eyJhbGciOiJub25lIn0.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAs"
                                 "DQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.");
    assert_int_equal(verify(token, keys.all, &any_alg, 1300819000, NULL), HD_EDENIED);
    (void)state;
}

static const struct hd_jwk *key_for(enum hd_alg alg)
{
    for (size_t i = 0;; i++) {
        if (hd_jwks_at(keys.all, i)->type == hd_alg_key_type(alg))
            return hd_jwks_at(keys.all, i);
    }
}

static void takes_what_it_signs_with_each_algorithm(void **state)
{
    for (int a = 0; a < HD_ALG_COUNT; a++) {
        enum hd_alg alg = (enum hd_alg)a;
        struct hd_buf token;
        hd_buf_init(&token, 4096);
        struct hd_error err = {.msg = ""};
        if (hd_jwt_sign(&token, key_for(alg), alg, hd_str("{\"sub\":\"u1\"," EXP "}"), &err) < 0)
            fail_msg("%s: %s", hd_alg_name(alg), err.msg);
        if (verify(hd_buf_view(&token), keys.all, &any_alg, NOW, &err) < 0)
            fail_msg("%s: %s", hd_alg_name(alg), err.msg);
        struct hd_jwt_rules without = {.algs = any_alg.algs & ~HD_ALG_BIT(alg)};
        assert_int_equal(verify(hd_buf_view(&token), keys.all, &without, NOW, &err), HD_EDENIED);

        /* Every change of a character changes what it means: it is refused. */
        for (size_t i = 0; i < token.len; i += a < HD_ALG_RS256 ? 1 : 13) {
            char was = token.ptr[i];
            token.ptr[i] = was == 'A' ? 'B' : 'A';
            if (verify(hd_buf_view(&token), keys.all, &any_alg, NOW, &err) == 0)
                fail_msg("%s: taken with character %zu changed", hd_alg_name(alg), i);
            token.ptr[i] = was;
        }
        /* So is every shorter one. */
        for (size_t n = 0; n < token.len; n += a < HD_ALG_RS256 ? 1 : 7)
            assert_true(verify(hd_str_n(token.ptr, n), keys.all, &any_alg, NOW, &err) < 0);
        hd_buf_done(&token);
    }
    (void)state;
}

static void never_takes_a_public_key_for_a_secret(void **state)
{
    struct hd_jwks *attacker = hd_jwks_new();
    assert_int_equal(hd_jwks_add_secret(attacker, hd_str(keys.rsa_public_pem), hd_str(""), NULL),
                     0);
    hd_auto_free char *token =
        token_of(PLAIN, "{\"sub\":\"admin\"," EXP "}", hd_jwks_at(attacker, 0));
    struct hd_error err;
    assert_int_equal(verify(hd_str(token), attacker, &any_alg, NOW, &err), 0);
    assert_int_equal(verify(hd_str(token), keys.rsa_only, &any_alg, NOW, &err), HD_ENOTFOUND);
    assert_int_equal(verify(hd_str(token), keys.all, &any_alg, NOW, &err), HD_EDENIED);
    hd_jwks_unref(attacker);
    (void)state;
}

static void judges_headers(void **state)
{
    static const struct {
        const char *header;
        int rc;
    } cases[] = {
        {PLAIN, 0},
        {"{\"alg\":\"HS256\"}", 0},
        {"{\"alg\":\"HS256\",\"typ\":\"at+jwt\",\"x\":[1]}", 0},
        {"{\"alg\":\"HS256\",\"kid\":\"unheard of\"}", 0}, /* our secret has no name */
        {"{\"alg\":\"none\"}", HD_EDENIED},
        {"{\"alg\":\"None\"}", HD_EDENIED},
        {"{\"alg\":\"NONE\"}", HD_EDENIED},
        {"{\"alg\":\"nOnE\"}", HD_EDENIED},
        {"{\"alg\":\"\"}", HD_EDENIED},
        {"{\"alg\":\"hs256\"}", HD_EDENIED},
        {"{\"alg\":\"HS256 \"}", HD_EDENIED},
        {"{\"alg\":\"HS384\"}", HD_EDENIED}, /* signed with HS256 */
        {"{\"alg\":\"RS256\"}", HD_EDENIED},
        {"{\"alg\":\"RS256\",\"kid\":\"gone\"}", HD_ENOTFOUND},
        {"{\"alg\":\"ES256\",\"kid\":\"rsa\"}", HD_ENOTFOUND},
        {"{\"typ\":\"JWT\"}", HD_EPROTO},
        {"{\"alg\":null}", HD_EPROTO},
        {"{\"alg\":[\"HS256\"]}", HD_EPROTO},
        {"{\"alg\":\"HS256\",\"alg\":\"HS256\"}", HD_EPROTO},
        {"{\"alg\":\"none\",\"alg\":\"HS256\"}", HD_EPROTO},
        {"{\"alg\":\"HS256\",\"crit\":[\"exp\"]}", HD_EPROTO},
        {"{\"alg\":\"HS256\",\"crit\":[]}", HD_EPROTO},
        {"{\"alg\":\"HS256\",\"b64\":false}", HD_EPROTO},
        {"{\"alg\":\"HS256\",\"kid\":7}", HD_EPROTO},
        {"{\"alg\":\"HS256\",\"typ\":7}", HD_EPROTO},
        {"{\"alg\":\"HS256\"} ", 0}, /* blanks are JSON */
        {"{\"alg\":\"HS256\"}x", HD_EPROTO},
        {"[\"alg\",\"HS256\"]", HD_EPROTO},
        {"\"HS256\"", HD_EPROTO},
        {"", HD_EPROTO},
    };
    for (size_t i = 0; i < HD_COUNT(cases); i++) {
        struct hd_error err = {.msg = ""};
        hd_auto_free char *token = hs256(cases[i].header, "{" EXP "}");
        int rc = verify(hd_str(token), keys.all, &any_alg, NOW, &err);
        if (rc != cases[i].rc)
            fail_msg("%s: %d, %s", cases[i].header, rc, err.msg);
    }
    (void)state;
}

static void judges_claims(void **state)
{
    static const char *const issuers[] = {"https://a.example", "https://b.example", NULL};
    static const char *const audiences[] = {"api", "web", NULL};
    static const char *const required[] = {"sub", NULL};
    static const struct hd_jwt_rules strict = {
        .algs = HD_ALG_BIT(HD_ALG_HS256),
        .issuers = issuers,
        .audiences = audiences,
        .require_claims = required,
        .leeway_s = 30,
        .max_age_s = 3600,
    };
#define GOOD "\"sub\":\"u\",\"iss\":\"https://b.example\",\"aud\":\"api\",\"iat\":1799999000"
#define MOST "\"sub\":\"u\",\"iss\":\"https://b.example\",\"aud\":\"api\""
    static const struct {
        const char *payload;
        int rc, strict_rc;
        const char *why; /* of the strict one */
    } cases[] = {
        {"{" GOOD "," EXP "}", 0, 0, ""},
        {"{" GOOD "}", HD_EDENIED, HD_EDENIED, "exp: missing"},
        {"{" GOOD ",\"exp\":\"1800000100\"}", HD_EPROTO, HD_EPROTO, "exp: not a number"},
        {"{" GOOD ",\"exp\":null}", HD_EPROTO, HD_EPROTO, "exp: not a number"},
        {"{" GOOD ",\"exp\":true}", HD_EPROTO, HD_EPROTO, "exp: not a number"},
        {"{" GOOD ",\"exp\":1e300}", HD_EPROTO, HD_EPROTO, "exp: not a number"},
        {"{" GOOD ",\"exp\":99999999999999999999999}", HD_EPROTO, HD_EPROTO, "not JSON"},
        {"{" GOOD ",\"exp\":-1}", HD_ETIMEOUT, HD_ETIMEOUT, "exp: expired"},
        {"{" GOOD ",\"exp\":1800000000}", HD_ETIMEOUT, 0, ""},
        {"{" GOOD ",\"exp\":1800000000.5}", 0, 0, ""},
        {"{" GOOD ",\"exp\":1799999971}", HD_ETIMEOUT, 0, ""},
        {"{" GOOD ",\"exp\":1799999970}", HD_ETIMEOUT, HD_ETIMEOUT, "exp: expired 30 s ago"},
        {"{" GOOD "," EXP ",\"exp\":1800000100}", HD_EPROTO, HD_EPROTO, "a member twice"},
        {"{" GOOD "," EXP ",\"nbf\":1800000000}", 0, 0, ""},
        {"{" GOOD "," EXP ",\"nbf\":1800000030}", HD_EDENIED, 0, ""},
        {"{" GOOD "," EXP ",\"nbf\":1800000031}", HD_EDENIED, HD_EDENIED, "nbf"},
        {"{" GOOD "," EXP ",\"nbf\":\"x\"}", HD_EPROTO, HD_EPROTO, "nbf"},
        {"{" MOST "," EXP "}", 0, HD_EDENIED, "iat: missing"},
        {"{" MOST "," EXP ",\"iat\":1800000031}", HD_EDENIED, HD_EDENIED, "iat: made 31 s"},
        {"{" MOST "," EXP ",\"iat\":1799996371}", 0, 0, ""},
        {"{" MOST "," EXP ",\"iat\":1799996370}", 0, HD_ETIMEOUT, "iat: 3630 s old"},
        {"{" EXP ",\"sub\":\"u\",\"aud\":\"api\",\"iat\":1799999000}", 0, HD_EDENIED, "iss"},
        {"{" EXP ",\"sub\":\"u\",\"aud\":\"api\",\"iat\":1799999000,\"iss\":\"https://c\"}", 0,
         HD_EDENIED, "iss"},
        {"{" EXP
         ",\"sub\":\"u\",\"aud\":\"api\",\"iat\":1799999000,\"iss\":[\"https://b.example\"]}",
         0, HD_EDENIED, "iss"},
        {"{" EXP ",\"sub\":\"u\",\"iat\":1799999000,\"iss\":\"https://a.example\","
         "\"aud\":[\"x\",\"web\"]}",
         0, 0, ""},
        {"{" EXP ",\"sub\":\"u\",\"iat\":1799999000,\"iss\":\"https://a.example\","
         "\"aud\":[\"x\",\"ap\"]}",
         0, HD_EDENIED, "aud"},
        {"{" EXP ",\"sub\":\"u\",\"iat\":1799999000,\"iss\":\"https://a.example\",\"aud\":[]}", 0,
         HD_EDENIED, "aud"},
        {"{" EXP ",\"sub\":\"u\",\"iat\":1799999000,\"iss\":\"https://a.example\"}", 0, HD_EDENIED,
         "aud"},
        {"{" EXP ",\"sub\":null,\"iat\":1799999000,\"iss\":\"https://a.example\",\"aud\":\"api\"}",
         0, HD_EDENIED, "sub: missing"},
        {"[]", HD_EPROTO, HD_EPROTO, "not a JSON object"},
        {"null", HD_EPROTO, HD_EPROTO, "not JSON"},
        {"", HD_EPROTO, HD_EPROTO, "not JSON"},
        {"{" GOOD "," EXP ",\"x\":\"\\u0000\"}", HD_EPROTO, HD_EPROTO, "not JSON"},
        {"{" GOOD "," EXP ",\"x\":\"\xff\"}", HD_EPROTO, HD_EPROTO, "not JSON"},
    };
    for (size_t i = 0; i < HD_COUNT(cases); i++) {
        struct hd_error err = {.msg = ""};
        hd_auto_free char *token = hs256(PLAIN, cases[i].payload);
        int rc = verify(hd_str(token), keys.all, &any_alg, NOW, &err);
        if (rc != cases[i].rc)
            fail_msg("%s: %d, %s", cases[i].payload, rc, err.msg);
        err.msg[0] = '\0';
        rc = verify(hd_str(token), keys.all, &strict, NOW, &err);
        if (rc != cases[i].strict_rc || strstr(err.msg, cases[i].why) == NULL)
            fail_msg("strict: %s: %d, %s", cases[i].payload, rc, err.msg);
    }
    (void)state;
}

static void tells_until_when_it_is_good(void **state)
{
    static const struct hd_jwt_rules rules = {
        .algs = HD_ALG_BIT(HD_ALG_HS256), .leeway_s = 10, .max_age_s = 60};
    hd_auto_free char *token = hs256(PLAIN, "{" EXP ",\"iat\":1799999990}");
    struct hd_jwt jwt;
    assert_int_equal(hd_jwt_verify(&jwt, hd_str(token), &keys.all, 1, &rules, NOW, NULL), 0);
    assert_int_equal(jwt.exp_s, 1800000100);
    assert_int_equal(jwt.valid_until_s, 1800000060);
    hd_jwt_done(&jwt);
    assert_int_equal(verify(hd_str(token), keys.all, &rules, 1800000059, NULL), 0);
    assert_int_equal(verify(hd_str(token), keys.all, &rules, 1800000060, NULL), HD_ETIMEOUT);
    (void)state;
}

static void judges_the_form(void **state)
{
    hd_auto_free char *good = hs256(PLAIN, "{" EXP "}");
    static const char *const bad[] = {"", ".", "..", "...", "a.b", "a.b.c", "a.b.c.d", "a..c"};
    for (size_t i = 0; i < HD_COUNT(bad); i++)
        assert_int_equal(verify(hd_str(bad[i]), keys.all, &any_alg, NOW, NULL), HD_EPROTO);
    static const char *const around[] = {"%s.", ".%s", "%s ", " %s", "%s\n", "%s=", "%s.x"};
    for (size_t i = 0; i < HD_COUNT(around); i++) {
        struct hd_buf b;
        hd_buf_init(&b, 4096);
        const char *at = strchr(around[i], '%');
        hd_buf_add(&b, around[i], (size_t)(at - around[i]));
        hd_buf_cstr(&b, good);
        hd_buf_cstr(&b, at + 2);
        assert_int_equal(verify(hd_buf_view(&b), keys.all, &any_alg, NOW, NULL), HD_EPROTO);
        hd_buf_done(&b);
    }
    /* The last character of 32 bytes has two bits that mean nothing: they must be 0. */
    size_t n = strlen(good);
    assert_int_equal(verify(hd_str(good), keys.all, &any_alg, NOW, NULL), 0);
    good[n - 1]++;
    assert_int_equal(verify(hd_str(good), keys.all, &any_alg, NOW, NULL), HD_EPROTO);
    (void)state;
}

static void takes_padding_only_when_told(void **state)
{
    static const struct hd_jwt_rules lenient = {.algs = HD_ALG_BIT(HD_ALG_HS256),
                                                .allow_padding = true};
    hd_auto_free char *good = hs256(PLAIN, "{" EXP "}");
    hd_auto_free char *padded = hd_printf("%s=", good); /* 43 characters, so one */
    hd_auto_free char *over = hd_printf("%s==", good);
    assert_int_equal(verify(hd_str(padded), keys.all, &lenient, NOW, NULL), 0);
    assert_int_equal(verify(hd_str(padded), keys.all, &any_alg, NOW, NULL), HD_EPROTO);
    assert_int_equal(verify(hd_str(over), keys.all, &lenient, NOW, NULL), HD_EPROTO);
    (void)state;
}

static void refuses_giants_before_looking_at_them(void **state)
{
    struct hd_buf b;
    hd_buf_init(&b, 1 << 20);
    hd_buf_cstr(&b, "{" EXP ",\"x\":\"");
    while (b.len < HD_JWT_BYTES_MAX)
        hd_buf_cstr(&b, "xxxxxxxxxxxxxxxx");
    hd_buf_cstr(&b, "\"}");
    hd_auto_free char *payload = hd_buf_take(&b);
    hd_auto_free char *token = hs256(PLAIN, payload);
    struct hd_error err;
    assert_int_equal(verify(hd_str(token), keys.all, &any_alg, NOW, &err), HD_EPROTO);
    assert_non_null(strstr(err.msg, "the limit is"));
    (void)state;
}

static void chooses_among_many_keys_by_name(void **state)
{
    struct hd_jwks *many = hd_jwks_new();
    for (int i = 0; i < 20; i++) {
        hd_auto_free char *s = hd_printf("%032d", i), *kid = hd_printf("k%d", i);
        assert_int_equal(hd_jwks_add_secret(many, hd_str(s), hd_str(kid), NULL), 0);
    }
    struct hd_buf token;
    hd_buf_init(&token, 4096);
    struct hd_error err;
    assert_int_equal(
        hd_jwt_sign(&token, hd_jwks_at(many, 17), HD_ALG_HS256, hd_str("{" EXP "}"), NULL), 0);
    assert_int_equal(verify(hd_buf_view(&token), many, &any_alg, NOW, NULL), 0);
    /* Without a name only the first few are tried: a peer does not choose how long we work. */
    hd_auto_free char *early = token_of(PLAIN, "{" EXP "}", hd_jwks_at(many, 7));
    hd_auto_free char *late = token_of(PLAIN, "{" EXP "}", hd_jwks_at(many, 8));
    assert_int_equal(verify(hd_str(early), many, &any_alg, NOW, NULL), 0);
    assert_int_equal(verify(hd_str(late), many, &any_alg, NOW, &err), HD_EDENIED);
    hd_buf_done(&token);
    hd_jwks_unref(many);
    (void)state;
}

static void signs_only_with_a_key_that_fits(void **state)
{
    struct hd_buf b;
    hd_buf_init(&b, 4096);
    struct hd_str payload = hd_str("{}");
    assert_int_equal(hd_jwt_sign(&b, hd_jwks_at(keys.all, 0), HD_ALG_RS256, payload, NULL),
                     HD_EINVAL);
    assert_int_equal(hd_jwt_sign(&b, hd_jwks_at(keys.rsa_only, 0), HD_ALG_HS256, payload, NULL),
                     HD_EINVAL);
    assert_int_equal(hd_jwt_sign(&b, hd_jwks_at(keys.rsa_only, 0), HD_ALG_RS256, payload, NULL),
                     HD_EINVAL);
    hd_buf_done(&b);
    hd_buf_init(&b, 40);
    assert_int_equal(hd_jwt_sign(&b, hd_jwks_at(keys.all, 0), HD_ALG_HS256, payload, NULL),
                     HD_EBUSY);
    hd_buf_done(&b);
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_the_tokens_of_rfc_7515),
        cmocka_unit_test(takes_the_tokens_of_another_implementation),
        cmocka_unit_test(refuses_the_unsecured_token_of_rfc_7515),
        cmocka_unit_test(takes_what_it_signs_with_each_algorithm),
        cmocka_unit_test(never_takes_a_public_key_for_a_secret),
        cmocka_unit_test(judges_headers),
        cmocka_unit_test(judges_claims),
        cmocka_unit_test(tells_until_when_it_is_good),
        cmocka_unit_test(judges_the_form),
        cmocka_unit_test(takes_padding_only_when_told),
        cmocka_unit_test(refuses_giants_before_looking_at_them),
        cmocka_unit_test(chooses_among_many_keys_by_name),
        cmocka_unit_test(signs_only_with_a_key_that_fits),
    };
    return cmocka_run_group_tests(tests, make_keys, drop_keys);
}
