/* test/unit/test_op_event_config.c - settings of asynchronous invocation, by qualifier. */
#include "op_rig.h"

#define PATH "/2019-09-25/functions/demo/event-invoke-config"
#define NOTHING "The function " LR_ARN "demo:%s doesn't have an EventInvokeConfig"
#define TO(arn) "{\"DestinationConfig\":{\"OnFailure\":{\"Destination\":\"" arn "\"}}}"

static void start(struct lr *r)
{
    op_start(r);
    op_function(r, "sink");
}

static void settings_hang_on_a_qualifier(void **state)
{
    struct lr r;
    start(&r);
    op_ok(&r, 200, "PUT " PATH, "{\"MaximumRetryAttempts\":0}");
    assert_string_equal(lr_text(&r, "FunctionArn"), LR_ARN "demo:$LATEST");
    assert_true(json_is_real(lr_get(&r, "LastModified")));
    assert_int_equal(json_object_size(lr_get(&r, "DestinationConfig.OnSuccess")), 0);
    op_ok(&r, 200, "PUT " PATH "?Qualifier=prod",
          "{\"MaximumEventAgeInSeconds\":60,\"DestinationConfig\":{\"OnSuccess\":{\"Destination\":"
          "\"" LR_ARN "sink\"}}}");
    op_ok(&r, 200, "POST " PATH "?Qualifier=prod", "{\"MaximumRetryAttempts\":1}");
    op_restart(&r);
    op_ok(&r, 200, "GET " PATH "?Qualifier=prod", NULL);
    assert_int_equal(op_number(&r, "MaximumRetryAttempts"), 1);
    assert_int_equal(op_number(&r, "MaximumEventAgeInSeconds"), 60);
    assert_string_equal(lr_text(&r, "DestinationConfig.OnSuccess.Destination"), LR_ARN "sink");
    op_ok(&r, 200, "GET " PATH "/list?MaxItems=1", NULL);
    assert_int_equal(json_array_size(lr_get(&r, "FunctionEventInvokeConfigs")), 1);
    assert_string_equal(lr_text(&r, "FunctionEventInvokeConfigs.0.FunctionArn"),
                        LR_ARN "demo:$LATEST");
    hd_auto_free char *next =
        hd_printf("GET " PATH "/list?MaxItems=1&Marker=%s", lr_text(&r, "NextMarker"));
    op_ok(&r, 200, next, NULL);
    assert_string_equal(lr_text(&r, "FunctionEventInvokeConfigs.0.FunctionArn"),
                        LR_ARN "demo:prod");
    assert_null(json_object_get(r.body, "NextMarker"));
    op_ok(&r, 204, "DELETE " PATH, NULL);
    hd_auto_free char *gone = hd_printf(NOTHING, "$LATEST");
    op_refused(&r, "ResourceNotFoundException", gone, "GET " PATH, NULL);
    op_refused(&r, "ResourceNotFoundException", gone, "DELETE " PATH, NULL);
    op_refused(&r, "ResourceNotFoundException", gone, "POST " PATH, "{\"MaximumRetryAttempts\":1}");
    lr_done(&r);
    (void)state;
}

static void destinations_are_checked(void **state)
{
    struct lr r;
    start(&r);
    op_refused(&r, "InvalidParameterValueException",
               "You can't specify the function as a destination for itself.", "PUT " PATH,
               TO(LR_ARN "demo"));
    op_refused(&r, "InvalidParameterValueException",
               "You can't specify the function as a destination for itself.", "PUT " PATH,
               TO(LR_ARN "demo:prod"));
    op_refused(&r, "InvalidParameterValueException",
               "The destination ARN " LR_ARN "nobody is invalid.", "PUT " PATH,
               TO(LR_ARN "nobody"));
    op_refused(&r, "InvalidParameterValueException",
               "The provided destination config DestinationConfig(onSuccess=null, onFailure="
               "OnFailure(destination=arn:aws:kinesis:us-east-1:000000000000:stream/s)) is "
               "invalid.",
               "PUT " PATH, TO("arn:aws:kinesis:us-east-1:000000000000:stream/s"));
    lr_ask(&r, "PUT " PATH, TO("sink"));
    assert_string_equal(r.type, "ValidationException");
    static const char *const good[] = {
        TO("arn:aws:sqs:us-east-1:000000000000:q"),
        TO("arn:aws:s3:::bucket"),
        TO("http://127.0.0.1:9000/hook"),
        TO("lane:orders"),
        TO(""),
        TO(LR_ARN "sink:prod"),
    };
    for (size_t i = 0; i < HD_COUNT(good); i++)
        op_ok(&r, 200, "PUT " PATH, good[i]);
    lr_done(&r);
    (void)state;
}

static void nothing_at_all_is_refused(void **state)
{
    struct lr r;
    start(&r);
    op_refused(&r, "InvalidParameterValueException",
               "You must specify at least one of error handling or destination setting.",
               "PUT " PATH, "{}");
    op_refused(&r, "ResourceNotFoundException", "The function doesn't exist.",
               "PUT /2019-09-25/functions/nobody/event-invoke-config",
               "{\"MaximumRetryAttempts\":1}");
    op_refused(&r, "ResourceNotFoundException", "The function doesn't exist.",
               "PUT " PATH "?Qualifier=beta", "{\"MaximumRetryAttempts\":1}");
    op_refused(&r, "ResourceNotFoundException", "The function doesn't exist.",
               "GET /2019-09-25/functions/nobody/event-invoke-config/list", NULL);
    lr_ask(&r, "PUT " PATH, "{\"MaximumRetryAttempts\":3,\"MaximumEventAgeInSeconds\":59}");
    assert_non_null(strstr(r.text, "2 validation errors detected"));
    lr_done(&r);
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(settings_hang_on_a_qualifier),
        cmocka_unit_test(destinations_are_checked),
        cmocka_unit_test(nothing_at_all_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
