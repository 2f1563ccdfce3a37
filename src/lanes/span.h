/* lanes/span.h - what the lanes do inside of a trace: spans (W3C Trace Context), told as log
 * records.
 *
 *   a function's span ─► "emit", until the queue has it ─► "queue", until it is delivered ─► "hook"
 *                     ─► "call", until the peer answers ─► "task", at the peer
 * Each one is the parent of what it leads to; all have the trace id of who began. Where nobody
 * began a trace there are none. */
#pragma once

#include "core/log.h"
#include "core/trace.h"

struct hd_lane_span {
    bool on;
    uint8_t parent[8];
    struct hd_trace trace;
    int64_t start_unix_ms;
    char traceparent[HD_TRACEPARENT_CHARS + 1]; /* for whom it leads to; "": no span */
};

/** Begin a span below that of @p parent, a traceparent; any other text: there is none. */
void hd_lane_span_begin(struct hd_lane_span *s, struct hd_str parent, struct hd_rng *rng,
                        int64_t start_unix_ms);
/** A span that another part made: @p span_id, 16 hex digits, below @p parent. */
void hd_lane_span_made(struct hd_lane_span *s, struct hd_str parent, struct hd_str span_id,
                       int64_t start_unix_ms);

/** What a span did. */
struct hd_lane_span_end {
    const char *name; /* "emit", ... */
    const char *lane; /* "": none */
    struct hd_str of; /* id of the event or task */
    struct hd_str id; /* of the message or request */
    bool failed;
    int64_t end_unix_ms;
};
/** Tell it: a record "span" with traceId, spanId, parentSpanId, name, startMs (Unix time),
 *  durationMs, lane, of, id, ok. Nothing, where there is no span. */
void hd_lane_span_tell(const struct hd_lane_span *s, struct hd_log *log, enum hd_log_level level,
                       const struct hd_lane_span_end *end);
