/* test/unit/test_logfilter.c - which lines a pattern means. */
#include "lambda/logs/logfilter.h"
#include "test.h"

static void terms_decide(void **state)
{
    static const struct {
        const char *pattern, *line;
        bool fits;
    } cases[] = {
        {"", "anything", true},
        {"  ", "anything", true},
        {"ERROR", "an ERROR came", true},
        {"ERROR", "an error came", false},
        {"ERROR came", "came an ERROR", true},
        {"ERROR came", "an ERROR", false},
        {"ERROR -came", "an ERROR came", false},
        {"ERROR -came", "an ERROR", true},
        {"-came", "an ERROR", true},
        {"?a ?b", "xbx", true},
        {"?a ?b", "xcx", false},
        {"x ?a ?b", "xcx", true}, /* what must be there decides */
        {"?a -b", "ab", false},
        {"\"exit status 1\"", "with exit status 1.", true},
        {"\"exit status 1\"", "exit 1 status", false},
        {"-\"exit status 1\"", "with exit status 1.", false},
        {"\"a \\\" b\"", "a \" b", true},
        {"\"\"", "anything", true},
        {"- ?", "a - and a ?", true},
    };
    struct hd_logfilter f;
    for (size_t i = 0; i < HD_COUNT(cases); i++) {
        assert_int_equal(hd_logfilter_parse(&f, hd_str(cases[i].pattern), NULL), 0);
        if (hd_logfilter_match(&f, hd_str(cases[i].line)) != cases[i].fits)
            fail_msg("%s: %s", cases[i].pattern, cases[i].line);
    }
    assert_int_equal(hd_logfilter_parse(&f, hd_str(NULL), NULL), 0);
    assert_true(hd_logfilter_match(&f, hd_str_n(NULL, 0)));
    (void)state;
}

static void what_is_not_offered_is_refused(void **state)
{
    static const char *const wrong[] = {"{ $.a = 1 }", "[ip, user]", "%[0-9]%", "\"open"};
    struct hd_logfilter f;
    struct hd_error err;
    for (size_t i = 0; i < HD_COUNT(wrong); i++)
        assert_int_equal(hd_logfilter_parse(&f, hd_str(wrong[i]), &err), HD_EINVAL);
    char longest[1026];
    memset(longest, 'a', sizeof(longest));
    assert_int_equal(hd_logfilter_parse(&f, hd_str_n(longest, 1024), &err), 0);
    assert_int_equal(hd_logfilter_parse(&f, hd_str_n(longest, 1025), &err), HD_EINVAL);
    for (size_t i = 0; i < sizeof(longest); i += 2)
        longest[i] = ' ';
    assert_int_equal(hd_logfilter_parse(&f, hd_str_n(longest, 64), &err), 0);
    assert_int_equal(hd_logfilter_parse(&f, hd_str_n(longest, 66), &err), HD_EINVAL);
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(terms_decide),
        cmocka_unit_test(what_is_not_offered_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
