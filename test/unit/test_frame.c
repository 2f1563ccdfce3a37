#include "shim/frame.h"
#include "test.h"

#include <stdio.h>

struct lines {
    char text[64][64];
    size_t len[64];
    unsigned n;
};

static void on_line(void *arg, struct hd_str line)
{
    struct lines *l = arg;
    assert_true(l->n < 64);
    snprintf(l->text[l->n], sizeof(l->text[0]), "%.*s", HD_FMT(line));
    l->len[l->n++] = line.len;
}

static void lines_come_whole_however_they_are_cut(void **state)
{
    static const char text[] = "one\ntwo\r\n\nthree";
    for (size_t piece = 1; piece < sizeof(text); piece++) {
        struct lines l = {.n = 0};
        struct hd_frame f;
        hd_frame_init(&f, hd_str("abc"));
        for (size_t at = 0; at < sizeof(text) - 1; at += piece)
            hd_frame_feed(&f, hd_str_n(text + at, HD_MIN(piece, sizeof(text) - 1 - at)), on_line,
                          &l);
        assert_int_equal(l.n, 3);
        hd_frame_flush(&f, on_line, &l);
        hd_frame_flush(&f, on_line, &l);
        assert_int_equal(l.n, 4);
        assert_string_equal(l.text[0], "one");
        assert_string_equal(l.text[1], "two");
        assert_string_equal(l.text[2], "");
        assert_string_equal(l.text[3], "three");
        hd_frame_done(&f);
    }
    (void)state;
}

static void long_lines_are_split_between_characters(void **state)
{
    /* Three bytes a character, so that no cut falls on 8000 by itself. */
    size_t n = HD_FRAME_LINE_MAX * 2 / 3 * 3 + 3;
    char *text = hd_alloc(n + 1);
    for (size_t i = 0; i < n; i += 3)
        memcpy(text + i, "\xe2\x82\xac", 3);
    text[n] = '\n';
    for (size_t piece = 1; piece <= n + 1; piece = piece * 7 + 1) {
        struct lines l = {.n = 0};
        struct hd_frame f;
        size_t sum = 0;
        hd_frame_init(&f, hd_str("abc"));
        for (size_t at = 0; at < n + 1; at += piece)
            hd_frame_feed(&f, hd_str_n(text + at, HD_MIN(piece, n + 1 - at)), on_line, &l);
        assert_int_equal(l.n, 3);
        for (unsigned i = 0; i < l.n; i++) {
            assert_true(l.len[i] <= HD_FRAME_LINE_MAX);
            sum += l.len[i];
        }
        assert_int_equal(sum, n);
        for (unsigned i = 0; i < l.n; i++)
            assert_int_equal(l.len[i] % 3, 0);
        hd_frame_done(&f);
    }
    free(text);
    (void)state;
}

static void what_is_a_record_already_comes_whole(void **state)
{
    char text[20002];
    memset(text, 'x', sizeof(text));
    text[sizeof(text) - 1] = '\n';
    for (int mine = 0; mine < 2; mine++) {
        memcpy(text,
               mine ? "\x1e"
                      "abc {"
                    : "\x1e"
                      "abd {",
               6);
        for (size_t piece = 1; piece <= sizeof(text); piece = piece * 3 + 1) {
            struct lines l = {.n = 0};
            struct hd_frame f;
            hd_frame_init(&f, hd_str("abc"));
            for (size_t at = 0; at < sizeof(text); at += piece)
                hd_frame_feed(&f, hd_str_n(text + at, HD_MIN(piece, sizeof(text) - at)), on_line,
                              &l);
            assert_int_equal(l.n, mine ? 1 : 3);
            assert_int_equal(hd_frame_is_record(&f, hd_str(l.text[0])), mine);
            hd_frame_done(&f);
        }
    }
    (void)state;
}

static void records_are_json(void **state)
{
    struct hd_buf b;
    hd_buf_init(&b, HD_FRAME_RECORD_MAX);
    hd_frame_record(&b, hd_str("abc"), hd_str("id-1"), "info", hd_str("a\"b\xff"), 1767225600000);
    hd_frame_record(&b, hd_str("abc"), hd_str(NULL), "warn", hd_str(""), 1);
    hd_auto_free char *text = hd_buf_take(&b);
    assert_string_equal(text,
                        "\x1e"
                        "abc {\"id\":\"id-1\",\"level\":\"info\",\"msg\":\"a\\\"b\xef\xbf\xbd\","
                        "\"ts\":1767225600000}\n\x1e"
                        "abc {\"id\":null,\"level\":\"warn\",\"msg\":\"\",\"ts\":1}\n");
    (void)state;
}

static void the_longest_line_fits_a_record(void **state)
{
    char worst[HD_FRAME_LINE_MAX];
    struct hd_buf b;
    memset(worst, 1, sizeof(worst)); /* six bytes each */
    hd_buf_init(&b, HD_FRAME_RECORD_MAX);
    hd_frame_record(&b, hd_str("0123456789abcdef0123456789abcdef"), hd_str("an id"), "info",
                    hd_str_n(worst, sizeof(worst)), INT64_MAX);
    assert_false(hd_buf_failed(&b));
    hd_buf_done(&b);
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_come_whole_however_they_are_cut),
        cmocka_unit_test(long_lines_are_split_between_characters),
        cmocka_unit_test(what_is_a_record_already_comes_whole),
        cmocka_unit_test(records_are_json),
        cmocka_unit_test(the_longest_line_fits_a_record),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
