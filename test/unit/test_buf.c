/* test_buf.c - growth, the sticky ceiling, JSON strings. */
#include "core/buf.h"
#include "test.h"

static void the_first_failure_sticks(void **state)
{
    struct hd_buf b;
    hd_buf_init(&b, 4);
    hd_buf_cstr(&b, "abcd");
    assert_false(hd_buf_failed(&b));
    hd_buf_char(&b, 'e');
    hd_buf_consume(&b, 2);
    hd_buf_char(&b, 'f');
    assert_true(hd_buf_failed(&b));
    assert_true(hd_str_is(hd_buf_view(&b), "cd"));
    assert_null(hd_buf_take(&b));
    (void)state;
}

static void adding_nothing_needs_no_memory(void **state)
{
    struct hd_buf b;
    hd_buf_init(&b, 0);
    hd_buf_str(&b, hd_str(NULL));
    assert_false(hd_buf_failed(&b));
    assert_null(b.ptr);
    assert_non_null(hd_buf_reserve(&b, 0));
    hd_buf_done(&b);
    (void)state;
}

static void formatting_may_fill_it_to_the_last_byte(void **state)
{
    struct hd_buf b;
    char want[300];
    memset(want, 'x', sizeof(want));
    hd_buf_init(&b, sizeof(want));
    hd_buf_fmt(&b, "%.*s", (int)sizeof(want), want);
    assert_false(hd_buf_failed(&b));
    assert_int_equal(b.len, sizeof(want));
    hd_buf_fmt(&b, "%d", 1);
    assert_true(hd_buf_failed(&b));
    hd_buf_done(&b);
    (void)state;
}

static void printable_text_cannot_move_the_cursor(void **state)
{
    struct hd_buf b;
    hd_buf_init(&b, 100);
    hd_buf_printable(&b, hd_str("a\tgr\xc3\xbc\xc3\x9f \033[2J\r\n\x7f\xc2\x9b\xff\xc2"));
    hd_auto_free char *got = hd_buf_take(&b);
    assert_string_equal(got, "a\tgr\xc3\xbc\xc3\x9f \\x1b[2J\\x0d\\x0a\\x7f\\x9b"
                             "\xef\xbf\xbd\xef\xbf\xbd");
    (void)state;
}

static void json_strings_are_escaped_and_valid_utf8(void **state)
{
    static const struct {
        struct hd_str in;
        const char *out;
    } cases[] = {
        {HD_LIT(""), "\"\""},
        {HD_LIT("a\"b\\c"), "\"a\\\"b\\\\c\""},
        {HD_LIT("\n\t\r\x01\x00z"), "\"\\n\\t\\r\\u0001\\u0000z\""},
        {HD_LIT("gr\xc3\xbc\xc3\x9f"), "\"gr\xc3\xbc\xc3\x9f\""},
        {HD_LIT("\xf0\x9f\x98\x80"), "\"\xf0\x9f\x98\x80\""},
        {HD_LIT("\xc0\xaf"), "\"\xef\xbf\xbd\xef\xbf\xbd\""},
        {HD_LIT("\xed\xa0\x80"), "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\""},
        {HD_LIT("a\xe2\x82"), "\"a\xef\xbf\xbd\xef\xbf\xbd\""},
        {HD_LIT("\x7f"), "\"\\u007f\""},
    };
    for (size_t i = 0; i < HD_COUNT(cases); i++) {
        struct hd_buf b;
        hd_buf_init(&b, 1024);
        hd_buf_json(&b, cases[i].in);
        hd_auto_free char *got = hd_buf_take(&b);
        assert_string_equal(got, cases[i].out);
    }
    (void)state;
}

static void borrowed_memory_is_used_first_and_never_freed(void **state)
{
    char room[8];
    struct hd_buf b;
    hd_buf_init_with(&b, room, sizeof(room), 64);
    hd_buf_cstr(&b, "12345678");
    assert_ptr_equal(b.ptr, room);
    hd_buf_cstr(&b, "9");
    assert_ptr_not_equal(b.ptr, room);
    assert_true(hd_str_is(hd_buf_view(&b), "123456789"));
    hd_buf_done(&b);
    hd_buf_init_with(&b, room, sizeof(room), 64);
    hd_buf_cstr(&b, "ab");
    hd_auto_free char *taken = hd_buf_take(&b);
    assert_string_equal(taken, "ab");
    (void)state;
}

static void numbers_reach_their_ends(void **state)
{
    struct hd_buf b;
    hd_buf_init(&b, 64);
    hd_buf_u64(&b, 0);
    hd_buf_char(&b, ' ');
    hd_buf_u64(&b, UINT64_MAX);
    assert_true(hd_str_is(hd_buf_view(&b), "0 18446744073709551615"));
    hd_buf_done(&b);
    (void)state;
}

static void adding_nothing_to_an_empty_buffer_allocates_nothing(void **state)
{
    struct hd_buf b;
    hd_buf_init(&b, 4);
    hd_buf_str(&b, hd_str(""));
    hd_buf_add(&b, NULL, 0);
    assert_null(b.ptr);
    assert_false(hd_buf_failed(&b));
    hd_buf_done(&b);
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_failure_sticks),
        cmocka_unit_test(adding_nothing_needs_no_memory),
        cmocka_unit_test(formatting_may_fill_it_to_the_last_byte),
        cmocka_unit_test(printable_text_cannot_move_the_cursor),
        cmocka_unit_test(json_strings_are_escaped_and_valid_utf8),
        cmocka_unit_test(borrowed_memory_is_used_first_and_never_freed),
        cmocka_unit_test(numbers_reach_their_ends),
        cmocka_unit_test(adding_nothing_to_an_empty_buffer_allocates_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
