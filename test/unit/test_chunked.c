/* test_chunked.c - each body is decoded whole, byte by byte, and with garbage behind it. */
#include "core/buf.h"
#include "http/parse.h"
#include "test.h"

struct outcome {
    int rc;
    size_t used;
    struct hd_error err;
    struct hd_buf data, trailers;
};

/* Feed pieces of @p step bytes, each in memory that ends with it. */
static void decode(struct outcome *o, struct hd_str in, size_t step)
{
    struct hd_chunked c = {0};
    *o = (struct outcome){.rc = 0};
    hd_buf_init(&o->data, 1 << 20);
    hd_buf_init(&o->trailers, HD_CHUNK_TRAILER_MAX);
    for (size_t from = 0; from < in.len && o->rc == 0; from += step) {
        const size_t n = HD_MIN(step, in.len - from);
        char *piece = hd_alloc(n);
        memcpy(piece, in.ptr + from, n);
        size_t at = 0, used = 1;
        while (o->rc == 0 && used > 0) {
            struct hd_str data;
            o->rc = hd_chunked_next(&c, &data, &used, hd_str_n(piece + at, n - at), &o->err);
            assert_true(used <= n - at);
            hd_buf_str(o->rc == HD_CHUNKED_TRAILER ? &o->trailers : &o->data, data);
            if (o->rc == HD_CHUNKED_TRAILER)
                o->rc = 0;
            at += used;
        }
        if (o->rc == 0)
            assert_int_equal(at, n);
        o->used += at;
        free(piece);
    }
    if (o->rc != 0) {
        /* The end, good or bad, is final. */
        struct hd_str data;
        size_t used;
        assert_int_equal(hd_chunked_next(&c, &data, &used, hd_str("0\r\n\r\n"), NULL), o->rc);
        assert_int_equal(used, 0);
        assert_int_equal(data.len, 0);
    }
}

static void feed(struct outcome *whole, struct hd_str in)
{
    static const char garbage[] = "\xff\r\n0\r\n\r\n";
    decode(whole, in, in.len);
    for (size_t step = 1; step <= 3; step++) {
        struct outcome piece;
        decode(&piece, in, step);
        assert_int_equal(piece.rc, whole->rc);
        assert_string_equal(piece.err.msg, whole->err.msg);
        assert_int_equal(piece.used, whole->used);
        assert_true(hd_str_eq(hd_buf_view(&piece.data), hd_buf_view(&whole->data)));
        if (whole->rc == 1)
            assert_true(hd_str_eq(hd_buf_view(&piece.trailers), hd_buf_view(&whole->trailers)));
        hd_buf_done(&piece.data);
        hd_buf_done(&piece.trailers);
    }
    struct hd_buf longer;
    struct outcome more;
    hd_buf_init(&longer, 1 << 20);
    hd_buf_str(&longer, in);
    hd_buf_add(&longer, garbage, sizeof(garbage));
    decode(&more, hd_buf_view(&longer), longer.len);
    if (whole->rc != 0) {
        assert_int_equal(more.rc, whole->rc);
        assert_int_equal(more.used, whole->used);
        assert_true(hd_str_eq(hd_buf_view(&more.data), hd_buf_view(&whole->data)));
    }
    hd_buf_done(&more.data);
    hd_buf_done(&more.trailers);
    hd_buf_done(&longer);
}

static void chunks_are_joined(void **state)
{
    static const struct {
        struct hd_str in;
        const char *data;
    } cases[] = {
        {HD_LIT("0\r\n\r\n"), ""},
        {HD_LIT("5\r\nhello\r\n0\r\n\r\n"), "hello"},
        {HD_LIT("1\r\na\r\n2\r\nbc\r\n0000\r\n\r\n"), "abc"},
        {HD_LIT("000000000000000A\r\n0123456789\r\n0\r\n\r\n"), "0123456789"},
        {HD_LIT("a\r\n\r\n0\r\n\r\n\r\n\r\r\n0\r\n\r\n"), "\r\n0\r\n\r\n\r\n\r"},
        {HD_LIT("1;a\r\nx\r\n0;b=c\r\n\r\n"), "x"},
        {HD_LIT("1 ; a = \"q \\\" ;\xe4\" ;c=d\r\nx\r\n0\r\n\r\n"), "x"},
        {HD_LIT("1\t;a;b;c=\"\"\r\nx\r\n0\r\n\r\n"), "x"},
        {HD_LIT("1\r\nx\r\n0\r\nA: b\r\nC:\r\n\r\n"), "x"},
    };
    for (size_t i = 0; i < HD_COUNT(cases); i++) {
        struct outcome o;
        feed(&o, cases[i].in);
        if (o.rc != 1 || o.used != cases[i].in.len ||
            !hd_str_is(hd_buf_view(&o.data), cases[i].data))
            fail_msg("case %zu: %.*s: rc %d, %s", i, HD_FMT(cases[i].in), o.rc, o.err.msg);
        hd_buf_done(&o.data);
        hd_buf_done(&o.trailers);
    }
    (void)state;
}

static void bad_framing_is_refused(void **state)
{
    static const struct {
        struct hd_str in;
        const char *why;
    } cases[] = {
        {HD_LIT("\r\n0\r\n\r\n"), "size line, byte 0: a chunk size must begin"},
        {HD_LIT("+5\r\nhello\r\n"), "hexadecimal digit"},
        {HD_LIT("-5\r\nhello\r\n"), "hexadecimal digit"},
        {HD_LIT(" 5\r\nhello\r\n"), "hexadecimal digit"},
        {HD_LIT("0x5\r\nhello\r\n"), "byte 1: a byte that does not belong"},
        {HD_LIT("g\r\n"), "hexadecimal digit"},
        {HD_LIT(";a\r\n"), "hexadecimal digit"},
        {HD_LIT("5g\r\nhello\r\n"), "does not belong"},
        {HD_LIT("5 \r\nhello\r\n"), "does not belong"},
        {HD_LIT("5 5\r\nhello\r\n"), "does not belong"},
        {HD_LIT("5_0\r\nhello\r\n"), "does not belong"},
        {HD_LIT("5.0\r\nhello\r\n"), "does not belong"},
        {HD_LIT("5\nhello\r\n"), "byte 1: bare LF"},
        {HD_LIT("5\rhello\r\n"), "byte 2: bare CR"},
        {HD_LIT("5\r\r\nhello\r\n"), "bare CR"},
        {HD_LIT("5\0\r\nhello\r\n"), "does not belong"},
        {HD_LIT("00000000000000005\r\nhello\r\n"), "byte 16: the chunk size is too large"},
        {HD_LIT("8000000000000000\r\n"), "too large"},
        {HD_LIT("ffffffffffffffff\r\n"), "too large"},
        {HD_LIT("10000000000000000\r\n"), "too large"},
        {HD_LIT("5\r\nhelloX\r\n0\r\n\r\n"), "after chunk data: CRLF"},
        {HD_LIT("5\r\nhello\n0\r\n\r\n"), "after chunk data: CRLF"},
        {HD_LIT("5\r\nhello\r0\r\n\r\n"), "after chunk data: CRLF"},
        {HD_LIT("4\r\nhello\r\n0\r\n\r\n"), "after chunk data: CRLF"},
        {HD_LIT("5\r\nhello0\r\n\r\n"), "after chunk data: CRLF"},
        {HD_LIT("1;\r\nx\r\n"), "does not belong"},
        {HD_LIT("1;a b\r\nx\r\n"), "does not belong"},
        {HD_LIT("1;a=\r\nx\r\n"), "does not belong"},
        {HD_LIT("1;=a\r\nx\r\n"), "does not belong"},
        {HD_LIT("1;a=\"b\r\nx\r\n"), "does not belong"},
        {HD_LIT("1;a=\"b\"c\r\nx\r\n"), "does not belong"},
        {HD_LIT("1;a=\"\\\n\"\r\nx\r\n"), "bare LF"},
        {HD_LIT("1;a=b \r\nx\r\n"), "does not belong"},
        {HD_LIT("1;a\nx\r\n"), "bare LF"},
        {HD_LIT("1;\x01\r\nx\r\n"), "does not belong"},
        {HD_LIT("1;a=b\xe4\r\nx\r\n"), "does not belong"},
        {HD_LIT("0\r\n\n"), "trailer section, byte 0: bare LF"},
        {HD_LIT("0\r\n\rX"), "bare CR"},
        {HD_LIT("0\r\nA\r\n\r\n"), "field name"},
        {HD_LIT("0\r\nA : b\r\n\r\n"), "field name"},
        {HD_LIT("0\r\n: b\r\n\r\n"), "field name"},
        {HD_LIT("0\r\n A: b\r\n\r\n"), "field name"},
        {HD_LIT("0\r\nA: b\r\n c\r\n\r\n"), "field name"},
        {HD_LIT("0\r\nA: b\n\r\n"), "bare LF"},
        {HD_LIT("0\r\nA: b\rc\r\n\r\n"), "bare CR"},
        {HD_LIT("0\r\nA: \0\r\n\r\n"), "field value"},
        {HD_LIT("0\r\nGET / HTTP/1.1\r\n"), "field name"},
    };
    for (size_t i = 0; i < HD_COUNT(cases); i++) {
        struct outcome o;
        feed(&o, cases[i].in);
        if (o.rc != HD_EPROTO || strstr(o.err.msg, cases[i].why) == NULL)
            fail_msg("case %zu: %.*s: rc %d, %s", i, HD_FMT(cases[i].in), o.rc, o.err.msg);
        hd_buf_done(&o.data);
        hd_buf_done(&o.trailers);
    }
    (void)state;
}

/* @p before, @p n times 'x', @p after. */
static void padded(struct hd_buf *b, const char *before, size_t n, const char *after)
{
    hd_buf_clear(b);
    hd_buf_cstr(b, before);
    for (size_t i = 0; i < n; i++)
        hd_buf_char(b, 'x');
    hd_buf_cstr(b, after);
}

static void lines_have_a_maximum(void **state)
{
    struct hd_buf b;
    struct outcome o;
    hd_buf_init(&b, 1 << 20);
    for (size_t over = 0; over <= 1; over++) {
        padded(&b, "1;", HD_CHUNK_LINE_MAX - 4 + over, "\r\nx\r\n0\r\n\r\n");
        feed(&o, hd_buf_view(&b));
        assert_int_equal(o.rc, over ? HD_EPROTO : 1);
        hd_buf_done(&o.data);
        hd_buf_done(&o.trailers);

        padded(&b, "0\r\nA: ", HD_CHUNK_TRAILER_MAX - 7 + over, "\r\n\r\n");
        feed(&o, hd_buf_view(&b));
        assert_int_equal(o.rc, over ? HD_EPROTO : 1);
        hd_buf_done(&o.data);
        hd_buf_done(&o.trailers);
    }
    /* The maximum is of one line: a thousand chunks have a thousand lines. */
    hd_buf_clear(&b);
    for (size_t i = 0; i < 1000; i++)
        hd_buf_cstr(&b, "1;abcdefgh\r\nx\r\n");
    hd_buf_cstr(&b, "0\r\n\r\n");
    feed(&o, hd_buf_view(&b));
    assert_int_equal(o.rc, 1);
    assert_int_equal(o.data.len, 1000);
    hd_buf_done(&o.data);
    hd_buf_done(&o.trailers);
    hd_buf_done(&b);
    (void)state;
}

static void large_sizes_are_counted_in_64_bits(void **state)
{
    struct hd_chunked c = {0};
    struct hd_str data;
    size_t used;
    assert_int_equal(hd_chunked_next(&c, &data, &used, hd_str("7fffffffffffffff\r\nab"), NULL), 0);
    assert_true(hd_str_is(data, "ab"));
    assert_int_equal(c.left, INT64_MAX - 2);
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(chunks_are_joined),
        cmocka_unit_test(bad_framing_is_refused),
        cmocka_unit_test(lines_have_a_maximum),
        cmocka_unit_test(large_sizes_are_counted_in_64_bits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
