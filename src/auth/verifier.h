/* auth/verifier.h - from what a client sent to who it is, by everything that is configured. */
#pragma once

#include "auth/identity.h"
#include "auth/jwks_slot.h"
#include "auth/token_cache.h"

/** A key that is compared whole, byte by byte; a token inside it is not looked at. */
struct hd_api_key {
    const char *key;  /* HD_API_KEY_MIN characters or more */
    const char *role; /* NULL: "anon" for sb_publishable_..., "service_role" for sb_secret_... */
};
enum { HD_API_KEY_MIN = 8 };

/** All borrowed until hd_verifier_new() returns; lists are NULL-terminated, NULL is empty. */
struct hd_verifier_options {
    const char *const *secrets;    /* for HS256, HS384, HS512; the first is the newest */
    const char *const *jwks;       /* JWK sets as text */
    const char *const *jwks_files; /* paths of JWK sets */
    const char *const *pem_files;  /* paths of public keys or certificates */
    struct hd_jwks_slot *slot;     /* keys by URL; kept by reference; NULL: none */
    const struct hd_api_key *keys;
    size_t n_keys;
    struct hd_jwt_rules rules; /* algs 0: HS256, HS384 and HS512 where there is a secret; RS256,
                                  PS256, ES256, ES384 and EdDSA where there are other keys or URL */
};

/** Immutable and counted; any thread. A change of the configuration makes a new one. */
struct hd_verifier;

enum hd_auth {
    HD_AUTH_NONE,        /* nothing was sent */
    HD_AUTH_OK,          /* *id is who it is */
    HD_AUTH_INVALID,     /* "invalid_token" is all that a client is told */
    HD_AUTH_EXPIRED,     /* same to the client; it was good once */
    HD_AUTH_UNKNOWN_KEY, /* same; the keys are being fetched again, so asking later may help */
};

/**
 * Read keys and files, and check all of it. Reads files: not on a loop.
 * @return 0 and *out with one reference, the caller's; or an error that says which key.
 */
int hd_verifier_new(struct hd_verifier **out, const struct hd_verifier_options *opt,
                    struct hd_error *err);
struct hd_verifier *hd_verifier_ref(struct hd_verifier *v);
void hd_verifier_unref(struct hd_verifier *v); /* NULL is fine */
/** @return whether there is a key of any sort: else nobody can ever be verified. */
bool hd_verifier_can_verify(const struct hd_verifier *v);

/**
 * Find out who is asking. A bearer token decides alone, good or bad; @p apikey counts where there
 * is none. Each may be an API key or a token.
 * @param cache   of this loop; NULL: verify anew.
 * @param bearer  the token; empty: none.
 * @param apikey  value of the apikey header; empty: none.
 * @param now_ms  wall clock, milliseconds since 1970.
 * @param id      set with HD_AUTH_OK: a reference for the caller to unref.
 * @param err     says with HD_AUTH_INVALID, _EXPIRED and _UNKNOWN_KEY which rule it was, or that it
 *                is remembered; for logs only.
 */
enum hd_auth hd_verifier_check(struct hd_verifier *v, struct hd_token_cache *cache,
                               struct hd_str bearer, struct hd_str apikey, int64_t now_ms,
                               struct hd_identity **id, struct hd_error *err);

/** @return the token of an Authorization value ("Bearer <token>", any case, RFC 6750 section 2.1),
 *  or the empty slice. */
struct hd_str hd_bearer_token(struct hd_str authorization);
/** @return a word for logs and metrics: "none", "ok", "invalid", "expired", "unknown_key". */
const char *hd_auth_name(enum hd_auth result);

static inline void hd_verifier_auto_(struct hd_verifier **p)
{
    hd_verifier_unref(*p);
}
