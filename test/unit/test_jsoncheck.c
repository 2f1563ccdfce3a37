/* test_jsoncheck.c - what is JSON, and where it stops being it; compared with another parser. */
#include "core/jsoncheck.h"
#include "core/id.h"
#include "test.h"

#include <jansson.h>

static void json_is_taken(void **state)
{
    static const char *const good[] = {
        "null",
        "true",
        "false",
        "0",
        "-0",
        "12",
        "-1.5e+10",
        "1E5",
        "\"\"",
        "\"a\\n\\u00e9\\\\\"",
        "{}",
        "[]",
        " [ ] ",
        "[1,2,[3,{\"a\":[]}]]",
        "{\"a\":1,\"b\":{\"c\":null}}\n",
        "\t{ \"\" : [ true , false ] }\r\n",
        "\"\xc3\xa9\"",
        "\"\xf0\x9f\x98\x80\"",
    };
    for (size_t n = 0; n < HD_COUNT(good); n++)
        assert_int_equal(hd_json_check(hd_str(good[n]), NULL), 0);
    (void)state;
}

static void everything_else_is_refused_with_its_place(void **state)
{
    static const struct {
        const char *text, *error;
    } bad[] = {
        {"", "unexpected end at byte 0: a value is wanted"},
        {"  ", "unexpected end at byte 2: a value is wanted"},
        {"{", "unexpected end at byte 1: a member's name in quotes is wanted"},
        {"[1", "unexpected end at byte 2: a comma or ] is wanted"},
        {"[1,]", "unexpected byte 0x5d at byte 3: a value is wanted"},
        {"{\"a\":1,}", "unexpected byte 0x7d at byte 7: a member's name in quotes is wanted"},
        {"{\"a\" 1}", "unexpected byte 0x31 at byte 5: a colon is wanted"},
        {"{a:1}", "unexpected byte 0x61 at byte 1: a member's name in quotes is wanted"},
        {"1 2", "unexpected byte 0x32 at byte 2: nothing may follow the value"},
        {"01", "unexpected byte 0x31 at byte 1: nothing may follow the value"},
        {"1.", "unexpected end at byte 2: a digit is wanted"},
        {"-", "unexpected end at byte 1: a digit is wanted"},
        {"1e", "unexpected end at byte 2: a digit is wanted"},
        {"+1", "unexpected byte 0x2b at byte 0: a value is wanted"},
        {"nul", "unexpected end at byte 3: a value is wanted"},
        {"\"a", "unexpected end at byte 2: a string does not end"},
        {"\"\\x\"", "unexpected byte 0x78 at byte 2: no such escape"},
        {"\"\\u12g4\"", "unexpected byte 0x67 at byte 5: four hex digits are wanted after \\u"},
        {"\"\\", "unexpected end at byte 2: no such escape"},
        {"\"a\nb\"", "unexpected byte 0x0a at byte 2: a control character in a string must be "
                     "escaped"},
        {"\"\xff\"", "unexpected byte 0xff at byte 1: not UTF-8"},
        {"\"\xed\xa0\x80\"", "unexpected byte 0xed at byte 1: not UTF-8"},
        {"\xef\xbb\xbf{}", "unexpected byte 0xef at byte 0: a value is wanted"},
        {"hello", "unexpected byte 0x68 at byte 0: a value is wanted"},
        {"}", "unexpected byte 0x7d at byte 0: a value is wanted"},
        {"[}", "unexpected byte 0x7d at byte 1: a value is wanted"},
    };
    for (size_t n = 0; n < HD_COUNT(bad); n++) {
        struct hd_error err;
        assert_int_equal(hd_json_check(hd_str(bad[n].text), &err), HD_EINVAL);
        assert_string_equal(err.msg, bad[n].error);
    }
    assert_int_equal(hd_json_check(hd_str_n("\"a\0\"", 4), NULL), HD_EINVAL);
    (void)state;
}

static void depth_has_an_end(void **state)
{
    char text[2 * HD_JSON_DEPTH_MAX + 3];
    memset(text, '[', sizeof(text));
    memset(text + HD_JSON_DEPTH_MAX, ']', HD_JSON_DEPTH_MAX);
    assert_int_equal(hd_json_check(hd_str_n(text, 2 * HD_JSON_DEPTH_MAX), NULL), 0);
    memset(text, '[', HD_JSON_DEPTH_MAX + 1);
    memset(text + HD_JSON_DEPTH_MAX + 1, ']', HD_JSON_DEPTH_MAX + 1);
    struct hd_error err;
    assert_int_equal(hd_json_check(hd_str_n(text, 2 * HD_JSON_DEPTH_MAX + 2), &err), HD_EINVAL);
    assert_string_equal(err.msg, "unexpected byte 0x5b at byte 1000: nested too deep");
    (void)state;
}

/* Random texts of JSON's own characters: another parser must think the same of each. */
static void another_parser_agrees(void **state)
{
    static const char alphabet[] = "{}[]:,\"\\ 01-.eEtruefalsn\n\tu";
    struct hd_rng rng;
    unsigned good = 0;
    hd_rng_init(&rng, 11);
    for (int n = 0; n < 200000; n++) {
        char text[16];
        size_t len = 1 + hd_rng_below(&rng, n % 2 ? 5 : sizeof(text) - 1);
        for (size_t i = 0; i < len; i++)
            text[i] = alphabet[hd_rng_below(&rng, sizeof(alphabet) - 1)];
        json_t *theirs = json_loadb(text, len, JSON_DECODE_ANY, NULL);
        bool ours = hd_json_check(hd_str_n(text, len), NULL) == 0;
        if (ours != (theirs != NULL))
            fail_msg("%.*s: %s", (int)len, text, ours ? "taken" : "refused");
        good += ours;
        json_decref(theirs);
    }
    assert_true(good > 1000);
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(json_is_taken),
        cmocka_unit_test(everything_else_is_refused_with_its_place),
        cmocka_unit_test(depth_has_an_end),
        cmocka_unit_test(another_parser_agrees),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
