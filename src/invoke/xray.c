#include "invoke/xray.h"

#include <stdio.h>

struct hd_str hd_xray_part(struct hd_str header, const char *name)
{
    struct hd_str rest = header, part;
    while (hd_str_split(&part, &rest, ';')) {
        size_t at = hd_str_find(part, '=');
        if (at < part.len && hd_str_is(hd_str_trim(hd_str_n(part.ptr, at)), name))
            return hd_str_trim(hd_str_n(part.ptr + at + 1, part.len - at - 1));
    }
    return hd_str_n(NULL, 0);
}

/* "1-58406520-a006649127e371903a2de979" */
static bool read_root(uint8_t trace_id[16], struct hd_str root)
{
    return root.len == 35 && root.ptr[0] == '1' && root.ptr[1] == '-' && root.ptr[10] == '-' &&
           hd_unhex(trace_id, 4, hd_str_n(root.ptr + 2, 8)) == 0 &&
           hd_unhex(trace_id + 4, 12, hd_str_n(root.ptr + 11, 24)) == 0;
}

static void begin(struct hd_trace *t, struct hd_rng *rng, int64_t now_unix_s)
{
    hd_trace_child(t, NULL, rng);
    for (int i = 0; i < 4; i++)
        t->trace_id[i] = (uint8_t)((uint64_t)now_unix_s >> (24 - 8 * i));
}

static bool is_plain(struct hd_str part)
{
    for (size_t i = 0; i < part.len; i++) {
        if (part.ptr[i] < 0x21 || part.ptr[i] > 0x7e)
            return false;
    }
    return part.len > 0;
}

/* What others put into it goes on with it. */
static void add_others(char xray[HD_XRAY_CHARS], size_t len, struct hd_str header)
{
    static const char *const ours[] = {"Root", "Parent", "Sampled"};
    struct hd_str rest = header, part;
    while (hd_str_split(&part, &rest, ';')) {
        part = hd_str_trim(part);
        struct hd_str name = hd_str_n(part.ptr, hd_str_find(part, '='));
        bool known = !is_plain(part) || name.len == part.len;
        for (size_t i = 0; i < HD_COUNT(ours); i++)
            known = known || hd_str_is(name, ours[i]);
        if (known || part.len + 2 > HD_XRAY_CHARS - len)
            continue;
        xray[len++] = ';';
        memcpy(xray + len, part.ptr, part.len);
        len += part.len;
    }
    xray[len] = '\0';
}

void hd_xray_continue(struct hd_trace *trace, char xray[HD_XRAY_CHARS], struct hd_str header,
                      struct hd_str traceparent, struct hd_rng *rng, int64_t now_unix_s)
{
    struct hd_trace parent = {.flags = 0};
    if (read_root(parent.trace_id, hd_xray_part(header, "Root"))) {
        parent.flags = hd_str_is(hd_xray_part(header, "Sampled"), "1");
        hd_trace_child(trace, &parent, rng);
    } else if (hd_trace_parse(&parent, traceparent) == 0) {
        hd_trace_child(trace, &parent, rng);
    } else {
        begin(trace, rng, now_unix_s);
    }
    char id[33], span[17];
    hd_hex(id, trace->trace_id, sizeof(trace->trace_id));
    hd_hex(span, trace->span_id, sizeof(trace->span_id));
    int len = snprintf(xray, HD_XRAY_CHARS, "Root=1-%.8s-%s;Parent=%s;Sampled=%d", id, id + 8, span,
                       trace->flags & 1);
    add_others(xray, (size_t)len, header);
}
