/* test/unit/test_resource.c - what an ARN names. */
#include "lambda/resource.h"
#include "test.h"

#define AT "arn:aws:lambda:eu-west-1:111122223333:"

static void names_what_there_is(void **state)
{
    static const struct {
        const char *arn;
        enum hd_resource_kind kind;
        const char *name, *qualifier;
    } cases[] = {
        {AT "function:demo", HD_RESOURCE_FUNCTION, "demo", ""},
        {AT "function:demo:prod", HD_RESOURCE_FUNCTION, "demo", "prod"},
        {AT "event-source-mapping:00000000-0000-7000-8000-000000000000", HD_RESOURCE_EVENT_SOURCE,
         "00000000-0000-7000-8000-000000000000", ""},
        {AT "code-signing-config:csc-0123456789abcdef0", HD_RESOURCE_CODE_SIGNING,
         "csc-0123456789abcdef0", ""},
        {AT "layer:tools:3", HD_RESOURCE_LAYER, "tools", "3"},
    };
    for (size_t i = 0; i < HD_COUNT(cases); i++) {
        struct hd_resource r;
        assert_int_equal(hd_resource_parse(&r, hd_str(cases[i].arn)), 0);
        assert_int_equal(r.kind, cases[i].kind);
        assert_true(hd_str_is(r.name, cases[i].name));
        assert_true(hd_str_is(r.qualifier, cases[i].qualifier));
        assert_true(hd_str_is(r.region, "eu-west-1"));
        assert_true(hd_str_is(r.account, "111122223333"));
    }
    (void)state;
}

static void refuses_the_rest(void **state)
{
    static const char *const bad[] = {"",
                                      "demo",
                                      "arn:aws:lambda:eu-west-1:111122223333",
                                      AT,
                                      AT "function",
                                      AT "function:",
                                      AT "table:x",
                                      "arn:aws:sqs:eu-west-1:111122223333:function:x"};
    for (size_t i = 0; i < HD_COUNT(bad); i++) {
        struct hd_resource r;
        if (hd_resource_parse(&r, hd_str(bad[i])) != HD_EINVAL)
            fail_msg("\"%s\" was taken", bad[i]);
    }
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_what_there_is),
        cmocka_unit_test(refuses_the_rest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
