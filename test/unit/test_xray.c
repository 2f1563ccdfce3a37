/* test_xray.c - one trace in two spellings. */
#include "invoke/xray.h"
#include "test.h"

static struct hd_rng rng;

static void a_header_is_continued_with_a_span_of_our_own(void **state)
{
    char xray[HD_XRAY_CHARS], parent[HD_TRACEPARENT_CHARS + 1];
    struct hd_trace t;
    hd_rng_init(&rng, 1);
    hd_xray_continue(&t, xray,
                     hd_str("Self=1-1-1;Root=1-58406520-a006649127e371903a2de979; "
                            "Parent=53995c3f42cd8ad8;Sampled=1;Lineage=a87bd80c:1"),
                     hd_str("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"), &rng, 7);
    hd_trace_format(parent, &t);
    assert_memory_equal(parent, "00-58406520a006649127e371903a2de979-", 36);
    assert_string_equal(parent + 52, "-01");
    assert_true(
        hd_str_is(hd_xray_part(hd_str(xray), "Root"), "1-58406520-a006649127e371903a2de979"));
    struct hd_str span = hd_xray_part(hd_str(xray), "Parent");
    assert_int_equal(span.len, 16);
    assert_memory_equal(span.ptr, parent + 36, 16);
    assert_true(hd_str_is(hd_xray_part(hd_str(xray), "Sampled"), "1"));
    assert_true(hd_str_is(hd_xray_part(hd_str(xray), "Lineage"), "a87bd80c:1"));
    assert_true(hd_str_is(hd_xray_part(hd_str(xray), "Self"), "1-1-1"));
    (void)state;
}

static void a_traceparent_becomes_a_root(void **state)
{
    char xray[HD_XRAY_CHARS];
    struct hd_trace t;
    hd_xray_continue(&t, xray, hd_str(""),
                     hd_str("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"), &rng, 7);
    assert_memory_equal(xray, "Root=1-0af76519-16cd43dd8448eb211c80319c;Parent=", 48);
    assert_string_equal(xray + 64, ";Sampled=1");
    (void)state;
}

static void wrong_ones_begin_a_new_trace_of_now(void **state)
{
    static const char *const wrong[] = {"",
                                        "Root=",
                                        "Root=1-zzzzzzzz-a006649127e371903a2de979",
                                        "Root=2-58406520-a0066491",
                                        "nonsense",
                                        "Root=1-58406520-a006649127e371903a2de979a"};
    for (size_t n = 0; n < HD_COUNT(wrong); n++) {
        char xray[HD_XRAY_CHARS];
        struct hd_trace t;
        hd_xray_continue(&t, xray, hd_str(wrong[n]), hd_str("00-zz"), &rng, 0x12345678);
        assert_memory_equal(xray, "Root=1-12345678-", 16);
        assert_string_equal(xray + 64, ";Sampled=0");
    }
    (void)state;
}

static void what_does_not_fit_or_does_not_print_is_left_out(void **state)
{
    char xray[HD_XRAY_CHARS], header[3000];
    struct hd_trace t;
    memset(header, 'x', sizeof(header) - 1);
    memcpy(header, "Long=", 5);
    header[sizeof(header) - 1] = '\0';
    hd_xray_continue(&t, xray, hd_str(header), hd_str(""), &rng, 1);
    assert_int_equal(strlen(xray), 74);
    hd_xray_continue(&t, xray, hd_str("A=b\r\nX: y;C=d"), hd_str(""), &rng, 1);
    assert_string_equal(xray + 74, ";C=d");
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_header_is_continued_with_a_span_of_our_own),
        cmocka_unit_test(a_traceparent_becomes_a_root),
        cmocka_unit_test(wrong_ones_begin_a_new_trace_of_now),
        cmocka_unit_test(what_does_not_fit_or_does_not_print_is_left_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
