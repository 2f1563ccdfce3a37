/* test/unit/test_event_config.c - what settings of asynchronous invocation become. */
#include "lambda/async/event_config.h"
#include "test.h"

static void tells_destinations_apart(void **state)
{
    static const struct {
        const char *text;
        enum hd_destination_kind kind;
    } cases[] = {
        {"", HD_DESTINATION_NONE},
        {"arn:aws:lambda:us-east-1:000000000000:function:a", HD_DESTINATION_FUNCTION},
        {"arn:aws:sqs:us-east-1:000000000000:q", HD_DESTINATION_SQS},
        {"arn:aws:sns:us-east-1:000000000000:t", HD_DESTINATION_SNS},
        {"arn:aws:events:us-east-1:000000000000:event-bus/b", HD_DESTINATION_EVENTS},
        {"arn:aws:s3:::bucket", HD_DESTINATION_S3},
        {"arn:aws:kinesis:us-east-1:000000000000:stream/s", HD_DESTINATION_OTHER},
        {"http://127.0.0.1:9/x", HD_DESTINATION_HTTP},
        {"https://example.com", HD_DESTINATION_HTTP},
        {"lane:orders", HD_DESTINATION_LANE},
        {"orders", HD_DESTINATION_OTHER},
        {"ftp://example.com", HD_DESTINATION_OTHER},
    };
    for (size_t i = 0; i < HD_COUNT(cases); i++) {
        if (hd_destination_kind(hd_str(cases[i].text)) != cases[i].kind)
            fail_msg("%s", cases[i].text);
    }
    (void)state;
}

/* Make settings of a text {"retries", "age", "destinations"}. */
static char *make(const char *old, const char *given)
{
    json_t *was = old != NULL ? json_loads(old, 0, NULL) : NULL;
    json_t *in = json_loads(given, 0, NULL);
    const struct hd_event_config_input input = {
        .retries = json_object_get(in, "retries"),
        .age = json_object_get(in, "age"),
        .destinations = json_object_get(in, "destinations"),
    };
    json_t *record = hd_event_config_make(was, &input, 1.5);
    char *text = record != NULL ? json_dumps(record, JSON_COMPACT) : NULL;
    json_decref(record);
    json_decref(was);
    json_decref(in);
    return text;
}

static void a_put_replaces_all(void **state)
{
    hd_auto_free char *one = make(NULL, "{\"retries\":1}");
    assert_string_equal(one, "{\"MaximumRetryAttempts\":1,\"DestinationConfig\":{\"OnSuccess\":{},"
                             "\"OnFailure\":{}},\"LastModified\":1.5}");
    hd_auto_free char *two = make(NULL, "{\"age\":60,\"destinations\":{\"OnFailure\":"
                                        "{\"Destination\":\"lane:x\"},\"OnSuccess\":{}}}");
    assert_string_equal(two,
                        "{\"MaximumEventAgeInSeconds\":60,\"DestinationConfig\":{\"OnSuccess\":{},"
                        "\"OnFailure\":{\"Destination\":\"lane:x\"}},\"LastModified\":1.5}");
    assert_null(make(NULL, "{}"));
    (void)state;
}

static void an_update_keeps_what_it_does_not_name(void **state)
{
    hd_auto_free char *old = make(NULL, "{\"retries\":0,\"age\":60,\"destinations\":{\"OnSuccess\":"
                                        "{\"Destination\":\"lane:x\"}}}");
    hd_auto_free char *age = make(old, "{\"age\":100}");
    assert_non_null(strstr(age, "\"MaximumRetryAttempts\":0"));
    assert_non_null(strstr(age, "\"MaximumEventAgeInSeconds\":100"));
    assert_non_null(strstr(age, "lane:x"));
    hd_auto_free char *cleared =
        make(old, "{\"destinations\":{\"OnSuccess\":{\"Destination\":\"\"}}}");
    assert_null(strstr(cleared, "lane:x"));
    assert_non_null(strstr(cleared, "\"MaximumEventAgeInSeconds\":60"));
    (void)state;
}

static void names_what_is_wrong_as_the_service_does(void **state)
{
    json_t *d = json_loads("{\"OnSuccess\":{\"Destination\":\"arn:aws:kinesis:::x\"}}", 0, NULL);
    hd_auto_free char *text = hd_event_config_bad_destination(d);
    assert_string_equal(text, "The provided destination config DestinationConfig(onSuccess="
                              "OnSuccess(destination=arn:aws:kinesis:::x), onFailure=null) is "
                              "invalid.");
    json_decref(d);
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tells_destinations_apart),
        cmocka_unit_test(a_put_replaces_all),
        cmocka_unit_test(an_update_keeps_what_it_does_not_name),
        cmocka_unit_test(names_what_is_wrong_as_the_service_does),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
