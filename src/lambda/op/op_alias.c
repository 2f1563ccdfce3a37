/* Aliases: names that point at one version, or at two with weights. */
#include "lambda/op/operations.h"

enum { PAGE = 50 };

/* --- input --- */

static const struct hd_shape weight[] = {
    {.name = "key", .min = 1, .max = 1024, .pattern = "[0-9]+"},
    {.name = "value", .kind = HD_SHAPE_DOUBLE, .has_min = true, .max = 1},
};
static const struct hd_shape routing[] = {
    {.name = "AdditionalVersionWeights", .kind = HD_SHAPE_MAP, .of = weight},
    {0},
};
#define ALIAS_NAME(place)                                                    \
    {                                                                        \
        .name = "Name", .in = place, .required = true, .min = 1, .max = 128, \
        .pattern = HD_PATTERN_ALIAS                                          \
    }
#define VERSION(...)                                                                     \
    {                                                                                    \
        .name = "FunctionVersion", .min = 1, .max = 1024, .pattern = HD_PATTERN_VERSION, \
        __VA_ARGS__                                                                      \
    }
#define ROUTING                                                         \
    {                                                                   \
        .name = "RoutingConfig", .kind = HD_SHAPE_STRUCT, .of = routing \
    }
#define DESCRIPTION                       \
    {                                     \
        .name = "Description", .max = 256 \
    }

static const struct hd_shape create_input[] = {
    HD_SHAPE_FUNCTION_NAME,
    ALIAS_NAME(HD_SHAPE_BODY),
    VERSION(.required = true),
    DESCRIPTION,
    ROUTING,
    {0},
};
static const struct hd_shape update_input[] = {
    HD_SHAPE_FUNCTION_NAME,
    ALIAS_NAME(HD_SHAPE_PATH),
    VERSION(.required = false),
    DESCRIPTION,
    ROUTING,
    {.name = "RevisionId"},
    {0},
};
static const struct hd_shape one_input[] = {HD_SHAPE_FUNCTION_NAME, ALIAS_NAME(HD_SHAPE_PATH), {0}};
static const struct hd_shape list_input[] = {
    HD_SHAPE_FUNCTION_NAME,
    VERSION(.in = HD_SHAPE_QUERY),
    HD_SHAPE_MARKER,
    HD_SHAPE_MAX_ITEMS(10000),
    {0},
};

/* --- what is shown --- */

static json_t *shown(const struct hd_op *op, const json_t *doc)
{
    json_t *out = json_object();
    const char *name = json_string_value(json_object_get(doc, "Name"));
    hd_auto_free char *arn = hd_op_arn(op, name);
    hd_op_set(out, "AliasArn", arn);
    json_object_update(out, (json_t *)doc);
    return out;
}

/* --- rules --- */

static bool has_version(struct hd_op *op, const char *version)
{
    if (hd_op_resolve(op, version, NULL))
        return true;
    hd_auto_free char *arn = hd_op_arn(op, version);
    hd_op_fail(op, HD_API_NOT_FOUND, "Function not found: %s", arn);
    return false;
}

/* @return whether a document keeps the rules; if not, the operation has failed. */
static bool is_right(struct hd_op *op, const json_t *doc)
{
    const char *version = json_string_value(json_object_get(doc, "FunctionVersion"));
    json_t *weights =
        json_object_get(json_object_get(doc, "RoutingConfig"), "AdditionalVersionWeights");
    const char *other = NULL;
    json_t *value;
    if (json_object_size(weights) > 1) {
        hd_op_fail(op, HD_API_INVALID,
                   "Number of items in AdditionalVersionWeights cannot be greater than 1");
        return false;
    }
    json_object_foreach(weights, other, value)
    {
        if (hd_names_is_latest(hd_str(version))) {
            hd_op_fail(op, HD_API_INVALID,
                       "$LATEST is not supported for an alias pointing to more than 1 version");
            return false;
        }
        if (strcmp(other, version) == 0) {
            hd_op_fail(op, HD_API_INVALID,
                       "Invalid function version %s. Function version %s is already included in"
                       " routing configuration.",
                       other, other);
            return false;
        }
        if (!has_version(op, other))
            return false;
    }
    return has_version(op, version);
}

/* Take what is given over into a document; what clears the weights removes them. */
static void take_input(struct hd_op *op, json_t *doc)
{
    static const char *const texts[] = {"FunctionVersion", "Description"};
    for (size_t i = 0; i < HD_COUNT(texts); i++)
        if (hd_op_get(op, texts[i]) != NULL)
            json_object_set(doc, texts[i], hd_op_get(op, texts[i]));
    json_t *routing_config = hd_op_get(op, "RoutingConfig");
    json_t *weights = json_object_get(routing_config, "AdditionalVersionWeights");
    if (routing_config == NULL)
        return;
    json_object_del(doc, "RoutingConfig");
    if (json_object_size(weights) > 0)
        json_object_set_new(doc, "RoutingConfig",
                            json_pack("{s:O}", "AdditionalVersionWeights", weights));
}

static void store(struct hd_op *op, json_t *doc)
{
    char key[HD_NAMES_KEY_MAX], revision[HD_UUID_CHARS + 1];
    hd_op_new_revision(revision);
    hd_op_set(doc, "RevisionId", revision);
    struct hd_change *ch = hd_change_new(op->catalog);
    hd_change_put(ch, HD_RECORD_ALIAS,
                  hd_op_key(op, key, '/', json_string_value(json_object_get(doc, "Name"))), doc);
    hd_op_commit(op, ch, shown(op, doc));
}

/* --- operations --- */

static bool has_function(struct hd_op *op)
{
    json_t *doc = hd_op_function(op);
    json_decref(doc);
    return doc != NULL;
}

static json_t *get_alias(struct hd_op *op)
{
    char key[HD_NAMES_KEY_MAX];
    return hd_catalog_get(op->catalog, HD_RECORD_ALIAS,
                          hd_op_key(op, key, '/', hd_op_text(op, "Name")));
}

static void create(struct hd_op *op)
{
    if (!has_function(op))
        return;
    const char *name = hd_op_text(op, "Name");
    json_t *there = get_alias(op);
    json_decref(there);
    if (there != NULL) {
        hd_auto_free char *arn = hd_op_arn(op, name);
        hd_op_fail(op, HD_API_CONFLICT, "Alias already exists: %s", arn);
        return;
    }
    json_t *doc =
        json_pack("{s:s, s:s, s:s}", "Name", name, "FunctionVersion", "", "Description", "");
    take_input(op, doc);
    if (is_right(op, doc))
        store(op, doc);
    json_decref(doc);
}

static void update(struct hd_op *op)
{
    if (!has_function(op))
        return;
    json_t *doc = get_alias(op);
    if (doc == NULL) {
        hd_auto_free char *arn = hd_op_arn(op, hd_op_text(op, "Name"));
        hd_op_fail(op, HD_API_NOT_FOUND, "Alias not found: %s", arn);
        return;
    }
    const char *revision = json_string_value(json_object_get(doc, "RevisionId"));
    if (hd_op_revision(op, revision, "GetFunction/GetAlias")) {
        take_input(op, doc);
        if (is_right(op, doc))
            store(op, doc);
    }
    json_decref(doc);
}

static void get(struct hd_op *op)
{
    if (!has_function(op))
        return;
    json_t *doc = get_alias(op);
    if (doc == NULL) {
        hd_auto_free char *arn = hd_op_arn(op, hd_op_text(op, "Name"));
        hd_op_fail(op, HD_API_NOT_FOUND, "Cannot find alias arn: %s", arn);
        return;
    }
    hd_op_answer(op, shown(op, doc));
    json_decref(doc);
}

static bool goes_to(const json_t *doc, const char *version)
{
    const char *main = json_string_value(json_object_get(doc, "FunctionVersion"));
    json_t *weights =
        json_object_get(json_object_get(doc, "RoutingConfig"), "AdditionalVersionWeights");
    return strcmp(main, version) == 0 || json_object_get(weights, version) != NULL;
}

static json_t *item(struct hd_op *op, const char *key, json_t *doc)
{
    (void)key;
    const char *version = hd_op_text(op, "FunctionVersion");
    return version == NULL || goes_to(doc, version) ? shown(op, doc) : NULL;
}

static void list(struct hd_op *op)
{
    char prefix[HD_NAMES_KEY_MAX];
    if (!has_function(op))
        return;
    hd_op_prefix(op, prefix, '/');
    hd_op_list(op, "Aliases", HD_RECORD_ALIAS, prefix, PAGE, item);
}

static void delete (struct hd_op *op)
{
    static const enum hd_record hang_on_it[] = {HD_RECORD_POLICY, HD_RECORD_EVENT_CONFIG,
                                                HD_RECORD_FUNCTION_URL, HD_RECORD_PROVISIONED};
    char key[HD_NAMES_KEY_MAX];
    const char *name = hd_op_text(op, "Name");
    if (!has_function(op))
        return;
    struct hd_change *ch = hd_change_new(op->catalog);
    hd_change_delete(ch, HD_RECORD_ALIAS, hd_op_key(op, key, '/', name));
    for (size_t i = 0; i < HD_COUNT(hang_on_it); i++)
        if (hd_catalog_has(op->catalog, hang_on_it[i], hd_op_key(op, key, ':', name)))
            hd_change_delete(ch, hang_on_it[i], key);
    hd_op_commit(op, ch, NULL);
}

#define ALIASES "/2015-03-31/functions/{FunctionName}/aliases"

const struct hd_operation hd_operations_alias[] = {
    {"CreateAlias", "POST", ALIASES, .ok = 201, .input = create_input, .run = create},
    {"ListAliases", "GET", ALIASES, .ok = 200, .input = list_input, .run = list},
    {"GetAlias", "GET", ALIASES "/{Name}", .ok = 200, .input = one_input, .run = get},
    {"UpdateAlias", "PUT", ALIASES "/{Name}", .ok = 200, .input = update_input, .run = update},
    {"DeleteAlias", "DELETE", ALIASES "/{Name}", .ok = 204, .input = one_input, .run = delete},
    {0},
};
