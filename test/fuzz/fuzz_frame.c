/* fuzz_frame.c - output cut into lines: in pieces of any size the lines are the same, none is too
 * long, together they are what came, and each makes a record that fits. */
#include "core/buf.h"
#include "fuzz.h"
#include "shim/frame.h"

#include <jansson.h>

static const struct hd_str token = HD_LIT("abc");

struct outcome {
    struct hd_frame frame;
    struct hd_buf lines; /* each with its length in front */
    size_t bytes;        /* of all lines */
};

static void on_line(void *arg, struct hd_str line)
{
    struct outcome *o = arg;
    bool record = hd_frame_is_record(&o->frame, line);
    fuzz_check(line.len <= (record ? HD_FRAME_RECORD_MAX : HD_FRAME_LINE_MAX));
    hd_buf_fmt(&o->lines, "%zu:", line.len);
    hd_buf_str(&o->lines, line);
    o->bytes += line.len;
}

static void cut(struct outcome *o, struct hd_str in, size_t step)
{
    hd_frame_init(&o->frame, token);
    hd_buf_init(&o->lines, SIZE_MAX);
    o->bytes = 0;
    for (size_t at = 0; at < in.len; at += step)
        hd_frame_feed(&o->frame, hd_str_n(in.ptr + at, HD_MIN(step, in.len - at)), on_line, o);
    hd_frame_flush(&o->frame, on_line, o);
    hd_frame_done(&o->frame);
}

static void check_record(struct hd_str in)
{
    struct hd_buf b;
    struct hd_str line = hd_str_n(in.ptr, HD_MIN(in.len, (size_t)HD_FRAME_LINE_MAX));
    hd_buf_init(&b, HD_FRAME_RECORD_MAX);
    hd_frame_record(&b, token, hd_str("id"), "info", line, 0);
    fuzz_check(!hd_buf_failed(&b));
    size_t skip = token.len + 2;
    json_t *json = json_loadb(b.ptr + skip, b.len - skip, JSON_ALLOW_NUL, NULL);
    fuzz_check(json != NULL && json_is_string(json_object_get(json, "msg")));
    fuzz_check(memchr(b.ptr, '\n', b.len) == b.ptr + b.len - 1);
    json_decref(json);
    hd_buf_done(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const size_t steps[] = {1, 3, 64, 4096};
    const struct hd_str in = {(const char *)data, size};
    struct outcome whole;
    size_t breaks = 0;
    for (size_t i = 0; i < size; i++)
        breaks += data[i] == '\n' || data[i] == '\r';
    cut(&whole, in, size > 0 ? size : 1);
    fuzz_check(whole.bytes <= size && whole.bytes + breaks >= size);
    for (size_t i = 0; i < HD_COUNT(steps); i++) {
        struct outcome piece;
        cut(&piece, in, steps[i]);
        fuzz_check(hd_str_eq(hd_buf_view(&piece.lines), hd_buf_view(&whole.lines)));
        hd_buf_done(&piece.lines);
    }
    hd_buf_done(&whole.lines);
    check_record(in);
    return 0;
}
