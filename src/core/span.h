/* core/span.h - what this node does inside of a trace: spans (W3C Trace Context), told as log
 * records.
 *
 *   "gateway", from the request to its answer, and above what its function does:
 *      ─► "emit", until the queue has it ─► "queue", until it is delivered ─► "hook"
 *      ─► "call", until the peer answers ─► "task", at the peer
 * Each one is the parent of what it leads to; all have the trace id of who began. The gateway
 * begins a trace where nobody else did. */
#pragma once

#include "core/log.h"
#include "core/trace.h"

struct hd_span {
    bool on, has_parent;
    uint8_t parent[8];
    struct hd_trace trace;
    int64_t start_unix_ms;
    char traceparent[HD_TRACEPARENT_CHARS + 1]; /* for whom it leads to; "": no span */
};

/** Begin a span below that of @p parent, a traceparent; any other text: there is none. */
void hd_span_begin(struct hd_span *s, struct hd_str parent, struct hd_rng *rng,
                   int64_t start_unix_ms);
/** A span that another part made: @p span_id, 16 hex digits, below @p parent. */
void hd_span_made(struct hd_span *s, struct hd_str parent, struct hd_str span_id,
                  int64_t start_unix_ms);

/** A span that is made already. @param parent  NULL: the trace begins with it. */
void hd_span_of(struct hd_span *s, const struct hd_trace *trace, const struct hd_trace *parent,
                int64_t start_unix_ms);

/** What a span did. */
struct hd_span_end {
    const char *name; /* "emit", ... */
    const char *lane; /* "": none */
    struct hd_str of; /* id of the event or task, or a function's name */
    struct hd_str id; /* of the message or request */
    bool failed;
    int64_t end_unix_ms;
};
/** Tell it: a record "span" with traceId, spanId, parentSpanId (empty: none), name, startMs (Unix
 * time), durationMs, lane, of, id, ok. Nothing, where there is no span. */
void hd_span_tell(const struct hd_span *s, struct hd_log *log, enum hd_log_level level,
                  const struct hd_span_end *end);
