#include "lambda/deploy/layers.h"

#include "functions/bundle.h"
#include "lambda/api/api_private.h"
#include "lambda/policy.h"
#include "lambda/resource.h"

int hd_layer_name_parse(struct hd_layer_name *out, struct hd_str text)
{
    struct hd_resource r;
    *out = (struct hd_layer_name){.name = text};
    if (text.len > 0 && hd_str_find(text, ':') == text.len)
        return 0;
    if (hd_resource_parse(&r, text) < 0 || r.kind != HD_RESOURCE_LAYER)
        return HD_EINVAL;
    *out = (struct hd_layer_name){r.region, r.account, r.name, r.qualifier};
    return 0;
}

bool hd_layers_name(struct hd_op *op, struct hd_layer_name *out)
{
    struct hd_layer_name name;
    const char *text = hd_op_text(op, "LayerName");
    hd_layer_name_parse(&name, hd_str(text)); /* its form was checked */
    if ((name.account.len > 0 && !hd_str_is(name.account, op->account)) ||
        (name.region.len > 0 && !hd_str_is(name.region, op->region))) {
        hd_op_fail(op, HD_API_DENIED,
                   "%s is a layer of another account or region: %s is for layers of %s in %s.",
                   text, op->operation->name, op->account, op->region);
        return false;
    }
    if (out != NULL)
        *out = name;
    return true;
}

bool hd_layers_version(struct hd_op *op, struct hd_layer_name *out, char number[24])
{
    json_int_t n = json_integer_value(hd_op_get(op, "VersionNumber"));
    if (n < 1) {
        hd_op_fail(op, HD_API_INVALID, "Layer Version Cannot be less than 1");
        return false;
    }
    hd_layer_name_parse(out, hd_str(hd_op_text(op, "LayerName")));
    snprintf(number, 24, "%lld", (long long)n);
    out->version = hd_str(number);
    return true;
}

/* --- what a function may have --- */

/* A layer of another account needs a policy that allows it. */
static bool is_allowed(const struct hd_op *op, struct hd_str owner, const char *arn,
                       const json_t *record)
{
    const char *text = json_string_value(json_object_get(record, "Policy"));
    struct hd_policies *policies = hd_policies_new();
    const struct hd_policy_query query = {
        .action = hd_str("lambda:GetLayerVersion"),
        .resource = hd_str(arn),
        .owner = owner,
        .account = hd_str(op->account),
        .principal = op->request->caller.principal,
    };
    if (text != NULL && hd_policies_add(policies, hd_str(text), NULL) < 0)
        hd_log(op->api->opt.log, HD_ERROR, "a layer's stored policy is damaged: it allows nothing",
               hd_kv_str("layer", arn));
    bool allowed = hd_policies_allow(policies, &query);
    hd_policies_unref(policies);
    return allowed;
}

static bool is_same_layer(const char *a, const char *b)
{
    size_t n = (size_t)(strrchr(a, ':') - a), m = (size_t)(strrchr(b, ':') - b);
    return n == m && memcmp(a, b, n) == 0;
}

json_t *hd_layers_find(struct hd_op *op, const struct hd_layer_name *name, enum hd_api_error e,
                       const char *missing, char *arn, char *key)
{
    char own_key[HD_NAMES_KEY_MAX];
    struct hd_str account = name->account.len > 0 ? name->account : hd_str(op->account);
    struct hd_str region = name->region.len > 0 ? name->region : hd_str(op->region);
    key = key != NULL ? key : own_key;
    snprintf(key, HD_NAMES_KEY_MAX, "%.*s/%.*s/%.*s/%.*s", HD_FMT(account), HD_FMT(region),
             HD_FMT(name->name), HD_FMT(name->version));
    snprintf(arn, HD_NAMES_KEY_MAX, "arn:aws:lambda:%.*s:%.*s:layer:%.*s:%.*s", HD_FMT(region),
             HD_FMT(account), HD_FMT(name->name), HD_FMT(name->version));
    json_t *record = hd_catalog_get(op->catalog, HD_RECORD_LAYER_VERSION, key);
    bool own = hd_str_is(account, op->account);
    if (!own && (record == NULL || !is_allowed(op, account, arn, record))) {
        struct hd_str who = op->request->caller.principal;
        hd_op_fail(op, HD_API_DENIED,
                   "User: %.*s is not authorized to perform: lambda:GetLayerVersion on resource: "
                   "%s because no resource-based policy allows the lambda:GetLayerVersion action",
                   HD_FMT(who.len > 0 ? who : hd_str("anonymous")), arn);
    } else if (record == NULL) {
        if (missing != NULL)
            hd_op_fail(op, e, "%s", missing);
        else
            hd_op_fail(op, e, "Layer version %s does not exist.", arn);
    } else {
        return record;
    }
    json_decref(record);
    return NULL;
}

/* @return an item of the result, or NULL, and the operation has failed. */
static json_t *attach_one(struct hd_op *op, const char *asked)
{
    struct hd_layer_name name;
    char arn[HD_NAMES_KEY_MAX];
    if (hd_layer_name_parse(&name, hd_str(asked)) < 0 || name.version.len == 0) {
        hd_op_fail(op, HD_API_VALIDATION,
                   "1 validation error detected: Value '[%s]' at 'layers' failed to satisfy "
                   "constraint: Member must be the ARN of a layer's version",
                   asked);
        return NULL;
    }
    if (!hd_str_is(name.region, op->region)) {
        hd_op_fail(op, HD_API_INVALID,
                   "Layers are not in the same region as the function. Layers are expected to be "
                   "in region %s.",
                   op->region);
        return NULL;
    }
    json_t *record = hd_layers_find(op, &name, HD_API_INVALID, NULL, arn, NULL);
    if (record == NULL)
        return NULL;
    json_t *item =
        json_pack("{s:s, s:O, s:O}", "Arn", asked, "Digest", json_object_get(record, "Digest"),
                  "CodeSize", json_object_get(record, "CodeSize"));
    json_decref(record);
    return item;
}

json_t *hd_layers_attach(struct hd_op *op, const json_t *arns)
{
    size_t n = json_array_size(arns);
    uint32_t most = HD_MIN(op->api->opt.limits.layers, (uint32_t)HD_BUNDLE_LAYERS_MAX);
    if (n > most) {
        hd_op_fail(op, HD_API_INVALID, "Cannot reference more than %u layers.", most);
        return NULL;
    }
    json_t *out = json_array();
    for (size_t i = 0; i < n; i++) {
        const char *arn = json_string_value(json_array_get(arns, i));
        json_t *item = attach_one(op, arn);
        if (item == NULL) {
            json_decref(out);
            return NULL;
        }
        for (size_t k = 0; k < i; k++) {
            const char *other = json_string_value(json_array_get(arns, k));
            if (!is_same_layer(arn, other))
                continue;
            hd_op_fail(op, HD_API_INVALID,
                       "Two different versions of the same layer are not allowed to be referenced "
                       "in the same function. %s and %s",
                       arn, other);
            json_decref(item);
            json_decref(out);
            return NULL;
        }
        json_array_append_new(out, item);
    }
    return out;
}
