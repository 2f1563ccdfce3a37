#include "auth/pkey.h"

#include <assert.h>
#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/param_build.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

void hd_pkey_free(struct evp_pkey_st *pkey)
{
    EVP_PKEY_free(pkey);
}

/* --- signatures --- */

static const EVP_MD *digest_of(enum hd_alg alg)
{
    switch (alg) {
    case HD_ALG_HS256:
    case HD_ALG_RS256:
    case HD_ALG_PS256:
    case HD_ALG_ES256:
        return EVP_sha256();
    case HD_ALG_HS384:
    case HD_ALG_RS384:
    case HD_ALG_PS384:
    case HD_ALG_ES384:
        return EVP_sha384();
    case HD_ALG_HS512:
    case HD_ALG_RS512:
    case HD_ALG_PS512:
        return EVP_sha512();
    case HD_ALG_EDDSA:
        return NULL; /* Ed25519 hashes by itself */
    }
    return NULL;
}

static bool is_pss(enum hd_alg alg)
{
    return alg == HD_ALG_PS256 || alg == HD_ALG_PS384 || alg == HD_ALG_PS512;
}

/* RFC 7518 section 3.5: the salt is as long as the hash, and MGF1 uses the same hash. */
static bool set_padding(EVP_PKEY_CTX *ctx, enum hd_alg alg)
{
    return !is_pss(alg) || (EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PSS_PADDING) > 0 &&
                            EVP_PKEY_CTX_set_rsa_pss_saltlen(ctx, RSA_PSS_SALTLEN_DIGEST) > 0);
}

static size_t hmac(unsigned char *out, const struct hd_jwk *key, enum hd_alg alg,
                   struct hd_str bytes)
{
    unsigned len = 0;
    if (HMAC(digest_of(alg), key->secret, (int)key->secret_bytes, (const unsigned char *)bytes.ptr,
             bytes.len, out, &len) == NULL)
        return 0;
    return len;
}

/* Half of an ES signature. */
static size_t coordinate_bytes(enum hd_key_type type)
{
    return type == HD_KEY_P256 ? 32 : 48;
}

/* OpenSSL wants and gives ECDSA signatures in DER, JOSE has the two numbers side by side
 * (RFC 7518 section 3.4). @return the length, or 0. */
static size_t raw_to_der(unsigned char *der, size_t room, struct hd_str raw, size_t half)
{
    const unsigned char *p = (const unsigned char *)raw.ptr;
    ECDSA_SIG *sig = ECDSA_SIG_new();
    BIGNUM *r = BN_bin2bn(p, (int)half, NULL), *s = BN_bin2bn(p + half, (int)half, NULL);
    size_t len = 0;
    if (sig != NULL && r != NULL && s != NULL && ECDSA_SIG_set0(sig, r, s) == 1) {
        r = s = NULL; /* they are the signature's now */
        int n = i2d_ECDSA_SIG(sig, NULL);
        if (n > 0 && (size_t)n <= room && i2d_ECDSA_SIG(sig, &der) == n)
            len = (size_t)n;
    }
    BN_free(r);
    BN_free(s);
    ECDSA_SIG_free(sig);
    return len;
}

static bool der_to_raw(unsigned char *raw, const unsigned char *der, size_t len, size_t half)
{
    ECDSA_SIG *sig = d2i_ECDSA_SIG(NULL, &der, (long)len);
    bool ok = sig != NULL && BN_bn2binpad(ECDSA_SIG_get0_r(sig), raw, (int)half) > 0 &&
              BN_bn2binpad(ECDSA_SIG_get0_s(sig), raw + half, (int)half) > 0;
    ECDSA_SIG_free(sig);
    return ok;
}

static bool is_ec(enum hd_key_type type)
{
    return type == HD_KEY_P256 || type == HD_KEY_P384;
}

int hd_pkey_sign(unsigned char *out, const struct hd_jwk *key, enum hd_alg alg, struct hd_str bytes,
                 struct hd_error *err)
{
    assert(hd_alg_key_type(alg) == key->type && key->can_sign);
    if (key->type == HD_KEY_SECRET) {
        size_t n = hmac(out, key, alg, bytes);
        return n > 0 ? (int)n : hd_fail(err, HD_EIO, "%s: cannot sign", hd_alg_name(alg));
    }
    unsigned char der[HD_SIGNATURE_MAX], *to = is_ec(key->type) ? der : out;
    size_t len = HD_SIGNATURE_MAX;
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    EVP_PKEY_CTX *ctx = NULL; /* md's */
    bool ok = md != NULL && EVP_DigestSignInit(md, &ctx, digest_of(alg), NULL, key->pkey) > 0 &&
              set_padding(ctx, alg) &&
              EVP_DigestSign(md, to, &len, (const unsigned char *)bytes.ptr, bytes.len) > 0;
    if (ok && is_ec(key->type)) {
        size_t half = coordinate_bytes(key->type);
        ok = der_to_raw(out, der, len, half);
        len = 2 * half;
    }
    EVP_MD_CTX_free(md);
    ERR_clear_error();
    return ok ? (int)len : hd_fail(err, HD_EIO, "%s: cannot sign", hd_alg_name(alg));
}

bool hd_pkey_verify(const struct hd_jwk *key, enum hd_alg alg, struct hd_str bytes,
                    struct hd_str signature)
{
    assert(hd_alg_key_type(alg) == key->type);
    unsigned char buf[EVP_MAX_MD_SIZE + 64];
    if (key->type == HD_KEY_SECRET) {
        size_t n = hmac(buf, key, alg, bytes);
        return n > 0 && hd_str_eq_secret(hd_str_n((const char *)buf, n), signature);
    }
    if (is_ec(key->type)) {
        size_t half = coordinate_bytes(key->type);
        if (signature.len != 2 * half)
            return false;
        size_t n = raw_to_der(buf, sizeof(buf), signature, half);
        if (n == 0)
            return false;
        signature = hd_str_n((const char *)buf, n);
    }
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    EVP_PKEY_CTX *ctx = NULL; /* md's */
    bool ok = md != NULL && EVP_DigestVerifyInit(md, &ctx, digest_of(alg), NULL, key->pkey) > 0 &&
              set_padding(ctx, alg) &&
              EVP_DigestVerify(md, (const unsigned char *)signature.ptr, signature.len,
                               (const unsigned char *)bytes.ptr, bytes.len) == 1;
    EVP_MD_CTX_free(md);
    ERR_clear_error();
    return ok;
}

/* --- making and checking keys --- */

/* @return the type, or HD_EINVAL: a kind, curve or size that we do not use. */
static int type_of(const EVP_PKEY *pkey, struct hd_error *err)
{
    if (EVP_PKEY_is_a(pkey, "RSA")) {
        int bits = EVP_PKEY_get_bits(pkey);
        if (bits < HD_KEY_RSA_MIN || bits > HD_KEY_RSA_MAX)
            return hd_fail(err, HD_EINVAL, "an RSA key has %d to %d bits here, not %d",
                           HD_KEY_RSA_MIN, HD_KEY_RSA_MAX, bits);
        return HD_KEY_RSA;
    }
    if (EVP_PKEY_is_a(pkey, "EC")) {
        char group[40] = "";
        EVP_PKEY_get_utf8_string_param(pkey, OSSL_PKEY_PARAM_GROUP_NAME, group, sizeof(group),
                                       NULL);
        if (strcmp(group, SN_X9_62_prime256v1) == 0)
            return HD_KEY_P256;
        if (strcmp(group, SN_secp384r1) == 0)
            return HD_KEY_P384;
        return hd_fail(err, HD_EINVAL, "curve %s is not P-256 or P-384", group);
    }
    if (EVP_PKEY_is_a(pkey, "ED25519"))
        return HD_KEY_ED25519;
    return hd_fail(err, HD_EINVAL, "not an RSA, EC or Ed25519 key");
}

/* Only a private half that belongs to the public one makes signatures that the public one takes. */
static bool halves_match(EVP_PKEY *pkey, enum hd_key_type type)
{
    static const enum hd_alg try[] = {
        [HD_KEY_RSA] = HD_ALG_RS256,
        [HD_KEY_P256] = HD_ALG_ES256,
        [HD_KEY_P384] = HD_ALG_ES384,
        [HD_KEY_ED25519] = HD_ALG_EDDSA,
    };
    struct hd_jwk key = {.type = type, .can_sign = true, .pkey = pkey};
    struct hd_str probe = HD_LIT("do both halves belong together?");
    unsigned char signature[HD_SIGNATURE_MAX];
    int n = hd_pkey_sign(signature, &key, try[type], probe, NULL);
    return n > 0 &&
           hd_pkey_verify(&key, try[type], probe, hd_str_n((const char *)signature, (size_t)n));
}

/* RFC 3447 section 3.1 wants an odd exponent of 3 or more. A long one only costs time. */
static int check_exponent(const EVP_PKEY *pkey, struct hd_error *err)
{
    BIGNUM *e = NULL;
    bool ok = EVP_PKEY_get_bn_param(pkey, OSSL_PKEY_PARAM_RSA_E, &e) > 0 && BN_is_odd(e) &&
              BN_num_bits(e) >= 2 && BN_num_bits(e) <= 64;
    BN_free(e);
    return ok ? 0 : hd_fail(err, HD_EINVAL, "the RSA exponent must be odd, 3 or more, 64 bits");
}

static int check(EVP_PKEY *pkey, enum hd_key_type type, bool is_private, struct hd_error *err)
{
    if (type == HD_KEY_RSA) {
        int rc = check_exponent(pkey, err);
        if (rc < 0)
            return rc;
    }
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(pkey, NULL);
    bool ok = ctx != NULL && EVP_PKEY_public_check(ctx) > 0;
    EVP_PKEY_CTX_free(ctx);
    ERR_clear_error();
    if (!ok)
        return hd_fail(err, HD_EINVAL, "the public key is not valid");
    if (is_private && !halves_match(pkey, type))
        return hd_fail(err, HD_EINVAL, "the private key does not belong to the public one");
    return 0;
}

static bool from_params(EVP_PKEY **out, const char *kind, OSSL_PARAM_BLD *bld, bool is_private)
{
    OSSL_PARAM *params = OSSL_PARAM_BLD_to_param(bld);
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, kind, NULL);
    bool ok = params != NULL && ctx != NULL && EVP_PKEY_fromdata_init(ctx) > 0 &&
              EVP_PKEY_fromdata(ctx, out, is_private ? EVP_PKEY_KEYPAIR : EVP_PKEY_PUBLIC_KEY,
                                params) > 0;
    EVP_PKEY_CTX_free(ctx);
    OSSL_PARAM_free(params);
    return ok;
}

static bool make_rsa(EVP_PKEY **out, const struct hd_pkey_bytes *parts)
{
    static const char *const names[HD_PKEY_PARTS] = {
        OSSL_PKEY_PARAM_RSA_N,         OSSL_PKEY_PARAM_RSA_E,
        OSSL_PKEY_PARAM_RSA_D,         OSSL_PKEY_PARAM_RSA_FACTOR1,
        OSSL_PKEY_PARAM_RSA_FACTOR2,   OSSL_PKEY_PARAM_RSA_EXPONENT1,
        OSSL_PKEY_PARAM_RSA_EXPONENT2, OSSL_PKEY_PARAM_RSA_COEFFICIENT1,
    };
    OSSL_PARAM_BLD *bld = OSSL_PARAM_BLD_new();
    BIGNUM *numbers[HD_PKEY_PARTS] = {NULL};
    bool ok = bld != NULL, is_private = parts[HD_PKEY_PRIVATE].len > 0;
    bool whole = true; /* the factors help only if all are there (RFC 7518 section 6.3.2) */
    for (int i = HD_PKEY_PRIVATE; i < HD_PKEY_PARTS; i++)
        whole = whole && parts[i].len > 0;
    int n = whole ? HD_PKEY_PARTS : is_private ? HD_PKEY_PRIVATE + 1 : HD_PKEY_PRIVATE;
    for (int i = 0; ok && i < n; i++) {
        numbers[i] = BN_bin2bn(parts[i].at, (int)parts[i].len, NULL);
        ok = numbers[i] != NULL && OSSL_PARAM_BLD_push_BN(bld, names[i], numbers[i]) > 0;
    }
    ok = ok && from_params(out, "RSA", bld, is_private);
    for (int i = 0; i < HD_PKEY_PARTS; i++)
        BN_clear_free(numbers[i]);
    OSSL_PARAM_BLD_free(bld);
    return ok;
}

static bool make_ec(EVP_PKEY **out, enum hd_key_type type, const struct hd_pkey_bytes *parts)
{
    size_t half = coordinate_bytes(type);
    const struct hd_pkey_bytes *x = &parts[HD_PKEY_PUBLIC], *y = &parts[HD_PKEY_PUBLIC2],
                               *d = &parts[HD_PKEY_PRIVATE];
    /* RFC 7518 sections 6.2.1 and 6.2.2: full length, leading zeros included. */
    if (x->len != half || y->len != half || (d->len != 0 && d->len != half))
        return false;
    unsigned char point[1 + 2 * 48] = {POINT_CONVERSION_UNCOMPRESSED};
    memcpy(point + 1, x->at, half);
    memcpy(point + 1 + half, y->at, half);
    OSSL_PARAM_BLD *bld = OSSL_PARAM_BLD_new();
    BIGNUM *secret = d->len > 0 ? BN_secure_new() : NULL;
    const char *group = type == HD_KEY_P256 ? SN_X9_62_prime256v1 : SN_secp384r1;
    bool ok =
        bld != NULL &&
        OSSL_PARAM_BLD_push_utf8_string(bld, OSSL_PKEY_PARAM_GROUP_NAME, group, 0) > 0 &&
        OSSL_PARAM_BLD_push_octet_string(bld, OSSL_PKEY_PARAM_PUB_KEY, point, 1 + 2 * half) > 0;
    if (ok && d->len > 0)
        ok = secret != NULL && BN_bin2bn(d->at, (int)d->len, secret) != NULL &&
             OSSL_PARAM_BLD_push_BN(bld, OSSL_PKEY_PARAM_PRIV_KEY, secret) > 0;
    ok = ok && from_params(out, "EC", bld, d->len > 0);
    BN_clear_free(secret);
    OSSL_PARAM_BLD_free(bld);
    return ok;
}

static bool make_ed25519(EVP_PKEY **out, const struct hd_pkey_bytes *parts)
{
    const struct hd_pkey_bytes *x = &parts[HD_PKEY_PUBLIC], *d = &parts[HD_PKEY_PRIVATE];
    if (x->len != 32 || (d->len != 0 && d->len != 32))
        return false;
    if (d->len == 0) {
        *out = EVP_PKEY_new_raw_public_key_ex(NULL, "ED25519", NULL, x->at, x->len);
        return *out != NULL;
    }
    /* OpenSSL derives the public half: it must be the one that was given. */
    *out = EVP_PKEY_new_raw_private_key_ex(NULL, "ED25519", NULL, d->at, d->len);
    unsigned char derived[32];
    size_t n = sizeof(derived);
    return *out != NULL && EVP_PKEY_get_raw_public_key(*out, derived, &n) > 0 &&
           memcmp(derived, x->at, sizeof(derived)) == 0;
}

int hd_pkey_from_parts(struct evp_pkey_st **out, enum hd_key_type type,
                       const struct hd_pkey_bytes *parts, struct hd_error *err)
{
    EVP_PKEY *pkey = NULL;
    bool ok = false;
    switch (type) {
    case HD_KEY_SECRET:
        break;
    case HD_KEY_RSA:
        ok = make_rsa(&pkey, parts);
        break;
    case HD_KEY_P256:
    case HD_KEY_P384:
        ok = make_ec(&pkey, type, parts);
        break;
    case HD_KEY_ED25519:
        ok = make_ed25519(&pkey, parts);
        break;
    }
    ERR_clear_error();
    int rc = 0;
    if (!ok)
        rc = hd_fail(err, HD_EINVAL, "its numbers do not make %s", hd_key_type_name(type));
    if (rc == 0)
        rc = type_of(pkey, err);
    if (rc >= 0)
        rc = check(pkey, type, parts[HD_PKEY_PRIVATE].len > 0, err);
    if (rc < 0) {
        EVP_PKEY_free(pkey);
        return rc;
    }
    *out = pkey;
    return 0;
}

/* --- PEM --- */

/* @return the key of one block; *known tells whether the block's name is one that holds a key. */
static EVP_PKEY *from_block(const char *name, const unsigned char *der, long len, bool *known,
                            bool *is_private)
{
    *known = true;
    *is_private = false;
    if (strcmp(name, PEM_STRING_PUBLIC) == 0)
        return d2i_PUBKEY(NULL, &der, len);
    if (strcmp(name, PEM_STRING_RSA_PUBLIC) == 0)
        return d2i_PublicKey(EVP_PKEY_RSA, NULL, &der, len);
    if (strcmp(name, PEM_STRING_X509) == 0) {
        X509 *cert = d2i_X509(NULL, &der, len);
        EVP_PKEY *pkey = cert != NULL ? X509_get_pubkey(cert) : NULL;
        X509_free(cert);
        return pkey;
    }
    *is_private = true;
    if (strcmp(name, PEM_STRING_PKCS8INF) == 0 || strcmp(name, PEM_STRING_RSA) == 0 ||
        strcmp(name, PEM_STRING_ECPRIVATEKEY) == 0)
        return d2i_AutoPrivateKey(NULL, &der, len);
    *known = strcmp(name, PEM_STRING_PKCS8) == 0; /* "ENCRYPTED PRIVATE KEY" */
    return NULL;
}

int hd_pkey_from_pem(struct evp_pkey_st **out, enum hd_key_type *type, bool *is_private,
                     struct hd_str *pem, struct hd_error *err)
{
    BIO *bio = BIO_new_mem_buf(pem->ptr != NULL ? pem->ptr : "", (int)pem->len);
    EVP_PKEY *pkey = NULL;
    bool known = false, encrypted = false;
    while (bio != NULL && !known) { /* other blocks (EC PARAMETERS, ...) are passed over */
        char *name = NULL, *header = NULL;
        unsigned char *der = NULL;
        long len = 0;
        if (PEM_read_bio(bio, &name, &header, &der, &len) != 1)
            break;
        encrypted = strcmp(name, PEM_STRING_PKCS8) == 0 || header[0] != '\0';
        pkey = from_block(name, der, len, &known, is_private);
        OPENSSL_free(name);
        OPENSSL_free(header);
        OPENSSL_clear_free(der, (size_t)len);
    }
    if (bio != NULL) {
        size_t left = BIO_ctrl_pending(bio);
        *pem = hd_str_n(pem->ptr + (pem->len - left), left);
    }
    BIO_free(bio);
    ERR_clear_error();
    if (!known)
        return 0;
    if (pkey == NULL)
        return hd_fail(err, HD_EINVAL,
                       encrypted ? "the private key is encrypted: give it without a passphrase"
                                 : "broken, or of a kind that is not known here");
    int rc = type_of(pkey, err);
    if (rc >= 0) {
        *type = (enum hd_key_type)rc;
        rc = check(pkey, *type, *is_private, err);
    }
    if (rc < 0) {
        EVP_PKEY_free(pkey);
        return rc;
    }
    *out = pkey;
    return 1;
}
