/* pool/process/capture.h - an instance's output, cut into lines; log records told from raw text.
 * Pure. */
#pragma once

#include "core/buf.h"

enum {
    HD_CAPTURE_TEXT_MAX = 8192,        /* bytes of one line's text; what is cut ends in "…" */
    HD_CAPTURE_RECORD_MAX = 128 << 10, /* bytes of one log record as it comes */
};

/**
 * One line. @p id: invocation id, or empty; @p level: enum hd_log_level; both slices are borrowed
 * until return.
 */
typedef void (*hd_capture_fn)(void *arg, struct hd_str id, int level, struct hd_str text);

/** One stream of output. */
struct hd_capture {
    struct hd_buf line;  /* what came since the last line break */
    struct hd_str token; /* borrowed; opens a record: "\x1e<token> {json}" */
    int raw_level;
    bool cut; /* the line was longer than what is kept */
};

/**
 * @param token      the host's secret, borrowed until done; empty: there are no records here.
 * @param raw_level  enum hd_log_level of lines that are not records.
 */
void hd_capture_init(struct hd_capture *c, struct hd_str token, int raw_level);
void hd_capture_done(struct hd_capture *c);
/** Take bytes and report each line that they complete. Empty lines are left out. */
void hd_capture_feed(struct hd_capture *c, struct hd_str bytes, hd_capture_fn on_line, void *arg);
/** Report what came so far of a line that is not complete; but not of a log record, which is
 * written in one go. */
void hd_capture_flush(struct hd_capture *c, hd_capture_fn on_line, void *arg);
/** The stream is over: report a last line that has no line break. */
void hd_capture_end(struct hd_capture *c, hd_capture_fn on_line, void *arg);
