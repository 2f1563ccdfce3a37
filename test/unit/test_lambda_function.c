/* test/unit/test_lambda_function.c - functions are made, shown, changed, listed and deleted. */
#include "lambda_rig.h"

#define INVALID "InvalidParameterValueException"
#define NOT_FOUND "ResourceNotFoundException"
#define CONFLICT "ResourceConflictException"
#define POST "POST " LR_FUNCTIONS
#define F LR_FUNCTIONS "/f"
#define CODE_SHA "CodeSha256"

static int set_up(void **state)
{
    struct lr *r = hd_new(struct lr);
    lr_init(r);
    lr_open(r);
    *state = r;
    return 0;
}

static int tear_down(void **state)
{
    lr_done(*state);
    free(*state);
    return 0;
}

static json_t *with(json_t *object, const char *member, json_t *value)
{
    json_object_set_new(object, member, value);
    return object;
}

/* --- create and get --- */

static void a_new_function_is_pending_then_active(void **state)
{
    struct lr *r = *state;
    lr_ok(r, 201, POST, lr_function(r, "f"));
    assert_string_equal(lr_text(r, "FunctionArn"), LR_ARN "f");
    assert_string_equal(lr_text(r, "Version"), "$LATEST");
    assert_string_equal(lr_text(r, "State"), "Pending");
    assert_string_equal(lr_text(r, "StateReasonCode"), "Creating");
    assert_string_equal(lr_text(r, "StateReason"), "The function is being created.");
    assert_false(lr_has(r, "LastUpdateStatus"));
    hd_auto_free char *first = hd_strdup(lr_text(r, "RevisionId"));
    assert_int_equal(strlen(first), 36);
    lr_settle(r, "f");
    assert_string_equal(lr_text(r, "State"), "Active");
    assert_string_equal(lr_text(r, "LastUpdateStatus"), "Successful");
    assert_false(lr_has(r, "StateReason"));
    assert_false(lr_has(r, "StateReasonCode"));
    assert_string_not_equal(lr_text(r, "RevisionId"), first);
}

static void everything_that_was_not_given_has_its_default(void **state)
{
    struct lr *r = *state;
    lr_create(r, "f");
    assert_string_equal(lr_text(r, "Description"), "");
    assert_int_equal(json_integer_value(lr_get(r, "Timeout")), 3);
    assert_int_equal(json_integer_value(lr_get(r, "MemorySize")), 128);
    assert_string_equal(lr_text(r, "PackageType"), "Zip");
    assert_string_equal(lr_text(r, "TracingConfig.Mode"), "PassThrough");
    assert_int_equal(json_integer_value(lr_get(r, "EphemeralStorage.Size")), 512);
    assert_string_equal(lr_text(r, "SnapStart.ApplyOn"), "None");
    assert_string_equal(lr_text(r, "SnapStart.OptimizationStatus"), "Off");
    assert_string_equal(lr_text(r, "LoggingConfig.LogFormat"), "Text");
    assert_string_equal(lr_text(r, "LoggingConfig.LogGroup"), "/aws/lambda/f");
    assert_true(hd_str_starts(hd_str(lr_text(r, "RuntimeVersionConfig.RuntimeVersionArn")),
                              hd_str("arn:aws:lambda:us-east-1::runtime:")));
    assert_int_equal(strlen(lr_text(r, CODE_SHA)), 44);
    assert_true(json_integer_value(lr_get(r, "CodeSize")) > 100);
    static const char *const unset[] = {"Environment",        "VpcConfig", "DeadLetterConfig",
                                        "KMSKeyArn",          "Layers",    "FileSystemConfigs",
                                        "ImageConfigResponse"};
    for (size_t i = 0; i < HD_COUNT(unset); i++)
        assert_false(lr_has(r, unset[i]));
}

static void what_is_given_comes_back(void **state)
{
    struct lr *r = *state;
    json_t *more = json_pack(
        "{s:s, s:i, s:i, s:{s:{s:s}}, s:{s:s}, s:{s:i}, s:{s:s}, s:{s:s}, s:{s:s, s:s, s:s},"
        " s:{s:[s], s:[s]}, s:s, s:{s:s}}",
        "Description", "d", "Timeout", 900, "MemorySize", 10240, "Environment", "Variables", "AB",
        "1", "TracingConfig", "Mode", "Active", "EphemeralStorage", "Size", 1024, "SnapStart",
        "ApplyOn", "PublishedVersions", "DeadLetterConfig", "TargetArn",
        "arn:aws:sqs:us-east-1:000000000000:q", "LoggingConfig", "LogFormat", "JSON",
        "ApplicationLogLevel", "WARN", "LogGroup", "/mine", "VpcConfig", "SubnetIds", "subnet-1",
        "SecurityGroupIds", "sg-1", "KMSKeyArn", "arn:aws:kms:us-east-1:000000000000:key/x", "Tags",
        "team", "a");
    json_t *body = lr_function(r, "f");
    json_object_update(body, more);
    json_decref(more);
    lr_ok(r, 201, POST, body);
    lr_ok(r, 200, "GET " F, NULL);
    assert_int_equal(json_integer_value(lr_get(r, "Configuration.Timeout")), 900);
    assert_int_equal(json_integer_value(lr_get(r, "Configuration.MemorySize")), 10240);
    assert_string_equal(lr_text(r, "Configuration.Environment.Variables.AB"), "1");
    assert_string_equal(lr_text(r, "Configuration.LoggingConfig.ApplicationLogLevel"), "WARN");
    assert_string_equal(lr_text(r, "Configuration.LoggingConfig.SystemLogLevel"), "INFO");
    assert_string_equal(lr_text(r, "Configuration.LoggingConfig.LogGroup"), "/mine");
    assert_string_equal(lr_text(r, "Configuration.VpcConfig.SubnetIds.0"), "subnet-1");
    assert_string_equal(lr_text(r, "Configuration.VpcConfig.VpcId"), "");
    assert_string_equal(lr_text(r, "Tags.team"), "a");
    assert_string_equal(lr_text(r, "Code.RepositoryType"), "S3");
}

static void names_in_every_form(void **state)
{
    static const char *const forms[] = {
        "GET /2015-03-31/functions/f",
        "GET /2015-03-31/functions/f/",
        "GET /2015-03-31/functions/f:$LATEST",
        "GET /2015-03-31/functions/f:%24LATEST",
        "GET /2015-03-31/functions/000000000000:function:f",
        "GET /2015-03-31/functions/000000000000%3Afunction%3Af",
        "GET /2015-03-31/functions/arn:aws:lambda:us-east-1:000000000000:function:f",
        "GET /2015-03-31/functions/arn%3Aaws%3Alambda%3Aus-east-1%3A000000000000%3Afunction%3Af",
        "GET /2015-03-31/functions/f?Qualifier=%24LATEST",
        "GET /2015-03-31/functions/f?Qualifier=",
        "GET /2015-03-31/functions/f:$LATEST?Qualifier=$LATEST",
    };
    struct lr *r = *state;
    lr_create(r, "f");
    for (size_t i = 0; i < HD_COUNT(forms); i++) {
        lr_ok(r, 200, forms[i], NULL);
        assert_string_equal(lr_text(r, "Configuration.FunctionName"), "f");
    }
    lr_ok(r, 200, "GET " F "?Qualifier=$LATEST", NULL);
    assert_string_equal(lr_text(r, "Configuration.FunctionArn"), LR_ARN "f:$LATEST");
}

static void what_is_not_there_is_named(void **state)
{
    struct lr *r = *state;
    lr_refused(r, 404, NOT_FOUND, "Function not found: " LR_ARN "f", "GET " F, NULL);
    assert_string_equal(lr_text(r, "Type"), "User");
    assert_true(lr_has(r, "Message"));
    lr_refused(r, 404, NOT_FOUND, "Function not found: " LR_ARN "f:7", "GET " F "?Qualifier=7",
               NULL);
    lr_refused(r, 404, NOT_FOUND, "Function not found: " LR_ARN "f", "DELETE " F, NULL);
    lr_create(r, "f");
    lr_refused(r, 404, NOT_FOUND, "Function not found: " LR_ARN "f:7",
               "GET " F "/configuration?Qualifier=7", NULL);
    lr_refused(r, 404, NOT_FOUND, "Function not found: " LR_ARN "f:prod", "GET " F ":prod", NULL);
    lr_refused(
        r, 400, INVALID,
        "The derived qualifier from the function name does not match the specified qualifier.",
        "GET " F ":1?Qualifier=2", NULL);
    lr_refused(r, 404, NOT_FOUND,
               "Functions from 'eu-west-1' are not reachable in this region ('us-east-1')",
               "GET /2015-03-31/functions/arn:aws:lambda:eu-west-1:000000000000:function:f", NULL);
    lr_ask(r, "GET /2015-03-31/functions/111111111111:function:f", NULL);
    assert_int_equal(r->status, 403);
    assert_string_equal(r->type, "AccessDeniedException");
}

static void wrong_lines_and_bodies(void **state)
{
    struct lr *r = *state;
    lr_ask(r, "GET /2015-03-31/function", NULL);
    assert_int_equal(r->status, 404);
    assert_string_equal(r->type, "UnknownOperationException");
    lr_ask(r, "PATCH " F, NULL);
    assert_int_equal(r->status, 405);
    lr_ask(r, POST, "{\"FunctionName\":");
    assert_int_equal(r->status, 400);
    assert_string_equal(r->type, "SerializationException");
    lr_ask(r, POST, "[]");
    assert_string_equal(r->type, "SerializationException");
    lr_ask(r, "GET /2025-11-30/capacity-providers", NULL);
    assert_int_equal(r->status, 404);
    assert_non_null(strstr(r->text, "ListCapacityProviders is not offered"));
    lr_refused(r, 400, "SerializationException",
               "STRING_VALUE can not be converted to an Integer: 'Timeout'", POST,
               with(lr_function(r, "f"), "Timeout", json_string("3")));
    lr_refused(r, 400, "ValidationException",
               "1 validation error detected: Value null at 'role' failed to satisfy constraint:"
               " Member must not be null",
               POST, with(lr_function(r, "f"), "Role", json_null()));
    lr_refused(r, 400, "SerializationException",
               "STRING_VALUE can not be converted to an Integer: 'MaxItems'",
               "GET " LR_FUNCTIONS "?MaxItems=x", NULL);
    lr_refused(r, 400, "SerializationException",
               "the value of 'FunctionName' has a broken"
               " percent-escape",
               "GET " LR_FUNCTIONS "/a%2", NULL);
}

static void rules_between_members(void **state)
{
    struct lr *r = *state;
    static const char long_name[] =
        "nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn"; /* 65 */
    lr_ask(r, POST, NULL);
    assert_string_equal(r->type, "ValidationException");
    lr_refused(
        r, 400, INVALID,
        "1 validation error detected: Value 'nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn"
        "nnnnnnnnnnnnnnnnn' at 'functionName' failed to satisfy constraint: Member must have"
        " length less than or equal to 64",
        POST, lr_function(r, long_name));
    lr_refused(r, 400, INVALID,
               "Runtime and Handler are mandatory parameters for functions created with deployment"
               " packages.",
               POST, with(lr_function(r, "f"), "Handler", json_null()));
    lr_refused(r, 400, INVALID,
               "The runtime parameter of nodejs12.x is no longer supported for creating or updating"
               " AWS Lambda functions. We recommend you use a supported runtime while creating or"
               " updating functions.",
               POST, with(lr_function(r, "f"), "Runtime", json_string("nodejs12.x")));
    lr_ask(r, POST, NULL);
    json_t *body = with(lr_function(r, "f"), "Runtime", json_string("NodeJS20.x"));
    hd_auto_free char *text = json_dumps(body, 0);
    json_decref(body);
    lr_ask(r, POST, text);
    assert_string_equal(r->type, INVALID);
    assert_non_null(strstr(r->text, "Value NodeJS20.x at 'runtime' failed to satisfy constraint:"));
    assert_non_null(strstr(r->text, "or be a valid ARN"));
    lr_refused(
        r, 400, INVALID,
        "Lambda was unable to configure your environment variables because the environment"
        " variables you have provided contains reserved keys that are currently not supported"
        " for modification. Reserved keys used in this request: AWS_REGION, AWS_LAMBDA_RUNTIME_API",
        POST,
        with(lr_function(r, "f"), "Environment",
             json_pack("{s:{s:s, s:s}}", "Variables", "AWS_REGION", "x", "AWS_LAMBDA_RUNTIME_API",
                       "y")));
    lr_refused(r, 400, INVALID, "DurableConfig is not offered by this server: leave it out.", POST,
               with(lr_function(r, "f"), "DurableConfig", json_object()));
    lr_refused(
        r, 400, INVALID,
        "To use ApplicationLogLevel or SystemLogLevel, you must set your log format to JSON.", POST,
        with(lr_function(r, "f"), "LoggingConfig", json_pack("{s:s}", "SystemLogLevel", "WARN")));
    assert_null(lr_version(r, "f", "")); /* none of these left anything */
}

static void an_environment_has_a_limit(void **state)
{
    struct lr *r = *state;
    char value[4097];
    memset(value, 'x', sizeof(value));
    value[4096 - 9] = '\0'; /* {"AB":""} */
    json_t *fits = json_pack("{s:{s:s}}", "Variables", "AB", value);
    lr_ok(r, 201, POST, with(lr_function(r, "f"), "Environment", fits));
    value[4096 - 9] = 'x';
    value[4096 - 8] = '\0';
    hd_auto_free char *message = hd_printf(
        "Lambda was unable to configure your environment variables because the environment"
        " variables you have provided exceeded the 4KB limit. String measured:"
        " {\"AB\":\"%s\"}",
        value);
    json_t *over = json_pack("{s:{s:s}}", "Variables", "AB", value);
    lr_refused(r, 400, INVALID, message, POST, with(lr_function(r, "g"), "Environment", over));
}

/* --- code --- */

static void code_that_cannot_be_taken(void **state)
{
    struct lr *r = *state;
    lr_refused(r, 400, INVALID,
               "Could not unzip uploaded file. Please check your file, then try to upload again.",
               POST, with(lr_function(r, "f"), "Code", json_pack("{s:s}", "ZipFile", "bm8gemlw")));
    lr_refused(r, 400, INVALID, "Uploaded file must be a non-empty zip", POST,
               with(lr_function(r, "f"), "Code", json_pack("{s:s}", "ZipFile", "")));
    lr_refused(r, 400, "SerializationException", "ZipFile is not base64: wrong at character 2",
               POST, with(lr_function(r, "f"), "Code", json_pack("{s:s}", "ZipFile", "bm-8")));
    lr_refused(r, 400, INVALID, "Please provide a source for function code.", POST,
               with(lr_function(r, "f"), "Code", json_object()));
    lr_refused(
        r, 400, INVALID,
        "Please do not provide other FunctionCode parameters when providing a ZipFile.", POST,
        with(lr_function(r, "f"), "Code",
             json_pack("{s:s, s:s, s:s}", "ZipFile", r->zip, "S3Bucket", "bucket", "S3Key", "k")));
    lr_ask(r, POST, NULL);
    json_t *s3 = json_pack("{s:s, s:s}", "S3Bucket", "bucket", "S3Key", "k");
    lr_refused(r, 400, INVALID,
               "This server has no S3 endpoint to get code from: send it as ZipFile, or set the"
               " endpoint (AWS_ENDPOINT_URL_S3).",
               POST, with(lr_function(r, "f"), "Code", s3));
    assert_null(lr_version(r, "f", ""));
}

static void the_code_can_be_downloaded_until_the_link_ends(void **state)
{
    struct lr *r = *state;
    lr_create(r, "f");
    lr_ok(r, 200, "GET " F, NULL);
    static const char base[] = "http://127.0.0.1:8766";
    hd_auto_free char *link = hd_strdup(lr_text(r, "Code.Location"));
    assert_true(hd_str_starts(hd_str(link), hd_str(base)));
    hd_auto_free char *line = hd_printf("GET %s", link + sizeof(base) - 1);
    assert_true(hd_api_is_path(hd_str(link + sizeof(base) - 1)));
    assert_true(hd_api_is_download(hd_str(link + sizeof(base) - 1)));
    lr_ask(r, line, NULL);
    assert_int_equal(r->status, 200);
    assert_non_null(r->file);
    FILE *f = fopen(r->file, "r");
    char start[2];
    assert_int_equal(fread(start, 1, 2, f), 2);
    fclose(f);
    assert_memory_equal(start, "PK", 2);
    line[strlen(line) - 1] ^= 1;
    lr_ask(r, line, NULL);
    assert_int_equal(r->status, 403);
    char *expires = strstr(line, "expires=");
    expires[8] = '0';
    lr_ask(r, line, NULL);
    assert_int_equal(r->status, 403);
}

static void the_answers_hash_is_that_of_the_archive(void **state)
{
    struct lr *r = *state;
    /* The smallest archive there is: 22 bytes, no entries. */
    json_t *code = json_pack("{s:s}", "ZipFile", "UEsFBgAAAAAAAAAAAAAAAAAAAAAAAA==");
    lr_ok(r, 201, POST, with(lr_function(r, "f"), "Code", code));
    assert_string_equal(lr_text(r, CODE_SHA), "hznHbmgfkAkjuQDJ3w73XPQh05yrtUZQxLmtGbanbYU=");
    assert_int_equal(json_integer_value(lr_get(r, "CodeSize")), 22);
}

/* --- update --- */

static void an_update_makes_a_revision_for_each_step(void **state)
{
    struct lr *r = *state;
    char seen[4][40];
    lr_ok(r, 201, POST, lr_function(r, "f"));
    snprintf(seen[0], sizeof(seen[0]), "%s", lr_text(r, "RevisionId"));
    lr_settle(r, "f");
    snprintf(seen[1], sizeof(seen[1]), "%s", lr_text(r, "RevisionId"));
    lr_ok(r, 200, "PUT " F "/configuration", json_pack("{s:i}", "Timeout", 5));
    assert_string_equal(lr_text(r, "LastUpdateStatus"), "InProgress");
    assert_string_equal(lr_text(r, "LastUpdateStatusReasonCode"), "Creating");
    assert_string_equal(lr_text(r, "State"), "Active");
    assert_int_equal(json_integer_value(lr_get(r, "Timeout")), 5);
    snprintf(seen[2], sizeof(seen[2]), "%s", lr_text(r, "RevisionId"));
    lr_settle(r, "f");
    assert_string_equal(lr_text(r, "LastUpdateStatus"), "Successful");
    assert_false(lr_has(r, "LastUpdateStatusReason"));
    snprintf(seen[3], sizeof(seen[3]), "%s", lr_text(r, "RevisionId"));
    for (int i = 0; i < 4; i++)
        for (int k = 0; k < i; k++)
            assert_string_not_equal(seen[i], seen[k]);
    lr_refused(r, 412, "PreconditionFailedException",
               "The Revision Id provided does not match the latest Revision Id. Call the"
               " GetFunction/GetAlias API to retrieve the latest Revision Id",
               "PUT " F "/configuration", json_pack("{s:s}", "RevisionId", seen[2]));
    lr_ok(r, 200, "PUT " F "/configuration", json_pack("{s:s}", "RevisionId", seen[3]));
}

static void absent_members_stay_and_empty_ones_clear(void **state)
{
    struct lr *r = *state;
    json_t *body = lr_function(r, "f");
    with(body, "Environment", json_pack("{s:{s:s}}", "Variables", "AB", "1"));
    with(body, "DeadLetterConfig",
         json_pack("{s:s}", "TargetArn", "arn:aws:sqs:us-east-1:000000000000:q"));
    lr_ok(r, 201, POST, body);
    lr_settle(r, "f");
    lr_ok(r, 200, "PUT " F "/configuration", json_pack("{s:s}", "Description", "other"));
    assert_string_equal(lr_text(r, "Environment.Variables.AB"), "1");
    assert_true(lr_has(r, "DeadLetterConfig.TargetArn"));
    lr_settle(r, "f");
    lr_ok(r, 200, "PUT " F "/configuration",
          json_pack("{s:{s:{}}, s:{s:s}}", "Environment", "Variables", "DeadLetterConfig",
                    "TargetArn", ""));
    assert_int_equal(json_object_size(lr_get(r, "Environment.Variables")), 0);
    assert_false(lr_has(r, "DeadLetterConfig"));
    assert_string_equal(lr_text(r, "Description"), "other");
}

static void two_updates_at_once_are_one_too_many(void **state)
{
    struct lr *r = *state;
    lr_create(r, "f");
    lr_ok(r, 200, "PUT " F "/configuration", json_pack("{s:i}", "Timeout", 5));
    /* The state moves on while the loop turns: ask before it can. */
    json_t *body = json_pack("{s:i}", "Timeout", 6);
    hd_auto_free char *text = json_dumps(body, 0);
    json_decref(body);
    lr_ask(r, "PUT " F "/configuration", text);
    if (r->status != 200) {
        assert_int_equal(r->status, 409);
        assert_string_equal(r->type, CONFLICT);
        assert_non_null(strstr(r->text,
                               "The operation cannot be performed at this time. An update is"
                               " in progress for resource: " LR_ARN "f"));
    }
}

static void new_code_is_what_is_launched_from_then_on(void **state)
{
    struct lr *r = *state;
    struct hd_lease old_lease, lease;
    struct hd_error err;
    lr_create(r, "f");
    const struct hd_view_version *before = lr_version(r, "f", "");
    struct hd_target *stale = hd_target_ref(before->target);
    const struct lr_launch *old = lr_take(r, before, &old_lease, &err);
    assert_non_null(old);
    assert_string_equal(old->runtime, "node");
    assert_string_equal(old->handler, "index.handler");
    assert_string_equal(old->qualifier, "$LATEST");
    hd_auto_free char *old_dir = hd_strdup(old->code_dir);

    hd_auto_free char *zip = lr_zip("index.js", "exports.handler = async () => 2");
    lr_ok(r, 200, "PUT " F "/code", json_pack("{s:s}", "ZipFile", zip));
    /* It was answered: nobody gets the old code any more, not even over the old view ... */
    struct hd_view_version late = {.number = "$LATEST", .target = stale};
    const struct lr_launch *now = lr_take(r, &late, &lease, &err);
    assert_non_null(now);
    assert_string_not_equal(now->code_dir, old_dir);
    lr_give(r, &lease);
    hd_target_unref(stale);
    /* ... and what runs goes on to its end. */
    assert_false(old->ended);
    lr_give(r, &old_lease);
    lr_settle(r, "f");
    assert_string_equal(lr_text(r, "LastUpdateStatus"), "Successful");
}

static void what_instances_can_see_makes_new_ones_and_other_things_do_not(void **state)
{
    static const struct {
        const char *member, *json;
        bool new_instances;
    } cases[] = {
        {"Timeout", "9", false},
        {"Description", "\"x\"", false},
        {"DeadLetterConfig", "{\"TargetArn\":\"arn:aws:sqs:us-east-1:000000000000:q\"}", false},
        {"MemorySize", "256", true},
        {"Environment", "{\"Variables\":{\"AB\":\"1\"}}", true},
        {"Environment", "{\"Variables\":{\"AB\":\"2\"}}", true},
        {"Environment", "{\"Variables\":{\"AB\":\"2\"}}", false},
        {"Handler", "\"index.other\"", true},
        {"Runtime", "\"nodejs22.x\"", true},
        {"EphemeralStorage", "{\"Size\":1024}", true},
        {"TracingConfig", "{\"Mode\":\"Active\"}", true},
        {"LoggingConfig", "{\"LogFormat\":\"JSON\"}", true},
        {"Role", "\"arn:aws:iam::000000000000:role/other\"", true},
    };
    struct lr *r = *state;
    lr_create(r, "f");
    struct hd_pool *pool = hd_pool_ref(lr_version(r, "f", "")->target->pool);
    for (size_t i = 0; i < HD_COUNT(cases); i++) {
        json_t *value = json_loads(cases[i].json, JSON_DECODE_ANY, NULL);
        lr_ok(r, 200, "PUT " F "/configuration", json_pack("{s:o}", cases[i].member, value));
        struct hd_pool *now = lr_version(r, "f", "")->target->pool;
        if ((now != pool) != cases[i].new_instances)
            fail_msg("%s %s", cases[i].member, cases[i].json);
        hd_pool_unref(pool);
        pool = hd_pool_ref(now);
        lr_settle(r, "f");
    }
    assert_int_equal(lr_version(r, "f", "")->target->timeout_ms, 9000);
    assert_int_equal(lr_version(r, "f", "")->target->memory_mb, 256);
    hd_pool_unref(pool);
}

static void a_dry_run_changes_nothing(void **state)
{
    struct lr *r = *state;
    lr_create(r, "f");
    hd_auto_free char *hash = hd_strdup(lr_text(r, CODE_SHA));
    hd_auto_free char *revision = hd_strdup(lr_text(r, "RevisionId"));
    hd_auto_free char *zip = lr_zip("index.js", "exports.handler = async () => 3");
    lr_ok(r, 200, "PUT " F "/code", json_pack("{s:s, s:b}", "ZipFile", zip, "DryRun", 1));
    assert_string_not_equal(lr_text(r, CODE_SHA), hash);
    lr_ok(r, 200, "GET " F "/configuration", NULL);
    assert_string_equal(lr_text(r, CODE_SHA), hash);
    assert_string_equal(lr_text(r, "RevisionId"), revision);
    lr_refused(r, 400, INVALID,
               "Could not unzip uploaded file. Please check your file, then try to upload again.",
               "PUT " F "/code", json_pack("{s:s, s:b}", "ZipFile", "bm8gemlw", "DryRun", 1));
}

static void packages_do_not_change_their_kind(void **state)
{
    struct lr *r = *state;
    lr_create(r, "f");
    lr_refused(r, 400, INVALID,
               "Please don't provide ImageUri when updating a function with packageType Zip.",
               "PUT " F "/code", json_pack("{s:s}", "ImageUri", "repo/image:1"));
    lr_ok(r, 201, POST,
          json_pack("{s:s, s:s, s:s, s:{s:s}, s:{s:[s]}}", "FunctionName", "image", "Role", LR_ROLE,
                    "PackageType", "Image", "Code", "ImageUri", "repo/image:1", "ImageConfig",
                    "Command", "run"));
    lr_settle(r, "image");
    assert_string_equal(lr_text(r, "ImageConfigResponse.ImageConfig.Command.0"), "run");
    assert_false(lr_has(r, "Runtime"));
    lr_ok(r, 200, "GET " LR_FUNCTIONS "/image", NULL);
    assert_string_equal(lr_text(r, "Code.RepositoryType"), "ECR");
    assert_string_equal(lr_text(r, "Code.ImageUri"), "repo/image:1");
    lr_refused(r, 400, INVALID,
               "Please provide ImageUri when updating a function with packageType Image.",
               "PUT " LR_FUNCTIONS "/image/code", json_pack("{s:s}", "ZipFile", r->zip));
}

/* --- list and delete --- */

static void a_list_goes_on_where_it_was(void **state)
{
    struct lr *r = *state;
    static const char *const names[] = {"a", "b", "c", "d", "e"};
    for (size_t i = 0; i < HD_COUNT(names); i++)
        lr_create(r, names[i]);
    lr_ok(r, 200, "GET " LR_FUNCTIONS "?MaxItems=2", NULL);
    assert_int_equal(json_array_size(lr_get(r, "Functions")), 2);
    assert_string_equal(lr_text(r, "Functions.0.FunctionName"), "a");
    assert_string_equal(lr_text(r, "Functions.1.FunctionName"), "b");
    assert_string_equal(lr_text(r, "Functions.1.FunctionArn"), LR_ARN "b");
    static const char *const not_shown[] = {"State", "LastUpdateStatus", "RuntimeVersionConfig"};
    for (size_t i = 0; i < HD_COUNT(not_shown); i++)
        assert_null(json_object_get(lr_get(r, "Functions.0"), not_shown[i]));
    hd_auto_free char *line =
        hd_printf("GET " LR_FUNCTIONS "?MaxItems=2&Marker=%s", lr_text(r, "NextMarker"));
    /* Neither what is gone nor what is new in front disturbs the next page. */
    lr_ok(r, 204, "DELETE " LR_FUNCTIONS "/b", NULL);
    lr_create(r, "aa");
    lr_ok(r, 200, line, NULL);
    assert_string_equal(lr_text(r, "Functions.0.FunctionName"), "c");
    assert_string_equal(lr_text(r, "Functions.1.FunctionName"), "d");
    hd_auto_free char *last = hd_printf("GET " LR_FUNCTIONS "?Marker=%s", lr_text(r, "NextMarker"));
    lr_ok(r, 200, last, NULL);
    assert_int_equal(json_array_size(lr_get(r, "Functions")), 1);
    assert_false(lr_has(r, "NextMarker"));
    lr_refused(r, 400, INVALID,
               "The Marker provided is not valid: it was not made by ListFunctions.",
               "GET " LR_FUNCTIONS "?Marker=nonsense", NULL);
    lr_ok(r, 200, "GET " LR_FUNCTIONS "?MasterRegion=eu-west-1", NULL);
    assert_int_equal(json_array_size(lr_get(r, "Functions")), 0);
}

static void what_was_deleted_is_gone_and_can_be_made_again(void **state)
{
    struct lr *r = *state;
    struct hd_lease lease;
    struct hd_error err;
    lr_create(r, "f");
    const struct lr_launch *old = lr_take(r, lr_version(r, "f", ""), &lease, &err);
    assert_non_null(old);
    lr_refused(r, 409, CONFLICT, "Function already exist: f", POST, lr_function(r, "f"));
    lr_ok(r, 204, "DELETE " F, NULL);
    assert_string_equal(r->text, "");
    assert_null(lr_version(r, "f", ""));
    lr_ask(r, "GET " F, NULL);
    assert_int_equal(r->status, 404);
    lr_create(r, "f");
    struct hd_lease again;
    const struct lr_launch *fresh = lr_take(r, lr_version(r, "f", ""), &again, &err);
    assert_non_null(fresh);
    assert_ptr_not_equal(fresh, old); /* an instance of the old one is never met */
    lr_give(r, &again);
    lr_give(r, &lease);
    lr_refused(r, 400, INVALID, "$LATEST version cannot be deleted without deleting the function.",
               "DELETE " F "?Qualifier=$LATEST", NULL);
    lr_refused(r, 400, INVALID, "Deletion of aliases is not currently supported.",
               "DELETE " F "?Qualifier=prod", NULL);
    lr_ok(r, 204, "DELETE " F "?Qualifier=7", NULL);
    lr_ok(r, 200, "GET " F, NULL);
}

static void accounts_and_regions_are_apart(void **state)
{
    struct lr *r = *state;
    lr_create(r, "f");
    assert_null(hd_view_find(r->view, hd_str("111111111111"), hd_str("us-east-1"), hd_str("f")));
    assert_null(hd_view_find(r->view, hd_str("000000000000"), hd_str("eu-west-1"), hd_str("f")));
    assert_non_null(
        hd_view_find(r->view, hd_str("000000000000"), hd_str("us-east-1"), hd_str("f")));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_new_function_is_pending_then_active),
        TEST(everything_that_was_not_given_has_its_default),
        TEST(what_is_given_comes_back),
        TEST(names_in_every_form),
        TEST(what_is_not_there_is_named),
        TEST(wrong_lines_and_bodies),
        TEST(rules_between_members),
        TEST(an_environment_has_a_limit),
        TEST(code_that_cannot_be_taken),
        TEST(the_code_can_be_downloaded_until_the_link_ends),
        TEST(the_answers_hash_is_that_of_the_archive),
        TEST(an_update_makes_a_revision_for_each_step),
        TEST(absent_members_stay_and_empty_ones_clear),
        TEST(two_updates_at_once_are_one_too_many),
        TEST(new_code_is_what_is_launched_from_then_on),
        TEST(what_instances_can_see_makes_new_ones_and_other_things_do_not),
        TEST(a_dry_run_changes_nothing),
        TEST(packages_do_not_change_their_kind),
        TEST(a_list_goes_on_where_it_was),
        TEST(what_was_deleted_is_gone_and_can_be_made_again),
        TEST(accounts_and_regions_are_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
