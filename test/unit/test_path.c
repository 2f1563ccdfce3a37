/* test_path.c - which function a path names. */
#include "http/path.h"
#include "test.h"

static void a_path_is_prefix_name_and_rest(void **state)
{
    static const struct {
        const char *path, *prefix, *name, *rest; /* name NULL: not ours */
        bool dots;
    } cases[] = {
        {"/functions/v1/hello", "/functions/v1", "hello", "", false},
        {"/functions/v1/hello/", "/functions/v1", "hello", "/", false},
        {"/functions/v1/hello/a/b", "/functions/v1", "hello", "/a/b", false},
        {"/functions/v1/hello//b", "/functions/v1", "hello", "//b", false},
        {"/functions/v1/h%65llo/%2f", "/functions/v1", "h%65llo", "/%2f", false},
        {"/functions/v1/hello/../x", "/functions/v1", "hello", "/../x", true},
        {"/functions/v1/hello/.", "/functions/v1", "hello", "/.", true},
        {"/functions/v1/hello/%2E%2e/x", "/functions/v1", "hello", "/%2E%2e/x", true},
        {"/functions/v1/hello/.%2e", "/functions/v1", "hello", "/.%2e", true},
        {"/functions/v1/hello/...", "/functions/v1", "hello", "/...", false},
        {"/functions/v1/hello/.a/a.", "/functions/v1", "hello", "/.a/a.", false},
        {"/functions/v1/hello/%zz", "/functions/v1", "hello", "/%zz", false},
        {"/functions/v1/...", "/functions/v1", "...", "", false},
        {"/hello/x", "", "hello", "/x", false},
        {"/functions/v1", "/functions/v1", NULL, NULL, false},
        {"/functions/v1/", "/functions/v1", NULL, NULL, false},
        {"/functions/v1//hello", "/functions/v1", NULL, NULL, false},
        {"/functions/v1x/hello", "/functions/v1", NULL, NULL, false},
        {"/functions/v1hello", "/functions/v1", NULL, NULL, false},
        {"/Functions/v1/hello", "/functions/v1", NULL, NULL, false},
        {"/functions%2fv1/hello", "/functions/v1", NULL, NULL, false},
        {"/", "", NULL, NULL, false},
        {"*", "", NULL, NULL, false},
        {"/", "/functions/v1", NULL, NULL, false},
    };
    for (size_t i = 0; i < HD_COUNT(cases); i++) {
        struct hd_path p;
        const int rc = hd_path_split(&p, hd_str(cases[i].path), hd_str(cases[i].prefix), NULL);
        if (rc != (cases[i].name != NULL))
            fail_msg("%s: %d", cases[i].path, rc);
        if (rc != 1)
            continue;
        if (!hd_str_is(p.name, cases[i].name) || !hd_str_is(p.rest, cases[i].rest) ||
            p.dots != cases[i].dots)
            fail_msg("%s: %.*s %.*s %d", cases[i].path, HD_FMT(p.name), HD_FMT(p.rest), p.dots);
    }
    (void)state;
}

static void names_with_a_second_meaning_are_refused(void **state)
{
    static const struct {
        const char *path, *why;
    } cases[] = {
        {"/f/a%2fb", "byte 1: escaped slash"},
        {"/f/a%2Fb", "escaped slash"},
        {"/f/%5c", "escaped slash or backslash"},
        {"/f/a\\b", "backslash"},
        {"/f/%00", "byte 0: control byte"},
        {"/f/a%0d%0a", "control byte"},
        {"/f/a%7F", "control byte"},
        {"/f/%", "broken percent-escape"},
        {"/f/%2", "broken percent-escape"},
        {"/f/a%/2f", "byte 1: broken percent-escape"},
        {"/f/%g0", "broken percent-escape"},
        {"/f/.", "dot segment"},
        {"/f/../x", "dot segment"},
        {"/f/%2e", "dot segment"},
        {"/f/.%2E/x", "dot segment"},
        {"/f/%2e%2e", "dot segment"},
    };
    for (size_t i = 0; i < HD_COUNT(cases); i++) {
        struct hd_path p;
        struct hd_error err = {0};
        if (hd_path_split(&p, hd_str(cases[i].path), hd_str("/f"), &err) != HD_EINVAL ||
            strstr(err.msg, cases[i].why) == NULL)
            fail_msg("%s: %s", cases[i].path, err.msg);
    }
    (void)state;
}

static void escapes_are_decoded_once(void **state)
{
    char text[] = "h%65l%6Co%2525";
    int n = hd_path_decode(text, hd_str(text));
    assert_true(hd_str_is(hd_str_n(text, (size_t)n), "hello%25"));
    char nul[4];
    assert_int_equal(hd_path_decode(nul, hd_str("%00")), 1);
    assert_int_equal(nul[0], 0);
    assert_int_equal(hd_path_decode(nul, hd_str("")), 0);
    assert_int_equal(hd_path_decode(nul, hd_str(NULL)), 0);
    assert_int_equal(hd_path_decode(nul, hd_str("a%4")), HD_EINVAL);
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_path_is_prefix_name_and_rest),
        cmocka_unit_test(names_with_a_second_meaning_are_refused),
        cmocka_unit_test(escapes_are_decoded_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
