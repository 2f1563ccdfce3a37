/* test/unit/test_op_concurrency.c - reservations, and what the account has left. */
#include "op_rig.h"

#define PUT "/2017-10-31/functions/demo/concurrency"
#define GET "/2019-09-30/functions/demo/concurrency"
#define WHOLE                                                                                    \
    "This operation is permitted on Lambda functions only. Aliases and versions do not support " \
    "this operation. Please specify either a function name or an unqualified function ARN."

static void start(struct lr *r)
{
    op_start(r);
    op_function(r, "other");
    op_ok(r, 202, "PUT /2019-09-30/functions/other/provisioned-concurrency?Qualifier=1",
          "{\"ProvisionedConcurrentExecutions\":7}");
}

static json_int_t unreserved(struct lr *r)
{
    op_ok(r, 200, "GET /2016-08-19/account-settings/", NULL);
    return op_number(r, "AccountLimit.UnreservedConcurrentExecutions");
}

static void a_function_can_have_a_reservation(void **state)
{
    struct lr r;
    start(&r);
    assert_string_equal(op_ok(&r, 200, "GET " GET, NULL), "{}");
    assert_int_equal(unreserved(&r), 993);
    assert_string_equal(op_ok(&r, 200, "PUT " PUT, "{\"ReservedConcurrentExecutions\":5}"),
                        "{\"ReservedConcurrentExecutions\":5}");
    assert_int_equal(unreserved(&r), 988);
    op_ok(&r, 200, "PUT " PUT, "{\"ReservedConcurrentExecutions\":0}");
    op_restart(&r);
    assert_string_equal(op_ok(&r, 200, "GET " GET, NULL), "{\"ReservedConcurrentExecutions\":0}");
    op_ok(&r, 204, "DELETE " PUT, NULL);
    op_ok(&r, 204, "DELETE " PUT, NULL);
    assert_string_equal(op_ok(&r, 200, "GET " GET, NULL), "{}");
    lr_done(&r);
    (void)state;
}

static void it_is_refused_where_it_cannot_be(void **state)
{
    struct lr r;
    start(&r);
    op_refused(&r, "InvalidParameterValueException", WHOLE,
               "PUT /2017-10-31/functions/demo:prod/concurrency",
               "{\"ReservedConcurrentExecutions\":5}");
    op_refused(&r, "InvalidParameterValueException",
               "Specified ReservedConcurrentExecutions for function decreases account's "
               "UnreservedConcurrentExecution below its minimum value of [100].",
               "PUT " PUT, "{\"ReservedConcurrentExecutions\":894}");
    op_refused(&r, "InvalidParameterValueException",
               " ReservedConcurrentExecutions  6 should not be lower than function's total "
               "provisioned concurrency [7].",
               "PUT /2017-10-31/functions/other/concurrency",
               "{\"ReservedConcurrentExecutions\":6}");
    op_refused(&r, "ResourceNotFoundException", "Function not found: " LR_ARN "nobody",
               "PUT /2017-10-31/functions/nobody/concurrency",
               "{\"ReservedConcurrentExecutions\":1}");
    lr_ask(&r, "PUT " PUT, "{\"ReservedConcurrentExecutions\":-1}");
    assert_string_equal(r.type, "ValidationException");
    lr_ask(&r, "PUT " PUT, "{}");
    assert_string_equal(r.type, "ValidationException");
    op_ok(&r, 200, "PUT " PUT, "{\"ReservedConcurrentExecutions\":893}");
    lr_done(&r);
    (void)state;
}

static void the_account_tells_the_truth(void **state)
{
    struct lr r;
    start(&r);
    op_ok(&r, 200, "GET " LR_FUNCTIONS "/demo/configuration", NULL);
    json_int_t one = op_number(&r, "CodeSize");
    op_ok(&r, 200, "GET /2016-08-19/account-settings", NULL);
    assert_int_equal(op_number(&r, "AccountUsage.FunctionCount"), 2);
    assert_int_equal(op_number(&r, "AccountUsage.TotalCodeSize"), 6 * one);
    assert_int_equal(op_number(&r, "AccountLimit.CodeSizeZipped"), 52428800);
    assert_int_equal(op_number(&r, "AccountLimit.ConcurrentExecutions"), 1000);
    lr_done(&r);
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_function_can_have_a_reservation),
        cmocka_unit_test(it_is_refused_where_it_cannot_be),
        cmocka_unit_test(the_account_tells_the_truth),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
