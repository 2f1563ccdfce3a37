/* test_lambdaenv.c - the environment of an instance. */
#include "pool/lambdaenv.h"
#include "test.h"

static const struct hd_launch_lambda lambda = {.runtime_id = "nodejs20.x",
                                               .region = "eu-west-3",
                                               .name = "resize",
                                               .qualifier = "7",
                                               .log_group = "/aws/lambda/resize"};
static const struct hd_lambdaenv_instance instance = {.log_stream = "stream",
                                                      .access_key_id = "ASIAX",
                                                      .secret_access_key = "s",
                                                      .session_token = "t"};

static struct hd_strings list(const struct hd_launch_lambda *l, const char *const *env,
                              const struct hd_lambdaenv_places *places)
{
    struct hd_strings out = {0};
    const struct hd_launch what = {
        .handler = "index.handler", .memory_mb = 256, .env = env, .lambda = l};
    hd_lambdaenv_list(&out, &what, places, &instance);
    return out;
}

/* @return the value, or NULL. */
static const char *get(const struct hd_strings *l, const char *name)
{
    const char *found = NULL;
    for (size_t i = 0; i < l->n; i++) {
        if (strncmp(l->items[i], name, strlen(name)) != 0 || l->items[i][strlen(name)] != '=')
            continue;
        assert_null(found); /* each name once */
        found = l->items[i] + strlen(name) + 1;
    }
    return found;
}

static void expect(const struct hd_strings *l, const char *name, const char *value)
{
    const char *got = get(l, name);
    if (value == NULL ? got != NULL : got == NULL || strcmp(got, value) != 0)
        fail_msg("%s: %s, expected %s", name, got != NULL ? got : "(none)",
                 value != NULL ? value : "(none)");
}

static void the_table_is_complete(void **state)
{
    static const struct {
        const char *name, *value;
    } table[] = {
        {"AWS_LAMBDA_FUNCTION_NAME", "resize"},
        {"AWS_LAMBDA_FUNCTION_VERSION", "7"},
        {"AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256"},
        {"AWS_LAMBDA_LOG_GROUP_NAME", "/aws/lambda/resize"},
        {"AWS_LAMBDA_LOG_STREAM_NAME", "stream"},
        {"AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand"},
        {"AWS_LAMBDA_LOG_FORMAT", "Text"},
        {"AWS_LAMBDA_LOG_LEVEL", NULL},
        {"AWS_REGION", "eu-west-3"},
        {"AWS_DEFAULT_REGION", "eu-west-3"},
        {"AWS_ACCESS_KEY_ID", "ASIAX"},
        {"AWS_SECRET_ACCESS_KEY", "s"},
        {"AWS_SESSION_TOKEN", "t"},
        {"AWS_EXECUTION_ENV", "AWS_Lambda_nodejs20.x"},
        {"AWS_XRAY_CONTEXT_MISSING", "LOG_ERROR"},
        {"AWS_XRAY_DAEMON_ADDRESS", NULL},
        {"AWS_LAMBDA_RUNTIME_API", NULL},
        {"AWS_ENDPOINT_URL", NULL},
        {"LAMBDA_TASK_ROOT", "/var/task"},
        {"LAMBDA_RUNTIME_DIR", "/var/runtime"},
        {"_HANDLER", "index.handler"},
        {"TZ", ":UTC"},
        {"LANG", "en_US.UTF-8"},
        {"PATH", "/var/lang/bin:/usr/local/bin:/usr/bin/:/bin:/opt/bin"},
        {"LD_LIBRARY_PATH", "/var/lang/lib:/lib64:/usr/lib64:/var/runtime:/var/runtime/lib:"
                            "/var/task:/var/task/lib:/opt/lib"},
        {"NODE_PATH", "/opt/nodejs/node20/node_modules:/opt/nodejs/node_modules:"
                      "/var/runtime/node_modules:/var/runtime:/var/task"},
        {"PYTHONPATH", NULL},
        {"PWD", "/var/task"},
        {"SHLVL", "0"},
    };
    const struct hd_lambdaenv_places places = {NULL};
    struct hd_strings l = list(&lambda, NULL, &places);
    size_t n = 0;
    for (size_t i = 0; i < HD_COUNT(table); i++) {
        expect(&l, table[i].name, table[i].value);
        n += table[i].value != NULL;
    }
    assert_int_equal(l.n, n); /* and nothing else */
    hd_strings_done(&l);
    (void)state;
}

static void each_runtime_has_its_own(void **state)
{
    static const struct {
        const char *id, *name, *value;
    } cases[] = {
        {"python3.11", "PYTHONPATH", "/var/runtime"},
        {"python3.11", "NODE_PATH", NULL},
        {"python3.11", "AWS_EXECUTION_ENV", "AWS_Lambda_python3.11"},
        {"provided.al2023", "AWS_EXECUTION_ENV", NULL},
        {"provided.al2023", "NODE_PATH", NULL},
        {NULL, "AWS_EXECUTION_ENV", NULL},
        {"ruby3.3", "GEM_PATH", "/var/task/vendor/bundle/ruby/3.3.0:/opt/ruby/gems/3.3.0"},
        {"ruby3.3", "RUBYLIB", "/var/task:/var/runtime/lib:/opt/ruby/lib"},
        {"java21", "CLASSPATH", "/var/task:/var/task/lib/*:/opt/java/lib/*"},
        {"nodejs22.x", "PYTHONPATH", NULL},
    };
    const struct hd_lambdaenv_places places = {NULL};
    for (size_t i = 0; i < HD_COUNT(cases); i++) {
        struct hd_launch_lambda one = lambda;
        one.runtime_id = cases[i].id;
        struct hd_strings l = list(&one, NULL, &places);
        expect(&l, cases[i].name, cases[i].value);
        hd_strings_done(&l);
    }
    (void)state;
}

static void settings_show(void **state)
{
    struct hd_launch_lambda one = lambda;
    const struct hd_lambdaenv_places places = {
        .runtime_api = "127.0.0.1:9001", .endpoint = "http://127.0.0.1:8766", .path = "/nodes/bin"};
    one.provisioned = one.log_json = true;
    one.log_level = "WARN";
    struct hd_strings l = list(&one, NULL, &places);
    expect(&l, "AWS_LAMBDA_INITIALIZATION_TYPE", "provisioned-concurrency");
    expect(&l, "AWS_LAMBDA_LOG_FORMAT", "JSON");
    expect(&l, "AWS_LAMBDA_LOG_LEVEL", "WARN");
    expect(&l, "AWS_LAMBDA_RUNTIME_API", "127.0.0.1:9001");
    expect(&l, "AWS_ENDPOINT_URL", "http://127.0.0.1:8766");
    expect(&l, "AWS_ENDPOINT_URL_LAMBDA", "http://127.0.0.1:8766");
    expect(&l, "PATH", "/var/lang/bin:/usr/local/bin:/usr/bin/:/bin:/opt/bin:/nodes/bin");
    hd_strings_done(&l);
    (void)state;
}

static void real_places_are_told_where_nothing_is_mounted(void **state)
{
    const struct hd_lambdaenv_places places = {
        .task_root = "/data/code", .runtime_dir = "/share/runtimes", .opt_dir = ""};
    struct hd_strings l = list(&lambda, NULL, &places);
    expect(&l, "LAMBDA_TASK_ROOT", "/data/code");
    expect(&l, "PWD", "/data/code");
    expect(&l, "PATH", "/var/lang/bin:/usr/local/bin:/usr/bin/:/bin");
    expect(&l, "NODE_PATH", "/share/runtimes/node_modules:/share/runtimes:/data/code");
    hd_strings_done(&l);
    (void)state;
}

static void the_functions_own_come_last(void **state)
{
    const char *const env[] = {
        "STAGE=prod", "TZ=Europe/Berlin", "EMPTY=", "A=b=c", "nonsense", NULL};
    const struct hd_lambdaenv_places places = {NULL};
    struct hd_strings l = list(&lambda, env, &places);
    expect(&l, "STAGE", "prod");
    expect(&l, "TZ", "Europe/Berlin");
    expect(&l, "EMPTY", "");
    expect(&l, "A", "b=c");
    hd_strings_done(&l);
    (void)state;
}

static void each_instance_is_different(void **state)
{
    uint8_t key[HD_LAMBDAENV_KEY_BYTES] = {1, 2, 3};
    struct hd_lambdaenv_instance a, b;
    char secret[HD_LAMBDAENV_SECRET_CHARS + 1];
    hd_lambdaenv_draw(&a, key, "$LATEST", NULL, 1767225600);
    hd_lambdaenv_draw(&b, key, "$LATEST", NULL, 1767225600);
    assert_memory_equal(a.log_stream, "2026/01/01/[$LATEST]", 20);
    assert_int_equal(strlen(a.log_stream), 20 + 32);
    assert_string_not_equal(a.log_stream, b.log_stream);
    assert_memory_equal(a.access_key_id, "ASIA", 4);
    assert_int_equal(strlen(a.access_key_id), HD_LAMBDAENV_KEY_ID_CHARS);
    assert_int_equal(strlen(a.secret_access_key), HD_LAMBDAENV_SECRET_CHARS);
    assert_int_equal(strlen(a.session_token), HD_LAMBDAENV_SESSION_CHARS);
    assert_string_not_equal(a.access_key_id, b.access_key_id);
    assert_string_not_equal(a.secret_access_key, b.secret_access_key);
    assert_int_equal(hd_lambdaenv_secret(secret, key, hd_str(a.access_key_id)), 0);
    assert_string_equal(secret, a.secret_access_key);
    key[0]++;
    assert_int_equal(hd_lambdaenv_secret(secret, key, hd_str(a.access_key_id)), 0);
    assert_string_not_equal(secret, a.secret_access_key);
    assert_int_equal(hd_lambdaenv_secret(secret, key, hd_str("AKIAIOSFODNN7EXAMPLE")),
                     HD_ENOTFOUND);
    assert_int_equal(hd_lambdaenv_secret(secret, key, hd_str("ASIA")), HD_ENOTFOUND);
    hd_lambdaenv_draw(&a, NULL, "7", "ABCDEFGHIJKLMNOP", 1767225600);
    assert_string_equal(a.access_key_id, "ASIAABCDEFGHIJKLMNOP");
    assert_true(hd_str_is(hd_lambdaenv_instance(hd_str(a.access_key_id)), "ABCDEFGHIJKLMNOP"));
    assert_int_equal(hd_lambdaenv_instance(hd_str("AKIAIOSFODNN7EXAMPLE")).len, 0);
    assert_int_equal(hd_lambdaenv_instance(hd_str("ASIA")).len, 0);
    assert_int_equal(hd_lambdaenv_secret(secret, key, hd_str(a.access_key_id)), 0);
    assert_string_not_equal(secret, a.secret_access_key);
    (void)state;
}

static void a_token_says_whose_it_is(void **state)
{
    uint8_t key[HD_LAMBDAENV_KEY_BYTES] = {1};
    struct hd_lambdaenv_instance drawn, other;
    struct hd_launch_lambda one = lambda;
    const struct hd_launch what = {.lambda = &one};
    const struct hd_lambdaenv_places places = {NULL};
    struct hd_strings l = {0};
    char account[13];
    one.account = "123456789012";
    hd_lambdaenv_draw(&drawn, key, "$LATEST", NULL, 0);
    hd_lambdaenv_draw(&other, key, "$LATEST", NULL, 0);
    hd_lambdaenv_list(&l, &what, &places, &drawn);
    hd_auto_free char *token = hd_strdup(get(&l, "AWS_SESSION_TOKEN"));
    struct hd_str id = hd_str(drawn.access_key_id);
    assert_true(hd_lambdaenv_account(account, key, id, hd_str(token)));
    assert_string_equal(account, "123456789012");
    assert_false(hd_lambdaenv_account(account, key, hd_str(other.access_key_id), hd_str(token)));
    assert_false(hd_lambdaenv_account(account, key, id, hd_str("")));
    token[0] = '9'; /* of another account */
    assert_false(hd_lambdaenv_account(account, key, id, hd_str(token)));
    token[0] = '1';
    key[0]++;
    assert_false(hd_lambdaenv_account(account, key, id, hd_str(token)));
    hd_strings_done(&l);
    (void)state;
}

static void some_names_are_not_for_everybody(void **state)
{
    static const struct {
        const char *name;
        bool reserved, for_extensions;
    } cases[] = {
        {"_HANDLER", true, false},
        {"AWS_REGION", true, true},
        {"AWS_ACCESS_KEY_ID", true, true},
        {"AWS_LAMBDA_RUNTIME_API", true, true},
        {"LAMBDA_TASK_ROOT", true, false},
        {"AWS_EXECUTION_ENV", true, false},
        {"AWS_XRAY_CONTEXT_MISSING", false, false},
        {"_ANYTHING", false, false},
        {"TZ", false, true},
        {"AWS_LAMBDA_EXEC_WRAPPER", false, true},
        {"aws_region", false, true},
    };
    for (size_t i = 0; i < HD_COUNT(cases); i++) {
        assert_int_equal(hd_lambdaenv_is_reserved(hd_str(cases[i].name)), cases[i].reserved);
        assert_int_equal(hd_lambdaenv_is_for_extensions(hd_str(cases[i].name)),
                         cases[i].for_extensions);
    }
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_table_is_complete),
        cmocka_unit_test(each_runtime_has_its_own),
        cmocka_unit_test(settings_show),
        cmocka_unit_test(real_places_are_told_where_nothing_is_mounted),
        cmocka_unit_test(the_functions_own_come_last),
        cmocka_unit_test(each_instance_is_different),
        cmocka_unit_test(a_token_says_whose_it_is),
        cmocka_unit_test(some_names_are_not_for_everybody),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
