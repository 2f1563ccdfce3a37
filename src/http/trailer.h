/* http/trailer.h - the trailer section of a chunked body, coming and going. */
#pragma once

#include "core/buf.h"

#include <heddle/invoke.h>

enum { HD_TRAILER_FIELDS_MAX = 32 };

/** @return whether a field of that name may stand in a trailer section: none that is needed for
 *  framing, routing, authentication, or to understand the content (RFC 9110 section 6.5.1). */
bool hd_is_trailer(struct hd_str name);

/** The trailers of one message that comes and one that goes; most have none. */
struct hd_trailers;

struct hd_trailers *hd_trailers_new(void);
void hd_trailers_free(struct hd_trailers *t); /* NULL is fine */
/** A piece of the section that comes, as hd_chunked_next() found it (and bounds it). */
void hd_trailers_add(struct hd_trailers *t, struct hd_str piece);
/**
 * The fields of the section that came; those beyond the maximum and those that may not stand there
 * are left out.
 * @param out  slices of @p t, valid until the next hd_trailers_add() or free.
 * @return how many.
 */
size_t hd_trailers_fields(const struct hd_trailers *t, struct hd_field out[HD_TRAILER_FIELDS_MAX]);
/** The fields that go; copied. What may not stand there is left out. */
void hd_trailers_set(struct hd_trailers *t, const struct hd_field *fields, size_t n);
/** @return the last chunk with the fields that go. @param t  NULL: there are none. */
struct hd_str hd_trailers_last_chunk(const struct hd_trailers *t);
