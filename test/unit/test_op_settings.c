/* test/unit/test_op_settings.c - runtime management and recursion are kept as they are given. */
#include "op_rig.h"

#define RUNTIME "/2021-07-20/functions/demo/runtime-management-config"
#define LOOP "/2024-08-31/functions/demo/recursion-config"

static void runtime_management_is_per_version(void **state)
{
    static const char manual[] = "{\"UpdateRuntimeOn\":\"Manual\",\"RuntimeVersionArn\":"
                                 "\"arn:aws:lambda:us-east-1::runtime:0a\"}";
    struct lr r;
    op_start(&r);
    assert_string_equal(op_ok(&r, 200, "GET " RUNTIME, NULL),
                        "{\"UpdateRuntimeOn\":\"Auto\",\"FunctionArn\":\"" LR_ARN
                        "demo:$LATEST\"}");
    op_ok(&r, 200, "PUT " RUNTIME "?Qualifier=1", manual);
    op_ok(&r, 200, "PUT " RUNTIME, "{\"UpdateRuntimeOn\":\"FunctionUpdate\"}");
    op_restart(&r);
    assert_string_equal(op_ok(&r, 200, "GET " RUNTIME "?Qualifier=1", NULL),
                        "{\"UpdateRuntimeOn\":\"Manual\",\"FunctionArn\":\"" LR_ARN
                        "demo:1\",\"RuntimeVersionArn\":\"arn:aws:lambda:us-east-1::runtime:0a\"}");
    op_ok(&r, 200, "GET " RUNTIME, NULL);
    assert_string_equal(lr_text(&r, "UpdateRuntimeOn"), "FunctionUpdate");
    op_ok(&r, 200, "GET " RUNTIME "?Qualifier=2", NULL);
    assert_string_equal(lr_text(&r, "UpdateRuntimeOn"), "Auto");
    lr_done(&r);
    (void)state;
}

static void runtime_management_is_checked(void **state)
{
    struct lr r;
    op_start(&r);
    op_refused(&r, "InvalidParameterValueException",
               "UpdateRuntimeOn Manual needs RuntimeVersionArn.", "PUT " RUNTIME,
               "{\"UpdateRuntimeOn\":\"Manual\"}");
    op_refused(&r, "InvalidParameterValueException",
               "RuntimeVersionArn is for UpdateRuntimeOn Manual only.", "PUT " RUNTIME,
               "{\"UpdateRuntimeOn\":\"Auto\",\"RuntimeVersionArn\":"
               "\"arn:aws:lambda:us-east-1::runtime:0a\"}");
    op_refused(&r, "ValidationException",
               "1 validation error detected: Value 'Never' at 'updateRuntimeOn' failed to satisfy "
               "constraint: Member must satisfy enum value set: [Auto, Manual, FunctionUpdate]",
               "PUT " RUNTIME, "{\"UpdateRuntimeOn\":\"Never\"}");
    op_refused(&r, "InvalidParameterValueException",
               "Runtime management is a setting of $LATEST and of versions: 'prod' is an alias.",
               "GET " RUNTIME "?Qualifier=prod", NULL);
    op_refused(&r, "ResourceNotFoundException", "Function not found: " LR_ARN "demo:9",
               "GET " RUNTIME "?Qualifier=9", NULL);
    lr_done(&r);
    (void)state;
}

static void recursion_is_of_the_whole_function(void **state)
{
    struct lr r;
    op_start(&r);
    assert_string_equal(op_ok(&r, 200, "GET " LOOP, NULL), "{\"RecursiveLoop\":\"Terminate\"}");
    assert_string_equal(op_ok(&r, 200, "PUT " LOOP, "{\"RecursiveLoop\":\"Allow\"}"),
                        "{\"RecursiveLoop\":\"Allow\"}");
    op_restart(&r);
    assert_string_equal(op_ok(&r, 200, "GET " LOOP, NULL), "{\"RecursiveLoop\":\"Allow\"}");
    op_refused(&r, "InvalidParameterValueException",
               "Recursion is a setting of a function as a whole: '1' must not be named.",
               "GET /2024-08-31/functions/demo:1/recursion-config", NULL);
    lr_ask(&r, "PUT " LOOP, "{}");
    assert_string_equal(r.type, "ValidationException");
    lr_done(&r);
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(runtime_management_is_per_version),
        cmocka_unit_test(runtime_management_is_checked),
        cmocka_unit_test(recursion_is_of_the_whole_function),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
