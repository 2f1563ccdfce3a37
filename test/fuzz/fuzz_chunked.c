/* fuzz_chunked.c - a chunked body: in pieces of any size it is the same; what was decoded, encoded
 * and decoded again is equal. */
#include "core/buf.h"
#include "fuzz.h"
#include "http/format.h"
#include "http/parse.h"

struct outcome {
    int rc;
    size_t used;
    struct hd_error err;
    struct hd_buf data;
};

static void decode(struct outcome *o, struct hd_str in, size_t step)
{
    struct hd_chunked c = {0};
    *o = (struct outcome){.rc = 0};
    hd_buf_init(&o->data, in.len);
    while (o->rc == 0 && o->used < in.len) {
        const struct hd_str piece = {in.ptr + o->used, HD_MIN(step, in.len - o->used)};
        struct hd_str data;
        size_t used = 0;
        o->rc = hd_chunked_next(&c, &data, &used, piece, &o->err);
        fuzz_check(used > 0 && used <= piece.len);
        fuzz_check_within(data, piece);
        if (o->rc == HD_CHUNKED_TRAILER)
            o->rc = 0;
        else
            hd_buf_str(&o->data, data);
        o->used += used;
    }
    fuzz_check(!hd_buf_failed(&o->data));
}

static void check_again(struct hd_str data)
{
    char line[HD_CHUNK_BEGIN_MAX];
    struct hd_buf out;
    struct outcome o;
    hd_buf_init(&out, 2 * data.len + 64);
    if (data.len > 0) {
        hd_buf_str(&out, hd_chunk_begin(line, data.len));
        hd_buf_str(&out, data);
        hd_buf_cstr(&out, HD_CHUNK_END);
    }
    hd_buf_cstr(&out, HD_CHUNK_LAST);
    decode(&o, hd_buf_view(&out), out.len);
    fuzz_check(o.rc == 1 && o.used == out.len && hd_str_eq(hd_buf_view(&o.data), data));
    hd_buf_done(&o.data);
    hd_buf_done(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const size_t steps[] = {1, 2, 7, 64};
    const struct hd_str in = {(const char *)data, size};
    struct outcome whole;
    decode(&whole, in, size);
    for (size_t i = 0; i < HD_COUNT(steps); i++) {
        struct outcome piece;
        decode(&piece, in, steps[i]);
        fuzz_check(piece.rc == whole.rc && piece.used == whole.used);
        fuzz_check(strcmp(piece.err.msg, whole.err.msg) == 0);
        fuzz_check(hd_str_eq(hd_buf_view(&piece.data), hd_buf_view(&whole.data)));
        hd_buf_done(&piece.data);
    }
    if (whole.rc == 1)
        check_again(hd_buf_view(&whole.data));
    hd_buf_done(&whole.data);
    return 0;
}
