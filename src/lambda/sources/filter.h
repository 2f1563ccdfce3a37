/* lambda/sources/filter.h - event filters: the pattern language of event rules over JSON records.
 * Pure.
 *
 * A pattern is an object ({} fits everything); each of its members must match (AND), one of its
 * list's entries must (OR): "text", 1, true, null        equal; numbers by value
 *   {"prefix": "a"}, {"suffix": "z"}, {"equals-ignore-case": "Abc"}, {"wildcard": "a*z"};
 *   {"prefix": {"equals-ignore-case": "a"}}, the same for suffix
 *   {"anything-but": x}          x: a string, a number, a list of one of them; or
 *                                {"prefix" | "suffix" | "equals-ignore-case" | "wildcard": one or
 * list}
 *   {"numeric": [">=", 1, "<", 5]}, {"exists": true | false}, {"cidr": "10.0.0.0/8"}
 * {"$or": [{...}, {...}]} beside other members is one more condition.
 * Where a record has a list, one of its elements must match; conditions below one member must be
 * met by the same element. `exists` is about values: an object or an empty list has none. */
#pragma once

#include "core/base.h"

struct json_t;
struct hd_filter;

enum { HD_FILTER_BYTES_MAX = 4096, HD_FILTERS_MAX = 5 };

/**
 * Read a pattern.
 * @return 0 and *out, the caller's to free, immutable; or HD_EINVAL: the message names the member.
 */
int hd_filter_new(struct hd_filter **out, struct hd_str pattern, struct hd_error *err);
/** @return @p f, with one more owner. Any thread. */
struct hd_filter *hd_filter_ref(struct hd_filter *f);
/** Give up one ownership; the last one frees. NULL is fine. */
void hd_filter_free(struct hd_filter *f);
/** Any thread. */
bool hd_filter_match(const struct hd_filter *f, const struct json_t *record);

HD_AUTO(hd_filter)

/**
 * Parse what a record carries as JSON, so that filters can look inside.
 * @return an object or a list with one reference for the caller; NULL: it is text. Integers beyond
 *         64 bits become floating point.
 */
struct json_t *hd_filter_parse(struct hd_str text);
