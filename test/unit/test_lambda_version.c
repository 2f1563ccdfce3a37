/* test/unit/test_lambda_version.c - versions and aliases, and that everything is there again after
 * the node ended. */
#include "lambda/policy.h"
#include "lambda_rig.h"

#define INVALID "InvalidParameterValueException"
#define NOT_FOUND "ResourceNotFoundException"
#define CONFLICT "ResourceConflictException"
#define F LR_FUNCTIONS "/f"
#define PUBLISH "POST " F "/versions"
#define ALIASES F "/aliases"

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

/* Change the function so that the next publish makes a new version. */
static void change(struct lr *r, int timeout)
{
    lr_ok(r, 200, "PUT " F "/configuration", json_pack("{s:i}", "Timeout", timeout));
    lr_settle(r, "f");
}

static void publish(struct lr *r, const char *number)
{
    lr_ok(r, 201, PUBLISH, json_object());
    assert_string_equal(lr_text(r, "Version"), number);
    hd_auto_free char *name = hd_printf("f:%s", number);
    lr_settle(r, name);
}

/* --- versions --- */

static void a_version_is_pending_then_active_and_never_changes(void **state)
{
    struct lr *r = *state;
    lr_create(r, "f");
    lr_ok(r, 201, PUBLISH, json_pack("{s:s}", "Description", "first"));
    assert_string_equal(lr_text(r, "Version"), "1");
    assert_string_equal(lr_text(r, "FunctionArn"), LR_ARN "f:1");
    assert_string_equal(lr_text(r, "State"), "Pending");
    assert_string_equal(lr_text(r, "Description"), "first");
    lr_settle(r, "f:1");
    assert_string_equal(lr_text(r, "State"), "Active");
    hd_auto_free char *before = hd_strdup(r->text);
    change(r, 9);
    hd_auto_free char *zip = lr_zip("index.js", "exports.handler = 2");
    lr_ok(r, 200, "PUT " F "/code", json_pack("{s:s}", "ZipFile", zip));
    lr_settle(r, "f");
    lr_settle(r, "f:1");
    assert_string_equal(r->text, before);
    assert_int_equal(lr_version(r, "f", "1")->target->timeout_ms, 3000);
    assert_int_equal(lr_version(r, "f", "")->target->timeout_ms, 9000);
    assert_string_equal(lr_version(r, "f", "1")->target->version, "1");
    struct hd_lease lease;
    struct hd_error err;
    assert_string_equal(lr_take(r, lr_version(r, "f", "1"), &lease, &err)->qualifier, "1");
    lr_give(r, &lease);
}

static void publishing_what_is_published_makes_nothing_new(void **state)
{
    struct lr *r = *state;
    lr_create(r, "f");
    publish(r, "1");
    publish(r, "1");
    lr_ok(r, 201, PUBLISH, json_pack("{s:s}", "Description", "another"));
    assert_string_equal(lr_text(r, "Version"), "1");
    change(r, 4);
    publish(r, "2");
    lr_ok(r, 204, "DELETE " F "?Qualifier=2", NULL);
    publish(r, "3"); /* a number is never used again */
    change(r, 5);
    change(r, 4);
    publish(r, "3");
}

static void publishing_has_conditions(void **state)
{
    struct lr *r = *state;
    lr_create(r, "f");
    hd_auto_free char *hash = hd_strdup(lr_text(r, "CodeSha256"));
    hd_auto_free char *message =
        hd_printf("CodeSHA256 (x) is different from current CodeSHA256 in $LATEST (%s). Please try"
                  " again with the CodeSHA256 in $LATEST.",
                  hash);
    lr_refused(r, 400, INVALID, message, PUBLISH, json_pack("{s:s}", "CodeSha256", "x"));
    lr_ask(r, PUBLISH, "{\"RevisionId\":\"x\"}");
    assert_int_equal(r->status, 412);
    lr_ok(r, 201, PUBLISH, json_pack("{s:s}", "CodeSha256", hash));
    lr_refused(r, 404, NOT_FOUND, "Function not found: " LR_ARN "g",
               "POST " LR_FUNCTIONS "/g/versions", json_object());
}

static void create_and_update_can_publish(void **state)
{
    struct lr *r = *state;
    json_t *body = lr_function(r, "f");
    json_object_set_new(body, "Publish", json_true());
    lr_ok(r, 201, "POST " LR_FUNCTIONS, body);
    assert_string_equal(lr_text(r, "Version"), "1");
    assert_string_equal(lr_text(r, "FunctionArn"), LR_ARN "f");
    lr_settle(r, "f");
    lr_settle(r, "f:1");
    assert_string_equal(lr_text(r, "State"), "Active");
    hd_auto_free char *zip = lr_zip("index.js", "exports.handler = 2");
    lr_ok(r, 200, "PUT " F "/code", json_pack("{s:s, s:b}", "ZipFile", zip, "Publish", 1));
    assert_string_equal(lr_text(r, "Version"), "2");
    assert_string_equal(lr_text(r, "FunctionArn"), LR_ARN "f:2");
    assert_string_equal(lr_text(r, "State"), "Pending");
    lr_settle(r, "f:2");
    lr_settle(r, "f");
    publish(r, "2"); /* $LATEST is just that */
}

static void versions_are_listed_by_number(void **state)
{
    struct lr *r = *state;
    lr_create(r, "f");
    char number[8];
    for (int i = 1; i <= 11; i++) {
        change(r, 3 + i);
        snprintf(number, sizeof(number), "%d", i);
        publish(r, number);
    }
    lr_ok(r, 200, "GET " F "/versions?MaxItems=10", NULL);
    assert_int_equal(json_array_size(lr_get(r, "Versions")), 10);
    assert_string_equal(lr_text(r, "Versions.0.Version"), "$LATEST");
    assert_string_equal(lr_text(r, "Versions.0.FunctionArn"), LR_ARN "f:$LATEST");
    assert_string_equal(lr_text(r, "Versions.9.Version"), "9");
    assert_string_equal(lr_text(r, "Versions.9.FunctionArn"), LR_ARN "f:9");
    hd_auto_free char *line = hd_printf("GET " F "/versions?Marker=%s", lr_text(r, "NextMarker"));
    lr_ok(r, 200, line, NULL);
    assert_int_equal(json_array_size(lr_get(r, "Versions")), 2);
    assert_string_equal(lr_text(r, "Versions.0.Version"), "10");
    assert_string_equal(lr_text(r, "Versions.1.Version"), "11");
    assert_false(lr_has(r, "NextMarker"));
    lr_ok(r, 200, "GET " F "/versions?MaxItems=1", NULL);
    assert_int_equal(json_array_size(lr_get(r, "Versions")), 1);
    hd_auto_free char *second = hd_printf("GET " F "/versions?Marker=%s", lr_text(r, "NextMarker"));
    lr_ok(r, 200, second, NULL);
    assert_string_equal(lr_text(r, "Versions.0.Version"), "1");
    lr_create(r, "g");
    lr_ok(r, 200, "GET " LR_FUNCTIONS "?FunctionVersion=ALL&MaxItems=12", NULL);
    assert_string_equal(lr_text(r, "Functions.0.FunctionArn"), LR_ARN "f:$LATEST");
    assert_string_equal(lr_text(r, "Functions.11.FunctionArn"), LR_ARN "f:11");
    hd_auto_free char *all =
        hd_printf("GET " LR_FUNCTIONS "?FunctionVersion=ALL&Marker=%s", lr_text(r, "NextMarker"));
    lr_ok(r, 200, all, NULL);
    assert_int_equal(json_array_size(lr_get(r, "Functions")), 1);
    assert_string_equal(lr_text(r, "Functions.0.FunctionArn"), LR_ARN "g:$LATEST");
}

/* --- aliases --- */

static json_t *alias(const char *name, const char *version, const char *other, double weight)
{
    json_t *body = json_pack("{s:s, s:s}", "Name", name, "FunctionVersion", version);
    if (other != NULL)
        json_object_set_new(body, "RoutingConfig",
                            json_pack("{s:{s:f}}", "AdditionalVersionWeights", other, weight));
    return body;
}

static void with_two_versions(struct lr *r)
{
    lr_create(r, "f");
    publish(r, "1");
    change(r, 4);
    publish(r, "2");
}

static void an_alias_points_and_moves(void **state)
{
    struct lr *r = *state;
    with_two_versions(r);
    lr_ok(r, 201, "POST " ALIASES, alias("prod", "1", NULL, 0));
    assert_string_equal(lr_text(r, "AliasArn"), LR_ARN "f:prod");
    assert_string_equal(lr_text(r, "Description"), "");
    assert_false(lr_has(r, "RoutingConfig"));
    hd_auto_free char *revision = hd_strdup(lr_text(r, "RevisionId"));
    assert_string_equal(lr_version(r, "f", "prod")->number, "1");
    lr_ok(r, 200, "GET " LR_FUNCTIONS "/f:prod", NULL);
    assert_string_equal(lr_text(r, "Configuration.FunctionArn"), LR_ARN "f:prod");
    assert_string_equal(lr_text(r, "Configuration.Version"), "1");
    lr_ok(r, 200, "PUT " ALIASES "/prod",
          json_pack("{s:s, s:s}", "FunctionVersion", "2", "Description", "d"));
    assert_string_equal(lr_text(r, "FunctionVersion"), "2");
    assert_string_not_equal(lr_text(r, "RevisionId"), revision);
    assert_string_equal(lr_version(r, "f", "prod")->number, "2");
    lr_ask(r, "PUT " ALIASES "/prod", "{\"RevisionId\":\"x\"}");
    assert_int_equal(r->status, 412);
    lr_ok(r, 200, "GET " ALIASES "/prod", NULL);
    assert_string_equal(lr_text(r, "Description"), "d");
    lr_ok(r, 204, "DELETE " ALIASES "/prod", NULL);
    lr_ok(r, 204, "DELETE " ALIASES "/prod", NULL);
    assert_null(lr_version(r, "f", "prod"));
}

static void weights_share_invocations(void **state)
{
    struct lr *r = *state;
    with_two_versions(r);
    lr_ok(r, 201, "POST " ALIASES, alias("prod", "1", "2", 0.25));
    assert_true(json_number_value(lr_get(r, "RoutingConfig.AdditionalVersionWeights.2")) == 0.25);
    const struct hd_lambda_fn *fn =
        hd_view_find(r->view, hd_str("000000000000"), hd_str("us-east-1"), hd_str("f"));
    assert_string_equal(hd_view_resolve(fn, hd_str("prod"), 0.2)->number, "2");
    assert_string_equal(hd_view_resolve(fn, hd_str("prod"), 0.3)->number, "1");
    lr_ok(r, 200, "PUT " ALIASES "/prod", json_pack("{s:s}", "Description", "kept"));
    assert_true(lr_has(r, "RoutingConfig"));
    lr_ok(r, 200, "PUT " ALIASES "/prod", json_pack("{s:{}}", "RoutingConfig"));
    assert_false(lr_has(r, "RoutingConfig"));
    fn = hd_view_find(r->view, hd_str("000000000000"), hd_str("us-east-1"), hd_str("f"));
    assert_string_equal(hd_view_resolve(fn, hd_str("prod"), 0)->number, "1");
}

static void aliases_have_rules(void **state)
{
    struct lr *r = *state;
    with_two_versions(r);
    lr_refused(r, 404, NOT_FOUND, "Function not found: " LR_ARN "f:9", "POST " ALIASES,
               alias("a", "9", NULL, 0));
    lr_refused(r, 404, NOT_FOUND, "Function not found: " LR_ARN "f:9", "POST " ALIASES,
               alias("a", "1", "9", 0.5));
    lr_refused(r, 400, INVALID,
               "$LATEST is not supported for an alias pointing to more than 1 version",
               "POST " ALIASES, alias("a", "$LATEST", "1", 0.5));
    lr_refused(r, 400, INVALID,
               "Invalid function version 1. Function version 1 is already included in routing"
               " configuration.",
               "POST " ALIASES, alias("a", "1", "1", 0.5));
    json_t *two = alias("a", "1", "2", 0.5);
    json_object_set_new(
        json_object_get(json_object_get(two, "RoutingConfig"), "AdditionalVersionWeights"), "3",
        json_real(0.1));
    lr_refused(r, 400, INVALID,
               "Number of items in AdditionalVersionWeights cannot be greater than 1",
               "POST " ALIASES, two);
    lr_ask(r, "POST " ALIASES, "{\"Name\":\"7\",\"FunctionVersion\":\"1\"}");
    assert_string_equal(r->type, "ValidationException");
    lr_ask(r, "POST " ALIASES,
           "{\"Name\":\"a\",\"FunctionVersion\":\"1\","
           "\"RoutingConfig\":{\"AdditionalVersionWeights\":{\"2\":1.1}}}");
    assert_string_equal(r->type, "ValidationException");
    lr_ok(r, 201, "POST " ALIASES, alias("a", "$LATEST", NULL, 0));
    lr_refused(r, 409, CONFLICT, "Alias already exists: " LR_ARN "f:a", "POST " ALIASES,
               alias("a", "1", NULL, 0));
    lr_refused(r, 404, NOT_FOUND, "Cannot find alias arn: " LR_ARN "f:b", "GET " ALIASES "/b",
               NULL);
    lr_refused(r, 404, NOT_FOUND, "Alias not found: " LR_ARN "f:b", "PUT " ALIASES "/b",
               json_object());
    lr_ok(r, 201, "POST " ALIASES, alias("b", "1", "2", 0.5));
    lr_refused(r, 409, CONFLICT,
               "Unable to delete version because the following aliases reference it: [b]",
               "DELETE " F "?Qualifier=2", NULL);
}

static void aliases_are_listed_by_name(void **state)
{
    struct lr *r = *state;
    with_two_versions(r);
    lr_ok(r, 201, "POST " ALIASES, alias("b", "1", NULL, 0));
    lr_ok(r, 201, "POST " ALIASES, alias("a", "2", NULL, 0));
    lr_ok(r, 201, "POST " ALIASES, alias("c", "1", "2", 0.5));
    lr_ok(r, 200, "GET " ALIASES, NULL);
    assert_int_equal(json_array_size(lr_get(r, "Aliases")), 3);
    assert_string_equal(lr_text(r, "Aliases.0.Name"), "a");
    lr_ok(r, 200, "GET " ALIASES "?FunctionVersion=2&MaxItems=1", NULL);
    assert_string_equal(lr_text(r, "Aliases.0.Name"), "a");
    hd_auto_free char *line =
        hd_printf("GET " ALIASES "?FunctionVersion=2&Marker=%s", lr_text(r, "NextMarker"));
    lr_ok(r, 200, line, NULL);
    assert_int_equal(json_array_size(lr_get(r, "Aliases")), 1);
    assert_string_equal(lr_text(r, "Aliases.0.Name"), "c");
    assert_false(lr_has(r, "NextMarker"));
}

/* --- after a restart --- */

static void reopen(struct lr *r)
{
    lr_close(r);
    lr_open(r);
}

static char *answer(struct lr *r, const char *line)
{
    lr_ok(r, 200, line, NULL);
    return hd_strdup(r->text);
}

static void everything_is_there_again(void **state)
{
    static const char *const lines[] = {
        "GET " LR_FUNCTIONS,
        "GET " F "/configuration",
        "GET " F "/configuration?Qualifier=1",
        "GET " F "/versions",
        "GET " ALIASES,
        "GET " ALIASES "/prod",
        "GET " F "/concurrency",
    };
    struct lr *r = *state;
    char *before[HD_COUNT(lines)];
    with_two_versions(r);
    lr_ok(r, 201, "POST " ALIASES, alias("prod", "1", "2", 0.25));
    lr_ok(r, 200, "PUT /2017-10-31/functions/f/concurrency",
          json_pack("{s:i}", "ReservedConcurrentExecutions", 5));
    for (size_t i = 0; i < HD_COUNT(lines) - 1; i++)
        before[i] = answer(r, lines[i]);
    before[HD_COUNT(lines) - 1] = answer(r, "GET /2019-09-30/functions/f/concurrency");
    hd_auto_free char *link = answer(r, "GET " F);
    reopen(r);
    for (size_t i = 0; i < HD_COUNT(lines); i++) {
        hd_auto_free char *after = answer(
            r, i + 1 < HD_COUNT(lines) ? lines[i] : "GET /2019-09-30/functions/f/concurrency");
        assert_string_equal(after, before[i]);
        free(before[i]);
    }
    /* It can be called at once, with the code that it had ... */
    struct hd_lease lease;
    struct hd_error err;
    assert_int_equal(lr_version(r, "f", "1")->state, HD_LAMBDA_ACTIVE);
    assert_non_null(lr_take(r, lr_version(r, "f", "1"), &lease, &err));
    lr_give(r, &lease);
    /* ... numbers go on, and so do links. */
    change(r, 6);
    publish(r, "3");
    json_t *old = json_loads(link, 0, NULL);
    const char *location =
        json_string_value(json_object_get(json_object_get(old, "Code"), "Location"));
    hd_auto_free char *get = hd_printf("GET %s", strstr(location, "/_lambda"));
    json_decref(old);
    lr_ask(r, get, NULL);
    assert_int_equal(r->status, 200);
}

/* As a node leaves it that is killed between two states. */
static void what_was_under_way_goes_on(void **state)
{
    struct lr *r = *state;
    lr_create(r, "f");
    lr_close(r);
    struct hd_error err;
    const struct hd_store_options opt = {.path = tree_path(&r->tree, "state/heddle.db"),
                                         .boot_id = "other"};
    assert_int_equal(hd_store_open(&r->store, &opt, &err), 0);
    json_t *doc = json_loads(r->text, 0, NULL); /* the last configuration */
    json_object_del(doc, "LastUpdateStatus");
    json_object_set_new(doc, "State", json_string("Pending"));
    json_t *record = json_pack("{s:o, s:{s:s, s:i}, s:i}", "Config", doc, "Code", "Digest",
                               "0000000000000000000000000000000000000000000000000000000000000000",
                               "Size", 1, "NextVersion", 1);
    hd_auto_free char *text = json_dumps(record, 0);
    json_decref(record);
    struct hd_store_tx *tx = hd_store_begin(r->store);
    hd_store_put(tx, HD_RECORD_FUNCTION, hd_str("000000000000/us-east-1/f"), hd_str(text));
    hd_store_commit(tx, r->loop, NULL, NULL);
    hd_store_free(r->store);
    lr_open(r);
    lr_settle(r, "f");
    assert_string_equal(lr_text(r, "State"), "Active");
    assert_string_equal(lr_text(r, "LastUpdateStatus"), "Successful");
}

static void a_damaged_record_stops_the_start(void **state)
{
    struct lr *r = *state;
    lr_close(r);
    struct hd_error err;
    const struct hd_store_options opt = {.path = tree_path(&r->tree, "state/heddle.db"),
                                         .boot_id = "other"};
    assert_int_equal(hd_store_open(&r->store, &opt, &err), 0);
    struct hd_store_tx *tx = hd_store_begin(r->store);
    hd_store_put(tx, HD_RECORD_ALIAS, hd_str("000000000000/us-east-1/f/prod"),
                 hd_str("{\"Name\":"));
    hd_store_commit(tx, r->loop, NULL, NULL);
    hd_store_free(r->store);
    assert_int_equal(hd_store_open(&r->store, &opt, &err), 0);
    struct hd_api_options api = r->opt;
    api.store = r->store;
    assert_int_equal(hd_api_new(&r->api, &api, &err), HD_EINVAL);
    assert_non_null(strstr(err.msg, "\"000000000000/us-east-1/f/prod\" is damaged"));
    tx = hd_store_begin(r->store);
    hd_store_delete(tx, HD_RECORD_ALIAS, hd_str("000000000000/us-east-1/f/prod"));
    hd_store_commit(tx, r->loop, NULL, NULL);
    hd_store_free(r->store);
    lr_open(r);
}

/* --- concurrency in the view --- */

static void a_reservation_reaches_the_doors(void **state)
{
    struct lr *r = *state;
    lr_create(r, "f");
    const struct hd_lambda_fn *fn =
        hd_view_find(r->view, hd_str("000000000000"), hd_str("us-east-1"), hd_str("f"));
    struct hd_admission *admission = hd_admission_ref(fn->admission);
    lr_ok(r, 200, "PUT /2017-10-31/functions/f/concurrency",
          json_pack("{s:i}", "ReservedConcurrentExecutions", 0));
    struct hd_admission_slot slot = {.function = NULL};
    assert_int_equal(hd_admission_enter(&slot, admission, NULL), HD_THROTTLED_FUNCTION);
    lr_ok(r, 204, "DELETE /2017-10-31/functions/f/concurrency", NULL);
    assert_int_equal(hd_admission_enter(&slot, admission, NULL), HD_ADMITTED);
    hd_admission_leave(&slot);
    hd_admission_unref(admission);
}

static void what_hangs_on_a_function_reaches_the_doors(void **state)
{
    struct lr *r = *state;
    with_two_versions(r);
    lr_ok(r, 201, "POST " ALIASES, alias("prod", "1", NULL, 0));
    lr_ok(r, 200, "PUT " F "/configuration",
          json_pack("{s:{s:s}}", "DeadLetterConfig", "TargetArn",
                    "arn:aws:sqs:us-east-1:000000000000:dead"));
    lr_ok(r, 200, "PUT /2019-09-25/functions/f/event-invoke-config?Qualifier=prod",
          json_pack("{s:i}", "MaximumRetryAttempts", 1));
    lr_ok(r, 201, "POST /2021-10-31/functions/f/url?Qualifier=prod",
          json_pack("{s:s, s:s, s:{s:[s], s:i}}", "AuthType", "AWS_IAM", "InvokeMode",
                    "RESPONSE_STREAM", "Cors", "AllowOrigins", "https://a.example", "MaxAge", 60));
    hd_auto_free char *address = hd_strdup(lr_text(r, "FunctionUrl"));
    lr_ok(r, 201, "POST " F "/policy",
          json_pack("{s:s, s:s, s:s}", "StatementId", "s", "Action", "lambda:InvokeFunction",
                    "Principal", "111122223333"));
    const struct hd_lambda_fn *fn =
        hd_view_find(r->view, hd_str("000000000000"), hd_str("us-east-1"), hd_str("f"));
    assert_string_equal(fn->arn, LR_ARN "f");
    assert_string_equal(fn->dead_letter_arn, "arn:aws:sqs:us-east-1:000000000000:dead");
    assert_false(fn->recursion_allowed);
    const struct hd_view_event_config *config = hd_view_event_config(fn, hd_str("prod"));
    assert_int_equal(config->max_retries, 1);
    assert_int_equal(config->max_age_s, -1);
    assert_null(hd_view_event_config(fn, hd_str("")));
    const char *id = strstr(address, "//") + 2;
    const struct hd_view_url *url = hd_view_url(r->view, hd_str_n(id, strcspn(id, ".")));
    assert_ptr_equal(url->fn, fn);
    assert_string_equal(url->qualifier, "prod");
    assert_true(url->iam && url->stream && url->cors.given);
    assert_string_equal(url->cors.origins[0], "https://a.example");
    assert_null(url->cors.origins[1]);
    assert_int_equal(url->cors.max_age_s, 60);
    struct hd_policy_query query = {.action = HD_LIT("lambda:InvokeFunction"),
                                    .resource = HD_LIT(LR_ARN "f"),
                                    .owner = HD_LIT("000000000000"),
                                    .account = HD_LIT("111122223333")};
    assert_true(hd_policies_allow(fn->policies, &query));
    query.account = hd_str("999922223333");
    assert_false(hd_policies_allow(fn->policies, &query));
    /* All of it goes with the alias and the function. */
    lr_ok(r, 204, "DELETE " ALIASES "/prod", NULL);
    assert_null(hd_view_url(r->view, hd_str_n(id, strcspn(id, "."))));
    lr_ok(r, 204, "DELETE " F, NULL);
    lr_create(r, "f");
    fn = hd_view_find(r->view, hd_str("000000000000"), hd_str("us-east-1"), hd_str("f"));
    query.account = hd_str("111122223333");
    assert_false(hd_policies_allow(fn->policies, &query));
    assert_int_equal(fn->n_event_configs, 0);
    assert_null(fn->dead_letter_arn);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_version_is_pending_then_active_and_never_changes),
        TEST(publishing_what_is_published_makes_nothing_new),
        TEST(publishing_has_conditions),
        TEST(create_and_update_can_publish),
        TEST(versions_are_listed_by_number),
        TEST(an_alias_points_and_moves),
        TEST(weights_share_invocations),
        TEST(aliases_have_rules),
        TEST(aliases_are_listed_by_name),
        TEST(everything_is_there_again),
        TEST(what_was_under_way_goes_on),
        TEST(a_damaged_record_stops_the_start),
        TEST(a_reservation_reaches_the_doors),
        TEST(what_hangs_on_a_function_reaches_the_doors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
