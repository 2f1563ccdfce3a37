/* op_event_config.c - settings of asynchronous invocation, per function, version and alias. */
#include "core/clock.h"
#include "lambda/async/event_config.h"
#include "lambda/op/operations.h"

enum { PAGE = 50 };

static const struct hd_shape destination[] = {
    {.name = "Destination", .max = 350, .pattern = HD_PATTERN_DESTINATION},
    {0},
};
static const struct hd_shape destinations[] = {
    {.name = "OnSuccess", .kind = HD_SHAPE_STRUCT, .of = destination},
    {.name = "OnFailure", .kind = HD_SHAPE_STRUCT, .of = destination},
    {0},
};
static const struct hd_shape put_input[] = {
    HD_SHAPE_FUNCTION_NAME,
    HD_SHAPE_QUALIFIER,
    {.name = "MaximumRetryAttempts", .kind = HD_SHAPE_INTEGER, .has_min = true, .max = 2},
    {.name = "MaximumEventAgeInSeconds", .kind = HD_SHAPE_INTEGER, .min = 60, .max = 21600},
    {.name = "DestinationConfig", .kind = HD_SHAPE_STRUCT, .of = destinations},
    {0},
};
static const struct hd_shape one_input[] = {HD_SHAPE_FUNCTION_NAME, HD_SHAPE_QUALIFIER, {0}};
static const struct hd_shape list_input[] = {
    HD_SHAPE_FUNCTION_NAME,
    HD_SHAPE_MARKER,
    HD_SHAPE_MAX_ITEMS(PAGE),
    {0},
};

static const char *qualifier_of(const struct hd_op *op)
{
    return op->qualifier != NULL ? op->qualifier : "$LATEST";
}

static json_t *shown(const struct hd_op *op, const char *qualifier, const json_t *record)
{
    hd_auto_free char *arn = hd_op_arn(op, qualifier);
    json_t *out = json_copy((json_t *)record);
    hd_op_set(out, "FunctionArn", arn);
    return out;
}

/* @return false, and the operation has failed. */
static bool is_there(struct hd_op *op)
{
    if (hd_op_resolve(op, NULL, NULL) && hd_op_resolve(op, op->qualifier, NULL))
        return true;
    hd_op_fail(op, HD_API_NOT_FOUND, "The function doesn't exist.");
    return false;
}

/* @return the record, a new reference; or NULL, and the operation has failed. */
static json_t *find(struct hd_op *op, char key[HD_NAMES_KEY_MAX])
{
    json_t *record = hd_catalog_get(op->catalog, HD_RECORD_EVENT_CONFIG,
                                    hd_op_key(op, key, ':', qualifier_of(op)));
    if (record == NULL) {
        hd_auto_free char *arn = hd_op_arn(op, qualifier_of(op));
        hd_op_fail(op, HD_API_NOT_FOUND, "The function %s doesn't have an EventInvokeConfig", arn);
    }
    return record;
}

/* --- destinations --- */

/* @return false, and the operation has failed. */
static bool check_function(struct hd_op *op, struct hd_str arn)
{
    struct hd_fn_name name;
    char key[HD_NAMES_KEY_MAX];
    bool there = hd_names_function(&name, arn) == 0;
    if (there) {
        snprintf(key, sizeof(key), "%.*s/%.*s/%.*s", HD_FMT(name.account), HD_FMT(name.region),
                 HD_FMT(name.name));
        there = hd_catalog_has(op->catalog, HD_RECORD_FUNCTION, key);
    }
    if (!there) {
        hd_op_fail(op, HD_API_INVALID, "The destination ARN %.*s is invalid.", HD_FMT(arn));
        return false;
    }
    if (hd_str_is(name.name, op->function) && hd_str_is(name.account, op->account) &&
        hd_str_is(name.region, op->region)) {
        hd_op_fail(op, HD_API_INVALID,
                   "You can't specify the function as a destination for itself.");
        return false;
    }
    return true;
}

static bool check_destinations(struct hd_op *op, const json_t *given)
{
    static const char *const when[] = {"OnSuccess", "OnFailure"};
    for (size_t i = 0; i < HD_COUNT(when); i++) {
        struct hd_str d = hd_event_config_destination(given, when[i]);
        switch (hd_destination_kind(d)) {
        case HD_DESTINATION_OTHER: {
            hd_auto_free char *text = hd_event_config_bad_destination(given);
            hd_op_fail(op, HD_API_INVALID, "%s", text);
            return false;
        }
        case HD_DESTINATION_FUNCTION:
            if (!check_function(op, d))
                return false;
            break;
        case HD_DESTINATION_NONE:
        case HD_DESTINATION_SQS:
        case HD_DESTINATION_SNS:
        case HD_DESTINATION_EVENTS:
        case HD_DESTINATION_S3:
        case HD_DESTINATION_HTTP:
        case HD_DESTINATION_LANE:
            break;
        }
    }
    return true;
}

/* --- operations --- */

static void store(struct hd_op *op, const char *key, const json_t *old)
{
    const struct hd_event_config_input in = {
        .retries = hd_op_get(op, "MaximumRetryAttempts"),
        .age = hd_op_get(op, "MaximumEventAgeInSeconds"),
        .destinations = hd_op_get(op, "DestinationConfig"),
    };
    json_t *record = hd_event_config_make(old, &in, (double)hd_clock_unix_ms() / 1000);
    struct hd_change *change = hd_change_new(op->catalog);
    hd_change_put(change, HD_RECORD_EVENT_CONFIG, key, record);
    hd_op_commit(op, change, shown(op, qualifier_of(op), record));
    json_decref(record);
}

/* @return false, and the operation has failed. */
static bool is_good(struct hd_op *op)
{
    const json_t *given = hd_op_get(op, "DestinationConfig");
    if (given == NULL && hd_op_get(op, "MaximumRetryAttempts") == NULL &&
        hd_op_get(op, "MaximumEventAgeInSeconds") == NULL) {
        hd_op_fail(op, HD_API_INVALID,
                   "You must specify at least one of error handling or destination setting.");
        return false;
    }
    return is_there(op) && check_destinations(op, given);
}

static void put(struct hd_op *op)
{
    char key[HD_NAMES_KEY_MAX];
    if (is_good(op))
        store(op, hd_op_key(op, key, ':', qualifier_of(op)), NULL);
}

static void update(struct hd_op *op)
{
    char key[HD_NAMES_KEY_MAX];
    if (!is_good(op))
        return;
    json_t *old = find(op, key);
    if (old != NULL)
        store(op, key, old);
    json_decref(old);
}

static void get(struct hd_op *op)
{
    char key[HD_NAMES_KEY_MAX];
    if (!is_there(op))
        return;
    json_t *record = find(op, key);
    if (record != NULL)
        hd_op_answer(op, shown(op, qualifier_of(op), record));
    json_decref(record);
}

static void delete_config(struct hd_op *op)
{
    char key[HD_NAMES_KEY_MAX];
    json_t *record = find(op, key);
    if (record == NULL)
        return;
    json_decref(record);
    struct hd_change *change = hd_change_new(op->catalog);
    hd_change_delete(change, HD_RECORD_EVENT_CONFIG, key);
    hd_op_commit(op, change, NULL);
}

static json_t *item(struct hd_op *op, const char *key, json_t *doc)
{
    return shown(op, strrchr(key, ':') + 1, doc);
}

static void list(struct hd_op *op)
{
    char prefix[HD_NAMES_KEY_MAX];
    if (is_there(op))
        hd_op_list(op, "FunctionEventInvokeConfigs", HD_RECORD_EVENT_CONFIG,
                   hd_op_prefix(op, prefix, ':'), PAGE, item);
}

#define PATH "/2019-09-25/functions/{FunctionName}/event-invoke-config"

const struct hd_operation hd_operations_event_config[] = {
    {"PutFunctionEventInvokeConfig", "PUT", PATH, NULL, 200, put_input, put},
    {"UpdateFunctionEventInvokeConfig", "POST", PATH, NULL, 200, put_input, update},
    {"GetFunctionEventInvokeConfig", "GET", PATH, NULL, 200, one_input, get},
    {"DeleteFunctionEventInvokeConfig", "DELETE", PATH, NULL, 204, one_input, delete_config},
    {"ListFunctionEventInvokeConfigs", "GET", PATH "/list", NULL, 200, list_input, list},
    {0},
};
