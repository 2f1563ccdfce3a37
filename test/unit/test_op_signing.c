/* test/unit/test_op_signing.c - code signing configs and the functions that have one. */
#include "op_rig.h"

#define CONFIGS "/2020-04-22/code-signing-configs"
#define ATTACHED "/2020-06-30/functions/demo/code-signing-config"
#define PROFILE "arn:aws:signer:us-east-1:000000000000:/signing-profiles/p/0123456789"
#define UNKNOWN "arn:aws:lambda:us-east-1:000000000000:code-signing-config:csc-00000000000000000"
#define BODY "{\"AllowedPublishers\":{\"SigningProfileVersionArns\":[\"" PROFILE "\"]}"

static char *make(struct lr *r)
{
    op_ok(r, 201, "POST " CONFIGS "/", BODY ",\"Tags\":{\"a\":\"1\"}}");
    return hd_strdup(lr_text(r, "CodeSigningConfig.CodeSigningConfigArn"));
}

static void a_config_is_made_changed_and_deleted(void **state)
{
    struct lr r;
    op_start(&r);
    hd_auto_free char *arn = make(&r);
    assert_string_equal(
        lr_text(&r, "CodeSigningConfig.CodeSigningPolicies.UntrustedArtifactOnDeployment"), "Warn");
    assert_string_equal(
        lr_text(&r, "CodeSigningConfig.AllowedPublishers.SigningProfileVersionArns.0"), PROFILE);
    assert_int_equal(strlen(lr_text(&r, "CodeSigningConfig.CodeSigningConfigId")), 21);
    hd_auto_free char *get = hd_printf("GET " CONFIGS "/%s", arn);
    hd_auto_free char *put = hd_printf("PUT " CONFIGS "/%s", arn);
    hd_auto_free char *delete = hd_printf("DELETE " CONFIGS "/%s", arn);
    hd_auto_free char *tags = hd_printf("GET /2017-03-31/tags/%s", arn);
    op_ok(&r, 200, put,
          "{\"Description\":\"d\",\"CodeSigningPolicies\":{\"UntrustedArtifactOnDeployment\":"
          "\"Enforce\"}}");
    op_restart(&r);
    op_ok(&r, 200, get, NULL);
    assert_string_equal(
        lr_text(&r, "CodeSigningConfig.CodeSigningPolicies.UntrustedArtifactOnDeployment"),
        "Enforce");
    assert_string_equal(lr_text(&r, "CodeSigningConfig.Description"), "d");
    assert_null(strstr(r.text, "Tags"));
    assert_string_equal(op_ok(&r, 200, tags, NULL), "{\"Tags\":{\"a\":\"1\"}}");
    op_ok(&r, 200, "GET " CONFIGS, NULL);
    assert_string_equal(lr_text(&r, "CodeSigningConfigs.0.CodeSigningConfigArn"), arn);
    op_ok(&r, 204, delete, NULL);
    hd_auto_free char *gone =
        hd_printf("The Lambda code signing configuration %s can not be found.", arn);
    op_refused(&r, "ResourceNotFoundException", gone, get, NULL);
    op_refused(&r, "ResourceNotFoundException", gone, delete, NULL);
    op_refused(&r, "ResourceNotFoundException", gone, put, "{}");
    lr_done(&r);
    (void)state;
}

static void a_function_has_at_most_one(void **state)
{
    struct lr r;
    op_start(&r);
    hd_auto_free char *arn = make(&r);
    assert_string_equal(op_ok(&r, 200, "GET " ATTACHED, NULL), "{}");
    hd_auto_free char *body = hd_printf("{\"CodeSigningConfigArn\":\"%s\"}", arn);
    hd_auto_free char *both =
        hd_printf("{\"CodeSigningConfigArn\":\"%s\",\"FunctionName\":\"demo\"}", arn);
    hd_auto_free char *users = hd_printf("GET " CONFIGS "/%s/functions", arn);
    hd_auto_free char *delete = hd_printf("DELETE " CONFIGS "/%s", arn);
    assert_string_equal(op_ok(&r, 200, users, NULL), "{\"FunctionArns\":[]}");
    assert_string_equal(op_ok(&r, 200, "PUT " ATTACHED, body), both);
    assert_string_equal(op_ok(&r, 200, "GET " ATTACHED, NULL), both);
    assert_string_equal(op_ok(&r, 200, users, NULL), "{\"FunctionArns\":[\"" LR_ARN "demo\"]}");
    lr_ask(&r, delete, NULL);
    assert_string_equal(r.type, "ResourceConflictException");
    op_ok(&r, 204, "DELETE " ATTACHED, NULL);
    op_ok(&r, 204, "DELETE " ATTACHED, NULL);
    op_ok(&r, 204, delete, NULL);
    op_refused(&r, "CodeSigningConfigNotFoundException",
               "The code signing configuration cannot be found. Check that the provided "
               "configuration is not deleted: " UNKNOWN ".",
               "PUT " ATTACHED, "{\"CodeSigningConfigArn\":\"" UNKNOWN "\"}");
    lr_done(&r);
    (void)state;
}

static void inputs_are_checked(void **state)
{
    static const char *const bad[] = {
        "{}",
        "{\"AllowedPublishers\":{}}",
        "{\"AllowedPublishers\":{\"SigningProfileVersionArns\":[]}}",
        "{\"AllowedPublishers\":{\"SigningProfileVersionArns\":[\"x\"]}}",
        BODY ",\"CodeSigningPolicies\":{\"UntrustedArtifactOnDeployment\":\"Ignore\"}}",
        BODY ",\"Tags\":{\"\":\"1\"}}",
    };
    struct lr r;
    op_start(&r);
    for (size_t i = 0; i < HD_COUNT(bad); i++) {
        lr_ask(&r, "POST " CONFIGS, bad[i]);
        if (strcmp(r.type, "ValidationException") != 0)
            fail_msg("%s: %u %s", bad[i], r.status, r.text);
    }
    lr_done(&r);
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_config_is_made_changed_and_deleted),
        cmocka_unit_test(a_function_has_at_most_one),
        cmocka_unit_test(inputs_are_checked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
