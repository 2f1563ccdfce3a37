/* test/unit/test_op_provisioned.c - instances that are always there, and how far they are. */
#include "core/clock.h"
#include "op_rig.h"

#define PATH "/2019-09-30/functions/demo/provisioned-concurrency"
#define FOUR "{\"ProvisionedConcurrentExecutions\":4}"

enum { WAIT_MS = 30000 };

/* Ask until Status is this. */
static void wait_for(struct lr *r, const char *line, const char *status)
{
    uint64_t end = hd_clock_ms() + WAIT_MS;
    do {
        op_ok(r, 200, line, NULL);
        if (hd_clock_ms() > end)
            fail_msg("never %s: %s", status, r->text);
    } while (strcmp(lr_text(r, "Status"), status) != 0);
}

static uint32_t kept(struct lr *r, const char *qualifier)
{
    struct hd_pool_stats stats;
    const struct hd_view_version *v = lr_version(r, "demo", qualifier);
    assert_non_null(v);
    hd_pool_stats(v->target->pool, &stats);
    return stats.provisioned;
}

/* Spare ones go as idle ones go. */
static void wait_for_none(struct lr *r, const char *qualifier)
{
    uint64_t end = hd_clock_ms() + WAIT_MS;
    while (kept(r, qualifier) > 0 && hd_clock_ms() < end)
        op_ok(r, 200, "GET " LR_FUNCTIONS "/demo", NULL);
    assert_int_equal(kept(r, qualifier), 0);
}

static void start(struct lr *r)
{
    lr_init(r);
    r->opt.idle_ms = 20;
    lr_open(r);
    op_function(r, "demo");
}

static void instances_are_started_and_kept(void **state)
{
    struct lr r;
    start(&r);
    op_ok(&r, 202, "PUT " PATH "?Qualifier=prod", FOUR);
    assert_string_equal(lr_text(&r, "Status"), "IN_PROGRESS");
    assert_int_equal(op_number(&r, "RequestedProvisionedConcurrentExecutions"), 4);
    assert_int_equal(op_number(&r, "AvailableProvisionedConcurrentExecutions"), 0);
    wait_for(&r, "GET " PATH "?Qualifier=prod", "READY");
    assert_int_equal(op_number(&r, "AvailableProvisionedConcurrentExecutions"), 4);
    assert_int_equal(op_number(&r, "AllocatedProvisionedConcurrentExecutions"), 4);
    assert_int_equal(kept(&r, "1"), 4);
    assert_int_equal(kept(&r, "2"), 0);
    op_ok(&r, 202, "PUT " PATH "?Qualifier=prod", "{\"ProvisionedConcurrentExecutions\":1}");
    wait_for(&r, "GET " PATH "?Qualifier=prod", "READY");
    op_restart(&r); /* they are there again */
    wait_for(&r, "GET " PATH "?Qualifier=prod", "READY");
    assert_int_equal(kept(&r, "1"), 1);
    op_ok(&r, 204, "DELETE " PATH "?Qualifier=prod", NULL);
    op_ok(&r, 204, "DELETE " PATH "?Qualifier=prod", NULL);
    op_refused(&r, "ProvisionedConcurrencyConfigNotFoundException",
               "No Provisioned Concurrency Config found for this function",
               "GET " PATH "?Qualifier=prod", NULL);
    wait_for_none(&r, "1");
    lr_done(&r);
    (void)state;
}

static void a_version_that_does_not_start_says_so(void **state)
{
    struct lr r;
    op_start(&r);
    r.instances_fail = true;
    op_ok(&r, 202, "PUT " PATH "?Qualifier=2", FOUR);
    wait_for(&r, "GET " PATH "?Qualifier=2", "FAILED");
    assert_string_equal(lr_text(&r, "StatusReason"), "FUNCTION_ERROR_INIT_FAILURE");
    assert_int_equal(op_number(&r, "AvailableProvisionedConcurrentExecutions"), 0);
    lr_done(&r);
    (void)state;
}

static void an_alias_takes_its_instances_along(void **state)
{
    struct lr r;
    start(&r);
    op_ok(&r, 202, "PUT " PATH "?Qualifier=prod", FOUR);
    wait_for(&r, "GET " PATH "?Qualifier=prod", "READY");
    op_ok(&r, 200, "PUT " LR_FUNCTIONS "/demo/aliases/prod", "{\"FunctionVersion\":\"2\"}");
    wait_for(&r, "GET " PATH "?Qualifier=prod", "READY");
    assert_int_equal(kept(&r, "2"), 4);
    wait_for_none(&r, "1");
    lr_done(&r);
    (void)state;
}

static void lists_them_with_their_arns(void **state)
{
    struct lr r;
    op_start(&r);
    op_ok(&r, 202, "PUT " PATH "?Qualifier=2", FOUR);
    op_ok(&r, 202, "PUT " PATH "?Qualifier=prod", FOUR);
    op_ok(&r, 200, "GET " PATH "?List=ALL&MaxItems=1", NULL);
    assert_string_equal(lr_text(&r, "ProvisionedConcurrencyConfigs.0.FunctionArn"),
                        LR_ARN "demo:2");
    hd_auto_free char *next =
        hd_printf("GET " PATH "?List=ALL&Marker=%s", lr_text(&r, "NextMarker"));
    op_ok(&r, 200, next, NULL);
    assert_string_equal(lr_text(&r, "ProvisionedConcurrencyConfigs.0.FunctionArn"),
                        LR_ARN "demo:prod");
    assert_false(lr_has(&r, "ProvisionedConcurrencyConfigs.1"));
    lr_done(&r);
    (void)state;
}

static void refuses_what_cannot_be(void **state)
{
    struct lr r;
    op_start(&r);
    op_refused(&r, "InvalidParameterValueException",
               "Provisioned Concurrency Configs cannot be applied to unpublished function "
               "versions.",
               "PUT " PATH "?Qualifier=$LATEST", FOUR);
    op_refused(&r, "InvalidParameterValueException",
               "The function resource provided must be an alias or a published version.",
               "GET " PATH "?Qualifier=$LATEST", NULL);
    op_refused(&r, "InvalidParameterValueException",
               "The function resource provided must be an alias or a published version.",
               "DELETE " PATH "?Qualifier=$LATEST", NULL);
    op_refused(&r, "ResourceNotFoundException", "Cannot find alias arn: " LR_ARN "demo:beta",
               "PUT " PATH "?Qualifier=beta", FOUR);
    op_refused(&r, "ResourceNotFoundException", "Function not found: " LR_ARN "demo:9",
               "PUT " PATH "?Qualifier=9", FOUR);
    lr_ask(&r, "PUT " PATH "?Qualifier=1", "{\"ProvisionedConcurrentExecutions\":0}");
    assert_string_equal(r.type, "ValidationException");
    lr_ask(&r, "PUT " PATH, FOUR);
    assert_string_equal(r.type, "ValidationException");
    op_refused(&r, "InvalidParameterValueException",
               "Specified ConcurrentExecutions for function is greater than account's unreserved "
               "concurrency [1000].",
               "PUT " PATH "?Qualifier=1", "{\"ProvisionedConcurrentExecutions\":1001}");
    op_ok(&r, 200, "PUT /2017-10-31/functions/demo/concurrency",
          "{\"ReservedConcurrentExecutions\":3}");
    op_refused(&r, "InvalidParameterValueException",
               "Requested Provisioned Concurrency should not be greater than the "
               "reservedConcurrentExecution for function",
               "PUT " PATH "?Qualifier=1", FOUR);
    lr_done(&r);
    (void)state;
}

static void an_alias_and_its_version_cannot_both_have_some(void **state)
{
    struct lr r;
    op_start(&r);
    op_ok(&r, 202, "PUT " PATH "?Qualifier=1", FOUR);
    op_refused(&r, "ResourceConflictException",
               "Alias can't be used for Provisioned Concurrency configuration on an already "
               "Provisioned version",
               "PUT " PATH "?Qualifier=prod", FOUR);
    op_ok(&r, 202, "PUT " PATH "?Qualifier=1", "{\"ProvisionedConcurrentExecutions\":2}");
    op_ok(&r, 204, "DELETE " PATH "?Qualifier=1", NULL);
    op_ok(&r, 202, "PUT " PATH "?Qualifier=prod", FOUR);
    op_refused(&r, "ResourceConflictException",
               "Version is pointed by a Provisioned Concurrency alias", "PUT " PATH "?Qualifier=1",
               FOUR);
    op_ok(&r, 202, "PUT " PATH "?Qualifier=2", FOUR);
    lr_done(&r);
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(instances_are_started_and_kept),
        cmocka_unit_test(a_version_that_does_not_start_says_so),
        cmocka_unit_test(an_alias_takes_its_instances_along),
        cmocka_unit_test(lists_them_with_their_arns),
        cmocka_unit_test(refuses_what_cannot_be),
        cmocka_unit_test(an_alias_and_its_version_cannot_both_have_some),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
