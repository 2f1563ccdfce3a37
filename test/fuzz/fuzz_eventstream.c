/* fuzz_eventstream.c - event stream frames: what is read is whole and inside of what was given;
 * and, since no fuzzer finds a checksum, the input's bytes also come back from frames that we make.
 */
#include "lambda/door/eventstream.h"
#include "fuzz.h"

enum { MAX = 1 << 16 };

static void walk(struct hd_str in)
{
    struct hd_eventstream_frame f;
    struct hd_error err = {.msg = ""};
    size_t used = 0;
    int rc;
    while ((rc = hd_eventstream_read(&f, &used, in, MAX, &err)) > 0) {
        fuzz_check(used >= HD_EVENTSTREAM_OVERHEAD && used <= in.len);
        fuzz_check_within(f.headers, in);
        fuzz_check_within(f.payload, in);
        struct hd_eventstream_header h;
        struct hd_str rest = f.headers;
        while (hd_eventstream_next_header(&h, &rest)) {
            fuzz_check_within(h.name, f.headers);
            fuzz_check_within(h.value, f.headers);
        }
        fuzz_check(rest.len == 0); /* what was read was checked */
        in = hd_str_n(in.ptr + used, in.len - used);
    }
    fuzz_check(rc == 0 || (rc == HD_EPROTO && err.msg[0] != '\0'));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct hd_str in = {(const char *)data, size};
    walk(in);

    struct hd_buf b;
    hd_buf_init(&b, 4 * (size_t)MAX + 12 * size);
    hd_eventstream_chunk(&b, in);
    fuzz_check(!hd_buf_failed(&b) && b.len == hd_eventstream_chunk_bytes(size));
    struct hd_eventstream_frame f;
    size_t used;
    if (size > 0 && size <= MAX / 2) {
        fuzz_check(hd_eventstream_read(&f, &used, hd_buf_view(&b), MAX, NULL) == 1);
        fuzz_check(hd_str_eq(f.payload, in));
    }
    hd_buf_clear(&b);
    hd_eventstream_complete(&b, &(struct hd_eventstream_complete){in, in, in});
    fuzz_check(!hd_buf_failed(&b));
    walk(hd_buf_view(&b));

    /* The input as headers, in a frame that is right otherwise. */
    if (size <= 200) {
        hd_buf_clear(&b);
        size_t begin = hd_eventstream_begin(&b, NULL, 0);
        hd_buf_str(&b, in);
        b.ptr[7] = (char)size;
        hd_eventstream_end(&b, begin);
        walk(hd_buf_view(&b));
    }
    hd_buf_done(&b);
    return 0;
}
