/* lanes/typed_private.h - the parts of the typed serialiser, for its own files. */
#pragma once

#include "lanes/typed.h"

#define HD_TYPED_ESCAPE "$runner.escape::"

/** @return a value in the arena, or NULL at its ceiling. */
struct hd_typed *hd_typed_new(struct hd_arena *arena, enum hd_typed_kind kind);
/** The ceiling was reached: what every part answers then. */
int hd_typed_no_room(struct hd_error *err);

/**
 * Parse JSON (RFC 8259) as it stands: no records, names not unescaped, members in the order of
 * JavaScript's objects (array indexes first; a duplicate keeps its first place and its last value).
 */
int hd_typed_parse(struct hd_typed **out, struct hd_arena *arena, struct hd_str json,
                   struct hd_error *err);
/** Bring the members of an object into that order, once all are in `names` and `items`. */
int hd_typed_order(struct hd_typed *object, struct hd_arena *arena);

/** @return the tag with that name, or HD_TAG_COUNT. */
enum hd_typed_tag hd_typed_tag_of(struct hd_str name);
const char *hd_typed_tag_name(enum hd_typed_tag tag);
/** @return bytes of one element of a byte type; 0: the tag is none. */
unsigned hd_typed_element_bytes(enum hd_typed_tag tag);

/**
 * Make a record of a payload that was read already: check it and bring it into its one form.
 * @param payload  of HD_TAG_UNDEFINED: ignored.
 */
int hd_typed_record(struct hd_typed **out, struct hd_arena *arena, enum hd_typed_tag tag,
                    struct hd_typed *payload, struct hd_error *err);

/** A date as Date's toISOString() writes it. @param out  room for 32. */
void hd_typed_iso(char *out, double unix_ms);
/** @return false: not ISO 8601, or out of range. */
bool hd_typed_iso_parse(double *unix_ms, struct hd_str text);
/** Is this pattern safe from catastrophic backtracking, by the peers' rule? Writes its normal
 *  source form. @return 0; HD_EINVAL. */
int hd_typed_pattern(struct hd_buf *out, struct hd_str pattern, struct hd_error *err);

/** @return whether it is the graph form: then hd_typed_from_graph() makes a tree of it. */
bool hd_typed_is_graph(const struct hd_typed *raw);
int hd_typed_from_graph(struct hd_typed **out, struct hd_arena *arena, const struct hd_typed *raw,
                        struct hd_error *err);
/** @return whether a name is dropped wherever it stands: it could reach a prototype. */
bool hd_typed_unsafe_name(struct hd_str name);

/** Append a number as JavaScript does. @param number  finite. */
void hd_typed_write_number(struct hd_buf *out, double number);
/** Append a string as JSON.stringify does. */
void hd_typed_write_string(struct hd_buf *out, struct hd_str text);
