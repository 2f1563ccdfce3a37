/* core/suggest.h - "did you mean": the known word that is closest to a mistyped one. */
#pragma once

#include "core/base.h"

/** The best candidate so far. Start with {0}; feed it with hd_suggest_try(). */
struct hd_suggest {
    const char *word; /* borrowed, or NULL: nothing is close enough */
    unsigned distance;
};

/**
 * Keep @p candidate in @p best if it is closer to @p typed than what is there, and close enough to
 * be meant: one letter in three may differ (insertion, deletion, change, swap of neighbours), or
 * one of them begins with the other.
 * @param candidate  borrowed for as long as @p best is used.
 */
void hd_suggest_try(struct hd_suggest *best, struct hd_str typed, const char *candidate);
