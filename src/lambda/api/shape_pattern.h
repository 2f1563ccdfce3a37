/* lambda/api/shape_pattern.h - the patterns of the API's constraints, compiled when they are
 * needed. */
#pragma once

#include "core/base.h"

struct hd_patterns;

struct hd_patterns *hd_patterns_new(void);
void hd_patterns_free(struct hd_patterns *p); /* NULL is fine */
/**
 * @param pattern  in PCRE's syntax; ours, static, and right: a broken one matches nothing.
 * @return whether it matches all of @p text. Text that is not UTF-8, or takes too many steps, does
 *         not match. One thread.
 */
bool hd_patterns_match(struct hd_patterns *p, const char *pattern, struct hd_str text);
