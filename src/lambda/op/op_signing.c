/* op_signing.c - code signing configs: kept, checked, answered, attached to functions. No signature
 * is verified by this server. */
#include "core/clock.h"
#include "core/id.h"
#include "lambda/op/operations.h"
#include "lambda/resource.h"
#include "lambda/tags.h"

/* The record, under its ARN: CodeSigningConfigId, CodeSigningConfigArn, Description,
 * AllowedPublishers, CodeSigningPolicies, LastModified, and Tags. */

enum { PAGE = 50, ID_CHARS = 17 };

#define CONFIG_PATTERN                                                                    \
    "arn:(aws[a-zA-Z-]*)?:lambda:[a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\\d{1}:\\d{12}:" \
    "code-signing-config:csc-[a-z0-9]{17}"
#define SHAPE_CONFIG(place)                                                        \
    {                                                                              \
        .name = "CodeSigningConfigArn", .in = place, .required = true, .max = 200, \
        .pattern = CONFIG_PATTERN                                                  \
    }

static const char *const policy_words[] = {"Warn", "Enforce", NULL};
static const struct hd_shape profile[] = {{.name = "member", .pattern = HD_PATTERN_RESOURCE_ARN}};
static const struct hd_shape publishers[] = {
    {.name = "SigningProfileVersionArns",
     .kind = HD_SHAPE_LIST,
     .required = true,
     .min = 1,
     .max = 20,
     .of = profile},
    {0},
};
static const struct hd_shape policies[] = {
    {.name = "UntrustedArtifactOnDeployment", .words = policy_words},
    {0},
};
static const struct hd_shape tag[] = {
    {.name = "key", .min = 1, .max = HD_TAGS_KEY_CHARS},
    {.name = "value", .max = HD_TAGS_VALUE_CHARS},
};

static const struct hd_shape create_input[] = {
    {.name = "Description", .max = 256},
    {.name = "AllowedPublishers", .kind = HD_SHAPE_STRUCT, .required = true, .of = publishers},
    {.name = "CodeSigningPolicies", .kind = HD_SHAPE_STRUCT, .of = policies},
    {.name = "Tags", .kind = HD_SHAPE_MAP, .of = tag},
    {0},
};
static const struct hd_shape update_input[] = {
    SHAPE_CONFIG(HD_SHAPE_PATH),
    {.name = "Description", .max = 256},
    {.name = "AllowedPublishers", .kind = HD_SHAPE_STRUCT, .of = publishers},
    {.name = "CodeSigningPolicies", .kind = HD_SHAPE_STRUCT, .of = policies},
    {0},
};
static const struct hd_shape one_input[] = {SHAPE_CONFIG(HD_SHAPE_PATH), {0}};
static const struct hd_shape list_input[] = {HD_SHAPE_MARKER, HD_SHAPE_MAX_ITEMS(10000), {0}};
static const struct hd_shape users_input[] = {
    SHAPE_CONFIG(HD_SHAPE_PATH),
    HD_SHAPE_MARKER,
    HD_SHAPE_MAX_ITEMS(10000),
    {0},
};
static const struct hd_shape attach_input[] = {
    HD_SHAPE_FUNCTION_NAME,
    SHAPE_CONFIG(HD_SHAPE_BODY),
    {0},
};
static const struct hd_shape function_input[] = {HD_SHAPE_FUNCTION_NAME, {0}};

/* --- configs --- */

static json_t *shown(const json_t *record)
{
    json_t *out = json_copy((json_t *)record);
    json_object_del(out, "Tags");
    return out;
}

/* @return the record, a new reference; or NULL, and the operation has failed. */
static json_t *find(struct hd_op *op)
{
    const char *arn = hd_op_text(op, "CodeSigningConfigArn");
    json_t *record = hd_catalog_get(op->catalog, HD_RECORD_CODE_SIGNING, arn);
    if (record == NULL)
        hd_op_fail(op, HD_API_NOT_FOUND,
                   "The Lambda code signing configuration %s can not be found.", arn);
    return record;
}

static void take(struct hd_op *op, json_t *record)
{
    static const char *const members[] = {"Description", "AllowedPublishers",
                                          "CodeSigningPolicies"};
    for (size_t i = 0; i < HD_COUNT(members); i++) {
        if (hd_op_get(op, members[i]) != NULL)
            json_object_set(record, members[i], hd_op_get(op, members[i]));
    }
    json_t *policy = json_object_get(record, "CodeSigningPolicies");
    if (json_object_get(policy, "UntrustedArtifactOnDeployment") == NULL)
        json_object_set_new(record, "CodeSigningPolicies",
                            json_pack("{s:s}", "UntrustedArtifactOnDeployment", "Warn"));
    json_object_set_new(record, "LastModified", hd_op_time(hd_clock_unix_ms()));
}

static void store(struct hd_op *op, const json_t *record)
{
    struct hd_change *change = hd_change_new(op->catalog);
    hd_change_put(change, HD_RECORD_CODE_SIGNING,
                  json_string_value(json_object_get(record, "CodeSigningConfigArn")), record);
    hd_op_commit(op, change, json_pack("{s:o}", "CodeSigningConfig", shown(record)));
}

static void create(struct hd_op *op)
{
    unsigned char bytes[9];
    char hex[2 * sizeof(bytes) + 1], id[ID_CHARS + 5];
    json_t *record = json_object(), *given = hd_op_get(op, "Tags");
    struct hd_error err = {.code = 0};
    if (json_object_size(given) > 0) {
        json_t *tags = json_object();
        json_object_set_new(record, "Tags", tags);
        if (hd_tags_add(tags, given, 0, &err) < 0) {
            hd_op_fail(op, HD_API_INVALID, "%s", err.msg);
            json_decref(record);
            return;
        }
    }
    hd_random(bytes, sizeof(bytes));
    hd_hex(hex, bytes, sizeof(bytes));
    snprintf(id, sizeof(id), "csc-%.*s", ID_CHARS, hex);
    hd_auto_free char *arn =
        hd_names_make_arn("code-signing-config", op->account, op->region, id, NULL);
    hd_op_set(record, "CodeSigningConfigId", id);
    hd_op_set(record, "CodeSigningConfigArn", arn);
    take(op, record);
    store(op, record);
    json_decref(record);
}

static void get(struct hd_op *op)
{
    json_t *record = find(op);
    if (record != NULL)
        hd_op_answer(op, json_pack("{s:o}", "CodeSigningConfig", shown(record)));
    json_decref(record);
}

static void update(struct hd_op *op)
{
    json_t *record = find(op);
    if (record == NULL)
        return;
    take(op, record);
    store(op, record);
    json_decref(record);
}

static json_t *item(struct hd_op *op, const char *key, json_t *doc)
{
    (void)op;
    (void)key;
    return shown(doc);
}

static void list(struct hd_op *op)
{
    hd_auto_free char *prefix =
        hd_names_make_arn("code-signing-config", op->account, op->region, "", NULL);
    hd_op_list(op, "CodeSigningConfigs", HD_RECORD_CODE_SIGNING, prefix, PAGE, item);
}

/* --- the functions that use one --- */

/* @return the function's ARN where it uses this config, for the caller to free; else NULL. */
static char *user(const struct hd_op *op, const char *key, const json_t *doc)
{
    const char *used = json_string_value(json_object_get(doc, "CodeSigningConfigArn"));
    if (used == NULL || strcmp(used, hd_op_text(op, "CodeSigningConfigArn")) != 0)
        return NULL;
    return hd_names_make_arn("function", op->account, op->region, strrchr(key, '/') + 1, NULL);
}

static json_t *user_item(struct hd_op *op, const char *key, json_t *doc)
{
    hd_auto_free char *arn = user(op, key, doc);
    return arn != NULL ? json_string(arn) : NULL;
}

static void list_users(struct hd_op *op)
{
    char place[HD_NAMES_KEY_MAX];
    json_t *record = find(op);
    if (record == NULL)
        return;
    json_decref(record);
    snprintf(place, sizeof(place), "%s/%s/", op->account, op->region);
    hd_op_list(op, "FunctionArns", HD_RECORD_FUNCTION, place, PAGE, user_item);
}

static void delete_config(struct hd_op *op)
{
    char place[HD_NAMES_KEY_MAX];
    json_t *record = find(op);
    if (record == NULL)
        return;
    json_decref(record);
    snprintf(place, sizeof(place), "%s/%s/", op->account, op->region);
    const char *key = NULL;
    while ((key = hd_catalog_next(op->catalog, HD_RECORD_FUNCTION, place, key)) != NULL) {
        json_t *doc = hd_catalog_get(op->catalog, HD_RECORD_FUNCTION, key);
        hd_auto_free char *arn = user(op, key, doc);
        json_decref(doc);
        if (arn == NULL)
            continue;
        hd_op_fail(op, HD_API_CONFLICT,
                   "Cannot delete CodeSigningConfig '%s': %s uses it. Take it off its functions "
                   "first.",
                   hd_op_text(op, "CodeSigningConfigArn"), arn);
        return;
    }
    struct hd_change *change = hd_change_new(op->catalog);
    hd_change_delete(change, HD_RECORD_CODE_SIGNING, hd_op_text(op, "CodeSigningConfigArn"));
    hd_op_commit(op, change, NULL);
}

/* --- on a function --- */

static json_t *attached(const struct hd_op *op, const char *arn)
{
    return json_pack("{s:s, s:s}", "CodeSigningConfigArn", arn, "FunctionName", op->function);
}

static void store_function(struct hd_op *op, const json_t *doc, json_t *answer)
{
    char key[HD_NAMES_KEY_MAX];
    struct hd_change *change = hd_change_new(op->catalog);
    hd_change_put(change, HD_RECORD_FUNCTION, hd_op_key(op, key, '/', NULL), doc);
    hd_op_commit(op, change, answer);
}

static void attach(struct hd_op *op)
{
    const char *arn = hd_op_text(op, "CodeSigningConfigArn");
    if (!hd_catalog_has(op->catalog, HD_RECORD_CODE_SIGNING, arn)) {
        hd_op_fail(op, HD_API_NO_CODE_SIGNING,
                   "The code signing configuration cannot be found. Check that the provided "
                   "configuration is not deleted: %s.",
                   arn);
        return;
    }
    json_t *doc = hd_op_function(op);
    if (doc == NULL)
        return;
    hd_op_set(doc, "CodeSigningConfigArn", arn);
    store_function(op, doc, attached(op, arn));
    json_decref(doc);
}

static void get_attached(struct hd_op *op)
{
    json_t *doc = hd_op_function(op);
    if (doc == NULL)
        return;
    const char *arn = json_string_value(json_object_get(doc, "CodeSigningConfigArn"));
    hd_op_answer(op, arn != NULL ? attached(op, arn) : json_object());
    json_decref(doc);
}

static void detach(struct hd_op *op)
{
    json_t *doc = hd_op_function(op);
    if (doc == NULL)
        return;
    json_object_del(doc, "CodeSigningConfigArn");
    store_function(op, doc, NULL);
    json_decref(doc);
}

#define CONFIGS "/2020-04-22/code-signing-configs"
#define ATTACHED "/2020-06-30/functions/{FunctionName}/code-signing-config"

const struct hd_operation hd_operations_signing[] = {
    {"CreateCodeSigningConfig", "POST", CONFIGS, NULL, 201, create_input, create},
    {"ListCodeSigningConfigs", "GET", CONFIGS, NULL, 200, list_input, list},
    {"GetCodeSigningConfig", "GET", CONFIGS "/{CodeSigningConfigArn}", NULL, 200, one_input, get},
    {"UpdateCodeSigningConfig", "PUT", CONFIGS "/{CodeSigningConfigArn}", NULL, 200, update_input,
     update},
    {"DeleteCodeSigningConfig", "DELETE", CONFIGS "/{CodeSigningConfigArn}", NULL, 204, one_input,
     delete_config},
    {"ListFunctionsByCodeSigningConfig", "GET", CONFIGS "/{CodeSigningConfigArn}/functions", NULL,
     200, users_input, list_users},
    {"PutFunctionCodeSigningConfig", "PUT", ATTACHED, NULL, 200, attach_input, attach},
    {"GetFunctionCodeSigningConfig", "GET", ATTACHED, NULL, 200, function_input, get_attached},
    {"DeleteFunctionCodeSigningConfig", "DELETE", ATTACHED, NULL, 204, function_input, detach},
    {0},
};
