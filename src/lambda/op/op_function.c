/* Functions: made, shown, listed, deleted. */
#include "lambda/op/op_function.h"

#include "lambda/api/api_private.h"
#include "lambda/async/async.h"
#include "lambda/deploy/layers.h"
#include "lambda/op/operations.h"
#include "lambda/tags.h"

enum { PAGE = 50 };

static const char *const all_versions[] = {"ALL", NULL};

static const struct hd_shape one_input[] = {HD_SHAPE_ANY_FUNCTION_NAME, HD_SHAPE_QUALIFIER, {0}};
static const struct hd_shape list_input[] = {
    {.name = "MasterRegion", .in = HD_SHAPE_QUERY, .pattern = "ALL|[a-z]{2}(-gov)?-[a-z]+-\\d{1}"},
    {.name = "FunctionVersion", .in = HD_SHAPE_QUERY, .words = all_versions},
    HD_SHAPE_MARKER,
    HD_SHAPE_MAX_ITEMS(10000),
    {0},
};

static void free_document(void *state)
{
    json_decref(state);
}

/* --- CreateFunction --- */

static bool is_new(struct hd_op *op)
{
    char key[HD_NAMES_KEY_MAX];
    if (!hd_catalog_has(op->catalog, HD_RECORD_FUNCTION, hd_op_key(op, key, '/', NULL)))
        return true;
    hd_op_fail(op, HD_API_CONFLICT, "Function already exist: %s", op->function);
    return false;
}

static bool name_ok(struct hd_op *op)
{
    if (!hd_op_take_function(op, hd_op_text(op, "FunctionName")))
        return false;
    if (strlen(op->function) <= HD_NAMES_FUNCTION_MAX)
        return true;
    hd_op_fail(op, HD_API_INVALID,
               "1 validation error detected: Value '%s' at 'functionName' failed to satisfy"
               " constraint: Member must have length less than or equal to %d",
               op->function, HD_NAMES_FUNCTION_MAX);
    return false;
}

static bool signing_ok(struct hd_op *op)
{
    const char *arn = hd_op_text(op, "CodeSigningConfigArn");
    if (arn == NULL || hd_catalog_has(op->catalog, HD_RECORD_CODE_SIGNING, arn))
        return true;
    hd_op_fail(op, HD_API_NO_CODE_SIGNING,
               "The code signing configuration cannot be found. Check"
               " that the provided configuration is not deleted: %s.",
               arn);
    return false;
}

/* @return a new reference; NULL: the operation has failed. */
static json_t *tags_of(struct hd_op *op)
{
    struct hd_error err;
    json_t *tags = json_object(), *given = hd_op_get(op, "Tags");
    if (json_object_size(given) == 0 ||
        hd_tags_add(tags, given, op->api->opt.limits.tags, &err) == 0)
        return tags;
    hd_op_fail(op, HD_API_INVALID, "%s", err.msg);
    json_decref(tags);
    return NULL;
}

static void create_commit(struct hd_op *op)
{
    char key[HD_NAMES_KEY_MAX], number[24];
    json_t *doc = op->state;
    if (!is_new(op)) /* somebody was faster while the code was unpacked */
        return;
    hd_function_config_derive(doc);
    hd_function_config_begin(json_object_get(doc, "Config"), true);
    struct hd_change *ch = hd_change_new(op->catalog);
    const char *version = "$LATEST";
    if (json_is_true(hd_op_get(op, "Publish"))) {
        json_decref(hd_version_add(op, ch, doc, NULL, number));
        version = number;
    }
    hd_change_put(ch, HD_RECORD_FUNCTION, hd_op_key(op, key, '/', NULL), doc);
    hd_op_commit(op, ch, hd_function_shown(op, doc, version, NULL, HD_FUNCTION_FULL));
}

/* What is checked, kept and answered, and changes nothing here: said once. */
static void say_what_is_kept(struct hd_op *op)
{
    static const char *const members[] = {"VpcConfig", "FileSystemConfigs", "KMSKeyArn",
                                          "CodeSigningConfigArn", "SnapStart"};
    struct hd_buf names;
    hd_buf_init(&names, 256);
    for (size_t i = 0; i < HD_COUNT(members); i++)
        if (hd_op_get(op, members[i]) != NULL)
            hd_buf_fmt(&names, "%s%s", names.len > 0 ? ", " : "", members[i]);
    if (names.len > 0)
        hd_log(op->api->opt.log, HD_INFO, "settings of a function that change nothing here",
               hd_kv_str("function", op->function), hd_kv_slice("settings", hd_buf_view(&names)));
    hd_buf_done(&names);
}

static void on_code(struct hd_op *op, json_t *code)
{
    json_t *doc = op->state;
    json_object_set_new(doc, "Code", code);
    if (!hd_function_storage_ok(op, code))
        return;
    say_what_is_kept(op);
    hd_function_layers_merge(op, doc, create_commit);
}

static void create(struct hd_op *op)
{
    if (!name_ok(op) || !is_new(op) || !signing_ok(op))
        return;
    json_t *config = hd_function_config_new(op);
    json_t *layers = config != NULL ? hd_op_get(op, "Layers") : NULL, *attached = NULL;
    if (json_array_size(layers) > 0)
        attached = hd_layers_attach(op, layers);
    json_t *tags =
        config != NULL && (attached != NULL || json_array_size(layers) == 0) ? tags_of(op) : NULL;
    if (tags == NULL) {
        json_decref(config);
        json_decref(attached);
        return;
    }
    bool image =
        hd_str_is(hd_str(json_string_value(json_object_get(config, "PackageType"))), "Image");
    op->state =
        json_pack("{s:o, s:o*, s:o, s:s*, s:i}", "Config", config, "Layers", attached, "Tags", tags,
                  "CodeSigningConfigArn", hd_op_text(op, "CodeSigningConfigArn"), "NextVersion", 1);
    op->free_state = free_document;
    hd_function_code_get(op, hd_op_get(op, "Code"), image, true, on_code);
}

/* --- GetFunction, GetFunctionConfiguration --- */

/* @return the document that the qualifier stands for, a new reference, and its version; NULL: the
 * operation has failed. */
static json_t *asked_for(struct hd_op *op, char version[HD_NAMES_KEY_MAX])
{
    char key[HD_NAMES_KEY_MAX];
    if (op->qualifier == NULL || hd_names_is_latest(hd_str(op->qualifier))) {
        snprintf(version, HD_NAMES_KEY_MAX, "$LATEST");
        return hd_op_function(op);
    }
    json_t *doc = NULL;
    if (hd_op_resolve(op, op->qualifier, version)) {
        bool latest = strcmp(version, "$LATEST") == 0;
        doc = hd_catalog_get(op->catalog, latest ? HD_RECORD_FUNCTION : HD_RECORD_VERSION,
                             hd_op_key(op, key, '/', latest ? NULL : version));
    }
    if (doc == NULL) {
        hd_auto_free char *arn = hd_op_arn(op, op->qualifier);
        hd_op_fail(op, HD_API_NOT_FOUND, "Function not found: %s", arn);
    }
    return doc;
}

static json_t *code_shown(const struct hd_op *op, const json_t *doc)
{
    const json_t *code = json_object_get(doc, "Code");
    json_t *uri = json_object_get(code, "ImageUri"), *folder = json_object_get(code, "Directory");
    if (uri != NULL)
        return json_pack("{s:s, s:O, s:O}", "RepositoryType", "ECR", "ImageUri", uri,
                         "ResolvedImageUri", json_object_get(code, "ResolvedImageUri"));
    json_t *location =
        folder != NULL ? json_sprintf("file://%s", json_string_value(folder))
                       : hd_download_link(op, json_string_value(json_object_get(code, "Digest")));
    return json_pack("{s:s, s:o}", "RepositoryType", "S3", "Location", location);
}

static void get(struct hd_op *op)
{
    char version[HD_NAMES_KEY_MAX], key[HD_NAMES_KEY_MAX];
    json_t *doc = asked_for(op, version);
    if (doc == NULL)
        return;
    json_t *function =
        hd_catalog_get(op->catalog, HD_RECORD_FUNCTION, hd_op_key(op, key, '/', NULL));
    json_t *tags = json_object_get(function, "Tags");
    json_t *reserved = json_object_get(function, "ReservedConcurrentExecutions");
    json_t *answer = json_pack("{s:o, s:o}", "Configuration",
                               hd_function_shown(op, doc, version, op->qualifier, HD_FUNCTION_FULL),
                               "Code", code_shown(op, doc));
    if (json_object_size(tags) > 0)
        json_object_set(answer, "Tags", tags);
    if (reserved != NULL)
        json_object_set_new(answer, "Concurrency",
                            json_pack("{s:O}", "ReservedConcurrentExecutions", reserved));
    json_decref(function);
    json_decref(doc);
    hd_op_answer(op, answer);
}

static void get_configuration(struct hd_op *op)
{
    char version[HD_NAMES_KEY_MAX];
    json_t *doc = asked_for(op, version);
    if (doc == NULL)
        return;
    hd_op_answer(op, hd_function_shown(op, doc, version, op->qualifier, HD_FUNCTION_FULL));
    json_decref(doc);
}

/* --- ListFunctions --- */

static json_t *item(struct hd_op *op, const char *key, json_t *doc)
{
    (void)key;
    return hd_function_shown(op, doc, "$LATEST", NULL, HD_FUNCTION_ITEM);
}

/* The record after @p key in the list of all versions: a function, its versions, the next one.
 * Keys of versions have a part more. */
static const char *after(const struct hd_op *op, const char *prefix, const char *key)
{
    char versions[HD_NAMES_KEY_MAX];
    if (key == NULL)
        return hd_catalog_next(op->catalog, HD_RECORD_FUNCTION, prefix, NULL);
    struct hd_str function = hd_names_function_of_key(key);
    bool is_version = key[function.len] != '\0';
    hd_auto_free char *name = hd_strdup_n(function);
    snprintf(versions, sizeof(versions), "%s/", name);
    const char *next =
        hd_catalog_next(op->catalog, HD_RECORD_VERSION, versions, is_version ? key : NULL);
    return next != NULL ? next : hd_catalog_next(op->catalog, HD_RECORD_FUNCTION, prefix, name);
}

static json_t *any_version(const struct hd_op *op, const char *key)
{
    struct hd_str function = hd_names_function_of_key(key);
    const char *number = key[function.len] == '/' ? key + function.len + 1 : "$LATEST";
    bool latest = key[function.len] == '\0';
    json_t *doc = hd_catalog_get(op->catalog, latest ? HD_RECORD_FUNCTION : HD_RECORD_VERSION, key);
    json_t *out = hd_function_shown(op, doc, number, number, HD_FUNCTION_ITEM);
    json_decref(doc);
    return out;
}

static void list_all(struct hd_op *op, const char *prefix)
{
    bool bad;
    hd_auto_free char *marker = hd_op_marker(op, &bad);
    if (bad)
        return;
    unsigned left = hd_op_max_items(op, PAGE);
    json_t *items = json_array(), *answer = json_pack("{s:o}", "Functions", items);
    const char *last = marker, *key;
    while ((key = after(op, prefix, last)) != NULL && left-- > 0) {
        json_array_append_new(items, any_version(op, key));
        last = key;
    }
    if (key != NULL)
        hd_op_next_marker(answer, last);
    hd_op_answer(op, answer);
}

static void list(struct hd_op *op)
{
    char prefix[HD_NAMES_KEY_MAX];
    const char *master = hd_op_text(op, "MasterRegion");
    snprintf(prefix, sizeof(prefix), "%s/%s/", op->account, op->region);
    if (master != NULL && strcmp(master, "ALL") != 0 && strcmp(master, op->region) != 0)
        hd_op_answer(op, json_pack("{s:[]}", "Functions")); /* every function is at home here */
    else if (hd_op_get(op, "FunctionVersion") != NULL)
        list_all(op, prefix);
    else
        hd_op_list(op, "Functions", HD_RECORD_FUNCTION, prefix, PAGE, item);
}

/* --- DeleteFunction --- */

static const enum hd_record with_qualifier[] = {HD_RECORD_POLICY, HD_RECORD_EVENT_CONFIG,
                                                HD_RECORD_FUNCTION_URL, HD_RECORD_PROVISIONED};

static void delete_function(struct hd_op *op)
{
    char key[HD_NAMES_KEY_MAX], below[HD_NAMES_KEY_MAX], queue[HD_ASYNC_QUEUE_CHARS];
    struct hd_change *ch = hd_change_new(op->catalog);
    hd_change_delete(ch, HD_RECORD_FUNCTION, hd_op_key(op, key, '/', NULL));
    hd_op_prefix(op, below, '/');
    hd_change_delete_under(ch, HD_RECORD_VERSION, below);
    hd_change_delete_under(ch, HD_RECORD_ALIAS, below);
    hd_op_prefix(op, below, ':');
    for (size_t i = 0; i < HD_COUNT(with_qualifier); i++) {
        if (hd_catalog_has(op->catalog, with_qualifier[i], key))
            hd_change_delete(ch, with_qualifier[i], key);
        hd_change_delete_under(ch, with_qualifier[i], below);
    }
    hd_async_queue_name(queue, hd_str(op->account), hd_str(op->region), hd_str(op->function));
    hd_queue_purge(hd_change_tx(ch), hd_str(queue));
    hd_op_commit(op, ch, NULL);
}

/* @return whether an alias points at the version; then the operation has failed. */
static bool is_pointed_at(struct hd_op *op, const char *number)
{
    char prefix[HD_NAMES_KEY_MAX];
    struct hd_buf names;
    hd_buf_init(&names, 4096);
    hd_op_prefix(op, prefix, '/');
    for (const char *key = NULL;
         (key = hd_catalog_next(op->catalog, HD_RECORD_ALIAS, prefix, key)) != NULL;) {
        json_t *doc = hd_catalog_get(op->catalog, HD_RECORD_ALIAS, key);
        const json_t *weights =
            json_object_get(json_object_get(doc, "RoutingConfig"), "AdditionalVersionWeights");
        if (hd_str_is(hd_str(json_string_value(json_object_get(doc, "FunctionVersion"))), number) ||
            json_object_get(weights, number) != NULL)
            hd_buf_fmt(&names, "%s%s", names.len > 0 ? ", " : "", key + strlen(prefix));
        json_decref(doc);
    }
    bool found = names.len > 0;
    if (found)
        hd_op_fail(op, HD_API_CONFLICT,
                   "Unable to delete version because the following aliases reference it: [%.*s]",
                   HD_FMT(hd_buf_view(&names)));
    hd_buf_done(&names);
    return found;
}

static void delete_version(struct hd_op *op, const char *number)
{
    char key[HD_NAMES_KEY_MAX];
    if (is_pointed_at(op, number))
        return;
    struct hd_change *ch = hd_change_new(op->catalog);
    if (hd_catalog_has(op->catalog, HD_RECORD_VERSION, hd_op_key(op, key, '/', number)))
        hd_change_delete(ch, HD_RECORD_VERSION, key);
    for (size_t i = 0; i < HD_COUNT(with_qualifier); i++)
        if (hd_catalog_has(op->catalog, with_qualifier[i], hd_op_key(op, key, ':', number)))
            hd_change_delete(ch, with_qualifier[i], key);
    hd_op_commit(op, ch, NULL);
}

static void delete (struct hd_op *op)
{
    const char *qualifier = op->qualifier;
    op->qualifier = NULL; /* a function that is not there is named without it */
    json_t *doc = hd_op_function(op);
    if (doc == NULL)
        return;
    json_decref(doc);
    if (qualifier == NULL)
        delete_function(op);
    else if (hd_names_is_latest(hd_str(qualifier)))
        hd_op_fail(op, HD_API_INVALID,
                   "$LATEST version cannot be deleted without deleting the function.");
    else if (hd_names_is_number(hd_str(qualifier)))
        delete_version(op, qualifier);
    else
        hd_op_fail(op, HD_API_INVALID, "Deletion of aliases is not currently supported.");
}

#define FUNCTIONS "/2015-03-31/functions"
#define FUNCTION FUNCTIONS "/{FunctionName}"

const struct hd_operation hd_operations_function[] = {
    {"CreateFunction", "POST", FUNCTIONS, .ok = 201, .input = hd_function_create_input,
     .run = create},
    {"ListFunctions", "GET", FUNCTIONS, .ok = 200, .input = list_input, .run = list},
    {"GetFunction", "GET", FUNCTION, .ok = 200, .input = one_input, .run = get},
    {"GetFunctionConfiguration", "GET", FUNCTION "/configuration", .ok = 200, .input = one_input,
     .run = get_configuration},
    {"DeleteFunction", "DELETE", FUNCTION, .ok = 204, .input = one_input, .run = delete},
    {0},
};
