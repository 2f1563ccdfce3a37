/* lanes/multipart.h - multipart/form-data (RFC 7578, RFC 2046 section 5.1) as it arrives: parts are
 * told while they stream in, nothing is kept but a delimiter's length. */
#pragma once

#include "core/buf.h"

struct hd_multipart;

/** A part's head; borrowed until on_part returns. */
struct hd_part {
    struct hd_str name;         /* of the field; empty: none was given */
    struct hd_str filename;     /* ptr NULL: a plain field */
    struct hd_str content_type; /* ptr NULL: none was given */
};

/** 0: go on; negative: ends the parsing, and is what feed returns. */
struct hd_multipart_events {
    int (*on_part)(void *arg, const struct hd_part *part);
    int (*on_data)(void *arg, struct hd_str bytes);
    int (*on_part_end)(void *arg);
};

enum { HD_MULTIPART_BOUNDARY_MAX = 70, HD_MULTIPART_HEAD_MAX = 16 * 1024 };

/**
 * Find the boundary in a Content-Type value.
 * @return 0; HD_ENOTFOUND: not multipart/form-data; HD_EINVAL: no boundary, or one that is none.
 */
int hd_multipart_boundary(struct hd_str *out, struct hd_str content_type);
/** @param boundary  1 to HD_MULTIPART_BOUNDARY_MAX bytes; copied. @param events  static. */
struct hd_multipart *hd_multipart_new(struct hd_str boundary,
                                      const struct hd_multipart_events *events, void *arg);
void hd_multipart_free(struct hd_multipart *m); /* NULL is fine */
/** @return 0; HD_EPROTO: not of this form; or what a callback returned. Not to be fed after that.
 */
int hd_multipart_feed(struct hd_multipart *m, struct hd_str bytes, struct hd_error *err);
/** @return whether the last delimiter came: nothing is missing. */
bool hd_multipart_complete(const struct hd_multipart *m);

/* --- writing --- */

/** Append a part's delimiter and head; its bytes follow, then the next part or the end. */
void hd_multipart_write_part(struct hd_buf *out, struct hd_str boundary,
                             const struct hd_part *part);
/** Append the last delimiter. */
void hd_multipart_write_end(struct hd_buf *out, struct hd_str boundary);
