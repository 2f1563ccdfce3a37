#include "lambda/sources/esm_config.h"

#include "lambda/async/event_config.h"
#include "lambda/names.h"

enum { SQS = 1, MQ = 2 };
enum { FIFO_BATCH_MAX = 10, PLAIN_BATCH_MAX = 10 };

static const char *text(const json_t *object, const char *member)
{
    return json_string_value(json_object_get(object, member));
}

static json_int_t number(const json_t *object, const char *member)
{
    return json_integer_value(json_object_get(object, member));
}

/* --- sources --- */

enum hd_esm_source hd_esm_source(const json_t *input)
{
    static const struct {
        const char *service;
        enum hd_esm_source source;
    } services[] = {
        {"sqs", HD_ESM_SOURCE_SQS},        {"mq", HD_ESM_SOURCE_MQ},
        {"kinesis", HD_ESM_SOURCE_STREAM}, {"dynamodb", HD_ESM_SOURCE_STREAM},
        {"kafka", HD_ESM_SOURCE_KAFKA},    {"rds", HD_ESM_SOURCE_DOCUMENTDB},
    };
    struct hd_arn arn;
    const char *name = text(input, "EventSourceArn");
    if (name == NULL)
        return json_object_get(input, "SelfManagedEventSource") != NULL ? HD_ESM_SOURCE_KAFKA
                                                                        : HD_ESM_SOURCE_NONE;
    if (hd_names_arn(&arn, hd_str(name)) < 0)
        return HD_ESM_SOURCE_UNKNOWN;
    for (size_t i = 0; i < HD_COUNT(services); i++) {
        if (hd_str_is(arn.service, services[i].service))
            return services[i].source;
    }
    return HD_ESM_SOURCE_UNKNOWN;
}

static bool is_fifo(const json_t *mapping)
{
    return hd_str_ends(hd_str(text(mapping, "EventSourceArn")), hd_str(".fifo"));
}

/* --- what may be set for which source --- */

static const struct setting {
    const char *name;
    int sources;
} settings[] = {
    {"EventSourceArn", SQS | MQ},
    {"BatchSize", SQS | MQ},
    {"MaximumBatchingWindowInSeconds", SQS | MQ},
    {"FilterCriteria", SQS | MQ},
    {"FunctionResponseTypes", SQS | MQ},
    {"KMSKeyArn", SQS | MQ},
    {"MetricsConfig", SQS | MQ},
    {"ScalingConfig", SQS},
    {"Queues", MQ},
    {"SourceAccessConfigurations", MQ},
    {"BisectBatchOnFunctionError", MQ},
    {"DestinationConfig", MQ},
    /* of other sources */
    {"LoggingConfig", 0},
    {"ParallelizationFactor", 0},
    {"StartingPosition", 0},
    {"StartingPositionTimestamp", 0},
    {"MaximumRecordAgeInSeconds", 0},
    {"MaximumRetryAttempts", 0},
    {"TumblingWindowInSeconds", 0},
    {"Topics", 0},
    {"SelfManagedEventSource", 0},
    {"AmazonManagedKafkaEventSourceConfig", 0},
    {"SelfManagedKafkaEventSourceConfig", 0},
    {"DocumentDBEventSourceConfig", 0},
    {"ProvisionedPollerConfig", 0},
};

/* What is cleared by giving an empty one. */
static bool is_empty(const json_t *v)
{
    return json_is_object(v) && json_object_size(v) == 0;
}

static int take(json_t *mapping, const json_t *input, int source, struct hd_error *err)
{
    for (size_t i = 0; i < HD_COUNT(settings); i++) {
        json_t *v = json_object_get(input, settings[i].name);
        if (v == NULL)
            continue;
        if ((settings[i].sources & source) == 0)
            return hd_fail(err, HD_EINVAL,
                           "Unsupported %s parameter for given event source mapping type.",
                           settings[i].name);
        if (is_empty(v))
            json_object_del(mapping, settings[i].name);
        else
            json_object_set(mapping, settings[i].name, v);
    }
    return 0;
}

/* --- what must fit together --- */

static int check_batch(const json_t *mapping, int source, struct hd_error *err)
{
    json_int_t batch = number(mapping, "BatchSize");
    json_int_t window = number(mapping, "MaximumBatchingWindowInSeconds");
    if (source != SQS)
        return 0;
    if (is_fifo(mapping) && window > 0)
        return hd_fail(err, HD_EINVAL, "Batching window is not supported for FIFO queues.");
    if (is_fifo(mapping) && batch > FIFO_BATCH_MAX)
        return hd_fail(err, HD_EINVAL,
                       "Maximum batch size of a FIFO queue must be at most %d, not %lld.",
                       FIFO_BATCH_MAX, (long long)batch);
    if (batch > PLAIN_BATCH_MAX && window < 1)
        return hd_fail(err, HD_EINVAL,
                       "Maximum batch window in seconds must be greater than 0 if maximum batch "
                       "size is greater than %d",
                       PLAIN_BATCH_MAX);
    return 0;
}

static int check_filters(const json_t *mapping, struct hd_error *err)
{
    size_t i;
    json_t *one;
    const json_t *list = json_object_get(json_object_get(mapping, "FilterCriteria"), "Filters");
    if (json_array_size(list) > HD_FILTERS_MAX)
        return hd_fail(err, HD_EINVAL,
                       "A mapping can have at most %d filters; FilterCriteria has %zu.",
                       HD_FILTERS_MAX, json_array_size(list));
    json_array_foreach(list, i, one)
    {
        struct hd_error why = {.msg = ""};
        hd_auto(hd_filter) filter = NULL;
        const char *pattern = text(one, "Pattern");
        if (pattern == NULL)
            return hd_fail(err, HD_EINVAL,
                           "Invalid filter pattern definition. Filters[%zu] has no "
                           "Pattern.",
                           i);
        if (hd_filter_new(&filter, hd_str(pattern), &why) < 0)
            return hd_fail(err, HD_EINVAL, "Invalid filter pattern definition. Filters[%zu]: %s", i,
                           why.msg);
    }
    return 0;
}

static int check_access(const json_t *mapping, struct hd_error *err)
{
    size_t i;
    json_t *one;
    unsigned secrets = 0, hosts = 0;
    if (json_array_size(json_object_get(mapping, "Queues")) != 1)
        return hd_fail(err, HD_EINVAL, "Queues must name exactly one queue of the broker.");
    json_array_foreach(json_object_get(mapping, "SourceAccessConfigurations"), i, one)
    {
        const char *type = text(one, "Type");
        if (type == NULL || text(one, "URI") == NULL)
            return hd_fail(err, HD_EINVAL,
                           "SourceAccessConfigurations[%zu]: Type and URI must be given.", i);
        if (strcmp(type, "BASIC_AUTH") == 0)
            secrets++;
        else if (strcmp(type, "VIRTUAL_HOST") == 0)
            hosts++;
        else
            return hd_fail(err, HD_EINVAL,
                           "SourceAccessConfigurations[%zu]: a broker takes BASIC_AUTH and "
                           "VIRTUAL_HOST, not %s.",
                           i, type);
    }
    if (secrets > 1 || hosts > 1)
        return hd_fail(err, HD_EINVAL, "SourceAccessConfigurations: each Type may be given once.");
    return 0;
}

static int check_destination(const json_t *mapping, struct hd_error *err)
{
    const json_t *given = json_object_get(mapping, "DestinationConfig");
    struct hd_str success = hd_event_config_destination(given, "OnSuccess");
    if (success.len > 0)
        return hd_fail(err, HD_EINVAL,
                       "Event source mappings have a destination OnFailure only, no OnSuccess.");
    struct hd_str d = hd_event_config_destination(given, "OnFailure");
    switch (hd_destination_kind(d)) {
    case HD_DESTINATION_FUNCTION:
    case HD_DESTINATION_EVENTS:
    case HD_DESTINATION_OTHER:
        return hd_fail(err, HD_EINVAL,
                       "The destination %.*s cannot be one of an event source mapping: SQS, SNS, "
                       "S3, an URL or a lane can.",
                       (int)HD_MIN(d.len, (size_t)100), d.ptr);
    case HD_DESTINATION_NONE:
    case HD_DESTINATION_SQS:
    case HD_DESTINATION_SNS:
    case HD_DESTINATION_S3:
    case HD_DESTINATION_HTTP:
    case HD_DESTINATION_LANE:
        break;
    }
    return 0;
}

static int check(const json_t *mapping, int source, struct hd_error *err)
{
    int rc = check_batch(mapping, source, err);
    if (rc == 0)
        rc = check_filters(mapping, err);
    if (rc == 0 && source == MQ)
        rc = check_access(mapping, err);
    if (rc == 0 && source == MQ)
        rc = check_destination(mapping, err);
    return rc;
}

/* --- making and changing --- */

static void fall_back(json_t *mapping, const char *member, json_t *value)
{
    if (json_object_get(mapping, member) == NULL)
        json_object_set_new(mapping, member, value);
    else
        json_decref(value);
}

static int not_offered(const char *what, struct hd_error *err)
{
    return hd_fail(err, HD_EINVAL,
                   "Event source mappings of %s are not offered by this server: SQS queues, event "
                   "lanes and RabbitMQ brokers are.",
                   what);
}

int hd_esm_config_new(json_t **out, const json_t *input, struct hd_error *err)
{
    int source = 0;
    switch (hd_esm_source(input)) {
    case HD_ESM_SOURCE_NONE:
    case HD_ESM_SOURCE_UNKNOWN:
        return hd_fail(err, HD_EINVAL, "Unrecognized event source.");
    case HD_ESM_SOURCE_STREAM:
        if (text(input, "StartingPosition") == NULL)
            return hd_fail(err, HD_EINVAL,
                           "1 validation error detected: Value null at 'startingPosition' failed "
                           "to satisfy constraint: Member must not be null.");
        return not_offered("streams", err);
    case HD_ESM_SOURCE_KAFKA:
        return not_offered("Kafka", err);
    case HD_ESM_SOURCE_DOCUMENTDB:
        return not_offered("DocumentDB", err);
    case HD_ESM_SOURCE_SQS:
        source = SQS;
        break;
    case HD_ESM_SOURCE_MQ:
        source = MQ;
        break;
    }
    json_t *mapping = json_object();
    int rc = take(mapping, input, source, err);
    fall_back(mapping, "BatchSize", json_integer(source == SQS ? 10 : 100));
    fall_back(mapping, "MaximumBatchingWindowInSeconds", json_integer(0));
    fall_back(mapping, "FunctionResponseTypes", json_array());
    if (rc == 0)
        rc = check(mapping, source, err);
    if (rc < 0)
        json_decref(mapping);
    else
        *out = mapping;
    return rc;
}

int hd_esm_config_update(json_t *mapping, const json_t *input, struct hd_error *err)
{
    int source = hd_esm_source(mapping) == HD_ESM_SOURCE_MQ ? MQ : SQS;
    int rc = take(mapping, input, source, err);
    return rc == 0 ? check(mapping, source, err) : rc;
}

bool hd_esm_state_moves(const char *state)
{
    return strcmp(state, "Enabled") != 0 && strcmp(state, "Disabled") != 0;
}

/* --- as pollers get it --- */

/* The part of an ARN behind its fifth colon. */
static const char *resource_of(const char *arn)
{
    for (int i = 0; arn != NULL && i < 5; i++) {
        arn = strchr(arn, ':');
        arn = arn != NULL ? arn + 1 : NULL;
    }
    return arn;
}

static const char *access_of(const json_t *mapping, const char *type)
{
    size_t i;
    json_t *one;
    json_array_foreach(json_object_get(mapping, "SourceAccessConfigurations"), i, one)
    {
        if (strcmp(text(one, "Type"), type) == 0)
            return text(one, "URI");
    }
    return NULL;
}

static bool has_word(const json_t *list, const char *word)
{
    size_t i;
    json_t *v;
    json_array_foreach(list, i, v)
    {
        if (hd_str_is(hd_str(json_string_value(v)), word))
            return true;
    }
    return false;
}

static int read_filters(struct hd_esm_mapping *out, const json_t *mapping, struct hd_error *err)
{
    const json_t *list = json_object_get(json_object_get(mapping, "FilterCriteria"), "Filters");
    size_t n = json_array_size(list);
    if (n == 0)
        return 0;
    struct hd_filter **filters = hd_new_array(struct hd_filter *, n);
    out->filters = filters;
    for (size_t i = 0; i < n; i++) {
        int rc = hd_filter_new(&filters[i], hd_str(text(json_array_get(list, i), "Pattern")), err);
        if (rc < 0)
            return rc;
        out->n_filters++;
    }
    return 0;
}

int hd_esm_mapping_init(struct hd_esm_mapping *out, const json_t *record, struct hd_error *err)
{
    const json_t *mapping = json_object_get(record, "Mapping");
    bool mq = hd_esm_source(mapping) == HD_ESM_SOURCE_MQ;
    const char *host = access_of(mapping, "VIRTUAL_HOST");
    struct hd_str failure =
        hd_event_config_destination(json_object_get(mapping, "DestinationConfig"), "OnFailure");
    *out = (struct hd_esm_mapping){
        .uuid = text(mapping, "UUID"),
        .kind = mq ? HD_ESM_MQ : HD_ESM_SQS,
        .account = text(record, "Account"),
        .region = text(record, "Region"),
        .source_arn = text(mapping, "EventSourceArn"),
        .source_name = resource_of(text(mapping, "EventSourceArn")),
        .function_arn = text(mapping, "FunctionArn"),
        .function = text(record, "Function"),
        .qualifier = text(record, "Qualifier"),
        .batch_size = (uint32_t)number(mapping, "BatchSize"),
        .window_s = (uint32_t)number(mapping, "MaximumBatchingWindowInSeconds"),
        .max_concurrency =
            (uint32_t)number(json_object_get(mapping, "ScalingConfig"), "MaximumConcurrency"),
        .item_failures =
            has_word(json_object_get(mapping, "FunctionResponseTypes"), "ReportBatchItemFailures"),
        .bisect = json_is_true(json_object_get(mapping, "BisectBatchOnFunctionError")),
        .on_failure = failure.len > 0 ? failure.ptr : NULL,
        .queue = json_string_value(json_array_get(json_object_get(mapping, "Queues"), 0)),
        .virtual_host = mq ? (host != NULL ? host : "/") : NULL,
        .secret = access_of(mapping, "BASIC_AUTH"),
    };
    if (out->uuid == NULL || out->account == NULL || out->region == NULL ||
        out->source_name == NULL || out->function == NULL || out->function_arn == NULL ||
        out->batch_size < 1 || (mq && out->queue == NULL))
        return hd_fail(err, HD_EINVAL, "the record of an event source mapping is damaged");
    int rc = read_filters(out, mapping, err);
    if (rc < 0)
        hd_esm_mapping_done(out);
    return rc;
}

void hd_esm_mapping_done(struct hd_esm_mapping *m)
{
    for (size_t i = 0; i < m->n_filters; i++)
        hd_filter_free(m->filters[i]);
    free((void *)m->filters);
    *m = (struct hd_esm_mapping){.uuid = NULL};
}
