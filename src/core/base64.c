#include "core/base64.h"

static const char plain_digits[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const char url_digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

size_t hd_base64_chars(enum hd_base64 kind, size_t bytes)
{
    size_t tail = bytes % 3;
    if (kind == HD_BASE64)
        return (bytes / 3 + (tail > 0)) * 4;
    return bytes / 3 * 4 + (tail > 0 ? tail + 1 : 0);
}

size_t hd_base64_bytes(size_t chars)
{
    return chars / 4 * 3 + chars % 4;
}

size_t hd_base64_encode(char *out, enum hd_base64 kind, const void *bytes, size_t len)
{
    const char *digits = kind == HD_BASE64 ? plain_digits : url_digits;
    const unsigned char *p = bytes;
    char *at = out;
    for (; len >= 3; len -= 3, p += 3) {
        *at++ = digits[p[0] >> 2];
        *at++ = digits[(p[0] & 3) << 4 | p[1] >> 4];
        *at++ = digits[(p[1] & 15) << 2 | p[2] >> 6];
        *at++ = digits[p[2] & 63];
    }
    if (len > 0) {
        unsigned second = len == 2 ? p[1] : 0;
        *at++ = digits[p[0] >> 2];
        *at++ = digits[(p[0] & 3) << 4 | second >> 4];
        if (len == 2)
            *at++ = digits[(second & 15) << 2];
        for (size_t i = len; kind == HD_BASE64 && i < 3; i++)
            *at++ = '=';
    }
    return (size_t)(at - out);
}

/* No table lookups: what is decoded may be a key. Branches depend on the class of a character
 * only. */
static int value_of(unsigned char c, enum hd_base64 kind)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    if (c == (kind == HD_BASE64 ? '+' : '-'))
        return 62;
    if (c == (kind == HD_BASE64 ? '/' : '_'))
        return 63;
    return -1;
}

enum { BLOCK = 64 };

/* The same for a block, in arithmetic that the compiler does on many characters at once.
 * @return whether all of them are digits. */
static bool values_of(unsigned char v[BLOCK], const char *in, enum hd_base64 kind)
{
    const unsigned char d62 = kind == HD_BASE64 ? '+' : '-', d63 = kind == HD_BASE64 ? '/' : '_';
    unsigned char bad = 0;
    for (int i = 0; i < BLOCK; i++) {
        unsigned char c = (unsigned char)in[i];
        unsigned char upper = (unsigned char)-((unsigned char)(c - 'A') < 26);
        unsigned char lower = (unsigned char)-((unsigned char)(c - 'a') < 26);
        unsigned char digit = (unsigned char)-((unsigned char)(c - '0') < 10);
        unsigned char is62 = (unsigned char)-(c == d62), is63 = (unsigned char)-(c == d63);
        v[i] = (unsigned char)((upper & (c - 'A')) | (lower & (c - 'a' + 26)) |
                               (digit & (c - '0' + 52)) | (is62 & 62) | (is63 & 63));
        bad |= (unsigned char)~(upper | lower | digit | is62 | is63);
    }
    return bad == 0;
}

/* Decode whole blocks. @return how many characters; what is wrong with the rest is not known. */
static size_t decode_blocks(unsigned char *to, enum hd_base64 kind, const char *in, size_t n)
{
    unsigned char v[BLOCK];
    size_t at = 0;
    for (; n - at >= BLOCK && values_of(v, in + at, kind); at += BLOCK) {
        for (int i = 0; i < BLOCK; i += 4, to += 3) {
            to[0] = (unsigned char)(v[i] << 2 | v[i + 1] >> 4);
            to[1] = (unsigned char)(v[i + 1] << 4 | v[i + 2] >> 2);
            to[2] = (unsigned char)(v[i + 2] << 6 | v[i + 3]);
        }
    }
    explicit_bzero(v, sizeof(v));
    return at;
}

int hd_base64_decode(void *out, size_t *used, enum hd_base64 kind, struct hd_str in)
{
    unsigned char *to = out;
    size_t n = in.len, written = 0;
    if (kind == HD_BASE64) {
        if (n % 4 != 0) {
            *used = n;
            return HD_EINVAL;
        }
        for (int i = 0; i < 2 && n > 0 && in.ptr[n - 1] == '='; i++)
            n--;
    }
    if (n % 4 == 1) {
        *used = n;
        return HD_EINVAL;
    }
    uint32_t bits = 0;
    unsigned have = 0; /* bits in `bits` that were not written */
    size_t begin = decode_blocks(to, kind, in.ptr, n);
    written = begin / 4 * 3;
    for (size_t i = begin; i < n; i++) {
        int v = value_of((unsigned char)in.ptr[i], kind);
        if (v < 0) {
            *used = i;
            return HD_EINVAL;
        }
        bits = bits << 6 | (uint32_t)v;
        have += 6;
        if (have >= 8) {
            have -= 8;
            to[written++] = (unsigned char)(bits >> have);
        }
    }
    if ((bits & ((1u << have) - 1)) != 0) {
        *used = n - 1;
        return HD_EINVAL;
    }
    *used = written;
    return 0;
}
