/* functions/strings.h - a list of strings that owns them. */
#pragma once

#include "core/base.h"

/** A list of strings; NULL items: not given at all. Zeroed is such a list. */
struct hd_strings {
    char **items; /* NULL-terminated */
    size_t n;
};

/** Free all; the list is as zeroed. */
void hd_strings_done(struct hd_strings *l);
/** Make a list that is given, and empty, of one that is not given. */
void hd_strings_give(struct hd_strings *l);
/** Append a copy. */
void hd_strings_add(struct hd_strings *l, struct hd_str s);
/** Append printf's result. */
void hd_strings_addf(struct hd_strings *l, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
/** Append, taking ownership of @p s. */
void hd_strings_take(struct hd_strings *l, char *s);
/** @return a deep copy; not given stays not given. */
struct hd_strings hd_strings_copy(const struct hd_strings *l);
bool hd_strings_has(const struct hd_strings *l, struct hd_str s);
/** Sort by bytes. */
void hd_strings_sort(struct hd_strings *l);
/** @return the items joined by @p sep, for the caller to free. */
char *hd_strings_join(const struct hd_strings *l, const char *sep);
/** @return how many single-character edits lead from @p a to @p b; only up to 64 bytes each. */
size_t hd_edit_distance(struct hd_str a, struct hd_str b);
