/* heddle/str.h - a borrowed slice of bytes. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Bytes that somebody else owns; not NUL-terminated. {NULL, 0} is the empty slice. */
struct hd_str {
    const char *ptr;
    size_t len;
};

/** Use as printf("%.*s", HD_FMT(s)). */
#define HD_FMT(s) (int)(s).len, (s).ptr
/** A slice of a string literal, also in static initializers. */
#define HD_LIT(literal)                 \
    {                                   \
        "" literal, sizeof(literal) - 1 \
    }

static inline struct hd_str hd_str_n(const char *ptr, size_t len)
{
    struct hd_str s = {ptr, len};
    return s;
}

/** @param cstr NUL-terminated, or NULL for the empty slice. */
static inline struct hd_str hd_str(const char *cstr)
{
    return hd_str_n(cstr, cstr != NULL ? strlen(cstr) : 0);
}

static inline bool hd_str_eq(struct hd_str a, struct hd_str b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

static inline bool hd_str_is(struct hd_str a, const char *cstr)
{
    return hd_str_eq(a, hd_str(cstr));
}

/** Compare without regard to the case of ASCII letters. */
bool hd_str_eq_nocase(struct hd_str a, struct hd_str b);
bool hd_str_is_nocase(struct hd_str a, const char *cstr);
bool hd_str_starts(struct hd_str s, struct hd_str prefix);
bool hd_str_ends(struct hd_str s, struct hd_str suffix);
/** @return @p s without blanks (space and tab) on both sides. */
struct hd_str hd_str_trim(struct hd_str s);
/** @return the index of @p c, or s.len where there is none. */
size_t hd_str_find(struct hd_str s, char c);
/**
 * Cut off the part before the next @p sep: *rest loses it and the separator.
 * @return false when *rest was used up (its ptr is NULL); *part may be empty.
 */
bool hd_str_split(struct hd_str *part, struct hd_str *rest, char sep);
/** Order like memcmp, the shorter first. */
int hd_str_cmp(struct hd_str a, struct hd_str b);
/**
 * Read a whole slice as a decimal number: digits only, no sign, no blanks.
 * @return 0, or HD_EINVAL (empty, another character, or over UINT64_MAX).
 */
int hd_str_to_u64(uint64_t *out, struct hd_str s);
/** Compare in time that depends on the lengths only. */
bool hd_str_eq_secret(struct hd_str a, struct hd_str b);

#ifdef __cplusplus
}
#endif
