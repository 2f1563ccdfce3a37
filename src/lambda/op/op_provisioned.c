/* op_provisioned.c - provisioned concurrency: how many instances of a version are always there.
 * What is stored here is made true by lambda/deploy/deploy.h; how far it is, the pool tells. */
#include "core/clock.h"
#include "lambda/api/api_private.h"
#include "lambda/deploy/concurrency.h"
#include "lambda/deploy/deploy.h"
#include "lambda/op/operations.h"

enum { PAGE = 50 };

#define REQUESTED "RequestedProvisionedConcurrentExecutions"
#define SHAPE_NEEDED_QUALIFIER                                                             \
    {                                                                                      \
        .name = "Qualifier", .in = HD_SHAPE_QUERY, .required = true, .min = 1, .max = 128, \
        .pattern = HD_PATTERN_QUALIFIER                                                    \
    }

static const struct hd_shape put_input[] = {
    HD_SHAPE_FUNCTION_NAME,
    SHAPE_NEEDED_QUALIFIER,
    {.name = "ProvisionedConcurrentExecutions",
     .kind = HD_SHAPE_INTEGER,
     .required = true,
     .min = 1,
     .max = INT32_MAX},
    {0},
};
static const struct hd_shape one_input[] = {HD_SHAPE_FUNCTION_NAME, SHAPE_NEEDED_QUALIFIER, {0}};
static const struct hd_shape list_input[] = {
    HD_SHAPE_FUNCTION_NAME,
    HD_SHAPE_MARKER,
    HD_SHAPE_MAX_ITEMS(PAGE),
    {0},
};

/* --- how far it is --- */

static void set_number(json_t *out, const char *member, json_int_t n)
{
    json_object_set_new(out, member, json_integer(n));
}

/* @return the pool of what a qualifier stands for, borrowed; NULL: there is none (yet). */
static struct hd_pool *pool_of(const struct hd_op *op, const char *qualifier)
{
    char version[HD_NAMES_KEY_MAX], key[HD_NAMES_KEY_MAX];
    struct hd_deployed at;
    if (!hd_op_resolve(op, qualifier, version) ||
        !hd_deploy_find(op->api->deploy, hd_op_key(op, key, '/', version), &at))
        return NULL;
    return at.target != NULL ? at.target->pool : NULL;
}

static json_t *shown(const struct hd_op *op, const char *qualifier, const json_t *record)
{
    json_t *out = json_object();
    json_int_t wanted = json_integer_value(json_object_get(record, REQUESTED)), there = 0;
    struct hd_pool *pool = pool_of(op, qualifier);
    const char *status = "IN_PROGRESS";
    struct hd_error why = {.code = 0};
    if (pool != NULL) {
        struct hd_pool_stats stats;
        hd_pool_stats(pool, &stats);
        there = HD_MIN(wanted, (json_int_t)stats.provisioned);
        hd_pool_error(pool, &why);
    }
    if (there == wanted)
        status = "READY";
    else if (why.code != 0)
        status = "FAILED";
    set_number(out, REQUESTED, wanted);
    set_number(out, "AvailableProvisionedConcurrentExecutions", there);
    set_number(out, "AllocatedProvisionedConcurrentExecutions", there);
    hd_op_set(out, "Status", status);
    if (strcmp(status, "FAILED") == 0)
        hd_op_set(out, "StatusReason", "FUNCTION_ERROR_INIT_FAILURE");
    json_object_set(out, "LastModified", json_object_get(record, "LastModified"));
    return out;
}

/* --- checks --- */

/* @return false, and the operation has failed. */
static bool is_there(struct hd_op *op, const char *latest)
{
    json_t *doc = hd_op_function(op);
    if (doc == NULL)
        return false;
    json_decref(doc);
    if (hd_names_is_latest(hd_str(op->qualifier))) {
        hd_op_fail(op, HD_API_INVALID, "%s", latest);
        return false;
    }
    if (hd_op_resolve(op, op->qualifier, NULL))
        return true;
    hd_auto_free char *arn = hd_op_arn(op, op->qualifier);
    bool number = hd_names_is_number(hd_str(op->qualifier));
    hd_op_fail(op, HD_API_NOT_FOUND,
               number ? "Function not found: %s" : "Cannot find alias arn: %s", arn);
    return false;
}

/* An alias and the version that it points at cannot both keep instances.
 * @return false, and the operation has failed. */
static bool is_alone(struct hd_op *op)
{
    char version[HD_NAMES_KEY_MAX], key[HD_NAMES_KEY_MAX], prefix[HD_NAMES_KEY_MAX];
    const char *at = NULL;
    hd_op_resolve(op, op->qualifier, version);
    if (strcmp(version, op->qualifier) != 0 &&
        hd_catalog_has(op->catalog, HD_RECORD_PROVISIONED, hd_op_key(op, key, ':', version))) {
        hd_op_fail(op, HD_API_CONFLICT,
                   "Alias can't be used for Provisioned Concurrency configuration on an already "
                   "Provisioned version");
        return false;
    }
    hd_op_prefix(op, prefix, ':');
    while ((at = hd_catalog_next(op->catalog, HD_RECORD_PROVISIONED, prefix, at)) != NULL) {
        char other[HD_NAMES_KEY_MAX];
        const char *name = strrchr(at, ':') + 1;
        if (strcmp(name, op->qualifier) == 0 || strcmp(name, version) == 0 ||
            !hd_op_resolve(op, name, other) || strcmp(other, version) != 0)
            continue;
        hd_op_fail(op, HD_API_CONFLICT, "Version is pointed by a Provisioned Concurrency alias");
        return false;
    }
    return true;
}

/* --- operations --- */

static void put(struct hd_op *op)
{
    char key[HD_NAMES_KEY_MAX], place[HD_NAMES_KEY_MAX], function[HD_NAMES_KEY_MAX];
    if (!is_there(op, "Provisioned Concurrency Configs cannot be applied to unpublished function "
                      "versions.") ||
        !is_alone(op))
        return;
    hd_op_key(op, key, ':', op->qualifier);
    json_t *record = hd_catalog_get(op->catalog, HD_RECORD_PROVISIONED, key);
    uint64_t had = (uint64_t)json_integer_value(json_object_get(record, REQUESTED));
    json_t *wanted = hd_op_get(op, "ProvisionedConcurrentExecutions");
    json_decref(record);
    struct hd_concurrency_limits limits;
    struct hd_concurrency_sum sum;
    struct hd_concurrency_share self;
    struct hd_error err = {.code = 0};
    snprintf(place, sizeof(place), "%s/%s/", op->account, op->region);
    hd_concurrency_limits(&limits, &op->api->opt.limits);
    hd_concurrency_sum(&sum, op->catalog, place);
    hd_concurrency_share(&self, op->catalog, hd_op_key(op, function, '/', NULL));
    if (hd_concurrency_check_provisioned(&limits, &sum, &self, had,
                                         (uint64_t)json_integer_value(wanted), &err) < 0) {
        hd_op_fail(op, HD_API_INVALID, "%s", err.msg);
        return;
    }
    json_t *now = hd_op_time(hd_clock_unix_ms());
    record = json_pack("{s:O, s:O}", REQUESTED, wanted, "LastModified", now);
    struct hd_change *change = hd_change_new(op->catalog);
    hd_change_put(change, HD_RECORD_PROVISIONED, key, record);
    json_decref(record);
    hd_op_commit(op, change,
                 json_pack("{s:O, s:i, s:i, s:s, s:o}", REQUESTED, wanted,
                           "AvailableProvisionedConcurrentExecutions", 0,
                           "AllocatedProvisionedConcurrentExecutions", 0, "Status", "IN_PROGRESS",
                           "LastModified", now));
}

static bool is_qualified(struct hd_op *op)
{
    return is_there(op, "The function resource provided must be an alias or a published version.");
}

static void get(struct hd_op *op)
{
    char key[HD_NAMES_KEY_MAX];
    if (!is_qualified(op))
        return;
    json_t *record =
        hd_catalog_get(op->catalog, HD_RECORD_PROVISIONED, hd_op_key(op, key, ':', op->qualifier));
    if (record == NULL)
        hd_op_fail(op, HD_API_NO_PROVISIONED,
                   "No Provisioned Concurrency Config found for this function");
    else
        hd_op_answer(op, shown(op, op->qualifier, record));
    json_decref(record);
}

static void delete_config(struct hd_op *op)
{
    char key[HD_NAMES_KEY_MAX];
    if (!is_qualified(op))
        return;
    struct hd_change *change = hd_change_new(op->catalog);
    hd_change_delete(change, HD_RECORD_PROVISIONED, hd_op_key(op, key, ':', op->qualifier));
    hd_op_commit(op, change, NULL);
}

static json_t *item(struct hd_op *op, const char *key, json_t *doc)
{
    const char *qualifier = strrchr(key, ':') + 1;
    json_t *out = shown(op, qualifier, doc);
    hd_auto_free char *arn = hd_op_arn(op, qualifier);
    hd_op_set(out, "FunctionArn", arn);
    return out;
}

static void list(struct hd_op *op)
{
    char prefix[HD_NAMES_KEY_MAX];
    json_t *doc = hd_op_function(op);
    if (doc == NULL)
        return;
    json_decref(doc);
    hd_op_list(op, "ProvisionedConcurrencyConfigs", HD_RECORD_PROVISIONED,
               hd_op_prefix(op, prefix, ':'), PAGE, item);
}

#define PATH "/2019-09-30/functions/{FunctionName}/provisioned-concurrency"

const struct hd_operation hd_operations_provisioned[] = {
    {"PutProvisionedConcurrencyConfig", "PUT", PATH, NULL, 202, put_input, put},
    {"GetProvisionedConcurrencyConfig", "GET", PATH, NULL, 200, one_input, get},
    {"ListProvisionedConcurrencyConfigs", "GET", PATH, "List=ALL", 200, list_input, list},
    {"DeleteProvisionedConcurrencyConfig", "DELETE", PATH, NULL, 204, one_input, delete_config},
    {0},
};
