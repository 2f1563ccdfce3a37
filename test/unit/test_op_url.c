/* test/unit/test_op_url.c - function URLs of functions and aliases. */
#include "op_rig.h"

#define URL "/2021-10-31/functions/demo/url"
#define URLS "/2021-10-31/functions/demo/urls"
#define GONE "The resource you requested does not exist."

static void a_url_is_made_changed_and_deleted(void **state)
{
    struct lr r;
    op_start(&r);
    op_refused(&r, "ResourceNotFoundException", GONE, "GET " URL, NULL);
    op_ok(&r, 201, "POST " URL,
          "{\"AuthType\":\"NONE\",\"Cors\":{\"AllowOrigins\":[\"*\"],\"MaxAge\":0}}");
    hd_auto_free char *url = hd_strdup(lr_text(&r, "FunctionUrl"));
    assert_non_null(strstr(url, ".lambda-url.us-east-1.localhost:3100/"));
    assert_string_equal(lr_text(&r, "FunctionArn"), LR_ARN "demo");
    assert_int_equal(op_number(&r, "Cors.MaxAge"), 0);
    assert_null(json_object_get(r.body, "LastModifiedTime"));
    assert_null(json_object_get(r.body, "InvokeMode"));
    op_refused(&r, "ResourceConflictException",
               "Failed to create function url config for [functionArn = " LR_ARN
               "demo]. Error message:  FunctionUrlConfig exists for this Lambda function",
               "POST " URL, "{\"AuthType\":\"NONE\"}");
    op_restart(&r);
    op_ok(&r, 200, "GET " URL, NULL);
    assert_string_equal(lr_text(&r, "FunctionUrl"), url);
    assert_string_equal(lr_text(&r, "InvokeMode"), "BUFFERED");
    lr_text(&r, "LastModifiedTime");
    op_ok(&r, 200, "PUT " URL,
          "{\"AuthType\":\"AWS_IAM\",\"Cors\":{},\"InvokeMode\":\"RESPONSE_STREAM\"}");
    assert_string_equal(lr_text(&r, "FunctionUrl"), url);
    assert_string_equal(lr_text(&r, "AuthType"), "AWS_IAM");
    assert_string_equal(lr_text(&r, "InvokeMode"), "RESPONSE_STREAM");
    assert_null(json_object_get(r.body, "Cors"));
    op_ok(&r, 204, "DELETE " URL, NULL);
    op_refused(&r, "ResourceNotFoundException", GONE, "DELETE " URL, NULL);
    op_refused(&r, "ResourceNotFoundException", GONE, "PUT " URL, "{}");
    lr_done(&r);
    (void)state;
}

static void an_alias_has_its_own(void **state)
{
    struct lr r;
    op_start(&r);
    op_ok(&r, 201, "POST " URL "?Qualifier=prod", "{\"AuthType\":\"NONE\"}");
    assert_string_equal(lr_text(&r, "FunctionArn"), LR_ARN "demo:prod");
    op_ok(&r, 201, "POST " URL, "{\"AuthType\":\"NONE\"}");
    op_ok(&r, 200, "GET " URLS, NULL);
    assert_int_equal(json_array_size(lr_get(&r, "FunctionUrlConfigs")), 2);
    op_ok(&r, 200, "GET " URLS "?MaxItems=1", NULL);
    assert_string_equal(lr_text(&r, "FunctionUrlConfigs.0.FunctionArn"), LR_ARN "demo");
    hd_auto_free char *next =
        hd_printf("GET " URLS "?MaxItems=1&Marker=%s", lr_text(&r, "NextMarker"));
    op_ok(&r, 200, next, NULL);
    assert_string_equal(lr_text(&r, "FunctionUrlConfigs.0.FunctionArn"), LR_ARN "demo:prod");
    assert_null(json_object_get(r.body, "NextMarker"));
    lr_done(&r);
    (void)state;
}

static void refuses_what_cannot_be(void **state)
{
    struct lr r;
    op_start(&r);
    static const char *const not_aliases[] = {
        "POST " URL "?Qualifier=1", "POST " URL "?Qualifier=$LATEST",
        "POST /2021-10-31/functions/demo:1/url", "POST /2021-10-31/functions/demo:$LATEST/url"};
    for (size_t i = 0; i < HD_COUNT(not_aliases); i++) {
        lr_ask(&r, not_aliases[i], "{\"AuthType\":\"NONE\"}");
        if (strcmp(r.type, "ValidationException") != 0)
            fail_msg("%s: %u %s", not_aliases[i], r.status, r.text);
    }
    op_refused(&r, "ResourceNotFoundException", "Function does not exist",
               "POST " URL "?Qualifier=beta", "{\"AuthType\":\"NONE\"}");
    op_refused(&r, "ResourceNotFoundException", "Function does not exist",
               "POST /2021-10-31/functions/nobody/url", "{\"AuthType\":\"NONE\"}");
    op_refused(&r, "ResourceNotFoundException", "Function does not exist",
               "GET /2021-10-31/functions/nobody/urls", NULL);
    op_refused(&r, "ResourceNotFoundException", GONE, "GET /2021-10-31/functions/nobody/url", NULL);
    lr_ask(&r, "POST " URL, "{\"AuthType\":\"BASIC\",\"Cors\":{\"MaxAge\":86401}}");
    assert_non_null(strstr(r.text, "2 validation errors detected"));
    lr_ask(&r, "POST " URL, "{\"AuthType\":\"NONE\",\"Cors\":{\"AllowMethods\":[\"OPTIONS\"]}}");
    assert_string_equal(r.type, "ValidationException");
    lr_ask(&r, "POST " URL, "{\"AuthType\":\"NONE\",\"Cors\":{\"AllowOrigins\":[\"x\"]}}");
    assert_string_equal(r.type, "InvalidParameterValueException");
    lr_done(&r);
    (void)state;
}

static void a_tag_can_choose_the_id(void **state)
{
    struct lr r;
    op_start(&r);
    op_ok(&r, 204, "POST /2017-03-31/tags/" LR_ARN "demo",
          "{\"Tags\":{\"_custom_id_\":\"my-api\"}}");
    op_ok(&r, 201, "POST " URL, "{\"AuthType\":\"NONE\"}");
    assert_string_equal(lr_text(&r, "FunctionUrl"),
                        "http://my-api.lambda-url.us-east-1.localhost:3100/");
    op_ok(&r, 201, "POST " URL "?Qualifier=prod", "{\"AuthType\":\"NONE\"}");
    assert_string_equal(lr_text(&r, "FunctionUrl"),
                        "http://my-api-prod.lambda-url.us-east-1.localhost:3100/");
    op_ok(&r, 204, "DELETE " URL, NULL);
    op_ok(&r, 204, "POST /2017-03-31/tags/" LR_ARN "demo",
          "{\"Tags\":{\"_custom_id_\":\"my-api-prod\"}}");
    lr_ask(&r, "POST " URL, "{\"AuthType\":\"NONE\"}");
    assert_string_equal(r.type, "ResourceConflictException");
    op_ok(&r, 204, "POST /2017-03-31/tags/" LR_ARN "demo", "{\"Tags\":{\"_custom_id_\":\"A b\"}}");
    lr_ask(&r, "POST " URL, "{\"AuthType\":\"NONE\"}");
    assert_string_equal(r.type, "InvalidParameterValueException");
    lr_done(&r);
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_url_is_made_changed_and_deleted),
        cmocka_unit_test(an_alias_has_its_own),
        cmocka_unit_test(refuses_what_cannot_be),
        cmocka_unit_test(a_tag_can_choose_the_id),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
