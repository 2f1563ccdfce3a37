/* Updates of a function's code and configuration. */
#include "lambda/api/api_private.h"
#include "lambda/deploy/layers.h"
#include "lambda/op/op_function.h"
#include "lambda/op/operations.h"

/* @return the function's document, a new reference, if it may be updated now. */
static json_t *to_update(struct hd_op *op)
{
    if (op->qualifier != NULL && !hd_names_is_latest(hd_str(op->qualifier))) {
        hd_op_fail(op, HD_API_INVALID,
                   "Only $LATEST can be updated: versions do not change, and '%s' is one or an"
                   " alias. Leave the qualifier out.",
                   op->qualifier);
        return NULL;
    }
    json_t *doc = hd_op_function(op);
    const char *revision =
        json_string_value(json_object_get(json_object_get(doc, "Config"), "RevisionId"));
    if (doc != NULL && hd_op_revision(op, revision, "GetFunction/GetAlias") &&
        hd_function_is_settled(op, doc))
        return doc;
    json_decref(doc);
    return NULL;
}

/* Keep what serves until the update is complete, or for longer if it fails. */
static void keep_serving(json_t *doc)
{
    const json_t *config = json_object_get(doc, "Config");
    const char *status = json_string_value(json_object_get(config, "LastUpdateStatus"));
    if (status != NULL && strcmp(status, "Failed") == 0)
        return; /* what is kept already is what serves */
    json_t *serving = json_object();
    static const char *const parts[] = {"Config", "Code", "Layers"};
    for (size_t i = 0; i < HD_COUNT(parts); i++)
        json_object_set_new(serving, parts[i], json_deep_copy(json_object_get(doc, parts[i])));
    json_object_set_new(doc, "Serving", serving);
}

static void commit(struct hd_op *op, json_t *doc)
{
    char key[HD_NAMES_KEY_MAX], number[24];
    struct hd_change *ch = hd_change_new(op->catalog);
    json_t *version = NULL, *answer;
    hd_function_config_derive(doc);
    hd_function_config_begin(json_object_get(doc, "Config"), false);
    if (json_is_true(hd_op_get(op, "Publish")))
        version = hd_version_add(op, ch, doc, NULL, number);
    hd_change_put(ch, HD_RECORD_FUNCTION, hd_op_key(op, key, '/', NULL), doc);
    answer = version != NULL ? hd_function_shown(op, version, number, number, HD_FUNCTION_FULL)
                             : hd_function_shown(op, doc, "$LATEST", NULL, HD_FUNCTION_FULL);
    json_decref(version);
    hd_op_commit(op, ch, answer);
}

static void free_document(void *state)
{
    json_decref(state);
}

/* --- UpdateFunctionCode --- */

static void code_merged(struct hd_op *op)
{
    json_t *doc = to_update(op); /* again: the code took its time */
    if (doc == NULL)
        return;
    keep_serving(doc);
    json_object_set(doc, "Code", op->state);
    if (hd_op_get(op, "Architectures") != NULL)
        json_object_set(json_object_get(doc, "Config"), "Architectures",
                        hd_op_get(op, "Architectures"));
    if (json_is_true(hd_op_get(op, "DryRun"))) {
        hd_function_config_derive(doc);
        hd_op_answer(op, hd_function_shown(op, doc, "$LATEST", NULL, HD_FUNCTION_FULL));
    } else {
        commit(op, doc);
    }
    json_decref(doc);
}

static void on_code(struct hd_op *op, json_t *code)
{
    op->state = code;
    op->free_state = free_document;
    if (!hd_function_storage_ok(op, code))
        return;
    json_t *doc = to_update(op);
    if (doc == NULL)
        return;
    json_object_set(doc, "Code", code);
    hd_function_layers_merge(op, doc, code_merged);
    json_decref(doc);
}

static void update_code(struct hd_op *op)
{
    json_t *doc = to_update(op);
    if (doc == NULL)
        return;
    const char *package =
        json_string_value(json_object_get(json_object_get(doc, "Config"), "PackageType"));
    bool image = strcmp(package, "Image") == 0;
    json_decref(doc);
    hd_function_code_get(op, op->input, image, !json_is_true(hd_op_get(op, "DryRun")), on_code);
}

/* --- UpdateFunctionConfiguration --- */

/* @return whether the input fits the function; else the operation has failed. */
static bool change_config(struct hd_op *op, json_t *doc)
{
    json_t *config = json_object_get(doc, "Config");
    if (!hd_function_config_update(op, config))
        return false;
    if (op->state != NULL)
        json_object_set(doc, "Layers", op->state);
    return true;
}

static void layers_merged(struct hd_op *op)
{
    json_t *doc = to_update(op);
    if (doc == NULL)
        return;
    keep_serving(doc);
    if (change_config(op, doc))
        commit(op, doc);
    json_decref(doc);
}

static void update_configuration(struct hd_op *op)
{
    json_t *doc = to_update(op), *layers = hd_op_get(op, "Layers");
    if (doc == NULL)
        return;
    bool ok = hd_function_config_update(op, json_object_get(doc, "Config"));
    if (ok && layers != NULL) {
        op->state = json_array_size(layers) > 0 ? hd_layers_attach(op, layers) : json_array();
        op->free_state = free_document;
        ok = op->state != NULL;
    }
    if (ok && op->state != NULL)
        json_object_set(doc, "Layers", op->state);
    if (ok)
        hd_function_layers_merge(op, doc, layers_merged);
    json_decref(doc);
}

#define FUNCTION "/2015-03-31/functions/{FunctionName}"

const struct hd_operation hd_operations_function_update[] = {
    {"UpdateFunctionCode", "PUT", FUNCTION "/code", .ok = 200, .input = hd_function_code_input,
     .run = update_code},
    {"UpdateFunctionConfiguration", "PUT", FUNCTION "/configuration", .ok = 200,
     .input = hd_function_configuration_input, .run = update_configuration},
    {0},
};
