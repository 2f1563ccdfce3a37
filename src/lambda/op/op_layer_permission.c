/* op_layer_permission.c - which accounts may use a version of a layer. */
#include "lambda/deploy/layers.h"
#include "lambda/op/operations.h"
#include "lambda/policydoc.h"

#define POLICY "/2018-10-31/layers/{LayerName}/versions/{VersionNumber}/policy"
#define SID_PATTERN "([a-zA-Z0-9-_]+)"

static const struct hd_shape add_input[] = {
    HD_SHAPE_LAYER_NAME,
    HD_SHAPE_LAYER_NUMBER,
    {.name = "StatementId", .required = true, .min = 1, .max = 100, .pattern = SID_PATTERN},
    {.name = "Action", .required = true, .max = 22, .pattern = "lambda:GetLayerVersion"},
    {.name = "Principal",
     .required = true,
     .pattern = "\\d{12}|\\*|arn:(aws[a-zA-Z-]*):iam::\\d{12}:root"},
    {.name = "OrganizationId", .max = 34, .pattern = "o-[a-z0-9]{10,32}"},
    {.name = "RevisionId", .in = HD_SHAPE_QUERY},
    {0},
};
static const struct hd_shape get_input[] = {HD_SHAPE_LAYER_NAME, HD_SHAPE_LAYER_NUMBER, {0}};
static const struct hd_shape remove_input[] = {
    HD_SHAPE_LAYER_NAME,
    HD_SHAPE_LAYER_NUMBER,
    {.name = "StatementId",
     .in = HD_SHAPE_PATH,
     .required = true,
     .min = 1,
     .max = 100,
     .pattern = SID_PATTERN},
    {.name = "RevisionId", .in = HD_SHAPE_QUERY},
    {0},
};

/* @return the record of a version of this account, a new reference; or NULL, and the operation has
 * failed. */
static json_t *find(struct hd_op *op, char *arn, char *key)
{
    struct hd_layer_name name;
    char number[24];
    if (!hd_layers_version(op, &name, number) || !hd_layers_name(op, &name))
        return NULL;
    name.version = hd_str(number);
    return hd_layers_find(op, &name, HD_API_NOT_FOUND, NULL, arn, key);
}

static struct hd_str policy_of(const json_t *record)
{
    const json_t *text = json_object_get(record, "Policy");
    return hd_str_n(json_string_value(text), json_string_length(text));
}

static bool check_revision(struct hd_op *op, const json_t *record)
{
    return hd_op_revision(op, json_string_value(json_object_get(record, "RevisionId")),
                          "GetLayerPolicy");
}

/* `document` NULL: no policy any more. @return the revision, for the answer. */
static struct hd_change *change_policy(struct hd_op *op, const char *key, json_t *record,
                                       const char *document)
{
    char revision[HD_UUID_CHARS + 1];
    if (document != NULL) {
        hd_op_new_revision(revision);
        hd_op_set(record, "Policy", document);
        hd_op_set(record, "RevisionId", revision);
    } else {
        json_object_del(record, "Policy");
        json_object_del(record, "RevisionId");
    }
    struct hd_change *change = hd_change_new(op->catalog);
    hd_change_put(change, HD_RECORD_LAYER_VERSION, key, record);
    return change;
}

static void add(struct hd_op *op)
{
    char arn[HD_NAMES_KEY_MAX], key[HD_NAMES_KEY_MAX];
    json_t *record = find(op, arn, key);
    if (record == NULL)
        return;
    const struct hd_policydoc_permission p = {
        .sid = hd_str(hd_op_text(op, "StatementId")),
        .action = hd_str(hd_op_text(op, "Action")),
        .principal = hd_str(hd_op_text(op, "Principal")),
        .resource = hd_str(arn),
        .principal_org = hd_str(hd_op_text(op, "OrganizationId")),
    };
    struct hd_error err = {.code = 0};
    hd_auto_free char *statement = NULL, *document = NULL;
    int rc = hd_policydoc_statement(&statement, &p, &err);
    if (rc == 0)
        rc = hd_policydoc_add(&document, policy_of(record), hd_str(statement), &err);
    if (rc < 0) {
        hd_op_fail(op,
                   rc == HD_EEXIST  ? HD_API_CONFLICT
                   : rc == HD_EBUSY ? HD_API_POLICY_TOO_LONG
                                    : HD_API_INVALID,
                   "%s", err.msg);
    } else if (check_revision(op, record)) {
        struct hd_change *change = change_policy(op, key, record, document);
        hd_op_commit(op, change,
                     json_pack("{s:s, s:O}", "Statement", statement, "RevisionId",
                               json_object_get(record, "RevisionId")));
    }
    json_decref(record);
}

static void get(struct hd_op *op)
{
    char arn[HD_NAMES_KEY_MAX];
    json_t *record = find(op, arn, NULL);
    if (record == NULL)
        return;
    json_t *policy = json_object_get(record, "Policy");
    if (policy == NULL)
        hd_op_fail(op, HD_API_NOT_FOUND, "No policy is associated with the given resource.");
    else
        hd_op_answer(op, json_pack("{s:O, s:O}", "Policy", policy, "RevisionId",
                                   json_object_get(record, "RevisionId")));
    json_decref(record);
}

static void remove_permission(struct hd_op *op)
{
    char arn[HD_NAMES_KEY_MAX], key[HD_NAMES_KEY_MAX];
    json_t *record = find(op, arn, key);
    if (record == NULL)
        return;
    struct hd_error err = {.code = 0};
    hd_auto_free char *document = NULL;
    if (json_object_get(record, "Policy") == NULL)
        hd_op_fail(op, HD_API_NOT_FOUND, "No policy is associated with the given resource.");
    else if (hd_policydoc_remove(&document, policy_of(record),
                                 hd_str(hd_op_text(op, "StatementId")), &err) < 0)
        hd_op_fail(op, HD_API_NOT_FOUND, "%s", err.msg);
    else if (check_revision(op, record))
        hd_op_commit(op, change_policy(op, key, record, document), NULL);
    json_decref(record);
}

const struct hd_operation hd_operations_layer_permission[] = {
    {"AddLayerVersionPermission", "POST", POLICY, NULL, 201, add_input, add},
    {"GetLayerVersionPolicy", "GET", POLICY, NULL, 200, get_input, get},
    {"RemoveLayerVersionPermission", "DELETE", POLICY "/{StatementId}", NULL, 204, remove_input,
     remove_permission},
    {0},
};
