/* native/jsonread.h - values in a JSON text, without making a tree of it. Pure. The text is one
 * that somebody has checked; in any other a search may find nothing, or half a value, but it stays
 * inside of the text. */
#pragma once

#include "core/base.h"

/** A cursor over the members of an object, or the elements of an array. */
struct hd_jsonread {
    const char *at, *end; /* NULL at the end */
    bool object;
};

/** Begin at a value. Anything but an object or an array has no members. */
void hd_jsonread_init(struct hd_jsonread *r, struct hd_str value);
/**
 * Go to the next member.
 * @param key    set: with its quotes, as it stands there; empty in an array.
 * @param value  set: as it stands there, without blanks around it.
 */
bool hd_jsonread_next(struct hd_jsonread *r, struct hd_str *key, struct hd_str *value);
/** @return the value at a path of keys and numbers with dots between them, or {NULL, 0}. */
struct hd_str hd_jsonread_find(struct hd_str json, const char *path);
/**
 * Read a string value.
 * @param out  @p size bytes, 1 or more; NUL-terminated, "" on failure.
 * @return its length in UTF-8; HD_EINVAL: it is no string, or has a NUL or half a character in it;
 *         HD_EBUSY: @p size is too small.
 */
int hd_jsonread_string(char *out, size_t size, struct hd_str value);
