/* test/unit/test_op_layer_permission.c - other accounts use a layer when its policy lets them. */
#include "op_rig.h"

#define VERSION "/2018-10-31/layers/tools/versions/1"
#define POLICY VERSION "/policy"
#define ARN "arn:aws:lambda:us-east-1:000000000000:layer:tools:1"
#define OTHERS "/2018-10-31/layers/arn:aws:lambda:us-east-1:000000000000:layer:tools/versions/1"
#define ALL "{\"StatementId\":\"all\",\"Action\":\"lambda:GetLayerVersion\",\"Principal\":\"*\"}"

static void start(struct lr *r)
{
    lr_init(r);
    lr_open(r);
    hd_auto_free char *zip = lr_zip("a", "b");
    hd_auto_free char *body = hd_printf("{\"Content\":{\"ZipFile\":\"%s\"}}", zip);
    op_ok(r, 201, "POST /2018-10-31/layers/tools/versions", body);
}

static void statements_come_and_go(void **state)
{
    struct lr r;
    start(&r);
    op_refused(&r, "ResourceNotFoundException", "No policy is associated with the given resource.",
               "GET " POLICY, NULL);
    op_ok(&r, 201, "POST " POLICY,
          "{\"StatementId\":\"a\",\"Action\":\"lambda:GetLayerVersion\",\"Principal\":"
          "\"111122223333\",\"OrganizationId\":\"o-0123456789\"}");
    assert_string_equal(lr_text(&r, "Statement"),
                        "{\"Sid\":\"a\",\"Effect\":\"Allow\",\"Principal\":{\"AWS\":\"arn:aws:iam::"
                        "111122223333:root\"},\"Action\":\"lambda:GetLayerVersion\",\"Resource\":"
                        "\"" ARN "\",\"Condition\":{\"StringEquals\":{\"aws:PrincipalOrgID\":"
                        "\"o-0123456789\"}}}");
    hd_auto_free char *revision = hd_strdup(lr_text(&r, "RevisionId"));
    op_restart(&r);
    op_ok(&r, 200, "GET " POLICY, NULL);
    assert_string_equal(lr_text(&r, "RevisionId"), revision);
    op_refused(
        &r, "ResourceConflictException",
        "The statement id (a) provided already exists. Please provide a new statement id, or "
        "remove the existing statement.",
        "POST " POLICY,
        "{\"StatementId\":\"a\",\"Action\":\"lambda:GetLayerVersion\",\"Principal\":\"*\"}");
    op_refused(&r, "PreconditionFailedException",
               "The Revision Id provided does not match the latest Revision Id. Call the "
               "GetLayerPolicy API to retrieve the latest Revision Id",
               "POST " POLICY "?RevisionId=x", ALL);
    op_refused(&r, "ResourceNotFoundException", "Statement b is not found in resource policy.",
               "DELETE " POLICY "/b", NULL);
    hd_auto_free char *removal = hd_printf("DELETE " POLICY "/a?RevisionId=%s", revision);
    op_ok(&r, 204, removal, NULL);
    op_refused(&r, "ResourceNotFoundException", "No policy is associated with the given resource.",
               "DELETE " POLICY "/a", NULL);
    lr_done(&r);
    (void)state;
}

static void inputs_are_checked(void **state)
{
    struct lr r;
    start(&r);
    op_refused(&r, "ResourceNotFoundException",
               "Layer version arn:aws:lambda:us-east-1:000000000000:layer:tools:2 does not exist.",
               "POST /2018-10-31/layers/tools/versions/2/policy", ALL);
    lr_ask(&r, "POST " POLICY,
           "{\"StatementId\":\"a\",\"Action\":\"lambda:InvokeFunction\",\"Principal\":\"me\"}");
    assert_non_null(strstr(r.text, "2 validation errors detected"));
    lr_done(&r);
    (void)state;
}

static void another_account_needs_a_statement(void **state)
{
    struct lr r;
    start(&r);
    r.account = "111122223333";
    r.principal = "arn:aws:iam::111122223333:user/ann";
    op_refused(&r, "AccessDeniedException",
               "User: arn:aws:iam::111122223333:user/ann is not authorized to perform: "
               "lambda:GetLayerVersion on resource: " ARN
               " because no resource-based policy allows the lambda:GetLayerVersion action",
               "GET " OTHERS, NULL);
    lr_ask(&r, "DELETE " OTHERS, NULL);
    assert_string_equal(r.type, "AccessDeniedException");
    lr_create(&r, "demo");
    lr_ask(&r, "PUT " LR_FUNCTIONS "/demo/configuration", "{\"Layers\":[\"" ARN "\"]}");
    assert_string_equal(r.type, "AccessDeniedException");
    r.account = NULL;
    r.principal = NULL;
    op_ok(&r, 201, "POST " POLICY, ALL);
    r.account = "111122223333";
    op_ok(&r, 200, "GET " OTHERS, NULL);
    assert_string_equal(lr_text(&r, "LayerVersionArn"), ARN);
    op_ok(&r, 200, "PUT " LR_FUNCTIONS "/demo/configuration", "{\"Layers\":[\"" ARN "\"]}");
    lr_settle(&r, "demo");
    assert_string_equal(lr_text(&r, "Layers.0.Arn"), ARN);
    lr_ask(&r, "DELETE " OTHERS, NULL); /* using is not deleting */
    assert_string_equal(r.type, "AccessDeniedException");
    lr_done(&r);
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(statements_come_and_go),
        cmocka_unit_test(inputs_are_checked),
        cmocka_unit_test(another_account_needs_a_statement),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
