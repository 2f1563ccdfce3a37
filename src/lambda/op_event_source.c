/* op_event_source.c - event source mappings: stored as they are wanted; lambda/esm.h makes it so.
 */
#include "core/clock.h"
#include "lambda/api_private.h"
#include "lambda/esm_config.h"
#include "lambda/event_config.h"
#include "lambda/operations.h"
#include "lambda/resource.h"
#include "lambda/tags.h"

enum { PAGE = 50 };

#define GONE "The resource you requested does not exist."

/* --- input --- */

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
static const struct hd_shape filter[] = {{.name = "Pattern", .max = 4096, .pattern = ".*"}, {0}};
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
static const struct hd_shape anything[] = {{0}}; /* of sources that are not offered */

#define SHAPE_NAME(need)                                                \
    {                                                                   \
        .name = "FunctionName", .required = need, .min = 1, .max = 140, \
        .pattern = HD_PATTERN_FUNCTION                                  \
    }
/* What can be changed later. */
#define SHAPE_SETTINGS                                                                            \
    {.name = "Enabled", .kind = HD_SHAPE_BOOLEAN},                                                \
        {.name = "BatchSize", .kind = HD_SHAPE_INTEGER, .min = 1, .max = 10000},                  \
        {.name = "FilterCriteria", .kind = HD_SHAPE_STRUCT, .of = filters},                       \
        {.name = "KMSKeyArn", .pattern = "(arn:(aws[a-zA-Z-]*)?:[a-z0-9-.]+:.*)|()"},             \
        {.name = "MetricsConfig", .kind = HD_SHAPE_STRUCT, .of = metrics},                        \
        {.name = "LoggingConfig", .kind = HD_SHAPE_STRUCT, .of = logging},                        \
        {.name = "ScalingConfig", .kind = HD_SHAPE_STRUCT, .of = scaling},                        \
        {.name = "MaximumBatchingWindowInSeconds",                                                \
         .kind = HD_SHAPE_INTEGER,                                                                \
         .has_min = true,                                                                         \
         .max = 300},                                                                             \
        {.name = "ParallelizationFactor", .kind = HD_SHAPE_INTEGER, .min = 1, .max = 10},         \
        {.name = "DestinationConfig", .kind = HD_SHAPE_STRUCT, .of = destinations},               \
        {.name = "MaximumRecordAgeInSeconds",                                                     \
         .kind = HD_SHAPE_INTEGER,                                                                \
         .has_min = true,                                                                         \
         .min = -1,                                                                               \
         .max = 604800},                                                                          \
        {.name = "BisectBatchOnFunctionError", .kind = HD_SHAPE_BOOLEAN},                         \
        {.name = "MaximumRetryAttempts",                                                          \
         .kind = HD_SHAPE_INTEGER,                                                                \
         .has_min = true,                                                                         \
         .min = -1,                                                                               \
         .max = 10000},                                                                           \
        {.name = "TumblingWindowInSeconds",                                                       \
         .kind = HD_SHAPE_INTEGER,                                                                \
         .has_min = true,                                                                         \
         .max = 900},                                                                             \
        {.name = "SourceAccessConfigurations",                                                    \
         .kind = HD_SHAPE_LIST,                                                                   \
         .max = 22,                                                                               \
         .of = access_member},                                                                    \
        {.name = "FunctionResponseTypes", .kind = HD_SHAPE_LIST, .max = 1, .of = response},       \
        {.name = "AmazonManagedKafkaEventSourceConfig", .kind = HD_SHAPE_STRUCT, .of = anything}, \
        {.name = "SelfManagedKafkaEventSourceConfig", .kind = HD_SHAPE_STRUCT, .of = anything},   \
        {.name = "DocumentDBEventSourceConfig", .kind = HD_SHAPE_STRUCT, .of = anything},         \
    {                                                                                             \
        .name = "ProvisionedPollerConfig", .kind = HD_SHAPE_STRUCT, .of = anything                \
    }

static const struct hd_shape create_input[] = {
    SHAPE_NAME(true),
    {.name = "EventSourceArn", .pattern = HD_PATTERN_RESOURCE_ARN},
    SHAPE_SETTINGS,
    {.name = "StartingPosition", .words = position_words},
    {.name = "StartingPositionTimestamp", .kind = HD_SHAPE_TIME},
    {.name = "Tags", .kind = HD_SHAPE_MAP, .of = tag},
    {.name = "Topics", .kind = HD_SHAPE_LIST, .min = 1, .max = 1, .of = topic},
    {.name = "Queues", .kind = HD_SHAPE_LIST, .min = 1, .max = 1, .of = queue},
    {.name = "SelfManagedEventSource", .kind = HD_SHAPE_STRUCT, .of = anything},
    {0},
};
#define SHAPE_UUID                                            \
    {                                                         \
        .name = "UUID", .in = HD_SHAPE_PATH, .required = true \
    }
static const struct hd_shape update_input[] = {SHAPE_UUID, SHAPE_NAME(false), SHAPE_SETTINGS, {0}};
static const struct hd_shape one_input[] = {SHAPE_UUID, {0}};
static const struct hd_shape list_input[] = {
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

/* --- what is shown --- */

static const char *text(const json_t *object, const char *member)
{
    return json_string_value(json_object_get(object, member));
}

static const char *state_of(const json_t *record)
{
    return text(json_object_get(record, "Mapping"), "State");
}

static json_t *shown(const struct hd_op *op, const json_t *record)
{
    json_t *out = json_copy(json_object_get(record, "Mapping"));
    const char *result = hd_esm_last_result(op->api->esm, text(out, "UUID"));
    if (result != NULL)
        hd_op_set(out, "LastProcessingResult", result);
    return out;
}

static void set_state(json_t *record, const char *state)
{
    json_t *mapping = json_object_get(record, "Mapping");
    hd_op_set(mapping, "State", state);
    hd_op_set(mapping, "StateTransitionReason", "USER_INITIATED");
    json_object_set_new(mapping, "LastModified", json_real((double)hd_clock_unix_ms() / 1000));
}

static void store(struct hd_op *op, const json_t *record)
{
    struct hd_change *change = hd_change_new(op->catalog);
    hd_change_put(change, HD_RECORD_EVENT_SOURCE, text(json_object_get(record, "Mapping"), "UUID"),
                  record);
    hd_op_commit(op, change, shown(op, record));
}

/* @return the record, a new reference; or NULL, and the operation has failed. */
static json_t *find(struct hd_op *op)
{
    json_t *record = hd_catalog_get(op->catalog, HD_RECORD_EVENT_SOURCE, hd_op_text(op, "UUID"));
    if (record != NULL && strcmp(text(record, "Account"), op->account) == 0 &&
        strcmp(text(record, "Region"), op->region) == 0)
        return record;
    json_decref(record);
    hd_op_fail(op, HD_API_NOT_FOUND, GONE);
    return NULL;
}

/* --- checks --- */

/* Find the function that is named in the body, and put it into the record.
 * @return false, and the operation has failed. */
static bool take_function(struct hd_op *op, json_t *record)
{
    if (!hd_op_take_function(op, hd_op_text(op, "FunctionName")))
        return false;
    if (!hd_op_resolve(op, NULL, NULL) ||
        (op->qualifier != NULL && !hd_op_resolve(op, op->qualifier, NULL))) {
        hd_op_fail(op, HD_API_INVALID, "Function does not exist");
        return false;
    }
    hd_auto_free char *arn = hd_op_arn(op, op->qualifier);
    hd_op_set(json_object_get(record, "Mapping"), "FunctionArn", arn);
    hd_op_set(record, "Function", op->function);
    json_object_del(record, "Qualifier");
    if (op->qualifier != NULL)
        hd_op_set(record, "Qualifier", op->qualifier);
    return true;
}

static bool is_twin(const json_t *a, const json_t *b)
{
    const json_t *am = json_object_get(a, "Mapping"), *bm = json_object_get(b, "Mapping");
    const json_t *aq = json_object_get(am, "Queues"), *bq = json_object_get(bm, "Queues");
    return json_equal(json_object_get(am, "EventSourceArn"),
                      json_object_get(bm, "EventSourceArn")) &&
           json_equal(json_object_get(am, "FunctionArn"), json_object_get(bm, "FunctionArn")) &&
           (aq == bq || json_equal(aq, bq)) && strcmp(text(am, "UUID"), text(bm, "UUID")) != 0;
}

/* @return false, and the operation has failed: there is one of this source and function. */
static bool is_alone(struct hd_op *op, const json_t *record)
{
    const char *key = NULL;
    while ((key = hd_catalog_next(op->catalog, HD_RECORD_EVENT_SOURCE, "", key)) != NULL) {
        json_t *other = hd_catalog_get(op->catalog, HD_RECORD_EVENT_SOURCE, key);
        bool twin = is_twin(record, other);
        json_decref(other);
        if (!twin)
            continue;
        const json_t *mapping = json_object_get(record, "Mapping");
        bool sqs = hd_esm_source(mapping) == HD_ESM_SOURCE_SQS;
        hd_op_fail(op, HD_API_CONFLICT,
                   "An event source mapping with %s arn (\" %s \") and function (\" %s \") already "
                   "exists. Please update or delete the existing mapping with UUID %s",
                   sqs ? "SQS" : "event source", text(mapping, "EventSourceArn"),
                   text(record, "Function"), key);
        return false;
    }
    return true;
}

static json_int_t timeout_of(const struct hd_op *op)
{
    char key[HD_NAMES_KEY_MAX], version[HD_NAMES_KEY_MAX];
    hd_op_resolve(op, op->qualifier, version);
    bool latest = hd_names_is_latest(hd_str(version));
    json_t *doc = hd_catalog_get(op->catalog, latest ? HD_RECORD_FUNCTION : HD_RECORD_VERSION,
                                 hd_op_key(op, key, '/', latest ? NULL : version));
    json_int_t s = json_integer_value(json_object_get(json_object_get(doc, "Config"), "Timeout"));
    json_decref(doc);
    return s;
}

/* @return false, and the operation has failed. */
static bool is_source_right(struct hd_op *op, const struct hd_esm_probe *found)
{
    json_int_t timeout = timeout_of(op);
    if (found->err.code == HD_ENOTFOUND)
        hd_op_fail(op, HD_API_INVALID, "This event source is not offered by this server: %s.",
                   found->err.msg);
    else if (found->err.code != 0)
        hd_op_fail(op, HD_API_INVALID, "%s", found->err.msg);
    else if (found->visibility_timeout_s > 0 && found->visibility_timeout_s < timeout)
        hd_op_fail(op, HD_API_INVALID,
                   "Queue visibility timeout: %u seconds is less than Function timeout: %lld "
                   "seconds",
                   found->visibility_timeout_s, (long long)timeout);
    else
        return true;
    return false;
}

static void free_record(void *state)
{
    json_decref(state);
}

/* --- create --- */

static void probed_new(void *arg, const struct hd_esm_probe *found)
{
    struct hd_op *op = arg;
    json_t *record = op->state;
    /* What was there when it was asked for may be gone, or there twice, by now. */
    if (!hd_op_resolve(op, op->qualifier, NULL))
        hd_op_fail(op, HD_API_INVALID, "Function does not exist");
    else if (is_source_right(op, found) && is_alone(op, record))
        store(op, record);
}

static bool take_tags(struct hd_op *op, json_t *record)
{
    struct hd_error err = {.code = 0};
    json_t *given = hd_op_get(op, "Tags"), *tags;
    if (json_object_size(given) == 0)
        return true;
    tags = json_object();
    json_object_set_new(record, "Tags", tags);
    if (hd_tags_add(tags, given, 0, &err) == 0)
        return true;
    hd_op_fail(op, HD_API_INVALID, "%s", err.msg);
    return false;
}

static void create(struct hd_op *op)
{
    char uuid[HD_UUID_CHARS + 1];
    struct hd_error err = {.code = 0};
    json_t *mapping = NULL, *enabled = hd_op_get(op, "Enabled");
    if (hd_esm_config_new(&mapping, op->input, &err) < 0) {
        hd_op_fail(op, HD_API_INVALID, "%s", err.msg);
        return;
    }
    hd_op_new_revision(uuid); /* a UUID as any */
    hd_auto_free char *arn =
        hd_names_make_arn("event-source-mapping", op->account, op->region, uuid, NULL);
    hd_op_set(mapping, "UUID", uuid);
    hd_op_set(mapping, "EventSourceMappingArn", arn);
    json_t *record =
        json_pack("{s:s, s:s, s:b, s:o}", "Account", op->account, "Region", op->region, "Enabled",
                  enabled == NULL || json_is_true(enabled), "Mapping", mapping);
    op->state = record;
    op->free_state = free_record;
    if (!take_function(op, record) || !take_tags(op, record) || !is_alone(op, record))
        return;
    set_state(record, "Creating");
    hd_esm_probe(op->api->esm, record, probed_new, op);
}

/* --- update --- */

static void probed_again(void *arg, const struct hd_esm_probe *found)
{
    struct hd_op *op = arg;
    json_t *record = op->state;
    json_t *now = hd_catalog_get(op->catalog, HD_RECORD_EVENT_SOURCE, hd_op_text(op, "UUID"));
    bool moved = now == NULL || hd_esm_state_moves(state_of(now));
    json_decref(now);
    if (moved)
        hd_op_fail(op, HD_API_IN_USE,
                   "Cannot update the event source mapping because it is in use.");
    else if (is_source_right(op, found) && is_alone(op, record))
        store(op, record);
}

static void update(struct hd_op *op)
{
    struct hd_error err = {.code = 0};
    json_t *record = find(op), *enabled = hd_op_get(op, "Enabled");
    if (record == NULL)
        return;
    op->state = record;
    op->free_state = free_record;
    if (hd_esm_state_moves(state_of(record))) {
        hd_op_fail(op, HD_API_IN_USE,
                   "Cannot update the event source mapping because it is in use.");
        return;
    }
    if (hd_esm_config_update(json_object_get(record, "Mapping"), op->input, &err) < 0) {
        hd_op_fail(op, HD_API_INVALID, "%s", err.msg);
        return;
    }
    bool was = json_is_true(json_object_get(record, "Enabled"));
    bool wanted = enabled != NULL ? json_is_true(enabled) : was;
    json_object_set_new(record, "Enabled", json_boolean(wanted));
    set_state(record, was == wanted ? "Updating" : wanted ? "Enabling" : "Disabling");
    if (hd_op_get(op, "FunctionName") == NULL)
        store(op, record);
    else if (take_function(op, record) && is_alone(op, record))
        hd_esm_probe(op->api->esm, record, probed_again, op);
}

/* --- the others --- */

static void get(struct hd_op *op)
{
    json_t *record = find(op);
    if (record != NULL)
        hd_op_answer(op, shown(op, record));
    json_decref(record);
}

static void delete_mapping(struct hd_op *op)
{
    json_t *record = find(op);
    if (record == NULL)
        return;
    if (hd_esm_state_moves(state_of(record))) {
        hd_op_fail(op, HD_API_IN_USE,
                   "Cannot delete the event source mapping because it is in use.");
    } else {
        set_state(record, "Deleting");
        store(op, record);
    }
    json_decref(record);
}

static json_t *item(struct hd_op *op, const char *key, json_t *record)
{
    const char *source = hd_op_text(op, "EventSourceArn");
    const json_t *mapping = json_object_get(record, "Mapping");
    bool fits = strcmp(text(record, "Account"), op->account) == 0 &&
                strcmp(text(record, "Region"), op->region) == 0 &&
                (source == NULL || hd_str_is(hd_str(text(mapping, "EventSourceArn")), source));
    const char *qualifier = text(record, "Qualifier");
    if (fits && op->function != NULL)
        fits = strcmp(text(record, "Function"), op->function) == 0 &&
               hd_str_eq(hd_str(qualifier), hd_str(op->qualifier));
    (void)key;
    return fits ? shown(op, record) : NULL;
}

static void list(struct hd_op *op)
{
    const char *name = hd_op_text(op, "FunctionName");
    if (name == NULL || hd_op_take_function(op, name))
        hd_op_list(op, "EventSourceMappings", HD_RECORD_EVENT_SOURCE, "", PAGE, item);
}

#define PATH "/2015-03-31/event-source-mappings"

const struct hd_operation hd_operations_event_source[] = {
    {"CreateEventSourceMapping", "POST", PATH, NULL, 202, create_input, create},
    {"ListEventSourceMappings", "GET", PATH, NULL, 200, list_input, list},
    {"GetEventSourceMapping", "GET", PATH "/{UUID}", NULL, 200, one_input, get},
    {"UpdateEventSourceMapping", "PUT", PATH "/{UUID}", NULL, 202, update_input, update},
    {"DeleteEventSourceMapping", "DELETE", PATH "/{UUID}", NULL, 202, one_input, delete_mapping},
    {0},
};
