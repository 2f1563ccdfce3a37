/* auth/jwt.h - JSON Web Tokens in compact form (RFC 7515, RFC 7519), signed only: check and make.
 * Written along RFC 8725 (best current practices). Pure: time is an argument. */
#pragma once

#include "auth/jwk.h"
#include "core/buf.h"

struct json_t; /* jansson's */

enum {
    HD_JWT_BYTES_MAX = 16 * 1024, /* of a whole token */
    HD_JWT_TRIES_MAX = 8,         /* keys tried for one token */
};

/** What a token must say. All borrowed; lists are NULL-terminated, and NULL is an empty list. */
struct hd_jwt_rules {
    uint32_t algs;                     /* HD_ALG_BIT()s that are accepted */
    const char *const *issuers;        /* `iss` is one of them; empty: any or none */
    const char *const *audiences;      /* `aud` holds one of them; empty: any or none */
    const char *const *require_claims; /* these are there, and not null */
    uint32_t leeway_s;                 /* how far clocks may be apart */
    uint32_t max_age_s;                /* since `iat`, which is then needed; 0: any */
    bool allow_padding;                /* take "=" at the ends of parts, as some old makers do */
};

/** What a token said, after all of it was found good. */
struct hd_jwt {
    enum hd_alg alg;
    struct json_t *claims; /* the payload, an object */
    struct hd_str payload; /* the same as text, in memory of its own */
    int64_t valid_until_s; /* first second (since 1970) at which it is no longer good */
    int64_t exp_s;         /* its `exp`, rounded down */
};

/**
 * Check a token: form, algorithm, key, signature, then claims.
 *
 * The algorithm decides which type of key is looked at, so a public key never serves as a secret.
 * Of those, the ones with the token's `kid` are tried, then the ones that have none; without a
 * `kid` all are; HD_JWT_TRIES_MAX at most. `jku`, `jwk`, `x5u` and `x5c` are never followed, a
 * `crit` header refuses the token, duplicate members refuse it too. `exp` must be there.
 *
 * @param out    set on success; free with hd_jwt_done().
 * @param sets   keys to choose from; NULL entries are skipped.
 * @param now_s  wall clock, seconds since 1970.
 * @return 0;
 *         HD_EPROTO: not a token, or one that says what we do not understand;
 *         HD_ENOTFOUND: signed with a key that is not among @p sets: the message has its `kid`;
 *         HD_ETIMEOUT: expired or too old;
 *         HD_EDENIED: everything else. The message names the rule; it is for logs, not for clients,
 *         and holds nothing of the token but names, algorithm and kid.
 */
int hd_jwt_verify(struct hd_jwt *out, struct hd_str token, struct hd_jwks *const *sets,
                  size_t n_sets, const struct hd_jwt_rules *rules, int64_t now_s,
                  struct hd_error *err);
void hd_jwt_done(struct hd_jwt *jwt);

/** @return a string claim, valid as long as @p jwt; {NULL, 0} if it is not there or no string. */
struct hd_str hd_jwt_claim(const struct hd_jwt *jwt, const char *name);

/**
 * Append a signed token.
 * @param payload  JSON text; what it says is up to the caller.
 * @return 0, HD_EINVAL if @p key does not go with @p alg or cannot sign, HD_EBUSY when @p out is
 *         full, HD_EIO.
 */
int hd_jwt_sign(struct hd_buf *out, const struct hd_jwk *key, enum hd_alg alg,
                struct hd_str payload, struct hd_error *err);
