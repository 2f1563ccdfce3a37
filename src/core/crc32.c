/* A checksum is the rest of a division of polynomials over GF(2). Bytes far ahead can be replaced
 * by others that leave the same rest: the upper and the lower half of 16 bytes, each multiplied by
 * the rest of a power of x that says how far they are moved. So 64 bytes are folded onto the next
 * 64, again and again, at last onto 16, and only those are divided, by zlib. The constants are
 * x^(4*128+32), x^(4*128-32), x^(128+32) and x^(128-32) modulo the polynomial, their bits reversed
 * (V. Gopal et al., Fast CRC Computation for Generic Polynomials Using PCLMULQDQ Instruction). */
#include "core/crc32.h"

#include <zlib.h>

#if defined(__x86_64__)
#include <immintrin.h>

enum { STEP = 64 };

#define ON_THAT __attribute__((target("pclmul,sse4.1")))

ON_THAT static inline __m128i load(const unsigned char *p)
{
    return _mm_loadu_si128((const __m128i *)(const void *)p);
}

ON_THAT static inline __m128i fold(__m128i x, __m128i onto, __m128i by)
{
    return _mm_xor_si128(
        onto, _mm_xor_si128(_mm_clmulepi64_si128(x, by, 0x00), _mm_clmulepi64_si128(x, by, 0x11)));
}

/* @param len  64 or more. */
ON_THAT static uint32_t crc32_clmul(uint32_t crc, const unsigned char *p, size_t len)
{
    const __m128i by_64 = _mm_set_epi64x(0x01c6e41596, 0x0154442bd4);
    const __m128i by_16 = _mm_set_epi64x(0x00ccaa009e, 0x01751997d0);
    __m128i a = _mm_xor_si128(load(p), _mm_cvtsi32_si128((int)~crc));
    __m128i b = load(p + 16), c = load(p + 32), d = load(p + 48);
    unsigned char last[16];
    for (p += STEP, len -= STEP; len >= STEP; p += STEP, len -= STEP) {
        a = fold(a, load(p), by_64);
        b = fold(b, load(p + 16), by_64);
        c = fold(c, load(p + 32), by_64);
        d = fold(d, load(p + 48), by_64);
    }
    a = fold(fold(fold(a, b, by_16), c, by_16), d, by_16);
    for (; len >= 16; p += 16, len -= 16)
        a = fold(a, load(p), by_16);
    _mm_storeu_si128((__m128i *)(void *)last, a);
    crc = (uint32_t)crc32_z(UINT32_MAX, last, sizeof(last)); /* what was in crc is in `a` */
    return (uint32_t)crc32_z(crc, p, len);
}

uint32_t hd_crc32(uint32_t crc, const void *bytes, size_t len)
{
    if (len >= STEP && __builtin_cpu_supports("pclmul") && __builtin_cpu_supports("sse4.1"))
        return crc32_clmul(crc, bytes, len);
    return len > 0 ? (uint32_t)crc32_z(crc, bytes, len) : crc;
}

#else

uint32_t hd_crc32(uint32_t crc, const void *bytes, size_t len)
{
    return len > 0 ? (uint32_t)crc32_z(crc, bytes, len) : crc;
}

#endif
