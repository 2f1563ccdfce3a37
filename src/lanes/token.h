/* lanes/token.h - lane tokens: who may put something on a lane, and what. Compact JWS with claims
 * of its own; differs from auth/jwt.h in claims, in ES256's form of a signature, and in the choice
 * of keys, so it is not built on it; both use auth/pkey.h. */
#pragma once

#include "auth/jwk.h"
#include "core/buf.h"

enum hd_lane_auth_mode { HD_LANE_AUTH_NONE, HD_LANE_AUTH_HMAC, HD_LANE_AUTH_ASYMMETRIC };

/** What a binding's `auth` says, as read from the configuration; all owned. */
struct hd_lane_auth {
    enum hd_lane_auth_mode mode;
    enum hd_alg alg;                                /* asymmetric: EdDSA, ES256 or RS256 */
    char *secret, *produce_secret, *consume_secret; /* hmac; wiped when freed */
    char *private_key, *private_key_kid;            /* PEM text */
    char *public_key;                               /* PEM text */
    char **kids, **kid_keys;                        /* publicKeysByKid, in order */
    size_t n_kids;
    char *header; /* lower case; "authorization" */
    uint32_t token_ttl_ms, clock_skew_ms;
    bool accept_legacy_tokens, kid_fallback;
    bool ttl_given;
};
void hd_lane_auth_done(struct hd_lane_auth *a);

/** Keys made ready; immutable; any thread. */
struct hd_lane_keys;
/** @return 0 and *out; HD_EINVAL: a key that cannot be read or does not fit (the message says
 * which). */
int hd_lane_keys_new(struct hd_lane_keys **out, const struct hd_lane_auth *auth,
                     struct hd_error *err);
void hd_lane_keys_free(struct hd_lane_keys *k); /* NULL is fine */
bool hd_lane_keys_can_sign(const struct hd_lane_keys *k);
bool hd_lane_keys_can_verify(const struct hd_lane_keys *k);

enum hd_lane_token_kind { HD_LANE_RPC_TASK, HD_LANE_RPC_EVENT, HD_LANE_EVENT };

struct hd_lane_claims {
    struct hd_str lane, target; /* lane id; canonical id of the task or event */
    enum hd_lane_token_kind kind;
    struct hd_str hash; /* base64url SHA-256 of the body; empty: none */
};

/** Append a token. @return 0; HD_EINVAL: nothing to sign with; HD_EIO. */
int hd_lane_token_sign(struct hd_buf *out, const struct hd_lane_keys *k,
                       const struct hd_lane_claims *claims, int64_t now_ms, struct hd_error *err);

/**
 * Check a token.
 * @param want      what it must say. want->hash empty: any hash, also none.
 * @param or_hash   another hash that is as good (canonical body); empty: none.
 * @return 0; HD_EDENIED, and the message is the reason, for logs only.
 */
int hd_lane_token_verify(const struct hd_lane_keys *k, struct hd_str token,
                         const struct hd_lane_claims *want, struct hd_str or_hash, int64_t now_ms,
                         struct hd_error *err);
/**
 * Check what is known later than the rest: the hash of the body, of a token that
 * hd_lane_token_verify() let in with any hash. It costs no signature.
 * @return 0; HD_EDENIED.
 */
int hd_lane_token_verify_hash(const struct hd_lane_keys *k, struct hd_str token, struct hd_str hash,
                              struct hd_str or_hash, struct hd_error *err);
/** Take the token out of a header's value: "Bearer x" in `authorization`, else the bare value. */
struct hd_str hd_lane_token_of(struct hd_str header_name, struct hd_str value);
/** Append base64url(SHA-256(bytes)). */
void hd_lane_hash(struct hd_buf *out, struct hd_str bytes);
