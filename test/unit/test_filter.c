/* test/unit/test_filter.c - which records fit which pattern. */
#include "lambda/filter.h"
#include "test.h"

static struct hd_filter *make(const char *pattern)
{
    struct hd_filter *f = NULL;
    struct hd_error err = {.msg = ""};
    if (hd_filter_new(&f, hd_str(pattern), &err) < 0)
        fail_msg("%s: %s", pattern, err.msg);
    return f;
}

static void matches(void **state)
{
    static const struct {
        const char *pattern, *record;
        bool fits;
    } cases[] = {
        {"{}", "{\"a\":1}", true},
        /* plain values */
        {"{\"a\":[\"x\"]}", "{\"a\":\"x\"}", true},
        {"{\"a\":[\"x\"]}", "{\"a\":\"X\"}", false},
        {"{\"a\":[\"x\",\"y\"]}", "{\"a\":\"y\"}", true},
        {"{\"a\":[\"x\"]}", "{}", false},
        {"{\"a\":[300]}", "{\"a\":3.0e2}", true},
        {"{\"a\":[300]}", "{\"a\":\"300\"}", false},
        {"{\"a\":[null]}", "{\"a\":null}", true},
        {"{\"a\":[null]}", "{}", false},
        {"{\"a\":[\"\"]}", "{\"a\":\"\"}", true},
        {"{\"a\":[true]}", "{\"a\":true}", true},
        {"{\"a\":[true]}", "{\"a\":false}", false},
        /* all members of an object, nested */
        {"{\"a\":[1],\"b\":[2]}", "{\"a\":1,\"b\":2,\"c\":3}", true},
        {"{\"a\":[1],\"b\":[2]}", "{\"a\":1,\"b\":3}", false},
        {"{\"a\":{\"b\":{\"c\":[1]}}}", "{\"a\":{\"b\":{\"c\":1}}}", true},
        {"{\"a\":{\"b\":[1]}}", "{\"a\":1}", false},
        {"{\"a\":[1]}", "{\"a\":{\"b\":1}}", false},
        /* arrays of the record */
        {"{\"a\":[\"x\"]}", "{\"a\":[\"w\",\"x\"]}", true},
        {"{\"a\":[\"x\"]}", "{\"a\":[]}", false},
        {"{\"a\":{\"b\":[1]}}", "{\"a\":[{\"b\":2},{\"b\":1}]}", true},
        {"{\"a\":{\"b\":[1],\"c\":[1]}}", "{\"a\":[{\"b\":1,\"c\":2},{\"b\":2,\"c\":1}]}", false},
        /* texts */
        {"{\"a\":[{\"prefix\":\"ab\"}]}", "{\"a\":\"abc\"}", true},
        {"{\"a\":[{\"prefix\":\"ab\"}]}", "{\"a\":\"aBc\"}", false},
        {"{\"a\":[{\"prefix\":\"ab\"}]}", "{\"a\":\"a\"}", false},
        {"{\"a\":[{\"prefix\":{\"equals-ignore-case\":\"AB\"}}]}", "{\"a\":\"abc\"}", true},
        {"{\"a\":[{\"suffix\":\".png\"}]}", "{\"a\":\"x.png\"}", true},
        {"{\"a\":[{\"suffix\":\".png\"}]}", "{\"a\":\"x.jpg\"}", false},
        {"{\"a\":[{\"suffix\":{\"equals-ignore-case\":\".PNG\"}}]}", "{\"a\":\"x.png\"}", true},
        {"{\"a\":[{\"prefix\":\"1\"}]}", "{\"a\":1}", false},
        {"{\"a\":[{\"equals-ignore-case\":\"Ab\"}]}", "{\"a\":\"aB\"}", true},
        {"{\"a\":[{\"wildcard\":\"dir/*.png\"}]}", "{\"a\":\"dir/a/b.png\"}", true},
        {"{\"a\":[{\"wildcard\":\"dir/*.png\"}]}", "{\"a\":\"dir/a.png.gz\"}", false},
        {"{\"a\":[{\"wildcard\":\"*a*b*\"}]}", "{\"a\":\"xxaxxbxx\"}", true},
        {"{\"a\":[{\"wildcard\":\"\\\\*\"}]}", "{\"a\":\"*\"}", true},
        {"{\"a\":[{\"wildcard\":\"\\\\*\"}]}", "{\"a\":\"x\"}", false},
        {"{\"a\":[{\"wildcard\":\"a\\\\\\\\*\"}]}", "{\"a\":\"a\\\\bc\"}", true},
        /* anything-but */
        {"{\"a\":[{\"anything-but\":\"x\"}]}", "{\"a\":\"y\"}", true},
        {"{\"a\":[{\"anything-but\":\"x\"}]}", "{\"a\":\"x\"}", false},
        {"{\"a\":[{\"anything-but\":\"x\"}]}", "{}", false},
        {"{\"a\":[{\"anything-but\":[1,2]}]}", "{\"a\":2}", false},
        {"{\"a\":[{\"anything-but\":[1,2]}]}", "{\"a\":3}", true},
        {"{\"a\":[{\"anything-but\":{\"prefix\":\"x\"}}]}", "{\"a\":\"xy\"}", false},
        {"{\"a\":[{\"anything-but\":{\"prefix\":[\"x\",\"y\"]}}]}", "{\"a\":\"yx\"}", false},
        {"{\"a\":[{\"anything-but\":{\"suffix\":\"x\"}}]}", "{\"a\":\"xy\"}", true},
        {"{\"a\":[{\"anything-but\":{\"equals-ignore-case\":\"X\"}}]}", "{\"a\":\"x\"}", false},
        {"{\"a\":[{\"anything-but\":{\"wildcard\":\"*x*\"}}]}", "{\"a\":\"axa\"}", false},
        /* numbers */
        {"{\"a\":[{\"numeric\":[\">\",0,\"<=\",5]}]}", "{\"a\":5}", true},
        {"{\"a\":[{\"numeric\":[\">\",0,\"<=\",5]}]}", "{\"a\":0}", false},
        {"{\"a\":[{\"numeric\":[\">\",0,\"<=\",5]}]}", "{\"a\":5.01}", false},
        {"{\"a\":[{\"numeric\":[\"=\",5]}]}", "{\"a\":5.0}", true},
        {"{\"a\":[{\"numeric\":[\"<\",5]}]}", "{\"a\":\"4\"}", false},
        {"{\"a\":[{\"numeric\":[\">=\",-1.5]}]}", "{\"a\":-1.5}", true},
        /* exists */
        {"{\"a\":[{\"exists\":true}]}", "{\"a\":null}", true},
        {"{\"a\":[{\"exists\":true}]}", "{\"b\":1}", false},
        {"{\"a\":[{\"exists\":false}]}", "{\"b\":1}", true},
        {"{\"a\":[{\"exists\":false}]}", "{\"a\":1}", false},
        {"{\"a\":{\"b\":[{\"exists\":false}]}}", "{}", true},
        {"{\"a\":[{\"exists\":false},\"x\"]}", "{\"a\":\"x\"}", true},
        /* $or */
        {"{\"$or\":[{\"a\":[1]},{\"b\":[2]}]}", "{\"a\":0,\"b\":2}", true},
        {"{\"$or\":[{\"a\":[1]},{\"b\":[2]}]}", "{\"a\":0,\"b\":1}", false},
        {"{\"c\":[3],\"$or\":[{\"a\":[1]},{\"b\":[2]}]}", "{\"a\":1,\"c\":4}", false},
        {"{\"x\":{\"$or\":[{\"a\":[1]},{\"b\":[2]}]}}", "{\"x\":{\"b\":2}}", true},
    };
    for (size_t i = 0; i < HD_COUNT(cases); i++) {
        hd_auto(hd_filter) f = make(cases[i].pattern);
        json_t *record = json_loads(cases[i].record, 0, NULL);
        assert_non_null(record);
        if (hd_filter_match(f, record) != cases[i].fits)
            fail_msg("%s / %s", cases[i].pattern, cases[i].record);
        json_decref(record);
    }
    (void)state;
}

static void refuses_what_could_never_work(void **state)
{
    static const struct {
        const char *pattern, *wrong;
    } cases[] = {
        {"x", "the pattern is not JSON at byte 1: '[' or '{' expected near 'x'"},
        {"[]", "the pattern: must be an object"},
        {"{\"a\":1}", "a: must be a list, or an object"},
        {"{\"a\":[]}", "a: an empty list fits nothing"},
        {"{\"a\":{}}", "a: must not be empty"},
        {"{\"a\":{\"b\":[[1]]}}", "a.b: a list must not hold a list"},
        {"{\"a\":[{\"prefx\":\"x\"}]}", "a: has a rule that there is not"},
        {"{\"a\":[{\"prefix\":\"x\",\"suffix\":\"y\"}]}", "a: a rule has exactly one member"},
        {"{\"a\":[{}]}", "a: a rule has exactly one member"},
        {"{\"a\":[{\"prefix\":1}]}", "a: prefix and suffix take a text"},
        {"{\"a\":[{\"equals-ignore-case\":[\"x\"]}]}", "a: equals-ignore-case takes a text"},
        {"{\"a\":[{\"exists\":1}]}", "a: exists takes true or false"},
        {"{\"a\":[{\"wildcard\":\"a**b\"}]}", "a: wildcard takes a text without \"**\""},
        {"{\"a\":[{\"wildcard\":\"a\\\\b\"}]}", "a: wildcard takes a text without \"**\""},
        {"{\"a\":[{\"numeric\":[\"~\",1]}]}",
         "a: numeric takes [\"<=\", 5] or [\">\", 0, \"<\", 5]"},
        {"{\"a\":[{\"numeric\":[\">\",\"1\"]}]}",
         "a: numeric takes [\"<=\", 5] or [\">\", 0, \"<\", 5]"},
        {"{\"a\":[{\"numeric\":[\">\",5,\"<\",1]}]}",
         "a: numeric takes [\"<=\", 5] or [\">\", 0, \"<\", 5]"},
        {"{\"a\":[{\"numeric\":[\"<\",1,\">\",5]}]}",
         "a: numeric takes [\"<=\", 5] or [\">\", 0, \"<\", 5]"},
        {"{\"a\":[{\"anything-but\":[]}]}",
         "a: anything-but takes a text, a number, a list of them, or one rule of text"},
        {"{\"a\":[{\"anything-but\":{\"exists\":true}}]}",
         "a: anything-but takes a text, a number, a list of them, or one rule of text"},
        {"{\"$or\":[{\"a\":[1]}]}", "$or: $or takes a list of two patterns or more"},
        {"{\"$or\":[{\"a\":[1]},7]}", "$or: must be an object"},
        {"{\"a\":[1],\"a\":[2]}", "the pattern is not JSON at byte 12: duplicate object key near "
                                  "'\"a\"'"},
    };
    for (size_t i = 0; i < HD_COUNT(cases); i++) {
        struct hd_filter *f = NULL;
        struct hd_error err = {.msg = ""};
        if (hd_filter_new(&f, hd_str(cases[i].pattern), &err) != HD_EINVAL)
            fail_msg("%s was taken", cases[i].pattern);
        assert_string_equal(err.msg, cases[i].wrong);
    }
    (void)state;
}

static void a_deep_pattern_is_refused_and_harms_nobody(void **state)
{
    char text[HD_FILTER_BYTES_MAX + 2];
    size_t n = 0;
    while (n < 800 * 5) {
        memcpy(text + n, "{\"a\":", 5);
        n += 5;
    }
    struct hd_filter *f = NULL;
    assert_int_equal(hd_filter_new(&f, hd_str_n(text, n), NULL), HD_EINVAL);
    n = 0;
    for (int i = 0; i < 300; i++) {
        memcpy(text + n, "{\"a\":", 5);
        n += 5;
    }
    memcpy(text + n, "[1]", 3);
    n += 3;
    memset(text + n, '}', 300);
    n += 300;
    struct hd_error err = {.msg = ""};
    assert_int_equal(hd_filter_new(&f, hd_str_n(text, n), &err), HD_EINVAL);
    assert_non_null(strstr(err.msg, "is too deep"));
    memset(text, ' ', sizeof(text));
    assert_int_equal(hd_filter_new(&f, hd_str_n(text, sizeof(text)), &err), HD_EINVAL);
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(matches),
        cmocka_unit_test(refuses_what_could_never_work),
        cmocka_unit_test(a_deep_pattern_is_refused_and_harms_nobody),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
