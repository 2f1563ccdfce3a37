/* op_settings.c - runtime management and recursion: kept, checked, answered. */
#include "lambda/op/operations.h"

static const char *const update_words[] = {"Auto", "Manual", "FunctionUpdate", NULL};
static const char *const loop_words[] = {"Allow", "Terminate", NULL};

static const struct hd_shape get_runtime_input[] = {
    HD_SHAPE_FUNCTION_NAME,
    HD_SHAPE_QUALIFIER,
    {0},
};
static const struct hd_shape put_runtime_input[] = {
    HD_SHAPE_FUNCTION_NAME,
    HD_SHAPE_QUALIFIER,
    {.name = "UpdateRuntimeOn", .required = true, .words = update_words},
    {.name = "RuntimeVersionArn",
     .min = 26,
     .max = 2048,
     .pattern = "^arn:(aws[a-zA-Z-]*):lambda:[a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\\d{1}::"
                "runtime:.+$"},
    {0},
};
static const struct hd_shape get_loop_input[] = {HD_SHAPE_FUNCTION_NAME, {0}};
static const struct hd_shape put_loop_input[] = {
    HD_SHAPE_FUNCTION_NAME,
    {.name = "RecursiveLoop", .required = true, .words = loop_words},
    {0},
};

static void store(struct hd_op *op, const json_t *doc, json_t *answer)
{
    char key[HD_NAMES_KEY_MAX];
    struct hd_change *change = hd_change_new(op->catalog);
    hd_change_put(change, HD_RECORD_FUNCTION, hd_op_key(op, key, '/', NULL), doc);
    hd_op_commit(op, change, answer);
}

/* --- runtime management: of $LATEST and of versions --- */

static const char *version_of(const struct hd_op *op)
{
    return op->qualifier != NULL ? op->qualifier : "$LATEST";
}

/* @return the function's document, a new reference; or NULL, and the operation has failed. */
static json_t *find_version(struct hd_op *op)
{
    struct hd_str q = hd_str(op->qualifier);
    json_t *doc = hd_op_function(op);
    if (doc == NULL || hd_names_is_latest(q))
        return doc;
    if (!hd_names_is_number(q))
        hd_op_fail(op, HD_API_INVALID,
                   "Runtime management is a setting of $LATEST and of versions: '%s' is an alias.",
                   op->qualifier);
    else if (hd_op_resolve(op, op->qualifier, NULL))
        return doc;
    else {
        hd_auto_free char *arn = hd_op_arn(op, op->qualifier);
        hd_op_fail(op, HD_API_NOT_FOUND, "Function not found: %s", arn);
    }
    json_decref(doc);
    return NULL;
}

static json_t *shown(const struct hd_op *op, const json_t *setting)
{
    json_t *out = json_object();
    json_t *arn = json_object_get(setting, "RuntimeVersionArn");
    const char *on = json_string_value(json_object_get(setting, "UpdateRuntimeOn"));
    hd_auto_free char *function = hd_op_arn(op, version_of(op));
    hd_op_set(out, "UpdateRuntimeOn", on != NULL ? on : "Auto");
    hd_op_set(out, "FunctionArn", function);
    if (arn != NULL)
        json_object_set(out, "RuntimeVersionArn", arn);
    return out;
}

static void get_runtime(struct hd_op *op)
{
    json_t *doc = find_version(op);
    if (doc == NULL)
        return;
    json_t *all = json_object_get(doc, "RuntimeManagement");
    hd_op_answer(op, shown(op, json_object_get(all, version_of(op))));
    json_decref(doc);
}

static void put_runtime(struct hd_op *op)
{
    json_t *doc = find_version(op);
    if (doc == NULL)
        return;
    bool manual = strcmp(hd_op_text(op, "UpdateRuntimeOn"), "Manual") == 0;
    json_t *arn = hd_op_get(op, "RuntimeVersionArn");
    if (manual != (arn != NULL)) {
        hd_op_fail(op, HD_API_INVALID,
                   manual ? "UpdateRuntimeOn Manual needs RuntimeVersionArn."
                          : "RuntimeVersionArn is for UpdateRuntimeOn Manual only.");
    } else {
        json_t *all = json_object_get(doc, "RuntimeManagement");
        if (all == NULL) {
            all = json_object();
            json_object_set_new(doc, "RuntimeManagement", all);
        }
        json_t *one = json_object();
        json_object_set(one, "UpdateRuntimeOn", hd_op_get(op, "UpdateRuntimeOn"));
        if (arn != NULL)
            json_object_set(one, "RuntimeVersionArn", arn);
        json_object_set_new(all, version_of(op), one);
        store(op, doc, shown(op, one));
    }
    json_decref(doc);
}

/* --- recursion: of the function as a whole --- */

static json_t *find_whole(struct hd_op *op)
{
    if (op->qualifier == NULL)
        return hd_op_function(op);
    hd_op_fail(op, HD_API_INVALID,
               "Recursion is a setting of a function as a whole: '%s' must not be named.",
               op->qualifier);
    return NULL;
}

static void get_loop(struct hd_op *op)
{
    json_t *doc = find_whole(op);
    if (doc == NULL)
        return;
    const char *word = json_string_value(json_object_get(doc, "RecursiveLoop"));
    hd_op_answer(op, json_pack("{s:s}", "RecursiveLoop", word != NULL ? word : "Terminate"));
    json_decref(doc);
}

static void put_loop(struct hd_op *op)
{
    json_t *doc = find_whole(op);
    if (doc == NULL)
        return;
    json_t *word = hd_op_get(op, "RecursiveLoop");
    json_object_set(doc, "RecursiveLoop", word);
    store(op, doc, json_pack("{s:O}", "RecursiveLoop", word));
    json_decref(doc);
}

#define RUNTIME "/2021-07-20/functions/{FunctionName}/runtime-management-config"
#define LOOP "/2024-08-31/functions/{FunctionName}/recursion-config"

const struct hd_operation hd_operations_settings[] = {
    {"GetRuntimeManagementConfig", "GET", RUNTIME, NULL, 200, get_runtime_input, get_runtime},
    {"PutRuntimeManagementConfig", "PUT", RUNTIME, NULL, 200, put_runtime_input, put_runtime},
    {"GetFunctionRecursionConfig", "GET", LOOP, NULL, 200, get_loop_input, get_loop},
    {"PutFunctionRecursionConfig", "PUT", LOOP, NULL, 200, put_loop_input, put_loop},
    {0},
};
