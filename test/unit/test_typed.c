/* test/unit/test_typed.c - the typed serialiser: what is read, what is refused, and every byte of
 * what is written. */
#include "lanes/typed.h"
#include "test.h"

static struct hd_arena arena;
static struct hd_buf text;

static int setup(void **state)
{
    hd_arena_init(&arena, NULL, 0, 64 << 20);
    hd_buf_init(&text, 64 << 20);
    (void)state;
    return 0;
}

static int teardown(void **state)
{
    hd_arena_done(&arena);
    hd_buf_done(&text);
    (void)state;
    return 0;
}

static const char *rewritten(const char *json)
{
    struct hd_typed *v = NULL;
    struct hd_error err = {0};
    hd_arena_done(&arena);
    hd_buf_clear(&text);
    if (hd_typed_read(&v, &arena, hd_str(json), &err) < 0)
        return "refused";
    hd_typed_write(&text, v);
    hd_buf_char(&text, '\0');
    return text.ptr;
}

static const char *plain(const char *json)
{
    struct hd_typed *v = NULL;
    hd_arena_done(&arena);
    hd_buf_clear(&text);
    if (hd_typed_read(&v, &arena, hd_str(json), NULL) < 0)
        return "refused";
    hd_typed_to_plain(&text, v);
    hd_buf_char(&text, '\0');
    return text.ptr;
}

#define REC(type, value) "{\"__type\":\"" type "\",\"value\":" value "}"

static void every_type_as_a_peer_writes_it_is_read_and_written_byte_for_byte(void **state)
{
    static const char all[] = "{\"ok\":true,\"result\":{\"undef\":" REC(
        "Undefined", "null") ",\"nul\":null,\"t\":true,"
                             "\"n\":1.5,\"neg0\":0,\"nan\":" REC(
                                 "NonFiniteNumber", "\"NaN\"") ",\"ninf\""
                                                               ":" REC(
                                                                   "No"
                                                                   "nF"
                                                                   "in"
                                                                   "it"
                                                                   "eN"
                                                                   "um"
                                                                   "be"
                                                                   "r",
                                                                   "\""
                                                                   "-I"
                                                                   "nf"
                                                                   "in"
                                                                   "it"
                                                                   "y"
                                                                   "\"") ",\"big\":" REC("BigInt", "\"123456789012345678901234567890\"") ",\"date\":" REC("Date",
                                                                                                                                                          "\"2024-01-02T03:04:05.678Z\"") ",\"re\":" REC("RegExp",
                                                                                                                                                                                                         "{\"pattern\":\"a+b\",\"flags\":\"gi\"}") ",\"map\":" REC("Map", "[[\"k\",1],[{\"o\":1}," REC("Date", "\"1970-01-01T00:00:00.000Z\"") "]]") ",\"set\":" REC("Set", "[1,\"x\"]") ",\"buf\":" REC("Buffer",
                                                                                                                                                                                                                                                                                                                                                                                                         "[0,1,254,255]") ",\"u8\":" REC("Uint8Array",
                                                                                                                                                                                                                                                                                                                                                                                                                                         "[1,2,3]") ",\"f64\":" REC("Float64Array", "[0,0,0,0,0,0,248,63,0,0,0,0,0,0,0,192]") ",\"ab\":" REC("ArrayBuffer",
                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                             "[9,8]") ",\"url\":" REC("URL",
                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                      "\"https://example.org/p?q=1#h\"") ",\"usp\":" REC("URLSearchParams",
                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                         "\"a=1&b=2\"") ",\"sym\":" REC("Symbol",
                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                        "{\"kind\":\"For\",\"key\":\"app.k\"}") ",\"wk\":" REC("Symbol",
                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                               "{\"kind\":\"WellKnown\",\"key\":\"iterator\"}") ",\"keys\":{\"1\":\"one\",\"2\":\"two\",\"$runner.escape::__type\":\"x\","
                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                "\"$runner.escape::__graph\":true,\"$runner.escape::$runner.escape::z\":1,"
                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                "\"b\":1,\"a\":2}}}";
    assert_string_equal(rewritten(all), all);
    (void)state;
}

static void text_is_the_one_that_javascript_writes(void **state)
{
    static const char *const cases[][2] = {
        {"{\"b\":1,\"10\":2,\"2\":3,\"01\":4}", "{\"2\":3,\"10\":2,\"b\":1,\"01\":4}"},
        {"{\"a\":1,\"b\":2,\"a\":3}", "{\"a\":3,\"b\":2}"},
        {"[4294967294,{\"4294967295\":1,\"4294967294\":2}]",
         "[4294967294,{\"4294967294\":2,\"4294967295\":1}]"},
        {" [ 1.0 , -0 , 1e3, 1E-7, 0.000001, 123456789012345680000, 1e21 ] ",
         "[1,0,1000,1e-7,0.000001,123456789012345680000,1e+21]"},
        {"[9007199254740993,0.1,0.30000000000000004,1.7976931348623157e308,5e-324]",
         "[9007199254740992,0.1,0.30000000000000004,1.7976931348623157e+308,5e-324]"},
        {"[100,123.456,-1.5e-10,4.35,2e-7,12345678901234567890]",
         "[100,123.456,-1.5e-10,4.35,2e-7,12345678901234567000]"},
        {"\"\\u0000\\u001f\\b\\f\\n\\r\\t\\\"\\\\\\/\\u007f\\u2028\\u00e9\"",
         "\"\\u0000\\u001f\\b\\f\\n\\r\\t\\\"\\\\/\x7f\xe2\x80\xa8\xc3\xa9\""},
        {"\"\\ud83d\\ude00 \\ud800 \\udc00x\"", "\"\xf0\x9f\x98\x80 \\ud800 \\udc00x\""},
        {"\"\\ud800\\u0041\"", "\"\\ud800A\""},
        {"[1e400,-1e400]", "[" REC("NonFiniteNumber", "\"Infinity\"") "," REC("NonFiniteNumber",
                                                                              "\"-Infinity\"") "]"},
        {"{}", "{}"},
        {"[]", "[]"},
        {"{\"\":{\"__type\":\"no value\"}}", "{\"\":{\"$runner.escape::__type\":\"no value\"}}"},
        {"{\"__proto__\":1,\"constructor\":2,\"prototype\":3,\"x\":{\"__proto__\":[]}}",
         "{\"x\":{}}"},
        {"{\"$runner.escape::$runner.escape::__type\":1}",
         "{\"$runner.escape::$runner.escape::__type\":1}"},
    };
    for (size_t i = 0; i < HD_COUNT(cases); i++)
        assert_string_equal(rewritten(cases[i][0]), cases[i][1]);
    (void)state;
}

static void records_take_their_one_form(void **state)
{
    static const char *const cases[][2] = {
        {REC("BigInt", "\" +0012 \""), REC("BigInt", "\"12\"")},
        {REC("BigInt", "\"-0\""), REC("BigInt", "\"0\"")},
        {REC("BigInt", "\"-7\""), REC("BigInt", "\"-7\"")},
        {REC("Date", "0"), REC("Date", "\"1970-01-01T00:00:00.000Z\"")},
        {REC("Date", "-1"), REC("Date", "\"1969-12-31T23:59:59.999Z\"")},
        {REC("Date", "\"2024-02-29\""), REC("Date", "\"2024-02-29T00:00:00.000Z\"")},
        {REC("Date", "\"2024-01-01T00:30:00+01:00\""), REC("Date", "\"2023-12-31T23:30:00.000Z\"")},
        {REC("Date", "\"+010000-01-01T00:00:00Z\""),
         REC("Date", "\"+010000-01-01T00:00:00.000Z\"")},
        {REC("Date", "-62198755200000"), REC("Date", "\"-000001-01-01T00:00:00.000Z\"")},
        {REC("Date", "8640000000000000"), REC("Date", "\"+275760-09-13T00:00:00.000Z\"")},
        {REC("RegExp", "{\"flags\":\"ig\",\"pattern\":\"a/b[/]\"}"),
         REC("RegExp", "{\"pattern\":\"a\\\\/b[/]\",\"flags\":\"gi\"}")},
        {REC("RegExp", "{\"pattern\":\"\",\"flags\":\"\"}"),
         REC("RegExp", "{\"pattern\":\"(?:)\",\"flags\":\"\"}")},
        {REC("Map", "[[\"a\",1],[\"b\",2],[\"a\",3]]"), REC("Map", "[[\"a\",3],[\"b\",2]]")},
        {REC("Set", "[1,2,1,\"1\"]"), REC("Set", "[1,2,\"1\"]")},
        {REC("Error", "{\"message\":\"m\",\"name\":\"E\",\"x\":1}"),
         REC("Error", "{\"name\":\"E\",\"message\":\"m\",\"customFields\":{}}")},
        {REC("Undefined", "{\"__type\":\"Nonsense\",\"value\":1}"), REC("Undefined", "null")},
        {"{\"__type\":\"Set\",\"more\":1,\"value\":[]}", REC("Set", "[]")},
        {REC("URLSearchParams", "\"?a=1\""), REC("URLSearchParams", "\"a=1\"")},
    };
    for (size_t i = 0; i < HD_COUNT(cases); i++)
        assert_string_equal(rewritten(cases[i][0]), cases[i][1]);
    (void)state;
}

static void what_is_wrong_is_refused(void **state)
{
    static const char *const cases[] = {
        "",
        " ",
        "{",
        "[1,]",
        "{\"a\":1,}",
        "{a:1}",
        "'a'",
        "01",
        "1.",
        ".5",
        "+1",
        "1e",
        "nul",
        "[1] 2",
        "\"\\x\"",
        "\"\\u12g4\"",
        "\"a\nb\"",
        "\"\xff\"",
        "\"\xc0\x80\"",
        "\"\xed\xa0\x80\"",
        "\"open",
        "NaN",
        "// c\n1",
        REC("Nonsense", "1"),
        REC("BigInt", "12"),
        REC("BigInt", "\"1.5\""),
        REC("BigInt", "\"\""),
        REC("NonFiniteNumber", "\"nan\""),
        REC("Date", "\"yesterday\""),
        REC("Date", "\"2023-02-29\""),
        REC("Date", "\"2023-13-01\""),
        REC("Date", "8640000000000001"),
        REC("Date", "\"-000000-01-01T00:00:00Z\""),
        REC("RegExp", "\"a\""),
        REC("RegExp", "{\"pattern\":\"a\",\"flags\":\"gg\"}"),
        REC("RegExp", "{\"pattern\":\"a\",\"flags\":\"x\"}"),
        REC("RegExp", "{\"pattern\":\"(a+)+\",\"flags\":\"\"}"),
        REC("RegExp", "{\"pattern\":\"(a|ab)*\",\"flags\":\"\"}"),
        REC("RegExp", "{\"pattern\":\"(a|)*\",\"flags\":\"\"}"),
        REC("RegExp", "{\"pattern\":\"((b*)c){2,}\",\"flags\":\"\"}"),
        REC("RegExp", "{\"pattern\":\"(a\",\"flags\":\"\"}"),
        REC("Map", "{}"),
        REC("Map", "[[1]]"),
        REC("Set", "1"),
        REC("Symbol", "{\"kind\":\"Local\",\"key\":\"k\"}"),
        REC("Symbol", "{\"kind\":\"WellKnown\",\"key\":\"k\"}"),
        REC("Error", "{\"name\":\"E\"}"),
        REC("URL", "\"no\""),
        REC("Buffer", "[256]"),
        REC("Buffer", "[1.5]"),
        REC("Buffer", "[-1]"),
        REC("Buffer", "\"AA==\""),
        REC("Int16Array", "[1]"),
        REC("Float64Array", "[1,2,3,4]"),
    };
    for (size_t i = 0; i < HD_COUNT(cases); i++)
        assert_string_equal(rewritten(cases[i]), "refused");
    (void)state;
}

static void harmless_patterns_pass(void **state)
{
    static const char *const patterns[] = {"a+b",           "(a|b)+c",   "(?:ab){3}", "[a+]*(x)?",
                                           "\\\\(a+\\\\)+", "(?<n>a)b*", "^(?=a+)b",  "(a+)?"};
    for (size_t i = 0; i < HD_COUNT(patterns); i++) {
        hd_auto_free char *json = hd_printf(
            "{\"__type\":\"RegExp\",\"value\":{\"pattern\":\"%s\",\"flags\":\"\"}}", patterns[i]);
        assert_string_equal(rewritten(json), json);
    }
    (void)state;
}

static void depth_has_a_limit(void **state)
{
    for (int depth = HD_TYPED_DEPTH_MAX; depth <= HD_TYPED_DEPTH_MAX + 1; depth++) {
        struct hd_buf json;
        hd_buf_init(&json, 1 << 16);
        for (int i = 0; i < depth; i++)
            hd_buf_char(&json, '[');
        hd_buf_cstr(&json, "1");
        for (int i = 0; i < depth; i++)
            hd_buf_char(&json, ']');
        hd_auto_free char *whole = hd_buf_take(&json);
        assert_string_equal(rewritten(whole), depth == HD_TYPED_DEPTH_MAX ? whole : "refused");
    }
    (void)state;
}

static void a_graph_becomes_a_tree(void **state)
{
    assert_string_equal(
        rewritten("{\"__graph\":true,\"version\":1,\"root\":{\"__ref\":\"obj_1\"},\"nodes\":{"
                  "\"obj_1\":{\"kind\":\"object\",\"value\":{\"input\":{\"__ref\":\"obj_2\"}}},"
                  "\"obj_2\":{\"kind\":\"array\",\"value\":[{\"__ref\":\"obj_3\"},"
                  "{\"__ref\":\"obj_3\"}]},\"obj_3\":{\"kind\":\"object\",\"value\":{\"a\":1}}}}"),
        "{\"input\":[{\"a\":1},{\"a\":1}]}");
    assert_string_equal(rewritten("{\"__graph\":true,\"root\":{\"__ref\":\"m\"},\"nodes\":{\"m\":{"
                                  "\"kind\":\"type\",\"type\":\"Map\",\"value\":[[1,2]]}}}"),
                        REC("Map", "[[1,2]]"));
    assert_string_equal(rewritten("{\"__graph\":false,\"root\":1,\"nodes\":{}}"),
                        "{\"$runner.escape::__graph\":false,\"root\":1,\"nodes\":{}}");
    static const char *const bad[] = {
        "{\"__graph\":true,\"root\":{\"__ref\":\"x\"},\"nodes\":{}}",
        "{\"__graph\":true,\"root\":{\"__ref\":1},\"nodes\":{}}",
        "{\"__graph\":true,\"root\":{\"__ref\":\"x\",\"b\":1},\"nodes\":{\"x\":{\"kind\":\"array\","
        "\"value\":[]}}}",
        "{\"__graph\":true,\"root\":{\"__ref\":\"x\"},\"nodes\":{\"x\":{\"kind\":\"array\","
        "\"value\":[{\"__ref\":\"x\"}]}}}",
        "{\"__graph\":true,\"root\":{\"__ref\":\"__proto__\"},\"nodes\":{}}",
        "{\"__graph\":true,\"root\":{\"__ref\":\"x\"},\"nodes\":{\"x\":{\"kind\":\"object\","
        "\"value\":[]}}}",
    };
    for (size_t i = 0; i < HD_COUNT(bad); i++)
        assert_string_equal(rewritten(bad[i]), "refused");
    (void)state;
}

static void a_graph_that_explodes_is_refused(void **state)
{
    struct hd_buf json;
    hd_buf_init(&json, 1 << 16);
    hd_buf_cstr(&json, "{\"__graph\":true,\"root\":{\"__ref\":\"n0\"},\"nodes\":{");
    for (int i = 0; i < 40; i++)
        hd_buf_fmt(
            &json,
            "\"n%d\":{\"kind\":\"array\",\"value\":[{\"__ref\":\"n%d\"},{\"__ref\":\"n%d\"}]},", i,
            i + 1, i + 1);
    hd_buf_cstr(&json, "\"n40\":{\"kind\":\"array\",\"value\":[]}}}");
    hd_auto_free char *bomb = hd_buf_take(&json);
    assert_string_equal(rewritten(bomb), "refused");
    (void)state;
}

static void plain_functions_see_ordinary_json(void **state)
{
    static const char *const cases[][2] = {
        {"{\"a\":" REC("Undefined", "null") ",\"b\":[" REC("Undefined", "null") "]}",
         "{\"b\":[null]}"},
        {REC("Undefined", "null"), "null"},
        {REC("NonFiniteNumber", "\"NaN\""), "null"},
        {REC("BigInt", "\"12\""), "\"12\""},
        {REC("Date", "0"), "\"1970-01-01T00:00:00.000Z\""},
        {REC("RegExp", "{\"pattern\":\"a\",\"flags\":\"g\"}"), "\"/a/g\""},
        {REC("Map", "[[\"k\"," REC("Set", "[1]") "]]"), "[[\"k\",[1]]]"},
        {REC("Buffer", "[104,105]"), "\"aGk=\""},
        {REC("Error", "{\"name\":\"E\",\"message\":\"m\",\"customFields\":{\"x\":1}}"),
         "{\"name\":\"E\",\"message\":\"m\"}"},
        {REC("Symbol", "{\"kind\":\"For\",\"key\":\"k\"}"), "\"k\""},
        {"{\"$runner.escape::__type\":1}", "{\"__type\":1}"},
    };
    for (size_t i = 0; i < HD_COUNT(cases); i++)
        assert_string_equal(plain(cases[i][0]), cases[i][1]);
    struct hd_typed *v = NULL;
    assert_int_equal(
        hd_typed_from_plain(&v, &arena, hd_str("{\"__type\":\"Date\",\"value\":1}"), NULL), 0);
    hd_buf_clear(&text);
    hd_typed_write(&text, v);
    assert_true(hd_str_is(hd_buf_view(&text), "{\"$runner.escape::__type\":\"Date\",\"value\":1}"));
    (void)state;
}

static void memory_has_a_limit(void **state)
{
    struct hd_arena small;
    struct hd_typed *v = NULL;
    char memory[256];
    hd_arena_init(&small, memory, sizeof(memory), 0);
    assert_int_equal(hd_typed_read(&v, &small, hd_str("[[],[],[],[],[],[],[],[]]"), NULL),
                     HD_EBUSY);
    hd_arena_done(&small);
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_type_as_a_peer_writes_it_is_read_and_written_byte_for_byte),
        cmocka_unit_test(text_is_the_one_that_javascript_writes),
        cmocka_unit_test(records_take_their_one_form),
        cmocka_unit_test(what_is_wrong_is_refused),
        cmocka_unit_test(harmless_patterns_pass),
        cmocka_unit_test(depth_has_a_limit),
        cmocka_unit_test(a_graph_becomes_a_tree),
        cmocka_unit_test(a_graph_that_explodes_is_refused),
        cmocka_unit_test(plain_functions_see_ordinary_json),
        cmocka_unit_test(memory_has_a_limit),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
