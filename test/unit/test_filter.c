/* test/unit/test_filter.c - event patterns against records, and patterns that are none. */
#include "lambda/sources/filter.h"

#include "test.h"

#include <jansson.h>

struct row {
    const char *pattern, *record;
    bool match;
};

static void check_rows(const struct row *rows, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct hd_filter *f = NULL;
        struct hd_error err = {.msg = ""};
        if (hd_filter_new(&f, hd_str(rows[i].pattern), &err) != 0)
            fail_msg("%s: %s", rows[i].pattern, err.msg);
        json_t *record = json_loads(rows[i].record, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
        if (record == NULL)
            fail_msg("%s: no JSON", rows[i].record);
        if (hd_filter_match(f, record) != rows[i].match)
            fail_msg("%s on %s: not %s", rows[i].pattern, rows[i].record,
                     rows[i].match ? "matched" : "refused");
        json_decref(record);
        hd_filter_free(f);
    }
}

static void values_are_equal_or_not(void **state)
{
    static const struct row rows[] = {
        {"{\"a\":[\"x\"]}", "{\"a\":\"x\"}", true},
        {"{\"a\":[\"x\"]}", "{\"a\":\"X\"}", false},
        {"{\"a\":[\"x\",\"y\"]}", "{\"a\":\"y\"}", true},
        {"{\"a\":[\"\"]}", "{\"a\":\"\"}", true},
        {"{\"a\":[\"\"]}", "{}", false},
        {"{\"a\":[\"x\\u0000y\"]}", "{\"a\":\"x\\u0000y\"}", true},
        {"{\"a\":[\"x\\u0000y\"]}", "{\"a\":\"x\"}", false},
        {"{\"a\":[1]}", "{\"a\":1}", true},
        {"{\"a\":[1]}", "{\"a\":1.0}", true},
        {"{\"a\":[100]}", "{\"a\":1e2}", true},
        {"{\"a\":[1.5]}", "{\"a\":1.5}", true},
        {"{\"a\":[1]}", "{\"a\":\"1\"}", false},
        {"{\"a\":[\"1\"]}", "{\"a\":1}", false},
        {"{\"a\":[9007199254740993]}", "{\"a\":9007199254740992}", false},
        {"{\"a\":[true]}", "{\"a\":true}", true},
        {"{\"a\":[true]}", "{\"a\":false}", false},
        {"{\"a\":[false]}", "{\"a\":false}", true},
        {"{\"a\":[true]}", "{\"a\":\"true\"}", false},
        {"{\"a\":[null]}", "{\"a\":null}", true},
        {"{\"a\":[null]}", "{}", false},
        {"{\"a\":[null]}", "{\"a\":\"null\"}", false},
        {"{\"a\":[\"x\"],\"b\":[1]}", "{\"a\":\"x\",\"b\":1,\"c\":2}", true},
        {"{\"a\":[\"x\"],\"b\":[1]}", "{\"a\":\"x\",\"b\":2}", false},
        {"{\"a\":[\"x\"]}", "[]", false},
        {"{}", "{\"a\":1}", true},
        {"{}", "{}", true},
        {"{\"a\":[\"x\"]}", "\"x\"", false},
        {"{\"a\":[\"x\"]}", "null", false},
    };
    check_rows(rows, HD_COUNT(rows));
    (void)state;
}

static void objects_nest_and_lists_offer(void **state)
{
    static const struct row rows[] = {
        {"{\"a\":{\"b\":[1]}}", "{\"a\":{\"b\":1}}", true},
        {"{\"a\":{\"b\":[1]}}", "{\"a\":{\"b\":2}}", false},
        {"{\"a\":{\"b\":[1]}}", "{\"a\":1}", false},
        {"{\"a\":{\"b\":[1]}}", "{\"a\":[{\"b\":2},{\"b\":1}]}", true},
        {"{\"a\":{\"b\":[1]}}", "{\"a\":[[{\"b\":1}]]}", true},
        {"{\"a\":{\"b\":[1]}}", "{\"a\":[]}", false},
        {"{\"a\":[\"x\"]}", "{\"a\":[\"z\",\"x\"]}", true},
        {"{\"a\":[\"x\"]}", "{\"a\":[[\"x\"]]}", true},
        {"{\"a\":[\"x\"]}", "{\"a\":[\"z\"]}", false},
        {"{\"a\":[\"x\"]}", "{\"a\":[]}", false},
        {"{\"a\":[\"x\"]}", "{\"a\":{\"x\":\"x\"}}", false},
        /* one element must meet both conditions */
        {"{\"a\":{\"b\":[1],\"c\":[2]}}", "{\"a\":[{\"b\":1,\"c\":2}]}", true},
        {"{\"a\":{\"b\":[1],\"c\":[2]}}", "{\"a\":[{\"b\":1,\"c\":3},{\"b\":4,\"c\":2}]}", false},
        {"{\"a\":{\"b\":{\"c\":[1]}}}", "{\"a\":[{\"b\":[{\"c\":0},{\"c\":1}]}]}", true},
    };
    check_rows(rows, HD_COUNT(rows));
    (void)state;
}

static void texts_match_by_their_parts(void **state)
{
    static const struct row rows[] = {
        {"{\"a\":[{\"prefix\":\"ab\"}]}", "{\"a\":\"abc\"}", true},
        {"{\"a\":[{\"prefix\":\"ab\"}]}", "{\"a\":\"Abc\"}", false},
        {"{\"a\":[{\"prefix\":\"\"}]}", "{\"a\":\"anything\"}", true},
        {"{\"a\":[{\"prefix\":\"1\"}]}", "{\"a\":12}", false},
        {"{\"a\":[{\"prefix\":{\"equals-ignore-case\":\"AB\"}}]}", "{\"a\":\"abc\"}", true},
        {"{\"a\":[{\"prefix\":{\"equals-ignore-case\":\"abcd\"}}]}", "{\"a\":\"abc\"}", false},
        {"{\"a\":[{\"suffix\":\".png\"}]}", "{\"a\":\"x.png\"}", true},
        {"{\"a\":[{\"suffix\":\".png\"}]}", "{\"a\":\"x.PNG\"}", false},
        {"{\"a\":[{\"suffix\":\".png\"}]}", "{\"a\":\"png\"}", false},
        {"{\"a\":[{\"suffix\":{\"equals-ignore-case\":\".png\"}}]}", "{\"a\":\"x.PNG\"}", true},
        {"{\"a\":[{\"suffix\":{\"equals-ignore-case\":\".png\"}}]}", "{\"a\":\"ng\"}", false},
        {"{\"a\":[{\"suffix\":{\"equals-ignore-case\":\"\\u00c4b\"}}]}", "{\"a\":\"x\\u00e4B\"}",
         true},
        {"{\"a\":[{\"equals-ignore-case\":\"Stra\\u00dfe \\u00c4\\u03a3\"}]}",
         "{\"a\":\"sTRA\\u00dfE \\u00e4\\u03c3\"}", true},
        {"{\"a\":[{\"equals-ignore-case\":\"\\u03a3\"}]}", "{\"a\":\"\\u03c2\"}", true},
        {"{\"a\":[{\"equals-ignore-case\":\"abc\"}]}", "{\"a\":\"ABCD\"}", false},
        {"{\"a\":[{\"equals-ignore-case\":\"abc\"}]}", "{\"a\":\"AB\"}", false},
        {"{\"a\":[{\"equals-ignore-case\":\"\"}]}", "{\"a\":\"\"}", true},
        {"{\"a\":[{\"wildcard\":\"*.png\"}]}", "{\"a\":\"x.png\"}", true},
        {"{\"a\":[{\"wildcard\":\"*.png\"}]}", "{\"a\":\".png\"}", true},
        {"{\"a\":[{\"wildcard\":\"a*b*c\"}]}", "{\"a\":\"aXbYbZc\"}", true},
        {"{\"a\":[{\"wildcard\":\"a*b*c\"}]}", "{\"a\":\"abbc\"}", true},
        {"{\"a\":[{\"wildcard\":\"a*b*c\"}]}", "{\"a\":\"acb\"}", false},
        {"{\"a\":[{\"wildcard\":\"a*\"}]}", "{\"a\":\"a\"}", true},
        {"{\"a\":[{\"wildcard\":\"*\"}]}", "{\"a\":\"\"}", true},
        {"{\"a\":[{\"wildcard\":\"abc\"}]}", "{\"a\":\"abc\"}", true},
        {"{\"a\":[{\"wildcard\":\"abc\"}]}", "{\"a\":\"abcd\"}", false},
        {"{\"a\":[{\"wildcard\":\"a\\\\*b\"}]}", "{\"a\":\"a*b\"}", true},
        {"{\"a\":[{\"wildcard\":\"a\\\\*b\"}]}", "{\"a\":\"aXb\"}", false},
        {"{\"a\":[{\"wildcard\":\"a\\\\\\\\*\"}]}", "{\"a\":\"a\\\\x\"}", true},
        {"{\"a\":[{\"wildcard\":\"*\\\\*\"}]}", "{\"a\":\"x*\"}", true},
        {"{\"a\":[{\"wildcard\":\"*\\\\*\"}]}", "{\"a\":\"x*y\"}", false},
        {"{\"a\":[{\"wildcard\":\"*\"}]}", "{\"a\":1}", false},
        {"{\"a\":[{\"prefix\":\"a\"},\"z\"]}", "{\"a\":\"z\"}", true},
        {"{\"a\":[{\"cidr\":\"10.0.0.0/8\"}]}", "{\"a\":\"10.9.8.7\"}", true},
        {"{\"a\":[{\"cidr\":\"10.0.0.5/24\"}]}", "{\"a\":\"10.0.0.200\"}", true},
        {"{\"a\":[{\"cidr\":\"10.0.0.0/8\"}]}", "{\"a\":\"11.0.0.0\"}", false},
        {"{\"a\":[{\"cidr\":\"10.0.0.0/8\"}]}", "{\"a\":\"ten\"}", false},
        {"{\"a\":[{\"cidr\":\"2001:db8::/32\"}]}", "{\"a\":\"2001:db8::1\"}", true},
    };
    check_rows(rows, HD_COUNT(rows));
    (void)state;
}

static void numbers_lie_in_ranges(void **state)
{
    static const struct row rows[] = {
        {"{\"a\":[{\"numeric\":[\"=\",5]}]}", "{\"a\":5.0}", true},
        {"{\"a\":[{\"numeric\":[\"=\",5]}]}", "{\"a\":6}", false},
        {"{\"a\":[{\"numeric\":[\">\",5]}]}", "{\"a\":5}", false},
        {"{\"a\":[{\"numeric\":[\">\",5]}]}", "{\"a\":5.0001}", true},
        {"{\"a\":[{\"numeric\":[\">=\",5]}]}", "{\"a\":5}", true},
        {"{\"a\":[{\"numeric\":[\"<\",5]}]}", "{\"a\":5}", false},
        {"{\"a\":[{\"numeric\":[\"<\",5]}]}", "{\"a\":-7e3}", true},
        {"{\"a\":[{\"numeric\":[\"<=\",5]}]}", "{\"a\":5}", true},
        {"{\"a\":[{\"numeric\":[\">\",0,\"<=\",5]}]}", "{\"a\":0}", false},
        {"{\"a\":[{\"numeric\":[\">\",0,\"<=\",5]}]}", "{\"a\":3}", true},
        {"{\"a\":[{\"numeric\":[\">\",0,\"<=\",5]}]}", "{\"a\":5}", true},
        {"{\"a\":[{\"numeric\":[\">\",0,\"<=\",5]}]}", "{\"a\":5.1}", false},
        {"{\"a\":[{\"numeric\":[\">\",0]}]}", "{\"a\":\"5\"}", false},
        {"{\"a\":[{\"numeric\":[\">\",0]}]}", "{\"a\":null}", false},
        {"{\"a\":[{\"numeric\":[\">\",0]}]}", "{\"a\":[-1,1]}", true},
        {"{\"a\":[{\"numeric\":[\">\",9007199254740992]}]}", "{\"a\":9007199254740993}", true},
    };
    check_rows(rows, HD_COUNT(rows));
    (void)state;
}

static void presence_is_about_values(void **state)
{
    static const struct row rows[] = {
        {"{\"a\":[{\"exists\":true}]}", "{\"a\":1}", true},
        {"{\"a\":[{\"exists\":true}]}", "{\"a\":null}", true},
        {"{\"a\":[{\"exists\":true}]}", "{\"a\":\"\"}", true},
        {"{\"a\":[{\"exists\":true}]}", "{}", false},
        {"{\"a\":[{\"exists\":true}]}", "{\"a\":{}}", false},
        {"{\"a\":[{\"exists\":true}]}", "{\"a\":{\"b\":1}}", false},
        {"{\"a\":[{\"exists\":true}]}", "{\"a\":[]}", false},
        {"{\"a\":[{\"exists\":true}]}", "{\"a\":[1]}", true},
        {"{\"a\":[{\"exists\":false}]}", "{}", true},
        {"{\"a\":[{\"exists\":false}]}", "{\"a\":null}", false},
        {"{\"a\":[{\"exists\":false}]}", "{\"a\":{\"b\":1}}", true},
        {"{\"a\":[{\"exists\":false}]}", "{\"a\":[]}", true},
        {"{\"a\":[{\"exists\":false}]}", "{\"a\":[{\"b\":1}]}", true},
        {"{\"a\":{\"b\":[{\"exists\":false}]}}", "{}", true},
        {"{\"a\":{\"b\":[{\"exists\":false}]}}", "{\"a\":5}", true},
        {"{\"a\":{\"b\":[{\"exists\":false}]}}", "{\"a\":{\"c\":5}}", true},
        {"{\"a\":{\"b\":[{\"exists\":false}]}}", "{\"a\":{\"b\":5}}", false},
        {"{\"a\":{\"b\":[{\"exists\":false}]}}", "{\"a\":[{\"b\":1},{\"c\":2}]}", false},
        {"{\"a\":{\"b\":[{\"exists\":false}]}}", "{\"a\":[{\"d\":1},{\"c\":2}]}", true},
        {"{\"a\":[{\"exists\":false},\"x\"]}", "{\"a\":\"x\"}", true},
        {"{\"a\":[{\"exists\":false},\"x\"]}", "{\"a\":\"y\"}", false},
        {"{\"a\":[{\"exists\":false},\"x\"]}", "{}", true},
        {"{\"a\":[{\"exists\":true}],\"b\":[{\"exists\":false}]}", "{\"a\":1}", true},
    };
    check_rows(rows, HD_COUNT(rows));
    (void)state;
}

static void anything_but_needs_a_value(void **state)
{
    static const struct row rows[] = {
        {"{\"a\":[{\"anything-but\":\"x\"}]}", "{\"a\":\"y\"}", true},
        {"{\"a\":[{\"anything-but\":\"x\"}]}", "{\"a\":\"x\"}", false},
        {"{\"a\":[{\"anything-but\":\"x\"}]}", "{\"a\":1}", true},
        {"{\"a\":[{\"anything-but\":\"x\"}]}", "{\"a\":null}", true},
        {"{\"a\":[{\"anything-but\":\"x\"}]}", "{}", false},
        {"{\"a\":[{\"anything-but\":\"x\"}]}", "{\"a\":{}}", false},
        {"{\"a\":[{\"anything-but\":\"x\"}]}", "{\"a\":[\"x\",\"y\"]}", true},
        {"{\"a\":[{\"anything-but\":\"x\"}]}", "{\"a\":[\"x\"]}", false},
        {"{\"a\":[{\"anything-but\":[\"x\",\"y\"]}]}", "{\"a\":\"y\"}", false},
        {"{\"a\":[{\"anything-but\":[1,2.5]}]}", "{\"a\":2.5}", false},
        {"{\"a\":[{\"anything-but\":[1,2.5]}]}", "{\"a\":2}", true},
        {"{\"a\":[{\"anything-but\":5}]}", "{\"a\":5.0}", false},
        {"{\"a\":[{\"anything-but\":{\"prefix\":\"ab\"}}]}", "{\"a\":\"abc\"}", false},
        {"{\"a\":[{\"anything-but\":{\"prefix\":\"ab\"}}]}", "{\"a\":\"bc\"}", true},
        {"{\"a\":[{\"anything-but\":{\"prefix\":[\"ab\",\"b\"]}}]}", "{\"a\":\"bc\"}", false},
        {"{\"a\":[{\"anything-but\":{\"suffix\":\"c\"}}]}", "{\"a\":\"bc\"}", false},
        {"{\"a\":[{\"anything-but\":{\"suffix\":[\"x\",\"y\"]}}]}", "{\"a\":\"bc\"}", true},
        {"{\"a\":[{\"anything-but\":{\"equals-ignore-case\":\"BC\"}}]}", "{\"a\":\"bc\"}", false},
        {"{\"a\":[{\"anything-but\":{\"equals-ignore-case\":[\"x\",\"Bc\"]}}]}", "{\"a\":\"bC\"}",
         false},
        {"{\"a\":[{\"anything-but\":{\"wildcard\":\"*/b/*\"}}]}", "{\"a\":\"a/b/c\"}", false},
        {"{\"a\":[{\"anything-but\":{\"wildcard\":[\"x*\",\"*/b/*\"]}}]}", "{\"a\":\"abc\"}", true},
        {"{\"a\":[{\"anything-but\":{\"prefix\":{\"equals-ignore-case\":\"AB\"}}}]}",
         "{\"a\":\"abc\"}", false},
        {"{\"a\":[{\"anything-but\":\"x\"},\"x\"]}", "{\"a\":\"x\"}", true},
    };
    check_rows(rows, HD_COUNT(rows));
    (void)state;
}

static void or_offers_whole_patterns(void **state)
{
    static const struct row rows[] = {
        {"{\"$or\":[{\"a\":[1]},{\"b\":[2]}]}", "{\"a\":1}", true},
        {"{\"$or\":[{\"a\":[1]},{\"b\":[2]}]}", "{\"b\":2}", true},
        {"{\"$or\":[{\"a\":[1]},{\"b\":[2]}]}", "{\"a\":2,\"b\":1}", false},
        {"{\"c\":[3],\"$or\":[{\"a\":[1]},{\"b\":[2]}]}", "{\"a\":1,\"c\":3}", true},
        {"{\"c\":[3],\"$or\":[{\"a\":[1]},{\"b\":[2]}]}", "{\"a\":1}", false},
        {"{\"o\":{\"$or\":[{\"a\":[1]},{\"b\":[2]}]}}", "{\"o\":{\"b\":2}}", true},
        {"{\"o\":{\"$or\":[{\"a\":[1]},{\"b\":[2]}]}}", "{\"b\":2}", false},
        {"{\"$or\":[{\"a\":[1],\"b\":[2]},{\"c\":[3]}]}", "{\"a\":1}", false},
        {"{\"$or\":[{\"a\":[1]},{\"$or\":[{\"b\":[2]},{\"c\":[3]}]}]}", "{\"c\":3}", true},
        {"{\"$or\":[{\"a\":[{\"exists\":false}]},{\"b\":[2]}]}", "{\"a\":1,\"b\":3}", false},
        {"{\"o\":{\"x\":[1],\"$or\":[{\"a\":[1]},{\"b\":[2]}]}}",
         "{\"o\":[{\"x\":1},{\"x\":2,\"a\":1}]}", false}, /* one element for all of it */
    };
    check_rows(rows, HD_COUNT(rows));
    (void)state;
}

static void what_users_write_for_queues_works(void **state)
{
    static const char record[] =
        "{\"messageId\":\"1\",\"body\":{\"RecordNumber\":7,\"RequestCode\":\"BBBB\","
        "\"Time\":\"yyyy-mm-dd\"},\"attributes\":{\"ApproximateReceiveCount\":\"1\"},"
        "\"messageAttributes\":{\"kind\":{\"stringValue\":\"order\",\"dataType\":\"String\"}},"
        "\"eventSource\":\"aws:sqs\"}";
    const struct row rows[] = {
        {"{\"body\":{\"RequestCode\":[\"BBBB\"]}}", record, true},
        {"{\"body\":{\"RequestCode\":[\"BBBB\"],\"RecordNumber\":[{\"numeric\":[\">\",7]}]}}",
         record, false},
        {"{\"body\":[\"BBBB\"]}", record, false},
        {"{\"messageAttributes\":{\"kind\":{\"stringValue\":[{\"prefix\":\"ord\"}]}}}", record,
         true},
        {"{\"attributes\":{\"ApproximateReceiveCount\":[\"1\"]},\"eventSource\":[\"aws:sqs\"]}",
         record, true},
    };
    check_rows(rows, HD_COUNT(rows));
    (void)state;
}

static void patterns_that_are_none_are_refused(void **state)
{
    static const struct {
        const char *pattern, *text;
    } cases[] = {
        {"", "no JSON"},
        {"{", "no JSON"},
        {"\"a\"", "must be an object"},
        {"[]", "must be an object"},
        {"{\"a\":{}}", "a: must be an object that is not empty"},
        {"{\"a\":\"x\"}", "a: must be a list"},
        {"{\"a\":1}", "a: must be a list"},
        {"{\"a\":[]}", "a: the list is empty"},
        {"{\"a\":{\"b\":[]}}", "a.b: the list is empty"},
        {"{\"a\":[[1]]}", "a: an entry"},
        {"{\"a\":[{}]}", "a: an object in the list"},
        {"{\"a\":[{\"prefix\":\"x\",\"suffix\":\"y\"}]}", "one operator"},
        {"{\"a\":[{\"like\":\"x\"}]}", "a.like: is no operator"},
        {"{\"a\":[{\"prefix\":1}]}", "a.prefix: must be a string"},
        {"{\"a\":[{\"prefix\":{\"x\":1}}]}", "must be a string"},
        {"{\"a\":[{\"prefix\":{\"equals-ignore-case\":1}}]}", "must be a string"},
        {"{\"a\":[{\"suffix\":null}]}", "must be a string"},
        {"{\"a\":[{\"equals-ignore-case\":[\"x\"]}]}", "must be a string"},
        {"{\"a\":[{\"wildcard\":\"a**b\"}]}", "two stars"},
        {"{\"a\":[{\"wildcard\":\"a\\\\b\"}]}", "backslash"},
        {"{\"a\":[{\"wildcard\":\"a\\\\\"}]}", "backslash"},
        {"{\"a\":[{\"exists\":\"yes\"}]}", "true or false"},
        {"{\"a\":[{\"numeric\":5}]}", "must be a list"},
        {"{\"a\":[{\"numeric\":[]}]}", "must be a list"},
        {"{\"a\":[{\"numeric\":[\">\"]}]}", "must be a list"},
        {"{\"a\":[{\"numeric\":[\">\",\"5\"]}]}", "must be a list"},
        {"{\"a\":[{\"numeric\":[\"!=\",5]}]}", "one of"},
        {"{\"a\":[{\"numeric\":[\"<\",5,\">\",1]}]}", "in this order"},
        {"{\"a\":[{\"numeric\":[\">\",5,\">\",6]}]}", "in this order"},
        {"{\"a\":[{\"numeric\":[\"=\",5,\"<\",6]}]}", "in this order"},
        {"{\"a\":[{\"numeric\":[\">\",5,\"=\",6]}]}", "in this order"},
        {"{\"a\":[{\"numeric\":[\">\",5,\"<\",5]}]}", "less than the upper"},
        {"{\"a\":[{\"anything-but\":null}]}", "a.anything-but: must be"},
        {"{\"a\":[{\"anything-but\":true}]}", "a.anything-but: must be"},
        {"{\"a\":[{\"anything-but\":[]}]}", "the list is empty"},
        {"{\"a\":[{\"anything-but\":[\"x\",1]}]}", "strings only"},
        {"{\"a\":[{\"anything-but\":{}}]}", "one operator"},
        {"{\"a\":[{\"anything-but\":{\"numeric\":[\"=\",1]}}]}", "takes prefix"},
        {"{\"a\":[{\"anything-but\":{\"prefix\":\"\"}}]}", "must not be empty"},
        {"{\"a\":[{\"anything-but\":{\"prefix\":1}}]}", "must be a string"},
        {"{\"a\":[{\"cidr\":\"10.0.0.0\"}]}", "prefix length"},
        {"{\"a\":[{\"cidr\":\"10.0.0.0/33\"}]}", "prefix length"},
        {"{\"a\":[{\"cidr\":\"x/8\"}]}", "prefix length"},
        {"{\"a\":[{\"cidr\":8}]}", "prefix length"},
        {"{\"$or\":[]}", "$or: must be a list"},
        {"{\"$or\":{\"a\":[1]}}", "$or: must be a list"},
        {"{\"$or\":[{\"a\":[1]}]}", "$or: must be a list of two"},
        {"{\"$or\":[1,2]}", "$or: must be an object"},
        {"{\"$or\":[{},{}]}", "$or: must be an object"},
        {"{\"a\":[1],\"a\":[2]}", "no JSON"},
    };
    for (size_t i = 0; i < HD_COUNT(cases); i++) {
        struct hd_filter *f = NULL;
        struct hd_error err = {.msg = ""};
        int rc = hd_filter_new(&f, hd_str(cases[i].pattern), &err);
        if (rc != HD_EINVAL || f != NULL || strstr(err.msg, cases[i].text) == NULL)
            fail_msg("%s: %d %s", cases[i].pattern, rc, err.msg);
    }
    (void)state;
}

static void long_patterns_have_an_end(void **state)
{
    struct hd_filter *f = NULL;
    char pattern[HD_FILTER_BYTES_MAX + 2];
    memset(pattern, ' ', sizeof(pattern));
    memcpy(pattern, "{\"a\":[1]}", 9);
    assert_int_equal(hd_filter_new(&f, hd_str_n(pattern, HD_FILTER_BYTES_MAX), NULL), 0);
    assert_ptr_equal(hd_filter_ref(f), f);
    hd_filter_free(f);
    json_t *one = json_loads("{\"a\":1}", 0, NULL);
    assert_true(hd_filter_match(f, one)); /* the other owner has it still */
    json_decref(one);
    hd_filter_free(f);
    assert_int_equal(hd_filter_new(&f, hd_str_n(pattern, HD_FILTER_BYTES_MAX + 1), NULL),
                     HD_EINVAL);
    /* as deep as that length lets it be, with an error at the bottom */
    size_t n = 0;
    while (n + 5 < HD_FILTER_BYTES_MAX / 5 * 4) {
        memcpy(pattern + n, "{\"\":", 4);
        n += 4;
    }
    size_t depth = n / 4;
    memcpy(pattern + n, "[1]", 3);
    n += 3;
    memset(pattern + n, '}', depth);
    n += depth;
    assert_true(n <= HD_FILTER_BYTES_MAX);
    struct hd_error err = {.msg = ""};
    assert_int_equal(hd_filter_new(&f, hd_str_n(pattern, n), &err), 0);
    json_t *record = json_loadb(pattern, n, 0, NULL);
    assert_true(hd_filter_match(f, record));
    json_decref(record);
    hd_filter_free(f);
    (void)state;
}

static void tells_json_from_text(void **state)
{
    static const struct {
        const char *text;
        bool json;
    } cases[] = {
        {"{\"a\":1}", true},
        {" \n[1]", true},
        {"{\"a\":123456789012345678901234567890}", true},
        {"text", false},
        {"5", false},
        {"\"quoted\"", false},
        {"", false},
        {"{", false},
        {"[1", false},
        {"   ", false},
        {"{\"a\":\"\\u0000\"}", true},
    };
    for (size_t i = 0; i < HD_COUNT(cases); i++) {
        json_t *v = hd_filter_parse(hd_str(cases[i].text));
        if ((v != NULL) != cases[i].json)
            fail_msg("%s", cases[i].text);
        json_decref(v);
    }
    assert_null(hd_filter_parse(hd_str_n("\0{}", 3)));
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_are_equal_or_not),
        cmocka_unit_test(objects_nest_and_lists_offer),
        cmocka_unit_test(texts_match_by_their_parts),
        cmocka_unit_test(numbers_lie_in_ranges),
        cmocka_unit_test(presence_is_about_values),
        cmocka_unit_test(anything_but_needs_a_value),
        cmocka_unit_test(or_offers_whole_patterns),
        cmocka_unit_test(what_users_write_for_queues_works),
        cmocka_unit_test(patterns_that_are_none_are_refused),
        cmocka_unit_test(long_patterns_have_an_end),
        cmocka_unit_test(tells_json_from_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
