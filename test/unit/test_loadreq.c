#include "shim/loadreq.h"
#include "test.h"

static void everything_that_can_be_said(void **state)
{
    static const char text[] =
        "{\"name\":\"hello\",\"root\":\"/task\",\"entry\":\"/x\",\"handler\":\"a.b\","
        "\"env\":{\"A\":\"1\",\"B\":\"\"},\"argv\":[\"/bin/x\",\"y\"],\"timeoutMs\":3000,"
        "\"lambda\":{\"name\":\"fn\",\"version\":\"7\",\"initTimeoutMs\":50,\"optDir\":\"/o\","
        "\"runtimeDir\":\"/r\",\"arn\":\"arn:aws:lambda:us-east-1:123456789012:function:fn\"}}";
    hd_auto(hd_loadreq) l = NULL;
    struct hd_error err;
    assert_int_equal(hd_loadreq_parse(&l, hd_str(text), &err), 0);
    assert_string_equal(l->name, "hello");
    assert_string_equal(l->root, "/task");
    assert_string_equal(l->handler, "a.b");
    assert_string_equal(l->env[0], "A=1");
    assert_string_equal(l->env[1], "B=");
    assert_null(l->env[2]);
    assert_string_equal(l->argv[1], "y");
    assert_null(l->argv[2]);
    assert_int_equal(l->timeout_ms, 3000);
    assert_int_equal(l->init_timeout_ms, 50);
    assert_string_equal(l->function_name, "fn");
    assert_string_equal(l->function_version, "7");
    assert_string_equal(l->account, "123456789012");
    assert_string_equal(l->opt_dir, "/o");
    assert_string_equal(l->runtime_dir, "/r");
    assert_true(l->lambda);
    (void)state;
}

static void what_may_be_left_out(void **state)
{
    hd_auto(hd_loadreq) l = NULL;
    assert_int_equal(hd_loadreq_parse(&l, hd_str("{\"handler\":null}"), NULL), 0);
    assert_string_equal(l->root, "/var/task");
    assert_string_equal(l->opt_dir, "/opt");
    assert_string_equal(l->runtime_dir, "/var/runtime");
    assert_string_equal(l->function_version, "$LATEST");
    assert_int_equal(l->init_timeout_ms, 10000);
    assert_null(l->handler);
    assert_null(l->env[0]);
    assert_null(l->argv[0]);
    assert_null(l->account);
    assert_false(l->lambda);
    (void)state;
}

static void what_is_wrong_is_named(void **state)
{
    static const struct {
        const char *text, *words;
    } table[] = {
        {"", "byte 0"},
        {"[]", "object"},
        {"{\"env\":[]}", "env:"},
        {"{\"env\":{\"A\":1}}", "env.A"},
        {"{\"argv\":{}}", "argv"},
        {"{\"argv\":[\"a\",2]}", "argv[1]"},
        {"{\"root\":1}", "root"},
        {"{\"lambda\":1}", "lambda"},
        {"{\"lambda\":{\"optDir\":[]}}", "optDir"},
        {"{\"name\":\"a\\u0000b\"}", "byte"},
    };
    for (size_t i = 0; i < HD_COUNT(table); i++) {
        struct hd_loadreq *l = NULL;
        struct hd_error err = {0};
        assert_int_equal(hd_loadreq_parse(&l, hd_str(table[i].text), &err), HD_EINVAL);
        assert_null(l);
        if (strstr(err.msg, table[i].words) == NULL)
            fail_msg("%s: %s", table[i].text, err.msg);
    }
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(everything_that_can_be_said),
        cmocka_unit_test(what_may_be_left_out),
        cmocka_unit_test(what_is_wrong_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
