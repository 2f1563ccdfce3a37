/* fuzz.h - the entry of a fuzz target, and how it says that something is wrong. */
#pragma once

#include "core/base.h"

#include <stdio.h>

/** The libFuzzer entry. @return 0. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/** Stop with a message unless it holds; also in builds without assert(). */
#define fuzz_check(claim)                                                              \
    do {                                                                               \
        if (!(claim)) {                                                                \
            fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, #claim); \
            abort();                                                                   \
        }                                                                              \
    } while (0)

/** Check that a slice is none, or lies within @p of. */
static inline void fuzz_check_within(struct hd_str s, struct hd_str of)
{
    if (s.ptr != NULL) {
        fuzz_check(s.ptr >= of.ptr && s.ptr <= of.ptr + of.len);
        fuzz_check(s.len <= (size_t)(of.ptr + of.len - s.ptr));
    }
}
