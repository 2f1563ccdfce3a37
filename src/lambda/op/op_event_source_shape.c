/* op_event_source_shape.c - the members of the operations on event source mappings. */
#include "lambda/async/event_config.h"
#include "lambda/op/op_event_source.h"
#include "lambda/resource.h"
#include "lambda/tags.h"

static const char *const metrics_words[] = {"EventCount", "ErrorCount", "KafkaMetrics", NULL};
static const char *const response_words[] = {"ReportBatchItemFailures", NULL};
static const char *const position_words[] = {"TRIM_HORIZON", "LATEST", "AT_TIMESTAMP", NULL};
static const char *const level_words[] = {"DEBUG", "INFO", "WARN", NULL};
static const char *const access_words[] = {
    "BASIC_AUTH",
    "VPC_SUBNET",
    "VPC_SECURITY_GROUP",
    "SASL_SCRAM_512_AUTH",
    "SASL_SCRAM_256_AUTH",
    "VIRTUAL_HOST",
    "CLIENT_CERTIFICATE_TLS_AUTH",
    "SERVER_ROOT_CA_CERTIFICATE",
    "IAM_AUTH",
    "IAM_OAUTHBEARER_AUTH",
    "OAUTHBEARER_AUTH",
    "OAUTHBEARER_AUDIENCE",
    "OAUTHBEARER_IDENTITY_POOL",
    "OAUTHBEARER_LOGICAL_CLUSTER",
    "OAUTHBEARER_SCOPE",
    NULL,
};
static const struct hd_shape filter[] = {{.name = "Pattern", .max = 4096}, {0}};
static const struct hd_shape filter_member[] = {
    {.name = "member", .kind = HD_SHAPE_STRUCT, .of = filter}};
static const struct hd_shape filters[] = {
    {.name = "Filters", .kind = HD_SHAPE_LIST, .of = filter_member},
    {0},
};
static const struct hd_shape metric[] = {{.name = "member", .words = metrics_words}};
static const struct hd_shape metrics[] = {
    {.name = "Metrics", .kind = HD_SHAPE_LIST, .max = 3, .of = metric},
    {0},
};
static const struct hd_shape logging[] = {{.name = "SystemLogLevel", .words = level_words}, {0}};
static const struct hd_shape scaling[] = {
    {.name = "MaximumConcurrency", .kind = HD_SHAPE_INTEGER, .min = 2, .max = 1000},
    {0},
};
static const struct hd_shape destination[] = {
    {.name = "Destination", .max = 350, .pattern = HD_PATTERN_DESTINATION},
    {0},
};
static const struct hd_shape destinations[] = {
    {.name = "OnSuccess", .kind = HD_SHAPE_STRUCT, .of = destination},
    {.name = "OnFailure", .kind = HD_SHAPE_STRUCT, .of = destination},
    {0},
};
static const struct hd_shape topic[] = {
    {.name = "member", .min = 1, .max = 249, .pattern = "^[^.]([a-zA-Z0-9\\-_.]+)"}};
static const struct hd_shape queue[] = {
    {.name = "member", .min = 1, .max = 1000, .pattern = "[\\s\\S]*"}};
static const struct hd_shape access_parts[] = {
    {.name = "Type", .words = access_words},
    {.name = "URI", .min = 1, .max = 10000, .pattern = "[a-zA-Z0-9-\\/*:_+=.@-]*"},
    {0},
};
static const struct hd_shape access_member[] = {
    {.name = "member", .kind = HD_SHAPE_STRUCT, .of = access_parts}};
static const struct hd_shape response[] = {{.name = "member", .words = response_words}};
static const struct hd_shape tag[] = {
    {.name = "key", .min = 1, .max = HD_TAGS_KEY_CHARS},
    {.name = "value", .max = HD_TAGS_VALUE_CHARS},
};

/* Of sources that are not offered: known, so that a wrong value is a wrong value. */
static const char *const format_words[] = {"JSON", "SOURCE", NULL};
static const char *const mode_words[] = {"Queue", "Stream", NULL};
static const char *const document_words[] = {"UpdateLookup", "Default", NULL};
static const char *const registry_words[] = {"BASIC_AUTH", "CLIENT_CERTIFICATE_TLS_AUTH",
                                             "SERVER_ROOT_CA_CERTIFICATE", NULL};
static const char *const attribute_words[] = {"KEY", "VALUE", NULL};
static const struct hd_shape registry_access[] = {
    {.name = "Type", .words = registry_words},
    {.name = "URI", .min = 1, .max = 10000},
    {0},
};
static const struct hd_shape registry_access_member[] = {
    {.name = "member", .kind = HD_SHAPE_STRUCT, .of = registry_access}};
static const struct hd_shape validation[] = {
    {.name = "Attribute", .words = attribute_words},
    {0},
};
static const struct hd_shape validation_member[] = {
    {.name = "member", .kind = HD_SHAPE_STRUCT, .of = validation}};
static const struct hd_shape registry[] = {
    {.name = "SchemaRegistryURI", .min = 1, .max = 10000},
    {.name = "EventRecordFormat", .words = format_words},
    {.name = "AccessConfigs", .kind = HD_SHAPE_LIST, .of = registry_access_member},
    {.name = "SchemaValidationConfigs", .kind = HD_SHAPE_LIST, .of = validation_member},
    {0},
};
static const struct hd_shape managed_kafka[] = {
    {.name = "ConsumerGroupId", .min = 1, .max = 200},
    {.name = "SchemaRegistryConfig", .kind = HD_SHAPE_STRUCT, .of = registry},
    {0},
};
static const struct hd_shape own_kafka[] = {
    {.name = "ConsumerGroupId", .min = 1, .max = 200},
    {.name = "SchemaRegistryConfig", .kind = HD_SHAPE_STRUCT, .of = registry},
    {.name = "ConsumptionMode", .words = mode_words},
    {0},
};
static const struct hd_shape documentdb[] = {
    {.name = "DatabaseName", .min = 1, .max = 63},
    {.name = "CollectionName", .min = 1, .max = 57},
    {.name = "FullDocument", .words = document_words},
    {0},
};
static const struct hd_shape provisioned[] = {
    {.name = "MinimumPollers", .kind = HD_SHAPE_INTEGER, .min = 1, .max = 200},
    {.name = "MaximumPollers", .kind = HD_SHAPE_INTEGER, .min = 1, .max = 2000},
    {.name = "PollerGroupName", .max = 128},
    {0},
};
static const struct hd_shape host[] = {{.name = "member", .min = 1, .max = 300}};
static const struct hd_shape endpoint[] = {
    {.name = "key"},
    {.name = "value", .kind = HD_SHAPE_LIST, .min = 1, .max = 10, .of = host},
};
static const struct hd_shape own_source[] = {
    {.name = "Endpoints", .kind = HD_SHAPE_MAP, .min = 1, .max = 2, .of = endpoint},
    {0},
};

#define SHAPE_NAME(need)                                                \
    {                                                                   \
        .name = "FunctionName", .required = need, .min = 1, .max = 140, \
        .pattern = HD_PATTERN_FUNCTION                                  \
    }
/* What can be changed later. */
#define SHAPE_SETTINGS                                                                           \
    {.name = "Enabled", .kind = HD_SHAPE_BOOLEAN},                                               \
        {.name = "BatchSize", .kind = HD_SHAPE_INTEGER, .min = 1, .max = 10000},                 \
        {.name = "FilterCriteria", .kind = HD_SHAPE_STRUCT, .of = filters},                      \
        {.name = "KMSKeyArn", .pattern = "(arn:(aws[a-zA-Z-]*)?:[a-z0-9-.]+:.*)|()"},            \
        {.name = "MetricsConfig", .kind = HD_SHAPE_STRUCT, .of = metrics},                       \
        {.name = "LoggingConfig", .kind = HD_SHAPE_STRUCT, .of = logging},                       \
        {.name = "ScalingConfig", .kind = HD_SHAPE_STRUCT, .of = scaling},                       \
        {.name = "MaximumBatchingWindowInSeconds",                                               \
         .kind = HD_SHAPE_INTEGER,                                                               \
         .has_min = true,                                                                        \
         .max = 300},                                                                            \
        {.name = "ParallelizationFactor", .kind = HD_SHAPE_INTEGER, .min = 1, .max = 10},        \
        {.name = "DestinationConfig", .kind = HD_SHAPE_STRUCT, .of = destinations},              \
        {.name = "MaximumRecordAgeInSeconds",                                                    \
         .kind = HD_SHAPE_INTEGER,                                                               \
         .has_min = true,                                                                        \
         .min = -1,                                                                              \
         .max = 604800},                                                                         \
        {.name = "BisectBatchOnFunctionError", .kind = HD_SHAPE_BOOLEAN},                        \
        {.name = "MaximumRetryAttempts",                                                         \
         .kind = HD_SHAPE_INTEGER,                                                               \
         .has_min = true,                                                                        \
         .min = -1,                                                                              \
         .max = 10000},                                                                          \
        {.name = "TumblingWindowInSeconds",                                                      \
         .kind = HD_SHAPE_INTEGER,                                                               \
         .has_min = true,                                                                        \
         .max = 900},                                                                            \
        {.name = "SourceAccessConfigurations",                                                   \
         .kind = HD_SHAPE_LIST,                                                                  \
         .max = 22,                                                                              \
         .of = access_member},                                                                   \
        {.name = "FunctionResponseTypes", .kind = HD_SHAPE_LIST, .max = 1, .of = response},      \
        {.name = "AmazonManagedKafkaEventSourceConfig",                                          \
         .kind = HD_SHAPE_STRUCT,                                                                \
         .of = managed_kafka},                                                                   \
        {.name = "SelfManagedKafkaEventSourceConfig", .kind = HD_SHAPE_STRUCT, .of = own_kafka}, \
        {.name = "DocumentDBEventSourceConfig", .kind = HD_SHAPE_STRUCT, .of = documentdb},      \
    {                                                                                            \
        .name = "ProvisionedPollerConfig", .kind = HD_SHAPE_STRUCT, .of = provisioned            \
    }

const struct hd_shape hd_event_source_create_input[] = {
    SHAPE_NAME(true),
    {.name = "EventSourceArn", .pattern = HD_PATTERN_RESOURCE_ARN},
    SHAPE_SETTINGS,
    {.name = "StartingPosition", .words = position_words},
    {.name = "StartingPositionTimestamp", .kind = HD_SHAPE_TIME},
    {.name = "Tags", .kind = HD_SHAPE_MAP, .of = tag},
    {.name = "Topics", .kind = HD_SHAPE_LIST, .min = 1, .max = 1, .of = topic},
    {.name = "Queues", .kind = HD_SHAPE_LIST, .min = 1, .max = 1, .of = queue},
    {.name = "SelfManagedEventSource", .kind = HD_SHAPE_STRUCT, .of = own_source},
    {0},
};
#define SHAPE_UUID                                            \
    {                                                         \
        .name = "UUID", .in = HD_SHAPE_PATH, .required = true \
    }
const struct hd_shape hd_event_source_update_input[] = {
    SHAPE_UUID, SHAPE_NAME(false), SHAPE_SETTINGS, {0}};
const struct hd_shape hd_event_source_one_input[] = {SHAPE_UUID, {0}};
const struct hd_shape hd_event_source_list_input[] = {
    {.name = "EventSourceArn", .in = HD_SHAPE_QUERY, .pattern = HD_PATTERN_RESOURCE_ARN},
    {.name = "FunctionName",
     .in = HD_SHAPE_QUERY,
     .min = 1,
     .max = 140,
     .pattern = HD_PATTERN_FUNCTION},
    HD_SHAPE_MARKER,
    HD_SHAPE_MAX_ITEMS(10000),
    {0},
};
