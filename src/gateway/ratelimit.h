/* gateway/ratelimit.h - how often each client may call each function. */
#pragma once

#include "core/base.h"

#include <heddle/invoke.h>

/**
 * A table of token buckets, shared by all loops: cut into shards with a short lock each.
 *
 * Its memory is fixed. When a shard is full, buckets that are full of tokens again go first (they
 * say no more than no bucket does), then the one that was not used longest; a bucket that is
 * refusing is kept until it would let one request through, so nobody gets rid of a limit by making
 * the table overflow. If a whole shard is refusing, clients that are new to it share one bucket.
 */
struct hd_ratelimit;

struct hd_ratelimit_options {
    uint32_t max_buckets; /* 0: 65536, of 64 bytes each, touched as they come into use */
    bool dry_run;         /* decide and count, but let everything through */
    uint64_t seed;        /* of the hash; 0: random */
};

/** Who is counted for what. */
struct hd_ratelimit_key {
    uint64_t hash[2]; /* with the table's own seed: nobody outside can make two meet */
};
enum hd_ratelimit_scope {
    HD_RATELIMIT_USER,  /* who: `sub` of a verified token */
    HD_RATELIMIT_IP,    /* who: the bytes of an address as hd_ipaddr_client() gives it */
    HD_RATELIMIT_KEY,   /* who: an API key's name */
    HD_RATELIMIT_TOTAL, /* who: empty; all callers of a function together */
};

struct hd_ratelimit_result {
    bool allowed;
    bool over;              /* the limit is reached; differs from !allowed in a dry run only */
    uint32_t limit;         /* tokens that the bucket holds: the burst */
    uint32_t remaining;     /* whole tokens left */
    uint32_t window_s;      /* in which an empty bucket fills up; 1 or more */
    uint32_t reset_s;       /* until it is full; 0: it is */
    uint32_t retry_after_s; /* until this request would pass: 1 or more if `over`, else 0 */
};

struct hd_ratelimit_stats {
    uint64_t allowed, over, evicted;
    uint64_t shared; /* requests that had to share a bucket */
    size_t buckets;
};

/** @param opt  NULL: defaults. @return the caller's to free. */
struct hd_ratelimit *hd_ratelimit_new(const struct hd_ratelimit_options *opt);
void hd_ratelimit_free(struct hd_ratelimit *r); /* NULL is fine */
void hd_ratelimit_stats(struct hd_ratelimit_stats *out, struct hd_ratelimit *r);

struct hd_ratelimit_key hd_ratelimit_key(const struct hd_ratelimit *r,
                                         enum hd_ratelimit_scope scope, struct hd_str who,
                                         struct hd_str function);
/**
 * Take tokens out of a bucket, or none if there are too few. A new bucket is full.
 * @param rpm     tokens that flow in per minute, evenly; 1 or more.
 * @param burst   tokens that it holds; 0: rpm.
 * @param cost    tokens to take; 0 only looks. More than it holds counts as all of it.
 * @param now_ms  monotonic.
 */
struct hd_ratelimit_result hd_ratelimit_take(struct hd_ratelimit *r, struct hd_ratelimit_key key,
                                             uint32_t rpm, uint32_t burst, uint32_t cost,
                                             uint64_t now_ms);

enum { HD_RATELIMIT_FIELDS_MAX = 6, HD_RATELIMIT_TEXT_BYTES = 160 };
/**
 * Write what an answer says about the limit: RateLimit-Policy and RateLimit (IETF draft
 * ratelimit-headers), X-RateLimit-Limit, -Remaining and -Reset; and, if it is over, Retry-After.
 * @param text  memory for the values; the fields point into it.
 * @return how many fields.
 */
size_t hd_ratelimit_fields(struct hd_field out[HD_RATELIMIT_FIELDS_MAX],
                           char text[HD_RATELIMIT_TEXT_BYTES],
                           const struct hd_ratelimit_result *result);

HD_AUTO(hd_ratelimit)
