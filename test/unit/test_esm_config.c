/* test/unit/test_esm_config.c - what may be set for which event source, and what pollers get. */
#include "lambda/sources/esm_config.h"
#include "test.h"

#define SQS "\"EventSourceArn\":\"arn:aws:sqs:us-east-1:000000000000:orders\""
#define FIFO "\"EventSourceArn\":\"arn:aws:sqs:us-east-1:000000000000:orders.fifo\""
#define MQ \
    "\"EventSourceArn\":\"arn:aws:mq:us-east-1:000000000000:broker:b:b-1\",\"Queues\":[\"q\"]"

/* @return the mapping as a text, or NULL and *err. */
static char *make(const char *members, struct hd_error *err)
{
    hd_auto_free char *text = hd_printf("{%s}", members);
    json_t *input = json_loads(text, 0, NULL), *mapping = NULL;
    if (input == NULL)
        fail_msg("%s", text);
    int rc = hd_esm_config_new(&mapping, input, err);
    char *out = rc == 0 ? json_dumps(mapping, JSON_COMPACT) : NULL;
    json_decref(mapping);
    json_decref(input);
    return out;
}

static void fills_in_the_defaults_of_the_source(void **state)
{
    struct hd_error err = {.msg = ""};
    hd_auto_free char *sqs = make(SQS, &err);
    assert_string_equal(sqs, "{" SQS ",\"BatchSize\":10,\"MaximumBatchingWindowInSeconds\":0,"
                             "\"FunctionResponseTypes\":[]}");
    hd_auto_free char *mq = make(MQ, &err);
    assert_non_null(strstr(mq, "\"BatchSize\":100"));
    hd_auto_free char *given =
        make(SQS ",\"BatchSize\":100,\"MaximumBatchingWindowInSeconds\":1,\"ScalingConfig\":"
                 "{\"MaximumConcurrency\":5},\"FilterCriteria\":{\"Filters\":[{\"Pattern\":"
                 "\"{\\\"a\\\":[1]}\"}]},\"FunctionResponseTypes\":[\"ReportBatchItemFailures\"],"
                 "\"KMSKeyArn\":\"arn:aws:kms:us-east-1:000000000000:key/k\",\"MetricsConfig\":"
                 "{\"Metrics\":[\"EventCount\"]}",
             &err);
    assert_non_null(strstr(given, "\"MaximumConcurrency\":5"));
    assert_non_null(strstr(given, "EventCount"));
    assert_non_null(strstr(given, "key/k"));
    (void)state;
}

static void refuses_what_the_source_cannot_do(void **state)
{
    static const struct {
        const char *members, *wrong;
    } cases[] = {
        {"", "Unrecognized event source."},
        {"\"EventSourceArn\":\"arn:aws:iam::000000000000:role/x\"", "Unrecognized event source."},
        {"\"EventSourceArn\":\"arn:aws:kinesis:us-east-1:000000000000:stream/s\"",
         "1 validation error detected: Value null at 'startingPosition' failed to satisfy "
         "constraint: Member must not be null."},
        {"\"EventSourceArn\":\"arn:aws:kinesis:us-east-1:000000000000:stream/s\","
         "\"StartingPosition\":\"LATEST\"",
         "Event source mappings of streams are not offered by this server"},
        {"\"SelfManagedEventSource\":{}", "Event source mappings of Kafka are not offered"},
        {"\"EventSourceArn\":\"arn:aws:rds:us-east-1:000000000000:cluster:c\"",
         "Event source mappings of DocumentDB are not offered"},
        {SQS ",\"BatchSize\":11",
         "Maximum batch window in seconds must be greater than 0 if maximum batch size is greater "
         "than 10"},
        {FIFO ",\"MaximumBatchingWindowInSeconds\":1",
         "Batching window is not supported for FIFO queues."},
        {FIFO ",\"BatchSize\":11",
         "Maximum batch size of a FIFO queue must be at most 10, not 11."},
        {SQS ",\"FilterCriteria\":{\"Filters\":[{\"Pattern\":\"{\\\"a\\\":1}\"}]}",
         "Invalid filter pattern definition."},
        {SQS ",\"FilterCriteria\":{\"Filters\":[{}]}", "Invalid filter pattern definition."},
        {SQS
         ",\"FilterCriteria\":{\"Filters\":[{\"Pattern\":\"{}\"},{\"Pattern\":\"{}\"},"
         "{\"Pattern\":\"{}\"},{\"Pattern\":\"{}\"},{\"Pattern\":\"{}\"},{\"Pattern\":\"{}\"}]}",
         "A mapping can have at most 5 filters; FilterCriteria has 6."},
        {SQS ",\"Queues\":[\"q\"]",
         "Unsupported Queues parameter for given event source mapping type."},
        {SQS ",\"BisectBatchOnFunctionError\":true",
         "Unsupported BisectBatchOnFunctionError parameter for given event source mapping type."},
        {SQS ",\"ParallelizationFactor\":2",
         "Unsupported ParallelizationFactor parameter for given event source mapping type."},
        {SQS ",\"ProvisionedPollerConfig\":{}",
         "Unsupported ProvisionedPollerConfig parameter for given event source mapping type."},
        {MQ ",\"ScalingConfig\":{\"MaximumConcurrency\":2}",
         "Unsupported ScalingConfig parameter for given event source mapping type."},
        {"\"EventSourceArn\":\"arn:aws:mq:us-east-1:000000000000:broker:b:b-1\"",
         "Queues must name exactly one queue of the broker."},
        {MQ ",\"SourceAccessConfigurations\":[{\"Type\":\"VPC_SUBNET\",\"URI\":\"x\"}]",
         "SourceAccessConfigurations[0]: a broker takes BASIC_AUTH and VIRTUAL_HOST, not "
         "VPC_SUBNET."},
        {MQ ",\"SourceAccessConfigurations\":[{\"Type\":\"BASIC_AUTH\"}]",
         "SourceAccessConfigurations[0]: Type and URI must be given."},
        {MQ ",\"SourceAccessConfigurations\":[{\"Type\":\"VIRTUAL_HOST\",\"URI\":\"/a\"},"
            "{\"Type\":\"VIRTUAL_HOST\",\"URI\":\"/b\"}]",
         "SourceAccessConfigurations: each Type may be given once."},
        {MQ ",\"DestinationConfig\":{\"OnSuccess\":{\"Destination\":\"lane:x\"}}",
         "Event source mappings have a destination OnFailure only, no OnSuccess."},
        {MQ ",\"DestinationConfig\":{\"OnFailure\":{\"Destination\":"
            "\"arn:aws:lambda:us-east-1:000000000000:function:f\"}}",
         "The destination arn:aws:lambda:us-east-1:000000000000:function:f cannot be one of an "
         "event source mapping"},
    };
    for (size_t i = 0; i < HD_COUNT(cases); i++) {
        struct hd_error err = {.msg = ""};
        hd_auto_free char *made = make(cases[i].members, &err);
        if (made != NULL || strstr(err.msg, cases[i].wrong) != err.msg)
            fail_msg("%s: %s", cases[i].members, made != NULL ? made : err.msg);
    }
    (void)state;
}

static void an_update_keeps_what_it_does_not_name_and_clears_what_is_empty(void **state)
{
    struct hd_error err = {.msg = ""};
    json_t *mapping = json_loads("{" SQS ",\"BatchSize\":7,\"ScalingConfig\":"
                                 "{\"MaximumConcurrency\":5},\"FunctionResponseTypes\":[]}",
                                 0, NULL);
    json_t *change =
        json_loads("{\"ScalingConfig\":{},\"FilterCriteria\":{\"Filters\":[]}}", 0, NULL);
    json_t *bad = json_loads("{\"BatchSize\":11}", 0, NULL);
    json_t *foreign = json_loads("{\"TumblingWindowInSeconds\":1}", 0, NULL);
    assert_int_equal(hd_esm_config_update(mapping, change, &err), 0);
    assert_null(json_object_get(mapping, "ScalingConfig"));
    assert_int_equal(json_integer_value(json_object_get(mapping, "BatchSize")), 7);
    assert_int_equal(hd_esm_config_update(mapping, foreign, &err), HD_EINVAL);
    assert_int_equal(hd_esm_config_update(mapping, bad, &err), HD_EINVAL);
    json_decref(mapping);
    json_decref(change);
    json_decref(bad);
    json_decref(foreign);
    (void)state;
}

static void pollers_get_everything_that_can_be_set(void **state)
{
    struct hd_esm_mapping m;
    struct hd_error err = {.msg = ""};
    json_t *record = json_loads(
        "{\"Account\":\"000000000000\",\"Region\":\"us-east-1\",\"Function\":\"f\",\"Qualifier\":"
        "\"prod\",\"Enabled\":true,\"Mapping\":{\"UUID\":\"u\",\"FunctionArn\":\"arn:f:prod\"," MQ
        ",\"BatchSize\":3,\"MaximumBatchingWindowInSeconds\":4,\"BisectBatchOnFunctionError\":true,"
        "\"FunctionResponseTypes\":[\"ReportBatchItemFailures\"],\"SourceAccessConfigurations\":"
        "[{\"Type\":\"BASIC_AUTH\",\"URI\":\"secret\"},{\"Type\":\"VIRTUAL_HOST\",\"URI\":\"/v\"}],"
        "\"DestinationConfig\":{\"OnFailure\":{\"Destination\":\"lane:dead\"}},"
        "\"FilterCriteria\":{\"Filters\":[{\"Pattern\":\"{\\\"a\\\":[1]}\"}]}}}",
        0, NULL);
    assert_int_equal(hd_esm_mapping_init(&m, record, &err), 0);
    assert_int_equal(m.kind, HD_ESM_MQ);
    assert_string_equal(m.uuid, "u");
    assert_string_equal(m.function, "f");
    assert_string_equal(m.qualifier, "prod");
    assert_string_equal(m.source_name, "broker:b:b-1");
    assert_string_equal(m.queue, "q");
    assert_string_equal(m.virtual_host, "/v");
    assert_string_equal(m.secret, "secret");
    assert_string_equal(m.on_failure, "lane:dead");
    assert_int_equal(m.batch_size, 3);
    assert_int_equal(m.window_s, 4);
    assert_true(m.bisect && m.item_failures);
    assert_int_equal(m.n_filters, 1);
    json_t *one = json_pack("{s:i}", "a", 1);
    assert_true(hd_filter_match(m.filters[0], one));
    json_decref(one);
    hd_esm_mapping_done(&m);
    json_object_del(record, "Function");
    assert_int_equal(hd_esm_mapping_init(&m, record, &err), HD_EINVAL);
    json_decref(record);
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fills_in_the_defaults_of_the_source),
        cmocka_unit_test(refuses_what_the_source_cannot_do),
        cmocka_unit_test(an_update_keeps_what_it_does_not_name_and_clears_what_is_empty),
        cmocka_unit_test(pollers_get_everything_that_can_be_set),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
