#include "core/utf8.h"

/* RFC 3629 section 4. */
size_t hd_utf8_len(const unsigned char *p, const unsigned char *end)
{
    size_t left = (size_t)(end - p);
    unsigned char c = p[0];
    if (c < 0x80)
        return 1;
    if (c >= 0xc2 && c <= 0xdf)
        return left >= 2 && (p[1] & 0xc0) == 0x80 ? 2 : 0;
    if (c >= 0xe0 && c <= 0xef) {
        if (left < 3 || (p[1] & 0xc0) != 0x80 || (p[2] & 0xc0) != 0x80)
            return 0;
        if ((c == 0xe0 && p[1] < 0xa0) || (c == 0xed && p[1] > 0x9f))
            return 0;
        return 3;
    }
    if (c >= 0xf0 && c <= 0xf4) {
        if (left < 4 || (p[1] & 0xc0) != 0x80 || (p[2] & 0xc0) != 0x80 || (p[3] & 0xc0) != 0x80)
            return 0;
        if ((c == 0xf0 && p[1] < 0x90) || (c == 0xf4 && p[1] > 0x8f))
            return 0;
        return 4;
    }
    return 0;
}

bool hd_utf8_valid(struct hd_str s)
{
    size_t at = 0;
    while (at < s.len) {
        const unsigned char *p = (const unsigned char *)s.ptr + at;
        uint64_t eight;
        if (s.len - at >= sizeof(eight)) {
            memcpy(&eight, p, sizeof(eight));
            if ((eight & 0x8080808080808080) == 0) {
                at += sizeof(eight);
                continue;
            }
        }
        size_t n = hd_utf8_len(p, (const unsigned char *)s.ptr + s.len);
        if (n == 0)
            return false;
        at += n;
    }
    return true;
}
