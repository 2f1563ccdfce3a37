/* test_hostplan.c - commands, permission flags, keys, and the load request. */
#include "pool/process/hostplan.h"
#include "test.h"

#include <jansson.h>
#include <stdio.h>

static const struct hd_process_options opt = {.runtimes_dir = "/rt",
                                              .run_dir = "/run/h",
                                              .functions_root = "/f",
                                              .deno_bin = "/usr/bin/deno",
                                              .node_bin = "/usr/bin/node",
                                              .python_bin = "/usr/bin/python3",
                                              .default_pids = 100};

static struct hd_launch launch(const char *runtime)
{
    return (struct hd_launch){
        .function = "hello", .runtime = runtime, .root = "/f", .entry = "/f/hello/index.ts"};
}

static char *joined(const struct hd_spec_list *l)
{
    struct hd_buf b;
    hd_buf_init(&b, 1 << 20);
    for (size_t i = 0; i < l->n; i++)
        hd_buf_fmt(&b, "%s%s", i > 0 ? " " : "", l->v[i]);
    return hd_buf_take(&b);
}

static void expect_command(const struct hd_launch *w, bool cgroup, const char *expected)
{
    struct hd_hostplan p;
    struct hd_error err;
    if (hd_hostplan_make(&p, &opt, w, 0, cgroup, &err) < 0)
        fail_msg("%s", err.msg);
    hd_hostplan_settle(&p, "/run/h/7");
    hd_auto_free char *got = joined(&p.spec.argv);
    assert_string_equal(got, expected);
    hd_hostplan_done(&p);
}

static void a_function_that_is_a_link_to_elsewhere_sees_its_real_folder(void **state)
{
    const char *const none[] = {NULL};
    struct hd_launch w = launch("deno");
    w.read = none;
    static const struct {
        const char *dir;
        bool kept;
    } cases[] = {{NULL, false}, {"/f/hello", false}, {"/else/hello", true}, {"/fox/hello", true}};
    for (size_t i = 0; i < HD_COUNT(cases); i++) {
        struct hd_hostplan p;
        struct hd_error err;
        w.dir = cases[i].dir;
        assert_int_equal(hd_hostplan_make(&p, &opt, &w, 0, true, &err), 0);
        hd_auto_free char *keep = joined(&p.spec.keep), *argv = joined(&p.spec.argv);
        assert_int_equal(w.dir != NULL && strstr(keep, w.dir) != NULL, cases[i].kept);
        assert_int_equal(w.dir != NULL && strstr(argv, w.dir) != NULL, cases[i].kept);
        hd_hostplan_done(&p);
    }
    (void)state;
}

static void deno_gets_its_permissions_from_the_lists(void **state)
{
    static const char start[] = "/usr/bin/deno run --quiet --no-prompt --no-lock "
                                "--unstable-no-legacy-abort --no-config "
                                "--import-map=/rt/deno/imports.json ";
    const char *const none[] = {NULL}, *const hosts[] = {"a.example:443", "b.example", NULL};
    const char *const data[] = {"/data", NULL};
    struct hd_launch w = launch("deno");
    const char *const star[] = {"a", "*", NULL}, *const comma[] = {"/a,b", NULL};
    char expected[600];
    snprintf(expected, sizeof(expected), "%s--allow-all /rt/deno/host.ts", start);
    expect_command(&w, true, expected);
    w.net = hosts;
    snprintf(expected, sizeof(expected),
             "%s--allow-net=unix:/run/h/7/sock,a.example:443,b.example --allow-read --allow-write "
             "--allow-env /rt/deno/host.ts",
             start);
    expect_command(&w, true, expected);
    const char *const env[] = {"A=b", "HEDDLE_LANES_URL=http://127.0.0.1:7", NULL};
    w.env = env;
    snprintf(expected, sizeof(expected),
             "%s--allow-net=unix:/run/h/7/sock,127.0.0.1:7,a.example:443,b.example --allow-read "
             "--allow-write --allow-env /rt/deno/host.ts",
             start);
    expect_command(&w, true, expected);
    w.env = NULL;
    w.net = star;
    snprintf(expected, sizeof(expected), "%s--allow-all /rt/deno/host.ts", start);
    expect_command(&w, true, expected);
    w.net = none;
    w.read = data;
    w.write = none;
    snprintf(expected, sizeof(expected),
             "%s--allow-net=unix:/run/h/7/sock --allow-read=/f,/run/h/7,/data "
             "--allow-write=/run/h/7 --allow-env /rt/deno/host.ts",
             start);
    expect_command(&w, true, expected);
    struct hd_hostplan p;
    struct hd_error err;
    w.write = comma;
    assert_int_equal(hd_hostplan_make(&p, &opt, &w, 0, true, &err), HD_EINVAL);
    assert_non_null(strstr(err.msg, "permissions.write: \"/a,b\": must not have a comma"));
    (void)state;
}

static void an_import_map_is_named_by_the_flag_it_needs(void **state)
{
    static const struct {
        const char *file, *flags;
    } cases[] = {{"/f/deno.jsonc", "--config=/f/deno.jsonc"},
                 {"/f/hello/deno.json", "--config=/f/hello/deno.json"},
                 {"/f/import_map.json", "--no-config --import-map=/f/import_map.json"}};
    for (size_t i = 0; i < HD_COUNT(cases); i++) {
        struct hd_launch w = launch("deno");
        char expected[300];
        w.import_map = cases[i].file;
        snprintf(expected, sizeof(expected),
                 "/usr/bin/deno run --quiet --no-prompt --no-lock --unstable-no-legacy-abort %s "
                 "--allow-all /rt/deno/host.ts",
                 cases[i].flags);
        expect_command(&w, true, expected);
    }
    (void)state;
}

static void without_a_cgroup_the_runtime_limits_its_memory(void **state)
{
    struct hd_launch w = launch("node");
    struct hd_hostplan p;
    w.memory_mb = 128;
    expect_command(&w, true, "/usr/bin/node /rt/node/host.mjs");
    expect_command(&w, false, "/usr/bin/node --max-old-space-size=128 /rt/node/host.mjs");
    w.runtime = "python";
    expect_command(&w, false, "/usr/bin/python3 -I -u -B /rt/python/host.py");
    assert_int_equal(hd_hostplan_make(&p, &opt, &w, 0, false, NULL), 0);
    assert_int_equal(p.spec.max_data_bytes, (128 + 64) << 20);
    hd_hostplan_done(&p);
    (void)state;
}

static char *key(const struct hd_launch *w, unsigned parts, bool cgroup)
{
    struct hd_hostplan p;
    assert_int_equal(hd_hostplan_make(&p, &opt, w, parts, cgroup, NULL), 0);
    char *k = hd_strdup(p.key);
    hd_hostplan_done(&p);
    return k;
}

static void functions_share_a_key_until_their_confinement_differs(void **state)
{
    const char *const env[] = {"A=1", NULL}, *const none[] = {NULL};
    struct hd_launch a = launch("node"), b = launch("node");
    b.function = "other";
    b.entry = "/f/other/index.mjs";
    b.env = env;
    b.memory_mb = 512;
    hd_auto_free char *ka = key(&a, HD_SANDBOX_NET, true);
    hd_auto_free char *kb = key(&b, HD_SANDBOX_NET, true);
    assert_string_equal(ka, kb);
    hd_auto_free char *heap = key(&b, HD_SANDBOX_NET, false);
    assert_string_not_equal(ka, heap);
    b.net = none;
    hd_auto_free char *alone = key(&b, HD_SANDBOX_NET, true);
    assert_string_not_equal(ka, alone);
    b.net = NULL;
    b.write = env;
    b.runtime = "python";
    hd_auto_free char *other = key(&b, HD_SANDBOX_NET, true);
    assert_string_not_equal(ka, other);
    (void)state;
}

static void only_no_network_at_all_gets_a_namespace(void **state)
{
    const char *const none[] = {NULL}, *const some[] = {"x", NULL};
    const char *const *const nets[] = {NULL, some, none};
    struct hd_launch w = launch("node");
    for (size_t i = 0; i < HD_COUNT(nets); i++) {
        struct hd_hostplan p;
        w.net = nets[i];
        assert_int_equal(hd_hostplan_make(&p, &opt, &w, HD_SANDBOX_NET, true, NULL), 0);
        assert_int_equal(p.spec.parts, i == 2 ? HD_SANDBOX_NET : 0);
        hd_hostplan_done(&p);
    }
    (void)state;
}

static void what_cannot_run_is_refused_by_name(void **state)
{
    struct hd_process_options bare = opt;
    struct hd_hostplan p;
    struct hd_error err;
    struct hd_launch w = launch("http");
    assert_int_equal(hd_hostplan_make(&p, &opt, &w, 0, true, &err), HD_EINVAL);
    assert_non_null(strstr(err.msg, "command"));
    w.runtime = "ruby";
    assert_int_equal(hd_hostplan_make(&p, &opt, &w, 0, true, &err), HD_EINVAL);
    assert_non_null(strstr(err.msg, "\"ruby\" is not known"));
    w.runtime = "deno";
    bare.deno_bin = NULL;
    assert_int_equal(hd_hostplan_make(&p, &bare, &w, 0, true, &err), HD_ENOTFOUND);
    assert_non_null(strstr(err.msg, "heddle doctor"));
    (void)state;
}

static void the_load_request_is_json_whatever_is_in_it(void **state)
{
    const char *const env[] = {"K=a=\"b\"\n", "EMPTY=", "NOT", NULL};
    struct hd_launch w = launch("deno");
    struct hd_buf b;
    w.env = env;
    w.memory_mb = 64;
    w.timeout_ms = 5;
    w.dev = true;
    hd_buf_init(&b, 1 << 20);
    hd_hostplan_load_body(&b, &w);
    json_t *j = json_loadb(b.ptr, b.len, 0, NULL);
    assert_non_null(j);
    const json_t *e = json_object_get(j, "env");
    assert_int_equal(json_object_size(e), 2);
    assert_string_equal(json_string_value(json_object_get(e, "K")), "a=\"b\"\n");
    assert_string_equal(json_string_value(json_object_get(e, "EMPTY")), "");
    assert_string_equal(json_string_value(json_object_get(j, "name")), "hello");
    assert_null(json_object_get(j, "handler"));
    assert_true(json_is_true(json_object_get(j, "dev")));
    assert_int_equal(json_integer_value(json_object_get(j, "memoryMB")), 64);
    json_decref(j);
    hd_buf_done(&b);
    (void)state;
}

static void deno_compiles_ahead_what_it_finds_without_a_network(void **state)
{
    static const struct hd_process_options cached = {.runtimes_dir = "/rt",
                                                     .run_dir = "/run/h",
                                                     .functions_root = "/f",
                                                     .cache_dir = "/cache",
                                                     .deno_bin = "/usr/bin/deno",
                                                     .node_bin = "/usr/bin/node"};
    static const struct {
        unsigned parts;
        const char *map, *command;
    } cases[] = {
        {HD_SANDBOX_NET, NULL,
         "/usr/bin/deno cache --quiet --no-lock --no-config --import-map=/rt/deno/imports.json "
         "/f/hello/index.ts"},
        {0, "/f/deno.json",
         "/usr/bin/deno cache --quiet --no-lock --config=/f/deno.json --no-remote --no-npm "
         "/f/hello/index.ts"},
    };
    for (size_t i = 0; i < HD_COUNT(cases); i++) {
        struct hd_hostplan p;
        struct hd_launch w = launch("deno");
        w.import_map = cases[i].map;
        assert_int_equal(hd_hostplan_make_compile(&p, &cached, &w, cases[i].parts, NULL), 0);
        hd_auto_free char *argv = joined(&p.spec.argv), *write = joined(&p.spec.write);
        assert_string_equal(argv, cases[i].command);
        assert_int_equal(p.spec.parts, cases[i].parts);
        assert_non_null(strstr(write, "/cache"));
        assert_true(!p.host && p.key == NULL);
        hd_hostplan_done(&p);
    }
    struct hd_hostplan none;
    struct hd_launch deno = launch("deno"), node = launch("node");
    assert_int_equal(hd_hostplan_make_compile(&none, &opt, &deno, 0, NULL), HD_EINVAL);
    assert_int_equal(hd_hostplan_make_compile(&none, &cached, &node, 0, NULL), HD_EINVAL);
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_function_that_is_a_link_to_elsewhere_sees_its_real_folder),
        cmocka_unit_test(deno_gets_its_permissions_from_the_lists),
        cmocka_unit_test(an_import_map_is_named_by_the_flag_it_needs),
        cmocka_unit_test(without_a_cgroup_the_runtime_limits_its_memory),
        cmocka_unit_test(functions_share_a_key_until_their_confinement_differs),
        cmocka_unit_test(only_no_network_at_all_gets_a_namespace),
        cmocka_unit_test(what_cannot_run_is_refused_by_name),
        cmocka_unit_test(deno_compiles_ahead_what_it_finds_without_a_network),
        cmocka_unit_test(the_load_request_is_json_whatever_is_in_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
