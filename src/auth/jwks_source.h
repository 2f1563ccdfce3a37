/* auth/jwks_source.h - a key set that is published at a URL, kept fresh. */
#pragma once

#include "auth/jwks_slot.h"
#include "core/log.h"
#include "http/fetch.h"

/** Times in ms; 0 means the default. */
struct hd_jwks_source_options {
    const char *url;              /* copied */
    uint32_t timeout_ms;          /* of one fetch; 10 s */
    uint32_t refresh_min_ms;      /* never again sooner than this after a success; 1 min */
    uint32_t refresh_max_ms;      /* and never later, whatever max-age says; 1 h */
    uint32_t retry_min_ms;        /* after a failure, doubling; 1 s */
    uint32_t retry_max_ms;        /* 5 min */
    uint32_t missing_interval_ms; /* between fetches because of an unknown key; 10 s */
    uint32_t stale_max_ms;        /* keys are dropped when nothing was heard for so long; 24 h */
    uint64_t seed;                /* of the jitter; 0: random */
};

struct hd_jwks_source_stats {
    uint64_t fetches, failures, not_modified, published;
    uint64_t ok_ms;   /* loop time of the last success; 0: none yet */
    uint32_t retries; /* failures in a row */
    size_t keys;      /* in the set that is published */
};

/**
 * Fetches at once, then again when Cache-Control's max-age is over or sooner, with the ETag of what
 * is there. While the URL fails the last keys stay in use, and it is tried again with a growing,
 * jittered delay. When a token asks for a key that is not there, it is fetched once for all who
 * ask. An answer without one usable key is a failure: it does not replace what works.
 *
 * Lives on one loop, with the fetcher of that loop; the slot is for everybody.
 */
struct hd_jwks_source;

/** @param log  what goes wrong is said there, and told once when it works again; may be NULL.
 *  @return 0 and *out, to be ended with hd_jwks_source_close(); or HD_EINVAL for a bad URL. */
int hd_jwks_source_new(struct hd_jwks_source **out, struct hd_loop *loop,
                       struct hd_fetcher *fetcher, struct hd_jwks_slot *slot,
                       const struct hd_jwks_source_options *opt, struct hd_log *log,
                       struct hd_error *err);
/** Stop and free; then @p done, later. The keys stay in the slot. Before hd_fetcher_close(). */
void hd_jwks_source_close(struct hd_jwks_source *s, void (*done)(void *arg), void *arg);
void hd_jwks_source_stats(struct hd_jwks_source_stats *out, const struct hd_jwks_source *s);

/**
 * Read how long an answer is fresh (RFC 9111 section 5.2.2).
 * @param cache_control  value of the field; empty: nothing is said.
 * @param age            value of Age, or empty.
 * @return seconds, 0 for no-cache and no-store; or -1: it says nothing.
 */
int64_t hd_jwks_fresh_s(struct hd_str cache_control, struct hd_str age);
