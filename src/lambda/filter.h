/* lambda/filter.h - event patterns: which records of an event source a function wants. Pure.
 *
 *     {"body": {"kind": ["order", {"prefix": "refund-"}], "total": [{"numeric": [">", 10]}]}}
 *
 * Members of an object must all fit, of a list one must. A list holds plain values (text, number,
 * true, false, null) and rules: prefix, suffix, equals-ignore-case, anything-but (also of prefix,
 * suffix, equals-ignore-case, wildcard or a list), numeric, exists, wildcard. "$or" takes a list of
 * patterns. Where a record has an array, one element has to fit. */
#pragma once

#include "core/base.h"

#include <jansson.h>

struct hd_filter;

enum { HD_FILTER_BYTES_MAX = 4096, HD_FILTERS_MAX = 5 };

/**
 * Read a pattern.
 * @return 0 and *out; or HD_EINVAL: the message says where in the pattern it is wrong.
 */
int hd_filter_new(struct hd_filter **out, struct hd_str pattern, struct hd_error *err);
void hd_filter_free(struct hd_filter *f); /* NULL is fine */
bool hd_filter_match(const struct hd_filter *f, const json_t *record);

HD_AUTO(hd_filter)
