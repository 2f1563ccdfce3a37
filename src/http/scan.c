/* Whether a byte is of a class is looked up by its two halves: each low half has a byte with one
 * bit for each of the high halves 0 to 7. That works for 16 or 32 bytes at once with PSHUFB. The
 * way is chosen by __builtin_cpu_supports(): a load and a branch that is always predicted, on a
 * word which the compiler's runtime sets before main(), so there is nothing of ours to initialise
 * and nothing for threads to race on. */
#include "http/scan.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#define T HD_CHAR_TOKEN
#define V HD_CHAR_VALUE
#define P (HD_CHAR_PATH | HD_CHAR_QUERY)
#define Q HD_CHAR_QUERY
#define H HD_CHAR_HOST
#define X HD_CHAR_HEX

/* clang-format off */
const uint8_t hd_char_class[256] = {
    ['\t'] = V,
    [' '] = V,
    ['!'] = T | V | P,
    ['"'] = V | P,
    ['#'] = T | V,
    ['$'] = T | V | P, ['%'] = T | V | P, ['&'] = T | V | P, ['\''] = T | V | P,
    ['('] = V | P, [')'] = V | P,
    ['*'] = T | V | P, ['+'] = T | V | P,
    [','] = V | P,
    ['-'] = T | V | P | H, ['.'] = T | V | P | H,
    ['/'] = V | P,
    ['0' ... '9'] = T | V | P | H | X,
    [':'] = V | P, [';'] = V | P,
    ['<'] = V,
    ['='] = V | P,
    ['>'] = V,
    ['?'] = V | Q,
    ['@'] = V | P,
    ['A' ... 'F'] = T | V | P | H | X,
    ['G' ... 'Z'] = T | V | P | H,
    ['['] = V | P,
    ['\\'] = V | Q,
    [']'] = V | P,
    ['^'] = T | V | P,
    ['_'] = T | V | P | H,
    ['`'] = T | V | P,
    ['a' ... 'f'] = T | V | P | H | X,
    ['g' ... 'z'] = T | V | P | H,
    ['{'] = V | P,
    ['|'] = T | V | P,
    ['}'] = V | P,
    ['~'] = T | V | P | H,
    [0x80 ... 0xff] = V,
};
/* clang-format on */

static inline const char *scan_bytes(const char *at, const char *end, enum hd_char what)
{
    while (at < end && hd_char_is(*at, what))
        at++;
    return at;
}

static const char *value_portable(const char *at, const char *end)
{
    return scan_bytes(at, end, HD_CHAR_VALUE);
}
static const char *path_portable(const char *at, const char *end)
{
    return scan_bytes(at, end, HD_CHAR_PATH);
}
static const char *query_portable(const char *at, const char *end)
{
    return scan_bytes(at, end, HD_CHAR_QUERY);
}
static bool always(void)
{
    return true;
}

#if defined(__x86_64__)

/* Bit h of low[l] is set where byte h * 16 + l is permitted; compared with hd_char_class by the
 * tests. Bytes from 0x80 on take the last column of high[], which matches any bit or none. */
struct halves {
    uint8_t low[16];
    uint8_t from_0x80;
};
/* clang-format off */
static const struct halves value_halves = {
    {0xfc, 0xfc, 0xfc, 0xfc, 0xfc, 0xfc, 0xfc, 0xfc, 0xfc, 0xfd, 0xfc, 0xfc, 0xfc, 0xfc, 0xfc, 0x7c}, 0xff};
static const struct halves path_halves = {
    {0xf8, 0xfc, 0xfc, 0xf8, 0xfc, 0xfc, 0xfc, 0xfc, 0xfc, 0xfc, 0xfc, 0xfc, 0xd4, 0xfc, 0xf4, 0x74}, 0};
static const struct halves query_halves = {
    {0xf8, 0xfc, 0xfc, 0xf8, 0xfc, 0xfc, 0xfc, 0xfc, 0xfc, 0xfc, 0xfc, 0xfc, 0xf4, 0xfc, 0xf4, 0x7c}, 0};
/* clang-format on */

__attribute__((target("avx2"), always_inline)) static inline const char *
scan_avx2(const char *at, const char *end, const struct halves *h, enum hd_char what)
{
    const __m256i low = _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)h->low));
    const char x = (char)h->from_0x80;
    const __m256i high = _mm256_broadcastsi128_si256(
        _mm_setr_epi8(1, 2, 4, 8, 16, 32, 64, -128, x, x, x, x, x, x, x, x));
    const __m256i nibble = _mm256_set1_epi8(0x0f);
    while (end - at >= 32) {
        __m256i bytes = _mm256_loadu_si256((const __m256i *)at);
        __m256i l = _mm256_shuffle_epi8(low, _mm256_and_si256(bytes, nibble));
        __m256i r =
            _mm256_shuffle_epi8(high, _mm256_and_si256(_mm256_srli_epi16(bytes, 4), nibble));
        __m256i bad = _mm256_cmpeq_epi8(_mm256_and_si256(l, r), _mm256_setzero_si256());
        unsigned mask = (unsigned)_mm256_movemask_epi8(bad);
        if (mask != 0)
            return at + __builtin_ctz(mask);
        at += 32;
    }
    return scan_bytes(at, end, what);
}

__attribute__((target("sse4.2"), always_inline)) static inline const char *
scan_sse42(const char *at, const char *end, const struct halves *h, enum hd_char what)
{
    const __m128i low = _mm_loadu_si128((const __m128i *)h->low);
    const char x = (char)h->from_0x80;
    const __m128i high = _mm_setr_epi8(1, 2, 4, 8, 16, 32, 64, -128, x, x, x, x, x, x, x, x);
    const __m128i nibble = _mm_set1_epi8(0x0f);
    while (end - at >= 16) {
        __m128i bytes = _mm_loadu_si128((const __m128i *)at);
        __m128i l = _mm_shuffle_epi8(low, _mm_and_si128(bytes, nibble));
        __m128i r = _mm_shuffle_epi8(high, _mm_and_si128(_mm_srli_epi16(bytes, 4), nibble));
        __m128i bad = _mm_cmpeq_epi8(_mm_and_si128(l, r), _mm_setzero_si128());
        unsigned mask = (unsigned)_mm_movemask_epi8(bad);
        if (mask != 0)
            return at + __builtin_ctz(mask);
        at += 16;
    }
    return scan_bytes(at, end, what);
}

__attribute__((target("avx2"))) static const char *value_avx2(const char *at, const char *end)
{
    return scan_avx2(at, end, &value_halves, HD_CHAR_VALUE);
}
__attribute__((target("avx2"))) static const char *path_avx2(const char *at, const char *end)
{
    return scan_avx2(at, end, &path_halves, HD_CHAR_PATH);
}
__attribute__((target("avx2"))) static const char *query_avx2(const char *at, const char *end)
{
    return scan_avx2(at, end, &query_halves, HD_CHAR_QUERY);
}
__attribute__((target("sse4.2"))) static const char *value_sse42(const char *at, const char *end)
{
    return scan_sse42(at, end, &value_halves, HD_CHAR_VALUE);
}
__attribute__((target("sse4.2"))) static const char *path_sse42(const char *at, const char *end)
{
    return scan_sse42(at, end, &path_halves, HD_CHAR_PATH);
}
__attribute__((target("sse4.2"))) static const char *query_sse42(const char *at, const char *end)
{
    return scan_sse42(at, end, &query_halves, HD_CHAR_QUERY);
}
static bool has_avx2(void)
{
    return __builtin_cpu_supports("avx2");
}
static bool has_sse42(void)
{
    return __builtin_cpu_supports("sse4.2");
}

const char *hd_scan_value(const char *at, const char *end)
{
    if (has_avx2())
        return value_avx2(at, end);
    return has_sse42() ? value_sse42(at, end) : value_portable(at, end);
}

const char *hd_scan_path(const char *at, const char *end)
{
    if (has_avx2())
        return path_avx2(at, end);
    return has_sse42() ? path_sse42(at, end) : path_portable(at, end);
}

const char *hd_scan_query(const char *at, const char *end)
{
    if (has_avx2())
        return query_avx2(at, end);
    return has_sse42() ? query_sse42(at, end) : query_portable(at, end);
}

const struct hd_scan_way hd_scan_ways[] = {
    {"avx2", has_avx2, value_avx2, path_avx2, query_avx2},
    {"sse4.2", has_sse42, value_sse42, path_sse42, query_sse42},
    {"portable", always, value_portable, path_portable, query_portable},
};

#else

const char *hd_scan_value(const char *at, const char *end)
{
    return value_portable(at, end);
}

const char *hd_scan_path(const char *at, const char *end)
{
    return path_portable(at, end);
}

const char *hd_scan_query(const char *at, const char *end)
{
    return query_portable(at, end);
}

const struct hd_scan_way hd_scan_ways[] = {
    {"portable", always, value_portable, path_portable, query_portable},
};

#endif

const size_t hd_scan_n_ways = HD_COUNT(hd_scan_ways);
