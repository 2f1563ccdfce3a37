#include "core/trace.h"

static bool all_zero(const uint8_t *p, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (p[i] != 0)
            return false;
    }
    return true;
}

static bool has_upper(struct hd_str s)
{
    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] >= 'A' && s.ptr[i] <= 'F')
            return true;
    }
    return false;
}

int hd_trace_parse(struct hd_trace *out, struct hd_str value)
{
    struct hd_trace t;
    uint8_t version;
    /* version "-" trace-id "-" parent-id "-" flags; later versions may add to it */
    if (value.len < HD_TRACEPARENT_CHARS || value.ptr[2] != '-' || value.ptr[35] != '-' ||
        value.ptr[52] != '-' || has_upper(hd_str_n(value.ptr, HD_TRACEPARENT_CHARS)))
        return HD_EPROTO;
    if (hd_unhex(&version, 1, hd_str_n(value.ptr, 2)) != 0 || version == 0xff ||
        hd_unhex(t.trace_id, 16, hd_str_n(value.ptr + 3, 32)) != 0 ||
        hd_unhex(t.span_id, 8, hd_str_n(value.ptr + 36, 16)) != 0 ||
        hd_unhex(&t.flags, 1, hd_str_n(value.ptr + 53, 2)) != 0)
        return HD_EPROTO;
    if (value.len > HD_TRACEPARENT_CHARS &&
        (version == 0 || value.ptr[HD_TRACEPARENT_CHARS] != '-'))
        return HD_EPROTO;
    if (all_zero(t.trace_id, sizeof(t.trace_id)) || all_zero(t.span_id, sizeof(t.span_id)))
        return HD_EPROTO;
    *out = t;
    return 0;
}

void hd_trace_child(struct hd_trace *out, const struct hd_trace *parent, struct hd_rng *rng)
{
    uint64_t id[3] = {hd_rng_next(rng), hd_rng_next(rng), hd_rng_next(rng) | 1};
    struct hd_trace t = {.flags = parent != NULL ? parent->flags : 0};
    if (parent != NULL)
        memcpy(t.trace_id, parent->trace_id, sizeof(t.trace_id));
    else
        memcpy(t.trace_id, id, sizeof(t.trace_id));
    memcpy(t.span_id, &id[2], sizeof(t.span_id));
    *out = t;
}

void hd_trace_format(char out[HD_TRACEPARENT_CHARS + 1], const struct hd_trace *t)
{
    memcpy(out, "00-", 3);
    hd_hex(out + 3, t->trace_id, 16);
    out[35] = '-';
    hd_hex(out + 36, t->span_id, 8);
    out[52] = '-';
    hd_hex(out + 53, &t->flags, 1);
}
