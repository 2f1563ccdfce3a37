/* test_loadanswer.c - what hosts answer, and what they should not. */
#include "pool/process/loadanswer.h"
#include "test.h"

static void what_is_absent_is_not_declared(void **state)
{
    struct hd_loadanswer a;
    assert_int_equal(hd_loadanswer_parse(&a, (struct hd_str)HD_LIT("{\"ok\":true}"), NULL), 0);
    assert_true(a.ok);
    assert_int_equal(a.declared.is_public, -1);
    assert_int_equal(a.declared.timeout_ms, -1);
    assert_int_equal(a.declared.concurrency, -1);
    assert_null(a.declared.kind);
    assert_null(a.declared.require);
    assert_null(a.declared.imports);
    hd_loadanswer_done(&a);
    (void)state;
}

static void what_is_there_is_read(void **state)
{
    struct hd_loadanswer a;
    struct hd_str text = HD_LIT("{\"ok\":true,\"kind\":\"serve\",\"public\":false,"
                                "\"timeoutMs\":250.0,\"concurrency\":3,\"require\":[\"a\",\"b\"],"
                                "\"imports\":[],\"more\":1}");
    assert_int_equal(hd_loadanswer_parse(&a, text, NULL), 0);
    assert_string_equal(a.declared.kind, "serve");
    assert_int_equal(a.declared.is_public, 0);
    assert_int_equal(a.declared.timeout_ms, 250);
    assert_int_equal(a.declared.concurrency, 3);
    assert_string_equal(a.declared.require[1], "b");
    assert_null(a.declared.require[2]);
    assert_non_null(a.declared.imports);
    assert_null(a.declared.imports[0]);
    hd_loadanswer_done(&a);
    (void)state;
}

static void a_failure_has_its_message(void **state)
{
    struct hd_loadanswer a;
    struct hd_str text = HD_LIT("{\"ok\":false,\"message\":\"m\",\"stack\":\"s\"}");
    assert_int_equal(hd_loadanswer_parse(&a, text, NULL), 0);
    assert_false(a.ok);
    assert_string_equal(a.message, "m");
    assert_string_equal(a.stack, "s");
    hd_loadanswer_done(&a);
    text = (struct hd_str)HD_LIT("{\"ok\":false}");
    assert_int_equal(hd_loadanswer_parse(&a, text, NULL), 0);
    assert_non_null(a.message);
    hd_loadanswer_done(&a);
    (void)state;
}

static void nonsense_is_named(void **state)
{
    static const struct {
        const char *in, *says;
    } cases[] = {
        {"", "byte 0"},
        {"{\"ok\":true", "byte"},
        {"[]", "ok: must be there"},
        {"{}", "ok: must be there"},
        {"{\"ok\":1}", "ok: must be there"},
        {"{\"ok\":true,\"public\":\"yes\"}", "public: must be"},
        {"{\"ok\":true,\"timeoutMs\":-1}", "timeoutMs: must be"},
        {"{\"ok\":true,\"timeoutMs\":1e99}", "timeoutMs: must be"},
        {"{\"ok\":true,\"concurrency\":\"3\"}", "concurrency: must be"},
        {"{\"ok\":true,\"require\":\"a\"}", "require: must be a list"},
        {"{\"ok\":true,\"require\":[\"a\",1]}", "require[1]: must be a string"},
        {"{\"ok\":true,\"require\":[\"a\"],\"imports\":[null]}", "imports[0]: must be a string"},
    };
    for (size_t i = 0; i < HD_COUNT(cases); i++) {
        struct hd_loadanswer a;
        struct hd_error err;
        assert_int_equal(hd_loadanswer_parse(&a, hd_str(cases[i].in), &err), HD_EPROTO);
        if (strstr(err.msg, cases[i].says) == NULL)
            fail_msg("%s: expected %s", err.msg, cases[i].says);
    }
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_absent_is_not_declared),
        cmocka_unit_test(what_is_there_is_read),
        cmocka_unit_test(a_failure_has_its_message),
        cmocka_unit_test(nonsense_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
