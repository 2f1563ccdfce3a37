/* test/unit/test_lambda_shape.c - the texts of validation errors, as clients match on them. */
#include "lambda/api/shape.h"
#include "test.h"

static const char *const modes[] = {"Active", "PassThrough", NULL};
static const char *const machines[] = {"x86_64", "arm64", NULL};
static const struct hd_shape machine[] = {{.name = "member", .words = machines}};
static const struct hd_shape layer[] = {
    {.name = "member", .min = 1, .max = 12, .pattern = "arn:[a-z]+"}};
static const struct hd_shape variable[] = {{.name = "key", .pattern = "[a-zA-Z]([a-zA-Z0-9_])+"},
                                           {.name = "value", .max = 3}};
static const struct hd_shape secret[] = {{.name = "key", .pattern = "[a-z]+"}, {.name = "value"}};
static const struct hd_shape weight[] = {
    {.name = "key", .pattern = "[0-9]+"},
    {.name = "value", .kind = HD_SHAPE_DOUBLE, .has_min = true, .max = 1}};
static const struct hd_shape mount[] = {{.name = "Arn", .required = true, .max = 5}, {0}};
static const struct hd_shape mounts[] = {{.name = "member", .kind = HD_SHAPE_STRUCT, .of = mount}};
static const struct hd_shape tracing[] = {{.name = "Mode", .words = modes}, {0}};
static const struct hd_shape input[] = {
    {.name = "FunctionName",
     .required = true,
     .min = 1,
     .max = 140,
     .pattern = HD_PATTERN_FUNCTION},
    {.name = "Timeout", .kind = HD_SHAPE_INTEGER, .min = 1, .max = 900},
    {.name = "Description", .max = 4},
    {.name = "Alias", .pattern = HD_PATTERN_ALIAS},
    {.name = "Publish", .kind = HD_SHAPE_BOOLEAN},
    {.name = "Since", .kind = HD_SHAPE_TIME},
    {.name = "TracingConfig", .kind = HD_SHAPE_STRUCT, .of = tracing},
    {.name = "Architectures", .kind = HD_SHAPE_LIST, .of = machine, .min = 1, .max = 1},
    {.name = "Layers", .kind = HD_SHAPE_LIST, .of = layer},
    {.name = "Mounts", .kind = HD_SHAPE_LIST, .of = mounts},
    {.name = "Variables", .kind = HD_SHAPE_MAP, .of = variable, .max = 2},
    {.name = "Secrets", .kind = HD_SHAPE_MAP, .of = secret, .secret = true},
    {.name = "Weights", .kind = HD_SHAPE_MAP, .of = weight},
    {0},
};

#define FAILED(value, path) "Value " value " at '" path "' failed to satisfy constraint: "
#define ONE "1 validation error detected: "

static void says_what_the_service_says(void **state)
{
    static const struct {
        const char *json, *message; /* "": it is right */
    } cases[] = {
        {"{}", ONE FAILED("null", "functionName") "Member must not be null"},
        {"{'FunctionName':'f'}", ""},
        {"{'FunctionName':null}", ONE FAILED("null", "functionName") "Member must not be null"},
        {"{'FunctionName':'arn:aws:lambda:us-east-1:000000000000:function:f:prod'}", ""},
        {"{'FunctionName':'000000000000:function:f:$LATEST'}", ""},
        {"{'FunctionName':'a b'}",
         ONE FAILED("'a b'", "functionName") "Member must satisfy regular expression "
                                             "pattern: " HD_PATTERN_FUNCTION},
        {"{'FunctionName':'f\\n'}",
         ONE FAILED("'f\n'", "functionName") "Member must satisfy regular expression "
                                             "pattern: " HD_PATTERN_FUNCTION},
        {"{'FunctionName':''}",
         "2 validation errors detected: " FAILED(
             "''", "functionName") "Member must have length greater than or equal to "
                                   "1; " FAILED("''", "functionName") "Member must satisfy "
                                                                      "regular expression "
                                                                      "pattern:"
                                                                      " " HD_PATTERN_FUNCTION},
        {"{'FunctionName':'f','Timeout':0}",
         ONE FAILED("'0'", "timeout") "Member must have value greater than or equal to 1"},
        {"{'FunctionName':'f','Timeout':901}",
         ONE FAILED("'901'", "timeout") "Member must have value less than or equal to 900"},
        {"{'FunctionName':'f','Timeout':900.0}", ""},
        {"{'FunctionName':'f','Description':'\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4'}", ""},
        {"{'FunctionName':'f','Description':'12345'}",
         ONE FAILED("'12345'", "description") "Member must have length less than or equal to 4"},
        {"{'FunctionName':'f','Alias':'v2'}", ""},
        {"{'FunctionName':'f','Alias':'22'}",
         ONE FAILED("'22'", "alias") "Member must satisfy regular expression pattern: "
                                     "(?!^[0-9]+$)([a-zA-Z0-9-_]+)"},
        {"{'FunctionName':'f','TracingConfig':{'Mode':'On'}}",
         ONE FAILED(
             "'On'",
             "tracingConfig.mode") "Member must satisfy enum value set: [Active, PassThrough]"},
        {"{'FunctionName':'f','Architectures':[]}",
         ONE FAILED("'[]'", "architectures") "Member must have length greater than or equal to 1"},
        {"{'FunctionName':'f','Architectures':['x86_64','arm64']}",
         ONE FAILED("'[x86_64, arm64]'",
                    "architectures") "Member must have length less than or equal to 1"},
        {"{'FunctionName':'f','Architectures':['mips']}",
         ONE FAILED("'[mips]'", "architectures") "Member must satisfy constraint: [Member must "
                                                 "satisfy enum value set: [x86_64, arm64],"
                                                 " Member must not be null]"},
        {"{'FunctionName':'f','Layers':['arn:a','nra:b','']}",
         ONE FAILED("'[arn:a, nra:b, ]'",
                    "layers") "Member must satisfy constraint: [Member must have length less "
                              "than or equal to 12, Member"
                              " must have length greater than or equal to 1, Member must "
                              "satisfy regular expression"
                              " pattern: arn:[a-z]+, Member must not be null]"},
        {"{'FunctionName':'f','Mounts':[{'Arn':'1'},{'Arn':'123456'},{}]}",
         "2 validation errors detected: " FAILED(
             "'123456'", "mounts.2.member.arn") "Member must have length less than or equal to "
                                                "5; " FAILED("null",
                                                             "mounts.3.member.arn") "Member "
                                                                                    "must not "
                                                                                    "be null"},
        {"{'FunctionName':'f','Variables':{'1A':'x'}}",
         ONE FAILED("'{1A=x}'",
                    "variables") "Map keys must satisfy constraint: [Member must satisfy "
                                 "regular expression pattern:"
                                 " [a-zA-Z]([a-zA-Z0-9_])+, Member must not be null]"},
        {"{'FunctionName':'f','Variables':{'AB':'1234','CD':'1'}}",
         ONE FAILED("'{AB=1234, CD=1}'",
                    "variables") "Map value must satisfy constraint: [Member must have length "
                                 "less than or equal to 3,"
                                 " Member must not be null]"},
        {"{'FunctionName':'f','Secrets':{'A':'hush'}}",
         ONE "Value at 'secrets' failed to satisfy constraint: Map keys must satisfy constraint:"
             " [Member must satisfy regular expression pattern: [a-z]+, Member must not be null]"},
        {"{'FunctionName':'f','Weights':{'2':1.5}}",
         ONE FAILED("'{2=1.5}'", "weights") "Map value must satisfy constraint: [Member must "
                                            "have value less than or equal to 1, Member"
                                            " must have value greater than or equal to 0, "
                                            "Member must not be null]"},
        {"{'FunctionName':'f','Unknown':{'x':[1]}}", ""},
    };
    struct hd_patterns *patterns = hd_patterns_new();
    for (size_t i = 0; i < HD_COUNT(cases); i++) {
        hd_auto_free char *text = hd_strdup(cases[i].json);
        struct hd_buf out;
        struct hd_error err;
        for (char *c = text; *c != '\0'; c++)
            *c = *c == '\'' ? '"' : *c;
        json_t *json = json_loads(text, 0, NULL);
        assert_non_null(json);
        hd_buf_init(&out, 65536);
        assert_int_equal(hd_shape_types(input, json, &err), 0);
        unsigned broken = hd_shape_check(patterns, input, json, &out);
        assert_int_equal(broken > 0, cases[i].message[0] != '\0');
        hd_auto_free char *got = hd_strdup_n(hd_buf_view(&out));
        assert_string_equal(got, cases[i].message);
        hd_buf_done(&out);
        json_decref(json);
    }
    hd_patterns_free(patterns);
    (void)state;
}

static void refuses_wrong_types(void **state)
{
    static const struct {
        const char *json, *message;
    } cases[] = {
        {"{\"FunctionName\":1}", "NUMBER_VALUE can not be converted to a String: 'FunctionName'"},
        {"{\"Timeout\":\"3\"}", "STRING_VALUE can not be converted to an Integer: 'Timeout'"},
        {"{\"Timeout\":3.5}", "NUMBER_VALUE can not be converted to an Integer: 'Timeout'"},
        {"{\"Timeout\":1e300}", "NUMBER_VALUE can not be converted to an Integer: 'Timeout'"},
        {"{\"Publish\":\"true\"}", "STRING_VALUE can not be converted to a Boolean: 'Publish'"},
        {"{\"Since\":true}", "TRUE_VALUE can not be converted to a Timestamp: 'Since'"},
        {"{\"Layers\":{}}", "START_MAP can not be converted to a List: 'Layers'"},
        {"{\"Layers\":[null]}", "NULL_VALUE can not be converted to a String: 'Layers'"},
        {"{\"TracingConfig\":[]}",
         "START_LIST can not be converted to a Structure: 'TracingConfig'"},
        {"{\"TracingConfig\":{\"Mode\":false}}",
         "FALSE_VALUE can not be converted to a String: 'Mode'"},
        {"{\"Variables\":{\"A\":1}}", "NUMBER_VALUE can not be converted to a String: 'Variables'"},
        {"{\"Weights\":{\"1\":\"x\"}}", "STRING_VALUE can not be converted to a Double: 'Weights'"},
    };
    for (size_t i = 0; i < HD_COUNT(cases); i++) {
        struct hd_error err;
        json_t *json = json_loads(cases[i].json, 0, NULL);
        assert_int_equal(hd_shape_types(input, json, &err), HD_EINVAL);
        assert_string_equal(err.msg, cases[i].message);
        json_decref(json);
    }
    (void)state;
}

static void null_is_not_given(void **state)
{
    struct hd_error err;
    json_t *json =
        json_loads("{\"Description\":null,\"Variables\":{\"AB\":null,\"CD\":\"1\"}}", 0, NULL);
    assert_int_equal(hd_shape_types(input, json, &err), 0);
    assert_null(json_object_get(json, "Description"));
    assert_int_equal(json_object_size(json_object_get(json, "Variables")), 1);
    json_decref(json);
    (void)state;
}

static void reads_texts_of_queries(void **state)
{
    struct hd_error err;
    json_t *value;
    const struct hd_shape number = {.name = "MaxItems", .kind = HD_SHAPE_INTEGER};
    const struct hd_shape flag = {.name = "Flag", .kind = HD_SHAPE_BOOLEAN};
    const struct hd_shape word = {.name = "Marker"};
    assert_int_equal(hd_shape_text(&number, hd_str("12"), &value, &err), 0);
    assert_int_equal(json_integer_value(value), 12);
    json_decref(value);
    assert_int_equal(hd_shape_text(&number, hd_str("-3"), &value, &err), 0);
    assert_int_equal(json_integer_value(value), -3);
    json_decref(value);
    assert_int_equal(hd_shape_text(&number, hd_str("12a"), &value, &err), HD_EINVAL);
    assert_string_equal(err.msg, "STRING_VALUE can not be converted to an Integer: 'MaxItems'");
    assert_int_equal(hd_shape_text(&flag, hd_str("True"), &value, &err), 0);
    assert_true(json_is_true(value));
    assert_int_equal(hd_shape_text(&flag, hd_str("yes"), &value, &err), HD_EINVAL);
    assert_int_equal(hd_shape_text(&word, hd_str(""), &value, &err), 0);
    assert_string_equal(json_string_value(value), "");
    json_decref(value);
    assert_int_equal(hd_shape_text(&word, hd_str("\xff"), &value, &err), HD_EINVAL);
    (void)state;
}

/* A message is cut, never lost, where a caller sends a huge value. */
static void cuts_long_messages(void **state)
{
    struct hd_patterns *patterns = hd_patterns_new();
    struct hd_buf out, name;
    hd_buf_init(&out, 300);
    hd_buf_init(&name, 4096);
    for (size_t i = 0; i < 1000; i++)
        hd_buf_char(&name, 'x');
    json_t *json = json_pack("{s:s%, s:i}", "FunctionName", name.ptr, name.len, "Timeout", 0);
    assert_int_equal(hd_shape_check(patterns, input, json, &out), 2);
    assert_true(out.len <= 300);
    assert_true(hd_str_starts(hd_buf_view(&out), hd_str("2 validation errors detected: Value '")));
    json_decref(json);
    hd_buf_done(&out);
    hd_buf_done(&name);
    hd_patterns_free(patterns);
    (void)state;
}

static void a_pattern_must_match_all(void **state)
{
    struct hd_patterns *p = hd_patterns_new();
    assert_true(hd_patterns_match(p, HD_PATTERN_QUALIFIER, hd_str("")));
    assert_true(hd_patterns_match(p, HD_PATTERN_QUALIFIER, hd_str("$LATEST")));
    assert_false(hd_patterns_match(p, HD_PATTERN_QUALIFIER, hd_str("a b")));
    assert_false(hd_patterns_match(p, HD_PATTERN_QUALIFIER, hd_str("ab\n")));
    assert_true(hd_patterns_match(p, HD_PATTERN_ARN, hd_str("")));
    assert_true(hd_patterns_match(p, HD_PATTERN_ARN, hd_str("arn:aws:sqs:us-east-1:0:q")));
    assert_false(hd_patterns_match(p, HD_PATTERN_ARN, hd_str("sqs:q")));
    assert_false(hd_patterns_match(p, "[a-z]+", hd_str("\xc3"))); /* not UTF-8 */
    assert_false(hd_patterns_match(p, "([", hd_str("x")));        /* broken */
    hd_patterns_free(p);
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(says_what_the_service_says), cmocka_unit_test(refuses_wrong_types),
        cmocka_unit_test(null_is_not_given),          cmocka_unit_test(reads_texts_of_queries),
        cmocka_unit_test(cuts_long_messages),         cmocka_unit_test(a_pattern_must_match_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
