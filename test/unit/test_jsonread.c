/* test/unit/test_jsonread.c - values found in place, and strings read, whatever the text is. */
#include "native/jsonread.h"
#include "test.h"

static void finds_values_by_path(void **state)
{
    static const char text[] =
        " {\"a\" : 1, \"b\":{\"c\":[true , \"x,]}\\\"y\", {\"d\": null}], \"\":-2.5e3},"
        "\"a.b\":7, \"e\\u0041\":8, \"s\":\"\", \"o\":{}, \"l\":[] } ";
    static const struct {
        const char *path, *want;
    } cases[] = {
        {"a", "1"},
        {"b.c.0", "true"},
        {"b.c.1", "\"x,]}\\\"y\""},
        {"b.c.2.d", "null"},
        {"b.c.2", "{\"d\": null}"},
        {"b.", "-2.5e3"},
        {"e\\u0041", "8"},
        {"s", "\"\""},
        {"o", "{}"},
        {"l", "[]"},
        {"x", NULL},
        {"a.x", NULL},
        {"b.c.3", NULL},
        {"b.c.-1", NULL},
        {"b.c.x", NULL},
        {"o.x", NULL},
        {"l.0", NULL},
        {"a.b", NULL},
    };
    for (size_t i = 0; i < HD_COUNT(cases); i++) {
        struct hd_str found = hd_jsonread_find(hd_str(text), cases[i].path);
        if (cases[i].want == NULL)
            assert_null(found.ptr);
        else
            assert_true(hd_str_is(found, cases[i].want));
    }
    (void)state;
}

static void goes_over_members(void **state)
{
    struct hd_jsonread r;
    struct hd_str key, value;
    hd_jsonread_init(&r, hd_str("[1,\"b\", [2]]"));
    static const char *const want[] = {"1", "\"b\"", "[2]"};
    for (size_t i = 0; i < HD_COUNT(want); i++) {
        assert_true(hd_jsonread_next(&r, &key, &value));
        assert_true(hd_str_is(value, want[i]));
        assert_int_equal(key.len, 0);
    }
    assert_false(hd_jsonread_next(&r, &key, &value));
    static const char *const none[] = {"", " ", "1", "\"x\"", "{}", "[]", "{1:2}", "{\"a\" 1}"};
    for (size_t i = 0; i < HD_COUNT(none); i++) {
        hd_jsonread_init(&r, hd_str(none[i]));
        assert_false(hd_jsonread_next(&r, &key, &value));
    }
    (void)state;
}

static void stays_inside_of_texts_that_are_none(void **state)
{
    static const char *const broken[] = {"{\"a\":",   "{\"a\":\"x", "{\"a\":\"\\", "{\"a\":[",
                                         "{\"a\":}",  "[,",         "[}",          "{\"a\":[1}",
                                         "{\"\\\":1", "\"",         "{\"a\"",      "{\"a"};
    for (size_t i = 0; i < HD_COUNT(broken); i++) {
        size_t len = strlen(broken[i]);
        char *exact = hd_strdup_n(hd_str(broken[i])); /* so that a sanitizer sees a step too far */
        char *room = malloc(len);
        memcpy(room, exact, len);
        hd_jsonread_find(hd_str_n(room, len), "a.0");
        free(room);
        free(exact);
    }
    (void)state;
}

static void reads_strings(void **state)
{
    static const struct {
        const char *json, *want;
        int rc;
    } cases[] = {
        {"\"plain\"", "plain", 5},
        {"\"\"", "", 0},
        {"\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", "\"\\/\b\f\n\r\t", 8},
        {"\"\\u0041\\u00fc\\u20ac\\ud83d\\ude00\"", "A\xc3\xbc\xe2\x82\xac\xf0\x9f\x98\x80", 10},
        {"\"\xc3\xbc\"", "\xc3\xbc", 2},
        {"\"0123456789\"", "0123456789", 10},
        {"\"0123456789a\"", "", HD_EBUSY},
        {"\"123456789\\u00fc\"", "", HD_EBUSY},
        {"7", "", HD_EINVAL},
        {"", "", HD_EINVAL},
        {"\"", "", HD_EINVAL},
        {"\"\\u0000\"", "", HD_EINVAL},
        {"\"\\ud83d\"", "", HD_EINVAL},
        {"\"\\ude00\"", "", HD_EINVAL},
        {"\"\\ud83dx\\u0041\"", "", HD_EINVAL},
        {"\"\\ud83d\\u0041\"", "", HD_EINVAL},
        {"\"\\u00g0\"", "", HD_EINVAL},
        {"\"\\u00\"", "", HD_EINVAL},
        {"\"\\x\"", "", HD_EINVAL},
        {"\"\\\"", "", HD_EINVAL},
    };
    for (size_t i = 0; i < HD_COUNT(cases); i++) {
        char out[11];
        memset(out, 'z', sizeof(out));
        assert_int_equal(hd_jsonread_string(out, sizeof(out), hd_str(cases[i].json)), cases[i].rc);
        assert_string_equal(out, cases[i].want);
    }
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_values_by_path),
        cmocka_unit_test(goes_over_members),
        cmocka_unit_test(stays_inside_of_texts_that_are_none),
        cmocka_unit_test(reads_strings),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
