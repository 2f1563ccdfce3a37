#include "core/suggest.h"

enum { WORD_MAX = 64 };

/* Edit distance with swaps of neighbours (optimal string alignment), in three rows. */
static unsigned distance(struct hd_str a, struct hd_str b)
{
    unsigned rows[3][WORD_MAX + 1];
    unsigned *before = rows[0], *above = rows[1], *row = rows[2];
    for (size_t j = 0; j <= b.len; j++)
        above[j] = (unsigned)j;
    for (size_t i = 1; i <= a.len; i++) {
        row[0] = (unsigned)i;
        for (size_t j = 1; j <= b.len; j++) {
            unsigned cost = a.ptr[i - 1] == b.ptr[j - 1] ? 0 : 1;
            unsigned best = HD_MIN(above[j] + 1, row[j - 1] + 1);
            best = HD_MIN(best, above[j - 1] + cost);
            if (i > 1 && j > 1 && a.ptr[i - 1] == b.ptr[j - 2] && a.ptr[i - 2] == b.ptr[j - 1])
                best = HD_MIN(best, before[j - 2] + 1);
            row[j] = best;
        }
        unsigned *oldest = before;
        before = above;
        above = row;
        row = oldest;
    }
    return above[b.len];
}

void hd_suggest_try(struct hd_suggest *best, struct hd_str typed, const char *candidate)
{
    struct hd_str known = hd_str(candidate);
    if (typed.len == 0 || typed.len > WORD_MAX || known.len == 0 || known.len > WORD_MAX)
        return;
    unsigned d = distance(typed, known);
    bool prefix = typed.len >= 3 && (hd_str_starts(known, typed) || hd_str_starts(typed, known));
    unsigned allowed = (unsigned)HD_MAX(typed.len, known.len) / 3;
    if (d > HD_MAX(allowed, 1u) && !prefix)
        return;
    if (d >= known.len)
        return; /* nothing in common */
    if (best->word == NULL || d < best->distance) {
        best->word = candidate;
        best->distance = d;
    }
}
