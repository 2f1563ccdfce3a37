/* core/utf8.h - UTF-8 as RFC 3629 defines it. Pure. */
#pragma once

#include "core/base.h"

/** @return the length of the well-formed sequence at @p p, which is before @p end; 0: none is. */
size_t hd_utf8_len(const unsigned char *p, const unsigned char *end);
/** @return whether all of @p s is well formed. */
bool hd_utf8_valid(struct hd_str s);
