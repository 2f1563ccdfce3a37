/* core/jsonscan.h - the bytes of JSON strings that stand for themselves, eight at a time. */
#pragma once

#include "core/base.h"

/** @return how many bytes from @p p on are printable ASCII without `"` and `\\`. */
static inline size_t hd_json_plain(const char *p, const char *end)
{
    const uint64_t ones = 0x0101010101010101u, highs = 0x8080808080808080u;
    const char *at = p;
    for (uint64_t x; end - at >= 8; at += 8) {
        memcpy(&x, at, sizeof(x));
        uint64_t quote = x ^ (ones * '"'), slash = x ^ (ones * '\\');
        uint64_t special =
            ((x - ones * 0x20) & ~x) | ((quote - ones) & ~quote) | ((slash - ones) & ~slash) | x;
        if ((special & highs) != 0)
            break;
    }
    while (at < end && (unsigned char)*at >= 0x20 && (unsigned char)*at < 0x80 && *at != '"' &&
           *at != '\\')
        at++;
    return (size_t)(at - p);
}
