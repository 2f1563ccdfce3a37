/* lanes/typed.h - the typed serialiser of the lanes' wire: JSON with records {"__type", "value"}
 * for what JSON cannot say, read strictly, written as one canonical text.
 *
 * Canonical text is what JavaScript's JSON.stringify would write for the same value: token hashes
 * are made over it, so every byte counts. */
#pragma once

#include "core/arena.h"
#include "core/buf.h"

enum { HD_TYPED_DEPTH_MAX = 1000, HD_TYPED_PATTERN_MAX = 1024 };

enum hd_typed_kind {
    HD_TYPED_NULL,
    HD_TYPED_FALSE,
    HD_TYPED_TRUE,
    HD_TYPED_NUMBER, /* IEEE double */
    HD_TYPED_STRING, /* UTF-8; an unpaired surrogate as its three bytes (WTF-8) */
    HD_TYPED_ARRAY,
    HD_TYPED_OBJECT,
    HD_TYPED_RECORD, /* a value with a tag */
};

/** The tags of records. */
enum hd_typed_tag {
    HD_TAG_UNDEFINED,
    HD_TAG_NON_FINITE,
    HD_TAG_BIGINT,
    HD_TAG_DATE,
    HD_TAG_REGEXP,
    HD_TAG_MAP,
    HD_TAG_SET,
    HD_TAG_SYMBOL,
    HD_TAG_ERROR,
    HD_TAG_URL,
    HD_TAG_URL_SEARCH_PARAMS,
    HD_TAG_ARRAY_BUFFER,
    HD_TAG_DATA_VIEW,
    HD_TAG_BUFFER,
    HD_TAG_INT8,
    HD_TAG_UINT8,
    HD_TAG_UINT8_CLAMPED,
    HD_TAG_INT16,
    HD_TAG_UINT16,
    HD_TAG_INT32,
    HD_TAG_UINT32,
    HD_TAG_FLOAT32,
    HD_TAG_FLOAT64,
    HD_TAG_BIGINT64,
    HD_TAG_BIGUINT64,
    HD_TAG_COUNT
};

/** One value; lives in the arena it was read into. */
struct hd_typed {
    enum hd_typed_kind kind;
    enum hd_typed_tag tag; /* of a record */
    double number;
    struct hd_str text; /* a string's bytes; an object's member: see `names` */
    size_t n;           /* of an array, an object, or a record: 1, its payload */
    struct hd_typed **items;
    struct hd_str *names; /* of an object's members, unescaped, in canonical order */
};

/**
 * Read tree or graph form.
 * @param arena  everything of *out lies there.
 * @return 0; HD_EINVAL: not JSON, an unknown tag, a payload that does not fit its tag, too deep, a
 *         cycle or dangling reference in a graph; the message has the byte offset or the path.
 */
int hd_typed_read(struct hd_typed **out, struct hd_arena *arena, struct hd_str json,
                  struct hd_error *err);
/** Append the canonical text in tree form. */
void hd_typed_write(struct hd_buf *out, const struct hd_typed *value);
/** @return the member, or NULL. */
const struct hd_typed *hd_typed_get(const struct hd_typed *object, const char *name);

/* --- codec "plain": what functions see that know nothing of records --- */

/** Append @p value as ordinary JSON: records become their nearest JSON value. */
void hd_typed_to_plain(struct hd_buf *out, const struct hd_typed *value);
/**
 * Read what such a function answered: JSON in which `__type` is a key like any other, so that it is
 * escaped when written.
 * @return 0, or HD_EINVAL: not JSON, or too deep.
 */
int hd_typed_from_plain(struct hd_typed **out, struct hd_arena *arena, struct hd_str json,
                        struct hd_error *err);
/** @return the value that stands for nothing: an Undefined record; static. */
const struct hd_typed *hd_typed_undefined(void);
