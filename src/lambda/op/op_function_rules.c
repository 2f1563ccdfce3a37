/* What the members of a function may be together, beyond what each may be by itself. */
#include "lambda/api/api_private.h"
#include "lambda/op/op_function.h"
#include "pool/lambdaenv.h"

/* --- runtimes --- */

/* In the order in which the service names them. */
static const char *const current[] = {
    "nodejs20.x",   "provided.al2023", "python3.12", "python3.13", "nodejs22.x", "nodejs24.x",
    "python3.14",   "java25",          "java17",     "nodejs16.x", "dotnet8",    "dotnet10",
    "python3.10",   "java11",          "python3.11", "dotnet6",    "java21",     "nodejs18.x",
    "provided.al2", "java8.al2",       "ruby3.4",    "ruby3.3",    "ruby3.2",    "ruby4.0",
    "python3.8",    "python3.9",       NULL};
static const char *const retired[] = {"nodejs",        "nodejs4.3",     "nodejs4.3-edge",
                                      "nodejs6.10",    "nodejs8.10",    "nodejs10.x",
                                      "nodejs12.x",    "nodejs14.x",    "python2.7",
                                      "python3.6",     "python3.7",     "go1.x",
                                      "dotnetcore1.0", "dotnetcore2.0", "dotnetcore2.1",
                                      "dotnetcore3.1", "java8",         "ruby2.5",
                                      "ruby2.7",       "provided",      NULL};

static bool is_in(const char *const *list, const char *word)
{
    for (; *list != NULL; list++)
        if (strcmp(*list, word) == 0)
            return true;
    return false;
}

bool hd_function_runtime_ok(struct hd_op *op, const char *runtime)
{
    if (runtime == NULL || is_in(current, runtime))
        return true;
    if (is_in(retired, runtime)) {
        if (op->api->opt.accept_retired)
            return true;
        hd_op_fail(op, HD_API_INVALID,
                   "The runtime parameter of %s is no longer supported for creating or updating AWS"
                   " Lambda functions. We recommend you use a supported runtime while creating or"
                   " updating functions.",
                   runtime);
        return false;
    }
    struct hd_buf names;
    hd_buf_init(&names, 4096);
    for (size_t i = 0; current[i] != NULL; i++)
        hd_buf_fmt(&names, "%s%s", i > 0 ? ", " : "", current[i]);
    hd_op_fail(op, HD_API_INVALID,
               "Value %s at 'runtime' failed to satisfy constraint: Member must satisfy enum value"
               " set: [%.*s] or be a valid ARN",
               runtime, HD_FMT(hd_buf_view(&names)));
    hd_buf_done(&names);
    return false;
}

/* --- environment --- */

static bool is_credential(const char *name)
{
    static const char *const names[] = {"AWS_ACCESS_KEY", "AWS_ACCESS_KEY_ID",
                                        "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", NULL};
    return is_in(names, name);
}

#define ENVIRONMENT_FAULT                                                               \
    "Lambda was unable to configure your environment variables because the environment" \
    " variables you have provided "

static bool no_reserved_names(struct hd_op *op, const json_t *variables)
{
    const char *name;
    json_t *value;
    struct hd_buf found;
    hd_buf_init(&found, 4096);
    json_object_foreach((json_t *)variables, name, value)
    {
        (void)value;
        if (!hd_lambdaenv_is_reserved(hd_str(name)) ||
            (is_credential(name) && op->api->opt.allow_credentials_env))
            continue;
        hd_buf_fmt(&found, "%s%s", found.len > 0 ? ", " : "", name);
    }
    bool ok = found.len == 0;
    if (!ok)
        hd_op_fail(op, HD_API_INVALID,
                   ENVIRONMENT_FAULT
                   "contains reserved keys that are currently not supported for modification."
                   " Reserved keys used in this request: %.*s",
                   HD_FMT(hd_buf_view(&found)));
    hd_buf_done(&found);
    return ok;
}

bool hd_function_environment_ok(struct hd_op *op, const json_t *environment)
{
    const json_t *variables = json_object_get(environment, "Variables");
    if (variables == NULL)
        return true;
    hd_auto_free char *text = json_dumps(variables, JSON_COMPACT);
    uint32_t most = op->api->opt.limits.env_bytes;
    if (text == NULL || strlen(text) > most) {
        hd_op_fail(op, HD_API_INVALID,
                   ENVIRONMENT_FAULT "exceeded the %uKB limit. String measured: %s", most / 1024,
                   text != NULL ? text : "");
        return false;
    }
    return no_reserved_names(op, variables);
}

/* --- the rest --- */

bool hd_function_logging_ok(struct hd_op *op, const json_t *logging, const char *format_now)
{
    const char *given = json_string_value(json_object_get(logging, "LogFormat"));
    const char *format = given != NULL ? given : format_now;
    bool levels = json_object_get(logging, "ApplicationLogLevel") != NULL ||
                  json_object_get(logging, "SystemLogLevel") != NULL;
    if (!levels || (format != NULL && strcmp(format, "JSON") == 0))
        return true;
    hd_op_fail(
        op, HD_API_INVALID,
        "To use ApplicationLogLevel or SystemLogLevel, you must set your log format to JSON.");
    return false;
}
