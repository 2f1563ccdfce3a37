/* test/unit/test_eventstream.c - frames as the service sends them, and every way to break one. */
#include "lambda/door/eventstream.h"

#include "core/base64.h"
#include "core/id.h"
#include "test.h"

#include <stdlib.h>
#include <zlib.h>

static const char chunk_hi[] = "0000006c0000005ab25efdcf0d3a6d6573736167652d747970650700056576656e7"
                               "40b3a6576656e742d747970650700"
                               "0c5061796c6f61644368756e6b0d3a636f6e74656e742d747970650700186170706"
                               "c69636174696f6e2f6f637465742d"
                               "73747265616d6869314138e4";
static const char complete_empty[] = "00000066000000541f56c8690d3a6d6573736167652d74797065070005657"
                                     "6656e740b3a6576656e742d747970650700"
                                     "0e496e766f6b65436f6d706c6574650d3a636f6e74656e742d74797065070"
                                     "0106170706c69636174696f6e2f6a736f6e"
                                     "7b7dface259a";

static void assert_hex(const struct hd_buf *b, const char *hex)
{
    char *have = hd_alloc(b->len * 2 + 1);
    hd_hex(have, b->ptr, b->len);
    assert_string_equal(have, hex);
    free(have);
}

static void the_checksum_is_the_one_of_zlib(void **state)
{
    assert_int_equal(crc32_z(0, (const unsigned char *)"123456789", 9), 0xcbf43926);
    (void)state;
}

static void writes_the_known_frames_byte_for_byte(void **state)
{
    struct hd_buf b;
    hd_buf_init(&b, 4096);
    hd_eventstream_chunk(&b, hd_str("hi"));
    assert_int_equal(b.len, hd_eventstream_chunk_bytes(2));
    assert_hex(&b, chunk_hi);
    hd_buf_clear(&b);
    hd_eventstream_complete(&b, &(struct hd_eventstream_complete){.error_code = {NULL, 0}});
    assert_hex(&b, complete_empty);
    hd_buf_done(&b);
    (void)state;
}

/* An error of a function may be as long as an answer; each of its bytes may become six. */
static void an_end_fits_into_its_frame_whatever_the_error(void **state)
{
    enum { ERROR_BYTES = 6 << 20, ROOM = 8 << 20 };
    char *details = hd_alloc(ERROR_BYTES);
    struct hd_eventstream_frame frame;
    struct hd_error err = {0};
    struct hd_buf b;
    size_t used;
    for (size_t i = 0; i < ERROR_BYTES; i += 2)
        memcpy(details + i, "\xc3\xa4", 2);
    details[1] = details[0] = '\1';
    memset(details + 2, '\1', ERROR_BYTES / 2);
    hd_buf_init(&b, ROOM);
    hd_eventstream_complete(
        &b, &(struct hd_eventstream_complete){.error_code = hd_str("Unhandled"),
                                              .error_details = hd_str_n(details, ERROR_BYTES)});
    assert_false(hd_buf_failed(&b));
    assert_int_equal(hd_eventstream_read(&frame, &used, hd_buf_view(&b), ROOM, &err), 1);
    assert_int_equal(frame.payload.ptr[frame.payload.len - 1], '}');
    hd_buf_done(&b);
    free(details);
    (void)state;
}

static void splits_what_is_longer_than_a_chunk(void **state)
{
    size_t len = 2 * (size_t)HD_EVENTSTREAM_CHUNK_MAX + 5;
    char *bytes = hd_alloc(len);
    for (size_t i = 0; i < len; i++)
        bytes[i] = (char)(i * 7);
    struct hd_buf b;
    hd_buf_init(&b, 8 << 20);
    hd_eventstream_chunk(&b, hd_str_n(bytes, 0));
    assert_int_equal(b.len, 0);
    hd_eventstream_chunk(&b, hd_str_n(bytes, len));
    assert_false(hd_buf_failed(&b));
    assert_int_equal(b.len, hd_eventstream_chunk_bytes(len));
    struct hd_str rest = hd_buf_view(&b);
    size_t seen = 0, frames = 0;
    while (rest.len > 0) {
        struct hd_eventstream_frame f;
        size_t used;
        assert_int_equal(hd_eventstream_read(&f, &used, rest, HD_EVENTSTREAM_FRAME_MAX, NULL), 1);
        assert_true(f.payload.len <= HD_EVENTSTREAM_CHUNK_MAX);
        assert_memory_equal(f.payload.ptr, bytes + seen, f.payload.len);
        assert_true(hd_str_is(hd_eventstream_string(&f, ":event-type"), "PayloadChunk"));
        seen += f.payload.len;
        frames++;
        rest = hd_str_n(rest.ptr + used, rest.len - used);
    }
    assert_int_equal(seen, len);
    assert_int_equal(frames, 3);
    hd_buf_done(&b);
    free(bytes);
    (void)state;
}

static void tells_how_an_invocation_ended(void **state)
{
    static const struct {
        struct hd_eventstream_complete end;
        const char *json;
    } cases[] = {
        {{.error_code = HD_LIT("Unhandled"), .error_details = HD_LIT("{\"a\":\"\\n\"}")},
         "{\"ErrorCode\":\"Unhandled\",\"ErrorDetails\":\"{\\\"a\\\":\\\"\\\\n\\\"}\"}"},
        {{.log_tail = HD_LIT("START\n")}, "{\"LogResult\":\"U1RBUlQK\"}"},
        {{.error_code = HD_LIT("x"), .log_tail = HD_LIT("a")},
         "{\"ErrorCode\":\"x\",\"LogResult\":\"YQ==\"}"},
    };
    for (size_t i = 0; i < HD_COUNT(cases); i++) {
        struct hd_buf b;
        hd_buf_init(&b, 4096);
        hd_eventstream_complete(&b, &cases[i].end);
        struct hd_eventstream_frame f;
        size_t used;
        assert_int_equal(
            hd_eventstream_read(&f, &used, hd_buf_view(&b), HD_EVENTSTREAM_FRAME_MAX, NULL), 1);
        assert_int_equal(used, b.len);
        assert_true(hd_str_is(f.payload, cases[i].json));
        assert_true(hd_str_is(hd_eventstream_string(&f, ":event-type"), "InvokeComplete"));
        assert_true(hd_str_is(hd_eventstream_string(&f, ":content-type"), "application/json"));
        assert_null(hd_eventstream_string(&f, ":event").ptr);
        hd_buf_done(&b);
    }
    (void)state;
}

static void a_full_buffer_is_told_at_the_end(void **state)
{
    struct hd_buf b;
    hd_buf_init(&b, 100);
    hd_eventstream_chunk(&b, hd_str("hi"));
    assert_true(hd_buf_failed(&b));
    hd_eventstream_complete(&b, &(struct hd_eventstream_complete){.log_tail = HD_LIT("x")});
    assert_true(hd_buf_failed(&b));
    hd_buf_done(&b);
    (void)state;
}

static void a_frame_over_the_limit_is_not_sent(void **state)
{
    struct hd_buf b;
    hd_buf_init(&b, 40 << 20);
    size_t begin = hd_eventstream_begin(&b, NULL, 0);
    assert_non_null(hd_buf_reserve(&b, HD_EVENTSTREAM_FRAME_MAX));
    memset(b.ptr + b.len, 0, HD_EVENTSTREAM_FRAME_MAX);
    hd_buf_commit(&b, HD_EVENTSTREAM_FRAME_MAX - HD_EVENTSTREAM_OVERHEAD);
    size_t fits = b.len;
    hd_eventstream_end(&b, begin);
    assert_false(hd_buf_failed(&b));
    b.len = fits + 1;
    hd_eventstream_end(&b, begin);
    assert_true(hd_buf_failed(&b));
    hd_buf_done(&b);
    (void)state;
}

static void reads_in_any_portions(void **state)
{
    struct hd_buf b;
    hd_buf_init(&b, 4096);
    hd_eventstream_chunk(&b, hd_str("hi"));
    for (size_t len = 0; len < b.len; len++) {
        struct hd_eventstream_frame f;
        size_t used;
        char *exact = hd_alloc(len > 0 ? len : 1);
        memcpy(exact, b.ptr, len);
        assert_int_equal(hd_eventstream_read(&f, &used, hd_str_n(exact, len), 4096, NULL), 0);
        free(exact);
    }
    hd_buf_done(&b);
    (void)state;
}

static void any_changed_bit_is_noticed(void **state)
{
    struct hd_buf b;
    hd_buf_init(&b, 4096);
    hd_eventstream_chunk(&b, hd_str("hi"));
    for (size_t bit = 0; bit < b.len * 8; bit++) {
        struct hd_eventstream_frame f;
        struct hd_error err = {.code = 0};
        size_t used;
        b.ptr[bit / 8] = (char)(b.ptr[bit / 8] ^ (1 << bit % 8));
        assert_int_equal(hd_eventstream_read(&f, &used, hd_buf_view(&b), 4096, &err), HD_EPROTO);
        assert_true(err.msg[0] != '\0');
        b.ptr[bit / 8] = (char)(b.ptr[bit / 8] ^ (1 << bit % 8));
    }
    hd_buf_done(&b);
    (void)state;
}

/* A frame with these bytes as headers, its checksums right. */
static void frame_of(struct hd_buf *b, struct hd_str headers)
{
    hd_buf_clear(b);
    size_t begin = hd_eventstream_begin(b, NULL, 0);
    hd_buf_str(b, headers);
    b->ptr[begin + 7] = (char)headers.len;
    hd_eventstream_end(b, begin);
}

static void reads_headers_of_every_type(void **state)
{
    static const char bytes[] = "\1a\0"
                                "\1b\1"
                                "\1c\2x"
                                "\1d\3xy"
                                "\1e\4wxyz"
                                "\1f\5abcdefgh"
                                "\1g\6\0\3bin"
                                "\1h\7\0\2hi"
                                "\1i\10abcdefgh"
                                "\1j\11abcdefghabcdefgh";
    struct hd_buf b;
    hd_buf_init(&b, 4096);
    frame_of(&b, hd_str_n(bytes, sizeof(bytes) - 1));
    struct hd_eventstream_frame f;
    size_t used;
    assert_int_equal(hd_eventstream_read(&f, &used, hd_buf_view(&b), 4096, NULL), 1);
    struct hd_eventstream_header h;
    struct hd_str rest = f.headers;
    static const size_t lens[] = {0, 0, 1, 2, 4, 8, 3, 2, 8, 16};
    for (unsigned i = 0; i < HD_COUNT(lens); i++) {
        assert_true(hd_eventstream_next_header(&h, &rest));
        assert_int_equal(h.name.ptr[0], 'a' + (int)i);
        assert_int_equal(h.type, i);
        assert_int_equal(h.value.len, lens[i]);
    }
    assert_false(hd_eventstream_next_header(&h, &rest));
    assert_true(hd_str_is(hd_eventstream_string(&f, "h"), "hi"));
    assert_null(hd_eventstream_string(&f, "g").ptr); /* not a string */
    hd_buf_done(&b);
    (void)state;
}

static void refuses_headers_that_do_not_add_up(void **state)
{
    static const struct hd_str cases[] = {
        HD_LIT("\0"),
        HD_LIT("\0\7"),
        HD_LIT("\1"),
        HD_LIT("\1a"),
        HD_LIT("\2a\7"),
        HD_LIT("\1a\12"),
        HD_LIT("\1a\377"),
        HD_LIT("\1a\7"),
        HD_LIT("\1a\7\0"),
        HD_LIT("\1a\7\0\1"),
        HD_LIT("\1a\2"),
        HD_LIT("\1a\11abc"),
        HD_LIT("\1a\6\377\377"),
        HD_LIT("\1a\0\1b\3x"),
    };
    struct hd_buf b;
    hd_buf_init(&b, 4096);
    for (size_t i = 0; i < HD_COUNT(cases); i++) {
        frame_of(&b, cases[i]);
        struct hd_eventstream_frame f;
        size_t used;
        if (hd_eventstream_read(&f, &used, hd_buf_view(&b), 4096, NULL) != HD_EPROTO)
            fail_msg("case %zu was taken", i);
    }
    hd_buf_done(&b);
    (void)state;
}

static void refuses_lengths_that_do_not_add_up(void **state)
{
    static const struct {
        uint32_t total, headers;
        size_t max;
        int want;
    } cases[] = {
        {15, 0, 4096, HD_EPROTO},
        {0, 0, 4096, HD_EPROTO},
        {16, 1, 4096, HD_EPROTO},
        {4097, 0, 4096, HD_EPROTO},
        {4096, 0, 4096, 0},
        {UINT32_MAX, 0, SIZE_MAX, HD_EPROTO},
        {300000, 200000, SIZE_MAX, HD_EPROTO},
        {16 << 20, 1 << 17, SIZE_MAX, 0},
        {20, UINT32_MAX, 4096, HD_EPROTO},
    };
    for (size_t i = 0; i < HD_COUNT(cases); i++) {
        unsigned char p[12];
        for (int k = 0; k < 4; k++) {
            p[k] = (unsigned char)(cases[i].total >> (24 - 8 * k));
            p[4 + k] = (unsigned char)(cases[i].headers >> (24 - 8 * k));
        }
        uint32_t crc = (uint32_t)crc32_z(0, p, 8);
        for (int k = 0; k < 4; k++)
            p[8 + k] = (unsigned char)(crc >> (24 - 8 * k));
        struct hd_eventstream_frame f;
        size_t used;
        int rc = hd_eventstream_read(&f, &used, hd_str_n((char *)p, 12), cases[i].max, NULL);
        if (rc != cases[i].want)
            fail_msg("case %zu: %d", i, rc);
    }
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_checksum_is_the_one_of_zlib),
        cmocka_unit_test(writes_the_known_frames_byte_for_byte),
        cmocka_unit_test(an_end_fits_into_its_frame_whatever_the_error),
        cmocka_unit_test(splits_what_is_longer_than_a_chunk),
        cmocka_unit_test(tells_how_an_invocation_ended),
        cmocka_unit_test(a_full_buffer_is_told_at_the_end),
        cmocka_unit_test(a_frame_over_the_limit_is_not_sent),
        cmocka_unit_test(reads_in_any_portions),
        cmocka_unit_test(any_changed_bit_is_noticed),
        cmocka_unit_test(reads_headers_of_every_type),
        cmocka_unit_test(refuses_headers_that_do_not_add_up),
        cmocka_unit_test(refuses_lengths_that_do_not_add_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
