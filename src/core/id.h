/* core/id.h - random bytes and the identifiers made of them. */
#pragma once

#include "core/base.h"

enum { HD_UUID_CHARS = 36 };

/** Fill with bytes from the kernel's generator, fit for secrets. */
void hd_random(void *out, size_t len);

/** A fast generator for ids, jitter and simulations; never for secrets. One per thread. */
struct hd_rng {
    uint64_t s[4];
};
/** @param seed  0: seed from the kernel. */
void hd_rng_init(struct hd_rng *r, uint64_t seed);
uint64_t hd_rng_next(struct hd_rng *r);
/** @return an even choice from 0 to @p below - 1. */
uint64_t hd_rng_below(struct hd_rng *r, uint64_t below);

/** Write a random UUID (version 4) in lower case, and a NUL (RFC 9562 section 5.4). */
void hd_uuid4(char out[HD_UUID_CHARS + 1], struct hd_rng *r);
/**
 * Write a UUID version 7 in lower case (RFC 9562 section 5.7).
 * @param out  HD_UUID_CHARS characters and a NUL.
 */
void hd_uuid7(char out[HD_UUID_CHARS + 1], struct hd_rng *r, int64_t now_unix_ms);
/** Write @p len bytes as 2 * @p len lower-case hex digits and a NUL. */
void hd_hex(char *out, const void *bytes, size_t len);
/** Read hex digits. @return 0, or HD_EINVAL unless there are exactly 2 * @p len of them. */
int hd_unhex(void *out, size_t len, struct hd_str hex);
