/* test/unit/test_pkey.c - published vectors, keys whose halves do not match, PEM. */
#include "auth/pkey.h"
#include "core/base64.h"
#include "test.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

static struct hd_pkey_bytes from_url(const char *text)
{
    struct hd_pkey_bytes b = {.len = 0};
    assert_int_equal(hd_base64_decode(b.at, &b.len, HD_BASE64URL, hd_str(text)), 0);
    return b;
}

/* RFC 8037 appendix A.1 */
static const char ed_d[] = "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A";
static const char ed_x[] = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";
/* RFC 7515 appendix A.3.1 */
static const char ec_x[] = "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU";
static const char ec_y[] = "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0";
static const char ec_d[] = "jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI";

static void signs_ed25519_as_rfc_8037_does(void **state)
{
    struct hd_pkey_bytes parts[HD_PKEY_PARTS] = {0};
    parts[HD_PKEY_PUBLIC] = from_url(ed_x);
    parts[HD_PKEY_PRIVATE] = from_url(ed_d);
    struct hd_jwk key = {.type = HD_KEY_ED25519, .can_sign = true};
    assert_int_equal(hd_pkey_from_parts(&key.pkey, key.type, parts, NULL), 0);
    struct hd_str bytes = hd_str("eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc");
    struct hd_pkey_bytes want = from_url("hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4"
                                         "iylGjg5BhVsPt9g7sVvpAr_MuM0KAg");
    unsigned char signature[HD_SIGNATURE_MAX];
    assert_int_equal(hd_pkey_sign(signature, &key, HD_ALG_EDDSA, bytes, NULL), 64);
    assert_memory_equal(signature, want.at, 64);
    struct hd_str s = hd_str_n((const char *)signature, 64);
    assert_true(hd_pkey_verify(&key, HD_ALG_EDDSA, bytes, s));
    signature[63] ^= 1;
    assert_false(hd_pkey_verify(&key, HD_ALG_EDDSA, bytes, s));
    hd_pkey_free(key.pkey);
    (void)state;
}

static void checks_ecdsa_as_rfc_7515_does(void **state)
{
    struct hd_pkey_bytes parts[HD_PKEY_PARTS] = {0};
    parts[HD_PKEY_PUBLIC] = from_url(ec_x);
    parts[HD_PKEY_PUBLIC2] = from_url(ec_y);
    struct hd_jwk key = {.type = HD_KEY_P256};
    assert_int_equal(hd_pkey_from_parts(&key.pkey, key.type, parts, NULL), 0);
    struct hd_str bytes = hd_str("eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAs"
                                 "DQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ");
    struct hd_pkey_bytes raw = from_url("DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa"
                                        "8ISlSApmWQxfKTUJqPP3-Kg6NU1Q");
    struct hd_str s = hd_str_n((const char *)raw.at, raw.len);
    assert_true(hd_pkey_verify(&key, HD_ALG_ES256, bytes, s));
    assert_false(hd_pkey_verify(&key, HD_ALG_ES256, bytes, hd_str_n(s.ptr, 63)));
    assert_false(hd_pkey_verify(&key, HD_ALG_ES256, bytes, hd_str("")));
    char zeros[64] = {0}; /* r = s = 0 once passed as a signature of everything, elsewhere */
    assert_false(hd_pkey_verify(&key, HD_ALG_ES256, bytes, hd_str_n(zeros, 64)));
    hd_pkey_free(key.pkey);
    (void)state;
}

static void refuses_keys_that_are_none(void **state)
{
    struct hd_pkey_bytes parts[HD_PKEY_PARTS] = {0};
    struct hd_error err;
    EVP_PKEY *pkey = NULL;

    parts[HD_PKEY_PUBLIC] = from_url(ec_x);
    parts[HD_PKEY_PUBLIC2] = from_url(ec_x); /* not on the curve */
    assert_int_equal(hd_pkey_from_parts(&pkey, HD_KEY_P256, parts, &err), HD_EINVAL);

    parts[HD_PKEY_PUBLIC2] = from_url(ec_y);
    parts[HD_PKEY_PRIVATE] = from_url(ec_d);
    assert_int_equal(hd_pkey_from_parts(&pkey, HD_KEY_P256, parts, NULL), 0);
    hd_pkey_free(pkey);
    parts[HD_PKEY_PRIVATE].at[31] ^= 1; /* another key's private half */
    assert_int_equal(hd_pkey_from_parts(&pkey, HD_KEY_P256, parts, &err), HD_EINVAL);
    assert_non_null(strstr(err.msg, "private key does not belong"));
    assert_int_equal(hd_pkey_from_parts(&pkey, HD_KEY_P384, parts, &err), HD_EINVAL);
    parts[HD_PKEY_PRIVATE].len = 0;
    parts[HD_PKEY_PUBLIC].len = 31; /* a leading zero must be written */
    assert_int_equal(hd_pkey_from_parts(&pkey, HD_KEY_P256, parts, &err), HD_EINVAL);

    parts[HD_PKEY_PUBLIC] = from_url(ed_x);
    parts[HD_PKEY_PRIVATE] = from_url(ed_d);
    parts[HD_PKEY_PRIVATE].at[0] ^= 1;
    assert_int_equal(hd_pkey_from_parts(&pkey, HD_KEY_ED25519, parts, &err), HD_EINVAL);
    parts[HD_PKEY_PRIVATE].len = 33;
    assert_int_equal(hd_pkey_from_parts(&pkey, HD_KEY_ED25519, parts, &err), HD_EINVAL);
    (void)state;
}

static void refuses_weak_rsa_keys(void **state)
{
    struct hd_pkey_bytes parts[HD_PKEY_PARTS] = {0};
    struct hd_error err;
    EVP_PKEY *pkey = NULL;
    memset(parts[0].at, 0xff, sizeof(parts[0].at));
    parts[1] = from_url("AQAB");
    parts[0].len = 128;
    assert_int_equal(hd_pkey_from_parts(&pkey, HD_KEY_RSA, parts, &err), HD_EINVAL);
    assert_non_null(strstr(err.msg, "not 1024"));
    parts[0].len = 1025;
    assert_int_equal(hd_pkey_from_parts(&pkey, HD_KEY_RSA, parts, &err), HD_EINVAL);
    parts[0].len = 256;
    parts[1] = from_url("AQ"); /* e = 1: everything is a signature of itself */
    assert_int_equal(hd_pkey_from_parts(&pkey, HD_KEY_RSA, parts, &err), HD_EINVAL);
    parts[1] = from_url("AQAA"); /* even */
    assert_int_equal(hd_pkey_from_parts(&pkey, HD_KEY_RSA, parts, &err), HD_EINVAL);
    (void)state;
}

static struct hd_str pem_of(BIO *bio, EVP_PKEY *pkey, bool is_private, const EVP_CIPHER *cipher)
{
    if (is_private)
        assert_int_equal(PEM_write_bio_PKCS8PrivateKey(bio, pkey, cipher,
                                                       cipher != NULL ? "pw" : NULL,
                                                       cipher != NULL ? 2 : 0, NULL, NULL),
                         1);
    else
        assert_int_equal(PEM_write_bio_PUBKEY(bio, pkey), 1);
    char *text = NULL;
    long n = BIO_get_mem_data(bio, &text);
    return hd_str_n(text, (size_t)n);
}

static void reads_pem_block_by_block(void **state)
{
    EVP_PKEY *ec = EVP_EC_gen("P-384"), *ed = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519"), *pkey;
    BIO *bio = BIO_new(BIO_s_mem());
    BIO_puts(bio, "words in front of it\n");
    pem_of(bio, ec, false, NULL);
    BIO_puts(bio, "-----BEGIN EC PARAMETERS-----\nBgUrgQQAIg==\n-----END EC PARAMETERS-----\n");
    struct hd_str pem = pem_of(bio, ed, true, NULL);
    enum hd_key_type type;
    bool is_private;
    assert_int_equal(hd_pkey_from_pem(&pkey, &type, &is_private, &pem, NULL), 1);
    assert_int_equal(type, HD_KEY_P384);
    assert_false(is_private);
    hd_pkey_free(pkey);
    assert_int_equal(hd_pkey_from_pem(&pkey, &type, &is_private, &pem, NULL), 1);
    assert_int_equal(type, HD_KEY_ED25519);
    assert_true(is_private);
    hd_pkey_free(pkey);
    assert_int_equal(hd_pkey_from_pem(&pkey, &type, &is_private, &pem, NULL), 0);
    BIO_free(bio);
    EVP_PKEY_free(ec);
    EVP_PKEY_free(ed);
    (void)state;
}

static void refuses_pem_that_does_not_fit(void **state)
{
    EVP_PKEY *small = EVP_RSA_gen(1024), *curve = EVP_EC_gen("secp256k1"), *pkey;
    EVP_PKEY *ed = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    BIO *bios[4];
    for (size_t i = 0; i < HD_COUNT(bios); i++)
        bios[i] = BIO_new(BIO_s_mem());
    struct {
        struct hd_str pem;
        const char *why;
    } cases[] = {
        {pem_of(bios[0], small, false, NULL), "not 1024"},
        {pem_of(bios[1], curve, false, NULL), "secp256k1"},
        {pem_of(bios[2], ed, true, EVP_aes_128_cbc()), "encrypted"},
        {hd_str("-----BEGIN PUBLIC KEY-----\nMAAA\n-----END PUBLIC KEY-----\n"), "broken"},
    };
    for (size_t i = 0; i < HD_COUNT(cases); i++) {
        struct hd_error err = {.msg = ""};
        enum hd_key_type type;
        bool is_private;
        assert_int_equal(hd_pkey_from_pem(&pkey, &type, &is_private, &cases[i].pem, &err),
                         HD_EINVAL);
        if (strstr(err.msg, cases[i].why) == NULL)
            fail_msg("case %zu: %s", i, err.msg);
    }
    for (size_t i = 0; i < HD_COUNT(bios); i++)
        BIO_free(bios[i]);
    EVP_PKEY_free(small);
    EVP_PKEY_free(curve);
    EVP_PKEY_free(ed);
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(signs_ed25519_as_rfc_8037_does),
        cmocka_unit_test(checks_ecdsa_as_rfc_7515_does),
        cmocka_unit_test(refuses_keys_that_are_none),
        cmocka_unit_test(refuses_weak_rsa_keys),
        cmocka_unit_test(reads_pem_block_by_block),
        cmocka_unit_test(refuses_pem_that_does_not_fit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
