/* The configuration of a function: made of an input, changed by another, shown. */
#include "core/clock.h"
#include "lambda/api/api_private.h"
#include "lambda/deploy/deploy_spec.h"
#include "lambda/op/op_function.h"

#include <openssl/sha.h>

/* --- members --- */

static const char *text(const json_t *object, const char *member)
{
    return json_string_value(json_object_get(object, member));
}

static bool is(const json_t *object, const char *member, const char *value)
{
    return hd_str_is(hd_str(text(object, member)), value);
}

/* Take members over as they are. */
static void take(const struct hd_op *op, json_t *config, const char *const *members)
{
    for (; *members != NULL; members++)
        if (hd_op_get(op, *members) != NULL)
            json_object_set(config, *members, hd_op_get(op, *members));
}

/* @p empty: the text or list that means: none. */
static void take_or_clear(const struct hd_op *op, json_t *config, const char *member, bool empty)
{
    if (hd_op_get(op, member) != NULL && empty)
        json_object_del(config, member);
    else if (hd_op_get(op, member) != NULL)
        json_object_set(config, member, hd_op_get(op, member));
}

static bool is_empty_text(const json_t *value)
{
    return value == NULL || json_string_length(value) == 0;
}

static void take_vpc(const struct hd_op *op, json_t *config)
{
    const json_t *given = hd_op_get(op, "VpcConfig");
    if (given == NULL)
        return;
    static const char *const lists[] = {"SubnetIds", "SecurityGroupIds"};
    json_t *out = json_object();
    for (size_t i = 0; i < HD_COUNT(lists); i++) {
        json_t *list = json_object_get(given, lists[i]);
        json_object_set_new(out, lists[i], list != NULL ? json_incref(list) : json_array());
    }
    json_object_set_new(out, "VpcId", json_string(""));
    json_object_set_new(
        out, "Ipv6AllowedForDualStack",
        json_boolean(json_is_true(json_object_get(given, "Ipv6AllowedForDualStack"))));
    json_object_set_new(config, "VpcConfig", out);
}

static void take_image(const struct hd_op *op, json_t *config)
{
    json_t *given = hd_op_get(op, "ImageConfig");
    if (given == NULL)
        return;
    if (json_object_size(given) == 0)
        json_object_del(config, "ImageConfigResponse");
    else
        json_object_set_new(config, "ImageConfigResponse",
                            json_pack("{s:O}", "ImageConfig", given));
}

static void take_logging(const struct hd_op *op, json_t *config)
{
    json_t *given = hd_op_get(op, "LoggingConfig"), *out = json_object_get(config, "LoggingConfig");
    if (given == NULL)
        return;
    json_object_update(out, given);
    if (is(out, "LogFormat", "JSON")) {
        json_object_update_missing_new(
            out, json_pack("{s:s, s:s}", "ApplicationLogLevel", "INFO", "SystemLogLevel", "INFO"));
    } else {
        json_object_del(out, "ApplicationLogLevel");
        json_object_del(out, "SystemLogLevel");
    }
}

/* The service names the exact build of a runtime; ours is what is installed, so it names that. */
static void set_runtime_version(const struct hd_op *op, json_t *config)
{
    unsigned char digest[SHA256_DIGEST_LENGTH];
    char hex[2 * SHA256_DIGEST_LENGTH + 1];
    const char *runtime = text(config, "Runtime");
    if (runtime == NULL)
        return;
    SHA256((const unsigned char *)runtime, strlen(runtime), digest);
    hd_hex(hex, digest, sizeof(digest));
    json_object_set_new(config, "RuntimeVersionConfig",
                        json_pack("{s:o}", "RuntimeVersionArn",
                                  json_sprintf("arn:aws:lambda:%s::runtime:%s", op->region, hex)));
}

static bool rules_ok(struct hd_op *op)
{
    return hd_function_runtime_ok(op, hd_op_text(op, "Runtime")) &&
           hd_function_environment_ok(op, hd_op_get(op, "Environment"));
}

bool hd_function_config_update(struct hd_op *op, json_t *config)
{
    static const char *const plain[] = {
        "Runtime",    "Role",        "Handler",       "Description",      "Timeout",
        "MemorySize", "Environment", "TracingConfig", "EphemeralStorage", NULL};
    bool image = is(config, "PackageType", "Image");
    if (!rules_ok(op))
        return false;
    if (image && (hd_op_get(op, "Runtime") != NULL || hd_op_get(op, "Handler") != NULL)) {
        hd_op_fail(op, HD_API_INVALID,
                   "Please don't provide Handler or Runtime or Layer when the intended function"
                   " PackageType is Image.");
        return false;
    }
    if (!hd_function_logging_ok(op, hd_op_get(op, "LoggingConfig"),
                                text(json_object_get(config, "LoggingConfig"), "LogFormat")))
        return false;
    take(op, config, plain);
    const json_t *dead = hd_op_get(op, "DeadLetterConfig");
    take_or_clear(op, config, "DeadLetterConfig",
                  is_empty_text(json_object_get(dead, "TargetArn")));
    take_or_clear(op, config, "KMSKeyArn", is_empty_text(hd_op_get(op, "KMSKeyArn")));
    take_or_clear(op, config, "FileSystemConfigs",
                  json_array_size(hd_op_get(op, "FileSystemConfigs")) == 0);
    take_vpc(op, config);
    take_image(op, config);
    take_logging(op, config);
    if (hd_op_get(op, "SnapStart") != NULL) {
        const char *on = text(hd_op_get(op, "SnapStart"), "ApplyOn");
        json_object_set_new(config, "SnapStart",
                            json_pack("{s:s, s:s}", "ApplyOn", on != NULL ? on : "None",
                                      "OptimizationStatus", "Off"));
    }
    if (hd_op_get(op, "Runtime") != NULL)
        set_runtime_version(op, config);
    return true;
}

/* --- a new one --- */

static bool package_ok(struct hd_op *op, const char *package)
{
    bool image = strcmp(package, "Image") == 0;
    bool named = hd_op_get(op, "Runtime") != NULL && hd_op_get(op, "Handler") != NULL;
    if (!image && !named) {
        hd_op_fail(op, HD_API_INVALID,
                   "Runtime and Handler are mandatory parameters for functions created with"
                   " deployment packages.");
        return false;
    }
    if (image && json_array_size(hd_op_get(op, "Layers")) > 0) {
        hd_op_fail(op, HD_API_INVALID,
                   "Please don't provide Handler or Runtime or Layer when the intended function"
                   " PackageType is Image.");
        return false;
    }
    return true;
}

json_t *hd_function_config_new(struct hd_op *op)
{
    const char *package = hd_op_text(op, "PackageType");
    package = package != NULL ? package : "Zip";
    if (!package_ok(op, package))
        return NULL;
    /* The members stand in the order in which the service answers them. */
    json_t *config = json_pack(
        "{s:s, s:s*, s:s, s:s*, s:i, s:s, s:i, s:i, s:s, s:s, s:{s:s}, s:s, s:s, s:[s], s:{s:i},"
        " s:{s:s, s:s}, s:{s:s, s:o}}",
        "FunctionName", op->function, "Runtime", hd_op_text(op, "Runtime"), "Role",
        hd_op_text(op, "Role"), "Handler", hd_op_text(op, "Handler"), "CodeSize", 0, "Description",
        "", "Timeout", 3, "MemorySize", 128, "LastModified", "", "CodeSha256", "", "TracingConfig",
        "Mode", "PassThrough", "RevisionId", "", "PackageType", package, "Architectures",
        hd_deploy_own_architecture(), "EphemeralStorage", "Size", 512, "SnapStart", "ApplyOn",
        "None", "OptimizationStatus", "Off", "LoggingConfig", "LogFormat", "Text", "LogGroup",
        json_sprintf("/aws/lambda/%s", op->function));
    static const char *const more[] = {"Architectures", NULL};
    if (!hd_function_config_update(op, config)) {
        json_decref(config);
        return NULL;
    }
    take(op, config, more);
    return config;
}

/* --- what follows from the code and the layers --- */

void hd_function_config_derive(json_t *doc)
{
    json_t *config = json_object_get(doc, "Config"), *code = json_object_get(doc, "Code"), *layer;
    const json_t *layers = json_object_get(doc, "Layers");
    size_t i;
    json_object_set(config, "CodeSize", json_object_get(code, "Size"));
    json_object_set(config, "CodeSha256", json_object_get(code, "Sha256"));
    if (json_array_size(layers) == 0) {
        json_object_del(config, "Layers");
        return;
    }
    json_t *shown = json_array();
    json_array_foreach(layers, i, layer)
        json_array_append_new(shown, json_pack("{s:O, s:O}", "Arn", json_object_get(layer, "Arn"),
                                               "CodeSize", json_object_get(layer, "CodeSize")));
    json_object_set_new(config, "Layers", shown);
}

static void set_status(json_t *config, const char *what, const char *status)
{
    char member[40];
    hd_op_set(config, what, status);
    what = strcmp(what, "State") == 0 ? "State" : "LastUpdateStatus";
    snprintf(member, sizeof(member), "%sReason", what);
    hd_op_set(config, member, "The function is being created.");
    snprintf(member, sizeof(member), "%sReasonCode", what);
    hd_op_set(config, member, "Creating");
}

void hd_function_config_begin(json_t *config, bool first)
{
    char revision[HD_UUID_CHARS + 1];
    hd_op_new_revision(revision);
    hd_op_set(config, "RevisionId", revision);
    json_object_set_new(config, "LastModified", hd_op_time(hd_clock_unix_ms()));
    if (first) {
        static const char *const old[] = {"LastUpdateStatus", "LastUpdateStatusReason",
                                          "LastUpdateStatusReasonCode"};
        for (size_t i = 0; i < HD_COUNT(old); i++)
            json_object_del(config, old[i]);
    }
    set_status(config, first ? "State" : "LastUpdateStatus", first ? "Pending" : "InProgress");
}

bool hd_function_is_settled(struct hd_op *op, const json_t *doc)
{
    const json_t *config = json_object_get(doc, "Config");
    if (is(config, "State", "Pending")) {
        hd_op_fail(
            op, HD_API_CONFLICT,
            "The operation cannot be performed at this time. The function is currently in the"
            " following state: Pending");
        return false;
    }
    if (!is(config, "LastUpdateStatus", "InProgress"))
        return true;
    hd_auto_free char *arn = hd_op_arn(op, NULL);
    hd_op_fail(op, HD_API_CONFLICT,
               "The operation cannot be performed at this time. An update is in progress for"
               " resource: %s",
               arn);
    return false;
}

/* --- shown --- */

json_t *hd_function_shown(const struct hd_op *op, const json_t *doc, const char *version,
                          const char *qualifier, enum hd_function_form form)
{
    static const char *const volatile_members[] = {"State",
                                                   "StateReason",
                                                   "StateReasonCode",
                                                   "LastUpdateStatus",
                                                   "LastUpdateStatusReason",
                                                   "LastUpdateStatusReasonCode",
                                                   "RuntimeVersionConfig"};
    const json_t *config = json_object_get(doc, "Config");
    const char *name = text(config, "FunctionName");
    hd_auto_free char *arn =
        hd_names_make_arn("function", op->account, op->region, name, qualifier);
    json_t *out = json_object();
    hd_op_set(out, "FunctionName", name);
    hd_op_set(out, "FunctionArn", arn);
    json_object_update(out, (json_t *)config);
    hd_op_set(out, "Version", version);
    for (size_t i = 0; form == HD_FUNCTION_ITEM && i < HD_COUNT(volatile_members); i++)
        json_object_del(out, volatile_members[i]);
    return out;
}
