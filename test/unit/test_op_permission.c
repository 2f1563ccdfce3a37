/* test/unit/test_op_permission.c - statements come to functions, versions and aliases, and go. */
#include "op_rig.h"

#define POLICY "/2015-03-31/functions/demo/policy"
#define S3                                                                                       \
    "{\"StatementId\":\"s3\",\"Action\":\"lambda:InvokeFunction\",\"Principal\":\"s3.amazonaws." \
    "com\""

static void a_statement_is_added_shown_and_removed(void **state)
{
    struct lr r;
    op_start(&r);
    op_refused(&r, "ResourceNotFoundException", "The resource you requested does not exist.",
               "GET " POLICY, NULL);
    op_ok(&r, 201, "POST " POLICY,
          S3 ",\"SourceArn\":\"arn:aws:s3:::b\",\"SourceAccount\":\"000000000000\"}");
    static const char statement[] =
        "{\"Sid\":\"s3\",\"Effect\":\"Allow\",\"Principal\":{\"Service\":\"s3.amazonaws.com\"},"
        "\"Action\":\"lambda:InvokeFunction\",\"Resource\":\"" LR_ARN "demo\",\"Condition\":{"
        "\"StringEquals\":{\"AWS:SourceAccount\":\"000000000000\"},"
        "\"ArnLike\":{\"AWS:SourceArn\":\"arn:aws:s3:::b\"}}}";
    assert_string_equal(lr_text(&r, "Statement"), statement);
    op_ok(&r, 200, "GET " POLICY, NULL);
    hd_auto_free char *document =
        hd_printf("{\"Version\":\"2012-10-17\",\"Id\":\"default\",\"Statement\":[%s]}", statement);
    assert_string_equal(lr_text(&r, "Policy"), document);
    op_refused(&r, "ResourceConflictException",
               "The statement id (s3) provided already exists. Please provide a new statement id, "
               "or remove the existing statement.",
               "POST " POLICY, S3 "}");
    op_refused(&r, "ResourceNotFoundException", "Statement x is not found in resource policy.",
               "DELETE " POLICY "/x", NULL);
    op_restart(&r);
    op_ok(&r, 204, "DELETE " POLICY "/s3", NULL);
    op_refused(&r, "ResourceNotFoundException", "No policy is associated with the given resource.",
               "DELETE " POLICY "/s3", NULL);
    lr_done(&r);
    (void)state;
}

static void each_alias_and_version_has_its_own_policy(void **state)
{
    struct lr r;
    op_start(&r);
    op_ok(&r, 201, "POST " POLICY "?Qualifier=prod", S3 "}");
    assert_non_null(strstr(lr_text(&r, "Statement"), "\"Resource\":\"" LR_ARN "demo:prod\""));
    op_ok(&r, 201, "POST " POLICY "?Qualifier=2", S3 "}");
    op_refused(&r, "ResourceNotFoundException", "The resource you requested does not exist.",
               "GET " POLICY, NULL);
    op_ok(&r, 200, "GET /2015-03-31/functions/demo:prod/policy", NULL);
    op_refused(&r, "ResourceNotFoundException", "Cannot find alias arn: " LR_ARN "demo:beta",
               "POST " POLICY "?Qualifier=beta", S3 "}");
    op_refused(&r, "ResourceNotFoundException", "Function not found: " LR_ARN "demo:9",
               "POST " POLICY "?Qualifier=9", S3 "}");
    op_refused(&r, "InvalidParameterValueException",
               "We currently do not support adding policies for $LATEST.",
               "POST " POLICY "?Qualifier=$LATEST", S3 "}");
    op_refused(&r, "ResourceNotFoundException", "Function not found: " LR_ARN "other",
               "GET /2015-03-31/functions/other/policy", NULL);
    lr_done(&r);
    (void)state;
}

static void the_revision_guards_a_policy(void **state)
{
    struct lr r;
    op_start(&r);
    static const char gone[] =
        "The Revision Id provided does not match the latest Revision Id. Call the GetPolicy API to "
        "retrieve the latest Revision Id";
    op_ok(&r, 201, "POST " POLICY, S3 "}");
    op_ok(&r, 200, "GET " POLICY, NULL);
    hd_auto_free char *revision = hd_strdup(lr_text(&r, "RevisionId"));
    hd_auto_free char *second =
        hd_printf("{\"StatementId\":\"b\",\"Action\":\"lambda:*\",\"Principal\":\"111122223333\","
                  "\"RevisionId\":\"%s\"}",
                  revision);
    op_ok(&r, 201, "POST " POLICY, second);
    hd_auto_free char *third =
        hd_printf("{\"StatementId\":\"c\",\"Action\":\"lambda:*\",\"Principal\":\"*\","
                  "\"RevisionId\":\"%s\"}",
                  revision);
    op_refused(&r, "PreconditionFailedException", gone, "POST " POLICY, third);
    hd_auto_free char *removal = hd_printf("DELETE " POLICY "/b?RevisionId=%s", revision);
    op_refused(&r, "PreconditionFailedException", gone, removal, NULL);
    op_ok(&r, 200, "GET " POLICY, NULL);
    hd_auto_free char *current =
        hd_printf("DELETE " POLICY "/b?RevisionId=%s", lr_text(&r, "RevisionId"));
    op_ok(&r, 204, current, NULL);
    lr_done(&r);
    (void)state;
}

static void refuses_what_cannot_be_meant(void **state)
{
    struct lr r;
    op_start(&r);
    op_refused(&r, "InvalidParameterValueException",
               "The provided principal was invalid. Please check the principal and try again.",
               "POST " POLICY,
               "{\"StatementId\":\"a\",\"Action\":\"lambda:*\",\"Principal\":\"me\"}");
    op_refused(&r, "InvalidParameterValueException",
               "FunctionUrlAuthType is only supported for lambda:InvokeFunctionUrl action",
               "POST " POLICY, S3 ",\"FunctionUrlAuthType\":\"NONE\"}");
    lr_ask(&r, "POST " POLICY, "{\"StatementId\":\"a b\",\"Action\":\"s3:*\",\"Principal\":\"*\"}");
    assert_string_equal(r.type, "ValidationException");
    assert_non_null(strstr(r.text, "2 validation errors detected: Value 'a b' at 'statementId'"));
    lr_ask(&r, "POST " POLICY, "{\"StatementId\":\"a\"}");
    assert_non_null(strstr(r.text, "Value null at 'action' failed to satisfy constraint: Member "
                                   "must not be null"));
    lr_done(&r);
    (void)state;
}

static void a_policy_can_only_grow_so_far(void **state)
{
    struct lr r;
    op_start(&r);
    unsigned added = 0;
    for (; added < 300; added++) {
        hd_auto_free char *body = hd_printf(
            "{\"StatementId\":\"s%u\",\"Action\":\"lambda:InvokeFunction\",\"Principal\":\"*\"}",
            added);
        lr_ask(&r, "POST " POLICY, body);
        if (r.status != 201)
            break;
    }
    assert_in_range(added, 100, 299);
    assert_string_equal(r.type, "PolicyLengthExceededException");
    assert_int_equal(r.status, 400);
    lr_done(&r);
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_statement_is_added_shown_and_removed),
        cmocka_unit_test(each_alias_and_version_has_its_own_policy),
        cmocka_unit_test(the_revision_guards_a_policy),
        cmocka_unit_test(refuses_what_cannot_be_meant),
        cmocka_unit_test(a_policy_can_only_grow_so_far),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
