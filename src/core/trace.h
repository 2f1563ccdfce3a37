/* core/trace.h - W3C Trace Context (https://www.w3.org/TR/trace-context/). */
#pragma once

#include "core/id.h"

enum { HD_TRACEPARENT_CHARS = 55 };

struct hd_trace {
    uint8_t trace_id[16], span_id[8];
    uint8_t flags; /* bit 0: sampled */
};

/** Read a `traceparent` value. @return 0, or HD_EPROTO and *out untouched. */
int hd_trace_parse(struct hd_trace *out, struct hd_str value);
/** Continue @p parent with a new span id, or start a new trace where it is NULL. */
void hd_trace_child(struct hd_trace *out, const struct hd_trace *parent, struct hd_rng *rng);
/** Write a `traceparent` value of version 00 and a NUL. */
void hd_trace_format(char out[HD_TRACEPARENT_CHARS + 1], const struct hd_trace *t);
