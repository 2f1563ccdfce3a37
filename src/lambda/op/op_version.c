/* Versions: snapshots of $LATEST that never change. */
#include "lambda/op/op_function.h"
#include "lambda/op/operations.h"

enum { PAGE = 50 };

static const struct hd_shape publish_input[] = {
    HD_SHAPE_FUNCTION_NAME,
    {.name = "CodeSha256"},
    {.name = "Description", .max = 256},
    {.name = "RevisionId"},
    {.name = "PublishTo", .refused = true},
    {0},
};
static const struct hd_shape list_input[] = {
    HD_SHAPE_ANY_FUNCTION_NAME,
    HD_SHAPE_MARKER,
    HD_SHAPE_MAX_ITEMS(10000),
    {0},
};

static const char *text(const json_t *object, const char *member)
{
    return json_string_value(json_object_get(object, member));
}

/* --- PublishVersion --- */

json_t *hd_version_add(struct hd_op *op, struct hd_change *change, json_t *doc,
                       const char *description, char number[24])
{
    char key[HD_NAMES_KEY_MAX];
    static const char *const parts[] = {"Config", "Code", "Layers"};
    json_int_t next = json_integer_value(json_object_get(doc, "NextVersion"));
    json_t *version = json_object();
    for (size_t i = 0; i < HD_COUNT(parts); i++)
        json_object_set_new(version, parts[i], json_deep_copy(json_object_get(doc, parts[i])));
    json_t *config = json_object_get(version, "Config");
    json_t *modified = json_incref(json_object_get(config, "LastModified"));
    hd_function_config_begin(config, true);
    json_object_set_new(config, "LastModified", modified); /* publishing changes nothing */
    if (description != NULL && description[0] != '\0')
        hd_op_set(config, "Description", description);
    snprintf(number, 24, "%" JSON_INTEGER_FORMAT, next);
    json_object_set_new(doc, "NextVersion", json_integer(next + 1));
    hd_op_set(doc, "LastPublished", number);
    hd_change_put(change, HD_RECORD_VERSION, hd_op_key(op, key, '/', number), version);
    return version;
}

/* What of a configuration makes a version another one. */
static json_t *essence(const json_t *doc)
{
    static const char *const beside[] = {"State",
                                         "StateReason",
                                         "StateReasonCode",
                                         "LastUpdateStatus",
                                         "LastUpdateStatusReason",
                                         "LastUpdateStatusReasonCode",
                                         "RevisionId",
                                         "LastModified",
                                         "Description"};
    json_t *out = json_deep_copy(json_object_get(doc, "Config"));
    for (size_t i = 0; i < HD_COUNT(beside); i++)
        json_object_del(out, beside[i]);
    json_object_del(json_object_get(out, "SnapStart"), "OptimizationStatus");
    json_object_set(out, "Directory", json_object_get(json_object_get(doc, "Code"), "Directory"));
    return out;
}

/* @return the version that was published last if it still is what $LATEST is; a new reference. */
static json_t *same_as_last(const struct hd_op *op, const json_t *doc)
{
    char key[HD_NAMES_KEY_MAX];
    const char *last = text(doc, "LastPublished");
    json_t *version = last == NULL ? NULL
                                   : hd_catalog_get(op->catalog, HD_RECORD_VERSION,
                                                    hd_op_key(op, key, '/', last));
    if (version == NULL)
        return NULL;
    json_t *a = essence(doc), *b = essence(version);
    bool same = json_equal(a, b) != 0;
    json_decref(a);
    json_decref(b);
    if (same)
        return version;
    json_decref(version);
    return NULL;
}

static bool hash_ok(struct hd_op *op, const json_t *doc)
{
    const char *given = hd_op_text(op, "CodeSha256");
    const char *own = text(json_object_get(doc, "Config"), "CodeSha256");
    if (given == NULL || given[0] == '\0' || strcmp(given, own) == 0)
        return true;
    hd_op_fail(op, HD_API_INVALID,
               "CodeSHA256 (%s) is different from current CodeSHA256 in $LATEST (%s). Please try"
               " again with the CodeSHA256 in $LATEST.",
               given, own);
    return false;
}

static void publish_now(struct hd_op *op, json_t *doc)
{
    char key[HD_NAMES_KEY_MAX], number[24];
    struct hd_change *ch = hd_change_new(op->catalog);
    json_t *version = hd_version_add(op, ch, doc, hd_op_text(op, "Description"), number);
    hd_change_put(ch, HD_RECORD_FUNCTION, hd_op_key(op, key, '/', NULL), doc);
    hd_op_commit(op, ch, hd_function_shown(op, version, number, number, HD_FUNCTION_FULL));
    json_decref(version);
}

static void publish(struct hd_op *op)
{
    json_t *doc = hd_op_function(op);
    if (doc == NULL)
        return;
    const char *revision = text(json_object_get(doc, "Config"), "RevisionId");
    if (hd_op_revision(op, revision, "GetFunction/GetAlias") && hash_ok(op, doc) &&
        hd_function_is_settled(op, doc)) {
        json_t *last = same_as_last(op, doc);
        const char *number = text(doc, "LastPublished");
        if (last != NULL)
            hd_op_answer(op, hd_function_shown(op, last, number, number, HD_FUNCTION_FULL));
        else if (hd_function_storage_ok(op, json_object_get(doc, "Code")))
            publish_now(op, doc);
        json_decref(last);
    }
    json_decref(doc);
}

/* --- ListVersionsByFunction --- */

static void list(struct hd_op *op)
{
    static const char first[] = "$LATEST";
    char prefix[HD_NAMES_KEY_MAX];
    bool bad;
    json_t *doc = hd_op_function(op);
    if (doc == NULL)
        return;
    hd_auto_free char *marker = hd_op_marker(op, &bad);
    unsigned left = hd_op_max_items(op, PAGE);
    json_t *items = json_array(), *answer = json_pack("{s:o}", "Versions", items);
    const char *last = marker, *key = NULL;
    hd_op_prefix(op, prefix, '/');
    if (!bad && marker == NULL) {
        json_array_append_new(items, hd_function_shown(op, doc, first, first, HD_FUNCTION_ITEM));
        last = first;
        left--;
    }
    json_decref(doc);
    while (!bad &&
           (key = hd_catalog_next(op->catalog, HD_RECORD_VERSION, prefix,
                                  last != NULL && strcmp(last, first) != 0 ? last : NULL)) !=
               NULL &&
           left-- > 0) {
        const char *number = key + strlen(prefix);
        json_t *version = hd_catalog_get(op->catalog, HD_RECORD_VERSION, key);
        json_array_append_new(items,
                              hd_function_shown(op, version, number, number, HD_FUNCTION_ITEM));
        json_decref(version);
        last = key;
    }
    if (bad) {
        json_decref(answer);
        return;
    }
    if (key != NULL)
        hd_op_next_marker(answer, last);
    hd_op_answer(op, answer);
}

#define VERSIONS "/2015-03-31/functions/{FunctionName}/versions"

const struct hd_operation hd_operations_version[] = {
    {"PublishVersion", "POST", VERSIONS, .ok = 201, .input = publish_input, .run = publish},
    {"ListVersionsByFunction", "GET", VERSIONS, .ok = 200, .input = list_input, .run = list},
    {0},
};
