/* core/base64.h - base64 and base64url (RFC 4648 sections 4 and 5), with one spelling for each
 * value. */
#pragma once

#include "core/base.h"

enum hd_base64 {
    HD_BASE64,    /* "+/", padded with "=" */
    HD_BASE64URL, /* "-_", never padded, as JOSE wants it (RFC 7515 section 2) */
};

/** @return how many characters hd_base64_encode() writes for @p bytes bytes. */
size_t hd_base64_chars(enum hd_base64 kind, size_t bytes);
/** Write the characters, without a NUL. @return how many. */
size_t hd_base64_encode(char *out, enum hd_base64 kind, const void *bytes, size_t len);
/** @return the most bytes that @p chars characters can stand for. */
size_t hd_base64_bytes(size_t chars);
/**
 * Decode @p in, all of it. Refused are other characters (blanks and line breaks too), missing or
 * (base64url) any padding, and a last character with bits that are not used.
 * @param out   room for hd_base64_bytes(in.len); undefined on failure. May be in.ptr itself.
 * @param used  set on success: bytes written; on failure: the offset of what is wrong.
 * @return 0, or HD_EINVAL.
 */
int hd_base64_decode(void *out, size_t *used, enum hd_base64 kind, struct hd_str in);
