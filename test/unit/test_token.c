/* test/unit/test_token.c - lane tokens: byte for byte what a peer makes, and what is turned away.
 */
#include "lanes/token.h"

#include "test.h"

#include <openssl/evp.h>
#include <openssl/pem.h>

static const int64_t NOW_MS = 1700000000000;

/* Made by an independent signer. */
static const char HMAC_TOKEN[] =
    "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9."
    "eyJsYW5lIjoicnBjLW1haW4iLCJjYXAiOiJwcm9kdWNlIiwia2luZCI6InJwYy10YXNrIiwidGFyZ2V0IjoiYXBwLnRhc2"
    "tz"
    "LmFkZCIsImhhc2giOiItV3F5ZlBIT1h6NGxXTVlUeGZWNklHUDZGSGZyWWR4YXRLSVd5YWxleGhJIiwiaWF0IjoxNzAwMD"
    "Aw"
    "MDAwLCJleHAiOjE3MDAwMDAwNjB9.obp8jwPQuH1aSTQjBXoIZjJ35IVpZ4iKivq9kE_hFr0";
static const char EDDSA_TOKEN[] =
    "eyJhbGciOiJFZERTQSIsInR5cCI6IkpXVCIsImtpZCI6ImsxIn0."
    "eyJsYW5lIjoicnBjLW1haW4iLCJjYXAiOiJwcm9kdWNlIiwia2luZCI6InJwYy10YXNrIiwidGFyZ2V0IjoiYXBwLnRhc2"
    "tz"
    "LmFkZCIsImhhc2giOiItV3F5ZlBIT1h6NGxXTVlUeGZWNklHUDZGSGZyWWR4YXRLSVd5YWxleGhJIiwiaWF0IjoxNzAwMD"
    "Aw"
    "MDAwLCJleHAiOjE3MDAwMDAwNjB9.u97tf8vGcVX7LbeKcjXLlnbrhrT9xJVq1az59tGbat-p_fBR22eO7JG-"
    "KJXptn9WSdJ"
    "tEqcYUV0ilA49D389Bg";
#define BODY_HASH "-WqyfPHOXz4lWMYTxfV6IGP6FHfrYdxatKIWyalexhI"

static const struct hd_lane_claims CLAIMS = {.lane = HD_LIT("rpc-main"),
                                             .target = HD_LIT("app.tasks.add"),
                                             .kind = HD_LANE_RPC_TASK,
                                             .hash = HD_LIT(BODY_HASH)};
static const struct hd_str NONE = {NULL, 0};

static struct hd_lane_auth base(enum hd_lane_auth_mode mode, enum hd_alg alg)
{
    return (struct hd_lane_auth){
        .mode = mode, .alg = alg, .token_ttl_ms = 60000, .clock_skew_ms = 30000};
}

static struct hd_lane_keys *keys_of(const struct hd_lane_auth *auth)
{
    struct hd_lane_keys *k = NULL;
    struct hd_error err = {0};
    if (hd_lane_keys_new(&k, auth, &err) < 0)
        fail_msg("%s", err.msg);
    return k;
}

static struct hd_lane_keys *hmac_keys(void)
{
    struct hd_lane_auth auth = base(HD_LANE_AUTH_HMAC, HD_ALG_HS256);
    auth.secret = "lane-secret";
    return keys_of(&auth);
}

static char *pem_of(EVP_PKEY *pkey, bool private_half)
{
    BIO *bio = BIO_new(BIO_s_mem());
    if (private_half)
        PEM_write_bio_PrivateKey(bio, pkey, NULL, NULL, 0, NULL, NULL);
    else
        PEM_write_bio_PUBKEY(bio, pkey);
    char *text;
    long n = BIO_get_mem_data(bio, &text);
    char *copy = hd_strdup_n(hd_str_n(text, (size_t)n));
    BIO_free(bio);
    return copy;
}

static char *sign(const struct hd_lane_keys *k)
{
    struct hd_buf out;
    hd_buf_init(&out, 1 << 16);
    assert_int_equal(hd_lane_token_sign(&out, k, &CLAIMS, NOW_MS, NULL), 0);
    return hd_buf_take(&out);
}

static int verify(const struct hd_lane_keys *k, const char *token,
                  const struct hd_lane_claims *want, int64_t now_ms)
{
    return hd_lane_token_verify(k, hd_str(token), want, NONE, now_ms, NULL);
}

static void hashes_are_those_of_the_bodies(void **state)
{
    struct hd_buf out;
    hd_buf_init(&out, 100);
    hd_lane_hash(&out, hd_str("{\"input\":{\"a\":2,\"b\":40}}"));
    assert_true(hd_str_is(hd_buf_view(&out), BODY_HASH));
    hd_buf_clear(&out);
    hd_lane_hash(&out, hd_str("{\"i\":0,\"userId\":\"u0\",\"channel\":\"email\"}"));
    assert_true(hd_str_is(hd_buf_view(&out), "nmIY--mvn2wRW-fMNSQ2WXjK5LABSb9VVIC1l8t64IA"));
    hd_buf_done(&out);
    (void)state;
}

static void tokens_are_byte_for_byte_those_of_a_peer(void **state)
{
    struct hd_lane_keys *hmac = hmac_keys();
    hd_auto_free char *token = sign(hmac);
    assert_string_equal(token, HMAC_TOKEN);
    assert_int_equal(verify(hmac, HMAC_TOKEN, &CLAIMS, NOW_MS), 0);

    static const unsigned char seed[] = {0x9d, 0x61, 0xb1, 0x9d, 0xef, 0xfd, 0x5a, 0x60,
                                         0xba, 0x84, 0x4a, 0xf4, 0x92, 0xec, 0x2c, 0xc4,
                                         0x44, 0x49, 0xc5, 0x69, 0x7b, 0x32, 0x69, 0x19,
                                         0x70, 0x3b, 0xac, 0x03, 0x1c, 0xae, 0x7f, 0x60};
    EVP_PKEY *pkey = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, seed, sizeof(seed));
    hd_auto_free char *private_pem = pem_of(pkey, true), *public_pem = pem_of(pkey, false);
    char *kids[] = {"k1"}, *kid_keys[] = {public_pem};
    struct hd_lane_auth auth = base(HD_LANE_AUTH_ASYMMETRIC, HD_ALG_EDDSA);
    auth.private_key = private_pem;
    auth.private_key_kid = "k1";
    auth.kids = kids;
    auth.kid_keys = kid_keys;
    auth.n_kids = 1;
    struct hd_lane_keys *eddsa = keys_of(&auth);
    hd_auto_free char *other = sign(eddsa);
    assert_string_equal(other, EDDSA_TOKEN);
    assert_int_equal(verify(eddsa, EDDSA_TOKEN, &CLAIMS, NOW_MS), 0);
    assert_int_equal(verify(eddsa, HMAC_TOKEN, &CLAIMS, NOW_MS), HD_EDENIED);
    hd_lane_keys_free(eddsa);
    hd_lane_keys_free(hmac);
    EVP_PKEY_free(pkey);
    (void)state;
}

static void a_public_key_checks_and_cannot_sign(void **state)
{
    static const enum hd_alg algs[] = {HD_ALG_ES256, HD_ALG_RS256, HD_ALG_EDDSA};
    EVP_PKEY *pairs[] = {EVP_EC_gen("P-256"), EVP_RSA_gen(2048),
                         EVP_PKEY_Q_keygen(NULL, NULL, "ED25519")};
    for (size_t i = 0; i < HD_COUNT(algs); i++) {
        hd_auto_free char *private_pem = pem_of(pairs[i], true);
        hd_auto_free char *public_pem = pem_of(pairs[i], false);
        struct hd_lane_auth auth = base(HD_LANE_AUTH_ASYMMETRIC, algs[i]);
        auth.private_key = private_pem;
        struct hd_lane_keys *signer = keys_of(&auth);
        auth.private_key = NULL;
        auth.public_key = public_pem;
        struct hd_lane_keys *checker = keys_of(&auth);
        assert_true(hd_lane_keys_can_sign(signer) && !hd_lane_keys_can_verify(signer));
        assert_true(!hd_lane_keys_can_sign(checker) && hd_lane_keys_can_verify(checker));
        hd_auto_free char *token = sign(signer);
        assert_int_equal(verify(checker, token, &CLAIMS, NOW_MS), 0);
        token[strlen(token) - 6] ^= 1;
        assert_int_equal(verify(checker, token, &CLAIMS, NOW_MS), HD_EDENIED);
        struct hd_buf out;
        hd_buf_init(&out, 1000);
        assert_int_equal(hd_lane_token_sign(&out, checker, &CLAIMS, NOW_MS, NULL), HD_EINVAL);
        hd_buf_done(&out);
        hd_lane_keys_free(signer);
        hd_lane_keys_free(checker);
        auth.alg = algs[(i + 1) % HD_COUNT(algs)];
        struct hd_lane_keys *wrong = NULL;
        assert_int_equal(hd_lane_keys_new(&wrong, &auth, NULL), HD_EINVAL);
        EVP_PKEY_free(pairs[i]);
    }
    (void)state;
}

static void an_es256_signature_is_der(void **state)
{
    EVP_PKEY *pair = EVP_EC_gen("P-256");
    hd_auto_free char *pem = pem_of(pair, true);
    struct hd_lane_auth auth = base(HD_LANE_AUTH_ASYMMETRIC, HD_ALG_ES256);
    auth.private_key = pem;
    struct hd_lane_keys *k = keys_of(&auth);
    hd_auto_free char *token = sign(k);
    const char *signature = strrchr(token, '.') + 1;
    assert_true(signature[0] == 'M'); /* 0x30: a SEQUENCE */
    hd_lane_keys_free(k);
    EVP_PKEY_free(pair);
    (void)state;
}

static void every_claim_counts(void **state)
{
    struct hd_lane_keys *k = hmac_keys();
    struct hd_lane_claims want = CLAIMS;
    want.lane = hd_str("other");
    assert_int_equal(verify(k, HMAC_TOKEN, &want, NOW_MS), HD_EDENIED);
    want = CLAIMS;
    want.target = hd_str("app.tasks.sub");
    assert_int_equal(verify(k, HMAC_TOKEN, &want, NOW_MS), HD_EDENIED);
    want = CLAIMS;
    want.kind = HD_LANE_EVENT;
    assert_int_equal(verify(k, HMAC_TOKEN, &want, NOW_MS), HD_EDENIED);
    want = CLAIMS;
    want.hash = hd_str("x");
    assert_int_equal(verify(k, HMAC_TOKEN, &want, NOW_MS), HD_EDENIED);
    assert_int_equal(
        hd_lane_token_verify(k, hd_str(HMAC_TOKEN), &want, hd_str(BODY_HASH), NOW_MS, NULL), 0);
    want.hash = NONE;
    assert_int_equal(verify(k, HMAC_TOKEN, &want, NOW_MS), 0);
    /* 60 s of life and 30 s of difference between clocks, to the millisecond */
    assert_int_equal(verify(k, HMAC_TOKEN, &CLAIMS, NOW_MS + 90000), 0);
    assert_int_equal(verify(k, HMAC_TOKEN, &CLAIMS, NOW_MS + 90001), HD_EDENIED);
    assert_int_equal(verify(k, HMAC_TOKEN, &CLAIMS, NOW_MS - 30000), 0);
    assert_int_equal(verify(k, HMAC_TOKEN, &CLAIMS, NOW_MS - 30001), HD_EDENIED);
    hd_lane_keys_free(k);
    (void)state;
}

static void the_hash_of_the_body_may_be_checked_later(void **state)
{
    struct hd_lane_keys *k = hmac_keys();
    struct hd_str token = hd_str(HMAC_TOKEN), good = hd_str(BODY_HASH), bad = hd_str("x");
    assert_int_equal(hd_lane_token_verify_hash(k, token, good, NONE, NULL), 0);
    assert_int_equal(hd_lane_token_verify_hash(k, token, bad, good, NULL), 0);
    assert_int_equal(hd_lane_token_verify_hash(k, token, bad, NONE, NULL), HD_EDENIED);
    assert_int_equal(hd_lane_token_verify_hash(k, token, bad, bad, NULL), HD_EDENIED);
    assert_int_equal(hd_lane_token_verify_hash(k, hd_str("a"), good, NONE, NULL), HD_EDENIED);
    assert_int_equal(hd_lane_token_verify_hash(k, hd_str("a.b.c"), good, NONE, NULL), HD_EDENIED);
    hd_lane_keys_free(k);
    (void)state;
}

static void what_is_no_token_is_turned_away(void **state)
{
    static const char *const tokens[] = {
        "", ".", "..", "a.b", "a.b.c.d", "e30.e30.", "e30.e30.AA", "bm8.bm8.bm8",
        /* alg none */
        "eyJhbGciOiJub25lIn0."
        "eyJsYW5lIjoicnBjLW1haW4iLCJjYXAiOiJwcm9kdWNlIiwia2luZCI6InJwYy10YXNrIiwi"
        "dGFyZ2V0IjoiYXBwLnRhc2tzLmFkZCIsImhhc2giOiItV3F5ZlBIT1h6NGxXTVlUeGZWNklHUDZGSGZyWWR4YXRLSV"
        "d5"
        "YWxleGhJIiwiaWF0IjoxNzAwMDAwMDAwLCJleHAiOjE3MDAwMDAwNjB9.AA"};
    struct hd_lane_keys *k = hmac_keys();
    for (size_t i = 0; i < HD_COUNT(tokens); i++)
        assert_int_equal(verify(k, tokens[i], &CLAIMS, NOW_MS), HD_EDENIED);
    hd_lane_keys_free(k);
    (void)state;
}

static void old_peers_are_let_in_only_where_it_is_said(void **state)
{
    /* lane, cap, iat and exp alone */
    static const char payload[] = "eyJsYW5lIjoicnBjLW1haW4iLCJjYXAiOiJwcm9kdWNlIiwiaWF0IjoxNzAwMDAw"
                                  "MDAwLCJleHAiOjE3MDAwMDAwNjB9";
    struct hd_lane_auth auth = base(HD_LANE_AUTH_HMAC, HD_ALG_HS256);
    auth.secret = "lane-secret";
    hd_auto_free char *input = hd_printf("eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.%s", payload);
    unsigned char mac[32];
    size_t n;
    assert_non_null(EVP_Q_mac(NULL, "HMAC", NULL, "SHA256", NULL, "lane-secret", 11,
                              (const unsigned char *)input, strlen(input), mac, sizeof(mac), &n));
    char signature[64] = "";
    static const char alphabet[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    for (size_t bit = 0, at = 0; bit < 256; bit += 6) {
        unsigned pair = (unsigned)mac[bit / 8] << 8 | (bit / 8 < 31 ? mac[bit / 8 + 1] : 0);
        signature[at++] = alphabet[pair >> (10 - bit % 8) & 63];
    }
    hd_auto_free char *token = hd_printf("%s.%s", input, signature);
    struct hd_lane_keys *strict = keys_of(&auth);
    assert_int_equal(verify(strict, token, &CLAIMS, NOW_MS), HD_EDENIED);
    auth.accept_legacy_tokens = true;
    struct hd_lane_keys *legacy = keys_of(&auth);
    assert_int_equal(verify(legacy, token, &CLAIMS, NOW_MS), 0);
    struct hd_lane_claims other = CLAIMS;
    other.target = hd_str("x");
    assert_int_equal(verify(legacy, HMAC_TOKEN, &other, NOW_MS), HD_EDENIED);
    hd_lane_keys_free(strict);
    hd_lane_keys_free(legacy);
    (void)state;
}

static void secrets_can_differ_by_direction(void **state)
{
    struct hd_lane_auth auth = base(HD_LANE_AUTH_HMAC, HD_ALG_HS256);
    auth.produce_secret = "one";
    struct hd_lane_keys *k = keys_of(&auth);
    assert_true(hd_lane_keys_can_sign(k) && !hd_lane_keys_can_verify(k));
    hd_auto_free char *token = sign(k);
    hd_lane_keys_free(k);
    auth.consume_secret = "two";
    k = keys_of(&auth);
    assert_int_equal(verify(k, token, &CLAIMS, NOW_MS), HD_EDENIED);
    hd_lane_keys_free(k);
    auth.consume_secret = "one";
    k = keys_of(&auth);
    assert_int_equal(verify(k, token, &CLAIMS, NOW_MS), 0);
    hd_lane_keys_free(k);
    (void)state;
}

/* As a variable that is set to nothing makes it: anybody could sign with that. */
static void an_empty_secret_is_none(void **state)
{
    struct hd_lane_auth auth = base(HD_LANE_AUTH_HMAC, HD_ALG_HS256);
    auth.secret = "";
    struct hd_lane_keys *k = keys_of(&auth);
    assert_false(hd_lane_keys_can_sign(k));
    assert_false(hd_lane_keys_can_verify(k));
    hd_lane_keys_free(k);
    auth.secret = "lane-secret";
    auth.consume_secret = "";
    k = keys_of(&auth);
    assert_int_equal(hd_lane_token_verify(k, hd_str(HMAC_TOKEN), &CLAIMS, NONE, NOW_MS, NULL), 0);
    hd_lane_keys_free(k);
    (void)state;
}

static void a_header_holds_the_token_with_or_without_its_scheme(void **state)
{
    static const char *const cases[][3] = {{"authorization", "Bearer x.y.z", "x.y.z"},
                                           {"authorization", "  bEARER   x ", "x"},
                                           {"authorization", "x.y.z", "x.y.z"},
                                           {"authorization", "Bearerx", "Bearerx"},
                                           {"authorization", "Bearer", "Bearer"},
                                           {"x-lane", "Bearer x", "Bearer x"},
                                           {"x-lane", " x ", "x"}};
    for (size_t i = 0; i < HD_COUNT(cases); i++)
        assert_true(
            hd_str_is(hd_lane_token_of(hd_str(cases[i][0]), hd_str(cases[i][1])), cases[i][2]));
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hashes_are_those_of_the_bodies),
        cmocka_unit_test(tokens_are_byte_for_byte_those_of_a_peer),
        cmocka_unit_test(a_public_key_checks_and_cannot_sign),
        cmocka_unit_test(an_es256_signature_is_der),
        cmocka_unit_test(every_claim_counts),
        cmocka_unit_test(the_hash_of_the_body_may_be_checked_later),
        cmocka_unit_test(what_is_no_token_is_turned_away),
        cmocka_unit_test(old_peers_are_let_in_only_where_it_is_said),
        cmocka_unit_test(secrets_can_differ_by_direction),
        cmocka_unit_test(an_empty_secret_is_none),
        cmocka_unit_test(a_header_holds_the_token_with_or_without_its_scheme),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
