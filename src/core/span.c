#include "core/span.h"

void hd_span_begin(struct hd_span *s, struct hd_str parent, struct hd_rng *rng,
                   int64_t start_unix_ms)
{
    struct hd_trace above;
    s->on = parent.len > 0 && hd_trace_parse(&above, parent) == 0;
    s->traceparent[0] = '\0';
    if (!s->on)
        return;
    s->has_parent = true;
    memcpy(s->parent, above.span_id, sizeof(s->parent));
    hd_trace_child(&s->trace, &above, rng);
    hd_trace_format(s->traceparent, &s->trace);
    s->start_unix_ms = start_unix_ms;
}

void hd_span_made(struct hd_span *s, struct hd_str parent, struct hd_str span_id,
                  int64_t start_unix_ms)
{
    struct hd_trace above;
    s->on = parent.len > 0 && hd_trace_parse(&above, parent) == 0;
    s->traceparent[0] = '\0';
    if (!s->on)
        return;
    s->trace = above;
    s->has_parent = true;
    memcpy(s->parent, above.span_id, sizeof(s->parent));
    s->on = hd_unhex(s->trace.span_id, sizeof(s->trace.span_id), span_id) == 0;
    if (s->on)
        hd_trace_format(s->traceparent, &s->trace);
    s->start_unix_ms = start_unix_ms;
}

void hd_span_of(struct hd_span *s, const struct hd_trace *trace, const struct hd_trace *parent,
                int64_t start_unix_ms)
{
    *s = (struct hd_span){.on = true, .trace = *trace, .start_unix_ms = start_unix_ms};
    s->has_parent = parent != NULL;
    if (parent != NULL)
        memcpy(s->parent, parent->span_id, sizeof(s->parent));
    hd_trace_format(s->traceparent, trace);
}

void hd_span_tell(const struct hd_span *s, struct hd_log *log, enum hd_log_level level,
                  const struct hd_span_end *end)
{
    char trace[33], span[17], parent[17] = "";
    if (!s->on)
        return;
    hd_hex(trace, s->trace.trace_id, sizeof(s->trace.trace_id));
    hd_hex(span, s->trace.span_id, sizeof(s->trace.span_id));
    if (s->has_parent)
        hd_hex(parent, s->parent, sizeof(s->parent));
    hd_log(log, level, "span", hd_kv_str("traceId", trace), hd_kv_str("spanId", span),
           hd_kv_str("parentSpanId", parent), hd_kv_str("name", end->name),
           hd_kv_int("startMs", s->start_unix_ms),
           hd_kv_int("durationMs", HD_MAX(end->end_unix_ms - s->start_unix_ms, 0)),
           hd_kv_str("lane", end->lane), hd_kv_slice("of", end->of), hd_kv_slice("id", end->id),
           hd_kv_bool("ok", !end->failed));
}
