/* op_url.c - the function URLs of functions and aliases. */
#include "core/clock.h"
#include "lambda/api/api_private.h"
#include "lambda/op/operations.h"
#include "lambda/door/url_config.h"

enum { PAGE = 50 };

static const char *const auth_types[] = {"NONE", "AWS_IAM", NULL};
static const char *const modes[] = {"BUFFERED", "RESPONSE_STREAM", NULL};
static const struct hd_shape header[] = {{.name = "member", .max = 1024, .pattern = ".*"}};
static const struct hd_shape method[] = {{.name = "member", .max = 6, .pattern = ".*"}};
static const struct hd_shape origin[] = {{.name = "member", .min = 1, .max = 253, .pattern = ".*"}};
static const struct hd_shape cors[] = {
    {.name = "AllowCredentials", .kind = HD_SHAPE_BOOLEAN},
    {.name = "AllowHeaders", .kind = HD_SHAPE_LIST, .max = 100, .of = header},
    {.name = "AllowMethods", .kind = HD_SHAPE_LIST, .max = 6, .of = method},
    {.name = "AllowOrigins", .kind = HD_SHAPE_LIST, .max = 100, .of = origin},
    {.name = "ExposeHeaders", .kind = HD_SHAPE_LIST, .max = 100, .of = header},
    {.name = "MaxAge", .kind = HD_SHAPE_INTEGER, .has_min = true, .max = 86400},
    {0},
};

#define ALIAS_ONLY "((?!^\\d+$)^[0-9a-zA-Z-_]+$)"
#define SHAPE_ALIAS                                                                            \
    {                                                                                          \
        .name = "Qualifier", .in = HD_SHAPE_QUERY, .min = 1, .max = 128, .pattern = ALIAS_ONLY \
    }

static const struct hd_shape create_input[] = {
    HD_SHAPE_FUNCTION_NAME,
    SHAPE_ALIAS,
    {.name = "AuthType", .required = true, .words = auth_types},
    {.name = "Cors", .kind = HD_SHAPE_STRUCT, .of = cors},
    {.name = "InvokeMode", .words = modes},
    {0},
};
static const struct hd_shape update_input[] = {
    HD_SHAPE_FUNCTION_NAME,
    SHAPE_ALIAS,
    {.name = "AuthType", .words = auth_types},
    {.name = "Cors", .kind = HD_SHAPE_STRUCT, .of = cors},
    {.name = "InvokeMode", .words = modes},
    {0},
};
static const struct hd_shape one_input[] = {HD_SHAPE_FUNCTION_NAME, SHAPE_ALIAS, {0}};
static const struct hd_shape list_input[] = {
    HD_SHAPE_FUNCTION_NAME,
    HD_SHAPE_MARKER,
    HD_SHAPE_MAX_ITEMS(PAGE),
    {0},
};

/* --- what is shown --- */

static json_t *shown(const struct hd_op *op, const char *qualifier, const json_t *record)
{
    static const char *const copied[] = {"AuthType", "Cors", "CreationTime", "LastModifiedTime",
                                         "InvokeMode"};
    const struct hd_api_options *opt = &op->api->opt;
    json_t *out = json_object();
    hd_auto_free char *arn = hd_op_arn(op, qualifier);
    hd_auto_free char *url =
        hd_url_address(opt->url_scheme, json_string_value(json_object_get(record, "Id")),
                       op->region, opt->url_domain, opt->url_port);
    hd_op_set(out, "FunctionUrl", url);
    hd_op_set(out, "FunctionArn", arn);
    for (size_t i = 0; i < HD_COUNT(copied); i++) {
        json_t *v = json_object_get(record, copied[i]);
        if (v != NULL)
            json_object_set(out, copied[i], v);
    }
    if (json_object_get(out, "InvokeMode") == NULL)
        hd_op_set(out, "InvokeMode", "BUFFERED");
    return out;
}

/* --- checks --- */

/* @return false, and the operation has failed: a version or $LATEST is named in FunctionName. */
static bool is_alias(struct hd_op *op)
{
    struct hd_str q = hd_str(op->qualifier);
    if (op->qualifier == NULL || (!hd_names_is_latest(q) && !hd_names_is_number(q)))
        return true;
    hd_op_fail(op, HD_API_VALIDATION,
               "1 validation error detected: Value '%s' at 'qualifier' failed to satisfy "
               "constraint: Member must satisfy regular expression pattern: " ALIAS_ONLY,
               op->qualifier);
    return false;
}

/* @return false, and the operation has failed with `missing`. */
static bool is_there(struct hd_op *op, const char *missing)
{
    if (!is_alias(op))
        return false;
    if (hd_op_resolve(op, NULL, NULL) &&
        (op->qualifier == NULL || hd_op_resolve(op, op->qualifier, NULL)))
        return true;
    hd_op_fail(op, HD_API_NOT_FOUND, "%s", missing);
    return false;
}

/* @return the record, a new reference; or NULL, and the operation has failed. */
static json_t *find(struct hd_op *op, char key[HD_NAMES_KEY_MAX])
{
    json_t *record =
        hd_catalog_get(op->catalog, HD_RECORD_FUNCTION_URL, hd_op_key(op, key, ':', op->qualifier));
    if (record == NULL)
        hd_op_fail(op, HD_API_NOT_FOUND, "The resource you requested does not exist.");
    return record;
}

static bool is_cors_right(struct hd_op *op)
{
    struct hd_error err = {.code = 0};
    if (hd_url_check_cors(hd_op_get(op, "Cors"), &err) == 0)
        return true;
    hd_op_fail(op, HD_API_INVALID, "%s", err.msg);
    return false;
}

/* --- ids --- */

static bool id_is_taken(const struct hd_op *op, const char *id)
{
    const char *key = NULL;
    bool taken = false;
    while (!taken &&
           (key = hd_catalog_next(op->catalog, HD_RECORD_FUNCTION_URL, "", key)) != NULL) {
        json_t *record = hd_catalog_get(op->catalog, HD_RECORD_FUNCTION_URL, key);
        const char *other = json_string_value(json_object_get(record, "Id"));
        taken = other != NULL && strcmp(other, id) == 0;
        json_decref(record);
    }
    return taken;
}

/* The function's tag _custom_id_ chooses the id of its own URL; an alias gets "<id>-<alias>".
 * @return for the caller to free; NULL: the operation has failed. */
static char *choose_id(struct hd_op *op)
{
    char drawn[HD_URL_ID_CHARS + 1], key[HD_NAMES_KEY_MAX];
    json_t *function =
        hd_catalog_get(op->catalog, HD_RECORD_FUNCTION, hd_op_key(op, key, '/', NULL));
    const char *wanted =
        json_string_value(json_object_get(json_object_get(function, "Tags"), "_custom_id_"));
    char *id = NULL;
    if (wanted == NULL) {
        struct hd_rng rng;
        hd_rng_init(&rng, 0);
        hd_url_id(drawn, &rng);
        id = hd_strdup(drawn);
    } else {
        id = op->qualifier == NULL ? hd_strdup(wanted) : hd_printf("%s-%s", wanted, op->qualifier);
        bool ok = hd_url_id_ok(hd_str(id));
        if (!ok || id_is_taken(op, id)) {
            if (!ok)
                hd_op_fail(op, HD_API_INVALID,
                           "The tag _custom_id_ makes the URL's id '%s': it must be a label of a "
                           "host name, lower-case letters, digits and '-', at most 63.",
                           id);
            else
                hd_op_fail(op, HD_API_CONFLICT,
                           "The tag _custom_id_ makes the URL's id '%s', which another function "
                           "URL has.",
                           id);
            free(id);
            id = NULL;
        }
    }
    json_decref(function);
    return id;
}

/* --- operations --- */

static void create(struct hd_op *op)
{
    char key[HD_NAMES_KEY_MAX];
    if (!is_there(op, "Function does not exist") || !is_cors_right(op))
        return;
    hd_op_key(op, key, ':', op->qualifier);
    if (hd_catalog_has(op->catalog, HD_RECORD_FUNCTION_URL, key)) {
        hd_auto_free char *arn = hd_op_arn(op, op->qualifier);
        hd_op_fail(op, HD_API_CONFLICT,
                   "Failed to create function url config for [functionArn = %s]. Error message:  "
                   "FunctionUrlConfig exists for this Lambda function",
                   arn);
        return;
    }
    hd_auto_free char *id = choose_id(op);
    if (id == NULL)
        return;
    json_t *record = json_object(), *now = hd_op_time(hd_clock_unix_ms());
    hd_op_set(record, "Id", id);
    hd_url_take(record, op->input);
    json_object_set(record, "CreationTime", now);
    json_object_set_new(record, "LastModifiedTime", now);
    struct hd_change *change = hd_change_new(op->catalog);
    hd_change_put(change, HD_RECORD_FUNCTION_URL, key, record);
    json_t *answer = shown(op, op->qualifier, record);
    json_object_del(answer, "LastModifiedTime");
    if (hd_op_get(op, "InvokeMode") == NULL)
        json_object_del(answer, "InvokeMode");
    json_decref(record);
    hd_op_commit(op, change, answer);
}

static void update(struct hd_op *op)
{
    char key[HD_NAMES_KEY_MAX];
    if (!is_there(op, "Function does not exist") || !is_cors_right(op))
        return;
    json_t *record = find(op, key);
    if (record == NULL)
        return;
    hd_url_take(record, op->input);
    json_object_set_new(record, "LastModifiedTime", hd_op_time(hd_clock_unix_ms()));
    struct hd_change *change = hd_change_new(op->catalog);
    hd_change_put(change, HD_RECORD_FUNCTION_URL, key, record);
    hd_op_commit(op, change, shown(op, op->qualifier, record));
    json_decref(record);
}

static void get(struct hd_op *op)
{
    char key[HD_NAMES_KEY_MAX];
    json_t *record = is_alias(op) ? find(op, key) : NULL;
    if (record == NULL)
        return;
    hd_op_answer(op, shown(op, op->qualifier, record));
    json_decref(record);
}

static void delete_url(struct hd_op *op)
{
    char key[HD_NAMES_KEY_MAX];
    json_t *record = is_alias(op) ? find(op, key) : NULL;
    if (record == NULL)
        return;
    json_decref(record);
    struct hd_change *change = hd_change_new(op->catalog);
    hd_change_delete(change, HD_RECORD_FUNCTION_URL, key);
    hd_op_commit(op, change, NULL);
}

/* --- the list: the function's own URL, then those of its aliases --- */

/* @return the next record's key at or behind `after` (NULL: the first), or NULL. */
static const char *next_key(const struct hd_op *op, const char *after)
{
    char own[HD_NAMES_KEY_MAX], prefix[HD_NAMES_KEY_MAX];
    hd_op_key(op, own, ':', NULL);
    hd_op_prefix(op, prefix, ':');
    if (after == NULL && hd_catalog_has(op->catalog, HD_RECORD_FUNCTION_URL, own))
        return "";
    bool first = after == NULL || after[0] == '\0';
    return hd_catalog_next(op->catalog, HD_RECORD_FUNCTION_URL, prefix, first ? NULL : after);
}

static void list(struct hd_op *op)
{
    bool bad;
    char own[HD_NAMES_KEY_MAX];
    if (!is_there(op, "Function does not exist"))
        return;
    hd_op_key(op, own, ':', NULL);
    hd_auto_free char *marker = hd_op_marker(op, &bad);
    if (bad)
        return;
    /* A marker with the function's own key stands for its own URL. */
    const char *at = marker != NULL && strcmp(marker, own) == 0 ? "" : marker;
    const char *last = at;
    unsigned left = hd_op_max_items(op, PAGE);
    json_t *answer = json_object(), *items = json_array();
    json_object_set_new(answer, "FunctionUrlConfigs", items);
    while ((at = next_key(op, at)) != NULL) {
        if (left-- == 0) {
            hd_op_next_marker(answer, last != NULL && last[0] != '\0' ? last : own);
            break;
        }
        json_t *record =
            hd_catalog_get(op->catalog, HD_RECORD_FUNCTION_URL, at[0] == '\0' ? own : at);
        const char *alias = at[0] == '\0' ? NULL : strrchr(at, ':') + 1;
        json_array_append_new(items, shown(op, alias, record));
        json_decref(record);
        last = at;
    }
    hd_op_answer(op, answer);
}

#define PATH "/2021-10-31/functions/{FunctionName}/url"

const struct hd_operation hd_operations_url[] = {
    {"CreateFunctionUrlConfig", "POST", PATH, NULL, 201, create_input, create},
    {"GetFunctionUrlConfig", "GET", PATH, NULL, 200, one_input, get},
    {"UpdateFunctionUrlConfig", "PUT", PATH, NULL, 200, update_input, update},
    {"DeleteFunctionUrlConfig", "DELETE", PATH, NULL, 204, one_input, delete_url},
    {"ListFunctionUrlConfigs", "GET", "/2021-10-31/functions/{FunctionName}/urls", NULL, 200,
     list_input, list},
    {0},
};
