/* op_concurrency.c - the reserved concurrency of functions, and the account's settings. */
#include "lambda/api/api_private.h"
#include "lambda/deploy/concurrency.h"
#include "lambda/op/operations.h"

static const struct hd_shape put_input[] = {
    HD_SHAPE_FUNCTION_NAME,
    {.name = "ReservedConcurrentExecutions",
     .kind = HD_SHAPE_INTEGER,
     .required = true,
     .has_min = true},
    {0},
};
static const struct hd_shape name_input[] = {HD_SHAPE_FUNCTION_NAME, {0}};

/* @return false, and the operation has failed, when a version or alias is named. */
static bool is_whole_function(struct hd_op *op)
{
    if (op->qualifier == NULL)
        return true;
    hd_op_fail(op, HD_API_INVALID,
               "This operation is permitted on Lambda functions only. Aliases and versions do not "
               "support this operation. Please specify either a function name or an unqualified "
               "function ARN.");
    return false;
}

static void place_of(const struct hd_op *op, char out[HD_NAMES_KEY_MAX])
{
    snprintf(out, HD_NAMES_KEY_MAX, "%s/%s/", op->account, op->region);
}

static void put_concurrency(struct hd_op *op)
{
    char key[HD_NAMES_KEY_MAX], place[HD_NAMES_KEY_MAX];
    if (!is_whole_function(op))
        return;
    json_t *doc = hd_op_function(op);
    if (doc == NULL)
        return;
    json_t *wanted = hd_op_get(op, "ReservedConcurrentExecutions");
    struct hd_concurrency_limits limits;
    struct hd_concurrency_sum sum;
    struct hd_concurrency_share self;
    struct hd_error err = {.code = 0};
    hd_concurrency_limits(&limits, &op->api->opt.limits);
    place_of(op, place);
    hd_concurrency_sum(&sum, op->catalog, place);
    hd_concurrency_share(&self, op->catalog, hd_op_key(op, key, '/', NULL));
    if (hd_concurrency_check_reserved(&limits, &sum, &self, (uint64_t)json_integer_value(wanted),
                                      &err) < 0) {
        hd_op_fail(op, HD_API_INVALID, "%s", err.msg);
    } else {
        json_object_set(doc, "ReservedConcurrentExecutions", wanted);
        struct hd_change *change = hd_change_new(op->catalog);
        hd_change_put(change, HD_RECORD_FUNCTION, key, doc);
        hd_op_commit(op, change, json_pack("{s:O}", "ReservedConcurrentExecutions", wanted));
    }
    json_decref(doc);
}

static void delete_concurrency(struct hd_op *op)
{
    char key[HD_NAMES_KEY_MAX];
    if (!is_whole_function(op))
        return;
    json_t *doc = hd_op_function(op);
    if (doc == NULL)
        return;
    json_object_del(doc, "ReservedConcurrentExecutions");
    struct hd_change *change = hd_change_new(op->catalog);
    hd_change_put(change, HD_RECORD_FUNCTION, hd_op_key(op, key, '/', NULL), doc);
    json_decref(doc);
    hd_op_commit(op, change, NULL);
}

static void get_concurrency(struct hd_op *op)
{
    if (!is_whole_function(op))
        return;
    json_t *doc = hd_op_function(op);
    if (doc == NULL)
        return;
    json_t *answer = json_object();
    json_t *reserved = json_object_get(doc, "ReservedConcurrentExecutions");
    if (reserved != NULL)
        json_object_set(answer, "ReservedConcurrentExecutions", reserved);
    json_decref(doc);
    hd_op_answer(op, answer);
}

/* --- the account --- */

static uint64_t layer_bytes(const struct hd_catalog *c, const char *place)
{
    uint64_t bytes = 0;
    const char *key = NULL;
    while ((key = hd_catalog_next(c, HD_RECORD_LAYER_VERSION, place, key)) != NULL) {
        json_t *doc = hd_catalog_get(c, HD_RECORD_LAYER_VERSION, key);
        bytes += (uint64_t)json_integer_value(json_object_get(doc, "CodeSize"));
        json_decref(doc);
    }
    return bytes;
}

static void get_account_settings(struct hd_op *op)
{
    char place[HD_NAMES_KEY_MAX];
    const struct hd_api_limits *l = &op->api->opt.limits;
    struct hd_concurrency_limits limits;
    struct hd_concurrency_sum sum;
    place_of(op, place);
    hd_concurrency_limits(&limits, &op->api->opt.limits);
    hd_concurrency_sum(&sum, op->catalog, place);
    uint64_t used = hd_catalog_code_bytes(op->catalog, place) + layer_bytes(op->catalog, place);
    hd_op_answer(op,
                 json_pack("{s:{s:I, s:I, s:I, s:I, s:I}, s:{s:I, s:I}}", "AccountLimit",
                           "TotalCodeSize", (json_int_t)l->code_storage_bytes, "CodeSizeUnzipped",
                           (json_int_t)l->unpacked_bytes, "CodeSizeZipped",
                           (json_int_t)l->zip_bytes, "ConcurrentExecutions",
                           (json_int_t)limits.account, "UnreservedConcurrentExecutions",
                           (json_int_t)hd_concurrency_unreserved(&limits, &sum), "AccountUsage",
                           "TotalCodeSize", (json_int_t)used, "FunctionCount",
                           (json_int_t)hd_catalog_count(op->catalog, HD_RECORD_FUNCTION, place)));
}

const struct hd_operation hd_operations_concurrency[] = {
    {"PutFunctionConcurrency", "PUT", "/2017-10-31/functions/{FunctionName}/concurrency", NULL, 200,
     put_input, put_concurrency},
    {"DeleteFunctionConcurrency", "DELETE", "/2017-10-31/functions/{FunctionName}/concurrency",
     NULL, 204, name_input, delete_concurrency},
    {"GetFunctionConcurrency", "GET", "/2019-09-30/functions/{FunctionName}/concurrency", NULL, 200,
     name_input, get_concurrency},
    {"GetAccountSettings", "GET", "/2016-08-19/account-settings", NULL, 200, NULL,
     get_account_settings},
    {0},
};
