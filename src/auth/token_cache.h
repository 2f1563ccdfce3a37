/* auth/token_cache.h - what was found out about tokens, so that a token is verified once and not
 * once a request. */
#pragma once

#include "auth/identity.h"

/**
 * One for each loop: no locks, no sharing.
 *
 * An entry is found by the SHA-256 of the token, so that the tokens themselves are not kept in
 * memory, a match needs no comparison of secrets, and no one can make two tokens meet. A hit costs
 * that hash (with the CPU's SHA instructions, or AVX2, well below a microsecond) and one look into
 * a table. Good and bad tokens have places of their own: a flood of bad ones never pushes out the
 * good ones.
 */
struct hd_token_cache;

struct hd_token_cache_options {
    uint32_t max_good;   /* entries; 0: 5000 */
    uint32_t max_bad;    /* entries; 0: 1000 */
    size_t max_bytes;    /* of all identities; 0: 16 MiB. What is too large is not kept */
    uint32_t bad_ttl_ms; /* how long a refusal is remembered; 0: 5000 */
};

struct hd_token_cache_stats {
    uint64_t hits, bad_hits, misses, evicted;
    size_t good, bad, bytes;
};

enum { HD_TOKEN_DIGEST_BYTES = 32 };
struct hd_token_digest {
    unsigned char bytes[HD_TOKEN_DIGEST_BYTES];
};

/** @param opt  NULL: defaults. */
struct hd_token_cache *hd_token_cache_new(const struct hd_token_cache_options *opt);
void hd_token_cache_free(struct hd_token_cache *c); /* NULL is fine */
void hd_token_cache_stats(struct hd_token_cache_stats *out, const struct hd_token_cache *c);
/** Compute the SHA-256 of a token. */
void hd_token_cache_digest(struct hd_token_digest *out, struct hd_token_cache *c,
                           struct hd_str token);
/**
 * Forget everything unless @p epoch is the one of the last call: what is known was found out with
 * other keys or rules.
 */
void hd_token_cache_epoch(struct hd_token_cache *c, uint64_t epoch);
/**
 * Look up. @param id  set on 1; borrowed until the next put.
 * @param code  set on -1: the code that was put.
 * @return 1: known and still good; -1: known to be bad; 0: not known. What is over is dropped.
 */
int hd_token_cache_get(struct hd_token_cache *c, const struct hd_token_digest *digest,
                       int64_t now_ms, struct hd_identity **id, int *code);
/** Remember a good token until id->valid_until_s. Takes a reference of its own. */
void hd_token_cache_put(struct hd_token_cache *c, const struct hd_token_digest *digest,
                        struct hd_identity *id, int64_t now_ms);
/** Remember that a token is bad, for bad_ttl_ms. @param code  not 0. */
void hd_token_cache_put_bad(struct hd_token_cache *c, const struct hd_token_digest *digest,
                            int code, int64_t now_ms);

HD_AUTO(hd_token_cache)
