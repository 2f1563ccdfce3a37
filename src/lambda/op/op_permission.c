/* op_permission.c - resource policies of functions, their versions and aliases: a statement at a
 * time, or the document as a whole. */
#include "lambda/op/operations.h"
#include "lambda/policydoc.h"
#include "lambda/resource.h"

/* The record: {"Policy": the document as text, "RevisionId"}. */

static const char *const url_auth_types[] = {"NONE", "AWS_IAM", NULL};

static const struct hd_shape add_input[] = {
    HD_SHAPE_FUNCTION_NAME,
    HD_SHAPE_QUALIFIER,
    {.name = "StatementId", .required = true, .min = 1, .max = 100, .pattern = "([a-zA-Z0-9-_]+)"},
    {.name = "Action", .required = true, .pattern = "(lambda:[*]|lambda:[a-zA-Z]+|[*])"},
    {.name = "Principal", .required = true, .pattern = "[^\\s]+"},
    {.name = "SourceArn", .pattern = HD_PATTERN_RESOURCE_ARN},
    {.name = "SourceAccount", .max = 12, .pattern = "\\d{12}"},
    {.name = "EventSourceToken", .max = 256, .pattern = "[a-zA-Z0-9._\\-]+"},
    {.name = "PrincipalOrgID", .min = 12, .max = 34, .pattern = "^o-[a-z0-9]{10,32}$"},
    {.name = "FunctionUrlAuthType", .words = url_auth_types},
    {.name = "InvokedViaFunctionUrl", .kind = HD_SHAPE_BOOLEAN},
    {.name = "RevisionId"},
    {0},
};

static const struct hd_shape get_input[] = {
    HD_SHAPE_ANY_FUNCTION_NAME,
    HD_SHAPE_QUALIFIER,
    {0},
};

static const struct hd_shape remove_input[] = {
    HD_SHAPE_FUNCTION_NAME,
    HD_SHAPE_QUALIFIER,
    {.name = "StatementId",
     .in = HD_SHAPE_PATH,
     .required = true,
     .min = 1,
     .max = 100,
     .pattern = "([a-zA-Z0-9-_.]+)"},
    {.name = "RevisionId", .in = HD_SHAPE_QUERY},
    {0},
};

/* --- what all of them do first --- */

/* @return false, and the operation has failed, unless the function is there, and the version or
 * alias that it names. *key is the policy's. */
static bool find_resource(struct hd_op *op, char key[HD_NAMES_KEY_MAX])
{
    json_t *function = hd_op_function(op);
    if (function == NULL)
        return false;
    json_decref(function);
    if (op->qualifier != NULL && !hd_op_resolve(op, op->qualifier, NULL)) {
        hd_auto_free char *arn = hd_op_arn(op, op->qualifier);
        bool number = hd_names_is_number(hd_str(op->qualifier));
        hd_op_fail(op, HD_API_NOT_FOUND,
                   number ? "Function not found: %s" : "Cannot find alias arn: %s", arn);
        return false;
    }
    bool latest = hd_names_is_latest(hd_str(op->qualifier));
    hd_op_key(op, key, ':', latest ? NULL : op->qualifier);
    return true;
}

static struct hd_str policy_of(const json_t *record)
{
    const json_t *text = json_object_get(record, "Policy");
    return hd_str_n(json_string_value(text), json_string_length(text));
}

static struct hd_str text_of(const struct hd_op *op, const char *member)
{
    return hd_str(hd_op_text(op, member));
}

/* Write a policy's new text, or none, and answer. `document` is taken over. */
static void store(struct hd_op *op, const char *key, char *document, json_t *answer)
{
    struct hd_change *change = hd_change_new(op->catalog);
    if (document != NULL) {
        char revision[HD_UUID_CHARS + 1];
        hd_op_new_revision(revision);
        json_t *record = json_pack("{s:s, s:s}", "Policy", document, "RevisionId", revision);
        hd_change_put(change, HD_RECORD_POLICY, key, record);
        json_decref(record);
    } else {
        hd_change_delete(change, HD_RECORD_POLICY, key);
    }
    free(document);
    hd_op_commit(op, change, answer);
}

/* --- one statement --- */

static void fail_edit(struct hd_op *op, const struct hd_error *err)
{
    enum hd_api_error e = HD_API_INVALID;
    if (err->code == HD_EEXIST)
        e = HD_API_CONFLICT;
    else if (err->code == HD_EBUSY)
        e = HD_API_POLICY_TOO_LONG;
    else if (err->code == HD_ENOTFOUND)
        e = HD_API_NOT_FOUND;
    hd_op_fail(op, e, "%s", err->msg);
}

static void add_permission(struct hd_op *op)
{
    char key[HD_NAMES_KEY_MAX];
    if (op->qualifier != NULL && strcmp(op->qualifier, "$LATEST") == 0) {
        hd_op_fail(op, HD_API_INVALID, "We currently do not support adding policies for $LATEST.");
        return;
    }
    if (!find_resource(op, key))
        return;
    const char *url_auth = hd_op_text(op, "FunctionUrlAuthType");
    if (url_auth != NULL && strcmp(hd_op_text(op, "Action"), "lambda:InvokeFunctionUrl") != 0) {
        hd_op_fail(op, HD_API_INVALID,
                   "FunctionUrlAuthType is only supported for lambda:InvokeFunctionUrl action");
        return;
    }
    json_t *record = hd_catalog_get(op->catalog, HD_RECORD_POLICY, key);
    if (!hd_op_revision(op, json_string_value(json_object_get(record, "RevisionId")),
                        "GetPolicy")) {
        json_decref(record);
        return;
    }
    hd_auto_free char *arn = hd_op_arn(op, op->qualifier);
    const struct hd_policydoc_permission p = {
        .sid = text_of(op, "StatementId"),
        .action = text_of(op, "Action"),
        .principal = text_of(op, "Principal"),
        .resource = hd_str(arn),
        .source_arn = text_of(op, "SourceArn"),
        .source_account = text_of(op, "SourceAccount"),
        .event_source_token = text_of(op, "EventSourceToken"),
        .principal_org = text_of(op, "PrincipalOrgID"),
        .url_auth_type = hd_str(url_auth),
        .via_url_given = hd_op_get(op, "InvokedViaFunctionUrl") != NULL,
        .via_url = json_is_true(hd_op_get(op, "InvokedViaFunctionUrl")),
    };
    struct hd_error err = {.code = 0};
    hd_auto_free char *statement = NULL;
    char *document = NULL;
    int rc = hd_policydoc_statement(&statement, &p, &err);
    if (rc == 0)
        rc = hd_policydoc_add(&document, policy_of(record), hd_str(statement), &err);
    json_decref(record);
    if (rc < 0)
        fail_edit(op, &err);
    else
        store(op, key, document, json_pack("{s:s}", "Statement", statement));
}

static void get_policy(struct hd_op *op)
{
    char key[HD_NAMES_KEY_MAX];
    if (!find_resource(op, key))
        return;
    json_t *record = hd_catalog_get(op->catalog, HD_RECORD_POLICY, key);
    if (record == NULL)
        hd_op_fail(op, HD_API_NOT_FOUND, "The resource you requested does not exist.");
    else
        hd_op_answer(op, record); /* it is just what is answered */
}

static void remove_permission(struct hd_op *op)
{
    char key[HD_NAMES_KEY_MAX];
    if (!find_resource(op, key))
        return;
    json_t *record = hd_catalog_get(op->catalog, HD_RECORD_POLICY, key);
    if (record == NULL) {
        hd_op_fail(op, HD_API_NOT_FOUND, "No policy is associated with the given resource.");
        return;
    }
    struct hd_error err = {.code = 0};
    char *document = NULL;
    int rc = hd_policydoc_remove(&document, policy_of(record), text_of(op, "StatementId"), &err);
    if (rc < 0)
        fail_edit(op, &err);
    else if (hd_op_revision(op, json_string_value(json_object_get(record, "RevisionId")),
                            "GetPolicy"))
        store(op, key, hd_steal(document), NULL);
    free(document);
    json_decref(record);
}

const struct hd_operation hd_operations_permission[] = {
    {"AddPermission", "POST", "/2015-03-31/functions/{FunctionName}/policy", NULL, 201, add_input,
     add_permission},
    {"GetPolicy", "GET", "/2015-03-31/functions/{FunctionName}/policy", NULL, 200, get_input,
     get_policy},
    {"RemovePermission", "DELETE", "/2015-03-31/functions/{FunctionName}/policy/{StatementId}",
     NULL, 204, remove_input, remove_permission},
    {0},
};
