#include "core/id.h"

#include <errno.h>
#include <sys/random.h>

void hd_random(void *out, size_t len)
{
    char *at = out;
    while (len > 0) {
        ssize_t n = getrandom(at, len, 0);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            abort(); /* cannot fail on a supported kernel, and must not be guessed at */
        at += n;
        len -= (size_t)n;
    }
}

static uint64_t splitmix(uint64_t *state)
{
    uint64_t z = (*state += 0x9e3779b97f4a7c15ULL);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
    return z ^ (z >> 31);
}

void hd_rng_init(struct hd_rng *r, uint64_t seed)
{
    if (seed == 0)
        hd_random(&seed, sizeof(seed));
    for (size_t i = 0; i < HD_COUNT(r->s); i++)
        r->s[i] = splitmix(&seed);
}

static uint64_t rotl(uint64_t x, int k)
{
    return (x << k) | (x >> (64 - k));
}

/* xoshiro256** (Blackman, Vigna 2018) */
uint64_t hd_rng_next(struct hd_rng *r)
{
    uint64_t *s = r->s;
    uint64_t result = rotl(s[1] * 5, 7) * 9, t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotl(s[3], 45);
    return result;
}

uint64_t hd_rng_below(struct hd_rng *r, uint64_t below)
{
    return (uint64_t)(((__uint128_t)hd_rng_next(r) * below) >> 64);
}

static const char digits[] = "0123456789abcdef";

void hd_hex(char *out, const void *bytes, size_t len)
{
    const unsigned char *p = bytes;
    for (size_t i = 0; i < len; i++) {
        out[2 * i] = digits[p[i] >> 4];
        out[2 * i + 1] = digits[p[i] & 15];
    }
    out[2 * len] = '\0';
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

int hd_unhex(void *out, size_t len, struct hd_str hex)
{
    unsigned char *to = out;
    if (hex.len != 2 * len)
        return HD_EINVAL;
    for (size_t i = 0; i < len; i++) {
        int high = hex_value(hex.ptr[2 * i]), low = hex_value(hex.ptr[2 * i + 1]);
        if (high < 0 || low < 0)
            return HD_EINVAL;
        to[i] = (unsigned char)(high * 16 + low);
    }
    return 0;
}

/* Write the bytes with variant and version set. */
static void uuid(char *out, unsigned char b[16], unsigned version)
{
    b[6] = (unsigned char)(version << 4 | (b[6] & 0x0f));
    b[8] = (unsigned char)(0x80 | (b[8] & 0x3f));
    for (int i = 0; i < 16; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10)
            *out++ = '-';
        *out++ = digits[b[i] >> 4];
        *out++ = digits[b[i] & 15];
    }
    *out = '\0';
}

void hd_uuid4(char out[HD_UUID_CHARS + 1], struct hd_rng *r)
{
    unsigned char b[16];
    uint64_t random[2] = {hd_rng_next(r), hd_rng_next(r)};
    memcpy(b, random, sizeof(b));
    uuid(out, b, 4);
}

void hd_uuid7(char out[HD_UUID_CHARS + 1], struct hd_rng *r, int64_t now_unix_ms)
{
    unsigned char b[16];
    uint64_t ms = (uint64_t)now_unix_ms, random[2] = {hd_rng_next(r), hd_rng_next(r)};
    for (int i = 0; i < 6; i++)
        b[i] = (unsigned char)(ms >> (40 - 8 * i));
    memcpy(b + 6, random, 10);
    uuid(out, b, 7);
}
