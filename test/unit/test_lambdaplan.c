/* test_lambdaplan.c - from a function with Lambda semantics to its host process. */
#include "pool/process/lambdaplan.h"
#include "tree.h"

static const struct hd_interpreters interpreters = {
    .v = {{.family = HD_INTERPRETER_NODE, .path = "/usr/bin/true", .major = 20},
          {.family = HD_INTERPRETER_PYTHON, .path = "/usr/bin/false", .major = 3, .minor = 11}},
    .n = 2};
static const struct hd_process_options opt = {.runtimes_dir = "/share/runtimes",
                                              .run_dir = "/data/run",
                                              .state_dir = "/data",
                                              .bundles_dir = "/data/bundles",
                                              .shim_bin = "/usr/bin/env"};
static const struct hd_lambdaplan_site with_layout = {.opt = &opt,
                                                      .interpreters = &interpreters,
                                                      .parts = HD_SANDBOX_MOUNT | HD_SANDBOX_NET,
                                                      .layout = true,
                                                      .seen = true};
static const struct hd_lambdaplan_site plain = {.opt = &opt, .interpreters = &interpreters};

struct fn {
    struct hd_launch what;
    struct hd_launch_lambda lambda;
};

static void make(struct fn *f, const char *runtime, const char *id)
{
    *f = (struct fn){.lambda = {.runtime_id = id,
                                .code_dir = "/data/bundles/1/code",
                                .name = "f",
                                .arn = "arn",
                                .qualifier = "$LATEST"}};
    f->what = (struct hd_launch){.function = "f",
                                 .version = "0",
                                 .runtime = runtime,
                                 .handler = "index.handler",
                                 .memory_mb = 128,
                                 .timeout_ms = 3000,
                                 .lambda = &f->lambda};
}

static void plan(struct hd_hostplan *p, const struct hd_lambdaplan_site *site, const struct fn *f)
{
    struct hd_error err;
    if (hd_lambdaplan_make(p, site, &f->what, NULL, &err) < 0)
        fail_msg("%s", err.msg);
    hd_hostplan_settle(p, "/data/run/7");
}

static void expect_list(const struct hd_spec_list *l, const char *expected)
{
    char got[2000] = "";
    for (size_t i = 0; i < l->n; i++)
        snprintf(got + strlen(got), sizeof(got) - strlen(got), "%s%s", i > 0 ? " " : "", l->v[i]);
    assert_string_equal(got, expected);
}

static bool holds(const struct hd_spec_list *l, const char *item)
{
    for (size_t i = 0; i < l->n; i++)
        if (strcmp(l->v[i], item) == 0)
            return true;
    return false;
}

static void each_runtime_has_its_command(void **state)
{
    static const struct {
        const char *runtime, *id, *argv, *binds;
    } cases[] = {
        {"node", "nodejs20.x", "/usr/bin/true /var/runtime/node/host.mjs",
         "r:/var/runtime/node:/share/runtimes/node r:/var/runtime/common:/share/runtimes/common "
         "w:/run/heddle:/data/run/7 r:/run/heddle-code:/data/bundles"},
        {"python", "python3.11", "/usr/bin/false -I -u -B /var/runtime/python/host.py",
         "r:/var/runtime/python:/share/runtimes/python "
         "w:/run/heddle:/data/run/7 r:/run/heddle-code:/data/bundles"},
        {"provided", "provided.al2023", "/var/runtime/heddle-shim",
         "r:/var/runtime/heddle-shim:/usr/bin/env "
         "w:/run/heddle:/data/run/7 r:/run/heddle-code:/data/bundles"},
    };
    for (size_t i = 0; i < HD_COUNT(cases); i++) {
        struct hd_hostplan p;
        struct fn f;
        make(&f, cases[i].runtime, cases[i].id);
        plan(&p, &with_layout, &f);
        expect_list(&p.spec.argv, cases[i].argv);
        expect_list(&p.spec.binds, cases[i].binds);
        assert_true(p.host && p.late.there && p.late.possible);
        assert_string_equal(p.spec.cwd, "/var/task");
        assert_string_equal(p.late.hidden_code, "/run/heddle-code/1/code");
        assert_true(holds(&p.spec.env, "HEDDLE_SOCKET=/run/heddle/sock"));
        hd_hostplan_done(&p);
    }
    (void)state;
}

static void functions_of_one_runtime_can_share_a_host(void **state)
{
    struct hd_hostplan a, b;
    struct fn f, g;
    const char *const env[] = {"STAGE=prod", "NODE_ENV=production", NULL};
    make(&f, "node", "nodejs20.x");
    make(&g, "node", "nodejs22.x"); /* the same program runs it */
    g.what.memory_mb = 512;
    g.what.env = env;
    g.lambda.code_dir = "/data/bundles/2/code";
    g.lambda.opt_dir = "/data/bundles/3/code";
    plan(&a, &with_layout, &f);
    plan(&b, &with_layout, &g);
    assert_string_equal(a.key, b.key);
    assert_string_equal(b.late.hidden_opt, "/run/heddle-code/3/code");
    hd_lambdaplan_settle(&b);
    expect_list(&b.spec.binds,
                "r:/var/runtime/node:/share/runtimes/node "
                "r:/var/runtime/common:/share/runtimes/common w:/run/heddle:/data/run/7 "
                "r:/var/task:/data/bundles/2/code r:/opt:/data/bundles/3/code");
    assert_int_equal(b.spec.tmp_mb, 512);
    assert_false(b.late.there);
    hd_hostplan_done(&a);
    hd_hostplan_done(&b);
    (void)state;
}

static void a_larger_tmp_needs_a_host_that_was_started_with_it(void **state)
{
    struct hd_hostplan a, b;
    struct fn f;
    make(&f, "node", "nodejs20.x");
    plan(&a, &with_layout, &f);
    f.lambda.ephemeral_mb = 1024;
    plan(&b, &with_layout, &f);
    assert_string_not_equal(a.key, b.key);
    assert_int_equal(b.spec.tmp_mb, 1024);
    assert_int_equal(b.spec.max_file_bytes, 1024ull << 20);
    hd_hostplan_done(&a);
    hd_hostplan_done(&b);
    (void)state;
}

static void what_must_be_there_early_needs_a_host_of_its_own(void **state)
{
    static const struct {
        const char *pair;
        bool same;
    } cases[] = {{"NODE_OPTIONS=--x", false},
                 {"LD_PRELOAD=/opt/x.so", false},
                 {"MALLOC_ARENA_MAX=2", false},
                 {"LC_ALL=C", false},
                 {"NODE_PATH=/var/task/x", true},
                 {"NODE_ENV=x", true},
                 {"TZ=UTC", true},
                 {"ANYTHING=else", true}};
    for (size_t i = 0; i < HD_COUNT(cases); i++) {
        struct hd_hostplan a, b;
        struct fn f, g;
        const char *const env[] = {cases[i].pair, NULL};
        make(&f, "node", "nodejs20.x");
        make(&g, "node", "nodejs20.x");
        g.what.env = env;
        plan(&a, &with_layout, &f);
        plan(&b, &with_layout, &g);
        assert_int_equal(strcmp(a.key, b.key) == 0, cases[i].same);
        assert_int_equal(holds(&b.spec.env, cases[i].pair), !cases[i].same);
        hd_hostplan_done(&a);
        hd_hostplan_done(&b);
        make(&g, "provided", "provided.al2");
        g.what.env = env;
        plan(&b, &with_layout, &g);
        assert_false(holds(&b.spec.env, cases[i].pair)); /* the shim sees to it */
        hd_hostplan_done(&b);
    }
    (void)state;
}

static void code_that_lies_elsewhere_needs_a_host_of_its_own(void **state)
{
    struct hd_hostplan p;
    struct fn f;
    make(&f, "node", "nodejs20.x");
    f.lambda.code_dir = "/elsewhere/code"; /* a folder that somebody works in */
    plan(&p, &with_layout, &f);
    assert_null(p.key);
    assert_true(p.host);
    hd_lambdaplan_settle(&p);
    assert_true(holds(&p.spec.binds, "r:/var/task:/elsewhere/code"));
    assert_false(holds(&p.spec.binds, "r:/run/heddle-code:/data/bundles"));
    hd_hostplan_done(&p);
    (void)state;
}

static void without_mounts_it_is_told_real_paths(void **state)
{
    struct hd_hostplan p;
    struct hd_buf body;
    struct fn f;
    const struct hd_lambdaenv_instance instance = {.log_stream = "stream"};
    make(&f, "node", "nodejs20.x");
    f.lambda.opt_dir = "/data/bundles/3/code";
    plan(&p, &plain, &f);
    expect_list(&p.spec.argv, "/usr/bin/true /share/runtimes/node/host.mjs");
    assert_int_equal(p.spec.binds.n, 0);
    assert_true(p.late.possible); /* nothing has to be mounted */
    assert_true(holds(&p.spec.env, "HEDDLE_SOCKET=/data/run/7/sock"));
    hd_hostplan_done(&p);
    hd_buf_init(&body, 1 << 20);
    hd_lambdaplan_load_body(&body, &plain, &f.what, &instance);
    hd_auto_free char *json = hd_buf_take(&body);
    assert_non_null(strstr(json, "\"root\":\"/data/bundles/1/code\""));
    assert_non_null(strstr(json, "\"opt\":\"/data/bundles/3/code\""));
    assert_non_null(strstr(json, "\"LAMBDA_TASK_ROOT\":\"/data/bundles/1/code\""));
    assert_non_null(strstr(json, "\"logStream\":\"stream\""));
    (void)state;
}

static void a_network_of_its_own_has_the_known_port(void **state)
{
    static const char *const nothing[] = {NULL};
    struct hd_hostplan p;
    struct fn f;
    make(&f, "provided", "provided.al2023");
    f.what.net = nothing;
    plan(&p, &with_layout, &f);
    expect_list(&p.spec.argv, "/var/runtime/heddle-shim --port 9001");
    assert_true(p.spec.parts & HD_SANDBOX_NET);
    hd_hostplan_done(&p);
    (void)state;
}

static void programs_in_other_places_are_seen_as_a_language(void **state)
{
    struct tree t;
    struct hd_hostplan p;
    struct fn f;
    tree_make(&t);
    tree_file(&t, "node-v22/bin/node", "");
    assert_int_equal(chmod(tree_path(&t, "node-v22/bin/node"), 0755), 0);
    hd_auto_free char *path = hd_strdup(tree_path(&t, "node-v22/bin/node"));
    hd_auto_free char *bind = hd_printf("r:/var/lang:%s", tree_path(&t, "node-v22"));
    const struct hd_interpreters all = {
        .v = {{.family = HD_INTERPRETER_NODE, .path = path, .major = 22}}, .n = 1};
    struct hd_lambdaplan_site site = with_layout;
    site.interpreters = &all;
    make(&f, "node", "nodejs22.x");
    plan(&p, &site, &f);
    assert_string_equal(p.spec.argv.v[0], "/var/lang/bin/node");
    assert_true(holds(&p.spec.binds, bind));
    hd_hostplan_done(&p);
    tree_done(&t);
    (void)state;
}

static void what_cannot_run_is_said(void **state)
{
    static const struct {
        const char *runtime, *id, *why;
        int code;
    } cases[] = {{"java", "java21", "needs an image", HD_EINVAL},
                 {"node", "nodejs20.x", "apt-get install nodejs", HD_ENOTFOUND},
                 {"python", "python3.12", "apt-get install python3", HD_ENOTFOUND},
                 {"provided", "provided.al2", "heddle-shim", HD_ENOTFOUND}};
    static const struct hd_interpreters none = {.n = 0};
    static const struct hd_process_options bare = {.runtimes_dir = "/share/runtimes"};
    const struct hd_lambdaplan_site site = {.opt = &bare, .interpreters = &none};
    for (size_t i = 0; i < HD_COUNT(cases); i++) {
        struct hd_hostplan p;
        struct hd_error err;
        struct fn f;
        make(&f, cases[i].runtime, cases[i].id);
        assert_int_equal(hd_lambdaplan_make(&p, &site, &f.what, NULL, &err), cases[i].code);
        assert_non_null(strstr(err.msg, cases[i].why));
        f.lambda.code_dir = NULL;
        assert_int_equal(hd_lambdaplan_make(&p, &site, &f.what, NULL, &err), HD_EINVAL);
    }
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_runtime_has_its_command),
        cmocka_unit_test(functions_of_one_runtime_can_share_a_host),
        cmocka_unit_test(a_larger_tmp_needs_a_host_that_was_started_with_it),
        cmocka_unit_test(what_must_be_there_early_needs_a_host_of_its_own),
        cmocka_unit_test(code_that_lies_elsewhere_needs_a_host_of_its_own),
        cmocka_unit_test(without_mounts_it_is_told_real_paths),
        cmocka_unit_test(a_network_of_its_own_has_the_known_port),
        cmocka_unit_test(programs_in_other_places_are_seen_as_a_language),
        cmocka_unit_test(what_cannot_run_is_said),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
