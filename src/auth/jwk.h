/* auth/jwk.h - keys for signing and checking tokens: JSON Web Keys (RFC 7517, RFC 7518 section 6,
 * RFC 8037), PEM files and shared secrets, held as one set. */
#pragma once

#include "core/base.h"

struct evp_pkey_st; /* OpenSSL's */

/** Signature algorithms (RFC 7518 section 3.1, RFC 8037 section 3.1). There is no "none". */
enum hd_alg {
    HD_ALG_HS256,
    HD_ALG_HS384,
    HD_ALG_HS512,
    HD_ALG_RS256,
    HD_ALG_RS384,
    HD_ALG_RS512,
    HD_ALG_PS256,
    HD_ALG_PS384,
    HD_ALG_PS512,
    HD_ALG_ES256,
    HD_ALG_ES384,
    HD_ALG_EDDSA,
};
enum { HD_ALG_COUNT = HD_ALG_EDDSA + 1 };
#define HD_ALG_BIT(alg) (1u << (alg))

enum hd_key_type { HD_KEY_SECRET, HD_KEY_RSA, HD_KEY_P256, HD_KEY_P384, HD_KEY_ED25519 };

enum {
    HD_JWKS_KEYS_MAX = 64,
    HD_JWKS_BYTES_MAX = 256 * 1024,
    HD_KEY_SECRET_MIN = 32, /* bytes: RFC 7518 section 3.2 asks for as many as HS256 makes */
    HD_KEY_SECRET_MAX = 1024,
    HD_KEY_RSA_MIN = 2048, /* bits: RFC 7518 section 3.3 */
    HD_KEY_RSA_MAX = 8192, /* above, one check takes longer than a peer may make us work */
    HD_KEY_KID_MAX = 255,  /* bytes */
};

/** @return "HS256", ..., "EdDSA". */
const char *hd_alg_name(enum hd_alg alg);
/** Exact spelling only: "NONE" and "hs256" are nothing. @return 0, or HD_ENOTFOUND. */
int hd_alg_parse(enum hd_alg *out, struct hd_str name);
/** @return the one type of key that @p alg works with. */
enum hd_key_type hd_alg_key_type(enum hd_alg alg);
/** @return "a secret", "an RSA key", ... for messages. */
const char *hd_key_type_name(enum hd_key_type type);

/** One key; belongs to its set. */
struct hd_jwk {
    enum hd_key_type type;
    uint32_t algs;            /* HD_ALG_BIT()s that it may be used with: they fit the type */
    char *kid;                /* NULL: it has none */
    bool can_sign;            /* a secret, or the private half is there */
    struct evp_pkey_st *pkey; /* NULL for secrets, and only for them */
    unsigned char *secret;    /* wiped when freed */
    size_t secret_bytes;
};

/** Counted; the last unref frees. Filled by its maker alone, immutable once it is shared. */
struct hd_jwks;

/** @return an empty set with one reference, the caller's. */
struct hd_jwks *hd_jwks_new(void);
struct hd_jwks *hd_jwks_ref(struct hd_jwks *set);
void hd_jwks_unref(struct hd_jwks *set); /* NULL is fine */
size_t hd_jwks_count(const struct hd_jwks *set);
/** @return key number @p i, valid as long as the set. */
const struct hd_jwk *hd_jwks_at(const struct hd_jwks *set, size_t i);
/** @return how many keys of JSON sets were left out, and in *why the reason of the first. */
size_t hd_jwks_skipped(const struct hd_jwks *set, const char **why);

/**
 * Add a shared secret for HS256, HS384 and HS512.
 * @param secret  HD_KEY_SECRET_MIN bytes or more; copied.
 * @param kid     may be empty: the key then fits tokens with any kid.
 * @return 0, HD_EINVAL, or HD_EBUSY when the set is full.
 */
int hd_jwks_add_secret(struct hd_jwks *set, struct hd_str secret, struct hd_str kid,
                       struct hd_error *err);
/**
 * Add every public key, certificate and unencrypted private key of a PEM text. Of a certificate
 * only the key is used: who signed it, and until when, is not looked at.
 * @return 0, HD_EINVAL (none in it, or one that does not fit), or HD_EBUSY.
 */
int hd_jwks_add_pem(struct hd_jwks *set, struct hd_str pem, struct hd_str kid,
                    struct hd_error *err);
/**
 * Add a JWK, or the keys of a JWK set. Keys of a set that are not for signatures, of an unknown
 * kind, too weak or broken are left out (RFC 7517 section 5) and counted.
 * @param published  the text came from an address that others can read as well: secrets in it are
 *                   none, and left out.
 * @return 0, HD_EINVAL (no JSON, or not one key fits), or HD_EBUSY.
 */
int hd_jwks_add_json(struct hd_jwks *set, struct hd_str json, bool published, struct hd_error *err);

static inline void hd_jwks_auto_(struct hd_jwks **p)
{
    hd_jwks_unref(*p);
}
