/* op_resource_policy.c - the policy of a function, version or alias as one document. It is the same
 * policy that AddPermission and its kin edit statement by statement. */
#include "lambda/op/operations.h"
#include "lambda/policydoc.h"
#include "lambda/resource.h"

#define PATH "/2026-07-09/resource-policy/{ResourceArn}"
#define GONE "The resource you requested does not exist."
#define SHAPE_RESOURCE                                                            \
    {                                                                             \
        .name = "ResourceArn", .in = HD_SHAPE_PATH, .required = true, .max = 256, \
        .pattern = HD_PATTERN_RESOURCE_ARN                                        \
    }

static const struct hd_shape put_input[] = {
    SHAPE_RESOURCE,
    {.name = "Policy", .required = true, .min = 1, .max = HD_POLICYDOC_BYTES_MAX},
    {.name = "RevisionId"},
    {0},
};
static const struct hd_shape get_input[] = {SHAPE_RESOURCE, {0}};
static const struct hd_shape delete_input[] = {
    SHAPE_RESOURCE,
    {.name = "RevisionId", .in = HD_SHAPE_QUERY},
    {0},
};

/* @return false, and the operation has failed. *key is the policy's. */
static bool find_resource(struct hd_op *op, char key[HD_NAMES_KEY_MAX])
{
    struct hd_resource r;
    const char *arn = hd_op_text(op, "ResourceArn");
    if (hd_resource_parse(&r, hd_str(arn)) < 0 || r.kind != HD_RESOURCE_FUNCTION) {
        hd_op_fail(op, HD_API_INVALID,
                   "This server offers resource policies of functions, versions and aliases only.");
        return false;
    }
    if (!hd_op_take_function(op, arn))
        return false;
    bool latest = hd_names_is_latest(hd_str(op->qualifier));
    if (!hd_op_resolve(op, NULL, NULL) || (!latest && !hd_op_resolve(op, op->qualifier, NULL))) {
        hd_op_fail(op, HD_API_NOT_FOUND, GONE);
        return false;
    }
    if (op->qualifier != NULL && latest) {
        hd_op_fail(op, HD_API_INVALID, "We currently do not support adding policies for $LATEST.");
        return false;
    }
    hd_op_key(op, key, ':', op->qualifier);
    return true;
}

/* @return the record, a new reference, or NULL; *ok: RevisionId fits it, else the operation has
 * failed. */
static json_t *current(struct hd_op *op, const char *key, bool *ok)
{
    json_t *record = hd_catalog_get(op->catalog, HD_RECORD_POLICY, key);
    *ok = hd_op_revision(op, json_string_value(json_object_get(record, "RevisionId")),
                         "GetResourcePolicy");
    return record;
}

static void put(struct hd_op *op)
{
    char key[HD_NAMES_KEY_MAX], revision[HD_UUID_CHARS + 1];
    struct hd_error err = {.code = 0};
    hd_auto_free char *document = NULL;
    bool ok;
    if (!find_resource(op, key))
        return;
    hd_auto_free char *arn = hd_op_arn(op, op->qualifier);
    if (hd_policydoc_check(&document, hd_str(hd_op_text(op, "Policy")), hd_str(arn), &err) < 0) {
        hd_op_fail(op, err.code == HD_EBUSY ? HD_API_POLICY_TOO_LONG : HD_API_INVALID, "%s",
                   err.msg);
        return;
    }
    json_t *record = current(op, key, &ok);
    json_decref(record);
    if (!ok)
        return;
    hd_op_new_revision(revision);
    record = json_pack("{s:s, s:s}", "Policy", document, "RevisionId", revision);
    struct hd_change *change = hd_change_new(op->catalog);
    hd_change_put(change, HD_RECORD_POLICY, key, record);
    hd_op_commit(op, change, record);
}

static void get(struct hd_op *op)
{
    char key[HD_NAMES_KEY_MAX];
    if (!find_resource(op, key))
        return;
    json_t *record = hd_catalog_get(op->catalog, HD_RECORD_POLICY, key);
    if (record == NULL)
        hd_op_fail(op, HD_API_NOT_FOUND, GONE);
    else
        hd_op_answer(op, record);
}

static void delete_policy(struct hd_op *op)
{
    char key[HD_NAMES_KEY_MAX];
    bool ok;
    if (!find_resource(op, key))
        return;
    json_t *record = current(op, key, &ok);
    if (ok && record == NULL) {
        hd_op_fail(op, HD_API_NOT_FOUND, GONE);
    } else if (ok) {
        struct hd_change *change = hd_change_new(op->catalog);
        hd_change_delete(change, HD_RECORD_POLICY, key);
        hd_op_commit(op, change, NULL);
    }
    json_decref(record);
}

const struct hd_operation hd_operations_resource_policy[] = {
    {"PutResourcePolicy", "PUT", PATH, NULL, 200, put_input, put},
    {"GetResourcePolicy", "GET", PATH, NULL, 200, get_input, get},
    {"DeleteResourcePolicy", "DELETE", PATH, NULL, 204, delete_input, delete_policy},
    {0},
};
