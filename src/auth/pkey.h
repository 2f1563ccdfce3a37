/* auth/pkey.h - public and private keys as OpenSSL holds them: made of their parts, checked, used.
 * The one place that knows OpenSSL's way with keys. */
#pragma once

#include "auth/jwk.h"

struct hd_pkey_bytes {
    unsigned char at[1088]; /* an RSA modulus of HD_KEY_RSA_MAX bits, and a secret */
    size_t len;
};
/** What a key is made of, as big-endian numbers: RSA n e d p q dp dq qi; EC x y d; Ed25519 x - d.
 */
enum hd_pkey_part { HD_PKEY_PUBLIC, HD_PKEY_PUBLIC2, HD_PKEY_PRIVATE, HD_PKEY_PARTS = 8 };

/**
 * Make a key of its parts. It is checked: size, point on the curve, and that a private half
 * belongs to the public one.
 * @param parts  HD_PKEY_PARTS of them; empty: not there.
 * @return 0 and *out, to be freed with hd_pkey_free(); or HD_EINVAL.
 */
int hd_pkey_from_parts(struct evp_pkey_st **out, enum hd_key_type type,
                       const struct hd_pkey_bytes *parts, struct hd_error *err);
/**
 * Take the next key out of a PEM text.
 * @param pem  set to what follows it.
 * @return 1 and *out; 0 when there is none left; HD_EINVAL for one that does not fit.
 */
int hd_pkey_from_pem(struct evp_pkey_st **out, enum hd_key_type *type, bool *is_private,
                     struct hd_str *pem, struct hd_error *err);
void hd_pkey_free(struct evp_pkey_st *pkey); /* NULL is fine */

enum { HD_SIGNATURE_MAX = HD_KEY_RSA_MAX / 8 };

/**
 * Sign @p bytes as RFC 7518 section 3 writes signatures (ES: r and s side by side).
 * @param key  fits @p alg and can sign: an assertion.
 * @param out  room for HD_SIGNATURE_MAX bytes.
 * @return the length, or HD_EIO when OpenSSL fails.
 */
int hd_pkey_sign(unsigned char *out, const struct hd_jwk *key, enum hd_alg alg, struct hd_str bytes,
                 struct hd_error *err);
/** @return whether @p signature over @p bytes is right. @p key fits @p alg: an assertion. */
bool hd_pkey_verify(const struct hd_jwk *key, enum hd_alg alg, struct hd_str bytes,
                    struct hd_str signature);
