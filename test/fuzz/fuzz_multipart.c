/* test/fuzz/fuzz_multipart.c - form data of a peer: the parts are the same wherever it is cut. */
#include "fuzz.h"
#include "lanes/multipart.h"

static int on_part(void *arg, const struct hd_part *part)
{
    hd_buf_fmt(arg, "<%.*s|%.*s>", HD_FMT(part->name), HD_FMT(part->filename));
    return 0;
}

static int on_data(void *arg, struct hd_str bytes)
{
    hd_buf_str(arg, bytes);
    return 0;
}

static int on_part_end(void *arg)
{
    hd_buf_cstr(arg, "</>");
    return 0;
}

static int parse(struct hd_buf *out, struct hd_str body, size_t piece)
{
    static const struct hd_multipart_events events = {
        .on_part = on_part, .on_data = on_data, .on_part_end = on_part_end};
    struct hd_multipart *m = hd_multipart_new(hd_str("b"), &events, out);
    int rc = 0;
    hd_buf_init(out, 1 << 20);
    while (body.len > 0 && rc == 0) {
        size_t n = HD_MIN(piece, body.len);
        rc = hd_multipart_feed(m, hd_str_n(body.ptr, n), NULL);
        body = hd_str_n(body.ptr + n, body.len - n);
    }
    hd_multipart_free(m);
    return rc;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct hd_str body = hd_str_n((const char *)data, size), boundary;
    struct hd_buf whole, cut;
    if (hd_multipart_boundary(&boundary, body) == 0)
        fuzz_check_within(boundary, body);
    int rc = parse(&whole, body, size + 1);
    int rc_cut = parse(&cut, body, 1);
    if (rc == 0 && rc_cut == 0)
        fuzz_check(hd_str_eq(hd_buf_view(&whole), hd_buf_view(&cut)));
    hd_buf_done(&whole);
    hd_buf_done(&cut);
    return 0;
}
