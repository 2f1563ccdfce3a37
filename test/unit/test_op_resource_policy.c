/* test/unit/test_op_resource_policy.c - a policy as one document. */
#include "op_rig.h"

#define PATH "/2026-07-09/resource-policy/"
#define DEMO PATH "arn%3Aaws%3Alambda%3Aus-east-1%3A000000000000%3Afunction%3Ademo"
#define ALLOW(resource)                                                                         \
    "{\\\"Version\\\":\\\"2012-10-17\\\",\\\"Statement\\\":[{\\\"Sid\\\":\\\"a\\\","            \
    "\\\"Effect\\\":\\\"Allow\\\",\\\"Principal\\\":\\\"*\\\",\\\"Action\\\":\\\"lambda:*\\\"," \
    "\\\"Resource\\\":\\\"" resource "\\\"}]}"
#define GONE "The resource you requested does not exist."

static void a_document_is_put_read_and_deleted(void **state)
{
    struct lr r;
    op_start(&r);
    op_refused(&r, "ResourceNotFoundException", GONE, "GET " DEMO, NULL);
    op_ok(&r, 200, "PUT " DEMO, "{\"Policy\":\"" ALLOW(LR_ARN "demo") "\"}");
    op_restart(&r);
    op_ok(&r, 200, "GET " DEMO, NULL);
    assert_string_equal(lr_text(&r, "Policy"),
                        "{\"Version\":\"2012-10-17\",\"Statement\":[{\"Sid\":\"a\",\"Effect\":"
                        "\"Allow\",\"Principal\":\"*\",\"Action\":\"lambda:*\",\"Resource\":"
                        "\"" LR_ARN "demo\"}]}");
    hd_auto_free char *revision = hd_strdup(lr_text(&r, "RevisionId"));
    /* the other operations see the same policy */
    op_ok(&r, 200, "GET /2015-03-31/functions/demo/policy", NULL);
    assert_string_equal(lr_text(&r, "RevisionId"), revision);
    op_ok(&r, 201, "POST /2015-03-31/functions/demo/policy",
          "{\"StatementId\":\"b\",\"Action\":\"lambda:*\",\"Principal\":\"*\"}");
    hd_auto_free char *stale = hd_printf("DELETE %s?RevisionId=%s", DEMO, revision);
    lr_ask(&r, stale, NULL);
    assert_string_equal(r.type, "PreconditionFailedException");
    op_ok(&r, 204, "DELETE " DEMO, NULL);
    op_refused(&r, "ResourceNotFoundException", GONE, "DELETE " DEMO, NULL);
    lr_done(&r);
    (void)state;
}

static void an_alias_has_its_own(void **state)
{
    struct lr r;
    op_start(&r);
    op_ok(&r, 200, "PUT " DEMO "%3Aprod", "{\"Policy\":\"" ALLOW(LR_ARN "demo:prod") "\"}");
    op_refused(&r, "ResourceNotFoundException", GONE, "GET " DEMO, NULL);
    op_ok(&r, 200, "GET " DEMO ":prod", NULL);
    op_refused(&r, "ResourceNotFoundException", GONE, "GET " DEMO ":beta", NULL);
    lr_done(&r);
    (void)state;
}

static void refuses_what_is_not_enforced(void **state)
{
    struct lr r;
    op_start(&r);
    op_refused(
        &r, "InvalidParameterValueException",
        "policy: Statement[0].Resource: must be the ARN that the policy is attached to, or a "
        "qualified one of it",
        "PUT " DEMO, "{\"Policy\":\"" ALLOW(LR_ARN "other") "\"}");
    op_refused(&r, "InvalidParameterValueException",
               "policy: \"Statements\": no member of a policy", "PUT " DEMO,
               "{\"Policy\":\"{\\\"Statements\\\":[]}\"}");
    op_refused(&r, "InvalidParameterValueException",
               "We currently do not support adding policies for $LATEST.", "PUT " DEMO ":$LATEST",
               "{\"Policy\":\"" ALLOW(LR_ARN "demo") "\"}");
    lr_ask(&r, "GET " PATH "arn:aws:lambda:us-east-1:000000000000:layer:x", NULL);
    assert_string_equal(r.type, "InvalidParameterValueException");
    lr_ask(&r, "PUT " DEMO, "{}");
    assert_string_equal(r.type, "ValidationException");
    lr_done(&r);
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_document_is_put_read_and_deleted),
        cmocka_unit_test(an_alias_has_its_own),
        cmocka_unit_test(refuses_what_is_not_enforced),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
