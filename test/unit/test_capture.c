/* test_capture.c - lines, records, forgeries, and what is too long. */
#include "core/log.h"
#include "pool/process/capture.h"
#include "test.h"

static const char token[] = "00112233445566778899aabbccddeeff";

struct seen {
    struct hd_buf text;
    unsigned n;
};

static void on_line(void *arg, struct hd_str id, int level, struct hd_str text)
{
    struct seen *s = arg;
    s->n++;
    hd_buf_fmt(&s->text, "[%.*s|%d|%.*s]", HD_FMT(id), level, HD_FMT(text));
}

/* Feed in pieces of @p step bytes. @return what came of it, to free. */
static char *run(struct hd_str bytes, size_t step)
{
    struct hd_capture c;
    struct seen s = {.n = 0};
    hd_buf_init(&s.text, 1 << 20);
    hd_capture_init(&c, hd_str(token), HD_WARN);
    for (size_t at = 0; at < bytes.len; at += step)
        hd_capture_feed(&c, hd_str_n(bytes.ptr + at, HD_MIN(step, bytes.len - at)), on_line, &s);
    hd_capture_end(&c, on_line, &s);
    hd_capture_done(&c);
    return hd_buf_take(&s.text);
}

static void lines_come_out_the_same_however_they_are_cut(void **state)
{
    static const struct {
        const char *in, *out;
    } cases[] = {
        {"a\nb\r\n\n  c", "[|2|a][|2|b][|2|  c]"},
        {"\x1e"
         "00112233445566778899aabbccddeeff {\"id\":\"i1\",\"level\":\"error\",\"msg\":\"m\"}\n",
         "[i1|3|m]"},
        {"\x1e"
         "00112233445566778899aabbccddeeff "
         "{\"id\":null,\"level\":\"loud\",\"msg\":\"a\\u0000b\"}\n",
         "[|1|a]"}, /* the text goes on, but printf ends there */
        {"\x1e"
         "00112233445566778899aabbccddeefe {\"msg\":\"forged\"}\n",
         "[|2|\x1e"
         "00112233445566778899aabbccddeefe {\"msg\":\"forged\"}]"},
        {"\x1e"
         "00112233445566778899aabbccddeeff not json\n",
         "[|2|not json]"}, /* without the token */
        {"\x1e"
         "00112233445566778899aabbccddeeff {\"id\":\"a b\",\"msg\":\"bad id\"}\n",
         "[|1|bad id]"},
        {"\x1e"
         "00112233445566778899aabbccddeeff {\"id\":\"x\"}\n",
         "[|2|{\"id\":\"x\"}]"},
    };
    for (size_t i = 0; i < HD_COUNT(cases); i++) {
        for (size_t step = 1; step < 80; step += 13) {
            hd_auto_free char *out = run(hd_str(cases[i].in), step);
            assert_string_equal(out, cases[i].out);
        }
    }
    (void)state;
}

static void long_lines_are_cut_between_characters(void **state)
{
    struct hd_buf in;
    hd_buf_init(&in, 1 << 20);
    hd_buf_char(&in, 'x'); /* so that a character of two bytes lies across the limit */
    for (int i = 0; i < 8192; i++)
        hd_buf_cstr(&in, "é");
    hd_buf_cstr(&in, "\nnext\n");
    hd_auto_free char *out = run(hd_buf_view(&in), 1000);
    size_t text = strlen("[|2|") + 8191 + strlen("…]");
    assert_int_equal(strlen(out), text + strlen("[|2|next]"));
    assert_string_equal(out + text, "[|2|next]");
    assert_memory_equal(out + text - strlen("é…]"), "é…]", strlen("é…]"));
    hd_buf_done(&in);
    (void)state;
}

static void a_record_of_full_length_is_still_a_record(void **state)
{
    struct hd_buf in;
    hd_buf_init(&in, 1 << 20);
    hd_buf_fmt(&in, "\x1e%s {\"id\":\"i\",\"level\":\"debug\",\"msg\":\"", token);
    for (int i = 0; i < 8192; i++)
        hd_buf_cstr(&in, "\\u0001"); /* the longest way to write a character */
    hd_buf_cstr(&in, "\"}\n");
    hd_auto_free char *out = run(hd_buf_view(&in), 4096);
    assert_memory_equal(out, "[i|0|\x01\x01", 7);
    assert_int_equal(strlen(out), strlen("[i|0|]") + 8192);
    hd_buf_done(&in);
    (void)state;
}

static void an_endless_record_shows_no_token(void **state)
{
    struct hd_buf in;
    hd_buf_init(&in, 1 << 20);
    hd_buf_fmt(&in, "\x1e%s {\"msg\":\"", token);
    while (in.len < 2 * HD_CAPTURE_RECORD_MAX)
        hd_buf_cstr(&in, "yyyyyyyyyyyyyyyy");
    hd_auto_free char *out = run(hd_buf_view(&in), 4096);
    assert_null(strstr(out, token));
    assert_true(strlen(out) < HD_CAPTURE_TEXT_MAX + 64);
    hd_buf_done(&in);
    (void)state;
}

static void a_flush_reports_what_has_no_end_yet(void **state)
{
    struct hd_capture c;
    struct seen s = {.n = 0};
    hd_buf_init(&s.text, 1 << 20);
    hd_capture_init(&c, hd_str(token), HD_WARN);
    hd_capture_feed(&c, hd_str("one\ntw"), on_line, &s);
    hd_capture_flush(&c, on_line, &s);
    hd_capture_flush(&c, on_line, &s); /* there is nothing more */
    hd_capture_feed(&c, hd_str("o\n\x1e"), on_line, &s);
    hd_capture_feed(&c, hd_str(token), on_line, &s);
    hd_capture_flush(&c, on_line, &s); /* half a record is none */
    hd_capture_feed(&c, hd_str(" {\"id\":\"i\",\"msg\":\"m\"}\n"), on_line, &s);
    hd_capture_done(&c);
    hd_auto_free char *text = hd_buf_take(&s.text);
    assert_string_equal(text, "[|2|one][|2|tw][|2|o][i|1|m]");
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_come_out_the_same_however_they_are_cut),
        cmocka_unit_test(long_lines_are_cut_between_characters),
        cmocka_unit_test(a_record_of_full_length_is_still_a_record),
        cmocka_unit_test(an_endless_record_shows_no_token),
        cmocka_unit_test(a_flush_reports_what_has_no_end_yet),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
