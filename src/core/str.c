#include <heddle/error.h>
#include <heddle/str.h>

static unsigned char lower(char c)
{
    unsigned char u = (unsigned char)c;
    return u >= 'A' && u <= 'Z' ? (unsigned char)(u | 0x20) : u;
}

bool hd_str_eq_nocase(struct hd_str a, struct hd_str b)
{
    if (a.len != b.len)
        return false;
    for (size_t i = 0; i < a.len; i++) {
        if (lower(a.ptr[i]) != lower(b.ptr[i]))
            return false;
    }
    return true;
}

bool hd_str_is_nocase(struct hd_str a, const char *cstr)
{
    return hd_str_eq_nocase(a, hd_str(cstr));
}

bool hd_str_starts(struct hd_str s, struct hd_str prefix)
{
    return s.len >= prefix.len && (prefix.len == 0 || memcmp(s.ptr, prefix.ptr, prefix.len) == 0);
}

bool hd_str_ends(struct hd_str s, struct hd_str suffix)
{
    return s.len >= suffix.len &&
           (suffix.len == 0 || memcmp(s.ptr + s.len - suffix.len, suffix.ptr, suffix.len) == 0);
}

struct hd_str hd_str_trim(struct hd_str s)
{
    while (s.len > 0 && (*s.ptr == ' ' || *s.ptr == '\t')) {
        s.ptr++;
        s.len--;
    }
    while (s.len > 0 && (s.ptr[s.len - 1] == ' ' || s.ptr[s.len - 1] == '\t'))
        s.len--;
    return s;
}

size_t hd_str_find(struct hd_str s, char c)
{
    const char *at = s.len > 0 ? memchr(s.ptr, c, s.len) : NULL;
    return at != NULL ? (size_t)(at - s.ptr) : s.len;
}

bool hd_str_split(struct hd_str *part, struct hd_str *rest, char sep)
{
    if (rest->ptr == NULL)
        return false;
    size_t at = hd_str_find(*rest, sep);
    *part = hd_str_n(rest->ptr, at);
    if (at == rest->len)
        *rest = hd_str_n(NULL, 0);
    else
        *rest = hd_str_n(rest->ptr + at + 1, rest->len - at - 1);
    return true;
}

int hd_str_cmp(struct hd_str a, struct hd_str b)
{
    size_t n = a.len < b.len ? a.len : b.len;
    int order = n > 0 ? memcmp(a.ptr, b.ptr, n) : 0;
    if (order != 0)
        return order;
    return a.len < b.len ? -1 : a.len > b.len;
}

int hd_str_to_u64(uint64_t *out, struct hd_str s)
{
    uint64_t value = 0;
    if (s.len == 0)
        return HD_EINVAL;
    for (size_t i = 0; i < s.len; i++) {
        unsigned digit = (unsigned)(unsigned char)s.ptr[i] - '0';
        if (digit > 9 || __builtin_mul_overflow(value, (uint64_t)10, &value) ||
            __builtin_add_overflow(value, (uint64_t)digit, &value))
            return HD_EINVAL;
    }
    *out = value;
    return 0;
}

bool hd_str_eq_secret(struct hd_str a, struct hd_str b)
{
    if (a.len != b.len)
        return false;
    volatile unsigned char diff = 0;
    for (size_t i = 0; i < a.len; i++)
        diff = (unsigned char)(diff | (a.ptr[i] ^ b.ptr[i]));
    return diff == 0;
}
