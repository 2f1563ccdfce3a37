/* test/unit/test_multipart.c - form data, in one piece and cut at every byte. */
#include "lanes/multipart.h"

#include "test.h"

static struct hd_buf seen;
static int answer;

static int on_part(void *arg, const struct hd_part *part)
{
    hd_buf_fmt(&seen, "<%.*s", HD_FMT(part->name));
    if (part->filename.ptr != NULL)
        hd_buf_fmt(&seen, "|file %.*s", HD_FMT(part->filename));
    if (part->content_type.ptr != NULL)
        hd_buf_fmt(&seen, "|%.*s", HD_FMT(part->content_type));
    hd_buf_char(&seen, '>');
    (void)arg;
    return answer;
}

static int on_data(void *arg, struct hd_str bytes)
{
    hd_buf_str(&seen, bytes);
    (void)arg;
    return 0;
}

static int on_part_end(void *arg)
{
    hd_buf_cstr(&seen, "</>");
    (void)arg;
    return 0;
}

static const struct hd_multipart_events events = {
    .on_part = on_part, .on_data = on_data, .on_part_end = on_part_end};

/* @return the result of the last feed; `complete` says whether all came. */
static int parse(const char *boundary, const char *body, size_t piece, bool *complete)
{
    struct hd_multipart *m = hd_multipart_new(hd_str(boundary), &events, NULL);
    struct hd_str rest = hd_str(body);
    int rc = 0;
    hd_buf_clear(&seen);
    while (rest.len > 0 && rc == 0) {
        size_t n = HD_MIN(piece, rest.len);
        rc = hd_multipart_feed(m, hd_str_n(rest.ptr, n), NULL);
        rest = hd_str_n(rest.ptr + n, rest.len - n);
    }
    *complete = hd_multipart_complete(m);
    hd_multipart_free(m);
    return rc;
}

static void parts_are_told_wherever_the_text_is_cut(void **state)
{
    static const char *const cases[][3] = {
        {"runner-mwpnkofq-9nzdfgy0uwu",
         "--runner-mwpnkofq-9nzdfgy0uwu\r\n"
         "Content-Disposition: form-data; name=\"__manifest\"\r\n\r\n"
         "{\"input\":{}}\r\n"
         "--runner-mwpnkofq-9nzdfgy0uwu\r\n"
         "Content-Disposition: form-data; name=\"file:F1\"; filename=\"a b.txt\"\r\n"
         "Content-Type: text/plain\r\n\r\n"
         "line\r\n--runner-mwpnkofq\r\n-\r\n"
         "\r\n--runner-mwpnkofq-9nzdfgy0uwu--\r\n",
         "<__manifest>{\"input\":{}}</><file:F1|file a b.txt|text/plain>"
         "line\r\n--runner-mwpnkofq\r\n-\r\n</>"},
        {"b",
         "hello\r\n--b  \r\n\r\nno "
         "head\r\n--b\r\ncontent-disposition:x;NAME=a\r\n\r\n\r\n--b--tail",
         "<>no head</><a></>"},
        {"b",
         "--b\r\nContent-Disposition: form-data; name=\"a\\\"b\"; "
         "filename=\"c:\\d\"\r\n\r\n1\r\n--b--",
         "<a\"b|file c:\\d>1</>"},
        {"b", "--b--", ""},
    };
    for (size_t i = 0; i < HD_COUNT(cases); i++) {
        for (size_t piece = 1; piece <= strlen(cases[i][1]); piece++) {
            bool complete;
            assert_int_equal(parse(cases[i][0], cases[i][1], piece, &complete), 0);
            assert_true(complete);
            assert_true(hd_str_is(hd_buf_view(&seen), cases[i][2]));
        }
    }
    (void)state;
}

static void what_is_not_complete_is_told(void **state)
{
    static const char *const cases[] = {"",
                                        "--b",
                                        "--b\r\n",
                                        "--b\r\nx: y\r\n\r\ntext",
                                        "--b\r\n\r\ntext\r\n--b\r\n",
                                        "--b\r\n\r\ntext--b--"};
    for (size_t i = 0; i < HD_COUNT(cases); i++) {
        bool complete;
        assert_int_equal(parse("b", cases[i], 3, &complete), 0);
        assert_false(complete);
    }
    (void)state;
}

static void what_is_wrong_is_refused(void **state)
{
    static const char *const cases[] = {"--bx\r\n", "--b\r\nno colon\r\n\r\n", "--b\n\r\n\r\n"};
    bool complete;
    for (size_t i = 0; i < HD_COUNT(cases); i++)
        assert_int_equal(parse("b", cases[i], 2, &complete), HD_EPROTO);
    struct hd_buf long_head;
    hd_buf_init(&long_head, 1 << 20);
    hd_buf_cstr(&long_head, "--b\r\nx: ");
    while (long_head.len < HD_MULTIPART_HEAD_MAX + 100)
        hd_buf_char(&long_head, 'y');
    hd_auto_free char *body = hd_buf_take(&long_head);
    assert_int_equal(parse("b", body, 1000, &complete), HD_EPROTO);
    answer = HD_EBUSY;
    assert_int_equal(parse("b", "--b\r\n\r\ntext\r\n--b--", 100, &complete), HD_EBUSY);
    answer = 0;
    (void)state;
}

static void the_boundary_is_found(void **state)
{
    static const char *const good[][2] = {
        {"multipart/form-data; boundary=abc", "abc"},
        {"Multipart/Form-Data;charset=utf-8 ; BOUNDARY=\"a b\"", "a b"},
        {"multipart/form-data; boundary=a; x=y", "a"},
    };
    struct hd_str out;
    for (size_t i = 0; i < HD_COUNT(good); i++) {
        assert_int_equal(hd_multipart_boundary(&out, hd_str(good[i][0])), 0);
        assert_true(hd_str_is(out, good[i][1]));
    }
    assert_int_equal(hd_multipart_boundary(&out, hd_str("application/json")), HD_ENOTFOUND);
    assert_int_equal(hd_multipart_boundary(&out, hd_str("multipart/form-data")), HD_EINVAL);
    assert_int_equal(hd_multipart_boundary(&out, hd_str("multipart/form-data; boundary=")),
                     HD_EINVAL);
    assert_int_equal(
        hd_multipart_boundary(
            &out, hd_str("multipart/form-data; boundary=0123456789012345678901234567890123456789"
                         "0123456789012345678901234567890")),
        HD_EINVAL);
    (void)state;
}

static int setup(void **state)
{
    hd_buf_init(&seen, 1 << 20);
    (void)state;
    return 0;
}

static int teardown(void **state)
{
    hd_buf_done(&seen);
    (void)state;
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parts_are_told_wherever_the_text_is_cut),
        cmocka_unit_test(what_is_not_complete_is_told),
        cmocka_unit_test(what_is_wrong_is_refused),
        cmocka_unit_test(the_boundary_is_found),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
