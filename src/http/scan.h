/* http/scan.h - where a run of permitted bytes ends: the inner loops of the parser. */
#pragma once

#include "core/base.h"

/** Classes a byte can belong to. */
enum hd_char {
    HD_CHAR_TOKEN = 1, /* tchar, RFC 9110 section 5.6.2 */
    HD_CHAR_VALUE = 2, /* in a field value: HTAB, SP, VCHAR, obs-text; no other control byte */
    HD_CHAR_PATH = 4,  /* in the path of a request target, see below */
    HD_CHAR_QUERY = 8, /* in its query */
    HD_CHAR_HOST = 16, /* in a host name: letters, digits, "-._~" */
    HD_CHAR_HEX = 32,
};
/**
 * The classes of each byte, as bits of enum hd_char.
 *
 * Path: pchar and "/" of RFC 3986, and the bytes which clients are known to send as they are
 * although they should be escaped: " [ ] ^ ` { | }. Query: the same, "?" and "\". What can
 * change the meaning of a request on the way is never in: control bytes, space, "#", "<", ">",
 * bytes from 0x80 on, and in a path the backslash, which URL parsers take for a slash.
 */
extern const uint8_t hd_char_class[256];

static inline bool hd_char_is(char c, enum hd_char what)
{
    return (hd_char_class[(unsigned char)c] & what) != 0;
}

/** @return the first byte from @p at on that is not of the class, or @p end. Reads nothing at or
 *  beyond @p end. */
const char *hd_scan_value(const char *at, const char *end);
const char *hd_scan_path(const char *at, const char *end);
const char *hd_scan_query(const char *at, const char *end);
/** Same, for the short ones: a plain loop. */
static inline const char *hd_scan_token(const char *at, const char *end)
{
    while (at < end && hd_char_is(*at, HD_CHAR_TOKEN))
        at++;
    return at;
}

/** One way of scanning; the functions above take the first that this CPU supports. */
struct hd_scan_way {
    const char *name;
    bool (*supported)(void);
    const char *(*value)(const char *at, const char *end);
    const char *(*path)(const char *at, const char *end);
    const char *(*query)(const char *at, const char *end);
};
/** All that were built in, fastest first; the last one is "portable" and runs anywhere. For tests:
 *  they must agree. */
extern const struct hd_scan_way hd_scan_ways[];
extern const size_t hd_scan_n_ways;
