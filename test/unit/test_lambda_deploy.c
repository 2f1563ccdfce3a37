/* test/unit/test_lambda_deploy.c - what becomes of versions beyond the ordinary way: folders that
 * are code, images, runtimes that are not there, code that nobody needs. */
#include "core/clock.h"
#include "lambda/api/api_gc.h"
#include "lambda/deploy/deploy_task.h"
#include "lambda_rig.h"

#define POST "POST " LR_FUNCTIONS
#define F LR_FUNCTIONS "/f"

static int set_up(void **state)
{
    struct lr *r = hd_new(struct lr);
    lr_init(r);
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

/* --- folders --- */

static void a_change_in_a_folder_is_what_is_launched_next(void **state)
{
    struct lr *r = *state;
    struct hd_lease lease;
    struct hd_error err;
    r->opt.hot_reload = true;
    lr_open(r);
    tree_file(&r->tree, "code/index.js", "exports.handler = 1");
    const char *folder = tree_path(&r->tree, "code");
    hd_auto_free char *kept = hd_strdup(folder);
    json_t *code = json_pack("{s:s, s:s}", "S3Bucket", "hot-reload", "S3Key", kept);
    lr_ok(r, 201, POST, with(lr_function(r, "f"), "Code", code));
    lr_settle(r, "f");
    assert_string_equal(lr_text(r, "State"), "Active");
    const struct lr_launch *l = lr_take(r, lr_version(r, "f", ""), &lease, &err);
    assert_string_equal(l->code_dir, kept);
    lr_give(r, &lease);
    /* What the watch found new in the beginning may have made one more view; wait for its end. */
    lr_ok(r, 200, "GET " F, NULL);
    hd_auto_free char *location = hd_printf("file://%s", kept);
    assert_string_equal(lr_text(r, "Code.Location"), location);
    for (int i = 0; i < 3; i++) {
        struct hd_pool *before = hd_pool_ref(lr_version(r, "f", "")->target->pool);
        hd_auto_free char *text = hd_printf("exports.handler = %d", 2 + i);
        unsigned views = r->views;
        tree_file(&r->tree, "code/index.js", text);
        lr_until(r, &r->views, views + 1);
        assert_ptr_not_equal(lr_version(r, "f", "")->target->pool, before);
        hd_pool_unref(before);
    }
}

static void folders_have_rules(void **state)
{
    struct lr *r = *state;
    r->opt.hot_reload = true;
    lr_open(r);
    json_t *relative = json_pack("{s:s, s:s}", "S3Bucket", "hot-reload", "S3Key", "code");
    lr_refused(r, 400, "InvalidParameterValueException",
               "S3Key must be the absolute path of a folder, not \"code\"", POST,
               with(lr_function(r, "f"), "Code", relative));
    hd_auto_free char *missing = hd_strdup(tree_path(&r->tree, "missing"));
    hd_auto_free char *message = hd_printf("the folder %s: no such file or directory", missing);
    json_t *code = json_pack("{s:s, s:s}", "S3Bucket", "hot-reload", "S3Key", missing);
    lr_refused(r, 400, "InvalidParameterValueException", message, POST,
               with(lr_function(r, "f"), "Code", code));
    lr_close(r);
    r->opt.hot_reload = false;
    lr_open(r);
    json_t *off = json_pack("{s:s, s:s}", "S3Bucket", "hot-reload", "S3Key", missing);
    lr_ask(r, POST, NULL);
    json_t *body = with(lr_function(r, "f"), "Code", off);
    hd_auto_free char *text = json_dumps(body, 0);
    json_decref(body);
    lr_ask(r, POST, text);
    assert_int_equal(r->status, 400);
    assert_non_null(strstr(r->text, "no S3 endpoint"));
}

/* --- what this machine cannot run --- */

static const char *no_java(void *arg, const char *runtime, const char *architecture)
{
    (void)arg;
    if (strcmp(architecture, "arm64") == 0)
        return "this machine is x86_64";
    return runtime != NULL && hd_str_starts(hd_str(runtime), hd_str("java"))
               ? "java is not installed: apt install default-jre"
               : NULL;
}

static void a_runtime_that_is_not_there_fails_and_says_so(void **state)
{
    struct lr *r = *state;
    r->opt.runtime_problem = no_java;
    lr_open(r);
    lr_ok(r, 201, POST, with(lr_function(r, "f"), "Runtime", json_string("java21")));
    assert_string_equal(lr_text(r, "State"), "Pending");
    lr_settle(r, "f");
    assert_string_equal(lr_text(r, "State"), "Failed");
    assert_string_equal(lr_text(r, "StateReasonCode"), "InvalidRuntime");
    assert_string_equal(lr_text(r, "StateReason"),
                        "java is not installed: apt install default-jre");
    const struct hd_view_version *v = lr_version(r, "f", "");
    assert_int_equal(v->state, HD_LAMBDA_FAILED);
    assert_null(v->target->pool);
    assert_string_equal(v->target->problem, "java is not installed: apt install default-jre");
    assert_string_equal(v->target->problem_type, "InvalidRuntimeException");
    lr_ok(r, 201, POST, with(lr_function(r, "arm"), "Architectures", json_pack("[s]", "arm64")));
    lr_settle(r, "arm");
    assert_string_equal(lr_text(r, "State"), "Failed");
    /* When the machine has it, it is tried again. */
    lr_close(r);
    r->opt.runtime_problem = NULL;
    lr_open(r);
    lr_settle(r, "f");
    for (int i = 0; i < 1000 && strcmp(lr_text(r, "State"), "Active") != 0; i++)
        lr_ok(r, 200, "GET " F "/configuration", NULL);
    assert_string_equal(lr_text(r, "State"), "Active");
    assert_false(lr_has(r, "StateReason"));
}

static void an_update_that_fails_leaves_the_old_code_in_service(void **state)
{
    struct lr *r = *state;
    r->opt.runtime_problem = no_java;
    lr_open(r);
    lr_create(r, "f");
    struct hd_pool *before = hd_pool_ref(lr_version(r, "f", "")->target->pool);
    for (int i = 0; i < 2; i++) { /* failing twice is no worse */
        lr_ok(r, 200, "PUT " F "/configuration", json_pack("{s:s}", "Runtime", "java21"));
        assert_ptr_equal(lr_version(r, "f", "")->target->pool, before);
        lr_settle(r, "f");
        assert_string_equal(lr_text(r, "LastUpdateStatus"), "Failed");
        assert_string_equal(lr_text(r, "LastUpdateStatusReasonCode"), "InvalidRuntime");
        assert_string_equal(lr_text(r, "State"), "Active");
        assert_ptr_equal(lr_version(r, "f", "")->target->pool, before);
    }
    hd_pool_unref(before);
    lr_close(r);
    lr_open(r);
    struct hd_lease lease;
    struct hd_error err;
    assert_string_equal(lr_take(r, lr_version(r, "f", ""), &lease, &err)->runtime, "node");
    lr_give(r, &lease);
    lr_ok(r, 200, "PUT " F "/configuration", json_pack("{s:s}", "Runtime", "python3.12"));
    lr_settle(r, "f");
    assert_string_equal(lr_text(r, "LastUpdateStatus"), "Successful");
    assert_string_equal(lr_take(r, lr_version(r, "f", ""), &lease, &err)->runtime, "python");
    lr_give(r, &lease);
}

/* --- images --- */

struct pull {
    char image[64];
    void (*progress)(void *token, const char *text);
    void (*done)(void *token, const struct hd_error *err);
    void *token;
    unsigned asked;
} pull;

static void prepare_image(void *arg, const struct hd_launch *what,
                          void (*progress)(void *token, const char *text),
                          void (*done)(void *token, const struct hd_error *err), void *token)
{
    (void)arg;
    snprintf(pull.image, sizeof(pull.image), "%s", what->lambda->image);
    pull.progress = progress;
    pull.done = done;
    pull.token = token;
    pull.asked++;
}

static void an_image_is_fetched_before_it_serves(void **state)
{
    struct lr *r = *state;
    pull = (struct pull){.asked = 0};
    r->opt.prepare_image = prepare_image;
    lr_open(r);
    lr_ok(r, 201, POST,
          json_pack("{s:s, s:s, s:s, s:{s:s}}", "FunctionName", "f", "Role", LR_ROLE, "PackageType",
                    "Image", "Code", "ImageUri", "repo/image:1"));
    lr_until(r, &pull.asked, 1);
    assert_string_equal(pull.image, "repo/image:1");
    lr_ok(r, 200, "GET " F "/configuration", NULL);
    assert_string_equal(lr_text(r, "State"), "Pending");
    assert_null(lr_version(r, "f", "")->target->pool);
    pull.progress(pull.token, "Fetching: 1 of 2 MiB.");
    pull.progress(pull.token, "Fetching: 2 of 2 MiB.");
    lr_ok(r, 200, "GET " F "/configuration", NULL);
    assert_string_equal(lr_text(r, "StateReason"), "Fetching: 1 of 2 MiB.");
    assert_string_equal(lr_text(r, "StateReasonCode"), "Creating");
    lr_ask(r, "PUT " F "/configuration", "{\"Timeout\":5}");
    assert_int_equal(r->status, 409);
    assert_non_null(strstr(r->text, "The function is currently in the following state: Pending"));
    pull.done(pull.token, NULL);
    lr_settle(r, "f");
    assert_string_equal(lr_text(r, "State"), "Active");
    struct hd_pool *first = hd_pool_ref(lr_version(r, "f", "")->target->pool);

    /* The old one serves while the new one is on its way, and after that one failed. */
    lr_ok(r, 200, "PUT " F "/code", json_pack("{s:s}", "ImageUri", "repo/image:2"));
    lr_until(r, &pull.asked, 2);
    assert_ptr_equal(lr_version(r, "f", "")->target->pool, first);
    lr_refused(r, 409, "ResourceConflictException",
               "The operation cannot be performed at this time. An update is in progress for"
               " resource: " LR_ARN "f",
               "PUT " F "/configuration", json_pack("{s:i}", "Timeout", 5));
    lr_refused(r, 409, "ResourceConflictException",
               "The operation cannot be performed at this time. An update is in progress for"
               " resource: " LR_ARN "f",
               "POST " F "/versions", json_object());
    const struct hd_error gone = {.code = HD_ENOTFOUND, .msg = "no such image: repo/image:2"};
    pull.done(pull.token, &gone);
    lr_settle(r, "f");
    assert_string_equal(lr_text(r, "LastUpdateStatus"), "Failed");
    assert_string_equal(lr_text(r, "LastUpdateStatusReason"), "no such image: repo/image:2");
    assert_string_equal(lr_text(r, "LastUpdateStatusReasonCode"), "InvalidImage");
    assert_ptr_equal(lr_version(r, "f", "")->target->pool, first);
    hd_pool_unref(first);
}

/* A function can be deleted, and made again, while the old one still waits for its image. */
static void what_is_deleted_on_the_way_stays_deleted(void **state)
{
    struct lr *r = *state;
    pull = (struct pull){.asked = 0};
    r->opt.prepare_image = prepare_image;
    lr_open(r);
    json_t *body = json_pack("{s:s, s:s, s:s, s:{s:s}}", "FunctionName", "f", "Role", LR_ROLE,
                             "PackageType", "Image", "Code", "ImageUri", "repo/image:1");
    lr_ok(r, 201, POST, json_deep_copy(body));
    lr_until(r, &pull.asked, 1);
    struct pull old = pull;
    lr_ok(r, 204, "DELETE " F, NULL);
    lr_ok(r, 201, POST, body);
    lr_until(r, &pull.asked, 2);
    old.done(old.token, NULL);
    lr_ok(r, 200, "GET " F "/configuration", NULL);
    assert_string_equal(lr_text(r, "State"), "Pending"); /* its own image is still on the way */
    pull.done(pull.token, NULL);
    lr_settle(r, "f");
    assert_string_equal(lr_text(r, "State"), "Active");
}

/* --- provisioned --- */

static void provisioned_instances_follow_their_alias(void **state)
{
    struct lr *r = *state;
    lr_open(r);
    lr_create(r, "f");
    lr_ok(r, 201, "POST " F "/versions", json_object());
    lr_settle(r, "f:1");
    lr_ok(r, 200, "PUT " F "/configuration", json_pack("{s:i}", "Timeout", 9));
    lr_settle(r, "f");
    lr_ok(r, 201, "POST " F "/versions", json_object());
    lr_settle(r, "f:2");
    lr_ok(r, 201, "POST " F "/aliases",
          json_pack("{s:s, s:s}", "Name", "prod", "FunctionVersion", "1"));
    lr_ok(r, 202, "PUT /2019-09-30/functions/f/provisioned-concurrency?Qualifier=prod",
          json_pack("{s:i}", "ProvisionedConcurrentExecutions", 3));
    assert_int_equal(hd_provision_places(lr_version(r, "f", "1")->target->provision), 3);
    assert_int_equal(hd_provision_places(lr_version(r, "f", "2")->target->provision), 0);
    lr_ok(r, 200, "PUT " F "/aliases/prod", json_pack("{s:s}", "FunctionVersion", "2"));
    assert_int_equal(hd_provision_places(lr_version(r, "f", "1")->target->provision), 0);
    assert_int_equal(hd_provision_places(lr_version(r, "f", "2")->target->provision), 3);
    lr_ok(r, 204, "DELETE /2019-09-30/functions/f/provisioned-concurrency?Qualifier=prod", NULL);
    assert_int_equal(hd_provision_places(lr_version(r, "f", "2")->target->provision), 0);
}

/* --- what nobody needs --- */

static char *code_dir(struct lr *r, const char *name)
{
    struct hd_lease lease;
    struct hd_error err;
    char *dir = hd_strdup(lr_take(r, lr_version(r, name, ""), &lease, &err)->code_dir);
    lr_give(r, &lease);
    return dir;
}

static void tick(void *arg)
{
    ++*(unsigned *)arg;
}

/* Let the loop turn once or a few times. */
static void turn(struct lr *r)
{
    unsigned turned = 0;
    hd_loop_post(r->loop, tick, &turned);
    lr_until(r, &turned, 1);
}

static void code_goes_after_the_last_record_that_names_it(void **state)
{
    struct lr *r = *state;
    lr_open(r);
    lr_create(r, "f");
    lr_ok(r, 201, POST, lr_function(r, "twin")); /* the same archive */
    lr_settle(r, "twin");
    json_t *other = lr_function(r, "g");
    hd_auto_free char *zip = lr_zip("index.js", "exports.handler = 2");
    lr_ok(r, 201, POST, with(other, "Code", json_pack("{s:s}", "ZipFile", zip)));
    lr_settle(r, "g");
    hd_auto_free char *f = code_dir(r, "f"), *g = code_dir(r, "g");
    lr_ok(r, 204, "DELETE " F, NULL);
    lr_ok(r, 204, "DELETE " LR_FUNCTIONS "/g", NULL);
    /* The catalog of the API, walked by a collector in a hurry. */
    struct hd_catalog *catalog;
    assert_int_equal(hd_catalog_new(&catalog, r->store, r->loop, NULL), 0);
    const struct hd_api_gc_options opt = {
        .loop = r->loop, .catalog = catalog, .bundles = r->bundles, .first_ms = 1, .every_ms = 1};
    struct hd_api_gc *gc = hd_api_gc_new(&opt);
    uint64_t end = hd_clock_ms() + 60000;
    while (access(g, F_OK) == 0 && hd_clock_ms() < end)
        turn(r);
    hd_api_gc_stop(gc, NULL, NULL);
    while (hd_api_gc_is_busy(gc))
        turn(r);
    hd_api_gc_free(gc);
    hd_catalog_free(catalog);
    assert_int_equal(access(f, F_OK), 0); /* the twin needs it */
    assert_int_equal(access(g, F_OK), -1);
}

/* --- an account --- */

static void an_account_has_room_for_so_much_code(void **state)
{
    struct lr *r = *state;
    lr_open(r);
    lr_create(r, "f");
    uint64_t size = (uint64_t)json_integer_value(lr_get(r, "CodeSize"));
    lr_close(r);
    r->opt.limits.code_storage_bytes = 2 * size;
    lr_open(r);
    lr_ok(r, 201, POST, lr_function(r, "g"));
    lr_settle(r, "g");
    lr_refused(r, 400, "CodeStorageExceededException", "Code storage limit exceeded.", POST,
               lr_function(r, "h"));
    lr_refused(r, 400, "CodeStorageExceededException", "Code storage limit exceeded.",
               "POST " F "/versions", json_object());
    lr_ok(r, 204, "DELETE " LR_FUNCTIONS "/g", NULL);
    lr_ok(r, 201, "POST " F "/versions", json_object());
}

static void count_one(void *arg, const struct hd_api_count *count)
{
    struct hd_api_count *sum = arg;
    if (strcmp(count->operation, sum->operation) == 0)
        *sum = *count;
}

static void requests_are_counted_by_operation(void **state)
{
    struct lr *r = *state;
    lr_open(r);
    lr_create(r, "f");
    lr_ask(r, "GET " LR_FUNCTIONS "/none", NULL);
    lr_ask(r, "GET " LR_FUNCTIONS "/none", NULL);
    lr_ask(r, "GET " F, NULL);
    lr_ask(r, "GET /2015-03-31/nothing", NULL);
    struct hd_api_count get = {.operation = "GetFunction"}, list = {.operation = "ListFunctions"};
    hd_api_each_count(r->api, count_one, &get);
    hd_api_each_count(r->api, count_one, &list);
    assert_int_equal(get.answered, 1);
    assert_int_equal(get.refused, 2);
    assert_int_equal(get.failed, 0);
    assert_int_equal(list.answered + list.refused, 0);
}

struct raw {
    unsigned status, done;
    char type[64];
};

static void on_raw(void *arg, const struct hd_api_answer *answer)
{
    struct raw *raw = arg;
    raw->status = answer->status;
    snprintf(raw->type, sizeof(raw->type), "%s",
             answer->error_type != NULL ? answer->error_type : "");
    raw->done = 1;
}

static void accounts_and_regions_have_a_form(void **state)
{
    static const struct {
        const char *account, *region;
        unsigned status;
    } cases[] = {
        {"000000000000", "eu-west-1", 200},
        {"", "", 200},
        {"123456789012", "us-east-1", 200},
        {"1234", "us-east-1", 403},
        {"000000000000", "a/b", 403},
        {"000000000000", "a-region-of-more-than-32-characters", 403},
    };
    struct lr *r = *state;
    lr_open(r);
    for (size_t i = 0; i < HD_COUNT(cases); i++) {
        struct raw raw = {.done = 0};
        const struct hd_api_request request = {
            .method = HD_LIT("GET"),
            .path = HD_LIT("/2015-03-31/functions"),
            .caller = {.account = hd_str(cases[i].account), .region = hd_str(cases[i].region)}};
        hd_api_handle(r->api, &request, r->loop, on_raw, &raw);
        lr_until(r, &raw.done, 1);
        assert_int_equal(raw.status, cases[i].status);
    }
}

/* --- handlers --- */

static void handlers_are_looked_for_where_hosts_look(void **state)
{
    static const struct {
        const char *runtime, *handler;
        bool there;
    } cases[] = {
        {"node", "index.handler", true},
        {"node", "sub/mod.handler", true},
        {"node", "sub/mod.nested.handler", true},
        {"node", "common.handler", true},
        {"node", "missing.handler", false},
        {"python", "app.handler", true},
        {"python", "pkg.app.handler", true},
        {"python", "pkg/app.handler", true},
        {"python", "package.handler", true},
        {"python", "layered.handler", true},
        {"python", "missing.handler", false},
        {"provided", "anything", false},
        {"java", "anything", true},
    };
    struct lr *r = *state;
    static const char *const files[] = {
        "c/index.js",   "c/sub/mod.mjs",         "c/common.cjs",        "c/app.py",
        "c/pkg/app.py", "c/package/__init__.py", "l/python/layered.py", "l/nothing"};
    lr_open(r);
    for (size_t i = 0; i < HD_COUNT(files); i++)
        tree_file(&r->tree, files[i], "");
    hd_auto_free char *code = hd_strdup(tree_path(&r->tree, "c"));
    hd_auto_free char *layers = hd_strdup(tree_path(&r->tree, "l"));
    for (size_t i = 0; i < HD_COUNT(cases); i++)
        assert_int_equal(hd_deploy_has_handler(cases[i].runtime, cases[i].handler, code, layers),
                         cases[i].there);
    tree_file(&r->tree, "l/bootstrap", "");
    assert_true(hd_deploy_has_handler("provided", "", code, layers));
    assert_false(hd_deploy_has_handler("provided", "", code, NULL));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_change_in_a_folder_is_what_is_launched_next),
        TEST(folders_have_rules),
        TEST(a_runtime_that_is_not_there_fails_and_says_so),
        TEST(an_update_that_fails_leaves_the_old_code_in_service),
        TEST(an_image_is_fetched_before_it_serves),
        TEST(what_is_deleted_on_the_way_stays_deleted),
        TEST(provisioned_instances_follow_their_alias),
        TEST(code_goes_after_the_last_record_that_names_it),
        TEST(an_account_has_room_for_so_much_code),
        TEST(requests_are_counted_by_operation),
        TEST(accounts_and_regions_have_a_form),
        TEST(handlers_are_looked_for_where_hosts_look),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
