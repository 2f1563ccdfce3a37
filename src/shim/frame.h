/* shim/frame.h - output of a function cut into lines, and lines made into log records
 * (doc/host-protocol.md, "Log lines"). Pure. */
#pragma once

#include "core/buf.h"

enum {
    HD_FRAME_LINE_MAX = 8000, /* bytes of one record's text; longer lines are split */
    HD_FRAME_RECORD_MAX = 7 * HD_FRAME_LINE_MAX, /* bytes of a record, whatever has to be escaped */
};

/** One line, without its line break; borrowed until return. */
typedef void (*hd_frame_fn)(void *arg, struct hd_str line);

/** One stream of output; its buffer holds no memory between lines that came whole. */
struct hd_frame {
    struct hd_buf line;  /* what came since the last line break */
    struct hd_str token; /* opens a line that is a record already; borrowed */
};

void hd_frame_init(struct hd_frame *f, struct hd_str token);
/** @return whether a line is a record, made by who knows the token. It comes whole, up to
 *  HD_FRAME_RECORD_MAX. */
bool hd_frame_is_record(const struct hd_frame *f, struct hd_str line);
void hd_frame_done(struct hd_frame *f);
/** Take bytes and report each line that they complete. A line that is too long is reported in
 *  pieces, cut between characters. */
void hd_frame_feed(struct hd_frame *f, struct hd_str bytes, hd_frame_fn on_line, void *arg);
/** Report what has no line break yet, if there is something. */
void hd_frame_flush(struct hd_frame *f, hd_frame_fn on_line, void *arg);

/**
 * Append a record: "\x1e<token> {"id":…,"level":…,"msg":…,"ts":…}\n".
 * @param id  empty: null.
 */
void hd_frame_record(struct hd_buf *out, struct hd_str token, struct hd_str id, const char *level,
                     struct hd_str msg, int64_t unix_ms);
